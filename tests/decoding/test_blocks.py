"""Blocks and graphs narrow what may be filled; within it everything is as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from planorder.decoding import StepView, Strategy, decode, get_strategy
from planorder.decoding.adaptive import EntropyBound
from planorder.decoding.blocks import Blocks, GivenDag
from planorder.decoding.budgets import Fixed, Schedule, Threshold
from planorder.decoding.orders import TopProb, neg_entropy
from planorder.decoding.testing import HashModel, check_strategy, equal, small_batch, small_view
from puzzles.base import UserInputError

PARENTS = ((2,), (), (1, 5), (0, 2), (), (), (5,), (6, 3))


def blocks_twin(blank: np.ndarray, size: int) -> list[bool]:
    allowed = [False] * len(blank)
    for start in range(0, len(blank), size):
        block = range(start, min(start + size, len(blank)))
        if any(blank[cell] for cell in block):
            for cell in block:
                allowed[cell] = bool(blank[cell])
            break
    return allowed


def dag_twin(blank: np.ndarray, parents: tuple[tuple[int, ...], ...]) -> list[bool]:
    return [bool(blank[c]) and not any(blank[parent] for parent in parents[c]) for c in range(len(blank))]


def follows(see: Callable[[StepView], StepView], twin: Callable[[np.ndarray], list[bool]]) -> bool:
    """Whether the rule allows what its twin does, in every row of some views."""
    views = [small_view(), small_view(seed=1), small_view(small_batch(20, seed=2))]
    return all(see(view).allowed.tolist() == [twin(blank) for blank in view.blank.numpy()] for view in views)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 100])
def test_only_the_first_block_with_blanks_is_allowed(size: int) -> None:
    assert follows(Blocks(size), lambda blank: blocks_twin(blank, size))


def test_only_cells_whose_parents_are_filled_are_allowed() -> None:
    assert follows(GivenDag(PARENTS), lambda blank: dag_twin(blank, PARENTS))


def first_block_of_the_batch(view: StepView) -> StepView:
    block = torch.arange(view.tokens.shape[1]) // 3
    first = block.masked_fill(~view.allowed.any(0), 8).min()
    return replace(view, allowed=view.allowed & (block == first))


def one_block_too_many(view: StepView) -> StepView:
    return replace(view, allowed=view.allowed & (torch.arange(8) < 6))


def any_parent_will_do(view: StepView) -> StepView:
    filled = ~view.blank
    ready = [filled[:, list(own)].any(1) if own else torch.ones_like(filled[:, 0]) for own in PARENTS]
    return replace(view, allowed=view.allowed & torch.stack(ready, 1))


def children_first(view: StepView) -> StepView:
    children = tuple(tuple(c for c in range(8) if cell in PARENTS[c]) for cell in range(8))
    return GivenDag(children)(view)


FAULTS = {
    "first block of the batch": (first_block_of_the_batch, lambda blank: blocks_twin(blank, 3)),
    "two blocks": (one_block_too_many, lambda blank: blocks_twin(blank, 3)),
    "any parent": (any_parent_will_do, lambda blank: dag_twin(blank, PARENTS)),
    "children first": (children_first, lambda blank: dag_twin(blank, PARENTS)),
}


@pytest.mark.parametrize(("see", "twin"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_rule_is_caught(see: Callable, twin: Callable) -> None:
    assert not follows(see, twin)


def test_a_block_of_the_batch_is_caught_by_the_promises() -> None:
    with pytest.raises(AssertionError, match=r"other rows|batch_size=5 gave another result"):
        check_strategy(Strategy("s", TopProb(), see=first_block_of_the_batch))


BUDGETS = [Fixed(1), Fixed(3), Threshold(0.5), EntropyBound(1.0)]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_blocks_at_their_limits_are_plain_orders(budget) -> None:
    model, batch = HashModel(4), small_batch()
    plain = Strategy("plain", TopProb(), budget=budget)
    found = decode(model, batch, replace(plain, see=Blocks(8)))
    assert equal(found, decode(model, batch, plain))
    single = decode(model, batch, replace(plain, see=Blocks(1)))
    assert equal(single, decode(model, batch, get_strategy("left_to_right")))


@pytest.mark.parametrize("budget", [*BUDGETS, Schedule("linear")], ids=str)
def test_blocks_are_filled_one_after_the_other(budget) -> None:
    model, batch = HashModel(4), small_batch(30)
    steps = None if not isinstance(budget, Schedule) else 6
    found = decode(model, batch, Strategy("s", neg_entropy, budget=budget, see=Blocks(3), steps=steps))
    for row in range(len(batch)):
        for border in (3, 6):
            before, after = found.step[row, :border], found.step[row, border:]
            last = steps is not None and after.max() == steps - 1  # the last step fills what is left
            assert last or before.max() < after[after >= 0].min(initial=99)


def test_graphs_at_their_limits_are_plain_orders() -> None:
    model, batch = HashModel(4), small_batch()
    free, chain = GivenDag(((),) * 8), GivenDag(tuple(tuple(range(cell)) for cell in range(8)))
    found = decode(model, batch, Strategy("s", TopProb(), see=free))
    assert equal(found, decode(model, batch, get_strategy("top_prob")))
    found = decode(model, batch, Strategy("s", TopProb(), budget=Fixed(4), see=chain))
    assert equal(found, decode(model, batch, get_strategy("left_to_right")))


def test_no_cell_is_filled_before_its_parents() -> None:
    strategy = Strategy("s", TopProb(), budget=Fixed(2), see=GivenDag(PARENTS))
    check_strategy(strategy)
    step = decode(HashModel(4), small_batch(30), strategy).step
    for cell, own in enumerate(PARENTS):
        for parent in own:
            assert ((step[:, parent] < step[:, cell]) | (step[:, cell] < 0)).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Blocks(0), "size=0"),
        (lambda: GivenDag(((1,), (0,))), "acyclic"),
        (lambda: GivenDag(((), (2,))), "none of the cells"),
        (lambda: GivenDag(((),) * 5)(small_view()), "5 cells for puzzles of 8"),
    ],
)
def test_mistakes_are_named(make: Callable, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        make()
