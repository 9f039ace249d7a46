"""The cached decode against a twin that scores every candidate move with the training pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from planorder.decoding.autoregressive import decode_autoregressive
from planorder.decoding.view import Decoded
from planorder.models import AutoregressiveConfig, AutoregressiveModel
from puzzles.base import PuzzleBatch, UserInputError

FORMATS = ("moves", "triples")


def wild_model(format: str, seed: int = 0) -> AutoregressiveModel:
    """Random weights, large enough that the choices differ from row to row."""
    torch.manual_seed(seed)
    model = AutoregressiveModel(AutoregressiveConfig(12, 5, 3, 4, format, 2, 32, 4))
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    return model.eval()


def puzzles(givens: list[int], seed: int = 0) -> PuzzleBatch:
    """Random values in 3x4 cells with so many givens; ranks are a random order of the blanks."""
    rng, n = np.random.default_rng(seed), len(givens)
    draw = rng.permuted(np.tile(np.arange(12), (n, 1)), axis=1) - np.array(givens)[:, None]
    solution = rng.integers(1, 6, (n, 12)).astype(np.int8)
    small = np.zeros((n, 12), np.int8)
    return PuzzleBatch(
        family="test-v1",
        clues=np.where(draw < 0, solution, 0).astype(np.int8),
        solution=solution,
        rank=np.maximum(draw, -1).astype(np.int16),
        technique=small,
        hardest=small[:, 0],
        index=np.arange(n),
    )


@torch.inference_mode()
def slow_twin(model: AutoregressiveModel, clues: np.ndarray, forced: list[int] | None) -> Decoded:
    """One puzzle; every candidate next move is scored by `forward` on the moves so far plus it."""
    cells = [int(c) for c in np.flatnonzero(clues)]
    state, given = clues.copy(), len(cells)
    step, prob = np.full(12, -1, np.int16), np.ones(12, np.float32)
    for move in range(given, 12):
        candidates = [(c, v) for c in range(12) if state[c] == 0 for v in range(1, 6)]
        order = torch.tensor([[*cells, c] + [0] * (11 - move) for c, _ in candidates])
        values = torch.tensor([[*state[cells], v] + [1] * (11 - move) for _, v in candidates])
        scores, _ = model(order, values, (torch.arange(12) == move).expand(len(order), 12))
        for part in range(scores.shape[1]):
            if part < scores.shape[1] - 1 and forced is not None:
                best = torch.tensor([c == forced[move - given] for c, _ in candidates])
            else:
                best = torch.isclose(scores[:, part], scores[:, part].max(), rtol=0, atol=1e-5)
            candidates = [c for c, keep in zip(candidates, best.tolist(), strict=True) if keep]
            scores = scores[best]
        (cell, value), prob_value = candidates[0], scores[0, -1].exp()
        cells.append(cell)
        state[cell], step[cell], prob[cell] = value, move - given, prob_value
    return Decoded(state, step, prob, np.zeros(12, np.int16), np.array(model.language.passes * (12 - given)))


def same(fast: Decoded, slow: Decoded) -> None:
    for name in ("cells", "step", "reopened", "passes"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name), err_msg=name)
    np.testing.assert_allclose(fast.prob, slow.prob, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("order", ["free", "fixed", "solver"])
@pytest.mark.parametrize("format", FORMATS)
def test_decode_equals_the_uncached_twin(format: str, order: str) -> None:
    model, batch = wild_model(format), puzzles([4, 0, 7, 12, 5, 11, 4])
    fast = decode_autoregressive(model, batch, order=order)
    for row in range(len(batch)):
        forced = {
            "free": None,
            "fixed": np.flatnonzero(batch.blank[row]).tolist(),
            "solver": [int(np.flatnonzero(batch.rank[row] == r)[0]) for r in range(batch.blank[row].sum())],
        }[order]
        alone = Decoded(fast.cells[row], fast.step[row], fast.prob[row], fast.reopened[row], fast.passes[row])
        same(alone, slow_twin(model, batch.clues[row], forced))


@pytest.mark.parametrize("format", FORMATS)
def test_neighbours_do_not_matter(format: str) -> None:
    model, batch = wild_model(format), puzzles([3, 9, 6, 0, 5, 5, 12, 8, 2])
    whole = decode_autoregressive(model, batch)
    finished: list[int] = []
    same(whole, decode_autoregressive(model, batch, batch_size=2, progress=finished.append))
    assert finished == [2, 2, 2, 2, 1]
    mixed = np.random.default_rng(3).permutation(9)
    shuffled = decode_autoregressive(model, batch[mixed], batch_size=4)
    same(shuffled, Decoded(*(getattr(whole, name)[mixed] for name in Decoded.__dataclass_fields__)))


@pytest.mark.parametrize("format", FORMATS)
def test_givens_stay_and_every_blank_is_filled_once(format: str) -> None:
    batch = puzzles([3, 9, 6, 0, 5, 12])
    before = batch.clues.copy()
    decoded = decode_autoregressive(wild_model(format, 1), batch)
    np.testing.assert_array_equal(batch.clues, before)
    np.testing.assert_array_equal(np.where(batch.blank, 0, decoded.cells), batch.clues)
    assert decoded.cells.min() >= 1
    assert decoded.cells.max() <= 5
    for row in range(len(batch)):
        steps = decoded.step[row]
        assert sorted(steps[batch.blank[row]]) == list(range(batch.blank[row].sum()))
        assert (steps[~batch.blank[row]] == -1).all()
    assert (decoded.prob[~batch.blank] == 1).all()
    assert (decoded.prob[batch.blank] < 1).all()
    assert [str(getattr(decoded, n).dtype) for n in Decoded.__dataclass_fields__] == [
        "int8",
        "int16",
        "float32",
        "int16",
        "int32",
    ]


def test_dropout_is_off() -> None:
    model, batch = wild_model("moves"), puzzles([3, 5])
    expected = decode_autoregressive(model, batch)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    same(decode_autoregressive(model.train(), batch), expected)
    assert model.training


@pytest.mark.parametrize("format", FORMATS)
def test_a_temperature_draws_from_the_model(format: str) -> None:
    """With one blank left the values of many puzzles are as frequent as softmax(logits / T) has them."""
    model, batch = wild_model(format), puzzles([11] * 600)
    decoded = decode_autoregressive(model, batch, temperature=2.0)
    last = batch.blank.argmax(1)
    cells = np.array([[*np.flatnonzero(clues), cell] for clues, cell in zip(batch.clues, last, strict=True)])
    prob = np.zeros((600, 5))
    for value in range(1, 6):
        given = np.take_along_axis(np.where(batch.blank, value, batch.clues), cells, axis=1).astype(np.int64)
        fills = torch.arange(12).expand(600, 12) == 11
        with torch.inference_mode():
            prob[:, value - 1] = model(torch.as_tensor(cells), torch.as_tensor(given), fills)[0][:, -1].exp()
    law = np.sqrt(prob) / np.sqrt(prob).sum(1, keepdims=True)
    drawn = decoded.cells[np.arange(600), last, None] == np.arange(1, 6)
    likeliest = drawn[np.arange(600), prob.argmax(1)], law.max(1)
    for is_drawn, chance in (likeliest, *zip(drawn.T, law.T, strict=True)):
        assert abs(is_drawn.sum() - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())
    np.testing.assert_allclose(decoded.prob[np.arange(600), last], prob[drawn], rtol=1e-3, atol=1e-6)


def test_draws_belong_to_the_puzzle() -> None:
    model, batch = wild_model("triples"), puzzles([3, 9, 6, 0, 5, 5, 12, 8, 2])
    drawn = decode_autoregressive(model, batch, seed=4, temperature=1.0)
    mixed = np.random.default_rng(3).permutation(9)
    again = decode_autoregressive(model, batch[mixed], seed=4, temperature=1.0, batch_size=2)
    same(again, Decoded(*(getattr(drawn, name)[mixed] for name in Decoded.__dataclass_fields__)))
    other = decode_autoregressive(model, batch, seed=5, temperature=1.0)
    assert (other.step != drawn.step).any()
    cold = decode_autoregressive(model, batch, seed=5, temperature=1e-6)
    same(cold, decode_autoregressive(model, batch))


def test_half_precision_decodes_nearly_the_same() -> None:
    model, batch = wild_model("moves"), puzzles([11, 10])
    full, half = (decode_autoregressive(model, batch, precision=p) for p in ("fp32", "bf16"))
    assert (full.prob != half.prob).any()
    np.testing.assert_allclose(full.prob, half.prob, atol=0.1)


def test_no_puzzles_give_no_rows() -> None:
    decoded = decode_autoregressive(wild_model("moves"), puzzles([3])[:0])
    assert decoded.cells.shape == (0, 12)


def test_mistakes_are_named() -> None:
    model, batch = wild_model("moves"), puzzles([3])
    with pytest.raises(UserInputError, match=r"'best'.*free, fixed, solver"):
        decode_autoregressive(model, batch, order="best")
    with pytest.raises(UserInputError, match="batch_size=0"):
        decode_autoregressive(model, batch, batch_size=0)
    with pytest.raises(UserInputError, match="temperature=-1"):
        decode_autoregressive(model, batch, temperature=-1)
    with pytest.raises(UserInputError, match=r"'fp8'.*fp32, bf16"):
        decode_autoregressive(model, batch, precision="fp8")
    with pytest.raises(UserInputError, match=r"11 cells.*12"):
        decode_autoregressive(model, replace(batch, clues=batch.clues[:, :11]))
    with pytest.raises(UserInputError, match="no rank"):
        decode_autoregressive(model, replace(batch, rank=np.full_like(batch.rank, -1)), order="solver")
    nn.init.constant_(model.position.weight, torch.nan)
    with pytest.raises(UserInputError, match="gives nan"):
        decode_autoregressive(model, batch)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("format", FORMATS)
def test_devices_agree(format: str) -> None:
    model, batch = wild_model(format), puzzles([3, 9, 6, 0, 5, 5, 12, 8, 2])
    on_cpu = decode_autoregressive(model, batch)
    on_gpu = decode_autoregressive(model, batch, device="cuda")
    np.testing.assert_array_equal(on_cpu.cells, on_gpu.cells)
    np.testing.assert_array_equal(on_cpu.step, on_gpu.step)
