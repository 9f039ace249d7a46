"""``python -m planorder ablation``: what the training objective and the order are worth, at equal tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
import tyro

from planorder.choices import chosen_strategies, chosen_tiers, listed
from planorder.console import (
    DeviceName,
    command_line,
    progress_bar,
    resolve_device,
    resumable,
    use_all_cores,
)
from planorder.jobs import decode_settings, measured
from planorder.models import parameter_count
from planorder.models.checkpoint import LoadedModel, load_model, weights_digest
from planorder.reproductions.plan import Report, finish
from planorder.results.plotting import Measure, measure_of
from planorder.results.points import open_points
from planorder.results.reproduce_figures import ablation_heat_map
from planorder.results.tables import percent, text_table
from planorder.train import Train, training_puzzles
from planorder.training.data import TrainingData
from planorder.training.loop import WEIGHTS, train
from planorder.training.presets import Recipe, recipe
from puzzles import get_family
from puzzles.base import AbstractFamily, UserInputError

EXAMPLES = """  python -m planorder ablation
  python -m planorder ablation --objectives masked,mdlm,puma --orders vanilla,top_margin --n 1000
  python -m planorder ablation zebra --model shallow --steps 2000 --out runs/ablation-zebra
  python -m planorder ablation --scale paper --device cuda --n 10000"""
OBJECTIVES = "masked,mdlm,ao_arm,mgdm,puma"
ORDERS = "vanilla,random,top_prob,top_margin,neg_entropy,solver_order"
CPU_STEPS = 800
"""Of each training at scale cpu: with five objectives and two tiers about an hour of two cores in all."""
TRAININGS = "trainings"
"""The folder, inside that of the ablation, of a training each objective."""


@dataclass(frozen=True)
class Ablation:
    """Train one network by each objective on the same puzzles, decode it by each strategy; resumable."""

    family: tyro.conf.Positional[str] = "sudoku"
    """puzzles, e.g. sudoku, zebra"""
    objectives: str = OBJECTIVES
    """of training, with commas; all: python -m planorder train --help"""
    orders: str = ORDERS
    """strategies, with commas"""
    model: str = "relational"
    """a masked network: relational, shallow, transformer"""
    scale: Literal["tiny", "cpu", "paper"] = "cpu"
    """preset of the network: tiny (seconds), cpu (about an hour on two cores) or paper (for a GPU)"""
    steps: int | None = None
    """optimiser steps of each training (default: 800 at scale cpu, else the preset's)"""
    n: int = 200
    """test puzzles of each tier"""
    tiers: str | None = None
    """tiers with commas (default: all of the family)"""
    seed: int = 0
    """of weights, batches, masks and decoding"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    out: Path | None = None
    """folder to write, or to go on with (default: runs/ablation-FAMILY)"""


def recipes(args: Ablation, family: AbstractFamily) -> dict[str, Recipe]:
    """The recipe of each objective; they differ in nothing else, so all see the same batches.

    Raises:
        UserInputError: unknown objectives or networks, a network without masks, or steps below 1.
    """
    names = listed(args.objectives, "objectives")
    if not names:
        raise UserInputError(f"--objectives {args.objectives!r}: expected one or more with commas")
    steps = args.steps if args.steps is not None or args.scale != "cpu" else CPU_STEPS
    found = {}
    for name in names:
        base = recipe(args.scale, args.model, family, objective=name)
        if getattr(base.model, "noisy", False):
            raise UserInputError(f"--objectives {name}: its networks take no orders; expected one of masks")
        schedule = replace(base.train, seed=args.seed, steps=base.train.steps if steps is None else steps)
        seen = schedule.steps * schedule.batch_size
        found[name] = replace(base, train=schedule, puzzles=min(base.puzzles, seen))
    return found


def trained(
    args: Ablation, family: AbstractFamily, chosen: dict[str, Recipe], out: Path, device: str
) -> dict[str, LoadedModel]:
    """A network for each objective; trainings that are not finished go on, under one bar of puzzles seen."""
    first = next(iter(chosen.values()))
    folders = {name: out / TRAININGS / name for name in chosen}
    missing = [name for name in chosen if not (folders[name] / WEIGHTS).exists()]
    if missing:
        asked = Train(family.name, out / TRAININGS)
        puzzles = training_puzzles(asked, family, first.puzzles, first.tiers)
        config = first.train
        data = TrainingData(family, puzzles, config.batch_size, config.seed, config.balance, config.by_size)
        with progress_bar(len(missing) * config.steps * config.batch_size, "training") as advance:
            for name in missing:
                job, facts = chosen[name], {"objective_name": name, "preset": args.scale}
                train(
                    job.model,
                    job.train,
                    job.objective,
                    data,
                    folders[name],
                    name=args.model,
                    info=facts | {"puzzles": len(puzzles)},
                    device=device,
                    progress=moves(advance, config.batch_size),
                )
    return {name: load_model(folder / WEIGHTS) for name, folder in folders.items()}


def moves(advance: Callable[[int], None], batch_size: int) -> Callable[[int, dict[str, float]], None]:
    """What `train` calls with its steps, as moves of a bar of puzzles."""
    seen = [0]

    def show(step: int, line: dict[str, float]) -> None:
        advance(step * batch_size - seen[0])
        seen[0] = step * batch_size

    return show


def run_ablation(args: Ablation) -> None:
    """Checks what was asked, trains and decodes what is missing, writes table and heat map, prints both."""
    use_all_cores()
    family, device = get_family(args.family), resolve_device(args.device)
    if args.n < 1:
        raise UserInputError(f"--n {args.n}: expected at least 1 puzzle")
    if args.scale == "paper" and device == "cpu":
        raise UserInputError("--scale paper trains on a GPU, and PyTorch sees none here: give --scale cpu")
    tiers = chosen_tiers(args.tiers, family)
    chosen, out = recipes(args, family), args.out or Path(f"runs/ablation-{family.name}")
    strategies = chosen_strategies(args.orders, family)
    first = next(iter(chosen.values()))
    settings = {
        "command": "ablation",
        "family": family.version,
        "model": args.model,
        "scale": args.scale,
        "steps": first.train.steps,
        "training_batch": first.train.batch_size,
    }
    settings |= decode_settings(args.n, args.seed, device)
    with open_points(out, settings) as folder, resumable(out):
        networks = trained(args, family, chosen, out, device)
        found = [
            ({"objective": name, "weights": weights_digest(loaded.model)}, loaded)
            for name, loaded in networks.items()
        ]
        jobs = [
            (point | {"tier": tier, "strategy": strategy.name}, loaded, strategy)
            for tier in tiers
            for point, loaded in found
            for strategy in strategies
        ]
        table = pd.DataFrame(measured(jobs, folder, "decoding"))
        report = report_of(table, measure_of(family), first, networks, family)
        finish(folder, "ablation", report)
    print(f"{report.text}\n\nfolder: {out} (ablation.csv, ablation.png)")


def report_of(
    table: pd.DataFrame,
    measure: Measure,
    first: Recipe,
    networks: dict[str, LoadedModel],
    family: AbstractFamily,
) -> Report:
    """The table, its heat map and its text."""
    seen = first.train.steps * first.train.batch_size
    network = next(iter(networks.values()))
    said = (
        f"{network.name}, {parameter_count(network.model):,} parameters; {seen:,} examples of "
        f"{family.n_cells} tokens ({first.train.steps:,} steps)"
    )
    note = f"{measure.long} %, {measure.bars}: over puzzles, not over trainings, of which there is one each"
    text = f"{format_grid(table, measure.column)}\n\n{note}\n{said}"
    return Report(table, ablation_heat_map(table, measure, said), text)


def format_grid(table: pd.DataFrame, measure: str) -> str:
    """The table for people: a row a tier and objective, a column a strategy."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for row in table.to_dict("records"):
        ends = f"{percent(row[f'{measure}_low'])} to {percent(row[f'{measure}_high'])}"
        facts = {name: row[name] for name in ("tier", "objective", "n")}
        own = rows.setdefault((row["tier"], row["objective"]), facts)
        own[row["strategy"]] = f"{percent(row[measure])} ({ends})"
    return text_table(list(rows.values()), "terminal", left=("tier", "objective"))


def main() -> None:
    """The command line."""
    command_line("planorder ablation", Ablation, run_ablation, EXAMPLES)


if __name__ == "__main__":
    main()
