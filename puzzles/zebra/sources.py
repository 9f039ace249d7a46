"""Zebra puzzles as their files state them, before they are solved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from puzzles.files import Place
from puzzles.zebra.clues import LEAST, MOST, N_CELLS

MOST_CLUES = 100
"""Of a puzzle; minimal ones of six houses and six attributes have about thirty."""


@dataclass(frozen=True)
class Stated:
    """A puzzle as its file states it, with cells that exist; whether it has one solution is not yet known.

    Attributes:
        place: where it stands.
        houses: from 3 to 6.
        attributes: from 3 to 6.
        edges: int16 ``[clues, 4]``.
        solution: int8 ``[N_CELLS]`` in the position layout, or None where the file has none.
        name: what the file calls a cell.
    """

    place: Place
    houses: int
    attributes: int
    edges: np.ndarray
    solution: np.ndarray | None
    name: Callable[[int], str]


def checked(edges: np.ndarray, place: Place, name: Callable[[int], str]) -> np.ndarray:
    """The edges int16 ``[clues, 4]`` of a puzzle, refused where they are too many or name a cell twice."""
    if not 1 <= len(edges) <= MOST_CLUES:
        place.refuse(f"{len(edges)} clues; expected 1 to {MOST_CLUES}: add or remove clues")
    for first, second in ((1, 2), (1, 3), (2, 3)):
        twice = np.flatnonzero((edges[:, first] == edges[:, second]) & (edges[:, first] >= 0))
        if len(twice):
            value = name(int(edges[twice[0], first]))
            place.refuse(f"clue {twice[0] + 1} names {value} twice; expected different ones: correct one")
    return edges


def check_size(houses: int, attributes: int, place: Place) -> None:
    """Refuses sizes beyond the family's."""
    for number, of in ((houses, "houses"), (attributes, "attributes")):
        if not LEAST <= number <= MOST:
            place.refuse(f"{number} {of}; expected {LEAST} to {MOST}: leave the puzzle out")


def identity() -> np.ndarray:
    """int8 ``[N_CELLS]``: value v in house v, which is what a size's missing cells hold."""
    return (np.arange(N_CELLS) % MOST + 1).astype(np.int8)
