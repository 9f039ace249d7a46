"""Streams of puzzles: their keys, of which no two splits, tiers or indices share one, and their walk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from puzzles.errors import UserInputError

if TYPE_CHECKING:
    from puzzles.base import AbstractFamily

SPLITS = {"train": (0, 90), "val": (90, 95), "test": (95, 100)}
"""The splits: which of 100 buckets of a symmetry-invariant hash each may hold, so disjoint up to symmetry."""


def stream_keys(version: str, split: str, tier: str, start: int, n: int) -> np.ndarray:
    """uint64 ``[n]``, a key for each of the indices ``start`` to ``start + n - 1`` of a stream.

    The stream's name is hashed with SHA-256 to a base, and key ``i`` is splitmix64's ``i``-th output from
    there (Steele et al., OOPSLA 2014), so that any index costs the same to reach.
    """
    base = int.from_bytes(hashlib.sha256(f"{version}/{split}/{tier}".encode()).digest()[:8], "little")
    return _outputs(np.uint64(base), np.arange(start + 1, start + 1 + n, dtype=np.uint64))


def draw(keys: np.ndarray, n: int, start: int = 0) -> np.ndarray:
    """uint64 ``[batch, n]``: random numbers ``start`` to ``start + n - 1`` of each key (uint64 ``[batch]``).

    They are splitmix64's, a function of the key alone. ``draw(keys, n).argsort(axis=1)`` is a random order of
    ``n`` things a key.
    """
    return _outputs(keys[:, None], np.arange(start + 1, start + 1 + n, dtype=np.uint64))


def _outputs(state: np.uint64 | np.ndarray, index: np.ndarray) -> np.ndarray:
    """splitmix64's outputs number ``index``, from 1, of a generator that begins with ``state``."""
    with np.errstate(over="ignore"):
        key = state + index * np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: np.ndarray = key ^ (key >> np.uint64(31))
    return found


def bucket_of(form: np.ndarray) -> int:
    """Which of the 100 buckets of `SPLITS` a canonical form ``[cells + edge entries]`` belongs to.

    A hash of its values (SHA-256), whatever their integer type.
    """
    return int.from_bytes(hashlib.sha256(form.astype("<i2").tobytes()).digest()[:8], "little") % 100


def states(clues: np.ndarray, edges: np.ndarray | None) -> np.ndarray:
    """bool ``[batch]``: which puzzles state something, a clue or an edge; all others are one and the same."""
    stated = np.any(clues > 0, axis=1)
    return stated if edges is None else stated | np.any(edges >= 0, axis=(1, 2))


def in_split(
    family: AbstractFamily, split: str, clues: np.ndarray, edges: np.ndarray | None = None
) -> np.ndarray:
    """bool ``[batch]``: which puzzles a split may hold, by their bucket.

    A puzzle that states nothing is the same in every split, so that every one may hold it.
    """
    low, high = SPLITS[split]
    kept, stated = np.ones(len(clues), bool), states(clues, edges)
    bucket = family.bucket(clues[stated], None if edges is None else edges[stated])
    kept[stated] = (low <= bucket) & (bucket < high)
    return kept


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
