"""Whether a network knows what it knows: the probability a cell was filled with against its being right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from planorder.results.evaluate import counted_and_wrong
from planorder.results.resampling import DRAWS, basic_interval, percentile_interval, resampled_sums
from planorder.results.stats import wilson
from puzzles.base import AbstractFamily, PuzzleBatch

THIRDS = ("first third", "middle third", "last third")
PARTS = ("all", "up to first error", *THIRDS)
"""Of the steps of a puzzle: all; those before which nothing was wrong; thirds."""
BINS = 10


@dataclass(frozen=True)
class Committed:
    """Cells that were filled, and judged.

    Attributes:
        puzzle: int64 ``[cells]``, the row of the batch.
        prob: float64 ``[cells]``, the probability the value had when it was filled.
        right: bool ``[cells]``.
        third: int64 ``[cells]``: 0, 1, 2 for the first, middle and last third of its puzzle's steps.
        sound: bool ``[cells]``: no judged cell filled at an earlier step was wrong.
    """

    puzzle: np.ndarray
    prob: np.ndarray
    right: np.ndarray
    third: np.ndarray
    sound: np.ndarray

    def take(self, chosen: np.ndarray) -> Committed:
        """The cells of ``chosen``, bool ``[cells]``."""
        arrays = (self.puzzle, self.prob, self.right, self.third, self.sound)
        return Committed(*(array[chosen] for array in arrays))


def committed(
    family: AbstractFamily, batch: PuzzleBatch, cells: np.ndarray, step: np.ndarray, prob: np.ndarray
) -> Committed:
    """The judged cells of a decode, from arrays ``[batch, cells]`` as `Decoded` has them."""
    counted, wrong = counted_and_wrong(family, batch, cells)
    filled = counted & (step >= 0)
    third = 3 * step.astype(np.int64) // (step.max(axis=1, initial=0, keepdims=True).astype(np.int64) + 1)
    first_error = np.where(wrong & filled, step, np.iinfo(step.dtype).max).min(axis=1, keepdims=True)
    arrays = (prob.astype(float), ~wrong, third, step <= first_error)
    return Committed(np.nonzero(filled)[0], *(array[filled] for array in arrays))


def bins_of(prob: np.ndarray, bins: int = BINS, equal_mass: bool = False) -> np.ndarray:
    """int64 ``[cells]``: the bin of each probability, from 0.

    Equal width: bin b is (b / bins, (b + 1) / bins], with 0 in bin 0. Equal mass: cut at the quantiles i /
    bins; equal probabilities stay together, so that bins may be empty or larger.
    """
    if equal_mass:
        cuts = np.quantile(prob, np.arange(1, bins) / bins, method="inverted_cdf") if len(prob) else []
        return np.searchsorted(np.unique(cuts), prob, side="left")
    # the tolerance keeps 0.7, which is 7 / 10 and a bit in float32, in its bin
    return np.clip(np.ceil(prob * bins - 1e-6).astype(np.int64) - 1, 0, bins - 1)


def reliability(cells: Committed, bins: int = BINS, equal_mass: bool = False) -> pd.DataFrame:
    """The reliability table: how often the cells of a bin are right, against what the network said.

    Returns:
        A row a bin that has cells: bin, n, confidence (mean probability), right (share), low, high (95%
        Wilson, cells taken as independent, which those of a puzzle are not).
    """
    place = bins_of(cells.prob, bins, equal_mass)
    n, said, right = (np.bincount(place, weights=w, minlength=bins) for w in (None, cells.prob, cells.right))
    some = np.flatnonzero(n)
    low, high = wilson(right[some], n[some])
    return pd.DataFrame(
        {
            "bin": some,
            "n": n[some],
            "confidence": said[some] / n[some],
            "right": right[some] / n[some],
            "low": low,
            "high": high,
        }
    )


def ece(
    cells: Committed, bins: int = BINS, equal_mass: bool = False, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float, float]:
    """Expected calibration error: sum over bins of n_b / n |right_b - confidence_b| (arXiv:1706.04599).

    With the 95% interval of a bootstrap over puzzles, since cells of a puzzle are right or wrong together:
    the basic one, as resampling adds to absolute differences (`resampling.basic_interval`). Bins stay those
    of the sample. The estimate itself is too high by chance where bins have few cells; bins of equal mass
    (arXiv:1904.01685) have less of that.

    Returns:
        Estimate, lower and upper end; nan without cells.
    """
    if not len(cells.prob):
        return float("nan"), float("nan"), float("nan")
    puzzles, puzzle = np.unique(cells.puzzle, return_inverse=True)
    place = puzzle * bins + bins_of(cells.prob, bins, equal_mass)
    shape, size = (len(puzzles), bins), len(puzzles) * bins
    gap = np.bincount(place, weights=cells.right - cells.prob, minlength=size).reshape(shape)
    n = np.bincount(puzzle, minlength=len(puzzles))
    estimate = float(np.abs(gap.sum(axis=0)).sum() / n.sum())
    drawn = resampled_sums(np.column_stack([gap, n]), draws, seed)
    return estimate, *basic_interval(estimate, np.abs(drawn[:, :-1]).sum(axis=1) / drawn[:, -1])


def brier(cells: Committed, draws: int = DRAWS, seed: int = 0) -> tuple[float, float, float]:
    """Brier score of the committed values, mean of (prob - right)^2, with a bootstrap interval over puzzles.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", Mon. Weather Rev. 78
    (1950), for the event that the value put there is right.

    Returns:
        Estimate, lower and upper end (95%, percentile); nan without cells.
    """
    if not len(cells.prob):
        return float("nan"), float("nan"), float("nan")
    _, puzzle = np.unique(cells.puzzle, return_inverse=True)
    loss = np.bincount(puzzle, weights=(cells.prob - cells.right) ** 2)
    n = np.bincount(puzzle)
    drawn = resampled_sums(np.column_stack([loss, n]), draws, seed)
    return float(loss.sum() / n.sum()), *percentile_interval(drawn[:, 0] / drawn[:, 1])


def calibration(cells: Committed, bins: int = BINS, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Calibration of all cells, of those up to the first error, and of each third of the steps.

    After an error the state has no solution any more, so that what follows says little of the network.

    Returns:
        A row a part of `PARTS` that has cells: part, n (cells), confidence (mean), right (share), and ece
        (equal width), ece_mass (equal mass), brier, each with ``_low`` and ``_high``.
    """
    rows: list[dict[str, object]] = []
    everything = np.ones(len(cells.prob), bool)
    chosen_by = [everything, cells.sound, *(cells.third == place for place in range(len(THIRDS)))]
    for part, mask in zip(PARTS, chosen_by, strict=True):
        chosen = cells.take(mask)
        if not len(chosen.prob):
            continue
        row = {
            "part": part,
            "n": len(chosen.prob),
            "confidence": chosen.prob.mean(),
            "right": chosen.right.mean(),
        }
        measures = {
            "ece": ece(chosen, bins, False, draws, seed),
            "ece_mass": ece(chosen, bins, True, draws, seed),
            "brier": brier(chosen, draws, seed),
        }
        for name, (value, low, high) in measures.items():
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    columns = ["part", "n", "confidence", "right"]
    columns += [f"{name}{end}" for name in ("ece", "ece_mass", "brier") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=columns)
