"""``python -m planorder survey``: every strategy there is, over Sudoku and Zebra, in one table; resumable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planorder.catalogue import chosen as catalogued
from planorder.choices import chosen_strategies, listed, masked_network
from planorder.console import (
    DeviceName,
    command_line,
    resolve_device,
    resumable,
    use_all_cores,
)
from planorder.decoding import Strategy
from planorder.decoding.learned import suits
from planorder.jobs import decode_settings, measured
from planorder.models.checkpoint import weights_digest
from planorder.results.comparisons import ORACLES
from planorder.results.files import atomic_write, csv_bytes
from planorder.results.plotting import Measure, measure_of, save
from planorder.results.points import open_points
from planorder.results.study_figures import survey_figure
from planorder.results.tables import percent, text_table
from puzzles import get_family
from puzzles.base import AbstractFamily, UserInputError

EXAMPLES = """  python -m planorder survey
  python -m planorder survey --families sudoku --n 1000 --out runs/survey-1000
  python -m planorder survey --orders vanilla,top_margin,klass,remdm_cap --n 500"""
ALL, BASELINE = "all", "vanilla"
GAP = "gap: share closed of that from vanilla to the oracle"


@dataclass(frozen=True)
class Survey:
    """Decode the same puzzles with every strategy there is; run again, it goes on from there."""

    families: str = "sudoku,zebra"
    """puzzles, with commas, whose networks ship"""
    model: str = "relational"
    """a masked network that ships: relational, shallow, transformer"""
    orders: str = ALL
    """strategies, with commas; all: those that python -m planorder orders lists and that suit the puzzles"""
    n: int = 100
    """test puzzles of each tier"""
    seed: int = 0
    """of every random choice while decoding"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    out: Path = Path("runs/survey")
    """folder to write, or to go on with: a folder a family in it"""


def strategies_of(args: Survey, family: AbstractFamily) -> list[Strategy]:
    """The strategies that are asked for; of "all" without the heads that were taught on other puzzles."""
    suitable = (strategy.name for strategy in catalogued(()) if suits(strategy.name, family.name))
    return chosen_strategies(",".join(suitable) if args.orders == ALL else args.orders, family)


def run_survey(args: Survey) -> None:
    """Checks what was asked, decodes what is missing, writes tables and figures, prints the tables."""
    use_all_cores()
    if args.n < 1:
        raise UserInputError(f"--n {args.n}: expected at least 1 puzzle")
    names = listed(args.families, "families")
    if not names:
        raise UserInputError(f"--families {args.families!r}: expected names with commas, e.g. sudoku,zebra")
    asked = [
        (family, strategies_of(args, family), masked_network(family, args.model))
        for family in map(get_family, names)
    ]
    device = resolve_device(args.device)
    for family, strategies, loaded in asked:
        config = {"command": "survey", "family": family.version, "weights": weights_digest(loaded.model)}
        config |= decode_settings(args.n, args.seed, device)
        jobs: list[tuple[dict[str, Any], Any, Strategy]] = [
            ({"tier": tier, "strategy": strategy.name}, loaded, strategy)
            for strategy in strategies
            for tier in family.tiers
        ]
        out, measure = args.out / family.name, measure_of(family)
        with open_points(out, config) as folder, resumable(args.out):
            rows = pd.DataFrame(measured(jobs, folder, f"survey {family.name}"))
            table = with_gap(ranked(rows, measure), measure.column)
            atomic_write(out / "survey.csv", csv_bytes(table))
            save(survey_figure(table, measure), out / "survey.png")
        print(
            f"{format_survey(table, measure)}\n\n{measure.long} %, {measure.bars}, n = {args.n} a tier; {GAP}"
        )
        print(f"folder: {out}\n")


def ranked(table: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """The table by tier, the best strategies of the last tier first and of equals those of fewer passes."""
    last = table[table["tier"] == table["tier"].iloc[-1]]
    order = last.sort_values([measure.column, "passes"], ascending=[False, True], kind="stable")["strategy"]
    places = {name: place for place, name in enumerate(order)}
    tiers = {name: place for place, name in enumerate(table["tier"].unique())}
    keys = pd.DataFrame({"tier": table["tier"].map(tiers), "place": table["strategy"].map(places)})
    return table.loc[keys.sort_values(["tier", "place"], kind="stable").index].reset_index(drop=True)


def with_gap(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The table with ``closed``: the share of a tier's gap from vanilla to the oracle; nan without both.

    The oracle is the first of `comparisons.ORACLES` that was decoded; shares with an interval are those of
    `order_analysis.gap_closed`.
    """
    found = pd.Series(np.nan, index=table.index)
    for _, part in table.groupby("tier"):
        reached = dict(zip(part["strategy"], part[column], strict=True))
        oracle = next((name for name in ORACLES if name in reached), None)
        if oracle and reached.get(BASELINE, reached[oracle]) < reached[oracle]:
            found[part.index] = (part[column] - reached[BASELINE]) / (reached[oracle] - reached[BASELINE])
    return table.assign(closed=found)


def format_survey(table: pd.DataFrame, measure: Measure) -> str:
    """The table for people: a row a strategy, the tiers side by side."""
    rows: dict[str, dict[str, object]] = {}
    for row in table.to_dict("records"):
        ends = f"{percent(row[f'{measure.column}_low'])} to {percent(row[f'{measure.column}_high'])}"
        own = rows.setdefault(row["strategy"], {"strategy": row["strategy"]})
        own[f"{row['tier']} %"] = f"{percent(row[measure.column])} ({ends})"
        own[f"{row['tier']} gap %"] = f"{100 * row['closed']:.0f}" if row["closed"] == row["closed"] else ""
        own[f"{row['tier']} passes"] = f"{row['passes']:.1f}"
    return text_table(list(rows.values()), "terminal", left=("strategy",))


def main() -> None:
    """The command line."""
    command_line("planorder survey", Survey, run_survey, EXAMPLES)


if __name__ == "__main__":
    main()
