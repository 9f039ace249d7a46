"""Numbers of cells that the model decides, against twins in loops over rows and cells."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from planorder.decoding import StepView, decode, get_strategy
from planorder.decoding.adaptive import (
    BestOfRuns,
    ChosenCount,
    CumulativeError,
    EntropyBound,
    Factor,
    whole_group,
)
from planorder.decoding.budgets import Threshold
from planorder.decoding.orders import TopMargin, TopProb, left_to_right, neg_entropy
from planorder.decoding.testing import HashModel, check_strategy, equal, small_batch, small_view
from puzzles.base import UserInputError

Budget = Callable[[StepView, torch.Tensor], torch.Tensor]
Twin = Callable[[list[np.ndarray]], int]
"""Of the distributions of a row's allowed blanks, best first: how many."""


def sharpened(view: StepView, power: float) -> StepView:
    return replace(view, log_probs=(power * view.log_probs).log_softmax(-1))


def views() -> list[StepView]:
    plain, other = small_view(), small_view(small_batch(20, seed=3), seed=1)
    narrow = replace(plain, allowed=plain.blank & (torch.arange(8) < 6))
    return [plain, narrow, *(sharpened(other, power) for power in (1, 2, 4, 8))]


def probs(view: StepView, row: int) -> np.ndarray:
    return np.exp(view.log_probs[row].numpy().astype(np.float64))


def entropy(p: np.ndarray) -> float:
    return -sum(x * math.log(x) for x in p if x > 0)


def bounded_twin(error: Callable[[np.ndarray], float], fits: Callable[[float], bool]) -> Twin:
    def count(cells: list[np.ndarray]) -> int:
        n = 0
        for k in range(1, len(cells) + 1):
            errors = [error(p) for p in cells[:k]]
            if not fits(sum(errors) - max(errors)):
                break
            n = k
        return max(n, 1)

    return count


def eb_twin(gamma: float) -> Twin:
    return bounded_twin(entropy, lambda excess: excess <= gamma + 1e-12)


def error_twin(limit: float) -> Twin:
    return bounded_twin(lambda p: 1 - p.max(), lambda excess: excess < limit)


def factor_twin(factor: float) -> Twin:
    def count(cells: list[np.ndarray]) -> int:
        n = 1
        while n < len(cells) and cells[n].max() >= 1 - factor / (n + 2):
            n += 1
        return n

    return count


def follows(budget: Budget, twin: Twin, order: Callable[[StepView], torch.Tensor]) -> bool:
    """Whether the counts are the twin's in every row with blanks."""
    for view in views():
        score = order(view)
        count = budget(view, score).minimum(view.allowed.sum(1))
        for row, allowed in enumerate(view.allowed.tolist()):
            cells = [cell for cell in range(8) if allowed[cell]]
            cells.sort(key=lambda cell, row=row: (-float(score[row, cell]), cell))
            if cells and int(count[row]) != twin([probs(view, row)[cell] for cell in cells]):
                return False
    return True


