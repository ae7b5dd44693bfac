"""Train/serve skew: a tuned model is asked by the very prompts that it was taught, or not at all."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import TEMPLATE, project

from promptlab.admit import admit
from promptlab.check_skew import check_skew
from promptlab.embedded.tuned import SHELF
from promptlab.errors import BadInput
from promptlab.forecast import forecast
from promptlab.prepare import Prepared, opened
from promptlab.records import Example, Variant
from promptlab.refusals import refusals
from promptlab.run import load_run, mine
from promptlab.tune import formats
from promptlab.tune.plan import plan
from promptlab.tune.rows import training
from promptlab.tune.settings import TuneSettings
from promptlab.tune.skew import content, skew, taught
from promptlab.tune.tune import tune

SPLIT = {"train": 0.5, "dev": 0.25, "test": 0.25}
DATA = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id", "split": SPLIT}
TUNE = {"trainer": "openai", "epochs": 1}
NAME = "tuned-small-s1-n40"
BOTH = f"models=[small, {NAME}]"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose model was tuned on the baseline's prompts."""
    path = project(tmp_path_factory.mktemp("trained"), 80, data=DATA, tune=TUNE, baseline={"tone": "long"})
    ready = opened(path)
    assert ready.experiment.tune is not None
    (model,) = tune(ready, ready.experiment.tune, yes=True)
    assert model.model.name == NAME
    yield path
    SHELF.clear()


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """The same in a folder that a test may change."""
    return shutil.copytree(trained.parent, tmp_path / "own") / trained.name


def asked(path: Path) -> int:
    """Calls of all runs."""
    total = 0
    for log in path.parent.glob("runs/*/run.sqlite"):
        with closing(sqlite3.connect(log)) as db:
            total += int(db.execute("select count(*) from calls").fetchone()[0])
    return total


def older(kept: Path) -> None:
    """A taught.json as it was written before rows were marked and kept."""
    value = json.loads(kept.read_text(encoding="utf-8"))
    del value["marks"], value["sketches"]
    for each in value["compared"]:
        del each["inputs"], each["passages"], each["row"]
    kept.write_text(json.dumps(value), encoding="utf-8")


def asking(ready: Prepared, **slots: Any) -> Variant:
    return ready.space.variant({**ready.baseline.slots, "model": NAME, **slots}, "test")


@given(st.lists(st.tuples(st.text(min_size=1), st.sampled_from(["billing", "delivery", "access"])), min_size=1))
def test_what_is_compared_is_what_was_trained_on_for_any_data(pairs: list[tuple[str, str]]) -> None:
    ready = KEPT["ready"]
    rows = training(
        ready.task,
        ready.baseline,
        [Example(f"e{k}", {"message": text}, label) for k, (text, label) in enumerate(pairs)],
    )
    written = json.loads(content(ready.baseline, rows))
    assert written["examples"] == [row.example_id for row in rows]
    chats = dict(zip(written["examples"], formats.chat(rows).decode().splitlines(), strict=True))
    for each in written["compared"]:
        *prompt, answer = json.loads(chats[each["example"]])["messages"]
        assert each["messages"] == prompt
        assert answer["content"] == pairs[int(each["example"][1:])][1]
    path = KEPT["folder"] / "taught.json"
    path.write_bytes(content(ready.baseline, rows))
    known = taught(path)
    assert known is not None
    assert len(known.rows) == min(8, len(rows))
    examples = {row.example_id: row.example for row in rows if row.example is not None}
    assert skew(ready.task, ready.baseline, known, examples) == ""
    other = ready.space.variant({**ready.baseline.slots, "tone": "kind"}, "test")
    assert "message 1 (system) differs: it says" in skew(ready.task, other, known, examples)


KEPT: dict[str, Any] = {}


@pytest.fixture(scope="module", autouse=True)
def _kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    KEPT["folder"] = tmp_path_factory.mktemp("kept")
    KEPT["ready"] = opened(project(KEPT["folder"], 80, data=DATA))


def test_the_door_turns_a_skewed_variant_away_and_says_what_differs(trained: Path) -> None:
    ready = opened(trained, [BOTH])
    plain = ready.space.variant({**ready.baseline.slots, "tone": "kind"}, "test")
    found = admit(ready.view(), [asking(ready), asking(ready, tone="kind"), asking(ready, tone="short"), plain],
                  ready.door)  # fmt: skip
    assert [each.slots["tone"] for each in found.admitted] == ["long", "kind"], "models that are not tuned are free"
    assert found.refused["skew"]["count"] == 2
    said = found.refused["skew"]["example"]
    assert "message 1 (system) differs: it says 'Answer with one of" in said
    assert "'Read the message with care." in said
    assert any("skew" in line or "taught" in line for line in refusals(found.refused))


