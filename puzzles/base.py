"""What every puzzle family is: frozen batches of puzzles, a constraint graph, and the family's verbs.

This package knows the rules of puzzles and nothing of models: numpy and numba only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from puzzles import defaults
from puzzles.errors import UserInputError
from puzzles.seeding import bucket_of

LOGIC = "logic"
HARD = "hard"


@dataclass(frozen=True)
class EdgeSet:
    """All hyperedges of one kind that every puzzle of a family has: their cells stand in one constraint.

    Attributes:
        kind: name of the constraint, e.g. "row".
        cells: int16 ``[edges, arity]``, cell indices; -1 pads edges with fewer members.
        roles: what each place of an edge means; empty when the members are interchangeable.
    """

    kind: str
    cells: np.ndarray
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class EdgeKind:
    """A kind of constraint of which every puzzle has edges of its own: see `PuzzleBatch.edges`.

    Attributes:
        name: of the constraint, e.g. "left_of".
        roles: what each place of an edge means, one entry a member.
    """

    name: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class ConstraintGraph:
    """The constraints of a family as data, so that no network needs to know a puzzle's name.

    Attributes:
        n_cells: number of cells.
        n_values: number of values a cell can take.
        edges: the hyperedges that all puzzles share, one entry a kind.
        values_interchangeable: whether renaming the values maps puzzles to puzzles (Sudoku's digits).
        puzzle_kinds: the kinds of edges that each puzzle has of its own (Zebra's clues).
        edges_name_cells: whether the members of puzzle edges are cells; False where they are as many other
            things, which a network can only read (Zebra's grid layout: clues name values, cells hold them).
    """

    n_cells: int
    n_values: int
    edges: tuple[EdgeSet, ...]
    values_interchangeable: bool
    puzzle_kinds: tuple[EdgeKind, ...] = ()
    edges_name_cells: bool = True


@dataclass(frozen=True)
class PuzzleBatch:
    """Puzzles with their solutions and the logical solver's account of them.

    Attributes:
        family: data id with its version, e.g. "sudoku-v1".
        clues: int8 ``[batch, cells]``; 0 is blank, values count from 1.
        solution: int8 ``[batch, cells]``; values from 1.
        rank: int16 ``[batch, cells]``; -1 on clues, else 0, 1, ... in the order the solver fills the blanks.
        technique: int8 ``[batch, cells]``; the family's technique id that filled the cell, 0 on clues.
        hardest: int8 ``[batch]``; the hardest technique that the solve needed.
        index: int64 ``[batch]``; place in the stream or the file that the puzzle came from.
        edges: int16 ``[batch, edges, 1 + members]``, the constraints of each puzzle alone: a kind (its place
            in the graph's ``puzzle_kinds``), then its members in the order of their roles; -1 where a kind
            has fewer members, and throughout in rows that pad. None where the family has no such edges.
        unique: `AbstractFamily.unique` of the family. Where it is False, puzzles may be equal, and are told
            apart by their index.
    """

    family: str
    clues: np.ndarray
    solution: np.ndarray
    rank: np.ndarray
    technique: np.ndarray
    hardest: np.ndarray
    index: np.ndarray
    edges: np.ndarray | None = None
    unique: bool = True

    def __len__(self) -> int:
        return len(self.clues)

    def __getitem__(self, rows: slice | np.ndarray) -> PuzzleBatch:
        """The chosen rows, as a batch."""
        kept: dict[str, Any] = {name: array[rows] for name, array in self.arrays().items()}
        return replace(self, **kept)

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields with a row a puzzle, by name; ``edges`` only where the family has them."""
        names = ROW_FIELDS if self.edges is None else (*ROW_FIELDS, "edges")
        return {name: getattr(self, name) for name in names}

    @property
    def blank(self) -> np.ndarray:
        """bool ``[batch, cells]``: the cells to fill."""
        return self.clues == 0


ROW_FIELDS = ("clues", "solution", "rank", "technique", "hardest", "index")
"""The fields with a row a puzzle that every batch has."""


def concatenate(batches: Sequence[PuzzleBatch]) -> PuzzleBatch:
    """Joins batches of one family, in order."""
    families = {batch.family for batch in batches}
    if len(families) != 1:
        raise UserInputError(f"cannot join batches of {sorted(families)}: expected puzzles of one family")
    most = max(0 if batch.edges is None else batch.edges.shape[1] for batch in batches)
    arrays = [with_width(batch, most).arrays() for batch in batches]
    joined: dict[str, Any] = {name: np.concatenate([found[name] for found in arrays]) for name in arrays[0]}
    return replace(batches[0], **joined)


def with_width(batch: PuzzleBatch, width: int) -> PuzzleBatch:
    """The batch with its edges padded to ``width`` a puzzle; as it is where it has none."""
    if batch.edges is None or batch.edges.shape[1] >= width:
        return batch
    missing = width - batch.edges.shape[1]
    return replace(batch, edges=np.pad(batch.edges, ((0, 0), (0, missing), (0, 0)), constant_values=-1))


class AbstractFamily(ABC):
    """One kind of puzzle: its rules, generator, solver, symmetries and files.

    ``technique_names[i]`` names technique id ``i``; id 0 is "given" and the last id is "search",
    which is what fills a cell that the logical techniques do not reach. `puzzles.helpers` has what the verbs
    of many families are made of.
    """

    name: str
    """The registry's name, e.g. "sudoku" or "sudoku-2x3"."""
    version: str
    """Data id, e.g. "sudoku-v1": new bytes, new version."""
    n_cells: int
    n_values: int
    grid: tuple[int, int]
    """Rows and columns in which people see the cells (heat maps)."""
    box: tuple[int, int] | None = None
    """Rows and columns of a box, where the grid has boxes."""
    technique_names: tuple[str, ...]
    tiers: tuple[str, ...] = (LOGIC, HARD)
    unique: bool = True
    """Whether a puzzle has one solution; if not, ``solution`` is one of many, and `right` asks the rules."""
    judged_name: str = "blanks"
    """What people call the cells that `judged` counts."""
    headline: str = "exact"
    """The accuracy that reports show first: "exact" or "cell", see `results.evaluate.score`."""
    usual_n: int = 200
    """Puzzles of each tier in a table of the usual length, a few minutes."""

    @abstractmethod
    def graph(self) -> ConstraintGraph:
        """The constraint graph that all puzzles of the family share."""

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
        """Puzzles ``start`` to ``start + n - 1`` of a split ("train", "val", "test") and tier.

        A pure function of its arguments apart from ``workers`` and ``progress`` (called with the
        number of puzzles just finished). Unless overridden, those that `make` draws, again and again until
        a puzzle is of the tier and its bucket is one of the split's.

        Raises:
            UserInputError: an unknown split or tier, a negative number, or a tier that is not to be had.
        """
        return defaults.generate(self, split, tier, n, start, workers, progress)

    def make(self, keys: np.ndarray) -> tuple[np.ndarray, ...]:
        """A puzzle a key (uint64 ``[batch]``, see `seeding.draw`), for the `generate` that all inherit.

        Returns:
            int8 ``[batch, cells]`` clues and solution, and edges where the family has some; each puzzle is
            a pure function of its key.
        """
        raise NotImplementedError(f"{self.name}: write make, from which puzzles are generated, or generate")

    @abstractmethod
    def is_valid(self, cells: np.ndarray, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """bool ``[batch]``: every cell filled, every rule kept, every clue unchanged.

        Here and below ``edges`` are `PuzzleBatch.edges`, for families whose puzzles have some.
        """

    @abstractmethod
    def count_solutions(
        self, clues: np.ndarray, limit: int = 2, edges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """int64 ``[batch]``, solutions counted up to ``limit``, and int8 ``[batch, cells]``, the first."""

    @abstractmethod
    def rate(
        self,
        clues: np.ndarray,
        solution: np.ndarray,
        index: np.ndarray | None = None,
        edges: np.ndarray | None = None,
    ) -> PuzzleBatch:
        """Runs the logical solver over puzzles with known solutions: order, techniques, hardest."""

    def tier(self, batch: PuzzleBatch) -> np.ndarray:
        """str ``[batch]``: the tier of each puzzle; unless overridden, "hard" where it needs a search."""
        return np.where(batch.hardest == len(self.technique_names) - 1, HARD, LOGIC)

    @abstractmethod
    def augment(self, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
        """Each puzzle under a random symmetry of its family; ranks and techniques move with their cells."""

    @abstractmethod
    def canonical(self, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """int8 or int16 ``[batch, cells + edge entries]``: one puzzle for all that symmetry makes equal.

        The clues come first, then the edges, flattened and sorted. Puzzles must have one solution.
        """

    def bucket(self, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
        """int64 ``[batch]``, 0 to 99, which symmetry does not change; `SPLITS` says who may hold which.

        Unless overridden, a hash of the canonical form.
        """
        return np.array([bucket_of(form) for form in self.canonical(clues, edges)], np.int64)

    def read(self, path: Path) -> PuzzleBatch:
        """Puzzles of a user's file, checked and rated; `UserInputError` names file, line, value and fix.

        Unless overridden, a puzzle a line, a symbol a cell: a dot is a blank. Not for puzzles with edges.
        """
        return defaults.read(self, path)

    def render(
        self, cells: np.ndarray, clues: np.ndarray | None = None, edges: np.ndarray | None = None
    ) -> str:
        """One puzzle (``[cells]``) as text for people, its ``edges [edges, 1 + members]`` in words.

        Unless overridden, a grid: dots are blanks, an apostrophe marks a cell that is no clue.
        """
        return defaults.render(self, cells, clues)

    def right(self, cells: np.ndarray, solution: np.ndarray) -> np.ndarray:
        """bool ``[batch, cells]``: which cells are right; by default those that equal the solution's."""
        found: np.ndarray = cells == solution
        return found

    def solved(self, cells: np.ndarray, batch: PuzzleBatch) -> np.ndarray:
        """bool ``[batch]``: which puzzles ``cells [batch, cells]`` solve.

        Where solutions are unique that is to equal the solution, else to keep the rules and the clues.
        """
        if not self.unique:
            return self.is_valid(cells, batch.clues, batch.edges)
        found: np.ndarray = (cells == batch.solution).all(axis=1)
        return found

    def judged(self) -> np.ndarray:
        """bool ``[cells]``: the cells that cell accuracy counts (where blank); all, unless overridden."""
        return np.ones(self.n_cells, bool)

    def say(self, cell: int, value: int) -> str:
        """A filled cell in words; by its place in the grid, unless overridden."""
        row, column = divmod(cell, self.grid[1])
        return f"row {row + 1}, column {column + 1} is {value}"

    def formats(self) -> dict[str, Callable[..., str]]:
        """Texts of puzzles for files, by name: ``write(batch, row=0, solution=True) -> str``."""
        return {}

    def sizes(self, clues: np.ndarray) -> np.ndarray | None:
        """str ``[batch]``: the size of each puzzle, e.g. "4x5", in families of several sizes; else None."""
        return None
