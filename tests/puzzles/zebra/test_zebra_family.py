"""Zebra as a family: two layouts of the same puzzles, whose every verb agrees, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from zebra_rules import SIZES, all_fillings, random_solution, sizes_of, small_puzzles

from puzzles import FAMILIES, get_family
from puzzles.base import HARD, LOGIC, PuzzleBatch, UserInputError
from puzzles.storage import content_hash
from puzzles.zebra.clues import KINDS, MOST, N_CELLS, ROWS, cell_of, given_cells, size_of, to_grid
from puzzles.zebra.family import Zebra
from puzzles.zebra.logical import SEARCH, TECHNIQUES

ZEBRA, GRID = Zebra("zebra"), Zebra("zebra-grid", layout="grid")
TIERS = (LOGIC, HARD)


@cache
def both(tier: str, n: int = 48) -> tuple[PuzzleBatch, PuzzleBatch]:
    """The same puzzles in the layouts position and grid."""
    return ZEBRA.generate("val", tier, n), GRID.generate("val", tier, n)


def table(cells: np.ndarray) -> list[list[int]]:
    return cells.reshape(ROWS, MOST).tolist()


def test_the_registry_has_both_layouts() -> None:
    assert get_family("zebra").version == "zebra-v1"
    assert get_family("zebra-grid").version == "zebra-grid-v1"
    for family in (get_family("zebra"), get_family("zebra-grid")):
        assert (family.n_cells, family.n_values, family.grid, family.box) == (42, 6, (7, 6), None)
        assert family.technique_names == TECHNIQUES
        assert family.unique
        assert family.tiers == TIERS
    assert {name for name in FAMILIES if name.startswith("zebra")} == {"zebra", "zebra-grid"}


def test_the_graph_is_that_of_the_attributes_and_the_clue_kinds() -> None:
    for family, named in ((ZEBRA, True), (GRID, False)):
        graph = family.graph()
        assert [edges.kind for edges in graph.edges] == ["attribute"]
        np.testing.assert_array_equal(graph.edges[0].cells, np.arange(N_CELLS).reshape(7, 6))
        assert graph.puzzle_kinds == KINDS
        assert (graph.n_cells, graph.n_values, graph.edges_name_cells) == (N_CELLS, MOST, named)
        assert not graph.values_interchangeable


@pytest.mark.parametrize("tier", TIERS)
def test_both_layouts_show_the_same_puzzles(tier: str) -> None:
    ours, theirs = both(tier)
    for name in ("edges", "hardest", "index"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_array_equal(to_grid(ours.solution), theirs.solution)
    np.testing.assert_array_equal(to_grid(theirs.solution), ours.solution)
    for row in range(len(ours)):  # cell by cell: value v of an attribute lives in house h
        facts = {
            name: (table(getattr(ours, name)[row]), table(getattr(theirs, name)[row]))
            for name in ("clues", "solution", "rank", "technique")
        }
        for a in range(ROWS):
            for v in range(MOST):
                h = facts["solution"][0][a][v] - 1
                assert facts["solution"][1][a][h] == v + 1
                for name in ("rank", "technique"):
                    assert facts[name][0][a][v] == facts[name][1][a][h]
                assert (facts["clues"][0][a][v] == 0) == (facts["clues"][1][a][h] == 0)
    np.testing.assert_array_equal(ours.clues, theirs.clues)  # what is given is the identity
    assert [array.dtype for array in ours.arrays().values()] == [a.dtype for a in theirs.arrays().values()]


def corrupted(batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
    """Solutions in some of which two values of an attribute are swapped; the solver's own are kept."""
    solution = batch.solution.copy()
    for row, (houses, attributes) in enumerate(sizes_of(batch)):
        if row % 3:
            cells = rng.integers(1, attributes + 1) * MOST + rng.choice(houses, 2, replace=False)
            solution[row, cells] = solution[row, cells[::-1]]
    return replace(batch, solution=solution)


