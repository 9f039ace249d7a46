"""The reproductions of tables: the paper's numbers, decodes at tiny n, folders gone on with, mistakes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from planorder import __main__ as entrance
from planorder import jobs
from planorder.decoding import decode, remask
from planorder.decoding.noise import Gumbel, no_noise
from planorder.decoding.picks import Sample, argmax
from planorder.models import AutoregressiveConfig, build_model
from planorder.models.checkpoint import load_model, model_header, pretrained, save_model
from planorder.reproduce import run_reproduce
from planorder.reproductions import plan, tables
from planorder.reproductions.paper import OURS, TARGETS, Table, rows_of
from planorder.reproductions.plan import Reproduce, find_networks
from planorder.reproductions.tables import COLUMNS, protocols, seen
from planorder.results.runs import MANIFEST, _fingerprint
from planorder.results.stats import wilson
from planorder.training.presets import recipe
from puzzles import get_family
from puzzles.base import UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

N = 4
QUOTED = {
    "table1": [78.06, 93.76, 75.70, 93.54, 74.60, 92.21, 67.94, 90.01, 62.84, 88.91],
    "table2": [6.88, 18.51, 89.49, 9.73, 87.18],
    "table3": [76.9, 98.5, 98.3, 80.31, 91.17],
    "table5": [3.62, 9.44, 49.88, None, 32.57],
}
"""Kim et al., arXiv:2502.06768: vanilla, top-prob, margin, ARM without and with order; by size in Table 1."""


@pytest.fixture
def _only_relational(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while Zebra's autoregressive networks do not ship."""
    shipped = {"relational": pretrained("zebra")["relational"]}
    monkeypatch.setattr(plan, "pretrained", lambda family: shipped if family == "zebra" else {})


def asked(out: Path, **options: object) -> Reproduce:
    return Reproduce("table3", **{"n": N, "seed": 3, "device": "cpu", "out": out, **options})  # type: ignore[arg-type]


def manifest_faults(out: Path) -> list[str]:
    """What a manifest says that is not so, and files that it does not name."""
    said = json.loads((out / MANIFEST).read_text())["files"]
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {MANIFEST}
    wrong = [name for name, entry in said.items() if _fingerprint((out / name).read_bytes()) != entry]
    return wrong + sorted(there ^ set(said))


def test_the_numbers_are_those_of_the_paper() -> None:
    found = {name: [row.number for row in t.published] for name, t in TARGETS.items() if isinstance(t, Table)}
    assert found == QUOTED


def test_rows_stand_by_network_and_name_the_paper_s_row() -> None:
    table = TARGETS["table2"]
    assert isinstance(table, Table)
    rows = [(row.model, row.strategy, row.number) for row in rows_of(table, "cpu")]
    assert rows[:3] == [
        ("relational", s, p) for s, p in zip(tables_orders(), (6.88, 18.51, 89.49), strict=True)
    ]
    assert rows[-3:] == [
        ("ar-fixed", "free", 9.73),
        ("ar-random", "free", 9.73),
        ("ar-solver", "free", 87.18),
    ]
    assert {row.model for row in rows_of(table, "paper")} == {
        "transformer",
        "ar-fixed",
        "ar-random",
        "ar-solver",
    }


def tables_orders() -> tuple[str, ...]:
    return ("vanilla", "top_prob", "top_margin")


def test_the_protocols_differ_in_the_noise_alone() -> None:
    found = protocols("top_margin", get_family("sudoku"))
    assert list(found) == ["paper", "no noise"]
    noisy, quiet = found.values()
    assert noisy is not None
    assert quiet is not None
    assert (noisy.noise, quiet.noise) == (Gumbel(0.5, annealed=True), no_noise)
    assert noisy.steps == quiet.steps == 50
    assert (noisy.order, noisy.budget, noisy.pick) == (quiet.order, quiet.budget, argmax)
    assert list(protocols("vanilla", get_family("sudoku"))) == ["both"]
    assert protocols("free", get_family("sudoku")) == {"both": None}
    routed = protocols("top_margin", get_family("sudoku"), routing=True)
    assert {name: routed[name] for name in found} == found
    assert routed["routing"] == replace(noisy, remask=remask.route, revise=True)
    assert list(protocols("vanilla", get_family("sudoku"), routing=True)) == ["both"]
    many = protocols("top_margin", get_family("naesat"))
    assert {strategy.pick for strategy in many.values() if strategy} == {Sample(1.0)}


