"""``python -m planorder.study noise``: studies of decoding order, each a table and a figure; resumable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
import tyro
from tabulate import tabulate

from planorder.choices import chosen_strategies, chosen_tiers, listed, masked_network
from planorder.console import (
    DeviceName,
    command_line,
    resolve_device,
    resumable,
    use_all_cores,
)
from planorder.decoding import Strategy, with_options
from planorder.frontier import (
    CHOSEN,
    Frontier,
    format_frontier,
    on_front,
    run_frontier,
)
from planorder.jobs import decode_settings, measured
from planorder.models import RelationalConfig, build_model
from planorder.models.checkpoint import LoadedModel, weights_digest
from planorder.results.analysis_figures import accuracy_frontier
from planorder.results.files import atomic_write, csv_bytes
from planorder.results.plotting import Measure, measure_of, save
from planorder.results.points import open_points
from planorder.results.study_figures import study_lines
from planorder.sweep import LOGITS, NO_NOISE, Point, strategy_of
from puzzles import get_family
from puzzles.base import AbstractFamily, UserInputError

EXAMPLES = """  python -m planorder.study noise
  python -m planorder.study depth zebra --n 500
  python -m planorder.study parallel sudoku --tiers hard
  python -m planorder.study depth --checkpoints runs/a/weights.safetensors runs/b/weights.safetensors"""
SCALED = ("top_prob", "top_margin")
"""Orders whose noise may go onto p, log p or the logits."""
ORDERS = {
    "noise": "top_prob,top_margin,neg_entropy",
    "depth": "vanilla,random,left_to_right,top_margin,solver_order",
    "parallel": CHOSEN,
}
STEPS = {"noise": 50, "depth": 20}
FOREIGN = {"noise": ("turns",), "depth": ("noises",), "parallel": ("steps", "noises", "turns")}
"""Options that a study has no use for."""
SETTINGS = ("tier", "turns", "scale", "noise", "strategy", "dial", "value")
"""Columns that tell points apart, of those that a study has, beside "network"."""
Job = tuple[dict[str, Any], LoadedModel, Strategy]


@dataclass(frozen=True)
class Study:
    """Decode the same puzzles under every setting of a study; run again, it goes on from there.

    noise: what Gumbel and Gaussian noise, constant or annealed, on p, log p or the logits, does to orders by
    p1, p1 - p2 and entropy. depth: how far more turns of a recurrent network replace the order. parallel:
    what speed costs (the frontier of planorder.frontier, a folder each where there are several weights).
    """

    name: tyro.conf.Positional[Literal["noise", "depth", "parallel"]]
    """of the study"""
    family: tyro.conf.Positional[str] = "sudoku"
    """puzzles, e.g. sudoku, zebra"""
    model: str = "relational"
    """a masked network that ships"""
    checkpoints: tuple[Path, ...] = ()
    """weights of your own instead; of several, e.g. seeds, the means are shown, from the least to the most"""
    orders: str | None = None
    """strategies with commas (default: three for noise, five for depth, ten for parallel)"""
    n: int = 200
    """test puzzles of each tier"""
    tiers: str | None = None
    """tiers with commas (default: all of the family)"""
    noises: str = "0.1,0.25,0.5,1"
    """noise: coefficients"""
    turns: str = "4,6,8,10,12,14,16,20,28"
    """depth: turns of the recurrent block"""
    steps: int | None = None
    """reverse steps T (default: 50 for noise, as Kim et al., 20 for depth)"""
    seed: int = 0
    """of every random choice while decoding"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    out: Path | None = None
    """folder to write, or to go on with (default: runs/study-NAME-FAMILY)"""


