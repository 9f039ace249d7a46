"""Teaching a head the quality of what a denoiser filled in: is the value that stands here the solution's?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from planorder.tokens import MASK
from planorder.training.objectives.imitate import frozen_log_probs, lead, mean_of
from planorder.training.objectives.masked import first_cells, mask_rates
from puzzles.base import UserInputError


@dataclass(frozen=True)
class QualityObjective:
    """Cross-entropy of a head's log-odds against whether filled cells are right; the denoiser is frozen.

    Loss: the mean over filled cells that are no clues, nats. PRISM (arXiv:2510.01384) shows random cells of
    the solution, lets the network fill some blanks and asks of those whether they are right. Departures: the
    denoiser is not trained along with the head; and the states are nearer to those of a decode, where wrong
    values have had consequences: in a share ``revealed`` of the puzzles some of the cells that are filled
    show the solution, at random; the others are filled by the denoiser in up to ``stages`` passes, in the
    order of p1 - p2 + ``jitter`` U, U uniform, with values drawn from p, and all of them are asked about.

    Attributes:
        stages: forward passes of a state at most.
        jitter: >= 0, of the order; without any only sure cells are filled early.
        revealed: in [0, 1], share of the puzzles that begin with some of the solution.
    """

    stages: int = 4
    jitter: float = 0.3
    revealed: float = 0.5

    def __post_init__(self) -> None:
        if self.stages < 1:
            raise UserInputError(f"stages={self.stages}: expected at least 1")
        if not self.jitter >= 0:
            raise UserInputError(f"jitter={self.jitter}: expected at least 0")
        if not 0 <= self.revealed <= 1:
            raise UserInputError(f"revealed={self.revealed}: expected a share in [0, 1]")

    def __call__(
        self,
        denoiser: Callable[..., torch.Tensor],
        head: nn.Module,
        clues: torch.Tensor,
        solution: torch.Tensor,
        rank: torch.Tensor,
        generator: torch.Generator,
        edges: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and metrics; ``rank`` plays no part. With the denoiser bound, an `Objective`.

        Metrics, over states that have a wrong value: ``wrong``, the share of their filled cells that is;
        ``lowest_wrong``, the share of states in which the cell of least quality is.
        """
        tokens = self.states(denoiser, clues, solution, generator, edges)
        filled, right = (tokens != MASK) & (clues == MASK), tokens == solution
        quality = head(frozen_log_probs(denoiser, tokens, edges), tokens, clues != MASK, edges).float()
        missed = F.binary_cross_entropy_with_logits(quality, right.float(), reduction="none")
        loss = missed.masked_fill(~filled, 0.0).sum() / filled.sum().clamp(min=1)
        wrong, has_wrong = filled & ~right, (filled & ~right).any(1)
        lowest = first_cells(-quality.detach(), filled, torch.ones_like(filled.sum(1)))
        return loss, {
            "wrong": mean_of(wrong.sum(1) / filled.sum(1).clamp(min=1), has_wrong),
            "lowest_wrong": mean_of((lowest & wrong).any(1).float(), has_wrong),
        }

    def states(
        self,
        denoiser: Callable[..., torch.Tensor],
        clues: torch.Tensor,
        solution: torch.Tensor,
        generator: torch.Generator,
        edges: torch.Tensor | None,
    ) -> torch.Tensor:
        """int64 ``[batch, cells]``: a state a puzzle, with a uniform share of its blanks filled."""
        device, blanks = clues.device, (clues == MASK).sum(1)
        filled = (blanks * (1 - mask_rates(len(clues), generator)).to(device)).ceil()
        of_solution = torch.rand(len(clues), generator=generator)
        of_solution *= torch.rand(len(clues), generator=generator) < self.revealed
        shown = (filled * of_solution.to(device)).floor()
        chance = torch.rand(clues.shape, generator=generator).to(device)
        tokens = torch.where(first_cells(chance, clues == MASK, shown), solution, clues)
        stages = int(torch.randint(1, self.stages + 1, (), generator=generator))
        for stage in range(1, stages + 1):
            log_probs, blank = frozen_log_probs(denoiser, tokens, edges), tokens == MASK
            uniform = torch.rand((2, *log_probs.shape), generator=generator, dtype=torch.float64).to(device)
            values = (log_probs - (-uniform[0].clamp(min=1e-300).log()).log()).argmax(-1) + 1
            score = lead(log_probs) + self.jitter * uniform[1, ..., 0]
            wanted = (shown + (filled - shown) * stage / stages).round() - (blanks - blank.sum(1))
            tokens = torch.where(first_cells(score, blank, wanted), values, tokens)
        return tokens
