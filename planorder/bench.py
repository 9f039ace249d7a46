"""``python -m planorder.bench sudoku``: what decoding order is worth, in one table and four figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import tyro

from planorder.console import (
    DeviceName,
    command_line,
    default_batch_size,
    precision_name,
    progress_bar,
    resolve_device,
    use_all_cores,
)
from planorder.decoding import Strategy, decode, get_strategy, paper_protocol, with_options
from planorder.decoding.autoregressive import decode_autoregressive
from planorder.decoding.d3pm import D3PM, decode_d3pm, process_of
from planorder.decoding.noise import no_noise
from planorder.decoding.particles import best_of
from planorder.decoding.picks import argmax
from planorder.decoding.plugins import made_up, nearly_filled
from planorder.decoding.shards import decode_on_ranks
from planorder.decoding.testing import HashModel, equal
from planorder.decoding.view import Decoded
from planorder.distributed import check_one_rank, world
from planorder.models import AutoregressiveModel, parameter_count
from planorder.models.checkpoint import LoadedModel, load_model, pretrained
from planorder.results.evaluate import Outcome, score
from planorder.results.report import FILE, FREE, write_figures, write_tables
from planorder.results.runs import RunFolder
from puzzles import get_family
from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError
from puzzles.errors import did_you_mean

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
MODELS = ("relational", "ar-fixed", "ar-random", "ar-solver")
"""The networks of the table by default, of those that ship."""


@dataclass(frozen=True)
class Bench:
    """Decode the same puzzles in every order and say what the order is worth."""

    family: tyro.conf.Positional[str] = "sudoku"
    """puzzles: sudoku, zebra, naesat, ..."""
    n: int | None = None
    """test puzzles of each tier, or puzzles of a file (default: 200, of naesat 75; of a file all)"""
    orders: str = ",".join(ORDERS)
    """strategies of the masked networks, with commas"""
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
    """decodes of a puzzle by a strategy, of which the most confident counts; give --noise or --pick sample"""
    seed: int = 0
    """of every random choice while decoding"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 or fp32; auto: bf16 where the processor has it"""
    batch_size: int | None = None
    """puzzles at a time (default: 128 on a CPU, 4096 on a GPU)"""
    frontier: bool = False
    """accuracy against forward passes instead: the strategies at all their settings, resumable"""
    out: Path | None = None
    """run folder to write (default: runs/FAMILY-DATE-TIME)"""
    overwrite: bool = False
    """replace the run folder if it is there"""


Job = tuple[str, LoadedModel, Strategy | None]
"""A tier, a network and its strategy; None is for a network that has a way of its own, see `own_way`."""


