"""The logical solver: easiest rule first, sound, and the same account of every solve as its plain twin."""

from __future__ import annotations

import numpy as np
import pytest
import zebra_twin as twin
from zebra_rules import SIZES, large_puzzles, small_puzzles, solutions

from puzzles.base import HARD, LOGIC, PuzzleBatch
from puzzles.zebra.clues import KINDS, N_CELLS, cell_of, given_cells
from puzzles.zebra.family import Zebra
from puzzles.zebra.kernels import ALL_CELLS, SOLVED, propagate, start
from puzzles.zebra.logical import (
    CLUE,
    ELIMINATION,
    HIDDEN_SINGLE,
    NAKED_PAIR,
    SEARCH,
    TECHNIQUES,
    easiest_step,
    solve_logically,
)

KIND = {kind.name: k for k, kind in enumerate(KINDS)}
IN = "same"
"""With a house's number beside a value: its house."""


def edges(*said: tuple[str, int, int] | tuple[str, int, int, int]) -> np.ndarray:
    """Clues by name; a cell is its attribute's number, then its value's: 23 is value 3 of attribute 2."""
    out = np.full((len(said), 4), -1, np.int16)
    for row, (name, *members) in zip(out, said, strict=True):
        cells = [cell_of(*divmod(member, 10)) for member in members]
        row[: 1 + len(cells)] = [KIND[name], *cells]
    return out


ALL_TOLD = edges(*((IN, 10 * a + v, (v + a) % 3 + 1) for a in (1, 2, 3) for v in (1, 2, 3)))
ALL_BUT_ONE_TOLD = edges(*((IN, 10 * a + v, (v + a) % 3 + 1) for a in (1, 2, 3) for v in (1, 2)))
HOUSE_LEFT_TO_ONE = edges(  # neither 21 nor 22 lives in house 1, so 23 does
    ("different", 21, 1), ("different", 22, 1), ("immediate_left", 23, 31), ("same", 22, 31),
    (IN, 33, 1), (IN, 11, 1), (IN, 12, 2),
)  # fmt: skip
PAIR = edges(  # 11 and 12 share houses 1 and 2, so 13, left of 22, lives in 3 and not in 2
    *(("different", value, house) for value in (11, 12) for house in (3, 4, 5)),
    (IN, 21, 1), (IN, 23, 2), (IN, 24, 5), ("immediate_left", 13, 22), ("gap1", 11, 22),
    ("different", 15, 22), *((IN, 30 + value, value) for value in (1, 2, 3, 4)),
)  # fmt: skip
CASE_BY_CASE = edges(("immediate_left", 21, 32), ("between", 11, 12, 23), ("next_to", 21, 31))
HAND_MADE = {
    CLUE: (3, ALL_TOLD),
    ELIMINATION: (3, ALL_BUT_ONE_TOLD),
    HIDDEN_SINGLE: (3, HOUSE_LEFT_TO_ONE),
    NAKED_PAIR: (5, PAIR),
    SEARCH: (3, CASE_BY_CASE),
}
"""Houses and clues of puzzles with three attributes, by the technique that each needs."""


def generated(n: int = 40) -> list[PuzzleBatch]:
    return [Zebra("zebra").generate("train", tier, n) for tier in (LOGIC, HARD)]


@pytest.mark.parametrize("needed", HAND_MADE)
def test_puzzles_that_need_exactly_one_technique(needed: int) -> None:
    houses, clued = HAND_MADE[needed]
    given = given_cells(houses, 3)
    count, first = Zebra("zebra").count_solutions(given[None], 2, clued[None])
    assert count.tolist() == [1]
    if houses == 3:
        np.testing.assert_array_equal(solutions(clued, 3, 3), first)
    solve = solve_logically(given[None], clued[None])
    assert solve.hardest.tolist() == [needed]
    assert needed in solve.technique[0]
    clues = twin.clues_of(clued)
    for rules in (CLUE, ELIMINATION, HIDDEN_SINGLE, NAKED_PAIR):  # easier rules do not finish it
        assert twin.Solve(given.tolist(), clues, rules).finished == (rules >= needed)


def test_the_easiest_rule_comes_first() -> None:
    """Told everything, the solver needs no other rule, though others would do at once."""
    solve = solve_logically(given_cells(3, 3)[None], ALL_TOLD[None])
    blank = given_cells(3, 3) == 0
    assert set(solve.technique[0][blank]) == {CLUE}
    assert np.argsort(solve.rank[0])[(~blank).sum() :].tolist() == [int(edge[1]) for edge in ALL_TOLD]
    less = solve_logically(given_cells(3, 3)[None], ALL_BUT_ONE_TOLD[None])
    told = [int(edge[1]) for edge in ALL_BUT_ONE_TOLD]
    rest = [cell for cell in np.flatnonzero(blank) if cell not in told]
    assert np.argsort(less.rank[0])[(~blank).sum() :].tolist() == told + rest
    assert less.technique[0][told].tolist() == [CLUE] * 6
    assert less.technique[0][rest].tolist() == [ELIMINATION] * 3


