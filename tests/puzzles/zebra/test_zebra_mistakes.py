"""Each mistake in a Zebra file is one line that tells where, what and how to mend it."""

from __future__ import annotations

import gzip
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zebra_files import (
    EINSTEIN,
    EINSTEIN_SOLUTION,
    ITEMS,
    JSON,
    LANGUAGE,
    ZEBRA,
    lines,
    refusal,
)

from puzzles.base import UserInputError
from puzzles.zebra.formats import read_puzzles
from puzzles.zebra.language import TYPES


def named(**changes):
    """A file whose second puzzle, on line 3, is Einstein's with some keys changed."""
    changed = {key: value for key, value in {**EINSTEIN, **changes}.items() if value is not ...}
    return f"{json.dumps(EINSTEIN)}\n# next\n{json.dumps(changed)}\n".encode()


def clued(*clue):
    """Likewise, with a clue more."""
    return named(clues=[*EINSTEIN["clues"], list(clue)])


def attributed(**attributes):
    return named(attributes={**EINSTEIN["attributes"], **attributes})


TWO_REDS = {**EINSTEIN["attributes"], "Flag": ["red", "a", "b", "c", "d"]}
SWAPPED = {**EINSTEIN_SOLUTION, "Pet": ["fish", "horse", "bird", "cat", "dog"]}
SHORT = {**EINSTEIN_SOLUTION, "Pet": ["fish", "horse"]}

JSON_MISTAKES = {
    "broken": (b'{"houses": 3,\n', "line 1", "not a JSON object at column", "put it on one"),
    "array": (b"[]", "line 1", "'[]' is no object", "one puzzle a line"),
    "deep": (b'{"a": ' + b"[" * 100_000, "line 1", "not JSON that a puzzle needs", "correct it"),
    "long_number": (b'{"a": ' + b"1" * 5_000 + b"}", "line 1", "not JSON that a puzzle needs", "correct it"),
    "key_twice": (b'{"houses": 3, "houses": 4}', "line 1", "has 'houses' twice", "remove one"),
    "no_clues": (named(clues=...), "line 3", "has no 'clues'", "expected houses, attributes, clues"),
    "misspelt": (named(clues=..., cleus=[]), "line 3", "has no 'clues'", "is that 'cleus'?"),
    "misspelt_more": (named(soluton={}), "line 3", "key 'soluton' is unknown", "did you mean 'solution'?"),
    "houses_text": (named(houses="5"), "line 3", "houses '5'", "expected a number, 3 to 6"),
    "houses_true": (named(houses=True), "line 3", "houses 'True'", "expected a number"),
    "houses_7": (named(houses=7), "line 3", "7 houses", "expected 3 to 6"),
    "attributes_list": (named(attributes=[]), "line 3", "attributes '[]'", "expected {"),
    "attributes_2": (
        named(attributes=dict(list(EINSTEIN["attributes"].items())[:2])),
        "line 3",
        "2 attributes",
        "expected 3 to 6",
    ),
    "four_values": (attributed(Pet=["a", "b", "c", "d"]), "line 3", "'Pet' has 4 values", "a list of 5"),
    "no_list": (attributed(Pet="fish"), "line 3", "'Pet' has 'fish'", "a list of 5"),
    "number_value": (attributed(Pet=["a", "b", "c", "d", 5]), "line 3", "the value '5'", "a name in quotes"),
    "value_twice": (attributed(Pet=["a", "b", "c", "d", "d"]), "line 3", "'d' twice", "rename one"),
    "clues_text": (named(clues="same"), "line 3", "clues 'same'", "expected a list of clues"),
    "none": (named(clues=[]), "line 3", "0 clues", "expected 1 to 100"),
    "clue_text": (clued() and named(clues=["same"]), "line 3", "clue 1 is 'same'", "expected a list such as"),
    "kind": (clued("left-of", "red", "tea"), "line 3", "clue 16 is of kind 'left-of'", "mean 'left_of'?"),
    "kind_list": (clued(["same"], "red", "tea"), "line 3", "clue 16 is of kind", "expected one of same,"),
    "arity": (clued("between", "red", "tea"), "line 3", "clue 16 has 2 values", "expected 3 for 'between'"),
    "ends_arity": (clued("ends", "red", 1, 5), "line 3", "clue 16 has 3 values", "expected 1 for 'ends'"),
    "value": (clued("same", "red", "te"), "line 3", "clue 16 names 'te'", "did you mean 'tea'?"),
    "value_null": (
        clued("same", "red", None),
        "line 3",
        "clue 16 names 'None'",
        "expected one of the values",
    ),
    "value_float": (clued("same", "red", 1.0), "line 3", "clue 16 names '1.0'", "or a house's number"),
    "house_0": (clued("same", "red", 0), "line 3", "clue 16 names house '0'", "expected 1 to 5"),
    "house_6": (clued("same", "red", 6), "line 3", "clue 16 names house '6'", "expected 1 to 5"),
    "same_twice": (clued("same", "red", "red"), "line 3", "clue 16 names 'red' twice", "correct one"),
    "end_house": (clued("ends", 1), "line 3", "clue 16 names house 1 twice", "expected different"),
    "ambiguous": (
        named(attributes=TWO_REDS),
        "line 3",
        "clue 1 names 'red', which 2 attributes have",
        "write 'Colour: red' or 'Flag: red'",
    ),
    "no_solution": (clued("same", "red", 5), "line 3", "the 16 clues have no solutions", "correct a clue"),
    "several": (named(clues=EINSTEIN["clues"][1:]), "line 3", "have several solutions", "add a clue"),
    "solution_list": (named(solution=[]), "line 3", "solution '[]'", "from left to right"),
    "solution_key": (
        named(solution={**EINSTEIN_SOLUTION, "Pets": []}),
        "line 3",
        "the solution has 'Pets'",
        "did you mean 'Pet'?",
    ),
    "solution_short": (named(solution=SHORT), "line 3", "the solution of 'Pet' is", "each of its 5 values"),
    "solution_missing": (named(solution={}), "line 3", "the solution of 'Colour' is 'None'", "values once"),
    "solution_wrong": (
        named(solution=SWAPPED),
        "line 3",
        "the given solution has 'cat' in house 4 from the left",
        "has it in house 1; correct it",
    ),
    "empty": (b"", "", "is empty", "expected a puzzle a line"),
    "comments": (b"# nothing\n\n", "", "holds no puzzle", "add one"),
    "latin1": (named() + b"# \xe9t\xe9\n", "line 4", "byte 0xe9 is not UTF-8", "expected text"),
    "cut.jsonl.gz": (gzip.compress(named())[:-20], "", "not a whole gzip file", "compress it again"),
    "plain.jsonl.gz": (named(), "", "not a whole gzip file", "compress it again"),
}

