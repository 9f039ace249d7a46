"""What order heads are taught: losses by hand, states, training, the command line."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from common import Scores, seeded, table

from planorder.models import OrderHeadConfig, RelationalConfig, build_model
from planorder.training.loop import TrainConfig
from planorder.training.objectives.imitate import (
    ImitationObjective,
    listwise,
    missed,
    solution_margin,
    states_of_solver,
    stuck_states,
)
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")
HEAD = OrderHeadConfig(channels=8, hidden=12, blocks=1)
WEAK = RelationalConfig(channels=8, hidden=8, turns=2)
SHORT = TrainConfig(steps=6, batch_size=8, warmup=2, log_every=1, validate_every=0, precision="fp32")


def softmax(numbers: list[float]) -> list[float]:
    total = sum(math.exp(number) for number in numbers)
    return [math.exp(number) / total for number in numbers]


def test_the_listwise_loss_by_hand() -> None:
    score, teacher = torch.randn(3, 4, generator=seeded(0)), torch.randn(3, 4, generator=seeded(1))
    blank = torch.tensor([[1, 1, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]).bool()
    found = listwise(score, teacher, blank, 0.5)
    for row in range(3):
        cells = [cell for cell in range(4) if blank[row, cell]]
        q = softmax([float(teacher[row, cell]) / 0.5 for cell in cells]) if cells else []
        s = softmax([float(score[row, cell]) for cell in cells]) if cells else []
        by_hand = sum(a * math.log(a / b) for a, b in zip(q, s, strict=True))
        assert found[row].item() == pytest.approx(by_hand, abs=1e-6)
    assert listwise(teacher / 0.5, teacher, blank, 0.5).abs().max() < 1e-6


def test_the_chance_of_a_right_blank_by_hand() -> None:
    score = torch.tensor([[1.0, 2.0, 9.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    blank = torch.tensor([[True, True, False, True], [True] * 4])
    right = torch.tensor([[True, False, True, True], [False] * 4])
    s = softmax([1.0, 2.0, 0.0])
    assert missed(score, right, blank).tolist() == pytest.approx([-math.log(s[0] + s[2]), 0.0], abs=1e-6)


@pytest.mark.parametrize("teacher", ["margin", "right", "solver"])
def test_the_loss_of_a_batch_by_hand(teacher: str) -> None:
    """One blank each but for one puzzle of three; the oracle's margins are 0.2, -0.3 and 0.5."""
    p = [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.1, 0.7, 0.2]]
    clues, solution = torch.tensor([[0, 0, 0]]), torch.tensor([[1, 1, 2]])
    rank = torch.tensor([[2, 0, 1]])
    assert solution_margin(torch.tensor([p]).log(), solution)[0].tolist() == pytest.approx([0.2, -0.3, 0.5])
    objective = ImitationObjective(teacher, 0.4, stuck=1.0, revealed=0.0, guesses=1)
    head, s = Scores([0.5, 0.1, -0.4]), softmax([0.5, 0.1, -0.4])
    loss, metrics = objective(table(p), head, clues, solution, rank, seeded(2))
    if teacher == "right":
        expected = -math.log(s[0] + s[2])
    elif teacher == "margin":
        q = softmax([0.2 / 0.4, -0.3 / 0.4, 0.5 / 0.4])
        expected = sum(a * math.log(a / b) for a, b in zip(q, s, strict=True))
    else:  # the rate of one puzzle is its offset, 0.6147: one blank is shown, the solver's first
        q, s = softmax([-2 / 0.4, -1 / 0.4]), softmax([0.5, -0.4])
        expected = sum(a * math.log(a / b) for a, b in zip(q, s, strict=True))
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    regret = {"margin": 0.3, "right": 0.3, "solver": 1.0}[teacher]
    assert metrics["regret"].item() == pytest.approx(regret, abs=1e-6)
    assert metrics["first_right"].item() == metrics["first_right_margin"].item() == 1.0


def test_states_of_the_solver_are_those_of_its_solve(puzzles: PuzzleBatch) -> None:
    clues, solution, rank = (
        torch.from_numpy(part).long() for part in (puzzles.clues, puzzles.solution, puzzles.rank)
    )
    shown = set()
    for seed in range(20):
        tokens = states_of_solver(clues, solution, rank, seeded(seed))
        for row in range(len(clues)):
            order = [int(rank[row, cell]) for cell in range(16) if tokens[row, cell] != clues[row, cell]]
            assert sorted(order) == list(range(len(order)))
            assert (tokens[row] == 0).any()
            shown.add(len(order))
        assert torch.equal(torch.where(tokens > 0, tokens, solution), solution)
    assert shown >= set(range(8))


def test_stuck_states_by_hand() -> None:
    """Cells 0 and 1 are sure, 2 and 3 are not, the latter less; 2 is sure once 3 is filled."""

    def denoiser(tokens: torch.Tensor) -> torch.Tensor:
        lead = torch.tensor([0.999, 0.995, 0.6, 0.5]).repeat(len(tokens), 1)
        lead[:, 2] = torch.where(tokens[:, 2] > 0, 0.0, torch.where(tokens[:, 3] > 0, 0.999, 0.6))
        return torch.stack([(1 + lead) / 2, (1 - lead) / 2], -1).log()

    clues = torch.zeros(4, 4, dtype=torch.int64)
    clues[3, 3] = 2
    solution = torch.full((4, 4), 2)
    found = stuck_states(denoiser, clues, solution, torch.tensor([0, 1, 5, 0]), 0.99)
    assert found.tolist() == [
        [2, 2, 0, 0],
        [2, 2, 2, 0],  # the surest was shown
        [2, 2, 2, 0],  # the last that there is
        [2, 2, 2, 2],  # there was none
    ]
    assert not clues[:3].any()


def test_the_shares_of_the_states(puzzles: PuzzleBatch) -> None:
    clues, solution = torch.from_numpy(puzzles.clues).long(), torch.from_numpy(puzzles.solution).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        denoiser = build_model(WEAK, FAMILY).eval()
    for stuck, revealed in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.3, 0.4)):
        objective = ImitationObjective(stuck=stuck, revealed=revealed)
        tokens = objective.states(denoiser, clues, solution, seeded(0), None)
        assert torch.equal(tokens[clues > 0], clues[clues > 0])
        assert torch.equal(torch.where(tokens > 0, tokens, solution), solution)
        if stuck == 1:  # an untrained network is sure of nothing: at most three blanks are shown
            assert ((tokens != clues).sum(1) <= 3).all()


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: ImitationObjective("solvre"), "teacher='solvre': expected one of margin, right, solver"),
        (lambda: ImitationObjective(temperature=0.0), "temperature=0.0"),
        (lambda: ImitationObjective(stuck=0.8, revealed=0.3), "together at most 1"),
        (lambda: ImitationObjective(guesses=0), "guesses=0"),
    ],
)
def test_options_out_of_range_are_named(build: Callable[[], object], said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        build()
