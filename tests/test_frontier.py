"""The frontier: settings by counting, points by decoding anew, the folder by stopping and going on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from planorder import frontier
from planorder.bench import ORDERS, Bench
from planorder.console import command_line
from planorder.decoding import PRESETS, decode
from planorder.decoding.adaptive import ChosenCount, ChosenFirst, EntropyBound, Stable
from planorder.decoding.budgets import Bernoulli, Schedule
from planorder.frontier import (
    CHOSEN,
    COLUMNS,
    EXAMPLES,
    Frontier,
    frontier_of,
    frontier_table,
    jobs_of,
    pareto,
    run_frontier,
    settings_of,
)
from planorder.models import AutoregressiveConfig, RelationalConfig, build_model
from planorder.models.checkpoint import load_model, model_header, save_model
from planorder.results.points import open_points
from planorder.results.stats import wilson
from puzzles import get_family
from puzzles.base import UserInputError

FAMILY = get_family("sudoku-2x2")
N = 6
ASKED = {"orders": "vanilla,top_margin,threshold,klass", "steps": "6,2"}


def test_each_default_strategy_has_a_dial() -> None:
    for name in CHOSEN.split(","):
        settings = settings_of(PRESETS[name], [50, 20, 10, 5, 3])
        assert len(settings) == 5, name
        assert len({repr(strategy) for strategy in settings.values()}) == 5, name
        dial = {dial for dial, _ in settings}
        assert dial == {
            {"threshold": "tau", "klass": "tau", "factor": "factor", "eb_entropy": "gamma"}.get(name, "T")
        }


def test_a_dial_that_the_preset_has_stands_among_its_values() -> None:
    for strategy in (PRESETS[name] for name in CHOSEN.split(",")):
        settings = settings_of(strategy, [50])
        if {dial for dial, _ in settings} - {"T"}:
            assert strategy in settings.values(), strategy.name


def test_settings_change_the_budget_and_what_agrees_with_it() -> None:
    vanilla = settings_of(PRESETS["vanilla"], [7])[("T", 7)]
    assert (vanilla.steps, vanilla.budget) == (7, Bernoulli("linear"))
    margin = settings_of(PRESETS["top_margin"], [7])[("T", 7)]
    assert (margin.steps, margin.budget) == (7, Schedule("linear"))
    bound = settings_of(PRESETS["eb_entropy"], [7])[("gamma", 0.5)]
    assert bound == replace(PRESETS["eb_entropy"], budget=EntropyBound(0.5))
    klass = settings_of(PRESETS["klass"], [7])[("tau", 0.5)]
    stable = Stable(0.5, PRESETS["klass"].order.chosen.epsilon)  # type: ignore[attr-defined]
    assert (klass.order, klass.budget) == (ChosenFirst(stable), ChosenCount(stable))
    own = replace(PRESETS["random"], budget=lambda view, score: view.n_blank_start)
    assert settings_of(own, [7]) == {("-", None): own}


def plain_pareto(passes: np.ndarray, accuracy: np.ndarray) -> list[bool]:
    """Whether no other point dominates, by a loop over pairs."""
    found = []
    for p, a in zip(passes, accuracy, strict=True):
        beaten = False
        for q, b in zip(passes, accuracy, strict=True):
            beaten |= q <= p and b >= a and (q, b) != (p, a)
        found.append(not beaten)
    return found


def fronts_agree(front: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> bool:
    """Whether a front is its plain twin, with ties on both counts."""
    rng = np.random.default_rng(0)
    cases = [(rng.integers(1, 6, 9).astype(float), rng.integers(0, 6, 9) / 5) for _ in range(20)]
    return all(front(p, a).tolist() == plain_pareto(p, a) for p, a in cases)


def test_the_front_is_its_plain_twin() -> None:
    assert fronts_agree(pareto)
    assert pareto(np.array([5.0, 5.0, 3.0]), np.array([0.9, 0.9, 0.2])).tolist() == [True, True, True]


@pytest.mark.parametrize(
    "fault",
    [
        lambda p, a: pareto(-p, a),
        lambda p, a: pareto(p, -a),
        lambda p, a: pareto(p + 1e-6 * np.arange(len(p)), a),
        lambda p, a: np.maximum.accumulate(a) == a,
    ],
)
def test_a_wrong_front_is_noticed(fault: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    assert not fronts_agree(fault)


def test_each_tier_has_a_front_of_its_own() -> None:
    row: dict[str, object] = dict.fromkeys(COLUMNS, 0.0)
    rows = [
        row | {"tier": t, "passes": p, "exact": e, "cell": -e}
        for t, p, e in (("a", 9, 0.9), ("b", 1, 1), ("a", 8, 0.9))
    ]
    assert frontier_table(rows, "exact")["on_frontier"].tolist() == [False, True, True]
    assert frontier_table([rows[0], {**rows[2], "cell": -1.0}], "cell")["on_frontier"].tolist() == [
        True,
        True,
    ]


def saved(path: Path, config: RelationalConfig | AutoregressiveConfig) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config, FAMILY)
        for block in getattr(model, "blocks", []):
            if isinstance(config, RelationalConfig):
                torch.nn.init.normal_(block.out.weight)
        if isinstance(config, RelationalConfig):
            model.head.weight.data.mul_(60)  # sure of itself, so that thresholds matter
    save_model(path, model, model_header(config, FAMILY, path.stem, {}))
    return path


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    return saved(folder / "untrained.safetensors", RelationalConfig(channels=8, hidden=8, turns=2))


def asked(weights: Path, out: Path, **changed: object) -> Frontier:
    options: dict[str, object] = {"checkpoint": weights, "out": out, "n": N, "seed": 3, **ASKED, **changed}
    return Frontier("sudoku-2x2", precision="fp32", device="cpu", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def done(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Frontier:
    args = asked(weights, tmp_path_factory.mktemp("frontier") / "run")
    run_frontier(args)
    return args


def test_each_row_is_what_decoding_anew_gives(done: Frontier, weights: Path) -> None:
    assert done.out
    table = pd.read_csv(done.out / "frontier.csv")
    assert tuple(table.columns) == COLUMNS
    jobs, model = jobs_of(done, list(FAMILY.tiers)), load_model(weights).model
    assert len(table) == len(jobs) == len(FAMILY.tiers) * (2 + 2 + 5 + 5)
    batches = {tier: FAMILY.generate("test", tier, N) for tier in FAMILY.tiers}
    for (point, strategy), row in zip(jobs, table.to_dict("records"), strict=True):
        batch = batches[point["tier"]]
        found = decode(model, batch, strategy, seed=3)
        exact = (found.cells == batch.solution).all(axis=1)
        assert {name: row[name] for name in point} == point
        assert row["exact"] == pytest.approx(exact.mean())
        assert (row["exact_low"], row["exact_high"]) == pytest.approx(np.ravel(wilson(exact.sum(), N)))
        assert row["passes"] == pytest.approx(found.passes.mean())
        assert row["passes_low"] <= row["passes"] <= row["passes_high"]
        assert (row["n"], row["seed"], row["family"], row["model"]) == (N, 3, FAMILY.version, "untrained")
    for tier in FAMILY.tiers:
        part = table[table["tier"] == tier]
        front = plain_pareto(part["passes"].to_numpy(), part["exact"].to_numpy())
        assert part["on_frontier"].tolist() == front
        assert (done.out / f"frontier_{tier}.png").read_bytes().startswith(b"\x89PNG")
    assert table["passes"].nunique() > 4, "a frontier in which nothing differs shows no row in its place"


def snapshot(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "points").iterdir()}


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take longer than all the rest."""
    monkeypatch.setattr(frontier, "save", lambda figure, path: None)
    monkeypatch.setattr(frontier, "accuracy_frontier", lambda table, measure: None)


