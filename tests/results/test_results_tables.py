import errno
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planorder.results.comparisons import format_tests, paired_tests
from planorder.results.files import atomic_write
from planorder.results.stats import holm, mean_interval, paired_exact, paired_means
from planorder.results.tables import (
    format_results,
    per_puzzle,
    percent,
    read_results,
    results_bytes,
    summarise,
    with_cell_interval,
)
from puzzles.base import UserInputError

CONTRACT = (
    "family,tier,model,strategy,n,exact,exact_low,exact_high,valid,cell,"
    "passes,seconds,puzzles_per_s,parameters,seed"
)


@pytest.fixture
def outcomes(make_outcome):
    solved = np.arange(40)
    return [
        make_outcome(solved < 10),
        make_outcome(solved < 30, strategy="top_prob"),
        make_outcome((solved >= 2) & (solved < 34), strategy="top_margin"),
        make_outcome(solved < 40, strategy="solver_order"),
        make_outcome(solved < 20, strategy="fixed", model="ar"),
        make_outcome(solved < 40, strategy="oracle_margin"),
    ]


def test_summary_by_hand(make_outcome):
    table = summarise([make_outcome([True, True, True, False])])
    assert ",".join(table.columns) == CONTRACT
    row = table.iloc[0]
    assert (row["n"], row["exact"], row["valid"], row["cell"]) == (4, 0.75, 0.75, 0.9375)
    assert (row["passes"], row["seconds"], row["puzzles_per_s"]) == (3, 2, 2)
    assert (row["exact_low"], row["exact_high"]) == pytest.approx((0.300642, 0.954413), abs=1e-6)


def test_summary_refuses(make_outcome):
    one = make_outcome([True])
    with pytest.raises(UserInputError, match="stands twice"):
        summarise([one, one])
    with pytest.raises(UserInputError, match="at least one, timed"):
        summarise([make_outcome([])])
    with pytest.raises(UserInputError, match="at least one, timed"):
        summarise([make_outcome([True], seconds=0.0)])
    for empty in (summarise, per_puzzle):
        with pytest.raises(UserInputError, match="nothing was decoded"):
            empty([])


def test_paired_tests_compare_the_right_pairs(outcomes):
    tests = paired_tests(per_puzzle(outcomes))
    pairs = [
        tuple(row) for row in tests[["model", "strategy", "against_model", "against", "role"]].to_numpy()
    ]
    assert pairs == [
        ("net", "vanilla", "net", "top_margin", "best"),
        ("net", "top_prob", "net", "vanilla", "baseline"),
        ("net", "top_prob", "net", "top_margin", "best"),
        ("net", "top_margin", "net", "vanilla", "baseline"),
        ("net", "solver_order", "net", "vanilla", "baseline"),
        ("net", "solver_order", "net", "top_margin", "best"),
        ("ar", "fixed", "net", "vanilla", "baseline"),
        ("ar", "fixed", "net", "top_margin", "best"),
        ("net", "oracle_margin", "net", "vanilla", "baseline"),
        ("net", "oracle_margin", "net", "top_margin", "best"),
    ]
    solved = np.arange(40)
    expected = paired_exact(solved < 30, (solved >= 2) & (solved < 34))
    row = tests.iloc[2]
    assert (row["only_first"], row["only_second"], row["n"]) == (2, 4, 40)
    assert (row["p"], row["low"], row["high"]) == (expected.p, expected.low, expected.high)
    assert tests["p_holm"].tolist() == pytest.approx(holm(tests["p"]))


def test_paired_tests_match_puzzles_by_index(make_outcome):
    exact, order = np.array([True, False, False, True]), np.array([2, 0, 3, 1])
    same = [
        make_outcome(exact, index=np.arange(4)),
        make_outcome(exact[order], index=order, strategy="random"),
    ]
    test = paired_tests(per_puzzle(same)).iloc[0]
    assert (test["only_first"], test["only_second"]) == (0, 0)


def test_paired_tests_keep_tiers_and_seeds_apart(make_outcome):
    parts = [
        make_outcome([k % 2 == i % 3 for k in range(9)], strategy=strategy, tier=tier, seed=seed)
        for i, strategy in enumerate(("vanilla", "random", "top_prob"))
        for tier in ("logic", "hard")
        for seed in (0, 1)
    ]
    everything = paired_tests(per_puzzle(parts))
    for keys, group in everything.groupby(["tier", "seed"]):
        alone = paired_tests(per_puzzle([part for part in parts if (part.tier, part.seed) == keys]))
        pd.testing.assert_frame_equal(group.reset_index(drop=True), alone)


def test_baseline_and_best_may_be_one(make_outcome):
    tests = paired_tests(per_puzzle([make_outcome([True]), make_outcome([False], strategy="random")]))
    assert tests["role"].tolist() == ["baseline and best"]


def test_paired_tests_refuse_different_puzzles(make_outcome):
    parts = [make_outcome([True]), make_outcome([True], index=[7], strategy="random")]
    with pytest.raises(UserInputError, match="share no puzzle"):
        paired_tests(per_puzzle(parts))


def test_nothing_to_compare(make_outcome):
    tests = paired_tests(per_puzzle([make_outcome([True])]))
    assert tests.empty
    assert format_tests(tests) == ""


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.00"), (1, "100.00"), (0.99996, "99.99"), (0.00001, "0.01"), (0.8949, "89.49"), (0.5, "50.00")],
)
def test_percent(share, text):
    assert percent(share) == text


