"""`check_family` finds faults planted in puzzles with edges of their own, here Zebra's clues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from puzzles.base import LOGIC, EdgeKind, PuzzleBatch
from puzzles.sudoku.family import Sudoku
from puzzles.testing import check_family
from puzzles.zebra.clues import KINDS, N_CELLS
from puzzles.zebra.family import Zebra

Edit = Callable[[np.ndarray], np.ndarray | None]


def planted(faults: dict[str, Any], layout: str = "position") -> Zebra:
    """Zebra of one size and tier with some methods replaced."""
    family = type("Planted", (Zebra,), faults)("zebra-4x3", layout, 4, 3)
    family.tiers = (LOGIC,)
    return family


@pytest.mark.parametrize("layout", ["position", "grid"])
def test_the_unchanged_family_passes(layout: str) -> None:
    check_family(planted({}, layout), n=4)


@pytest.mark.parametrize(("houses", "attributes", "redundant"), [(3, 3, 0), (6, None, 0), (5, 5, 2)])
def test_other_options_pass(houses: int, attributes: int | None, redundant: int) -> None:
    check_family(Zebra("zebra-mine", "position", houses, attributes, redundant), n=4)


def made(edit: Edit) -> dict[str, Any]:
    """The edges of what is generated, changed."""

    def generate(self: Zebra, *args: Any, **options: Any) -> PuzzleBatch:
        batch = Zebra.generate(self, *args, **options)
        return replace(batch, edges=edit(batch.edges.copy()))

    return {"generate": generate}


def put(where: Any, value: int) -> Edit:
    def edit(edges: np.ndarray) -> np.ndarray:
        edges[where] = value
        return edges

    return edit


def first_of(test: Callable[[np.ndarray], np.ndarray], column: int, value: int) -> Edit:
    """Writes into the first clue of the batch whose kind passes a test."""

    def edit(edges: np.ndarray) -> np.ndarray:
        row, place = np.argwhere(test(edges[..., 0]))[0]
        edges[row, place, column] = value
        return edges

    return edit


def twice(kinds: Callable[[np.ndarray], np.ndarray], a: int, b: int) -> Edit:
    """Repeats one member of a clue in the place of another."""

    def edit(edges: np.ndarray) -> np.ndarray:
        row, place = np.argwhere(kinds(edges[..., 0]))[0]
        edges[row, place, b] = edges[row, place, a]
        return edges

    return edit


def graph(**changes: Any) -> dict[str, Any]:
    return {"graph": lambda self: replace(Zebra.graph(self), **changes)}


def with_unmoved_edges(self: Zebra, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
    return replace(Zebra.augment(self, batch, rng), edges=batch.edges)


def spoiling(self: Zebra, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
    other = Zebra.augment(self, batch, rng)
    assert batch.edges is not None
    batch.edges[:, -1] = batch.edges[:, 0]
    return other


def losing(self: Zebra, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
    """Forgets a clue on the way."""
    other = Zebra.augment(self, batch, rng)
    assert other.edges is not None
    return replace(other, edges=other.edges[:, 1:])


def by_workers(self: Zebra, *args: Any, workers: int = 1, **options: Any) -> PuzzleBatch:
    """Two workers write the clues in another order."""
    batch = Zebra.generate(self, *args, **options)
    assert batch.edges is not None
    return replace(batch, edges=batch.edges[:, ::-1]) if workers > 1 else batch


def deaf(verb: str) -> dict[str, Any]:
    """A verb that does not hear of the edges, which is its last argument or named."""
    method = getattr(Zebra, verb)

    def call(self: Zebra, *args: Any, edges: np.ndarray | None = None, **options: Any) -> Any:
        positional = {"is_valid": 2, "rate": 3, "canonical": 1, "render": 2, "count_solutions": 2}[verb]
        return method(self, *args[:positional], **options)

    return {verb: call}


def as_it_comes(self: Zebra, clues: np.ndarray, edges: np.ndarray | None = None) -> np.ndarray:
    assert edges is not None
    return np.concatenate([clues.astype(np.int16), edges.reshape(len(edges), -1)], axis=1)


def real(kinds: np.ndarray) -> np.ndarray:
    return kinds >= 0


def pads(kinds: np.ndarray) -> np.ndarray:
    return kinds < 0


def pair(kinds: np.ndarray) -> np.ndarray:
    """Clues with two members."""
    return np.isin(kinds, [k for k, kind in enumerate(KINDS) if len(kind.roles) == 2])


def triple(kinds: np.ndarray) -> np.ndarray:
    return np.isin(kinds, [k for k, kind in enumerate(KINDS) if len(kind.roles) == 3])


THERE = "puzzles have edges where the graph has kinds of them"
TYPE = r"edges are int16 \[4, edges, 4\], not"
KNOWN = "edges have kinds from 0 to 8, or -1"
NAMED = "edges name a cell for every role, and -1 beyond"
TWICE = "edges name no cell twice"
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no edges": (made(lambda edges: None), THERE),
    "no kinds": (graph(puzzle_kinds=()), THERE),
    "equal kinds": (graph(puzzle_kinds=(*KINDS, KINDS[0])), "kinds of puzzle edges differ"),
    "no roles": (graph(puzzle_kinds=(*KINDS, EdgeKind("odd", ()))), "kinds of puzzle edges have roles"),
    "too few kinds": (graph(puzzle_kinds=KINDS[:1]), r"edges are int16 \[4, edges, 3\], not int16"),
    "type": (made(lambda edges: edges.astype(np.int8)), f"{TYPE} int8"),
    "wide type": (made(lambda edges: edges.astype(np.int64)), f"{TYPE} int64"),
    "flat": (made(lambda edges: edges.reshape(len(edges), -1)), f"{TYPE} int16"),
    "narrow": (made(lambda edges: edges[..., :3]), f"{TYPE} int16"),
    "too few": (made(lambda edges: edges[:-1]), f"{TYPE} int16"),
    "kind above": (made(first_of(real, 0, len(KINDS))), KNOWN),
    "kind below": (made(first_of(real, 0, -2)), KNOWN),
    "cell above": (made(first_of(real, 1, N_CELLS)), NAMED),
    "cell below": (made(first_of(real, 2, -2)), NAMED),
    "no cell": (made(first_of(triple, 3, -1)), NAMED),
    "no second cell": (made(first_of(pair, 2, -1)), NAMED),
    "a third cell of two": (made(first_of(pair, 3, 0)), NAMED),
    "pad below": (made(first_of(pair, 3, -2)), NAMED),
    "padding with a cell": (made(first_of(pads, 3, 7)), NAMED),
    "padding of zeros": (made(put((slice(None), -1), 0)), NAMED),
    "a cell twice": (made(twice(pair, 1, 2)), TWICE),
    "a cell twice in three": (made(twice(triple, 2, 3)), TWICE),
    "workers": ({"generate": by_workers}, "is the same with two workers: edges differs"),
    "too loose": (made(put((slice(None), 0), -1)), "every puzzle has one solution"),
    "deaf rules": (deaf("is_valid"), "is_valid holds grids to the clues"),
    "deaf solver": (deaf("count_solutions"), "every puzzle has one solution"),
    "deaf rating": (deaf("rate"), "rate gives the account of generate"),
    "deaf form": (deaf("canonical"), "canonical forms are int8 or int16, clues and then edges"),
    "form as it comes": ({"canonical": as_it_comes}, "symmetric puzzles share their canonical form"),
    "unmoved edges": ({"augment": with_unmoved_edges}, "solutions? .*"),
    "lost edge": ({"augment": losing}, "augmented puzzles have one solution"),
    "spoilt edges": ({"augment": spoiling}, "augment leaves its input"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    changes, promise = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"^zebra-4x3: .*{promise}") as caught:
        check_family(planted(changes), n=4)
    assert "\n" not in str(caught.value)


def test_edges_where_the_graph_has_no_kinds() -> None:
    def generate(self: Sudoku, split: str, tier: str, n: int, **options: Any) -> PuzzleBatch:
        batch = Sudoku.generate(self, split, tier, n, **options)
        return replace(batch, edges=np.full((n, 1, 4), -1, np.int16))

    family = type("Edged", (Sudoku,), {"generate": generate})("sudoku-2x2", 2, 2)
    with pytest.raises(AssertionError, match=f"^sudoku-2x2: {THERE}$"):
        check_family(family, n=4)


def test_the_planted_puzzles_have_every_clue_that_is_changed() -> None:
    batch = planted({}).generate("train", LOGIC, 4)
    assert batch.edges is not None
    kinds = batch.edges[..., 0]
    assert pair(kinds).any()
    assert triple(kinds).any()
    assert pads(kinds).any(axis=1).all()
