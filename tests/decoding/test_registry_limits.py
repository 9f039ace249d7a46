"""What holds for every preset, in tables, each with faults that it finds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from planorder.decoding import PRESETS, StepView, Strategy, decode, get_strategy, with_options
from planorder.decoding.budgets import Fixed, Schedule
from planorder.decoding.lookahead import LookAhead
from planorder.decoding.orders import TopProb, is_model_free, neg_entropy
from planorder.decoding.picks import Sample, argmax
from planorder.decoding.planners import Line
from planorder.decoding.remask import never, route
from planorder.decoding.testing import HashModel, TableModel, equal, small_batch, small_view
from puzzles.base import UserInputError

BATCH, MODEL = small_batch(7, n_cells=10), HashModel(4)
N_CELLS = BATCH.clues.shape[1]
SHORT = [replace(strategy, steps=min(strategy.steps or N_CELLS, 10)) for strategy in PRESETS.values()]
"""All presets, those of many steps in ten."""
EVERY = pytest.mark.parametrize("strategy", SHORT, ids=PRESETS.keys())


def base(name: str, **changes) -> Strategy:
    return replace(get_strategy(name), **changes)


def in_one_step(strategy: Strategy) -> bool:
    """T = 1 fills every blank from the first pass: the likeliest values, or draws that all samplers share."""
    found = decode(MODEL, BATCH, replace(strategy, steps=1))
    plain = decode(MODEL, BATCH, base("random", steps=1, pick=strategy.pick))
    ahead = found.passes[1] - 1
    is_looking = isinstance(strategy.order, LookAhead) or strategy.name == "wino"
    return (
        (found.cells == plain.cells).all()
        and ((found.step == 0) == BATCH.blank).all()
        and (found.passes == (1 + ahead) * BATCH.blank.any(1)).all()
        and bool(ahead) == is_looking
    )


@EVERY
def test_in_one_step_all_blanks_take_their_value_from_one_pass(strategy: Strategy) -> None:
    assert in_one_step(strategy)


def second_best(view: StepView) -> StepView:
    best = view.log_probs.argmax(-1, keepdim=True)
    return replace(view, log_probs=view.log_probs.scatter(-1, best, -2e30))


def asks_again(view: StepView) -> torch.Tensor:
    return TopProb()(replace(view, log_probs=view.evaluate(view.tokens)))


@pytest.mark.parametrize("fault", [{"see": second_best}, {"order": asks_again}])
def test_another_value_or_a_second_pass_is_caught(fault: dict) -> None:
    assert not in_one_step(base("top_prob", **fault))


CERTAIN = torch.tensor([3, 1, 4, 2, 2, 1, 4, 3, 2, 4])
"""The values of a model that has no doubt."""


def keeps_certain_values(strategy: Strategy, model: Callable | None = None) -> bool:
    """A model of huge logits is believed: no other value, no MASK, p = 1, and no clue changes."""
    logits = torch.zeros(N_CELLS, 4).scatter(1, CERTAIN[:, None] - 1, 1e30)
    found = decode(model or TableModel(logits), BATCH, strategy)
    expected = np.where(BATCH.blank, CERTAIN.numpy(), BATCH.clues)
    return bool((found.cells == expected).all() and (found.prob == 1).all())


@EVERY
def test_certain_values_are_filled_and_clues_stay(strategy: Strategy) -> None:
    assert keeps_certain_values(strategy)


def fills_clues(view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    view.tokens[:] = argmax(view)
    return torch.zeros_like(view.blank)


@pytest.mark.parametrize(
    "fault",
    [
        {"pick": lambda view: argmax(view) % 4 + 1},
        {"pick": Sample(1e31)},
        {"remask": fills_clues},
        {"see": second_best},
    ],
)
def test_a_value_that_is_made_up_is_caught(fault: dict) -> None:
    assert not keeps_certain_values(base("top_prob", **fault))


ONE_PASS = ("threshold", "nonet_threshold", "factor", "eb_entropy", "eb_confidence", "eb_margin", "credit")
ONE_PASS += ("cumulative_error", "hierarchy")
"""Rules that fill all they are sure of."""


@pytest.mark.parametrize("name", ONE_PASS)
def test_an_adaptive_number_takes_one_pass_where_all_is_certain(name: str) -> None:
    logits = torch.zeros(N_CELLS, 4).scatter(1, CERTAIN[:, None] - 1, 1e4)
    assert (decode(TableModel(logits), BATCH, get_strategy(name)).passes == BATCH.blank.any(1)).all()
    flat = decode(TableModel(torch.zeros(N_CELLS, 4)), BATCH, get_strategy(name))
    assert (flat.passes == BATCH.blank.sum(1)).all(), "and one cell a pass where nothing is"


COSTS: dict[str, Callable[[np.ndarray, int], tuple]] = {
    "n": lambda n, t: (n, n),
    "n / 4": lambda n, t: (-(-n // 4), -(-n // 4)),
    "1 to n": lambda n, t: (n > 0, n),
    "min(T, n)": lambda n, t: (n > 0, np.minimum(t, n)),
    "at most min(T, n)": lambda n, t: (n > 0, np.minimum(t, n)),
    "up to T": lambda n, t: (n > 0, t),
    "at most log2(N)": lambda n, t: (n > 0, math.ceil(math.log2(N_CELLS))),
    "9 to 9 n": lambda n, t: (9 * (n > 0), 9 * n),
    "9 n": lambda n, t: (9 * n, 9 * n),
    "5 n": lambda n, t: (5 * n, 5 * n),
    "4 n": lambda n, t: (4 * n, 4 * n),
}
"""Least and most passes of puzzles of n blanks in T steps, by what `Strategy.cost` says."""


def costs_as_said(strategy: Strategy, steps: int | None = None) -> bool:
    found = decode(MODEL, BATCH, strategy, steps=steps)
    least, most = COSTS[strategy.cost](BATCH.blank.sum(1), steps or strategy.steps or N_CELLS)
    return bool((found.passes >= least).all() and (found.passes <= most).all())


@EVERY
def test_a_preset_costs_what_it_says(strategy: Strategy) -> None:
    assert costs_as_said(strategy)
    assert PRESETS[strategy.name].steps is None or costs_as_said(strategy, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        base("top_prob", budget=Fixed(2)),
        base("top_prob", order=asks_again),
        base("dilated", budget=Fixed(1)),
        base("vanilla", steps=3, order=asks_again),
        base("lookum", order=LookAhead(candidates=2)),
    ],
)
def test_a_wrong_cost_is_caught(wrong: Strategy) -> None:
    assert not costs_as_said(wrong)


CHANCE = ("random", "vanilla", "vanilla_cosine", "vanilla_nucleus", "vanilla_fixed_k", "first_hitting")
CHANCE += ("random_k", "blocks_random", "maskgit", "dream_alg_temp", "softmax_confidence", "mgdm")
CHANCE += ("random_among_top_5", "rdm_stochastic_linear", "rdm_stochastic_cosine", "mgdm_random")
CHANCE += ("p2_ancestral", "p2_greedy", "p2_margin", "p2_dfm", "info_gain", "lookum", "gibbs_corrector")
CHANCE += ("remdm_cap", "remdm_rescale", "remdm_conf", "remdm_loop", "forward_backward", "dfm_corrector")
CHANCE += ("psi_sampler", "p2_plus")
"""Presets with chance in them; klass_random draws among stable cells, of which an unsure model has none."""
BY_PLACE = ("right_to_left", "halton", "dilated", "solver_order", "certainty_prior")
"""Presets in which a cell's place counts otherwise than from left to right."""
VALUES_ALONE = ("p2_greedy", "p2_margin", "p2_plus", "info_gain", "lookum")
"""Presets of `CHANCE` whose order has none where all values are as likely."""


