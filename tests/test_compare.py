"""Runs side by side: what is read back, what is paired with what, and what is said."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from findings import NAN, findings
from project import project
from typer.testing import CliRunner

from promptlab.cli import app
from promptlab.cli.compared_tables import apart
from promptlab.comparison.compare import Comparison, compare
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.findings import Findings
from promptlab.predictions import prediction_columns, prediction_rows
from promptlab.prepare import prepare
from promptlab.results import brief, columns, fold, further_metrics
from promptlab.run import mine
from promptlab.stats.paired import mcnemar_midp, paired
from promptlab.stats.power import smallest_difference
from promptlab.stats.ties import max_t
from promptlab.write import write_csv

ODD = ["NA", "None", "null", "nan", "1e3", "01", "true", "=1+1", "-3", "@me"]


def write_run(folder: Path, found: Findings, run: str = "r1", **changes: Any) -> Path:
    """results.csv and predictions.csv of findings, as a run folder."""
    names = columns(["tone"], further_metrics(found.task))
    rows = [{**row, "run": run} for row in fold(found)]
    write_csv(folder / "results.csv", names, [[row.get(name) for name in names] for row in rows])
    examples = {each.id: each for each in (*found.search.view.dev, *found.test_rows)}
    cells = prediction_rows(run, (*found.search.predictions, *found.test), examples, ["text"])
    header = prediction_columns(["text"])
    changed = [[changes.get(n, lambda c: c)(c) for n, c in zip(header, row, strict=True)] for row in cells]
    write_csv(folder / "predictions.csv", header, changed)
    return folder


def answers(rows: Sequence[tuple[str, str, str]], path: Path, run: str = "r1", variant: str = "v1") -> Path:
    """A predictions.csv of (example, label, answer)."""
    header = prediction_columns(["text"])
    cells = [
        {"run": run, "variant": variant, "example": example, "repeat": 0, "split": "test", "phase": "final",
         "input.text": f"text of {example}", "label": label, "answer": answer, "score": float(label == answer),
         "status": "ok", "output": answer}
        for example, label, answer in rows
    ]  # fmt: skip
    write_csv(path, header, [[row.get(name) for name in header] for row in cells])
    return path


def scores(seed: int, chances: Sequence[float], n: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((len(chances), n)) < np.array(chances)[:, None]).astype(float)


def shown(*args: str) -> str:
    result = CliRunner().invoke(app, ["compare", *args])
    assert result.exit_code == 0, result.output
    return result.output


def rows_of_baseline(found: Comparison) -> str:
    assert found.against is not None
    return found.against[1]


def by_variant(found: Comparison, split: str) -> dict[str, dict[str, Any]]:
    rows = found.differences[found.differences["split"] == split].to_dict("records")
    return {str(row["variant"]): row for row in rows}  # type: ignore[misc]


# What is read --------------------------------------------------------------------------------------------------------


def test_a_run_folder_its_csvs_and_its_experiment_show_the_same(tmp_path: Path) -> None:
    found = findings(scores(1, [0.4, 0.8, 0.6], 60), scores(2, [0.4, 0.8, 0.6], 60))
    home = tmp_path / "experiment"
    folder = write_run(home / "runs" / "r1", found)
    (home / "experiment.yaml").write_text("name: x\n", encoding="utf-8")
    (home / "results.csv").write_bytes((folder / "results.csv").read_bytes())
    whole = compare([folder])
    for path in (home, home / "results.csv", folder / "results.csv"):
        again = compare([path])
        pd.testing.assert_frame_equal(again.leaderboard, whole.leaderboard)
        pd.testing.assert_frame_equal(again.differences, whole.differences)
        assert again.classes == whole.classes
    assert len(whole.leaderboard) == 3
    assert pd.api.types.is_integer_dtype(whole.leaderboard["error"]), "a count here, a message in predictions.csv"
    alone = compare([folder / "predictions.csv"])
    assert list(alone.leaderboard["variant"]) == list(whole.leaderboard["variant"]), "made from the scores"
    assert list(alone.leaderboard["dev_n"]) == [60, 60, 60]
    there = whole.differences.columns.drop("p_adjusted")  # a run's own p of its pick, which was fixed on dev, stands
    pd.testing.assert_frame_equal(alone.differences[there], whole.differences[there])


def test_results_without_predictions_have_a_leaderboard_and_say_what_is_missing(tmp_path: Path) -> None:
    folder = write_run(tmp_path, findings(scores(1, [0.4, 0.8], 30)))
    (folder / "predictions.csv").unlink()
    for path in (folder, folder / "results.csv"):
        found = compare([path])
        assert len(found.leaderboard) == 2
        assert len(found.differences) == 0
        assert any("no paired differences" in note for note in found.notes)
        assert "tied" in shown(str(path))


def test_labels_and_answers_that_look_like_something_else_survive(tmp_path: Path) -> None:
    rows = [(f"e{k}", label, label) for k, label in enumerate(ODD * 4)]
    path = answers(rows, tmp_path / "predictions.csv", run="1e3", variant="007")
    found = compare([path])
    assert {each.label for each in found.classes} == set(ODD), "guarding apostrophes are gone"
    assert all(each.f1 == 1.0 and each.support == 4 for each in found.classes)
    assert found.best == ("1e3", "007")


def test_an_empty_answer_belongs_to_no_class(tmp_path: Path) -> None:
    rows = [(f"e{k}", "yes" if k % 2 else "no", "yes" if k % 2 else "") for k in range(20)]
    found = compare([answers(rows, tmp_path / "p.csv")])
    assert [(each.label, each.recall) for each in found.classes] == [("no", 0.0), ("yes", 1.0)]
    assert found.confusion == ((0, 0, 10), (0, 10, 0))
    assert found.majority == ("no", 0.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        (b"", "this is no table"),
        (b"a,b\n1,2\n", "no columns run and variant"),
        (b"\xff\xfe\x00run", "this is no table"),
        (b"run,variant,dev_score\nr,v,much\n", "the column dev_score must hold numbers"),
    ],
)
def test_what_is_no_table_is_told_with_its_path(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "results.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        compare([path, tmp_path / "nothing"])
    assert len(caught.value.problems) == 2, "of both paths"


def test_a_variant_that_nobody_has_is_told_with_the_nearest(tmp_path: Path) -> None:
    folder = write_run(tmp_path, findings(scores(1, [0.4, 0.8], 30)))
    known = compare([folder]).leaderboard["variant"][0]
    with pytest.raises(BadInput, match=f"Did you mean '{known}'"):
        compare([folder], baseline=known[:-1] + "x")


# Differences ---------------------------------------------------------------------------------------------------------


def test_differences_are_those_computed_by_hand(tmp_path: Path) -> None:
    """Fixed 3, broken 1 of 8 rows: +25 points, McNemar's mid-p of (3, 1), and the t interval with 1/n added."""
    base, one = [1, 0, 0, 0, 1, 0, 1, 0.0], [1, 1, 1, 1, 0, 0, 1, 0.0]
    found = compare([write_run(tmp_path, findings([base, one], [base, one]))])
    [row] = found.differences[found.differences["split"] == "test"].to_dict("records")
    gap = np.subtract(one, base)
    half = 2.364624 * math.sqrt((gap.var(ddof=1) + 1 / 8) / 8)
    assert (row["n"], row["delta"], row["fixed"], row["broken"]) == (8, 0.25, 3, 1)
    assert row["low"] == pytest.approx(0.25 - half)
    assert row["high"] == pytest.approx(0.25 + half)
    assert row["p"] == row["p_adjusted"] == pytest.approx(mcnemar_midp(3, 1)) == pytest.approx(0.375)


