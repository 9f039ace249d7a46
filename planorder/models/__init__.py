"""Networks: tokens (and a constraint graph) to logits aligned with the cell they predict."""

from __future__ import annotations

from typing import Any

from torch import nn

from planorder.models.autoregressive import AutoregressiveModel
from planorder.models.causal import AutoregressiveConfig
from planorder.models.order_head import OrderHead, OrderHeadConfig
from planorder.models.relational import Relational, RelationalConfig
from planorder.models.transformer import Transformer, TransformerConfig
from puzzles.base import AbstractFamily, UserInputError
from puzzles.errors import did_you_mean

ModelConfig = RelationalConfig | TransformerConfig | AutoregressiveConfig | OrderHeadConfig

CONFIGS: dict[str, type[ModelConfig]] = {
    "relational": RelationalConfig,
    "transformer": TransformerConfig,
    "autoregressive": AutoregressiveConfig,
}
"""The networks that fill blanks, by name."""
HEADS: dict[str, type[ModelConfig]] = {"order_head": OrderHeadConfig}
"""Those that only say which blank comes first, beside a network."""


def backbone_name(config: ModelConfig) -> str:
    """The registry's name of a config."""
    return next(name for name, kind in (CONFIGS | HEADS).items() if type(config) is kind)


def config_from_dict(backbone: str, fields: dict[str, Any]) -> ModelConfig:
    """The config that `asdict` took apart.

    Raises:
        UserInputError: an unknown backbone or unknown fields.
    """
    known = CONFIGS | HEADS
    if backbone not in known:
        hint = did_you_mean(backbone, CONFIGS)
        raise UserInputError(f"backbone {backbone!r} is unknown: expected one of {', '.join(CONFIGS)}{hint}")
    try:
        return known[backbone](**fields)
    except TypeError as error:
        raise UserInputError(
            f"config of {backbone!r} does not fit this version of planorder: {error}"
        ) from error


def build_model(config: ModelConfig, family: AbstractFamily) -> nn.Module:
    """A new network of this shape for a family, weights drawn from torch's current random state."""
    if isinstance(config, RelationalConfig):
        return Relational(config, family.graph())
    if isinstance(config, TransformerConfig):
        return Transformer(config, family.graph())
    if isinstance(config, OrderHeadConfig):
        return OrderHead(config, family.graph())
    return AutoregressiveModel(config, family.graph())


def parameter_count(model: nn.Module) -> int:
    """Number of trained scalars."""
    return sum(parameter.numel() for parameter in model.parameters())


__all__ = [
    "CONFIGS",
    "HEADS",
    "AutoregressiveConfig",
    "AutoregressiveModel",
    "ModelConfig",
    "OrderHead",
    "OrderHeadConfig",
    "Relational",
    "RelationalConfig",
    "Transformer",
    "TransformerConfig",
    "backbone_name",
    "build_model",
    "config_from_dict",
    "parameter_count",
]
