"""How many now, where the model decides: ``budget(view, score) -> int64 [batch]`` as in `budgets`.

Each reads a row's allowed blanks in the order of the score, noise included, so that the cells it counts are
those that are filled. Rules that choose a *set* of blanks say so twice, from one function ``chosen(view) ->
bool [batch, cells]``: `ChosenFirst` is their order, `ChosenCount` their budget. Noise on such an order blurs
the set. p1 is a cell's largest probability, H its entropy in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from planorder.decoding.orders import TopProb, neg_entropy
from planorder.decoding.view import StepView
from puzzles.base import UserInputError

Chosen = Callable[[StepView], torch.Tensor]
SUREST = TopProb()


@dataclass(frozen=True)
class EntropyBound:
    """The longest prefix of the order with sum H - max H <= gamma, at least one cell (arXiv:2505.24857).

    The EB-sampler: sum - max bounds how far the cells, drawn independently, are from their joint law. Its
    three proxies of the error are the orders `orders.neg_entropy`, `orders.TopProb`, `orders.TopMargin`.
    gamma 0 is one cell a step (more only where entropies are 0), infinity is all at once.

    Attributes:
        gamma: in nats, >= 0.
    """

    gamma: float = 0.1

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise UserInputError(f"gamma={self.gamma}: expected at least 0")

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        entropy, is_blank = in_order(view, score, -neg_entropy(view))
        return prefix((entropy.cumsum(1) - entropy.cummax(1).values <= self.gamma) & is_blank)


@dataclass(frozen=True)
class CumulativeError:
    """The longest prefix of the order with sum (1 - p1) - max (1 - p1) < limit, at least one cell.

    The confidence rule of dhruvdcoder/xlm-core, whose Sudoku setting is 0.5: `EntropyBound` with the chance
    of an error in place of the entropy.

    Attributes:
        limit: > 0; infinity is all at once.
    """

    limit: float = 0.5

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise UserInputError(f"limit={self.limit}: expected a number above 0")

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        error, is_blank = in_order(view, score, 1 - TopProb()(view))
        return prefix((error.cumsum(1) - error.cummax(1).values < self.limit) & is_blank)


@dataclass(frozen=True)
class Factor:
    """The longest prefix whose r-th cell has p1 >= 1 - f / (r + 1), the first always (arXiv:2505.22618).

    Fast-dLLM's second rule: n cells at once only if (n + 1)(1 - p1) stays within f for the last of them.

    Attributes:
        factor: f >= 0; 1 in the scripts of Fast-dLLM; infinity is all at once.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        if not self.factor >= 0:
            raise UserInputError(f"factor={self.factor}: expected at least 0")

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        p1, is_blank = in_order(view, score, TopProb()(view))
        place = torch.arange(1, p1.shape[1] + 1, device=p1.device)
        return prefix(((p1 >= 1 - self.factor / (place + 1)) | (place == 1)) & is_blank)


def whole_group(view: StepView, score: torch.Tensor) -> torch.Tensor:
    """int64 ``[batch]``: all allowed blanks that share the best score, a group of `fixed_orders.Dilated`."""
    best = score.masked_fill(~view.allowed, -torch.inf).amax(1, keepdim=True)
    return ((score == best) & view.allowed).sum(1)


@dataclass(frozen=True)
class ChosenFirst:
    """The chosen cells before the others: score = 1 + among where chosen, else p1.

    Attributes:
        chosen: bool ``[batch, cells]`` of a view.
        among: a score in [0, 1] by which the chosen are ranked; p1 unless said.
    """

    chosen: Chosen
    among: Callable[[StepView], torch.Tensor] = SUREST

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells]``: in [1, 2] where chosen, else in (0, 1]."""
        return torch.where(self.chosen(view), 1 + self.among(view), TopProb()(view))


@dataclass(frozen=True)
class ChosenCount:
    """As many as are chosen; where none is, ``fallback``.

    Attributes:
        chosen: as for `ChosenFirst`.
        fallback: >= 1.
    """

    chosen: Chosen
    fallback: int = 1

    def __post_init__(self) -> None:
        if self.fallback < 1:
            raise UserInputError(f"fallback={self.fallback}: expected at least 1 cell")

    def __call__(self, view: StepView, score: torch.Tensor) -> torch.Tensor:
        """int64 ``[batch]``."""
        count = (self.chosen(view) & view.allowed).sum(1)
        return torch.where(count > 0, count, self.fallback)


@dataclass(frozen=True)
class BestOfRuns:
    """Chosen: of each run of adjacent allowed blanks those of largest p1, if above low; all above high.

    The hierarchy decoder of dInfer (arXiv:2510.08666), which spreads what is filled at once. Its third part,
    the surest blank of all, is what `ChosenCount` falls back to: wherever any cell is chosen, that one is.

    Attributes:
        low: in [0, 1].
        high: in [low, 1].
    """

    low: float = 0.4
    high: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise UserInputError(f"low={self.low}, high={self.high}: expected 0 <= low <= high <= 1")

    def __call__(self, view: StepView) -> torch.Tensor:
        """bool ``[batch, cells]``."""
        p1 = TopProb()(view).masked_fill(~view.allowed, 0.0)
        run = (~view.allowed).long().cumsum(1)  # what lies before a run joins it, with p1 = 0
        best = p1.new_zeros(p1.shape[0], p1.shape[1] + 1).scatter_reduce(1, run, p1, "amax").gather(1, run)
        return view.allowed & (((p1 == best) & (p1 > self.low)) | (p1 > self.high))


@dataclass(frozen=True)
class KlHistory:
    """Memory: each cell's last n values of KL(p_t || p_{t-1}), the newest last (KLASS, arXiv:2511.05664).

    Infinite where there are none yet, so that nothing passes for stable before n comparisons.

    Attributes:
        length: n >= 1.
    """

    length: int = 2

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UserInputError(f"length={self.length}: expected at least 1 step")

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells, n]``."""
        log_p, before = view.log_probs.double(), view.previous_log_probs
        if before is None:
            newest = torch.full_like(log_p[..., :1], torch.inf)
        else:
            newest = (log_p.exp() * (log_p - before.double())).sum(-1, keepdim=True)
        if view.memory is None:
            older = torch.full_like(newest, torch.inf).expand(-1, -1, self.length)
        else:
            older = view.memory
        return torch.cat([older[..., 1:], newest], dim=-1)