def test_several_variants_have_p_adjusted_for_being_many(tmp_path: Path) -> None:
    test = scores(3, [0.5, 0.62, 0.6, 0.55], 80)
    made = findings(test, test)
    rows = by_variant(compare([write_run(tmp_path, made)]), "test")
    ids = [variant.id for variant in made.search.view.variants]
    order = [ids.index(v) for v in dict.fromkeys(p.variant for p in made.test) if v != ids[0]]
    family = dict(zip(order, max_t(np.array([test[v] - test[0] for v in order]), seed=0), strict=True))
    for v in order:
        assert rows[ids[v]]["p_adjusted"] == pytest.approx(max(rows[ids[v]]["p"], family[v]), abs=0.02)
        assert rows[ids[v]]["p_adjusted"] >= rows[ids[v]]["p"] * (1 - 1e-5), "results.csv has six digits"


def test_variants_that_fell_on_the_way_get_a_difference_but_no_interval(tmp_path: Path) -> None:
    asked = np.ones((3, 40), bool)
    asked[2, 10:] = False
    made = findings(scores(4, [0.3, 0.7, 0.5], 40), asked=asked, fell={2: 2})
    found = compare([write_run(tmp_path, made)])
    ids = [variant.id for variant in made.search.view.variants]
    rows = by_variant(found, "dev")
    assert rows[ids[2]]["n"] == 10
    assert math.isnan(rows[ids[2]]["low"])
    assert math.isnan(rows[ids[2]]["p"])
    assert rows[ids[1]]["low"] == pytest.approx(paired(made.search.view.scores[1], made.search.view.scores[0], 0).low)
    assert list(found.differences["n"]) == [40, 10], "over the most rows first"


