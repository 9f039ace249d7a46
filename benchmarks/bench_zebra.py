from __future__ import annotations

import random

import constraint
import numpy as np
import plain_zebra as plain
import pytest
from conftest import Baseline, Floor

from puzzles import get_family
from puzzles.base import HARD, LOGIC, PuzzleBatch
from puzzles.zebra.clues import MOST, N_CELLS, given_cells
from puzzles.zebra.family import Zebra
from puzzles.zebra.generator import MAX_CLUES
from puzzles.zebra.logical import NAKED_PAIR, SEARCH, solve_logically

ZEBRA = get_family("zebra")
SIZES = [(houses, attributes) for houses in range(3, 7) for attributes in range(3, 7)]


@pytest.fixture(scope="module")
def logic() -> PuzzleBatch:
    return ZEBRA.generate("train", LOGIC, 1000)


@pytest.fixture(scope="module")
def hard() -> PuzzleBatch:
    return ZEBRA.generate("train", HARD, 400)


def bench_clue_validity(race, logic: PuzzleBatch) -> None:
    rows = np.arange(50_000) % len(logic)
    cells, clues, edges = logic.solution[rows], logic.clues[rows], logic.edges[rows]
    broken = np.arange(0, len(rows), 3)  # two values of the first attribute change places
    cells[broken[:, None], [MOST, MOST + 1]] = cells[broken[:, None], [MOST + 1, MOST]]
    found = ZEBRA.is_valid(cells, clues, edges)
    assert (found == plain.valid(cells, clues, edges)).all()
    np.testing.assert_array_equal(found, np.arange(len(rows)) % 3 > 0)
    baseline = Baseline("NumPy, a kind at a time", lambda: plain.valid(cells, clues, edges), len(rows))
    floor = Floor(bytes=2 * N_CELLS + 8 * int((edges[..., 0] >= 0).sum()) / len(rows) + 1)
    race(lambda: ZEBRA.is_valid(cells, clues, edges), len(rows), "grid", [baseline], floor)


def by_constraint(clues: np.ndarray, edges: np.ndarray, most: int = 2) -> list[dict[int, int]]:
    """Up to ``most`` solutions of a puzzle by python-constraint."""
    problem = constraint.Problem()
    for cell, houses in enumerate(plain.domains_of(clues.tolist())):
        problem.addVariable(cell, sorted(houses))
    for cells in np.arange(N_CELLS).reshape(-1, MOST).tolist():
        problem.addConstraint(constraint.AllDifferentConstraint(), cells)
    for kind, *cells in plain.clues_of(edges):
        problem.addConstraint(plain.MEANING[kind], cells)
    return [solution for solution, _ in zip(problem.getSolutionIter(), range(most), strict=False)]


def bench_solution_counting(race, hard: PuzzleBatch) -> None:
    edges = hard.edges.copy()
    edges[::2, 0] = -1  # a minimal puzzle that loses a clue has several solutions
    count, _ = ZEBRA.count_solutions(hard.clues, 2, edges)
    assert (count == 2 - np.arange(len(hard)) % 2).all()
    some = [(plain.clues_of(edges[row]), hard.clues[row].tolist()) for row in range(16)]

    def in_python() -> list[int]:
        return [plain.count_solutions(plain.domains_of(given), said) for said, given in some]

    def others() -> list[int]:
        return [len(by_constraint(hard.clues[row], edges[row])) for row in range(16)]

    assert in_python() == others() == count[:16].tolist()
    baselines = [
        Baseline("plain Python, rules and guesses", in_python, len(some)),
        Baseline("python-constraint", others, len(some)),
    ]
    race(lambda: ZEBRA.count_solutions(hard.clues, 2, edges), len(hard), "puzzle", baselines)


@pytest.mark.parametrize("size", ["mix", "6x6"])
@pytest.mark.parametrize("tier", [LOGIC, HARD])
def bench_zebra_generator(race, tier: str, size: str) -> None:
    n = {LOGIC: 400, HARD: 160}[tier]
    family = Zebra("zebra") if size == "mix" else Zebra("zebra", houses=6, attributes=6)
    batch = family.generate("train", tier, n)
    count, first = family.count_solutions(batch.clues, 2, batch.edges)
    assert (count == 1).all()
    assert (first == batch.solution).all()
    assert ((batch.hardest == SEARCH) == (tier == HARD)).all()
    # The 16 sizes take a minute in plain Python; these four lie around the mean of their costs.
    chosen = [(3, 4), (4, 4), (5, 5), (4, 5)] if size == "mix" else [(6, 6)]

    def in_python() -> list[tuple[list[plain.Clue], list[int]]]:
        rng = random.Random(0)
        return [plain.generate(rng, given_cells(*each).tolist(), tier == HARD) for each in chosen]

    for (said, solution), each in zip(in_python(), chosen, strict=True):
        edges = np.full((1, MAX_CLUES, 4), -1, np.int16)
        for k, clue in enumerate(said):
            edges[0, k, : len(clue)] = clue
        count, first = ZEBRA.count_solutions(given_cells(*each)[None], 2, edges)
        assert count.tolist() == [1]
        assert first[0].tolist() == solution
    baseline = Baseline("plain Python", in_python, len(chosen))
    race(lambda: family.generate("train", tier, n), n, f"{tier} puzzle", [baseline], rounds=3)


def bench_zebra_logical_solver(race, logic: PuzzleBatch) -> None:
    easy = logic[np.flatnonzero(logic.hardest < NAKED_PAIR)]
    solve = solve_logically(easy.clues, easy.edges)
    assert (solve.hardest == easy.hardest).all()
    some = [(plain.clues_of(easy.edges[row]), easy.clues[row].tolist()) for row in range(20)]

    def in_python() -> list[list[int]]:
        orders: list[list[int]] = [[] for _ in some]
        for order, (said, given) in zip(orders, some, strict=True):
            assert plain.propagate(plain.domains_of(given), said, order)
        return orders

    for row, order in enumerate(in_python()):
        assert sorted(order) == list(range(N_CELLS))
        placed = [cell for cell in order if easy.clues[row, cell] == 0]
        assert (solve.rank[row, placed] >= 0).all()
    baseline = Baseline("plain Python rules", in_python, len(some))
    race(lambda: solve_logically(easy.clues, easy.edges), len(easy), "puzzle", [baseline])
