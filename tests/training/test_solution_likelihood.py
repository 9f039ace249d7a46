"""The bound and the chain rule against plain enumeration, and against the exact likelihoods of few blanks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from planorder.decoding import likelihood as exact
from planorder.decoding.testing import HashModel, small_batch
from planorder.training import likelihood
from planorder.training.likelihood import chain_rule, masked_bound
from planorder.training.objectives.imitate import lead
from planorder.training.objectives.registry import OBJECTIVES
from planorder.training.objectives.schedules import Schedule
from planorder.training.objectives.weighted import WeightedObjective
from puzzles.base import PuzzleBatch, UserInputError

MODEL = HashModel(4, seed=3, sharpness=2.0)
BATCH = small_batch(n=10, n_cells=6, n_values=4)
"""Row 0 has no blanks, row 1 nothing but blanks."""


def exact_nats(row: int, order: list[int]) -> float:
    clues, solution = (torch.from_numpy(x[row]).long() for x in (BATCH.clues, BATCH.solution))
    return -exact.given_order(MODEL, clues, solution[None], order).item()


def blanks(row: int) -> list[int]:
    return np.flatnonzero(BATCH.clues[row] == 0).tolist()


def all_orders(row: int) -> float:
    """The mean of -log p over all orders of a row's blanks: the bound."""
    return float(np.mean([exact_nats(row, list(order)) for order in permutations(blanks(row))]))


@pytest.mark.parametrize("name", ["rank", "reversed"])
def test_a_given_order_has_its_exact_likelihood(name: str) -> None:
    order = BATCH.rank if name == "rank" else -np.tile(np.arange(6), (10, 1))
    found = chain_rule(MODEL, BATCH, order, batch_size=3)
    wanted = [exact_nats(row, sorted(blanks(row), key=lambda cell: order[row, cell])) for row in range(10)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)
    assert found[0] == 0


def test_an_order_lead_is_decided_in_each_state() -> None:
    found, wanted = chain_rule(MODEL, BATCH, lead), []
    for row in range(10):
        state, order = torch.from_numpy(BATCH.clues[row : row + 1]).long(), []
        for _ in blanks(row):
            margin = lead(MODEL(state).double().log_softmax(-1))[0]
            cell = int(margin.masked_fill(state[0] != 0, -1.0).argmax())
            order.append(cell)
            state[0, cell] = int(BATCH.solution[row, cell])
        wanted.append(exact_nats(row, order))
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)


def misses(objective: WeightedObjective, repeats: int = 32) -> tuple[bool, float]:
    """Whether the bound is off by more than five standard errors, and the largest error over the value.

    The standard error is taken over blocks of repeats, which are independent.
    """
    rows = np.array([0, 2, 4, 7])
    blocks = np.stack(
        [
            masked_bound(MODEL, BATCH[rows], repeats=repeats, seed=s, objective=objective).mean(1)
            for s in range(30)
        ]
    )
    mean, error = blocks.mean(0), blocks.std(0, ddof=1) / math.sqrt(len(blocks))
    wanted = np.array([all_orders(row) for row in rows])
    return bool((np.abs(mean - wanted) > 5 * error + 1e-12).any()), float((error[1:] / wanted[1:]).max())


@pytest.mark.parametrize(
    ("objective", "precise"),
    [
        (WeightedObjective(masks="count"), 0.02),
        (WeightedObjective(), 0.1),
        (WeightedObjective(noise=Schedule("cosine")), 0.15),
    ],
    ids=["count", "rate", "cosine"],
)
def test_the_bound_is_the_mean_over_orders(objective: WeightedObjective, precise: float) -> None:
    found, error = misses(objective)
    assert not found
    assert error < precise


