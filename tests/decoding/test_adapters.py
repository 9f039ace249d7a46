"""Masked language models of others: ids in, ids out, nothing forbidden emitted, shifted logits put right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from planorder.decoding import PRESETS, get_strategy, with_options
from planorder.decoding.adapters import MaskedLanguageModel, infill
from puzzles.base import UserInputError

MASK_ID, PAD_ID, VOCABULARY = 3, 0, 40
RANKED = ("solver_order", "oracle_margin")
"""Orders that need more than the sequence: the solver's ranks, the solution."""


@pytest.fixture(scope="module")
def bert() -> torch.nn.Module:
    """A small BERT with random weights."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.BertForMaskedLM(config).eval()


def sequences(n: int = 5, length: int = 12) -> np.ndarray:
    """Token ids with about half of them masked; the last row ends in padding."""
    rng = np.random.default_rng(0)
    ids = rng.integers(4, VOCABULARY, (n, length))
    ids[rng.random(ids.shape) < 0.5] = MASK_ID
    ids[:, 1] = MASK_ID
    ids[-1, length // 2 :] = PAD_ID
    return ids


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in RANKED])
def test_every_preset_fills_the_blanks_of_a_bert(bert: torch.nn.Module, name: str) -> None:
    ids = sequences()
    found = infill(bert, ids, get_strategy(name), mask_id=MASK_ID, forbidden=(PAD_ID, 1, 2), pad_id=PAD_ID)
    given = ids != MASK_ID
    assert (found.cells[given] == ids[given]).all()
    assert (found.cells[~given] > MASK_ID).all()
    assert (found.step[given] == -1).all()
    assert (found.step[~given] >= 0).all()


def test_one_cell_a_step_equals_a_plain_loop_over_the_model(bert: torch.nn.Module) -> None:
    ids = sequences()[:2]
    found = infill(bert, ids, get_strategy("top_prob"), mask_id=MASK_ID)
    for row, expected in zip(found.cells, ids, strict=True):
        state = torch.tensor(expected)[None]
        while bool((state == MASK_ID).any()):
            with torch.no_grad():
                p = bert(state).logits[0].index_fill(-1, torch.tensor(MASK_ID), -torch.inf).softmax(-1)
            best = p.amax(-1).masked_fill(state[0] != MASK_ID, -1.0)
            cell = int(best.argmax())
            state[0, cell] = p[cell].argmax()
        assert (row == state[0].numpy()).all()


def test_the_model_stays_in_its_mode(bert: torch.nn.Module) -> None:
    infill(bert, sequences()[:1], get_strategy("top_prob"), mask_id=MASK_ID)
    assert not any(part.training for part in bert.modules())


def test_padding_does_not_change_a_sequence(bert: torch.nn.Module) -> None:
    ids = sequences()[-1:]
    short = infill(bert, ids[:, :6], get_strategy("top_prob"), mask_id=MASK_ID, pad_id=PAD_ID)
    padded = infill(bert, ids, get_strategy("top_prob"), mask_id=MASK_ID, pad_id=PAD_ID)
    assert (padded.cells[:, :6] == short.cells).all()


def test_shifted_logits_speak_of_the_next_place() -> None:
    table = torch.randn(6, VOCABULARY, generator=torch.Generator().manual_seed(0))
    own = MaskedLanguageModel(lambda ids: table.expand(len(ids), -1, -1), MASK_ID)
    ahead = MaskedLanguageModel(lambda ids: table.roll(-1, 0).expand(len(ids), -1, -1), MASK_ID, shifted=True)
    tokens = torch.zeros(2, 6, dtype=torch.int64)
    assert torch.equal(own(tokens)[:, 1:], ahead(tokens)[:, 1:])
    not_shifted = MaskedLanguageModel(ahead.model, MASK_ID)
    assert not torch.equal(own(tokens)[:, 1:], not_shifted(tokens)[:, 1:])


def test_forbidden_ids_have_no_probability() -> None:
    sure = torch.zeros(4, VOCABULARY)
    sure[:, [MASK_ID, 7]] = 50.0
    adapted = MaskedLanguageModel(lambda ids: sure.expand(len(ids), -1, -1), MASK_ID, forbidden=[7])
    p = adapted(torch.zeros(1, 4, dtype=torch.int64)).softmax(-1)
    assert p[..., [MASK_ID, 7]].max() == 0
    ids = np.full((3, 4), MASK_ID)
    sampled = with_options(get_strategy("random"), pick="sample")
    found = infill(adapted.model, ids, sampled, mask_id=MASK_ID, forbidden=[7])
    assert not np.isin(found.cells, [MASK_ID, 7]).any()


def test_equal_sequences_are_samples_of_their_own() -> None:
    flat = torch.zeros(6, VOCABULARY)
    ids = np.full((20, 6), MASK_ID)
    sampled = with_options(get_strategy("random"), pick="sample")
    found = infill(lambda ids: flat.expand(len(ids), -1, -1), ids, sampled, mask_id=MASK_ID)
    assert len(np.unique(found.cells, axis=0)) == 20


@pytest.mark.parametrize(
    ("ids", "said"),
    [(np.zeros(3, int), r"shape \(3,\)"), (np.zeros((2, 3)), "float64: expected integers")],
)
def test_ids_of_a_wrong_shape_or_type_are_refused(ids: np.ndarray, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        infill(lambda ids: torch.zeros(*ids.shape, VOCABULARY), ids, get_strategy("random"), mask_id=MASK_ID)


def test_logits_without_the_mask_are_refused() -> None:
    ids = np.full((1, 3), MASK_ID)
    with pytest.raises(UserInputError, match="a vocabulary that holds id 3"):
        infill(lambda ids: torch.zeros(*ids.shape, 3), ids, get_strategy("random"), mask_id=MASK_ID)
