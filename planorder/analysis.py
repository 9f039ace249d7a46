"""``python -m planorder.analysis RUN_FOLDER``: orders, first errors, calibration and confidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure

from planorder.console import command_line, progress_bar
from planorder.results import analysis_figures as figures
from planorder.results.calibration import calibration, committed, reliability
from planorder.results.evaluate import error_curve
from planorder.results.files import csv_bytes
from planorder.results.order_analysis import (
    ALL,
    KINDS,
    error_kinds,
    errors_by_technique,
    first_errors,
    gap_closed,
    order_agreement,
)
from planorder.results.runs import Run, RunFolder, load_run
from planorder.results.selective import CONFIDENCES, best_of_n, confidence, risk_coverage, selective_risk
from planorder.results.tables import LABELS, percent, text_table
from puzzles import get_family
from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError

EXAMPLES = """  python -m planorder.analysis runs/first
  python -m planorder.analysis runs/first --model shallow --out runs/shallow-analysis
  python -m planorder.analysis runs/seed0 runs/seed1 runs/seed2 --out runs/best-of-3"""
SURENESS = CONFIDENCES[0]
"""The confidence that curves, figures and the best of n go by."""
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Analysis:
    """Say of a finished bench run where orders agree with the solver, fail, and know that they fail."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """run folders of planorder.bench: one, or several of the same puzzles under different seeds"""
    model: str | None = None
    """the network of the figures and the summary (default: the first of the run)"""
    puzzles: Path | None = None
    """the file that the run was given with --puzzles, if it is not where the run says"""
    out: Path | None = None
    """folder to write (default: the first run folder's name with -analysis)"""
    overwrite: bool = False
    """replace the folder if it is there"""


@dataclass(frozen=True)
class Decode:
    """One outcome of a run: its labels, its puzzles, and per puzzle and cell what was decoded.

    Attributes:
        labels: family, tier, model, strategy, seed.
        batch: the puzzles.
        exact: bool ``[batch]``.
        cells: int8 ``[batch, cells]``.
        step: int16 ``[batch, cells]``.
        prob: float32 ``[batch, cells]``.
    """

    labels: dict[str, object]
    batch: PuzzleBatch
    exact: np.ndarray
    cells: np.ndarray
    step: np.ndarray
    prob: np.ndarray

    def sureness(self, kind: str = SURENESS) -> np.ndarray:
        """float64 ``[batch]``, of `selective.confidence`."""
        return confidence(self.prob, self.batch.blank, kind)


def puzzles_of(run: Run, family: AbstractFamily, tier: str, file: Path | None = None) -> PuzzleBatch:
    """The puzzles of a tier with the solver's account of them, which a run folder does not hold.

    The solver runs anew. Puzzles with edges of their own, which are not in the folder either, are generated
    or read again.
    """
    clues, solution, index = (run.traces[f"{tier}/{name}"] for name in ("clues", "solution", "index"))
    if not family.graph().puzzle_kinds:
        return family.rate(clues, solution, index)
    if given := run.config.get("puzzles"):
        file = file or Path(str(given))
        if not file.exists():
            raise UserInputError(
                f"{file}: puzzles of {run.path} that are not there; say where: --puzzles FILE"
            )
        batch = family.read(file)[: len(clues)]
    else:
        batch = family.generate("test", tier, len(clues), start=int(index[0]), workers=2)
    is_same = batch.clues.shape == clues.shape and (batch.clues == clues).all()
    if not is_same or (batch.solution != solution).any():
        raise UserInputError(
            f"{run.path}: puzzles of tier {tier!r} are not those that {family.name!r} gives now: run the "
            "bench again, or analyse it with the version that wrote it"
        )
    return batch


def decodes_of(run: Run, family: AbstractFamily, file: Path | None = None) -> list[Decode]:
    """The outcomes of a run, in the order of its table."""
    batches = {str(tier): puzzles_of(run, family, str(tier), file) for tier in run.results["tier"].unique()}
    exact = {key: rows["exact"].to_numpy(bool) for key, rows in run.puzzles.groupby(list(LABELS), sort=False)}
    found = []
    for key in run.results[list(LABELS)].itertuples(index=False, name=None):
        labels = dict(zip(LABELS, key, strict=True))
        prefix = "/".join(str(labels[name]) for name in LABELS[1:])
        cells, step, prob = (run.traces[f"{prefix}/{name}"] for name in ("cells", "step", "prob"))
        found.append(Decode(labels, batches[str(labels["tier"])], exact[key], cells, step, prob))
    return found


def tables_of(decode: Decode, family: AbstractFamily) -> Tables:
    """The tables of one outcome, by the name of their file."""
    batch, cells, step = decode.batch, decode.cells, decode.step
    errors = first_errors(family, batch, cells, step)
    filled = committed(family, batch, cells, step, decode.prob)
    widths = {"equal width": False, "equal mass": True}
    curves = {kind: reliability(filled, equal_mass=mass) for kind, mass in widths.items()}
    risks = {kind: selective_risk(decode.sureness(kind), decode.exact) for kind in CONFIDENCES}
    tables = {
        "order_agreement": order_agreement(family, batch, step),
        "first_errors": errors,
        "error_kinds": error_kinds(errors, len(batch)),
        "errors_by_technique": errors_by_technique(family, batch, cells, step),
        "errors_by_masked_fraction": error_curve(family, batch, cells, step),
        "calibration": calibration(filled),
        "reliability": pd.concat([table.assign(bins=kind) for kind, table in curves.items()]),
        "selective_risk": pd.DataFrame([{"confidence": kind} | risk for kind, risk in risks.items()]),
        "risk_coverage": risk_coverage(decode.sureness(), decode.exact).assign(n=len(batch)),
    }
    return {name: labelled(table, decode.labels) for name, table in tables.items()}


def labelled(table: pd.DataFrame, labels: dict[str, object]) -> pd.DataFrame:
    """The table with the labels as its first columns."""
    rest = list(table.columns)
    values: dict[str, Any] = labels
    return table.assign(**values)[[*labels, *rest]]


def best_of_seeds(decodes: Sequence[Decode]) -> pd.DataFrame:
    """`selective.best_of_n` over the seeds of each network and strategy that has several."""
    found = []
    names = [name for name in LABELS if name != "seed"]
    groups: dict[tuple[object, ...], list[Decode]] = {}
    for decode in decodes:
        groups.setdefault(tuple(decode.labels[name] for name in names), []).append(decode)
    for key, group in groups.items():
        if len({(d.batch.clues.tobytes(), d.batch.index.tobytes()) for d in group}) > 1:
            raise UserInputError(f"runs of {key[1]!r} have different puzzles: give runs of the same ones")
        if len({d.labels["seed"] for d in group}) < len(group):
            raise UserInputError(f"{key[2]} {key[3]} has one seed twice: give runs of different seeds")
        if len(group) > 1:
            sureness, exact = np.stack([d.sureness() for d in group]), np.stack([d.exact for d in group])
            found.append(labelled(best_of_n(sureness, exact), dict(zip(names, key, strict=True))))
    return pd.concat(found) if found else pd.DataFrame()


def analyse(
    runs: Sequence[Run], family: AbstractFamily, decodes: Sequence[Decode], advance: Callable[[int], None]
) -> Tables:
    """All tables of some runs, by the name of their file; calls ``advance`` after each outcome."""
    best = best_of_seeds(decodes)
    parts: dict[str, list[pd.DataFrame]] = {}
    for decode in decodes:
        for name, table in tables_of(decode, family).items():
            parts.setdefault(name, []).append(table)
        advance(1)
    tables = {name: joined(frames) for name, frames in parts.items()}
    gaps = gap_closed(pd.concat([run.puzzles for run in runs]))
    return tables | {name: table for name, table in (("gap_closed", gaps), ("best_of_n", best)) if len(table)}


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of those that have rows; an empty one with their columns where none has."""
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def drawings(tables: Tables) -> Iterator[tuple[str, Figure]]:
    """The figures that have something to show, by name; the tables are those of one network and seed."""
    widths = tables["reliability"]
    enough = widths["n"] >= figures.FEWEST
    drawn = {
        "risk_coverage": (figures.risk_coverage, tables["risk_coverage"]),
        "reliability": (figures.reliability, widths[(widths["bins"] == "equal width") & enough]),
        "tau_by_technique": (figures.tau_by_technique, tables["order_agreement"].query("n > 0")),
        "error_kinds": (figures.error_kinds, tables["error_kinds"]),
    }
    for name, (draw, table) in drawn.items():
        if len(table):
            yield name, draw(table)


def summary(tables: Tables) -> str:
    """A row a tier and strategy: the main number of each table."""
    keys = ["tier", "strategy"]
    agreement, parts, risk = tables["order_agreement"], tables["calibration"], tables["selective_risk"]
    found = risk[risk["confidence"] == SURENESS].set_index(keys)[["n", "exact", "aurc", "e_aurc"]]
    found["tau"] = agreement[agreement["hardest"] == ALL].set_index(keys)["tau"]
    found["ece"] = parts[parts["part"] == "all"].set_index(keys)["ece"]
    kinds = tables["error_kinds"].pivot(index=keys, columns="kind", values="puzzles")[list(KINDS)]
    found = found.join(kinds)
    if "gap_closed" in tables:
        found["gap"] = tables["gap_closed"].set_index(keys)["closed"]
    rows: list[dict[str, object]] = []
    for row in found.reset_index().to_dict("records"):
        shown = {key: row[key] for key in (*keys, "n")} | {"exact %": percent(row["exact"])}
        shown |= {"tau": f"{row['tau']:.2f}"} | {kind: row[kind] for kind in KINDS}
        shown |= {"ECE": f"{row['ece']:.3f}", "AURC": f"{row['aurc']:.3f}", "E-AURC": f"{row['e_aurc']:.3f}"}
        if "gap" in row:
            shown["gap closed %"] = "" if pd.isna(row["gap"]) else f"{100 * row['gap']:.0f}"
        rows.append(shown)
    return text_table(rows, "terminal", left=keys)


LEGEND = """tau: Kendall's tau-b with the solver's order; then puzzles by the kind of their first wrong cell
(of a rule that all puzzles share: what breaks a clue alone counts as a wrong branch);
ECE: expected calibration error of committed values; AURC, E-AURC: area under the risk-coverage curve by
the mean log-probability of a puzzle, and its excess over the best ranking; gap closed: of that from vanilla
to oracle_margin, where it was decoded, or else to solver_order. Intervals are in the tables."""


def run_analysis(args: Analysis) -> None:
    """Checks the run folders, writes tables and figures, prints the summary."""
    if not args.runs:
        raise UserInputError("no run folder: name a folder that planorder.bench wrote")
    runs = [load_run(path) for path in args.runs]
    names = {str(run.config.get("family")) for run in runs}
    if len(names) > 1:
        raise UserInputError(f"runs of {', '.join(sorted(names))}: expected runs of one family")
    family = get_family(names.pop())
    out = args.out or Path(f"{args.runs[0]}-analysis")
    model, seed = args.model or str(runs[0].results["model"].iloc[0]), int(runs[0].results["seed"].iloc[0])
    if model not in set(runs[0].results["model"]):
        raise UserInputError(
            f"--model {model!r}: expected one of {', '.join(runs[0].results['model'].unique())}"
        )
    with RunFolder(
        out, {"runs": [str(path) for path in args.runs], "model": model}, args.overwrite
    ) as folder:
        decodes = [decode for run in runs for decode in decodes_of(run, family, args.puzzles)]
        with progress_bar(len(decodes), "analysing", unit="outcome") as advance:
            tables = analyse(runs, family, decodes, advance)
        for name, table in tables.items():
            folder.write_bytes(f"{name}.csv", csv_bytes(table))
        shown = {name: of_one(table, model, seed) for name, table in tables.items()}
        drawn = []
        for name, figure in drawings(shown):
            folder.write_figure(name, figure)
            drawn.append(f"{name}.png")
    print(f"{model}, seed {seed}\n\n{summary(shown)}\n\n{LEGEND}")
    written = ", ".join(f"{name}.csv" for name in tables)
    print(f"\nfolder:  {out}\ntables:  {written}\nfigures: {', '.join(drawn)}")


def of_one(table: pd.DataFrame, model: str, seed: int) -> pd.DataFrame:
    """The rows of one network, and of one seed where the table tells seeds apart."""
    chosen = table["model"] == model
    return table[chosen & (table["seed"] == seed)] if "seed" in table else table[chosen]


if __name__ == "__main__":
    command_line("planorder.analysis", Analysis, run_analysis, EXAMPLES)
