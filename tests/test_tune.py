"""Training rows, files, sizes, checks and cost: what is laid down before any trainer sees it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import TEMPLATE, project

from promptlab.errors import BadInput
from promptlab.prepare import Prepared, opened
from promptlab.records import Example, Message, Price
from promptlab.tune import formats
from promptlab.tune.cost import estimate
from promptlab.tune.plan import plan, taught
from promptlab.tune.rows import TrainingRow, target, training
from promptlab.tune.settings import TunePrice, TuneSettings
from promptlab.tune.sizes import cut, ordered
from promptlab.tune.validate import LIMITS, Limits, distinct, notes, problems
from promptlab.tune.wrong import recorded

SPLIT = {"train": 0.5, "dev": 0.25, "test": 0.25}


def prepared(folder: Path, rows: int = 80, **changes: Any) -> Prepared:
    data = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id", "split": SPLIT}
    return opened(project(folder, rows, data=data, **changes))


def row(name: str, text: str, answer: str = "a", weight: float = 1.0, **inputs: Any) -> TrainingRow:
    example = Example(name, {"message": text, **inputs}, answer)
    return TrainingRow(name, (Message("user", text), Message("assistant", answer)), weight, example)


def lines(content: bytes) -> list[Any]:
    return [json.loads(each) for each in content.decode("ascii").splitlines()]


def test_a_training_row_is_the_very_prompt_of_inference_and_the_right_answer(tmp_path: Path) -> None:
    ready = prepared(tmp_path)
    for variant in (ready.baseline, ready.space.variant(ready.space.point(5), "other")):
        made = training(ready.task, variant, ready.rows.train)
        assert len(made) == len(ready.rows.train)
        for example, each in zip(ready.rows.train, made, strict=True):
            prompt = ready.task.prompt(variant)
            assert each.prompt == prompt.messages(example)
            assert each.messages[-1] == Message("assistant", example.label)


@pytest.mark.parametrize(
    ("word", "answer", "text"),
    [
        ("label", "billing", "billing"),
        ("json:result.intent", "billing", '{"result": {"intent": "billing"}}'),
        ("json", {"a": [1, "é"]}, '{"a": [1, "é"]}'),
        ("number", 12, "12"),
        ("labels", ["a", "b"], "a, b"),
    ],
)
def test_answers_are_taught_in_the_form_that_the_parser_reads(word: str, answer: Any, text: str) -> None:
    assert target(word, answer) == text


def test_a_template_whose_parser_would_not_read_the_answer_back_cannot_be_taught(tmp_path: Path) -> None:
    ready = prepared(tmp_path, answer="regex:Label=(\\w+)")
    with pytest.raises(BadInput, match=r"'(billing|delivery|access)' would not be read back by `answer: regex"):
        training(ready.task, ready.baseline, ready.rows.train)


def test_unlabelled_rows_are_named(tmp_path: Path) -> None:
    ready = prepared(tmp_path)
    some = [replace(each, label=None) if place in (1, 3) else each for place, each in enumerate(ready.rows.train[:5])]
    with pytest.raises(BadInput) as caught:
        training(ready.task, ready.baseline, some)
    assert [each.message for each in caught.value.problems] == [
        f"training row {some[place].row}: it has no label" for place in (1, 3)
    ]


@given(st.lists(st.sampled_from("aaabbc"), min_size=4, max_size=60), st.integers(0, 5), st.data())
def test_sizes_are_nested_and_stratified(labels: list[str], seed: int, data: st.DataObject) -> None:
    rows = [row(f"r{place}", f"text {place}", label) for place, label in enumerate(labels)]
    order = ordered(rows, seed)
    assert sorted(each.example_id for each in order) == sorted(each.example_id for each in rows)
    assert ordered(rows[::-1], seed) == order, "the order of the file plays no part"
    small, large = sorted(data.draw(st.tuples(st.integers(1, len(rows)), st.integers(1, len(rows)))))
    some, rest = cut(order, small)
    ids = [{each.example_id for each in part} for part in (some, rest, cut(order, large)[0])]
    assert ids[0] <= ids[2]
    assert not ids[0] & ids[1]
    if 2 * len(set(labels)) <= len(labels):
        for label in set(labels):
            share = labels.count(label) * small / len(labels)
            assert abs(sum(each.answer == label for each in some) - share) <= 1


def test_seeds_draw_other_rows(tmp_path: Path) -> None:
    rows = [row(f"r{place}", f"text {place}", "ab"[place % 2]) for place in range(40)]
    assert {each.example_id for each in cut(ordered(rows, 1), 10)[0]} != {
        each.example_id for each in cut(ordered(rows, 2), 10)[0]
    }


HOSTILE = 'line\u2028end "quote" {{ x }} \x00 é'


def test_the_formats_are_what_openai_and_trl_read() -> None:
    demo = (Message("system", "s"), Message("user", "q"), Message("assistant", "no"), Message("user", HOSTILE))
    rows = [TrainingRow("r1", (*demo, Message("assistant", "yes"))), row("r2", "plain", "no", weight=0)]
    first, second = lines(formats.chat(rows))
    assert first["messages"][3] == {"role": "user", "content": HOSTILE}
    assert [each.get("weight") for each in first["messages"]] == [None, None, 0, None, 1], "demos are not taught"
    assert second["messages"][-1] == {"role": "assistant", "content": "no", "weight": 0}
    (only,) = lines(formats.prompt_completion(rows))
    assert [each["role"] for each in only["prompt"]] == ["system", "user", "assistant", "user"]
    assert only["completion"] == [{"role": "assistant", "content": "yes"}]
    wrong = {"r1": ["no", "yes ", "no", "maybe", " "], "r2": ["yes"]}
    pairs = lines(formats.dpo(rows, wrong))
    assert [each["non_preferred_output"][0]["content"] for each in pairs] == ["no", "maybe"]
    assert pairs[0]["preferred_output"] == [{"role": "assistant", "content": "yes"}]
    assert len(pairs[0]["input"]["messages"]) == 4
    trl = lines(formats.preferences(rows, wrong))
    assert set(trl[0]) == {"prompt", "chosen", "rejected"}


def test_wrong_answers_are_a_rows_own_or_those_of_its_label_and_never_from_test() -> None:
    table = pd.DataFrame(
        [
            ("t1", "train", "a", "c", 0.0, "ok"),
            ("d1", "dev", "a", "b", 0.0, "ok"),
            ("d2", "dev", "a", "b", 0.0, "ok"),
            ("d3", "dev", "a", "c", 0.0, "ok"),
            ("d6", "dev", "a", "b", 0.0, "ok"),
            ("d4", "dev", "b", "b", 1.0, "ok"),
            ("d5", "dev", "b", "a", 0.0, "invalid"),
            ("e1", "test", "b", "a", 0.0, "ok"),
        ],
        columns=["example", "split", "label", "answer", "score", "status"],
    )
    found = recorded([row("t1", "x", "a"), row("t2", "y", "a"), row("t3", "z", "b")], table, "label")
    assert found == {"t1": ["c"], "t2": ["b", "c"]}


def test_the_cost_is_tokens_times_epochs_and_no_dollar_is_guessed() -> None:
    rows = [row("r1", "one two three", "a"), row("r2", "four", "b")]
    once, thrice = (estimate(rows, epochs, TunePrice(train=5.0)) for epochs in (1, 3))
    assert thrice.train_tokens == 3 * once.train_tokens > 20
    assert thrice.usd == pytest.approx(5.0 * thrice.train_tokens / 1e6)
    none = estimate(rows, 3, TunePrice(serve=Price(1, 2)))
    assert none.usd is None
    assert (thrice + none).usd is None


NONE = Limits()


def said(rows: list[TrainingRow], limits: Limits = NONE, **held: list[Example]) -> list[str]:
    return [str(each) for each in problems(rows, limits, held)]


def test_every_problem_of_the_rows_is_told_at_once_and_named() -> None:
    bad = [
        TrainingRow("r1", (Message("user", "x"), Message("narrator", "y"))),  # type: ignore[arg-type]
        TrainingRow("r2", (Message("system", "x"), Message("assistant", "y"))),
        row("r3", "  ", "a"),
        row("r4", "fine", "a", weight=2.5),
        row("r5", "same", "a"),
        row("r6", "same", "a"),
        row("r7", "same", "b"),
    ]
    found = "\n".join(said(bad, Limits(fewest=10)))
    for words in (
        "there are 7 training rows, and the trainer takes 10 at least",
        "training row r1 has a message of the role 'narrator'",
        "training row r1 does not end with the assistant's message",
        "training row r2 has no user message before the answer",
        "training row r3 has an empty message",
        "training row r4 has the weight 2.5",
        "training row r6 is the same as r5",
        "training row r7 has the prompt of r5 and another answer ('b', 'a')",
    ):
        assert words in found
    assert said([row(f"r{k}", f"text {k}") for k in range(10)], LIMITS["openai"]) == []


def test_a_row_over_the_limit_of_tokens_is_named() -> None:
    (found,) = said([row("r1", "word " * 300), row("r2", "short")], Limits(tokens=100))
    assert "training row r1 has about" in found


LONG = "My parcel with the blue lamp and the two chairs did not arrive on friday as it was promised by you"


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (LONG, "has the text of the test row"),
        (LONG.upper() + "!!", "differs only in case, punctuation or numbers from the test row"),
        (LONG + " all", "like the test row"),
    ],
)
def test_a_leaked_row_is_a_failure_that_names_both_rows(text: str, how: str) -> None:
    """To the letter, normalised, and nearly: each is found, in dev, test and bank."""
    held = [Example("t9", {"message": text}, "a", row=12)]
    found = said([row("r1", "something else entirely, about a kettle"), row("r2", LONG)], test=held)
    assert len(found) == 1
    assert found[0].startswith("training row r2")
    assert how in found[0]
    assert "12" in found[0]
    assert said([row("r2", LONG)], bank=held)[0].count("bank row 12") == 1
    assert said([row("r2", LONG)], dev=[Example("d", {"message": "another matter altogether, the boiler"}, "a")]) == []


def test_labels_out_of_balance_are_noted_and_repeats_counted_once() -> None:
    rows = [row(f"r{k}", f"text {k}", "a") for k in range(20)] + [row("z", "text z", "b"), row("r0", "text 0", "a")]
    assert "20 training rows say 'a', 1 say 'b'" in notes(distinct(rows)[0])[0]
    assert distinct(rows)[1] == 1
    assert notes(rows[:5]) == ()


def test_a_plan_lays_out_every_seed_and_size_with_files_and_recipes(tmp_path: Path) -> None:
    ready = prepared(tmp_path)
    settings = TuneSettings("none", seeds=(1, 2), sizes=(12, None), price=TunePrice(train=2.0))
    laid = plan(ready, settings)
    whole = len(ready.rows.train)
    assert [each.name for each in laid.jobs] == [
        f"tuned-small-s{seed}-n{count}" for seed in (1, 2) for count in (12, whole)
    ]
    assert len({each.recipe for each in laid.jobs}) == 4
    assert [each.recipe for each in plan(ready, settings).jobs] == [each.recipe for each in laid.jobs]
    other = plan(ready, replace(settings, epochs=4)).jobs[0].recipe
    assert other != laid.jobs[0].recipe
    assert laid.cost.usd == pytest.approx(2.0 * laid.cost.train_tokens / 1e6)
    files = laid.jobs[0].write()
    assert (files.rows, files.checked) == (12, 3)
    assert len(lines(files.train.read_bytes())) == 12
    shared = {json.dumps(each) for each in lines(files.train.read_bytes())}
    assert not shared & {json.dumps(each) for each in lines(files.valid.read_bytes())}, (
        "training and checking share rows"
    )
    assert (files.folder / "trl.jsonl").is_file()


def test_a_plan_refuses_sizes_that_are_not_there_and_unknown_names(tmp_path: Path) -> None:
    ready = prepared(tmp_path)
    with pytest.raises(BadInput, match=r"asks for 4000 rows, and there are \d+"):
        plan(ready, TuneSettings(sizes=(10, 4000)))
    with pytest.raises(BadInput, match="asks for 5 rows, and the trainer takes 10 at least"):
        plan(ready, TuneSettings("openai", sizes=(5,)))
    with pytest.raises(BadInput, match=r"no model 'smal'. Did you mean 'small'"):
        plan(ready, TuneSettings(base="smal"))
    with pytest.raises(BadInput, match=r"no template 'u'. Known: t"):
        plan(ready, TuneSettings(template="u"))
    with pytest.raises(BadInput, match="needs wrong answers, and no run has recorded any"):
        plan(ready, TuneSettings(method="dpo"))


def test_another_template_is_taught_with_its_first_choices(tmp_path: Path) -> None:
    project(tmp_path, 80)
    (tmp_path / "u.j2").write_text(TEMPLATE.replace("Answer with", "Say"), encoding="utf-8")
    ready = prepared(tmp_path, templates=["t.j2", "u.j2"], baseline={"template": "t", "tone": "kind"})
    assert taught(ready, TuneSettings()).slots["tone"] == "kind"
    found = taught(ready, TuneSettings(template="u"))
    assert (found.slots["template"], found.slots["tone"]) == ("u", "short")


def test_without_a_train_split_the_bank_is_learned_from_and_with_one_it_must_not_hold_its_rows(tmp_path: Path) -> None:
    whole = opened(project(tmp_path / "a", 60, templates=["t.j2"]))
    with pytest.raises(BadInput, match="no training rows"):
        plan(whole, TuneSettings())
    folder = tmp_path / "b"
    folder.mkdir()
    demos = [{"message": f"my kettle number {k} makes a noise like the sea", "topic": "access"} for k in range(12)]
    (folder / "bank.jsonl").write_text("".join(json.dumps(each) + "\n" for each in demos), encoding="utf-8")
    bank = {"from": "bank.jsonl", "k": [0, 2], "select": ["random"]}
    path = project(folder, 60, bank=bank)
    shown = "{% for demo in demos %}{% user %}{{ demo.message }}{% enduser %}{% endfor %}{% user %}"
    (folder / "t.j2").write_text(TEMPLATE.replace("{% user %}", shown, 1), encoding="utf-8")
    laid = plan(opened(path), TuneSettings())
    assert len(laid.jobs[0].rows) == 12
    assert any("the bank's rows are the training rows" in each for each in laid.notes)
