"""The `transformer` backbone: the plain bidirectional network of the masked diffusion papers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from planorder.models.attention import attention
from planorder.models.context import EdgeTokens, seen_with
from planorder.models.relational import incidence
from puzzles.base import ConstraintGraph, UserInputError


@dataclass(frozen=True)
class TransformerConfig:
    """Shape of a `Transformer`.

    Attributes:
        layers: number of blocks.
        width: width of the residual stream.
        heads: attention heads; must divide the width.
        mlp_ratio: width inside the MLP over the width.
        constraint_embeddings: whether a cell's input also says in which constraints it stands (for Sudoku
            its row, column and box); the papers' networks have learned positions alone.
        dropout: probability of dropping a channel of a block's outputs while training.
        noisy: whether a value v that may be noise, token n + v, is told from a clue of that value, token v;
            for `forward_process` noise of values.
        self_conditioning: whether it also reads the probabilities that it gave in the step before (arXiv
            2208.04202), through a matrix that is 0 at first.
    """

    layers: int = 4
    width: int = 160
    heads: int = 5
    mlp_ratio: int = 4
    constraint_embeddings: bool = True
    dropout: float = 0.0
    noisy: bool = False
    self_conditioning: bool = False

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "mlp_ratio"):
            if getattr(self, name) < 1:
                raise UserInputError(f"{name}={getattr(self, name)}: expected at least 1")
        if self.width % self.heads:
            raise UserInputError(f"heads={self.heads}: expected a divisor of width={self.width}")


class Layer(nn.Module):
    """Pre-norm attention over all cells, then a GELU MLP (GPT-2's block without its causal mask)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.mlp_ratio * width)
        self.down = nn.Linear(config.mlp_ratio * width, width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        """``[batch, tokens, width]`` to the same; ``seen`` as in `attention`."""
        drop = self.dropout if self.training else 0.0
        batch, cells, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).reshape(batch, cells, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        heard = attention(q, k, v, causal=False, seen=seen)
        x = x + F.dropout(self.project(heard.transpose(1, 2).reshape(batch, cells, width)), drop)
        return x + F.dropout(self.down(F.gelu(self.up(self.mlp_norm(x)))), drop)


class Transformer(nn.Module):
    """Bidirectional GPT-2-style network (Kim et al., arXiv 2502.06768, App. D: 3 x 384, 12 heads)."""

    membership: torch.Tensor

    def __init__(self, config: TransformerConfig, graph: ConstraintGraph) -> None:
        super().__init__()
        self.config, self.n_values = config, graph.n_values
        self.embed = nn.Embedding(graph.n_values * (2 if config.noisy else 1) + 1, config.width)
        self.position = nn.Parameter(torch.randn(graph.n_cells, config.width) * 0.02)
        member = (incidence(graph.n_cells, graph.edges) > 0).float().T
        self.register_buffer("membership", member, persistent=False)
        constraints = self.membership.shape[1] if config.constraint_embeddings else 0
        self.constraint = nn.Parameter(torch.randn(constraints, config.width)) if constraints else None
        self.context = EdgeTokens(graph, config.width) if graph.puzzle_kinds else None
        reads = torch.zeros(graph.n_values, config.width)
        self.previous = nn.Parameter(reads) if config.self_conditioning else None
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, graph.n_values)

    def forward(
        self, tokens: torch.Tensor, edges: torch.Tensor | None = None, previous: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits ``[batch, cells, values]`` of int64 ``tokens [batch, cells]``; value v is entry v - 1.

        A puzzle's own ``edges``, int64 ``[batch, edges, 1 + members]``, are further tokens, one each.
        ``previous``, the probabilities ``[batch, cells, values]`` of the step before, or None at the first,
        is for self-conditioned networks.
        """
        place: torch.Tensor = self.position
        if self.constraint is not None:
            place = place + self.membership @ self.constraint
        x = self.embed(tokens) + place
        if self.previous is not None and previous is not None:
            x = x + previous.to(self.previous.dtype) @ self.previous
        seen = None
        if self.context is not None and edges is not None:
            x = torch.cat([x, self.context(edges)], 1)
            seen = seen_with(edges, tokens.shape[1], before=False)
        for layer in self.layers:
            x = layer(x, seen)
        logits: torch.Tensor = self.head(self.norm(x[:, : tokens.shape[1]]))
        return logits.float()
