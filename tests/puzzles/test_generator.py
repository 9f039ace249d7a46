"""Generated puzzles: one solution, no clue too many, of their tier, the same however the work is split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sudoku_twin import Shape, twin_solutions, twin_valid
from test_logical_twin import Twin

from puzzles import get_family
from puzzles.base import HARD, LOGIC, ROW_FIELDS, PuzzleBatch, UserInputError
from puzzles.seeding import SPLITS
from puzzles.storage import content_hash
from puzzles.sudoku.family import Sudoku
from puzzles.sudoku.generator import make_puzzles
from puzzles.sudoku.logical import geometry, solve_logically
from puzzles.sudoku.symmetry import invariant_hash_many
from puzzles.sudoku.technique_kernels import SEARCH

SIZES = {"sudoku": 40, "sudoku-2x3": 40, "sudoku-2x2": 40}
STREAMS = [(name, tier) for name in SIZES for tier in get_family(name).tiers]


def without_one_clue(clues: np.ndarray) -> np.ndarray:
    """Each puzzle without each of its clues."""
    rows, cells = np.nonzero(clues)
    out = clues[rows]
    out[np.arange(len(rows)), cells] = 0
    return out


def is_minimal(family: Sudoku, clues: np.ndarray) -> np.ndarray:
    """bool ``[batch]``: whether every clue is needed."""
    count, _ = family.count_solutions(without_one_clue(clues))
    loose = np.nonzero(clues)[0][count == 1]
    return ~np.isin(np.arange(len(clues)), loose)


def check_puzzles(family: Sudoku, clues: np.ndarray, solution: np.ndarray) -> None:
    count, first = family.count_solutions(clues)
    assert (count == 1).all()
    np.testing.assert_array_equal(first, solution)
    np.testing.assert_array_equal(np.where(clues > 0, solution, 0), clues)
    assert family.is_valid(solution, clues).all()


def same(a: PuzzleBatch, b: PuzzleBatch) -> bool:
    return content_hash(a) == content_hash(b)


@pytest.mark.parametrize(("name", "tier"), STREAMS)
def test_streams_hold_minimal_puzzles_of_their_tier(name: str, tier: str) -> None:
    family, n = get_family(name), SIZES[name]
    batch = family.generate("train", tier, n)
    check_puzzles(family, batch.clues, batch.solution)
    assert is_minimal(family, batch.clues).all()
    assert len({grid.tobytes() for grid in batch.solution}) > n // 2
    needs_search = (batch.technique == SEARCH).any(axis=1)
    assert set(needs_search.tolist()) == {tier == HARD}
    assert ((batch.hardest == SEARCH) == needs_search).all()
    solve = solve_logically(batch.clues, batch.solution, *family.box)
    assert (solve.solved == (tier == LOGIC)).all()
    for row in range(0, n, 5):  # the twins' opinion
        clues, solution = batch.clues[row], batch.solution[row]
        shape: Shape = family.box
        assert twin_solutions(clues.tolist(), shape, 2) == {solution.tobytes()}
        twin = Twin(clues.tolist(), solution.tolist(), *shape, faithful=False)
        assert [cell for cell, _ in twin.fills] == np.argsort(batch.rank[row])[(clues > 0).sum() :].tolist()
        assert max(by for _, by in twin.fills) == batch.hardest[row]


def test_minimality_is_seen_to_be_broken() -> None:
    family = get_family("sudoku")
    batch = family.generate("train", LOGIC, 6)
    clues = batch.clues.copy()
    clues[2, np.flatnonzero(clues[2] == 0)[0]] = batch.solution[2, clues[2] == 0][0]
    assert is_minimal(family, clues).tolist() == [True, True, False, True, True, True]


def test_16x16_puzzles() -> None:
    family = get_family("sudoku-4x4")
    batch = family.generate("train", HARD, 2)
    check_puzzles(family, batch.clues, batch.solution)
    assert (batch.hardest == SEARCH).all()
    clues, solution = make_puzzles(2, np.random.default_rng(0), 4, 4, clues=130)
    assert (clues > 0).sum(axis=1).tolist() == [130, 130]
    check_puzzles(family, clues, solution)
    for cells, solved in zip(clues, solution, strict=True):
        assert twin_valid(solved, cells, (4, 4))
        assert twin_solutions(cells.tolist(), (4, 4), 2) == {solved.tobytes()}


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2), (3, 3)])
def test_a_wanted_number_of_clues(shape: Shape) -> None:
    family, cells = Sudoku("sudoku-test", *shape), (shape[0] * shape[1]) ** 2
    puzzles = {}
    for wanted in (0, cells // 3, cells // 2, cells - 1, cells):
        clues, solution = make_puzzles(20, np.random.default_rng(3), *shape, clues=wanted)
        check_puzzles(family, clues, solution)
        given = (clues > 0).sum(axis=1)
        assert (given >= wanted).all()
        assert ((given == wanted) | is_minimal(family, clues)).all()
        assert (given == wanted).all() or wanted <= cells // 3
        puzzles[wanted] = clues
    assert is_minimal(family, puzzles[0]).all()
    for wanted, clues in puzzles.items():  # one seed digs in one order, and stops sooner or later
        assert (puzzles[0] == np.where(puzzles[0] > 0, clues, 0)).all(), wanted
        again, _ = make_puzzles(20, np.random.default_rng(3), *shape, clues=wanted)
        np.testing.assert_array_equal(clues, again)
    assert (make_puzzles(20, np.random.default_rng(4), *shape)[0] != puzzles[0]).any()
    assert make_puzzles(0, np.random.default_rng(4), *shape)[0].shape == (0, cells)


@pytest.mark.parametrize("wanted", [-1, 82])
def test_impossible_numbers_of_clues_are_refused(wanted: int) -> None:
    with pytest.raises(UserInputError, match=rf"^clues={wanted}: expected 0 \(minimal\) to 81, .*$"):
        make_puzzles(1, np.random.default_rng(0), clues=wanted)


def test_full_grids_are_many() -> None:
    grids, _ = make_puzzles(4000, np.random.default_rng(0), 2, 2, clues=16)
    assert len({grid.tobytes() for grid in grids}) == 288


@pytest.mark.parametrize(("name", "tier"), [("sudoku", LOGIC), ("sudoku", HARD), ("sudoku-2x2", LOGIC)])
def test_neither_workers_nor_chunks_nor_the_start_change_a_puzzle(
    monkeypatch: pytest.MonkeyPatch, name: str, tier: str
) -> None:
    family, n = get_family(name), 24
    whole = family.generate("train", tier, n)
    assert whole.index.tolist() == list(range(n))
    for chunk, workers in ((7, 1), (5, 3), (1, 2)):
        monkeypatch.setattr("puzzles.sudoku.family.CHUNK", chunk)
        done: list[int] = []
        assert same(family.generate("train", tier, n, workers=workers, progress=done.append), whole)
        assert done == [chunk] * (n // chunk) + [n % chunk] * (n % chunk > 0)
    for start, size in ((0, 10), (3, 1), (10, 14), (23, 1)):
        part = family.generate("train", tier, size, start=start, workers=2)
        assert same(part, whole[start : start + size])
    assert not same(family.generate("train", tier, n, start=1), replace(whole, index=whole.index + 1))
    assert len(family.generate("train", tier, 0)) == 0
    far = family.generate("train", tier, 2, start=10**12)
    assert far.index.tolist() == [10**12, 10**12 + 1]


@pytest.mark.parametrize("name", ["sudoku", "sudoku-2x3"])
def test_every_stream_keeps_to_the_buckets_of_its_split(name: str) -> None:
    family = get_family(name)
    for split, (low, high) in SPLITS.items():
        batch = family.generate(split, LOGIC, 20)
        hashes = np.empty(20, np.uint64)
        invariant_hash_many(batch.clues, geometry(*family.box).unit_of, hashes)
        bucket = hashes % np.uint64(100)
        assert ((low <= bucket) & (bucket < high)).all()
    assert sorted(SPLITS.values()) == [(0, 90), (90, 95), (95, 100)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trian", LOGIC, 1), r"split 'trian' of sudoku-2x2: expected one of train, val, test"),
        (("train", "easy", 1), r"tier 'easy' of sudoku-2x2: expected one of logic"),
        (("train", HARD, 1), r"tier 'hard' of sudoku-2x2: expected one of logic"),
        (("train", LOGIC, -1), r"n=-1, start=0, workers=1: expected 0 or more, and a worker"),
    ],
)
def test_unknown_streams_are_refused(arguments: tuple[str, str, int], message: str) -> None:
    with pytest.raises(UserInputError, match=f"^{message}$"):
        get_family("sudoku-2x2").generate(*arguments)


@pytest.mark.parametrize("options", [{"start": -1}, {"workers": 0}])
def test_impossible_starts_and_workers_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserInputError, match=r"expected 0 or more, and a worker$"):
        get_family("sudoku-2x2").generate("train", LOGIC, 1, **options)


def test_a_stream_that_finds_nothing_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puzzles.sudoku.family.TRIES", 1)
    monkeypatch.setattr("puzzles.sudoku.family.CHUNK", 4)
    family = get_family("sudoku-2x3")
    with pytest.raises(UserInputError) as caught:
        family.generate("test", HARD, 10, start=100, workers=2)
    assert str(caught.value) == "sudoku-2x3: no hard puzzle of split test in 1 tries at index 100"


def test_batches_have_the_types_of_the_contract() -> None:
    batch = get_family("sudoku-2x3").generate("train", LOGIC, 3)
    types = dict.fromkeys(ROW_FIELDS, np.int8) | {"rank": np.int16, "index": np.int64}
    assert {name: getattr(batch, name).dtype for name in ROW_FIELDS} == types
    assert batch.family == "sudoku-2x3-v1"
