"""What a run of the table writes and prints: its tables, its figures, its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from planorder.results import figures
from planorder.results.comparisons import format_tests, paired_tests
from planorder.results.evaluate import FREE, Outcome, error_curve
from planorder.results.files import csv_bytes
from planorder.results.order_analysis import gap_closed
from planorder.results.plotting import measure_of
from planorder.results.runs import RunFolder
from planorder.results.sizes import by_size, format_by_size
from planorder.results.tables import (
    format_results,
    per_puzzle,
    summarise,
    text_table,
    with_cell_interval,
)
from puzzles.base import LOGIC, AbstractFamily, PuzzleBatch

FILE = "file"
"""Tier of a user's own puzzles."""
DRAWN = (LOGIC, FILE)
"""The tier of which traces are drawn, the first that there is; else the first of all."""


def write_tables(
    run: RunFolder,
    outcomes: Sequence[Outcome],
    batches: Mapping[str, PuzzleBatch],
    family: AbstractFamily,
) -> str:
    """Writes results.csv, tests.csv, gap.csv and, if puzzles have sizes, by_size.csv; gives them as text."""
    puzzles = per_puzzle(outcomes)
    results = with_cell_interval(run.write_outcomes(outcomes, batches), puzzles)
    tests, gaps = paired_tests(puzzles, measure=family.headline), gap_closed(puzzles)
    sizes = {tier: family.sizes(batch.clues) for tier, batch in batches.items()}
    known = {tier: found for tier, found in sizes.items() if found is not None}
    sized = by_size(outcomes, known) if len(known) == len(sizes) else None
    for name, table in {"tests": tests, "gap": gaps, "by_size": sized}.items():
        if table is not None:
            run.write_bytes(f"{name}.csv", csv_bytes(table))
    parts = [format_results(results, measure=family.headline), legend(family)]
    if sized is not None:
        parts += ["exact % by size", format_by_size(sized)]
    if len(gaps) and family.headline == "exact":
        parts += ["Share of the gap from vanilla to the oracle that an order closes", format_gaps(gaps)]
    if len(tests):
        exact = family.headline == "exact"
        kind, name = ("Exact paired tests", "McNemar") if exact else ("Paired tests of cell", "t")
        parts += [f"{kind} on the same puzzles ({name}), Holm-adjusted", format_tests(tests)]
    return "\n\n".join(parts)


def format_gaps(gaps: pd.DataFrame) -> str:
    """The table of `gap_closed` for people; "-" where the puzzles have no gap, or no finite interval."""
    rows: list[dict[str, object]] = [
        {
            "tier": row["tier"],
            "model": row["model"],
            "strategy": row["strategy"],
            "oracle": row["oracle"],
            "gap, points": f"{100 * row['gap']:+.2f}",
            "closed %": text_of(row["closed"]),
            "95% interval": f"{text_of(row['low'])} to {text_of(row['high'])}",
        }
        for row in gaps.to_dict("records")
    ]
    return text_table(rows, "terminal", left=("tier", "model", "strategy", "oracle"))


def text_of(share: float) -> str:
    """A share as per cent without decimals; "-" for nan."""
    return f"{100 * share:.0f}" if share == share else "-"


def write_figures(
    run: RunFolder,
    outcomes: Sequence[Outcome],
    batches: Mapping[str, PuzzleBatch],
    family: AbstractFamily,
) -> list[str]:
    """The figures of a run; returns their names."""
    measure, results = measure_of(family), with_cell_interval(summarise(outcomes), per_puzzle(outcomes))
    drawn = {
        "accuracy_by_strategy": figures.accuracy_by_strategy(results, measure),
        "accuracy_against_passes": figures.accuracy_against_passes(results, measure),
    }
    tier = next((tier for tier in DRAWN if tier in batches), next(iter(batches)))
    first = next((outcome.model for outcome in outcomes if outcome.strategy != FREE), outcomes[0].model)
    traced = {o.strategy: o for o in outcomes if o.tier == tier and o.model == first}
    drawn["step_heat_map"] = figures.step_heat_map(
        {k: o.step for k, o in traced.items()}, family.grid, family.box
    )
    curves = {k: error_curve(family, batches[tier], o.cells, o.step) for k, o in traced.items()}
    drawn["error_by_masked_fraction"] = figures.error_by_masked_fraction(curves, measure)
    masked = {o.model: o.model for o in outcomes if o.strategy != FREE}
    orders = [name for name in figures.DEFAULT_ORDERS if name in set(results["strategy"])]
    if len(masked) > 1 and orders:
        drawn["order_effect_by_depth"] = figures.order_effect_by_depth(results, masked, orders, measure)
    for name, figure in drawn.items():
        run.write_figure(name, figure)
    return list(drawn)


def legend(family: AbstractFamily) -> str:
    """What the columns of the table mean."""
    exact = "equals the solution" if family.unique else "is a solution, one of many"
    interval = "95% Wilson" if family.headline == "exact" else "95% t of cell, over puzzles"
    cell = f"{family.judged_name} right"
    return f"exact: {exact}; valid: keeps rules and clues; cell: {cell}; interval: {interval}"
