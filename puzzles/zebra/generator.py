# mypy: disable-error-code="no-untyped-def"
"""Makes Zebra puzzles with exactly one solution, keyed by index."""

from __future__ import annotations

import numpy as np
from numba import njit

from puzzles.kernels import below, shuffle
from puzzles.zebra.clues import (
    BETWEEN,
    DIFFERENT,
    ENDS,
    GAP1,
    GAP2,
    IMMEDIATE_LEFT,
    LEAST,
    LEFT_OF,
    MOST,
    N_CELLS,
    NEXT_TO,
    ROWS,
    SAME,
)
from puzzles.zebra.counting import count_from
from puzzles.zebra.hashing import invariant_hash
from puzzles.zebra.kernels import ALL_CELLS, OPEN, SOLVED, apply_clue, clue_at, propagate, start
from puzzles.zebra.logical import SEARCH, solve_one

MAX_CLUES = 32
"""Most clues of a generated puzzle: the width of its edges."""
POOL = 120
"""Most clues that an attempt draws before it is dropped."""
TRIES = 10_000
"""Attempts after which a stream gives up on an index."""

KIND_OF = np.repeat(
    [SAME, DIFFERENT, NEXT_TO, ENDS, IMMEDIATE_LEFT, LEFT_OF, BETWEEN, GAP1, GAP2],
    [4, 1, 2, 2, 2, 2, 1, 1, 1],
)
"""Kinds of clues by weight: those of Shah et al. (arXiv 2409.10502), and one for each of the gaps."""
HOUSE_SHARE = 8
"""One in so many members is a house number instead of a value."""


@njit(cache=True, nogil=True)
def random_solution(houses, attributes, rng, house, value_at):
    """A random solution: ``house [N_CELLS]`` by cell, ``value_at [N_CELLS]`` the value by (row, house)."""
    for row in range(ROWS):
        first = row * MOST
        for k in range(MOST):
            house[first + k] = k + 1
        if 1 <= row <= attributes:
            shuffle(house[first : first + houses], rng)
        for k in range(MOST):
            value_at[first + house[first + k] - 1] = k + 1


@njit(cache=True, nogil=True)
def random_row(attributes, use, rng):
    """A row for a member: of two drawn attributes the less used, now and then the house numbers."""
    if below(rng, HOUSE_SHARE) == 0:
        return 0
    a, b = 1 + below(rng, attributes), 1 + below(rng, attributes)
    return a if use[a] <= use[b] else b


@njit(cache=True, nogil=True)
def draw_clue(houses, attributes, value_at, use, rng, clue):
    """Draws a kind, then a true clue of it; False where the drawn houses allow none."""
    kind = KIND_OF[below(rng, len(KIND_OF))]
    x = 1 + below(rng, houses)
    y = x
    z = 0
    if kind in (SAME, ENDS):
        if kind == ENDS and x != 1 and x != houses:
            return False
    elif kind in (DIFFERENT, LEFT_OF):
        y = 1 + below(rng, houses)
        if y == x or (kind == LEFT_OF and y < x):
            return False
    elif kind == BETWEEN:
        y, z = 1 + below(rng, houses), 1 + below(rng, houses)
        if not x < y < z:
            return False
    elif kind == IMMEDIATE_LEFT:
        y = x + 1
    else:
        gap = 1 if kind == NEXT_TO else 2 if kind == GAP1 else 3
        y = x + gap if below(rng, 2) else x - gap
    if y < 1 or y > houses:
        return False
    first = random_row(attributes, use, rng)
    rows = (first, random_row(attributes, use, rng), random_row(attributes, use, rng))
    clue[0] = kind
    clue[1] = rows[0] * MOST + value_at[rows[0] * MOST + x - 1] - 1
    clue[3] = -1
    if kind == ENDS:
        if rows[0] == 0:
            return False
        clue[2], clue[3] = 0, houses - 1
        return True
    clue[2] = rows[1] * MOST + value_at[rows[1] * MOST + y - 1] - 1
    if kind == BETWEEN:
        clue[3] = rows[2] * MOST + value_at[rows[2] * MOST + z - 1] - 1
        return rows[0] + rows[1] + rows[2] > 0
    if kind in (SAME, DIFFERENT) and rows[0] == rows[1]:
        return False
    if kind not in (IMMEDIATE_LEFT, LEFT_OF) and clue[1] > clue[2]:
        clue[1], clue[2] = clue[2], clue[1]
    return rows[0] + rows[1] > 0


@njit(cache=True, nogil=True)
def is_new(edges, n_edges, clue):
    """Whether no clue before says the same of the same cells, in the same order."""
    for k in range(n_edges):
        if (
            edges[k, 0] == clue[0]
            and edges[k, 1] == clue[1]
            and edges[k, 2] == clue[2]
            and edges[k, 3] == clue[3]
        ):
            return False
    return True


