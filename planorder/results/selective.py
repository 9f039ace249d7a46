"""Whether a decode knows that it is right: answering only the surest puzzles, the surest of n decodes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import gammaln

from planorder.results.resampling import DRAWS, percentile_interval, resampled
from planorder.results.stats import mean_interval, wilson
from puzzles.base import UserInputError

CONFIDENCES = ("mean_log_prob", "min_prob")
"""Of a puzzle: the mean log-probability of its cells when they were filled, or the least probability."""
TINY = 1e-30


def confidence(prob: np.ndarray, blank: np.ndarray, kind: str = "mean_log_prob") -> np.ndarray:
    """float64 ``[batch]``: how sure a decode was of each puzzle; without blanks as sure as can be.

    Args:
        prob: ``[batch, cells]``, the probability each cell was filled with.
        blank: bool ``[batch, cells]``, the cells that were filled.
        kind: of `CONFIDENCES`.
    """
    if kind not in CONFIDENCES:
        raise UserInputError(f"confidence {kind!r}: expected one of {', '.join(CONFIDENCES)}")
    p = np.where(blank, prob.astype(float), 1.0)
    if kind == "min_prob":
        return p.min(axis=1)
    return np.log(np.maximum(p, TINY)).sum(axis=1) / np.maximum(blank.sum(axis=1), 1)


def groups_of(sureness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Puzzles from the surest on, ``[puzzles]``, and where each group of equally sure ones begins."""
    order = np.argsort(-sureness, kind="stable")
    ranked = sureness[order]
    return order, np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])


def risk_coverage(sureness: np.ndarray, exact: np.ndarray) -> pd.DataFrame:
    """The risk-coverage curve: how many of the puzzles answered are wrong if only the surest are answered.

    Args:
        sureness: ``[puzzles]``, of `confidence`.
        exact: bool ``[puzzles]``.

    Returns:
        A row a threshold, from the highest: threshold, answered, wrong, coverage (share answered), risk
        (share of those that is wrong), low, high (95% Wilson of the risk).

    Source: R. El-Yaniv and Y. Wiener, JMLR 11 (2010); arXiv:1705.08500.
    """
    require(sureness, exact)
    order, starts = groups_of(sureness)
    ends = np.r_[starts[1:], len(order)]
    wrong = np.cumsum(~exact[order].astype(bool))[ends - 1]
    low, high = wilson(wrong, ends)
    return pd.DataFrame(
        {
            "threshold": sureness[order][starts],
            "answered": ends,
            "wrong": wrong,
            "coverage": ends / len(order),
            "risk": wrong / ends,
            "low": low,
            "high": high,
        }
    )


def harmonic(n: int) -> np.ndarray:
    """float64 ``[n + 1]``: 1 + 1/2 + ... + 1/k at k, 0 at 0."""
    return np.r_[0.0, np.cumsum(1 / np.arange(1, n + 1))]


