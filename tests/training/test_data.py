"""Training batches: a function of seed and step alone, every puzzle once an epoch, and still puzzles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from planorder.training.data import DROPOUT, MASKS, TrainingData
from puzzles import get_family
from puzzles.base import ROW_FIELDS, PuzzleBatch, UserInputError

FAMILY = get_family("sudoku-2x2")


def same(a: PuzzleBatch, b: PuzzleBatch) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ROW_FIELDS)


def test_a_batch_depends_on_seed_and_step_alone(puzzles: PuzzleBatch) -> None:
    forward, fresh = TrainingData(FAMILY, puzzles, 8, 5), TrainingData(FAMILY, puzzles, 8, 5)
    batches = [forward.batch(step) for step in range(8)]
    for step in (7, 2, 2, 0, 5):
        assert same(fresh.batch(step), batches[step])
    assert not any(same(batches[0], other) for other in batches[1:])
    assert not same(TrainingData(FAMILY, puzzles, 8, 6).batch(0), batches[0])


@pytest.mark.parametrize("augment", [True, False])
def test_an_epoch_sees_each_puzzle_at_most_once(puzzles: PuzzleBatch, augment: bool) -> None:
    """Three batches of 8 out of 26: two puzzles wait, others in every epoch, and the order is new."""
    data = TrainingData(FAMILY, puzzles, 8, 0, augment=augment)
    epochs = [np.concatenate([data.batch(3 * epoch + k).index for k in range(3)]) for epoch in range(20)]
    assert all(len(set(seen)) == 24 for seen in epochs)
    assert len({tuple(seen) for seen in epochs}) == 20
    assert len({tuple(sorted(seen)) for seen in epochs}) > 10
    assert set(np.concatenate(epochs)) == set(range(26))


def test_without_augmentation_puzzles_stay_as_they_are(puzzles: PuzzleBatch) -> None:
    rows = TrainingData(FAMILY, puzzles, 8, 0, augment=False).batch(4)
    assert same(rows, puzzles[rows.index])


def test_augmented_puzzles_are_still_puzzles(puzzles: PuzzleBatch) -> None:
    data, plain = (TrainingData(FAMILY, puzzles, 26, 0, augment=augment) for augment in (True, False))
    for step in range(5):
        rows, before = data.batch(step), plain.batch(step)
        assert FAMILY.is_valid(rows.solution, rows.clues).all()
        assert np.array_equal(rows.rank >= 0, rows.blank)
        assert np.array_equal(rows.index, before.index)
        for moved, old in ((rows.rank, before.rank), (rows.clues > 0, before.clues > 0)):
            assert np.array_equal(np.sort(moved, axis=1), np.sort(old, axis=1))
        assert (rows.solution != before.solution).any(axis=1).mean() > 0.8


def test_a_puzzle_is_turned_otherwise_each_time(puzzles: PuzzleBatch) -> None:
    data = TrainingData(FAMILY, puzzles, 26, 0)
    seen = [data.batch(step) for step in range(12)]
    faces = {
        rows.solution[rows.index == 3].tobytes() + rows.clues[rows.index == 3].tobytes() for rows in seen
    }
    assert len(faces) > 8


def test_random_numbers_of_a_step_are_its_own(puzzles: PuzzleBatch) -> None:
    def drawn(seed: int, step: int, stream: int) -> tuple[float, ...]:
        data = TrainingData(FAMILY, puzzles, 8, seed)
        return tuple(torch.rand(3, generator=data.generator(step, stream)).tolist())

    keys = [(seed, step, stream) for seed in (0, 1) for step in (0, 1, 2) for stream in (MASKS, DROPOUT)]
    assert len({drawn(*key) for key in keys}) == len(keys)
    assert drawn(1, 2, MASKS) == drawn(1, 2, MASKS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 27}, "26 training puzzles: expected at least batch_size=27"),
        ({"seed": -1}, "seed=-1: expected 0 or more"),
    ],
)
def test_data_that_cannot_be(puzzles: PuzzleBatch, changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        replace(TrainingData(FAMILY, puzzles, 26, 0), **changes)


def test_balance_shows_rare_techniques_more_often(puzzles: PuzzleBatch) -> None:
    """Shares f of 24/26 and 2/26 become proportional to f ** (1 - balance)."""
    hardest = np.where(np.arange(26) < 24, 2, 5).astype(np.int8)
    rated = replace(puzzles, hardest=hardest)
    for balance in (0.25, 0.5, 1.0):
        data = TrainingData(get_family("sudoku-2x2"), rated, 13, 0, balance)
        drawn = np.concatenate([hardest[data.epoch(epoch)] for epoch in range(400)])
        common, rare = (24 / 26) ** (1 - balance), (2 / 26) ** (1 - balance)
        assert (drawn == 5).mean() == pytest.approx(rare / (rare + common), abs=0.02)
    whole = TrainingData(get_family("sudoku-2x2"), rated, 13, 0).epoch(3)
    assert sorted(whole) == list(range(26))
    with pytest.raises(UserInputError, match="balance=2"):
        TrainingData(get_family("sudoku-2x2"), rated, 13, 0, 2)
