"""What a decoding rule may see, and what a decode returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

Uniform = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class StepView:
    """One step of a decode, as the rules see it; no rule changes it.

    Attributes:
        log_probs: float32 ``[batch, cells, values]``, the model's log-probabilities at this state.
        tokens: int64 ``[batch, cells]``, the state: 0 is MASK, values count from 1.
        clue: bool ``[batch, cells]``, given cells, which no rule may touch.
        blank: bool ``[batch, cells]``, cells still masked.
        allowed: bool ``[batch, cells]``, the blanks that may be filled in this step: all, unless
            the strategy's ``see`` narrows them.
        committed_prob: float32 ``[batch, cells]``, the probability each filled cell had when it was
            filled; 1 on clues, 0 on blanks.
        previous_log_probs: float32 ``[batch, cells, values]`` of the step before, or None at the first.
        step: int64 ``[batch]``, reverse steps this row has behind it.
        total_steps: reverse steps in the schedule (T).
        n_blank_start: int64 ``[batch]``, blanks at the start.
        rank: int64 ``[batch, cells]``, the logical solver's order (-1 on clues), or None where unknown.
        memory: ``[batch, ...]``, what `Strategy.memory` gave in this step (in its own call: in the step
            before, None at the first); None for a strategy that has none.
        uniform: ``uniform(stream, *extra)`` gives float64 in (0, 1) of shape ``[batch, cells, *extra]``,
            reproducible from (seed, puzzle, step, stream, cell) alone: neither batch, row order nor device
            matters.
        evaluate: ``evaluate(tokens) -> log_probs`` for rules that look ahead; its passes are counted.
        solution: int64 ``[batch, cells]``, the solution (one of them, where there are many), or None where
            unknown. It is for oracles alone, which say what an order could be worth; nothing else reads it.
        edges: int64 ``[batch, edges, 1 + members]``, the puzzles' own constraints, or None without any.
    """

    log_probs: torch.Tensor
    tokens: torch.Tensor
    clue: torch.Tensor
    blank: torch.Tensor
    allowed: torch.Tensor
    committed_prob: torch.Tensor
    previous_log_probs: torch.Tensor | None
    step: torch.Tensor
    total_steps: int
    n_blank_start: torch.Tensor
    rank: torch.Tensor | None
    memory: torch.Tensor | None
    uniform: Uniform
    evaluate: Callable[[torch.Tensor], torch.Tensor]
    solution: torch.Tensor | None = None
    edges: torch.Tensor | None = None


@dataclass(frozen=True)
class Decoded:
    """A decoded batch.

    Attributes:
        cells: ``[batch, cells]``, values from 1, of the type of the clues (int8 in puzzles).
        step: int16 ``[batch, cells]``, the reverse step (from 0) at which a cell got its final value; -1 on
            clues.
        prob: float32 ``[batch, cells]``, the model's probability of that value then; 1 on clues.
        reopened: int16 ``[batch, cells]``, how often the cell was masked again.
        passes: int32 ``[batch]``, forward passes this row took.
    """

    cells: np.ndarray
    step: np.ndarray
    prob: np.ndarray
    reopened: np.ndarray
    passes: np.ndarray
