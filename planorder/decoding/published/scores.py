"""Orders by a score, one cell a step unless said: confidence and its relatives, fixed orders, blocks.

Three kinds of rule need something of the user's and so have no preset: a given order,
``Strategy("mine", fixed_orders.given_order(permutation))``, a given graph of dependencies,
``Strategy("mine", orders.TopProb(), see=blocks.GivenDag(parents))``, and the puzzle's rules, for the
tie-break of tchauffi/nonet, ``Strategy("mine", influence.fewest_legal(family.graph()))``. "Critical tokens
first" (VAST-UVA/dLLM_Reason, score log V - H) is ``neg_entropy`` under another name.

Dream and UPO draw K blanks without replacement from softmax(score / c). Gumbel noise c on the score is that
draw: the K largest of score / c + Gumbel(0, 1) are drawn from the softmax one after another, since the
largest is one draw (Gumbel-max) and, given it, the rest are as if drawn from the softmax over the others
(arXiv:1903.06059); multiplying by c moves no rank.
"""

from __future__ import annotations

from planorder.decoding import (
    adaptive,
    blocks,
    budgets,
    fixed_orders,
    influence,
    noise,
    orders,
    picks,
    planners,
    priors,
)
from planorder.decoding.strategies import Strategy

UPO = "arXiv:2510.05725 (UPO, reference policies)"
REASON = "VAST-UVA/dLLM_Reason (code, no paper)"
MASKGIT_STEPS = 16
ROW = 9

