"""The promises of every class of rule and of every preset, on random puzzles, states and logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from worlds import FEW, World, holds, tries, worlds

from planorder.decoding import (
    PRESETS,
    StepView,
    Strategy,
    adaptive,
    blocks,
    budgets,
    correctors,
    fixed_orders,
    influence,
    lookahead,
    noise,
    orders,
    picks,
    planners,
    priors,
    remask,
    with_options,
)
from planorder.decoding.testing import check_order
from puzzles.base import UserInputError

unit = st.floats(0.01, 1.0)
weight = st.sampled_from([0.0, 0.1, 1.0, 20.0])
small = st.integers(1, 12)
kappas = st.sampled_from(sorted(planners.KAPPAS))
lines = st.builds(planners.Line, kappas)
a_pick = st.one_of(
    st.just(picks.argmax),
    st.builds(picks.Sample, st.sampled_from([0.2, 1.0, 5.0])),
    st.builds(picks.Nucleus, unit, st.sampled_from([0.5, 1.0])),
)
scored = {"scale": st.sampled_from(["prob", "log"]), "committed": st.sampled_from(["argmax", "held"])}
Made = Callable[[World], st.SearchStrategy]
"""Rules of one class for a world."""

ORDERS: dict[str, Made] = {
    "random": lambda w: st.just(orders.random_order),
    "left to right": lambda w: st.sampled_from([orders.left_to_right, fixed_orders.right_to_left]),
    "solver": lambda w: st.just(orders.solver_order),
    "entropy": lambda w: st.just(orders.neg_entropy),
    "top prob": lambda w: st.builds(orders.TopProb, **scored),
    "top margin": lambda w: st.builds(orders.TopMargin, **scored),
    "picked": lambda w: st.builds(orders.PickedProb, a_pick),
    "given": lambda w: st.permutations(range(w.n_cells)).map(fixed_orders.given_order),
    "halton": lambda w: st.builds(fixed_orders.Halton, st.none() | small),
    "dilated": lambda w: st.builds(fixed_orders.Dilated, st.integers(2, 6)),
    "position": lambda w: st.builds(priors.PositionPrior, weight, st.sampled_from([0.1, 10.0])),
    "linear position": lambda w: st.builds(priors.LinearPosition, unit, st.sampled_from([0.1, 10.0])),
    "certainty": lambda w: st.builds(priors.CertaintyPrior, st.sampled_from([0.1, 1.0, 10.0, 1e6])),
    "curriculum": lambda w: st.builds(priors.Curriculum, weight),
    "pooled": lambda w: st.builds(priors.PooledProb, st.sampled_from([0.01, 0.05, 3.0])),
    "among top": lambda w: st.builds(priors.RandomAmongTop, small),
    "fewest legal": lambda w: st.builds(
        influence.FewestLegal,
        st.lists(st.sets(st.sampled_from(range(w.n_cells))).map(tuple), max_size=4).map(tuple),
        st.sampled_from([0.05, 2.0]),
    ),
    "oracle": lambda w: st.just(planners.oracle_margin),
    "path": lambda w: st.builds(planners.PathScore, st.sampled_from(sorted(planners.SCORES)), weight, a_pick),
    "best of runs": lambda w: st.builds(adaptive.BestOfRuns, st.just(0.3), st.floats(0.3, 1.0)).map(
        adaptive.ChosenFirst
    ),
    "look ahead": lambda w: st.builds(
        lookahead.LookAhead,
        st.integers(1, 4),
        st.sampled_from([0.0, 1.0]),
        temperature=st.sampled_from([0.0, 0.2]),
        bypass=st.sampled_from([0.5, 2.0]),
        pick=a_pick,
    ),
}


def remasking(process: correctors.Remasking | planners.ConditionalRouting) -> dict:
    return {"budget": process.budget, "remask": process.remask}


def drafting(wino: lookahead.Wino) -> dict:
    return {"budget": wino.budget, "remask": wino.remask, "memory": wino.memory}


def chosen(rule: adaptive.Chosen, fallback: int = 1, **more) -> dict:
    budget = adaptive.ChosenCount(rule, fallback)
    return {"order": adaptive.ChosenFirst(rule), "budget": budget, **more}


def budget(made: st.SearchStrategy) -> Made:
    return lambda w: made.map(lambda rule: {"budget": rule})


def acyclic(n_cells: int) -> st.SearchStrategy:
    """Graphs whose parents are lower cells."""
    lower = [st.sets(st.sampled_from(range(cell))) for cell in range(1, n_cells)]
    return st.tuples(st.just(()), *lower)


sigmas = st.one_of(
    st.builds(correctors.Cap, unit),
    st.builds(correctors.Rescale, unit),
    st.builds(correctors.Psi, unit, unit),
    st.sampled_from([correctors.conf, correctors.forward_backward, correctors.dfm]),
)

PARTS: dict[str, Made] = {
    "fixed": budget(st.builds(budgets.Fixed, small)),
    "schedule": budget(st.builds(budgets.Schedule, st.sampled_from(budgets.SCHEDULES))),
    "bernoulli": budget(st.builds(budgets.Bernoulli, st.sampled_from(budgets.SCHEDULES))),
    "threshold": budget(st.builds(budgets.Threshold, st.just(0.0) | unit)),
    "entropy bound": budget(st.builds(adaptive.EntropyBound, weight)),
    "error": budget(st.builds(adaptive.CumulativeError, unit)),
    "factor": budget(st.builds(adaptive.Factor, weight)),
    "group": budget(st.just(adaptive.whole_group)),
    "line": budget(lines),
    "runs": lambda w: st.builds(adaptive.BestOfRuns, st.just(0.2), st.floats(0.2, 1.0)).map(chosen),
    "stable": lambda w: st.builds(
        lambda rule, n: chosen(rule, memory=adaptive.KlHistory(n)),
        st.builds(adaptive.Stable, unit, unit),
        st.integers(1, 3),
    ),
    "one of the stable": lambda w: st.builds(
        lambda rule, among, n: {"order": adaptive.ChosenFirst(rule, among), "memory": adaptive.KlHistory(n)},
        st.builds(adaptive.Stable, unit, unit),
        st.sampled_from([adaptive.least_change, orders.random_order]),
        st.integers(1, 3),
    ),
    "readiness": lambda w: st.builds(
        lambda order, memory: {"order": order, "memory": memory},
        st.builds(influence.Readiness, unit),
        st.builds(influence.Influence, st.floats(0.0, 0.9)),
    ),
    "frozen": lambda w: st.just({"order": planners.frozen, "memory": planners.first_draw}),
    "credit": lambda w: st.builds(
        lambda see, memory: {"see": see, "memory": memory, "budget": budgets.Threshold(0.5)},
        st.builds(adaptive.WithCredit, weight),
        st.builds(adaptive.Credit, unit, weight),
    ),
    "pick": lambda w: a_pick.map(lambda pick: {"pick": pick}),
    "gumbel": lambda w: st.builds(noise.Gumbel, weight, st.booleans()).map(lambda rule: {"noise": rule}),
    "gaussian": lambda w: st.builds(noise.Gaussian, weight, st.booleans()).map(lambda rule: {"noise": rule}),
    "fading": lambda w: st.builds(planners.FadingGumbel, weight, kappas).map(lambda rule: {"noise": rule}),
    "remaining": budget(st.builds(budgets.Remaining, st.sampled_from(budgets.SCHEDULES))),
    "blocks": lambda w: st.builds(blocks.Blocks, small).map(lambda see: {"see": see}),
    "graph": lambda w: acyclic(w.n_cells).map(
        lambda parents: {"see": blocks.GivenDag(tuple(tuple(sorted(own)) for own in parents))}
    ),
    "route": lambda w: st.builds(
        lambda line, revise: {"remask": remask.route, "budget": line, "revise": revise},
        lines,
        st.booleans(),
    ),
    "conditional": lambda w: st.builds(planners.ConditionalRouting, lines).map(remasking),
    "remasking": lambda w: st.builds(correctors.Remasking, sigmas).map(remasking),
    "loop": lambda w: st.builds(correctors.Loop, unit, st.just(0.6), st.just(0.1), st.floats(0.1, 0.9)).map(
        lambda loop: remasking(correctors.Remasking(loop.sigma, loop.alpha))
    ),
    "lowest margin": lambda w: st.builds(correctors.LowestMargin, small, unit).map(
        lambda rule: {"remask": rule}
    ),
    "draft": lambda w: st.builds(lookahead.Wino, unit, unit, st.integers(1, 3)).map(drafting),
}


@pytest.mark.parametrize("made", ORDERS.values(), ids=ORDERS.keys())
@FEW
@given(world=worlds(), data=st.data())
def test_orders_keep_their_promises(made: Made, world: World, data: st.DataObject) -> None:
    holds(world, order=data.draw(made(world)))


@pytest.mark.parametrize("made", PARTS.values(), ids=PARTS.keys())
@FEW
@given(world=worlds(), data=st.data())
def test_other_choices_keep_their_promises(made: Made, world: World, data: st.DataObject) -> None:
    holds(world, **data.draw(made(world)))


@settings(FEW, max_examples=25)
@given(world=worlds(), data=st.data())
def test_choices_of_any_two_kinds_keep_their_promises(world: World, data: st.DataObject) -> None:
    choices = {"order": data.draw(data.draw(st.sampled_from(list(ORDERS.values())))(world))}
    for _ in range(2):
        more = data.draw(data.draw(st.sampled_from(list(PARTS.values())))(world))
        assume(not ("memory" in choices and "memory" in more))  # a strategy has one
        choices |= more
    holds(world, **choices)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
@settings(FEW, max_examples=2)
@given(world=worlds())
def test_presets_keep_their_promises(preset: Strategy, world: World) -> None:
    holds(world, **choices_of(preset))


@settings(FEW, max_examples=25)
@given(world=worlds(), data=st.data())
def test_presets_keep_their_promises_with_options(world: World, data: st.DataObject) -> None:
    """Any preset, in any number of steps, with noise and sampled values."""
    options = {
        "steps": data.draw(st.none() | small),
        "noise": data.draw(st.sampled_from([None, "none", "gumbel:0.5", "gaussian:0.1:annealed"])),
        "temperature": data.draw(st.sampled_from([None, 1.0, 0.2])),
    }
    holds(world, **choices_of(with_options(PRESETS[data.draw(st.sampled_from(sorted(PRESETS)))], **options)))


def choices_of(strategy: Strategy) -> dict:
    """A strategy's choices, in at most six steps."""
    held = {field.name: getattr(strategy, field.name) for field in fields(strategy)}
    return held | {"steps": None if strategy.steps is None else min(strategy.steps, 6)}


