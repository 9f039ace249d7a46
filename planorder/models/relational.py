"""The `relational` backbone: one block of messages along a puzzle's constraint graph, repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from planorder.models import relational_kernels as kernels
from planorder.models.context import (
    EdgeMessages,
    Incidence,
    SharedEdges,
    incidence_of,
    members_of,
    shared_edges,
)
from planorder.tokens import MASK
from puzzles.base import ConstraintGraph, EdgeSet, UserInputError


@dataclass(frozen=True)
class RelationalConfig:
    """Shape of a `Relational` network.

    Attributes:
        channels: width of the state.
        hidden: width inside a block.
        turns: how often a block is applied; a tied network may take more turns when it decodes.
        tied: whether one block is repeated (recurrent) or every turn has weights of its own.
        by_value: whether the state has one vector for each (cell, value) pair, with weights shared by the
            values, so that renaming the values renames the answer; needs interchangeable values.
        jitter: in training a pass takes from ``turns - jitter`` to ``turns + jitter`` turns, drawn anew each
            time, so that a network does not lean on being stopped at one of them; needs ``tied``.
        noisy: whether a value v that may be noise, token n + v, is told from a clue of that value, token v;
            for `forward_process` noise of values.
    """

    channels: int = 32
    hidden: int = 96
    turns: int = 16
    tied: bool = True
    by_value: bool = True
    jitter: int = 0
    noisy: bool = False

    def __post_init__(self) -> None:
        for name in ("channels", "hidden", "turns"):
            if getattr(self, name) < 1:
                raise UserInputError(f"{name}={getattr(self, name)}: expected at least 1")
        if not 0 <= self.jitter < self.turns or (self.jitter and not self.tied):
            raise UserInputError(
                f"jitter={self.jitter}: expected 0 to turns - 1, and 0 unless the block is tied"
            )


class Messages(NamedTuple):
    """The graph as a block uses it: ``pool [edges, cells]`` averages, ``spread`` is its 0/1 transpose.

    ``own`` are the edges that have roles: each puzzle's, or the family's.
    """

    pool: torch.Tensor
    spread: torch.Tensor
    groups: tuple[int, ...]
    own: Incidence | SharedEdges | None


class Block(nn.Module):
    """One turn: every cell hears the mean of each of its constraints and of its own values, then thinks.

    Constraints whose members have roles speak first, each by `EdgeMessages`.
    ``x [cells, batch * values, channels]`` to the same shape. Cells come first so that pooling over all
    constraints, and spreading what they say, are one dense product each with the incidence matrix.
    """

    def __init__(self, config: RelationalConfig, graph: ConstraintGraph, states: int) -> None:
        super().__init__()
        c, h = config.channels, config.hidden
        kinds, with_roles = sum(not edges.roles for edges in graph.edges), role_kinds(graph)
        self.messages = EdgeMessages(c, with_roles, members_of(graph)) if with_roles else None
        self.inject = nn.Embedding(states, c)
        self.own = nn.Linear(c, h)
        self.edge = nn.Parameter(torch.empty(kinds, c, h).normal_(std=c**-0.5))
        self.cell = nn.Linear(c, h, bias=False) if config.by_value else None
        self.out = nn.Linear(h, c, bias=False)
        nn.init.normal_(self.inject.weight, std=0.5)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: torch.Tensor, clues: torch.Tensor, messages: Messages, values: int) -> torch.Tensor:
        """Adds ``clues``, which have the shape of ``x``, and the block's update."""
        cells, rows, c = x.shape
        x = x + clues
        if self.messages is not None and messages.own is not None:
            y = F.layer_norm(x, (c,))
            if isinstance(messages.own, SharedEdges):
                x = x + self.messages.shared(y, messages.own)
            else:
                x = x + self.messages(y.transpose(0, 1), messages.own).transpose(0, 1)
        y = F.layer_norm(x, (c,))
        hidden = self.own(y)
        if messages.groups:
            heard = (messages.pool @ y.reshape(cells, -1)).reshape(-1, rows, c).split(messages.groups)
            weights = self.edge.to(y.dtype)
            said = torch.cat([unit @ weight for unit, weight in zip(heard, weights, strict=True)])
            hidden = hidden + (messages.spread @ said.reshape(len(said), -1)).reshape(cells, rows, -1)
        if self.cell is not None:
            by_cell = hidden.reshape(cells, rows // values, values, -1)
            by_cell += self.cell(y.reshape(*by_cell.shape[:3], c).mean(2)).unsqueeze(2)
        return x + self.out(F.relu_(hidden).square())


class Relational(nn.Module):
    """Message passing on the constraint graph, one call for tokens to logits.

    The graph is data: hyperedges of any number of kinds, so the network knows no puzzle's name. A kind of
    interchangeable members has a matrix of its own; edges whose members have roles, among them those that
    only one puzzle has, speak through a matrix a role. A tied block, with the embedded clues added back at
    every turn, follows recurrent networks for puzzles (Palm et al., arXiv 1711.08028; Yang et al., arXiv
    2307.04895); sharing weights over interchangeable values follows symmetry-equivariant recurrent
    reasoning models.
    """

    pool: torch.Tensor
    with_roles: torch.Tensor

    def __init__(self, config: RelationalConfig, graph: ConstraintGraph) -> None:
        """Builds the network for a graph.

        Raises:
            UserInputError: `by_value` on a graph whose values are not interchangeable, or puzzle edges that
                do not name cells.
        """
        super().__init__()
        if config.by_value and not graph.values_interchangeable:
            raise UserInputError(
                "by_value=True needs interchangeable values: set by_value=False for this family"
            )
        if graph.puzzle_kinds and not graph.edges_name_cells:
            raise UserInputError(
                "a relational network needs puzzle edges between cells: take a transformer for this layout"
            )
        self.config, self.n_values = config, graph.n_values
        plain = tuple(edges for edges in graph.edges if not edges.roles)
        self.register_buffer("pool", incidence(graph.n_cells, plain), persistent=False)
        self.register_buffer("with_roles", edges_with_roles(graph), persistent=False)
        self.groups = tuple(len(edge.cells) for edge in plain)
        self.fuses = config.by_value and config.tied and not config.noisy and not role_kinds(graph)
        self.structure = structure(graph) if self.fuses else None
        states = (2 if config.by_value else graph.n_values) * (2 if config.noisy else 1) + 1
        self.embed = nn.Embedding(states, config.channels)
        blocks = 1 if config.tied else config.turns
        self.blocks = nn.ModuleList(Block(config, graph, states) for _ in range(blocks))
        self.head = nn.Linear(config.channels, 1 if config.by_value else graph.n_values)

    def forward(
        self, tokens: torch.Tensor, edges: torch.Tensor | None = None, *, turns: int | None = None
    ) -> torch.Tensor:
        """Logits ``[batch, cells, values]`` of int64 ``tokens [batch, cells]``; value v is entry v - 1.

        Args:
            tokens: MASK or a value counted from 1.
            edges: int64 ``[batch, edges, 1 + members]``, the puzzles' own, for families that have some.
            turns: how often a tied block is applied; the config's number if None.
        """
        if turns is None:
            turns = self.config.turns
            if self.training and self.config.jitter:
                turns += int(torch.randint(-self.config.jitter, self.config.jitter + 1, ()))
        if self.fuses and tokens.device.type == "cpu" and not torch.is_grad_enabled():
            return self._fused(tokens, turns)
        batch, cells = tokens.shape
        states = self._states(tokens).transpose(0, 1).reshape(cells, -1)
        x = self.embed(states)
        if torch.is_autocast_enabled(tokens.device.type):
            x = x.to(torch.get_autocast_dtype(tokens.device.type))
        pool = self.pool.to(x.dtype)
        roles = self._roles(edges, cells, x.dtype)
        messages = Messages(pool, (pool > 0).to(pool.dtype).T.contiguous(), self.groups, roles)
        blocks = cast(list[Block], list(self.blocks))
        clues = [F.embedding(states, block.inject.weight.to(x.dtype)) for block in blocks]
        for turn in range(turns):
            place = turn % len(blocks)
            x = blocks[place](x, clues[place], messages, states.shape[1] // batch)
        logits: torch.Tensor = self.head(F.layer_norm(x, (self.config.channels,)))
        return logits.float().reshape(cells, batch, self.n_values).transpose(0, 1)

    def _roles(
        self, edges: torch.Tensor | None, cells: int, dtype: torch.dtype
    ) -> Incidence | SharedEdges | None:
        """Edges with roles, of each puzzle or of the family; None without any.

        On a GPU a sum over looked-up cells has no fixed order, so there the family's are products too.
        """
        own = self.with_roles[None] if edges is None else edges
        if not own.shape[1]:
            return None
        if edges is None and own.device.type == "cpu" and bool((own >= 0).all()):
            return shared_edges(own[0])
        return incidence_of(own, cells, dtype)

    def _fused(self, tokens: torch.Tensor, turns: int) -> torch.Tensor:
        """The forward pass by `relational_kernels`, in float32 whatever autocast says.

        It knows one tied block with a vector for each (cell, value), and edges without roles.
        """
        block = cast(Block, self.blocks[0])
        assert block.cell is not None
        assert self.structure is not None
        tensors = (
            self.embed.weight,
            block.inject.weight,
            block.own.weight,
            block.own.bias,
            block.edge.mT,
            block.cell.weight,
            block.out.weight,
            self.head.weight[0],
            self.head.bias,
        )
        arrays = [np.ascontiguousarray(tensor.detach().numpy()) for tensor in tensors]
        weights = kernels.Weights._make([*arrays, *self.structure])
        states = self._states(tokens).to(torch.int8).contiguous().numpy()
        return torch.from_numpy(kernels.forward(states, turns, weights, torch.get_num_threads()))

    def _states(self, tokens: torch.Tensor) -> torch.Tensor:
        """``[batch, cells, values]``: 0 unknown, 1 this value, 2 another one; or the tokens themselves.

        3 and 4 are 1 and 2 of values that may be noise.
        """
        if not self.config.by_value:
            return tokens.unsqueeze(-1)
        value = torch.arange(1, self.n_values + 1, device=tokens.device)
        known = tokens.unsqueeze(-1)
        if self.config.noisy:
            noise = known > self.n_values
            is_value = torch.where(noise, known - self.n_values, known) == value
            return torch.where(known == MASK, 0, torch.where(is_value, 1, 2) + 2 * noise)
        return torch.where(known == MASK, 0, torch.where(known == value, 1, 2))


def structure(graph: ConstraintGraph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The graph as `relational_kernels.Weights` has it: members, kind and edges_of, all int16, -1 pads."""
    widest = max(edge.cells.shape[-1] for edge in graph.edges)
    members = np.concatenate(
        [
            np.pad(edge.cells, ((0, 0), (0, widest - edge.cells.shape[1])), constant_values=-1)
            for edge in graph.edges
        ]
    )
    kind = np.repeat(np.arange(len(graph.edges)), [len(edge.cells) for edge in graph.edges])
    found = [np.flatnonzero((members == cell).any(axis=1)) for cell in range(graph.n_cells)]
    most = max(len(edges) for edges in found)
    edges_of = np.stack([np.pad(edges, (0, most - len(edges)), constant_values=-1) for edges in found])
    return members.astype(np.int16), kind.astype(np.int16), edges_of.astype(np.int16)


def incidence(n_cells: int, kinds: tuple[EdgeSet, ...]) -> torch.Tensor:
    """float32 ``[edges, cells]``, kinds in order: each row averages the cells of one hyperedge."""
    rows = [torch.zeros(0, n_cells)]
    for edges in kinds:
        for members in edges.cells:
            members = members[members >= 0]
            row = torch.zeros(1, n_cells)
            row[0, torch.as_tensor(members, dtype=torch.int64)] = 1 / len(members)
            rows.append(row)
    return torch.cat(rows)


def role_kinds(graph: ConstraintGraph) -> int:
    """Number of kinds of edges with roles; the family's own come after those of puzzles."""
    return len(graph.puzzle_kinds) + sum(bool(edges.roles) for edges in graph.edges)


def edges_with_roles(graph: ConstraintGraph) -> torch.Tensor:
    """int64 ``[edges, 1 + members]``: the edges with roles that all puzzles share, as a puzzle's own."""
    found, kind = [torch.zeros(0, 1 + members_of(graph), dtype=torch.int64)], len(graph.puzzle_kinds)
    for edges in graph.edges:
        if edges.roles:
            cells = torch.as_tensor(edges.cells, dtype=torch.int64)
            cells = F.pad(cells, (1, members_of(graph) - cells.shape[1]), value=-1)
            cells[:, 0] = kind
            found.append(cells)
            kind += 1
    return torch.cat(found)
