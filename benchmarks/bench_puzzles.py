from __future__ import annotations

import random

import numpy as np
import plain
import pytest
from conftest import Baseline, Floor
from sudoku import Sudoku as PySudoku

from puzzles import get_family
from puzzles.base import LOGIC, PuzzleBatch
from puzzles.sudoku.generator import make_puzzles
from puzzles.sudoku.logical import solve_logically
from puzzles.sudoku.technique_kernels import HIDDEN_SINGLE

SUDOKU = get_family("sudoku")


@pytest.fixture(scope="module")
def logic() -> PuzzleBatch:
    return SUDOKU.generate("test", LOGIC, 2000)


def bench_validity(race, logic: PuzzleBatch) -> None:
    rows = np.arange(200_000) % len(logic)
    cells, clues = logic.solution[rows], logic.clues[rows]
    rng = np.random.default_rng(0)
    broken = np.arange(0, len(rows), 3)
    cells[broken, rng.integers(0, 81, len(broken))] = rng.integers(0, 10, len(broken))
    found = SUDOKU.is_valid(cells, clues)
    assert (found == plain.valid(cells, clues)).all()
    assert found[np.arange(len(rows)) % 3 > 0].all()
    assert not found.all()
    baseline = Baseline("plain NumPy", lambda: plain.valid(cells, clues), len(rows))
    race(lambda: SUDOKU.is_valid(cells, clues), len(rows), "grid", [baseline], Floor(bytes=2 * 81 + 1))


def bench_uniqueness(race) -> None:
    clues, solution = make_puzzles(500, np.random.default_rng(0))
    clues[::2, 0] = 0  # a minimal puzzle that loses a clue has several solutions
    count, _ = SUDOKU.count_solutions(clues)
    some = [row.tolist() for row in clues[:6]]
    assert count[:6].tolist() == [plain.count_solutions(row)[0] for row in some]
    assert set(count.tolist()) == {1, 2}
    boards = [[row[9 * k : 9 * k + 9] for k in range(9)] for row in clues[1:3].tolist()]

    def py_sudoku() -> list:
        return [PySudoku(3, 3, board=board).solve().board for board in boards]

    assert py_sudoku()[0] == solution[1].reshape(9, 9).tolist()
    baselines = [
        Baseline(
            "plain Python backtracking", lambda: [plain.count_solutions(row) for row in some], len(some)
        ),
        Baseline("py-sudoku, first solution", py_sudoku, len(boards)),
    ]
    race(lambda: SUDOKU.count_solutions(clues), len(clues), "puzzle", baselines)


def bench_generator(race) -> None:
    clues, solution = make_puzzles(600, np.random.default_rng(1))
    count, first = SUDOKU.count_solutions(clues)
    assert (count == 1).all()
    assert (first == solution).all()
    for cell in np.flatnonzero(clues[0]):
        less = clues[:1].copy()
        less[0, cell] = 0
        assert SUDOKU.count_solutions(less)[0] == 2
    theirs = np.array(plain.generate(random.Random(0)), np.int8)
    assert SUDOKU.count_solutions(theirs[:1])[0] == 1
    baseline = Baseline("plain Python", lambda: plain.generate(random.Random(0)), 1)
    race(lambda: make_puzzles(600, np.random.default_rng(1)), 600, "minimal puzzle", [baseline])


def bench_logical_solver(race, logic: PuzzleBatch) -> None:
    easy = logic[np.flatnonzero(logic.hardest <= HIDDEN_SINGLE)]
    solve = solve_logically(easy.clues, easy.solution, 3, 3)
    assert solve.solved.all()
    some = [row.tolist() for row in easy.clues[:20]]
    for row, clues in enumerate(some):
        board, order = plain.solve_singles(clues)
        assert board == easy.solution[row].tolist()
        assert sorted(order) == np.flatnonzero(easy.clues[row] == 0).tolist()
        assert (solve.rank[row, order] >= 0).all()
    baseline = Baseline("plain Python singles", lambda: [plain.solve_singles(row) for row in some], len(some))
    race(lambda: solve_logically(easy.clues, easy.solution, 3, 3), len(easy), "puzzle", [baseline])


def bench_augmentation(race, logic: PuzzleBatch) -> None:
    fields = (logic.clues, logic.solution, logic.rank, logic.technique)
    turned = SUDOKU.augment(logic, np.random.default_rng(0))
    ours = (turned.clues, turned.solution, turned.rank, turned.technique)
    theirs = plain.augment(tuple(field[:200] for field in fields), np.random.default_rng(0))
    for clues, solution, rank, technique in (ours, theirs):
        assert SUDOKU.is_valid(solution, clues).all()
        assert (np.sort(rank, 1) == np.sort(logic.rank[: len(rank)], 1)).all()
        assert ((rank < 0) == (clues > 0)).all()
        assert (np.sort(technique, 1) == np.sort(logic.technique[: len(rank)], 1)).all()
    baseline = Baseline(
        "NumPy loop",
        lambda: plain.augment(tuple(field[:200] for field in fields), np.random.default_rng(0)),
        200,
    )
    job = lambda: SUDOKU.augment(logic, np.random.default_rng(0))  # noqa: E731
    race(job, len(logic), "puzzle", [baseline], Floor(bytes=2 * 81 * (1 + 1 + 2 + 1)))
