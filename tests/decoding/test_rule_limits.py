"""Limits at which a rule is a simpler one, exactly, and bounds that only loosen."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from planorder.decoding import Strategy, decode, get_strategy
from planorder.decoding.adaptive import CumulativeError, EntropyBound, Factor
from planorder.decoding.budgets import Fixed, Threshold
from planorder.decoding.noise import Gaussian, Gumbel, no_noise
from planorder.decoding.orders import TopMargin, TopProb
from planorder.decoding.picks import Nucleus, Sample
from planorder.decoding.planners import FadingGumbel
from planorder.decoding.testing import HashModel, equal, small_batch, small_view

BATCH, MODEL = small_batch(), HashModel(4)
N_CELLS = BATCH.clues.shape[1]


def base(name: str, **changes) -> Strategy:
    return replace(get_strategy(name), **changes)


PAIRS: dict[str, tuple[Strategy, Strategy]] = {
    "no Gumbel": (base("top_prob", noise=Gumbel(0.0)), get_strategy("top_prob")),
    "no Gaussian": (base("top_prob", noise=Gaussian(0.0, annealed=True)), get_strategy("top_prob")),
    "no fading Gumbel": (base("mgdm", noise=FadingGumbel(0.0)), base("mgdm", noise=no_noise)),
    "threshold 0": (base("threshold", budget=Threshold(0.0)), base("top_prob", budget=Fixed(N_CELLS))),
    "threshold 1": (base("top_prob", budget=Threshold(1.0)), get_strategy("top_prob")),
    "cold samples": (base("top_prob", pick=Sample(1e-5)), get_strategy("top_prob")),
    "whole nucleus": (base("vanilla", pick=Nucleus(1.0)), get_strategy("vanilla")),
    "all at once": (base("top_margin", budget=Fixed(N_CELLS)), base("top_margin", steps=1)),
    "more than all": (base("top_margin", budget=Fixed(99)), base("random", steps=1)),
    "T = 1 of a threshold": (base("threshold", steps=1), base("eb_margin", steps=1)),
    "all at any gamma": (base("eb_entropy", budget=EntropyBound(math.inf)), base("random", steps=1)),
    "two values": (base("top_margin", order=TopMargin("log")), get_strategy("top_margin")),
}


@pytest.mark.parametrize(("rule", "simple"), PAIRS.values(), ids=PAIRS.keys())
def test_at_its_limit_a_rule_is_a_simpler_one(rule: Strategy, simple: Strategy) -> None:
    assert equal(decode(MODEL, BATCH, rule), decode(MODEL, BATCH, simple))


BOUNDS: dict[str, list] = {
    "threshold": [Threshold(tau) for tau in (1.0, 0.9, 0.6, 0.3, 0.0)],
    "entropy bound": [EntropyBound(gamma) for gamma in (0.0, 0.3, 1.0, 3.0, math.inf)],
    "cumulative error": [CumulativeError(limit) for limit in (1e-6, 0.3, 1.0, math.inf)],
    "factor": [Factor(factor) for factor in (0.0, 0.5, 1.0, 2.0, math.inf)],
}


@pytest.mark.parametrize("budgets", BOUNDS.values(), ids=BOUNDS.keys())
def test_a_looser_bound_fills_more_from_one_to_all(budgets: list) -> None:
    view = small_view(small_batch(40, seed=2))
    counts = torch.stack([budget(view, TopProb()(view)) for budget in budgets])
    counts = counts.minimum(view.blank.sum(1))
    assert bool((counts.diff(dim=0) >= 0).all())
    assert torch.equal(counts[0], view.blank.sum(1).clamp(max=1))
    assert torch.equal(counts[-1], view.blank.sum(1))
    assert all(len(set(row.tolist())) > 2 for row in counts[1:-1])
    tightened = counts.flip(0)
    assert not bool((tightened.diff(dim=0) >= 0).all()), "the wrong direction is caught"
