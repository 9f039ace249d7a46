"""ReMDM's posterior and its relatives against plain twins, their limits, and faults that are caught."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import stats

from planorder.decoding import Strategy, decode, get_strategy, with_options
from planorder.decoding.budgets import Bernoulli
from planorder.decoding.correctors import (
    Cap,
    Loop,
    LowestMargin,
    Psi,
    Remasking,
    Rescale,
    conf,
    dfm,
    forward_backward,
)
from planorder.decoding.orders import left_to_right
from planorder.decoding.published import correctors
from planorder.decoding.random import Uniforms, row_keys
from planorder.decoding.testing import HashModel, check_strategy, equal, small_batch, small_view
from planorder.decoding.view import StepView
from planorder.tokens import MASK
from puzzles.base import UserInputError

T = 40
LOOP = Loop(eta=0.3, t_on=0.6, t_off=0.2, alpha_on=0.8)


def plain_sigma(kind: str, i: int, now: float, after: float, probs: list[float], place: int) -> float:
    """One cell's sigma in step i of T, cut at sigma_max; ``probs`` of the filled cells, ``place`` its own."""
    most = min(1.0, (1 - after) / now) if now > 0 else 1.0
    if now == 0 or kind == "mdlm":
        return 0.0
    t = 1 - now
    sigma = {
        "cap": lambda: 0.2,
        "rescale": lambda: 0.5 * most,
        "conf": lambda: most * math.exp(-probs[place]) / sum(math.exp(-p) for p in probs),
        "loop": lambda: 0.3 * (0.2 + 1e-9 < 1 - i / T <= 0.6 + 1e-9),
        "forward_backward": lambda: (after - now) / now,
        "dfm": lambda: 10 * t**0.25 * (1 - t) ** 0.25 * (after - now) / now,
        "psi": lambda: (1 - 0.6) * (1 - after) * (1 - i / T >= 0.3 - 1e-9),
    }[kind]()
    return min(sigma, most)


def plain_alpha(kind: str, i: int) -> float:
    if kind != "loop":
        return i / T
    t = 1 - i / T
    return min((1 - t) * 0.8 / (1 - 0.6), 0.8) if t >= 0.2 else 1 - t * (1 - 0.8) / 0.2


PROCESSES: dict[str, Remasking] = {
    "cap": Remasking(Cap(0.2)),
    "rescale": Remasking(Rescale(0.5)),
    "conf": Remasking(conf),
    "loop": Remasking(LOOP.sigma, LOOP.alpha),
    "forward_backward": Remasking(forward_backward),
    "dfm": Remasking(dfm),
    "psi": Remasking(Psi(0.6, 0.3)),
}


def corrected(process: Remasking) -> Strategy:
    """With likeliest values, from left to right, so that the twin needs no draws but those on cells."""
    return Strategy("c", left_to_right, budget=process.budget, remask=process.remask, steps=T)


def plain_decode(model, clues: np.ndarray, kind: str) -> tuple[list[int], list[int], int]:
    """One puzzle: what stands in the end, how often each cell was masked again, forward passes."""
    state, open_ = clues.astype(int).tolist(), np.flatnonzero(clues == 0).tolist()
    tokens = torch.from_numpy(clues.astype(np.int64))[None]
    prob, again, passes, seen = dict.fromkeys(open_, 0.0), [0] * len(clues), 0, None
    for i in range(T):
        if MASK not in state:
            break
        passes, seen = passes + (state != seen), list(state)
        p = model(torch.tensor([state]))[0].log_softmax(-1).exp().numpy()
        draws = Uniforms(row_keys(tokens, 0), torch.tensor([i]), len(clues))
        to_fill, to_mask = draws("budget")[0].tolist(), draws("remask")[0].tolist()
        now, after = plain_alpha(kind, i), plain_alpha(kind, i + 1)
        blanks, held = [c for c in open_ if state[c] == MASK], [c for c in open_ if state[c] != MASK]
        probs = [prob[c] for c in held]
        uniform = plain_sigma(kind, i, now, after, probs, 0) if kind != "conf" else 0.0
        u = (after - (1 - uniform) * now) / (1 - now)
        n_fill = sum(to_fill[c] < u for c in blanks) if i + 1 < T else len(blanks)
        if i + 1 < T:
            for place, cell in enumerate(held):
                if to_mask[cell] < plain_sigma(kind, i, now, after, probs, place):
                    state[cell], again[cell] = MASK, again[cell] + 1
        for cell in blanks[:n_fill]:
            state[cell], prob[cell] = int(p[cell].argmax()) + 1, float(p[cell].max())
    return state, again, passes


