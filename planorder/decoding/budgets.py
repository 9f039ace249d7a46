"""How many now: ``budget(view, score) -> int64 [batch]``, by how many the filled cells are to grow.

It sees the score with its noise. It is net of what is reopened, so it may be negative: the loop fills as many
blanks as the count and the reopened cells are together, at least none and at most all of a row, and whatever
is left in the last of ``view.total_steps`` steps (the ``noise_removal`` of MDLM, arXiv:2406.07524).
alpha is the fraction of the blanks that is filled: i / T after i steps of the kind "linear"; 1 - cos(pi/2 *
i / T) of the kind "cosine", few early and many late (MaskGIT, arXiv:2202.04200).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from planorder.decoding.view import StepView
from puzzles.base import UserInputError

SCHEDULES = ("linear", "cosine")


@dataclass(frozen=True)
class Fixed:
    """k cells a step (rule of LLaDA and others; k = 1 is the usual protocol on puzzles).

    Attributes:
        k: cells a step, >= 1.
    """

    k: int = 1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UserInputError(f"k={self.k}: expected at least 1 cell a step")

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        return torch.full_like(view.n_blank_start, self.k)


@dataclass(frozen=True)
class Schedule:
    """After step i of T exactly round(alpha_i * n) of a row's n blanks are filled, halves up.

    The deterministic count of arXiv:2502.06768 appendix D.1.2, K = #M (alpha_s - alpha_t) / (1 - alpha_t),
    rounded so that errors do not add up. Steps of none occur where T > n; they cost no forward pass.
    """

    kind: str = "linear"

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        alpha = alphas(self.kind, view.total_steps, view.tokens.device)[view.step + 1]
        # The last term puts exact halves, which float64 may miss by a bit, on their upper side.
        target = (view.n_blank_start * alpha + 0.5 + 1e-9).floor().long()
        return (target - filled(view)).clamp(min=0)


@dataclass(frozen=True)
class Remaining:
    """After step i floor((1 - alpha_i) n) of a row's n blanks stay masked, as in MaskGIT (arXiv:2202.04200).

    As there, a step fills at least one cell, and before the last step one stays masked: where one is left, it
    waits for that step, in which the model says the same. `Schedule` rounds to the nearest count and may fill
    none; `planners.Line` has the floor alone.
    """

    kind: str = "cosine"

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        alpha = alphas(self.kind, view.total_steps, view.tokens.device)[view.step + 1]
        # The last term keeps whole numbers, which float64 may miss by a bit, on their upper side.
        stay, n_blank = (view.n_blank_start * (1 - alpha) + 1e-9).floor().long(), view.blank.sum(1)
        return (n_blank - stay.minimum(n_blank - 1).clamp(min=1)).clamp(min=0)


@dataclass(frozen=True)
class Bernoulli:
    """Ancestral sampling: each blank by itself with probability (alpha_s - alpha_t) / (1 - alpha_t).

    Rule of MDLM (arXiv:2406.07524) on a grid of T steps; with `orders.random_order` the cells that the count
    picks are the cells of independent draws. Steps of none cost no forward pass (MDLM's ``ddpm_cache``).
    """

    kind: str = "linear"

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        table = alphas(self.kind, view.total_steps, view.tokens.device)
        now, after = table[view.step], table[view.step + 1]
        chance = ((after - now) / (1 - now))[:, None]
        return ((view.uniform("budget") < chance) & view.blank).sum(1)


@dataclass(frozen=True)
class Threshold:
    """As many as there are blanks with p1 >= tau, at least one (Fast-dLLM, arXiv:2505.22618).

    With the order `orders.TopProb` these are those very cells. It reads p1 itself, not the score, so that it
    means the same under every order and noise.

    Attributes:
        tau: in [0, 1]; 0 is all at once.
    """

    tau: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.tau <= 1:
            raise UserInputError(f"tau={self.tau}: expected a probability in [0, 1]")

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        sure = view.log_probs.double().amax(-1).exp() >= self.tau
        return (sure & view.allowed).sum(1).clamp(min=1)


SCHEDULED = (Fixed, Schedule, Remaining, Bernoulli)
"""Budgets that do not look at the model."""


def filled(view: StepView) -> torch.Tensor:
    """int64 ``[batch]``: cells filled since the start."""
    return view.n_blank_start - view.blank.sum(1)


@lru_cache(maxsize=64)
def alphas(kind: str, steps: int, device: torch.device) -> torch.Tensor:
    """float64 ``[steps + 1]``: the filled fraction before step 0, 1, ..., and 1 at the end."""
    if kind == "linear":
        table = [i / steps for i in range(steps + 1)]
    else:
        table = [1 - math.cos(math.pi / 2 * i / steps) for i in range(steps)] + [1.0]
    return torch.tensor(table, dtype=torch.float64, device=device)


def check_kind(kind: str) -> None:
    """Raises `UserInputError` unless the schedule is known."""
    if kind not in SCHEDULES:
        raise UserInputError(f"schedule {kind!r}: expected one of {', '.join(SCHEDULES)}")
