"""Correctors: rules that reopen filled cells by chance.

Time runs from t to s < t in a step; alpha is the fraction that is filled, on the linear schedule
alpha_t = i / T and alpha_s = (i + 1) / T in step i of T. The posterior of ReMDM (arXiv:2503.00307) masks a
filled cell again with probability sigma, and fills a blank with probability

    u = (alpha_s - (1 - sigma) alpha_t) / (1 - alpha_t),

the one that keeps the fraction on its schedule: alpha_t (1 - sigma) + (1 - alpha_t) u = alpha_s. It is a
probability for 0 <= sigma <= sigma_max = min(1, (1 - alpha_s) / alpha_t), on the linear schedule
min(1, (T - i - 1) / i); sigma = 0 is MDLM's ancestral step. `Remasking` is that step for a function sigma.

A row with no blank left is done and leaves the loop, where the sources go on reopening until t = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from planorder.decoding import budgets
from planorder.decoding.orders import TINY
from planorder.decoding.planners import check_weight
from planorder.decoding.random import gumbel
from planorder.decoding.remask import top_cells
from planorder.decoding.view import StepView
from puzzles.base import UserInputError

Table = Callable[[int, torch.device], torch.Tensor]
Sigma = Callable[[StepView, torch.Tensor, torch.Tensor], torch.Tensor]
"""``sigma(view, alpha_t, alpha_s) -> [batch, cells]`` or ``[batch, 1]`` of float64 ``[batch, 1]``; cut at
sigma_max."""


def linear(steps: int, device: torch.device) -> torch.Tensor:
    """float64 ``[steps + 1]``: alpha = i / T."""
    return budgets.alphas("linear", steps, device)


@dataclass(frozen=True)
class Remasking:
    """A step of ReMDM's posterior, by independent draws; its methods are a strategy's budget and remask rule.

    The count is (draws on blanks) - (draws on filled cells), so that the loop fills as many blanks as were
    drawn; with `orders.random_order` the cells are those of independent draws.

    Attributes:
        sigma: see `Sigma`.
        alpha: the fraction filled before step 0, 1, ..., float64 ``[steps + 1]``.
    """

    sigma: Sigma
    alpha: Table = linear

    def chances(self, view: StepView) -> tuple[torch.Tensor, torch.Tensor]:
        """float64, u and sigma, each ``[batch, cells]`` or ``[batch, 1]``."""
        table = self.alpha(view.total_steps, view.tokens.device)
        now, after = table[view.step][:, None], table[view.step + 1][:, None]
        sigma = self.sigma(view, now, after).minimum(largest(view, now, after))
        return (after - (1 - sigma) * now) / (1 - now), sigma

    def remask(self, view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """bool ``[batch, cells]``: the cells drawn; reads neither ``score`` nor ``count``."""
        _, sigma = self.chances(view)
        return (view.uniform("remask") < sigma) & ~view.blank & ~view.clue

    def budget(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        u, _ = self.chances(view)
        fills = ((view.uniform("budget") < u) & view.blank).sum(1)
        return fills - self.remask(view, score, fills).sum(1)


def largest(view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """sigma_max = min(1, (1 - alpha_s) / alpha_t)."""
    return ((1 - after) / now.clamp(min=TINY)).clamp(max=1)


@dataclass(frozen=True)
class Cap:
    """ReMDM-cap: sigma = min(eta, sigma_max).

    Attributes:
        eta: >= 0.
    """

    eta: float = 0.008

    def __post_init__(self) -> None:
        check_weight("eta", self.eta)

    def __call__(self, view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """float64 ``[batch, 1]``."""
        return torch.full_like(now, self.eta)


@dataclass(frozen=True)
class Rescale:
    """ReMDM-rescale: sigma = eta * sigma_max.

    Attributes:
        eta: >= 0.
    """

    eta: float = 0.015

    def __post_init__(self) -> None:
        check_weight("eta", self.eta)

    def __call__(self, view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """float64 ``[batch, 1]``."""
        return self.eta * largest(view, now, after)


def conf(view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """ReMDM-conf: sigma_i = sigma_max * softmax_i(-p_i), p_i with which filled cell i was filled.

    0 on blanks, which therefore open as in MDLM; the fraction filled stays below its schedule, as in the
    source.
    """
    is_filled = ~view.blank & ~view.clue
    weight = (-view.committed_prob.double()).masked_fill(~is_filled, -torch.inf).softmax(-1)
    return largest(view, now, after) * weight.masked_fill(~is_filled, 0.0)


def forward_backward(view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Forward-backward corrector (arXiv:2205.14987): sigma = (alpha_s - alpha_t) / alpha_t."""
    return (after - now) / now.clamp(min=TINY)


