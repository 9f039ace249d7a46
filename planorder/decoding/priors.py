"""Confidence with something added: positions, what lies around a cell, a second measure, or chance.

``order(view) -> float64 [batch, cells]`` as in `orders`. p is the model's distribution at a cell, p1 its
largest, H its entropy in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from planorder.decoding.fixed_orders import column
from planorder.decoding.orders import TopProb, neg_entropy
from planorder.decoding.remask import top_cells
from planorder.decoding.view import StepView
from puzzles.base import UserInputError


@dataclass(frozen=True)
class PositionPrior:
    """score = exp(-decay i) min(-p1 log q(v), clip), i the cell, v its likeliest value (arXiv:2508.13021).

    PC-Sampler: early positions first, and values that are rare in a background corpus before common ones. The
    paper takes decay 0.25 and clip 10 for text and mathematics, decay 0 for Sudoku. A uniform background
    makes the second factor p1 log V, so decay 0 is p1; a large decay is left to right.

    Attributes:
        decay: lambda >= 0, a position.
        clip: alpha > 0; infinity for none.
        background: q, a probability in (0, 1] for each value; None for uniform.
    """

    decay: float = 0.25
    clip: float = 10.0
    background: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.decay) and self.decay >= 0 and self.clip > 0):
            raise UserInputError(
                f"decay={self.decay}, clip={self.clip}: expected a decay of at least 0 and a clip above 0"
            )
        check_background(self.background)

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``, at least 0.

        Raises:
            UserInputError: a background of another number of values than the model has.
        """
        cells = torch.arange(view.tokens.shape[1], device=view.tokens.device, dtype=torch.float64)
        return (-self.decay * cells).exp() * content(view, self.clip, self.background)


@dataclass(frozen=True)
class LinearPosition:
    """score = (1 - weight) c' + weight (L - i) / L, i the cell of L (arXiv:2508.13021).

    The variant ``linear_position`` of PC-Sampler: c = min(-p1 log q(v), clip) as in `PositionPrior`, c' =
    (c - min c) / max(max c - min c, 1e-9) over the row's allowed blanks. Weight 0 with no clip and
    a uniform background is p1, weight 1 is left to right.

    Departure: the source takes min and max over all cells of a block, filled ones too, and at a batch size
    above 1 those of other rows.

    Attributes:
        weight: lambda in [0, 1].
        clip: alpha > 0; infinity for none.
        background: as for `PositionPrior`.
    """

    weight: float = 0.25
    clip: float = 10.0
    background: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.weight <= 1 and self.clip > 0):
            raise UserInputError(
                f"weight={self.weight}, clip={self.clip}: expected a weight in [0, 1] and a clip above 0"
            )
        check_background(self.background)

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``.

        Raises:
            UserInputError: a background of another number of values than the model has.
        """
        c, n_cells = content(view, self.clip, self.background), view.tokens.shape[1]
        least = c.masked_fill(~view.allowed, torch.inf).amin(1, keepdim=True).nan_to_num(posinf=0.0)
        most = c.masked_fill(~view.allowed, -torch.inf).amax(1, keepdim=True).nan_to_num(neginf=0.0)
        cells = torch.arange(n_cells, device=view.tokens.device, dtype=torch.float64)
        place = (n_cells - cells) / n_cells
        return (1 - self.weight) * (c - least) / (most - least).clamp(min=1e-9) + self.weight * place


def content(view: StepView, clip: float, background: tuple[float, ...] | None) -> torch.Tensor:
    """float64 ``[batch, cells]``: min(-p1 log q(v), clip), the content of PC-Sampler's scores."""
    n_values = view.log_probs.shape[-1]
    background = background or (1 / n_values,) * n_values
    if len(background) != n_values:
        raise UserInputError(
            f"a background of {len(background)} values for {n_values}: expected one probability a value"
        )
    log_p, best = view.log_probs.double().max(-1)
    return (-log_p.exp() * column(background, view.tokens.device).log()[best]).clamp(max=clip)


