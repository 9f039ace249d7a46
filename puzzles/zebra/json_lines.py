"""Zebra puzzles as lines of JSON, with the names of people: the format to write puzzles by hand in.

A line is one object::

    {"houses": 3,
     "attributes": {"Colour": ["red", "green", "blue"], "Drink": ["tea", "milk", "water"], ...},
     "clues": [["same", "red", "milk"], ["ends", "green"], ["next_to", "tea", 2], ...],
     "solution": {"Colour": ["green", "red", "blue"], ...}}

A clue is a kind of `clues.KINDS` and its members in the order of their roles: one for "ends", three for
"between", else two. A member is a value's name, or "Attribute: value" where two attributes have a value of
that name, or a house's number as an integer, from 1 at the left. The solution may be left out; it lists the
values from left to right. Further keys are left alone.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from puzzles.base import PuzzleBatch, UserInputError
from puzzles.errors import did_you_mean
from puzzles.files import Place, quote
from puzzles.storage import atomic_file
from puzzles.zebra.clues import ENDS, KINDS, LEAST, MEMBERS, MOST, cell_of, given_cells, size_of
from puzzles.zebra.english import ATTRIBUTES, HOUSES
from puzzles.zebra.sources import Stated, check_size, checked, identity

_NAMES = [kind.name for kind in KINDS]
_KEYS = ("houses", "attributes", "clues", "solution")


def to_json(batch: PuzzleBatch, row: int = 0, solution: bool = True) -> str:
    """One puzzle of a batch as a line, with the names of `english.ATTRIBUTES`.

    Raises:
        UserInputError: the puzzle has cells given beside its clues, for which the format has no place.
    """
    houses, attributes = own_size(batch, row)
    used = ATTRIBUTES[:attributes]

    def member(cell: int) -> str | int:
        attribute, value = divmod(cell, MOST)
        return used[attribute - 1].values[value] if attribute else value + 1

    assert batch.edges is not None
    clues = []
    for kind, *cells in batch.edges[row].tolist():
        if kind >= 0:
            clues.append([_NAMES[kind], *(member(cell) for cell in cells[: arity(kind)])])
    found: dict[str, Any] = {
        "houses": houses,
        "attributes": {attribute.name: attribute.values[:houses] for attribute in used},
        "clues": clues,
    }
    if solution:
        at = batch.solution[row].reshape(-1, MOST)
        found["solution"] = {
            attribute.name: [attribute.values[value] for value in at[k, :houses].argsort()]
            for k, attribute in enumerate(used, 1)
        }
    return json.dumps(found)


def write_jsonl(path: Path | str, batch: PuzzleBatch) -> None:
    """Writes the puzzles of a batch, a line each; the file appears only when complete.

    Raises:
        UserInputError: the file cannot be written, or a puzzle has cells given beside its clues.
    """
    with atomic_file(Path(path)) as file:
        for row in range(len(batch)):
            file.write(f"{to_json(batch, row)}\n".encode())


def arity(kind: int) -> int:
    """How many members of a kind's clues are written; the houses that "ends" names go without saying."""
    return 1 if kind == ENDS else len(KINDS[kind].roles)


def own_size(batch: PuzzleBatch, row: int) -> tuple[int, int]:
    """Houses and attributes of a puzzle whose clues are edges alone.

    Raises:
        UserInputError: cells of its own are given, or it has no edges.
    """
    houses, attributes = (int(number[0]) for number in size_of(batch.clues[row : row + 1]))
    sound = LEAST <= houses <= MOST and LEAST <= attributes <= MOST and batch.edges is not None
    if not (sound and (batch.clues[row] == given_cells(houses, attributes)).all()):
        raise UserInputError(
            f"puzzle {row} of {len(batch)} has cells given beside its clues: expected clues alone, "
            "as this family makes them; state the cells as clues of kind same"
        )
    return houses, attributes


def parse_line(place: Place, line: str) -> Stated:
    """The puzzle of a line.

    Raises:
        UserInputError: the line is no such object, with what is wrong and how to mend it.
    """
    try:
        found = json.loads(line, object_pairs_hook=partial(_object, place))
    except json.JSONDecodeError as error:
        place.refuse(
            f"not a JSON object at column {error.colno} ({error.msg}) in {quote(line)}; "
            "expected one puzzle a line: put it on one"
        )
    except UserInputError:  # a key that stands twice
        raise
    except (RecursionError, ValueError) as error:  # brackets without end; numbers of thousands of digits
        place.refuse(f"not JSON that a puzzle needs ({quote(str(error))}) in {quote(line)}; correct it")
    if not isinstance(found, dict):
        place.refuse(f'{quote(line)} is no object; expected {{"houses": ..., one puzzle a line')
    for key in ("houses", "attributes", "clues"):
        if key not in found:
            hint = did_you_mean(key, [name for name in found if name not in _KEYS])
            place.refuse(
                f"has no {key!r}{hint.replace('did you mean', 'is that')}; expected {', '.join(_KEYS)}"
            )
    for key in found:
        if key not in _KEYS and (hint := did_you_mean(key, _KEYS)):
            place.refuse(f"key {quote(key)} is unknown{hint}; correct or remove it")
    houses, names = _names(found["houses"], found["attributes"], place)
    lookup = _lookup(names)
    if not isinstance(found["clues"], list):
        place.refuse(f"clues {quote(found['clues'])}; expected a list of clues, each a list")
    clues = [_clue(clue, k, houses, lookup, place) for k, clue in enumerate(found["clues"], 1)]
    edges = np.array(clues, np.int16).reshape(-1, 1 + MEMBERS)
    name = partial(_cell_name, [list(HOUSES.values), *names.values()])
    solution = None if found.get("solution") is None else _solution(found["solution"], names, place)
    return Stated(place, houses, len(names), checked(edges, place, name), solution, name)


