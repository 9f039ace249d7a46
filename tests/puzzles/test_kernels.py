"""Validity, counting and random search against slow twins in plain Python, and against py-sudoku."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sudoku import Sudoku as PySudoku
from sudoku_twin import Shape, twin_solutions, twin_valid, units
from test_logical_twin import known_puzzles, scrambled_grids

from puzzles.kernels import below, shuffle
from puzzles.sudoku.band_kernels import band_masks, load_clues, new_states, search_bands
from puzzles.sudoku.family import Sudoku
from puzzles.sudoku.generator import make_puzzles
from puzzles.sudoku.kernels import complete, gather_singles, pencil
from puzzles.sudoku.logical import geometry

SHAPES = [(2, 2), (2, 3), (3, 2), (3, 3), (4, 4)]


def family(shape: Shape) -> Sudoku:
    return Sudoku("sudoku-test", *shape)


def check_count(clues: np.ndarray, shape: Shape, limit: int) -> list[int]:
    """Holds counts and first solutions to the twin's; returns the counts."""
    count, first = family(shape).count_solutions(clues, limit)
    assert (count.dtype, first.dtype) == (np.int64, np.int8)
    for row, cells in enumerate(clues):
        known = twin_solutions(cells.tolist(), shape, limit)
        assert count[row] == len(known)
        if not known:
            assert not first[row].any()
        elif len(known) < limit:
            assert first[row].tobytes() in known
        else:
            assert twin_valid(first[row], cells, shape)
    return count.tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_validity_as_the_twin(shape: Shape) -> None:
    rng = np.random.default_rng(1)
    rows, n = 150, shape[0] * shape[1]
    cells = scrambled_grids(rows, *shape, rng)
    clues = np.where(rng.random(cells.shape) < 0.3, cells, 0).astype(np.int8)
    for row in range(0, rows, 5):  # of five rows one keeps its grid
        a, b = rng.integers(0, n * n, 2)
        cells[row, a] = rng.integers(-2, n + 3)
        cells[row + 1, [a, b]] = cells[row + 1, [b, a]]
        clues[row + 2, a] = rng.integers(0, n + 1)
        renamed = np.concatenate([[0], rng.permutation(n) + 1])
        cells[row + 3] = renamed[cells[row + 3]]
    expected = [twin_valid(grid, given, shape) for grid, given in zip(cells, clues, strict=True)]
    assert family(shape).is_valid(cells, clues).tolist() == expected
    assert expected[4::5] == [True] * (rows // 5)
    assert {False, True} == set(expected[2::5])
    assert sum(expected[3::5]) < rows // 10


@pytest.mark.parametrize("shape", SHAPES)
def test_every_planted_fault_makes_a_grid_invalid(shape: Shape) -> None:
    n = shape[0] * shape[1]
    grid = scrambled_grids(1, *shape, np.random.default_rng(2))
    blank = np.zeros_like(grid)
    assert family(shape).is_valid(grid, blank).tolist() == [True]
    wrong: list[np.ndarray] = []
    for cell in range(n * n):
        here = int(grid[0, cell])
        for value in {-1, 0, here % n + 1, n + 1, here + 32, here + 64, 127}:  # 1 << 65 may be 1 << 1
            wrong.append(grid[0].copy())
            wrong[-1][cell] = value
    for a, b in combinations(range(n * n), 2):
        if grid[0, a] != grid[0, b] and (a // n == b // n or a % n == b % n):
            wrong.append(grid[0].copy())
            wrong[-1][[a, b]] = grid[0, [b, a]]
    faults = np.array(wrong)
    assert not family(shape).is_valid(faults, np.zeros_like(faults)).any()
    clues = np.diag(grid[0] % n + 1).astype(np.int8)  # a wrong clue in each of the cells
    grids = np.repeat(grid, n * n, axis=0)
    assert not family(shape).is_valid(grids, clues).any()
    assert family(shape).is_valid(grids, np.diag(grid[0])).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_each_kind_of_unit_is_looked_at(shape: Shape) -> None:
    n = shape[0] * shape[1]
    grid = scrambled_grids(1, *shape, np.random.default_rng(3)).reshape(n, n)
    row, column = np.indices((n, n))
    broken = {
        "columns": grid[np.arange(n) % shape[0]],  # the first band again and again
        "rows": grid[:, np.arange(n) % shape[1]],
        "boxes": (row + column) % n + 1,
    }
    groups = np.array(units(shape)).reshape(3, n, n)
    for at, kind in enumerate(("rows", "columns", "boxes")):
        cells = broken[kind].ravel().astype(np.int8)
        good = (np.sort(cells[groups], axis=2) == np.arange(1, n + 1)).all(axis=(1, 2))
        assert good.tolist() == [other != at for other in range(3)]
        assert not family(shape).is_valid(cells[None], np.zeros((1, n * n), np.int8))[0]


@pytest.mark.parametrize(
    ("shape", "shown", "rows"),
    [((2, 2), 0.3, 40), ((2, 3), 0.35, 40), ((3, 2), 0.35, 40), ((3, 3), 0.38, 25), ((4, 4), 0.52, 6)],
)
def test_counting_as_the_twin(shape: Shape, shown: float, rows: int) -> None:
    rng = np.random.default_rng(4)
    solution = scrambled_grids(rows, *shape, rng)
    clues = np.where(rng.random(solution.shape) < shown, solution, 0).astype(np.int8)
    assert {1, 12} <= set(check_count(clues, shape, 12)) or shape == (4, 4)
    check_count(clues[:10], shape, 1)
    one, twelve = (family(shape).count_solutions(clues, limit)[1] for limit in (1, 12))
    np.testing.assert_array_equal(one, twelve)  # the first solution is the first, however many follow
    wrong = clues[: rows // 2].copy()
    for cells in wrong:  # a value that no peer has: most have no solution, and few show it at once
        cell = rng.choice(np.flatnonzero(cells == 0))
        seen = {int(cells[p]) for unit in units(shape) if cell in unit for p in unit}
        cells[cell] = rng.choice([v for v in range(1, shape[0] * shape[1] + 1) if v not in seen] or [1])
    assert 0 in check_count(wrong, shape, 3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(st.integers(0, 15), st.integers(1, 4), max_size=6), st.sampled_from([1, 2, 5, 300]))
def test_counting_any_clues_of_2x2_boxes(shown: dict[int, int], limit: int) -> None:
    clues = np.zeros((1, 16), np.int8)
    clues[0, list(shown)] = list(shown.values())
    check_count(clues, (2, 2), limit)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.dictionaries(st.integers(0, 35), st.integers(1, 6), max_size=12), st.sampled_from(SHAPES[1:3]))
def test_counting_any_clues_of_2x3_and_3x2_boxes(shown: dict[int, int], shape: Shape) -> None:
    clues = np.zeros((1, 36), np.int8)
    clues[0, list(shown)] = list(shown.values())
    check_count(clues, shape, 4)


def test_known_numbers_of_grids() -> None:
    assert len(twin_solutions([0] * 16, (2, 2), 1000)) == 288
    assert family((2, 2)).count_solutions(np.zeros((1, 16), np.int8), 1000)[0].tolist() == [288]
    for shape in ((2, 3), (3, 2)):  # 28,200,960 grids, of which each first row has the 720th part
        clues = np.zeros((1, 36), np.int8)
        clues[0, :6] = range(1, 7)
        assert family(shape).count_solutions(clues, 10**6)[0].tolist() == [39_168]


@pytest.mark.parametrize("shape", SHAPES)
def test_counting_at_the_edges(shape: Shape) -> None:
    n = shape[0] * shape[1]
    grid = scrambled_grids(1, *shape, np.random.default_rng(5))[0]
    no_clues = np.zeros(n * n, np.int8)
    for limit in (1, 2, 9):
        count, first = family(shape).count_solutions(no_clues[None], limit)
        assert count.tolist() == [limit]
        assert twin_valid(first[0], no_clues, shape)
    cases = [grid.copy() for _ in range(2)]
    cases[1][-1] = cases[1][0]
    for other in (1, n, n + 1, n * n - 1):  # the same value in the row, the column, the box; then elsewhere
        cases.append(no_clues.copy())
        cases[-1][[0, other]] = n
    cases += [no_clues.copy() for _ in range(5)]
    cases[6][1:n] = range(1, n)  # the corner's row leaves it one value,
    cases[7][:] = cases[6]
    cases[7][n] = n  # and its column none
    cases[8][3], cases[9][3], cases[10][3] = n + 1, -1, 127  # no values at all
    clues = np.array(cases)
    count, first = family(shape).count_solutions(clues, 2)
    assert count.tolist() == [1, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0]
    assert (first[0] == grid).all()
    assert not first[count == 0].any()
    assert len(family(shape).count_solutions(clues[:0])[0]) == 0


def test_known_puzzles_have_one_solution() -> None:
    _, clues, solution = known_puzzles()
    count, first = family((3, 3)).count_solutions(clues, 5)
    assert (count == 1).all()
    np.testing.assert_array_equal(first, solution)


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2), (3, 3)])
def test_py_sudoku_agrees(shape: Shape) -> None:
    n = shape[0] * shape[1]
    clues, solution = make_puzzles(3, np.random.default_rng(6), *shape)
    looser = clues.copy()
    for row in looser:
        row[np.flatnonzero(row)[0]] = 0  # the puzzles are minimal, so now there are more solutions
    count, first = family(shape).count_solutions(np.concatenate([clues, looser]))
    assert count.tolist() == [1] * 3 + [2] * 3
    for row, cells in enumerate(np.concatenate([clues, looser])):
        puzzle = PySudoku(shape[1], shape[0], board=cells.reshape(n, n).tolist())
        assert puzzle.has_multiple_solutions() == (count[row] > 1)
        if row < 3:
            assert np.ravel(puzzle.solve().board).tolist() == first[row].tolist() == solution[row].tolist()


