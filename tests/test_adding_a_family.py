"""The code of docs/adding-a-family.md runs as it stands, and its family keeps what the page says."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from planorder.models import parameter_count
from puzzles import FAMILIES
from puzzles.base import HARD, LOGIC, UserInputError
from puzzles.seeding import SPLITS, bucket_of
from puzzles.testing import check_family

PAGE = Path(__file__).parents[1] / "docs" / "adding-a-family.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
FAMILY, CHECK, TRAINING, WRAPPER = (text for language, text in BLOCKS if language == "python")
CHECKED, TABLE, SHOW, SHOWN, COMMANDS = (text for language, text in BLOCKS if not language)


def execute(code: str, names: dict[str, Any]) -> str:
    """Runs a block of the page; returns what it prints."""
    with redirect_stdout(StringIO()) as printed:
        exec(compile(code, str(PAGE), "exec"), names)
    return printed.getvalue()


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page's `latin.py` as a module, its family registered, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("latin"))
        module: Any = ModuleType("latin")
        patch.setitem(sys.modules, "latin", module)
        patch.setitem(FAMILIES, "latin-5", module)  # so that the page's entry goes in the end
        execute(FAMILY, vars(module))
        Path("with_latin.py").write_text(WRAPPER)
        yield module


def done(code: int) -> None:
    """Takes the place of `sys.exit`: a command that is done, well."""
    assert code == 0


def command(line: str, *more: str) -> str:
    """What a command line of the page prints, run in this process."""
    words = shlex.split(line)
    assert words[:2] == ["python", "with_latin.py"]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.setattr(sys, "argv", [*words[1:], *more])
        for name in (words[2], f"{words[2]}.__main__"):  # runpy warns of what is imported already
            if name != "planorder":
                patch.delitem(sys.modules, name, raising=False)
        patch.setattr(sys, "exit", done)
        runpy.run_path("with_latin.py", run_name="__main__")
    return out.getvalue()


def test_the_page_runs(latin: Any) -> None:
    """One test, so that one worker trains, once."""
    names: dict[str, Any] = {}
    assert execute(CHECK, names) == CHECKED
    rows, shown = ([line.split() for line in text.splitlines()] for text in (execute(TRAINING, names), TABLE))
    assert rows[0] == shown[0]
    for row, line in zip(rows[1:], shown[1:], strict=True):
        assert (row[0], row[-1]) == (line[0], line[-1])  # passes follow from the puzzles; accuracies may not
    assert names["table"]["top_margin"]["exact"] > names["table"]["vanilla"]["exact"]
    assert f"{parameter_count(names['model']):,} parameters" in TEXT
    bench, train = COMMANDS.splitlines()
    found = command(bench, "--out", "runs/bench")
    assert re.search(r"^logic +relational +top_margin +20 ", found, re.MULTILINE)
    assert Path("runs/bench/results.csv").exists()
    assert train.endswith(" --steps 300")
    command(train.replace("300", "2"), "--puzzles", "40", "--validate", "0")
    assert Path("runs/longer/weights.safetensors").exists()


def test_show_prints_what_the_page_shows(latin: Any) -> None:
    assert command(SHOW).strip("\n") == SHOWN.strip("\n")


def planted(fault: str, sound: str) -> Any:
    """The page's module with a line of it changed."""
    assert FAMILY.count(sound) == 1, sound
    module: Any = ModuleType("latin")
    execute(FAMILY.replace(sound, fault).replace("FAMILIES[", "{}["), vars(module))
    return module


