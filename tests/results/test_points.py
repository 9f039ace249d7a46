"""Folders of points: what is refused, and what is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from planorder.results.points import open_points
from puzzles.base import UserInputError


def test_folders_of_something_else_and_altered_points_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UserInputError, match="exists and has no points"), open_points(tmp_path / "notes", {}):
        pass
    out, point = tmp_path / "run", {"tier": "logic", "strategy": "my.module:rule", "value": None}
    with open_points(out, {"n": 3}) as folder:
        assert folder.read(point) is None
        folder.write(point, {"exact": 0.5})
        assert folder.read(point) == {"exact": 0.5}
        assert json.loads(folder.file(point).read_text())["settings"] == {"n": 3, **point}
        with pytest.raises(UserInputError, match="another run is writing"), open_points(out, {"n": 3}):
            pass
        folder.file(point).write_text(folder.file(point).read_text().replace("0.5", "0.5}"))
        with pytest.raises(UserInputError, match=r"was altered.*delete it and run again"):
            folder.read(point)
        folder.file(point).write_text("{}")
        with pytest.raises(UserInputError, match="has other settings than its name says"):
            folder.read(point)
    assert os.listdir(out / "points") == ["logic_my.module-rule_None.json"]
    with (
        pytest.raises(UserInputError, match="was begun with seed None, asked for 1"),
        open_points(out, {"n": 3, "seed": 1}),
    ):
        pass
