"""The same jobs as a first program would do them, in plain Python and NumPy: the baselines."""

from __future__ import annotations

import random

import numpy as np

FULL = 0b111111111
UNITS = (
    [[9 * r + c for c in range(9)] for r in range(9)]
    + [[9 * r + c for r in range(9)] for c in range(9)]
    + [[9 * (3 * i + r) + 3 * j + c for r in range(3) for c in range(3)] for i in range(3) for j in range(3)]
)
PEERS = [sorted({p for unit in UNITS if cell in unit for p in unit} - {cell}) for cell in range(81)]


def valid(cells: np.ndarray, clues: np.ndarray) -> np.ndarray:
    """Validity by NumPy's bitwise reductions: bool ``[batch]`` of int8 ``[batch, 81]``."""
    bits = np.left_shift(np.int16(1), cells.astype(np.int16)).reshape(-1, 3, 3, 3, 3)
    every = np.int16(FULL << 1)
    good = ((clues == 0) | (clues == cells)).all(1)
    for axes in ((3, 4), (1, 2), (2, 4)):
        good &= (np.bitwise_or.reduce(np.bitwise_or.reduce(bits, axes[1]), axes[0]) == every).all((1, 2))
    return good


def candidates(board: list[int]) -> list[int]:
    """Bit masks of what each blank may still be; 0 on filled cells."""
    masks = [0 if value else FULL for value in board]
    for cell, value in enumerate(board):
        if value:
            for peer in PEERS[cell]:
                masks[peer] &= ~(1 << (value - 1))
    return masks


def count_solutions(
    board: list[int], limit: int = 2, rng: random.Random | None = None
) -> tuple[int, list[int]]:
    """Number of solutions up to ``limit`` and the last one, by backtracking on the fewest candidates."""
    board, found, last = list(board), 0, []
    rows, columns, boxes = [FULL] * 9, [FULL] * 9, [FULL] * 9
    place = [(cell // 9, cell % 9, cell // 27 * 3 + cell % 9 // 3) for cell in range(81)]
    for cell, value in enumerate(board):
        if value:
            r, c, b = place[cell]
            bit = 1 << (value - 1)
            rows[r], columns[c], boxes[b] = rows[r] & ~bit, columns[c] & ~bit, boxes[b] & ~bit

    def search() -> None:
        nonlocal found, last
        best, mask = -1, 0
        for cell in range(81):
            if not board[cell]:
                r, c, b = place[cell]
                free = rows[r] & columns[c] & boxes[b]
                if best < 0 or free.bit_count() < mask.bit_count():
                    best, mask = cell, free
                    if free.bit_count() < 2:
                        break
        if best < 0:
            found, last = found + 1, list(board)
            return
        r, c, b = place[best]
        values = [value for value in range(1, 10) if mask >> (value - 1) & 1]
        if rng:
            rng.shuffle(values)
        for value in values:
            bit = 1 << (value - 1)
            rows[r], columns[c], boxes[b], board[best] = (
                rows[r] ^ bit,
                columns[c] ^ bit,
                boxes[b] ^ bit,
                value,
            )
            search()
            rows[r], columns[c], boxes[b], board[best] = rows[r] ^ bit, columns[c] ^ bit, boxes[b] ^ bit, 0
            if found >= limit:
                return

    search()
    return found, last


def generate(rng: random.Random) -> tuple[list[int], list[int]]:
    """A minimal puzzle and its solution: a random grid, and every clue taken that can go."""
    _, solution = count_solutions([0] * 81, 1, rng)
    clues = list(solution)
    for cell in rng.sample(range(81), 81):
        kept, clues[cell] = clues[cell], 0
        if count_solutions(clues)[0] > 1:
            clues[cell] = kept
    return clues, solution


def solve_singles(clues: list[int]) -> tuple[list[int], list[int]]:
    """The grid after singles, lone ones before hidden ones, and the cells in the order they were filled."""
    board, masks, order = list(clues), candidates(clues), []
    while True:
        cell = next((c for c in range(81) if masks[c].bit_count() == 1), -1)
        mask = masks[cell]
        if cell < 0:
            cell, mask = hidden_single(masks)
        if cell < 0:
            return board, order
        board[cell], masks[cell] = mask.bit_length(), 0
        order.append(cell)
        for peer in PEERS[cell]:
            masks[peer] &= ~mask


def hidden_single(masks: list[int]) -> tuple[int, int]:
    """The first cell that alone can hold a value in some unit, and the value's bit; -1 if there is none."""
    for unit in UNITS:
        for value in range(9):
            places = [cell for cell in unit if masks[cell] >> value & 1]
            if len(places) == 1:
                return places[0], 1 << value
    return -1, 0


def augment(fields: tuple[np.ndarray, ...], rng: np.random.Generator) -> list[np.ndarray]:
    """Clues, solution, rank and technique of each puzzle under a random symmetry, a NumPy loop."""
    out = [np.empty_like(field) for field in fields]
    for row in range(len(fields[0])):
        rows = np.concatenate([3 * band + rng.permutation(3) for band in rng.permutation(3)])
        columns = np.concatenate([3 * stack + rng.permutation(3) for stack in rng.permutation(3)])
        source = (9 * rows[:, None] + columns).ravel()
        if rng.integers(2):
            source = source.reshape(9, 9).T.ravel()
        rename = np.concatenate([[0], 1 + rng.permutation(9)]).astype(np.int8)
        for k, field in enumerate(fields):
            moved = field[row, source]
            out[k][row] = rename[moved] if k < 2 else moved
    return out


def decode_top_margin(logits: np.ndarray, clues: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells and their steps, a row and a cell at a time, of a model that always gives ``logits``."""
    cells, steps = clues.copy(), np.full(clues.shape, -1, np.int16)
    for row in range(len(clues)):
        for step in range(int((clues[row] == 0).sum())):
            blank = np.flatnonzero(cells[row] == 0)
            shifted = np.exp(logits[blank] - logits[blank].max(1, keepdims=True))
            probs = np.sort(shifted / shifted.sum(1, keepdims=True), 1)
            chosen = blank[(probs[:, -1] - probs[:, -2]).argmax()]
            cells[row, chosen], steps[row, chosen] = 1 + logits[chosen].argmax(), step
    return cells, steps
