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

from planorder.bench import Bench
from planorder.console import (
    DeviceName,
    command_line,
    resolve_device,
    resumable,
    use_all_cores,
)
from planorder.decoding import Strategy, get_strategy, with_options
from planorder.frontier import Frontier, decode_settings, measured, run_frontier
from planorder.models import RelationalConfig, build_model
from planorder.models.checkpoint import LoadedModel, load_model, weights_digest
from planorder.results.files import atomic_write
from planorder.results.plotting import measure_of, save
from planorder.results.points import open_points
from planorder.results.study_figures import study_lines
from planorder.sweep import LOGITS, NO_NOISE, Point, listed, masked_network, strategy_of
from puzzles import get_family
from puzzles.base import AbstractFamily, UserInputError

EXAMPLES = """  python -m planorder.study noise
  python -m planorder.study depth zebra --n 500
  python -m planorder.study parallel sudoku --tiers hard
  python -m planorder.study depth --checkpoints runs/a/weights.safetensors runs/b/weights.safetensors"""
SCALED = ("top_prob", "top_margin")
"""Orders whose noise may go onto p, log p or the logits."""
DEPTH_ORDERS = ("vanilla", "random", "left_to_right", "top_margin", "solver_order")
STEPS = {"noise": 50, "depth": 20}
Job = tuple[dict[str, Any], LoadedModel, Strategy]


@dataclass(frozen=True)
class Study:
    """Decode the same puzzles under every setting of a study; run again, it goes on from there.

    noise: what Gumbel and Gaussian noise, constant or annealed, on p, log p or the logits, does to the orders
    by p1, p1 - p2 and entropy. depth: how far more turns of a recurrent network replace the order. parallel:
    what speed costs (the frontier of planorder.frontier).
    """

    name: tyro.conf.Positional[Literal["noise", "depth", "parallel"]]
    """of the study"""
    family: tyro.conf.Positional[str] = "sudoku"
    """puzzles, e.g. sudoku, zebra"""
    model: str = "relational"
    """a masked network that ships"""
    checkpoints: tuple[Path, ...] = ()
    """weights of your own instead, e.g. of several seeds; each gets lines of its own"""
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
    steps, amounts = args.steps or STEPS["noise"], listed(args, "noises")
    if not amounts:
        raise UserInputError(f"--noises {args.noises!r}: expected coefficients with commas, e.g. 0.1,0.5")
    middle = amounts[len(amounts) // 2]
    kinds = [f"gumbel:{amount}" for amount in amounts]
    kinds += [f"gumbel:{middle}:annealed", f"gaussian:{middle}"]
    for order in (*SCALED, "neg_entropy"):
        plain = with_options(get_strategy(order), steps=steps)
        yield {"strategy": order, "scale": NO_NOISE, "noise": NO_NOISE}, plain
        for noise in kinds:
            if order not in SCALED:
                yield {"strategy": order, "scale": "score", "noise": noise}, with_options(plain, noise=noise)
                continue
            for scale in ("prob", "log", LOGITS):
                asked: Point = {"strategy": order, "setting": "T", "value": steps, "noise": noise}
                found = strategy_of({**asked, "scale": scale, "pick": "argmax"})
                yield {"strategy": order, "scale": scale, "noise": noise}, found


def depth_points(args: Study) -> Iterator[tuple[dict[str, Any], Strategy]]:
    """Settings of the depth study, apart from the turns."""
    for order in DEPTH_ORDERS:
        yield {"strategy": order}, with_options(get_strategy(order), steps=args.steps or STEPS["depth"])


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
        found = masked_network(Bench(args.family, models=args.model))
        return {found.name: found}
    names = folder_names(args.checkpoints)
    loaded = dict(zip(names, map(load_model, args.checkpoints), strict=True))
    for path, network in zip(args.checkpoints, loaded.values(), strict=True):
        if network.family.name != family.name:
            raise UserInputError(f"{path}: trained on {network.family.name!r}, expected {family.name!r}")
    return loaded


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
    tiers = list(family.tiers) if args.tiers is None else listed(args, "tiers", family.tiers)
    jobs: list[Job] = []
    for tier in tiers:
        for name, network in shown.items():
            if args.name == "noise":
                for point, strategy in noise_points(args):
                    jobs.append(({"tier": tier, "weights": name, **point}, network, strategy))
                continue
            for turns in listed(args, "turns"):
                deep = with_turns(network, int(turns))
                for point, strategy in depth_points(args):
                    jobs.append(
                        ({"tier": tier, "weights": name, "turns": int(turns), **point}, deep, strategy)
                    )
    return jobs


def run_study(args: Study) -> None:
    """Checks what was asked, decodes what is missing, writes table and figure, prints the table."""
    out = args.out or Path(f"runs/study-{args.name}-{args.family}")
    if args.name == "parallel":
        for option, usual in (("steps", None), ("noises", Study.noises), ("turns", Study.turns)):
            if getattr(args, option) != usual:
                raise UserInputError(f"--{option} with parallel: expected none, see planorder.frontier")
        asked = Frontier(args.family, args.model, n=args.n, tiers=args.tiers, seed=args.seed, out=out)
        asked = replace(asked, device=args.device)
        if not args.checkpoints:
            return run_frontier(asked)
        for name, path in zip(folder_names(args.checkpoints), args.checkpoints, strict=True):
            run_frontier(
                replace(asked, checkpoint=path, out=out if len(args.checkpoints) == 1 else out / name)
            )
        return
    use_all_cores()
    if args.n < 1:
        raise UserInputError(f"--n {args.n}: expected at least 1 puzzle")
    family, device = get_family(args.family), resolve_device(args.device)
    shown = networks(args, family)
    jobs, measure = jobs_of(args, family, shown), measure_of(family)
    config = {
        "command": f"study {args.name}",
        "family": family.version,
        "weights": {name: weights_digest(network.model) for name, network in shown.items()},
        "tiers": args.tiers,
        "noises": args.noises,
        "turns": args.turns,
        "steps": args.steps or STEPS[args.name],
    }
    config |= decode_settings(args.n, args.seed, device)
    with open_points(out, config) as folder, resumable(out):
        table = pd.DataFrame(measured(jobs, folder, f"study {args.name}"))
        atomic_write(out / f"{args.name}.csv", table.to_csv(index=False, lineterminator="\n").encode())
        for tier, rows in table.groupby("tier", sort=False):
            save(study_lines(rows, args.name, measure), out / f"{args.name}_{tier}.png")
    print(format_study(table, args.name, measure.column))
    print(f"\n{measure.long} %, n = {args.n}; intervals: {args.name}.csv\nfolder: {out}")


def format_study(table: pd.DataFrame, name: str, measure: str) -> str:
    """The table for people: a column an order, a row a setting."""
    rows = ["tier", "weights", "turns"] if name == "depth" else ["tier", "weights", "noise", "scale"]
    wide = (100 * table.pivot(index=rows, columns="strategy", values=measure)).round(1).reset_index()
    return tabulate(wide.astype(object).fillna(""), headers="keys", showindex=False, floatfmt=".1f")


if __name__ == "__main__":
    command_line("planorder.study", Study, run_study, EXAMPLES)
