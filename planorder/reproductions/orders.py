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
from planorder.results.points import PointFolder
from planorder.results.reproduce_figures import loss_by_compute
from planorder.results.resampling import t_interval
from planorder.results.tables import text_table
from planorder.training.data import TrainingData
from puzzles import get_family
from puzzles.base import UserInputError

FAMILY = "sudoku"
ORDERS = ("identity", "much closer", "closer", "uniform")
VALIDATION = 256
"""Solutions on which a loss is measured."""
GRIDS = 6_670_903_752_021_072_936_960
"""Filled Sudokus (Felgenhauer and Jarvis, 2005): log of it a token is the loss of the uniform law on them."""


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
    CPU: Scale(((2, 64), (3, 96)), (6e10, 2e11, 6e11), 3, 32, 2e-3, 4_000),
    GPU: Scale(((6, 256), (8, 512), (12, 768)), (1e16, 3e16, 1e17), 5, 512, 4e-4, 1_800_000),
}


def permutation(kind: str, cells: int, seed: int) -> np.ndarray:
    """int64 ``[cells]``: the order pi of a kind.

    "identity"; "much closer" and "closer", after floor(sqrt(L)) and floor(L / 10) random transpositions;
    "uniform". L is the number of cells.
    """
    rng = np.random.default_rng((seed, ORDERS.index(kind)))
    if kind == "uniform":
        return rng.permutation(cells)
    order = np.arange(cells)
    for _ in range({"identity": 0, "much closer": isqrt(cells), "closer": cells // 10}[kind]):
        places = rng.choice(cells, 2, replace=False)
        order[places] = order[places[::-1]]
    return order


def learner(point: dict[str, Any], seed: int) -> PiLearner:
    """A new network of a point: its order and weights are functions of the seed and the repeat."""
    family = get_family(FAMILY)
    layers, width = point["layers"], point["width"]
    shape = AutoregressiveConfig(
        family.n_cells, family.n_values, *family.grid, layers=layers, width=width, heads=width // 32
    )
    order = torch.from_numpy(permutation(point["order"], family.n_cells, seed + point["repeat"]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + point["repeat"])
        return PiLearner(shape, order)


def steps_of(point: dict[str, Any], scale: Scale, cells: int, parameters: int) -> int:
    """Optimiser steps of a budget: C / (6 N) tokens, at least one step."""
    return max(1, round(point["flops"] / (6 * parameters * scale.batch * cells)))


def rate_of(scale: Scale, step: int, steps: int) -> float:
    """Learning rate of a step from 0: warm-up over a tenth, cosine from the peak to a tenth of it."""
    warm = min(1.0, (step + 1) / max(1, steps // 10))
    return scale.rate * warm * (0.55 + 0.45 * math.cos(math.pi * step / steps))


def train_learner(
    point: dict[str, Any],
    scale: Scale,
    data: TrainingData,
    validation: torch.Tensor,
    seed: int,
    device: str,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """Trains one pi-learner for its budget; its loss in nats a token on the validation solutions."""
    model = learner(point, seed).to(device)
    parameters = parameter_count(model)
    steps = steps_of(point, scale, validation.shape[1], parameters)
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    for step in range(steps):
        solution = torch.from_numpy(data.batch(step).solution).to(device, torch.int64)
        for group in optimiser.param_groups:
            group["lr"] = rate_of(scale, step, steps)
        loss = -model(solution).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        advance(1)
    with torch.inference_mode():
        parts = [-model(part.to(device)).mean(1) for part in validation.split(scale.batch)]
    tokens = steps * scale.batch * validation.shape[1]
    found = float(torch.cat(parts).mean())
    if not math.isfinite(found):
        raise UserInputError(f"loss of {point} is not finite: expected a number; ask for other --flops")
    return {"loss": found, "steps": steps, "tokens": tokens, "parameters": parameters}


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
    scale, device, family = scale_of(args), resolve_device(args.device), get_family(FAMILY)
    if args.n is not None:
        raise UserInputError(f"--n {args.n} with {args.name}: expected none; --repeats is its number of runs")
    if args.scale == GPU and device == "cpu":
        raise UserInputError(
            "--scale paper of figure2_left trains on a GPU, and PyTorch sees none here: run python -m "
            "planorder reproduce figure2_left --scale paper --device cuda where there is one, or --scale cpu"
        )
    points = [
        {"order": order, "layers": layers, "width": width, "flops": budget, "repeat": repeat}
        for budget in scale.flops
        for layers, width in scale.sizes
        for repeat in range(scale.repeats)
        for order in ORDERS
    ]
    settings = {"families": [family.version], "device": device, "batch": scale.batch, "rate": scale.rate}
    settings |= {"puzzles": scale.puzzles, "sizes": [list(size) for size in scale.sizes]}

    def work(folder: PointFolder) -> Report:
        missing = [point for point in points if folder.read(point) is None]
        if missing:
            learn(missing, scale, args.seed, device, folder)
        frame = pd.DataFrame([{**point, **(folder.read(point) or {})} for point in points])
        drawing = cast(Drawing, TARGETS[args.name])
        text = [heading(args.name), format_best(best(frame)), LEGEND, departures(drawing.departures)]
        floor = math.log(GRIDS) / family.n_cells
        return Report(frame, loss_by_compute(best(frame), floor), "\n\n".join(text))

    return Plan(settings, work)


def learn(missing: list[dict[str, Any]], scale: Scale, seed: int, device: str, folder: PointFolder) -> None:
    """Trains the missing learners under one bar of steps and writes their points."""
    family = get_family(FAMILY)
    sizes = {(p["layers"], p["width"]): parameter_count(learner(p, seed)) for p in missing}
    steps = [steps_of(p, scale, family.n_cells, sizes[p["layers"], p["width"]]) for p in missing]
    with progress_bar(sum(steps), "pi-learners", unit="step") as advance:
        puzzles = family.generate("train", family.tiers[0], scale.puzzles, workers=2)
        validation = family.generate("val", family.tiers[0], VALIDATION, workers=2).solution
        kept = torch.from_numpy(validation).to(torch.int64)
        for point in missing:
            data = TrainingData(family, puzzles, scale.batch, seed + point["repeat"])
            folder.write(point, train_learner(point, scale, data, kept, seed, device, advance))


def best(frame: pd.DataFrame) -> pd.DataFrame:
    """A row an order and budget: order, flops, n (repeats), loss of the best size, and its 95% t interval.

    One repeat has none: low and high are nan.
    The best size has the least mean loss over repeats, so that all repeats of a point are of one size.
    """
    rows = []
    for (budget, order), part in frame.groupby(["flops", "order"], sort=False):
        by_size = part.groupby(["layers", "width"])["loss"].mean()
        layers, width = cast(tuple[int, int], by_size.idxmin())
        own = part[(part["layers"] == layers) & (part["width"] == width)]
        mean, *ends = t_interval(own["loss"])
        low, high = ends if len(own) > 1 else (math.nan, math.nan)
        facts = {"order": order, "flops": budget, "n": len(own), "parameters": int(own["parameters"].iloc[0])}
        rows.append(facts | {"loss": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


LEGEND = f"""loss: nats a token of unseen solutions, of the best size at a budget C = 6 x parameters x tokens;
95% t interval over permutations and seeds. The uniform law on all Sudokus has {math.log(GRIDS) / 81:.3f}
in every order. The paper draws this and prints no number."""


def format_best(rows: pd.DataFrame) -> str:
    """The table for people."""
    shown: list[dict[str, object]] = [
        {
            "order": row["order"],
            "FLOPs": f"{row['flops']:.1e}",
            "parameters": f"{row['parameters']:,}",
            "n": row["n"],
            "loss": f"{row['loss']:.4f}",
            "95% interval": f"{row['low']:.4f} to {row['high']:.4f}" if row["n"] > 1 else "no interval",
        }
        for row in rows.to_dict("records")
    ]
    return text_table(shown, "terminal", left=("order",))
