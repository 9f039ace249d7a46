"""Generated puzzles: one solution, no clue too many, of their tier, the same however the work is split."""

from __future__ import annotations

from collections import Counter
from functools import cache

import constraint
import numpy as np
import pytest
import zebra_twin as twin
from scipy.stats import chisquare
from zebra_rules import MEANING, SIZES, holds, sizes_of, solutions

from puzzles.base import HARD, LOGIC, PuzzleBatch, UserInputError
from puzzles.storage import content_hash
from puzzles.zebra.clues import DIFFERENT, ENDS, KINDS, MOST, N_CELLS, SAME, cell_of
from puzzles.zebra.family import Zebra
from puzzles.zebra.generator import MAX_CLUES, drop_clues
from puzzles.zebra.kernels import start
from puzzles.zebra.logical import SEARCH, solve_logically

ZEBRA = Zebra("zebra")
TIERS = (LOGIC, HARD)
SYMMETRIC = [k for k, kind in enumerate(KINDS) if kind.roles == ("value", "value")]


@cache
def stream(tier: str, n: int = 96) -> PuzzleBatch:
    return ZEBRA.generate("train", tier, n)


def clues_of(batch: PuzzleBatch) -> np.ndarray:
    """int16 ``[clues, 4]``: those of all puzzles, one below another."""
    return batch.edges[batch.edges[..., 0] >= 0]


def without_one_clue(batch: PuzzleBatch) -> tuple[np.ndarray, np.ndarray]:
    """Which puzzle, and its edges without one of its clues: each puzzle without each."""
    rows, places = np.nonzero(batch.edges[..., 0] >= 0)
    edges = batch.edges[rows]
    edges[np.arange(len(rows)), places] = -1
    return rows, edges


def is_minimal(batch: PuzzleBatch, tier: str) -> np.ndarray:
    """bool ``[batch]``: whether every clue is needed: by the rules in tier "logic", else to be unique."""
    rows, edges = without_one_clue(batch)
    if tier == LOGIC:
        loose = solve_logically(batch.clues[rows], edges).hardest < SEARCH
    else:
        loose = ZEBRA.count_solutions(batch.clues[rows], 2, edges)[0] == 1
    return ~np.isin(np.arange(len(batch)), rows[loose])


@pytest.mark.parametrize("tier", TIERS)
def test_streams_hold_minimal_puzzles_of_their_tier(tier: str) -> None:
    batch = stream(tier)
    count, first = ZEBRA.count_solutions(batch.clues, 2, batch.edges)
    assert (count == 1).all()
    np.testing.assert_array_equal(first, batch.solution)
    assert ZEBRA.is_valid(batch.solution, batch.clues, batch.edges).all()
    assert is_minimal(batch, tier).all()
    assert ((batch.hardest == SEARCH) == (tier == HARD)).all()
    assert ((batch.technique == SEARCH).any(axis=1) == (tier == HARD)).all()
    for row in range(0, len(batch), 8):  # the twin's opinion
        plain = twin.Solve(batch.clues[row].tolist(), twin.clues_of(batch.edges[row]))
        assert plain.finished == (tier == LOGIC)
    for row, size in enumerate(sizes_of(batch)):  # and brute force's
        if size in [(3, 3), (3, 4), (4, 3)]:
            np.testing.assert_array_equal(solutions(batch.edges[row], *size), batch.solution[row : row + 1])


def test_hard_puzzles_are_what_the_rules_could_not_minimise() -> None:
    """In tier "hard" the rules may be stuck without a clue that uniqueness does not need: tiers differ."""
    rows, edges = without_one_clue(stream(LOGIC))
    assert (ZEBRA.count_solutions(stream(LOGIC).clues[rows], 2, edges)[0] == 1).any()


@pytest.mark.parametrize("tier", TIERS)
def test_a_clue_too_many_is_seen(tier: str) -> None:
    batch = stream(tier)[:6]
    edges = np.concatenate([batch.edges, np.full((6, 1, 4), -1, np.int16)], axis=1)
    edges[2, -1] = (SAME, 6, int(batch.solution[2, 6]) - 1, -1)  # a value's house, which is true
    wider = PuzzleBatch(**(batch.arrays() | {"family": "zebra-v1", "edges": edges}))
    assert is_minimal(wider, tier).tolist() == [True, True, False, True, True, True]


