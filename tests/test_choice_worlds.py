"""What the rule among arms claims holds in simulations with known truth, and equal arms are still mostly decided."""

from __future__ import annotations

import numpy as np
import pytest
from choice_world import FLIPS, World, arm

from promptlab.choice.arm import Arm
from promptlab.choice.limits import Limits
from promptlab.choice.rule import Choice, reference_of, rule
from promptlab.stats.sample import Array


@pytest.mark.parametrize(("n", "times", "naive_at_least"), [(45, 1200, 0.6), (200, 400, 0.12), (1000, 60, 0.0)])
def test_a_cheap_arm_truly_10_points_worse_is_chosen_in_at_most_1_percent(
    n: int, times: int, naive_at_least: float
) -> None:
    """Dev picks the reference from as many rows; "not significantly worse" would take the cheap arm far more often."""
    ruled, naive = World(worse=0.1, apart=0.25).choices(17, n, times)
    assert ruled <= 0.01
    assert naive >= naive_at_least


def test_a_cheap_arm_truly_equal_is_chosen_at_the_rate_that_1000_rows_allow() -> None:
    """Where 5 % of rows disagree: P(z > 1.645 - .02/se) = .88, less what the 1/n takes; dev may rank it second."""
    ruled, _ = World(worse=0.0, apart=0.05).choices(5, 1000, 100)
    assert 0.7 <= ruled <= 0.95


def ruled(arms: list[Arm], rng: np.random.Generator, weights: Array | None = None) -> Choice:
    limits, seed = Limits(), int(rng.integers(1 << 30))
    return rule(arms, reference_of(arms, limits), limits, weights=weights, seed=seed, flips=FLIPS)


@pytest.mark.parametrize(
    ("n", "dev", "times", "found"), [(200, 45, 250, 0.6), (100, 100, 250, 0.4), (400, 45, 120, 0.85)]
)
def test_two_cheap_arms_that_agree_do_not_pass_over_one_that_is_10_points_better(
    n: int, dev: int, times: int, found: float
) -> None:
    """Dev's luck makes one of them the reference, and the other is surely as good as that: in 11 % of 45 rows."""
    rng, bad, good = np.random.default_rng(0), 0, 0
    for _ in range(times):
        (rag_dev, cheap_dev), (rag, cheap) = World().draw(rng, dev), World().draw(rng, n)
        choice = ruled(
            [
                arm("prompt", cheap, float(cheap_dev.mean()), usd=0.001),
                arm("prompt+demos", cheap, float(cheap_dev.mean()) + 1e-6, usd=0.002),
                arm("rag", rag, float(rag_dev.mean()), usd=0.004),
            ],
            rng,
        )
        bad += choice.decided and choice.name != "rag"
        good += choice.decided and choice.name == "rag"
    assert bad / times <= 0.01
    assert good / times >= found


@pytest.mark.parametrize(("n", "times", "least"), [(400, 120, 0.75), (1000, 50, 0.95)])
def test_three_equal_arms_are_mostly_decided_for_the_cheapest(n: int, times: int, least: float) -> None:
    rng, cheapest, other = np.random.default_rng(1), 0, 0
    for _ in range(times):
        shared, arms = (rng.random(n) < 0.8).astype(float), []
        for name, usd in (("prompt", 0.001), ("prompt+demos", 0.002), ("rag", 0.004)):
            again = np.where(rng.random(n) < 0.02, rng.random(n) < 0.8, shared)
            arms.append(arm(name, again, float(rng.normal(0.8, 0.03)), usd=usd))
        choice = ruled(arms, rng)
        cheapest += choice.decided and choice.name == "prompt"
        other += choice.decided and choice.name != "prompt"
    assert cheapest / times >= least
    assert other / times <= 0.02


def test_a_cheap_arm_that_fails_on_heavy_rows_is_not_taken_for_the_many_light_ones() -> None:
    """Ten rows of two hundred weigh 50 each: 10 points are lost on them alone, and in a fifth of the draws on none."""
    rng, weights, bad = np.random.default_rng(3), np.where(np.arange(200) < 10, 50.0, 1.0), 0
    for _ in range(150):
        good = (rng.random(200) < 0.8).astype(float)
        cheap = np.where((weights > 1) & (rng.random(200) < 0.18), 0.0, good)
        choice = ruled([arm("prompt", cheap, 0.7, usd=0.001), arm("rag", good, 0.8, usd=0.003)], rng, weights)
        bad += choice.decided and choice.name == "prompt"
    assert bad / 150 <= 0.01


@pytest.mark.parametrize("group", [1, 10])
def test_weights_that_hardly_differ_cost_little_power(group: int) -> None:
    rng, decided = np.random.default_rng(5), {"equal": 0, "uneven": 0}
    codes = None if group == 1 else np.arange(1000) // group
    for _ in range(60):
        good = (rng.random(1000) < 0.8).astype(float)
        cheap = np.where(rng.random(1000) < 0.0625, rng.random(1000) < 0.8, good)
        arms = [arm("prompt", cheap, 0.8, usd=0.001), arm("rag", good, 0.81, usd=0.003)]
        for name, weights in (("equal", np.ones(1000)), ("uneven", rng.integers(1, 4, 1000).astype(float))):
            choice = rule(arms, "rag", weights=weights, groups=codes, seed=1, flips=FLIPS)
            decided[name] += choice.decided and choice.name == "prompt"
    assert decided["uneven"] >= decided["equal"] - 10
    assert decided["uneven"] >= (50 if group == 1 else 25)


def test_what_is_shown_only_one_way_round_does_not_move_the_reference() -> None:
    """Arm rag is above prompt beside fine-tuned, but held against rag, beside the same, prompt may still be as good."""
    rng, n = np.random.default_rng(777), 60
    best, other, third = (rng.random((3, n)) < 0.6).astype(float)
    near = np.where(rng.random(n) < 0.1, third, best)
    arms = [arm("prompt", best, 0.9), arm("rag", other, 0.5), arm("fine-tuned", near, 0.1)]
    limits = Limits(margin=0.0)
    one, turned = (rule(arms, name, limits, flips=FLIPS) for name in ("prompt", "rag"))
    above, below = one.of("rag").bound, turned.of("prompt").bound
    assert above is not None
    assert below is not None
    assert above.low > 0
    assert below.high > 0
    assert (one.reference, one.refuted, one.decided) == ("prompt", "", False)
