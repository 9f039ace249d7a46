"""The logical solver: eliminations on hand-made positions, soundness, the account of a solve, conformance."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from test_logical_twin import known_puzzles, scrambled_grids

from puzzles.sudoku.logical import TECHNIQUES, geometry, solve_logically
from puzzles.sudoku.logical_kernels import solve_one
from puzzles.sudoku.technique_kernels import ALL_DIRTY, eliminate, hidden_single, lone_single, place

PAIR, TRIPLE, LOCKED, WING, RECTANGLE = 3, 4, 5, 6, 7
TRACES = "PLANORDER_DOKUSAN_TRACES"
TRACE_NAMES = (
    "Lone Single",
    "Hidden Single",
    "Naked Pair",
    "Naked Triplet",
    "Locked Candidate",
    "XY Wing",
    "Unique Rectangle",
)


def mask(text):
    return sum(1 << (int(value) - 1) for value in str(text))


def position(special, rest="123456789"):
    """Candidates of an empty 9x9 grid: ``special`` maps (row, column) to values; all others have ``rest``."""
    cand = np.full(81, mask(rest), np.int64)
    for (row, column), values in special.items():
        cand[9 * row + column] = mask(values)
    return cand


def step(cand, clues=None, faithful=False):
    """Applies one elimination; returns its technique and {(row, column): removed values}."""
    before = cand.copy()
    clues = np.zeros(81, np.int8) if clues is None else clues
    dirty, first_lone = np.full(27, ALL_DIRTY), np.full(1, 81)
    used = eliminate(cand, clues, *geometry(3, 3), dirty, first_lone, faithful)
    gone = {
        divmod(int(cell), 9): "".join(str(v + 1) for v in range(9) if (before ^ cand)[cell] >> v & 1)
        for cell in np.flatnonzero(before != cand)
    }
    return used, gone


def test_naked_pair_prunes_every_common_peer():
    used, gone = step(position({(0, 0): 12, (0, 1): 12}))
    same_row = {(0, column): "12" for column in range(2, 9)}
    same_box = {(row, column): "12" for row in (1, 2) for column in range(3)}
    assert (used, gone) == (PAIR, same_row | same_box)


@pytest.mark.parametrize(
    ("third", "faithful", "found"), [(13, False, True), (13, True, False), (12, True, False)]
)
def test_naked_triple_of_three_pairs_is_the_textbooks_alone(third, faithful, found):
    cand = position({(0, 0): 12, (4, 0): 23, (8, 0): third})
    used, gone = step(cand, faithful=faithful)
    if third == 12:  # two equal pairs make it a naked pair, which is easier
        assert used == PAIR
    else:
        expected = (TRIPLE, {(row, 0): "123" for row in (1, 2, 3, 5, 6, 7)})
        assert ((used, gone) == expected) == found
        assert found or used == 0


def test_naked_triple_with_two_equal_sets_is_in_both_variants():
    for faithful in (False, True):
        used, gone = step(position({(0, 0): 123, (4, 0): 123, (8, 0): 13}), faithful=faithful)
        assert (used, gone) == (TRIPLE, {(row, 0): "123" for row in (1, 2, 3, 5, 6, 7)})


@pytest.mark.parametrize(("places", "engine_sees_it"), [((0, 1), True), ((0, 1, 2), False)])
@pytest.mark.parametrize("faithful", [False, True])
def test_locked_candidates_claim_and_point(places, engine_sees_it, faithful):
    claiming = position({(0, column): "12345678" for column in range(9) if column not in places})
    pointing = position({(r, c): "12345678" for r in range(3) for c in range(3) if c or r not in places})
    used, gone = step(claiming, faithful=faithful)
    expected = {(row, column): "9" for row in (1, 2) for column in range(3)}
    if faithful and not engine_sees_it:
        assert used == 0
        return
    assert (used, gone) == (LOCKED, expected)
    used, gone = step(pointing, faithful=faithful)
    assert (used, gone) == (LOCKED, {(row, 0): "9" for row in range(3, 9)})


@pytest.mark.parametrize(
    ("first", "second", "ascending", "engine"),
    [
        ("238", "248", "2", "8"),
        ("23578", "248", "2", "2"),
        ("139", "149", "1", "1"),
        ("239", "249", "2", "9"),
    ],
)
def test_locked_values_of_one_cell_are_tried_in_the_engines_order(first, second, ascending, engine):
    # A Python set of at most four small integers reads 8 and 9 first, unless 1 holds the place of 9.
    shared = set(first) & set(second)
    others = "".join(value for value in "123456789" if value not in shared)
    row = {(0, column): others for column in range(2, 9)} | {(0, 0): first, (0, 1): second}
    for faithful, value in ((False, ascending), (True, engine)):
        used, gone = step(position(row), faithful=faithful)
        assert (used, set(gone.values())) == (LOCKED, {value})


def test_xy_wing_goes_by_the_pivot_and_the_engines_by_the_first_and_last_cell():
    between = {(0, 0): 13, (0, 4): 12, (4, 4): 23}  # the pivot (0, 4) sorts between its ends
    for faithful in (False, True):
        assert step(position(between), faithful=faithful) == (WING, {(4, 0): "3"})
    first = {(0, 0): 12, (0, 4): 13, (4, 0): 23}  # the pivot (0, 0) is the first of the three
    assert step(position(first)) == (WING, {(4, 4): "3"})
    # The engine takes 2, common to the first and the last cell, from the peers that these two share.
    shared = {(row, 0): "2" for row in (1, 2, 3, 5, 6, 7, 8)}
    assert step(position(first), faithful=True) == (WING, shared)


def rectangle(rows, columns):
    return {(row, column): 12 for row in rows for column in columns} | {(rows[1], columns[1]): 129}


def test_unique_rectangle_frees_the_fourth_corner():
    # Values 1 and 2 are gone elsewhere, so that the corners' pairs prune nothing.
    for rows, columns in (((0, 1), (0, 3)), ((0, 3), (0, 1))):
        used, gone = step(position(rectangle(rows, columns), rest="3456789"))
        assert (used, gone) == (RECTANGLE, {(rows[1], columns[1]): "12"})


def test_unique_rectangle_needs_two_boxes_and_four_blanks():
    assert step(position(rectangle((0, 3), (0, 3)), rest="3456789"))[0] == 0  # four boxes
    clues = np.zeros(81, np.int8)
    clues[0] = 1
    assert step(position(rectangle((0, 1), (0, 3)), rest="3456789"), clues)[0] == 0


def lost_candidates(clues, solution, faithful):
    """Runs the kernels step by step; how often a true candidate was gone after an elimination."""
    shape = geometry(3, 3)
    units, unit_of, peers, _ = shape
    cand, dirty, first_lone = np.full(81, 511, np.int64), np.full(27, ALL_DIRTY), np.zeros(1, np.int64)
    truth = np.int64(1) << (solution.astype(np.int64) - 1)
    board = np.zeros(81, bool)
    to_place = list(np.flatnonzero(clues))
    lost = 0
    while not board.all():
        for cell in to_place:
            place(cell, truth[cell], cand, unit_of, peers, dirty, first_lone)
            board[cell] = True
        cells = (lone_single(cand, first_lone), hidden_single(cand, units, dirty)[0])
        to_place = [cell for cell in cells if cell >= 0][:1]
        if not to_place and not eliminate(cand, clues, *shape, dirty, first_lone, faithful):
            to_place = list(np.flatnonzero(~board)[:1])
        if (cand[~board] & truth[~board] == 0).any():
            return lost + 1
    return lost


def test_no_technique_of_the_textbook_removes_a_true_candidate():
    _, clues, solution = known_puzzles()
    rng = np.random.default_rng(0)
    for _ in range(6):  # renamed and transposed, so that other instances come first
        names = np.concatenate([[0], rng.permutation(9) + 1]).astype(np.int8)
        clues, solution = names[clues], names[solution]
        turned = [grid.reshape(-1, 9, 9).transpose(0, 2, 1).reshape(-1, 81) for grid in (clues, solution)]
        clues, solution = (np.ascontiguousarray(grid) for grid in turned)
        assert sum(lost_candidates(c, s, False) for c, s in zip(clues, solution, strict=True)) == 0
    # The same check catches the engine's XY-wing, which is known to be unsound.
    assert sum(lost_candidates(c, s, True) for c, s in zip(clues, solution, strict=True)) > 0


@pytest.mark.parametrize(("box_rows", "box_cols"), [(2, 2), (2, 3), (3, 2), (3, 3), (4, 4)])
def test_ranks_number_the_blanks_and_clues_stay_out(box_rows, box_cols):
    rng = np.random.default_rng(7)
    solution = scrambled_grids(20, box_rows, box_cols, rng)
    clues = np.where(rng.random(solution.shape) < rng.random((20, 1)), solution, 0).astype(np.int8)
    solve = solve_logically(clues, solution, box_rows, box_cols)
    assert (solve.rank.dtype, solve.technique.dtype, solve.hardest.dtype) == (np.int16, np.int8, np.int8)
    for row in range(20):
        blank = clues[row] == 0
        assert sorted(solve.rank[row][blank]) == list(range(blank.sum()))
        assert (solve.rank[row][~blank] == -1).all()
        assert (solve.technique[row] > 0).tolist() == blank.tolist()
        assert solve.hardest[row] == solve.technique[row].max()
    np.testing.assert_array_equal(solve.solved, solve.hardest < len(TECHNIQUES) - 1)


def test_full_and_empty_grids():
    solution = scrambled_grids(1, 3, 3, np.random.default_rng(1))
    full = solve_logically(solution, solution, 3, 3)
    assert full.solved.all()
    assert full.hardest.tolist() == [0]
    empty = solve_logically(np.zeros_like(solution), solution, 3, 3)
    # Nothing tells the cells apart, so the first is searched; then the fewest candidates are in its row.
    assert empty.rank[0, :2].tolist() == [0, 1]
    assert empty.technique[0, :2].tolist() == [8, 8]
    assert len(solve_logically(solution[:0], solution[:0], 3, 3).hardest) == 0


def test_a_wrong_solution_is_searched_and_ends():
    _, clues, solution = known_puzzles()
    renamed = np.where(clues > 0, clues, solution % 9 + 1).astype(np.int8)
    assert solve_logically(clues, renamed, 3, 3).hardest.tolist() == [8] * len(clues)


def test_geometry_counts():
    for box_rows, box_cols in ((2, 2), (2, 3), (3, 3), (4, 4)):
        side = box_rows * box_cols
        units, unit_of, peers, sees = geometry(box_rows, box_cols)
        assert peers.shape[1] == 2 * (side - 1) + (box_rows - 1) * (box_cols - 1)
        assert (sees.sum(axis=1) == peers.shape[1]).all()
        for u, unit in enumerate(units):
            assert np.flatnonzero((unit_of == u).any(axis=1)).tolist() == unit.tolist()
    assert geometry(2, 3).units[12].tolist() == [0, 1, 2, 6, 7, 8]


def test_other_kernels_may_call_solve_one():
    @njit
    def hardest_of(clues, solution, units, unit_of, peers, sees):
        rank, technique = np.empty(81, np.int16), np.empty(81, np.int8)
        return solve_one(clues, solution, units, unit_of, peers, sees, False, rank, technique)

    hardest, clues, solution = known_puzzles()
    found = [hardest_of(c, s, *geometry(3, 3)) for c, s in zip(clues, solution, strict=True)]
    assert found == hardest["textbook"].tolist()


def test_wrong_shapes_and_variants_are_refused():
    grid = np.zeros((1, 81), np.int8)
    with pytest.raises(ValueError, match=r"clues \(1, 81\).*expected both \[batch, 36\]"):
        solve_logically(grid, grid, 2, 3)
    with pytest.raises(ValueError, match="unknown variant 'faithful'"):
        solve_logically(grid, grid, 3, 3, "faithful")  # type: ignore[arg-type]


def traced_fills(steps, solution):
    """(cell, hardest technique since the last placement) of a recorded solve, up to the first wrong value."""
    fills, worst = [], 0
    for recorded in steps:
        worst = max(worst, 1 + TRACE_NAMES.index(recorded["t"]))
        for row, column, value in recorded["place"]:
            if solution[9 * row + column] != value:
                return fills
            fills.append((9 * row + column, worst))
            worst = 0
    return fills


@pytest.mark.skipif(TRACES not in os.environ, reason=f"{TRACES} names no file of recorded solves")
def test_engine_variant_repeats_recorded_solves():
    from puzzles import get_family

    records = [
        json.loads(line) for line in gzip.decompress(Path(os.environ[TRACES]).read_bytes()).splitlines()
    ]
    clues = np.array([list(record["puzzle"]) for record in records]).astype(np.int8)
    _, solution = get_family("sudoku").count_solutions(clues)
    solve = solve_logically(clues, solution, 3, 3, "dokusan")
    for i, record in enumerate(records):
        order = np.argsort(solve.rank[i], kind="stable")[(clues[i] > 0).sum() :]
        searched = np.flatnonzero(solve.technique[i][order] == 8)
        reached = order[: searched[0]] if len(searched) else order
        fills = list(zip(reached.tolist(), solve.technique[i][reached].tolist(), strict=True))
        assert (fills, bool(solve.solved[i])) == (
            traced_fills(record["steps"], solution[i]),
            record["solved"],
        )
