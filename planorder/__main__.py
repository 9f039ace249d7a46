"""``python -m planorder COMMAND``: the commands beside the table (``python -m planorder.bench``)."""

from __future__ import annotations

import sys
from importlib import import_module

from puzzles.errors import did_you_mean

COMMANDS = {
    "train": ("planorder.train", "main", "train a network of the table, or go on with one"),
    "nelbo": ("planorder.nelbo", "main", "bound and exact likelihood of solutions under a masked network"),
    "reproduce": ("planorder.reproduce", "main", "tables and figures of Kim et al., theirs beside ours"),
    "ablation": ("planorder.ablation", "main", "training objectives x strategies at equal tokens"),
    "survey": ("planorder.survey", "main", "every strategy over Sudoku and Zebra, in one table"),
    "orders": ("planorder.catalogue", "orders_main", "list the strategies: rule, cost, source"),
    "cite": ("planorder.catalogue", "cite_main", "print the BibTeX entries of the strategies' papers"),
}
"""Command: its module, the function that runs it, what it does."""

OTHERS = {
    "planorder.bench": "what decoding order is worth: the table and its figures",
    "planorder.frontier": "accuracy against forward passes",
    "planorder.sweep": "what steps, cells a step and noise do",
    "planorder.study": "three studies: noise, depth, parallel",
    "planorder.analysis": "calibration, order and errors of a finished run",
    "puzzles.generate": "puzzles into a file",
    "puzzles.show": "puzzles as text",
}
"""The commands that have a module of their own."""


def usage() -> str:
    """What there is."""
    rows = [(f"python -m planorder {name}", text) for name, (_, _, text) in COMMANDS.items()]
    rows += [(f"python -m {name}", text) for name, text in OTHERS.items()]
    width = max(len(command) for command, _ in rows)
    listed = "\n".join(f"  {command:<{width}}  {text}" for command, text in rows)
    return f"usage: python -m planorder COMMAND [OPTIONS]\n\n{listed}\n\nEach takes --help."


def main() -> None:
    """Hands the rest of the command line to the command."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(usage())
        return
    if name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS)
        print(f"error: command {name!r} is unknown: expected {', '.join(COMMANDS)}{hint}", file=sys.stderr)
        raise SystemExit(2)
    module, function, _ = COMMANDS[name]
    del sys.argv[1]
    getattr(import_module(module), function)()


if __name__ == "__main__":
    main()
