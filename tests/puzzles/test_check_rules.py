"""In `check_family`, `is_valid` and the solver judge each other, and puzzles are of their split's buckets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from puzzles import get_family
from puzzles.base import HARD, LOGIC, AbstractFamily, PuzzleBatch
from puzzles.naesat import NaeSat
from puzzles.seeding import bucket_of
from puzzles.sudoku.family import Sudoku
from puzzles.testing import check_family
from puzzles.testing_rules import ROUNDS, check_rules, spoiled
from puzzles.zebra.clues import KINDS
from puzzles.zebra.family import Zebra

AGREE = "is_valid and count_solutions agree on full grids in which"
VERBS = ("is_valid", "count_solutions")


def by_units(self: Sudoku, cells: np.ndarray, without: str) -> np.ndarray:
    """bool ``[batch]``: whether every value stands once in every unit, but for those of one kind."""
    values = np.arange(1, self.n_values + 1)
    kinds = [edges.cells for edges in self.graph().edges if edges.kind != without]
    return np.all([(np.sort(cells[:, units], axis=2) == values).all(axis=(1, 2)) for units in kinds], axis=0)


def forgetful_sudoku(verb: str, kind: str) -> Sudoku:
    """Sudoku with a verb that forgets a kind of units; the solver does so in full grids."""

    def is_valid(self: Sudoku, cells: np.ndarray, clues: np.ndarray, edges: Any = None) -> np.ndarray:
        return by_units(self, cells, kind) & ((clues == 0) | (clues == cells)).all(axis=1)

    def count_solutions(self: Sudoku, clues: np.ndarray, limit: int = 2, edges: Any = None) -> Any:
        count, first = Sudoku.count_solutions(self, clues, limit)
        return np.where((clues > 0).all(axis=1), by_units(self, clues, kind), count), first

    faults = {"is_valid": is_valid, "count_solutions": count_solutions}
    return type("Planted", (Sudoku,), {verb: faults[verb]})("sudoku-2x3", 2, 3)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("row", "two cells of an edge (column|box) are exchanged"),
        ("column", "two cells of an edge (row|box) are exchanged"),
        ("box", "(rows|columns) are in another order"),
    ],
)
def test_a_verb_of_sudoku_that_forgets_a_kind_of_units_is_found(verb: str, kind: str, what: str) -> None:
    with pytest.raises(AssertionError, match=f"^sudoku-2x3: {AGREE} {what} "):
        check_family(forgetful_sudoku(verb, kind), n=4)


@pytest.mark.parametrize("verb", VERBS)
def test_units_that_forget_none_pass(verb: str) -> None:
    check_family(forgetful_sudoku(verb, "none"), n=4)


def forgetful_zebra(verb: str, kind: int, layout: str) -> Zebra:
    """Zebra with a verb that forgets a kind of clues."""

    def is_valid(self: Zebra, cells: np.ndarray, clues: np.ndarray, edges: Any = None) -> np.ndarray:
        return Zebra.is_valid(self, cells, clues, np.where(edges[:, :, :1] == kind, -1, edges))

    def count_solutions(self: Zebra, clues: np.ndarray, limit: int = 2, edges: Any = None) -> Any:
        full = (clues > 0).all(axis=1)[:, None, None]
        edges = None if edges is None else np.where((edges[:, :, :1] == kind) & full, -1, edges)
        return Zebra.count_solutions(self, clues, limit, edges)

    faults = {"is_valid": is_valid, "count_solutions": count_solutions}
    return type("Planted", (Zebra,), {verb: faults[verb]})("zebra-planted", layout)


@pytest.mark.parametrize("layout", ["position", "grid"])
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[kind.name for kind in KINDS])
def test_a_verb_of_zebra_that_forgets_a_kind_of_clues_is_found(kind: int, verb: str, layout: str) -> None:
    family = forgetful_zebra(verb, kind, layout)
    with pytest.raises(AssertionError, match=f"^zebra-planted: {AGREE} "):
        check_rules(family, family.generate("train", HARD, 24), np.random.default_rng(0))


def test_check_family_asks_the_clues_of_zebra() -> None:
    with pytest.raises(AssertionError, match=f"^zebra-planted: {AGREE} "):
        check_family(forgetful_zebra("is_valid", 1, "position"), n=8)


def test_a_forgotten_observation_of_nae_sat_is_found() -> None:
    def is_valid(self: NaeSat, cells: np.ndarray, clues: np.ndarray, edges: Any = None) -> np.ndarray:
        right = self.right(cells, cells)
        right[:, -1] = True
        return (right & ((clues == 0) | (clues == cells))).all(axis=1)

    family = type("Planted", (NaeSat,), {"is_valid": is_valid})("naesat-planted", 20, 30)
    with pytest.raises(AssertionError, match=f"^naesat-planted: {AGREE} .* exchanged "):
        check_rules(family, family.generate("train", LOGIC, 100), np.random.default_rng(0))


def test_grids_are_spoiled_as_they_say() -> None:
    family = get_family("sudoku-2x3")
    batch = family.generate("train", LOGIC, 6)
    grids = dict(spoiled(family, batch, np.random.default_rng(0)))
    same = batch.solution[:, None]
    for kind in ("row", "column", "box"):
        other = grids.pop(f"two cells of an edge {kind} are exchanged")
        assert ((other != same).sum(axis=2) == 2).all()
        units = next(edges.cells for edges in family.graph().edges if edges.kind == kind)
        values = np.sort(other[:, :, units], axis=3)
        assert (values == np.arange(1, 7)).all()
    rows, columns, values = (
        grids.pop(f"{what}")
        for what in ("rows are in another order", "columns are in another order", "two values are exchanged")
    )
    assert grids == {}
    square = np.sort(batch.solution.reshape(6, 1, 6, 6), axis=2)
    assert np.array_equal(np.sort(rows.reshape(6, ROUNDS, 6, 6), axis=2), square.repeat(ROUNDS, axis=1))
    turned = np.sort(batch.solution.reshape(6, 1, 6, 6), axis=3)
    assert np.array_equal(np.sort(columns.reshape(6, ROUNDS, 6, 6), axis=3), turned.repeat(ROUNDS, axis=1))
    assert ((values != same).sum(axis=2) == 12).all()
    flat = values.reshape(-1, 36)
    assert family.is_valid(flat, flat).all()
    for other in (rows, columns):
        assert (other != same).any(axis=2).mean() > 0.9


Faults = dict[str, tuple[dict[str, Any], str]]


def careless(kind: type[Sudoku] | type[Zebra]) -> dict[str, Any]:
    """The test split holds puzzles from the far end of the training stream, whatever their bucket."""

    def generate(self: Any, split: str, tier: str, n: int, start: int = 0, **options: Any) -> PuzzleBatch:
        if split != "test":
            return kind.generate(self, split, tier, n, start=start, **options)
        batch = kind.generate(self, "train", tier, n, start=start + 10_000, **options)
        return replace(batch, index=batch.index - 10_000)

    return {"generate": generate}


def bucketed(change: Any) -> dict[str, Any]:
    """Another function of the clues' bucket and the clues."""
    return {"bucket": lambda self, clues, edges=None: change(Sudoku.bucket(self, clues), clues)}


