# mypy: disable-error-code="no-untyped-def"
"""Sudoku on bit masks: validity and random full grids, as numba functions.

Value ``v`` of a cell's candidates is bit ``v - 1``. ``units``, ``unit_of`` and ``peers`` are those of
`logical.geometry`.
"""

import numpy as np
from numba import njit

from puzzles.kernels import below, shuffle

GRID_NODES = 1000
"""Search nodes after which a random grid is begun anew; the bytes of every stream hang on it."""


@njit(cache=True, nogil=True)
def valid_grids(cells, clues, units, out):
    """Writes bool ``out [batch]``: whether every unit holds every value once and every clue stands."""
    n = units.shape[1]
    bits = np.empty(cells.shape[1], np.int32)
    for row in range(len(cells)):
        wrong = False
        for cell in range(cells.shape[1]):
            value = cells[row, cell]
            wrong |= (value < 1) | (value > n) | ((clues[row, cell] != 0) & (clues[row, cell] != value))
        if not wrong:
            for cell in range(cells.shape[1]):
                bits[cell] = 1 << cells[row, cell]
            for unit in range(len(units)):
                seen = 0
                for k in range(n):
                    seen |= bits[units[unit, k]]
                wrong |= seen != (2 << n) - 2
        out[row] = not wrong


@njit(cache=True, nogil=True)
def pencil(clues, unit_of, cand, done):
    """Candidates that the clues leave."""
    n = unit_of[-1, 0] + 1
    used = np.zeros(3 * n, np.int32)
    full = np.int32((1 << n) - 1)
    for cell in range(len(clues)):
        done[cell] = clues[cell] != 0
        if clues[cell]:
            cand[cell] = 1 << (clues[cell] - 1)
            for kind in range(3):
                used[unit_of[cell, kind]] |= cand[cell]
    for cell in range(len(clues)):
        if not done[cell]:
            cand[cell] = full & ~(used[unit_of[cell, 0]] | used[unit_of[cell, 1]] | used[unit_of[cell, 2]])


@njit(cache=True, nogil=True)
def propagate(cand, done, queue, waiting, units, peers):
    """Places the ``waiting`` lone singles in ``queue`` and what follows, then hidden ones; False if stuck."""
    full = np.int32((1 << units.shape[1]) - 1)
    while True:
        while waiting:
            waiting -= 1
            cell = queue[waiting]
            if done[cell]:
                continue
            done[cell] = True
            bit = cand[cell]
            for k in range(peers.shape[1]):
                peer = peers[cell, k]
                left = cand[peer]
                if left & bit:
                    left &= ~bit
                    if left == 0:
                        return False
                    cand[peer] = left
                    if left & (left - 1) == 0:
                        queue[waiting] = peer
                        waiting += 1
        for unit in range(len(units)):
            once = np.int32(0)
            twice = np.int32(0)
            for k in range(units.shape[1]):
                left = cand[units[unit, k]]
                twice |= once & left
                once |= left
            if once != full:
                return False
            once &= ~twice
            for k in range(units.shape[1]):
                if once == 0:
                    break
                cell = units[unit, k]
                hidden = cand[cell] & once
                if hidden:
                    once &= ~hidden
                    if not done[cell]:
                        if hidden & (hidden - 1):
                            return False
                        cand[cell] = hidden
                        queue[waiting] = cell
                        waiting += 1
            if waiting:
                break
        if waiting == 0:
            return True


@njit(cache=True, nogil=True)
def fewest_candidates(cand, done):
    """The first open cell with fewest candidates, and their number; -1 where none is open."""
    best, fewest = -1, 99
    for cell in range(len(cand)):
        if not done[cell]:
            left, count = cand[cell], 0
            while left:
                left &= left - 1
                count += 1
            if count < fewest:
                best, fewest = cell, count
                if count == 2:
                    break
    return best, fewest


@njit(cache=True, nogil=True)
def complete(cands, dones, queue, waiting, budget, units, peers, rng, out):
    """Searches for a random completion and writes it to ``out``; False where ``budget`` nodes find none.

    ``cands`` and ``dones [depths, cells]`` hold a state a depth, the root first, with ``waiting`` singles in
    ``queue``. Branches on the first cell with fewest candidates, values in random order. A stack instead of
    recursion: numba cannot load recursive functions from its cache.
    """
    n_cells = cands.shape[1]
    branch = np.empty(n_cells + 1, np.int64)
    left = np.zeros(n_cells + 1, np.int64)
    count = np.zeros(n_cells + 1, np.int64)
    depth = 0
    for _ in range(budget):
        left[depth] = 0
        if propagate(cands[depth], dones[depth], queue, waiting, units, peers):
            cell, fewest = fewest_candidates(cands[depth], dones[depth])
            if cell < 0:
                for place in range(n_cells):
                    value = 0
                    while cands[depth, place] >> value:
                        value += 1
                    out[place] = value
                return True
            branch[depth], left[depth], count[depth] = cell, cands[depth, cell], fewest
        while depth >= 0 and left[depth] == 0:
            depth -= 1
        if depth < 0:
            return False
        bit = left[depth] & -left[depth]
        for _ in range(below(rng, count[depth])):
            above = left[depth] & -(bit << 1)
            bit = above & -above
        left[depth] &= ~bit
        count[depth] -= 1
        cands[depth + 1] = cands[depth]
        dones[depth + 1] = dones[depth]
        depth += 1
        cands[depth, branch[depth - 1]] = bit
        queue[0] = branch[depth - 1]
        waiting = 1
    return False


@njit(cache=True, nogil=True)
def gather_singles(cand, done, queue):
    """Fills ``queue`` with the lone singles not yet placed; how many there are."""
    waiting = 0
    for cell in range(len(cand)):
        if not done[cell] and cand[cell] & (cand[cell] - 1) == 0:
            queue[waiting] = cell
            waiting += 1
    return waiting


@njit(cache=True, nogil=True)
def random_grid(cands, dones, queue, units, unit_of, peers, rng, out):
    """A random full grid: a random first row, then search with values in random order."""
    n = units.shape[1]
    clues = np.zeros(len(unit_of), np.int8)
    row = np.arange(1, n + 1)
    shuffle(row, rng)
    for k in range(n):
        clues[units[0, k]] = row[k]
    while True:
        pencil(clues, unit_of, cands[0], dones[0])
        waiting = gather_singles(cands[0], dones[0], queue)
        if complete(cands, dones, queue, waiting, GRID_NODES, units, peers, rng, out):
            return
