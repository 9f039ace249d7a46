from dataclasses import replace

import numpy as np
import pytest

from planorder.results.evaluate import error_curve, masked_fraction, score
from planorder.results.replay import replay
from planorder.results.stats import wilson
from puzzles.base import PuzzleBatch, UserInputError
from puzzles.naesat import NaeSat

STEP = np.array([[-1, 1, 0, 2], [0, 1, 2, 3], [-1] * 4], np.int16)
PASSES = np.array([3, 4, 0], np.int32)

ROW_COLUMNS = (
    *("index", "exact", "valid", "cell", "passes", "n_blank", "hardest", "first_error_step", "n_errors"),
)
"""A contract with whoever reads puzzles.csv.gz."""


def test_score_by_hand(family, batch):
    cells = np.array([[1, 2, 1, 2], [2, 1, 1, 2], [2, 1, 1, 2]], np.int8)
    rows = score(family, batch, cells, PASSES, STEP)
    assert tuple(rows.columns) == ROW_COLUMNS
    assert rows["index"].tolist() == [10, 11, 12]
    assert rows["exact"].tolist() == [False, False, True]
    assert rows["valid"].tolist() == [False, True, True]  # the second is the other solution
    assert rows["cell"].tolist() == pytest.approx([1 / 3, 0, 1])
    assert rows["n_blank"].tolist() == [3, 4, 0]
    assert rows["n_errors"].tolist() == [2, 4, 0]
    assert rows["first_error_step"].tolist() == [0, 0, -1]
    assert rows["passes"].tolist() == [3, 4, 0]
    assert rows["hardest"].tolist() == [1, 2, 0]


def test_first_error_is_the_earliest_wrong_cell(family, batch):
    cells = batch.solution.copy()
    cells[0, [1, 3]] = [1, 2]  # filled at steps 1 and 2, after the right one at 0
    assert score(family, batch, cells, PASSES, STEP)["first_error_step"].tolist() == [1, -1, -1]
    assert score(family, batch, cells, PASSES)["first_error_step"].tolist() == [-1, -1, -1]


def test_altered_clue_is_neither_exact_nor_valid_but_no_wrong_blank(family, batch):
    cells = batch.solution.copy()
    cells[0, 0] = 2
    rows = score(family, batch, cells, PASSES)
    assert rows.loc[0, ["exact", "valid"]].tolist() == [False, False]
    assert rows.loc[0, "cell"] == 1


def test_score_refuses_other_shapes(family, batch):
    with pytest.raises(UserInputError, match="passes has shape"):
        score(family, batch, batch.solution, PASSES[:2])
    with pytest.raises(UserInputError, match="cells has shape"):
        score(family, batch, batch.solution[:2], PASSES)
    with pytest.raises(UserInputError, match="step has shape"):
        score(family, batch, batch.solution, PASSES, STEP[:2])


def slow_masked(step):
    """`masked_fraction`, cell by cell."""
    out = np.full(step.shape, np.nan)
    for row, steps in enumerate(step):
        blanks = [s for s in steps if s >= 0]
        for cell, s in enumerate(steps):
            if s >= 0:
                out[row, cell] = sum(other >= s for other in blanks) / len(blanks)
    return out


def test_masked_fraction_is_its_slow_twin():
    step = np.random.default_rng(0).integers(-1, 6, (50, 9)).astype(np.int16)
    np.testing.assert_allclose(masked_fraction(step), slow_masked(step))
    np.testing.assert_allclose(masked_fraction(STEP)[0], [np.nan, 2 / 3, 1, 1 / 3])


def blanks(n, n_cells):
    """Puzzles without clues, whose cells all are 1."""
    ones = np.ones((n, n_cells), np.int8)
    numbers = np.zeros(n, np.int8)
    return PuzzleBatch("wide-v1", ones * 0, ones, ones * 0, ones * 0, numbers, np.arange(n))


