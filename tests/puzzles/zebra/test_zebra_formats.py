"""Zebra files: every format reads to the same puzzles, and what is written reads back."""

from __future__ import annotations

import gzip
import json
import pickle
import re

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
    PUZZLES,
    ROWS,
    ZEBRA,
    lines,
)
from zebra_rules import small_puzzles

from puzzles.base import UserInputError
from puzzles.zebra.clues import MOST, cell_of
from puzzles.zebra.family import Zebra
from puzzles.zebra.formats import read_puzzles, to_json, to_language, write_jsonl
from puzzles.zebra.language import TYPES


def recounted(line, attribute, row, number):
    """A line of the clue language whose numbers begin elsewhere."""
    clues, answer = line.split(" ANSWER ")
    clues = re.sub(r"c (\d) (\d)", lambda m: f"c {int(m[1]) + attribute} {int(m[2]) + number}", clues)
    clues = re.sub(r"n 0 (\d)", lambda m: f"n 0 {int(m[1]) + number}", clues)
    triples = np.array(answer.split(), int).reshape(-1, 3) + np.array([row, number, number])
    return " ".join([clues, "ANSWER", *map(str, triples.ravel())])


FORMATS = {
    "puzzles.jsonl": lines(JSON),
    "puzzles.json": lines(JSON),
    "json_without_name": lines(JSON),
    "unsolved.jsonl": lines(to_json(PUZZLES, row, solution=False) for row in ROWS),
    "windows.jsonl": b"\xef\xbb\xbf# mine\r\n\r\n" + lines(JSON).replace(b"\n", b"\r\n"),
    "language.txt": lines(LANGUAGE),
    "unsolved.txt": lines(to_language(PUZZLES, row, solution=False) for row in ROWS),
    "asked.txt": lines(f"{to_language(PUZZLES, row, solution=False)} ANSWER" for row in ROWS),
    "attributes_from_1.txt": lines(recounted(line, 1, 0, 0) for line in LANGUAGE),
    "all_from_1.txt": lines(recounted(line, 1, 1, 1) for line in LANGUAGE),
    "values_from_1.txt": lines(recounted(line, 0, 0, 1) for line in LANGUAGE),
    "ends_with_houses.txt": lines(
        re.sub(r"ends LHS (c \d \d)", rf"ends LHS \1 RHS n 0 0 n 0 {table[0][-1]}", line)
        for line, (_, table, _) in zip(LANGUAGE, ITEMS, strict=True)
    ),
    "two_rhs.txt": lines(re.sub(r"(inbetween.*?RHS.*?) RHS", r"\1", line) for line in LANGUAGE),
    **{f"protocol_{p}.pkl": pickle.dumps(ITEMS, p) for p in range(6)},
    "no_name_pickle": pickle.dumps(ITEMS),
    "tuples.pickle": pickle.dumps(tuple(tuple(item) for item in ITEMS)),
    "numbers_as_tokens.pkl": pickle.dumps(
        [[[int(t) if t.isdigit() else t for t in tokens], *rest] for tokens, *rest in ITEMS]
    ),
    "houses_from_1.pkl": pickle.dumps(
        [[tokens, [[h + 1 for h in table[0]], *table[1:]], order] for tokens, table, order in ITEMS]
    ),
    "no_answer.pkl": pickle.dumps([[item[0][: item[0].index("ANSWER")], *item[1:]] for item in ITEMS]),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reads_to_the_same_rated_puzzles(tmp_path, name, zipped):
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(FORMATS[name]) if zipped else FORMATS[name])
    batch = read_puzzles(path, ZEBRA)
    real = PUZZLES.edges[:, : batch.edges.shape[1]]
    np.testing.assert_array_equal(batch.edges, real)
    assert (PUZZLES.edges[:, batch.edges.shape[1] :] == -1).all()
    for field in ("clues", "solution", "rank", "technique", "hardest", "index"):
        np.testing.assert_array_equal(getattr(batch, field), getattr(PUZZLES, field))


def test_families_read_their_files_in_their_own_layout(tmp_path):
    path = tmp_path / "puzzles.jsonl"
    path.write_bytes(FORMATS["puzzles.jsonl"])
    grid = Zebra("zebra-grid", "grid")
    expected = grid.generate("train", "logic", len(PUZZLES))
    np.testing.assert_array_equal(grid.read(path).rank, expected.rank)
    np.testing.assert_array_equal(ZEBRA.read(path).rank, PUZZLES.rank)


