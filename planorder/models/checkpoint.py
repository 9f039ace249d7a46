"""Weights and training states in safetensors files that say in their header what they are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from planorder.models import HEADS, ModelConfig, backbone_name, build_model, config_from_dict
from planorder.results.files import atomic_write, one_line_errors
from puzzles import get_family
from puzzles.base import AbstractFamily, UserInputError

FORMAT = "planorder-1"
EMA = "ema."
"""Prefix, in a training state, of the averaged weights, which are the ones to decode with."""
LEARNED = "learned_"
"""How the names of order heads begin, and of no network."""


@dataclass(frozen=True)
class LoadedModel:
    """A network from a file.

    Attributes:
        model: in eval mode, float32, on the CPU.
        config: its shape.
        family: the puzzles it was trained on.
        name: what tables call it.
        info: the rest of the header: data id, objective, command, commit, examples, metrics.
    """

    model: nn.Module
    config: ModelConfig
    family: AbstractFamily
    name: str
    info: dict[str, Any]


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    """Writes a safetensors file in one atomic step: a crash leaves the old file or the new one.

    Raises:
        UserInputError: the folder cannot be written or the disk is full; the old file stays.
    """
    with one_line_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic_write(path, save(plain, {"planorder": json.dumps(header)}))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and header of a file that `write_tensors` wrote.

    Raises:
        UserInputError: missing, truncated or foreign files.
    """
    if not path.is_file():
        raise UserInputError(f"{path}: no such checkpoint: give the path of a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise UserInputError(
            f"{path}: truncated or not a safetensors file ({error}): copy or train it again"
        ) from error
    try:
        header = json.loads(metadata.get("planorder", "{}"))
        found = header.get("format", "none")
    except (json.JSONDecodeError, AttributeError):
        found = "unreadable"
    if found != FORMAT:
        raise UserInputError(
            f"{path}: foreign checkpoint (format {found}): expected {FORMAT!r}, written by planorder"
        )
    missing = [key for key in ("family", "data", "name", "backbone", "config") if key not in header]
    if missing:
        raise UserInputError(f"{path}: header without {', '.join(missing)}: copy or train it again")
    return tensors, header


def model_header(
    config: ModelConfig, family: AbstractFamily, name: str, info: dict[str, Any]
) -> dict[str, Any]:
    """The header that lets `load_model` rebuild the network from nothing but its file."""
    shape = {"backbone": backbone_name(config), "config": asdict(config)}
    return {"format": FORMAT, "family": family.name, "data": family.version, "name": name, **shape, **info}


def save_model(
    path: Path, model: nn.Module, header: dict[str, Any], dtype: torch.dtype = torch.float16
) -> None:
    """Writes weights for shipping, fp16 unless said otherwise."""
    write_tensors(path, {k: v.to(dtype) for k, v in model.state_dict().items()}, header)


def weights_digest(model: nn.Module) -> str:
    """The first 16 hex digits of a SHA-256 over names, types, shapes and bytes of a network's weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        array = weight.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()[:16]


def load_model(path: Path, *, head: bool = False) -> LoadedModel:
    """The network, or the order ``head``, of a weights file, or the averaged one of a training state.

    Raises:
        UserInputError: missing, truncated or foreign files, a network where a head was expected or the other
            way round, tensors that do not fit the config, and weights that are not finite.
    """
    tensors, header = read_tensors(path)
    if (header["backbone"] in HEADS) != head:
        kind, use = ("a network", "the network") if head else ("an order head", f"--orders learned:{path}")
        raise UserInputError(f"{path}: holds {kind}, {header['name']!r}: give it as {use}")
    averaged = {k.removeprefix(EMA): v for k, v in tensors.items() if k.startswith(EMA)}
    try:
        family = get_family(header["family"])
        config = config_from_dict(header["backbone"], header["config"])
    except UserInputError as error:
        raise UserInputError(f"{path}: {error}") from error
    if header["data"] != family.version:
        raise UserInputError(
            f"{path}: trained on {header['data']!r}, this version has {family.version!r}: train again"
        )
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, family)
    try:
        model.load_state_dict({k: v.float() for k, v in (averaged or tensors).items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserInputError(
            f"{path}: weights do not fit their config ({reason}): copy or train it again"
        ) from error
    if bad := [name for name, weight in model.named_parameters() if not weight.isfinite().all()]:
        raise UserInputError(
            f"{path}: weights are not finite ({bad[0]}): train again, at a lower learning rate"
        )
    info = {k: v for k, v in header.items() if k not in ("format", "config", "backbone", "family", "name")}
    return LoadedModel(model.eval(), config, family, header["name"], info)


def pretrained(family: str) -> dict[str, Path]:
    """Paths of the networks that ship for a family, by the name tables call them."""
    found = sorted(shipped().glob(f"{family}_*.safetensors"))
    names = {path.stem.removeprefix(f"{family}_"): path for path in found}
    return {name: path for name, path in names.items() if not name.startswith(LEARNED)}


def pretrained_heads(name: str = f"{LEARNED}*") -> list[Path]:
    """Paths of the order heads that ship, of any family, or those of one name."""
    return sorted(shipped().glob(f"*_{name}.safetensors"))


def shipped() -> Path:
    """The folder of the weights that ship."""
    return Path(str(resources.files("planorder.models"))) / "pretrained"
