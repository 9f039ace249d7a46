"""Which value: ``pick(view) -> int64 [batch, cells]``, values from 1; only the cells to fill take theirs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from planorder.decoding.view import StepView
from puzzles.base import UserInputError


def argmax(view: StepView) -> torch.Tensor:
    """The likeliest value, the lowest of equals."""
    return view.log_probs.argmax(-1) + 1


@dataclass(frozen=True)
class Sample:
    """A value drawn from p**(1/temperature), normalised (temperature 1: from p itself).

    By inversion in float64 with one uniform a cell; float32 Gumbel-max would cut the tails
    (arXiv:2409.02908).

    Attributes:
        temperature: > 0.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UserInputError(
                f"temperature={self.temperature}: expected a number above 0 (argmax is pick='argmax')"
            )

    def __call__(self, view: StepView) -> torch.Tensor:
        """int64 ``[batch, cells]``."""
        total = (view.log_probs.double() / self.temperature).softmax(-1).cumsum(-1)
        passed = total < view.uniform("pick")[..., None] * total[..., -1:]
        return passed.sum(-1).clamp(max=total.shape[-1] - 1) + 1
