# mypy: disable-error-code="no-untyped-def"
"""A hash that symmetric Zebra puzzles share: it says which split a puzzle may go to."""

import numpy as np
from numba import njit

from puzzles.kernels import mix
from puzzles.zebra.clues import BETWEEN, ENDS, IMMEDIATE_LEFT, LEFT_OF, MOST, ROWS


@njit(cache=True, nogil=True)
def invariant_hash(edges, houses, attributes, house):
    """uint64 that symmetric puzzles share: value names, attribute order and mirror do not change it.

    Values are known by their house, attributes by what clues say of them (two rounds of refinement), and a
    puzzle and its mirror image are hashed alike. Different puzzles may collide; symmetric ones never differ.
    """
    total = np.uint64(0)
    label = np.empty(ROWS, np.uint64)
    fresh = np.empty(ROWS, np.uint64)
    for mirrored in range(2):
        for row in range(ROWS):
            label[row] = np.uint64(7) if row == 0 else np.uint64(11)
        for _ in range(3):
            fresh[:] = label
            said = np.uint64(0)
            for k in range(len(edges)):
                if edges[k, 0] < 0:
                    break
                word = clue_word(edges[k], houses, house, label, mirrored)
                said += mix(word)
                for member in range(1, 4):
                    cell = edges[k, member]
                    if cell >= 0:
                        role = role_of(edges[k], member, mirrored)
                        h = house[cell] if not mirrored else houses + 1 - house[cell]
                        fresh[cell // MOST] += mix(word + np.uint64(64 * h + 1024 * role))
            for row in range(1, ROWS):
                label[row] = mix(fresh[row])
        total += mix(said)
    return mix(total + np.uint64(houses * 64 + attributes))


@njit(cache=True, nogil=True)
def buckets_many(edges, houses, attributes, house, out):
    """`invariant_hash` modulo 100 of each puzzle of a batch into int64 ``out [batch]``."""
    for row in range(len(edges)):
        hashed = invariant_hash(edges[row], houses[row], attributes[row], house[row])
        out[row] = np.int64(hashed % np.uint64(100))


@njit(cache=True, nogil=True)
def role_of(clue, member, mirrored):
    """The role of a member from 0; 0 for all members that may be swapped, turned round by the mirror."""
    kind = clue[0]
    if kind in (IMMEDIATE_LEFT, LEFT_OF):
        return 2 - member if mirrored else member - 1
    if kind == BETWEEN:
        return 3 - member if mirrored else member - 1
    return 1 if kind == ENDS and member > 1 else 0


@njit(cache=True, nogil=True)
def clue_word(clue, houses, house, label, mirrored):
    """uint64 of what a clue says, with labels in place of attributes."""
    word = np.uint64(0)
    for member in range(1, 4):
        cell = clue[member]
        if cell >= 0:
            h = house[cell] if not mirrored else houses + 1 - house[cell]
            word += mix(label[cell // MOST] + np.uint64(64 * h + 1024 * role_of(clue, member, mirrored)))
    return mix(word + np.uint64(clue[0] + 1))
