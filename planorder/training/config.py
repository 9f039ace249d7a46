"""How a network is trained: the config, its learning rate by step, its precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from planorder.training.data import check_draws
from puzzles.base import UserInputError


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained; with the data and the model's config, all there is to its weights.

    Attributes:
        steps: optimiser steps.
        batch_size: puzzles a step.
        learning_rate: peak of the schedule.
        schedule: "trapezoid" (flat, then linear to zero over the last `decay`) or "cosine".
        warmup: steps of linear warm-up.
        decay: fraction of the steps in the trapezoid's decay.
        weight_decay: AdamW's, on matrices only.
        clip: largest norm of the gradient.
        ema: decay of the averaged weights, lower in the first steps.
        seed: of weights, batches, symmetries and masks.
        balance: how far puzzles of rare techniques are shown more often; see `TrainingData`.
        by_size: how far puzzles of many blanks are, likewise.
        compile: whether the repeated blocks go through ``torch.compile``, which needs a C++ compiler.
        precision: "bf16" (autocast), "fp32", or "auto": bf16 where the processor multiplies it fast.
        log_every: steps between lines of metrics.jsonl.
        validate_every: steps between validations; 0 for none.
        save_minutes: minutes between saved states.
        shards: fixed parts of a batch, each with random numbers of its own; the loss is the mean of theirs.
            Ranks share them out: the number of shards is part of the training, that of ranks is not.
    """

    steps: int
    batch_size: int
    learning_rate: float = 2e-3
    schedule: str = "trapezoid"
    warmup: int = 100
    decay: float = 0.4
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    balance: float = 0.0
    by_size: float = 0.0
    compile: bool = False
    precision: str = "auto"
    log_every: int = 25
    validate_every: int = 500
    save_minutes: float = 2.0
    shards: int = 1

    def __post_init__(self) -> None:
        for name, allowed in (("schedule", ("trapezoid", "cosine")), ("precision", ("auto", "bf16", "fp32"))):
            if getattr(self, name) not in allowed:
                raise UserInputError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}")
        for name in ("steps", "batch_size", "log_every", "shards"):
            if getattr(self, name) < 1:
                raise UserInputError(f"{name}={getattr(self, name)}: expected at least 1")
        if self.batch_size % self.shards:
            raise UserInputError(
                f"shards={self.shards}: expected a number that divides batch_size={self.batch_size}"
            )
        check_draws(self.seed, self.balance, self.by_size)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of a step (from 0)."""
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    done = step / config.steps
    if config.schedule == "cosine":
        return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * warm * min(1.0, (1 - done) / max(config.decay, 1e-9))


def autocast_dtype(precision: str, device: str) -> torch.dtype | None:
    """bfloat16 or None (float32); "auto" asks whether the processor multiplies bf16 tiles (AMX).

    Without AMX bf16 was slower than float32 on a CPU: several times where PyTorch emulates it, and by 1.7
    with ``avx512_bf16`` alone (matrix products, one core).
    """
    if precision == "auto":
        if device.startswith("cuda"):
            return torch.bfloat16
        cpuinfo = Path("/proc/cpuinfo")
        flags = cpuinfo.read_text() if cpuinfo.exists() else ""
        return torch.bfloat16 if "amx_bf16" in flags else None
    return torch.bfloat16 if precision == "bf16" else None
