"""Strategies from outside: ``--orders package.module:name``, or an installed package's entry point.

A package that others install names its strategies in its pyproject.toml:

    [project.entry-points."planorder.orders"]
    my_order = "my_package.my_module:my_order"

Both are checked (`testing.check_strategy`) before they decode a puzzle, on made-up ones of the same shape.
Whatever goes wrong in somebody else's module is told in one line.
"""

from __future__ import annotations

import importlib
import inspect
import os
import traceback
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import torch

from planorder.decoding.learned import is_learned, learned_strategy
from planorder.decoding.published import PRESETS
from planorder.decoding.several import SEVERAL
from planorder.decoding.strategies import Strategy
from planorder.decoding.testing import check_strategy, small_batch, small_view
from planorder.tokens import MASK
from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError
from puzzles.errors import did_you_mean

GROUP = "planorder.orders"
ROWS, BLANKS = 6, 20
"""Puzzles of a check, and the most blanks of one that is decoded, so that a large one takes no longer."""
OURS = (
    "<",
    f"{Path(__file__).parents[1]}{os.sep}",
    *(f"{Path(inspect.getfile(module)).parent}{os.sep}" for module in (torch, np, importlib)),
)
"""How the names of files begin in which a user does not look for a mistake of theirs."""


def get_strategy(name: str, family: AbstractFamily | None = None) -> Strategy:
    """The strategy of this name: a preset, ``module:attribute``, or an entry point of group `GROUP`.

    The attribute is a `Strategy`, or an order alone: ``order(view) -> [batch, cells]``. Learned orders are
    those of `learned`: by the name under which they ship, or ``learned:PATH``.

    Args:
        name: of the strategy.
        family: what it is going to decode. A strategy from outside is checked on puzzles of its shape; of 8
            cells and 4 values if None.

    Raises:
        UserInputError: an unknown name (with the nearest), a module or attribute that is not there or fails,
            or a strategy that does not suit the puzzles or breaks a promise, with the one it breaks.
    """
    strategy = named(name)
    if name not in PRESETS and not is_learned(name):
        check(strategy, family)
    return strategy


def named(name: str) -> Strategy:
    """The strategy of this name, as `get_strategy` finds it, unchecked: to be described, not to decode."""
    if name in PRESETS:
        return PRESETS[name]
    if is_learned(name):
        return learned_strategy(name)
    if name in SEVERAL:
        raise UserInputError(f"{name!r} keeps several states and is no order: call {SEVERAL[name].call}")
    installed = {} if ":" in name else {point.name: point.value for point in entry_points(group=GROUP)}
    if ":" not in name and name not in installed:
        hint = did_you_mean(name, [*PRESETS, *installed, *SEVERAL])
        raise UserInputError(
            f"order {name!r} is unknown: expected one that python -m planorder orders lists, or your own as "
            f"module:name{hint}"
        )
    found = imported(installed.get(name, name))
    if not isinstance(found, Strategy) and not callable(found):
        raise UserInputError(f"order {name!r} is a {type(found).__name__}: expected a Strategy or a function")
    return replace(found, name=name) if isinstance(found, Strategy) else Strategy(name, order=found)


def imported(place: str) -> Any:
    """What stands at ``module:attribute``."""
    module, _, attribute = place.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        if is_absent(error, module, attribute):
            raise UserInputError(
                f"order {place!r} cannot be had ({error}): expected module:name of a Strategy or an order, "
                "in a module that Python finds from here (PYTHONPATH, or the working folder)"
            ) from error
        raise UserInputError(
            f"order {place!r}: importing {module} fails with {told(error)}: expected a module that python -c "
            f"'import {module}' takes"
        ) from error


def is_absent(error: BaseException, module: str, attribute: str) -> bool:
    """Whether the module or its attribute is not there, as opposed to a mistake in it."""
    if isinstance(error, ModuleNotFoundError):
        return f"{module}.".startswith(f"{error.name}.")
    if isinstance(error, AttributeError):
        return error.name == attribute and getattr(error.obj, "__name__", None) == module
    return not all(module.split("."))


def check(strategy: Strategy, family: AbstractFamily | None) -> None:
    """The checks that every preset passes, on puzzles of a family's shape.

    Raises:
        UserInputError: see `get_strategy`.
    """
    puzzles = small_batch() if family is None else made_up(family)
    n_values = 4 if family is None else family.n_values
    shape = (
        f"{family.name if family else 'made-up puzzles'} ({puzzles.clues.shape[1]} cells, {n_values} values)"
    )
    try:
        view = small_view(puzzles, n_values)
        check_strategy(strategy, reads_filled=True, view=view, batch=nearly_filled(puzzles))
    except AssertionError as error:
        raise UserInputError(
            f"order {strategy.name!r} breaks a promise: {error} (planorder.decoding.testing.check_strategy)"
        ) from error
    except UserInputError as error:
        hint = "; get_strategy(name, family) checks it on the family's" if family is None else ""
        raise UserInputError(f"order {strategy.name!r} does not suit {shape}: {error}{hint}") from error
    except Exception as error:
        raise UserInputError(
            f"order {strategy.name!r} fails on {shape} with {told(error)}: expected choices of a view as in "
            "docs/adding-an-order.md"
        ) from error


def made_up(family: AbstractFamily) -> PuzzleBatch:
    """Some puzzles of a family's shape: noise, or true ones where puzzles have edges of their own."""
    if family.graph().puzzle_kinds:
        return family.generate("val", family.tiers[0], ROWS)
    return small_batch(ROWS, family.n_cells, family.n_values)


def nearly_filled(puzzles: PuzzleBatch) -> PuzzleBatch:
    """The puzzles with no more blanks than the first `BLANKS` of the solver."""
    blank = (puzzles.clues == MASK) & (puzzles.rank < BLANKS)
    return replace(
        puzzles,
        clues=np.where(blank, MASK, puzzles.solution).astype(puzzles.clues.dtype),
        rank=np.where(blank, puzzles.rank, -1).astype(puzzles.rank.dtype),
        technique=np.where(blank, puzzles.technique, 0).astype(puzzles.technique.dtype),
    )


def told(error: BaseException) -> str:
    """An exception in a line: its type, its message, and the last line of the user's own that led to it."""
    message = (str(error).strip().splitlines() or [""])[0]
    lines = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(OURS)
    ]
    place = f" (line {lines[-1].lineno} of {Path(lines[-1].filename).name})" if lines else ""
    return f"{type(error).__name__}{message and f': {message}'}{place}"
