from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest
import torch
from ceilings import Timer, copy_rate, least_seconds, matmul_rate
from pytest_benchmark.utils import load_timer
from tabulate import tabulate

from planorder.console import use_all_cores

ROWS, TIMER = pytest.StashKey[list[dict]](), pytest.StashKey[Timer]()


class Baseline(NamedTuple):
    """Another way to do the job: its name, a call of it, and how many items the call does."""

    name: str
    call: Callable[[], object]
    items: int


class Floor(NamedTuple):
    """The least that an item needs: bytes to move, or FLOP to compute in a number format."""

    bytes: float = 0.0
    flops: float = 0.0
    dtype: torch.dtype = torch.float32

    def seconds(self, timer: Timer) -> float:
        """Seconds an item, at the rates measured in this run."""
        moved = self.bytes / measured_copy_rate(timer=timer) if self.bytes else 0.0
        return max(moved, self.flops / measured_matmul_rate(self.dtype, timer=timer) if self.flops else 0.0)


measured_copy_rate = cache(copy_rate)
measured_matmul_rate = cache(matmul_rate)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []
    # Baselines and ceilings go by the clock that --benchmark-timer names.
    config.stash[TIMER] = load_timer(str(config.getoption("benchmark_timer"))).target
    use_all_cores()


@pytest.fixture
def race(benchmark, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Times a job against its baselines, by the least of some calls each; without timing calls it once.

    ``race(job, items, unit, baselines, floor=None, rounds=5)``: ``items`` of ``unit`` a call.
    """

    timer = request.config.stash[TIMER]

    def run(
        job: Callable[[], object],
        items: int,
        unit: str,
        baselines: list[Baseline],
        floor: Floor | None = None,
        rounds: int = 5,
    ) -> None:
        benchmark.pedantic(job, rounds=rounds, warmup_rounds=1)
        if not benchmark.enabled:
            return
        ours = benchmark.stats.stats.min / items
        row = {"job": request.node.name.removeprefix("bench_"), "items": items, "unit": unit}
        row["us_per_item"] = 1e6 * ours
        if floor:
            row["floor_us"] = 1e6 * floor.seconds(timer)
            row["floor_share"] = floor.seconds(timer) / ours
        for baseline in baselines:
            theirs = least_seconds(baseline.call, 2, timer=timer) / baseline.items
            versus = {"baseline": baseline.name, "baseline_us": 1e6 * theirs, "times_faster": theirs / ours}
            request.config.stash[ROWS].append(row | versus)
            benchmark.extra_info[baseline.name] = versus
        benchmark.extra_info.update(row)

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[ROWS]
    if not rows:
        return
    terminalreporter.section("against the baselines")
    timer = config.stash[TIMER]
    rates = [measured_matmul_rate(dtype, timer=timer) / 1e9 for dtype in (torch.float32, torch.bfloat16)]
    terminalreporter.line(
        f"measured here: copy {measured_copy_rate(timer=timer) / 1e9:.1f} GB/s, "
        f"matmul {rates[0]:.0f} GFLOP/s (fp32) and {rates[1]:.0f} (bf16), "
        f"{torch.get_num_threads()} threads, {timer}"
    )
    terminalreporter.line(tabulate(rows, headers="keys", floatfmt=".3g"))
