"""``python -m planorder.sweep sudoku``: what steps, cells a step and noise do to orders by p1 and p1 - p2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
import tyro
from tabulate import tabulate

from planorder.choices import listed, masked_network
from planorder.console import (
    DeviceName,
    command_line,
    default_batch_size,
    precision_name,
    progress_bar,
    resolve_device,
    use_all_cores,
)
from planorder.decoding import StepView, Strategy, get_strategy, with_options
from planorder.decoding.budgets import Fixed
from planorder.decoding.noise import Gaussian, Gumbel, parse_noise
from planorder.decoding.orders import TopMargin, TopProb
from planorder.jobs import Decoding, Job, decode_all
from planorder.results.files import csv_bytes
from planorder.results.plotting import measure_of
from planorder.results.runs import RunFolder
from planorder.results.study_figures import NOISE_LINES, noise_and_steps
from planorder.results.tables import per_puzzle, with_cell_interval
from puzzles import get_family
from puzzles.base import UserInputError

EXAMPLES = """  python -m planorder.sweep sudoku
  python -m planorder.sweep sudoku --model shallow --n 1000 --scales prob,log --out runs/noise
  python -m planorder.sweep sudoku --ks "" --steps 50 --orders routing_top_prob,routing_top_margin
  python -m planorder.sweep sudoku --ks "" --steps 50 --scales logits --pick noised --noises none,gumbel:1"""
POINT = ("strategy", "setting", "value", "noise", "scale", "pick")
MEASURES = (
    *("n", "exact", "exact_low", "exact_high", "valid", "cell", "cell_low", "cell_high", "passes", "seed"),
    *("family", "tier", "model"),
)
"""Of sweep.csv, after the columns `POINT`."""
NO_NOISE, LOGITS = "none", "logits"
Point = dict[str, str | int]
"""One setting of the sweep: the columns `POINT`; of its noise "none" the scale is "none" too."""


@dataclass(frozen=True)
class Sweep:
    """Decode the same puzzles at every T and K, with every noise on every scale."""

    family: tyro.conf.Positional[str] = "sudoku"
    """puzzles, e.g. sudoku"""
    model: str = "relational"
    """a masked network that ships: relational, shallow, transformer"""
    checkpoint: Path | None = None
    """weights of your own instead"""
    n: int = 200
    """test puzzles"""
    tier: str = "logic"
    """logic or hard"""
    orders: str = "top_prob,top_margin"
    """orders by p1 or p1 - p2: top_prob, top_margin, routing_top_prob, routing_top_margin"""
    steps: str = "50,20,10,5"
    """reverse steps T, on the linear schedule; "" for none"""
    ks: str = "1,2,4,8"
    """cells a step K; "" for none"""
    noises: str = "none,gumbel:0.5,gumbel:0.5:annealed"
    """none, gumbel:0.5, gaussian:0.1; constant, or fading with :annealed; at most four"""
    scales: str = "prob"
    """what noise is added to: prob (p1 or p1 - p2), log (of it), logits (before p1 and p2 are read)"""
    pick: Literal["argmax", "sample", "noised"] | None = None
    """values: likeliest, sampled, or likeliest under the noise on the logits (default: likeliest; sampled
    where solutions are many)"""
    seed: int = 0
    """of every random choice while decoding"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    out: Path = Path("runs/sweep")
    """run folder to write"""
    overwrite: bool = False
    """replace the run folder if it is there"""


@dataclass(frozen=True)
class ThroughNoise:
    """A choice (an order or a pick) that sees log p + noise, a draw for each value, in place of log p.

    Under Gumbel(1) the likeliest value it sees is a sample from p (Gumbel-max). Choices with equal noise see
    the same draws.
    """

    choice: Callable[[StepView], torch.Tensor]
    noise: Gumbel | Gaussian

    def __call__(self, view: StepView) -> torch.Tensor:
        """As `choice` gives it."""
        shape = view.log_probs.shape
        flat = replace(view, uniform=lambda stream: view.uniform(stream, shape[-1]).flatten(1))
        noised = self.noise(flat, view.log_probs.double().flatten(1)).view(shape)
        return self.choice(replace(view, log_probs=noised.log_softmax(-1)))


