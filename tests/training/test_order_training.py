"""Training order heads: the denoiser stays frozen, a kill is no loss, heads learn; the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from planorder import __main__ as entrance
from planorder.models import OrderHead, OrderHeadConfig, RelationalConfig, build_model
from planorder.models.checkpoint import load_model, pretrained, save_model, weights_digest
from planorder.models.checkpoint import model_header as header_of
from planorder.models.order_head import shared_constraints
from planorder.models.relational import incidence
from planorder.training.data import TrainingData
from planorder.training.loop import METRICS, TrainConfig, train
from planorder.training.objectives import imitate
from planorder.training.objectives.imitate import (
    ImitationObjective,
    listwise,
    solution_margin,
)
from planorder.training.objectives.masked import MaskedObjective
from planorder.training.presets import HEAD_OBJECTIVES, recipe
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")
HEAD = OrderHeadConfig(channels=8, hidden=12, blocks=1)
WEAK = RelationalConfig(channels=8, hidden=8, turns=2)
SHORT = TrainConfig(steps=6, batch_size=8, warmup=2, log_every=1, validate_every=0, precision="fp32")


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory, puzzles: PuzzleBatch) -> Path:
    """Weights of a denoiser that has learned for some steps only."""
    out = tmp_path_factory.mktemp("weak")
    config = replace(SHORT, steps=12, batch_size=16, learning_rate=5e-3, ema=0.5)
    return train(
        WEAK, config, MaskedObjective(), TrainingData(FAMILY, puzzles, 16, 0), out, name="relational"
    )


def run(
    name: str, denoiser: nn.Module, puzzles: PuzzleBatch, out: Path, steps: int = 6, **hooks: Any
) -> Path:
    config = replace(SHORT, steps=steps, save_minutes=0.0)
    data = TrainingData(FAMILY, puzzles, 8, 0)
    return train(HEAD, config, partial(HEAD_OBJECTIVES[name], denoiser), data, out, name=name, **hooks)


@pytest.mark.parametrize("name", HEAD_OBJECTIVES)
def test_only_the_head_learns_and_a_killed_training_resumes(
    name: str, weak: Path, puzzles: PuzzleBatch, tmp_path: Path
) -> None:
    denoiser = load_model(weak).model  # its weights ask for gradients; none may reach them
    before = weights_digest(denoiser)
    whole = run(name, denoiser, puzzles, tmp_path / "whole")
    assert weights_digest(denoiser) == before
    assert all(parameter.grad is None for parameter in denoiser.parameters())

    def stop(step: int, line: dict[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(name, denoiser, puzzles, tmp_path / "killed", progress=stop)
    resumed = run(name, denoiser, puzzles, tmp_path / "killed")
    ends = [weights_digest(load_model(path, head=True).model) for path in (whole, resumed)]
    assert ends[0] == ends[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SHORT.seed)
        fresh = build_model(HEAD, FAMILY)
    assert weights_digest(fresh) != ends[0]


def boaster(tokens: torch.Tensor) -> torch.Tensor:
    """Surer where it guesses: 0.7 for the last legal value of a cell, 0.9 for the lowest of several."""
    values = torch.arange(1, 5)
    peers = (shared_constraints(incidence(16, FAMILY.graph().edges)) > 0).float()
    legal = (peers @ (tokens[..., None] == values).float()) == 0
    best = torch.where(legal.any(-1), legal.int().argmax(-1), 0)
    p1 = torch.where(legal.sum(-1) == 1, 0.7, 0.9)[..., None]
    return torch.where(F.one_hot(best, 4) > 0, p1, (1 - p1) / 3).log()


def learns(teacher: str, puzzles: PuzzleBatch, out: Path) -> bool:
    """Whether a tiny training learns to begin with cells that are forced, as the oracle does."""
    objective = partial(ImitationObjective(teacher, stuck=0.0, revealed=0.0), boaster)
    config = replace(recipe("tiny", "learned_imitation", FAMILY, nn.Identity()).train, steps=120)
    config = replace(config, batch_size=16, learning_rate=5e-3, validate_every=0, precision="fp32")
    train(HEAD, config, objective, TrainingData(FAMILY, puzzles, 16, 0), out, name="learned_imitation")
    first, *_, last = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    return last["first_right"] > 0.95 and last["regret"] < first["regret"] / 3


@pytest.mark.parametrize("teacher", ["margin", "right"])
def test_imitation_raises_the_agreement_with_the_oracle(
    teacher: str, puzzles: PuzzleBatch, tmp_path: Path
) -> None:
    assert learns(teacher, puzzles, tmp_path)
    for line in (tmp_path / METRICS).read_text().splitlines():
        assert json.loads(line)["first_right_margin"] < 0.9


def other_way_round(log_probs: torch.Tensor, solution: torch.Tensor) -> torch.Tensor:
    return -solution_margin(log_probs, solution)


def of_other_rows(log_probs: torch.Tensor, solution: torch.Tensor) -> torch.Tensor:
    return solution_margin(log_probs, solution.roll(1, 0))


def margin_instead(log_probs: torch.Tensor, solution: torch.Tensor) -> torch.Tensor:
    return imitate.lead(log_probs)


FAULTS: dict[str, tuple[str, Any]] = {
    "the oracle's sign": ("solution_margin", other_way_round),
    "another puzzle's solution": ("solution_margin", of_other_rows),
    "the margin, not the oracle's": ("solution_margin", margin_instead),
    "filled cells for blanks": ("listwise", lambda s, t, blank, heat: listwise(s, t, ~blank, heat)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_teacher_is_caught(
    fault: str, puzzles: PuzzleBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imitate, *FAULTS[fault])
    assert not learns("margin", puzzles, tmp_path)


def test_recipes_of_heads(weak: Path) -> None:
    denoiser = load_model(weak).model
    for preset in ("tiny", "cpu", "paper"):
        for name in HEAD_OBJECTIVES:
            chosen = recipe(preset, name, FAMILY, denoiser)
            assert isinstance(chosen.model, OrderHeadConfig)
            assert chosen.puzzles >= chosen.train.batch_size
            assert chosen.tiers == FAMILY.tiers
            assert isinstance(build_model(chosen.model, FAMILY), OrderHead)
    with pytest.raises(UserInputError, match="give --denoiser"):
        recipe("tiny", "learned_policy", FAMILY)
    with pytest.raises(UserInputError, match="has many"):
        recipe("tiny", "learned_policy", get_family("naesat"), denoiser)
    with pytest.raises(UserInputError, match="did you mean 'learned_solver'"):
        recipe("tiny", "learned_solvre", FAMILY)


def command(*words: str | Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["planorder", "train", "sudoku-2x2", "--preset", "tiny", *map(str, words)])
        try:
            entrance.main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def test_the_command_line(weak: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ("--steps", "10", "--puzzles", "40", "--precision", "fp32", "--validate", "4")
    out = tmp_path / "head"
    words = (*short, "--model", "learned_imitation", "--denoiser", weak)
    assert command(*words, "--out", out) == 0
    loaded = load_model(out / "weights.safetensors", head=True)
    said = loaded.info["objective"]
    assert (said["teacher"], said["denoiser"]) == ("right", "relational")
    assert said["denoiser_sha256"] == weights_digest(load_model(weak).model)
    line = json.loads((out / METRICS).read_text().splitlines()[-1])
    assert {"first_right", "regret", "val_exact_learned", "val_exact_top_margin"} <= line.keys()
    policy = (*short[2:], "--steps", "1", "--model", "learned_policy", "--denoiser", weak)
    policy = (*policy, "--batch-size", "2", "--init", out / "weights.safetensors")
    assert command(*policy, "--out", tmp_path / "policy") == 0
    other = tmp_path / "other.safetensors"
    save_model(other, build_model(WEAK, FAMILY), header_of(WEAK, FAMILY, "relational", {}))
    for denoiser, message in (
        (other, "holds a training with denoiser_sha256="),
        ("relational", "relational: no such checkpoint"),
        (out / "weights.safetensors", "holds an order head"),
        (pretrained("sudoku")["relational"], "expected a masked network on 'sudoku-2x2'"),
    ):
        capsys.readouterr()
        assert command(*words[:-1], denoiser, "--out", out) == 2
        assert message in capsys.readouterr().err
