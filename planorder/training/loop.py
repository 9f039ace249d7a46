"""The training loop: step, log, validate, save; resumes bit for bit after a kill at any moment."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from planorder.distributed import everyone, first_rank_first, world
from planorder.models import ModelConfig, build_model, config_from_dict
from planorder.models.checkpoint import (
    EMA,
    model_header,
    read_tensors,
    save_model,
    weights_digest,
    write_tensors,
)
from planorder.models.context import edge_tensor
from planorder.results.files import atomic_write, one_line_errors
from planorder.training.config import TrainConfig, autocast_dtype, learning_rate
from planorder.training.data import DROPOUT, MASKS, TrainingData
from planorder.training.objectives import Objective
from planorder.training.shards import mean_gradient, own_shards, shard_generator
from puzzles.base import PuzzleBatch, UserInputError
from puzzles.storage import content_hash

STATE, METRICS, WEIGHTS = "training.safetensors", "metrics.jsonl", "weights.safetensors"
BEGAN = "init_sha256"
"""What a header calls the digest of the weights that a training began with; absent where it had none."""
PUZZLES = "puzzles_sha256"
"""What it calls that of the training's puzzles; absent in older states."""
Validate = Callable[[nn.Module], dict[str, float]]


class Training:
    """A network, its averaged twin, its optimiser and the number of steps behind them."""

    def __init__(
        self, model_config: ModelConfig, config: TrainConfig, data: TrainingData, device: str
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = build_model(model_config, data.family).to(device)
            self.average = build_model(model_config, data.family).to(device).requires_grad_(False).eval()
        self.average.load_state_dict(self.model.state_dict())
        if config.compile:
            compile_blocks(self.model)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=device.startswith("cuda") or None)
        self.config, self.data, self.device, self.done = config, data, device, 0
        self.dtype = autocast_dtype(config.precision, device)

    def step(self, objective: Objective) -> dict[str, torch.Tensor]:
        """One optimiser step on batch ``done``; the metrics as 0-d tensors."""
        batch, shards = self.data.batch(self.done), self.config.shards
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.done)
        self.model.train()
        if shards == 1:
            metrics = self.backward(objective, batch, 0)
        else:
            size = len(batch) // shards
            metrics = mean_gradient(
                self.model,
                shards,
                lambda shard: self.backward(objective, batch[shard * size : (shard + 1) * size], shard),
            )
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self.done += 1
        decay = min(self.config.ema, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return {"loss": metrics.pop("loss"), "grad_norm": norm, **metrics}

    def backward(self, objective: Objective, batch: PuzzleBatch, shard: int) -> dict[str, torch.Tensor]:
        """Leaves the gradient of one shard, whose puzzles these are, in the parameters; loss and metrics."""
        clues, solution, rank = (
            torch.from_numpy(part).to(self.device, torch.int64)
            for part in (batch.clues, batch.solution, batch.rank)
        )
        edges = edge_tensor(batch.edges, self.device)
        kind = self.device.split(":")[0]
        with (
            torch.random.fork_rng(devices=[self.device] if kind == "cuda" else []),
            torch.autocast(kind, self.dtype or torch.bfloat16, enabled=self.dtype is not None),
        ):
            torch.manual_seed(shard_generator(self.data, self.done, DROPOUT, shard).initial_seed())
            generator = shard_generator(self.data, self.done, MASKS, shard)
            loss, metrics = objective(self.model, clues, solution, rank, generator, edges)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        return {"loss": loss.detach(), **metrics}

    def tensors(self) -> dict[str, torch.Tensor]:
        """The whole state, by name."""
        named = dict(self.model.named_parameters())
        state: dict[str, torch.Tensor] = {f"model.{k}": v for k, v in named.items()}
        state |= {EMA + k: v for k, v in self.average.named_parameters()}
        for name, parameter in named.items():
            for key, value in self.optimiser.state[parameter].items():
                state[f"adam.{key}.{name}"] = value
        return state

    def restore(self, tensors: dict[str, torch.Tensor], done: int) -> None:
        """Takes up a state that `tensors` gave."""
        named = dict(self.model.named_parameters())
        self.model.load_state_dict({k: tensors[f"model.{k}"] for k in named})
        self.average.load_state_dict({k: tensors[EMA + k] for k in named})
        for name, parameter in named.items():
            keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"adam.{key}.{name}" in tensors]
            # The fused kernel, which only CUDA gets here, reads the step count on the parameter's device.
            self.optimiser.state[parameter] = {
                key: tensors[f"adam.{key}.{name}"].to(self.device, copy=True) for key in keys
            }
        self.done = done


def compile_blocks(model: nn.Module) -> None:
    """Compiles, in place, each block of a stack: one compilation serves them all, and all the turns."""
    for stack in [module for module in model.modules() if isinstance(module, nn.ModuleList)]:
        for block in stack:
            block.compile(dynamic=False)


