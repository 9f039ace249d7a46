"""Puzzles' own edges: tokens that pads do not disturb, messages as a loop tells them, keys that know them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from planorder.decoding import Strategy, decode, get_strategy
from planorder.decoding.autoregressive import decode_autoregressive
from planorder.decoding.random import row_keys
from planorder.models import (
    AutoregressiveConfig,
    AutoregressiveModel,
    Relational,
    RelationalConfig,
    Transformer,
    TransformerConfig,
)
from planorder.models.context import EdgeMessages, edge_tensor, incidence_of, shared_edges
from planorder.models.relational import edges_with_roles
from planorder.training.data import TrainingData
from planorder.training.loop import TrainConfig, Training
from planorder.training.objectives.autoregressive import AutoregressiveObjective
from planorder.training.objectives.masked import MaskedObjective
from puzzles import get_family
from puzzles.base import ConstraintGraph, EdgeKind, EdgeSet, PuzzleBatch, with_width

KINDS = (EdgeKind("before", ("first", "second")), EdgeKind("between", ("left", "middle", "right")))
GROUPS = (EdgeSet("group", np.array([[0, 1, 2], [3, 4, 5]], np.int16)),)
GRAPH = ConstraintGraph(6, 3, GROUPS, False, KINDS)
EDGES = np.array(
    [
        [[0, 0, 4, -1], [1, 2, 3, 5], [0, 4, 0, -1]],
        [[1, 5, 1, 0], [-1, -1, -1, -1], [-1, -1, -1, -1]],
    ],
    np.int16,
)
ZEBRA = get_family("zebra")


def moved(model: nn.Module) -> nn.Module:
    """The network with every parameter somewhere else than at its start, where some are zero."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model.eval()


def relational(graph: ConstraintGraph = GRAPH, **changes: object) -> nn.Module:
    config = {"channels": 8, "hidden": 12, "turns": 3, "by_value": False}
    return moved(Relational(RelationalConfig(**(config | changes)), graph))


def transformer(graph: ConstraintGraph = GRAPH) -> nn.Module:
    return moved(Transformer(TransformerConfig(layers=2, width=16, heads=2), graph))


def autoregressive(kind: str, graph: ConstraintGraph = GRAPH) -> AutoregressiveModel:
    rows, columns = (2, 3) if graph.n_cells == 6 else (7, 6)
    config = AutoregressiveConfig(
        graph.n_cells, graph.n_values, rows, columns, format=kind, layers=2, width=16, heads=2
    )
    model = AutoregressiveModel(config, graph)
    moved(model)
    return model


@pytest.fixture(scope="module")
def puzzles() -> PuzzleBatch:
    return ZEBRA.generate("train", "logic", 12)


