"""The front door against mistakes and Ctrl-C: one line, the right exit code, no folder; and what ships."""

from __future__ import annotations

import runpy
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from planorder import bench, jobs
from planorder.bench import Bench, run_bench
from planorder.choices import chosen_models
from planorder.console import command_line
from planorder.models import AutoregressiveModel, RelationalConfig, build_model
from planorder.models.checkpoint import LoadedModel, load_model, model_header, pretrained, save_model
from planorder.results.runs import load_run
from puzzles import get_family

CONFIG = RelationalConfig(channels=4, hidden=4, turns=1)
SOLVED = "1234341221434321"
SEVERAL = "1234000000000000"
NO_SOLUTION = "1230004000000000"


def call(*words: str | int | Path) -> int:
    """The exit code of ``python -m planorder.bench`` with these words, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", *map(str, words)])
        patch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
        try:
            command_line("planorder.bench", Bench, run_bench, bench.EXAMPLES)
        except SystemExit as stop:
            return int(stop.code or 0)
        except KeyboardInterrupt:  # not told to the user, and not to end the tests
            return -1
        return 0


def saved(path: Path, family: str = "sudoku-2x2", name: str = "mine") -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(CONFIG, get_family(family))
    save_model(path, model, model_header(CONFIG, get_family(family), name, {}))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to be refused, by name, and one checkpoint that is sound."""
    folder = tmp_path_factory.mktemp("files")
    sound = saved(folder / "sound.safetensors").read_bytes()
    saved(folder / "wide.safetensors", "sudoku-2x3")
    (folder / "noise.safetensors").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "empty.safetensors").touch()
    (folder / "cut.safetensors").write_bytes(sound[:-7])
    (folder / "pickle.safetensors").write_bytes(b"PK\x03\x04" + bytes(300))
    with torch.no_grad():
        model = load_model(folder / "sound.safetensors").model
        next(model.parameters()).fill_(torch.nan)
        save_model(folder / "nan.safetensors", model, model_header(CONFIG, get_family("sudoku-2x2"), "n", {}))
    for name, text in {
        "good": SOLVED[:-1] + "0",
        "short": f"{SOLVED}\n123400",
        "letter": f"# two\n{SOLVED}\n12x4000000000000",
        "twice": "1134000000000000",
        "several": f"{SOLVED}\n{SEVERAL}",
        "none": f"{SOLVED}\n{SOLVED}\n\n{NO_SOLUTION}",
        "columns": "1234341221434321 a b c",
        "wrong": f"{SOLVED[:-1]}0 2143432112343412",
        "empty": "",
    }.items():
        (folder / f"{name}.txt").write_text(text)
    np.save(folder / "shape.npy", np.zeros((3, 7), int))
    np.save(folder / "flat.npy", np.zeros(65, int))
    np.save(folder / "float.npy", np.zeros((3, 65)))
    (folder / "cut.npy").write_bytes((folder / "shape.npy").read_bytes()[:-9])
    return folder


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> None:
    """Exit code 2, nothing on stdout, and one line of error on stderr that says these words."""
    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert shown.err.endswith("\n")
    for word in words:
        assert word in shown.err