def noise_points(args: Study) -> Iterator[tuple[dict[str, Any], Strategy]]:
    """Settings of the noise study: every coefficient constant, the middle one annealed and Gaussian too."""
    steps, amounts = args.steps or STEPS["noise"], listed(args.noises, "noises")
    if not amounts:
        raise UserInputError(f"--noises {args.noises!r}: expected coefficients with commas, e.g. 0.1,0.5")
    middle = amounts[len(amounts) // 2]
    kinds = [f"gumbel:{amount}" for amount in amounts]
    kinds += [f"gumbel:{middle}:annealed", f"gaussian:{middle}", f"gaussian:{middle}:annealed"]
    for strategy in strategies_of(args):
        order, plain = strategy.name, with_options(strategy, steps=steps)
        yield {"strategy": order, "scale": NO_NOISE, "noise": NO_NOISE}, plain
        for noise in kinds:
            if order not in SCALED:
                yield {"strategy": order, "scale": "score", "noise": noise}, with_options(plain, noise=noise)
                continue
            for scale in ("prob", "log", LOGITS):
                asked: Point = {"strategy": order, "setting": "T", "value": steps, "noise": noise}
                found = strategy_of({**asked, "scale": scale, "pick": "argmax"}, strategy)
                yield {"strategy": order, "scale": scale, "noise": noise}, found


def strategies_of(args: Study) -> list[Strategy]:
    """Those that were asked for, or the study's own."""
    return chosen_strategies(args.orders or ORDERS[args.name], get_family(args.family))


def depth_points(args: Study) -> Iterator[tuple[dict[str, Any], Strategy]]:
    """Settings of the depth study, apart from the turns."""
    for strategy in strategies_of(args):
        yield {"strategy": strategy.name}, with_options(strategy, steps=args.steps or STEPS["depth"])


def with_turns(loaded: LoadedModel, turns: int) -> LoadedModel:
    """The same weights, repeated ``turns`` times.

    Raises:
        UserInputError: a network that does not repeat one block.
    """
    if not isinstance(loaded.config, RelationalConfig) or not loaded.config.tied:
        raise UserInputError(
            f"depth of {loaded.name!r}: expected a network that repeats one block: relational"
        )
    config = replace(loaded.config, turns=turns)
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, loaded.family)
    model.load_state_dict(loaded.model.state_dict())
    return replace(loaded, model=model.eval(), config=config)


def networks(args: Study, family: AbstractFamily) -> dict[str, LoadedModel]:
    """The networks of a study by the name of their lines."""
    if not args.checkpoints:
        found = masked_network(family, args.model)
        return {found.name: found}
    names = folder_names(args.checkpoints)
    loaded = [masked_network(family, args.model, path) for path in args.checkpoints]
    return dict(zip(names, loaded, strict=True))


def folder_names(paths: Sequence[Path]) -> list[str]:
    """What weights are called: by their folders.

    Raises:
        UserInputError: two have the same name.
    """
    names = [path.parent.name or path.stem for path in paths]
    if len(set(names)) < len(names):
        raise UserInputError("--checkpoints: expected weights in folders of different names")
    return names


def jobs_of(args: Study, family: AbstractFamily, shown: dict[str, LoadedModel]) -> list[Job]:
    """All points of a study with the network and the strategy of each."""
    settings = list(noise_points(args) if args.name == "noise" else depth_points(args))
    depths = [int(turns) for turns in listed(args.turns, "turns")] if args.name == "depth" else [None]
    if not depths:
        raise UserInputError(f"--turns {args.turns!r}: expected whole numbers with commas, e.g. 4,12")
    jobs: list[Job] = []
    for tier in chosen_tiers(args.tiers, family):
        for name, network in shown.items():
            for turns in depths:
                own = {"tier": tier, "network": name} | ({} if turns is None else {"turns": turns})
                deep = network if turns is None else with_turns(network, turns)
                jobs += [({**own, **point}, deep, strategy) for point, strategy in settings]
    return jobs