def test_tables_read_well(outcomes):
    table = summarise(outcomes)
    text = format_results(table)
    assert len(text.splitlines()) == 2 + len(outcomes)
    row = next(line for line in text.splitlines() if "top_prob" in line)
    expected = "logic net top_prob 40 75.00 59.81 to 85.81 75.00 93.75 3.0 20.0 1,234"
    assert " ".join(row.split()) == expected
    markdown = format_results(table, "markdown").splitlines()
    assert all(line.startswith("|") and line.endswith("|") for line in markdown)
    tests = format_tests(paired_tests(per_puzzle(outcomes)), "markdown")
    against = next(line for line in tests.splitlines() if "fixed" in line)
    assert [cell.strip() for cell in against.strip("|").split("|")][:8] == (
        ["logic", "ar", "fixed", "vanilla (net)", "baseline", "40", "+25.00", "+10.30 to +38.03"]
    )


def test_cells_have_intervals_and_tests_of_their_own(make_outcome):
    """Strategies that solve nothing, and differ in how many cells are right."""
    outcomes = []
    for place, strategy in enumerate(("vanilla", "top_prob", "top_margin")):
        outcome = make_outcome([False] * 40, strategy=strategy)
        cell = 0.5 + 0.1 * place + 0.05 * np.random.default_rng(place).random(40)
        outcomes.append(replace(outcome, rows=outcome.rows.assign(cell=cell)))
    puzzles = per_puzzle(outcomes)
    table = with_cell_interval(summarise(outcomes), puzzles)
    assert ",".join(table.columns) == f"{CONTRACT},cell_low,cell_high"
    for row, outcome in zip(table.to_dict("records"), outcomes, strict=True):
        assert (row["cell_low"], row["cell_high"]) == mean_interval(outcome.rows["cell"])
        assert row["cell_low"] < row["cell"] < row["cell_high"]
    head, _, first, *_ = format_results(table, measure="cell").splitlines()
    expected = "tier model strategy n exact % valid % cell % 95% interval passes puzzles/s parameters"
    assert " ".join(head.split()) == expected
    row = table.iloc[0]
    interval = f"{percent(row['cell'])} {percent(row['cell_low'])} to {percent(row['cell_high'])}"
    assert " ".join(first.split()) == f"logic net vanilla 40 0.00 0.00 {interval} 3.0 20.0 1,234"

    tests = paired_tests(puzzles, measure="cell")
    assert tests["against"].tolist() == ["top_margin", "vanilla", "top_margin", "vanilla"]
    expected = paired_means(outcomes[1].rows["cell"], outcomes[0].rows["cell"])
    found = tests.iloc[1]
    ends = (expected.difference, expected.low, expected.high)
    assert (found["difference"], found["low"], found["high"]) == ends
    assert tests["p_holm"].tolist() == pytest.approx(holm(tests["p"]))
    assert set(paired_tests(puzzles)["p"]) == {1}, "the planted fault: none is exact, so none differs"


def test_file_round_trip(tmp_path, outcomes):
    path, table = tmp_path / "results.csv", summarise(outcomes)
    path.write_bytes(results_bytes(table))
    assert path.read_text().splitlines()[0] == CONTRACT
    pd.testing.assert_frame_equal(read_results(path), table)
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.csv"]


FAULTS = {
    "share in per cent": ("0.75,", "75,", "line 3: exact is '75', expected a share in 0..1"),
    "not a number": (",40,", ",many,", "line 2: n is 'many', expected int"),
    "no puzzle": (",40,", ",0,", "line 2: n is '0', expected at least 1"),
    "nan": (",3.0,", ",nan,", "line 2: passes is 'nan', expected a number of at least 0"),
    "no name": ("logic", "", "line 2: tier is '', expected a name"),
    "column renamed": ("exact_low", "low", "line 1: wrong columns"),
    "columns swapped": ("family,tier", "tier,family", "line 1: wrong columns"),
    "outside its interval": (",0.75,0.5", ",0.1,0.5", "line 3: exact 0.1 lies outside its interval"),
    "cut off": (",1234,0\n", "\n", "line 2: 13 fields, expected 15"),
    "too long a line": (",1234,0\n", ",1234,0,9,9\n", "line 2: 17 fields, expected 15"),
    "blank line": ("\n", "\n\n", "line 2: 0 fields, expected 15"),
    "quote left open": ("latin-v1", '"latin-v1', "is no results table"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_in_the_file(tmp_path, outcomes, name):
    old, new, message = FAULTS[name]
    path = tmp_path / "results.csv"
    path.write_bytes(results_bytes(summarise(outcomes)))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserInputError) as caught:
        read_results(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    for name in ("missing.csv", ".", "empty.csv", "binary.csv"):
        with pytest.raises(UserInputError) as caught:
            read_results(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_broken_table_is_refused(outcomes):
    table = summarise(outcomes).assign(valid=1.5)
    with pytest.raises(UserInputError, match=r"valid is '1\.5'"):
        results_bytes(table)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_keeps_the_old_file(tmp_path, outcomes, monkeypatch, call):
    path = tmp_path / "results.csv"
    atomic_write(path, results_bytes(summarise(outcomes[:1])))
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(UserInputError, match=r"no space left on device; free some space"):
        atomic_write(path, results_bytes(summarise(outcomes)))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.csv"]
