"""Figure 2 right: how far a network's log-likelihoods are from the exact ones, by kind of position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from planorder.console import progress_bar, resolve_device
from planorder.models import parameter_count
from planorder.models.checkpoint import LoadedModel, weights_digest
from planorder.models.forward_process import check_masked
from planorder.reproductions.paper import TARGETS, Drawing, Table
from planorder.reproductions.plan import (
    Plan,
    Report,
    Reproduce,
    departures,
    find_networks,
    heading,
    untrained,
)
from planorder.results.points import PointFolder
from planorder.results.reproduce_figures import error_imbalance
from planorder.results.resampling import t_interval
from planorder.results.tables import text_table
from puzzles.base import UserInputError
from puzzles.naesat import NaeSat

FAMILY = "naesat"
HIDDEN = (2, 5, 8, 11, 14, 17, 20, 21, 22, 23, 24, 25)
"""Masked latents l of 25; the paper has 11 of 20."""
KINDS = ("latent", "observation")
MOST = 8_000_000
"""Assignments of the masked latents held at a time."""
BATCH = 64
COLUMNS = (
    *("model", "weights", "parameters", "latents_masked", "masked", "kind", "n"),
    *("error", "error_low", "error_high", "loss", "bayes_loss"),
)
"""Of figure2_right.csv: error in nats^2 with its 95% t interval over sequences, losses in nats a position."""


def consistent(family: NaeSat, tokens: np.ndarray) -> np.ndarray:
    """int8 ``[assignments, latents]``: all that the latents can be; 0 where the visible cells say nothing.

    Latents that no visible observation is about stay 0: any value will do, whatever the others are. The rest
    are tried one by one, those of most observations first, and what contradicts an observation goes as soon
    as its latents are known.

    Args:
        family: whose triples.
        tokens: int8 ``[cells]``, 0 masked.

    Raises:
        UserInputError: more assignments than fit.
    """
    states = tokens[None, : family.latents].astype(np.int8)
    given = np.flatnonzero(tokens[family.latents :])
    triples, wanted = family.triples[given], tokens[family.latents :][given]
    uses = np.bincount(triples.ravel(), minlength=family.latents)
    tried = np.flatnonzero((states[0] == 0) & (uses > 0))
    unknown = (states[0][triples] == 0).sum(axis=1)
    for cell in tried[np.argsort(-uses[tried], kind="stable")]:
        if 2 * len(states) > MOST:
            raise UserInputError(f"{len(tried)} masked latents: more than {MOST:,} assignments; mask fewer")
        states = np.concatenate([states, states])
        states[: len(states) // 2, cell], states[len(states) // 2 :, cell] = 1, 2
        touched = (triples == cell).any(axis=1)
        unknown -= touched
        for place in np.flatnonzero(touched & (unknown == 0)):
            states = states[chance_of_two(states, triples[place]) == (wanted[place] == 2)]
    return states


def chance_of_two(states: np.ndarray, triple: np.ndarray) -> np.ndarray:
    """float64 ``[assignments]``: probability that three latents are not all equal; those that are 0 are fair.

    1 where two that are known differ; else 0, 1/2 or 3/4 with none, one or more of them unknown.
    """
    values = states[:, triple]
    differ = (values == 1).any(axis=1) & (values == 2).any(axis=1)
    found: np.ndarray = np.where(differ, 1.0, np.array([0, 0.5, 0.75, 0.75])[(values == 0).sum(axis=1)])
    return found


def bayes(family: NaeSat, tokens: np.ndarray) -> np.ndarray:
    """float64 ``[cells, 2]``: the exact probability of each value of a masked cell, given the visible ones.

    Latents are fair bits, so the posterior is uniform over `consistent`. Rows of visible cells are nan.
    """
    states, found = consistent(family, tokens), np.full((family.n_cells, 2), np.nan)
    half = np.array([0.5, 0.0, 1.0])
    for cell in np.flatnonzero(tokens == 0):
        place = cell - family.latents
        two = half[states[:, cell]] if place < 0 else chance_of_two(states, family.triples[place])
        found[cell] = 1 - two.mean(), two.mean()
    return found


def masked_sequences(family: NaeSat, n: int, hidden: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 ``[n, cells]`` twice: test sequences with ``hidden`` latents masked, and whole.

    As many observations are masked in proportion, l P / N to the nearest whole number, both at random.
    """
    whole = family.generate("test", family.tiers[0], n).solution
    tokens, also = whole.copy(), round(hidden * family.observations / family.latents)
    for row in range(n):
        rng = np.random.default_rng((seed, hidden, row))
        tokens[row, rng.choice(family.latents, hidden, replace=False)] = 0
        tokens[row, family.latents + rng.choice(family.observations, also, replace=False)] = 0
    return tokens, whole


def log_likelihoods(
    family: NaeSat, tokens: np.ndarray, whole: np.ndarray, advance: Callable[[int], None]
) -> np.ndarray:
    """float64 ``[n, cells]``: log of the exact probability of the masked true values; nan elsewhere."""
    found = np.full(tokens.shape, np.nan)
    cells = np.arange(tokens.shape[1])
    for row in range(len(tokens)):
        found[row] = np.log(bayes(family, tokens[row])[cells, whole[row] - 1])
        advance(1)
    return found


