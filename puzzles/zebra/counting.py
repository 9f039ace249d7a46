# mypy: disable-error-code="no-untyped-def"
"""Counts the solutions of Zebra puzzles by search, with the rules of `kernels` at every step."""

import numpy as np
from numba import njit

from puzzles.kernels import count_bits
from puzzles.zebra.clues import MOST, N_CELLS
from puzzles.zebra.kernels import (
    ALL_CELLS,
    BROKEN,
    OPEN,
    SOLVED,
    clue_at,
    clue_holds,
    lowest_bit,
    narrow,
    propagate,
    start,
)


@njit(cache=True, nogil=True)
def deny(domain, clue):
    """Keeps of each member the houses with which a clue can be false; the cells that changed, a bit each."""
    kind, x, y, z = clue
    third = domain[z] if z >= 0 else 1
    to_x, to_y, to_z = 0, 0, 0
    for a in range(MOST):
        for b in range(MOST):
            if not (domain[x] >> a & 1 and domain[y] >> b & 1):
                continue
            for c in range(MOST):
                if third >> c & 1 and not clue_holds(kind, a, b, c):
                    to_x |= 1 << a
                    to_y |= 1 << b
                    to_z |= 1 << c
    changed = 1 << x if narrow(domain, x, to_x) else 0
    if narrow(domain, y, to_y):
        changed |= 1 << y
    if z >= 0 and narrow(domain, z, to_z):
        changed |= 1 << z
    return changed


@njit(cache=True, nogil=True)
def count_from(stack, edges, alive, n_edges, limit, first, denied):
    """Solutions that ``stack[0]`` leads to, up to ``limit``; writes the first, in houses, into ``first``.

    Depth first, fewest houses first, lowest cell and house first; ``stack`` is int64 ``[N_CELLS + 1,
    N_CELLS]``. Where ``denied`` is not -1, only solutions count in which that clue is false.
    """
    cell_at = np.empty(N_CELLS + 1, np.int64)
    left = np.empty(N_CELLS + 1, np.int64)
    depth, found, dirty = 0, 0, ALL_CELLS
    while True:
        state = propagate(stack[depth], edges, alive, n_edges, False, dirty)
        if denied >= 0 and state != BROKEN:
            dirty = deny(stack[depth], clue_at(edges, denied))
            if dirty:
                continue
        if state == SOLVED:
            if found == 0:
                for cell in range(N_CELLS):
                    first[cell] = house_of(stack[depth, cell])
            found += 1
            if found >= limit:
                return found
        if state == OPEN:
            best, fewest = 0, MOST + 1
            for cell in range(N_CELLS):
                size = count_bits(stack[depth, cell])
                if 1 < size < fewest:
                    best, fewest = cell, size
                    if size == 2:
                        break
            cell_at[depth], left[depth] = best, stack[depth, best]
        else:
            depth -= 1
            while depth >= 0 and left[depth] == 0:
                depth -= 1
            if depth < 0:
                return found
        bit = lowest_bit(left[depth])
        left[depth] &= ~bit
        stack[depth + 1] = stack[depth]
        stack[depth + 1, cell_at[depth]] = bit
        dirty = 1 << cell_at[depth]
        depth += 1


@njit(cache=True, nogil=True)
def house_of(domain):
    """The house of a placed cell."""
    house = 1
    while domain > 1:
        domain >>= 1
        house += 1
    return house


@njit(cache=True, nogil=True)
def count_solutions_many(clues, edges, limit, count, first):
    """`count_from` for each puzzle of a batch; ``first`` is 0 where there is no solution."""
    stack = np.empty((N_CELLS + 1, N_CELLS), np.int64)
    width = edges.shape[1]
    alive = np.empty(width, np.bool_)
    for row in range(len(clues)):
        for k in range(width):
            alive[k] = edges[row, k, 0] >= 0
        start(clues[row], stack[0])
        first[row] = 0
        count[row] = count_from(stack, edges[row], alive, width, limit, first[row], -1)
