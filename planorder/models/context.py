"""Puzzles' own constraints (`PuzzleBatch.edges`) as what networks read: tokens, or messages to cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from puzzles.base import ConstraintGraph


def members_of(graph: ConstraintGraph) -> int:
    """Most members of an edge that has roles."""
    shared = [len(edges.roles) for edges in graph.edges]
    return max([len(kind.roles) for kind in graph.puzzle_kinds] + shared, default=0)


def edge_tensor(edges: np.ndarray | None, device: str | torch.device = "cpu") -> torch.Tensor | None:
    """Puzzles' own edges (`PuzzleBatch.edges`) as int64, without the columns that pad every puzzle."""
    if edges is None:
        return None
    used = np.flatnonzero((edges[..., 0] >= 0).any(axis=0))
    width = int(used[-1]) + 1 if len(used) else 0
    return torch.from_numpy(edges[:, :width].astype(np.int64)).to(device)


def logits_of(
    model: Callable[..., torch.Tensor],
    tokens: torch.Tensor,
    edges: torch.Tensor | None,
    previous: torch.Tensor | None = None,
) -> torch.Tensor:
    """``model(tokens)``, or ``model(tokens, edges)`` where the puzzles have edges of their own.

    A self-conditioned network also gets its probabilities of the step before, of which ``previous`` are the
    log-probabilities ``[batch, cells, values]``.
    """
    given = (tokens,) if edges is None else (tokens, edges)
    if previous is None or not is_self_conditioned(model):
        return model(*given)
    return model(*given, previous=previous.exp())


@contextmanager
def evaluated(model: Callable[..., torch.Tensor], device: str | torch.device) -> Iterator[None]:
    """Moves a network to a device to stay, and puts it in eval mode for the block."""
    if not isinstance(model, nn.Module):
        yield
        return
    was_training = model.training
    model.to(device).eval()
    try:
        yield
    finally:
        model.train(was_training)


def is_self_conditioned(model: Callable[..., torch.Tensor]) -> bool:
    """Whether a network of ours reads what it said in the step before."""
    return bool(getattr(getattr(model, "config", None), "self_conditioning", False))


class EdgeTokens(nn.Module):
    """One token an edge, for networks that attend: its kind's embedding and, by role, its members' own."""

    def __init__(self, graph: ConstraintGraph, width: int) -> None:
        super().__init__()
        self.nodes, self.members = graph.n_cells, members_of(graph)
        self.kind = nn.Embedding(len(graph.puzzle_kinds) + 1, width)
        self.member = nn.Embedding(self.members * (graph.n_cells + 1), width)
        nn.init.normal_(self.kind.weight, std=0.02)
        nn.init.normal_(self.member.weight, std=0.02)

    def forward(self, edges: torch.Tensor) -> torch.Tensor:
        """``[batch, edges, width]``; those that pad (-1) are not to be looked at, see `seen_with`."""
        role = torch.arange(self.members, device=edges.device) * (self.nodes + 1)
        return self.kind(edges[..., 0] + 1) + self.member(edges[..., 1:] + 1 + role).sum(2)


def seen_with(edges: torch.Tensor, tokens: int, before: bool) -> torch.Tensor:
    """bool ``[batch, edges + tokens]``: all but what pads; edges stand before or last."""
    real = edges[..., 0] >= 0
    ones = real.new_ones(len(edges), tokens)
    return torch.cat([real, ones] if before else [ones, real], 1)


class Incidence(NamedTuple):
    """Edges with roles as a block uses them.

    Attributes:
        hear: ``[batch or 1, members * edges, cells]``, 1 where a cell is that member of that edge.
        tell: its transpose.
        kind: int64 ``[batch or 1, edges]``, from 0.
    """

    hear: torch.Tensor
    tell: torch.Tensor
    kind: torch.Tensor


def incidence_of(edges: torch.Tensor, n_cells: int, dtype: torch.dtype) -> Incidence:
    """The incidence of int64 ``edges [batch, edges, 1 + members]``; pads hear and tell nothing."""
    place = edges[..., 1:].mT.flatten(1) + 1
    hear = F.one_hot(place, n_cells + 1)[..., 1:].to(dtype)
    return Incidence(hear, hear.mT.contiguous(), edges[..., 0].clamp(min=0))


class SharedEdges(NamedTuple):
    """Edges with roles that all puzzles share, none with pads, as a block uses them.

    Attributes:
        cells: a member, int64 ``[different cells]`` that are that member of some edge.
        place: a member, int64 ``[edges]``, which of its ``cells`` it is.
        kind: int64 ``[edges]``, from 0.
    """

    cells: tuple[torch.Tensor, ...]
    place: tuple[torch.Tensor, ...]
    kind: torch.Tensor


def shared_edges(edges: torch.Tensor) -> SharedEdges:
    """int64 ``edges [edges, 1 + members]`` without pads, taken apart."""
    found = [member.unique(return_inverse=True) for member in edges[:, 1:].unbind(1)]
    return SharedEdges(tuple(cells for cells, _ in found), tuple(place for _, place in found), edges[:, 0])


class EdgeMessages(nn.Module):
    """What the cells of edges with roles tell each other.

    An edge hears each member through the matrix of its role, adds the embedding of its kind, squares the
    ReLU, and tells each member through another matrix of its role. Starts as telling nothing.
    """

    def __init__(self, channels: int, kinds: int, members: int) -> None:
        super().__init__()
        self.members = members
        self.kind = nn.Embedding(kinds, channels)
        self.hear = nn.Parameter(torch.empty(members, channels, channels).normal_(std=channels**-0.5))
        self.tell = nn.Parameter(torch.zeros(channels, members * channels))
        nn.init.normal_(self.kind.weight, std=0.5)

    def forward(self, y: torch.Tensor, edges: Incidence) -> torch.Tensor:
        """``y [batch, cells, channels]`` to what its cells are told, of the same shape."""
        batch, _, c = y.shape
        heard = (edges.hear @ y).reshape(batch, self.members, -1, c)
        said = torch.einsum("bmec,mcd->bed", heard, self.hear.to(y.dtype)) + self.kind(edges.kind)
        told = F.relu(said).square().to(y.dtype) @ self.tell.to(y.dtype)
        told = told.reshape(batch, -1, self.members, c).transpose(1, 2).reshape(batch, -1, c)
        return edges.tell @ told

    def shared(self, y: torch.Tensor, edges: SharedEdges) -> torch.Tensor:
        """The same for shared edges, cells first: ``y [cells, rows, channels]`` to what they are told.

        Cells are looked up, and multiplied by the matrix of a role once, however many edges they stand in.
        """
        rows, c = y.shape[1:]
        said = self.kind(edges.kind)[:, None]
        for cells, place, hear in zip(edges.cells, edges.place, self.hear.to(y.dtype), strict=True):
            said = said + (y[cells] @ hear)[place]
        spoken, told = F.relu(said).square().to(y.dtype), torch.zeros_like(y)
        for cells, place, tell in zip(
            edges.cells, edges.place, self.tell.to(y.dtype).split(c, 1), strict=True
        ):
            summed = spoken.new_zeros(len(cells), rows, c).index_add(0, place, spoken)
            told = told.index_add(0, cells, summed @ tell)
        return told
