"""The results table, its file, and the paired tests beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from tabulate import tabulate

from planorder.results.evaluate import Outcome
from planorder.results.files import csv_bytes, one_line_errors
from planorder.results.stats import mean_interval, wilson
from puzzles.base import UserInputError

LABELS = ("family", "tier", "model", "strategy", "seed")
"""What tells one outcome from another."""

RESULT_TYPES: dict[str, type] = {
    "family": str,
    "tier": str,
    "model": str,
    "strategy": str,
    "n": int,
    "exact": float,
    "exact_low": float,
    "exact_high": float,
    "valid": float,
    "cell": float,
    "passes": float,
    "seconds": float,
    "puzzles_per_s": float,
    "parameters": int,
    "seed": int,
}
"""The columns of results.csv, in order: a contract with whoever reads the file."""

FRACTIONS = ("exact", "exact_low", "exact_high", "valid", "cell")
Style = Literal["terminal", "markdown"]
TABULATE_FORMATS = {"terminal": "simple", "markdown": "pipe"}


def per_puzzle(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """A row a puzzle and outcome: the labels, then the columns of `evaluate.score`."""
    frames = []
    for outcome in outcomes:
        frame = outcome.rows.copy()
        for place, label in enumerate(LABELS):
            frame.insert(place, label, getattr(outcome, label))
        frames.append(frame)
    if not frames:
        raise UserInputError("nothing was decoded: name at least one strategy and one tier")
    return pd.concat(frames, ignore_index=True)


def summarise(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The results table: a row an outcome, the columns of `RESULT_TYPES`, shares in 0..1.

    ``exact_low`` and ``exact_high`` are the 95% Wilson interval of ``exact``; ``passes`` is the mean
    number of forward passes a puzzle.

    Raises:
        UserInputError: no outcome, one without puzzles, or two with the same labels.
    """
    rows = []
    seen = set()
    for outcome in outcomes:
        n, name = len(outcome.rows), tuple(getattr(outcome, label) for label in LABELS)
        if not n or outcome.seconds <= 0:
            raise UserInputError(
                f"{name} has {n} puzzles in {outcome.seconds} s: expected at least one, timed"
            )
        if name in seen:
            raise UserInputError(f"{name} stands twice in the results: decode each strategy once a seed")
        seen.add(name)
        solved = int(outcome.rows["exact"].sum())
        low, high = wilson(solved, n)
        rows.append(
            {
                **{label: getattr(outcome, label) for label in LABELS},
                "n": n,
                "exact": solved / n,
                "exact_low": float(low),
                "exact_high": float(high),
                "valid": float(outcome.rows["valid"].mean()),
                "cell": float(outcome.rows["cell"].mean()),
                "passes": float(outcome.rows["passes"].mean()),
                "seconds": float(outcome.seconds),
                "puzzles_per_s": n / outcome.seconds,
                "parameters": outcome.parameters,
            }
        )
    if not rows:
        raise UserInputError("nothing was decoded: name at least one strategy and one tier")
    return pd.DataFrame(rows)[list(RESULT_TYPES)]


def with_cell_interval(results: pd.DataFrame, puzzles: pd.DataFrame) -> pd.DataFrame:
    """The results table with ``cell_low`` and ``cell_high``, the 95% t interval of ``cell`` over puzzles.

    Args:
        results: the table of `summarise`.
        puzzles: the frame of `per_puzzle`, of the same outcomes.
    """
    ends = {name: mean_interval(rows["cell"]) for name, rows in puzzles.groupby(list(LABELS), sort=False)}
    found = [ends[name] for name in results[list(LABELS)].itertuples(index=False, name=None)]
    return results.assign(cell_low=[low for low, _ in found], cell_high=[high for _, high in found])


def percent(share: float) -> str:
    """A share as per cent with two digits; only 0 and 1 themselves read 0.00 and 100.00."""
    value = 100 * share
    return f"{value if value in (0, 100) else np.clip(value, 0.01, 99.99):.2f}"