def test_messages_are_the_loops() -> None:
    torch.manual_seed(0)
    messages = moved(EdgeMessages(4, 2, 3))
    y, edges = torch.randn(2, 6, 4), edge_tensor(EDGES)
    assert edges is not None
    expected = torch.zeros(2, 6, 4)
    for row in range(2):
        for kind, *members in EDGES[row].tolist():
            cells = [(role, cell) for role, cell in enumerate(members) if cell >= 0]
            if kind < 0:
                continue
            said = messages.kind.weight[kind] + sum(
                y[row, cell] @ messages.hear[role] for role, cell in cells
            )
            told = (said.relu() ** 2 @ messages.tell).reshape(3, 4)
            for role, cell in cells:
                expected[row, cell] += told[role]
    found = messages(y, incidence_of(edges, 6, torch.float32))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_shared_edges_say_what_the_products_say() -> None:
    """Looked-up cells against the dense incidence, forward and backward, on NAE-SAT's clauses."""
    graph = get_family("naesat").graph()
    torch.manual_seed(0)
    messages, own = moved(EdgeMessages(4, 1, 4)), edges_with_roles(graph)
    y = torch.randn(3, graph.n_cells, 4)
    results = []
    for told in (
        lambda x: messages(x, incidence_of(own[None], graph.n_cells, torch.float32)),
        lambda x: messages.shared(x.transpose(0, 1), shared_edges(own)).transpose(0, 1),
    ):
        messages.zero_grad()
        x = y.clone().requires_grad_()
        found = told(x)
        (found * torch.linspace(-1, 1, found.numel()).view_as(found)).sum().backward()
        results.append([found, x.grad, *(weight.grad.clone() for weight in messages.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


def test_a_familys_edges_may_have_pads() -> None:
    shared = (EdgeSet("before", np.array([[0, 4]], np.int16), ("first", "second")),)
    more = (*shared, EdgeSet("between", np.array([[1, 2, 3]], np.int16), ("left", "middle", "right")))
    tokens = torch.tensor([[0, 1, 0, 2, 0, 0], [1, 0, 3, 0, 2, 1]])
    of_family, of_puzzle = (
        relational(ConstraintGraph(6, 3, (*GROUPS, *more), False)),
        relational(GRAPH),
    )
    of_puzzle.load_state_dict(of_family.state_dict())
    edges = torch.tensor([[[0, 0, 4, -1], [1, 1, 2, 3]]]).expand(2, -1, -1)
    torch.testing.assert_close(of_family(tokens), of_puzzle(tokens, edges))


def test_a_new_block_tells_nothing() -> None:
    edges = edge_tensor(EDGES)
    assert edges is not None
    told = EdgeMessages(4, 2, 3)(torch.randn(2, 6, 4), incidence_of(edges, 6, torch.float32))
    assert not told.any()


@pytest.mark.parametrize("build", [relational, transformer])
def test_edges_speak_pads_and_order_do_not(build) -> None:
    model, tokens, edges = build(), torch.tensor([[0, 1, 0, 2, 0, 0], [3, 0, 0, 0, 1, 0]]), edge_tensor(EDGES)
    assert edges is not None
    found = model(tokens, edges)
    wider = torch.cat([edges, torch.full((2, 4, 4), -1)], 1)
    torch.testing.assert_close(model(tokens, wider), found, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(tokens, edges.flip(1)), found, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(tokens[1:], edges[1:, :1]), found[1:], rtol=1e-4, atol=1e-5)
    turned = edges.clone()
    turned[0, 0, 1:3] = edges[0, 0, 1:3].flip(0)
    other = edges.clone()
    other[1, 0, 0] = 0
    assert (model(tokens, turned)[0] - found[0]).abs().max() > 1e-3
    assert (model(tokens, other)[1] - found[1]).abs().max() > 1e-3


def test_a_familys_edges_with_roles_are_like_a_puzzles_own() -> None:
    shared = (*GROUPS, EdgeSet("before", np.array([[0, 4], [4, 0]], np.int16), ("first", "second")))
    of_family = relational(ConstraintGraph(6, 3, shared, False))
    of_puzzle = relational(ConstraintGraph(6, 3, GROUPS, False, KINDS[:1]))
    of_puzzle.load_state_dict(of_family.state_dict())
    tokens = torch.tensor([[0, 1, 0, 2, 0, 0]])
    edges = torch.tensor([[[0, 0, 4], [0, 4, 0]]])
    torch.testing.assert_close(of_family(tokens), of_puzzle(tokens, edges))
    assert (of_family(tokens) - of_puzzle(tokens, edges[:, :1])).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["moves", "triples"])
def test_an_autoregressive_network_reads_edges_and_no_pads(kind: str) -> None:
    model, edges = autoregressive(kind), edge_tensor(EDGES)
    assert edges is not None
    cells, values = torch.arange(6).expand(2, 6), torch.tensor([[1, 2, 3, 1, 2, 3], [3, 2, 1, 3, 2, 1]])
    fills = torch.ones(2, 6, dtype=torch.bool)
    found, _ = model(cells, values, fills, edges)
    wider, _ = model(cells, values, fills, torch.cat([edges, torch.full((2, 4, 4), -1)], 1))
    torch.testing.assert_close(wider, found, rtol=1e-4, atol=1e-5)
    other = edges.clone()
    other[0, 1, 1] = 1
    changed, _ = model(cells, values, fills, other)
    assert (changed - found)[:6].abs().max() > 1e-3
    torch.testing.assert_close(changed[6:], found[6:])


@pytest.mark.parametrize("kind", ["moves", "triples"])
def test_cached_decoding_reads_edges_as_training_does(kind: str, puzzles: PuzzleBatch) -> None:
    model = autoregressive(kind, ZEBRA.graph())
    decoded = decode_autoregressive(model, puzzles, order="solver", batch_size=5)
    edges, clues = edge_tensor(puzzles.edges), torch.from_numpy(puzzles.clues).long()
    key = torch.from_numpy(puzzles.rank).long().masked_fill(clues > 0, -1)
    cells = key.argsort(dim=1, stable=True)
    values = torch.from_numpy(decoded.cells).long().gather(1, cells)
    fills = clues.gather(1, cells) == 0
    log_probs, _ = model(cells, values, fills, edges)
    prob = torch.from_numpy(decoded.prob).gather(1, cells)[fills]
    torch.testing.assert_close(log_probs[:, -1].exp(), prob, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["vanilla", "top_margin"])
def test_decoding_does_not_depend_on_neighbours_or_pads(name: str, puzzles: PuzzleBatch) -> None:
    model, strategy = relational(ZEBRA.graph()), get_strategy(name)
    whole = decode(model, puzzles, strategy)
    for other in (
        decode(model, puzzles, strategy, batch_size=3),
        decode(model, with_width(puzzles, 50), strategy),
    ):
        assert (whole.cells == other.cells).all()
        assert (whole.step == other.step).all()
    rows = np.arange(len(puzzles))[::-1]
    assert (decode(model, puzzles[rows], strategy).cells == whole.cells[rows]).all()


def test_random_keys_know_the_edges_and_not_their_order(puzzles: PuzzleBatch) -> None:
    same_clues = puzzles[np.zeros(len(puzzles), int)]
    clues, edges = torch.from_numpy(same_clues.clues).long(), edge_tensor(puzzles.edges)
    assert edges is not None
    keys = row_keys(clues, 0, edges)
    assert len(set(keys.tolist())) == len(puzzles)
    assert (row_keys(clues, 0, edges.flip(1)) == keys).all()
    assert len(set(row_keys(clues, 0).tolist())) == 1


def test_objectives_hand_edges_on(puzzles: PuzzleBatch) -> None:
    parts = [torch.from_numpy(part).long() for part in (puzzles.clues, puzzles.solution, puzzles.rank)]
    edges, fewer = edge_tensor(puzzles.edges), edge_tensor(replace(puzzles, edges=puzzles.edges[:, :3]).edges)
    for objective, model in (
        (MaskedObjective(revealed=0.5), relational(ZEBRA.graph())),
        (AutoregressiveObjective("solver"), autoregressive("moves", ZEBRA.graph())),
    ):
        losses = [
            objective(model, *parts, torch.Generator().manual_seed(0), own)[0].item()
            for own in (edges, fewer)
        ]
        assert losses[0] != losses[1]


def test_masks_by_confidence_ask_each_puzzle_with_its_own_edges(puzzles: PuzzleBatch) -> None:
    """Every call of the network shows cells and edges of one and the same puzzle."""
    of_edges = {row.tobytes(): k for k, row in enumerate(edge_tensor(puzzles.edges).numpy())}
    solution = torch.from_numpy(puzzles.solution).long()
    asked = []

    class Spy(nn.Module):
        def forward(self, tokens: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
            for shown, own in zip(tokens, edges, strict=True):
                place = of_edges[own.numpy().tobytes()]
                assert ((shown == 0) | (shown == solution[place])).all()
                asked.append(place)
            return torch.zeros(*tokens.shape, 6)

    parts = [torch.from_numpy(part).long() for part in (puzzles.clues, puzzles.solution, puzzles.rank)]
    MaskedObjective(revealed=0.5)(Spy(), *parts, torch.Generator().manual_seed(0), edge_tensor(puzzles.edges))
    assert len(asked) > len(puzzles)


def test_a_training_step_hands_the_batchs_edges_on(puzzles: PuzzleBatch) -> None:
    data = TrainingData(ZEBRA, puzzles, 6, seed=0)
    state = Training(
        RelationalConfig(channels=4, hidden=4, turns=1, by_value=False),
        TrainConfig(steps=1, batch_size=6, precision="fp32"),
        data,
        "cpu",
    )
    seen = []

    def spy(model, clues, solution, rank, generator, edges):
        seen.append(edges)
        return model(clues, edges).sum(), {}

    state.step(spy)
    assert torch.equal(seen[0], edge_tensor(data.batch(0).edges))


def test_looking_ahead_takes_the_edges_along(puzzles: PuzzleBatch) -> None:
    looked = []

    def order(view):
        ahead = view.evaluate(view.tokens[:, None].repeat(1, 3, 1))
        for look in ahead.unbind(1):
            torch.testing.assert_close(look, view.log_probs, rtol=1e-4, atol=1e-4)
        looked.append(len(ahead))
        return view.log_probs.amax(-1)

    decode(relational(ZEBRA.graph()), puzzles, Strategy("ahead", order))
    assert looked


def test_each_kind_with_roles_that_a_family_shares_is_told_apart() -> None:
    pair = np.array([[0, 4]], np.int16)
    kinds = (EdgeSet("before", pair, ("first", "second")), EdgeSet("beside", pair, ("first", "second")))
    found = edges_with_roles(ConstraintGraph(6, 3, (*GROUPS, *kinds), False, KINDS))
    assert found.tolist() == [[2, 0, 4, -1], [3, 0, 4, -1]]
