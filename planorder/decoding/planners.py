"""Planners rank filled and blank cells together, at every step, and mask whatever falls below a line.

After step i of T the line leaves floor(n (1 - kappa)) of a row's n blanks masked, kappa taken at (i + 1) / T:
the routing of RDM (arXiv:2302.05737) and MGDM (arXiv:2410.14157) and the path planning of P2
(arXiv:2502.03540). They differ in how a filled cell is scored and in which cells below the line are masked.
`remask.route` draws the line, `Line` says where it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from planorder.decoding import picks
from planorder.decoding.adaptive import memory_of
from planorder.decoding.budgets import filled
from planorder.decoding.orders import TINY, margin
from planorder.decoding.random import gumbel
from planorder.decoding.remask import top_cells
from planorder.decoding.view import StepView
from puzzles.base import UserInputError

KAPPAS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "cosine": lambda t: 1 - math.cos(math.pi / 2 * t),
    "sine": lambda t: math.sin(math.pi / 2 * t),
    "geometric": lambda t: 1 - (1 - t) ** 2,
    "log": lambda t: math.log2(1 + t),
    "poly2": lambda t: t**2,
    "poly05": lambda t: t**0.5,
}
"""The fraction that is filled at time t, from 0 at 0 to 1 at 1: "cosine" is RDM's, the others are P2's."""


@dataclass(frozen=True)
class Line:
    """After step i exactly n - floor(n * (1 - kappa((i + 1) / T))) of a row's n blanks are filled.

    `budgets.Schedule` rounds to the nearest count instead.

    Attributes:
        kappa: a name of `KAPPAS`.
    """

    kappa: str = "linear"

    def __post_init__(self) -> None:
        check_kappa(self.kappa)

    def filled_after(self, view: StepView) -> torch.Tensor:
        """int64 ``[batch]``: cells above the line."""
        # The last term keeps whole numbers, which float64 may miss by a bit, on their upper side.
        masked = (view.n_blank_start * masked_after(view, self.kappa) + 1e-9).floor().long()
        return view.n_blank_start - masked

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        return self.filled_after(view) - filled(view)


@dataclass(frozen=True)
class FadingGumbel:
    """score + c * (1 - kappa) * Gumbel(0, 1) with kappa after the step: "stochastic{c}" of RDM and MGDM.

    MaskGIT's ``choice_temperature`` (arXiv:2202.04200) is the linear one.

    `noise.Gumbel` with ``annealed`` takes the fraction before the step, so that it needs no schedule.

    Attributes:
        coefficient: c >= 0.
        kappa: a name of `KAPPAS`.
    """

    coefficient: float
    kappa: str = "linear"

    def __post_init__(self) -> None:
        check_kappa(self.kappa)
        check_weight("noise coefficient", self.coefficient)

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        draw = gumbel(view.uniform("noise"))
        return score + self.coefficient * masked_after(view, self.kappa)[:, None] * draw


@dataclass(frozen=True)
class ConditionalRouting:
    """RDM's "cond" mode: a filled cell below the line is masked only if the model takes its value back.

    That is, if the likeliest value is the one that stands there and its probability is less than when it was
    filled. Blanks above the line are filled as in the "uncond" mode, so that more cells may be filled than
    the line says. The count of a step is (blanks above the line) - (cells reopened), at times negative.

    Attributes:
        line: where the line is.
    """

    line: Line

    def above(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """bool ``[batch, cells]``: cells above the line."""
        return top_cells(score, ~view.clue, self.line.filled_after(view))

    def remask(self, view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """bool ``[batch, cells]``; reads no ``count``."""
        best = view.log_probs.max(-1)
        fell = best.values.exp() < view.committed_prob
        stands = best.indices + 1 == view.tokens
        return ~view.blank & ~view.clue & ~self.above(view, score) & stands & fell

    def budget(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        fills = (view.blank & self.above(view, score)).sum(1)
        return fills - self.remask(view, score, fills).sum(1)


@dataclass(frozen=True)
class PathScore:
    """P2's score (arXiv:2502.03540): q of the value a blank would get, eta * q of the value a cell holds.

    q < 0 is the log-probability of that value, the logarithm of its lead over the likeliest other value, or
    the logarithm of a uniform draw. As q < 0, eta = 0 puts filled cells above all blanks, so that none is
    ever reopened; eta = 1 treats both alike; a larger eta reopens more.

    Departures: the source scores a filled cell by a value drawn anew, not by the one it holds; its margin is
    log p1 - log p2 > 0, of which eta = 0 makes filled cells the lowest of all.

    Attributes:
        q: "log_prob", "margin" or "random".
        eta: >= 0.
        pick: which value a blank would get; that of the strategy.
    """

    q: str = "log_prob"
    eta: float = 1.0
    pick: Callable[[StepView], torch.Tensor] = picks.argmax

    def __post_init__(self) -> None:
        if self.q not in SCORES:
            raise UserInputError(f"score {self.q!r}: expected one of {', '.join(SCORES)}")
        check_weight("eta", self.eta)

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``, below 0 on blanks."""
        value = torch.where(view.blank, self.pick(view), view.tokens) - 1
        q = SCORES[self.q](view, value).clamp(max=-TINY)
        return torch.where(view.blank, q, self.eta * q)


