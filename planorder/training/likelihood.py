"""How likely a masked network finds given solutions: a bound by random masks, and exactly along an order.

A network whose probabilities p(x_i | filled cells) come from one joint law gives -log p(solution | clues) in
every order. Others have one likelihood an order, and the bound is the mean of -log p over all orders (App. E
of Kim et al., arXiv 2502.06768), so an order below the bound is one in which the network knows more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from planorder.models.context import edge_tensor, evaluated, logits_of
from planorder.models.forward_process import check_masked
from planorder.tokens import MASK
from planorder.training.objectives.weighted import WeightedObjective
from puzzles.base import PuzzleBatch, UserInputError

COUNTS = WeightedObjective(masks="count")
"""The default estimate, by the number of masks: its weights are bounded, those of rates are not."""
DRAWN = 256
"""Puzzles whose masks are drawn together, so that a result does not depend on the batch size."""

Score = Callable[[torch.Tensor], torch.Tensor]
"""``score(log_probs [batch, cells, values]) -> [batch, cells]``: of a state's cells, higher is sooner."""


def masked_bound(
    model: Callable[..., torch.Tensor],
    batch: PuzzleBatch,
    *,
    repeats: int = 16,
    seed: int = 0,
    objective: WeightedObjective = COUNTS,
    device: str | torch.device = "cpu",
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """float64 ``[puzzles, repeats]``: unbiased estimates of the bound on -log p(solution | clues), in nats.

    Each is ``w * sum over masked cells of -log p(x0 | x_t)`` with weight and masks of the objective. Times
    are stratified over the repeats of a puzzle, whose estimates are therefore not independent.

    Args:
        model: a masked network, as `loop.decode` takes it.
        batch: puzzles; one without blanks has bound 0.
        repeats: forward passes a puzzle.
        seed: of the masks, which depend on nothing else but the place of a puzzle in the batch.
        objective: one of weight "elbo"; of the others there is no bound.
        device: where to run.
        batch_size: states at a time.
        progress: called with the number of states just seen.

    Raises:
        UserInputError: numbers out of range, an objective without a bound, logits that are not finite.
    """
    if repeats < 1 or batch_size < 1:
        raise UserInputError(f"repeats={repeats}, batch_size={batch_size}: expected at least 1")
    if objective.weight != "elbo" or objective.focal_power or objective.focal_scale != 1:
        raise UserInputError(f"weight={objective.weight!r}: expected an objective that is a bound, as mdlm")
    found = [np.zeros((0, repeats))]
    check_masked(model)
    with evaluated(model, device), torch.inference_mode():
        for start in range(0, len(batch), DRAWN):
            rows = batch[start : start + DRAWN]
            key = np.random.SeedSequence((seed % 2**64, start)).generate_state(1)[0]
            generator = torch.Generator().manual_seed(int(key))
            # repeat by repeat: times that are stratified over all rows are so over those of each puzzle
            clues = torch.from_numpy(rows.clues).long().repeat(repeats, 1)
            masked, weight = objective.draw(clues, generator)
            nats = []
            for first in range(0, len(clues), batch_size):
                part = slice(first, first + batch_size)
                nats.append(masked_nats(model, rows, part, masked[part], device))
                if progress:
                    progress(len(nats[-1]))
            found.append((torch.cat(nats) * weight.double()).view(repeats, -1).T.numpy())
    return finite(np.concatenate(found))


def masked_nats(
    model: Callable[..., torch.Tensor],
    rows: PuzzleBatch,
    part: slice,
    masked: torch.Tensor,
    device: str | torch.device,
) -> torch.Tensor:
    """float64 ``[states]``, on the CPU: -log p(x0 | x_t), summed over the masked cells, of some states.

    State i of all is of puzzle i modulo their number; ``part`` says which, ``masked`` what is masked.
    """
    at = np.arange(part.start, part.start + len(masked)) % len(rows)
    solution = torch.from_numpy(rows.solution[at]).to(device, torch.int64)
    masked = masked.to(device)
    edges = None if rows.edges is None else edge_tensor(rows.edges[at], device)
    log_p = logits_of(model, torch.where(masked, MASK, solution), edges).double().log_softmax(-1)
    nats = -log_p.gather(-1, (solution - 1)[..., None])[..., 0]
    return nats.masked_fill(~masked, 0.0).sum(1).cpu()


def chain_rule(
    model: Callable[..., torch.Tensor],
    batch: PuzzleBatch,
    order: np.ndarray | Score,
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """float64 ``[puzzles]``: -log p(solution | clues) in nats, one blank a step, each given those before it.

    It takes a forward pass a blank. Along an order that looks at the state it is the likelihood of the decode
    that fills, with a sampled value, the blank of highest score: the order is a function of the values.

    Args:
        model: as for `masked_bound`; so are ``device`` and ``batch_size``.
        batch: puzzles.
        order: numbers ``[puzzles, cells]``, the lowest blank first, e.g. the solver's ``rank``; or a score of
            the network's log-probabilities, e.g. `objectives.imitate.lead`. Ties go to the lowest cell.
        progress: called with the number of states just seen.

    Raises:
        UserInputError: an order of another shape, a batch size below 1, logits that are not finite.
    """
    if batch_size < 1:
        raise UserInputError(f"batch_size={batch_size}: expected at least 1")
    if isinstance(order, np.ndarray) and order.shape != batch.clues.shape:
        raise UserInputError(
            f"an order of shape {list(order.shape)}: expected a number a cell, {list(batch.clues.shape)}"
        )
    found = [np.zeros(0)]
    by_blanks = np.argsort(-batch.blank.sum(1), kind="stable")
    check_masked(model)
    with evaluated(model, device), torch.inference_mode():
        for first in range(0, len(batch), batch_size):
            at = by_blanks[first : first + batch_size]
            score: torch.Tensor | Score = (
                torch.from_numpy(-order[at].astype(float)).to(device)
                if isinstance(order, np.ndarray)
                else order
            )
            found.append(along(model, batch[at], score, device))
            if progress:
                progress(int(batch.blank[at].sum()))
    nats = np.empty(len(batch))
    nats[by_blanks] = np.concatenate(found)
    return finite(nats)


def along(
    model: Callable[..., torch.Tensor],
    rows: PuzzleBatch,
    order: torch.Tensor | Score,
    device: str | torch.device,
) -> np.ndarray:
    """float64 ``[puzzles]``: `chain_rule` of one batch; an order that is given is higher for sooner."""
    tokens, solution = (torch.from_numpy(x).to(device, torch.int64) for x in (rows.clues, rows.solution))
    edges = edge_tensor(rows.edges, device)
    total = torch.zeros(len(tokens), dtype=torch.float64, device=device)
    for _ in range(int(rows.blank.sum(1).max(initial=0))):
        blank = tokens == MASK
        log_p = logits_of(model, tokens, edges).double().log_softmax(-1)
        score = order if isinstance(order, torch.Tensor) else order(log_p)
        cell = score.masked_fill(~blank, -torch.inf).argmax(1, keepdim=True)
        nats = -log_p.gather(-1, (solution - 1)[..., None])[..., 0].gather(1, cell)[:, 0]
        total += nats.masked_fill(~blank.any(1), 0.0)
        tokens = tokens.scatter(1, cell, solution.gather(1, cell))
    return total.cpu().numpy()


def finite(nats: np.ndarray) -> np.ndarray:
    """The same; `UserInputError` where a network's logits were not finite."""
    if not np.isfinite(nats).all():
        raise UserInputError("the model's logits are not finite: expected numbers, check the checkpoint")
    return nats
