# mypy: disable-error-code="no-untyped-def"
"""The logical solver of one Sudoku, as a numba function that other kernels may call."""

import numpy as np
from numba import njit

from puzzles.sudoku.technique_kernels import (
    ALL_DIRTY,
    HIDDEN_SINGLE,
    LONE_SINGLE,
    SEARCH,
    count_bits,
    eliminate,
    hidden_single,
    lone_single,
    place,
)


@njit(cache=True, nogil=True)
def _pencil(board, n_values, cand, unit_of, peers, dirty, first_lone):
    """All candidates that the filled cells leave, forgetting every other elimination."""
    cand[:] = (1 << n_values) - 1
    dirty[:] = ALL_DIRTY
    first_lone[0] = 0
    for cell in range(len(board)):
        if board[cell]:
            cand[cell] = 0
    for cell in range(len(board)):
        if board[cell]:
            bit = 1 << (board[cell] - 1)
            for k in range(peers.shape[1]):
                cand[peers[cell, k]] &= ~bit


@njit(cache=True, nogil=True)
def _given_up(board, solution, n_values, cand, unit_of, peers, dirty, first_lone):
    """The blank cell with fewest candidates, pencilled anew if an elimination took a true candidate."""
    for cell in range(len(board)):
        if board[cell] == 0 and cand[cell] >> (solution[cell] - 1) & 1 == 0:
            _pencil(board, n_values, cand, unit_of, peers, dirty, first_lone)
            break
    best, fewest = -1, n_values + 1
    for cell in range(len(board)):
        if board[cell] == 0 and count_bits(cand[cell]) < fewest:
            best, fewest = cell, count_bits(cand[cell])
    return best


@njit(cache=True, nogil=True)
def solve_one(clues, solution, units, unit_of, peers, sees, faithful, rank_out, technique_out):
    """Solves one puzzle by logic, easiest technique first; see `logical.solve_logically` for the rules.

    Args:
        clues: int8 ``[cells]``, 0 blank.
        solution: int8 ``[cells]``, the solved grid.
        units: int16 ``[3 n, n]``, cells of the rows, the columns, the boxes.
        unit_of: int16 ``[cells, 3]``, row, column and box of a cell as indices into ``units``.
        peers: int16 ``[cells, peers]``, ascending.
        sees: bool ``[cells, cells]``, whether two cells are peers.
        faithful: the engine's variant of the rules instead of the textbook's.
        rank_out: int16 ``[cells]``, written.
        technique_out: int8 ``[cells]``, written.

    Returns:
        The hardest technique needed (int).
    """
    n_values = units.shape[1]
    board = clues.copy()
    cand = np.empty(len(clues), np.int64)
    dirty = np.empty(len(units), np.int64)
    first_lone = np.zeros(1, np.int64)
    _pencil(board, n_values, cand, unit_of, peers, dirty, first_lone)
    blanks = 0
    for cell in range(len(clues)):
        rank_out[cell] = -1
        technique_out[cell] = 0
        blanks += clues[cell] == 0
    hardest = worst = filled = 0
    while filled < blanks:
        used, bit = LONE_SINGLE, np.int64(0)
        cell = lone_single(cand, first_lone)
        if cell >= 0:
            bit = cand[cell]
        else:
            used = HIDDEN_SINGLE
            cell, bit = hidden_single(cand, units, dirty)
        if cell < 0:
            used = eliminate(cand, clues, units, unit_of, peers, sees, dirty, first_lone, faithful)
            if used:
                worst = max(worst, used)
                continue
        if cell < 0 or bit != 1 << (solution[cell] - 1):
            used = SEARCH
            cell = _given_up(board, solution, n_values, cand, unit_of, peers, dirty, first_lone)
        board[cell] = solution[cell]
        rank_out[cell] = filled
        technique_out[cell] = max(worst, used)
        hardest = max(hardest, worst, used)
        place(cell, 1 << (solution[cell] - 1), cand, unit_of, peers, dirty, first_lone)
        filled += 1
        worst = 0
    return hardest


@njit(cache=True, nogil=True)
def solve_many(clues, solution, units, unit_of, peers, sees, faithful, rank_out, technique_out, hardest_out):
    """`solve_one` for each row of a batch."""
    for row in range(len(clues)):
        hardest_out[row] = solve_one(
            clues[row],
            solution[row],
            units,
            unit_of,
            peers,
            sees,
            faithful,
            rank_out[row],
            technique_out[row],
        )
