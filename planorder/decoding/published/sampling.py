"""Exact and random-order samplers: the reverse process of masked diffusion, in steps or a cell at a time.

For masked (absorbing) noise many published samplers are one law, and one preset stands for each:

- ``vanilla`` (in `basic`): MDLM's ancestral sampler and its ``ddpm_cache`` (arXiv:2406.07524), which only
  saves passes, as every decode here does; UNI-D2's absorbing sampler, which draws value and opening apart;
  the analytic (Tweedie) sampler of SEDD (arXiv:2310.16834); a binomial number K of random blanks
  (arXiv:2502.06768, appendix D.1.2). SEDD's Euler sampler is its first-order approximation.
- ``vanilla_cosine`` is the same on MD4's time grid, ``vanilla_nucleus`` cuts the tails of the values. MD4's
  sampler ``mean`` draws a value for every cell and then which of them open: the law of its ancestral one.
- ``vanilla_fixed_k`` takes the expected number in place of the binomial one.
- ``first_hitting`` has no grid: cells open one by one, as in the limit of many steps.
- ``random`` (in `basic`), ``random_k``: as these, likeliest values.

Samplers for uniform noise (D3PM, UDLM, Duo, GIDD), where every cell always holds a value, and samplers that
insert cells (FlexMDM, arXiv:2509.01025) have no meaning for masked models of fixed length and are not here.
"""

from __future__ import annotations

from planorder.decoding import budgets, orders, picks
from planorder.decoding.strategies import PAPER_STEPS, Strategy

MD4 = "arXiv:2406.04329 (MD4)"
RANDOM_K = 4

PRESETS: dict[str, Strategy] = {
    "vanilla_cosine": Strategy(
        "vanilla_cosine",
        orders.random_order,
        budget=budgets.Bernoulli("cosine"),
        pick=picks.Sample(1.0),
        steps=PAPER_STEPS,
        source=f"{MD4}, ancestral and mean samplers on the cosine grid",
        description="each blank opens by itself with probability (t - s) / t from t to s, t = cos(pi/2 i / T)"
        " after i of T steps, few early; sampled values",
        departures="50 steps, as arXiv:2502.06768 takes for puzzles",
        cost="at most min(T, n)",
    ),
    "vanilla_nucleus": Strategy(
        "vanilla_nucleus",
        orders.random_order,
        budget=budgets.Bernoulli("cosine"),
        pick=picks.Nucleus(0.98),
        steps=PAPER_STEPS,
        source=f"{MD4}, topp sampler; arXiv:1904.09751 (nucleus sampling)",
        description="as vanilla_cosine, values sampled from the fewest likeliest ones that hold 0.98",
        departures="50 steps, as vanilla_cosine",
        cost="at most min(T, n)",
    ),
    "vanilla_fixed_k": Strategy(
        "vanilla_fixed_k",
        orders.random_order,
        budget=budgets.Schedule("linear"),
        pick=picks.Sample(1.0),
        steps=PAPER_STEPS,
        source="arXiv:2502.06768 appendix D.1.2",
        description="K = #blank (alpha_s - alpha_t) / (1 - alpha_t) random blanks a step; sampled values",
        departures="K is rounded so that after step i round(n i / T) cells are filled",
        cost="min(T, n)",
    ),
    "first_hitting": Strategy(
        "first_hitting",
        orders.random_order,
        pick=picks.Sample(1.0),
        source="arXiv:2409.02908 (first-hitting sampler); arXiv:2503.09573 (BD3-LM)",
        description="a random blank a step, sampled value: the exact process without a time grid",
        departures="the hitting times are not drawn: a model that is not told the time cannot see them",
    ),
    "random_k": Strategy(
        "random_k",
        orders.random_order,
        budget=budgets.Fixed(RANDOM_K),
        source="arXiv:2502.09992 (LLaDA, random remasking)",
        description="4 random blanks a step, likeliest values",
        departures="K = 4 (k=... for others): there it follows from length and number of steps",
        cost="n / 4",
    ),
}
