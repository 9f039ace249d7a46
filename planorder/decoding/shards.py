"""The puzzles of a decode shared out among the ranks, with the result of one rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np

from planorder.decoding.rows import queue_of
from planorder.decoding.view import Decoded
from planorder.distributed import World, everyone, world
from puzzles.base import PuzzleBatch


def own_rows(blanks: np.ndarray, batch_size: int, of: World) -> np.ndarray:
    """int64 ``[rows]``, ascending: the puzzles that a rank decodes.

    Ranks take turns at whole batches of the queue of `decode`, which begins with the most ``blanks``
    (``[puzzles]``). So every forward pass has the rows that it has on one rank, and rounds alike.
    """
    queue = queue_of(blanks)
    turn = np.arange(len(queue)) // batch_size % of.size
    return np.sort(queue[turn == of.rank])


def decode_on_ranks(
    decode_rows: Callable[[PuzzleBatch], Decoded],
    batch: PuzzleBatch,
    batch_size: int,
    progress: Callable[[int], None],
) -> Decoded:
    """What ``decode_rows(batch)`` gives, bit for bit, on every rank.

    With fewer batches than ranks some ranks have nothing to do: choose a ``batch_size`` of at most
    ``len(batch) / ranks``.

    Args:
        decode_rows: decodes puzzles ``batch_size`` at a time, in the order of their blanks.
        batch: the puzzles, the same on all ranks.
        batch_size: puzzles at a time, at least 1.
        progress: called at the end with the number of puzzles that other ranks decoded.
    """
    if world().size == 1:
        return decode_rows(batch)
    mine = own_rows(batch.blank.sum(1), batch_size, world())
    rows, found = zip(*everyone((mine, decode_rows(batch[mine]))), strict=True)
    progress(len(batch) - len(mine))
    return joined_rows(rows, found, len(batch))


def joined_rows(rows: Sequence[np.ndarray], found: Sequence[Decoded], n: int) -> Decoded:
    """The parts of a decode of ``n`` puzzles as one; part i has the rows ``rows[i]`` of the whole.

    Raises:
        ValueError: a row that is missing or there twice.
    """
    placed = np.concatenate(rows)
    order = np.argsort(placed, kind="stable")
    if not np.array_equal(placed[order], np.arange(n)):
        raise ValueError("the ranks decoded a puzzle twice, or left one out")
    return Decoded(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in found])[order]
            for field in fields(Decoded)
        }
    )
