"""Beam search over orders: several states of a puzzle side by side, the likeliest ones kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from planorder.decoding.denoiser import Denoiser, Model, opened
from planorder.decoding.loop import forward, ignore, view_of
from planorder.decoding.orders import TopMargin
from planorder.decoding.rows import Rows, empty_result, opened_rows, write_rows
from planorder.decoding.view import Decoded, StepView
from planorder.models.forward_process import check_masked
from planorder.tokens import MASK
from puzzles.base import PuzzleBatch, UserInputError

MARGIN = TopMargin()


@torch.inference_mode()
def decode_beam(
    model: Model,
    batch: PuzzleBatch,
    order: Callable[[StepView], torch.Tensor] = MARGIN,
    *,
    width: int = 4,
    branch: int = 4,
    values: int = 1,
    seed: int = 0,
    device: str | torch.device = "cpu",
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
    precision: str = "fp32",
) -> Decoded:
    """One cell a step in each of up to ``width`` states a puzzle; the state of likeliest path wins.

    A state is followed by those in which one of its ``branch`` first blanks by ``order`` holds one of its
    ``values`` likeliest values. Of all successors the ``width`` are kept whose path has the largest sum of
    log p(value filled), the chain rule along that path; of paths to one state the likeliest. With ``values``
    = 1 this searches orders alone (the beam that Info-Gain, arXiv:2602.18176, puts around its rule, here with
    the path's likelihood as its score); with more it may also take back a value, by dropping the state.

    Args:
        model: see `loop.decode`, as for all that is not said here.
        batch: puzzles.
        order: of a strategy; one that looks ahead is not counted for it.
        width: states kept, at least 1.
        branch: blanks tried a state, at least 1.
        values: likeliest values tried a blank, at least 1.
        seed: for orders with chance.
        device: where to run.
        batch_size: puzzles at a time; the model sees ``width`` times as many rows.
        progress: called with the number of puzzles just finished.
        precision: "fp32" or "bf16".

    Returns:
        The winner's path; ``passes`` counts every distinct state that the model saw.

    Raises:
        UserInputError: an option below 1, or logits that are not finite.
    """
    for name, value in (("width", width), ("branch", branch), ("values", values)):
        if value < 1:
            raise UserInputError(f"{name}={value}: expected at least 1")
    check_masked(model)
    found, progress = empty_result(batch), progress or ignore
    with opened(model, device, batch_size, precision) as denoiser:
        beam = Beam(denoiser, order, width, branch, values)
        for rows in opened_rows(batch, seed, denoiser.device, batch_size, progress, width):
            beam.run(rows, found, progress)
    return found


class Beam:
    """The search of one batch: ``width`` rows a puzzle, likeliest first, dead ones with a path of -inf."""

    def __init__(
        self,
        denoiser: Denoiser,
        order: Callable[[StepView], torch.Tensor],
        width: int,
        branch: int,
        values: int,
    ) -> None:
        self.denoiser, self.order = denoiser, order
        self.width, self.branch, self.values = width, branch, values

    def run(self, rows: Rows, found: Decoded, progress: Callable[[int], None]) -> None:
        """Decodes to the end and writes each puzzle's likeliest state into ``found``."""
        path = torch.full((len(rows.tokens) // self.width, self.width), -torch.inf, dtype=torch.float64)
        path[:, 0] = 0.0
        path = path.to(rows.tokens.device)
        step = 0
        while len(rows.tokens):
            alive = path > -torch.inf
            seen = alive.sum(1).int().repeat_interleave(self.width)
            rows = replace(rows, passes=rows.passes + seen, changed=alive.flatten())
            rows, path = self.advance(rows, path, step)
            step += 1
            done = ~(rows.tokens[:: self.width] == MASK).any(1)
            if bool(done.any()):
                first = torch.zeros_like(path, dtype=torch.bool)
                first[:, 0] = done
                progress(write_rows(rows.take(first.flatten()), found))
                rows, path = rows.take(~done.repeat_interleave(self.width)), path[~done]

    def advance(self, rows: Rows, path: torch.Tensor, step: int) -> tuple[Rows, torch.Tensor]:
        """The states after one more cell, and the log-probabilities of their paths ``[puzzles, width]``."""
        log_probs = forward(rows, self.denoiser)
        if not bool(log_probs.isfinite().all()):
            raise UserInputError(f"the model's logits are not finite at step {step}: check the checkpoint")
        cells, filled, log_p = self.moves(rows, log_probs, step)
        total = (path[..., None] + log_p.unflatten(0, path.shape).flatten(2)).flatten(1)
        keys = state_keys(rows.tokens)[:, None, None] + move_keys(cells[..., None], filled)
        total = without_twins(total, keys.unflatten(0, path.shape).flatten(1))
        best = total.sort(dim=1, descending=True, stable=True)
        kept = best.indices[:, : self.width]
        n_moves, n_values = filled[0].numel(), filled.shape[2]
        parent = torch.arange(len(path), device=kept.device)[:, None] * self.width + kept // n_moves
        parent, move = parent.flatten(), (kept % n_moves).flatten()
        cell = cells[parent, move // n_values][:, None]
        value = filled.flatten(1)[parent, move][:, None]
        prob = log_p.flatten(1)[parent, move].exp().float()[:, None]
        rows = replace(rows, log_probs=log_probs).take(parent)
        rows = replace(
            rows,
            tokens=rows.tokens.scatter(1, cell, value),
            prob=rows.prob.scatter(1, cell, prob),
            filled_at=rows.filled_at.scatter(1, cell, torch.full_like(cell, step, dtype=torch.int16)),
        )
        return rows, best.values[:, : self.width]

    def moves(
        self, rows: Rows, log_probs: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """int64 ``[rows, branch]`` cells, their likeliest ``[rows, branch, values]``, and float64 log p.

        log p is -inf for a cell that is no blank, where a row has fewer.
        """

        def evaluate(tokens: torch.Tensor) -> torch.Tensor:
            return self.denoiser.ahead(tokens, rows.edges, log_probs)

        view = view_of(rows, log_probs, step, rows.tokens.shape[1], evaluate)
        score = self.order(view).double().masked_fill(~view.blank, -torch.inf)
        cells = score.sort(dim=1, descending=True, stable=True).indices[:, : self.branch]
        ranked = log_probs.double().sort(dim=-1, descending=True, stable=True)
        index = cells[..., None].expand(-1, -1, min(self.values, log_probs.shape[-1]))
        log_p, value = ranked.values.gather(1, index), ranked.indices.gather(1, index)
        return cells, value + 1, log_p.masked_fill(~view.blank.gather(1, cells)[..., None], -torch.inf)


def without_twins(total: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """``total [puzzles, n]``, -inf where a larger entry (an earlier one of equals) has the same key."""
    order = total.sort(dim=1, descending=True, stable=True).indices
    ranked = keys.gather(1, order)
    twin = (ranked[:, :, None] == ranked[:, None, :]).tril(-1).any(2)
    return total.masked_fill(torch.zeros_like(twin).scatter(1, order, twin), -torch.inf)


def state_keys(tokens: torch.Tensor) -> torch.Tensor:
    """int64 ``[rows]``: the sum of `move_keys` over filled cells, equal for equal states however reached."""
    cells = torch.arange(tokens.shape[1], device=tokens.device)
    return move_keys(cells, tokens).masked_fill(tokens == MASK, 0).sum(1)


def move_keys(cells: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """int64: a mixed-up number for every pair of cell and value (the finaliser of SplitMix64), wrapping."""
    key = (cells * 1009 + values + 1) * -7046029254386353131
    key = (key ^ ((key >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    key = (key ^ ((key >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return key ^ ((key >> 31) & 0x1FFFFFFFF)
