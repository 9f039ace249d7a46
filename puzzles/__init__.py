"""Puzzle families: rules, generators, solvers, symmetries and files; imports neither torch nor planorder."""

from __future__ import annotations

from puzzles.base import AbstractFamily, UserInputError
from puzzles.errors import did_you_mean
from puzzles.naesat import NaeSat
from puzzles.sudoku.family import Sudoku
from puzzles.zebra.family import Zebra

FAMILIES: dict[str, AbstractFamily] = {
    "sudoku": Sudoku("sudoku", 3, 3),
    "sudoku-2x2": Sudoku("sudoku-2x2", 2, 2),
    "sudoku-2x3": Sudoku("sudoku-2x3", 2, 3),
    "sudoku-4x4": Sudoku("sudoku-4x4", 4, 4),
    "zebra": Zebra("zebra"),
    "zebra-grid": Zebra("zebra-grid", layout="grid"),
    "naesat": NaeSat("naesat", 25, 275),
    "naesat-30-270": NaeSat("naesat-30-270", 30, 270),
    "naesat-40-260": NaeSat("naesat-40-260", 40, 260),
    "naesat-50-250": NaeSat("naesat-50-250", 50, 250),
    "naesat-100-200": NaeSat("naesat-100-200", 100, 200),
}
"""All families by name."""


def get_family(name: str) -> AbstractFamily:
    """The family of a name.

    Raises:
        UserInputError: an unknown name, with the nearest known one.
    """
    if name not in FAMILIES:
        hint = did_you_mean(name, FAMILIES)
        raise UserInputError(f"family {name!r} is unknown: expected one of {', '.join(FAMILIES)}{hint}")
    return FAMILIES[name]
