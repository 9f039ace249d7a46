"""Forward processes of D3PM: matrices entry by entry, posteriors by Bayes' rule, networks that read noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from common import process_of, seeded
from scipy.linalg import expm
from torch import nn

from planorder.models import build_model, config_from_dict
from planorder.models.forward_process import (
    DISTANCES,
    USUAL,
    ForwardProcess,
    Tables,
    betas,
    check_masked,
    check_network,
    draw,
    nearest_rates,
    posterior,
    reverse_joint,
    tables,
)
from planorder.training.presets import masked
from puzzles import get_family
from puzzles.base import UserInputError

KINDS = list(USUAL)
FAMILY = get_family("sudoku-2x2")


def matrix_by_hand(kind: str, n: int, beta: float) -> np.ndarray:
    """Q_t among the values, entry by entry; without MASK's row and column."""
    q = np.zeros((n, n))
    for i, j in product(range(n), repeat=2):
        if kind == "gaussian" and i != j:
            total = sum(math.exp(-4 * d * d / ((n - 1) ** 2 * beta)) for d in range(-n + 1, n))
            q[i, j] = math.exp(-4 * (i - j) ** 2 / ((n - 1) ** 2 * beta)) / total
        elif i != j:
            q[i, j] = beta / n if kind == "uniform" else 0
    for i in range(n):
        q[i, i] = 1 - q[i].sum() - (beta if kind == "absorbing" else 0)
    return q


@pytest.mark.parametrize("kind", ["uniform", "absorbing", "gaussian"])
def test_matrices_are_those_of_the_paper(kind: str) -> None:
    process = process_of(kind, 5, 10)
    step = tables(process).step.numpy()
    for beta, q in zip(betas(kind, USUAL[kind], 10), step, strict=True):
        assert np.allclose(q[1:, 1:], matrix_by_hand(kind, 5, beta), atol=1e-15)
        assert np.allclose(q[1:, 0], beta if kind == "absorbing" else 0)
        assert q[0].tolist() == [1, 0, 0, 0, 0, 0]


def test_nearest_neighbours_are_an_exponential_of_their_graph() -> None:
    """Five values in a row with k = 2: the middle ones hear both sides, the ends two of one side."""
    near = {0: [1, 2], 1: [0, 2], 2: [1, 3], 3: [2, 4], 4: [3, 2]}
    rates = np.zeros((5, 5))
    for i, others in near.items():
        for j in others:
            rates[i, j] += 1 / 4
            rates[j, i] += 1 / 4
    rates -= np.diag(rates.sum(1))
    process = ForwardProcess("nearest", 5, 10)
    step, upto = tables(process).step.numpy(), tables(process).upto.numpy()
    gap = -np.sort(np.linalg.eigvalsh(rates))[-2]
    beta = betas("nearest", "cosine", 10)
    for t in range(10):
        assert np.allclose(step[t, 1:, 1:], expm(-math.log(1 - beta[t]) / gap * rates), atol=1e-12)
        slowest = np.sort(np.linalg.eigvalsh(upto[t + 1, 1:, 1:]))[-2]
        assert slowest == pytest.approx(np.prod(1 - beta[: t + 1]), abs=1e-9)
    ring = nearest_rates(DISTANCES["ring"](np.abs(np.subtract.outer(range(5), range(5))), 5), 2)
    assert np.allclose(ring, sum(np.roll(np.eye(5), by, 1) for by in (1, -1)) / 2 - np.eye(5))


