"""Intervals and paired tests for shares of puzzles solved."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from puzzles.base import UserInputError


def wilson(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a binomial share.

    Args:
        successes: counts, any shape.
        n: trials, broadcast against ``successes``; 0 trials give the interval from 0 to 1.
        level: two-sided confidence, in (0, 1).

    Returns:
        Lower and upper ends, float64 in 0..1, of the broadcast shape.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927).
    """
    k, trials = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    if not 0 < level < 1:
        raise UserInputError(f"level {level} is no confidence level: give a number between 0 and 1")
    if np.any(k < 0) or np.any(k > trials):
        raise UserInputError(
            "successes outside 0..n: give counts of successes and the trials they are out of"
        )
    z = stats.norm.ppf(0.5 + level / 2)
    # with no trial every formula below is 0 / 0; one trial in its place is overwritten at the end
    m = np.where(trials > 0, trials, 1.0)
    share = k / m
    centre = (share + z**2 / (2 * m)) / (1 + z**2 / m)
    half = z / (1 + z**2 / m) * np.sqrt(share * (1 - share) / m + z**2 / (4 * m**2))
    # at 0 and at n the algebra gives exactly 0 and 1, which rounding would miss
    low = np.where(k == 0, 0.0, centre - half)
    high = np.where(k == trials, 1.0, centre + half)
    return low, high


def mean_interval(shares: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of shares, one a puzzle: puzzles are the units, not their cells.

    Shares that are all 0 or all 1 have no spread to go by; a mean is no less than the share of ones, so there
    it is Wilson's interval of that share. So it is for a single puzzle, whose interval is all of 0..1
    otherwise.

    Args:
        shares: ``[puzzles]``, each in 0..1; at least one.
        level: two-sided confidence, in (0, 1).

    Returns:
        Lower and upper end, within 0..1.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    found = np.asarray(shares, float)
    if found.ndim != 1 or not len(found) or not np.all((found >= 0) & (found <= 1)):
        raise UserInputError(f"interval of {found.shape} shares: give a flat list of at least one, in 0..1")
    if found.min() == found.max() and found[0] in (0, 1):
        low, high = wilson(found.sum(), len(found), level)
        return float(low), float(high)
    if len(found) == 1:
        return 0.0, 1.0
    if not 0 < level < 1:
        raise UserInputError(f"level {level} is no confidence level: give a number between 0 and 1")
    half = stats.t.ppf(0.5 + level / 2, len(found) - 1) * found.std(ddof=1) / sqrt(len(found))
    return float(max(found.mean() - half, 0)), float(min(found.mean() + half, 1))


@dataclass(frozen=True)
class PairedTest:
    """Two rules on the same puzzles.

    Attributes:
        n: puzzles.
        difference: share solved by the first minus share solved by the second.
        low: lower end of the confidence interval of the difference.
        high: upper end.
        only_first: puzzles that only the first solves.
        only_second: puzzles that only the second solves.
        p: two-sided p-value of the exact McNemar test, not adjusted for other tests.
    """

    n: int
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float


def paired_exact(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> PairedTest:
    """Exact McNemar test of two rules on the same puzzles, with an interval of the difference.

    Under the null hypothesis each discordant puzzle goes either way with probability 1/2, so the
    p-value is a two-sided binomial tail; without discordant puzzles it is 1. The interval is the
    score interval of Newcombe, which does not shrink to a point there.

    Args:
        a: bool ``[n]``, which puzzles the first rule solves.
        b: bool ``[n]``, the same puzzles under the second.
        level: confidence of the interval.

    Raises:
        UserInputError: different lengths, or no puzzle.

    Sources: Q. McNemar, Psychometrika 12 (1947); R. G. Newcombe, "Improved confidence intervals for
    the difference between binomial proportions based on paired data", Statistics in Medicine 17 (1998),
    method 10.
    """
    first, second = np.asarray(a, bool), np.asarray(b, bool)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise UserInputError(
            f"paired test of shapes {first.shape} and {second.shape}: give one answer a puzzle, same puzzles"
        )
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant = only_first + only_second
    p = stats.binomtest(only_first, discordant, 0.5).pvalue if discordant else 1.0
    low, high = _newcombe(both, only_first, only_second, neither, level)
    return PairedTest(
        n=len(first),
        difference=(only_first - only_second) / len(first),
        low=low,
        high=high,
        only_first=only_first,
        only_second=only_second,
        p=float(p),
    )


def paired_means(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> PairedTest:
    """Paired t test of two rules' shares on the same puzzles; ``p`` is that of no difference in the mean.

    Where all puzzles differ by as much, a t test has no spread to go by: the interval is a point, and p 1
    without a difference, else 0. So it is for a single puzzle, whose interval is all of -1..1 and p 1.

    Args:
        a: ``[puzzles]``, shares in 0..1 of the first rule.
        b: the same of the second.
        level: two-sided confidence of the interval.

    Returns:
        A `PairedTest` whose counts are the puzzles on which one share is larger.

    Raises:
        UserInputError: different lengths, or no puzzle.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise UserInputError(
            f"paired test of shapes {first.shape} and {second.shape}: give one share a puzzle, same puzzles"
        )
    apart, n = first - second, len(first)
    mean, low, high, p = float(apart.mean()), -1.0, 1.0, 1.0
    if n > 1:
        error = float(apart.std(ddof=1)) / sqrt(n)
        half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
        low, high = max(mean - half, -1.0), min(mean + half, 1.0)
        p = float(2 * stats.t.sf(abs(mean) / error, n - 1)) if error else float(mean == 0)
    return PairedTest(n, mean, low, high, int((apart > 0).sum()), int((apart < 0).sum()), p)


def _newcombe(a: int, b: int, c: int, d: int, level: float) -> tuple[float, float]:
    """Newcombe's method 10 for the table [[a, b], [c, d]] of pairs; b and c are the discordant counts."""
    n = a + b + c + d
    p1, p2 = (a + b) / n, (a + c) / n
    (l1, l2), (u1, u2) = wilson([a + b, a + c], n, level)
    covariance = float(a * d - b * c)
    if covariance > 0:
        covariance = max(covariance - n / 2, 0)  # his continuity correction, on positive correlation only
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    phi = covariance / sqrt(margins) if margins else 0.0
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    return float(p1 - p2 - sqrt(max(below, 0))), float(p1 - p2 + sqrt(max(above, 0)))


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's step-down adjustment of p-values, float64 ``[tests]``, in the order given.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    raw = np.asarray(p, float)
    if raw.ndim != 1 or not np.all((raw >= 0) & (raw <= 1)):
        raise UserInputError("p-values outside 0..1: give a flat list of probabilities")
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