def test_errors_are_left_out_pairwise_and_repeats_are_averaged(tmp_path: Path) -> None:
    made = findings([[1, 0, 1, 0.0], [NAN, 1, 1, 1.0]], [[1, 0, 1, 0.0], [NAN, 1, 1, 1.0]])
    folder = write_run(tmp_path, made)
    table = pd.read_csv(folder / "predictions.csv")
    again = table.assign(repeat=1, score=table["score"].where(table["variant"] == table["variant"][0], 0.5))
    pd.concat([table, again]).to_csv(folder / "predictions.csv", index=False)
    row = compare([folder]).differences.iloc[0]
    # row 0: only the second repeat of the variant came (.5 against 1); rows 1 to 3: .75 against 0, 1, 0
    assert (row["n"], row["delta"]) == (4, pytest.approx((-0.5 + 0.75 - 0.25 + 0.75) / 4))


def test_two_runs_share_a_leaderboard_and_are_paired_on_the_rows_that_both_have(tmp_path: Path) -> None:
    test = scores(5, [0.4, 0.9], 50)
    first = write_run(tmp_path / "a", findings(test, test), "r1")
    second = write_run(tmp_path / "b", findings(test[:, :30], test[:, :30]), "r2")
    found = compare([first, second])
    assert sorted(found.leaderboard["run"]) == ["r1", "r1", "r2", "r2"]
    assert list(found.leaderboard["rank"]) == [1, 2, 3, 4]
    dev = found.differences[found.differences["split"] == "dev"].set_index(["run", "variant"])["delta"].to_dict()
    order = [dev.get(key, 0.0) for key in zip(found.leaderboard["run"], found.leaderboard["variant"], strict=True)]
    assert order[:2] == sorted(order[:2], reverse=True), "by the paired difference on dev, whole rows first"
    assert list(found.leaderboard["run"]) == ["r1", "r1", "r2", "r2"]
    assert set(found.leaderboard["against"]) == {rows_of_baseline(found)}
    rows = found.differences[(found.differences["split"] == "test") & (found.differences["run"] == "r2")]
    assert set(rows["n"]) == {30}
    same = rows[rows["variant"] == rows["against"]]
    assert list(same["delta"]) == [0.0], "the other run's baseline against this one's"
    assert same["low"].notna().all(), "rows that the other run never had are not what a race left out"
    assert set(found.differences["against_run"]) == {"r1"}
    text = shown(str(first), str(second))
    assert "r2" in text
    assert "Paired differences" in text


def test_the_same_run_named_twice_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path, findings(scores(1, [0.4, 0.8], 30)))
    assert len(compare([folder, folder / "results.csv"]).leaderboard) == 2


@pytest.mark.parametrize("column", ["input.text", "label"])
def test_rows_of_other_data_are_not_paired_and_that_is_said(tmp_path: Path, column: str) -> None:
    """The same ids, another text or another label: other rows."""
    found = findings(scores(1, [0.4, 0.8], 30))
    first = write_run(tmp_path / "a", found, "r1")
    second = write_run(tmp_path / "b", found, "r2", **{column: lambda cell: f"other {cell}"})
    result = compare([first, second])
    assert set(result.differences["run"]) == {"r1"}
    assert "r2 shares no scored row with r1: there is no difference to show." in result.notes
    assert "r2 shares no scored row with r1" in shown(str(first), str(second))


