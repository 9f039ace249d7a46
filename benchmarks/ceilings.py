"""What the machine can do at most, measured: the floor beside every time."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

Timer = Callable[[], float]


def least_seconds(
    job: Callable[[], object], rounds: int = 5, device: str = "cpu", timer: Timer = time.perf_counter
) -> float:
    """The shortest of some calls, after one that is not counted; waits for a GPU to finish."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    job()
    wait()
    seconds = []
    for _ in range(rounds):
        started = timer()
        job()
        wait()
        seconds.append(timer() - started)
    return min(seconds)


def matmul_rate(dtype: torch.dtype, device: str = "cpu", timer: Timer = time.perf_counter) -> float:
    """FLOP/s of one large matrix product, a multiply and an add counted apart."""
    n = 768 if device == "cpu" else 8192
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    return 2 * n**3 / least_seconds(lambda: a @ b, 20, device, timer)


def copy_rate(device: str = "cpu", timer: Timer = time.perf_counter) -> float:
    """Bytes/s of a copy too large for the caches, those read and those written counted together."""
    n = 2**27 if device == "cpu" else 2**30
    source = torch.zeros(n, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * n / least_seconds(lambda: target.copy_(source), 5, device, timer)


def flops_of(job: Callable[[], object]) -> int:
    """FLOP of the matrix products and convolutions in a call, backward passes included."""
    with FlopCounterMode(display=False) as counter:
        job()
    return counter.get_total_flops()
