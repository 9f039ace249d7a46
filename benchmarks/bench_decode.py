from __future__ import annotations

from dataclasses import replace

import numpy as np
import plain
import pytest
import torch
from ceilings import flops_of
from conftest import Baseline, Floor
from torch import nn

from planorder.console import default_batch_size, precision_name
from planorder.decoding import decode, get_strategy
from planorder.decoding.autoregressive import decode_autoregressive
from planorder.decoding.denoiser import PRECISIONS
from planorder.decoding.testing import TableModel
from planorder.models import AutoregressiveModel, Relational, build_model
from planorder.models.causal import DecodeCache
from planorder.training.presets import recipe
from puzzles import get_family
from puzzles.base import LOGIC, PuzzleBatch

SUDOKU = get_family("sudoku")
PRECISION = precision_name("auto", "cpu")


@pytest.fixture(scope="module")
def logic() -> PuzzleBatch:
    return SUDOKU.generate("test", LOGIC, 256)


def random_model(name: str) -> nn.Module:
    """A network of preset cpu whose matrices, those that start at zero too, are drawn at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(recipe("cpu", name, SUDOKU).model, SUDOKU)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=2 * parameter.shape[-1] ** -0.5)
    return model.eval()


def in_precision(call):
    """The call as a decode makes it: no gradients, in the number format of this processor."""
    dtype = PRECISIONS[PRECISION]
    with torch.inference_mode(), torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        return call()


def needed_flops(model: nn.Module, tokens: torch.Tensor) -> float:
    """FLOP a puzzle of the products with weights: hearing and spreading messages takes additions alone."""
    # With gradients, since the fused kernel is not PyTorch's to count.
    counted = flops_of(lambda: model(tokens)) / len(tokens)
    if not isinstance(model, Relational):
        return counted
    config, (edges, cells) = model.config, model.pool.shape
    vectors = model.n_values if config.by_value else 1
    return counted - config.turns * 2 * edges * cells * vectors * (config.channels + config.hidden)


def bench_decode_step(race, logic: PuzzleBatch) -> None:
    """The sampler without its model: one whose logits cost nothing, so all the time is the loop's."""
    logits = np.random.default_rng(0).normal(size=(81, 9)).astype(np.float32)
    model = TableModel(torch.from_numpy(logits))

    def ours():
        return decode(model, logic, get_strategy("top_margin"), batch_size=256)

    found = ours()
    cells, steps = plain.decode_top_margin(logits, logic.clues)
    assert (found.cells == cells).all()
    assert (found.step == steps).all()
    baseline = Baseline(
        "plain loop over rows", lambda: plain.decode_top_margin(logits, logic.clues), int(logic.blank.sum())
    )
    # At the least a step reads the logits and writes the state.
    race(ours, int(logic.blank.sum()), "row and step", [baseline], Floor(bytes=4 * 81 * 9 + 8 * 81))


@pytest.mark.parametrize("name", ["relational", "shallow", "transformer"])
def bench_forward(race, logic: PuzzleBatch, name: str) -> None:
    model, batch_size = random_model(name), default_batch_size("cpu")
    tokens = torch.from_numpy(logic.clues[:batch_size].astype(np.int64))
    with torch.inference_mode():
        together, alone = model(tokens), torch.cat([model(row[None]) for row in tokens[:4]])
        other = tokens.clone()
        other[:, 0] = other[:, 0] % 9 + 1
        assert not torch.allclose(together, model(other))
    assert together.std() > 0.1
    torch.testing.assert_close(together[:4], alone, rtol=1e-3, atol=1e-3)
    baseline = Baseline(
        "one puzzle at a time", lambda: in_precision(lambda: [model(row[None]) for row in tokens[:8]]), 8
    )
    is_fused = isinstance(model, Relational) and model.fuses
    dtype = PRECISIONS[PRECISION] if not is_fused else None
    floor = Floor(flops=needed_flops(model, tokens), dtype=dtype or torch.float32)
    race(lambda: in_precision(lambda: model(tokens)), batch_size, "puzzle", [baseline], floor)


def decode_uncached(model: AutoregressiveModel, clues: torch.Tensor) -> np.ndarray:
    """Cells of rows with equally many clues, the whole sequence read anew at every move."""
    language = model.language
    filled, blank = clues.clone(), clues == 0
    known = int((clues[0] > 0).sum())
    givens = clues.bool().int().argsort(dim=1, descending=True, stable=True)[:, :known]
    symbols = language.encode(givens, clues.gather(1, givens))
    for _ in range(known, clues.shape[1]):
        cache = DecodeCache(model.config)
        logits = model.begin(symbols, cache)
        move = torch.zeros(len(clues), language.parts, dtype=torch.int64)
        move[:, 0] = logits.masked_fill(~blank, -torch.inf).argmax(1)
        move[:, 1] = model.advance(0, move, cache).argmax(1)
        cells, values = language.decode(move)
        filled.scatter_(1, cells[:, None], values[:, None])
        blank.scatter_(1, cells[:, None], False)
        symbols = torch.cat([symbols, move[:, None]], 1)
    return filled.numpy()


def bench_autoregressive_decode(race, logic: PuzzleBatch) -> None:
    model = random_model("ar-solver")
    given = (~logic.blank).sum(1)
    batch = logic[np.flatnonzero(given == np.bincount(given).argmax())[:16]]
    batch = replace(batch, index=np.arange(len(batch)))
    clues = torch.from_numpy(batch.clues.astype(np.int64))
    with torch.inference_mode():
        plain_cells = decode_uncached(model, clues)
    # Rounding may turn over a tie, and with it the rest of that row.
    same = (decode_autoregressive(model, batch).cells == plain_cells).all(1)
    assert len(batch) == 16
    assert same.sum() >= 15
    baseline = Baseline("no cache", lambda: in_precision(lambda: decode_uncached(model, clues)), len(batch))
    job = lambda: decode_autoregressive(model, batch, precision=PRECISION)  # noqa: E731
    race(job, len(batch), "puzzle", [baseline], rounds=3)
