"""The bidirectional transformer: what sees what, what its positions do, and its published size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from planorder.models.transformer import Transformer, TransformerConfig
from puzzles import get_family
from puzzles.base import UserInputError

GRAPH = get_family("sudoku-2x2").graph()


def small_model(**changes: bool | int | float) -> Transformer:
    """Random weights everywhere, also where a new network has zeros, so that every path carries signal."""
    torch.manual_seed(0)
    shape = {"layers": 2, "width": 12, "heads": 3, "mlp_ratio": 2}
    model = Transformer(TransformerConfig(**{**shape, **changes}), GRAPH)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.4)
    return model.eval()


def some_tokens(batch: int, seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(np.random.default_rng(seed).integers(0, 5, (batch, 16)))


def normed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight + bias


def heard_by(qkv: np.ndarray, heads: int) -> np.ndarray:
    """Attention ``[cells, width]`` of ``qkv [cells, 3 width]``, a head and a cell at a time."""
    q, k, v = qkv.reshape(len(qkv), 3, heads, -1).transpose(1, 2, 0, 3)
    out = np.empty((len(qkv), heads, q.shape[-1]))
    for head in range(heads):
        for cell in range(len(qkv)):
            score = np.exp(k[head] @ q[head, cell] / np.sqrt(q.shape[-1]))
            out[cell, head] = score @ v[head] / score.sum()
    return out.reshape(len(qkv), -1)


def twin(model: Transformer, tokens: np.ndarray) -> np.ndarray:
    """Logits ``[cells, values]`` of one puzzle in float64 NumPy, by the formulas of GPT-2."""
    w = {name: tensor.detach().double().numpy() for name, tensor in model.named_parameters()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        return normed(x, w[f"{name}.weight"], w[f"{name}.bias"])

    x = w["embed.weight"][tokens] + w["position"]
    if "constraint" in w:
        edges = np.concatenate([edge.cells for edge in GRAPH.edges])
        x = x + np.array([w["constraint"][(edges == cell).any(1)].sum(0) for cell in range(16)])
    for layer in range(model.config.layers):
        at = f"layers.{layer}."
        heard = heard_by(linear(at + "qkv", norm(at + "attention_norm", x)), model.config.heads)
        x = x + linear(at + "project", heard)
        up = torch.as_tensor(linear(at + "up", norm(at + "mlp_norm", x)))
        x = x + linear(at + "down", nn.functional.gelu(up).numpy())
    return linear("head", norm("norm", x))


@pytest.mark.parametrize("grad", [True, False], ids=["training", "decoding"])
@pytest.mark.parametrize("constraints", [True, False])
def test_the_forward_pass_is_the_formulas(constraints: bool, grad: bool) -> None:
    model, tokens = small_model(constraint_embeddings=constraints), some_tokens(2)
    with torch.set_grad_enabled(grad):
        logits = model(tokens).detach().numpy()
    for row in range(2):
        np.testing.assert_allclose(logits[row], twin(model, tokens[row].numpy()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("grad", [True, False], ids=["training", "decoding"])
def test_every_cell_sees_every_cell(grad: bool) -> None:
    """No mask: a changed token moves the logits of all cells, those before it too."""
    model, tokens = small_model(layers=1), some_tokens(1)
    with torch.set_grad_enabled(grad):
        before = model(tokens)
        for cell in range(16):
            other = tokens.clone()
            other[0, cell] = (tokens[0, cell] + 1) % 5
            assert ((model(other) - before).abs().amax(-1) > 1e-6).all(), cell


def test_without_places_a_permutation_moves_the_logits() -> None:
    """With equal positions the network cannot tell cells apart; with its own positions it can."""
    source, tokens = torch.randperm(16, generator=torch.Generator().manual_seed(1)), some_tokens(3)
    model = small_model(constraint_embeddings=False)
    assert not torch.allclose(model(tokens[:, source]), model(tokens)[:, source], atol=1e-2)
    model.position.data[:] = model.position.data[0]
    assert torch.allclose(model(tokens[:, source]), model(tokens)[:, source], atol=1e-4)


def test_constraint_embeddings_are_shared_by_the_cells_of_a_constraint() -> None:
    """Cells in the same row, column and box alone have the same input: with boxes of one cell a box, none."""
    model = small_model()
    assert model.constraint is not None
    model.position.data.zero_()
    model.constraint.data[4:] = 0
    rows = (model.membership @ model.constraint).reshape(4, 4, -1)
    assert torch.equal(rows, rows[:, :1].expand(-1, 4, -1))
    assert len(torch.unique(rows[:, 0], dim=0)) == 4


def test_the_papers_network_has_6_million_parameters() -> None:
    """Three layers of ``12 w^2 + 13 w``, the tokens, 81 positions, the last norm and the head, at w = 384."""
    config = TransformerConfig(layers=3, width=384, heads=12, constraint_embeddings=False)
    with torch.device("meta"):
        model = Transformer(config, get_family("sudoku").graph())
    by_hand = 3 * (12 * 384**2 + 13 * 384) + (10 + 81) * 384 + 2 * 384 + 9 * 384 + 9
    assert sum(weight.numel() for weight in model.parameters()) == by_hand == 5_362_569


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    model, tokens = small_model(), some_tokens(4)
    alone = torch.cat([model(row[None]) for row in tokens])
    assert torch.allclose(model(tokens), alone, atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-2)


def test_gradients_reach_every_weight() -> None:
    model = small_model()
    model(some_tokens(8)).square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any(), name


def test_dropout_is_for_training_alone() -> None:
    model, tokens = small_model(dropout=0.5), some_tokens(2)
    assert torch.equal(model(tokens), model(tokens))
    assert torch.equal(model(tokens), small_model()(tokens))
    model.train()
    assert not torch.equal(model(tokens), model(tokens))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers=0: expected at least 1"),
        ({"heads": 0}, "heads=0: expected at least 1"),
        ({"mlp_ratio": 0}, "mlp_ratio=0: expected at least 1"),
        ({"heads": 5}, "heads=5: expected a divisor of width=12"),
    ],
)
def test_shapes_that_cannot_be(changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        small_model(**changes)
