"""`python -m puzzles.generate --shard I/N`: machines share a file out, and its bytes are those of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from puzzles import generate, get_family
from puzzles.generate import main, parts_folder
from puzzles.storage import save
from puzzles.sudoku.family import Sudoku

N = 26


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "SHARD", 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of one machine."""
    path = tmp_path_factory.mktemp("whole") / "whole.npz"
    save(path, get_family("sudoku-2x2").generate("train", "logic", N))
    return path.read_bytes()


def run(out: Path, *options: str) -> int:
    return main(["sudoku-2x2", "--n", str(N), "--out", str(out), "--workers", "1", *options])


@pytest.mark.parametrize("machines", [1, 2, 3, 9])
def test_what_machines_make_is_joined_to_the_bytes_of_one(
    machines: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    whole: bytes,
) -> None:
    """In folders of their own, whose shards are copied together; nothing is made twice or while joining."""
    starts: list[int] = []
    made = Sudoku.generate

    def counted(self: Sudoku, split: str, tier: str, n: int, **options):
        starts.extend([options["start"]] if n else [])
        return made(self, split, tier, n, **options)

    monkeypatch.setattr(Sudoku, "generate", counted)
    joined = tmp_path / "joined" / "a.npz"
    parts_folder(joined).mkdir(parents=True)
    for machine in reversed(range(machines)):
        out = tmp_path / str(machine) / "a.npz"
        assert run(out, "--shard", f"{machine}/{machines}") == 0
        own = len(range(machine, 7, machines))
        said = f"{parts_folder(out)}: {own} shards are whole; without --shard they are joined\n"
        assert capsys.readouterr().out == said
        assert not out.exists()
        for part in parts_folder(out).iterdir():
            os.rename(part, parts_folder(joined) / part.name)
    assert sorted(starts) == list(range(0, N, 4))
    assert run(joined) == 0
    assert joined.read_bytes() == whole
    assert len(starts) == 7
    assert not parts_folder(joined).exists()


def test_a_shard_that_is_missing_or_has_the_puzzles_of_another_is_made_while_joining(
    tmp_path: Path, whole: bytes
) -> None:
    out = tmp_path / "a.npz"
    assert run(out, "--shard", "0/2") == 0
    assert run(out) == 0
    assert out.read_bytes() == whole
    out.unlink()
    assert run(out, "--shard", "1/2") == 0
    second, third = sorted(parts_folder(out).iterdir())[:2]
    second.write_bytes(third.read_bytes())  # the planted fault: puzzles twice, and others not at all
    assert run(out) == 0
    assert out.read_bytes() == whole


def test_a_turn_goes_on_and_an_existing_file_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], whole: bytes
) -> None:
    out = tmp_path / "a.npz"
    for _ in range(2):
        assert run(out, "--shard", "1/3") == 0
        assert len(list(parts_folder(out).iterdir())) == 2
    assert run(out) == 0
    capsys.readouterr()
    assert run(out, "--shard", "1/3") == 2
    assert capsys.readouterr().err == f"{out}: exists; remove it or name another file\n"
    assert out.read_bytes() == whole


@pytest.mark.parametrize("turn", ["2/2", "-1/2", "1", "a/b", "1/0", "0/0", "1/2/3", ""])
def test_turns_that_cannot_be(turn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(tmp_path / "a.npz", f"--shard={turn}")
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "expected I/N with I from 0 to N - 1" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
