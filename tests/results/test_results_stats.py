from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial, ttest_1samp, ttest_rel

from planorder.results.stats import holm, mean_interval, paired_exact, paired_means, wilson
from puzzles.base import UserInputError


def pairs(a, b, c, d):
    """Answers with ``a`` puzzles solved by both, ``b`` by the first, ``c`` by the second, ``d`` by none."""
    return np.repeat([1, 1, 0, 0], [a, b, c, d]), np.repeat([1, 0, 1, 0], [a, b, c, d])


def test_wilson_by_hand():
    # z = 1.959964; (0.5 + z^2 / 20 -+ z sqrt(0.25 / 10 + z^2 / 400)) / (1 + z^2 / 10)
    low, high = wilson(5, 10)
    assert low == pytest.approx(0.2365931, abs=1e-6)
    assert high == pytest.approx(0.7634069, abs=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_wilson_is_scipys(level):
    for n in (1, 7, 1000):
        for k in {0, 1, n // 3, n - 1, n}:
            reference = binomtest(k, n).proportion_ci(level, method="wilson")
            assert np.allclose(wilson(k, n, level), reference, atol=1e-12)


def test_wilson_ends_and_shapes():
    low, high = wilson([0, 10, 0], [10, 10, 0])
    assert low[0] == 0
    assert high[1] == 1
    assert (low[2], high[2]) == (0, 1)
    assert low.shape == (3,)
    n = np.arange(1, 300)
    assert not wilson(0 * n, n)[0].any()  # exactly, which the formula alone would miss by rounding
    assert (wilson(n, n)[1] == 1).all()


@pytest.mark.parametrize(("k", "n", "level"), [(11, 10, 0.95), (-1, 10, 0.95), (1, 10, 95)])
def test_wilson_refuses(k, n, level):
    with pytest.raises(UserInputError):
        wilson(k, n, level)


@pytest.mark.parametrize(("b", "c"), list(product(range(7), range(7))))
def test_mcnemar_enumerated(b, c):
    """The p-value summed over all ways the discordant puzzles can fall that are no likelier."""
    weights = [comb(b + c, k) / 2 ** (b + c) for k in range(b + c + 1)]
    expected = sum(weight for weight in weights if weight <= weights[b] * (1 + 1e-9))
    test = paired_exact(*pairs(4, b, c, 3))
    assert test.p == pytest.approx(expected)
    assert (test.only_first, test.only_second, test.n) == (b, c, 7 + b + c)
    assert test.difference == pytest.approx((b - c) / (7 + b + c))
    assert -1 <= test.low <= test.difference <= test.high <= 1


def test_newcombe_by_hand():
    """50% against 25% of 40: Wilson 0.3520-0.6480 and 0.1419-0.4019, phi = (200 - 20) / sqrt(120000).

    With phi = 0.5196: sqrt(0.1480^2 - 2 phi 0.1480 0.1519 + 0.1519^2) = 0.1470 below and
    sqrt(0.1480^2 - 2 phi 0.1480 0.1081 + 0.1081^2) = 0.1302 above.
    """
    test = paired_exact(*pairs(10, 10, 0, 20))
    assert (test.low, test.high) == pytest.approx((0.25 - 0.1470, 0.25 + 0.1302), abs=2e-4)


def test_paired_depends_on_the_pairs_and_not_on_totals_alone():
    together, apart = paired_exact(*pairs(40, 10, 0, 50)), paired_exact(*pairs(20, 30, 20, 30))
    assert together.difference == apart.difference
    assert together.p < 0.01 < 0.1 < apart.p
    assert together.high - together.low < apart.high - apart.low


def test_paired_turned_round():
    one, other = paired_exact(*pairs(9, 5, 2, 8)), paired_exact(*pairs(9, 2, 5, 8))
    assert one.p == other.p
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_no_discordant_puzzle_is_not_certainty():
    test = paired_exact(*pairs(90, 0, 0, 10))
    assert test.p == 1
    assert test.low < 0 < test.high


def test_interval_covers():
    """Coverage of the 95% interval, summed over every table of 20 puzzles."""
    n = 20
    tables = [(a, b, c, n - a - b - c) for a, b, c in product(range(n + 1), repeat=3) if a + b + c <= n]
    ends = np.array([(test.low, test.high) for test in (paired_exact(*pairs(*table)) for table in tables)])
    for truth in ((0.6, 0.2, 0.1, 0.1), (0.3, 0.2, 0.2, 0.3), (0.85, 0.1, 0.02, 0.03), (0.1, 0.5, 0.2, 0.2)):
        difference = truth[1] - truth[2]
        covers = (ends[:, 0] <= difference) & (difference <= ends[:, 1])
        assert 0.93 < multinomial.pmf(tables, n, truth)[covers].sum() < 0.995, truth


@pytest.mark.parametrize(("a", "b"), [([], []), ([True], [True, False]), ([[True]], [[True]])])
def test_paired_refuses(a, b):
    with pytest.raises(UserInputError, match="one answer a puzzle"):
        paired_exact(a, b)


def test_holm_by_hand():
    # sorted .01 .02 .03 .04 by 4 3 2 1: .04 .06 .06 (not .06 .04)
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert len(holm([])) == 0


def test_holm_refuses():
    with pytest.raises(UserInputError):
        holm([0.5, float("nan")])


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_interval_of_a_mean_is_scipys(level):
    for n in (2, 5, 300):
        shares = np.random.default_rng(n).uniform(0.4, 0.6, n)
        found = ttest_1samp(shares, 0).confidence_interval(level)
        assert mean_interval(shares, level) == pytest.approx((found.low, found.high))


def test_the_interval_of_a_mean_at_the_ends():
    assert mean_interval([1.0] * 40) == pytest.approx(tuple(np.ravel(wilson(40, 40))))
    assert mean_interval([0.0] * 40) == pytest.approx(tuple(np.ravel(wilson(0, 40))))
    assert mean_interval([0.5]) == (0, 1)
    assert mean_interval([0.25] * 5) == (0.25, 0.25)
    low, high = mean_interval([1.0, 1.0, 0.9])
    assert low < 2.9 / 3 < high == 1, "no end lies outside of 0..1"


def test_cells_of_one_puzzle_are_no_units():
    """Planted fault: an interval over cells is far too narrow where mistakes of a puzzle come together."""
    rng, inside, cells = np.random.default_rng(0), 0, 0
    for _ in range(400):
        share = rng.uniform(0.5, 1, 30)  # of a puzzle; the mean is 0.75
        low, high = mean_interval(share)
        inside += low <= 0.75 <= high
        narrow, wide = wilson(share.mean() * 30 * 275, 30 * 275)
        cells += narrow <= 0.75 <= wide
    assert 0.92 < inside / 400 < 0.98
    assert cells / 400 < 0.6


def test_paired_means_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.random(60), rng.random(60)
    found, expected = paired_means(a, b), ttest_rel(a, b)
    ends = expected.confidence_interval()
    assert (found.p, found.low, found.high) == pytest.approx((expected.pvalue, ends.low, ends.high))
    assert found.difference == pytest.approx((a - b).mean())
    assert (found.only_first, found.only_second, found.n) == ((a > b).sum(), (a < b).sum(), 60)


def test_paired_means_without_spread():
    assert (paired_means([0.5, 1], [0.5, 1]).p, paired_means([0.5, 0.5], [0, 0]).p) == (1, 0)
    alone = paired_means([0.5], [0.25])
    assert (alone.difference, alone.low, alone.high, alone.p) == (0.25, -1, 1, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_interval([]),
        lambda: mean_interval([1.2]),
        lambda: mean_interval([0.1, 0.3], 95),
        lambda: paired_means([], []),
        lambda: paired_means([0.1], [0.1, 0.2]),
    ],
)
def test_means_refuse(call):
    with pytest.raises(UserInputError) as caught:
        call()
    assert "\n" not in str(caught.value)
