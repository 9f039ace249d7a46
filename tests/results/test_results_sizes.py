"""Accuracy by size: counted by hand, and told in one table."""

from __future__ import annotations

import numpy as np
import pytest

from planorder.results.sizes import by_size, format_by_size
from planorder.results.stats import wilson

SIZES = {"logic": np.array(["3x3", "3x4", "3x3", "3x3"]), "hard": np.array(["3x4", "6x6"])}


@pytest.fixture
def outcomes(make_outcome):
    return [
        make_outcome([1, 0, 1, 0]),
        make_outcome([1, 1, 1, 1], strategy="top_margin"),
        make_outcome([0, 1], tier="hard"),
    ]


def test_every_size_is_counted_by_hand(outcomes) -> None:
    table = by_size(outcomes, SIZES)
    found = {(row.tier, row.strategy, row.size): (row.n, row.exact) for row in table.itertuples()}
    assert found == {
        ("logic", "vanilla", "3x3"): (3, 2 / 3),
        ("logic", "vanilla", "3x4"): (1, 0.0),
        ("logic", "top_margin", "3x3"): (3, 1.0),
        ("logic", "top_margin", "3x4"): (1, 1.0),
        ("hard", "vanilla", "3x4"): (1, 0.0),
        ("hard", "vanilla", "6x6"): (1, 1.0),
    }
    first = table.iloc[0]
    low, high = wilson(2, 3)
    assert first[["exact_low", "exact_high"]].tolist() == [low, high]


def test_sizes_that_belong_to_other_puzzles_change_the_table(outcomes) -> None:
    turned = SIZES | {"logic": SIZES["logic"][::-1]}
    assert not by_size(outcomes, SIZES).equals(by_size(outcomes, turned))


def test_a_tier_without_a_size_has_an_empty_place(outcomes) -> None:
    header, _, *rows = format_by_size(by_size(outcomes, SIZES)).splitlines()
    assert header.split() == ["tier", "model", "strategy", "3x3", "3x4", "6x6"]
    assert [row.split() for row in rows] == [
        ["logic", "net", "vanilla", "66.7", "0.0", "-"],
        ["logic", "net", "top_margin", "100.0", "100.0", "-"],
        ["hard", "net", "vanilla", "-", "0.0", "100.0"],
    ]
