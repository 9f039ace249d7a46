"""Run folders: written in a hidden sibling, moved into place when everything is there, checked when read.

A folder holds config.json, environment.json, results.csv, puzzles.csv.gz (a row a puzzle and outcome),
traces.npz, figures, and manifest.json (size and sha256 of each file), which is written last.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from planorder.results.environment import environment, portable
from planorder.results.evaluate import Outcome
from planorder.results.files import DISK_ERRORS, atomic_write, disk_error, json_bytes, one_line_errors
from planorder.results.plotting import render
from planorder.results.tables import per_puzzle, read_results, results_bytes, summarise
from puzzles.base import PuzzleBatch, UserInputError

FORMAT = "planorder-run-1"
MANIFEST = "manifest.json"
BATCH_ARRAYS = ("index", "clues", "solution")
OUTCOME_ARRAYS = ("step", "prob", "cells")


@dataclass(frozen=True)
class RunFolder:
    """Writes a run folder, all of it or nothing: ``with RunFolder("runs/first", config) as run: ...``.

    Files go into ``.NAME.partial`` beside the target; at the end of the block the manifest is written
    and the folder moved into place. Whatever ends the block early, Ctrl-C included, removes the partial
    folder and leaves the target as it was.

    Attributes:
        out: the folder to be; missing, empty, or a run folder where ``overwrite`` is set.
        config: what was asked for, as JSON; of absolute paths only the last part is kept.
        overwrite: whether a run folder may be replaced.

    Raises:
        UserInputError: on entry for a target that may not be replaced or is being written by another run;
            at any moment for a full or read-only disk.
    """

    out: Path
    config: Mapping[str, object]
    overwrite: bool = False
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    @property
    def target(self) -> Path:
        """The folder to be, without symlinks."""
        return Path(self.out).resolve()

    @property
    def path(self) -> Path:
        """The folder being written."""
        return self.target.with_name(f".{self.target.name}.partial")

    def __enter__(self) -> RunFolder:
        _check_target(self.target, self.overwrite)
        with one_line_errors("write", self.path):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            _clear_stale(self.path)
            self.path.mkdir()
        try:
            self._open.callback(os.close, lock(self.path))
            self.write_json("config.json", portable(self.config))
            self.write_json("environment.json", environment())
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.write_json(MANIFEST, manifest_of(self.path))
                _check_target(self.target, self.overwrite)
                with one_line_errors("write", self.target):
                    _publish(self.path, self.target)
        finally:
            self._discard()
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise disk_error("write", self.target, error) from error

    def _discard(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._open.close()

    def write_bytes(self, name: str, data: bytes) -> None:
        """One file, by its name inside the folder."""
        atomic_write(self.path / name, data)

    def write_json(self, name: str, content: object) -> None:
        """One JSON file; keys keep their order."""
        self.write_bytes(name, json_bytes(content))

    def write_outcomes(self, outcomes: Sequence[Outcome], batches: Mapping[str, PuzzleBatch]) -> pd.DataFrame:
        """Writes results.csv, puzzles.csv.gz and traces.npz, and returns the results table.

        traces.npz holds ``TIER/index``, ``TIER/clues``, ``TIER/solution`` and, an outcome,
        ``TIER/MODEL/STRATEGY/SEED/step``, ``.../prob`` and ``.../cells``.

        Args:
            outcomes: what was decoded.
            batches: the puzzles of each tier.
        """
        results = summarise(outcomes)
        arrays = {
            f"{tier}/{name}": getattr(batch, name) for tier, batch in batches.items() for name in BATCH_ARRAYS
        }
        for outcome in outcomes:
            prefix = f"{outcome.tier}/{outcome.model}/{outcome.strategy}/{outcome.seed}"
            arrays |= {f"{prefix}/{name}": getattr(outcome, name) for name in OUTCOME_ARRAYS}
        traces, puzzles = io.BytesIO(), io.BytesIO()
        np.savez_compressed(traces, allow_pickle=False, **arrays)
        per_puzzle(outcomes).to_csv(
            puzzles, index=False, lineterminator="\n", compression={"method": "gzip", "mtime": 0}
        )
        self.write_bytes("traces.npz", traces.getvalue())
        self.write_bytes("puzzles.csv.gz", puzzles.getvalue())
        self.write_bytes("results.csv", results_bytes(results))
        return results

    def write_figure(self, name: str, figure: Figure, formats: Sequence[str] = ("png",)) -> None:
        """One figure as NAME.png, NAME.svg or both."""
        for suffix in formats:
            self.write_bytes(f"{name}.{suffix}", render(figure, suffix))


@dataclass(frozen=True)
class Run:
    """A run folder, read and checked.

    Attributes:
        path: the folder.
        config: what was asked for.
        environment: where it ran.
        results: the results table.
        puzzles: a row a puzzle and outcome.
        traces: arrays by the names that `RunFolder.write_outcomes` gives.
    """

    path: Path
    config: dict[str, object]
    environment: dict[str, object]
    results: pd.DataFrame
    puzzles: pd.DataFrame
    traces: dict[str, np.ndarray]


def load_run(path: str | Path) -> Run:
    """Reads a run folder after checking every file against the manifest.

    Raises:
        UserInputError: no run folder, or a file that is missing, altered or unreadable.
    """
    folder = Path(path)
    verify(folder)
    with np.load(folder / "traces.npz", allow_pickle=False) as traces:
        arrays = dict(traces)
    return Run(
        path=folder,
        config=json.loads((folder / "config.json").read_bytes()),
        environment=json.loads((folder / "environment.json").read_bytes()),
        results=read_results(folder / "results.csv"),
        puzzles=pd.read_csv(folder / "puzzles.csv.gz"),
        traces=arrays,
    )


def verify(folder: Path) -> None:
    """Checks a run folder against its manifest; `UserInputError` names the first file that differs."""
    manifest = _read_manifest(folder)
    if manifest is None:
        raise UserInputError(
            f"{folder} is no finished run folder: expected a {MANIFEST}; name a folder of --out"
        )
    needed = {"config.json", "environment.json", "results.csv", "puzzles.csv.gz", "traces.npz"}
    if missing := sorted(needed - set(manifest)):
        raise UserInputError(f"{folder}/{MANIFEST} does not list {missing[0]}: run again")
    for name, entry in manifest.items():
        with one_line_errors("read", folder / name):
            data = (folder / name).read_bytes()
        if _fingerprint(data) != entry:
            raise UserInputError(
                f"{folder / name} was altered: {len(data)} bytes, expected {entry['bytes']} with sha256 "
                f"{entry['sha256'][:12]}...; restore the file or run again"
            )


def _fingerprint(data: bytes) -> dict[str, object]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def manifest_of(folder: Path, kind: str = FORMAT) -> dict[str, object]:
    """The format of a folder, and size and hash of each of its files."""
    with one_line_errors("read", folder):
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return {
            "format": kind,
            "files": {name: _fingerprint((folder / name).read_bytes()) for name in names},
        }


def _read_manifest(folder: Path) -> dict[str, dict] | None:
    """The files a finished run folder lists; None where the folder is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return dict(manifest["files"]) if manifest["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_target(target: Path, overwrite: bool) -> None:
    """Refuses everything but a new folder, an empty one, and a run folder that may be overwritten."""
    if not target.name:
        raise UserInputError(f"{target} cannot be a run folder: name a new folder")
    with one_line_errors("read", target):
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return
    if _read_manifest(target) is None:
        raise UserInputError(f"{target} exists and is no run folder: name a new or an empty folder")
    if not overwrite:
        raise UserInputError(f"{target} already holds a run: allow overwriting it or name another folder")


def lock(folder: Path) -> int:
    """Locks a folder until the process ends, however it ends, or the returned descriptor is closed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserInputError(
            f"another run is writing {folder}: wait for it or name another folder"
        ) from error
    return descriptor


def _clear_stale(partial: Path) -> None:
    """Removes what a killed run left; one that still runs holds the lock and is left alone."""
    if partial.exists():
        os.close(lock(partial))
        shutil.rmtree(partial)


def _publish(partial: Path, target: Path) -> None:
    """Moves the finished folder into place; a failure puts the replaced one back."""
    if not target.exists() or not any(target.iterdir()):
        os.replace(partial, target)
        return
    retired = target.with_name(f".{target.name}.replaced")
    shutil.rmtree(retired, ignore_errors=True)
    try:
        os.rename(target, retired)
        os.rename(partial, target)
    except BaseException:
        if retired.exists() and not target.exists():
            os.rename(retired, target)
        raise
    shutil.rmtree(retired, ignore_errors=True)
