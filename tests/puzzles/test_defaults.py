"""What a family inherits: streams from `make`, tiers and buckets, one-line files and plain grids."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puzzles import defaults, get_family
from puzzles.base import HARD, LOGIC, AbstractFamily, EdgeKind, PuzzleBatch, UserInputError
from puzzles.naesat import NaeSat
from puzzles.seeding import SPLITS, bucket_of, draw, in_split, stream_keys
from puzzles.sudoku.band_kernels import band_masks
from puzzles.sudoku.family import Sudoku
from puzzles.sudoku.generator import dig_many, guess_budget
from puzzles.sudoku.logical import geometry
from puzzles.testing import check_family
from puzzles.zebra.family import MAX_CLUES, Zebra, empty
from puzzles.zebra.generator import TRIES, stream

INHERITED = ("generate", "bucket", "read", "render")


def made(self: Sudoku, keys: np.ndarray) -> tuple[np.ndarray, ...]:
    """A minimal Sudoku a key, of any tier and bucket."""
    shape = (self.box_rows, self.box_cols)
    clues, solution = np.empty((2, len(keys), self.n_cells), np.int8)
    of = geometry(*shape)
    dig_many(
        keys, 0, guess_budget(*shape), band_masks(*shape), of.units, of.unit_of, of.peers, clues, solution
    )
    return clues, solution


def plain(name: str = "sudoku-2x3", box_rows: int = 2, box_cols: int = 3, **faults: Any) -> Sudoku:
    """Sudoku with all that can be inherited, and with the rest changed on demand."""
    inherited = {name: getattr(AbstractFamily, name) for name in INHERITED}
    return type("Plain", (Sudoku,), inherited | {"make": made} | faults)(name, box_rows, box_cols)


def test_what_is_inherited_passes() -> None:
    check_family(plain(), n=2)


def test_so_does_a_family_whose_make_gives_edges() -> None:
    def with_edges(self: Zebra, keys: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = empty(self.version, len(keys), MAX_CLUES)
        stream(
            keys, False, 0, 100, 3, 3, 0, TRIES, rows.edges,
            rows.clues, rows.solution, rows.rank, rows.technique, rows.hardest,
        )  # fmt: skip
        return rows.clues, rows.solution, rows.edges

    names = {"generate": AbstractFamily.generate, "bucket": AbstractFamily.bucket, "make": with_edges}
    family = type("Plain", (Zebra,), names)("zebra-plain")
    family.tiers = (LOGIC,)
    check_family(family, n=4)


@pytest.mark.parametrize("tier", [LOGIC, HARD])
def test_a_puzzle_is_the_first_of_its_keys_that_fits(tier: str) -> None:
    family = plain()
    batch = family.generate("val", tier, 3, start=5)
    for row, key in enumerate(stream_keys("sudoku-2x3-v1", "val", tier, 5, 3)):
        clues, solution = made(family, draw(np.array([key]), 1500)[0])
        fits = in_split(family, "val", clues) & (family.tier(family.rate(clues, solution)) == tier)
        assert fits.any()
        assert np.array_equal(batch.clues[row], clues[fits.argmax()])
        assert np.array_equal(batch.solution[row], solution[fits.argmax()])
    assert batch.index.tolist() == [5, 6, 7]


@pytest.mark.parametrize(("chunk", "ahead"), [(2, 1), (3, 64), (256, 7)])
def test_chunks_and_attempts_at_a_time_change_nothing(
    chunk: int, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = plain("sudoku-2x2", 2, 2)
    wanted = family.generate("test", LOGIC, 7)
    monkeypatch.setattr(defaults, "CHUNK", chunk)
    monkeypatch.setattr(defaults, "AHEAD", ahead)
    done: list[int] = []
    found = family.generate("test", LOGIC, 7, workers=2, progress=done.append)
    for name, array in wanted.arrays().items():
        assert np.array_equal(getattr(found, name), array), name
    assert sum(done) == 7
    assert max(done) <= chunk


def test_no_puzzles_are_a_batch_too() -> None:
    batch = plain().generate("test", HARD, 0)
    assert len(batch) == 0
    assert batch.clues.shape == (0, 36)


def test_a_tier_that_is_not_to_be_had_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "TRIES", 100)
    family = plain("sudoku-2x2", 2, 2)
    family.tiers = (LOGIC, HARD)
    with pytest.raises(UserInputError) as caught:
        family.generate("train", HARD, 2, start=3)
    assert str(caught.value) == (
        "sudoku-2x2: no hard puzzle of split train in 100 tries at index 3; "
        "expected one: ask for another tier or split"
    )


def test_a_family_without_make_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"^sudoku-2x3: write make, from which"):
        plain(make=AbstractFamily.make).generate("train", LOGIC, 1)


def test_the_last_technique_is_hard() -> None:
    family = plain()
    batch = family.generate("train", LOGIC, 3)
    hardest = np.array([0, 7, 8], np.int8)
    rated = PuzzleBatch(**vars(batch) | {"hardest": hardest})
    assert family.tier(rated).tolist() == [LOGIC, LOGIC, HARD]


def test_buckets_are_those_of_the_canonical_form() -> None:
    family = plain()
    clues = family.generate("train", LOGIC, 200).clues
    bucket = family.bucket(clues)
    forms = family.canonical(clues)
    assert bucket.tolist() == [bucket_of(form) for form in forms]
    assert bucket.tolist() == [bucket_of(form.astype(np.int16)) for form in forms]
    assert len(set(bucket.tolist())) > 60
    assert bucket_of(np.zeros(4, np.int8)) == 55  # other buckets would mean other streams
    assert family.bucket(clues[:0]).shape == (0,)


def test_every_bucket_is_as_likely() -> None:
    found = np.bincount([bucket_of(np.array([k, k + 1], np.int16)) for k in range(5000)], minlength=100)
    assert len(found) == 100
    assert (found > 20).all()
    assert (found < 90).all()


def test_draws_are_a_function_of_the_key_alone() -> None:
    keys = stream_keys("test", "train", "draws", 0, 5)
    drawn = draw(keys, 9)
    assert (drawn.shape, drawn.dtype) == ((5, 9), np.uint64)
    assert np.array_equal(draw(keys[2:3], 9), drawn[2:3])
    assert np.array_equal(draw(keys, 4, start=5), drawn[:, 5:])
    assert len(np.unique(drawn)) == 45
    state, mask = int(keys[0]), 2**64 - 1
    for number in drawn[0].tolist():
        state = state + 0x9E3779B97F4A7C15 & mask
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        assert number == z ^ z >> 31


def test_what_states_nothing_is_of_every_split() -> None:
    family = plain()
    clues = np.concatenate([np.zeros((1, 36), np.int8), family.generate("val", LOGIC, 3).clues])
    assert [in_split(family, split, clues).tolist() for split in SPLITS] == [
        [True, False, False, False], [True] * 4, [True, False, False, False],
    ]  # fmt: skip


def test_a_file_is_a_puzzle_a_line(tmp_path: Path) -> None:
    family = plain()
    batch = family.generate("train", HARD, 3)
    lines = ["".join(".123456"[value] for value in clues) for clues in batch.clues]
    text = "\n".join(["# mine", "", *lines[:2], f"  {lines[2]}", ""])
    (tmp_path / "mine.txt").write_text(text)
    (tmp_path / "mine.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("mine.txt", "mine.txt.gz"):
        found = family.read(tmp_path / name)
        for field, array in batch.arrays().items():
            assert np.array_equal(getattr(found, field), array), field


def changed(place: int, symbol: str) -> Callable[[str], str]:
    return lambda line: line[:place] + symbol + line[place + 1 :]


MISTAKES = {
    "short": (lambda line: line[1:], "has 35 symbols; expected 36: add some"),
    "long": (lambda line: line + ".", r"has 37 symbols; expected 36: remove some"),
    "symbol": (changed(4, "7"), "'7' for cell 5; expected . for a blank, or 1 to 6: correct it"),
    "not ASCII": (changed(35, "é"), r"'\\xe9' for cell 36; expected . for a blank"),
    "zero": (changed(0, "0"), "'0' for cell 1; expected . for a blank"),
    "no solution": (lambda line: "11" + line[2:], r"'11.* has no solution; expected one: correct a clue"),
    "several": (
        lambda line: "." * 30 + line[30:],
        r"\.\.\..*' has several solutions; expected one: add a clue",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_its_place(mistake: str, tmp_path: Path) -> None:
    change, said = MISTAKES[mistake]
    family = plain()
    clues = family.generate("train", LOGIC, 1).clues[0]
    line = "".join(".123456"[value] for value in clues)
    path = tmp_path / "mine.txt"
    path.write_text(f"{line}\n\n{change(line)}\n")
    with pytest.raises(UserInputError, match=rf"mine.txt, line 3: .*{said}") as caught:
        family.read(path)
    assert "\n" not in str(caught.value)


def test_many_solutions_are_no_mistake_where_they_are_many(tmp_path: Path) -> None:
    family = type("Plain", (NaeSat,), {"read": AbstractFamily.read})("naesat-plain", 4, 3)
    (tmp_path / "mine.txt").write_text("1.2....\n")
    batch = family.read(tmp_path / "mine.txt")
    assert batch.clues.tolist() == [[1, 0, 2, 0, 0, 0, 0]]
    assert family.is_valid(batch.solution, batch.clues).all()


def test_a_grid_shows_blanks_clues_and_what_is_filled() -> None:
    cells = np.array([1, 0, 3, 4, 2, 0, 4, 0, 0, 0, 0, 0, 4, 3, 2, 1], np.int8)
    clues = np.where(np.arange(16) < 6, cells, 0)
    family = plain("sudoku-2x2", 2, 2)
    assert family.render(cells, clues) == " 1 . 3 4\n 2 .'4 .\n . . . .\n'4'3'2'1"
    assert family.render(cells) == " 1 . 3 4\n 2 . 4 .\n . . . .\n 4 3 2 1"


@pytest.mark.parametrize("verb", ["read", "render"])
def test_what_has_more_values_or_edges_writes_its_own(verb: str) -> None:
    large = plain("sudoku-2x5", 2, 5)
    edged = type("Plain", (Zebra,), {verb: getattr(AbstractFamily, verb)})("zebra-plain")
    argument = Path("mine.txt") if verb == "read" else np.zeros(100, np.int8)
    for family in (large, edged):
        with pytest.raises(NotImplementedError, match=f"{family.name}: write {verb}; .* at most 9 values"):
            getattr(family, verb)(argument)
    assert EdgeKind("same", ("value", "value")) in get_family("zebra").graph().puzzle_kinds
