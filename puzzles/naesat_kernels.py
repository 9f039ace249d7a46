# mypy: disable-error-code="no-untyped-def"
"""Counts the NAE-SAT sequences that agree with what is given, by search with propagation."""

import numpy as np
from numba import njit

BROKEN, OPEN, MET = -1, 0, 1
ALL_EQUAL = 1
"""The value of an observation whose latents are all equal; else it is 2. ``1 | 2 == 3`` where two differ."""


@njit(cache=True, nogil=True)
def settle(state, seen, triples):
    """Fills the latents ``state [latents]`` that the given observations ``seen`` force.

    Returns `BROKEN` where one cannot hold, `MET` where all hold whatever the blank latents are, else `OPEN`.
    """
    while True:
        changed, answer = False, MET
        for j in range(len(triples)):
            if seen[j] == 0:
                continue
            a, b, c = triples[j, 0], triples[j, 1], triples[j, 2]
            x, y, z = state[a], state[b], state[c]
            values = x | y | z
            filled = (x > 0) + (y > 0) + (z > 0)
            if seen[j] == ALL_EQUAL:
                if values == 3:
                    return BROKEN
                if values == 0:
                    answer = OPEN
                elif filled < 3:
                    state[a] = state[b] = state[c] = values
                    changed = True
            elif values != 3:
                if filled == 3:
                    return BROKEN
                if filled < 2:
                    answer = OPEN
                else:
                    state[a if x == 0 else b if y == 0 else c] = 3 - values
                    changed = True
        if not changed:
            return answer


@njit(cache=True, nogil=True)
def count_sequences(states, seen, triples, limit, first):
    """Counts the latents that agree up to ``limit``, and writes the least to ``first [latents]``.

    ``states [latents + 1, latents]`` is room to work in; its first row holds what is given. Tries 1, then 2,
    at the first blank latent. A stack, not recursion: numba cannot load recursive functions from its cache.
    """
    depth = count = 0
    while depth >= 0:
        state = states[depth]
        answer = settle(state, seen, triples)
        if answer == OPEN:
            cell = 0
            while state[cell]:
                cell += 1
            states[depth + 1] = state
            states[depth + 1, cell] = 1
            state[cell] = 2  # what is left to try here when the search comes back
            depth += 1
            continue
        if answer == MET:
            if count == 0:
                first[:] = np.maximum(state, 1)
            blank = (state == 0).sum()
            below = limit - count
            count += below if blank >= 62 else min(below, 1 << blank)
            if count >= limit:
                return count
        depth -= 1
    return count


@njit(cache=True, nogil=True)
def count_sequences_many(clues, triples, limit, count, first):
    """Writes ``count [batch]`` and ``first [batch, latents]`` for ``clues [batch, cells]``."""
    latents = first.shape[1]
    states = np.empty((latents + 1, latents), np.int8)
    for row in range(len(clues)):
        states[0] = clues[row, :latents]
        count[row] = count_sequences(states, clues[row, latents:], triples, limit, first[row])
