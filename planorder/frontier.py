"""``python -m planorder.frontier sudoku``: what accuracy each strategy buys with how many forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
import tyro

from planorder.choices import chosen_strategies, chosen_tiers, listed, masked_network
from planorder.console import (
    DeviceName,
    command_line,
    resolve_device,
    resumable,
    use_all_cores,
)
from planorder.decoding import Strategy, with_options
from planorder.decoding.adaptive import BestOfRuns, CumulativeError, EntropyBound, Factor, Stable
from planorder.decoding.budgets import SCHEDULED, Threshold
from planorder.jobs import decode_settings, measured
from planorder.models.checkpoint import weights_digest
from planorder.results.analysis_figures import CELLS, STEPS, accuracy_frontier
from planorder.results.files import atomic_write, csv_bytes
from planorder.results.plotting import measure_of, save
from planorder.results.points import open_points
from planorder.results.tables import percent, text_table
from puzzles import get_family
from puzzles.base import AbstractFamily, UserInputError

EXAMPLES = """  python -m planorder.frontier sudoku
  python -m planorder.frontier sudoku --n 1000 --tiers hard --model shallow --out runs/frontier-shallow
  python -m planorder.frontier zebra --orders vanilla,top_margin,eb_entropy --steps 36,18,9,3"""
CHOSEN = "vanilla,random,left_to_right,top_prob,top_margin,neg_entropy,threshold,factor,eb_entropy,klass"
PROBABILITIES = (0.5, 0.7, 0.9, 0.99, 0.999)
DIALS: dict[type, tuple[str, tuple[float, ...]]] = {
    Threshold: ("tau", PROBABILITIES),
    Stable: ("tau", PROBABILITIES),
    BestOfRuns: ("high", PROBABILITIES),
    Factor: ("factor", (4.0, 2.0, 1.0, 0.5, 0.1)),
    EntropyBound: ("gamma", (2.0, 0.5, 0.1, 0.01, 0.001)),
    CumulativeError: ("limit", (2.0, 1.0, 0.5, 0.1, 0.01)),
}
"""What is turned where the model decides how many cells to fill: a part of the budget, its field, values."""
NO_DIAL = "-"
COLUMNS = (
    *("family", "tier", "model", "strategy", "dial", "value", "n", "exact", "exact_low", "exact_high"),
    *("valid", "cell", "passes", "passes_low", "passes_high", "seconds", "seed", "on_frontier"),
    *("cell_low", "cell_high"),
)
"""Of frontier.csv: a contract with whoever reads the file."""
Settings = dict[tuple[str, float | None], Strategy]
"""A strategy by dial and value."""
Part = TypeVar("Part")


@dataclass(frozen=True)
class Frontier:
    """Decode the same puzzles with every strategy at every setting; run again, it goes on from there."""

    family: tyro.conf.Positional[str] = "sudoku"
    """puzzles, e.g. sudoku"""
    model: str = "relational"
    """a masked network that ships: relational, shallow, transformer"""
    checkpoint: Path | None = None
    """weights of your own instead"""
    n: int = 200
    """test puzzles of each tier"""
    tiers: str | None = None
    """tiers with commas, e.g. logic,hard (default: all of the family)"""
    orders: str = CHOSEN
    """strategies, with commas"""
    steps: str = "50,20,10,5,3"
    """reverse steps T of strategies that do not decide themselves how many cells to fill"""
    ks: str = ""
    """cells a step K of the same strategies, e.g. 8,4,2 (default: none)"""
    seed: int = 0
    """of every random choice while decoding"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 or fp32; auto: bf16 where the processor has it"""
    batch_size: int | None = None
    """puzzles at a time (default: 256 on a CPU, 4096 on a GPU)"""
    out: Path | None = None
    """folder to write, or to go on with (default: runs/frontier-FAMILY)"""


def tuned(part: Part, kind: type, name: str, value: float) -> Part:
    """``part`` with that field of every such part in it set, as where an order and a budget agree."""
    if not is_dataclass(part) or isinstance(part, type):
        return part
    if isinstance(part, kind):
        return replace(part, **{name: value})
    inner = {f.name: tuned(getattr(part, f.name), kind, name, value) for f in fields(part) if f.init}
    return replace(part, **inner)


