"""Two ranks under torchrun: the numbers of one rank, bit for bit; a lost rank, a mistake, a planted fault.

The tests compare one process with what `ATTEMPTS` did in two, which torchrun starts from this very file, and
starts again when one is lost.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from common import bits, lines
from torch import nn

from planorder import bench, console
from planorder import train as front
from planorder.bench import Bench, run_bench
from planorder.decoding import decode, get_strategy
from planorder.decoding import shards as decode_shards
from planorder.decoding.autoregressive import decode_autoregressive
from planorder.decoding.shards import decode_on_ranks, own_rows
from planorder.decoding.view import Decoded
from planorder.distributed import everyone, gather_rows, joined, world
from planorder.models import (
    AutoregressiveConfig,
    ModelConfig,
    RelationalConfig,
    TransformerConfig,
    build_model,
)
from planorder.models.checkpoint import read_tensors
from planorder.train import Train, run_train
from planorder.training import shards as train_shards
from planorder.training.data import TrainingData
from planorder.training.loop import STATE, WEIGHTS, TrainConfig, train
from planorder.training.objectives import Objective
from planorder.training.objectives.autoregressive import AutoregressiveObjective
from planorder.training.objectives.d3pm import d3pm_objective
from planorder.training.objectives.masked import MaskedObjective
from puzzles import get_family
from puzzles.base import UserInputError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]  # five processes import PyTorch
ROOT = Path(__file__).parents[1]
FAMILY = get_family("sudoku-2x2")
NETWORK = RelationalConfig(8, 16, 3, jitter=2)
CONFIG = TrainConfig(
    steps=12,
    batch_size=8,
    warmup=5,
    log_every=2,
    validate_every=0,
    precision="fp32",
    save_minutes=0.0,
    shards=4,
)
AR = AutoregressiveConfig(16, 4, 4, 4, layers=1, width=8, heads=1)
OTHERS: dict[str, tuple[ModelConfig, Objective]] = {
    "d3pm_uniform": (replace(NETWORK, noisy=True), d3pm_objective("d3pm_uniform", FAMILY.n_values)),
    "ar-random": (replace(AR, dropout=0.2), AutoregressiveObjective("random")),
}
"""Beside masks: networks whose objective draws other random numbers, of noise, of orders and of dropout."""
N, KILLED_AT = 40, 7
FRONT = Train(
    "sudoku-2x2", Path(), preset="tiny", shards=2, steps=3, puzzles=64, validate=4, precision="fp32"
)
BENCH = Bench("sudoku-2x2", n=N, orders="vanilla,top_margin", batch_size=16, precision="fp32")


def trained(out: Path, objective: Any = None, network: ModelConfig = NETWORK, **changes: Any) -> Path:
    """A training of twelve steps; the folder."""
    data = TrainingData(FAMILY, FAMILY.generate("train", "logic", 26), CONFIG.batch_size, 0)
    validate = lambda model: {"val": float(next(model.parameters()).sum())}  # noqa: E731
    config = replace(CONFIG, validate_every=4, **changes)
    chosen = objective or MaskedObjective(revealed=0.5)
    train(network, config, chosen, data, out, name="net", validate=validate)
    return out


def decoded(seed: int = 3) -> dict[str, Decoded]:
    """Decodes in batches that ranks take in turn, and in one batch, which leaves a rank without work."""
    batch = FAMILY.generate("test", "logic", N)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        masked, moves = build_model(TransformerConfig(1, 16, 2), FAMILY), build_model(AR, FAMILY)
    strategy, found = get_strategy("vanilla"), {}
    for size in (7, N):
        rows = partial(decode, masked, strategy=strategy, seed=seed, batch_size=size)
        found[f"masked {size}"] = decode_on_ranks(rows, batch, size, lambda n: None)
    rows = partial(decode_autoregressive, moves, seed=seed, batch_size=16, temperature=1.0)
    found["moves"] = decode_on_ranks(rows, batch, 16, lambda n: None)
    return found


def table(out: Path, checkpoint: Path) -> Path:
    """A run of the table without figures, which take longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "write_figures", lambda *arguments: [])
        run_bench(replace(BENCH, checkpoint=checkpoint, out=out))
    return out


