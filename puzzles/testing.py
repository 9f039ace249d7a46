"""What every puzzle family must keep, checked on puzzles of its own making.

    check_family(get_family("sudoku"))

A broken promise raises `AssertionError` with a line that names the family, the promise and the first puzzle
that breaks it. Nothing here knows the rules of a family: they are reached through its verbs alone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np

from puzzles.base import ROW_FIELDS, AbstractFamily, PuzzleBatch, UserInputError

SPLITS = ("train", "val", "test")
_DTYPES = {"rank": np.int16, "index": np.int64}  # int8 otherwise


def check_family(family: AbstractFamily, n: int = 24, seed: int = 0) -> None:
    """Generates ``n`` puzzles of every split and tier, and holds the family to `AbstractFamily`.

    Checked are the graph; shapes and types; that streams are pure functions of split, tier and index; that
    every puzzle has one solution and `is_valid` accepts no other; tiers, ranks and techniques; that
    augmentation keeps all of it and moves ranks with their cells; that canonical forms are puzzles that
    symmetry does not change and that no two splits share; and that user mistakes have one line.

    Args:
        family: the family to check.
        n: puzzles of each split and tier, at least 2.
        seed: of the symmetries and the mistakes that are tried.

    Raises:
        AssertionError: a promise is broken.
    """
    _check_facts(family)
    _check_graph(family)
    streams = {(split, tier): family.generate(split, tier, n) for split in SPLITS for tier in family.tiers}
    for (split, tier), batch in streams.items():
        _check_fields(family, batch, n)
        _check_stream(family, batch, split, tier)
        _check_solutions(family, batch, np.random.default_rng(seed))
        _check_order(family, batch, tier)
        _check_augment(family, batch, seed)
        _check_canonical(family, batch, seed)
        _check_render(family, batch)
    _check_splits(family, streams)
    _check_mistakes(family)


def _need(family: AbstractFamily, good: bool | np.ndarray | np.bool_, promise: str) -> None:
    """Raises unless all of ``good`` holds; the first False row of ``[batch, ...]`` is named."""
    rows = np.asarray(good)
    if not rows.all():
        which = ""
        if rows.ndim:
            at = int(np.argwhere(~rows)[0, 0])
            which = f" (puzzle {at} of {len(rows)})"
        raise AssertionError(f"{family.name}: {promise}{which}")


def _same(family: AbstractFamily, a: PuzzleBatch, b: PuzzleBatch, promise: str) -> None:
    for name in ROW_FIELDS:
        x, y = getattr(a, name), getattr(b, name)
        _need(family, x.shape == y.shape, f"{promise}: {name} has shapes {x.shape} and {y.shape}")
        _need(family, x == y, f"{promise}: {name} differs")


def _check_facts(family: AbstractFamily) -> None:
    names = family.technique_names
    _need(
        family,
        family.version.startswith(f"{family.name}-"),
        f"version {family.version!r} begins with the name",
    )
    _need(family, family.grid[0] * family.grid[1] == family.n_cells, f"grid {family.grid} shows every cell")
    _need(family, names[0] == "given" and names[-1] == "search", "techniques run from given to search")
    _need(family, len(family.tiers) == len(set(family.tiers)) > 0, "tiers are there, and differ")


def _check_graph(family: AbstractFamily) -> None:
    graph = family.graph()
    _need(family, graph.n_cells == family.n_cells, "the graph has the family's cells")
    _need(family, graph.n_values == family.n_values, "the graph has the family's values")
    for edges in graph.edges:
        cells = edges.cells
        _need(family, cells.dtype == np.int16, f"edges {edges.kind} are int16, not {cells.dtype}")
        inside = (cells >= -1) & (cells < family.n_cells)
        _need(family, inside, f"edges {edges.kind} name cells from 0 to {family.n_cells - 1}, or -1")
        twice = np.diff(np.sort(cells, axis=-1), axis=-1) == 0
        _need(
            family, ~twice | (np.sort(cells, axis=-1)[..., 1:] < 0), f"edges {edges.kind} name no cell twice"
        )
        fits = not edges.roles or len(edges.roles) == cells.shape[-1]
        _need(family, fits, f"edges {edges.kind} have a role for every place")


def _check_fields(family: AbstractFamily, batch: PuzzleBatch, n: int) -> None:
    _need(family, batch.family == family.version, f"batches carry {family.version!r}, not {batch.family!r}")
    for name in ROW_FIELDS:
        array = getattr(batch, name)
        shape = (n,) if name in ("hardest", "index") else (n, family.n_cells)
        _need(family, array.shape == shape, f"{name} has shape {shape}, not {array.shape}")
        dtype = np.dtype(_DTYPES.get(name, np.int8))
        _need(family, array.dtype == dtype, f"{name} is {dtype}, not {array.dtype}")


def _check_stream(family: AbstractFamily, batch: PuzzleBatch, split: str, tier: str) -> None:
    n, middle = len(batch), len(batch) // 2
    stream = f"stream {split}/{tier}"
    _need(family, batch.index == np.arange(n), f"{stream}: index counts from 0")
    _same(family, batch, family.generate(split, tier, n), f"{stream} is the same each time")
    finished: list[int] = []
    threads = family.generate(split, tier, n, workers=2, progress=finished.append)
    _same(family, batch, threads, f"{stream} is the same with two workers")
    _need(family, sum(finished) == n, f"{stream} reports {n} finished puzzles, not {sum(finished)}")
    tail = family.generate(split, tier, n - middle, start=middle)
    _same(family, batch[middle:], tail, f"{stream} is the same from any start")


def _check_solutions(family: AbstractFamily, batch: PuzzleBatch, rng: np.random.Generator) -> None:
    clues, solution, blank = batch.clues, batch.solution, batch.blank
    _need(family, (clues == 0) | (clues == solution), "clues agree with the solution")
    _need(family, blank.any(axis=1), "every puzzle has a blank")
    count, first = family.count_solutions(clues)
    _need(family, count == 1, "every puzzle has one solution")
    _need(family, first == solution, "the solver finds the solution")
    blanked, _ = family.count_solutions(np.zeros_like(clues[:1]), limit=3)
    _need(family, blanked == 3, "a puzzle without clues has as many solutions as the limit")
    _need(family, family.is_valid(solution, clues), "is_valid accepts solutions")
    _need(family, ~family.is_valid(clues, clues), "is_valid refuses blanks")
    rows = np.arange(len(batch))
    for kind, cells in (("wrong value", blank), ("changed clue", ~blank)):
        wrong = solution.copy()
        cell = np.where(cells, rng.random(cells.shape), -1).argmax(axis=1)
        wrong[rows, cell] = wrong[rows, cell] % family.n_values + 1
        _need(family, ~family.is_valid(wrong, clues), f"is_valid refuses a {kind}")
    other = family.augment(batch, rng)
    changed = (other.solution != solution).any(axis=1) & (clues > 0).any(axis=1)
    kept = ((clues == 0) | (clues == other.solution)).all(axis=1)
    _need(
        family, ~changed | kept | ~family.is_valid(other.solution, clues), "is_valid holds grids to the clues"
    )


def _check_order(family: AbstractFamily, batch: PuzzleBatch, tier: str) -> None:
    blank, rank, technique = batch.blank, batch.rank, batch.technique
    _need(family, family.tier(batch) == tier, f"puzzles generated as {tier} are of that tier")
    order = np.sort(np.where(blank, rank, -1), axis=1)
    wanted = np.maximum(np.arange(family.n_cells) - (~blank).sum(axis=1, keepdims=True), -1)
    _need(family, (rank == -1) == ~blank, "rank is -1 on clues and nowhere else")
    _need(family, order == wanted, "ranks number the blanks 0, 1, ...")
    _need(family, (technique == 0) == ~blank, "technique is 0 on clues and nowhere else")
    known = (technique >= 0) & (technique < len(family.technique_names))
    _need(family, known, "technique ids have names")
    _need(family, batch.hardest >= technique.max(axis=1), "no cell needs more than the hardest technique")
    again = family.rate(batch.clues, batch.solution, batch.index)
    _same(family, batch, again, "rate gives the account of generate")


def _by_rank(batch: PuzzleBatch, row: int) -> np.ndarray:
    """The blanks of a puzzle in the order in which the solver fills them."""
    cells = np.flatnonzero(batch.blank[row])
    return cells[np.argsort(batch.rank[row, cells])]


def _together(family: AbstractFamily) -> np.ndarray | None:
    """bool ``[cells, cells]``: which cells share an edge; None where puzzles have edges of their own."""
    edges = family.graph().edges
    if any(kind.cells.ndim != 2 for kind in edges):
        return None
    together = np.zeros((family.n_cells, family.n_cells), bool)
    for kind in edges:
        for edge in kind.cells:
            together[np.ix_(edge[edge >= 0], edge[edge >= 0])] = True
    return together


def _check_augment(family: AbstractFamily, batch: PuzzleBatch, seed: int) -> None:
    before = {name: getattr(batch, name).copy() for name in ROW_FIELDS}
    other = family.augment(batch, np.random.default_rng(seed))
    _need(
        family,
        all((getattr(batch, name) == before[name]).all() for name in ROW_FIELDS),
        "augment leaves its input",
    )
    _check_fields(family, other, len(batch))
    _same(family, other, family.augment(batch, np.random.default_rng(seed)), "augment follows its generator")
    _need(family, bool((other.clues != batch.clues).any()), "augment changes puzzles")
    _need(family, other.hardest == batch.hardest, "augment keeps the hardest technique")
    _need(family, other.index == batch.index, "augment keeps the index")
    count, first = family.count_solutions(other.clues)
    _need(family, count == 1, "augmented puzzles have one solution")
    _need(family, first == other.solution, "solutions move with their puzzle")
    _need(family, (other.rank == -1) == ~other.blank, "ranks move with their cells")
    together, renamed = _together(family), family.graph().values_interchangeable
    for row in range(len(batch)):
        old, new = _by_rank(batch, row), _by_rank(other, row)
        moved = len(old) == len(new)
        if moved and together is not None:
            moved = bool((together[np.ix_(old, old)] == together[np.ix_(new, new)]).all())
        if moved and renamed:
            a, b = batch.solution[row, old], other.solution[row, new]
            moved = bool(((a[:, None] == a) == (b[:, None] == b)).all())
        _need(family, moved, f"ranks move with their cells (puzzle {row} of {len(batch)})")
        same = np.array_equal(batch.technique[row, old], other.technique[row, new])
        _need(family, same, f"techniques move with their cells (puzzle {row} of {len(batch)})")


def _check_canonical(family: AbstractFamily, batch: PuzzleBatch, seed: int) -> None:
    form = family.canonical(batch.clues)
    _need(family, form.shape == batch.clues.shape and form.dtype == np.int8, "canonical forms are int8 clues")
    other = family.augment(batch, np.random.default_rng(seed + 1))
    _need(family, form == family.canonical(other.clues), "symmetric puzzles share their canonical form")
    _need(family, form == family.canonical(form), "a canonical form is its own")
    _need(family, family.count_solutions(form)[0] == 1, "canonical forms have one solution")


def _check_render(family: AbstractFamily, batch: PuzzleBatch) -> None:
    clues, solution = batch.clues[0], batch.solution[0]
    texts = [family.render(clues), family.render(solution), family.render(solution, clues)]
    _need(family, all(isinstance(text, str) and text.strip() for text in texts), "render gives text")
    _need(family, len(set(texts)) == 3, "render tells blanks, and tells clues from filled cells")


def _check_splits(family: AbstractFamily, streams: dict[tuple[str, str], PuzzleBatch]) -> None:
    forms: dict[str, set[bytes]] = {split: set() for split in SPLITS}
    for (split, _), batch in streams.items():
        forms[split] |= {form.tobytes() for form in family.canonical(batch.clues)}
    for a, b in combinations(SPLITS, 2):
        shared = len(forms[a] & forms[b])
        _need(family, shared == 0, f"splits {a} and {b} share no puzzle up to symmetry ({shared} found)")


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
            _need(family, "\n" not in str(error), f"{mistake} gets one line")
        else:
            raise AssertionError(f"{family.name}: {mistake} raises UserInputError")