@dataclass(frozen=True)
class Stable:
    """Chosen: allowed blanks with p1 > tau whose KLs in `KlHistory` are all below epsilon (arXiv:2511.05664).

    Attributes:
        tau: in [0, 1].
        epsilon: in nats, > 0.
    """

    tau: float = 0.9
    epsilon: float = 0.01

    def __post_init__(self) -> None:
        if not (0 <= self.tau <= 1 and self.epsilon > 0):
            raise UserInputError(
                f"tau={self.tau}, epsilon={self.epsilon}: expected a probability and a number above 0"
            )

    def __call__(self, view: StepView) -> torch.Tensor:
        """bool ``[batch, cells]``."""
        is_stable = (memory_of(view, "KlHistory(...)") < self.epsilon).all(-1)
        return view.allowed & is_stable & (TopProb()(view) > self.tau)


def least_change(view: StepView) -> torch.Tensor:
    """float64 ``[batch, cells]`` in [0, 1]: exp(-KL(p_t || p_{t-1})), of the newest KL in `KlHistory`."""
    return (-memory_of(view, "KlHistory(...)")[..., -1].clamp(min=0.0)).exp()


@dataclass(frozen=True)
class Credit:
    """Memory: C of each cell and value, C <- decay C + p1^power at the likeliest value of each blank.

    The credit decoder of dInfer (arXiv:2510.08666): values that stay in the lead gather credit, which
    `WithCredit` turns into log-probability.

    Attributes:
        decay: beta in [0, 1].
        power: gamma >= 0.
    """

    decay: float = 0.8
    power: float = 0.2

    def __post_init__(self) -> None:
        if not (0 <= self.decay <= 1 and self.power >= 0):
            raise UserInputError(
                f"decay={self.decay}, power={self.power}: expected one in [0, 1] and one of at least 0"
            )

    def __call__(self, view: StepView) -> torch.Tensor:
        """float64 ``[batch, cells, values]``, at least 0."""
        log_p, best = view.log_probs.double().max(-1, keepdim=True)
        gain = (self.power * log_p).exp() * view.blank[..., None]
        before = torch.zeros_like(view.log_probs, dtype=torch.float64) if view.memory is None else view.memory
        return (self.decay * before).scatter_add(-1, best, gain)


@dataclass(frozen=True)
class WithCredit:
    """See: p becomes proportional to p (1 + C)^weight, C the memory of `Credit` (arXiv:2510.08666).

    Attributes:
        weight: alpha >= 0; 0 leaves the view as it is, up to rounding.
    """

    weight: float = 0.7

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise UserInputError(f"weight={self.weight}: expected at least 0")

    def __call__(self, view: StepView) -> StepView:
        """The view with other ``log_probs``, float32 ``[batch, cells, values]``."""
        fused = view.log_probs.double() + self.weight * memory_of(view, "Credit(...)").log1p()
        return replace(view, log_probs=fused.log_softmax(-1).float())


def memory_of(view: StepView, name: str) -> torch.Tensor:
    """The view's memory, for a rule that cannot do without."""
    if view.memory is None:
        raise UserInputError(f"the strategy remembers nothing: expected memory={name}")
    return view.memory


def in_order(view: StepView, score: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values ``[batch, cells]`` of the allowed blanks by falling score, then zeros; and which are blanks."""
    ranked = score.masked_fill(~view.allowed, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    is_blank = view.allowed.gather(1, ranked)
    return values.gather(1, ranked).masked_fill(~is_blank, 0.0), is_blank


def prefix(holds: torch.Tensor) -> torch.Tensor:
    """int64 ``[batch]``: how many places hold before the first that does not, at least 1."""
    return holds.long().cumprod(1).sum(1).clamp(min=1)
