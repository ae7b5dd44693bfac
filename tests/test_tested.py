"""What may be said of a pick: without a test split, of rows read again, of rows in groups, and in which words."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import NAN, findings
from project import project
from typer.testing import CliRunner

from promptlab.chance import FLOOR, p_said
from promptlab.cli import app
from promptlab.experiment import Experiment
from promptlab.findings import Findings
from promptlab.measured import metric_of
from promptlab.prepare import prepare
from promptlab.reads import note_read
from promptlab.records import Example
from promptlab.results import fold
from promptlab.results import tested as on_test
from promptlab.stats.paired import paired
from promptlab.stats.ties import max_t
from promptlab.tested import alone_p
from promptlab.unit import Unit
from promptlab.verdict import span_of, verdict

# Dev is all there is -------------------------------------------------------------------------------------------------


def scores(seed: int, rates: list[float], n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((len(rates), n)) < np.array(rates)[:, None]).astype(float)


def alone(dev: Any, **options: Any) -> Findings:
    return dataclasses.replace(findings(dev, **options), alone=True)


def status_of(found: Findings) -> str:
    pick = found.search.view.variants[found.choice.pick].id
    return next(row["status"] for row in fold(found) if row["variant"] == pick)


def test_without_a_test_split_the_winner_is_named_by_the_test_of_the_best_of_all() -> None:
    found = alone(scores(6, [0.4, 0.75, *[0.4] * 8], 150))
    rows = fold(found)
    assert rows[0]["status"] == "winner"
    one_sided = alone_p(found, found.search.view)
    assert one_sided is not None
    assert rows[0]["p_adjusted"] == pytest.approx(2 * one_sided, abs=1e-4)
    assert rows[0]["p_adjusted"] < 0.05
    assert [row.get("p_adjusted") for row in rows[1:]] == [None] * 9
    told = verdict(found, rows)
    assert told[0].startswith("Winner: ")
    assert told[0].endswith("counting all 9 variants tried.")
    assert any(line.startswith("There is no test split: the same rows picked it") for line in told)
    left_out = findings(scores(6, [0.4, 0.75, *[0.4] * 8], 150))
    assert status_of(left_out) == "tied", "there is a test split, it was not read"


def test_without_a_test_split_the_best_of_equal_ones_is_none() -> None:
    """Its own p, as if it alone had been tried, would have called it better."""
    dev = scores(31, [0.6] * 40, 100)
    found = alone(dev)
    pick = found.choice.pick
    assert paired(dev[pick], dev[0], 0).p < 0.05
    assert status_of(found) == "tied"
    assert verdict(found, fold(found))[0].startswith("No variant beats the baseline. Dev's pick ")


def test_without_a_test_split_nothing_is_claimed_of_a_race_nor_by_a_proposer_that_adapts() -> None:
    dev = scores(6, [0.4, 0.75, *[0.4] * 8], 150)
    asked = np.ones(dev.shape, bool)
    asked[5, 40:] = False
    raced = alone(dev, asked=asked, fell={5: 2})
    found = alone(dev)
    view = found.search.view
    variants = (*view.variants[:-1], dataclasses.replace(view.variants[-1], origin="reflect"))
    made = dataclasses.replace(found.search, view=dataclasses.replace(view, variants=variants))
    for each in (raced, dataclasses.replace(found, search=made)):
        assert status_of(each) == "tied"
        assert "Without a test split no winner can be named here" in verdict(each, fold(each))[0]


def test_without_a_test_split_failed_calls_may_leave_it_open() -> None:
    """12 rows fixed, none broken; of 20 that were right before nothing is known."""
    base = np.r_[np.zeros(40), np.ones(60)]
    one = np.r_[np.ones(12), np.zeros(28), np.ones(60)]
    assert status_of(alone(np.array([base, one]))) == "winner"
    one[80:] = NAN
    dev = np.array([base, one])
    found = alone(dev)
    assert status_of(found) == "tied"


# Rows read again, rows in groups -------------------------------------------------------------------------------------


def test_each_reading_of_the_same_test_rows_costs() -> None:
    base, one = np.r_[np.zeros(16), np.ones(84)], np.r_[np.ones(16), np.zeros(4), np.ones(80)]
    found = findings(scores(3, [0.4, 0.8], 100), [base, one])
    raw = on_test(found).p[1]
    assert 0.001 < raw < 0.05
    assert status_of(found) == "winner"
    for reads in (2, 3, 6):
        again = dataclasses.replace(found, reads=reads)
        assert on_test(again).p[1] == pytest.approx(min(1, raw * math.pi**2 * reads**2 / 6))
        told = " ".join(verdict(again, fold(again)))
        assert f"{reads} runs have read these test rows by now: p is multiplied by" in told
        assert ("Bring new test rows." in told) is (reads > 5)
    assert status_of(dataclasses.replace(found, reads=6)) == "tied"
    assert "have read these test rows" not in " ".join(verdict(found, fold(found)))


def test_where_no_p_is_shown_nothing_is_said_of_what_a_reading_costs() -> None:
    found = in_groups(findings(scores(3, [0.4, 0.8], 40), scores(4, [0.4, 0.8], 40)), 10)
    again = dataclasses.replace(found, reads=2)
    assert "have read these test rows" not in " ".join(verdict(again, fold(again))), "four groups bear no p"


def test_plan_says_that_test_will_be_read_again(tmp_path: Path) -> None:
    def planned(path: Path) -> str:
        return CliRunner().invoke(app, ["plan", str(path)]).stdout

    path = project(tmp_path / "a", endpoint={"base_url": "http://127.0.0.1:9/v1"})
    assert "these test rows were read" not in planned(path)
    note_read(path.parent / ".promptlab", prepare(Experiment.load(path)).rows.test, "r1")
    assert "note: these test rows were read by 1 run; p will be multiplied by 6.58" in planned(path)
    assert "these test rows were read" not in planned(project(tmp_path / "a")), "the offline engine reads nothing"


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.0496, "p = 0.0496"), (0.04999, "p = 0.04999"), (0.0512, "p = 0.051"), (0.05, "p = 0.05"), (1.0, "p = 1"),
     (0.0004, "p = 0.0004"), (1 / 2001, "p ≤ 0.0005")],
)  # fmt: skip
def test_a_p_is_written_so_that_its_side_of_5_percent_shows(p: float, said: str) -> None:
    assert p_said(p) == said
    assert p_said(6.58 * p, 6.58 / 2001).startswith("p ≤") is said.startswith("p ≤")


def test_the_least_p_is_a_bound_in_the_verdict_too() -> None:
    base, good = np.zeros(60), np.ones(60)
    found = alone(np.array([base, good, *[base] * 3]))
    assert "p ≤ 0.001," in " ".join(verdict(found, fold(found))), "two-sided, of 2,000 flips"


@pytest.mark.parametrize(
    ("low", "said"), [(0.0004, " [+0.04, +20.0]"), (-0.0002, " [-0.02, +20.0]"), (0.01, " [+1.0, +20.0]")]
)
def test_an_end_beside_0_is_not_shown_as_0(low: float, said: str) -> None:
    assert span_of(Unit(), low, 0.2) == said


def test_the_least_p_is_that_of_the_resampling() -> None:
    assert max_t(np.ones((1, 60)), seed=0)[0] == pytest.approx(FLOOR)


def test_dev_flatters_its_pick_only_where_luck_alone_would_not() -> None:
    base = np.zeros(100)

    def told(dev: int, test: int) -> str:
        one, other = (np.where(np.arange(100) < k, 1.0, 0.0) for k in (dev, test))
        found = findings([base, one], [base, other])
        return next(line for line in verdict(found, fold(found)) if line.startswith("Dev said"))

    assert told(30, 26).endswith("test says about as much: 4.0 points less, which luck alone can do.")
    assert told(60, 20).endswith("test says 40.0 points less: dev flatters its own pick.")
    assert told(20, 60).endswith("test says 40.0 points more.")
    assert told(30, 30).endswith("test says as much.")


def test_proposals_that_were_refused_are_not_a_space_of_one() -> None:
    found = findings(scores(1, [0.5], 20))
    assert "there is no other in the space" in " ".join(verdict(found, fold(found)))
    search = dataclasses.replace(found.search, refused={"no JSON": {"count": 3, "example": "x"}})
    refused = dataclasses.replace(found, search=search)
    assert "nothing that was proposed got in; see above" in " ".join(verdict(refused, fold(refused)))


def in_groups(found: Findings, size: int) -> Findings:
    def grouped(examples: tuple[Example, ...]) -> tuple[Example, ...]:
        return tuple(dataclasses.replace(each, group=f"g{i // size}") for i, each in enumerate(examples))

    view = dataclasses.replace(found.search.view, dev=grouped(found.search.view.dev))
    search = dataclasses.replace(found.search, view=view)
    return dataclasses.replace(found, search=search, test_rows=grouped(found.test_rows))


def test_rows_that_belong_together_widen_intervals_and_p() -> None:
    once = scores(2, [0.5, 0.7], 12)
    dev = np.repeat(once, 10, axis=1)
    found = findings(dev, dev)
    together = in_groups(found, 10)
    rows, wide = (next(row for row in fold(each) if row["status"] in ("winner", "tied")) for each in (found, together))
    for low, high in (("dev_low", "dev_high"), ("dev_delta_low", "dev_delta_high"), ("test_low", "test_high"),
                      ("delta_low", "delta_high")):  # fmt: skip
        assert wide[high] - wide[low] > 1.5 * (rows[high] - rows[low])
    assert wide["p_adjusted"] > 10 * rows["p_adjusted"]
    assert "The 120 test rows come in 12 groups; intervals and tests go by group." in verdict(together, fold(together))


def test_fewer_than_eight_groups_name_no_winner() -> None:
    found = findings(scores(3, [0.4, 0.8], 70), scores(4, [0.4, 0.8], 70))
    assert status_of(found) == "winner"
    few = in_groups(found, 10)
    assert status_of(few) == "tied"
    pick = next(row for row in fold(few) if row["status"] == "tied")
    assert pick["p_adjusted"] is None
    told = verdict(few, fold(few))
    assert "fewer than 8 bear no p, so no winner is named" in " ".join(told)
    assert "p = " not in told[0]


def test_without_a_test_split_groups_count_as_one() -> None:
    once = scores(2, [0.5, 0.75], 14)
    found = alone(np.repeat(once, 12, axis=1))
    assert status_of(found) == "winner"
    assert status_of(in_groups(found, 12)) == "tied"
    few = in_groups(found, 24)
    assert status_of(few) == "tied"
    assert "the groups are too few" in verdict(few, fold(few))[0]


# Sentences -----------------------------------------------------------------------------------------------------------


def test_further_metrics_are_told_with_the_interval_of_the_difference_and_no_p() -> None:
    found = findings(scores(3, [0.5, 0.7], 100), scores(8, [0.5, 0.68], 100))
    line = next(each for each in verdict(found, fold(found)) if each.startswith("On test, too: "))
    one, base = (metric_of(found.task, "f1", [r for r in found.test if r.variant == found.search.view.variants[v].id],
                           found.test_rows) for v in (1, 0))  # fmt: skip
    gap = paired(one, base, None)
    assert f", {gap.delta:+.3g} [{gap.low:+.3g}, {gap.high:+.3g}])" in line


def test_what_the_rows_can_show_is_told_by_how_often_these_two_differ() -> None:
    base = np.r_[np.ones(95), np.zeros(5)]
    one = np.r_[np.zeros(2), np.ones(98)]
    found = findings(scores(3, [0.4, 0.8], 60), [base, one])
    told = " ".join(verdict(found, fold(found)))
    assert (
        "(These 100 rows, 7 % of them answered differently, cannot show any difference between such variants.)" in told
    )
    many = findings(scores(3, [0.4, 0.8], 60), scores(12, [0.5, 0.5], 400))
    assert "answered differently, show differences from about 10 points up.)" in " ".join(verdict(many, fold(many)))