def points(args: Sweep) -> list[Point]:
    """All settings asked for; decoding without noise stands once, whatever the scales."""
    noises, scales = listed(args.noises, "noises"), listed(args.scales, "scales", ("prob", "log", LOGITS))
    if len(noises) > len(NOISE_LINES):
        raise UserInputError(f"--noises {args.noises!r}: expected at most {len(NOISE_LINES)}, a line each")
    if args.pick == "noised" and scales != [LOGITS]:
        raise UserInputError(f"--pick noised with --scales {args.scales}: expected --scales logits alone")
    numbers = [("T", int(steps)) for steps in listed(args.steps, "steps")]
    numbers += [("K", int(k)) for k in listed(args.ks, "ks")]
    blurs = [(noise, scale) for noise in noises for scale in (scales if noise != NO_NOISE else [NO_NOISE])]
    orders = listed(args.orders, "orders")
    pick = args.pick or ("argmax" if get_family(args.family).unique else "sample")
    found = [(order, *at, *blur, pick) for at in numbers for blur in blurs for order in orders]
    if not found:
        raise UserInputError("nothing to sweep: give --orders, --noises, --scales, and --steps or --ks")
    return [dict(zip(POINT, values, strict=True)) for values in found]


def strategy_of(point: Point, found: Strategy | None = None) -> Strategy:
    """The strategy of a setting, under a name of its own; ``found``, if given, is that of its order."""
    order, setting, value, noise, scale, pick = (str(point[name]) for name in POINT)
    found = found or get_strategy(order)
    if not (isinstance(found.order, TopProb | TopMargin) and isinstance(found.budget, Fixed)):
        raise UserInputError(f"--orders {order}: expected orders by p1 or p1 - p2 that take T and K")
    number: dict[str, Any] = {"steps" if setting == "T" else "k": int(value)}
    found = with_options(found, pick="sample" if pick == "sample" else None, **number)
    amount = parse_noise(noise)
    if amount and scale == LOGITS:
        see = ThroughNoise(found.pick, amount) if pick == "noised" else found.pick
        found = replace(found, order=ThroughNoise(found.order, amount), pick=see)
    elif amount:
        found = with_options(found, noise=noise, scale=scale)
    return replace(found, name=" ".join(str(point[name]) for name in POINT))


def run_sweep(args: Sweep) -> None:
    """Checks what was asked, decodes, writes the run folder, prints the table."""
    use_all_cores()
    family, device, settings = get_family(args.family), resolve_device(args.device), points(args)
    measure = measure_of(family)
    orders = {name: get_strategy(name, family) for name in listed(args.orders, "orders")}
    strategies = [strategy_of(point, orders[str(point["strategy"])]) for point in settings]
    loaded = masked_network(family, args.model, args.checkpoint)
    how = Decoding(args.seed, device, precision_name("auto", device), default_batch_size(device))
    config = asdict(args)
    if args.n < 1:
        raise UserInputError(f"--n {args.n}: expected at least 1 puzzle")
    with RunFolder(args.out, config, args.overwrite) as run:
        with progress_bar(args.n, "generating") as advance:
            batches = {args.tier: family.generate("test", args.tier, args.n, workers=2, progress=advance)}
        jobs: list[Job] = [(args.tier, loaded, strategy) for strategy in strategies]
        outcomes = decode_all(jobs, batches, how)
        results = with_cell_interval(run.write_outcomes(outcomes, batches), per_puzzle(outcomes))
        sweep = pd.concat([pd.DataFrame(settings), results[list(MEASURES)]], axis=1)
        run.write_bytes("sweep.csv", csv_bytes(sweep))
        for scale in [name for name in sweep["scale"].unique() if name != NO_NOISE] or [NO_NOISE]:
            figure = noise_and_steps(sweep[sweep["scale"].isin([scale, NO_NOISE])], measure)
            run.write_figure(f"noise_and_steps_{scale}", figure)
    table = (100 * sweep.pivot(index=[*POINT[1:]], columns="strategy", values=measure.column)).reset_index()
    print(tabulate(table, headers="keys", showindex=False, floatfmt=".1f"))
    print(f"\n{measure.long} %, n = {args.n}; intervals: sweep.csv\nrun folder: {args.out}")


if __name__ == "__main__":
    command_line("planorder.sweep", Sweep, run_sweep, EXAMPLES)
