"""Scores with something added to confidence, each against a twin in loops over rows and cells."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from planorder.decoding import StepView, Strategy, decode, get_strategy
from planorder.decoding.orders import TopProb, left_to_right, neg_entropy, random_order
from planorder.decoding.priors import (
    CertaintyPrior,
    Curriculum,
    LinearPosition,
    PooledProb,
    PositionPrior,
    RandomAmongTop,
)
from planorder.decoding.testing import HashModel, check_order, check_strategy, equal, small_batch, small_view
from puzzles.base import UserInputError

BACKGROUND = (0.4, 0.3, 0.2, 0.1)

Twin = Callable[[StepView, int], list[float]]


def probs(view: StepView, row: int) -> np.ndarray:
    return np.exp(view.log_probs[row].numpy().astype(np.float64))


def position_twin(decay: float, clip: float, background: tuple[float, ...]) -> Twin:
    def score(view: StepView, row: int) -> list[float]:
        return [
            math.exp(-decay * cell) * min(-p.max() * math.log(background[p.argmax()]), clip)
            for cell, p in enumerate(probs(view, row))
        ]

    return score


def linear_twin(weight: float, clip: float, background: tuple[float, ...]) -> Twin:
    def score(view: StepView, row: int) -> list[float]:
        c = [min(-p.max() * math.log(background[p.argmax()]), clip) for p in probs(view, row)]
        among = [x for x, allowed in zip(c, view.allowed[row].tolist(), strict=True) if allowed] or [0.0]
        width = max(max(among) - min(among), 1e-9)
        return [
            (1 - weight) * (x - min(among)) / width + weight * (len(c) - cell) / len(c)
            for cell, x in enumerate(c)
        ]

    return score


def certainty_twin(sigma: float) -> Twin:
    def score(view: StepView, row: int) -> list[float]:
        p1, filled = probs(view, row).max(1), (~view.blank[row]).tolist()
        n, found = len(filled), []
        for cell in range(n):
            total = 0.0
            for other in range(-n, 2 * n):
                is_filled = other < 0 or filled[min(other, n - 1)]
                total += is_filled * math.exp(-((cell - other) ** 2) / (2 * sigma**2))
            whole = sum(math.exp(-(d**2) / (2 * sigma**2)) for d in range(-3 * n, 3 * n))
            found.append(p1[cell] * total / whole)
        return found

    return score


def curriculum_twin(weight: float) -> Twin:
    def score(view: StepView, row: int) -> list[float]:
        p = probs(view, row)
        entropy = [-sum(x * math.log(x) for x in cell) for cell in p]
        largest = max((h for h, open_ in zip(entropy, view.allowed[row], strict=True) if open_), default=1.0)
        return [cell.max() - weight * h / largest for cell, h in zip(p, entropy, strict=True)]

    return score


def pooled_twin(tau: float) -> Twin:
    def score(view: StepView, row: int) -> list[float]:
        return [tau * math.log(sum(math.exp(x / tau) for x in cell)) for cell in probs(view, row)]

    return score


def among_twin(k: int) -> Twin:
    def score(view: StepView, row: int) -> list[float]:
        p1, chance = probs(view, row).max(1), view.uniform("order")[row].tolist()
        cells = [cell for cell in range(len(p1)) if view.allowed[row, cell]]
        among = sorted(cells, key=lambda cell: (-p1[cell], cell))[:k]
        return [1 + chance[cell] if cell in among else p1[cell] for cell in range(len(p1))]

    return score


def follows(order: Callable, twin: Twin) -> bool:
    """Whether the blanks have the twin's scores, in views as they are and with fewer cells allowed."""
    views = [small_view(), small_view(small_batch(20, seed=3), seed=1)]
    views.append(replace(views[0], allowed=views[0].blank & (torch.arange(8) < 6)))
    for view in views:
        score = order(view)
        for row, blank in enumerate(view.blank.tolist()):
            expected = np.array(twin(view, row))[blank]
            if not np.allclose(score[row].numpy()[blank], expected, rtol=1e-9, atol=1e-11):
                return False
    return True


