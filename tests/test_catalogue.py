"""``python -m planorder orders`` and ``cite``: every strategy is listed, and every source can be cited."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from runpy import run_module

import pytest

from planorder import __main__ as entrance
from planorder import catalogue
from planorder.decoding import PRESETS, beam, get_strategy, particles, published
from planorder.decoding.learned import SOURCES
from planorder.decoding.several import SEVERAL
from puzzles.base import UserInputError

DOCS = Path(__file__).resolve().parents[1] / "docs"


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of ``python -m planorder`` with these words."""
    monkeypatch.setattr(sys, "argv", ["planorder", *words])
    try:
        entrance.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def uncited() -> list[str]:
    """Ids in the sources of strategies that have no entry."""
    entries = catalogue.references()
    listed = (*PRESETS.values(), *SEVERAL.values())
    return sorted({key for s in listed for key in catalogue.ARXIV.findall(s.source)} - set(entries))


def test_every_source_has_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert uncited() == []
    planted = replace(PRESETS["top_prob"], name="planted", source="arXiv:0000.00000")
    monkeypatch.setitem(PRESETS, "planted", planted)
    assert uncited() == ["arXiv:0000.00000"]


def test_entries_are_whole_and_named_by_their_id() -> None:
    for key, entry in catalogue.references().items():
        assert entry.count("{") == entry.count("}")
        assert f"eprint = {{{key.removeprefix('arXiv:')}}}" in entry
        for field in ("title = ", "author = ", "year = "):
            assert field in entry
        year = entry.split("year = {")[1][:4]
        assert year[2:] == key.removeprefix("arXiv:")[:2]


def test_cite_prints_each_entry_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "cite", "top_margin", "top_prob") == 0
    shown = capsys.readouterr().out
    assert shown.count("@misc{arXiv:2502.06768,") == 1
    assert shown.count("@misc{") == 2
    assert call(monkeypatch, "cite", "left_to_right") == 2
    assert "no arXiv id" in capsys.readouterr().err


def test_orders_lists_every_strategy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "orders", "--style", "markdown") == 0
    strategies, decoders = capsys.readouterr().out.split(f"\n\n## {catalogue.SEVERAL_TITLE}\n\n")
    for shown, names in ((strategies, [*PRESETS, *SOURCES]), (decoders, [*SEVERAL])):
        rows = shown.splitlines()[2:]
        assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == names
    assert call(monkeypatch, "orders", "top_magrin") == 2
    assert "did you mean 'top_margin'?" in capsys.readouterr().err


def test_every_decoder_of_several_states_is_listed_with_its_call_and_cited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rooms = [vars(room).items() for room in (beam, particles)]
    public = {
        name: f"{value.__module__}.{name}"
        for room in rooms
        for name, value in room
        if getattr(value, "__annotations__", {}).get("return") in ("Decoded", "BestOf")
        and "model" in value.__annotations__
        and name != "decode"
    }
    assert {name: entry.call.split("; ")[0] for name, entry in SEVERAL.items()} == public
    assert call(monkeypatch, "orders") == 0
    _, shown = capsys.readouterr().out.split(catalogue.SEVERAL_TITLE)
    for word in (*SEVERAL, "--best-of N"):
        assert word in shown
    assert call(monkeypatch, "orders", "best_of") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(catalogue.SEVERAL_TITLE)
    assert "decode_beam" not in shown
    assert call(monkeypatch, "cite", "best_of", "decode_beam", "decode_particles") == 0
    shown = capsys.readouterr().out
    assert re.findall(r"@misc{(.*),", shown) == ["arXiv:2210.01776", "arXiv:2602.18176"]
    with pytest.raises(UserInputError, match=r"'best_of' keeps several .* call .*best_of; .* --best-of N"):
        get_strategy("best_of")


