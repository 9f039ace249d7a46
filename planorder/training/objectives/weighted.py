"""Masked diffusion objectives that differ in how much is masked and in what a masked cell weighs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from planorder.tokens import MASK
from planorder.training.objectives.schedules import Schedule, times
from planorder.training.objectives.self_conditioning import conditioned_logits
from puzzles.base import UserInputError

MASKS = ("rate", "count")
WEIGHTS = ("elbo", "reciprocal", "linear", "remaining", "none")
MEANS = ("blank", "masked")


@dataclass(frozen=True)
class WeightedObjective:
    """``sum over masked cells of w * focus(nats) / N``, nats = -log p(x0 | x_t); clues are always visible.

    How much is masked, by a time t ~ U(0, 1] a puzzle (`schedules.times`), of its L blanks:

    - masks "rate": each by itself, with probability 1 - alpha(t); with ``time_steps`` T > 0 time is i / T,
      i ~ U{1..T}; with ``eps`` it is eps + (1 - eps) t;
    - masks "count": n ~ U{1..L} of them, a uniform subset (any-order autoregression, arXiv 2110.02037).

    What a puzzle's masked cells weigh, w:

    - "elbo": the weight of the negative ELBO, so that w * nats is an unbiased estimate of one bound on
      -log p(solution | clues), the same for every schedule and for both kinds of masks:
      -alpha'(t) / (1 - alpha(t)) in continuous time (MDLM, arXiv 2406.07524, eq. 10; MD4, arXiv 2406.04329),
      T (alpha(s) - alpha(t)) / (1 - alpha(t)) at s = t - 1/T in T steps (a looser bound), L / n for counts;
    - "reciprocal" 1 / i, "linear" 1 - (i - 1) / T, "remaining" T - (i - 1): the reweightings of RDM
      (arXiv 2302.05737) and MGDM (arXiv 2410.14157), whose time step t counts from 0, so that i = t + 1;
    - "none": 1.

    ``focus(nats) = focal_scale * (1 - exp(-nats)) ** focal_power * nats``: MGDM's weight of hard cells, whose
    alpha and gamma these are; its gradient goes through the weight, as in the source. ``label_smoothing`` e
    makes the sum ``(1 - e) * sum + e * sum of -mean over values of log p``, the latter without w (RDM).

    The parameterisation is SUBS (MDLM, section 3.2.3) by construction: networks have no logit for MASK,
    filled cells are carried over and cost nothing. Networks see no time. Departure: sources take L as the
    length of a padded sequence; here it is the number of blanks of each puzzle.

    Attributes:
        weight: one of `WEIGHTS`.
        masks: "rate" or "count".
        noise: alpha(t); plays no part for counts.
        time_steps: T; 0 for continuous time.
        eps: least time, in [0, 1), of continuous time.
        per: what N counts over the batch: "blank" cells or "masked" ones.
        focal_scale: > 0.
        focal_power: 0, or at least 1, below which gradients have no bound.
        label_smoothing: share in [0, 1).
        stratified: whether times are spread over the batch or independent.
    """

    weight: str = "elbo"
    masks: str = "rate"
    noise: Schedule = field(default_factory=Schedule)
    time_steps: int = 0
    eps: float = 0.0
    per: str = "blank"
    focal_scale: float = 1.0
    focal_power: float = 0.0
    label_smoothing: float = 0.0
    stratified: bool = True

    def __post_init__(self) -> None:
        for name, known in (("weight", WEIGHTS), ("masks", MASKS), ("per", MEANS)):
            if getattr(self, name) not in known:
                raise UserInputError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(known)}")
        for name in ("eps", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise UserInputError(f"{name}={getattr(self, name)}: expected a number in [0, 1)")
        if self.time_steps < 0:
            raise UserInputError(f"time_steps={self.time_steps}: expected T > 0, or 0 for continuous time")
        if not self.time_steps and self.weight in ("reciprocal", "linear", "remaining"):
            raise UserInputError(f"weight={self.weight!r} is of T time steps: expected time_steps > 0")
        if self.eps and (self.time_steps or self.masks == "count"):
            raise UserInputError(f"eps={self.eps}: expected 0 but for rates in continuous time")
        if self.masks == "count" and self.time_steps:
            raise UserInputError(
                f"time_steps={self.time_steps} with masks='count', which have no time: expected 0"
            )
        if not self.focal_scale > 0 or (self.focal_power != 0 and not self.focal_power >= 1):
            raise UserInputError(
                f"focal_scale={self.focal_scale}, focal_power={self.focal_power}: expected a scale above 0 "
                "and a power of 0 or at least 1"
            )

    def __call__(
        self,
        model: Callable[..., torch.Tensor],
        clues: torch.Tensor,
        solution: torch.Tensor,
        rank: torch.Tensor,
        generator: torch.Generator,
        edges: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and metrics of one batch (`objectives.Objective`); ``rank`` plays no part."""
        masked, weight = self.draw(clues, generator)
        logits = conditioned_logits(model, torch.where(masked, MASK, solution), edges, generator)
        loss = self.loss(logits, solution, clues, masked, weight)
        right = (logits.argmax(-1) + 1 == solution) & masked
        return loss, {"cell_accuracy": right.sum() / masked.sum().clamp(min=1)}

    def draw(self, clues: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """bool ``[batch, cells]``, what is masked, and float32 ``[batch]``, what its cells weigh.

        Args:
            clues: int64 ``[batch, cells]``; 0 is blank.
            generator: on the CPU, so that a draw does not depend on the device.
        """
        blank = clues == MASK
        t = times(len(clues), generator, stratified=self.stratified).to(clues.device)
        drawn = torch.rand(clues.shape, generator=generator).to(clues.device)
        level, weight = self.level(t, blank.sum(1))
        if self.masks == "count":
            drawn = drawn.masked_fill(~blank, 2.0).argsort(1).argsort(1).float()
        return blank & (drawn < level[:, None]), weight

    def level(self, t: torch.Tensor, blanks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The chance that a blank is masked, or the number that are, and their weight, of puzzles at times.

        Args:
            t: floats ``[batch]`` in (0, 1], uniform.
            blanks: int64 ``[batch]``, L.

        Returns:
            Two tensors like t.
        """
        one = torch.ones_like(t)
        if self.masks == "count":
            n = (t * blanks).ceil().clamp(min=1)
            return n, blanks / n if self.weight == "elbo" else one
        if not self.time_steps:
            t = self.eps + (1 - self.eps) * t
            return self.noise.masked(t), self.noise.hazard(t) if self.weight == "elbo" else one
        i = (t * self.time_steps).ceil().clamp(min=1)
        t = i / self.time_steps
        weight = {
            "elbo": self.time_steps * self.noise.opening(t, 1 / self.time_steps),
            "reciprocal": 1 / i,
            "linear": 1 - (i - 1) / self.time_steps,
            "remaining": self.time_steps - (i - 1),
            "none": one,
        }[self.weight]
        return self.noise.masked(t), weight

    def loss(
        self,
        logits: torch.Tensor,
        solution: torch.Tensor,
        clues: torch.Tensor,
        masked: torch.Tensor,
        weight: torch.Tensor,
    ) -> torch.Tensor:
        """0-d: the loss of masks that are given.

        Args:
            logits: ``[batch, cells, values]``.
            solution: int64 ``[batch, cells]``; values from 1.
            clues: int64 ``[batch, cells]``.
            masked: bool ``[batch, cells]``.
            weight: ``[batch]``.
        """
        log_p = logits.log_softmax(-1)
        nats = -log_p.gather(-1, (solution - 1)[..., None])[..., 0].masked_fill(~masked, 0.0)
        if self.focal_power:
            nats = nats * (-torch.expm1(-nats)) ** self.focal_power
        total = self.focal_scale * (weight[:, None] * nats).sum()
        if self.label_smoothing:
            flat = -log_p.mean(-1).masked_fill(~masked, 0.0).sum()
            total = (1 - self.label_smoothing) * total + self.label_smoothing * flat
        count = (clues == MASK).sum() if self.per == "blank" else masked.sum()
        return total / count.clamp(min=1)