def dfm(view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Corrector of discrete flow matching (arXiv:2407.15595): sigma = b (alpha_s - alpha_t) / alpha_t.

    b = a - 1 with a = 10 t^0.25 (1 - t)^0.25 + 1, which makes u = a (alpha_s - alpha_t) / (1 - alpha_t);
    b = 1 is forward-backward.
    """
    return 10 * (now * (1 - now)) ** 0.25 * forward_backward(view, now, after)


@dataclass(frozen=True)
class Loop:
    """ReMDM-loop: alpha rises to alpha_on, stays there while sigma = eta, then rises to 1.

    alpha is linear between 0 at t = 1, alpha_on at t_on and at t_off, and 1 at t = 0; sigma is 0 before and
    after the loop. Inside, u = eta * alpha_on / (1 - alpha_on).

    Departure: a step that crosses t_on or t_off ends on this alpha; the source goes on with the slope it
    began with.

    Attributes:
        eta: sigma of a step in the loop.
        t_on: time at which the loop begins, t_on > t_off.
        t_off: time at which it ends.
        alpha_on: fraction filled in the loop, in (0, 1).
    """

    eta: float = 0.02
    t_on: float = 0.55
    t_off: float = 0.05
    alpha_on: float = 0.9

    def __post_init__(self) -> None:
        check_weight("eta", self.eta)
        if not (0 <= self.t_off < self.t_on <= 1 and 0 < self.alpha_on < 1):
            raise UserInputError(
                f"t_on={self.t_on}, t_off={self.t_off}, alpha_on={self.alpha_on}: expected "
                "0 <= t_off < t_on <= 1 and alpha_on in (0, 1)"
            )

    def alpha(self, steps: int, device: torch.device) -> torch.Tensor:
        """float64 ``[steps + 1]``."""
        return loop_table(self, steps, device)

    def sigma(self, view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """float64 ``[batch, 1]``."""
        return self.eta * ((time(view) <= self.t_on) & (time(view) > self.t_off)).double()


@lru_cache(maxsize=64)
def loop_table(loop: Loop, steps: int, device: torch.device) -> torch.Tensor:
    """float64 ``[steps + 1]``: the fraction filled before each step, see `Loop`."""
    bends, heights = (0, 1 - loop.t_on, 1 - loop.t_off, 1), (0, loop.alpha_on, loop.alpha_on, 1)
    return torch.from_numpy(np.interp(np.arange(steps + 1) / steps, bends, heights)).to(device)


@dataclass(frozen=True)
class Psi:
    """Psi-sampler of masks (arXiv:2602.21185): sigma = (1 - kappa) (1 - alpha_s) until a time, then 0.

    kappa weighs the posterior against forgetting and noising anew: drawing every cell from the model's x_0,
    where a filled cell stays as it is, and masking each with probability 1 - alpha_s. On masks that mixture
    is ReMDM's step with this sigma. The other modes of the source are the sigmas of ReMDM.

    Attributes:
        kappa: in [0, 1]; 1 is the posterior alone.
        until: time t of the last step that mixes.
    """

    kappa: float = 0.99
    until: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.kappa <= 1:
            raise UserInputError(f"kappa={self.kappa}: expected a weight in [0, 1]")

    def __call__(self, view: StepView, now: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """float64 ``[batch, 1]``."""
        return (1 - self.kappa) * (1 - after) * (time(view) >= self.until).double()


def time(view: StepView) -> torch.Tensor:
    """float64 ``[batch, 1]``: t = 1 - i / T, rounded so that a step that ends at a fraction of T is on it."""
    return (1 - view.step[:, None].double() / view.total_steps).round(decimals=9)


@dataclass(frozen=True)
class LowestMargin:
    """Reopens the k filled cells that a Gumbel-top-k draw at temperature tau takes by least log margin.

    Key of a cell: -(log p(held) - log p(likeliest other)) / tau + Gumbel, from the corrector of
    DiscreteDDIM (arXiv:2605.22765), which draws those cells anew given all others.

    Attributes:
        k: cells a step, >= 1.
        tau: > 0; the lower, the greedier.
    """

    k: int = 1
    tau: float = 1.0

    def __post_init__(self) -> None:
        if self.k < 1 or not self.tau > 0:
            raise UserInputError(f"k={self.k}, tau={self.tau}: expected at least 1 cell and tau above 0")

    def __call__(self, view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """bool ``[batch, cells]``; reads neither ``score`` nor ``count``."""
        held = (view.tokens - 1).clamp(min=0)[..., None]
        log_p = view.log_probs.double()
        lead = log_p.gather(-1, held)[..., 0] - log_p.scatter(-1, held, -torch.inf).amax(-1)
        draw = gumbel(view.uniform("remask"))
        is_filled = ~view.blank & ~view.clue
        return top_cells(draw - lead / self.tau, is_filled, torch.full_like(view.n_blank_start, self.k))
