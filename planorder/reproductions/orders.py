"""Figure 2 left: pi-learners, causal networks on permuted solutions; loss against compute by permutation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from planorder.console import progress_bar, resolve_device
from planorder.models import AutoregressiveConfig, parameter_count
from planorder.models.pi_learner import PiLearner
from planorder.reproductions.paper import CPU, GPU, TARGETS, Drawing
from planorder.reproductions.plan import Plan, Report, Reproduce, departures, heading
from planorder.reproductions.sequences import SEQUENCES, Sequences
from planorder.results.points import PointFolder
from planorder.results.reproduce_figures import loss_by_compute
from planorder.results.resampling import t_interval
from planorder.results.tables import text_table
from planorder.training.data import TrainingData
from puzzles.base import PuzzleBatch, UserInputError

ORDERS = ("identity", "much closer", "closer", "uniform")
VALIDATION = 256
"""Solutions on which a loss is measured."""


@dataclass(frozen=True)
class Scale:
    """How large the learners are and how long they train.

    Attributes:
        sizes: layers and width of the networks; the best one at a budget counts.
        flops: budgets C; a network of N parameters sees C / (6 N) tokens.
        repeats: permutations and seeds of each kind of order.
        batch: sequences a step.
        rate: peak learning rate; it falls along a cosine to a tenth.
        puzzles: whose solutions, under symmetries drawn anew, are the data.
    """

    sizes: tuple[tuple[int, int], ...]
    flops: tuple[float, ...]
    repeats: int
    batch: int
    rate: float
    puzzles: int


SCALES = {
    CPU: Scale(((2, 32), (2, 64)), (2e10, 6e10, 2e11), 3, 32, 2e-3, 4_000),
    GPU: Scale(((6, 256), (8, 512), (12, 768)), (1e16, 3e16, 1e17), 3, 512, 4e-4, 1_800_000),
}


def swaps_of(kind: str, cells: int) -> int | None:
    """Random transpositions of the identity that make an order of a kind; None for "uniform".

    As in the paper "much closer" takes floor(sqrt(L)) and "closer" floor(L / 10) of them, for L cells. Below
    L = 100 that is the other way round than the names say.
    """
    return {"identity": 0, "much closer": isqrt(cells), "closer": cells // 10}.get(kind)


def permutation(kind: str, cells: int, seed: int) -> np.ndarray:
    """int64 ``[cells]``: the order pi of a kind, after `swaps_of` transpositions, or uniform."""
    rng, swaps = np.random.default_rng((seed, ORDERS.index(kind))), swaps_of(kind, cells)
    if swaps is None:
        return rng.permutation(cells)
    order = np.arange(cells)
    for _ in range(swaps):
        places = rng.choice(cells, 2, replace=False)
        order[places] = order[places[::-1]]
    return order


def label_of(point: dict[str, Any]) -> str:
    """An order for people, with its number of swaps."""
    swaps = swaps_of(point["order"], len(SEQUENCES[point["family"]].cells))
    return f"{point['order']} ({swaps} swaps)" if swaps else point["order"]


def learner(point: dict[str, Any], seed: int) -> PiLearner:
    """A new network of a point: its order and weights are functions of the seed and the repeat."""
    read = SEQUENCES[point["family"]]
    layers, width, cells = point["layers"], point["width"], len(read.cells)
    shape = AutoregressiveConfig(
        cells, read.family.n_values, 1, cells, layers=layers, width=width, heads=width // 32
    )
    order = torch.from_numpy(permutation(point["order"], cells, seed + point["repeat"]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + point["repeat"])
        return PiLearner(shape, order, read.family.graph() if read.clues else None)


def steps_of(point: dict[str, Any], scale: Scale, tokens: int, parameters: int) -> int:
    """Optimiser steps of a budget: C / (6 N) tokens, so many a sequence; at least one step."""
    return max(1, round(point["flops"] / (6 * parameters * scale.batch * tokens)))


def rate_of(scale: Scale, step: int, steps: int) -> float:
    """Learning rate of a step from 0: warm-up over a tenth, cosine from the peak to a tenth of it."""
    warm = min(1.0, (step + 1) / max(1, steps // 10))
    return scale.rate * warm * (0.55 + 0.45 * math.cos(math.pi * step / steps))


def train_learner(
    point: dict[str, Any],
    scale: Scale,
    data: TrainingData,
    validation: PuzzleBatch,
    seed: int,
    device: str,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """Trains one pi-learner for its budget; its loss in nats a token on the validation solutions."""
    model, read = learner(point, seed).to(device), SEQUENCES[point["family"]]
    parameters = parameter_count(model)
    steps = steps_of(point, scale, read.length, parameters)
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate_of(scale, step, steps)
        loss = -model(*read.read(data.batch(step), device)).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        advance(1)
    found = loss_on(model, read, validation, scale.batch, device)
    if not math.isfinite(found):
        raise UserInputError(f"loss of {point} is not finite: expected a number; ask for other --flops")
    tokens = steps * scale.batch * read.length
    return {"loss": found, "steps": steps, "tokens": tokens, "parameters": parameters}


@torch.inference_mode()
def loss_on(model: PiLearner, read: Sequences, puzzles: PuzzleBatch, batch: int, device: str) -> float:
    """Nats a token of the puzzles' solutions."""
    parts = [puzzles[start : start + batch] for start in range(0, len(puzzles), batch)]
    return float(-torch.cat([model(*read.read(part, device)).mean(1) for part in parts]).mean())


