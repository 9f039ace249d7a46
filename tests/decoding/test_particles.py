"""Best of n and the vote of particles against plain twins of single decodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from planorder.decoding import Decoded, decode, get_strategy, with_options
from planorder.decoding.particles import best_of, decode_particles, vote
from planorder.decoding.random import GOLDEN
from planorder.decoding.testing import HashModel, equal, small_batch
from puzzles.base import PuzzleBatch, UserInputError

MODEL = HashModel(4)
NOISY = with_options(get_strategy("top_prob"), noise=0.5, pick="sample")
N = 5


def rows_of(found: Decoded, rows: np.ndarray) -> Decoded:
    return Decoded(*(getattr(found, name)[rows] for name in Decoded.__dataclass_fields__))


def test_one_decode_is_the_decode_itself() -> None:
    batch = small_batch()
    plain = decode(MODEL, batch, NOISY, seed=3)
    found = best_of(MODEL, batch, NOISY, 1, seed=3)
    assert equal(found.best, plain)
    assert equal(found.runs[0], plain)
    assert equal(decode_particles(MODEL, batch, NOISY, n=1, seed=3), plain)
    assert equal(decode_particles(MODEL, batch, NOISY, n=1, agree=1.0, rounds=1, seed=3), plain)


def test_the_best_is_the_most_confident() -> None:
    batch = small_batch()
    found = best_of(MODEL, batch, NOISY, N, seed=1)
    runs = [decode(MODEL, batch, NOISY, seed=1 + GOLDEN * i) for i in range(N)]
    for row in range(len(batch)):
        means = [float(np.log(run.prob[row][batch.blank[row]]).sum()) for run in runs]
        means = [mean / max(int(batch.blank[row].sum()), 1) for mean in means]
        assert found.confidence[:, row] == pytest.approx(means)
        assert found.chosen[row] == means.index(max(means))
        for name in ("cells", "step", "prob", "reopened"):
            assert (getattr(found.best, name)[row] == getattr(runs[found.chosen[row]], name)[row]).all()
        assert found.best.passes[row] == sum(run.passes[row] for run in runs)
    assert len(set(found.chosen.tolist())) > 1
    assert found.confidence[:, 0].tolist() == [0.0] * N, "a puzzle without blanks"


def test_a_judge_takes_a_right_decode_wherever_there_is_one() -> None:
    batch = small_batch(40)

    def judge(cells: np.ndarray) -> np.ndarray:
        return cells.sum(1) % 3 == 0

    found, plain = best_of(MODEL, batch, NOISY, N, judge=judge), best_of(MODEL, batch, NOISY, N)
    right = np.stack([judge(run.cells) for run in found.runs])
    assert (judge(found.best.cells) == right.any(0)).all()
    assert judge(found.best.cells).sum() > judge(plain.best.cells).sum()
    for row in range(len(batch)):
        pool = np.flatnonzero(right[:, row]) if right[:, row].any() else np.arange(N)
        assert found.chosen[row] == pool[found.confidence[pool, row].argmax()]


def plain_particles(batch: PuzzleBatch, agree: float, rounds: int, seed: int) -> Decoded:
    """One puzzle, voted for with counters."""
    puzzle, n_cells, before = batch, batch.clues.shape[1], 0
    cells, step, prob = batch.clues[0].tolist(), [-1] * n_cells, [1.0] * n_cells
    reopened, passes = [0] * n_cells, 0
    for round_ in range(rounds):
        runs = [decode(MODEL, puzzle, NOISY, seed=seed + GOLDEN * (round_ * N + i)) for i in range(N)]
        passes += sum(int(run.passes[0]) for run in runs)
        for cell in np.flatnonzero(puzzle.clues[0] == 0):
            votes = Counter(int(run.cells[0, cell]) for run in runs)
            value = min(votes, key=lambda v: (-votes[v], v))
            if votes[value] / N < agree and round_ + 1 < rounds:
                reopened[cell] += 1
                continue
            first = next(run for run in runs if run.cells[0, cell] == value)
            cells[cell], prob[cell] = value, float(first.prob[0, cell])
            step[cell] = before + int(first.step[0, cell])
        before += max(int(run.step.max()) for run in runs) + 1
        puzzle = replace(puzzle, clues=np.array([cells], np.int8))
    made = [np.array([x]) for x in (cells, step, prob, reopened)]
    return Decoded(*made, passes=np.array([passes]))


@pytest.mark.parametrize(("agree", "rounds"), [(0.75, 3), (1.0, 2), (0.6, 1)])
def test_the_vote_is_its_plain_twin(agree: float, rounds: int) -> None:
    batch = small_batch(6)
    found = decode_particles(MODEL, batch, NOISY, n=N, agree=agree, rounds=rounds, seed=2)
    for row in range(len(batch)):
        twin = plain_particles(batch[row : row + 1], agree, rounds, 2)
        assert equal(rows_of(found, np.array([row])), twin)
    assert found.reopened.any() == (rounds > 1)
    assert (found.cells[~batch.blank] == batch.clues[~batch.blank]).all()
    assert (found.cells >= 1).all()


FAULTS = {
    "one seed for all": lambda batch: decode(MODEL, batch, NOISY, seed=2),
    "held at any share": lambda batch: decode_particles(MODEL, batch, NOISY, n=N, agree=0.01, seed=2),
    "no second round": lambda batch: decode_particles(MODEL, batch, NOISY, n=N, rounds=1, seed=2),
    "another seed": lambda batch: decode_particles(MODEL, batch, NOISY, n=N, seed=3),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_caught(fault) -> None:
    batch = small_batch(4)
    twins = [plain_particles(batch[row : row + 1], 0.75, 3, 2).cells[0] for row in (1, 2, 3)]
    assert (decode_particles(MODEL, batch, NOISY, n=N, seed=2).cells[[1, 2, 3]] == twins).all()
    assert (fault(batch).cells[[1, 2, 3]] != twins).any()


def test_neither_batch_size_nor_row_order_matters() -> None:
    batch = small_batch(7)
    turn = np.random.default_rng(0).permutation(len(batch))
    whole = decode_particles(MODEL, batch, NOISY, n=3, seed=4)
    assert equal(whole, decode_particles(MODEL, batch[turn], NOISY, n=3, seed=4, batch_size=2), turn)
    best = best_of(MODEL, batch, NOISY, 3, seed=4)
    again = best_of(MODEL, batch[turn], NOISY, 3, seed=4, batch_size=2)
    assert equal(best.best, again.best, turn)
    assert (best.chosen[turn] == again.chosen).all()
    assert not equal(whole, decode_particles(MODEL, batch, NOISY, n=3, seed=5))


def test_particles_without_chance_agree_at_once() -> None:
    batch, sure = small_batch(), get_strategy("top_margin")
    plain, found = decode(MODEL, batch, sure), decode_particles(MODEL, batch, sure, n=4)
    assert equal(replace(plain, passes=plain.passes * 4), found)
    assert not found.reopened.any()


def test_options_reach_the_decode_and_ranks_stay_true() -> None:
    batch = small_batch()
    found = decode_particles(MODEL, batch, get_strategy("random"), n=3, steps=2, batch_size=4)
    assert (found.passes <= 3 * 3 * 2).all()
    led = with_options(get_strategy("solver_order"), pick="sample")
    assert (decode_particles(MODEL, batch, led, n=3).cells >= 1).all()


def test_votes_are_counted_and_ties_go_to_the_lowest() -> None:
    value, share = vote(np.array([[[3, 1, 2]], [[3, 2, 4]], [[1, 2, 4]], [[3, 1, 2]]], np.int8))
    assert value.tolist() == [[3, 1, 2]]
    assert share.tolist() == [[0.75, 0.5, 0.5]]


def test_no_puzzles_and_options_out_of_range() -> None:
    empty = small_batch()[:0]
    assert decode_particles(MODEL, empty, NOISY).cells.shape == (0, 8)
    assert best_of(MODEL, empty, NOISY, 2).best.cells.shape == (0, 8)
    for options in ({"agree": 0.0}, {"agree": 1.5}, {"rounds": 0}):
        with pytest.raises(UserInputError, match="expected a share"):
            decode_particles(MODEL, small_batch(), NOISY, **options)
    for call in (
        lambda: best_of(MODEL, small_batch(), NOISY, 0),
        lambda: decode_particles(MODEL, small_batch(), NOISY, n=0),
    ):
        with pytest.raises(UserInputError, match="n=0"):
            call()
