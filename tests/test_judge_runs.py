"""Whole runs with judges, and the split of few rows: what is asked, what it counts for, what is said."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

from project import project

from promptlab.forecast import forecast
from promptlab.prepare import opened
from promptlab.run import mine
from promptlab.verdict import verdict

SEARCH = {"propose": ["grid"], "allocate": "full", "budget": {"calls": 2000}, "finalists": 2}
SMALL = {"tone": ["short", "long"], "place": ["first"]}
WHOLE = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id"}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_pairwise_judge_pays_for_no_answer_twice_and_is_counted_in_plan_and_budget(tmp_path: Path) -> None:
    metrics = {"better": {"pairwise": {"rubric": "Right.", "with_label": True}}, "main": "exact"}
    path = project(tmp_path, rows=40, metrics=metrics, space=SMALL, search={**SEARCH, "objective": "better"})
    plan = forecast(opened(path))
    assert (plan.search_calls, plan.test_calls) == (2 * 20 * 3, 2 * 20 * 3)
    run = mine(opened(path))
    counts = Counter(call.purpose for row in run.findings.search.predictions for call in row.calls)
    taken = json.loads((run.folder / "manifest.json").read_text())["calls_by_purpose"]
    assert taken["answer"] == 2 * 20 + 2 * 20  # dev and test, each variant's own
    assert counts["answer"] == 2 * 20
    assert counts["judge"] > 20  # the baseline's answers among them, at no cost
    baseline, other = (next(r for r in run.rows if (r["status"] == "baseline") is own) for own in (True, False))
    assert baseline["dev_score"] == 0.5
    assert other["status"] != "winner"
    assert verdict(run.findings, run.rows)[0].startswith("Judge small (`better`): no human scores to check it against")


def test_a_budget_is_kept_with_judges_in_it(tmp_path: Path) -> None:
    metrics = {"good": {"judge": {"rubric": "Right.", "with_label": True}}}
    search = {**SEARCH, "budget": {"calls": 200}, "allocate": "halving"}
    run = mine(opened(project(tmp_path, rows=40, metrics=metrics, search=search)))
    taken = json.loads((run.folder / "manifest.json").read_text())
    assert taken["calls"] <= 200
    assert len(run.findings.test) == 3 * 20


def people(run: Any, path: Path) -> None:
    """predictions.csv with a column more: what people gave each output, by its label."""
    rows = [
        {**row, "human": 5 if row["answer"] == row["label"] else 1} for row in table(run.folder / "predictions.csv")
    ]
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


TOLD = """---
inputs: [message]
choices:
  told: [nothing, labels]
---
{% system %}{% if told == "labels" %}Answer with one of: {{ labels | join(", ") }}. Only the label.{% else %}Say what \
it is about.{% endif %}{% endsystem %}
{% user %}{{ message }}{% enduser %}
"""


def judged_project(folder: Path, judge: dict[str, Any]) -> Path:
    more = {
        "metrics": {"good": {"judge": judge}},
        "baseline": {"template": "t", "told": "nothing"},
        "search": {**SEARCH, "objective": "good"},
    }
    path = project(folder, rows=160, answer="text", **more)
    (folder / "t.j2").write_text(TOLD)
    return path


def test_with_people_s_scores_a_judge_s_pick_may_win(tmp_path: Path) -> None:
    judge: dict[str, Any] = {"rubric": "Right.", "with_label": True}
    run = mine(opened(judged_project(tmp_path, judge)))
    row = run.rows[0]
    assert (row["status"], row["delta"] > 0, row["p_adjusted"] < 0.05) == ("tied", True, True)
    assert verdict(run.findings, run.rows)[1].startswith(f"Preferred by small: {row['variant']}")
    people(run, tmp_path / "human.csv")
    again = mine(opened(judged_project(tmp_path, {**judge, "human": "human.csv"})))
    first, second, *_ = verdict(again.findings, again.rows)
    assert first.startswith("Judge small (`good`): kappa ")
    assert second.startswith("Winner: ")
    assert {each["status"] for each in again.rows} == {"winner", "baseline"}


def test_few_rows_and_a_fixed_space_need_no_test_unless_one_is_asked_for(tmp_path: Path) -> None:
    prepared = opened(project(tmp_path, data=WHOLE))
    assert (len(prepared.rows.dev), len(prepared.rows.test)) == (60, 0)
    assert "60 rows are fewer than 300" in prepared.rows.notes[0]
    mine(prepared)
    assert {row["split"] for row in table(tmp_path / "splits.csv")} == {"dev"}
    grown = opened(project(tmp_path, rows=320, data=WHOLE))
    assert len(grown.rows.test) > 0
    seen = {f"m{k}" for k in range(60)}
    assert not seen & {each.id for each in grown.rows.test}, "a row that decided is held out later"


def test_a_search_that_adapts_or_drops_keeps_its_test(tmp_path: Path) -> None:
    for search in ({**SEARCH, "allocate": "halving"}, {**SEARCH, "propose": ["grid", "format"]}):
        assert len(opened(project(tmp_path, data=WHOLE, search=search)).rows.test) == 30
    data = {**WHOLE, "split": {"dev": 0.5, "test": 0.5}}
    assert len(opened(project(tmp_path, data=data)).rows.test) == 30
