"""The survey: its points by decoding anew, its ranks, resuming, mistakes in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from planorder import survey
from planorder.catalogue import chosen
from planorder.console import command_line
from planorder.decoding import decode, get_strategy
from planorder.decoding.learned import SOURCES
from planorder.models.checkpoint import load_model, pretrained
from planorder.results.plotting import EXACT
from planorder.survey import EXAMPLES, Survey, ranked, run_survey, strategies_of, with_gap
from puzzles import get_family
from puzzles.base import UserInputError

pytestmark = pytest.mark.usefixtures("one_thread")

ORDERS = "vanilla,threshold,top_margin"


def test_points_are_what_decoding_anew_gives_and_are_not_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Survey("zebra", orders=ORDERS, n=4, device="cpu", out=tmp_path / "a")
    run_survey(asked)
    assert "top_margin" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "a" / "zebra" / "survey.csv")
    family, model = get_family("zebra"), load_model(pretrained("zebra")["relational"]).model
    assert sorted(set(table["strategy"])) == sorted(ORDERS.split(","))
    for tier in family.tiers:
        batch = family.generate("test", tier, 4)
        for name in ORDERS.split(","):
            (row,) = table[(table["tier"] == tier) & (table["strategy"] == name)].to_dict("records")
            found = decode(model, batch, get_strategy(name), batch_size=128)
            assert row["exact"] == (found.cells == batch.solution).all(1).mean()
            assert row["passes"] == pytest.approx(found.passes.mean())
    assert (tmp_path / "a" / "zebra" / "survey.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("planorder.jobs.run_job", lambda *arguments: pytest.fail("decoded twice"))
    run_survey(asked)


def test_the_best_of_the_last_tier_come_first_and_of_equals_the_cheaper() -> None:
    rows = [("logic", "a", 0.9, 9), ("hard", "a", 0.5, 9), ("logic", "b", 0.8, 5), ("hard", "b", 0.5, 5)]
    rows += [("logic", "c", 0.1, 9), ("hard", "c", 0.7, 9)]
    table = ranked(pd.DataFrame(rows, columns=["tier", "strategy", "exact", "passes"]), EXACT)
    assert table["strategy"].tolist() == ["c", "b", "a"] * 2
    assert table["tier"].tolist() == ["logic"] * 3 + ["hard"] * 3


def test_the_gap_is_that_to_the_better_informed_oracle() -> None:
    rows = [
        ("logic", "vanilla", 0.2), ("logic", "mine", 0.6), ("logic", "solver_order", 0.5),
        ("logic", "oracle_margin", 1.0), ("hard", "vanilla", 0.5), ("hard", "solver_order", 0.5),
    ]  # fmt: skip
    table = with_gap(pd.DataFrame(rows, columns=["tier", "strategy", "exact"]), "exact")
    assert table["closed"][:4].tolist() == pytest.approx([0, 0.5, 0.375, 1])
    assert table["closed"][4:].isna().all(), "no gap to close"


@pytest.mark.parametrize("family", ["sudoku", "zebra"])
def test_all_are_all_that_suit_the_puzzles(family: str) -> None:
    names = [strategy.name for strategy in strategies_of(Survey(), get_family(family))]
    listed = [strategy.name for strategy in chosen(())]
    assert names == [name for name in listed if family == "sudoku" or name not in SOURCES]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"families": "sudoko"}, "did you mean 'sudoku'"),
        ({"families": ","}, "--families ','"),
        ({"families": "sudoku,sudoku"}, "each once"),
        ({"families": "sudoku-2x3"}, "no weights ship"),
        ({"orders": "top_magrin"}, "did you mean 'top_margin'"),
        ({"model": "ar-fixed"}, "chooses its cells itself"),
        ({"n": 0}, "--n 0"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserInputError) as error:
        run_survey(Survey(out=tmp_path / "a", **options))  # type: ignore[arg-type]
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_every_example_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Survey] = []
    for line in EXAMPLES.splitlines():
        monkeypatch.setattr(sys, "argv", line.split()[3:])
        command_line("planorder survey", Survey, seen.append, survey.EXAMPLES)
    assert [args.n for args in seen] == [100, 1000, 500]
