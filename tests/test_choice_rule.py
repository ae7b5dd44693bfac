"""The rule among arms: which is taken, which is not and why; what is not known is never guessed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from choice_world import arm

from promptlab.choice.arm import Serving, Setup
from promptlab.choice.costs import Use
from promptlab.choice.limits import Limits
from promptlab.choice.probe import loss
from promptlab.choice.reason import reason, sentences
from promptlab.choice.rule import Choice, reference_of, rule
from promptlab.stats.sample import Array


def rows(rate: float, n: int = 400) -> Array:
    """Scores with exactly this mean, right rows first: two of them disagree as little as they can."""
    return (np.arange(n) < round(rate * n)).astype(float)


def chosen(**changes: object) -> Choice:
    """Three arms that nearly agree on 4,000 rows, the dearer ones better on dev."""
    n = 4000
    arms = [
        arm("prompt", rows(0.800, n), 0.80, usd=0.001),
        arm("rag", rows(0.801, n), 0.82, usd=0.002),
        arm("fine-tuned", rows(0.802, n), 0.81, usd=0.004),
    ]
    return rule(arms, "rag", Limits(**changes))  # type: ignore[arg-type]


def test_among_the_eligible_the_least_total_cost_wins() -> None:
    choice = chosen(use=Use(1000))
    assert (choice.name, choice.decided, choice.basis) == ("prompt", True, "total")
    assert [each.verdict for each in choice.judged] == ["chosen", "eligible", "eligible"]
    assert choice.of("prompt").total == pytest.approx(12.0)
    assert "of those as good it costs the least: $12.00 for 12 months at 1,000 calls a month" in sentences(choice)[0]
    totals = ["$12.00", "$24.00", "$48.00"]
    assert all(each in reason(choice, judged) for each, judged in zip(totals, choice.judged, strict=True))


def test_setup_counts_at_the_volume_of_the_user() -> None:
    cheap = arm("prompt", rows(0.8, 4000), 0.8, usd=0.003)
    tuned = arm("fine-tuned", rows(0.8, 4000), 0.8, setup=Setup(search=1.0, training=20.0), serving=Serving(usd=0.001))
    little, much = (rule([cheap, tuned], "prompt", Limits(use=Use(volume))) for volume in (100, 10_000))
    assert (little.name, much.name) == ("prompt", "fine-tuned")


def test_without_a_price_no_dollar_is_guessed_and_moving_parts_decide() -> None:
    arms = [arm("rag", rows(0.8, 4000), 0.81), arm("prompt+demos", rows(0.8, 4000), 0.8)]
    choice = rule(arms, "rag", Limits(use=Use(1000)))
    assert (choice.name, choice.basis) == ("prompt+demos", "parts")
    assert choice.of("rag").total is None
    assert "fewer moving parts" in " ".join(sentences(choice))


def test_of_equal_costs_fewer_moving_parts_win() -> None:
    arms = [arm("rag", rows(0.8, 4000), 0.8, usd=0.0), arm("prompt", rows(0.8, 4000), 0.8, usd=0.0)]
    assert rule(arms, "rag", Limits(use=Use(1000))).name == "prompt"


def test_too_few_rows_are_not_decided_and_the_rows_needed_are_said() -> None:
    rng = np.random.default_rng(2)
    good, cheap = (rng.random((2, 50)) < 0.8).astype(float)
    choice = rule([arm("rag", good, 0.9, usd=0.002), arm("prompt", cheap, 0.8, usd=0.001)], "rag")
    psi = float(np.mean(good != cheap))
    assert not choice.decided
    assert (choice.name, choice.rivals) == ("rag", ("prompt",))
    assert choice.rows == math.ceil((1.645 + 0.84) ** 2 * psi / 0.02**2)
    assert [each.verdict for each in choice.judged] == ["until then", "open"]
    decided, open_, until, *_ = sentences(choice)
    assert decided == "Not decided: these test rows rule out neither rag nor prompt."
    assert open_.startswith("Open: prompt, which is cheaper, may be as good as rag, or worse by 2.0 points or more")
    assert open_.endswith(f"If they are equal, about {choice.rows:,} test rows would show it; there are 50.")
    assert until == "Until then take rag: it is the best on dev."


def test_the_best_on_dev_is_no_choice_while_a_dearer_arm_may_be_better_by_the_margin() -> None:
    """Else a cheap arm that only had luck on dev would be chosen without any test."""
    rng = np.random.default_rng(2)
    good, cheap = (rng.random((2, 50)) < 0.8).astype(float)
    choice = rule([arm("prompt", cheap, 0.9, usd=0.001), arm("rag", good, 0.8, usd=0.002)], "prompt")
    assert not choice.decided
    assert "rag may be better than prompt by 2.0 points or more" in sentences(choice)[1]


def test_an_arm_shown_to_be_worse_keeps_nothing_undecided() -> None:
    choice = rule([arm("prompt", rows(0.3), 0.3, usd=0.001), arm("rag", rows(0.8), 0.8, usd=0.002)], "rag")
    assert (choice.name, choice.decided) == ("rag", True)
    assert choice.of("prompt").verdict == "worse"
    assert reason(choice, choice.of("prompt")).endswith("worse than the best on dev by more than 2.0 points")


@pytest.mark.parametrize(
    ("limits", "serving", "why"),
    [
        (Limits(p95_ms=500), Serving(usd=0.001, p95_ms=900), "p95 900 ms is above 500 ms"),
        (Limits(p95_ms=500), Serving(usd=0.001), "p95 is not known (no waiting time was measured)"),
        (Limits(usd_per_1k=0.5), Serving(usd=0.001), "usd_per_1k 1 is above 0.5"),
        (Limits(usd_per_1k=0.5), Serving(), "usd_per_1k is not known (the model of prompt has no price)"),
        (Limits(target=0.9), Serving(usd=0.001), "80.0 [79, 81] is below the target 90.0"),
        (Limits(target=0.8), Serving(usd=0.001), "80.0 [79, 81] is not shown to reach the target 80.0"),
    ],
)
def test_an_arm_outside_the_limits_is_never_chosen_and_says_why(limits: Limits, serving: Serving, why: str) -> None:
    fine = Serving(usd=0.0004, p95_ms=100)
    arms = [
        arm("prompt", rows(0.80, 4000), 0.8, serving=serving),
        arm("rag", rows(0.93, 4000), 0.9, serving=fine),
    ]
    choice = rule(arms, reference_of(arms, limits), limits)
    assert choice.of("prompt").verdict == "outside"
    assert why in reason(choice, choice.of("prompt"))
    assert choice.name == "rag"


def test_where_no_arm_keeps_the_limits_none_is_chosen() -> None:
    arms = [arm("prompt", rows(0.5), usd=0.1), arm("rag", rows(0.5), usd=0.1)]
    choice = rule(arms, "prompt", Limits(usd_per_1k=1))
    assert choice.name is None
    assert sentences(choice)[0] == "Not decided: no arm keeps the limits."


def test_the_reference_is_the_best_on_dev_of_those_that_are_neither_too_dear_nor_too_slow() -> None:
    arms = [arm("prompt", rows(0.5), 0.5, usd=0.001), arm("rag", rows(0.9), 0.9, usd=0.1)]
    assert reference_of(arms, Limits()) == "rag"
    assert reference_of(arms, Limits(usd_per_1k=2)) == "prompt"


def test_a_tuned_arm_needs_a_probe_where_one_is_asked_for_and_a_bounded_loss() -> None:
    good = arm("fine-tuned", rows(0.9, 4000), 0.9, usd=0.001, off_task=loss(rows(0.7, 400), rows(0.705, 400)))
    bad = arm("fine-tuned", rows(0.9, 4000), 0.9, usd=0.001, off_task=loss(rows(0.6, 400), rows(0.7, 400)))
    none = arm("fine-tuned", rows(0.9, 4000), 0.9, usd=0.001)
    other = arm("prompt", rows(0.9, 4000), 0.8, usd=0.002)
    limits = Limits(probe=True)
    names = [rule([each, other], "prompt", limits).name for each in (good, bad, none)]
    assert names == ["fine-tuned", "prompt", "prompt"]
    assert rule([bad, other], "prompt", Limits()).name == "fine-tuned"


def test_rows_on_which_calls_failed_are_taken_at_their_worst() -> None:
    whole, cheap = rows(0.8, 4000), rows(0.8, 4000)
    cheap[:100] = np.nan
    choice = rule([arm("rag", whole, 0.8, usd=0.002), arm("prompt", cheap, 0.8, usd=0.001)], "rag")
    assert not choice.of("prompt").eligible
    assert "failed" in reason(choice, choice.of("prompt"))


def test_failed_rows_are_taken_at_the_worst_of_their_own_scale() -> None:
    """2 % of the reference's calls failed: at 100 each they would put the cheap arm below the margin."""
    for scale in (1, 100):
        whole = rows(0.8, 4000) * scale
        cheap = whole.copy()
        whole[3200:3280] = np.nan
        arms = [arm("rag", whole, 0.9, usd=0.002), arm("prompt", cheap, 0.8, usd=0.001)]
        choice = rule(arms, "rag", Limits(margin=0.015 * scale))
        assert choice.of("prompt").failed, scale
        assert not choice.decided


