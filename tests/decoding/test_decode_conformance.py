"""Faults planted in parts of a strategy, most of them found in published samplers; each must be caught."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from planorder.decoding import PRESETS, StepView, Strategy, get_strategy
from planorder.decoding.budgets import Threshold
from planorder.decoding.orders import TopMargin, TopProb, left_to_right, neg_entropy, random_order
from planorder.decoding.picks import argmax
from planorder.decoding.testing import check_order, check_strategy, small_batch, small_view


def wrong_sign_entropy(view: StepView) -> torch.Tensor:
    return -neg_entropy(view)


def over_the_batch(view: StepView) -> torch.Tensor:
    p = TopProb()(view)
    return p / p.max()


def cummax_over_the_batch(view: StepView) -> torch.Tensor:
    return TopProb()(view).cummax(0).values


def by_place(view: StepView) -> torch.Tensor:
    return torch.rand(view.tokens.shape, generator=torch.Generator().manual_seed(0))


def global_state(view: StepView) -> torch.Tensor:
    return torch.rand(view.tokens.shape)


def infinite_on_blanks(view: StepView) -> torch.Tensor:
    return TopProb()(view).masked_fill(view.blank & (view.tokens.cumsum(1) == 0), -torch.inf)


def writes_its_input(view: StepView) -> torch.Tensor:
    view.log_probs[..., 0] += 1.0
    return TopProb()(view)


def reads_neighbours(view: StepView) -> torch.Tensor:
    return TopProb()(view).roll(1, dims=1)


def by_value(view: StepView) -> torch.Tensor:
    return view.log_probs


def integers(view: StepView) -> torch.Tensor:
    return view.tokens


BAD_ORDERS = {
    "over the batch": (over_the_batch, "other rows"),
    "cummax over the batch": (cummax_over_the_batch, "other rows"),
    "random by place": (by_place, "other rows"),
    "global random state": (global_state, "two results"),
    "infinite": (infinite_on_blanks, "inf or nan"),
    "writes": (writes_its_input, "changed its input log_probs"),
    "filled cells' logits": (reads_neighbours, "logits of filled cells"),
    "a score a value": (by_value, "gave shape"),
    "integers": (integers, "floating-point"),
}


@pytest.mark.parametrize(("order", "said"), BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
def test_a_faulty_order_is_caught(order, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_order(order)
    with pytest.raises(AssertionError, match=said):
        check_strategy(Strategy("faulty", order))


def test_the_wrong_sign_of_entropy_is_caught() -> None:
    for order in (TopProb(), TopProb("log"), TopMargin(), TopMargin("log"), neg_entropy):
        check_order(order, surest_first=True)
    for order in (wrong_sign_entropy, left_to_right, random_order):
        check_order(order)
        with pytest.raises(AssertionError, match="open cells before certain"):
            check_order(order, surest_first=True)


def test_reading_filled_cells_can_be_allowed() -> None:
    check_order(reads_neighbours, reads_filled=True)
    check_strategy(Strategy("mine", reads_neighbours), reads_filled=True)


def top_k_over_the_batch(view: StepView, score: torch.Tensor) -> torch.Tensor:
    line = score[view.blank].median()
    return ((score >= line) & view.blank).sum(1).clamp(min=1)


FAULTS = {
    "budget over the batch": ({"budget": top_k_over_the_batch}, "the budget depends on the other rows"),
    "budget a cell": ({"budget": lambda view, score: view.tokens}, "the budget gave shape"),
    "budget in float": ({"budget": lambda view, score: view.step.double()}, "the budget gave torch.float64"),
    "pick a logit index": ({"pick": lambda view: argmax(view) - 1}, "outside 1..4"),
    "pick by place": (
        {
            "pick": lambda view: torch.randint(
                1, 5, view.tokens.shape, generator=torch.Generator().manual_seed(1)
            )
        },
        "the pick depends on the other rows",
    ),
    "remask touches clues": ({"remask": lambda view, score, count: ~view.blank}, "reopens clues"),
    "remask reopens blanks": ({"remask": lambda view, score, count: ~view.clue}, "that are blank"),
    "remask in numbers": ({"remask": lambda view, score, count: score}, "the remask rule gave torch.float64"),
    "noise of a stranger": (
        {"noise": lambda view, score: score + torch.randn(score.shape)},
        "two results for one state",
    ),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_choice_is_caught(fault: dict, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_strategy(replace(get_strategy("top_prob"), **fault))


def test_a_fault_that_shows_only_in_whole_decodes_is_caught() -> None:
    calls = iter(range(10**6))

    def tires(view: StepView) -> torch.Tensor:
        # Passes the checks on single views, where the step is 3.
        return TopProb()(view) * (next(calls) % 2 * 2 - 1 if int(view.step[0]) < 3 else 1)

    check_order(tires)
    with pytest.raises(AssertionError, match="gave another result"):
        check_strategy(Strategy("tires", tires))


def test_the_made_up_puzzles_hold_the_awkward_cases() -> None:
    batch, view = small_batch(), small_view()
    blanks = batch.blank.sum(1)
    assert blanks[0] == 0
    assert blanks[1] == batch.clues.shape[1]
    assert len({tuple(row) for row in batch.clues.tolist()}) == len(batch)
    for row, rank in zip(batch.blank, batch.rank, strict=True):
        assert sorted(rank[row]) == list(range(row.sum()))
    assert bool((~view.blank & ~view.clue).any())
    assert all(strategy.name == name for name, strategy in PRESETS.items())
    assert int(Threshold(0.5)(view, TopProb()(view)).max()) > 1
