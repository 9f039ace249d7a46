"""The front door: a whole run folder, numbers that a recount confirms, mistakes in one line."""

from __future__ import annotations

import gzip
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from planorder import bench, choices
from planorder.bench import Bench, run_bench, strategies_of
from planorder.console import command_line
from planorder.decoding import decode, get_strategy, with_options
from planorder.decoding.autoregressive import decode_autoregressive
from planorder.decoding.budgets import Bernoulli, Fixed, Schedule
from planorder.decoding.noise import Gumbel, no_noise
from planorder.decoding.particles import best_of
from planorder.models.checkpoint import load_model
from planorder.results.evaluate import FREE, score
from planorder.results.runs import Run, load_run
from planorder.training.data import TrainingData
from planorder.training.loop import train
from planorder.training.presets import recipe
from puzzles import get_family
from puzzles.base import PuzzleBatch
from puzzles.sudoku.formats import to_line, write_shah

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY, SUDOKU = get_family("sudoku-2x2"), get_family("sudoku")
HEADER = (
    "family,tier,model,strategy,n,exact,exact_low,exact_high,valid,cell,passes,seconds,puzzles_per_s,"
    "parameters,seed"
)
N = 24
SHIPPED = ("relational", "shallow", "ar-fixed")


def call(*words: str | int | Path, draw: bool = False) -> int:
    """The exit code of ``python -m planorder.bench sudoku-2x2`` with these words, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", "sudoku-2x2", "--precision", "fp32", *map(str, words)])
        if not draw:  # figures take longer than all the rest
            patch.setattr(bench, "write_figures", lambda *arguments: [])
        try:
            command_line("planorder.bench", Bench, run_bench, bench.EXAMPLES)
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network that learnt a little, so that orders differ, and two that learnt nothing."""
    folder, found = tmp_path_factory.mktemp("weights"), {}
    puzzles = FAMILY.generate("train", "logic", 64)
    for name, steps in (("relational", 12), ("shallow", 1), ("ar-fixed", 1)):
        chosen = recipe("tiny", name, FAMILY)
        config = replace(chosen.train, steps=steps, precision="fp32")
        data = TrainingData(FAMILY, puzzles, config.batch_size, 0)
        found[name] = train(chosen.model, config, chosen.objective, data, folder / name, name=name)
    return found


