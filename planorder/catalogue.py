"""``python -m planorder orders`` and ``python -m planorder cite``: what there is, its cost and its source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import tyro
from tabulate import tabulate

from planorder.console import command_line
from planorder.decoding import PRESETS, Strategy
from planorder.decoding.learned import SOURCES, is_learned
from planorder.decoding.plugins import named
from puzzles.base import UserInputError

ORDERS_EXAMPLES = """  python -m planorder orders
  python -m planorder orders top_margin eb_entropy
  python -m planorder orders --style markdown"""
CITE_EXAMPLES = """  python -m planorder cite top_margin
  python -m planorder cite > orders.bib"""
ARXIV = re.compile(r"arXiv:\d{4}\.\d{5}")
WIDTHS = (24, 60, 8, 40)
"""Characters of the columns in a terminal."""


@dataclass(frozen=True)
class Orders:
    """List the strategies: rule, forward passes of a puzzle with n blanks in T steps, source."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """strategies, all if none is named; your own as module:name"""
    style: Literal["terminal", "markdown"] = "terminal"
    """of the table"""


@dataclass(frozen=True)
class Cite:
    """Print the BibTeX entries of the papers that strategies come from."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """strategies, all if none is named"""


def chosen(names: tuple[str, ...]) -> list[Strategy]:
    """The named strategies, or all: the presets, and the learned orders that ship."""
    if names:
        return [named(name) for name in names]
    return [*PRESETS.values(), *(named(name) for name in SOURCES if is_learned(name))]


def run_orders(args: Orders) -> None:
    """Prints the table."""
    rows = [(s.name, rule_of(s), s.cost, s.source) for s in chosen(args.names)]
    headers = ("order", "rule", "passes", "source")
    if args.style == "markdown":
        lines = [headers, ("---",) * len(headers), *rows]
        print("\n".join("| " + " | ".join(line).replace("||", r"\|\|") + " |" for line in lines))
    else:
        print(tabulate(rows, headers, tablefmt="grid", disable_numparse=True, maxcolwidths=list(WIDTHS)))


def rule_of(strategy: Strategy) -> str:
    """A strategy's rule and, where it has any, its departures from the source."""
    return (
        f"{strategy.description}. Departs: {strategy.departures}"
        if strategy.departures
        else strategy.description
    )


def run_cite(args: Cite) -> None:
    """Prints the entries, each once, in the order of their ids."""
    found = {key for strategy in chosen(args.names) for key in ARXIV.findall(strategy.source)}
    if not found:
        raise UserInputError(f"{', '.join(args.names)}: no arXiv id in their sources; nothing to cite")
    entries = references()
    print("\n\n".join(entries[key] for key in sorted(found)))


def references() -> dict[str, str]:
    """The BibTeX entries by key, "arXiv:NNNN.NNNNN"."""
    text = files("planorder.decoding").joinpath("references.bib").read_text()
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", text)]
    return {re.match(r"@misc\{([^,]+),", entry)[1]: entry for entry in entries}  # type: ignore[index]


def orders_main() -> None:
    """The command line of ``orders``."""
    command_line("planorder orders", Orders, run_orders, ORDERS_EXAMPLES)


def cite_main() -> None:
    """The command line of ``cite``."""
    command_line("planorder cite", Cite, run_cite, CITE_EXAMPLES)