def check_process(strategy: Strategy, kind: str) -> None:
    """Raises `AssertionError` unless whole decodes are those of the twin."""
    batch, model = small_batch(7), HashModel(4)
    found = decode(model, batch, strategy)
    for row in range(len(batch)):
        cells, again, passes = plain_decode(model, batch.clues[row], kind)
        assert found.cells[row].tolist() == cells
        assert found.reopened[row].tolist() == again
        assert found.passes[row] == passes


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_decode_is_its_plain_twin(kind: str) -> None:
    check_process(corrected(PROCESSES[kind]), kind)


def test_the_twins_reopen_cells_and_lose_some_in_a_step() -> None:
    """So that the comparison above says something, and the negative counts of the loop are met."""
    counts: list[torch.Tensor] = []
    process = PROCESSES["dfm"]

    def watch(view: StepView, score: torch.Tensor) -> torch.Tensor:
        counts.append(process.budget(view, score)[view.blank.any(1)])
        return process.budget(view, score)

    decode(HashModel(4), small_batch(7), replace(corrected(process), budget=watch))
    assert torch.cat(counts).min() < 0
    for kind, process in PROCESSES.items():
        assert decode(HashModel(4), small_batch(5), corrected(process)).reopened.any(), kind


@dataclass(frozen=True)
class VanillaPosterior(Remasking):
    """Blanks open as if nothing were masked again."""

    def budget(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        opened = Bernoulli("linear")(view, score)
        return opened - self.remask(view, score, opened).sum(1)


@dataclass(frozen=True)
class Gross(Remasking):
    """The count is not net of what is reopened."""

    def budget(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        return super().budget(view, score) + self.remask(view, score, score).sum(1)


@dataclass(frozen=True)
class Clamped(Remasking):
    """No step may lose cells."""

    def budget(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        return super().budget(view, score).clamp(min=0)


def conf_over_all(view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    weight = (-view.committed_prob.double()).softmax(-1)
    return weight * Rescale(1.0)(view, now, after)


def conf_of_the_surest(view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    return conf(replace(view, committed_prob=-view.committed_prob), now, after)


FAULTS: dict[str, tuple[str, Remasking]] = {
    "vanilla posterior": ("rescale", VanillaPosterior(Rescale(0.5))),
    "gross count": ("forward_backward", Gross(forward_backward)),
    "no negative count": ("dfm", Clamped(dfm)),
    "confidence of clues and blanks too": ("conf", Remasking(conf_over_all)),
    "the surest first": ("conf", Remasking(conf_of_the_surest)),
    "the loop on the linear schedule": ("loop", Remasking(LOOP.sigma)),
    "a instead of b": ("dfm", Remasking(lambda v, now, after: dfm(v, now, after) + (after - now) / now)),
}


@pytest.mark.parametrize(("kind", "process"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_caught(kind: str, process: Remasking) -> None:
    with pytest.raises(AssertionError):
        check_process(corrected(process), kind)


@pytest.mark.parametrize("strategy", correctors.PRESETS.values(), ids=correctors.PRESETS.keys())
def test_every_preset_keeps_the_promises(strategy: Strategy) -> None:
    check_strategy(with_options(strategy, steps=20))


@pytest.mark.parametrize("kind", [kind for kind in PROCESSES if kind != "conf"])
def test_the_chances_keep_the_filled_fraction_on_its_schedule(kind: str, view_of) -> None:
    view = view_of([[[0.5, 0.5]] * 2], [[1, 0]], total=T)
    for i in range(T):
        u, sigma = (float(x) for x in PROCESSES[kind].chances(replace(view, step=torch.tensor([i]))))
        now, after = plain_alpha(kind, i), plain_alpha(kind, i + 1)
        assert 0 <= sigma <= 1
        assert -1e-12 <= u <= 1 + 1e-12
        assert now * (1 - sigma) + (1 - now) * u == pytest.approx(after)
        if i:
            assert sigma == pytest.approx(plain_sigma(kind, i, now, after, [], 0))


@pytest.mark.parametrize("kind", ["rescale", "loop", "psi"])
def test_a_step_fills_and_reopens_by_the_posterior(kind: str, view_of) -> None:
    n, i = 20_000, 18
    view = view_of([[[0.5, 0.5]] * (2 * n)], [[1] * n + [0] * n], step=i, total=T)
    now, after = plain_alpha(kind, i), plain_alpha(kind, i + 1)
    sigma = plain_sigma(kind, i, now, after, [], 0)
    n_open = int(PROCESSES[kind].remask(view, None, None).sum())
    n_fill = int(PROCESSES[kind].budget(view, None)) + n_open
    assert stats.binomtest(n_open, n, sigma).pvalue > 1e-3
    assert stats.binomtest(n_fill, n, (after - (1 - sigma) * now) / (1 - now)).pvalue > 1e-3
    vanilla = int(VanillaPosterior(Rescale(0.5)).budget(view, None)) + int(
        PROCESSES["rescale"].remask(view, None, None).sum()
    )
    # The test can fail: the vanilla hazard is another one.
    assert (
        stats.binomtest(vanilla, n, (after - (1 - 0.5 * min(1, (1 - after) / now)) * now) / (1 - now)).pvalue
        < 1e-9
    )


@pytest.mark.parametrize("sigma", [Cap(0.0), Rescale(0.0), Psi(kappa=1.0)])
def test_without_remasking_it_is_ancestral_sampling(sigma: Callable) -> None:
    process = Remasking(sigma)
    vanilla = with_options(get_strategy("vanilla"), steps=T)
    mine = replace(vanilla, budget=process.budget, remask=process.remask)
    for seed in range(3):
        found = decode(HashModel(4), small_batch(), mine, seed=seed)
        assert equal(found, decode(HashModel(4), small_batch(), vanilla, seed=seed))


def test_the_loop_rises_stays_and_rises() -> None:
    loop = Loop()
    table = loop.alpha(20, torch.device("cpu")).tolist()
    assert table[0] == 0
    assert table[9:20] == pytest.approx([0.9] * 11)
    assert table[20] == 1
    assert table[1:9] == pytest.approx([0.1 * i for i in range(1, 9)])
    view = replace(small_view(), total_steps=20)
    on = [float(loop.sigma(replace(view, step=view.step * 0 + i), None, None)[0]) for i in range(20)]
    assert on == [0.0] * 9 + [0.02] * 10 + [0.0]
    u, _ = Remasking(loop.sigma, loop.alpha).chances(replace(view, step=view.step * 0 + 12))
    assert float(u[0]) == pytest.approx(0.02 * 0.9 / 0.1)


def test_dfm_is_forward_backward_with_a_weight() -> None:
    now, after = torch.tensor([[0.25]]).double(), torch.tensor([[0.3]]).double()
    ratio = float(dfm(None, now, after) / forward_backward(None, now, after))
    assert ratio == pytest.approx(10 * 0.25**0.25 * 0.75**0.25)
    u = (0.3 - (1 - ratio * 0.05 / 0.25) * 0.25) / 0.75
    assert u == pytest.approx((ratio + 1) * 0.05 / 0.75), "a (alpha_s - alpha_t) / (1 - alpha_t)"


def plain_lead(view: StepView, row: int, cell: int) -> float:
    log_p, held = view.log_probs[row, cell].double().tolist(), int(view.tokens[row, cell]) - 1
    return log_p[held] - max(x for value, x in enumerate(log_p) if value != held)


@pytest.mark.parametrize(("k", "tau"), [(1, 1.0), (2, 0.5), (3, 1e-9), (20, 1.0)])
def test_the_lowest_margins_are_reopened(k: int, tau: float) -> None:
    view = small_view()
    gumbel = -(-view.uniform("remask").log()).log()
    found = LowestMargin(k, tau)(view, None, None)
    filled = ~view.blank & ~view.clue
    for row in range(len(filled)):
        cells = filled[row].nonzero()[:, 0].tolist()
        key = {c: -plain_lead(view, row, c) / tau + float(gumbel[row, c]) for c in cells}
        best = sorted(cells, key=lambda c: (-key[c], c))[:k]
        assert found[row].nonzero()[:, 0].tolist() == sorted(best)
        if tau < 1e-6:
            assert sorted(best) == sorted(sorted(cells, key=lambda c: plain_lead(view, row, c))[:k])


def test_one_cell_is_reopened_in_proportion_to_its_odds(view_of) -> None:
    probs, n = [[0.5, 0.5], [0.8, 0.2], [0.4, 0.6], [0.5, 0.5]], 6000
    view = view_of([probs] * n, [[1, 1, 1, 0]] * n)
    keys = row_keys(torch.arange(n)[:, None], 3)
    view = replace(view, uniform=Uniforms(keys, torch.zeros(n, dtype=torch.int64), 4))
    odds = np.array([1.0, 0.25, 1.5])
    counts = LowestMargin()(view, None, None).sum(0).tolist()
    assert counts[3] == 0
    assert stats.chisquare(counts[:3], n * odds / odds.sum()).pvalue > 1e-3


def test_options_out_of_range_are_named() -> None:
    for make in (lambda: Cap(-1), lambda: Rescale(math.inf), lambda: Loop(eta=-0.1)):
        with pytest.raises(UserInputError, match="eta="):
            make()
    with pytest.raises(UserInputError, match=r"t_on=0\.1, t_off=0\.2"):
        Loop(t_on=0.1, t_off=0.2)
    with pytest.raises(UserInputError, match=r"kappa=1\.5"):
        Psi(1.5)
    for options in ({"k": 0}, {"tau": 0.0}):
        with pytest.raises(UserInputError, match="expected at least 1 cell"):
            LowestMargin(**options)
