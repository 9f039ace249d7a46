"""What the commands share: one-line errors, exit codes, devices and progress bars."""

from __future__ import annotations

import ctypes
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Literal, TypeVar

import torch
import tyro
from tqdm import tqdm

from planorder.distributed import check_one_rank, check_restarts, joined, world
from planorder.training.config import autocast_dtype
from puzzles.base import UserInputError

Arguments = TypeVar("Arguments")
DeviceName = Literal["auto", "cpu", "cuda"]
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names of glibc's malloc.h


def command_line(
    program: str,
    kind: type[Arguments],
    command: Callable[[Arguments], None],
    examples: str,
    *,
    on_ranks: bool = False,
) -> None:
    """Parses the command line of ``python -m program`` into ``kind`` and runs the command.

    Under torchrun all ranks do so, if the command is one that shares its work out (``on_ranks``), and the
    first that meets an error tells it. Exit codes: 0, 2 for a user's mistake (one line on stderr), 130 for
    Ctrl-C, 141 where the reader of a pipe has gone (``| head``).
    """
    with joined() as speaks:
        try:
            with nullcontext() if world().first else muted():
                arguments = tyro.cli(
                    kind, prog=f"python -m {program}", description=f"{kind.__doc__}\n\nexamples:\n{examples}"
                )
            check_restarts()
            if not on_ranks:
                check_one_rank(f"python -m {program}")
            command(arguments)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own last flush
            raise SystemExit(141) from None
        except UserInputError as error:
            if speaks():
                print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            if speaks():
                print("\nstopped by Ctrl-C: nothing half-written was left behind", file=sys.stderr)
            raise SystemExit(130) from None


@contextmanager
def muted() -> Iterator[None]:
    """Drops what the block prints: help and mistakes that rank 0 tells."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def resolve_device(name: DeviceName) -> str:
    """ "cpu" or "cuda"; "auto" takes the GPU where there is one.

    Raises:
        UserInputError: "cuda" without a GPU that PyTorch can use, or with more ranks than GPUs.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserInputError(
            "--device cuda: PyTorch sees no GPU here; use --device cpu or a CUDA build of PyTorch"
        )
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if world().size > 1 else 1  # as torchrun says
    if name == "cuda" and here > torch.cuda.device_count():
        raise UserInputError(
            f"--device cuda: {here} ranks on a machine with {torch.cuda.device_count()} GPUs: expected at "
            "most a rank a GPU; give torchrun a smaller --nproc-per-node, or --device cpu"
        )
    return name


def default_batch_size(device: str) -> int:
    """Puzzles at a time: what fits a CPU's caches, or what fills a GPU."""
    return 256 if device == "cpu" else 4096


def precision_name(name: str, device: str) -> str:
    """ "bf16" or "fp32", after "auto" has looked at the processor."""
    return "fp32" if autocast_dtype(name, device) is None else "bf16"


def use_all_cores() -> None:
    """As many threads as the process may use (``OMP_NUM_THREADS`` wins), and memory that is kept.

    A network frees and takes the same large buffers at every step; handing them back to the system, as glibc
    does by default, costs a third of the time in page faults.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        affinity = getattr(os, "sched_getaffinity", None)
        torch.set_num_threads(len(affinity(0)) if affinity else os.cpu_count() or 1)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """Says, where Ctrl-C ends the block, that the same command goes on with what is in ``out``."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\n{out} has what is finished: the same command goes on from there", file=sys.stderr)
        raise


@contextmanager
def progress_bar(total: int, label: str, unit: str = "puzzle") -> Iterator[Callable[[int], None]]:
    """A bar on stderr, on rank 0; gives the function that moves it on."""
    with tqdm(
        total=total,
        desc=label,
        unit=unit,
        file=sys.stderr,
        dynamic_ncols=True,
        smoothing=0.05,
        disable=not world().first,
    ) as bar:
        yield lambda n: (bar.update(n), None)[1]
