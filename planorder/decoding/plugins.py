"""Strategies from outside: ``--orders package.module:name``, or an installed package's entry point.

A package that others install names its strategies in its pyproject.toml:

    [project.entry-points."planorder.orders"]
    my_order = "my_package.my_module:my_order"

Both are checked (`testing.check_strategy`) before they decode a puzzle.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from planorder.decoding.learned import is_learned, learned_strategy
from planorder.decoding.published import PRESETS
from planorder.decoding.strategies import Strategy
from planorder.decoding.testing import check_strategy
from puzzles.base import UserInputError
from puzzles.errors import did_you_mean

GROUP = "planorder.orders"


def get_strategy(name: str) -> Strategy:
    """The strategy of this name: a preset, ``module:attribute``, or an entry point of group `GROUP`.

    The attribute is a `Strategy`, or an order alone: ``order(view) -> [batch, cells]``. Learned orders are
    those of `learned`: by the name under which they ship, or ``learned:PATH``.

    Raises:
        UserInputError: an unknown name (with the nearest), a module or attribute that is not there, or a
            strategy that breaks a promise, with the one it breaks.
    """
    if name in PRESETS:
        return PRESETS[name]
    if is_learned(name):
        return learned_strategy(name)
    if ":" in name:
        return checked(name, imported(name))
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in installed:
        return checked(name, imported(installed[name].value))
    hint = did_you_mean(name, [*PRESETS, *installed])
    raise UserInputError(
        f"order {name!r} is unknown: expected one that python -m planorder orders lists, or your own as "
        f"module:name{hint}"
    )


def imported(place: str) -> Any:
    """What stands at ``module:attribute``."""
    module, _, attribute = place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserInputError(
            f"order {place!r} cannot be had ({error}): expected module:name of a Strategy or an order, in a "
            "module that Python finds from here (PYTHONPATH, or the working folder)"
        ) from error


def checked(name: str, found: Any) -> Strategy:
    """The strategy under its name, after the checks that every preset passes."""
    if not isinstance(found, Strategy) and not callable(found):
        raise UserInputError(f"order {name!r} is a {type(found).__name__}: expected a Strategy or a function")
    strategy = found if isinstance(found, Strategy) else Strategy(name, order=found)
    try:
        check_strategy(strategy, reads_filled=True)
    except AssertionError as error:
        raise UserInputError(
            f"order {name!r} breaks a promise: {error} (planorder.decoding.testing.check_strategy)"
        ) from error
    return replace(strategy, name=name)
