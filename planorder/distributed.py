"""Several processes as one run: which rank this is, and what ranks tell each other; torchrun starts them.

Without torchrun there is one rank and no process group, and what is gathered is what was given. A rank is a
process of `torch.distributed` here, and has nothing to do with the ranks of a puzzle's solver.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed as dist

from puzzles.base import UserInputError

Value = TypeVar("Value")
PATIENCE = timedelta(hours=12)
"""How long ranks wait for one that generates or validates; torchrun ends them at once when one is lost."""


@dataclass(frozen=True)
class World:
    """This process among all of the run.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone writes and prints."""
        return self.rank == 0


def world() -> World:
    """As the process group of PyTorch says; one rank where there is none."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


@contextmanager
def joined() -> Iterator[Callable[[], bool]]:
    """Joins, for the block, the ranks that torchrun started; does nothing without torchrun or with one rank.

    Tensors on a CPU and Python objects go by gloo, tensors on a GPU by NCCL; "cuda" becomes the GPU of this
    rank.

    Yields:
        A function that is true on the first rank that calls it: the one that tells the user of an error.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()) or os.environ["WORLD_SIZE"] == "1":
        yield lambda: True
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    store, rank, size = next(dist.rendezvous("env://", timeout=PATIENCE))
    if os.environ["GROUP_WORLD_SIZE"] == "1":  # torchrun keeps its store, and what lost ranks wrote into it
        store = dist.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
    dist.init_process_group(store=store, rank=rank, world_size=size, timeout=PATIENCE)
    yield lambda: _is_first(store)
    dist.destroy_process_group()  # not after an error: torchrun ends the other ranks, which still wait


def everyone(value: Value) -> list[Value]:
    """The values of all ranks, by rank, on each of them; they are pickled."""
    if not world().size > 1:
        return [value]
    found: list[Value] = [value] * world().size
    with _lost_ranks():
        dist.all_gather_object(found, value)
    return found


def gather_rows(mine: torch.Tensor) -> torch.Tensor:
    """``[size * rows, ...]``: the ``[rows, ...]`` of all ranks in their order; all have the same shape."""
    if not world().size > 1:
        return mine
    found = torch.empty((world().size * len(mine), *mine.shape[1:]), dtype=mine.dtype, device=mine.device)
    with _lost_ranks():
        dist.all_gather(list(found.chunk(world().size)), mine.contiguous())
    return found


@contextmanager
def first_rank_first() -> Iterator[None]:
    """Lets rank 0 through the block, and then the others: it makes a file that they read."""
    if not world().first:
        everyone(None)
    yield
    if world().first:
        everyone(None)


def check_restarts() -> None:
    """Refuses restarts on several machines with a store that outlives them, where new ranks can wait for old.

    Machines count restarts on their own (https://github.com/pytorch/pytorch/issues/135712), so that a prefix
    cannot tell the attempts apart there.
    """
    if world().size == 1:
        return
    machines, restarts = os.environ["GROUP_WORLD_SIZE"], os.environ["TORCHELASTIC_MAX_RESTARTS"]
    if machines != "1" and restarts != "0" and os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "True":
        raise UserInputError(
            f"--max-restarts {restarts} on {machines} machines: expected the environment variable "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 before torchrun; set it, or drop --max-restarts"
        )


def check_one_rank(command: str) -> None:
    """Raises `UserInputError` where torchrun started more than one rank of a command that has use for one."""
    if world().size > 1:
        raise UserInputError(f"{command}: runs on one rank, not on {world().size}: start it without torchrun")


@contextmanager
def _lost_ranks() -> Iterator[None]:
    """Says in one line that another rank has ended while this one waited for it."""
    try:
        yield
    except RuntimeError as error:
        reason = (
            re.sub(r"^\[\S*\] ", "", str(error)).split("\n")[0].split(". ")[0]
        )  # gloo's begin with a file
        raise UserInputError(
            f"another rank ended early ({reason}): run the same command again; a training goes on from its "
            "last saved state"
        ) from error


def _is_first(store: dist.Store) -> bool:
    """Whether nobody asked before; a rank that cannot ask any more speaks for itself."""
    try:
        return bool(store.add("asked", 1) == 1)
    except RuntimeError:
        return True
