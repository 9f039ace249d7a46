"""Orders that nobody has to compute: given, spread over the grid, or in groups; none looks at the model.

``order(view) -> float64 [batch, cells]`` as in `orders`. A puzzle's clues keep their places in the order and
are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import torch

from planorder.decoding.view import StepView
from puzzles.base import UserInputError


@dataclass(frozen=True)
class GivenOrder:
    """The same order in every puzzle, by a priority a cell: higher is sooner, ties to the lowest cell.

    "Oracle" or hand-made orders of samplers for masked models (FlexMDM's ``position``, arXiv:2509.01025, is
    one of them). `given_order` writes it as a permutation.

    Attributes:
        priority: one finite number a cell.
    """

    priority: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.priority):
            raise UserInputError(f"priority={self.priority}: expected finite numbers")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``.

        Raises:
            UserInputError: another number of cells than the puzzles have.
        """
        n_cells = view.tokens.shape[1]
        if len(self.priority) != n_cells:
            raise UserInputError(
                f"a given order of {len(self.priority)} cells for puzzles of {n_cells}: expected as many"
            )
        return column(self.priority, view.tokens.device).expand(view.tokens.shape)


def given_order(cells: Iterable[int]) -> GivenOrder:
    """The `GivenOrder` that fills these cells from first to last.

    Args:
        cells: a permutation of 0, 1, ..., n - 1, in any container (list, array, tensor).

    Raises:
        UserInputError: a cell is missing or named twice.
    """
    first_to_last = [int(cell) for cell in cells]
    if sorted(first_to_last) != list(range(len(first_to_last))):
        raise UserInputError(f"order {first_to_last}: expected every cell from 0 once")
    place = {cell: place for place, cell in enumerate(first_to_last)}
    return GivenOrder(tuple(-float(place[cell]) for cell in range(len(place))))


def right_to_left(view: StepView) -> torch.Tensor:
    """Highest cell first: score = index, the reverse of `orders.left_to_right`."""
    cells = torch.arange(view.tokens.shape[1], device=view.tokens.device, dtype=torch.float64)
    return cells.expand(view.tokens.shape)


@dataclass(frozen=True)
class Halton:
    """Cells in the order in which a Halton sequence first meets them, spread evenly over a grid.

    Point i = 1, 2, ... lies at row floor(v2(i) rows) and column floor(v3(i) columns), v_b the radical inverse
    in base b (Halton-MaskGIT, arXiv:2503.17076). An order sees cells and no grid, so the grid is row by row
    with ``columns`` columns; a last row that is not full is met as far as it goes.

    Attributes:
        columns: of the grid; None for the nearly square one of ceil(sqrt(cells)), right for a Sudoku.
    """

    columns: int | None = None

    def __post_init__(self) -> None:
        if self.columns is not None and self.columns < 1:
            raise UserInputError(f"columns={self.columns}: expected at least 1")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``."""
        n_cells = view.tokens.shape[1]
        columns = self.columns or math.isqrt(max(n_cells - 1, 0)) + 1
        return halton_order(n_cells, columns)(view)


@dataclass(frozen=True)
class Dilated:
    """Groups of cells that lie far apart, the gaps halved from group to group; a group's cells tie.

    Group t = 1, 2, ... holds the cells k (from 0) of no earlier group with k mod max(1, floor(n / a^t)) = 0,
    n the number of cells (dilated unmasking, DUS, arXiv:2506.19037). With the budget `adaptive.whole_group`
    a group is one step, ceil(log_a n) steps in all.

    Attributes:
        base: a >= 2.
    """

    base: int = 2

    def __post_init__(self) -> None:
        if self.base < 2:
            raise UserInputError(f"base={self.base}: expected at least 2")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``: less the number of the group."""
        return dilated_order(view.tokens.shape[1], self.base)(view)


@lru_cache(maxsize=64)
def column(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """float64 ``[len(values)]`` on the device, built once: copying in every step would stall a GPU."""
    return torch.tensor(values, dtype=torch.float64, device=device)


@lru_cache(maxsize=64)
def halton_order(n_cells: int, columns: int) -> GivenOrder:
    """The order of `Halton` over a grid of so many cells."""
    rows, point = -(-n_cells // columns), 0
    met: dict[int, None] = {}
    while len(met) < n_cells:
        point += 1
        cell = scaled_inverse(point, 2, rows) * columns + scaled_inverse(point, 3, columns)
        if cell < n_cells:
            met.setdefault(cell)
    return given_order(met)


def scaled_inverse(point: int, base: int, size: int) -> int:
    """floor(size * v) for the radical inverse v of ``point``, its digits mirrored at the point; exact."""
    mirrored, scale = 0, 1
    while point:
        point, digit = divmod(point, base)
        mirrored, scale = mirrored * base + digit, scale * base
    return mirrored * size // scale


@lru_cache(maxsize=64)
def dilated_order(n_cells: int, base: int) -> GivenOrder:
    """The order of `Dilated`: a cell's priority is less the number of its group."""
    gaps = [max(1, n_cells // base**t) for t in range(1, n_cells.bit_length() + 1)]
    groups = (next(t for t, gap in enumerate(gaps, 1) if cell % gap == 0) for cell in range(n_cells))
    return GivenOrder(tuple(-float(group) for group in groups))