@pytest.mark.parametrize("tier", TIERS)
def test_validity_is_the_same_in_both_layouts(tier: str) -> None:
    ours, theirs = both(tier)
    wrong = corrupted(ours, np.random.default_rng(0)).solution
    found = ZEBRA.is_valid(wrong, ours.clues, ours.edges)
    np.testing.assert_array_equal(found, np.arange(len(ours)) % 3 == 0)
    np.testing.assert_array_equal(GRID.is_valid(to_grid(wrong), theirs.clues, theirs.edges), found)
    for fault in (0, -1, MOST + 1, 127):
        cells = theirs.solution.copy()
        cells[np.arange(len(cells)), np.arange(len(cells)) % N_CELLS] = fault
        assert not GRID.is_valid(cells, theirs.clues, theirs.edges).any()
    twice = theirs.solution.copy()
    twice[:, MOST] = twice[:, MOST + 1]
    assert not GRID.is_valid(twice, theirs.clues, theirs.edges).any()
    assert GRID.is_valid(theirs.solution, theirs.solution, theirs.edges).all()
    changed = theirs.solution.copy()
    changed[:, [8, 9]] = changed[:, [9, 8]]  # a clue in a cell that the grid does not keep
    assert not GRID.is_valid(theirs.solution, changed, theirs.edges).any()
    none = [
        family.is_valid(batch.solution[:4], batch.clues[:4])
        for family, batch in ((ZEBRA, ours), (GRID, theirs))
    ]
    assert np.all(none)  # without edges the rows alone are asked


def test_counting_is_the_same_in_both_layouts() -> None:
    rng = np.random.default_rng(1)
    puzzles = small_puzzles()
    loose = replace(puzzles, edges=puzzles.edges[:, 1:])
    for batch in (puzzles, loose):
        given = np.where(rng.random(batch.clues.shape) < 0.1, batch.solution, batch.clues).astype(np.int8)
        grid = np.where(rng.random(batch.clues.shape) < 0.1, to_grid(batch.solution), batch.clues)
        for limit in (1, 2, 40):
            count, first = ZEBRA.count_solutions(batch.clues, limit, batch.edges)
            same, other = GRID.count_solutions(batch.clues, limit, batch.edges)
            np.testing.assert_array_equal(count, same)
            np.testing.assert_array_equal(to_grid(first), other)
            assert (count.dtype, first.dtype, other.dtype) == (np.int64, np.int8, np.int8)
        for family, clues in ((ZEBRA, given), (GRID, grid.astype(np.int8))):
            count, first = family.count_solutions(clues, 5, batch.edges)
            assert (count > 0).all()
            assert family.is_valid(first, clues, batch.edges).all()
    assert GRID.count_solutions(np.zeros((1, N_CELLS), np.int8), 3)[0].tolist() == [3]


@pytest.mark.parametrize("family", [ZEBRA, GRID], ids=lambda family: family.name)
def test_cells_that_contradict_each_other_have_no_solution(family: Zebra) -> None:
    clues = np.repeat(given_cells(4, 3)[None], 6, axis=0)
    clues[1, [6, 9]] = 2  # twice in a row
    clues[2, 7], clues[3, 7], clues[4, 7] = MOST + 1, -1, 127  # no value at all
    clues[5, 7] = 5  # what the size lacks has it already
    count, first = family.count_solutions(clues, 2)
    assert count.tolist() == [2, 0, 0, 0, 0, 0]
    assert not first[1:].any()
    assert family.is_valid(first, clues).tolist() == [True] + [False] * 5
    assert len(family.count_solutions(clues[:0])[0]) == 0


@pytest.mark.parametrize("tier", TIERS)
def test_rating_is_the_same_in_both_layouts(tier: str) -> None:
    for family, batch in zip((ZEBRA, GRID), both(tier), strict=True):
        again = family.rate(batch.clues, batch.solution, batch.index, batch.edges)
        assert content_hash(again) == content_hash(batch)
        assert family.rate(batch.clues, batch.solution, None, batch.edges).index.tolist() == list(range(48))
        assert (family.tier(batch) == tier).all()
        assert ((batch.hardest == SEARCH) == (tier == HARD)).all()
    bare = ZEBRA.rate(both(tier)[0].clues, both(tier)[0].solution)  # without edges nothing follows
    assert (bare.hardest == SEARCH).all()
    assert bare.edges is not None
    assert bare.edges.shape == (48, 0, 4)


@pytest.mark.parametrize("tier", TIERS)
def test_augmentation_is_the_same_in_both_layouts(tier: str) -> None:
    ours, theirs = both(tier)
    a, b = (
        family.augment(batch, np.random.default_rng(3)) for family, batch in ((ZEBRA, ours), (GRID, theirs))
    )
    np.testing.assert_array_equal(a.edges, b.edges)
    np.testing.assert_array_equal(to_grid(a.solution), b.solution)
    assert content_hash(GRID.rate(b.clues, b.solution, b.index, b.edges)) != content_hash(theirs)
    for family, batch in ((ZEBRA, a), (GRID, b)):
        assert batch.family == family.version
        assert family.is_valid(batch.solution, batch.clues, batch.edges).all()
        blank = batch.clues == 0
        np.testing.assert_array_equal(batch.rank >= 0, blank)
        np.testing.assert_array_equal(batch.technique > 0, blank)
    row, house = np.nonzero(b.clues == 0)
    attribute, value = house // MOST, b.solution[row, house] - 1
    np.testing.assert_array_equal(b.rank[row, house], a.rank[row, attribute * MOST + value])