@torch.inference_mode()
def network_log_likelihoods(
    loaded: LoadedModel, tokens: np.ndarray, whole: np.ndarray, device: str, advance: Callable[[int], None]
) -> np.ndarray:
    """float64 ``[n, cells]``: log of the network's probability of the true values; nan where visible."""
    check_masked(loaded.model)
    model, parts = loaded.model.to(device).eval(), []
    for start in range(0, len(tokens), BATCH):
        asked = torch.from_numpy(tokens[start : start + BATCH]).to(device, torch.int64)
        value = torch.from_numpy(whole[start : start + BATCH]).to(device, torch.int64)
        log_p = model(asked).double().log_softmax(-1).gather(-1, (value - 1)[..., None])[..., 0]
        parts.append(log_p.cpu().numpy())
        advance(len(asked))
    return np.where(tokens == 0, np.concatenate(parts), np.nan)


def errors(family: NaeSat, network: np.ndarray, exact: np.ndarray) -> list[dict[str, Any]]:
    """A row a kind: error, the mean over sequences of their positions' mean (network - exact)^2; losses."""
    rows = []
    for kind, cells in zip(KINDS, (slice(None, family.latents), slice(family.latents, None)), strict=True):
        apart = np.nanmean((network[:, cells] - exact[:, cells]) ** 2, axis=1)
        mean, low, high = t_interval(apart)
        losses = {"loss": -np.nanmean(network[:, cells]), "bayes_loss": -np.nanmean(exact[:, cells])}
        ends = {"error": mean, "error_low": max(low, 0.0), "error_high": high}
        rows.append({"kind": kind, "n": len(apart), **ends, **{k: float(v) for k, v in losses.items()}})
    return rows


def plan_imbalance(args: Reproduce) -> Plan:
    """Finds the networks of Table 1's first size and says at which masks they are judged."""
    drawing, table = cast(Drawing, TARGETS[args.name]), cast(Table, TARGETS["table1"])
    asked = [(FAMILY, model) for model in table.networks[args.scale]]
    networks, device = find_networks(asked, args.scale, args.weights), resolve_device(args.device)
    loaded, n = list(networks.found.values()), args.n or drawing.n
    family = cast(NaeSat, loaded[0].family)
    settings = {"families": [family.version], "n": n, "hidden": list(HIDDEN), "device": device}

    def work(folder: PointFolder) -> Report:
        judged(family, loaded, folder)
        points = [point_of(network, hidden) for network in loaded for hidden in HIDDEN]
        frame = pd.DataFrame([row for point in points for row in rows_of(folder, point)])[list(COLUMNS)]
        shown = format_rows(frame) + untrained(networks, args.weights)
        text = [heading(args.name), shown, LEGEND, departures(drawing.departures)]
        return Report(frame, error_imbalance(frame), "\n\n".join(text))

    return Plan(settings, work)


def point_of(network: LoadedModel, hidden: int) -> dict[str, Any]:
    """The settings of a point."""
    return {"model": network.name, "weights": weights_digest(network.model), "latents_masked": hidden}


def judged(family: NaeSat, networks: Sequence[LoadedModel], folder: PointFolder) -> None:
    """Measures and writes the points that the folder has not yet, under one bar of sequences."""
    n, seed, device = (folder.config[name] for name in ("n", "seed", "device"))
    missing = {
        hidden: [network for network in networks if folder.read(point_of(network, hidden)) is None]
        for hidden in HIDDEN
    }
    total = sum(len(found) + bool(found) for found in missing.values())
    with progress_bar(n * total, "masks", "sequence") as advance:
        for hidden, found in missing.items():
            if not found:
                continue
            tokens, whole = masked_sequences(family, n, hidden, seed)
            exact = log_likelihoods(family, tokens, whole, advance)
            for network in found:
                own = network_log_likelihoods(network, tokens, whole, device, advance)
                facts = {"parameters": parameter_count(network.model), "masked": hidden / family.latents}
                folder.write(point_of(network, hidden), facts | {"rows": errors(family, own, exact)})


LEGEND = """error: mean squared difference of log p(true value), network against exact, nats^2, 95% t interval
over sequences; loss: mean -log p of the network, in nats; exact: the same of the Bayes predictor. The paper
draws this and prints no number."""


def rows_of(folder: PointFolder, point: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a point, with its settings."""
    found = folder.read(point) or {}
    facts = {name: found[name] for name in ("parameters", "masked")}
    return [point | facts | row for row in found["rows"]]


def format_rows(frame: pd.DataFrame) -> str:
    """The table for people."""
    shown: list[dict[str, object]] = [
        {
            "model": row["model"],
            "kind": row["kind"],
            "masked %": f"{100 * row['masked']:.0f}",
            "n": row["n"],
            "error": f"{row['error']:.2g}",
            "95% interval": f"{row['error_low']:.2g} to {row['error_high']:.2g}",
            "loss": f"{row['loss'] + 0:.3f}",
            "exact": f"{row['bayes_loss'] + 0:.3f}",
        }
        for row in frame.to_dict("records")
    ]
    return text_table(shown, "terminal", left=("model", "kind"))
