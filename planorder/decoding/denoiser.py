"""A network as a decode asks it: on its device, in eval mode, tokens in and log-probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from planorder.models.context import evaluated, is_self_conditioned, logits_of
from puzzles.base import UserInputError

Model = Callable[..., torch.Tensor]
"""``model(tokens) -> logits``, or ``model(tokens, edges)`` for puzzles that have edges of their own."""
PRECISIONS: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Denoiser:
    """A model at a precision.

    Attributes:
        model: see `loop.decode`.
        device: where it runs.
        dtype: of its autocast; None for float32.
    """

    model: Model
    device: torch.device
    dtype: torch.dtype | None

    def __call__(
        self, tokens: torch.Tensor, edges: torch.Tensor | None, previous: torch.Tensor | None
    ) -> torch.Tensor:
        """float32 log-probabilities ``[rows, cells, values]``; ``previous`` are those of the step before."""
        with torch.autocast(self.device.type, self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            logits = logits_of(self.model, tokens, edges, previous)
        return as_log_probs(logits, tokens)

    def ahead(
        self, tokens: torch.Tensor, edges: torch.Tensor | None, log_probs: torch.Tensor
    ) -> torch.Tensor:
        """float32 ``[rows, looks, cells, values]`` of int64 ``tokens [rows, looks, cells]``.

        ``edges`` and ``log_probs``, a row each, are those of the states from which the looks go out.
        """
        looks = tokens.shape[1:-1].numel()
        edges = None if edges is None else edges.repeat_interleave(looks, 0)
        before = log_probs.repeat_interleave(looks, 0) if is_self_conditioned(self.model) else None
        return self(tokens.flatten(0, -2), edges, before).unflatten(0, tokens.shape[:-1])


@contextmanager
def opened(model: Model, device: str | torch.device, batch_size: int, precision: str) -> Iterator[Denoiser]:
    """The model, moved to ``device`` to stay and in eval mode for the block, after a check of the options.

    Raises:
        UserInputError: a batch size below 1 or an unknown precision.
    """
    if batch_size < 1:
        raise UserInputError(f"batch_size={batch_size}: expected at least 1")
    if precision not in PRECISIONS:
        raise UserInputError(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    with evaluated(model, device):
        yield Denoiser(model, torch.device(device), PRECISIONS[precision])


def as_log_probs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """float32 log-probabilities ``[batch, cells, values]`` of a model's answer to ``tokens``."""
    if logits.dim() != 3 or logits.shape[:2] != tokens.shape:
        raise UserInputError(
            f"the model gave logits of shape {list(logits.shape)} for tokens of shape {list(tokens.shape)}: "
            "expected [batch, cells, values]"
        )
    return logits.float().log_softmax(-1)
