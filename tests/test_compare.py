"""Runs side by side: what is read back, what is paired with what, and what is said."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from findings import NAN, findings
from typer.testing import CliRunner

from promptlab.cli import app
from promptlab.comparison import Comparison, compare
from promptlab.errors import BadInput
from promptlab.predictions import prediction_columns, prediction_rows
from promptlab.results import Findings, columns, fold, further_metrics
from promptlab.stats import mcnemar_midp, paired
from promptlab.ties import max_t
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
    assert len(alone.leaderboard) == 0
    pd.testing.assert_frame_equal(alone.differences, whole.differences)


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
        assert rows[ids[v]]["p_adjusted"] >= rows[ids[v]]["p"]


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
    assert found.leaderboard["test_score"].is_monotonic_decreasing
    rows = found.differences[(found.differences["split"] == "test") & (found.differences["run"] == "r2")]
    assert set(rows["n"]) == {30}
    same = rows[rows["variant"] == rows["against"]]
    assert list(same["delta"]) == [0.0], "the other run's baseline against this one's"
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
    rows = [(f"e{k}", "yes" if k % 2 else "no", "yes") for k in range(20)]
    found = json.loads(shown(str(answers(rows, tmp_path / "p.csv")), "--json"), parse_constant=refuse)
    assert found["classes"][0] == {"label": "no", "precision": None, "recall": 0.0, "f1": 0.0, "support": 10}
    assert found["majority"] == ["no", 0.5]


def test_data_on_the_terminal_is_text_never_markup_or_control(tmp_path: Path) -> None:
    rows = [(f"e{k}", "[red]no[/red]" if k % 2 else "a\x1b[31m\nb", "[red]no[/red]") for k in range(20)]
    text = shown(str(answers(rows, tmp_path / "p.csv")))
    assert "[red]no[/red]" in text
    assert "\x1b" not in text
