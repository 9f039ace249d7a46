"""The model decides how many: all cells that are sure together, by six measures of what that means."""

from __future__ import annotations

from planorder.decoding import adaptive, budgets, orders
from planorder.decoding.strategies import Strategy

EB = "arXiv:2505.24857 (EB-sampler)"
DINFER = "arXiv:2510.08666 (dInfer)"
GAMMA = 0.1
EB_DEPARTURES = "gamma 0.1 (UNI-D2's default); likeliest values; each row by itself"
HIERARCHY = adaptive.BestOfRuns(0.4, 0.9)
KLASS = adaptive.Stable(0.9, 0.01)

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
    "klass": Strategy(
        "klass",
        adaptive.ChosenFirst(KLASS),
        budget=adaptive.ChosenCount(KLASS),
        memory=adaptive.KlHistory(2),
        source="arXiv:2511.05664 (KLASS)",
        description="all blanks with p1 > 0.9 and KL(p_t || p_t-1) < 0.01 in the last two steps, or the one "
        "of largest p1",
        departures="one block of all cells; one cell where none is stable (an even split of the steps there)",
        cost="1 to n",
    ),
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
