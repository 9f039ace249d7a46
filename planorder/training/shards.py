"""A batch in fixed parts: the same gradient, bit for bit, on however many ranks the parts are worked out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from planorder.distributed import gather_rows, world
from planorder.training.data import TrainingData
from puzzles.base import UserInputError

Metrics = dict[str, torch.Tensor]


def own_shards(shards: int) -> range:
    """The shards of this rank: as many as every other's, and in the order of the ranks.

    Raises:
        UserInputError: the ranks cannot share the shards out equally.
    """
    rank, size = world().rank, world().size
    if shards % size:
        raise UserInputError(
            f"shards={shards}: expected a multiple of the number of ranks that torchrun started, {size}: "
            f"give --shards {size}"
        )
    each = shards // size
    return range(rank * each, (rank + 1) * each)


def shard_generator(data: TrainingData, step: int, stream: int, shard: int) -> torch.Generator:
    """Random numbers of a shard, a function of (seed, stream, step, shard); shard 0 has the step's own."""
    if shard == 0:
        return data.generator(step, stream)
    entropy = np.random.SeedSequence((data.seed, stream, step, shard))
    return torch.Generator().manual_seed(int(entropy.generate_state(1)[0]))


def mean_gradient(model: nn.Module, shards: int, backward: Callable[[int], Metrics]) -> Metrics:
    """Leaves in the parameters the mean of the gradients of all shards, and gives the mean of their metrics.

    Every shard's gradient and metrics are gathered as one float32 vector ``[parameters + metrics]`` and added
    in the order of the shards, so the sum does not depend on who worked them out. It takes ``shards`` times
    the memory of the gradient, little for networks of a few million weights.

    Args:
        model: whose parameters.
        shards: number of parts, a multiple of the number of ranks.
        backward: ``backward(shard)`` leaves the gradient of one shard in the parameters and returns its
            metrics, 0-d and of the same names for all shards.
    """
    parameters, rows = list(model.parameters()), []
    for shard in own_shards(shards):
        metrics = backward(shard)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        parts += [value.to(parameters[0].device) for value in metrics.values()]
        rows.append(torch.cat([part.detach().float().flatten() for part in parts]))
    mean = sum(gather_rows(torch.stack(rows)), torch.zeros(())) / shards
    sizes = [parameter.numel() for parameter in parameters]
    *gradients, measured = mean.split([*sizes, len(metrics)])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.view_as(parameter)
    return dict(zip(metrics, measured, strict=True))