# What is printed -----------------------------------------------------------------------------------------------------


def test_json_is_valid_and_says_null_where_nothing_was_measured(tmp_path: Path) -> None:
    asked = np.ones((3, 40), bool)
    asked[2, 10:] = False
    folder = write_run(tmp_path, findings(scores(4, [0.3, 0.7, 0.5], 40), asked=asked, fell={2: 2}))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(shown(str(folder), "--json"), parse_constant=refuse)
    assert [row["rank"] for row in found["leaderboard"]] == [1, 2, 3]
    assert found["leaderboard"][0]["test_score"] is None
    assert found["differences"][1]["p"] is None
    assert found["classes"] == [], "one label alone is no classification"
    assert found["best"]["run"] == "r1"
    assert found["seeds"] == {"resampling": 0}
    assert found["differences"][0]["against"] == found["against"]["variant"]
    rows = [(f"e{k}", "yes" if k % 2 else "no", "yes") for k in range(20)]
    found = json.loads(shown(str(answers(rows, tmp_path / "p.csv")), "--json"), parse_constant=refuse)
    assert found["classes"][0] == {"label": "no", "precision": None, "recall": 0.0, "f1": 0.0, "support": 10}
    assert found["majority"] == ["no", 0.5]


def test_data_on_the_terminal_is_text_never_markup_or_control(tmp_path: Path) -> None:
    rows = [(f"e{k}", "[red]no[/red]" if k % 2 else "a\x1b[31m\nb", "[red]no[/red]") for k in range(20)]
    text = shown(str(answers(rows, tmp_path / "p.csv")))
    assert "[red]no[/red]" in text
    assert "\x1b" not in text


# Flips, labels, what the rows can show --------------------------------------------------------------------------------


def test_flips_are_the_rows_that_changed_with_their_texts(tmp_path: Path) -> None:
    first = answers([("e0", "a", "a"), ("e1", "a", "b"), ("e2", "b", "b"), ("e3", "b", "a")], tmp_path / "1.csv", "r1")
    second = answers([("e0", "a", "=b\x1b[2J"), ("e1", "a", "a"), ("e2", "b", "b"), ("e3", "b", "a")],
                     tmp_path / "2.csv", "r2")  # fmt: skip
    found = compare([first, second], variant=None).changes
    assert found is not None
    assert (found.before, found.after, found.split, found.fixed, found.broken) == (
        ("r1", "v1"), ("r2", "v1"), "test", 1, 1)  # fmt: skip
    broken, fixed = found.flips
    assert (broken.example, broken.kind, broken.label, broken.gain) == ("e0", "broken", "a", -1.0)
    assert (broken.before, broken.after, broken.outputs[1]) == ("a", "=b\x1b[2J", "=b\x1b[2J")
    assert (fixed.example, fixed.inputs) == ("e1", {"text": "text of e1"})
    text = shown(str(first), str(second), "--flips", "1", "--flips-csv", str(tmp_path / "flips.csv"))
    assert "Flips on test from r1/v1 to r2/v1: 1 fixed, 1 broken" in text
    assert "1 more with --flips N" in text
    assert "\x1b" not in text
    with (tmp_path / "flips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["example"], row["input.text"], row["after"]) for row in rows] == [
        ("e0", "text of e0", "'=b\x1b[2J"), ("e1", "text of e1", "a")]  # fmt: skip


def test_an_answer_that_is_none_is_shown_by_its_status(tmp_path: Path) -> None:
    path = answers([("e0", "a", ""), ("e1", "a", "a")], tmp_path / "1.csv", "r1")
    table = pd.read_csv(path, keep_default_na=False)
    table.loc[0, "status"] = "truncated"
    table.to_csv(path, index=False)
    other = answers([("e0", "a", "a"), ("e1", "a", "a")], tmp_path / "2.csv", "r2")
    found = compare([path, other]).changes
    assert found is not None
    assert [(each.kind, each.before, each.after) for each in found.flips] == [("fixed", "(truncated)", "a")]


