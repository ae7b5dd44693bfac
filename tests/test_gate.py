"""The gate of a changed prompt, and its JUnit XML."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from promptlab.comparison.gate import Gate, gate
from promptlab.comparison.junit import junit

NAN = math.nan


def scores(n: int, fixed: int, broken: int) -> tuple[np.ndarray, np.ndarray]:
    """(new, old): so many rows fixed and broken, the rest right in both."""
    new, old = np.ones(n), np.ones(n)
    old[:fixed], new[fixed : fixed + broken] = 0, 0
    return new, old


@pytest.mark.parametrize(
    ("fixed", "broken", "verdict"),
    [(0, 30, "regressed"), (30, 0, "passed"), (0, 0, "passed"), (10, 10, "undecided"), (2, 8, "regressed")],
)
def test_it_says_regressed_passed_or_undecided(fixed: int, broken: int, verdict: str) -> None:
    found = gate(*scores(200, fixed, broken))
    assert found.verdict == verdict
    assert found.n == 200
    assert found.delta == pytest.approx((fixed - broken) / 200)


def test_its_bounds_are_one_sided_95_percent_bounds_of_the_paired_t() -> None:
    new, old = scores(200, 5, 12)
    d = new - old
    half = t.ppf(0.95, 199) * math.sqrt((d.var(ddof=1) + 1 / 200) / 200)
    found = gate(new, old)
    assert (found.low, found.high) == pytest.approx((d.mean() - half, d.mean() + half))
    assert found.chance == pytest.approx(t.cdf(0.02 / (half / t.ppf(0.95, 199)) - t.ppf(0.95, 199), 199))


def test_the_margin_decides_what_passes_and_never_what_regressed() -> None:
    new, old = scores(400, 4, 8)
    assert gate(new, old, 0.0).verdict == gate(new, old, 0.01).verdict == "undecided"
    assert gate(new, old, 0.05).verdict == "passed"
    worse = gate(*scores(4000, 4, 40), 0.05)
    assert worse.verdict == "regressed"
    assert "though by less than the margin" in worse.reason
    with pytest.raises(ValueError, match="margin"):
        gate(new, old, -0.1)


def test_the_chance_that_an_unchanged_prompt_passes_grows_with_the_rows() -> None:
    chances = [gate(*scores(n, n // 20, n // 20)).chance for n in (100, 400, 2000, 10_000)]
    assert chances == sorted(chances)
    assert chances[0] < 0.2
    assert chances[-1] > 0.99


def test_the_reason_says_n_delta_bounds_margin_and_chance() -> None:
    assert gate(*scores(200, 10, 10)).reason == (
        "+0.0 points on 200 rows, one-sided 95 % bounds -3.8 and +3.8, margin 2.0 points: it may be as good, and it "
        "may be worse by 2.0 points or more (an unchanged prompt passes in 22 % of such comparisons; more rows would "
        "tell)"
    )
    seconds = gate(np.full(50, -300.0) - np.arange(50), np.full(50, -100.0), 20)
    assert "points" not in seconds.reason
    assert seconds.verdict == "regressed"


def test_rows_whose_calls_failed_may_leave_it_undecided() -> None:
    new, old = scores(200, 0, 30)
    new[100:104] = NAN
    assert gate(new, old).verdict == "regressed", "4 rows cannot outweigh 30"
    new, old = scores(200, 0, 0)
    new[:3] = NAN
    assert gate(new, old).verdict == "passed"
    new[:10] = NAN
    found = gate(new, old)
    assert found.verdict == "undecided"
    assert found.n == 190
    assert "10 more rows failed (errors) and could turn it" in found.reason
    worse, base = scores(100, 0, 10)
    worse[50:90] = base[50:90] = NAN
    worse[50:90] = NAN
    base[50:90] = 0
    assert gate(worse, base).verdict == "undecided", "were the 40 right, it would be better"


def test_too_few_rows_or_groups_decide_nothing() -> None:
    for new, old, groups in (([], [], None), ([1.0], [0.0], None), (*scores(70, 0, 70), np.arange(70) % 7)):
        found = gate(new, old, groups=groups)
        assert found.verdict == "undecided"
        assert math.isnan(found.low)
        assert "too few" in found.reason


def test_groups_widen_the_bounds_and_weights_move_the_difference() -> None:
    new, old = scores(200, 0, 20)
    alone, together = gate(new, old), gate(new, old, groups=np.arange(200) // 20)
    assert alone.verdict == "regressed"
    assert together.verdict == "undecided"
    assert together.delta == alone.delta
    assert gate(new, old, weights=np.where(new < old, 1e-6, 1.0)).verdict == "passed"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, NAN]), st.sampled_from([0.0, 1.0, NAN])), max_size=60))
def test_no_verdict_contradicts_its_bounds(rows) -> None:
    new, old = np.array(rows).reshape(-1, 2).T
    found = gate(new, old)
    assert found.verdict != "regressed" or found.high < 0
    assert found.verdict != "passed" or found.low > -0.02
    assert "nan" not in found.reason


# JUnit ---------------------------------------------------------------------------------------------------------------

WORSE = Gate("regressed", -0.1, -0.15, -0.05, 100, 0.3, "worse")
OPEN = Gate("undecided", 0.0, NAN, NAN, 1, NAN, "too few")
BETTER = Gate("passed", 0.1, 0.05, 0.15, 100, 0.3, "better")


@pytest.mark.parametrize(("strict", "failures", "skipped"), [(False, 1, 1), (True, 2, 0)])
def test_what_regressed_fails_and_with_strict_what_is_undecided(strict: bool, failures: int, skipped: int) -> None:
    gates = [("a", WORSE), ("b", OPEN), ("c", BETTER)]
    [suite] = ET.fromstring(junit("intent", gates, strict=strict))
    assert (suite.get("name"), suite.get("tests")) == ("intent", "3")
    assert (suite.get("failures"), suite.get("skipped")) == (str(failures), str(skipped))
    assert len(suite.findall("testcase/failure")) == failures
    assert len(suite.findall("testcase/skipped")) == skipped
    assert suite.find("testcase/failure").get("message") == "worse"
    figures = {each.get("name"): each.get("value") for each in suite.findall("testcase")[1].iter("property")}
    assert figures == {"delta": "0", "low": "", "high": "", "n": "1", "chance": ""}


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_makes_xml_that_reads_back(suite: str, name: str) -> None:
    """Markup stays text; what XML cannot hold (control characters, lone surrogates) becomes the replacement sign."""
    text = junit(suite + "\x00\ud800", [(name + "<&\"'\x1b]]>", WORSE)], strict=False)
    [found] = ET.fromstring(text.encode("utf-8"))
    assert found.get("name").endswith("\ufffd\ufffd")
    assert found.find("testcase").get("name").endswith("<&\"'\ufffd]]>")
    assert len(found) == 1


def test_a_tab_and_a_newline_in_a_name_survive() -> None:
    [found] = ET.fromstring(junit("s", [("a\tb\nc", WORSE)], strict=False))
    assert found.find("testcase").get("name") == "a\tb\nc"
