"""How likely a decode with sampled values is to end in given values, exactly, for puzzles of few blanks.

The model is asked about every partial state on the way to ``values``, one for each set of filled blanks. With
p(x_i | S) its probability of value x_i at cell i when the blanks in S hold theirs,

- along one order it is the chain rule, the product over the blanks of p(x_i | those before it);
- in random order it is the mean of that over all orders (arXiv:2110.02037, order-agnostic models);
- by the ancestral sampler of T steps (arXiv:2406.07524) it is a sum over which blanks open in which step; the
  blanks of one step are drawn without seeing each other, which vanishes as T grows.

A model whose conditionals come from one joint law gives that law in every order, and the T-step sampler is
as far from it as its grid is coarse. Sums over sets of blanks are products with matrices ``[2**m, 2**m]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise, product

import torch

from planorder.decoding.budgets import alphas, check_kind
from planorder.decoding.denoiser import Model, as_log_probs
from planorder.tokens import MASK
from puzzles.base import UserInputError

MOST = 8
"""Blanks at most: the model sees 2**m states for each row of values."""

Chance = Callable[[int, int], float]
"""``chance(filled, opened)``: with which a given set of so many further blanks opens in a step."""


def completions(clues: torch.Tensor, n_values: int) -> torch.Tensor:
    """int64 ``[n_values**m, cells]``: all ways to fill the m blanks of int64 ``clues [cells]``."""
    blanks = blanks_of(clues)
    every = torch.tensor(list(product(range(1, n_values + 1), repeat=len(blanks))), dtype=torch.int64)
    found = clues.repeat(len(every), 1)
    found[:, blanks] = every
    return found


def given_order(
    model: Model, clues: torch.Tensor, values: torch.Tensor, order: Sequence[int]
) -> torch.Tensor:
    """float64 ``[n]``: log-probability of ``values``, one blank a step in a given order.

    Args:
        model: ``model(tokens) -> logits``, as `loop.decode` takes it.
        clues: int64 ``[cells]``, one puzzle.
        values: int64 ``[n, cells]``, ways to fill it.
        order: its blanks from first to last.

    Raises:
        UserInputError: too many blanks, values that change a clue, or an order of other cells.
    """
    blanks = blanks_of(clues)
    if sorted(order) != blanks:
        raise UserInputError(f"order {list(order)}: expected the blanks {blanks}, each once")
    log_p = conditionals(model, clues, values)
    total, filled = log_p.new_zeros(len(values)), 0
    for cell in order:
        place = blanks.index(cell)
        total = total + log_p[:, filled, place]
        filled += 1 << place
    return total


def random_order(model: Model, clues: torch.Tensor, values: torch.Tensor, *, k: int = 1) -> torch.Tensor:
    """float64 ``[n]``: log-probability of ``values``, k random blanks a step (the rest in the last).

    For k = 1 it is the logarithm of the mean of `given_order` over all orders. Arguments and errors are those
    of `given_order`; k is at least 1.
    """
    if k < 1:
        raise UserInputError(f"k={k}: expected at least 1 cell a step")
    m = len(blanks_of(clues))

    def chance(filled: int, opened: int) -> float:
        size = min(k, m - filled)
        return 1 / math.comb(m - filled, size) if opened == size else 0.0

    return along(conditionals(model, clues, values), [chance] * math.ceil(m / k))


def ancestral(
    model: Model, clues: torch.Tensor, values: torch.Tensor, *, steps: int, kind: str = "linear"
) -> torch.Tensor:
    """float64 ``[n]``: log-probability of ``values`` by ancestral sampling, the preset ``vanilla``.

    In step i each blank opens by itself with probability h = (alpha_{i+1} - alpha_i) / (1 - alpha_i), as in
    `budgets.Bernoulli`: a given set of j out of r blanks with h^j (1 - h)^(r - j).

    Args:
        model: as for `given_order`, with ``clues`` and ``values``; so are the errors.
        clues: int64 ``[cells]``.
        values: int64 ``[n, cells]``.
        steps: T >= 1.
        kind: a schedule of `budgets`.
    """
    check_kind(kind)
    if steps < 1:
        raise UserInputError(f"steps={steps}: expected at least 1 reverse step")
    m, alpha = len(blanks_of(clues)), alphas(kind, steps, torch.device("cpu")).tolist()

    def opening(h: float) -> Chance:
        return lambda filled, opened: h**opened * (1 - h) ** (m - filled - opened)

    hazards = [(after - now) / (1 - now) for now, after in pairwise(alpha)]
    return along(conditionals(model, clues, values), [opening(h) for h in hazards])


@torch.inference_mode()
def conditionals(model: Model, clues: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """float64 ``[n, 2**m, m]``: log p(x_i | S) for each set S of blanks, whose bit j is blank j."""
    blanks = blanks_of(clues)
    if not bool((values[:, clues != MASK] == clues[clues != MASK]).all()):
        raise UserInputError("values change a clue: expected ways to fill the blanks alone")
    is_filled = torch.zeros(1 << len(blanks), len(clues), dtype=torch.bool)
    is_filled[:, blanks] = members(len(blanks)).bool()
    states = torch.where(is_filled, values[:, None], clues).flatten(0, 1)
    log_p = as_log_probs(model(states), states).double().unflatten(0, (len(values), -1))
    index = (values - 1).clamp(min=0)[:, None, :, None].expand(-1, log_p.shape[1], -1, -1)
    return log_p.gather(-1, index)[..., 0][..., blanks]


def along(log_p: torch.Tensor, steps: Sequence[Chance]) -> torch.Tensor:
    """float64 ``[n]``: log of the sum over all ways from no blank to all; ``log_p`` of `conditionals`."""
    m = log_p.shape[-1]
    sets = members(m)
    sizes = sets.sum(1).long().tolist()
    opened = sets[None, :] - sets[:, None]
    is_further = (opened >= 0).all(-1)
    weight = torch.einsum("nsm,stm->nst", log_p, opened.clamp(min=0)).exp()
    now = torch.zeros(len(log_p), 1 << m, dtype=torch.float64)
    now[:, 0] = 1.0
    for chance in steps:
        table = [[chance(a, b - a) if a <= b else 0.0 for b in sizes] for a in sizes]
        hop = torch.tensor(table, dtype=torch.float64) * is_further
        now = torch.einsum("ns,nst->nt", now, weight * hop)
    return now[:, -1].log()


def members(m: int) -> torch.Tensor:
    """float64 ``[2**m, m]``: 1 where blank j is in set S."""
    return (torch.arange(1 << m)[:, None] >> torch.arange(m) & 1).double()


def blanks_of(clues: torch.Tensor) -> list[int]:
    """The blanks of int64 ``clues [cells]``, from the first."""
    blanks: list[int] = torch.nonzero(clues == MASK)[:, 0].tolist()
    if len(blanks) > MOST:
        raise UserInputError(f"{len(blanks)} blanks: expected at most {MOST}, since all their sets are tried")
    return blanks
