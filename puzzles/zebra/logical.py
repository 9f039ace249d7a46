# mypy: disable-error-code="no-untyped-def"
"""The logical solver: applies the easiest rule that changes something, and starts again.

It says in which order a person would place the values and which rule that took: the order that the
autoregressive baseline is taught, and the oracle order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from puzzles.kernels import count_bits
from puzzles.zebra.clues import MOST, N_CELLS
from puzzles.zebra.kernels import apply_clue, clue_at, lowest_bit, start

TECHNIQUES = ("given", "clue", "elimination", "hidden single", "naked pair", "search")
"""Names of technique ids, easiest first.

clue: one clue leaves a value fewer houses. elimination: the house of a placed value is struck from the others
of its attribute. hidden single: a house is left to one value of an attribute. naked pair: two values of an
attribute share two houses, which are struck from the others. search: what none of these places.
"""
GIVEN, CLUE, ELIMINATION, HIDDEN_SINGLE, NAKED_PAIR, SEARCH = range(len(TECHNIQUES))


class Solve(NamedTuple):
    """What the solver did: rank int16 and technique int8 ``[batch, cells]``, hardest int8 ``[batch]``."""

    rank: np.ndarray
    technique: np.ndarray
    hardest: np.ndarray


def solve_logically(clues: np.ndarray, edges: np.ndarray) -> Solve:
    """Solves puzzles in position layout by rules; cells that no rule places get technique "search".

    Args:
        clues: int8 ``[batch, N_CELLS]``, in cells; 0 is blank.
        edges: int16 ``[batch, clues, 4]``. What the rules leave is placed last, in the order of the cells.
    """
    rank, technique = np.empty(clues.shape, np.int16), np.empty(clues.shape, np.int8)
    hardest = np.empty(len(clues), np.int8)
    solve_many(clues, edges, rank, technique, hardest)
    return Solve(rank, technique, hardest)


@njit(cache=True, nogil=True)
def solve_many(clues, edges, rank, technique, hardest):
    """`solve_one` for each puzzle of a batch."""
    for row in range(len(clues)):
        hardest[row] = solve_one(clues[row], edges[row], rank[row], technique[row])


@njit(cache=True, nogil=True)
def solve_one(clues, edges, rank, technique):
    """Writes rank and technique of every cell; returns the hardest technique."""
    domain, struck = np.empty(N_CELLS, np.int64), np.zeros(N_CELLS, np.int64)
    start(clues, domain)
    for cell in range(N_CELLS):
        rank[cell], technique[cell] = -1, GIVEN
    placed, hardest = 0, 0
    while True:
        for cell in range(N_CELLS):
            d = domain[cell]
            if clues[cell] == 0 and rank[cell] < 0 and d and d == lowest_bit(d):
                rank[cell], technique[cell] = placed, max(struck[cell], CLUE)
                hardest = max(hardest, technique[cell])
                placed += 1
        if easiest_step(domain, struck, rank, clues, edges) == 0:
            break
    for cell in range(N_CELLS):
        if clues[cell] == 0 and rank[cell] < 0:
            rank[cell], technique[cell], hardest = placed, SEARCH, SEARCH
            placed += 1
    return hardest


@njit(cache=True, nogil=True)
def easiest_step(domain, struck, rank, clues, edges):
    """Applies the first instance of the easiest rule that changes something; its technique, or 0."""
    for k in range(len(edges)):
        if edges[k, 0] >= 0 and apply_clue(domain, clue_at(edges, k)):
            return CLUE
    for cell in range(N_CELLS):
        if (rank[cell] >= 0 or clues[cell]) and strike(domain, struck, cell, -1, ELIMINATION):
            return ELIMINATION
    for cell in range(N_CELLS):
        d, others = domain[cell], 0
        first = cell - cell % MOST
        for other in range(first, first + MOST):
            if other != cell:
                others |= domain[other]
        only = d & ~others
        if only and only != d:
            domain[cell] = only
            struck[cell] = max(struck[cell], HIDDEN_SINGLE)
            return HIDDEN_SINGLE
    for cell in range(N_CELLS):
        if count_bits(domain[cell]) == 2:
            for other in range(cell + 1, cell - cell % MOST + MOST):
                if domain[other] == domain[cell] and strike(domain, struck, cell, other, NAKED_PAIR):
                    return NAKED_PAIR
    return 0


@njit(cache=True, nogil=True)
def strike(domain, struck, cell, twin, rule):
    """Strikes the houses of ``cell`` from its row, ``twin`` excepted; whether that changed anything."""
    first, changed = cell - cell % MOST, False
    for other in range(first, first + MOST):
        if other != cell and other != twin and domain[other] & domain[cell]:
            domain[other] &= ~domain[cell]
            struck[other] = max(struck[other], rule)
            changed = True
    return changed