RULES = {
    "position": (PositionPrior(0.25, 10.0), position_twin(0.25, 10.0, (0.25,) * 4)),
    "position, clipped, background": (
        PositionPrior(0.1, 0.9, BACKGROUND),
        position_twin(0.1, 0.9, BACKGROUND),
    ),
    "linear position": (LinearPosition(0.25, 10.0), linear_twin(0.25, 10.0, (0.25,) * 4)),
    "linear position, clipped, background": (
        LinearPosition(0.6, 0.9, BACKGROUND),
        linear_twin(0.6, 0.9, BACKGROUND),
    ),
    "certainty": (CertaintyPrior(10.0), certainty_twin(10.0)),
    "certainty, narrow": (CertaintyPrior(0.7), certainty_twin(0.7)),
    "curriculum": (Curriculum(0.1), curriculum_twin(0.1)),
    "curriculum, heavy": (Curriculum(2.0), curriculum_twin(2.0)),
    "pooled": (PooledProb(0.05), pooled_twin(0.05)),
    "among top": (RandomAmongTop(3), among_twin(3)),
}


@pytest.mark.parametrize(("order", "twin"), RULES.values(), ids=RULES.keys())
def test_the_score_is_its_twin(order: Callable, twin: Twin) -> None:
    assert follows(order, twin)


def curriculum_of_the_batch(view: StepView) -> torch.Tensor:
    """The published code: the largest entropy of the batch."""
    entropy = -neg_entropy(view)
    return TopProb()(view) - 0.1 * entropy / entropy.masked_fill(~view.allowed, 1e-8).max()


def curriculum_of_wrong_sign(view: StepView) -> torch.Tensor:
    return 2 * TopProb()(view) - Curriculum(0.1)(view)


def position_rising(view: StepView) -> torch.Tensor:
    return PositionPrior()(view) * (0.5 * torch.arange(8)).exp()


def linear_of_the_batch(view: StepView) -> torch.Tensor:
    """The published code at more than one row: its least and largest are not the row's own."""
    c = TopProb()(view)
    least, most = c.min(), c.max()
    return 0.75 * (c - least) / (most - least) + 0.25 * (8 - torch.arange(8)) / 8


def linear_over_filled_cells(view: StepView) -> torch.Tensor:
    return LinearPosition()(replace(view, allowed=torch.ones_like(view.blank)))


def density_without_edges(view: StepView) -> torch.Tensor:
    offset = torch.arange(8.0, dtype=torch.float64)
    kernel = (-((offset[:, None] - offset) ** 2) / 200).exp()
    return TopProb()(view) * ((~view.blank).double() @ kernel / kernel.sum(0))


def among_all(view: StepView) -> torch.Tensor:
    """The published code: the draw replaces the five."""
    return 1 + view.uniform("order")


FAULTS = {
    "curriculum over the batch": (curriculum_of_the_batch, curriculum_twin(0.1)),
    "curriculum of the wrong sign": (curriculum_of_wrong_sign, curriculum_twin(0.1)),
    "late positions first": (position_rising, position_twin(0.25, 10.0, (0.25,) * 4)),
    "background ignored": (PositionPrior(0.1, 0.9), position_twin(0.1, 0.9, BACKGROUND)),
    "not clipped": (PositionPrior(0.1, 10.0, BACKGROUND), position_twin(0.1, 0.9, BACKGROUND)),
    "weights swapped": (LinearPosition(0.75), linear_twin(0.25, 10.0, (0.25,) * 4)),
    "scaled over the batch": (linear_of_the_batch, linear_twin(0.25, 10.0, (0.25,) * 4)),
    "scaled over filled cells": (linear_over_filled_cells, linear_twin(0.25, 10.0, (0.25,) * 4)),
    "density without edges": (density_without_edges, certainty_twin(10.0)),
    "best value alone": (TopProb(), pooled_twin(0.05)),
    "among all": (among_all, among_twin(3)),
    "among the batch": (lambda view: RandomAmongTop(3)(view).cummax(0).values, among_twin(3)),
}


