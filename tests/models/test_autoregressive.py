"""The causal model: its two formats, what a move may depend on, and the orders that it is taught."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from planorder.models.attention import attention
from planorder.models.autoregressive import AutoregressiveModel, move_order
from planorder.models.causal import AutoregressiveConfig, DecodeCache, LayerCache
from puzzles.base import UserInputError

FORMATS = ("moves", "triples")


def small_model(format: str, **changes: object) -> AutoregressiveModel:
    """Random weights everywhere, also where a new model has zeros, so that every path carries signal."""
    shape = {"n_cells": 16, "n_values": 4, "rows": 4, "columns": 4, "layers": 2, "width": 32, "heads": 4}
    torch.manual_seed(0)
    model = AutoregressiveModel(AutoregressiveConfig(**{**shape, "format": format, **changes}))
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.2)
    return model.eval()


def solves(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    cells = rng.permuted(np.tile(np.arange(16), (batch, 1)), axis=1)
    return torch.as_tensor(cells), torch.as_tensor(rng.integers(1, 5, (batch, 16)))


@pytest.mark.parametrize("format", FORMATS)
def test_symbols_stand_for_moves(format: str) -> None:
    language = small_model(format, n_cells=6, n_values=6, rows=2, columns=3).language
    cells, values = torch.tensor([[5, 0, 3]]), torch.tensor([[6, 1, 2]])
    expected = {"moves": [[5, 5], [0, 0], [3, 1]], "triples": [[1, 2, 6], [0, 0, 1], [1, 0, 2]]}
    symbols = language.encode(cells, values)
    assert symbols.tolist() == [expected[format]]
    assert all(torch.equal(a, b) for a, b in zip(language.decode(symbols), (cells, values), strict=True))


def test_the_vocabulary_of_triples_is_the_papers() -> None:
    language = small_model("triples", n_cells=81, n_values=9, rows=9, columns=9).language
    assert language.symbol.num_embeddings == 11
    assert language.embed(torch.zeros(1, 81, 3, dtype=torch.int64)).shape == (1, 244, 32)
    assert torch.equal(
        language.embed(torch.zeros(1, 1, 3, dtype=torch.int64))[0, 0], language.symbol.weight[10]
    )


def test_the_papers_model_has_42_million_parameters() -> None:
    with torch.device("meta"):
        model = AutoregressiveModel(AutoregressiveConfig(81, 9, 9, 9, "triples", 8, 576, 8, 6, 0.2))
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(42.6e6, rel=1e-3)


@pytest.mark.parametrize("format", FORMATS)
def test_a_move_depends_on_the_past_and_on_nothing_else(format: str) -> None:
    """A new value changes the score of itself and of the moves after it, not that of its own cell."""
    model, (cells, values) = small_model(format), solves(1)
    fills = torch.ones(1, 16, dtype=torch.bool)
    before, _ = model(cells, values, fills)
    for move in range(16):
        other = values.clone()
        other[0, move] = other[0, move] % 4 + 1
        same = torch.isclose(model(cells, other, fills)[0], before, atol=1e-6)
        assert same[:move].all()
        assert same[move].tolist() == [True] * (model.language.parts - 1) + [False]
        assert not same[move + 1 :].any()


@pytest.mark.parametrize("format", FORMATS)
def test_the_value_depends_on_the_chosen_cell(format: str) -> None:
    model, (cells, values) = small_model(format), solves(1)
    fills = torch.arange(16)[None] == 10
    choices = []
    for last in (0, 1):
        swapped = cells.clone()
        swapped[0, 10], swapped[0, 11 + last] = cells[0, 11 + last], cells[0, 10]
        choices.append(model(swapped, values, fills)[0][0, -1])
    assert not torch.isclose(*choices, atol=1e-3)


@pytest.mark.parametrize("format", FORMATS)
def test_scores_are_a_law_over_moves(format: str) -> None:
    """Summed over all moves of the vocabulary the probabilities of the next move make one."""
    model = small_model(format)
    vocabularies = (16, 4) if format == "moves" else (6, 6, 6)
    first = torch.tensor(list(itertools.product(*map(range, vocabularies))))
    symbols = torch.zeros(len(first), 16, model.language.parts, dtype=torch.int64)
    symbols[:, 0] = first
    model.language.encode = lambda cells, values: symbols
    fills = (torch.arange(16) == 0).expand(len(first), 16)
    log_probs, hits = model(symbols[..., 0], symbols[..., 0], fills)
    assert log_probs.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert hits.all(1).sum() == 1


@pytest.mark.parametrize("format", FORMATS)
def test_only_marked_moves_are_scored(format: str) -> None:
    model, (cells, values) = small_model(format), solves(3)
    every, _ = model(cells, values, torch.ones(3, 16, dtype=torch.bool))
    fills = torch.arange(16) >= torch.tensor([[3], [16], [9]])
    some, hits = model(cells, values, fills)
    assert some.shape == hits.shape == (20, model.language.parts)
    assert torch.allclose(some, every.view(3, 16, -1)[fills], atol=1e-6)


@pytest.mark.parametrize("format", FORMATS)
def test_a_cached_pass_is_the_uncached_one(format: str) -> None:
    model, (cells, values) = small_model(format), solves(2)
    symbols = model.language.encode(cells, values)
    tokens = model.language.embed(symbols)[:, :-1]
    for first in (1, 4):
        cache = DecodeCache(model.config)
        pieces = [model.trunk(tokens[:, :first], cache)]
        pieces += [model.trunk(token, cache) for token in tokens[:, first:].split(1, dim=1)]
        assert torch.allclose(torch.cat(pieces, 1), model.trunk(tokens), atol=1e-4)


@pytest.mark.parametrize("queries", [1, 7])
def test_attention_written_out_is_the_fused_one(queries: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 4, generator=generator) for n in (queries, 7, 7))
    fused = attention(q, k, v, causal=True)
    assert torch.allclose(attention(q.requires_grad_(), k, v, causal=True), fused, atol=1e-6)
    scores = (q[1, 2] @ k[1, 2].T) / 2
    last = (scores[-1].softmax(0)[:, None] * v[1, 2]).sum(0)
    assert torch.allclose(fused[1, 2, -1], last, atol=1e-6)


def test_the_cache_grows_in_place() -> None:
    cache, new = LayerCache(5), torch.rand(2, 1, 3, 4, 2)
    first = cache.append(new[:, :, :, :3])
    assert torch.equal(cache.append(new[:, :, :, 3:]), new)
    assert cache.length == 4
    assert cache.buffer is not None
    assert cache.buffer.data_ptr() == first.data_ptr()


def test_dropout_is_for_training_alone() -> None:
    model, (cells, values) = small_model("moves", dropout=0.5), solves(2)
    fills = torch.ones(2, 16, dtype=torch.bool)
    assert torch.equal(model(cells, values, fills)[0], model(cells, values, fills)[0])
    model.train()
    assert not torch.equal(model(cells, values, fills)[0], model(cells, values, fills)[0])


def test_orders_put_givens_first() -> None:
    clues = torch.tensor([[0, 2, 0, 0, 1], [3, 0, 0, 1, 0]])
    rank = torch.tensor([[2, -1, 0, 1, -1], [-1, 1, 2, -1, 0]])
    assert move_order(clues, "fixed").tolist() == [[1, 4, 0, 2, 3], [0, 3, 1, 2, 4]]
    assert move_order(clues, "solver", rank).tolist() == [[1, 4, 2, 3, 0], [0, 3, 4, 1, 2]]
    drawn = move_order(clues, "random", generator=torch.Generator().manual_seed(0))
    assert drawn[:, :2].tolist() == [[1, 4], [0, 3]]
    assert drawn.sort(1).values.tolist() == [list(range(5))] * 2


def test_random_orders_are_uniform_and_fresh() -> None:
    clues = torch.tensor([[0, 1, 0, 0, 2, 0]]).expand(24_000, 6)
    generator = torch.Generator().manual_seed(5)
    for _ in range(2):
        drawn = move_order(clues, "random", generator=generator)[:, 2:]
        code = drawn @ torch.tensor([216, 36, 6, 1])
        counts = np.unique(code.numpy(), return_counts=True)[1]
        assert len(counts) == 24
        assert stats.chisquare(counts).pvalue > 1e-4
    assert not torch.equal(drawn, move_order(clues, "random", generator=generator)[:, 2:])


@pytest.mark.parametrize(
    ("order", "rank", "message"),
    [
        ("sideways", None, "'sideways'.*fixed, random, solver"),
        ("solver", None, "no rank"),
        ("solver", [[-1, -1, 0]], "no rank"),
    ],
)
def test_orders_that_cannot_be(order: str, rank: list[list[int]] | None, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        move_order(torch.tensor([[1, 0, 0]]), order, None if rank is None else torch.tensor(rank))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "pairs"}, "'pairs'.*moves, triples"),
        ({"layers": 0}, "layers=0"),
        ({"rows": 5}, "5x4.*16"),
        ({"width": 30}, "width=30.*heads=4"),
        ({"dropout": 1.0}, "dropout=1.0"),
    ],
)
def test_shapes_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        small_model(str(changes.pop("format", "moves")), **changes)