def solved_by_others(batch: PuzzleBatch, row: int, most: int = 2) -> list[np.ndarray]:
    """Up to ``most`` solutions of a puzzle by python-constraint."""
    problem = constraint.Problem()
    given = batch.clues[row].reshape(-1, MOST)
    for cell, house in enumerate(given.ravel().tolist()):
        free = sorted(set(range(1, MOST + 1)) - set(given[cell // MOST].tolist()))
        problem.addVariable(cell, [house] if house else free)
    for cells in np.arange(N_CELLS).reshape(-1, MOST).tolist():
        problem.addConstraint(constraint.AllDifferentConstraint(), cells)
    for kind, *cells in twin.clues_of(batch.edges[row]):
        problem.addConstraint(MEANING[KINDS[kind].name], cells)
    found = []
    for solution in problem.getSolutionIter():
        found.append(np.array([solution[cell] for cell in range(N_CELLS)]))
        if len(found) == most:
            break
    return found


@pytest.mark.parametrize("tier", TIERS)
def test_python_constraint_finds_one_solution_and_it_is_ours(tier: str) -> None:
    batch = stream(tier)[:32]
    for row in range(len(batch)):
        found = solved_by_others(batch, row)
        assert [solution.tolist() for solution in found] == [batch.solution[row].tolist()]


def test_python_constraint_sees_a_second_solution() -> None:
    batch = stream(HARD)[:8]
    edges = batch.edges.copy()
    edges[:, 0] = -1  # every clue is needed
    planted = PuzzleBatch(**(batch.arrays() | {"family": "zebra-v1", "edges": edges}))
    for row in range(len(batch)):
        found = solved_by_others(planted, row)
        assert len(found) == 2
        assert ZEBRA.is_valid(np.array(found), batch.clues[[row, row]], edges[[row, row]]).all()
    assert ZEBRA.count_solutions(batch.clues, 2, edges)[0].tolist() == [2] * 8


@pytest.mark.parametrize(("tier", "n"), [(LOGIC, 1600), (HARD, 480)])
def test_all_sizes_are_equally_many(tier: str, n: int) -> None:
    batch = stream(tier, n)
    counts = Counter(ZEBRA.sizes(batch.clues).tolist())
    assert set(counts) == {f"{houses}x{attributes}" for houses, attributes in SIZES}
    assert chisquare(list(counts.values())).pvalue > 0.01
    whole = {grid.tobytes() + edges.tobytes() for grid, edges in zip(batch.clues, batch.edges, strict=True)}
    assert len(whole) == n
    assert len({grid.tobytes() for grid in batch.solution}) > 0.9 * n


@pytest.mark.parametrize("redundant", [0, 8])
@pytest.mark.parametrize("tier", TIERS)
def test_clues_are_true_of_different_cells_and_written_in_one_way(tier: str, redundant: int) -> None:
    """Needless clues show what is drawn: those that say nothing (two values of a row differ) never stay."""
    least = 5 if redundant else None
    batch = Zebra("zebra", "position", least, least, redundant).generate("train", tier, 96)
    own = batch.clues == 0
    for edges, solution, mine, (houses, _) in zip(
        batch.edges, batch.solution, own, sizes_of(batch), strict=True
    ):
        used = int((edges[:, 0] >= 0).sum())
        assert (edges[used:] == -1).all()
        said = [edge.tolist() for edge in edges[:used]]
        assert len({tuple(edge) for edge in said}) == used
        for kind, *members in said:
            cells = members[: len(KINDS[kind].roles)]
            assert holds([kind, *members], solution)
            assert len(set(cells)) == len(cells)
            assert all(mine[cell] or cell < houses for cell in cells)  # the puzzle's own, or its houses
            assert any(mine[cell] for cell in cells)
            if kind in (SAME, DIFFERENT):
                assert cells[0] // MOST != cells[1] // MOST
            if kind in SYMMETRIC:
                assert cells == sorted(cells)
            if kind == ENDS:
                assert mine[cells[0]]
                assert cells[1:] == [cell_of(0, 1), cell_of(0, houses)]


@pytest.mark.parametrize("tier", TIERS)
def test_every_kind_of_clue_occurs_and_every_role_of_house_numbers(tier: str) -> None:
    clues = clues_of(stream(tier))
    share = np.bincount(clues[:, 0], minlength=len(KINDS)) / len(clues)
    assert share.min() > 0.004
    assert share.max() < 0.5
    for kind in set(range(len(KINDS))) - {ENDS}:
        of_kind = clues[clues[:, 0] == kind, 1 : 1 + len(KINDS[kind].roles)]
        assert (of_kind >= MOST).all(axis=1).any()  # between values alone,
        assert (of_kind < MOST).any() or kind == DIFFERENT  # and with a house's number
    assert (clues[:, 1:] // MOST).max() == MOST


@pytest.mark.parametrize("size", [(3, 3), (6, 3), (3, 6), (6, 6)])
@pytest.mark.parametrize("tier", TIERS)
def test_a_size_of_ones_own(tier: str, size: tuple[int, int]) -> None:
    family = Zebra("zebra-mine", houses=size[0], attributes=size[1])
    batch = family.generate("val", tier, 6)
    assert batch.family == "zebra-mine-v1"
    assert sizes_of(batch) == [size] * 6
    assert (ZEBRA.count_solutions(batch.clues, 2, batch.edges)[0] == 1).all()
    assert is_minimal(batch, tier).all()


@pytest.mark.parametrize("tier", TIERS)
def test_redundant_clues_are_true_and_change_no_tier(tier: str) -> None:
    family, n, extra = Zebra("zebra-more", redundant=3), 48, 3
    batch, bare = family.generate("train", tier, n), stream(tier)[:n]
    assert batch.edges.shape == (n, MAX_CLUES + extra, 4)
    assert family.is_valid(batch.solution, batch.clues, batch.edges).all()
    assert (family.count_solutions(batch.clues, 2, batch.edges)[0] == 1).all()
    assert (family.tier(batch) == tier).all()
    np.testing.assert_array_equal(bare.clues, batch.clues)  # the sizes are drawn first
    assert is_minimal(batch, tier).mean() < 0.1
    needless = (batch.edges[..., 0] >= 0).sum(axis=1) - (bare.edges[..., 0] >= 0).sum(axis=1)
    same = (batch.solution == bare.solution).all(axis=1)
    assert same.mean() > 0.4 or tier == HARD
    assert set(needless[same]) <= {0, 1, 2, 3}
    none = Zebra("zebra", redundant=0).generate("train", tier, n)
    assert content_hash(none) == content_hash(bare)


def test_dropping_keeps_what_is_needed_in_any_order() -> None:
    """`drop_clues` on clues that say the same twice: one of each pair goes, whatever the order."""
    batch = stream(LOGIC)
    for hard in (False, True):
        for row in range(24):
            own = batch.edges[row][batch.edges[row, :, 0] >= 0]
            pool, alive = np.concatenate([own, own]), np.ones(2 * len(own), bool)
            domains, order = np.empty((N_CELLS + 2, N_CELLS), np.int64), np.empty(len(pool), np.int64)
            start(batch.clues[row], domains[-1])
            rng = np.array([row], np.uint64)
            first = np.empty(N_CELLS, np.int8)
            drop_clues(hard, len(pool), pool, alive, domains, order, rng, first)
            assert sorted(order) == list(range(len(pool)))
            left = alive[: len(own)].astype(int) + alive[len(own) :]
            assert (left <= 1).all()
            assert hard or (left == 1).all()
            kept = np.where(alive[:, None], pool, np.int16(-1))[None]
            assert ZEBRA.count_solutions(batch.clues[[row]], 2, kept)[0].tolist() == [1]


@pytest.mark.parametrize("tier", TIERS)
def test_neither_workers_nor_chunks_nor_the_start_change_a_puzzle(
    monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    whole, n = stream(tier)[:24], 24
    assert whole.index.tolist() == list(range(n))
    for chunk, workers in ((7, 1), (5, 3), (1, 2)):
        monkeypatch.setattr("puzzles.zebra.family.CHUNK", chunk)
        done: list[int] = []
        again = ZEBRA.generate("train", tier, n, workers=workers, progress=done.append)
        assert content_hash(again) == content_hash(whole)
        assert done == [chunk] * (n // chunk) + [n % chunk] * (n % chunk > 0)
    for first, size in ((0, 10), (3, 1), (10, 14), (23, 1)):
        part = ZEBRA.generate("train", tier, size, start=first, workers=2)
        assert content_hash(part) == content_hash(whole[first : first + size])
    assert len(ZEBRA.generate("train", tier, 0)) == 0
    assert ZEBRA.generate("train", tier, 2, start=10**12).index.tolist() == [10**12, 10**12 + 1]


def test_a_stream_that_finds_nothing_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puzzles.zebra.family.TRIES", 1)
    monkeypatch.setattr("puzzles.zebra.family.CHUNK", 4)
    with pytest.raises(UserInputError) as caught:
        ZEBRA.generate("test", HARD, 10, start=100, workers=2)
    assert str(caught.value) == (
        "zebra: no hard puzzle of split test in 1 tries at index 100; "
        "expected one; ask for larger sizes or fewer redundant clues"
    )


def test_hard_puzzles_with_every_clue_they_do_not_need_are_not_to_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("puzzles.zebra.family.TRIES", 40)
    with pytest.raises(UserInputError, match=r"in 40 tries at index 0; .* fewer redundant clues$"):
        Zebra("zebra", houses=3, attributes=3, redundant=MAX_CLUES).generate("train", HARD, 1)