@pytest.mark.usefixtures("_only_relational")
def test_rows_are_what_decoding_gives_and_untrained_ones_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_reproduce(asked(tmp_path / "t"))
    table = pd.read_csv(tmp_path / "t" / "table3.csv")
    assert tuple(table.columns) == COLUMNS
    assert (
        table["protocol"].tolist() == ["both", "paper", "no noise", "paper", "no noise"] + ["not trained"] * 3
    )
    family, model = get_family("zebra"), load_model(pretrained("zebra")["relational"]).model
    batch = family.generate("test", "logic", N)
    for row in table[table["n"] > 0].to_dict("records"):
        strategy = protocols(row["strategy"], family)[row["protocol"]]
        assert strategy
        found = decode(model, batch, strategy, seed=3, batch_size=128)
        solved = int((found.cells == batch.solution).all(1).sum())
        assert (row["n"], row["exact"]) == (N, pytest.approx(solved / N))
        low, high = wilson(solved, N)
        assert (row["exact_low"], row["exact_high"]) == pytest.approx((float(low), float(high)))
        assert row["passes"] == pytest.approx(found.passes.mean())
    shown = capsys.readouterr().out
    for model_name in ("ar-fixed", "ar-random", "ar-solver"):
        assert f"python -m planorder train zebra --model {model_name} --out" in shown
    for said in ("98.50", "91.17", "not trained", "95% interval", "departures", "Gumbel noise of 0.5"):
        assert said in shown
    for said in ("told the constraints", "random symmetries", "416,000 + 224,000 in batches of 64, 50% of"):
        assert said in shown
    assert (tmp_path / "t" / "table3.png").read_bytes().startswith(b"\x89PNG")
    assert manifest_faults(tmp_path / "t") == []


def test_headers_say_what_networks_saw() -> None:
    shipped = {name: load_model(path).info for name, path in pretrained("sudoku").items()}
    own = "50% of the last masked along its own confidence"
    assert seen(shipped["relational"]) == f"160,000 + 48,000 in batches of 32, {own}"
    assert seen(shipped["transformer"]) == "224,000 in batches of 64"
    assert seen({}) == "unknown"


def test_the_departures_of_the_paper_s_scale_are_those_of_the_preset() -> None:
    train = recipe("paper", "transformer", get_family("sudoku")).train
    assert f"batch {train.batch_size}, {train.steps:,} steps" in OURS
    assert f"({train.batch_size * train.steps / 1e6:.0f} million examples)" in OURS
    for table in TARGETS.values():
        assert not isinstance(table, Table) or any(OURS in line for line in table.at_scale["paper"])


