"""Weighted objectives: sums over all masks against likelihoods, values by hand, gradients, planted faults."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import pytest
import torch
from common import seeded
from torch import nn

from planorder.decoding import likelihood as exact
from planorder.decoding.testing import HashModel
from planorder.training.objectives.masked import MaskedObjective
from planorder.training.objectives.registry import OBJECTIVES
from planorder.training.objectives.schedules import Schedule
from planorder.training.objectives.weighted import WeightedObjective
from puzzles.base import UserInputError

WEIGHTED = {
    name: entry.objective
    for name, entry in OBJECTIVES.items()
    if isinstance(entry.objective, WeightedObjective)
}
MODEL = HashModel(3, seed=5, sharpness=3.0)
"""Unlike in every state, so that no two orders have the same likelihood."""
CLUES, SOLUTION = torch.tensor([0, 2, 0, 0]), torch.tensor([3, 2, 1, 2])
BLANKS = [0, 2, 3]
L = len(BLANKS)


def cell_nats(state: list[int], cell: int) -> float:
    scores = MODEL(torch.tensor([state]))[0, cell].double().tolist()
    return math.log(sum(math.exp(s) for s in scores)) - scores[int(SOLUTION[cell]) - 1]


def mean_over_orders() -> float:
    """-log p along an order of the blanks, averaged over all orders, in plain Python."""
    total = 0.0
    for order in permutations(BLANKS):
        state = CLUES.tolist()
        for cell in order:
            total += cell_nats(state, cell) / math.factorial(L)
            state[cell] = int(SOLUTION[cell])
    return total


BOUND = mean_over_orders()


def nodes(objective: WeightedObjective) -> tuple[np.ndarray, np.ndarray]:
    """Times and weights of a sum that integrates a smooth function of the objective's time over U(0, 1)."""
    pieces = L if objective.masks == "count" else objective.time_steps
    if pieces:
        return (np.arange(pieces) + 0.5) / pieces, np.full(pieces, 1 / pieces)
    at, weight = np.polynomial.legendre.leggauss(40)
    return (at + 1) / 2, weight / 2


def expected(objective: WeightedObjective) -> float:
    """The objective's mean in nats a puzzle, over all times and all 2^L masks, each with its probability."""
    subsets = exact.members(L)
    masked = torch.zeros(len(subsets), len(CLUES), dtype=torch.bool)
    masked[:, BLANKS] = subsets.bool()
    logits = MODEL(torch.where(masked, 0, SOLUTION)).double()
    clues, solution = CLUES.expand(len(masked), -1), SOLUTION.expand(len(masked), -1)
    size, total = masked.sum(1).double(), 0.0
    for t, share in zip(*nodes(objective), strict=True):
        time = torch.tensor([t], dtype=torch.float64)
        level, weight = objective.level(time, torch.tensor([L]))
        if objective.masks == "count":
            p = (size == level).double() / math.comb(L, int(level))
        else:
            p = level**size * (1 - level) ** (L - size)
        loss = objective.loss(logits, solution, clues, masked, weight * p)
        total += share * loss.item() * len(masked) * L
    return total


def is_the_bound(objective: WeightedObjective) -> bool:
    return expected(objective) == pytest.approx(BOUND, rel=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        WeightedObjective(),
        WeightedObjective(noise=Schedule("polynomial", 3.0)),
        replace(WEIGHTED["mdlm"], eps=0.0),
        *(WEIGHTED[name] for name in ("md4", "md4_poly", "ao_arm")),
    ],
    ids=repr,
)
def test_every_elbo_is_the_mean_over_orders(objective: WeightedObjective) -> None:
    """Invariance to the schedule, MDLM = MD4 = any-order autoregression (arXiv 2502.06768, App. E)."""
    assert is_the_bound(objective)


@pytest.mark.parametrize("name", ["mdlm", "llada"])
def test_epsilon_leaves_out_what_it_says(name: str) -> None:
    """Times from eps to 1 miss a share of eps of the integral of an integrand near its value at 0."""
    share = (expected(WEIGHTED[name]) - BOUND) / BOUND
    assert 1e-6 < abs(share) < 2e-3
    assert expected(WEIGHTED["mdlm"]) == pytest.approx(expected(WEIGHTED["llada"]), rel=1e-12)


