"""Zebra puzzles in words: names for values, clues as sentences, and the table of houses.

The names are ours: clues and cells are numbers, and no result depends on what they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from puzzles.zebra.clues import (
    BETWEEN,
    DIFFERENT,
    ENDS,
    GAP1,
    GAP2,
    IMMEDIATE_LEFT,
    KINDS,
    LEAST,
    LEFT_OF,
    MOST,
    N_CELLS,
    NEXT_TO,
    ROWS,
    SAME,
    size_of,
)
from puzzles.zebra.sources import identity


@dataclass(frozen=True)
class Attribute:
    """An attribute's name, its values' names, and the phrases in which ``{}`` stands for one of them.

    Attributes:
        name: e.g. "Colour".
        values: six names; no two attributes share one.
        person: who lives there, e.g. "the owner of the red house".
        home: where that is, e.g. "the red house".
        has: what is said of the person, e.g. "lives in the red house".
        has_not: its opposite.
    """

    name: str
    values: tuple[str, ...]
    person: str
    home: str
    has: str
    has_not: str


HOUSES = Attribute(
    "House",
    tuple(str(house) for house in range(1, MOST + 1)),
    "the person in house {}",
    "house {}",
    "lives in house {}",
    "does not live in house {}",
)
ATTRIBUTES = (
    Attribute(
        "Colour",
        ("red", "green", "white", "yellow", "blue", "black"),
        "the owner of the {} house",
        "the {} house",
        "lives in the {} house",
        "does not live in the {} house",
    ),
    Attribute(
        "Nationality",
        ("Norwegian", "Briton", "Swede", "Dane", "German", "Spaniard"),
        "the {}",
        "the house of the {}",
        "is the {}",
        "is not the {}",
    ),
    Attribute(
        "Drink",
        ("water", "tea", "milk", "coffee", "juice", "beer"),
        "the {} drinker",
        "the house of the {} drinker",
        "drinks {}",
        "does not drink {}",
    ),
    Attribute(
        "Pet",
        ("zebra", "dog", "bird", "cat", "horse", "fish"),
        "the {} owner",
        "the house of the {} owner",
        "keeps the {}",
        "does not keep the {}",
    ),
    Attribute(
        "Sport",
        ("tennis", "football", "chess", "golf", "hockey", "rugby"),
        "the {} player",
        "the house of the {} player",
        "plays {}",
        "does not play {}",
    ),
    Attribute(
        "Job",
        ("doctor", "teacher", "painter", "lawyer", "writer", "baker"),
        "the {}",
        "the house of the {}",
        "is the {}",
        "is not the {}",
    ),
)
"""The attributes of every puzzle of ours, in their order; a puzzle of m attributes has the first m."""

_SENTENCES = {
    SAME: "{a.person} {b.has}",
    DIFFERENT: "{a.person} {b.has_not}",
    NEXT_TO: "{a.person} lives next to {b.home}",
    ENDS: "{a.person} lives in the first or the last house",
    IMMEDIATE_LEFT: "{a.person} lives immediately to the left of {b.home}",
    LEFT_OF: "{a.person} lives somewhere to the left of {b.home}",
    BETWEEN: "{b.person} lives somewhere between {a.home} on the left and {c.home} on the right",
    GAP1: "one house stands between {a.home} and {b.home}",
    GAP2: "two houses stand between {a.home} and {b.home}",
}
_FROM_A_HOUSE = {
    IMMEDIATE_LEFT: "{b.person} lives immediately to the right of {a.home}",
    LEFT_OF: "{b.person} lives somewhere to the right of {a.home}",
}  # where the left one is a house's number, so that somebody lives there and no house does


def _phrases(cell: int) -> Attribute:
    """The phrases of a cell's value: an attribute whose ``{}`` are filled."""
    row, value = divmod(cell, MOST)
    of = (HOUSES, *ATTRIBUTES)[row]
    name = of.values[value]
    phrases = (text.format(name) for text in (of.person, of.home, of.has, of.has_not))
    return Attribute(name, of.values, *phrases)


def english(edges: np.ndarray) -> list[str]:
    """One sentence a clue of int16 ``[edges, 4]``, padding left out; houses count from left to right."""
    sentences = []
    for kind, *members in edges.tolist():
        if kind < 0:
            continue
        cells = members[: len(KINDS[kind].roles)]
        numbered = cells[0] < MOST
        if numbered and kind in (SAME, DIFFERENT, NEXT_TO):
            cells.reverse()  # "The doctor lives in house 1", not "The person in house 1 is the doctor"
        form = _FROM_A_HOUSE.get(kind, _SENTENCES[kind]) if numbered else _SENTENCES[kind]
        sentence = form.format(**dict(zip("abc", map(_phrases, cells), strict=False)))
        sentences.append(f"{sentence[0].upper()}{sentence[1:]}.")
    return sentences


def say(cell: int, house: int) -> str:
    """One filled cell of the position layout in words, e.g. "the Norwegian lives in house 1"."""
    return f"{_phrases(cell).person} lives in house {house}"


def render(cells: np.ndarray, clues: np.ndarray | None = None, edges: np.ndarray | None = None) -> str:
    """A table of attributes and houses; dots are blanks, an apostrophe marks a cell that is no clue.

    Args:
        cells: int8 ``[N_CELLS]`` in the position layout, right or wrong; values that share a house stand in
            it together, e.g. ``red/blue``.
        clues: int8 ``[N_CELLS]``: tell the size, and which cells are filled. Without them the size is the
            least that has all blanks, all values away from their own number, and all that the edges name.
        edges: int16 ``[edges, 4]``: go before the table as numbered sentences.
    """
    houses, attributes = _size(cells, clues, edges)
    lines = []
    if edges is not None:
        lines = [f"{k:2}. {sentence}" for k, sentence in enumerate(english(edges), 1)]
        lines.append("")
    used = ATTRIBUTES[:attributes]
    rows = [["", *(f" {house}" for house in range(1, houses + 1))]]
    for row, attribute in enumerate(used, 1):
        shown = [attribute.name]
        for house in range(1, houses + 1):
            here = [value for value in range(houses) if cells[row * MOST + value] == house]
            filled = clues is not None and any(not clues[row * MOST + value] for value in here)
            text = "/".join(attribute.values[value] for value in here) or "."
            shown.append(("'" if filled else " ") + text)
        rows.append(shown)
    longest = max(len(value) for attribute in used for value in attribute.values[:houses])
    return "\n".join([*lines, *_aligned(rows, longest + 1)])


def _aligned(rows: Sequence[Sequence[str]], least: int) -> list[str]:
    """Lines whose columns stand below each other, all but the first at least ``least`` wide."""
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    widths[1:] = [max(width, least) for width in widths[1:]]
    return [
        " ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _size(cells: np.ndarray, clues: np.ndarray | None, edges: np.ndarray | None) -> tuple[int, int]:
    """Houses and attributes, from the clues where there are some."""
    if clues is not None:
        houses, attributes = (int(number[0]) for number in size_of(clues[None]))
        return min(max(houses, LEAST), MOST), min(max(attributes, LEAST), MOST)
    own = np.flatnonzero(cells != identity())
    named = np.arange(N_CELLS)[:0] if edges is None else edges[:, 1:][edges[:, 1:] >= 0]
    known = np.concatenate([own, named])
    row, value = np.divmod(known, MOST)
    inside = row < ROWS
    houses = int(max(value[inside], default=0)) + 1
    return max(houses, LEAST), max(int(max(row[inside], default=0)), LEAST)
