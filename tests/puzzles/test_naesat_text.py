"""NAE-SAT sequences as text: files that users write, their mistakes, and what people see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from puzzles import get_family
from puzzles.base import LOGIC, UserInputError
from puzzles.naesat import OBSERVATION, NaeSat
from puzzles.show import texts

SMALL = NaeSat("naesat-small", 5, 8)
FULL = SMALL.generate("train", LOGIC, 1).solution[0].tolist()


def lined(cells: tuple[int, ...]) -> str:
    return "".join(".01"[value] for value in cells)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    part = (0, *FULL[1:5], *[0] * 8)
    path.write_text(f"# a comment\n\n{lined(FULL)[:5]} {lined(FULL)[5:]}  # all\r\n{lined(part)}\n{'.' * 13}")
    batch = SMALL.read(path)
    assert batch.clues.tolist() == [list(FULL), list(part), [0] * 13]
    assert SMALL.is_valid(batch.solution, batch.clues).all()
    assert batch.index.tolist() == [0, 1, 2]
    assert batch.hardest.tolist() == [0, OBSERVATION, OBSERVATION]
    assert batch.family == "naesat-small-v1"


TWICE = next(j for j in range(8) if (SMALL.triples[:j] == SMALL.triples[j]).all(axis=1).any())
"""An observation of the same latents as an earlier one."""
SAME = next(j for j in range(8) if (SMALL.triples[j] == SMALL.triples[TWICE]).all())
WRONG = {
    "length": (
        "0" * 12,
        "line 2: 12 cells in '000000000000'; expected 13: give 5 latents and 8 observations",
    ),
    "character": ("012" + "." * 10, "line 2: '2' for cell 3; expected 0, 1, or . for a blank: correct it"),
    "observation": (
        "11111" + "." * 7 + "1",
        f"line 2: no sequence agrees with its cells; {SMALL.say(12, 2)}; "
        "expected 0 by its latents: correct it",
    ),
    "two observations": (
        "....." + "".join("0" if j == SAME else "1" if j == TWICE else "." for j in range(8)),
        "line 2: no sequence agrees with its cells; expected observations that some latents have: blank or "
        "correct one",
    ),
    "bytes": (b"\xff", "line 2: byte 0xff is not UTF-8; expected text: save it as such"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_line_is_refused(tmp_path: Path, mistake: str) -> None:
    line, problem = WRONG[mistake]
    path = tmp_path / "mine.txt"
    path.write_bytes(b"#\n" + (line if isinstance(line, bytes) else line.encode()) + b"\n")
    with pytest.raises(UserInputError) as caught:
        SMALL.read(path)
    assert str(caught.value) == f"{path}, {problem}"


def test_a_file_without_a_puzzle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# nothing\n\n")
    with pytest.raises(
        UserInputError, match="holds no puzzle, only blank lines and comments; add one puzzle a line"
    ):
        SMALL.read(path)


def test_text_for_people() -> None:
    family = NaeSat("naesat-one", 3, 1)
    solution, blank = np.array([1, 2, 2, 2], np.int8), np.zeros(4, np.int8)
    assert family.render(blank, blank) == "latents\n . . .\nobservations\n ."
    assert family.render(solution) == "latents\n 0 1 1\nobservations\n 1"
    assert family.render(solution, blank) == "latents\n'0'1'1\nobservations\n'1"
    wrong, clues = np.array([2, 2, 2, 2], np.int8), np.array([2, 0, 0, 0], np.int8)
    assert family.render(wrong, clues) == "latents\n 1'1'1\nobservations\n!1"
    large = get_family("naesat-100-200")
    lengths = [len(line) for line in large.render(np.zeros(300, np.int8)).splitlines()]
    assert lengths == [7, 100, 100, 12, 100, 100, 100, 100]


def test_the_order_in_words() -> None:
    family = NaeSat("naesat-one", 3, 1)
    (text,) = texts(
        family, family.rate(np.zeros((1, 4), np.int8), np.array([[1, 2, 2, 2]], np.int8)), order=True
    )
    steps = [line.split(None, 1)[1] for line in text.splitlines()[-4:]]
    assert [step.split(" (")[0] for step in steps[:3]] == ["latent 1 is 0", "latent 2 is 1", "latent 3 is 1"]
    assert steps[3].startswith("observation 1 (of latents 1, 2, 3) is 1")
