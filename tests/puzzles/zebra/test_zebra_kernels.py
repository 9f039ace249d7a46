"""Clue semantics, arc consistency and propagation against slow plain twins."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import zebra_twin as twin
from zebra_rules import (
    MEANING,
    SIZES,
    all_fillings,
    large_puzzles,
    random_edge,
    random_solution,
    solutions,
    true_edges,
)

from puzzles.kernels import count_bits
from puzzles.zebra.clues import BETWEEN, ENDS, KINDS, MOST, N_CELLS, ROWS, cell_of, given_cells
from puzzles.zebra.counting import deny, house_of
from puzzles.zebra.kernels import (
    ALL_CELLS,
    BROKEN,
    OPEN,
    SOLVED,
    apply_clue,
    cells_of,
    clue_holds,
    narrow_row,
    propagate,
    start,
)

BITS = np.arange(64)[:, None] >> np.arange(MOST) & 1
"""Which houses each domain has: int64 ``[64, MOST]``."""
HOUSES = 1 << np.arange(MOST)
PLACES = (8, 20, 33)
"""Cells of three attributes: where a clue's members stand in these tests."""


def table(kind: int) -> np.ndarray:
    """bool ``[MOST] * members``: for which houses a clue is true."""
    houses = np.indices((MOST,) * len(KINDS[kind].roles)) + 1
    return np.asarray(MEANING[KINDS[kind].name](*houses))


def clue(kind: int, cells: tuple[int, ...] = PLACES) -> tuple[int, int, int, int]:
    members = cells[: len(KINDS[kind].roles)]
    return (kind, *members, *[-1] * (3 - len(members)))


