"""Accuracy by the size of the puzzles, for families of several sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from planorder.results.evaluate import Outcome
from planorder.results.stats import wilson
from planorder.results.tables import LABELS, Style, per_puzzle, text_table


def by_size(outcomes: Sequence[Outcome], sizes: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Exact accuracy of each outcome by the size of the puzzles.

    Args:
        outcomes: as in `summarise`.
        sizes: by tier, str ``[puzzles]``.

    Returns:
        A row an outcome and size: the labels, size, n, exact, exact_low, exact_high (95% Wilson).
    """
    puzzles = per_puzzle(outcomes)
    puzzles["size"] = np.concatenate([sizes[outcome.tier] for outcome in outcomes])
    found = puzzles.groupby([*LABELS, "size"], sort=False)["exact"].agg(["size", "sum"])
    found.columns = ["n", "solved"]
    table = found.reset_index()
    table["exact"] = table["solved"] / table["n"]
    table["exact_low"], table["exact_high"] = wilson(table["solved"], table["n"])
    return table.drop(columns="solved")


def format_by_size(table: pd.DataFrame, style: Style = "terminal") -> str:
    """The table of `by_size` for people: a row an outcome, a column a size, exact in percent."""
    wide = table.assign(exact=100 * table["exact"]).pivot_table(
        index=["tier", "model", "strategy"], columns="size", values="exact", sort=False
    )
    shown = wide[sorted(wide.columns)].map(lambda share: f"{share:.1f}" if share >= 0 else "-")
    rows: list[dict[str, object]] = [
        dict(zip(("tier", "model", "strategy", *shown.columns), (*labels, *values), strict=True))
        for labels, values in zip(shown.index, shown.to_numpy(), strict=True)
    ]
    return text_table(rows, style, left=("tier", "model", "strategy"))
