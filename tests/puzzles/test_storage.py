"""Puzzle files: what goes in comes out, and nothing damaged or foreign ever does."""

import errno
import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from puzzles import get_family, storage
from puzzles.base import ROW_FIELDS, PuzzleBatch, UserInputError, concatenate
from puzzles.storage import FORMAT, content_hash, load, save


def make_batch(n=5, seed=0):
    rng = np.random.default_rng(seed)
    return PuzzleBatch(
        family="toy-v1",
        clues=rng.integers(0, 5, (n, 16), np.int8),
        solution=rng.integers(1, 5, (n, 16), np.int8),
        rank=rng.integers(-1, 300, (n, 16), np.int16),
        technique=rng.integers(0, 9, (n, 16), np.int8),
        hardest=rng.integers(0, 9, n, np.int8),
        index=np.arange(n, dtype=np.int64) * 2**40,
    )


def refusal(path):
    with pytest.raises(UserInputError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("n", [0, 1, 5])
def test_what_goes_in_comes_out(tmp_path, n):
    batch = make_batch(n)
    digest = save(tmp_path / "a.npz", batch)
    back = load(str(tmp_path / "a.npz"))
    assert back.family == batch.family
    assert content_hash(back) == digest
    for name in ROW_FIELDS:
        np.testing.assert_array_equal(getattr(back, name), getattr(batch, name), strict=True)


def test_bytes_depend_on_the_batch_alone(tmp_path, monkeypatch):
    batch = make_batch()
    save(tmp_path / "a.npz", batch)
    monkeypatch.setattr("time.localtime", lambda *_: pytest.fail("the file asked for the time"))
    strided = replace(batch, clues=np.asfortranarray(batch.clues), rank=batch.rank.astype(">i2"))
    save(tmp_path / "b.npz", strided)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_every_field_and_the_family_count_in_the_hash():
    batch = make_batch()
    changed = [replace(batch, family="toy-v2")]
    for name in ROW_FIELDS:
        array = getattr(batch, name).copy()
        array.flat[-1] += 1
        changed.append(replace(batch, **{name: array}))
    swapped = replace(batch, clues=batch.solution, solution=batch.clues)
    hashes = {content_hash(other) for other in [batch, swapped, *changed]}
    assert len(hashes) == len(changed) + 2


def test_that_solutions_are_many_is_kept_and_counts_in_the_hash(tmp_path):
    batch = make_batch()
    many = replace(batch, unique=False)
    for name, given in (("one", batch), ("many", many)):
        save(tmp_path / f"{name}.npz", given)
        assert load(tmp_path / f"{name}.npz").unique == given.unique
    assert content_hash(batch) != content_hash(many)
    assert not concatenate([many, many]).unique
    rewrite(tmp_path / "many.npz", edit_meta(unique=True))
    assert "was altered" in refusal(tmp_path / "many.npz")
    puzzles = get_family("sudoku-2x2").generate("test", "logic", 3)
    assert content_hash(puzzles) == "fd4b66f373040d49786700b4906baf77fe6438b9db5b6cf1ca77239817676213"


def test_numpy_reads_the_file_too(tmp_path):
    batch = make_batch()
    save(tmp_path / "a.npz", batch)
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["rank"], batch.rank)


def test_no_truncation_is_accepted(tmp_path):
    path = tmp_path / "a.npz"
    save(path, make_batch(2))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refusal(path)


def test_no_flipped_byte_changes_what_is_read(tmp_path):
    """A flip either goes unnoticed because it changes nothing (a date, an attribute) or is refused."""
    path = tmp_path / "a.npz"
    digest = save(path, make_batch(2))
    whole = path.read_bytes()
    messages = []
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            assert content_hash(load(path)) == digest
        except UserInputError as error:
            messages.append(str(error))
    assert len(messages) > len(whole) / 3 / 2
    assert not any("\n" in message for message in messages)


def rewrite(path, change):
    """Writes the file again as a well-formed zip with some members changed by ``change(name, data)``."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if (new := change(name, data)) is not None:
                archive.writestr(name, new)


def edit_meta(**changes):
    return lambda name, data: json.dumps(json.loads(data) | changes) if name == "meta.json" else data


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (edit_meta(family="toy-v9"), "was altered"),
        (edit_meta(format="planorder-puzzles-0"), f"expected '{FORMAT}'"),
        (lambda name, data: data[:-1] + b"\7" if name == "clues.npy" else data, "was altered"),
        (lambda name, data: None if name == "rank.npy" else data, "rank.npy"),
        (lambda name, data: None if name == "meta.json" else data, "has no meta.json"),
        (lambda name, data: "[]" if name == "meta.json" else data, "not a whole puzzle file"),
        (lambda name, data: data.replace(b"|i1", b"|u1") if name == "clues.npy" else data, "clues is uint8"),
    ],
)
def test_altered_files_are_refused(tmp_path, change, part):
    path = tmp_path / "a.npz"
    save(path, make_batch())
    rewrite(path, lambda name, data: data)
    load(path)
    rewrite(path, change)
    assert part in refusal(path)


def test_foreign_files_are_refused(tmp_path):
    np.savez(tmp_path / "foreign.npz", clues=np.zeros(3))
    assert "meta.json" in refusal(tmp_path / "foreign.npz")
    (tmp_path / "text.npz").write_text("1234\n")
    assert "not a whole puzzle file" in refusal(tmp_path / "text.npz")
    assert "no such file" in refusal(tmp_path / "absent.npz")
    assert "is a folder" in refusal(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save(path, make_batch())
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(UserInputError, match="No space left"):
        save(path, make_batch(seed=1))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npz"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "a.npz", make_batch())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["absent/a.npz", "file/a.npz", "folder"])
def test_places_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserInputError, match="cannot write") as caught:
        save(tmp_path / place, make_batch())
    assert str(tmp_path / place) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_edges_come_out_as_they_went_in(tmp_path):
    batch = replace(make_batch(), edges=np.arange(5 * 3 * 4, dtype=np.int16).reshape(5, 3, 4))
    digest = save(tmp_path / "edges.npz", batch)
    found = load(tmp_path / "edges.npz")
    assert np.array_equal(found.edges, batch.edges)
    assert found.edges.dtype == np.int16
    assert digest == content_hash(found) != content_hash(make_batch())
    save(tmp_path / "none.npz", make_batch())
    assert load(tmp_path / "none.npz").edges is None


def test_joined_edges_are_as_wide_as_the_widest():
    narrow = replace(make_batch(2), edges=np.ones((2, 1, 4), np.int16))
    wide = replace(make_batch(3), edges=np.ones((3, 4, 4), np.int16))
    joined = concatenate([narrow, wide])
    assert joined.edges.shape == (5, 4, 4)
    assert (joined.edges[:2, 1:] == -1).all()
    assert (joined.edges[2:] == 1).all()
    assert concatenate([make_batch(), make_batch()]).edges is None
