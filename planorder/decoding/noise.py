"""How surely: ``noise(view, score) -> score`` blurs the order; float64 ``[batch, cells]`` in and out.

Published samplers differ in what the noise is added to. MaskGIT, RDM and MGDM add it to log p;
arXiv:2502.06768 adds "Gumbel noise with a coefficient of 0.5" to its oracle, which it writes as a
probability (top-prob) or a difference of two (margin). Probabilities of good models crowd near 1, logarithms
reach far below 0: the same coefficient blurs the first far more. Both are one option apart:
``TopProb(scale="log")``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from planorder.decoding.random import gumbel
from planorder.decoding.view import StepView
from puzzles.base import UserInputError


def no_noise(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """The score as it is."""
    return score


@dataclass(frozen=True)
class Gumbel:
    """score + c * Gumbel(0, 1): samples an order where c = 0 would sort one.

    Attributes:
        coefficient: c >= 0.
        annealed: multiply c by the fraction of blanks still masked, so that late steps are sure
            ("stochastic0.5-linear" of RDM, arXiv:2302.05737, and MGDM, arXiv:2410.14157). They take the
            fraction after the step, this takes the one before it, so that it needs no schedule.
    """

    coefficient: float
    annealed: bool = False

    def __post_init__(self) -> None:
        check_coefficient(self.coefficient)

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        draw = gumbel(view.uniform("noise"))
        return score + size(view, self.coefficient, self.annealed) * draw


@dataclass(frozen=True)
class Gaussian:
    """score + c * Normal(0, 1): the epsilon that the text of arXiv:2502.06768 adds to its oracle.

    Attributes:
        coefficient: standard deviation, >= 0.
        annealed: as for `Gumbel`.
    """

    coefficient: float
    annealed: bool = False

    def __post_init__(self) -> None:
        check_coefficient(self.coefficient)

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        return score + size(view, self.coefficient, self.annealed) * torch.special.ndtri(
            view.uniform("noise")
        )


def size(view: StepView, coefficient: float, annealed: bool) -> torch.Tensor | float:
    """The coefficient of this step: a number, or ``[batch, 1]`` where annealed."""
    if not annealed:
        return coefficient
    return coefficient * (view.blank.sum(1).double() / view.n_blank_start.clamp(min=1))[:, None]


def check_coefficient(coefficient: float) -> None:
    """Raises `UserInputError` unless finite and at least 0."""
    if not (math.isfinite(coefficient) and coefficient >= 0):
        raise UserInputError(f"noise coefficient {coefficient}: expected a finite number, at least 0")


KINDS: dict[str, type[Gumbel] | type[Gaussian]] = {"gumbel": Gumbel, "gaussian": Gaussian}


def parse_noise(text: str | float) -> Gumbel | Gaussian | None:
    """Noise as the command line writes it; None for "none".

    Args:
        text: "none", "gumbel:0.5", "gaussian:0.1", either with ":annealed" behind it, or a bare number
            (Gumbel).

    Raises:
        UserInputError: anything else.
    """
    if text == "none":
        return None
    kind, _, rest = str(text).partition(":") if ":" in str(text) else ("gumbel", "", str(text))
    amount, _, tail = rest.partition(":")
    try:
        if kind not in KINDS or tail not in ("", "annealed"):
            raise ValueError
        return KINDS[kind](float(amount), annealed=tail == "annealed")
    except UserInputError:
        raise
    except ValueError:
        raise UserInputError(
            f"noise {text!r}: expected none, gumbel:0.5, gaussian:0.1, gumbel:0.5:annealed or a number"
        ) from None
