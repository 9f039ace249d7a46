from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from planorder.decoding import Strategy, decode, get_strategy, with_options
from planorder.decoding.testing import HashModel, small_batch
from planorder.tokens import MASK

STEPS = 5


def plain_routing(model, clues: np.ndarray, margin: bool, revise: bool) -> tuple[np.ndarray, int]:
    """The slow twin: one puzzle in STEPS steps, and how often a filled cell took another value."""
    state, open_, n_revised = clues.astype(int).tolist(), np.flatnonzero(clues == 0).tolist(), 0
    for step in range(STEPS):
        p = model(torch.tensor([state]))[0].double().softmax(-1).numpy()
        top = np.sort(p, axis=1)[:, ::-1]
        score = top[:, 0] - top[:, 1] if margin else top[:, 0]
        n_kept = math.floor(len(open_) * (step + 1) / STEPS + 0.5)
        kept = sorted(open_, key=lambda cell: (-score[cell], cell))[:n_kept]
        last = list(state)
        for cell in open_:
            stays = last[cell] if last[cell] != MASK and not revise else int(p[cell].argmax()) + 1
            n_revised += cell in kept and last[cell] not in (MASK, stays)
            state[cell] = stays if cell in kept else MASK
        if MASK not in state:
            break
    return np.array(state), n_revised


def routing(name: str, revise: bool) -> Strategy:
    return replace(with_options(get_strategy(name), steps=STEPS), revise=revise)


@pytest.mark.parametrize("revise", [True, False])
@pytest.mark.parametrize("name", ["routing_top_prob", "routing_top_margin"])
def test_routing_is_its_plain_twin(name: str, revise: bool) -> None:
    model, batch = HashModel(4), small_batch()
    found = decode(model, batch, routing(name, revise))
    n_revised = 0
    for row in range(len(batch)):
        cells, n = plain_routing(model, batch.clues[row], "margin" in name, revise)
        assert found.cells[row].tolist() == cells.tolist()
        n_revised += n
    assert found.reopened.sum() > 0
    assert (n_revised > 0) == revise


def test_the_presets_predict_filled_cells_anew_as_published() -> None:
    revising = {name for name in ("routing_top_prob", "routing_top_margin") if get_strategy(name).revise}
    assert revising == {"routing_top_prob", "routing_top_margin"}
    assert not get_strategy("top_prob").revise


def test_the_account_of_a_revised_cell_is_that_of_its_final_value() -> None:
    """``step`` and ``prob`` belong to the value that stands in the end."""

    def model(tokens: torch.Tensor) -> torch.Tensor:
        # Cell 0 is 1 with p = 0.9 until cell 1 is filled; from then on it is 2 with p = 0.8.
        turned = (tokens[:, 1:2] != MASK).double()[..., None]
        before = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]], dtype=torch.float64)
        after = torch.tensor([[0.2, 0.8], [0.75, 0.25], [0.6, 0.4]], dtype=torch.float64)
        return (before * (1 - turned) + after * turned).log()

    batch = small_batch(n=2, n_cells=3)[1:]
    found = decode(model, batch, replace(get_strategy("routing_top_prob"), revise=True))
    assert found.cells.tolist() == [[2, 1, 1]]
    assert found.step.tolist() == [[2, 1, 2]]
    assert found.prob[0].tolist() == pytest.approx([0.8, 0.7, 0.6], rel=1e-6)
    held = decode(model, batch, replace(get_strategy("routing_top_prob"), revise=False))
    assert held.cells.tolist() == [[1, 1, 1]]
    assert held.step.tolist() == [[0, 1, 2]]
