"""Shows puzzles as text: `python -m puzzles.show zebra --seed 3 --solution`.

Puzzles come from a stream of the family, by number, or from a file. What differs between families is asked of
them: `AbstractFamily.render` for people, ``say`` for the solver's steps, ``formats`` for other programs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from puzzles import FAMILIES, get_family
from puzzles.base import LOGIC, AbstractFamily, PuzzleBatch, UserInputError, concatenate
from puzzles.errors import did_you_mean
from puzzles.generate import Parser, count

ENGLISH = "english"
"""The format for people, which every family has: its `render`."""
SEARCH_CHUNK, SEARCH_CHUNKS = 32, 16
"""Puzzles that are made at a time, and how often, in search of a size."""

_EXAMPLES = """examples:
  python -m puzzles.show zebra --seed 3
  python -m puzzles.show zebra --seed 3 --size 4x5 --solution --order
  python -m puzzles.show zebra --tier hard --n 2 --format json
  python -m puzzles.show zebra --puzzles mine.jsonl
  python -m puzzles.show sudoku --order
"""


def texts(
    family: AbstractFamily,
    batch: PuzzleBatch,
    style: str = ENGLISH,
    solution: bool = False,
    order: bool = False,
) -> Iterator[str]:
    """The text of each puzzle of a batch.

    Args:
        family: of the puzzles.
        batch: rated puzzles.
        style: ``english`` for people, or one of the family's own formats.
        solution: whether to tell the solution.
        order: whether to tell the steps of the logical solver; for people only.

    Raises:
        UserInputError: an unknown style, or an order that the style cannot tell.
    """
    write = _format(family, style)
    if write is not None and order:
        raise UserInputError(f"--order with --format {style}: expected --format {ENGLISH}; leave one out")
    for row in range(len(batch)):
        puzzle = batch[row : row + 1]
        yield write(puzzle, solution=solution) if write else _for_people(family, puzzle, solution, order)


def _format(family: AbstractFamily, style: str) -> Callable[..., str] | None:
    """A family's writer of puzzles; None for `ENGLISH`."""
    if style == ENGLISH:
        return None
    formats = family.formats()
    if style not in formats:
        known = [ENGLISH, *formats]
        hint = did_you_mean(style, known)
        raise UserInputError(f"format {style!r} of {family.name}: expected one of {', '.join(known)}{hint}")
    return formats[style]


def _for_people(family: AbstractFamily, puzzle: PuzzleBatch, solution: bool, order: bool) -> str:
    clues, solved = puzzle.clues[0], puzzle.solution[0]
    edges = None if puzzle.edges is None else puzzle.edges[0]
    parts = [f"{_title(family, puzzle)}\n\n{family.render(clues, clues, edges)}"]
    if solution:
        parts.append(f"Solution\n\n{family.render(solved, clues)}")
    if order:
        parts.append("\n".join(["Order", "", *_steps(family, puzzle)]))
    return "\n\n".join(parts) + "\n"


def _title(family: AbstractFamily, puzzle: PuzzleBatch) -> str:
    sizes = family.sizes(puzzle.clues)
    size = "" if sizes is None else f" of {sizes[0]}"
    tier, hardest = family.tier(puzzle)[0], family.technique_names[puzzle.hardest[0]]
    return f"{puzzle.family}, puzzle {puzzle.index[0]}{size}: {tier}, hardest technique {hardest}"


def _steps(family: AbstractFamily, puzzle: PuzzleBatch) -> list[str]:
    """A line for each cell that the logical solver fills, in its order."""
    rank, solution, technique = puzzle.rank[0], puzzle.solution[0], puzzle.technique[0]
    cells = np.flatnonzero(rank >= 0)
    return [
        f"{k:3}. {family.say(int(cell), int(solution[cell]))} ({family.technique_names[technique[cell]]})"
        for k, cell in enumerate(cells[np.argsort(rank[cells])], 1)
    ]


def choose(
    family: AbstractFamily, split: str, tier: str, n: int, start: int, size: str | None = None
) -> PuzzleBatch:
    """``n`` puzzles of a stream from number ``start`` on, only those of a size where one is given.

    Raises:
        UserInputError: an unknown stream, or a size that too few puzzles near ``start`` have.
    """
    if size is None:
        return family.generate(split, tier, n, start=start)
    found: list[PuzzleBatch] = []
    seen: set[str] = set()
    stop = start + SEARCH_CHUNK * SEARCH_CHUNKS
    for low in range(start, stop, SEARCH_CHUNK):
        batch = family.generate(split, tier, SEARCH_CHUNK, start=low)
        sizes = family.sizes(batch.clues)
        if sizes is None:
            raise UserInputError(f"size {size!r}: {family.name} has one size; leave --size out")
        seen |= {str(one) for one in sizes}
        found.append(batch[sizes == size])
        if sum(map(len, found)) >= n:
            return concatenate(found)[:n]
    raise UserInputError(
        f"size {size!r}: {sum(map(len, found))} puzzles with numbers {start} to {stop - 1}; "
        f"expected {n}; sizes there: {', '.join(sorted(seen))}"
    )


def _number(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value}: expected 0 or more")
    return value


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m puzzles.show",
        description="Shows puzzles of a stream or a file, their solutions and the logical solver's steps.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("family", help=f"one of {', '.join(FAMILIES)}")
    parser.add_argument("--puzzles", type=Path, metavar="FILE", help="show a file's puzzles, with solutions")
    parser.add_argument("--seed", type=_number, help="number of the first puzzle in its stream (default: 0)")
    parser.add_argument("--n", type=count, help="number of puzzles (default: 1, or the whole file)")
    parser.add_argument("--split", help="train, val or test (default: train)")
    parser.add_argument("--tier", help="logic or hard (default: logic)")
    parser.add_argument("--size", help="only puzzles of this size, e.g. 4x5: houses, then attributes")
    parser.add_argument("--format", default=ENGLISH, help=f"{ENGLISH}, or one of the family's own")
    parser.add_argument("--solution", action="store_true", help="tell the solution")
    parser.add_argument("--order", action="store_true", help="tell the logical solver's steps")
    return parser.parse_args(argv)


def _puzzles(family: AbstractFamily, args: argparse.Namespace) -> PuzzleBatch:
    """The puzzles that the command line asks for."""
    if args.puzzles is None:
        split, tier = args.split or "train", args.tier or LOGIC
        return choose(family, split, tier, args.n or 1, args.seed or 0, args.size)
    for name in ("seed", "split", "tier", "size"):
        if getattr(args, name) is not None:
            raise UserInputError(f"--{name} with --puzzles: expected a file or a stream; leave one out")
    return family.read(args.puzzles)[: args.n]


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 when all is shown, 2 after a user's mistake, 130 when interrupted."""
    args = _parse(argv)
    try:
        family = get_family(args.family)
        batch = _puzzles(family, args)
        for text in texts(family, batch, args.format, args.solution or args.puzzles is not None, args.order):
            print(text)
        sys.stdout.flush()
    except UserInputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read has seen enough, as `head` does; nothing more can be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
