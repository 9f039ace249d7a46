"""What every order and strategy must keep, checked on small made-up puzzles; and models with known logits.

    check_order(my_score)
    check_strategy(Strategy("mine", order=my_score))

A broken promise raises `AssertionError` with a line that says which. Nothing here knows a family: the puzzles
are noise, since no rule of decoding may depend on what a puzzle means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from planorder.decoding.denoiser import Model
from planorder.decoding.loop import decode
from planorder.decoding.random import Uniforms, row_keys
from planorder.decoding.remask import never
from planorder.decoding.strategies import Strategy
from planorder.decoding.view import Decoded, StepView
from planorder.tokens import MASK
from puzzles.base import PuzzleBatch

Part = Callable[[StepView], torch.Tensor]


@dataclass(frozen=True)
class TableModel:
    """A model that gives the same logits whatever the tokens are.

    Attributes:
        logits: float ``[cells, values]``.
    """

    logits: torch.Tensor

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits ``[batch, cells, values]``."""
        return self.logits.to(tokens.device).expand(len(tokens), -1, -1)


@dataclass(frozen=True)
class HashModel:
    """A model whose logits are unrelated in every state, and equal wherever a row stands in a batch.

    Attributes:
        n_values: number of values.
        seed: another seed, another model.
        sharpness: largest logit; the smallest is 0.
    """

    n_values: int
    seed: int = 0
    sharpness: float = 6.0

    def __call__(self, tokens: torch.Tensor, edges: torch.Tensor | None = None) -> torch.Tensor:
        """Logits ``[batch, cells, values]``, whatever the edges."""
        keys = row_keys(tokens, self.seed)
        draw = Uniforms(keys, torch.zeros_like(keys), tokens.shape[1])
        return (self.sharpness * draw("logits", self.n_values)).float()


def small_batch(n: int = 12, n_cells: int = 8, n_values: int = 4, seed: int = 0) -> PuzzleBatch:
    """Made-up puzzles with ranks; row 0 has no blanks, row 1 nothing but blanks, no two rows are equal."""
    rng = np.random.default_rng(seed)
    solution = rng.integers(1, n_values + 1, (n, n_cells)).astype(np.int8)
    is_clue = rng.random((n, n_cells)) < 0.4
    is_clue[0], is_clue[1] = True, False
    is_clue[2:, 0], is_clue[2:, 1] = True, False
    rank = np.where(is_clue, -1, np.argsort(np.argsort(rng.random((n, n_cells)) + is_clue, axis=1), axis=1))
    clues = np.where(is_clue, solution, MASK).astype(np.int8)
    first = np.unique(clues, axis=0, return_index=True)[1]
    made = PuzzleBatch(
        family="noise-v1",
        clues=clues,
        solution=solution,
        rank=rank.astype(np.int16),
        technique=np.where(is_clue, 0, 1).astype(np.int8),
        hardest=np.ones(n, np.int8),
        index=np.arange(n, dtype=np.int64),
    )
    return made[np.sort(first)]


def small_view(batch: PuzzleBatch | None = None, n_values: int = 4, seed: int = 0) -> StepView:
    """A view in the middle of a decode: about a third of each row's blanks filled, except in the last row."""
    batch = small_batch() if batch is None else batch
    clues = torch.from_numpy(batch.clues.astype(np.int64))
    draw = Uniforms(row_keys(clues, seed), torch.full((len(clues),), 3), clues.shape[1])
    values = (draw("value") * n_values).long() + 1
    is_filled = (clues == MASK) & (draw("filled") < 0.35)
    is_filled[-1] = False
    tokens = torch.where(is_filled, values, clues)
    log_probs = HashModel(n_values, seed)(tokens).log_softmax(-1)
    prob = torch.where(is_filled, draw("prob").float(), (clues != MASK).float())
    return StepView(
        log_probs=log_probs,
        tokens=tokens,
        clue=clues != MASK,
        blank=tokens == MASK,
        allowed=tokens == MASK,
        committed_prob=prob,
        previous_log_probs=HashModel(n_values, seed + 1)(tokens).log_softmax(-1),
        step=torch.full((len(clues),), 3),
        total_steps=clues.shape[1],
        n_blank_start=(clues == MASK).sum(1),
        rank=torch.from_numpy(batch.rank.astype(np.int64)),
        solution=torch.from_numpy(batch.solution.astype(np.int64)),
        edges=None if batch.edges is None else torch.from_numpy(batch.edges.astype(np.int64)),
        memory=None,
        uniform=draw,
        evaluate=lambda ahead: (
            HashModel(n_values, seed)(ahead.flatten(0, -2)).log_softmax(-1).unflatten(0, ahead.shape[:-1])
        ),
    )


