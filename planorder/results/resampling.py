"""Intervals over puzzles that no formula of `stats` gives: Student's t without bounds, and the bootstrap."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from puzzles.base import UserInputError

DRAWS = 2000
"""Resamples of an interval."""
CHUNK = 2_000_000
"""Counts held at a time."""


def t_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of one number a puzzle, and its Student t interval; of one puzzle, or equal ones, a point.

    Args:
        values: ``[puzzles]``, finite; none at all give nan three times.
        level: two-sided confidence.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    found = np.asarray(values, float)
    if not len(found):
        return float("nan"), float("nan"), float("nan")
    mean, half = float(found.mean()), 0.0
    if len(found) > 1:
        half = float(stats.t.ppf(0.5 + level / 2, len(found) - 1) * found.std(ddof=1)) / sqrt(len(found))
    return mean, mean - half, mean + half


def resampled(n: int, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each of n puzzles is in each of ``draws`` samples of n with replacement.

    Gives int64 ``[some, n]`` at a time, every row of which sums to n: a statistic of sums is a product with
    it. The same seed gives the same samples, so that two statistics of the same puzzles are paired.

    Source: B. Efron, "Bootstrap methods: another look at the jackknife", Ann. Statist. 7 (1979).
    """
    if n < 1:
        raise UserInputError(f"resampling {n} puzzles: expected at least one; decode some first")
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // n)
    for start in range(0, draws, rows):
        size = min(rows, draws - start)
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)


def resampled_sums(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """float64 ``[draws, columns]``: sums over resampled puzzles of ``values [puzzles, columns]``."""
    return np.concatenate([counts @ values.astype(float) for counts in resampled(len(values), draws, seed)])


def percentile_interval(drawn: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The middle ``level`` of the resampled values ``[draws]`` of a statistic."""
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def basic_interval(estimate: float, drawn: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval mirrored at the estimate, cut at 0: for what resampling biases upwards.

    A statistic of absolute differences, as `calibration.ece`, is larger in a resample than in its sample by
    about as much as it is larger in the sample than in truth. Mirroring takes that back.
    """
    low, high = percentile_interval(drawn, level)
    return max(2 * estimate - high, 0.0), max(2 * estimate - low, 0.0)