MISTAKES = """
--n 0 -> --n 0: expected at least 1 puzzle a tier
--n -5 -> --n -5: expected at least 1 puzzle a tier
--orders top_magrin -> order 'top_magrin' is unknown: expected one that | did you mean 'top_margin'?
--orders vanilla,random,vanilla -> --orders 'vanilla,random,vanilla': expected one or more different names
--orders , -> --orders ',': expected one or more different names with commas
--k 0 -> k=0: expected at least 1 cell a step
--k -2 -> k=-2: expected at least 1 cell a step
--k 2 --orders threshold -> k=2: threshold decides itself how many cells a step; drop k
--steps 0 -> steps=0: expected at least 1 reverse step
--steps -50 -> steps=-50: expected at least 1 reverse step
--steps 5 --k 2 -> steps=5 and k=2 contradict each other
--choose oracle -> --choose oracle: of one decode?
--best-of 0 -> --best-of 0: expected at least 1 decode of a puzzle
--best-of 3 --orders vanilla,halton -> --best-of 3 with 'halton': its decodes would all be one
--best-of 3 --orders top_margin -> its decodes would all be one: give --noise gumbel:0.1 or --pick sample
--models relational -> --models with --checkpoint: expected one of them
--batch-size 0 -> --batch-size 0: expected at least 1 puzzle at a time
--batch-size -64 -> --batch-size -64: expected at least 1 puzzle at a time
--noise loud -> noise 'loud': expected none, gumbel:0.5, gaussian:0.1,
--noise cauchy:1 -> noise 'cauchy:1': expected none, gumbel:0.5,
--noise gumbel:-1 -> noise coefficient -1.0: expected a finite number, at least 0
--noise gumbel:nan -> noise coefficient nan: expected a finite number
--noise gumbel:1:fading -> noise 'gumbel:1:fading': expected none
--checkpoint F/missing.safetensors -> F/missing.safetensors: no such checkpoint: give the path of a .safe
--checkpoint F/ -> no such checkpoint: give the path of a .safetensors file
--checkpoint F/noise.safetensors -> F/noise.safetensors: truncated or not | copy or train
--checkpoint F/pickle.safetensors -> F/pickle.safetensors: truncated or not a safetensors file
--checkpoint F/empty.safetensors -> F/empty.safetensors: truncated or not a safetensors file
--checkpoint F/cut.safetensors -> F/cut.safetensors: truncated or not a safetensors | copy or train it again
--checkpoint F/nan.safetensors -> F/nan.safetensors: weights are not finite (embed.weight): train again
--checkpoint F/wide.safetensors -> trained on 'sudoku-2x3', the puzzles are 'sudoku-2x2': run python
--puzzles F/missing.txt -> F/missing.txt: no such file; check the path
--puzzles F/empty.txt -> F/empty.txt: is empty; expected a puzzle a line
--puzzles F/short.txt -> F/short.txt, line 2: | '123400' has 6 characters; expected 16
--puzzles F/letter.txt -> F/letter.txt, line 3: character 'x' at place 3 | expected 1-4, or 0 or .
--puzzles F/twice.txt -> F/twice.txt, line 1: the clue 1 stands twice in row 1; expected once
--puzzles F/several.txt -> F/several.txt, line 2: | '1234000000000000' has several solutions; expected one
--puzzles F/none.txt -> F/none.txt, line 4: | '1230004000000000' has no solutions; expected one
--puzzles F/columns.txt -> F/columns.txt, line 1: 4 columns in
--puzzles F/wrong.txt -> F/wrong.txt, line 1: the given solution has 2 at row 1 | only solution has 1 there
--puzzles F/shape.npy -> F/shape.npy: array of shape (3, 7); expected [puzzles, 65], a row a puzzle
--puzzles F/flat.npy -> F/flat.npy: array of shape (65,); expected [puzzles, 65]
--puzzles F/float.npy -> F/float.npy: array of float64; expected integers: save table.astype('int16')
--puzzles F/cut.npy -> F/cut.npy: not a whole .npy array | save it again
--out F/good.txt -> good.txt exists and is no run folder: name a new or an empty folder
--out F --overwrite -> exists and is no run folder: name a new or an empty folder
"""
"""Words -> what the line must say; F is the folder of files."""


@pytest.mark.parametrize("mistake", MISTAKES.strip().splitlines())
def test_a_mistake_is_one_line_and_leaves_nothing(
    mistake: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, told = mistake.split(" -> ")
    before = sorted(folder.parent.rglob("*"))
    given = [str(folder) + word[1:] if word.startswith("F") else word for word in words.split()]
    given += [] if "--checkpoint" in given else ["--checkpoint", str(folder / "sound.safetensors")]
    given += [] if "--out" in given else ["--out", str(tmp_path / "run")]
    expected = [f"{folder}{part[1:]}" if part.startswith("F/") else part for part in told.split(" | ")]
    refused(capsys, call("sudoku-2x2", *given), *expected)
    assert not list(tmp_path.iterdir())
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("sudoko", "family 'sudoko' is unknown: expected one of sudoku, | did you mean 'sudoku'?"),
        ("sudoku-2x2", "no weights ship for 'sudoku-2x2': train some | give --checkpoint"),
        (
            "sudoku --models relationel",
            "model 'relationel' does not ship: | relational | did you mean 'relational'?",
        ),
        (
            "sudoku --models relational,relational",
            "--models 'relational,relational': expected one or more different",
        ),
        ("sudoku --models ,", "--models ',': expected one or more different names with commas"),
    ],
)
def test_a_network_that_does_not_ship(
    words: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, call(*words.split(), "--out", tmp_path / "run"), *told.split(" | "))
    assert not list(tmp_path.iterdir())


