"""The figures and tables of the README, from run folders: ``python docs/report.py runs/a runs/b ...``.

The folders hold the same puzzles decoded by one network or more each. Writes docs/figures/*.png; prints the
results and how the weights that ship were made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from planorder.models import parameter_count
from planorder.models.checkpoint import load_model, pretrained
from planorder.results import figures, plotting
from planorder.results.runs import load_run
from planorder.results.tables import format_results
from planorder.training.presets import recipe
from puzzles import get_family

NETWORKS = {
    "shallow": "shallow\nsix blocks",
    "transformer": "transformer\nfour blocks",
    "relational": "relational\none block, 14 turns",
}


def draw(results: pd.DataFrame) -> None:
    """Writes the README's figures."""
    shown = {name: label for name, label in NETWORKS.items() if name in set(results["model"])}
    target = Path(__file__).parent / "figures"
    target.mkdir(exist_ok=True)
    drawn = {
        "order_effect_by_depth": figures.order_effect_by_depth(results, shown),
        "accuracy_by_strategy": figures.accuracy_by_strategy(results),
    }
    for name, figure in drawn.items():
        plotting.save(figure, target / f"{name}.png")


def trainings() -> pd.DataFrame:
    """A row for each network that ships: its size, and what it cost (TFLOP of the products, counted)."""
    rows = []
    family = get_family("sudoku")
    batch = family.generate("train", "logic", 8)
    parts = [torch.from_numpy(part).long() for part in (batch.clues, batch.solution, batch.rank)]
    for path in pretrained("sudoku").values():
        loaded = load_model(path)
        runs = [loaded.info["init"], loaded.info] if "init" in loaded.info else [loaded.info]
        examples = sum(run["metrics"]["examples"] for run in runs)
        with FlopCounterMode(display=False) as counter:
            objective = recipe("cpu", loaded.name, family).objective
            loss, _ = objective(loaded.model, *parts, torch.Generator().manual_seed(0))
            loss.backward()
        rows.append(
            {
                "model": loaded.name,
                "parameters": f"{parameter_count(loaded.model):,}",
                "examples": f"{int(examples):,}",
                "minutes": round(sum(run["metrics"]["minutes"] for run in runs)),
                "TFLOP": round(counter.get_total_flops() / len(batch) * examples / 1e12),
                "command": f"`{loaded.info['command']}`",
            }
        )
    return pd.DataFrame(rows)


def main(folders: list[str]) -> None:
    """Draws and prints what the folders hold together."""
    if folders:
        results = pd.concat([load_run(folder).results for folder in folders], ignore_index=True)
        results = results.sort_values("tier", ascending=False, kind="stable", ignore_index=True)
        draw(results)
        print(format_results(results, "markdown"))
    print(trainings().to_markdown(index=False))


if __name__ == "__main__":
    main(sys.argv[1:])
