"""A network and a strategy on the puzzles of a tier: decoded and judged, and as points done only once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from planorder.choices import sampled
from planorder.console import default_batch_size, precision_name, progress_bar
from planorder.decoding import Strategy, decode
from planorder.decoding.autoregressive import decode_autoregressive
from planorder.decoding.d3pm import D3PM, decode_d3pm, process_of
from planorder.decoding.particles import best_of
from planorder.decoding.shards import decode_on_ranks
from planorder.decoding.view import Decoded
from planorder.models import AutoregressiveModel, parameter_count
from planorder.models.checkpoint import LoadedModel
from planorder.results.evaluate import FREE, Outcome, score
from planorder.results.points import PointFolder
from planorder.results.resampling import t_interval
from planorder.results.tables import per_puzzle, summarise, with_cell_interval
from puzzles.base import PuzzleBatch, UserInputError

COLUMNS = (
    *("family", "tier", "model", "strategy", "n", "exact", "exact_low", "exact_high", "valid", "cell"),
    *("passes", "passes_low", "passes_high", "seconds", "seed", "cell_low", "cell_high"),
)
"""Of a point's row, after its settings."""
Job = tuple[str, LoadedModel, Strategy | None]
"""A tier, a network and its strategy; None is for a network that has a way of its own, see `own_way`."""


@dataclass(frozen=True)
class Decoding:
    """How jobs are decoded.

    Attributes:
        seed: of every random choice, of 64 bits.
        device: as `console.resolve_device` gave it.
        precision: "fp32" or "bf16".
        batch_size: puzzles at a time.
        samples: whether an autoregressive network, which has no strategy, samples its values; None: as
            `choices.sampled` has it for strategies, where puzzles have many solutions.
        best_of: decodes of a puzzle by a strategy, of which one counts (`particles.best_of`).
        oracle: whether that is one that is right, if any is, instead of the most confident.
    """

    seed: int
    device: str
    precision: str
    batch_size: int
    samples: bool | None = None
    best_of: int = 1
    oracle: bool = False

    def network(self, loaded: LoadedModel, strategy: Strategy | None) -> str:
        """What tables call the network."""
        if strategy is None or self.best_of == 1:
            return loaded.name
        return f"{loaded.name} x{self.best_of}{' oracle' if self.oracle else ''}"


def own_way(loaded: LoadedModel) -> str | None:
    """What tables call the only way to decode a network, or None for a masked one, which takes strategies.

    An autoregressive network chooses its cells itself; one of D3PM's noise of values refines them all.
    """
    if isinstance(loaded.model, AutoregressiveModel):
        return FREE
    return D3PM if process_of(loaded.info) else None


def run_job(job: Job, batch: PuzzleBatch, how: Decoding, progress: Callable[[int], None]) -> Outcome:
    """Decodes the puzzles of a tier with one network and strategy, on all ranks, and judges them.

    Of several decodes the passes of all are counted.
    """
    tier, loaded, strategy = job
    if not -(2**63) <= how.seed < 2**63:
        raise UserInputError(f"--seed {how.seed}: expected a whole number of 64 bits")
    started = time.perf_counter()
    decoded = decode_on_ranks(
        lambda rows: decode_rows(loaded, strategy, rows, how, progress), batch, how.batch_size, progress
    )
    return Outcome(
        family=batch.family,
        tier=tier,
        model=how.network(loaded, strategy),
        strategy=strategy.name if strategy else str(own_way(loaded)),
        seed=how.seed,
        seconds=time.perf_counter() - started,
        parameters=parameter_count(loaded.model),
        rows=score(loaded.family, batch, decoded.cells, decoded.passes, decoded.step),
        cells=decoded.cells,
        step=decoded.step,
        prob=decoded.prob,
    )


def decode_rows(
    loaded: LoadedModel,
    strategy: Strategy | None,
    rows: PuzzleBatch,
    how: Decoding,
    progress: Callable[[int], None],
) -> Decoded:
    """Decodes puzzles by a strategy, or in the network's own way."""
    options: dict[str, Any] = {
        "seed": how.seed,
        "device": how.device,
        "batch_size": how.batch_size,
        "precision": how.precision,
        "progress": progress,
    }
    if strategy is not None and how.best_of > 1:
        judge = (lambda cells: loaded.family.solved(cells, rows)) if how.oracle else None
        return best_of(loaded.model, rows, strategy, how.best_of, judge=judge, **options).best
    if strategy is not None:
        return decode(loaded.model, rows, strategy, **options)
    if process := process_of(loaded.info):
        return decode_d3pm(loaded.model, rows, process, **options)
    assert isinstance(loaded.model, AutoregressiveModel)
    warm = (not loaded.family.unique) if how.samples is None else how.samples
    model = loaded.model.to(how.device)
    return decode_autoregressive(model, rows, temperature=float(warm), **options)


def decode_all(jobs: Sequence[Job], batches: Mapping[str, PuzzleBatch], how: Decoding) -> list[Outcome]:
    """All jobs under one progress bar."""
    total = sum(len(batches[tier]) * (how.best_of if strategy else 1) for tier, _, strategy in jobs)
    with progress_bar(total, "decoding") as advance:
        return [run_job(job, batches[job[0]], how, advance) for job in jobs]


def row_of(outcome: Outcome, point: dict[str, Any]) -> dict[str, Any]:
    """The row of a point: its settings, then `COLUMNS`."""
    (row,) = with_cell_interval(summarise([outcome]), per_puzzle([outcome])).to_dict("records")
    _, low, high = t_interval(outcome.rows["passes"])
    found = {str(name): value for name, value in row.items()} | point
    found |= {"passes_low": low, "passes_high": high}
    return {name: found[name] for name in (*point, *COLUMNS)}


def decode_settings(
    n: int, seed: int, device: str, precision: str = "auto", batch_size: int | None = None
) -> dict[str, Any]:
    """What `measured` reads of a folder's config, and the version; ``device`` as `resolve_device` gave it."""
    return {
        "planorder": version("planorder"),
        "n": n,
        "seed": seed,
        "device": device,
        "precision": precision_name(precision, device),
        "batch_size": batch_size or default_batch_size(device),
    }


def measured(
    jobs: Sequence[tuple[dict[str, Any], LoadedModel, Strategy | None]], folder: PointFolder, label: str
) -> list[dict[str, Any]]:
    """The rows of all points; those that the folder has not yet are decoded and written, under one bar.

    A point says its tier. Where solutions are many, values that would be the likeliest are sampled, as in the
    table. Of the folder's config it reads `decode_settings`.
    """
    config, missing = folder.config, [job for job in jobs if folder.read(job[0]) is None]
    how = Decoding(config["seed"], config["device"], config["precision"], config["batch_size"])
    batches: dict[tuple[str, str], PuzzleBatch] = {}
    n, wanted = config["n"], {(loaded.family.name, point["tier"]) for point, loaded, _ in missing}
    with progress_bar(n * (len(missing) + len(wanted)), label) as advance:
        for point, loaded, strategy in missing:
            family, tier = loaded.family, point["tier"]
            if (family.name, tier) not in batches:
                batch = family.generate("test", tier, n, workers=2, progress=advance)
                batches[family.name, tier] = batch
            chosen = None if strategy is None else sampled(strategy, family)
            outcome = run_job((tier, loaded, chosen), batches[family.name, tier], how, advance)
            folder.write(point, row_of(outcome, point))
    rows = [folder.read(point) for point, *_ in jobs]
    return [row for row in rows if row is not None]
