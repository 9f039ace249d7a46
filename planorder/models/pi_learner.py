"""The pi-learner: a causal transformer over the solution, read in one fixed order of its cells."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from planorder.models.causal import AutoregressiveConfig, Block, embedding, norm
from planorder.models.context import EdgeTokens, seen_with
from puzzles.base import ConstraintGraph, UserInputError

START = 0
"""The symbol before the first cell; values count from 1."""


class PiLearner(nn.Module):
    """log p(x) = sum over i of log p(x[pi(i)] | x[pi(0)], ..., x[pi(i - 1)]) for one permutation pi.

    The pi-learner of Kim et al. (arXiv:2502.06768, Figure 2 left): an ordinary autoregressive network trained
    on permuted sequences, with learned positions, since neighbours in pi(x) need not be so in x. pi is fixed:
    a token's position says which cell comes next, and no token has to. The mean of its loss over all pi is
    the loss of masked diffusion (their Appendix E). Departures: the blocks are those of `causal` (squared
    ReLU, weightless RMS norm, no biases, output projections that start at zero); the sequence is the solution
    of a puzzle, not text. Where puzzles have clues of their own x is given them: a token a clue stands before
    the sequence, in no order, and is not predicted.
    """

    order: torch.Tensor

    def __init__(
        self, config: AutoregressiveConfig, order: torch.Tensor, graph: ConstraintGraph | None = None
    ) -> None:
        """Builds the network.

        Args:
            config: shape; ``format`` and ``constraint_embeddings`` play no part.
            order: int64 ``[cells]``, pi: the cells from 0 in the order they are read.
            graph: of puzzles whose own edges are read before the cells.

        Raises:
            UserInputError: an order that does not name each cell once.
        """
        super().__init__()
        if sorted(order.tolist()) != list(range(config.n_cells)):
            raise UserInputError(f"order of {len(order)} cells: expected each of {config.n_cells} cells once")
        self.register_buffer("order", order)
        self.symbol = embedding(config.n_values + 1, config.width)
        self.position = embedding(config.n_cells, config.width)
        self.context = EdgeTokens(graph, config.width) if graph is not None and graph.puzzle_kinds else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.n_values, bias=False)
        nn.init.zeros_(self.head.weight)

    def forward(self, solution: torch.Tensor, edges: torch.Tensor | None = None) -> torch.Tensor:
        """float32 ``[batch, cells]``: log-probability in nats of each token of pi(x), given those before it.

        Args:
            solution: int64 ``[batch, cells]``, values from 1, in the order of the cells.
            edges: int64 ``[batch, edges, 1 + members]``, the puzzles' own, where the network reads them.
        """
        read = solution[:, self.order]
        x = self.symbol(F.pad(read[:, :-1], (1, 0), value=START)) + self.position.weight
        seen = None
        if self.context is not None and edges is not None:
            x = torch.cat([self.context(edges), x], 1)
            seen = seen_with(edges, read.shape[1], before=True)
        for block in self.blocks:
            x = block(x, seen=seen)
        logits = self.head(norm(x[:, -read.shape[1] :])).float()
        return -F.cross_entropy(logits.flatten(0, 1), read.flatten() - 1, reduction="none").view(read.shape)
