"""The rules that every table has: ancestral sampling, fixed orders, and confidence one cell a step."""

from __future__ import annotations

from planorder.decoding import budgets, orders, picks, remask
from planorder.decoding.strategies import PAPER_STEPS, Strategy

KIM = "arXiv:2502.06768"
ONE_AND_SURE = f"one cell a step, no noise; {KIM} takes 50 steps and Gumbel 0.5 on puzzles (--protocol paper)"
ROUTING = (
    "one cell a step and no noise, where MGDM takes T = 20 steps and 0.5 (1 - kappa) Gumbel (mgdm); "
    "time is no input of the model"
)

PRESETS: dict[str, Strategy] = {
    "vanilla": Strategy(
        "vanilla",
        orders.random_order,
        budget=budgets.Bernoulli("linear"),
        pick=picks.Sample(1.0),
        steps=PAPER_STEPS,
        source=f"arXiv:2406.07524 (ancestral sampling); {KIM} appendix D.1.2",
        description="every blank opens by the schedule alone, in 50 steps; values are sampled from the model",
        departures="50 steps, as arXiv:2502.06768 takes for puzzles, where MDLM takes 128; time runs to 0, "
        "not to 1e-5 with a last pass for the rest",
        cost="at most min(T, n)",
    ),
    "random": Strategy(
        "random",
        orders.random_order,
        source="arXiv:2502.09992 (LLaDA, random remasking)",
        description="a random blank a step, likeliest value",
        departures="one cell a step; there K follows from length and number of steps (random_k: 4)",
    ),
    "left_to_right": Strategy(
        "left_to_right",
        orders.left_to_right,
        source="fixed order, the habit of autoregressive models",
        description="the first blank a step, row by row, likeliest value",
    ),
    "top_prob": Strategy(
        "top_prob",
        orders.TopProb(),
        source=f"{KIM} section 4; arXiv:2202.04200 (MaskGIT)",
        description="the blank with the largest p1 a step, likeliest value",
        departures=ONE_AND_SURE,
    ),
    "top_margin": Strategy(
        "top_margin",
        orders.TopMargin(),
        source=f"{KIM} section 4",
        description="the blank with the largest p1 - p2 a step, likeliest value",
        departures=ONE_AND_SURE,
    ),
    "neg_entropy": Strategy(
        "neg_entropy",
        orders.neg_entropy,
        source="arXiv:2508.15487 (Dream, entropy); arXiv:2505.24857",
        description="the blank of least entropy a step, likeliest value",
        departures="one cell a step, where Dream's 512 steps say how many",
    ),
    "solver_order": Strategy(
        "solver_order",
        orders.solver_order,
        source="arXiv:2409.10502 (order of the logical solver, here as an oracle)",
        description="the blank that the logical solver fills next, likeliest value; needs its ranks",
    ),
    "routing_top_prob": Strategy(
        "routing_top_prob",
        orders.TopProb(scale="log"),
        remask=remask.route,
        revise=True,
        source="arXiv:2302.05737 (RDM); arXiv:2410.14157 (MGDM, top-k decoding)",
        description="all cells but the clues predicted and ranked by log p1 anew at every step",
        departures=ROUTING,
    ),
    "routing_top_margin": Strategy(
        "routing_top_margin",
        orders.TopMargin(),
        remask=remask.route,
        revise=True,
        source=f"{KIM} section 4 with the routing of arXiv:2302.05737 and arXiv:2410.14157",
        description="all cells but the clues predicted and ranked by p1 - p2 anew at every step",
        departures=ROUTING,
    ),
    "threshold": Strategy(
        "threshold",
        orders.TopProb(),
        budget=budgets.Threshold(0.9),
        source="arXiv:2505.22618 (Fast-dLLM)",
        description="all blanks with p1 >= 0.9 a step, at least one, likeliest value",
        departures="one block of all cells, where texts are filled in blocks of 32",
        cost="1 to n",
    ),
}
