"""Attention, the one place: fused where that is fast, written out where it is not."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool, seen: torch.Tensor | None = None
) -> torch.Tensor:
    """Softmax attention, each ``[batch, heads, tokens, head width]``; a single query sees all tokens.

    ``seen``, bool ``[batch, at least tokens]``, says which tokens may be looked at; and each sees itself.

    For training on CPU it is written out: the backward pass of the fused one took 2.5 to 8 times as long in
    bf16 at 81 and 243 tokens.
    """
    queries, keys = q.shape[2], k.shape[2]
    causal = causal and queries > 1
    if seen is not None:
        seen = seen[:, None, None, :keys]
        if queries > 1:
            own = torch.eye(queries, keys, dtype=torch.bool, device=q.device)
            seen = (seen & own.new_ones(queries, keys).tril() if causal else seen) | own
    if q.device.type != "cpu" or not q.requires_grad:
        return F.scaled_dot_product_attention(q, k, v, seen, is_causal=causal and seen is None)
    flat = [x.flatten(0, 1) for x in (q, k, v)]
    mask = q.new_full((queries, keys), -torch.inf).triu(1) if causal else q.new_zeros(1, 1)
    if seen is not None:
        mask = q.new_zeros(()).masked_fill(~seen, -torch.inf).expand(-1, q.shape[1], -1, -1).flatten(0, 1)
    scores = torch.baddbmm(
        mask.expand(len(flat[0]), queries, keys), flat[0], flat[1].mT, alpha=q.shape[3] ** -0.5
    )
    return (scores.softmax(-1) @ flat[2]).view(q.shape)
