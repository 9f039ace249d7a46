"""RDM and MGDM against slow plain twins of whole decodes, their limits, and faults that the twins catch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from planorder.decoding import Strategy, decode, get_strategy, with_options
from planorder.decoding.budgets import Fixed, Schedule, filled
from planorder.decoding.noise import Gumbel
from planorder.decoding.orders import TopProb, random_order
from planorder.decoding.planners import KAPPAS, ConditionalRouting, FadingGumbel, Line, check_kappa
from planorder.decoding.published import routing
from planorder.decoding.random import Uniforms, row_keys
from planorder.decoding.remask import never, route, top_cells
from planorder.decoding.testing import HashModel, check_strategy, equal, small_batch
from planorder.decoding.view import StepView
from planorder.tokens import MASK
from puzzles.base import UserInputError

STEPS = 6
RULES = {
    # name: (kappa, coefficient, only when taken back, filled cells predicted anew)
    "rdm_deterministic_linear": ("linear", 0.0, False, False),
    "rdm_deterministic_cosine": ("cosine", 0.0, False, False),
    "rdm_stochastic_linear": ("linear", 0.5, False, False),
    "rdm_stochastic_cosine": ("cosine", 0.5, False, False),
    "rdm_conditional": ("linear", 0.0, True, False),
    "mgdm": ("linear", 0.5, False, True),
}


def uniform_of(clues: np.ndarray, step: int, stream: str, seed: int = 0) -> np.ndarray:
    tokens = torch.from_numpy(clues.astype(np.int64))[None]
    draw = Uniforms(row_keys(tokens, seed), torch.tensor([step]), len(clues))
    return draw(stream)[0].numpy()


def rate_after(kappa: str, step: int, steps: int) -> float:
    t = (step + 1) / steps
    return {"linear": 1 - t, "cosine": math.cos(math.pi / 2 * t)}[kappa] if step + 1 < steps else 0.0


def plain_routing(model, clues, steps, kappa, coefficient, conditional, revise):
    """One puzzle: the final values, and how often each cell was masked again."""
    state, open_ = clues.astype(int).tolist(), np.flatnonzero(clues == 0).tolist()
    prob_then, again = dict.fromkeys(open_, 0.0), [0] * len(clues)
    for step in range(steps):
        if MASK not in state:
            break
        p = model(torch.tensor([state]))[0].log_softmax(-1).exp().numpy()
        rate = rate_after(kappa, step, steps)
        gumbel = -np.log(-np.log(uniform_of(clues, step, "noise")))
        score = {c: math.log(p[c].max()) + coefficient * rate * gumbel[c] for c in open_}
        n_masked = math.floor(len(open_) * rate + 1e-9)
        low = sorted(open_, key=lambda c: (score[c], -c))[:n_masked]
        before = list(state)
        for cell in open_:
            best = int(p[cell].argmax()) + 1
            fell = best == before[cell] and p[cell].max() < prob_then[cell]
            if before[cell] != MASK and cell in low and (fell or not conditional):
                state[cell], again[cell] = MASK, again[cell] + 1
            elif cell not in low and (before[cell] == MASK or (revise and before[cell] != best)):
                state[cell], prob_then[cell] = best, p[cell].max()
    return state, again


def check_rule(strategy: Strategy, name: str) -> None:
    """Raises `AssertionError` unless whole decodes are those of the twin."""
    batch, model = small_batch(), HashModel(4)
    found = decode(model, batch, replace(strategy, steps=STEPS))
    for row in range(len(batch)):
        cells, again = plain_routing(model, batch.clues[row], STEPS, *RULES[name])
        assert found.cells[row].tolist() == cells
        assert found.reopened[row].tolist() == again


@pytest.mark.parametrize("name", RULES)
def test_the_preset_is_its_plain_twin(name: str) -> None:
    check_rule(get_strategy(name), name)


@pytest.mark.parametrize("strategy", routing.PRESETS.values(), ids=routing.PRESETS.keys())
def test_every_preset_keeps_the_promises(strategy: Strategy) -> None:
    check_strategy(strategy)


def round_to_nearest(view: StepView, score: torch.Tensor) -> torch.Tensor:
    return Schedule("linear")(view, score)


@dataclass(frozen=True)
class WithoutFall(ConditionalRouting):
    def remask(self, view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        return ~view.blank & ~view.clue & ~self.above(view, score)


def over_the_batch(view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    return ~view.blank & ~view.clue & (score < score[~view.clue].median())


FAULTS: dict[str, tuple[str, dict]] = {
    "counts rounded to the nearest": ("rdm_deterministic_linear", {"budget": round_to_nearest}),
    "few late instead of early": ("rdm_deterministic_cosine", {"budget": Line("sine")}),
    "noise of the fraction before the step": ("rdm_stochastic_linear", {"noise": Gumbel(0.5, annealed=True)}),
    "filled cells kept": ("mgdm", {"revise": False}),
    "filled cells scored by what they hold": ("mgdm", {"order": TopProb("log", committed="held")}),
    "masked though its probability rose": ("rdm_conditional", {"remask": WithoutFall(Line()).remask}),
    "net count of the unconditional mode": ("rdm_conditional", {"budget": Line()}),
    "quantile over the batch": ("rdm_deterministic_linear", {"remask": over_the_batch}),
}


@pytest.mark.parametrize(("name", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_caught(name: str, fault: dict) -> None:
    with pytest.raises(AssertionError):
        check_rule(replace(get_strategy(name), **fault), name)


def test_the_conditional_mode_loses_cells_in_some_step() -> None:
    """Its net count is negative there, which the loop has to allow."""
    seen: list[torch.Tensor] = []
    strategy = get_strategy("rdm_conditional")

    def watch(view: StepView, score: torch.Tensor) -> torch.Tensor:
        seen.append(strategy.budget(view, score)[view.blank.any(1)])
        return strategy.budget(view, score)

    decode(HashModel(4), small_batch(40), replace(strategy, budget=watch, steps=20))
    assert torch.cat(seen).min() < 0


def test_the_loop_takes_negative_counts() -> None:
    """Count -1 and one cell reopened fill none; a count below all that is filled fills none either."""

    def first_filled(view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        filled = ~view.blank & ~view.clue
        return filled & (filled.cumsum(1) == 1)

    def growth(view: StepView, score: torch.Tensor) -> torch.Tensor:
        plan = torch.tensor([2, -1, 3, -50, 1, 0])
        return plan[view.step]

    seen: list[int] = []

    def watch(view: StepView) -> torch.Tensor:
        seen.append(int((~view.blank & ~view.clue).sum()))
        return random_order(view)

    batch = small_batch()[1:2]  # eight blanks
    found = decode(HashModel(4), batch, Strategy("s", watch, budget=growth, remask=first_filled, steps=6))
    assert seen == [0, 2, 1, 4, 3, 4]
    assert (found.cells > 0).all()
    # A count below none without a remask rule is a count of none.
    held = Strategy("s", random_order, budget=growth, remask=never, steps=6)
    assert decode(HashModel(4), batch, held).step.max() == 5
    assert equal(
        decode(HashModel(4), batch, Strategy("s", random_order, budget=Fixed(2))),
        decode(HashModel(4), batch, get_strategy("random"), steps=4),
    )


def test_mgdm_without_top_k_is_ancestral_sampling_with_likeliest_values() -> None:
    model, batch = HashModel(4), small_batch()
    vanilla = with_options(get_strategy("vanilla"), steps=routing.MGDM_STEPS, pick="argmax")
    assert equal(decode(model, batch, get_strategy("mgdm_random")), decode(model, batch, vanilla))


def test_without_noise_they_are_the_plain_routing() -> None:
    model, batch = HashModel(4), small_batch()
    still = replace(get_strategy("rdm_stochastic_linear"), noise=FadingGumbel(0.0))
    assert equal(decode(model, batch, still), decode(model, batch, get_strategy("rdm_deterministic_linear")))
    # With as many steps as blanks MGDM without noise is routing_top_prob, one cell a step.
    all_blank = batch[1:2]
    still = replace(get_strategy("mgdm"), noise=FadingGumbel(0.0), steps=8)
    found = decode(model, all_blank, still)
    assert equal(found, decode(model, all_blank, get_strategy("routing_top_prob")))


@pytest.mark.parametrize("kappa", KAPPAS)
def test_the_line_leaves_the_floor_of_the_share(kappa: str, view_of) -> None:
    for n, steps in ((1, 3), (10, 10), (20, 50), (81, 7)):
        view = view_of([[[0.5, 0.5]] * n], [[0] * n], total=steps)
        for step in range(steps):
            view = replace(view, step=torch.tensor([step]))
            share = 1 - KAPPAS[kappa]((step + 1) / steps)
            whole = (n * (steps - step - 1)) // steps if kappa == "linear" else math.floor(n * share + 1e-9)
            assert n - int(Line(kappa).filled_after(view)) == whole
            assert int(Line(kappa)(view, None)) == n - whole - int(filled(view))
        assert int(Line(kappa).filled_after(view)) == n


def test_schedules_run_from_nothing_to_all_and_unknown_ones_are_named() -> None:
    for kappa in KAPPAS.values():
        values = [kappa(i / 20) for i in range(21)]
        assert values[0] == pytest.approx(0, abs=1e-12)
        assert values[-1] == pytest.approx(1)
        assert values == sorted(values)
    for make in (Line, lambda kappa: FadingGumbel(0.5, kappa), check_kappa):
        with pytest.raises(UserInputError, match="schedule 'root'"):
            make("root")
    with pytest.raises(UserInputError, match="coefficient=-1"):
        FadingGumbel(-1)


def test_the_fading_noise_is_gumbel_of_the_fraction_after_the_step(view_of) -> None:
    view = view_of([[[0.5, 0.5]] * 9], [[0] * 9], step=1, total=4)
    zero = torch.zeros(1, 9, dtype=torch.float64)
    assert torch.allclose(FadingGumbel(0.8)(view, zero), Gumbel(0.4)(view, zero))
    last = replace(view, step=torch.tensor([3]))
    assert not FadingGumbel(0.8)(last, zero).any()


def test_the_conditional_mode_masks_only_what_the_model_takes_back(view_of) -> None:
    # Cell 0: still likeliest and less probable than before; 1: more probable; 2: another value is likeliest.
    view = view_of([[[0.6, 0.4], [0.9, 0.1], [0.3, 0.7], [0.95, 0.05]]], [[1, 1, 1, 0]], step=0, total=4)
    view = replace(view, committed_prob=torch.tensor([[0.7, 0.8, 0.9, 0.0]]))
    rule = ConditionalRouting(Line("linear"))
    score = TopProb("log")(view)
    assert rule.above(view, score).tolist() == [[False, False, False, True]]
    assert rule.remask(view, score, None).tolist() == [[True, False, False, False]]
    assert route(view, score, torch.tensor([-2])).tolist() == [[True, True, True, False]]
    assert rule.budget(view, score).tolist() == [0]
    assert top_cells(score, ~view.clue, torch.tensor([-1])).sum() == 0
