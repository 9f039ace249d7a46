"""Whole files or none, and one line where the disk says no."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from puzzles.base import UserInputError

FIXES = {
    errno.ENOSPC: "free some space or choose a folder on another disk",
    errno.EDQUOT: "free some space or choose a folder on another disk",
    errno.EROFS: "choose a folder that you may write to",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.ENOTDIR: "a part of the path is a file: choose a path through folders",
    errno.ENOENT: "check the path",
}
"""What to do about an error of the disk, by errno."""

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors that are about the disk whichever call met them."""


def disk_error(action: str, path: Path, error: OSError) -> UserInputError:
    """The one line for an ``OSError`` met while doing ``action`` ("read", "write") to ``path``."""
    reason = (error.strerror or str(error)).lower()
    fix = FIXES.get(error.errno or 0, "check the path and the disk")
    return UserInputError(f"cannot {action} {path}: {reason}; {fix}")


@contextmanager
def one_line_errors(action: str, path: Path) -> Iterator[None]:
    """Turns every ``OSError`` of the block into a `UserInputError` about ``path``."""
    try:
        yield
    except OSError as error:
        raise disk_error(action, path, error) from error


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as our CSV files have it, without its index."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def json_bytes(content: object) -> bytes:
    """Indented JSON; keys keep their order."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def atomic_write(path: Path, data: bytes) -> None:
    """Writes the whole file or leaves what was there, whatever interrupts it.

    Raises:
        UserInputError: the disk is full, read-only or the path leads nowhere.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with one_line_errors("write", path):
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()
