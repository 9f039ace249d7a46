"""The objectives of masked networks by name: what ``planorder train --objective`` takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from planorder.training.objectives import Objective
from planorder.training.objectives.d3pm import D3PM_NOISES
from planorder.training.objectives.masked import MaskedObjective
from planorder.training.objectives.schedules import Schedule
from planorder.training.objectives.weighted import WeightedObjective
from puzzles.base import UserInputError
from puzzles.errors import did_you_mean


@dataclass(frozen=True)
class Entry:
    """A published objective.

    Attributes:
        objective: loss of a batch.
        description: what it is, in a line.
        source: where it was published.
    """

    objective: Objective
    description: str
    source: str


MDLM = "MDLM, arXiv:2406.07524"
MD4 = "MD4, arXiv:2406.04329"
RDM = "RDM, arXiv:2302.05737"
MGDM = "MGDM, arXiv:2410.14157"

mgdm = partial(WeightedObjective, per="masked", focal_scale=0.25, stratified=False)
rdm = partial(WeightedObjective, time_steps=50, label_smoothing=0.1, stratified=False)

OBJECTIVES: dict[str, Entry] = {
    "masked": Entry(
        MaskedObjective(),
        "uniform mask rate, every masked cell of the batch weighs the same",
        "unweighted masked language modelling, after arXiv:2406.07524",
    ),
    "mdlm": Entry(WeightedObjective(eps=1e-3), "negative ELBO in continuous time, linear alpha", MDLM),
    "mdlm_T": Entry(WeightedObjective(time_steps=1000), "the same in T = 1000 steps", MDLM),
    "md4": Entry(WeightedObjective(noise=Schedule("cosine")), "negative ELBO, cosine alpha", MD4),
    "md4_T": Entry(
        WeightedObjective(noise=Schedule("cosine"), time_steps=1000), "the same in T = 1000 steps", MD4
    ),
    "md4_poly": Entry(
        WeightedObjective(noise=Schedule("polynomial", 2.0)), "negative ELBO, alpha = 1 - t^2", MD4
    ),
    "ao_arm": Entry(
        WeightedObjective(masks="count"),
        "any-order autoregression: n ~ U{1..L} masks, cross-entropy over n",
        "arXiv:2110.02037; App. E of arXiv:2502.06768; baseline of arXiv:2602.10314",
    ),
    "llada": Entry(
        WeightedObjective(eps=1e-3, stratified=False),
        "cross-entropy over the mask probability, times independent",
        "LLaDA, arXiv:2502.09992, eq. 3; RADD, arXiv:2406.03736",
    ),
    "mgdm": Entry(
        mgdm("remaining", time_steps=20, focal_power=1.0),
        "0.25 (1 - p) (T - t): hard cells and states of few masks weigh more; T = 20 (its Sudoku script)",
        MGDM,
    ),
    "mgdm_reciprocal": Entry(
        mgdm("reciprocal", time_steps=64, focal_power=2.0),
        "0.25 (1 - p)^2 / (t + 1), T = 64 (the defaults of its code)",
        MGDM,
    ),
    "rdm": Entry(rdm("linear"), "1 - t / T: states of few masks weigh more; T = 50, smoothed labels", RDM),
    "rdm_reciprocal": Entry(rdm("reciprocal"), "the same with 1 / (t + 1), which is the ELBO's over T", RDM),
    "rdm_none": Entry(rdm("none"), "the same without a weight", RDM),
    "puma": Entry(
        MaskedObjective(revealed=1.0, stages=8),
        "masks along the network's own confidence, in 8 stages with true values",
        "PUMA, arXiv:2602.10314",
    ),
}
"""Name to objective. All take networks that fill masks; `d3pm.D3PM_NOISES` has the others."""


def get_objective(name: str) -> Objective:
    """The objective of a name.

    Raises:
        UserInputError: an unknown name, with the nearest.
    """
    if name not in OBJECTIVES:
        known = [*OBJECTIVES, *D3PM_NOISES]
        hint = did_you_mean(name, known)
        raise UserInputError(f"objective {name!r} is unknown: expected one of {', '.join(known)}{hint}")
    return OBJECTIVES[name].objective