@pytest.mark.parametrize("n", [4, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_laws_and_lead_to_the_stationary_one(kind: str, n: int) -> None:
    found = tables(ForwardProcess(kind, n, 50))
    assert found.step.shape == (50, n + 1, n + 1)
    assert found.upto.dtype == torch.float64
    for q in (found.step, found.upto):
        assert bool((q >= 0).all())
        assert torch.allclose(q.sum(-1), torch.ones(()).double(), atol=1e-12)
    assert torch.equal(found.upto[0], torch.eye(n + 1).double())
    for t in range(50):
        assert torch.allclose(found.upto[t] @ found.step[t], found.upto[t + 1], atol=1e-12)
    assert torch.allclose(found.stationary @ found.step, found.stationary.expand(50, -1), atol=1e-12)
    assert float((found.upto[-1, 1:] - found.stationary).abs().sum(-1).max()) / 2 < 0.05
    doubly = torch.allclose(found.step[:, 1:, 1:].sum(1), torch.ones(()).double(), atol=1e-12)
    assert doubly == (kind != "absorbing")


def test_schedules() -> None:
    assert betas("absorbing", "reciprocal", 4).tolist() == pytest.approx([1 / 4, 1 / 3, 1 / 2, 1])
    kept = tables(ForwardProcess("absorbing", 3, 20)).upto[:, 1, 1]
    assert torch.allclose(kept, 1 - torch.arange(21).double() / 20), "a blank is masked by t with t / T"
    gaussian = betas("gaussian", "linear", 1000)
    assert gaussian[[0, -1]].tolist() == pytest.approx([1e-4, 0.02])
    for steps in (10, 50, 1000):
        assert betas("gaussian", "linear", steps).sum() == pytest.approx(gaussian.sum())
    assert betas("uniform", "linear", 1000)[[0, -1]].tolist() == pytest.approx([0.02, 1])
    cosine = betas("uniform", "cosine", 50)
    assert cosine[-1] == 0.999
    begin = math.cos(math.pi / 2 * 0.008 / 1.008)
    middle = math.cos(math.pi / 2 * (0.5 + 0.008) / 1.008)
    assert np.prod(1 - cosine[:25]) == pytest.approx(middle / begin)
    assert (np.diff(cosine) > 0).all()
    uniform = tables(ForwardProcess("uniform", 4, 50)).upto[25, 1:, 1:]
    closed = middle / begin * torch.eye(4) + (1 - middle / begin) / 4
    assert torch.allclose(uniform, closed.double(), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gauss"}, "kind='gauss': expected one of uniform, absorbing"),
        ({"schedule": "sine"}, "schedule='sine'"),
        ({"kind": "nearest", "distance": "far"}, "distance='far'"),
        ({"steps": 0}, "steps=0"),
        ({"n_values": 1}, "n_values=1"),
        ({"kind": "nearest", "neighbours": 4}, "neighbours=4: expected 1 to 3"),
        ({"kind": "gaussian", "steps": 1000}, "gaussian noise of 4 values in steps=1000: x_T is 0.75 from"),
        ({"kind": "nearest", "n_values": 4, "distance": "line", "neighbours": 1}, ""),
    ],
)
def test_noise_that_cannot_be(options: dict, message: str) -> None:
    given = {"kind": "uniform", "n_values": 4} | options
    if not message:
        assert ForwardProcess(**given).steps == 50
        return
    with pytest.raises(UserInputError, match=message):
        ForwardProcess(**given)


def test_values_in_two_groups_never_mix() -> None:
    far = np.abs(np.subtract.outer([0, 1, 10, 11], [0, 1, 10, 11]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DISTANCES, "line", lambda difference, n: far)
        with pytest.raises(UserInputError, match="raise neighbours"):
            ForwardProcess("nearest", 4, 11, neighbours=1)


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_steps_go_over_several_at_a_time(kind: str) -> None:
    whole, few = tables(process_of(kind)), tables(process_of(kind), 3)
    for i, (start, end) in enumerate(pairwise([0, 3, 7, 10])):
        assert torch.allclose(whole.upto[start] @ few.step[i], whole.upto[end], atol=1e-12)
        assert torch.equal(few.upto[i], whole.upto[start])
    with pytest.raises(UserInputError, match="steps=11: expected 1 to 10"):
        tables(process_of(kind), 11)


def test_draws_follow_their_law_to_the_ends() -> None:
    law = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.0])  # sums to 0.75
    uniform = torch.tensor([0.0, 0.333, 0.334, 0.99, 1 - 2**-53], dtype=torch.float64)
    assert draw(law.expand(5, 5).double(), uniform).tolist() == [1, 1, 3, 3, 3]


