"""What strategies sample, against laws that are enumerated path by path for a few cells."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import exact_moves as moves
import numpy as np
import pytest
import torch
from exact_joint import Law, ends, law_of, p_value, passes, random_joint

from planorder.decoding import Decoded, StepView, Strategy, decode, get_strategy, with_options
from planorder.decoding.adaptive import EntropyBound
from planorder.decoding.budgets import Bernoulli, Fixed, Threshold
from planorder.decoding.correctors import Cap, Loop, Psi, Remasking, Rescale, dfm, forward_backward
from planorder.decoding.picks import Nucleus, Sample, argmax
from planorder.decoding.remask import never
from planorder.decoding.testing import HashModel

JOINT = random_joint(4, 2)
"""Four cells of two values."""
CHAOS = HashModel(2, seed=3, sharpness=3.0)
"""Conditionals that belong to no joint law, with an opinion on filled cells too."""
N = 10_000
SOUND, FAULTY = 1e-3, 1e-6
"""p-values (at a fixed seed): a sound sampler's is above the first, a faulty one's below the second."""


def preset(name: str, steps: int | None = None, **changes) -> Strategy:
    """A preset with sampled values."""
    return replace(with_options(get_strategy(name), steps=steps), **{"pick": Sample(1.0), **changes})


def remasking(process: Remasking) -> Strategy:
    return preset("remdm_cap", 5, budget=process.budget, remask=process.remask)


LOOP = Loop(eta=0.4, t_on=0.6, t_off=0.2, alpha_on=0.5)

CASES: dict[str, tuple] = {
    "vanilla": (preset("vanilla", 3), JOINT, moves.ancestral(3), 3),
    "vanilla, any model": (preset("vanilla", 3), CHAOS, moves.ancestral(3), 3),
    "many steps": (preset("vanilla", 12), JOINT, moves.ancestral(12), 12),
    "cosine": (preset("vanilla_cosine", 3), CHAOS, moves.ancestral(3, moves.cosine), 3),
    "nucleus": (preset("vanilla", 3, pick=Nucleus(0.8)), CHAOS, moves.ancestral(3), 3, moves.nucleus),
    "mgdm_random": (preset("mgdm_random", 4), CHAOS, moves.ancestral(4), 4),
    "fixed k": (
        preset("vanilla_fixed_k", 3),
        CHAOS,
        moves.random_until(lambda step: math.floor(4 * (step + 1) / 3 + 0.5)),
        3,
    ),
    "two at a time": (
        preset("random_k", budget=Fixed(2)),
        JOINT,
        moves.random_until(lambda step: 2 * step + 2),
        2,
    ),
    "one at a time": (preset("first_hitting"), CHAOS, moves.random_until(lambda step: step + 1), 4),
    "threshold": (preset("threshold"), JOINT, moves.threshold(0.9), 4),
    "threshold, any model": (preset("threshold", budget=Threshold(0.6)), CHAOS, moves.threshold(0.6), 4),
    "entropy bound": (preset("eb_entropy", budget=EntropyBound(0.6)), CHAOS, moves.entropy_bound(0.6), 4),
    "dilated": (preset("dilated"), JOINT, moves.certain(lambda o, p: {0, 2} & set(o) or {1, 3}), 2),
    "cap": (remasking(Remasking(Cap(0.3))), CHAOS, moves.posterior(lambda now, after, most: 0.3, 5), 5),
    "rescale": (
        remasking(Remasking(Rescale(0.5))),
        JOINT,
        moves.posterior(lambda now, after, most: 0.5 * most, 5),
        5,
    ),
    "loop": (
        remasking(Remasking(LOOP.sigma, LOOP.alpha)),
        CHAOS,
        moves.posterior(lambda now, after, most: 0.4 * (now == after == 0.5), 5, moves.bent),
        5,
    ),
    "forward-backward": (
        remasking(Remasking(forward_backward)),
        CHAOS,
        moves.posterior(lambda now, after, most: (after - now) / now, 5),
        5,
    ),
    "flow matching": (
        remasking(Remasking(dfm)),
        CHAOS,
        moves.posterior(lambda now, after, most: 10 * (now * (1 - now)) ** 0.25 * (after - now) / now, 5),
        5,
    ),
    "psi": (
        remasking(Remasking(Psi(0.5, 0.5))),
        CHAOS,
        moves.posterior(lambda now, after, most: 0.5 * (1 - after) * (now <= 0.5), 5),
        5,
    ),
    "p2, ancestral": (
        preset("p2_ancestral", 3),
        CHAOS,
        moves.random_until(lambda step: 4 - 4 * (2 - step) // 3),
        3,
    ),
    "p2, flow matching": (preset("p2_dfm", 4), CHAOS, moves.above_a_line(moves.at_random, 4), 4),
    "routing": (preset("rdm_deterministic_linear", 4), CHAOS, moves.above_a_line(moves.by_p1, 4), 4),
}
"""Strategy, model, the rule as a `Move`, steps, and the law of values where it is not p itself."""


@cache
def case_law(name: str) -> Law:
    _, model, move, steps, *values = CASES[name]
    return law_of(model, 4, move, steps, *values)


def drawn(model: Callable, strategy: Strategy, puzzles: Callable, n: int = N) -> Decoded:
    """Many draws for one empty puzzle of four cells."""
    batch = replace(puzzles(np.zeros((n, 4))), unique=False)
    return decode(model, batch, strategy, batch_size=n)


def fit(found: Decoded, law: Law) -> float:
    """The lesser of two p-values: of what the draws end in, and of their forward passes."""
    cells = map(tuple, found.cells.tolist())
    return min(p_value(cells, ends(law)), p_value(found.passes.tolist(), passes(law)))


@pytest.mark.parametrize("name", CASES)
def test_a_sampler_has_its_enumerated_law_and_number_of_passes(name: str, puzzles) -> None:
    strategy, model = CASES[name][:2]
    assert fit(drawn(model, strategy, puzzles), case_law(name)) > SOUND


def stale(view: StepView) -> torch.Tensor:
    """Values from the conditionals of the step before."""
    before = view.log_probs if view.previous_log_probs is None else view.previous_log_probs
    return Sample(1.0)(replace(view, log_probs=before))


def one_draw_for_all(view: StepView) -> torch.Tensor:
    """One uniform number a row, not one a cell."""
    first = view.uniform
    return Sample(1.0)(
        replace(view, uniform=lambda stream, *extra: first(stream)[:, :1].expand_as(view.blank))
    )


def one_draw_for_value_and_place(view: StepView) -> torch.Tensor:
    """The numbers that chose the cell choose its value."""
    place = view.uniform("order")
    return Sample(1.0)(replace(view, uniform=lambda stream, *extra: place))


def the_same_in_every_step(view: StepView) -> torch.Tensor:
    return Sample(1.0)(replace(view, uniform=replace(view.uniform, step=view.step * 0)))


def a_step_late(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """The hazard of the step before; the last step fills what is left."""
    return Bernoulli()(replace(view, step=(view.step - 1).clamp(min=0)), score)


def of_all_steps(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """1 / T in every step, without division by what is left."""
    return ((view.uniform("budget") < 1 / view.total_steps) & view.blank).sum(1)


def gross(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """Remasking whose count is not net."""
    return CAP.budget(view, score) + CAP.remask(view, score, score).sum(1)


CAP = Remasking(Cap(0.3))

FAULTS: dict[str, tuple[str, dict]] = {
    "squared probabilities": ("vanilla", {"pick": Sample(0.5)}),
    "likeliest values": ("vanilla", {"pick": argmax}),
    "stale conditionals": ("vanilla", {"pick": stale}),
    "one draw for all cells": ("vanilla", {"pick": one_draw_for_all}),
    "one draw for value and place": ("one at a time", {"pick": one_draw_for_value_and_place}),
    "a schedule a step late": ("vanilla", {"budget": a_step_late}),
    "a hazard that does not rise": ("vanilla", {"budget": of_all_steps}),
    "another grid": ("cosine", {"budget": Bernoulli("linear")}),
    "fewer steps": ("vanilla", {"steps": 2}),
    "all of p": ("nucleus", {"pick": Sample(1.0)}),
    "one cell for two": ("two at a time", {"budget": Fixed(1)}),
    "first cells first": ("one at a time", {"order": get_strategy("left_to_right").order}),
    "another threshold": ("threshold, any model", {"budget": Threshold(0.7)}),
    "surest first": ("entropy bound", {"budget": EntropyBound(0.0)}),
    "nothing reopened": ("cap", {"remask": never}),
    "reopened cells not filled anew": ("cap", {"budget": gross}),
    "filled cells stay": ("p2, flow matching", {"remask": never}),
}


@pytest.mark.parametrize(("name", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_sampler_is_caught(name: str, fault: dict, puzzles) -> None:
    strategy, model = CASES[name][:2]
    assert fit(drawn(model, replace(strategy, **fault), puzzles), case_law(name)) < FAULTY
