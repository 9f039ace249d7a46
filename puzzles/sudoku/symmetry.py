# mypy: disable-error-code="no-untyped-def"
"""The symmetries of Sudoku: random ones for augmentation, and a hash that none of them changes.

The group: renaming values, permuting bands and stacks, rows within a band, columns within a stack, and
transposition where boxes are square (Russell and Jarvis 2006: 9! x 1,296^2 x 2 for 3x3 boxes).
"""

import numpy as np
from numba import njit

from puzzles.kernels import below, mix, shuffle

ROUNDS = 3


@njit(cache=True, nogil=True)
def random_lines(groups, size, rng, out):
    """A random permutation of ``groups * size`` lines that keeps groups together, into ``out``."""
    order = np.arange(groups)
    shuffle(order, rng)
    for group in range(groups):
        inner = np.arange(size)
        shuffle(inner, rng)
        for k in range(size):
            out[group * size + k] = order[group] * size + inner[k]


@njit(cache=True, nogil=True)
def random_symmetry(box_rows, box_cols, rng, source, rename):
    """A uniformly random symmetry: cell i takes what ``source[i]`` holds, v becomes ``rename[v]``."""
    n = box_rows * box_cols
    rows = np.empty(n, np.int64)
    columns = np.empty(n, np.int64)
    random_lines(box_cols, box_rows, rng, rows)
    random_lines(box_rows, box_cols, rng, columns)
    turned = box_rows == box_cols and below(rng, 2) == 1
    for row in range(n):
        for column in range(n):
            a, b = rows[row], columns[column]
            source[row * n + column] = b * n + a if turned else a * n + b
    rename[0] = 0
    for value in range(1, n + 1):
        rename[value] = value
    shuffle(rename[1:], rng)


@njit(cache=True, nogil=True)
def augment_many(clues, solution, rank, technique, box_rows, box_cols, seeds, out):
    """Each puzzle under a random symmetry of its own; ``out`` holds four arrays like the first four."""
    n_cells = clues.shape[1]
    source = np.empty(n_cells, np.int64)
    rename = np.empty(box_rows * box_cols + 1, np.int8)
    rng = np.empty(1, np.uint64)
    for row in range(len(clues)):
        rng[0] = seeds[row]
        random_symmetry(box_rows, box_cols, rng, source, rename)
        for cell in range(n_cells):
            old = source[cell]
            out[0][row, cell] = rename[clues[row, old]]
            out[1][row, cell] = rename[solution[row, old]]
            out[2][row, cell] = rank[row, old]
            out[3][row, cell] = technique[row, old]


@njit(cache=True, nogil=True)
def invariant_hash(clues, unit_of):
    """uint64 that symmetric puzzles share: labels of clues, refined by those in their units and values.

    Weisfeiler and Leman's refinement on the clues, with rows and columns treated alike. Different puzzles may
    collide; symmetric ones never differ.
    """
    n = unit_of[-1, 0] + 1
    label = np.zeros(len(clues), np.uint64)
    for _ in range(ROUNDS):
        group = np.zeros((4, n), np.uint64)
        for cell in range(len(clues)):
            if clues[cell]:
                weight = mix(label[cell] + np.uint64(1))
                for k in range(3):
                    group[k, unit_of[cell, k] - k * n] += weight
                group[3, clues[cell] - 1] += weight
        for cell in range(len(clues)):
            if clues[cell]:
                lines = mix(group[0, unit_of[cell, 0]]) + mix(group[1, unit_of[cell, 1] - n])
                box = mix(group[2, unit_of[cell, 2] - 2 * n] ^ np.uint64(0x5DEECE66D))
                value = mix(group[3, clues[cell] - 1] ^ np.uint64(0xB5026F5AA96619E9))
                label[cell] = mix(label[cell] + lines + np.uint64(3) * box + np.uint64(5) * value)
    total = np.uint64(0)
    for cell in range(len(clues)):
        if clues[cell]:
            total += mix(label[cell])
    return mix(total)


@njit(cache=True, nogil=True)
def invariant_hash_many(clues, unit_of, out):
    """`invariant_hash` of each row of a batch into uint64 ``out [batch]``."""
    for row in range(len(clues)):
        out[row] = invariant_hash(clues[row], unit_of)