@pytest.mark.parametrize(("order", "twin"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_score_is_caught(order: Callable, twin: Twin) -> None:
    assert not follows(order, twin)


def test_an_entropy_of_the_batch_is_caught_by_the_promises() -> None:
    with pytest.raises(AssertionError, match="depends on the other rows"):
        check_order(curriculum_of_the_batch)


LIMITS = {
    "no decay": (PositionPrior(0.0, math.inf), TopProb()),
    "all decay": (PositionPrior(60.0), left_to_right),
    "no weight of the place": (LinearPosition(0.0, math.inf), TopProb()),
    "all weight on the place": (LinearPosition(1.0), left_to_right),
    "endless width": (CertaintyPrior(1e12), TopProb()),
    "no entropy": (Curriculum(0.0), TopProb()),
    "cold": (PooledProb(1e-4), TopProb()),
    "the one best": (RandomAmongTop(1), TopProb()),
    "any": (RandomAmongTop(8), random_order),
}


@pytest.mark.parametrize(("order", "simple"), LIMITS.values(), ids=LIMITS.keys())
def test_at_its_limit_a_score_is_a_simpler_one(order: Callable, simple: Callable) -> None:
    model, batch = HashModel(4), small_batch(30)
    found = decode(model, batch, Strategy("s", order))
    assert equal(found, decode(model, batch, Strategy("s", simple)))


@pytest.mark.parametrize("order", [PositionPrior(0.0), Curriculum(), Curriculum(2.0), PooledProb()])
def test_certain_cells_come_first(order: Callable) -> None:
    check_order(order, surest_first=True)


def test_a_narrow_density_grows_from_what_is_known(puzzles) -> None:
    clues = np.array([[0, 0, 0, 0, 1, 0, 0, 0, 0]])
    flat = lambda tokens: torch.zeros(*tokens.shape, 3)  # noqa: E731
    step = decode(flat, puzzles(clues), Strategy("s", CertaintyPrior(0.8))).step[0]
    # The left end counts as known too; every cell is filled beside one that is.
    for cell, when in enumerate(step):
        beside = [step[other] for other in (cell - 1, cell + 1) if 0 <= other < 9]
        assert cell in (0, 4) or min(beside) < when


def test_five_are_drawn_alike_and_no_other(distinct) -> None:
    batch = distinct(4000, 4)
    p1 = torch.tensor([0.6, 0.9, 0.7, 0.8, *[1.0] * 6])
    logits = torch.stack([p1, 1 - p1 + 1e-9], -1).log()
    model = lambda tokens: torch.cat([logits, torch.full((10, 8), -30.0)], -1).expand(len(tokens), -1, -1)  # noqa: E731
    step = decode(model, batch, Strategy("s", RandomAmongTop(3)), batch_size=4000).step[:, :4]
    first = np.bincount(step.argmin(1), minlength=4)
    assert first[0] == 0
    assert abs(first[1:] - 4000 / 3).max() < 4 * math.sqrt(4000 * 2 / 9)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PositionPrior(-0.1), "decay=-0.1"),
        (lambda: PositionPrior(0.1, 0.0), "clip=0.0"),
        (lambda: PositionPrior(background=(0.5, 0.0)), "background"),
        (lambda: PositionPrior(background=(0.5, 0.5))(small_view()), "2 values for 4"),
        (lambda: LinearPosition(1.1), "weight=1.1"),
        (lambda: LinearPosition(0.1, 0.0), "clip=0.0"),
        (lambda: LinearPosition(background=(0.5, 0.0)), "background"),
        (lambda: LinearPosition(background=(0.5, 0.5))(small_view()), "2 values for 4"),
        (lambda: CertaintyPrior(0.0), "sigma=0"),
        (lambda: Curriculum(math.inf), "weight=inf"),
        (lambda: PooledProb(0.0), "tau=0"),
        (lambda: RandomAmongTop(0), "k=0"),
    ],
)
def test_mistakes_are_named(make: Callable, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        make()


def test_a_corpus_goes_into_the_prior_as_numbers() -> None:
    counts = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    order = PositionPrior(background=tuple((counts / counts.sum()).tolist()))
    check_strategy(replace(get_strategy("pc_sampler"), order=order))
    check_strategy(
        replace(get_strategy("linear_position"), order=LinearPosition(background=order.background))
    )
