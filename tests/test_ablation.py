"""The ablation: trainings that differ in their objective alone, points decoded anew, folders gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from planorder import ablation
from planorder.ablation import Ablation, recipes, run_ablation
from planorder.decoding import decode, get_strategy
from planorder.models.checkpoint import load_model, weights_digest
from planorder.results.runs import MANIFEST
from planorder.training.objectives.registry import get_objective
from puzzles import get_family
from puzzles.base import UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILY = get_family("sudoku-2x2")
N = 6


def asked(out: Path, **options: object) -> Ablation:
    base = Ablation(
        "sudoku-2x2", "masked,mdlm", "vanilla,top_margin", scale="tiny", steps=6, n=N, device="cpu"
    )
    return replace(base, out=out, **options)  # type: ignore[arg-type]


def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The objectives that are trained from here on."""
    found: list[str] = []
    real = ablation.train
    monkeypatch.setattr(
        ablation, "train", lambda *args, **options: (found.append(args[4].name), real(*args, **options))[1]
    )
    return found


def test_the_recipes_differ_in_the_objective_alone() -> None:
    found = recipes(asked(Path("x")), FAMILY)
    assert {name: recipe.objective for name, recipe in found.items()} == {
        name: get_objective(name) for name in ("masked", "mdlm")
    }
    first, second = found.values()
    assert replace(first, objective=second.objective) == second
    assert (first.train.steps, first.puzzles) == (6, 6 * 32)
    assert recipes(Ablation(), get_family("sudoku"))["masked"].train.steps == ablation.CPU_STEPS


def test_the_grid_is_what_decoding_anew_gives_and_grows_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, trained = tmp_path / "a", trainings(monkeypatch)
    run_ablation(asked(out))
    table = pd.read_csv(out / "ablation.csv")
    assert table[["objective", "strategy"]].to_numpy().tolist() == [
        [objective, strategy] for objective in ("masked", "mdlm") for strategy in ("vanilla", "top_margin")
    ]
    batch, networks = FAMILY.generate("test", "logic", N), {}
    for name in ("masked", "mdlm"):
        networks[name] = load_model(out / "trainings" / name / "weights.safetensors")
        assert networks[name].info["objective_name"] == name
    assert len({weights_digest(network.model) for network in networks.values()}) == 2
    for row in table.to_dict("records"):
        strategy = get_strategy(row["strategy"])
        found = decode(networks[row["objective"]].model, batch, strategy, seed=0, batch_size=128)
        assert row["exact"] == pytest.approx((found.cells == batch.solution).all(1).mean())
        assert row["exact_low"] <= row["exact"] <= row["exact_high"]
    assert (out / "ablation.png").read_bytes().startswith(b"\x89PNG")
    assert (out / MANIFEST).exists()
    assert "192 examples of 16 tokens (6 steps)" in capsys.readouterr().out

    run_ablation(asked(out))
    assert trained == ["masked", "mdlm"], "finished trainings are read only"
    next((out / "points").glob("*mdlm*vanilla*")).unlink()
    run_ablation(asked(out, objectives="masked,mdlm,ao_arm"))
    grown = pd.read_csv(out / "ablation.csv")
    assert trained == ["masked", "mdlm", "ao_arm"]
    assert len(grown) == 6
    pd.testing.assert_frame_equal(grown[:4].drop(columns="seconds"), table.drop(columns="seconds"))


def test_a_training_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planorder.reproductions.plan.save", lambda figure, path: None)
    args = asked(tmp_path / "whole", objectives="masked", steps=20, orders="top_margin")
    run_ablation(args)

    def stop(advance: object, batch_size: int) -> object:
        def show(step: int, line: dict[str, float]) -> None:
            if step == 10:
                raise KeyboardInterrupt

        return show

    stopped = replace(args, out=tmp_path / "two")
    with monkeypatch.context() as patch:
        patch.setattr(ablation, "moves", stop)
        with pytest.raises(KeyboardInterrupt):
            run_ablation(stopped)
    run_ablation(stopped)
    digests = {
        weights_digest(load_model(tmp_path / name / "trainings/masked/weights.safetensors").model)
        for name in ("whole", "two")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objectives": "maskd"}, "did you mean 'masked'"),
        ({"objectives": ""}, "--objectives ''"),
        ({"objectives": "masked,masked"}, "each once"),
        ({"objectives": "masked,d3pm_uniform"}, "--objectives d3pm_uniform: its networks take no orders"),
        ({"orders": "top_prop"}, "did you mean 'top_prob'"),
        ({"model": "ar-fixed"}, "has one of its own"),
        ({"tiers": "easy"}, "--tiers 'easy'"),
        ({"steps": 0}, "steps=0"),
        ({"n": 0}, "--n 0"),
        ({"scale": "paper"}, "trains on a GPU"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserInputError) as error:
        run_ablation(asked(tmp_path / "a", **options))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_another_number_of_steps_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planorder.reproductions.plan.save", lambda figure, path: None)
    args = asked(tmp_path / "a", objectives="masked", orders="vanilla", steps=2, n=1)
    run_ablation(args)
    with pytest.raises(UserInputError, match="was begun with steps 2, asked for 3"):
        run_ablation(replace(args, steps=3))
