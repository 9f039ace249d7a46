"""The code of docs/other-models.md runs as it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "other-models.md"


def test_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    code = PAGE.read_text().split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10
    names: dict[str, object] = {}
    with torch.random.fork_rng(devices=[]):
        exec(code, names)
    found, ids = names["found"], names["ids"]
    assert (found.cells[ids != 3] == ids[ids != 3]).all()
    assert (found.cells > 3).all()
    assert not np.array_equal(names["sampled"].cells, found.cells)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "left_to_right",
        "top_margin",
        "eb_entropy",
    ]
