from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from planorder.decoding.noise import Gaussian, Gumbel, no_noise, parse_noise
from planorder.decoding.picks import Sample, argmax
from planorder.decoding.remask import never, route, top_cells
from puzzles.base import UserInputError

HALVES = [[[0.5, 0.5]] * 4]


def wide(view_of, probs: list[float], n: int = 20_000):
    return view_of([[probs] * n], [[0] * n])


def test_no_noise_is_the_score(view_of) -> None:
    score = torch.rand(1, 4)
    assert no_noise(view_of(HALVES, [[0] * 4]), score) is score


@pytest.mark.parametrize(("noise", "law"), [(Gumbel(0.5), "gumbel_r"), (Gaussian(0.5), "norm")])
def test_noise_has_its_law_and_size(noise, law: str, view_of) -> None:
    added = noise(wide(view_of, [0.5, 0.5]), torch.full((1, 20_000), 3.0, dtype=torch.float64)) - 3
    assert stats.kstest(added[0].numpy(), law, args=(0, 0.5)).pvalue > 1e-3


def test_annealed_noise_shrinks_with_the_blanks_left(view_of) -> None:
    zero = torch.zeros(1, 4, dtype=torch.float64)
    for kind in (Gumbel, Gaussian):
        view = view_of(HALVES, [[0, 2, 1, 1]])
        assert torch.allclose(kind(0.8, annealed=True)(view, zero), kind(0.2)(view, zero))
        full = view_of(HALVES, [[0] * 4])
        assert torch.equal(kind(0.8, annealed=True)(full, zero), kind(0.8)(full, zero))


def test_gumbel_noise_on_log_p_samples_in_proportion_to_p(view_of) -> None:
    # The Gumbel-max law: the first of score log w + Gumbel is drawn with probability w.
    weights = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)
    n = 20_000
    tokens = torch.stack([torch.arange(n) + 1, torch.zeros(n).long(), torch.zeros(n).long()], 1)
    view = view_of([[[0.5, 0.5]] * 3] * n, tokens.tolist())
    first = Gumbel(1.0)(view, weights.log().expand(n, 3)).argmax(1)
    assert stats.chisquare(torch.bincount(first, minlength=3), weights * n).pvalue > 1e-3


@pytest.mark.parametrize(
    ("text", "noise"),
    [
        ("none", None),
        ("gumbel:0.5", Gumbel(0.5)),
        ("gumbel:0.5:annealed", Gumbel(0.5, annealed=True)),
        ("gaussian:0.1", Gaussian(0.1)),
        ("0.25", Gumbel(0.25)),
        (0.25, Gumbel(0.25)),
    ],
)
def test_noise_is_read_from_text(text: str | float, noise) -> None:
    assert parse_noise(text) == noise


@pytest.mark.parametrize(
    "text", ["gumble:0.5", "gumbel:x", "gumbel:-1", "gumbel:0.5:late", "nan", "", "gumbel:inf"]
)
def test_unreadable_noise_is_named(text: str) -> None:
    with pytest.raises(UserInputError, match="expected"):
        parse_noise(text)


def test_argmax_takes_the_lowest_of_equals(view_of) -> None:
    view = view_of([[[0.4, 0.4, 0.2], [0.1, 0.45, 0.45], [0.2, 0.2, 0.6]]], [[0, 0, 0]])
    assert argmax(view).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_follow_the_tempered_law(temperature: float, view_of) -> None:
    p = np.array([0.55, 0.05, 0.3, 0.1])
    values = Sample(temperature)(wide(view_of, p.tolist()))[0]
    law = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
    assert stats.chisquare(torch.bincount(values - 1, minlength=4), law * len(values)).pvalue > 1e-3
    assert int(values.min()) == 1
    assert int(values.max()) == 4


def test_samples_of_a_certain_cell_are_certain(view_of) -> None:
    assert set(Sample()(wide(view_of, [0.0, 1.0, 0.0], 3000))[0].tolist()) == {2}


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(UserInputError, match="temperature="):
        Sample(temperature)


def test_never_reopens_nothing(view_of) -> None:
    view = view_of(HALVES, [[1, 2, 0, 0]])
    assert not never(view, torch.zeros(1, 4), torch.tensor([1])).any()


@pytest.mark.parametrize("n_cells", [9, 400])
def test_top_cells_against_a_plain_sort(n_cells: int) -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randint(0, 4, (50, n_cells), generator=generator).double()
    allowed = torch.rand(50, n_cells, generator=generator) < 0.6
    count = torch.randint(0, n_cells + 1, (50,), generator=generator)
    got = top_cells(score, allowed, count)
    for row in range(50):
        cells = [cell for cell in range(n_cells) if allowed[row, cell]]
        best = sorted(cells, key=lambda cell: (-float(score[row, cell]), cell))[: int(count[row])]
        assert got[row].nonzero()[:, 0].tolist() == sorted(best)


def test_route_reopens_what_falls_below_the_line(view_of) -> None:
    # Cells 0 (clue), 1 and 2 filled, 3 and 4 blank; two are filled and the budget asks for one more: three
    # places for the cells 1-4, of which cell 1 scores lowest.
    view = view_of([[[0.5, 0.5]] * 5], [[1, 2, 2, 0, 0]], clues=[[1, 0, 0, 0, 0]])
    score = torch.tensor([[0.0, 0.1, 0.9, 0.5, 0.4]])
    assert route(view, score, torch.tensor([1])).tolist() == [[False, True, False, False, False]]
    assert not route(view, score, torch.tensor([2])).any()
    # A count of none still swaps a doubtful cell for a surer blank; the clue stays whatever it scores.
    assert route(view, score, torch.tensor([0])).tolist() == [[False, True, False, False, False]]
