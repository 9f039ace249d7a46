"""One dial: what each preset trains, for every network that stands in the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from planorder.models import (
    AutoregressiveConfig,
    ModelConfig,
    OrderHeadConfig,
    RelationalConfig,
    TransformerConfig,
)
from planorder.models.autoregressive import ORDERS
from planorder.training.loop import TrainConfig
from planorder.training.objectives import Objective
from planorder.training.objectives.autoregressive import AutoregressiveObjective
from planorder.training.objectives.d3pm import D3PM_NOISES, d3pm_objective
from planorder.training.objectives.imitate import ImitationObjective
from planorder.training.objectives.policy_gradient import PolicyObjective
from planorder.training.objectives.quality import QualityObjective
from planorder.training.objectives.registry import get_objective
from puzzles.base import HARD, LOGIC, AbstractFamily, UserInputError
from puzzles.errors import did_you_mean

MODELS = {
    "relational": "recurrent messages on the constraint graph, weights shared by values and turns",
    "shallow": "six distinct blocks of such messages, weights shared by neither: order matters most here",
    "transformer": "plain bidirectional transformer",
    "ar-fixed": "autoregressive, taught the blanks row by row",
    "ar-random": "autoregressive, taught the blanks in random order",
    "ar-solver": "autoregressive, taught the logical solver's order",
}
"""The networks of the table: name to description."""

HEAD_OBJECTIVES: dict[str, ImitationObjective | PolicyObjective | QualityObjective] = {
    "learned_imitation": ImitationObjective("right", stuck=0.75, revealed=0.125),
    "learned_margin": ImitationObjective("margin", stuck=0.75, revealed=0.125),
    "learned_solver": ImitationObjective("solver", temperature=1.0),
    "learned_policy": PolicyObjective(),
    "learned_quality": QualityObjective(),
}
"""The learned orders, and what is masked again: name to objective. Each is a head beside a frozen network."""

PRESETS = {
    "tiny": "seconds: for tests and notebooks",
    "cpu": "at most an hour on two cores: the weights that ship",
    "paper": "for a GPU: 5.4M parameters, AR 42M (published: 6M on Sudoku, 19M on Zebra and NAE-SAT, AR 42M)",
}
"""The dial: name to description."""


@dataclass(frozen=True)
class Recipe:
    """All that a training needs beside its puzzles.

    Attributes:
        model: shape of the network.
        train: how it is trained.
        objective: loss of a batch.
        puzzles: size of the training set.
        tiers: the tiers it is made of, in equal parts.
    """

    model: ModelConfig
    train: TrainConfig
    objective: Objective
    puzzles: int
    tiers: tuple[str, ...] = (LOGIC,)


def recipe(
    preset: str,
    model: str,
    family: AbstractFamily,
    denoiser: nn.Module | None = None,
    objective: str | None = None,
) -> Recipe:
    """The recipe of a network, or of an order head beside a frozen ``denoiser``, at a preset.

    The objective of a masked network is one of `registry.OBJECTIVES`, "masked" if none is named, or of
    `d3pm.D3PM_NOISES`, for whose noise of values the network is built.

    Raises:
        UserInputError: an unknown preset, network or objective, with the nearest name; an objective for what
            is no masked network; a head without a denoiser, or for puzzles of many solutions.
    """
    if objective is not None and (model in HEAD_OBJECTIVES or model.startswith("ar-")):
        raise UserInputError(
            f"--objective {objective}: {model!r} has one of its own; drop it, or train a masked network"
        )
    if model in HEAD_OBJECTIVES and preset in PRESETS:
        return head_recipe(preset, model, family, denoiser)
    for kind, name, known in (("preset", preset, PRESETS), ("model", model, MODELS)):
        if name not in known:
            hint = did_you_mean(name, [*known, *(HEAD_OBJECTIVES if kind == "model" else ())])
            raise UserInputError(f"{kind} {name!r} is unknown: expected one of {', '.join(known)}{hint}")
    train, puzzles = schedule(preset, model, family)
    tiers = TIERS.get(family.name, family.tiers[:1])
    if model.startswith("ar-"):
        moves = AutoregressiveObjective(model.removeprefix("ar-"))
        return Recipe(autoregressive(preset, family), train, moves, puzzles, tiers)
    if objective in D3PM_NOISES:
        noise, shape = d3pm_objective(objective, family.n_values), masked(preset, model, family)
        assert isinstance(shape, RelationalConfig | TransformerConfig)
        return Recipe(replace(shape, noisy=not noise.process.absorbs), train, noise, puzzles, tiers)
    chosen = get_objective("masked" if objective is None else objective)
    return Recipe(masked(preset, model, family), train, chosen, puzzles, tiers)


def head_recipe(preset: str, name: str, family: AbstractFamily, denoiser: nn.Module | None) -> Recipe:
    """The recipe of an order head: puzzles of all tiers, since a network's mistakes are in the hard ones."""
    if denoiser is None:
        raise UserInputError(f"{name} needs the network whose blanks it orders: give --denoiser")
    if not family.unique:
        raise UserInputError(f"{name} learns from the solution, of which {family.name!r} has many: drop it")
    shape = {
        "tiny": OrderHeadConfig(channels=16, hidden=32, blocks=1),
        "cpu": OrderHeadConfig(),
        "paper": OrderHeadConfig(channels=64, hidden=128, blocks=4),
    }[preset]
    shape = replace(shape, quality=isinstance(HEAD_OBJECTIVES[name], QualityObjective))
    train, _ = schedule(preset, "relational", family)
    if preset != "tiny":
        train = replace(train, **HEAD_BUDGETS[name])
    puzzles = {"tiny": 500, "cpu": 40_000, "paper": 1_800_000}[preset]
    return Recipe(shape, train, partial(HEAD_OBJECTIVES[name], denoiser), puzzles, family.tiers)


