"""What every puzzle family must keep, checked on puzzles of its own making.

    check_family(get_family("sudoku"))

A broken promise raises `AssertionError` with a line that names the family, the promise and the first puzzle
that breaks it. Nothing here knows the rules of a family: they are reached through its verbs alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError
from puzzles.seeding import SPLITS, in_split, states
from puzzles.testing_rules import check_rules
from puzzles.testing_shapes import check_facts, check_fields, check_graph, need


def check_family(family: AbstractFamily, n: int = 24, seed: int = 0) -> None:
    """Generates ``n`` puzzles of every split and tier, and holds the family to `AbstractFamily`.

    Checked are the graph; shapes and types; that streams are pure functions of split, tier and index; that
    every puzzle has one solution, and `is_valid` and `right` accept no other; that `is_valid` and the solver
    agree on grids that are nearly solutions; tiers, ranks and techniques; that augmentation keeps all of it
    and moves ranks with their cells; that canonical forms are puzzles that symmetry does not change and that
    no two splits share; that puzzles are of the buckets of their split; and that user mistakes have one line.

    Where puzzles have many solutions (`unique` is False), what is promised of the one solution is promised of
    pinned puzzles: those with their ``solution`` as clues, which leaves no other. Of the puzzles themselves
    it is that ``solution`` and what the solver finds are valid, and that no judged cell can be changed alone.
    A puzzle that states nothing, no clue and no edge, is the same in every split, so that splits cannot but
    share it; instead, their pinned puzzles are to differ.

    Args:
        family: the family to check.
        n: puzzles of each split and tier, at least 2.
        seed: of the symmetries and the mistakes that are tried.

    Raises:
        AssertionError: a promise is broken.
    """
    check_facts(family)
    check_graph(family)
    streams = {(split, tier): family.generate(split, tier, n) for split in SPLITS for tier in family.tiers}
    for (split, tier), batch in streams.items():
        check_fields(family, batch, n)
        _check_stream(family, batch, split, tier)
        _check_solutions(family, batch, np.random.default_rng(seed))
        check_rules(family, batch, np.random.default_rng(seed))
        _check_right(family, batch, np.random.default_rng(seed))
        _check_order(family, batch, tier)
        _check_augment(family, batch, seed)
        _check_canonical(family, _pinned(family, batch), seed)
        _check_render(family, batch)
    _check_splits(family, streams)
    _check_mistakes(family)


def _same(family: AbstractFamily, a: PuzzleBatch, b: PuzzleBatch, promise: str) -> None:
    need(family, a.arrays().keys() == b.arrays().keys(), f"{promise}: both have edges, or neither")
    for name, x in a.arrays().items():
        y = getattr(b, name)
        need(family, x.shape == y.shape, f"{promise}: {name} has shapes {x.shape} and {y.shape}")
        need(family, x == y, f"{promise}: {name} differs")


def _check_stream(family: AbstractFamily, batch: PuzzleBatch, split: str, tier: str) -> None:
    n, middle = len(batch), len(batch) // 2
    stream = f"stream {split}/{tier}"
    need(family, batch.index == np.arange(n), f"{stream}: index counts from 0")
    _same(family, batch, family.generate(split, tier, n), f"{stream} is the same each time")
    finished: list[int] = []
    threads = family.generate(split, tier, n, workers=2, progress=finished.append)
    _same(family, batch, threads, f"{stream} is the same with two workers")
    need(family, sum(finished) == n, f"{stream} reports {n} finished puzzles, not {sum(finished)}")
    tail = family.generate(split, tier, n - middle, start=middle)
    _same(family, batch[middle:], tail, f"{stream} is the same from any start")


def _pinned(family: AbstractFamily, batch: PuzzleBatch) -> PuzzleBatch:
    """Puzzles with one solution: the batch, or its solutions as clues where puzzles have many."""
    return batch if family.unique else replace(batch, clues=batch.solution)


def _check_solutions(family: AbstractFamily, batch: PuzzleBatch, rng: np.random.Generator) -> None:
    clues, solution, edges, pinned = batch.clues, batch.solution, batch.edges, _pinned(family, batch)
    judged = batch.blank & family.judged()
    need(family, (clues == 0) | (clues == solution), "clues agree with the solution")
    need(family, judged.any(axis=1), "every puzzle has a blank that is judged")
    count, first = family.count_solutions(pinned.clues, edges=edges)
    need(family, count == 1, "every puzzle has one solution")
    need(family, first == solution, "the solver finds the solution")
    if not family.unique:
        count, first = family.count_solutions(clues, edges=edges)
        need(family, count >= 1, "every puzzle has a solution")
        need(family, family.is_valid(first, clues, edges), "the solver finds a valid solution")
    blanked, _ = family.count_solutions(np.zeros_like(clues[:1]), limit=3)
    need(family, blanked == 3, "a puzzle without clues has as many solutions as the limit")
    need(family, family.is_valid(solution, clues, edges), "is_valid accepts solutions")
    need(family, ~family.is_valid(clues, clues, edges), "is_valid refuses blanks")
    rows = np.arange(len(batch))
    for kind, cells, given in (
        ("wrong value", judged, clues),
        ("changed clue", pinned.clues > 0, pinned.clues),
    ):
        wrong = solution.copy()
        cell = np.where(cells, rng.random(cells.shape), -1).argmax(axis=1)
        wrong[rows, cell] = wrong[rows, cell] % family.n_values + 1
        need(family, ~family.is_valid(wrong, given, edges), f"is_valid refuses a {kind}")
    other = family.augment(batch[rows], rng)  # a copy: whether the input is left is asked later
    changed = (other.solution != solution).any(axis=1)
    accepts = family.is_valid(other.solution, pinned.clues, edges)
    need(family, ~changed | ~accepts, "is_valid holds grids to the clues")


def _check_right(family: AbstractFamily, batch: PuzzleBatch, rng: np.random.Generator) -> None:
    """Which cells are right: all of a solution, no judged one that is blank or changed alone."""
    solution, judged = batch.solution, batch.blank & family.judged()
    need(family, family.right(solution, solution), "right accepts solutions")
    need(family, ~(family.right(batch.clues, solution) & judged), "right refuses blanks")
    cell = np.where(judged, rng.random(judged.shape), -1).argmax(axis=1)
    changed = cell[:, None] == np.arange(family.n_cells)
    wrong = np.where(changed, solution % family.n_values + 1, solution).astype(np.int8)
    right = family.right(wrong, solution)
    need(family, ~(right & changed), "right refuses a wrong value")
    if family.unique:
        need(family, right == (wrong == solution), "right is what equals the only solution")
    else:
        _, first = family.count_solutions(batch.clues, edges=batch.edges)
        need(family, family.right(first, solution), "right accepts solutions that are not the sampled one")


def _check_order(family: AbstractFamily, batch: PuzzleBatch, tier: str) -> None:
    blank, rank, technique = batch.blank, batch.rank, batch.technique
    need(family, family.tier(batch) == tier, f"puzzles generated as {tier} are of that tier")
    order = np.sort(np.where(blank, rank, -1), axis=1)
    wanted = np.maximum(np.arange(family.n_cells) - (~blank).sum(axis=1, keepdims=True), -1)
    need(family, (rank == -1) == ~blank, "rank is -1 on clues and nowhere else")
    need(family, order == wanted, "ranks number the blanks 0, 1, ...")
    need(family, (technique == 0) == ~blank, "technique is 0 on clues and nowhere else")
    known = (technique >= 0) & (technique < len(family.technique_names))
    need(family, known, "technique ids have names")
    need(family, batch.hardest >= technique.max(axis=1), "no cell needs more than the hardest technique")
    again = family.rate(batch.clues, batch.solution, batch.index, batch.edges)
    _same(family, batch, again, "rate gives the account of generate")


def _by_rank(batch: PuzzleBatch, row: int) -> np.ndarray:
    """The blanks of a puzzle in the order in which the solver fills them."""
    cells = np.flatnonzero(batch.blank[row])
    return cells[np.argsort(batch.rank[row, cells])]


def _together(family: AbstractFamily) -> np.ndarray:
    """bool ``[cells, cells]``: which cells share an edge of the family."""
    edges = family.graph().edges
    together = np.zeros((family.n_cells, family.n_cells), bool)
    for kind in edges:
        for edge in kind.cells:
            together[np.ix_(edge[edge >= 0], edge[edge >= 0])] = True
    return together


def _check_augment(family: AbstractFamily, batch: PuzzleBatch, seed: int) -> None:
    before = {name: array.copy() for name, array in batch.arrays().items()}
    other = family.augment(batch, np.random.default_rng(seed))
    need(
        family,
        all((array == before[name]).all() for name, array in batch.arrays().items()),
        "augment leaves its input",
    )
    check_fields(family, other, len(batch))
    _same(family, other, family.augment(batch, np.random.default_rng(seed)), "augment follows its generator")
    moved = any((array != before[name]).any() for name, array in other.arrays().items())
    need(family, moved, "augment changes puzzles")
    need(family, other.hardest == batch.hardest, "augment keeps the hardest technique")
    need(family, other.index == batch.index, "augment keeps the index")
    pinned = other if family.unique else family.augment(_pinned(family, batch), np.random.default_rng(seed))
    count, first = family.count_solutions(pinned.clues, edges=pinned.edges)
    need(family, count == 1, "augmented puzzles have one solution")
    need(family, first == pinned.solution, "solutions move with their puzzle")
    need(family, family.is_valid(other.solution, other.clues, other.edges), "augmented solutions are valid")
    need(family, (other.rank == -1) == ~other.blank, "ranks move with their cells")
    together, renamed = _together(family), family.graph().values_interchangeable
    for row in range(len(batch)):
        old, new = _by_rank(batch, row), _by_rank(other, row)
        moved = len(old) == len(new)
        if moved:
            moved = bool((together[np.ix_(old, old)] == together[np.ix_(new, new)]).all())
        if moved and renamed:
            a, b = batch.solution[row, old], other.solution[row, new]
            moved = bool(((a[:, None] == a) == (b[:, None] == b)).all())
        need(family, moved, f"ranks move with their cells (puzzle {row} of {len(batch)})")
        same = np.array_equal(batch.technique[row, old], other.technique[row, new])
        need(family, same, f"techniques move with their cells (puzzle {row} of {len(batch)})")


def _check_canonical(family: AbstractFamily, batch: PuzzleBatch, seed: int) -> None:
    form = family.canonical(batch.clues, batch.edges)
    width = family.n_cells + (0 if batch.edges is None else batch.edges[0].size)
    fits = form.shape == (len(batch), width) and form.dtype in (np.int8, np.int16)
    need(family, fits, "canonical forms are int8 or int16, clues and then edges")
    other = family.augment(batch, np.random.default_rng(seed + 1))
    same = form == family.canonical(other.clues, other.edges)
    need(family, same, "symmetric puzzles share their canonical form")
    clues, edges = _unpacked(family, batch, form)
    need(family, form == family.canonical(clues, edges), "a canonical form is its own")
    one = family.count_solutions(clues, edges=edges)[0] == 1
    need(family, one, "canonical forms have one solution")
    bucket = family.bucket(batch.clues, batch.edges)
    fits = bucket.shape == (len(batch),) and bucket.dtype == np.int64
    need(family, fits, f"buckets are int64 [{len(batch)}], not {bucket.dtype} {bucket.shape}")
    need(family, (bucket >= 0) & (bucket < 100), "buckets are from 0 to 99")
    need(family, bucket == family.bucket(other.clues, other.edges), "symmetric puzzles share their bucket")


def _unpacked(
    family: AbstractFamily, batch: PuzzleBatch, form: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Clues and edges of canonical forms, with the shapes and types of the batch's."""
    clues, edges = form[:, : family.n_cells].astype(np.int8), form[:, family.n_cells :]
    return clues, None if batch.edges is None else edges.reshape(batch.edges.shape).astype(np.int16)


