"""Learned orders: a head as a strategy, against a slow twin, by name and by file; what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from planorder.catalogue import ARXIV, references
from planorder.decoding import decode, get_strategy, learned
from planorder.decoding.learned import SOURCES, Learned, LowestQuality, scores_of, strategy_of
from planorder.decoding.remask import top_cells
from planorder.decoding.testing import HashModel, check_order, check_strategy, equal, small_batch, small_view
from planorder.decoding.view import StepView
from planorder.models import HEADS, OrderHead, OrderHeadConfig, build_model
from planorder.models.checkpoint import (
    load_model,
    model_header,
    pretrained,
    pretrained_heads,
    save_model,
    weights_digest,
)
from planorder.training.presets import HEAD_OBJECTIVES
from puzzles import get_family
from puzzles.base import ConstraintGraph, EdgeSet, UserInputError

CONFIG = OrderHeadConfig(channels=8, hidden=12, blocks=1)
NOISE = ConstraintGraph(8, 4, (EdgeSet("line", np.array([[0, 1, 2, 3], [4, 5, 6, 7], [1, 3, 5, 7]])),), True)
"""A graph for the made-up puzzles of `decoding.testing`."""


def head_for(graph: ConstraintGraph = NOISE, seed: int | None = 0) -> OrderHead:
    """A head with drawn weights; without a seed an untrained one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        head = OrderHead(CONFIG, graph)
        for parameter in head.parameters() if seed is not None else ():
            torch.nn.init.normal_(parameter, std=0.5)
    return head


def quality_head(seed: int = 0) -> OrderHead:
    """A head of filled cells with drawn weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = OrderHead(replace(CONFIG, quality=True), NOISE)
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return head


def save_head(path: Path, name: str = "learned_imitation", family: str = "sudoku-2x2") -> Path:
    chosen = get_family(family)
    save_model(path, build_model(CONFIG, chosen), model_header(CONFIG, chosen, name, {}))
    return path


def test_a_learned_order_keeps_what_every_strategy_must() -> None:
    for name in SOURCES:
        head = quality_head() if name == "learned_quality" else head_for()
        check_strategy(strategy_of(name, head), reads_filled=name == "learned_quality")


def test_an_untrained_head_decodes_as_top_margin() -> None:
    model, batch = HashModel(4), small_batch(30)
    found = decode(model, batch, strategy_of("mine", head_for(seed=None)))
    assert equal(found, decode(model, batch, get_strategy("top_margin")))
    other = decode(model, batch, strategy_of("mine", head_for(seed=1)))
    assert (other.step != found.step).any()
    assert np.array_equal(other.passes, found.passes)  # a head costs no forward pass


def test_a_decode_against_a_slow_twin() -> None:
    batch, model, head = small_batch(), HashModel(4), head_for().double()
    found = decode(model, batch, strategy_of("mine", head))
    for row in range(len(batch)):
        state = batch.clues[row].astype(int).tolist()
        for step in range(int(batch.blank[row].sum())):
            tokens = torch.tensor([state])
            log_probs = model(tokens).log_softmax(-1)
            with torch.no_grad():
                score = head(log_probs, tokens, torch.from_numpy(batch.clues[[row]] > 0))[0].tolist()
            first = min((c for c in range(8) if state[c] == 0), key=lambda c: (-score[c], c))
            state[first] = int(log_probs[0, first].argmax()) + 1
            assert found.step[row, first] == step
        assert found.cells[row].tolist() == state


def reopens_the_least_trusted(remask: Callable, k: int) -> bool:
    """Whether a rule masks the k filled cells again that a head trusts least, where it should mask any."""
    head, view = quality_head().double(), small_view(small_batch(40, n_cells=8), seed=2)
    with torch.no_grad():
        quality = head(view.log_probs, view.tokens, view.clue).tolist()
    found = remask(view, torch.zeros(view.blank.shape), torch.ones_like(view.step)).tolist()
    reopened = 0
    for row in range(len(view.tokens)):
        filled = [c for c in range(8) if not view.blank[row, c] and not view.clue[row, c]]
        wanted = sorted(filled, key=lambda c: (quality[row][c], c))[:k]
        if not k < len(filled) < int(view.n_blank_start[row]) - k:
            wanted = []
        if sorted(wanted) != [c for c in range(8) if found[row][c]]:
            return False
        reopened += len(wanted)
    return reopened > 0


def test_a_head_of_quality_reopens_what_it_trusts_least() -> None:
    strategy = strategy_of("mine", quality_head())
    assert isinstance(strategy.remask, LowestQuality)
    assert (strategy.steps, strategy.remask.k) == (51, 4)  # arXiv:2510.01384, scripts of its code
    assert strategy.budget == get_strategy("vanilla_fixed_k").budget  # round(n i / T) cells after step i
    for k in (1, 2):
        rule = replace(strategy.remask, k=k)
        assert reopens_the_least_trusted(rule, k)
    with pytest.raises(UserInputError, match="k=0"):
        replace(strategy.remask, k=0)


@pytest.mark.parametrize("fault", ["most trusted", "one more", "another head", "blanks too", "always"])
def test_a_fault_in_what_is_reopened_is_caught(fault: str) -> None:
    rule = strategy_of("mine", quality_head(seed=int(fault == "another head"))).remask
    assert isinstance(rule, LowestQuality)

    def wrong(view: StepView, score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        filled = ~view.blank & ~view.clue
        found = replace(rule, k=2 if fault == "one more" else 1)(view, score, count)
        if fault == "most trusted":
            least = torch.where(filled, scores_of(rule.heads, view), -torch.inf)
            return found.any(1, keepdim=True) & (least == least.amax(1, keepdim=True)) & filled
        if fault == "blanks too":
            return found | view.blank
        return top_cells(-scores_of(rule.heads, view), filled, count) if fault == "always" else found

    assert not reopens_the_least_trusted(wrong, 1)


def test_what_is_reopened_is_filled_again_in_as_many_steps() -> None:
    batch, model = small_batch(30, n_cells=8), HashModel(4)
    strategy = replace(
        strategy_of("mine", quality_head()),
        steps=12,
        remask=LowestQuality(strategy_of("mine", quality_head()).remask.heads, k=1),
    )
    found = decode(model, batch, strategy)
    assert found.reopened.any()
    assert (found.cells > 0).all()
    assert np.array_equal(found.cells[~batch.blank], batch.clues[~batch.blank])
    assert (found.passes <= 12).all()
    assert get_strategy("top_margin").order == strategy.order


@pytest.mark.parametrize("n", [1, 3, 4, 10])
def test_chunks_are_rows_alone(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head's scores in chunks of 4, the last of them filled up, against those of each row in float64."""
    monkeypatch.setattr(learned, "CHUNK", 4)
    view, head = small_view(small_batch(10)), head_for().eval()
    rows, slow = slice(0, n), head_for().double()
    with torch.no_grad():
        found = learned.in_chunks(head, view.log_probs[rows], view.tokens[rows], view.clue[rows], None)
        alone = [
            slow(view.log_probs[[row]], view.tokens[[row]], view.clue[[row]])[0].tolist() for row in range(n)
        ]
    assert found.shape == (n, 8)
    assert found.dtype == torch.float64
    assert np.allclose(found.numpy(), alone, rtol=0, atol=1e-5)