def aurc(count: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Area under the risk-coverage curve of puzzles in groups: the mean over k of the risk of the k surest.

    Equally sure puzzles come in random order, so the k surest hold, in expectation, a share of their group:
    with N and E puzzles and errors before the group, and r the group's share of errors, (E + (k - N) r) / k.
    The sum over k is a difference of harmonic numbers H, (E - N r) (H(N + count) - H(N)) + r count.

    Args:
        count: ``[..., groups]``, puzzles in each group, from the surest on; some of them may have none.
        wrong: ``[..., groups]``, how many of those are wrong.

    Returns:
        float64 ``[...]``. Source: arXiv:1805.08206.
    """
    after, errors = count.cumsum(-1), wrong.cumsum(-1)
    before, errors = after - count, errors - wrong
    h = harmonic(int(after[..., -1].max()))
    rate = wrong / np.maximum(count, 1)
    area: np.ndarray = ((errors - before * rate) * (h[after] - h[before]) + rate * count).sum(-1)
    return area / after[..., -1]


def least_aurc(n: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The AURC of a confidence that puts all errors last: what E-AURC (arXiv:1805.08206) subtracts.

    Exact, (wrong - (n - wrong) (H(n) - H(n - wrong))) / n; the source approximates H by a logarithm.
    """
    n, wrong = np.asarray(n), np.asarray(wrong)
    h, right = harmonic(int(n.max())), n - wrong
    return (wrong - right * (h[n] - h[right])) / n


def selective_risk(
    sureness: np.ndarray, exact: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> dict[str, float]:
    """AURC and excess AURC of a confidence, with 95% bootstrap intervals over puzzles (percentile).

    Both are 0 where every puzzle is solved; E-AURC is 0 where the confidence ranks every error below every
    solved puzzle. A confidence that says nothing has an AURC of the share of errors.

    Returns:
        n, exact, aurc, aurc_low, aurc_high, e_aurc, e_aurc_low, e_aurc_high.
    """
    require(sureness, exact)
    order, starts = groups_of(sureness)
    is_wrong = ~exact[order].astype(bool)

    def both(counts: np.ndarray) -> np.ndarray:
        ranked = counts[:, order]
        grouped, bad = (np.add.reduceat(c, starts, axis=1) for c in (ranked, ranked * is_wrong))
        area = aurc(grouped, bad)
        excess = area - least_aurc(grouped.sum(1), bad.sum(1))
        return np.stack([area, excess.clip(0)], axis=1)  # below 0 by rounding alone

    estimate = both(np.ones((1, len(order)), np.int64))[0]
    drawn = np.concatenate([both(counts) for counts in resampled(len(order), draws, seed)])
    found: dict[str, float] = {"n": len(order), "exact": float(exact.mean())}
    for place, name in enumerate(("aurc", "e_aurc")):
        low, high = percentile_interval(drawn[:, place])
        found |= {name: float(estimate[place]), f"{name}_low": low, f"{name}_high": high}
    return found


def best_of_n(sureness: np.ndarray, exact: np.ndarray) -> pd.DataFrame:
    """Accuracy of the surest of n decodes of a puzzle, and of an oracle that takes any that is right.

    In expectation over the subsets of n of the N decodes at hand, without drawing any: the decode of rank r
    (from 0) is the surest of a subset with probability C(N - 1 - r, n - 1) / C(N, n), equally sure ones
    sharing; and all of n are wrong with probability C(N - right, n) / C(N, n) (pass@k, arXiv:2107.03374).

    Args:
        sureness: ``[decodes, puzzles]``, comparable between decodes of a puzzle.
        exact: bool ``[decodes, puzzles]``.

    Returns:
        A row for n = 1, ..., N: n, ranked, oracle, each with ``_low`` and ``_high`` (95% t over puzzles).
    """
    require(sureness, exact)
    decodes = len(sureness)
    order = np.argsort(-sureness, axis=0, kind="stable")
    value = _shared(np.take_along_axis(sureness, order, 0), np.take_along_axis(exact, order, 0).astype(float))
    right = exact.sum(axis=0)
    rows: list[dict[str, float]] = []
    for n in range(1, decodes + 1):
        all_subsets = _choose(decodes, n)
        top = np.exp(_choose(decodes - 1 - np.arange(decodes), n - 1) - all_subsets)
        shares = {"ranked": top @ value, "oracle": 1 - np.exp(_choose(decodes - right, n) - all_subsets)}
        row: dict[str, float] = {"n": n}
        for name, share in shares.items():
            share = share.clip(0, 1)  # rounding
            low, high = mean_interval(share)
            row |= {name: float(share.mean()), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def _shared(ranked: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """``exact [decodes, puzzles]``, in the order of ``ranked``, averaged over equally sure decodes."""
    equal = ranked[:, None] == ranked[None]
    return (equal * exact[None]).sum(axis=1) / equal.sum(axis=1)


def _choose(n: int | np.ndarray, k: int) -> np.ndarray:
    """log of the binomial coefficients C(n, k); -inf where k > n."""
    n = np.asarray(n, float)
    possible = n >= k
    m = np.where(possible, n, k)
    return np.where(possible, gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1), -np.inf)


def require(sureness: np.ndarray, exact: np.ndarray) -> None:
    """Raises `UserInputError` unless there is a finite confidence and an answer for each of some puzzles."""
    if sureness.shape != exact.shape or not sureness.size:
        raise UserInputError(
            f"confidence of shape {sureness.shape}, exact of {exact.shape}: expected one each, for puzzles"
        )
    if not np.isfinite(sureness).all():
        raise UserInputError("a confidence is not finite: expected numbers; check the probabilities")
