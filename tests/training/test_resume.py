"""A training that stops: the same bits after any kill, the last good state after any fault."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from planorder.models import AutoregressiveConfig, RelationalConfig, TransformerConfig
from planorder.models.checkpoint import load_model, read_tensors, write_tensors
from planorder.training import loop
from planorder.training.data import TrainingData
from planorder.training.loop import METRICS, PUZZLES, STATE, TrainConfig, Training, train
from planorder.training.objectives.autoregressive import AutoregressiveObjective
from planorder.training.objectives.masked import MaskedObjective
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError
from puzzles.storage import load, save

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")
NETWORK = TransformerConfig(layers=1, width=16, heads=2, dropout=0.2)
CONFIG = TrainConfig(
    steps=12, batch_size=8, warmup=5, log_every=2, validate_every=0, precision="fp32", save_minutes=0.0
)
AR = AutoregressiveConfig(16, 4, 4, 4, layers=1, width=8, heads=1, dropout=0.2)
LONG = 160
MOMENTS = ("any", "any", "half", "any", "any", "any", "replace", "any", "any", "any")
"""When a child dies: at any moment after a save, with half a file written, or a whole one not in place."""


def run(out, puzzles, *, fewer=0, model=NETWORK, objective=None, hooks=None, name="net", **changes) -> Path:
    config, puzzles = replace(CONFIG, **changes), puzzles[fewer:]
    data = TrainingData(FAMILY, puzzles, config.batch_size, config.seed, config.balance)
    chosen, info = objective or MaskedObjective(), {"puzzles": len(puzzles)}
    return train(model, config, chosen, data, out, name=name, info=info, **(hooks or {}))


def bits(path: Path) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in read_tensors(path)[0].items()}


def lines(out: Path) -> list[dict[str, float]]:
    """metrics.jsonl without time."""
    found = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "minutes"} for line in found]


def assert_same(out: Path, other: Path) -> None:
    for name in (STATE, "weights.safetensors"):
        assert bits(out / name) == bits(other / name), name
    assert lines(out) == lines(other)


def done(out: Path) -> int:
    """Steps behind the saved state, which must load."""
    load_model(out / STATE)
    return read_tensors(out / STATE)[1]["done"]


def one_line(*words: str) -> Any:
    """Expects a user's error of one line with these words, in this order."""
    return pytest.raises(UserInputError, match=r"\A(?=.*\Z).*" + ".*".join(re.escape(word) for word in words))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, puzzles: PuzzleBatch) -> Path:
    """Twelve steps that nothing disturbed."""
    return run(tmp_path_factory.mktemp("whole"), puzzles).parent


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, puzzles: PuzzleBatch) -> tuple[Path, list[dict]]:
    """A folder in which one training after the other was killed, and what each death left."""
    out = tmp_path_factory.mktemp("killed")
    save(out / "puzzles.npz", puzzles)
    root = str(Path(__file__).parents[2])
    told = subprocess.check_output([sys.executable, __file__, out], env=os.environ | {"PYTHONPATH": root})
    return out, [json.loads(line) for line in told.splitlines()]


