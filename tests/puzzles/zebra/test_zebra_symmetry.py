"""Symmetries change nothing about a Zebra puzzle but its looks, and the canonical form sees through them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zebra_rules import (
    SIZES,
    all_fillings,
    as_batch,
    holds,
    large_puzzles,
    random_solution,
    sizes_of,
    small_puzzles,
    solutions,
    true_edges,
)

from puzzles.base import UserInputError
from puzzles.zebra.clues import (
    DIFFERENT,
    IMMEDIATE_LEFT,
    KINDS,
    LEFT_OF,
    MOST,
    N_CELLS,
    SAME,
    cell_of,
    given_cells,
)
from puzzles.zebra.family import Zebra
from puzzles.zebra.symmetry import augment, canonical

TURNED = {"immediate_left": [1, 0], "left_of": [1, 0], "between": [2, 1, 0], "ends": [0, 2, 1]}
"""Where the members of a kind go under the mirror; else they stay."""
SYMMETRIC = ("same", "different", "next_to", "gap1", "gap2")


def moved_cells(before, after):
    """int64 ``[N_CELLS]``: where each cell of one puzzle went, by its rank; the others by being alike."""
    target = np.arange(N_CELLS)
    for cell in np.flatnonzero(before.rank[0] >= 0):
        target[cell] = np.flatnonzero(after.rank[0] == before.rank[0, cell])[0]
    return target


def turn(edge, target, mirrored, houses):
    """The image of a clue, from the rules of the game."""
    kind = KINDS[edge[0]]
    cells = [int(cell) for cell in edge[1 : 1 + len(kind.roles)]]
    image = [houses - 1 - c if mirrored and c < MOST else int(target[c]) for c in cells]
    if mirrored:
        image = [image[k] for k in TURNED.get(kind.name, range(len(image)))]
    return [int(edge[0]), *image, *[-1] * (3 - len(image))]


def check_image(before, after):
    """Whether one puzzle (a batch of one) is another under some symmetry, cell by cell and clue by clue."""
    ((houses, attributes),) = sizes_of(before)
    target = moved_cells(before, after)
    assert sorted(target) == list(range(N_CELLS))
    own = np.flatnonzero(before.clues[0] == 0)
    assert sorted(target[own]) == sorted(own)
    by_row = target[own].reshape(attributes, houses) // MOST
    assert (by_row == by_row[:, :1]).all(), "attributes stay together"
    old, new = before.solution[0, own], after.solution[0, target[own]]
    mirrored = bool((old != new).any())
    np.testing.assert_array_equal(new, houses + 1 - old if mirrored else old)
    rest = np.flatnonzero(before.clues[0])
    for name in ("clues", "solution", "rank", "technique"):
        np.testing.assert_array_equal(getattr(after, name)[0, rest], getattr(before, name)[0, rest])
    np.testing.assert_array_equal(after.clues[0, own], 0)
    np.testing.assert_array_equal(after.technique[0, target[own]], before.technique[0, own])
    real = before.edges[0, :, 0] >= 0
    np.testing.assert_array_equal(after.edges[0, :, 0] >= 0, real)
    assert (after.edges[0, ~real] == -1).all()
    expected = sorted(turn(edge, target, mirrored, houses) for edge in before.edges[0, real])
    assert sorted(after.edges[0, real].tolist()) == expected
    return mirrored


def rows(*batches):
    """The puzzles of batches side by side, as batches of one."""
    for row in range(len(batches[0])):
        yield [batch[row : row + 1] for batch in batches]


@pytest.mark.parametrize("make", [small_puzzles, large_puzzles])
def test_every_image_is_the_puzzle_under_a_symmetry(make):
    batch = make()
    after = augment(batch, np.random.default_rng(0))
    mirrored = [check_image(*pair) for pair in rows(batch, after)]
    assert 0.25 < np.mean(mirrored) < 0.75
    np.testing.assert_array_equal(after.index, batch.index)
    np.testing.assert_array_equal(after.hardest, batch.hardest)
    kinds = {int(kind) for kind in batch.edges[..., 0].ravel()} - {-1}
    assert kinds == set(range(len(KINDS)))


def test_images_keep_exactly_one_solution_which_is_the_moved_one():
    batch = small_puzzles()
    for seed in range(5):
        after = augment(batch, np.random.default_rng(seed))
        for puzzle, size in zip(rows(after), sizes_of(after), strict=True):
            np.testing.assert_array_equal(solutions(puzzle[0].edges[0], *size), puzzle[0].solution)


def test_images_of_large_puzzles_hold_in_their_solution():
    batch = large_puzzles()
    for seed in range(5):
        after = augment(batch, np.random.default_rng(seed))
        for edges, solution in zip(after.edges, after.solution, strict=True):
            assert all(holds(edge, solution) for edge in edges if edge[0] >= 0)


def forgot_the_mirror_in_clues(batch, after):
    """Left and right as they were, in puzzles whose houses are turned round."""
    edges = after.edges.copy()
    one_sided = np.isin(edges[..., 0], [IMMEDIATE_LEFT, LEFT_OF])
    edges[one_sided, 1:3] = edges[one_sided, 2:0:-1]
    return replace(after, edges=edges)


def forgot_the_mirror_in_house_numbers(batch, after):
    """Cells of house numbers as they were before the mirror."""
    edges = after.edges.copy()
    for row, (houses, _) in enumerate(sizes_of(batch)):
        number = (edges[row] >= 0) & (edges[row] < MOST)
        number[:, 0] = False
        edges[row][number] = houses - 1 - edges[row][number]
    return replace(after, edges=edges)


FAULTS = {
    "mirror in clues": forgot_the_mirror_in_clues,
    "mirror in house numbers": forgot_the_mirror_in_house_numbers,
    "edges": lambda batch, after: replace(after, edges=batch.edges),
    "solution": lambda batch, after: replace(after, solution=batch.solution),
    "rank": lambda batch, after: replace(after, rank=batch.rank),
    "technique": lambda batch, after: replace(after, technique=batch.technique),
    "padding": lambda batch, after: replace(after, edges=after.edges[:, ::-1]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault):
    batch = small_puzzles()
    after = augment(batch, np.random.default_rng(0))
    caught = 0
    for pair in rows(batch, FAULTS[fault](batch, after)):
        try:
            check_image(*pair)
        except AssertionError:
            caught += 1
    assert caught > len(batch) // 4


def test_a_forgotten_mirror_changes_the_solutions():
    batch = small_puzzles()
    after = forgot_the_mirror_in_clues(batch, augment(batch, np.random.default_rng(0)))
    wrong = 0
    for (puzzle,), size in zip(rows(after), sizes_of(after), strict=True):
        found = solutions(puzzle.edges[0], *size)
        wrong += len(found) != 1 or (found != puzzle.solution).any()
    assert wrong > len(batch) // 4


def test_all_symmetries_are_equally_likely():
    rng = np.random.default_rng(1)
    solution = random_solution(3, 3, rng)
    one = as_batch([(3, 3)], [solution], [true_edges(solution, 3, 3, 3, rng)])
    many = 2_000
    batch = one[np.zeros(many, int)]
    after = augment(batch, rng)
    first = [cell_of(1, 1), cell_of(1, 2), cell_of(1, 3)]
    counts: dict[str, dict] = {"attributes": {}, "names": {}, "mirror": {}, "clues": {}}
    for pair in rows(batch, after):
        target = moved_cells(*pair)
        mirrored = bool((pair[1].solution[0, target] != solution)[first].any())
        seen = {
            "attributes": tuple(target[[cell_of(a, 1) for a in (1, 2, 3)]] // MOST),
            "names": tuple(target[first] % MOST),
            "mirror": mirrored,
            "clues": tuple(pair[1].edges[0, :3, 0].tolist()),
        }
        for name, value in seen.items():
            counts[name][value] = counts[name].get(value, 0) + 1
    assert [len(counts[name]) for name in counts] == [6, 6, 2, 6]
    for found in counts.values():
        expected = many / len(found)
        assert sum((count - expected) ** 2 / expected for count in found.values()) < 20.5  # p < 0.001 at 5 df


def test_the_result_follows_the_generator_and_the_input_is_left():
    batch = large_puzzles()
    kept = {name: array.copy() for name, array in batch.arrays().items()}
    one, same, other = (augment(batch, np.random.default_rng(seed)) for seed in (7, 7, 8))
    for name, array in batch.arrays().items():
        np.testing.assert_array_equal(array, kept[name])
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
        assert getattr(one, name).dtype == array.dtype
    assert (one.edges != other.edges).any()
    part = augment(batch[:5], np.random.default_rng(7))
    np.testing.assert_array_equal(part.edges, one.edges[:5])
    narrow = replace(batch, edges=batch.edges[:, : (batch.edges[..., 0] >= 0).sum(axis=1).max()])
    full = augment(narrow, np.random.default_rng(7))
    np.testing.assert_array_equal(full.edges, one.edges[:, : full.edges.shape[1]])


def test_puzzles_without_edges_are_refused():
    with pytest.raises(UserInputError, match="without edges"):
        augment(replace(small_puzzles(), edges=None), np.random.default_rng(0))


def plain_form(edges, solution, houses, attributes, mirrors=(False, True)):
    """The canonical form of a puzzle's edges, by trying everything with lists."""
    least = None
    for mirrored in mirrors:
        at = [houses + 1 - int(h) if mirrored else int(h) for h in solution]
        for order in permutations(range(1, attributes + 1)):
            row_of = (0, *order)
            image = []
            for edge in edges:
                name = KINDS[edge[0]].name
                cells = [row_of[c // MOST] * MOST + at[c] - 1 for c in edge[1:] if c >= 0]
                if mirrored:
                    cells = [cells[k] for k in TURNED.get(name, range(len(cells)))]
                if name in SYMMETRIC:
                    cells.sort()
                image.append([int(edge[0]), *cells, *[-1] * (3 - len(cells))])
            image.sort()
            least = image if least is None else min(least, image)
    return least


def forms(batch):
    return canonical(batch.clues, batch.edges, batch.solution)


def unpacked(batch, form):
    """The puzzles that canonical forms are; the solution of each is the identity."""
    edges = form[:, N_CELLS:].reshape(batch.edges.shape)
    identity = np.tile(given_cells(3, 0), (len(form), 1))
    return replace(batch, clues=form[:, :N_CELLS].astype(np.int8), edges=edges, solution=identity)


def test_the_form_is_the_least_image():
    for batch in (small_puzzles(), large_puzzles()):
        form = forms(batch)
        assert form.dtype == np.int16
        assert form.shape == (len(batch), N_CELLS + batch.edges[0].size)
        np.testing.assert_array_equal(form[:, :N_CELLS], batch.clues)
        for row, (houses, attributes) in enumerate(sizes_of(batch)):
            if attributes > 4:  # 6! orders of lists take long
                continue
            real = batch.edges[row, :, 0] >= 0
            found = form[row, N_CELLS:].reshape(-1, 4)
            expected = plain_form(batch.edges[row, real], batch.solution[row], houses, attributes)
            assert found[: real.sum()].tolist() == expected
            assert (found[real.sum() :] == -1).all()


def test_a_form_without_the_mirror_would_be_found_out():
    batch = small_puzzles()
    after = augment(batch, np.random.default_rng(0))
    different = 0
    for (one, two), size in zip(rows(batch, after), sizes_of(batch), strict=True):
        real = one.edges[0, :, 0] >= 0
        a, b = (plain_form(p.edges[0, real], p.solution[0], *size, (False,)) for p in (one, two))
        different += a != b
    assert different > len(batch) // 4


@pytest.mark.parametrize("make", [small_puzzles, large_puzzles])
def test_symmetric_puzzles_share_their_form_and_it_is_its_own(make):
    batch = make()
    form = forms(batch)
    for seed in range(10):
        np.testing.assert_array_equal(forms(augment(batch, np.random.default_rng(seed))), form)
    np.testing.assert_array_equal(forms(unpacked(batch, form)), form)


def test_forms_are_puzzles_with_one_solution():
    batch = small_puzzles()
    puzzles = unpacked(batch, forms(batch))
    for (puzzle,), size in zip(rows(puzzles), sizes_of(puzzles), strict=True):
        np.testing.assert_array_equal(solutions(puzzle.edges[0], *size), puzzle.solution)


def test_members_of_symmetric_kinds_and_the_order_of_clues_do_not_matter():
    batch = small_puzzles()
    edges = batch.edges.copy()
    names = [kind.name for kind in KINDS]
    symmetric = np.isin(edges[..., 0], [names.index(name) for name in SYMMETRIC])
    edges[symmetric, 1:3] = edges[symmetric, 2:0:-1]
    for row in range(len(edges)):
        real = (edges[row, :, 0] >= 0).sum()
        edges[row, :real] = edges[row, :real][::-1]
    np.testing.assert_array_equal(forms(replace(batch, edges=edges)), forms(batch))


def test_what_is_no_symmetry_changes_the_form():
    batch = small_puzzles()
    before = forms(batch)
    for other in (SAME, LEFT_OF):  # no symmetry changes how many clues of each kind there are
        edges = batch.edges.copy()
        edges[:, 0] = np.where(edges[:, :1, 0] == other, [DIFFERENT, 8, 13, -1], [other, 8, 13, -1])
        assert (forms(replace(batch, edges=edges)) != before).any(axis=1).all()


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from(SIZES),
    number=st.integers(1, 25),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_puzzle_of_any_size(size, number, seed):
    rng = np.random.default_rng(seed)
    solution = random_solution(*size, rng)
    batch = as_batch([size], [solution], [true_edges(solution, *size, number, rng)], seed)
    after = augment(batch, rng)
    check_image(batch, after)
    np.testing.assert_array_equal(forms(after), forms(batch))


@pytest.mark.parametrize("tier", ["logic", "hard"])
def test_generated_puzzles_keep_one_solution_and_their_form(tier):
    family = Zebra("zebra")
    batch = family.generate("val", tier, 16)
    form = family.canonical(batch.clues, batch.edges)
    np.testing.assert_array_equal(form, forms(batch))
    for seed in range(3):
        after = augment(batch, np.random.default_rng(seed))
        for pair in rows(batch, after):
            check_image(*pair)
        count, first = family.count_solutions(after.clues, edges=after.edges)
        np.testing.assert_array_equal(count, 1)
        np.testing.assert_array_equal(first, after.solution)
        np.testing.assert_array_equal(forms(after), form)
    puzzles = unpacked(batch, form)
    count, first = family.count_solutions(puzzles.clues, edges=puzzles.edges)
    np.testing.assert_array_equal(count, 1)
    np.testing.assert_array_equal(first, puzzles.solution)


def test_the_plain_twin_writes_down_all_fillings():
    assert len(all_fillings(3, 3)) == 6**3
    assert len({filling.tobytes() for filling in all_fillings(4, 3)}) == 24**3
