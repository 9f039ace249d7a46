"""The README does what it says: its Python runs, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def missing(text: str, folder: Path = ROOT) -> list[str]:
    """Files that links of a page point to and that are not there."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    return [link for link in links if not (folder / link).exists()]


def test_its_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        code = re.sub(r'"logic", \d+', '"logic", 16', block)
        assert sum(bool(line.strip()) for line in block.splitlines()) <= 11
        exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "steps.png").stat().st_size > 10_000
    assert len(re.findall(r"exact +\d", capsys.readouterr().out)) == 2


def test_the_decoders_of_several_states_run(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "orders.md").read_text(), re.DOTALL)
    quick = block.replace('"sudoku"', '"zebra"').replace("200", "3")
    exec(compile(quick, "orders.md", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 7
    assert all(re.search(r"\d passes, exact \d+\.\d% \(\d+\.\d% to \d+\.\d%\)$", line) for line in told)


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_its_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    assert missing(path.read_text(), path.parent) == []


def test_a_dead_link_is_found() -> None:
    assert missing("see [this](docs/gone.md) and [that](README.md)") == ["docs/gone.md"]


def test_its_commands_have_a_target() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    named = set(re.findall(r"`?make ([\w-]+)", README))
    assert {"bench", "test"} <= named <= set(targets)