FIRST = LANGUAGE[0]


def worded(text):
    return lines([FIRST, "# next", text])


def swapped_triples(line):
    """Two triples whose houses are exchanged: a filling still, but another."""
    clues, answer = line.split(" ANSWER ")
    triples = np.array(answer.split(), int).reshape(-1, 3)
    a, b = np.flatnonzero(triples[:, 0] == 0)[:2]
    triples[[a, b], 1] = triples[[b, a], 1]
    return " ".join([clues, "ANSWER", *map(str, triples.ravel())])


LANGUAGE_MISTAKES = {
    "type": (worded(FIRST.replace(FIRST.split()[0], "nbrs", 1)), "token 1 is 'nbrs'", "did you mean 'nbr'?"),
    "no_type": (worded("CLUE_END"), "token 1 is 'CLUE_END'", "expected a type of clue"),
    "lhs": (worded("= LSH c 0 1 RHS c 1 1 CLUE_END"), "token 2 is 'LSH'", "did you mean 'LHS'?"),
    "rhs": (worded("= LHS c 0 1 RSH c 1 1 CLUE_END"), "token 6 is 'RSH'", "did you mean 'RHS'?"),
    "letter": (worded("= LHS d 0 1 RHS c 1 1 CLUE_END"), "token 3 is 'd'", "expected LHS, then `c attribute"),
    "cut": (worded("= LHS c 0 1 RHS c 1 CLUE_END"), "token 7 is 'c'", "expected RHS, then"),
    "number": (worded("= LHS c 0 x RHS c 1 1 CLUE_END"), "token 5 is 'x'", "expected a number, 0 to 6"),
    "large": (worded("= LHS c 0 7 RHS c 1 1 CLUE_END"), "token 5 is '7'", "expected a number, 0 to 6"),
    "house": (worded("= LHS n 1 1 RHS c 1 1 CLUE_END"), "token 4 is 1", "expected 0 between n and the house"),
    "end": (worded("= LHS c 0 1 RHS c 1 1"), "begins at token 1 has no CLUE_END", "add it"),
    "one": (worded("= LHS c 0 1 CLUE_END"), "begins at token 1 has 1 members", "expected 2 for ="),
    "none": (worded("= CLUE_END"), "begins at token 1 has 0 members", "expected 2 for ="),
    "three": (worded("= LHS c 0 1 RHS c 1 1 c 2 1 CLUE_END"), "has 3 members", "expected 2 for ="),
    "ends_value": (worded("ends LHS c 0 1 RHS c 1 1 CLUE_END"), "has 2 members", "expected 1 for ends"),
    "ends_inner": (
        worded(FIRST.replace(" ANSWER", " ends LHS c 0 0 RHS n 0 1 CLUE_END ANSWER")),
        "ends, names an inner house",
        "expected the first and the last",
    ),
    "twice": (
        worded("= LHS c 0 1 RHS c 0 1 CLUE_END = LHS c 1 2 RHS c 2 0 CLUE_END"),
        "clue 1 names `c 0 1` twice",
        "correct one",
    ),
    "size": (worded("= LHS c 0 1 RHS c 1 1 CLUE_END"), "2 attributes", "expected 3 to 6"),
    "several": (worded("= LHS c 0 1 RHS c 2 1 CLUE_END"), "the 1 clues have several solutions", "add a clue"),
    "no_solution": (
        worded(FIRST.replace(" ANSWER", " = LHS c 0 0 RHS c 0 1 CLUE_END ANSWER")),
        "clues have no solutions",
        "correct a clue",
    ),
    "answer_cut": (worded(FIRST[:-2]), "numbers after ANSWER", "expected triples"),
    "answer_short": (worded(FIRST[:-6]), "do not fill", "every house and every value once"),
    "answer_twice": (worded(FIRST[:-6] + FIRST[-12:-6]), "do not fill", "every house and every value once"),
    "answer_wrong": (worded(swapped_triples(FIRST)), "the given solution has `c 0", "correct it or leave it"),
    "outside": (
        worded(FIRST.replace(" ANSWER", " = LHS c 0 5 RHS c 0 1 CLUE_END ANSWER")),
        "names c 0 5, which",
        "houses and values from 0",
    ),
}


