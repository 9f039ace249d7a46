"""Calibration: bins cell by cell, errors and intervals by slow twins, limits by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from planorder.results.calibration import (
    PARTS,
    Committed,
    bins_of,
    brier,
    calibration,
    committed,
    ece,
    reliability,
)
from planorder.results.resampling import basic_interval, percentile_interval
from planorder.results.stats import wilson
from puzzles import get_family


def cells_of(seed: int, n: int = 120, puzzles: int = 9) -> Committed:
    """Overconfident cells: right less often than they say."""
    rng = np.random.default_rng(seed)
    prob = np.round(rng.random(n).astype(np.float32), 2).astype(float)
    puzzle = np.sort(rng.integers(0, puzzles, n)) * 2  # rows that have no cell between
    return Committed(puzzle, prob, rng.random(n) < prob**2, rng.integers(0, 3, n), np.ones(n, bool))


def slow_bin(p: float, bins: int) -> int:
    """(b / bins, (b + 1) / bins], exact for probabilities of two digits."""
    hundredths = round(100 * p)
    return next(b for b in range(bins) if 100 * b < hundredths * bins <= 100 * (b + 1) or hundredths == 0)


def slow_ece(prob: np.ndarray, right: np.ndarray, bin_of: list[int]) -> float:
    """Sum of n_b / n |right_b - confidence_b|, bin by bin."""
    total = 0.0
    for b in set(bin_of):
        inside = [i for i, place in enumerate(bin_of) if place == b]
        said = sum(prob[i] for i in inside) / len(inside)
        total += len(inside) / len(prob) * abs(sum(right[i] for i in inside) / len(inside) - said)
    return total


def test_bins_of_equal_width_keep_their_upper_end() -> None:
    prob = np.round(np.arange(101) / 100, 2)
    for bins in (1, 4, 10):
        found = bins_of(prob.astype(np.float32).astype(float), bins)
        assert found.tolist() == [slow_bin(p, bins) for p in prob]


def test_bins_of_equal_mass_are_equal_and_keep_ties_together() -> None:
    prob = np.random.default_rng(0).permutation(np.arange(40) / 40)
    place = bins_of(prob, 8, equal_mass=True)
    assert np.bincount(place).tolist() == [5] * 8
    assert (np.diff(place[np.argsort(prob)]) >= 0).all()
    tied = np.r_[np.ones(30), 0.5, 0.4]
    place = bins_of(tied, 8, equal_mass=True)
    assert len(set(place[:30])) == 1
    assert place.max() < 8


def test_reliability_is_counted_by_hand() -> None:
    cells = Committed(
        np.arange(5),
        np.array([0.1, 0.95, 1.0, 0.15, 0.91]),
        np.array([0, 1, 1, 1, 0], bool),
        np.zeros(5, int),
        np.ones(5, bool),
    )
    table = reliability(cells)
    assert table["bin"].tolist() == [0, 1, 9]
    assert table["n"].tolist() == [1, 1, 3]
    assert table["confidence"].tolist() == pytest.approx([0.1, 0.15, 2.86 / 3])
    assert table["right"].tolist() == pytest.approx([0, 1, 2 / 3])
    np.testing.assert_allclose(table[["low", "high"]].to_numpy().T, wilson([0, 1, 2], [1, 1, 3]))


def ece_agrees(measure: Callable[..., tuple[float, float, float]]) -> bool:
    """Whether an ECE and its interval are their slow twins."""
    cells = cells_of(1)
    bin_of = [slow_bin(p, 10) for p in cells.prob]
    estimate = slow_ece(cells.prob, cells.right, bin_of)
    rows = [np.flatnonzero(cells.puzzle == puzzle) for puzzle in np.unique(cells.puzzle)]
    drawn = []
    for sample in np.random.default_rng(5).integers(0, len(rows), (60, len(rows))):
        some = np.concatenate([rows[puzzle] for puzzle in sample])
        drawn.append(slow_ece(cells.prob[some], cells.right[some], [bin_of[i] for i in some]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    expected = (estimate, max(2 * estimate - high, 0), max(2 * estimate - low, 0))
    return measure(cells, draws=60, seed=5) == pytest.approx(expected)


def test_ece_is_its_slow_twin() -> None:
    assert ece_agrees(ece)


def signed_before_bins(cells: Committed, **options: int) -> tuple[float, float, float]:
    """Planted: one bin, in which too sure and too unsure cancel."""
    return ece(cells, bins=1, **options)


def cells_resampled(cells: Committed, **options: int) -> tuple[float, float, float]:
    """Planted: cells as the units in place of puzzles."""
    return ece(replace(cells, puzzle=np.arange(len(cells.prob))), **options)


def doubly_sure(cells: Committed, **options: int) -> tuple[float, float, float]:
    """Planted: another probability than the committed one."""
    return ece(replace(cells, prob=np.sqrt(cells.prob)), **options)


@pytest.mark.parametrize("fault", [signed_before_bins, cells_resampled, doubly_sure])
def test_a_wrong_ece_is_noticed(fault: Callable[..., tuple[float, float, float]]) -> None:
    assert not ece_agrees(fault)


def test_ece_of_equal_mass_is_its_slow_twin() -> None:
    cells = cells_of(2)
    order = np.argsort(cells.prob, kind="stable")
    cuts = [cells.prob[order[len(order) * i // 6 - 1]] for i in range(1, 6)]
    bin_of = [sum(p > cut for cut in cuts) for p in cells.prob]
    assert ece(cells, bins=6, equal_mass=True, draws=10)[0] == pytest.approx(
        slow_ece(cells.prob, cells.right, bin_of)
    )


def test_limits() -> None:
    sure = Committed(np.arange(6), np.ones(6), np.ones(6, bool), np.zeros(6, int), np.ones(6, bool))
    assert ece(sure, draws=20) == (0, 0, 0)
    assert brier(sure, draws=20) == (0, 0, 0)
    mistaken = replace(sure, right=~sure.right)
    assert ece(mistaken, draws=20) == (1, 1, 1)
    assert brier(mistaken, draws=20) == (1, 1, 1)
    none = sure.take(np.zeros(6, bool))
    assert np.isnan(ece(none)).all()
    assert np.isnan(brier(none)).all()
    assert calibration(none).empty
    assert reliability(none, equal_mass=True).empty


def test_brier_is_its_slow_twin() -> None:
    cells = cells_of(3)
    loss = [(p - r) ** 2 for p, r in zip(cells.prob, cells.right, strict=True)]
    rows = [np.flatnonzero(cells.puzzle == puzzle) for puzzle in np.unique(cells.puzzle)]
    drawn = []
    for sample in np.random.default_rng(0).integers(0, len(rows), (50, len(rows))):
        drawn.append(np.mean([loss[i] for puzzle in sample for i in rows[puzzle]]))
    expected = (np.mean(loss), *np.quantile(drawn, [0.025, 0.975]))
    assert brier(cells, draws=50) == pytest.approx(expected)


def test_thirds_are_of_the_steps_and_clues_do_not_count() -> None:
    family = get_family("sudoku-2x2")
    batch = family.generate("test", "logic", 4)
    step = np.where(batch.blank, np.cumsum(batch.blank, axis=1) - 1, -1).astype(np.int16)
    cells = batch.solution.copy()
    first = [int(np.flatnonzero(blank)[0]) for blank in batch.blank]
    cells[0, first[0]] = cells[0, first[0]] % 4 + 1
    prob = np.where(batch.blank, 0.25, 1.0).astype(np.float32)
    found = committed(family, batch, cells, step, prob)
    n_blank = batch.blank.sum(axis=1)
    assert np.bincount(found.puzzle).tolist() == n_blank.tolist()
    assert found.right.tolist() == [False, *[True] * (n_blank.sum() - 1)]
    expected = [3 * place // n for n in n_blank for place in range(n)]
    assert found.third.tolist() == expected
    table = calibration(found, draws=20).set_index("part")
    assert table.index.tolist() == list(PARTS)
    # the first puzzle is wrong from its first step on
    assert found.sound.tolist() == [True, *[False] * (n_blank[0] - 1), *[True] * n_blank[1:].sum()]
    assert table["n"].tolist() == [n_blank.sum(), 1 + n_blank[1:].sum(), *np.bincount(expected)]
    assert table.loc["last third", "right"] == 1
    assert table.loc["last third", "ece"] == pytest.approx(0.75)
    assert table.loc["first third", "brier"] == pytest.approx(
        0.75**2 + (0.25**2 - 0.75**2) / table.loc["first third", "n"]
    )


def test_intervals_by_hand() -> None:
    drawn = np.arange(101) / 100
    assert percentile_interval(drawn) == pytest.approx((0.025, 0.975))
    assert basic_interval(0.6, drawn) == pytest.approx((0.225, 1.175))
    assert basic_interval(0.1, drawn, level=0.9) == pytest.approx((0.0, 0.15))
