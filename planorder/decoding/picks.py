"""Which value: ``pick(view) -> int64 [batch, cells]``, values from 1; only the cells to fill take theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Nucleus:
    """A value drawn from the fewest likeliest ones whose mass reaches p (arXiv:1904.09751), normalised.

    A value is kept where those before it, likeliest first, hold less than p; the ``topp`` sampler of MD4
    (arXiv:2406.04329) with p = 0.98. p = 1 is `Sample` itself, a tiny p is `argmax`.

    Attributes:
        p: in (0, 1].
        temperature: as for `Sample`, applied before the cut.
    """

    p: float = 0.98
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise UserInputError(f"p={self.p}: expected a probability in (0, 1]")
        Sample(self.temperature)

    def __call__(self, view: StepView) -> torch.Tensor:
        """int64 ``[batch, cells]``."""
        log_p = (view.log_probs.double() / self.temperature).log_softmax(-1)
        falling, value = log_p.sort(dim=-1, descending=True, stable=True)
        before = falling.exp().cumsum(-1) - falling.exp()
        is_cut = torch.empty_like(value, dtype=torch.bool).scatter_(-1, value, before >= self.p)
        return Sample()(replace(view, log_probs=log_p.masked_fill(is_cut, -torch.inf)))
