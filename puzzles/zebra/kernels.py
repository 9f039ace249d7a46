# mypy: disable-error-code="no-untyped-def"
"""Zebra on bit masks: a cell's domain is the set of houses it may live in, bit h - 1 for house h."""

import numpy as np
from numba import njit

from puzzles.zebra.clues import (
    BETWEEN,
    DIFFERENT,
    ENDS,
    GAP1,
    IMMEDIATE_LEFT,
    LEFT_OF,
    MOST,
    N_CELLS,
    NEXT_TO,
    ROWS,
    SAME,
)

SOLVED, OPEN, BROKEN = 1, 0, -1


@njit(cache=True, nogil=True)
def clue_holds(clue, house):
    """Whether a clue is true where cell c lives in ``house[c]``."""
    kind, a, b = clue[0], house[clue[1]], house[clue[2]]
    if kind == SAME:
        return a == b
    if kind == DIFFERENT:
        return a != b
    if kind == IMMEDIATE_LEFT:
        return b - a == 1
    if kind == LEFT_OF:
        return a < b
    if kind == ENDS or kind == BETWEEN:
        c = house[clue[3]]
        return a == b or a == c if kind == ENDS else a < b < c
    return abs(a - b) == (1 if kind == NEXT_TO else 2 if kind == GAP1 else 3)


@njit(cache=True, nogil=True)
def valid_grids(cells, clues, edges, out):
    """Whether each row of ``cells [batch, N_CELLS]`` keeps its clues in cells, its clues, and the rules."""
    for row in range(len(cells)):
        ok = True
        for first in range(0, N_CELLS, MOST):
            seen = 0
            for cell in range(first, first + MOST):
                value = cells[row, cell]
                if value < 1 or value > MOST or (clues[row, cell] and clues[row, cell] != value):
                    ok = False
                    break
                seen |= 1 << value
            if seen != (2 << MOST) - 2:
                ok = False
            if not ok:
                break
        if ok:
            for k in range(edges.shape[1]):
                if edges[row, k, 0] >= 0 and not clue_holds(edges[row, k], cells[row]):
                    ok = False
                    break
        out[row] = ok


@njit(cache=True, nogil=True)
def start(clues, domain):
    """Domains before any clue: what is given in cells keeps its house, and the rest of its row the others."""
    for row in range(ROWS):
        taken = 0
        for cell in range(row * MOST, row * MOST + MOST):
            if clues[cell]:
                taken |= 1 << (clues[cell] - 1)
        for cell in range(row * MOST, row * MOST + MOST):
            domain[cell] = (1 << (clues[cell] - 1)) if clues[cell] else ((1 << MOST) - 1) & ~taken


@njit(cache=True, nogil=True)
def lowest_bit(x):
    """The lowest set bit of ``x``, 0 of 0."""
    return x & -x


@njit(cache=True, nogil=True)
def below_highest(x):
    """All bits below the highest of ``x``."""
    x |= x >> 1
    x |= x >> 2
    x |= x >> 4
    return x >> 1


@njit(cache=True, nogil=True)
def narrow(domain, cell, allowed):
    """Keeps to ``allowed``; whether that changed the domain."""
    kept = domain[cell] & allowed
    if kept == domain[cell]:
        return False
    domain[cell] = kept
    return True


@njit(cache=True, nogil=True)
def apply_clue(domain, clue):
    """Makes a clue arc consistent; a bit for each member (0, 1, 2) whose domain it changed."""
    kind, x, y = clue[0], clue[1], clue[2]
    if kind == ENDS:
        return 1 if narrow(domain, x, domain[y] | domain[clue[3]]) else 0
    a, b = domain[x], domain[y]
    if kind == SAME:
        to_x, to_y = b, a
    elif kind == NEXT_TO:
        to_x, to_y = (b << 1) | (b >> 1), (a << 1) | (a >> 1)
    elif kind == IMMEDIATE_LEFT:
        to_x, to_y = b >> 1, a << 1
    elif kind == LEFT_OF:
        to_x, to_y = below_highest(b), ~(lowest_bit(a) | (lowest_bit(a) - 1))
    elif kind == DIFFERENT:
        to_x = ~b if b == lowest_bit(b) else -1
        to_y = ~a if a == lowest_bit(a) else -1
    elif kind == BETWEEN:
        z = clue[3]
        c = domain[z]
        middle = b & below_highest(c) & ~(lowest_bit(a) | (lowest_bit(a) - 1))
        changed = 2 if narrow(domain, y, middle) else 0
        if narrow(domain, x, below_highest(middle)):
            changed |= 1
        if narrow(domain, z, ~(lowest_bit(middle) | (lowest_bit(middle) - 1))):
            changed |= 4
        return changed
    else:
        gap = 2 if kind == GAP1 else 3
        to_x, to_y = (b << gap) | (b >> gap), (a << gap) | (a >> gap)
    changed = 1 if narrow(domain, x, to_x) else 0
    if narrow(domain, y, to_y):
        changed |= 2
    return changed