Law = Callable[[Tables, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def every_state(found: Tables) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """t ``[T]``, x_t and x_0 ``[T, states * values]``: all there are."""
    n, steps = found.step.shape[1] - 1, len(found.step)
    x_t, x_0 = torch.tensor(list(product(range(n + 1), range(1, n + 1)))).T
    return torch.arange(1, steps + 1), x_t.expand(steps, -1), x_0.expand(steps, -1)


def is_bayes(law: Law, kind: str) -> bool:
    """Whether ``law`` is q(x_{t-1} | x_t, x_0) by Bayes' rule with products of matrices, everywhere."""
    found = tables(process_of(kind))
    step = found.step.numpy()
    t, x_t, x_0 = every_state(found)
    given = law(found, t, x_t, x_0).numpy()
    for row in range(len(t)):
        before, after = np.eye(4), np.eye(4)
        for q in step[:row]:
            before = before @ q
        after = before @ step[row]
        for place, (j, i) in enumerate(zip(x_t[row].tolist(), x_0[row].tolist(), strict=True)):
            true = [step[row, k, j] * before[i, k] / after[i, j] if after[i, j] else 0.0 for k in range(4)]
            if not np.allclose(given[row, place], true, atol=1e-12):
                return False
    return True


POSTERIOR_FAULTS: dict[str, Law] = {
    "the step before": lambda found, t, x_t, x_0: posterior(found, (t - 1).clamp(min=1), x_t, x_0),
    "rows for columns": lambda found, t, x_t, x_0: posterior(found._replace(step=found.step.mT), t, x_t, x_0),
    "up to t": lambda found, t, x_t, x_0: posterior(found._replace(upto=found.upto[1:]), t, x_t, x_0),
    "x_0 alone": lambda found, t, x_t, x_0: found.upto[t[:, None] - 1, x_0],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_posterior_is_bayes_rule(kind: str) -> None:
    assert is_bayes(posterior, kind)


@pytest.mark.parametrize("law", POSTERIOR_FAULTS.values(), ids=POSTERIOR_FAULTS.keys())
def test_a_faulty_posterior_is_caught(law: Law) -> None:
    assert not is_bayes(law, "absorbing")


@pytest.mark.parametrize("kind", KINDS)
def test_the_reverse_step_sums_over_what_x_0_may_be(kind: str) -> None:
    found = tables(process_of(kind))
    t, x_t, _ = every_state(found)
    p_0 = torch.rand(*x_t.shape, 3, generator=seeded(0), dtype=torch.float64)
    given = reverse_joint(found, t, x_t, p_0 / p_0.sum(-1, keepdim=True)).numpy()
    p = (p_0 / p_0.sum(-1, keepdim=True)).numpy()
    step, upto = found.step.numpy(), found.upto.numpy()
    for row, place in product(range(10), range(x_t.shape[1])):
        j = int(x_t[row, place])
        for k in range(4):
            total = sum(p[row, place, i - 1] * upto[row, i, k] * step[row, k, j] for i in (1, 2, 3))
            assert given[row, place, k] == pytest.approx(total, abs=1e-15)


@pytest.mark.parametrize("name", ["relational", "shallow", "transformer"])
def test_networks_tell_noise_from_clues_if_they_are_asked_to(name: str) -> None:
    config = masked("tiny", name, FAMILY)
    old = {key: value for key, value in vars(config).items() if key != "noisy"}
    backbone = "transformer" if name == "transformer" else "relational"
    assert config_from_dict(backbone, old) == config, "headers without the field are of networks without it"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain, noisy = build_model(config, FAMILY), build_model(replace(config, noisy=True), FAMILY)
        for weight in noisy.parameters():
            nn.init.normal_(weight, std=0.2)
    shapes = {key: (a.shape, b.shape) for (key, a), b in zip(
        plain.state_dict().items(), noisy.state_dict().values(), strict=True)}  # fmt: skip
    grown = [key for key, (a, b) in shapes.items() if a != b]
    assert all("embed" in key or "inject" in key for key in grown)
    assert all(shapes[key][1][0] == 2 * shapes[key][0][0] - 1 for key in grown)
    clue = torch.tensor([[1, 2, 3, 4] * 4])
    noise = torch.where(torch.arange(16) < 3, clue, clue + 4)
    with torch.no_grad():
        logits = noisy(noise)
        assert not torch.allclose(noisy(clue), logits, atol=1e-3)
    check_masked(plain)
    with pytest.raises(UserInputError, match="taught noisy values"):
        check_masked(noisy)
    for kind, network in (("absorbing", noisy), ("uniform", plain)):
        with pytest.raises(UserInputError, match=f"for {kind} noise"):
            check_network(network, process_of(kind, 4))


def test_renaming_values_renames_the_logits_of_noise_too() -> None:
    config = replace(masked("tiny", "relational", FAMILY), turns=2, noisy=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config, FAMILY)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3, generator=seeded(3))
    tokens = torch.randint(0, 9, (4, 16), generator=seeded(4))
    names = torch.tensor([0, 3, 1, 4, 2, 7, 5, 8, 6])  # of a clue and of the same value as noise alike
    with torch.no_grad():
        logits, renamed = model(tokens), model(names[tokens])
    assert torch.allclose(renamed[..., names[1:5] - 1], logits, atol=1e-4)
    assert not torch.allclose(renamed, logits, atol=1e-2)
