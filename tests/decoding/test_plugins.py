"""Strategies by name: presets, a user's module, an installed package; and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint

import pytest
import torch

from planorder.decoding import PRESETS, Strategy, get_strategy, plugins
from puzzles import get_family
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

def nothing(view):
    return None
"""

SHAPED = """
from planorder.decoding import Strategy
from planorder.decoding.blocks import GivenDag
from planorder.decoding.fixed_orders import given_order
from planorder.decoding.learned import head_of, strategy_of
from planorder.decoding.priors import PositionPrior
from planorder.models.checkpoint import pretrained_heads

row_by_row = given_order(range(81))
strategy = Strategy("row_by_row", given_order(range(81)))
dag = Strategy("dag", given_order(range(81)), see=GivenDag(((), *((i,) for i in range(80)))))
prior = PositionPrior(decay=0.0, background=(0.2,) + (0.1,) * 8)
(path,) = [path for path in pretrained_heads("learned_margin") if path.stem.startswith("sudoku_")]
head = strategy_of("head", head_of(path)[0])

def by_edges(view):
    return view.log_probs[..., 0] - view.edges.shape[1]
"""


@pytest.fixture
def written(tmp_path, monkeypatch) -> Callable[..., str]:
    """Writes a module that Python then finds; gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str, name: str = "my_orders") -> str:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


@pytest.fixture
def module(written) -> str:
    return written(MINE)


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
        ("my_orders:nothing", "breaks a promise: the order gave a NoneType: expected a tensor"),
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


@pytest.mark.parametrize("name", ["row_by_row", "strategy", "dag", "prior", "head"])
def test_a_strategy_for_real_puzzles_is_checked_on_their_shape(written, name: str) -> None:
    found = get_strategy(f"{written(SHAPED)}:{name}", get_family("sudoku"))
    assert found.name == f"my_orders:{name}"
    with pytest.raises(
        UserInputError, match=f"'my_orders:{name}' does not suit zebra .42 cells, 6 values.: "
    ):
        get_strategy(f"my_orders:{name}", get_family("zebra"))
    with pytest.raises(
        UserInputError, match=r"does not suit made-up puzzles .8 cells.*get_strategy.name, fa"
    ):
        get_strategy(f"my_orders:{name}")


def test_an_order_by_edges_gets_those_of_the_family(written) -> None:
    assert get_strategy(f"{written(SHAPED)}:by_edges", get_family("zebra")).name == "my_orders:by_edges"
    with pytest.raises(UserInputError, match=r"fails on sudoku .* with AttributeError: 'NoneType'"):
        get_strategy("my_orders:by_edges", get_family("sudoku"))


@pytest.mark.parametrize("family", ["sudoku", "zebra"])
def test_a_broken_promise_is_found_on_the_shape_of_a_family(module: str, family: str) -> None:
    with pytest.raises(UserInputError, match=r"breaks a promise: .*other rows"):
        get_strategy(f"{module}:by_place", get_family(family))


@pytest.mark.parametrize("family", ["sudoku", "zebra", "naesat"])
def test_the_puzzles_of_a_check_are_few_and_nearly_filled(family: str) -> None:
    puzzles = plugins.made_up(get_family(family))
    filled = plugins.nearly_filled(puzzles)
    n_blank = filled.blank.sum(1)
    assert len(puzzles) == plugins.ROWS
    assert n_blank.max() == plugins.BLANKS
    assert (puzzles.blank | ~filled.blank).all()
    assert (filled.clues == puzzles.solution)[~filled.blank].all()
    for rank, n in zip(filled.rank, n_blank, strict=True):
        assert sorted(rank[rank >= 0]) == list(range(n))


MISTAKES = [
    ("def order(view)\n    return view", r"SyntaxError: .*my_orders.py, line 1"),
    ("def order(view):\nreturn view", r"IndentationError: .*my_orders.py, line 2"),
    ("import torch\norder = no_such_name", r"NameError: name 'no_such_name'.* .line 2 of my_orders.py."),
    ("import not_a_module\norder = 1", r"ModuleNotFoundError: .*not_a_module.* .line 1 of my_orders.py."),
    ("import torch\norder = torch.not_there", r"AttributeError: .*not_there.* .line 2 of my_orders.py."),
    ("raise ValueError('one\\ntwo')", r"ValueError: one .line 1 of my_orders.py."),
    ("import sys\nsys.exit(0)", r"SystemExit: 0 .line 2 of my_orders.py."),
    (
        "from planorder.decoding.fixed_orders import given_order\norder = given_order([0, 0])",
        r"UserInputError: .*line 2 of my_orders.py",
    ),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_module_that_fails_is_told_in_one_line(written, text: str, said: str) -> None:
    with pytest.raises(
        UserInputError, match=f"^order 'my_orders:order': importing my_orders fails with {said}"
    ):
        get_strategy(f"{written(text)}:order")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("return [0][view.tokens.shape[1]]", "IndexError: list index out of range .line 4 of my_orders.py."),
        ("return view + 1", "TypeError: unsupported operand .*line 4 of my_orders.py"),
        ("return view.no_such_field", "AttributeError: .*no_such_field.*line 4 of my_orders.py"),
        ("return {}['key']", "KeyError: 'key' .line 4 of my_orders.py"),
        ("return 1 / 0", "ZeroDivisionError: division by zero .line 4 of my_orders.py"),
        ("return torch.zeros(3) + torch.zeros(4)", "RuntimeError: The size of .*line 4 of my_orders.py"),
        ("return F.one_hot(view.log_probs)", "RuntimeError: .*line 4 of my_orders.py"),
        ("raise NotImplementedError", "NotImplementedError .line 4 of my_orders.py."),
    ],
)
@pytest.mark.parametrize("family", [None, "sudoku"])
def test_an_order_that_fails_is_told_in_one_line(written, line: str, said: str, family: str | None) -> None:
    module = written(f"import torch\nfrom torch.nn import functional as F\ndef order(view):\n    {line}")
    with pytest.raises(UserInputError, match=f"^order 'my_orders:order' fails on .* values. with {said}"):
        get_strategy(f"{module}:order", family and get_family(family))


def test_a_choice_that_is_no_function_is_told_without_a_line_of_ours(written) -> None:
    module = written("from planorder.decoding import Strategy\nmine = Strategy('mine', order='top_prob')")
    with pytest.raises(UserInputError, match="TypeError: 'str' object is not callable: expected choices"):
        get_strategy(f"{module}:mine")