def test_what_is_struck_by_a_hard_rule_is_called_so_when_placed() -> None:
    solve = solve_logically(given_cells(5, 3)[None], PAIR[None])
    technique = {value: int(solve.technique[0][cell_of(*divmod(value, 10))]) for value in range(11, 26)}
    assert [technique[value] for value in (13, 14, 15)] == [NAKED_PAIR] * 3
    assert [technique[value] for value in (21, 23, 24)] == [CLUE] * 3
    rank = solve.rank[0]
    assert rank[cell_of(1, 3)] < rank[cell_of(2, 2)] < rank[cell_of(1, 5)]  # 13, so 22, so 15


@pytest.mark.parametrize("make", [generated, lambda: [large_puzzles()], lambda: [small_puzzles()]])
def test_the_account_is_the_twins(make) -> None:
    for batch in make():
        solve = solve_logically(batch.clues, batch.edges)
        for row in range(0, len(batch), 2):
            plain = twin.Solve(batch.clues[row].tolist(), twin.clues_of(batch.edges[row]))
            order = np.argsort(solve.rank[row])[(batch.clues[row] > 0).sum() :]
            assert plain.order == order.tolist()
            assert plain.technique == solve.technique[row].tolist()
            assert plain.finished == (solve.hardest[row] < SEARCH)


@pytest.mark.parametrize("make", [generated, lambda: [large_puzzles()], lambda: [small_puzzles()]])
def test_ranks_number_the_blanks_and_clues_stay_out(make) -> None:
    for batch in make():
        solve = solve_logically(batch.clues, batch.edges)
        assert [array.dtype for array in solve] == [np.int16, np.int8, np.int8]
        blank = batch.clues == 0
        for row in range(len(batch)):
            assert sorted(solve.rank[row][blank[row]]) == list(range(blank[row].sum()))
        assert (solve.rank[~blank] == -1).all()
        np.testing.assert_array_equal(solve.technique > 0, blank)
        np.testing.assert_array_equal(solve.hardest, solve.technique.max(axis=1))
        searched = solve.technique == SEARCH
        last = np.where(searched, solve.rank, 99).min(axis=1) > np.where(searched, -1, solve.rank).max(axis=1)
        assert last.all()  # what rules place comes before what they leave
        for a, b in zip(solve, solve_logically(batch.clues, batch.edges), strict=True):
            np.testing.assert_array_equal(a, b)


def lost_houses(clues: np.ndarray, clued: np.ndarray, solution: np.ndarray) -> tuple[int, int]:
    """Steps in which the true house of some cell was struck, and all steps."""
    domain, struck, rank = np.empty(N_CELLS, np.int64), np.zeros(N_CELLS, np.int64), np.full(N_CELLS, -1)
    start(clues, domain)
    lost, steps = 0, 0
    while True:
        rank[(domain & (domain - 1)) == 0] = 0
        if not easiest_step(domain, struck, rank, clues, clued):
            return lost, steps
        lost += int(not (domain >> (solution.astype(np.int64) - 1) & 1).all())
        steps += 1


def test_no_rule_strikes_a_true_house() -> None:
    for batch in (large_puzzles(), *generated(24)):
        for clues, clued, solution in zip(batch.clues, batch.edges, batch.solution, strict=True):
            lost, steps = lost_houses(clues, clued, solution)
            assert lost == 0
    assert steps > 20
    # The same check finds a clue that is not true.
    clued[0] = (KIND[IN], 6, int(solution[6]) % 3, -1)
    assert lost_houses(clues, clued, solution)[0] > 0


def test_it_finishes_where_propagation_does() -> None:
    finished = []
    for batch in (*generated(), large_puzzles(), small_puzzles()):
        solve = solve_logically(batch.clues, batch.edges)
        for row in range(len(batch)):
            domain, alive = np.empty(N_CELLS, np.int64), batch.edges[row, :, 0] >= 0
            start(batch.clues[row], domain)
            state = propagate(domain, batch.edges[row], alive, len(alive), True, ALL_CELLS)
            finished.append(state == SOLVED)
            assert finished[-1] == (solve.hardest[row] < SEARCH)
    assert 0.2 < np.mean(finished) < 0.8


@pytest.mark.parametrize("size", SIZES)
def test_without_clues_and_without_blanks(size: tuple[int, int]) -> None:
    given, none = given_cells(*size), np.empty((1, 0, 4), np.int16)
    blank = np.flatnonzero(given == 0)
    solve = solve_logically(given[None], none)
    assert solve.rank[0][blank].tolist() == list(range(len(blank)))
    assert set(solve.technique[0][blank]) == {SEARCH}
    full = np.where(given > 0, given, np.arange(N_CELLS) % 6 + 1).astype(np.int8)
    assert solve_logically(full[None], none).hardest.tolist() == [0]
    assert len(solve_logically(given[None][:0], none[:0]).hardest) == 0
    assert TECHNIQUES[0] == "given"
    assert TECHNIQUES[SEARCH] == "search"


def test_a_value_given_in_a_cell_is_struck_from_its_row() -> None:
    given = given_cells(3, 3)
    given[[6, 7]] = 3, 1
    solve = solve_logically(given[None], np.empty((1, 0, 4), np.int16))
    assert solve.rank[0][8] == 0
    assert solve.rank[0][[6, 7]].tolist() == [-1, -1]
