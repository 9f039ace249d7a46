"""The causal block of the autoregressive baseline, what it keeps while decoding, and the baseline's shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from planorder.models.attention import attention
from puzzles.base import UserInputError

PASSES = {"moves": 1, "triples": 3}
"""Formats of moves (see `moves`), and tokens, so forward passes, a move."""


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
        if self.format not in PASSES:
            raise UserInputError(f"format={self.format!r}: expected one of {', '.join(PASSES)}")
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
        self.capacity = capacity = context + config.n_cells * PASSES[config.format]
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


def embedding(n: int, width: int) -> nn.Embedding:
    """A table that starts small, so that the first blocks' updates are not drowned."""
    table = nn.Embedding(n, width)
    nn.init.normal_(table.weight, std=0.02)
    return table
