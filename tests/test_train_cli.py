"""``python -m planorder train``, end to end: weights that decode, mistakes in one line, Ctrl-C and on."""

from __future__ import annotations

import errno
import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from common import bits, lines

from planorder import __main__ as entrance
from planorder import bench
from planorder import train as front
from planorder.console import command_line
from planorder.decoding import decode, get_strategy, with_options
from planorder.models import RelationalConfig, build_model
from planorder.models.checkpoint import load_model, read_tensors
from planorder.results.runs import load_run
from planorder.training.loop import METRICS, STATE, Training
from planorder.training.presets import MODELS, recipe
from puzzles import get_family
from puzzles.storage import load, save

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")
TINY = ("train", "sudoku-2x2", "--preset", "tiny", "--validate", "8", "--precision", "fp32")
PUZZLES = "sudoku-2x2-v1-train-logic-500.npz"


def call(*words: str | Path) -> int:
    """The exit code of ``python -m planorder`` with these words, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["planorder", *map(str, words)])
        try:
            entrance.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        except KeyboardInterrupt:  # not told to the user, and not to end the tests
            return -1
        return 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole tiny training."""
    out = tmp_path_factory.mktemp("trained") / "deep" / "mine"
    assert call(*TINY, "--out", out) == 0
    return out


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> None:
    """The command ended with exit code 2 and one line of error that says these words, after bars at most."""
    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    told = [line for line in shown.err.split("\n") if line and "\r" not in line and "%|" not in line]
    assert len(told) == 1, shown.err
    assert told[0].startswith("error: ")
    assert shown.err.endswith(told[0] + "\n")
    for word in words:
        assert word in told[0]


