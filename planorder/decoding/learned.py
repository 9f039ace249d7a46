"""Learned orders: the blank to which a trained head gives the highest score (`models.order_head`).

    --orders top_margin,learned_imitation,learned:runs/mine/weights.safetensors

And a learned remasking, `LowestQuality`, by a head that scores what is filled. A head reads what the table's
network has said anyway (log-probabilities), so it costs no forward pass, and it goes with any network of its
family.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from planorder.decoding.budgets import Schedule
from planorder.decoding.orders import TopMargin
from planorder.decoding.remask import top_cells
from planorder.decoding.strategies import Strategy
from planorder.decoding.view import StepView
from planorder.models import OrderHead
from planorder.models.checkpoint import LEARNED, load_model, pretrained_heads, weights_digest
from puzzles.base import UserInputError

FILE = "learned:"
SCORE = "the blank to which a trained head gives the highest score, likeliest value"
CHUNK = 64
"""Rows that a head scores at a time on a CPU."""
QUALITY_STEPS, WORST = 51, 4
QUALITY = (
    f"the blanks of largest p1 - p2 in T = {QUALITY_STEPS} steps, likeliest value; in each the {WORST} "
    "filled cells are masked again that a trained head trusts least"
)
SOURCES = {
    "learned_imitation": (
        "arXiv:2602.09501 (Where-to-Unmask)",
        "taught where p(solution) - p(likeliest other) > 0, so that the likeliest value is right",
        "taught the sign of the oracle's margin, not its size; reads probabilities and the graph, no hidden "
        "states",
    ),
    "learned_margin": (
        "arXiv:2602.09501 (Where-to-Unmask)",
        "taught p(solution) - p(likeliest other)",
        "a softmax over the blanks instead of PiRank; reads probabilities and the graph, no hidden states",
    ),
    "learned_policy": (
        "arXiv:2510.05725 (UPO)",
        "that of learned_imitation, rewarded for right solutions of whole decodes, pulled to p1 - p2",
        "one update a batch, so no clipped ratio; reads probabilities and the graph, no hidden states",
    ),
    "learned_quality": (
        "arXiv:2510.01384 (PRISM)",
        "taught whether values that the network filled in are the solution's",
        "blanks by p1 - p2; taught on states of several steps of a decode, beside a frozen network; reads "
        "probabilities and the graph, no hidden states",
    ),
    "learned_solver": (
        "arXiv:2409.10502 (order of the logical solver, here taught to a head)",
        "taught the blank that the logical solver fills next, in states of its own solve",
        "the head alone is taught; the source trains an autoregressive network in that order",
    ),
}
"""Name: source, what the head was taught, departures."""


@dataclass(frozen=True)
class Learned:
    """The score of a head: that of the margin in float64, so that ties stay ties, plus what it adds to it.

    Attributes:
        heads: of one or several families; that which fits the puzzles' cells and values scores them.
    """

    heads: tuple[OrderHead, ...]

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``.

        Raises:
            UserInputError: no head fits.
        """
        return scores_of(self.heads, view)


