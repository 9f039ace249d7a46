"""Noise schedules: ends, fall, derivatives against differences; times: uniform, stratified, never 0."""

from __future__ import annotations

import math

import pytest
import torch

from planorder.decoding.budgets import alphas
from planorder.training.objectives import schedules
from planorder.training.objectives.schedules import Schedule, times
from puzzles.base import UserInputError

SCHEDULES = [
    Schedule(),
    Schedule("cosine"),
    Schedule("polynomial", 0.5),
    Schedule("polynomial", 2.0),
    Schedule("polynomial", 3.0),
]
T = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)


def faults(schedule: Schedule) -> list[str]:
    """What is wrong with a schedule."""
    ends = schedule.alpha(torch.tensor([0.0, 1.0], dtype=torch.float64))
    h = 1e-5
    slope = (schedule.alpha(T + h) - schedule.alpha(T - h)) / (2 * h)
    s = T - 0.01
    checks = {
        "ends": torch.allclose(ends, torch.tensor([1.0, 0.0], dtype=torch.float64), atol=1e-12),
        "falls": bool((schedule.alpha(T).diff() < 0).all()),
        "masked": torch.allclose(schedule.masked(T), 1 - schedule.alpha(T), rtol=1e-12),
        "slope": torch.allclose(schedule.slope(T), slope, rtol=1e-6),
        "sign": bool((schedule.slope(T) < 0).all() and (schedule.hazard(T) > 0).all()),
        "hazard": torch.allclose(schedule.hazard(T), -slope / (1 - schedule.alpha(T)), rtol=1e-6),
        "opening": torch.allclose(
            schedule.opening(T, 0.01),
            (schedule.alpha(s) - schedule.alpha(T)) / (1 - schedule.alpha(T)),
            rtol=1e-9,
        ),
    }
    return [name for name, holds in checks.items() if not holds]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_schedules_are_what_they_say(schedule: Schedule) -> None:
    assert faults(schedule) == []


class Rising(Schedule):
    def hazard(self, t: torch.Tensor) -> torch.Tensor:
        return -super().hazard(t)


class InVisibleShare(Schedule):
    """The weight of the fraction that is shown, a published bug."""

    def hazard(self, t: torch.Tensor) -> torch.Tensor:
        return -self.slope(t) / self.alpha(t)


class Unfinished(Schedule):
    def masked(self, t: torch.Tensor) -> torch.Tensor:
        return 0.9 * super().masked(t)


@pytest.mark.parametrize(
    ("schedule", "found"),
    [(Rising(), {"sign", "hazard"}), (InVisibleShare(), {"hazard"}), (Unfinished(), {"ends", "slope"})],
    ids=lambda value: type(value).__name__,
)
def test_a_planted_fault_is_found(schedule: Schedule, found: set[str]) -> None:
    assert set(faults(schedule)) == found


def test_values_by_hand() -> None:
    half = torch.tensor(0.5, dtype=torch.float64)
    assert Schedule().alpha(half).item() == 0.5
    assert Schedule("polynomial", 2.0).alpha(half).item() == 0.75
    assert Schedule("cosine").alpha(half).item() == pytest.approx(1 - math.sqrt(0.5))
    assert Schedule("polynomial", 2.0).hazard(half).item() == 4
    assert Schedule().opening(torch.tensor(0.4), 0.1).item() == pytest.approx(0.25)
    assert Schedule("cosine").opening(torch.tensor(0.1), 0.1).item() == 1  # the last step opens the rest


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_training_and_decoding_mean_the_same_schedule(kind: str) -> None:
    """Time runs down while decoding: after i of T steps t is 1 - i/T."""
    i = torch.arange(9, dtype=torch.float64)
    assert torch.allclose(Schedule(kind).alpha(1 - i / 8), alphas(kind, 8, torch.device("cpu")), atol=1e-12)


def test_the_least_draw_is_time_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws are in [0, 1), times in (0, 1], where weights are finite."""
    monkeypatch.setattr(schedules, "mask_rates", lambda batch, generator: torch.zeros(batch))
    assert times(3, torch.Generator()).tolist() == [1.0] * 3


@pytest.mark.parametrize("stratified", [True, False])
def test_times_are_uniform_and_never_zero(stratified: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([times(8, generator, stratified=stratified) for _ in range(3000)]).double()
    assert ((drawn > 0) & (drawn <= 1)).all()
    for place in (0, 5):
        share = torch.histc(drawn[:, place], 10, 0, 1) / 3000
        assert ((share - 0.1).abs() < 5 * math.sqrt(0.09 / 3000)).all()
    spread = drawn.mean(1).var().item()
    assert spread == pytest.approx(1 / 12 / (64 if stratified else 8), rel=0.15)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("quadratic",), "schedule 'quadratic': expected one of linear, polynomial, cosine"),
        (("polynomial", 0.0), "exponent=0.0"),
        (("linear", 2.0), "exponent=2.0 of schedule 'linear'"),
    ],
)
def test_unknown_schedules_are_told(fields: tuple, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        Schedule(*fields)
