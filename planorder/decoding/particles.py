"""Many decodes of one puzzle: the best of n, and a vote of n that decodes again what it does not agree on.

Both run `loop.decode` under seeds of their own, so that a row's result is a function of the seed and the
puzzle alone, whatever the batch. They need a strategy with chance in it, e.g. ``with_options(strategy,
noise=0.5, pick="sample")``; without, all decodes are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planorder.decoding.denoiser import Model
from planorder.decoding.loop import decode
from planorder.decoding.random import GOLDEN
from planorder.decoding.rows import empty_result
from planorder.decoding.strategies import Strategy
from planorder.decoding.view import Decoded
from puzzles.base import PuzzleBatch, UserInputError

Judge = Callable[[np.ndarray], np.ndarray]
"""``judge(cells int8 [batch, cells]) -> bool [batch]``; ``lambda cells: family.solved(cells, batch)``."""

PER_CELL = ("cells", "step", "prob", "reopened")
KEPT = ("step", "prob")
TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class BestOf:
    """n decodes of every puzzle and the one that was chosen.

    Attributes:
        best: the chosen decode of each puzzle, with the passes of all n.
        runs: all n, in the order of their seeds.
        confidence: float64 ``[n, batch]``, the mean log-probability with which the blanks were filled; 0
            without blanks.
        chosen: int64 ``[batch]``, the place of ``best`` in ``runs``.
    """

    best: Decoded
    runs: tuple[Decoded, ...]
    confidence: np.ndarray
    chosen: np.ndarray


def best_of(
    model: Model,
    batch: PuzzleBatch,
    strategy: Strategy,
    n: int,
    *,
    seed: int = 0,
    judge: Judge | None = None,
    **options: Any,
) -> BestOf:
    """n decodes of every puzzle, of which the most confident is kept; the first of equals.

    Samples of a diffusion ranked by confidence, as DiffDock (arXiv:2210.01776) does with a model trained to
    give it; here confidence is the mean of log p(value filled) over the blanks.

    Args:
        model: see `loop.decode`.
        batch: puzzles.
        strategy: one with chance in it.
        n: decodes, at least 1; the first has ``seed`` itself.
        seed: any integer.
        judge: the oracle "best of n": decodes that it calls right come before all others.
        options: of `loop.decode`.

    Raises:
        UserInputError: n below 1, or what `loop.decode` raises.
    """
    runs = decodes(model, batch, strategy, n, seed, 0, options)
    n_blank = batch.blank.sum(1)
    log_p = np.log(np.stack([run.prob for run in runs]).clip(min=TINY).astype(np.float64)) * batch.blank
    confidence = log_p.sum(2) / np.maximum(n_blank, 1)
    right = np.zeros(confidence.shape) if judge is None else np.stack([judge(run.cells) for run in runs])
    order = np.lexsort((-confidence, ~right.astype(bool)), axis=0)
    chosen, rows = order[0], np.arange(len(batch))
    kept = {name: np.stack([getattr(run, name) for run in runs])[chosen, rows] for name in PER_CELL}
    return BestOf(Decoded(**kept, passes=all_passes(runs)), tuple(runs), confidence, chosen)


def decode_particles(
    model: Model,
    batch: PuzzleBatch,
    strategy: Strategy,
    *,
    n: int = 5,
    agree: float = 0.75,
    rounds: int = 3,
    seed: int = 0,
    **options: Any,
) -> Decoded:
    """Rounds of n decodes: cells on which enough of them agree are held, the others decoded again.

    A cell's vote is its commonest value (the lowest of equals), which is held if at least ``agree`` of the n
    decodes have it. The last round takes every vote as it is; one round is a plain majority vote. After PACE
    (github.com/aiPenguin/complex-planning), which ranks cells by vote and confidence at every step of
    particles that run side by side, freezes and unfreezes them by degrees, and ends with its most confident
    particle; here particles are whole decodes, and what is held stays.

    Args:
        model: see `loop.decode`.
        batch: puzzles.
        strategy: one with chance in it.
        n: decodes a round, at least 1.
        agree: share of them, in (0, 1].
        rounds: at least 1.
        seed: any integer.
        options: of `loop.decode`.

    Returns:
        A cell's ``prob`` and ``step`` are those of the first decode that voted for its value, steps counted
        on from round to round; ``reopened`` counts the rounds that left it open, ``passes`` all decodes.

    Raises:
        UserInputError: an option out of range, or what `loop.decode` raises.
    """
    if not 0 < agree <= 1 or rounds < 1:
        raise UserInputError(
            f"agree={agree}, rounds={rounds}: expected a share in (0, 1] and at least 1 round"
        )
    found, puzzles = empty_result(batch), batch
    before = np.zeros((len(batch), 1), np.int16)
    for round_ in range(rounds):
        runs = decodes(model, puzzles, strategy, n, seed, round_, options)
        value, share = vote(np.stack([run.cells for run in runs]))
        held = puzzles.blank & ((share >= agree) | (round_ + 1 == rounds))
        first = (np.stack([run.cells for run in runs]) == value).argmax(0)[None]
        step, prob = (np.take_along_axis(np.stack([getattr(r, k) for r in runs]), first, 0)[0] for k in KEPT)
        found = Decoded(
            cells=np.where(held, value, found.cells),
            step=np.where(held, step + before, found.step).astype(np.int16),
            prob=np.where(held, prob, found.prob),
            reopened=found.reopened + (puzzles.blank & ~held).astype(np.int16),
            passes=found.passes + all_passes(runs),
        )
        before = before + np.max([run.step for run in runs], axis=(0, 2))[:, None] + np.int16(1)
        puzzles = replace(puzzles, clues=found.cells, rank=np.where(held, -1, puzzles.rank).astype(np.int16))
    return found


def decodes(
    model: Model,
    batch: PuzzleBatch,
    strategy: Strategy,
    n: int,
    seed: int,
    round_: int,
    options: dict[str, Any],
) -> list[Decoded]:
    """n decodes under different seeds; the first of round 0 has ``seed`` itself."""
    if n < 1:
        raise UserInputError(f"n={n}: expected at least 1 decode")
    seeds = [seed + GOLDEN * (round_ * n + i) for i in range(n)]
    return [decode(model, batch, strategy, seed=seed, **options) for seed in seeds]


def all_passes(runs: Sequence[Decoded]) -> np.ndarray:
    """int32 ``[batch]``: the forward passes of all decodes together."""
    return np.stack([run.passes for run in runs]).sum(0, dtype=np.int32)


def vote(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 and float64 ``[batch, cells]``: the commonest of ``cells [n, batch, cells]`` and its share."""
    values = np.arange(1, max(int(cells.max(initial=1)), 1) + 1)
    count = (cells[..., None] == values).sum(0)
    return (count.argmax(-1) + 1).astype(np.int8), count.max(-1) / len(cells)
