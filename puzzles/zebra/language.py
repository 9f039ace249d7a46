"""The clue language of Shah et al. (arXiv 2409.10502), as text or in their pickles, in and out.

A puzzle is a line of tokens: clues, each ``TYPE LHS member RHS member CLUE_END``, then perhaps ``ANSWER`` and
a triple (attribute, house, value) for each cell. A member is ``n 0 h``, house h, or ``c a v``, value v of
attribute a. The types are ``= != nbr ends immediate-left left-of inbetween``; gap1 and gap2 are ours and
keep their names. An item of their pickles is a list: such tokens, a table whose row 0 holds the house numbers
and row a the values of attribute a from left to right, and the order of the solver, which is not read.

What their paper and public code (kulinshah98/llm-reasoning-logic-puzzles) leave open, and what is done:

* From where numbers count. Their evaluation takes rows, houses and values of the triples from 0, and a
  vocabulary of 19 tokens has room for six numbers; yet their README calls ``c 1 2`` the first attribute. So
  we write all of them from 0, and read each sort, (a) attributes of clues, (b) attributes of triples, (c)
  values and houses of both, from 0 where the file has a 0 of that sort, else from 1. Each row of a table's
  numbers counts from its least. Every puzzle with one solution names each attribute, so only (c) can be in
  doubt, in a file without answers in which no clue names a first value or the first house.
* How "ends" and "inbetween" are written. We write ``ends LHS member CLUE_END``, and read it also where the
  first and the last house follow; and ``inbetween LHS left RHS middle RHS right CLUE_END``, of which we read
  the last RHS as optional. Members stand in the order of the roles in `clues.KINDS`.
* The size of a puzzle without answer or table: the least that has all it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from puzzles.base import PuzzleBatch
from puzzles.errors import did_you_mean
from puzzles.files import Place, quote
from puzzles.zebra.clues import ENDS, LEAST, MEMBERS, MOST, cell_of
from puzzles.zebra.json_lines import arity, own_size
from puzzles.zebra.sources import Stated, check_size, checked, identity

TYPES = ("=", "!=", "nbr", "ends", "immediate-left", "left-of", "inbetween", "gap1", "gap2")
"""The token of each kind of `clues.KINDS`."""

_KIND = {token: kind for kind, token in enumerate(TYPES)}
_NUMBER = {str(number): number for number in range(MOST + 1)}
_HOUSE, _NONE = -1, -2  # stand for the attribute of a member that is a house, or of none
_WORDS = ("LHS", "RHS", "CLUE_END", "ANSWER", "c", "n", *TYPES)


class Raw(NamedTuple):
    """A puzzle as its tokens state it, with numbers as written.

    Attributes:
        place: where it stands.
        clues: int8 ``[clues, 1 + 2 * MEMBERS]``: a kind, then attribute (or `_HOUSE`, `_NONE`) and number of
            each member.
        answer: int64 ``[cells, 3]``, the triples; None where the file has none.
        table: int64 ``[1 + attributes, houses]``; None where the file has none.
    """

    place: Place
    clues: np.ndarray
    answer: np.ndarray | None
    table: np.ndarray | None


class Bases(NamedTuple):
    """From where a file counts the attributes of clues, those of triples, and values and houses: 0 or 1."""

    attribute: int
    row: int
    number: int


def to_language(batch: PuzzleBatch, row: int = 0, solution: bool = True) -> str:
    """One puzzle of a batch as a line of tokens, its answer in the order of ``rank``; all counts from 0.

    Raises:
        UserInputError: the puzzle has cells given beside its clues, for which the language has no words.
    """
    houses, attributes = own_size(batch, row)
    assert batch.edges is not None
    tokens = []
    for kind, *cells in batch.edges[row].tolist():
        if kind < 0:
            continue
        tokens.append(TYPES[kind])
        for k, cell in enumerate(cells[: arity(kind)]):
            attribute, value = divmod(cell, MOST)
            name = f"c {attribute - 1} {value}" if attribute else f"n 0 {value}"
            tokens.append(f"{'RHS' if k else 'LHS'} {name}")
        tokens.append("CLUE_END")
    if solution:
        tokens.append("ANSWER")
        cells = [cell_of(a, v) for a in range(1, attributes + 1) for v in range(1, houses + 1)]
        for cell in sorted(cells, key=lambda cell: batch.rank[row, cell]):
            tokens.append(f"{cell // MOST - 1} {batch.solution[row, cell] - 1} {cell % MOST}")
    return " ".join(tokens)


def parse_lines(lines: Sequence[tuple[Place, str]]) -> list[Stated]:
    """The puzzles of a text file, a line each.

    Raises:
        UserInputError: a line is not of the language; its text names the token.
    """
    return _stated([_raw(line.split(), place) for place, line in lines])


def parse_items(items: Sequence[tuple[Place, Any]]) -> list[Stated]:
    """The puzzles of a pickle: lists of tokens, table and order.

    Raises:
        UserInputError: an item is not of that form.
    """
    raws = []
    for place, item in items:
        if not isinstance(item, list | tuple) or len(item) < 2 or not isinstance(item[0], list | tuple):
            place.refuse(f"{quote(item)}; expected [list of tokens, table, order], as Shah et al. save them")
        raw = _raw([str(token) if type(token) is int else token for token in item[0]], place)
        raws.append(raw._replace(table=_table(item[1], place)))
    return _stated(raws)


def _raw(tokens: Sequence[Any], place: Place) -> Raw:
    """Clues and answer of a list of tokens."""
    clues = []
    start = 0
    while start < len(tokens) and tokens[start] != "ANSWER":
        end = start
        while end < len(tokens) and tokens[end] != "CLUE_END":
            end += 1
        clues.append(_clue(tokens[start:end], start, place))
        if end == len(tokens):
            place.refuse(f"the clue that begins at token {start + 1} has no CLUE_END; add it")
        start = end + 1
    numbers = [_number(tokens[at], at, place) for at in range(start + 1, len(tokens))]
    if len(numbers) % 3:
        place.refuse(
            f"{len(numbers)} numbers after ANSWER; expected triples of attribute, house and value: "
            "add what is missing"
        )
    found = np.array(clues, np.int8).reshape(-1, 1 + 2 * MEMBERS)
    return Raw(place, found, np.array(numbers).reshape(-1, 3) if numbers else None, None)


def _clue(tokens: Sequence[Any], start: int, place: Place) -> list[int]:
    """A row of `Raw.clues`; ``start`` is the place of its first token in the puzzle."""
    kind = _KIND.get(tokens[0]) if tokens and isinstance(tokens[0], str) else None
    if kind is None:
        shown = tokens[0] if tokens else "CLUE_END"
        hint = did_you_mean(shown, TYPES)
        place.refuse(f"token {start + 1} is {quote(shown)}; expected a type of clue, {' '.join(TYPES)}{hint}")
    members: list[tuple[int, int]] = []
    at = 1
    while at < len(tokens):
        word = "RHS" if members else "LHS"
        if tokens[at] == word:
            at += 1
        member = tokens[at : at + 3]
        if (not members and tokens[at - 1] != word) or len(member) < 3 or member[0] not in ("c", "n"):
            wrong = tokens[at] if at < len(tokens) else "CLUE_END"
            place.refuse(
                f"token {start + at + 1} is {quote(wrong)}; expected {word}, then `c attribute value` or "
                f"`n 0 house`{did_you_mean(wrong, _WORDS) if wrong not in _WORDS else ''}"
            )
        first, second = (_number(member[k], start + at + k, place) for k in (1, 2))
        if member[0] == "n" and first:
            place.refuse(f"token {start + at + 2} is {first}; expected 0 between n and the house")
        members.append((_HOUSE if member[0] == "n" else first, second))
        at += 3
    extra = kind == ENDS and len(members) <= 3 and all(attribute == _HOUSE for attribute, _ in members[1:])
    if not members or (len(members) != arity(kind) and not extra):
        place.refuse(
            f"the clue that begins at token {start + 1} has {len(members)} members; "
            f"expected {arity(kind)} for {TYPES[kind]}"
        )
    members += [(_NONE, 0)] * (MEMBERS - len(members))
    return [kind, *(number for member in members for number in member)]


def _number(token: Any, at: int, place: Place) -> int:
    number = _NUMBER.get(token) if isinstance(token, str) else None
    if number is None:
        place.refuse(f"token {at + 1} is {quote(token)}; expected a number, 0 to {MOST}")
    return number


def _table(table: Any, place: Place) -> np.ndarray:
    """int64 ``[1 + attributes, houses]``, its rows counted from 0."""
    rows = table if isinstance(table, list | tuple) else ()
    if not rows or not all(isinstance(row, list | tuple) and len(row) == len(rows[0]) for row in rows):
        place.refuse(f"table {quote(table)}; expected rows of one length: house numbers, then the attributes")
    check_size(len(rows[0]), len(rows) - 1, place)
    if not all(type(number) is int and 0 <= number <= MOST for row in rows for number in row):
        place.refuse(f"table {quote(table)}; expected whole numbers, 0 to {MOST}")
    found = np.array(rows)
    found -= found.min(axis=1, keepdims=True)
    whole = np.arange(len(rows[0]))
    if (found[0] != whole).any():
        place.refuse(f"row 0 of the table is {quote(rows[0])}; expected the house numbers from left to right")
    for row in np.flatnonzero((np.sort(found, axis=1) != whole).any(axis=1)):
        place.refuse(f"row {row} of the table is {quote(rows[row])}; expected each value once")
    return found


def _stated(raws: Sequence[Raw]) -> list[Stated]:
    bases = _bases(raws)
    return [_puzzle(raw, bases) for raw in raws]


def _bases(raws: Sequence[Raw]) -> Bases:
    """From where the numbers of a file count: from 0 where it has a 0 of their sort."""
    clues = np.concatenate([raw.clues for raw in raws])
    attribute, number = clues[:, 1::2], clues[:, 2::2]
    answer = np.concatenate([raw.answer for raw in raws if raw.answer is not None] or [np.empty((0, 3), int)])

    def base(*numbers: np.ndarray) -> int:
        return min([1, *(int(part.min()) for part in numbers if part.size)])

    return Bases(
        attribute=base(attribute[attribute >= 0]),
        row=base(answer[:, 0]),
        number=base(number[attribute > _NONE], answer[:, 1:]),
    )


def _puzzle(raw: Raw, bases: Bases) -> Stated:
    """A puzzle with cells for what its tokens say."""
    place, name = raw.place, partial(_cell_name, bases)
    solution = None
    if raw.table is not None:
        attributes, houses = len(raw.table) - 1, raw.table.shape[1]
        rows, columns = np.divmod(np.arange(attributes * houses), houses)
        solution = _solution(rows + 1, columns + 1, raw.table[rows + 1, columns] + 1)
    elif raw.answer is not None:
        attributes = int(raw.answer[:, 0].max()) - bases.row + 1
        houses = int(raw.answer[:, 1:].max()) - bases.number + 1
    else:
        attributes = int(raw.clues[:, 1::2].max(initial=0)) - bases.attribute + 1
        houses = max(LEAST, int(raw.clues[:, 2::2].max(initial=0)) - bases.number + 1)
    check_size(houses, attributes, place)
    if raw.answer is not None:
        answer = _answer(raw.answer, houses, attributes, bases, place)
        if solution is not None and (answer != solution).any():
            cell = int(np.flatnonzero(answer != solution)[0])
            place.refuse(
                f"{name(cell)} is in house {answer[cell]} from the left after ANSWER, in house "
                f"{solution[cell]} in the table; correct one"
            )
        solution = answer
    edges = _edges(raw, houses, attributes, bases)
    return Stated(place, houses, attributes, checked(edges, place, name), solution, name)


def _answer(answer: np.ndarray, houses: int, attributes: int, bases: Bases, place: Place) -> np.ndarray:
    """int8 ``[N_CELLS]`` of the triples, which must fill every cell of the size once."""
    row, house, value = (answer - (bases.row, bases.number, bases.number) + 1).T
    inside = (row <= attributes) & (house <= houses) & (value <= houses)
    if len(answer) == houses * attributes and inside.all():
        by_value, by_house = np.zeros((2, MOST + 1, MOST + 1), bool)
        by_value[row, value] = by_house[row, house] = True
        if by_value.sum() == by_house.sum() == len(answer):
            return _solution(row, house, value)
    place.refuse(
        f"the {len(answer)} triples after ANSWER do not fill {houses} houses x {attributes} attributes; "
        "expected every house and every value once for each attribute"
    )


def _solution(row: np.ndarray, house: np.ndarray, value: np.ndarray) -> np.ndarray:
    solution = identity()
    solution[row * MOST + value - 1] = house
    return solution


def _edges(raw: Raw, houses: int, attributes: int, bases: Bases) -> np.ndarray:
    """int16 ``[clues, 4]`` of a puzzle's clues, whose cells must be of its size."""
    attribute, number = raw.clues[:, 1::2].astype(np.int16), raw.clues[:, 2::2].astype(np.int16)
    row = np.where(attribute == _HOUSE, 0, attribute - bases.attribute + 1)
    value = number - bases.number + 1
    for k, at in np.argwhere((attribute > _NONE) & ((row > attributes) | (value > houses))):
        what = "n 0" if attribute[k, at] == _HOUSE else f"c {attribute[k, at]}"
        raw.place.refuse(
            f"clue {k + 1} names {what} {number[k, at]}, which {houses} houses x {attributes} attributes "
            f"lack; expected attributes from {bases.attribute}, houses and values from {bases.number}"
        )
    cells = np.where(attribute > _NONE, row * MOST + value - 1, -1)
    ends = raw.clues[:, 0] == ENDS
    outer = [cell_of(0, 1), cell_of(0, houses)]
    others = cells[:, 1:]
    inner = ((others >= 0) & (others != outer[0]) & (others != outer[1])).any(axis=1)
    for k in np.flatnonzero(ends & inner):
        raw.place.refuse(f"clue {k + 1}, ends, names an inner house; expected the first and the last")
    cells[ends, 1:] = outer
    return np.column_stack([raw.clues[:, 0], cells]).astype(np.int16)


def _cell_name(bases: Bases, cell: int) -> str:
    attribute, value = divmod(cell, MOST)
    number = value + bases.number
    return f"`c {attribute - 1 + bases.attribute} {number}`" if attribute else f"`n 0 {number}`"
