from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from planorder.decoding.random import GOLDEN, Uniforms, fold, mix, row_keys, signed, stream_word, to_unit

WORD = (1 << 64) - 1
GOLDEN_DRAW = [[0.8797421206975534, 0.579702595975036, 0.11393842129163267]]


def plain_mix(word: int) -> int:
    word = (word + 0x9E3779B97F4A7C15) & WORD
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & WORD
    return word ^ (word >> 31)


def plain_uniform(clues: list[int], seed: int, step: int, stream: str, *counters: int) -> float:
    """The slow twin, in Python integers."""
    words = sum(plain_mix(plain_mix(plain_mix(cell) ^ token)) for cell, token in enumerate(clues)) & WORD
    key = plain_mix(plain_mix(words ^ len(clues)) ^ (seed & WORD))
    for word in (step, stream_word(stream), *counters):
        key = plain_mix(key ^ word)
    return ((key >> 12) + 0.5) / 2**52


def draws(n: int = 400, n_cells: int = 50, step: int = 0, seed: int = 0) -> Uniforms:
    """Puzzles that differ in one counter."""
    clues = torch.zeros(n, n_cells, dtype=torch.int64)
    clues[:, 0] = torch.arange(n)
    return Uniforms(row_keys(clues, seed), torch.full((n,), step), n_cells)


def p_of_independence(a: torch.Tensor, b: torch.Tensor, bins: int = 16) -> float:
    """Chi-square of the joint histogram against the flat one."""
    table = np.histogram2d(a.flatten().numpy(), b.flatten().numpy(), bins=bins, range=[[0, 1], [0, 1]])[0]
    return float(stats.chisquare(table.flatten()).pvalue)


def test_mix_is_splitmix64() -> None:
    # The first outputs of the published generator from state 0, as its authors' C code prints them.
    states = torch.tensor([0, signed(GOLDEN), signed(2 * GOLDEN)])
    assert [int(word) & WORD for word in mix(states)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_every_draw_equals_its_plain_twin() -> None:
    clues = [[0, 3, 0, 9], [5, 0, 0, 1]]
    for seed in (0, -7, 2**70 + 3):
        draw = Uniforms(row_keys(torch.tensor(clues), seed), torch.tensor([2, 5]), 4)
        got = draw("order", 3)
        for row, step in ((0, 2), (1, 5)):
            for cell in range(4):
                assert draw("pick")[row, cell] == plain_uniform(clues[row], seed, step, "pick", cell)
                for extra in range(3):
                    assert got[row, cell, extra] == plain_uniform(
                        clues[row], seed, step, "order", cell, extra
                    )


def test_golden_values() -> None:
    draw = Uniforms(row_keys(torch.tensor([[0, 1, 2]]), 7), torch.tensor([4]), 3)("order")
    assert draw.tolist() == GOLDEN_DRAW


def test_draws_are_uniform_inside_the_unit_interval() -> None:
    values = draws(2000, 100)("order").flatten().numpy()
    assert values.min() > 0
    assert values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    for digits in (values, values * 4096 % 1):
        assert stats.chisquare(np.histogram(digits, bins=256, range=(0, 1))[0]).pvalue > 1e-3


def test_the_ends_of_the_unit_interval_are_never_rounded_to() -> None:
    ends = to_unit(torch.tensor([0, -1]))
    assert 0 < float(ends[0]) < 1e-15
    assert 1 - 1e-15 < float(ends[1]) < 1


@pytest.mark.parametrize("neighbour", ["cell", "row", "step", "seed", "stream", "extra"])
def test_neighbouring_counters_are_independent(neighbour: str) -> None:
    base = draws()
    a = base("order")
    pairs = {
        "cell": (a[:, :-1], a[:, 1:]),
        "row": (a[:-1], a[1:]),
        "step": (a, draws(step=1)("order")),
        "seed": (a, draws(seed=1)("order")),
        "stream": (a, base("noise")),
        "extra": (base("order", 2)[..., 0], base("order", 2)[..., 1]),
    }
    assert p_of_independence(*pairs[neighbour]) > 1e-3


def test_the_independence_test_sees_a_plain_counter() -> None:
    # Planted fault: a congruential counter without the finaliser.
    counter = to_unit(torch.arange(20_000) * signed(GOLDEN))
    assert p_of_independence(counter[:-1], counter[1:]) < 1e-9


def test_draws_depend_on_the_puzzle_and_not_on_its_place() -> None:
    clues = torch.randint(0, 10, (40, 9), generator=torch.Generator().manual_seed(0))
    draw = Uniforms(row_keys(clues, 3), torch.zeros(40, dtype=torch.int64), 9)
    back = torch.arange(40).flip(0)
    moved = replace(draw, keys=row_keys(clues[back], 3))
    assert torch.equal(moved("order"), draw("order")[back])
    assert len(row_keys(clues, 3).unique()) == 40
    swapped = clues[:1].clone()
    swapped[0, :2] = clues[0, :2].flip(0) + torch.tensor([10, 0])
    assert not torch.equal(row_keys(swapped, 3), row_keys(clues[:1], 3))
    assert int(fold(torch.tensor([1]), 2)) != int(fold(torch.tensor([2]), 2))


def test_keys_of_puzzles_with_one_solution_are_those_they_always_were() -> None:
    clues = torch.arange(18).reshape(2, 9) % 5
    edges = torch.tensor([[[0, 1, 2, -1], [1, 3, 4, 5]], [[1, 0, 2, 7], [-1, -1, -1, -1]]])
    assert row_keys(clues, 7).tolist() == [signed(0x9F3B3F3B39BBFBDB), signed(0x583441E0DFC3DB54)]
    assert row_keys(clues, 7, edges).tolist() == [signed(0x6E82BFFEE6BB3CFE), signed(0x0B836CFAA2F7E937)]


def test_an_index_tells_equal_puzzles_apart() -> None:
    clues, index = torch.zeros(1000, 9, dtype=torch.int64), torch.arange(1000)
    keys = row_keys(clues, 3, index=index)
    assert len(keys.unique()) == 1000
    assert len(row_keys(clues, 3).unique()) == 1, "the planted fault: without it all rows draw alike"
    back = index.flip(0)
    assert torch.equal(row_keys(clues[back], 3, index=index[back]), keys[back])
    assert not (row_keys(clues, 4, index=index) == keys).any()
    draws = Uniforms(keys, torch.zeros_like(keys), 9)("order")
    assert p_of_independence(draws[:-1], draws[1:]) > 1e-3
