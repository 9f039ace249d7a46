"""Counting solutions and validity against brute force over all fillings of small puzzles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zebra_rules import (
    holds,
    large_puzzles,
    random_edge,
    random_solution,
    small_puzzles,
    solutions,
    true_edges,
)

from puzzles.zebra.clues import KINDS, MOST, N_CELLS, ROWS, given_cells
from puzzles.zebra.counting import count_from, count_solutions_many
from puzzles.zebra.kernels import start, valid_grids


def counted(cells: np.ndarray, edges: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
    count, first = np.full(1, -7), np.full((1, N_CELLS), 77, np.int8)
    count_solutions_many(cells[None], edges[None], limit, count, first)
    return int(count[0]), first[0]


def check_count(size: tuple[int, int], edges: np.ndarray, limit: int, cells: np.ndarray | None = None) -> int:
    """Holds a count to brute force, with clues in cells or without; returns it."""
    every = solutions(edges, *size)
    cells = given_cells(*size) if cells is None else cells
    every = every[((cells == 0) | (cells == every)).all(axis=1)]
    count, first = counted(cells, edges, limit)
    assert count == min(len(every), limit)
    assert (every == first).all(axis=1).any() if count else not first.any()
    return count


@pytest.mark.parametrize("size", [(3, 3), (4, 3), (3, 4)])
def test_counting_as_brute_force(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    counts = []
    for k in range(60):
        solution, number = random_solution(*size, rng), int(rng.integers(1, 10))
        edges = true_edges(solution, *size, number, rng)
        if k % 3 == 0:
            edges = np.array([random_edge(*size, rng) for _ in range(number)], np.int16)
        padded = np.full((number + 3, 4), -1, np.int16)
        padded[np.sort(rng.permutation(number + 3)[:number])] = edges  # padding may stand anywhere
        counts.append(check_count(size, padded, (1, 2, 9, 10**6)[k % 4]))
        some = np.where(rng.random(N_CELLS) < 0.2, solution, given_cells(*size)).astype(np.int8)
        check_count(size, padded, 3, some)
        some[7] = some[8] = 2  # two values in one house
        assert check_count(size, padded, 3, some) == 0
    assert {0, 1, 2, 9} <= set(counts)
    assert max(counts) > 9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.integers(0, 12), st.sampled_from([1, 2, 300]))
def test_counting_any_clues_of_3x3(seed: int, number: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.array([random_edge(3, 3, rng) for _ in range(number)], np.int16).reshape(number, 4)
    check_count((3, 3), edges, limit)


def test_no_clues_at_all() -> None:
    none = np.empty((0, 4), np.int16)
    assert counted(given_cells(3, 3), none, 10**6)[0] == 6**3
    assert counted(given_cells(3, 4), none, 10**6)[0] == 6**4
    assert counted(given_cells(4, 3), none, 10**6)[0] == 24**3
    assert counted(np.zeros(N_CELLS, np.int8), none, 3)[0] == 3
    assert counted(given_cells(6, 6), none, 5)[0] == 5


@pytest.mark.parametrize("size", [(3, 3), (4, 3)])
def test_a_denied_clue_is_false_in_what_is_counted(size: tuple[int, int]) -> None:
    rng, counts = np.random.default_rng(6), set()
    for _ in range(50):
        edges = true_edges(random_solution(*size, rng), *size, int(rng.integers(3, 9)), rng)
        denied = int(rng.integers(len(edges)))
        others = np.delete(edges, denied, axis=0)
        every = solutions(others, *size)
        every = every[~holds(edges[denied].tolist(), every)]
        stack, first = np.empty((N_CELLS + 1, N_CELLS), np.int64), np.zeros(N_CELLS, np.int8)
        start(given_cells(*size), stack[0])
        alive = np.arange(len(edges)) != denied
        count = count_from(stack, edges, alive, len(edges), 30, first, denied)
        assert count == min(len(every), 30)
        assert (every == first).all(axis=1).any() if count else not first.any()
        counts.add(count)
    assert {0, 30} < counts


def valid(cells: np.ndarray, clues: np.ndarray, edges: np.ndarray) -> list[bool]:
    out = np.empty(len(cells), bool)
    valid_grids(cells, clues, edges, out)
    return out.tolist()


def plainly_valid(cells: np.ndarray, clues: np.ndarray, edges: np.ndarray) -> bool:
    rows = [sorted(row) == list(range(1, MOST + 1)) for row in cells.reshape(ROWS, MOST).tolist()]
    kept = all(clue in (0, value) for clue, value in zip(clues.tolist(), cells.tolist(), strict=True))
    said = all(bool(holds([k, *members], cells)) for k, *members in edges.tolist() if k >= 0)
    return all(rows) and kept and said


def test_validity_as_plainly_checked() -> None:
    batch, rng = large_puzzles(), np.random.default_rng(7)
    rows = np.arange(600) % len(batch)
    cells, clues, edges = batch.solution[rows], batch.clues[rows], batch.edges[rows]
    for row in range(0, len(rows), 4):  # of four rows one keeps its grid
        a = int(rng.integers(N_CELLS))
        b = a // MOST * MOST + int(rng.integers(MOST))
        cells[row, a] = rng.integers(-2, MOST + 3)
        cells[row + 1, [a, b]] = cells[row + 1, [b, a]]
        clues[row + 2, a] = rng.integers(0, MOST + 1)
    wanted = [plainly_valid(*puzzle) for puzzle in zip(cells, clues, edges, strict=True)]
    assert valid(cells, clues, edges) == wanted
    assert all(wanted[3::4])
    assert [set(wanted[k::4]) for k in range(3)] == [{False, True}] * 3


def test_every_wrong_cell_makes_a_grid_invalid() -> None:
    batch = small_puzzles()[:4]
    for clues, edges, solution in zip(batch.clues, batch.edges, batch.solution, strict=True):
        wrong = [solution.copy() for _ in range(N_CELLS * 6)]
        for at, cells in enumerate(wrong):
            cell, fault = divmod(at, 6)
            cells[cell] = (0, -1, MOST + 1, int(cells[cell]) % MOST + 1, 33, 127)[fault]
        many = np.array(wrong)
        edged = np.repeat(edges[None], len(many), axis=0)
        assert not any(valid(many, np.zeros_like(many), edged))
        assert not any(valid(many, np.repeat(clues[None], len(many), axis=0), edged))
        changed = np.diag(solution % MOST + 1).astype(np.int8)  # a wrong clue in each of the cells
        grids = np.repeat(solution[None], N_CELLS, axis=0)
        assert not any(valid(grids, changed, edged[:N_CELLS]))
        assert all(valid(grids, np.diag(solution), edged[:N_CELLS]))


def test_every_broken_clue_makes_a_grid_invalid() -> None:
    """For each kind: grids in which that clue alone is false, which no other rule or clue shows."""
    rng, kinds = np.random.default_rng(8), []
    for kind in [k for k in range(len(KINDS)) for _ in range(4)]:
        size = (4, 3)
        solution = random_solution(*size, rng)
        while True:
            edges = true_edges(solution, *size, 3, rng)
            others = solutions(edges[1:], *size)
            broken = others[~holds(edges[0].tolist(), others)]
            if edges[0, 0] == kind and len(broken):
                break
        grids = np.concatenate([broken[:20], solution[None]])
        clues, edged = np.zeros_like(grids), np.repeat(edges[rng.permutation(3)][None], len(grids), axis=0)
        assert valid(grids, clues, edged) == [False] * (len(grids) - 1) + [True]
        kinds.append(kind)
    assert set(kinds) == set(range(len(KINDS)))
