"""The masked diffusion objective over the blanks of a puzzle."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from planorder.models.context import logits_of
from planorder.tokens import MASK
from planorder.training.objectives.self_conditioning import conditioned_logits
from puzzles.base import UserInputError


@dataclass(frozen=True)
class MaskedObjective:
    """Cross-entropy of the masked cells at a uniform mask rate a puzzle; clues are always visible.

    Loss: ``mean over masked cells of -log p(x0 | x_t)``, with rate ``t ~ U(0, 1)`` and every blank masked
    independently with probability ``t``. The continuous-time bound of MDLM (Sahoo et al., arXiv
    2406.07524, eq. 10) weighs each puzzle's sum by ``1/t``, which gives every rate the same weight;
    departure: here every masked *cell* of the batch has the same weight, which has less variance and the
    same minimiser. Rates are antithetic: one uniform offset, then evenly spaced over the batch
    (Kingma et al., arXiv 2107.00630, App. I.1).

    With ``revealed`` above 0 that share of the puzzles shows, instead of random cells, those that the network
    itself is surest of, with their *true* values, in ``stages`` passes from the clues alone: the states that
    a decode by confidence comes through (progressive unmasking, PUMA, arXiv 2602.10314). Departures: the
    chain is run anew for each batch and stops at the batch's rate, so the rates stay uniform; the surest
    are those of largest p1 - p2, there those of largest p1 with a threshold of 0.9. The chain asks a
    self-conditioned network without an estimate; only the pass that is trained may read one.

    Attributes:
        revealed: share of the puzzles of a batch whose masks follow the network's margin.
        stages: forward passes of such a chain.
    """

    revealed: float = 0.0
    stages: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.revealed <= 1:
            raise UserInputError(f"revealed={self.revealed}: expected a share from 0 to 1")
        if self.stages < 1:
            raise UserInputError(f"stages={self.stages}: expected at least 1")

    def __call__(
        self,
        model: nn.Module,
        clues: torch.Tensor,
        solution: torch.Tensor,
        rank: torch.Tensor,
        generator: torch.Generator,
        edges: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss (mean nats a masked cell) and metrics of one batch; ``rank`` plays no part."""
        rate = mask_rates(len(clues), generator)
        chosen = torch.rand(clues.shape, generator=generator) < rate[:, None]
        masked = chosen.to(clues.device) & (clues == MASK)
        if self.revealed:
            rows = torch.rand(len(clues), generator=generator) < self.revealed
        if self.revealed and bool(rows.any()):  # they are on the CPU still
            rows, rate = rows.to(clues.device), rate.to(clues.device)
            own = None if edges is None else edges[rows]
            masked[rows] = left_by_margin(model, clues[rows], solution[rows], rate[rows], self.stages, own)
        logits = conditioned_logits(model, torch.where(masked, MASK, solution), edges, generator)
        target = torch.where(masked, solution - 1, -100).flatten()
        losses = F.cross_entropy(logits.flatten(0, 1), target, ignore_index=-100, reduction="sum")
        count = masked.sum().clamp(min=1)
        right = (logits.argmax(-1) + 1 == solution) & masked
        return losses / count, {"cell_accuracy": right.sum() / count}


def mask_rates(batch: int, generator: torch.Generator) -> torch.Tensor:
    """float32 ``[batch]`` in [0, 1): one uniform offset, then a stratum each, so their mean varies little."""
    offset = torch.rand((), generator=generator)
    return (offset + torch.arange(batch) / batch) % 1


@torch.no_grad()
def left_by_margin(
    model: nn.Module,
    clues: torch.Tensor,
    solution: torch.Tensor,
    rate: torch.Tensor,
    stages: int,
    edges: torch.Tensor | None = None,
) -> torch.Tensor:
    """bool ``[batch, cells]``: the blanks still masked after the surest were shown, a share ``rate`` of them.

    Each stage shows the same share of blanks, those of largest p1 - p2 given what is shown so far; a
    self-conditioned network reads no estimate.
    """
    masked = clues == MASK
    blanks = masked.sum(1)
    for stage in range(1, stages + 1):
        logits = logits_of(model, torch.where(masked, MASK, solution), edges)
        top = logits.softmax(-1).topk(2, dim=-1).values
        margin = top[..., 0] - top[..., 1]
        shown = (blanks * (1 - rate) * stage / stages).round().long() - (blanks - masked.sum(1))
        masked = masked & ~first_cells(margin, masked, shown)
    torch.clear_autocast_cache()  # see `self_conditioning`
    return masked


def first_cells(score: torch.Tensor, allowed: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """bool ``[batch, cells]``: the ``count`` (``[batch]``) allowed cells of highest score; ties: lowest."""
    ranked = score.masked_fill(~allowed, -torch.inf).argsort(dim=1, descending=True, stable=True)
    return allowed & (ranked.argsort(dim=1) < count[:, None])
