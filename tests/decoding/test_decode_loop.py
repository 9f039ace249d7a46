from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from planorder.decoding import PRESETS, StepView, Strategy, decode, get_strategy, with_options
from planorder.decoding.budgets import Schedule, Threshold
from planorder.decoding.orders import TopProb
from planorder.decoding.remask import never, route
from planorder.decoding.testing import HashModel, TableModel, equal, small_batch
from puzzles.base import UserInputError
from puzzles.naesat import NaeSat


class Spy:
    """A model that keeps every row it was given."""

    def __init__(self, model) -> None:
        self.model = model
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        self.seen += map(tuple, tokens.tolist())
        return self.model(tokens)


def plain_decode(model, clues: np.ndarray, score_of, total: int | None, is_routed: bool):
    """The slow twin: one puzzle in Python lists, one cell a step or a linear schedule, likeliest values."""
    tokens, n_cells = clues.tolist(), len(clues)
    free = [cell for cell in range(n_cells) if clues[cell] == 0]
    when, reopened = [-1] * n_cells, [0] * n_cells
    for step in range(total or n_cells):
        blank = [cell for cell in free if tokens[cell] == 0]
        if not blank:
            break
        p = model(torch.tensor([tokens]))[0].double().softmax(-1).tolist()
        target = step + 1 if total is None else (2 * len(free) * (step + 1) + total) // (2 * total)
        ranked = sorted(free if is_routed else blank, key=lambda cell: (-score_of(p[cell]), cell))
        top = ranked[: target if is_routed else target - (len(free) - len(blank))]
        for cell in free:
            value = p[cell].index(max(p[cell])) + 1
            if cell in top and tokens[cell] != value and (is_routed or tokens[cell] == 0):
                tokens[cell], when[cell] = value, step
            elif is_routed and tokens[cell] and cell not in top:
                tokens[cell], when[cell] = 0, -1
                reopened[cell] += 1
    return tokens, when, reopened


@pytest.mark.parametrize("total", [None, 3, 20])
@pytest.mark.parametrize("name", ["top_prob", "top_margin", "routing_top_prob", "routing_top_margin"])
def test_the_loop_equals_its_plain_twin(name: str, total: int | None) -> None:
    batch, model = small_batch(40), HashModel(4)
    found = decode(model, batch, get_strategy(name), steps=total, batch_size=16)
    margin = lambda p: sorted(p)[-1] - sorted(p)[-2]  # noqa: E731
    for row, clues in enumerate(batch.clues):
        twin = plain_decode(model, clues, max if name.endswith("prob") else margin, total, "routing" in name)
        assert (found.cells[row].tolist(), found.step[row].tolist(), found.reopened[row].tolist()) == twin
    assert ("routing" in name) == bool(found.reopened.any())


def test_known_logits_give_a_known_decode(puzzles) -> None:
    p = torch.tensor(
        [[0.5, 0.3, 0.2], [0.1, 0.9, 0.0001], [0.2, 0.2, 0.6], [0.2, 0.2, 0.6], [0.9, 0.05, 0.05]]
    )
    found = decode(TableModel(p.log()), puzzles(np.array([[0, 0, 0, 0, 2]])), get_strategy("top_prob"))
    assert found.cells.tolist() == [[1, 2, 3, 3, 2]]
    assert found.step.tolist() == [[3, 0, 1, 2, -1]]  # 2 and 3 tie; the lower goes first
    assert found.prob[0] == pytest.approx([0.5, 0.9, 0.6, 0.6, 1.0], abs=1e-4)
    assert found.passes.tolist() == [4]
    assert (found.cells.dtype, found.step.dtype, found.prob.dtype) == (np.int8, np.int16, np.float32)


def test_vanilla_follows_its_enumerated_law(distinct) -> None:
    """Two blanks, two values, T = 2: opened together (in either step) or one after the other."""
    first, second = torch.tensor([0.7, 0.3]), torch.tensor([[0.2, 0.8], [0.9, 0.1]])

    def model(tokens: torch.Tensor) -> torch.Tensor:
        other = tokens[:, [1, 0]]
        p = torch.where((other == 0)[..., None], first, second[(other - 1).clamp(min=0)])
        return torch.cat([p, torch.full((len(tokens), tokens.shape[1] - 2, 2), 0.5)], 1).log()

    n = 20_000
    found = decode(model, distinct(n, 2), get_strategy("vanilla"), steps=2, batch_size=5000)
    law = {}
    for a in range(2):
        for b in range(2):
            together = first[a] * first[b]
            in_turn = first[a] * second[a, b] + first[b] * second[b, a]
            law[a + 1, b + 1] = float(together / 2 + in_turn / 4)
    assert sum(law.values()) == pytest.approx(1)
    counts = Counter(map(tuple, found.cells[:, :2].tolist()))
    assert stats.chisquare([counts[x] for x in law], [n * law[x] for x in law]).pvalue > 1e-3
    # The test can fail: drawing both values from the first pass alone is another law.
    together = [n * float(first[a - 1] * first[b - 1]) for a, b in law]
    assert stats.chisquare([counts[x] for x in law], together).pvalue < 1e-9


