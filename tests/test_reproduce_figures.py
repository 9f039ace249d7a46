"""The reproductions of figures: the exact predictor by counting, pi-learners by their law, runs resumed."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from planorder.models import AutoregressiveConfig
from planorder.models.pi_learner import PiLearner
from planorder.reproduce import run_reproduce
from planorder.reproductions import imbalance, orders, plan
from planorder.reproductions.imbalance import bayes, consistent, errors, masked_sequences
from planorder.reproductions.orders import ORDERS, Scale, best, label_of, permutation, rate_of, steps_of
from planorder.reproductions.plan import Reproduce
from planorder.reproductions.sequences import SEQUENCES
from puzzles.base import ConstraintGraph, UserInputError
from puzzles.naesat import NaeSat

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = NaeSat("naesat-small", 5, 8)


def every_sequence() -> np.ndarray:
    """All 2^N sequences of the small family, equally likely."""
    latents = np.array(list(product((1, 2), repeat=SMALL.latents)), np.int8)
    cells = np.zeros((len(latents), SMALL.n_cells), np.int8)
    cells[:, : SMALL.latents] = latents
    cells[:, SMALL.latents :] = SMALL.observe(cells)
    return cells


def by_counting(tokens: np.ndarray) -> np.ndarray:
    """Probability of value 2 at each masked cell, among the sequences that agree with the visible ones."""
    every = every_sequence()
    agree = every[((tokens == 0) | (every == tokens)).all(1)]
    return np.where(tokens == 0, (agree == 2).mean(0), np.nan)


def test_the_exact_predictor_is_what_counting_gives() -> None:
    rng, every = np.random.default_rng(0), every_sequence()
    for share in (0.2, 0.5, 0.8, 1.0):
        for whole in every[rng.choice(len(every), 12)]:
            tokens = np.where(rng.random(len(whole)) < share, 0, whole).astype(np.int8)
            found = bayes(SMALL, tokens)
            np.testing.assert_allclose(found[:, 1], by_counting(tokens), atol=1e-12)
            np.testing.assert_allclose(np.nansum(found, axis=1), (tokens == 0).astype(float))


def test_one_that_ignores_an_observation_would_be_found() -> None:
    """The control of the test above: the counts depend on what is visible."""
    tokens = np.where(np.arange(SMALL.n_cells) % SMALL.latents > 0, 0, every_sequence()).astype(np.int8)
    blind = np.where(np.arange(SMALL.n_cells) == SMALL.latents, 0, tokens)
    seen = np.arange(1, SMALL.latents)
    found = [
        by_counting(row)[seen] - bayes(SMALL, hidden)[seen, 1]
        for row, hidden in zip(tokens, blind, strict=True)
    ]
    assert np.abs(found).max() > 0.1


def test_too_many_assignments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imbalance, "MOST", 4)
    whole = every_sequence()[3]
    tokens = np.where(np.arange(len(whole)) < SMALL.latents, 0, whole).astype(np.int8)
    with pytest.raises(UserInputError, match="mask fewer"):
        consistent(SMALL, tokens)


def test_masks_hide_as_many_as_they_say() -> None:
    tokens, whole = masked_sequences(SMALL, 20, 3, seed=1)
    assert ((tokens[:, :5] == 0).sum(1) == 3).all()
    assert ((tokens[:, 5:] == 0).sum(1) == round(3 * 8 / 5)).all()
    assert ((tokens == 0) | (tokens == whole)).all()
    assert len(np.unique(tokens == 0, axis=0)) > 10
    assert (masked_sequences(SMALL, 20, 3, seed=1)[0] == tokens).all()
    assert (masked_sequences(SMALL, 20, 3, seed=2)[0] != tokens).any()


def test_the_error_is_told_apart_by_kind() -> None:
    exact = np.where(np.arange(13) % 2, -0.5, np.nan)[None].repeat(4, 0)
    network = exact - 0.3 * (np.arange(13) < 5)
    latent, observation = errors(SMALL, network, exact)
    assert (latent["kind"], latent["error"]) == ("latent", pytest.approx(0.09))
    assert (observation["error"], observation["error_high"]) == (0, 0)
    assert (latent["loss"], latent["bayes_loss"], latent["n"]) == (pytest.approx(0.8), pytest.approx(0.5), 4)


def test_figure_2_right_from_the_weights_that_ship(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imbalance, "HIDDEN", (11, 23, 25))
    args = Reproduce("figure2_right", n=6, device="cpu", out=tmp_path / "f")
    run_reproduce(args)
    table = pd.read_csv(tmp_path / "f" / "figure2_right.csv")
    assert len(table) == 2 * 3 * 2
    assert table["error"].between(table["error_low"], table["error_high"]).all()
    assert (table["error"] > 0).all()
    blind = table[table["latents_masked"] == 25].set_index("kind")["bayes_loss"]
    assert blind["latent"].tolist() == pytest.approx([math.log(2)] * 2)
    guess = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert blind["observation"].tolist() == pytest.approx([guess] * 2, abs=0.05)
    assert "Bayes predictor is exact" in capsys.readouterr().out
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "f" / "points").iterdir()}
    next((tmp_path / "f" / "points").glob("shallow*")).unlink()
    run_reproduce(args)
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "f" / "points").iterdir()}
    assert sum(after[name] != before[name] for name in before) == 1
    again = pd.read_csv(tmp_path / "f" / "figure2_right.csv")
    pd.testing.assert_frame_equal(again, table)


def learner(order: np.ndarray, n_values: int = 3, graph: ConstraintGraph | None = None) -> PiLearner:
    """A pi-learner whose every weight is drawn, so that all tokens matter."""
    shape = AutoregressiveConfig(len(order), n_values, 1, len(order), layers=2, width=16, heads=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PiLearner(shape, torch.from_numpy(order), graph)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


@torch.no_grad()
def test_a_pi_learner_is_a_law_on_sequences_read_along_its_order() -> None:
    order = np.array([2, 0, 3, 1])
    model = learner(order)
    every = torch.tensor(list(product((1, 2, 3), repeat=4)))
    log_p = model(every)
    assert float(log_p.sum(1).exp().sum()) == pytest.approx(1, abs=1e-5)
    for place, cell in enumerate(order):
        other = every.clone()
        other[:, cell] = every[:, cell] % 3 + 1
        moved = (model(other) - log_p).abs().amax(0) > 1e-6
        assert not moved[:place].any(), "a token sees one that comes later in its order"
        assert moved[place:].all(), "a token that comes earlier does not matter"


def test_an_order_that_skips_a_cell_is_refused() -> None:
    with pytest.raises(UserInputError, match="each of 3 cells once"):
        learner(np.array([0, 2, 2]))


def test_an_untrained_pi_learner_guesses() -> None:
    shape = AutoregressiveConfig(4, 9, 2, 2, layers=1, width=8, heads=1)
    log_p = PiLearner(shape, torch.arange(4))(torch.randint(1, 10, (5, 4), generator=torch.Generator()))
    assert torch.allclose(log_p, torch.full_like(log_p, -math.log(9)), atol=1e-5)


@torch.no_grad()
def test_clues_are_read_by_every_token_and_pads_by_none() -> None:
    family, order = SEQUENCES["zebra"].family, np.array([2, 0, 3, 1])
    solution = torch.tensor([[1, 2, 3, 1]])
    clues = torch.tensor([[[0, 7, 13, -1], [-1, -1, -1, -1]]])
    model = learner(order, graph=family.graph())
    log_p = model(solution, clues)
    assert ((model(solution) - log_p).abs() > 1e-6).all(), "a token does not see the clues"
    assert torch.allclose(model(solution, clues[:, :1]), log_p, atol=1e-5), "a pad is looked at"
    later = solution.clone()
    later[:, order[-1]] = 3
    moved = (model(later, clues) - log_p)[0].abs() > 1e-6
    assert moved.tolist() == [False, False, False, True], "order holds behind the clues too"


def test_sequences_are_the_open_cells_and_the_law_that_reads_no_clue() -> None:
    sudoku, zebra = SEQUENCES["sudoku"], SEQUENCES["zebra"]
    assert (sudoku.length, zebra.length, len(zebra.cells)) == (81, 32 + 36, 36)
    assert sudoku.alone == pytest.approx(0.620, abs=5e-4)
    assert zebra.alone == pytest.approx(sum(math.log(k) for k in range(1, 7)) / 6)
    puzzles = zebra.family.generate("val", "logic", 3)
    solution, clues = zebra.read(puzzles, "cpu")
    assert (puzzles.clues[:, zebra.cells] == 0).all()
    assert ((puzzles.clues == 0).sum(1) == 36).all()
    assert (solution.reshape(-1, 6).sort(1).values == torch.arange(1, 7)).all(), "a permutation a row"
    assert clues is not None
    assert clues.shape == (3, 32, 4)
    assert sudoku.read(sudoku.family.generate("val", "logic", 2), "cpu")[1] is None


def test_the_middle_orders_are_labelled_with_their_swaps() -> None:
    found = [label_of({"family": family, "order": order}) for family in SEQUENCES for order in ORDERS]
    assert found == [
        *("identity", "much closer (9 swaps)", "closer (8 swaps)", "uniform"),
        *("identity", "much closer (6 swaps)", "closer (3 swaps)", "uniform"),
    ]


def test_orders_are_as_far_from_the_identity_as_they_say() -> None:
    cells = 400
    assert (permutation("identity", cells, 5) == np.arange(cells)).all()
    moved = {
        kind: [(permutation(kind, cells, s) != np.arange(cells)).sum() for s in range(9)] for kind in ORDERS
    }
    assert max(moved["much closer"]) <= 2 * 20
    assert 2 * 20 < min(moved["closer"]) <= max(moved["closer"]) <= 2 * 40
    assert min(moved["uniform"]) > 390
    for kind in ORDERS[1:]:
        assert sorted(permutation(kind, cells, 1)) == list(range(cells))
        assert (permutation(kind, cells, 1) != permutation(kind, cells, 2)).any()


def test_a_budget_is_six_flops_a_parameter_and_token() -> None:
    scale = Scale(((1, 32),), (6e6,), 1, 4, 1e-3, 64)
    assert steps_of({"flops": 6e6}, scale, 10, 500) == 50
    assert steps_of({"flops": 1.0}, scale, 10, 500) == 1
    rates = [rate_of(scale, step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(1e-3, rel=0.03)
    assert rates[0] == pytest.approx(1e-4)
    assert rates[-1] == pytest.approx(1e-4, rel=0.02)


def test_the_best_size_is_chosen_for_all_repeats_at_once() -> None:
    losses = {(1, 32): [1.0, 2.0], (2, 64): [1.4, 1.4]}
    frame = pd.DataFrame(
        [
            {"family": "zebra", "order": "uniform", "flops": 1.0, "layers": l, "width": w}
            | {"parameters": w, "loss": loss}
            for (l, w), found in losses.items()
            for loss in found
        ]
    )
    (row,) = best(frame).to_dict("records")
    assert (row["parameters"], row["n"], row["loss"]) == (64, 2, pytest.approx(1.4))


def test_figure_2_left_learns_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(orders, "SCALES", {"cpu": Scale(((1, 32),), (1e9,), 1, 2, 3e-3, 64)})
    monkeypatch.setattr(orders, "VALIDATION", 8)
    args = Reproduce("figure2_left", repeats=1, flops="5e7,1e9", device="cpu", out=tmp_path / "f")
    run_reproduce(args)
    table = pd.read_csv(tmp_path / "f" / "figure2_left.csv")
    assert len(table) == 2 * 4 * 2
    spent = 6 * table["parameters"] * table["tokens"]
    assert (spent / table["flops"]).between(0.6, 1.6).all()
    loss = table.set_index(["family", "order", "flops"])["loss"]
    for family in ("sudoku", "zebra"):
        assert loss[family, "identity", 1e9] < loss[family, "identity", 5e7] - 0.02
    assert loss["sudoku", "identity", 1e9] < loss["sudoku", "uniform", 1e9]
    shown = capsys.readouterr().out
    for said in ("9 and 8 at L = 81", "much closer (6 swaps)", "zebra", "clipped", "1.097"):
        assert said in shown
    assert "no interval" in shown, "one run has no spread"
    monkeypatch.setattr(plan, "save", lambda figure, path: None)
    monkeypatch.setattr(orders, "loss_by_compute", lambda rows, titles: None)
    trained: list[dict[str, object]] = []
    real = orders.train_learner
    monkeypatch.setattr(
        orders, "train_learner", lambda point, *rest: (trained.append(point), real(point, *rest))[1]
    )
    next((tmp_path / "f" / "points").glob("zebra_uniform*")).unlink()
    run_reproduce(args)
    assert len(trained) == 1
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "f" / "figure2_left.csv"), table)
    run_reproduce(Reproduce("figure2_left", repeats=2, flops="5e7", device="cpu", out=tmp_path / "f"))
    assert len(trained) == 1 + 2 * 4, "more repeats go on in the same folder"
