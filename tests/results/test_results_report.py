"""The text and the tables of a run: which parts stand in it, and the share of the gap worked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planorder.results.evaluate import Outcome, score
from planorder.results.report import format_gaps, text_of, write_figures, write_tables
from planorder.results.runs import RunFolder
from puzzles import get_family
from puzzles.base import PuzzleBatch

FAMILY = get_family("sudoku-2x2")
RIGHT = {"vanilla": 2, "top_margin": 5, "solver_order": 8}
"""Puzzles of eight that a strategy solves, the first ones."""


def outcome(batch: PuzzleBatch, strategy: str, solved: int) -> Outcome:
    cells = batch.solution.copy()
    first = batch.blank.argmax(1)
    for row in range(solved, len(batch)):
        cells[row, first[row]] = cells[row, first[row]] % FAMILY.n_values + 1
    step = np.where(batch.blank, 0, -1).astype(np.int16)
    passes = np.ones(len(batch), np.int32)
    rows = score(FAMILY, batch, cells, passes, step)
    prob = np.ones(cells.shape, np.float32)
    return Outcome(batch.family, "logic", "relational", strategy, 0, 1.0, 5, rows, cells, step, prob)


@pytest.fixture
def batch() -> PuzzleBatch:
    return FAMILY.generate("test", "logic", 8)


def written(batch: PuzzleBatch, out: Path, names: dict[str, int]) -> tuple[str, Path]:
    with RunFolder(out, {}, False) as run:
        text = write_tables(run, [outcome(batch, *item) for item in names.items()], {"logic": batch}, FAMILY)
    return text, out


def test_the_share_of_the_gap_stands_in_the_text_and_in_its_file(batch: PuzzleBatch, tmp_path: Path) -> None:
    text, out = written(batch, tmp_path / "run", RIGHT)
    gap = pd.read_csv(out / "gap.csv")
    assert gap["strategy"].tolist() == ["top_margin"]
    assert gap["closed"].iloc[0] == pytest.approx((5 - 2) / (8 - 2))
    assert gap["gap"].iloc[0] == pytest.approx(6 / 8)
    assert "Share of the gap from vanilla to the oracle" in text
    (line,) = [line for line in format_gaps(gap).splitlines() if "top_margin" in line]
    assert line.split()[3:6] == ["solver_order", "+75.00", "50"]
    assert (out / "tests.csv").exists()
    assert not (out / "by_size.csv").exists()


def test_networks_without_a_usual_order_are_not_compared_by_it(batch: PuzzleBatch, tmp_path: Path) -> None:
    """A figure that has nothing to show must not cost the run."""
    found = [
        replace(outcome(batch, name, 3), model=model, tier="other")
        for model in "ab"
        for name in ("klass", "halton")
    ]
    with RunFolder(tmp_path / "run", {}, False) as run:
        names = write_figures(run, found, {"other": batch}, FAMILY)
    assert "order_effect_by_depth" not in names
    assert (tmp_path / "run" / "accuracy_by_strategy.png").exists()


def test_without_the_oracle_there_is_no_gap(batch: PuzzleBatch, tmp_path: Path) -> None:
    text, out = written(batch, tmp_path / "run", {"vanilla": 2, "top_margin": 5})
    assert "Share of the gap" not in text
    assert pd.read_csv(out / "gap.csv").empty


def test_no_number_is_a_dash() -> None:
    assert text_of(float("nan")) == "-"
    assert text_of(1.154) == "115"
