"""Orders by influence and by legal values against plain loops, with faults that the loops catch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from planorder.decoding import decode, get_strategy
from planorder.decoding.influence import FewestLegal, Influence, Readiness, fewest_legal
from planorder.decoding.orders import TopProb
from planorder.decoding.strategies import with_options
from planorder.decoding.testing import HashModel, small_batch, small_view
from planorder.decoding.view import StepView
from puzzles import get_family
from puzzles.base import ConstraintGraph, EdgeSet, UserInputError

UNITS = ((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 4, 5), (2, 3, 6, 7))


def two_steps() -> list[StepView]:
    """A view, and one of the step after it: two cells of each row more are filled."""
    first, other = small_view(), small_view(small_batch(seed=5), seed=5)
    filled = first.blank & (first.blank.cumsum(1) <= 2)
    blank = first.blank & ~filled
    tokens = torch.where(filled, 1, first.tokens)
    return [
        first,
        replace(first, log_probs=other.log_probs, tokens=tokens, blank=blank, allowed=blank),
    ]


def cosine(p: np.ndarray, q: np.ndarray) -> float:
    return sum(a * b for a, b in zip(p, q, strict=True)) / math.sqrt(sum(p * p) * sum(q * q))


def readiness_twin(views: list[StepView], row: int, momentum: float, threshold: float) -> list[float]:
    """The scores in the last of the views, cell by cell, the influences of all of them remembered."""
    n, remembered = views[0].tokens.shape[1], None
    for view in views:
        p, blank = view.log_probs[row].double().exp().numpy(), view.blank[row].tolist()
        open_ = [[i != j and blank[i] and blank[j] for j in range(n)] for i in range(n)]
        now = [[cosine(p[i], p[j]) if open_[i][j] else 0.0 for j in range(n)] for i in range(n)]
        if remembered is None:
            remembered = now
        else:
            remembered = [
                [momentum * old + (1 - momentum) * new for old, new in zip(a, b, strict=True)]
                for a, b in zip(remembered, now, strict=True)
            ]
    scores = []
    for j in range(n):
        parents = [i for i in range(n) if remembered[i][j] > threshold and p[i].max() > p[j].max()]
        ready = [i for i in parents if not blank[i]]
        scores.append(p[j].max() * (len(ready) / len(parents) if parents else 1.0))
    return scores


def follows(influence: Callable, readiness: Callable, momentum: float = 0.5, threshold: float = 0.3) -> bool:
    views = two_steps()
    for count in (1, 2):
        memory = None
        for view in views[:count]:
            memory = influence(replace(view, memory=memory))
        last = replace(views[count - 1], memory=memory)
        score = readiness(last)
        for row, blank in enumerate(last.blank.tolist()):
            expected = np.array(readiness_twin(views[:count], row, momentum, threshold))[blank]
            if not np.allclose(score[row].numpy()[blank], expected, rtol=1e-9, atol=1e-11):
                return False
    return True


@pytest.mark.parametrize(
    ("momentum", "threshold"), [(0.5, 0.3), (0.0, 0.3), (0.9, 0.1), (0.5, 0.45), (0.5, 0.0)]
)
def test_readiness_is_its_twin(momentum: float, threshold: float) -> None:
    assert follows(Influence(momentum), Readiness(threshold), momentum, threshold)


def test_cells_that_are_as_sure_are_no_parents_of_each_other() -> None:
    view = small_view()
    alike = replace(view, log_probs=torch.zeros_like(view.log_probs).log_softmax(-1))
    alike = replace(alike, memory=Influence()(alike))
    assert torch.equal(Readiness(0.0)(alike), TopProb()(alike))


def fills_count_at_once(view: StepView) -> torch.Tensor:
    """Parents that are blank count as filled."""
    return Readiness(0.3)(replace(view, blank=torch.zeros_like(view.blank)))


def children(view: StepView) -> torch.Tensor:
    """Smaller p1 makes a parent."""
    p1 = TopProb()(view)
    parent = (view.memory > 0.3) & (p1[:, :, None] < p1[:, None, :])
    share = (parent & ~view.blank[..., None]).sum(1) / parent.sum(1).clamp(min=1)
    return torch.where(parent.sum(1) > 0, share, 1.0) * p1


def of_all_cells(view: StepView) -> torch.Tensor:
    """Filled cells and clues have influence too."""
    return Influence(0.5)(replace(view, blank=torch.ones_like(view.blank)))


FAULTS = {
    "nothing remembered": (Influence(0.0), Readiness(0.3)),
    "the new counts more": (Influence(0.25), Readiness(0.3)),
    "another threshold": (Influence(0.5), Readiness(0.6)),
    "blank parents count": (Influence(0.5), fills_count_at_once),
    "less sure parents": (Influence(0.5), children),
    "filled cells have influence": (of_all_cells, Readiness(0.3)),
}


@pytest.mark.parametrize(("influence", "readiness"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_in_readiness_is_caught(influence: Callable, readiness: Callable) -> None:
    assert not follows(influence, readiness)


def test_one_cell_a_step_is_top_prob_and_several_are_not() -> None:
    batch, model = small_batch(40, n_cells=16, n_values=4), HashModel(4, sharpness=2.0)
    dynamic = get_strategy("adaptive_dynamic")
    for k, threshold, same in ((1, 0.3, True), (4, 1.0, True), (4, 0.3, False)):
        ours = with_options(replace(dynamic, order=Readiness(threshold)), k=k)
        plain = with_options(get_strategy("top_prob"), k=k)
        found = [decode(model, batch, strategy).step for strategy in (ours, plain)]
        assert np.array_equal(*found) == same


def legal_twin(view: StepView, row: int, epsilon: float) -> list[float]:
    tokens, p = view.tokens[row].tolist(), view.log_probs[row].double().exp().numpy()
    scores = []
    for cell in range(8):
        seen = {tokens[other] for unit in UNITS if cell in unit for other in unit} - {0}
        scores.append(math.floor(p[cell].max() / epsilon) * 5 - (4 - len(seen)))
    return scores


def counts_legal_values(order: Callable, epsilon: float) -> bool:
    view = small_view()
    found = order(view)
    return all(
        np.array_equal(found[row][blank], torch.tensor(legal_twin(view, row, epsilon))[blank])
        for row, blank in enumerate(view.blank)
    )


def test_edges_that_are_padded_name_their_cells_alone() -> None:
    edges = EdgeSet("unit", np.array([[0, 1, 2, -1], [4, 5, -1, -1]]))
    with_roles = EdgeSet("left_of", np.array([[6, 7]]), ("left", "right"))
    assert fewest_legal(ConstraintGraph(8, 4, (edges, with_roles), True)).units == ((0, 1, 2), (4, 5))


@pytest.mark.parametrize("epsilon", [0.05, 0.3, 2.0])
def test_fewest_legal_is_its_twin(epsilon: float) -> None:
    assert counts_legal_values(FewestLegal(UNITS, epsilon), epsilon)


@pytest.mark.parametrize(
    "wrong",
    [
        FewestLegal(UNITS[:2]),
        FewestLegal(UNITS, 0.1),
        lambda view: FewestLegal(UNITS)(view) + 2 * (TopProb()(view) < 0.5),
        lambda view: 2 * FewestLegal((), 0.05)(view) - FewestLegal(UNITS, 0.05)(view),
    ],
    ids=["rows alone", "larger steps", "other steps", "most legal first"],
)
def test_a_fault_in_legal_values_is_caught(wrong: Callable) -> None:
    assert not counts_legal_values(wrong, 0.05)


def test_a_naked_single_comes_first_among_equals() -> None:
    """On a real Sudoku, where the model is equally sure of all: the blanks of fewest candidates first."""
    family = get_family("sudoku-2x2")
    batch = family.generate("val", "logic", 8)
    order = fewest_legal(family.graph())
    uniform = lambda tokens: torch.zeros(*tokens.shape, 4)  # noqa: E731
    found = decode(uniform, batch, replace(get_strategy("top_prob"), order=order))
    for row in range(len(batch)):
        grid = batch.clues[row].reshape(4, 4)
        legal = np.full(16, 9)
        for cell in np.flatnonzero(batch.blank[row]):
            r, c = divmod(int(cell), 4)
            box = grid[r // 2 * 2 : r // 2 * 2 + 2, c // 2 * 2 : c // 2 * 2 + 2]
            legal[cell] = 4 - len({*grid[r], *grid[:, c], *box.ravel()} - {0})
        assert legal[found.step[row] == 0] == legal.min()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Influence(1.0), "momentum=1.0"),
        (lambda: Readiness(-0.1), "threshold=-0.1"),
        (lambda: Readiness()(small_view()), "Influence"),
        (lambda: FewestLegal(UNITS, 0.0), "epsilon=0.0"),
        (lambda: FewestLegal(((0, 8),))(small_view()), "cells from 0 to 7"),
        (lambda: fewest_legal(get_family("naesat").graph()), "Sudoku or Zebra"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        make()
