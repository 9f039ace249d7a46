"""The teacher-forced autoregressive baseline: a causal transformer over the moves of a solve.

A puzzle is a sequence of ``n_cells`` moves (cell, value): the givens in row-major order, then the blanks in
the order that is taught. The model reads a prefix and gives the next move, the cell first, then its value.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from planorder.models.causal import AutoregressiveConfig, Block, DecodeCache, embedding
from planorder.models.context import EdgeTokens, seen_with
from planorder.models.moves import LANGUAGES
from puzzles.base import ConstraintGraph, UserInputError

ORDERS = ("fixed", "random", "solver")
"""Orders of the blanks that can be taught: row-major, uniformly random, the logical solver's."""


class AutoregressiveModel(nn.Module):
    """Causal pre-norm transformer with learned positions over the moves of a solve.

    The baseline of Shah et al. (arXiv 2409.10502) and Kim et al. (arXiv 2502.06768), there GPT-2: here with
    squared ReLU, weightless RMS norm, no biases and output projections that start at zero.
    """

    def __init__(self, config: AutoregressiveConfig, graph: ConstraintGraph | None = None) -> None:
        """Builds the network; ``graph`` is needed for `constraint_embeddings` alone.

        Raises:
            UserInputError: `constraint_embeddings` without a graph.
        """
        super().__init__()
        if config.constraint_embeddings and graph is None:
            raise UserInputError(
                "constraint_embeddings=True needs the family's graph: pass graph=family.graph()"
            )
        self.config = config
        self.language = LANGUAGES[config.format](config, graph)
        self.position = embedding(config.n_cells * self.language.passes, config.width)
        own = graph is not None and graph.puzzle_kinds
        self.context = EdgeTokens(graph, config.width) if graph is not None and own else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(
        self,
        cells: torch.Tensor,
        values: torch.Tensor,
        fills: torch.Tensor,
        edges: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores the moves of whole solves, each given those before it.

        Args:
            cells: int64 ``[batch, n_cells]``, the cells from 0 in the order they are filled.
            values: int64 ``[batch, n_cells]``, their values from 1.
            fills: bool ``[batch, n_cells]``, the moves to score; those that are not givens.
            edges: int64 ``[batch, edges, 1 + members]``, the puzzles' own, read before the moves; or None.

        Returns:
            float32 ``[fills, parts]``, the log-probability of each part of each scored move, the value last
            and the parts of the cell before it; and bool ``[fills, parts]``, whether it is the likeliest.
        """
        symbols = self.language.encode(cells, values)
        tokens = self.read(self.language.embed(symbols)[:, :-1], edges)
        seen = self.seen(edges, tokens.shape[1])
        hidden = self.trunk(tokens, seen=seen)
        scores, hits = [], []
        for logits, target in zip(
            self.language.logits(hidden, symbols, fills, seen), symbols[fills].unbind(1), strict=True
        ):
            scores.append(-F.cross_entropy(logits.float(), target, reduction="none"))
            hits.append(logits.argmax(1) == target)
        return torch.stack(scores, 1), torch.stack(hits, 1)

    def read(self, tokens: torch.Tensor, edges: torch.Tensor | None, first: int = 0) -> torch.Tensor:
        """Tokens ``[batch, tokens, width]`` of moves with their positions, from ``first``; edges before them.

        A token stands for each of ``edges``; those that pad are not looked at.
        """
        placed = tokens + self.position.weight[first : first + tokens.shape[1]]
        if self.context is None or edges is None:
            return placed
        return torch.cat([self.context(edges), placed], 1)

    def seen(self, edges: torch.Tensor | None, tokens: int) -> torch.Tensor | None:
        """bool ``[batch, tokens]``: which of the tokens, those of edges first, are no pads; None: all."""
        if self.context is None or edges is None:
            return None
        return seen_with(edges, tokens - edges.shape[1], before=True)

    def trunk(
        self, tokens: torch.Tensor, cache: DecodeCache | None = None, seen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """States ``[batch, tokens, width]`` after each token with its position; they follow ``cache``."""
        x = self.dropout(tokens)
        for i, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layers[i], seen)
        return x

    def new_cache(self, edges: torch.Tensor | None = None) -> DecodeCache:
        """An empty cache, with room for ``edges [batch, edges, 1 + members]`` before the moves."""
        return DecodeCache(self.config, 0 if self.context is None or edges is None else edges.shape[1])

    def begin(
        self, symbols: torch.Tensor, cache: DecodeCache, edges: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reads the puzzles' own edges and the first moves ``symbols [batch, moves, parts]``.

        Returns the logits of the next move's first part.
        """
        cache.seen = self.seen(edges, cache.capacity)
        cache.hidden = self.trunk(self.read(self.language.embed(symbols), edges), cache, cache.seen)
        return self.language.next_logits(0, symbols.new_zeros(len(symbols), self.language.parts), cache)

    def advance(self, part: int, move: torch.Tensor, cache: DecodeCache) -> torch.Tensor:
        """Takes ``part`` of ``move [batch, parts]``; gives logits ``[batch, symbols]`` of the next part."""
        token = self.language.token(part, move)
        if token is not None:
            cache.hidden = self.trunk(self.read(token, None, cache.read_moves), cache, cache.seen)
        return self.language.next_logits((part + 1) % self.language.parts, move, cache)


def move_order(
    clues: torch.Tensor,
    order: str,
    rank: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """The cells in the order of their moves, int64 ``[batch, cells]``: givens row-major, then the blanks.

    Args:
        clues: int64 ``[batch, cells]``; 0 is blank.
        order: of the blanks: "fixed" (row-major), "random" (a uniform permutation a row) or "solver".
        rank: int64 ``[batch, cells]``, at least 0 on blanks; needed by "solver".
        generator: where "random" takes its permutations from.

    Raises:
        UserInputError: an unknown order, or blanks without a rank.
    """
    index = torch.arange(clues.shape[1], device=clues.device).expand_as(clues)
    if order == "fixed":
        key = index
    elif order == "random":
        source = generator.device if generator is not None else clues.device
        key = torch.rand(clues.shape, generator=generator, dtype=torch.float64, device=source).to(
            clues.device
        )
    elif order == "solver":
        if rank is None or bool(((rank < 0) & (clues == 0)).any()):
            raise UserInputError(
                "order 'solver': blanks have no rank: rate the puzzles first, or use 'fixed'"
            )
        key = rank
    else:
        raise UserInputError(f"order={order!r}: expected one of {', '.join(ORDERS)}")
    return key.masked_fill(clues > 0, -1).argsort(dim=1, stable=True)