@pytest.mark.usefixtures("_undrawn")
def test_ctrl_c_leaves_what_is_finished_and_the_same_command_does_the_rest(
    done: Frontier,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args, decoded = asked(weights, tmp_path / "run"), []

    def job(*arguments: object) -> object:
        if len(decoded) == 5:
            raise KeyboardInterrupt
        decoded.append(arguments[0])
        return real(*arguments)  # type: ignore[arg-type]

    real = frontier.run_job
    monkeypatch.setattr(frontier, "run_job", job)
    with pytest.raises(KeyboardInterrupt):
        run_frontier(args)
    assert "the same command goes on" in capsys.readouterr().err
    first = snapshot(tmp_path / "run")
    assert len(first) == 5
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json",
        "environment.json",
        "points",
    }
    monkeypatch.setattr(
        frontier, "run_job", lambda *arguments: (decoded.append(arguments[0]), real(*arguments))[1]
    )
    run_frontier(args)
    total = len(jobs_of(args, list(FAMILY.tiers)))
    assert len(decoded) == total, "each point once"
    assert {name: time for name, time in snapshot(tmp_path / "run").items() if name in first} == first
    again, whole = (
        pd.read_csv(out / "frontier.csv").drop(columns="seconds") for out in (tmp_path / "run", done.out)
    )
    pd.testing.assert_frame_equal(again, whole)
    run_frontier(args)
    assert len(decoded) == total, "a finished folder is read only"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n": 7}, "was begun with n 6, asked for 7"),
        ({"seed": 4}, "was begun with seed 3, asked for 4"),
        ({"steps": "6,3"}, "was begun with steps '6,2', asked for '6,3'"),
        ({"orders": "vanilla"}, "was begun with orders"),
        ({"batch_size": 2}, "was begun with batch_size 128, asked for 2"),
    ],
)
def test_another_configuration_is_refused_in_one_line(
    done: Frontier, weights: Path, changed: dict[str, object], message: str
) -> None:
    assert done.out
    before = snapshot(done.out)
    with pytest.raises(UserInputError) as error:
        run_frontier(asked(weights, done.out, **changed))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert snapshot(done.out) == before


