"""The splits of `zebra-v1`: their bytes, and that none holds an image of another's puzzle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from zebra_rules import large_puzzles, sizes_of

from puzzles.base import HARD, LOGIC, PuzzleBatch, concatenate
from puzzles.seeding import SPLITS
from puzzles.storage import content_hash
from puzzles.zebra.clues import LEFT_OF, to_grid
from puzzles.zebra.family import Zebra
from puzzles.zebra.hashing import invariant_hash

ZEBRA, GRID = Zebra("zebra"), Zebra("zebra-grid", layout="grid")
TIERS = (LOGIC, HARD)
PINNED = 32
GOLDEN = {
    ("train", LOGIC): "47a9743de8b2d646",
    ("train", HARD): "8dd6ad020576f333",
    ("val", LOGIC): "8363d643a9484fce",
    ("val", HARD): "75ea79d1ec93769e",
    ("test", LOGIC): "c8d5c807965d9d10",
    ("test", HARD): "468af6f858353005",
}
"""Of the first 32 puzzles of each stream of zebra-v1. New bytes mean a new version, not a new hash."""
GOLDEN_SIZES = {
    (3, 3, LOGIC): "9f7ec1ab8635118f",
    (3, 3, HARD): "65af5ba9acb65b95",
    (6, 6, LOGIC): "d06d4a9d2af57f8b",
    (6, 6, HARD): "1ed3ac958f7c47d3",
}
"""Of the first 8 puzzles of "train" of one size."""
GOLDEN_GRID = {LOGIC: "8fcfd1c05c514487", HARD: "bb08083910a8eda1"}
"""Of the first 32 puzzles of "train" of zebra-grid-v1."""


@pytest.fixture(scope="module")
def streams() -> dict[tuple[str, str], PuzzleBatch]:
    """The first puzzles of all six streams of zebra-v1."""
    sizes = {"train": 200, "val": 48, "test": 48}
    return {(split, tier): ZEBRA.generate(split, tier, sizes[split]) for split in SPLITS for tier in TIERS}


def short_hash(batch: PuzzleBatch) -> str:
    return content_hash(batch)[:16]


@pytest.mark.parametrize(("split", "tier"), GOLDEN)
def test_the_bytes_of_the_version_stand(streams, split: str, tier: str) -> None:
    batch = streams[split, tier][:PINNED]
    assert batch.family == "zebra-v1"
    assert short_hash(batch) == GOLDEN[split, tier]


def test_a_changed_byte_is_another_hash(streams) -> None:
    batch = streams["train", LOGIC][:PINNED]
    for name, array in batch.arrays().items():
        field = array.copy()
        field[(-1,) * field.ndim] ^= 1
        assert short_hash(replace(batch, **{name: field})) != GOLDEN["train", LOGIC], name


@pytest.mark.parametrize(("houses", "attributes", "tier"), GOLDEN_SIZES)
def test_the_bytes_of_one_size_stand(houses: int, attributes: int, tier: str) -> None:
    batch = Zebra("zebra", houses=houses, attributes=attributes).generate("train", tier, 8)
    assert short_hash(batch) == GOLDEN_SIZES[houses, attributes, tier]


@pytest.mark.parametrize("tier", TIERS)
def test_the_bytes_of_the_other_layout_stand(tier: str) -> None:
    assert short_hash(GRID.generate("train", tier, PINNED)) == GOLDEN_GRID[tier]


def leaks(family: Zebra, streams: dict[tuple[str, str], PuzzleBatch]) -> list[str]:
    """The puzzles of one split that symmetry makes equal to one of another split."""
    where: dict[bytes, dict[str, str]] = {}
    for (split, tier), batch in streams.items():
        for place, form in zip(batch.index, family.canonical(batch.clues, batch.edges), strict=True):
            where.setdefault(form.tobytes(), {})[split] = f"{split}/{tier}/{place}"
    return [" is ".join(sorted(places.values())) for places in where.values() if len(places) > 1]


def test_no_puzzle_of_a_split_is_an_image_of_anothers(streams) -> None:
    assert leaks(ZEBRA, streams) == []


def test_nor_where_puzzles_are_few() -> None:
    family = Zebra("zebra", houses=3, attributes=3, redundant=2)
    few = {(split, LOGIC): family.generate(split, LOGIC, 300) for split in SPLITS}
    assert leaks(family, few) == []


def test_a_planted_image_is_found(streams) -> None:
    test = streams["test", HARD]
    image = ZEBRA.augment(streams["train", HARD][7:8], np.random.default_rng(0))
    assert not (image.edges[0] == streams["train", HARD].edges[7]).all()
    planted = streams | {("test", HARD): concatenate([test[:20], image, test[20:]])}
    assert leaks(ZEBRA, planted) == ["test/hard/7 is train/hard/7"]


def buckets(batch: PuzzleBatch) -> list[int]:
    return [
        int(invariant_hash(edges, *size, solution.astype(np.int64)) % np.uint64(100))
        for edges, size, solution in zip(batch.edges, sizes_of(batch), batch.solution, strict=True)
    ]


def test_every_stream_keeps_to_the_buckets_of_its_split(streams) -> None:
    for (split, _), batch in streams.items():
        low, high = SPLITS[split]
        found = buckets(batch)
        assert low <= min(found)
        assert max(found) < high
        assert len(set(found)) > 4
    assert sorted(SPLITS.values()) == [(0, 90), (90, 95), (95, 100)]
    more = Zebra("zebra", redundant=4).generate("test", LOGIC, 12)
    assert min(buckets(more)) >= 95  # by all its clues, the needless ones too


@pytest.mark.parametrize("make", [lambda: ZEBRA.generate("train", HARD, 60), large_puzzles])
def test_images_share_their_bucket_and_others_do_not(make) -> None:
    batch, rng = make(), np.random.default_rng(0)
    for _ in range(4):
        assert buckets(ZEBRA.augment(batch, rng)) == buckets(batch)
    assert len(set(buckets(batch))) > len(batch) / 3
    turned = batch.edges.copy()  # no symmetry: one kind of clue turned round alone
    one_way = turned[..., 0] == LEFT_OF
    turned[one_way] = turned[one_way][:, [0, 2, 1, 3]]
    changed = one_way.any(axis=1) & ((turned[..., 0] >= 0) & ~one_way).any(axis=1)
    other = np.array(buckets(replace(batch, edges=turned))) != np.array(buckets(batch))
    assert other[changed].mean() > 0.6


def test_both_layouts_show_the_puzzles_of_one_stream() -> None:
    for tier in TIERS:
        ours, theirs = ZEBRA.generate("test", tier, 12), GRID.generate("test", tier, 12)
        np.testing.assert_array_equal(ours.edges, theirs.edges)
        np.testing.assert_array_equal(to_grid(ours.solution), theirs.solution)
