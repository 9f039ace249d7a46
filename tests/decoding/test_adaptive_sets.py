"""Chosen sets of cells and what a strategy remembers, against twins, the memories in whole decodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from planorder.decoding import PRESETS, StepView, Strategy, decode, get_strategy
from planorder.decoding.adaptive import (
    SUREST,
    BestOfRuns,
    ChosenCount,
    ChosenFirst,
    Credit,
    KlHistory,
    Stable,
    WithCredit,
    least_change,
)
from planorder.decoding.budgets import Threshold
from planorder.decoding.orders import TopProb, random_order
from planorder.decoding.testing import HashModel, equal, small_batch, small_view
from puzzles.base import UserInputError


def sharpened(view: StepView, power: float) -> StepView:
    return replace(view, log_probs=(power * view.log_probs).log_softmax(-1))


def views() -> list[StepView]:
    plain, other = small_view(), small_view(small_batch(20, seed=3), seed=1)
    narrow = replace(plain, allowed=plain.blank & (torch.arange(8) < 6))
    return [plain, narrow, *(sharpened(other, power) for power in (1, 2, 4, 8))]


def probs(view: StepView, row: int) -> np.ndarray:
    return np.exp(view.log_probs[row].numpy().astype(np.float64))


def runs_twin(view: StepView, row: int, low: float, high: float) -> list[bool]:
    p1, allowed = probs(view, row).max(1), view.allowed[row].tolist()
    chosen, run = [bool(a and p > high) for a, p in zip(allowed, p1, strict=True)], []
    for cell in range(len(allowed) + 1):
        if cell < len(allowed) and allowed[cell]:
            run.append(cell)
        elif run:
            best = max(run, key=lambda c: p1[c])
            chosen[best] = chosen[best] or bool(p1[best] > low)
            run = []
    return chosen


def chooses(chosen: Callable[[StepView], torch.Tensor], low: float, high: float) -> bool:
    return all(
        chosen(view)[row].tolist() == runs_twin(view, row, low, high)
        for view in views()
        for row in range(len(view.tokens))
    )


@pytest.mark.parametrize(("low", "high"), [(0.4, 0.9), (0.0, 1.0), (0.6, 0.8), (1.0, 1.0), (0.0, 0.0)])
def test_the_best_of_every_run_is_chosen(low: float, high: float) -> None:
    assert chooses(BestOfRuns(low, high), low, high)


RUN_FAULTS = {
    "one run a row": lambda view: view.allowed & (TopProb()(view) >= TopProb()(view).amax(1, keepdim=True)),
    "best of the row": lambda view: BestOfRuns()(view) & (TopProb()(view) > 0.9),
    "filled cells join runs": lambda view: BestOfRuns()(replace(view, allowed=~view.clue)) & view.allowed,
    "one bound": BestOfRuns(0.9, 0.9),
}


@pytest.mark.parametrize("chosen", RUN_FAULTS.values(), ids=RUN_FAULTS.keys())
def test_a_faulty_choice_of_runs_is_caught(chosen: Callable) -> None:
    assert not chooses(chosen, 0.4, 0.9)


def test_the_chosen_are_filled_and_the_surest_is_among_them() -> None:
    for view in views():
        chosen = BestOfRuns()(view)
        score, count = ChosenFirst(BestOfRuns())(view), ChosenCount(BestOfRuns())(view, None)
        for row in range(len(view.tokens)):
            cells = [cell for cell in range(8) if view.allowed[row, cell]]
            filled = sorted(cells, key=lambda cell, row=row: -float(score[row, cell]))[: int(count[row])]
            expected = [cell for cell in cells if chosen[row, cell]]
            p1 = probs(view, row).max(1)
            assert not cells or max(cells, key=lambda cell: p1[cell]) in filled
            assert not expected or sorted(filled) == expected


def plain_decode(clues: np.ndarray, step_of: Callable) -> tuple[list[int], list[int]]:
    """One puzzle; ``step_of(p, blanks, past)`` gives (values, cells to fill), ``past`` a dict of its own."""
    model, tokens, when, past = HashModel(4), clues.tolist(), [-1] * len(clues), {}
    for step in range(len(clues)):
        blanks = [cell for cell in range(len(clues)) if tokens[cell] == 0]
        if not blanks:
            break
        p = model(torch.tensor([tokens]))[0].log_softmax(-1).double().exp().numpy()
        values, fill = step_of(p, blanks, past)
        for cell in fill:
            tokens[cell], when[cell] = int(values[cell]) + 1, step
    return tokens, when


PICKS: dict[str, Callable] = {
    "max_conf": lambda ready, p, kl: max(ready, key=lambda cell: p[cell].max()),
    "min_kl": lambda ready, p, kl: min(ready, key=lambda cell: kl[cell]),
}
"""Of the stable cells the one that KLASS fills, by its unmask_strategy."""


def klass_step(tau: float, epsilon: float, n: int, unmask: str = "all") -> Callable:
    def step_of(p: np.ndarray, blanks: list[int], past: dict) -> tuple[np.ndarray, list[int]]:
        kls = past.setdefault("kls", [])
        if "p" in past:
            kls.append((p * np.log(p / past["p"])).sum(1))
        past["p"] = p
        ready = [
            cell
            for cell in blanks
            if len(kls) >= n and all(kl[cell] < epsilon for kl in kls[-n:]) and p[cell].max() > tau
        ]
        if ready and unmask != "all":
            ready = [PICKS[unmask](ready, p, kls[-1])]
        return p.argmax(1), ready or [max(blanks, key=lambda cell: p[cell].max())]

    return step_of


def credit_step(weight: float, decay: float, power: float, tau: float) -> Callable:
    def step_of(p: np.ndarray, blanks: list[int], past: dict) -> tuple[np.ndarray, list[int]]:
        credit = decay * past.get("credit", np.zeros_like(p))
        for cell in blanks:
            credit[cell, p[cell].argmax()] += p[cell].max() ** power
        past["credit"] = credit
        fused = p * (1 + credit) ** weight
        fused = (fused / fused.sum(1, keepdims=True)).astype(np.float32)
        best = max(blanks, key=lambda cell: fused[cell].max())
        return fused.argmax(1), sorted({best, *(cell for cell in blanks if fused[cell].max() >= tau)})

    return step_of


def klass(tau: float, epsilon: float, n: int) -> Strategy:
    chosen = Stable(tau, epsilon)
    return Strategy("s", ChosenFirst(chosen), budget=ChosenCount(chosen), memory=KlHistory(n))


def klass_one(tau: float, epsilon: float, n: int, among: Callable = SUREST) -> Strategy:
    return Strategy("s", ChosenFirst(Stable(tau, epsilon), among), memory=KlHistory(n))


def credit(weight: float, decay: float, power: float, tau: float) -> Strategy:
    return Strategy(
        "s", TopProb(), budget=Threshold(tau), see=WithCredit(weight), memory=Credit(decay, power)
    )


def decodes_as(strategy: Strategy, step_of: Callable) -> bool:
    batch = small_batch(40)
    found = decode(HashModel(4), batch, strategy, batch_size=16)
    return all(
        (found.cells[row].tolist(), found.step[row].tolist()) == plain_decode(clues, step_of)
        for row, clues in enumerate(batch.clues)
    )


MEMORIES = {
    "klass": (klass(0.5, 2.0, 2), klass_step(0.5, 2.0, 2)),
    "klass, one comparison": (klass(0.6, 1.0, 1), klass_step(0.6, 1.0, 1)),
    "klass, as published": (PRESETS["klass"], klass_step(0.9, 0.01, 2)),
    "klass, other thresholds": (PRESETS["klass_gsm8k"], klass_step(0.6, 0.015, 2)),
    "klass, the surest": (klass_one(0.5, 2.0, 2), klass_step(0.5, 2.0, 2, "max_conf")),
    "klass, the least changed": (
        klass_one(0.5, 2.0, 2, least_change),
        klass_step(0.5, 2.0, 2, "min_kl"),
    ),
    "klass, one comparison, the least changed": (
        klass_one(0.5, 2.0, 1, least_change),
        klass_step(0.5, 2.0, 1, "min_kl"),
    ),
    "credit": (credit(0.7, 0.8, 0.2, 0.8), credit_step(0.7, 0.8, 0.2, 0.8)),
    "credit, heavy": (credit(3.0, 0.5, 1.0, 0.9), credit_step(3.0, 0.5, 1.0, 0.9)),
    "credit, as published": (PRESETS["credit"], credit_step(0.7, 0.8, 0.2, 0.9)),
}


@pytest.mark.parametrize(("strategy", "step_of"), MEMORIES.values(), ids=MEMORIES.keys())
def test_what_is_remembered_is_its_twin_in_whole_decodes(strategy: Strategy, step_of: Callable) -> None:
    assert decodes_as(strategy, step_of)


def backwards(view: StepView) -> torch.Tensor:
    """KL(p_{t-1} || p_t)."""
    if view.previous_log_probs is None:
        return KlHistory(2)(view)
    turned = replace(view, log_probs=view.previous_log_probs, previous_log_probs=view.log_probs)
    return KlHistory(2)(turned)


def stable_from_the_start(view: StepView) -> torch.Tensor:
    """No comparison yet counts as no change."""
    history = KlHistory(2)(view)
    return history.masked_fill(history == torch.inf, 0.0)


def forgets(view: StepView) -> torch.Tensor:
    return Credit()(replace(view, memory=None))


def credit_for_all_values(view: StepView) -> torch.Tensor:
    before = 0.0 if view.memory is None else 0.8 * view.memory
    return before + (0.2 * view.log_probs.double()).exp() * view.blank[..., None]


MEMORY_FAULTS = {
    "kl turned round": (replace(klass(0.5, 2.0, 2), memory=backwards), klass_step(0.5, 2.0, 2)),
    "stable from the start": (
        replace(klass(0.5, 2.0, 2), memory=stable_from_the_start),
        klass_step(0.5, 2.0, 2),
    ),
    "the most changed": (
        klass_one(0.5, 2.0, 1, lambda view: 1 - least_change(view)),
        klass_step(0.5, 2.0, 1, "min_kl"),
    ),
    "the surest, not the least changed": (klass_one(0.5, 2.0, 1), klass_step(0.5, 2.0, 1, "min_kl")),
    "the surest, stable or not": (PRESETS["top_prob"], klass_step(0.5, 2.0, 1, "max_conf")),
    "the oldest change": (
        klass_one(0.5, 2.0, 2, lambda view: (-view.memory[..., 0]).exp()),
        klass_step(0.5, 2.0, 2, "min_kl"),
    ),
    "a shorter memory": (klass(0.5, 2.0, 1), klass_step(0.5, 2.0, 2)),
    "credit forgotten": (
        replace(credit(3.0, 0.8, 0.2, 0.9), memory=forgets),
        credit_step(3.0, 0.8, 0.2, 0.9),
    ),
    "credit for every value": (
        replace(credit(3.0, 0.8, 0.2, 0.9), memory=credit_for_all_values),
        credit_step(3.0, 0.8, 0.2, 0.9),
    ),
    "credit that does not fade": (credit(3.0, 1.0, 0.2, 0.9), credit_step(3.0, 0.8, 0.2, 0.9)),
}


@pytest.mark.parametrize(("strategy", "step_of"), MEMORY_FAULTS.values(), ids=MEMORY_FAULTS.keys())
def test_a_faulty_memory_is_caught(strategy: Strategy, step_of: Callable) -> None:
    assert not decodes_as(strategy, step_of)


def is_a_draw_of_the_stable(order: Callable) -> bool:
    """Whether each stable cell, and no other, comes first about as often as every other."""
    view, counts = small_view(), torch.zeros(len(small_batch()), 8)
    memory = torch.full((*view.tokens.shape, 2), 1e-3).double()
    memory[:, ::3, 0] = 5.0  # not stable
    draws = 400
    for step in range(draws):
        uniform = replace(view.uniform, step=torch.full_like(view.step, step))
        score = order(replace(view, memory=memory, uniform=uniform)).masked_fill(~view.blank, -torch.inf)
        counts.scatter_add_(1, score.argmax(1, keepdim=True), torch.ones(len(counts), 1))
    stable = view.blank & (TopProb()(view) > 0.5) & (torch.arange(8) % 3 > 0)
    rows = stable.sum(1) > 1
    assert int(rows.sum()) >= 3
    share = stable / stable.sum(1, keepdim=True) * draws
    return bool(
        ((counts - share)[rows].abs() < 5 * draws**0.5 / 2).all() and (counts[rows][~stable[rows]] == 0).all()
    )


def test_klass_draws_one_of_the_stable_at_random() -> None:
    stable = Stable(0.5, 2.0)
    assert PRESETS["klass_random"].order == ChosenFirst(Stable(0.9, 0.01), random_order)
    assert is_a_draw_of_the_stable(ChosenFirst(stable, random_order))
    assert not is_a_draw_of_the_stable(ChosenFirst(stable))
    assert not is_a_draw_of_the_stable(random_order)


def test_memories_at_their_limits_are_plain_rules() -> None:
    model, batch = HashModel(4), small_batch()
    for strategy, plain in (
        (klass(1.0, 9.0, 2), "top_prob"),
        (klass(0.0, 1e-12, 2), "top_prob"),
        (klass_one(0.0, 1e-12, 2, least_change), "top_prob"),
        (klass_one(0.0, 1e9, 1), "top_prob"),
        (credit(0.0, 0.8, 0.2, 0.9), "threshold"),
    ):
        assert equal(decode(model, batch, strategy), decode(model, batch, get_strategy(plain)))
    waits = decode(model, batch, klass(0.0, math.inf, 2))  # one, one, then all that is left
    assert (waits.passes == batch.blank.sum(1).clip(max=3)).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ChosenCount(BestOfRuns(), 0), "fallback=0"),
        (lambda: BestOfRuns(0.5, 0.4), "low=0.5"),
        (lambda: KlHistory(0), "length=0"),
        (lambda: Stable(1.5), "tau=1.5"),
        (lambda: Credit(1.5), "decay=1.5"),
        (lambda: WithCredit(-1.0), "weight=-1"),
        (lambda: Stable()(small_view()), "memory=KlHistory"),
        (lambda: WithCredit()(small_view()), "memory=Credit"),
        (lambda: least_change(small_view()), "memory=KlHistory"),
    ],
)
def test_mistakes_are_named(make: Callable, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        make()