@pytest.mark.parametrize("name", ["vanilla", "top_prob", "threshold", "routing_top_margin"])
def test_passes_are_the_rows_run_and_no_state_is_run_twice(name: str) -> None:
    spy, batch = Spy(HashModel(4)), small_batch(30)
    found = decode(spy, batch, with_options(get_strategy(name), steps=50), batch_size=7)
    assert len(spy.seen) == found.passes.sum()
    assert "routing" in name or len(spy.seen) == len(set(spy.seen))
    assert (found.passes[~batch.blank.any(1)] == 0).all()
    assert (found.passes <= batch.blank.sum(1)).all() or "routing" in name


def test_finished_rows_leave_the_batch() -> None:
    sizes: list[int] = []
    model = HashModel(4)

    def counted(tokens: torch.Tensor) -> torch.Tensor:
        sizes.append(len(tokens))
        return model(tokens)

    batch = small_batch(30)
    decode(counted, batch, get_strategy("top_prob"))
    blanks = batch.blank.sum(1)
    assert sizes == [int((blanks > step).sum()) for step in range(blanks.max())]


def test_any_batch_size_and_row_order_give_the_same_result() -> None:
    batch, model = small_batch(), HashModel(4)
    turn = np.random.default_rng(0).permutation(len(batch))
    for strategy in (*PRESETS.values(), with_options(get_strategy("top_prob"), noise=0.5, pick="sample")):
        found = decode(model, batch, strategy, seed=5)
        assert equal(found, decode(model, batch[turn], strategy, seed=5, batch_size=1), turn)


@pytest.mark.parametrize("name", ["vanilla", "random", "top_margin"])
def test_equal_puzzles_of_many_solutions_are_samples_of_their_own(name: str) -> None:
    """Each row its own draw, by its index; neither batch size nor row order matters."""
    batch, model = NaeSat("naesat-tiny", 4, 6).generate("test", "logic", 40), HashModel(2, sharpness=1.0)
    strategy = with_options(get_strategy(name), pick="sample")
    found = decode(model, batch, strategy, batch_size=40)
    assert len(np.unique(found.cells, axis=0)) > 20
    assert equal(found, decode(model, batch, strategy, batch_size=7))
    back = np.arange(40)[::-1]
    assert equal(found, decode(model, batch[back], strategy), back)
    assert equal(found, decode(model, batch[20:], strategy), slice(20, None))
    again = decode(model, batch[np.full(3, 5)], strategy)
    assert (again.cells == found.cells[5]).all(), "the same row is the same draw"
    assert (decode(model, batch, strategy, seed=1).cells != found.cells).any(axis=1).sum() > 20
    alike = decode(model, replace(batch, unique=True), strategy)
    assert len(np.unique(alike.cells, axis=0)) == 1, "the planted fault: keys of the clues alone"


def test_puzzles_with_one_solution_draw_by_their_clues_alone() -> None:
    batch, model = small_batch(20), HashModel(4)
    moved = replace(batch, index=batch.index + 1000)
    assert equal(decode(model, batch, get_strategy("vanilla")), decode(model, moved, get_strategy("vanilla")))


def test_seeds_matter_where_chance_does() -> None:
    batch, model = small_batch(30), HashModel(4)
    for name in ("random", "vanilla"):
        strategy = get_strategy(name)
        assert not equal(decode(model, batch, strategy), decode(model, batch, strategy, seed=1))
    strategy = get_strategy("top_margin")
    assert equal(decode(model, batch, strategy), decode(model, batch, strategy, seed=1))


def test_a_rule_that_reopens_everything_touches_no_clue_and_ends() -> None:
    batch = small_batch()
    greedy = Strategy(
        "all", TopProb(), remask=lambda view, score, count: torch.ones_like(view.blank), steps=9
    )
    found = decode(HashModel(4), batch, greedy)
    assert (found.cells[~batch.blank] == batch.clues[~batch.blank]).all()
    assert not found.reopened[~batch.blank].any()
    assert (found.cells >= 1).all()
    assert found.step.max() == 8


def test_the_budget_is_net_of_reopened_cells() -> None:
    batch, seen = small_batch(), []

    def watch(view: StepView) -> torch.Tensor:
        seen.append((view.n_blank_start - view.blank.sum(1)).unique().tolist())
        return TopProb()(view)

    decode(HashModel(4), batch, Strategy("routed", watch, remask=route))
    assert seen == [[step] for step in range(len(seen))]


