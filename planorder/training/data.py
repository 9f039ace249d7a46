"""Training batches as a pure function of (puzzles, seed, step), so that a resumed run sees the same ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError

ORDER, SYMMETRY, MASKS, DROPOUT = range(4)
"""Streams of random numbers: which puzzles, under which symmetry, masked where, which channels dropped."""


def check_draws(seed: int, balance: float, by_size: float) -> None:
    """Raises `UserInputError` for a seed below 0 or a share out of range; see `TrainingData`."""
    if seed < 0:
        raise UserInputError(f"seed={seed}: expected 0 or more")
    for name, value, most in (("balance", balance, 1), ("by_size", by_size, 4)):
        if not 0 <= value <= most:
            raise UserInputError(f"{name}={value}: expected a number from 0 to {most}")


@dataclass(frozen=True)
class TrainingData:
    """Puzzles shuffled anew each epoch and turned by a random symmetry each time they are seen.

    Attributes:
        family: whose symmetries augment.
        puzzles: the training split, or part of it.
        batch_size: puzzles a batch.
        seed: with the step, all there is to the choice.
        balance: 0 shows every puzzle once an epoch; above it, puzzles are drawn, and a hardest technique that
            a share f of them has gets a share proportional to ``f ** (1 - balance)``; at 1 all get the same.
        by_size: above 0, puzzles are drawn in proportion to this power of the number of their blanks.
        augment: whether symmetries are applied.
    """

    family: AbstractFamily
    puzzles: PuzzleBatch
    batch_size: int
    seed: int
    balance: float = 0.0
    by_size: float = 0.0
    augment: bool = True

    def __post_init__(self) -> None:
        check_draws(self.seed, self.balance, self.by_size)
        if len(self.puzzles) < self.batch_size:
            raise UserInputError(
                f"{len(self.puzzles)} training puzzles: expected at least batch_size={self.batch_size}"
            )

    def batch(self, step: int) -> PuzzleBatch:
        """The batch of a step; an epoch drops the puzzles that do not fill a batch."""
        epoch, place = divmod(step, len(self.puzzles) // self.batch_size)
        order = self.epoch(epoch)
        rows = self.puzzles[order[place * self.batch_size : (place + 1) * self.batch_size]]
        return (
            self.family.augment(rows, np.random.default_rng((self.seed, SYMMETRY, step)))
            if self.augment
            else rows
        )

    def epoch(self, epoch: int) -> np.ndarray:
        """int64 ``[puzzles]``: which puzzles an epoch shows, in order."""
        rng = np.random.default_rng((self.seed, ORDER, epoch))
        if not self.balance and not self.by_size:
            return rng.permutation(len(self.puzzles))
        share = np.bincount(self.puzzles.hardest) / len(self.puzzles)
        blanks = (self.puzzles.clues == 0).sum(1)
        weight = share[self.puzzles.hardest] ** -self.balance * blanks**self.by_size
        return rng.choice(len(self.puzzles), len(self.puzzles), p=weight / weight.sum())

    def generator(self, step: int, stream: int = MASKS) -> torch.Generator:
        """The random numbers that a step's objective (or its network's dropout) may use, on the CPU."""
        return torch.Generator().manual_seed(
            int(np.random.SeedSequence((self.seed, stream, step)).generate_state(1)[0])
        )
