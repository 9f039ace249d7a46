"""The results table, its file, and the paired tests beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from tabulate import tabulate

from planorder.results.evaluate import Outcome
from planorder.results.files import atomic_write, one_line_errors
from planorder.results.stats import holm, mean_interval, paired_exact, paired_means, wilson
from puzzles.base import UserInputError

LABELS = ("family", "tier", "model", "strategy", "seed")
"""What tells one outcome from another."""
ORACLES = ("oracle_margin", "solver_order")
"""Strategies that are handed the solution, or the solver's order; the better informed first."""

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


def paired_tests(
    puzzles: pd.DataFrame,
    baseline: str = "vanilla",
    oracles: Collection[str] = ORACLES,
    measure: str = "exact",
) -> pd.DataFrame:
    """Paired tests on the same puzzles: each outcome against the baseline and the best of its tier.

    McNemar's exact test of ``exact``, a t test of ``cell``. The baseline is that strategy of the same model,
    or the only one in the tier where the model has none (an autoregressive one). The best has the highest
    mean of its family, tier and seed, whatever the model; the first wins ties, and an oracle, which is handed
    the solution or the solver's order, is never the best. Puzzles that both saw are compared. P-values are
    Holm-adjusted over all tests of a family, tier and seed.

    Args:
        puzzles: the frame of `per_puzzle`.
        baseline: strategy that every other is compared with.
        oracles: strategies that cannot be the best.
        measure: "exact" or "cell", the column that is compared.

    Returns:
        A row a comparison: the labels, against_model, against, role ("baseline", "best" or "baseline and
        best"), n, difference, low, high (95%), only_first, only_second (puzzles on which one is better), p,
        p_holm.

    Raises:
        UserInputError: two outcomes of a tier that share no puzzle.
    """
    found = []
    for keys, group in puzzles.groupby(["family", "tier", "seed"], sort=False):
        family, tier, seed = keys
        solved = {
            (str(model), str(strategy)): rows.set_index("index")[measure]
            for (model, strategy), rows in group.groupby(["model", "strategy"], sort=False)
        }
        tests = []
        for name, other, role in _pairs(solved, baseline, oracles):
            shared = solved[name].index.intersection(solved[other].index)
            if shared.empty:
                raise UserInputError(
                    f"{name} and {other} of tier {tier} share no puzzle: decode the same puzzles"
                )
            compare = paired_exact if measure == "exact" else paired_means
            test = compare(solved[name].loc[shared], solved[other].loc[shared])
            labels = dict(zip(LABELS, (family, tier, *name, seed), strict=True))
            against = {"against_model": other[0], "against": other[1], "role": role}
            tests.append(labels | against | asdict(test))
        adjusted = holm([test["p"] for test in tests])
        found += [test | {"p_holm": value} for test, value in zip(tests, adjusted, strict=True)]
    return pd.DataFrame(found, columns=[*LABELS, "against_model", "against", "role", *TEST_COLUMNS])


TEST_COLUMNS = ("n", "difference", "low", "high", "only_first", "only_second", "p", "p_holm")


def _pairs(
    solved: dict[tuple[str, str], pd.Series], baseline: str, oracles: Collection[str]
) -> list[tuple[tuple[str, str], tuple[str, str], str]]:
    """Which outcome of a tier is compared with which, and as what."""
    baselines = [name for name in solved if name[1] == baseline]
    able = [name for name in solved if name[1] not in oracles]
    best = max(able, key=lambda name: solved[name].mean(), default=None)
    pairs = []
    for name in solved:
        own = [other for other in baselines if other[0] == name[0]]
        base = own[0] if own else baselines[0] if len(baselines) == 1 else None
        roles: dict[tuple[str, str], list[str]] = {}
        for other, role in ((base, "baseline"), (best, "best")):
            if other is not None and other != name:
                roles.setdefault(other, []).append(role)
        pairs += [(name, other, " and ".join(role)) for other, role in roles.items()]
    return pairs


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


def format_tests(tests: pd.DataFrame, style: Style = "terminal") -> str:
    """The paired tests as text for people: differences in percentage points, Holm-adjusted p-values."""
    rows = [
        {
            "tier": row["tier"],
            "model": row["model"],
            "strategy": row["strategy"],
            "against": row["against"]
            if row["against_model"] == row["model"]
            else f"{row['against']} ({row['against_model']})",
            "as": row["role"],
            "n": row["n"],
            "points": f"{100 * row['difference']:+.2f}",
            "95% interval": f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}",
            "only it / only other": f"{row['only_first']} / {row['only_second']}",
            "p (Holm)": "<0.0001" if row["p_holm"] < 1e-4 else f"{row['p_holm']:.4f}",
        }
        for row in tests.to_dict("records")
    ]
    return text_table(rows, style, left=("tier", "model", "strategy", "against", "as"))


def text_table(rows: Sequence[dict[str, object]], style: Style, left: Collection[str]) -> str:
    """Text columns to the left, numbers to the right, as they were formatted."""
    align = ["left" if name in left else "right" for name in (rows[0] if rows else ())]
    return tabulate(
        rows, headers="keys", tablefmt=TABULATE_FORMATS[style], disable_numparse=True, colalign=align or None
    )


def results_bytes(results: pd.DataFrame) -> bytes:
    """results.csv as bytes, after the checks that `read_results` makes."""
    _check([list(results.columns), *results.astype(str).to_numpy().tolist()], "results")
    return results.to_csv(index=False, lineterminator="\n").encode()


def write_results(path: Path, results: pd.DataFrame) -> None:
    """Writes results.csv, whole or not at all; `UserInputError` for a table that breaks the contract."""
    atomic_write(path, results_bytes(results))


def read_results(path: Path) -> pd.DataFrame:
    """Reads and checks a results.csv; `UserInputError` names the file, the line, the value and the fix."""
    with one_line_errors("read", path):
        data = path.read_bytes()
    try:
        lines = list(csv.reader(io.StringIO(data.decode()), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserInputError(f"{path} is no results table: {error}; write it with write_results") from error
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