def small(folder: Path, out: Path, *words: str | int) -> tuple[Any, ...]:
    checkpoint = folder / "sound.safetensors"
    return (
        "sudoku-2x2",
        "--n",
        6,
        "--orders",
        "random,top_margin",
        "--checkpoint",
        checkpoint,
        "--out",
        out,
        *words,
    )


def test_a_run_that_is_there_is_kept_until_overwriting_is_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*small(folder, tmp_path / "run")) == 0
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    capsys.readouterr()
    refused(capsys, call(*small(folder, tmp_path / "run")), f"{tmp_path / 'run'} already holds a run: allow")
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before
    assert call(*small(folder, tmp_path / "run", "--n", 5, "--overwrite")) == 0
    assert set(load_run(tmp_path / "run").results["n"]) == {5}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_ctrl_c_while_decoding(
    overwrite: bool,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A real SIGINT in a forward pass of the second strategy; a run that was there stays."""
    words = ("--overwrite",) if overwrite else ()
    if overwrite:
        assert call(*small(folder, tmp_path / "run")) == 0
    before = sorted((path, path.read_bytes()) for path in tmp_path.rglob("*.*"))
    original, strategies = jobs.decode, []

    def interrupted(model: torch.nn.Module, batch: Any, strategy: Any, **options: Any) -> Any:
        strategies.append(strategy.name)
        if len(strategies) == 2:
            model.register_forward_pre_hook(lambda *given: signal.raise_signal(signal.SIGINT))
        return original(model, batch, strategy, **options)

    monkeypatch.setattr(jobs, "decode", interrupted)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert call(*small(folder, tmp_path / "run", *words)) == 130
    finally:
        signal.signal(signal.SIGINT, handler)
    shown = capsys.readouterr().err
    assert shown.endswith("\nstopped by Ctrl-C: nothing half-written was left behind\n")
    assert "Traceback" not in shown
    assert strategies == ["random", "top_margin"]
    assert sorted((path, path.read_bytes()) for path in tmp_path.rglob("*.*")) == before
    assert [path.name for path in tmp_path.iterdir()] == (["run"] if overwrite else [])


def test_help_shows_examples(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the front door itself."""
    monkeypatch.setattr(sys, "argv", ["bench", "--help"])
    monkeypatch.delitem(sys.modules, "planorder.bench")
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("planorder.bench", run_name="__main__", alter_sys=True)
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for line in bench.EXAMPLES.splitlines():
        assert line.strip() in shown
    for option in ("--protocol {plain,paper}", "--overwrite", "--batch-size", "reverse steps T"):
        assert option in shown


def names_of(models: list[LoadedModel]) -> list[str]:
    return [model.name for model in models]


def test_what_ships_is_picked_by_name() -> None:
    family = get_family("sudoku")
    assert "relational" in pretrained("sudoku")
    found = chosen_models(family, " transformer,relational ", None)
    assert names_of(found) == ["transformer", "relational"]
    for model in found:
        assert model.family is family
        assert {"command", "metrics", "train", "data"} <= set(model.info)
        assert not isinstance(model.model, AutoregressiveModel)
        tokens = torch.zeros((1, family.n_cells), dtype=torch.int64)
        with torch.inference_mode():
            assert model.model(tokens).shape == (1, 81, 9)


def test_the_network_that_ships_solves_logic(tmp_path: Path) -> None:
    words = ("--n", 3, "--models", "relational", "--orders", "top_margin", "--out", tmp_path / "run")
    assert call("sudoku", *words) == 0
    results = load_run(tmp_path / "run").results
    assert results[["tier", "model", "n"]].to_numpy().tolist() == [
        ["logic", "relational", 3],
        ["hard", "relational", 3],
    ]
    assert results["exact"][0] >= 2 / 3
