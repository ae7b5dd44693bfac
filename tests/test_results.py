"""results.csv: its columns, its figures, and what may decide them."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from findings import NAN, examples_of, findings, prediction, task_of
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.findings import Findings
from promptlab.measured import scores_of
from promptlab.metrics.exact import exact
from promptlab.metrics.macro_f1 import MacroF1
from promptlab.predictions import frame, prediction_columns, prediction_rows, rounded
from promptlab.records import Price, Variant
from promptlab.results import _fair, claimed, columns, fold, further_metrics, names_of
from promptlab.results import tested as on_test
from promptlab.stats.paired import paired, rate_interval
from promptlab.stats.ties import max_t
from promptlab.verdict import verdict
from promptlab.write import write_csv

DESIGNED = """run, rank, variant, name, status, method, model, template, slot.tone, origin, parents,
  dev_n, dev_score, dev_low, dev_high, dev_delta, dev_delta_low, dev_delta_high, test_n, test_score, test_low,
  test_high, delta, delta_low, delta_high, p_adjusted, dev.f1, test.f1, ok, invalid, refused, truncated, overflow,
  error, calls, tokens_in, tokens_cached, tokens_out, usd, usd_per_1k, latency_p50_ms, latency_p95_ms,
  prompt_tokens, engine"""
STATUSES = {"winner", "tied", "beaten", "dropped", "baseline", "failed"}


def rates(rng: np.random.Generator, chances: list[float], n: int) -> np.ndarray:
    return (rng.random(n) < np.array(chances)[:, None]).astype(float)


def clear() -> Findings:
    """Variant 2 is far better than the rest, on dev and on test; 3 is a little better; 4 fell; 5 failed."""
    rng = np.random.default_rng(1)
    dev, test = (rates(rng, [0.4, 0.4, 0.9, 0.6, 0.3, 0.5], 120) for _ in range(2))
    asked = np.ones(dev.shape, bool)
    asked[4, 30:] = False
    dev[5] = NAN
    return findings(dev, test, asked=asked, fell={4: 3}, price=Price(1, 2), finalists=3)


def by_variant(found: Findings) -> dict[int, dict[str, Any]]:
    place = {variant.id: v for v, variant in enumerate(found.search.view.variants)}
    return {place[row["variant"]]: row for row in fold(found)}


def table(found: Findings) -> tuple[list[str], list[list[Any]]]:
    names = columns(["tone"], further_metrics(found.task))
    return names, [[row.get(name) for name in names] for row in fold(found)]


# Columns -------------------------------------------------------------------------------------------------------------


def test_the_columns_are_those_of_the_design_in_its_order() -> None:
    assert table(clear())[0] == [each.strip() for each in DESIGNED.split(",")]


def test_no_row_holds_anything_that_has_no_column() -> None:
    names, _ = table(clear())
    assert {key for row in fold(clear()) for key in row} <= set(names)


def test_it_loads_with_plain_pandas_and_what_was_not_measured_is_nan_never_0(tmp_path: Path) -> None:
    found = clear()
    write_csv(tmp_path / "results.csv", *table(found))
    loaded = pd.read_csv(tmp_path / "results.csv").set_index("status")
    assert set(loaded.index) <= STATUSES
    assert pd.api.types.is_string_dtype(loaded["run"])
    assert pd.api.types.is_string_dtype(loaded["variant"])
    assert loaded.loc["baseline", ["dev_delta", "dev_delta_low", "delta", "delta_low", "p_adjusted"]].isna().all()
    assert loaded.loc["baseline", ["dev_score", "dev_low", "test_score", "test_high"]].notna().all()
    assert (
        loaded.loc["dropped", ["dev_low", "dev_high", "dev_delta_low", "test_n", "test_score", "p_adjusted"]]
        .isna()
        .all()
    )
    assert loaded.loc["dropped", ["dev_score", "dev_delta", "usd"]].notna().all()
    failed = loaded.loc["failed"]
    assert failed["dev_n"] == 0
    assert failed["error"] == failed["calls"] == 120
    assert failed[["dev_score", "dev_delta", "tokens_in", "usd_per_1k", "latency_p50_ms", "prompt_tokens"]].isna().all()
    for name in ("rank", "dev_n", "ok", "error", "calls"):
        assert pd.api.types.is_integer_dtype(loaded[name]), name


def test_the_data_frame_equals_the_file(tmp_path: Path) -> None:
    names, rows = table(clear())
    write_csv(tmp_path / "results.csv", names, rows)
    loaded = pd.read_csv(
        tmp_path / "results.csv",
        dtype={"parents": str},
        keep_default_na=False,
        na_values={n: [""] for n in names if n != "parents"},
    )
    pd.testing.assert_frame_equal(frame(names, rows), loaded, check_dtype=False, check_exact=True)


def test_numbers_have_six_digits_and_read_back_as_they_were_written(tmp_path: Path) -> None:
    names, rows = table(clear())
    write_csv(tmp_path / "results.csv", names, rows)
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                digits = text.lstrip("-").split("e")[0].replace(".", "").lstrip("0").rstrip("0")
                assert not text or not text.lstrip("-")[0].isdigit() or len(digits) <= 6, (name, text)
    assert rounded(1 / 3) == 0.333333
    assert rounded(3.3046946373720144e-15) == 3.30469e-15
    assert rounded(1234567.8) == 1234568.0
    assert rounded(-0.0) == 0.0
    assert rounded(NAN) is None


# Figures -------------------------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_statistics_on_the_rows_that_both_have() -> None:
    found = clear()
    view, row = found.search.view, by_variant(found)[2]
    test = on_test(found)
    gap = paired(view.scores[2], view.scores[0], 7)
    assert (row["dev_delta"], row["dev_delta_low"], row["dev_delta_high"]) == tuple(
        map(rounded, (gap.delta, gap.low, gap.high))
    )
    interval = rate_interval(view.scores[2])
    assert (row["dev_low"], row["dev_high"]) == (rounded(interval.low), rounded(interval.high))
    gap = paired(test.scores[2], test.scores[0], 7)
    assert (row["delta"], row["delta_low"], row["delta_high"]) == tuple(map(rounded, (gap.delta, gap.low, gap.high)))
    assert row["test_score"] == rounded(float(np.mean(test.scores[2])))
    assert row["ok"] == row["calls"] == 240
    assert row["tokens_in"] == 24000
    assert row["usd"] == rounded(0.24)
    assert row["usd_per_1k"] == 1.0
    assert row["latency_p50_ms"] == row["latency_p95_ms"] == 250.0


def test_p_of_the_pick_is_raw_and_of_the_others_never_below_it_or_max_t() -> None:
    found = clear()
    test, finalists = on_test(found), found.choice.finalists
    assert found.choice.pick == finalists[0] == 2
    raw = test.gaps[2].p
    family = max_t(np.array([test.scores[v] - test.scores[0] for v in finalists]), seed=7)
    assert test.p == {v: raw if v == 2 else max(raw, p) for v, p in zip(finalists, family, strict=True)}


def test_weights_count_in_means_and_differences() -> None:
    dev = np.array([[1, 0, 0, 0.0], [0, 1, 1, 1.0]])
    even = by_variant(findings(dev, dev))
    heavy = by_variant(findings(dev, dev, weights=[7, 1, 1, 1], test_weights=[7, 1, 1, 1]))
    assert (even[1]["dev_score"], even[1]["dev_delta"]) == (0.75, 0.5)
    assert (heavy[0]["dev_score"], heavy[1]["dev_score"], heavy[1]["dev_delta"]) == (0.7, 0.3, -0.4)
    assert (heavy[0]["test_score"], heavy[1]["test_score"], heavy[1]["delta"]) == (0.7, 0.3, -0.4)


def test_repeats_are_averaged_before_anything_else() -> None:
    """A row whose first repeat failed counts as much as a row with two, in scores and in further metrics."""
    found = findings(np.ones((2, 2)), np.ones((2, 2)), metrics={"main": exact, "length": lambda e, c: 0.0})
    variant, rows = found.search.view.variants[1], examples_of("t", 2)
    repeated = [
        prediction(variant, rows[0], NAN, "test", 0), prediction(variant, rows[0], 1.0, "test", 1),
        prediction(variant, rows[1], 0.0, "test", 0), prediction(variant, rows[1], 0.5, "test", 1),
    ]  # fmt: skip
    assert scores_of(repeated, rows).tolist() == [1.0, 0.25]
    base = [each for each in found.test if each.variant != variant.id]
    row = by_variant(dataclasses.replace(found, test=(*base, *repeated)))[1]
    assert row["test_score"] == 0.625
    assert row["test.length"] == -0.625


def test_a_metric_over_all_rows_is_aggregated_and_has_columns_even_as_the_only_objective() -> None:
    dev = np.array([[1, 0, 1.0], [1, 1, 1.0]])
    row = by_variant(findings(dev))
    assert row[0]["dev.f1"] == rounded(0.4)  # yes: F1 .8; no: answered, never expected: 0
    assert row[1]["dev.f1"] == 1.0
    assert further_metrics(task_of(metrics={"main": MacroF1()})) == ["main"]
    assert further_metrics(task_of(metrics={"main": exact})) == []


def test_without_a_price_there_are_no_dollars() -> None:
    assert all("usd" not in row and "usd_per_1k" not in row for row in fold(findings(np.ones((2, 4)))))


# What decides --------------------------------------------------------------------------------------------------------


def decided(found: Findings) -> Any:
    """All that dev decides, of the table: who stands where, and everything but test's columns and the winner's name."""
    rows = fold(found)
    return found.choice, [
        (
            row["variant"],
            row["rank"],
            "tied" if row["status"] == "winner" else row["status"],
            row.get("dev_delta"),
            row.get("dev_low"),
        )
        for row in rows
    ]


@given(seed=st.integers(0, 10**6), count=st.integers(2, 7), rows=st.integers(3, 25))
@settings(max_examples=25, deadline=None)
def test_test_never_decides_anything_but_whether_the_pick_wins(seed: int, count: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    dev = rates(rng, list(rng.random(count)), rows)
    dev[rng.random(dev.shape) < 0.1] = NAN
    found = findings(dev, rates(rng, list(rng.random(count)), rows))
    for other in (rates(rng, list(rng.random(count)), rows), 1 - np.nan_to_num(dev), np.full(dev.shape, NAN)):
        assert decided(findings(dev, other)) == decided(found)
    assert decided(findings(dev)) == decided(found)
    assert [row["rank"] for row in fold(found)] == list(range(1, count + 1))
    assert {row["status"] for row in fold(found)} <= STATUSES


def test_rows_missing_because_they_are_hard_do_not_move_the_pick() -> None:
    """A loses its hard rows to errors: its mean rises above B's, its paired difference does not."""
    n = 200
    hard = np.arange(n) < 40
    base = np.where(np.arange(n) % 2 == 0, 1.0, 0.0) * ~hard
    better = np.where(hard, 0.0, np.where(np.arange(n) % 10 < 7, 1.0, 0.0))
    worse = np.where(hard, NAN, np.where(np.arange(n) % 10 < 6, 1.0, 0.0))
    rows = by_variant(findings([base, worse, better]))
    assert rows[1]["dev_score"] > rows[2]["dev_score"]
    assert rows[1]["dev_delta"] < rows[2]["dev_delta"] + 0.1
    found = findings([base, np.where(hard, NAN, better), better])
    assert by_variant(found)[1]["dev_score"] > by_variant(found)[2]["dev_score"]
    gaps = {v: by_variant(found)[v]["dev_delta"] for v in (1, 2)}
    assert math.isclose(gaps[2], 0.8 * gaps[1], abs_tol=1e-6), "both against the baseline on the same rows"


