"""Solves Sudoku as people do, with seven techniques, and tells in which order and by which technique.

The techniques and the habit of always trying the easiest first are those of the data of Shah et al.,
"Causal Language Modeling Can Elicit Search and Reasoning Capabilities on Logic Puzzles" (arXiv 2409.10502).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from puzzles.sudoku.logical_kernels import solve_many
from puzzles.sudoku.technique_kernels import SEARCH

TECHNIQUES = (
    "given",
    "lone single",
    "hidden single",
    "naked pair",
    "naked triple",
    "locked candidates",
    "XY-wing",
    "unique rectangle",
    "search",
)
"""Name of each technique id."""

Variant = Literal["textbook", "dokusan"]


@dataclass(frozen=True)
class LogicalSolve:
    """The logical solver's account of a batch.

    Attributes:
        rank: int16 ``[batch, cells]``; -1 on clues, else 0, 1, ... in the order of filling.
        technique: int8 ``[batch, cells]``; 0 on clues, else the hardest technique applied since the
            previous placement, so that a single which an XY-wing laid bare carries the XY-wing.
        hardest: int8 ``[batch]``; the hardest technique of the puzzle, 0 where nothing was blank.
        solved: bool ``[batch]``; whether logic alone reached every cell.
    """

    rank: np.ndarray
    technique: np.ndarray
    hardest: np.ndarray
    solved: np.ndarray


class Geometry(NamedTuple):
    """Units and peers of a box shape, in the order in which the kernels take them.

    Attributes:
        units: int16 ``[3 n, n]``; cells of the rows, then of the columns, then of the boxes.
        unit_of: int16 ``[cells, 3]``; row, column and box of a cell, as indices into ``units``.
        peers: int16 ``[cells, peers]``; the cells that share a unit with a cell, ascending.
        sees: bool ``[cells, cells]``; whether two different cells share a unit.
    """

    units: np.ndarray
    unit_of: np.ndarray
    peers: np.ndarray
    sees: np.ndarray


@cache
def geometry(box_rows: int, box_cols: int) -> Geometry:
    """The geometry of boxes of ``box_rows`` rows and ``box_cols`` columns; shared, so read-only."""
    n = box_rows * box_cols
    row, column = np.divmod(np.arange(n * n), n)
    box = row // box_rows * box_rows + column // box_cols
    unit_of = np.stack([row, n + column, 2 * n + box], axis=1).astype(np.int16)
    units = np.stack([np.flatnonzero((unit_of == u).any(axis=1)) for u in range(3 * n)]).astype(np.int16)
    sees = (unit_of[:, None] == unit_of[None]).any(axis=2)
    np.fill_diagonal(sees, False)
    peers = np.nonzero(sees)[1].reshape(n * n, -1).astype(np.int16)
    for array in (units, unit_of, peers, sees):
        array.setflags(write=False)
    return Geometry(units, unit_of, peers, sees)


def solve_logically(
    clues: np.ndarray, solution: np.ndarray, box_rows: int, box_cols: int, variant: Variant = "textbook"
) -> LogicalSolve:
    """Fills each puzzle by the easiest technique that works, over and over.

    After every placement or elimination the solver starts again from the easiest technique, whose first
    instance that changes something it applies. Where all seven fail, one cell is filled from the
    solution (fewest candidates, then lowest index), carries "search", and logic goes on.

    The variants:

    * ``"textbook"`` takes every technique in its common, sound form: all naked triples, locked
      candidates of any number of cells, any XY-wing, unique rectangles of type 1 (sound for puzzles
      with one solution only).
    * ``"dokusan"`` keeps to the rules of the engine that labelled the data of Shah et al. and departs from
      the textbook in four: a naked triple needs two equal sets of candidates among the three, locked
      candidates are exactly two cells, of a cell's candidates the one that a Python set reads first is tried
      first, and an XY-wing removes what the first and the last of its cells have in common, which is unsound
      unless the pivot lies between them. Where that costs a true candidate, the engine gets stuck; here the
      next cell is searched and candidates are pencilled anew.

    Args:
        clues: int8 ``[batch, cells]``, 0 is blank.
        solution: int8 ``[batch, cells]``, the one solution of each puzzle.
        box_rows: rows of a box.
        box_cols: columns of a box.
        variant: whose rules.

    Raises:
        ValueError: arrays of a wrong shape, or an unknown variant.
    """
    cells = (box_rows * box_cols) ** 2
    if clues.shape != solution.shape or clues.ndim != 2 or clues.shape[1] != cells:
        raise ValueError(f"clues {clues.shape} and solution {solution.shape}: expected both [batch, {cells}]")
    if variant not in ("textbook", "dokusan"):
        raise ValueError(f"unknown variant {variant!r}: expected 'textbook' or 'dokusan'")
    clues, solution = (np.array(array, np.int8, order="C") for array in (clues, solution))
    rank = np.empty(clues.shape, np.int16)
    technique = np.empty(clues.shape, np.int8)
    hardest = np.empty(len(clues), np.int8)
    solve_many(clues, solution, *geometry(box_rows, box_cols), variant == "dokusan", rank, technique, hardest)
    return LogicalSolve(rank, technique, hardest, hardest < SEARCH)