def test_einsteins_riddle_has_its_solution(tmp_path):
    path = tmp_path / "einstein.jsonl"
    path.write_text(json.dumps(EINSTEIN))
    batch = read_puzzles(path, ZEBRA)
    at = batch.solution[0].reshape(-1, MOST)[1:6, :5].argsort(axis=1)
    for (attribute, names), values in zip(EINSTEIN["attributes"].items(), at, strict=True):
        assert [names[value] for value in values] == EINSTEIN_SOLUTION[attribute]
    path.write_text(json.dumps({**EINSTEIN, "solution": EINSTEIN_SOLUTION, "author": "unknown"}))
    np.testing.assert_array_equal(read_puzzles(path, ZEBRA).solution, batch.solution)


def test_the_example_of_shahs_readme_is_read_as_they_explain_it(tmp_path):
    path = tmp_path / "readme.txt"
    text = "immediate-left LHS n 0 2 RHS c 1 2 CLUE_END "
    text += " ".join(f"= LHS n 0 {h} RHS c {a} {h} CLUE_END" for a in (1, 2, 3) for h in (1, 2) if a > 1)
    path.write_text(text + " = LHS n 0 1 RHS c 1 1 CLUE_END")
    batch = read_puzzles(path, ZEBRA)
    assert batch.edges[0, 0].tolist() == [4, cell_of(0, 2), cell_of(1, 2), -1]
    assert batch.solution[0, cell_of(1, 2)] == 3


def test_written_files_read_back(tmp_path):
    path = tmp_path / "mine.jsonl"
    write_jsonl(path, PUZZLES)
    assert path.read_bytes() == FORMATS["puzzles.jsonl"]
    with pytest.raises(UserInputError, match="cannot write"):
        write_jsonl(tmp_path / "absent" / "mine.jsonl", PUZZLES)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.jsonl"]


def test_answers_stand_in_the_solvers_order_and_count_from_0():
    tokens = LANGUAGE[3].split()
    assert {token for token in tokens if token.isdigit()} <= set("012345")
    assert set(tokens) <= {"LHS", "RHS", "CLUE_END", "ANSWER", "c", "n", *TYPES, *"012345"}
    triples = np.array(tokens[tokens.index("ANSWER") + 1 :], int).reshape(-1, 3)
    cells = (triples[:, 0] + 1) * MOST + triples[:, 2]
    assert PUZZLES.rank[3, cells].tolist() == list(range(len(cells)))
    np.testing.assert_array_equal(PUZZLES.solution[3, cells], triples[:, 1] + 1)


@pytest.mark.parametrize("write", [to_json, to_language])
def test_cells_given_beside_clues_are_not_dropped_in_silence(write):
    batch = PUZZLES[:1]
    clues = batch.clues.copy()
    clues[0, 7] = batch.solution[0, 7]
    with pytest.raises(UserInputError, match="cells given beside its clues"):
        write(ZEBRA.rate(clues, batch.solution, batch.index, batch.edges))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, 39), min_size=1, max_size=5), style=st.sampled_from(["json", "language"]))
def test_small_puzzles_with_every_kind_of_clue_round_trip(scratch, rows, style):
    batch = small_puzzles()
    write = to_json if style == "json" else to_language
    scratch.write_text("\n".join(write(batch, row) for row in rows))
    back = read_puzzles(scratch, ZEBRA)
    np.testing.assert_array_equal(back.solution, batch.solution[rows])
    np.testing.assert_array_equal(back.edges, batch.edges[rows, : back.edges.shape[1]])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("formats") / "any"


def test_values_of_one_name_are_told_apart_by_their_attribute(tmp_path):
    path = tmp_path / "flags.jsonl"
    attributes = {"Colour": ["red", "a", "b"], "Flag": ["red", "d", "e"], "Pet": ["f", "g", "h"]}
    clues = [
        ["same", "Colour: red", 1],
        ["same", "b", 2],
        ["same", "Flag: red", 2],
        ["immediate_left", "Flag: red", "e"],
        ["same", "f", "Colour: a"],
        ["ends", "h"],
        ["left_of", "h", "g"],
    ]
    path.write_text(json.dumps({"houses": 3, "attributes": attributes, "clues": clues}))
    solution = read_puzzles(path, ZEBRA).solution[0].reshape(-1, MOST)[1:4, :3]
    assert solution.tolist() == [[1, 3, 2], [2, 1, 3], [3, 2, 1]]
