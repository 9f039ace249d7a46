"""What Kim et al. publish (ICML 2025, arXiv:2502.06768): each number, its place, and ours beside it.

The numbers were read in the paper's text. Its networks: masked diffusion models (MDM) of 6M parameters on
Sudoku and 19M on Zebra and NAE-SAT, autoregressive ones (ARM) of 42M. Its decoding of puzzles (Appendix D.2):
50 reverse steps, Gumbel noise of coefficient 0.5 on the score of the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planorder.results.evaluate import FREE
from puzzles.base import HARD, LOGIC, UserInputError
from puzzles.errors import did_you_mean

CPU, GPU = "cpu", "paper"
"""The scales: the weights that ship or quick trainings, and the sizes of the paper."""


@dataclass(frozen=True)
class Published:
    """A row of a table.

    Attributes:
        label: of the row.
        number: what the paper reports, in per cent; None where it has no such row.
        strategy: ours beside it; `FREE` for networks that choose their cells themselves.
        models: our networks beside it; none stands for the masked networks of the table.
        family: the puzzles, where they are not those of the table.
    """

    label: str
    number: float | None
    strategy: str
    models: tuple[str, ...] = ()
    family: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        place: in the paper.
        title: what is measured, on which puzzles.
        family: our puzzles.
        tier: of them.
        published: its rows.
        networks: our masked networks, by scale.
        n: test puzzles by default, at most 15 minutes of two cores in all.
        departures: of ours from theirs, beside noise and networks.
        at_scale: more of them, by scale.
    """

    place: str
    title: str
    family: str
    tier: str
    published: tuple[Published, ...]
    networks: dict[str, tuple[str, ...]]
    n: int
    departures: tuple[str, ...]
    at_scale: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Drawing:
    """A figure of the paper, which has no numbers to set ours beside.

    Attributes:
        place: in the paper.
        title: what is measured, on which puzzles.
        departures: of ours from theirs.
        n: sequences by default; 0 where a number of runs takes their place.
    """

    place: str
    title: str
    departures: tuple[str, ...]
    n: int = 0


@dataclass(frozen=True)
class Row:
    """A network and a strategy of ours beside a row of the paper; the fields are those of `Published`."""

    label: str
    number: float | None
    family: str
    model: str
    strategy: str


def naesat_rows(family: str, size: str, vanilla: float, margin: float) -> tuple[Published, ...]:
    """The rows of Table 1 for (latents, observations)."""
    return (
        Published(f"MDM 19M {size}, vanilla", vanilla, "vanilla", family=family),
        Published(f"MDM 19M {size}, top-prob margin", margin, "top_margin", family=family),
    )


PUZZLES = "puzzles are ours, not those of Shah et al. (arXiv:2409.10502)"
ONE_ROW = "the paper has one row of an ARM without an order: it stands beside our fixed and our random order"
MINIMAL = "minimal Sudokus (no clue can go)"
SMALLER = "the transformer of the preset paper has 5.4M parameters; theirs has 19M here"
TOLD = (
    "our networks are told the constraints: relational and shallow send messages along them, transformer and "
    "ar-* have embeddings of those a cell stands in; theirs have learned positions alone"
)
AUGMENTED = (
    "ours see each training puzzle under random symmetries, of which the paper's protocol says nothing"
)
OURS = "the preset paper: batch 512, 200,000 steps (102 million examples), the mean loss of the masked cells"
TRAINED = (
    "their masked networks, in the code of Ye et al. (MGDM, arXiv:2410.14157): learning rate 1e-3, batch "
    f"128, 300 epochs, that code's loss (our --objective mgdm); {OURS}"
)
AT_SCALE: dict[str, tuple[str, ...]] = {CPU: (TOLD, AUGMENTED), GPU: (TRAINED, AUGMENTED)}
"""Departures of all tables of puzzles; networks of the preset paper are told Zebra's clues alone."""

