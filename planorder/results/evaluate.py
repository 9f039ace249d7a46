"""Cells and rules in, a row a puzzle out: the one judge of every model, the autoregressive ones too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from planorder.results.stats import wilson
from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError

FREE = "free"
"""What tables call the order of an autoregressive network, which chooses its cells itself."""


@dataclass(frozen=True)
class Outcome:
    """One tier decoded by one model under one strategy, scored.

    Attributes:
        family: data id of the puzzles, e.g. "sudoku-v1".
        tier: "logic", "hard", or "file" for a user's own puzzles.
        model: the model's name in the tables.
        strategy: the strategy's name.
        seed: seed of the decode.
        seconds: wall time of the decode.
        parameters: parameters of the model.
        rows: a row a puzzle, the columns of `score`.
        cells: int8 ``[batch, cells]`` as decoded.
        step: int16 ``[batch, cells]``, the step at which each cell was filled, -1 on clues.
        prob: float32 ``[batch, cells]``, the probability it was filled with.
    """

    family: str
    tier: str
    model: str
    strategy: str
    seed: int
    seconds: float
    parameters: int
    rows: pd.DataFrame
    cells: np.ndarray
    step: np.ndarray
    prob: np.ndarray


def score(
    family: AbstractFamily,
    batch: PuzzleBatch,
    cells: np.ndarray,
    passes: np.ndarray,
    step: np.ndarray | None = None,
) -> pd.DataFrame:
    """Judges a decoded batch, a row a puzzle.

    Args:
        family: whose rules decide what is valid.
        batch: the puzzles.
        cells: int8 ``[batch, cells]``, the decoded values; 0 is a cell left blank.
        passes: int32 ``[batch]``, forward passes a puzzle.
        step: int16 ``[batch, cells]``, the step at which each cell was filled, -1 on clues.

    Returns:
        index, exact (`AbstractFamily.solved`: equals the solution, or is one where there are many), valid
        (keeps the rules and the clues), cell (share of the blank cells that are right, of those that the
        family judges; 1 where nothing was blank), passes,
        n_blank, hardest (technique id), first_error_step (the earliest step that filled a cell wrongly; -1
        without an error or without ``step``), n_errors (judged blank cells that are wrong).

    Raises:
        UserInputError: an array whose shape is not the batch's.
    """
    shape = batch.clues.shape
    expected = {"cells": (cells, shape), "passes": (passes, shape[:1])}
    if step is not None:
        expected["step"] = (step, shape)
    for name, (array, wanted) in expected.items():
        if array.shape != wanted:
            raise UserInputError(f"{name} has shape {array.shape}: expected {wanted}, one entry a puzzle")
    counted, wrong = counted_and_wrong(family, batch, cells)
    n_blank = batch.blank.sum(axis=1)
    n_errors = wrong.sum(axis=1)
    first_error = np.full(len(batch), -1)
    if step is not None:
        never = np.iinfo(np.int64).max
        earliest = np.where(wrong, step.astype(np.int64), never).min(axis=1)
        first_error = np.where(n_errors > 0, earliest, -1)
    return pd.DataFrame(
        {
            "index": batch.index,
            "exact": family.solved(cells, batch),
            "valid": family.is_valid(cells, batch.clues, batch.edges),
            "cell": 1 - n_errors / np.maximum(counted.sum(axis=1), 1),
            "passes": passes,
            "n_blank": n_blank,
            "hardest": batch.hardest,
            "first_error_step": first_error,
            "n_errors": n_errors,
        }
    )


def counted_and_wrong(
    family: AbstractFamily, batch: PuzzleBatch, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """bool ``[batch, cells]`` twice: the cells that cell accuracy counts, and which are wrong."""
    counted = batch.blank & family.judged()
    return counted, counted & ~family.right(cells, batch.solution)


def masked_fraction(step: np.ndarray) -> np.ndarray:
    """float64 ``[batch, cells]``: the share of a puzzle's blanks still masked when each cell was filled.

    Cells filled in one step share its value; 1 in the first step; nan on clues (``step`` -1).
    """
    filled = step >= 0
    length = int(step.max(initial=0)) + 1
    rows = np.arange(len(step))[:, None]
    flat = (rows * length + step)[filled]
    in_step = np.bincount(flat, minlength=len(step) * length).reshape(len(step), length)
    before = np.cumsum(in_step, axis=1) - in_step
    n_blank = np.maximum(filled.sum(axis=1, keepdims=True), 1)
    masked = 1 - before[rows, np.where(filled, step, 0)] / n_blank
    return np.where(filled, masked, np.nan)


def error_curve(
    family: AbstractFamily, batch: PuzzleBatch, cells: np.ndarray, step: np.ndarray, bins: int = 10
) -> pd.DataFrame:
    """How often a cell is wrong in the end, by the share of the puzzle that was masked when it was filled.

    Args:
        family: which cells are judged, and which of them are right.
        batch: the puzzles.
        cells: int8 ``[batch, cells]``, as decoded.
        step: int16 ``[batch, cells]``, when each cell was filled, -1 on clues.
        bins: equal bins of the masked share.

    Returns:
        A row a bin in which judged cells were filled: masked (middle of the bin), filled, wrong (counts
        of them), error, low, high (Wilson, cells taken as independent: mistakes of one puzzle come
        together, so the true uncertainty is wider).
    """
    masked = masked_fraction(step)
    counted, is_wrong = counted_and_wrong(family, batch, cells)
    filled = counted & (step >= 0)
    # a share of exactly 1/2 belongs to the bin below it, as 1 does; the tolerance keeps 1 - 7/10 in its bin
    place = np.clip(np.ceil(masked[filled] * bins - 1e-9).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    wrong = np.bincount(place, weights=is_wrong[filled], minlength=bins).astype(int)
    low, high = wilson(wrong, counts)
    frame = pd.DataFrame(
        {
            "masked": (np.arange(bins) + 0.5) / bins,
            "filled": counts,
            "wrong": wrong,
            "error": wrong / np.maximum(counts, 1),
            "low": low,
            "high": high,
        }
    )
    return frame[frame["filled"] > 0].reset_index(drop=True)