def log_prob(view: StepView, value: torch.Tensor) -> torch.Tensor:
    """float64 ``[batch, cells]``: log p of ``value``, logit indices."""
    return view.log_probs.double().gather(-1, value[..., None])[..., 0]


def log_margin(view: StepView, value: torch.Tensor) -> torch.Tensor:
    """float64 ``[batch, cells]``: log(p of ``value`` - largest other p), floored where there is no lead."""
    return margin(view, value).clamp(min=TINY).log()


def log_uniform(view: StepView, value: torch.Tensor) -> torch.Tensor:
    """float64 ``[batch, cells]``: log u, whatever the ``value``."""
    return view.uniform("order").log()


SCORES: dict[str, Callable[[StepView, torch.Tensor], torch.Tensor]] = {
    "log_prob": log_prob,
    "margin": log_margin,
    "random": log_uniform,
}
"""P2's scores by name."""


def first_draw(view: StepView) -> torch.Tensor:
    """Memory: log p of a value drawn for every cell in the first step, kept (P2+, arXiv:2502.03540).

    The values that are filled in are other draws, so that they do not decide their own order.
    """
    if view.memory is not None:
        return view.memory
    own = replace(view, uniform=lambda stream, *extra: view.uniform("order", *extra))
    return log_prob(view, picks.Sample(1.0)(own) - 1)


def frozen(view: StepView) -> torch.Tensor:
    """float64 ``[batch, cells]``: the score that the strategy's memory has kept, as `first_draw` does."""
    return memory_of(view, "planners.first_draw")


def oracle_margin(view: StepView) -> torch.Tensor:
    """Easiest cell first, as only the solution can tell: score = p(solution) - largest other p.

    Gt-Margin of arXiv:2602.09501, the order that its planner is trained to imitate.

    Raises:
        UserInputError: the puzzles have no solutions.
    """
    if view.solution is None:
        raise UserInputError(
            "oracle_margin: these puzzles have no solutions; solve them first (family.count_solutions), or "
            "drop it"
        )
    return margin(view, (view.solution - 1).clamp(min=0))


def masked_after(view: StepView, kappa: str) -> torch.Tensor:
    """float64 ``[batch]``: 1 - kappa after the step."""
    return masked_table(kappa, view.total_steps, view.tokens.device)[view.step + 1]


@lru_cache(maxsize=64)
def masked_table(kappa: str, steps: int, device: torch.device) -> torch.Tensor:
    """float64 ``[steps + 1]``: the masked fraction before step 0, 1, ..., and 0 at the end."""
    table = [1 - KAPPAS[kappa](i / steps) for i in range(steps)] + [0.0]
    return torch.tensor(table, dtype=torch.float64, device=device)


def check_kappa(kappa: str) -> None:
    """Raises `UserInputError` unless the schedule is known."""
    if kappa not in KAPPAS:
        raise UserInputError(f"schedule {kappa!r}: expected one of {', '.join(KAPPAS)}")


def check_weight(name: str, weight: float) -> None:
    """Raises `UserInputError` unless finite and at least 0."""
    if not (math.isfinite(weight) and weight >= 0):
        raise UserInputError(f"{name}={weight}: expected a finite number, at least 0")