PRESETS: dict[str, Strategy] = {
    "right_to_left": Strategy(
        "right_to_left",
        fixed_orders.right_to_left,
        source="fixed order, the reverse of left_to_right",
        description="the last blank a step, likeliest value",
    ),
    "halton": Strategy(
        "halton",
        fixed_orders.Halton(),
        source="arXiv:2503.17076 (Halton-MaskGIT)",
        description="blanks along the 2-D Halton sequence of bases 2 and 3 over the grid, likeliest value",
        departures="one cell a step and likeliest values; there an arccos schedule and sampled ones. The "
        "grid is taken as nearly square (Halton(columns) for others)",
    ),
    "dilated": Strategy(
        "dilated",
        fixed_orders.Dilated(),
        budget=adaptive.whole_group,
        source="arXiv:2506.19037 (DUS, dilated unmasking)",
        description="in step t all blanks k with k mod floor(N / 2^t) = 0 of N cells, likeliest values",
        departures="one block of all cells; without the optional confidence below which a cell is put off. "
        "Groups without blanks take no step",
        cost="at most log2(N)",
    ),
    "blocks_top_prob": Strategy(
        "blocks_top_prob",
        orders.TopProb(),
        see=blocks.Blocks(ROW),
        source="arXiv:2502.09992 (LLaDA, semi-autoregressive); arXiv:2503.09573 (BD3-LM)",
        description="in the first block of 9 cells that has blanks the one of largest p1, likeliest value",
        departures="9 cells, a row of a Sudoku; texts take 32 and more",
    ),
    "blocks_random": Strategy(
        "blocks_random",
        orders.random_order,
        see=blocks.Blocks(ROW),
        source="arXiv:2503.09573 (BD3-LM, semi-autoregressive)",
        description="in the first block of 9 cells that has blanks a random one, likeliest value",
        departures="9 cells, a row of a Sudoku; likeliest values where BD3-LM samples",
    ),
    "block_refinement": Strategy(
        "block_refinement",
        orders.TopProb(),
        budget=budgets.Threshold(0.95),
        see=blocks.Blocks(32),
        source="huggingface/diffusers (code), BlockRefinementScheduler; arXiv:2602.08676 (LLaDA2.1)",
        description="in the first block of 32 cells that has blanks all with p1 >= 0.95, at least one",
        departures="without editing of filled cells; p1 >= 0.95 for p1 > 0.95",
        cost="1 to n",
    ),
    "maskgit": Strategy(
        "maskgit",
        orders.PickedProb(picks.Sample(1.0)),
        noise=planners.FadingGumbel(4.5, "linear"),
        budget=budgets.Remaining("cosine"),
        pick=picks.Sample(1.0),
        steps=MASKGIT_STEPS,
        source="arXiv:2202.04200 (MaskGIT)",
        description="values sampled first, blanks by log p(value) + 4.5 (1 - r) Gumbel, r = (i + 1) / T; "
        "floor(cos(pi/2 r) n) of the n blanks stay masked, at least one is filled; T = 16",
        departures="choice_temperature 4.5 of the class-conditional models; 1 is the function's own",
        cost="at most min(T, n)",
    ),
    "dream_alg_temp": Strategy(
        "dream_alg_temp",
        orders.neg_entropy,
        noise=noise.Gumbel(0.1),
        source="arXiv:2508.15487 (Dream, alg entropy with alg_temp); arXiv:1903.06059 (Gumbel-top-k)",
        description="a blank drawn from softmax(-H / 0.1), likeliest value",
        departures="one cell a step, where 512 steps with eps 1e-3 say how many; alg_temp 0.1 and likeliest "
        "values: Dream's default is 0 (neg_entropy), and its example "
        "samples values at temperature 0.2. Dream counts the blanks of the batch; here a row counts its own",
    ),
    "softmax_confidence": Strategy(
        "softmax_confidence",
        priors.PooledProb(0.05),
        noise=noise.Gumbel(0.05),
        source=UPO,
        description="a blank drawn with probability proportional to sum_v exp(p_v / 0.05), likeliest value",
    ),
    "random_among_top_5": Strategy(
        "random_among_top_5",
        priors.RandomAmongTop(5),
        source=f"{UPO}, Top-5",
        description="a random one of the five blanks of largest p1, likeliest value",
        departures="as the paper says; the branch bim of the code loses the five and draws from all blanks",
    ),
    "pc_sampler": Strategy(
        "pc_sampler",
        priors.PositionPrior(0.25, 10.0),
        source="arXiv:2508.13021 (PC-Sampler)",
        description="largest exp(-0.25 i) min(-p1 log q, 10) first, i the cell and q its value's background "
        "probability, likeliest value",
        departures="q uniform (a corpus there), so that the second factor is p1 log V; decay 0, the authors' "
        "setting for Sudoku, would be top_prob",
    ),
    "linear_position": Strategy(
        "linear_position",
        priors.LinearPosition(0.25, 10.0),
        source="arXiv:2508.13021 (PC-Sampler, code), linear_position",
        description="largest 0.75 c' + 0.25 (L - i) / L first, i the cell of L, c' = min(-p1 log q, 10) "
        "scaled to 0..1 over the row's blanks, likeliest value",
        departures="q uniform (a corpus there); one block of all cells; scaled over the row's blanks, not "
        "over filled cells and other rows too",
    ),
    "certainty_prior": Strategy(
        "certainty_prior",
        priors.CertaintyPrior(10.0),
        source="arXiv:2509.23094 (d2Cache)",
        description="largest p1 d first, d the Gaussian density (sigma 10 cells) of filled cells around it",
        departures="clues count as filled; distance along the cells, not over the grid",
    ),
    "curriculum": Strategy(
        "curriculum",
        priors.Curriculum(0.1),
        source=REASON,
        description="largest p1 - 0.1 H / max H first, likeliest value",
        departures="max H over the row's blanks, not over the batch",
    ),
    "adaptive_dynamic": Strategy(
        "adaptive_dynamic",
        influence.Readiness(0.3),
        budget=budgets.Fixed(4),
        memory=influence.Influence(0.5),
        source=REASON,
        description="the 4 blanks of largest r p1 a step, r the share of a blank's parents that are filled: "
        "cells of larger p1 whose cosine with it, smoothed at momentum 0.5, is above 0.3; likeliest values",
        departures="K = 4 (k=... for others), there from length and number of steps; one cell a step would "
        "be top_prob, since the surest blank's parents are filled. Every puzzle begins without a memory",
        cost="n / 4",
    ),
    "p2_plus": Strategy(
        "p2_plus",
        planners.frozen,
        pick=picks.Sample(1.0),
        memory=planners.first_draw,
        source="arXiv:2502.03540 (P2, code), p2_plus",
        description="in the order of log p(value) of values drawn in the first step, frozen; a blank a step, "
        "its value sampled anew",
        departures="each row has its own order, there the first row's; the pass that ranks is the first "
        "step's",
    ),
    "nonet_threshold": Strategy(
        "nonet_threshold",
        orders.TopProb(),
        budget=budgets.Threshold(0.999),
        source="tchauffi/nonet (code), the rule of arXiv:2505.22618",
        description="all blanks with p1 >= 0.999 a step, at least one, likeliest value",
        departures="without its tie-break by the number of legal values, which needs the puzzle's rules "
        "(influence.fewest_legal); the model is not told the time",
        cost="1 to n",
    ),
}