def test_an_arm_that_is_shown_better_than_the_best_on_dev_is_what_all_are_held_against() -> None:
    """Two bad arms that agree are no reason to take the cheaper one of them, and more rows would tell nothing new."""
    bad, good = rows(0.60, 400), rows(0.79, 400)
    arms = [
        arm("prompt", bad, 0.60, usd=0.001),
        arm("prompt+demos", bad, 0.65, usd=0.002),
        arm("rag", good, 0.61, usd=0.003),
    ]
    choice = rule(arms, "prompt+demos")
    assert (choice.name, choice.decided, choice.reference, choice.refuted) == ("rag", True, "rag", "prompt+demos")
    first, second, *_ = sentences(choice)
    assert first == (
        "Choice: rag, the best shown on test. On test prompt and prompt+demos are worse by more than 2.0 points."
    )
    assert second == (
        "prompt+demos was the best on dev, but test shows rag to be better by more than 2.0 points: "
        "so the arms are held against rag."
    )
    slow = replace(arms[2], serving=Serving(p95_ms=900))
    fast = [replace(each, serving=Serving(p95_ms=9)) for each in arms[:2]]
    assert rule([*fast, slow], "prompt+demos", Limits(p95_ms=10)).refuted == ""
    failing = good.copy()
    failing[:30] = np.nan  # 30 rows that may be wrong, 48 points of lead
    assert rule([*arms[:2], replace(arms[2], scores=failing)], "prompt+demos").refuted == "prompt+demos"
    failing[:80] = np.nan
    turned = rule([*arms[:2], replace(arms[2], scores=failing)], "prompt+demos")
    assert (turned.refuted, turned.decided) == ("", False)


