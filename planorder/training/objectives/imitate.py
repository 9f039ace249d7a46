"""Teaching an order head whom to follow: an oracle that knows the solution, or the logical solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from planorder.models.context import logits_of
from planorder.models.order_head import margin_score
from planorder.tokens import MASK
from planorder.training.objectives.masked import left_by_margin, mask_rates
from puzzles.base import UserInputError

TEACHERS = ("margin", "solver")
NEVER = -1e9
"""Score of a cell that is no blank: finite, so that its weight of 0 times it is 0."""


@dataclass(frozen=True)
class ImitationObjective:
    """Listwise loss of an `OrderHead` against a teacher's score of the blanks; the denoiser is frozen.

    Loss: the mean over states of ``KL(softmax(teacher / temperature) || softmax(score))``, both over the
    blanks (ListNet, Cao et al. 2007). Two teachers:

    - "margin", the oracle of Where-to-Unmask (arXiv:2602.09501): p(solution) - largest other p. States show
      true values at a uniform rate a puzzle, in random cells or, for a share ``revealed`` of the puzzles, in
      those of which the denoiser is surest (`masked.left_by_margin`). Departures: the source sorts by PiRank,
      this is a softmax; its planner is a transformer.
    - "solver", minus the logical solver's rank (its order as training order: arXiv:2409.10502). States are
      those of its own solve: a uniform share of the blanks, those of lowest rank, show true values.

    Attributes:
        teacher: "margin" or "solver".
        temperature: of the teacher, > 0; towards 0 all that counts is its first choice.
        revealed: share of puzzles whose masks follow the denoiser's confidence; for "margin".
        stages: forward passes of such a chain.
    """

    teacher: str = "margin"
    temperature: float = 0.1
    revealed: float = 0.5
    stages: int = 3

    def __post_init__(self) -> None:
        if self.teacher not in TEACHERS:
            raise UserInputError(f"teacher={self.teacher!r}: expected one of {', '.join(TEACHERS)}")
        if not self.temperature > 0:
            raise UserInputError(f"temperature={self.temperature}: expected a number above 0")

    def __call__(
        self,
        denoiser: Callable[..., torch.Tensor],
        head: nn.Module,
        clues: torch.Tensor,
        solution: torch.Tensor,
        rank: torch.Tensor,
        generator: torch.Generator,
        edges: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss (mean nats a state) and metrics; with the denoiser bound, an `Objective`.

        Metrics: ``first_right``, the share of states in which the head's first blank gets its right value;
        ``first_right_margin``, in which that of the largest margin does; ``regret``, how far the teacher's
        score of the head's first blank is below its best.
        """
        if self.teacher == "solver":
            tokens = states_of_solver(clues, solution, rank, generator)
        else:
            tokens = states(denoiser, clues, solution, generator, edges, self.revealed, self.stages)
        log_probs, blank = frozen_log_probs(denoiser, tokens, edges), tokens == MASK
        score = head(log_probs, tokens, clues != MASK, edges).float()
        truth = solution_margin(log_probs, solution)
        taught = truth if self.teacher == "margin" else -rank.float()
        loss = listwise(score, taught, blank, self.temperature)
        found = metrics(score.detach(), truth, taught, log_probs, blank)
        return mean_of(loss, blank.any(1)), {
            name: mean_of(value, blank.any(1)) for name, value in found.items()
        }


def listwise(
    score: torch.Tensor, teacher: torch.Tensor, blank: torch.Tensor, temperature: float
) -> torch.Tensor:
    """``[batch]``: KL(softmax(teacher / temperature) || softmax(score)) over the blanks; 0 without any."""
    wanted = (teacher / temperature).masked_fill(~blank, NEVER).log_softmax(-1)
    given = score.masked_fill(~blank, NEVER).log_softmax(-1)
    return (wanted.exp() * (wanted - given)).masked_fill(~blank, 0.0).sum(-1)


def metrics(
    score: torch.Tensor,
    truth: torch.Tensor,
    teacher: torch.Tensor,
    log_probs: torch.Tensor,
    blank: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """``[batch]`` each; see `ImitationObjective`."""
    first = score.masked_fill(~blank, NEVER).argmax(1, keepdim=True)
    surest = margin_score(log_probs).masked_fill(~blank, NEVER).argmax(1, keepdim=True)
    best = teacher.masked_fill(~blank, NEVER).amax(1)
    return {
        "first_right": (truth.gather(1, first)[:, 0] > 0).float(),
        "first_right_margin": (truth.gather(1, surest)[:, 0] > 0).float(),
        "regret": best - teacher.gather(1, first)[:, 0],
    }


def mean_of(value: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """0-d: the mean of ``value [batch]`` over the rows that count; 0 without any."""
    return value.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def states(
    denoiser: Callable[..., torch.Tensor],
    clues: torch.Tensor,
    solution: torch.Tensor,
    generator: torch.Generator,
    edges: torch.Tensor | None,
    revealed: float,
    stages: int,
) -> torch.Tensor:
    """int64 ``[batch, cells]``: the solution with the masks of `masked.MaskedObjective`."""
    rate = mask_rates(len(clues), generator)
    chosen = torch.rand(clues.shape, generator=generator) < rate[:, None]
    rows = torch.rand(len(clues), generator=generator) < revealed
    masked = chosen.to(clues.device) & (clues == MASK)
    if bool(rows.any()):
        rows, rate = rows.to(clues.device), rate.to(clues.device)
        own = None if edges is None else edges[rows]
        masked[rows] = left_by_margin(
            denoiser,  # type: ignore[arg-type]
            clues[rows],
            solution[rows],
            rate[rows],
            stages,
            own,
        )
    return torch.where(masked, MASK, solution)


def states_of_solver(
    clues: torch.Tensor, solution: torch.Tensor, rank: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """int64 ``[batch, cells]``: the first blanks of the solver's order filled, at least one left blank."""
    blanks = (clues == MASK).sum(1)
    rate = mask_rates(len(clues), generator).to(clues.device)
    filled = (blanks * (1 - rate)).floor().long().minimum(blanks - 1)
    return torch.where((clues == MASK) & (rank >= filled[:, None]), MASK, solution)


@torch.no_grad()
def frozen_log_probs(
    denoiser: Callable[..., torch.Tensor], tokens: torch.Tensor, edges: torch.Tensor | None
) -> torch.Tensor:
    """float32 ``[batch, cells, values]``, without a gradient."""
    return logits_of(denoiser, tokens, edges).float().log_softmax(-1)


def solution_margin(log_probs: torch.Tensor, solution: torch.Tensor) -> torch.Tensor:
    """``[batch, cells]`` in [-1, 1]: p(solution) less the largest other p (Gt-Margin, arXiv:2602.09501)."""
    p, index = log_probs.exp(), (solution - 1)[..., None]
    return p.gather(-1, index)[..., 0] - p.scatter(-1, index, 0.0).amax(-1)
