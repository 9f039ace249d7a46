"""D3PM: discrete diffusion with a chosen kind of noise (Austin et al., arXiv 2107.03006)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from planorder.models.forward_process import (
    USUAL,
    ForwardProcess,
    Tables,
    check_network,
    draw,
    posterior,
    reverse_joint,
    tables,
)
from planorder.tokens import MASK
from planorder.training.objectives.masked import mask_rates
from planorder.training.objectives.self_conditioning import conditioned_logits
from puzzles.base import UserInputError


@dataclass(frozen=True)
class D3PMObjective:
    """The hybrid loss of D3PM (eq. 5) over the blanks; clues are never noised.

    With t uniform on 1 ... T for each puzzle and x_t drawn from q(x_t | x_0), independently by cell:

        loss = mean over blanks of KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) - lambda log p_0(x_0)

    where p_0 is the softmax of the network's logits and ``p(x_{t-1} | x_t)`` is the sum over x_0 of
    ``q(x_{t-1}, x_t | x_0) p_0(x_0)``, normalised (eq. 4). At t = 1 the divergence is ``-log p(x_0 | x_1)``,
    the first term of the bound. T times its mean is L_vb for each blank, up to the constant L_T; lambda here
    is the one of the published code, T times smaller than that of eq. 5. Times are antithetic over the batch
    as in `masked.mask_rates`, each uniform.

    With "absorbing" noise on the reciprocal schedule the divergence is ``1/t`` times the cross-entropy of a
    masked cell, the bound of T steps for masked diffusion.

    The two terms agree for "absorbing" noise alone: elsewhere the divergence wants p_0 given the *other*
    cells of x_t (see `forward_process.reverse_joint`), the cross-entropy given all of x_t. Hence a small
    lambda.

    Departures: networks do not see t; "absorbing" needs none, and with the others they have to tell from
    x_t how noisy it is. The bound's terms are in float64. At t = 1 the authors' code for images takes
    p_0 itself; eq. 4 is kept here, as in their code for text.

    Attributes:
        process: the noise; for any but "absorbing" a network of ours must be ``noisy``.
        cross_entropy: lambda; the authors' configs have 0.001 on images, 0.01 on text with MASK, 0 on text
            without, all at T = 1000: at another T the same number weighs T / 1000 as much against L_vb.
    """

    process: ForwardProcess
    cross_entropy: float = 0.001

    def __post_init__(self) -> None:
        if not 0 <= self.cross_entropy < float("inf"):
            raise UserInputError(f"cross_entropy={self.cross_entropy}: expected a finite number from 0")

    def __call__(
        self,
        model: Callable[..., torch.Tensor],
        clues: torch.Tensor,
        solution: torch.Tensor,
        rank: torch.Tensor,
        generator: torch.Generator,
        edges: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss (nats a blank, of one of T terms), 0-d float64, and metrics; ``rank`` plays no part.

        Metrics: ``bound``, an estimate of L_vb in nats a blank without L_T, and ``cell_accuracy``, the share
        of blanks with a wrong value or none whose likeliest value is right.
        """
        check_network(model, self.process)
        found, blank = tables(self.process, None, str(clues.device)), clues == MASK
        steps = len(found.step)
        t = (mask_rates(len(clues), generator) * steps).long().clamp(max=steps - 1).to(clues.device) + 1
        uniform = torch.rand(clues.shape, generator=generator, dtype=torch.float64).to(clues.device)
        x_t = torch.where(blank, draw(found.upto[t[:, None], solution], uniform), solution)
        logits = conditioned_logits(model, self.process.shown(x_t, ~blank), edges, generator)
        log_p_0 = logits.double().log_softmax(-1)
        bound = bound_terms(found, t, x_t, solution, log_p_0).masked_fill(~blank, 0.0).sum()
        surprise = -log_p_0.gather(-1, (solution - 1)[..., None])[..., 0].masked_fill(~blank, 0.0).sum()
        count, wrong = blank.sum().clamp(min=1), x_t != solution
        right = (logits.argmax(-1) + 1 == solution) & wrong
        return (bound + self.cross_entropy * surprise) / count, {
            "bound": steps * bound.detach() / count,
            "cell_accuracy": right.sum() / wrong.sum().clamp(min=1),
        }


D3PM_NOISES = {f"d3pm_{kind}": kind for kind in USUAL}
"""The objectives by the names that the command line has for them, each with its kind of noise."""
LAMBDAS = {"uniform": 0.001, "absorbing": 0.01, "gaussian": 0.001, "nearest": 0.0}
"""Lambda of the authors' configs for each kind: images, text with MASK, images, text without MASK."""


def d3pm_objective(name: str, n_values: int) -> D3PMObjective:
    """The objective of a name in `D3PM_NOISES` for cells of so many values; lambda of `LAMBDAS`.

    Raises:
        UserInputError: values too few for the noise to reach its stationary law.
    """
    if D3PM_NOISES[name] == "gaussian" and n_values < 4:
        raise UserInputError(
            f"objective {name!r} with {n_values} values: expected at least 4, or in 50 steps x_T still tells "
            "x_0: take d3pm_uniform"
        )
    process = ForwardProcess(D3PM_NOISES[name], n_values, neighbours=min(2, n_values - 1))
    return D3PMObjective(process, LAMBDAS[process.kind])


def bound_terms(
    found: Tables, t: torch.Tensor, x_t: torch.Tensor, x_0: torch.Tensor, log_p_0: torch.Tensor
) -> torch.Tensor:
    """KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) by cell, float64 ``[batch, cells]`` in nats, from 0.

    Args:
        found: the process.
        t: int64 ``[batch]``, from 1.
        x_t: int64 ``[batch, cells]``, states that x_0 can become.
        x_0: int64 ``[batch, cells]``, values from 1.
        log_p_0: float64 ``[batch, cells, n]``, the network's law of x_0.
    """
    true, joint = posterior(found, t, x_t, x_0), reverse_joint(found, t, x_t, log_p_0.exp())
    tiny = torch.finfo(joint.dtype).tiny
    log_p = joint.clamp(min=tiny).log() - joint.sum(-1, keepdim=True).clamp(min=tiny).log()
    return (torch.xlogy(true, true) - true * log_p).sum(-1)
