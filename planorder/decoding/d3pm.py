"""The sampler of D3PM (Austin et al., arXiv 2107.03006): noise on the blanks, then T reverse steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from planorder.decoding.denoiser import Denoiser, Model, opened
from planorder.decoding.loop import forward, ignore
from planorder.decoding.random import Uniforms
from planorder.decoding.rows import Rows, empty_result, opened_rows, write_rows
from planorder.decoding.view import Decoded
from planorder.models.forward_process import (
    ForwardProcess,
    Tables,
    check_network,
    draw,
    reverse_joint,
    tables,
)
from planorder.tokens import MASK
from puzzles.base import PuzzleBatch, UserInputError

D3PM = "d3pm"
"""What tables call this way to decode, which has no order."""


@torch.inference_mode()
def decode_d3pm(
    model: Model,
    batch: PuzzleBatch,
    process: ForwardProcess,
    *,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
    precision: str = "fp32",
) -> Decoded:
    """Samples the blanks of every puzzle by the reverse process; clues are never touched.

    x_T is drawn from the stationary law of the noise (uniform values, or MASK). A step draws each blank by
    itself from p(x_{t-1} | x_t) (eq. 4; the last one from p(x_0 | x_1)), by inversion in float64 with a
    random number that the seed, the puzzle, the step and the cell fix. Blanks are chosen by chance, not by an
    order: for "absorbing" noise on the reciprocal schedule this is ancestral sampling, the preset
    ``vanilla``.

    Departure: the authors' code for images takes the likeliest value at t = 1; here it is drawn.

    Args:
        model: as `loop.decode` takes it, of the tokens that ``process.shown`` gives; one of ours must be
            ``noisy`` for noise of values. Networks do not see t, so a state that did not change is not run
            again (on a GPU it is run and not counted).
        batch: puzzles.
        process: the noise that the network was trained with.
        steps: reverse steps, at most T, each then over several of the process; None takes T.
        seed: any integer.
        device: where to run; an ``nn.Module`` is moved there to stay, in eval mode during the call.
        batch_size: puzzles at a time, at least 1.
        progress: called with the number of puzzles just finished.
        precision: "fp32" or "bf16" (autocast of the model).

    Returns:
        `Decoded` whose ``step`` is the last step (from 0) that changed the cell, 0 where the noise it began
        with stayed, whose ``prob`` is the network's probability of the value in that step, and whose
        ``reopened`` is 0.

    Raises:
        UserInputError: an option out of range, a network for other noise, logits of a wrong shape or not
            finite.
    """
    check_network(model, process)
    found, progress = empty_result(batch), progress or ignore
    matrices = tables(process, steps, str(torch.device(device)))
    with opened(model, device, batch_size, precision) as denoiser:
        for rows in opened_rows(batch, seed, denoiser.device, batch_size, progress):
            progress(write_rows(sample(rows, process, matrices, denoiser), found))
    return found


def sample(rows: Rows, process: ForwardProcess, matrices: Tables, denoiser: Denoiser) -> Rows:
    """The rows at x_0; on the way their ``tokens`` are what the network reads."""
    steps, sound = len(matrices.step), torch.ones_like(rows.changed)
    x_t = torch.where(rows.clue, rows.tokens, draw(matrices.stationary, uniforms(rows, 0, "d3pm start")))
    rows = replace(rows, tokens=process.shown(x_t, rows.clue))
    for step in range(steps):
        log_probs = forward(rows, denoiser)
        sound = sound & log_probs.flatten(1).isfinite().all(1)
        t = torch.full_like(rows.n_blank_start, steps - step)
        law = reverse_joint(matrices, t, x_t, log_probs.double().exp())
        x = torch.where(rows.clue, x_t, draw(law, uniforms(rows, step, D3PM)))
        moved = x != x_t
        is_new = (moved | (step == 0)) & ~rows.clue & (x != MASK)
        prob = log_probs.gather(-1, (x - 1).clamp(min=0)[..., None])[..., 0].exp()
        goes_on = (x == MASK).any(1) if process.absorbs else torch.ones_like(sound)
        rows = replace(
            rows,
            tokens=process.shown(x, rows.clue),
            prob=torch.where(is_new, prob, rows.prob),
            filled_at=rows.filled_at.masked_fill(is_new, step),
            passes=rows.passes + rows.changed,
            log_probs=log_probs,
            changed=moved.any(1) & goes_on,
        )
        x_t = x
    if not bool(sound.all()):
        raise UserInputError("the model's logits are not finite: expected numbers, check the checkpoint")
    return replace(rows, tokens=x_t)


def uniforms(rows: Rows, step: int, stream: str) -> torch.Tensor:
    """float64 ``[batch, cells]`` in (0, 1), fixed by seed, puzzle, step, stream and cell."""
    return Uniforms(rows.key, torch.full_like(rows.key, step), rows.tokens.shape[1])(stream)


def process_of(info: dict[str, Any]) -> ForwardProcess | None:
    """The noise of values that a network was trained with, by the header of its weights (`LoadedModel.info`).

    None for masks, "absorbing" among them: such networks decode in any order.
    """
    facts = info.get("objective", {}).get("process")
    process = None if facts is None else ForwardProcess(**facts)
    return None if process is None or process.absorbs else process
