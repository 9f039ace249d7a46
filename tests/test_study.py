"""The studies: points decoded anew, folders gone on with, mistakes in one line, figures that draw."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from planorder import study
from planorder.console import command_line
from planorder.decoding import decode, get_strategy, with_options
from planorder.decoding.noise import Gaussian, Gumbel
from planorder.models import AutoregressiveConfig, RelationalConfig, build_model
from planorder.models.checkpoint import load_model, model_header, save_model
from planorder.study import EXAMPLES, Study, run_study, with_turns
from puzzles import get_family
from puzzles.base import UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")


def saved(path: Path, seed: int, **options: object) -> Path:
    """Untrained weights that are sure of themselves."""
    config = RelationalConfig(channels=8, hidden=8, turns=3, **options)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(config, FAMILY)
        for block in model.blocks:
            torch.nn.init.normal_(block.out.weight)
        model.head.weight.data.mul_(60)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, model, model_header(config, FAMILY, "relational", {}))
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return tuple(saved(folder / f"seed{seed}" / "weights.safetensors", seed) for seed in (0, 1))


def asked(name: str, weights: tuple[Path, ...], out: Path, **options: object) -> Study:
    base = Study(name, "sudoku-2x2", checkpoints=weights, n=6, tiers="logic", device="cpu", out=out)  # type: ignore[arg-type]
    return replace(base, **options)  # type: ignore[arg-type]


def exact(path: Path, turns: int, name: str, steps: int) -> float:
    """Decoded anew."""
    loaded = with_turns(load_model(path), turns)
    batch = FAMILY.generate("test", "logic", 6)
    found = decode(loaded.model, batch, with_options(get_strategy(name), steps=steps), seed=0)
    return float((found.cells == batch.solution).all(1).mean())


def test_depth_decodes_each_network_at_each_number_of_turns(
    weights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(asked("depth", weights, tmp_path / "d", turns="1,5", steps=4))
    table = pd.read_csv(tmp_path / "d" / "depth.csv")
    assert len(table) == 2 * 2 * 5
    assert set(table["network"]) == {"seed0", "seed1"}
    for row in table.to_dict("records"):
        path = weights[int(row["network"][-1])]
        assert row["exact"] == pytest.approx(exact(path, row["turns"], row["strategy"], 4))
    assert (tmp_path / "d" / "depth_logic.png").stat().st_size > 5000
    assert "solver_order" in capsys.readouterr().out


def test_more_turns_are_another_function_of_the_same_weights(weights: tuple[Path, Path]) -> None:
    loaded = load_model(weights[0])
    tokens = torch.from_numpy(FAMILY.generate("test", "logic", 4).clues).long()
    with torch.no_grad():
        same, deep = (with_turns(loaded, turns).model(tokens) for turns in (3, 9))
        assert torch.equal(same, loaded.model(tokens))
    assert not torch.allclose(same, deep)


def test_noise_points_have_the_noise_and_scale_that_they_name() -> None:
    found = list(study.noise_points(Study("noise", noises="0.1,0.5", steps=7)))
    names = [tuple(point.values()) for point, _ in found]
    assert len(set(names)) == len(names) == 3 + 2 * 3 * 5 + 5
    by_name = dict(zip(names, (strategy for _, strategy in found), strict=True))
    assert all(strategy.steps == 7 for strategy in by_name.values())
    assert by_name["top_margin", "log", "gumbel:0.1"].order.scale == "log"
    assert by_name["top_margin", "prob", "gumbel:0.5:annealed"].noise == Gumbel(0.5, annealed=True)
    assert by_name["neg_entropy", "score", "gumbel:0.1"].noise == Gumbel(0.1)
    assert by_name["neg_entropy", "score", "gaussian:0.5:annealed"].noise == Gaussian(0.5, annealed=True)
    assert by_name["top_prob", "none", "none"].noise is get_strategy("top_prob").noise


def test_a_study_goes_on_where_it_stopped(
    weights: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = asked("noise", weights[:1], tmp_path / "n", noises="0.5", steps=3)
    run_study(job)
    before = (tmp_path / "n" / "noise.csv").read_bytes()
    points = sorted((tmp_path / "n" / "points").iterdir())
    points[3].unlink()
    decoded: list[str] = []
    original = study.measured

    def counted(jobs, folder, label):  # type: ignore[no-untyped-def]
        decoded.extend(label for point, *_ in jobs if folder.read(point) is None)
        return original(jobs, folder, label)

    monkeypatch.setattr(study, "measured", counted)
    run_study(job)
    assert len(decoded) == 1
    timeless = [pd.read_csv(path).drop(columns=["seconds"]) for path in [tmp_path / "n" / "noise.csv"]]
    assert timeless[0]["exact"].equals(pd.read_csv(pd.io.common.BytesIO(before))["exact"])
    run_study(replace(job, noises="0.5,1", orders="top_prob,random"))
    assert len(decoded) == 1 + 4 * 3 + 6, "what is there is not done again: more noise, another order"
    with pytest.raises(UserInputError, match="was begun with steps 3, asked for 2"):
        run_study(replace(job, steps=2))


def test_networks_that_do_not_repeat_a_block_have_no_depth(
    weights: tuple[Path, Path], tmp_path: Path
) -> None:
    path = saved(tmp_path / "untied" / "weights.safetensors", 0, tied=False, by_value=False)
    with pytest.raises(UserInputError, match="expected a network that repeats one block"):
        run_study(asked("depth", (path,), tmp_path / "d"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "--n 0: expected at least 1"),
        ({"tiers": "easy"}, "easy"),
        ({"tiers": ","}, "--tiers ',': expected one or more of"),
        ({"turns": "4,04"}, "each once|different entries"),
        ({"turns": ","}, "--turns ',': expected whole numbers"),
        ({"steps": 0}, "--steps 0: expected at least 1"),
        ({"noises": "0.5"}, "--noises with depth: expected none"),
        ({"orders": "top_margni"}, "did you mean 'top_margin'"),
    ],
)
def test_mistakes(weights: tuple[Path, Path], tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        run_study(asked("depth", weights, tmp_path / "d", **options))


def test_every_example_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Study] = []
    for line in EXAMPLES.splitlines():
        monkeypatch.setattr(sys, "argv", line.split()[2:])
        command_line("planorder.study", Study, seen.append, EXAMPLES)
    assert [args.name for args in seen] == ["noise", "depth", "parallel", "depth"]


def test_parallel_is_the_frontier_of_each_network_and_their_means(
    weights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = asked("parallel", weights, tmp_path, orders="vanilla,threshold")
    run_study(job)
    own = [pd.read_csv(tmp_path / name / "frontier.csv") for name in ("seed0", "seed1")]
    found = pd.read_csv(tmp_path / "parallel_over_weights.csv")
    assert len(found) == len(own[0]) == 10
    for row, one, other in zip(found.to_dict("records"), *(t.to_dict("records") for t in own), strict=True):
        assert (row["strategy"], row["value"]) == (one["strategy"], one["value"])
        assert row["exact"] == pytest.approx((one["exact"] + other["exact"]) / 2)
        assert row["passes"] == pytest.approx((one["passes"] + other["passes"]) / 2)
        assert [row["exact_low"], row["exact_high"]] == sorted([one["exact"], other["exact"]])
    assert (own[0]["exact"] != own[1]["exact"]).any(), "networks that agree would show no mix-up"
    assert (tmp_path / "parallel.png").stat().st_size > 5000
    assert "means, least to most, of 2 trainings" in capsys.readouterr().out
    run_study(replace(job, checkpoints=weights[:1], out=tmp_path / "seed1-alone"))
    alone = pd.read_csv(tmp_path / "seed1-alone" / "frontier.csv")
    pd.testing.assert_frame_equal(alone.drop(columns="seconds"), own[0].drop(columns="seconds"))
    with pytest.raises(UserInputError, match="different names"):
        run_study(asked("parallel", (weights[0], weights[0]), tmp_path))


def test_several_trainings_are_shown_by_mean_and_range(weights: tuple[Path, Path], tmp_path: Path) -> None:
    run_study(asked("depth", weights, tmp_path / "d", turns="1,5", steps=4, orders="random,top_margin"))
    points = pd.read_csv(tmp_path / "d" / "depth.csv")
    found = pd.read_csv(tmp_path / "d" / "depth_over_weights.csv")
    assert len(found) == 4
    for row in found.to_dict("records"):
        same = points[(points["turns"] == row["turns"]) & (points["strategy"] == row["strategy"])]
        assert row["networks"] == len(same) == 2
        assert (row["exact"], row["exact_low"], row["exact_high"]) == pytest.approx(
            (same["exact"].mean(), same["exact"].min(), same["exact"].max())
        )


def test_a_network_that_is_not_masked_is_refused(tmp_path: Path) -> None:
    config = AutoregressiveConfig(16, 4, 4, 4, layers=1, width=8, heads=1)
    path = tmp_path / "ar" / "weights.safetensors"
    path.parent.mkdir()
    save_model(path, build_model(config, FAMILY), model_header(config, FAMILY, "ar-fixed", {}))
    with pytest.raises(UserInputError, match="ar-fixed"):
        run_study(asked("noise", (path,), tmp_path / "n"))