@dataclass(frozen=True)
class LowestQuality:
    """Reopens the k filled cells that a head of quality trusts least (PRISM, arXiv:2510.01384).

    As the authors' code has it (SeunggeunKimkr/PRISM), none while there are no more than k, and none once all
    but k or fewer of the blanks are filled.

    Attributes:
        heads: as for `Learned`.
        k: cells a step, >= 1.
    """

    heads: tuple[OrderHead, ...]
    k: int = WORST

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UserInputError(f"k={self.k}: expected at least 1 cell to mask again")

    def __call__(self, view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """bool ``[batch, cells]``; reads neither ``score`` nor ``count``."""
        filled = ~view.blank & ~view.clue
        n_filled, quality = filled.sum(1), scores_of(self.heads, view)
        midway = (n_filled > self.k) & (n_filled < view.n_blank_start - self.k)
        return top_cells(-quality, filled, self.k * midway.long())


def scores_of(heads: tuple[OrderHead, ...], view: StepView) -> torch.Tensor:
    """float64 ``[batch, cells]``: what the head that fits the puzzles says; raises as `Learned` does."""
    shape = tuple(view.log_probs.shape[1:])
    for head in heads:
        if (head.n_cells, head.n_values) == shape:
            inputs = (view.log_probs, view.tokens, view.clue, view.edges)
            return in_chunks(head.to(view.tokens.device), *inputs)
    known = ", ".join(f"{head.n_cells} cells of {head.n_values} values" for head in heads)
    model = "learned_quality" if heads[0].config.quality else "learned_imitation"
    raise UserInputError(
        f"the learned order is for puzzles of {known}, these have {shape[0]} of {shape[1]}: train a head "
        f"on them (python -m planorder train FAMILY --model {model}), or drop it"
    )


def in_chunks(
    head: OrderHead,
    log_probs: torch.Tensor,
    tokens: torch.Tensor,
    clue: torch.Tensor,
    edges: torch.Tensor | None,
) -> torch.Tensor:
    """float64 ``[batch, cells]``: a head's scores, on a CPU by `CHUNK` rows, the last of them filled up.

    What it computes for a row fits the caches, and is rounded alike in a batch of any size.
    """
    if tokens.device.type != "cpu":
        scores: torch.Tensor = head(log_probs, tokens, clue, edges)
        return scores
    n, found = len(tokens), []
    for place in range(0, n, CHUNK):
        whole = place + CHUNK <= n
        rows = slice(place, place + CHUNK) if whole else torch.arange(place, place + CHUNK).clamp(max=n - 1)
        own = None if edges is None else edges[rows]
        found.append(head(log_probs[rows], tokens[rows], clue[rows], own))
    return torch.cat(found)[:n]


def strategy_of(name: str, *heads: OrderHead, kind: str = "") -> Strategy:
    """The strategy of heads, which are copied; ``kind`` is the entry of `SOURCES`, if not the ``name``."""
    source, taught, departures = SOURCES.get(kind or name, ("a head of your own", "", ""))
    frozen = tuple(copy.deepcopy(head).eval().requires_grad_(False) for head in heads)
    remasks = any(head.config.quality for head in heads)
    rule = QUALITY if remasks else SCORE
    made = Strategy(
        name,
        TopMargin() if remasks else Learned(frozen),
        source=source,
        description=f"{rule}; {taught}" if taught else rule,
        departures=departures,
    )
    if not remasks:
        return made
    remask, budget = LowestQuality(frozen), Schedule("linear")
    return replace(made, budget=budget, remask=remask, steps=QUALITY_STEPS, cost="up to T")


def is_learned(name: str) -> bool:
    """Whether this is ``learned:PATH`` or the name of a head that ships."""
    return name.startswith(FILE) or (name.startswith(LEARNED) and bool(pretrained_heads(name)))


def suits(name: str, family: str) -> bool:
    """Whether a strategy is for these puzzles; a head that ships is for those it was taught on."""
    heads = pretrained_heads(name) if name.startswith(LEARNED) else []
    return not heads or any(path.stem == f"{family}_{name}" for path in heads)


def learned_strategy(name: str) -> Strategy:
    """The strategy of ``learned:PATH``, or of a name under which heads ship.

    That of a path is called by its folder and the digest of its weights, so that tables tell heads apart.

    Raises:
        UserInputError: a file that is missing, broken, or of a network.
    """
    if not name.startswith(FILE):
        return strategy_of(name, *(head_of(path)[0] for path in pretrained_heads(name)))
    path = Path(name.removeprefix(FILE))
    head, kind = head_of(path)
    folder = path.resolve().parent.name if path.stem in ("weights", "training") else path.stem
    return strategy_of(f"{FILE}{folder}-{weights_digest(head)[:6]}", head, kind=kind)


def head_of(path: Path) -> tuple[OrderHead, str]:
    """The head of a weights file, and what its training was called."""
    loaded = load_model(path, head=True)
    assert isinstance(loaded.model, OrderHead)
    return loaded.model, loaded.name
