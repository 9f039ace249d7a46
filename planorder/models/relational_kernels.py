# mypy: disable-error-code="no-untyped-def"
"""The `relational` network's forward pass on a CPU without gradients, fused.

PyTorch runs a dozen passes over main memory a turn. Here `LANES` puzzles stand side by side in the last
axis, so that what is not a matrix product is a loop over contiguous floats, which the compiler vectorises;
a cell is read once a turn, heard, thought about and normalised in the first-level cache; pooling takes
additions instead of a dense product; and puzzles cannot influence each other. The matrix products are
BLAS's, small enough for one thread. Floor: about ``2 turns cells values channels hidden (2 + edges / cells
+ 1 / values)`` operations a puzzle, 103 million for the preset "cpu".
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

EPSILON = np.float32(1e-5)
LANES = 16
"""Puzzles side by side: one AVX-512 register, or two of AVX2, of float32."""


class Weights(NamedTuple):
    """Float32 arrays of one block and what is around it, C-contiguous; matrices as `nn.Linear` has them.

    Attributes:
        embed: ``[3, c]``, the state before the first turn of an unknown pair, this value, another value.
        inject: ``[3, c]``, added at every turn.
        own: ``[h, c]``.
        bias: ``[h]``, of ``own``.
        edge: ``[kinds, h, c]``.
        cell: ``[h, c]``.
        out: ``[c, h]``.
        head: ``[c]``.
        head_bias: ``[1]``.
        members: int16 ``[edges, arity]``, cells of each hyperedge, -1 pads.
        kind: int16 ``[edges]``, index into ``edge``.
        edges_of: int16 ``[cells, most]``, hyperedges of each cell, -1 pads.
    """

    embed: np.ndarray
    inject: np.ndarray
    own: np.ndarray
    bias: np.ndarray
    edge: np.ndarray
    cell: np.ndarray
    out: np.ndarray
    head: np.ndarray
    head_bias: np.ndarray
    members: np.ndarray
    kind: np.ndarray
    edges_of: np.ndarray


@njit(cache=True, nogil=True, fastmath=True)
def absorb(x, update, this, other, table):
    """Adds a cell's update and its embedded clues to its state; all but ``table`` end in ``[lanes]``.

    ``x`` and ``update`` are ``[c, lanes]``; ``this`` and ``other`` say, as 0 or 1, which row of
    ``table [3, c]`` a lane takes.
    """
    for i in range(len(x)):
        unknown, to_this, to_other = table[0, i], table[1, i] - table[0, i], table[2, i] - table[0, i]
        row, change = x[i], update[i]
        for p in range(len(row)):
            row[p] += change[p] + (unknown + this[p] * to_this + other[p] * to_other)


@njit(cache=True, nogil=True, fastmath=True)
def normalise(x, y, mean, scale):
    """Layer norm over the first axis, without weights: ``y`` from ``x``, both ``[c, lanes]``."""
    share = np.float32(1) / np.float32(len(x))
    mean[:] = 0
    for i in range(len(x)):
        for p in range(len(mean)):
            mean[p] += x[i, p]
    mean *= share
    scale[:] = 0
    for i in range(len(x)):
        for p in range(len(mean)):
            scale[p] += (x[i, p] - mean[p]) * (x[i, p] - mean[p])
    for p in range(len(scale)):
        scale[p] = np.float32(1) / np.sqrt(scale[p] * share + EPSILON)
    for i in range(len(x)):
        for p in range(len(mean)):
            y[i, p] = (x[i, p] - mean[p]) * scale[p]


@njit(cache=True, nogil=True, fastmath=True)
def speak(y, heard, said, w):
    """What each hyperedge says, ``said [edges, h, lanes]``: its cells' mean through its kind's matrix."""
    for edge in range(len(w.members)):
        count = np.float32(0)
        heard[:] = 0
        for cell in w.members[edge]:
            if cell >= 0:
                count += 1
                for i in range(len(heard)):
                    total, part = heard[i], y[cell, i]
                    for p in range(len(total)):
                        total[p] += part[p]
        heard *= np.float32(1) / count
        np.dot(w.edge[w.kind[edge]], heard, said[edge])


@njit(cache=True, nogil=True, fastmath=True)
def pool_values(y, pooled):
    """``pooled [c, LANES]``, the mean over a cell's values of ``y [c, values * LANES]``."""
    values = y.shape[1] // LANES
    share = np.float32(1) / np.float32(values)
    for i in range(len(y)):
        for p in range(LANES):
            pooled[i, p] = 0
        for value in range(values):
            for p in range(LANES):
                pooled[i, p] += y[i, value * LANES + p]
        for p in range(LANES):
            pooled[i, p] *= share