@pytest.mark.parametrize(("shape", "clues_left"), [((3, 3), 0), ((4, 4), 110)])
def test_a_budget_is_kept_and_changes_no_count(shape: Shape, clues_left: int) -> None:
    masks = band_masks(*shape)
    clues, solution = make_puzzles(8, np.random.default_rng(7), *shape, clues=clues_left)
    states, spent = new_states(masks), []
    for cells, solved in zip(clues, solution, strict=True):
        first = np.zeros_like(cells)
        for budget in range(1000):
            load_clues(cells, masks, states)
            found = search_bands(masks, states, 2, budget, first)
            if found != -1:
                break
        assert found == 1
        assert (first == solved).all()
        spent.append(budget)
    assert 0 < max(spent) < 999
    load_clues(solution[0], masks, states)
    assert search_bands(masks, states, 2, 0, first) == 1


@pytest.mark.parametrize("shape", [(4, 5), (8, 2)])
def test_bands_of_more_than_64_cells_are_refused(shape: Shape) -> None:
    with pytest.raises(ValueError, match=r"expected bands of at most 64, not \d+"):
        band_masks(*shape)


def randomly_completed(
    clues: np.ndarray, shape: Shape, seed: int, budget: int = 100_000
) -> np.ndarray | None:
    groups, unit_of, peers, _ = geometry(*shape)
    cells = len(clues)
    cands, dones = np.empty((cells + 1, cells), np.int32), np.empty((cells + 1, cells), np.bool_)
    queue, rng, out = np.empty(cells * 4, np.int64), np.array([seed], np.uint64), np.zeros(cells, np.int8)
    pencil(clues, unit_of, cands[0], dones[0])
    waiting = gather_singles(cands[0], dones[0], queue)
    found = complete(cands, dones, queue, waiting, budget, groups, peers, rng, out)
    return out if found else None


