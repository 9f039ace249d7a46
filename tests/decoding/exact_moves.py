"""Published rules as `Move`s of `exact_joint.law_of`, in plain Python from their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
from exact_joint import Move, Moves, State

Choice = tuple[float, set[int]]


def blanks(state: State) -> list[int]:
    return [cell for cell, value in enumerate(state) if value == 0]


def filled(state: State) -> list[int]:
    return [cell for cell, value in enumerate(state) if value]


def each_by_itself(cells: list[int], chance: float) -> Iterator[Choice]:
    """Every subset, with the probability that independent draws give it."""
    for size in range(len(cells) + 1):
        for chosen in combinations(cells, size):
            yield chance**size * (1 - chance) ** (len(cells) - size), set(chosen)


def alike(cells: list[int], size: int) -> Iterator[Choice]:
    """Every subset of a size, all as likely."""
    size = min(size, len(cells))
    for chosen in combinations(cells, size):
        yield 1 / math.comb(len(cells), size), set(chosen)


def linear(i: int, steps: int) -> float:
    return i / steps


def cosine(i: int, steps: int) -> float:
    return 1 - math.cos(math.pi / 2 * i / steps)


def bent(i: int, steps: int) -> float:
    """ReMDM-loop's schedule with t_on 0.6, t_off 0.2, alpha_on 0.5."""
    return float(np.interp(i / steps, [0, 0.4, 0.8, 1], [0, 0.5, 0.5, 1]))


def ancestral(steps: int, alpha: Callable = linear) -> Move:
    """Each blank by itself with probability (alpha_s - alpha_t) / (1 - alpha_t)."""
    return posterior(lambda now, after, most: 0.0, steps, alpha)


def posterior(sigma: Callable[[float, float, float], float], steps: int, alpha: Callable = linear) -> Move:
    """ReMDM's step: filled cells reopen with probability min(sigma(now, after, sigma_max), sigma_max)."""

    def move(step: int, state: State, p: np.ndarray) -> Moves:
        now, after = alpha(step, steps), alpha(step + 1, steps)
        most = min(1.0, (1 - after) / now) if now else 1.0
        s = min(sigma(now, after, most), most) if now else 0.0
        u = (after - (1 - s) * now) / (1 - now)
        for a, fill in each_by_itself(blanks(state), u):
            for b, reopen in each_by_itself(filled(state), s):
                yield a * b, fill, reopen

    return move


def random_until(target: Callable[[int], int]) -> Move:
    """Random blanks, until so many cells are filled after a step."""
    return lambda step, state, p: (
        (chance, fill, set()) for chance, fill in alike(blanks(state), target(step) - len(filled(state)))
    )


def certain(chosen: Callable[[list[int], np.ndarray], set[int]]) -> Move:
    """A rule without chance: these of the blanks."""
    return lambda step, state, p: [(1.0, chosen(blanks(state), p), set())]


def threshold(tau: float) -> Move:
    """All blanks with p1 >= tau, and the surest."""
    return certain(
        lambda open_, p: {
            max(open_, key=lambda cell: p[cell].max()),
            *(cell for cell in open_ if p[cell].max() >= tau),
        }
    )


def entropy(p: np.ndarray) -> float:
    return -sum(float(x) * math.log(x) for x in p if x > 0)


def entropy_bound(gamma: float) -> Move:
    """Blanks by rising entropy, as long as sum H - max H <= gamma."""

    def chosen(open_: list[int], p: np.ndarray) -> set[int]:
        ranked = sorted(open_, key=lambda cell: entropy(p[cell]))
        sums = [sum(entropy(p[cell]) for cell in ranked[:size]) for size in range(len(ranked))]
        return {ranked[0], *(cell for cell, before in zip(ranked, sums, strict=True) if before <= gamma)}

    return certain(chosen)


def above_a_line(top: Callable[[State, np.ndarray, int], Iterator[Choice]], steps: int) -> Move:
    """Planners on the linear schedule: cells above the line stand or are filled, the others are masked."""

    def move(step: int, state: State, p: np.ndarray) -> Moves:
        n = len(state)
        for chance, kept in top(state, p, n - n * (steps - step - 1) // steps):
            yield chance, kept & set(blanks(state)), set(filled(state)) - kept

    return move


def by_p1(state: State, p: np.ndarray, size: int) -> Iterator[Choice]:
    yield 1.0, set(sorted(range(len(state)), key=lambda cell: -p[cell].max())[:size])


def at_random(state: State, p: np.ndarray, size: int) -> Iterator[Choice]:
    return alike(list(range(len(state))), size)


def nucleus(p: np.ndarray) -> np.ndarray:
    """The likeliest values that reach 0.8, normalised."""
    ranked, kept, mass = sorted(range(len(p)), key=lambda value: -p[value]), np.zeros_like(p), 0.0
    for value in ranked:
        if mass < 0.8:
            kept[value], mass = p[value], mass + p[value]
    return kept / mass
