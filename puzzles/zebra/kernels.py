# mypy: disable-error-code="no-untyped-def"
"""Zebra on bit masks: a cell's domain is the set of houses it may live in, bit h - 1 for house h."""

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
ALL_CELLS = (1 << N_CELLS) - 1


@njit(cache=True, nogil=True)
def clue_at(edges, k):
    """The kind of a clue and its three cells as a tuple; faster to hand on than a view of the array."""
    return edges[k, 0], edges[k, 1], edges[k, 2], edges[k, 3]


@njit(cache=True, nogil=True)
def clue_holds(kind, a, b, c):
    """Whether a clue is true whose members live in houses ``a``, ``b`` and, if there are three, ``c``."""
    if kind == SAME:
        return a == b
    if kind == DIFFERENT:
        return a != b
    if kind == IMMEDIATE_LEFT:
        return b - a == 1
    if kind == LEFT_OF:
        return a < b
    if kind == ENDS:
        return a in (b, c)
    if kind == BETWEEN:
        return a < b < c
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
                kind, x, y, z = edges[row, k, 0], edges[row, k, 1], edges[row, k, 2], edges[row, k, 3]
                if kind >= 0 and not clue_holds(kind, cells[row, x], cells[row, y], cells[row, z]):
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
    """Makes a clue (`clue_at`) arc consistent; the cells whose domains it changed, a bit each."""
    kind, x, y, z = clue
    if kind == ENDS:
        return 1 << x if narrow(domain, x, domain[y] | domain[z]) else 0
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
        c = domain[z]
        middle = b & below_highest(c) & ~(lowest_bit(a) | (lowest_bit(a) - 1))
        changed = 1 << y if narrow(domain, y, middle) else 0
        if narrow(domain, x, below_highest(middle)):
            changed |= 1 << x
        if narrow(domain, z, ~(lowest_bit(middle) | (lowest_bit(middle) - 1))):
            changed |= 1 << z
        return changed
    else:
        gap = 2 if kind == GAP1 else 3
        to_x, to_y = (b << gap) | (b >> gap), (a << gap) | (a >> gap)
    changed = 1 << x if narrow(domain, x, to_x) else 0
    if narrow(domain, y, to_y):
        changed |= 1 << y
    return changed


@njit(cache=True, nogil=True)
def narrow_row(domain, first):
    """All-different in one row: placed houses struck, hidden singles set.

    The cells that changed, a bit each; -1 where a cell or a house is left without the other.
    """
    changed = 0
    while True:
        once, twice, placed = 0, 0, 0
        for cell in range(first, first + MOST):
            d = domain[cell]
            twice |= once & d
            once |= d
            if d == lowest_bit(d):
                if d == 0 or placed & d:
                    return -1
                placed |= d
        if once != (1 << MOST) - 1:
            return -1
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
                    changed |= 1 << cell
                    again = True
        if not again:
            return changed


@njit(cache=True, nogil=True)
def strike_pairs(domain, first):
    """Naked pairs in one row: two cells with the same two houses take them from the others.

    The cells that changed, a bit each.
    """
    changed = 0
    for cell in range(first, first + MOST):
        d = domain[cell]
        rest = d & (d - 1)
        if rest == 0 or rest & (rest - 1):
            continue
        for other in range(cell + 1, first + MOST):
            if domain[other] == d:
                for third in range(first, first + MOST):
                    if third != cell and third != other and narrow(domain, third, ~d):
                        changed |= 1 << third
    return changed


@njit(cache=True, nogil=True)
def propagate(domain, edges, alive, n_edges, pairs, dirty):
    """Runs the logical rules to their fixpoint; SOLVED, OPEN or BROKEN.

    ``alive [n_edges]`` says which clues count; ``pairs`` whether naked pairs are among the rules; ``dirty``
    which cells (bits) changed since the last fixpoint: `ALL_CELLS` where there was none.
    """
    while dirty:
        check = dirty
        dirty = 0
        for k in range(n_edges):
            if alive[k]:
                clue = clue_at(edges, k)
                if cells_of(clue) & (check | dirty):
                    dirty |= apply_clue(domain, clue)
        check |= dirty
        for first in range(0, N_CELLS, MOST):
            if check >> first & (1 << MOST) - 1:
                changed = narrow_row(domain, first)
                if changed < 0:
                    return BROKEN
                dirty |= changed
        if pairs and not dirty:
            for first in range(0, N_CELLS, MOST):
                dirty |= strike_pairs(domain, first)
    for cell in range(N_CELLS):
        if domain[cell] & (domain[cell] - 1):
            return OPEN
    return SOLVED


@njit(cache=True, nogil=True)
def cells_of(clue):
    """The cells that a clue names, a bit each."""
    _, x, y, z = clue
    return 1 << x | 1 << y | (1 << z if z >= 0 else 0)