def test_other_weights_are_another_configuration(done: Frontier, tmp_path: Path) -> None:
    other = saved(tmp_path / "untrained.safetensors", RelationalConfig(channels=8, hidden=8, turns=3))
    model = load_model(other)
    with torch.no_grad():
        next(model.model.parameters()).add_(1)
    save_model(other, model.model, model_header(model.config, FAMILY, "untrained", {}))
    assert done.out
    with pytest.raises(UserInputError, match="was begun with weights"):
        run_frontier(asked(other, done.out))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"orders": "top_prop"}, "did you mean 'top_prob'"),
        ({"orders": ""}, "--orders ''"),
        ({"steps": "6,x"}, "--steps '6,x': expected whole numbers"),
        ({"steps": "0"}, "steps=0"),
        ({"steps": "", "orders": "vanilla"}, "expected whole numbers with commas"),
        ({"tiers": "easy"}, "--tiers 'easy': expected logic"),
        ({"n": 0}, "expected at least 1 puzzle"),
        ({"batch_size": 0}, "expected at least 1 puzzle"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    weights: Path, tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(UserInputError) as error:
        run_frontier(asked(weights, tmp_path / "run", **changed))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_networks_that_choose_their_cells_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "ar.safetensors", AutoregressiveConfig(16, 4, 4, 4, layers=1, width=8, heads=1))
    with pytest.raises(UserInputError, match="chooses its cells itself"):
        run_frontier(asked(path, tmp_path / "run"))


def test_folders_of_something_else_and_altered_points_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UserInputError, match="exists and has no points"), open_points(tmp_path / "notes", {}):
        pass
    out, point = tmp_path / "run", {"tier": "logic", "strategy": "my.module:rule", "value": None}
    with open_points(out, {"n": 3}) as folder:
        assert folder.read(point) is None
        folder.write(point, {"exact": 0.5})
        assert folder.read(point) == {"exact": 0.5}
        assert json.loads(folder.file(point).read_text())["settings"] == {"n": 3, **point}
        with pytest.raises(UserInputError, match="another run is writing"), open_points(out, {"n": 3}):
            pass
        folder.file(point).write_text(folder.file(point).read_text().replace("0.5", "0.5}"))
        with pytest.raises(UserInputError, match=r"was altered.*delete it and run again"):
            folder.read(point)
        folder.file(point).write_text("{}")
        with pytest.raises(UserInputError, match="has other settings than its name says"):
            folder.read(point)
    assert os.listdir(out / "points") == ["logic_my.module-rule_None.json"]
    with (
        pytest.raises(UserInputError, match="was begun with seed None, asked for 1"),
        open_points(out, {"n": 3, "seed": 1}),
    ):
        pass


def test_the_table_command_asks_for_the_same() -> None:
    plain = frontier_of(Bench("zebra", n=7, seed=2, out=Path("runs/x")))
    assert plain == Frontier("zebra", n=7, seed=2, out=Path("runs/x"))
    mine = frontier_of(Bench(orders="random", models="shallow", batch_size=9, device="cpu"))
    assert mine == Frontier(orders="random", model="shallow", batch_size=9, device="cpu")
    assert frontier_of(Bench(orders=",".join(ORDERS))).orders == CHOSEN
    for changed in (
        {"steps": 5},
        {"k": 2},
        {"noise": "gumbel:1"},
        {"puzzles": Path("x")},
        {"pick": "sample"},
    ):
        with pytest.raises(UserInputError, match="with --frontier: expected none"):
            frontier_of(replace(Bench(), **changed))  # type: ignore[arg-type]
    with pytest.raises(UserInputError, match="--protocol and --overwrite"):
        frontier_of(Bench(protocol="paper"))


def test_two_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="expected one network"):
        run_frontier(Frontier(model="relational,shallow", out=tmp_path / "run"))


def test_help_shows_the_examples(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["frontier", "--help"])
    with pytest.raises(SystemExit) as stop:
        command_line("planorder.frontier", Frontier, run_frontier, EXAMPLES)
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "python -m planorder.frontier zebra" in shown
    assert "reverse steps T" in shown
