"""Selective answers: curves and areas puzzle by puzzle, subsets of decodes by listing them all."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise, permutations
from math import log

import numpy as np
import pytest
from scipy import stats

from planorder.results import resampling
from planorder.results.resampling import resampled, resampled_sums, t_interval
from planorder.results.selective import (
    aurc,
    best_of_n,
    confidence,
    least_aurc,
    risk_coverage,
    selective_risk,
)
from planorder.results.stats import wilson
from puzzles.base import UserInputError


def test_confidence_by_hand() -> None:
    prob = np.array([[1.0, 0.5, 0.25], [1.0, 1.0, 1.0], [0.0, 1.0, 0.9]], np.float32)
    blank = np.array([[0, 1, 1], [0, 0, 0], [1, 1, 0]], bool)
    mean = confidence(prob, blank)
    assert mean[:2].tolist() == pytest.approx([log(0.125) / 2, 0.0])
    assert np.isfinite(mean[2])
    assert mean[2] < -30
    assert confidence(prob, blank, "min_prob").tolist() == [0.25, 1.0, 0.0]
    with pytest.raises(UserInputError, match="confidence 'margin': expected one of mean_log_prob, min_prob"):
        confidence(prob, blank, "margin")


def test_risk_coverage_by_hand() -> None:
    sureness = np.array([0.9, 0.2, 0.9, 0.5])
    table = risk_coverage(sureness, np.array([1, 0, 0, 1], bool))
    assert table["threshold"].tolist() == [0.9, 0.5, 0.2]
    assert table["answered"].tolist() == [2, 3, 4]
    assert table["wrong"].tolist() == [1, 1, 2]
    assert table["coverage"].tolist() == [0.5, 0.75, 1.0]
    assert table["risk"].tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 2])
    np.testing.assert_allclose(table[["low", "high"]].to_numpy().T, wilson([1, 1, 2], [2, 3, 4]))


def plain_aurc(wrong_in_order: list[float]) -> float:
    """Mean over k of the errors among the first k, over k."""
    n = len(wrong_in_order)
    return sum(sum(wrong_in_order[:k]) / k for k in range(1, n + 1)) / n


def slow_aurc(sureness: np.ndarray, exact: np.ndarray) -> float:
    """The mean of `plain_aurc` over every order that puts the surer first."""
    places = range(len(sureness))
    orders = [
        order for order in permutations(places) if all(sureness[a] >= sureness[b] for a, b in pairwise(order))
    ]
    return float(np.mean([plain_aurc([1.0 - exact[place] for place in order]) for order in orders]))


def risks_agree(measure: Callable[..., dict[str, float]]) -> bool:
    """Whether AURC and E-AURC, with ties, are those of all orders listed."""
    rng = np.random.default_rng(0)
    for _ in range(6):
        sureness, exact = rng.integers(0, 3, 6) / 4, rng.random(6) < 0.5
        found = measure(sureness, exact, draws=5)
        area = slow_aurc(sureness, exact)
        least = plain_aurc(sorted((~exact).astype(float)))
        if (found["aurc"], found["e_aurc"]) != pytest.approx((area, area - least), abs=1e-12):
            return False
    return True


def test_aurc_is_its_slow_twin() -> None:
    assert risks_agree(selective_risk)


def least_sure_first(sureness: np.ndarray, exact: np.ndarray, draws: int) -> dict[str, float]:
    """Planted."""
    return selective_risk(-sureness, exact, draws)


def ties_by_luck(sureness: np.ndarray, exact: np.ndarray, draws: int) -> dict[str, float]:
    """Planted: among equally sure puzzles the solved come first."""
    return selective_risk(sureness + 1e-6 * exact, exact, draws)


@pytest.mark.parametrize("fault", [least_sure_first, ties_by_luck])
def test_a_wrong_aurc_is_noticed(fault: Callable[..., dict[str, float]]) -> None:
    assert not risks_agree(fault)


def test_limits_of_the_risk() -> None:
    sureness = np.arange(8.0)
    solved = selective_risk(sureness, np.ones(8, bool), draws=10)
    assert all(solved[name] == 0 for name in solved if "aurc" in name)
    ordered = selective_risk(sureness, sureness >= 3, draws=10)
    assert ordered["e_aurc"] == pytest.approx(0, abs=1e-12)
    assert ordered["e_aurc_high"] == pytest.approx(0, abs=1e-12)
    blind = selective_risk(np.zeros(8), sureness >= 3, draws=10)
    assert blind["aurc"] == pytest.approx(3 / 8)
    assert selective_risk(sureness, np.zeros(8, bool), draws=10)["aurc"] == 1


def test_interval_of_the_risk_is_its_slow_twin() -> None:
    rng = np.random.default_rng(1)
    sureness, exact = rng.permutation(15) / 15, rng.random(15) < 0.6
    found = selective_risk(sureness, exact, draws=40, seed=9)
    drawn = []
    for sample in np.random.default_rng(9).integers(0, 15, (40, 15)):
        ranked = sorted(sample, key=lambda place: -sureness[place])
        area = plain_aurc([1.0 - exact[place] for place in ranked])
        drawn.append((area, area - plain_aurc(sorted(1.0 - exact[sample]))))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    names = ("aurc_low", "e_aurc_low", "aurc_high", "e_aurc_high")
    assert [found[name] for name in names] == pytest.approx([*low, *high], abs=1e-12)


def test_groups_may_be_empty_in_a_resample() -> None:
    count, wrong = np.array([[0, 2, 0, 1]]), np.array([[0, 1, 0, 0]])
    assert aurc(count, wrong).tolist() == pytest.approx([(0.5 + 0.5 + 1 / 3) / 3])
    assert least_aurc(np.array([4]), np.array([1])).tolist() == pytest.approx([1 / 16])


def slow_best_of(sureness: np.ndarray, exact: np.ndarray, n: int) -> tuple[float, float]:
    """The surest of n and any of n, by listing the subsets; equally sure decodes share."""
    ranked, oracle = [], []
    for subset in combinations(range(len(sureness)), n):
        some, right = sureness[list(subset)], exact[list(subset)]
        top = some == some.max(axis=0)
        ranked.append((right * top).sum(axis=0) / top.sum(axis=0))
        oracle.append(right.any(axis=0))
    return float(np.mean(ranked)), float(np.mean(oracle))


def best_agrees(measure: Callable) -> bool:
    """Whether best of n is that of all subsets, ties included."""
    rng = np.random.default_rng(2)
    sureness, exact = rng.integers(0, 4, (5, 7)) / 4, rng.random((5, 7)) < 0.4
    table = measure(sureness, exact)
    expected = [slow_best_of(sureness, exact, n) for n in range(1, 6)]
    return table["n"].tolist() == [1, 2, 3, 4, 5] and table[["ranked", "oracle"]].to_numpy() == pytest.approx(
        np.array(expected)
    )


def test_best_of_n_is_its_slow_twin() -> None:
    assert best_agrees(best_of_n)


@pytest.mark.parametrize(
    "fault",
    [
        lambda sureness, exact: best_of_n(-sureness, exact),
        lambda sureness, exact: best_of_n(sureness - np.arange(5)[:, None] * 1e-6, exact),
        lambda sureness, exact: best_of_n(sureness, exact[::-1]),
    ],
)
def test_a_wrong_best_of_n_is_noticed(fault: Callable) -> None:
    assert not best_agrees(fault)


def test_one_decode_is_the_mean_and_intervals_are_over_puzzles() -> None:
    rng = np.random.default_rng(3)
    exact = rng.random((4, 50)) < 0.5
    table = best_of_n(rng.random((4, 50)), exact)
    shares = exact.mean(axis=0)
    half = stats.t.ppf(0.975, 49) * shares.std(ddof=1) / np.sqrt(50)
    first = table.iloc[0]
    assert first["ranked"] == pytest.approx(first["oracle"]) == pytest.approx(shares.mean())
    assert (first["ranked_low"], first["ranked_high"]) == pytest.approx(
        (shares.mean() - half, shares.mean() + half)
    )
    assert table["oracle"].iloc[-1] == exact.any(axis=0).mean()
    assert (table["oracle"] >= table["ranked"] - 1e-12).all()


def test_what_does_not_fit_is_refused() -> None:
    for sureness, exact in ((np.zeros(3), np.ones(2, bool)), (np.zeros(0), np.zeros(0, bool))):
        with pytest.raises(UserInputError, match="expected one each"):
            risk_coverage(sureness, exact)
    with pytest.raises(UserInputError, match="not finite"):
        selective_risk(np.array([np.nan, 0.0]), np.ones(2, bool))


def test_resamples_are_samples_with_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.random.default_rng(4).integers(0, 6, (11, 6))
    monkeypatch.setattr(resampling, "CHUNK", 25)  # four samples at a time
    parts = list(resampled(6, draws=11, seed=4))
    assert [len(part) for part in parts] == [4, 4, 3]
    counts = np.concatenate(parts)
    assert counts.tolist() == [np.bincount(row, minlength=6).tolist() for row in drawn]
    values = np.arange(12.0).reshape(6, 2)
    np.testing.assert_allclose(resampled_sums(values, 11, 4), values[drawn].sum(axis=1))
    with pytest.raises(UserInputError, match="resampling 0 puzzles"):
        list(resampled(0))


def test_t_interval_is_scipys_and_a_point_without_spread() -> None:
    values = np.array([3.0, 5.0, 10.0, -1.0])
    expected = stats.t.interval(0.9, 3, loc=values.mean(), scale=stats.sem(values))
    assert t_interval(values, 0.9) == pytest.approx((values.mean(), *expected))
    assert t_interval([50, 50, 50]) == (50, 50, 50)
    assert t_interval([4]) == (4, 4, 4)
    assert np.isnan(t_interval([])).all()
