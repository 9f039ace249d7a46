"""The relational network against loops over a graph, and the symmetries that it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from planorder.models import build_model, parameter_count
from planorder.models.relational import Block, Relational, RelationalConfig, incidence
from puzzles import get_family
from puzzles.base import ConstraintGraph, EdgeKind, EdgeSet, UserInputError

SUDOKU = get_family("sudoku-2x2").graph()
UNEVEN = ConstraintGraph(
    5,
    3,
    (
        EdgeSet("pair", np.array([[0, 1], [3, 4], [0, 4]], np.int16)),
        EdgeSet("group", np.array([[0, 2, 3, 4], [1, 2, 4, -1]], np.int16)),
    ),
    values_interchangeable=True,
)
SHAPES = {
    "tied by value": {"tied": True, "by_value": True},
    "untied by value": {"tied": False, "by_value": True},
    "tied": {"tied": True, "by_value": False},
    "untied": {"tied": False, "by_value": False},
}


def small_model(graph: ConstraintGraph = SUDOKU, **changes: bool | int) -> Relational:
    """Random weights everywhere, also where a new network has zeros, so that every path carries signal."""
    torch.manual_seed(0)
    model = Relational(RelationalConfig(**{"channels": 6, "hidden": 10, "turns": 3, **changes}), graph)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.4)
    return model.eval()


def some_tokens(batch: int, graph: ConstraintGraph = SUDOKU, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.as_tensor(rng.integers(0, graph.n_values + 1, (batch, graph.n_cells)))


def normed(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def state_of(token: int, value: int) -> int:
    return 0 if token == 0 else 1 if token == value + 1 else 2


def twin(model: Relational, graph: ConstraintGraph, tokens: list[int], turns: int) -> np.ndarray:
    """Logits ``[cells, values]`` of one puzzle, by loops over cells, values and edges, in float64."""
    w = {name: tensor.detach().double().numpy() for name, tensor in model.named_parameters()}
    by_value, cells = model.config.by_value, range(graph.n_cells)
    lanes = range(graph.n_values if by_value else 1)
    states = {(i, v): state_of(tokens[i], v) if by_value else tokens[i] for i in cells for v in lanes}
    x = {place: w["embed.weight"][state] for place, state in states.items()}
    for turn in range(turns):
        block = f"blocks.{turn % len(model.blocks)}."
        x = {place: x[place] + w[block + "inject.weight"][state] for place, state in states.items()}
        y = {place: normed(vector) for place, vector in x.items()}
        hidden = {place: w[block + "own.weight"] @ y[place] + w[block + "own.bias"] for place in x}
        for kind, edges in enumerate(graph.edges):
            for edge in edges.cells:
                members = [int(cell) for cell in edge if cell >= 0]
                for v in lanes:
                    heard = sum(y[member, v] for member in members) / len(members)
                    for member in members:
                        hidden[member, v] = hidden[member, v] + heard @ w[block + "edge"][kind]
        for i, v in x:
            if by_value:
                own = sum(y[i, other] for other in lanes) / len(lanes)
                hidden[i, v] = hidden[i, v] + w[block + "cell.weight"] @ own
            x[i, v] = x[i, v] + w[block + "out.weight"] @ np.maximum(hidden[i, v], 0) ** 2
    answers = {place: w["head.weight"] @ normed(vector) + w["head.bias"] for place, vector in x.items()}
    return np.array([np.concatenate([answers[i, v] for v in lanes]) for i in cells])


@pytest.mark.parametrize("grad", [True, False], ids=["training", "decoding"])
@pytest.mark.parametrize("graph", [SUDOKU, UNEVEN], ids=["sudoku", "uneven"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_forward_pass_is_the_loops(shape: str, graph: ConstraintGraph, grad: bool) -> None:
    model, tokens = small_model(graph, **SHAPES[shape]), some_tokens(2, graph)
    for turns in (None, 5):
        with torch.set_grad_enabled(grad):
            logits = model(tokens, turns=turns).detach().numpy()
        for row in range(2):
            expected = twin(model, graph, tokens[row].tolist(), turns or 3)
            np.testing.assert_allclose(logits[row], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("tied", [True, False])
def test_renaming_the_values_renames_the_logits(tied: bool) -> None:
    tokens, rename = some_tokens(4), torch.tensor([0, 3, 1, 4, 2])
    model = small_model(tied=tied)
    before, after = model(tokens), model(rename[tokens])
    assert torch.allclose(after[..., rename[1:] - 1], before, atol=1e-4)
    assert not torch.allclose(after, before, atol=1e-2)


def moved_cells() -> dict[str, list[int]]:
    """Which cell a cell takes its content from, for symmetries of rows, columns, bands and stacks."""
    grid = np.arange(16).reshape(4, 4)
    return {
        "rows": grid[[1, 0, 2, 3]].ravel().tolist(),
        "columns": grid[:, [0, 1, 3, 2]].ravel().tolist(),
        "bands": grid[[2, 3, 0, 1]].ravel().tolist(),
        "stacks": grid[:, [2, 3, 0, 1]].ravel().tolist(),
    }


@pytest.mark.parametrize("by_value", [True, False])
@pytest.mark.parametrize("name", moved_cells())
def test_a_symmetry_of_the_cells_moves_the_logits(name: str, by_value: bool) -> None:
    source, tokens, model = moved_cells()[name], some_tokens(3), small_model(by_value=by_value)
    assert torch.allclose(model(tokens[:, source]), model(tokens)[:, source], atol=1e-4)


def test_what_breaks_a_constraint_moves_the_logits_elsewhere() -> None:
    """The planted fault of the test above: the middle rows swapped is no symmetry."""
    source = np.arange(16).reshape(4, 4)[[0, 2, 1, 3]].ravel().tolist()
    tokens, model = some_tokens(3), small_model()
    assert not torch.allclose(model(tokens[:, source]), model(tokens)[:, source], atol=1e-2)


def test_transposition_is_a_symmetry_once_rows_and_columns_share_weights() -> None:
    source = np.arange(16).reshape(4, 4).T.ravel().tolist()
    tokens, model = some_tokens(3), small_model()
    assert not torch.allclose(model(tokens[:, source]), model(tokens)[:, source], atol=1e-2)
    for block in model.blocks:
        block.edge.data[1] = block.edge.data[0]
    assert torch.allclose(model(tokens[:, source]), model(tokens)[:, source], atol=1e-4)


@pytest.mark.parametrize("grad", [True, False], ids=["training", "decoding"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_a_batch_do_not_touch_each_other(shape: str, grad: bool) -> None:
    model, tokens = small_model(**SHAPES[shape]), some_tokens(5)
    with torch.set_grad_enabled(grad):
        together = model(tokens)
        alone = torch.cat([model(row[None]) for row in tokens])
    assert torch.allclose(together, alone, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_reach_every_weight(shape: str) -> None:
    model = small_model(**SHAPES[shape])
    model(some_tokens(8)).square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any(), name


def test_a_tied_network_has_one_block_whatever_its_turns() -> None:
    assert parameter_count(small_model(turns=2)) == parameter_count(small_model(turns=9))
    first, second, third = (parameter_count(small_model(turns=turns, tied=False)) for turns in (1, 2, 3))
    assert third - second == second - first > 0


def test_what_a_cell_hears_spreads_one_constraint_a_turn() -> None:
    """A token reaches its row, column and box in one turn and every cell in two."""
    first, other = some_tokens(1), some_tokens(1)
    other[0, 0] = first[0, 0] % 4 + 1
    grid = np.arange(16).reshape(4, 4)
    peers = set(grid[0]) | set(grid[:, 0]) | set(grid[:2, :2].ravel())
    for turns, expected in ((1, peers), (2, set(range(16)))):
        model = small_model(turns=turns)
        changed = (model(first) - model(other)).abs().amax((0, 2)) > 1e-6
        assert set(np.flatnonzero(changed.numpy())) == expected


def test_the_incidence_averages_each_edge() -> None:
    expected = np.array(
        [
            [1 / 2, 1 / 2, 0, 0, 0],
            [0, 0, 0, 1 / 2, 1 / 2],
            [1 / 2, 0, 0, 0, 1 / 2],
            [1 / 4, 0, 1 / 4, 1 / 4, 1 / 4],
            [0, 1 / 3, 1 / 3, 0, 1 / 3],
        ]
    )
    np.testing.assert_allclose(incidence(UNEVEN.n_cells, UNEVEN.edges).numpy(), expected, rtol=1e-6)


def test_puzzle_edges_that_do_not_name_cells_are_refused() -> None:
    kinds = (EdgeKind("before", ("first", "second")),)
    graph = ConstraintGraph(4, 2, (), True, kinds, edges_name_cells=False)
    with pytest.raises(UserInputError, match="take a transformer"):
        small_model(graph)


def test_by_value_needs_interchangeable_values() -> None:
    graph = ConstraintGraph(UNEVEN.n_cells, UNEVEN.n_values, UNEVEN.edges, values_interchangeable=False)
    with pytest.raises(UserInputError, match="set by_value=False"):
        small_model(graph)
    assert small_model(graph, by_value=False)(some_tokens(2, graph)).shape == (2, 5, 3)


@pytest.mark.parametrize("field", ["channels", "hidden", "turns"])
def test_shapes_that_cannot_be(field: str) -> None:
    with pytest.raises(UserInputError, match=f"{field}=0: expected at least 1"):
        RelationalConfig(**{field: 0})


def test_jitter_changes_the_turns_of_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    family = get_family("sudoku-2x2")
    model = build_model(RelationalConfig(channels=4, hidden=4, turns=5, jitter=2), family)
    taken: list[int] = []
    turn = Block.forward
    monkeypatch.setattr(Block, "forward", lambda *args: (taken.append(1), turn(*args))[1])

    def turns() -> int:
        taken.clear()
        model(torch.zeros(1, 16, dtype=torch.int64))
        return len(taken)

    assert {turns() for _ in range(60)} == {3, 4, 5, 6, 7}
    model.eval()
    assert {turns() for _ in range(5)} == {5}


@pytest.mark.parametrize(("jitter", "tied"), [(-1, True), (5, True), (1, False)])
def test_jitter_out_of_range_is_told(jitter: int, tied: bool) -> None:
    with pytest.raises(UserInputError, match=f"jitter={jitter}"):
        RelationalConfig(turns=5, jitter=jitter, tied=tied)