@pytest.mark.usefixtures("_only_relational", "_undrawn")
def test_routing_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    run_reproduce(asked(tmp_path / "t", n=1))
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "t" / "points").iterdir()}
    run_reproduce(asked(tmp_path / "t", n=1, routing=True))
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "t" / "points").iterdir()}
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2
    assert (pd.read_csv(tmp_path / "t" / "table3.csv")["protocol"] == "routing").sum() == 2


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take longer than all the rest."""
    monkeypatch.setattr(plan, "save", lambda figure, path: None)
    monkeypatch.setattr(tables, "beside_paper", lambda *arguments: None)


@pytest.mark.usefixtures("_only_relational", "_undrawn")
def test_ctrl_c_a_missing_point_and_new_weights_cost_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args, real, decoded = asked(tmp_path / "t", n=2), jobs.run_job, []

    def job(*arguments: object) -> object:
        if len(decoded) == 2:
            raise KeyboardInterrupt
        decoded.append(arguments[0])
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "run_job", job)
    with pytest.raises(KeyboardInterrupt):
        run_reproduce(args)
    assert "the same command goes on" in capsys.readouterr().err
    assert not (tmp_path / "t" / MANIFEST).exists()
    assert len(list((tmp_path / "t" / "points").iterdir())) == 2

    monkeypatch.setattr(
        jobs, "run_job", lambda *arguments: (decoded.append(arguments[0]), real(*arguments))[1]
    )
    run_reproduce(args)
    assert len(decoded) == 5
    whole = pd.read_csv(tmp_path / "t" / "table3.csv")
    next((tmp_path / "t" / "points").glob("*top_prob_paper*")).unlink()
    run_reproduce(args)
    again = pd.read_csv(tmp_path / "t" / "table3.csv")
    assert len(decoded) == 6
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), whole.drop(columns="seconds"))

    untrained_network(tmp_path / "mine" / "zebra_ar-solver" / "weights.safetensors", "ar-solver")
    run_reproduce(asked(tmp_path / "t", n=2, weights=tmp_path / "mine"))
    more = pd.read_csv(tmp_path / "t" / "table3.csv")
    assert len(decoded) == 7, "a network that came later is decoded, the others are not decoded anew"
    assert more.set_index("model").loc["ar-solver", ["protocol", "n"]].tolist() == ["both", 2]
    assert (more["protocol"] == "not trained").sum() == 2
    assert manifest_faults(tmp_path / "t") == []
    (tmp_path / "t" / "table3.csv").write_text("altered")
    assert manifest_faults(tmp_path / "t") == ["table3.csv"]


def untrained_network(path: Path, name: str) -> None:
    """A small autoregressive network on Zebra, as ``planorder train`` would leave it."""
    family = get_family("zebra")
    config = AutoregressiveConfig(family.n_cells, family.n_values, *family.grid, layers=1, width=8, heads=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config, family)
    save_model(path, model, model_header(config, family, name, {}))


def test_weights_in_the_wrong_folder_are_refused(tmp_path: Path) -> None:
    untrained_network(tmp_path / "zebra_ar-fixed" / "weights.safetensors", "ar-solver")
    with pytest.raises(UserInputError, match="holds 'ar-solver' on 'zebra', expected 'ar-fixed' on 'zebra'"):
        find_networks([("zebra", "ar-fixed")], "cpu", tmp_path)


def test_the_paper_s_scale_without_weights_says_how_to_train_them(tmp_path: Path) -> None:
    with pytest.raises(UserInputError) as error:
        run_reproduce(asked(tmp_path / "t", scale="paper", weights=tmp_path / "mine"))
    told = str(error.value)
    for model in ("transformer", "ar-fixed", "ar-random", "ar-solver"):
        where = tmp_path / "mine" / f"zebra_{model}"
        assert (
            f"python -m planorder train zebra --model {model} --preset paper --device cuda --out {where}"
            in told
        )
    assert "\n" not in told
    assert not (tmp_path / "t").exists()


def test_the_paper_s_scale_takes_weights_from_the_folder_alone(tmp_path: Path) -> None:
    untrained_network(tmp_path / "zebra_ar-solver" / "weights.safetensors", "ar-solver")
    asked_for = [("zebra", "ar-solver"), ("zebra", "relational")]
    assert list(find_networks(asked_for, "paper", tmp_path).found) == [("zebra", "ar-solver")]
    assert list(find_networks(asked_for, "cpu", tmp_path).found) == asked_for


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tabel2", {}, "did you mean 'table2'"),
        ("figure2", {}, "did you mean 'figure2_"),
        ("table2", {"n": 0}, "--n 0: expected at least 1"),
        ("table2", {"seed": -1}, "--seed -1"),
        ("table2", {"flops": "1e9"}, "--flops with table2"),
        ("table2", {"repeats": 2}, "--repeats with table2"),
        ("figure2_right", {"routing": True}, "--routing with figure2_right"),
        ("figure2_left", {"weights": Path("w")}, "--weights with figure2_left"),
        ("figure2_left", {"n": 2}, "--repeats is its number of runs"),
        ("figure2_left", {"flops": "1e9,x"}, "--flops '1e9,x'"),
        ("figure2_left", {"flops": "1e9,-1"}, "--flops '1e9,-1'"),
        ("figure2_left", {"repeats": 0}, "--repeats 0"),
        ("figure2_left", {"scale": "paper"}, "trains on a GPU"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    name: str, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserInputError) as error:
        run_reproduce(Reproduce(name, **{"device": "cpu", "out": tmp_path / "t", **options}))  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_only_relational", "_undrawn")
def test_another_number_of_puzzles_is_another_folder(tmp_path: Path) -> None:
    run_reproduce(asked(tmp_path / "t", n=1))
    with pytest.raises(UserInputError, match="was begun with n 1, asked for 2"):
        run_reproduce(asked(tmp_path / "t", n=2))


@pytest.mark.parametrize("command", ["reproduce", "ablation"])
def test_the_command_line_has_help_with_examples(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["planorder", command, "--help"])
    with pytest.raises(SystemExit) as stop:
        entrance.main()
    assert stop.value.code == 0
    assert f"python -m planorder {command}" in " ".join(capsys.readouterr().out.split())


def test_the_command_line_tells_a_mistake_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["planorder", "reproduce", "table9"])
    with pytest.raises(SystemExit) as stop:
        entrance.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: 'table9' cannot be reproduced: expected one of table1")
