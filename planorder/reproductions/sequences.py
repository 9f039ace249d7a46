"""What pi-learners read: the cells of a solution, after the clues where a puzzle has some of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from puzzles import get_family
from puzzles.base import AbstractFamily, PuzzleBatch
from puzzles.zebra.clues import MOST, given_cells
from puzzles.zebra.family import Zebra
from puzzles.zebra.generator import MAX_CLUES

GRIDS = 6_670_903_752_021_072_936_960
"""Filled Sudokus (Felgenhauer and Jarvis, 2005)."""


@dataclass(frozen=True)
class Sequences:
    """The sequences of a family.

    Attributes:
        family: whose puzzles.
        cells: int64 ``[tokens]``, the cells that are predicted, from 0, in the order of the identity.
        clues: tokens read before them and never predicted, one a clue, pads included.
        alone: nats a token of the uniform law on all solutions, which reads no clue; the floor where there
            are none to read.
        title: of a panel.
    """

    family: AbstractFamily
    cells: np.ndarray
    clues: int
    alone: float
    title: str

    @property
    def length(self) -> int:
        """Tokens that are read, pads included."""
        return self.clues + len(self.cells)

    def read(self, batch: PuzzleBatch, device: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        """int64 ``[batch, tokens]``, the solutions in their own order, and the puzzles' clues or None."""
        solution = torch.from_numpy(batch.solution[:, self.cells]).to(device, torch.int64)
        if not self.clues or batch.edges is None:
            return solution, None
        return solution, torch.from_numpy(batch.edges).to(device, torch.int64)


def sudoku() -> Sequences:
    """All 81 cells of a solution without clues: the rules alone tie them, and the floor is known."""
    return Sequences(
        get_family("sudoku"), np.arange(81), 0, math.log(GRIDS) / 81, "Sudoku: solutions, no clues"
    )


def zebra() -> Sequences:
    """The 36 open cells of six houses by six attributes, after the clues.

    Without clues a solution is six independent permutations, in which no order has much to be hard about;
    with them there is one solution, so the floor is 0. One size, so that all sequences are as long.
    """
    family = Zebra("zebra-6x6", houses=MOST, attributes=MOST)
    cells = np.flatnonzero(given_cells(MOST, MOST) == 0)
    alone = math.log(math.factorial(MOST)) / MOST
    return Sequences(family, cells, MAX_CLUES, alone, "Zebra 6 x 6: solutions after their clues")


SEQUENCES = {"sudoku": sudoku(), "zebra": zebra()}
"""By the name that points have."""