def format_results(results: pd.DataFrame, style: Style = "terminal", measure: str = "exact") -> str:
    """The results table as text for people: per cent, and the interval beside ``measure``.

    That is "exact", or "cell" in a table of `with_cell_interval`.
    """
    rows = [
        {
            "tier": row["tier"],
            "model": row["model"],
            "strategy": row["strategy"],
            "n": row["n"],
            **_shares(row, measure),
            "passes": f"{row['passes']:.1f}",
            "puzzles/s": f"{row['puzzles_per_s']:.1f}",
            "parameters": f"{row['parameters']:,}",
        }
        for row in results.to_dict("records")
    ]
    return text_table(rows, style, left=("tier", "model", "strategy"))


def _shares(row: dict, measure: str) -> dict[str, object]:
    """The shares of a row of results as text, the interval after the one that is ``measure``."""
    found: dict[str, object] = {}
    for name in ("exact", "valid", "cell"):
        found[f"{name} %"] = percent(row[name])
        if name == measure:
            found["95% interval"] = f"{percent(row[f'{name}_low'])} to {percent(row[f'{name}_high'])}"
    return found


def text_table(rows: Sequence[dict[str, object]], style: Style, left: Collection[str]) -> str:
    """Text columns to the left, numbers to the right, as they were formatted."""
    align = ["left" if name in left else "right" for name in (rows[0] if rows else ())]
    return tabulate(
        rows, headers="keys", tablefmt=TABULATE_FORMATS[style], disable_numparse=True, colalign=align or None
    )


def results_bytes(results: pd.DataFrame) -> bytes:
    """results.csv as bytes, after the checks that `read_results` makes."""
    _check([list(results.columns), *results.astype(str).to_numpy().tolist()], "results")
    return csv_bytes(results)


def read_results(path: Path) -> pd.DataFrame:
    """Reads and checks a results.csv; `UserInputError` names the file, the line, the value and the fix."""
    with one_line_errors("read", path):
        data = path.read_bytes()
    try:
        lines = list(csv.reader(io.StringIO(data.decode()), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserInputError(f"{path} is no results table: {error}; run planorder.bench again") from error
    return _check(lines, str(path))


def _check(lines: Sequence[Sequence[str]], source: str) -> pd.DataFrame:
    """Lines of text, the header first, as the typed table, or one line about the first broken rule."""
    header = list(lines[0]) if lines else []
    if header != list(RESULT_TYPES):
        odd = sorted(set(header) ^ set(RESULT_TYPES)) or "their order"
        raise UserInputError(f"{source} line 1: wrong columns ({odd}); expected {','.join(RESULT_TYPES)}")
    rows = []
    for line, values in enumerate(lines[1:], start=2):
        where = f"{source} line {line}"
        if len(values) != len(header):
            raise UserInputError(f"{where}: {len(values)} fields, expected {len(header)}; write it anew")
        row = {
            name: _value(name, kind, text, where)
            for (name, kind), text in zip(RESULT_TYPES.items(), values, strict=True)
        }
        if not row["exact_low"] <= row["exact"] <= row["exact_high"]:
            raise UserInputError(f"{where}: exact {row['exact']} lies outside its interval; write it anew")
        rows.append(row)
    return pd.DataFrame(rows, columns=header).astype(RESULT_TYPES)


def _value(name: str, kind: type, text: str, where: str) -> Any:
    """One field of results.csv, checked."""
    try:
        value = kind(text)
    except ValueError as error:
        raise UserInputError(
            f"{where}: {name} is {text!r}, expected {kind.__name__}; correct the value"
        ) from error
    if kind is str:
        bounds, fits = "a name", bool(text)
    elif name in FRACTIONS:
        bounds, fits = "a share in 0..1", 0 <= value <= 1
    elif name == "n":
        bounds, fits = "at least 1", value >= 1
    else:
        bounds, fits = "a number of at least 0", name == "seed" or 0 <= value < float("inf")
    if not fits:
        raise UserInputError(f"{where}: {name} is {text!r}, expected {bounds}; correct the value")
    return value