@pytest.mark.parametrize("tier", TIERS)
def test_canonical_forms_are_the_same_in_both_layouts(tier: str) -> None:
    ours, theirs = both(tier)
    np.testing.assert_array_equal(
        ZEBRA.canonical(ours.clues[:16], ours.edges[:16]),
        GRID.canonical(theirs.clues[:16], theirs.edges[:16]),
    )


def test_a_change_of_layout_is_its_own_inverse() -> None:
    rng = np.random.default_rng(2)
    cells = np.array([random_solution(6, 6, rng) for _ in range(20)])
    np.testing.assert_array_equal(to_grid(to_grid(cells)), cells)
    assert to_grid(cells).dtype == cells.dtype
    for row in permutations(range(1, MOST + 1)):
        grid = to_grid(np.tile(np.array(row, np.int8), ROWS))[:MOST]
        assert [grid[house - 1] for house in row] == [1, 2, 3, 4, 5, 6]
    partly = small_puzzles(8)
    given = np.where(rng.random(partly.clues.shape) < 0.3, partly.solution, partly.clues).astype(np.int8)
    batch = ZEBRA.rate(given, partly.solution, None, partly.edges)
    back = GRID._shown(GRID._shown(batch))
    assert content_hash(replace(back, family=batch.family)) == content_hash(batch)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_told_from_the_clues(size: tuple[int, int]) -> None:
    clues = given_cells(*size)[None]
    assert [int(number[0]) for number in size_of(clues)] == list(size)
    for family in (ZEBRA, GRID):
        assert family.sizes(clues).tolist() == [f"{size[0]}x{size[1]}"]
        mine = Zebra("zebra", family.layout, *size).generate("train", LOGIC, 2)
        assert family.sizes(mine.clues).tolist() == [f"{size[0]}x{size[1]}"] * 2
        np.testing.assert_array_equal(mine.clues, np.repeat(clues, 2, axis=0))
    assert (clues == 0).sum() == size[0] * size[1]
    assert clues[0, cell_of(0, 6)] == 6


@pytest.mark.parametrize("option", ["houses", "attributes"])
@pytest.mark.parametrize("number", [0, 2, 7, -3])
def test_sizes_out_of_range_are_refused(option: str, number: int) -> None:
    with pytest.raises(UserInputError, match=rf"^{option}={number}: expected 3 to 6$"):
        Zebra("zebra", **{option: number})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "table"}, r"layout='table': expected 'position' or 'grid'"),
        ({"redundant": -1}, r"redundant=-1: expected 0 to 32 clues"),
        ({"redundant": 33}, r"redundant=33: expected 0 to 32 clues"),
    ],
)
def test_other_wrong_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserInputError, match=f"^{message}$"):
        Zebra("zebra", **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trian", LOGIC, 1), r"split 'trian' of zebra: expected one of train, val, test"),
        (("train", "easy", 1), r"tier 'easy' of zebra: expected one of logic, hard"),
        (("train", LOGIC, -1), r"n=-1, start=0, workers=1: expected 0 or more, and a worker"),
    ],
)
def test_unknown_streams_are_refused(arguments: tuple[str, str, int], message: str) -> None:
    with pytest.raises(UserInputError, match=f"^{message}$"):
        ZEBRA.generate(*arguments)
    for options in ({"start": -1}, {"workers": 0}):
        with pytest.raises(UserInputError, match=r"expected 0 or more, and a worker$"):
            ZEBRA.generate("train", LOGIC, 1, **options)


def test_both_layouts_render_the_same_text() -> None:
    ours, theirs = both(LOGIC)
    for row in range(4):
        texts = [
            family.render(batch.solution[row], batch.clues[row], batch.edges[row])
            for family, batch in ((ZEBRA, ours), (GRID, theirs))
        ]
        assert texts[0] == texts[1]


def test_a_puzzle_of_ones_own_in_both_layouts() -> None:
    """From the rules alone: every filling of 3x3 is valid in both, or in neither."""
    puzzle = small_puzzles(1)
    fillings = all_fillings(*sizes_of(puzzle)[0])
    rows = np.zeros(len(fillings), np.int64)
    clues, edges = puzzle.clues[rows], puzzle.edges[rows]
    found = ZEBRA.is_valid(fillings, clues, edges)
    np.testing.assert_array_equal(GRID.is_valid(to_grid(fillings), clues, edges), found)
    np.testing.assert_array_equal(found, (fillings == puzzle.solution).all(axis=1))
