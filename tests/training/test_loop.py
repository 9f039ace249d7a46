"""The training loop's formulas by hand: schedules, clipping, averaging, decay, precision, validation."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from planorder.models import TransformerConfig
from planorder.models.checkpoint import load_model
from planorder.training import loop
from planorder.training.data import TrainingData
from planorder.training.loop import METRICS, TrainConfig, Training, autocast_dtype, learning_rate, train
from planorder.training.objectives.masked import MaskedObjective
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")
NETWORK = TransformerConfig(layers=1, width=16, heads=2, dropout=0.2)
CONFIG = TrainConfig(
    steps=9, batch_size=8, warmup=4, log_every=2, validate_every=4, precision="fp32", save_minutes=0.0
)
HUNDRED = TrainConfig(steps=100, batch_size=1, learning_rate=2.0, warmup=10, decay=0.4)


def training(puzzles: PuzzleBatch, **changes: Any) -> Training:
    config = replace(CONFIG, **changes)
    return Training(NETWORK, config, TrainingData(FAMILY, puzzles, 8, config.seed), "cpu")


def run(out: Path, puzzles: PuzzleBatch, config: TrainConfig = CONFIG, **hooks: Any) -> dict[str, bytes]:
    """The bits of the weights that a training gives."""
    data = TrainingData(FAMILY, puzzles, 8, 0)
    weights = train(NETWORK, config, MaskedObjective(), data, out, name="net", **hooks)
    return {name: weight.numpy().tobytes() for name, weight in load_model(weights).model.state_dict().items()}


def copies(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {0: 0.2, 4: 1.0, 9: 2.0, 50: 2.0, 60: 2.0, 70: 1.5, 80: 1.0, 90: 0.5, 99: 0.05}),
        ({"decay": 1.0, "warmup": 0}, {0: 2.0, 25: 1.5, 50: 1.0, 99: 0.02}),
        ({"decay": 0.0, "warmup": 1}, {0: 2.0, 50: 2.0, 99: 2.0}),
        ({"decay": 1.0, "warmup": 50}, {0: 0.04, 24: 0.76, 49: 1.02}),
        ({"schedule": "cosine", "warmup": 0}, {0: 2.0, 25: 1.7071068, 50: 1.0, 75: 0.2928932, 99: 4.934e-4}),
        ({"schedule": "cosine", "warmup": 51}, {0: 2 / 51, 25: 1.7071068 * 26 / 51, 50: 1.0}),
    ],
)
def test_schedules_by_hand(changes: dict[str, Any], expected: dict[int, float]) -> None:
    config = replace(HUNDRED, **changes)
    found = {step: learning_rate(config, step) for step in expected}
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "linear"}, "schedule='linear': expected one of trapezoid, cosine"),
        ({"precision": "fp16"}, "precision='fp16': expected one of auto, bf16, fp32"),
        ({"steps": 0}, "steps=0: expected at least 1"),
        ({"batch_size": -2}, "batch_size=-2: expected at least 1"),
        ({"log_every": 0}, "log_every=0: expected at least 1"),
    ],
)
def test_a_config_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        replace(CONFIG, **changes)


def test_the_gradient_is_clipped_to_its_norm(puzzles: PuzzleBatch) -> None:
    found, directions = {}, {}
    for clip in (0.01, 1e9):
        state = training(puzzles, clip=clip)
        reported = float(state.step(MaskedObjective())["grad_norm"])
        gradient = torch.cat([parameter.grad.flatten() for parameter in state.model.parameters()])
        found[clip], directions[clip] = (reported, float(gradient.norm())), gradient / gradient.norm()
    assert found[0.01][0] == found[1e9][0] > 0.1, "the log has the norm before it is clipped"
    assert found[0.01][1] == pytest.approx(0.01, rel=1e-3)
    assert found[1e9][1] == pytest.approx(found[1e9][0], rel=1e-5)
    torch.testing.assert_close(directions[0.01], directions[1e9])


def test_averaged_weights_by_hand(puzzles: PuzzleBatch) -> None:
    """avg = d avg + (1 - d) w after step t, d = min(ema, (1 + t) / (10 + t))."""
    state = training(puzzles, ema=0.3, learning_rate=0.1)
    expected = {name: weight.double() for name, weight in copies(state.model).items()}
    for name, weight in copies(state.average).items():
        assert torch.equal(weight.double(), expected[name]), "both begin with the same weights"
    for decay in (2 / 11, 3 / 12, 0.3, 0.3, 0.3):
        state.step(MaskedObjective())
        for name, weight in copies(state.model).items():
            expected[name] = decay * expected[name] + (1 - decay) * weight.double()
    for name, weight in copies(state.average).items():
        torch.testing.assert_close(weight.double(), expected[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(weight, state.model.get_parameter(name))


def test_decay_shrinks_matrices_alone(puzzles: PuzzleBatch) -> None:
    """Without a gradient Adam stands still, and what is left is w (1 - rate * decay), warm-up included."""

    def flat(model: nn.Module, *batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return sum((0 * weight).sum() for weight in model.parameters()), {}

    state = training(puzzles, learning_rate=0.1, weight_decay=0.5)
    with torch.no_grad():
        for weight in state.model.parameters():
            weight.add_(0.25)  # biases begin at zero, where decay could not be seen
    before = copies(state.model)
    state.step(flat)
    state.step(flat)
    shrunk = (1 - 0.1 * 1 / 4 * 0.5) * (1 - 0.1 * 2 / 4 * 0.5)
    assert {weight.ndim > 1 for weight in before.values()} == {True, False}
    for name, weight in copies(state.model).items():
        torch.testing.assert_close(weight, before[name] * (shrunk if weight.ndim > 1 else 1), msg=name)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_precision_of_products_and_of_weights(
    precision: str, dtype: torch.dtype, puzzles: PuzzleBatch
) -> None:
    seen = []

    def objective(model: nn.Module, *batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        assert model.training
        hooks = [
            layer.register_forward_hook(lambda layer, given, out: seen.append(out.dtype))
            for layer in model.modules()
            if isinstance(layer, nn.Linear)
        ]
        answer = MaskedObjective()(model, *batch)
        for hook in hooks:
            hook.remove()
        return answer

    state = training(puzzles, precision=precision)
    losses = [float(state.step(objective)["loss"]) for _ in range(3)]
    assert set(seen) == {dtype}
    assert {weight.dtype for weight in state.tensors().values()} == {torch.float32}
    assert all(0 < loss < 5 for loss in losses)


def test_auto_precision_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, expected in (
        ("fma avx2", None),
        ("avx2 avx512_bf16", None),
        ("amx_bf16", torch.bfloat16),
    ):
        monkeypatch.setattr(loop.Path, "exists", lambda path: True)
        monkeypatch.setattr(loop.Path, "read_text", lambda path, flags=flags: f"flags : sse {flags}\n")
        assert autocast_dtype("auto", "cpu") is expected
        assert autocast_dtype("auto", "cuda:0") is torch.bfloat16
        assert autocast_dtype("fp32", "cuda") is None
        assert autocast_dtype("bf16", "cpu") is torch.bfloat16
    monkeypatch.setattr(loop.Path, "exists", lambda path: False)
    assert autocast_dtype("auto", "cpu") is None


def test_validation_sees_the_averaged_network_at_its_steps(puzzles: PuzzleBatch, tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    told: list[tuple[int, dict[str, float]]] = []

    def validate(model: nn.Module) -> dict[str, float]:
        assert not model.training
        seen.append(copies(model))
        return {"val": float(len(seen))}

    run(tmp_path, puzzles, validate=validate, progress=lambda step, line: told.append((step, line)))
    logged = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert [line["step"] for line in logged] == [step for step, _ in told] == [2, 4, 6, 8, 9]
    assert {line["step"]: line["val"] for line in logged if "val" in line} == {4: 1.0, 8: 2.0, 9: 3.0}
    assert [line["examples"] for line in logged] == [16, 32, 48, 64, 72]
    twin, averages = training(puzzles), {}
    sums: list[float] = []
    for step in range(1, 10):
        sums.append(float(twin.step(MaskedObjective())["loss"]))
        averages[step] = copies(twin.average)
    for step, found in zip((4, 8, 9), seen, strict=True):
        assert all(torch.equal(found[name], weight) for name, weight in averages[step].items())
    means = [np.mean(sums[a:b]) for a, b in ((0, 2), (2, 4), (4, 6), (6, 8), (8, 9))]
    assert [line["loss"] for line in logged] == pytest.approx(means, rel=1e-5)
    loaded = load_model(tmp_path / "weights.safetensors")
    assert loaded.info["metrics"] == logged[-1]
    assert all(
        torch.equal(weight, averages[9][name].half().float()) for name, weight in copies(loaded.model).items()
    )


def test_it_begins_with_the_weights_given(puzzles: PuzzleBatch, tmp_path: Path) -> None:
    """With a rate of zero they stay; after a stop it goes on where it was, not from them."""
    init = training(puzzles, seed=5).model
    still = run(tmp_path / "still", puzzles, replace(CONFIG, learning_rate=0.0), init=init)
    halves = {name: weight.half().float().numpy().tobytes() for name, weight in copies(init).items()}
    assert {name: still[name] for name in halves} == halves

    def stop(step: int, line: dict[str, float]) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", puzzles, init=init, progress=stop)
    whole = run(tmp_path / "whole", puzzles, init=init)
    assert run(tmp_path / "stopped", puzzles, init=init) == whole
    assert run(tmp_path / "other", puzzles) != whole
    wide = Training(replace(NETWORK, width=32), CONFIG, TrainingData(FAMILY, puzzles, 8, 0), "cpu").model
    with pytest.raises(
        UserInputError, match=r"\Athe weights to begin with have another shape than 'net'.*\Z"
    ):
        run(tmp_path / "wide", puzzles, init=wide)


def test_global_random_numbers_neither_move_nor_matter(puzzles: PuzzleBatch, tmp_path: Path) -> None:
    """Whatever the global generators hold, and whatever a validation draws from them."""
    found = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
            found.append(run(tmp_path / str(seed), puzzles))
            assert torch.equal(torch.get_rng_state(), before[0])
            assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]  # noqa: NPY002

    def drawing(model: nn.Module) -> dict[str, float]:
        return {"val": float(torch.rand(()))}

    with torch.random.fork_rng(devices=[]):
        found.append(run(tmp_path / "3", puzzles, validate=drawing))
    assert found[0] == found[1] == found[2]


def test_dropout_is_the_step_s_own(puzzles: PuzzleBatch) -> None:
    """Two trainings that stand at one step draw one mask; the next step draws another."""

    def flat(model: nn.Module, clues: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, dict]:
        logits = model(torch.zeros_like(clues[:1]))
        drawn.append(logits.detach().clone())
        return logits.sum() * 0, {}

    drawn: list[torch.Tensor] = []
    first, second = training(puzzles, weight_decay=0.0), training(puzzles, weight_decay=0.0)
    for state in (first, first, second, second):
        state.step(flat)
    assert torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[1], drawn[3])
    assert not torch.equal(drawn[0], drawn[1])