@dataclass(frozen=True)
class NoWeight(WeightedObjective):
    def level(self, t: torch.Tensor, blanks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().level(t, blanks)[0], torch.ones_like(t)


def test_planted_faults_miss_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert misses(NoWeight(masks="count"))[0]
    right = likelihood.masked_nats
    monkeypatch.setattr(
        likelihood, "masked_nats", lambda model, rows, *rest: right(model, rows[::-1], *rest)
    )  # states of other puzzles
    assert misses(WeightedObjective(masks="count"))[0]


def test_strata_of_counts_leave_no_variance_between_counts() -> None:
    """Where nats depend on the number of masks alone, as many repeats as blanks are the bound itself."""
    batch = replace(BATCH, solution=np.ones_like(BATCH.solution))[np.array([1])]

    def model(tokens: torch.Tensor) -> torch.Tensor:
        filled = (tokens > 0).sum(1)[:, None, None]
        return filled * torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(len(tokens), 6, -1)

    wanted = sum(math.log(math.exp(filled) + 3) - filled for filled in range(6))
    found = [masked_bound(model, batch, repeats=6, seed=seed).mean() for seed in range(5)]
    assert found == pytest.approx([wanted] * 5, rel=1e-5)
    rates = [
        masked_bound(model, batch, repeats=6, seed=s, objective=WeightedObjective()).mean() for s in range(5)
    ]
    assert np.std(rates) > 0.01 * wanted


def test_results_depend_on_the_seed_and_not_on_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    found = masked_bound(MODEL, BATCH, repeats=5)
    assert found.shape == (10, 5)
    assert np.array_equal(found, masked_bound(MODEL, BATCH, repeats=5, batch_size=7))
    assert not np.array_equal(found, masked_bound(MODEL, BATCH, repeats=5, seed=1))
    order = chain_rule(MODEL, BATCH, BATCH.rank)
    assert np.array_equal(order, chain_rule(MODEL, BATCH, BATCH.rank, batch_size=1))
    monkeypatch.setattr(likelihood, "DRAWN", 4)
    pieces = masked_bound(MODEL, BATCH, repeats=5)
    assert pieces.shape == (10, 5)
    assert np.array_equal(pieces[:4], masked_bound(MODEL, BATCH[:4], repeats=5))
    twice = masked_bound(MODEL, BATCH[np.array([1, 2, 3, 4] * 2)], repeats=5)
    assert not np.array_equal(twice[:4], twice[4:])  # each piece has masks of its own
    counted: list[int] = []
    masked_bound(MODEL, BATCH, repeats=5, progress=counted.append)
    chain_rule(MODEL, BATCH, lead, progress=counted.append)
    assert sum(counted) == 50 + int(BATCH.blank.sum())


def test_edges_go_to_their_puzzles() -> None:
    """A model whose probabilities are in the edges: every state must get those of its own puzzle."""
    edges = np.arange(10, dtype=np.int16).reshape(10, 1, 1) % 4
    batch: PuzzleBatch = replace(BATCH, edges=edges)

    def model(tokens: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return 2.0 * nn.functional.one_hot(edges[:, :1, 0], 4).expand(-1, tokens.shape[1], -1)

    norm = math.log(math.exp(2.0) + 3)
    right = (batch.solution - 1 == edges[:, :, 0]) & batch.blank
    wanted = batch.blank.sum(1) * norm - 2.0 * right.sum(1)
    assert chain_rule(model, batch, lead, batch_size=3) == pytest.approx(wanted)
    found = masked_bound(model, batch, repeats=400, batch_size=7).mean(1)
    assert found == pytest.approx(wanted, rel=0.15)
    assert (found[wanted == 0] == 0).all()


def test_networks_are_evaluated_and_left_as_they_were() -> None:
    class Net(nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            assert not self.training
            return MODEL(tokens)

    net = Net().train()
    masked_bound(net, BATCH, repeats=2)
    chain_rule(net, BATCH, lead)
    assert net.training


def test_mistakes_are_told() -> None:
    def broken(tokens: torch.Tensor) -> torch.Tensor:
        return MODEL(tokens) * float("nan")

    for call, message in (
        (lambda: masked_bound(MODEL, BATCH, repeats=0), "repeats=0"),
        (lambda: chain_rule(MODEL, BATCH, lead, batch_size=0), "batch_size=0"),
        (lambda: chain_rule(MODEL, BATCH, BATCH.rank[:3]), r"order of shape \[3, 6\]"),
        (lambda: masked_bound(broken, BATCH), "not finite"),
        (lambda: chain_rule(broken, BATCH, lead), "not finite"),
    ):
        with pytest.raises(UserInputError, match=message):
            call()
    for name in ("mgdm", "rdm"):
        with pytest.raises(UserInputError, match="expected an objective that is a bound"):
            masked_bound(MODEL, BATCH, objective=OBJECTIVES[name].objective)  # type: ignore[arg-type]
