"""Tables 1, 2, 3 and 5: every row decoded with the paper's noise and without, beside what it reports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from planorder.console import resolve_device
from planorder.decoding import Strategy, get_strategy, paper_protocol, remask, with_options
from planorder.decoding.strategies import PAPER_GUMBEL, PAPER_STEPS
from planorder.jobs import decode_settings, measured
from planorder.models import parameter_count
from planorder.models.checkpoint import LoadedModel, weights_digest
from planorder.reproductions.paper import Row, Table, rows_of
from planorder.reproductions.plan import (
    Networks,
    Plan,
    Report,
    Reproduce,
    departures,
    find_networks,
    heading,
    untrained,
)
from planorder.results.evaluate import FREE
from planorder.results.plotting import measure_of
from planorder.results.points import PointFolder
from planorder.results.reproduce_figures import beside_paper
from planorder.results.tables import percent, text_table
from puzzles import get_family
from puzzles.base import AbstractFamily

NOISY, QUIET, SAME, ROUTED = "paper", "no noise", "both", "routing"
"""The protocols: the paper's, that without its noise, where there is none to leave out, that with routing."""
NOT_TRAINED = "not trained"
COLUMNS = (
    *("paper_row", "paper_percent", "family", "tier", "model", "weights", "strategy", "protocol", "n"),
    *("exact", "exact_low", "exact_high", "cell", "cell_low", "cell_high"),
    *("passes", "parameters", "seconds", "seed"),
)
"""Of NAME.csv: shares in 0..1, the paper's number in per cent; n 0 in rows that are not trained."""
LEGEND = f"""protocols, T = {PAPER_STEPS} reverse steps in all:
  paper     Gumbel noise of {PAPER_GUMBEL} on p1 or p1 - p2, fading with the share still masked (whether
            it fades, and what it is added to, the paper leaves unsaid)
  no noise  the same without it
  both      vanilla, which has no score to blur, and autoregressive networks, a cell a move
  routing   only with --routing: paper, and all but the clues is predicted and ranked anew at every step,
            as in the code that the paper builds on; docs/log.md has measurements
  Values are the likeliest, sampled for vanilla and wherever puzzles have many solutions."""


@dataclass(frozen=True)
class Job:
    """A row under one protocol.

    Attributes:
        point: its settings, which name its file: family, tier, model, weights (digest), strategy, protocol.
        loaded: the network.
        strategy: None for an autoregressive network, which chooses its cells itself.
    """

    point: dict[str, Any]
    loaded: LoadedModel
    strategy: Strategy | None


def protocols(name: str, family: AbstractFamily, routing: bool = False) -> dict[str, Strategy | None]:
    """The strategy under each protocol; one entry where there is no noise to leave out.

    The paper's protocol is `paper_protocol`; without noise it is the same strategy in as many steps; with
    ``routing`` one more is the paper's with the routing of MGDM (arXiv:2410.14157).
    """
    if name == FREE:
        return {SAME: None}
    pick = None if family.unique else "sample"
    noisy = with_options(paper_protocol(get_strategy(name)), pick=pick)
    quiet = with_options(get_strategy(name), steps=PAPER_STEPS, pick=pick)
    if noisy == quiet:
        return {SAME: noisy}
    routed = {ROUTED: replace(noisy, remask=remask.route, revise=True)} if routing else {}
    return {NOISY: noisy, QUIET: quiet, **routed}


def jobs_of(row: Row, tier: str, networks: Networks, routing: bool) -> Iterator[Job]:
    """The jobs of a row; none where its network is not there."""
    loaded = networks.found.get((row.family, row.model))
    if loaded is None:
        return
    for protocol, strategy in protocols(row.strategy, loaded.family, routing).items():
        point = {"family": row.family, "tier": tier, "model": row.model}
        point |= {"weights": weights_digest(loaded.model), "strategy": row.strategy, "protocol": protocol}
        yield Job(point, loaded, strategy)


