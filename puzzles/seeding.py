"""Streams of puzzles: their keys, of which no two splits, tiers or indices share one, and their walk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from puzzles.base import AbstractFamily, UserInputError

SPLITS = {"train": (0, 90), "val": (90, 95), "test": (95, 100)}
"""The splits: which of 100 buckets of a symmetry-invariant hash each may hold, so disjoint up to symmetry."""


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


def check_stream(family: AbstractFamily, split: str, tier: str, n: int, start: int, workers: int) -> None:
    """Refuses what no family can generate.

    Raises:
        UserInputError: an unknown split or tier, or a number out of range.
    """
    for kind, value, known in (("split", split, tuple(SPLITS)), ("tier", tier, family.tiers)):
        if value not in known:
            raise UserInputError(f"{kind} {value!r} of {family.name}: expected one of {', '.join(known)}")
    if n < 0 or start < 0 or workers < 1:
        raise UserInputError(f"n={n}, start={start}, workers={workers}: expected 0 or more, and a worker")


def fill_chunks(
    fill: Callable[[slice], None],
    n: int,
    chunk: int,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Calls ``fill`` with the rows of each chunk of ``n``, on threads; reports the size of those done."""
    parts = [slice(low, min(low + chunk, n)) for low in range(0, n, chunk)]
    with ThreadPoolExecutor(workers) as pool:
        for part, _ in zip(parts, pool.map(fill, parts), strict=True):
            if progress:
                progress(part.stop - part.start)