def settings_of(strategy: Strategy, steps: Sequence[int], ks: Sequence[int] = ()) -> Settings:
    """The strategy at every setting of its dials, by dial and value."""
    for kind, (name, values) in DIALS.items():
        found: Settings = {(name, value): tuned(strategy, kind, name, value) for value in values}
        if any(tuned(strategy.budget, kind, name, value) != strategy.budget for value in values):
            return found
    turned: Settings = {}
    if isinstance(strategy.budget, SCHEDULED) or strategy.steps is not None:
        turned |= {(STEPS, t): with_options(strategy, steps=t) for t in steps}
    if isinstance(strategy.budget, SCHEDULED):
        turned |= {(CELLS, k): with_options(strategy, k=k) for k in ks}
    return turned or {(NO_DIAL, None): strategy}


def jobs_of(args: Frontier, family: AbstractFamily) -> list[tuple[dict[str, Any], Strategy]]:
    """All points, by tier, strategy, dial and value, with their strategies."""
    steps = [int(value) for value in listed(args.steps, "steps")]
    ks = [int(value) for value in listed(args.ks, "ks")]
    if not steps and not ks:
        raise UserInputError(f"--steps {args.steps!r}: expected whole numbers with commas, e.g. 50,20")
    dialled = [(s.name, settings_of(s, steps, ks)) for s in chosen_strategies(args.orders, family)]
    return [
        ({"tier": tier, "strategy": name, "dial": dial, "value": value}, strategy)
        for tier in chosen_tiers(args.tiers, family)
        for name, settings in dialled
        for (dial, value), strategy in settings.items()
    ]


def pareto(passes: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """bool ``[points]``: no other point is as good on both counts and better on one."""
    fewer, better = passes[:, None] - passes, accuracy - accuracy[:, None]
    beaten = (fewer >= 0) & (better >= 0) & ((fewer > 0) | (better > 0))
    found: np.ndarray = ~beaten.any(axis=1)
    return found


def frontier_table(rows: Sequence[dict[str, Any]], measure: str) -> pd.DataFrame:
    """frontier.csv: the rows, with those on the front of their tier marked."""
    table = pd.DataFrame(rows)
    return table.assign(on_frontier=on_front(table, measure))[list(COLUMNS)]


def on_front(table: pd.DataFrame, measure: str) -> pd.Series:
    """bool a row: on the front of its tier."""
    found = pd.Series(False, index=table.index)
    for _, part in table.groupby("tier"):
        found[part.index] = pareto(part["passes"].to_numpy(), part[measure].to_numpy())
    return found


def format_frontier(table: pd.DataFrame, measure: str, bars: str = "95% interval") -> str:
    """The table for people, by tier and passes; ``bars`` says what its intervals are."""
    rows: list[dict[str, object]] = []
    parts = [part.sort_values("passes", kind="stable") for _, part in table.groupby("tier", sort=False)]
    for row in pd.concat(parts).to_dict("records"):
        ends = f"{percent(row[f'{measure}_low'])} to {percent(row[f'{measure}_high'])}"
        dial = NO_DIAL if row["dial"] == NO_DIAL else f"{row['dial']} {row['value']:g}"
        shown = {"tier": row["tier"], "strategy": row["strategy"], "dial": dial, "n": row["n"]}
        shown |= {
            f"{measure} %": percent(row[measure]),
            bars: ends,
            "passes": f"{row['passes']:.1f}",
        }
        rows.append(shown | {"front": "*" if row["on_frontier"] else ""})
    return text_table(rows, "terminal", left=("tier", "strategy", "dial"))


def run_frontier(args: Frontier) -> None:
    """Checks what was asked, decodes what is missing, writes table and figures, prints the table."""
    use_all_cores()
    family, device = get_family(args.family), resolve_device(args.device)
    jobs, loaded = jobs_of(args, family), masked_network(family, args.model, args.checkpoint)
    if args.n < 1 or (args.batch_size is not None and args.batch_size < 1):
        raise UserInputError(f"--n {args.n}, --batch-size {args.batch_size}: expected at least 1 puzzle")
    config = {
        "command": "frontier",
        "family": family.version,
        "model": loaded.name,
        "weights": weights_digest(loaded.model),
    }
    config |= decode_settings(args.n, args.seed, device, args.precision, args.batch_size)
    out, measure = args.out or Path(f"runs/frontier-{family.name}"), measure_of(family)
    with open_points(out, config) as folder, resumable(out):
        rows = measured([(point, loaded, strategy) for point, strategy in jobs], folder, "frontier")
        table = frontier_table(rows, measure.column)
        atomic_write(out / "frontier.csv", csv_bytes(table))
        save(accuracy_frontier(table, measure), out / "frontier.png")
    print(format_frontier(table, measure.column))
    print(f"\nfront: no point has fewer passes and is as good, or is better and has as few\nfolder: {out}")


if __name__ == "__main__":
    command_line("planorder.frontier", Frontier, run_frontier, EXAMPLES)
