"""What a family inherits that does not write it: streams from single puzzles, one-line files, plain grids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from puzzles.errors import UserInputError
from puzzles.files import content_lines, quote, read_bytes
from puzzles.seeding import check_stream, draw, fill_chunks, in_split, stream_keys

if TYPE_CHECKING:
    from puzzles.base import AbstractFamily, PuzzleBatch

SYMBOLS = ".123456789"
"""How a blank and the values are written."""
CHUNK = 256
TRIES = 10_000
"""Attempts after which a stream gives up on an index."""
AHEAD = 64
"""Where few puzzles are left to find, so many attempts at them are made at a time."""


def generate(
    family: AbstractFamily,
    split: str,
    tier: str,
    n: int,
    start: int,
    workers: int,
    progress: Callable[[int], None] | None,
) -> PuzzleBatch:
    """See `AbstractFamily.generate`: what `AbstractFamily.make` draws, of a split and a tier.

    Attempt k at a puzzle has the k-th random number of the puzzle's key for its own key.

    Raises:
        UserInputError: an unknown split or tier, a negative number, or a tier that is not to be had.
    """
    check_stream(family, split, tier, n, start, workers)
    keys = stream_keys(family.version, split, tier, start, n)
    parts: dict[int, list[np.ndarray]] = {}

    def fill(rows: slice) -> None:
        parts[rows.start] = _drawn(family, keys[rows], split, tier, start + rows.start)

    fill_chunks(fill, n, CHUNK, workers, progress)
    chunks = [parts[first] for first in sorted(parts)] or [list(family.make(keys))]
    clues, solution, *edges = (np.concatenate(field) for field in zip(*chunks, strict=True))
    return family.rate(clues, solution, np.arange(start, start + n, dtype=np.int64), *edges)


def _drawn(family: AbstractFamily, keys: np.ndarray, split: str, tier: str, first: int) -> list[np.ndarray]:
    """Clues, solutions and, where there are some, edges: for each key the first draw of split and tier."""
    found: list[np.ndarray] = []
    left, attempt, ahead = np.arange(len(keys)), 0, 1
    while attempt < TRIES:
        fields = family.make(draw(keys[left], ahead, start=attempt).reshape(-1))
        if not found:
            found = [np.zeros((len(keys), *field.shape[1:]), field.dtype) for field in fields]
        good = _wanted(family, split, tier, fields).reshape(len(left), ahead)
        hit = np.flatnonzero(good.any(axis=1))
        for field, drawn in zip(found, fields, strict=True):
            field[left[hit]] = drawn[hit * ahead + good[hit].argmax(axis=1)]
        left = np.delete(left, hit)
        if not len(left):
            return found
        attempt, ahead = attempt + ahead, max(1, min(2 * ahead, AHEAD // len(left)))
    raise UserInputError(
        f"{family.name}: no {tier} puzzle of split {split} in {TRIES} tries at index {first + left[0]}; "
        "expected one: ask for another tier or split"
    )


def _wanted(family: AbstractFamily, split: str, tier: str, fields: tuple[np.ndarray, ...]) -> np.ndarray:
    """bool ``[batch]``: which puzzles are of a split and a tier; only those of the split are rated."""
    clues, solution, *edges = fields
    good = in_split(family, split, clues, *edges)
    rated = family.rate(clues[good], solution[good], None, *(field[good] for field in edges))
    good[good] = family.tier(rated) == tier
    return good


def read(family: AbstractFamily, path: Path) -> PuzzleBatch:
    """Puzzles of a text file, a line each: as many of `SYMBOLS` as cells; ``solution`` is the solver's first.

    Blank lines and lines that begin with ``#`` are skipped; the file may be gzipped.

    Raises:
        UserInputError: the file cannot be read, a line is malformed, or a puzzle has no solution, or several
            in a family where solutions are unique.
    """
    symbols, path = _symbols(family, "read"), Path(path)
    lines = content_lines(read_bytes(path), path, "text: save it as such")
    clues = np.zeros((len(lines), family.n_cells), np.int8)
    for row, (place, line) in enumerate(lines):
        if len(line) != family.n_cells:
            fix = "remove some" if len(line) > family.n_cells else "add some"
            place.refuse(f"{quote(line)} has {len(line)} symbols; expected {family.n_cells}: {fix}")
        wrong = [at for at, symbol in enumerate(line) if symbol not in symbols]
        if wrong:
            known = f". for a blank, or 1 to {family.n_values}"
            place.refuse(f"{line[wrong[0]]!a} for cell {wrong[0] + 1}; expected {known}: correct it")
        clues[row] = [symbols.index(symbol) for symbol in line]
    count, solution = family.count_solutions(clues)
    for (place, line), solutions in zip(lines, count, strict=True):
        if solutions == 0:
            place.refuse(f"{quote(line)} has no solution; expected one: correct a clue")
        if solutions > 1 and family.unique:
            place.refuse(f"{quote(line)} has several solutions; expected one: add a clue")
    return family.rate(clues, solution)


def render(family: AbstractFamily, cells: np.ndarray, clues: np.ndarray | None = None) -> str:
    """``cells [cells]`` in rows of the grid; dots are blanks, an apostrophe marks a cell that is no clue."""
    symbols = np.array(list(_symbols(family, "render")))
    new = np.zeros(cells.shape, bool) if clues is None else (cells > 0) & (clues == 0)
    marked = np.char.add(np.where(new, "'", " "), symbols[cells])
    return "\n".join("".join(row) for row in marked.reshape(family.grid))


def _symbols(family: AbstractFamily, verb: str) -> str:
    """Of a blank and the family's values.

    Raises:
        NotImplementedError: the family has to write ``verb`` itself.
    """
    if family.n_values >= len(SYMBOLS) or family.graph().puzzle_kinds:
        few = f"at most {len(SYMBOLS) - 1} values and no edges of a puzzle's own"
        raise NotImplementedError(f"{family.name}: write {verb}; what families inherit has {few}")
    return SYMBOLS[: family.n_values + 1]
