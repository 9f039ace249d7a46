"""Decoders that keep several states of a puzzle, by name: functions, since a strategy has one state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from planorder.decoding.beam import decode_beam
from planorder.decoding.particles import best_of, decode_particles


@dataclass(frozen=True)
class Several:
    """A decoder of several states, as it is listed; the fields that a `Strategy` has mean the same.

    Attributes:
        function: the decoder.
        description: its rule in a sentence.
        cost: forward passes a puzzle of n blanks.
        source: where the rule was published.
        departures: where this differs from the source.
        option: of the command line, where it has one.
    """

    function: Callable[..., Any]
    description: str
    cost: str
    source: str
    departures: str
    option: str = ""

    @property
    def name(self) -> str:
        """That of the function."""
        return self.function.__name__

    @property
    def call(self) -> str:
        """How to come by it."""
        place = f"{self.function.__module__}.{self.name}"
        return f"{place}; {self.option}" if self.option else place


SEVERAL: dict[str, Several] = {
    "decode_beam": Several(
        decode_beam,
        "the width likeliest states fill one cell a step: a successor puts one of the likeliest values into "
        "one of the branch first blanks of an order; those of largest sum of log p(value filled) are kept",
        "at most width n",
        "arXiv:2602.18176 (Info-Gain, its beam)",
        "the score of a state is the likelihood of its path",
    ),
    "best_of": Several(
        best_of,
        "of N decodes by a strategy with chance the one of largest mean log p(value filled)",
        "N times its strategy's",
        "arXiv:2210.01776 (DiffDock, samples ranked by confidence)",
        "the source trains a model to say how confident it is",
        "planorder bench --best-of N",
    ),
    "decode_particles": Several(
        decode_particles,
        "rounds of N decodes by a strategy with chance: cells on whose value 75% agree are held, the others "
        "decoded again; the last round takes every cell's commonest value",
        "at most rounds N times its strategy's",
        "github.com/aiPenguin/complex-planning (PACE)",
        "particles are whole decodes and what is held stays, where the source ranks, freezes and unfreezes "
        "cells at every step and ends with its most confident particle",
    ),
}
"""All of them."""
