"""Which blank first: ``order(view) -> [batch, cells]``, higher is sooner.

Scores are float64. Only those of blank cells count, except for a remask rule that ranks filled cells too
(`remask.route`). Ties go to the lowest cell. p is the model's distribution at a cell, p1 >= p2 its two
largest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from planorder.decoding.fixed_orders import Dilated, GivenOrder, Halton, right_to_left
from planorder.decoding.view import StepView
from puzzles.base import UserInputError

TINY = 1e-30
"""Floor under a probability or a difference of two before its logarithm, so that scores stay finite."""


def random_order(view: StepView) -> torch.Tensor:
    """Blanks in random order, independent of the model (arXiv:2502.06768, "vanilla"; LLaDA's ``random``)."""
    return view.uniform("order")


def left_to_right(view: StepView) -> torch.Tensor:
    """Lowest cell first, i.e. row by row: score = -index."""
    cells = torch.arange(view.tokens.shape[1], device=view.tokens.device, dtype=torch.float64)
    return (-cells).expand(view.tokens.shape)


def solver_order(view: StepView) -> torch.Tensor:
    """The order in which the logical solver fills the blanks (arXiv:2409.10502): score = -rank.

    Raises:
        UserInputError: the puzzles have no ranks.
    """
    if view.rank is None:
        raise UserInputError(
            "solver_order: these puzzles have no solver ranks; rate them first (family.rate) or drop it"
        )
    return -view.rank.double()


def neg_entropy(view: StepView) -> torch.Tensor:
    """Least entropy first: score = sum of p log p, in nats, at most 0 (arXiv:2505.24857).

    log V - H, published as "critical tokens first" (VAST-UVA/dLLM_Reason), is the same order.
    """
    return -entropy(view.log_probs)


@dataclass(frozen=True)
class TopProb:
    """Surest value first: score = p1 (arXiv:2502.06768 section 4; MaskGIT, arXiv:2202.04200).

    Attributes:
        scale: "prob" for p1 as arXiv:2502.06768 writes it; "log" for log p1, to which MaskGIT, RDM and MGDM
            add their noise. Without noise the two give the same order.
        committed: which value a filled cell is scored by where a remask rule ranks it: "argmax", what the
            model would now put there, as MGDM does (arXiv:2410.14157), or "held", the value that stands
            there.
    """

    scale: str = "prob"
    committed: str = "argmax"

    def __post_init__(self) -> None:
        check_options(self.scale, self.committed)

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]`` in [0, 1], or its logarithm."""
        log_p = view.log_probs.double().gather(-1, candidate(view, self.committed)[..., None])[..., 0]
        return log_p.exp() if self.scale == "prob" else log_p


@dataclass(frozen=True)
class TopMargin:
    """Largest lead of the best value over the next: score = p1 - p2 (arXiv:2502.06768 section 4).

    Attributes:
        scale: "prob" for the difference; "log" for log(p1 - p2): the same order without noise, another one
            with it.
        committed: as for `TopProb`; "held" gives p(held) less the largest other p, in [-1, 1], on the scale
            "log" floored like 0.
    """

    scale: str = "prob"
    committed: str = "argmax"

    def __post_init__(self) -> None:
        check_options(self.scale, self.committed)

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        lead = margin(view, candidate(view, self.committed))
        return lead if self.scale == "prob" else lead.clamp(min=TINY).log()


@dataclass(frozen=True)
class PickedProb:
    """The value that will be picked scores: score = log p(pick), as MaskGIT has it (arXiv:2202.04200).

    Draws are functions of seed, puzzle, step and cell, so the value is the one that the strategy fills in if
    it has the same pick. With `picks.argmax` it is ``TopProb("log")``.

    Attributes:
        pick: the strategy's own; replacing that alone (`strategies.with_options`) leaves this one.
    """

    pick: Callable[[StepView], torch.Tensor]

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``, at most 0."""
        return view.log_probs.double().gather(-1, (self.pick(view) - 1)[..., None])[..., 0]


def entropy(log_probs: torch.Tensor) -> torch.Tensor:
    """float64 ``[...]``: -sum p log p in nats of log-probabilities ``[..., values]``."""
    log_p = log_probs.double()
    return -(log_p.exp() * log_p).sum(-1)


def margin(view: StepView, value: torch.Tensor) -> torch.Tensor:
    """float64 ``[batch, cells]`` in [-1, 1]: p of ``value`` less the largest other p."""
    p, index = view.log_probs.double().exp(), value[..., None]
    return p.gather(-1, index)[..., 0] - p.scatter(-1, index, 0.0).amax(-1)


def candidate(view: StepView, committed: str) -> torch.Tensor:
    """int64 ``[batch, cells]``: logit index of the value by which each cell is scored."""
    best = view.log_probs.argmax(-1)
    return torch.where(view.blank, best, view.tokens - 1) if committed == "held" else best


def check_options(scale: str, committed: str) -> None:
    """Raises `UserInputError` unless both are known."""
    if scale not in ("prob", "log"):
        raise UserInputError(f"scale={scale!r}: expected 'prob' or 'log'")
    if committed not in ("argmax", "held"):
        raise UserInputError(f"committed={committed!r}: expected 'argmax' or 'held'")


MODEL_FREE = (random_order, left_to_right, right_to_left, solver_order)


def is_model_free(order: Callable[[StepView], torch.Tensor]) -> bool:
    """Whether an order does not look at the model; noise on a confidence means nothing to such."""
    return order in MODEL_FREE or isinstance(order, GivenOrder | Halton | Dilated)
