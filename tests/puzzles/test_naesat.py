"""NAE-SAT: the rule, the triples, the streams, and every verb against plain twins that try all sequences."""

from __future__ import annotations

import hashlib
import re
from itertools import combinations, product

import numpy as np
import pytest

from puzzles import FAMILIES, get_family
from puzzles.base import LOGIC, UserInputError
from puzzles.naesat import LATENT, OBSERVATION, SEARCH, NaeSat, draw_triples
from puzzles.seeding import stream_keys
from puzzles.testing import check_family

SMALL = NaeSat("naesat-small", 5, 8)
ENTRIES = [name for name in FAMILIES if name.startswith("naesat")]
GOLDEN_TRIPLES = {
    "naesat": "8c1f28bfc51b1f0e",
    "naesat-30-270": "c8c24e1210a5d575",
    "naesat-40-260": "75346c50440a529a",
    "naesat-50-250": "910df036ba9c49bb",
    "naesat-100-200": "781554673d62afaa",
}
"""Of the triples with seed 0. Other triples mean a new version."""
GOLDEN = {"train": "87b03772203c010a", "val": "d679b4a598a7f226", "test": "32c5ef5ed0673f64"}
"""Of the first 32 sequences of naesat-v1. New bytes mean a new version, not a new hash."""


def short_hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def nae(a: int, b: int, c: int) -> int:
    """The predicate as a table of bits."""
    return {(0, 0, 0): 0, (1, 1, 1): 0}.get((a, b, c), 1)


def twin_sequences(family: NaeSat) -> list[tuple[int, ...]]:
    """All sequences, in the order of their latents."""
    found = []
    for bits in product((0, 1), repeat=family.latents):
        seen = [nae(*(bits[latent] for latent in triple)) for triple in family.triples.tolist()]
        found.append(tuple(bit + 1 for bit in (*bits, *seen)))
    return found


ALL = twin_sequences(SMALL)


def agrees(cells: tuple[int, ...], clues: list[int]) -> bool:
    return all(clue in (0, cell) for cell, clue in zip(cells, clues, strict=True))


def some_clues(rows: int, share: float, seed: int = 0) -> np.ndarray:
    """int8 ``[rows, cells]``: parts of sequences of `SMALL`, in every third row with one cell changed."""
    rng = np.random.default_rng(seed)
    cells = np.array(ALL, np.int8)[rng.integers(0, len(ALL), rows)]
    cells[::3, rng.integers(0, SMALL.n_cells)] ^= 3
    return np.where(rng.random(cells.shape) < share, cells, 0).astype(np.int8)


def test_nae_is_one_unless_all_three_are_equal() -> None:
    family = NaeSat("naesat-one", 3, 1)
    assert family.triples.tolist() == [[0, 1, 2]]
    cells = np.array([(*bits, 0) for bits in product((1, 2), repeat=3)], np.int8)
    assert family.observe(cells)[:, 0].tolist() == [1, 2, 2, 2, 2, 2, 2, 1]
    cells[:, 1] = 0
    assert not family.observe(cells).any()


@pytest.mark.parametrize("name", ENTRIES)
def test_triples_are_fixed_distinct_and_ascending(name: str) -> None:
    family = FAMILIES[name]
    assert isinstance(family, NaeSat)
    triples = family.triples
    assert short_hash(triples) == GOLDEN_TRIPLES[name]
    assert triples.shape == (family.observations, 3)
    assert (np.diff(triples, axis=1) > 0).all()
    assert triples.min() >= 0
    assert triples.max() < family.latents
    assert (draw_triples(family.latents, family.observations, 1) != triples).any()


def test_triples_are_the_numbered_ones() -> None:
    """Against a list of all ordered triples, in plain Python."""
    ordered = [t for t in product(range(6), repeat=3) if len(set(t)) == 3]
    keys = stream_keys("naesat-6-50", "triples", "3", 0, 50).tolist()
    assert draw_triples(6, 50, 3).tolist() == [sorted(ordered[key % len(ordered)]) for key in keys]


def test_all_triples_come_equally_often() -> None:
    triples = draw_triples(5, 20_000, 0)
    counts = [int((triples == triple).all(axis=1).sum()) for triple in combinations(range(5), 3)]
    assert sum(counts) == 20_000
    assert max(abs(count - 2000) for count in counts) < 5 * 2000**0.5


