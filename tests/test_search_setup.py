"""From the experiment's `search` to what proposers and the door get: checked before anything is spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from project import TEMPLATE, project

from promptlab.admit import admit
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.prepare import Prepared, prepare

OPEN = TEMPLATE.replace(
    "Answer with one of:", "{% choice task open %}{% option plain %}Sort it.{% endchoice %} Answer with one of:"
)
SPLIT = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id"}
TRAIN = {**SPLIT, "split": {"train": 0.2, "dev": 0.4, "test": 0.4}}
BUDGET = {"budget": {"calls": 2000}}


def made(folder: Path, template: str = OPEN, *overrides: str, **changes: Any) -> Prepared:
    path = project(folder, **changes)
    (folder / "t.j2").write_text(template, encoding="utf-8")
    return prepare(Experiment.load(path, overrides))


def test_proposers_that_find_nothing_to_rewrite_are_told_before_the_first_call(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        made(tmp_path, TEMPLATE, search={"propose": {"grid": 1, "paraphrase": 2, "reflect": 1}, **BUDGET})
    told = [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems]
    assert [each.partition(": ")[2].partition(",")[0] for each in told] == [
        "`paraphrase` rewrites open choices",
        "`reflect` rewrites open choices",
    ]
    assert told[0].endswith("Mark a choice of a template as open: {% choice NAME open %}.")
    assert told[0].startswith("experiment.yaml:")


def test_proposers_that_learn_from_rows_need_some_that_are_not_scored(tmp_path: Path) -> None:
    search = {"propose": ["induce"], **BUDGET}
    with pytest.raises(BadInput) as caught:
        made(tmp_path / "none", search=search)
    assert "`induce` learns from rows that are not scored, and there is neither a train split nor a bank" in str(
        caught.value
    )
    assert made(tmp_path / "train", search=search, data=TRAIN).view().train


@pytest.mark.parametrize("propose", [["grid", {"random": {"odd": 1}}], {"grid": 2, "random": {"share": 1, "odd": 1}}])
def test_a_wrong_option_is_told_where_it_stands(propose: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        made(tmp_path, search={"propose": propose, **BUDGET})
    [problem] = caught.value.problems
    assert "'odd'" in str(problem)
    line = (tmp_path / "experiment.yaml").read_text().splitlines()[problem.line - 1]
    assert "random" in line


@pytest.mark.parametrize(("propose", "seats"), [(["grid"], 5), (["random", "grid"], 5), (["grid", "paraphrase"], 9)])
def test_seats_are_kept_for_texts_that_are_not_written_yet(propose: list[str], seats: int, tmp_path: Path) -> None:
    """Six points with the baseline have five finalists; where proposers write more, as many as the experiment says."""
    prepared = made(tmp_path, search={"propose": propose, "finalists": 9, **BUDGET})
    assert prepared.space.size == 6
    assert prepared.seats == prepared.view().finalists == seats


def test_the_view_has_the_meta_model_the_bank_and_answers(tmp_path: Path) -> None:
    shows = OPEN.replace(
        "{% user %}", "{% for d in demos %}{% user %}{{ d.message }}{% enduser %}{% endfor %}{% user %}"
    )
    prepared = made(tmp_path, shows, "search.meta={id: writer}", bank={"from": "train", "k": [0]}, data=TRAIN)
    view = prepared.view()
    assert view.meta is not None
    assert (view.meta.id, view.meta.endpoint.embedded) == ("writer", True)
    assert view.bank is prepared.task.bank
    assert view.answers is not None
    assert view.answers.shape == view.scores.shape
    assert view.predict is not None
    request = next(view.predict(view.variants[0], view.train[0]))
    assert view.train[0].inputs["message"] in str(request.body)  # type: ignore[union-attr]


def test_the_door_of_an_experiment_knows_dev_and_test_and_lets_labels_and_train_be_told(tmp_path: Path) -> None:
    prepared = made(tmp_path, data=TRAIN)
    view, base = prepared.view(), prepared.baseline
    rows = prepared.rows
    cases = {
        f"Sort it, like: {rows.dev[0].inputs['message']}": "leak",
        f"Sort it, like: {rows.test[0].inputs['message']}": "leak",
        f"Sort it, like: {rows.train[0].inputs['message']}": "",
        "Sort it into billing, delivery or access.": "",
    }
    for text, reason in cases.items():
        variant = view.space.rewritten(base, "task", text, "p")
        assert "".join(admit(view, [variant], prepared.door).refused) == reason, text


def test_what_train_demos_and_labels_say_as_well_is_no_secret(tmp_path: Path) -> None:
    words = "please tell me where my parcel is right now"
    told = {"train": f"hello there, {words}, thank you", "dev": f"{words} or else", "test": f"so {words} then"}
    described = "somebody wants to know what they will pay for a lamp"
    for name, text in told.items():
        rows = [{"message": text, "topic": "access"}, {"message": f"{described} in {name}", "topic": "billing"}]
        rows.append({"message": f"one more of the kind that only {name} has got", "topic": "access"})
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    (tmp_path / "labels.yaml").write_text(f"billing: {described}\naccess:\n")
    files = {name: f"{name}.jsonl" for name in told}
    data = {"path": files, "inputs": ["message"], "label": "topic", "labels": "labels.yaml"}
    prepared = made(tmp_path, data=data)
    view = prepared.view()
    cases = {
        f"Sort, like: {words}": "",
        f"Sort, like: {described}": "",
        "Sort, like: one more of the kind that only test has": "leak",
        "Sort, like: one more of the kind that only dev has": "leak",
        "Sort, like: one more of the kind that only train has": "",
    }
    for text, reason in cases.items():
        variant = view.space.rewritten(prepared.baseline, "task", text, "p")
        assert "".join(admit(view, [variant], prepared.door).refused) == reason, text
    bare = prepare(Experiment.load(tmp_path, ["data.path.train="]))
    variant = view.space.rewritten(prepared.baseline, "task", f"Sort, like: {words}", "p")
    assert "".join(admit(view, [variant], bare.door).refused) == "leak"
