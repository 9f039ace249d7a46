"""Forward processes of D3PM (Austin et al., arXiv 2107.03006): how values become noise, and the way back.

A cell's state is a token: 0 is MASK, v a value. Q_t ``[n + 1, n + 1]`` has q(x_t = j | x_{t-1} = i) in row i
and column j, and q(x_t | x_0) is row x_0 of ``Q_1 ... Q_t``. Noise of values alone never reaches MASK, which
is then a state by itself. With beta_t of a schedule and n values (the paper's K; App. A.2):

- "uniform": ``(1 - beta_t) I + beta_t / n`` among the values (A.2.1); cosine schedule.
- "absorbing": a value becomes MASK with probability beta_t and stays so (A.2.2); reciprocal schedule.
- "gaussian": off the diagonal ``exp(-4 (i - j)^2 / ((n - 1)^2 beta_t))`` over its sum for all differences
  from -(n - 1) to n - 1; the diagonal is what is left (A.2.3); linear schedule.
- "nearest": ``exp(alpha_t R)``, where R off the diagonal is ``(G + G') / (2k)``, G_ij is 1 where j is one of
  the k nearest of i, and rows of R sum to 0 (A.2.4, in an embedding of words; here by a distance of values).

All but "absorbing" are doubly stochastic, so their stationary law is uniform. Schedules: "cosine" is
``1 - cos(t') / cos((t - 1)')`` with ``t' = pi/2 (t / T + 0.008) / 1.008``, at most 0.999 (arXiv 2102.05379);
"linear" runs from 0.02 to 1, for "gaussian" from 1e-4 to 0.02; "reciprocal" is ``1 / (T - t + 1)``.

Departures: the authors' code for images has T = 1000, and for "uniform" the linear schedule. That of
"gaussian" is the paper's at T = 1000 and is multiplied by 1000 / T at other T. For "nearest" the paper
removes mutual information linearly; here ``alpha_t = -log(1 - beta_t) / gap``, with -gap the second
eigenvalue of R, so that what is forgotten last fades as all of it does under "uniform".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from planorder.tokens import MASK
from puzzles.base import UserInputError

USUAL = {"uniform": "cosine", "absorbing": "reciprocal", "gaussian": "linear", "nearest": "cosine"}
"""The kinds of noise, each with the schedule that it has if none is named."""
SCHEDULES = ("cosine", "linear", "reciprocal")
DISTANCES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "line": lambda difference, n: difference,
    "ring": lambda difference, n: np.minimum(difference, n - difference),
}
"""Distances of n values from ``|i - j|``: in a row, or in a row whose ends meet."""
REMEMBERED = 0.05
"""How far, in total variation, x_T may be from its stationary law: beyond it, sampling starts elsewhere."""
ABSORBING = "absorbing"


@dataclass(frozen=True)
class ForwardProcess:
    """A kind of noise and how it grows; all that a header needs to sample again.

    Attributes:
        kind: "uniform", "absorbing", "gaussian" or "nearest".
        n_values: values of a cell.
        steps: T.
        schedule: "cosine", "linear", "reciprocal"; "" is the kind's own.
        neighbours: k of "nearest".
        distance: what is near for "nearest": "line" or "ring".

    Raises:
        UserInputError: an option out of range, or noise after which x_T still tells x_0.
    """

    kind: str
    n_values: int
    steps: int = 50
    schedule: str = ""
    neighbours: int = 2
    distance: str = "line"

    def __post_init__(self) -> None:
        options = {"kind": tuple(USUAL), "schedule": ("", *SCHEDULES), "distance": tuple(DISTANCES)}
        for name, allowed in options.items():
            if getattr(self, name) not in allowed:
                raise UserInputError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}")
        if self.steps < 1 or self.n_values < 2:
            raise UserInputError(
                f"steps={self.steps}, n_values={self.n_values}: expected at least 1 step and 2 values"
            )
        if self.kind == "nearest" and not 1 <= self.neighbours < self.n_values:
            raise UserInputError(
                f"neighbours={self.neighbours}: expected 1 to {self.n_values - 1}, since a value has no more"
            )
        found = tables(self)
        if (left := float((found.upto[-1, 1:] - found.stationary).abs().sum(-1).max()) / 2) > REMEMBERED:
            raise UserInputError(
                f"{self.kind} noise of {self.n_values} values in steps={self.steps}: x_T is {left:.2f} from "
                f"its stationary law, expected at most {REMEMBERED}: change the steps or the schedule"
            )

    @property
    def absorbs(self) -> bool:
        """Whether the noise is MASK; else it is values, which a network must be able to tell from clues."""
        return self.kind == ABSORBING

    def shown(self, state: torch.Tensor, clue: torch.Tensor) -> torch.Tensor:
        """What a network reads of int64 ``state [batch, cells]``: a value v that may be noise is n + v.

        Under "absorbing" what is not MASK is known, so nothing changes.
        """
        return state if self.absorbs else torch.where(clue, state, state + self.n_values)


class Tables(NamedTuple):
    """A process as float64 tensors.

    Attributes:
        step: ``[T, n + 1, n + 1]``, Q_t at t - 1.
        upto: ``[T + 1, n + 1, n + 1]``, ``Q_1 ... Q_t`` at t; the identity at 0.
        stationary: ``[n + 1]``, the law that x_T is drawn from.
    """

    step: torch.Tensor
    upto: torch.Tensor
    stationary: torch.Tensor


@lru_cache(maxsize=64)
def tables(process: ForwardProcess, steps: int | None = None, device: str = "cpu") -> Tables:
    """The matrices of a process; with fewer ``steps`` than T, those that go over several at a time."""
    q = step_matrices(process)
    times = np.linspace(0, len(q), (steps or len(q)) + 1).round().astype(int)
    if steps is not None and not 1 <= steps <= len(q):
        raise UserInputError(f"steps={steps}: expected 1 to {len(q)}, the steps of the forward process")
    eye = np.eye(process.n_values + 1)
    upto = [eye]
    for matrix in q:
        upto.append(upto[-1] @ matrix)
    step = [reduce(np.matmul, q[start:end]) for start, end in pairwise(times)]
    stationary = eye[MASK] if process.absorbs else (1 - eye[MASK]) / process.n_values
    arrays = (np.stack(step), np.stack(upto)[times], stationary)
    return Tables(*(torch.from_numpy(array).to(device) for array in arrays))


def betas(kind: str, schedule: str, steps: int) -> np.ndarray:
    """float64 ``[T]``: beta_1 ... beta_T; see the module."""
    t = np.arange(1, steps + 1)
    if schedule == "reciprocal":
        return 1 / (steps - t + 1)
    if schedule == "linear":
        return np.linspace(0.1, 20, steps) / steps if kind == "gaussian" else np.linspace(0.02, 1, steps)
    kept = np.cos(np.pi / 2 * (np.arange(steps + 1) / steps + 0.008) / 1.008)
    return np.minimum(1 - kept[1:] / kept[:-1], 0.999)


def step_matrices(process: ForwardProcess) -> np.ndarray:
    """float64 ``[T, n + 1, n + 1]``: Q_1 ... Q_T."""
    n = process.n_values
    beta = betas(process.kind, process.schedule or USUAL[process.kind], process.steps)[:, None, None]
    q = np.zeros((process.steps, n + 1, n + 1))
    q[:, MASK, MASK] = 1
    if process.kind == "gaussian":
        q[:, 1:, 1:] = gaussian(beta, n)
    elif process.kind == "nearest":
        near = DISTANCES[process.distance](differences(n), n)
        q[:, 1:, 1:] = exponentials(nearest_rates(near, process.neighbours), beta)
    else:
        q[:, 1:, 1:] = (1 - beta) * np.eye(n) + (0 if process.absorbs else beta / n)
        q[:, 1:, MASK] = beta[..., 0] if process.absorbs else 0
    return q


def differences(n: int) -> np.ndarray:
    """int64 ``[n, n]``: |i - j|."""
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n)))


def gaussian(beta: np.ndarray, n: int) -> np.ndarray:
    """float64 ``[T, n, n]`` of ``beta [T, 1, 1]``: the discretised Gaussian."""
    weight = np.exp(-4 * np.arange(n) ** 2 / ((n - 1) ** 2 * beta))[:, 0]
    share = weight / (2 * weight.sum(1, keepdims=True) - weight[:, :1])
    q = share[:, differences(n)] * (1 - np.eye(n))
    return q + (1 - q.sum(-1, keepdims=True)) * np.eye(n)


def nearest_rates(distance: np.ndarray, neighbours: int) -> np.ndarray:
    """float64 ``[n, n]``: R of any ``distance [n, n]``; of equally near values the lower ones count."""
    n = len(distance)
    others = distance + np.where(np.eye(n), np.inf, 0)
    near = np.zeros((n, n))
    np.put_along_axis(near, others.argsort(axis=1, kind="stable")[:, :neighbours], 1, axis=1)
    rates = (near + near.T) / (2 * neighbours)
    return rates - np.diag(rates.sum(1))


def exponentials(rates: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """float64 ``[T, n, n]``: exp(alpha_t R) of symmetric ``rates`` and ``beta [T, 1, 1]``."""
    values, vectors = np.linalg.eigh(rates)
    if values[-2] > -1e-9:
        raise UserInputError("values fall into groups without a common neighbour: raise neighbours")
    alpha = -np.log1p(-np.minimum(beta, 0.999)) / -values[-2]
    q = (vectors * np.exp(alpha * values)) @ vectors.T
    q = q.clip(min=0)  # of entries so small that the sum leaves rounding alone
    return q / q.sum(-1, keepdims=True)


def posterior(found: Tables, t: torch.Tensor, x_t: torch.Tensor, x_0: torch.Tensor) -> torch.Tensor:
    """q(x_{t-1} | x_t, x_0) (eq. 3), float64 ``[batch, cells, n + 1]``; zeros where x_0 never becomes x_t.

    Args:
        found: the process.
        t: int64 ``[batch]``, from 1.
        x_t: int64 ``[batch, cells]``, states.
        x_0: int64 ``[batch, cells]``, values from 1.
    """
    joint = found.step.mT[t[:, None] - 1, x_t] * found.upto[t[:, None] - 1, x_0]
    return joint / joint.sum(-1, keepdim=True).clamp(min=torch.finfo(joint.dtype).tiny)


def reverse_joint(found: Tables, t: torch.Tensor, x_t: torch.Tensor, p_0: torch.Tensor) -> torch.Tensor:
    """Sum over x_0 of ``q(x_{t-1}, x_t | x_0) p_0(x_0)``, float64 ``[batch, cells, n + 1]``.

    Normalised over x_{t-1} it is p(x_{t-1} | x_t) (eq. 4). Since the joint law already weighs x_0 by how
    likely it becomes x_t, that is the true reverse step where p_0 is the law of a cell's x_0 given the
    *other* cells of x_t.

    Args:
        found: the process.
        t: int64 ``[batch]``, from 1.
        x_t: int64 ``[batch, cells]``, states.
        p_0: float64 ``[batch, cells, n]``, the network's law of the value.
    """
    before = torch.einsum("bci,bij->bcj", p_0, found.upto[t - 1, 1:])
    return found.step.mT[t[:, None] - 1, x_t] * before


def draw(law: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """int64 ``[...]`` by inversion of ``law [..., n + 1]``, which need not sum to 1; uniform is in [0, 1)."""
    total = law.cumsum(-1)
    return (total <= uniform[..., None] * total[..., -1:]).sum(-1).clamp(max=law.shape[-1] - 1)


def is_noisy(model: Callable[..., torch.Tensor]) -> bool | None:
    """Whether a network of ours tells noisy values from clues; None of what is not ours."""
    found: bool | None = getattr(getattr(model, "config", None), "noisy", None)
    return found


def check_masked(model: Callable[..., torch.Tensor]) -> None:
    """Raises `UserInputError` for a network of ours that was taught noisy values: it never saw a MASK."""
    if is_noisy(model):
        raise UserInputError("the network was taught noisy values, not masks: decode it with decode_d3pm")


def check_network(model: Callable[..., torch.Tensor], process: ForwardProcess) -> None:
    """Raises `UserInputError` for a network of ours built for other tokens than the process shows."""
    if is_noisy(model) == process.absorbs:
        needed = f"expected {not process.absorbs} of a network for {process.kind} noise"
        raise UserInputError(f"noisy={is_noisy(model)}: {needed}")
