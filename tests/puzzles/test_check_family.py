"""`check_family` passes the families that we ship and finds each fault planted in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puzzles import FAMILIES, get_family
from puzzles.base import HARD, LOGIC, ConstraintGraph, PuzzleBatch, UserInputError
from puzzles.sudoku.family import Sudoku
from puzzles.testing import check_family

Change = Callable[[PuzzleBatch], PuzzleBatch]
Faults = dict[str, tuple[dict[str, Any], str]]


TOO_RARE = {"sudoku-4x4"}
"""Whose test split gives about one puzzle of tier "logic" a minute."""
QUICK = {"sudoku-2x2": 24, "zebra": 24, "zebra-grid": 24}


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - TOO_RARE))
def test_our_families_pass(name: str) -> None:
    check_family(get_family(name), n=QUICK.get(name, 4))


def planted(faults: dict[str, Any]) -> Sudoku:
    """A small family with some attributes or methods replaced."""
    kind = type("Planted", (Sudoku,), {name: fault for name, fault in faults.items() if callable(fault)})
    family = kind("sudoku-2x3", 2, 3)
    for name, value in ({"tiers": (LOGIC,)} | faults).items():
        if not callable(value):
            setattr(family, name, value)
    return family


def test_the_unchanged_family_passes() -> None:
    check_family(planted({}), n=4)


def graph(**changes: object) -> dict[str, Any]:
    """A graph with other facts."""
    return {"graph": lambda self: replace(Sudoku.graph(self), **changes)}


def edges(change: Callable[[np.ndarray], np.ndarray], **more: object) -> dict[str, Any]:
    """A graph with one kind of edges changed."""

    def changed(self: Sudoku) -> ConstraintGraph:
        rows, *others = Sudoku.graph(self).edges
        return replace(
            Sudoku.graph(self), edges=(*others, replace(rows, cells=change(rows.cells.copy()), **more))
        )

    return {"graph": changed}


def made(change: Change) -> dict[str, Any]:
    """What is generated, changed."""
    return {"generate": lambda self, *args, **options: change(Sudoku.generate(self, *args, **options))}


def moved(change: Change) -> dict[str, Any]:
    """What is augmented, changed."""
    return {"augment": lambda self, batch, rng: change(Sudoku.augment(self, batch, rng))}


def with_field(name: str, change: Callable[[np.ndarray, PuzzleBatch], np.ndarray]) -> Change:
    return lambda batch: replace(batch, **{name: change(getattr(batch, name).copy(), batch)})


def put(array: np.ndarray, where: object, value: object) -> np.ndarray:
    array[where] = value
    return array


def first_clues_blank(clues: np.ndarray) -> np.ndarray:
    """Clues without the first of each puzzle."""
    return put(clues.copy(), (np.arange(len(clues)), (clues > 0).argmax(axis=1)), 0)


def swapped_ranks(rank: np.ndarray) -> np.ndarray:
    """Ranks counted from the end of the solve."""
    return np.where(rank < 0, rank, rank.max(axis=1, keepdims=True) - rank).astype(rank.dtype)


CALLS = iter(range(10**6))


def impure(self: Sudoku, split: str, tier: str, n: int, **options: Any) -> PuzzleBatch:
    batch = Sudoku.generate(self, split, tier, n, **(options | {"start": next(CALLS)}))
    return replace(batch, index=np.arange(n) + options.get("start", 0))


def by_workers(self: Sudoku, split: str, tier: str, n: int, workers: int = 1, **options: Any) -> PuzzleBatch:
    batch = Sudoku.generate(self, split, tier, n, **options)
    return batch if workers == 1 else replace(batch, **{"clues": batch.solution})


def from_zero(self: Sudoku, split: str, tier: str, n: int, start: int = 0, **options: Any) -> PuzzleBatch:
    return replace(Sudoku.generate(self, split, tier, n, **options), index=np.arange(start, start + n))


def silent(self: Sudoku, *args: Any, progress: object = None, **options: Any) -> PuzzleBatch:
    return Sudoku.generate(self, *args, **options)


def leaky(self: Sudoku, split: str, tier: str, n: int, start: int = 0, **options: Any) -> PuzzleBatch:
    """The test split holds images of the training puzzles."""
    if split != "test":
        return Sudoku.generate(self, split, tier, n, start=start, **options)
    batch = Sudoku.generate(self, "train", tier, start + n)
    if "progress" in options:
        options["progress"](n)
    batch = Sudoku.augment(self, batch, np.random.default_rng(0))[start:]
    return Sudoku.rate(self, batch.clues, batch.solution, batch.index)


def lenient(**defaults: object) -> Callable[..., PuzzleBatch]:
    """A generator that takes a mistake for something else."""

    def generate(self: Sudoku, split: str, tier: str, n: int, start: int = 0, **options: Any) -> PuzzleBatch:
        split = split if split != "trian" else str(defaults.get("split", split))
        tier = tier if tier != "no such tier" else str(defaults.get("tier", tier))
        start = max(start, 0) if "start" in defaults else start
        return Sudoku.generate(self, split, tier, n, start=start, **options)

    return generate


def wordy(self: Sudoku, path: Path) -> PuzzleBatch:
    raise UserInputError(f"{path}:\nno such file")


def spoiling(self: Sudoku, batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
    batch.index[:] += 1
    return Sudoku.augment(self, batch, rng)


def trusting(
    self: Sudoku, cells: np.ndarray, clues: np.ndarray, edges: np.ndarray | None = None
) -> np.ndarray:
    """Takes the clues' cells for granted, whatever stands there now."""
    return Sudoku.is_valid(self, np.where((clues > 0) & (cells > 0), clues, cells), clues)


