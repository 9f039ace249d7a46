"""Look-ahead and draft-and-verify against slow plain twins, their limits, passes, and planted faults."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from planorder.decoding import Strategy, decode, get_strategy
from planorder.decoding.budgets import Bernoulli, Schedule
from planorder.decoding.lookahead import BELOW, LookAhead, Wino, leave_one_out
from planorder.decoding.orders import TopMargin, TopProb, entropy, left_to_right, neg_entropy
from planorder.decoding.picks import Sample
from planorder.decoding.published import lookahead
from planorder.decoding.remask import never
from planorder.decoding.testing import HashModel, check_order, check_strategy, small_batch, small_view
from planorder.decoding.view import StepView
from planorder.tokens import MASK
from puzzles.base import UserInputError


def plain_entropy(p: list[float]) -> float:
    return -sum(x * math.log(x) for x in p if x > 0)


def plain_score(rule: LookAhead, view: StepView, row: int) -> dict[int, float]:
    """The scores of one row's blanks."""
    base, value = rule.propose(view)[row].double().tolist(), rule.pick(view)[row].tolist()
    p = view.log_probs[row].double().exp().tolist()
    blanks = view.blank[row].nonzero()[:, 0].tolist()
    if all(max(p[c]) >= rule.bypass for c in blanks):
        return {c: base[c] for c in blanks}
    key = {c: base[c] for c in blanks}
    if rule.temperature > 0:
        gumbel = -(-view.uniform("candidates").log()).log()
        key = {c: base[c] / rule.temperature + float(gumbel[row, c]) for c in blanks}
        key[max(blanks, key=lambda c: (base[c], -c))] = math.inf
    candidates = sorted(blanks, key=lambda c: (-key[c], c))[: rule.candidates]
    score = {c: base[c] + BELOW for c in blanks}
    for cell in candidates:
        state = view.tokens[row].tolist()
        state[cell] = value[cell]
        after = view.evaluate(torch.tensor([state]))[0].double().exp().tolist()
        left = [c for c in blanks if c != cell]
        future = sum(plain_entropy(after[c]) for c in left) / max(len(left), 1)
        score[cell] = -rule.weight * plain_entropy(p[cell]) - future
    return score


def check_scores(order: Callable[[StepView], torch.Tensor], rule: LookAhead) -> None:
    """Raises `AssertionError` unless the order's scores on blanks are those of the twin."""
    view = small_view()
    score = order(view)
    for row in range(len(view.tokens)):
        for cell, expected in plain_score(rule, view, row).items():
            assert float(score[row, cell]) == pytest.approx(expected, abs=1e-5), (row, cell)


