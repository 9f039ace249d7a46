"""What a frontier decodes and how its front is drawn: dials by counting, fronts by a plain twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planorder.bench import Bench, frontier_of
from planorder.decoding import PRESETS
from planorder.decoding.adaptive import ChosenCount, ChosenFirst, EntropyBound, Stable
from planorder.decoding.budgets import Bernoulli, Fixed, Schedule
from planorder.frontier import CHOSEN, COLUMNS, Frontier, frontier_table, pareto, settings_of
from puzzles.base import UserInputError


def test_each_default_strategy_has_a_dial() -> None:
    for name in CHOSEN.split(","):
        settings = settings_of(PRESETS[name], [50, 20, 10, 5, 3])
        assert len(settings) == 5, name
        assert len({repr(strategy) for strategy in settings.values()}) == 5, name
        dial = {dial for dial, _ in settings}
        assert dial == {
            {"threshold": "tau", "klass": "tau", "factor": "factor", "eb_entropy": "gamma"}.get(name, "T")
        }


def test_cells_a_step_are_a_dial_beside_the_steps() -> None:
    margin = settings_of(PRESETS["top_margin"], [7], [4, 2])
    assert list(margin) == [("T", 7), ("K", 4), ("K", 2)]
    assert (margin["K", 4].steps, margin["K", 4].budget) == (None, Fixed(4))
    assert list(settings_of(PRESETS["random_k"], [], [8])) == [("K", 8)]
    assert {dial for dial, _ in settings_of(PRESETS["klass"], [7], [4])} == {"tau"}


def test_a_dial_that_the_preset_has_stands_among_its_values() -> None:
    for strategy in (PRESETS[name] for name in CHOSEN.split(",")):
        settings = settings_of(strategy, [50])
        if {dial for dial, _ in settings} - {"T"}:
            assert strategy in settings.values(), strategy.name


def test_settings_change_the_budget_and_what_agrees_with_it() -> None:
    vanilla = settings_of(PRESETS["vanilla"], [7])[("T", 7)]
    assert (vanilla.steps, vanilla.budget) == (7, Bernoulli("linear"))
    margin = settings_of(PRESETS["top_margin"], [7])[("T", 7)]
    assert (margin.steps, margin.budget) == (7, Schedule("linear"))
    bound = settings_of(PRESETS["eb_entropy"], [7])[("gamma", 0.5)]
    assert bound == replace(PRESETS["eb_entropy"], budget=EntropyBound(0.5))
    klass = settings_of(PRESETS["klass"], [7])[("tau", 0.5)]
    stable = Stable(0.5, PRESETS["klass"].order.chosen.epsilon)  # type: ignore[attr-defined]
    assert (klass.order, klass.budget) == (ChosenFirst(stable), ChosenCount(stable))
    own = replace(PRESETS["random"], budget=lambda view, score: view.n_blank_start)
    assert settings_of(own, [7]) == {("-", None): own}


def plain_pareto(passes: np.ndarray, accuracy: np.ndarray) -> list[bool]:
    """Whether no other point dominates, by a loop over pairs."""
    found = []
    for p, a in zip(passes, accuracy, strict=True):
        beaten = False
        for q, b in zip(passes, accuracy, strict=True):
            beaten |= q <= p and b >= a and (q, b) != (p, a)
        found.append(not beaten)
    return found


def fronts_agree(front: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> bool:
    """Whether a front is its plain twin, with ties on both counts."""
    rng = np.random.default_rng(0)
    cases = [(rng.integers(1, 6, 9).astype(float), rng.integers(0, 6, 9) / 5) for _ in range(20)]
    return all(front(p, a).tolist() == plain_pareto(p, a) for p, a in cases)


def test_the_front_is_its_plain_twin() -> None:
    assert fronts_agree(pareto)
    assert pareto(np.array([5.0, 5.0, 3.0]), np.array([0.9, 0.9, 0.2])).tolist() == [True, True, True]


@pytest.mark.parametrize(
    "fault",
    [
        lambda p, a: pareto(-p, a),
        lambda p, a: pareto(p, -a),
        lambda p, a: pareto(p + 1e-6 * np.arange(len(p)), a),
        lambda p, a: np.maximum.accumulate(a) == a,
    ],
)
def test_a_wrong_front_is_noticed(fault: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    assert not fronts_agree(fault)


def test_each_tier_has_a_front_of_its_own() -> None:
    row: dict[str, object] = dict.fromkeys(COLUMNS, 0.0)
    rows = [
        row | {"tier": t, "passes": p, "exact": e, "cell": -e}
        for t, p, e in (("a", 9, 0.9), ("b", 1, 1), ("a", 8, 0.9))
    ]
    assert frontier_table(rows, "exact")["on_frontier"].tolist() == [False, True, True]
    assert frontier_table([rows[0], {**rows[2], "cell": -1.0}], "cell")["on_frontier"].tolist() == [
        True,
        True,
    ]


def test_the_table_command_asks_for_the_same() -> None:
    plain = frontier_of(Bench("zebra", n=7, seed=2, out=Path("runs/x")))
    assert plain == Frontier("zebra", n=7, seed=2, out=Path("runs/x"))
    mine = frontier_of(Bench(orders="random", models="shallow", batch_size=9, device="cpu"))
    assert mine == Frontier(orders="random", model="shallow", batch_size=9, device="cpu")
    assert plain.orders == CHOSEN
    for changed in (
        {"steps": 5},
        {"k": 2},
        {"noise": "gumbel:1"},
        {"puzzles": Path("x")},
        {"pick": "sample"},
    ):
        with pytest.raises(UserInputError, match="with --frontier: expected none"):
            frontier_of(replace(Bench(), **changed))  # type: ignore[arg-type]
    with pytest.raises(UserInputError, match="--protocol, --best-of, --choose and --overwrite"):
        frontier_of(Bench(protocol="paper"))
