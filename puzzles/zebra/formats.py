"""Zebra files of other people, in and out: JSON lines with names, and the clue language of Shah et al.

* ``.jsonl`` or ``.json``, or text whose first line begins with ``{``: see `json_lines`.
* Other text: a puzzle a line in the clue language, see `language`.
* ``.pkl`` or ``.pickle``: the lists of Shah et al., see `language`; no code in them is run, see `pickles`.

Blank lines and lines that begin with ``#`` are skipped, and any file may be gzipped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError
from puzzles.files import Place, content_lines, read_bytes
from puzzles.zebra.clues import given_cells
from puzzles.zebra.english import render
from puzzles.zebra.json_lines import parse_line, to_json, write_jsonl
from puzzles.zebra.language import parse_items, parse_lines, to_language
from puzzles.zebra.pickles import load_plain
from puzzles.zebra.sources import Stated

__all__ = ["read_puzzles", "render", "to_json", "to_language", "write_jsonl"]

CHUNK = 4096
"""Puzzles that are solved at a time; the first mistake of a long file is told soon."""


def read_puzzles(path: Path | str, family: AbstractFamily) -> PuzzleBatch:
    """Reads, checks, solves and rates the puzzles of a file, in the file's order.

    Args:
        path: a file in one of the formats above.
        family: Zebra in the position layout.

    Returns:
        The rated puzzles in the position layout; ``index`` is the position among the file's puzzles, from 0.

    Raises:
        UserInputError: the file cannot be read, or a puzzle is malformed, has no or several solutions, or
            stands beside a solution that is not its own.
    """
    path = Path(path)
    puzzles = _parse(read_bytes(path), path)
    clues = np.stack([given_cells(puzzle.houses, puzzle.attributes) for puzzle in puzzles])
    edges = np.full((len(puzzles), max(len(puzzle.edges) for puzzle in puzzles), 4), -1, np.int16)
    for row, puzzle in enumerate(puzzles):
        edges[row, : len(puzzle.edges)] = puzzle.edges
    solution = np.empty_like(clues)
    for start in range(0, len(puzzles), CHUNK):
        rows = slice(start, start + CHUNK)
        solution[rows] = _solve(puzzles[rows], clues[rows], edges[rows], family)
    return family.rate(clues, solution, np.arange(len(clues), dtype=np.int64), edges)


def _parse(content: bytes, path: Path) -> list[Stated]:
    name = path.name.removesuffix(".gz")
    if name.endswith((".pkl", ".pickle")) or content.startswith(b"\x80"):
        items = load_plain(content, path)
        if not isinstance(items, list | tuple) or not items:
            kind = "no puzzle" if isinstance(items, list | tuple) else f"a {type(items).__name__}"
            raise UserInputError(f"{path}: holds {kind}; expected a list with an item a puzzle")
        return parse_items([(Place(path, "item", i), item) for i, item in enumerate(items, 1)])
    lines = content_lines(content, path, "text, or a pickle whose name ends in .pkl")
    if name.endswith((".jsonl", ".json")) or lines[0][1].startswith("{"):
        return [parse_line(place, line) for place, line in lines]
    return parse_lines(lines)


def _solve(puzzles: list[Stated], clues: np.ndarray, edges: np.ndarray, family: AbstractFamily) -> np.ndarray:
    """int8 ``[puzzles, N_CELLS]``: the only solution of each, equal to the stated one where there is one."""
    count, solution = family.count_solutions(clues, limit=2, edges=edges)
    for puzzle, number, found in zip(puzzles, count, solution, strict=True):
        if number != 1:
            problem, fix = ("several", "add a clue") if number else ("no", "correct a clue")
            puzzle.place.refuse(
                f"the {len(puzzle.edges)} clues have {problem} solutions for {puzzle.houses} houses x "
                f"{puzzle.attributes} attributes; expected one; {fix}"
            )
        if puzzle.solution is not None and (puzzle.solution != found).any():
            cell = int(np.flatnonzero(puzzle.solution != found)[0])
            puzzle.place.refuse(
                f"the given solution has {puzzle.name(cell)} in house {puzzle.solution[cell]} from the left; "
                f"the clues' only solution has it in house {found[cell]}; correct it or leave it out"
            )
    return solution
