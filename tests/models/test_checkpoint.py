"""Files of weights: what comes back, what is refused in one line, and what a full disk leaves."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from planorder.models import RelationalConfig, build_model
from planorder.models.checkpoint import (
    EMA,
    FORMAT,
    load_model,
    model_header,
    pretrained,
    read_tensors,
    save_model,
    write_tensors,
)
from puzzles import get_family
from puzzles.base import UserInputError

FAMILY = get_family("sudoku-2x2")
CONFIG = RelationalConfig(6, 10, 2, by_value=False)


def small_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = build_model(CONFIG, FAMILY)
    for weight in model.parameters():
        nn.init.normal_(weight)
    return model


def header(**changes: Any) -> dict[str, Any]:
    return model_header(CONFIG, FAMILY, "mine", {"examples": 640}) | changes


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_model(path, small_model(), header())
    return path


def test_a_network_comes_back_as_its_half_precision_self(saved: Path) -> None:
    loaded, original = load_model(saved), small_model()
    assert (loaded.config, loaded.family, loaded.name) == (CONFIG, FAMILY, "mine")
    assert loaded.info == {"data": "sudoku-2x2-v1", "examples": 640}
    assert not loaded.model.training
    for name, weight in loaded.model.state_dict().items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, original.state_dict()[name].half().float()), name
    tokens = torch.zeros(1, 16, dtype=torch.int64)
    expected = original.load_state_dict(loaded.model.state_dict()) and original.eval()(tokens)
    assert torch.equal(loaded.model(tokens), expected)


def test_the_file_says_what_it_is(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        found = json.loads(file.metadata()["planorder"])
        kinds = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118  (not a dict)
    assert kinds == {torch.float16}
    assert found["format"] == FORMAT
    assert (found["family"], found["data"]) == ("sudoku-2x2", "sudoku-2x2-v1")
    assert (found["backbone"], found["config"]["hidden"], found["examples"]) == ("relational", 10, 640)


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_model(saved)
    assert torch.equal(torch.rand(4), expected)


def test_a_training_state_gives_its_averaged_weights(tmp_path: Path) -> None:
    path, average = tmp_path / "training.safetensors", small_model(1)
    state = {f"model.{name}": weight for name, weight in small_model(0).named_parameters()}
    state |= {EMA + name: weight for name, weight in average.named_parameters()}
    state |= {"adam.step.embed.weight": torch.tensor(5.0)}
    write_tensors(path, state, header(done=5, seconds=1.0))
    loaded = load_model(path).model.state_dict()
    assert loaded.keys() == average.state_dict().keys()
    assert all(torch.equal(loaded[name], weight) for name, weight in average.named_parameters())


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4).T, "b": torch.tensor(float("inf")), "c": torch.arange(3)}
    write_tensors(tmp_path / "new" / "folder" / "file.safetensors", tensors, header(done=2))
    found, said = read_tensors(tmp_path / "new" / "folder" / "file.safetensors")
    assert said == header(done=2)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def refused(path: Path, *words: str) -> None:
    """Loading fails in one line that names the file and says these words."""
    with pytest.raises(UserInputError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(path), *words):
        assert word in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "no such checkpoint")
    refused(tmp_path, "no such checkpoint")


def test_no_length_of_a_cut_file_loads(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in (0, 1, 7, 8, 9, 200, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        refused(saved, "truncated or not a safetensors file")
    saved.write_bytes(whole)
    assert load_model(saved).name == "mine"


def test_files_of_other_programs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    for metadata in (None, {"format": "pt"}, {"planorder": "not json"}, {"planorder": "[1]"}):
        save_file({"weight": torch.zeros(2)}, path, metadata)
        refused(path, "foreign checkpoint", repr(FORMAT))
    path.write_bytes(b"PK\x03\x04 a zip of pickles" * 100)
    refused(path, "not a safetensors file")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "planorder-0"}, ("foreign checkpoint (format planorder-0)",)),
        ({"data": "sudoku-2x2-v0"}, ("'sudoku-2x2-v0'", "'sudoku-2x2-v1'", "train again")),
        ({"family": "sudoko-2x2"}, ("did you mean 'sudoku-2x2'",)),
        ({"backbone": "relationel"}, ("did you mean 'relational'",)),
        ({"config": {"canals": 3}}, ("'canals'",)),
        ({"config": {"channels": 0}}, ("channels=0: expected at least 1",)),
        ({"config": {"channels": 7, "by_value": False}}, ("weights do not fit their config",)),
    ],
)
def test_headers_that_do_not_fit_are_refused(
    tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    save_model(tmp_path / "odd.safetensors", small_model(), header(**changes))
    refused(tmp_path / "odd.safetensors", *words)


@pytest.mark.parametrize("key", ["family", "data", "name", "backbone", "config"])
def test_a_header_that_lacks_something_says_what(tmp_path: Path, key: str) -> None:
    said = header()
    del said[key]
    save_model(tmp_path / "odd.safetensors", small_model(), said)
    refused(tmp_path / "odd.safetensors", f"header without {key}")


def test_a_full_disk_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills while the new file is written: the old one still loads and nothing else is left."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserInputError, match=rf"cannot write {saved}: no space left.*free some space"):
        save_model(saved, small_model(1), header(name="newer"))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    monkeypatch.undo()
    save_model(saved, small_model(1), header(name="newer"))
    assert load_model(saved).name == "newer"


def test_a_path_through_a_file_is_one_line(saved: Path) -> None:
    with pytest.raises(UserInputError, match="cannot write"):
        save_model(saved / "below" / "weights.safetensors", small_model(), header())


def test_what_ships_is_found_by_family_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pretrained").mkdir()
    for name in ("sudoku_relational", "sudoku_ar-solver", "sudoku-2x2_relational"):
        (tmp_path / "pretrained" / f"{name}.safetensors").touch()
    monkeypatch.setattr("planorder.models.checkpoint.resources.files", lambda package: tmp_path)
    assert list(pretrained("sudoku")) == ["ar-solver", "relational"]
    assert pretrained("sudoku-2x2")["relational"].name == "sudoku-2x2_relational.safetensors"
    assert pretrained("zebra") == {}