def test_errors_are_missing_never_wrong() -> None:
    dev = np.array([[1, 1, 0, 0.0], [1, NAN, NAN, 1.0]])
    row = by_variant(findings(dev, dev))[1]
    assert (row["dev_n"], row["dev_score"], row["error"]) == (2, 1.0, 4)
    assert (row["test_n"], row["test_score"], row["delta"]) == (2, 1.0, 0.5)


def test_a_winner_needs_a_positive_difference_and_p_below_5_percent_on_test() -> None:
    rng = np.random.default_rng(3)
    dev = rates(rng, [0.4, 0.8], 100)
    won = findings(dev, rates(rng, [0.4, 0.8], 100))
    assert by_variant(won)[1]["status"] == "winner"
    assert verdict(won, fold(won))[0].startswith("Winner: ")
    for test in (rates(rng, [0.5, 0.52], 100), rates(rng, [0.8, 0.4], 100)):
        lost = findings(dev, test)
        row = by_variant(lost)[1]
        assert row["status"] == "tied"
        assert not claimed(row)
        assert verdict(lost, fold(lost))[0].startswith("No variant beats the baseline. Dev's pick ")


def test_a_winner_whose_sign_hangs_on_failed_calls_is_none() -> None:
    """12 rows fixed, none broken, 30 missing: were they all right, the baseline would be ahead."""
    dev = np.array([[0.0] * 60, [1.0] * 60])
    base = np.array([0.0] * 15 + [1.0] * 15 + [0.0] * 30)
    one = np.array([1.0] * 12 + [0.0] * 3 + [1.0] * 15 + [1.0] * 0 + [NAN] * 30)
    base[30:] = 1.0
    found = findings(dev, [base, one])
    row = by_variant(found)[1]
    assert row["delta"] > 0
    assert row["p_adjusted"] < 0.05
    assert row["status"] == "tied"
    lines = verdict(found, fold(found))
    assert lines[0].startswith("No variant beats the baseline.")
    assert any("30 test rows are missing" in line and "undecided" in line for line in lines)


