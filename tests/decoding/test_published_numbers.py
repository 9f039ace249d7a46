"""The numbers of the literature, once more, against the fields of the presets; and departures that are said.

Numbers and rows are those of a survey of papers and code, kept apart from the presets on purpose: a slip in a
preset, in the code or in its description, is one here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planorder.decoding import PRESETS, Strategy
from planorder.decoding.adaptive import ChosenFirst, Stable
from planorder.decoding.orders import TopProb

RDM = {"steps": 50, "remask.__name__": "route"}
STABLE = {"order.chosen.tau": 0.9, "order.chosen.epsilon": 0.01, "memory.length": 2}
P2 = {"order.pick.temperature": 1.0, "pick.temperature": 1.0, "budget.kappa": "linear"}
NUMBERS: dict[str, dict[str, Any]] = {
    "vanilla": {"budget.kind": "linear", "pick.temperature": 1.0},  # 1
    "vanilla_cosine": {"budget.kind": "cosine", "pick.temperature": 1.0},  # 3
    "vanilla_nucleus": {"budget.kind": "cosine", "pick.p": 0.98},  # 3
    "vanilla_fixed_k": {"budget.kind": "linear", "steps": 50},  # 5, steps of 15
    "first_hitting": {"budget.k": 1},  # 6
    "maskgit": {
        "noise.coefficient": 4.5,
        "noise.kappa": "linear",
        "budget.kind": "cosine",
        "steps": 16,
    },  # 17
    "rdm_deterministic_linear": RDM | {"budget.kappa": "linear"},  # 19
    "rdm_deterministic_cosine": RDM | {"budget.kappa": "cosine"},  # 19
    "rdm_stochastic_linear": RDM | {"budget.kappa": "linear", "noise.coefficient": 0.5},  # 19, c of 20
    "rdm_stochastic_cosine": RDM | {"budget.kappa": "cosine", "noise.coefficient": 0.5},  # 19, c of 20
    "rdm_conditional": {"budget.line.kappa": "linear", "steps": 50},  # 19
    "mgdm": {
        "noise.coefficient": 0.5,
        "noise.kappa": "linear",
        "budget.kappa": "linear",
        "revise": True,
        "steps": 20,
    },  # 20
    "mgdm_random": {"budget.kind": "linear", "steps": 20},  # 20
    "pc_sampler": {"order.decay": 0.25, "order.clip": 10.0},  # 21
    "linear_position": {"order.weight": 0.25, "order.clip": 10.0},  # 21
    "curriculum": {"order.weight": 0.1},  # 24
    "random_among_top_5": {"order.k": 5},  # 27
    "softmax_confidence": {"order.tau": 0.05, "noise.coefficient": 0.05},  # 27
    "nonet_threshold": {"budget.tau": 0.999},  # 28
    "hierarchy": {"order.chosen.low": 0.4, "order.chosen.high": 0.9},  # 30, tau of 32
    "credit": {"see.weight": 0.7, "memory.decay": 0.8, "memory.power": 0.2, "budget.tau": 0.9},  # 31, 32
    "threshold": {"budget.tau": 0.9},  # 32
    "eb_entropy": {"budget.gamma": 0.1},  # 34
    "eb_confidence": {"budget.gamma": 0.1},  # 34
    "eb_margin": {"budget.gamma": 0.1},  # 34
    "cumulative_error": {"budget.limit": 0.5},  # 35
    "klass": STABLE,  # 36
    "klass_gsm8k": STABLE | {"order.chosen.tau": 0.6, "order.chosen.epsilon": 0.015},  # 36
    "klass_math": STABLE | {"order.chosen.epsilon": 0.005},  # 36
    "klass_max_conf": STABLE,  # 36
    "klass_min_kl": STABLE,  # 36
    "klass_random": STABLE,  # 36
    "block_refinement": {"see.size": 32, "budget.tau": 0.95},  # 38
    "remdm_cap": {"budget.sigma.eta": 0.008},  # 40
    "remdm_rescale": {"budget.sigma.eta": 0.015},  # 41
    "remdm_loop": {
        "budget.sigma.eta": 0.02,
        "budget.sigma.t_on": 0.55,
        "budget.sigma.t_off": 0.05,
        "budget.sigma.alpha_on": 0.9,
    },  # 43
    "p2_ancestral": P2 | {"order.q": "random", "order.eta": 0.0},  # 46
    "p2_greedy": P2 | {"order.q": "log_prob", "order.eta": 1.0},  # 46
    "p2_margin": P2 | {"order.q": "margin", "order.eta": 1.0},  # 46
    "p2_dfm": P2 | {"order.q": "random", "order.eta": 1.0},  # 46
    "adaptive_dynamic": {"order.threshold": 0.3, "memory.momentum": 0.5, "budget.k": 4},  # 25
    "p2_plus": {"pick.temperature": 1.0, "budget.k": 1},  # 46
    "wino": {"budget.wide": 0.6, "budget.narrow": 0.9},  # 49
    "gibbs_corrector": {"remask.k": 1, "remask.tau": 1.0},  # 51
    "info_gain": {
        "order.candidates": 8,
        "order.temperature": 0.2,
        "order.weight": 1.0,
        "order.bypass": 0.8,
    },  # 53
    "lookum": {"order.candidates": 3},  # 54
}
"""Of each preset the parameters of its rule as published, by row of the survey."""
NO_NUMBERS = (
    *("random", "left_to_right", "right_to_left", "solver_order", "oracle_margin", "neg_entropy"),
    *("top_prob", "top_margin", "halton", "dilated", "remdm_conf", "forward_backward", "dfm_corrector"),
)
"""Rules without a number of their own, or with constants that their twins hold."""
OURS = {
    "random_k": {"budget.k": 4},
    "routing_top_prob": {"budget.k": 1},
    "routing_top_margin": {"budget.k": 1},
    "blocks_top_prob": {"see.size": 9},
    "blocks_random": {"see.size": 9},
    "dream_alg_temp": {"noise.coefficient": 0.1},
    "lookahead_margin": {"order.candidates": 4},
    "certainty_prior": {"order.sigma": 10.0},
    "factor": {"budget.factor": 1.0},
    "psi_sampler": {"budget.sigma.kappa": 0.99, "budget.sigma.until": 0.1},
}
"""Numbers that are our choice, or one of which the survey has no row."""


def read(strategy: Strategy, path: str) -> Any:
    """A field of a part of a strategy; a bound method stands for the part that it belongs to."""
    found: Any = strategy
    for name in path.split("."):
        found = getattr(getattr(found, "__self__", found), name)
    return found


def slips(strategies: dict[str, Strategy], table: dict[str, dict[str, Any]]) -> list[str]:
    """Every field with another number than the table's, and every broken number that a description lacks."""
    found = []
    for name, numbers in table.items():
        for path, number in numbers.items():
            if read(strategies[name], path) != number:
                found.append(f"{name} {path}")
            if isinstance(number, float) and number % 1 and f"{number:g}" not in strategies[name].description:
                found.append(f"{name} description {number:g}")
    return found


