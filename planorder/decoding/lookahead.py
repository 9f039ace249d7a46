"""Rules that look ahead: they ask the model about states other than the one they are in.

Every state asked about is a forward pass, counted against the strategy. The number of states a step is fixed,
since a number that depended on the rows would stall a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from planorder.decoding import picks
from planorder.decoding.orders import TopProb, entropy
from planorder.decoding.random import gumbel
from planorder.decoding.remask import top_cells
from planorder.decoding.view import StepView
from planorder.tokens import MASK
from puzzles.base import UserInputError

SUREST = TopProb()
BELOW = -100.0
"""Added to the score of a cell that was no candidate: below every gain, which is at least -2 log(values)."""


@dataclass(frozen=True)
class LookAhead:
    """Fills each of m candidates on trial and takes the one of largest gain.

    gain = -weight * H(candidate) - mean H(blanks that remain after the move), H the entropy in nats. Its
    candidates are the cell that ``propose`` puts first and the next m - 1 by propose / temperature + Gumbel
    (by ``propose`` itself at temperature 0), no cell twice. All other blanks come after them, by ``propose``.

    weight = 1 is the objective of Info-Gain (arXiv:2602.18176), weight = 0 the certainty of LookUM
    (arXiv:2511.05563), one step deep.

    Attributes:
        candidates: m >= 1 passes a step, besides the model's own.
        weight: of the candidate's own entropy.
        propose: an order, bounded by 50 in size.
        temperature: of the draw of candidates, >= 0.
        bypass: where all blanks have p1 of at least this, ``propose`` decides; the passes are taken all the
            same. Above 1: never.
        pick: which value a candidate gets; give it the strategy's, which `with_options` replaces alone.
    """

    candidates: int = 8
    weight: float = 1.0
    propose: Callable[[StepView], torch.Tensor] = SUREST
    temperature: float = 0.0
    bypass: float = 2.0
    pick: Callable[[StepView], torch.Tensor] = picks.argmax

    def __post_init__(self) -> None:
        if self.candidates < 1 or not self.temperature >= 0:
            raise UserInputError(
                f"candidates={self.candidates}, temperature={self.temperature}: expected at least 1 "
                "candidate and a temperature of at least 0"
            )

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        base = self.propose(view).double()
        cells = self.proposed(view, base)
        values = self.pick(view).gather(1, cells)
        ahead = (
            view.tokens[:, None].repeat(1, cells.shape[1], 1).scatter(2, cells[..., None], values[..., None])
        )
        left = ahead == MASK
        after = entropy(view.evaluate(ahead)).masked_fill(~left, 0.0).sum(-1) / left.sum(-1).clamp(min=1)
        # Sums of equal numbers in other places may round otherwise; ties must not depend on that.
        gain = (-self.weight * entropy(view.log_probs).gather(1, cells) - after).round(decimals=12)
        others = base + BELOW
        gain = torch.where(view.allowed.gather(1, cells), gain, others.gather(1, cells))
        sure = view.log_probs.double().amax(-1).exp() >= self.bypass
        return torch.where((sure | ~view.allowed).all(1, keepdim=True), base, others.scatter(1, cells, gain))

    def proposed(self, view: StepView, base: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch, m]``: the candidates; cells that are not allowed where a row has fewer."""
        score = base.masked_fill(~view.allowed, -torch.inf)
        if self.temperature > 0:
            draw = gumbel(view.uniform("candidates"))
            best = score.argmax(1, keepdim=True)
            score = (score / self.temperature + draw).scatter(1, best, torch.inf)
        return score.sort(dim=1, descending=True, stable=True).indices[:, : self.candidates]


@dataclass(frozen=True)
class Wino:
    """Wide in, narrow out (arXiv:2507.18578): drafts all blanks with p1 >= wide, reopens what fails a check.

    A filled cell is checked by the probability that the model gives its value with that cell alone masked;
    below ``narrow`` it is reopened. A step checks the ``checks`` filled cells that were never checked, least
    probable when filled first, then those that passed with least. It drafts at least one blank and at most
    max(5, min(20, 0.7 * blanks)), and reopens at most (drafted - 1), the worst, so that every step gains.

    Its methods are a strategy's memory, budget and remask rule; the order is to be by p1.

    Departures: the source checks all filled cells in one pass, through a second block of masks and an
    attention mask of its own, which other people's models do not have; it allows as many cells to be reopened
    as were drafted in the step before, less one. As there, what the last draft fills is not checked.

    Attributes:
        wide: p1 of a draft, in (0, 1].
        narrow: probability below which a checked cell is reopened, in (0, 1].
        checks: passes a step, besides the model's own.
    """

    wide: float = 0.6
    narrow: float = 0.9
    checks: int = 8

    def __post_init__(self) -> None:
        if not (0 < self.wide <= 1 and 0 < self.narrow <= 1 and self.checks >= 1):
            raise UserInputError(
                f"wide={self.wide}, narrow={self.narrow}, checks={self.checks}: expected probabilities in "
                "(0, 1] and at least 1 check"
            )

    def drafted(self, view: StepView) -> torch.Tensor:
        """int64 ``[batch]``: blanks to fill."""
        sure = (view.log_probs.double().amax(-1).exp() >= self.wide) & view.allowed
        most = (0.7 * view.blank.sum(1)).long().clamp(min=5, max=20)
        return sure.sum(1).clamp(min=1).minimum(most)

    def memory(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, 2, cells]``: probability at the last check (0: none), and 1 where to reopen."""
        is_filled = ~view.blank & ~view.clue
        known = (
            torch.zeros_like(view.log_probs[..., 0]).double() if view.memory is None else view.memory[:, 0]
        )
        known = known * is_filled
        doubt = torch.where(known > 0, known, view.committed_prob.double() - 1)
        ranked = doubt.masked_fill(~is_filled, torch.inf).sort(dim=1, stable=True).indices
        cells = ranked[:, : self.checks]
        checked = is_filled.gather(1, cells)
        prob = torch.where(checked, leave_one_out(view, cells), known.gather(1, cells))
        known = known.scatter(1, cells, prob)
        failed = torch.zeros_like(is_filled).scatter(1, cells, checked & (prob < self.narrow))
        reopen = top_cells(-known, failed, self.drafted(view) - 1)
        return torch.stack([known, reopen.double()], 1)

    def remask(self, view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """bool ``[batch, cells]``."""
        assert view.memory is not None
        return view.memory[:, 1] > 0

    def budget(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``: drafted - reopened, at least 1."""
        return self.drafted(view) - self.remask(view, score, view.step).sum(1)


def leave_one_out(view: StepView, cells: torch.Tensor) -> torch.Tensor:
    """float64 ``[batch, m]``: p of the value that each of ``cells [batch, m]`` holds, itself masked."""
    ahead = view.tokens[:, None].repeat(1, cells.shape[1], 1).scatter(2, cells[..., None], MASK)
    held = view.tokens.gather(1, cells).clamp(min=1) - 1
    at_cell = cells[..., None, None].expand(-1, -1, 1, view.log_probs.shape[-1])
    log_p = view.evaluate(ahead).double().gather(2, at_cell)[:, :, 0]
    return log_p.gather(-1, held[..., None])[..., 0].exp()
