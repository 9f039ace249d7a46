"""An order head as a policy: whole decodes, rewarded for a right solution, held near the order by margin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from planorder.models.order_head import margin_score
from planorder.tokens import MASK
from planorder.training.objectives.imitate import NEVER, frozen_log_probs, listwise
from puzzles.base import UserInputError

REWARDS = ("exact", "share")


@dataclass(frozen=True)
class PolicyObjective:
    """REINFORCE on whole decodes with a baseline a puzzle; the denoiser is frozen.

    Of each puzzle ``group`` episodes are decoded. A step draws ``cells`` blanks, one after the other without
    putting back, from ``pi = softmax(score / temperature)`` and gives them their likeliest values. With the
    reward r of an episode and A = r - the mean r of the others of its puzzle, the loss is

        - mean over episodes of A * sum over steps of log pi(drawn) / steps
        + kl * mean over states of KL(softmax(margin score / temperature) || pi).

    The unmasking policy of UPO (arXiv:2510.05725): a group baseline and a pull to a reference that orders by
    confidence. Departures: one update a batch of episodes, so no ratio to clip; A is not divided by a
    deviation; the reference, which is the policy of an untrained `OrderHead`, is the first argument of the
    KL, in closed form at every state. With the reward "exact" the steps after a wrong value are left out:
    nothing that they do can change the reward, so their terms are noise of mean 0.

    Attributes:
        group: episodes a puzzle, at least 2.
        cells: blanks a step, so that an episode takes n / cells passes.
        temperature: of the policy, > 0; a decode takes the highest score.
        kl: weight of the pull to the margin, >= 0.
        reward: "exact", 1 for the solution, else 0; or "share", of the blanks that are right.
    """

    group: int = 8
    cells: int = 4
    temperature: float = 1.0
    kl: float = 0.02
    reward: str = "exact"

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise UserInputError(f"reward={self.reward!r}: expected one of {', '.join(REWARDS)}")
        for name, least in (("group", 2), ("cells", 1), ("kl", 0)):
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
        only ones that teach; ``pull``, the KL.
        """
        clues, solution = (part.repeat_interleave(self.group, 0) for part in (clues, solution))
        edges = None if edges is None else edges.repeat_interleave(self.group, 0)
        tokens, steps = clues, -(-int((clues == MASK).sum(1).max()) // self.cells)
        log_pi = pull = states = torch.zeros(len(clues), device=clues.device)
        for _ in range(steps):
            blank = tokens == MASK
            log_probs = frozen_log_probs(denoiser, tokens, edges)
            score = head(log_probs, tokens, clues != MASK, edges).float() / self.temperature
            chosen, log_chosen = draw(score, blank, self.cells, generator)
            counts = blank.any(1)
            if self.reward == "exact":
                counts = counts & (blank | (tokens == solution)).all(1)
            away = listwise(score, margin_score(log_probs).float(), blank, self.temperature)
            log_pi = log_pi + log_chosen.masked_fill(~counts, 0.0)
            pull, states = pull + away.masked_fill(~counts, 0.0), states + counts
            tokens = torch.where(chosen, log_probs.argmax(-1) + 1, tokens)
        reward = rewards(tokens, solution, clues, self.reward)
        by_puzzle, held = reward.unflatten(0, (-1, self.group)), pull.sum() / states.sum().clamp(min=1)
        loss = -(advantages(reward, self.group) * log_pi).mean() / max(steps, 1)
        return loss + self.kl * held, {
            "reward": reward.mean(),
            "undecided": (by_puzzle != by_puzzle[:, :1]).any(1).float().mean(),
            "pull": held.detach(),
        }


def draw(
    score: torch.Tensor, blank: torch.Tensor, count: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` blanks a row, or all, drawn in turn from softmax(score) without putting back.

    Returns:
        bool ``[batch, cells]``, the drawn ones, and ``[batch]``, the log-probability of having drawn them in
        that order (Plackett-Luce), with its gradient. Scores plus Gumbel noise, sorted, are such draws.
    """
    uniform = torch.rand(score.shape, generator=generator, dtype=torch.float64).to(score.device)
    gumbel = -(-uniform.clamp(min=1e-300).log()).clamp(min=1e-300).log()
    noisy = (score.detach() + gumbel).masked_fill(~blank, -torch.inf)
    order = noisy.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(score.shape[1], device=score.device)
    taken = (place < count) & blank.gather(1, order)
    in_turn = score.masked_fill(~blank, NEVER).gather(1, order)
    left = in_turn.flip(1).logcumsumexp(1).flip(1)
    log_prob = (in_turn - left).masked_fill(~taken, 0.0).sum(1)
    return torch.zeros_like(blank).scatter(1, order, taken), log_prob


def rewards(tokens: torch.Tensor, solution: torch.Tensor, clues: torch.Tensor, kind: str) -> torch.Tensor:
    """float32 ``[batch]`` in [0, 1]: see `PolicyObjective.reward`; 1 without any blank."""
    right = (tokens == solution) | (clues != MASK)
    if kind == "exact":
        return right.all(1).float()
    blanks = (clues == MASK).sum(1)
    return (right & (clues == MASK)).sum(1).masked_fill(blanks == 0, 1) / blanks.clamp(min=1)


def advantages(reward: torch.Tensor, group: int) -> torch.Tensor:
    """``[batch]``: each reward less the mean of the others of its puzzle, ``group`` rows in turn."""
    by_puzzle = reward.unflatten(0, (-1, group))
    others = (by_puzzle.sum(1, keepdim=True) - by_puzzle) / (group - 1)
    return (by_puzzle - others).flatten()
