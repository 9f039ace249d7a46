"""Puzzle files: batches as `.npz` with data id, format id and SHA-256, whole or not there at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from puzzles.base import ROW_FIELDS, PuzzleBatch, UserInputError

FORMAT = "planorder-puzzles-1"
"""Id of the layout: a zip of `meta.json` and one `.npy` a field of `PuzzleBatch` (no `edges` where none)."""
TEMP_SUFFIX = ".tmp"
"""Ends the names of files that are not yet whole."""

_META = "meta.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the least date a zip can hold: no file tells when it was written
_DTYPES: dict[str, type[np.signedinteger]] = dict.fromkeys(ROW_FIELDS, np.int8) | {
    "rank": np.int16,
    "index": np.int64,
    "edges": np.int16,
}


def save(path: Path | str, batch: PuzzleBatch) -> str:
    """Writes a batch; the file appears only when it is complete and on disk.

    The bytes depend on the batch (and the version of zlib) alone.

    Returns:
        SHA-256 of the content, in hex: that of `content_hash`.

    Raises:
        UserInputError: the file cannot be written (no such folder, no permission, disk full).
    """
    digest = content_hash(batch)
    meta = {"format": FORMAT, "family": batch.family, "puzzles": len(batch), "sha256": digest}
    meta |= {} if batch.unique else {"unique": False}
    with atomic_file(Path(path)) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(_META, _EPOCH), json.dumps(meta))
        for name in batch.arrays():
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, _plain(batch, name), version=(1, 0), allow_pickle=False)
            archive.writestr(info, buffer.getbuffer())
    return digest


def load(path: Path | str) -> PuzzleBatch:
    """Reads a file of `save`.

    Raises:
        UserInputError: the file is missing, truncated, altered or not one of `save`.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            family, digest, unique = _read_meta(archive, path)
            names = [*ROW_FIELDS, "edges"] if "edges.npy" in archive.namelist() else ROW_FIELDS
            fields = {name: _read_array(archive, name) for name in names}
    except UserInputError:
        raise
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise UserInputError(f"{path}: is a folder; expected a puzzle file, so name one inside it") from None
    except PermissionError as error:
        raise UserInputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except Exception as error:  # zipfile and numpy answer damaged bytes with many kinds of errors
        problem = ascii(str(error))[:80]
        raise UserInputError(
            f"{path}: is not a whole puzzle file ({problem}); "
            "expected one that puzzles.generate wrote: write it again"
        ) from error
    batch = PuzzleBatch(family=family, **fields, unique=unique)
    found = content_hash(batch)
    if found != digest:
        raise UserInputError(
            f"{path}: was altered: its content has SHA-256 {found[:12]}..., "
            f"expected {digest[:12]}...; write it again"
        )
    return batch


def content_hash(batch: PuzzleBatch) -> str:
    """SHA-256 in hex over the data id and all fields with their shapes, as little-endian bytes.

    That solutions are not unique is part of it; that they are is what says nothing.
    """
    many = "" if batch.unique else "many solutions\n"
    digest = hashlib.sha256(f"{FORMAT}\n{batch.family}\n{many}".encode())
    for name in batch.arrays():
        array = _plain(batch, name)
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file beside ``path`` that takes its place once it is written and on disk; on any error it vanishes.

    Raises:
        UserInputError: the operating system refuses (no such folder, no permission, disk full).
    """
    temp = path.with_name(f".{path.name}.{os.getpid()}{TEMP_SUFFIX}")
    try:
        with temp.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, path)
    except OSError as error:
        raise UserInputError(
            f"{path}: cannot write ({error.strerror}); name a file in a writable folder with room on its disk"
        ) from error
    finally:
        with suppress(OSError):
            temp.unlink(missing_ok=True)


def _plain(batch: PuzzleBatch, name: str) -> np.ndarray:
    """A field as little-endian, contiguous array of its specified type."""
    dtype = np.dtype(_DTYPES[name]).newbyteorder("<")
    return np.ascontiguousarray(getattr(batch, name), dtype)


def _read_meta(archive: zipfile.ZipFile, path: Path) -> tuple[str, str, bool]:
    """Data id, SHA-256, and whether solutions are unique."""
    if _META not in archive.namelist():
        raise UserInputError(f"{path}: has no {_META}; expected a puzzle file that puzzles.generate wrote")
    meta = json.loads(archive.read(_META))
    if meta["format"] != FORMAT:
        raise UserInputError(f"{path}: has format {meta['format']!a}, expected {FORMAT!r}; write it again")
    return str(meta["family"]), str(meta["sha256"]), bool(meta.get("unique", True))


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype != _DTYPES[name]:
        raise ValueError(f"{name} is {array.dtype}, expected {np.dtype(_DTYPES[name])}")
    return array