@pytest.mark.parametrize("name", JSON_MISTAKES)
def test_each_mistake_in_json_is_one_line_with_place_value_and_fix(tmp_path, name):
    content, *parts = JSON_MISTAKES[name]
    path = tmp_path / (name if "." in name else f"{name}.jsonl")
    path.write_bytes(content)
    message = refusal(path)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("name", LANGUAGE_MISTAKES)
def test_each_mistake_in_the_language_is_one_line_with_place_value_and_fix(tmp_path, name):
    content, *parts = LANGUAGE_MISTAKES[name]
    path = tmp_path / f"{name}.txt"
    path.write_bytes(content)
    message = refusal(path)
    for part in ("line 3", *parts):
        assert part in message


def test_missing_file_and_folder(tmp_path):
    assert "no such file; check the path" in refusal(tmp_path / "absent.txt")
    assert "is a folder; expected a puzzle file" in refusal(tmp_path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("formats") / "any"


@settings(max_examples=200, deadline=None)
@given(
    content=st.one_of(
        st.binary(min_size=1, max_size=200),
        st.lists(st.sampled_from([*TYPES, "LHS", "RHS", "CLUE_END", "ANSWER", *"cn01236\n"])).map(
            lambda tokens: " ".join(tokens).encode()
        ),
        st.builds(
            lambda at, byte: swap_byte(lines(JSON[:2]), at, byte), st.integers(0, 999), st.integers(0, 255)
        ),
        st.builds(
            lambda at, byte: swap_byte(pickle.dumps(ITEMS[:3]), at, byte),
            st.integers(0, 2_000),
            st.integers(0, 255),
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["houses", "attributes", "clues", "solution"]), inner)
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_content_causes_anything_but_a_clear_refusal(scratch, content):
    scratch.write_bytes(content)
    try:
        batch = read_puzzles(scratch, ZEBRA)
    except UserInputError:
        if content:
            refusal(scratch)
    else:
        assert ZEBRA.is_valid(batch.solution, batch.clues, batch.edges).all()


def swap_byte(content, at, byte):
    return content[:at] + bytes([byte]) + content[at + 1 :]
