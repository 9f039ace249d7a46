"""What verbs are made of: the search against Sudoku's own, rounds, their account, digging and moving."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from puzzles import get_family
from puzzles.base import LOGIC
from puzzles.helpers import Rounds, account, dig, move, search, solve_in_rounds
from puzzles.seeding import draw, stream_keys
from puzzles.sudoku.family import Sudoku
from puzzles.sudoku.logical import geometry

SMALL = Sudoku("sudoku-2x2", 2, 2)
MEDIUM = Sudoku("sudoku-2x3", 2, 3)
KEYS = stream_keys("test", "train", "keys", 0, 6)


def options(family: Sudoku, cells: np.ndarray) -> np.ndarray:
    """bool ``[batch, cells, values]``: what no other cell of the same units has."""
    placed = cells[:, :, None] == np.arange(1, family.n_values + 1)
    return ~placed[:, geometry(family.box_rows, family.box_cols).peers].any(axis=2)


def small_options(cells: np.ndarray) -> np.ndarray:
    return options(SMALL, cells)


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
def test_search_counts_what_sudoku_counts(limit: int) -> None:
    rng, batch = np.random.default_rng(0), SMALL.generate("train", LOGIC, 40)
    clues = np.where(rng.random(batch.clues.shape) < 0.7, batch.clues, 0).astype(np.int8)
    clues[::3, 5] = rng.integers(0, 5, clues[::3, 5].shape)  # many contradict themselves
    clues[0] = 0
    count, first = search(small_options, clues, limit)
    wanted, _ = SMALL.count_solutions(clues, limit)
    assert np.array_equal(count, wanted)
    assert {0, 1} < set(count) or limit == 1
    assert (first.dtype, count.dtype) == (np.int8, np.int64)
    assert np.array_equal(SMALL.is_valid(first, clues), count > 0)
    assert not first[count == 0].any()
    assert limit < 1000 or count[0] == 288  # all 4x4 Sudokus


def test_search_solves_what_needs_tries() -> None:
    batch = MEDIUM.generate("train", "hard", 4)
    count, first = search(lambda cells: options(MEDIUM, cells), batch.clues)
    assert (count == 1).all()
    assert np.array_equal(first, batch.solution)


def test_search_of_full_grids_and_of_none() -> None:
    batch = SMALL.generate("train", LOGIC, 4)
    wrong = batch.solution.copy()
    wrong[:, 3] = wrong[:, 3] % 4 + 1
    count, _ = search(small_options, np.concatenate([batch.solution, wrong]))
    assert count.tolist() == [1] * 4 + [0] * 4
    count, first = search(small_options, batch.clues[:0])
    assert (count.shape, first.shape) == ((0,), (0, 16))


def test_keys_give_search_an_order_of_its_own() -> None:
    blank, keys = np.zeros((300, 16), np.int8), stream_keys("test", "train", "order", 0, 300)
    _, first = search(small_options, blank, 1, keys)
    assert SMALL.is_valid(first, blank).all()
    assert len(np.unique(first, axis=0)) > 150
    _, alone = search(small_options, blank[:3], 1, keys[7:10])
    assert np.array_equal(alone, first[7:10])
    _, ascending = search(small_options, blank[:2], 1)
    assert ascending[:, :4].tolist() == [[1, 2, 3, 4]] * 2


def after_one(cells: np.ndarray) -> np.ndarray:
    """Fills 1 beside a 1 to the left; says something of filled cells too, which is no news."""
    beside = np.zeros_like(cells)
    beside[:, 1:] = (cells[:, :-1] == 1) * 1
    return beside


def last(cells: np.ndarray) -> np.ndarray:
    """Fills the last cell with 2 once the first is known."""
    found = np.zeros(cells.shape, np.int64)
    found[:, -1] = 2 * (cells[:, 0] > 0)
    return found


def test_rounds_use_the_easiest_rule_that_fills_a_cell() -> None:
    clues = np.array(
        [[1, 0, 0, 2, 0], [2, 0, 0, 0, 0], [0, 0, 2, 0, 0], [1, 1, 0, 0, 1], [2, 2, 2, 2, 2]], np.int8
    )
    turn, technique = solve_in_rounds([after_one, last], clues)
    assert technique.tolist() == [
        [0, 1, 1, 0, 2], [0, 3, 3, 3, 2], [3, 3, 0, 3, 3], [0, 0, 1, 1, 0], [0] * 5,
    ]  # fmt: skip
    assert turn[0, [1, 2, 4]].tolist() == [0, 1, 2]
    assert turn[1].tolist()[1:] == [3, 3, 3, 0]
    assert turn[3, 2:4].tolist() == [0, 1]
    none = solve_in_rounds([after_one], clues[:0])
    assert none.turn.shape == none.technique.shape == (0, 5)
    assert (solve_in_rounds([], clues).technique == (clues == 0)).all()


def test_an_account_ranks_by_round_and_then_by_cell() -> None:
    clues = np.array([[0, 3, 0, 0, 0], [1, 1, 1, 1, 1]], np.int8)
    rounds = Rounds(np.array([[2, 9, 0, 2, 0]] * 2), np.array([[2, 7, 1, 2, 1]] * 2))
    batch = account(SMALL, clues, clues, rounds)
    assert batch.rank.tolist() == [[2, -1, 0, 3, 1], [-1] * 5]
    assert batch.technique.tolist() == [[2, 0, 1, 2, 1], [0] * 5]
    assert batch.hardest.tolist() == [2, 0]
    assert batch.index.tolist() == [0, 1]
    types = [array.dtype for array in (batch.rank, batch.technique, batch.hardest, batch.index)]
    assert types == [np.int16, np.int8, np.int8, np.int64]
    assert (batch.family, batch.unique, batch.edges) == ("sudoku-2x2-v1", True, None)


def test_an_account_keeps_index_edges_and_uniqueness() -> None:
    clues, edges = np.zeros((2, 3), np.int8), np.ones((2, 4, 3), np.int16)
    rounds = Rounds(np.arange(3), np.ones(3, np.int8))  # the same for all puzzles
    batch = account(get_family("naesat"), clues, clues, rounds, np.array([7, 5]), edges)
    assert batch.rank.tolist() == [[0, 1, 2]] * 2
    assert batch.index.tolist() == [7, 5]
    assert batch.edges is edges
    assert not batch.unique


def test_digging_keeps_what_is_needed() -> None:
    solution = SMALL.generate("train", LOGIC, 6).solution
    order = draw(KEYS, 16).argsort(axis=1)
    clues = dig(solution, order, lambda fewer: SMALL.count_solutions(fewer)[0] == 1)
    assert (SMALL.count_solutions(clues)[0] == 1).all()
    for row, cell in np.argwhere(clues > 0):  # minimal, for all cells were tried
        fewer = clues[row : row + 1].copy()
        fewer[0, cell] = 0
        assert SMALL.count_solutions(fewer)[0][0] > 1
    assert (solution > 0).all()
    few = dig(solution, order[:, :3], lambda fewer: np.ones(len(fewer), bool))
    assert np.array_equal(np.sort(np.argwhere(few == 0)[:, 1].reshape(6, 3)), np.sort(order[:, :3]))


def test_moving_takes_all_of_a_cell_along() -> None:
    batch = SMALL.generate("train", LOGIC, 6)
    source, names = draw(KEYS, 16).argsort(axis=1), draw(KEYS, 4).argsort(axis=1) + 1
    moved = move(batch, source, names)
    for row in range(6):
        for cell, old in enumerate(source[row]):
            clue = batch.clues[row, old]
            assert moved.clues[row, cell] == (names[row, clue - 1] if clue else 0)
            assert moved.solution[row, cell] == names[row, batch.solution[row, old] - 1]
            assert moved.rank[row, cell] == batch.rank[row, old]
            assert moved.technique[row, cell] == batch.technique[row, old]
    assert {name: array.dtype for name, array in moved.arrays().items()} == {
        name: array.dtype for name, array in batch.arrays().items()
    }
    assert np.array_equal(moved.index, batch.index)
    back = move(moved, source.argsort(axis=1), names.argsort(axis=1) + 1)
    for name, array in batch.arrays().items():
        assert np.array_equal(getattr(back, name), array), name
    edged = replace(batch, edges=np.ones((6, 1, 3), np.int16))
    assert move(edged, source).edges is edged.edges
    assert np.array_equal(move(batch, source).solution, np.take_along_axis(batch.solution, source, axis=1))
