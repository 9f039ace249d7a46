"""Teacher forcing on the moves of a solve, in a fixed, a random or the logical solver's order."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from planorder.models.autoregressive import ORDERS, AutoregressiveModel, move_order
from puzzles.base import UserInputError


@dataclass(frozen=True)
class AutoregressiveObjective:
    """Next-move loss on the fills: ``-log p(cell | past) - log p(value | past, cell)``, in nats.

    Givens come first, row-major, and cost nothing (Shah et al., arXiv 2409.10502; "AR with and without
    ordering" in Kim et al., arXiv 2502.06768). The mean is over all fills of the batch, so a puzzle weighs as
    its blanks. Departure: a triple's three terms are added, not averaged, so that the loss is per move in
    either format and the two can be compared.

    Attributes:
        order: of the blanks: "fixed" (row-major), "random" (a fresh permutation an example) or "solver".
    """

    order: str

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UserInputError(f"order={self.order!r}: expected one of {', '.join(ORDERS)}")

    def __call__(
        self,
        model: AutoregressiveModel,
        clues: torch.Tensor,
        solution: torch.Tensor,
        rank: torch.Tensor,
        generator: torch.Generator,
        edges: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a batch, 0-d float32, and its parts, detached.

        Args:
            model: called on whole solves.
            clues: int64 ``[batch, cells]``; 0 is blank, values count from 1. At least one blank in the batch.
            solution: int64 ``[batch, cells]``; values from 1.
            rank: int64 ``[batch, cells]``, the solver's order; read by "solver" alone.
            generator: where "random" takes its permutations from.
            edges: int64 ``[batch, edges, 1 + members]``, the puzzles' own, read before the moves; or None.

        Returns:
            Loss and 0-d metrics: ``cell_loss`` and ``value_loss`` in nats a move, and ``cell_accuracy`` and
            ``value_accuracy``, the shares of fills whose taught cell, and whose value, is the likeliest.
        """
        cells = move_order(clues, self.order, rank, generator)
        fills = clues.gather(1, cells) == 0
        log_probs, hits = model(cells, solution.gather(1, cells), fills, edges)
        cell_loss, value_loss = -log_probs[:, :-1].sum(1).mean(), -log_probs[:, -1].mean()
        metrics = {
            "cell_loss": cell_loss.detach(),
            "value_loss": value_loss.detach(),
            "cell_accuracy": hits[:, :-1].all(1).float().mean(),
            "value_accuracy": hits[:, -1].float().mean(),
        }
        return cell_loss + value_loss, metrics
