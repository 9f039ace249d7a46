"""The masked diffusion objective over the blanks of a puzzle."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from planorder.tokens import MASK


@dataclass(frozen=True)
class MaskedObjective:
    """Cross-entropy of the masked cells at a uniform mask rate a puzzle; clues are always visible.

    Loss: ``mean over masked cells of -log p(x0 | x_t)``, with rate ``t ~ U(0, 1)`` and every blank masked
    independently with probability ``t``. The continuous-time bound of MDLM (Sahoo et al., arXiv
    2406.07524, eq. 10) weighs each puzzle's sum by ``1/t``, which gives every rate the same weight;
    departure: here every masked *cell* of the batch has the same weight, which has far less variance and
    the same minimiser. Rates are antithetic: one uniform offset, then evenly spaced over the batch
    (Kingma et al., arXiv 2107.00630, App. I.1).
    """

    name: str = "masked"

    def __call__(
        self,
        model: nn.Module,
        clues: torch.Tensor,
        solution: torch.Tensor,
        rank: torch.Tensor,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss (mean nats a masked cell) and metrics of one batch; ``rank`` plays no part."""
        rate = mask_rates(len(clues), generator)
        chosen = torch.rand(clues.shape, generator=generator) < rate[:, None]
        masked = chosen.to(clues.device) & (clues == MASK)
        logits = model(torch.where(masked, MASK, solution))
        target = torch.where(masked, solution - 1, -100).flatten()
        losses = F.cross_entropy(logits.flatten(0, 1), target, ignore_index=-100, reduction="sum")
        count = masked.sum().clamp(min=1)
        right = (logits.argmax(-1) + 1 == solution) & masked
        return losses / count, {"cell_accuracy": right.sum() / count}


def mask_rates(batch: int, generator: torch.Generator) -> torch.Tensor:
    """float32 ``[batch]`` in [0, 1): one uniform offset, then a stratum each, so their mean varies little."""
    offset = torch.rand((), generator=generator)
    return (offset + torch.arange(batch) / batch) % 1
