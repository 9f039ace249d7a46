"""What an order does: how near it is to the solver's, where decodes go wrong first, what it is worth.

Everything is read from the trace of a decode: the value of a cell and the step at which it got it. Of a
strategy that changes its mind that is the last time, so its earlier states are not seen here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from planorder.results.comparisons import ORACLES
from planorder.results.evaluate import counted_and_wrong, masked_fraction
from planorder.results.resampling import DRAWS, percentile_interval, resampled_sums, t_interval
from planorder.results.stats import wilson
from puzzles.base import AbstractFamily, ConstraintGraph, PuzzleBatch

KINDS = ("broken rule", "same-step clash", "wrong branch")
"""Of a first error: it contradicts a cell filled earlier or given; only one filled in the same step; none."""
ALL = "all"
"""In the column "hardest": all puzzles."""
PAIRS = 4_000_000
"""Pairs of cells held at a time."""


def kendall_tau(step: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of each puzzle between the steps of a decode and the solver's ranks, over its blanks.

    tau_b = (C - D) / sqrt((N - T_step) (N - T_rank)), C and D the concordant and discordant pairs of the N
    pairs of blanks, T the pairs that are tied (as cells filled in one step are).

    Args:
        step: ``[batch, cells]``, -1 on clues.
        rank: ``[batch, cells]``, -1 on clues.

    Returns:
        float64 ``[batch]`` in -1..1; nan where all pairs are tied in one of the two, as where there are none.

    Source: M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
    """
    n, cells = step.shape
    tau = np.full(n, np.nan)
    rows = max(1, PAIRS // cells**2)
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        both = (step[part] >= 0) & (rank[part] >= 0)
        pairs = both[:, :, None] & both[:, None, :]
        x, y = (_signs(places[part]) * pairs for places in (step, rank))
        agree, x_apart, y_apart = (
            (a * b).sum(axis=(1, 2), dtype=np.int64) for a, b in ((x, y), (x, x), (y, y))
        )
        scale = np.sqrt(x_apart.astype(float) * y_apart)
        tau[part] = np.divide(agree, scale, out=np.full(len(scale), np.nan), where=scale > 0)
    return tau


def _signs(places: np.ndarray) -> np.ndarray:
    """int8 ``[batch, cells, cells]``: 1 where the first cell is later than the second, -1 where earlier."""
    later = places[:, :, None] > places[:, None, :]
    return later.astype(np.int8) - later.transpose(0, 2, 1)


def order_agreement(family: AbstractFamily, batch: PuzzleBatch, step: np.ndarray) -> pd.DataFrame:
    """Kendall's tau-b with the solver's order, over all puzzles and by the hardest technique that they need.

    Returns:
        A row for "all" and for each technique that is some puzzle's hardest, in the family's order: hardest,
        n (puzzles whose tau is defined), tau (mean), low, high (95% t over puzzles, within -1..1, which is
        the interval of one puzzle).
    """
    tau = kendall_tau(step, batch.rank)
    known = np.isfinite(tau)
    groups = {ALL: known}
    for technique in np.unique(batch.hardest[known]):
        groups[family.technique_names[technique]] = known & (batch.hardest == technique)
    rows = []
    for name, chosen in groups.items():
        n, (mean, low, high) = int(chosen.sum()), t_interval(tau[chosen])
        rows.append((name, n, mean, *((-1.0, 1.0) if n == 1 else np.clip((low, high), -1, 1))))
    return pd.DataFrame(rows, columns=["hardest", "n", "tau", "low", "high"])


def all_different(graph: ConstraintGraph) -> np.ndarray:
    """bool ``[cells, cells]``: which two cells may not be equal, by the edges without roles."""
    peers = np.zeros((graph.n_cells, graph.n_cells), bool)
    for edge in (edge for kind in graph.edges if not kind.roles for edge in kind.cells):
        members = edge[edge >= 0]
        peers[np.ix_(members, members)] = True
    np.fill_diagonal(peers, False)
    return peers


def first_errors(
    family: AbstractFamily, batch: PuzzleBatch, cells: np.ndarray, step: np.ndarray
) -> pd.DataFrame:
    """The first wrong cell of each puzzle that has one: of those filled at the earliest step the lowest.

    Its kind is "broken rule" where its value stands in a cell that must differ from it and that was given or
    filled at an earlier step, "same-step clash" where only in such a cell filled at the same step, which is
    what parallel decoding risks, and "wrong branch" where no rule was broken yet. Only rules of the kind "all
    different" are looked at (`all_different`), not clues of Zebra or clauses of NAE-SAT.

    Args:
        family: which cells are judged, which of them are right, and which must differ.
        batch: the puzzles.
        cells: int8 ``[batch, cells]``, as decoded.
        step: int16 ``[batch, cells]``, when each cell was filled, -1 on clues.

    Returns:
        index, hardest (technique), cell, value, step, masked (share of the blanks still masked at that
        step), technique (with which the solver fills the cell), kind.
    """
    _, wrong = counted_and_wrong(family, batch, cells)
    when = np.where(wrong & (step >= 0), step.astype(np.int64), np.iinfo(np.int64).max)
    rows = np.flatnonzero((wrong & (step >= 0)).any(axis=1))
    cell = when[rows].argmin(axis=1)
    value, first = cells[rows, cell], step[rows, cell]
    equal = all_different(family.graph())[cell] & (cells[rows] == value[:, None])
    broken = (equal & (step[rows] < first[:, None])).any(axis=1)
    clash = (equal & (step[rows] == first[:, None])).any(axis=1)
    names = np.array(family.technique_names)
    return pd.DataFrame(
        {
            "index": batch.index[rows],
            "hardest": names[batch.hardest[rows]],
            "cell": cell,
            "value": value,
            "step": first,
            "masked": masked_fraction(step)[rows, cell],
            "technique": names[batch.technique[rows, cell]],
            "kind": np.select([broken, clash], KINDS[:2], KINDS[2]),
        }
    )


def error_kinds(errors: pd.DataFrame, n: int) -> pd.DataFrame:
    """How many of n puzzles have a first error of each kind.

    Args:
        errors: the frame of `first_errors`.
        n: puzzles that were decoded.

    Returns:
        A row a kind: kind, n, puzzles (that have it), share (of n), low, high (95% Wilson).
    """
    count = errors["kind"].value_counts().reindex(list(KINDS), fill_value=0).to_numpy()
    low, high = wilson(count, n)
    return pd.DataFrame(
        {"kind": KINDS, "n": n, "puzzles": count, "share": count / n, "low": low, "high": high}
    )


def errors_by_technique(
    family: AbstractFamily, batch: PuzzleBatch, cells: np.ndarray, step: np.ndarray
) -> pd.DataFrame:
    """How often a judged cell is wrong in the end, by the technique with which the solver fills it.

    Returns:
        A row a technique of some cell that was filled, in the family's order: technique, filled, wrong
        (counts), error, low, high (95% Wilson, cells taken as independent, which those of a puzzle are not).
    """
    counted, wrong = counted_and_wrong(family, batch, cells)
    filled = counted & (step >= 0)
    size = len(family.technique_names)
    count = np.bincount(batch.technique[filled], minlength=size)
    bad = np.bincount(batch.technique[filled & wrong], minlength=size)
    low, high = wilson(bad, count)
    frame = pd.DataFrame(
        {
            "technique": family.technique_names,
            "filled": count,
            "wrong": bad,
            "error": bad / np.maximum(count, 1),
            "low": low,
            "high": high,
        }
    )
    return frame[frame["filled"] > 0].reset_index(drop=True)


def gap_closed(
    puzzles: pd.DataFrame,
    baseline: str = "vanilla",
    oracles: Sequence[str] = ORACLES,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """The share of the gap between a baseline and the oracle that each strategy closes.

    closed = (exact(strategy) - exact(baseline)) / (exact(oracle) - exact(baseline)), above 1 where it does
    better than the oracle. The interval is a paired bootstrap: the same resampled puzzles for all. Resamples
    without a gap, or with a reversed one, are left out; where they are more than 2.5%, the ratio has no
    finite interval at 95%, and low and high are nan. closed is nan where the puzzles themselves have no gap.

    Args:
        puzzles: the frame of `tables.per_puzzle`.
        baseline: strategy at 0.
        oracles: strategies of which the first that was decoded is at 1.
        draws: resamples.
        seed: of the resamples.

    Returns:
        A row a strategy of a model that has baseline and oracle too: family, tier, model, strategy, seed,
        oracle, n (puzzles that all three saw), gap (oracle less baseline), closed, low, high.
    """
    found = []
    for keys, group in puzzles.groupby(["family", "tier", "model", "seed"], sort=False):
        exact = {
            str(name): rows.set_index("index")["exact"]
            for name, rows in group.groupby("strategy", sort=False)
        }
        oracle = next((name for name in oracles if name in exact), "")
        for name in exact if oracle and baseline in exact else ():
            if name in (baseline, oracle):
                continue
            three = pd.concat([exact[name], exact[baseline], exact[oracle]], axis=1, join="inner").to_numpy(
                float
            )
            labels = dict(zip(("family", "tier", "model", "seed"), keys, strict=True))
            found.append(labels | {"strategy": name, "oracle": oracle} | _closed(three, draws, seed))
    columns = ["family", "tier", "model", "strategy", "seed", "oracle", "n", "gap", "closed", "low", "high"]
    return pd.DataFrame(found, columns=columns)


def _closed(three: np.ndarray, draws: int, seed: int) -> dict[str, float]:
    """Gap, share closed and interval from ``[puzzles, 3]``: exact of strategy, baseline and oracle."""
    gains = three[:, [0, 2]] - three[:, [1, 1]]
    gain, gap = gains.mean(axis=0)
    drawn = resampled_sums(gains, draws, seed)
    has_gap = drawn[:, 1] > 0
    low = high = float("nan")
    if gap > 0 and (~has_gap).mean() <= 0.025:
        low, high = percentile_interval(drawn[has_gap, 0] / drawn[has_gap, 1])
    closed = float(gain / gap) if gap > 0 else float("nan")
    return {"n": len(three), "gap": float(gap), "closed": closed, "low": low, "high": high}
