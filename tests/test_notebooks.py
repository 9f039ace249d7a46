"""The notebooks run, and what they show is committed; ``python tests/test_notebooks.py`` shows it anew."""

from __future__ import annotations

import copy
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""All that a committed notebook says of its kernel: nothing that another machine would say otherwise."""
ABSOLUTE = re.compile(r"(?<![\w.:/-])/(?:home|root|tmp|usr|var|opt|work|mnt|Users)/|\b[A-Z]:\\")
MOST_CELLS, MOST_LINES = 12, 25


def execute(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the outputs of a fresh kernel in an empty folder."""
    notebook = copy.deepcopy(notebook)
    # a name made here, not by pytest, whose long ones a socket's path may not have
    with tempfile.TemporaryDirectory() as folder:
        # one thread, as the committed outputs were made; the user's own IPython profile stays out
        env = os.environ | {"OMP_NUM_THREADS": "1", "IPYTHONDIR": f"{folder}/.ipython"}
        # sockets in the folder: two tests at once cannot race for a port
        sockets = Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})
        place = {"metadata": {"path": folder}}
        client = NotebookClient(
            notebook, timeout=300, record_timing=False, resources=place, config=sockets, kernel_name="python3"
        )
        client.execute(env=env)
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook: NotebookNode) -> list[list[str]]:
    """What each code cell shows: data by its types, streams by name, once in whatever pieces they came."""
    shown = [
        ["+".join(sorted(output.get("data", {}))) or output.get("name", "error") for output in cell.outputs]
        for cell in code_cells(notebook)
    ]
    return [
        [kind for before, kind in zip(["", *cell], cell, strict=False) if kind != "stdout" or before != kind]
        for cell in shown
    ]


def test_a_stream_in_pieces_is_one() -> None:
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in "ab"]
    pictures = [nbformat.v4.new_output("display_data", {"image/png": ""}) for _ in range(2)]
    cell = nbformat.v4.new_code_cell("", outputs=[*pieces, *pictures, pieces[0]])
    assert kinds(nbformat.v4.new_notebook(cells=[cell])) == [["stdout", "image/png", "image/png", "stdout"]]


def faults(notebook: NotebookNode) -> list[str]:
    """What keeps a notebook from being committed as it stands, a short line each."""
    found = []
    cells = code_cells(notebook)
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("not executed once, from the top")
    outputs = [output for cell in cells for output in cell.outputs]
    if any(output.output_type == "error" for output in outputs):
        found.append("an error among the outputs")
    if any(output.get("name") == "stderr" for output in outputs):
        found.append("warnings or logs among the outputs")
    if not any("image/png" in output.get("data", {}) for output in outputs):
        found.append("no plot")
    if notebook.metadata != METADATA or any(cell.metadata for cell in notebook.cells):
        found.append("metadata of a machine or a moment")
    texts = [cell.source for cell in notebook.cells] + [str(shown_text(output)) for output in outputs]
    if any(ABSOLUTE.search(text) for text in texts):
        found.append("an absolute path")
    if len(notebook.cells) > MOST_CELLS or any(cell.source.count("\n") >= MOST_LINES for cell in cells):
        found.append(f"more than {MOST_CELLS} cells, or a code cell of more than {MOST_LINES} lines")
    return found


def shown_text(output: NotebookNode) -> list[str]:
    """The texts of an output; pictures are base64, which may hold any letters."""
    data = output.get("data", {})
    return [output.get("text", ""), *(data[kind] for kind in data if kind.startswith("text/"))]


def test_there_are_notebooks() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_shows_what_is_committed(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    assert kinds(execute(committed)) == kinds(committed)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_with_its_outputs(path: Path) -> None:
    assert faults(nbformat.read(path, as_version=4)) == []


def spoil_count(notebook: NotebookNode) -> None:
    code_cells(notebook)[0].execution_count = None


def spoil_output(notebook: NotebookNode) -> None:
    code_cells(notebook)[0].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]


def spoil_log(notebook: NotebookNode) -> None:
    code_cells(notebook)[0].outputs += [nbformat.v4.new_output("stream", name="stderr", text="a warning")]


def spoil_plots(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        cell.outputs = []


def spoil_metadata(notebook: NotebookNode) -> None:
    notebook.metadata.language_info["version"] = "3.11.9"


def spoil_timing(notebook: NotebookNode) -> None:
    notebook.cells[0].metadata["execution"] = {"iopub.status.busy": "2020-01-01T00:00:00Z"}


def spoil_path(notebook: NotebookNode) -> None:
    code_cells(notebook)[0].outputs += [nbformat.v4.new_output("stream", text="saved to /usr/me/runs")]


def spoil_length(notebook: NotebookNode) -> None:
    notebook.cells += [nbformat.v4.new_markdown_cell("one more")] * MOST_CELLS


PLANTED: dict[Callable[[NotebookNode], None], str] = {
    spoil_count: "not executed once, from the top",
    spoil_output: "an error among the outputs",
    spoil_log: "warnings or logs among the outputs",
    spoil_plots: "no plot",
    spoil_metadata: "metadata of a machine or a moment",
    spoil_timing: "metadata of a machine or a moment",
    spoil_path: "an absolute path",
    spoil_length: f"more than {MOST_CELLS} cells, or a code cell of more than {MOST_LINES} lines",
}


@pytest.mark.parametrize("spoil", PLANTED, ids=lambda spoil: spoil.__name__)
def test_a_planted_fault_is_found(spoil: Callable[[NotebookNode], None]) -> None:
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    spoil(notebook)
    assert faults(notebook) == [PLANTED[spoil]]


if __name__ == "__main__":
    for path in NOTEBOOKS:
        nbformat.write(execute(nbformat.read(path, as_version=4)), path)
