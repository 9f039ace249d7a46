"""Training objectives, one published method a file: a batch in, its loss and metrics out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Objective = Callable[
    [Any, torch.Tensor, torch.Tensor, torch.Tensor, torch.Generator, torch.Tensor | None],
    tuple[torch.Tensor, dict[str, torch.Tensor]],
]
"""``(model, clues, solution, rank, generator, edges) -> (loss, metrics)``; 0-d tensors out.

Clues, solution and rank are int64 ``[batch, cells]``; edges, int64 ``[batch, edges, 1 + members]``, are None
where the family's puzzles have none of their own, and then the model is called without them.
"""
