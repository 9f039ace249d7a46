# mypy: disable-error-code="no-untyped-def"
"""The symmetries of Zebra puzzles: random ones for augmentation, and one representative for all of them.

The group of n houses and m attributes: any order of the attributes, any renaming of the n values of each, and
the mirror, which numbers the houses from the right: m! x (n!)^m x 2. The mirror turns "left of" round, and
"between" with it. Everything here is in the position layout of `clues`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
from numba import njit

from puzzles.base import PuzzleBatch, UserInputError
from puzzles.kernels import below, shuffle
from puzzles.zebra.clues import (
    BETWEEN,
    DIFFERENT,
    ENDS,
    GAP1,
    GAP2,
    IMMEDIATE_LEFT,
    LEFT_OF,
    MEMBERS,
    MOST,
    N_CELLS,
    NEXT_TO,
    SAME,
    size_of,
)

_BITS = 6  # of a member in an edge's sort key: cells + 1 fit, and 0 stands for no member


def augment(batch: PuzzleBatch, rng: np.random.Generator) -> PuzzleBatch:
    """Each puzzle under a random symmetry of its own, and its edges in a random order.

    Args:
        batch: puzzles of any sizes in the position layout; padding edges come last.
        rng: gives a seed a puzzle, so the result depends on its state and the batch alone.

    Returns:
        A new batch; ``hardest`` and ``index`` are kept, all else moves with its cells. What a smaller size
        lacks stays where it is.
    """
    if batch.edges is None:
        raise UserInputError(
            f"puzzles of {batch.family} without edges: expected Zebra puzzles, with their clues"
        )
    names = ("clues", "solution", "rank", "technique", "edges")
    fields = [np.ascontiguousarray(getattr(batch, name)) for name in names]
    out: list[Any] = [np.empty_like(field) for field in fields]
    seeds = rng.integers(0, 2**64, len(batch), dtype=np.uint64)
    arguments: list[Any] = [*fields, *size_of(batch.clues), seeds, *out]
    augment_many(*arguments)
    return replace(batch, **dict(zip(names, out, strict=True)))


def canonical(clues: np.ndarray, edges: np.ndarray, solution: np.ndarray) -> np.ndarray:
    """One puzzle for all that symmetry makes equal: the least image of the edges.

    Values are named by the house that the solution gives them, so the form's own solution is the identity;
    what is left, the order of the attributes and the mirror, is tried in full. Images are compared as sorted
    lists of edges, in each of which the members of a symmetric kind are sorted.

    Args:
        clues: int8 ``[batch, N_CELLS]``, those of the puzzles' sizes (`clues.given_cells`), no further cells.
        edges: int16 ``[batch, width, 4]``.
        solution: int8 ``[batch, N_CELLS]``, the only solution of each, in the position layout.

    Returns:
        int16 ``[batch, N_CELLS + 4 * width]``: the clues, then the edges, flattened and sorted, padding last.
    """
    edges = np.ascontiguousarray(edges, np.int16)
    solution = np.ascontiguousarray(solution, np.int8)
    houses, attributes = size_of(clues)
    out = np.empty(edges.shape, np.int16)
    for size in np.unique(attributes):
        rows = np.flatnonzero(attributes == size)
        least_images(rows, edges, solution, houses, _orders(int(size)), out)
    return np.concatenate([clues.astype(np.int16), out.reshape(len(out), -1)], axis=1)


@cache
def _orders(size: int) -> np.ndarray:
    """int64 ``[size!, size + 1]``: where each attribute goes, in every order; house numbers stay first."""
    return np.array([(0, *order) for order in permutations(range(1, size + 1))])


@njit(cache=True, nogil=True)
def mirror_edge(edge):
    """Turns an edge whose cells are already those of the mirrored puzzle, in place."""
    if edge[0] in (IMMEDIATE_LEFT, LEFT_OF):
        edge[1], edge[2] = edge[2], edge[1]
    elif edge[0] == BETWEEN:
        edge[1], edge[3] = edge[3], edge[1]
    elif edge[0] == ENDS:
        edge[2], edge[3] = edge[3], edge[2]


@njit(cache=True, nogil=True)
def random_symmetry(houses, attributes, rng, target):
    """A uniformly random symmetry: what cell i holds goes to ``target[i]``; whether it has the mirror."""
    for cell in range(N_CELLS):
        target[cell] = cell
    mirrored = below(rng, 2) == 1
    if mirrored:
        for house in range(houses):
            target[house] = houses - 1 - house
    order = np.arange(1, attributes + 1)
    shuffle(order, rng)
    for attribute in range(attributes):
        first = (attribute + 1) * MOST
        names = target[first : first + houses]
        for value in range(houses):
            names[value] = order[attribute] * MOST + value
        shuffle(names, rng)
    return mirrored


@njit(cache=True, nogil=True)
def augment_many(
    clues, solution, rank, technique, edges, houses, attributes, seeds,
    new_clues, new_solution, new_rank, new_technique, new_edges,
):  # fmt: skip
    """Each puzzle under a random symmetry of its own, written to the arrays that begin with ``new``.

    ``houses`` and ``attributes`` are int64 ``[batch]``, ``seeds`` uint64 ``[batch]``.
    """
    rng = np.empty(1, np.uint64)
    target = np.empty(N_CELLS, np.int64)
    places = np.empty(edges.shape[1], np.int64)
    for row in range(len(clues)):
        rng[0] = seeds[row]
        n, m = houses[row], attributes[row]
        mirrored = random_symmetry(n, m, rng, target)
        for cell in range(N_CELLS):
            new = target[cell]
            clue, house = clues[row, cell], solution[row, cell]
            if mirrored and cell < (m + 1) * MOST and cell % MOST < n:
                clue = n + 1 - clue if clue else clue
                house = n + 1 - house if house else house
            new_clues[row, new] = clue
            new_solution[row, new] = house
            new_rank[row, new] = rank[row, cell]
            new_technique[row, new] = technique[row, cell]
        real = 0
        while real < edges.shape[1] and edges[row, real, 0] >= 0:
            places[real] = real
            real += 1
        shuffle(places[:real], rng)
        for k in range(edges.shape[1]):
            edge = new_edges[row, places[k] if k < real else k]
            edge[0] = edges[row, k, 0]
            for member in range(1, MEMBERS + 1):
                cell = edges[row, k, member]
                edge[member] = target[cell] if cell >= 0 else -1
            if mirrored:
                mirror_edge(edge)


@njit(cache=True, nogil=True)
def edge_key(edge, order):
    """An edge as an integer whose order is the edges' own; ``edge`` holds cells named by houses.

    Attribute a goes to ``order[a]``, and the members of a symmetric kind are sorted.
    """
    kind = edge[0]
    first = order[edge[1] // MOST] * MOST + edge[1] % MOST + 1
    second = order[edge[2] // MOST] * MOST + edge[2] % MOST + 1
    third = np.int64(0)
    if edge[3] >= 0:
        third = order[edge[3] // MOST] * MOST + edge[3] % MOST + 1
    symmetric = kind in (SAME, DIFFERENT, NEXT_TO, GAP1, GAP2)
    if symmetric and first > second:
        first, second = second, first
    return ((kind << _BITS | first) << _BITS | second) << _BITS | third


@njit(cache=True, nogil=True)
def sorted_keys(named, order, keys):
    """Fills ``keys`` with those of the edges ``named``, ascending."""
    for k in range(len(keys)):
        key = edge_key(named[k], order)
        place = k
        while place and keys[place - 1] > key:
            keys[place] = keys[place - 1]
            place -= 1
        keys[place] = key


@njit(cache=True, nogil=True)
def less(a, b):
    """Whether one row of integers comes before another of its length."""
    for k in range(len(a)):
        if a[k] != b[k]:
            return a[k] < b[k]
    return False


@njit(cache=True, nogil=True)
def name_by_house(edges, solution, houses, mirrored, named):
    """Writes edges whose cells are renamed by the houses that they hold; returns how many are real."""
    real = 0
    while real < len(edges) and edges[real, 0] >= 0:
        named[real, 0] = edges[real, 0]
        for member in range(1, MEMBERS + 1):
            cell = edges[real, member]
            named[real, member] = -1
            if cell >= 0:
                house = np.int64(solution[cell])
                place = houses - house if mirrored else house - 1
                named[real, member] = cell // MOST * MOST + place
        if mirrored:
            mirror_edge(named[real])
        real += 1
    return real


@njit(cache=True, nogil=True)
def least_images(rows, edges, solution, houses, orders, out):
    """Writes the least image of the edges of some rows, all of as many attributes as ``orders`` has."""
    width = edges.shape[1]
    named = np.empty((width, 1 + MEMBERS), np.int64)
    keys, least = np.empty(width, np.int64), np.empty(width, np.int64)
    mask = (1 << _BITS) - 1
    for row in rows:
        found, real = False, 0
        for mirrored in (False, True):
            real = name_by_house(edges[row], solution[row], houses[row], mirrored, named)
            for order in orders:
                sorted_keys(named, order, keys[:real])
                if not found or less(keys[:real], least[:real]):
                    keys, least = least, keys
                    found = True
        out[row] = -1
        for k in range(real):
            out[row, k, 0] = least[k] >> 3 * _BITS
            for member in range(1, MEMBERS + 1):
                out[row, k, member] = (least[k] >> (MEMBERS - member) * _BITS & mask) - 1
