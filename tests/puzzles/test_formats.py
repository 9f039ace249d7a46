"""Other people's files: every format reads to the same puzzles, each mistake is one line that tells where."""

import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_logical_twin import known_puzzles, scrambled_grids

from puzzles import get_family
from puzzles.base import UserInputError
from puzzles.sudoku.formats import read_puzzles, to_line, write_shah

SUDOKU = get_family("sudoku")
_, CLUES, SOLUTION = known_puzzles()
LINES = [to_line(cells) for cells in CLUES]
SOLVED = [to_line(cells) for cells in SOLUTION]
GOOD, GOOD_SOLUTION = LINES[0], SOLVED[0]


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def shah(clues, solution):
    """The format written out plainly, fills in reading order and with strategy 2."""
    rows = []
    for given_cells, solved in zip(clues, solution, strict=True):
        order = sorted(range(81), key=lambda cell: (given_cells[cell] == 0, cell))
        moves = [(cell // 9, cell % 9, solved[cell], 2 * (given_cells[cell] == 0)) for cell in order]
        rows.append([np.count_nonzero(given_cells), *np.ravel(moves)])
    return np.array(rows, np.int16)


SHAH = shah(CLUES, SOLUTION)


def joined(lines, header=""):
    return (header + "\n".join(lines) + "\n").encode()


FORMATS = {
    "lines.txt": joined(LINES),
    "dots.txt": joined([line.replace("0", ".") for line in LINES]),
    "solved.txt": joined([f"{puzzle} {solution}" for puzzle, solution in zip(LINES, SOLVED, strict=True)]),
    "rated.txt": joined([f"c288ff21de6a0200191a2b6b {line}  1.2" for line in LINES]),
    "rated_short_hash.txt": joined([f"0000183b305c {line}  1.2" for line in LINES]),
    "kaggle.csv": joined(
        [f"{p},{s}" for p, s in zip(LINES, SOLVED, strict=True)], header="quizzes,solutions\n"
    ),
    "radcliffe.csv": joined(
        [f'{i},"{p}",{s},27,2.2' for i, (p, s) in enumerate(zip(LINES, SOLVED, strict=True))],
        header="id,puzzle,solution,clues,difficulty\n",
    ),
    "unsolved.csv": joined(LINES, header="Puzzle\n"),
    "partly_solved.csv": joined(
        [f"{p},{s if i % 2 else ''}" for i, (p, s) in enumerate(zip(LINES, SOLVED, strict=True))],
        header="puzzle,solution\n",
    ),
    "windows.txt": b"\xef\xbb\xbf# my puzzles\r\n\r\n" + joined(LINES).replace(b"\n", b"\r\n"),
    "shah.npy": npy(SHAH),
    "shah_int64.npy": npy(SHAH.astype(np.int64)),
    "no_suffix": npy(SHAH),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reads_to_the_same_rated_puzzles(tmp_path, name, zipped):
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(FORMATS[name]) if zipped else FORMATS[name])
    batch = read_puzzles(path, SUDOKU)
    expected = SUDOKU.rate(CLUES, SOLUTION, np.arange(len(CLUES)))
    for field in ("clues", "solution", "rank", "technique", "hardest", "index"):
        np.testing.assert_array_equal(getattr(batch, field), getattr(expected, field))


@pytest.mark.parametrize(("name", "blank"), [("sudoku-2x2", "."), ("sudoku-4x4", "0")])
def test_other_shapes_and_letters(tmp_path, name, blank):
    family = get_family(name)
    box = int(name[-1])
    solution = scrambled_grids(3, box, box, np.random.default_rng(2))
    clues = solution.copy()
    clues[:, [0, 3]] = 0  # one blank in a column and box: the solution stays unique
    lines = [to_line(cells).replace("0", blank) for cells in clues]
    assert ("G" in lines[0]) == (box == 4)
    path = tmp_path / "puzzles.txt"
    path.write_text("\n".join([lines[0].lower(), *lines[1:]]))
    batch = read_puzzles(path, family)
    np.testing.assert_array_equal(batch.clues, clues)
    np.testing.assert_array_equal(batch.solution, solution)


def test_line_of_cells():
    assert to_line(np.array([0, 1, 9, 10, 16, 25], np.int8)) == "019AGP"


def swap(text, place, symbol):
    return text[:place] + symbol + text[place + 1 :]


def first_clue(line):
    return next(i for i, symbol in enumerate(line) if symbol != "0")


def second(line):
    """A file whose second puzzle, on line 3 after a comment, is the given line."""
    return joined([GOOD, "# next", line])


def altered(column, value, dtype=np.int16):
    table = SHAH.astype(dtype)
    table[1, column] = value
    return npy(table)


AT = first_clue(GOOD)
EMPTIED = swap(GOOD, AT, "0")
WRONG_SOLUTION = swap(GOOD_SOLUTION, 80, str(int(GOOD_SOLUTION[80]) % 9 + 1))
NO_SOLUTION = "516849732307605000809700065135060907472591006968370050253186074684207500791050608"

MISTAKES = {
    "short": (second(GOOD[:-1]), "line 3", "80 characters", "expected 81"),
    "long": (second(GOOD + "0"), "line 3", "82 characters", "expected 81"),
    "letter": (second(swap(GOOD, 7, "x")), "line 3", "character 'x' at place 8", "expected 1-9"),
    "letter_value": (second(swap(GOOD, 7, "A")), "line 3", "character 'A'", "expected 1-9"),
    "unicode_digit": (second(swap(GOOD, 0, "\u0663")), "line 3", r"character '\u0663'", "expected 1-9"),
    "nul": (second(swap(GOOD, 0, "\0")), "line 3", r"character '\x00'", "expected 1-9"),
    "repeat": (second("55" + "0" * 79), "line 3", "the clue 5 stands twice in row 1", "correct one"),
    "repeat_column": (
        second("5" + "0" * 8 + "5" + "0" * 71),
        "line 3",
        "5 stands twice in column 1",
        "correct one",
    ),
    "repeat_box": (
        second("5" + "0" * 9 + "5" + "0" * 70),
        "line 3",
        "5 stands twice in box 1",
        "correct one",
    ),
    "none": (second(NO_SOLUTION), "line 3", NO_SOLUTION, "no solutions; expected one"),
    "several": (second(EMPTIED), "line 3", EMPTIED, "several solutions; expected one"),
    "wrong_solution": (
        second(f"{GOOD} {WRONG_SOLUTION}"),
        "line 3",
        f"has {WRONG_SOLUTION[80]} at row 9, column 9",
        f"has {GOOD_SOLUTION[80]} there; correct it",
    ),
    "blank_in_solution": (
        second(f"{GOOD} {swap(GOOD_SOLUTION, 0, '.')}"),
        "line 3",
        "has 0 at row 1",
        "correct",
    ),
    "short_solution": (second(f"{GOOD} 123"), "line 3", "the solution '123' has 3", "expected 81"),
    "columns": (second(f"{GOOD} 1 2 3"), "line 3", "4 columns", "expected `puzzle`"),
    "no_header": (joined([f"{GOOD},{GOOD_SOLUTION}"]), "line 1", "a comma", "add `puzzle,solution`"),
    "csv_short_row": (
        joined(["1,2", f"1,{GOOD}"], "id,puzzle,n\n"),
        "line 2",
        "2 columns in '1,2'",
        "expected 3",
    ),
    "csv_short_puzzle": (joined([f"{GOOD},", "12,"], "puzzle,solution\n"), "line 3", "'12'", "expected 81"),
    "header_alone": (b"puzzle,solution\n", "", "header but no puzzle", "add one"),
    "empty": (b"", "", "is empty", "expected a puzzle a line"),
    "comments": (b"# nothing\n\n", "", "holds no puzzle", "add one"),
    "latin1": (
        second(GOOD).replace(b"next", b"\xe9t\xe9"),
        "line 2",
        "byte 0xe9 is not UTF-8",
        "expected text",
    ),
    "utf16": (GOOD.encode("utf-16"), "line 1", "byte 0xff", "expected text"),
    "cut.txt.gz": (
        gzip.compress(second(GOOD))[:-20],
        "",
        "not a whole gzip file",
        "fetch or compress it again",
    ),
    "plain.txt.gz": (second(GOOD), "", "not a whole gzip file", "compress it again"),
    "flat.npy": (npy(SHAH.ravel()), "", f"shape ({SHAH.size},)", "expected [puzzles, 325]"),
    "narrow.npy": (npy(SHAH[:, :-1]), "", f"shape ({len(SHAH)}, 324)", "expected [puzzles, 325]"),
    "no_rows.npy": (npy(SHAH[:0]), "", "shape (0, 325)", "expected [puzzles, 325]"),
    "floats.npy": (npy(SHAH.astype(float)), "", "array of float64", "astype"),
    "pickled.npy": (npy(np.array([{1: 2}], object), allow_pickle=True), "", "allow_pickle", "numpy.save"),
    "raw_pickle.npy": (b"\x80\x04K\x01.", "", "not a whole .npy", "numpy.save"),
    "cut.npy": (npy(SHAH)[:-5], "", "not a whole .npy", "numpy.save"),
    "header.npy": (npy(SHAH)[:40], "", "not a whole .npy", "numpy.save"),
    "givens.npy": (altered(0, 82), "row 2", "number of givens 82", "expected 0 to 81"),
    "row.npy": (altered(1, 9), "row 2", "row 9", "expected 0 to 8"),
    "column.npy": (altered(2, -1), "row 2", "column -1", "expected 0 to 8"),
    "value.npy": (altered(3, 0), "row 2", "value 0", "expected 1 to 9"),
    "value_huge.npy": (altered(3, 257, np.int64), "row 2", "value 257", "expected 1 to 9"),
    "twice.npy": (altered([1, 2], SHAH[1, 5:7]), "row 2", "a cell is filled twice", "expected each"),
    "few_givens.npy": (altered(0, 10), "row 2", "several solutions", "add a clue"),
    "solution.npy": (altered(323, SHAH[1, 323] % 9 + 1), "row 2", "the given solution has", "correct it"),
}


def refusal(path, family=SUDOKU):
    """The one-line text with which a file is refused."""
    with pytest.raises(UserInputError) as refused:
        read_puzzles(path, family)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < len(str(path)) + 300
    return message


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_one_line_with_place_value_and_fix(tmp_path, name):
    content, *parts = MISTAKES[name]
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(path)
    for part in parts:
        assert part in message


def test_missing_file_and_folder(tmp_path):
    assert "no such file; check the path" in refusal(tmp_path / "absent.txt")
    assert "is a folder; expected a puzzle file" in refusal(tmp_path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("formats") / "any.txt"


@settings(max_examples=60, deadline=None)
@given(
    picks=st.lists(st.integers(0, len(LINES) - 1), min_size=1, max_size=6),
    blank=st.sampled_from("0."),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    filler=st.lists(st.sampled_from(["", "  ", "# 123", "#"]), min_size=6, max_size=6),
    style=st.sampled_from(["{p}", " {p}\t{s} ", "abc123 {p} 7.1", "abc123 {p}"]),
    zipped=st.booleans(),
)
def test_any_mix_of_styles_reads_back(scratch, picks, blank, newline, filler, style, zipped):
    lines = [style.format(p=LINES[i].replace("0", blank), s=SOLVED[i]) for i in picks]
    text = newline.join(part for pair in zip(filler, lines, strict=False) for part in pair)
    scratch.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    batch = read_puzzles(scratch, SUDOKU)
    np.testing.assert_array_equal(batch.clues, CLUES[picks])
    np.testing.assert_array_equal(batch.solution, SOLUTION[picks])


@settings(max_examples=150, deadline=None)
@given(
    content=st.one_of(
        st.binary(min_size=1, max_size=200),
        st.text('0123456789.,#" \n\rpuzlesotin\u2028', min_size=1, max_size=200).map(str.encode),
        st.builds(
            lambda at, byte: swap_byte(npy(SHAH[:2]), at, byte), st.integers(0, 1000), st.integers(0, 255)
        ),
        st.builds(
            lambda at, byte: swap_byte(joined(LINES[:2]), at, byte), st.integers(0, 163), st.integers(0, 255)
        ),
    )
)
def test_no_content_causes_anything_but_a_clear_refusal(scratch, content):
    scratch.write_bytes(content)
    try:
        batch = read_puzzles(scratch, SUDOKU)
    except UserInputError:
        refusal(scratch)
    else:
        assert SUDOKU.is_valid(batch.solution, batch.clues).all()


def swap_byte(content, at, byte):
    return content[:at] + bytes([byte]) + content[at + 1 :]


def test_shah_rows_are_givens_then_fills_in_the_solvers_order(tmp_path):
    batch = SUDOKU.rate(CLUES, SOLUTION, np.arange(len(CLUES)))
    batch = batch[batch.hardest < 8]
    path = tmp_path / "shah.npy"
    write_shah(path, batch)
    table = np.load(path)
    assert table.shape == (len(batch), 325)
    for row, puzzle in enumerate(table):
        moves = puzzle[1:].reshape(81, 4)
        cells = moves[:, 0] * 9 + moves[:, 1]
        assert puzzle[0] == np.count_nonzero(batch.clues[row])
        assert batch.rank[row][cells].tolist() == [-1] * puzzle[0] + list(range(81 - puzzle[0]))
        assert moves[:, 2].tolist() == batch.solution[row][cells].tolist()
        labels = [0 if technique == 0 else technique + 1 for technique in batch.technique[row][cells]]
        assert moves[:, 3].tolist() == labels
    back = read_puzzles(path, SUDOKU)
    np.testing.assert_array_equal(back.clues, batch.clues)
    np.testing.assert_array_equal(back.rank, batch.rank)


def test_shah_refuses_search_and_leaves_no_half_file(tmp_path):
    batch = SUDOKU.rate(CLUES, SOLUTION, np.arange(len(CLUES)))
    searched = int(np.flatnonzero(batch.hardest == 8)[0])
    with pytest.raises(UserInputError, match=rf"^puzzle {searched} of .* needs search.*hardest < 8\]$"):
        write_shah(tmp_path / "all.npy", batch)
    with pytest.raises(
        UserInputError, match=r"cannot write .*; name a file in a writable folder with room on its disk$"
    ):
        write_shah(tmp_path / "absent" / "all.npy", batch[batch.hardest < 8])
    (tmp_path / "taken.npy").mkdir()
    with pytest.raises(UserInputError, match="cannot write"):
        write_shah(tmp_path / "taken.npy", batch[batch.hardest < 8])
    assert [path.name for path in tmp_path.iterdir()] == ["taken.npy"]


@pytest.mark.skipif(
    "PLANORDER_DATA" not in os.environ, reason="PLANORDER_DATA names no folder of puzzle lists"
)
@pytest.mark.parametrize(("name", "n"), [("exchange-medium-500.txt", 500), ("nullsudoku-easy.txt.gz", 5000)])
def test_public_lists_read(name, n):
    batch = read_puzzles(Path(os.environ["PLANORDER_DATA"]) / name, SUDOKU)
    assert len(batch) == n
    assert (batch.hardest < 8).all()