def ties_to_the_lowest(strategy: Strategy) -> bool:
    """Where all cells are alike, the first blank goes first."""
    step = decode(TableModel(torch.zeros(N_CELLS, 4)), BATCH, strategy).step
    return all((np.diff(row[blank]) >= 0).all() for row, blank in zip(step, BATCH.blank, strict=True))


@EVERY
def test_ties_go_to_the_lowest_cell_and_chance_is_where_it_is_said(strategy: Strategy) -> None:
    orderly = strategy.name not in (*CHANCE, *BY_PLACE) or strategy.name in VALUES_ALONE
    assert ties_to_the_lowest(strategy) == orderly
    unsure = HashModel(4, sharpness=0.5)
    first, *others = (decode(unsure, BATCH, strategy, seed=seed) for seed in range(3))
    assert all(equal(first, other) for other in others) == (strategy.name not in CHANCE)


def test_an_unstable_order_is_caught() -> None:
    highest = base("top_prob", order=lambda view: TopProb()(view) + 1e-12 * torch.arange(N_CELLS))
    assert not ties_to_the_lowest(highest)


def sure_where_filled(order: Callable) -> Callable:
    """The order with +inf on filled cells, as the confidence sampler of Halton-MaskGIT has it."""
    return lambda view: order(view).masked_fill(~view.blank, torch.inf)


KEEPING = [strategy for strategy in SHORT if strategy.remask is never]


def fills_blanks_alone(strategy: Strategy) -> bool:
    """Whether what filled cells score, and be it +inf, changes nothing in what is decoded."""
    found = decode(MODEL, BATCH, strategy, seed=1)
    return equal(
        found, decode(MODEL, BATCH, replace(strategy, order=sure_where_filled(strategy.order)), seed=1)
    )


@pytest.mark.parametrize("strategy", KEEPING, ids=lambda strategy: strategy.name)
def test_filled_cells_of_infinite_score_are_not_filled_again(strategy: Strategy) -> None:
    assert fills_blanks_alone(strategy)
    assert fills_blanks_alone(with_options(strategy, noise="gumbel:0.5:annealed"))


