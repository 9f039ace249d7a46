"""Zebra puzzles of files to test with: Einstein's with names, and generated ones in every format."""

from __future__ import annotations

import pytest

from puzzles.base import UserInputError
from puzzles.zebra.clues import MOST
from puzzles.zebra.family import Zebra
from puzzles.zebra.formats import read_puzzles, to_json, to_language

ZEBRA = Zebra("zebra")
PUZZLES = ZEBRA.generate("train", "logic", 24)
ROWS = range(len(PUZZLES))

EINSTEIN = {
    "houses": 5,
    "attributes": {
        "Colour": ["red", "green", "white", "yellow", "blue"],
        "Nationality": ["Briton", "Swede", "Dane", "Norwegian", "German"],
        "Drink": ["tea", "coffee", "milk", "beer", "water"],
        "Smoke": ["Pall Mall", "Dunhill", "Blend", "Bluemasters", "Prince"],
        "Pet": ["dog", "bird", "cat", "horse", "fish"],
    },
    "clues": [
        ["same", "Briton", "red"],
        ["same", "Swede", "dog"],
        ["same", "Dane", "tea"],
        ["immediate_left", "green", "white"],
        ["same", "green", "coffee"],
        ["same", "Pall Mall", "bird"],
        ["same", "yellow", "Dunhill"],
        ["same", "milk", 3],
        ["same", "Norwegian", 1],
        ["next_to", "Blend", "cat"],
        ["next_to", "Dunhill", "horse"],
        ["same", "Bluemasters", "beer"],
        ["same", "German", "Prince"],
        ["next_to", "Norwegian", "blue"],
        ["next_to", "Blend", "water"],
    ],
}
EINSTEIN_SOLUTION = {
    "Colour": ["yellow", "blue", "red", "green", "white"],
    "Nationality": ["Norwegian", "Dane", "Briton", "German", "Swede"],
    "Drink": ["water", "tea", "milk", "coffee", "beer"],
    "Smoke": ["Dunhill", "Blend", "Pall Mall", "Prince", "Bluemasters"],
    "Pet": ["cat", "horse", "bird", "fish", "dog"],
}


def lines(texts):
    return ("\n".join(texts) + "\n").encode()


def shah_item(batch, row):
    """What Shah et al. save of a puzzle: tokens, a table whose row 0 is the house numbers, an order."""
    houses, attributes = (int(part) for part in ZEBRA.sizes(batch.clues)[row].split("x"))
    at = batch.solution[row].reshape(-1, MOST)[: attributes + 1, :houses]
    table = [list(range(houses)), *([int(v) for v in places.argsort()] for places in at[1:])]
    return [to_language(batch, row).split(), table, [[0, 0]] * (houses * attributes)]


ITEMS = [shah_item(PUZZLES, row) for row in ROWS]
JSON = [to_json(PUZZLES, row) for row in ROWS]
LANGUAGE = [to_language(PUZZLES, row) for row in ROWS]


def refusal(path):
    """The one-line text with which a file is refused."""
    with pytest.raises(UserInputError) as refused:
        read_puzzles(path, ZEBRA)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < len(str(path)) + 320
    return message