def test_an_ensemble_is_as_skewed_as_its_members(trained: Path) -> None:
    ready = opened(trained, [BOTH])
    vote = replace(asking(ready), members=(asking(ready), asking(ready, tone="kind")))
    assert "message 1" in ready.skews.of(vote)
    assert ready.skews.of(replace(vote, members=(asking(ready), ready.baseline))) == ""


def test_only_the_taught_prompt_of_a_tuned_model_is_mined_and_the_log_alone_says_so_too(own: Path) -> None:
    done = mine(opened(own, [BOTH]))
    tuned = [each for each in done.findings.search.view.variants if each.slots["model"] == NAME]
    assert {(each.slots["tone"], each.slots["place"]) for each in tuned} == {("long", "first")}
    assert done.findings.search.refused["skew"]["count"] == 5
    assert len(done.findings.search.view.variants) == 7
    shutil.rmtree(own.parent / "runs/tune")
    again = load_run(done.folder)
    assert [each.id for each in again.findings.search.view.variants] == [
        each.id for each in done.findings.search.view.variants
    ]


def test_a_baseline_that_asks_otherwise_is_bad_input_before_anything_is_spent(own: Path) -> None:
    ready = opened(own, [f"models=[{NAME}]", "baseline={tone: kind}"])
    with pytest.raises(BadInput) as caught:
        mine(ready)
    (problem,) = caught.value.problems
    assert f"the baseline asks {NAME} otherwise than it was taught: message 1 (system) differs" in problem.message
    assert "It was taught {template: t, tone: long, place: first}: say so in `baseline`" in problem.remedy
    assert "`tune.variant`" in problem.remedy
    assert asked(own) == 0


def test_a_space_without_the_taught_prompt_is_bad_input(trained: Path) -> None:
    ready = opened(trained, [BOTH, "space={tone: [kind, short]}"])
    with pytest.raises(BadInput, match=f"no variant of the space asks {NAME} as it was taught") as caught:
        forecast(ready)
    assert "`tune.variant`" in caught.value.problems[0].remedy
    assert "promptlab tune" in caught.value.problems[0].remedy
    without = opened(trained, [BOTH, "space={tone: [kind, short], model: small}", "baseline={tone: kind}"])
    assert check_skew(without.experiment, without.space, without.baseline, without.skews) == [], "nobody asks it"


def test_models_that_were_taught_otherwise_are_told_apart(trained: Path) -> None:
    ready = opened(trained, [BOTH])
    known = ready.skews.taught[NAME]
    name, mark, asked = known.rows[0]
    other = replace(known, rows=((name, mark, asked[1:]),))
    both = replace(ready.skews, taught={NAME: known, "small": other})
    found = [both.of(ready.space.variant({**ready.baseline.slots, "model": each}, "x")) for each in (NAME, "small")]
    assert found[0] == ""
    assert found[1].startswith("it sends 2 messages, and 1 were taught (on the training row ")


def test_what_was_taught_may_be_sent_by_other_choices_now(own: Path) -> None:
    swapped = TEMPLATE.replace('"long"', '"x"').replace('"kind"', '"long"').replace('"x"', '"kind"')
    (own.parent / "t.j2").write_text(swapped, encoding="utf-8")
    ready = opened(own, [BOTH])
    assert ready.skewed == []
    assert ready.skews.of(asking(ready, tone="kind")) == ""
    assert ready.skews.of(asking(ready, tone="long")) != ""


def test_another_template_that_sends_the_same_is_not_skewed(own: Path) -> None:
    (own.parent / "u.j2").write_text(TEMPLATE, encoding="utf-8")
    ready = opened(own, [BOTH, "templates=[u.j2]"])
    assert ready.skews.of(asking(ready)) == ""
    assert forecast(ready).search_calls > 0