def check_background(background: tuple[float, ...] | None) -> None:
    """Raises `UserInputError` unless it is None or probabilities."""
    if background is not None and not all(0 < q <= 1 for q in background):
        raise UserInputError(f"background={background}: expected probabilities in (0, 1]")


@dataclass(frozen=True)
class CertaintyPrior:
    """score = p1 d, d the density of filled cells around a cell under a Gaussian (arXiv:2509.23094).

    d_i = sum over cells j of K(i - j) [j filled] / sum of K, K(x) = exp(-x^2 / 2 sigma^2). As in d2Cache, n
    cells left of the first count as filled, n right of the last as filled if the last is. A small sigma fills
    outwards from what is known, a very large one is p1.

    Attributes:
        sigma: standard deviation in cells, > 0; d2Cache's default is 10.
    """

    sigma: float = 10.0

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise UserInputError(f"sigma={self.sigma}: expected a number above 0")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]`` in [0, 1]."""
        filled = (~view.blank).double()
        around = torch.cat([torch.ones_like(filled), filled, filled[:, -1:].expand_as(filled)], dim=1)
        density = around @ gaussian(view.tokens.shape[1], self.sigma, view.tokens.device)
        # A matrix product may round otherwise in another batch size; ties must not depend on that.
        return TopProb()(view) * density.round(decimals=12)


@lru_cache(maxsize=16)
def gaussian(n_cells: int, sigma: float, device: torch.device) -> torch.Tensor:
    """float64 ``[3 cells, cells]``: weights of cells -n .. 2n - 1 on each of the n cells."""
    place = torch.arange(n_cells, device=device, dtype=torch.float64)
    from_ = torch.arange(-n_cells, 2 * n_cells, device=device, dtype=torch.float64)
    whole = torch.arange(-3 * n_cells, 3 * n_cells, device=device, dtype=torch.float64)

    def weight(distance: torch.Tensor) -> torch.Tensor:
        return (-((distance / sigma) ** 2) / 2).exp()

    return weight(from_[:, None] - place) / weight(whole).sum()


@dataclass(frozen=True)
class Curriculum:
    """Easy first: score = p1 - weight H / max H, the maximum over the row's allowed blanks.

    ``curriculum`` of VAST-UVA/dLLM_Reason, weight 0.1; there the maximum runs over the whole batch, so that
    a row depends on its neighbours. Weight 0 is p1.

    Attributes:
        weight: finite, >= 0.
    """

    weight: float = 0.1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise UserInputError(f"weight={self.weight}: expected a finite number, at least 0")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        entropy = -neg_entropy(view)
        largest = entropy.masked_fill(~view.allowed, 0.0).amax(1, keepdim=True).clamp(min=1e-8)
        return TopProb()(view) - self.weight * entropy / largest


@dataclass(frozen=True)
class PooledProb:
    """score = tau log sum over values v of exp(p_v / tau), between p1 and p1 + tau log V (arXiv:2510.05725).

    With the noise ``Gumbel(tau)`` a cell comes first with probability proportional to sum_v exp(p_v / tau):
    a softmax over all pairs of cell and value, the reference policy ``softmax_confidence`` of UPO.

    Attributes:
        tau: > 0; towards 0 it is p1.
    """

    tau: float = 0.05

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise UserInputError(f"tau={self.tau}: expected a number above 0")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        return self.tau * (view.log_probs.double().exp() / self.tau).logsumexp(-1)


@dataclass(frozen=True)
class RandomAmongTop:
    """A random one of the k allowed blanks of largest p1; the others follow by p1 (arXiv:2510.05725, Top-k).

    score = 1 + U for the k, U uniform in (0, 1), and p1 for the others. k = 1 is p1, all cells are random.

    Attributes:
        k: >= 1.
    """

    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UserInputError(f"k={self.k}: expected at least 1 cell to draw from")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        p1 = TopProb()(view)
        among = top_cells(p1, view.allowed, torch.full_like(view.n_blank_start, self.k))
        return torch.where(among, 1 + view.uniform("order"), p1)
