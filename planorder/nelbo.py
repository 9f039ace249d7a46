"""``python -m planorder nelbo sudoku``: how likely a masked network finds the solutions, in nats."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
from tabulate import tabulate

from planorder.choices import chosen_puzzles, listed, masked_network
from planorder.console import (
    DeviceName,
    command_line,
    default_batch_size,
    progress_bar,
    resolve_device,
    use_all_cores,
)
from planorder.models.checkpoint import LoadedModel, weights_digest
from planorder.results.files import csv_bytes
from planorder.results.resampling import percentile_interval, resampled_sums
from planorder.results.runs import RunFolder
from planorder.training.likelihood import Score, chain_rule, masked_bound
from planorder.training.objectives.imitate import lead
from planorder.training.objectives.weighted import WeightedObjective
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError

EXAMPLES = (
    """  python -m planorder nelbo sudoku
  python -m planorder nelbo sudoku --model shallow --n 1000 --repeats 64 --out runs/nelbo
  python -m planorder nelbo sudoku --checkpoint runs/mine/weights.safetensors --orders random,solver,margin
  python -m planorder nelbo sudoku --puzzles my_puzzles.txt --orders """
    + '""'
)
ORDERS = ("row_major", "random", "solver", "margin")
BOUND = "bound"


@dataclass(frozen=True)
class Nelbo:
    """Bound the negative log-likelihood of solutions by random masks, and work it out along orders.

    bound: the negative ELBO of masked diffusion, the mean over all orders. An order: exact, one blank a
    forward pass, each blank given the true values of those before it; row_major, random (one a puzzle),
    solver (the logical solver's), margin (largest p1 - p2 first, decided anew in each state).
    """

    family: tyro.conf.Positional[str] = "sudoku"
    """puzzles, e.g. sudoku, zebra"""
    model: str = "relational"
    """a masked network that ships: relational, shallow, transformer"""
    checkpoint: Path | None = None
    """weights of your own instead"""
    n: int | None = None
    """test puzzles of each tier"""
    puzzles: Path | None = None
    """file of your own puzzles instead of generated ones"""
    repeats: int = 16
    """masks a puzzle for the bound"""
    masks: Literal["count", "rate"] = "count"
    """of the bound: n ~ U{1..L} blanks, or each blank with probability t ~ U(0, 1)"""
    orders: str = "solver,margin"
    """orders with commas: row_major, random, solver, margin; "" for the bound alone"""
    seed: int = 0
    """of masks and random orders"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    out: Path | None = None
    """folder for nelbo.csv (the table) and puzzles.csv (nats of each puzzle); none without it"""
    overwrite: bool = False
    """replace the folder if it is there"""


def order_of(name: str, batch: PuzzleBatch, seed: int) -> np.ndarray | Score:
    """The order of a name, as `likelihood.chain_rule` takes it."""
    if name == "margin":
        return lead
    if name == "solver":
        return batch.rank
    row_major = np.tile(np.arange(batch.clues.shape[1]), (len(batch), 1))
    return (
        row_major if name == "row_major" else np.random.default_rng(seed % 2**64).permuted(row_major, axis=1)
    )


def nats_of_puzzles(
    loaded: LoadedModel, batch: PuzzleBatch, orders: list[str], args: Nelbo, progress: Callable[[int], None]
) -> pd.DataFrame:
    """A row a puzzle: index, blanks, and the nats of the bound and of each order."""
    device = resolve_device(args.device)
    options: dict[str, Any] = {
        "device": device,
        "batch_size": default_batch_size(device),
        "progress": progress,
    }
    objective = WeightedObjective(masks=args.masks)
    found = masked_bound(
        loaded.model, batch, repeats=args.repeats, seed=args.seed, objective=objective, **options
    )
    columns = {"index": batch.index, "blanks": batch.blank.sum(1), BOUND: found.mean(1)}
    for name in orders:
        order = order_of(name, batch, args.seed)
        columns[name] = chain_rule(loaded.model, batch, order, **options)
    return pd.DataFrame(columns)


def summary(puzzles: pd.DataFrame, repeats: int) -> pd.DataFrame:
    """A row a tier and likelihood: nats a puzzle and a blank (a ratio of sums), and passes a puzzle.

    Their 95% intervals are percentiles of a bootstrap over puzzles, so that none is below 0.
    """
    rows = []
    for tier, part in puzzles.groupby("tier", sort=False):
        blanks = part["blanks"].to_numpy(float)
        for name in [column for column in part if column not in ("tier", "index", "blanks")]:
            nats = part[name].to_numpy(float)
            drawn, blanks_drawn = resampled_sums(np.stack([nats, blanks], 1)).T
            low, high = percentile_interval(drawn / len(part))
            blank_low, blank_high = percentile_interval(drawn / blanks_drawn.clip(min=1))
            rows.append(
                {
                    "tier": tier,
                    "likelihood": name,
                    "n": len(part),
                    "nats_puzzle": nats.mean(),
                    "nats_puzzle_low": low,
                    "nats_puzzle_high": high,
                    "nats_blank": nats.sum() / max(blanks.sum(), 1),
                    "nats_blank_low": blank_low,
                    "nats_blank_high": blank_high,
                    "passes": repeats if name == BOUND else blanks.mean(),
                }
            )
    return pd.DataFrame(rows)


def format_summary(table: pd.DataFrame) -> str:
    """The table for people."""
    shown = table[["tier", "likelihood"]].copy()
    for name, digits in (("nats_puzzle", 3), ("nats_blank", 4)):
        shown[name.replace("_", " a ")] = [
            f"{row[name]:.{digits}f} ({row[f'{name}_low']:.{digits}f} to {row[f'{name}_high']:.{digits}f})"
            for _, row in table.iterrows()
        ]
    shown["passes"] = table["passes"].round(1)
    return tabulate(shown, headers="keys", showindex=False)


def run_nelbo(args: Nelbo) -> None:
    """Checks what was asked, evaluates, writes the folder if one is named, prints the table."""
    use_all_cores()
    if args.repeats < 1:
        raise UserInputError(f"--repeats {args.repeats}: expected at least 1")
    orders, family = listed(args.orders, "orders", ORDERS), get_family(args.family)
    loaded = masked_network(family, args.model, args.checkpoint)
    batches, parts = chosen_puzzles(family, args.n, args.puzzles), []
    passes = [args.repeats * len(batch) + len(orders) * batch.blank.sum() for batch in batches.values()]
    config = {**vars(args), "weights": weights_digest(loaded.model)}
    with RunFolder(args.out, config, args.overwrite) if args.out else nullcontext() as run:
        with progress_bar(int(sum(passes)), loaded.name, "pass") as advance:
            for tier, batch in batches.items():
                parts.append(nats_of_puzzles(loaded, batch, orders, args, advance))
                parts[-1].insert(0, "tier", tier)
        puzzles = pd.concat(parts, ignore_index=True)
        table = summary(puzzles, args.repeats)
        if run is not None:
            for name, frame in (("nelbo.csv", table), ("puzzles.csv", puzzles)):
                run.write_bytes(name, csv_bytes(frame))
    print(format_summary(table))
    guess = math.log(family.n_values)
    print(f"\n95% intervals over puzzles; guessing: {guess:.4f} nats a blank (ln {family.n_values})")
    if args.out:
        print(f"folder: {args.out}")


def main() -> None:
    """The command line."""
    command_line("planorder nelbo", Nelbo, run_nelbo, EXAMPLES)


if __name__ == "__main__":
    main()