@dataclass(frozen=True)
class Faulty:
    """A learned order with a fault: what a head is given, or what becomes of its scores."""

    before: Callable[[StepView], StepView] = lambda view: view
    after: Callable[[torch.Tensor], torch.Tensor] = lambda score: score

    def __call__(self, view: StepView) -> torch.Tensor:
        return self.after(strategy_of("mine", head_for()).order(self.before(view)))


def reads_filled_logits(view: StepView) -> StepView:
    """The head is told that no cell is filled."""
    return replace(view, tokens=torch.zeros_like(view.tokens))


FAULTS: dict[str, tuple[Faulty, str]] = {
    "logits of filled cells": (Faulty(before=reads_filled_logits), "logits of filled cells"),
    "mean of the batch": (Faulty(after=lambda score: score - score.mean()), "other rows"),
    "batch normalised": (Faulty(after=lambda score: (score - score.mean(0)) / score.std(0)), "other rows"),
    "filled cells' -inf on blanks too": (Faulty(after=lambda score: score - torch.inf), "inf or nan"),
    "a score a puzzle": (Faulty(after=lambda score: score.amax(1)), "gave shape"),
}


@pytest.mark.parametrize(("order", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_head_is_caught(order: Faulty, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_order(order)


def test_the_strategy_keeps_a_frozen_copy() -> None:
    head = head_for().train()
    strategy, view = strategy_of("mine", head), small_view()
    before = strategy.order(view)
    assert before.dtype == torch.float64
    assert not before.requires_grad
    assert head.training
    assert head.read.weight.dtype == torch.float32
    with torch.no_grad():
        head.read.weight.add_(1.0)
    assert torch.equal(strategy.order(view), before)


def test_a_head_that_fits_is_chosen_by_shape() -> None:
    sudoku, noise = head_for(get_family("sudoku-2x2").graph()), head_for()
    both, alone, view = Learned((sudoku.double(), noise.double())), Learned((noise,)), small_view()
    assert torch.equal(both(view), alone(view))
    with pytest.raises(UserInputError, match="for puzzles of 16 cells of 4 values, these have 8 of 4"):
        Learned((sudoku,))(view)


def test_the_puzzles_own_edges_reach_the_head() -> None:
    family = get_family("zebra")
    batch = family.generate("train", "logic", 3)
    model = load_model(pretrained("zebra")["relational"]).model
    seen: list[Any] = []
    strategy = strategy_of("mine", head_for(family.graph()))
    order = strategy.order

    def watched(view: StepView) -> torch.Tensor:
        seen.append(view.edges)
        return order(view)

    found = decode(model, batch, replace(strategy, order=watched))
    assert seen[0].shape[0] == 3
    assert batch.edges is not None
    blanks = batch.blank.sum(1)
    longest = int(np.argsort(blanks, kind="stable")[::-1][0])
    width = seen[0].shape[1]
    assert np.array_equal(seen[0][0].numpy(), batch.edges[longest, :width])
    assert equal(found, decode(model, batch, strategy))
    assert equal(found, decode(model, batch, strategy, batch_size=1))


def test_a_file_is_an_order(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    path = save_head(tmp_path / "mine" / "weights.safetensors", "learned_policy")
    strategy = get_strategy(f"learned:{path}")
    digest = weights_digest(load_model(path, head=True).model)[:6]
    assert strategy.name == f"learned:mine-{digest}"  # without the places of this machine
    assert (strategy.source, strategy.cost) == (SOURCES["learned_policy"][0], "n")
    assert re.fullmatch(
        r"learned:other-[0-9a-f]{6}",
        get_strategy(f"learned:{save_head(tmp_path / 'other.safetensors')}").name,
    )
    family = get_family("sudoku-2x2")
    batch, model = family.generate("test", "logic", 4), HashModel(4)
    assert equal(decode(model, batch, strategy), decode(model, batch, get_strategy("top_margin")))


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"none\.safetensors: no such checkpoint"):
        get_strategy(f"learned:{tmp_path}/none.safetensors")
    with pytest.raises(UserInputError, match="holds a network, 'relational'"):
        get_strategy(f"learned:{pretrained('sudoku')['relational']}")
    with pytest.raises(UserInputError, match="order 'learned_nothing' is unknown"):
        get_strategy("learned_nothing")


def test_heads_that_ship_are_orders_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pretrained").mkdir()
    for family in ("sudoku-2x2", "sudoku-2x3"):
        save_head(tmp_path / "pretrained" / f"{family}_learned_solver.safetensors", "learned_solver", family)
    monkeypatch.setattr("planorder.models.checkpoint.resources.files", lambda package: tmp_path)
    strategy = get_strategy("learned_solver")
    assert strategy.name == "learned_solver"
    for name in ("sudoku-2x2", "sudoku-2x3"):
        family = get_family(name)
        batch, model = family.generate("test", "logic", 3), HashModel(family.n_values)
        assert equal(decode(model, batch, strategy), decode(model, batch, get_strategy("top_margin")))
    with pytest.raises(UserInputError, match="'learned_policy' is unknown"):
        get_strategy("learned_policy")


def test_what_ships_loads_and_says_how_it_was_trained() -> None:
    for path in pretrained_heads():
        loaded = load_model(path, head=True)
        assert path.stem == f"{loaded.family.name}_{loaded.name}"
        assert loaded.info["command"].startswith(f"python -m planorder train {loaded.family.name} ")
        assert f"--model {loaded.name} " in loaded.info["command"]
        assert loaded.info["objective"]["denoiser"] in pretrained(loaded.family.name)
        assert loaded.info["environment"]["git_commit"]
        assert get_strategy(loaded.name).name == loaded.name


def test_every_training_has_a_source_that_can_be_cited() -> None:
    assert HEAD_OBJECTIVES.keys() == SOURCES.keys()
    assert len(HEADS) == 1
    for source, *_ in SOURCES.values():
        assert set(ARXIV.findall(source)) & references().keys()
