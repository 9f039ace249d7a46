"""Samplers of the literature: nucleus, hitting, MaskGIT, and draws without replacement by Gumbel noise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats

from planorder.decoding import StepView, Strategy, decode, get_strategy
from planorder.decoding.budgets import Schedule
from planorder.decoding.orders import PickedProb, TopProb, neg_entropy
from planorder.decoding.picks import Nucleus, Sample, argmax
from planorder.decoding.planners import Line
from planorder.decoding.testing import HashModel, TableModel, check_order, equal, small_batch, small_view
from puzzles.base import UserInputError

WIDE = 5000


def nucleus_twin(log_probs: np.ndarray, chance: float, p: float, temperature: float) -> int:
    """The value that a uniform number draws from the nucleus, by inversion in the order of the values."""
    law = np.exp(log_probs / temperature)
    law /= law.sum()
    kept, mass = [], 0.0
    for value in sorted(range(len(law)), key=lambda value: -law[value]):
        if mass >= p:
            break
        kept.append(value)
        mass += law[value]
    total = 0.0
    for value in sorted(kept):
        total += law[value] / mass
        if chance <= total:
            return value + 1
    return max(kept) + 1


def follows_nucleus(pick: Callable, p: float, temperature: float = 1.0) -> bool:
    for view in (small_view(), small_view(small_batch(20, seed=3), seed=1)):
        value, chance = pick(view), view.uniform("pick")
        for row, log_probs in enumerate(view.log_probs.numpy().astype(np.float64)):
            for cell, own in enumerate(log_probs):
                if int(value[row, cell]) != nucleus_twin(own, float(chance[row, cell]), p, temperature):
                    return False
    return True


@pytest.mark.parametrize(("p", "temperature"), [(0.98, 1.0), (0.5, 1.0), (0.8, 2.0), (0.8, 0.5)])
def test_the_nucleus_is_its_twin(p: float, temperature: float) -> None:
    assert follows_nucleus(Nucleus(p, temperature), p, temperature)


def cut_before_the_line(view: StepView) -> torch.Tensor:
    """Without the value that crosses p."""
    log_p = view.log_probs.double()
    falling, value = log_p.sort(dim=-1, descending=True)
    cut = falling.exp().cumsum(-1) > 0.8
    cut[..., 0] = False
    is_cut = torch.empty_like(cut).scatter_(-1, value, cut)
    return Sample()(replace(view, log_probs=log_p.masked_fill(is_cut, -torch.inf)))


NUCLEUS_FAULTS = {
    "cut before the line": cut_before_the_line,
    "no cut": Sample(1.0),
    "top alone": argmax,
    "cut before the temperature": Nucleus(0.8, 3.0),
}


@pytest.mark.parametrize("pick", NUCLEUS_FAULTS.values(), ids=NUCLEUS_FAULTS.keys())
def test_a_faulty_nucleus_is_caught(pick: Callable) -> None:
    assert not follows_nucleus(pick, 0.8)


def test_the_nucleus_at_its_limits_is_sampling_and_argmax() -> None:
    for view in (small_view(), small_view(seed=1)):
        assert torch.equal(Nucleus(1.0)(view), Sample(1.0)(view))
        assert torch.equal(Nucleus(1.0, 0.5)(view), Sample(0.5)(view))
        assert torch.equal(Nucleus(1e-6)(view), argmax(view))


def test_values_of_the_nucleus_follow_the_cut_law(view_of) -> None:
    view = view_of([[[0.15, 0.5, 0.05, 0.3]] * WIDE], [[0] * WIDE])
    counts = torch.bincount(Nucleus(0.9)(view)[0] - 1, minlength=4).tolist()
    assert counts[2] == 0
    law = [0.15 / 0.95, 0.5 / 0.95, 0.3 / 0.95]
    assert stats.chisquare([counts[v] for v in (0, 1, 3)], [WIDE * x for x in law]).pvalue > 1e-3


@pytest.mark.parametrize("options", [{"p": 0.0}, {"p": 1.1}, {"p": 0.5, "temperature": 0.0}])
def test_options_out_of_range_are_named(options: dict) -> None:
    with pytest.raises(UserInputError, match=list(options)[-1]):
        Nucleus(**options)


def test_first_hitting_takes_all_permutations_alike_and_samples(distinct) -> None:
    p = torch.tensor([0.6, 0.3, 0.1])
    found = decode(
        TableModel(torch.cat([p.log(), torch.full((7,), -30.0)]).expand(9, 10)),
        distinct(WIDE, 3),
        get_strategy("first_hitting"),
        batch_size=WIDE,
    )
    counts = Counter(map(tuple, found.step[:, :3].tolist()))
    assert set(counts) == set(permutations(range(3)))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3
    values = np.bincount(found.cells[:, :3].ravel() - 1, minlength=10)[:3]
    assert stats.chisquare(values, 3 * WIDE * np.array([0.6, 0.3, 0.1])).pvalue > 1e-3


def test_the_number_of_random_cells() -> None:
    batch = small_batch(30)
    blanks = batch.blank.sum(1)
    found = decode(HashModel(4), batch, get_strategy("random_k"))
    assert (found.passes == -(-blanks // 4)).all()
    fixed = decode(HashModel(4), batch, get_strategy("vanilla_fixed_k"), steps=5)
    for row, n in enumerate(blanks):
        filled = [(fixed.step[row][batch.blank[row]] <= i).sum() for i in range(5)]
        assert filled == [math.floor(n * (i + 1) / 5 + 0.5) for i in range(5)]


def test_the_cosine_grid_opens_each_blank_by_its_law(distinct) -> None:
    steps = 4
    model = TableModel(torch.zeros(10, 10))
    found = decode(model, distinct(WIDE, 4), get_strategy("vanilla_cosine"), steps=steps, batch_size=WIDE)
    masked = [math.cos(math.pi / 2 * i / steps) for i in range(steps + 1)]
    law = -np.diff(masked)
    when = np.bincount(found.step[:, :4].ravel(), minlength=steps)
    assert stats.chisquare(when, 4 * WIDE * law / law.sum()).pvalue > 1e-3
    nucleus = replace(get_strategy("vanilla_cosine"), pick=Nucleus(0.98))
    same = decode(model, distinct(20, 4), nucleus, steps=steps)
    assert equal(same, decode(model, distinct(20, 4), get_strategy("vanilla_nucleus"), steps=steps))


def test_the_picked_value_is_scored() -> None:
    for pick in (Sample(1.0), Sample(0.5), Nucleus(0.8)):
        order = PickedProb(pick)
        check_order(order)
        view = small_view()
        score, value = order(view), pick(view)
        for row in range(len(score)):
            for cell in range(8):
                expected = float(view.log_probs[row, cell, int(value[row, cell]) - 1])
                assert float(score[row, cell]) == pytest.approx(expected)
    view = small_view()
    assert torch.equal(PickedProb(argmax)(view), TopProb("log")(view))


def fills_as_maskgit(strategy: Strategy) -> bool:
    """Puzzle by puzzle: values first, then their ranking by log p, then how many stay masked."""
    batch, steps = small_batch(20), 5
    seen: dict[int, StepView] = {}

    def spy(view: StepView) -> torch.Tensor:
        seen[int(view.step[0])] = view
        return strategy.order(view)

    for row in range(1, len(batch)):
        seen.clear()
        found = decode(HashModel(4), batch[row : row + 1], replace(strategy, order=spy), steps=steps)
        n = int(batch.blank[row].sum())
        for step, view in seen.items():
            value, p = Sample(1.0)(view)[0], view.log_probs[0].double()
            blanks = [cell for cell in range(8) if view.blank[0, cell]]
            blanks.sort(key=lambda cell: (-float(p[cell, value[cell] - 1]), cell))
            stay = math.floor(n * math.cos(math.pi / 2 * (step + 1) / steps))
            stay = 0 if step + 1 == steps else max(1, min(len(blanks) - 1, stay))
            chosen = blanks[: len(blanks) - stay]
            if sorted(chosen) != np.flatnonzero(found.step[0] == step).tolist():
                return False
            if any(found.cells[0, cell] != value[cell] for cell in chosen):
                return False
    return True


MASKGIT = replace(get_strategy("maskgit"), noise=lambda view, score: score)
MASKGIT_FAULTS = {
    "rounded to the nearest": {"budget": Schedule("cosine")},
    "at times none": {"budget": Line("cosine")},
    "many early": {"budget": Line("sine")},
    "ranked by the likeliest": {"order": TopProb("log")},
    "likeliest values": {"pick": argmax},
}


def test_maskgit_fills_the_values_that_it_ranked() -> None:
    assert fills_as_maskgit(MASKGIT)


@pytest.mark.parametrize("fault", MASKGIT_FAULTS.values(), ids=MASKGIT_FAULTS.keys())
def test_a_faulty_maskgit_is_caught(fault: dict) -> None:
    assert not fills_as_maskgit(replace(MASKGIT, **fault))


def test_maskgit_noise_fades_linearly_over_the_steps(view_of) -> None:
    zero, maskgit_noise = torch.zeros(1, WIDE, dtype=torch.float64), get_strategy("maskgit").noise
    for step, size in ((0, 0.75), (2, 0.25)):
        added = maskgit_noise(view_of([[[0.5, 0.5]] * WIDE], [[0] * WIDE], step=step, total=4), zero)[0]
        assert stats.kstest(added.numpy(), "gumbel_r", args=(0, 4.5 * size)).pvalue > 1e-3
    last = view_of([[[0.5, 0.5]] * WIDE], [[0] * WIDE], step=3, total=4)
    assert torch.equal(maskgit_noise(last, zero), zero)


def draws(strategy: Strategy, view_of, probs: list[list[float]], noise: Callable | None = None) -> Counter:
    """The first two blanks of many puzzles with these probabilities."""
    n = WIDE
    tokens = torch.cat([torch.zeros(n, 3, dtype=torch.long), torch.arange(1, n + 1)[:, None]], 1)
    view = view_of([[*probs, [0.5, 0.5]]] * n, tokens.tolist())
    score = (noise or strategy.noise)(view, strategy.order(view))[:, :3]
    return Counter(map(tuple, score.argsort(1, descending=True)[:, :2].tolist()))


def without_replacement(weights: list[float]) -> dict[tuple[int, int], float]:
    """The law of two draws one after the other, each in proportion to the weights that are left."""
    total = sum(weights)
    return {
        (a, b): weights[a] / total * weights[b] / (total - weights[a])
        for a, b in permutations(range(len(weights)), 2)
    }


def is_law(counts: Counter, law: dict) -> bool:
    assert set(counts) <= set(law)
    return stats.chisquare([counts[x] for x in law], [WIDE * law[x] for x in law]).pvalue > 1e-3


THREE = [[0.95, 0.05], [0.93, 0.07], [0.9, 0.1]]


def test_gumbel_noise_draws_without_replacement_as_dream_does(view_of) -> None:
    strategy = get_strategy("dream_alg_temp")
    entropy = [-sum(x * math.log(x) for x in p) for p in THREE]
    law = without_replacement([math.exp(-h / 0.1) for h in entropy])
    assert is_law(draws(strategy, view_of, THREE), law)
    # The test can fail: draws at another temperature, or with replacement, have another law.
    assert not is_law(draws(strategy, view_of, THREE), without_replacement([math.exp(-h) for h in entropy]))
    doubled = lambda view, score: 2 * strategy.noise(view, score) - score  # noqa: E731
    assert not is_law(draws(strategy, view_of, THREE, doubled), law)
    assert strategy.order is neg_entropy


def test_softmax_confidence_draws_over_all_cells_and_values(view_of) -> None:
    law = without_replacement([sum(math.exp(x / 0.05) for x in p) for p in THREE])
    assert is_law(draws(get_strategy("softmax_confidence"), view_of, THREE), law)
    assert not is_law(draws(get_strategy("dream_alg_temp"), view_of, THREE), law)