def test_error_curve_by_hand(family):
    wide = type("Wide", (type(family),), {"n_cells": 10})()
    step = np.arange(10, dtype=np.int16)[None].repeat(2, axis=0)
    batch = blanks(2, 10)
    cells = batch.solution.copy()
    cells[0, 0] = cells[1, 0] = cells[0, 9] = 2
    curve = error_curve(wide, batch, cells, step)
    assert curve["filled"].tolist() == [2] * 10
    assert curve["masked"].tolist() == pytest.approx(np.arange(0.05, 1, 0.1))
    assert curve["wrong"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert curve["error"].tolist() == pytest.approx([0.5, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    assert curve["high"].tolist() == pytest.approx(wilson(curve["wrong"], 2)[1].tolist())


def test_error_curve_leaves_out_clues_and_empty_bins(family):
    step = np.array([[-1, 0, 0, 0]], np.int16)
    curve = error_curve(family, blanks(1, 4), np.array([[2, 1, 2, 1]]), step)
    assert curve[["masked", "filled", "wrong"]].to_numpy().tolist() == [[0.95, 3, 1]]


def test_replay_tells_the_decode(family, batch):
    cells = batch.solution.copy()
    cells[0, 1] = 1
    text = replay(batch, cells, STEP, np.full((3, 4), 0.625), 0, family)
    lines = text.splitlines()
    assert lines[0] == "puzzle 10: 2 of 3 blanks right, hardest technique: single"
    told = [line.split() for line in lines if line.strip()[:1].isdigit() and "0.625" in line]
    assert [row[:4] for row in told] == [
        ["1", "r2c1", "2", "0.625"],
        ["2", "r1c2", "1", "0.625"],
        ["3", "r2c2", "1", "0.625"],
    ]
    assert " ".join(told[0][4:]) == "right single, 1. of 3"
    assert " ".join(told[1][4:]) == "WRONG, is 2 single, 2. of 3"
    assert lines[-2:] == ["1 1", "2 1"]


def test_replay_without_blanks_and_with_unfilled_cells(family, batch):
    prob = np.ones((3, 4))
    assert "0 of 0 blanks right" in replay(batch, batch.solution, STEP, prob, 2, family)
    step, cells = STEP.copy(), batch.solution.copy()
    step[0, 2], cells[0, 2] = -1, 0
    text = replay(batch, cells, step, prob, 0, family)
    assert text.index("r1c2") < text.index("never") < text.index("not filled, is 2")


@pytest.mark.parametrize("row", [-1, 3])
def test_replay_refuses_a_row(family, batch, row):
    with pytest.raises(UserInputError, match="puzzles 0 to 2"):
        replay(batch, batch.solution, STEP, np.ones((3, 4)), row, family)


MANY = NaeSat("naesat-tiny", 4, 6)


@pytest.fixture
def sequences():
    """Three puzzles, and cells: another solution, one with a wrong observation, one with a latent flipped."""
    batch = MANY.generate("test", "logic", 3)
    cells = MANY._flipped(batch.solution, np.array([True, True, True]))
    cells[1, 5] = 3 - cells[1, 5]
    cells[2, 0] = 3 - cells[2, 0]
    return batch, cells, (cells[2, 4:] != MANY.observe(cells)[2]).sum()


def test_a_family_of_many_solutions_judges_by_its_rules(sequences):
    batch, cells, disagree = sequences
    rows = score(MANY, batch, cells, np.zeros(3, np.int32))
    assert disagree > 0
    assert rows["exact"].tolist() == [True, False, False]
    assert not (cells == batch.solution).all(axis=1).any(), "the planted fault: equality solves none"
    assert rows["n_errors"].tolist() == [0, 1, disagree]
    assert rows["cell"].tolist() == pytest.approx([1, 1 - 1 / 6, 1 - disagree / 6])
    assert rows["valid"].tolist() == [True, False, False]


def test_what_is_exact_is_one_question(family, batch, sequences):
    """Of a puzzle with one solution another valid grid is not it; of many any valid one will do."""
    other = np.array([[1, 2, 2, 1], [2, 1, 1, 2], [2, 1, 1, 2]], np.int8)
    assert family.is_valid(other, batch.clues).tolist() == [True, True, True]
    assert family.solved(other, batch).tolist() == [True, False, True]
    many, cells, _ = sequences
    assert MANY.solved(cells, many).tolist() == [True, False, False]
    clued = replace(many, clues=np.where(np.arange(10) == 0, many.solution, 0).astype(np.int8))
    assert MANY.solved(cells, clued).tolist() == [False, False, False]  # the flip changed the clue


def test_an_error_curve_of_many_solutions_counts_judged_cells_by_the_rules(sequences):
    batch, cells, disagree = sequences
    step = np.tile(np.arange(10, dtype=np.int16), (3, 1))  # latents first: 0.4 of the cells
    curve = error_curve(MANY, batch, cells, step)
    assert curve["masked"].tolist() == pytest.approx([0.05, 0.15, 0.25, 0.35, 0.45, 0.55])
    assert curve["filled"].tolist() == [3] * 6
    assert curve["wrong"].sum() == 1 + disagree


def test_replay_of_many_solutions_tells_no_truth(sequences):
    batch, cells, disagree = sequences
    step, prob = np.tile(np.arange(10, dtype=np.int16), (3, 1)), np.full((3, 10), 0.625)
    told = [replay(batch, cells, step, prob, row, MANY) for row in range(3)]
    assert [text.splitlines()[0].split(",")[0] for text in told] == [
        f"puzzle {row}: {right} of 6 observations right" for row, right in enumerate((6, 5, 6 - disagree))
    ]
    assert [text.count("WRONG") for text in told] == [0, 1, disagree]
    assert [text.count("right") for text in told] == [1 + 6, 1 + 5, 1 + 6 - disagree]
    step[0, 4] = -1
    assert "is 1" not in (text := replay(batch, cells, step, prob, 0, MANY))
    assert "not filled" in text
