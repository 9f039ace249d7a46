from __future__ import annotations

import numpy as np
import pytest

from puzzles.base import PuzzleBatch

GRID = np.array([[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]])


@pytest.fixture(scope="session")
def puzzles() -> PuzzleBatch:
    """26 Sudokus of 2x2 boxes, made without the generator: one grid, values renamed, 6 to 9 cells given."""
    n, rng = 26, np.random.default_rng(0)
    names = np.array([np.concatenate([[0], rng.permutation(4) + 1]) for _ in range(n)])
    solution = np.take_along_axis(names, np.tile(GRID.ravel(), (n, 1)), axis=1)
    draw = rng.permuted(np.tile(np.arange(16), (n, 1)), axis=1)
    givens = 6 + np.arange(n)[:, None] % 4
    return PuzzleBatch(
        family="sudoku-2x2-v1",
        clues=np.where(draw < givens, solution, 0).astype(np.int8),
        solution=solution.astype(np.int8),
        rank=np.where(draw < givens, -1, draw - givens).astype(np.int16),
        technique=np.where(draw < givens, 0, 1).astype(np.int8),
        hardest=np.ones(n, np.int8),
        index=np.arange(n),
    )