def mistaken(out: Path) -> None:
    """The command itself, with too few shards; the last thing that the ranks do."""
    os.environ["TORCHELASTIC_RESTART_COUNT"] = "mistaken"  # as if torchrun had started them again
    sys.argv = ["planorder", "sudoku-2x2", "--preset", "tiny", "--out", str(out / "mistaken")]
    front.main()


def killed(out: Path) -> None:
    """A training whose second rank gets SIGKILL in the middle of a step."""
    calls = []

    def deadly(model: nn.Module, *batch: Any) -> Any:
        calls.append(model)
        if world().rank == 1 and len(calls) == 2 * KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return MaskedObjective(revealed=0.5)(model, *batch)

    def command(args: Train) -> None:
        trained(args.out, deadly)

    sys.argv = ["planorder", "sudoku-2x2", "--out", str(out / "killed")]
    console.command_line("planorder train", Train, command, "", on_ranks=True)


def whole(out: Path) -> None:
    """All the rest; what each rank saw goes into a file of its own."""
    with joined():
        rank = world().rank
        saved = read_tensors(out / "killed" / STATE)[1]["done"]
        trained(out / "killed")
        for name, (network, objective) in OTHERS.items():
            trained(out / name, objective, network)
        run_train(replace(FRONT, out=out / "front"))
        table(out / "bench", out / "front" / WEIGHTS)
        parts = {f"{name} {f.name}": getattr(d, f.name) for name, d in decoded().items() for f in fields(d)}
        np.savez(out / f"decoded-{rank}.npz", **parts)
        told = {
            "saved": saved,
            "everyone": everyone(rank),
            "gathered": gather_rows(torch.full((2, 3), rank)).tolist(),
            "apart": refusal(lambda: trained(out / "killed" if rank else out / "apart")),
            "one": refusal(lambda: run_bench(replace(BENCH, frontier=True))),
        }
        with pytest.MonkeyPatch.context() as patch:  # the planted faults
            patch.setattr(train_shards, "own_shards", lambda shards: range(shards // 2))
            trained(out / "twice")
            patch.setattr(decode_shards, "own_rows", lambda *arguments: own_rows(*arguments)[rank:])
            told["dropped"] = refusal(decoded)
        (out / f"told-{rank}.json").write_text(json.dumps(told))


ATTEMPTS = ((killed,), (whole, mistaken))
"""What the ranks do when torchrun starts them, and when it starts them again."""


def refusal(call: Any) -> str:
    """What is said instead of doing it."""
    try:
        call()
    except (UserInputError, ValueError) as error:
        return str(error)
    return "done"


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """What two ranks wrote into a folder, to stdout and to stderr, in two attempts."""
    out = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", __file__, str(out)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert (out / "told-1.json").exists(), ended.stderr
    assert ended.returncode == 1, "the last thing that the ranks do is a mistake"
    return out, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def told(ranks: tuple[Path, str, str]) -> list[dict[str, Any]]:
    """What each rank saw."""
    return [json.loads((ranks[0] / f"told-{rank}.json").read_text()) for rank in (0, 1)]


def same_training(a: Path, b: Path) -> bool:
    return all(bits(a / name) == bits(b / name) for name in (STATE, WEIGHTS)) and lines(a) == lines(b)


def test_a_mistake_is_told_once_before_anything_is_done(ranks: tuple[Path, str, str]) -> None:
    errors = [line for line in ranks[2].splitlines() if line.startswith("error: ")]
    expected = (
        "shards=1: expected a multiple of the number of ranks that torchrun started, 2: give --shards 2"
    )
    assert errors[-1] == f"error: {expected}"
    lost = errors[:-1]  # where torchrun did not end the other rank before it could speak
    assert len(lost) <= 1
    assert all(line.startswith("error: another rank ended early (") for line in lost)
    assert not (ranks[0] / "mistaken").exists()


def test_a_lost_rank_goes_on_from_the_last_state_with_the_bits_of_one_rank(
    ranks: tuple[Path, str, str], told: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert [seen["saved"] for seen in told] == [KILLED_AT - 1] * 2
    assert "Signal 9 (SIGKILL)" in ranks[2] or "exitcode: -9" in ranks[2]
    assert same_training(ranks[0] / "killed", trained(tmp_path))
    assert [line["step"] for line in lines(tmp_path) if "val" in line] == [4, 8, 12]


@pytest.mark.parametrize("name", OTHERS)
def test_other_objectives_have_the_bits_of_one_rank(
    ranks: tuple[Path, str, str], name: str, tmp_path: Path
) -> None:
    network, objective = OTHERS[name]
    assert same_training(ranks[0] / name, trained(tmp_path / "one", objective, network))
    assert not same_training(ranks[0] / name, trained(tmp_path / "other", objective, network, seed=1))


def test_a_training_of_two_ranks_goes_on_with_one(ranks: tuple[Path, str, str], tmp_path: Path) -> None:
    calls = []

    def stopping(model: nn.Module, *batch: Any) -> Any:
        calls.append(model)
        if len(calls) == 4 * KILLED_AT:
            raise KeyboardInterrupt
        return MaskedObjective(revealed=0.5)(model, *batch)

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, stopping)
    assert bits(tmp_path / STATE) != bits(ranks[0] / "killed" / STATE)
    assert same_training(trained(tmp_path), ranks[0] / "killed")


def test_the_command_trains_and_speaks_once(ranks: tuple[Path, str, str], tmp_path: Path) -> None:
    run_train(replace(FRONT, out=tmp_path))
    assert same_training(tmp_path, ranks[0] / "front")
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in (ranks[0] / "front").iterdir()
    }
    assert ranks[1].count('{"weights"') == 1
    assert ranks[2].count("puzzles:   0%") == ranks[2].count("relational:   0%") == 1, "bars of rank 0 alone"


def test_the_table_is_that_of_one_rank(ranks: tuple[Path, str, str], tmp_path: Path) -> None:
    one, two = table(tmp_path / "bench", ranks[0] / "front" / WEIGHTS), ranks[0] / "bench"
    for name in ("puzzles.csv.gz", "traces.npz", "tests.csv", "gap.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    tables = [
        pd.read_csv(out / "results.csv").drop(columns=["seconds", "puzzles_per_s"]) for out in (one, two)
    ]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert len(tables[0]) == 2
    assert ranks[1].count("run folder:") == 1


def test_decodes_are_those_of_one_rank_on_every_rank(ranks: tuple[Path, str, str]) -> None:
    for rank in (0, 1):
        with np.load(ranks[0] / f"decoded-{rank}.npz") as found:
            for name, expected in decoded().items():
                for field in fields(expected):
                    assert np.array_equal(found[f"{name} {field.name}"], getattr(expected, field.name)), name


def test_ranks_tell_each_other(told: list[dict[str, Any]]) -> None:
    for seen in told:
        assert seen["everyone"] == [0, 1]
        assert seen["gathered"] == [[0] * 3] * 2 + [[1] * 3] * 2
        assert seen["one"] == "--frontier: runs on one rank, not on 2: start it without torchrun"
        assert (
            "the ranks begin with different weights or puzzles, after steps 0, 12: expected" in seen["apart"]
        )


def test_planted_faults_are_found(ranks: tuple[Path, str, str], told: list[dict[str, Any]]) -> None:
    """Shards that are done twice, and others not at all; a puzzle that nobody decodes."""
    assert not same_training(ranks[0] / "twice", ranks[0] / "killed")
    assert lines(ranks[0] / "twice") != lines(ranks[0] / "killed")
    assert [seen["dropped"] for seen in told] == ["the ranks decoded a puzzle twice, or left one out"] * 2


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for act in ATTEMPTS[int(os.environ["TORCHELASTIC_RESTART_COUNT"])]:
        act(folder)
