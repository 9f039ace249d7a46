"""The part of `puzzles.testing` in which two verbs judge each other: what is a solution, and what is none.

A full grid leaves nothing to find, so `is_valid` accepts it exactly where `count_solutions` counts one. Grids
that break one rule alone tell whether a verb forgets it. Nobody knows here which these are; but most rules
still hold near a solution, and among many grids there, each rule is now and then the only one broken.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from puzzles.base import AbstractFamily, EdgeSet, PuzzleBatch
from puzzles.testing_shapes import need

ROUNDS = 8
"""Grids of each kind that are tried a puzzle."""


def check_rules(family: AbstractFamily, batch: PuzzleBatch, rng: np.random.Generator) -> None:
    """`is_valid` and `count_solutions` agree on full grids near the solutions of a batch.

    The grids are solutions with two cells of an edge exchanged, with rows or columns of `AbstractFamily.grid`
    in another order, and with two values exchanged everywhere. Where puzzles have edges of their own, there
    are also the solutions that the solver finds without those of one kind.

    Raises:
        AssertionError: the two disagree on a grid.
    """
    for what, grids in spoiled(family, batch, rng):
        _agree(family, grids, batch.edges, what)
    if batch.edges is None:
        return
    for number, kind in enumerate(family.graph().puzzle_kinds):
        loose = _without(batch.edges, number)
        _, first = family.count_solutions(batch.clues, limit=1, edges=loose)
        _agree(family, first[:, None], batch.edges, f"edges {kind.name} are left out")


def _agree(family: AbstractFamily, grids: np.ndarray, edges: np.ndarray | None, what: str) -> None:
    """The verbs agree on ``grids [batch, rounds, cells]``."""
    cells = grids.reshape(-1, family.n_cells)
    if edges is not None:
        edges = np.repeat(edges, grids.shape[1], axis=0)
    count, _ = family.count_solutions(cells, edges=edges)
    valid = family.is_valid(cells, cells, edges)
    promise = f"is_valid and count_solutions agree on full grids in which {what}"
    need(family, (valid == (count == 1)).reshape(grids.shape[:2]), promise)


def spoiled(
    family: AbstractFamily, batch: PuzzleBatch, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """What was done to the solutions, and int8 ``[batch, ROUNDS, cells]`` of it."""
    grids = np.repeat(batch.solution[:, None], ROUNDS, axis=1)
    for edges in family.graph().edges:
        if (edges.cells[:, 1:] >= 0).any():
            yield f"two cells of an edge {edges.kind} are exchanged", _exchanged(grids, edges, rng)
    squares = grids.reshape(*grids.shape[:2], *family.grid)
    for axis, lines in ((2, "rows"), (3, "columns")):
        order = rng.random(squares.shape[:2] + squares.shape[axis : axis + 1]).argsort(axis=2)
        order = np.expand_dims(order, 5 - axis)
        yield f"{lines} are in another order", np.take_along_axis(squares, order, axis).reshape(grids.shape)
    names = np.tile(np.arange(family.n_values + 1, dtype=np.int8), (*grids.shape[:2], 1))
    two = 1 + rng.random(names[..., 1:].shape).argsort(axis=2)[..., :2]
    np.put_along_axis(names, two, two[..., ::-1].astype(np.int8), axis=2)
    yield "two values are exchanged", np.take_along_axis(names, grids.astype(np.int64), axis=2)


def _exchanged(grids: np.ndarray, edges: EdgeSet, rng: np.random.Generator) -> np.ndarray:
    """``grids [batch, rounds, cells]`` with two cells of a random edge exchanged in each."""
    cells = edges.cells[(edges.cells >= 0).sum(axis=1) > 1].astype(np.int64)
    members = cells[rng.integers(0, len(cells), grids.shape[:2])]
    shuffled = np.where(members >= 0, rng.random(members.shape), 2).argsort(axis=2)  # padding last
    two = np.take_along_axis(members, shuffled[..., :2], axis=2)
    out = grids.copy()
    np.put_along_axis(out, two, np.take_along_axis(grids, two[..., ::-1], axis=2), axis=2)
    return out


def _without(edges: np.ndarray, kind: int) -> np.ndarray:
    """Puzzle edges without those of one kind, padding last as before."""
    gone = edges[:, :, :1] == kind
    left = np.where(gone, -1, edges).astype(edges.dtype)
    return np.take_along_axis(left, (left[:, :, :1] < 0).argsort(axis=1, kind="stable"), axis=1)
