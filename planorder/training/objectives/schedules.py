"""Noise schedules in closed form, and the times that a batch is noised at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from planorder.training.objectives.masked import mask_rates
from puzzles.base import UserInputError

KINDS = ("linear", "polynomial", "cosine")


@dataclass(frozen=True)
class Schedule:
    """alpha(t), the chance that a blank is shown at time t: 1 at t = 0, 0 at t = 1, strictly falling.

    - "linear": ``alpha = 1 - t``, the log-linear noise of MDLM (Sahoo et al., arXiv 2406.07524);
    - "polynomial": ``alpha = 1 - t ** exponent`` (MD4's ``poly``, Shi et al., arXiv 2406.04329);
    - "cosine": ``alpha = 1 - cos(pi / 2 * (1 - t))`` (MD4, and the steps of MaskGIT, arXiv 2202.04200).

    Departure: no epsilon at the ends (MD4 mixes in 1e-4; MDLM's alpha is 1 - (1 - 1e-3) t), so nothing is
    left over for a reconstruction and a prior term; `times` never gives 0. All methods take and give floats
    of any shape.

    Attributes:
        kind: "linear", "polynomial" or "cosine".
        exponent: of "polynomial", > 0; 1 elsewhere.
    """

    kind: str = "linear"
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserInputError(f"schedule {self.kind!r}: expected one of {', '.join(KINDS)}")
        if not self.exponent > 0 or (self.kind != "polynomial" and self.exponent != 1):
            raise UserInputError(
                f"exponent={self.exponent} of schedule {self.kind!r}: expected a number above 0, "
                "and 1 unless it is polynomial"
            )

    def masked(self, t: torch.Tensor) -> torch.Tensor:
        """1 - alpha(t), the chance that a blank is masked; in this form exact near t = 0."""
        if self.kind == "cosine":
            return torch.sin(math.pi / 2 * t)
        return t**self.exponent

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        """The chance that a blank is shown."""
        return 1 - self.masked(t)

    def slope(self, t: torch.Tensor) -> torch.Tensor:
        """alpha'(t), which is at most 0."""
        if self.kind == "cosine":
            return -math.pi / 2 * torch.cos(math.pi / 2 * t)
        return -self.exponent * t ** (self.exponent - 1)

    def hazard(self, t: torch.Tensor) -> torch.Tensor:
        """-alpha'(t) / (1 - alpha(t)) for t > 0: the rate at which a masked blank opens in reverse time."""
        if self.kind == "cosine":
            return math.pi / 2 / torch.tan(math.pi / 2 * t)
        return self.exponent / t

    def opening(self, t: torch.Tensor, dt: float) -> torch.Tensor:
        """(alpha(s) - alpha(t)) / (1 - alpha(t)) at s = t - dt: the chance that a masked blank opens by s."""
        return 1 - self.masked((t - dt).clamp(min=0)) / self.masked(t)


def times(batch: int, generator: torch.Generator, *, stratified: bool = True) -> torch.Tensor:
    """float32 ``[batch]`` in (0, 1], each uniform.

    Stratified: one uniform offset, then a stratum each (`masked.mask_rates`; the antithetic or low-
    discrepancy sampler of Kingma et al., arXiv 2107.00630, App. I.1, as in MDLM and MD4); else independent.
    """
    drawn = mask_rates(batch, generator) if stratified else torch.rand(batch, generator=generator)
    return 1 - drawn