@pytest.fixture(scope="module")
def run(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The whole table of three networks that ship."""
    out = tmp_path_factory.mktemp("bench") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choices, "pretrained", lambda family: weights if family == "sudoku-2x2" else {})
        assert call("--n", N, "--models", ",".join(SHIPPED), "--seed", 5, "--out", out, draw=True) == 0
    return load_run(out)


@pytest.fixture(scope="module")
def batch() -> PuzzleBatch:
    return FAMILY.generate("test", "logic", N)


def jobs() -> list[tuple[str, str]]:
    masked = [(name, order) for name in SHIPPED[:2] for order in bench.ORDERS]
    return [*masked, ("ar-fixed", FREE)]


def test_the_folder_has_everything(run: Run) -> None:
    names = {path.name for path in run.path.iterdir()}
    figures = {"accuracy_by_strategy", "accuracy_against_passes", "step_heat_map", "error_by_masked_fraction"}
    figures |= {"order_effect_by_depth"}
    rest = {
        "config.json",
        "environment.json",
        "results.csv",
        "puzzles.csv.gz",
        "traces.npz",
        "gap.csv",
        "tests.csv",
    }
    assert names == rest | {f"{figure}.png" for figure in figures} | {"manifest.json"}
    assert all((run.path / f"{f}.png").read_bytes().startswith(b"\x89PNG") for f in figures)
    assert (run.config["n"], run.config["seed"], run.config["protocol"]) == (N, 5, "plain")
    assert run.config["models"] == ",".join(SHIPPED)
    assert run.environment["packages"]["torch"] in torch.__version__  # type: ignore[index]
    manifest = json.loads((run.path / "manifest.json").read_bytes())
    assert set(manifest["files"]) == names - {"manifest.json"}
    written = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert written["manifest.json"] == max(written.values())
    assert [path.name for path in run.path.parent.iterdir()] == ["run"]


def test_the_table_keeps_the_contract(run: Run) -> None:
    lines = (run.path / "results.csv").read_text().splitlines()
    assert lines[0] == HEADER
    assert len(lines) == 1 + len(jobs())
    table = run.results
    assert list(zip(table["model"], table["strategy"], strict=True)) == jobs()
    assert set(table["family"]) == {"sudoku-2x2-v1"}
    assert set(table["tier"]) == {"logic"}
    assert (set(table["n"]), set(table["seed"])) == ({N}, {5})
    for name in ("exact", "exact_low", "exact_high", "valid", "cell"):
        assert table[name].between(0, 1).all(), name
    assert table["exact"].nunique() > 3, "rows that say the same show no row in its place"
    assert (table["seconds"] > 0).all()
    assert np.allclose(table["puzzles_per_s"], N / table["seconds"])


def test_the_numbers_are_those_of_the_rows(run: Run, weights: dict[str, Path]) -> None:
    for row in run.results.to_dict("records"):
        mine = run.puzzles[
            (run.puzzles["model"] == row["model"]) & (run.puzzles["strategy"] == row["strategy"])
        ]
        assert list(mine["index"]) == list(range(N))
        solved = sum(mine["exact"])
        assert row["exact"] == solved / N
        p, z = solved / N, 1.959963984540054
        middle, half = p + z * z / (2 * N), z * math.sqrt(p * (1 - p) / N + z * z / (4 * N * N))
        interval = ((middle - half) / (1 + z * z / N), (middle + half) / (1 + z * z / N))
        assert (row["exact_low"], row["exact_high"]) == pytest.approx(interval, abs=1e-9)
        for name in ("valid", "cell", "passes"):
            assert row[name] == pytest.approx(sum(mine[name]) / N, rel=1e-12)
        network = load_model(weights[row["model"]]).model
        assert row["parameters"] == sum(weight.numel() for weight in network.parameters())


def test_the_numbers_are_those_of_decoding_anew(
    run: Run, weights: dict[str, Path], batch: PuzzleBatch
) -> None:
    """Decoded without the front door, and judged here: rows, columns and boxes by hand."""
    for name, order in jobs():
        model = load_model(weights[name]).model
        if order == FREE:
            found = decode_autoregressive(model, batch, seed=5)  # type: ignore[arg-type]
        else:
            found = decode(model, batch, get_strategy(order), seed=5, batch_size=64)
        for key in ("cells", "step", "prob"):
            np.testing.assert_array_equal(run.traces[f"logic/{name}/{order}/5/{key}"], getattr(found, key))
        mine = run.puzzles[(run.puzzles["model"] == name) & (run.puzzles["strategy"] == order)]
        right = (found.cells == batch.solution) & (batch.clues == 0)
        grid = found.cells.reshape(N, 4, 4)
        boxes = grid.reshape(N, 2, 2, 2, 2).swapaxes(2, 3).reshape(N, 4, 4)
        units = np.concatenate([grid, grid.swapaxes(1, 2), boxes], axis=1)
        kept = ((found.cells == batch.clues) | (batch.clues == 0)).all(1)
        assert list(mine["exact"]) == [*(found.cells == batch.solution).all(1)]
        assert list(mine["valid"]) == [*((np.sort(units, axis=2) == [1, 2, 3, 4]).all((1, 2)) & kept)]
        np.testing.assert_allclose(mine["cell"], right.sum(1) / (batch.clues == 0).sum(1))
        np.testing.assert_array_equal(mine["passes"], found.passes)
    np.testing.assert_array_equal(run.traces["logic/clues"], batch.clues)
    np.testing.assert_array_equal(run.traces["logic/solution"], batch.solution)


def test_a_seed_is_all_there_is_to_a_run(
    run: Run, weights: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--n", N, "--checkpoint", weights["relational"])
    tables = {}
    for name, seed, size in (("a", 5, 7), ("b", 5, 64), ("c", 6, 64)):
        assert call(*asked, "--seed", seed, "--batch-size", size, "--out", tmp_path / name) == 0
        tables[name] = pd.read_csv(tmp_path / name / "results.csv").drop(columns=["seconds", "puzzles_per_s"])
    shown = capsys.readouterr().out
    assert "left_to_right" in shown
    assert f"run folder: {tmp_path / 'c'}" in shown
    first = run.results[run.results["model"] == "relational"].drop(columns=["seconds", "puzzles_per_s"])
    pd.testing.assert_frame_equal(tables["a"], tables["b"])
    pd.testing.assert_frame_equal(tables["b"], first, check_dtype=False)
    rows = [gzip.decompress((tmp_path / name / "puzzles.csv.gz").read_bytes()) for name in "abc"]
    assert rows[0] == rows[1]
    assert not tables["c"].drop(columns="seed").equals(tables["b"].drop(columns="seed"))


def test_a_seed_that_no_table_holds_is_refused_before_anything_is_decoded(
    weights: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--checkpoint", weights["relational"], "--seed", 2**63, "--out", tmp_path / "run") == 2
    assert f"--seed {2**63}: expected a whole number of 64 bits" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_puzzles_of_a_file(weights: dict[str, Path], tmp_path: Path, batch: PuzzleBatch) -> None:
    chosen = batch[np.array([7, 2, 11])]
    (tmp_path / "mine.txt").write_text(
        "# mine\n" + "\n".join(to_line(clues) for clues in chosen.clues) + "\n"
    )
    write_shah(tmp_path / "mine.npy", chosen)
    for suffix in ("txt", "npy"):
        out = tmp_path / f"run-{suffix}"
        words = ("--puzzles", tmp_path / f"mine.{suffix}", "--orders", "solver_order", "--k", "2")
        assert call("--checkpoint", weights["relational"], *words, "--out", out) == 0
        found = load_run(out)
        assert (found.results["tier"].tolist(), found.results["n"].tolist()) == (["file"], [3])
        np.testing.assert_array_equal(found.traces["file/clues"], chosen.clues)
        np.testing.assert_array_equal(found.traces["file/solution"], chosen.solution)
        assert found.config["puzzles"] == f"mine.{suffix}"
        blanks = (chosen.clues == 0).sum(1)
        assert found.puzzles["passes"].tolist() == [math.ceil(n / 2) for n in blanks]
    words = ("--puzzles", tmp_path / "mine.txt", "--n", "2", "--orders", "solver_order")
    assert call("--checkpoint", weights["relational"], *words, "--out", tmp_path / "two") == 0
    np.testing.assert_array_equal(load_run(tmp_path / "two").traces["file/clues"], chosen.clues[:2])


def test_protocols_and_options() -> None:
    paper = {s.name: s for s in strategies_of(Bench(protocol="paper"), SUDOKU)}
    assert list(paper) == list(bench.ORDERS)
    for name, strategy in paper.items():
        seeing = name in ("top_prob", "top_margin", "neg_entropy")
        assert strategy.steps == 50
        assert strategy.budget == (Bernoulli("linear") if name == "vanilla" else Schedule("linear"))
        assert strategy.noise == (Gumbel(0.5, annealed=True) if seeing else no_noise)
    short = strategies_of(
        Bench(protocol="paper", steps=7, noise="gumbel:2", orders=" top_margin ,random"), SUDOKU
    )
    assert [(s.name, s.steps, s.noise) for s in short] == [
        ("top_margin", 7, Gumbel(2)),
        ("random", 7, Gumbel(2)),
    ]
    plain = strategies_of(Bench(), SUDOKU)
    assert [s.budget for s in plain] == [Bernoulli("linear")] + [Fixed(1)] * 6
    assert [s.budget for s in strategies_of(Bench(k=3, orders="vanilla,top_prob"), SUDOKU)] == [Fixed(3)] * 2


def test_the_paper_s_protocol_is_what_is_run(
    weights: dict[str, Path], tmp_path: Path, batch: PuzzleBatch
) -> None:
    words = ("--n", N, "--orders", "top_margin", "--protocol", "paper", "--out", tmp_path / "run")
    assert call("--checkpoint", weights["relational"], *words) == 0
    found = load_run(tmp_path / "run").traces["logic/relational/top_margin/0/step"]
    order = replace(with_options(get_strategy("top_margin"), steps=50), noise=Gumbel(0.5, annealed=True))
    expected = decode(load_model(weights["relational"]).model, batch, order, batch_size=64)
    np.testing.assert_array_equal(found, expected.step)
    blanks = (batch.clues == 0).sum(1)
    assert found.max() == max(math.ceil(50 * (1 - 0.5 / n)) - 1 for n in blanks)


@pytest.mark.parametrize(
    ("choose", "network"), [("oracle", "relational x2 oracle"), ("confident", "relational x2")]
)
def test_an_oracle_chooses_by_what_is_right(
    weights: dict[str, Path],
    batch: PuzzleBatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    choose: str,
    network: str,
) -> None:
    judges: list[Any] = []

    def spy(*given: Any, judge: Any, **options: Any) -> Any:
        judges.append(judge)
        return best_of(*given, judge=judge, **options)

    monkeypatch.setattr("planorder.jobs.best_of", spy)
    words = ("--checkpoint", weights["relational"], "--n", N, "--orders", "random", "--best-of", 2)
    assert call(*words, "--choose", choose, "--out", tmp_path / "run") == 0
    assert load_run(tmp_path / "run").results["model"].tolist() == [network]
    (judge,) = judges
    if choose == "confident":
        assert judge is None
        return
    wrong = batch.solution.copy()
    wrong[1] = np.roll(wrong[1], 1)
    assert judge(wrong).tolist() == [row != 1 for row in range(N)]


def test_best_of_judges_the_most_confident_and_counts_all_passes(
    weights: dict[str, Path], batch: PuzzleBatch, tmp_path: Path
) -> None:
    words = (
        "--checkpoint",
        weights["relational"],
        "--n",
        N,
        "--orders",
        "top_margin,vanilla",
        "--noise",
        0.5,
    )
    assert call(*words, "--best-of", 3, "--out", tmp_path / "run") == 0
    found = load_run(tmp_path / "run")
    assert list(found.results["strategy"]) == ["top_margin", "vanilla"]
    assert set(found.results["model"]) == {"relational x3"}
    model = load_model(weights["relational"]).model
    for name, row in zip(("top_margin", "vanilla"), found.results.itertuples(), strict=True):
        best = best_of(model, batch, with_options(get_strategy(name), noise="0.5"), 3, batch_size=128).best
        assert row.exact == score(FAMILY, batch, best.cells, best.passes)["exact"].mean()
        assert row.passes == pytest.approx(best.passes.mean())