@dataclass(frozen=True)
class WrongSign(WeightedObjective):
    def level(self, t: torch.Tensor, blanks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        level, weight = super().level(t, blanks)
        return level, -weight


@dataclass(frozen=True)
class WrongTime(WeightedObjective):
    """The weight of 1 - t."""

    def level(self, t: torch.Tensor, blanks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().level(t, blanks)[0], super().level(1 - t, blanks)[1]


@dataclass(frozen=True)
class NotNormalised(WeightedObjective):
    """n masks without the L of L / n; masks of a rate without the weight."""

    def level(self, t: torch.Tensor, blanks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        level, weight = super().level(t, blanks)
        return level, 1 / level if self.masks == "count" else torch.ones_like(weight)


@dataclass(frozen=True)
class FilledCellsCost(WeightedObjective):
    """No SUBS: cells that are filled are predicted too."""

    def loss(self, logits, solution, clues, masked, weight):  # type: ignore[no-untyped-def]
        return super().loss(logits, solution, clues, masked | (clues == 0), weight)


@pytest.mark.parametrize("fault", [WrongSign, WrongTime, NotNormalised, FilledCellsCost])
@pytest.mark.parametrize("masks", ["rate", "count"])
def test_a_planted_fault_is_no_bound(fault: type[WeightedObjective], masks: str) -> None:
    assert not is_the_bound(fault(masks=masks))
    assert (expected(fault(masks=masks)) < 0) == (fault is WrongSign)


@pytest.mark.parametrize("noise", [Schedule(), Schedule("cosine"), Schedule("polynomial", 2.0)], ids=str)
def test_steps_bound_the_sampler_of_as_many_steps(noise: Schedule) -> None:
    """One step is the product of the marginals; more approach continuous time, as 1 / T."""
    found = {
        steps: expected(WeightedObjective(noise=noise, time_steps=steps)) for steps in (1, 2, 5, 20, 400)
    }
    assert found[1] == pytest.approx(sum(cell_nats(CLUES.tolist(), cell) for cell in BLANKS), rel=1e-6)
    assert abs(found[400] - BOUND) < abs(found[20] - BOUND) / 15
    assert found[400] == pytest.approx(BOUND, rel=2e-3)
    if noise.kind != "polynomial":
        for steps in (1, 2, 5):
            log_p = exact.ancestral(MODEL, CLUES, SOLUTION[None], steps=steps, kind=noise.kind)
            assert found[steps] >= -log_p.item() - 1e-6


def test_without_a_sum_over_steps_it_is_no_bound() -> None:
    objective = WeightedObjective("reciprocal", time_steps=400)
    whole = expected(WeightedObjective(time_steps=400))
    assert 400 * expected(objective) == pytest.approx(
        whole, rel=1e-9
    )  # RDM's 1 / (t + 1): the bound's over T
    assert not is_the_bound(objective)


LOGITS = torch.tensor([[[0.2, 1.0, -0.5], [0.0, 0.3, 2.0]]], dtype=torch.float64)
TWO = torch.tensor([[2, 1]])


@pytest.mark.parametrize(
    ("name", "i", "factor"), [("mgdm", 3, 18), ("mgdm", 20, 1), ("mgdm_reciprocal", 4, 1 / 4)]
)
def test_mgdm_by_hand(name: str, i: int, factor: float) -> None:
    objective, p = WEIGHTED[name], LOGITS[0].softmax(-1).tolist()
    time = torch.tensor([(i - 0.5) / objective.time_steps])
    level, weight = objective.level(time, torch.tensor([2]))
    assert level.item() == pytest.approx(i / objective.time_steps)
    assert weight.item() == pytest.approx(factor)
    power = objective.focal_power
    terms = [0.25 * (1 - q) ** power * -math.log(q) for q in (p[0][1], p[1][0])]
    for masked, cells in (([[True, True]], terms), ([[True, False]], terms[:1])):
        found = objective.loss(LOGITS, TWO, torch.zeros_like(TWO), torch.tensor(masked), weight)
        assert found.item() == pytest.approx(factor * sum(cells) / len(cells), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "i", "factor"),
    [("rdm", 1, 1.0), ("rdm", 50, 1 / 50), ("rdm_reciprocal", 4, 1 / 4), ("rdm_none", 4, 1.0)],
)
def test_rdm_by_hand(name: str, i: int, factor: float) -> None:
    """Smoothed labels are not reweighted, and the mean is over all blanks, masked or not."""
    objective, p = WEIGHTED[name], LOGITS[0].softmax(-1).tolist()
    level, weight = objective.level(torch.tensor([(i - 0.5) / 50]), torch.tensor([2]))
    assert level.item() == pytest.approx(i / 50)
    found = objective.loss(LOGITS, TWO, torch.zeros_like(TWO), torch.tensor([[False, True]]), weight)
    smooth = -sum(map(math.log, p[1])) / 3
    assert found.item() == pytest.approx((0.9 * factor * -math.log(p[1][0]) + 0.1 * smooth) / 2, rel=1e-6)


@pytest.mark.parametrize("name", WEIGHTED)
def test_gradients_are_those_of_differences(name: str) -> None:
    logits = torch.randn(2, 3, 4, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    solution = torch.tensor([[1, 4, 2], [3, 3, 1]])
    clues = torch.tensor([[0, 4, 0], [0, 0, 0]])
    masked = torch.tensor([[True, False, True], [False, True, True]])
    weight = torch.tensor([0.7, 3.0], dtype=torch.float64)
    objective = WEIGHTED[name]
    assert torch.autograd.gradcheck(
        lambda x: objective.loss(x, solution, clues, masked, weight), (logits,), eps=1e-6, atol=1e-7
    )
    objective.loss(logits, solution, clues, masked, weight).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad.abs().sum(-1) > 0, masked)  # filled cells are carried over: no gradient


def test_unweighted_masks_are_the_masked_objective() -> None:
    logits = torch.randn(6, 4, 3, generator=seeded(2))
    clues, solution = torch.zeros(6, 4, dtype=torch.int64), torch.randint(1, 4, (6, 4), generator=seeded(3))
    shown: list[torch.Tensor] = []

    class Spy(nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            shown.append(tokens)
            return logits

    loss, _ = MaskedObjective()(Spy(), clues, solution, clues, seeded(0))
    objective = WeightedObjective("none", per="masked")
    assert objective.loss(logits, solution, clues, shown[0] == 0, torch.ones(6)).item() == pytest.approx(
        loss.item(), rel=1e-6
    )


@pytest.mark.parametrize("objective", [WEIGHTED["ao_arm"], WeightedObjective(time_steps=4)], ids=repr)
def test_batches_are_unbiased(objective: WeightedObjective) -> None:
    """What is drawn, not summed over: 40 batches, within five standard errors."""
    clues, solution = CLUES.expand(100, -1), SOLUTION.expand(100, -1)
    found = [L * objective(MODEL, clues, solution, clues, seeded(seed))[0].item() for seed in range(40)]
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    assert abs(np.mean(found) - expected(objective)) < 5 * error
    assert error < 0.1 * BOUND


@pytest.mark.parametrize("name", WEIGHTED)
def test_masks_follow_their_level(name: str) -> None:
    objective, n = WEIGHTED[name], 400
    clues = torch.zeros(n, 60, dtype=torch.int64)
    clues[:, 50:] = 1
    clues[0] = 1
    masked, weight = objective.draw(clues, seeded(0))
    assert not masked[clues > 0].any()
    assert weight.isfinite().all()
    assert (weight[1:] > 0).all()
    mean = {"linear": 1 / 2, "cosine": 2 / math.pi, "polynomial": 1 / 3}[objective.noise.kind]
    assert masked[1:, :50].double().mean().item() == pytest.approx(mean, abs=0.05)
    if objective.masks == "count":
        assert set(masked[1:].sum(1).tolist()) == set(range(1, 51))
        assert torch.allclose(weight[1:], 50 / masked[1:].sum(1))


def test_counts_pick_every_subset_alike() -> None:
    clues = torch.zeros(6000, 5, dtype=torch.int64)
    clues[:, 1] = 2
    masked, _ = WeightedObjective(masks="count").draw(clues, seeded(0))
    for size in range(1, 5):
        rows = masked[masked.sum(1) == size]
        _, counts = rows.unique(dim=0, return_counts=True)
        assert len(counts) == math.comb(4, size)
        assert abs(len(rows) / 6000 - 0.25) < 0.01
        assert ((counts - counts.double().mean()).abs() < 5 * counts.double().mean().sqrt()).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight": "elob"}, "weight='elob': expected one of elbo"),
        ({"masks": "all"}, "masks='all'"),
        ({"eps": 1.0}, "eps=1.0"),
        ({"time_steps": -1}, "time_steps=-1"),
        ({"weight": "linear"}, "weight='linear' is of T time steps"),
        ({"eps": 0.1, "time_steps": 5}, "eps=0.1: expected 0"),
        ({"masks": "count", "time_steps": 5}, "time_steps=5 with masks='count'"),
        ({"focal_power": 0.5}, "focal_power=0.5"),
    ],
)
def test_fields_out_of_range_are_told(fields: dict, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        WeightedObjective(**fields)
