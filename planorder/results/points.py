"""Folders that are filled point by point: each is written whole when it is finished, and none is done twice.

A folder holds config.json (what was asked for), environment.json, points/*.json, and what its command writes
at the end. Unlike a run folder (`runs`) it may be left half full, by Ctrl-C or a crash, and gone on with.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planorder.results.environment import environment
from planorder.results.files import atomic_write, json_bytes, one_line_errors
from planorder.results.runs import lock
from puzzles.base import UserInputError

Values = Mapping[str, Any]


@dataclass(frozen=True)
class PointFolder:
    """A folder that is open for writing: ``with open_points(out, config) as folder: ...``.

    Attributes:
        path: the folder.
        config: all that determines a point beside its own settings.
    """

    path: Path
    config: Values

    def file(self, point: Values) -> Path:
        """Where a point is written."""
        said = "_".join(str(value) for value in point.values())
        return self.path / "points" / f"{re.sub(r'[^A-Za-z0-9_.-]', '-', said)}.json"

    def read(self, point: Values) -> dict[str, Any] | None:
        """The result of a point; None while it is missing.

        Raises:
            UserInputError: a file that holds something else than a result of these very settings.
        """
        path = self.file(point)
        if not path.exists():
            return None
        found = read_json(path)
        if found.get("settings") != {**self.config, **point} or not isinstance(found.get("result"), dict):
            raise UserInputError(f"{path} has other settings than its name says: delete it and run again")
        result: dict[str, Any] = found["result"]
        return result

    def write(self, point: Values, result: Values) -> None:
        """The result of a point, whole or not at all, with all settings."""
        content = {"settings": {**self.config, **point}, "result": dict(result)}
        atomic_write(self.file(point), json_bytes(content))


@contextmanager
def open_points(path: Path, config: Values) -> Iterator[PointFolder]:
    """Makes a folder, or goes on with one of the same configuration; by one process at a time.

    Args:
        path: a new or empty folder, or one that was begun with an equal ``config``.
        config: as JSON.

    Raises:
        UserInputError: a folder of something else or of another configuration, or one that is being written.
    """
    file = path / "config.json"
    with one_line_errors("write", path):
        begun = (path / "points").is_dir()
        if path.exists() and not begun and (not path.is_dir() or any(path.iterdir())):
            raise UserInputError(f"{path} exists and has no points: name a new or an empty folder")
        (path / "points").mkdir(parents=True, exist_ok=True)
    descriptor = lock(path)
    try:
        if not file.exists():
            atomic_write(path / "environment.json", json_bytes(environment()))
            atomic_write(file, json_bytes(config))
        check_config(path, read_json(file), config)
        yield PointFolder(path, config)
    finally:
        os.close(descriptor)


def check_config(path: Path, found: Values, config: Values) -> None:
    """Raises `UserInputError` that names the first setting in which two configurations differ."""
    for name in [*config, *found]:
        if found.get(name) != config.get(name):
            raise UserInputError(
                f"{path} was begun with {name} {found.get(name)!r}, asked for {config.get(name)!r}: name "
                "another folder, or give the same options"
            )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; `UserInputError` where it holds none."""
    with one_line_errors("read", path):
        data = path.read_bytes()
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserInputError(f"{path} was altered: expected an object in JSON; delete it and run again")
    return found