def _object(place: Place, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refused where it has a key twice, of which JSON's reader would keep the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            place.refuse(f"has {quote(key)} twice; expected once: remove one")
        found[key] = value
    return found


def _names(houses: Any, attributes: Any, place: Place) -> tuple[int, dict[str, list[str]]]:
    """The number of houses, and the values' names by attribute."""
    if type(houses) is not int:
        place.refuse(f"houses {quote(houses)}; expected a number, {LEAST} to {MOST}")
    if not isinstance(attributes, dict):
        place.refuse(f'attributes {quote(attributes)}; expected {{"Colour": ["red", ...], ...}}')
    check_size(houses, len(attributes), place)
    for attribute, values in attributes.items():
        if not isinstance(values, list) or len(values) != houses:
            number = f"{len(values)} values" if isinstance(values, list) else quote(values)
            place.refuse(
                f"attribute {quote(attribute)} has {number}; expected a list of {houses}, one a house"
            )
        for value in values:
            if not isinstance(value, str) or not value.strip():
                place.refuse(
                    f"attribute {quote(attribute)} has the value {quote(value)}; expected a name in quotes"
                )
            if values.count(value) > 1:
                place.refuse(f"attribute {quote(attribute)} has {quote(value)} twice; rename one")
    return houses, attributes


def _lookup(names: dict[str, list[str]]) -> dict[str, list[int]]:
    """The cells of each way to name one: a value's name, or that after its attribute's."""
    lookup: dict[str, list[int]] = {}
    for row, (attribute, values) in enumerate(names.items(), 1):
        for value, name in enumerate(values, 1):
            for text in (name, f"{attribute}: {name}"):
                lookup.setdefault(text, []).append(cell_of(row, value))
    return lookup


def _clue(clue: Any, number: int, houses: int, lookup: dict[str, list[int]], place: Place) -> list[int]:
    """A clue as its kind and cells, -1 where it has fewer."""
    if not isinstance(clue, list) or not clue:
        place.refuse(f'clue {number} is {quote(clue)}; expected a list such as ["same", "red", "milk"]')
    if clue[0] not in _NAMES:
        hint = did_you_mean(clue[0], _NAMES)
        place.refuse(f"clue {number} is of kind {quote(clue[0])}; expected one of {', '.join(_NAMES)}{hint}")
    kind = _NAMES.index(clue[0])
    if len(clue) - 1 != arity(kind):
        place.refuse(f"clue {number} has {len(clue) - 1} values; expected {arity(kind)} for {clue[0]!r}")
    cells = [_cell(member, number, houses, lookup, place) for member in clue[1:]]
    if kind == ENDS:
        cells += [cell_of(0, 1), cell_of(0, houses)]
    return [kind, *cells, *[-1] * (MEMBERS - len(cells))]


def _cell(member: Any, number: int, houses: int, lookup: dict[str, list[int]], place: Place) -> int:
    if type(member) is int:
        if not 1 <= member <= houses:
            place.refuse(f"clue {number} names house {quote(member)}; expected 1 to {houses}")
        return cell_of(0, member)
    cells = lookup.get(member, []) if isinstance(member, str) else []
    if not cells:
        hint = did_you_mean(member, lookup)
        place.refuse(
            f"clue {number} names {quote(member)}; expected one of the values, or a house's number{hint}"
        )
    if len(cells) > 1:
        ways = [text for text, found in lookup.items() if found in ([cells[0]], [cells[1]])]
        advice = f"; write {quote(ways[0])} or {quote(ways[-1])}" if ways else "; rename one"
        place.refuse(f"clue {number} names {quote(member)}, which {len(cells)} attributes have{advice}")
    return cells[0]


def _solution(found: Any, names: dict[str, list[str]], place: Place) -> np.ndarray:
    """int8 ``[N_CELLS]``: the stated solution, checked to have every value once."""
    if not isinstance(found, dict):
        place.refuse(f'solution {quote(found)}; expected {{"Colour": ["red", ...], ...}}, from left to right')
    for attribute in found:
        if attribute not in names:
            hint = did_you_mean(attribute, names)
            place.refuse(f"the solution has {quote(attribute)}, which is no attribute{hint}")
    solution = identity()
    for row, (attribute, values) in enumerate(names.items(), 1):
        order = found.get(attribute)
        if not isinstance(order, list) or len(order) != len(values) or any(v not in order for v in values):
            place.refuse(
                f"the solution of {quote(attribute)} is {quote(order)}; expected each of its {len(values)} "
                "values once, from left to right"
            )
        for value, name in enumerate(values, 1):
            solution[cell_of(row, value)] = order.index(name) + 1
    return solution


def _cell_name(names: list[list[str]], cell: int) -> str:
    attribute, value = divmod(cell, MOST)
    return quote(names[attribute][value]) if attribute else f"house {value + 1}"
