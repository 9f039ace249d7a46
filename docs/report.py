"""The figures and the table of the README, from run folders: ``python docs/report.py runs/a runs/b ...``.

Writes docs/figures/*.png and prints the table; the folders hold the same puzzles decoded by one network or more each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from planorder.results import figures, plotting
from planorder.results.runs import load_run
from planorder.results.tables import format_results

NETWORKS = {
    "shallow": "shallow\nsix blocks",
    "transformer": "transformer\nfour blocks",
    "relational": "relational\none block, 12 turns",
}


def main(folders: list[str]) -> None:
    """Draws and prints what the folders hold together."""
    results = pd.concat([load_run(folder).results for folder in folders], ignore_index=True)
    results = results.sort_values("tier", ascending=False, kind="stable", ignore_index=True)
    shown = {name: label for name, label in NETWORKS.items() if name in set(results["model"])}
    target = Path(__file__).parent / "figures"
    target.mkdir(exist_ok=True)
    drawn = {
        "order_effect_by_depth": figures.order_effect_by_depth(results, shown),
        "accuracy_by_strategy": figures.accuracy_by_strategy(results),
    }
    for name, figure in drawn.items():
        plotting.save(figure, target / f"{name}.png")
    print(format_results(results, "markdown"))


if __name__ == "__main__":
    main(sys.argv[1:])
