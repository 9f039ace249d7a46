"""Generates puzzles into a file: `python -m puzzles.generate sudoku --n 200000 --out train.npz`.

The work is done in shards beside the file, so that a run that was stopped goes on where it was, and several
machines can share it (`--shard 0/4`). The bytes of the result depend on family, split, tier and number alone,
not on the workers, the machines or where runs were stopped.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import numpy as np
from tqdm import tqdm

from puzzles import FAMILIES, get_family
from puzzles.base import LOGIC, AbstractFamily, PuzzleBatch, UserInputError, concatenate
from puzzles.storage import TEMP_SUFFIX, load, save

SHARD = 5_000
"""Puzzles of a shard: at most this much work is lost when a run is stopped."""

_EXAMPLES = """examples:
  python -m puzzles.generate sudoku --n 200000 --out train.npz
  python -m puzzles.generate sudoku --n 2000 --split test --tier hard --out hard.npz
  python -m puzzles.generate sudoku-2x3 --n 10000 --out small.npz --workers 1
  python -m puzzles.generate sudoku --n 1800000 --out train.npz --shard 0/4

A run that was stopped goes on where it was when the same command is given again. Machines that share the work
each get --shard I/N, I from 0 to N - 1; after them the command without --shard joins what they made.
"""

Turn = tuple[int, int]
"""(i, n): every n-th shard, from number i, counted from 0."""


class Parser(argparse.ArgumentParser):
    """Errors of the command line as one line."""

    def error(self, message: str) -> NoReturn:
        """Exits with code 2 and one line."""
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def generate_file(
    family: AbstractFamily, n: int, out: Path, split: str = "train", tier: str = LOGIC, workers: int = 1
) -> str:
    """Writes puzzles 0 to ``n - 1`` of a stream to a file, with a progress bar on stderr.

    Shards in the folder ``out`` + ".parts" are read instead of made where they are whole, and are removed
    at the end.

    Returns:
        SHA-256 of the content.

    Raises:
        UserInputError: the file exists, cannot be written, or the stream is unknown.
    """
    shards = generate_shards(family, n, out, split, tier, workers)
    digest = save(out, concatenate(list(shards.values())))
    _remove(parts_folder(out), list(shards))
    return digest


def generate_shards(
    family: AbstractFamily,
    n: int,
    out: Path,
    split: str = "train",
    tier: str = LOGIC,
    workers: int = 1,
    turn: Turn = (0, 1),
) -> dict[Path, PuzzleBatch]:
    """Makes the shards of a file that are not whole yet; all of them, or those of one machine in turn.

    Returns:
        The shards of this turn, in order, by their files.

    Raises:
        UserInputError: as `generate_file`.
    """
    if os.path.exists(out):  # False, and no error, where the name is too long or the folder closed
        raise UserInputError(f"{out}: exists; remove it or name another file")
    family.generate(split, tier, 0)  # an unknown stream is refused before anything is written
    parts = parts_folder(out)
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserInputError(
            f"{parts}: cannot make this folder ({error.strerror}); write elsewhere"
        ) from error
    ranges = [(start, min(SHARD, n - start)) for start in range(0, n, SHARD)][turn[0] :: turn[1]]
    total, made = sum(size for _, size in ranges), {}
    with tqdm(total=total, unit="puzzle", unit_scale=True, desc=f"{family.version} {split}/{tier}") as bar:
        for start, size in ranges:
            shard = parts / f"{family.version}-{split}-{tier}-{start:010d}-{size}.npz"
            batch = _whole_shard(shard, start, size)
            if batch is None:
                batch = family.generate(split, tier, size, start=start, workers=workers, progress=bar.update)
                save(shard, batch)
            else:
                bar.update(size)
            made[shard] = batch
    return made


def parts_folder(out: Path) -> Path:
    """Where the shards of a file wait until it is whole."""
    return out.with_name(f"{out.name}.parts")


def _whole_shard(shard: Path, start: int, size: int) -> PuzzleBatch | None:
    """A shard that was finished before; None where there is none, or it is damaged or holds other puzzles."""
    with suppress(UserInputError):
        batch = load(shard)
        if np.array_equal(batch.index, np.arange(start, start + size)):
            return batch
    return None


def _remove(parts: Path, shards: Sequence[Path]) -> None:
    """Removes the shards and what killed runs left; a file of somebody else keeps its folder."""
    with suppress(OSError):
        for file in parts.iterdir():
            if file in shards or file.name.endswith(TEMP_SUFFIX):
                file.unlink()
        parts.rmdir()


def count(text: str) -> int:
    """A number of the command line, at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: expected 1 or more")
    return value


def _turn(text: str) -> Turn:
    """ "I/N" of the command line."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not int(found[1]) < int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N with I from 0 to N - 1, e.g. 0/4")
    return int(found[1]), int(found[2])


def _workers(text: str) -> int:
    return os.cpu_count() or 1 if text == "all" else count(text)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m puzzles.generate",
        description="Generates puzzles into a file.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("family", help=f"one of {', '.join(FAMILIES)}")
    parser.add_argument("--n", type=count, required=True, help="number of puzzles")
    parser.add_argument("--out", type=Path, required=True, help="file to write (.npz)")
    parser.add_argument("--split", default="train", help="train, val or test (default: train)")
    parser.add_argument("--tier", default=LOGIC, help="logic or hard (default: logic)")
    parser.add_argument("--workers", type=_workers, default="all", help="threads, or all (default: all)")
    parser.add_argument(
        "--shard", type=_turn, help="I/N: make every N-th shard from number I, and do not join"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 when the file is written, 2 after a user's mistake, 130 when interrupted."""
    args = _parse(argv)
    try:
        family = get_family(args.family)
        stream = (family, args.n, args.out, args.split, args.tier, args.workers)
        if args.shard:
            made = generate_shards(*stream, args.shard)
            print(f"{parts_folder(args.out)}: {len(made)} shards are whole; without --shard they are joined")
            return 0
        digest = generate_file(*stream)
    except UserInputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        parts = parts_folder(args.out)
        print(
            f"\nstopped: what is done is kept in {parts}; the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    print(f"{args.out}: {args.n:,} puzzles of {family.version} {args.split}/{args.tier}, SHA-256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
