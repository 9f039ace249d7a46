"""What tests in several rooms need."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from planorder.models.checkpoint import read_tensors
from planorder.models.forward_process import ForwardProcess
from planorder.training.loop import METRICS


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Scores(nn.Module):
    """A head that gives each cell a score of its own, whatever the state."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(scores))

    def forward(self, log_probs: torch.Tensor, tokens: torch.Tensor, *_: Any) -> torch.Tensor:
        return self.scores.expand(tokens.shape)


def table(rows: list[list[float]]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A denoiser with these probabilities in every state."""
    return lambda tokens: torch.tensor(rows).log().expand(len(tokens), -1, -1)


def process_of(kind: str, n: int = 3, steps: int = 10) -> ForwardProcess:
    """Noise of few values."""
    return ForwardProcess(kind, n, steps, neighbours=1)


def bits(path: Path) -> dict[str, bytes]:
    """The tensors of a file."""
    return {name: tensor.numpy().tobytes() for name, tensor in read_tensors(path)[0].items()}


def lines(out: Path) -> list[dict[str, float]]:
    """metrics.jsonl without time."""
    found = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "minutes"} for line in found]
