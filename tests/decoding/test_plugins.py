"""Strategies by name: presets, a user's module, an installed package; and what is refused."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest
import torch

from planorder.decoding import PRESETS, Strategy, get_strategy, plugins
from puzzles.base import UserInputError

MINE = """
import torch
from planorder.decoding import Strategy
from planorder.decoding.budgets import Fixed

def last_first(view):
    return torch.arange(view.tokens.shape[1], dtype=torch.float64).expand(view.tokens.shape)

two_at_a_time = Strategy("other name", last_first, budget=Fixed(2))
number = 3

def by_place(view):
    return torch.arange(view.tokens.shape[0], dtype=torch.float64)[:, None] * view.log_probs[..., 0]

def infinite(view):
    return view.log_probs[..., 0] - torch.inf
"""


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    (tmp_path / "my_orders.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_orders", raising=False)
    return "my_orders"


def test_a_function_of_a_module_is_an_order(module: str) -> None:
    found = get_strategy(f"{module}:last_first")
    assert isinstance(found, Strategy)
    assert found.name == f"{module}:last_first"
    assert found.budget == Strategy("plain", torch.zeros_like).budget


def test_a_strategy_of_a_module_keeps_its_choices(module: str) -> None:
    found = get_strategy(f"{module}:two_at_a_time")
    assert found.budget.k == 2
    assert found.name == f"{module}:two_at_a_time"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_orders:by_place", "breaks a promise: .*other rows"),
        ("my_orders:infinite", "breaks a promise: .*inf or nan"),
        ("my_orders:number", "is a int: expected a Strategy or a function"),
        ("my_orders:absent", "cannot be had .*absent.*: expected module:name"),
        ("not_a_module:order", "cannot be had .*not_a_module"),
        (":order", "cannot be had"),
        ("top_magrin", "did you mean 'top_margin'"),
    ],
)
def test_what_is_refused_and_why(module: str, name: str, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        get_strategy(name)


def test_an_installed_package_names_its_orders(module: str, monkeypatch) -> None:
    point = EntryPoint("theirs", f"{module}:last_first", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == plugins.GROUP else [])
    assert get_strategy("theirs").name == "theirs"
    with pytest.raises(UserInputError, match="did you mean 'theirs'"):
        get_strategy("their")


def test_a_preset_is_itself() -> None:
    assert get_strategy("top_margin") is PRESETS["top_margin"]
