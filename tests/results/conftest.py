"""A family small enough to judge by eye: 2 x 2 Latin squares of the values 1 and 2."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planorder.results.evaluate import Outcome
from puzzles.base import AbstractFamily, ConstraintGraph, PuzzleBatch


class LatinFamily(AbstractFamily):
    name, version = "latin", "latin-v1"
    n_cells, n_values, grid = 4, 2, (2, 2)
    technique_names = ("given", "single", "search")

    def is_valid(self, cells, clues, edges=None):
        squares = cells.reshape(-1, 2, 2)
        rows = (np.sort(squares, axis=2) == [1, 2]).all(axis=(1, 2))
        columns = (np.sort(squares, axis=1) == [[1], [2]]).all(axis=(1, 2))
        return rows & columns & ((clues == 0) | (clues == cells)).all(axis=1)

    def render(self, cells, clues=None, edges=None):
        return "\n".join(" ".join(map(str, row)) for row in cells.reshape(2, 2))

    def graph(self) -> ConstraintGraph:
        raise NotImplementedError

    generate = count_solutions = rate = tier = augment = canonical = read = graph  # type: ignore[assignment]


@pytest.fixture
def family():
    return LatinFamily()


@pytest.fixture
def batch():
    """Three puzzles: one clue, none (two solutions, so that valid and exact differ), all clues."""
    solution = np.array([[1, 2, 2, 1], [1, 2, 2, 1], [2, 1, 1, 2]], np.int8)
    clues = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [2, 1, 1, 2]], np.int8)
    return PuzzleBatch(
        family="latin-v1",
        clues=clues,
        solution=solution,
        rank=np.array([[-1, 1, 0, 2], [0, 1, 2, 3], [-1] * 4], np.int16),
        technique=np.array([[0, 1, 1, 1], [2, 1, 1, 1], [0] * 4], np.int8),
        hardest=np.array([1, 2, 0], np.int8),
        index=np.array([10, 11, 12]),
    )


def rows_of(exact, index=None):
    exact = np.asarray(exact, bool)
    n = len(exact)
    return pd.DataFrame(
        {
            "index": np.arange(n) if index is None else index,
            "exact": exact,
            "valid": exact,
            "cell": np.where(exact, 1.0, 0.75),
            "passes": np.full(n, 3),
            "n_blank": np.full(n, 4),
            "hardest": np.ones(n, int),
            "first_error_step": np.where(exact, -1, 2),
            "n_errors": np.where(exact, 0, 1),
        }
    )


@pytest.fixture
def make_outcome():
    """``make_outcome(exact, strategy=..., index=..., ...)``: an outcome that solves the puzzles given."""

    def make(exact, index=None, **labels):
        n = len(exact)
        base = Outcome(
            family="latin-v1",
            tier="logic",
            model="net",
            strategy="vanilla",
            seed=0,
            seconds=2.0,
            parameters=1234,
            rows=rows_of(exact, index),
            cells=np.ones((n, 4), np.int8),
            step=np.tile(np.arange(4, dtype=np.int16), (n, 1)),
            prob=np.full((n, 4), 0.5, np.float32),
        )
        return replace(base, **labels)

    return make