def test_an_arm_that_may_be_better_than_the_reference_leaves_a_cheaper_pick_undecided() -> None:
    """It is told of against the reference: nothing was measured against the pick."""
    rng = np.random.default_rng(2)
    same, other = rows(0.8, 400), (rng.random(400) < 0.8).astype(float)
    arms = [
        arm("prompt", same, 0.8, usd=0.001),
        arm("prompt+demos", same, 0.9, usd=0.002),
        arm("rag", other, 0.8, usd=0.003),
    ]
    choice = rule(arms, "prompt+demos")
    assert (choice.name, choice.decided, choice.rivals) == ("prompt", False, ("rag",))
    said = sentences(choice)
    assert said[1].startswith("Open: rag may be better than prompt+demos by 2.0 points or more (against prompt+demos ")
    assert said[2].startswith("Until then take prompt: it is shown to be within 2.0 points of prompt+demos")


def test_a_margin_above_1_is_not_of_rates_even_where_every_score_is_0_or_1() -> None:
    arms = [arm("rag", np.array([0.0, 1.0, 0.0]), 0.9), arm("prompt", np.array([1.0, 0.0, 0.0]), 0.8)]
    choice = rule(arms, "rag", Limits(margin=2.0), reads=3)
    bound = choice.of("prompt").bound
    assert bound is not None
    assert (bound.low > -2.0) == (bound.p <= 0.05)
    assert "points" not in " ".join(sentences(choice))


def test_rows_read_before_widen_the_bounds() -> None:
    rng = np.random.default_rng(2)
    good, cheap = (rng.random((2, 300)) < 0.8).astype(float)
    arms = [arm("rag", good, 0.9, usd=0.002), arm("prompt", cheap, 0.8, usd=0.001)]
    first, third = (rule(arms, "rag", reads=reads).of("prompt").bound for reads in (1, 3))
    assert first is not None
    assert third is not None
    assert third.low < first.low
    assert third.p == pytest.approx(min(1, first.p * math.pi**2 * 9 / 6))


def test_one_tuning_seed_is_a_claim_about_one_model_several_are_about_tuning() -> None:
    base = rows(0.8, 4000)
    once = arm("fine-tuned", base, 0.9, usd=0.001)
    thrice = arm("fine-tuned", base, 0.9, usd=0.001, seeds=(rows(0.75, 4000), base, rows(0.85, 4000)))
    other = arm("prompt", base, 0.8, usd=0.002)
    one, several = (rule([each, other], "prompt") for each in (once, thrice))
    assert "said of this model, not of tuning" in " ".join(sentences(one))
    assert "3 seeds" in " ".join(sentences(several))
    assert one.decided
    assert not several.decided  # .05 of spread over seeds hides two points
    with pytest.raises(ValueError, match="no arm 'rag'"):
        rule([once, other], "rag")