def _check_render(family: AbstractFamily, batch: PuzzleBatch) -> None:
    clues, solution, edges = (
        batch.clues[0],
        batch.solution[0],
        None if batch.edges is None else batch.edges[0],
    )
    shown = ((clues, None), (solution, None), (solution, clues))
    texts = [family.render(cells, given, edges) for cells, given in shown]
    need(family, all(isinstance(text, str) and text.strip() for text in texts), "render gives text")
    need(family, len(set(texts)) == 3, "render tells blanks, and tells clues from filled cells")


def _check_splits(family: AbstractFamily, streams: dict[tuple[str, str], PuzzleBatch]) -> None:
    forms: dict[str, set[bytes]] = {split: set() for split in SPLITS}
    pinned: dict[tuple[str, str], np.ndarray] = {}
    for (split, tier), batch in streams.items():
        stated = batch[states(batch.clues, batch.edges)]
        forms[split] |= {form.tobytes() for form in family.canonical(stated.clues, stated.edges)}
        pinned[split, tier] = family.canonical(_pinned(family, batch).clues, batch.edges)
    for a, b in combinations(SPLITS, 2):
        shared = len(forms[a] & forms[b])
        need(family, shared == 0, f"splits {a} and {b} share no puzzle up to symmetry ({shared} found)")
        differ = all((pinned[a, tier] != pinned[b, tier]).any() for tier in family.tiers)
        need(family, differ, f"splits {a} and {b} hold other solutions, up to symmetry")
    for (split, tier), batch in streams.items():
        own = in_split(family, split, batch.clues, batch.edges)
        need(family, own, f"puzzles of {split}/{tier} are of the buckets of their split")


def _check_mistakes(family: AbstractFamily) -> None:
    tier = family.tiers[0]
    mistakes: dict[str, Callable[[], object]] = {
        "an unknown split": lambda: family.generate("trian", tier, 1),
        "an unknown tier": lambda: family.generate("train", "no such tier", 1),
        "a negative start": lambda: family.generate("train", tier, 1, start=-1),
        "a file that is not there": lambda: family.read(Path("no such folder/no such file")),
    }
    for mistake, make in mistakes.items():
        try:
            make()
        except UserInputError as error:
            need(family, "\n" not in str(error), f"{mistake} gets one line")
        else:
            raise AssertionError(f"{family.name}: {mistake} raises UserInputError")