def test_without_test_no_winner_is_named() -> None:
    found = findings(rates(np.random.default_rng(3), [0.2, 0.9], 60))
    assert by_variant(found)[1]["status"] == "tied"
    assert "Test was not read, so no winner is named." in verdict(found, fold(found))[0]


def test_the_baseline_is_the_pick_where_nothing_is_above_it() -> None:
    for dev in ([[1, 1, 0.0], [1, 1, 0.0]], [[1, 1, 1.0], [0, 0, 1.0]]):
        found = findings(dev, dev)
        assert found.choice.pick == 0
        assert fold(found)[0]["status"] == "baseline"
        assert verdict(found, fold(found))[0].startswith("No variant beats the baseline: none is above it on dev.")


def test_a_space_of_one_variant_has_a_table_and_a_verdict() -> None:
    found = findings([[1, 0, 1.0]], [[1, 1.0]])
    [row] = fold(found)
    assert (row["rank"], row["status"], row["name"]) == (1, "baseline", "t")
    assert "no other" in verdict(found, [row])[0]


def test_variants_that_were_never_all_scored_leave_no_finalist() -> None:
    asked = np.array([[True] * 8, [True] * 3 + [False] * 5])
    found = findings(np.ones((2, 8)), np.ones((2, 8)), asked=asked, fell={1: 2})
    assert not found.choice.finalists
    assert by_variant(found)[1]["status"] == "dropped"
    assert verdict(found, fold(found))[0].startswith("No variant beats the baseline: none was scored on all the rows")


