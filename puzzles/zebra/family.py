"""Zebra as a puzzle family: 3 to 6 houses by 3 to 6 attributes, in two layouts of the same puzzles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from puzzles.base import HARD, AbstractFamily, ConstraintGraph, EdgeSet, PuzzleBatch, UserInputError
from puzzles.helpers import move
from puzzles.seeding import SPLITS, check_stream, fill_chunks, stream_keys
from puzzles.zebra import english, symmetry
from puzzles.zebra.clues import KINDS, LEAST, MEMBERS, MOST, N_CELLS, ROWS, cell_of, size_of, to_grid
from puzzles.zebra.counting import count_solutions_many
from puzzles.zebra.formats import read_puzzles, to_json, to_language
from puzzles.zebra.generator import MAX_CLUES, TRIES, stream
from puzzles.zebra.hashing import buckets_many
from puzzles.zebra.kernels import valid_grids
from puzzles.zebra.logical import TECHNIQUES, solve_logically

CHUNK = 64
STREAMS = "zebra-v1"
"""Name of the streams: both layouts show the same puzzles."""
Layout = Literal["position", "grid"]


class Zebra(AbstractFamily):
    """Zebra puzzles; `puzzles.zebra.clues` says what cells and clues are.

    In layout "position" a cell is a value and holds its house, so a clue is an edge between cells. In layout
    "grid", that of Shah et al. (arXiv 2409.10502), a cell is a house's attribute and holds a value; clues
    name what they name in the other layout, which a network can only read.
    """

    technique_names = TECHNIQUES
    n_cells, n_values, grid = N_CELLS, MOST, (ROWS, MOST)

    def __init__(
        self,
        name: str,
        layout: Layout = "position",
        houses: int | None = None,
        attributes: int | None = None,
        redundant: int = 0,
    ) -> None:
        """A family of puzzles of all sizes, or of one.

        Args:
            name: of the registry.
            layout: "position" or "grid".
            houses: of every puzzle, 3 to 6; None for all, in equal shares.
            attributes: of every puzzle, likewise.
            redundant: up to so many further true clues a puzzle, of those it does not need. With all of
                them the rules solve it, so that small puzzles of tier "hard" are not to be had with many.

        Raises:
            UserInputError: a number out of range, or an unknown layout.
        """
        for what, size in (("houses", houses), ("attributes", attributes)):
            if size is not None and not LEAST <= size <= MOST:
                raise UserInputError(f"{what}={size}: expected {LEAST} to {MOST}")
        if layout not in ("position", "grid"):
            raise UserInputError(f"layout={layout!r}: expected 'position' or 'grid'")
        if not 0 <= redundant <= MAX_CLUES:
            raise UserInputError(f"redundant={redundant}: expected 0 to {MAX_CLUES} clues")
        self.name, self.version, self.layout = name, f"{name}-v1", layout
        self.houses, self.attributes, self.redundant = houses or 0, attributes or 0, redundant

    def graph(self) -> ConstraintGraph:
        """Each attribute's cells differ; a clue is an edge of a puzzle's own."""
        rows = np.arange(N_CELLS, dtype=np.int16).reshape(ROWS, MOST)
        attribute = EdgeSet("attribute", rows)
        named = self.layout == "position"
        return ConstraintGraph(N_CELLS, MOST, (attribute,), False, puzzle_kinds=KINDS, edges_name_cells=named)

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
        """Puzzles of a split and tier, by index; see `AbstractFamily.generate`.

        Of a puzzle of tier "logic" no clue can go without the logical solver getting stuck; of tier "hard"
        none without a second solution, and the logical solver does get stuck.

        Raises:
            UserInputError: an unknown split or tier, a negative number, or a tier that cannot be found.
        """
        check_stream(self, split, tier, n, start, workers)
        keys = stream_keys(STREAMS, split, tier, start, n)
        batch = empty(self.version, n, MAX_CLUES + self.redundant)

        def fill(rows: slice) -> None:
            self._fill(keys[rows], split, tier, batch[rows], start + rows.start)

        fill_chunks(fill, n, CHUNK, workers, progress)
        return self._shown(replace(batch, index=np.arange(start, start + n, dtype=np.int64)))

    def _fill(self, keys: np.ndarray, split: str, tier: str, rows: PuzzleBatch, first: int) -> None:
        """Writes the puzzles of some keys into views of a batch in position layout."""
        low, high = SPLITS[split]
        failed = stream(
            keys, tier == HARD, low, high, self.houses, self.attributes, self.redundant, TRIES,
            rows.edges, rows.clues, rows.solution, rows.rank, rows.technique, rows.hardest,
        )  # fmt: skip
        if failed >= 0:
            raise UserInputError(
                f"{self.name}: no {tier} puzzle of split {split} in {TRIES} tries at index {first + failed}; "
                "expected one; ask for larger sizes or fewer redundant clues"
            )

    def _shown(self, batch: PuzzleBatch) -> PuzzleBatch:
        """A batch from position layout to the family's own, or back: the change is its own inverse.

        What is known of a cell moves with its fact: (attribute, value) in a house, (attribute, house) with
        that value.
        """
        if self.layout == "position":
            return replace(batch, family=self.version)
        solution = to_grid(batch.solution)
        source = solution.reshape(-1, ROWS, MOST).astype(np.int64) - 1 + np.arange(0, N_CELLS, MOST)[:, None]
        moved = move(batch, source.reshape(len(batch), N_CELLS))
        clues = np.where(moved.blank, 0, solution).astype(np.int8)
        return replace(moved, family=self.version, clues=clues, solution=solution)

    def _positions(self, clues: np.ndarray) -> np.ndarray:
        """Clues in cells of this layout in position layout; they are whole where they are not blank."""
        if self.layout == "position":
            return clues
        rows = clues.reshape(-1, ROWS, MOST)
        out = np.zeros_like(rows)
        puzzle, row, house = np.nonzero(rows)
        out[puzzle, row, rows[puzzle, row, house] - 1] = house + 1
        return out.reshape(clues.shape)

    def is_valid(self, cells: np.ndarray, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """See `AbstractFamily.is_valid`."""
        out = np.empty(len(cells), np.bool_)
        if self.layout == "grid":
            kept = ((clues == 0) | (clues == cells)).all(axis=1)
            rows = np.sort(cells.reshape(-1, ROWS, MOST), axis=2)
            whole = (rows == np.arange(1, MOST + 1)).all(axis=(1, 2))
            positions = np.where((kept & whole)[:, None], to_grid(cells), 0).astype(cells.dtype)
            valid_grids(positions, np.zeros_like(clues), own(edges, len(cells)), out)
        else:
            valid_grids(cells, clues, own(edges, len(cells)), out)
        return out

    def count_solutions(
        self, clues: np.ndarray, limit: int = 2, edges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `AbstractFamily.count_solutions`."""
        count, first = np.empty(len(clues), np.int64), np.empty(clues.shape, np.int8)
        if self.layout == "position":
            count_solutions_many(clues, own(edges, len(clues)), limit, count, first)
            return count, first
        good = consistent(clues)  # what is not has no positions
        positions = self._positions(np.where(good[:, None], clues, 0).astype(np.int8))
        count_solutions_many(positions, own(edges, len(clues)), limit, count, first)
        count[~good] = 0
        return count, np.where(count[:, None] > 0, to_grid(first), 0).astype(np.int8)

    def rate(
        self,
        clues: np.ndarray,
        solution: np.ndarray,
        index: np.ndarray | None = None,
        edges: np.ndarray | None = None,
    ) -> PuzzleBatch:
        """The logical solver's account of puzzles with known solutions."""
        index = np.arange(len(clues)) if index is None else index
        clues, clued = self._positions(clues), own(edges, len(clues))
        solution = to_grid(solution) if self.layout == "grid" else solution
        solve = solve_logically(clues, clued)
        return self._shown(
            PuzzleBatch(
                self.version, clues, solution, solve.rank, solve.technique, solve.hardest, index, clued
            )
        )

    def augment(self, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
        """Each puzzle under a random symmetry of its own: attribute order, value names, mirror."""
        return self._shown(symmetry.augment(self._shown(batch), rng))

    def canonical(self, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """See `AbstractFamily.canonical`; in position layout for both layouts."""
        positions, clued, solution = self._solved(clues, edges)
        form = symmetry.canonical(positions, clued, solution)
        if self.layout == "grid":  # its solution is the identity, whose clues are the same in both layouts
            form[:, :N_CELLS] = self._positions(form[:, :N_CELLS].astype(np.int8))
        return form

    def bucket(self, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """See `AbstractFamily.bucket`; the same for both layouts, by a hash that tries no images."""
        positions, clued, solution = self._solved(clues, edges)
        out = np.empty(len(clues), np.int64)
        buckets_many(clued, *size_of(positions), solution.astype(np.int64), out)
        return out

    def _solved(self, clues: np.ndarray, edges: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """Clues in position layout, the puzzles' edges, and their first solutions in position layout."""
        positions, clued = self._positions(clues), own(edges, len(clues))
        count, first = np.empty(len(clues), np.int64), np.empty(clues.shape, np.int8)
        count_solutions_many(positions, clued, 1, count, first)
        return positions, clued, first

    def read(self, path: Path) -> PuzzleBatch:
        """Puzzles of a file: JSON lines, the clue language of Shah et al. or their pickle."""
        if self.layout == "position":
            return read_puzzles(path, self)
        return self._shown(read_puzzles(path, Zebra("zebra")))

    def render(
        self, cells: np.ndarray, clues: np.ndarray | None = None, edges: np.ndarray | None = None
    ) -> str:
        """The clues in English, then a table of houses; an apostrophe marks a cell that is no clue."""
        shown = [None if part is None else self._positions(part[None])[0] for part in (cells, clues)]
        assert shown[0] is not None
        return english.render(shown[0], shown[1], edges)

    def say(self, cell: int, value: int) -> str:
        """A filled cell in words, e.g. "the Norwegian lives in house 1"."""
        if self.layout == "position":
            return english.say(cell, value)
        return english.say(cell_of(cell // MOST, value), cell % MOST + 1)

    def formats(self) -> dict[str, Callable[..., str]]:
        """JSON lines, and the clue language of Shah et al."""

        def in_positions(write: Callable[..., str]) -> Callable[..., str]:
            return lambda batch, row=0, solution=True: write(self._shown(batch), row, solution)

        return {"json": in_positions(to_json), "language": in_positions(to_language)}

    def sizes(self, clues: np.ndarray) -> np.ndarray:
        """Houses x attributes, e.g. "4x5"."""
        houses, attributes = size_of(clues)
        return np.char.add(np.char.add(houses.astype(str), "x"), attributes.astype(str))


def own(edges: np.ndarray | None, n: int) -> np.ndarray:
    """The puzzles' clues, or none; always of the one layout in memory that kernels are compiled for."""
    none = np.full((n, 0, 1 + MEMBERS), -1, np.int16)
    return none if edges is None else np.ascontiguousarray(edges, np.int16)


def consistent(clues: np.ndarray) -> np.ndarray:
    """bool ``[batch]``: in grid layout, every clue in cells is a value that its row has once."""
    rows = np.sort(clues.reshape(-1, ROWS, MOST), axis=2)
    once = (rows[..., 1:] != rows[..., :-1]) | (rows[..., 1:] == 0)
    return once.all(axis=(1, 2)) & ((rows >= 0) & (rows <= MOST)).all(axis=(1, 2))


def empty(version: str, n: int, width: int) -> PuzzleBatch:
    """A batch to be filled."""
    clues, solution, technique = (np.zeros((n, N_CELLS), np.int8) for _ in range(3))
    rank, edges = np.zeros((n, N_CELLS), np.int16), np.full((n, width, 1 + MEMBERS), -1, np.int16)
    return PuzzleBatch(version, clues, solution, rank, technique, np.zeros(n, np.int8), np.arange(n), edges)