def test_every_preset_has_the_published_numbers_and_says_them() -> None:
    assert slips(dict(PRESETS), NUMBERS) == []
    assert slips(dict(PRESETS), OURS) == []
    listed = [*NUMBERS, *NO_NUMBERS, *OURS]
    assert sorted(listed) == sorted(PRESETS), "a new preset belongs into one of the three"


def test_order_budget_and_remask_of_a_rule_have_the_same_numbers() -> None:
    for name, strategy in PRESETS.items():
        parts = (strategy.order, strategy.budget)
        if all(hasattr(part, "chosen") for part in parts):
            assert read(strategy, "order.chosen") == read(strategy, "budget.chosen"), name
        if hasattr(strategy.remask, "__self__"):
            assert strategy.remask.__self__ == strategy.budget.__self__, name
        if hasattr(strategy.noise, "kappa"):
            assert strategy.noise.kappa == getattr(strategy.budget, "kappa", strategy.noise.kappa), name


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("klass", {"order": ChosenFirst(Stable(0.9, 0.1))}, "klass order.chosen.epsilon"),
        ("threshold", {"budget": replace(PRESETS["threshold"].budget, tau=0.95)}, "threshold budget.tau"),
        ("maskgit", {"steps": 12}, "maskgit steps"),
        ("remdm_cap", {"budget": PRESETS["remdm_rescale"].budget}, "remdm_cap budget.sigma.eta"),
        ("pc_sampler", {"description": "largest exp(-0.5 i) first"}, "pc_sampler description 0.25"),
    ],
)
def test_a_slip_is_found(name: str, wrong: dict, said: str) -> None:
    assert slips(PRESETS | {name: replace(PRESETS[name], **wrong)}, NUMBERS) == [said]


DEPARTURES = {
    "vanilla": ("50 steps", "128"),  # 1
    "random": ("one cell a step",),  # 10, 12
    "top_prob": ("one cell a step", "no noise", "50 steps", "Gumbel 0.5"),  # 15
    "top_margin": ("one cell a step", "no noise", "50 steps", "Gumbel 0.5"),  # 15
    "neg_entropy": ("one cell a step", "512"),  # 18
    "maskgit": ("4.5", "1 is the function's own"),  # 17
    "dream_alg_temp": ("one cell a step", "512 steps", "eps 1e-3"),  # 18
    "routing_top_prob": ("one cell a step", "no noise", "T = 20", "0.5"),  # 20
    "routing_top_margin": ("one cell a step", "no noise", "T = 20", "0.5"),  # 20
    "rdm_deterministic_linear": ("50 steps", "10"),  # 19
    "threshold": ("one block", "32"),  # 12, 32
    "factor": ("one block",),  # 12, 33
    "cumulative_error": ("81 steps",),  # 35
    "klass": ("one block",),  # 36
    "remdm_cap": ("128 steps", "1,024"),  # 43
    "p2_margin": ("probabilities", "log p1 - log p2"),  # 46
    "gibbs_corrector": ("one corrector step",),  # 51
}
"""Words that a preset's departures must have."""


def unsaid(strategies: dict[str, Strategy]) -> list[str]:
    return [
        f"{name}: {word}"
        for name, words in DEPARTURES.items()
        for word in words
        if word not in strategies[name].departures
    ]


def test_departures_from_the_published_setting_are_said() -> None:
    assert unsaid(dict(PRESETS)) == []
    silent = replace(PRESETS["vanilla"], departures="")
    assert unsaid(PRESETS | {"vanilla": silent}) == ["vanilla: 50 steps", "vanilla: 128"]


def test_a_part_is_read_through_the_methods_of_a_rule() -> None:
    assert read(PRESETS["remdm_loop"], "budget.sigma.t_on") == 0.55
    assert read(PRESETS["top_prob"], "order") == TopProb()
