"""What a training measures on the way: puzzles of the validation split, decoded with the averaged weights."""

from __future__ import annotations

from torch import nn

from planorder.decoding import Strategy, get_strategy, with_options
from planorder.decoding.autoregressive import decode_autoregressive
from planorder.decoding.d3pm import decode_d3pm
from planorder.decoding.learned import strategy_of
from planorder.decoding.loop import decode
from planorder.decoding.view import Decoded
from planorder.models import AutoregressiveModel, OrderHead
from planorder.results.evaluate import score
from planorder.training.loop import Validate
from planorder.training.objectives import Objective
from planorder.training.objectives.d3pm import D3PMObjective
from puzzles.base import AbstractFamily

VALIDATION_ORDERS = ("vanilla", "top_prob", "top_margin")


def validation(
    family: AbstractFamily, n: int, seed: int, device: str, objective: Objective | None = None
) -> Validate | None:
    """The family's headline accuracy by order on its validation split; an eighth as many steps as cells.

    Where puzzles have many solutions, values are sampled. A network for noise of values has its own sampler.
    """
    if not n:
        return None
    batch, name_of = family.generate("val", family.tiers[0], n), f"val_{family.headline}_{{}}".format
    pick = None if family.unique else "sample"

    def accuracy(decoded: Decoded) -> float:
        return float(score(family, batch, decoded.cells, decoded.passes)[family.headline].mean())

    def run(model: nn.Module) -> dict[str, float]:
        if isinstance(model, AutoregressiveModel):
            heat = float(not family.unique)
            decoded = decode_autoregressive(model, batch, seed=seed, device=device, temperature=heat)
            return {name_of("free"): accuracy(decoded)}
        if isinstance(objective, D3PMObjective) and not objective.process.absorbs:
            decoded = decode_d3pm(model, batch, objective.process, seed=seed, device=device)
            return {name_of("d3pm"): accuracy(decoded)}
        found = {}
        for name in VALIDATION_ORDERS:
            strategy = with_options(get_strategy(name), steps=max(family.n_cells // 8, 1), pick=pick)
            found[name_of(name)] = accuracy(decode(model, batch, strategy, seed=seed, device=device))
        return found

    return run


def head_validation(
    family: AbstractFamily, n: int, seed: int, device: str, denoiser: nn.Module
) -> Validate | None:
    """The headline accuracy in the order of a head, and by margin, on the hardest tier, one cell a step."""
    if not n:
        return None
    batch = family.generate("val", family.tiers[-1], n)

    def accuracy(strategy: Strategy) -> float:
        decoded = decode(denoiser, batch, strategy, seed=seed, device=device)
        return float(score(family, batch, decoded.cells, decoded.passes)[family.headline].mean())

    by_margin = accuracy(get_strategy("top_margin"))

    def run(head: nn.Module) -> dict[str, float]:
        assert isinstance(head, OrderHead)
        name = f"val_{family.headline}"
        return {f"{name}_learned": accuracy(strategy_of("learned", head)), f"{name}_top_margin": by_margin}

    return run
