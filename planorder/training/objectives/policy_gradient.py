"""An order head as a policy: whole decodes, rewarded for a right solution, held near the order by margin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from planorder.models.order_head import margin_score
from planorder.tokens import MASK
from planorder.training.objectives.imitate import NEVER, frozen_log_probs, lead, listwise
from puzzles.base import UserInputError

REWARDS = ("exact", "share")


@dataclass(frozen=True)
class PolicyObjective:
    """REINFORCE on whole decodes with a baseline a puzzle; the denoiser is frozen.

    Of each puzzle ``group`` episodes are decoded. A step gives all blanks of margin >= ``sure`` their
    likeliest values at once; where there is none, one blank is drawn from ``pi = softmax(score /
    temperature)`` and gets its likeliest value. With the reward r of an episode and A = r - the mean r of the
    others of its puzzle, the loss is

        - mean over episodes of A * sum over drawn blanks of log pi
        + kl * mean over states of KL(softmax(margin score / temperature) || pi).

    The unmasking policy of UPO (arXiv:2510.05725): a group baseline and a pull to a reference that orders by
    confidence. Departures: one update a batch of episodes, so no ratio to clip; A is not divided by a
    deviation; the reference, which is the policy of an untrained `OrderHead`, is the first argument of the
    KL, in closed form at every state; sure blanks are no decisions, which keeps episodes short and credit
    near what earned it. With the reward "exact" an episode ends at its first wrong value.

    Attributes:
        group: episodes a puzzle, at least 2.
        sure: margin p1 - p2 from which a blank is filled without a choice; above 1 every blank is drawn.
        temperature: of the policy, > 0; a decode takes the highest score.
        kl: weight of the pull to the margin, >= 0.
        reward: "exact", 1 for the solution, else 0; or "share", of the blanks that are right.
    """

    group: int = 8
    sure: float = 0.999
    temperature: float = 0.5
    kl: float = 0.05
    reward: str = "exact"

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise UserInputError(f"reward={self.reward!r}: expected one of {', '.join(REWARDS)}")
        for name, least in (("group", 2), ("sure", 0), ("kl", 0)):
            if not getattr(self, name) >= least:
                raise UserInputError(f"{name}={getattr(self, name)}: expected at least {least}")
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
        """Loss and metrics; ``rank`` plays no part. With the denoiser bound, an `Objective`.

        Metrics: ``reward``, the mean; ``undecided``, the share of puzzles whose episodes differ in it, the
        only ones that teach; ``decisions``, drawn blanks an episode; ``pull``, the KL.
        """
        clues, solution = (part.repeat_interleave(self.group, 0) for part in (clues, solution))
        edges = None if edges is None else edges.repeat_interleave(self.group, 0)
        tokens, rows = clues.clone(), torch.arange(len(clues), device=clues.device)
        log_pi = decisions = torch.zeros(len(clues), device=clues.device)
        pulls = []
        while len(rows := rows[self.goes_on(tokens[rows], solution[rows])]):
            state, own = tokens[rows], None if edges is None else edges[rows]
            log_probs, blank = frozen_log_probs(denoiser, state, own), state == MASK
            score = head(log_probs, state, clues[rows] != MASK, own).float() / self.temperature
            drawn, log_drawn = draw(score, blank, generator)
            sure = blank & (lead(log_probs) >= self.sure)
            chooses = ~sure.any(1)
            log_pi = log_pi.index_add(0, rows, log_drawn.masked_fill(~chooses, 0.0))
            decisions = decisions.index_add(0, rows, chooses.float())
            pulls.append(listwise(score, margin_score(log_probs).float(), blank, self.temperature))
            fill = torch.where(chooses[:, None], drawn, sure)
            tokens[rows] = torch.where(fill, log_probs.argmax(-1) + 1, state)
        reward = rewards(tokens, solution, clues, self.reward)
        by_puzzle, pull = reward.unflatten(0, (-1, self.group)), torch.cat([log_pi[:0], *pulls])
        pull = pull.sum() / max(len(pull), 1)
        return self.kl * pull - (advantages(reward, self.group) * log_pi).mean(), {
            "reward": reward.mean(),
            "undecided": (by_puzzle != by_puzzle[:, :1]).any(1).float().mean(),
            "decisions": decisions.mean(),
            "pull": pull.detach(),
        }

    def goes_on(self, tokens: torch.Tensor, solution: torch.Tensor) -> torch.Tensor:
        """bool ``[batch]``: blanks are left, and the reward is not yet known."""
        blank = tokens == MASK
        open_ = blank.any(1)
        return open_ & (blank | (tokens == solution)).all(1) if self.reward == "exact" else open_


def draw(
    score: torch.Tensor, blank: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """One blank a row from softmax(score), by Gumbel noise in float64.

    Returns:
        bool ``[batch, cells]``, the drawn blank, and ``[batch]``, its log-probability with its gradient.
    """
    uniform = torch.rand(score.shape, generator=generator, dtype=torch.float64).clamp(min=1e-300)
    noisy = score.detach() - (-uniform.log()).log().to(score.device)
    cell = noisy.masked_fill(~blank, -torch.inf).argmax(1, keepdim=True)
    log_pi = score.masked_fill(~blank, NEVER).log_softmax(-1).gather(1, cell)[:, 0]
    return torch.zeros_like(blank).scatter(1, cell, True), log_pi


def rewards(tokens: torch.Tensor, solution: torch.Tensor, clues: torch.Tensor, kind: str) -> torch.Tensor:
    """float32 ``[batch]`` in [0, 1]: see `PolicyObjective.reward`; 1 for a puzzle without blanks."""
    wrong = (tokens != solution) & (clues == MASK)
    if kind == "exact":
        return (~wrong.any(1)).float()
    return 1 - wrong.sum(1) / (clues == MASK).sum(1).clamp(min=1)


def advantages(reward: torch.Tensor, group: int) -> torch.Tensor:
    """``[batch]``: each reward less the mean of the others of its puzzle, ``group`` rows in turn."""
    by_puzzle = reward.unflatten(0, (-1, group))
    others = (by_puzzle.sum(1, keepdim=True) - by_puzzle) / (group - 1)
    return (by_puzzle - others).flatten()