def test_equal_variants_are_tied_with_the_baseline_first() -> None:
    found = findings(np.ones((4, 10)), np.ones((4, 10)))
    rows = fold(found)
    assert [row["status"] for row in rows] == ["baseline", "tied", "tied", "tied"]
    assert [row["p_adjusted"] for row in rows[1:]] == [1.0, 1.0, 1.0]
    assert "95 %: dev cannot tell the 4 fully scored variants apart." in verdict(found, rows)


def test_a_variant_without_any_score_failed_also_when_it_was_dropped() -> None:
    dev = np.array([[1, 0, 1.0], [NAN, NAN, NAN], [0, 0, 1.0]])
    asked = np.array([[True] * 3, [True, False, False], [True] * 3])
    found = findings(dev, asked=asked, fell={1: 2})
    rows = fold(found)
    assert rows[-1]["status"] == "failed"
    assert rows[-1]["dev_n"] == 0


def test_ranks_put_those_that_fell_later_first_whatever_their_means() -> None:
    dev = np.array([[0.0] * 40, [1.0] * 40, [0.5] * 40, [0.9] * 40, [0.8] * 40])
    asked = np.ones(dev.shape, bool)
    asked[2, 20:] = asked[3, 10:] = asked[4, 10:] = False
    rows = by_variant(findings(dev, asked=asked, fell={2: 4, 3: 2, 4: 2}))
    assert [rows[v]["rank"] for v in range(5)] == [2, 1, 3, 4, 5]
    assert [rows[v]["status"] for v in range(5)] == ["baseline", "tied", "dropped", "dropped", "dropped"]


