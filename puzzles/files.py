"""Files that hold puzzles, whatever the family: bytes, lines, and the places that messages name."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from puzzles.errors import UserInputError

MOST_BYTES = 4 << 30
"""Of a file, unpacked: more than any puzzle file we know, and no more than a machine can hold."""


@dataclass(frozen=True)
class Place:
    """Where a puzzle stands: ``unit`` is "line" or "item", ``number`` counts from 1."""

    path: Path
    unit: str
    number: int

    def refuse(self, problem: str) -> NoReturn:
        """Raises the error that names file, place and problem."""
        raise UserInputError(f"{self.path}, {self.unit} {self.number}: {problem}")


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


def content_lines(content: bytes, path: Path, expected: str) -> list[tuple[Place, str]]:
    """The lines that are neither blank nor comments (which begin with ``#``), with their places.

    Args:
        content: of the file.
        path: for messages.
        expected: what a message says a file should be that is no text.

    Raises:
        UserInputError: the content is not UTF-8, or there is no such line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserInputError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; expected {expected}"
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
