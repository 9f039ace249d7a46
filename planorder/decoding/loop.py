"""The one loop over decoding steps: it owns state, counting and guarantees; strategies own the choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from planorder.decoding.budgets import Bernoulli, Remaining, Schedule
from planorder.decoding.denoiser import Denoiser, Model, opened
from planorder.decoding.random import Uniforms
from planorder.decoding.remask import never, top_cells
from planorder.decoding.rows import BAD_LOGITS, BAD_SCORE, SOUND, Rows, empty_result, opened_rows, write_rows
from planorder.decoding.strategies import Strategy, with_options
from planorder.decoding.view import Decoded, StepView
from planorder.models.forward_process import check_masked
from planorder.tokens import MASK
from puzzles.base import PuzzleBatch, UserInputError

LogProbs = Callable[[torch.Tensor, torch.Tensor | None, torch.Tensor | None], torch.Tensor]
"""``log_probs_of(tokens, edges, previous)``: a `Denoiser`."""

CHECK_EVERY = 4
"""Steps between two looks at which rows are done, on a GPU, where a look waits; the CPU looks at each."""


@torch.inference_mode()
def decode(
    model: Model,
    batch: PuzzleBatch,
    strategy: Strategy,
    *,
    seed: int = 0,
    steps: int | None = None,
    device: str | torch.device = "cpu",
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
    precision: str = "fp32",
) -> Decoded:
    """Fills the blanks of every puzzle, step by step, as the strategy says.

    A step: log-probabilities, memory, see, score, noise, budget, pick, remask, fill. Clues are never touched,
    ties go to the lowest cell, and the last of T steps fills what is left. Rows that are done leave the
    batch. A state that did not change is not run again; on a GPU, where finding out would stall the device,
    it is run with its neighbours and not counted. Puzzles are decoded in the order of their blanks, so that
    a batch ends together.

    A row's random numbers come from the seed, its clues, the step and, where puzzles have many solutions, its
    index. Its result depends on nothing else as far as the model's own rows do not (matrix products may round
    otherwise in another batch size).

    Args:
        model: ``model(tokens int64 [b, cells]) -> logits [b, cells, values]``, value v at v - 1; where the
            puzzles have edges of their own, int64 ``[b, edges, 1 + members]``, those come second. An
            ``nn.Module`` is moved to ``device`` to stay, and put in eval mode during the call.
        batch: puzzles; of the answers the loop reads the solver's ranks and the solution, and those only for
            the view, where oracles find them.
        strategy: see `strategies.Strategy`.
        seed: any integer.
        steps: T, as `strategies.with_options` takes it.
        device: where to run.
        batch_size: puzzles at a time, at least 1.
        progress: called with the number of puzzles just finished.
        precision: "fp32" or "bf16" (autocast of the model; the rules always see float32).

    Raises:
        UserInputError: an option out of range, a network that was never shown masks, logits of a wrong shape,
            or logits or scores that are not finite.
    """
    check_masked(model)
    if steps is not None:
        strategy = with_options(strategy, steps=steps)
    found, progress = empty_result(batch), progress or ignore
    with opened(model, device, batch_size, precision) as denoiser:
        for rows in opened_rows(batch, seed, denoiser.device, batch_size, progress):
            run(denoiser, rows, strategy, found, progress)
    return found


def run(
    denoiser: Denoiser, rows: Rows, strategy: Strategy, found: Decoded, progress: Callable[[int], None]
) -> None:
    """Decodes one batch to its end and writes its rows into ``found`` as they finish."""
    total = strategy.steps or rows.tokens.shape[1]
    every = 1 if denoiser.device.type == "cpu" else CHECK_EVERY
    for step in range(total):
        log_probs = forward(rows, denoiser)
        rows = replace(rows, passes=rows.passes + rows.changed)
        rows = advance(rows, log_probs, strategy, step, total, denoiser)
        if (step + 1) % every and step + 1 < total:
            continue
        raise_fault(rows, strategy)
        open_ = (rows.tokens == MASK).any(1)
        if not bool(open_.all()):
            n_done = write_rows(rows.take(~open_), found)
            progress(n_done)
            rows = rows.take(open_)
        if not len(rows.tokens):
            return


def forward(rows: Rows, log_probs_of: LogProbs) -> torch.Tensor:
    """The log-probabilities of all rows, from a forward pass of those whose tokens changed."""
    before = rows.log_probs
    if before is None:
        return log_probs_of(rows.tokens, rows.edges, None)
    if rows.tokens.device.type != "cpu":
        return torch.where(rows.changed[:, None, None], log_probs_of(rows.tokens, rows.edges, before), before)
    if bool(rows.changed.all()):
        return log_probs_of(rows.tokens, rows.edges, before)
    log_probs = before.clone()
    if bool(rows.changed.any()):
        edges = None if rows.edges is None else rows.edges[rows.changed]
        log_probs[rows.changed] = log_probs_of(rows.tokens[rows.changed], edges, before[rows.changed])
    return log_probs


def advance(
    rows: Rows, log_probs: torch.Tensor, strategy: Strategy, step: int, total: int, denoiser: Denoiser
) -> Rows:
    """One reverse step of all rows, from log-probabilities to the next tokens."""
    looks = torch.zeros_like(rows.passes)
    blank = rows.tokens == MASK
    n_blank = blank.sum(1)

    def evaluate(tokens: torch.Tensor) -> torch.Tensor:
        looks.add_(tokens.shape[1:-1].numel() * ((n_blank > 0) & ~is_idle(strategy, view)))
        return denoiser.ahead(tokens, rows.edges, log_probs)

    view = view_of(rows, log_probs, step, total, evaluate)
    view = strategy.remember(view)
    seen = strategy.look(view)
    score = strategy.noise(seen, strategy.order(seen).double())
    allowed = blank & (seen.allowed | ~(seen.allowed & blank).any(1)[:, None])
    if step + 1 == total:
        reopen, n_fill, allowed = torch.zeros_like(blank), n_blank, blank
    else:
        count = strategy.budget(seen, score).minimum(allowed.sum(1))
        reopen = strategy.remask(seen, score, count) & ~blank & ~rows.clue & (n_blank > 0)[:, None]
        n_fill = (count + reopen.sum(1)).clamp(min=0).minimum(allowed.sum(1))
    fill, values = top_cells(score, allowed, n_fill), strategy.pick(seen)
    if strategy.revise:
        held = ~blank & ~rows.clue & ~reopen & (n_blank > 0)[:, None]
        fill = fill | (held & (values != rows.tokens))
    return commit(rows, view, score, fill, reopen, values, looks)


def is_idle(strategy: Strategy, view: StepView) -> torch.Tensor:
    """bool ``[batch]``: rows that a schedule leaves as they are in this step, whatever the score.

    A look ahead is not counted there, as a state that did not change is not: nothing depends on it.
    """
    if not isinstance(strategy.budget, Schedule | Remaining | Bernoulli) or strategy.remask is not never:
        return torch.zeros_like(view.step, dtype=torch.bool)
    nothing = torch.zeros_like(view.log_probs[..., 0], dtype=torch.float64)
    return strategy.budget(view, nothing) == 0


def view_of(
    rows: Rows,
    log_probs: torch.Tensor,
    step: int,
    total: int,
    evaluate: Callable[[torch.Tensor], torch.Tensor],
) -> StepView:
    """What the rules may see of these rows, all blanks allowed."""
    blank, step_of_rows = rows.tokens == MASK, torch.full_like(rows.n_blank_start, step)
    return StepView(
        log_probs=log_probs,
        tokens=rows.tokens,
        clue=rows.clue,
        blank=blank,
        allowed=blank,
        committed_prob=rows.prob,
        previous_log_probs=rows.log_probs,
        step=step_of_rows,
        total_steps=total,
        n_blank_start=rows.n_blank_start,
        rank=rows.rank,
        solution=rows.solution,
        edges=rows.edges,
        memory=rows.memory,
        uniform=Uniforms(rows.key, step_of_rows, rows.tokens.shape[1]),
        evaluate=evaluate,
    )


def commit(
    rows: Rows,
    view: StepView,
    score: torch.Tensor,
    fill: torch.Tensor,
    reopen: torch.Tensor,
    values: torch.Tensor,
    looks: torch.Tensor,
) -> Rows:
    """The rows after filling and reopening, with the account of it."""
    prob = view.log_probs.gather(-1, (values - 1)[..., None])[..., 0].exp()
    bad_logits = ~view.log_probs.flatten(1).isfinite().all(1) * BAD_LOGITS
    bad_score = ~(score.isfinite() | ~view.blank).all(1) * BAD_SCORE
    fault = torch.where(bad_logits > 0, bad_logits, bad_score).to(torch.int8)
    was_open = view.blank.any(1)
    is_new = was_open & (rows.fault == SOUND) & (fault != SOUND)
    tokens = torch.where(fill, values, rows.tokens).masked_fill(reopen, MASK)
    return replace(
        rows,
        tokens=tokens,
        prob=torch.where(fill, prob, rows.prob).masked_fill(reopen, 0.0),
        filled_at=torch.where(fill, view.step[:, None], rows.filled_at).to(torch.int16),
        reopened=rows.reopened + reopen.to(torch.int16),
        passes=rows.passes + looks,
        log_probs=view.log_probs,
        memory=view.memory,
        changed=(fill | reopen).any(1) & (tokens == MASK).any(1),
        fault=torch.where(is_new, fault, rows.fault),
        fault_step=torch.where(is_new, view.step, rows.fault_step),
    )


def raise_fault(rows: Rows, strategy: Strategy) -> None:
    """Raises `UserInputError` where logits or scores were not finite in some step since the last look."""
    if not bool((rows.fault != SOUND).any()):
        return
    step = int(rows.fault_step[rows.fault != SOUND].min())
    first = rows.fault[(rows.fault != SOUND) & (rows.fault_step == step)]
    if bool((first == BAD_LOGITS).any()):
        raise UserInputError(
            f"the model's logits are not finite at step {step}: expected numbers, check the checkpoint"
        )
    raise UserInputError(
        f"strategy {strategy.name!r} scored a blank with inf or nan at step {step}: expected finite scores"
    )


def ignore(n_done: int) -> None:
    """The progress of a call that asked for none."""
