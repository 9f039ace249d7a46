"""Files that hold Zebra puzzles: their bytes, their lines, and what a reader found in each place."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

import numpy as np

from puzzles.base import UserInputError
from puzzles.zebra.clues import LEAST, MOST, N_CELLS

MOST_BYTES = 4 << 30
"""Of a file, unpacked: three times the training set of Shah et al., and no more than a machine can hold."""
MOST_CLUES = 100
"""Of a puzzle; minimal ones of six houses and six attributes have about thirty."""


@dataclass(frozen=True)
class Place:
    """Where a puzzle stands: ``unit`` is "line" or "item", ``number`` counts from 1."""

    path: Path
    unit: str
    number: int

    def refuse(self, problem: str) -> NoReturn:
        """Raises the error that names file, place and problem."""
        raise UserInputError(f"{self.path}, {self.unit} {self.number}: {problem}")


@dataclass(frozen=True)
class Stated:
    """A puzzle as its file states it, with cells that exist; whether it has one solution is not yet known.

    Attributes:
        place: where it stands.
        houses: from 3 to 6.
        attributes: from 3 to 6.
        edges: int16 ``[clues, 4]``.
        solution: int8 ``[N_CELLS]`` in the position layout, or None where the file has none.
        name: what the file calls a cell.
    """

    place: Place
    houses: int
    attributes: int
    edges: np.ndarray
    solution: np.ndarray | None
    name: Callable[[int], str]


def checked(edges: np.ndarray, place: Place, name: Callable[[int], str]) -> np.ndarray:
    """The edges int16 ``[clues, 4]`` of a puzzle, refused where they are too many or name a cell twice."""
    if not 1 <= len(edges) <= MOST_CLUES:
        place.refuse(f"{len(edges)} clues; expected 1 to {MOST_CLUES}: add or remove clues")
    for first, second in ((1, 2), (1, 3), (2, 3)):
        twice = np.flatnonzero((edges[:, first] == edges[:, second]) & (edges[:, first] >= 0))
        if len(twice):
            value = name(int(edges[twice[0], first]))
            place.refuse(f"clue {twice[0] + 1} names {value} twice; expected different ones: correct one")
    return edges


def check_size(houses: int, attributes: int, place: Place) -> None:
    """Refuses sizes beyond the family's."""
    for number, of in ((houses, "houses"), (attributes, "attributes")):
        if not LEAST <= number <= MOST:
            place.refuse(f"{number} {of}; expected {LEAST} to {MOST}: leave the puzzle out")


def identity() -> np.ndarray:
    """int8 ``[N_CELLS]``: value v in house v, which is what a size's missing cells hold."""
    return (np.arange(N_CELLS) % MOST + 1).astype(np.int8)


def read_bytes(path: Path) -> bytes:
    """A file's content, unpacked where it is gzipped.

    Raises:
        UserInputError: it cannot be read, is empty, is not whole, or is larger than `MOST_BYTES`.
    """
    if path.is_dir():
        raise UserInputError(f"{path}: is a folder; expected a puzzle file, so name one inside it")
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        if path.name.endswith(".gz") and not zipped:
            raise gzip.BadGzipFile("no gzip header")
        with gzip.open(path) if zipped else path.open("rb") as source:
            content = source.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file; check the path") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserInputError(
            f"{path}: not a whole gzip file ({error}); fetch or compress it again"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        problem = getattr(error, "strerror", None) or str(error)
        raise UserInputError(f"{path}: cannot be read ({problem}); check its name and permissions") from error
    if len(content) > MOST_BYTES:
        raise UserInputError(f"{path}: more than {MOST_BYTES >> 30} GiB; split it into smaller files")
    if not content:
        raise UserInputError(f"{path}: is empty; expected a puzzle a line")
    return content


def content_lines(content: bytes, path: Path) -> list[tuple[Place, str]]:
    """The lines that are neither blank nor comments (which begin with ``#``), with their places."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserInputError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; "
            "expected text, or a pickle whose name ends in .pkl"
        ) from None
    stripped = (line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    kept = [(i, line) for i, line in enumerate(stripped, 1) if line and not line.startswith("#")]
    if not kept:
        raise UserInputError(f"{path}: holds no puzzle, only blank lines and comments; add one puzzle a line")
    return [(Place(path, "line", number), line) for number, line in kept]


def quote(value: object, limit: int = 40) -> str:
    """A value on one line, shortened, with what cannot be printed escaped."""
    text = value if isinstance(value, str) else ascii(value)
    return ascii(text if len(text) <= limit else text[: limit - 3] + "...")


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The end of a message: the nearest known word, if one is near."""
    near = get_close_matches(word[:100], list(known), n=1) if isinstance(word, str) else []
    return f"; did you mean {near[0]!a}?" if near else ""
