"""What ranks share out: puzzles by whole batches, shards in order; planted faults; life without torchrun."""

from __future__ import annotations

import re
import subprocess
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from planorder import console, distributed
from planorder.decoding.shards import joined_rows, own_rows
from planorder.decoding.view import Decoded
from planorder.distributed import World, check_restarts, everyone, gather_rows, joined, world
from planorder.models import RelationalConfig
from planorder.training import shards as train_shards
from planorder.training.data import DROPOUT, MASKS, TrainingData
from planorder.training.loop import TrainConfig, Training
from planorder.training.objectives.masked import MaskedObjective
from planorder.training.shards import own_shards, shard_generator
from puzzles import get_family
from puzzles.base import UserInputError

FAMILY = get_family("sudoku-2x2")
NETWORK = RelationalConfig(8, 16, 3, jitter=2)
CONFIG = TrainConfig(steps=12, batch_size=8, warmup=5, clip=1e9, precision="fp32", shards=4)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_puzzles_are_shared_out_whole_batches_at_a_time(size: int) -> None:
    rng = np.random.default_rng(size)
    for n, batch_size in product((0, 1, 6, 7, 50), (1, 3, 7, 64)):
        blanks = rng.integers(4, size=n)
        queue = np.argsort(blanks, kind="stable")[::-1]
        rows = [own_rows(blanks, batch_size, World(rank, size)) for rank in range(size)]
        assert sorted(np.concatenate(rows).tolist()) == list(range(n))
        for mine in rows:
            order = mine[np.argsort(blanks[mine], kind="stable")[::-1]]
            for start in range(0, len(mine), batch_size):
                place = queue.tolist().index(order[start])
                assert place % batch_size == 0
                assert (
                    order[start : start + batch_size].tolist() == queue[place : place + batch_size].tolist()
                )


@pytest.mark.parametrize(
    "rows", [[[0, 1], [2]], [[0, 1, 2], [2, 3]], [[0, 2], [1, 4]], [[0, 1, 2, 3], [4]], []]
)
def test_rows_that_are_missing_or_there_twice_are_found(rows: list[list[int]]) -> None:
    parts = [Decoded(*(np.array(mine) for _ in fields(Decoded))) for mine in rows]
    if rows:
        with pytest.raises(ValueError, match="twice, or left one out"):
            joined_rows([np.array(mine) for mine in rows], parts, 4)
    sound = [Decoded(*(np.array(mine) for _ in fields(Decoded))) for mine in ([3, 0], [2, 1])]
    assert joined_rows([np.array([3, 0]), np.array([2, 1])], sound, 4).passes.tolist() == [0, 1, 2, 3]


def test_shards_are_shared_out_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for size, shards in ((1, 1), (1, 3), (2, 4), (3, 3), (3, 12)):
        found = []
        for rank in range(size):
            monkeypatch.setattr(train_shards, "world", lambda rank=rank, size=size: World(rank, size))
            found += own_shards(shards)
        assert found == list(range(shards))
    with pytest.raises(UserInputError, match=r"shards=4: expected a multiple of the number of ranks .* 3"):
        own_shards(4)


@pytest.mark.parametrize(("shards", "message"), [(0, "expected at least 1"), (3, "divides batch_size=8")])
def test_shards_that_cannot_be(shards: int, message: str) -> None:
    with pytest.raises(UserInputError, match=f"shards={shards}: .*{message}"):
        replace(CONFIG, shards=shards)


def test_a_shard_has_its_puzzles_and_random_numbers_and_the_loss_is_the_mean() -> None:
    """Against the four gradients by hand; one shard is a step as it ever was."""
    data = TrainingData(FAMILY, FAMILY.generate("train", "logic", 26), 8, 0)
    seen: list[tuple[torch.Tensor, int, float]] = []

    def objective(model: nn.Module, clues: torch.Tensor, *rest: Any) -> Any:
        seen.append((clues, rest[2].initial_seed(), torch.initial_seed()))
        return MaskedObjective()(model, clues, *rest)

    state = Training(NETWORK, CONFIG, data, "cpu")
    metrics = state.step(objective)
    gradient = [parameter.grad.clone() for parameter in state.model.parameters()]
    assert torch.equal(torch.cat([clues for clues, *_ in seen]), torch.from_numpy(data.batch(0).clues).long())
    assert [seed for _, seed, _ in seen] == [
        shard_generator(data, 0, MASKS, shard).initial_seed() for shard in range(4)
    ]
    assert len({seed for _, *seeds in seen for seed in seeds}) == 8
    assert seen[0][1:] == (data.generator(0).initial_seed(), data.generator(0, DROPOUT).initial_seed())
    twin, losses = Training(NETWORK, CONFIG, data, "cpu"), []
    expected = [torch.zeros_like(parameter) for parameter in twin.model.parameters()]
    twin.model.train()
    for shard in range(4):
        losses.append(
            twin.backward(MaskedObjective(), data.batch(0)[2 * shard : 2 * shard + 2], shard)["loss"]
        )
        expected = [a + b.grad / 4 for a, b in zip(expected, twin.model.parameters(), strict=True)]
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(metrics["loss"], torch.stack(losses).mean())


def test_without_torchrun_there_is_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")  # as others than torchrun set it
    with joined() as speaks:
        assert speaks()
        assert world() == World(0, 1)
        assert everyone("a") == ["a"]
    assert gather_rows(torch.ones(2)).tolist() == [1, 1]


def test_more_ranks_than_gpus_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(console, "world", lambda: World(0, 4))
    for here, fits in (("2", True), ("3", False)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", here)
        if fits:
            assert console.resolve_device("auto") == "cuda"
        else:
            with pytest.raises(UserInputError, match=r"3 ranks on a machine with 2 GPUs.*--nproc-per-node"):
                console.resolve_device("auto")
        assert console.resolve_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("machines", "restarts", "shared", "fits"),
    [
        ("1", "3", "True", True),
        ("2", "0", "True", True),
        ("2", "3", "False", True),
        ("2", "3", "True", False),
    ],
)
def test_restarts_that_could_wait_for_the_dead_are_refused(
    machines: str, restarts: str, shared: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "world", lambda: World(0, 4))
    monkeypatch.setenv("GROUP_WORLD_SIZE", machines)
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", restarts)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", shared)
    if fits:
        check_restarts()
    else:
        with pytest.raises(UserInputError, match=r"--max-restarts 3 on 2 machines: .*=1 before torchrun"):
            check_restarts()


def test_no_row_of_a_shard_follows_the_network() -> None:
    """A shard is small, so that often no puzzle of it is among the share ``revealed``."""
    data = TrainingData(FAMILY, FAMILY.generate("train", "logic", 26), 8, 0)
    state = Training(NETWORK, replace(CONFIG, shards=8), data, "cpu")
    plain = Training(NETWORK, replace(CONFIG, shards=8), data, "cpu")
    found = [
        training.step(MaskedObjective(share))["loss"] for training, share in ((state, 1e-9), (plain, 0.0))
    ]
    assert torch.equal(*found)


def test_the_scripts_of_the_page_are_bash() -> None:
    page = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text()
    scripts = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    assert len(scripts) >= 3
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["bash", "-n"], input="if x; then", text=True, check=True, stderr=subprocess.DEVNULL)