@njit(cache=True, nogil=True)
def enough_clues(houses, attributes, given, value_at, rng, edges, alive, domain):
    """Draws clues until the logical rules place everything; their number, or 0 where `POOL` are too few."""
    use = np.zeros(ROWS, np.int64)
    start(given, domain)
    clue = np.empty(4, np.int16)
    n = 0
    for _ in range(50 * POOL):
        if not draw_clue(houses, attributes, value_at, use, rng, clue) or not is_new(edges, n, clue):
            continue
        edges[n] = clue
        alive[n] = True
        for k in range(1, 4):
            if clue[k] >= 0 and clue[0] != ENDS:
                use[clue[k] // MOST] += 1
        n += 1
        changed = apply_clue(domain, clue_at(edges, n - 1))
        if changed and propagate(domain, edges, alive, n, True, changed) == SOLVED:
            return n
        if n == POOL:
            break
    return 0


@njit(cache=True, nogil=True)
def drop_clues(hard, n, edges, alive, domains, order, rng, first):
    """Drops clues in random order: while the rules still solve it, or while the solution stays unique.

    ``domains [N_CELLS + 2, N_CELLS]``: the last row holds the empty puzzle's, and what the clues that stay
    make of it; the others are scratch. Says whether the rules solve what is left.
    """
    kept, state = np.zeros(n, np.bool_), OPEN
    for k in range(n):
        order[k] = k
    shuffle(order[:n], rng)
    for k in order[:n]:
        alive[k] = False
        domains[0] = domains[-1]
        if hard:  # there is one solution, so any other without this clue breaks it
            needed = count_from(domains, edges, alive, n, 1, first, k) > 0
        else:
            needed = propagate(domains[0], edges, alive, n, True, ALL_CELLS) != SOLVED
        alive[k] = kept[k] = needed
        if needed:
            changed = apply_clue(domains[-1], clue_at(edges, k))
            state = propagate(domains[-1], edges, kept, n, True, changed)
    return state == SOLVED


@njit(cache=True, nogil=True)
def stream(
    keys,
    hard,
    low,
    high,
    houses,
    attributes,
    redundant,
    tries,
    edges,
    clues,
    solution,
    rank,
    technique,
    hardest,
):
    """A puzzle a key; the first row for which ``tries`` attempts found none of its tier and split, or -1.

    ``houses`` and ``attributes`` are 0 for a random size. ``low <= invariant_hash % 100 < high`` says which
    puzzles a split may hold.
    """
    pool = np.empty((POOL, 4), np.int16)
    alive = np.empty(POOL, np.bool_)
    order = np.empty(POOL, np.int64)
    domains = np.empty((N_CELLS + 2, N_CELLS), np.int64)
    house, value_at = np.empty(N_CELLS, np.int64), np.empty(N_CELLS, np.int64)
    first = np.empty(N_CELLS, np.int8)
    rng = np.empty(1, np.uint64)
    for row in range(len(keys)):
        rng[0] = keys[row] | np.uint64(1)
        n_houses = houses if houses else LEAST + below(rng, MOST - LEAST + 1)
        n_attributes = attributes if attributes else LEAST + below(rng, MOST - LEAST + 1)
        give(n_houses, n_attributes, clues[row])
        found = False
        for _ in range(tries):
            random_solution(n_houses, n_attributes, rng, house, value_at)
            n = enough_clues(n_houses, n_attributes, clues[row], value_at, rng, pool, alive, domains[0])
            if n == 0:
                continue
            start(clues[row], domains[-1])
            solved = drop_clues(hard, n, pool, alive, domains, order, rng, first)
            if solved == hard or not write(pool, alive, n, redundant, order, edges[row]):
                continue
            bucket = invariant_hash(edges[row], n_houses, n_attributes, house) % np.uint64(100)
            if bucket < low or bucket >= high:
                continue
            hardest[row] = solve_one(clues[row], edges[row], rank[row], technique[row])
            if (hardest[row] == SEARCH) == hard:
                found = True
                break
        if not found:
            return row
        for cell in range(N_CELLS):
            solution[row, cell] = house[cell]
    return -1


@njit(cache=True, nogil=True)
def give(houses, attributes, clues):
    """Writes `given_cells`."""
    for cell in range(N_CELLS):
        row, value = cell // MOST, cell % MOST + 1
        clues[cell] = 0 if 1 <= row <= attributes and value <= houses else value


@njit(cache=True, nogil=True)
def write(pool, alive, n, redundant, order, edges):
    """Writes the clues that are left, and up to so many of those dropped; False where there are too many."""
    edges[:] = -1
    used, extra = 0, redundant
    for k in order[:n]:
        if not alive[k]:
            if extra == 0:
                continue
            extra -= 1
        if used == len(edges):
            return False
        edges[used] = pool[k]
        used += 1
    return True
