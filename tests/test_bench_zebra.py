"""The front door on a family whose constraints differ from puzzle to puzzle, with the weights that ship."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from planorder import bench
from planorder.bench import Bench, run_bench
from planorder.console import command_line
from puzzles import get_family
from puzzles.zebra.formats import write_jsonl


def call(*words: str | Path) -> None:
    """``python -m planorder.bench zebra`` with these words, in this process, without figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", "zebra", "--precision", "fp32", *map(str, words)])
        patch.setattr(bench, "write_figures", lambda *arguments: [])
        command_line("planorder.bench", Bench, run_bench, bench.EXAMPLES)


def test_the_weights_solve_zebra_and_sizes_are_told(tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    call("--n", "24", "--models", "relational", "--orders", "vanilla,top_margin", "--out", out)
    results, sized = pd.read_csv(out / "results.csv"), pd.read_csv(out / "by_size.csv")
    exact = results.set_index(["tier", "strategy"])["exact"]
    assert exact["logic", "top_margin"] >= 0.9
    assert exact["hard", "top_margin"] >= 0.5
    for (tier, strategy), rows in sized.groupby(["tier", "strategy"]):
        assert rows["n"].sum() == 24
        assert (rows["n"] * rows["exact"]).sum() == pytest.approx(24 * exact[tier, strategy])
    assert "exact % by size" in capsys.readouterr().out


def test_files_of_zebra_are_decoded(tmp_path: Path, capsys) -> None:
    path, out = tmp_path / "mine.jsonl", tmp_path / "run"
    batch = get_family("zebra").generate("test", "logic", 6)
    write_jsonl(path, batch)
    call("--puzzles", path, "--models", "relational", "--orders", "top_margin", "--out", out)
    results = pd.read_csv(out / "results.csv")
    assert results["tier"].tolist() == ["file"]
    assert results["exact"].item() >= 5 / 6


def test_a_network_of_another_layout_is_refused(tmp_path: Path, capsys) -> None:
    weights = Path(bench.__file__).parent / "models" / "pretrained" / "zebra_relational.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        words = ["bench", "zebra-grid", "--checkpoint", str(weights), "--out", str(tmp_path / "run")]
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            command_line("planorder.bench", Bench, run_bench, bench.EXAMPLES)
    assert stop.value.code == 2
    assert "trained on 'zebra'" in capsys.readouterr().err
