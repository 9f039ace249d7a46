"""The figures of the studies: the table of a study in, a matplotlib ``Figure`` out, as in `figures`."""

from __future__ import annotations

import pandas as pd
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

LINES: tuple[Line, ...] = ("-", "--", ":", "-.")


@styled
def study_lines(rows: pd.DataFrame, name: str, measure: Measure = EXACT) -> Figure:
    """Accuracy against noise or depth in one tier: a colour an order, a line a scale or a network.

    Args:
        rows: of noise.csv or depth.csv, one tier.
        name: "noise" or "depth".
        measure: the accuracy to show.
    """
    require_rows(rows, f"points of the study {name!r}")
    return noise_figure(rows, measure) if name == "noise" else depth_figure(rows, measure)


def depth_figure(rows: pd.DataFrame, measure: Measure) -> Figure:
    """Accuracy against turns."""
    figure, (axes,) = new_figure(6.6, 3.9)
    strategies, networks = names_of(rows["strategy"]), names_of(rows["weights"])
    for place, strategy in enumerate(strategies):
        for style, network in enumerate(networks):
            part = rows[(rows["strategy"] == strategy) & (rows["weights"] == network)].sort_values("turns")
            share, reach = interval(part, measure)
            colour, marker = look(strategy, STRATEGIES, place)
            x = part["turns"].to_numpy(float) + 0.12 * (place - (len(strategies) - 1) / 2)
            line = LINES[style % len(LINES)]
            axes.errorbar(x, share, yerr=reach, fmt=marker, linestyle=line, color=colour, linewidth=1.1)
    tick_values(axes, sorted(int(turns) for turns in rows["turns"].unique()))
    axes.set_xlabel("turns of the repeated block")
    percent_axis(axes, f"{measure.long} (%)", measure.limits(rows))
    axes.set_title(str(rows["tier"].iloc[0]))
    keys = [legend_key(strategy, STRATEGIES, place) for place, strategy in enumerate(strategies)]
    if len(networks) > 1:
        keys += line_keys(networks)
    figure.legend(handles=keys, loc="outside right center")
    caption(figure, f"{counts(rows)}; bars: {measure.bars}")
    return figure


def noise_figure(rows: pd.DataFrame, measure: Measure) -> Figure:
    """A panel a scale: accuracy against the coefficient of constant Gumbel noise, other noise beside it."""
    scales = [scale for scale in names_of(rows["scale"]) if scale != "none"]
    figure, panels = new_figure(2.7 * len(scales) + 2.4, 3.9, columns=len(scales))
    titles = {"prob": "on p", "log": "on log p", "logits": "on the logits", "score": "on -entropy"}
    networks, strategies = names_of(rows["weights"]), names_of(rows["strategy"])
    for axes, scale in zip(panels, scales, strict=True):
        ticks: dict[str, float] = {}
        for place, strategy in enumerate(strategies):
            for style, network in enumerate(networks):
                own = rows[(rows["strategy"] == strategy) & (rows["weights"] == network)]
                own = own[own["scale"].isin([scale, "none"])]
                if set(own["scale"]) == {"none"}:
                    continue
                names = list(own["noise"])
                ticks |= {n: float(i) for i, n in enumerate(names)}
                share, reach = interval(own, measure)
                colour, marker = look(strategy, STRATEGIES, place)
                x = own["noise"].map(ticks).to_numpy(float) + 0.1 * (place - (len(strategies) - 1) / 2)
                line = LINES[style % len(LINES)]
                constant = [
                    i for i, n in enumerate(names) if n == "none" or (n.count(":") == 1 and "gumbel" in n)
                ]
                axes.plot(x[constant], share[constant], linestyle=line, color=colour, linewidth=1.1)
                axes.errorbar(x, share, yerr=reach, fmt=marker, linestyle="none", color=colour)
        axes.set_xticks(
            list(ticks.values()),
            [
                n.replace("gumbel:", "Gumbel ").replace("gaussian:", "Gaussian ").replace(":", " ")
                for n in ticks
            ],
        )
        axes.tick_params(axis="x", labelrotation=60)
        axes.set_title(titles[scale], fontsize="medium")
        percent_axis(axes, f"{measure.long} (%)", measure.limits(rows))
        axes.label_outer()
    keys = [legend_key(strategy, STRATEGIES, place) for place, strategy in enumerate(strategies)]
    if len(networks) > 1:
        keys += line_keys(networks)
    figure.legend(handles=keys, loc="outside right center")
    caption(figure, f"tier {rows['tier'].iloc[0]}; {counts(rows)}; bars: {measure.bars}")
    return figure


def line_keys(networks: list[str]) -> list[Line2D]:
    """The legend entries of networks."""
    return [
        Line2D([], [], color="#444444", linestyle=LINES[place % len(LINES)], label=name)
        for place, name in enumerate(networks)
    ]


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
    axes.legend(
        handles=[legend_key(tier, TIERS, place) for place, tier in enumerate(tiers)], loc="lower left"
    )
    caption(figure, f"{counts(rows)}; {measure.bars}; passes of tier {tiers[-1]}")
    return figure
