"""The analysis of a run folder: its tables by analysing anew, its mistakes in one line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planorder import analysis
from planorder.analysis import Analysis, puzzles_of, run_analysis
from planorder.console import command_line
from planorder.results.calibration import committed, ece
from planorder.results.evaluate import Outcome, score
from planorder.results.order_analysis import first_errors, kendall_tau
from planorder.results.runs import RunFolder, load_run
from planorder.results.selective import best_of_n, confidence, selective_risk
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError
from puzzles.zebra.json_lines import write_jsonl

FAMILY = get_family("sudoku-2x2")
N = 12
TABLES = (
    *("order_agreement", "first_errors", "error_kinds", "errors_by_technique", "errors_by_masked_fraction"),
    *("calibration", "reliability", "selective_risk", "risk_coverage", "gap_closed"),
)
ORDERS = {"vanilla": 0.5, "top_margin": 0.2, "solver_order": 0.02}
"""How often a cell of each is drawn anew."""


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take longer than all the rest."""
    monkeypatch.setattr(analysis, "drawings", lambda tables: iter(()))


def outcome_of(batch: PuzzleBatch, tier: str, strategy: str, seed: int) -> Outcome:
    """A made-up decode: solutions with some cells drawn anew, which have a lower probability."""
    rng = np.random.default_rng([seed, len(strategy)])
    shape = batch.clues.shape
    noisy = batch.blank & (rng.random(shape) < ORDERS[strategy])
    cells = np.where(noisy, rng.integers(1, 5, shape), batch.solution).astype(np.int8)
    when = rng.permuted(np.tile(np.arange(shape[1]), (len(batch), 1)), axis=1)
    when = batch.rank if strategy == "solver_order" else when
    step = np.where(batch.blank, when // 2, -1).astype(np.int16)
    prob = np.where(batch.blank, np.where(noisy, 0.3, 0.95) + 0.05 * rng.random(shape), 1)
    rows = score(FAMILY, batch, cells, np.full(len(batch), 9, np.int32), step)
    labels = {"family": FAMILY.version, "tier": tier, "model": "net", "strategy": strategy, "seed": seed}
    return Outcome(
        **labels, seconds=1.0, parameters=1, rows=rows, cells=cells, step=step, prob=prob.astype("f4")
    )


def written(out: Path, seed: int, start: int = 0, family: str = "sudoku-2x2") -> Path:
    """A run folder as the bench writes it, of one tier."""
    batches = {"logic": FAMILY.generate("test", "logic", N, start=start)}
    outcomes = [outcome_of(batches[tier], tier, name, seed) for tier in batches for name in ORDERS]
    with RunFolder(out, {"family": family, "n": N, "seed": seed, "puzzles": None}) as run:
        run.write_outcomes(outcomes, batches)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("analysis") / "run", 0)