def chosen_strategies(args: Bench) -> list[Strategy]:
    """The strategies by name, with the options the user set."""
    names = [name.strip() for name in args.orders.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UserInputError(f"--orders {args.orders!r}: expected one or more different names with commas")
    family = get_family(args.family)
    found = [get_strategy(name, family) for name in names]
    if args.protocol == "paper":
        found = [paper_protocol(strategy) for strategy in found]
    options: dict[str, Any] = {"steps": args.steps, "k": args.k, "noise": args.noise, "pick": pick_of(args)}
    found = [with_options(strategy, **options) for strategy in found]
    if args.best_of < 1:
        raise UserInputError(f"--best-of {args.best_of}: expected at least 1 decode of a puzzle")
    for strategy in found if args.best_of > 1 else []:
        if not has_chance(strategy, family):
            raise UserInputError(
                f"--best-of {args.best_of} with {strategy.name!r}: its decodes would all be one: give "
                "--noise gumbel:0.1 or --pick sample"
            )
    return found


def has_chance(strategy: Strategy, family: AbstractFamily) -> bool:
    """Whether another seed may decode otherwise: by its noise or values, or tried on made-up puzzles."""
    if strategy.noise is not no_noise or strategy.pick is not argmax:
        return True
    puzzles, model = nearly_filled(made_up(family)), HashModel(family.n_values)
    first, second = (decode(model, puzzles, strategy, seed=seed) for seed in (0, 1))
    return not equal(first, second)


def pick_of(args: Bench) -> str | None:
    """How values are picked; None leaves it to the strategies.

    Where puzzles have many solutions the likeliest values would give the same one every time.
    """
    return args.pick or (None if get_family(args.family).unique else "sample")


def chosen_models(args: Bench, family: AbstractFamily) -> list[LoadedModel]:
    """The user's checkpoint, or the networks that ship, by name."""
    if args.checkpoint:
        model = load_model(args.checkpoint)
        if model.family.name != family.name:
            raise UserInputError(
                f"{args.checkpoint}: trained on {model.family.name!r}, the puzzles are {family.name!r}: "
                f"run python -m planorder.bench {model.family.name}"
            )
        return [model]
    shipped = pretrained(family.name)
    if not shipped:
        raise UserInputError(
            f"no weights ship for {family.name!r}: train some (python -m planorder train {family.name} --out "
            f"runs/mine) and give --checkpoint runs/mine/weights.safetensors"
        )
    chosen = ",".join(name for name in MODELS if name in shipped) if args.models is None else args.models
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    for name in names:
        if name not in shipped:
            hint = did_you_mean(name, shipped)
            raise UserInputError(f"model {name!r} does not ship: expected one of {', '.join(shipped)}{hint}")
    if not names or len(set(names)) < len(names):
        raise UserInputError(f"--models {chosen!r}: expected one or more different names with commas")
    return [load_model(shipped[name]) for name in names]


def chosen_puzzles(args: Bench, family: AbstractFamily) -> dict[str, PuzzleBatch]:
    """The user's file, or ``n`` puzzles of each tier of the test split."""
    n = family.usual_n if args.n is None else args.n
    if n < 1:
        raise UserInputError(f"--n {n}: expected at least 1 puzzle a tier")
    if args.puzzles:
        return {FILE: family.read(args.puzzles)[: args.n]}
    with progress_bar(n * len(family.tiers), "generating") as advance:
        return {tier: family.generate("test", tier, n, workers=2, progress=advance) for tier in family.tiers}


def own_way(loaded: LoadedModel) -> str | None:
    """What tables call the only way to decode a network, or None for a masked one, which takes strategies.

    An autoregressive network chooses its cells itself; one of D3PM's noise of values refines them all.
    """
    if isinstance(loaded.model, AutoregressiveModel):
        return FREE
    return D3PM if process_of(loaded.info) else None


def run_job(
    job: Job,
    batch: PuzzleBatch,
    seed: int,
    device: str,
    precision: str,
    batch_size: int,
    temperature: float,
    progress: Callable[[int], None],
    decodes: int = 1,
) -> Outcome:
    """Decodes the puzzles of a tier with one network and strategy, on all ranks, and judges them.

    The temperature is that of an autoregressive network, which has no strategy. Of several ``decodes`` by a
    strategy the most confident is judged, with the passes of all (`particles.best_of`).
    """
    tier, loaded, strategy = job
    if not -(2**63) <= seed < 2**63:
        raise UserInputError(f"--seed {seed}: expected a whole number of 64 bits")
    options: dict[str, Any] = {
        "seed": seed,
        "device": device,
        "batch_size": batch_size,
        "precision": precision,
        "progress": progress,
    }

    def decode_rows(rows: PuzzleBatch) -> Decoded:
        if strategy is not None and decodes > 1:
            return best_of(loaded.model, rows, strategy, decodes, **options).best
        if strategy is not None:
            return decode(loaded.model, rows, strategy, **options)
        if process := process_of(loaded.info):
            return decode_d3pm(loaded.model, rows, process, **options)
        assert isinstance(loaded.model, AutoregressiveModel)
        return decode_autoregressive(loaded.model.to(device), rows, temperature=temperature, **options)

    started = time.perf_counter()
    decoded = decode_on_ranks(decode_rows, batch, batch_size, progress)
    return Outcome(
        family=batch.family,
        tier=tier,
        model=loaded.name if decodes == 1 or strategy is None else f"{loaded.name} x{decodes}",
        strategy=strategy.name if strategy else str(own_way(loaded)),
        seed=seed,
        seconds=time.perf_counter() - started,
        parameters=parameter_count(loaded.model),
        rows=score(loaded.family, batch, decoded.cells, decoded.passes, decoded.step),
        cells=decoded.cells,
        step=decoded.step,
        prob=decoded.prob,
    )


def decode_all(
    jobs: Sequence[Job], batches: Mapping[str, PuzzleBatch], args: Bench, device: str
) -> list[Outcome]:
    """All jobs under one progress bar."""
    batch_size = args.batch_size or default_batch_size(device)
    precision = precision_name(args.precision, device)
    temperature = float(pick_of(args) == "sample")
    outcomes = []
    total = sum(len(batches[tier]) * (args.best_of if strategy else 1) for tier, _, strategy in jobs)
    with progress_bar(total, "decoding") as advance:
        for job in jobs:
            batch = batches[job[0]]
            outcomes.append(
                run_job(
                    job, batch, args.seed, device, precision, batch_size, temperature, advance, args.best_of
                )
            )
    return outcomes


def run_bench(args: Bench) -> None:
    """Checks what was asked, decodes, writes the run folder, prints the tables; rank 0 does the last two."""
    if args.checkpoint and args.models is not None:
        raise UserInputError("--models with --checkpoint: expected one of them")
    if args.frontier:
        check_one_rank("--frontier")
        from planorder.frontier import frontier_of, run_frontier  # which decodes with this module

        return run_frontier(frontier_of(args))
    use_all_cores()
    family, device = get_family(args.family), resolve_device(args.device)
    strategies, models = chosen_strategies(args), chosen_models(args, family)
    if args.batch_size is not None and args.batch_size < 1:
        raise UserInputError(f"--batch-size {args.batch_size}: expected at least 1 puzzle at a time")
    out = args.out or Path("runs") / f"{family.name}-{datetime.now():%Y%m%d-%H%M%S}"
    config = asdict(args)
    with RunFolder(out, config, args.overwrite) if world().first else nullcontext() as run:
        batches = chosen_puzzles(args, family)
        jobs: list[Job] = []
        for tier in batches:
            for model in models:
                chosen = [None] if own_way(model) else strategies
                jobs += [(tier, model, strategy) for strategy in chosen]
        outcomes = decode_all(jobs, batches, args, device)
        if run is None:
            return
        shown = write_tables(run, outcomes, batches, family)
        names = write_figures(run, outcomes, batches, family)
    print(shown)
    print(f"\nrun folder: {out}\nfigures:    {', '.join(name + '.png' for name in names)}")


if __name__ == "__main__":
    command_line("planorder.bench", Bench, run_bench, EXAMPLES, on_ranks=True)