def test_the_folder_has_what_a_training_leaves(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {METRICS, STATE, "weights.safetensors", PUZZLES}
    logged = lines(trained)
    assert [line["step"] for line in logged] == [10, 20, 30, 40, 50, 60]
    assert logged[-1]["loss"] < logged[0]["loss"] / 3
    orders = {"val_exact_vanilla", "val_exact_top_prob", "val_exact_top_margin"}
    for line in logged:
        assert {key for key in line if key.startswith("val")} == (
            orders if line["step"] in (30, 60) else set()
        )
    assert logged[-1]["val_exact_top_margin"] > 0.5
    puzzles = load(trained / PUZZLES)
    assert (puzzles.clues == FAMILY.generate("train", "logic", 500).clues).all()


def test_the_weights_say_what_they_are(trained: Path) -> None:
    loaded = load_model(trained / "weights.safetensors")
    assert (loaded.name, loaded.family.name) == ("relational", "sudoku-2x2")
    assert loaded.config == RelationalConfig(channels=16, hidden=32, turns=8)
    info = loaded.info
    assert (info["preset"], info["puzzles"], info["train"]["steps"]) == ("tiny", 500, 60)
    assert info["command"].startswith("python -m planorder train sudoku-2x2 --preset tiny")
    assert info["command"].endswith("--out mine")  # no places of this machine
    assert {key: value for key, value in info["metrics"].items() if key != "minutes"} == lines(trained)[-1]
    assert info["environment"]["packages"]["torch"] in torch.__version__


@pytest.mark.parametrize("model", ["relational", "ar-solver"])
def test_the_table_takes_the_weights(model: str, trained: Path, tmp_path: Path) -> None:
    out = trained
    if model != "relational":
        out = tmp_path / "other"
        assert call(*TINY, "--model", model, "--steps", "4", "--puzzles", "40", "--out", out) == 0
        assert [set(line) >= {"val_exact_free"} for line in lines(out)] == [True]
        assert len(load(out / PUZZLES.replace("500", "40"))) == 40
    weights = out / "weights.safetensors"
    asked = bench.Bench(
        "sudoku-2x2", n=6, orders="vanilla,top_margin", checkpoint=weights, out=tmp_path / "run"
    )
    bench.run_bench(asked)
    results = load_run(tmp_path / "run").results
    assert set(results["model"]) == {model}
    assert list(results["strategy"]) == (["vanilla", "top_margin"] if model == "relational" else ["free"])
    assert set(results["parameters"]) == {sum(w.numel() for w in load_model(weights).model.parameters())}


def test_a_finished_training_only_says_so(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bits(trained / "weights.safetensors"), lines(trained)
    monkeypatch.delattr(Training, "step")
    assert call(*TINY, "--out", trained) == 0
    assert json.loads(capsys.readouterr().out) == {"weights": "weights.safetensors", "folder": str(trained)}
    assert (bits(trained / "weights.safetensors"), lines(trained)) == before


@pytest.mark.parametrize(("step", "left"), [(10, None), (30, 20), (60, 50)])
def test_ctrl_c_and_the_same_command_goes_on(
    step: int,
    left: int | None,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original = front.train

    def stopped(*arguments: Any, progress: Callable, **options: Any) -> Path:
        def show(now: int, line: dict[str, float]) -> None:
            progress(now, line)
            if now == step:
                raise KeyboardInterrupt

        return original(*arguments, progress=show, **options)

    monkeypatch.setattr(front, "train", stopped)
    assert call(*TINY, "--out", tmp_path) == 130
    shown = capsys.readouterr()
    assert shown.err.endswith("\nstopped by Ctrl-C: nothing half-written was left behind\n")
    assert "Traceback" not in shown.err
    found = read_tensors(tmp_path / STATE)[1]["done"] if left else (tmp_path / STATE).exists() or None
    assert found == left
    assert not [
        path for path in tmp_path.iterdir() if path.name.startswith(".") or path.name.startswith("weights")
    ]
    monkeypatch.undo()
    assert call(*TINY, "--out", tmp_path) == 0
    assert bits(tmp_path / "weights.safetensors") == bits(trained / "weights.safetensors")
    assert lines(tmp_path) == lines(trained)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train sudoku-2x2 --model relationel", "did you mean 'relational'?"),
        (
            "train sudoku-2x2 --model ar_solver",
            f"expected one of {', '.join(MODELS)}; did you mean 'ar-solver'?",
        ),
        (
            "train sudoku-2x2 --preset tinny",
            "preset 'tinny' is unknown: expected one of tiny, cpu, paper; did you",
        ),
        ("train sudoko-2x2", "family 'sudoko-2x2' is unknown: expected one of sudoku, "),
        ("train sudoko-2x2", "did you mean 'sudoku-2x2'?"),
        (
            "trian sudoku-2x2 --preset tiny --steps 1",
            "command 'trian' is unknown: expected bench, frontier,",
        ),
        ("train sudoku-2x2 --preset tiny --steps 0", "steps=0: expected at least 1"),
        ("train sudoku-2x2 --preset tiny --batch-size -1", "batch_size=-1: expected at least 1"),
        (
            "train sudoku-2x2 --preset tiny --precision fp16",
            "precision='fp16': expected one of auto, bf16, fp32",
        ),
        ("train sudoku-2x2 --preset tiny --puzzles 0", "--puzzles 0: expected at least a batch of 32"),
        ("train sudoku-2x2 --preset tiny --puzzles -3", "--puzzles -3: expected at least a batch of 32"),
        ("train sudoku-2x2 --preset tiny --seed -1", "seed=-1: expected 0 or more"),
        ("train sudoku-2x2 --preset tiny --balance 1.5", "balance=1.5: expected a number from 0 to 1"),
        ("train sudoku-2x2 --preset tiny --balance nan", "balance=nan: expected a number from 0 to 1"),
        ("train sudoku-2x2 --preset tiny --by-size 5", "by_size=5.0: expected a number from 0 to 4"),
        ("train sudoku-2x2 --preset tiny --init none.safetensors", "none.safetensors: no such checkpoint"),
        ("train sudoku-2x2 --preset tiny --data none.npz", "none.npz: no such file; check the path"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, call(*words.split(), "--out", tmp_path / "new"), message)
    assert not list(tmp_path.iterdir())


def test_another_training_in_the_folder_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = bits(trained / STATE)
    for words, message in (
        (("--learning-rate", "0.001"), "learning_rate=0.002, not 0.001: choose another --out"),
        (("--seed", "7"), "seed=0, not 7: choose another --out"),
        (("--puzzles", "64"), "puzzles=500, not 64: choose another --out"),
        (("--model", "transformer"), "name='relational', not 'transformer': choose another --out"),
    ):
        refused(capsys, call(*TINY, *words, "--out", trained), f"{trained}: holds a training with {message}")
    assert bits(trained / STATE) == before


def test_weights_to_begin_with(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = trained / "weights.safetensors"
    for words, message in (
        ((tmp_path / "none.safetensors",), "none.safetensors: no such checkpoint"),
        ((weights, "--model", "transformer"), "holds a 'relational', expected a 'transformer': name another"),
        (
            (weights, "--preset", "cpu", "--puzzles", "40"),
            "the weights to begin with have another shape than",
        ),
    ):
        refused(capsys, call(*TINY, "--init", *words, "--out", tmp_path / "new"), message)
    assert call(*TINY, "--init", weights, "--steps", "10", "--out", tmp_path / "on") == 0
    assert lines(tmp_path / "on")[0]["loss"] < lines(trained)[0]["loss"] / 3


def test_going_on_from_other_weights_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = trained / "weights.safetensors", tmp_path / "other" / "weights.safetensors"
    short = (*TINY, "--steps", "10")
    assert call(*short, "--out", tmp_path / "other") == 0
    assert call(*short, "--init", first, "--out", tmp_path / "on") == 0
    began = read_tensors(tmp_path / "on" / STATE)[1]["init_sha256"]
    assert load_model(tmp_path / "on" / "weights.safetensors").info["init_sha256"] == began
    assert "init_sha256" not in load_model(first).info
    before = bits(tmp_path / "on" / STATE)
    for words, message in (
        (("--init", other), f"holds a training with init_sha256='{began}', not '"),
        ((), f"holds a training with init_sha256='{began}', not None: choose another --out"),
    ):
        capsys.readouterr()
        refused(capsys, call(*short, *words, "--out", tmp_path / "on"), message)
    capsys.readouterr()
    words = ("--init", first, "--out", tmp_path / "other")
    refused(capsys, call(*short, *words), f"with init_sha256=None, not '{began}': choose another")
    assert bits(tmp_path / "on" / STATE) == before
    assert call(*short, "--init", first, "--out", tmp_path / "on") == 0  # the same command goes on


def test_puzzles_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, family in (("mine", "sudoku-2x2"), ("few", "sudoku-2x2"), ("wide", "sudoku-2x3")):
        n = 20 if name == "few" else 33
        save(tmp_path / f"{name}.npz", get_family(family).generate("train", "logic", n, start=1000))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "mine.npz").read_bytes()[:-30])
    for name, message in (
        ("few", "20 training puzzles: expected at least batch_size=32"),
        ("wide", "holds 'sudoku-2x3-v1', expected 'sudoku-2x2-v1': generate it again"),
        ("cut", "is not a whole puzzle file"),
    ):
        code = call(*TINY, "--data", tmp_path / f"{name}.npz", "--out", tmp_path / "new")
        refused(capsys, code, message)
    for option, value in (("--puzzles", "5"), ("--tiers", "logic")):
        code = call(*TINY, "--data", tmp_path / "mine.npz", option, value, "--out", tmp_path / "new")
        refused(capsys, code, f"{option} with --data: expected none")
    assert not (tmp_path / "new").exists()
    assert call(*TINY, "--data", tmp_path / "mine.npz", "--steps", "3", "--out", tmp_path / "new") == 0
    assert load_model(tmp_path / "new" / "weights.safetensors").info["puzzles"] == 33
    assert not list((tmp_path / "new").glob("*.npz"))


def test_a_disk_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    refused(
        capsys,
        call(*TINY, "--out", tmp_path / "file" / "below"),
        "cannot write",
        "a part of the path is a file",
    )

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    refused(capsys, call(*TINY, "--out", tmp_path / "new"), "No space left on device", PUZZLES)
    assert not list((tmp_path / "new").iterdir())


def test_help_shows_examples(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the front door itself."""
    monkeypatch.setattr(sys, "argv", ["planorder", "train", "--help"])
    monkeypatch.delitem(sys.modules, "planorder.__main__")
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("planorder", run_name="__main__", alter_sys=True)
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for line in front.EXAMPLES.splitlines():
        assert line.strip() in shown
    assert "folder for the state" in shown


def test_every_example_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[front.Train] = []
    for line in front.EXAMPLES.splitlines():
        monkeypatch.setattr(sys, "argv", line[line.index("train ") :].split())
        command_line("planorder", front.Train, seen.append, front.EXAMPLES)
    assert [args.model for args in seen] == ["relational", "ar-solver", *["relational"] * 4]
    for args in seen:
        front.chosen_recipe(args, get_family(args.family))


def test_a_training_set_of_several_tiers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "zebra", "--preset", "tiny", "--validate", "0", "--steps", "1", "--puzzles", "65")
    assert call(*words, "--out", tmp_path / "both") == 0
    batch = load(tmp_path / "both" / "zebra-v1-train-logic+hard-65.npz")
    assert get_family("zebra").tier(batch).tolist() == ["logic"] * 33 + ["hard"] * 32
    capsys.readouterr()
    code = call(*words, "--tiers", "logic,easy", "--out", tmp_path / "easy")
    refused(capsys, code, "'easy'", "expected one of logic, hard")
    assert not (tmp_path / "easy").exists()


def test_where_solutions_are_many_validation_samples_and_counts_judged_cells() -> None:
    family = get_family("naesat")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(recipe("tiny", "relational", family).model, family)
    validate = front.validation(family, 3, 0, "cpu")
    assert validate is not None
    found = validate(model)
    assert set(found) == {"val_cell_vanilla", "val_cell_top_prob", "val_cell_top_margin"}
    strategy = with_options(get_strategy("top_margin"), steps=37, pick="sample")
    cells = decode(model, family.generate("val", "logic", 3), strategy).cells
    right = cells[:, 25:] == family.observe(cells)
    assert found["val_cell_top_margin"] == pytest.approx(right.mean())
    assert len(set(map(bytes, cells))) == 3
