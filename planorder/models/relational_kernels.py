# mypy: disable-error-code="no-untyped-def"
"""The `relational` network's forward pass on a CPU without gradients, fused: a puzzle stays in the cache.

PyTorch runs a dozen passes over memory a turn; here a turn of one puzzle (a few hundred kB) never leaves the
second-level cache, pooling takes additions instead of a dense product, and rows cannot influence each other.
Floor: ``2 turns cells values (2 c h) (1 + ...)`` operations, about 88 million for the preset "cpu".
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

EPSILON = np.float32(1e-5)
ROWS = 81
"""Rows of a matrix product: small enough for the first-level cache, and for BLAS to stay on one thread."""


class Weights(NamedTuple):
    """Float32 arrays of one block and of what stands around it, C-contiguous.

    Attributes:
        embed: ``[states, c]``, the state before the first turn.
        inject: ``[states, c]``, added at every turn.
        own: ``[c, h]``.
        bias: ``[h]``, of ``own``.
        edge: ``[kinds, c, h]``.
        cell: ``[c, h]``.
        out: ``[h, c]``.
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
def normalise(x, y):
    """Layer norm without weights: ``y`` from ``x``, both ``[c]``."""
    mean = np.float32(0)
    for i in range(len(x)):
        mean += x[i]
    mean /= np.float32(len(x))
    spread = np.float32(0)
    for i in range(len(x)):
        spread += (x[i] - mean) * (x[i] - mean)
    scale = np.float32(1) / np.sqrt(spread / np.float32(len(x)) + EPSILON)
    for i in range(len(x)):
        y[i] = (x[i] - mean) * scale


@njit(cache=True, nogil=True, fastmath=True)
def speak(y, heard, said, w):
    """What each hyperedge says for each value: the mean of its cells through its kind's matrix."""
    values, channels = y.shape[1], y.shape[2]
    for edge in range(len(w.members)):
        heard[edge] = 0
        count = np.float32(0)
        for cell in w.members[edge]:
            if cell >= 0:
                count += 1
                heard[edge] += y[cell]
        heard[edge] /= count
    first = 0
    while first < len(w.kind):
        last = first + 1
        while last < len(w.kind) and w.kind[last] == w.kind[first] and (last - first + 1) * values <= ROWS:
            last += 1
        rows = (last - first) * values
        np.dot(
            heard[first:last].reshape(rows, channels),
            w.edge[w.kind[first]],
            said[first:last].reshape(rows, said.shape[2]),
        )
        first = last


@njit(cache=True, nogil=True, fastmath=True)
def think(x, y, said, first, last, mean, base, hidden, update, w):
    """Updates the states of cells ``first`` to ``last - 1`` from themselves and their hyperedges."""
    values, channels = y.shape[1], y.shape[2]
    cells = last - first
    rows = cells * values
    for cell in range(cells):
        mean[cell] = 0
        for value in range(values):
            mean[cell] += y[first + cell, value]
        mean[cell] /= np.float32(values)
    np.dot(mean[:cells], w.cell, base[:cells])
    np.dot(y[first:last].reshape(rows, channels), w.own, hidden[:rows])
    for cell in range(cells):
        base[cell] += w.bias
        for value in range(values):
            row = hidden[cell * values + value]
            row += base[cell]
            for edge in w.edges_of[first + cell]:
                if edge >= 0:
                    row += said[edge, value]
            for j in range(len(row)):
                positive = max(row[j], np.float32(0))
                row[j] = positive * positive
    np.dot(hidden[:rows], w.out, update[:rows])
    for cell in range(cells):
        for value in range(values):
            x[first + cell, value] += update[cell * values + value]


@njit(cache=True, nogil=True, fastmath=True)
def forward_rows(states, turns, w, logits):
    """Logits ``[batch, cells, values]`` of int8 ``states [batch, cells, values]``, puzzle by puzzle."""
    cells, values = states.shape[1], states.shape[2]
    width, channels = w.out.shape
    block = max(ROWS // values, 1)
    x = np.empty((cells, values, channels), np.float32)
    y = np.empty((cells, values, channels), np.float32)
    heard = np.empty((len(w.members), values, channels), np.float32)
    said = np.empty((len(w.members), values, width), np.float32)
    mean, base = np.empty((block, channels), np.float32), np.empty((block, width), np.float32)
    hidden = np.empty((block * values, width), np.float32)
    update = np.empty((block * values, channels), np.float32)
    for row in range(len(states)):
        for cell in range(cells):
            for value in range(values):
                x[cell, value] = w.embed[states[row, cell, value]]
        for _ in range(turns):
            for cell in range(cells):
                for value in range(values):
                    x[cell, value] += w.inject[states[row, cell, value]]
                    normalise(x[cell, value], y[cell, value])
            speak(y, heard, said, w)
            for first in range(0, cells, block):
                think(x, y, said, first, min(first + block, cells), mean, base, hidden, update, w)
        for cell in range(cells):
            for value in range(values):
                normalise(x[cell, value], y[cell, value])
                logits[row, cell, value] = w.head_bias[0] + np.dot(y[cell, value], w.head)


def forward(states: np.ndarray, turns: int, weights: Weights, threads: int) -> np.ndarray:
    """float32 logits ``[batch, cells, values]`` of int8 ``states``, the batch shared out to ``threads``."""
    logits = np.empty(states.shape, np.float32)
    parts = [part for part in np.array_split(np.arange(len(states)), threads) if len(part)]
    rows = [slice(part[0], part[-1] + 1) for part in parts]
    if len(rows) == 1:
        forward_rows(states, turns, weights, logits)
        return logits
    with ThreadPoolExecutor(len(rows)) as pool:
        list(pool.map(lambda part: forward_rows(states[part], turns, weights, logits[part]), rows))
    return logits
