"""What the reproductions share: what is asked for, where weights lie, how a folder is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import tyro
from matplotlib.figure import Figure

from planorder.console import DeviceName
from planorder.models.checkpoint import LoadedModel, load_model, pretrained
from planorder.reproductions.paper import GPU, TARGETS
from planorder.results.files import atomic_write
from planorder.results.plotting import save
from planorder.results.points import PointFolder, json_bytes
from planorder.results.runs import MANIFEST, manifest_of
from puzzles.base import UserInputError

FORMAT = "planorder-points-1"
"""Of the manifest: no run folder, which ``--overwrite`` of other commands would replace."""
WEIGHTS = Path("runs/weights")
"""Where the commands that are printed put their weights, unless ``--weights`` says otherwise."""


@dataclass(frozen=True)
class Reproduce:
    """Do a table or figure of Kim et al. (arXiv:2502.06768) again: theirs beside ours, resumable."""

    name: tyro.conf.Positional[str]
    """of the table or figure: table1, table2, table3, table5, figure2_left, figure2_right"""
    scale: Literal["cpu", "paper"] = "cpu"
    """cpu: weights that ship or quick trainings; paper: the preset paper, trained on a GPU beforehand"""
    weights: Path | None = None
    """folder of your own weights, FAMILY_MODEL/weights.safetensors, as the commands that are printed write"""
    n: int | None = None
    """test puzzles of a row, or sequences of a point (default: at most 15 minutes of two cores in all)"""
    routing: bool = False
    """tables: orders by the model once more with the paper's noise and routing (filled cells revised)"""
    flops: str | None = None
    """figure2_left: budgets of compute, with commas"""
    repeats: int | None = None
    """figure2_left: permutations and seeds of each kind of order"""
    seed: int = 0
    """of every random choice"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""
    out: Path | None = None
    """folder to write, or to go on with (default: runs/reproduce-NAME)"""


@dataclass(frozen=True)
class Report:
    """What a reproduction found.

    Attributes:
        table: of NAME.csv.
        figure: of NAME.png.
        text: for the terminal.
    """

    table: pd.DataFrame
    figure: Figure
    text: str


@dataclass(frozen=True)
class Plan:
    """A reproduction that was checked and not yet begun.

    Attributes:
        settings: what determines its points beside their own values, for config.json.
        work: does the points that the folder has not yet, and reports on all.
    """

    settings: dict[str, Any]
    work: Callable[[PointFolder], Report]


@dataclass(frozen=True)
class Networks:
    """Networks by (family, model): those whose weights are there, and how to train the others.

    Attributes:
        found: the networks.
        missing: the commands.
    """

    found: dict[tuple[str, str], LoadedModel] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)


def train_command(family: str, model: str, scale: str, folder: Path | None) -> str:
    """The command that trains a network from scratch to where `find_networks` looks for it."""
    size = "--preset paper --device cuda " if scale == GPU else ""
    out = (folder or WEIGHTS) / f"{family}_{model}"
    return f"python -m planorder train {family} --model {model} {size}--out {out}"


def find_networks(asked: Sequence[tuple[str, str]], scale: str, folder: Path | None) -> Networks:
    """The networks of some (family, model): from the folder, else, at scale cpu, those that ship.

    Raises:
        UserInputError: none of them is there, or a file holds another network than its folder says.
    """
    networks = Networks()
    for family, model in dict.fromkeys(asked):
        own = (folder or WEIGHTS) / f"{family}_{model}" / "weights.safetensors"
        path = own if folder and own.exists() else None
        if path is None and scale != GPU:
            path = pretrained(family).get(model)
        if path is None:
            networks.missing[family, model] = train_command(family, model, scale, folder)
            continue
        loaded = load_model(path)
        if (loaded.family.name, loaded.name) != (family, model):
            raise UserInputError(
                f"{path}: holds {loaded.name!r} on {loaded.family.name!r}, expected {model!r} on {family!r}: "
                "train it anew or rename its folder"
            )
        networks.found[family, model] = loaded
    if not networks.found:
        raise UserInputError(
            f"none of the weights of --scale {scale} is in {folder or 'the folder of --weights'}: train with "
            + "; ".join(networks.missing.values())
            + f"; then give --weights {folder or WEIGHTS}"
        )
    return networks


def untrained(networks: Networks, folder: Path | None) -> str:
    """Lines about the networks that are not there; empty where all are."""
    if not networks.missing:
        return ""
    lines = "\n".join(f"  {command}" for command in networks.missing.values())
    return f"\n\nnot trained; to have them, and then --weights {folder or WEIGHTS}:\n{lines}"


def heading(name: str) -> str:
    """The first line of a report: place and title."""
    found = TARGETS[name]
    return f"{found.place} of Kim et al. (arXiv:2502.06768). {found.title}"


def departures(lines: Sequence[str]) -> str:
    """The paragraph about departures."""
    return "departures:\n" + "\n".join(f"  - {line}" for line in lines)


def finish(folder: PointFolder, name: str, report: Report) -> None:
    """Writes table and figure, and the manifest last; a manifest of an earlier finish goes first."""
    manifest = folder.path / MANIFEST
    manifest.unlink(missing_ok=True)
    csv = report.table.to_csv(index=False, lineterminator="\n")
    atomic_write(folder.path / f"{name}.csv", csv.encode())
    save(report.figure, folder.path / f"{name}.png")
    atomic_write(manifest, json_bytes(manifest_of(folder.path, FORMAT)))