@njit(cache=True, nogil=True, fastmath=True)
def spread(base, bias, wide):
    """``wide [h, values * LANES]``: to each value what the cell as a whole says, ``base [h, LANES]``."""
    values = wide.shape[1] // LANES
    for j in range(len(wide)):
        for value in range(values):
            for p in range(LANES):
                wide[j, value * LANES + p] = base[j, p] + bias[j]


@njit(cache=True, nogil=True, fastmath=True)
def activate(hidden, wide, said, edges):
    """Squared ReLU, in place, of ``hidden + wide``, both ``[h, lanes]``, plus what the cell's edges say.

    Three edges at a time, in one pass over a row: ``len(edges)`` is a multiple of three.
    """
    for j in range(len(hidden)):
        row, more = hidden[j], wide[j]
        for first in range(0, len(edges) - 3, 3):
            a, b, c = said[edges[first], j], said[edges[first + 1], j], said[edges[first + 2], j]
            for p in range(len(row)):
                row[p] += a[p] + b[p] + c[p]
        a, b, c = said[edges[-3], j], said[edges[-2], j], said[edges[-1], j]
        for p in range(len(row)):
            positive = max(row[p] + a[p] + b[p] + c[p] + more[p], np.float32(0))
            row[p] = positive * positive


@njit(cache=True, nogil=True)
def in_threes(edges_of, silent):
    """``edges_of`` padded to a multiple of three, at least three, with the edge ``silent`` in place of -1."""
    cells, most = edges_of.shape
    padded = np.full((cells, max(-(-most // 3), 1) * 3), silent, np.int64)
    for cell in range(cells):
        for place in range(most):
            if edges_of[cell, place] >= 0:
                padded[cell, place] = edges_of[cell, place]
    return padded


@njit(cache=True, nogil=True, fastmath=True)
def forward_tile(this, other, turns, w, logits):
    """Logits of `LANES` puzzles; ``this``, ``other``, ``logits``: float32 ``[cells, values * LANES]``."""
    cells, lanes = this.shape
    width, channels = w.own.shape
    x = np.zeros((cells, channels, lanes), np.float32)
    y = np.empty((cells, channels, lanes), np.float32)
    said = np.zeros((len(w.members) + 1, width, lanes), np.float32)  # the last edge stays silent
    edges = in_threes(w.edges_of, len(w.members))
    heard, update = np.empty((channels, lanes), np.float32), np.zeros((channels, lanes), np.float32)
    hidden, wide = np.empty((width, lanes), np.float32), np.empty((width, lanes), np.float32)
    base = np.empty((width, LANES), np.float32)
    pooled = np.empty((channels, LANES), np.float32)
    mean, scale = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    for cell in range(cells):
        absorb(x[cell], update, this[cell], other[cell], w.embed)
        absorb(x[cell], update, this[cell], other[cell], w.inject)
        normalise(x[cell], y[cell], mean, scale)
    none = np.zeros_like(w.inject)
    for turn in range(turns):
        speak(y, heard, said, w)
        clues = w.inject if turn + 1 < turns else none
        for cell in range(cells):
            pool_values(y[cell], pooled)
            np.dot(w.cell, pooled, base)
            np.dot(w.own, y[cell], hidden)
            spread(base, w.bias, wide)
            activate(hidden, wide, said, edges[cell])
            np.dot(w.out, hidden, update)
            absorb(x[cell], update, this[cell], other[cell], clues)
            normalise(x[cell], y[cell], mean, scale)
    for cell in range(cells):
        logits[cell] = w.head_bias[0]
        for i in range(channels):
            for p in range(lanes):
                logits[cell, p] += y[cell, i, p] * w.head[i]


def forward(states: np.ndarray, turns: int, weights: Weights, threads: int) -> np.ndarray:
    """float32 logits of int8 ``states [batch, cells, values]`` (0 unknown, 1 this value, 2 another one)."""
    batch, cells, values = states.shape
    tiles = -(-batch // LANES)
    padded = np.zeros((tiles * LANES, cells, values), np.int8)
    padded[:batch] = states
    lanes = padded.reshape(tiles, LANES, cells, values).transpose(0, 2, 3, 1).reshape(tiles, cells, -1)
    this, other = (lanes == 1).astype(np.float32), (lanes == 2).astype(np.float32)
    logits = np.empty(lanes.shape, np.float32)

    def run(tile: int) -> None:
        forward_tile(this[tile], other[tile], turns, weights, logits[tile])

    if min(threads, tiles) == 1:
        for tile in range(tiles):
            run(tile)
    else:
        with ThreadPoolExecutor(min(threads, tiles)) as pool:
            list(pool.map(run, range(tiles)))
    shape = (tiles, cells, values, LANES)
    return np.ascontiguousarray(logits.reshape(shape).transpose(0, 3, 1, 2).reshape(padded.shape)[:batch])
