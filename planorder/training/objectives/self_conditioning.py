"""Self-conditioning: a network that reads what it said a step ago is trained on what it says itself."""

from __future__ import annotations

from collections.abc import Callable

import torch

from planorder.models.context import is_self_conditioned, logits_of

SHARE = 0.5
"""Of batches that see an estimate; the others see none, as the first step of a decode does."""


def conditioned_logits(
    model: Callable[..., torch.Tensor],
    tokens: torch.Tensor,
    edges: torch.Tensor | None,
    generator: torch.Generator,
) -> torch.Tensor:
    """Logits ``[batch, cells, values]`` to train on; plainly the network's unless it is self-conditioned.

    In half of the batches a pass without gradient gives the probabilities that a second one reads (Chen et
    al., arXiv 2208.04202, section 3.2: both passes see the same state; a decode reads those of the step
    before). Departure: they are probabilities of values, not an estimate of bits. Passes that only choose
    what is masked (`masked.left_by_margin`) do not come here and read none.

    Args:
        model: see `objectives.Objective`.
        tokens: int64 ``[batch, cells]``, the state.
        edges: the puzzles' own, or None.
        generator: draws which batches; untouched for other networks.
    """
    if not is_self_conditioned(model) or float(torch.rand((), generator=generator)) >= SHARE:
        return logits_of(model, tokens, edges)
    with torch.no_grad():
        previous = logits_of(model, tokens, edges).log_softmax(-1)
    torch.clear_autocast_cache()  # older PyTorch keeps the weights that it cast without a gradient
    return logits_of(model, tokens, edges, previous)
