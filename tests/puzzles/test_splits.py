"""The splits of `sudoku-v1`: their bytes, and that none holds an image of another's puzzle."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from puzzles import get_family
from puzzles.base import HARD, LOGIC, AbstractFamily, PuzzleBatch, concatenate
from puzzles.seeding import stream_keys

Streams = dict[tuple[str, str], PuzzleBatch]
SPLITS, TIERS = ("train", "val", "test"), (LOGIC, HARD)
PINNED = 32
GOLDEN = {
    ("train", LOGIC): "7d93441dd86a6343",
    ("train", HARD): "3919c6e0e4a1657b",
    ("val", LOGIC): "c8a9362ed5c83f8e",
    ("val", HARD): "21858e3cb37094f3",
    ("test", LOGIC): "808ffac2cc9f5ccc",
    ("test", HARD): "4b49d8af0b4a7eb9",
}
"""Of the first 32 puzzles of each stream of sudoku-v1. New bytes mean a new version, not a new hash."""
GOLDEN_SMALL = {
    ("sudoku-2x2", LOGIC): "7a3a539a0979370b",
    ("sudoku-2x3", LOGIC): "4cbb44b547d44b89",
    ("sudoku-2x3", HARD): "a57b0b8c4758a0cd",
    ("sudoku-4x4", HARD): "55310d068920de25",
}
"""Of the first 2 puzzles of "train"."""


@pytest.fixture(scope="module")
def streams() -> Streams:
    """The first puzzles of all six streams of sudoku-v1."""
    family = get_family("sudoku")
    sizes = {"train": 300, "val": 48, "test": 48}
    return {(split, tier): family.generate(split, tier, sizes[split]) for split in SPLITS for tier in TIERS}


def short_hash(batch: PuzzleBatch) -> str:
    fields = (batch.clues, batch.solution, batch.rank, batch.technique)
    return hashlib.sha256(b"".join(np.ascontiguousarray(field).tobytes() for field in fields)).hexdigest()[
        :16
    ]


def leaks(family: AbstractFamily, streams: Streams) -> list[str]:
    """The puzzles of one split that symmetry makes equal to one of another split."""
    where: dict[bytes, dict[str, str]] = {}
    for (split, tier), batch in streams.items():
        for place, form in zip(batch.index, family.canonical(batch.clues), strict=True):
            where.setdefault(form.tobytes(), {})[split] = f"{split}/{tier}/{place}"
    return [" is ".join(sorted(places.values())) for places in where.values() if len(places) > 1]


@pytest.mark.parametrize(("split", "tier"), GOLDEN)
def test_the_bytes_of_the_version_stand(streams: Streams, split: str, tier: str) -> None:
    batch = streams[split, tier][:PINNED]
    assert batch.family == "sudoku-v1"
    assert short_hash(batch) == GOLDEN[split, tier]


def test_a_changed_byte_is_another_hash(streams: Streams) -> None:
    batch = streams["train", LOGIC][:PINNED]
    for name in ("clues", "solution", "rank", "technique"):
        field = getattr(batch, name).copy()
        field[-1, -1] ^= 1
        assert short_hash(replace(batch, **{name: field})) != GOLDEN["train", LOGIC], name


@pytest.mark.parametrize(("name", "tier"), GOLDEN_SMALL)
def test_the_bytes_of_the_other_sizes_stand(name: str, tier: str) -> None:
    batch = get_family(name).generate("train", tier, 2)
    assert batch.family == f"{name}-v1"
    assert short_hash(batch) == GOLDEN_SMALL[name, tier]


def test_no_puzzle_of_a_split_is_an_image_of_anothers(streams: Streams) -> None:
    assert leaks(get_family("sudoku"), streams) == []


@pytest.mark.parametrize(("name", "n"), [("sudoku-2x2", 60), ("sudoku-2x3", 200)])
def test_nor_where_puzzles_are_few(name: str, n: int) -> None:
    family = get_family(name)
    batches = {(split, LOGIC): family.generate(split, LOGIC, n) for split in SPLITS}
    assert leaks(family, batches) == []
    forms = {form.tobytes() for form in family.canonical(batches["test", LOGIC].clues)}
    assert name == "sudoku-2x3" or len(forms) < n / 10  # the stream repeats itself, and none of the others


def test_a_planted_image_is_found(streams: Streams) -> None:
    family, test = get_family("sudoku"), streams["test", HARD]
    image = family.augment(streams["train", HARD][7:8], np.random.default_rng(0))
    assert not (image.clues == streams["train", HARD].clues).all(axis=1).any()
    planted = streams | {("test", HARD): concatenate([test[:20], image, test[20:]])}
    assert leaks(family, planted) == ["test/hard/7 is train/hard/7"]
    across = streams | {("val", LOGIC): concatenate([streams["val", LOGIC], image])}
    assert leaks(family, across) == ["train/hard/7 is val/logic/7"]


def plain_key(version: str, split: str, tier: str, index: int) -> int:
    """SplitMix64 in plain integers."""
    mask = 2**64 - 1
    name = f"{version}/{split}/{tier}".encode()
    z = int.from_bytes(hashlib.sha256(name).digest()[:8], "little") + (index + 1) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


@pytest.mark.parametrize("start", [0, 1, 5_000, 2**40])
def test_keys_are_splitmix64_from_the_hashed_name(start: int) -> None:
    keys = stream_keys("sudoku-v1", "val", "hard", start, 9)
    assert keys.dtype == np.uint64
    assert keys.tolist() == [plain_key("sudoku-v1", "val", "hard", start + i) for i in range(9)]
    assert keys[4:].tolist() == stream_keys("sudoku-v1", "val", "hard", start + 4, 5).tolist()
    assert len(stream_keys("sudoku-v1", "val", "hard", start, 0)) == 0


def test_no_two_streams_share_a_key() -> None:
    names = [(v, s, t) for v in ("sudoku-v1", "sudoku-v2", "sudoku-2x3-v1") for s in SPLITS for t in TIERS]
    keys = {name: stream_keys(*name, 0, 5000) for name in names}
    assert len(np.unique(np.concatenate(list(keys.values())))) == 5000 * len(names)
    for a, b in combinations(names, 2):  # nor is one stream another's with a shift
        assert not np.isin(np.diff(keys[a]), np.diff(keys[b])).any()
