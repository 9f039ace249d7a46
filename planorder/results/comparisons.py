"""Paired tests of strategies on the same puzzles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

import pandas as pd

from planorder.results.stats import holm, paired_exact, paired_means
from planorder.results.tables import LABELS, Style, text_table
from puzzles.base import UserInputError

ORACLES = ("oracle_margin", "solver_order")
"""Strategies that are handed the solution, or the solver's order; the better informed first."""
TEST_COLUMNS = ("n", "difference", "low", "high", "only_first", "only_second", "p", "p_holm")


def paired_tests(
    puzzles: pd.DataFrame,
    baseline: str = "vanilla",
    oracles: Collection[str] = ORACLES,
    measure: str = "exact",
) -> pd.DataFrame:
    """Paired tests on the same puzzles: each outcome against the baseline and the best of its tier.

    McNemar's exact test of ``exact``, a t test of ``cell``. The baseline is that strategy of the same model,
    or the only one in the tier where the model has none (an autoregressive one). The best has the highest
    mean of its family, tier and seed, whatever the model; the first wins ties, and an oracle, which is handed
    the solution or the solver's order, is never the best. Puzzles that both saw are compared. P-values are
    Holm-adjusted over all tests of a family, tier and seed.

    Args:
        puzzles: the frame of `per_puzzle`.
        baseline: strategy that every other is compared with.
        oracles: strategies that cannot be the best.
        measure: "exact" or "cell", the column that is compared.

    Returns:
        A row a comparison: the labels, against_model, against, role ("baseline", "best" or "baseline and
        best"), n, difference, low, high (95%), only_first, only_second (puzzles on which one is better), p,
        p_holm.

    Raises:
        UserInputError: two outcomes of a tier that share no puzzle.
    """
    found = []
    for keys, group in puzzles.groupby(["family", "tier", "seed"], sort=False):
        family, tier, seed = keys
        solved = {
            (str(model), str(strategy)): rows.set_index("index")[measure]
            for (model, strategy), rows in group.groupby(["model", "strategy"], sort=False)
        }
        tests = []
        for name, other, role in _pairs(solved, baseline, oracles):
            shared = solved[name].index.intersection(solved[other].index)
            if shared.empty:
                raise UserInputError(
                    f"{name} and {other} of tier {tier} share no puzzle: decode the same puzzles"
                )
            compare = paired_exact if measure == "exact" else paired_means
            test = compare(solved[name].loc[shared], solved[other].loc[shared])
            labels = dict(zip(LABELS, (family, tier, *name, seed), strict=True))
            against = {"against_model": other[0], "against": other[1], "role": role}
            tests.append(labels | against | asdict(test))
        adjusted = holm([test["p"] for test in tests])
        found += [test | {"p_holm": value} for test, value in zip(tests, adjusted, strict=True)]
    return pd.DataFrame(found, columns=[*LABELS, "against_model", "against", "role", *TEST_COLUMNS])


def _pairs(
    solved: dict[tuple[str, str], pd.Series], baseline: str, oracles: Collection[str]
) -> list[tuple[tuple[str, str], tuple[str, str], str]]:
    """Which outcome of a tier is compared with which, and as what."""
    baselines = [name for name in solved if name[1] == baseline]
    able = [name for name in solved if name[1] not in oracles]
    best = max(able, key=lambda name: solved[name].mean(), default=None)
    pairs = []
    for name in solved:
        own = [other for other in baselines if other[0] == name[0]]
        base = own[0] if own else baselines[0] if len(baselines) == 1 else None
        roles: dict[tuple[str, str], list[str]] = {}
        for other, role in ((base, "baseline"), (best, "best")):
            if other is not None and other != name:
                roles.setdefault(other, []).append(role)
        pairs += [(name, other, " and ".join(role)) for other, role in roles.items()]
    return pairs


def format_tests(tests: pd.DataFrame, style: Style = "terminal") -> str:
    """The paired tests as text for people: differences in percentage points, Holm-adjusted p-values."""
    rows = [
        {
            "tier": row["tier"],
            "model": row["model"],
            "strategy": row["strategy"],
            "against": row["against"]
            if row["against_model"] == row["model"]
            else f"{row['against']} ({row['against_model']})",
            "as": row["role"],
            "n": row["n"],
            "points": f"{100 * row['difference']:+.2f}",
            "95% interval": f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}",
            "only it / only other": f"{row['only_first']} / {row['only_second']}",
            "p (Holm)": "<0.0001" if row["p_holm"] < 1e-4 else f"{row['p_holm']:.4f}",
        }
        for row in tests.to_dict("records")
    ]
    return text_table(rows, style, left=("tier", "model", "strategy", "against", "as"))
