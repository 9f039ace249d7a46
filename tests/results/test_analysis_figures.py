"""The figures of analyses: what stands in them, and where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from planorder.results.analysis_figures import (
    FEWEST,
    LOOKS,
    accuracy_frontier,
    error_kinds,
    reliability,
    risk_coverage,
    tau_by_technique,
)
from planorder.results.order_analysis import KINDS
from planorder.results.plotting import render
from puzzles.base import UserInputError

ORDERS = ("vanilla", "top_margin", "threshold")


def frame(**columns: object) -> pd.DataFrame:
    """The columns for each of two tiers and three strategies; a callable is given the numbers of both."""
    rows = []
    for t, tier in enumerate(("logic", "hard")):
        for s, strategy in enumerate(ORDERS):
            part = pd.DataFrame({k: v(t, s) if callable(v) else v for k, v in columns.items()})
            rows.append(part.assign(tier=tier, strategy=strategy))
    return pd.concat(rows, ignore_index=True)


def share(*values: float) -> Callable[[int, int], np.ndarray]:
    """Shares that fall with the tier and rise with the strategy."""
    return lambda t, s: np.array(values) - 0.1 * t + 0.02 * s


def points() -> pd.DataFrame:
    return frame(
        dial=lambda t, s: ["tau" if s == 2 else "T"] * 3,
        passes=[50.0, 20.0, 5.0],
        n=40,
        exact=share(0.9, 0.6, 0.2),
        exact_low=share(0.8, 0.5, 0.15),
        exact_high=share(0.95, 0.7, 0.3),
        on_frontier=lambda t, s: [s == 2, True, False],
    )


def curves() -> pd.DataFrame:
    return frame(
        coverage=[0.25, 0.5, 0.75, 1.0],
        risk=share(0.1, 0.2, 0.3, 0.4),
        low=share(0.1, 0.1, 0.2, 0.3),
        high=share(0.3, 0.4, 0.5, 0.6),
        n=40,
    )


def tables() -> pd.DataFrame:
    return frame(
        confidence=[0.2, 0.6, 0.9],
        right=share(0.3, 0.5, 0.9),
        low=share(0.2, 0.4, 0.8),
        high=share(0.4, 0.7, 0.95),
        n=[FEWEST - 1, FEWEST, 500],
    )


def agreement() -> pd.DataFrame:
    whole = frame(hardest=["all", "single", "pair"], n=[9, 4, 5], tau=share(0.5, 0.4, 0.3))
    whole = whole.assign(low=whole["tau"] - 0.1, high=whole["tau"] + 0.1)
    return whole[(whole["tier"] == "logic") | (whole["hardest"] != "pair")]


def kinds() -> pd.DataFrame:
    return frame(kind=list(KINDS), n=40, share=lambda t, s: [0.1, 0.2 * t, 0.3])


DRAWN: list[tuple[Callable[[pd.DataFrame], Figure], Callable[[], pd.DataFrame]]] = [
    (accuracy_frontier, points),
    (risk_coverage, curves),
    (reliability, tables),
    (tau_by_technique, agreement),
    (error_kinds, kinds),
]


@pytest.mark.parametrize(("draw", "make"), DRAWN)
def test_a_figure_is_drawn_and_nothing_is_refused(
    draw: Callable[[pd.DataFrame], Figure], make: Callable[[], pd.DataFrame]
) -> None:
    table = make()
    before = table.copy()
    assert render(draw(table)).startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(table, before)
    with pytest.raises(UserInputError, match="no rows to draw"):
        draw(table.iloc[:0])


def marks(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Where the points of an axes are, in order."""
    lines = [container.lines[0] for container in axes.containers]
    return [(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for line in lines]


def test_frontier_shows_every_point_its_interval_and_the_front() -> None:
    table = points().query("tier == 'hard'")
    axes = accuracy_frontier(table).axes[0]
    assert axes.get_title(loc="left") == "hard"
    assert axes.get_xscale() == "log"
    for place, (x, y) in enumerate(marks(axes)):
        rows = table[table["strategy"] == ORDERS[place]]
        np.testing.assert_allclose(y, 100 * rows["exact"])
        np.testing.assert_allclose(x, rows["passes"], rtol=0.02)
        bars = axes.containers[place].lines[2][0].get_segments()
        np.testing.assert_allclose(
            [bar[:, 1] for bar in bars], 100 * rows[["exact_low", "exact_high"]].to_numpy()
        )
    lines = [container.lines[0].get_linestyle() for container in axes.containers]
    assert lines == ["-", "-", "--"], "those that count by themselves are dashed"
    (front,) = [line for line in axes.lines if line.get_markersize() == 11]
    ringed = table[table["on_frontier"].astype(bool)]
    np.testing.assert_allclose(np.sort(front.get_xdata()), np.sort(ringed["passes"]), rtol=0.02)
    assert sorted(front.get_ydata()) == pytest.approx(sorted(100 * ringed["exact"]))
    legend = axes.figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [*ORDERS, "Pareto front"]


def test_frontier_has_a_panel_a_tier_and_a_line_a_dial() -> None:
    table = points()
    assert [axes.get_title(loc="left") for axes in accuracy_frontier(table).axes] == ["logic", "hard"]
    table.loc[(table["strategy"] == ORDERS[0]) & (table["passes"] < 10), "dial"] = "K"
    figure = accuracy_frontier(table)
    lines = [container.lines[0].get_linestyle() for container in figure.axes[1].containers]
    assert lines == ["-", ":", "-", "--"]
    assert "K cells a step" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_markers_of_the_default_frontier_all_differ() -> None:
    from planorder.frontier import CHOSEN

    assert len({LOOKS[name][1] for name in CHOSEN.split(",")}) == len(CHOSEN.split(","))


def test_risk_is_drawn_at_each_coverage() -> None:
    panels = risk_coverage(curves()).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["logic", "hard"]
    for tier, axes in zip(("logic", "hard"), panels, strict=True):
        part = curves()[curves()["tier"] == tier]
        for strategy, (x, y) in zip(ORDERS, marks(axes), strict=True):
            rows = part[part["strategy"] == strategy]
            np.testing.assert_allclose(y, 100 * rows["risk"])
            np.testing.assert_allclose(x, 100 * rows["coverage"], atol=2)


def test_reliability_leaves_out_small_bins() -> None:
    figure = reliability(tables())
    for axes in figure.axes:
        assert all(len(x) == 2 for x, _ in marks(axes))
        assert axes.lines[0].get_linestyle() == ":", "the diagonal"
    assert f"fewer than {FEWEST}" in figure.get_supxlabel()


def test_tau_has_a_row_a_tier_and_technique_but_none_twice() -> None:
    axes = tau_by_technique(agreement()).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [
        "logic: all (n = 9)",
        "logic: single (n = 4)",
        "logic: pair (n = 5)",
        "hard: all (n = 9)",  # one technique, which is all puzzles
    ]
    x, _ = marks(axes)[0]
    assert x.tolist() == pytest.approx([0.5, 0.4, 0.3, 0.4])


def test_a_strategy_without_a_row_leaves_its_place_empty() -> None:
    table = agreement().query("not (strategy == 'vanilla' and hardest == 'pair')")
    x, _ = marks(tau_by_technique(table).axes[0])[0]
    assert np.isnan(x[2])
    assert np.isfinite(x[[0, 1, 3]]).all()


def test_kinds_stand_side_by_side_and_add_up() -> None:
    panels = error_kinds(kinds()).axes
    for t, axes in enumerate(panels):
        ends = [[bar.get_x() + bar.get_width() for bar in bars] for bars in axes.containers]
        assert ends == [pytest.approx([e] * 3) for e in (10, 10 + 20 * t, 40 + 20 * t)]
    hatches = [bars[0].get_hatch() for bars in panels[0].containers]
    assert len(set(hatches)) == len(KINDS), "kinds differ without colours too"
