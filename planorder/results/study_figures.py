"""The figures of the studies: the table of a study in, a matplotlib ``Figure`` out, as in `figures`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from planorder.results.plotting import (
    EXACT,
    STRATEGIES,
    TIERS,
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

NOISE_LINES: tuple[Line, ...] = ("-", "--", ":", "-.")
TITLES = {"prob": "on p", "log": "on log p", "logits": "on the logits", "score": "on the score"}


@styled
def study_lines(rows: pd.DataFrame, name: str, measure: Measure = EXACT) -> Figure:
    """Accuracy against noise or depth in one tier: a colour an order.

    Args:
        rows: of noise.csv or depth.csv, one tier and network, or means over several.
        name: "noise" or "depth".
        measure: the accuracy to show.
    """
    require_rows(rows, f"points of the study {name!r}")
    return noise_figure(rows, measure) if name == "noise" else depth_figure(rows, measure)


def depth_figure(rows: pd.DataFrame, measure: Measure) -> Figure:
    """Accuracy against turns."""
    figure, (axes,) = new_figure(6.6, 3.9)
    strategies = names_of(rows["strategy"])
    for place, strategy in enumerate(strategies):
        part = rows[rows["strategy"] == strategy].sort_values("turns")
        share, reach = interval(part, measure)
        colour, marker = look(strategy, STRATEGIES, place)
        x = part["turns"].to_numpy(float) + 0.12 * (place - (len(strategies) - 1) / 2)
        axes.errorbar(x, share, yerr=reach, fmt=marker, linestyle="-", color=colour, linewidth=1.1)
    tick_values(axes, sorted(int(turns) for turns in rows["turns"].unique()))
    axes.set_xlabel("turns of the repeated block")
    percent_axis(axes, f"{measure.long} (%)", measure.limits(rows))
    axes.set_title(str(rows["tier"].iloc[0]))
    keys = [legend_key(strategy, STRATEGIES, place) for place, strategy in enumerate(strategies)]
    figure.legend(handles=keys, loc="outside right center")
    caption(figure, f"{counts(rows)}; bars: {measure.bars}")
    return figure


def noise_figure(rows: pd.DataFrame, measure: Measure) -> Figure:
    """A panel a scale: accuracy against the coefficient of constant Gumbel noise, other noise beside it."""
    scales = [scale for scale in names_of(rows["scale"]) if scale != "none"]
    figure, panels = new_figure(2.7 * len(scales) + 2.4, 3.9, columns=len(scales))
    strategies = names_of(rows["strategy"])
    for axes, scale in zip(panels, scales, strict=True):
        noise_panel(axes, rows[rows["scale"].isin([scale, "none"])], scale, strategies, measure)
        axes.set_title(TITLES[scale], fontsize="medium")
        percent_axis(axes, f"{measure.long} (%)", measure.limits(rows))
        axes.label_outer()
    keys = [legend_key(strategy, STRATEGIES, place) for place, strategy in enumerate(strategies)]
    figure.legend(handles=keys, loc="outside right center")
    caption(figure, f"tier {rows['tier'].iloc[0]}; {counts(rows)}; bars: {measure.bars}")
    return figure


def noise_panel(
    axes: Axes, rows: pd.DataFrame, scale: str, strategies: Sequence[str], measure: Measure
) -> None:
    """The strategies that were decoded with noise on this scale; a line joins constant Gumbel noise."""
    names = names_of(rows["noise"])
    ticks = {name: float(place) for place, name in enumerate(names)}
    for place, strategy in enumerate(strategies):
        own = rows[rows["strategy"] == strategy]
        if scale not in set(own["scale"]):
            continue
        share, reach = interval(own, measure)
        colour, marker = look(strategy, STRATEGIES, place)
        x = own["noise"].map(ticks).to_numpy(float) + 0.1 * (place - (len(strategies) - 1) / 2)
        joined = own["noise"].str.fullmatch(r"none|gumbel:[^:]*").to_numpy(bool)
        axes.plot(x[joined], share[joined], color=colour, linewidth=1.1)
        axes.errorbar(x, share, yerr=reach, fmt=marker, linestyle="none", color=colour)
    said = [n.capitalize().replace(":", " ") if n != "none" else n for n in names]
    axes.set_xticks(list(ticks.values()), said, rotation=45, ha="right", rotation_mode="anchor")


@styled
def noise_and_steps(sweep: pd.DataFrame, measure: Measure = EXACT) -> Figure:
    """What the number of steps and noise on the order score do, a panel for each of T and K that was swept.

    Args:
        sweep: columns strategy, setting ("T", reverse steps, or "K", cells a step), value (int), noise
            (as `noise.parse_noise` has it, e.g. "none"), n, and those of the measure.
        measure: the accuracy to show.
    """
    require_rows(sweep, "a sweep over T or K")
    titles = {"T": "reverse steps T", "K": "cells filled a step K"}
    settings = [name for name in titles if name in set(sweep["setting"])]
    strategies, noises = names_of(sweep["strategy"]), names_of(sweep["noise"])
    figure, panels = new_figure(3.5 * len(settings) + 1.9, 3.8, columns=len(settings))
    for axes, setting in zip(panels, settings, strict=True):
        part = sweep[sweep["setting"] == setting].sort_values("value", kind="stable")
        for place, strategy in enumerate(strategies):
            for style, noise in enumerate(noises):
                rows = part[(part["strategy"] == strategy) & (part["noise"] == noise)]
                share, reach = interval(rows, measure)
                colour, marker = look(strategy, STRATEGIES, place)
                # two rules that agree would hide each other
                x = rows["value"].to_numpy(float) * 1.03 ** (place - (len(strategies) - 1) / 2)
                line = NOISE_LINES[style % len(NOISE_LINES)]
                axes.errorbar(x, share, yerr=reach, fmt=marker, linestyle=line, color=colour)
        axes.set_xscale("log")
        tick_values(axes, sorted(int(value) for value in part["value"].unique()))
        axes.set_xlabel(titles[setting])
        percent_axis(axes, f"{measure.long} (%)", measure.limits(sweep))
        axes.label_outer()
    keys = [legend_key(strategy, STRATEGIES, place) for place, strategy in enumerate(strategies)]
    lines = [
        Line2D([], [], color="#444444", linestyle=NOISE_LINES[place % len(NOISE_LINES)], label=noise)
        for place, noise in enumerate(noises)
    ]
    figure.legend(handles=[*keys, *lines], loc="outside right center")
    caption(figure, f"{counts(sweep)}; bars: {measure.bars}")
    return figure


@styled
def survey_figure(rows: pd.DataFrame, measure: Measure = EXACT) -> Figure:
    """Accuracy of many strategies with intervals, a line each, the tiers by colour, passes at the margin.

    Args:
        rows: of survey.csv, in the order of the lines.
        measure: the accuracy to show.
    """
    require_rows(rows, "strategies of a survey")
    names, tiers = names_of(rows["strategy"]), names_of(rows["tier"])
    figure, (axes,) = new_figure(7.2, 1.4 + 0.17 * len(names))
    for place, tier in enumerate(tiers):
        own = rows[rows["tier"] == tier].set_index("strategy").loc[names]
        share, reach = interval(own, measure)
        colour, marker = look(tier, TIERS, place)
        axes.errorbar(
            share, range(len(names)), xerr=reach, color=colour, marker=marker, ls="none", lw=1, ms=4
        )
    for height, passes in enumerate(own["passes"]):
        axes.text(1.01, height, f"{passes:.0f}", transform=axes.get_yaxis_transform(), va="center", size=7)
    axes.text(1.01, -1.4, "passes", transform=axes.get_yaxis_transform(), va="center", size=7, weight="bold")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_ylim(len(names) - 0.3, -0.7)
    axes.set_xlim(*measure.limits(rows))
    axes.set_xlabel(f"{measure.short} (%)")
    keys = [legend_key(tier, TIERS, place) for place, tier in enumerate(tiers)]
    figure.legend(handles=keys, loc="outside upper center", ncols=len(keys))
    caption(figure, f"{counts(rows)}; {measure.bars}; passes of tier {tiers[-1]}")
    return figure
