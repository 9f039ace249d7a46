"""The masked objective against sums by hand, and the law of its masks."""

from __future__ import annotations

import math

import pytest
import torch
from common import seeded
from scipy import stats
from torch import nn

from planorder.training.objectives.masked import MaskedObjective, left_by_margin, mask_rates
from puzzles.base import UserInputError


class Spy(nn.Module):
    """Answers with fixed logits and keeps the tokens that it was shown."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        self.shown = tokens
        return self.logits


CLUES = torch.tensor([[0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 3]])
SOLUTION = torch.tensor([[1, 2, 3, 1], [1, 2, 3, 2], [2, 1, 1, 3]])
RANK = torch.zeros_like(CLUES)


def test_the_loss_is_the_sum_by_hand() -> None:
    """Each masked cell costs its own nats and weighs the same, whatever the rate of its puzzle."""
    spy = Spy(torch.randn(3, 4, 3, generator=seeded(9)))
    counts = set()
    for seed in range(20):
        loss, metrics = MaskedObjective()(spy, CLUES, SOLUTION, RANK, seeded(seed))
        nats, right = [], []
        for row in range(3):
            for cell in range(4):
                if spy.shown[row, cell] == 0:
                    scores = spy.logits[row, cell].tolist()
                    truth = int(SOLUTION[row, cell]) - 1
                    nats.append(math.log(sum(math.exp(score) for score in scores)) - scores[truth])
                    right.append(max(scores) == scores[truth])
        counts.add(len(nats))
        assert loss.item() == pytest.approx(sum(nats) / len(nats), rel=1e-5)
        assert metrics["cell_accuracy"].item() == pytest.approx(sum(right) / len(right))
    assert len(counts) > 3


def test_only_masked_cells_have_a_gradient() -> None:
    spy = Spy(torch.randn(3, 4, 3, generator=seeded(9)))
    loss, _ = MaskedObjective()(spy, CLUES, SOLUTION, RANK, seeded(0))
    loss.backward()
    assert spy.logits.grad is not None
    assert torch.equal(spy.logits.grad.abs().sum(-1) > 0, spy.shown == 0)


@pytest.mark.parametrize("objective", [MaskedObjective(), MaskedObjective(1.0, 8)], ids=repr)
def test_gradients_are_finite_differences(objective: MaskedObjective) -> None:
    """At fixed masks; the confidence that chooses some of them has no gradient."""
    logits = torch.randn(3, 4, 3, generator=seeded(9), dtype=torch.float64, requires_grad=True)
    masked = 0
    for seed in range(3):
        spy = Spy(logits.detach())

        def loss(x: torch.Tensor, seed: int = seed, spy: Spy = spy) -> torch.Tensor:
            spy.forward = lambda tokens: (setattr(spy, "shown", tokens), x)[1]
            return objective(spy, CLUES, SOLUTION, RANK, seeded(seed))[0]

        assert torch.autograd.gradcheck(loss, logits)
        (gradient,) = torch.autograd.grad(loss(logits), logits)
        assert torch.equal(gradient.abs().sum(-1) > 0, spy.shown == 0)
        masked += int((spy.shown == 0).sum())
    assert masked > 3


def test_clues_are_always_shown_and_the_rest_is_masked_or_true() -> None:
    spy, ever = Spy(torch.zeros(3, 4, 3)), torch.zeros_like(CLUES)
    for seed in range(200):
        MaskedObjective()(spy, CLUES, SOLUTION, RANK, seeded(seed))
        masked = spy.shown == 0
        assert not masked[CLUES > 0].any()
        assert torch.equal(spy.shown[~masked], SOLUTION[~masked])
        ever += masked
    assert torch.equal((ever > 40) & (ever < 160), CLUES == 0)


def test_a_batch_without_blanks_costs_nothing() -> None:
    spy = Spy(torch.randn(3, 4, 3, generator=seeded(9)))
    loss, metrics = MaskedObjective()(spy, SOLUTION, SOLUTION, RANK, seeded(0))
    loss.backward()
    assert loss.item() == metrics["cell_accuracy"].item() == 0
    assert spy.logits.grad is not None
    assert not spy.logits.grad.any()


def test_masks_come_from_the_generator_alone() -> None:
    spy, shown = Spy(torch.zeros(3, 4, 3)), []
    for seed in (1, 1, 2):
        torch.manual_seed(len(shown))
        MaskedObjective()(spy, CLUES, SOLUTION, RANK, seeded(seed))
        shown.append(spy.shown)
    assert torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_the_surest_blanks_are_shown_first(stages: int) -> None:
    """With fixed logits all the stages together show the blanks of largest p1 - p2."""
    logits = torch.zeros(2, 6, 3)
    logits[:, :, 1] = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0, 0.5])
    clues = torch.tensor([[2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    solution = torch.full((2, 6), 2)
    spy = Spy(logits)
    masked = left_by_margin(spy, clues, solution, torch.tensor([0.4, 0.5]), stages)
    assert masked.tolist() == [
        [False, True, False, False, False, True],
        [False, True, False, True, False, True],
    ]
    assert (spy.shown == 0).sum() >= masked.sum()
    assert left_by_margin(spy, clues, solution, torch.zeros(2), stages).sum() == 0
    assert torch.equal(left_by_margin(spy, clues, solution, torch.ones(2), stages), clues == 0)


def test_revealed_says_for_how_many_puzzles_the_network_chooses() -> None:
    clues, solution = torch.zeros(4000, 4, dtype=torch.int64), torch.full((4000, 4), 2)
    logits = torch.zeros(4000, 4, 3)
    logits[:, :, 1] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    shown_first = {}
    for revealed in (0.0, 0.5, 1.0):
        spy = Spy(logits)
        spy.forward = lambda tokens, spy=spy: (setattr(spy, "shown", tokens), spy.logits[: len(tokens)])[1]
        MaskedObjective(revealed)(spy, clues, solution, clues, seeded(0))
        rows = (spy.shown > 0).sum(1) == 1
        shown_first[revealed] = (spy.shown[rows, 0] > 0).float().mean().item()
    assert shown_first[1.0] == 1
    assert 0.1 < shown_first[0.0] < 0.4
    assert shown_first[0.0] < shown_first[0.5] < 1


@pytest.mark.parametrize(("field", "value"), [("revealed", -0.1), ("revealed", 1.1), ("stages", 0)])
def test_a_share_is_a_share(field: str, value: float) -> None:
    with pytest.raises(UserInputError, match=f"{field}={value}"):
        MaskedObjective(**{field: value})


def test_rates_are_one_offset_and_a_stratum_each() -> None:
    for batch in (1, 2, 7, 64):
        rates = mask_rates(batch, seeded(batch)).double()
        assert rates.shape == (batch,)
        assert ((rates >= 0) & (rates < 1)).all()
        assert (rates * batch).floor().sort().values.tolist() == list(range(batch))
        gaps = rates.sort().values.diff()
        assert torch.allclose(gaps, torch.full_like(gaps, 1 / batch), atol=1e-6)


def test_each_rate_is_uniform_over_batches() -> None:
    """Whatever its place in the batch; and the mean of a batch has variance 1/(12 n^2), not 1/(12 n)."""
    generator, batch = seeded(3), 5
    rates = torch.stack([mask_rates(batch, generator) for _ in range(4000)]).double()
    for place in range(batch):
        assert stats.kstest(rates[:, place].numpy(), "uniform").pvalue > 1e-4
    assert rates.mean(1).var().item() == pytest.approx(1 / (12 * batch**2), rel=0.1)


def test_a_blank_is_masked_with_its_puzzles_probability() -> None:
    """20,000 blanks a row: shares within five standard deviations of the rates, and cells independent."""
    blanks, batch = 20_000, 6
    clues = torch.zeros(batch, blanks, dtype=torch.int64)
    spy = Spy(torch.zeros(batch, blanks, 1))
    MaskedObjective()(spy, clues, clues + 1, clues, seeded(4))
    rates, masked = mask_rates(batch, seeded(4)).double(), (spy.shown == 0).double()
    error = (rates * (1 - rates) / blanks).sqrt()
    assert ((masked.mean(1) - rates).abs() < 5 * error).all()
    pairs = (masked[:, 1:] * masked[:, :-1]).mean(1)
    assert ((pairs - rates**2).abs() < 5 / blanks**0.5).all()
