"""The `relational` backbone: one block of messages along a puzzle's constraint graph, repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from planorder.models import relational_kernels as kernels
from planorder.tokens import MASK
from puzzles.base import ConstraintGraph, UserInputError


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
    """

    channels: int = 32
    hidden: int = 96
    turns: int = 16
    tied: bool = True
    by_value: bool = True
    jitter: int = 0

    def __post_init__(self) -> None:
        for name in ("channels", "hidden", "turns"):
            if getattr(self, name) < 1:
                raise UserInputError(f"{name}={getattr(self, name)}: expected at least 1")
        if not 0 <= self.jitter < self.turns or (self.jitter and not self.tied):
            raise UserInputError(
                f"jitter={self.jitter}: expected 0 to turns - 1, and 0 unless the block is tied"
            )


class Messages(NamedTuple):
    """The graph as a block uses it: ``pool [edges, cells]`` averages, ``spread`` is its 0/1 transpose."""

    pool: torch.Tensor
    spread: torch.Tensor
    groups: tuple[int, ...]


class Block(nn.Module):
    """One turn: every cell hears the mean of each of its constraints and of its own values, then thinks.

    ``x [cells, batch * values, channels]`` to the same shape. Cells come first so that pooling over all
    constraints, and spreading what they say, are one dense product each with the incidence matrix.
    """

    def __init__(self, config: RelationalConfig, kinds: int, states: int) -> None:
        super().__init__()
        c, h = config.channels, config.hidden
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
        y = F.layer_norm(x, (c,))
        heard = (messages.pool @ y.reshape(cells, -1)).reshape(-1, rows, c).split(messages.groups)
        said = torch.cat([unit @ weight for unit, weight in zip(heard, self.edge.to(y.dtype), strict=True)])
        hidden = (messages.spread @ said.reshape(len(said), -1)).reshape(cells, rows, -1) + self.own(y)
        if self.cell is not None:
            by_cell = hidden.reshape(cells, rows // values, values, -1)
            by_cell += self.cell(y.reshape(*by_cell.shape[:3], c).mean(2)).unsqueeze(2)
        return x + self.out(F.relu_(hidden).square())


class Relational(nn.Module):
    """Message passing on the constraint graph, one call for tokens to logits.

    The graph is data: hyperedges of any number of kinds, each kind with a matrix of its own, so the
    network knows no puzzle's name. A tied block, with the embedded clues added back at every turn,
    follows recurrent networks for puzzles (Palm et al., arXiv 1711.08028; Yang et al., arXiv 2307.04895);
    sharing weights over interchangeable values follows symmetry-equivariant recurrent reasoning models.
    """

    pool: torch.Tensor

    def __init__(self, config: RelationalConfig, graph: ConstraintGraph) -> None:
        """Builds the network for a graph.

        Raises:
            UserInputError: `by_value` on a graph whose values are not interchangeable, or per-puzzle edges.
        """
        super().__init__()
        if config.by_value and not graph.values_interchangeable:
            raise UserInputError(
                "by_value=True needs interchangeable values: set by_value=False for this family"
            )
        self.config, self.n_values = config, graph.n_values
        self.register_buffer("pool", incidence(graph), persistent=False)
        self.groups = tuple(len(edge.cells) for edge in graph.edges)
        self.structure = structure(graph)
        states = 3 if config.by_value else graph.n_values + 1
        self.embed = nn.Embedding(states, config.channels)
        blocks = 1 if config.tied else config.turns
        self.blocks = nn.ModuleList(Block(config, len(graph.edges), states) for _ in range(blocks))
        self.head = nn.Linear(config.channels, 1 if config.by_value else graph.n_values)

    def forward(self, tokens: torch.Tensor, turns: int | None = None) -> torch.Tensor:
        """Logits ``[batch, cells, values]`` of int64 ``tokens [batch, cells]``; value v is entry v - 1.

        Args:
            tokens: MASK or a value counted from 1.
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
        messages = Messages(pool, (pool > 0).to(pool.dtype).T.contiguous(), self.groups)
        blocks = cast(list[Block], list(self.blocks))
        clues = [F.embedding(states, block.inject.weight.to(x.dtype)) for block in blocks]
        for turn in range(turns):
            place = turn % len(blocks)
            x = blocks[place](x, clues[place], messages, states.shape[1] // batch)
        logits: torch.Tensor = self.head(F.layer_norm(x, (self.config.channels,)))
        return logits.float().reshape(cells, batch, self.n_values).transpose(0, 1)

    @property
    def fuses(self) -> bool:
        """Whether the fused kernel knows this network: one tied block, a vector for each (cell, value)."""
        return self.config.by_value and self.config.tied

    def _fused(self, tokens: torch.Tensor, turns: int) -> torch.Tensor:
        """The forward pass by `relational_kernels`, in float32 whatever autocast says."""
        block = cast(Block, self.blocks[0])
        assert block.cell is not None
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
        """``[batch, cells, values]``: 0 unknown, 1 this value, 2 another one; or the tokens themselves."""
        if not self.config.by_value:
            return tokens.unsqueeze(-1)
        value = torch.arange(1, self.n_values + 1, device=tokens.device)
        known = tokens.unsqueeze(-1)
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


def incidence(graph: ConstraintGraph) -> torch.Tensor:
    """float32 ``[edges, cells]``, kinds in order: each row averages the cells of one hyperedge."""
    rows = []
    for edges in graph.edges:
        if edges.cells.ndim != 2:
            raise UserInputError(
                f"edges of kind {edges.kind!r} differ by puzzle: expected one set for the family"
            )
        for members in edges.cells:
            members = members[members >= 0]
            row = torch.zeros(graph.n_cells)
            row[torch.as_tensor(members, dtype=torch.int64)] = 1 / len(members)
            rows.append(row)
    return torch.stack(rows)
