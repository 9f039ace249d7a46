"""Which filled cell to reopen: ``remask(view, score, count) -> bool [batch, cells]``.

``score`` is the order's with its noise, ``count`` the budget's int64 ``[batch]``. Reopened cells become
blank after the step. The budget is net: for each reopened cell one blank more is filled, as far as there are
blanks; a strategy that fills so many whatever it reopens takes the reopened cells off its count. The loop
lets clues and blanks alone whatever the rule says, and reopens nothing in the last step.
"""

from __future__ import annotations

import torch

from planorder.decoding.view import StepView


def never(view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Filled cells stay (carry-over unmasking of MDLM, arXiv:2406.07524)."""
    return torch.zeros_like(view.blank)


def route(view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Ranks all cells that are no clues, at every step, and reopens the filled ones that fall below the line.

    The routing of RDM (arXiv:2302.05737) as MGDM uses it on puzzles (arXiv:2410.14157, ``topk_decoding``):
    the lowest n * rate(t) cells are masked, the others are filled. There a filled cell above the line takes
    what the model would now put in it, which is `Strategy.revise`; without that it keeps its value. The line
    is drawn by the budget, so it works one cell a step too.
    """
    keep = view.n_blank_start - view.blank.sum(1) + count
    return ~view.blank & ~view.clue & ~top_cells(score, ~view.clue, keep)


def top_cells(score: torch.Tensor, allowed: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """bool ``[batch, cells]``: the ``count`` (``[batch]``) allowed cells of highest score; ties: lowest."""
    order = score.masked_fill(~allowed, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    places = torch.arange(score.shape[1], device=score.device).expand(score.shape)
    rank = torch.empty_like(order).scatter_(1, order, places)
    return allowed & (rank < count[:, None])
