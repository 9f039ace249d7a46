"""The rules of Sudoku in plain Python, slow and written apart from the kernels that they check."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

Shape = tuple[int, int]
"""Rows and columns of a box."""


@cache
def units(shape: Shape) -> list[list[int]]:
    """The cells of every row, column and box, from the rules of the game."""
    n = shape[0] * shape[1]
    found: dict[tuple, list[int]] = {}
    for kind in range(3):
        for r, c in product(range(n), repeat=2):
            found.setdefault((kind, (r, c, (r // shape[0], c // shape[1]))[kind]), []).append(n * r + c)
    return list(found.values())


def twin_valid(cells: np.ndarray, clues: np.ndarray, shape: Shape) -> bool:
    """Whether every unit holds every value and every clue stands."""
    values = set(range(1, shape[0] * shape[1] + 1))
    kept = all(clue in (0, cell) for cell, clue in zip(cells.tolist(), clues.tolist(), strict=True))
    return kept and all({int(cells[cell]) for cell in unit} == values for unit in units(shape))


def twin_solutions(clues: list[int], shape: Shape, limit: int) -> set[bytes]:
    """Up to ``limit`` solutions, as exact covers by Knuth's algorithm X: cells once, values once a unit."""
    values = range(1, shape[0] * shape[1] + 1)
    covers = {(cell, value): [(-1, cell)] for cell in range(len(clues)) for value in values}
    for u, unit in enumerate(units(shape)):
        for cell, value in product(unit, values):
            covers[cell, value].append((u * 100 + value, -1))
    meets: dict[tuple, set] = {}
    for move, places in covers.items():
        for place in places:
            meets.setdefault(place, set()).add(move)
    found, chosen = set(), {}

    def take(move: tuple) -> list[tuple]:
        taken = []
        for place in covers[move]:
            for other in meets[place]:
                for elsewhere in covers[other]:
                    if elsewhere != place:
                        meets[elsewhere].discard(other)
            taken.append((place, meets.pop(place)))
        return taken

    def give_back(taken: list[tuple]) -> None:
        for place, moves in reversed(taken):
            meets[place] = moves
            for other in moves:
                for elsewhere in covers[other]:
                    if elsewhere in meets:
                        meets[elsewhere].add(other)

    def extend() -> None:
        if not meets:
            found.add(bytes(chosen[cell] for cell in range(len(clues))))
            return
        for move in list(min(meets.values(), key=len)):
            chosen[move[0]] = move[1]
            taken = take(move)
            extend()
            give_back(taken)
            if len(found) >= limit:
                return

    for cell, value in enumerate(clues):
        if value:
            if not all(place in meets for place in covers[cell, value]):
                return set()
            chosen[cell] = value
            take((cell, value))
    extend()
    return found
