"""The dial: every network at every preset builds, tiny ones learn for five steps, wrong names are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from planorder.models import build_model, parameter_count
from planorder.models.checkpoint import load_model
from planorder.training.data import TrainingData
from planorder.training.loop import train
from planorder.training.presets import CPU_BUDGETS, MODELS, PRESETS, recipe
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError


def size(preset: str, model: str, family: str = "sudoku") -> int:
    """Parameters of a network, without drawing them."""
    with torch.device("meta"):
        network = build_model(recipe(preset, model, get_family(family)).model, get_family(family))
    return parameter_count(network)


@pytest.mark.parametrize("family", ["sudoku", "sudoku-2x2", "zebra", "naesat"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("model", MODELS)
def test_every_network_builds(preset: str, model: str, family: str) -> None:
    chosen = recipe(preset, model, get_family(family))
    assert size(preset, model, family) > 0
    assert chosen.puzzles >= chosen.train.batch_size


@pytest.mark.parametrize("model", MODELS)
def test_the_dial_grows(model: str) -> None:
    sizes = [size(preset, model) for preset in ("tiny", "cpu", "paper")]
    assert sizes == sorted(set(sizes))
    steps = [recipe(preset, model, get_family("sudoku")).train.steps for preset in ("tiny", "cpu", "paper")]
    assert steps == sorted(set(steps))


def test_the_cpu_presets_keep_to_two_million_parameters() -> None:
    assert all(budgets.keys() == MODELS.keys() for budgets in CPU_BUDGETS.values())
    sizes = {(model, name): size("cpu", model, name) for model in MODELS for name in CPU_BUDGETS}
    assert max(sizes.values()) <= 2_000_000, sizes


def test_the_papers_sizes() -> None:
    assert size("paper", "transformer") == 5_362_569
    assert size("paper", "ar-solver") == pytest.approx(42.6e6, rel=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_a_tiny_network_trains_five_steps(model: str, puzzles: PuzzleBatch, tmp_path: Path) -> None:
    family = get_family("sudoku-2x2")
    chosen = recipe("tiny", model, family)
    config = replace(chosen.train, steps=5, batch_size=8, precision="fp32")
    data = TrainingData(family, puzzles, 8, config.seed)
    lines: list[dict[str, float]] = []
    weights = train(
        chosen.model, config, chosen.objective, data, tmp_path, name=model,
        progress=lambda step, line: lines.append(line),
    )  # fmt: skip
    loaded = load_model(weights)
    assert (loaded.name, loaded.config, loaded.info["metrics"]["examples"]) == (model, chosen.model, 40)
    assert 0 < lines[-1]["loss"] < 10
    assert lines[-1]["grad_norm"] > 0


@pytest.mark.parametrize(
    ("preset", "model", "message"),
    [
        (
            "tinny",
            "relational",
            r"preset 'tinny' is unknown: expected one of tiny, cpu.*did you mean 'tiny'\?",
        ),
        ("tiny", "transfromer", r"model 'transfromer' is unknown.*did you mean 'transformer'\?"),
        ("tiny", "ar-sovler", r"did you mean 'ar-solver'\?"),
        ("huge", "relational", r"preset 'huge' is unknown: expected one of tiny, cpu, paper$"),
    ],
)
def test_unknown_names_are_told(preset: str, model: str, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        recipe(preset, model, get_family("sudoku"))
