"""Teaching an order head whom to follow: an oracle that knows the solution, or the logical solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from planorder.models.context import logits_of
from planorder.models.order_head import margin_score
from planorder.tokens import MASK
from planorder.training.objectives.masked import left_by_margin, mask_rates
from puzzles.base import UserInputError

TEACHERS = ("margin", "right", "solver")
NEVER = -1e9
"""Score of a cell that is no blank: finite, so that its weight of 0 times it is 0."""


@dataclass(frozen=True)
class ImitationObjective:
    """Listwise loss of an `OrderHead` against a teacher's score of the blanks; the denoiser is frozen.

    Loss: the mean over states of ``KL(softmax(teacher / temperature) || softmax(score))``, both over the
    blanks (ListNet, Cao et al. 2007). Three teachers:

    - "margin", the oracle of Where-to-Unmask (arXiv:2602.09501): p(solution) - largest other p. Departures:
      the source sorts by PiRank, this is a softmax; its planner is a transformer.
    - "right": whether that margin is above 0, so that the blank would get its right value. The loss is
      ``-log sum over right blanks of softmax(score)``, which asks for no order among them, so that the order
      by margin, with which a head begins, stays where it makes no mistake.
    - "solver", minus the logical solver's rank (its order as training order: arXiv:2409.10502).

    States show true values. For the first two a share ``stuck`` of the puzzles is in states of a solve in
    which no blank is sure (`stuck_states`: there an order can go wrong), a share ``revealed`` shows, at a
    uniform rate, the cells of which the denoiser is surest (`masked.left_by_margin`), and the others show
    random cells. For "solver" they are those of its own solve: a uniform share of the blanks is shown, those
    of lowest rank.

    Attributes:
        teacher: "margin", "right" or "solver".
        temperature: of the teacher, > 0; towards 0 all that counts is its first choice. "right" has none.
        stuck: share of the puzzles in states without a sure blank.
        revealed: share of the puzzles whose masks follow the denoiser's confidence.
        stages: forward passes of such a chain.
        sure: margin p1 - p2 from which a blank is sure.
        guesses: of a solve's states without a sure blank one of the first so many.
    """

    teacher: str = "margin"
    temperature: float = 0.2
    stuck: float = 0.5
    revealed: float = 0.25
    stages: int = 3
    sure: float = 0.999
    guesses: int = 4

    def __post_init__(self) -> None:
        if self.teacher not in TEACHERS:
            raise UserInputError(f"teacher={self.teacher!r}: expected one of {', '.join(TEACHERS)}")
        if not self.temperature > 0:
            raise UserInputError(f"temperature={self.temperature}: expected a number above 0")
        if min(self.stuck, self.revealed) < 0 or self.stuck + self.revealed > 1:
            raise UserInputError(
                f"stuck={self.stuck}, revealed={self.revealed}: expected shares of together at most 1"
            )
        for name in ("stages", "guesses"):
            if getattr(self, name) < 1:
                raise UserInputError(f"{name}={getattr(self, name)}: expected at least 1")

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
            tokens = self.states(denoiser, clues, solution, generator, edges)
        log_probs, blank = frozen_log_probs(denoiser, tokens, edges), tokens == MASK
        score = head(log_probs, tokens, clues != MASK, edges).float()
        truth = solution_margin(log_probs, solution)
        taught = -rank.float() if self.teacher == "solver" else truth
        if self.teacher == "right":
            loss = missed(score, truth > 0, blank)
        else:
            loss = listwise(score, taught, blank, self.temperature)
        found = metrics(score.detach(), truth, taught, log_probs, blank)
        return mean_of(loss, blank.any(1)), {
            name: mean_of(value, blank.any(1)) for name, value in found.items()
        }

    def states(
        self,
        denoiser: Callable[..., torch.Tensor],
        clues: torch.Tensor,
        solution: torch.Tensor,
        generator: torch.Generator,
        edges: torch.Tensor | None,
    ) -> torch.Tensor:
        """int64 ``[batch, cells]``: a state a puzzle, of one of the three kinds; some have no blank."""
        rate, kind = mask_rates(len(clues), generator), torch.rand(len(clues), generator=generator)
        chosen = torch.rand(clues.shape, generator=generator) < rate[:, None]
        wait = torch.randint(self.guesses, (len(clues),), generator=generator).to(clues.device)
        tokens = torch.where(chosen.to(clues.device) & (clues == MASK), MASK, solution)
        rows = (kind < self.stuck).nonzero()[:, 0].to(clues.device)
        own = None if edges is None else edges[rows]
        tokens[rows] = stuck_states(denoiser, clues[rows], solution[rows], wait[rows], self.sure, own)
        rows = ((kind >= self.stuck) & (kind < self.stuck + self.revealed)).nonzero()[:, 0].to(clues.device)
        if len(rows):
            own, model = None if edges is None else edges[rows], cast(nn.Module, denoiser)
            shares = rate.to(clues.device)[rows]
            left = left_by_margin(model, clues[rows], solution[rows], shares, self.stages, own)
            tokens[rows] = torch.where(left, MASK, solution[rows])
        return tokens


def listwise(
    score: torch.Tensor, teacher: torch.Tensor, blank: torch.Tensor, temperature: float
) -> torch.Tensor:
    """``[batch]``: KL(softmax(teacher / temperature) || softmax(score)) over the blanks; 0 without any."""
    wanted = (teacher / temperature).masked_fill(~blank, NEVER).log_softmax(-1)
    given = score.masked_fill(~blank, NEVER).log_softmax(-1)
    return (wanted.exp() * (wanted - given)).masked_fill(~blank, 0.0).sum(-1)


def missed(score: torch.Tensor, right: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
    """``[batch]``: -log of the chance that a draw from softmax(score) is a right blank; 0 without any."""
    given = score.masked_fill(~blank, NEVER).log_softmax(-1)
    right = right & blank
    lost = -given.masked_fill(~right, NEVER).logsumexp(-1)
    return lost.masked_fill(~right.any(1), 0.0)


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


@torch.no_grad()
def stuck_states(
    denoiser: Callable[..., torch.Tensor],
    clues: torch.Tensor,
    solution: torch.Tensor,
    wait: torch.Tensor,
    sure: float,
    edges: torch.Tensor | None = None,
) -> torch.Tensor:
    """int64 ``[batch, cells]``: states in which no blank has a margin of ``sure``.

    All sure blanks are shown at once, with true values; where there is none, the surest. Of the states
    without a sure blank the one after ``wait`` (int64 ``[batch]``) others, else the last; the solution
    where there was none.
    """
    tokens, kept, wait = clues.clone(), solution.clone(), wait.clone()
    rows = torch.arange(len(clues), device=clues.device)
    while len(rows := rows[(tokens[rows] == MASK).any(1) & (wait[rows] >= 0)]):
        state, own = tokens[rows], None if edges is None else edges[rows]
        margin = lead(frozen_log_probs(denoiser, state, own)).masked_fill(state != MASK, -1.0)
        show = margin >= sure
        stuck = ~show.any(1)
        kept[rows[stuck]] = state[stuck]
        wait[rows] -= stuck.long()
        show.scatter_(1, margin.argmax(1, keepdim=True), True)
        tokens[rows] = torch.where(show, solution[rows], state)
    return kept


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


def lead(log_probs: torch.Tensor) -> torch.Tensor:
    """``[batch, cells]``: the margin p1 - p2, the order of Kim et al. (arXiv 2502.06768)."""
    first, second = log_probs.exp().topk(2, dim=-1).values.unbind(-1)
    return first - second


def solution_margin(log_probs: torch.Tensor, solution: torch.Tensor) -> torch.Tensor:
    """``[batch, cells]`` in [-1, 1]: p(solution) less the largest other p (Gt-Margin, arXiv:2602.09501)."""
    p, index = log_probs.exp(), (solution - 1)[..., None]
    return p.gather(-1, index)[..., 0] - p.scatter(-1, index, 0.0).amax(-1)