def take_view(view: StepView, rows: torch.Tensor) -> StepView:
    """The chosen rows of a `small_view`."""
    assert isinstance(view.uniform, Uniforms)
    chosen: dict[str, Any] = {name: value[rows] for name, value in tensors(view).items()}
    draw = replace(view.uniform, keys=view.uniform.keys[rows], step=view.uniform.step[rows])
    return replace(view, uniform=draw, **chosen)


def tensors(view: StepView) -> dict[str, torch.Tensor]:
    """The tensors of a view by field."""
    held = {field.name: getattr(view, field.name) for field in fields(view)}
    return {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}


def check_order(
    order: Part, *, surest_first: bool = False, reads_filled: bool = False, view: StepView | None = None
) -> None:
    """Checks a score function.

    Args:
        order: ``order(view) -> [batch, cells]``.
        surest_first: it claims to prefer sure cells: one that is certain must come before one that is open
            (in a view of more than five cells).
        reads_filled: it may look at the logits of filled cells.
        view: on which, as `small_view` makes one; that of `small_view` itself if None.

    Raises:
        AssertionError: a wrong shape, a blank without a finite score, a result that changes from call to
            call or with the other rows of the batch, a changed input, or an order that breaks what it
            claims.
    """
    view = small_view() if view is None else view
    score = check_part(order, view, "the order")
    require(score.is_floating_point(), f"the order gave {score.dtype}: expected floating-point scores")
    finite = score[view.blank].isfinite().all()
    require(bool(finite), "the order scored a blank with inf or nan: expected finite scores on all blanks")
    if not reads_filled:
        filled = ~view.blank[..., None]
        other = torch.where(
            filled, HashModel(view.log_probs.shape[-1], 7)(view.tokens).log_softmax(-1), view.log_probs
        )
        moved = order(replace(view, log_probs=other))
        same = torch.allclose(moved[view.blank].double(), score[view.blank].double())
        require(
            same, "the order of the blanks depends on the logits of filled cells (else: reads_filled=True)"
        )
    if surest_first:
        logits = torch.zeros_like(view.log_probs)
        logits[:, 5:, 0] = 12.0
        empty = replace(view, log_probs=logits.log_softmax(-1), blank=torch.ones_like(view.blank))
        score = order(empty)
        require(
            bool((score[:, 5:].amin(1) > score[:, :5].amax(1)).all()),
            "the order puts open cells before certain ones: expected higher scores for surer cells",
        )


def check_strategy(
    strategy: Strategy,
    *,
    reads_filled: bool = False,
    view: StepView | None = None,
    batch: PuzzleBatch | None = None,
    model: Model | None = None,
) -> None:
    """Checks the five choices of a strategy one by one, then whole decodes.

    Args:
        strategy: what to check.
        reads_filled: it may look at the logits of filled cells; a strategy that remasks always may.
        view: as for `check_order`.
        batch: puzzles to decode, with as many values as the view; those of `small_batch` if None.
        model: of the whole decodes; `HashModel` if None.

    Raises:
        AssertionError: which promise is broken, in a line.
    """
    view, keeps = small_view() if view is None else view, strategy.remask is never
    n_values = view.log_probs.shape[-1]

    def look(view: StepView) -> StepView:
        return strategy.look(strategy.remember(view))

    def order_of(view: StepView) -> torch.Tensor:
        return strategy.order(look(view))

    def score_of(view: StepView) -> torch.Tensor:
        return strategy.noise(look(view), order_of(view).double())

    def count_of(view: StepView) -> torch.Tensor:
        return strategy.budget(look(view), score_of(view))

    def reopened_by(view: StepView) -> torch.Tensor:
        count = count_of(view).minimum(view.blank.sum(1))
        return strategy.remask(look(view), score_of(view), count)

    if strategy.memory is not None:
        check_part(strategy.memory, view, "the memory", dims=None)
    check_part(lambda view: look(view).allowed, view, "what is allowed")
    check_order(order_of, reads_filled=reads_filled or not keeps, view=view)
    check_order(score_of, reads_filled=reads_filled or not keeps, view=view)
    count = check_part(count_of, view, "the budget", dims=1)
    require(count.dtype == torch.int64, f"the budget gave {count.dtype}: expected int64")
    value = check_part(lambda view: strategy.pick(look(view)), view, "the pick")
    require(value.dtype == torch.int64, f"the pick gave {value.dtype}: expected int64")
    in_range = bool(((value >= 1) & (value <= n_values)).all())
    require(in_range, f"the pick gave a value outside 1..{n_values}")
    reopen = check_part(reopened_by, view, "the remask rule")
    require(reopen.dtype == torch.bool, f"the remask rule gave {reopen.dtype}: expected bool")
    require(not bool((reopen & view.clue).any()), "the remask rule reopens clues")
    require(not bool((reopen & view.blank).any()), "the remask rule reopens cells that are blank")
    batch = small_batch(n_values=n_values) if batch is None else batch
    check_decodes(strategy, batch, model or HashModel(n_values), n_values, reads_filled or not keeps)