@pytest.mark.parametrize("shape", SHAPES)
def test_random_search_finds_a_completion_where_there_is_one(shape: Shape) -> None:
    rng = np.random.default_rng(8)
    n = shape[0] * shape[1]
    outcomes = []
    for row, solution in enumerate(scrambled_grids(10 if n == 16 else 24, *shape, rng)):
        clues = np.where(rng.random(n * n) < 0.45, solution, 0).astype(np.int8)
        if row % 2:
            clues[rng.choice(np.flatnonzero(clues == 0))] = rng.integers(1, n + 1)
        found = randomly_completed(clues, shape, seed=row)
        outcomes.append(found is not None)
        assert outcomes[-1] == bool(twin_solutions(clues.tolist(), shape, 1))
        assert found is None or twin_valid(found, clues, shape)
        assert randomly_completed(clues, shape, row, budget=0) is None
    assert set(outcomes) == {False, True}


def test_random_search_reaches_every_completion() -> None:
    clues = np.array([1, 2, 3, 4] + [0] * 12, np.int8)
    grids = [randomly_completed(clues, (2, 2), seed) for seed in range(300)]
    found = {grid.tobytes() for grid in grids if grid is not None}
    assert found == twin_solutions(clues.tolist(), (2, 2), 100)
    assert len(found) == 12


def test_random_numbers_are_splitmix64s() -> None:
    state, outputs = np.zeros(1, np.uint64), [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    for output in outputs:  # the published first outputs of seed 0
        assert below(state, 2**31) == output >> 33
    orders = set()
    for _ in range(400):
        items = np.arange(4)
        shuffle(items, state)
        orders.add(tuple(items.tolist()))
    assert len(orders) == 24