def die_in_a_save(moment: str) -> None:
    """SIGKILL inside the third save: with half of the file written, or whole but not yet in its place."""
    calls, call = [], {"half": "fsync", "replace": "replace"}[moment]
    original = getattr(os, call)

    def deadly(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 4:  # the first writes metrics.jsonl
            if moment == "half":
                os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        original(*arguments)

    setattr(os, call, deadly)


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def kill_trainings(out: Path) -> None:
    """Trains in children that are killed, and prints a line about what each left."""
    torch.set_num_threads(1)
    puzzles, rng = load(out / "puzzles.npz"), random.Random(0)
    data = TrainingData(FAMILY, puzzles, CONFIG.batch_size, 0)
    data.batch(Training(NETWORK, CONFIG, data, "cpu").done)  # what takes seconds the first time is done once
    for moment in MOMENTS:
        before, child = stamp(out / STATE), os.fork()
        if not child:
            try:
                if moment != "any":
                    die_in_a_save(moment)
                run(out, puzzles, steps=LONG)
            finally:  # whatever happens, a child never goes on with its parent's work
                os._exit(1)
        ended, status = 0, 0
        while moment == "any" and not ended:
            time.sleep(0.001)
            if stamp(out / STATE) != before:
                time.sleep(rng.uniform(0, 0.03))
                os.kill(child, signal.SIGKILL)
                break
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            status = os.waitpid(child, 0)[1]
        left = {"moment": moment, "signal": os.WTERMSIG(status), "done": done(out)}
        logged = (out / METRICS).read_text().count("\n") * CONFIG.log_every
        print(json.dumps(left | {"logged": logged, "partial": (out / f".{STATE}.partial").exists()}))


def test_a_kill_at_any_moment_leaves_a_state_that_loads(killed: tuple[Path, list[dict]]) -> None:
    deaths = killed[1]
    assert [death["moment"] for death in deaths] == list(MOMENTS)
    assert {death["signal"] for death in deaths} == {signal.SIGKILL}
    steps = [0] + [death["done"] for death in deaths]
    for before, death in zip(steps, deaths, strict=False):
        assert before < death["done"] < LONG, steps
        if death["moment"] != "any":
            assert death["done"] == before + 2 * CONFIG.log_every
            assert death["logged"] == death["done"] + CONFIG.log_every, "the log was ahead of the state"
            assert death["partial"]


def test_after_kills_the_bits_are_those_of_a_run_without(
    killed: tuple[Path, list[dict]], puzzles: PuzzleBatch, tmp_path: Path
) -> None:
    out = killed[0]
    (out / METRICS).write_text((out / METRICS).read_text() + '{"step": 9')  # a line that a kill cut
    run(out, puzzles, steps=LONG)
    run(tmp_path, puzzles, steps=LONG, save_minutes=1e9)
    assert_same(out, tmp_path)
    minutes = [json.loads(line)["minutes"] for line in (out / METRICS).read_text().splitlines()]
    assert minutes == sorted(minutes), "a resumed run goes on with the time behind it"
    assert {path.name for path in out.iterdir()} - {"puzzles.npz"} == {p.name for p in tmp_path.iterdir()}


def stop_at(step: int) -> dict[str, Any]:
    def progress(now: int, line: dict[str, float]) -> None:
        if now == step:
            raise KeyboardInterrupt

    return {"progress": progress}


@pytest.mark.parametrize(
    ("model", "objective"),
    [(RelationalConfig(8, 16, 3, jitter=2), MaskedObjective()), (AR, AutoregressiveObjective("random"))],
    ids=["relational", "ar"],
)
def test_stopped_at_every_line_of_the_log(model, objective, puzzles: PuzzleBatch, tmp_path: Path) -> None:
    for step in range(4, 13, 2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "a", puzzles, model=model, objective=objective, hooks=stop_at(step))
        assert done(tmp_path / "a") == step - 2
    for name in ("a", "b", "a"):  # once more, since a finished training changes nothing
        run(tmp_path / name, puzzles, model=model, objective=objective)
        assert name == "b" or done(tmp_path / "a") == 12
    assert_same(tmp_path / "a", tmp_path / "b")


def test_without_a_save_it_begins_again(whole: Path, puzzles: PuzzleBatch, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, puzzles, hooks=stop_at(10), save_minutes=1e9)
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]
    run(tmp_path, puzzles)
    assert_same(tmp_path, whole)


def test_a_cut_state_is_one_line(whole: Path, puzzles: PuzzleBatch, tmp_path: Path) -> None:
    state = (whole / STATE).read_bytes()
    for length in (0, 7, 500, len(state) // 2, len(state) - 1):
        (tmp_path / STATE).write_bytes(state[:length])
        with one_line(f"{tmp_path / STATE}: truncated", "train it again"):
            run(tmp_path, puzzles)
        assert (tmp_path / STATE).read_bytes() == state[:length]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.001}, "learning_rate=0.002, not 0.001"),
        ({"steps": 14}, "steps=12, not 14"),
        ({"seed": 1}, "seed=0, not 1"),
        ({"balance": 0.5}, "balance=0.0, not 0.5"),
        ({"schedule": "cosine"}, "schedule='trapezoid', not 'cosine'"),
        ({"batch_size": 4}, "batch_size=8, not 4"),
        ({"name": "other"}, "name='net', not 'other'"),
        ({"model": replace(NETWORK, dropout=0.0)}, "dropout=0.2, not 0.0"),
        ({"model": RelationalConfig(8, 16, 2)}, "backbone='transformer', not 'relational'"),
        ({"fewer": 3}, "puzzles=26, not 23"),
    ],
)
def test_another_training_in_the_folder_is_refused(
    changes: dict[str, Any], message: str, whole: Path, puzzles: PuzzleBatch
) -> None:
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    with one_line(f"{whole}: holds a training with {message}: choose another --out"):
        run(whole, puzzles, **changes)
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


