"""Sudoku files of other people, in and out: lines of digits, rated lists, CSV, the `.npy` of Shah et al.

Text files hold a puzzle a line, read left to right and top to bottom, `0` or `.` for a blank and letters
from `A` for values above 9. Blank lines and lines that begin with `#` are skipped. A line is one of

* ``puzzle`` or ``puzzle solution``,
* ``hash puzzle rating`` (the lists of the Sudoku Exchange and of NullSudoku), of which the puzzle is kept,
* a row of a CSV whose header names ``quizzes`` or ``puzzle`` and perhaps ``solutions`` or ``solution``.

The array of Shah et al. (arXiv 2409.10502) has a row of 325 integers a puzzle: the number of givens, then
81 times (row, column, value, strategy), givens first and then the cells as their solver fills them;
strategy 0 is a given and 2 to 8 are the seven techniques. Any file may be gzipped.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError
from puzzles.files import content_lines, quote, read_bytes
from puzzles.storage import atomic_file
from puzzles.sudoku.technique_kernels import SEARCH

SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOVE = 4  # row, column, value, strategy


@dataclass(frozen=True)
class _Source:
    """Where each puzzle stands, for messages: ``unit`` is "line" or "row", ``number[i]`` counts from 1."""

    path: Path
    unit: str
    number: np.ndarray

    def refuse(self, position: int, problem: str) -> NoReturn:
        raise UserInputError(f"{self.path}, {self.unit} {self.number[position]}: {problem}")


def to_line(cells: np.ndarray) -> str:
    """One puzzle ``[cells]`` as a line: `0` for a blank, letters from `A` for values above 9."""
    return "".join(SYMBOLS[value] for value in cells)


def read_puzzles(path: Path | str, family: AbstractFamily) -> PuzzleBatch:
    """Reads, checks, solves and rates the puzzles of a file, in the file's order.

    Args:
        path: a file in one of the formats above; which one is seen from its content.
        family: the Sudoku that the puzzles belong to.

    Returns:
        The rated puzzles; ``index`` is the position among the file's puzzles, from 0.

    Raises:
        UserInputError: the file cannot be read, or a puzzle is malformed, has a value twice in a unit,
            has no or several solutions, or stands beside a solution that is not its own.
    """
    path = Path(path)
    content = read_bytes(path)
    given: np.ndarray | None
    if path.name.removesuffix(".gz").endswith(".npy") or content.startswith(b"\x93NUMPY"):
        clues, given, source = _parse_shah(content, path, family)
    else:
        clues, given, source = _parse_text(content, path, family)
    _refuse_repeats(clues, family, source)
    solution = _solve(clues, family, source)
    _refuse_wrong_solution(solution, given, family, source)
    return family.rate(clues, solution, np.arange(len(clues), dtype=np.int64))


def write_shah(path: Path | str, batch: PuzzleBatch) -> None:
    """Writes the array of Shah et al., int16 ``[batch, 1 + 4 cells]``; the file appears only when complete.

    Raises:
        UserInputError: a puzzle needs search, for which the format has no strategy, or the file cannot
            be written.
    """
    beyond = np.flatnonzero(batch.hardest >= SEARCH)
    if len(beyond):
        raise UserInputError(
            f"puzzle {beyond[0]} of {len(batch)} needs search, for which the Shah format has no strategy: "
            "expected puzzles that logic solves; keep batch[batch.hardest < 8]"
        )
    cells = batch.clues.shape[1]
    # Clues have rank -1, so one stable sort puts them first, row by row, and the fills after them.
    order = np.argsort(batch.rank, axis=1, kind="stable")
    row, column = np.divmod(order, round(cells**0.5))
    strategy = np.take_along_axis(batch.technique, order, axis=1).astype(np.int16)
    strategy[strategy > 0] += 1
    moves = np.stack([row, column, np.take_along_axis(batch.solution, order, axis=1), strategy], axis=2)
    givens = (batch.clues > 0).sum(axis=1, keepdims=True)
    table = np.concatenate([givens, moves.reshape(len(batch), -1)], axis=1).astype(np.int16)
    with atomic_file(Path(path)) as file:
        np.save(file, table)


def _parse_text(
    content: bytes, path: Path, family: AbstractFamily
) -> tuple[np.ndarray, np.ndarray | None, _Source]:
    found = content_lines(content, path, "text, or a .npy file that begins with \\x93NUMPY")
    numbers, lines = [place.number for place, _ in found], [line for _, line in found]
    source = _Source(path, "line", np.array(numbers))
    columns = [name.strip().lower() for name in _split_csv(lines[0])]
    if "puzzle" in columns or "quizzes" in columns:
        if len(lines) == 1:
            raise UserInputError(f"{path}: has a header but no puzzle; add one puzzle a line")
        numbers, lines = numbers[1:], lines[1:]
        source = _Source(path, "line", np.array(numbers))
        puzzles, solutions = _csv_fields(lines, columns, source)
    else:
        puzzles, solutions = _line_fields(lines, family.n_cells, source)
    clues = _to_cells(puzzles, family, source, "puzzle")
    with_solution = np.flatnonzero([bool(text) for text in solutions])
    if not len(with_solution):
        return clues, None, source
    given = np.full_like(clues, -1)
    part = _Source(path, "line", source.number[with_solution])
    given[with_solution] = _to_cells([solutions[i] for i in with_solution], family, part, "solution")
    return clues, given, source


def _split_csv(line: str) -> list[str]:
    # Quotes are rare and the csv module is slow, so it only sees the lines that need it.
    return next(csv.reader([line])) if '"' in line else line.split(",")


def _csv_fields(lines: list[str], columns: list[str], source: _Source) -> tuple[list[str], list[str]]:
    at = next(columns.index(name) for name in ("puzzle", "quizzes") if name in columns)
    solution_at = next((columns.index(name) for name in ("solution", "solutions") if name in columns), None)
    puzzles, solutions = [], []
    for position, line in enumerate(lines):
        fields = _split_csv(line)
        if len(fields) != len(columns):
            source.refuse(
                position,
                f"{len(fields)} columns in {quote(line)}; expected {len(columns)}, as in the header",
            )
        puzzles.append(fields[at].strip())
        solutions.append("" if solution_at is None else fields[solution_at].strip())
    return puzzles, solutions


def _line_fields(lines: list[str], n_cells: int, source: _Source) -> tuple[list[str], list[str]]:
    puzzles, solutions = [], []
    for position, line in enumerate(lines):
        fields = line.split()
        if len(fields) in (2, 3) and len(fields[0]) != n_cells and len(fields[1]) == n_cells:
            puzzles.append(fields[1])
            solutions.append("")
            continue
        if len(fields) > 2:
            source.refuse(
                position,
                f"{len(fields)} columns in {quote(line)}; expected `puzzle`, `puzzle solution` or "
                f"`hash puzzle rating` with {n_cells} characters a puzzle",
            )
        if "," in line:
            source.refuse(
                position,
                f"a comma in {quote(line)}; expected a puzzle, or a CSV header as the first line: "
                "add `puzzle,solution`",
            )
        puzzles.append(fields[0])
        solutions.append(fields[1] if len(fields) == 2 else "")
    return puzzles, solutions


def _to_cells(texts: list[str], family: AbstractFamily, source: _Source, what: str) -> np.ndarray:
    """int8 ``[texts, cells]``, all checked for length and characters at once."""
    n_cells, n_values = family.n_cells, family.n_values
    wrong = np.flatnonzero(np.array([len(text) for text in texts]) != n_cells)
    if len(wrong):
        text = texts[wrong[0]]
        problem = f"the {what} {quote(text)} has {len(text)} characters; expected {n_cells}, one a cell"
        source.refuse(int(wrong[0]), f"{problem}, 0 or . for a blank")
    table = np.full(256, -1, np.int8)
    table[ord(".")] = 0
    for value, symbol in enumerate(SYMBOLS[: n_values + 1]):
        table[[ord(symbol), ord(symbol.lower())]] = value
    joined = "".join(texts)
    cells = table[np.frombuffer(joined.encode("latin-1", "replace"), np.uint8)].reshape(-1, n_cells)
    row, column = np.nonzero(cells < 0)
    if len(row):
        symbol = texts[row[0]][column[0]]
        values = f"1-{SYMBOLS[min(n_values, 9)]}" + (f", A-{SYMBOLS[n_values]}" if n_values > 9 else "")
        source.refuse(
            int(row[0]),
            f"character {symbol!a} at place {column[0] + 1} of the {what}; "
            f"expected {values}, or 0 or . for a blank",
        )
    return cells


def _load_table(content: bytes, path: Path, width: int) -> np.ndarray:
    try:
        table = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # numpy's reader answers damaged headers with many kinds of errors
        problem = quote(str(error), 80)
        raise UserInputError(
            f"{path}: not a whole .npy array of integers ({problem}); save it again with numpy.save"
        ) from error
    shape: tuple[int, ...] = getattr(table, "shape", ())
    if len(shape) != 2 or shape[1] != width or shape[0] == 0:
        raise UserInputError(f"{path}: array of shape {shape}; expected [puzzles, {width}], a row a puzzle")
    if table.dtype.kind not in "iu":
        raise UserInputError(f"{path}: array of {table.dtype}; expected integers: save table.astype('int16')")
    return table.astype(np.int64)


def _parse_shah(content: bytes, path: Path, family: AbstractFamily) -> tuple[np.ndarray, np.ndarray, _Source]:
    """Clues and solution of each row; its order and strategies are left, for `family.rate` finds our own."""
    cells, side = family.n_cells, family.n_values
    table = _load_table(content, path, 1 + _MOVE * cells)
    source = _Source(path, "row", np.arange(1, len(table) + 1))
    givens, moves = table[:, :1], table[:, 1:].reshape(len(table), cells, _MOVE)
    for name, found, low, high in (
        ("number of givens", givens, 0, cells),
        ("row", moves[:, :, 0], 0, side - 1),
        ("column", moves[:, :, 1], 0, side - 1),
        ("value", moves[:, :, 2], 1, side),
    ):
        row, move = np.nonzero((found < low) | (found > high))
        if len(row):
            problem = f"{name} {found[row[0], move[0]]}; expected {low} to {high}, as Shah et al. number them"
            source.refuse(int(row[0]), problem)
    place = moves[:, :, 0] * side + moves[:, :, 1]
    row, _ = np.nonzero(np.sort(place, axis=1) != np.arange(cells))
    if len(row):
        source.refuse(int(row[0]), "a cell is filled twice; expected each (row, column) once")
    solution = np.zeros((len(table), cells), np.int8)
    np.put_along_axis(solution, place, moves[:, :, 2].astype(np.int8), axis=1)
    shown = np.zeros(solution.shape, bool)
    np.put_along_axis(shown, place, np.arange(cells) < givens, axis=1)
    return np.where(shown, solution, 0).astype(np.int8), solution, source


def _refuse_repeats(clues: np.ndarray, family: AbstractFamily, source: _Source) -> None:
    for edges in family.graph().edges:
        for number, unit in enumerate(edges.cells, 1):
            values = np.sort(clues[:, unit], axis=1)
            row, at = np.nonzero((values[:, 1:] == values[:, :-1]) & (values[:, 1:] > 0))
            if len(row):
                value = SYMBOLS[values[row[0], at[0]]]
                problem = f"the clue {value} stands twice in {edges.kind} {number}; expected once"
                source.refuse(int(row[0]), f"{problem}; correct one of them")


def _solve(clues: np.ndarray, family: AbstractFamily, source: _Source) -> np.ndarray:
    count, solution = family.count_solutions(clues, limit=2)
    wrong = np.flatnonzero(count != 1)
    if len(wrong):
        number, fix = ("no", "correct a clue") if count[wrong[0]] == 0 else ("several", "add a clue")
        line = to_line(clues[wrong[0]])
        source.refuse(
            int(wrong[0]), f"the puzzle {quote(line, 100)} has {number} solutions; expected one; {fix}"
        )
    return solution


def _refuse_wrong_solution(
    solution: np.ndarray, given: np.ndarray | None, family: AbstractFamily, source: _Source
) -> None:
    if given is None:
        return
    row, cell = np.nonzero((given != solution) & (given[:, :1] >= 0))
    if len(row):
        y, x = divmod(int(cell[0]), family.n_values)
        shown, true = (SYMBOLS[grid[row[0], cell[0]]] for grid in (given, solution))
        source.refuse(
            int(row[0]),
            f"the given solution has {shown} at row {y + 1}, column {x + 1}; the puzzle's only solution has "
            f"{true} there; correct it or leave the solution out",
        )
