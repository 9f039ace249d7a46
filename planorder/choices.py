"""What the options of the commands name: entries with commas, tiers, strategies, networks, puzzles."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from planorder.console import progress_bar
from planorder.decoding import Strategy, decode, get_strategy, paper_protocol, with_options
from planorder.decoding.noise import no_noise
from planorder.decoding.picks import argmax
from planorder.decoding.plugins import made_up, nearly_filled
from planorder.decoding.testing import HashModel, equal
from planorder.models import AutoregressiveModel
from planorder.models.checkpoint import LoadedModel, load_model, pretrained
from planorder.models.forward_process import check_masked
from planorder.results.report import FILE
from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError
from puzzles.errors import did_you_mean

MODELS = ("relational", "ar-fixed", "ar-random", "ar-solver")
"""The networks of the table by default, of those that ship."""
Pick = Literal["argmax", "sample"]


def entries(text: str) -> list[str]:
    """What stands between commas, without spaces; nothing is no entry."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def listed(text: str, option: str, known: tuple[str, ...] = ()) -> list[str]:
    """The entries of an option with commas: different ones, and of the known if there are such."""
    found = entries(text)
    if option in ("steps", "ks", "turns"):
        if not all(entry.isdecimal() and int(entry) > 0 for entry in found):
            raise UserInputError(f"--{option} {text!r}: expected whole numbers with commas, e.g. 50,20")
        found = [str(int(entry)) for entry in found]
    if len(set(found)) < len(found) or (known and not {*found} <= {*known}):
        expected = ", ".join(known) or "different entries"
        raise UserInputError(f"--{option} {text!r}: expected {expected}, each once")
    return found


def chosen_tiers(text: str | None, family: AbstractFamily) -> list[str]:
    """The tiers that ``--tiers`` names; all of the family where it names none."""
    found = list(family.tiers) if text is None else listed(text, "tiers", family.tiers)
    if not found:
        raise UserInputError(f"--tiers {text!r}: expected one or more of {', '.join(family.tiers)}")
    return found


def chosen_strategies(
    orders: str,
    family: AbstractFamily,
    *,
    protocol: Literal["plain", "paper"] = "plain",
    steps: int | None = None,
    k: int | None = None,
    noise: str | None = None,
    pick: Pick | None = None,
) -> list[Strategy]:
    """The strategies that ``--orders`` names, with the options that the user set."""
    names = entries(orders)
    if not names or len(set(names)) < len(names):
        raise UserInputError(f"--orders {orders!r}: expected one or more different names with commas")
    found = [get_strategy(name, family) for name in names]
    called = [strategy.name for strategy in found]
    for name in called:
        if called.count(name) > 1:
            raise UserInputError(f"--orders {orders!r}: two are called {name!r}: expected different ones")
    if protocol == "paper":
        found = [paper_protocol(strategy) for strategy in found]
    found = [with_options(strategy, steps=steps, k=k, noise=noise, pick=pick) for strategy in found]
    return found if pick else [sampled(strategy, family) for strategy in found]


def sampled(strategy: Strategy, family: AbstractFamily) -> Strategy:
    """The strategy, with sampled instead of likeliest values where puzzles have many solutions.

    The likeliest values would give the same one every time.
    """
    many = strategy.pick is argmax and not family.unique
    return with_options(strategy, pick="sample") if many else strategy


def has_chance(strategy: Strategy, family: AbstractFamily) -> bool:
    """Whether another seed may decode otherwise: by its noise or values, or tried on made-up puzzles."""
    if strategy.noise is not no_noise or strategy.pick is not argmax:
        return True
    puzzles, model = nearly_filled(made_up(family)), HashModel(family.n_values)
    first, second = (decode(model, puzzles, strategy, seed=seed) for seed in (0, 1))
    return not equal(first, second)


def chosen_models(family: AbstractFamily, models: str | None, checkpoint: Path | None) -> list[LoadedModel]:
    """The user's checkpoint, or the networks that ship, by name."""
    if checkpoint:
        model = load_model(checkpoint)
        if model.family.name != family.name:
            raise UserInputError(
                f"{checkpoint}: trained on {model.family.name!r}, the puzzles are {family.name!r}: "
                f"run python -m planorder.bench {model.family.name}"
            )
        return [model]
    shipped = pretrained(family.name)
    if not shipped:
        raise UserInputError(
            f"no weights ship for {family.name!r}: train some (python -m planorder train {family.name} --out "
            f"runs/mine) and give --checkpoint runs/mine/weights.safetensors"
        )
    chosen = ",".join(name for name in MODELS if name in shipped) if models is None else models
    names = entries(chosen)
    for name in names:
        if name not in shipped:
            hint = did_you_mean(name, shipped)
            raise UserInputError(f"model {name!r} does not ship: expected one of {', '.join(shipped)}{hint}")
    if not names or len(set(names)) < len(names):
        raise UserInputError(f"--models {chosen!r}: expected one or more different names with commas")
    return [load_model(shipped[name]) for name in names]


def masked_network(family: AbstractFamily, model: str, checkpoint: Path | None = None) -> LoadedModel:
    """The one network that is asked for; `UserInputError` for more, or one that chooses its cells itself."""
    loaded, *more = chosen_models(family, model, checkpoint)
    if more:
        raise UserInputError(f"model {model!r}: expected one network")
    if isinstance(loaded.model, AutoregressiveModel):
        raise UserInputError(f"model {loaded.name!r} chooses its cells itself: expected a masked network")
    check_masked(loaded.model)
    return loaded


def chosen_puzzles(family: AbstractFamily, n: int | None, file: Path | None) -> dict[str, PuzzleBatch]:
    """The user's file, or ``n`` puzzles of each tier of the test split."""
    wanted = family.usual_n if n is None else n
    if wanted < 1:
        raise UserInputError(f"--n {n}: expected at least 1 puzzle a tier")
    if file:
        return {FILE: family.read(file)[:n]}
    with progress_bar(wanted * len(family.tiers), "generating") as advance:
        return {
            tier: family.generate("test", tier, wanted, workers=2, progress=advance) for tier in family.tiers
        }
