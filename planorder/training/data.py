"""Training batches as a pure function of (puzzles, seed, step), so that a resumed run sees the same ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError

ORDER, SYMMETRY, MASKS, DROPOUT = range(4)
"""Streams of random numbers: which puzzles, under which symmetry, masked where, which channels dropped."""


@dataclass(frozen=True)
class TrainingData:
    """Puzzles shuffled anew each epoch and turned by a random symmetry each time they are seen.

    Attributes:
        family: whose symmetries augment.
        puzzles: the training split, or part of it.
        batch_size: puzzles a batch.
        seed: with the step, all there is to the choice.
        augment: whether symmetries are applied.
    """

    family: AbstractFamily
    puzzles: PuzzleBatch
    batch_size: int
    seed: int
    augment: bool = True

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserInputError(f"seed={self.seed}: expected 0 or more")
        if len(self.puzzles) < self.batch_size:
            raise UserInputError(
                f"{len(self.puzzles)} training puzzles: expected at least batch_size={self.batch_size}"
            )

    def batch(self, step: int) -> PuzzleBatch:
        """The batch of a step; an epoch drops the puzzles that do not fill a batch."""
        epoch, place = divmod(step, len(self.puzzles) // self.batch_size)
        order = np.random.default_rng((self.seed, ORDER, epoch)).permutation(len(self.puzzles))
        rows = self.puzzles[order[place * self.batch_size : (place + 1) * self.batch_size]]
        return (
            self.family.augment(rows, np.random.default_rng((self.seed, SYMMETRY, step)))
            if self.augment
            else rows
        )

    def generator(self, step: int, stream: int = MASKS) -> torch.Generator:
        """The random numbers that a step's objective (or its network's dropout) may use, on the CPU."""
        return torch.Generator().manual_seed(
            int(np.random.SeedSequence((self.seed, stream, step)).generate_state(1)[0])
        )
