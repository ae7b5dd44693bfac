"""Held-out rows in what training rows show: an error in demos and templates, a counted note in passages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from project import TEMPLATE, project

from promptlab.errors import BadInput
from promptlab.prepare import opened
from promptlab.records import Example, Message, Passage
from promptlab.tune.plan import TunePlan, plan
from promptlab.tune.rows import TrainingRow
from promptlab.tune.seen import given_away, index, leaks, saying
from promptlab.tune.settings import TuneSettings

QUESTION = "How cold may my Belgian cellar get?"
HELD = Example("t1", {"question": QUESTION}, ("5 °C", "five degrees"), row=4)
TRAINED = Example("a1", {"question": "Which fuse is in the plug?"}, "the red one", row=2)


def shown(*passages: str, prompt: str = "") -> TrainingRow:
    """A training row that shows passages, and something else before its question."""
    found = tuple(Passage(f"p{k}", text) for k, text in enumerate(passages))
    asked = "\n".join((*passages, prompt, TRAINED.inputs["question"]))
    return TrainingRow("a1", (Message("user", asked), Message("assistant", "the red one")), 1.0, TRAINED, found)


def away(*passages: str, held: Example = HELD) -> dict[str, list[str]]:
    return given_away([shown(*passages)], index({"test": [held]}, [TRAINED]))


def test_a_passage_with_a_held_out_question_and_its_answer_is_told_with_both_names() -> None:
    found = away("Of cellars.", f"FAQ. {QUESTION.upper()}! Down to five degrees, we say.")
    assert found == {"p1": ["test row 4"]}
    (told,) = saying(found)
    assert "1 passage holds a question of dev or test together with its answer (p1: test row 4)" in told
    assert "learned by heart" in told
    assert saying({}) == []
    (many,) = saying({f"p{k}": ["test row 4"] for k in range(5)})
    assert "5 passages hold a question" in many
    assert "p2: test row 4; …)" in many


def test_the_question_alone_the_answer_alone_and_what_is_short_or_in_train_as_well_are_the_corpus() -> None:
    assert away(f"FAQ. {QUESTION} Ask your dealer.") == {}
    assert away("Cellars may get as cold as five degrees.") == {}
    assert away("Too cold? 5 °C", held=Example("t1", {"question": "Too cold?"}, "5 °C")) == {}
    same = {"question": "which fuse is in the plug"}
    assert away("Which fuse is in the plug? the red one", held=Example("t1", same, "the red one")) == {}


def test_what_many_rows_say_is_nobodys_secret() -> None:
    rows = [Example(f"t{k}", {"system": "You are kind and brief", "q": f"q{k}"}, "yes") for k in range(5)]
    text = "You are kind and brief. yes"
    assert given_away([shown(text)], index({"dev": rows}, [])) == {}
    assert given_away([shown(text)], index({"dev": rows[:2]}, [])) == {"p0": ["dev row t0", "dev row t1"]}


def test_a_held_out_row_anywhere_else_in_the_prompt_is_an_error_once_and_in_passages_it_is_none() -> None:
    secret = index({"test": [HELD]}, [TRAINED])
    (problem,) = leaks([shown(prompt=f"Example: {QUESTION}"), shown(prompt=f"Example: {QUESTION}")], secret)
    assert "training row 2 shows the test row 4, and not in a passage: 'how cold may my belgian cellar" in str(problem)
    assert "demos or the template" in problem.remedy
    assert leaks([shown(f"FAQ. {QUESTION} 5 °C")], secret) == []
    cut = TrainingRow(
        "a1", (Message("user", f"FAQ {QUESTION}"),) * 2, 1.0, TRAINED, (Passage("p", f"FAQ.  {QUESTION}"),)
    )
    assert leaks([cut], secret) == [], "a template may show a passage otherwise than it is written"


def test_short_inputs_do_not_hide_the_rest_of_the_prompt_and_a_rows_own_input_may_quote() -> None:
    short = Example("a1", {"language": "e", "question": "Which fuse?"}, "red")
    row = TrainingRow("a1", (Message("user", QUESTION), Message("assistant", "red")), 1.0, short)
    secret = index({"test": [HELD]}, [short])
    assert len(leaks([row], secret)) == 1
    quoting = Example("a1", {"question": f"You wrote: {QUESTION} Why?"}, "red")
    own = TrainingRow("a1", (Message("user", quoting.inputs["question"]), Message("assistant", "red")), 1.0, quoting)
    assert leaks([own], secret) == []


def planned(folder: Path, template: str, **changes: Any) -> TunePlan:
    data = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id",
            "split": {"train": 0.5, "dev": 0.25, "test": 0.25}, **changes}  # fmt: skip
    path = project(folder, 40, data=data)
    (folder / "t.j2").write_text(template, encoding="utf-8")
    return plan(opened(path), TuneSettings())


def test_a_plan_stops_at_a_template_with_a_test_row_and_goes_on_with_a_note_of_the_corpus(tmp_path: Path) -> None:
    path = project(tmp_path / "a", 40, data={"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id",
                                             "split": {"train": 0.5, "dev": 0.25, "test": 0.25}})  # fmt: skip
    held = opened(path).rows.test[0]
    said = held.inputs["message"]
    with pytest.raises(BadInput, match=f"shows the test row {held.row}, and not in a passage"):
        planned(tmp_path / "b", TEMPLATE.replace("{% user %}", f"{{% user %}}Like this: {said}\n", 1))
    rows = [json.loads(line) for line in (tmp_path / "a/data.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["found"] = json.dumps([f"Q: {said} A: {held.label}" if row["id"] != held.id else "nothing here"])
    folder = tmp_path / "c"
    project(folder, 40)
    (folder / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    reading = TEMPLATE.replace("{{ message }}", "{% for p in passages %}{{ p.text }} {% endfor %}{{ message }}")
    laid = planned(folder, reading, path="rows.jsonl", passages="found")
    (note,) = [each for each in laid.notes if "together with its answer" in each]
    assert f"test row {held.row}" in note