@pytest.mark.parametrize("known", [True, False])
def test_an_id_without_an_entry_is_told_in_one_line(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    also = "arXiv:2502.06768; " if known else ""
    source = f"{also}arXiv:2601.99999; arXiv:1401.1234"
    text = f"from planorder.decoding import Strategy\nmine = Strategy('m', abs, source='{source}')\n"
    (tmp_path / "cited_orders.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cited_orders", raising=False)
    assert call(monkeypatch, "cite", "cited_orders:mine") == (0 if known else 2)
    shown = capsys.readouterr()
    assert shown.out.count("@misc{arXiv:2502.06768,") == shown.out.count("@misc") == known
    start = "note" if known else "error"
    assert shown.err.startswith(f"{start}: no entry here for arXiv:1401.1234, arXiv:2601.99999: take ")
    assert shown.err.endswith("https://arxiv.org/bibtex/1401.1234, https://arxiv.org/bibtex/2601.99999\n")
    assert shown.err.count("\n") == 1


def test_the_page_of_all_orders_is_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, "orders", "--style", "markdown")
    assert capsys.readouterr().out in (DOCS / "all-orders.md").read_text()


LEFT_OUT = ("adaptive_dag", "A-CFG", "DDPD", "DPRM", "Prism ", "ProSeCo", "PTRM")
LEFT_OUT += (
    "``mean``",
    "planner",
    "thresholds of KLASS",
    "FlexMDM",
    "CoRe",
    "T2M",
    "Saber",
    "RemeDi",
    "LoMDM",
)
"""Published rules that are no presets."""


def test_the_strategies_are_counted_and_what_is_left_out_is_listed() -> None:
    readme, changes = (DOCS.parent.joinpath(name).read_text() for name in ("README.md", "CHANGELOG.md"))
    assert f"# {len(PRESETS) + len(SOURCES)} strategies: rule" in readme
    assert f"- {len(PRESETS)} published decoding rules" in changes
    listed = (DOCS / "all-orders.md").read_text().split("## Left out, and why")[1]
    for name in LEFT_OUT:
        assert name in str(published.__doc__), name
        assert name.replace("``", "`") in listed, name


def test_an_unknown_command_and_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "trian") == 2
    assert "did you mean 'train'?" in capsys.readouterr().err
    assert call(monkeypatch) == 0
    shown = capsys.readouterr().out
    for name in (*entrance.COMMANDS, *entrance.MODULES):
        assert f"\n  {name} " in shown


@pytest.mark.parametrize("name", [*entrance.COMMANDS, *entrance.MODULES])
def test_every_command_by_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module, _ in entrance.MODULES.values():  # runpy warns of what is imported already
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert call(monkeypatch, name, "--help") == 0
    assert f"{name} [-h]" in capsys.readouterr().out


SHAPED = """
from planorder.decoding import Strategy
from planorder.decoding.fixed_orders import given_order

backwards = Strategy("mine", given_order(range(80, -1, -1)), description="from the last cell to the first")
"""


def test_a_strategy_of_the_working_folder_is_listed_whatever_puzzles_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script ``planorder`` starts with its own folder on the path, ``python -m`` with the working one."""
    (tmp_path / "here_orders.py").write_text(SHAPED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", os.getcwd())])
    assert call(monkeypatch, "orders", "here_orders:backwards", "--style", "markdown") == 0
    assert "| here_orders:backwards | from the last cell to the first |" in capsys.readouterr().out


@pytest.mark.parametrize("module", [m for m, *_ in entrance.COMMANDS.values() if m != "planorder.catalogue"])
def test_a_module_is_a_command_too(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    monkeypatch.delitem(sys.modules, module, raising=False)  # runpy warns of what is imported already
    with pytest.raises(SystemExit):
        run_module(module, run_name="__main__", alter_sys=True)
    assert "usage: python -m planorder" in capsys.readouterr().out


def test_a_reader_that_leaves_early_is_no_error() -> None:
    words = [sys.executable, "-m", "planorder", "cite", "top_margin"]  # so little that it waits for a flush
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=buffered) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141
