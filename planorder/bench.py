"""``python -m planorder.bench sudoku``: what decoding order is worth, in one table and four figures."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import tyro

from planorder.choices import chosen_models, chosen_puzzles, chosen_strategies, has_chance
from planorder.console import (
    DeviceName,
    command_line,
    default_batch_size,
    precision_name,
    resolve_device,
    use_all_cores,
)
from planorder.decoding import Strategy
from planorder.distributed import check_one_rank, world
from planorder.frontier import Frontier, run_frontier
from planorder.jobs import Decoding, Job, decode_all, own_way
from planorder.results.report import write_figures, write_tables
from planorder.results.runs import RunFolder
from puzzles import get_family
from puzzles.base import AbstractFamily, UserInputError

EXAMPLES = """  python -m planorder.bench sudoku
  python -m planorder.bench zebra --n 1000
  python -m planorder.bench naesat --orders vanilla,top_margin
  python -m planorder.bench sudoku --n 1000 --models relational,shallow,transformer --out runs/depth
  python -m planorder.bench sudoku --orders vanilla,top_margin --protocol paper
  python -m planorder.bench sudoku --orders top_margin --noise gumbel:0.1 --best-of 5
  python -m planorder.bench sudoku --puzzles my_puzzles.txt --orders top_margin
  python -m planorder.bench sudoku --frontier --out runs/frontier
  torchrun --nproc-per-node 2 -m -- planorder.bench sudoku --n 10000
  python -m planorder.bench sudoku --checkpoint runs/mine/weights.safetensors --device cuda --n 10000"""

ORDERS = ("vanilla", "random", "left_to_right", "top_prob", "top_margin", "neg_entropy", "solver_order")


@dataclass(frozen=True)
class Bench:
    """Decode the same puzzles in every order and say what the order is worth."""

    family: tyro.conf.Positional[str] = "sudoku"
    """puzzles: sudoku, zebra, naesat, ..."""
    n: int | None = None
    """test puzzles of each tier, or puzzles of a file (default: 200, of naesat 75; of a file all)"""
    orders: str | None = None
    """strategies of the masked networks, with commas (default: vanilla,random,left_to_right,top_prob,
    top_margin,neg_entropy,solver_order; ten for --frontier)"""
    models: str | None = None
    """networks that ship, with commas: relational, shallow, transformer, ar-fixed, ar-random, ar-solver"""
    checkpoint: Path | None = None
    """weights of your own instead of those that ship"""
    puzzles: Path | None = None
    """file of your own puzzles instead of generated ones: 81-character lines, CSV or the .npy of Shah for
    Sudoku, JSON lines or the .pkl of Shah for Zebra"""
    protocol: Literal["plain", "paper"] = "plain"
    """paper: 50 reverse steps and Gumbel noise of 0.5 on the order's score, as Kim et al. write"""
    steps: int | None = None
    """reverse steps T (default: a cell a step; vanilla 50)"""
    k: int | None = None
    """cells a step"""
    noise: str | None = None
    """noise on the order's score, e.g. gumbel:0.5, gaussian:0.1, none"""
    pick: Literal["argmax", "sample"] | None = None
    """values: likeliest or sampled (default: as the order has it; sampled where solutions are many)"""
    best_of: int = 1
    """decodes of a puzzle by a strategy, of which one counts; give --noise or --pick sample"""
    choose: Literal["confident", "oracle"] = "confident"
    """which of them: the most confident, or, as an oracle, one that is right if any is"""
    seed: int = 0
    """of every random choice while decoding"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 or fp32; auto: bf16 where the processor has it"""
    batch_size: int | None = None
    """puzzles at a time (default: 256 on a CPU, 4096 on a GPU)"""
    frontier: bool = False
    """accuracy against forward passes instead: the strategies at all their settings, resumable"""
    out: Path | None = None
    """run folder to write (default: runs/FAMILY-DATE-TIME)"""
    overwrite: bool = False
    """replace the run folder if it is there"""


def frontier_of(bench: Bench) -> Frontier:
    """What ``python -m planorder.bench FAMILY --frontier`` asks for.

    Raises:
        UserInputError: an option of the table that a frontier has no use for.
    """
    for name in ("puzzles", "steps", "k", "noise", "pick"):
        if getattr(bench, name) is not None:
            raise UserInputError(
                f"--{name} with --frontier: expected none; a frontier has settings of its own"
            )
    if bench.protocol != "plain" or bench.overwrite or bench.best_of > 1 or bench.choose != "confident":
        raise UserInputError(
            "--protocol, --best-of, --choose and --overwrite with --frontier: expected none; name another "
            "--out"
        )
    names = ("family", "orders", "checkpoint", "n", "seed", "device", "precision", "batch_size", "out")
    kept: dict[str, Any] = {name: value for name in names if (value := getattr(bench, name)) is not None}
    if bench.models is not None:
        kept["model"] = bench.models
    return Frontier(**kept)


def strategies_of(args: Bench, family: AbstractFamily) -> list[Strategy]:
    """The strategies of the table; several decodes need chance."""
    if args.best_of < 1:
        raise UserInputError(f"--best-of {args.best_of}: expected at least 1 decode of a puzzle")
    if args.choose != "confident" and args.best_of == 1:
        raise UserInputError(f"--choose {args.choose}: of one decode? expected --best-of 2 or more with it")
    orders = ",".join(ORDERS) if args.orders is None else args.orders
    options = {name: getattr(args, name) for name in ("protocol", "steps", "k", "noise", "pick")}
    found = chosen_strategies(orders, family, **options)
    for strategy in found if args.best_of > 1 else []:
        if not has_chance(strategy, family):
            raise UserInputError(
                f"--best-of {args.best_of} with {strategy.name!r}: its decodes would all be one: give "
                "--noise gumbel:0.1 or --pick sample"
            )
    return found


def run_bench(args: Bench) -> None:
    """Checks what was asked, decodes, writes the run folder, prints the tables; rank 0 does the last two."""
    if args.checkpoint and args.models is not None:
        raise UserInputError("--models with --checkpoint: expected one of them")
    if args.frontier:
        check_one_rank("--frontier")
        return run_frontier(frontier_of(args))
    use_all_cores()
    family, device = get_family(args.family), resolve_device(args.device)
    strategies, models = strategies_of(args, family), chosen_models(family, args.models, args.checkpoint)
    if args.batch_size is not None and args.batch_size < 1:
        raise UserInputError(f"--batch-size {args.batch_size}: expected at least 1 puzzle at a time")
    how = Decoding(
        args.seed,
        device,
        precision_name(args.precision, device),
        args.batch_size or default_batch_size(device),
        samples=None if args.pick is None else args.pick == "sample",
        best_of=args.best_of,
        oracle=args.choose == "oracle",
    )
    out = args.out or Path("runs") / f"{family.name}-{datetime.now():%Y%m%d-%H%M%S}"
    with RunFolder(out, asdict(args), args.overwrite) if world().first else nullcontext() as run:
        batches = chosen_puzzles(family, args.n, args.puzzles)
        jobs: list[Job] = []
        for tier in batches:
            for model in models:
                chosen = [None] if own_way(model) else strategies
                jobs += [(tier, model, strategy) for strategy in chosen]
        outcomes = decode_all(jobs, batches, how)
        if run is None:
            return
        shown = write_tables(run, outcomes, batches, family)
        names = write_figures(run, outcomes, batches, family)
    print(shown)
    print(f"\nrun folder: {out}\nfigures:    {', '.join(name + '.png' for name in names)}")


if __name__ == "__main__":
    command_line("planorder.bench", Bench, run_bench, EXAMPLES, on_ranks=True)