def masked(preset: str, model: str, family: AbstractFamily) -> ModelConfig:
    """Shape of a masked diffusion network; values are told apart where a family cannot swap them."""
    if model == "transformer":
        return {
            "tiny": TransformerConfig(layers=2, width=32, heads=2),
            "cpu": TransformerConfig(layers=4, width=160, heads=5),
            "paper": TransformerConfig(layers=3, width=384, heads=12, constraint_embeddings=False),
        }[preset]
    if family.name in NAESAT and preset != "paper":
        return clauses(preset, model)
    if model == "shallow":
        return {
            "tiny": RelationalConfig(channels=16, hidden=64, turns=2, tied=False, by_value=False),
            "cpu": RelationalConfig(channels=128, hidden=512, turns=6, tied=False, by_value=False),
            "paper": RelationalConfig(channels=256, hidden=1024, turns=6, tied=False, by_value=False),
        }[preset]
    if not family.graph().values_interchangeable:
        return {
            "tiny": RelationalConfig(channels=32, hidden=64, turns=4, by_value=False),
            "cpu": RelationalConfig(channels=96, hidden=384, turns=12, jitter=2, by_value=False),
            "paper": RelationalConfig(channels=384, hidden=1536, turns=24, by_value=False),
        }[preset]
    return {
        "tiny": RelationalConfig(channels=16, hidden=32, turns=8),
        "cpu": RelationalConfig(channels=32, hidden=64, turns=14, jitter=2),
        "paper": RelationalConfig(channels=128, hidden=384, turns=32),
    }[preset]


def clauses(preset: str, model: str) -> RelationalConfig:
    """Shape of a network on NAE-SAT's clauses: cells are many, and what they say of each other is simple."""
    if model == "shallow":
        return {
            "tiny": RelationalConfig(channels=16, hidden=32, turns=2, tied=False, by_value=False),
            "cpu": RelationalConfig(channels=48, hidden=96, turns=2, tied=False, by_value=False),
        }[preset]
    return {
        "tiny": RelationalConfig(channels=16, hidden=32, turns=3, by_value=False),
        "cpu": RelationalConfig(channels=48, hidden=96, turns=6, by_value=False),
    }[preset]


