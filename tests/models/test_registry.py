"""The registry of networks: names, configs as dicts, and networks that fit their family."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch import nn

from planorder.models import (
    CONFIGS,
    AutoregressiveConfig,
    AutoregressiveModel,
    ModelConfig,
    Relational,
    RelationalConfig,
    Transformer,
    TransformerConfig,
    backbone_name,
    build_model,
    config_from_dict,
    parameter_count,
)
from puzzles import get_family
from puzzles.base import UserInputError

EXAMPLES: dict[str, tuple[ModelConfig, type[nn.Module]]] = {
    "relational": (RelationalConfig(6, 10, 2, tied=False, by_value=False), Relational),
    "transformer": (TransformerConfig(1, 12, 3, dropout=0.1), Transformer),
    "autoregressive": (AutoregressiveConfig(16, 4, 4, 4, layers=1, width=12, heads=3), AutoregressiveModel),
}


def test_the_examples_cover_the_registry() -> None:
    assert EXAMPLES.keys() == CONFIGS.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_config_survives_its_dict(name: str) -> None:
    config, network = EXAMPLES[name]
    assert backbone_name(config) == name
    assert config_from_dict(name, asdict(config)) == config
    assert type(build_model(config, get_family("sudoku-2x2"))) is network


@pytest.mark.parametrize("name", ["relational", "transformer"])
@pytest.mark.parametrize("family", ["sudoku-2x2", "sudoku-2x3", "sudoku"])
def test_logits_fit_the_family(name: str, family: str) -> None:
    cells, values = get_family(family).n_cells, get_family(family).n_values
    model = build_model(EXAMPLES[name][0], get_family(family)).eval()
    assert model(torch.full((2, cells), values)).shape == (2, cells, values)


def test_weights_come_from_torchs_random_state() -> None:
    config, _ = EXAMPLES["transformer"]
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(build_model(config, get_family("sudoku-2x2")).state_dict()["embed.weight"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_parameters_are_counted_by_hand() -> None:
    assert parameter_count(nn.Sequential(nn.Linear(3, 5), nn.Embedding(7, 2))) == 3 * 5 + 5 + 7 * 2


@pytest.mark.parametrize(
    ("backbone", "fields", "message"),
    [
        ("relatoinal", {}, r"'relatoinal' is unknown.*did you mean 'relational'\?"),
        ("diffusion9000", {}, r"expected one of relational, transformer, autoregressive$"),
        ("relational", {"chanels": 8}, r"'relational' does not fit.*'chanels'"),
        ("relational", {"channels": "8"}, r"'relational' does not fit"),
        ("transformer", {"heads": 7}, r"heads=7: expected a divisor of width=160"),
    ],
)
def test_configs_that_cannot_be(backbone: str, fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserInputError, match=message) as caught:
        config_from_dict(backbone, fields)
    assert "\n" not in str(caught.value)
