# mypy: disable-error-code="no-untyped-def"
"""Search on bit boards: counts the solutions of Sudokus, as numba functions.

The rows are cut into bands of ``box_rows`` rows, and one int64 holds a set of cells of a band (at most 64, so
boxes up to 4x4): cell ``c`` is bit ``c % width`` of band ``c // width``. A state is int64 ``[n + 1, bands]``:
``state[v - 1]`` holds the cells where value ``v`` may stand, ``state[n]`` those not yet placed. One pass over
the values thus finds all cells of a band that have one candidate.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from puzzles.sudoku.logical import geometry

UNLIMITED = 1 << 62
"""A budget of guesses that is never spent."""


class Masks(NamedTuple):
    """A box shape as masks over the cells of a band.

    Attributes:
        box_rows: rows of a box and of a band.
        n: number of values, of columns.
        width: number of cells of a band.
        full: all cells of a band.
        row: its first row.
        column: its first column.
        units: int64 ``[2 box_rows]``; the cells of each row, then of each box of a band.
        sees: int64 ``[cells, bands]``; the other cells in the units of a cell.
    """

    box_rows: int
    n: int
    width: int
    full: int
    row: int
    column: int
    units: np.ndarray
    sees: np.ndarray


@cache
def band_masks(box_rows: int, box_cols: int) -> Masks:
    """The masks of boxes of ``box_rows`` rows and ``box_cols`` columns; shared, so read-only.

    Raises:
        ValueError: bands of more than 64 cells.
    """
    n = box_rows * box_cols
    width = box_rows * n
    if width > 64:
        raise ValueError(f"boxes of {box_rows}x{box_cols} cells: expected bands of at most 64, not {width}")
    shape = geometry(box_rows, box_cols)
    band = shape.unit_of[:width]
    units = np.array([_pack(band[:, kind] == unit) for kind in (0, 2) for unit in np.unique(band[:, kind])])
    sees = np.array([[_pack(part) for part in cell.reshape(-1, width)] for cell in shape.sees])
    for array in (units, sees):
        array.setflags(write=False)
    place = np.arange(width)
    return Masks(box_rows, n, width, _pack(place >= 0), _pack(place < n), _pack(place % n == 0), units, sees)


def _pack(chosen: np.ndarray) -> int:
    """Bools of at most 64 cells as the bits of a signed int64."""
    word = sum(1 << int(bit) for bit in np.flatnonzero(chosen))
    return word - (1 << 64) if word >> 63 else word


@njit(cache=True, nogil=True)
def new_states(masks):
    """Room for a search: uninitialised int64 ``[cells + 1, n + 1, bands]``, the root and a state a guess."""
    cells, bands = masks.sees.shape
    return np.empty((cells + 1, masks.n + 1, bands), np.int64)


@njit(cache=True, nogil=True)
def load_clues(clues, masks, states):
    """Sets the root to what the clues leave (clashing ones an empty cell); False where a clue is no value."""
    n, state, given = masks.n, states[0], states[1]  # no guess is made yet, so the second state is free
    bands = state.shape[1]
    state[:] = masks.full
    given[:] = 0
    for cell in range(len(clues)):
        if clues[cell]:
            value, band, bit = clues[cell] - 1, cell // masks.width, 1 << (cell % masks.width)
            if value < 0 or value >= n:
                return False
            for b in range(bands):
                state[value, b] &= ~masks.sees[cell, b]
            state[n, band] &= ~bit
            given[value, band] |= bit
    for value in range(n):
        for b in range(bands):
            state[value, b] &= state[n, b] | given[value, b]
    return True


@njit(cache=True, nogil=True)
def _index_of(bit):
    """The place of the only set bit of a word: the population count of all lower ones, in parallel."""
    x = np.uint64(bit) - np.uint64(1)
    x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def _place(state, masks, value, b, bit):
    """Fills a cell: it has no other candidate, and those who see it lose its value."""
    cell = b * masks.width + _index_of(bit)
    for k in range(len(state)):
        state[k, b] &= ~bit
    for band in range(state.shape[1]):
        state[value, band] &= ~masks.sees[cell, band]
    state[value, b] |= bit


@njit(cache=True, nogil=True)
def _naked_singles(state, masks):
    """Places the cells with one candidate, band by band; how many, or -1 where a cell has none."""
    placed = 0
    for b in range(state.shape[1]):
        once = twice = 0
        for value in range(masks.n):
            word = state[value, b]
            twice |= once & word
            once |= word
        if once != masks.full:
            return -1
        singles = once & ~twice & state[masks.n, b]
        while singles:
            bit = singles & -singles
            singles ^= bit
            value = 0
            while value < masks.n and state[value, b] & bit == 0:
                value += 1
            if value == masks.n:
                return -1
            _place(state, masks, value, b, bit)
            placed += 1
    return placed


@njit(cache=True, nogil=True)
def _lone_columns(board, masks):
    """The columns with one place for a value, in every row of a band; False where a column has none."""
    once = twice = 0
    for word in board:
        for _ in range(masks.box_rows):
            row = word & masks.row
            twice |= once & row
            once |= row
            word >>= masks.n
    return once == masks.row, (once & ~twice) * masks.column


@njit(cache=True, nogil=True)
def _lone_places(word, masks):
    """The cells of a value that stand alone in a row or box of their band; False where one has no place."""
    lone = 0
    for unit in masks.units:
        cells = word & unit
        if cells == 0:
            return False, lone
        if cells & (cells - 1) == 0:
            lone |= cells
    return True, lone


@njit(cache=True, nogil=True)
def _hidden_singles(state, masks):
    """Places values that have one place in a row, column or box; how many, or -1 where one has none."""
    placed = 0
    for value in range(masks.n):
        alive, in_columns = _lone_columns(state[value], masks)
        if not alive:
            return -1
        for b in range(state.shape[1]):
            word = state[value, b]
            alive, lone = _lone_places(word, masks)
            if not alive:
                return -1
            singles = (lone | (word & in_columns)) & state[masks.n, b]
            while singles:
                bit = singles & -singles
                singles ^= bit
                if state[value, b] & bit == 0:
                    return -1
                _place(state, masks, value, b, bit)
                placed += 1
    return placed


@njit(cache=True, nogil=True)
def propagate_bands(state, masks):
    """Places naked singles, then hidden ones, to the end; False where a cell or a value has no place."""
    while True:
        placed = _naked_singles(state, masks)
        if placed == 0:
            placed = _hidden_singles(state, masks)
        if placed <= 0:
            return placed == 0


@njit(cache=True, nogil=True)
def _choose_cell(state, masks):
    """Band and bit of the first open cell with fewest candidates; bit 0 where no cell is open."""
    for b in range(state.shape[1]):
        once = twice = thrice = 0
        for value in range(masks.n):
            word = state[value, b]
            thrice |= twice & word
            twice |= once & word
            once |= word
        pairs = twice & ~thrice & state[masks.n, b]
        if pairs:
            return b, pairs & -pairs
    best_band, best_bit, fewest = 0, 0, masks.n + 1
    for b in range(state.shape[1]):
        cells = state[masks.n, b]
        while cells:
            bit = cells & -cells
            cells ^= bit
            count = 0
            for value in range(masks.n):
                count += state[value, b] & bit != 0
            if count < fewest:
                best_band, best_bit, fewest = b, bit, count
    return best_band, best_bit


@njit(cache=True, nogil=True)
def _write_grid(state, masks, grid):
    for value in range(masks.n):
        for b in range(state.shape[1]):
            cells = state[value, b]
            while cells:
                bit = cells & -cells
                cells ^= bit
                grid[b * masks.width + _index_of(bit)] = value + 1


@njit(cache=True, nogil=True)
def search_bands(masks, states, limit, budget, first):
    """Counts the completions of the root up to ``limit``, or -1 where ``budget`` guesses do not suffice.

    Guesses the least value of the first cell with fewest candidates; once that is explored, takes it away and
    goes on from there. Writes the first completion to ``first [cells]``. A stack instead of recursion: numba
    cannot load recursive functions from its cache.
    """
    depth = count = 0
    while True:
        state = states[depth]
        alive = propagate_bands(state, masks)
        band, bit = 0, 0
        if alive:
            band, bit = _choose_cell(state, masks)
            if bit == 0:
                if count == 0:
                    _write_grid(state, masks, first)
                count += 1
                if count >= limit:
                    return count
                alive = False
        if not alive:
            if depth == 0:
                return count
            depth -= 1
            continue
        if budget == 0:
            return -1
        budget -= 1
        value = 0
        while state[value, band] & bit == 0:
            value += 1
        states[depth + 1] = state
        state[value, band] &= ~bit
        depth += 1
        _place(states[depth], masks, value, band, bit)


@njit(cache=True, nogil=True)
def count_solutions_many(clues, masks, limit, count, first):
    """Writes int64 ``count [batch]`` up to ``limit`` and int8 ``first [batch, cells]``, 0 where none."""
    states = new_states(masks)
    for row in range(len(clues)):
        count[row] = 0
        first[row] = 0
        if load_clues(clues[row], masks, states):
            count[row] = search_bands(masks, states, limit, UNLIMITED, first[row])
