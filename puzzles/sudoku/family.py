"""Sudoku as a puzzle family, for any box shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from puzzles.base import HARD, LOGIC, AbstractFamily, ConstraintGraph, EdgeSet, PuzzleBatch, UserInputError
from puzzles.seeding import SPLITS, check_stream, fill_chunks, stream_keys
from puzzles.sudoku.band_kernels import band_masks, count_solutions_many
from puzzles.sudoku.canonical import canonical_many
from puzzles.sudoku.formats import SYMBOLS, read_puzzles
from puzzles.sudoku.generator import TRIES, guess_budget, stream
from puzzles.sudoku.kernels import valid_grids
from puzzles.sudoku.logical import TECHNIQUES, geometry, solve_logically
from puzzles.sudoku.symmetry import augment_many, invariant_hash_many

CHUNK = 128


class Sudoku(AbstractFamily):
    """Sudoku with boxes of ``box_rows`` x ``box_cols`` cells; cells are numbered row by row."""

    technique_names = TECHNIQUES

    def __init__(self, name: str, box_rows: int, box_cols: int) -> None:
        n = box_rows * box_cols
        self.name, self.version = name, f"{name}-v1"
        self.box_rows, self.box_cols, self.box = box_rows, box_cols, (box_rows, box_cols)
        self.n_cells, self.n_values, self.grid = n * n, n, (n, n)
        self.tiers = (LOGIC, HARD) if n > 4 else (LOGIC,)

    def graph(self) -> ConstraintGraph:
        """Rows, columns and boxes."""
        units = geometry(self.box_rows, self.box_cols).units.reshape(3, self.n_values, self.n_values)
        edges = tuple(
            EdgeSet(kind, cells) for kind, cells in zip(("row", "column", "box"), units, strict=True)
        )
        return ConstraintGraph(self.n_cells, self.n_values, edges, values_interchangeable=True)

    def generate(
        self,
        split: str,
        tier: str,
        n: int,
        *,
        start: int = 0,
        workers: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> PuzzleBatch:
        """Minimal puzzles of a split and tier, by index; see `AbstractFamily.generate`.

        Raises:
            UserInputError: an unknown split or tier, a negative number, or a tier that cannot be found.
        """
        check_stream(self, split, tier, n, start, workers)
        keys = stream_keys(self.version, split, tier, start, n)
        batch = self._empty(n)
        index = np.arange(start, start + n, dtype=np.int64)

        def fill(rows: slice) -> None:
            self._fill(keys[rows], split, tier, batch[rows], start + rows.start)

        fill_chunks(fill, n, CHUNK, workers, progress)
        return replace(batch, index=index)

    def _fill(self, keys: np.ndarray, split: str, tier: str, rows: PuzzleBatch, first: int) -> None:
        """Writes the puzzles of some keys into views of a batch."""
        low, high = SPLITS[split]
        shape = (self.box_rows, self.box_cols)
        failed = stream(
            keys, tier == HARD, low, high, guess_budget(*shape), TRIES, band_masks(*shape), *geometry(*shape),
            rows.clues, rows.solution, rows.rank, rows.technique, rows.hardest,
        )  # fmt: skip
        if failed >= 0:
            raise UserInputError(
                f"{self.name}: no {tier} puzzle of split {split} in {TRIES} tries at index {first + failed}"
            )

    def _empty(self, n: int) -> PuzzleBatch:
        cells = (n, self.n_cells)
        clues, solution, technique = (np.zeros(cells, np.int8) for _ in range(3))
        return PuzzleBatch(
            self.version,
            clues,
            solution,
            np.zeros(cells, np.int16),
            technique,
            np.zeros(n, np.int8),
            np.arange(n),
        )

    def is_valid(self, cells: np.ndarray, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """See `AbstractFamily.is_valid`."""
        out = np.empty(len(cells), np.bool_)
        valid_grids(cells, clues, geometry(self.box_rows, self.box_cols).units, out)
        return out

    def count_solutions(
        self, clues: np.ndarray, limit: int = 2, edges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `AbstractFamily.count_solutions`."""
        count, first = np.empty(len(clues), np.int64), np.empty(clues.shape, np.int8)
        count_solutions_many(clues, band_masks(self.box_rows, self.box_cols), limit, count, first)
        return count, first

    def rate(
        self,
        clues: np.ndarray,
        solution: np.ndarray,
        index: np.ndarray | None = None,
        edges: np.ndarray | None = None,
    ) -> PuzzleBatch:
        """The logical solver's account of puzzles with known solutions."""
        solve = solve_logically(clues, solution, self.box_rows, self.box_cols)
        index = np.arange(len(clues)) if index is None else index
        return PuzzleBatch(self.version, clues, solution, solve.rank, solve.technique, solve.hardest, index)

    def augment(self, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
        """Each puzzle under a random symmetry of its own."""
        fields = (batch.clues, batch.solution, batch.rank, batch.technique)
        out = tuple(np.empty_like(field) for field in fields)
        seeds = rng.integers(0, 2**64, len(batch), dtype=np.uint64)
        augment_many(*fields, self.box_rows, self.box_cols, seeds, out)
        return replace(batch, clues=out[0], solution=out[1], rank=out[2], technique=out[3])

    def canonical(self, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """The least image of each puzzle under all symmetries."""
        return canonical_many(clues, self.box_rows, self.box_cols)

    def bucket(self, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """See `AbstractFamily.bucket`; by a hash that takes no search."""
        out = np.empty(len(clues), np.uint64)
        invariant_hash_many(np.ascontiguousarray(clues), geometry(self.box_rows, self.box_cols).unit_of, out)
        return (out % 100).astype(np.int64)

    def read(self, path: Path) -> PuzzleBatch:
        """Puzzles of a text, CSV or Shah-format file."""
        return read_puzzles(path, self)

    def render(
        self, cells: np.ndarray, clues: np.ndarray | None = None, edges: np.ndarray | None = None
    ) -> str:
        """A grid with lines between boxes; dots are blanks, an apostrophe marks a cell that is no clue."""
        lines = []
        for row in range(self.n_values):
            marks = []
            for column in range(self.n_values):
                cell = row * self.n_values + column
                symbol = SYMBOLS[cells[cell]] if cells[cell] else "."
                filled = clues is not None and not clues[cell] and cells[cell]
                marks.append(("'" if filled else " ") + symbol)
                if (column + 1) % self.box_cols == 0 and column + 1 < self.n_values:
                    marks.append(" |")
            lines.append("".join(marks))
            if (row + 1) % self.box_rows == 0 and row + 1 < self.n_values:
                lines.append("+".join(["-" * (2 * self.box_cols + 1)] * self.box_rows)[1:])
        return "\n".join(lines)
