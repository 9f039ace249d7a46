"""The share of the gap between vanilla and the oracle: by hand, and by resampling puzzle by puzzle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from planorder.results.order_analysis import gap_closed


def puzzles_of(model: str = "net", **exact: list[int] | np.ndarray) -> pd.DataFrame:
    """A per-puzzle frame: a strategy and what it solved."""
    frames = [
        pd.DataFrame({"index": range(len(solved)), "exact": np.array(solved, bool), "strategy": name})
        for name, solved in exact.items()
    ]
    return pd.concat(frames).assign(family="toy-v1", tier="logic", model=model, seed=0)


def test_gap_closed_by_hand() -> None:
    frame = puzzles_of(
        vanilla=[0, 0, 0, 1] * 10,
        mine=[0, 1, 1, 1] * 10,
        solver_order=[1, 1, 1, 1] * 10,
        worse=[0, 0, 0, 0] * 10,
    )
    found = gap_closed(frame, draws=400).set_index("strategy")
    assert found.index.tolist() == ["mine", "worse"]
    assert found["n"].tolist() == [40, 40]
    assert found["gap"].tolist() == [0.75, 0.75]
    assert found["closed"].tolist() == pytest.approx([2 / 3, -1 / 3])
    assert (found["low"] < found["closed"]).all()
    assert (found["closed"] < found["high"]).all()


def test_the_oracle_that_knows_the_solution_comes_before_the_solvers_order() -> None:
    """Which is a strategy like others then, and may be far from the best."""
    frame = puzzles_of(
        vanilla=[0] * 20, solver_order=[1, 0] * 10, mine=[1, 1, 1, 0] * 5, oracle_margin=[1] * 20
    )
    found = gap_closed(frame, draws=50).set_index("strategy")
    assert found["oracle"].unique().tolist() == ["oracle_margin"]
    assert found["closed"].to_dict() == {"solver_order": 0.5, "mine": 0.75}


def gap_agrees(measure: Callable[..., pd.DataFrame]) -> bool:
    """Whether a share closed and its interval are those of resampling puzzle by puzzle."""
    rng = np.random.default_rng(3)
    base, mine = (rng.random(25) < 0.2).astype(int), (rng.random(25) < 0.5).astype(int)
    frame = puzzles_of(vanilla=base, mine=mine, solver_order=np.ones(25, int))
    row = measure(frame, draws=200, seed=7).iloc[0]
    drawn = np.random.default_rng(7).integers(0, 25, (200, 25))
    ratios = [(mine[d].mean() - base[d].mean()) / (1 - base[d].mean()) for d in drawn]
    closed = (mine.mean() - base.mean()) / (1 - base.mean())
    expected = (closed, *np.quantile(ratios, [0.025, 0.975]))
    found = (row["closed"], row["low"], row["high"])
    return bool(np.allclose(found, expected))


def test_gap_interval_is_its_slow_twin() -> None:
    assert gap_agrees(gap_closed)


def unpaired(frame: pd.DataFrame, **options: int) -> pd.DataFrame:
    """Planted: the strategy's puzzles are not those of the other two."""
    moved = frame["strategy"] == "mine"
    return gap_closed(
        frame.assign(index=np.where(moved, (frame["index"] + 1) % 25, frame["index"])), **options
    )


def upside_down(frame: pd.DataFrame, **options: int) -> pd.DataFrame:
    """Planted: the share that is left open."""
    found = gap_closed(frame, **options)
    return found.assign(closed=1 - found["closed"], low=1 - found["high"], high=1 - found["low"])


@pytest.mark.parametrize("fault", [unpaired, upside_down])
def test_a_wrong_gap_is_noticed(fault: Callable[..., pd.DataFrame]) -> None:
    assert not gap_agrees(fault)


def test_a_gap_that_chance_may_close_has_no_interval() -> None:
    frame = puzzles_of(vanilla=[0] * 30, mine=[0] * 30, solver_order=[1] + [0] * 29)
    row = gap_closed(frame, draws=200).iloc[0]
    assert row["closed"] == 0
    assert np.isnan(row[["low", "high"]].astype(float)).all()
    none = gap_closed(puzzles_of(vanilla=[1, 0], mine=[1, 1], solver_order=[0, 1]), draws=50).iloc[0]
    assert np.isnan(none[["closed", "low", "high"]].astype(float)).all()


def test_models_without_baseline_or_oracle_have_no_gap_and_puzzles_are_matched() -> None:
    alone = puzzles_of("ar", free=[1, 0])
    shuffled = puzzles_of(vanilla=[0, 0, 1], solver_order=[1, 1, 1], mine=[1, 0, 1]).sample(
        frac=1, random_state=0
    )
    found = gap_closed(pd.concat([alone, shuffled]), draws=50)
    assert found["strategy"].tolist() == ["mine"]
    assert found["closed"].tolist() == [0.5]
    assert list(gap_closed(alone).columns) == list(found.columns)