def test_pairs_confused_most_come_first(tmp_path: Path) -> None:
    rows = [(f"e{k}", "yes" if k < 12 else "no", "no" if k < 9 else "yes" if k < 16 else "no") for k in range(24)]
    found = compare([answers(rows, tmp_path / "p.csv")])
    assert found.labels.confused == (("yes", "no", 9), ("no", "yes", 4))
    assert "Confused most: yes as no (9), no as yes (4)." in shown(str(tmp_path / "p.csv"))


def test_the_smallest_difference_uses_the_disagreement_that_was_measured(tmp_path: Path) -> None:
    test = np.zeros((2, 200))
    test[1, :40] = 1.0
    test[0, 30:50] = 1.0
    found = compare([write_run(tmp_path, findings(test, test))]).resolution
    assert found is not None
    assert (found.split, found.n, found.disagreement) == ("test", 200, 0.2)
    assert found.smallest == smallest_difference(200, 0.2)


def test_failed_calls_leave_the_interval_and_say_whether_they_decide(tmp_path: Path) -> None:
    test = scores(6, [0.5, 0.6], 40)
    test[1, :8] = NAN
    found = compare([write_run(tmp_path, findings(test, test))])
    row = found.differences.iloc[0]
    base = test[0]
    assert (row["n"], row["errors"]) == (32, 8)
    assert row["delta_errors_0"] == pytest.approx(np.mean(np.nan_to_num(test[1]) - base))
    assert row["delta_errors_1"] == pytest.approx(np.mean(np.nan_to_num(test[1], nan=1.0) - base))
    assert row["low"] < row["delta"] < row["high"]
    assert "8 test rows are missing (errors): the difference of" in shown(str(tmp_path))


def test_ties_over_several_runs_are_of_the_variants_scored_on_all_shared_rows(tmp_path: Path) -> None:
    test = scores(7, [0.2, 0.8, 0.79], 60)
    one = write_run(tmp_path / "a", findings(test[:2]), "r1")
    two = write_run(tmp_path / "b", findings(test[[0, 2]]), "r2")
    found = compare([one, two]).ties
    assert found is not None
    assert (found.among, found.rows, found.split) == (4, 60, "dev")
    assert {run for run, _ in found.members} == {"r1", "r2"}
    assert len(found.members) == 2, "both good ones, and neither baseline"


# Somebody else's table -----------------------------------------------------------------------------------------------


def scored(path: Path, rows: Sequence[tuple[str, int, Any]], header: str = "variant,example,score") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def test_scores_alone_make_a_leaderboard(tmp_path: Path) -> None:
    rows = [(v, i, int(i % m > 0)) for v, m in (("007", 2), ("b", 8), ("c", 4)) for i in range(80)]
    path = scored(tmp_path / "mine.csv", [*rows, ("part", 1, 1)])
    found = compare([path])
    board = found.leaderboard
    assert list(board["variant"]) == ["b", "c", "007", "part"], "by paired differences, whole rows first"
    assert list(board["status"]) == ["tied", "beaten", "baseline", "partial"]
    gap = paired(np.arange(80) % 8 > 0, np.arange(80) % 2 > 0, 0)
    assert found.differences.iloc[0]["low"] == pytest.approx(gap.low)
    assert found.against == ("mine", "007"), "the first one, unless --baseline says otherwise"
    assert compare([path], "c").against == ("mine", "c")
    text = shown(str(path))
    assert "score [95 %]" in text
    assert "dev" not in text


@pytest.mark.parametrize(
    ("rows", "said"), [([], "it holds no rows"), ([("a", 1, 1)], "There is one variant: nothing to compare it with.")]
)
def test_an_empty_table_and_a_single_row_are_told(tmp_path: Path, rows: list[tuple[str, int, int]], said: str) -> None:
    assert said in shown(str(scored(tmp_path / "mine.csv", rows)))


def test_a_score_that_is_no_number_is_told_with_its_line(tmp_path: Path) -> None:
    path = scored(tmp_path / "mine.csv", [("a", 1, 1), ("a", 2, "good")])
    with pytest.raises(BadInput, match=r"mine.csv:3: the column score must hold numbers, not 'good'"):
        compare([path])


