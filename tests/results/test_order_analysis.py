"""Order and errors: tau by pairs and by SciPy, first errors cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from math import nan, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from planorder.results import order_analysis
from planorder.results.order_analysis import (
    KINDS,
    all_different,
    error_kinds,
    errors_by_technique,
    first_errors,
    kendall_tau,
    order_agreement,
)
from planorder.results.stats import wilson
from puzzles import get_family
from puzzles.base import ConstraintGraph, EdgeSet, PuzzleBatch

FAMILY = get_family("sudoku-2x2")


def random_ranks(seed: int, n: int = 30, cells: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Steps with ties and ranks without, -1 on the same clues."""
    rng = np.random.default_rng(seed)
    clue = rng.random((n, cells)) < 0.3
    clue[0], clue[1, 1:] = True, True  # no blank, one blank at most
    step = np.where(clue, -1, rng.integers(0, 4, (n, cells)))
    rank = np.where(clue, -1, rng.permuted(np.tile(np.arange(cells), (n, 1)), axis=1))
    return step.astype(np.int16), rank.astype(np.int16)


def slow_tau(step: np.ndarray, rank: np.ndarray) -> float:
    """tau-b of one puzzle, pair by pair."""
    blanks = [cell for cell in range(len(step)) if step[cell] >= 0 and rank[cell] >= 0]
    concordant = discordant = x_tied = y_tied = pairs = 0
    for i, j in combinations(blanks, 2):
        x, y = int(step[i]) - int(step[j]), int(rank[i]) - int(rank[j])
        pairs += 1
        x_tied += x == 0
        y_tied += y == 0
        concordant += x * y > 0
        discordant += x * y < 0
    scale = sqrt((pairs - x_tied) * (pairs - y_tied))
    return (concordant - discordant) / scale if scale else nan