FAULTS: Faults = {
    "version": ({"version": "other-v1"}, "version 'other-v1' begins with the name"),
    "grid": ({"grid": (6, 5)}, "shows every cell"),
    "techniques": ({"technique_names": ("given", "lone single")}, "techniques run from given to search"),
    "no tiers": ({"tiers": ()}, "tiers are there, and differ"),
    "equal tiers": ({"tiers": (LOGIC, LOGIC)}, "tiers are there, and differ"),
    "graph's cells": (graph(n_cells=37), "the graph has the family's cells"),
    "graph's values": (graph(n_values=7), "the graph has the family's values"),
    "edges' type": (edges(lambda cells: cells.astype(np.int64)), "edges row are int16, not int64"),
    "edge too far": (edges(lambda cells: put(cells, (0, 0), 36)), "name cells from 0 to 35, or -1"),
    "edge below": (edges(lambda cells: put(cells, (0, 0), -2)), "name cells from 0 to 35, or -1"),
    "edge's cell twice": (edges(lambda cells: put(cells, (5, 0), 35)), "edges row name no cell twice"),
    "edge's roles": (edges(lambda cells: cells, roles=("sum",)), "edges row have a role for every place"),
    "batch's version": (made(lambda batch: replace(batch, family="x")), "batches carry 'sudoku-2x3-v1'"),
    "shape": (made(with_field("hardest", lambda hardest, _: hardest[:, None])), "hardest has shape"),
    "type": (made(with_field("rank", lambda rank, _: rank.astype(np.int8))), "rank is int16, not int8"),
    "index": (made(with_field("index", lambda index, _: index + 1)), "index counts from 0"),
    "impure": ({"generate": impure}, "stream train/logic is the same each time: .* differs"),
    "workers": ({"generate": by_workers}, "is the same with two workers: clues differs"),
    "progress": ({"generate": silent}, "reports 4 finished puzzles, not 0"),
    "start": ({"generate": from_zero}, "is the same from any start: clues differs"),
    "clues": (
        made(with_field("clues", lambda clues, batch: np.where(clues > 0, clues % 6 + 1, 0).astype(np.int8))),
        "clues agree with the solution",
    ),
    "nothing blank": (made(with_field("clues", lambda clues, batch: batch.solution)), "has a blank"),
    "two solutions": (
        made(with_field("clues", lambda clues, _: first_clues_blank(clues))),
        "every puzzle has one solution",
    ),
    "solver": (
        {"count_solutions": lambda self, clues, limit=2, edges=None: (np.ones(len(clues), np.int64), clues)},
        "the solver finds the solution",
    ),
    "limit": (
        {"count_solutions": lambda self, clues, limit=2, edges=None: Sudoku.count_solutions(self, clues, 2)},
        "as many solutions as the limit",
    ),
    "judged": (
        {"judged": lambda self: np.arange(self.n_cells) > 0},
        "all cells are judged where solutions are unique",
    ),
    "right": (
        {"right": lambda self, cells, solution: np.ones(cells.shape, bool)},
        "right refuses blanks",
    ),
    "right by row": (
        {"right": lambda self, cells, solution: (cells == solution).all(axis=1)[:, None] & (cells > 0)},
        "right is what equals the only solution",
    ),
    "valid nothing": (
        {"is_valid": lambda self, cells, clues, edges=None: np.zeros(len(cells), bool)},
        "accepts solutions",
    ),
    "valid blanks": (
        {"is_valid": lambda self, cells, clues, edges=None: np.ones(len(cells), bool)},
        "refuses blanks",
    ),
    "valid values": (
        {
            "is_valid": lambda self, cells, clues, edges=None: (
                (cells > 0) & ((clues == 0) | (clues == cells))
            ).all(axis=1)
        },
        "is_valid refuses a wrong value",
    ),
    "valid clue": ({"is_valid": trusting}, "is_valid refuses a changed clue"),
    "valid grid": (
        {
            "is_valid": lambda self, cells, clues, edges=None: Sudoku.is_valid(
                self, cells, np.zeros_like(clues)
            )
        },
        "is_valid holds grids to the clues",
    ),
    "tier": ({"tier": lambda self, batch: np.full(len(batch), HARD)}, "generated as logic are of that tier"),
    "rank of clues": (
        made(with_field("rank", lambda rank, batch: np.where(batch.blank, rank, -2).astype(np.int16))),
        "rank is -1 on clues and nowhere else",
    ),
    "rank twice": (made(with_field("rank", lambda rank, _: np.minimum(rank, 3))), "ranks number the blanks"),
    "technique of clues": (
        made(with_field("technique", lambda technique, _: np.maximum(technique, 1))),
        "technique is 0 on clues and nowhere else",
    ),
    "technique unknown": (
        made(with_field("technique", lambda technique, _: technique * 9)),
        "technique ids have names",
    ),
    "hardest": (made(with_field("hardest", lambda hardest, _: hardest * 0)), "than the hardest technique"),
    "rate": (
        made(with_field("rank", lambda rank, _: swapped_ranks(rank))),
        "rate gives the account of generate: rank differs",
    ),
    "augment's input": ({"augment": spoiling}, "augment leaves its input"),
    "augment's types": (
        moved(with_field("rank", lambda rank, _: rank.astype(np.int64))),
        "rank is int16, not int64",
    ),
    "augment's generator": (
        {"augment": lambda self, batch, rng: Sudoku.augment(self, batch, np.random.default_rng())},
        "augment follows its generator",
    ),
    "no augment": ({"augment": lambda self, batch, rng: batch}, "augment changes puzzles"),
    "augment's hardest": (
        moved(with_field("hardest", lambda hardest, _: hardest + 1)),
        "augment keeps the hardest technique",
    ),
    "augment's index": (moved(with_field("index", lambda index, _: index + 1)), "augment keeps the index"),
    "augment's clues": (
        moved(with_field("clues", lambda clues, _: first_clues_blank(clues))),
        "augmented puzzles have one solution",
    ),
    "augment's solution": (
        moved(with_field("solution", lambda solution, _: solution % 6 + 1)),
        "solutions move with their puzzle",
    ),
    "augment's rank": (
        {
            "augment": lambda self, batch, rng: replace(
                Sudoku.augment(self, batch, rng), rank=batch.rank.copy()
            )
        },
        "ranks move with their cells",
    ),
    "augment's order": (moved(with_field("rank", lambda rank, _: swapped_ranks(rank))), "ranks move with"),
    "augment's technique": (
        moved(with_field("technique", lambda t, _: np.where(t > 0, t % 2 + 1, 0).astype(np.int8))),
        "techniques move with their cells",
    ),
    "canonical's type": (
        {"canonical": lambda self, clues, edges=None: Sudoku.canonical(self, clues).astype(np.int64)},
        "canonical forms are int8 or int16",
    ),
    "no canonical": (
        {"canonical": lambda self, clues, edges=None: clues},
        "symmetric puzzles share their canonical form",
    ),
    "canonical of itself": (
        {"canonical": lambda self, clues, edges=None: first_clues_blank(Sudoku.canonical(self, clues))},
        "a canonical form is its own",
    ),
    "canonical's puzzle": (
        {"canonical": lambda self, clues, edges=None: clues * 0},
        "canonical forms have one solution",
    ),
    "no text": ({"render": lambda self, cells, clues=None, edges=None: " "}, "render gives text"),
    "render": (
        {"render": lambda self, cells, clues=None, edges=None: Sudoku.render(self, cells)},
        "render tells blanks, and tells clues from filled cells",
    ),
    "one stream": (
        {"generate": lambda self, split, *args, **options: Sudoku.generate(self, "val", *args, **options)},
        r"splits train and val share no puzzle up to symmetry \(\d found\)",
    ),
    "images of train": (
        {"generate": leaky},
        r"splits train and test share no puzzle up to symmetry \(4 found\)",
    ),
    "any split": ({"generate": lenient(split="train")}, "an unknown split raises UserInputError"),
    "any tier": ({"generate": lenient(tier=LOGIC)}, "an unknown tier raises UserInputError"),
    "any start": ({"generate": lenient(start=0)}, "a negative start raises UserInputError"),
    "any file": ({"read": lambda self, path: None}, "a file that is not there raises UserInputError"),
    "many lines": ({"read": wordy}, "a file that is not there gets one line"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    changes, promise = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"^sudoku-2x3: .*{promise}") as caught:
        check_family(planted(changes), n=4)
    assert "\n" not in str(caught.value)
