"""The figures of an analysis and of a frontier: tables in, a matplotlib ``Figure`` out, as in `figures`.

Every table has the columns "tier" and "strategy" beside those that its function names, for one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from planorder.results.order_analysis import ALL, KINDS
from planorder.results.plotting import (
    BLACK,
    EXACT,
    GREY,
    ORANGE,
    SKY,
    STRATEGIES,
    VERMILLION,
    Line,
    Measure,
    caption,
    counts,
    interval,
    legend_key,
    look,
    names_of,
    new_figure,
    percent_axis,
    require_rows,
    styled,
    tick_values,
)

LOOKS = STRATEGIES | {
    "threshold": (VERMILLION, "P"),
    "factor": (VERMILLION, "X"),
    "eb_entropy": (BLACK, "p"),
    "klass": (BLACK, "<"),
}
"""Markers that differ where the frontier is drawn by default, for readers without colours."""
STEPS, CELLS = "T", "K"
"""The dials of strategies whose count is scheduled: reverse steps, or cells a step."""
DIAL_LINES: dict[str, Line] = {STEPS: "-", CELLS: ":"}
"""How their settings are joined; those of strategies that count by themselves are dashed."""
KIND_LOOKS = dict(zip(KINDS, ((VERMILLION, ""), (ORANGE, "////"), (SKY, "....")), strict=True))
MARKS = (0.25, 0.5, 0.75, 1.0)
"""Coverages at which the risk has a bar."""
FEWEST = 10
"""Cells of a bin, for a point of the reliability figure."""
RING: dict[str, Any] = {"color": BLACK, "marker": "o", "markerfacecolor": "none", "linewidth": 0.8}
ASIDE: dict[str, Any] = {"loc": "outside right center", "handlelength": 3.2}
TICKS = [scale * 10.0**power for power in range(5) for scale in (1, 1.5, 2, 3, 5, 7)]


@styled
def accuracy_frontier(points: pd.DataFrame, measure: Measure = EXACT) -> Figure:
    """Accuracy against mean forward passes, a panel a tier: a line a strategy and dial, the front ringed.

    Args:
        points: the columns of frontier.csv; the rows of one model. Lines join the settings of a strategy in
            the order of the rows.
        measure: the accuracy to show.
    """
    require_rows(points, "points of a frontier")
    tiers, strategies = names_of(points["tier"]), names_of(points["strategy"])
    figure, panels = new_figure(4.6 * len(tiers) + 2.6, 4.6, columns=len(tiers))
    for axes, tier in zip(panels, tiers, strict=True):
        frontier_panel(axes, points[points["tier"] == tier], strategies, measure)
        axes.set_title(tier)
        percent_axis(axes, f"{measure.long} (%)")
        axes.label_outer()
    dials = points.groupby("strategy")["dial"].unique()
    keys = [
        legend_key(strategy, LOOKS, place, DIAL_LINES.get(dials[strategy][0], "--"))
        for place, strategy in enumerate(strategies)
    ]
    if CELLS in set(points["dial"]) and STEPS in set(points["dial"]):
        keys.append(Line2D([], [], color=GREY, linestyle=DIAL_LINES[CELLS], label="K cells a step"))
    figure.legend(handles=[*keys, Line2D([], [], markersize=9, label="Pareto front", **RING)], **ASIDE)
    caption(figure, f"{counts(points)}; bars: {measure.bars}; equal passes are set side by side")
    return figure


def frontier_panel(axes: Axes, points: pd.DataFrame, strategies: Sequence[str], measure: Measure) -> None:
    """The points of one tier."""
    front: list[tuple[float, float]] = []
    for place, strategy in enumerate(strategies):
        own = points[points["strategy"] == strategy]
        for dial, rows in own.groupby("dial", sort=False):
            share, reach = interval(rows, measure)
            # settings of several strategies take as many passes, and would hide each other
            x = rows["passes"].to_numpy(float) * 1.012 ** (place - (len(strategies) - 1) / 2)
            colour, marker = look(strategy, LOOKS, place)
            line = DIAL_LINES.get(str(dial), "--")
            axes.errorbar(x, share, yerr=reach, fmt=marker, color=colour, ls=line, linewidth=1, alpha=0.9)
            ringed = rows["on_frontier"].to_numpy(bool)
            front += zip(x[ringed], share[ringed], strict=True)
    axes.step(*np.array(sorted(front)).T, where="post", markersize=11, **RING)
    least, most = points["passes"].min() / 1.25, points["passes"].max() * 1.25
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    tick_values(axes, [tick for tick in TICKS if least <= tick <= most])
    axes.set_xlabel("forward passes a puzzle (mean)")


@styled
def risk_coverage(curves: pd.DataFrame) -> Figure:
    """The share of wrong puzzles among the answered, against the share answered, a panel a tier.

    Args:
        curves: the rows of `selective.risk_coverage`; n (puzzles).
    """
    require_rows(curves, "risk-coverage curves")
    figure, panels, strategies = tier_panels(curves)
    for axes, (_, part) in zip(panels, curves.groupby("tier", sort=False), strict=True):
        for place, strategy in enumerate(strategies):
            rows = part[part["strategy"] == strategy]
            if rows.empty:
                continue
            colour, marker = look(strategy, LOOKS, place)
            axes.plot(100 * rows["coverage"], 100 * rows["risk"], color=colour, linewidth=1.2)
            at = rows.iloc[np.searchsorted(rows["coverage"].to_numpy(), np.array(MARKS) - 1e-9)]
            x = 100 * at["coverage"] + 0.8 * (place - (len(strategies) - 1) / 2)
            risk, low, high = (100 * at[name] for name in ("risk", "low", "high"))
            axes.errorbar(x, risk, yerr=[risk - low, high - risk], fmt=marker, color=colour, linewidth=1)
        axes.set_xlim(-3, 107)
        axes.set_xlabel("puzzles answered, surest first (%)")
        percent_axis(axes, "answered puzzles that are wrong (%)")
        axes.label_outer()
    caption(figure, f"{counts(curves)}; bars: 95% Wilson intervals, set side by side")
    return figure


@styled
def reliability(tables: pd.DataFrame) -> Figure:
    """How often cells are right against the probability they were filled with, a panel a tier.

    Args:
        tables: the rows of `calibration.reliability`.
    """
    shown = tables[tables["n"] >= FEWEST]
    require_rows(shown, f"a bin of {FEWEST} cells or more")
    figure, panels, strategies = tier_panels(shown)
    for axes, (_, part) in zip(panels, shown.groupby("tier", sort=False), strict=True):
        axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=":")
        for place, strategy in enumerate(strategies):
            rows = part[part["strategy"] == strategy]
            colour, marker = look(strategy, LOOKS, place)
            right, low, high = (100 * rows[name] for name in ("right", "low", "high"))
            axes.errorbar(
                100 * rows["confidence"],
                right,
                yerr=[right - low, high - right],
                fmt=marker,
                color=colour,
                linestyle="-",
                linewidth=1,
            )
        axes.set_xlim(-3, 103)
        axes.set_xlabel("probability when filled (%)")
        percent_axis(axes, "cells that are right (%)")
        axes.label_outer()
    said = f"{counts(shown, 'cells')}; bins of fewer than {FEWEST} left out"
    caption(figure, f"{said}; bars: 95% Wilson intervals, cells taken as independent")
    return figure


@styled
def tau_by_technique(agreement: pd.DataFrame) -> Figure:
    """Kendall's tau-b with the solver's order by the hardest technique of a puzzle, tier by tier.

    Args:
        agreement: the rows of `order_analysis.order_agreement`.
    """
    found = agreement[agreement["n"] > 0]
    require_rows(found, "orders with a defined tau")
    strategies, labels = names_of(found["strategy"]), []
    for tier, part in found.groupby("tier", sort=False):
        names = names_of(part["hardest"])
        labels += [(str(tier), name) for name in (names if len(names) > 2 else [ALL])]
    figure, (axes,) = new_figure(7.2, 1.1 + (0.12 + 0.12 * len(strategies)) * len(labels))
    for place, strategy in enumerate(strategies):
        rows = found[found["strategy"] == strategy].set_index(["tier", "hardest"])
        tau, low, high = rows[["tau", "low", "high"]].reindex(pd.MultiIndex.from_tuples(labels)).to_numpy().T
        y = np.arange(len(labels)) + (place - (len(strategies) - 1) / 2) * 0.8 / len(strategies)
        colour, marker = look(strategy, LOOKS, place)
        axes.errorbar(tau, y, xerr=[tau - low, high - tau], fmt=marker, color=colour)
    sizes = found.groupby(["tier", "hardest"], sort=False)["n"].max()
    axes.set_yticks(range(len(labels)), [f"{t}: {name} (n = {sizes[t, name]:,})" for t, name in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    for edge in range(1, len(labels)):
        axes.axhline(edge - 0.5, color="#E3E3E3", linewidth=0.7)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_xlim(-1.05, 1.05)
    axes.set_xlabel("Kendall's tau-b with the solver's order (mean)")
    figure.legend(handles=keys_of(strategies), loc="outside right center")
    caption(figure, "rows: hardest technique of the puzzle; bars: 95% t intervals over puzzles")
    return figure


@styled
def error_kinds(kinds: pd.DataFrame) -> Figure:
    """Of the puzzles with an error, what the first one was, a panel a tier, a bar a strategy.

    Args:
        kinds: the rows of `order_analysis.error_kinds`.
    """
    require_rows(kinds, "kinds of errors")
    tiers, strategies = names_of(kinds["tier"]), names_of(kinds["strategy"])
    height = 1.3 + 0.3 * len(strategies)
    figure, panels = new_figure(3.2 * len(tiers) + 2.4, height, columns=len(tiers))
    for axes, tier in zip(panels, tiers, strict=True):
        end = np.zeros(len(strategies))
        for kind, (colour, hatch) in KIND_LOOKS.items():
            rows = kinds[(kinds["tier"] == tier) & (kinds["kind"] == kind)].set_index("strategy")
            share = 100 * rows["share"].reindex(strategies, fill_value=0.0).to_numpy(float)
            axes.barh(range(len(strategies)), share, left=end, color=colour, hatch=hatch, edgecolor="white")
            end += share
        axes.set_yticks(range(len(strategies)), strategies)
        axes.set_ylim(len(strategies) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("puzzles with an error (%)")
        axes.set_title(tier)
        axes.tick_params(axis="y", length=0)
        axes.label_outer()
    keys = [Patch(facecolor=c, hatch=h, edgecolor="white", label=kind) for kind, (c, h) in KIND_LOOKS.items()]
    figure.legend(handles=keys, title="first error", loc="outside right center")
    caption(figure, f"{counts(kinds)}".replace("a point", "a bar"))
    return figure


def tier_panels(table: pd.DataFrame) -> tuple[Figure, list[Axes], list[str]]:
    """A figure with a panel a tier and the legend of its strategies, which are given too."""
    tiers, strategies = names_of(table["tier"]), names_of(table["strategy"])
    figure, panels = new_figure(3.6 * len(tiers) + 1.9, 3.8, columns=len(tiers))
    for axes, tier in zip(panels, tiers, strict=True):
        axes.set_title(tier)
    figure.legend(handles=keys_of(strategies), loc="outside right center")
    return figure, panels, strategies


def keys_of(strategies: Sequence[str]) -> list[Line2D]:
    """The legend entries of strategies."""
    return [legend_key(name, LOOKS, place) for place, name in enumerate(strategies)]
