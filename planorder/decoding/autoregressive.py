"""Decoding with the autoregressive baseline: the model chooses the next cell itself, then its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from planorder.decoding.denoiser import PRECISIONS
from planorder.decoding.random import Uniforms
from planorder.decoding.rows import empty_result, keys_of, queue_of
from planorder.decoding.view import Decoded
from planorder.models.autoregressive import AutoregressiveModel, move_order
from planorder.models.context import edge_tensor, evaluated
from planorder.results.evaluate import FREE
from puzzles.base import PuzzleBatch, UserInputError

DECODE_ORDERS = (FREE, "fixed", "solver")
"""Who chooses the next cell: the model, row-major order, the logical solver."""


@dataclass(frozen=True)
class Game:
    """A batch of puzzles to play.

    Attributes:
        clues: int64 ``[batch, cells]``.
        cells: int64 ``[batch, moves]``, the cells of the givens and, where ``forced``, of all moves.
        known: the fewest givens of a row.
        forced: whether the cells of the fills are given too.
        temperature: of each choice; 0 takes the likeliest.
        keys: int64 ``[batch]``, the rows' random keys.
        edges: int64 ``[batch, edges, 1 + members]``, the puzzles' own; None where the family has none.
    """

    clues: torch.Tensor
    cells: torch.Tensor
    known: int
    forced: bool
    temperature: float
    keys: torch.Tensor
    edges: torch.Tensor | None = None

    @property
    def number(self) -> torch.Tensor:
        """int64 ``[batch, moves]``: the fills from 0, givens below it."""
        moves = torch.arange(self.clues.shape[1], device=self.clues.device)
        return moves - (self.clues > 0).sum(1, keepdim=True)

    def choose(self, logits: torch.Tensor, allowed: torch.Tensor, move: int, part: int) -> torch.Tensor:
        """int64 ``[batch]``: a symbol among ``allowed [batch, symbols]``, ties to the lowest."""
        scores = logits.double()
        if self.temperature:
            uniform = Uniforms(self.keys, self.number[:, move], logits.shape[1])(f"autoregressive {part}")
            scores = scores / self.temperature - torch.log(-torch.log(uniform))
        return scores.masked_fill(~allowed, -torch.inf).argmax(1)


@torch.inference_mode()
def decode_autoregressive(
    model: AutoregressiveModel,
    batch: PuzzleBatch,
    *,
    order: str = FREE,
    seed: int = 0,
    device: str | torch.device = "cpu",
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
    temperature: float = 0.0,
    precision: str = "fp32",
) -> Decoded:
    """Fills the blanks move by move: the next cell first, then its value; ties to the lowest.

    The choice is among blank cells only: in "triples" among rows that have blanks, then among the blank
    columns of that row. Keys and values of earlier tokens are kept. All rows stand at the same move, counted
    with the givens, so nothing is padded: puzzles are sorted by their givens, a batch starts after the fewest
    of them, and a row that has more replays its own until they are used up. A row depends on its neighbours
    by rounding alone.

    Args:
        model: moved to ``device`` to stay, and in eval mode during the call.
        batch: puzzles; their ranks are read by the order "solver" alone.
        order: "free" (the model chooses the cells, as the papers evaluate it), or the cells are forced,
            "fixed" (row-major) or "solver" (the logical solver's), and the model chooses the values.
        seed: any integer; of no effect at temperature 0.
        device: where to run.
        batch_size: puzzles at a time, at least 1.
        progress: called with the number of puzzles just finished.
        temperature: 0 takes the likeliest; above it cells and values are drawn from
            ``softmax(logits / temperature)``, by random numbers that the seed, the clues and the move fix.
        precision: "fp32" or "bf16" (autocast).

    Returns:
        `Decoded` whose ``step`` is the number of the move, from 0 at the first blank, whose ``prob`` is the
        probability of the value given the cell, and whose ``passes`` are the forward passes a row needs by
        itself: one a move, or three in "triples".

    Raises:
        UserInputError: an option out of range, puzzles of another size, missing ranks, or probabilities that
            are not finite.
    """
    check_options(model, batch, order, batch_size, temperature, precision)
    device, dtype, found = torch.device(device), PRECISIONS[precision], empty_result(batch)
    blanks = batch.blank.sum(1)
    found.passes[:] = blanks * model.language.passes
    by_blanks = queue_of(blanks)
    with evaluated(model, device):
        for start in range(0, len(batch), batch_size):
            rows = by_blanks[start : start + batch_size]
            clues = torch.as_tensor(batch.clues[rows], dtype=torch.int64, device=device)
            rank = torch.as_tensor(batch.rank[rows], dtype=torch.int64, device=device)
            cells = move_order(clues, "fixed" if order == FREE else order, rank)
            known = clues.shape[1] - int(blanks[rows[0]])
            edges = edge_tensor(None if batch.edges is None else batch.edges[rows], device)
            keys = keys_of(batch, rows, clues, edges, seed)
            game = Game(clues, cells, known, order != FREE, temperature, keys, edges)
            with torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                cells, values, prob = play(model, game)
            if not bool(prob.isfinite().all()):
                raise UserInputError(
                    "the model gives nan: expected finite logits, train again or check its file"
                )
            found.cells[rows] = by_cell(values, cells)
            found.step[rows] = by_cell(game.number.clamp(min=-1), cells)
            found.prob[rows] = by_cell(prob, cells)
            if progress is not None:
                progress(len(rows))
    return found


def check_options(
    model: AutoregressiveModel,
    batch: PuzzleBatch,
    order: str,
    batch_size: int,
    temperature: float,
    precision: str,
) -> None:
    """Raises `UserInputError` for an option out of range and puzzles of another size than the model's."""
    if order not in DECODE_ORDERS:
        raise UserInputError(f"order={order!r}: expected one of {', '.join(DECODE_ORDERS)}")
    if batch_size < 1:
        raise UserInputError(f"batch_size={batch_size}: expected at least 1")
    if not 0 <= temperature < np.inf:
        raise UserInputError(f"temperature={temperature}: expected 0 (the likeliest) or a positive number")
    if precision not in PRECISIONS:
        raise UserInputError(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    found, expected = batch.clues.shape[1], model.config.n_cells
    if found != expected:
        raise UserInputError(f"puzzles of {found} cells: expected {expected}, as the model was trained on")


def play(model: AutoregressiveModel, game: Game) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Plays a batch of puzzles to its end, with a model in eval mode.

    Returns:
        In the order of the moves, each ``[batch, moves]``: int64 cells, int64 values from 1, and the float32
        probability of each value given its cell, 1 on givens.
    """
    language, cache, n_moves = model.language, model.new_cache(game.edges), game.clues.shape[1]
    values = game.clues.gather(1, game.cells)
    given, blank = values > 0, game.clues == 0
    symbols = language.encode(game.cells, values.clamp(min=1))
    prob = torch.ones(values.shape, device=values.device)
    if game.known < n_moves:
        logits = model.begin(symbols[:, : game.known], cache, game.edges)
    for move in range(game.known, n_moves):
        for part in range(language.parts):
            is_value = part == language.parts - 1
            choice = game.choose(logits, language.allowed(part, symbols[:, move], blank), move, part)
            if is_value or not game.forced:
                symbols[:, move, part] = torch.where(given[:, move], symbols[:, move, part], choice)
            if is_value:
                chosen = logits.float().softmax(1).gather(1, symbols[:, move, part, None])[:, 0]
                prob[:, move] = torch.where(given[:, move], 1.0, chosen)
            if move + 1 < n_moves or not is_value:
                logits = model.advance(part, symbols[:, move], cache)
        filled, _ = language.decode(symbols[:, move])
        blank.scatter_(1, filled[:, None], False)
    return *language.decode(symbols), prob


def by_cell(of_moves: torch.Tensor, cells: torch.Tensor) -> np.ndarray:
    """``[batch, moves]`` put in the order of the cells, on the CPU."""
    placed: np.ndarray = torch.empty_like(of_moves).scatter_(1, cells, of_moves).cpu().numpy()
    return placed
