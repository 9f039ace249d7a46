"""The clue language of Zebra puzzles as data: kinds, roles, cells.

A puzzle has ``n`` houses in a row (3 to 6) and ``m`` attributes (3 to 6), each of whose ``n`` values lives in
one house. Inside the code attribute 0 is the house number itself, whose value h lives in house h. So a clue
that names a house is one between cells like any other, and there are no constants.

The cell of value v of attribute a is ``a * MOST + v - 1``, of 7 x 6 for every size. What a smaller puzzle
lacks (value 5 of four, attribute 6 of three) is filled from the start: value v in house v.
"""

from __future__ import annotations

import numpy as np

from puzzles.base import EdgeKind

LEAST, MOST = 3, 6
"""Fewest and most houses, and attributes."""
ROWS = MOST + 1
"""Attributes with the house numbers."""
N_CELLS = ROWS * MOST

KINDS = (
    EdgeKind("same", ("value", "value")),
    EdgeKind("different", ("value", "value")),
    EdgeKind("next_to", ("value", "value")),
    EdgeKind("ends", ("value", "first house", "last house")),
    EdgeKind("immediate_left", ("left", "right")),
    EdgeKind("left_of", ("left", "right")),
    EdgeKind("between", ("left", "middle", "right")),
    EdgeKind("gap1", ("value", "value")),
    EdgeKind("gap2", ("value", "value")),
)
"""Kinds of clues; a clue is int16 ``[4]``: its kind and up to three cells, -1 where it has fewer.

The first seven are those of Shah et al. (arXiv 2409.10502): in the same house; not in the same house; in
neighbouring houses; in the first or the last house (whose numbers' cells are named beside it); the first in
the house just left of the second's; somewhere left of it; the second somewhere between, from left to right.
gap1 and gap2: exactly one house, or two, between theirs, on either side.
"""
SAME, DIFFERENT, NEXT_TO, ENDS, IMMEDIATE_LEFT, LEFT_OF, BETWEEN, GAP1, GAP2 = range(len(KINDS))

MEMBERS = 3
"""Most members of a clue."""


def cell_of(attribute: int, value: int) -> int:
    """Cell of ``value`` (from 1) of ``attribute`` (from 1; 0 is the house number)."""
    return attribute * MOST + value - 1


def given_cells(houses: int, attributes: int) -> np.ndarray:
    """int8 ``[N_CELLS]``: the clues in cells of a size: house numbers, and all that the size lacks."""
    given = np.tile(np.arange(1, MOST + 1, dtype=np.int8), (ROWS, 1))
    given[1 : attributes + 1, :houses] = 0
    return given.reshape(-1)


def size_of(clues: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64 ``[batch]``, houses and attributes of puzzles by their clues in cells ``[batch, N_CELLS]``.

    The rows of a puzzle's own attributes leave their first ``LEAST`` cells open in both layouts.
    """
    open_ = clues.reshape(-1, ROWS, MOST) == 0
    return open_[:, 1].sum(axis=1), open_[:, :, 0].sum(axis=1)


def to_grid(cells: np.ndarray) -> np.ndarray:
    """Cells ``[..., N_CELLS]`` of complete puzzles from one layout to the other.

    Position layout: cell (attribute, value) holds a house. Grid layout: cell (attribute, house) holds a
    value. Each row is a permutation, and the layouts are each other's inverse.
    """
    rows = cells.reshape(*cells.shape[:-1], ROWS, MOST)
    return (rows.argsort(axis=-1) + 1).astype(cells.dtype).reshape(cells.shape)
