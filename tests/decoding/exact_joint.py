"""A model that knows a joint law, and the exact law of what a decode of few cells ends in.

`law_of` walks every path of a decode in plain Python: states are tuples, a `Move` says which blanks a rule
fills and which filled cells it reopens in a state, and with which probability. Nothing of it is shared with
the package but the model.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy import stats

State = tuple[int, ...]
Moves = Iterable[tuple[float, set[int], set[int]]]
Move = Callable[[int, State, np.ndarray], Moves]
"""``move(step, state, p [cells, values])``: (probability, blanks to fill, filled cells to reopen)."""
Values = Callable[[np.ndarray], np.ndarray]
"""What a value is drawn from, given p of its cell."""
Law = dict[tuple[State, int], float]
"""Probability of each (end, forward passes)."""

FLOOR = 1e-30


@dataclass(frozen=True)
class ExactJoint:
    """Logits whose softmax is p(x_i | the filled cells) of a joint law; uniform at cells that are filled.

    Attributes:
        table: float64 ``[values] * cells``, the probability of every filling.
        power: p is raised to it; 1 is the law's own.
    """

    table: np.ndarray
    power: float = 1.0

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits ``[batch, cells, values]``."""
        states, place = np.unique(tokens.numpy(), axis=0, return_inverse=True)
        p = np.stack([self.conditionals(tuple(state)) for state in states])
        return self.power * torch.from_numpy(np.log(p.clip(min=FLOOR)))[torch.from_numpy(place.ravel())]

    def conditionals(self, state: tuple[int, ...]) -> np.ndarray:
        """float64 ``[cells, values]``; uniform where the state has probability 0."""
        n_values = self.table.shape[0]
        known = self.table[tuple(slice(None) if v == 0 else slice(v - 1, v) for v in state)]
        p = np.full((len(state), n_values), 1 / n_values)
        for cell, value in enumerate(state):
            if value == 0 and known.sum() > 0:
                others = tuple(axis for axis in range(len(state)) if axis != cell)
                p[cell] = known.sum(axis=others) / known.sum()
        return p

    def law(self) -> dict[State, float]:
        """The probability of every filling."""
        return {tuple(v + 1 for v in at): float(p) for at, p in np.ndenumerate(self.table)}


def random_joint(n_cells: int, n_values: int, seed: int = 0, zeros: float = 0.3) -> ExactJoint:
    """A joint law far from independent, some of whose fillings have probability 0."""
    rng = np.random.default_rng(seed)
    weight = rng.gamma(0.5, size=(n_values,) * n_cells) * (rng.random((n_values,) * n_cells) >= zeros)
    return ExactJoint(weight / weight.sum())


def law_of(
    model: Callable[[torch.Tensor], torch.Tensor],
    n_cells: int,
    move: Move,
    steps: int,
    values: Values = lambda p: p,
) -> Law:
    """The law of a decode of an empty puzzle in so many steps, the last of which fills what is left."""
    seen: dict[State, np.ndarray] = {}

    def probs(state: State) -> np.ndarray:
        if state not in seen:
            seen[state] = model(torch.tensor([state]))[0].double().softmax(-1).numpy()
        return seen[state]

    now: dict[tuple[State, int, bool], float] = {((0,) * n_cells, 0, True): 1.0}
    for step in range(steps):
        after: dict[tuple[State, int, bool], float] = defaultdict(float)
        for (state, passes, is_new), mass in now.items():
            blanks = {cell for cell in range(n_cells) if state[cell] == 0}
            if not blanks:
                after[state, passes, False] += mass
                continue
            p = probs(state)
            moves = [(1.0, blanks, set[int]())] if step + 1 == steps else move(step, state, p)
            for chance, fill, reopen in moves:
                if chance > 0:
                    for end, share in fillings(state, sorted(fill), reopen, p, values):
                        after[end, passes + is_new, bool(fill or reopen)] += mass * chance * share
        now = after
    found: Law = defaultdict(float)
    for (state, passes, _), mass in now.items():
        found[state, passes] += mass
    assert math.isclose(sum(found.values()), 1.0, abs_tol=1e-9)
    return dict(found)


def fillings(
    state: State, fill: list[int], reopen: set[int], p: np.ndarray, values: Values
) -> list[tuple[State, float]]:
    """The states after a move, with their probabilities."""
    law = [values(p[cell]) for cell in fill]
    found = []
    for chosen in product(range(p.shape[1]), repeat=len(fill)):
        share = math.prod(float(law[i][value]) for i, value in enumerate(chosen))
        if share > 1e-15:
            end = [0 if cell in reopen else value for cell, value in enumerate(state)]
            for cell, value in zip(fill, chosen, strict=True):
                end[cell] = value + 1
            found.append((tuple(end), share))
    return found


def ends(law: Law) -> dict[State, float]:
    """The law of the end alone."""
    found: dict[State, float] = defaultdict(float)
    for (state, _), mass in law.items():
        found[state] += mass
    return dict(found)


def passes(law: Law) -> dict[int, float]:
    """The law of the number of forward passes."""
    found: dict[int, float] = defaultdict(float)
    for (_, count), mass in law.items():
        found[count] += mass
    return dict(found)


def p_value(seen: Iterable, law: dict) -> float:
    """Chi-square test of draws against their law; 0 where an impossible one was drawn.

    Outcomes of which fewer than 5 are expected count as one, or with the rarest of the others.
    """
    counts = Counter(seen)
    n = counts.total()
    if any(law.get(outcome, 0.0) < 1e-12 for outcome in counts):
        return 0.0
    expected = {outcome: n * mass for outcome, mass in law.items() if mass >= 1e-12}
    often = sorted((o for o, count in expected.items() if count >= 5), key=lambda o: -expected[o])
    observed, wanted = [counts[o] for o in often], [expected[o] for o in often]
    seldom = n - sum(wanted)
    if seldom >= 5:
        observed, wanted = [*observed, 0], [*wanted, 0.0]
    observed[-1] += n - sum(observed)
    wanted[-1] += seldom
    return float(stats.chisquare(observed, wanted).pvalue) if len(wanted) > 1 else 1.0
