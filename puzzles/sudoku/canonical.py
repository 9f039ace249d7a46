# mypy: disable-error-code="no-untyped-def"
"""One representative for all Sudokus that symmetry makes equal: the least image under the whole group.

Images are compared cell by cell, row after row, with a blank below every value ("minlex"). Values are thus
named 1, 2, ... in the order in which they first appear.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from puzzles.base import UserInputError

NODES = 200_000
"""Partial images after which a puzzle is given up; a minimal 3x3 puzzle takes dozens, a full grid 24,000."""

ROW, STACK, COLUMN, NAME = range(4)


class Work(NamedTuple):
    """A partial image and the least one so far, with L lines of L cells.

    Rows above the present one are chosen. Columns that are blank in all of them look alike, so they are
    chosen only when a clue tells them apart, and so are stacks: in the image they stand leftmost.

    Attributes:
        shape: int64 ``[2]``; rows and columns of a box.
        nodes: int64 ``[1]``; partial images still allowed.
        grid: int8 ``[L, L]``; the puzzle, or its transpose.
        least: int8 ``[L, L]``; the least image so far.
        known: int64 ``[1]``; how many rows of ``least`` are set.
        row_at: int64 ``[L]``; which row of the grid stands in each row of the image.
        taken: bool ``[L]``; rows of the grid that are chosen.
        stack_at: int64 ``[stacks]``; which stack stands in each place, -1 while open.
        column_at: int64 ``[L]``; which column stands in each place, -1 while open.
        open_stack: bool ``[stacks]``; stacks without a place.
        open_column: bool ``[L]``; columns without a place.
        label: int64 ``[L + 1]``; what each value is renamed to, 0 while open.
        labels: int64 ``[1]``; how many values are renamed.
        images: int8 ``[L, L, L]``; at each depth the least image of each row of the grid.
        segments: int64 ``[stacks, columns of a box]``; scratch of `row_image`.
    """

    shape: np.ndarray
    nodes: np.ndarray
    grid: np.ndarray
    least: np.ndarray
    known: np.ndarray
    row_at: np.ndarray
    taken: np.ndarray
    stack_at: np.ndarray
    column_at: np.ndarray
    open_stack: np.ndarray
    open_column: np.ndarray
    label: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    segments: np.ndarray


def canonical_many(clues: np.ndarray, box_rows: int, box_cols: int) -> np.ndarray:
    """The least image of each puzzle under all symmetries of its box shape.

    The symmetries are those of `symmetry`: renaming values, permuting bands, stacks, rows within a band and
    columns within a stack, and transposition where boxes are square. The search extends images row by row
    and follows only those that are least so far.

    Args:
        clues: int8 ``[batch, cells]``, 0 is blank, no value twice in a unit; full grids are allowed.
        box_rows: rows of a box.
        box_cols: columns of a box.

    Returns:
        int8 ``[batch, cells]``.

    Raises:
        UserInputError: a puzzle beyond 3x3 boxes with too many images that begin alike, e.g. a full grid.
    """
    clues = np.ascontiguousarray(clues, np.int8)
    out = np.empty_like(clues)
    work = _make_work(box_rows, box_cols)
    failed = least_images(clues, box_rows == box_cols, NODES, work, out)
    if failed >= 0:
        raise UserInputError(
            f"puzzle {failed} of {len(clues)} has more than {NODES:,} images that begin alike: "
            f"expected clues that tell lines apart; leave full {box_rows}x{box_cols}-box grids out"
        )
    return out


def _make_work(box_rows: int, box_cols: int) -> Work:
    lines, stacks = box_rows * box_cols, box_rows
    square = (lines, lines)
    return Work(
        shape=np.array([box_rows, box_cols]),
        nodes=np.zeros(1, np.int64),
        grid=np.empty(square, np.int8),
        least=np.empty(square, np.int8),
        known=np.zeros(1, np.int64),
        row_at=np.empty(lines, np.int64),
        taken=np.zeros(lines, np.bool_),
        stack_at=np.empty(stacks, np.int64),
        column_at=np.empty(lines, np.int64),
        open_stack=np.empty(stacks, np.bool_),
        open_column=np.empty(lines, np.bool_),
        label=np.empty(lines + 1, np.int64),
        labels=np.zeros(1, np.int64),
        images=np.empty((lines, lines, lines), np.int8),
        segments=np.empty((stacks, box_cols), np.int64),
    )


@njit(cache=True, nogil=True)
def least_images(clues, square, nodes, work, out):
    """Writes the least image of each puzzle; the first row that takes more than ``nodes`` nodes, or -1."""
    lines = len(work.grid)
    trail = np.empty((4 * lines + 1, 4), np.int64)
    for row in range(len(clues)):
        work.known[0] = 0
        work.nodes[0] = nodes
        for turned in range(2 if square else 1):
            for cell in range(lines * lines):
                a, b = cell // lines, cell % lines
                work.grid[a, b] = clues[row, b * lines + a if turned else cell]
            work.stack_at[:] = -1
            work.column_at[:] = -1
            work.open_stack[:] = True
            work.open_column[:] = True
            work.taken[:] = False
            work.label[:] = 0
            work.labels[0] = 0
            if not follow_all(work, trail):
                return row
        for cell in range(lines * lines):
            out[row, cell] = work.least[cell // lines, cell % lines]
    return -1


@njit(cache=True, nogil=True)
def sort_key(value, work):
    """A blank as 0, a value by its label, and one without a label as L + 1."""
    if value == 0:
        return np.int64(0)
    return work.label[value] if work.label[value] else np.int64(len(work.grid) + 1)


@njit(cache=True, nogil=True)
def stack_segment(row, stack, work, segment):
    """The least arrangement of a stack's open columns in a row of the grid, at the start of ``segment``.

    Items are those of `sort_key`, ascending. Returns the number of columns.
    """
    width = work.shape[1]
    size = 0
    for column in range(stack * width, (stack + 1) * width):
        if not work.open_column[column]:
            continue
        value = work.grid[row, column]
        item = sort_key(value, work)
        place = size
        while place and segment[place - 1] > item:
            segment[place] = segment[place - 1]
            place -= 1
        segment[place] = item
        size += 1
    return size


@njit(cache=True, nogil=True)
def row_image(row, work, image):
    """Writes the least image that a row of the grid can have below the rows already chosen."""
    width, lines = work.shape[1], len(work.grid)
    free = 0
    for stack in range(len(work.stack_at)):
        if not work.open_stack[stack]:
            continue
        stack_segment(row, stack, work, work.segments[free])
        place = free
        while place:
            a, b, k = work.segments[place - 1], work.segments[place], 0
            while k < width - 1 and a[k] == b[k]:
                k += 1
            if a[k] <= b[k]:
                break
            for k in range(width):
                a[k], b[k] = b[k], a[k]
            place -= 1
        free += 1
    fresh = work.labels[0]
    for slot in range(len(work.stack_at)):
        segment = work.segments[slot]
        if slot >= free:
            size = stack_segment(row, work.stack_at[slot], work, segment)
            for k in range(size, width):
                segment[k] = sort_key(work.grid[row, work.column_at[slot * width + k]], work)
        for k in range(width):
            if segment[k] > lines:
                fresh += 1
                image[slot * width + k] = fresh
            else:
                image[slot * width + k] = segment[k]


@njit(cache=True, nogil=True)
def compare(a, b):
    """-1, 0 or 1 as one row is less than, equal to or greater than another."""
    for k in range(len(a)):
        if a[k] != b[k]:
            return -1 if a[k] < b[k] else 1
    return 0


@njit(cache=True, nogil=True)
def may_follow(row, depth, work):
    """Whether a row of the grid may stand in row ``depth``: one of the band begun, or of an untouched one."""
    height = work.shape[0]
    if work.taken[row]:
        return False
    if depth % height:
        return row // height == work.row_at[depth - 1] // height
    return not work.taken[row // height * height]


@njit(cache=True, nogil=True)
def least_rows(depth, work):
    """Sets ``images[depth]`` of the rows that may come next, and lowers ``least[depth]`` to them."""
    for row in range(len(work.grid)):
        if may_follow(row, depth, work):
            image = work.images[depth, row]
            row_image(row, work, image)
            if depth >= work.known[0] or compare(image, work.least[depth]) < 0:
                work.least[depth] = image
                work.known[0] = depth + 1


@njit(cache=True, nogil=True)
def next_place(depth, place, work):
    """The next place of a row, from ``place`` on, where something is to choose; L where nothing is."""
    lines, width = len(work.grid), work.shape[1]
    wanted = work.least[depth]
    while place < lines:
        if work.stack_at[place // width] < 0:
            if wanted[place : place + width].any():
                break
            place += width
            continue
        column = work.column_at[place]
        if column < 0:
            if wanted[place]:
                break
        else:
            value = work.grid[work.row_at[depth], column]
            if value and not work.label[value]:
                break
        place += 1
    return place


@njit(cache=True, nogil=True)
def kind_at(place, work):
    """What is to choose at a place: a row at -1, else a stack, a column of it, or the next value's name."""
    if place < 0:
        return ROW
    if work.stack_at[place // work.shape[1]] < 0:
        return STACK
    return COLUMN if work.column_at[place] < 0 else NAME


@njit(cache=True, nogil=True)
def choose(kind, depth, place, option, work):
    """Makes a choice if it agrees with the least image; False if it does not, and nothing is changed."""
    width = work.shape[1]
    if kind == ROW:
        if not may_follow(option, depth, work) or compare(work.images[depth, option], work.least[depth]):
            return False
        if not work.least[depth].any():  # blank rows of a band are all alike: the first one speaks for them
            for row in range(option // work.shape[0] * work.shape[0], option):
                if not work.taken[row] and not work.grid[row].any():
                    return False
        work.row_at[depth], work.taken[option] = option, True
    elif kind == STACK:
        if option >= len(work.stack_at) or not work.open_stack[option]:
            return False
        clues = work.grid[work.row_at[depth], option * width : (option + 1) * width]
        if np.count_nonzero(clues) != np.count_nonzero(work.least[depth, place : place + width]):
            return False
        work.stack_at[place // width], work.open_stack[option] = option, False
    elif kind == COLUMN:
        if not work.open_column[option] or option // width != work.stack_at[place // width]:
            return False
        value = work.grid[work.row_at[depth], option]
        name = work.label[value] if work.label[value] else work.labels[0] + 1
        if not value or name != work.least[depth, place]:
            return False
        work.column_at[place], work.open_column[option] = option, False
    else:
        if option:
            return False
        work.labels[0] += 1
        work.label[work.grid[work.row_at[depth], work.column_at[place]]] = work.labels[0]
    return True


@njit(cache=True, nogil=True)
def undo(kind, depth, place, option, work):
    """Takes a choice back."""
    if kind == ROW:
        work.taken[option] = False
    elif kind == STACK:
        work.stack_at[place // work.shape[1]], work.open_stack[option] = -1, True
    elif kind == COLUMN:
        work.column_at[place], work.open_column[option] = -1, True
    else:
        work.labels[0] -= 1
        work.label[work.grid[work.row_at[depth], work.column_at[place]]] = 0


@njit(cache=True, nogil=True)
def follow_all(work, trail):
    """Follows every image that is least so far, depth first; False when the nodes are spent.

    ``trail [4 L + 1, 4]`` holds the open choices as depth, place, kind and the option taken (-1 at first);
    a stack instead of recursion, since numba cannot load recursive functions from its cache.
    """
    lines = len(work.grid)
    size, depth, place = 0, 0, -1
    while True:
        if depth < lines:
            kind = kind_at(place, work)
            trail[size, 0], trail[size, 1], trail[size, 2], trail[size, 3] = depth, place, kind, -1
            size += 1
            if kind == ROW:
                work.nodes[0] -= 1
                if work.nodes[0] < 0:
                    return False
                least_rows(depth, work)
        while True:
            if size == 0:
                return True
            depth, place, kind, option = trail[size - 1]
            if option >= 0:
                undo(kind, depth, place, option, work)
            option += 1
            while option < lines and not choose(kind, depth, place, option, work):
                option += 1
            if option < lines:
                break
            size -= 1
        trail[size - 1, 3] = option
        place = next_place(depth, 0 if kind == ROW else place, work)
        if place == lines:
            depth, place = depth + 1, -1
