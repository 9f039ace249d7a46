"""A head that scores cells by what a denoiser says of each and by the graph: blanks, or what is filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from planorder.models.context import incidence_of
from planorder.models.relational import (
    Block,
    Messages,
    RelationalConfig,
    edges_with_roles,
    incidence,
    role_kinds,
)
from planorder.tokens import MASK
from puzzles.base import ConstraintGraph, UserInputError

LEAST = 1e-9
"""Floor under 1 - margin, so that scores stay finite."""
FAINT = -12.0
"""Floor under the log-probabilities that a head reads."""
BLANK, FILLED, CLUE = range(3)


@dataclass(frozen=True)
class OrderHeadConfig:
    """Shape of an `OrderHead`.

    Attributes:
        channels: width of a cell's state.
        hidden: width inside a block.
        blocks: blocks of messages along the graph, each with weights of its own.
        top: likeliest values of a cell that it reads, at most as many as there are.
        quality: score filled cells, by the log-odds that their values are right, instead of blanks.
    """

    channels: int = 32
    hidden: int = 64
    blocks: int = 2
    top: int = 3
    quality: bool = False

    def __post_init__(self) -> None:
        for name in ("channels", "hidden", "blocks", "top"):
            if getattr(self, name) < 1:
                raise UserInputError(f"{name}={getattr(self, name)}: expected at least 1")


class OrderHead(nn.Module):
    """A score a cell: that of the margin plus what a small network on the constraint graph adds.

    ``score = -log(1 - (p1 - p2)) + w . net(features)`` with w = 0 at first, so that an untrained head orders
    as top_margin does; where it tells the quality of filled cells, the net alone. It reads what any denoiser
    says, never its weights: of a cell the top log-probabilities, entropy and margin, whether it is blank,
    filled or a clue, and how much the cells that share a constraint with it claim its likeliest values for
    themselves (`claims`). Filled cells are read by what stands in them. Renaming the values, or permuting
    cells as the graph allows, changes nothing.

    A planner beside a frozen denoiser is that of Where-to-Unmask (arXiv:2602.09501) and of UPO
    (arXiv:2510.05725). Departure: theirs are transformers on hidden states; this is the block of `relational`
    on probabilities, so one head serves any denoiser.
    """

    pool: torch.Tensor
    shared: torch.Tensor
    with_roles: torch.Tensor

    def __init__(self, config: OrderHeadConfig, graph: ConstraintGraph) -> None:
        """Builds the head for a graph.

        Raises:
            UserInputError: puzzle edges that do not name cells.
        """
        super().__init__()
        if graph.puzzle_kinds and not graph.edges_name_cells:
            raise UserInputError("an order head needs puzzle edges between cells: take another layout")
        self.config, self.n_cells, self.n_values = config, graph.n_cells, graph.n_values
        plain = tuple(edges for edges in graph.edges if not edges.roles)
        self.groups, self.has_roles = tuple(len(edges.cells) for edges in plain), role_kinds(graph) > 0
        pool = incidence(graph.n_cells, plain)
        self.register_buffer("pool", pool, persistent=False)
        self.register_buffer("shared", shared_constraints(pool), persistent=False)
        self.register_buffer("with_roles", edges_with_roles(graph), persistent=False)
        self.top = min(config.top, graph.n_values)
        shape = RelationalConfig(config.channels, config.hidden, config.blocks, tied=False, by_value=False)
        self.read = nn.Linear(2 * self.top + 2, config.channels)
        self.blocks = nn.ModuleList(Block(shape, graph, states=3) for _ in range(config.blocks))
        self.score = nn.Linear(config.channels, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(
        self,
        log_probs: torch.Tensor,
        tokens: torch.Tensor,
        clue: torch.Tensor,
        edges: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Scores, float64 ``[batch, cells]``: higher is sooner, and only blanks' count.

        Or, with ``config.quality``, the log-odds that a filled cell is right; then only filled cells' count.

        Args:
            log_probs: ``[batch, cells, values]``, a denoiser's.
            tokens: int64 ``[batch, cells]``, the state.
            clue: bool ``[batch, cells]``.
            edges: int64 ``[batch, edges, 1 + members]``, the puzzles' own, for families that have some.
        """
        dtype, cells = self.read.weight.dtype, tokens.shape[1]
        features, base = self.features(log_probs, tokens)
        state = torch.where(tokens == MASK, BLANK, torch.where(clue, CLUE, FILLED)).T
        own = self.with_roles[None] if edges is None else edges
        roles = incidence_of(own, cells, dtype) if self.has_roles and own.shape[1] else None
        pool = self.pool.to(dtype)
        messages = Messages(pool, (pool > 0).to(dtype).T.contiguous(), self.groups, roles)
        x = self.read(features.to(dtype)).transpose(0, 1)
        for block in cast(list[Block], list(self.blocks)):
            x = block(x, F.embedding(state, block.inject.weight.to(x.dtype)), messages, 1)
        added = self.score(F.layer_norm(x, (self.config.channels,)))[..., 0].T.double()
        return added if self.config.quality else base + added

    def features(self, log_probs: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """float64 ``[batch, cells, 2 top + 2]``: log p of the likeliest values, their claims, -H, base.

        And the score of the margin, ``[batch, cells]``.
        """
        blank = (tokens == MASK)[..., None]
        value = torch.arange(1, self.n_values + 1, device=tokens.device)
        stands = torch.where(tokens[..., None] == value, 0.0, 2 * FAINT)
        log_p = torch.where(blank, log_probs.double(), stands)
        best = log_p.sort(dim=-1, descending=True, stable=True)
        p, first = log_p.exp(), best.indices[..., : self.top]
        claims = (self.shared.double() @ p).gather(-1, first)
        claims = torch.where(blank, claims, F.pad(claims[..., :1], (0, self.top - 1)))
        base = margin_score(log_p)
        rest = torch.stack([(p * log_p.clamp(min=2 * FAINT)).sum(-1), base], -1)
        return torch.cat([best.values[..., : self.top].clamp(min=FAINT), claims, rest], -1), base


def margin_score(log_probs: torch.Tensor) -> torch.Tensor:
    """float64 ``[batch, cells]``: -log(1 - (p1 - p2)), which orders as p1 - p2 and is open above."""
    first, second = log_probs.double().topk(2, dim=-1).values.unbind(-1)
    return -(second.exp() - torch.expm1(first)).clamp(min=LEAST).log()


def shared_constraints(pool: torch.Tensor) -> torch.Tensor:
    """float32 ``[cells, cells]``: of a cell's constraints, the share that holds another; 0 on the diagonal.

    ``claims = shared @ p`` is then, of a value, how often a constraint of the cell expects it elsewhere.
    Where no value may stand twice in a constraint, a cell's right value has no claims if all is right.
    """
    member = (pool > 0).float()
    both = member.T @ member
    return (both / both.diagonal().clamp(min=1)[:, None]).fill_diagonal_(0)
