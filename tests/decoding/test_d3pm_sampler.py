"""The sampler of D3PM against the exact law of its chain, and against ancestral sampling where both agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import exact_moves as moves
import numpy as np
import pytest
import torch
from exact_joint import State, law_of, p_value, random_joint

from planorder.decoding import decode, get_strategy
from planorder.decoding import likelihood as exact
from planorder.decoding.d3pm import decode_d3pm, process_of
from planorder.decoding.testing import HashModel, TableModel, equal, small_batch
from planorder.decoding.view import Decoded
from planorder.jobs import Decoding, own_way, run_job
from planorder.models import RelationalConfig, build_model
from planorder.models.checkpoint import load_model, model_header, save_model
from planorder.models.forward_process import USUAL, ForwardProcess, Tables, posterior, reverse_joint, tables
from puzzles import get_family
from puzzles.base import PuzzleBatch, UserInputError

KINDS = list(USUAL)
N, SOUND, FAULTY = 10_000, 1e-3, 1e-6
CHAOS = HashModel(3, seed=5, sharpness=3.0)
CLUE = 2
"""The value of the third cell, a clue."""


def noise(kind: str, n: int = 3, steps: int = 10) -> ForwardProcess:
    return ForwardProcess(kind, n, steps, neighbours=1)


def copies(puzzles: Callable, clues: tuple[int, ...], n: int = N) -> PuzzleBatch:
    """The same puzzle many times, each with draws of its own."""
    return replace(puzzles(np.tile(clues, (n, 1))), unique=False)


Kernel = Callable[[Tables, int, torch.Tensor, torch.Tensor], torch.Tensor]
"""``kernel(tables, t, x_t [1, cells], p_0 [1, cells, values])``: the law of x_{t-1} by cell."""


def eq_4(found: Tables, t: int, x_t: torch.Tensor, p_0: torch.Tensor) -> torch.Tensor:
    """By plain sums, x_0 by x_0 and state by state."""
    law = torch.zeros(*x_t.shape, found.step.shape[1], dtype=torch.float64)
    for cell, k, value in product(range(x_t.shape[1]), range(law.shape[-1]), range(1, law.shape[-1])):
        came = found.step[t - 1, k, x_t[0, cell]] * found.upto[t - 1, value, k]
        law[0, cell, k] += came * p_0[0, cell, value - 1]
    return law


def law_of_chain(process: ForwardProcess, steps: int, kernel: Kernel = eq_4) -> dict[State, float]:
    """The law of what two blanks beside a clue end in, by all states of the chain."""
    found = tables(process, steps)
    now = {s: float(np.prod([found.stationary[v] for v in s])) for s in product(range(4), repeat=2)}
    for t in range(steps, 0, -1):
        after = dict.fromkeys(now, 0.0)
        for state, mass in now.items():
            if mass < 1e-14:
                continue
            x_t, clue = torch.tensor([[*state, CLUE]]), torch.tensor([[False, False, True]])
            p_0 = CHAOS(process.shown(x_t, clue)).double().softmax(-1)
            law = kernel(found, t, x_t, p_0)[0, :2].numpy()
            law = law / law.sum(-1, keepdims=True)
            for end in after:
                after[end] += mass * float(law[0, end[0]] * law[1, end[1]])
        now = after
    return {(*end, CLUE): mass for end, mass in now.items()}


@pytest.mark.parametrize(("kind", "steps"), [*((kind, 3) for kind in KINDS), ("gaussian", 1), ("uniform", 6)])
def test_draws_follow_the_law_of_the_chain(kind: str, steps: int, puzzles) -> None:
    process = noise(kind)
    found = decode_d3pm(CHAOS, copies(puzzles, (0, 0, CLUE)), process, steps=steps, batch_size=N)
    assert p_value(map(tuple, found.cells.tolist()), law_of_chain(process, steps)) > SOUND


def mixed_posteriors(found: Tables, t: int, x_t: torch.Tensor, p_0: torch.Tensor) -> torch.Tensor:
    """The mean of q(x_{t-1} | x_t, x_0) under p_0, which is not eq. 4."""
    at = torch.tensor([t])
    each = [posterior(found, at, x_t, torch.full_like(x_t, value)) for value in (1, 2, 3)]
    return sum(law * p_0[..., place, None] for place, law in enumerate(each)) + 1e-12


OTHER_LAWS = {
    "mixed posteriors": law_of_chain(noise("uniform"), 3, mixed_posteriors),
    "p_0 in every step": law_of_chain(
        noise("uniform"), 3, lambda f, t, x, p: torch.nn.functional.pad(p, (1, 0))
    ),
    "another number of steps": law_of_chain(noise("uniform"), 1),
    "another noise": law_of_chain(noise("gaussian"), 3),
}


@pytest.mark.parametrize("law", OTHER_LAWS.values(), ids=OTHER_LAWS.keys())
def test_another_law_is_told_from_it(law: dict[State, float], puzzles) -> None:
    found = decode_d3pm(CHAOS, copies(puzzles, (0, 0, CLUE)), noise("uniform"), steps=3, batch_size=N)
    assert p_value(map(tuple, found.cells.tolist()), law) < FAULTY


@pytest.mark.parametrize("steps", [1, 3])
def test_absorbing_noise_is_ancestral_sampling(steps: int, puzzles) -> None:
    """Ends and passes of four blanks against all paths of `vanilla`, and ends against its likelihood."""
    found = decode_d3pm(CHAOS, copies(puzzles, (0,) * 4), noise("absorbing", 3, steps), batch_size=N)
    law = law_of(CHAOS, 4, moves.ancestral(steps), steps)
    ends = list(map(tuple, found.cells.tolist()))
    assert p_value(zip(ends, found.passes.tolist(), strict=True), law) > SOUND
    assert p_value(ends, likelihood_of_ends(steps)) > SOUND
    assert p_value(ends, likelihood_of_ends(steps + 2)) < FAULTY


def likelihood_of_ends(steps: int) -> dict[State, float]:
    values = exact.completions(torch.zeros(4, dtype=torch.int64), 3)
    likely = exact.ancestral(CHAOS, values[0] * 0, values, steps=steps).exp().tolist()
    return dict(zip(map(tuple, values.tolist()), likely, strict=True))


@pytest.mark.parametrize("steps", [2, 7])
def test_absorbing_noise_opens_cells_when_vanilla_does(steps: int, puzzles) -> None:
    flat, batch = TableModel(torch.zeros(5, 3)), copies(puzzles, (0,) * 5, 4000)
    ours = decode_d3pm(flat, batch, noise("absorbing", 3, steps), seed=3)
    theirs = decode(flat, batch, get_strategy("vanilla"), steps=steps)
    law = np.bincount(theirs.step.ravel(), minlength=steps) / theirs.step.size
    assert law == pytest.approx(np.full(steps, 1 / steps), abs=0.02)
    assert p_value(ours.step[:, 0].tolist(), dict.fromkeys(range(steps), 1 / steps)) > SOUND
    assert (ours.passes == [len(set(row)) for row in ours.step.tolist()]).all()


@pytest.mark.parametrize("kind", ["uniform", "nearest"])
def test_the_law_given_the_other_cells_leads_to_the_joint_law(kind: str) -> None:
    """With the exact p_0 at every t cells still move without each other: an error that falls like 1 / T."""
    joint = torch.from_numpy(random_joint(2, 2, seed=1).table)
    gaps = []
    for steps in (20, 200):
        found = tables(ForwardProcess(kind, 2, steps, neighbours=1))
        now = found.stationary[1:].outer(found.stationary[1:])
        for t in range(steps, 0, -1):
            to, after = found.upto[t, 1:, 1:], torch.zeros(2, 2, dtype=torch.float64)
            for i, j in product(range(2), repeat=2):
                p_0 = torch.stack([joint @ to[:, j], joint.T @ to[:, i]])
                p_0 = (p_0 / p_0.sum(1, keepdim=True))[None]
                law = reverse_joint(found, torch.tensor([t]), torch.tensor([[i + 1, j + 1]]), p_0)[0, :, 1:]
                after += now[i, j] * (law[0] / law[0].sum()).outer(law[1] / law[1].sum())
            now = after
        gaps.append(float((now - joint).abs().sum()))
    assert gaps[1] < 0.03
    assert gaps[1] < gaps[0] / 5


def other_rows(found: Decoded, chosen: np.ndarray) -> Decoded:
    return Decoded(
        *(getattr(found, name)[chosen] for name in ("cells", "step", "prob", "reopened", "passes"))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_decode_keeps(kind: str) -> None:
    """Clues stay, rows depend on nothing but their puzzle, and the account of cells is right."""
    batch, process = small_batch(20), noise(kind, 4, 10)
    model = HashModel(4)
    found = decode_d3pm(model, batch, process)
    assert (found.cells[~batch.blank] == batch.clues[~batch.blank]).all()
    assert ((found.cells >= 1) & (found.cells <= 4)).all()
    assert found.cells.dtype == batch.clues.dtype
    assert (found.step[~batch.blank] == -1).all()
    assert ((found.step[batch.blank] >= 0) & (found.step[batch.blank] < 10)).all()
    assert (found.prob[~batch.blank] == 1).all()
    assert ((found.prob > 0) & (found.prob <= 1)).all()
    assert (found.reopened == 0).all()
    assert found.passes[0] == 0
    assert ((found.passes[1:] >= 1) & (found.passes[1:] <= 10)).all()
    order = np.random.default_rng(0).permutation(20)
    assert equal(decode_d3pm(model, batch[order], process, batch_size=3), other_rows(found, order))
    assert not equal(decode_d3pm(model, batch, process, seed=1), found)
    done: list[int] = []
    decode_d3pm(model, batch, process, batch_size=7, progress=done.append)
    assert sum(done) == 20


def test_the_network_reads_noise_as_other_tokens_than_clues(puzzles) -> None:
    seen: list[torch.Tensor] = []

    def spy(tokens: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        seen.append(tokens)
        assert edges.shape == (len(tokens), 1, 2)
        return CHAOS(tokens)

    batch = replace(
        puzzles(np.tile([0, 0, CLUE], (50, 1))), edges=np.zeros((50, 1, 2), np.int16), unique=False
    )
    for kind in ("uniform", "absorbing"):
        seen.clear()
        decode_d3pm(spy, batch, noise(kind))
        tokens = torch.cat(seen)
        assert bool((tokens[:, 2] == CLUE).all())
        blanks = tokens[:, :2]
        assert bool(((blanks >= 4) & (blanks <= 6)).all() if kind == "uniform" else (blanks <= 3).all())


def test_mistakes_are_told() -> None:
    batch, process = small_batch(), noise("uniform", 4)
    for options, said in (
        ({"steps": 0}, "steps=0: expected 1 to 10"),
        ({"steps": 11}, "steps=11"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"precision": "fp8"}, "precision='fp8'"),
    ):
        with pytest.raises(UserInputError, match=said):
            decode_d3pm(HashModel(4), batch, process, **options)
    broken = TableModel(torch.full((8, 4), torch.nan))
    with pytest.raises(UserInputError, match="not finite"):
        decode_d3pm(broken, batch, process)


def weights(path: Path, process: ForwardProcess) -> Path:
    """An untrained network that says it was trained with this noise."""
    family = get_family("sudoku-2x2")
    config = RelationalConfig(4, 4, 1, noisy=not process.absorbs)
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, family)
    facts = {"objective": {"process": asdict(process), "cross_entropy": 0.001}}
    save_model(path, model, model_header(config, family, "net", facts))
    return path


def test_weights_say_how_to_decode_them(tmp_path: Path) -> None:
    family = get_family("sudoku-2x2")
    batch = family.generate("test", "logic", 5)
    for kind in KINDS:
        process = ForwardProcess(kind, 4, 12)
        loaded = load_model(weights(tmp_path / "w.safetensors", process))
        if kind == "absorbing":
            assert own_way(loaded) is None
            assert process_of(loaded.info) is None
            continue
        assert own_way(loaded) == "d3pm"
        assert process_of(json.loads(json.dumps(loaded.info))) == process
        model = loaded.model.train()
        options = (batch, Decoding(0, "cpu", "fp32", 8), lambda n: None)
        outcome = run_job(("logic", loaded, None), *options)
        assert outcome.strategy == "d3pm"
        assert model.training, "a decode gives the mode back"
        assert (outcome.cells == decode_d3pm(model, batch, process).cells).all()
        with pytest.raises(UserInputError, match="taught noisy values"):
            run_job(("logic", loaded, get_strategy("top_prob")), *options)
        with pytest.raises(UserInputError, match="for absorbing noise"):
            decode_d3pm(model, batch, ForwardProcess("absorbing", 4))


def test_a_network_of_other_objectives_has_no_noise() -> None:
    assert process_of({}) is None
    assert process_of({"objective": {"revealed": 0.5}}) is None
