"""Zebra's rules written out plainly: what clues mean, all solutions of small puzzles, and puzzles."""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

import numpy as np

from puzzles.base import PuzzleBatch
from puzzles.zebra.clues import KINDS, MOST, N_CELLS, cell_of, given_cells

SMALL = [(3, 3), (4, 3), (3, 4), (3, 5)]
"""Houses and attributes of which all solutions can be written down."""
SIZES = [(houses, attributes) for houses in range(3, 7) for attributes in range(3, 7)]

MEANING = {
    "same": lambda a, b: a == b,
    "different": lambda a, b: a != b,
    "next_to": lambda a, b: abs(a - b) == 1,
    "ends": lambda a, first, last: (a == first) | (a == last),
    "immediate_left": lambda a, b: a + 1 == b,
    "left_of": lambda a, b: a < b,
    "between": lambda a, b, c: (a < b) & (b < c),
    "gap1": lambda a, b: abs(a - b) == 2,
    "gap2": lambda a, b: abs(a - b) == 3,
}


def holds(edge, solutions):
    """bool ``[solutions]``: whether a clue holds in each of int8 ``[solutions, N_CELLS]``."""
    kind = KINDS[edge[0]]
    houses = [solutions[..., cell].astype(int) for cell in edge[1 : 1 + len(kind.roles)]]
    return MEANING[kind.name](*houses)


@cache
def all_fillings(houses, attributes):
    """int8 ``[fillings, N_CELLS]``: every way to give each value of each attribute a house of its own."""
    rows = list(permutations(range(1, houses + 1)))
    found = np.tile(given_cells(houses, attributes), (len(rows) ** attributes, 1))
    table = found.reshape(-1, N_CELLS // MOST, MOST)
    for k, choice in enumerate(product(rows, repeat=attributes)):
        table[k, 1 : attributes + 1, :houses] = choice
    return found


def solutions(edges, houses, attributes):
    """int8 ``[solutions, N_CELLS]``: the fillings in which all clues hold; padding says nothing."""
    found = all_fillings(houses, attributes)
    for edge in edges:
        if edge[0] >= 0:
            found = found[holds(edge, found)]
    return found


def random_solution(houses, attributes, rng):
    """int8 ``[N_CELLS]``."""
    table = given_cells(houses, attributes).reshape(-1, MOST)
    for row in range(1, attributes + 1):
        table[row, :houses] = rng.permutation(houses) + 1
    return table.reshape(-1)


def random_edge(houses, attributes, rng):
    """A clue of a random kind, of different cells of which at most one is a house's number; true or not."""
    kind = int(rng.integers(len(KINDS)))
    own = [cell_of(a, v) for a in range(1, attributes + 1) for v in range(1, houses + 1)]
    roles = len(KINDS[kind].roles)
    cells = [int(cell) for cell in rng.choice(own, roles, replace=False)]
    if KINDS[kind].name == "ends":
        cells[1:] = [cell_of(0, 1), cell_of(0, houses)]
    elif rng.random() < 0.2:
        cells[rng.integers(roles)] = cell_of(0, int(rng.integers(houses)) + 1)
    return [kind, *cells, *[-1] * (3 - roles)]


def true_edges(solution, houses, attributes, number, rng):
    """int16 ``[number, 4]`` of random clues that hold in a solution."""
    edges = []
    while len(edges) < number:
        edge = random_edge(houses, attributes, rng)
        if holds(edge, solution) and edge not in edges:
            edges.append(edge)
    return np.array(edges, np.int16)


def as_batch(sizes, solution, edges, seed=0):
    """A batch; ranks are random, so that they tell cells apart, and techniques follow from them."""
    rng = np.random.default_rng(seed)
    clues = np.stack([given_cells(*size) for size in sizes])
    rank = np.full(clues.shape, -1, np.int16)
    for row, given in enumerate(clues):
        blank = np.flatnonzero(given == 0)
        rank[row, blank] = rng.permutation(len(blank))
    padded = np.full((len(clues), max(map(len, edges)) + 2, 4), -1, np.int16)
    for row, own in enumerate(edges):
        padded[row, : len(own)] = own
    technique = np.where(rank < 0, 0, 1 + rank % 5).astype(np.int8)
    hardest = technique.max(axis=1)
    return PuzzleBatch(
        "zebra-test", clues, np.stack(solution), rank, technique, hardest, np.arange(len(clues)), padded
    )


@cache
def small_puzzles(n=40):
    """``n`` puzzles of `SMALL` sizes with one solution, and clues of every kind among them."""
    rng = np.random.default_rng(3)
    sizes, found, edges = [], [], []
    for k in range(n):
        size = SMALL[k % len(SMALL)]
        solution = random_solution(*size, rng)
        number = 4
        while True:
            own = true_edges(solution, *size, number, rng)
            if len(solutions(own, *size)) == 1:
                break
            number += 1
        sizes.append(size)
        found.append(solution)
        edges.append(own)
    return as_batch(sizes, found, edges)


@cache
def large_puzzles(n=64):
    """``n`` sets of true clues of all sizes, which have a solution and perhaps more."""
    rng = np.random.default_rng(5)
    sizes = [SIZES[k % len(SIZES)] for k in range(n)]
    found = [random_solution(*size, rng) for size in sizes]
    edges = [
        true_edges(solution, *size, int(rng.integers(1, 30)), rng)
        for size, solution in zip(sizes, found, strict=True)
    ]
    return as_batch(sizes, found, edges)


def sizes_of(batch):
    """Houses and attributes of each puzzle of a batch."""
    blank = batch.clues.reshape(len(batch), -1, MOST) == 0
    return list(zip(blank[:, 1].sum(axis=1).tolist(), blank[:, :, 0].sum(axis=1).tolist(), strict=True))
