"""Which blanks may be filled now: ``see(view) -> view`` that narrows ``allowed``, by blocks or by a graph.

The rules of a strategy read ``view.allowed``, so any order and budget work within what is allowed. Where that
is no blank of a row, the loop lets it fill any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

import torch

from planorder.decoding.view import StepView
from puzzles.base import UserInputError


@dataclass(frozen=True)
class Blocks:
    """Semi-autoregressive: only the first block that has blanks, blocks of ``size`` cells from left to right.

    LLaDA (arXiv:2502.09992), block diffusion (BD3-LM, arXiv:2503.09573), Fast-dLLM (arXiv:2505.22618). Size 1
    is left to right; at least as many as there are cells is no blocks at all. The samplers give each block
    an equal share of the steps; `budgets.Schedule` counts over the puzzle instead, blocks without blanks
    cost nothing, and a block never shares a step with the next.

    Attributes:
        size: cells a block, >= 1.
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserInputError(f"size={self.size}: expected at least 1 cell a block")

    def __call__(self, view: StepView) -> StepView:
        """The view with ``allowed`` bool ``[batch, cells]`` in one block."""
        n_cells = view.tokens.shape[1]
        block = torch.arange(n_cells, device=view.tokens.device) // self.size
        first = block.expand(view.tokens.shape).masked_fill(~view.allowed, n_cells).amin(1, keepdim=True)
        return replace(view, allowed=view.allowed & (block == first))


@dataclass(frozen=True)
class GivenDag:
    """Only blanks whose parents are all filled: a directed acyclic graph over the cells, known beforehand.

    ``dag`` with ``confidence_topk`` of VAST-UVA/dLLM_Reason, where the order within what is ready is p1, and
    ``adaptive_dag``, whose bypass of a graph in which no cell is ready a graph without circles never needs.
    No parents is no restriction, all earlier cells as parents is left to right; clues are filled from the
    start.

    Attributes:
        parents: for every cell, the cells that come before it.
    """

    parents: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        try:
            TopologicalSorter(dict(enumerate(self.parents))).prepare()
        except CycleError as error:
            raise UserInputError(f"parents {error.args[1]} go round: expected an acyclic graph") from error
        n_cells = len(self.parents)
        if any(not 0 <= parent < n_cells for parents in self.parents for parent in parents):
            raise UserInputError(f"a parent is none of the cells 0..{n_cells - 1}: expected a tuple a cell")

    def __call__(self, view: StepView) -> StepView:
        """The view with ``allowed`` bool ``[batch, cells]`` among the blanks that are ready.

        Raises:
            UserInputError: another number of cells than the puzzles have.
        """
        n_cells = view.tokens.shape[1]
        if len(self.parents) != n_cells:
            raise UserInputError(
                f"parents of {len(self.parents)} cells for puzzles of {n_cells}: expected one tuple a cell"
            )
        n_open = view.blank.float() @ parent_matrix(self.parents, view.tokens.device)
        return replace(view, allowed=view.allowed & (n_open == 0))


@lru_cache(maxsize=64)
def parent_matrix(parents: tuple[tuple[int, ...], ...], device: torch.device) -> torch.Tensor:
    """float32 ``[cells, cells]``: 1 at (parent, child), built once a device."""
    matrix = torch.zeros(len(parents), len(parents))
    for child, its_parents in enumerate(parents):
        matrix[list(its_parents), child] = 1.0
    return matrix.to(device)
