# mypy: disable-error-code="no-untyped-def"
"""Makes Sudokus: minimal ones, ones with a wanted number of clues, and the streams of the splits."""

from __future__ import annotations

import numpy as np
from numba import njit

from puzzles.base import UserInputError
from puzzles.kernels import mix, shuffle
from puzzles.sudoku.band_kernels import band_masks, load_clues, new_states, search_bands
from puzzles.sudoku.kernels import random_grid
from puzzles.sudoku.logical import geometry
from puzzles.sudoku.logical_kernels import solve_one
from puzzles.sudoku.symmetry import invariant_hash
from puzzles.sudoku.technique_kernels import SEARCH

GUESSES = 20_000
"""Guesses after which a clue counts as needed; boxes up to 3x3 never come near it."""
TRIES = 100_000
"""Attempts after which a stream gives up on an index."""


@njit(cache=True, nogil=True)
def needed(clues, cell, budget, masks, states, scratch):
    """Whether the clue of ``cell`` keeps the solution unique: without it another value leads to a solution.

    A search that ``budget`` guesses do not finish counts as needed, so that uniqueness is never lost.
    """
    value = clues[cell]
    clues[cell] = 0
    load_clues(clues, masks, states)
    clues[cell] = value
    states[0, value - 1, cell // masks.width] &= ~(1 << (cell % masks.width))
    return search_bands(masks, states, 1, budget, scratch) != 0


@njit(cache=True, nogil=True)
def dig(clues, least, budget, masks, states, rng, scratch):
    """Removes clues in random order while the solution stays unique and more than ``least`` are left."""
    order = np.arange(len(clues))
    shuffle(order, rng)
    left = len(clues)
    for cell in order:
        if left <= least:
            break
        if not needed(clues, cell, budget, masks, states, scratch):
            clues[cell] = 0
            left -= 1


@njit(cache=True, nogil=True)
def dig_many(seeds, least, budget, masks, units, unit_of, peers, clues, solution):
    """A puzzle a seed: a random grid, dug until no clue can go or ``least`` are left; writes the last two."""
    n_cells = len(unit_of)
    cands = np.empty((n_cells + 1, n_cells), np.int32)
    dones = np.empty((n_cells + 1, n_cells), np.bool_)
    queue = np.empty(n_cells * 4, np.int64)
    states = new_states(masks)
    scratch = np.empty(n_cells, np.int8)
    rng = np.empty(1, np.uint64)
    for row in range(len(seeds)):
        rng[0] = mix(seeds[row]) | np.uint64(1)
        random_grid(cands, dones, queue, units, unit_of, peers, rng, solution[row])
        clues[row] = solution[row]
        dig(clues[row], least, budget, masks, states, rng, scratch)


@njit(cache=True, nogil=True)
def stream(
    keys,
    hard,
    low,
    high,
    budget,
    tries,
    masks,
    units,
    unit_of,
    peers,
    sees,
    clues,
    solution,
    rank,
    technique,
    hardest,
):
    """A puzzle a key: digs minimal puzzles until one is of the tier and its hash of the split.

    ``low <= invariant_hash % 100 < high`` says which puzzles a split may hold. Returns the first row for
    which ``tries`` attempts found none, or -1.
    """
    n_cells = len(unit_of)
    cands = np.empty((n_cells + 1, n_cells), np.int32)
    dones = np.empty((n_cells + 1, n_cells), np.bool_)
    queue = np.empty(n_cells * 4, np.int64)
    states = new_states(masks)
    scratch = np.empty(n_cells, np.int8)
    rng = np.empty(1, np.uint64)
    for row in range(len(keys)):
        rng[0] = keys[row] | np.uint64(1)
        found = False
        for _ in range(tries):
            random_grid(cands, dones, queue, units, unit_of, peers, rng, solution[row])
            clues[row] = solution[row]
            dig(clues[row], 0, budget, masks, states, rng, scratch)
            bucket = invariant_hash(clues[row], unit_of) % np.uint64(100)
            if bucket < low or bucket >= high:
                continue
            hardest[row] = solve_one(
                clues[row], solution[row], units, unit_of, peers, sees, False, rank[row], technique[row]
            )
            if (hardest[row] == SEARCH) == hard:
                found = True
                break
        if not found:
            return row
    return -1


def make_puzzles(
    n: int, rng: np.random.Generator, box_rows: int = 3, box_cols: int = 3, clues: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Puzzles with one solution: minimal ones, or with a wanted number of clues.

    Args:
        n: how many.
        rng: source of their seeds.
        box_rows: rows of a box.
        box_cols: columns of a box.
        clues: least number of clues; digging stops there, so puzzles have that many, or more where no
            further clue can go. 0 digs until the puzzle is minimal.

    Returns:
        int8 ``[n, cells]`` clues and int8 ``[n, cells]`` solutions.

    Raises:
        UserInputError: more clues than cells, or fewer than none.
    """
    shape = geometry(box_rows, box_cols)
    n_cells = len(shape.unit_of)
    if not 0 <= clues <= n_cells:
        raise UserInputError(f"clues={clues}: expected 0 (minimal) to {n_cells}, the number of cells")
    puzzles, solution = np.empty((n, n_cells), np.int8), np.empty((n, n_cells), np.int8)
    seeds = rng.integers(0, 2**64, n, dtype=np.uint64)
    dig_many(
        seeds,
        clues,
        guess_budget(box_rows, box_cols),
        band_masks(box_rows, box_cols),
        shape.units,
        shape.unit_of,
        shape.peers,
        puzzles,
        solution,
    )
    return puzzles, solution


def guess_budget(box_rows: int, box_cols: int) -> int:
    """Guesses a digging test may take: beyond 3x3 boxes minimality would cost hours, so it ends early."""
    return GUESSES if box_rows * box_cols <= 9 else 50
