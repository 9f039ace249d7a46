"""The frontier command: points by decoding anew, the folder by stopping and going on, mistakes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from planorder import frontier, jobs
from planorder.console import command_line
from planorder.decoding import decode
from planorder.frontier import (
    COLUMNS,
    EXAMPLES,
    Frontier,
    jobs_of,
    pareto,
    run_frontier,
)
from planorder.models import AutoregressiveConfig, RelationalConfig, build_model
from planorder.models.checkpoint import load_model, model_header, save_model
from planorder.results.stats import wilson
from puzzles import get_family
from puzzles.base import UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")
N = 6
ASKED = {"orders": "vanilla,top_margin,threshold,klass", "steps": "6,2"}


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
    points, model = jobs_of(done, FAMILY), load_model(weights).model
    assert len(table) == len(points) == len(FAMILY.tiers) * (2 + 2 + 5 + 5)
    batches = {tier: FAMILY.generate("test", tier, N) for tier in FAMILY.tiers}
    for (point, strategy), row in zip(points, table.to_dict("records"), strict=True):
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
        assert part["on_frontier"].tolist() == pareto(*part[["passes", "exact"]].to_numpy().T).tolist()
    assert (done.out / "frontier.png").read_bytes().startswith(b"\x89PNG")
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

    real = jobs.run_job
    monkeypatch.setattr(jobs, "run_job", job)
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
        jobs, "run_job", lambda *arguments: (decoded.append(arguments[0]), real(*arguments))[1]
    )
    run_frontier(args)
    total = len(jobs_of(args, FAMILY))
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
        ({"batch_size": 2}, "was begun with batch_size 256, asked for 2"),
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
        ({"steps": "0"}, "--steps '0': expected whole numbers"),
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
