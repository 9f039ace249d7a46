"""A decode told step by step, as text."""

from __future__ import annotations

import numpy as np
from tabulate import tabulate

from planorder.results.evaluate import counted_and_wrong
from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError


def replay(
    batch: PuzzleBatch,
    cells: np.ndarray,
    step: np.ndarray,
    prob: np.ndarray,
    row: int,
    family: AbstractFamily,
) -> str:
    """Tells how one puzzle was filled: the cells in the order of filling, then the finished grid.

    Each line has the step (from 1), the cell as row and column of the family's grid, its value, the
    model's probability of that value then, whether it is right where the family judges it, and with which
    technique and at which place the logical solver fills that cell. Cells of one step are listed by index,
    and a cell that was never filled comes last.

    Args:
        batch: the puzzles.
        cells: int8 ``[batch, cells]`` as decoded.
        step: int16 ``[batch, cells]``, the step at which each cell was filled, -1 on clues.
        prob: float32 ``[batch, cells]``, the probability it was filled with.
        row: which puzzle of the batch.
        family: the family of the puzzles.

    Raises:
        UserInputError: no such row, or arrays that are not of the batch.
    """
    if not 0 <= row < len(batch):
        raise UserInputError(f"no puzzle {row}: the batch has puzzles 0 to {len(batch) - 1}")
    for name, array in (("cells", cells), ("step", step), ("prob", prob)):
        if array.shape != batch.clues.shape:
            raise UserInputError(
                f"{name} has shape {array.shape}: expected {batch.clues.shape}, as the puzzles"
            )
    blanks = np.flatnonzero(batch.blank[row])
    never = np.iinfo(step.dtype).max
    when = np.where(step[row, blanks] < 0, never, step[row, blanks])
    order = blanks[np.argsort(when, kind="stable")]
    chosen = slice(row, row + 1)
    counted, wrong = counted_and_wrong(family, batch[chosen], cells[chosen])
    verdicts = np.where(wrong, "WRONG", np.where(counted, "right", ""))[0]
    lines = [
        _line(batch, cells[row], step[row], prob[row], row, cell, family, str(verdicts[cell]))
        for cell in order
    ]
    right = f"{(counted & ~wrong).sum()} of {counted.sum()} {family.judged_name} right"
    heading = (
        f"puzzle {batch.index[row]}: {right}, hardest technique: {family.technique_names[batch.hardest[row]]}"
    )
    headers = ("step", "cell", "value", "prob", "", "the solver")
    table = tabulate(
        lines, headers=headers, disable_numparse=True, colalign=("right",) * 4 if lines else None
    )
    edges = None if batch.edges is None else batch.edges[row]
    return "\n\n".join([heading, table, family.render(cells[row], batch.clues[row], edges)])


def _line(
    batch: PuzzleBatch,
    cells: np.ndarray,
    step: np.ndarray,
    prob: np.ndarray,
    row: int,
    cell: int,
    family: AbstractFamily,
    verdict: str,
) -> tuple[str, ...]:
    """One filled cell; what it should be is said where there is one solution."""
    y, x = divmod(int(cell), family.grid[1])
    place, technique = batch.rank[row, cell], family.technique_names[batch.technique[row, cell]]
    solver = f"{technique}, {place + 1}. of {int(batch.blank[row].sum())}"
    name, truth = f"r{y + 1}c{x + 1}", f", is {batch.solution[row, cell]}" if family.unique else ""
    if step[cell] < 0:
        return "never", name, "-", "-", f"not filled{truth}", solver
    verdict += truth if verdict == "WRONG" else ""
    return str(step[cell] + 1), name, str(cells[cell]), f"{prob[cell]:.3f}", verdict, solver
