"""D3PM through the commands: trained by name, decoded by the sampler of its noise, refused elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from planorder import bench
from planorder.__main__ import main
from planorder.bench import Bench, run_bench
from planorder.console import command_line
from planorder.decoding.beam import decode_beam
from planorder.models.checkpoint import load_model
from planorder.training.likelihood import masked_bound
from planorder.training.objectives.d3pm import d3pm_objective
from puzzles import get_family
from puzzles.base import UserInputError


def trained(monkeypatch: pytest.MonkeyPatch, name: str, out: Path) -> Path:
    words = ["train", "sudoku-2x2", "--preset", "tiny", "--puzzles", "40", "--steps", "2", "--validate", "4"]
    monkeypatch.setattr(sys, "argv", ["planorder", *words, "--objective", name, "--out", str(out)])
    main()
    return out / "weights.safetensors"


def tabled(monkeypatch: pytest.MonkeyPatch, weights: Path, out: Path, *words: str) -> pd.DataFrame:
    monkeypatch.setattr(bench, "write_figures", lambda *arguments: [])
    given = ["bench", "sudoku-2x2", "--checkpoint", str(weights), "--n", "4", "--out", str(out), *words]
    monkeypatch.setattr(sys, "argv", given)
    command_line("planorder.bench", Bench, run_bench, bench.EXAMPLES)
    return pd.read_csv(out / "results.csv")


def test_noise_of_values_has_its_own_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = trained(monkeypatch, "d3pm_uniform", tmp_path / "uniform")
    loaded = load_model(weights)
    assert loaded.info["objective_name"] == "d3pm_uniform"
    assert loaded.info["objective"]["process"]["kind"] == "uniform"
    last = json.loads((tmp_path / "uniform" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 <= last["val_exact_d3pm"] <= 1
    table = tabled(monkeypatch, weights, tmp_path / "run")
    assert set(table["strategy"]) == {"d3pm"}
    assert (table["passes"] <= 50).all()


def test_absorbing_noise_takes_every_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = trained(monkeypatch, "d3pm_absorbing", tmp_path / "absorbing")
    table = tabled(monkeypatch, weights, tmp_path / "run", "--orders", "vanilla,top_margin")
    assert set(table["strategy"]) == {"vanilla", "top_margin"}


def test_an_unknown_noise_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        trained(monkeypatch, "d3pm_gausian", tmp_path / "none")
    assert ended.value.code == 2
    assert "did you mean 'd3pm_gaussian'?" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_networks_of_noisy_values_are_refused_where_masks_are_filled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = trained(monkeypatch, "d3pm_uniform", tmp_path / "uniform")
    batch, model = get_family("sudoku-2x2").generate("test", "logic", 2), load_model(weights).model
    for ask in (masked_bound, decode_beam):
        with pytest.raises(UserInputError, match="decode it with decode_d3pm"):
            ask(model, batch)
    with pytest.raises(UserInputError, match="at least 4"):
        d3pm_objective("d3pm_gaussian", 2)
    capsys.readouterr()
    for words in (
        ("nelbo", "sudoku-2x2", "--checkpoint", weights, "--n", 2),
        (
            "train",
            "sudoku-2x2",
            "--model",
            "learned_margin",
            "--denoiser",
            weights,
            "--out",
            tmp_path / "h",
        ),
    ):
        monkeypatch.setattr(sys, "argv", ["planorder", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert "decode it with decode_d3pm" in capsys.readouterr().err