RULES = {
    "info gain": LookAhead(8, 1.0, temperature=0.2, bypass=0.8),
    "three of many": LookAhead(3, 0.0, temperature=0.2),
    "margin": LookAhead(4, 0.0, propose=TopMargin()),
    "entropy, all": LookAhead(20, 1.0, propose=neg_entropy),
    "bypassed": LookAhead(3, 1.0, bypass=0.3),
    "sampled values": LookAhead(2, 0.5, pick=Sample(1.0)),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_score_is_its_plain_twin(rule: LookAhead) -> None:
    check_scores(rule, rule)
    check_order(rule)


@pytest.mark.parametrize("strategy", lookahead.PRESETS.values(), ids=lookahead.PRESETS.keys())
def test_every_preset_keeps_the_promises(strategy: Strategy) -> None:
    check_strategy(strategy)


def with_evaluate(rule: LookAhead, change: Callable) -> Callable[[StepView], torch.Tensor]:
    """The rule with another idea of the states ahead."""

    def order(view: StepView) -> torch.Tensor:
        return rule(replace(view, evaluate=lambda ahead: change(view, ahead)))

    return order


def mean_over_all_cells(view: StepView) -> torch.Tensor:
    rule = RULES["margin"]
    p = rule(view)
    return torch.where(p > BELOW / 2, p * view.blank.sum(1, keepdim=True) / p.shape[1], p)


FAULTS: dict[str, Callable[[StepView], torch.Tensor]] = {
    "looks at the state it is in": with_evaluate(
        RULES["margin"], lambda view, ahead: view.log_probs[:, None].expand(*ahead.shape, -1)
    ),
    "fills another value": with_evaluate(
        RULES["margin"], lambda view, ahead: view.evaluate(torch.where(ahead > 0, ahead % 4 + 1, 0))
    ),
    "most uncertain future": lambda view: -RULES["margin"](view),
    "a mean over all cells": mean_over_all_cells,
    "with the cell's own entropy": LookAhead(4, 1.0, propose=TopMargin()),
    "candidates of another order": LookAhead(4, 0.0, propose=left_to_right),
    "fewer candidates": LookAhead(2, 0.0, propose=TopMargin()),
}


@pytest.mark.parametrize("order", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_caught(order: Callable) -> None:
    with pytest.raises(AssertionError):
        check_scores(order, RULES["margin"])


@pytest.mark.parametrize("rule", [LookAhead(1, temperature=0.5), LookAhead(5, bypass=0.0)])
def test_with_one_candidate_or_a_bypass_the_proposal_decides(rule: LookAhead) -> None:
    model, batch = HashModel(4), small_batch()
    found = decode(model, batch, Strategy("ahead", rule))
    plain = decode(model, batch, get_strategy("top_prob"))
    assert np.array_equal(found.cells, plain.cells)
    assert np.array_equal(found.step, plain.step)
    assert np.array_equal(found.passes, plain.passes * (1 + min(rule.candidates, 8)))


@pytest.mark.parametrize("budget", [Schedule("linear"), Bernoulli()])
def test_a_step_that_fills_nothing_counts_no_looks(budget: Schedule | Bernoulli) -> None:
    batch = small_batch()
    found = decode(HashModel(4), batch, Strategy("ahead", LookAhead(2), budget=budget, steps=40))
    acting = np.array([len(set(row[row >= 0].tolist())) for row in found.step])
    assert np.array_equal(found.passes, 3 * acting), (
        "the model's own pass and two looks, where cells are filled"
    )
    assert (acting < 40).all()


def test_a_cold_draw_of_candidates_is_the_order_itself() -> None:
    view = small_view()
    assert torch.allclose(LookAhead(3, temperature=1e-12)(view), LookAhead(3)(view))
    warm = LookAhead(3, temperature=5.0)(view)
    assert not torch.allclose(warm, LookAhead(3)(view))
    n_candidates = ((warm > BELOW / 2) & view.blank).sum(1)
    assert n_candidates.tolist() == view.blank.sum(1).clamp(max=3).tolist()
    best = TopProb()(view).masked_fill(~view.blank, -1).argmax(1, keepdim=True)
    assert bool((warm.gather(1, best) > BELOW / 2)[view.blank.any(1)].all()), (
        "the surest is always among them"
    )


def test_cells_that_are_not_allowed_are_no_candidates() -> None:
    view = small_view()
    allowed = view.blank & (torch.arange(8) > 3)
    score = LookAhead(8)(replace(view, allowed=allowed))
    assert bool((score[allowed & (view.blank.sum(1) > 0)[:, None]] > BELOW / 2).all())
    assert bool((score[allowed.any(1)[:, None] & view.blank & ~allowed] < BELOW / 2).all())


def test_entropy_is_in_nats_and_certain_cells_have_none() -> None:
    log_p = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).clamp(min=1e-30).log()
    assert entropy(log_p).tolist() == pytest.approx([math.log(2), 0.0])


def test_looking_ahead_avoids_the_cell_that_settles_nothing(puzzles) -> None:
    """Cell 0 is surest and says nothing about the rest; cell 1, once filled, settles cells 2 and 3."""

    def model(tokens: torch.Tensor) -> torch.Tensor:
        known = (tokens[:, 1:2] > 0).double()[..., None]
        before = torch.tensor([[0.95, 0.05], [0.9, 0.1], [0.55, 0.45], [0.55, 0.45]], dtype=torch.float64)
        after = torch.tensor([[0.95, 0.05], [0.9, 0.1], [0.99, 0.01], [0.99, 0.01]], dtype=torch.float64)
        return (before * (1 - known) + after * known).log()

    found = decode(model, puzzles(np.zeros((1, 4))), get_strategy("lookahead_margin"))
    assert found.step[0, 1] == 0
    assert decode(model, puzzles(np.zeros((1, 4))), get_strategy("top_margin")).step[0, 0] == 0


def plain_wino(rule: Wino, model, clues: np.ndarray) -> tuple[list[int], list[int], int]:
    """One puzzle: what stands in the end, how often each cell was reopened, forward passes."""
    state, n_cells = clues.astype(int).tolist(), len(clues)
    prob, known, again, passes = [0.0] * n_cells, [0.0] * n_cells, [0] * n_cells, 0

    def ask(tokens: list[int]) -> np.ndarray:
        return model(torch.tensor([tokens]))[0].double().softmax(-1).numpy()

    for step in range(n_cells):
        blanks = [c for c in range(n_cells) if state[c] == MASK]
        held = [c for c in range(n_cells) if state[c] != MASK and clues[c] == 0]
        if not blanks:
            break
        p, passes = ask(state), passes + 1 + min(rule.checks, n_cells)
        sure = [c for c in blanks if p[c].max() >= rule.wide]
        n_draft = min(max(len(sure), 1), max(5, min(20, int(0.7 * len(blanks)))))
        drafts = sorted(blanks, key=lambda c: (-p[c].max(), c))[:n_draft]
        known = [known[c] if c in held else 0.0 for c in range(n_cells)]
        doubt = {c: known[c] if known[c] > 0 else prob[c] - 1 for c in held}
        failed = []
        for cell in sorted(held, key=lambda c: (doubt[c], c))[: rule.checks]:
            masked = [MASK if c == cell else state[c] for c in range(n_cells)]
            known[cell] = float(ask(masked)[cell][state[cell] - 1])
            failed += [cell] * (known[cell] < rule.narrow)
        if step + 1 == n_cells:
            drafts, failed = blanks, []
        for cell in sorted(failed, key=lambda c: (known[c], c))[: n_draft - 1]:
            state[cell], again[cell] = MASK, again[cell] + 1
        for cell in drafts:
            state[cell], prob[cell] = int(p[cell].argmax()) + 1, float(p[cell].max())
    return state, again, passes


def verified(rule: Wino) -> Strategy:
    return Strategy("w", TopProb(), budget=rule.budget, remask=rule.remask, memory=rule.memory)


def check_wino(strategy: Strategy, rule: Wino) -> None:
    """Raises `AssertionError` unless whole decodes are those of the twin."""
    batch, model = small_batch(9, n_cells=16), HashModel(4, sharpness=4.0)
    found = decode(model, batch, strategy)
    for row in range(len(batch)):
        cells, again, passes = plain_wino(rule, model, batch.clues[row])
        assert found.cells[row].tolist() == cells
        assert found.reopened[row].tolist() == again
        assert found.passes[row] == passes


WINOS = {"published": Wino(), "few checks": Wino(0.6, 0.7, 2), "strict": Wino(0.3, 1.0, 3)}


@pytest.mark.parametrize("rule", WINOS.values(), ids=WINOS.keys())
def test_draft_and_verify_is_its_plain_twin(rule: Wino) -> None:
    check_wino(verified(rule), rule)
    assert decode(HashModel(4), small_batch(30), verified(rule)).reopened.any()


@dataclass(frozen=True)
class SeesTheCell(Wino):
    """Checks a cell while it is visible."""

    def memory(self, view: StepView) -> torch.Tensor:
        return super().memory(
            replace(view, evaluate=lambda ahead: view.log_probs[:, None].expand(*ahead.shape, -1))
        )


@dataclass(frozen=True)
class ForgetsChecks(Wino):
    def memory(self, view: StepView) -> torch.Tensor:
        return super().memory(replace(view, memory=None))


@dataclass(frozen=True)
class NoCap(Wino):
    def drafted(self, view: StepView) -> torch.Tensor:
        return view.blank.sum(1)


WINO_FAULTS: dict[str, tuple[str, Strategy]] = {
    "checks what it sees": ("few checks", verified(SeesTheCell(0.6, 0.7, 2))),
    "forgets what it checked": ("few checks", verified(ForgetsChecks(0.6, 0.7, 2))),
    "drafts everything": ("strict", verified(NoCap(0.3, 1.0, 3))),
    "reopens nothing": ("strict", replace(verified(Wino(0.3, 1.0, 3)), remask=never)),
    "thresholds swapped": ("few checks", verified(Wino(0.7, 0.6, 2))),
}


@pytest.mark.parametrize(("name", "strategy"), WINO_FAULTS.values(), ids=WINO_FAULTS.keys())
def test_a_fault_of_drafting_and_verifying_is_caught(name: str, strategy: Strategy) -> None:
    with pytest.raises(AssertionError):
        check_wino(strategy, WINOS[name])


def test_every_step_of_drafting_gains_a_cell() -> None:
    seen: list[torch.Tensor] = []
    rule = Wino(0.3, 1.0)

    def watch(view: StepView, score: torch.Tensor) -> torch.Tensor:
        seen.append(rule.budget(view, score)[view.blank.any(1)])
        return rule.budget(view, score)

    found = decode(HashModel(4), small_batch(30), replace(verified(rule), budget=watch))
    assert torch.cat(seen).min() >= 1
    assert found.reopened.any()


def test_a_check_that_all_pass_is_drafting_alone() -> None:
    found = decode(HashModel(4), small_batch(), verified(Wino(0.6, 1e-12)))
    assert not found.reopened.any()


def test_the_probability_of_a_masked_cell_is_the_models() -> None:
    view, cells = small_view(), torch.tensor([[1, 4]]).expand(len(small_view().tokens), -1)
    found = leave_one_out(view, cells)
    for row in range(len(found)):
        for place, cell in enumerate((1, 4)):
            state = view.tokens[row].tolist()
            state[cell] = MASK
            p = view.evaluate(torch.tensor([state]))[0, cell].double().exp()
            assert float(found[row, place]) == pytest.approx(
                float(p[max(int(view.tokens[row, cell]), 1) - 1])
            )


def test_options_out_of_range_are_named() -> None:
    for options in ({"candidates": 0}, {"temperature": -1.0}, {"temperature": math.nan}):
        with pytest.raises(UserInputError, match="expected at least 1 candidate"):
            LookAhead(**options)
    for options in ({"wide": 0.0}, {"narrow": 1.5}, {"checks": 0}):
        with pytest.raises(UserInputError, match="at least 1 check"):
            Wino(**options)