BUCKETS: Faults = {
    "careless": (careless(Sudoku), "puzzles of test/logic are of the buckets of their split"),
    "another hash": (
        {"bucket": AbstractFamily.bucket},
        "puzzles of .* are of the buckets of their split",
    ),
    "one bucket": (bucketed(lambda bucket, clues: bucket * 0), "puzzles of val/logic are of the buckets"),
    "type": (bucketed(lambda bucket, clues: bucket.astype("i2")), r"buckets are int64 \[4\], not int16"),
    "shape": (
        bucketed(lambda bucket, clues: bucket[:, None]),
        r"buckets are int64 \[4\], not int64 \(4,",
    ),
    "range": (bucketed(lambda bucket, clues: bucket + 100), "buckets are from 0 to 99"),
    "below": (bucketed(lambda bucket, clues: bucket - 100), "buckets are from 0 to 99"),
    "no symmetry": (
        bucketed(lambda bucket, clues: np.array([bucket_of(row) for row in clues])),
        "symmetric puzzles share their bucket",
    ),
}


@pytest.mark.parametrize("fault", BUCKETS)
def test_a_planted_bucket_is_found(fault: str) -> None:
    changes, promise = BUCKETS[fault]
    with pytest.raises(AssertionError, match=f"^sudoku-2x3: {promise}"):
        check_family(type("Planted", (Sudoku,), changes)("sudoku-2x3", 2, 3), n=4)


def test_a_generator_of_zebra_that_ignores_buckets_is_found() -> None:
    family = type("Planted", (Zebra,), careless(Zebra))("zebra-planted", "grid", 4, 3)
    family.tiers = (LOGIC,)
    with pytest.raises(AssertionError, match="puzzles of test/logic are of the buckets of their split"):
        check_family(family, n=4)


def test_both_layouts_of_zebra_have_one_bucket() -> None:
    position, grid = get_family("zebra"), get_family("zebra-grid")
    ours, theirs = (family.generate("train", HARD, 20) for family in (position, grid))
    assert np.array_equal(position.bucket(ours.clues, ours.edges), grid.bucket(theirs.clues, theirs.edges))