@pytest.mark.parametrize("remask", [never, route])
def test_the_view_tells_the_truth(remask) -> None:
    views: list[StepView] = []

    def watch(view: StepView) -> torch.Tensor:
        views.append(view)
        return TopProb()(view)

    batch, model = small_batch()[2:3], HashModel(4)
    found = decode(model, batch, Strategy("watched", watch, budget=Schedule(), remask=remask, steps=16))
    assert views[0].previous_log_probs is None
    for step, view in enumerate(views):
        assert view.step.tolist() == [step]
        assert view.total_steps == 16
        assert torch.equal(view.blank, view.tokens == 0)
        assert torch.allclose(view.log_probs, model(view.tokens).log_softmax(-1))
        assert torch.equal(view.committed_prob > 0, ~view.blank)
        assert view.rank is not None
        assert torch.equal(view.rank[view.clue], torch.full_like(view.rank[view.clue], -1))
        if step:
            assert torch.equal(view.previous_log_probs, views[step - 1].log_probs)
    assert view.clue.any()
    last = views[-1]
    filled = ~last.blank[0].numpy()
    assert np.array_equal(last.committed_prob[0].numpy()[filled], found.prob[0][filled])


def test_looking_ahead_is_counted() -> None:
    def ahead(view: StepView) -> torch.Tensor:
        one = view.evaluate(view.tokens)
        both = view.evaluate(torch.stack([view.tokens, view.tokens], 1))
        assert torch.equal(both[:, 1], one)
        return TopProb()(replace(view, log_probs=one))

    batch, spy = small_batch(), Spy(HashModel(4))
    found = decode(spy, batch, Strategy("ahead", ahead))
    assert equal(
        replace(found, passes=found.passes // 4), decode(HashModel(4), batch, get_strategy("top_prob"))
    )
    assert len(spy.seen) == found.passes.sum()


def test_threshold_fills_at_once_what_is_sure(puzzles) -> None:
    p = torch.tensor([[0.95, 0.05], [0.6, 0.4], [0.97, 0.03], [0.7, 0.3]])
    found = decode(
        TableModel(p.log()), puzzles(np.zeros((2, 4))), Strategy("t", TopProb(), budget=Threshold(0.9))
    )
    assert found.step.tolist() == [[0, 2, 0, 1]] * 2


def broken_after(n_filled: int):
    def model(tokens: torch.Tensor) -> torch.Tensor:
        bad = ((tokens > 0).sum(1) >= n_filled)[:, None, None]
        return torch.zeros(*tokens.shape, 3).masked_fill(bad, torch.nan)

    return model


def test_logits_that_are_not_finite_are_named_with_their_step(puzzles) -> None:
    for n_filled in (0, 2, 5):
        with pytest.raises(UserInputError, match=f"logits are not finite at step {n_filled}:"):
            decode(broken_after(n_filled), puzzles(np.zeros((3, 6))), get_strategy("top_prob"))


def test_scores_that_are_not_finite_are_named(puzzles) -> None:
    for bad in (torch.inf, -torch.inf, torch.nan):
        mine = Strategy(
            "mine", lambda view, bad=bad: torch.where(view.step[:, None] == 1, bad, 0.0) + 0 * view.tokens
        )
        with pytest.raises(UserInputError, match="'mine' scored a blank with inf or nan at step 1"):
            decode(TableModel(torch.zeros(4, 3)), puzzles(np.zeros((2, 4))), mine)


@pytest.mark.parametrize("shape", [(5, 3), (4,), (4, 3, 1)])
def test_logits_of_a_wrong_shape_are_named(shape: tuple, puzzles) -> None:
    with pytest.raises(UserInputError, match="logits of shape"):
        decode(
            lambda tokens: torch.zeros(len(tokens), *shape), puzzles(np.zeros((2, 4))), get_strategy("random")
        )


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"precision": "fp8"}, {"steps": 0}])
def test_options_out_of_range_are_named(option: dict) -> None:
    with pytest.raises(UserInputError, match=f"{next(iter(option))}="):
        decode(HashModel(4), small_batch(), get_strategy("random"), **option)


def test_the_oracle_needs_ranks(puzzles) -> None:
    with pytest.raises(UserInputError, match="no solver ranks"):
        decode(TableModel(torch.zeros(4, 3)), puzzles(np.zeros((2, 4))), get_strategy("solver_order"))
    batch = small_batch()
    found = decode(HashModel(4), batch, get_strategy("solver_order"))
    assert np.array_equal(found.step, batch.rank)


def test_progress_counts_every_puzzle_once_and_empty_batches_are_fine() -> None:
    batch = small_batch()
    for chosen in (batch, batch[:1], batch[:0]):
        done: list[int] = []
        found = decode(HashModel(4), chosen, get_strategy("threshold"), batch_size=5, progress=done.append)
        assert sum(done) == len(chosen) == len(found.cells)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 8)
        self.out = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 4))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        return self.out(x + x.mean(1, keepdim=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_decodes_in_eval_mode_and_comes_back_as_it_was(precision: str) -> None:
    net, batch = Net(), small_batch()
    before = batch.clues.copy()
    found = decode(net, batch, get_strategy("top_prob"), precision=precision)
    assert net.training
    assert equal(found, decode(net.eval(), batch, get_strategy("top_prob"), precision=precision))
    assert not net.training
    assert np.array_equal(batch.clues, before)
    assert ((found.cells >= 1) & (found.cells <= 4)).all()
