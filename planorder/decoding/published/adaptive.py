"""The model decides how many: all cells that are sure together, by six measures of what that means."""

from __future__ import annotations

from collections.abc import Callable

import torch

from planorder.decoding import adaptive, budgets, orders
from planorder.decoding.strategies import Strategy
from planorder.decoding.view import StepView

EB = "arXiv:2505.24857 (EB-sampler)"
DINFER = "arXiv:2510.08666 (dInfer)"
GAMMA = 0.1
EB_DEPARTURES = "gamma 0.1 (UNI-D2's default); likeliest values; each row by itself"
HIERARCHY = adaptive.BestOfRuns(0.4, 0.9)
KLASS = "arXiv:2511.05664 (KLASS)"
KLASS_DEPARTURES = "one block of all cells; one cell where none is stable (an even split of the steps there)"


def klass(name: str, tau: float, epsilon: float, task: str) -> Strategy:
    """KLASS with the thresholds that its scripts have for a task."""
    stable = adaptive.Stable(tau, epsilon)
    return Strategy(
        name,
        adaptive.ChosenFirst(stable),
        budget=adaptive.ChosenCount(stable),
        memory=adaptive.KlHistory(2),
        source=f"{KLASS}, thresholds of {task}",
        description=f"all blanks with p1 > {tau} and KL(p_t || p_t-1) < {epsilon} in the last two steps, or "
        "the one of largest p1",
        departures=KLASS_DEPARTURES,
        cost="1 to n",
    )


def klass_one(name: str, among: Callable[[StepView], torch.Tensor], said: str) -> Strategy:
    """KLASS that fills one of the stable blanks a step, its ``unmask_strategy`` other than "all"."""
    return Strategy(
        name,
        adaptive.ChosenFirst(adaptive.Stable(0.9, 0.01), among),
        memory=adaptive.KlHistory(2),
        source=f"{KLASS}, unmask_strategy {name.removeprefix('klass_')}",
        description=f"of the blanks with p1 > 0.9 and KL(p_t || p_t-1) < 0.01 in the last two steps {said}, "
        "or of all the one of largest p1",
        departures=KLASS_DEPARTURES,
    )


PRESETS: dict[str, Strategy] = {
    "factor": Strategy(
        "factor",
        orders.TopProb(),
        budget=adaptive.Factor(1.0),
        source="arXiv:2505.22618 (Fast-dLLM)",
        description="the most blanks, by falling p1, whose r-th has p1 >= 1 - 1 / (r + 1), at least one",
        departures="one block of all cells; the last blank too must pass, which the code there forgets",
        cost="1 to n",
    ),
    "eb_entropy": Strategy(
        "eb_entropy",
        orders.neg_entropy,
        budget=adaptive.EntropyBound(GAMMA),
        source=EB,
        description="the most blanks, by rising entropy H, with sum H - max H <= 0.1, at least one",
        departures=EB_DEPARTURES,
        cost="1 to n",
    ),
    "eb_confidence": Strategy(
        "eb_confidence",
        orders.TopProb(),
        budget=adaptive.EntropyBound(GAMMA),
        source=EB,
        description="the most blanks, by falling p1, with sum H - max H <= 0.1, at least one",
        departures=EB_DEPARTURES,
        cost="1 to n",
    ),
    "eb_margin": Strategy(
        "eb_margin",
        orders.TopMargin(),
        budget=adaptive.EntropyBound(GAMMA),
        source=EB,
        description="the most blanks, by falling p1 - p2, with sum H - max H <= 0.1, at least one",
        departures=EB_DEPARTURES,
        cost="1 to n",
    ),
    "cumulative_error": Strategy(
        "cumulative_error",
        orders.TopProb(),
        budget=adaptive.CumulativeError(0.5),
        source="dhruvdcoder/xlm-core (code), its setting for Sudoku; after arXiv:2505.24857",
        description="the most blanks, by falling p1, with sum (1 - p1) - max (1 - p1) < 0.5, at least one",
        departures="no end after 81 steps (max_steps there)",
        cost="1 to n",
    ),
    "credit": Strategy(
        "credit",
        orders.TopProb(),
        budget=budgets.Threshold(0.9),
        see=adaptive.WithCredit(0.7),
        memory=adaptive.Credit(0.8, 0.2),
        source=f"{DINFER}, credit decoder",
        description="threshold 0.9 on p (1 + C)^0.7, normalised; C <- 0.8 C + p1^0.2 at the likeliest value",
        departures="one block of all cells",
        cost="1 to n",
    ),
    "klass": klass("klass", 0.9, 0.01, "LLaDA on HumanEval"),
    "klass_gsm8k": klass("klass_gsm8k", 0.6, 0.015, "LLaDA on GSM8K"),
    "klass_math": klass("klass_math", 0.9, 0.005, "Dream on MATH"),
    "klass_max_conf": klass_one("klass_max_conf", orders.TopProb(), "the one of largest p1"),
    "klass_min_kl": klass_one("klass_min_kl", adaptive.least_change, "the one of least KL(p_t || p_t-1)"),
    "klass_random": klass_one("klass_random", orders.random_order, "a random one"),
    "hierarchy": Strategy(
        "hierarchy",
        adaptive.ChosenFirst(HIERARCHY),
        budget=adaptive.ChosenCount(HIERARCHY),
        source=f"{DINFER}, hierarchy decoder",
        description="of each run of adjacent blanks the one of largest p1 if above 0.4, all with p1 > 0.9, "
        "and the one of largest p1",
        departures="one block of all cells, any batch size; without the variant that remasks",
        cost="1 to n",
    ),
}