@pytest.mark.parametrize("split", GOLDEN)
def test_the_bytes_of_the_version_stand(split: str) -> None:
    batch = get_family("naesat").generate(split, LOGIC, 32)
    assert batch.family == "naesat-v1"
    assert short_hash(batch.solution) == GOLDEN[split]


def test_other_triples_have_another_data_id() -> None:
    assert NaeSat("naesat", 25, 275, seed=7).version == "naesat-v1-seed7"


@pytest.mark.parametrize("latents", [5, 63, 64, 65, 130])
def test_latents_are_the_bits_of_the_keys(latents: int) -> None:
    family = NaeSat("naesat-bits", latents, 1)
    words = (latents + 63) // 64
    keys = stream_keys(family.version, "val", LOGIC, 3 * words, 4 * words).tolist()
    batch = family.generate("val", LOGIC, 4, start=3)
    for row in range(4):
        number = sum(key << 64 * place for place, key in enumerate(keys[row * words : (row + 1) * words]))
        assert batch.solution[row, :latents].tolist() == [1 + (number >> i & 1) for i in range(latents)]


def test_sequences_are_fair() -> None:
    batch = get_family("naesat").generate("train", LOGIC, 5000)
    ones = (batch.solution == 2).mean(axis=0)
    assert not batch.clues.any()
    assert np.abs(ones[:25] - 0.5).max() < 5 * 0.5 / 5000**0.5
    assert np.abs(ones[25:] - 0.75).max() < 5 * 0.44 / 5000**0.5


def test_chunks_and_workers_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SMALL.generate("train", LOGIC, 50)
    monkeypatch.setattr("puzzles.naesat.CHUNK", 7)
    finished: list[int] = []
    parts = SMALL.generate("train", LOGIC, 50, workers=3, progress=finished.append)
    assert (whole.solution == parts.solution).all()
    assert finished == [7] * 7 + [1]
    assert len(SMALL.generate("train", LOGIC, 0)) == 0


def test_the_graph_has_an_edge_an_observation() -> None:
    graph = SMALL.graph()
    (clause,) = graph.edges
    assert clause.kind == "clause"
    assert clause.roles == ("latent", "latent", "latent", "observation")
    assert clause.cells.tolist() == [[*triple, 5 + j] for j, triple in enumerate(SMALL.triples.tolist())]
    assert not graph.values_interchangeable


@pytest.mark.parametrize(
    ("latents", "observations", "grid"),
    [
        (25, 275, (12, 25)), (30, 270, (10, 30)), (40, 260, (15, 20)), (50, 250, (12, 25)),
        (100, 200, (15, 20)), (5, 8, (13, 1)), (6, 8, (7, 2)),
    ],
)  # fmt: skip
def test_rows_of_the_grid_hold_cells_of_one_kind(latents: int, observations: int, grid: tuple) -> None:
    family = NaeSat("naesat-grid", latents, observations)
    assert family.grid == grid
    assert latents % grid[1] == 0


def test_validity_and_right_as_the_twin() -> None:
    rng = np.random.default_rng(1)
    cells = np.array(ALL, np.int8)[rng.integers(0, len(ALL), 300)]
    clues = np.where(rng.random(cells.shape) < 0.3, cells, 0).astype(np.int8)
    changed = rng.random(cells.shape) < 0.05
    cells[changed] = rng.integers(-1, 4, changed.sum())
    valid, right = SMALL.is_valid(cells, clues), SMALL.right(cells, cells[::-1])
    for row, sequence in enumerate(cells.tolist()):
        assert valid[row] == (tuple(sequence) in ALL and agrees(tuple(sequence), clues[row].tolist()))
        for latent in range(5):
            assert right[row, latent] == (sequence[latent] in (1, 2))
        for j, triple in enumerate(SMALL.triples.tolist()):
            known = [sequence[latent] - 1 for latent in triple]
            if set(known) <= {0, 1}:
                assert right[row, 5 + j] == (sequence[5 + j] - 1 == nae(*known))
            elif -1 in known:
                assert not right[row, 5 + j]
    assert {False, True} == set(valid.tolist())
    assert SMALL.judged().tolist() == [False] * 5 + [True] * 8


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_solutions_are_counted_as_by_the_twin(share: float, limit: int) -> None:
    clues = some_clues(300, share)
    count, first = SMALL.count_solutions(clues, limit)
    assert (count.dtype, first.dtype) == (np.int64, np.int8)
    for row, given in enumerate(clues.tolist()):
        known = [sequence for sequence in ALL if agrees(sequence, given)]
        assert count[row] == min(limit, len(known))
        assert tuple(first[row]) == (known[0] if known else (0,) * 13)
    assert {min(limit, 2), 0 if share > 0.1 else 1} <= set(count.tolist())


