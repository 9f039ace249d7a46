"""The command that shows puzzles: what it prints, for families of every kind, and how it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from zebra_files import EINSTEIN, JSON

from puzzles import get_family
from puzzles.base import UserInputError
from puzzles.show import choose, main, texts
from puzzles.zebra.english import say

ZEBRA = get_family("zebra")


def shown(capsys, *arguments):
    """What the command prints."""
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys, *arguments):
    """The line with which the command refuses."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_a_puzzle_is_its_clues_and_an_empty_grid(capsys):
    batch = ZEBRA.generate("train", "logic", 1, start=3)
    out = shown(capsys, "zebra", "--seed", "3")
    title, text = out.split("\n\n", 1)
    assert title.startswith(f"zebra-v1, puzzle 3 of {ZEBRA.sizes(batch.clues)[0]}: logic, hardest technique ")
    assert text.strip("\n") == ZEBRA.render(batch.clues[0], batch.clues[0], batch.edges[0]).strip("\n")
    assert "'" not in text


def test_solution_and_order_follow_the_puzzle(capsys):
    batch = ZEBRA.generate("test", "hard", 1)
    plain, out = (
        shown(capsys, "zebra", "--tier", "hard", "--split", "test", *more)
        for more in ((), ("--solution", "--order"))
    )
    assert out.startswith(plain.rstrip("\n"))
    assert ZEBRA.render(batch.solution[0], batch.clues[0]) in out
    steps = out[out.index("Order") :].rstrip().splitlines()[2:]
    cells = batch.rank[0].argsort()[-batch.blank.sum() :]
    assert len(steps) == len(cells)
    for k, (step, cell) in enumerate(zip(steps, cells, strict=True), 1):
        technique = ZEBRA.technique_names[batch.technique[0, cell]]
        assert step == f"{k:3}. {say(cell, batch.solution[0, cell])} ({technique})"


def test_families_without_words_of_their_own_are_shown_by_place(capsys):
    out = shown(capsys, "sudoku-2x2", "--order", "--solution", "--n", "2")
    sudoku = get_family("sudoku-2x2")
    batch = sudoku.generate("train", "logic", 2)
    for row in range(2):
        assert sudoku.render(batch.clues[row], batch.clues[row]) in out
        assert sudoku.render(batch.solution[row], batch.clues[row]) in out
    cell = int((batch.rank[0] == 0).argmax())
    step = f"  1. row {cell // 4 + 1}, column {cell % 4 + 1} is {batch.solution[0, cell]} ("
    assert step in out


def test_a_family_may_have_no_words_of_its_own(capsys):
    out = shown(capsys, "sudoku", "--order")
    assert ". row " in out
    assert "expected one of english" in refused(capsys, "sudoku", "--format", "json")


def test_both_layouts_say_and_write_the_same(capsys):
    for options in (("--format", "json"), ("--format", "language", "--solution")):
        assert shown(capsys, "zebra", *options) == shown(capsys, "zebra-grid", *options)
    a, b = (shown(capsys, name, "--order").split("Order")[1] for name in ("zebra", "zebra-grid"))
    assert a == b
    assert "lives in house" in a


def test_other_formats_are_a_line_a_puzzle(capsys):
    out = shown(capsys, "zebra", "--format", "json", "--solution", "--n", "3")
    assert out.splitlines() == JSON[:3]
    for line in shown(capsys, "zebra", "--format", "json", "--n", "3").splitlines():
        assert "solution" not in json.loads(line)
    assert "ANSWER" not in shown(capsys, "zebra", "--format", "language")
    assert "ANSWER" in shown(capsys, "zebra", "--format", "language", "--solution")


def test_what_is_shown_can_be_read_again(capsys, tmp_path):
    path = tmp_path / "mine.txt"
    for style in ("json", "language"):
        path.write_text(shown(capsys, "zebra", "--format", style, "--n", "5", "--seed", "7"))
        again = shown(capsys, "zebra", "--puzzles", str(path), "--format", style)
        assert again == shown(capsys, "zebra", "--format", style, "--n", "5", "--seed", "7", "--solution")


def test_files_are_shown_with_their_solutions(capsys, tmp_path):
    path = tmp_path / "einstein.jsonl"
    path.write_text(f"{json.dumps(EINSTEIN)}\n{JSON[0]}\n")
    out = shown(capsys, "zebra", "--puzzles", str(path))
    assert out.count("Solution") == 2
    assert "of 5x5: logic" in out
    assert shown(capsys, "zebra", "--puzzles", str(path), "--n", "1").count("Solution") == 1


def test_sizes_are_searched_in_the_stream():
    batch = choose(ZEBRA, "train", "logic", 3, 5, "4x5")
    assert list(ZEBRA.sizes(batch.clues)) == ["4x5"] * 3
    stream = ZEBRA.generate("train", "logic", int(batch.index[-1]) - 4, start=5)
    assert [int(i) for i in stream.index[ZEBRA.sizes(stream.clues) == "4x5"]] == batch.index.tolist()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["zebr"], ["family 'zebr' is unknown", "did you mean 'zebra'?"]),
        ([], ["arguments are required: family", "see --help"]),
        (["zebra", "--seed", "-1"], ["-1: expected 0 or more"]),
        (["zebra", "--n", "0"], ["0: expected 1 or more"]),
        (["zebra", "--tier", "easy"], ["tier 'easy' of zebra", "expected one of logic, hard"]),
        (["zebra", "--split", "tset"], ["split 'tset' of zebra", "expected one of train, val, test"]),
        (["zebra", "--format", "jsn"], ["format 'jsn' of zebra", "did you mean 'json'?"]),
        (["zebra", "--format", "json", "--order"], ["--order with --format json", "leave one out"]),
        (["sudoku", "--format", "json"], ["format 'json' of sudoku: expected one of english"]),
        (["sudoku", "--size", "9x9"], ["size '9x9': sudoku has one size", "leave --size out"]),
        (["zebra", "--size", "7x7"], ["size '7x7': 0 puzzles", "sizes there: 3x3, 3x4"]),
        (["zebra", "--puzzles", "absent"], ["absent: no such file"]),
        (["zebra", "--puzzles", "absent", "--seed", "1"], ["--seed with --puzzles", "leave one out"]),
        (["zebra", "--puzzles", "absent", "--tier", "hard"], ["--tier with --puzzles", "leave one out"]),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, parts):
    message = refused(capsys, *arguments)
    for part in parts:
        assert part in message


def test_an_unknown_style_is_refused_before_any_text():
    batch = ZEBRA.generate("train", "logic", 1)
    with pytest.raises(UserInputError, match="format 'x'"):
        next(texts(ZEBRA, batch, "x"))


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out, _ = capsys.readouterr()
    assert "examples:" in out
    assert "python -m puzzles.show zebra --seed 3" in out


def test_the_module_runs_and_a_reader_may_leave_early():
    command = [sys.executable, "-m", "puzzles.show", "sudoku-2x2", "--n", "2000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    assert process.stdout.readline().startswith(b"sudoku-2x2-v1, puzzle 0: logic")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
