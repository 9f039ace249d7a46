"""Beam search over orders against plain paths of a model that says anything."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from planorder.decoding import beam, decode, get_strategy
from planorder.decoding.beam import decode_beam, move_keys, without_twins
from planorder.decoding.orders import TopMargin, TopProb
from planorder.decoding.testing import HashModel, equal, small_batch
from puzzles.base import PuzzleBatch, UserInputError

MODEL = HashModel(4)


def log_p_of(state: list[int]) -> np.ndarray:
    return MODEL(torch.tensor([state])).double().log_softmax(-1)[0].numpy()


def best_path(clues: list[int], values: int) -> tuple[float, list[int]]:
    """The likeliest path over all orders and, at each cell, over the likeliest so many values."""
    blanks, found = [cell for cell, value in enumerate(clues) if value == 0], (-np.inf, list(clues))
    for order, ranks in product(permutations(blanks), product(range(values), repeat=len(blanks))):
        state, total = list(clues), 0.0
        for cell, rank in zip(order, ranks, strict=True):
            log_p = log_p_of(state)[cell]
            value = int(np.argsort(-log_p, kind="stable")[rank])
            total += log_p[value]
            state[cell] = value + 1
        found = max(found, (total, state), key=lambda path: path[0])
    return found


def few_blanks(n: int, n_blanks: int) -> PuzzleBatch:
    batch = small_batch(60)
    return batch[np.flatnonzero(batch.blank.sum(1) == n_blanks)[:n]]


@pytest.mark.parametrize(("name", "order"), [("top_margin", TopMargin()), ("top_prob", TopProb())])
def test_one_state_and_one_branch_is_the_order_itself(name: str, order: TopMargin | TopProb) -> None:
    batch = small_batch(30)
    found = decode_beam(MODEL, batch, order, width=1, branch=1)
    assert equal(found, decode(MODEL, batch, get_strategy(name)))


@pytest.mark.parametrize(("n_blanks", "values"), [(4, 1), (3, 2)])
def test_a_beam_wide_enough_finds_the_likeliest_path(n_blanks: int, values: int) -> None:
    batch = few_blanks(3, n_blanks)
    assert len(batch) == 3
    found = decode_beam(MODEL, batch, width=200, branch=8, values=values)
    narrow = decode_beam(MODEL, batch, width=1, branch=1)
    for row in range(len(batch)):
        total, cells = best_path(batch.clues[row].tolist(), values)
        blank = batch.blank[row]
        assert found.cells[row].tolist() == cells
        assert float(np.log(found.prob[row][blank]).sum()) == pytest.approx(total, abs=1e-5)
        assert total >= float(np.log(narrow.prob[row][blank]).sum()) - 1e-5
        assert sorted(found.step[row][blank].tolist()) == list(range(n_blanks))
    assert (found.cells != narrow.cells).any()


def test_passes_are_the_distinct_states_seen() -> None:
    batch = few_blanks(1, 4)
    states: set[tuple[int, ...]] = {tuple(batch.clues[0].tolist())}
    seen = 0
    while any(0 in state for state in states):
        seen += len(states)
        states = {
            (*state[:cell], int(log_p_of(list(state))[cell].argmax()) + 1, *state[cell + 1 :])
            for state in states
            for cell, value in enumerate(state)
            if value == 0
        }
    assert decode_beam(MODEL, batch, width=200, branch=8).passes.tolist() == [seen]


def test_rows_do_not_depend_on_the_batch_and_clues_stay() -> None:
    batch = small_batch(30)
    found = decode_beam(MODEL, batch, width=3, branch=2, values=2)
    assert equal(found, decode_beam(MODEL, batch, width=3, branch=2, values=2, batch_size=4))
    turned = decode_beam(MODEL, batch[np.arange(len(batch))[::-1]], width=3, branch=2, values=2)
    assert (turned.cells[::-1] == found.cells).all()
    assert (found.cells[~batch.blank] == batch.clues[~batch.blank]).all()
    assert (found.cells > 0).all()


def test_a_twin_is_dropped_and_the_better_of_two_stays() -> None:
    total = torch.tensor([[1.0, 3.0, 2.0, 3.0, -torch.inf]], dtype=torch.float64)
    keys = torch.tensor([[5, 7, 5, 7, 9]])
    assert without_twins(total, keys).tolist() == [[-torch.inf, 3.0, 2.0, -torch.inf, -torch.inf]]
    pairs = move_keys(torch.arange(300)[:, None], torch.arange(1, 40)[None])
    assert len(set(pairs.flatten().tolist())) == pairs.numel()


def test_keeping_twins_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted fault: a state is kept, and seen by the model, once for each path to it."""
    monkeypatch.setattr(beam, "without_twins", lambda total, keys: total)
    with pytest.raises(AssertionError):
        test_passes_are_the_distinct_states_seen()


@pytest.mark.parametrize("option", ["width", "branch", "values", "batch_size"])
def test_a_bad_option_is_refused(option: str) -> None:
    with pytest.raises(UserInputError, match=f"{option}=0: expected at least 1"):
        decode_beam(MODEL, small_batch(3), **{option: 0})


def test_logits_that_are_not_finite_are_refused() -> None:
    def broken(tokens: torch.Tensor) -> torch.Tensor:
        return torch.full((*tokens.shape, 4), torch.nan)

    with pytest.raises(UserInputError, match="not finite at step 0"):
        decode_beam(broken, small_batch(3))
