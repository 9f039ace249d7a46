# mypy: disable-error-code="no-untyped-def"
"""The techniques of the logical solver on bit masks, each a bare numba function.

Bit ``v - 1`` of ``cand[cell]`` says that value ``v`` is still possible there; a filled cell has mask 0.
``dirty[unit]`` has bit ``t`` set while technique ``t`` has not looked at the unit since one of its cells
lost a candidate. Candidates only go away, so a clean unit cannot hold a new instance and is skipped.
No cell before ``first_lone[0]`` has exactly one candidate.
"""

import numpy as np
from numba import njit

from puzzles.kernels import count_bits

LONE_SINGLE, HIDDEN_SINGLE, NAKED_PAIR, NAKED_TRIPLE, LOCKED, XY_WING, UNIQUE_RECTANGLE, SEARCH = range(1, 9)
ALL_DIRTY = 0xFF
# The order of at most four small integers in a CPython set (8 and 9 hash to the first places), less 1.
SET_ORDER = (7, 8, 0, 1, 2, 3, 4, 5, 6)
SET_ORDER_WITH_1 = (7, 0, 1, 2, 3, 4, 5, 8, 6)


@njit(cache=True, nogil=True)
def _is_pair(mask):
    rest = mask & (mask - 1)
    return rest != 0 and rest & (rest - 1) == 0


@njit(cache=True, nogil=True)
def remove(cell, mask, cand, unit_of, dirty, first_lone):
    """Takes candidates away and says whether there were any."""
    if cand[cell] & mask == 0:
        return False
    left = cand[cell] & ~mask
    cand[cell] = left
    if left & (left - 1) == 0 and cell < first_lone[0]:
        first_lone[0] = cell
    for kind in range(3):
        dirty[unit_of[cell, kind]] = ALL_DIRTY
    return True


@njit(cache=True, nogil=True)
def place(cell, bit, cand, unit_of, peers, dirty, first_lone):
    """Fills a cell: it has no candidates any more and its peers lose its value."""
    cand[cell] = 0
    for kind in range(3):
        dirty[unit_of[cell, kind]] = ALL_DIRTY
    for k in range(peers.shape[1]):
        remove(peers[cell, k], bit, cand, unit_of, dirty, first_lone)


@njit(cache=True, nogil=True)
def lone_single(cand, first_lone):
    """Lowest cell with one candidate, or -1."""
    for cell in range(first_lone[0], len(cand)):
        mask = cand[cell]
        if mask != 0 and mask & (mask - 1) == 0:
            first_lone[0] = cell
            return cell
    first_lone[0] = len(cand)
    return -1


@njit(cache=True, nogil=True)
def hidden_single(cand, units, dirty):
    """First (cell, bit) whose value has no other place in a row, else column, else box; or (-1, 0)."""
    for u in range(units.shape[0]):
        if dirty[u] >> HIDDEN_SINGLE & 1 == 0:
            continue
        once, twice = 0, 0
        for k in range(units.shape[1]):
            mask = cand[units[u, k]]
            twice |= once & mask
            once |= mask
        once &= ~twice
        if once:
            for k in range(units.shape[1]):
                bit = cand[units[u, k]] & once
                if bit:
                    return np.int64(units[u, k]), np.int64(bit & -bit)
        dirty[u] &= ~(1 << HIDDEN_SINGLE)
    return np.int64(-1), np.int64(0)


@njit(cache=True, nogil=True)
def _naked_pair(cand, units, unit_of, peers, sees, dirty, first_lone):
    for u in range(units.shape[0]):
        if dirty[u] >> NAKED_PAIR & 1 == 0:
            continue
        for i in range(units.shape[1] - 1):
            a = units[u, i]
            pair = cand[a]
            if not _is_pair(pair):
                continue
            for j in range(i + 1, units.shape[1]):
                b = units[u, j]
                changed = False
                if cand[b] == pair:
                    for k in range(peers.shape[1]):
                        if sees[b, peers[a, k]]:
                            changed |= remove(peers[a, k], pair, cand, unit_of, dirty, first_lone)
                if changed:
                    return True
        dirty[u] &= ~(1 << NAKED_PAIR)
    return False


@njit(cache=True, nogil=True)
def _prune_triple(a, b, c, mask, cand, unit_of, peers, sees, dirty, first_lone):
    changed = False
    for k in range(peers.shape[1]):
        other = peers[a, k]
        if sees[b, other] and sees[c, other]:
            changed |= remove(other, mask, cand, unit_of, dirty, first_lone)
    return changed


@njit(cache=True, nogil=True)
def _naked_triple(cand, units, unit_of, peers, sees, dirty, first_lone, faithful):
    n = units.shape[1]
    for u in range(units.shape[0]):
        if dirty[u] >> NAKED_TRIPLE & 1 == 0:
            continue
        for i in range(n - 2):
            x = cand[units[u, i]]
            if x == 0 or count_bits(x) > 3:
                continue
            for j in range(i + 1, n - 1):
                y = cand[units[u, j]]
                if y == 0 or count_bits(x | y) > 3:
                    continue
                for k in range(j + 1, n):
                    z = cand[units[u, k]]
                    if z == 0 or count_bits(x | y | z) != 3:
                        continue
                    if faithful and x != y and y != z and x != z:
                        continue
                    a, b, c = units[u, i], units[u, j], units[u, k]
                    if _prune_triple(a, b, c, x | y | z, cand, unit_of, peers, sees, dirty, first_lone):
                        return True
        dirty[u] &= ~(1 << NAKED_TRIPLE)
    return False