def check_decodes(
    strategy: Strategy, batch: PuzzleBatch, model: Model, n_values: int, reads_filled: bool
) -> None:
    """Decodes puzzles in many ways; see `check_strategy`."""
    found = decode(model, batch, strategy)
    require(bool((found.cells[~batch.blank] == batch.clues[~batch.blank]).all()), "a clue changed")
    require(bool(((found.cells >= 1) & (found.cells <= n_values)).all()), "a cell is left without a value")
    require(bool(((found.step >= 0) == batch.blank).all()), "a blank was never filled, or a clue was")
    require(bool((found.prob > 0).all() and (found.prob <= 1).all()), "a probability is outside (0, 1]")
    if strategy.remask is never:
        require(not found.reopened.any(), "a cell was filled twice without a remask rule")
    require(equal(found, decode(model, batch, strategy)), "the same seed gave another result")
    again = decode(model, batch, strategy, batch_size=5)
    require(equal(found, again), "batch_size=5 gave another result than one batch")
    back = np.arange(len(batch))[::-1].copy()
    turned = decode(model, batch[back], strategy)
    require(equal(found, turned, back), "the order of the puzzles changed a result")
    if not reads_filled:
        again = decode(scrambled(model), batch, strategy)
        require(equal(found, again), "the logits of filled cells changed a result (else: reads_filled=True)")


def scrambled(model: Model) -> Model:
    """The model with the logits of filled cells replaced by others."""
    return lambda tokens, *edges: model(tokens, *edges) * torch.where(tokens == MASK, 1.0, -2.0)[..., None]


def check_part(part: Part, view: StepView, name: str, *, dims: int | None = 2) -> torch.Tensor:
    """Shape, purity and row independence of one choice; returns what it gave.

    Its shape is to be ``[batch, cells]`` for ``dims`` 2, ``[batch]`` for 1, and anything a row for None.
    """
    before = {field: value.clone() for field, value in tensors(view).items()}
    given = part(view)
    require(isinstance(given, torch.Tensor), f"{name} gave a {type(given).__name__}: expected a tensor")
    shape = [len(view.tokens), *given.shape[1:]] if dims is None else list(view.tokens.shape[:dims])
    require(list(given.shape) == shape, f"{name} gave shape {list(given.shape)}: expected {shape}")
    given = given.clone()
    for field, value in tensors(view).items():
        require(torch.equal(value, before[field]), f"{name} changed its input {field}")
    require(
        same(part(view), given), f"{name} gave two results for one state: use view.uniform for randomness"
    )
    n = len(view.tokens)
    for rows in (torch.arange(n).flip(0), torch.arange(1, n, 2), *torch.arange(n)[:, None]):
        alone = part(take_view(view, rows))
        require(same(alone, given[rows]), f"{name} depends on the other rows of the batch or on their places")
    return given


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equality up to rounding, infinities included."""
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-6, atol=1e-9, equal_nan=True)


def equal(a: Decoded, b: Decoded, rows: np.ndarray | slice = slice(None)) -> bool:
    """Whether ``b`` holds these rows of ``a``; probabilities up to rounding, all else exactly."""
    exact = ("cells", "step", "reopened", "passes")
    is_exact = all(np.array_equal(getattr(a, name)[rows], getattr(b, name)) for name in exact)
    return is_exact and np.allclose(a.prob[rows], b.prob, rtol=1e-5)


def require(is_kept: bool, broken: str) -> None:
    """Raises `AssertionError` with the broken promise."""
    if not is_kept:
        raise AssertionError(broken)
