"""A step's choices of every preset without look-ahead, against a forward pass of the shipped network."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import Baseline

from planorder.decoding import PRESETS, Strategy, get_strategy
from planorder.decoding.learned import SOURCES
from planorder.decoding.lookahead import LookAhead
from planorder.decoding.loop import advance
from planorder.decoding.rows import Rows, open_rows
from planorder.models import Relational
from planorder.models.checkpoint import load_model, pretrained
from puzzles import get_family
from puzzles.base import LOGIC

BATCH = 256
NAMES = [n for n, s in PRESETS.items() if not isinstance(s.order, LookAhead) and n != "wino"] + [*SOURCES]


class Middle(NamedTuple):
    """A batch with about half of its blanks filled: its rows, its log-probabilities, and its network."""

    rows: Rows
    log_probs: torch.Tensor
    model: torch.nn.Module


@cache
@torch.inference_mode()
def middle() -> Middle:
    family = get_family("sudoku")
    batch = family.generate("test", LOGIC, BATCH)
    model = load_model(pretrained(family.name)["relational"]).model.eval()
    assert isinstance(model, Relational)
    rows = open_rows(batch, np.arange(BATCH), 0, torch.device("cpu"))
    assert rows.solution is not None
    filled = ~rows.clue & (torch.rand(rows.tokens.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    before = model(rows.tokens).log_softmax(-1)
    tokens = torch.where(filled, rows.solution, rows.tokens)
    prob = before.gather(-1, rows.solution[..., None] - 1)[..., 0].exp() * (filled | rows.clue)
    rows = replace(rows, tokens=tokens, prob=prob, log_probs=before)
    return Middle(rows, model(tokens).log_softmax(-1), model)


@torch.inference_mode()
def step(rows: Rows, log_probs: torch.Tensor, strategy: Strategy) -> Rows:
    """Memory, see, order, noise, budget, pick, remask and fill, in the middle of the schedule."""
    total = strategy.steps or rows.tokens.shape[1]
    return advance(rows, log_probs, strategy, total // 2, total, no_look)


def no_look(tokens: torch.Tensor, edges: torch.Tensor | None) -> torch.Tensor:
    raise AssertionError("a preset that looks ahead is not timed here")


@pytest.mark.parametrize("name", NAMES)
def bench_choices(race, name: str) -> None:
    """A ratio of at least 10 keeps an order below a tenth of its model."""
    strategy, (rows, log_probs, model) = get_strategy(name), middle()
    if strategy.memory is not None:
        rows = replace(rows, memory=step(replace(rows, log_probs=None), log_probs, strategy).memory)
    after, some = step(rows, log_probs, strategy), torch.arange(BATCH) < 3
    assert torch.equal(after.tokens[rows.clue], rows.tokens[rows.clue])
    assert not torch.equal(after.tokens, rows.tokens)
    assert torch.equal(step(rows.take(some), log_probs[some], strategy).tokens, after.tokens[some])
    with torch.inference_mode():
        baseline = Baseline("one forward pass", lambda: model(rows.tokens), BATCH)
        race(lambda: step(rows, log_probs, strategy), BATCH, "row", [baseline])
