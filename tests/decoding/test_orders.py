from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from scipy import stats

from planorder.decoding import decode, get_strategy
from planorder.decoding.orders import (
    TINY,
    TopMargin,
    TopProb,
    left_to_right,
    neg_entropy,
    random_order,
    solver_order,
)
from planorder.decoding.testing import TableModel
from puzzles.base import UserInputError

PROBS = [[[0.5, 0.4, 0.1], [0.6, 0.2, 0.2], [0.55, 0.449, 0.001], [0.1, 0.2, 0.7]]]
EMPTY = [[0, 0, 0, 0]]


def test_top_prob_is_the_largest_probability(view_of) -> None:
    view = view_of(PROBS, EMPTY)
    assert TopProb()(view)[0].tolist() == pytest.approx([0.5, 0.6, 0.55, 0.7], rel=1e-6)
    assert TopProb("log")(view)[0].tolist() == pytest.approx(
        [math.log(p) for p in (0.5, 0.6, 0.55, 0.7)], rel=1e-6
    )


def test_top_margin_is_the_lead_over_the_second(view_of) -> None:
    view = view_of(PROBS, EMPTY)
    assert TopMargin()(view)[0].tolist() == pytest.approx([0.1, 0.4, 0.101, 0.5], rel=1e-5)
    assert TopMargin("log")(view)[0].tolist() == pytest.approx(
        [math.log(m) for m in (0.1, 0.4, 0.101, 0.5)], rel=1e-5
    )


def test_scales_order_alike(view_of) -> None:
    logits = torch.randn(5, 9, 4, generator=torch.Generator().manual_seed(0))
    view = view_of(logits.softmax(-1).tolist(), [[0] * 9] * 5)
    for order in (TopProb, TopMargin):
        assert torch.equal(order("prob")(view).argsort(1), order("log")(view).argsort(1))


def test_equal_halves_have_a_finite_log_margin(view_of) -> None:
    view = view_of([[[0.5, 0.5]]], [[0]])
    assert float(TopMargin("log")(view)) == pytest.approx(math.log(TINY))


def test_held_values_are_scored_where_asked(view_of) -> None:
    view = view_of(PROBS, [[2, 0, 0, 3]])
    assert TopProb(committed="held")(view)[0].tolist() == pytest.approx([0.4, 0.6, 0.55, 0.7], rel=1e-6)
    assert TopMargin(committed="held")(view)[0].tolist() == pytest.approx([-0.1, 0.4, 0.101, 0.5], rel=1e-5)
    assert TopProb(committed="argmax")(view)[0, 0] == pytest.approx(0.5, rel=1e-6)


def test_neg_entropy_in_nats(view_of) -> None:
    score = neg_entropy(view_of(PROBS, EMPTY))[0].tolist()
    assert score == pytest.approx([sum(p * math.log(p) for p in cell) for cell in PROBS[0]], rel=1e-6)
    # The published samplers with a wrong sign fill the most open cell first; the sure one must win.
    flat, sharp = neg_entropy(view_of([[[0.34, 0.33, 0.33], [0.98, 0.01, 0.01]]], [[0, 0]]))[0]
    assert sharp > flat


def test_left_to_right_falls_with_the_index(view_of) -> None:
    assert left_to_right(view_of(PROBS, EMPTY))[0].tolist() == [0, -1, -2, -3]


def test_solver_order_follows_the_rank_or_says_what_is_missing(view_of) -> None:
    view = view_of(PROBS, EMPTY)
    assert solver_order(replace(view, rank=torch.tensor([[2, 0, 3, 1]])))[0].tolist() == [-2, 0, -3, -1]
    with pytest.raises(UserInputError, match="no solver ranks"):
        solver_order(view)


def test_random_order_ignores_the_model(view_of) -> None:
    view = view_of(PROBS, EMPTY)
    other = replace(view, log_probs=view.log_probs.flip(-1))
    assert torch.equal(random_order(view), random_order(other))


@pytest.mark.parametrize("options", [{"scale": "nats"}, {"committed": "new"}])
@pytest.mark.parametrize("order", [TopProb, TopMargin])
def test_unknown_options_are_named(order, options) -> None:
    with pytest.raises(UserInputError, match=f"{next(iter(options))}="):
        order(**options)


def test_random_order_takes_all_permutations_equally_often(distinct) -> None:
    found = decode(
        TableModel(torch.zeros(10, 10)), distinct(12_000, 4), get_strategy("random"), batch_size=4000
    )
    counts = Counter(map(tuple, found.step[:, :4].tolist()))
    assert set(counts) == set(permutations(range(4)))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3