@njit(cache=True, nogil=True)
def narrow_row(domain, first):
    """All-different in one row: placed houses struck, hidden singles set; changed (bool), sound (bool)."""
    changed = False
    while True:
        once, twice, placed = 0, 0, 0
        for cell in range(first, first + MOST):
            d = domain[cell]
            twice |= once & d
            once |= d
            if d == lowest_bit(d):
                if d == 0 or placed & d:
                    return changed, False
                placed |= d
        if once != (1 << MOST) - 1:
            return changed, False
        again = False
        single = once & ~twice & ~placed
        for cell in range(first, first + MOST):
            d = domain[cell]
            if d != lowest_bit(d):
                kept = d & ~placed
                if kept & single:
                    kept &= single
                if kept != d:
                    domain[cell] = kept
                    again = True
        if not again:
            return changed, True
        changed = True


@njit(cache=True, nogil=True)
def strike_pairs(domain, first):
    """Naked pairs in one row: two cells with the same two houses take them from the others; changed."""
    changed = False
    for cell in range(first, first + MOST):
        d = domain[cell]
        rest = d & (d - 1)
        if rest == 0 or rest & (rest - 1):
            continue
        for other in range(cell + 1, first + MOST):
            if domain[other] == d:
                for third in range(first, first + MOST):
                    if third != cell and third != other and narrow(domain, third, ~d):
                        changed = True
    return changed


@njit(cache=True, nogil=True)
def propagate(domain, edges, alive, n_edges, pairs):
    """Runs the logical rules to their fixpoint; SOLVED, OPEN or BROKEN.

    ``alive [n_edges]`` says which clues count; ``pairs`` whether naked pairs are among the rules.
    """
    dirty = (1 << ROWS) - 1
    while True:
        new = 0
        for k in range(n_edges):
            if not alive[k]:
                continue
            x, y, z = edges[k, 1], edges[k, 2], edges[k, 3]
            rows = (1 << (x // MOST)) | (1 << (y // MOST))
            if z >= 0:
                rows |= 1 << (z // MOST)
            if rows & (dirty | new):
                changed = apply_clue(domain, edges[k])
                if changed:
                    if changed & 1:
                        new |= 1 << (x // MOST)
                    if changed & 2:
                        new |= 1 << (y // MOST)
                    if changed & 4:
                        new |= 1 << (z // MOST)
        check = dirty | new
        dirty = new
        for row in range(ROWS):
            if check >> row & 1:
                changed_row, sound = narrow_row(domain, row * MOST)
                if not sound:
                    return BROKEN
                if changed_row:
                    dirty |= 1 << row
        if dirty:
            continue
        if pairs:
            for row in range(ROWS):
                if strike_pairs(domain, row * MOST):
                    dirty |= 1 << row
            if dirty:
                continue
        for cell in range(N_CELLS):
            if domain[cell] & (domain[cell] - 1):
                return OPEN
        return SOLVED


@njit(cache=True, nogil=True)
def count_from(stack, edges, alive, n_edges, limit, first):
    """Solutions that ``stack[0]`` leads to, up to ``limit``; writes the first, in houses, into ``first``.

    Depth first, fewest houses first, lowest cell and house first. ``stack`` is int64 ``[N_CELLS + 1, N_CELLS]``.
    """
    cell_at = np.empty(N_CELLS + 1, np.int64)
    left = np.empty(N_CELLS + 1, np.int64)
    depth, found = 0, 0
    state = propagate(stack[0], edges, alive, n_edges, False)
    while True:
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
                size = popcount(stack[depth, cell])
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
        depth += 1
        state = propagate(stack[depth], edges, alive, n_edges, False)


@njit(cache=True, nogil=True)
def popcount(x):
    """Number of set bits."""
    n = 0
    while x:
        x &= x - 1
        n += 1
    return n


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
        count[row] = count_from(stack, edges[row], alive, width, limit, first[row])