AGREE = "is_valid and count_solutions agree on full grids in which two cells of an edge"
FAULTS = {
    "augment leaves ranks": (
        "return move(batch, source.reshape(size, -1), names + 1)",
        "return type(batch)(**vars(move(batch, source.reshape(size, -1), names + 1)) | {'rank': batch.rank})",
        "ranks move with their cells",
    ),
    "augment gives two values one name": ("names + 1)", "names // 2 + 1)", "augmented puzzles have one"),
    "augment draws cells twice": (
        "rng.permuted(np.tile(np.arange(n), (3, size, 1)), axis=2)",
        "rng.integers(0, n, (3, size, n))",
        "augmented puzzles have one solution",
    ),
    "make's solution": ("LOGIC), solution", "LOGIC), solution % 5 + 1", "clues agree with the solution"),
    "is_valid forgets clues": (" & ((clues == 0) | (clues == cells)).all(1)", "", "is_valid holds grids"),
    "is_valid forgets columns": ("once[0] & once[1] & ", "once[0] & ", f"{AGREE} row are exchanged"),
    "is_valid forgets rows": ("once[0] & once[1] & ", "once[1] & ", f"{AGREE} column are exchanged"),
    "the solver trusts clues": (
        "search(self.options, clues, limit)",
        "search(lambda cells: self.options(cells) | (cells > 0)[:, :, None], clues, limit)",
        f"{AGREE} row are exchanged",
    ),
    "options forget columns": ("free[0] & free[1]", "free[1]", "every puzzle has one solution"),
    "rate counts anew": ("clues), index)", "clues))", "stream train/logic is the same from any start: index"),
    "canonical leaves rows": (
        "solution[:, columns[:, 0]].T, 1).argsort(1)",
        "solution[:, columns[:, 0]].T * 0, 1).argsort(1)",
        "symmetric puzzles share their canonical form",
    ),
    "canonical looks at rows alone": (
        "for axis in (0, 1))",
        "for axis in (1,))",
        "symmetric puzzles share their canonical form",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str) -> None:
    sound, fault, promise = FAULTS[name]
    with pytest.raises(AssertionError, match=f"^latin-5: {promise}"):
        check_family(planted(fault, sound).Latin(5), n=4)


def test_what_both_verbs_forget_the_published_number_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = FAMILY
    for before, after in (("once[0] & once[1]", "once[0]"), ("free[0] & free[1]", "free[1]")):
        assert sound.count(before) == 1
        sound = sound.replace(before, after)
    module: Any = ModuleType("latin")
    execute(sound.replace("FAMILIES[", "{}["), vars(module))
    count, _ = module.Latin(4).count_solutions(np.zeros((1, 16), np.int8), limit=1000)
    assert f"{count}" != CHECKED.strip()


def test_splits_keep_to_their_buckets(latin: Any) -> None:
    family = latin.Latin(5)
    for split, (low, high) in SPLITS.items():
        batch = family.generate(split, LOGIC, 8)
        assert all(low <= bucket_of(form) < high for form in family.canonical(batch.clues))


def test_there_are_as_many_squares_and_classes_as_is_known(latin: Any) -> None:
    for n, squares, classes in ((2, 2, 1), (3, 12, 1), (4, 576, 2)):  # A002860; A040082
        family = latin.Latin(n)
        rows = np.array(list(permutations(range(1, n + 1))), np.int8)
        grids = rows[np.indices((len(rows),) * n).reshape(n, -1).T].reshape(-1, n * n)
        found = grids[family.is_valid(grids, grids)]
        assert len(found) == family.count_solutions(np.zeros((1, n * n), np.int8), limit=1000)[0] == squares
        assert len(np.unique(family.canonical(found), axis=0)) == classes


def test_singles_are_right_and_search_takes_the_rest(latin: Any) -> None:
    family = latin.Latin(5)
    batch = family.generate("train", LOGIC, 20)
    cells = batch.clues.copy()
    while (new := family.singles(cells)).any():
        cells += new.astype(np.int8)
    assert np.array_equal(cells, batch.solution)
    fewer = family.rate(batch.clues * 0, batch.solution)
    assert set(family.tier(fewer)) == {HARD}
    assert set(family.tier(batch)) == {LOGIC}


GOOD = "1......3..32..5..1.34.5.1"


def test_files_are_read_or_refused_in_one_line(latin: Any) -> None:
    family = latin.Latin(5)
    Path("mine.txt").write_text(f"# mine\n{GOOD}\n")
    batch = family.read(Path("mine.txt"))
    assert family.is_valid(batch.solution, batch.clues).all()
    for line, said in (
        (GOOD[1:], f"{GOOD[1:]}' has 24 symbols; expected 25: add some"),
        (GOOD.replace("5", "6"), "6' for cell 15; expected . for a blank, or 1 to 5: correct it"),
        ("11" + GOOD[2:], "has no solution; expected one: correct a clue"),
        ("." + GOOD[1:13] + "." * 12, "has several solutions; expected one: add a clue"),
    ):
        Path("mine.txt").write_text(f"{GOOD}\n{line}\n")
        with pytest.raises(UserInputError, match=rf"^mine.txt, line 2: '.*{said}") as caught:
            family.read(Path("mine.txt"))
        assert "\n" not in str(caught.value)
