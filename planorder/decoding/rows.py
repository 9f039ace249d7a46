"""The state of a decode: rows in work, how they begin and where they go when they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from planorder.decoding.random import row_keys
from planorder.decoding.view import Decoded
from planorder.models.context import edge_tensor
from planorder.tokens import MASK
from puzzles.base import PuzzleBatch

SOUND, BAD_LOGITS, BAD_SCORE = 0, 1, 2


@dataclass(frozen=True)
class Rows:
    """The rows in work, all at the same step.

    Attributes:
        place: int64 ``[batch]``, where the row goes in the result.
        key: int64 ``[batch]``, the row's random key.
        n_blank_start: int64 ``[batch]``.
        tokens: int64 ``[batch, cells]``.
        clue: bool ``[batch, cells]``.
        rank: int64 ``[batch, cells]``, or None.
        solution: int64 ``[batch, cells]``, or None.
        edges: int64 ``[batch, edges, 1 + members]``, the puzzles' own, or None.
        prob: float32 ``[batch, cells]``, with which a cell was filled; 1 on clues, 0 on blanks.
        filled_at: int16 ``[batch, cells]``, the last step that filled the cell; -1 before.
        reopened: int16 ``[batch, cells]``.
        passes: int32 ``[batch]``.
        changed: bool ``[batch]``, whether the model has yet to see the tokens.
        fault: int8 ``[batch]``, `SOUND` or what was not finite first.
        fault_step: int64 ``[batch]``, the step of the fault.
        log_probs: float32 ``[batch, cells, values]`` of the step before; None at the first.
        memory: ``[batch, ...]``, what the strategy remembers of the step before; None at the first.
    """

    place: torch.Tensor
    key: torch.Tensor
    n_blank_start: torch.Tensor
    tokens: torch.Tensor
    clue: torch.Tensor
    rank: torch.Tensor | None
    prob: torch.Tensor
    filled_at: torch.Tensor
    reopened: torch.Tensor
    passes: torch.Tensor
    changed: torch.Tensor
    fault: torch.Tensor
    fault_step: torch.Tensor
    solution: torch.Tensor | None = None
    edges: torch.Tensor | None = None
    log_probs: torch.Tensor | None = None
    memory: torch.Tensor | None = None

    def take(self, chosen: torch.Tensor) -> Rows:
        """The rows of a bool mask ``[batch]``, or of int64 places, in their order."""
        held: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        kept: dict[str, Any] = {
            name: None if value is None else value[chosen] for name, value in held.items()
        }
        return replace(self, **kept)


def open_rows(batch: PuzzleBatch, chosen: np.ndarray, seed: int, device: torch.device) -> Rows:
    """The chosen puzzles at their start; ranks and solutions are None unless all blanks have one."""
    tokens = torch.from_numpy(batch.clues[chosen].astype(np.int64)).to(device)
    clue = tokens != MASK
    n = len(tokens)
    is_ranked = bool((batch.rank[batch.blank] >= 0).all())
    is_solved = bool((batch.solution[batch.blank] > 0).all())
    edges = edge_tensor(None if batch.edges is None else batch.edges[chosen], device)
    return Rows(
        place=torch.from_numpy(chosen.astype(np.int64)).to(device),
        key=keys_of(batch, chosen, tokens, edges, seed),
        n_blank_start=(~clue).sum(1),
        tokens=tokens,
        clue=clue,
        rank=torch.from_numpy(batch.rank[chosen].astype(np.int64)).to(device) if is_ranked else None,
        prob=clue.float(),
        filled_at=torch.full_like(tokens, -1, dtype=torch.int16),
        reopened=torch.zeros_like(tokens, dtype=torch.int16),
        passes=torch.zeros(n, dtype=torch.int32, device=device),
        changed=torch.ones(n, dtype=torch.bool, device=device),
        fault=torch.full((n,), SOUND, dtype=torch.int8, device=device),
        fault_step=torch.zeros(n, dtype=torch.int64, device=device),
        solution=torch.from_numpy(batch.solution[chosen].astype(np.int64)).to(device) if is_solved else None,
        edges=edges,
    )


def queue_of(blanks: np.ndarray) -> np.ndarray:
    """int64 ``[puzzles]``: their places, most ``blanks [puzzles]`` first, so that a batch ends together."""
    return np.argsort(blanks, kind="stable")[::-1].astype(np.int64)


def opened_rows(
    batch: PuzzleBatch,
    seed: int,
    device: torch.device,
    batch_size: int,
    progress: Callable[[int], None],
    copies: int = 1,
) -> Iterator[Rows]:
    """The puzzles that have blanks, ``batch_size`` at a time along `queue_of`, each as ``copies`` rows.

    ``progress`` hears first of those that have none.
    """
    blanks = batch.blank.sum(1)
    queue = queue_of(blanks)[: np.count_nonzero(blanks)]
    if len(queue) < len(batch):
        progress(len(batch) - len(queue))
    for start in range(0, len(queue), batch_size):
        yield open_rows(batch, np.repeat(queue[start : start + batch_size], copies), seed, device)


def keys_of(
    batch: PuzzleBatch, chosen: np.ndarray, tokens: torch.Tensor, edges: torch.Tensor | None, seed: int
) -> torch.Tensor:
    """int64 ``[chosen]``: the random keys of the chosen puzzles, whose clues are ``tokens [chosen, cells]``.

    Puzzles with one solution take theirs from what they say, so that it does not matter where they stand;
    others from their index too, since a batch of them may hold equal puzzles to sample from.
    """
    index = None if batch.unique else torch.from_numpy(batch.index[chosen].astype(np.int64)).to(tokens.device)
    return row_keys(tokens, seed, edges, index)


def empty_result(batch: PuzzleBatch) -> Decoded:
    """A result with no blank filled yet."""
    shape = batch.clues.shape
    return Decoded(
        cells=batch.clues.copy(),
        step=np.full(shape, -1, np.int16),
        prob=np.ones(shape, np.float32),
        reopened=np.zeros(shape, np.int16),
        passes=np.zeros(len(batch), np.int32),
    )


def write_rows(rows: Rows, found: Decoded) -> int:
    """Copies finished rows to their places; returns their number."""
    place = rows.place.cpu().numpy()
    found.cells[place] = rows.tokens.cpu().numpy()
    found.step[place] = rows.filled_at.cpu().numpy()
    found.prob[place] = rows.prob.cpu().numpy()
    found.reopened[place] = rows.reopened.cpu().numpy()
    found.passes[place] = rows.passes.cpu().numpy()
    return len(place)
