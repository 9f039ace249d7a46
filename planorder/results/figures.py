"""The figures of a report: tables and arrays in, a matplotlib ``Figure`` out; `plotting.save` writes it.

Shares are drawn as per cent with their 95% intervals; ``results`` is the table of `tables.summarise`, and of
`tables.with_cell_interval` for a ``measure`` of cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from planorder.results.plotting import (
    EXACT,
    STRATEGIES,
    TIERS,
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
    save,
    styled,
    tick_values,
)
from puzzles.base import UserInputError

__all__ = [
    "accuracy_against_passes",
    "accuracy_by_strategy",
    "error_by_masked_fraction",
    "learning_curve",
    "order_effect_by_depth",
    "save",
    "step_heat_map",
]

DEFAULT_ORDERS = ("vanilla", "random", "left_to_right", "top_prob", "top_margin")


@styled
def accuracy_by_strategy(results: pd.DataFrame, measure: Measure = EXACT) -> Figure:
    """The accuracy of every strategy, grouped by model, the tiers side by side.

    Strategies of one model are listed in the order of the table; several seeds give several points.
    """
    require_rows(results, "a results table")
    tiers = names_of(results["tier"])
    height = 0.0
    ticks: list[float] = []
    labels, headings = [], []
    places: dict[tuple[str, str], float] = {}
    for model in names_of(results["model"]):
        headings.append((height, model))
        for strategy in names_of(results.loc[results["model"] == model, "strategy"]):
            height += 1
            places[model, strategy] = height
            ticks.append(height)
            labels.append(strategy)
        height += 1.4
    figure, (axes,) = new_figure(7.2, 1.0 + 0.27 * height)
    for place, tier in enumerate(tiers):
        rows = results[results["tier"] == tier]
        share, reach = interval(rows, measure)
        names = zip(rows["model"], rows["strategy"], strict=True)
        heights = [places[str(model), str(strategy)] for model, strategy in names]
        dodge = (place - (len(tiers) - 1) / 2) * 0.26
        colour, marker = look(tier, TIERS, place)
        axes.errorbar(share, np.add(heights, dodge), xerr=reach, fmt=marker, color=colour, label=tier)
    for y, model in headings:
        axes.text(
            -0.02, y, model, transform=axes.get_yaxis_transform(), weight="bold", ha="right", va="center"
        )
    axes.set_yticks(ticks, labels)
    axes.set_ylim(height - 0.7, -0.7)
    axes.set_xlim(*measure.limits(results))
    axes.set_xlabel(f"{measure.long} (%)")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=len(tiers))
    caption(figure, f"{counts(results)}; bars: {measure.bars}")
    return figure


@styled
def accuracy_against_passes(results: pd.DataFrame, measure: Measure = EXACT) -> Figure:
    """Accuracy against forward passes a puzzle, a panel a tier, a point a model and strategy.

    Points that would hide each other are set side by side, which the caption says. Markers are filled
    for the first model, hollow for the second, and so on in turn.
    """
    require_rows(results, "a results table")
    tiers, models = names_of(results["tier"]), names_of(results["model"])
    series = list(dict.fromkeys(zip(results["model"], results["strategy"], strict=True)))
    figure, panels = new_figure(3.6 * len(tiers) + 2.0, 3.8, columns=len(tiers))
    for axes, tier in zip(panels, tiers, strict=True):
        rows = results[results["tier"] == tier]
        share, reach = interval(rows, measure)
        x = _side_by_side(rows["passes"].to_numpy(float), share)
        for place, (model, strategy) in enumerate(zip(rows["model"], rows["strategy"], strict=True)):
            colour, marker = look(strategy, STRATEGIES, series.index((model, strategy)))
            face = "white" if models.index(model) % 2 else colour
            point = slice(place, place + 1)
            axes.errorbar(
                x[point], share[point], yerr=reach[:, point], fmt=marker, color=colour, markerfacecolor=face
            )
        axes.set_xscale("log")
        axes.set_xlim(x.min() / 1.25, x.max() * 1.25)
        ticks = [scale * 10.0**power for power in range(5) for scale in (1, 1.5, 2, 3, 5, 7)]
        tick_values(axes, [tick for tick in ticks if x.min() / 1.25 <= tick <= x.max() * 1.25])
        axes.set_xlabel("forward passes a puzzle (mean)")
        axes.set_title(tier)
        percent_axis(axes, f"{measure.short} (%)", measure.limits(results))
        axes.label_outer()
    keys = []
    for place, (model, strategy) in enumerate(series):
        key = legend_key(strategy, STRATEGIES, place)
        if models.index(model) % 2:
            key.set_markerfacecolor("white")
        key.set_label(f"{strategy} ({model})" if len(models) > 1 else strategy)
        keys.append(key)
    figure.legend(handles=keys, loc="outside right center")
    caption(figure, f"{counts(results)}; bars: {measure.bars}; equal points are set side by side")
    return figure


def _side_by_side(passes: np.ndarray, share: np.ndarray, apart: float = 1.035) -> np.ndarray:
    """Passes with points that hide each other (within 4% of the passes and 4 points) moved apart."""
    groups: list[list[int]] = []
    for place in np.argsort(share, kind="stable"):
        for group in groups:
            near = max(passes[place], passes[group[0]]) <= 1.04 * min(passes[place], passes[group[0]])
            if near and share[place] - share[group[-1]] < 4:
                group.append(int(place))
                break
        else:
            groups.append([int(place)])
    spread = passes.copy()
    for group in groups:
        members = sorted(group)
        spread[members] *= apart ** (np.arange(len(members)) - (len(members) - 1) / 2)
    return spread


@styled
def step_heat_map(
    steps: Mapping[str, np.ndarray], grid: tuple[int, int], box: tuple[int, int] | None = None
) -> Figure:
    """When each cell of the grid is filled, a panel a strategy: 0 the first step, 1 the last of its puzzle.

    Args:
        steps: int16 ``[batch, cells]`` a strategy, the step at which a cell was filled, -1 on clues.
        grid: rows and columns of the grid.
        box: rows and columns of a box, where the grid has boxes: heavier lines between them.
    """
    if not steps:
        raise UserInputError("no steps to draw: expected an array a strategy; decode some puzzles first")
    columns = min(4, len(steps))
    lines = -(-len(steps) // columns)
    height = 1.65 * min(grid[0] / grid[1], 1) + 0.37  # of a panel: flat where the grid is wide
    figure, panels = new_figure(1.9 * columns + 0.9, height * lines + 0.35, lines, columns)
    for axes, (name, step) in zip(panels, steps.items(), strict=False):
        last = np.maximum(step.max(axis=1, keepdims=True), 1)
        when = np.where(step >= 0, step / last, 0).sum(axis=0)
        filled = (step >= 0).sum(axis=0)
        mean = np.divide(when, filled, out=np.full(len(filled), np.nan), where=filled > 0)
        axes.imshow(mean.reshape(grid), vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(True)
        if box is not None:
            for y in range(box[0], grid[0], box[0]):
                axes.axhline(y - 0.5, color="white", linewidth=1.6)
            for x in range(box[1], grid[1], box[1]):
                axes.axvline(x - 0.5, color="white", linewidth=1.6)
    for axes in panels[len(steps) :]:
        axes.set_axis_off()
    bar = figure.colorbar(panels[0].images[0], ax=panels, shrink=0.8, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["first", "middle", "last"])
    bar.set_label("mean step of filling")
    sizes = {len(step) for step in steps.values()}
    unit = "puzzle" if sizes == {1} else "puzzles"
    caption(
        figure, f"n = {' or '.join(f'{size:,}' for size in sorted(sizes))} {unit} a panel, clues left out"
    )
    return figure


@styled
def error_by_masked_fraction(curves: Mapping[str, pd.DataFrame], measure: Measure = EXACT) -> Figure:
    """How often a newly filled cell is wrong against the share still masked: time runs from left to right.

    Args:
        curves: the frame of `evaluate.error_curve`, a strategy.
        measure: whose cells they count.
    """
    if not curves:
        raise UserInputError("no curves to draw: expected one a strategy; decode some puzzles first")
    figure, (axes,) = new_figure(6.8, 3.8)
    for place, (name, curve) in enumerate(curves.items()):
        colour, marker = look(name, STRATEGIES, place)
        masked = 100 * curve["masked"]
        axes.plot(masked, 100 * curve["error"], color=colour, marker=marker, label=name)
        axes.fill_between(
            masked, 100 * curve["low"], 100 * curve["high"], color=colour, alpha=0.15, linewidth=0
        )
    axes.set_xlim(100, 0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("blank cells still masked when the cell is filled (%)")
    axes.set_ylabel(f"newly filled {measure.unit} that are wrong (%)")
    figure.legend(loc="outside right center")
    cells = [int(curve["filled"].sum()) for curve in curves.values()]
    size = f"{min(cells):,}" if min(cells) == max(cells) else f"{min(cells):,} to {max(cells):,}"
    unit = measure.unit
    caption(figure, f"n = {size} {unit} a line; bands: 95% Wilson intervals, {unit} taken as independent")
    return figure


@styled
def order_effect_by_depth(
    results: pd.DataFrame,
    networks: Mapping[str, str],
    orders: Sequence[str] = DEFAULT_ORDERS,
    measure: Measure = EXACT,
) -> Figure:
    """What the order is worth to each network, a panel a tier: the closer the points, the less it matters.

    Args:
        results: the results of all networks on the same puzzles.
        networks: the models to show from left to right, and the label of each (may have two lines).
        orders: the strategies to show.
        measure: the accuracy to show.
    """
    chosen = results[results["model"].isin(list(networks)) & results["strategy"].isin(list(orders))]
    require_rows(chosen, f"models {sorted(networks)} with strategies {sorted(orders)}")
    tiers, models = names_of(chosen["tier"]), list(networks)
    figure, panels = new_figure((0.6 + 1.3 * len(models)) * len(tiers) + 1.8, 3.8, columns=len(tiers))
    for axes, tier in zip(panels, tiers, strict=True):
        for place, order in enumerate(orders):
            rows = chosen[(chosen["tier"] == tier) & (chosen["strategy"] == order)]
            share, reach = interval(rows, measure)
            x = [models.index(str(model)) for model in rows["model"]]
            dodge = (place - (len(orders) - 1) / 2) * 0.13
            colour, marker = look(order, STRATEGIES, place)
            axes.errorbar(np.add(x, dodge), share, yerr=reach, fmt=marker, color=colour)
        for edge in range(1, len(models)):
            axes.axvline(edge - 0.5, color="#C8C8C8", linewidth=0.8)
        axes.set_xticks(range(len(models)), [networks[model] for model in models])
        axes.set_xlim(-0.5, len(models) - 0.5)
        axes.grid(axis="x", visible=False)
        axes.tick_params(axis="x", length=0)
        axes.set_title(tier)
        percent_axis(axes, f"{measure.short} (%)", measure.limits(chosen))
        axes.label_outer()
    keys = [legend_key(order, STRATEGIES, place) for place, order in enumerate(orders)]
    figure.legend(handles=keys, loc="outside right center")
    caption(figure, f"{counts(chosen)}; bars: {measure.bars}")
    return figure


@styled
def learning_curve(metrics: pd.DataFrame, x: str = "examples") -> Figure:
    """Validation accuracy of each order while a network learns.

    Args:
        metrics: a row a validation and order: order, n, exact, exact_low, exact_high and the column ``x``.
        x: "examples" (seen so far) or "minutes" (of training).
    """
    titles = {"examples": "training examples (thousands)", "minutes": "training time (minutes)"}
    if x not in titles:
        raise UserInputError(f"no learning curve against {x!r}: choose one of {', '.join(titles)}")
    require_rows(metrics, "validation rows")
    figure, (axes,) = new_figure(6.6, 3.8)
    for place, order in enumerate(names_of(metrics["order"])):
        rows = metrics[metrics["order"] == order].sort_values(x, kind="stable")
        share, reach = interval(rows)
        colour, marker = look(order, STRATEGIES, place)
        when = rows[x].to_numpy(float) / (1000 if x == "examples" else 1)
        axes.plot(when, share, color=colour, marker=marker, markersize=3.5, label=order)
        axes.fill_between(when, share - reach[0], share + reach[1], color=colour, alpha=0.15, linewidth=0)
    axes.set_xlim(left=0)
    axes.set_xlabel(titles[x])
    percent_axis(axes, "validation puzzles solved exactly (%)")
    figure.legend(loc="outside right center")
    caption(figure, f"{counts(metrics)}; bands: 95% Wilson intervals")
    return figure
