"""The one style of all figures, and figures as bytes that depend on nothing but what is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from math import ceil, floor
from pathlib import Path
from typing import Literal, ParamSpec

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from planorder.results.files import atomic_write
from puzzles.base import AbstractFamily, UserInputError

P = ParamSpec("P")
Line = Literal["-", "--", ":", "-.", "none"]

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, GREY, BLACK = "#56B4E9", "#CC79A7", "#7F7F7F", "#000000"
PALETTE = (BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, GREY, BLACK)
"""Okabe and Ito's colours, told apart by colour-blind readers; grey for their yellow, too pale on white."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")

STRATEGIES = {
    "vanilla": (GREY, "o"),
    "random": (SKY, "s"),
    "left_to_right": (ORANGE, ">"),
    "top_prob": (GREEN, "D"),
    "top_margin": (BLUE, "^"),
    "neg_entropy": (PURPLE, "v"),
    "solver_order": (BLACK, "*"),
    "fixed": (VERMILLION, "P"),
    "solver": (BLACK, "X"),
}
"""Colour and marker of the strategies that stand in many figures."""

OTHERS = tuple(zip(PALETTE, ("X", "v", "P", "X", "*", "o", "s", "D"), strict=True))
"""Those of other series, by their place; none is one of `STRATEGIES`."""

TIERS = {"logic": (BLUE, "o"), "hard": (VERMILLION, "s"), "file": (GREEN, "D")}

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "errorbar.capsize": 2,
    "svg.hashsalt": "planorder",
    "svg.fonttype": "path",
    "figure.constrained_layout.use": True,
    "figure.dpi": 160,
    "savefig.dpi": "figure",
}

FORMATS = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""Metadata withheld in each format: dates and versions would change the bytes of an unchanged figure."""


@dataclass(frozen=True)
class Measure:
    """An accuracy as figures show it.

    Attributes:
        column: of the results table; the ends of its interval are this with ``_low`` and ``_high``.
        short: what axes call it.
        long: the same where there is room.
        bars: what its intervals are.
        unit: what it calls the cells that it counts.
        whole: whether axes run from 0 to 100 whatever is drawn; a share of cells has no use for most of that.
    """

    column: str
    short: str
    long: str
    bars: str
    unit: str
    whole: bool = True

    def limits(self, rows: pd.DataFrame) -> tuple[float, float]:
        """Ends of an axis in per cent that shows all intervals of ``rows`` and has room for markers."""
        lowest = 0.0 if self.whole else 10 * floor(10 * min(rows[f"{self.column}_low"].min(), 0.9))
        room = 0.03 * (100 - lowest)
        return lowest - room, 100 + room


EXACT = Measure("exact", "exact", "puzzles solved exactly", "95% Wilson intervals", "cells")


def measure_of(family: AbstractFamily) -> Measure:
    """How figures show the accuracy that is the family's headline."""
    if family.headline == "exact":
        return EXACT
    said = f"{family.judged_name} right"
    return Measure("cell", said, said, "95% t intervals over puzzles", family.judged_name, whole=False)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draws in the style of this module, whatever style the user's session has, and leaves that one alone.

    The layout is settled here, since matplotlib starts it anew from its last result each time it saves.
    """

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.style.context(["default", STYLE]):
            figure = draw(*args, **kwargs)
            for _ in range(2):  # panels of fixed aspect settle in the second round
                figure.draw_without_rendering()
            figure.set_layout_engine("none")
            return figure

    return inner


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """An Agg figure of ``width`` by ``height`` inches and its axes, row by row; free of pyplot."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    return figure, list(axes.flat)


def look(name: str, known: dict[str, tuple[str, str]], place: int) -> tuple[str, str]:
    """Colour and marker of a series: its own where it has one, else by its place among the series."""
    return known.get(name, OTHERS[place % len(OTHERS)])


def percent_axis(axes: Axes, label: str = "exact (%)", limits: tuple[float, float] = (-3, 103)) -> None:
    """The vertical axis as per cent, from 0 to 100 unless said, with room for markers at both ends."""
    axes.set_ylim(*limits)
    least = max(0, ceil(limits[0]))
    axes.set_yticks(range(least, 101, 20 if least < 50 else 5))
    axes.set_ylabel(label)


def caption(figure: Figure, text: str) -> None:
    """One small line under the figure: how many puzzles, what the bars and bands are."""
    figure.supxlabel(text, fontsize=8, color="#555555")


def interval(rows: pd.DataFrame, measure: Measure = EXACT) -> tuple[np.ndarray, np.ndarray]:
    """Shares in per cent, and how far their intervals reach below and above, ``[2, rows]``."""
    name = measure.column
    share, low, high = (100 * rows[end].to_numpy(float) for end in (name, f"{name}_low", f"{name}_high"))
    return share, np.stack([share - low, high - share])


def counts(rows: pd.DataFrame, unit: str = "puzzles") -> str:
    """How many puzzles stand behind a figure, e.g. "n = 1,000 puzzles a point"."""
    low, high = int(rows["n"].min()), int(rows["n"].max())
    return f"n = {low:,} {unit} a point" if low == high else f"n = {low:,} to {high:,} {unit} a point"


def names_of(column: pd.Series) -> list[str]:
    """Names in the order of their first row."""
    return [str(name) for name in column.unique()]


def require_rows(rows: pd.DataFrame, what: str) -> None:
    """`UserInputError` for a figure of nothing."""
    if rows.empty:
        raise UserInputError(f"no rows to draw: expected {what}; decode them first")


def tick_values(axes: Axes, values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis at the values that were run, written out."""
    axes.xaxis.set_major_locator(FixedLocator(list(values)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def legend_key(name: str, known: dict[str, tuple[str, str]], place: int, line: Line = "none") -> Line2D:
    """A legend entry."""
    colour, marker = look(name, known, place)
    return Line2D([], [], color=colour, marker=marker, linestyle=line, label=name)


def render(figure: Figure, suffix: str = "png") -> bytes:
    """PNG or SVG, the same bytes for the same figure; a notebook shows ``Image(render(figure))``."""
    if suffix not in FORMATS:
        raise UserInputError(f"cannot draw a figure as {suffix!r}: choose one of {', '.join(FORMATS)}")
    buffer = io.BytesIO()
    with matplotlib.style.context(["default", STYLE]):
        figure.savefig(buffer, format=suffix, metadata=FORMATS[suffix])
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG or SVG by the ending of ``path``, whole or not at all."""
    atomic_write(path, render(figure, path.suffix.removeprefix(".")))
