"""Rules that rank filled cells and blanks together at every step: RDM, MGDM and P2.

In every step they mask the floor(n (1 - kappa)) of a row's n blanks that score least, on a schedule of T
steps, and differ in two choices. A filled cell above the line keeps its value in RDM and P2 and takes the
model's likeliest anew in MGDM (`Strategy.revise`). It is scored by the likeliest value in RDM and MGDM and by
the one it holds in P2. `routing_top_prob` and `routing_top_margin` (published/basic.py) are MGDM's rule
without noise, one cell a step: `mgdm` is ``with_options(routing_top_prob, steps=20)`` but for noise and the
rounding of the line.
"""

from __future__ import annotations

from dataclasses import replace

from planorder.decoding import budgets, noise, orders, picks, planners, remask
from planorder.decoding.strategies import PAPER_STEPS, Strategy

RDM, MGDM, P2 = "arXiv:2302.05737 (RDM)", "arXiv:2410.14157 (MGDM)", "arXiv:2502.03540 (P2)"
NOISE = 0.5
MGDM_STEPS = 20
"""T of MGDM's scripts for Sudoku; 64 elsewhere."""
UP_TO_T = "up to T"
HELD = "filled cells are scored by the value they hold, not by one drawn anew"


def rdm(name: str, kappa: str, coefficient: float | None) -> Strategy:
    """RDM's "uncond" routing on a schedule, "deterministic" or "stochastic" with a coefficient."""
    fades = "" if coefficient is None else f" + {coefficient} (1 - kappa) Gumbel"
    return Strategy(
        name,
        orders.TopProb(scale="log"),
        noise=noise.no_noise if coefficient is None else planners.FadingGumbel(coefficient, kappa),
        budget=planners.Line(kappa),
        remask=remask.route,
        steps=PAPER_STEPS,
        source=RDM,
        description=f"masks the floor(n (1 - kappa)) cells of least log p1{fades}, filled or not; {kappa}",
        departures="50 steps, where its decoding takes 10; time is no input of the model"
        + ("" if coefficient is None else "; the coefficient is MGDM's, as RDM leaves it to its user"),
        cost=UP_TO_T,
    )


def rdm_conditional(name: str, kappa: str) -> Strategy:
    """RDM's "cond" routing, deterministic."""
    routing = planners.ConditionalRouting(planners.Line(kappa))
    return replace(
        rdm(name, kappa, None),
        budget=routing.budget,
        remask=routing.remask,
        description="as rdm_deterministic_linear, but a filled cell below the line is masked only if its "
        "value is still the likeliest and has lost probability since it was filled",
    )


def p2(name: str, q: str, eta: float, description: str, departures: str = HELD) -> Strategy:
    """P2 with one of its scores q, eta and the linear schedule; values are sampled."""
    pick = picks.Sample(1.0)
    return Strategy(
        name,
        planners.PathScore(q, eta, pick),
        budget=planners.Line("linear"),
        pick=pick,
        remask=remask.route,
        steps=PAPER_STEPS,
        source=P2,
        description=f"{description}; masks the floor(n (1 - kappa)) cells of least score, q on blanks and "
        f"{eta:g} q on filled cells",
        departures=departures,
        cost=UP_TO_T,
    )


PRESETS: dict[str, Strategy] = {
    "rdm_deterministic_linear": rdm("rdm_deterministic_linear", "linear", None),
    "rdm_deterministic_cosine": rdm("rdm_deterministic_cosine", "cosine", None),
    "rdm_stochastic_linear": rdm("rdm_stochastic_linear", "linear", NOISE),
    "rdm_stochastic_cosine": rdm("rdm_stochastic_cosine", "cosine", NOISE),
    "rdm_conditional": rdm_conditional("rdm_conditional", "linear"),
    "mgdm": Strategy(
        "mgdm",
        orders.TopProb(scale="log"),
        noise=planners.FadingGumbel(NOISE, "linear"),
        budget=planners.Line("linear"),
        remask=remask.route,
        revise=True,
        steps=MGDM_STEPS,
        source=MGDM,
        description="predicts all cells but the clues anew and masks the floor(n (1 - kappa)) of least "
        "log p1 + 0.5 (1 - kappa) Gumbel (stochastic0.5-linear)",
        departures="time is no input of the model",
        cost=UP_TO_T,
    ),
    "mgdm_random": Strategy(
        "mgdm_random",
        orders.random_order,
        budget=budgets.Bernoulli("linear"),
        steps=MGDM_STEPS,
        source=f"{MGDM}, without top-k decoding",
        description="each blank opens by itself with probability 1 / (T - i) in step i, likeliest value",
        departures="time is no input of the model",
        cost="at most min(T, n)",
    ),
    "p2_ancestral": p2("p2_ancestral", "random", 0.0, "random q, so filled cells stay"),
    "p2_greedy": p2("p2_greedy", "log_prob", 1.0, "q = log p of the value"),
    "p2_margin": p2(
        "p2_margin",
        "margin",
        1.0,
        "q = log of the value's lead over the likeliest other",
        f"the lead is one of probabilities, log(p(value) - p(other)) < 0, where the source takes log p1 - "
        f"log p2 > 0 of the two likeliest; {HELD}",
    ),
    "p2_dfm": p2("p2_dfm", "random", 1.0, "random q, so that filled cells are masked as easily as blanks"),
}