def test_two_tables_of_one_name_are_two_runs(tmp_path: Path) -> None:
    paths = [tmp_path / name / "scores.csv" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        scored(path, [("v", i, 1) for i in range(5)])
    assert list(compare(paths).leaderboard["run"]) == [str(path) for path in paths]


# One comparison, one p ---------------------------------------------------------------------------------------------


def manifest(folder: Path, run: str = "r1", **told: Any) -> str:
    (folder / "manifest.json").write_text(json.dumps({"run": run, "settings": {}, **told}), encoding="utf-8")
    return str(folder)


def test_the_p_of_a_difference_is_that_of_the_leaderboard_also_where_test_was_read_before(tmp_path: Path) -> None:
    test = scores(3, [0.4, 0.6, 0.55, 0.5], 80)
    read = dataclasses.replace(findings(test, test), reads=2)
    folder = manifest(write_run(tmp_path / "a", read), test_reads=2)
    found = compare([folder])
    board = found.leaderboard.set_index("variant")["p_adjusted"].dropna()
    rows = by_variant(found, "test")
    assert {v: row["p_adjusted"] for v, row in rows.items()} == dict(board)
    once = by_variant(compare([write_run(tmp_path / "once", findings(test, test))]), "test")
    assert all(row["p"] == pytest.approx(min(1, once[v]["p"] * math.pi**2 * 4 / 6)) for v, row in rows.items())
    assert "\n2 runs have read these test rows by now: p is multiplied by 6.58" in shown(folder)
    third = manifest(write_run(tmp_path / "b", findings(test, test), "r2"), "r2", test_reads=3)
    both = compare([folder, third])
    other = both.differences[(both.differences["run"] == "r2") & (both.differences["split"] == "test")]
    row = other[other["variant"] == found.best[1]].iloc[0]
    assert row["p"] == pytest.approx(min(1, once[found.best[1]]["p"] * math.pi**2 * 9 / 6)), "the later reading counts"
    assert "r2: 3 runs have read these test rows by now" in shown(folder, third)


def test_a_manifest_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    folder = write_run(tmp_path, findings(scores(1, [0.4, 0.8], 30)))
    for content in (
        "",
        "[]",
        "{}",
        '{"run": "r1", "settings": 3}',
        '{"run": "other", "test_reads": 9, "settings": {}}',
    ):
        (folder / "manifest.json").write_text(content, encoding="utf-8")
        assert compare([folder]).reads == {}


def test_the_least_p_of_a_resampling_is_shown_as_a_bound(tmp_path: Path) -> None:
    test = np.array([np.zeros(60), np.ones(60), np.ones(60)])
    folder = write_run(tmp_path, findings(test, test))
    assert "≤ 0.0005" in shown(str(folder / "predictions.csv"))


# Words -----------------------------------------------------------------------------------------------------------


def test_graded_scores_get_better_or_worse_and_by_how_much(tmp_path: Path) -> None:
    base = np.full(30, 0.5)
    one = base + np.r_[np.full(12, 0.3), np.full(4, -0.2), np.full(9, 0.01), np.zeros(5)]
    folder = str(write_run(tmp_path, findings([base, one])))
    said = shown(folder)
    assert "12 better, 4 worse (by more than 5.0 points; 9 changed by less)" in said
    assert "fixed" not in said
    assert {flip.kind for flip in compare([folder]).changes.flips} == {"better", "worse"}  # type: ignore[union-attr]


def test_repeats_of_right_and_wrong_are_no_graded_scores(tmp_path: Path) -> None:
    rows = [("a", i, 0) for i in range(8)] * 2 + [("b", i, 1) for i in range(8)] + [("b", i, i % 2) for i in range(8)]
    path = tmp_path / "mine.csv"
    path.write_text("variant,example,score\n" + "".join(f"{v},{i},{s}\n" for v, i, s in rows), encoding="utf-8")
    assert "8 fixed, 0 broken" in shown(str(path))


def test_answers_again_make_no_more_rows(tmp_path: Path) -> None:
    once = [(f"e{k}", "yes" if k % 3 else "no", "yes") for k in range(12)]
    found = compare([answers(once * 2, tmp_path / "p.csv")])
    assert [(each.label, each.support) for each in found.classes] == [("no", 4), ("yes", 8)]
    assert "class by class on test, up to 2 answers a row" in shown(str(tmp_path / "p.csv"))
    assert "answers a row" not in shown(str(answers(once, tmp_path / "once.csv")))


def test_scores_of_a_judge_are_shown_behind_what_they_are_worth(tmp_path: Path) -> None:
    judge = {"judge": {"rubric": "Is the topic right?"}}
    search = {"propose": ["grid"], "allocate": "full", "budget": {"calls": 900}, "finalists": 1}
    run = mine(prepare(Experiment.load(project(tmp_path / "a", 24, metrics={"main": judge}, search=search))))
    said = shown(str(run.folder))
    line = "Judge small (`main`): no human scores to check it against (`human`): what it says is one model's opinion."
    assert said.startswith(line)
    (run.folder / "run.sqlite").unlink()
    assert shown(str(run.folder)).startswith("Judge of `main`: what it says is one model's opinion.")


def test_near_the_winner_rewritten_texts_are_told_apart_and_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, findings(scores(5, [0.4, 0.5, 0.6], 40)))
    start = "Read the message twice, name the topic that it is about and "
    table = pd.read_csv(folder / "results.csv")
    table["slot.tone"] = table["slot.tone"].map({"tone0": "plain", "tone1": f"{start}be kind", "tone2": f"{start}stop"})
    table["origin"] = table["status"].where(table["status"] == "baseline", "evolve")
    table.to_csv(folder / "results.csv", index=False)
    told = next(line for line in shown(str(folder)).splitlines() if line.startswith("tone = …"))
    other = table.iloc[1] if table["status"].iloc[1] != "baseline" else table.iloc[2]
    assert re.split(r"  +", told.rstrip())[-2:] == ["…stop", other["variant"]]
    assert told.startswith("tone = …be kind")