def plan_table(args: Reproduce, table: Table) -> Plan:
    """Finds the networks of a table and says what is to be decoded."""
    rows = list(rows_of(table, args.scale))
    networks = find_networks([(row.family, row.model) for row in rows], args.scale, args.weights)
    device = resolve_device(args.device)
    settings = {"families": sorted({get_family(row.family).version for row in rows})}
    settings |= decode_settings(args.n or table.n, args.seed, device)

    def work(folder: PointFolder) -> Report:
        jobs = [(row, list(jobs_of(row, table.tier, networks, args.routing))) for row in rows]
        asked = [(job.point, job.loaded, job.strategy) for _, found in jobs for job in found]
        measured(asked, folder, "reproduce")
        return report(args, table, jobs, networks, folder)

    return Plan(settings, work)


def report(
    args: Reproduce,
    table: Table,
    jobs: Sequence[tuple[Row, list[Job]]],
    networks: Networks,
    folder: PointFolder,
) -> Report:
    """The table, its figure and its text, from points that are all there."""
    found: list[dict[str, Any]] = []
    for row, own in jobs:
        label = {"paper_row": row.label, "paper_percent": row.number}
        for job in own:
            facts = {"parameters": parameter_count(job.loaded.model)}
            found.append(label | facts | (folder.read(job.point) or {}))
        if not own:
            bare = {"family": row.family, "tier": table.tier, "model": row.model, "strategy": row.strategy}
            found.append(label | bare | {"protocol": NOT_TRAINED, "n": 0, "seed": folder.config["seed"]})
    frame = pd.DataFrame(found).reindex(columns=list(COLUMNS))
    measure = measure_of(get_family(table.family))
    shown = format_rows(frame, measure.column) + untrained(networks, args.weights)
    said = (*table.departures, *table.at_scale[args.scale], *sizes(frame), *examples(networks))
    text = [heading(args.name), shown, LEGEND, departures(said)]
    figure = beside_paper(frame, measure, f"{table.place}: {table.family}, tier {table.tier}")
    return Report(frame, figure, "\n\n".join(text))


def sizes(frame: pd.DataFrame) -> list[str]:
    """Of our networks, as one more departure."""
    trained = frame[frame["n"] > 0].drop_duplicates(["family", "model"])
    counts = zip(trained["model"], trained["parameters"], strict=True)
    said = ", ".join(f"{model} {int(count):,}" for model, count in counts)
    return [f"parameters of our networks: {said}; of theirs: in the names of their rows"]


def examples(networks: Networks) -> list[str]:
    """What our networks were trained on, by the headers of their weights, as one more departure."""
    said = [f"{model} ({family}) {seen(loaded.info)}" for (family, model), loaded in networks.found.items()]
    return [f"examples that our networks saw: {'; '.join(said)}"]


def seen(info: dict[str, Any]) -> str:
    """Examples of a training, of that which it went on from, their batch, and masks that were not random."""
    stages = [stage for stage in (info.get("init"), info) if stage and "metrics" in stage]
    if not stages:
        return "unknown"
    counts = " + ".join(f"{stage['metrics']['examples']:,.0f}" for stage in stages)
    revealed = stages[-1].get("objective", {}).get("revealed")
    if revealed is None:  # the first weights that shipped say it in their command alone
        found = re.search(r"--revealed ([\d.]+)", stages[-1].get("command", ""))
        revealed = float(found[1]) if found else 0.0
    which = "of the last " if len(stages) > 1 else ""
    own = f", {revealed:.0%} {which}masked along its own confidence" if revealed else ""
    return f"{counts} in batches of {stages[-1]['train']['batch_size']}{own}"


def format_rows(frame: pd.DataFrame, measure: str) -> str:
    """The table for people."""
    shown: list[dict[str, object]] = []
    for row in frame.to_dict("records"):
        is_there = row["n"] > 0
        ends = f"{percent(row[f'{measure}_low'])} to {percent(row[f'{measure}_high'])}" if is_there else ""
        shown.append(
            {
                "paper's row": row["paper_row"],
                "paper %": "" if pd.isna(row["paper_percent"]) else f"{row['paper_percent']:.2f}",
                "model": row["model"],
                "strategy": row["strategy"],
                "protocol": row["protocol"],
                "n": row["n"] or "",
                "ours %": percent(row[measure]) if is_there else "",
                "95% interval": ends,
                "passes": f"{row['passes']:.1f}" if is_there else "",
            }
        )
    return text_table(shown, "terminal", left=("paper's row", "model", "strategy", "protocol"))
