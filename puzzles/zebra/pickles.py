# mypy: disable-error-code="no-untyped-def"
"""A pickle reader that builds lists, tuples, strings and numbers, and refuses everything else.

A pickle is a program: it may name any function and call it. So its instructions are walked first, without
running them, and only those that build plain values pass; Python's own reader then runs what has passed, with
a lookup of names that always refuses. The walk also holds memo numbers to the number of values there are,
since the reader allocates a table as long as the largest.
"""

from __future__ import annotations

import io
import pickle
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numba import njit

from puzzles.base import UserInputError
from puzzles.files import quote

_FIX = "save lists of strings and numbers only, e.g. table.tolist()"

# What follows an instruction: so many bytes, or one of these. Sizes and numbers are little-endian.
_LINE, _LENGTH1, _LENGTH4, _LENGTH8 = -1, -2, -3, -4
_REFUSED, _NAMES, _STOP = -5, -6, -7
_AFTER = {
    _LINE: [
        pickle.INT,
        pickle.LONG,
        pickle.FLOAT,
        pickle.UNICODE,
        pickle.PUT,
        pickle.GET,
    ],  # decimal numbers and strings of protocol 0
    _LENGTH1: [pickle.SHORT_BINUNICODE, pickle.LONG1],
    _LENGTH4: [pickle.BINUNICODE],
    _LENGTH8: [pickle.BINUNICODE8],
    _NAMES: [pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.INST],
    _STOP: [pickle.STOP],
    0: [
        *(pickle.MARK, pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS),
        *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
        *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.MEMOIZE),
    ],
    1: [pickle.PROTO, pickle.BININT1, pickle.BINPUT, pickle.BINGET],
    2: [pickle.BININT2],
    4: [pickle.BININT, pickle.LONG_BINPUT, pickle.LONG_BINGET],
    8: [pickle.BINFLOAT, pickle.FRAME],
}
_PUT, _LONG_PUT, _OLD_PUT, _MEMOIZE = (
    ord(code) for code in (pickle.BINPUT, pickle.LONG_BINPUT, pickle.PUT, pickle.MEMOIZE)
)


def load_plain(content: bytes, path: Path) -> Any:
    """The value of a pickle of plain lists, tuples, strings and numbers.

    Args:
        content: the bytes of the pickle, of any protocol.
        path: of the file, for messages.

    Raises:
        UserInputError: it holds anything else (arrays, dictionaries, sets, objects, functions), or is broken.
    """
    at = first_refused(np.frombuffer(content, np.uint8), _table())
    if at >= len(content):
        raise UserInputError(f"{path}: not a whole pickle; fetch it again")
    if at >= 0:
        code = content[at : at + 1]
        raise UserInputError(
            f"{path}: instruction {quote(code.decode('latin-1'))} at byte {at} builds more than lists, "
            f"strings and numbers, or is damaged; {_FIX}"
        )
    try:
        return _Reader(io.BytesIO(content)).load()
    except _NamedError as error:
        what = (
            "numpy arrays or numbers" if error.args[0].split(".")[0] == "numpy" else "more than plain lists"
        )
        raise UserInputError(
            f"{path}: holds {what}: it asks for {quote(error.args[0], 60)}, which is not run; {_FIX}"
        ) from None
    except Exception as error:  # the reader answers damaged pickles with many kinds of errors
        raise UserInputError(
            f"{path}: not a whole pickle ({quote(str(error), 60)}); fetch it again"
        ) from error


class _NamedError(Exception):
    """A pickle asks for a function or class."""


class _Reader(pickle.Unpickler):
    """Python's reader, for which no name leads anywhere."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _NamedError(f"{module}.{name}")

    def persistent_load(self, pid: object) -> NoReturn:
        raise _NamedError(f"object {pid}")


@cache
def _table() -> np.ndarray:
    """int64 ``[256]``: what follows each instruction."""
    table = np.full(256, _REFUSED, np.int64)
    for after, codes in _AFTER.items():
        table[[ord(code) for code in codes]] = after
    return table


@njit(cache=True, nogil=True)
def _number(content, at, size):
    """The little-endian number of ``size`` bytes, or a huge one where they run past the end or are huge."""
    huge = np.int64(1) << 62
    if at + size > len(content) or (size == 8 and content[at + 7] >= 64):
        return huge
    value = np.int64(0)
    for k in range(size):
        value |= np.int64(content[at + k]) << (8 * k)
    return value


@njit(cache=True, nogil=True)
def first_refused(content, after):
    """Place of the first instruction of uint8 ``content`` that may not run; the length where it has no end.

    -1 where all may run up to its end, or up to one that asks for a name, at which the reader stops.
    """
    at, puts = 0, 0
    while at < len(content):
        code = content[at]
        kind = after[code]
        if kind == _REFUSED:
            return at
        if kind in (_NAMES, _STOP):
            return -1
        start = at
        at += 1
        if kind >= 0:
            puts += code in (_PUT, _LONG_PUT, _MEMOIZE)
            if code in (_PUT, _LONG_PUT) and _number(content, at, kind) > puts:
                return start
            at += kind
        elif kind == _LINE:
            puts += code == _OLD_PUT
            value = np.int64(0)
            while at < len(content) and content[at] != 10:
                if code == _OLD_PUT and not 48 <= content[at] <= 57:
                    return start
                value = min(value * 10 + np.int64(content[at]) - 48, np.int64(1) << 40)
                at += 1
            at += 1
            if code == _OLD_PUT and value > puts:
                return start
        else:
            size = 1 if kind == _LENGTH1 else 4 if kind == _LENGTH4 else 8
            length = _number(content, at, size)
            if length > len(content):
                return len(content)
            at += size + length
    return len(content)
