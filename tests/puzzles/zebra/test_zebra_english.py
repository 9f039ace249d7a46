"""Zebra puzzles in words: sentences that cannot be mistaken for each other, and tables."""

from __future__ import annotations

import re

import numpy as np
import pytest
from zebra_rules import SIZES, holds, random_edge, random_solution, small_puzzles

from puzzles.zebra.clues import KINDS, MOST, N_CELLS, cell_of, given_cells
from puzzles.zebra.english import ATTRIBUTES, english, render, say


def test_no_two_clues_read_alike():
    rng = np.random.default_rng(0)
    edges = {tuple(random_edge(6, 6, rng)) for _ in range(20_000)}
    said: dict[str, set] = {}
    for edge, sentence in zip(edges, english(np.array(list(edges), np.int16)), strict=True):
        said.setdefault(sentence, set()).add(edge)
    fillings = np.stack([random_solution(6, 6, rng) for _ in range(200)])
    for sentence, clues in said.items():
        assert re.fullmatch(r"[A-Z][\w ]+\.", sentence)
        meanings = {holds(edge, fillings).tobytes() for edge in clues}
        assert len(meanings) == 1, (sentence, clues)


def test_clues_in_words():
    names = [name for attribute in ATTRIBUTES for name in attribute.values]
    cells = {name: cell for cell, name in enumerate(names, MOST)}
    first, last = cell_of(0, 1), cell_of(0, 4)
    kinds = [kind.name for kind in KINDS]
    sentences = {
        ("same", cells["Norwegian"], cells["blue"]): "The Norwegian lives in the blue house.",
        ("same", first, cells["tea"]): "The tea drinker lives in house 1.",
        ("different", cells["doctor"], cells["zebra"]): "The doctor does not keep the zebra.",
        ("next_to", cells["chess"], cells["blue"]): "The chess player lives next to the blue house.",
        ("ends", cells["dog"], first, last): "The dog owner lives in the first or the last house.",
        (
            "immediate_left",
            cells["red"],
            last,
        ): "The owner of the red house lives immediately to the left of house 4.",
        ("left_of", first, cells["Dane"]): "The Dane lives somewhere to the right of house 1.",
        ("between", cells["red"], cells["Dane"], cells["milk"]): (
            "The Dane lives somewhere between the red house on the left and the house of the milk drinker "
            "on the right."
        ),
        ("gap1", cells["red"], cells["tea"]): (
            "One house stands between the red house and the house of the tea drinker."
        ),
        ("gap2", cells["red"], last): "Two houses stand between the red house and house 4.",
    }
    edges = [[kinds.index(kind), *found, *[-1] * (3 - len(found))] for kind, *found in sentences]
    assert english(np.array([*edges, [-1] * 4], np.int16)) == list(sentences.values())
    assert say(cells["Dane"], 3) == "the Dane lives in house 3"


def test_names_are_distinct():
    names = [name for attribute in ATTRIBUTES for name in attribute.values]
    assert len(set(names)) == len(names) == MOST * MOST
    people = {attribute.person.format(name) for attribute in ATTRIBUTES for name in attribute.values}
    assert len(people) == MOST * MOST


@pytest.mark.parametrize("size", SIZES)
def test_tables_show_every_value_in_its_house(size):
    houses, attributes = size
    rng = np.random.default_rng(houses * 7 + attributes)
    solution, clues = random_solution(houses, attributes, rng), given_cells(houses, attributes)
    table = render(solution, clues).splitlines()
    assert table[0].split() == [str(house) for house in range(1, houses + 1)]
    for row, (line, attribute) in enumerate(zip(table[1:], ATTRIBUTES[:attributes], strict=True), 1):
        names = [attribute.values[v] for v in solution.reshape(-1, MOST)[row, :houses].argsort()]
        assert line.split() == [attribute.name, *(f"'{name}" for name in names)]
    assert [line.split()[1:] for line in render(clues).splitlines()[1:]] == [["."] * houses] * attributes
    assert "'" not in render(solution)


def test_tables_show_what_is_wrong_and_what_is_open():
    clues = given_cells(3, 3)
    cells = clues.copy()
    cells[cell_of(1, 1) : cell_of(1, 3)] = 2
    lines = render(cells, clues, small_puzzles().edges[0]).splitlines()
    assert re.fullmatch(r" 1\. .*\.", lines[0])
    assert lines[-3].split() == ["Colour", ".", "'red/green", "."]
    assert lines[-2].split() == ["Nationality", ".", ".", "."]


def test_the_size_of_a_table_without_clues_is_what_its_cells_and_edges_show():
    identity = given_cells(6, 0)
    assert len(render(identity).splitlines()) == 4
    moved = identity.copy()
    moved[[cell_of(5, 2), cell_of(5, 4)]] = 4, 2
    assert len(render(moved).splitlines()) == 6
    edges = np.array([[0, cell_of(4, 5), cell_of(1, 1), -1]], np.int16)
    table = render(identity, None, edges).splitlines()[2:]
    assert len(table) == 5
    assert table[0].split() == list("12345")
    assert len(identity) == N_CELLS