def test_tau_is_its_slow_twin_and_scipys(monkeypatch: pytest.MonkeyPatch) -> None:
    step, rank = random_ranks(0)
    monkeypatch.setattr(order_analysis, "PAIRS", 7 * 64)  # chunks that do not divide the batch
    found = kendall_tau(step, rank)
    expected = [slow_tau(s, r) for s, r in zip(step, rank, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(found[:2]).all()
    for row in np.flatnonzero(np.isfinite(found))[:10]:
        blank = step[row] >= 0
        theirs = stats.kendalltau(step[row, blank], rank[row, blank]).statistic
        assert found[row] == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(
    "fault",
    [
        lambda step, rank: -kendall_tau(step, rank),
        lambda step, rank: kendall_tau(np.where(step < 0, -1, 8 * step + np.arange(8)), rank),
        lambda step, rank: kendall_tau(step + 1, rank + 1),
    ],
    ids=["reversed", "ties broken by cell", "clues counted"],
)
def test_a_wrong_tau_is_noticed(fault: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    step, rank = random_ranks(0)
    expected = np.array([slow_tau(s, r) for s, r in zip(step, rank, strict=True)])
    assert not np.allclose(fault(step, rank), expected, equal_nan=True)


def test_tau_is_one_for_the_same_order_and_minus_one_for_its_reverse() -> None:
    rank = np.array([[-1, 2, 0, 1]], np.int16)
    assert kendall_tau(rank, rank).tolist() == [1.0]
    assert kendall_tau(np.where(rank < 0, -1, 2 - rank), rank).tolist() == [-1.0]
    assert np.isnan(kendall_tau(np.where(rank < 0, -1, 5), rank)).all(), "all in one step is no order"


def batch_of(n: int = 12) -> PuzzleBatch:
    return FAMILY.generate("test", "logic", n)


def test_agreement_by_hardest_technique_has_the_t_interval_of_its_puzzles() -> None:
    batch = replace(batch_of(6), hardest=np.array([1, 1, 2, 2, 2, 1], np.int8))
    rng = np.random.default_rng(1)
    step = np.where(batch.blank, rng.integers(0, 5, batch.clues.shape), -1)
    step[5] = np.where(batch.blank[5], 0, -1)  # undefined
    table = order_agreement(FAMILY, batch, step)
    assert table["hardest"].tolist() == ["all", *FAMILY.technique_names[1:3]]
    assert table["n"].tolist() == [5, 2, 3]
    tau = [slow_tau(s, r) for s, r in zip(step, batch.rank, strict=True)]
    for row, chosen in zip(table.itertuples(), ([0, 1, 2, 3, 4], [0, 1], [2, 3, 4]), strict=True):
        values = [tau[place] for place in chosen]
        half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / sqrt(len(values))
        expected = (np.mean(values), max(np.mean(values) - half, -1), min(np.mean(values) + half, 1))
        assert (row.tau, row.low, row.high) == pytest.approx(expected)


def test_one_puzzle_says_nothing_about_the_mean_tau() -> None:
    batch = batch_of(1)
    row = order_agreement(FAMILY, batch, batch.rank).iloc[0]
    assert row.tolist() == ["all", 1, 1.0, -1.0, 1.0]


def test_all_different_reads_edges_without_roles() -> None:
    edges = (
        EdgeSet("row", np.array([[0, 1, -1]], np.int16)),
        EdgeSet("clause", np.array([[1, 2, 3]], np.int16), ("a", "b", "c")),
    )
    peers = all_different(ConstraintGraph(4, 2, edges, values_interchangeable=True))
    assert np.argwhere(peers).tolist() == [[0, 1], [1, 0]]
    assert (all_different(FAMILY.graph()).sum(axis=1) == 7).all()  # 3 + 3 + 3, two of them twice


def wrong_decodes(seed: int, n: int = 12) -> tuple[PuzzleBatch, np.ndarray, np.ndarray]:
    """Solutions with some values replaced, filled in few steps, so that cells of one step clash."""
    batch, rng = batch_of(n), np.random.default_rng(seed)
    noise = rng.integers(1, 5, batch.clues.shape)
    cells = np.where(batch.blank & (rng.random(noise.shape) < 0.4), noise, batch.solution).astype(np.int8)
    cells[0] = batch.solution[0]
    step = np.where(batch.blank, rng.integers(0, 3, noise.shape), -1).astype(np.int16)
    return batch, cells, step


def slow_first_error(batch: PuzzleBatch, cells: np.ndarray, step: np.ndarray, row: int) -> dict | None:
    """The first error of one puzzle, cell by cell, with the rules of a 4 x 4 Sudoku written out."""
    for when in range(int(step[row].max()) + 1):
        for cell in range(16):
            if step[row, cell] != when or cells[row, cell] == batch.solution[row, cell]:
                continue
            rivals = []
            for other in range(16):
                same = other // 4 == cell // 4 or other % 4 == cell % 4
                same |= other // 8 == cell // 8 and other % 4 // 2 == cell % 4 // 2
                if other != cell and same and cells[row, other] == cells[row, cell]:
                    rivals.append(step[row, other])
            kind = KINDS[0] if any(s < when for s in rivals) else KINDS[1] if when in rivals else KINDS[2]
            blanks = [s for s in step[row] if s >= 0]
            return {
                "index": batch.index[row],
                "hardest": FAMILY.technique_names[batch.hardest[row]],
                "cell": cell,
                "value": cells[row, cell],
                "step": when,
                "masked": sum(s >= when for s in blanks) / len(blanks),
                "technique": FAMILY.technique_names[batch.technique[row, cell]],
                "kind": kind,
            }
    return None


def first_errors_agree(find: Callable[..., pd.DataFrame]) -> bool:
    """Whether `first_errors` is its slow twin on decodes with errors of all kinds."""
    kinds = set()
    for seed in range(4):
        batch, cells, step = wrong_decodes(seed)
        rows = [slow_first_error(batch, cells, step, row) for row in range(len(batch))]
        expected = pd.DataFrame([row for row in rows if row])
        exactly = [name for name in expected if name != "masked"]
        found = find(FAMILY, batch, cells, step)
        if len(found) != len(expected) or not all((found[c] == expected[c]).all() for c in exactly):
            return False
        np.testing.assert_allclose(found["masked"], expected["masked"])
        kinds |= set(found["kind"])
    assert kinds == set(KINDS), "a comparison in which a kind never occurs does not show it"
    return True


def test_first_errors_are_their_slow_twin() -> None:
    assert first_errors_agree(first_errors)


def no_peers(graph: ConstraintGraph) -> np.ndarray:
    return np.zeros((graph.n_cells, graph.n_cells), bool)


def rows_alone(graph: ConstraintGraph) -> np.ndarray:
    return all_different(replace(graph, edges=graph.edges[:1]))


@pytest.mark.parametrize("fault", [no_peers, rows_alone])
def test_peers_that_are_missing_are_noticed(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[ConstraintGraph], np.ndarray]
) -> None:
    monkeypatch.setattr(order_analysis, "all_different", fault)
    with pytest.raises(AssertionError):
        assert first_errors_agree(first_errors)


def last_errors(family: object, batch: PuzzleBatch, cells: np.ndarray, step: np.ndarray) -> pd.DataFrame:
    """Planted: time runs backwards."""
    return first_errors(FAMILY, batch, cells, np.where(step < 0, -1, 2 - step))


def test_an_error_that_is_not_the_first_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert first_errors_agree(last_errors)


def test_kinds_are_counted_out_of_all_puzzles() -> None:
    errors = pd.DataFrame({"kind": [KINDS[2], KINDS[0], KINDS[2]]})
    table = error_kinds(errors, 10)
    assert table["kind"].tolist() == list(KINDS)
    assert table["puzzles"].tolist() == [1, 0, 2]
    assert table["share"].tolist() == [0.1, 0.0, 0.2]
    low, high = wilson([1, 0, 2], 10)
    np.testing.assert_allclose(table[["low", "high"]].to_numpy().T, [low, high])


def test_errors_by_technique_are_counted_cell_by_cell() -> None:
    batch, cells, step = wrong_decodes(0)
    rng = np.random.default_rng(2)
    batch = replace(batch, technique=np.where(batch.blank, rng.integers(1, 4, step.shape), 0).astype(np.int8))
    table = errors_by_technique(FAMILY, batch, cells, step).set_index("technique")
    assert table.index.tolist() == list(FAMILY.technique_names[1:4])
    for technique in (1, 2, 3):
        places = [tuple(place) for place in np.argwhere(batch.technique == technique)]
        wrong = sum(cells[place] != batch.solution[place] for place in places)
        row = table.loc[FAMILY.technique_names[technique]]
        assert (row["filled"], row["wrong"], row["error"]) == (len(places), wrong, wrong / len(places))
        assert (row["low"], row["high"]) == pytest.approx(np.ravel(wilson(wrong, len(places))))