@njit(cache=True, nogil=True)
def _locked_value(u, bit, cand, units, unit_of, dirty, first_lone, faithful):
    """A value with all its places of unit ``u`` in a second unit too leaves that one's other cells."""
    count, first = 0, -1
    shared = np.ones(3, np.bool_)
    for k in range(units.shape[1]):
        cell = units[u, k]
        if cand[cell] & bit:
            if first < 0:
                first = cell
            for kind in range(3):
                shared[kind] &= unit_of[cell, kind] == unit_of[first, kind]
            count += 1
    if count < 2 or (faithful and count != 2):
        return False
    for kind in range(3):
        other = unit_of[first, kind]
        if not shared[kind] or other == u:
            continue
        changed = False
        for k in range(units.shape[1]):
            cell = units[other, k]
            if unit_of[cell, 0] != u and unit_of[cell, 1] != u and unit_of[cell, 2] != u:
                changed |= remove(cell, bit, cand, unit_of, dirty, first_lone)
        if changed:
            return True
    return False


@njit(cache=True, nogil=True)
def _locked(cand, units, unit_of, dirty, first_lone, faithful):
    """Claiming (line into box), then pointing (box into line); values in the order of first appearance."""
    n = units.shape[1]
    for u in range(units.shape[0]):
        if dirty[u] >> LOCKED & 1 == 0:
            continue
        seen = 0
        for k in range(n):
            mask = cand[units[u, k]]
            if mask & ~seen == 0:
                continue
            as_set = faithful and n == 9 and count_bits(mask) <= 4
            for i in range(n):
                value = i
                if as_set:
                    value = SET_ORDER_WITH_1[i] if mask & 1 else SET_ORDER[i]
                bit = 1 << value
                if mask & ~seen & bit and _locked_value(
                    u, bit, cand, units, unit_of, dirty, first_lone, faithful
                ):
                    return True
            seen |= mask
        dirty[u] &= ~(1 << LOCKED)
    return False


@njit(cache=True, nogil=True)
def _xy_wing(cand, unit_of, peers, sees, dirty, first_lone, faithful):
    for pivot in range(len(cand)):
        xy = cand[pivot]
        if not _is_pair(xy):
            continue
        for i in range(peers.shape[1] - 1):
            a = peers[pivot, i]
            xz = cand[a]
            if not _is_pair(xz) or count_bits(xy & xz) != 1:
                continue
            for j in range(i + 1, peers.shape[1]):
                b = peers[pivot, j]
                if cand[b] != xy ^ xz or (faithful and sees[a, b]):
                    continue
                low, high = a, b
                if faithful:  # unsound where the pivot is the first or the last of the three
                    low, high = min(pivot, a), max(pivot, b)
                value = cand[low] & cand[high]
                changed = False
                for k in range(peers.shape[1]):
                    if sees[high, peers[low, k]]:
                        changed |= remove(peers[low, k], value, cand, unit_of, dirty, first_lone)
                if changed:
                    return True
    return False


@njit(cache=True, nogil=True)
def _corner(cells, cand, clues, unit_of, dirty, first_lone):
    """Type 1 on four cells: three hold the same pair alone, so the fourth may hold neither of its values."""
    for k in range(4):
        if clues[cells[k]]:
            return False
    for k in range(4):
        pair = cand[cells[(k + 1) % 4]]
        if _is_pair(pair) and pair == cand[cells[(k + 2) % 4]] and pair == cand[cells[(k + 3) % 4]]:
            return remove(cells[k], pair, cand, unit_of, dirty, first_lone)
    return False


@njit(cache=True, nogil=True)
def _unique_rectangle(cand, clues, unit_of, dirty, first_lone):
    n = int(np.sqrt(len(cand)))
    cells = np.empty(4, np.int64)
    for top in range(n - 1):
        for bottom in range(top + 1, n):
            for left in range(n - 1):
                for right in range(left + 1, n):
                    # Two boxes in all: exactly one of the two pairs of sides lies in one box.
                    stacked = unit_of[top * n + left, 2] == unit_of[bottom * n + left, 2]
                    level = unit_of[top * n + left, 2] == unit_of[top * n + right, 2]
                    if stacked == level:
                        continue
                    cells[0], cells[1] = top * n + left, top * n + right
                    cells[2], cells[3] = bottom * n + left, bottom * n + right
                    if _corner(cells, cand, clues, unit_of, dirty, first_lone):
                        return True
    return False


@njit(cache=True, nogil=True)
def eliminate(cand, clues, units, unit_of, peers, sees, dirty, first_lone, faithful):
    """Applies the first instance of the easiest elimination that changes something; its id, or 0."""
    if _naked_pair(cand, units, unit_of, peers, sees, dirty, first_lone):
        return NAKED_PAIR
    if _naked_triple(cand, units, unit_of, peers, sees, dirty, first_lone, faithful):
        return NAKED_TRIPLE
    if _locked(cand, units, unit_of, dirty, first_lone, faithful):
        return LOCKED
    if _xy_wing(cand, unit_of, peers, sees, dirty, first_lone, faithful):
        return XY_WING
    if _unique_rectangle(cand, clues, unit_of, dirty, first_lone):
        return UNIQUE_RECTANGLE
    return 0