def train(
    model_config: ModelConfig,
    config: TrainConfig,
    objective: Objective,
    data: TrainingData,
    out: Path,
    *,
    name: str,
    info: dict[str, Any] | None = None,
    init: nn.Module | None = None,
    validate: Validate | None = None,
    device: str = "cpu",
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> Path:
    """Trains a network, or goes on where ``out`` left off; returns the path of its weights.

    On several ranks (`planorder.distributed`) all call this with the same arguments and share the work of
    each step; rank 0 alone validates and writes, and all restore what it wrote, so all must see one ``out``.

    Args:
        model_config: shape of the network.
        config: how to train it.
        objective: loss of a batch.
        data: batches by step.
        out: folder for the state, metrics.jsonl (a line each `log_every` steps) and the final weights, whose
            header holds the last line.
        name: what tables call the network.
        info: facts for the weights' header.
        init: a network of the same shape to begin with its weights instead of random ones.
        validate: gets the averaged network, returns metrics.
        device: "cpu" or "cuda".
        progress: called with the steps done and the last line of metrics.

    Raises:
        UserInputError: ``out`` holds another training (one that began with other weights, too) or cannot be
            written, ``init`` has another shape, the loss is not finite, or the ranks do not fit the shards or
            begin with different states.
    """
    own_shards(config.shards)  # refuses ranks that cannot share them
    state = Training(model_config, config, data, device)
    header = begin(state, model_config, objective, name, info or {}, init)
    seconds = resume(state, out, header)
    check_agreement(state, out, header[PUZZLES])
    log = MetricsLog(out / METRICS, state.done) if world().first else None
    started, saved = time.monotonic() - seconds, time.monotonic()
    sums: dict[str, torch.Tensor] = {}
    while state.done < config.steps:
        for key, value in state.step(objective).items():
            sums[key] = sums.get(key, 0) + value.float()
        last = state.done == config.steps
        if state.done % config.log_every == 0 or last:
            logged = state.done % config.log_every or config.log_every
            line = {key: float(value) / logged for key, value in sums.items()}
            check_finite(line, state.done, out)
            sums = {}
            if log is None:
                continue
            if validate and config.validate_every and (state.done % config.validate_every == 0 or last):
                line |= validate(state.average)
            line |= {"examples": state.done * config.batch_size, "minutes": (time.monotonic() - started) / 60}
            log.write(state.done, line)
            if progress:
                progress(state.done, line)
            if time.monotonic() - saved > 60 * config.save_minutes or last:
                elapsed = {"done": state.done, "seconds": time.monotonic() - started}
                write_tensors(out / STATE, state.tensors(), header | elapsed)
                saved = time.monotonic()
    with first_rank_first():
        if log is not None:
            metrics = last_line(out / METRICS)
            save_model(out / WEIGHTS, state.average, header | {"metrics": metrics})
    return out / WEIGHTS


def begin(
    state: Training,
    model_config: ModelConfig,
    objective: Objective,
    name: str,
    info: dict[str, Any],
    init: nn.Module | None,
) -> dict[str, Any]:
    """Takes up the weights to begin with, if there are such; returns the header of state and weights."""
    facts = {"train": asdict(state.config), "objective": facts_of(objective), **info}
    facts[PUZZLES] = content_hash(state.data.puzzles)
    if init is not None:
        try:
            state.model.load_state_dict(init.state_dict())
        except RuntimeError as error:
            raise UserInputError(
                f"the weights to begin with have another shape than {name!r}: expected {model_config}"
            ) from error
        state.average.load_state_dict(init.state_dict())
        facts[BEGAN] = weights_digest(init)
    return model_header(model_config, state.data.family, name, facts)


def last_line(path: Path) -> dict[str, Any]:
    """The last metrics of a training.

    Raises:
        UserInputError: a finished training whose file has gone.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    if not lines:
        raise UserInputError(f"{path}: the metrics of this training have gone: put them back, or train anew")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def facts_of(objective: Objective) -> dict[str, Any]:
    """The fields of an objective that is a dataclass, as ours are; nothing of a plain function."""
    return asdict(objective) if is_dataclass(objective) and not isinstance(objective, type) else {}


def resume(state: Training, out: Path, header: dict[str, Any]) -> float:
    """Takes up the state in ``out`` if there is one; returns the seconds already spent on it."""
    if not (out / STATE).exists():
        return 0.0
    tensors, found = read_tensors(out / STATE)
    facts, expected = (
        {key: said.get(key) for key in ("name", "data", "backbone", "puzzles", BEGAN)}
        | asdict(config_from_dict(said["backbone"], said["config"]))  # fields that came later have defaults
        | {field.name: field.default for field in fields(TrainConfig) if field.default is not MISSING}
        | said.get("train", {})
        | (said.get("objective", {}) if found.get("objective") else {})
        | ({PUZZLES: said.get(PUZZLES)} if PUZZLES in found else {})
        for said in (found, header)
    )
    for key, value in expected.items():
        if facts.get(key) != value:
            raise UserInputError(
                f"{out}: holds a training with {key}={facts.get(key)!r}, not {value!r}: choose another --out"
            )
    state.restore(tensors, found["done"])
    return float(found["seconds"])


def check_agreement(state: Training, out: Path, puzzles: str) -> None:
    """Refuses ranks that would begin differently, as where ``out`` is another folder on each machine."""
    begins = everyone((state.done, weights_digest(state.model), puzzles))
    if len(set(begins)) > 1:
        steps = ", ".join(str(done) for done, *_ in begins)
        raise UserInputError(
            f"{out}: the ranks begin with different weights or puzzles, after steps {steps}: expected a "
            "folder that all of them share, and the same files"
        )


def check_finite(line: dict[str, float], step: int, out: Path) -> None:
    """Stops a training whose loss or gradient is not finite, before it can be saved."""
    for key in ("loss", "grad_norm"):
        if not math.isfinite(line[key]):
            raise UserInputError(
                f"{key} is {line[key]} at step {step}: the last good state is in {out}; "
                "lower the learning rate"
            )


class MetricsLog:
    """metrics.jsonl, cut back at a resume to the steps that the state has behind it."""

    def __init__(self, path: Path, done: int) -> None:
        self.path = path
        with one_line_errors("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        atomic_write(path, "".join(line for line in whole if json.loads(line)["step"] <= done).encode())

    def write(self, step: int, line: dict[str, float]) -> None:
        """Appends one line, rounded to six digits."""
        rounded = {key: float(f"{value:.6g}") for key, value in line.items()}
        with one_line_errors("write", self.path), open(self.path, "a") as file:
            file.write(json.dumps({"step": step, **rounded}) + "\n")
