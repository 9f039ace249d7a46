import errno
import fcntl
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from planorder.results import runs
from planorder.results.environment import environment, portable
from planorder.results.runs import RunFolder, load_run
from planorder.results.tables import per_puzzle, summarise
from puzzles.base import UserInputError


@pytest.fixture
def write(batch, make_outcome):
    """``write(out, exact=..., **options)``: a whole run folder."""

    def whole(out, exact=(True, False, True), **options):
        outcomes = [make_outcome(list(exact)), make_outcome(list(exact), strategy="random")]
        with RunFolder(out, {"n": 3, "orders": ("vanilla", "random")}, **options) as run:
            run.write_outcomes(outcomes, {"logic": batch})
            run.write_figure("figures_accuracy", Figure())
        return outcomes

    return whole


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def no_space(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_round_trip(tmp_path, batch, write):
    outcomes = write(tmp_path / "deep" / "run")
    run = load_run(tmp_path / "deep" / "run")
    assert run.config == {"n": 3, "orders": ["vanilla", "random"]}
    assert run.environment["packages"]["numpy"] == np.__version__
    pd.testing.assert_frame_equal(run.results, summarise(outcomes))
    pd.testing.assert_frame_equal(run.puzzles, per_puzzle(outcomes), check_dtype=False)
    np.testing.assert_array_equal(run.traces["logic/solution"], batch.solution)
    for name in ("step", "prob", "cells"):
        np.testing.assert_array_equal(run.traces[f"logic/net/random/0/{name}"], getattr(outcomes[1], name))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run"]


def test_same_run_same_bytes(tmp_path, write):
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_manifest_lists_everything_and_comes_last(tmp_path, write, monkeypatch):
    order = []
    original = RunFolder.write_bytes
    monkeypatch.setattr(
        RunFolder, "write_bytes", lambda run, name, data: (order.append(name), original(run, name, data))[1]
    )
    write(tmp_path / "run")
    files = json.loads((tmp_path / "run" / "manifest.json").read_bytes())["files"]
    assert order[-1] == "manifest.json"
    assert set(files) == set(contents(tmp_path / "run")) - {"manifest.json"} == set(order[:-1])


@pytest.mark.parametrize("name", ["results.csv", "puzzles.csv.gz", "traces.npz", "config.json"])
def test_planted_fault_altered_file(tmp_path, write, name):
    write(tmp_path / "run")
    path = tmp_path / "run" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserInputError, match=rf"{name} was altered") as caught:
        load_run(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_planted_faults_missing_files(tmp_path, write):
    write(tmp_path / "run")
    (tmp_path / "run" / "traces.npz").unlink()
    with pytest.raises(UserInputError, match=r"cannot read .*traces.npz: no such file"):
        load_run(tmp_path / "run")
    (tmp_path / "run" / "manifest.json").unlink()
    with pytest.raises(UserInputError, match="no finished run folder"):
        load_run(tmp_path / "run")


def test_run_without_results_does_not_load(tmp_path):
    with RunFolder(tmp_path / "run", {}):
        pass
    with pytest.raises(UserInputError, match=r"does not list puzzles\.csv\.gz"):
        load_run(tmp_path / "run")


def test_targets_that_are_refused(tmp_path, write):
    write(tmp_path / "run")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("x")
    before = contents(tmp_path / "run")
    for name, overwrite, message in (
        ("run", False, "already holds a run"),
        ("foreign", True, "no run folder"),
        ("file", True, "no run folder"),
        ("file/below", False, "cannot"),
    ):
        with pytest.raises(UserInputError, match=message):
            write(tmp_path / name, overwrite=overwrite)
    assert contents(tmp_path / "run") == before
    assert contents(tmp_path / "foreign") == {"thesis.tex": b"years of work"}
    assert len(list(tmp_path.iterdir())) == 3


def test_empty_folder_and_overwriting(tmp_path, write):
    out = tmp_path / "run"
    out.mkdir()
    write(out)
    write(out, exact=(True, True, True), overwrite=True)
    assert load_run(out).results["exact"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
@pytest.mark.parametrize("exists", [False, True])
def test_interrupted_run_leaves_the_target_alone(tmp_path, write, error, exists):
    out = tmp_path / "run"
    if exists:
        write(out)
    before = contents(out) if exists else None
    with pytest.raises(error):  # noqa: PT012, SIM117
        with RunFolder(out, {}, overwrite=True) as run:
            run.write_bytes("results.csv", b"half")
            raise error
    assert (contents(out) if out.exists() else None) == before
    assert len(list(tmp_path.iterdir())) == exists


@pytest.mark.parametrize("call", [1, 2])
def test_interrupt_while_moving_into_place(tmp_path, write, monkeypatch, call):
    """Ctrl-C at either of the two renames that replace a run folder."""
    out, calls = tmp_path / "run", []
    write(out)
    before, rename = contents(out), os.rename

    def interrupted(source, target):
        calls.append(source)
        if len(calls) == call:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(runs.os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(out, exact=(True, True, True), overwrite=True)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_full_disk_is_one_line(tmp_path, write, monkeypatch, where):
    monkeypatch.setattr(os, where, no_space)
    with pytest.raises(UserInputError, match="no space left on device; free some space") as caught:
        write(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_full_disk_met_by_other_code_in_the_block(tmp_path):
    with (
        pytest.raises(UserInputError, match="no space left on device"),
        RunFolder(tmp_path / "run", {}),
    ):
        no_space()
    with pytest.raises(FileNotFoundError), RunFolder(tmp_path / "run", {}):
        (tmp_path / "elsewhere").read_bytes()
    assert not list(tmp_path.iterdir())


def test_read_only_folder_is_one_line(tmp_path, monkeypatch):
    def read_only(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(runs.Path, "mkdir", read_only)
    with (
        pytest.raises(UserInputError, match="read-only file system; choose a folder"),
        RunFolder(tmp_path / "a", {}),
    ):
        pass


def test_leftover_of_a_killed_run_is_cleared(tmp_path, write):
    (tmp_path / ".run.partial").mkdir()
    (tmp_path / ".run.partial" / "junk").write_text("x")
    write(tmp_path / "run")
    assert "junk" not in contents(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_two_runs_into_one_folder(tmp_path, write):
    with RunFolder(tmp_path / "run", {}) as first:
        first.write_bytes("mine", b"1")
        with pytest.raises(UserInputError, match="another run is writing"):
            write(tmp_path / "run")
        assert (first.path / "mine").read_bytes() == b"1"
    assert (tmp_path / "run" / "mine").exists()
    descriptor = os.open(tmp_path / "run", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the lock went with the run
    os.close(descriptor)


def test_environment_names_nobody(monkeypatch):
    monkeypatch.setenv("USER", "jane")
    text = json.dumps(environment())
    assert "/" not in text.replace("CPU/", "")
    for word in ("jane", os.uname().nodename, os.path.expanduser("~")):
        assert word not in text
    assert environment()["cpu_count"] >= 1


def test_config_keeps_no_absolute_path():
    config = {
        "puzzles": "/somewhere/jane/p.txt",
        "nested": [{"out": runs.Path("/somewhere/jane/out")}],
        "k": None,
    }
    assert portable(config) == {"puzzles": "p.txt", "nested": [{"out": "out"}], "k": None}
    assert portable({"puzzles": runs.Path("data/p.txt")}) == {"puzzles": "data/p.txt"}


def test_results_need_neither_torch_nor_pyplot():
    code = (
        "import sys, planorder.results.runs, planorder.results.figures, planorder.results.replay;"
        "print([name for name in ('torch', 'matplotlib.pyplot') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"
