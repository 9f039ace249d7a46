"""`check_family` finds faults planted in a family whose puzzles have many solutions, here NAE-SAT."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from puzzles.base import PuzzleBatch
from puzzles.naesat import NaeSat
from puzzles.testing import check_family

LATENTS, OBSERVATIONS = 20, 30
CELLS = LATENTS + OBSERVATIONS


def planted(faults: dict[str, Any]) -> NaeSat:
    """A family with some methods replaced."""
    return type("Planted", (NaeSat,), faults)("naesat-planted", LATENTS, OBSERVATIONS)


def test_the_unchanged_family_passes() -> None:
    check_family(planted({}), n=8)


def flipped(cells: np.ndarray, place: int) -> np.ndarray:
    """The cells with one of each row flipped where it is filled."""
    out = cells.copy()
    out[:, place] = np.where(out[:, place] > 0, 3 - out[:, place], 0)
    return out


def made(place: int) -> Any:
    """Generates sequences with a cell flipped."""

    def generate(self: NaeSat, *args: Any, **options: Any) -> PuzzleBatch:
        batch = NaeSat.generate(self, *args, **options)
        return replace(batch, solution=flipped(batch.solution, place))

    return generate


def stream(split: str, flip: bool = False) -> Any:
    """Takes the sequences of a split, or their images, for those of every other one."""

    def generate(self: NaeSat, asked: str, *args: Any, **options: Any) -> PuzzleBatch:
        if asked not in ("train", "val", "test"):
            return NaeSat.generate(self, asked, *args, **options)
        batch = NaeSat.generate(self, split, *args, **options)
        if flip and asked != split:
            return replace(batch, solution=self._flipped(batch.solution, np.ones(len(batch), bool)))
        return batch

    return generate


def moved(**changes: Any) -> Any:
    """Augments, and then changes fields."""

    def augment(self: NaeSat, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
        other = NaeSat.augment(self, batch, rng)
        return replace(other, **{name: change(batch, other) for name, change in changes.items()})

    return augment


def counted(count: Any = None, first: Any = None) -> Any:
    """Counts solutions, and then changes the counts or the first one of puzzles with blanks."""

    def count_solutions(self: NaeSat, clues: np.ndarray, limit: int = 2, edges: Any = None) -> Any:
        number, found = NaeSat.count_solutions(self, clues, limit)
        blank = (clues == 0).any(axis=1)
        if count is not None:
            number = np.where(blank & (limit == 2), count, number)
        if first is not None:
            found = np.where(blank[:, None], first(found), found)
        return number, found

    return count_solutions


def judging(change: Any) -> Any:
    """Other cells are judged."""
    return lambda self: change(NaeSat.judged(self))


def unclued(self: NaeSat, cells: np.ndarray, clues: np.ndarray, edges: Any = None) -> np.ndarray:
    """Asks the rules and not the clues."""
    return NaeSat.is_valid(self, cells, np.zeros_like(clues))


def trusting(self: NaeSat, cells: np.ndarray, clues: np.ndarray, edges: Any = None) -> np.ndarray:
    """Takes the clues' cells for granted, whatever stands there now."""
    return NaeSat.is_valid(self, np.where((clues > 0) & (cells > 0), clues, cells), clues)


def ungraded(self: NaeSat, cells: np.ndarray, clues: np.ndarray, edges: Any = None) -> np.ndarray:
    """Asks the clues and not the rules."""
    return ((cells > 0) & ((clues == 0) | (clues == cells))).all(axis=1)


