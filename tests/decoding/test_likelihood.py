"""One joint law in every order; exact likelihoods against plain enumeration, and against draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import exact_moves as moves
import numpy as np
import pytest
import torch
from exact_joint import State, ends, law_of, p_value, random_joint

from planorder.decoding import PRESETS, StepView, Strategy, decode, get_strategy, with_options
from planorder.decoding import likelihood as exact
from planorder.decoding.adaptive import EntropyBound
from planorder.decoding.budgets import Fixed
from planorder.decoding.lookahead import LookAhead
from planorder.decoding.orders import PickedProb, TopProb
from planorder.decoding.picks import Sample
from planorder.decoding.remask import never
from planorder.decoding.testing import HashModel, TableModel
from puzzles.base import UserInputError

JOINT = random_joint(4, 2, seed=1)
CHAOS = HashModel(3, seed=5, sharpness=3.0)
EMPTY = torch.zeros(4, dtype=torch.int64)
N = 10_000
SOUND, FAULTY = 1e-3, 1e-6

ORACLES = ("solver_order", "oracle_margin")
"""Orders that need the answers."""
ONE_BY_ONE = [
    name
    for name, strategy in PRESETS.items()
    if strategy.budget == Fixed(1) and strategy.remask is never and name not in ORACLES
]
"""Presets that fill one blank a step, by what they see."""


def p_of(strategy: Strategy, law: dict[State, float], puzzles: Callable) -> float:
    """p-value of many draws with sampled values for one empty puzzle of four cells."""
    batch = replace(puzzles(np.zeros((N, 4))), unique=False)
    found = decode(JOINT, batch, replace(strategy, pick=Sample(1.0)), batch_size=N)
    return p_value(map(tuple, found.cells.tolist()), law)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_one_cell_a_step_in_any_order_gives_the_joint_law(name: str, puzzles) -> None:
    assert p_of(get_strategy(name), JOINT.law(), puzzles) > SOUND


def likeliest_draw_first(view: StepView) -> torch.Tensor:
    """By the very values that are then filled in: what is drawn decides what is drawn next."""
    return PickedProb(Sample(1.0))(view)


NOT_THE_JOINT = {
    "two at a time": replace(get_strategy("top_prob"), budget=Fixed(2)),
    "ancestral, few steps": with_options(get_strategy("vanilla"), steps=2),
    "by the value drawn": Strategy("s", likeliest_draw_first),
    "maskgit": with_options(get_strategy("maskgit"), k=1, noise="none"),
}


@pytest.mark.parametrize("strategy", NOT_THE_JOINT.values(), ids=NOT_THE_JOINT.keys())
def test_cells_in_parallel_or_chosen_by_their_draw_are_another_law(strategy: Strategy, puzzles) -> None:
    assert p_of(strategy, JOINT.law(), puzzles) < FAULTY


def marginal_product() -> dict[State, float]:
    n = JOINT.table.ndim
    one = [JOINT.table.sum(axis=tuple(a for a in range(n) if a != cell)) for cell in range(n)]
    return {
        tuple(v + 1 for v in at): math.prod(float(one[cell][v]) for cell, v in enumerate(at))
        for at in np.ndindex(JOINT.table.shape)
    }


@pytest.mark.parametrize("name", ["top_prob", "random", "left_to_right", "vanilla_fixed_k", "vanilla"])
def test_all_cells_at_once_are_the_product_of_the_marginals(name: str, puzzles) -> None:
    for strategy in (with_options(get_strategy(name), k=4), with_options(get_strategy(name), steps=1)):
        assert p_of(strategy, marginal_product(), puzzles) > SOUND
    assert p_of(get_strategy("first_hitting"), marginal_product(), puzzles) < FAULTY


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.8, 2.0])
def test_the_entropy_bound_bounds_the_divergence_from_the_joint(gamma: float, puzzles) -> None:
    """KL(joint || law) <= gamma * steps: what arXiv:2505.24857 promises for a model without error."""
    law = law_of(JOINT, 4, moves.entropy_bound(gamma), 4)
    found, steps = ends(law), sum(count * mass for (_, count), mass in law.items())
    divergence = sum(p * math.log(p / found[x]) for x, p in JOINT.law().items() if p > 0)
    assert -1e-9 <= divergence <= gamma * steps + 1e-9
    assert (divergence < 1e-9) == (gamma == 0)
    assert p_of(replace(get_strategy("eb_entropy"), budget=EntropyBound(gamma)), found, puzzles) > SOUND


def test_every_order_gives_the_exact_model_the_same_likelihood() -> None:
    values = exact.completions(EMPTY, 2)
    law = torch.tensor([JOINT.law()[tuple(row)] for row in values.tolist()], dtype=torch.float64)
    for order in permutations(range(4)):
        found = exact.given_order(JOINT, EMPTY, values, order).exp()
        assert torch.allclose(found, law, rtol=1e-5, atol=1e-12)
    assert torch.allclose(exact.random_order(JOINT, EMPTY, values).exp(), law, rtol=1e-5, atol=1e-12)


CLUES = torch.tensor([0, 2, 0, 0, 1, 0])


def plain_chain(values: tuple[int, ...], order: tuple[int, ...]) -> float:
    """The product of conditionals along an order of the blanks of `CLUES`."""
    state, p = CLUES.tolist(), 1.0
    for cell in order:
        law = CHAOS(torch.tensor([state]))[0, cell].double().softmax(-1)
        p *= float(law[values[cell] - 1])
        state[cell] = values[cell]
    return p


def test_likelihoods_of_an_inconsistent_model_are_their_enumeration() -> None:
    values = exact.completions(CLUES, 3)
    assert len({tuple(row) for row in values.tolist()}) == len(values) == 3**4
    assert bool((values[:, [1, 4]] == torch.tensor([2, 1])).all())
    orders = list(permutations([0, 2, 3, 5]))
    chains = np.array([[plain_chain(tuple(row), order) for order in orders] for row in values[::11].tolist()])
    for place in (0, 9, 23):
        found = exact.given_order(CHAOS, CLUES, values[::11], orders[place]).exp()
        assert found.tolist() == pytest.approx(chains[:, place].tolist(), rel=1e-5)
    mean = exact.random_order(CHAOS, CLUES, values[::11]).exp()
    assert mean.tolist() == pytest.approx(chains.mean(1).tolist(), rel=1e-5)
    assert chains.std(1).max() > 0.1 * chains.mean(1).max(), "an inconsistent model's orders differ"


@pytest.mark.parametrize(
    ("likelihood", "move", "steps"),
    [
        (exact.random_order, moves.random_until(lambda step: step + 1), 4),
        (lambda *a: exact.random_order(*a, k=3), moves.random_until(lambda step: 3 * step + 3), 2),
        (lambda *a: exact.ancestral(*a, steps=3), moves.ancestral(3), 3),
        (lambda *a: exact.ancestral(*a, steps=4, kind="cosine"), moves.ancestral(4, moves.cosine), 4),
    ],
)
def test_likelihoods_are_the_law_of_all_paths(likelihood: Callable, move: Callable, steps: int) -> None:
    law, values = ends(law_of(CHAOS, 4, move, steps)), exact.completions(EMPTY, 3)
    found = likelihood(CHAOS, EMPTY, values).exp()
    assert found.tolist() == pytest.approx([law[tuple(row)] for row in values.tolist()], rel=1e-5)
    assert float(found.sum()) == pytest.approx(1)


def test_ancestral_sampling_runs_from_the_marginals_to_the_random_order() -> None:
    values = exact.completions(CLUES, 3)
    at_once = exact.ancestral(CHAOS, CLUES, values, steps=1)
    log_p = CHAOS(CLUES[None])[0].double().log_softmax(-1)
    plain = sum(log_p[cell, values[:, cell] - 1] for cell in (0, 2, 3, 5))
    assert torch.allclose(at_once, plain, atol=1e-5)
    assert torch.allclose(at_once, exact.random_order(CHAOS, CLUES, values, k=9), atol=1e-9)
    limit = exact.random_order(CHAOS, CLUES, values).exp()
    gaps = [
        float((exact.ancestral(CHAOS, CLUES, values, steps=t).exp() - limit).abs().sum()) for t in (8, 80)
    ]
    assert gaps[1] == pytest.approx(gaps[0] / 10, rel=0.2), "the error of the grid falls like 1 / T"


def test_a_full_puzzle_is_certain_and_mistakes_are_named() -> None:
    full = torch.tensor([1, 2, 3])
    for likelihood in (exact.random_order, lambda *a: exact.ancestral(*a, steps=2)):
        assert likelihood(TableModel(torch.zeros(3, 3)), full, full[None]).tolist() == [0.0]
    values = exact.completions(CLUES, 3)
    for make, said in (
        (lambda: exact.given_order(CHAOS, CLUES, values, [0, 1, 2]), "order"),
        (lambda: exact.random_order(CHAOS, CLUES, values + 1), "change a clue"),
        (lambda: exact.random_order(CHAOS, CLUES, values, k=0), "k=0"),
        (lambda: exact.ancestral(CHAOS, CLUES, values, steps=0), "steps=0"),
        (lambda: exact.ancestral(CHAOS, CLUES, values, steps=2, kind="sine"), "sine"),
        (lambda: exact.completions(torch.zeros(9, dtype=torch.int64), 2), "9 blanks"),
    ):
        with pytest.raises(UserInputError, match=said):
            make()


def occupied(n: int, steps: int) -> float:
    """Expected number of steps that open a blank, each blank's step uniform: T (1 - (1 - 1/T)^n)."""
    return steps * (1 - (1 - 1 / steps) ** n)


@pytest.mark.parametrize("steps", [1, 3, 6, 50])
def test_the_expected_number_of_passes_of_ancestral_sampling(steps: int, puzzles) -> None:
    n = 6
    batch = replace(puzzles(np.zeros((1000, n))), unique=False)
    flat = TableModel(torch.zeros(n, 3))
    for name in ("vanilla", "mgdm_random"):
        passes = decode(flat, batch, get_strategy(name), steps=steps, batch_size=1000).passes
        error = max(passes.std() / math.sqrt(len(passes)), 1e-12)
        assert abs(passes.mean() - occupied(n, steps)) < 4 * error
        assert steps in (1, 50) or abs(passes.mean() - min(steps, n)) > 10 * error, "min(T, n) is a bound"
        assert passes.max() <= min(steps, n)


def test_look_ahead_orders_are_among_those_tried() -> None:
    assert sum(isinstance(PRESETS[name].order, LookAhead) for name in ONE_BY_ONE) >= 3
    assert isinstance(get_strategy("top_prob").order, TopProb)
    assert len(ONE_BY_ONE) >= 18
