"""The sweep: noise on the logits by a plain twin, settings by counting, the table by decoding anew."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from planorder.console import command_line
from planorder.decoding import PRESETS, StepView, decode
from planorder.decoding.budgets import Fixed, Schedule
from planorder.decoding.noise import Gaussian, Gumbel, no_noise
from planorder.decoding.orders import TopMargin, TopProb
from planorder.decoding.picks import Sample, argmax
from planorder.decoding.random import Uniforms
from planorder.models import AutoregressiveConfig, RelationalConfig, build_model
from planorder.models.checkpoint import load_model, model_header, save_model
from planorder.results.runs import load_run
from planorder.sweep import EXAMPLES, POINT, Sweep, ThroughNoise, points, run_sweep, strategy_of
from puzzles import get_family
from puzzles.base import UserInputError

P = (0.5, 0.3, 0.15, 0.05)


def view_of(rows: int, blanks: int = 4, cells: int = 4) -> StepView:
    """Rows that differ in their keys alone: the first ``blanks`` cells are blank."""
    tokens = torch.ones((rows, cells), dtype=torch.int64)
    tokens[:, :blanks] = 0
    step = torch.zeros(rows, dtype=torch.int64)
    return StepView(
        log_probs=torch.tensor(P).log().expand(rows, cells, len(P)).contiguous(),
        tokens=tokens,
        clue=torch.zeros_like(tokens, dtype=torch.bool),
        blank=tokens == 0,
        allowed=tokens == 0,
        committed_prob=(tokens > 0).float(),
        previous_log_probs=None,
        step=step,
        total_steps=cells,
        n_blank_start=torch.full_like(step, cells),
        rank=None,
        memory=None,
        uniform=Uniforms(torch.arange(rows), step, cells),
        evaluate=lambda ahead: torch.tensor(P).log().expand(*ahead.shape, len(P)),
    )


def plain_noised(view: StepView, coefficient: float) -> np.ndarray:
    """Probabilities under Gumbel noise on the logits, by a loop over cells and values."""
    uniform, log_p = view.uniform("noise", len(P)).numpy(), view.log_probs.double().numpy()
    found = np.empty(log_p.shape)
    for row, cell in np.ndindex(*log_p.shape[:2]):
        weight = [
            np.exp(log_p[row, cell, value] - coefficient * np.log(-np.log(uniform[row, cell, value])))
            for value in range(len(P))
        ]
        found[row, cell] = np.array(weight) / sum(weight)
    return found


@pytest.mark.parametrize(("annealed", "blanks", "factor"), [(False, 2, 1.0), (True, 4, 1.0), (True, 2, 0.5)])
def test_noise_on_the_logits_comes_before_p1_and_p2(annealed, blanks, factor):
    view = view_of(5, blanks)
    noise = Gumbel(0.5, annealed)
    p = np.sort(plain_noised(view, 0.5 * factor), axis=-1)
    top_prob = ThroughNoise(TopProb(), noise)(view)
    margin = ThroughNoise(TopMargin(), noise)(view)
    np.testing.assert_allclose(top_prob, p[..., -1], rtol=1e-10)
    np.testing.assert_allclose(margin, p[..., -1] - p[..., -2], rtol=1e-8)


def test_order_and_pick_see_the_same_draw():
    view = view_of(50)
    value = ThroughNoise(argmax, Gumbel(1.0))(view)
    assert (value.numpy() == plain_noised(view, 1.0).argmax(-1) + 1).all()


def test_likeliest_value_under_gumbel_1_is_a_sample():
    value = ThroughNoise(argmax, Gumbel(1.0))(view_of(10_000)).flatten()
    share = torch.bincount(value - 1, minlength=4) / len(value)
    deviation = np.sqrt(np.array(P) * (1 - np.array(P)) / len(value))
    assert (np.abs(share.numpy() - P) < 4.5 * deviation).all()


def test_noise_on_the_logits_leaves_the_view_alone():
    view = view_of(3)
    before = view.log_probs.clone()
    assert torch.equal(ThroughNoise(TopMargin(), Gaussian(0.0))(view).float(), TopMargin()(view).float())
    assert torch.equal(view.log_probs, before)


def test_settings_are_the_product_and_no_noise_stands_once():
    found = points(
        Sweep(steps="50,5", ks="2", noises="none,gumbel:0.5,gaussian:0.1", scales="prob,log,logits")
    )
    assert len(found) == 3 * 2 * (1 + 2 * 3)
    assert len({tuple(point.items()) for point in found}) == len(found)
    assert {point["scale"] for point in found if point["noise"] == "none"} == {"none"}
    assert {(point["setting"], point["value"]) for point in found} == {("T", 50), ("T", 5), ("K", 2)}


@pytest.mark.parametrize(("family", "pick"), [("sudoku", "argmax"), ("naesat", "sample")])
def test_values_are_sampled_where_solutions_are_many(family: str, pick: str):
    assert {point["pick"] for point in points(Sweep(family))} == {pick}
    assert {point["pick"] for point in points(Sweep(family, pick="argmax"))} == {"argmax"}


def point_of(*values: str | int) -> dict[str, str | int]:
    return dict(zip(POINT, values, strict=True))


def test_setting_becomes_the_five_choices():
    plain = strategy_of(point_of("top_margin", "K", 4, "none", "none", "argmax"))
    assert plain == replace(PRESETS["top_margin"], name="top_margin K 4 none none argmax", budget=Fixed(4))
    blurred = strategy_of(point_of("top_margin", "T", 5, "gumbel:0.5:annealed", "log", "sample"))
    assert (blurred.steps, blurred.budget) == (5, Schedule("linear"))
    assert (blurred.order, blurred.noise) == (TopMargin(scale="log"), Gumbel(0.5, annealed=True))
    assert blurred.pick == Sample(1.0)
    early = strategy_of(point_of("routing_top_margin", "T", 5, "gaussian:1", "logits", "argmax"))
    assert (early.order, early.noise) == (ThroughNoise(TopMargin(), Gaussian(1.0)), no_noise)
    assert (early.pick, early.remask) == (argmax, PRESETS["routing_top_margin"].remask)
    gumbel_max = strategy_of(point_of("top_prob", "K", 1, "gumbel:1", "logits", "noised"))
    assert gumbel_max.pick == ThroughNoise(argmax, Gumbel(1.0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"orders": "top_prop"}, "did you mean 'top_prob'"),
        ({"orders": "vanilla"}, "expected orders by p1 or p1 - p2"),
        ({"orders": "threshold"}, "that take T and K"),
        ({"orders": "top_prob,top_prob"}, "each once"),
        ({"steps": "50,x"}, "--steps '50,x': expected whole numbers"),
        ({"steps": "0"}, "--steps '0': expected whole numbers"),
        ({"ks": "0"}, "--ks '0': expected whole numbers"),
        ({"steps": "", "ks": ""}, "nothing to sweep"),
        ({"noises": "cauchy:1"}, "noise 'cauchy:1'"),
        ({"noises": "0.1,0.2,0.3,0.4,0.5"}, "at most 4"),
        ({"scales": "sqrt"}, "--scales 'sqrt': expected prob, log, logits"),
        ({"pick": "noised"}, "expected --scales logits alone"),
        ({"tier": "hard"}, "tier 'hard' of sudoku-2x2"),
        ({"n": 0}, "expected at least 1 puzzle"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, weights, given, message):
    asked = {"steps": "4", "ks": "2", "out": tmp_path / "run", **given}
    with pytest.raises(UserInputError) as error:
        run_sweep(Sweep("sudoku-2x2", checkpoint=weights, **asked))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


def saved(folder, config, name):
    family = get_family("sudoku-2x2")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config, family)
        for block in getattr(model, "blocks", []):
            if isinstance(config, RelationalConfig):
                torch.nn.init.normal_(block.out.weight)
    save_model(folder / name, model, model_header(config, family, name, {}))
    return folder / name


@pytest.fixture(scope="module")
def weights(folder):
    return saved(folder, RelationalConfig(channels=8, hidden=8, turns=2), "untrained.safetensors")


def test_an_autoregressive_network_is_refused(tmp_path, folder):
    path = saved(folder, AutoregressiveConfig(16, 4, 4, 4, layers=1, width=8, heads=1), "ar.safetensors")
    with pytest.raises(UserInputError, match="chooses its cells itself"):
        run_sweep(Sweep("sudoku-2x2", checkpoint=path, out=tmp_path / "run"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory, weights):
    out = tmp_path_factory.mktemp("sweep") / "run"
    asked = {"steps": "6", "ks": "1,3", "noises": "none,gumbel:0.5", "scales": "prob,logits"}
    args = Sweep("sudoku-2x2", checkpoint=weights, n=12, seed=3, out=out, **asked)
    run_sweep(args)
    return args


def test_each_row_is_what_decoding_anew_gives(swept, weights):
    family, model = get_family("sudoku-2x2"), load_model(weights).model
    batch = family.generate("test", "logic", 12)
    table = pd.read_csv(swept.out / "sweep.csv")
    assert len(table) == len(points(swept)) == 3 * 2 * 3
    for point, row in zip(points(swept), table.itertuples(), strict=True):
        found = decode(model, batch, strategy_of(point), seed=3)
        exact = (found.cells == batch.solution).all(1)
        assert row.exact == pytest.approx(exact.mean())
        right = ((found.cells == batch.solution) & batch.blank).sum(1) / batch.blank.sum(1)
        assert row.cell == pytest.approx(right.mean())
        assert row.passes == pytest.approx(found.passes.mean())
        assert row.exact_low <= row.exact <= row.exact_high
        assert (row.n, row.seed, row.tier) == (12, 3, "logic")
        assert dict(table.loc[row.Index, list(POINT)]) == point
    assert table["exact"].nunique() > 2, "a sweep in which nothing differs shows no row in its place"


def test_run_folder_is_whole_and_has_a_figure_a_scale(swept):
    run = load_run(swept.out)
    assert len(run.results) == len(points(swept))
    names = {path.name for path in swept.out.iterdir()}
    assert {"noise_and_steps_prob.png", "noise_and_steps_logits.png", "sweep.csv"} <= names
    assert run.config["noises"] == "none,gumbel:0.5"


def test_help_shows_the_examples(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sweep", "--help"])
    with pytest.raises(SystemExit) as stop:
        command_line("planorder.sweep", Sweep, run_sweep, EXAMPLES)
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "python -m planorder.sweep sudoku --model shallow" in shown
    assert "reverse steps T" in shown
