"""A strategy is five choices put together; `planorder.decoding.published` has those of the literature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from planorder.decoding import budgets, noise, orders, picks, remask
from planorder.decoding.view import StepView
from puzzles.base import UserInputError

Score = torch.Tensor
ONE_CELL = budgets.Fixed(1)
PAPER_STEPS = 50
PAPER_GUMBEL = 0.5


@dataclass(frozen=True)
class Strategy:
    """How to decode: five pure functions of a `StepView`; the defaults are one cell a step, likeliest value.

    A step computes score = noise(view, order(view)), count = budget(view, score), value = pick(view) and
    reopen = remask(view, score, count), then fills the blanks of highest score. Two more say what these are
    given: ``memory`` carries something from step to step, and ``see`` changes the view before they read it
    (other log-probabilities, fewer cells allowed).

    Attributes:
        name: what tables call it.
        order: ``order(view) -> [batch, cells]``, higher is sooner, finite on blanks.
        noise: ``noise(view, score) -> score``.
        budget: ``budget(view, score) -> int64 [batch]``, by how many the filled cells are to grow.
        pick: ``pick(view) -> int64 [batch, cells]``, values from 1.
        remask: ``remask(view, score, count) -> bool [batch, cells]``, filled cells to reopen.
        revise: filled cells that stay filled take the pick's value anew at every step, as in MGDM. A model
            trained on masked cells alone was never taught what to say there.
        see: ``see(view) -> view`` that the five choices get instead, or None for the view as it is. A row in
            which it allows no blank may fill any.
        memory: ``memory(view) -> [batch, ...]``, kept as ``view.memory`` for this step and the next call, or
            None.
        steps: T, the steps of a schedule; a row still open in the last one is filled in it. None: as many as
            there are cells, which is never too few without remasking.
        source: where the rule was published, with its arXiv id.
        description: the rule in a sentence, with its formula.
        departures: where this differs from the source, or leaves something out.
        cost: forward passes a puzzle of n blanks, in words or a formula.
    """

    name: str
    order: Callable[[StepView], Score]
    noise: Callable[[StepView, Score], Score] = noise.no_noise
    budget: Callable[[StepView, Score], torch.Tensor] = ONE_CELL
    pick: Callable[[StepView], torch.Tensor] = picks.argmax
    remask: Callable[[StepView, Score, torch.Tensor], torch.Tensor] = remask.never
    revise: bool = False
    see: Callable[[StepView], StepView] | None = None
    memory: Callable[[StepView], torch.Tensor] | None = None
    steps: int | None = None
    source: str = ""
    description: str = ""
    departures: str = ""
    cost: str = "n"

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise UserInputError(f"steps={self.steps}: expected at least 1 reverse step")

    def remember(self, view: StepView) -> StepView:
        """The view with this step's memory, for a strategy that has one."""
        return view if self.memory is None else replace(view, memory=self.memory(view))

    def look(self, view: StepView) -> StepView:
        """The view, memory included, as the five choices get it."""
        return view if self.see is None else self.see(view)


def with_options(
    strategy: Strategy,
    *,
    steps: int | None = None,
    k: int | None = None,
    noise: str | float | None = None,
    pick: str | None = None,
    temperature: float | None = None,
    scale: str | None = None,
) -> Strategy:
    """The strategy with some choices replaced; None leaves a choice as it is.

    Args:
        strategy: what to change.
        steps: T reverse steps. A fixed number a step becomes the linear schedule; a schedule keeps its kind;
            a budget that decides by itself (threshold, a user's own) keeps deciding, and the last step fills
            the rest.
        k: cells a step.
        noise: see `noise.parse_noise`; "none" takes it away.
        pick: "argmax" or "sample".
        temperature: of the sampled values; by itself it implies "sample".
        scale: "prob" or "log", what noise is added to, for `orders.TopProb` and `orders.TopMargin`.

    Raises:
        UserInputError: a value out of range or options that contradict each other or the strategy.
    """
    if steps is not None:
        strategy = with_steps(strategy, steps, k)
    if k is not None:
        if not isinstance(strategy.budget, budgets.SCHEDULED):
            raise UserInputError(f"k={k}: {strategy.name} decides itself how many cells a step; drop k")
        strategy = replace(strategy, budget=budgets.Fixed(k), steps=None)
    if noise is not None:
        strategy = replace(strategy, noise=parse(noise))
    if pick is not None or temperature is not None:
        strategy = replace(strategy, pick=parse_pick(pick, temperature))
    if scale is not None:
        if not isinstance(strategy.order, orders.TopProb | orders.TopMargin):
            raise UserInputError(
                f"scale={scale!r}: {strategy.name} does not order by p1 or p1 - p2; drop scale"
            )
        strategy = replace(strategy, order=replace(strategy.order, scale=scale))
    return strategy


def with_steps(strategy: Strategy, steps: int, k: int | None) -> Strategy:
    """The strategy in ``steps`` reverse steps; see `with_options`."""
    if k is not None:
        raise UserInputError(
            f"steps={steps} and k={k} contradict each other: give the number of steps or of cells a step"
        )
    is_fixed = isinstance(strategy.budget, budgets.Fixed)
    return replace(strategy, steps=steps, budget=budgets.Schedule("linear") if is_fixed else strategy.budget)


def parse(text: str | float) -> Callable[[StepView, Score], Score]:
    """The noise that `noise.parse_noise` reads, or none."""
    return noise.parse_noise(text) or noise.no_noise


def parse_pick(pick: str | None, temperature: float | None) -> Callable[[StepView], torch.Tensor]:
    """The pick that `with_options` is asked for."""
    if pick == "argmax" and temperature is None:
        return picks.argmax
    if pick in (None, "sample"):
        return picks.Sample(1.0 if temperature is None else temperature)
    if pick == "argmax":
        raise UserInputError(
            f"pick='argmax' and temperature={temperature} contradict each other: drop one of them"
        )
    raise UserInputError(f"pick={pick!r}: expected 'argmax' or 'sample'")


def paper_protocol(strategy: Strategy) -> Strategy:
    """The strategy as arXiv:2502.06768 runs it on puzzles (appendix D.2): 50 reverse steps, Gumbel 0.5.

    The noise fades with the schedule, as in the code base that the paper builds on (MGDM, arXiv:2410.14157),
    and goes onto the score as the strategy has it: p1 or p1 - p2 as the paper writes its oracles; MGDM's own
    log p is ``with_options(strategy, scale="log")``. Orders that do not look at the model get none, since
    the noise belongs to the oracle. Values stay as they are: likeliest for the ordered strategies, as in
    MGDM, sampled for vanilla. The paper leaves the scale, the fading and the values of ordered runs unsaid.
    """
    strategy = with_options(strategy, steps=PAPER_STEPS)
    if orders.is_model_free(strategy.order):
        return strategy
    return replace(strategy, noise=noise.Gumbel(PAPER_GUMBEL, annealed=True))
