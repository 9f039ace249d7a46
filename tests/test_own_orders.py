"""Strategies of a user's own module through the commands: checked on the puzzles' shape, told in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from planorder import frontier, study, survey, sweep
from planorder.bench import EXAMPLES, Bench, run_bench, strategies_of
from planorder.choices import has_chance
from planorder.console import command_line
from planorder.decoding import Strategy, get_strategy
from planorder.decoding.fixed_orders import given_order
from planorder.decoding.orders import TopMargin
from planorder.models import RelationalConfig, build_model
from planorder.models.checkpoint import model_header, save_model
from planorder.results.runs import load_run
from puzzles import get_family
from puzzles.base import UserInputError

TEXT = """
import torch
from planorder.decoding import Strategy
from planorder.decoding.fixed_orders import GivenOrder, given_order
from planorder.decoding.orders import TopMargin

backwards = Strategy("mine", given_order(range(80, -1, -1)))
small = Strategy("small", given_order(range(16)))

class Placed(TopMargin):
    def __call__(self, view):
        return super().__call__(view) + GivenOrder((0.0,) * 81)(view)

placed = Strategy("placed", Placed())

def broken(view):
    return [view.tokens][1]

def lucky(view):
    return view.uniform("luck") + GivenOrder((0.0,) * 81)(view)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with orders, beside which one is at work."""
    (tmp_path / "my_orders.py").write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_orders", raising=False)
    return "my_orders"


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of ``python -m planorder.bench`` with these words."""
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        command_line("planorder.bench", Bench, run_bench, EXAMPLES)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_given_order_decodes_sudoku(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family, config, out = (
        get_family("sudoku"),
        RelationalConfig(channels=4, hidden=4, turns=1),
        tmp_path / "run",
    )
    path, names = tmp_path / "mine.safetensors", f"right_to_left,{module}:backwards"
    save_model(path, build_model(config, family), model_header(config, family, "relational", {}))
    words = ("sudoku", "--n", "2", "--checkpoint", str(path), "--orders", names, "--out", str(out))
    assert call(monkeypatch, *words) == 0
    run = load_run(out)
    assert run.results["strategy"].tolist() == ["right_to_left", "my_orders:backwards"] * 2
    mine = run.traces["logic/relational/my_orders:backwards/0/step"]
    assert (mine == run.traces["logic/relational/right_to_left/0/step"]).all()


@pytest.mark.parametrize(
    ("family", "name", "said"),
    [
        (
            "sudoku",
            "small",
            "does not suit sudoku (81 cells, 9 values): a given order of 16 cells for puzzles of 81:",
        ),
        ("zebra", "backwards", "does not suit zebra (42 cells, 6 values): a given order of 81 cells"),
        ("sudoku", "broken", "fails on sudoku (81 cells, 9 values) with IndexError: list index out of range"),
        ("sudoku", "absent", "cannot be had (module 'my_orders' has no attribute 'absent'): expected module"),
    ],
)
def test_what_does_not_suit_is_told_in_one_line(
    module: str,
    family: str,
    name: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, family, "--orders", f"{module}:{name}", "--out", str(tmp_path / "run")) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: order 'my_orders:{name}' {said}")
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


SUDOKU = get_family("sudoku")
STRATEGIES: dict[str, Callable[[str], list[Strategy]]] = {
    "frontier": lambda name: [
        s for _, s in frontier.jobs_of(frontier.Frontier(orders=name), get_family("sudoku"))
    ],
    "survey": lambda name: survey.strategies_of(survey.Survey(orders=name), SUDOKU),
    "study": lambda name: study.strategies_of(study.Study("depth", orders=name)),
}


@pytest.mark.parametrize("command", STRATEGIES)
def test_other_commands_check_on_the_shape_of_their_puzzles(module: str, command: str) -> None:
    found = STRATEGIES[command](f"{module}:backwards")
    assert {s.order for s in found} == {given_order(range(80, -1, -1))}
    with pytest.raises(UserInputError, match=r"does not suit sudoku \(81 cells"):
        STRATEGIES[command](f"{module}:small")


def test_a_sweep_takes_a_strategy_for_its_puzzles(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Strategy] = []
    monkeypatch.setattr(sweep, "masked_network", lambda *asked: None)
    monkeypatch.setattr(sweep, "strategy_of", lambda point, found: seen.append(found))
    asked = sweep.Sweep(orders=f"{module}:placed", ks="", steps="5", n=0, out=tmp_path / "run")
    with pytest.raises(UserInputError, match="--n 0"):
        sweep.run_sweep(asked)
    assert {type(found.order).__mro__[1] for found in seen} == {TopMargin}


def test_chance_is_looked_for_on_the_shape_of_the_puzzles(module: str) -> None:
    family = get_family("sudoku")
    lucky, backwards = (get_strategy(f"{module}:{name}", family) for name in ("lucky", "backwards"))
    assert has_chance(lucky, family)
    assert not has_chance(backwards, family)
    assert len(strategies_of(Bench(orders=f"{module}:lucky", best_of=2), family)) == 1