def best_of_all(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """As many as share the best score, filled cells among them."""
    return (score == score.amax(1, keepdim=True)).sum(1)


def test_a_rule_that_counts_filled_cells_is_caught() -> None:
    assert not fills_blanks_alone(base("top_prob", budget=best_of_all))
    with pytest.raises(UserInputError, match="inf or nan"):  # the best score of all, not of the blanks
        fills_blanks_alone(base("top_prob", noise=lambda view, score: score - score.amax(1, keepdim=True)))


def test_a_routing_rule_keeps_what_scores_infinitely() -> None:
    """Rules that rank filled cells too keep those, and fill every blank all the same."""
    for strategy in SHORT:
        if strategy.remask is route:
            found = decode(MODEL, BATCH, replace(strategy, order=sure_where_filled(strategy.order)))
            assert not found.reopened.any()
            assert ((found.step >= 0) == BATCH.blank).all()


UNSURE = ("pc_sampler", "random_among_top_5", "lookum", "lookahead_margin")
"""Presets that read the model, and still may put an open cell before a certain one."""
SURE = torch.tensor([1, 4, 6])
OPEN = torch.tensor([0, 2, 3, 5, 7, 8, 9])


def prefers_sure(strategy: Strategy) -> bool:
    """Whether the order, without its noise, puts every certain cell before every open one."""
    view, logits = small_view(BATCH), torch.zeros(N_CELLS, 4)
    logits[SURE, 0] = 30.0
    log_probs = logits.log_softmax(-1).expand(len(view.tokens), -1, -1)
    empty = torch.ones_like(view.blank)
    view = replace(
        view,
        log_probs=log_probs,
        previous_log_probs=log_probs,
        tokens=torch.zeros_like(view.tokens),
        blank=empty,
        allowed=empty,
        clue=~empty,
        evaluate=lambda ahead: log_probs[:, None].expand(-1, ahead.shape[1], -1, -1),
        solution=torch.ones_like(view.tokens),
    )
    score = strategy.order(strategy.look(strategy.remember(view)))
    return bool((score[:, SURE].amin(1) > score[:, OPEN].amax(1)).all())


@EVERY
def test_orders_that_read_the_model_fill_first_what_is_sure(strategy: Strategy) -> None:
    random = is_model_free(strategy.order) or strategy.name in ("p2_ancestral", "p2_dfm")
    assert prefers_sure(strategy) != random or strategy.name in UNSURE


def test_the_wrong_sign_is_caught_in_any_preset() -> None:
    for name in ("neg_entropy", "eb_entropy", "dream_alg_temp"):
        assert not prefers_sure(base(name, order=lambda view: -neg_entropy(view)))


def filled_half_way(strategy: Strategy, puzzles: Callable) -> float:
    """The share of an empty puzzle of 200 cells that is filled after half of the steps."""
    found = decode(TableModel(torch.zeros(200, 2)), puzzles(np.zeros((1, 200))), strategy, steps=10)
    return float((found.step < 5).mean())


COSINE = ("vanilla_cosine", "vanilla_nucleus", "maskgit", "rdm_deterministic_cosine")
LINEAR = ("vanilla", "vanilla_fixed_k", "mgdm_random", "rdm_deterministic_linear", "p2_ancestral", "top_prob")


@pytest.mark.parametrize("name", [*COSINE, *LINEAR])
def test_cosine_fills_few_early_and_linear_half(name: str, puzzles) -> None:
    share = 1 - math.cos(math.pi / 4) if name in COSINE else 0.5
    assert filled_half_way(get_strategy(name), puzzles) == pytest.approx(share, abs=0.1)
    turned = base(name, budget=Line("sine"))  # many early, as in copies of MaskGIT
    assert filled_half_way(turned, puzzles) > share + 0.15


EMPTY = BATCH[1:2]
ONE_BY_ONE = [n for n, s in PRESETS.items() if s.budget == Fixed(1) and s.remask is never]


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_as_many_steps_as_blanks_are_one_cell_a_step(name: str) -> None:
    strategy = get_strategy(name)
    plain = decode(MODEL, EMPTY, strategy)
    for budget in (Schedule("linear"), Line("linear")):
        assert equal(decode(MODEL, EMPTY, replace(strategy, budget=budget, steps=N_CELLS)), plain)
    if name not in CHANCE and strategy.memory is None:  # an idle step is a step without change to a memory
        longer = decode(MODEL, EMPTY, with_options(strategy, steps=2 * N_CELLS))
        assert (longer.cells == plain.cells).all()
        # Look-ahead looks in idle steps too.
        assert (longer.passes == plain.passes).all() or isinstance(strategy.order, LookAhead)
    fewer = decode(MODEL, EMPTY, with_options(strategy, steps=N_CELLS - 1))
    assert not equal(fewer, plain), "a step less is no longer one cell a step"
