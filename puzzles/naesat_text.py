"""NAE-SAT sequences as text, in files and for people.

A file has a sequence a line, latents and then observations: ``0``, ``1``, or ``.`` for a blank. Spaces are
skipped, and so is what follows a ``#``. The file may be gzipped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from puzzles.files import Place, content_lines, quote, read_bytes

SYMBOLS = ".01"
"""How a blank and the values 1 and 2 are written."""
WIDTH = 50
"""Cells a line of `render`."""


def read_clues(path: Path, latents: int, observations: int) -> tuple[np.ndarray, list[Place]]:
    """int8 ``[puzzles, latents + observations]`` of a file, and where each puzzle stands in it.

    Raises:
        UserInputError: the file cannot be read, holds no puzzle, or has a malformed line.
    """
    lines = content_lines(read_bytes(path), path, "text: save it as such")
    cells = np.empty((len(lines), latents + observations), np.int8)
    for row, (place, line) in enumerate(lines):
        text = "".join(line.split("#")[0].split())
        if len(text) != cells.shape[1]:
            wanted = f"{cells.shape[1]}: give {latents} latents and {observations} observations"
            place.refuse(f"{len(text)} cells in {quote(text)}; expected {wanted}")
        wrong = [at for at, symbol in enumerate(text) if symbol not in SYMBOLS]
        if wrong:
            symbol = text[wrong[0]]
            place.refuse(f"{symbol!a} for cell {wrong[0] + 1}; expected 0, 1, or . for a blank: correct it")
        cells[row] = [SYMBOLS.index(symbol) for symbol in text]
    return cells, [place for place, _ in lines]


def render(cells: np.ndarray, clues: np.ndarray | None, meant: np.ndarray) -> str:
    """See `puzzles.naesat.NaeSat.render`.

    Args:
        cells: int8 ``[cells]``, latents and then observations.
        clues: int8 ``[cells]``, or None to mark no cell as filled in.
        meant: int8 ``[observations]``, what the latents make of each; 0 where one is blank.
    """
    latents = len(cells) - len(meant)
    observed = cells[latents:]
    wrong = np.zeros(len(cells), bool)
    wrong[latents:] = (meant > 0) & (observed > 0) & (meant != observed)
    new = np.zeros(len(cells), bool) if clues is None else (cells > 0) & (clues == 0)
    marks = np.where(wrong, "!", np.where(new, "'", " "))
    shown = [mark + SYMBOLS[value] for mark, value in zip(marks.tolist(), cells.tolist(), strict=True)]
    lines = []
    for title, part in (("latents", shown[:latents]), ("observations", shown[latents:])):
        lines += [title, *("".join(part[low : low + WIDTH]) for low in range(0, len(part), WIDTH))]
    return "\n".join(lines)
