"""How the moves of a solve are written as tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional as F

from planorder.models.causal import PASSES, AutoregressiveConfig, Block, DecodeCache, embedding, norm
from planorder.models.relational import incidence
from puzzles.base import ConstraintGraph


class AbstractLanguage(nn.Module, ABC):
    """How moves are written: a move is ``parts`` symbols, the last of them the value."""

    parts: int
    """Symbols a move."""
    passes: int
    """Tokens, and so forward passes, a move."""

    @abstractmethod
    def encode(self, cells: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """int64 symbols ``[..., parts]`` of cells from 0 and values from 1, both int64 ``[...]``."""

    @abstractmethod
    def decode(self, symbols: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cells from 0 and values from 1, both int64 ``[...]``, of symbols ``[..., parts]``."""

    @abstractmethod
    def embed(self, symbols: torch.Tensor) -> torch.Tensor:
        """The start and the moves ``[batch, moves, parts]``: ``[batch, 1 + moves * passes, width]``."""

    @abstractmethod
    def logits(
        self,
        hidden: torch.Tensor,
        symbols: torch.Tensor,
        fills: torch.Tensor,
        seen: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Logits ``[fills, symbols]`` of each part, teacher-forced, of the moves that ``fills`` marks.

        ``hidden [batch, context + moves * passes, width]`` are the states before the tokens, after those of
        the context; ``fills`` is bool ``[batch, moves]``; ``seen`` as in `attention`.
        """

    @abstractmethod
    def allowed(self, part: int, move: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
        """Symbols that keep to blank cells, bool ``[batch, symbols]``.

        Args:
            part: the part that is chosen now.
            move: int64 ``[batch, parts]``, of which the parts before ``part`` are chosen.
            blank: bool ``[batch, cells]``.
        """

    @abstractmethod
    def token(self, part: int, move: torch.Tensor) -> torch.Tensor | None:
        """The token ``[batch, 1, width]`` that ``part`` of ``move [batch, parts]`` completes, if it does."""

    @abstractmethod
    def next_logits(self, part: int, move: torch.Tensor, cache: DecodeCache) -> torch.Tensor:
        """Logits ``[batch, symbols]`` of ``part``, after the parts of ``move`` before it."""


class Place(nn.Module):
    """A cell's embedding: one of its own and, given a graph, those of the constraints it stands in."""

    member: torch.Tensor | None

    def __init__(self, config: AutoregressiveConfig, graph: ConstraintGraph | None) -> None:
        super().__init__()
        self.own = embedding(config.n_cells, config.width)
        member = None if graph is None else (incidence(graph.n_cells, graph.edges) > 0).float().T
        self.register_buffer("member", member, persistent=False)
        self.constraint = None if member is None else embedding(member.shape[1], config.width)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """``[..., width]`` of int64 cells ``[...]``."""
        table = self.own.weight
        if self.constraint is not None and self.member is not None:
            table = table + self.member @ self.constraint.weight
        return F.embedding(cells, table)


class Moves(AbstractLanguage):
    """One token a move: the cell's and the value's embedding added up.

    The state gives the next cell. A last block then adds the embedding of the chosen cell to the state and
    looks back over the moves once more, from that cell, for its value: a linear readout of state plus cell
    could only add the two.
    """

    parts, passes = 2, PASSES["moves"]

    def __init__(self, config: AutoregressiveConfig, graph: ConstraintGraph | None) -> None:
        super().__init__()
        graph = graph if config.constraint_embeddings else None
        self.start = nn.Parameter(torch.empty(config.width).normal_(std=0.02))
        self.cell = Place(config, graph)
        self.value = embedding(config.n_values, config.width)
        self.chosen = Place(config, graph)
        self.cell_head = nn.Linear(config.width, config.n_cells, bias=False)
        self.value_block = Block(config)
        self.value_head = nn.Linear(config.width, config.n_values, bias=False)

    def encode(self, cells: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Symbols are the cell and the value counted from 0."""
        return torch.stack([cells, values - 1], -1)

    def decode(self, symbols: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The inverse of `encode`."""
        return symbols[..., 0], symbols[..., 1] + 1

    def embed(self, symbols: torch.Tensor) -> torch.Tensor:
        """See `AbstractLanguage.embed`."""
        tokens = self.cell(symbols[..., 0]) + self.value(symbols[..., 1])
        return torch.cat([self.start.expand(len(symbols), 1, -1), tokens], 1)

    def logits(
        self,
        hidden: torch.Tensor,
        symbols: torch.Tensor,
        fills: torch.Tensor,
        seen: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """See `AbstractLanguage.logits`."""
        context = hidden.shape[1] - fills.shape[1]
        chosen = F.pad(self.chosen(symbols[..., 0]), (0, 0, context, 0))
        at_cell = self.value_block.attend(hidden + chosen, hidden, seen=seen)[:, context:][fills]
        before = hidden[:, context:][fills]
        return [self.cell_head(norm(before)), self.value_head(norm(self.value_block.think(at_cell)))]

    def allowed(self, part: int, move: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
        """Blank cells, then any value."""
        return blank if part == 0 else blank.new_ones(len(blank), self.value_head.out_features)

    def token(self, part: int, move: torch.Tensor) -> torch.Tensor | None:
        """The move, once its value is known."""
        return None if part == 0 else self.embed(move[:, None])[:, 1:]

    def next_logits(self, part: int, move: torch.Tensor, cache: DecodeCache) -> torch.Tensor:
        """See `AbstractLanguage.next_logits`."""
        newest = cache.hidden[:, -1:]
        if part == 0:
            return self.cell_head(norm(newest[:, 0]))
        query = newest + self.chosen(move[:, :1])
        at_cell = self.value_block.attend(query, cache.hidden, cache.value, cache.seen)
        return self.value_head(norm(self.value_block.think(at_cell[:, 0])))


class Triples(AbstractLanguage):
    """Three tokens a move, row, column and value, as Shah et al. (arXiv 2409.10502) write a solve.

    Rows and columns count from 0 and values from 1 in one vocabulary, 0 to 9 for 9x9, and one more symbol,
    the last, stands for the start: 11. Every sequence has all its moves, so nothing is padded.
    """

    parts, passes = 3, PASSES["triples"]

    def __init__(self, config: AutoregressiveConfig, graph: ConstraintGraph | None) -> None:
        super().__init__()
        self.rows, self.columns, self.n_values = config.rows, config.columns, config.n_values
        self.start = max(config.rows, config.columns, config.n_values + 1)
        self.symbol = embedding(self.start + 1, config.width)
        self.head = nn.Linear(config.width, self.start + 1, bias=False)

    def encode(self, cells: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Symbols are the row, the column, and the value counted from 1."""
        return torch.stack([cells // self.columns, cells % self.columns, values], -1)

    def decode(self, symbols: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The inverse of `encode`."""
        return symbols[..., 0] * self.columns + symbols[..., 1], symbols[..., 2]

    def embed(self, symbols: torch.Tensor) -> torch.Tensor:
        """See `AbstractLanguage.embed`."""
        return self.symbol(F.pad(symbols.flatten(1), (1, 0), value=self.start))

    def logits(
        self,
        hidden: torch.Tensor,
        symbols: torch.Tensor,
        fills: torch.Tensor,
        seen: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """See `AbstractLanguage.logits`."""
        context = hidden.shape[1] - fills.shape[1] * self.parts
        before = hidden[:, context:].reshape(*fills.shape, self.parts, -1)[fills]
        return list(self.head(norm(before)).unbind(1))

    def allowed(self, part: int, move: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
        """Rows that have blanks, then the blanks' columns in the chosen row, then values."""
        grid = blank.view(-1, self.rows, self.columns)
        if part == 0:
            known = grid.any(2)
        elif part == 1:
            known = grid[torch.arange(len(grid), device=grid.device), move[:, 0]]
        else:
            known = F.pad(blank.new_ones(len(blank), self.n_values), (1, 0))
        return F.pad(known, (0, self.start + 1 - known.shape[1]))

    def token(self, part: int, move: torch.Tensor) -> torch.Tensor | None:
        """Each symbol is a token."""
        return self.symbol(move[:, part : part + 1])

    def next_logits(self, part: int, move: torch.Tensor, cache: DecodeCache) -> torch.Tensor:
        """See `AbstractLanguage.next_logits`."""
        return self.head(norm(cache.hidden[:, -1]))


LANGUAGES: dict[str, type[AbstractLanguage]] = {"moves": Moves, "triples": Triples}
