"""The figures of the reproductions and of the ablation: tables in, a matplotlib ``Figure`` out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from planorder.results.plotting import (
    BLACK,
    BLUE,
    EXACT,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    PALETTE,
    VERMILLION,
    Line,
    Measure,
    caption,
    counts,
    interval,
    names_of,
    new_figure,
    require_rows,
    styled,
    tick_values,
)

PROTOCOLS = {
    "paper": (VERMILLION, "o", -0.13, "ours, the paper's noise"),
    "no noise": (BLUE, "^", 0.13, "ours, no noise"),
    "both": (GREY, "s", 0.0, "ours, nothing to blur"),
    "routing": (GREEN, "D", 0.3, "ours, noise and routing"),
}
"""Colour, marker, place below the line, and label of the protocols of `reproductions.tables`."""
LINES: tuple[Line, ...] = ("-", "--", ":", "-.")


@styled
def beside_paper(rows: pd.DataFrame, measure: Measure = EXACT, title: str = "") -> Figure:
    """Our accuracy under each protocol with its interval, and the paper's number, a line a strategy.

    Args:
        rows: paper_percent, family, model, strategy, protocol, n (0: not trained) and the measure's columns.
        measure: the accuracy to show.
        title: of the figure.
    """
    require_rows(rows, "rows of a table")
    keys = ["family", "model", "strategy"]
    height, ticks, labels = 0.0, [], []
    places: dict[tuple[str, ...], float] = {}
    figure, (axes,) = new_figure(7.2, 1.3 + 0.25 * (len(rows[keys].drop_duplicates()) + 6))
    several = rows["family"].nunique() > 1
    for (family, model), group in rows.groupby(keys[:2], sort=False):
        name = f"{model}, {family}" if several else str(model)
        axes.text(
            -0.02, height, name, transform=axes.get_yaxis_transform(), weight="bold", ha="right", va="center"
        )
        for strategy, own in group.groupby("strategy", sort=False):
            height += 1
            places[str(family), str(model), str(strategy)] = height
            ticks.append(height)
            labels.append(str(strategy) + ("" if own["n"].max() else " (not trained)"))
        height += 1.3
    for protocol, (colour, marker, below, label) in PROTOCOLS.items():
        own = rows[rows["protocol"] == protocol]
        if len(own):
            share, reach = interval(own, measure)
            at = [places[key] for key in own[keys].itertuples(index=False, name=None)]
            axes.errorbar(share, np.add(at, below), xerr=reach, fmt=marker, color=colour, label=label)
    theirs = rows.dropna(subset="paper_percent").drop_duplicates(keys)
    at = [places[key] for key in theirs[keys].itertuples(index=False, name=None)]
    axes.plot(
        theirs["paper_percent"], at, "|", color=BLACK, markersize=11, markeredgewidth=1.8, label="Kim et al."
    )
    axes.set_yticks(ticks, labels)
    axes.set_ylim(height - 0.6, -0.7)
    trained = rows[rows["n"] > 0]
    low = min(measure.limits(trained)[0], theirs["paper_percent"].min() - 3)
    axes.set_xlim(low, 103)
    axes.set_xlabel(f"{measure.long} (%)")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title)
    figure.legend(loc="outside upper center", ncols=4)
    caption(figure, f"{counts(trained)}; bars: {measure.bars}")
    return figure


@styled
def loss_by_compute(rows: pd.DataFrame, titles: dict[str, tuple[str, float]]) -> Figure:
    """Loss of pi-learners against compute, a line an order, a panel a family.

    Args:
        rows: family, order, flops, n, loss, low, high; in nats a token.
        titles: of each family its panel's title, and the loss of the uniform law on all solutions, dashed.
    """
    require_rows(rows, "pi-learners")
    families = names_of(rows["family"])
    figure, panels = new_figure(1.4 + 4.2 * len(families), 3.9, columns=len(families), sharey=False)
    for axes, family in zip(panels, families, strict=True):
        title, alone = titles[family]
        of_family = rows[rows["family"] == family]
        for place, order in enumerate(names_of(of_family["order"])):
            part = of_family[of_family["order"] == order].sort_values("flops")
            x = part["flops"].to_numpy(float) * 1.03 ** (place - 1.5)
            loss, low, high = (part[name].to_numpy(float) for name in ("loss", "low", "high"))
            reach, look = [loss - low, high - loss], (PALETTE[place], MARKERS[place])
            axes.errorbar(x, loss, yerr=reach, color=look[0], marker=look[1], label=order)
        axes.axhline(alone, color=BLACK, linestyle="--", linewidth=1, label="uniform on all solutions")
        axes.set_xscale("log")
        tick_values(axes, sorted(rows["flops"].unique()))
        axes.set_title(title)
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top + 0.45 * (top - bottom))  # so that the legend covers no line
        axes.legend(loc="upper right")
    panels[0].set_ylabel("loss (nats a token)")
    said = "training compute: 6 x parameters x tokens (FLOPs)"
    caption(figure, f"{said}; {counts(rows, 'runs')}; bars: 95% t intervals over permutations and seeds")
    return figure


@styled
def error_imbalance(rows: pd.DataFrame) -> Figure:
    """Error of log-likelihoods against the share masked: a colour a kind of position, a line a network.

    Args:
        rows: model, kind, masked, n, error, error_low, error_high.
    """
    require_rows(rows, "errors by kind of position")
    figure, (axes,) = new_figure(6.8, 3.9)
    models = names_of(rows["model"])
    for (model, kind), part in rows.groupby(["model", "kind"], sort=False):
        colour, marker = {"latent": (ORANGE, "o"), "observation": (GREEN, "s")}[str(kind)]
        error, low, high = (part[name].to_numpy(float) for name in ("error", "error_low", "error_high"))
        line = LINES[models.index(str(model)) % len(LINES)]
        axes.errorbar(
            100 * part["masked"], error, yerr=[error - low, high - error], color=colour, marker=marker,
            linestyle=line, label=f"{kind}s, {model}",
        )  # fmt: skip
    axes.set_yscale("symlog", linthresh=1e-3)  # rounding makes errors of 1e-8 where all is sure
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 103)
    axes.set_xlabel("latents, and observations, masked (%)")
    axes.set_ylabel("(log p - exact log p)$^2$ (nats$^2$)")
    axes.set_title("error against the Bayes predictor, NAE-SAT")
    figure.legend(loc="outside right center", handlelength=3.2)
    caption(figure, f"{counts(rows, 'sequences')}; bars: 95% t intervals over sequences")
    return figure


@styled
def ablation_heat_map(rows: pd.DataFrame, measure: Measure = EXACT, note: str = "") -> Figure:
    """Accuracy of every training objective under every strategy with its interval, a panel a tier.

    Args:
        rows: tier, objective, strategy, n and the measure's columns.
        measure: the accuracy to show.
        note: what the networks have in common.
    """
    require_rows(rows, "an ablation")
    tiers, objectives, strategies = (names_of(rows[name]) for name in ("tier", "objective", "strategy"))
    height = 1.7 + 0.5 * len(objectives)
    width = max(1.6 + 0.95 * len(strategies) * len(tiers), 6.4)
    figure, panels = new_figure(width, height, columns=len(tiers))
    for axes, tier in zip(panels, tiers, strict=True):
        own = rows[rows["tier"] == tier]
        share, low, high = (
            100 * own.pivot(index="objective", columns="strategy", values=f"{measure.column}{end}")
            .loc[objectives, strategies].to_numpy(float)
            for end in ("", "_low", "_high")
        )  # fmt: skip
        axes.imshow(share, vmin=0, vmax=100, cmap="viridis", aspect="auto")
        for y, x in np.ndindex(share.shape):
            said = f"{share[y, x]:.1f}\n{low[y, x]:.0f} to {high[y, x]:.0f}"
            colour = "black" if share[y, x] > 55 else "white"
            axes.text(x, y, said, ha="center", va="center", fontsize=7, color=colour)
        axes.set_xticks(range(len(strategies)), strategies, rotation=30, ha="right")
        axes.set_yticks(range(len(objectives)), objectives)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.set_title(tier)
        axes.label_outer()
    caption(figure, f"{measure.short} %, {counts(rows)}, {measure.bars}\n{note}")
    return figure
