"""Given, mirrored, spread and grouped orders against twins written from their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

from planorder.decoding import Strategy, decode, get_strategy, paper_protocol
from planorder.decoding.adaptive import whole_group
from planorder.decoding.fixed_orders import Dilated, GivenOrder, Halton, given_order, right_to_left
from planorder.decoding.noise import no_noise
from planorder.decoding.orders import left_to_right
from planorder.decoding.testing import HashModel, TableModel, check_order, check_strategy, equal, small_batch
from puzzles.base import UserInputError

SIZES = (1, 2, 7, 8, 25, 81)


def blank_scores(view_of, order: Callable, n_cells: int) -> list[float]:
    """What an order gives the cells of an empty puzzle."""
    return order(view_of([[[0.5, 0.5]] * n_cells], [[0] * n_cells]))[0].tolist()


def mirrored(point: int, base: int) -> Fraction:
    """The radical inverse: digit j of the point times base**-(j + 1)."""
    total, weight = Fraction(0), Fraction(1, base)
    while point:
        total, point, weight = total + point % base * weight, point // base, weight / base
    return total


def halton_twin(n_cells: int, columns: int) -> list[int]:
    rows, met = math.ceil(n_cells / columns), []
    for point in range(1, 10**5):
        row, place = math.floor(mirrored(point, 2) * rows), math.floor(mirrored(point, 3) * columns)
        cell = row * columns + place
        if cell < n_cells and cell not in met:
            met.append(cell)
        if len(met) == n_cells:
            break
    return met


def dilated_twin(n_cells: int, base: int) -> list[set[int]]:
    """The groups as the paper builds them, t = 1, 2, ..., without those that got no cell."""
    groups, done, t = [], set(), 0
    while len(done) < n_cells:
        t += 1
        gap = max(1, math.floor(n_cells / base**t))
        group = {cell for cell in range(n_cells) if cell not in done and cell % gap == 0}
        done |= group
        groups += [group] if group else []
    return groups


def follows_halton(scores: list[float], columns: int) -> bool:
    return sorted(range(len(scores)), key=lambda cell: -scores[cell]) == halton_twin(len(scores), columns)


def follows_dilation(scores: list[float], base: int) -> bool:
    by_score: dict[float, set[int]] = {}
    for cell, score in enumerate(scores):
        by_score.setdefault(score, set()).add(cell)
    return [by_score[score] for score in sorted(by_score, reverse=True)] == dilated_twin(len(scores), base)


@pytest.mark.parametrize("n_cells", SIZES)
def test_halton_is_its_twin_and_meets_every_cell(n_cells: int, view_of) -> None:
    for columns in (1, 3, 4, n_cells, n_cells + 5):
        assert follows_halton(blank_scores(view_of, Halton(columns), n_cells), columns)
    square = blank_scores(view_of, Halton(), n_cells)
    assert follows_halton(square, math.ceil(math.sqrt(n_cells)))
    assert sorted(square) == [-float(i) for i in reversed(range(n_cells))]


def test_halton_spreads_over_the_grid(view_of) -> None:
    scores = np.array(blank_scores(view_of, Halton(), 81)).reshape(9, 9)
    assert np.unravel_index(np.argsort(-scores, axis=None)[:3], (9, 9))[0].tolist() == [4, 2, 6]
    early = scores > -27
    thirds = early.reshape(3, 3, 3, 3).sum((1, 3))
    assert thirds.min() >= 2
    assert thirds.max() <= 4


@pytest.mark.parametrize("n_cells", SIZES)
def test_dilated_groups_are_those_of_the_paper(n_cells: int, view_of) -> None:
    for base in (2, 3, 200):
        assert follows_dilation(blank_scores(view_of, Dilated(base), n_cells), base)


@pytest.mark.parametrize("n_cells", [4, 8, 64, 81])
def test_no_two_cells_of_a_group_are_neighbours(n_cells: int, view_of) -> None:
    scores = blank_scores(view_of, Dilated(), n_cells)
    assert all(a != b for a, b in pairwise(scores))


def halton_mirrored(view) -> torch.Tensor:
    """Rows and columns exchanged."""
    n_cells = view.tokens.shape[1]
    side = math.isqrt(n_cells)
    return Halton(side)(view).reshape(-1, side, side).transpose(1, 2).reshape(-1, n_cells)


def forgets_earlier_groups(view) -> torch.Tensor:
    """The last group that a cell fits, not the first."""
    return -Dilated()(view)


def one_place_on(view) -> torch.Tensor:
    return Dilated()(view).roll(1, 1)


FAULTS = {
    "halton mirrored": (halton_mirrored, lambda scores: follows_halton(scores, 5)),
    "halton of a narrower grid": (Halton(4), lambda scores: follows_halton(scores, 5)),
    "dilated, small gaps first": (forgets_earlier_groups, lambda scores: follows_dilation(scores, 2)),
    "dilated, counted from 1": (one_place_on, lambda scores: follows_dilation(scores, 2)),
    "dilated by thirds": (Dilated(3), lambda scores: follows_dilation(scores, 2)),
}


@pytest.mark.parametrize(("order", "follows"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_order_is_caught(order: Callable, follows: Callable, view_of) -> None:
    check_order(order)
    assert not follows(blank_scores(view_of, order, 25))


def test_a_group_is_filled_in_one_step(puzzles) -> None:
    found = decode(TableModel(torch.zeros(8, 3)), puzzles(np.zeros((1, 8))), get_strategy("dilated"))
    assert found.step.tolist() == [[0, 2, 1, 2, 0, 2, 1, 2]]
    assert found.passes.tolist() == [3]
    # Clues 0 and 4 leave the first group empty, and an empty group takes no step.
    clues = np.array([[1, 0, 0, 0, 1, 0, 0, 0]])
    found = decode(TableModel(torch.zeros(8, 3)), puzzles(clues), get_strategy("dilated"))
    assert found.step.tolist() == [[-1, 1, 0, 1, -1, 1, 0, 1]]


def test_a_dilation_by_all_cells_is_one_step(puzzles) -> None:
    strategy = Strategy("s", Dilated(8), budget=whole_group)
    found = decode(TableModel(torch.zeros(8, 3)), puzzles(np.zeros((1, 8))), strategy)
    assert found.passes.tolist() == [1]


def test_a_permutation_is_followed(puzzles) -> None:
    permutation = [3, 1, 4, 0, 2, 5]
    for form in (permutation, tuple(permutation), np.array(permutation), torch.tensor(permutation)):
        found = decode(
            TableModel(torch.zeros(6, 3)), puzzles(np.zeros((1, 6))), Strategy("s", given_order(form))
        )
        assert np.argsort(found.step[0]).tolist() == permutation
    assert given_order(range(3)) == GivenOrder((-0.0, -1.0, -2.0))


def test_known_permutations_are_known_orders() -> None:
    model, batch = HashModel(4), small_batch()
    straight = decode(model, batch, Strategy("s", given_order(range(8))))
    assert equal(straight, decode(model, batch, get_strategy("left_to_right")))
    back = decode(model, batch, Strategy("s", given_order(reversed(range(8)))))
    assert equal(back, decode(model, batch, get_strategy("right_to_left")))
    check_strategy(Strategy("priorities", GivenOrder((0.5, 2.0, 2.0, -1.0, 0.0, 3.0, 0.1, 0.2))))


def test_right_to_left_is_left_to_right_turned_round(view_of) -> None:
    turned = list(reversed(blank_scores(view_of, left_to_right, 5)))
    rising = blank_scores(view_of, right_to_left, 5)
    assert np.argsort(turned).tolist() == np.argsort(rising).tolist()


@pytest.mark.parametrize("name", ["right_to_left", "halton", "dilated"])
def test_orders_that_do_not_see_the_model_get_no_noise(name: str) -> None:
    assert paper_protocol(get_strategy(name)).noise is no_noise


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: given_order([0, 2]), "every cell from 0 once"),
        (lambda: given_order([0, 0, 1]), "every cell from 0 once"),
        (lambda: GivenOrder((0.0, math.inf)), "finite"),
        (lambda: Halton(0), "columns=0"),
        (lambda: Dilated(1), "base=1"),
        (
            lambda: decode(HashModel(4), small_batch(), Strategy("s", given_order(range(7)))),
            "7 cells for .* 8",
        ),
    ],
)
def test_mistakes_are_named(make: Callable, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        make()