TARGETS: dict[str, Table | Drawing] = {
    "table1": Table(
        place="Table 1",
        title="L&O-NAE-SAT, observations right (%); naive guessing: 75",
        family="naesat",
        tier=LOGIC,
        published=(
            *naesat_rows("naesat", "(25, 275)", 78.06, 93.76),
            *naesat_rows("naesat-30-270", "(30, 270)", 75.70, 93.54),
            *naesat_rows("naesat-40-260", "(40, 260)", 74.60, 92.21),
            *naesat_rows("naesat-50-250", "(50, 250)", 67.94, 90.01),
            *naesat_rows("naesat-100-200", "(100, 200)", 62.84, 88.91),
        ),
        networks={CPU: ("relational", "shallow"), GPU: ("transformer",)},
        n=200,
        departures=(
            "the paper gives steps and noise for its puzzles alone; they are taken over here",
            "values are sampled in every row, since the likeliest give the same sequence each time",
            "an observation is right where it agrees with the latents generated beside it",
            "triples are drawn by us; no padding to 512 tokens; relational and shallow are told the triples",
            SMALLER,
        ),
        at_scale={CPU: (), GPU: (OURS,)},
    ),
    "table2": Table(
        place="Table 2",
        title="Sudoku, solved exactly (%)",
        family="sudoku",
        tier=LOGIC,
        published=(
            Published("MDM 6M, vanilla", 6.88, "vanilla"),
            Published("MDM 6M, top-prob", 18.51, "top_prob"),
            Published("MDM 6M, top-prob margin", 89.49, "top_margin"),
            Published("ARM 42M, without order", 9.73, FREE, ("ar-fixed", "ar-random")),
            Published("ARM 42M, with order", 87.18, FREE, ("ar-solver",)),
        ),
        networks={CPU: ("relational", "shallow", "transformer"), GPU: ("transformer",)},
        n=400,
        departures=(f"{PUZZLES}: {MINIMAL} that fall to the same seven techniques", ONE_ROW),
        at_scale=AT_SCALE,
    ),
    "table3": Table(
        place="Table 3",
        title="Zebra, solved exactly (%)",
        family="zebra",
        tier=LOGIC,
        published=(
            Published("MDM 19M, vanilla", 76.9, "vanilla"),
            Published("MDM 19M, top-prob", 98.5, "top_prob"),
            Published("MDM 19M, top-prob margin", 98.3, "top_margin"),
            Published("ARM 42M, without order", 80.31, FREE, ("ar-fixed", "ar-random")),
            Published("ARM 42M, with order", 91.17, FREE, ("ar-solver",)),
        ),
        networks={CPU: ("relational",), GPU: ("transformer",)},
        n=1000,
        departures=(
            f"{PUZZLES}: 3 to 6 houses and attributes, no clue can go",
            "a cell holds the house of a value, and clues are edges, not text",
            "our networks are trained on both tiers, logic and hard",
            SMALLER,
            ONE_ROW,
        ),
        at_scale=AT_SCALE,
    ),
    "table5": Table(
        place="Table 5",
        title="hard Sudoku, networks trained on easier ones, solved exactly (%)",
        family="sudoku",
        tier=HARD,
        published=(
            Published("MDM 6M, vanilla", 3.62, "vanilla"),
            Published("MDM 6M, top-prob", 9.44, "top_prob"),
            Published("MDM 6M, top-prob margin", 49.88, "top_margin"),
            Published("ARM 42M, without order", None, FREE, ("ar-fixed", "ar-random")),
            Published("ARM 42M, with order", 32.57, FREE, ("ar-solver",)),
        ),
        networks={CPU: ("relational", "shallow", "transformer"), GPU: ("transformer",)},
        n=400,
        departures=(
            f"puzzles are ours, not the rest of Radcliffe's: {MINIMAL} that the seven techniques leave open",
            ONE_ROW,
        ),
        at_scale=AT_SCALE,
    ),
    "figure2_left": Drawing(
        place="Figure 2 left",
        title="pi-learners: loss against compute by how far the order is from the identity",
        departures=(
            "sequences are solutions: 81 cells of Sudoku, and 36 of Zebra (6 houses, 6 attributes) after the "
            "clues, a token each that pi leaves in front and no loss counts; theirs are text",
            "the paper's sqrt(L) and L / 10 swaps are 9 and 8 at L = 81, 6 and 3 at L = 36: at these lengths "
            "'closer' is the nearer of the two to the identity",
            "blocks: squared ReLU, RMS norm without weights, no biases, output projections that start at 0",
            "solutions come under random symmetries; gradients are clipped at 1; the learning rate warms up "
            "over a tenth of the steps; float32",
            "scale cpu: learning rate 2e-3 down to 2e-4 instead of 4e-4 down to 4e-5; far less compute",
        ),
    ),
    "figure2_right": Drawing(
        place="Figure 2 right",
        title="NAE-SAT: error of the network's log-likelihood by kind of position and share masked",
        departures=(
            "the Bayes predictor is exact, by enumeration; theirs is a network trained 25 times as long",
            "(25, 275) as Table 1, theirs (20, 280) with 212 tokens of padding",
            "our networks are those of Table 1, fully trained; theirs has 2,000 iterations behind it",
        ),
        n=1000,
    ),
}
"""All that can be done again, by the name that the command takes."""


def target(name: str) -> Table | Drawing:
    """The table or figure of a name.

    Raises:
        UserInputError: an unknown name, with the nearest known one.
    """
    if name not in TARGETS:
        hint = did_you_mean(name, TARGETS)
        raise UserInputError(f"{name!r} cannot be reproduced: expected one of {', '.join(TARGETS)}{hint}")
    return TARGETS[name]


def rows_of(table: Table, scale: str) -> Iterator[Row]:
    """All rows of ours at a scale: network by network, so that strategies of one stand together."""
    for network in table.networks[scale]:
        for row in table.published:
            if not row.models:
                yield Row(row.label, row.number, row.family or table.family, network, row.strategy)
    for row in table.published:
        for network in row.models:
            yield Row(row.label, row.number, row.family or table.family, network, row.strategy)