def test_other_puzzles_of_the_same_number_are_refused(whole: Path, puzzles: PuzzleBatch) -> None:
    others = FAMILY.generate("train", "logic", len(puzzles), start=5000)
    with one_line(f"{whole}: holds a training with {PUZZLES}='"):
        run(whole, others)


def test_a_finished_training_without_its_metrics_is_refused(
    whole: Path, puzzles: PuzzleBatch, tmp_path: Path
) -> None:
    (tmp_path / STATE).write_bytes((whole / STATE).read_bytes())
    with one_line("the metrics of this training have gone"):
        run(tmp_path, puzzles)


def test_a_state_from_before_a_field_existed_goes_on(
    whole: Path, puzzles: PuzzleBatch, tmp_path: Path
) -> None:
    """A field that a config got later stood at its default before."""
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, puzzles, hooks=stop_at(10))
    tensors, header = read_tensors(tmp_path / STATE)
    for name in ("noisy", "self_conditioning"):
        del header["config"][name]
    del header["train"]["shards"], header[PUZZLES]
    write_tensors(tmp_path / STATE, tensors, header)
    with one_line("holds a training with noisy=False, not True"):
        run(tmp_path, puzzles, model=replace(NETWORK, noisy=True))
    with one_line("holds a training with shards=1, not 2"):
        run(tmp_path, puzzles, shards=2)
    run(tmp_path, puzzles)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("fault", ["loss", "grad_norm"])
def test_a_loss_or_gradient_that_is_nan_stops_before_it_is_saved(
    fault: str, whole: Path, puzzles: PuzzleBatch, tmp_path: Path
) -> None:
    calls = []

    def objective(model: nn.Module, *batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, metrics = MaskedObjective()(model, *batch)
        calls.append(loss)
        if fault == "loss" and len(calls) == 7:
            return loss * torch.nan, metrics
        if fault == "grad_norm" and len(calls) == 8:
            return loss + (next(model.parameters()) * 0).sum().sqrt(), metrics
        return loss, metrics

    with one_line(f"{fault} is nan at step 8: the last good state is in", "lower the learning rate"):
        run(tmp_path, puzzles, objective=objective)
    assert done(tmp_path) == 6
    assert lines(tmp_path) == lines(whole)[:3]
    run(tmp_path, puzzles)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize(
    ("call", "code"), [("replace", errno.ENOSPC), ("fsync", errno.EROFS), ("open", errno.EDQUOT)]
)
def test_a_disk_that_refuses_is_one_line_and_can_be_gone_on_from(
    call: str, code: int, whole: Path, puzzles: PuzzleBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fifth write fails: of the log or of the state."""
    calls, original = [], open if call == "open" else getattr(os, call)

    def refusing(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 5:
            raise OSError(code, os.strerror(code))
        return original(*arguments)

    monkeypatch.setattr(loop if call == "open" else os, call, refusing, raising=False)
    name = METRICS if call == "open" else STATE
    with one_line(f"cannot write {tmp_path / name}: {os.strerror(code).lower()}; "):
        run(tmp_path, puzzles)
    monkeypatch.undo()
    assert done(tmp_path) == (8 if call == "open" else 6)
    assert {path.name for path in tmp_path.iterdir()} == {STATE, METRICS}
    run(tmp_path, puzzles)
    assert_same(tmp_path, whole)


def test_a_folder_that_cannot_be_is_one_line(puzzles: PuzzleBatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with one_line("cannot write", "choose a path through folders"):
        run(tmp_path / "file" / "below", puzzles)


if __name__ == "__main__":
    kill_trainings(Path(sys.argv[1]))