ORDERS = {"entropy": neg_entropy, "confidence": TopProb(), "margin": TopMargin(), "any": left_to_right}
BUDGETS = {
    "eb 0.1": (EntropyBound(0.1), eb_twin(0.1)),
    "eb 1": (EntropyBound(1.0), eb_twin(1.0)),
    "eb 0": (EntropyBound(0.0), eb_twin(0.0)),
    "cumulative error 0.5": (CumulativeError(0.5), error_twin(0.5)),
    "cumulative error 0.05": (CumulativeError(0.05), error_twin(0.05)),
    "factor 1": (Factor(1.0), factor_twin(1.0)),
    "factor 0.3": (Factor(0.3), factor_twin(0.3)),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize(("budget", "twin"), BUDGETS.values(), ids=BUDGETS.keys())
def test_the_count_is_its_twin(budget: Budget, twin: Twin, order: Callable) -> None:
    assert follows(budget, twin, order)


def test_the_counts_differ_from_row_to_row() -> None:
    for budget in (EntropyBound(1.0), CumulativeError(0.5), Factor(1.0)):
        view = sharpened(small_view(small_batch(20, seed=3), seed=1), 2)
        assert len(set(budget(view, TopProb()(view)).tolist())) >= 3


def sorted_blanks(view: StepView, score: torch.Tensor, values: torch.Tensor) -> tuple:
    ranked = score.masked_fill(~view.allowed, -torch.inf).argsort(dim=1, descending=True, stable=True)
    is_blank = view.allowed.gather(1, ranked)
    return values.gather(1, ranked).masked_fill(~is_blank, 0.0), is_blank


def eb_over_the_batch(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """d2Cache: the running maximum along the batch."""
    h, is_blank = sorted_blanks(view, score, -neg_entropy(view))
    return ((h.cumsum(1) - h.cummax(0).values <= 1.0) & is_blank).sum(1).clamp(min=1)


def eb_of_the_sum(view: StepView, score: torch.Tensor) -> torch.Tensor:
    h, is_blank = sorted_blanks(view, score, -neg_entropy(view))
    return ((h.cumsum(1) <= 1.0) & is_blank).sum(1).clamp(min=1)


def eb_of_filled_cells(view: StepView, score: torch.Tensor) -> torch.Tensor:
    return EntropyBound(1.0)(replace(view, allowed=~view.clue), score)


def eb_in_the_order_of_the_cells(view: StepView, score: torch.Tensor) -> torch.Tensor:
    return EntropyBound(1.0)(view, left_to_right(view))


def factor_without_the_last(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """d2Cache: a full loop commits all but one."""
    return Factor(1.0)(view, score).minimum(view.allowed.sum(1) - 1).clamp(min=1)


def factor_with_the_last(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """Fast-dLLM: the last candidate passes unseen."""
    count, n = Factor(1.0)(view, score), view.allowed.sum(1)
    return torch.where(count == n - 1, n, count)


def factor_one_place_late(view: StepView, score: torch.Tensor) -> torch.Tensor:
    p1, is_blank = sorted_blanks(view, score, TopProb()(view))
    place = torch.arange(8)
    return (((p1 >= 1 - 1.0 / (place + 1)) & is_blank).long().cumprod(1).sum(1)).clamp(min=1)


def error_not_above(view: StepView, score: torch.Tensor) -> torch.Tensor:
    return CumulativeError(1.0)(view, score)


FAULTS = {
    "eb over the batch": (eb_over_the_batch, eb_twin(1.0)),
    "eb of the sum": (eb_of_the_sum, eb_twin(1.0)),
    "eb of filled cells": (eb_of_filled_cells, eb_twin(1.0)),
    "eb in another order": (eb_in_the_order_of_the_cells, eb_twin(1.0)),
    "factor without the last": (factor_without_the_last, factor_twin(1.0)),
    "factor with the last": (factor_with_the_last, factor_twin(1.0)),
    "factor one place late": (factor_one_place_late, factor_twin(1.0)),
    "error of another limit": (error_not_above, error_twin(0.5)),
}


@pytest.mark.parametrize(("budget", "twin"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_budget_is_caught(budget: Budget, twin: Twin) -> None:
    assert not follows(budget, twin, TopProb())


def test_a_bound_over_the_batch_is_caught_by_the_promises() -> None:
    with pytest.raises(AssertionError, match="the budget depends on the other rows"):
        check_strategy(replace(get_strategy("eb_confidence"), budget=eb_over_the_batch))


@pytest.mark.parametrize(
    "tight", [EntropyBound(0.0), CumulativeError(1e-9), Factor(0.0), ChosenCount(BestOfRuns(1.0, 1.0))]
)
def test_at_the_tight_end_it_is_one_cell_a_step(tight: Budget) -> None:
    model, batch = HashModel(4), small_batch()
    found = decode(model, batch, replace(get_strategy("top_prob"), budget=tight))
    assert equal(found, decode(model, batch, get_strategy("top_prob")))


@pytest.mark.parametrize(
    "loose", [EntropyBound(math.inf), CumulativeError(math.inf), Factor(math.inf), Threshold(1e-9)]
)
def test_at_the_loose_end_it_is_all_at_once(loose: Budget) -> None:
    batch = small_batch()
    found = decode(HashModel(4), batch, replace(get_strategy("top_prob"), budget=loose))
    assert (found.passes == batch.blank.any(1)).all()


def test_ties_of_no_entropy_are_filled_together(view_of) -> None:
    sure, open_ = [1.0, 0.0], [0.5, 0.5]
    view = view_of([[sure, open_, sure, open_], [open_] * 4], [[0] * 4] * 2)
    view = replace(view, log_probs=view.log_probs.clamp(min=-1e4))
    assert EntropyBound(0.0)(view, TopProb()(view)).tolist() == [3, 1]


def test_a_group_is_all_that_share_the_best_score() -> None:
    view = small_view()
    score = (torch.arange(8) // 3).double().expand(view.tokens.shape)
    for row, count in enumerate(whole_group(view, score).tolist()):
        best = [cell // 3 for cell in range(8) if view.allowed[row, cell]]
        assert count == best.count(max(best, default=-1))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EntropyBound(-1.0), "gamma=-1"),
        (lambda: CumulativeError(0.0), "limit=0"),
        (lambda: Factor(-0.1), "factor=-0.1"),
    ],
)
def test_mistakes_are_named(make: Callable, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        make()
