"""The front door on a family of many solutions: samples, judged by the rules, cells as the headline."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from planorder import bench, jobs
from planorder.bench import Bench, run_bench, strategies_of
from planorder.console import command_line
from planorder.decoding import decode, get_strategy, with_options
from planorder.decoding.picks import Sample, argmax
from planorder.frontier import Frontier, run_frontier
from planorder.models import build_model
from planorder.models.checkpoint import load_model, model_header, save_model
from planorder.results.evaluate import score
from planorder.results.report import legend
from planorder.results.runs import Run, load_run
from planorder.results.stats import mean_interval
from planorder.training.presets import recipe
from puzzles import get_family

FAMILY = get_family("naesat")
N = 6


def call(*words: str | int | Path, draw: bool = False) -> None:
    """``python -m planorder.bench naesat`` with these words, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", "naesat", "--precision", "fp32", *map(str, words)])
        if not draw:
            patch.setattr(bench, "write_figures", lambda *arguments: [])
        command_line("planorder.bench", Bench, run_bench, bench.EXAMPLES)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks that learnt nothing."""
    found = {}
    for name in ("relational", "ar-fixed"):
        config = recipe("tiny", name, FAMILY).model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build_model(config, FAMILY)
        found[name] = tmp_path_factory.mktemp(name) / "weights.safetensors"
        save_model(found[name], model, model_header(config, FAMILY, name, {}))
    return found


def decoded(weights: Path, out: Path, *words: str | int, draw: bool = False) -> Run:
    call("--checkpoint", weights, "--n", N, "--out", out, *words, draw=draw)
    return load_run(out)


WORDS = ("--orders", "vanilla,top_margin", "--steps", 8)


@pytest.fixture(scope="module")
def run(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return decoded(weights["relational"], tmp_path_factory.mktemp("bench") / "run", *WORDS, draw=True)


def test_rows_are_samples_of_their_own_judged_by_the_rules(run: Run) -> None:
    for order in ("vanilla", "top_margin"):
        cells = run.traces[f"logic/relational/{order}/0/cells"]
        assert len(np.unique(cells, axis=0)) == N
        mine = run.puzzles[run.puzzles["strategy"] == order]
        right = cells[:, 25:] == FAMILY.observe(cells)
        np.testing.assert_allclose(mine["cell"], right.mean(axis=1))
        assert mine["exact"].tolist() == right.all(axis=1).tolist() == mine["valid"].tolist()
        row = run.results[run.results["strategy"] == order].iloc[0]
        assert row["cell"] == pytest.approx(right.mean())


def test_figures_and_files_are_there(run: Run) -> None:
    lines = (run.path / "results.csv").read_text().splitlines()
    assert lines[0] == (
        "family,tier,model,strategy,n,exact,exact_low,exact_high,valid,cell,passes,seconds,puzzles_per_s,"
        "parameters,seed"
    )
    figures = {"accuracy_by_strategy", "accuracy_against_passes", "step_heat_map", "error_by_masked_fraction"}
    assert figures <= {path.stem for path in run.path.glob("*.png")}


def test_the_table_says_what_its_columns_are(
    weights: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = decoded(weights["relational"], tmp_path / "run", *WORDS)
    shown = capsys.readouterr().out
    assert legend(FAMILY) in shown
    assert "is a solution, one of many" in legend(FAMILY)
    assert "observations right; interval: 95% t of cell" in legend(FAMILY)
    assert "Paired tests of cell on the same puzzles (t)" in shown
    mine = found.puzzles[found.puzzles["strategy"] == "vanilla"]["cell"]
    low, high = mean_interval(mine)
    line = next(line for line in shown.splitlines() if "vanilla" in line)
    assert f"{100 * mine.mean():.2f} {100 * low:.2f} to {100 * high:.2f}" in " ".join(line.split())


def test_the_legend_of_puzzles_with_one_solution_is_as_it_was() -> None:
    assert legend(get_family("sudoku")) == (
        "exact: equals the solution; valid: keeps rules and clues; cell: blanks right; interval: 95% Wilson"
    )


def test_values_are_sampled_where_solutions_are_many_unless_asked() -> None:
    naesat, sudoku = get_family("naesat"), get_family("sudoku")
    assert {s.pick for s in strategies_of(Bench("naesat"), naesat)} == {Sample(1.0)}
    for strategy in strategies_of(Bench("sudoku"), sudoku):
        assert strategy.pick == (Sample(1.0) if strategy.name == "vanilla" else argmax)
    for family in (naesat, sudoku):
        for pick, picks in (("argmax", argmax), ("sample", Sample(1.0))):
            assert {s.pick for s in strategies_of(Bench(pick=pick), family)} == {picks}  # type: ignore[arg-type]
    paper = strategies_of(Bench("naesat", protocol="paper"), naesat)
    assert {(s.pick, s.steps) for s in paper} == {(Sample(1.0), 50)}
    own = {s.name: s.pick for s in strategies_of(Bench("naesat", orders="vanilla_nucleus"), naesat)}
    assert own == {"vanilla_nucleus": get_strategy("vanilla_nucleus").pick}, "what samples in its way goes on"


def test_the_likeliest_values_would_be_one_sequence(weights: dict[str, Path], tmp_path: Path) -> None:
    """The fault that sampling is there for."""
    words = ("--orders", "top_margin", "--steps", 8, "--pick", "argmax")
    found = decoded(weights["relational"], tmp_path / "run", *words)
    assert len(np.unique(found.traces["logic/relational/top_margin/0/cells"], axis=0)) == 1


def test_an_autoregressive_network_samples_too(
    weights: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heats = []

    def spy(model, batch, *, temperature, **options):
        heats.append(temperature)
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "decode_autoregressive", spy)
    for words in ((), ("--pick", "argmax")):
        with pytest.raises(SystemExit):
            decoded(weights["ar-fixed"], tmp_path / "run", *words)
    assert heats == [1.0, 0.0]


def test_the_network_that_ships_makes_up_sequences_that_agree(tmp_path: Path) -> None:
    call("--n", 8, "--orders", "vanilla", "--out", tmp_path / "run")
    found = load_run(tmp_path / "run")
    cells = found.traces["logic/relational/vanilla/0/cells"]
    assert len(np.unique(cells, axis=0)) == 8
    assert found.results["cell"].item() > 0.94, "naive guessing is right in three of four"
    assert 0.3 < (cells[:, :25] == 1).mean() < 0.7


def test_a_frontier_samples_too(weights: dict[str, Path], tmp_path: Path) -> None:
    asked = Frontier("naesat", checkpoint=weights["relational"], n=N, orders="top_margin", steps="4")
    run_frontier(replace(asked, precision="fp32", device="cpu", out=tmp_path / "run"))
    table = pd.read_csv(tmp_path / "run" / "frontier.csv")
    strategy = with_options(get_strategy("top_margin"), steps=4)
    batch, model = FAMILY.generate("test", FAMILY.tiers[0], N), load_model(weights["relational"]).model
    means = {}
    for pick in ("sample", "argmax"):
        found = decode(model, batch, with_options(strategy, pick=pick))
        means[pick] = score(FAMILY, batch, found.cells, found.passes)["cell"].mean()
    assert table["cell"].tolist() == pytest.approx([means["sample"]])
    assert means["sample"] != means["argmax"]
