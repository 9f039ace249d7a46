from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ceilings import flops_of
from conftest import Baseline, Floor

from planorder.models import build_model
from planorder.training.data import TrainingData
from planorder.training.loop import Training
from planorder.training.presets import recipe
from puzzles import get_family
from puzzles.base import LOGIC, PuzzleBatch

SUDOKU = get_family("sudoku")


@pytest.fixture(scope="module")
def puzzles() -> PuzzleBatch:
    return SUDOKU.generate("train", LOGIC, 256)


class PlainStep:
    """A training step as a tutorial writes it: float32, the same batch, no average, clipping or schedule."""

    def __init__(self, chosen, puzzles: PuzzleBatch) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = build_model(chosen.model, SUDOKU)
        self.optimiser = torch.optim.AdamW(self.model.parameters())
        rows = puzzles[: chosen.train.batch_size]
        self.batch = [
            torch.from_numpy(part.astype(np.int64)) for part in (rows.clues, rows.solution, rows.rank)
        ]
        self.objective = chosen.objective

    def __call__(self) -> float:
        loss, _ = self.objective(self.model, *self.batch, torch.Generator().manual_seed(0))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())


@pytest.mark.parametrize("preset", ["tiny", "cpu"])
@pytest.mark.parametrize("name", ["relational", "shallow", "transformer", "ar-solver"])
def bench_training_step(race, puzzles: PuzzleBatch, name: str, preset: str) -> None:
    chosen = recipe(preset, name, SUDOKU)
    size = chosen.train.batch_size
    data = TrainingData(SUDOKU, puzzles[:size], size, 0, augment=False)
    plain = PlainStep(chosen, puzzles)
    state = Training(chosen.model, replace(chosen.train, precision="fp32"), data, "cpu")
    # Before its first step the network is the seed's, so the loss is what the objective gives by hand.
    rows = data.batch(0)
    batch = [torch.from_numpy(part.astype(np.int64)) for part in (rows.clues, rows.solution, rows.rank)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected, _ = chosen.objective(build_model(chosen.model, SUDOKU), *batch, data.generator(0))
    found = state.step(chosen.objective)
    torch.testing.assert_close(found["loss"], expected.detach(), rtol=1e-4, atol=1e-5)
    flops = flops_of(lambda: plain()) / size
    state = Training(chosen.model, chosen.train, replace(data, augment=True), "cpu")
    baseline = Baseline("plain float32 step", plain, size)
    floor = Floor(flops=flops, dtype=state.dtype or torch.float32)
    race(lambda: state.step(chosen.objective), size, "puzzle", [baseline], floor)
