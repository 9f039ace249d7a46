"""Zebra's jobs as a first program would do them, in plain Python and NumPy: the baselines."""

from __future__ import annotations

import random
from itertools import product

import numpy as np

MOST, ROWS = 6, 7
MEANING = (
    lambda a, b: a == b,
    lambda a, b: a != b,
    lambda a, b: abs(a - b) == 1,
    lambda a, first, last: (a == first) | (a == last),
    lambda a, b: a + 1 == b,
    lambda a, b: a < b,
    lambda a, b, c: (a < b) & (b < c),
    lambda a, b: abs(a - b) == 2,
    lambda a, b: abs(a - b) == 3,
)
"""What each kind of clue says of its members' houses."""
MEMBERS = [meaning.__code__.co_argcount for meaning in MEANING]
WEIGHTS = (4, 1, 2, 2, 2, 2, 1, 1, 1)

Clue = tuple[int, ...]
Domains = list[set[int]]


def valid(cells: np.ndarray, clues: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Validity by NumPy, a kind at a time: bool ``[batch]`` of int8 ``[batch, 42]``."""
    good = ((clues == 0) | (clues == cells)).all(1)
    rows = np.sort(cells.reshape(-1, ROWS, MOST), 2)
    good &= (rows == np.arange(1, MOST + 1)).all((1, 2))
    for kind, meaning in enumerate(MEANING):
        row, place = np.nonzero(edges[..., 0] == kind)
        members = edges[row, place, 1 : 1 + MEMBERS[kind]].T
        said = meaning(*(cells[row, member] for member in members))
        good[row[~said]] = False
    return good


def clues_of(edges: np.ndarray) -> list[Clue]:
    """Edges of one puzzle as tuples, without padding."""
    return [tuple(edge[: 1 + MEMBERS[edge[0]]]) for edge in edges.tolist() if edge[0] >= 0]


def domains_of(given: list[int]) -> Domains:
    """The houses that are left to each cell by what is given in cells."""
    rows = [given[first : first + MOST] for first in range(0, len(given), MOST)]
    return [{house} if house else set(range(1, MOST + 1)) - set(row) for row in rows for house in row]


def use_clue(clue: Clue, domains: Domains) -> bool:
    """Strikes the houses that no true case of a clue has; whether there were any."""
    kind, *cells = clue
    cases = [houses for houses in product(*(domains[c] for c in cells)) if MEANING[kind](*houses)]
    changed = False
    for cell, left in zip(
        cells, map(set, zip(*cases, strict=True)) if cases else [set()] * len(cells), strict=True
    ):
        changed |= left != domains[cell]
        domains[cell] = left
    return changed


def use_row(first: int, domains: Domains) -> bool:
    """Strikes placed houses from the others of a row, and sets hidden singles; whether anything changed."""
    cells, changed = range(first, first + MOST), False
    for cell in cells:
        others = [domains[c] for c in cells if c != cell]
        left = domains[cell].difference(*(d for d in others if len(d) == 1))
        only = left.difference(*others)
        left = only if len(only) == 1 else left
        changed |= left != domains[cell]
        domains[cell] = left
    return changed


def propagate(domains: Domains, clues: list[Clue], order: list[int] | None = None) -> bool:
    """Rules until nothing changes; False on a contradiction. ``order`` gets the cells as they are placed."""
    while True:
        changed = any([use_clue(clue, domains) for clue in clues])
        changed |= any([use_row(first, domains) for first in range(0, ROWS * MOST, MOST)])
        if not all(domains):
            return False
        if order is not None:
            order += [c for c, d in enumerate(domains) if len(d) == 1 and c not in order]
        if not changed:
            return True


def solved(domains: Domains) -> bool:
    return all(len(domain) == 1 for domain in domains)


def count_solutions(domains: Domains, clues: list[Clue], limit: int = 2) -> int:
    """Solutions up to ``limit``: rules, then a guess in the cell with the fewest houses."""
    if not propagate(domains, clues):
        return 0
    if solved(domains):
        return 1
    cell = min((c for c, d in enumerate(domains) if len(d) > 1), key=lambda c: len(domains[c]))
    found = 0
    for house in sorted(domains[cell]):
        guess = [set(domain) for domain in domains]
        guess[cell] = {house}
        found += count_solutions(guess, clues, limit - found)
        if found >= limit:
            break
    return found


def random_clue(rng: random.Random, houses: int, attributes: int, solution: list[int]) -> Clue:
    """A true clue of a random kind."""
    own = [MOST * a + v for a in range(1, attributes + 1) for v in range(houses)]
    while True:
        kind = rng.choices(range(len(MEANING)), WEIGHTS)[0]
        cells = [rng.choice(own)] + [rng.choice(own + list(range(houses))) for _ in range(MEMBERS[kind] - 1)]
        if kind == 3:
            cells[1:] = [0, houses - 1]
        one_row = kind < 2 and cells[0] // MOST == cells[1] // MOST
        if not one_row and len({*cells}) == len(cells) and MEANING[kind](*(solution[c] for c in cells)):
            return kind, *cells


def generate(rng: random.Random, given: list[int], hard: bool) -> tuple[list[Clue], list[int]]:
    """Clues of a puzzle that needs each of them, and its solution; tier "hard" is what rules do not solve."""
    houses, attributes = given[MOST : 2 * MOST].count(0), given[::MOST].count(0)
    while True:
        solution, clues = list(given), []
        for first in range(MOST, (attributes + 1) * MOST, MOST):
            solution[first : first + houses] = rng.sample(range(1, houses + 1), houses)
        domains = domains_of(given)
        while not solved(domains):
            clues.append(random_clue(rng, houses, attributes, solution))
            if use_clue(clues[-1], domains):
                propagate(domains, clues)
        for clue in rng.sample(clues, len(clues)):
            less, domains = [c for c in clues if c != clue], domains_of(given)
            if hard:
                clues = less if count_solutions(domains, less) == 1 else clues
            elif propagate(domains, less) and solved(domains):
                clues = less
        domains = domains_of(given)
        propagate(domains, clues)
        if solved(domains) != hard:
            return clues, solution
