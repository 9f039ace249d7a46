from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from planorder.decoding import Strategy, decode
from planorder.decoding.budgets import Bernoulli, Fixed, Remaining, Schedule, Threshold, alphas, filled
from planorder.decoding.orders import random_order
from planorder.decoding.testing import HashModel, TableModel
from puzzles.base import UserInputError


def test_fixed_is_k(view_of) -> None:
    view = view_of([[[0.5, 0.5]] * 3] * 2, [[0, 0, 0], [1, 1, 0]])
    assert Fixed()(view, None).tolist() == [1, 1]
    assert Fixed(7)(view, None).tolist() == [7, 7]
    assert filled(view).tolist() == [0, 2]


def filled_after(kind: str, n: int, steps: int, puzzles, rule: type = Schedule) -> list[int]:
    """Cells filled after every step, from a decode."""
    clues = torch.zeros(1, n).numpy()
    strategy = Strategy("s", random_order, budget=rule(kind), steps=steps)
    found = decode(HashModel(3), puzzles(clues), strategy)
    return [int((found.step <= i).sum()) for i in range(steps)]


@pytest.mark.parametrize("n", [1, 5, 25, 49, 50, 81])
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_linear_schedule_fills_exactly_its_share_halves_up(n: int, steps: int, puzzles) -> None:
    share = [(2 * n * (i + 1) + steps) // (2 * steps) for i in range(steps)]
    assert filled_after("linear", n, steps, puzzles) == share


def test_cosine_schedule_fills_few_early_and_many_late(puzzles) -> None:
    got = filled_after("cosine", 81, 10, puzzles)
    assert got == [math.floor(81 * (1 - math.cos(math.pi * (i + 1) / 20)) + 0.5) for i in range(10)]
    # MaskGIT's direction, which some copies of it turn round.
    assert got[1] < 81 * 2 / 10 < 81 - got[-3]


def maskgit_twin(n: int, steps: int) -> list[int]:
    """Cells filled after every step by the number that stays masked."""
    masked, found = n, []
    for step in range(steps - 1):
        masked = max(1, min(masked - 1, math.floor(n * math.cos(math.pi / 2 * (step + 1) / steps))))
        found.append(n - masked)
    return [*found, n]


@pytest.mark.parametrize("n", [1, 2, 5, 50, 81])
@pytest.mark.parametrize("steps", [1, 7, 16, 50])
def test_the_floor_of_the_cosine_stays_and_at_least_one_is_filled(n: int, steps: int, puzzles) -> None:
    expected = maskgit_twin(n, steps)
    assert filled_after("cosine", n, steps, puzzles, Remaining) == expected
    if n > steps > 1:
        assert filled_after("cosine", n, steps, puzzles) != expected, "the nearest count is another rule"


def test_whole_numbers_of_the_cosine_stay_whole(view_of) -> None:
    """cos(pi/2 26/39) = 1/2, which float64 has a bit below."""
    for n in (2, 10, 80):
        view = view_of([[[0.5, 0.5]] * n], [[0] * n], step=25, total=39)
        assert int(Remaining()(view, None)) == n // 2


def test_alphas_run_from_nothing_to_all() -> None:
    for kind in ("linear", "cosine"):
        table = alphas(kind, 9, torch.device("cpu"))
        assert table[0] == 0
        assert table[-1] == 1
        assert bool((table.diff() > 0).all())


def test_bernoulli_opens_each_blank_by_the_hazard(distinct) -> None:
    steps, n = 5, 6
    strategy = Strategy("s", random_order, budget=Bernoulli(), steps=steps)
    found = decode(TableModel(torch.zeros(n + 6, 10)), distinct(4000, n), strategy, batch_size=4000)
    when = torch.from_numpy(found.step[:, :n].astype("int64"))
    # On the linear grid every blank's step is uniform over the T steps, independent of the other blanks.
    assert stats.chisquare(torch.bincount(when.flatten(), minlength=steps)).pvalue > 1e-3
    pairs = torch.bincount(when[:, 0] * steps + when[:, 1], minlength=steps**2)
    assert stats.chisquare(pairs).pvalue > 1e-3


def test_bernoulli_cosine_hazard(view_of) -> None:
    n = 40_000
    view = view_of([[[0.5, 0.5]] * n], [[0] * n], step=2, total=4)
    alpha = [1 - math.cos(math.pi / 2 * i / 4) for i in range(5)]
    chance = (alpha[3] - alpha[2]) / (1 - alpha[2])
    count = int(Bernoulli("cosine")(view, None))
    assert stats.binomtest(count, n, chance).pvalue > 1e-3


def test_threshold_counts_the_sure_blanks_at_least_one(view_of) -> None:
    probs = [[[0.95, 0.05], [0.9001, 0.0999], [0.6, 0.4], [0.99, 0.01]]] * 2
    view = view_of(probs, [[0, 0, 0, 2], [1, 1, 0, 1]])
    assert Threshold(0.9)(view, None).tolist() == [2, 1]
    assert Threshold(0.5)(view, None).tolist() == [3, 1]
    assert Threshold(0.0)(view, None).tolist() == [3, 1]


def test_threshold_reads_each_row_alone(view_of) -> None:
    sure, open_ = [[0.95, 0.05]] * 3, [[0.6, 0.4]] * 3
    view = view_of([sure, open_, sure], [[0, 0, 0]] * 3)
    assert Threshold()(view, None).tolist() == [3, 1, 3]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fixed(0),
        lambda: Schedule("sine"),
        lambda: Remaining("sine"),
        lambda: Bernoulli("x"),
        lambda: Threshold(1.5),
        lambda: Threshold(-0.1),
        lambda: Threshold(math.nan),
    ],
)
def test_options_out_of_range_are_named(make) -> None:
    with pytest.raises(UserInputError, match="expected"):
        make()
