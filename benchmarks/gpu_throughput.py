"""Puzzles a second of each network of a preset, beside what the device can do at most.

python benchmarks/gpu_throughput.py --device cuda --preset paper --out OUTDIR
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ceilings import copy_rate, flops_of, least_seconds, matmul_rate
from tabulate import tabulate

from planorder.console import use_all_cores
from planorder.decoding import decode, get_strategy, with_options
from planorder.decoding.autoregressive import decode_autoregressive
from planorder.models import AutoregressiveModel, build_model, parameter_count
from planorder.training.data import TrainingData
from planorder.training.loop import Training
from planorder.training.presets import Recipe, recipe
from puzzles import get_family
from puzzles.base import LOGIC, PuzzleBatch

SUDOKU = get_family("sudoku")
NETWORKS = ("relational", "transformer", "ar-solver")
BATCHES = {"forward": (1024, 4096, 8192), "decode": (1024, 4096), "train": (512, 2048)}
STEPS = 50


def jobs(
    chosen: Recipe, puzzles: PuzzleBatch, device: str, kind: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    """The job to time, on all of ``puzzles``, and the same on a few of them, whose FLOP can be counted."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(chosen.model, SUDOKU).to(device).eval()

    def forward(rows: PuzzleBatch) -> object:
        clues, solution = (
            torch.from_numpy(part.astype(np.int64)).to(device) for part in (rows.clues, rows.solution)
        )
        rank = torch.from_numpy(rows.rank.astype(np.int64)).to(device)
        with torch.autocast(device, torch.bfloat16), torch.no_grad():
            if isinstance(model, AutoregressiveModel):
                return chosen.objective(model, clues, solution, rank, torch.Generator().manual_seed(0))
            return model(clues)

    def decoding(rows: PuzzleBatch) -> object:
        options = {"device": device, "batch_size": len(rows), "precision": "bf16"}
        if isinstance(model, AutoregressiveModel):
            return decode_autoregressive(model, rows, **options)
        return decode(model, rows, with_options(get_strategy("top_margin"), steps=STEPS), **options)

    def training(rows: PuzzleBatch) -> Callable[[], object]:
        config = replace(chosen.train, batch_size=len(rows), precision="bf16")
        state = Training(chosen.model, config, TrainingData(SUDOKU, rows, len(rows), 0), device)
        return lambda: state.step(chosen.objective)

    few = puzzles[:32]
    if kind == "train":
        return training(puzzles), training(few)
    job = forward if kind == "forward" else decoding
    return (lambda: job(puzzles)), (lambda: job(few))


def measure(name: str, kind: str, batch: int, puzzles: PuzzleBatch, args: argparse.Namespace) -> dict:
    """One row of the table."""
    chosen = recipe(args.preset, name, SUDOKU)
    row = {"network": name, "job": kind, "batch": batch}
    try:
        job, small = jobs(chosen, puzzles[:batch], args.device, kind)
        seconds = least_seconds(job, 1 if kind == "decode" else 3, args.device)
    except torch.cuda.OutOfMemoryError:
        return row | {"puzzles_per_s": "out of memory"}
    row |= {"ms": 1e3 * seconds, "puzzles_per_s": f"{batch / seconds:.0f}"}
    if kind != "decode":
        rate = flops_of(small) / min(32, batch) * batch / seconds
        row |= {"tflop_per_s": rate / 1e12, "share": rate / args.ceiling}
    if args.device == "cuda":
        row["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return row


def main() -> None:
    """Measures until the time is up and writes ``throughput.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=150, help="no new row is begun after so many")
    parser.add_argument("--scale", type=float, default=1, help="of the batch sizes")
    args = parser.parse_args()
    use_all_cores()
    deadline = time.monotonic() + args.seconds
    args.ceiling, copied = matmul_rate(torch.bfloat16, args.device), copy_rate(args.device)
    largest = max(max(sizes) for sizes in BATCHES.values())
    puzzles = SUDOKU.generate("val", LOGIC, max(32, int(largest * args.scale)), workers=8)
    rows = []
    for kind in ("forward", "decode", "train"):
        for name in NETWORKS:
            for batch in BATCHES[kind]:
                if time.monotonic() < deadline:
                    rows.append(measure(name, kind, max(8, int(batch * args.scale)), puzzles, args))
                    gc.collect()
                    if args.device == "cuda":
                        torch.cuda.empty_cache()
                        torch.cuda.reset_peak_memory_stats()
    sizes = {
        name: parameter_count(build_model(recipe(args.preset, name, SUDOKU).model, SUDOKU))
        for name in NETWORKS
    }
    device = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    text = (
        f"{device}, PyTorch {torch.__version__}, preset {args.preset}: "
        + ", ".join(f"{name} {size / 1e6:.2f}M" for name, size in sizes.items())
        + f"\nmeasured: matmul bf16 {args.ceiling / 1e12:.3g} TFLOP/s, copy {copied / 1e9:.0f} GB/s"
        + "\nforward: clues in, logits out (ar-solver: a whole solve, teacher-forced); "
        + f"decode: top_margin, {STEPS} steps (ar-solver: move by move, cached); "
        + "train: one optimiser step; share: of the matmul rate\n\n"
        + tabulate(rows, headers="keys", tablefmt="github", floatfmt=".3g")
    )
    (args.out / "throughput.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