def test_texts_that_begin_alike_are_told_apart_from_where_they_part() -> None:
    start = "Read the message twice and name the topic that it is about"
    assert apart(f"{start}, kindly.", f"{start}. Be brief.") == ("…about, kindly.", "…about. Be brief.")
    assert apart("short", "long") == ("short", "long")
    assert apart("a" * 60 + "b", "a" * 60 + "c") == ("…b", "…c")
    assert apart(start, start) == (brief(start), brief(start))


# The gate ------------------------------------------------------------------------------------------------------------


def gate_of(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["compare", *args, "--gate"])
    return result.exit_code, (result.stdout.strip().splitlines() or [""])[-1] + result.stderr


def test_the_gate_of_two_runs_judges_the_pick_of_each(tmp_path: Path) -> None:
    test = scores(8, [0.3, 0.9], 150)
    worse = np.vstack([test[0], np.where(np.arange(150) < 40, 0.0, test[1])])
    main = str(write_run(tmp_path / "main", findings(test, test), "r1"))
    branch = str(write_run(tmp_path / "branch", findings(worse, worse), "r2"))
    pick = compare([main]).best[1]
    code, line = gate_of(main, branch, "--junit", str(tmp_path / "gate.xml"))
    assert code == 1
    assert line.startswith(f"Gate regressed (r2/{pick} against r1/{pick}, on test)")
    case = ET.parse(tmp_path / "gate.xml").find(".//testcase/failure")
    assert case is not None
    assert case.attrib["message"] in line
    assert gate_of(branch, main)[0] == 0, "the other way round it is better"
    code, line = gate_of(main, branch, "--variant", "baseline")
    assert code == 0
    assert "Gate passed" in line
    assert gate_of(main, branch, "--margin", ".99")[0] == 1, "worse for sure is worse, whatever the margin"


def test_the_gate_of_one_run_judges_its_pick_against_its_baseline(tmp_path: Path) -> None:
    test = np.array([np.arange(40) % 2 == 0, (np.arange(40) % 2 == 0) | (np.arange(40) == 1)], float)
    folder = str(write_run(tmp_path, findings(test)))
    base = rows_of_baseline(compare([folder]))
    code, line = gate_of(folder)
    assert code == 0
    assert "Gate undecided" in line
    assert f"against r1/{base}, on dev, where it was picked: these rows flatter it" in line
    assert gate_of(folder, "--strict")[0] == 1
    assert gate_of(folder, "--margin", ".99")[1].startswith("Gate passed")
    found = json.loads(CliRunner().invoke(app, ["compare", folder, "--gate", "--strict", "--json"]).stdout)
    assert found["gate"]["gate"]["verdict"] == "undecided"


