"""Training objectives, one published method a file: a batch in, its loss and metrics out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Objective = Callable[
    [Any, torch.Tensor, torch.Tensor, torch.Tensor, torch.Generator],
    tuple[torch.Tensor, dict[str, torch.Tensor]],
]
"""``(model, clues, solution, rank, generator) -> (loss, metrics)``; int64 ``[batch, cells]``, 0-d tensors."""
