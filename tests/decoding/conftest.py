from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from planorder.decoding.random import Uniforms, row_keys
from planorder.decoding.view import StepView
from puzzles.base import PuzzleBatch


def build_view(
    probs: list, tokens: list, clues: list | None = None, step: int = 0, total: int = 4
) -> StepView:
    """A view with these probabilities; without ``clues`` no cell is one."""
    p = torch.tensor(probs, dtype=torch.float64)
    state = torch.tensor(tokens)
    clue = torch.zeros_like(state, dtype=torch.bool) if clues is None else torch.tensor(clues) > 0
    steps = torch.full((len(state),), step)
    return StepView(
        log_probs=p.log().float(),
        tokens=state,
        clue=clue,
        blank=state == 0,
        allowed=state == 0,
        committed_prob=(state > 0).float(),
        previous_log_probs=None,
        step=steps,
        total_steps=total,
        n_blank_start=(~clue).sum(1),
        rank=None,
        memory=None,
        uniform=Uniforms(row_keys(state, 0), steps, state.shape[1]),
        evaluate=lambda ahead: p.log().float(),
    )


def build_puzzles(clues: np.ndarray, rank: np.ndarray | None = None) -> PuzzleBatch:
    """Puzzles without answers."""
    n = len(clues)
    return PuzzleBatch(
        family="noise-v1",
        clues=clues.astype(np.int8),
        solution=np.zeros(clues.shape, np.int8),
        rank=np.full(clues.shape, -1, np.int16) if rank is None else rank.astype(np.int16),
        technique=np.zeros(clues.shape, np.int8),
        hardest=np.zeros(n, np.int8),
        index=np.arange(n),
    )


def build_distinct(n: int, n_blank: int) -> PuzzleBatch:
    """``n`` different puzzles that begin with ``n_blank`` blanks; the clues are the digits of the row."""
    digits = np.arange(n)[:, None] // 10 ** np.arange(6) % 10 + 1
    return build_puzzles(np.concatenate([np.zeros((n, n_blank)), digits], axis=1))


@pytest.fixture
def view_of() -> Callable[..., StepView]:
    return build_view


@pytest.fixture
def puzzles() -> Callable[..., PuzzleBatch]:
    return build_puzzles


@pytest.fixture
def distinct() -> Callable[..., PuzzleBatch]:
    return build_distinct