@pytest.mark.parametrize("name", ["top_margin", "klass", "mgdm", "remdm_cap", "wino", "info_gain"])
def test_a_fault_in_a_preset_is_found(name: str) -> None:
    """A number of cells that depends on the first row of the batch."""
    preset = PRESETS[name]

    def budget(view: StepView, score: torch.Tensor) -> torch.Tensor:
        return preset.budget(view, score) + view.blank.sum(1)[:1]

    with pytest.raises(AssertionError):
        tries(choices_of(replace(preset, budget=budget)))


def odds(view: StepView) -> torch.Tensor:
    """Infinite where a cell is certain."""
    p = orders.TopProb()(view)
    return p / (1 - p)


def least_of_three(view: StepView) -> torch.Tensor:
    return view.log_probs.double().topk(min(3, view.log_probs.shape[-1])).values[..., -1].exp().log()


FAULTS: dict[str, dict] = {
    "odds": {"order": odds},
    "third value": {"order": least_of_three},
    "four values": {"pick": lambda view: picks.argmax(view) % 4 + 1},
    "first row's number": {"budget": lambda view, score: view.blank.sum(1)[:1].expand_as(view.step)},
    "unsure clues": {"remask": lambda view, score, count: ~view.blank & (view.committed_prob <= 1)},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(fault: dict) -> None:
    with pytest.raises((AssertionError, UserInputError)):
        tries(fault)


@pytest.mark.parametrize("order", [odds, least_of_three])
def test_the_view_of_every_day_does_not_show_all_faults(order: Callable) -> None:
    check_order(order)
