"""What `choose` says: what is decided, what is open, what it costs, and the terminal's table of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from choice_world import arm
from rich.console import Console
from test_choice_rule import rows as right

from promptlab.choice.arm import Serving, Setup
from promptlab.choice.break_even import BreakEven
from promptlab.choice.chosen import Chosen
from promptlab.choice.costs import Use
from promptlab.choice.curve import Curve, curve
from promptlab.choice.limits import Limits
from promptlab.choice.page import page
from promptlab.choice.probe import loss
from promptlab.choice.reason import legend, reason, sentences
from promptlab.choice.rule import Choice, rule
from promptlab.choice.table import against, rows
from promptlab.cli.chosen import curve_lines, table, tell

N = 4000
CURVE = replace(curve("training rows", [20, 40], [right(0.3, 90), right(0.5, 90)]), which="seed 1", part=((8.0, 32),))


def choice(limits: Limits | None = None) -> Choice:
    """A prompt that is worse, retrieval that is best on dev, a tuned arm with three seeds, and a slow one."""
    seeds = tuple(right(rate, N) for rate in (0.79, 0.80, 0.81))
    arms = [
        arm("prompt", right(0.50, N), 0.50, model="small", variant="v1", setup=Setup(search=0.5),
            serving=Serving(usd=0.001, p95_ms=40)),
        arm("rag", right(0.80, N), 0.82, setup=Setup(search=1.0), serving=Serving(usd=0.002, p95_ms=60)),
        arm("rag+demos", right(0.80, N), 0.80, setup=Setup(search=2.0), serving=Serving(usd=0.001, p95_ms=900)),
        arm("fine-tuned", np.mean(seeds, axis=0), 0.8, seeds=seeds, setup=Setup(training=30.0),
            serving=Serving(usd=0.0001, p95_ms=50), model="tuned-small-s1-n80"),
    ]  # fmt: skip
    return rule(arms, "rag", limits or Limits(margin=0.05, p95_ms=500, use=Use(1000)))


def chosen(made: Choice, curves: Sequence[Curve] = ()) -> Chosen:
    runs: Any = {each.arm.name: (SimpleNamespace(folder=Path("runs") / each.arm.name),) for each in made.judged}
    return Chosen(made, runs, (), ("Mend this.",), {"fine-tuned": tuple(curves)} if curves else {})


def terminal(made: Choice, width: int) -> tuple[str, list[str]]:
    shown, hidden = table(made, rows(made, date(2026, 1, 1)), width)
    console = Console(width=width, record=True, file=StringIO())
    console.print(shown)
    return console.export_text(), hidden


# --- words


def test_what_is_decided_comes_first_then_what_is_open_then_what_to_take() -> None:
    rng = np.random.default_rng(1)
    drawn = [(rng.random(80) < rate).astype(float) for rate in (0.1, 0.15, 0.8, 0.8, 0.1)]
    names = ("prompt", "prompt+demos", "rag", "rag+demos", "fine-tuned")
    arms = [arm(name, each, dev) for name, each, dev in zip(names, drawn, (0.1, 0.1, 0.9, 0.8, 0.1), strict=True)]
    made = rule(arms, "rag")
    first, open_, until, *rest = sentences(made)
    assert first == (
        "Not decided: prompt, prompt+demos and fine-tuned are worse than rag by more than 2.0 points. "
        "What is left is rag and rag+demos."
    )
    assert open_.startswith("Open: rag+demos may be better than rag by 2.0 points or more (against rag ")
    assert open_.endswith(f"about {made.rows:,} test rows would show it; there are 80.")
    assert until == "Until then take rag: it is the best on dev."
    assert rest[0].endswith(
        "for no cost is guessed: the model of rag has no price; the model of rag+demos has no price."
    )
    assert "until then = what to take until more rows decide" in legend(made)


def test_of_equal_costs_it_is_said_that_they_are_equal() -> None:
    arms = [arm("rag", right(0.8, N), 0.8, usd=0.0), arm("prompt", right(0.8, N), 0.8, usd=0.0)]
    said = " ".join(sentences(rule(arms, "rag", Limits(use=Use(1000)))))
    assert "fewer moving parts" in said
    assert said.endswith("for all cost the same.")
    assert "guessed" not in said


def test_where_no_arm_is_left_nothing_is_said_of_what_cheaper_means() -> None:
    arms = [arm("prompt", right(0.5)), arm("rag", right(0.5))]
    assert sentences(rule(arms, "prompt", Limits(target=0.9))) == [
        "Not decided: no arm keeps the limits.",
        "prompt is outside the limits: test score 50.0 [45, 55] is below the target 90.0.",
        "rag is outside the limits: test score 50.0 [45, 55] is below the target 90.0.",
    ]


def test_arms_that_are_all_worse_than_one_outside_the_limits_need_no_more_rows() -> None:
    arms = [arm("prompt", right(0.3, N), 0.3), arm("rag", right(0.6, N), 0.9), arm("fine-tuned", right(0.4, N), 0.4)]
    made = rule(arms, "rag", Limits(target=0.35))
    assert made.name == "rag"
    made = rule([arms[0], replace(arms[1], serving=Serving(p95_ms=900))], "rag", Limits(p95_ms=500))
    assert sentences(made)[0] == "Not decided: no arm keeps the limits."
    fast = replace(arms[0], serving=Serving(p95_ms=10))
    made = rule([fast, replace(arms[1], serving=Serving(p95_ms=900))], "rag", Limits(p95_ms=500))
    assert (made.name, made.rows) == (None, None)
    assert sentences(made)[0] == (
        "Not decided: prompt keeps the limits, and is worse than rag, the best on dev, which does not keep them."
    )


def test_a_mean_over_seeds_is_called_one_everywhere() -> None:
    made = choice()
    assert "was tuned with 3 seeds (79.0, 80.0, 81.0 on test): its score is the mean of 3 seeds" in " ".join(
        sentences(made)
    )
    assert re.search(r"fine-tuned .* mean of 3 ", terminal(made, 200)[0])
    html = page("x", made, rows(made, date(2026, 1, 1)), [], [], {}, {})
    assert "mean of 3 seeds" in html


def test_the_reference_is_not_called_the_best_on_dev_where_a_slower_arm_is_better() -> None:
    made = choice()
    assert made.best == "the best on dev"
    slow = [replace(each.arm, dev=0.9) if each.arm.name == "rag+demos" else each.arm for each in made.judged]
    other = rule(slow, "rag", made.limits)
    assert sentences(other)[0].startswith("Choice: rag, the best on dev inside the limits. On test ")
    assert "worse than the best on dev inside the limits by more than" in reason(other, other.of("prompt"))


def test_what_could_not_be_measured_is_said_in_words_and_never_as_nan() -> None:
    """One probe row, seeds whose every call failed, a card without a score."""
    few = arm("fine-tuned", right(0.8, N), 0.8, off_task=loss(np.ones(1), np.ones(1)))
    lost = np.full(N, np.nan)
    none = arm("fine-tuned+rag", lost, 0.8, seeds=(lost, lost, lost), off_task=loss(right(0.9), right(0.9)))
    one = replace(none, name="fine-tuned", scores=right(0.8, N), seeds=(right(0.8, N), lost), off_task=few.off_task)
    for tuned in (few, one):
        made = rule([arm("rag", right(0.8, N), 0.9), tuned, none], "rag", Limits(probe=True))
        said = " ".join(sentences(made))
        assert "outside the limits: 1 probe row is too few to tell what it may have lost off task" in said
        assert "fine-tuned+rag was tuned with 3 seeds: its score is the mean of 3 seeds" in said
        assert ("was tuned with 2 seeds (80.0, no score on test)" in said) == (tuned is one)
        html = page("x", made, rows(made, date(2026, 1, 1)), [], [], {}, {})
        assert re.findall(r"\b(?:nan|inf)\b", re.sub(r"<[^>]*>", " ", said + html)) == []


def test_bounds_of_rows_that_were_read_many_times_are_figures() -> None:
    rng = np.random.default_rng(0)
    for scale in (1, 100):
        good, cheap = (rng.random((2, 100)) < 0.8) * float(scale)
        made = rule([arm("rag", good, 0.9, usd=0.002), arm("prompt", cheap, 0.8, usd=0.001)], "rag", reads=20)
        bound = made.of("prompt").bound
        assert bound is not None
        assert -0.5 * scale < bound.low < bound.high < 0.5 * scale
        assert "inf" not in " ".join(sentences(made))


# --- terminal


def test_the_terminal_says_which_limit_failed_what_all_costs_and_what_the_verdicts_mean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell(chosen(choice(), [CURVE]), Path("here"), as_json=False)
    out = " ".join(capsys.readouterr().out.split())
    assert "rag+demos is outside the limits: p95 900 ms is above 500 ms." in out
    assert "$ 12 months" in out
    assert "31.20" in out  # 30 of training, 12 x 1,000 x .0001
    assert "worse = worse than the best on dev (rag) by more than 5.0 points" in out
    assert "Δ to rag [bounds]" in out
    assert "fine-tuned, training rows (seed 1): 20 → 30.0, 40 → 50.0 (dev)." in out
    assert "Not scored in full, so not drawn: 8 (after 32 of 90 dev rows)." in out


def test_which_seed_look_and_take_point_to_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    made = choice(Limits(margin=0.3))
    assert made.name == "fine-tuned"
    tell(chosen(made), Path("here"), as_json=False)
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "That run is one of 3 seeds, tuned-small-s1-n80: it scored 79.0 on test, and the mean of 3 seeds is 80.0."
        in out
    )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_is_as_wide_as_the_terminal_and_says_what_it_has_no_room_for(width: int) -> None:
    shown, hidden = terminal(choice(), width)
    assert "…" not in shown
    assert all(name in shown for name in ("arm", "verdict", "test [95 %]", "$ 12 months"))
    assert bool(hidden) == (width < 140)
    assert not any(name in shown for name in hidden)


def test_json_has_the_curves_and_every_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    made = choice()
    tell(chosen(made, [CURVE]), Path("here"), as_json=True)
    body = json.loads(capsys.readouterr().out)
    assert body["sentences"] == sentences(made)
    assert body["total_usd"] == {"prompt": 12.5, "rag": 25.0, "rag+demos": 14.0, "fine-tuned": pytest.approx(31.2)}
    assert body["curves"] == curve_lines(chosen(made, [CURVE]))
    assert {row["arm"]: row["reason"] for row in body["arms"]}["prompt"].startswith("against rag -30.0 points")


def test_break_even_in_the_table_is_against_the_reference() -> None:
    made = choice()
    assert against(made, made.of("rag")) is None
    assert against(made, made.of("prompt")) == BreakEven("always")
    assert str(against(made, made.of("fine-tuned"))) == "from 15,263"  # 29 / .0019
