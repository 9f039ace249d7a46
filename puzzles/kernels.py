# mypy: disable-error-code="no-untyped-def"
"""Kernels that several families use: random numbers of a keyed stream, and bits."""

import numpy as np
from numba import njit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True, inline="always")
def mix(x):
    """splitmix64's finaliser (Steele et al., OOPSLA 2014): uint64 to uint64."""
    x = np.uint64(x)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True, inline="always")
def below(rng, n):
    """A random integer in ``0 .. n - 1``; ``rng`` is uint64 ``[1]``, splitmix64's state."""
    rng[0] += GOLDEN
    return np.int64((mix(rng[0]) >> np.uint64(32)) * np.uint64(n) >> np.uint64(32))


@njit(cache=True, nogil=True)
def shuffle(items, rng):
    """Fisher and Yates, in place."""
    for i in range(len(items) - 1, 0, -1):
        j = below(rng, i + 1)
        items[i], items[j] = items[j], items[i]


@njit(cache=True, nogil=True)
def count_bits(mask):
    """Number of set bits."""
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count
