"""Teaching the quality of filled cells: the loss by hand, the states, and a training that finds mistakes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from common import Scores, seeded, table
from torch import nn
from torch.nn import functional as F

from planorder.models import OrderHeadConfig
from planorder.training.data import TrainingData
from planorder.training.loop import METRICS, train
from planorder.training.objectives.quality import QualityObjective
from planorder.training.presets import recipe
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")
P = [[0.98, 0.01, 0.01], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]]
CLUES = torch.tensor([[0, 0, 0, 0], [0, 2, 0, 0], [1, 2, 3, 1]])
SOLUTION = torch.tensor([[1, 1, 1, 1], [3, 2, 3, 3], [1, 2, 3, 1]])


def loss_is_by_hand(objective: Callable[..., tuple[torch.Tensor, dict[str, torch.Tensor]]]) -> bool:
    scores = [0.5, -1.0, 2.0, -0.2]
    for seed in range(12):
        states = QualityObjective().states(table(P), CLUES, SOLUTION, seeded(seed), None)
        loss, found = objective(table(P), Scores(scores), CLUES, SOLUTION, CLUES, seeded(seed))
        losses, shares, lowest = [], [], []
        for state, clues, solution in zip(states.tolist(), CLUES.tolist(), SOLUTION.tolist(), strict=True):
            filled = [cell for cell in range(4) if state[cell] and not clues[cell]]
            wrong = [cell for cell in filled if state[cell] != solution[cell]]
            losses += [math.log1p(math.exp(scores[c] * (1 if c in wrong else -1))) for c in filled]
            if wrong:
                shares.append(len(wrong) / len(filled))
                lowest.append(min(filled, key=lambda c: scores[c]) in wrong)
        by_hand = (
            sum(losses) / len(losses),
            sum(shares) / max(len(shares), 1),
            sum(lowest) / max(len(lowest), 1),
        )
        if (loss.item(), found["wrong"].item(), found["lowest_wrong"].item()) != pytest.approx(
            by_hand, abs=1e-6
        ):
            return False
    return True


def other_way_round(denoiser: Callable, head: nn.Module, *batch: torch.Tensor) -> tuple:
    with torch.no_grad():
        turned = Scores([-score for score in head.scores.tolist()])  # type: ignore[union-attr, operator]
    return QualityObjective()(denoiser, turned, *batch)


def clues_count(denoiser: Callable, head: nn.Module, clues: torch.Tensor, *batch: torch.Tensor) -> tuple:
    loss, found = QualityObjective()(denoiser, head, clues, *batch)
    return loss * 0.9, found


def test_the_loss_by_hand() -> None:
    assert loss_is_by_hand(QualityObjective())


@pytest.mark.parametrize("wrong", [other_way_round, clues_count, QualityObjective(jitter=9.0)])
def test_a_faulty_loss_is_caught(wrong: Callable) -> None:
    assert not loss_is_by_hand(wrong)


def by_solution(solution: torch.Tensor, right: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """A denoiser that is all but sure of the solution, or of the value after it, more so in later cells."""
    value = (solution - 1 + (not right)) % 4
    sure = 12 + torch.arange(16.0)[:, None] / 4
    return lambda tokens: F.one_hot(value, 4) * sure


def test_states_by_hand(puzzles: PuzzleBatch) -> None:
    clues, solution = torch.from_numpy(puzzles.clues).long(), torch.from_numpy(puzzles.solution).long()
    shares = set()
    for seed in range(6):
        for revealed, jitter in ((0.0, 0.0), (1.0, 0.0), (0.5, 0.3)):
            objective = QualityObjective(stages=3, jitter=jitter, revealed=revealed)
            right = objective.states(by_solution(solution, True), clues, solution, seeded(seed), None)
            wrong = objective.states(by_solution(solution, False), clues, solution, seeded(seed), None)
            assert torch.equal(torch.where(right > 0, right, solution), solution)
            for state in (right, wrong):
                assert torch.equal(state[clues > 0], clues[clues > 0])
            assert torch.equal(right > 0, wrong > 0)
            of_solution = ((wrong == solution) & (clues == 0)).sum(1)
            assert bool((of_solution > 0).any()) == (revealed > 0)
            filled = ((right > 0) & (clues == 0)).sum(1)
            assert (of_solution <= filled).all()
            shares |= set((filled / (clues == 0).sum(1)).tolist())
            if not revealed:  # surest first, and that is from the last cell back
                for row in range(len(clues)):
                    blanks = (clues[row] == 0).nonzero()[:, 0]
                    later = blanks[len(blanks) - int(filled[row]) :]
                    assert (right[row, later] > 0).all()
    assert min(shares) < 0.2
    assert max(shares) == 1.0


def test_states_are_filled_in_equal_parts(puzzles: PuzzleBatch) -> None:
    clues, solution = torch.from_numpy(puzzles.clues).long(), torch.from_numpy(puzzles.solution).long()
    passes = set()
    for seed in range(30):
        seen: list[torch.Tensor] = []

        def watched(tokens: torch.Tensor, seen: list[torch.Tensor] = seen) -> torch.Tensor:
            seen.append((tokens > 0).sum(1))
            return careless(tokens)

        state = QualityObjective(stages=3).states(watched, clues, solution, seeded(seed), None)
        seen.append((state > 0).sum(1))
        filled = torch.stack(seen).diff(dim=0)
        assert int((filled.amax(0) - filled.amin(0)).max()) <= 1
        passes.add(len(filled))
    assert passes == {1, 2, 3}


def test_a_state_is_that_of_its_seed(puzzles: PuzzleBatch) -> None:
    clues, solution = torch.from_numpy(puzzles.clues).long(), torch.from_numpy(puzzles.solution).long()
    model = by_solution(solution, True)
    first, again, other = (
        QualityObjective().states(model, clues, solution, seeded(seed), None) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def careless(tokens: torch.Tensor) -> torch.Tensor:
    """Knows nothing, whatever the state: every value is as likely."""
    return torch.zeros(*tokens.shape, 4)


def finds_mistakes(objective: partial, puzzles: PuzzleBatch, out: Path) -> bool:
    """Whether a tiny training finds wrong cells much more often than a draw among the filled ones does."""
    config = replace(recipe("tiny", "learned_quality", FAMILY, nn.Identity()).train, steps=160)
    config = replace(config, batch_size=16, learning_rate=1e-2, validate_every=0, precision="fp32")
    shape = OrderHeadConfig(channels=8, hidden=12, blocks=2, quality=True)
    train(shape, config, objective, TrainingData(FAMILY, puzzles, 16, 0), out, name="learned_quality")
    first, *_, last = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    return last["lowest_wrong"] > 0.95 > last["wrong"] + 0.2 and last["loss"] < 0.75 * first["loss"]


def test_a_head_learns_what_is_wrong(puzzles: PuzzleBatch, tmp_path: Path) -> None:
    assert finds_mistakes(partial(QualityObjective(), careless), puzzles, tmp_path)


def test_a_head_taught_of_other_puzzles_does_not(puzzles: PuzzleBatch, tmp_path: Path) -> None:
    def shuffled(head, clues, solution, rank, generator, edges=None):  # type: ignore[no-untyped-def]
        objective = QualityObjective(revealed=0.0)
        return objective(careless, head, clues, solution.roll(1, 0), rank, generator, edges)

    assert not finds_mistakes(shuffled, puzzles, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: QualityObjective(stages=0), "stages=0"),
        (lambda: QualityObjective(jitter=-0.1), "jitter=-0.1"),
        (lambda: QualityObjective(jitter=math.nan), "jitter=nan"),
        (lambda: QualityObjective(revealed=1.5), "revealed=1.5"),
    ],
)
def test_what_cannot_be_is_refused(build: Callable, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        build()
