"""Random puzzles, states and logits on which a rule of decoding is tried, and what it must keep there.

One to nine cells, two to five values, one to six rows; logits with exact ties and with -1e4 among them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from planorder.decoding import StepView, Strategy, orders, planners, remask
from planorder.decoding.random import Uniforms, row_keys
from planorder.decoding.testing import check_strategy, small_view
from puzzles.base import PuzzleBatch

FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
PALETTES = ((0.0, 3.0), (0.0, 1e-3, 1.0), (-1e4, 0.0, 5.0), (0.0,), (-1e4, 1e4), (-2.0, 0.5, 4.0, 6.0))


@dataclass(frozen=True)
class Palette:
    """A model whose logits are drawn from few numbers, so that many are equal and some are extreme."""

    n_values: int
    numbers: tuple[float, ...]
    seed: int = 0

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        keys = row_keys(tokens, self.seed)
        draw = Uniforms(keys, torch.zeros_like(keys), tokens.shape[1])("logits", self.n_values)
        return torch.tensor(self.numbers)[(draw * len(self.numbers)).long()]


@dataclass(frozen=True)
class World:
    """What a rule is tried on."""

    n_cells: int
    n_values: int
    batch: PuzzleBatch
    model: Palette
    view: StepView


@st.composite
def worlds(draw: st.DrawFn) -> World:
    n, n_cells, n_values = draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(2, 5))
    seed, share = draw(st.integers(0, 2**16)), draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    rng = np.random.default_rng(seed)
    solution = rng.integers(1, n_values + 1, (n, n_cells)).astype(np.int8)
    is_clue = rng.random((n, n_cells)) < share
    rank = np.argsort(np.argsort(rng.random((n, n_cells)) + is_clue, axis=1), axis=1)
    batch = PuzzleBatch(
        family="noise-v1",
        clues=np.where(is_clue, solution, 0).astype(np.int8),
        solution=solution,
        rank=np.where(is_clue, -1, rank).astype(np.int16),
        technique=np.zeros((n, n_cells), np.int8),
        hardest=np.zeros(n, np.int8),
        index=np.arange(n),
        unique=draw(st.booleans()),
    )
    model = Palette(n_values, draw(st.sampled_from(PALETTES)), seed)
    view = small_view(batch, n_values, seed)
    assert isinstance(view.uniform, Uniforms)
    total = draw(st.integers(1, 12))
    step = torch.full_like(view.step, draw(st.integers(0, total - 1)))
    before = replace(model, seed=seed + 1)(view.tokens).log_softmax(-1) if draw(st.booleans()) else None
    narrow = torch.from_numpy(rng.random((n, n_cells)) < draw(st.sampled_from([0.5, 1.0])))
    view = replace(
        view,
        log_probs=model(view.tokens).log_softmax(-1),
        previous_log_probs=before,
        allowed=view.blank & narrow,
        step=step,
        total_steps=total,
        uniform=replace(view.uniform, step=step),
        evaluate=lambda ahead: model(ahead.flatten(0, -2)).log_softmax(-1).unflatten(0, ahead.shape[:-1]),
    )
    return World(n_cells, n_values, batch, model, view)


def holds(world: World, **choices) -> None:
    """Raises `AssertionError` unless a strategy of these choices keeps its promises in a world."""
    strategy = replace(Strategy("s", orders.TopProb()), **choices)
    if strategy.remask is not remask.never and strategy.steps is None:
        strategy = replace(strategy, steps=6)
    reads_filled = isinstance(strategy.order, planners.PathScore)
    check_strategy(strategy, view=world.view, batch=world.batch, model=world.model, reads_filled=reads_filled)


def tries(choices: dict) -> None:
    """Raises what `holds` does in the first of many worlds in which these choices break a promise."""

    @settings(FEW, max_examples=60, phases=[Phase.generate])
    @given(world=worlds())
    def each(world: World) -> None:
        holds(world, **choices)

    each()