def test_a_template_that_was_edited_after_training_is_caught_and_training_again_mends_it(own: Path) -> None:
    template = own.parent / "t.j2"
    template.write_text(TEMPLATE.replace("Read the message", "Look at the message"), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        mine(opened(own, [BOTH]))
    (problem,) = caught.value.problems
    assert "it says 'Look at the message" in problem.message
    assert "edited since: undo that, or train it on what stands there now: promptlab tune" in problem.remedy
    assert asked(own) == 0
    ready = opened(own, [BOTH])
    assert ready.experiment.tune is not None
    tune(ready, ready.experiment.tune, yes=True)
    assert forecast(opened(own, [BOTH])).search_calls > 0


def test_demos_that_were_not_taught_are_told_as_more_messages(tmp_path: Path) -> None:
    demos = [{"message": f"my kettle number {k} makes a noise like the sea", "topic": "access"} for k in range(4)]
    (tmp_path / "bank.jsonl").write_text("".join(json.dumps(each) + "\n" for each in demos), encoding="utf-8")
    path = project(tmp_path, 80, data=DATA, bank={"from": "bank.jsonl", "k": [0, 2], "select": ["random"]})
    shown = "{% for demo in demos %}{% user %}{{ demo.message }}{% enduser %}{% endfor %}{% user %}"
    (tmp_path / "t.j2").write_text(TEMPLATE.replace("{% user %}", shown, 1), encoding="utf-8")
    ready = opened(path)
    (job,) = plan(ready, TuneSettings()).jobs
    job.write()
    known = taught(job.folder / "taught.json")
    assert known is not None
    examples = {each.id: each for each in ready.rows.train}
    some = next(ready.space.variant(p, "test") for p in ready.space.points() if p["bank.k"] == 2)
    assert "it sends 4 messages, and 2 were taught" in skew(ready.task, some, known, examples)


def test_rows_that_were_edited_since_are_compared_as_they_were_and_what_is_not_known_is_told(own: Path) -> None:
    ready = opened(own, [BOTH])
    known = ready.skews.taught[NAME]
    train = {each.id: replace(each, inputs={"message": "edited"}) for each in ready.rows.train}
    assert list(known.known(train)) == []
    assert not any("is not checked" in note for note in ready.rows.notes)
    data = own.parent / "data.jsonl"
    whole = data.read_text(encoding="utf-8")
    (kept,) = own.parent.glob("runs/tune/*/taught.json")
    data.write_text(whole.replace(", case", ", as case"), encoding="utf-8")
    edited = opened(own, [BOTH])
    assert edited.skews.unknown == ()
    assert edited.skews.of(asking(edited)) == ""
    assert "message 1 (system) differs" in edited.skews.of(asking(edited, tone="kind"))
    older(kept)
    old = opened(own, [BOTH])
    assert old.skews.unknown == (NAME,), "older files keep no row, and none is left to compare"
    assert any("whether it is asked as it was trained is not checked" in note for note in old.rows.notes)
    data.write_text(whole, encoding="utf-8")
    for damage in ("{", '{"slots": 3}', "[]"):
        kept.write_text(damage, encoding="utf-8")
        assert taught(kept) is None
    blind = opened(own, [BOTH])
    assert sum(f"what {NAME} was taught is not known here" in note for note in blind.rows.notes) == 1
    assert blind.skews.of(asking(blind, tone="kind")) == ""


def test_of_pairs_the_examples_stand_in_the_order_of_the_file_as_well(tmp_path: Path) -> None:
    """DPO trains on rows with a recorded wrong answer alone, and on some of them twice."""
    path = project(tmp_path, 80, data=DATA)
    train = opened(path).rows.train[:12]
    (tmp_path / "runs/r1").mkdir(parents=True)
    (tmp_path / "runs/r1/run.sqlite").touch()
    wrong = [(each, other) for each in train for other in ("billing", "delivery", "access") if other != each.label]
    lines = [f"{each.id},train,{each.label},{other},0.0,ok" for each, other in wrong[:18]]
    table = "example,split,label,answer,score,status\n" + "\n".join(lines) + "\n"
    (tmp_path / "runs/r1/predictions.csv").write_text(table, encoding="utf-8")
    ready = opened(path)
    (job,) = plan(ready, TuneSettings(method="dpo")).jobs
    pairs = [json.loads(line)["input"]["messages"] for line in job.texts["train.jsonl"].splitlines()]
    names = json.loads(job.texts["taught.json"])["examples"]
    assert len(set(names)) < len(names) == len(pairs)
    examples = {each.id: each for each in ready.rows.train}
    for name, prompt in zip(names, pairs, strict=True):
        assert prompt[-1]["content"] == examples[name].inputs["message"]
    job.write()
    known = taught(job.folder / "taught.json")
    assert known is not None
    assert skew(ready.task, ready.baseline, known, examples) == ""
