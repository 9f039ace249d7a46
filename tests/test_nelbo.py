"""``python -m planorder nelbo``: the table, the folder, and mistakes in one line."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from planorder import __main__ as entrance
from planorder import nelbo
from planorder.decoding.testing import small_batch
from planorder.models import RelationalConfig, build_model
from planorder.models.checkpoint import load_model, model_header, save_model
from planorder.nelbo import format_summary, order_of, summary
from planorder.training.likelihood import chain_rule, masked_bound
from puzzles import get_family

FAMILY = get_family("sudoku-2x2")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights whose probabilities are not uniform."""
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    config = RelationalConfig(channels=8, hidden=8, turns=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = build_model(config, FAMILY)
        for block in model.blocks:
            torch.nn.init.normal_(block.out.weight)
        model.head.weight.data.mul_(10)
    save_model(path, model, model_header(config, FAMILY, "relational", {}))
    return path


def call(*words: str | Path) -> int:
    """The exit code of ``python -m planorder nelbo`` with these words, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["planorder", "nelbo", *map(str, words)])
        patch.setenv("OMP_NUM_THREADS", "1")
        try:
            entrance.main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def test_the_command_writes_what_the_functions_give(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ("sudoku-2x2", "--checkpoint", weights, "--n", "6", "--repeats", "4", "--device", "cpu")
    assert call(*words, "--orders", "row_major,random,solver,margin", "--out", out) == 0
    shown = capsys.readouterr().out
    puzzles, table = pd.read_csv(out / "puzzles.csv"), pd.read_csv(out / "nelbo.csv")
    names = ["bound", "row_major", "random", "solver", "margin"]
    assert table["likelihood"].tolist() == names * len(FAMILY.tiers)
    for word in (*names, "guessing: 1.3863 nats a blank (ln 4)", str(out)):
        assert word in shown
    batch, model = FAMILY.generate("test", "logic", 6), load_model(weights).model
    logic = puzzles[puzzles["tier"] == "logic"]
    assert logic["bound"].to_numpy() == pytest.approx(masked_bound(model, batch, repeats=4).mean(1), rel=1e-6)
    for name in names[1:]:
        wanted = chain_rule(model, batch, order_of(name, batch, 0))
        assert logic[name].to_numpy() == pytest.approx(wanted, rel=1e-6), name
    assert json.loads((out / "config.json").read_text())["repeats"] == 4
    assert call(*words, "--out", out) == 2  # a folder is not written over
    assert "already holds a run" in capsys.readouterr().err
    assert call(*words, "--orders", "", "--masks", "rate") == 0
    assert "solver" not in capsys.readouterr().out


def test_orders_are_what_they_are_called() -> None:
    batch = small_batch()
    assert order_of("solver", batch, 0) is batch.rank
    row_major, random, other = (
        order for name, seed in (("row_major", 0), ("random", 0), ("random", 1))
        if isinstance(order := order_of(name, batch, seed), np.ndarray)
    )  # fmt: skip
    assert (np.diff(row_major, axis=1) == 1).all()
    assert (np.sort(random, axis=1) == row_major).all()
    assert len({tuple(row) for row in random.tolist()}) > 1
    assert not np.array_equal(random, other)


def test_the_summary_by_hand() -> None:
    """A blank's nats are a ratio of sums, not a mean of ratios; intervals hold the means."""
    puzzles = pd.DataFrame(
        {"tier": "logic", "index": range(4), "blanks": [1, 3, 2, 2], "bound": [4.0, 0.0, 1.0, 3.0]}
    )
    (row,) = summary(puzzles, repeats=7).to_dict("records")
    assert (row["n"], row["passes"]) == (4, 7)
    assert (row["nats_puzzle"], row["nats_blank"]) == (2.0, 1.0)
    for name in ("nats_puzzle", "nats_blank"):
        assert 0 <= row[f"{name}_low"] < row[name] < row[f"{name}_high"] <= 4
    assert "2.000 (" in format_summary(summary(puzzles, repeats=7))
    none = puzzles.assign(blanks=0, bound=0.0, solver=0.0)
    assert not summary(none, 1)[["nats_blank", "nats_blank_high", "nats_puzzle"]].to_numpy().any()


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Of 80 samples of 60 puzzles about 76 hold the truth; intervals of half the width would in 54."""
    rng, held = np.random.default_rng(0), {"nats_puzzle": 0, "nats_blank": 0}
    for _ in range(80):
        blanks = rng.integers(40, 60, 60)
        puzzles = pd.DataFrame(
            {"tier": "hard", "index": 0, "blanks": blanks, "bound": rng.exponential(0.1 * blanks)}
        )
        (row,) = summary(puzzles, 1).to_dict("records")
        for name, truth in (("nats_puzzle", 0.1 * 49.5), ("nats_blank", 0.1)):
            held[name] += row[f"{name}_low"] <= truth <= row[f"{name}_high"]
    for count in held.values():
        assert 68 <= count <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sudoku-2x2", "--orders", "margin,best"), "--orders 'margin,best': expected row_major"),
        (("sudoku-2x2", "--repeats", "0"), "--repeats 0: expected at least 1"),
        (("sudoku", "--model", "ar-solver"), "expected a masked network"),
        (("sudoku", "--model", "relatinal"), "did you mean 'relational'?"),
        (("sudoku-2x2",), "no weights ship"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_the_examples_are_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of the help is parsed and reaches the run."""
    asked: list[nelbo.Nelbo] = []
    monkeypatch.setattr(nelbo, "run_nelbo", asked.append)
    lines = nelbo.EXAMPLES.splitlines()
    for line in lines:
        assert call(*shlex.split(line)[4:]) == 0
    assert len(asked) == len(lines) == 4
    assert asked[-1].orders == ""
