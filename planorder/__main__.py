"""``planorder COMMAND``, or ``python -m planorder COMMAND``: every command by its name."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from runpy import run_module

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

MODULES = {
    "bench": ("planorder.bench", "what decoding order is worth: the table and its figures"),
    "frontier": ("planorder.frontier", "accuracy against forward passes"),
    "sweep": ("planorder.sweep", "what steps, cells a step and noise do"),
    "study": ("planorder.study", "three studies: noise, depth, parallel"),
    "analysis": ("planorder.analysis", "calibration, order and errors of a finished run"),
    "generate": ("puzzles.generate", "puzzles into a file"),
    "show": ("puzzles.show", "puzzles as text"),
}
"""Those that have a module of their own, which ``python -m`` runs as well."""


def usage() -> str:
    """What there is."""
    rows = [(name, text) for name, (*_, text) in (*MODULES.items(), *COMMANDS.items())]
    listed = "\n".join(f"  {name:<10} {text}" for name, text in rows)
    return (
        f"usage: planorder COMMAND [OPTIONS]\n\n{listed}\n\nEach takes --help. "
        "python -m planorder COMMAND is the same."
    )


def main() -> None:
    """Hands the rest of the command line to the command."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(usage())
        return
    known = (*MODULES, *COMMANDS)
    if name not in known:
        hint = did_you_mean(name, known)
        print(f"error: command {name!r} is unknown: expected {', '.join(known)}{hint}", file=sys.stderr)
        raise SystemExit(2)
    del sys.argv[1]
    if not {"", os.getcwd()} & {*sys.path}:  # as python -m has it, for a user's own orders
        sys.path.append(os.getcwd())
    if name in MODULES:
        run_module(MODULES[name][0], run_name="__main__", alter_sys=True)
    else:
        module, function, _ = COMMANDS[name]
        getattr(import_module(module), function)()


if __name__ == "__main__":
    main()
