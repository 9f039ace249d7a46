"""P2's path planning against a slow plain twin, its limits in eta, planted faults, the oracle of margins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from planorder.decoding import Strategy, decode, get_strategy
from planorder.decoding.orders import PickedProb, TopMargin, TopProb, margin
from planorder.decoding.picks import Sample, argmax
from planorder.decoding.planners import SCORES, Line, PathScore, first_draw, frozen, oracle_margin
from planorder.decoding.published import correctors, lookahead, routing
from planorder.decoding.random import Uniforms, row_keys
from planorder.decoding.remask import never, route
from planorder.decoding.testing import HashModel, TableModel, equal, small_batch, small_view
from planorder.decoding.view import StepView
from planorder.tokens import MASK
from puzzles.base import UserInputError

STEPS = 6
TINY = 1e-30


def planned(q: str, eta: float, **options) -> Strategy:
    return Strategy("p2", PathScore(q, eta), budget=Line(), remask=route, steps=STEPS, **options)


def plain_score(q: str, p: np.ndarray, value: int, uniform: float) -> float:
    """Of one cell: p is its distribution, value a logit index."""
    if q == "random":
        return math.log(uniform)
    if q == "margin":
        return math.log(max(p[value] - np.delete(p, value).max(), TINY))
    return math.log(p[value])


def plain_planning(model, clues: np.ndarray, q: str, eta: float) -> tuple[list[int], list[int]]:
    """One puzzle, likeliest values: what stands in the end, and how often each cell was masked again."""
    state, open_ = clues.astype(int).tolist(), np.flatnonzero(clues == 0).tolist()
    again = [0] * len(clues)
    for step in range(STEPS):
        if MASK not in state:
            break
        tokens = torch.from_numpy(clues.astype(np.int64))[None]
        draw = Uniforms(row_keys(tokens, 0), torch.tensor([step]), len(clues))("order")[0].tolist()
        p = model(torch.tensor([state]))[0].double().log_softmax(-1).exp().numpy()
        would = [state[c] if state[c] != MASK else int(p[c].argmax()) + 1 for c in range(len(clues))]
        score = {}
        for cell in open_:
            q_of = min(plain_score(q, p[cell], would[cell] - 1, draw[cell]), -TINY)
            score[cell] = q_of if state[cell] == MASK else eta * q_of
        n_masked = (len(open_) * (STEPS - step - 1)) // STEPS
        low = sorted(open_, key=lambda c: (score[c], -c))[:n_masked]
        for cell in open_:
            again[cell] += state[cell] != MASK and cell in low
            state[cell] = MASK if cell in low else would[cell]
    return state, again


def check_planning(strategy: Strategy, q: str, eta: float) -> None:
    """Raises `AssertionError` unless whole decodes are those of the twin."""
    batch, model = small_batch(), HashModel(4)
    found = decode(model, batch, strategy)
    for row in range(len(batch)):
        cells, again = plain_planning(model, batch.clues[row], q, eta)
        assert found.cells[row].tolist() == cells
        assert found.reopened[row].tolist() == again


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("q", SCORES)
def test_planning_is_its_plain_twin(q: str, eta: float) -> None:
    check_planning(planned(q, eta), q, eta)


@dataclass(frozen=True)
class ScoresWhatItWouldPut(PathScore):
    def __call__(self, view: StepView) -> torch.Tensor:
        q = SCORES[self.q](view, argmax(view) - 1).clamp(max=-TINY)
        return torch.where(view.blank, q, self.eta * q)


@dataclass(frozen=True)
class PositiveMargin(PathScore):
    """log p1 - log p2 > 0, as published: eta = 0 makes filled cells the lowest."""

    def __call__(self, view: StepView) -> torch.Tensor:
        top = view.log_probs.double().topk(2, -1).values
        gap = top[..., 0] - top[..., 1]
        return torch.where(view.blank, gap, self.eta * gap)


FAULTS: dict[str, tuple[Strategy, str, float]] = {
    "scores what it would put": (
        replace(planned("log_prob", 1.0), order=ScoresWhatItWouldPut("log_prob", 1.0)),
        "log_prob",
        1.0,
    ),
    "positive scores": (replace(planned("margin", 0.0), order=PositiveMargin("margin", 0.0)), "margin", 0.0),
    "eta on blanks too": (
        replace(planned("log_prob", 3.0), order=PathScore("log_prob", 1.0)),
        "log_prob",
        3.0,
    ),
    "nothing is ever masked": (replace(planned("random", 1.0), remask=never), "random", 1.0),
}


@pytest.mark.parametrize(("strategy", "q", "eta"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_caught(strategy: Strategy, q: str, eta: float) -> None:
    with pytest.raises(AssertionError):
        check_planning(strategy, q, eta)


@pytest.mark.parametrize("kappa", ["linear", "cosine", "log"])
@pytest.mark.parametrize("q", SCORES)
def test_eta_of_none_never_reopens_a_cell(q: str, kappa: str) -> None:
    pick = Sample(1.0)
    strategy = replace(planned(q, 0.0), order=PathScore(q, 0.0, pick), budget=Line(kappa), pick=pick)
    for model in (HashModel(4), HashModel(4, sharpness=2000.0), TableModel(torch.zeros(8, 4))):
        assert not decode(model, small_batch(), strategy, steps=7).reopened.any()
    # The published margin, positive as it is, reopens.
    faulty = replace(strategy, order=PositiveMargin(q, 0.0))
    assert decode(HashModel(4), small_batch(), faulty).reopened.any()


def test_a_certain_blank_does_not_push_a_filled_cell_out(view_of) -> None:
    """Cell 0 is a blank with p = 1 exactly; the filled cell 1 scores 0 at eta = 0 and stays above it."""
    view = view_of([[[1.0, 0.0], [0.5, 0.5], [0.6, 0.4]]], [[0, 1, 0]])
    for q in SCORES:
        score = PathScore(q, 0.0)(view)
        assert score.argmax(1).tolist() == [1]
        assert not route(view, score, torch.tensor([0])).any()


def test_eta_of_one_ranks_all_cells_by_the_value_they_hold() -> None:
    model, batch = HashModel(4), small_batch()
    for q, order in (
        ("log_prob", TopProb("log", committed="held")),
        ("margin", TopMargin("log", committed="held")),
    ):
        plain = replace(planned(q, 1.0), order=order)
        found = decode(model, batch, planned(q, 1.0))
        assert found.reopened.any()
        assert equal(found, decode(model, batch, plain))


def test_ancestral_planning_fills_in_random_order_and_dfm_reopens() -> None:
    model, batch = HashModel(4), small_batch(30)
    found = decode(model, batch, get_strategy("p2_ancestral"))
    assert not found.reopened.any()
    random = replace(get_strategy("random"), budget=Line(), steps=50, pick=Sample(1.0))
    assert equal(found, decode(model, batch, random))
    assert decode(model, batch, get_strategy("p2_dfm")).reopened.any()


def test_blanks_are_scored_by_the_value_they_would_get() -> None:
    view, pick = small_view(), Sample(1.0)
    score, value = PathScore("log_prob", 1.0, pick)(view), pick(view)
    for row, cell in view.blank.nonzero().tolist():
        expected = float(view.log_probs[row, cell, value[row, cell] - 1])
        assert float(score[row, cell]) == pytest.approx(expected)


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(UserInputError, match="score 'entropy'"):
        PathScore("entropy")
    for eta in (-0.5, math.inf, math.nan):
        with pytest.raises(UserInputError, match="eta="):
            PathScore("log_prob", eta)


def test_the_margin_is_the_lead_of_a_value(view_of) -> None:
    view = view_of([[[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]], [[0, 0]])
    assert margin(view, torch.tensor([[0, 0]]))[0].tolist() == pytest.approx([0.2, -0.6], abs=1e-6)
    assert margin(view, torch.tensor([[1, 2]]))[0].tolist() == pytest.approx([-0.2, 0.5], abs=1e-6)


def plain_frozen(clues: np.ndarray, seed: int) -> tuple[list[int], list[int]]:
    """One puzzle by P2+: values, and the step at which each cell was filled."""
    state, when, order = clues.astype(int).tolist(), [-1] * len(clues), []
    keys = row_keys(torch.from_numpy(clues.astype(np.int64))[None], seed)
    for step in range(int((clues == 0).sum())):
        p = HashModel(4)(torch.tensor([state]))[0].log_softmax(-1).double().exp().numpy()
        draw = Uniforms(keys, torch.tensor([step]), len(clues))
        if step == 0:
            drawn = [min(int((p[c].cumsum() < u).sum()), 3) for c, u in enumerate(draw("order")[0].tolist())]
            order = sorted(np.flatnonzero(clues == 0), key=lambda c: (-p[c][drawn[c]], c))
        cell = order[step]
        chance = float(draw("pick")[0, cell])
        state[cell], when[cell] = min(int((p[cell].cumsum() < chance).sum()), 3) + 1, step
    return state, when


def follows_the_first_pass(strategy: Strategy) -> bool:
    batch = small_batch(20)
    found = decode(HashModel(4), batch, strategy, seed=2)
    return all(
        (found.cells[row].tolist(), found.step[row].tolist()) == plain_frozen(clues, 2)
        for row, clues in enumerate(batch.clues)
    )


FROZEN_FAULTS: dict[str, dict] = {
    "ranked anew": {"memory": lambda view: first_draw(replace(view, memory=None))},
    "by the values that are filled in": {
        "memory": lambda view: PickedProb(Sample(1.0))(view) if view.memory is None else view.memory
    },
    "by the likeliest value": {
        "memory": lambda view: TopProb("log")(view) if view.memory is None else view.memory
    },
    "likeliest values": {"pick": argmax},
}


def test_the_order_of_the_first_pass_is_kept() -> None:
    assert follows_the_first_pass(get_strategy("p2_plus"))
    with pytest.raises(UserInputError, match="remembers nothing"):
        frozen(small_view())


@pytest.mark.parametrize("fault", FROZEN_FAULTS.values(), ids=FROZEN_FAULTS.keys())
def test_an_order_that_is_not_kept_is_caught(fault: dict) -> None:
    assert not follows_the_first_pass(replace(get_strategy("p2_plus"), **fault))


def test_the_oracle_fills_first_what_the_solution_makes_easiest() -> None:
    batch, model = small_batch(), HashModel(4)
    found = decode(model, batch, get_strategy("oracle_margin"))
    for row in range(len(batch)):
        state = batch.clues[row].astype(int).tolist()
        for step in range(int(batch.blank[row].sum())):
            p = model(torch.tensor([state]))[0].double().softmax(-1).numpy()
            lead = {}
            for cell in [c for c in range(len(state)) if state[c] == MASK]:
                truth = batch.solution[row, cell] - 1
                lead[cell] = p[cell][truth] - np.delete(p[cell], truth).max()
            first = min(lead, key=lambda c: (-lead[c], c))
            state[first] = int(p[first].argmax()) + 1
            assert found.step[row, first] == step
        assert found.cells[row].tolist() == state


def test_the_oracle_says_when_there_is_no_solution() -> None:
    unsolved = replace(small_batch(), solution=np.zeros_like(small_batch().solution))
    with pytest.raises(UserInputError, match="no solutions"):
        decode(HashModel(4), unsolved, get_strategy("oracle_margin"))
    with pytest.raises(UserInputError, match="no solutions"):
        oracle_margin(replace(small_view(), solution=None))


MINE = {**routing.PRESETS, **correctors.PRESETS, **lookahead.PRESETS}


@pytest.mark.parametrize("name", [name for name in MINE if name != "oracle_margin"])
def test_nothing_but_the_oracle_reads_the_answers(name: str) -> None:
    batch, model = small_batch(5), HashModel(4)
    blind = replace(batch, solution=np.zeros_like(batch.solution), rank=np.full_like(batch.rank, -1))
    assert equal(decode(model, batch, MINE[name]), decode(model, blind, MINE[name]))
