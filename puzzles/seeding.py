"""Keys of random streams: no two splits, tiers or indices share one."""

from __future__ import annotations

import hashlib

import numpy as np


def stream_keys(version: str, split: str, tier: str, start: int, n: int) -> np.ndarray:
    """uint64 ``[n]``, a key for each of the indices ``start`` to ``start + n - 1`` of a stream.

    The stream's name is hashed with SHA-256 to a base, and key ``i`` is splitmix64's ``i``-th output from
    there (Steele et al., OOPSLA 2014), so that any index costs the same to reach.
    """
    base = int.from_bytes(hashlib.sha256(f"{version}/{split}/{tier}".encode()).digest()[:8], "little")
    index = np.arange(start + 1, start + 1 + n, dtype=np.uint64)
    with np.errstate(over="ignore"):
        key = np.uint64(base) + index * np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