def autoregressive(preset: str, family: AbstractFamily) -> AutoregressiveConfig:
    """Shape of the autoregressive baseline; at "paper" that of Shah et al. (2409.10502), in triples."""
    rows, columns = family.grid
    sizes: dict[str, dict[str, Any]] = {
        "tiny": {"layers": 2, "width": 32, "heads": 2, "constraint_embeddings": True},
        "cpu": {"layers": 4, "width": 128, "heads": 4, "constraint_embeddings": True},
        "paper": {"layers": 8, "width": 576, "heads": 8, "mlp_ratio": 6, "dropout": 0.2, "format": "triples"},
    }
    return AutoregressiveConfig(family.n_cells, family.n_values, rows, columns, **sizes[preset])


def schedule(preset: str, model: str, family: AbstractFamily) -> tuple[TrainConfig, int]:
    """How long and how fast a network is trained, and on how many puzzles."""
    if preset == "tiny":
        config = TrainConfig(
            steps=60, batch_size=32, warmup=10, log_every=10, validate_every=30, ema=0.9, save_minutes=0.0
        )
        return config, 500
    if preset == "paper":
        rate = 2e-4 if model.startswith("ar-") else 1e-3
        return TrainConfig(
            steps=200_000, batch_size=512, learning_rate=rate, schedule="cosine", ema=0.9999
        ), 1_800_000
    return TrainConfig(**CPU_BUDGETS.get(family.name, CPU_BUDGETS["sudoku"])[model]), 200_000


HEAD_BUDGETS: dict[str, dict[str, Any]] = {
    "learned_imitation": {"steps": 600, "batch_size": 64, "learning_rate": 2e-3},
    "learned_margin": {"steps": 600, "batch_size": 64, "learning_rate": 2e-3},
    "learned_solver": {"steps": 1500, "batch_size": 64, "learning_rate": 2e-3},
    "learned_policy": {"steps": 200, "batch_size": 24, "learning_rate": 5e-4},
    "learned_quality": {"steps": 2000, "batch_size": 64, "learning_rate": 4e-3},
}
"""What the presets but "tiny" set of `TrainConfig` for order heads."""

NAESAT = ("naesat", "naesat-30-270", "naesat-40-260", "naesat-50-250", "naesat-100-200")
"""The NAE-SAT families, which share their presets."""

CPU_BUDGETS: dict[str, dict[str, dict[str, Any]]] = {
    "sudoku": {
        "relational": {"steps": 5000, "batch_size": 32, "learning_rate": 2e-3},
        "shallow": {"steps": 2800, "batch_size": 64, "learning_rate": 2e-3},
        "transformer": {"steps": 3500, "batch_size": 64, "learning_rate": 2e-3},
    }
    | {f"ar-{order}": {"steps": 3000, "batch_size": 64, "learning_rate": 2e-3} for order in ORDERS},
    "zebra": {
        "relational": {"steps": 6500, "batch_size": 64, "learning_rate": 2e-3},
        "shallow": {"steps": 5000, "batch_size": 64, "learning_rate": 2e-3},
        "transformer": {"steps": 6000, "batch_size": 64, "learning_rate": 1e-3},
    }
    | {
        f"ar-{order}": {"steps": 12_700, "batch_size": 64, "learning_rate": 2e-3, "by_size": 1.0}
        for order in ORDERS
    },
}
"""What the preset "cpu" sets of `TrainConfig`, by family (Sudoku's where it has none) and network."""

CPU_BUDGETS |= {
    name: CPU_BUDGETS["sudoku"]
    | {
        "relational": {"steps": 5000, "batch_size": 32, "learning_rate": 2e-3, "validate_every": 1000},
        "shallow": {"steps": 3000, "batch_size": 32, "learning_rate": 2e-3, "validate_every": 1000},
    }
    for name in NAESAT
}

TIERS = {"zebra": (LOGIC, HARD), "zebra-grid": (LOGIC, HARD)}
"""What the training sets of families are made of; tier logic where a family has no entry."""