@pytest.fixture(scope="module")
def done(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables that the command writes beside the run."""
    run_analysis(Analysis((folder,)))
    out = folder.with_name("run-analysis")
    has_everything(out)
    return {name: pd.read_csv(out / f"{name}.csv") for name in TABLES}


def has_everything(out: Path) -> None:
    names = {path.name for path in out.iterdir()}
    figures = ("risk_coverage", "reliability", "tau_by_technique", "error_kinds")
    expected = {*(f"{name}.csv" for name in TABLES), *(f"{name}.png" for name in figures)}
    assert names == expected | {"config.json", "environment.json", "manifest.json"}


def test_puzzles_are_rated_anew(folder: Path) -> None:
    batch, expected = puzzles_of(load_run(folder), FAMILY, "logic"), FAMILY.generate("test", "logic", N)
    for name, array in expected.arrays().items():
        assert (batch.arrays()[name] == array).all(), name


def test_each_table_is_what_its_function_gives(folder: Path, done: dict[str, pd.DataFrame]) -> None:
    run, batch = load_run(folder), FAMILY.generate("test", "logic", N)
    for strategy in ORDERS:
        cells, step, prob = (
            run.traces[f"logic/net/{strategy}/0/{name}"] for name in ("cells", "step", "prob")
        )
        mine = {name: table[table["strategy"] == strategy] for name, table in done.items()}
        tau = kendall_tau(step, batch.rank)
        row = mine["order_agreement"].iloc[0]
        assert (row["hardest"], row["n"], row["tau"]) == ("all", N, pytest.approx(np.nanmean(tau)))
        errors = first_errors(FAMILY, batch, cells, step)
        assert mine["first_errors"]["cell"].tolist() == errors["cell"].tolist()
        assert mine["error_kinds"]["puzzles"].sum() == len(errors)
        assert mine["errors_by_technique"]["wrong"].sum() == mine["errors_by_masked_fraction"]["wrong"].sum()
        filled = committed(FAMILY, batch, cells, step, prob)
        assert mine["calibration"].iloc[0]["ece"] == pytest.approx(ece(filled, draws=2)[0], rel=1e-5)
        exact = (cells == batch.solution).all(axis=1)
        for kind, found in mine["selective_risk"].set_index("confidence").iterrows():
            risk = selective_risk(confidence(prob, batch.blank, str(kind)), exact, draws=2)
            assert found["aurc"] == pytest.approx(risk["aurc"], rel=1e-5)
        assert mine["risk_coverage"]["coverage"].iloc[-1] == 1
        assert mine["risk_coverage"]["risk"].iloc[-1] == pytest.approx(1 - exact.mean())
    assert done["order_agreement"].query("strategy == 'solver_order'")["tau"].iloc[0] > 0.9
    assert done["gap_closed"]["strategy"].tolist() == ["top_margin"]
    assert (done["selective_risk"][["family", "tier", "model", "seed"]].nunique() == 1).all()


@pytest.mark.usefixtures("_undrawn")
def test_the_summary_has_a_row_a_strategy(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_analysis(Analysis((folder,), out=tmp_path / "out"))
    said = capsys.readouterr().out
    assert said.startswith("net, seed 0\n")
    lines = said.splitlines()
    assert "gap closed %" in lines[2]
    assert [line.split()[1] for line in lines[4 : 4 + len(ORDERS)]] == list(ORDERS)
    assert "selective_risk.csv" in lines[-2]


@pytest.mark.usefixtures("_undrawn")
def test_seeds_together_give_the_best_of_n(folder: Path, tmp_path: Path) -> None:
    others = [written(tmp_path / f"run{seed}", seed) for seed in (1, 2)]
    run_analysis(Analysis((folder, *others), out=tmp_path / "best"))
    table = pd.read_csv(tmp_path / "best" / "best_of_n.csv")
    assert table["strategy"].tolist() == [name for name in ORDERS for _ in range(3)]
    runs = [load_run(path) for path in (folder, *others)]
    prefix = [f"logic/net/vanilla/{seed}" for seed in range(3)]
    batch = FAMILY.generate("test", "logic", N)
    sureness = np.stack(
        [confidence(run.traces[f"{p}/prob"], batch.blank) for run, p in zip(runs, prefix, strict=True)]
    )
    cells = np.stack([run.traces[f"{p}/cells"] for run, p in zip(runs, prefix, strict=True)])
    expected = best_of_n(sureness, (cells == batch.solution).all(axis=2))
    found = table[table["strategy"] == "vanilla"][list(expected)]
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-6)
    seeds = pd.read_csv(tmp_path / "best" / "calibration.csv")["seed"]
    assert sorted(set(seeds)) == [0, 1, 2]


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    elsewhere = written(tmp_path / "elsewhere", 1, start=100)
    cases: list[tuple[Analysis, str]] = [
        (Analysis(()), "no run folder"),
        (Analysis((tmp_path / "none",)), "is no finished run folder"),
        (Analysis((folder,), model="shallow"), "--model 'shallow': expected one of net"),
        (Analysis((folder, folder)), "one seed twice"),
        (Analysis((folder, elsewhere)), "different puzzles"),
        (Analysis((folder, written(tmp_path / "x", 1, family="sudoku"))), "expected runs of one family"),
        (Analysis((folder,), out=elsewhere), "already holds a run"),
    ]
    for args, message in cases:
        args = replace(args, out=args.out or tmp_path / "out")
        with pytest.raises(UserInputError, match=message) as error:
            run_analysis(args)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "out").exists()


def test_puzzles_that_changed_since_are_refused(folder: Path) -> None:
    """Zebra's clues are no arrays of a run folder, so its puzzles are generated again and compared."""
    zebra = get_family("zebra")
    batch = zebra.generate("test", "logic", 2)
    run = load_run(folder)
    traces = {f"logic/{name}": getattr(batch, name) for name in ("clues", "solution", "index")}
    same = puzzles_of(replace(run, traces=traces), zebra, "logic")
    assert (same.rank == batch.rank).all()
    assert same.edges is not None
    traces["logic/index"] = batch.index + 1
    with pytest.raises(UserInputError, match="not those that 'zebra' gives now"):
        puzzles_of(replace(run, traces=traces), zebra, "logic")


def test_the_file_of_a_run_may_be_elsewhere(folder: Path, tmp_path: Path) -> None:
    zebra = get_family("zebra")
    batch = zebra.generate("test", "logic", 3)
    write_jsonl(tmp_path / "mine.jsonl", batch)
    run = load_run(folder)
    run = replace(
        run,
        config={**run.config, "puzzles": "moved.jsonl"},
        traces={f"file/{name}": getattr(batch[:2], name) for name in ("clues", "solution", "index")},
    )
    found = puzzles_of(run, zebra, "file", tmp_path / "mine.jsonl")
    assert (found.solution == batch.solution[:2]).all()
    with pytest.raises(UserInputError, match="say where: --puzzles FILE"):
        puzzles_of(run, zebra, "file")


@pytest.mark.usefixtures("_undrawn")
def test_a_run_without_an_error_is_analysed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ORDERS", {"vanilla": 0.0})
    run_analysis(Analysis((written(tmp_path / "run", 0),)))
    assert pd.read_csv(tmp_path / "run-analysis" / "first_errors.csv").empty
    assert not (tmp_path / "run-analysis" / "gap_closed.csv").exists()


def test_help_shows_the_examples(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["analysis", "--help"])
    with pytest.raises(SystemExit) as stop:
        command_line("planorder.analysis", Analysis, run_analysis, analysis.EXAMPLES)
    assert stop.value.code == 0
    assert "python -m planorder.analysis runs/first" in " ".join(capsys.readouterr().out.split())