def scale_of(args: Reproduce) -> Scale:
    """The scale with what the user set.

    Raises:
        UserInputError: budgets that are no positive numbers, or no repeat.
    """
    scale, text = SCALES[args.scale], args.flops
    repeats = scale.repeats if args.repeats is None else args.repeats
    try:
        flops = scale.flops if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        flops = ()
    if not flops or not all(0 < c < math.inf for c in flops) or len(set(flops)) < len(flops):
        raise UserInputError(
            f"--flops {text!r}: expected positive numbers with commas, each once, e.g. 1e11,1e12"
        )
    if repeats < 1:
        raise UserInputError(f"--repeats {repeats}: expected at least 1")
    return Scale(scale.sizes, flops, repeats, scale.batch, scale.rate, scale.puzzles)


def plan_orders(args: Reproduce) -> Plan:
    """The runs of all orders, sizes, budgets and repeats."""
    scale, device = scale_of(args), resolve_device(args.device)
    if args.n is not None:
        raise UserInputError(f"--n {args.n} with {args.name}: expected none; --repeats is its number of runs")
    if args.scale == GPU and device == "cpu":
        raise UserInputError(
            "--scale paper of figure2_left trains on a GPU, and PyTorch sees none here: run python -m "
            "planorder reproduce figure2_left --scale paper --device cuda where there is one, or --scale cpu"
        )
    points = [
        {"family": name, "order": order, "layers": layers, "width": width, "flops": budget, "repeat": repeat}
        for name in SEQUENCES
        for budget in scale.flops
        for layers, width in scale.sizes
        for repeat in range(scale.repeats)
        for order in ORDERS
    ]
    families = [read.family.version for read in SEQUENCES.values()]
    settings = {"families": families, "device": device, "batch": scale.batch, "rate": scale.rate}
    settings |= {"puzzles": scale.puzzles, "sizes": [list(size) for size in scale.sizes]}

    def work(folder: PointFolder) -> Report:
        for name in SEQUENCES:
            own = [point for point in points if point["family"] == name]
            learn([point for point in own if folder.read(point) is None], scale, args.seed, device, folder)
        frame = pd.DataFrame([{**point, **(folder.read(point) or {})} for point in points])
        drawing, rows = cast(Drawing, TARGETS[args.name]), best(frame)
        text = [heading(args.name), format_best(rows), LEGEND, departures(drawing.departures)]
        titles = {name: (read.title, read.alone) for name, read in SEQUENCES.items()}
        return Report(frame, loss_by_compute(rows, titles), "\n\n".join(text))

    return Plan(settings, work)


def learn(missing: list[dict[str, Any]], scale: Scale, seed: int, device: str, folder: PointFolder) -> None:
    """Trains the missing learners of one family under one bar of steps and writes their points."""
    if not missing:
        return
    name = missing[0]["family"]
    read = SEQUENCES[name]
    sizes = {(p["layers"], p["width"]): parameter_count(learner(p, seed)) for p in missing}
    steps = [steps_of(p, scale, read.length, sizes[p["layers"], p["width"]]) for p in missing]
    with progress_bar(sum(steps), f"pi-learners, {name}", unit="step") as advance:
        family = read.family
        puzzles = family.generate("train", family.tiers[0], scale.puzzles, workers=2)
        kept = family.generate("val", family.tiers[0], VALIDATION, workers=2)
        for point in missing:
            data = TrainingData(family, puzzles, scale.batch, seed + point["repeat"])
            folder.write(point, train_learner(point, scale, data, kept, seed, device, advance))


def best(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a family, budget and order: n (repeats), loss of the best size, and its 95% t interval.

    Orders are labelled (`label_of`). One repeat has no interval: low and high are nan.
    The best size has the least mean loss over repeats, so that all repeats of a point are of one size.
    """
    rows = []
    for (family, budget, order), part in frame.groupby(["family", "flops", "order"], sort=False):
        by_size = part.groupby(["layers", "width"])["loss"].mean()
        layers, width = cast(tuple[int, int], by_size.idxmin())
        own = part[(part["layers"] == layers) & (part["width"] == width)]
        mean, *ends = t_interval(own["loss"])
        low, high = ends if len(own) > 1 else (math.nan, math.nan)
        facts = {"family": family, "order": label_of({"family": family, "order": order}), "flops": budget}
        facts |= {"n": len(own), "parameters": int(own["parameters"].iloc[0])}
        rows.append(facts | {"loss": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


ALONE = {name: f"{read.alone:.3f}" for name, read in SEQUENCES.items()}
LEGEND = f"""loss: nats a token of unseen solutions, of the best size at a budget C = 6 x parameters x tokens
read; 95% t interval over permutations and seeds. In every order the uniform law on all solutions has
{ALONE["sudoku"]} on Sudoku, the floor of what reads no clue, and {ALONE["zebra"]} on Zebra, the best
without its clues; with them the floor is 0. The paper draws this and prints no number."""


def format_best(rows: pd.DataFrame) -> str:
    """The table for people."""
    shown: list[dict[str, object]] = [
        {
            "puzzles": row["family"],
            "order": row["order"],
            "FLOPs": f"{row['flops']:.1e}",
            "parameters": f"{row['parameters']:,}",
            "n": row["n"],
            "loss": f"{row['loss']:.4f}",
            "95% interval": f"{row['low']:.4f} to {row['high']:.4f}" if row["n"] > 1 else "no interval",
        }
        for row in rows.to_dict("records")
    ]
    return text_table(shown, "terminal", left=("puzzles", "order"))
