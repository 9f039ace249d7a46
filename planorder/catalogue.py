"""``python -m planorder orders`` and ``python -m planorder cite``: what there is, its cost and its source."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import tyro
from tabulate import tabulate

from planorder.console import command_line
from planorder.decoding import PRESETS, Strategy
from planorder.decoding.learned import SOURCES, is_learned
from planorder.decoding.plugins import named
from planorder.decoding.several import SEVERAL, Several
from puzzles.base import UserInputError

ORDERS_EXAMPLES = """  python -m planorder orders
  python -m planorder orders top_margin eb_entropy
  python -m planorder orders --style markdown"""
CITE_EXAMPLES = """  python -m planorder cite top_margin
  python -m planorder cite > orders.bib"""
ARXIV = re.compile(r"arXiv:\d{4}\.\d{4,5}")
HEADERS = ("order", "rule", "passes", "source")
WIDTHS = (24, 60, 8, 40)
"""Characters of the columns in a terminal."""
SEVERAL_TITLE = "Decoders that keep several states: functions, not for --orders"
SEVERAL_HEADERS = ("decoder", "rule", "passes", "source", "how to call it")
SEVERAL_WIDTHS = (16, 40, 10, 24, 45)


@dataclass(frozen=True)
class Orders:
    """List the strategies: rule, forward passes of a puzzle with n blanks in T steps, source."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """strategies or decoders, all if none is named; your own as module:name"""
    style: Literal["terminal", "markdown"] = "terminal"
    """of the table"""


@dataclass(frozen=True)
class Cite:
    """Print the BibTeX entries of the papers that strategies come from."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """strategies or decoders, all if none is named; your own as module:name"""


def chosen(names: tuple[str, ...]) -> list[Strategy]:
    """The named strategies, or all: the presets, and the learned orders that ship."""
    if names:
        return [named(name) for name in names if name not in SEVERAL]
    return [*PRESETS.values(), *(named(name) for name in SOURCES if is_learned(name))]


def chosen_decoders(names: tuple[str, ...]) -> list[Several]:
    """The named decoders of several states, or all."""
    return [SEVERAL[name] for name in names or SEVERAL if name in SEVERAL]


def run_orders(args: Orders) -> None:
    """Prints the tables: strategies, and decoders of several states."""
    rows = [(s.name, rule_of(s), s.cost, s.source) for s in chosen(args.names)]
    more = [(d.name, rule_of(d), d.cost, d.source, d.call) for d in chosen_decoders(args.names)]
    is_markdown = args.style == "markdown"
    title = f"## {SEVERAL_TITLE}\n\n" if is_markdown else f"{SEVERAL_TITLE}\n"
    shown = [table(HEADERS, rows, WIDTHS, is_markdown)] if rows else []
    shown += [title + table(SEVERAL_HEADERS, more, SEVERAL_WIDTHS, is_markdown)] if more else []
    print("\n\n".join(shown))


def table(
    headers: tuple[str, ...], rows: Sequence[tuple[str, ...]], widths: tuple[int, ...], is_markdown: bool
) -> str:
    """Rows for a terminal, or as Markdown."""
    if not is_markdown:
        return tabulate(rows, headers, tablefmt="grid", disable_numparse=True, maxcolwidths=list(widths))
    lines = [headers, ("---",) * len(headers), *rows]
    return "\n".join("| " + " | ".join(line).replace("||", r"\|\|") + " |" for line in lines)


def rule_of(entry: Strategy | Several) -> str:
    """A strategy's or decoder's rule and, where it has any, its departures from the source."""
    return f"{entry.description}. Departs: {entry.departures}" if entry.departures else entry.description


def run_cite(args: Cite) -> None:
    """Prints the entries, each once, in the order of their ids; says of which ids there is none."""
    cited: list[Strategy | Several] = [*chosen(args.names), *chosen_decoders(args.names)]
    found = sorted({key for entry in cited for key in ARXIV.findall(entry.source)})
    if not found:
        raise UserInputError(f"{', '.join(args.names)}: no arXiv id in their sources; nothing to cite")
    entries = references()
    known, unknown = ([key for key in found if (key in entries) is there] for there in (True, False))
    places = ", ".join(f"https://arxiv.org/bibtex/{key.removeprefix('arXiv:')}" for key in unknown)
    missing = f"no entry here for {', '.join(unknown)}: take what is missing from {places}"
    if not known:
        raise UserInputError(missing)
    print("\n\n".join(entries[key] for key in known))
    if unknown:
        print(f"note: {missing}", file=sys.stderr)


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
