"""Masked language models of others as the models that `decode` takes: every order fills their blanks.

    found = infill(bert, ids, get_strategy("top_margin"), mask_id=tokenizer.mask_token_id)

A model is any ``callable(ids int64 [batch, length]) -> logits [batch, length, vocabulary]``, or a Hugging
Face masked language model, whose answer holds them as ``.logits``. Token id i is value i + 1 of a decode and
0 is its MASK, so that no order needs to know a vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from planorder.decoding.loop import decode
from planorder.decoding.strategies import Strategy
from planorder.decoding.view import Decoded
from planorder.tokens import MASK
from puzzles.base import PuzzleBatch, UserInputError

NEVER = -1e4
"""Log-probability of what may not be emitted: finite, and 0 as a probability in every precision."""


class MaskedLanguageModel(nn.Module):
    """A model of others in the form that `decode` calls: ``model(tokens) -> logits [batch, cells, values]``.

    Attributes:
        model: what is asked.
        mask_id: the token id that the model knows a blank by; it is never emitted.
        forbidden: further token ids that are never emitted, e.g. padding and separators.
        shifted: the logits at a place speak of the next one, as those of Dream (arXiv:2508.15487), which
            began as an autoregressive model; LLaDA's (arXiv:2502.09992) and BERT's speak of their own.
        pad_id: a Hugging Face model is told to overlook these; None for a model that is called with ids
            alone.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        mask_id: int,
        forbidden: Collection[int] = (),
        shifted: bool = False,
        pad_id: int | None = None,
    ) -> None:
        super().__init__()
        self.model, self.mask_id, self.shifted, self.pad_id = model, mask_id, shifted, pad_id
        self.forbidden = sorted({mask_id, *forbidden})
        self.train(getattr(model, "training", False))  # a decode leaves the mode as it finds it

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits ``[batch, cells, vocabulary]``; those of forbidden ids leave them no probability."""
        ids = torch.where(tokens == MASK, self.mask_id, tokens - 1)
        options = {} if self.pad_id is None else {"attention_mask": (ids != self.pad_id).long()}
        answer = self.model(ids, **options)
        logits = (answer if isinstance(answer, torch.Tensor) else answer.logits).float()
        if logits.dim() != 3 or logits.shape[:2] != ids.shape or logits.shape[-1] <= max(self.forbidden):
            raise UserInputError(
                f"the model gave logits of shape {list(logits.shape)} for ids of shape {list(ids.shape)}: "
                f"expected [batch, length, vocabulary], a vocabulary that holds id {max(self.forbidden)}"
            )
        if self.shifted:
            logits = torch.cat([logits[:, :1], logits[:, :-1]], dim=1)
        log_probs = logits - logits.amax(-1, keepdim=True)
        log_probs[..., self.forbidden] = NEVER
        return log_probs


def infill(
    model: Callable[..., Any],
    ids: np.ndarray | torch.Tensor,
    strategy: Strategy,
    *,
    mask_id: int,
    forbidden: Collection[int] = (),
    shifted: bool = False,
    pad_id: int | None = None,
    **options: Any,
) -> Decoded:
    """Fills the ``mask_id`` of each sequence as a strategy says; everything else is given and stays.

    Args:
        model: see the head of this module.
        ids: int ``[batch, length]``.
        strategy: any that needs no solver's ranks.
        mask_id: see `MaskedLanguageModel`, as for the next three.
        forbidden: token ids never to emit.
        shifted: whether logits speak of the next place.
        pad_id: padding of sequences of different lengths.
        options: of `decode`: seed, steps, device, batch_size, precision, progress.

    Returns:
        As `decode`, with the token ids, int64, in ``cells``.

    Raises:
        UserInputError: ids of a wrong shape or type, or logits of one.
    """
    asked = np.asarray(ids.cpu() if isinstance(ids, torch.Tensor) else ids)
    if asked.ndim != 2 or not np.issubdtype(asked.dtype, np.integer):
        raise UserInputError(
            f"ids of shape {asked.shape} and type {asked.dtype}: expected integers [batch, length]"
        )
    clues = np.where(asked == mask_id, MASK, asked.astype(np.int64) + 1)
    n = len(clues)
    sequences = PuzzleBatch(
        family="text",
        clues=clues,
        solution=np.zeros_like(clues),
        rank=np.full(clues.shape, -1, np.int16),
        technique=np.zeros(clues.shape, np.int8),
        hardest=np.zeros(n, np.int8),
        index=np.arange(n, dtype=np.int64),
        unique=False,
    )
    adapted = MaskedLanguageModel(model, mask_id, forbidden, shifted, pad_id)
    found = decode(adapted, sequences, strategy, **options)
    return replace(found, cells=found.cells - 1)