# Sentences -----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), count=st.integers(1, 6), rows=st.integers(1, 30), scale=st.sampled_from([1, -300]))
@settings(max_examples=25, deadline=None)
def test_sentences_hold_no_nan_no_double_space_and_no_unfinished_line(
    seed: int, count: int, rows: int, scale: int
) -> None:
    rng = np.random.default_rng(seed)
    dev, test = (rates(rng, list(rng.random(count)), rows) * scale for _ in range(2))
    dev[rng.random(dev.shape) < 0.1] = NAN
    test[rng.random(test.shape) < 0.1] = NAN
    for found in (findings(dev, test), findings(dev)):
        for line in verdict(found, fold(found)):
            assert "nan" not in line
            assert "None" not in line
            assert "  " not in line
            assert line.endswith((".", ".)"))


def test_scores_that_are_no_rates_are_said_in_their_own_unit() -> None:
    dev = -np.array([[300.0] * 30, [200.0] * 30]) - np.arange(30)
    found = findings(dev, dev)
    line = verdict(found, fold(found))[0]
    assert ": +100 [" in line
    assert "points" not in line


# predictions.csv -----------------------------------------------------------------------------------------------------


def test_predictions_have_the_designed_columns_and_say_what_was_not_measured(tmp_path: Path) -> None:
    found = findings([[1.0, NAN]])
    names = prediction_columns(["text"])
    assert " ".join(names) == (
        "run variant example repeat split phase input.text label answer score status output tokens_in tokens_cached "
        "tokens_out usage usd latency_ms attempts cached model error"
    )
    examples = {each.id: each for each in found.search.view.dev}
    rows = list(prediction_rows("r1", found.search.predictions, examples, ["text"], unpriced={"m"}))
    ok, failed = (dict(zip(names, row, strict=True)) for row in rows)
    assert (ok["score"], ok["tokens_in"], ok["usage"], ok["usd"], ok["latency_ms"]) == (
        1.0,
        100,
        "reported",
        None,
        250.0,
    )
    assert (failed["status"], failed["attempts"], failed["error"]) == ("error", 3, "500 from the server")
    assert [failed[name] for name in ("score", "answer", "tokens_in", "usage", "usd", "latency_ms")] == [None] * 6
    write_csv(tmp_path / "p.csv", names, rows)
    loaded = pd.read_csv(tmp_path / "p.csv")
    assert loaded["score"].isna().tolist() == [False, True]
    assert loaded["cached"].tolist() == [False, False]


@pytest.mark.parametrize("many", [("yes", "no"), ("a|b",)])
def test_several_accepted_answers_stand_in_one_cell_as_json(many: tuple[str, ...]) -> None:
    found = findings([[1.0]])
    example = dataclasses.replace(found.search.view.dev[0], label=many)
    [row] = prediction_rows("r1", found.search.predictions, {example.id: example}, ["text"])
    assert row[7] == '["yes", "no"]' if len(many) == 2 else '["a|b"]'


def test_a_rewritten_text_is_named_by_its_beginning_on_one_line() -> None:
    texts = ("Read the message.\nThen name the one topic that it is about, and nothing else.", "short")
    made = [Variant(f"v{n}", {"template": "t", "task": text}) for n, text in enumerate(texts)]
    assert names_of(made) == ["t task=Read the message. Then name the one top…", "t task=short"]


def test_a_mean_over_rows_that_an_allocator_picked_is_not_printed() -> None:
    """The first rows of dev are a fair sample of it; others were picked for what they tell."""
    asked = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0]], bool)
    choice = SimpleNamespace(full=(3,))
    variants = [Variant(f"v{v}", {}) for v in range(4)]
    view = SimpleNamespace(asked=asked, variants=variants)
    found: Any = SimpleNamespace(search=SimpleNamespace(view=view), choice=choice)
    assert [_fair(found, v) for v in range(4)] == [True, True, False, True]