def applied(kernel, kind: int, domains: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """The members' domains after ``kernel``; that it answers the changed cells and leaves all others."""
    domain = np.full(N_CELLS, 63)
    domain[list(PLACES[: len(domains)])] = domains
    before = domain.copy()
    changed = kernel(domain, clue(kind))
    assert changed == sum(1 << int(cell) for cell in np.flatnonzero(domain != before))
    assert set(np.flatnonzero(domain != before)) <= set(PLACES[: len(domains)])
    return tuple(int(domain[cell]) for cell in PLACES[: len(domains)]), changed


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_clues_mean_what_they_say(kind: int) -> None:
    meaning = table(kind)
    for houses in product(range(1, MOST + 1), repeat=3):
        members = tuple(house - 1 for house in houses[: meaning.ndim])
        assert clue_holds(kind, *houses) == meaning[members]
    assert 0 < meaning.sum() < meaning.size


def test_directions_and_distances() -> None:
    """Read from the definition, not from a twin: these are the ones that are easily turned round."""
    true = {"immediate_left": (1, 2), "left_of": (1, 4), "between": (1, 3, 4), "next_to": (3, 2)}
    true |= {"gap1": (4, 2), "gap2": (1, 4), "ends": (6, 1, 6), "same": (2, 2), "different": (2, 3)}
    false = {"immediate_left": (2, 1), "left_of": (4, 1), "between": (4, 3, 1), "next_to": (2, 4)}
    false |= {"gap1": (2, 3), "gap2": (1, 3), "ends": (4, 1, 6), "same": (2, 3), "different": (2, 2)}
    for kind, each in enumerate(KINDS):
        for houses, wanted in ((true[each.name], True), (false[each.name], False)):
            assert clue_holds(kind, *(*houses, 0)[:3]) == wanted, (each.name, houses)


@pytest.mark.parametrize("kind", [k for k, kind in enumerate(KINDS) if len(kind.roles) == 2])
def test_two_members_keep_exactly_the_supported_houses(kind: int) -> None:
    meaning = table(kind)
    for kernel, truth in ((apply_clue, meaning), (deny, ~meaning)):
        for_x, for_y = BITS @ truth.T > 0, BITS @ truth > 0  # by the other's domain
        for a, b in product(range(1, 64), repeat=2):  # an empty domain breaks its row anyway
            wanted = (BITS[a] & for_x[b]) @ HOUSES, (BITS[b] & for_y[a]) @ HOUSES
            assert applied(kernel, kind, (a, b))[0] == wanted, (a, b)


@pytest.mark.parametrize(("kernel", "truth"), [(apply_clue, True), (deny, False)])
def test_between_keeps_exactly_the_supported_houses(kernel, truth: bool) -> None:
    meaning = table(BETWEEN) == truth
    domains = np.random.default_rng(0).integers(0, 64, (6000, 3))
    domains[:500, 1] = 63
    a, b, c = (BITS[domains[:, k]].astype(bool) for k in range(3))
    good = a[:, :, None, None] & b[:, None, :, None] & c[:, None, None, :] & meaning
    wanted = np.stack([good.any(axis=axes) for axes in ((2, 3), (1, 3), (1, 2))], 1) @ HOUSES
    for row, houses in zip(domains.tolist(), wanted.tolist(), strict=True):
        assert applied(kernel, BETWEEN, tuple(row))[0] == tuple(houses), row


def test_ends_looks_at_its_value_alone() -> None:
    for a, first, last in product(range(0, 64, 3), range(64), range(0, 64, 5)):
        found, _ = applied(apply_clue, ENDS, (a, first, last))
        assert found == (a & (first | last), first, last)
    for a, last in product(range(64), range(3, 6)):  # where it is a puzzle's, the others are placed
        assert applied(deny, ENDS, (a, 1, 1 << last))[0][0] == a & ~(1 | 1 << last)


def test_bits() -> None:
    assert [count_bits(x) for x in range(64)] == BITS.sum(axis=1).tolist()
    assert [house_of(1 << k) for k in range(MOST)] == [1, 2, 3, 4, 5, 6]
    assert cells_of((0, 3, 41, -1)) == 1 << 3 | 1 << 41
    assert cells_of((BETWEEN, 0, 7, 20)) == 1 | 1 << 7 | 1 << 20
    assert ALL_CELLS == 2**N_CELLS - 1


@pytest.mark.parametrize("size", SIZES)
def test_the_start_is_what_the_cells_say(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    cells = given_cells(*size)
    for _ in range(5):
        domain = np.empty(N_CELLS, np.int64)
        start(cells, domain)
        assert [twin.unmask(int(d)) for d in domain] == twin.first_domains(cells.tolist())
        some = rng.random(N_CELLS) < 0.2
        cells = np.where(some, random_solution(*size, rng), given_cells(*size)).astype(np.int8)


def row_fixpoint(domains: twin.Domains) -> twin.Domains:
    return twin.fixpoint([], domains + [{k + 1} for _ in range(ROWS - 1) for k in range(MOST)], False)[:MOST]


def test_one_row_as_the_twin() -> None:
    rng = np.random.default_rng(2)
    states = set()
    for k in range(2500):
        row = rng.integers(1, 64, MOST) & (rng.integers(0, 64, MOST) if k % 2 else 63)
        if k % 3:
            row |= HOUSES[rng.permutation(MOST)]  # a filling is left
        domain = np.tile(HOUSES, ROWS)
        domain[:MOST] = row
        changed = narrow_row(domain, 0)
        states.add(min(changed, 1))
        possible = fillings_of(row)
        if changed < 0:
            assert len(possible) == 0
            continue
        assert changed == sum(1 << c for c in range(MOST) if domain[c] != row[c])
        if len(possible):
            kept = BITS[domain[:MOST]].astype(bool)
            assert kept[np.arange(MOST), possible - 1].all()  # no house of a filling is struck
            wanted = row_fixpoint([twin.unmask(int(d)) for d in row])
            assert [twin.unmask(int(d)) for d in domain[:MOST]] == wanted
    assert states == {-1, 0, 1}


def fillings_of(row: np.ndarray) -> np.ndarray:
    """int8 ``[fillings, MOST]``: the permutations that a row's domains allow."""
    every = all_fillings(6, 1)[:, MOST : 2 * MOST]
    return every[BITS[row].astype(bool)[np.arange(MOST), every - 1].all(axis=1)]


def propagated(
    cells: np.ndarray, edges: np.ndarray, alive: np.ndarray, pairs: bool
) -> tuple[int, np.ndarray]:
    domain = np.empty(N_CELLS, np.int64)
    start(cells, domain)
    return propagate(domain, edges, alive, len(edges), pairs, ALL_CELLS), domain


@pytest.mark.parametrize("pairs", [False, True])
def test_propagation_reaches_the_twins_fixpoint(pairs: bool) -> None:
    batch, rng, states = large_puzzles(), np.random.default_rng(3), set()
    houses_of = batch.solution.astype(np.int64)
    for row in range(len(batch)):
        alive = batch.edges[row, :, 0] >= 0
        alive &= rng.random(len(alive)) < (0.6 if row % 2 else 1)
        state, domain = propagated(batch.clues[row], batch.edges[row], alive, pairs)
        clues = twin.clues_of(batch.edges[row][alive])
        wanted = twin.fixpoint(clues, twin.first_domains(batch.clues[row].tolist()), pairs)
        assert [twin.unmask(int(d)) for d in domain] == wanted
        assert (domain >> (houses_of[row] - 1) & 1).all()  # the solution's houses stay
        assert state == (SOLVED if all(len(d) == 1 for d in wanted) else OPEN)
        states.add(state)
    assert states == {SOLVED, OPEN}


def test_naked_pairs_are_what_their_flag_adds() -> None:
    clues = given_cells(4, 3)
    edges = np.array([(1, 6, 2, -1), (1, 6, 3, -1), (1, 7, 2, -1), (1, 7, 3, -1), (1, 8, 3, -1)], np.int16)
    alive = np.ones(len(edges), bool)
    houses = {pairs: propagated(clues, edges, alive, pairs)[1][6:10].tolist() for pairs in (False, True)}
    assert houses == {False: [3, 3, 4, 8], True: [3, 3, 4, 8]}  # house 4 is left to one value: no pair needed
    edges[4] = (1, 12, 3, -1)
    houses = {pairs: propagated(clues, edges, alive, pairs)[1][6:10].tolist() for pairs in (False, True)}
    assert houses == {False: [3, 3, 15, 15], True: [3, 3, 12, 12]}


def test_propagation_goes_on_from_a_fixpoint() -> None:
    """Only what changed need be looked at again: clue after clue ends where all at once do."""
    batch = large_puzzles()
    for row in range(len(batch)):
        edges, n = batch.edges[row], int((batch.edges[row, :, 0] >= 0).sum())
        alive = np.ones(len(edges), bool)
        domain = np.empty(N_CELLS, np.int64)
        start(batch.clues[row], domain)
        for k in range(n):
            changed = apply_clue(domain, tuple(edges[k].tolist()))
            state = propagate(domain, edges, alive, k + 1, True, changed)
        wanted, all_at_once = propagated(batch.clues[row], edges, edges[:, 0] >= 0, True)
        np.testing.assert_array_equal(domain, all_at_once)
        assert state == wanted


def test_a_broken_puzzle_has_no_solution_and_propagation_never_says_so_of_another() -> None:
    rng, states = np.random.default_rng(4), []
    for k in range(200):
        size = (3, 3) if k % 2 else (4, 3)
        edges = np.array([random_edge(*size, rng) for _ in range(rng.integers(2, 9))], np.int16)
        if k % 4 < 2:
            edges = true_edges(random_solution(*size, rng), *size, 8, rng)
        found = solutions(edges, *size)
        state, domain = propagated(given_cells(*size), edges, np.ones(len(edges), bool), bool(k % 3))
        states.append(state)
        if state == BROKEN:
            assert len(found) == 0
        elif state == SOLVED:
            assert [[house_of(d) for d in domain]] == found.tolist()
        else:
            assert (domain >> (found.astype(np.int64) - 1) & 1).all()
    assert min(states.count(state) for state in (BROKEN, OPEN, SOLVED)) > 10


def test_cells_of_a_size_name_its_houses() -> None:
    """What the hand-written clues of these tests lean on."""
    assert [cell_of(0, 3), cell_of(1, 1), cell_of(2, 1)] == [2, 6, 12]