def righting(right: Any) -> dict[str, Any]:
    """Judges cells otherwise, and sequences, for which NAE-SAT asks its cells, as before."""
    sound = NaeSat("naesat-planted", LATENTS, OBSERVATIONS)
    return {"right": right, "is_valid": lambda self, *arguments: sound.is_valid(*arguments)}


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "judged's shape": (
        {"judged": judging(lambda judged: judged[1:])},
        r"judged is bool \[50\], not bool \(49,\)",
    ),
    "judged's type": ({"judged": judging(lambda judged: judged * 1)}, r"judged is bool \[50\], not int"),
    "nothing judged": ({"judged": judging(np.zeros_like)}, "every puzzle has a blank that is judged"),
    "free cells judged": ({"judged": judging(np.ones_like)}, "is_valid refuses a wrong value|right refuses"),
    "unique puzzles": (
        {"rate": lambda self, *arguments: replace(NaeSat.rate(self, *arguments), unique=True)},
        "batches carry unique=False",
    ),
    "headline": ({"headline": "cells"}, "headline 'cells' is exact or cell"),
    "a wrong sequence": ({"generate": made(LATENTS + 3)}, "every puzzle has one solution"),
    "no solution": ({"count_solutions": counted(count=0)}, "every puzzle has a solution"),
    "an invalid first": (
        {"count_solutions": counted(first=lambda found: flipped(found, LATENTS))},
        "the solver finds a valid solution",
    ),
    "a blank first": ({"count_solutions": counted(first=np.zeros_like)}, "the solver finds a valid solution"),
    "limit": (
        {"count_solutions": lambda self, clues, limit=2, edges=None: NaeSat.count_solutions(self, clues, 2)},
        "a puzzle without clues has as many solutions as the limit",
    ),
    "valid nothing": (
        {"is_valid": lambda self, cells, clues, edges=None: np.zeros(len(cells), bool)},
        "the solver finds a valid solution",
    ),
    "valid blanks": (
        {"is_valid": lambda self, cells, clues, edges=None: np.ones(len(cells), bool)},
        "is_valid refuses blanks",
    ),
    "valid without rules": ({"is_valid": ungraded}, "is_valid refuses a wrong value"),
    "valid whatever the clues": ({"is_valid": trusting}, "is_valid refuses a changed clue"),
    "valid without clues": (
        {"is_valid": unclued},
        "is_valid refuses a changed clue|is_valid holds grids to the",
    ),
    "right nothing": (
        righting(lambda self, cells, solution: np.zeros(cells.shape, bool)),
        "right accepts solutions",
    ),
    "right blanks": (
        righting(lambda self, cells, solution: (cells == solution) | (cells == 0)),
        "right refuses blanks",
    ),
    "right by the sample": (
        righting(lambda self, cells, solution: cells == solution),
        "right accepts solutions that are not the sampled one",
    ),
    "right everything": (righting(lambda self, cells, solution: cells > 0), "right refuses a wrong value"),
    "augment's solution": (
        {"augment": moved(solution=lambda batch, other: flipped(other.solution, LATENTS))},
        "solutions move with their puzzle",
    ),
    "augment's clues": (
        {"augment": moved(clues=lambda batch, other: batch.clues)},
        "solutions move with their puzzle",
    ),
    "augment without clues": (
        {"augment": moved(clues=lambda batch, other: other.clues * 0)},
        "augmented puzzles have one solution",
    ),
    "augment's blanks": (
        {
            "augment": moved(
                solution=lambda batch, other: (
                    other.solution if batch.clues.any() else flipped(other.solution, LATENTS)
                )
            )
        },
        "augmented solutions are valid",
    ),
    "augment's order": (
        {
            "augment": moved(
                rank=lambda batch, other: np.where(other.rank < 0, -1, CELLS - 1 - other.rank).astype("i2")
            )
        },
        "ranks move with their cells",
    ),
    "no canonical": (
        {"canonical": lambda self, clues, edges=None: clues},
        "symmetric puzzles share their canonical form",
    ),
    "canonical's puzzle": (
        {"canonical": lambda self, clues, edges=None: clues * 0},
        "canonical forms have one solution",
    ),
    "render": (
        {"render": lambda self, cells, clues=None, edges=None: NaeSat.render(self, cells)},
        "render tells blanks, and tells clues from filled cells",
    ),
    "one stream": ({"generate": stream("val")}, "splits train and val hold other solutions, up to symmetry"),
    "images of train": (
        {"generate": stream("train", flip=True)},
        "splits train and val hold other solutions, up to symmetry",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    changes, promise = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"^naesat-planted: ({promise})") as caught:
        check_family(planted(changes), n=8)
    assert "\n" not in str(caught.value)


def test_clues_that_splits_share_are_found() -> None:
    """Puzzles that state something are to differ between splits, even where they have many solutions."""

    def generate(self: NaeSat, *args: Any, **options: Any) -> PuzzleBatch:
        batch = NaeSat.generate(self, *args, **options)
        clues = batch.clues.copy()
        clues[:, 0] = batch.solution[:, 0]
        return self.rate(clues, batch.solution, batch.index)

    with pytest.raises(
        AssertionError, match=r"splits train and val share no puzzle up to symmetry \(1 found\)"
    ):
        check_family(planted({"generate": generate}), n=8)
