"""What the verbs of many families are made of: a search, a solver in rounds and its account, digging, moves.

All work on batches and know no rules: these come as functions of ``cells [batch, cells]``, 0 for a blank. All
are plain numpy, for puzzles of some dozens of cells; families that this is too slow for have kernels instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from puzzles.base import AbstractFamily, PuzzleBatch
from puzzles.seeding import draw

OfCells = Callable[[np.ndarray], np.ndarray]
"""A function of cells or clues, int8 ``[batch, cells]``."""
FIRST = 1 << 32
"""Where `search` begins among the random numbers of a key, so that others may draw from 0."""


def search(
    options: OfCells, clues: np.ndarray, limit: int = 2, keys: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Counts solutions by search: fills what has one option, and tries a cell with the fewest in turn.

    Args:
        options: ``options(cells) -> bool [batch, cells, values]``, which values each cell may have as far as
            all *other* cells are concerned. Full cells are a solution where each has one of its options.
        clues: int8 ``[batch, cells]``; they may contradict each other.
        limit: most solutions that are counted.
        keys: uint64 ``[batch]``, from which the order in which values are tried is drawn; ascending without.

    Returns:
        int64 ``[batch]``, solutions up to ``limit``, and int8 ``[batch, cells]``, the first; 0 without one.
    """
    found, first = np.zeros(len(clues), np.int64), np.zeros_like(clues)
    stacks, live, order = [[puzzle] for puzzle in clues], np.arange(len(clues)), None
    while len(live):
        cells = np.stack([stacks[row].pop() for row in live])
        can = options(cells)
        if keys is not None and order is None:
            order = draw(keys, can[0].size, FIRST).reshape(can.shape).argsort(axis=2)
        left, fits = can.sum(axis=2), _among(can, cells)
        for at in np.flatnonzero(np.where(cells > 0, fits, left > 0).all(axis=1)):
            row, forced = live[at], (cells[at] == 0) & (left[at] == 1)
            if cells[at].all():
                first[row] = first[row] if found[row] else cells[at]
                found[row] += 1
            elif forced.any():
                stacks[row].append(np.where(forced, can[at].argmax(axis=1) + 1, cells[at]).astype(np.int8))
            else:
                cell = np.where(cells[at], can.shape[2] + 1, left[at]).argmin()
                values = np.arange(can.shape[2]) if order is None else order[row, cell]
                stacks[row] += _tries(cells[at], cell, values[can[at, cell, values]] + 1)
        live = np.array([row for row in live if stacks[row] and found[row] < limit], np.int64)
    return found, first


def _among(can: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """bool ``[batch, cells]``: whether a filled cell's value is among its options."""
    value = np.maximum(cells - 1, 0)[:, :, None].astype(np.int64)
    found: np.ndarray = np.take_along_axis(can, value, axis=2)[:, :, 0]
    return found


def _tries(cells: np.ndarray, cell: np.intp, values: np.ndarray) -> list[np.ndarray]:
    """``cells [cells]`` with each of some values in a cell, last first, as a stack wants them."""
    filled = np.tile(cells, (len(values), 1))
    filled[:, cell] = values[::-1]
    return list(filled)


class Rounds(NamedTuple):
    """How rules solved puzzles, cell by cell.

    Attributes:
        turn: int64 ``[batch, cells]``; the round in which a blank was filled, from 0; of those that no rule
            reached, a later one.
        technique: int8 ``[batch, cells]``; 0 on clues, else 1, 2, ... by the rule, and one more for no rule.
    """

    turn: np.ndarray
    technique: np.ndarray


def solve_in_rounds(rules: Sequence[OfCells], clues: np.ndarray) -> Rounds:
    """Solves by rules as far as they go; in each round a puzzle uses its easiest rule that fills a cell.

    Args:
        rules: easiest first; ``rule(cells) -> int [batch, cells]`` gives values for blanks, 0 for no news.
        clues: int8 ``[batch, cells]``.
    """
    cells, turn = clues.copy(), np.zeros(clues.shape, np.int64)
    technique = np.where(clues > 0, 0, len(rules) + 1).astype(np.int8)
    live = np.arange(len(clues))
    for now in count():
        waiting, live = live, live[:0]
        for number, rule in enumerate(rules, 1):
            new = np.where(cells[waiting] == 0, rule(cells[waiting]), 0)
            row, cell = np.nonzero(new)
            cells[waiting[row], cell] = new[row, cell]
            technique[waiting[row], cell], turn[waiting[row], cell] = number, now
            news = new.any(axis=1)
            live, waiting = np.append(live, waiting[news]), waiting[~news]
        if not len(live):
            turn[technique > len(rules)] = now
            return Rounds(turn, technique)
    raise AssertionError("rounds have no end")


def account(
    family: AbstractFamily,
    clues: np.ndarray,
    solution: np.ndarray,
    rounds: Rounds,
    index: np.ndarray | None = None,
    edges: np.ndarray | None = None,
) -> PuzzleBatch:
    """A solver's rounds as a batch: blanks are ranked by round, and by cell within one.

    ``index`` counts from 0 where it is None.
    """
    given = clues > 0
    place = np.where(given, -1, rounds.turn).argsort(axis=1, kind="stable").argsort(axis=1)
    rank = np.where(given, -1, place - given.sum(axis=1, keepdims=True)).astype(np.int16)
    technique = np.where(given, 0, rounds.technique).astype(np.int8)
    index = np.arange(len(clues), dtype=np.int64) if index is None else index
    hardest = technique.max(axis=1, initial=0)
    return PuzzleBatch(
        family.version, clues, solution, rank, technique, hardest, index, edges, unique=family.unique
    )


def dig(solution: np.ndarray, order: np.ndarray, good: OfCells) -> np.ndarray:
    """Takes clues away where the puzzle that is left is still good.

    Args:
        solution: int8 ``[batch, cells]``, full.
        order: int ``[batch, tries]``, the cells of each puzzle that are tried, in this order.
        good: ``good(clues) -> bool [batch]``; the rows are those of ``solution``.

    Returns:
        int8 ``[batch, cells]`` clues.
    """
    clues, rows = solution.copy(), np.arange(len(solution))
    for cell in order.T:
        fewer = clues.copy()
        fewer[rows, cell] = 0
        kept = good(fewer)
        clues[kept] = fewer[kept]
    return clues


def move(batch: PuzzleBatch, source: np.ndarray, names: np.ndarray | None = None) -> PuzzleBatch:
    """The batch with all that it knows of a cell in another place, and perhaps with other names of values.

    Args:
        batch: whose edges are left as they are.
        source: int ``[batch, cells]``; cell i takes what cell ``source[i]`` had.
        names: int ``[batch, values]``; value v becomes ``names[v - 1]``, and a blank stays one.
    """
    fields = ("clues", "solution", "rank", "technique")
    moved: dict[str, Any] = {
        name: np.take_along_axis(getattr(batch, name), source, axis=1) for name in fields
    }
    if names is not None:
        named = np.pad(names, ((0, 0), (1, 0))).astype(np.int8)
        for name in ("clues", "solution"):
            moved[name] = np.take_along_axis(named, moved[name].astype(np.int64), axis=1)
    return replace(batch, **moved)
