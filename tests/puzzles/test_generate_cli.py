"""`python -m puzzles.generate`: the same bytes however it ran; each mistake is one line and exit code 2."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from puzzles import generate, get_family
from puzzles.base import LOGIC
from puzzles.generate import main, parts_folder
from puzzles.storage import content_hash, load, save
from puzzles.sudoku.family import Sudoku

N, SHARD = 26, 8
SHARDS = [(0, 8), (8, 8), (16, 8), (24, 2)]
NAMES = [f"sudoku-2x2-v1-train-logic-{start:010d}-{size}.npz" for start, size in SHARDS]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "SHARD", SHARD)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file that a single save writes."""
    path = tmp_path_factory.mktemp("whole") / "whole.npz"
    save(path, get_family("sudoku-2x2").generate("train", LOGIC, N))
    return path.read_bytes()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(start, size) of what the family is asked to make."""
    asked: list[tuple[int, int]] = []
    made = Sudoku.generate

    def generate_and_tell(self: Sudoku, split: str, tier: str, n: int, **options):
        if n:
            asked.append((options["start"], n))
        return made(self, split, tier, n, **options)

    monkeypatch.setattr(Sudoku, "generate", generate_and_tell)
    return asked


def run(out: Path, *options: str) -> int:
    return main(["sudoku-2x2", "--n", str(N), "--out", str(out), *options])


def interrupt_after(monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    """Ctrl-C once the bar has seen this many puzzles."""

    class Bar(generate.tqdm):
        def update(self, n: float = 1) -> None:
            super().update(n)
            if self.n >= done:
                raise KeyboardInterrupt

    monkeypatch.setattr(generate, "tqdm", Bar)


@pytest.mark.parametrize("workers", ["1", "2", "all"])
def test_workers_change_no_byte(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    whole: bytes,
    workers: str,
) -> None:
    monkeypatch.setattr("puzzles.sudoku.family.CHUNK", 3)
    out = tmp_path / "a.npz"
    assert run(out, "--workers", workers) == 0
    assert out.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    digest = content_hash(load(out))
    text = f"{out}: 26 puzzles of sudoku-2x2-v1 train/logic, SHA-256 {digest}\n"
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("shard", [1, 13, 26, 1000])
def test_shards_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bytes, shard: int
) -> None:
    monkeypatch.setattr(generate, "SHARD", shard)
    assert run(tmp_path / "a.npz") == 0
    assert (tmp_path / "a.npz").read_bytes() == whole


@pytest.mark.parametrize(("done", "kept"), [(1, 0), (8, 0), (9, 1), (16, 1), (17, 2), (26, 3)])
def test_a_stopped_run_goes_on_where_it_was(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    calls: list[tuple[int, int]],
    whole: bytes,
    done: int,
    kept: int,
) -> None:
    out = tmp_path / "a.npz"
    with monkeypatch.context() as patch:
        interrupt_after(patch, done)
        assert run(out) == 130
    parts = parts_folder(out)
    assert not out.exists()
    assert sorted(path.name for path in parts.iterdir()) == NAMES[:kept]
    last = capsys.readouterr().err.rstrip("\n").split("\n")[-1]
    assert last == f"stopped: what is done is kept in {parts}; the same command goes on from there"
    calls.clear()
    assert run(out, "--workers", "2") == 0
    assert calls == SHARDS[kept:]
    assert out.read_bytes() == whole
    assert not parts.exists()


def test_a_damaged_shard_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[int, int]], whole: bytes
) -> None:
    out = tmp_path / "a.npz"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 25)
        assert run(out) == 130
    shard = parts_folder(out) / NAMES[1]
    shard.write_bytes(shard.read_bytes()[:-40])
    (parts_folder(out) / f".{NAMES[3]}.123.tmp").write_bytes(b"what a killed run left")
    calls.clear()
    assert run(out) == 0
    assert calls == [SHARDS[1], SHARDS[3]]
    assert out.read_bytes() == whole
    assert not parts_folder(out).exists()


def test_shards_of_another_stream_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a.npz"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 17)
        assert run(out) == 130
    assert run(out, "--split", "test") == 0
    batch = get_family("sudoku-2x2").generate("test", LOGIC, N)
    assert content_hash(load(out)) == content_hash(batch)
    assert sorted(path.name for path in parts_folder(out).iterdir()) == NAMES[:2]


def test_files_of_somebody_else_stay(tmp_path: Path) -> None:
    out = tmp_path / "new" / "a.npz"
    parts_folder(out).mkdir(parents=True)
    (parts_folder(out) / "notes.txt").write_text("mine")
    assert run(out) == 0
    assert [path.name for path in parts_folder(out).iterdir()] == ["notes.txt"]


def test_an_existing_file_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], calls: list[tuple[int, int]]
) -> None:
    out = tmp_path / "a.npz"
    out.write_bytes(b"mine")
    assert run(out) == 2
    assert capsys.readouterr().err == f"{out}: exists; remove it or name another file\n"
    assert out.read_bytes() == b"mine"
    assert calls == []


def test_places_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file" / "a.npz", tmp_path / ("a" * 300), tmp_path / ("a" * 250)):
        assert run(out) == 2, out
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert str(out) in error
        assert "write" in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_only_others_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Path, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)  # as the system answers those who are not its master
    assert run(tmp_path / "a.npz") == 2
    parts = tmp_path / "a.npz.parts"
    expected = f"{parts}: cannot make this folder (Permission denied); write elsewhere\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sudoko"], "family 'sudoko' is unknown: expected one of .*; did you mean 'sudoku'\\?"),
        (["chess"], "family 'chess' is unknown: expected one of sudoku, .*, zebra-grid.*"),
        (["sudoku-2x2", "--split", "trian"], "split 'trian' of sudoku-2x2: expected one of train, val, test"),
        (["sudoku-2x2", "--tier", "hard"], "tier 'hard' of sudoku-2x2: expected one of logic"),
    ],
)
def test_unknown_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([*arguments, "--n", "3", "--out", str(tmp_path / "a.npz")]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(message + "\n", error), error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [["--n", "0"], ["--n", "x"], ["--n", "3", "--workers", "0"], ["--n", "3", "--bogus"], []]
)
def test_wrong_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sudoku-2x2", "--out", str(tmp_path / "a.npz"), *options])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m puzzles.generate: ")
    assert error.endswith("; see --help\n")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_itself(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    command = [sys.executable, "-m", "puzzles.generate", "sudoku-2x2", "--n", "3", "--out", "a.npz"]
    root = str(Path(generate.__file__).parents[1])
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "a.npz: exists; remove it or name another file\n"
