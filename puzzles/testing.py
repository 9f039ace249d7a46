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
    _need(family, a.arrays().keys() == b.arrays().keys(), f"{promise}: both have edges, or neither")
    for name, x in a.arrays().items():
        y = getattr(b, name)
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
    names = [kind.name for kind in graph.puzzle_kinds]
    _need(family, len(names) == len(set(names)), "kinds of puzzle edges differ")
    _need(family, all(kind.roles for kind in graph.puzzle_kinds), "kinds of puzzle edges have roles")


def _check_fields(family: AbstractFamily, batch: PuzzleBatch, n: int) -> None:
    _need(family, batch.family == family.version, f"batches carry {family.version!r}, not {batch.family!r}")
    for name in ROW_FIELDS:
        array = getattr(batch, name)
        shape = (n,) if name in ("hardest", "index") else (n, family.n_cells)
        _need(family, array.shape == shape, f"{name} has shape {shape}, not {array.shape}")
        dtype = np.dtype(_DTYPES.get(name, np.int8))
        _need(family, array.dtype == dtype, f"{name} is {dtype}, not {array.dtype}")
    _check_edges(family, batch.edges, n)


def _check_edges(family: AbstractFamily, edges: np.ndarray | None, n: int) -> None:
    """Puzzle edges are there exactly where the graph has kinds for them, and keep to the kinds' roles."""
    kinds = family.graph().puzzle_kinds
    _need(family, (edges is None) == (not kinds), "puzzles have edges where the graph has kinds of them")
    if edges is None:
        return
    most = max(len(kind.roles) for kind in kinds)
    fits = edges.ndim == 3 and len(edges) == n and edges.shape[2] == 1 + most and edges.dtype == np.int16
    _need(family, fits, f"edges are int16 [{n}, edges, {1 + most}], not {edges.dtype} {edges.shape}")
    known = (edges[..., 0] >= -1) & (edges[..., 0] < len(kinds))
    _need(family, known.all(axis=1), f"edges have kinds from 0 to {len(kinds) - 1}, or -1")
    roles = np.array([len(kind.roles) for kind in kinds] + [0])[edges[..., 0]]
    named = np.arange(most) < roles[..., None]
    inside = np.where(named, (edges[..., 1:] >= 0) & (edges[..., 1:] < family.n_cells), edges[..., 1:] == -1)
    _need(family, inside.all(axis=(1, 2)), "edges name a cell for every role, and -1 beyond")
    alike = edges[..., 1:, None] == edges[..., None, 1:]
    twice = (alike & named[..., None] & named[..., None, :]).sum(axis=(2, 3)) > roles
    _need(family, ~twice.any(axis=1), "edges name no cell twice")


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
    clues, solution, blank, edges = batch.clues, batch.solution, batch.blank, batch.edges
    _need(family, (clues == 0) | (clues == solution), "clues agree with the solution")
    _need(family, blank.any(axis=1), "every puzzle has a blank")
    count, first = family.count_solutions(clues, edges=edges)
    _need(family, count == 1, "every puzzle has one solution")
    _need(family, first == solution, "the solver finds the solution")
    blanked, _ = family.count_solutions(np.zeros_like(clues[:1]), limit=3)
    _need(family, blanked == 3, "a puzzle without clues has as many solutions as the limit")
    _need(family, family.is_valid(solution, clues, edges), "is_valid accepts solutions")
    _need(family, ~family.is_valid(clues, clues, edges), "is_valid refuses blanks")
    rows = np.arange(len(batch))
    for kind, cells in (("wrong value", blank), ("changed clue", ~blank)):
        wrong = solution.copy()
        cell = np.where(cells, rng.random(cells.shape), -1).argmax(axis=1)
        wrong[rows, cell] = wrong[rows, cell] % family.n_values + 1
        _need(family, ~family.is_valid(wrong, clues, edges), f"is_valid refuses a {kind}")
    other = family.augment(batch, rng)
    changed = (other.solution != solution).any(axis=1)
    accepts = family.is_valid(other.solution, clues, edges)
    _need(family, ~changed | ~accepts, "is_valid holds grids to the clues")


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
    _need(
        family,
        all((array == before[name]).all() for name, array in batch.arrays().items()),
        "augment leaves its input",
    )
    _check_fields(family, other, len(batch))
    _same(family, other, family.augment(batch, np.random.default_rng(seed)), "augment follows its generator")
    moved = any((array != before[name]).any() for name, array in other.arrays().items())
    _need(family, moved, "augment changes puzzles")
    _need(family, other.hardest == batch.hardest, "augment keeps the hardest technique")
    _need(family, other.index == batch.index, "augment keeps the index")
    count, first = family.count_solutions(other.clues, edges=other.edges)
    _need(family, count == 1, "augmented puzzles have one solution")
    _need(family, first == other.solution, "solutions move with their puzzle")
    _need(family, (other.rank == -1) == ~other.blank, "ranks move with their cells")
    together, renamed = _together(family), family.graph().values_interchangeable
    for row in range(len(batch)):
        old, new = _by_rank(batch, row), _by_rank(other, row)
        moved = len(old) == len(new)
        if moved:
            moved = bool((together[np.ix_(old, old)] == together[np.ix_(new, new)]).all())
        if moved and renamed:
            a, b = batch.solution[row, old], other.solution[row, new]
            moved = bool(((a[:, None] == a) == (b[:, None] == b)).all())
        _need(family, moved, f"ranks move with their cells (puzzle {row} of {len(batch)})")
        same = np.array_equal(batch.technique[row, old], other.technique[row, new])
        _need(family, same, f"techniques move with their cells (puzzle {row} of {len(batch)})")


def _check_canonical(family: AbstractFamily, batch: PuzzleBatch, seed: int) -> None:
    form = family.canonical(batch.clues, batch.edges)
    width = family.n_cells + (0 if batch.edges is None else batch.edges[0].size)
    fits = form.shape == (len(batch), width) and form.dtype in (np.int8, np.int16)
    _need(family, fits, "canonical forms are int8 or int16, clues and then edges")
    other = family.augment(batch, np.random.default_rng(seed + 1))
    same = form == family.canonical(other.clues, other.edges)
    _need(family, same, "symmetric puzzles share their canonical form")
    clues, edges = _unpacked(family, batch, form)
    _need(family, form == family.canonical(clues, edges), "a canonical form is its own")
    one = family.count_solutions(clues, edges=edges)[0] == 1
    _need(family, one, "canonical forms have one solution")


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
    _need(family, all(isinstance(text, str) and text.strip() for text in texts), "render gives text")
    _need(family, len(set(texts)) == 3, "render tells blanks, and tells clues from filled cells")


def _check_splits(family: AbstractFamily, streams: dict[tuple[str, str], PuzzleBatch]) -> None:
    forms: dict[str, set[bytes]] = {split: set() for split in SPLITS}
    for (split, _), batch in streams.items():
        forms[split] |= {form.tobytes() for form in family.canonical(batch.clues, batch.edges)}
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
