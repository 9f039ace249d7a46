"""The code of docs/adding-an-order.md runs as it stands."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from planorder.decoding import budgets, noise, picks, remask

PAGE = Path(__file__).parents[2] / "docs" / "adding-an-order.md"


def test_the_ten_lines_run(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict = {}
    exec(compile(code, str(PAGE), "exec"), names)
    assert (names["found"].cells > 0).all()
    assert capsys.readouterr().out.count("[") == 2


def test_the_ready_made_choices_exist() -> None:
    for field, module in {"noise": noise, "budget": budgets, "pick": picks, "remask": remask}.items():
        (row,) = re.findall(rf"^\| `{field}` \|.*\| (.*) \|$", PAGE.read_text(), re.MULTILINE)
        names = re.findall(r"`([\w.]+)", row)
        assert names
        for name in names:
            *place, last = name.split(".")
            found = import_module(f"planorder.decoding.{place[0]}") if place else module
            assert hasattr(found, last), name
