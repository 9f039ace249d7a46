"""How the moves of a solve are written as tokens, and the causal block that reads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from planorder.models.attention import attention
from planorder.models.relational import incidence
from puzzles.base import ConstraintGraph, UserInputError


@dataclass(frozen=True)
class AutoregressiveConfig:
    """Shape of an `AutoregressiveModel`; the paper: triples, 8 layers, width 576, 8 heads, 6x, dropout 0.2.

    Attributes:
        n_cells: number of cells, ``rows * columns``.
        n_values: number of values a cell can take.
        rows: rows of the grid.
        columns: columns of the grid.
        format: "moves" (one token a move) or "triples" (row, column, value: three tokens a move).
        layers: causal blocks; "moves" has one more, which reads the chosen cell and gives its value.
        width: channels of the residual stream, a multiple of ``heads``.
        heads: attention heads.
        mlp_ratio: hidden width of a block's MLP in multiples of ``width``.
        dropout: probability of dropping a channel of the embeddings and of each block's two outputs.
        constraint_embeddings: whether a move of "moves" also says in which constraints its cell stands (for
            Sudoku its row, column and box); the paper's network has embeddings of symbols alone.
    """

    n_cells: int
    n_values: int
    rows: int
    columns: int
    format: str = "moves"
    layers: int = 6
    width: int = 192
    heads: int = 6
    mlp_ratio: int = 4
    dropout: float = 0.0
    constraint_embeddings: bool = False

    def __post_init__(self) -> None:
        for name in ("n_cells", "n_values", "layers", "width", "heads", "mlp_ratio"):
            if getattr(self, name) < 1:
                raise UserInputError(f"{name}={getattr(self, name)}: expected at least 1")
        if self.rows * self.columns != self.n_cells:
            raise UserInputError(
                f"grid {self.rows}x{self.columns}: expected n_cells={self.n_cells} cells in it"
            )
        if self.width % self.heads:
            raise UserInputError(f"width={self.width}: expected a multiple of heads={self.heads}")
        if not 0 <= self.dropout < 1:
            raise UserInputError(
                f"dropout={self.dropout}: expected a probability from 0 up to, not including, 1"
            )
        if self.format not in LANGUAGES:
            raise UserInputError(f"format={self.format!r}: expected one of {', '.join(LANGUAGES)}")
        if self.constraint_embeddings and self.format != "moves":
            raise UserInputError(
                "constraint_embeddings=True needs format='moves': a triple has no token a cell"
            )


class LayerCache:
    """Keys and values of the tokens one block has read, in a buffer made once for all ``capacity`` tokens."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.length = capacity, 0
        self.buffer: torch.Tensor | None = None

    def append(self, new: torch.Tensor) -> torch.Tensor:
        """Adds ``new [2, batch, heads, tokens, head width]``; returns the same for all tokens so far."""
        if self.buffer is None:
            self.buffer = new.new_empty(*new.shape[:3], self.capacity, new.shape[4])
        end = self.length + new.shape[3]
        self.buffer[:, :, :, self.length : end] = new
        self.length = end
        return self.buffer[:, :, :, :end]


class DecodeCache:
    """What a decode keeps between two passes: every block's keys and values, and the newest hidden states.

    ``seen [batch, capacity]`` says which tokens are not those of edges that pad; None where there are none.
    """

    def __init__(self, config: AutoregressiveConfig, context: int = 0) -> None:
        self.capacity = capacity = context + config.n_cells * LANGUAGES[config.format].passes
        self.context = context
        self.layers = [LayerCache(capacity) for _ in range(config.layers)]
        self.value = LayerCache(capacity)
        self.hidden = torch.empty(0)
        self.seen: torch.Tensor | None = None

    @property
    def read_moves(self) -> int:
        """Tokens of moves read so far, the start among them."""
        return self.layers[0].length - self.context


class Block(nn.Module):
    """Pre-norm attention from ``x`` over ``memory`` (its own past, or that of another stream), then an MLP.

    Output projections start at zero, so a new block is the identity.
    """

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.query = nn.Linear(width, width, bias=False)
        self.memory = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, config.mlp_ratio * width, bias=False)
        self.down = nn.Linear(config.mlp_ratio * width, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(
        self, x: torch.Tensor, cache: LayerCache | None = None, seen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Attends to the past of ``x [batch, tokens, width]`` itself; ``seen`` as in `attention`."""
        return self.think(self.attend(x, x, cache, seen))

    def attend(
        self,
        x: torch.Tensor,
        memory: torch.Tensor,
        cache: LayerCache | None = None,
        seen: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """``x [batch, queries, width]`` plus what it attends to.

        Args:
            x: the queries: as many as there are tokens in ``memory``, each seeing those up to its own, or
                a single one, the newest, which sees all.
            memory: ``[batch, tokens, width]``, the tokens that are not in ``cache`` yet.
            cache: earlier tokens; None where ``memory`` holds them all.
            seen: bool ``[batch, at least tokens]``, which tokens may be looked at; None: all.
        """
        batch, queries, width = x.shape
        q = self.query(norm(x)).view(batch, queries, self.heads, -1).transpose(1, 2)
        kv = self.memory(norm(memory)).view(batch, memory.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        k, v = (kv if cache is None else cache.append(kv)).unbind()
        heard = attention(q, k, v, causal=True, seen=seen)
        return x + self.dropout(self.out(heard.transpose(1, 2).reshape(batch, queries, width)))

    def think(self, x: torch.Tensor) -> torch.Tensor:
        """``x [..., width]`` plus its MLP."""
        return x + self.dropout(self.down(F.relu(self.up(norm(x))).square()))


def norm(x: torch.Tensor) -> torch.Tensor:
    """RMS norm over the last axis, without weights."""
    return F.rms_norm(x, (x.shape[-1],))


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

    parts, passes = 2, 1

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

    parts, passes = 3, 3

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


def embedding(n: int, width: int) -> nn.Embedding:
    """A table that starts small, so that the first blocks' updates are not drowned."""
    table = nn.Embedding(n, width)
    nn.init.normal_(table.weight, std=0.02)
    return table
