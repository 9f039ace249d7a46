"""Orders by what cells have to do with each other: by alike predictions, or by the rules that they share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from planorder.decoding.adaptive import memory_of
from planorder.decoding.orders import TopProb
from planorder.decoding.view import StepView
from planorder.tokens import MASK
from puzzles.base import ConstraintGraph, UserInputError


@dataclass(frozen=True)
class Influence:
    """Memory: how alike two blanks' predictions are, I <- momentum I + (1 - momentum) max(0, cos(p_i, p_j)).

    ``adaptive_dynamic`` of VAST-UVA/dLLM_Reason (code, no paper). The cosine counts between blanks alone, so
    that of a cell just filled half (at momentum 0.5) is left in the next step, a quarter in the one after.

    Attributes:
        momentum: in [0, 1); 0 forgets.
    """

    momentum: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise UserInputError(f"momentum={self.momentum}: expected a number in [0, 1)")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float32 ``[batch, cells, cells]``, 0 to 1 but for rounding; a blank is like itself."""
        p = view.log_probs.exp()
        p = (p / p.norm(dim=-1, keepdim=True)).masked_fill(~view.blank[..., None], 0.0)
        now = p @ p.transpose(1, 2)
        return now if view.memory is None else torch.lerp(now, view.memory, self.momentum)


@dataclass(frozen=True)
class Readiness:
    """score = r p1, r the share of a blank's parents that are filled, 1 without any (`Influence` remembers).

    Parents are the cells of larger p1 whose influence is above the threshold; threshold 1 is p1. As blanks
    alone have influence, a filled parent is one of the last few steps. The surest blank's parents are all
    filled, so that it comes first: one cell a step this is p1, several a step it keeps apart what is alike.

    Attributes:
        threshold: in [0, 1].
    """

    threshold: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UserInputError(f"threshold={self.threshold}: expected a number in [0, 1]")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]`` in [0, 1]."""
        p1 = TopProb()(view)
        parent = (memory_of(view, "Influence(...)") > self.threshold) & (p1[:, :, None] > p1[:, None, :])
        n_parents, n_filled = parent.sum(1), (parent & ~view.blank[..., None]).sum(1)
        return torch.where(n_parents > 0, n_filled.double() / n_parents.clamp(min=1), 1.0) * p1


@dataclass(frozen=True)
class FewestLegal:
    """p1 in steps of ``epsilon``, and within a step the blank with fewest legal values first.

    score = floor(p1 / epsilon) (V + 1) - c, c the number of the V values that stand in no unit of the cell:
    the tie-break of tchauffi/nonet (code, no paper). It knows the rules, which no view does: `fewest_legal`
    takes them from a family's graph.

    Attributes:
        units: groups of cells that hold different values, such as a Sudoku's rows, columns and boxes.
        epsilon: > 0; from 1 on only the legal values count.
    """

    units: tuple[tuple[int, ...], ...]
    epsilon: float = 0.05

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise UserInputError(f"epsilon={self.epsilon}: expected a finite number above 0")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``, whole numbers.

        Raises:
            UserInputError: a unit names a cell that the puzzles do not have.
        """
        n_values, n_cells = view.log_probs.shape[-1], view.tokens.shape[1]
        if max((cell for unit in self.units for cell in unit), default=0) >= n_cells:
            raise UserInputError(f"units of other puzzles: expected cells from 0 to {n_cells - 1}")
        stands = torch.nn.functional.one_hot(view.tokens, n_values + 1)[..., MASK + 1 :].float()
        seen = same_unit(self.units, n_cells, view.tokens.device) @ stands > 0
        step = (TopProb()(view) / self.epsilon).floor()
        return step * (n_values + 1) - (~seen).sum(-1)


def fewest_legal(graph: ConstraintGraph, epsilon: float = 0.05) -> FewestLegal:
    """The `FewestLegal` of a family in which the members of an edge hold different values (Sudoku, Zebra).

    Raises:
        UserInputError: the family's puzzles share no edges.
    """
    units = [cells for edges in graph.edges if not edges.roles for cells in edges.cells]
    if not units:
        raise UserInputError("fewest_legal: these puzzles share no constraint: expected a Sudoku or Zebra")
    return FewestLegal(tuple(tuple(int(cell) for cell in unit if cell >= 0) for unit in units), epsilon)


@lru_cache(maxsize=16)
def same_unit(units: tuple[tuple[int, ...], ...], n_cells: int, device: torch.device) -> torch.Tensor:
    """float32 ``[cells, cells]``: 1 where two cells share a unit, built once a device."""
    matrix = torch.zeros(n_cells, n_cells)
    for unit in units:
        rows = torch.tensor(unit)
        matrix[rows[:, None], rows] = 1.0
    return matrix.to(device)