def test_counts_of_what_is_special() -> None:
    assert SMALL.count_solutions(np.zeros((1, 13), np.int8), limit=1000)[0].tolist() == [32]
    bad = np.zeros((2, 13), np.int8)
    bad[0, 2], bad[1, 7] = 3, -1
    count, first = SMALL.count_solutions(bad)
    assert count.tolist() == [0, 0]
    assert not first.any()
    large = get_family("naesat-100-200")
    blank = np.zeros((1, 300), np.int8)
    assert large.count_solutions(blank, limit=2**62)[0].tolist() == [2**62]
    assert len(large.count_solutions(blank[:0])[0]) == 0


def test_all_observations_leave_a_sequence_and_its_flip() -> None:
    family = get_family("naesat")
    batch = family.generate("test", LOGIC, 20)
    seen = np.where(family.judged(), batch.solution, 0).astype(np.int8)
    count, first = family.count_solutions(seen, limit=10)
    assert count.tolist() == [2] * 20
    assert (family.canonical(first) == family.canonical(batch.solution)).all()


def test_latents_come_before_observations() -> None:
    clues = some_clues(60, 0.3)
    count, solution = SMALL.count_solutions(clues)
    batch = SMALL.rate(clues[count > 0], solution[count > 0])
    for row, given in enumerate(batch.clues.tolist()):
        order = [cell for cell in range(13) if given[cell] == 0]
        bound = {latent for j, triple in enumerate(SMALL.triples) for latent in triple if given[5 + j]}
        for cell in range(13):
            technique = OBSERVATION if cell >= 5 else SEARCH if cell in bound else LATENT
            assert batch.technique[row, cell] == (0 if given[cell] else technique)
            assert batch.rank[row, cell] == (-1 if given[cell] else order.index(cell))
    assert (batch.hardest == batch.technique.max(axis=1)).all()
    assert set(SMALL.tier(batch)) == {LOGIC}
    fresh = SMALL.generate("train", LOGIC, 3)
    assert (fresh.rank == np.arange(13)).all()
    assert (fresh.technique == [LATENT] * 5 + [OBSERVATION] * 8).all()


def test_the_symmetry_flips_latents_alone() -> None:
    batch = SMALL.rate(clues := some_clues(200, 0.5), clues)
    other = SMALL.augment(batch, np.random.default_rng(0))
    flipped = (other.clues != clues).any(axis=1)
    assert 60 < flipped.sum() < 140
    for row, given in enumerate(clues.tolist()):
        images = [given, [{0: 0, 1: 2, 2: 1}[value] for value in given[:5]] + given[5:]]
        assert other.clues[row].tolist() == images[int(flipped[row])]
        assert other.solution[row].tolist() == images[int(flipped[row])]
        form = SMALL.canonical(clues[row : row + 1])[0].tolist()
        assert form == min(images)
    assert SMALL.canonical(clues[:0]).shape == (0, 13)


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ((2, 5), "latents=2 of x: expected 3 or more"),
        ((3, 0), "observations=0 of x: expected 1 or more"),
        ((3, 4, -1), "seed=-1 of x: expected 0 or more"),
        ((3, 32765), "3 + 32765 cells of x: expected at most 32767; ask for fewer"),
    ],
)
def test_impossible_sizes_are_refused(numbers: tuple[int, ...], problem: str) -> None:
    with pytest.raises(UserInputError, match=f"^{re.escape(problem)}$"):
        NaeSat("x", *numbers)


@pytest.mark.parametrize("name", ENTRIES)
def test_our_entries_pass(name: str) -> None:
    check_family(get_family(name), n=8)


@pytest.mark.parametrize("sizes", [(3, 1), (5, 8), (130, 60)])
def test_other_sizes_pass(sizes: tuple[int, int]) -> None:
    check_family(NaeSat("naesat-mine", *sizes, seed=2), n=8)