def test_a_run_that_picks_its_baseline_passes_its_own_gate(tmp_path: Path) -> None:
    folder = str(write_run(tmp_path, findings(scores(8, [0.9, 0.3], 60), scores(9, [0.9, 0.3], 60))))
    code, line = gate_of(folder, "--strict", "--junit", str(tmp_path / "gate.xml"))
    assert code == 0
    assert " against " not in line
    assert line.endswith("the run's pick is its own baseline: there is no change to judge, keep the baseline")
    assert ET.parse(tmp_path / "gate.xml").find(".//testcase/failure") is None
    base = rows_of_baseline(compare([folder]))
    code, line = gate_of(folder, "--variant", base)
    assert (code, "would be compared with itself" in line) == (2, True), "asked for by name it is a mistake"


def test_a_gate_of_one_run_named_twice_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", findings(scores(8, [0.3, 0.9], 60)))
    code, line = gate_of(str(folder), str(folder / "results.csv"))
    assert code == 2
    assert "hold one and the same run: r1" in " ".join(line.split())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.sqlite").write_bytes(b"")
    code, line = gate_of(str(tmp_path / "b"), str(folder))
    assert (code, "of 2 runs only r1 can be read" in " ".join(line.split())) == (2, True)


def test_points_given_for_scores_are_no_margin(tmp_path: Path) -> None:
    folder = str(write_run(tmp_path / "a", findings(scores(8, [0.3, 0.9], 60))))
    code, line = gate_of(folder, "--margin", "5")
    assert code == 2
    assert "5 points are --margin 0.05" in " ".join(line.split())
    seconds = tmp_path / "seconds.csv"
    rows = [(v, i, 20.0 + i % 3 + (v == "b")) for v in "ab" for i in range(20)]
    seconds.write_text("variant,example,score\n" + "".join(f"{v},{i},{s}\n" for v, i, s in rows), encoding="utf-8")
    assert gate_of(str(seconds), "--margin", "5")[0] == 0, "other scores have their own unit"


def test_a_gate_that_has_nothing_to_judge_says_so(tmp_path: Path) -> None:
    found = findings(scores(1, [0.4, 0.8], 30))
    first = str(write_run(tmp_path / "a", found, "r1"))
    other = str(write_run(tmp_path / "b", found, "r2", label=lambda cell: f"other {cell}"))
    third = str(write_run(tmp_path / "c", found, "r3"))
    known = compare([first]).best[1]
    for args, said in (
        ((first, other), "share no scored rows"),
        ((first, other, third), "a gate compares one run or two, not 3"),
        ((first, "--variant", known[:-1] + "x"), f"Did you mean '{known}'"),
        ((first, "--variant", "baseline"), "would be compared with itself"),
    ):
        result = CliRunner().invoke(app, ["compare", *args, "--gate"])
        assert result.exit_code == 2, result.output
        assert said in result.stderr
    result = CliRunner().invoke(app, ["compare", first, "--strict"])
    assert (result.exit_code, "belong to --gate" in result.stderr) == (2, True)


def test_groups_and_weights_that_a_table_names_count(tmp_path: Path) -> None:
    """Five answers to a customer are one observation, not five; a row of weight 3 counts three times."""
    rng = np.random.default_rng(11)
    one = np.repeat(rng.integers(0, 2, 30), 5).astype(float)
    base = np.repeat(rng.integers(0, 2, 30), 5).astype(float)
    weight = np.where(np.arange(150) % 3 == 0, 3.0, 1.0)
    rows = [(v, i, int(s), f"g{i // 5}", weight[i]) for v, own in (("a", base), ("b", one)) for i, s in enumerate(own)]
    path = tmp_path / "mine.csv"
    lines = ["variant,example,score,group,weight", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    row = compare([path]).differences.iloc[0]
    gap = paired(one, base, 0, weight, groups=np.repeat(np.arange(30), 5))
    assert (row["delta"], row["low"], row["p"]) == pytest.approx((gap.delta, gap.low, gap.p))
    bare = paired(one, base, 0)
    assert row["high"] - row["low"] > 1.5 * (bare.high - bare.low)
    assert "one-sided 95 % bounds" in gate_of(str(path))[1]
