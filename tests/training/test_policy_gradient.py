"""The policy gradient against a case whose optimum, and whose gradient, are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from common import Scores, seeded, table

from planorder.models.order_head import margin_score
from planorder.training.objectives import policy_gradient
from planorder.training.objectives.policy_gradient import PolicyObjective, advantages, draw, rewards
from puzzles.base import UserInputError


def softmax(numbers: list[float]) -> list[float]:
    total = sum(math.exp(number) for number in numbers)
    return [math.exp(number) / total for number in numbers]


def test_a_draw_is_one_blank_with_its_probability() -> None:
    score = torch.tensor([0.3, -0.5, 5.0, 1.1], requires_grad=True)
    blank = torch.tensor([True, True, False, True]).expand(40_000, -1)
    chosen, log_pi = draw(score.expand(40_000, -1), blank, seeded(0))
    p = softmax([0.3, -0.5, 1.1])
    expected = torch.tensor([p[0], p[1], 0.0, p[2]])
    assert (chosen.sum(1) == 1).all()
    assert torch.allclose(chosen.float().mean(0), expected, atol=0.012)
    assert torch.allclose(log_pi, (chosen * expected.clamp(min=1e-9).log()).sum(1), atol=1e-5)
    log_pi[0].backward()
    assert score.grad is not None
    assert torch.allclose(score.grad, chosen[0].float() - expected, atol=1e-5)


def test_rewards_and_advantages_by_hand() -> None:
    clues, solution = torch.tensor([[1, 0, 0], [1, 2, 3]]), torch.tensor([[1, 2, 3], [1, 2, 3]])
    tokens = torch.tensor([[1, 2, 1], [1, 2, 3]])
    assert rewards(tokens, solution, clues, "exact").tolist() == [0.0, 1.0]
    assert rewards(tokens, solution, clues, "share").tolist() == [0.5, 1.0]
    found = advantages(torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 1.0]), 3)
    assert found.tolist() == [1.0, -0.5, -0.5, 0.0, 0.0, 0.0]


def two_arms(tokens: torch.Tensor) -> torch.Tensor:
    """Cell 0 is right at any time; cell 1 is wrong (and surer) until cell 0 is filled."""
    p = torch.tensor([[0.7, 0.3], [0.2, 0.8]]).repeat(len(tokens), 1, 1)
    p[tokens[:, 0] > 0, 1] = torch.tensor([0.75, 0.25])
    return p.log()


def gradient(objective: PolicyObjective, scores: list[float], n: int = 6000) -> float:
    """The mean gradient of the loss for the score of cell 0 on `two_arms`."""
    head, empty = Scores(scores), torch.zeros(n, 2, dtype=torch.int64)
    loss, _ = objective(two_arms, head, empty, empty + 1, empty, seeded(0))
    loss.backward()
    assert head.scores.grad is not None
    return float(head.scores.grad[0])


def goes_the_right_way(objective: PolicyObjective, scores: list[float]) -> bool:
    """The reward is the chance p to begin with cell 0, so the gradient is -p (1 - p) / temperature."""
    p = softmax([score / objective.temperature for score in scores])[0]
    return abs(gradient(objective, scores) + p * (1 - p) / objective.temperature) < 0.02


@pytest.mark.parametrize("scores", [[0.0, 0.0], [-1.0, 0.5], [1.0, 0.0]])
@pytest.mark.parametrize("group", [2, 8])
def test_the_policy_gradient_is_that_of_the_reward(scores: list[float], group: int) -> None:
    assert goes_the_right_way(PolicyObjective(group, temperature=0.8, kl=0.0), scores)


def wrong_sign(reward: torch.Tensor, group: int) -> torch.Tensor:
    return -advantages(reward, group)


def of_the_next_episode(reward: torch.Tensor, group: int) -> torch.Tensor:
    return advantages(reward, group).roll(1)


def no_advantage(reward: torch.Tensor, group: int) -> torch.Tensor:
    return torch.zeros_like(reward)


def log_of_the_other_cell(score: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
    chosen, log_pi = draw(score, *rest)
    return chosen, (1 - log_pi.exp()).log()


FAULTS: dict[str, tuple[str, Any]] = {
    "wrong sign": ("advantages", wrong_sign),
    "another episode's reward": ("advantages", of_the_next_episode),
    "no reward": ("advantages", no_advantage),
    "the probability of another cell": ("draw", log_of_the_other_cell),
    "nothing is ever right": ("rewards", lambda tokens, *_: torch.zeros(len(tokens))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_gradient_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_gradient, *FAULTS[fault])
    assert not goes_the_right_way(PolicyObjective(8, temperature=0.8, kl=0.0), [0.0, 0.0])


def test_the_policy_learns_the_better_arm_and_the_pull_holds_it_back() -> None:
    ends = []
    for kl in (0.0, 2.0):
        head, empty = Scores([0.0, 0.0]), torch.zeros(16, 2, dtype=torch.int64)
        optimiser = torch.optim.SGD(head.parameters(), lr=0.5)
        for step in range(30):
            loss, metrics = PolicyObjective(4, kl=kl)(two_arms, head, empty, empty + 1, empty, seeded(step))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        ends.append((float(metrics["reward"]), float(head.scores.detach().diff())))
    assert ends[0][0] > 0.95
    assert ends[0][1] < -2 < -0.5 < ends[1][1]  # by margin cell 1 comes first


def test_the_pull_is_the_divergence_from_the_margin() -> None:
    head, empty = Scores([0.4, 0.1]), torch.zeros(4, 2, dtype=torch.int64)
    objective = PolicyObjective(2, temperature=0.5, kl=1.0)
    _, metrics = objective(table([[0.7, 0.3], [0.2, 0.8]]), head, empty, empty + 1, empty, seeded(0))
    score = margin_score(torch.tensor([[0.7, 0.3], [0.2, 0.8]]).log())
    q, s = softmax((score / 0.5).tolist()), softmax([0.8, 0.2])
    first = sum(a * math.log(a / b) for a, b in zip(q, s, strict=True))
    steps = 2 * (metrics["decisions"].item() - 1)  # episodes that ended at cell 1 saw the first state alone
    assert metrics["pull"].item() == pytest.approx(first * 8 / (8 + 4 * steps), rel=1e-4)


def test_sure_blanks_are_no_decisions_and_a_wrong_value_ends_an_episode() -> None:
    empty = torch.zeros(3, 3, dtype=torch.int64)
    sure = table([[0.9995, 0.0005], [0.9999, 0.0001], [0.6, 0.4]])
    for reward, right, decisions in (("exact", 1, 1.0), ("exact", 2, 0.0), ("share", 2, 1.0)):
        objective = PolicyObjective(2, sure=0.99, reward=reward)
        loss, metrics = objective(sure, Scores([0.0, 0.0, 0.0]), empty, empty + right, empty, seeded(0))
        assert metrics["decisions"].item() == decisions
        assert metrics["reward"].item() == (1.0 if right == 1 else 0.0)
        assert loss.item() == pytest.approx(objective.kl * metrics["pull"].item())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group": 1}, "group=1: expected at least 2"),
        ({"kl": -1.0}, "kl=-1.0"),
        ({"sure": -0.1}, "sure=-0.1"),
        ({"temperature": math.nan}, "temperature=nan"),
        ({"reward": "cell"}, "reward='cell': expected one of exact, share"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        PolicyObjective(**options)
