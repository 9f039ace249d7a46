from __future__ import annotations

from dataclasses import replace

import pytest

from planorder.decoding import PRESETS, Strategy, decode, get_strategy, paper_protocol, with_options
from planorder.decoding.budgets import SCHEDULED, Bernoulli, Fixed, Schedule, Threshold
from planorder.decoding.fixed_orders import Dilated, Halton, given_order
from planorder.decoding.lookahead import LookAhead
from planorder.decoding.noise import Gaussian, Gumbel, no_noise
from planorder.decoding.orders import TopMargin, TopProb, is_model_free, left_to_right
from planorder.decoding.picks import Sample, argmax
from planorder.decoding.remask import never, route
from planorder.decoding.testing import HashModel, check_strategy, equal, small_batch
from puzzles.base import UserInputError

OPTIONS: dict[str, dict] = {
    "as it is": {},
    "steps": {"steps": 5},
    "k": {"k": 3},
    "gumbel": {"noise": "gumbel:0.5"},
    "faded": {"noise": "gumbel:0.5:annealed", "steps": 4},
    "gaussian, sampled": {"noise": "gaussian:0.1", "pick": "sample"},
    "bare noise": {"noise": 0.5, "k": 2},
    "no noise, likeliest": {"noise": "none", "pick": "argmax"},
    "temperature": {"temperature": 0.5},
    "scale": {"scale": "log", "noise": 0.5},
}


def is_contradiction(strategy: Strategy, options: dict) -> bool:
    decides = "k" in options and not isinstance(strategy.budget, SCHEDULED)
    return decides or ("scale" in options and not isinstance(strategy.order, TopProb | TopMargin))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("strategy", PRESETS.values(), ids=PRESETS.keys())
def test_every_strategy_with_every_option_decodes(strategy: Strategy, options: dict) -> None:
    if is_contradiction(strategy, options):
        with pytest.raises(UserInputError, match="drop"):
            with_options(strategy, **options)
        return
    batch, model, chosen = small_batch(), HashModel(4), with_options(strategy, **options)
    found = decode(model, batch, chosen, seed=1)
    assert (found.cells[~batch.blank] == batch.clues[~batch.blank]).all()
    assert (found.cells >= 1).all()
    assert ((found.step >= 0) == batch.blank).all()
    assert equal(found, decode(model, batch, chosen, seed=1, batch_size=5))
    if strategy.remask not in (never, route) or isinstance(strategy.order, LookAhead):
        return  # steps that reopen, and passes that look ahead
    blanks = batch.blank.sum(1)
    if "k" in options:
        assert (found.step.max(1) == -(-blanks // options["k"]) - 1).all()
        assert (found.passes == -(-blanks // options["k"])).all()
    if "steps" in options:
        assert (found.passes <= 5).all()


@pytest.mark.parametrize("strategy", PRESETS.values(), ids=PRESETS.keys())
def test_every_preset_keeps_the_promises_plain_and_by_the_paper(strategy: Strategy) -> None:
    assert PRESETS[strategy.name] is strategy
    assert strategy.source
    assert strategy.description
    check_strategy(strategy)
    check_strategy(paper_protocol(strategy))


def test_a_users_own_strategy_needs_a_name_and_an_order() -> None:
    mine = Strategy("mine", order=left_to_right)
    model, batch = HashModel(4), small_batch()
    assert equal(decode(model, batch, mine), decode(model, batch, get_strategy("left_to_right")))
    check_strategy(mine)


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(UserInputError, match=r"did you mean 'top_margin'\?"):
        get_strategy("topmargin")
    with pytest.raises(UserInputError, match="expected one that python -m planorder orders lists"):
        get_strategy("zzz")


def test_options_replace_their_choice_alone() -> None:
    base = get_strategy("top_prob")
    assert with_options(base) == base
    assert with_options(base, steps=7) == replace(base, budget=Schedule("linear"), steps=7)
    assert with_options(base, k=3) == replace(base, budget=Fixed(3))
    assert with_options(base, noise="gaussian:0.1") == replace(base, noise=Gaussian(0.1))
    assert with_options(with_options(base, noise=0.5), noise="none").noise is no_noise
    assert with_options(base, temperature=0.5) == replace(base, pick=Sample(0.5))
    assert with_options(base, pick="sample") == replace(base, pick=Sample(1.0))
    assert with_options(base, scale="log") == replace(base, order=TopProb("log"))
    assert with_options(get_strategy("vanilla"), pick="argmax").pick is argmax


def test_steps_keep_a_schedule_and_leave_a_threshold_to_itself() -> None:
    assert with_options(get_strategy("vanilla"), steps=9).budget == Bernoulli("linear")
    assert with_options(get_strategy("threshold"), steps=9).budget == Threshold(0.9)
    for name in ("vanilla", "vanilla_fixed_k", "maskgit"):
        assert with_options(get_strategy(name), k=2).steps is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"steps": 5, "k": 2}, "contradict"),
        ({"steps": 0}, "steps=0"),
        ({"k": 0}, "k=0"),
        ({"pick": "best"}, "pick='best'"),
        ({"pick": "argmax", "temperature": 1.0}, "contradict"),
        ({"temperature": 0.0}, "temperature=0"),
        ({"noise": "pink:1"}, "noise 'pink:1'"),
        ({"scale": "nats"}, "scale='nats'"),
    ],
)
def test_bad_options_are_named(options: dict, named: str) -> None:
    with pytest.raises(UserInputError, match=named) as error:
        with_options(get_strategy("top_prob"), **options)
    assert "\n" not in str(error.value)


def test_given_and_fixed_orders_have_no_confidence_to_blur() -> None:
    for order in (given_order(range(81)), Halton(columns=9), Dilated(base=3), left_to_right):
        assert is_model_free(order)
        assert paper_protocol(Strategy("mine", order=order)).noise is no_noise
    assert not is_model_free(TopProb())


def test_the_papers_protocol_is_fifty_steps_and_fading_gumbel_on_the_oracle() -> None:
    for strategy in PRESETS.values():
        paper = paper_protocol(strategy)
        assert paper.steps == 50
        assert paper.pick == strategy.pick
        assert paper.noise == (no_noise if is_model_free(strategy.order) else Gumbel(0.5, annealed=True))
