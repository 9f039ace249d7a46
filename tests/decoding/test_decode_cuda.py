from __future__ import annotations

import numpy as np
import pytest
import torch

from planorder.decoding import PRESETS, decode, get_strategy, paper_protocol
from planorder.decoding.random import Uniforms, row_keys
from planorder.decoding.testing import HashModel, equal, small_batch
from puzzles.base import UserInputError

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


def test_random_bits_are_equal_on_both_devices() -> None:
    clues = torch.randint(0, 10, (100, 81), generator=torch.Generator().manual_seed(0))

    def draw(device: str) -> torch.Tensor:
        step = torch.arange(100, device=device)
        return Uniforms(row_keys(clues.to(device), 11), step, 81)("order", 3).cpu()

    assert torch.equal(draw("cpu"), draw("cuda"))


@pytest.mark.parametrize("strategy", PRESETS.values(), ids=PRESETS.keys())
def test_both_devices_decode_alike(strategy) -> None:
    batch, model = small_batch(200), HashModel(4)
    for chosen in (strategy, paper_protocol(strategy)):
        here = decode(model, batch, chosen, seed=2)
        assert equal(here, decode(model, batch, chosen, seed=2, device="cuda", batch_size=64))


def test_a_step_does_not_wait_for_the_device() -> None:
    batch = small_batch(200)
    batch = batch[np.flatnonzero(batch.blank.sum(1) >= 4)]
    table = torch.zeros(8, 4, device="cuda")
    calls = 0

    def model(tokens: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        # Between the first two passes lies a whole step without a look at which rows are done.
        torch.cuda.set_sync_debug_mode("error" if calls == 1 else "default")
        return table.expand(len(tokens), -1, -1)

    try:
        for name in ("top_margin", "routing_top_prob", "threshold"):
            calls = 0
            decode(model, batch, get_strategy(name), device="cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_faults_are_named_on_the_device_too() -> None:
    def model(tokens: torch.Tensor) -> torch.Tensor:
        bad = ((tokens > 0).sum(1) >= 7)[:, None, None]
        return torch.zeros(*tokens.shape, 4, device=tokens.device).masked_fill(bad, torch.nan)

    with pytest.raises(UserInputError, match="logits are not finite at step 7"):
        decode(model, small_batch()[1:2], get_strategy("top_prob"), device="cuda")
