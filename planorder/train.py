"""``python -m planorder train``: trains a network of the table, or goes on with one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from torch import nn
from tqdm import tqdm

from planorder.console import DeviceName, command_line, progress_bar, resolve_device, use_all_cores
from planorder.distributed import first_rank_first, world
from planorder.models import AutoregressiveModel, TransformerConfig
from planorder.models.checkpoint import LoadedModel, load_model, pretrained, weights_digest
from planorder.models.forward_process import check_masked
from planorder.results.environment import environment
from planorder.results.files import one_line_errors
from planorder.training.data import TrainingData
from planorder.training.loop import train
from planorder.training.objectives.masked import MaskedObjective
from planorder.training.presets import HEAD_OBJECTIVES, Recipe, recipe
from planorder.training.shards import own_shards
from planorder.validation import head_validation, validation
from puzzles import get_family
from puzzles.base import AbstractFamily, PuzzleBatch, UserInputError, concatenate
from puzzles.storage import load, save

EXAMPLES = """  python -m planorder train sudoku --out runs/mine
  python -m planorder train sudoku --model ar-solver --preset cpu --out runs/ar-solver
  python -m planorder train sudoku-2x2 --preset tiny --out runs/tiny
  python -m planorder train sudoku --objective mdlm --out runs/mdlm
  torchrun --nproc-per-node 2 -m planorder train sudoku --shards 2 --out runs/two
  python -m planorder train sudoku --data puzzles.npz --steps 20000 --device cuda --out runs/long"""


@dataclass(frozen=True)
class Train:
    """Train a network of the table; the same command goes on where it was stopped."""

    family: tyro.conf.Positional[str]
    """puzzles, e.g. sudoku, sudoku-2x2, sudoku-2x3"""
    out: Path
    """folder for the state, metrics.jsonl and the weights"""
    model: str = "relational"
    """relational, shallow, transformer, ar-fixed, ar-random or ar-solver; or an order beside a frozen
    network: learned_imitation, learned_margin, learned_solver, learned_policy; or learned_quality, which says
    what to mask again"""
    objective: str | None = None
    """of masked networks (masked): masked, mdlm, mdlm_T, md4, md4_T, md4_poly, ao_arm, llada, mgdm,
    mgdm_reciprocal, rdm, rdm_reciprocal, rdm_none, puma, d3pm_uniform, d3pm_absorbing, d3pm_gaussian,
    d3pm_nearest; see docs/objectives.md"""
    self_conditioning: bool = False
    """let a transformer read the probabilities that it gave in the step before"""
    denoiser: str = "relational"
    """for learned orders: the network whose blanks they order, one that ships or a file of weights"""
    preset: str = "cpu"
    """tiny (seconds), cpu (at most an hour on two cores) or paper (5.4M parameters, AR 42M, for a GPU)"""
    data: Path | None = None
    """training puzzles from python -m puzzles.generate; generated, and kept in --out, if not given"""
    puzzles: int | None = None
    """size of a generated training set (the preset's)"""
    tiers: str | None = None
    """tiers of a generated training set, with commas (the preset's: logic; for zebra logic,hard)"""
    init: Path | None = None
    """weights to begin with instead of random ones, of a network of the same shape"""
    steps: int | None = None
    """optimiser steps (the preset's)"""
    batch_size: int | None = None
    """puzzles a step (the preset's)"""
    shards: int = 1
    """parts of a batch, each with random masks of its own, for torchrun: a multiple of its ranks"""
    learning_rate: float | None = None
    """peak learning rate (the preset's)"""
    balance: float | None = None
    """0 to 1: how far puzzles of rare techniques are shown more often (the preset's)"""
    by_size: float | None = None
    """0 to 4: puzzles are drawn in proportion to this power of their blanks (the preset's)"""
    revealed: float | None = None
    """share of the puzzles whose masks follow the network's own confidence (the preset's); masked networks"""
    compile: bool = False
    """let torch.compile speed up the blocks; needs a C++ compiler"""
    seed: int = 0
    """of weights, batches, symmetries and masks"""
    precision: str = "auto"
    """bf16, fp32 or auto: bf16 where the processor has it"""
    validate: int = 64
    """validation puzzles decoded by each order during the training; 0 for none"""
    device: DeviceName = "auto"
    """auto takes the GPU where there is one"""


def frozen_network(args: Train, family: AbstractFamily, device: str) -> LoadedModel | None:
    """The network beside which a learned order is trained; None for a network of the table."""
    if args.model not in HEAD_OBJECTIVES:
        return None
    shipped = pretrained(family.name)
    loaded = load_model(shipped.get(args.denoiser) or Path(args.denoiser))
    if loaded.family.name != family.name or isinstance(loaded.model, AutoregressiveModel):
        raise UserInputError(
            f"--denoiser {args.denoiser}: is {loaded.name!r} on {loaded.family.name!r}, expected a masked "
            f"network on {family.name!r}: {', '.join(n for n in shipped if n[:3] != 'ar-')} or a file"
        )
    check_masked(loaded.model)
    loaded.model.requires_grad_(False).to(device)
    return loaded


def chosen_recipe(args: Train, family: AbstractFamily, denoiser: nn.Module | None = None) -> Recipe:
    """The preset's recipe with what the user set."""
    base = recipe(args.preset, args.model, family, denoiser, args.objective)
    if args.self_conditioning:
        if not isinstance(base.model, TransformerConfig):
            raise UserInputError(f"--self-conditioning with {args.model!r}: expected --model transformer")
        base = replace(base, model=replace(base.model, self_conditioning=True))
    given = {
        name: getattr(args, name) for name in ("steps", "batch_size", "learning_rate", "balance", "by_size")
    }
    given = {name: value for name, value in given.items() if value is not None}
    train_config = replace(
        base.train,
        seed=args.seed,
        shards=args.shards,
        precision=args.precision,
        compile=args.compile,
        **given,
    )
    puzzles = base.puzzles if args.puzzles is None else args.puzzles
    if not args.data and puzzles < train_config.batch_size:
        raise UserInputError(f"--puzzles {puzzles}: expected at least a batch of {train_config.batch_size}")
    objective = base.objective
    tiers = base.tiers if args.tiers is None else tuple(args.tiers.split(","))
    for tier in tiers:
        family.generate("train", tier, 0)  # an unknown tier is refused before anything is written
    if args.revealed is not None:
        if not isinstance(objective, MaskedObjective):
            raise UserInputError(
                f"--revealed {args.revealed}: expected a masked network and objective masked or puma; drop it"
            )
        objective = replace(objective, revealed=args.revealed)
    return replace(base, train=train_config, objective=objective, puzzles=puzzles, tiers=tiers)


def training_puzzles(args: Train, family: AbstractFamily, n: int, tiers: tuple[str, ...]) -> PuzzleBatch:
    """The given file, or a generated set, the tiers in equal parts, that stays in the training's folder."""
    for option in ("puzzles", "tiers") if args.data else ():
        if getattr(args, option) is not None:
            raise UserInputError(f"--{option} with --data: expected none, all puzzles of the file are taken")
    path = args.data or args.out / f"{family.version}-train-{'+'.join(tiers)}-{n}.npz"
    if args.data or path.exists():
        batch = load(path)
        if batch.family != family.version:
            raise UserInputError(
                f"{path}: holds {batch.family!r}, expected {family.version!r}: generate it again"
            )
        return batch
    with one_line_errors("write", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    sizes = [n // len(tiers) + (place < n % len(tiers)) for place in range(len(tiers))]
    with progress_bar(n, "puzzles") as advance:
        parts = [
            family.generate("train", tier, size, workers=2, progress=advance)
            for tier, size in zip(tiers, sizes, strict=True)
        ]
    batch = concatenate(parts)
    save(path, batch)
    return batch


def placeless(word: str) -> str:
    """A word of the command line without the folders of an absolute path, also after ``--option=``."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + equals + (Path(value).name if Path(value).is_absolute() else value)


def initial(path: Path, name: str) -> LoadedModel:
    """The network to begin with; for a learned order any head."""
    loaded = load_model(path, head=name in HEAD_OBJECTIVES)
    if loaded.name != name and name not in HEAD_OBJECTIVES:
        raise UserInputError(f"{path}: holds a {loaded.name!r}, expected a {name!r}: name another --init")
    return loaded


def facts_of(args: Train, beside: LoadedModel | None, begun: LoadedModel | None) -> dict[str, Any]:
    """What the weights' header says of how they were made, without the places of this machine."""
    words = [placeless(word) for word in sys.argv[1:]]
    command = " ".join(["python -m planorder train", *words])
    facts: dict[str, Any] = {"environment": environment(), "command": command, "preset": args.preset}
    if beside:
        digest = {"denoiser": beside.name, "denoiser_sha256": weights_digest(beside.model)}
        facts["objective"] = asdict(HEAD_OBJECTIVES[args.model]) | digest
    elif not args.model.startswith("ar-"):
        facts["objective_name"] = args.objective or "masked"
    return facts | ({"init": begun.info} if begun else {})


def run_train(args: Train) -> None:
    """Trains, with a bar that shows the last metrics."""
    use_all_cores()
    family, device = get_family(args.family), resolve_device(args.device)
    beside = frozen_network(args, family, device)
    chosen = chosen_recipe(args, family, beside.model if beside else None)
    own_shards(args.shards)  # a mistake is told before puzzles are generated
    begun = initial(args.init, args.model) if args.init else None
    with first_rank_first():
        puzzles = training_puzzles(args, family, chosen.puzzles, chosen.tiers)
    data = TrainingData(
        family, puzzles, chosen.train.batch_size, args.seed, chosen.train.balance, chosen.train.by_size
    )
    facts = {"puzzles": len(puzzles), **facts_of(args, beside, begun)}
    validate = (
        head_validation(family, args.validate, args.seed, device, beside.model)
        if beside
        else validation(family, args.validate, args.seed, device, chosen.objective)
    )
    with tqdm(
        total=chosen.train.steps,
        desc=args.model,
        unit="step",
        file=sys.stderr,
        dynamic_ncols=True,
        disable=not world().first,
    ) as bar:

        def show(step: int, line: dict[str, float]) -> None:
            bar.update(step - bar.n)
            bar.set_postfix({k: f"{v:.3g}" for k, v in line.items() if k == "loss" or k.startswith("val")})

        weights = train(
            chosen.model,
            chosen.train,
            chosen.objective,
            data,
            args.out,
            name=args.model,
            info=facts,
            init=begun.model if begun else None,
            validate=validate,
            device=device,
            progress=show,
        )
    if world().first:
        print(json.dumps({"weights": weights.name, "folder": str(args.out)}))


def main() -> None:
    """The command line."""
    command_line("planorder train", Train, run_train, EXAMPLES, on_ranks=True)


if __name__ == "__main__":
    main()
