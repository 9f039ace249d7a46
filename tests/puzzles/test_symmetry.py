"""Symmetries change nothing about a puzzle but its looks, and the canonical form sees through them."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sudoku_twin import Shape, units
from test_logical_twin import known_puzzles, scrambled_grids

from puzzles import get_family
from puzzles.base import HARD, LOGIC, PuzzleBatch, UserInputError
from puzzles.sudoku.canonical import canonical_many
from puzzles.sudoku.family import Sudoku
from puzzles.sudoku.generator import make_puzzles
from puzzles.sudoku.logical import geometry
from puzzles.sudoku.symmetry import augment_many, invariant_hash_many

SMALL = [(2, 2), (2, 3), (3, 2)]
SHAPES = [*SMALL, (3, 3), (4, 4)]


def cell_symmetries(shape: Shape) -> np.ndarray:
    """int ``[symmetries, cells]``: every way in which the cells may be moved, from the rules of the game."""
    box_rows, box_cols = shape
    n = box_rows * box_cols

    def lines(groups: int, size: int) -> list[list[int]]:
        inner = list(product(permutations(range(size)), repeat=groups))
        orders = product(permutations(range(groups)), inner)
        return [
            [size * g + k for g, ks in zip(order, within, strict=True) for k in ks]
            for order, within in orders
        ]

    rows, columns = np.array(lines(box_cols, box_rows)), np.array(lines(box_rows, box_cols))
    moves = (n * rows[:, None, :, None] + columns[None, :, None, :]).reshape(-1, n, n)
    if box_rows == box_cols:
        moves = np.concatenate([moves, moves.transpose(0, 2, 1)])
    return moves.reshape(-1, n * n)


def least_image(clues: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """The least of all images, each with its values renamed in the order of their appearance."""
    images = clues[moves].astype(np.int64)
    n = int(images.shape[1] ** 0.5)
    first = np.stack([np.where(images == v, np.arange(n * n), n * n).min(axis=1) for v in range(1, n + 1)], 1)
    label = np.zeros((len(images), n + 1), np.int64)
    np.put_along_axis(label[:, 1:], first.argsort(axis=1, kind="stable"), np.arange(1, n + 1)[None], axis=1)
    return min(np.take_along_axis(label, images, axis=1).tolist())


def images_of(clues: np.ndarray, shape: Shape, n: int, seed: int = 0) -> PuzzleBatch:
    """``n`` random images of one puzzle; ``rank`` tells from which cell each cell came."""
    many = np.repeat(clues[None], n, axis=0)
    source = np.repeat(np.arange(clues.size, dtype=np.int16)[None], n, axis=0)
    batch = PuzzleBatch("test", many, many, source, many, np.zeros(n, np.int8), np.arange(n))
    return Sudoku("test", *shape).augment(batch, np.random.default_rng(seed))


def hashes(clues: np.ndarray, shape: Shape) -> np.ndarray:
    out = np.empty(len(clues), np.uint64)
    invariant_hash_many(np.ascontiguousarray(clues), geometry(*shape).unit_of, out)
    return out


def without_clashes(shown: dict[int, int], shape: Shape) -> np.ndarray:
    """Clues by cell, less blanks and those that an earlier one forbids; there may be no solution."""
    clues = np.zeros((shape[0] * shape[1]) ** 2, np.int8)
    for cell, value in shown.items():
        if value > 0 and not any(cell in unit and value in clues[unit] for unit in units(shape)):
            clues[cell] = value
    return clues


@pytest.mark.parametrize("shape", SHAPES)
def test_images_are_moved_by_symmetries_and_renamed_one_to_one(shape: Shape) -> None:
    n = shape[0] * shape[1]
    grid = scrambled_grids(1, *shape, np.random.default_rng(0))[0]
    other = images_of(grid, shape, 40)
    groups = {frozenset(unit) for unit in units(shape)}
    for image, source in zip(other.clues, other.rank, strict=True):
        assert sorted(source.tolist()) == list(range(n * n))
        assert {frozenset(source[unit].tolist()) for unit in units(shape)} == groups
        pairs = set(zip(grid[source].tolist(), image.tolist(), strict=True))
        assert len(pairs) == n == len({new for _, new in pairs})
    transposed = np.diff(other.rank[:, :2], axis=1)[:, 0] % n == 0
    assert set(transposed.tolist()) == ({False, True} if shape[0] == shape[1] else {False})


@pytest.mark.parametrize("shape", [(2, 2), (2, 3)])
def test_every_symmetry_is_drawn_as_often_as_any_other(shape: Shape) -> None:
    moves = cell_symmetries(shape)
    assert len({move.tobytes() for move in moves}) == len(moves) == {(2, 2): 128, (2, 3): 3456}[shape]
    grid = scrambled_grids(1, *shape, np.random.default_rng(0))[0]
    times_each = 30 if shape == (2, 2) else 12
    draws = images_of(grid, shape, times_each * len(moves))
    back = np.take_along_axis(draws.clues, draws.rank.argsort(axis=1), axis=1)
    names = back[:, [grid.tolist().index(value) for value in range(1, shape[0] * shape[1] + 1)]]
    for drawn, group in ((draws.rank, moves), (names, list(permutations(range(1, names.shape[1] + 1))))):
        seen, times = np.unique(drawn, axis=0, return_counts=True)
        assert {tuple(each) for each in seen.tolist()} == {tuple(each) for each in np.array(group).tolist()}
        excess = ((times - times.mean()) ** 2).sum() / times.mean() - (len(group) - 1)
        assert abs(excess) < 5 * (2 * len(group)) ** 0.5  # chi-square


@pytest.mark.parametrize(
    ("name", "tier", "n"),
    [("sudoku", LOGIC, 30), ("sudoku", HARD, 30), ("sudoku-2x3", LOGIC, 30), ("sudoku-4x4", HARD, 2)],
)
def test_an_image_is_the_same_puzzle(name: str, tier: str, n: int) -> None:
    family = get_family(name)
    batch = family.generate("train", tier, n)
    other = family.augment(batch, np.random.default_rng(1))
    assert (other.clues != batch.clues).any(axis=1).all()
    assert family.is_valid(other.solution, other.clues).all()
    count, first = family.count_solutions(other.clues)
    assert (count == 1).all()
    np.testing.assert_array_equal(first, other.solution)
    np.testing.assert_array_equal(other.hardest, batch.hardest)
    for row in range(n):  # rank, technique and value go together from cell to cell
        before, after = (np.argsort(each.rank[row]) for each in (batch, other))
        np.testing.assert_array_equal(np.sort(batch.rank[row]), np.sort(other.rank[row]))
        blanks = batch.blank[row].sum()
        before, after = before[-blanks:], after[-blanks:]
        assert (batch.technique[row, before] == other.technique[row, after]).all()
        pairs = set(zip(batch.solution[row, before], other.solution[row, after], strict=True))
        assert len(pairs) <= family.n_values
        sees = geometry(*family.box).sees
        assert (sees[np.ix_(before, before)] == sees[np.ix_(after, after)]).all()


def test_solving_an_image_anew_needs_the_same_techniques() -> None:
    # A technique is reached only where all easier ones have nothing left to do, so its instances may come in
    # another order. (A unique rectangle could be lost that way; none of these puzzles is so.)
    family = get_family("sudoku")
    batch = family.generate("train", LOGIC, 150)
    other = family.augment(batch, np.random.default_rng(2))
    again = family.rate(other.clues, other.solution)
    np.testing.assert_array_equal(again.hardest, batch.hardest)
    assert len(set(batch.hardest.tolist())) >= 5
    np.testing.assert_array_equal(family.tier(again), family.tier(batch))
    assert (again.rank != other.rank).any()


def test_images_follow_their_seeds_alone() -> None:
    family = get_family("sudoku-2x3")
    batch = family.generate("train", LOGIC, 20)
    seeds = np.arange(20, dtype=np.uint64)
    fields = (batch.clues, batch.solution, batch.rank, batch.technique)
    whole, part = (tuple(np.empty_like(field) for field in fields) for _ in range(2))
    augment_many(*fields, 2, 3, seeds, whole)
    order = np.arange(20)[::-1]
    augment_many(*(np.ascontiguousarray(field[order]) for field in fields), 2, 3, seeds[order].copy(), part)
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a[order], b)


@pytest.mark.parametrize("shape", SMALL)
def test_the_canonical_form_is_the_least_of_all_images(shape: Shape) -> None:
    moves, n = cell_symmetries(shape), shape[0] * shape[1]
    rng = np.random.default_rng(3)
    minimal, full = make_puzzles(6, rng, *shape)
    few = np.where(rng.random(full.shape) < 0.15, full, 0)
    half = np.where(rng.random(full.shape) < 0.5, full, 0)
    anything = [without_clashes(dict(enumerate(rng.integers(-n, n + 1, n * n))), shape) for _ in range(6)]
    clues = np.concatenate([minimal, full, few, half, anything, np.zeros_like(full[:1])]).astype(np.int8)
    expected = [least_image(cells, moves) for cells in clues]
    assert canonical_many(clues, *shape).tolist() == expected


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(st.integers(0, 15), st.integers(1, 4), max_size=16))
def test_the_canonical_form_of_any_clues(shown: dict[int, int]) -> None:
    clues = without_clashes(shown, (2, 2))[None]
    assert canonical_many(clues, 2, 2)[0].tolist() == least_image(clues[0], cell_symmetries((2, 2)))


@pytest.mark.parametrize(
    ("shape", "shown"), [*product(SHAPES, [0.0, 0.1, 0.3, 0.6]), *product(SHAPES[:-1], [1.0])]
)
def test_images_share_form_and_hash(shape: Shape, shown: float) -> None:
    rng = np.random.default_rng(4)
    _, grid = make_puzzles(1, rng, *shape, clues=(shape[0] * shape[1]) ** 2)
    clues = np.where(rng.random(grid.shape) < shown, grid, 0).astype(np.int8)
    many = np.concatenate([clues, images_of(clues[0], shape, 1 if shown == 1 else 10).clues])
    forms = canonical_many(many, *shape)
    assert len({form.tobytes() for form in forms}) == 1
    assert len(set(hashes(many, shape).tolist())) == 1
    np.testing.assert_array_equal(canonical_many(forms[:1], *shape), forms[:1])
    assert sorted(np.unique(forms[0], return_counts=True)[1]) == sorted(
        np.unique(clues, return_counts=True)[1]
    )


def test_forms_are_images_and_tell_puzzles_apart() -> None:
    hardest, clues, _ = known_puzzles()
    family = get_family("sudoku")
    forms = canonical_many(clues, 3, 3)
    count, first = family.count_solutions(forms)
    assert (count == 1).all()
    np.testing.assert_array_equal((forms > 0).sum(axis=1), (clues > 0).sum(axis=1))
    assert family.is_valid(first, forms).all()
    np.testing.assert_array_equal(family.rate(forms, first).hardest, hardest["textbook"])
    np.testing.assert_array_equal(hashes(forms, (3, 3)), hashes(clues, (3, 3)))
    assert len({form.tobytes() for form in forms}) == len(clues)


def test_one_clue_more_less_moved_or_changed_is_another_puzzle() -> None:
    clues, solution = make_puzzles(10, np.random.default_rng(5))
    changed = [clues]
    for row in range(4):
        other = clues.copy()
        for cells, solved in zip(other, solution, strict=True):
            given, blank = np.flatnonzero(cells)[row], np.flatnonzero(cells == 0)[row]
            if row != 1:
                cells[blank] = solved[blank] if row == 0 else cells[given]
            if row in (1, 2):
                cells[given] = 0
            if row == 3:
                cells[blank], cells[given] = 0, cells[given] % 9 + 1
        changed.append(other)
    many = np.concatenate(changed)
    assert len({form.tobytes() for form in canonical_many(many, 3, 3)}) == len(many)
    assert len(set(hashes(many, (3, 3)).tolist())) == len(many)


def test_a_form_with_too_many_images_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puzzles.sudoku.canonical.NODES", 3000)
    grid = scrambled_grids(1, 4, 4, np.random.default_rng(0))
    blank = np.zeros_like(grid)
    with pytest.raises(
        UserInputError, match=r"^puzzle 1 of 2 has more than 3,000 images .*4x4-box grids out$"
    ):
        canonical_many(np.concatenate([blank, grid]), 4, 4)
