"""The order head: an untrained one is top_margin, its features by hand, and what it may depend on."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from planorder.decoding.testing import HashModel
from planorder.models import CONFIGS, HEADS, backbone_name, build_model, config_from_dict, parameter_count
from planorder.models.checkpoint import load_model, model_header, pretrained, pretrained_heads, save_model
from planorder.models.order_head import FAINT, OrderHead, OrderHeadConfig, margin_score, shared_constraints
from planorder.models.relational import incidence
from puzzles import get_family
from puzzles.base import UserInputError

FAMILY = get_family("sudoku-2x2")
SMALL = OrderHeadConfig(channels=8, hidden=12, blocks=2, top=3)


def trained(seed: int = 0, config: OrderHeadConfig = SMALL, name: str = "sudoku-2x2") -> OrderHead:
    """A head whose every weight is drawn, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = build_model(config, get_family(name))
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    assert isinstance(head, OrderHead)
    return head.double().eval()


def inputs(n: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities, states and clues of made-up 2x2 puzzles, some cells filled."""
    rng = np.random.default_rng(seed)
    tokens = torch.from_numpy(rng.integers(1, 5, (n, 16)) * (rng.random((n, 16)) < 0.5))
    clue = (tokens > 0) & torch.from_numpy(rng.random((n, 16)) < 0.5)
    return HashModel(4, seed)(tokens).log_softmax(-1), tokens, clue


def test_an_untrained_head_orders_as_the_margin_does() -> None:
    log_probs, tokens, clue = inputs(40)
    head = build_model(SMALL, FAMILY).double()
    score = head(log_probs, tokens, clue).masked_fill(tokens > 0, -torch.inf)
    p = log_probs.double().exp().sort(-1, descending=True).values
    margin = (p[..., 0] - p[..., 1]).masked_fill(tokens > 0, -torch.inf)
    assert torch.equal(score.argsort(dim=1, stable=True), margin.argsort(dim=1, stable=True))
    assert torch.allclose(margin_score(log_probs), -(1 - (p[..., 0] - p[..., 1])).log(), atol=1e-6)


def test_the_margins_score_is_finite_and_tells_sure_cells_apart() -> None:
    logits = torch.tensor([[0.0, 0.0], [8.0, 0.0], [14.0, 0.0], [90.0, 0.0], [900.0, 0.0]])
    score = margin_score(logits.log_softmax(-1))
    assert score.isfinite().all()
    assert score.tolist()[0] == pytest.approx(0.0, abs=1e-7)
    assert score[0] < score[1] < score[2] < score[3] == score[4]


def features_by_hand(log_probs: torch.Tensor, tokens: torch.Tensor, row: int, cell: int) -> list[float]:
    """The 2 * 3 + 2 features of a cell, with loops."""
    lines = [{4 * r + c for c in range(4)} for r in range(4)]
    lines += [{4 * r + c for r in range(4)} for c in range(4)]
    lines += [{8 * (b // 2) + 2 * (b % 2) + k for k in (0, 1, 4, 5)} for b in range(4)]

    def p(other: int, value: int) -> float:
        if tokens[row, other]:
            return float(tokens[row, other] == value + 1)
        return float(log_probs[row, other, value].double().exp())

    order = sorted(range(4), key=lambda value: -p(cell, value))[:3]
    mine = [line for line in lines if cell in line]
    claims = [
        sum(p(other, value) for line in mine for other in line if other != cell) / len(mine)
        for value in order
    ]
    own = [p(cell, value) for value in range(4)]
    if tokens[row, cell]:
        claims = [claims[0], 0.0, 0.0]
    tops = [max(np.log(max(p(cell, value), 1e-300)), FAINT) for value in order]
    entropy = sum(q * np.log(q) for q in own if q > 0)
    first, second = sorted(own)[:-3:-1]
    return [*tops, *claims, entropy, -np.log(max(1 - (first - second), 1e-9))]


def test_features_by_hand() -> None:
    log_probs, tokens, _ = inputs(3)
    found, base = build_model(SMALL, FAMILY).features(log_probs, tokens)
    for row in range(3):
        for cell in range(16):
            expected = features_by_hand(log_probs, tokens, row, cell)
            assert found[row, cell, :-1].tolist() == pytest.approx(expected[:-1], abs=1e-6)
            if not tokens[row, cell]:
                assert float(base[row, cell]) == pytest.approx(expected[-1], abs=1e-6)
    assert found.shape[-1] == 8


def test_cells_that_share_two_constraints_count_twice() -> None:
    shared = shared_constraints(incidence(16, FAMILY.graph().edges))
    assert shared[0, 1].item() == pytest.approx(2 / 3)  # the row and the box
    assert shared[0, 2].item() == pytest.approx(1 / 3)
    assert shared[0, 15].item() == shared[0, 0].item() == 0


def renamed(log_probs: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    names = torch.tensor([2, 0, 3, 1])
    other = torch.empty_like(log_probs)
    other[..., names] = log_probs
    return other, torch.where(tokens > 0, names[tokens - 1] + 1, 0)


def transposed(part: torch.Tensor) -> torch.Tensor:
    return part.unflatten(1, (4, 4)).transpose(1, 2).flatten(1, 2)


def test_names_of_values_and_symmetries_of_the_grid_change_nothing() -> None:
    (log_probs, tokens, clue), head = inputs(), trained()
    score = head(log_probs, tokens, clue)
    assert torch.allclose(head(*renamed(log_probs, tokens), clue), score)
    with torch.no_grad():
        for block in head.blocks:  # rows and columns are two kinds; made one, a transposition is a symmetry
            block.edge[1] = block.edge[0]
    score = head(log_probs, tokens, clue)
    turned = head(*(transposed(part) for part in (log_probs, tokens, clue)))
    assert torch.allclose(turned, transposed(score))


def test_filled_cells_are_read_by_their_value_alone_and_rows_stand_alone() -> None:
    (log_probs, tokens, clue), head = inputs(), trained()
    score = head(log_probs, tokens, clue)
    other = torch.where((tokens > 0)[..., None], HashModel(4, 9)(tokens).log_softmax(-1), log_probs)
    assert torch.equal(head(other, tokens, clue), score)
    assert torch.allclose(head(log_probs[2:3], tokens[2:3], clue[2:3]), score[2:3], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(head(log_probs, tokens, tokens > 0), score)  # clues are told from guesses


def test_messages_reach_two_constraints_far() -> None:
    """Two blocks and the claims: a cell hears of cells that share no constraint with it."""
    (log_probs, tokens, clue), head = inputs(1), trained()
    tokens[:] = 0
    moved = log_probs.clone()
    moved[0, 15] = moved[0, 15].roll(1) * 2
    changed = (head(moved, tokens, clue) - head(log_probs, tokens, clue)).abs() > 1e-9
    assert changed[0, 0]


@pytest.mark.parametrize("name", ["zebra", "naesat"])
def test_edges_of_a_puzzle_are_read(name: str) -> None:
    family = get_family(name)
    batch = family.generate("train", "logic", 2)
    head, values = trained(config=replace(SMALL, blocks=1), name=name), family.n_values
    tokens = torch.from_numpy(batch.clues.astype(np.int64))
    log_probs = HashModel(values)(tokens).log_softmax(-1)
    edges = None if batch.edges is None else torch.from_numpy(batch.edges.astype(np.int64))
    score = head(log_probs, tokens, tokens > 0, edges)
    assert score.shape == tokens.shape
    if edges is None:  # the family's own edges have roles
        head.with_roles = head.with_roles[:0]
        assert not torch.allclose(head(log_probs, tokens, tokens > 0), score)
    else:
        assert not torch.allclose(head(log_probs, tokens, tokens > 0, edges.flip(0)), score)
        assert torch.allclose(head(log_probs, tokens, tokens > 0, edges.flip(1)), score)


def test_edges_that_name_no_cells_are_refused() -> None:
    with pytest.raises(UserInputError, match="puzzle edges between cells"):
        build_model(SMALL, get_family("zebra-grid"))


@pytest.mark.parametrize("field", ["channels", "hidden", "blocks", "top"])
def test_sizes_are_at_least_one(field: str) -> None:
    changed: dict[str, Any] = {field: 0}
    with pytest.raises(UserInputError, match=f"{field}=0: expected at least 1"):
        replace(SMALL, **changed)


def test_a_head_is_small_and_no_network() -> None:
    assert 2_000 < parameter_count(build_model(OrderHeadConfig(), get_family("sudoku"))) < 100_000
    assert not CONFIGS.keys() & HEADS.keys()
    assert backbone_name(SMALL) == "order_head"
    assert config_from_dict("order_head", asdict(SMALL)) == SMALL


def test_files_of_heads_and_of_networks_are_told_apart(tmp_path: Path) -> None:
    head = trained()
    path = tmp_path / "weights.safetensors"
    save_model(path, head, model_header(SMALL, FAMILY, "learned_imitation", {}), torch.float64)
    loaded = load_model(path, head=True)
    assert (loaded.name, loaded.config) == ("learned_imitation", SMALL)
    assert all(
        torch.equal(a.float(), b)
        for a, b in zip(head.state_dict().values(), loaded.model.state_dict().values(), strict=True)
    )
    with pytest.raises(UserInputError, match=r"holds an order head.*--orders learned:"):
        load_model(path)
    with pytest.raises(UserInputError, match="holds a network, 'relational'"):
        load_model(pretrained("sudoku")["relational"], head=True)


def test_heads_that_ship_are_not_among_the_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pretrained").mkdir()
    for name in (
        "sudoku_relational",
        "sudoku_learned_policy",
        "zebra_learned_policy",
        "zebra_learned_solver",
    ):
        (tmp_path / "pretrained" / f"{name}.safetensors").touch()
    monkeypatch.setattr("planorder.models.checkpoint.resources.files", lambda package: tmp_path)
    assert list(pretrained("sudoku")) == ["relational"]
    assert [path.stem for path in pretrained_heads("learned_policy")] == [
        "sudoku_learned_policy",
        "zebra_learned_policy",
    ]
    assert len(pretrained_heads()) == 3
