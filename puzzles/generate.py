"""Generates puzzles into a file: `python -m puzzles.generate sudoku --n 200000 --out train.npz`.

The work is done in shards beside the file, so that a run that was stopped goes on where it was. The bytes of
the result depend on family, split, tier and number alone, not on the workers or on where runs were stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

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

A run that was stopped goes on where it was when the same command is given again.
"""


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
    ranges = [(start, min(SHARD, n - start)) for start in range(0, n, SHARD)]
    shards = [parts / f"{family.version}-{split}-{tier}-{start:010d}-{size}.npz" for start, size in ranges]
    batches = []
    with tqdm(total=n, unit="puzzle", unit_scale=True, desc=f"{family.version} {split}/{tier}") as bar:
        for (start, size), shard in zip(ranges, shards, strict=True):
            batch = _whole_shard(shard)
            if batch is None:
                batch = family.generate(split, tier, size, start=start, workers=workers, progress=bar.update)
                save(shard, batch)
            else:
                bar.update(size)
            batches.append(batch)
    digest = save(out, concatenate(batches))
    _remove(parts, shards)
    return digest


def parts_folder(out: Path) -> Path:
    """Where the shards of a file wait until it is whole."""
    return out.with_name(f"{out.name}.parts")


def _whole_shard(shard: Path) -> PuzzleBatch | None:
    """A shard that an earlier run finished; None where there is none or it is damaged."""
    with suppress(UserInputError):
        return load(shard)
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
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 when the file is written, 2 after a user's mistake, 130 when interrupted."""
    args = _parse(argv)
    try:
        family = get_family(args.family)
        digest = generate_file(family, args.n, args.out, args.split, args.tier, args.workers)
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