def run_study(args: Study) -> None:
    """Checks what was asked, decodes what is missing, writes table and figure, prints the table."""
    out = args.out or Path(f"runs/study-{args.name}-{args.family}")
    for option in FOREIGN[args.name]:
        if getattr(args, option) != getattr(Study, option):
            raise UserInputError(f"--{option} with {args.name}: expected none, it has no use there")
    for option in ("n", "steps"):
        if (value := getattr(args, option)) is not None and value < 1:
            raise UserInputError(f"--{option} {value}: expected at least 1")
    if args.name == "parallel":
        return run_parallel(args, out)
    use_all_cores()
    family, device = get_family(args.family), resolve_device(args.device)
    found = networks(args, family)
    jobs, measure = jobs_of(args, family, found), measure_of(family)
    config = {
        "command": f"study {args.name}",
        "family": family.version,
        "weights": {name: weights_digest(network.model) for name, network in found.items()},
        "steps": args.steps or STEPS[args.name],
    }
    config |= decode_settings(args.n, args.seed, device)
    with open_points(out, config) as folder, resumable(out):
        table = pd.DataFrame(measured(jobs, folder, f"study {args.name}"))
        atomic_write(out / f"{args.name}.csv", csv_bytes(table))
        if len(found) > 1:
            table, measure = over_weights(table, measure)
            atomic_write(out / f"{args.name}_over_weights.csv", csv_bytes(table))
        for tier, rows in table.groupby("tier", sort=False):
            save(study_lines(rows, args.name, measure), out / f"{args.name}_{tier}.png")
    print(format_study(table, args.name, measure))
    print(f"\n{measure.long} %, n = {args.n}; {measure.bars}: {args.name}*.csv\nfolder: {out}")


def run_parallel(args: Study, out: Path) -> None:
    """The frontier of each network, and of several their means."""
    asked = Frontier(args.family, args.model, n=args.n, tiers=args.tiers, seed=args.seed, out=out)
    asked = replace(asked, device=args.device, orders=args.orders or ORDERS["parallel"])
    if len(args.checkpoints) < 2:
        return run_frontier(replace(asked, checkpoint=next(iter(args.checkpoints), None)))
    names = folder_names(args.checkpoints)
    for name, path in zip(names, args.checkpoints, strict=True):
        run_frontier(replace(asked, checkpoint=path, out=out / name))
    tables = [pd.read_csv(out / name / "frontier.csv").assign(network=name) for name in names]
    table, measure = over_weights(pd.concat(tables), measure_of(get_family(args.family)))
    table["on_frontier"] = on_front(table, measure.column)
    atomic_write(out / "parallel_over_weights.csv", csv_bytes(table))
    save(accuracy_frontier(table, measure), out / "parallel.png")
    print(f"\n{format_frontier(table, measure.column, measure.bars)}\n\nfolder: {out}")


def over_weights(table: pd.DataFrame, measure: Measure) -> tuple[pd.DataFrame, Measure]:
    """A row a setting, of a study of several trainings, and its accuracy as figures show it.

    Its interval is from the least to the most of the trainings, which are few; that of each over its puzzles
    stands in the table of all points.
    """
    column = measure.column
    grouped = table.groupby([name for name in SETTINGS if name in table], sort=False, dropna=False)
    accuracy = {column: (column, "mean"), f"{column}_low": (column, "min"), f"{column}_high": (column, "max")}
    found = grouped.agg(
        networks=("network", "nunique"), n=("n", "first"), passes=("passes", "mean"), **accuracy
    ).reset_index()
    several = found["networks"].iloc[0]
    return found, replace(measure, bars=f"means, least to most, of {several} trainings")


def format_study(table: pd.DataFrame, name: str, measure: Measure) -> str:
    """The table for people: a column an order, a row a setting."""
    value, low, high = (100 * table[f"{measure.column}{end}"] for end in ("", "_low", "_high"))
    rows = ["tier", "turns"] if name == "depth" else ["tier", "noise", "scale"]
    cells = [f"{v:.1f} ({a:.1f} to {b:.1f})" for v, a, b in zip(value, low, high, strict=True)]
    wide = table.assign(shown=cells).pivot(index=rows, columns="strategy", values="shown").reset_index()
    return tabulate(wide.astype(object).fillna(""), headers="keys", showindex=False, disable_numparse=True)


if __name__ == "__main__":
    command_line("planorder.study", Study, run_study, EXAMPLES)
