"""The rows of an experiment: which split each is in, what is remembered, the order that variants share, the labels."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_project import MESSAGES, ROWS, Project

from promptlab.dataset.split import save
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.predict import predict
from promptlab.prepare import Prepared, prepare
from promptlab.records import Completion, Example, Prediction
from promptlab.rows import Rows, read_rows, stratified


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def rows_of(project: Project, *overrides: str) -> Rows:
    return read_rows(Experiment.load("p", overrides))


def problems(project: Project, *overrides: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        rows_of(project, *overrides)
    return [str(each) for each in caught.value.problems]


def ids(examples: tuple[Example, ...]) -> set[str]:
    return {each.id for each in examples}


def places(rows: Rows) -> dict[str, str]:
    parts = (("train", rows.train), ("dev", rows.dev), ("test", rows.test))
    return {each.id: name for name, part in parts for each in part}


def more(count: int, start: int = 100) -> str:
    """Rows that resemble no other: every word of them is their own."""
    labels = ("billing", "shipping", "account")
    return "".join(
        f"{n},{' '.join(f'word{n}x{w}' for w in 'abcdef')},{labels[n % 3]}\n" for n in range(start, start + count)
    )


# --- which split ---


def test_by_default_half_is_dev_and_half_is_test_and_nothing_is_train(project: Project) -> None:
    """Stratified: two of each label on either side."""
    rows = rows_of(project)
    assert (len(rows.train), len(rows.dev), len(rows.test)) == (0, 6, 6)
    assert set(Counter(each.label for each in rows.dev).values()) == {2}
    assert rows.splits == places(rows)


def test_with_a_bank_from_train_a_third_is_train(project: Project) -> None:
    project.write("rows.csv", ROWS + more(88))
    rows = rows_of(project, "bank.from=train", "bank.k=2")
    assert (len(rows.train), len(rows.dev), len(rows.test)) == (30, 35, 35)


def test_split_all_makes_every_row_dev_and_remembers_nothing(project: Project) -> None:
    rows = rows_of(project, "data.split=all")
    assert (len(rows.train), len(rows.dev), len(rows.test)) == (0, 12, 0)
    assert rows.splits == {}


def test_a_fold_column_is_taken_at_its_word(project: Project) -> None:
    """Also `validation` for dev, in any case; nothing is remembered."""
    folds = ["train"] * 4 + ["Validation", "DEV ", "val", "valid"] + ["test"] * 4
    lines = [f"{n},{text},{label},{fold}" for n, ((text, label), fold) in enumerate(zip(MESSAGES, folds, strict=True))]
    project.write("rows.csv", "id,message,intent,fold\n" + "\n".join(lines))
    rows = rows_of(project, "data.split={column: fold}")
    assert ids(rows.train) == {"0", "1", "2", "3"}
    assert ids(rows.dev) == {"4", "5", "6", "7"}
    assert ids(rows.test) == {"8", "9", "10", "11"}
    assert rows.splits == {}


def test_files_for_each_split_are_taken_at_their_word(project: Project) -> None:
    lines = ROWS.splitlines(keepends=True)
    project.write("dev.csv", "".join(lines[:8]))
    project.write("test.csv", "".join([lines[0], *lines[8:]]))
    rows = rows_of(project, "data.path={dev: dev.csv, test: test.csv}")
    assert (len(rows.train), len(rows.dev), len(rows.test)) == (0, 7, 5)
    assert rows.splits == {}
    assert rows.places["9"] == ("p/test.csv", 3)


def test_a_row_that_stands_in_two_files_is_named_in_both(project: Project) -> None:
    """Without ids the same content is the same row; the problems of all files come together."""
    bare = ["message,intent\n", *(f"{text},{label}\n" for text, label in MESSAGES)]
    project.write("dev.csv", "".join(bare[:8]))
    project.write("test.csv", "".join([bare[0], *bare[8:], bare[3]]))
    assert problems(project, "data.path={dev: dev.csv, test: test.csv}") == [
        "p/test.csv:7: row 6 is row 3 of p/dev.csv again. No row may be in two splits: take it out of one of the files."
    ]


def test_an_id_that_two_files_use_for_different_rows_is_named(project: Project) -> None:
    lines = ROWS.splitlines(keepends=True)
    project.write("dev.csv", "".join(lines[:8]))
    project.write("test.csv", "".join([lines[0], *lines[8:]]).replace("9,please", "3,please"))
    assert problems(project, "data.path={dev: dev.csv, test: test.csv}") == [
        (
            "p/test.csv:3: row 2 has the id '3' of another row, row 3 of p/dev.csv. "
            "Ids are unique over all files: rename one of them."
        )
    ]


def test_more_than_ten_such_rows_are_counted(project: Project) -> None:
    project.write("dev.csv", ROWS)
    project.write("test.csv", ROWS)
    found = problems(project, "data.path={dev: dev.csv, test: test.csv}")
    assert len(found) == 11
    assert found[-1] == "p/test.csv:12: and 2 more rows like these"


def test_given_splits_that_share_a_wording_are_noted_not_refused(project: Project) -> None:
    """The file says so; but the reader is told that test is not held out there."""
    lines = ROWS.splitlines(keepends=True)
    project.write("dev.csv", "".join(lines[:8]))
    twin = f"99,{MESSAGES[2][0].upper()}!,account\n"
    project.write("test.csv", "".join([lines[0], *lines[8:], twin]))
    (note,) = rows_of(project, "data.path={dev: dev.csv, test: test.csv}").notes
    assert note == "note: 1 test row says the same as a dev row (3 and 99): test is not held out there."
    assert rows_of(project).notes == ()


def test_near_duplicates_and_groups_are_never_split_apart(project: Project) -> None:
    twins = "".join(f"t{n},{text.title()}!,{label}\n" for n, (text, label) in enumerate(MESSAGES, start=1))
    project.write("rows.csv", ROWS + twins)
    found = places(rows_of(project))
    assert all(found[str(n)] == found[f"t{n}"] for n in range(1, 13))


# --- what is remembered ---


def test_added_rows_move_none_and_removed_rows_keep_their_place(project: Project) -> None:
    """Through files: read, save as a run does, change the data, read again."""
    first = rows_of(project)
    memory = project.folder / "splits.csv"
    save(memory, first.splits)
    before = places(first)
    kept = [line for line in ROWS.splitlines(keepends=True) if not line.startswith(("2,", "5,"))]
    project.write("rows.csv", "".join([kept[0], more(8), *kept[1:]]))
    second = rows_of(project)
    after = places(second)
    assert {key: place for key, place in after.items() if key in before} == {
        key: place for key, place in before.items() if key not in ("2", "5")
    }
    assert len(second.dev) + len(second.test) == 18
    assert {key: second.splits[key] for key in ("2", "5")} == {key: before[key] for key in ("2", "5")}
    save(memory, second.splits)
    project.write("rows.csv", ROWS)
    assert places(rows_of(project)) == before, "rows that come back stand where they stood"


def test_another_seed_does_not_move_what_is_remembered(project: Project) -> None:
    first = rows_of(project)
    assert any(places(rows_of(project, f"data.split.seed={seed}")) != places(first) for seed in (1, 2, 3))
    save(project.folder / "splits.csv", first.splits)
    for seed in (1, 2, 3):
        assert places(rows_of(project, f"data.split.seed={seed}")) == places(first)


def test_a_damaged_memory_is_told_with_its_line(project: Project) -> None:
    project.write("splits.csv", "id,split\n1,dev\n2,tset\n")
    assert problems(project) == ["p/splits.csv:3: 'tset' is no split. Did you mean 'test'?"]


# --- the order that all variants share ---

LABELLED = st.lists(st.sampled_from("aaaabbc"), min_size=1, max_size=120)


@given(LABELLED, st.integers(0, 5))
def test_every_prefix_has_about_the_label_shares_of_the_whole(labels: list[str], seed: int) -> None:
    """Within 1 + (share x number of labels) rows, for each label and prefix."""
    examples = [Example(str(n), {"x": n}, label) for n, label in enumerate(labels)]
    ordered = stratified(examples, seed)
    assert sorted(each.id for each in ordered) == sorted(each.id for each in examples)
    whole = Counter(labels)
    if len(whole) > len(labels) / 2:
        return
    seen: Counter[str] = Counter()
    for length, example in enumerate(ordered, start=1):
        seen[example.label] += 1
        for label, count in whole.items():
            share = count / len(labels)
            assert abs(seen[label] - share * length) <= 1 + share * len(whole)


@given(LABELLED, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_that_of_the_file(labels: list[str], seed: int, rng: random.Random) -> None:
    examples = [Example(str(n), {"x": n}, label) for n, label in enumerate(labels)]
    shuffled = rng.sample(examples, len(examples))
    assert stratified(examples, seed) == stratified(shuffled, seed)


def test_another_seed_is_another_order() -> None:
    examples = [Example(str(n), {}, "ab"[n % 2]) for n in range(40)]
    assert stratified(examples, 1) != stratified(examples, 2)


def test_free_answers_are_not_strata() -> None:
    """Where nearly every label is its own, the order is a plain shuffle: it follows neither labels nor ids."""
    examples = [Example(f"{n:03}", {}, f"answer {n:03}") for n in range(60)]
    order = [each.id for each in stratified(examples, 7)]
    assert order != sorted(order)


def test_a_reordered_file_is_the_same_experiment(project: Project) -> None:
    """Splits, order and identity of the run."""
    before = prepare(Experiment.load("p"))
    head, *lines = ROWS.splitlines(keepends=True)
    project.write("rows.csv", head + "".join(reversed(lines)))
    after = prepare(Experiment.load("p"))
    assert [each.id for each in after.rows.scored] == [each.id for each in before.rows.scored]
    assert after.identity == before.identity


# --- labels ---


def answered(prepared: Prepared, example: Example, text: str) -> Prediction:
    flow = predict(prepared.task, prepared.baseline, example)
    next(flow)
    with pytest.raises(StopIteration) as stop:
        flow.send(Completion(text))
    return stop.value.value


def test_labels_that_are_not_listed_are_those_of_the_column(project: Project) -> None:
    """Sorted; and with them answers are read as labels, unless the experiment says otherwise."""
    project.experiment("  labels: labels.yaml\n", "")
    project.experiment("answer: label\n", "")
    project.write("rows.csv", ROWS + more(8))
    prepared = prepare(Experiment.load("p"))
    assert [str(each) for each in prepared.task.labels] == ["account", "billing", "shipping"]
    assert prepared.task.parser == "label"


def test_free_answers_are_no_labels(project: Project) -> None:
    project.experiment("  labels: labels.yaml\n", "")
    project.experiment("answer: label\n", "")
    lines = "".join(f"{text},answer {n}\n" for n, (text, _) in enumerate(MESSAGES))
    project.write("rows.csv", "message,intent\n" + lines)
    prepared = prepare(Experiment.load("p"))
    assert prepared.task.labels == ()
    assert prepared.task.parser == "text"


@pytest.mark.parametrize("listed", ["  labels: [1, 2, 3]\n", ""])
def test_numbers_are_labels_in_jsonl(project: Project, listed: str) -> None:
    """`1` in a row is the label `1`, listed or found, and an answer of `1` is right."""
    project.experiment("  labels: labels.yaml\n", listed)
    numbers = {"billing": 1, "shipping": 2, "account": 3}
    lines = [json.dumps({"message": text, "intent": numbers[label]}) for text, label in MESSAGES]
    project.write("rows.jsonl", "\n".join(lines))
    bank = (project.folder / "bank.jsonl").read_text()
    for label, number in numbers.items():
        bank = bank.replace(f'"{label}"', str(number))
    project.write("bank.jsonl", bank)
    project.experiment("rows.csv", "rows.jsonl")
    prepared = prepare(Experiment.load("p"))
    assert [str(each) for each in prepared.task.labels] == ["1", "2", "3"]
    example = next(each for each in prepared.rows.scored if each.label == 2)
    assert [answered(prepared, example, text).score for text in ("2", "Answer: 2.", "3", "4")] == [1, 1, 0, 0]
    assert answered(prepared, example, "4").status == "invalid"


def test_a_row_with_several_accepted_labels(project: Project) -> None:
    """Each counts, each must be listed."""
    project.experiment("label: intent", "label: {column: intent, many: any}")
    project.change(
        "rows.csv", "1,my card was charged twice this month,billing", "1,my card was charged,billing | account"
    )
    prepared = prepare(Experiment.load("p"))
    example = next(each for each in prepared.rows.scored if each.id == "1")
    assert example.answers == ("billing", "account")
    assert [answered(prepared, example, text).score for text in ("billing", "account", "shipping")] == [1, 1, 0]
    project.change("rows.csv", "billing | account", "billing | acount")
    with pytest.raises(BadInput, match=r"rows\.csv:2: the label 'acount' of row 1 is not in `data.labels`"):
        prepare(Experiment.load("p"))


def test_a_class_that_dev_never_saw_may_be_in_test(project: Project) -> None:
    lines = ROWS.splitlines(keepends=True)
    account = [line for line in lines if line.endswith(",account\n")]
    others = [line for line in lines[1:] if line not in account]
    project.write("dev.csv", "".join([lines[0], *others[:5]]))
    project.write("test.csv", "".join([lines[0], *others[5:], *account]))
    overrides = ("data.path={dev: dev.csv, test: test.csv}", "data.labels=")
    prepared = prepare(Experiment.load("p", overrides))
    assert [str(each) for each in prepared.task.labels] == ["account", "billing", "shipping"]
    example = next(each for each in prepared.rows.test if each.label == "account")
    assert answered(prepared, example, "account").score == 1


def test_limit_keeps_the_first_rows_of_the_shared_order_and_no_test_leaves_test_out(project: Project) -> None:
    experiment = Experiment.load("p")
    whole, some = prepare(experiment), prepare(experiment, 3)
    assert some.rows.dev == whole.rows.dev[:3]
    assert some.rows.test == whole.rows.test[:3]
    assert prepare(experiment, test=False).rows.test == ()
    assert len({whole.identity, some.identity, prepare(experiment, test=False).identity}) == 3


# --- notes that stop nothing ---


def noted(template: str, project: Project, *overrides: str) -> list[str]:
    project.write("templates/plain.j2", template)
    return [each for each in prepare(Experiment.load("p", overrides)).rows.notes if "send the same" in each]


CHOOSING = "---\nchoices: {{tone: [none, brief, long]}}\n{more}---\n{body}{{{{ message }}}}{{{{ demos | length }}}}\n"
SAME = "note: p/templates/plain.j2: the values none and brief of `tone` send the same prompt"


def test_a_misspelt_comparison_of_a_slot_is_told(project: Project) -> None:
    """Nothing else shows it: the template renders, and two variants are one."""
    body = '{% if tone == "breif" %}Be brief.{% elif tone == "long" %}Take your time.{% endif %}'
    assert noted(CHOOSING.format(more="", body=body), project) == [SAME]
    assert noted(CHOOSING.format(more="", body=body.replace("breif", "brief")), project) == []


def test_values_that_only_their_parser_tells_apart_are_no_mistake(project: Project) -> None:
    body = '{% if tone == "long" %}Take your time.{% endif %}'
    same = noted(
        CHOOSING.format(more="answer: {by: tone, none: label, brief: label, long: last-line}\n", body=body), project
    )
    assert same == [SAME]
    more = "answer: {by: tone, none: label, brief: last-line, long: last-line}\n"
    assert noted(CHOOSING.format(more=more, body=body), project) == []


def test_a_slot_that_matters_only_beside_another_value_is_no_mistake(project: Project) -> None:
    """Bank.k is 0 at first, and how demos look shows only where there are some."""
    body = "{% for demo in demos %}{{ tone }}: {{ demo.message }}{% endfor %}"
    assert noted(CHOOSING.format(more="", body=body), project) == []
    assert noted(CHOOSING.format(more="", body=body), project, "bank.k=[0]") == [
        SAME.replace("none and brief", "none, brief and long")
    ]


def test_remembered_splits_that_win_over_other_shares_are_told(project: Project) -> None:
    project.write("rows.csv", ROWS + more(88))
    rows = rows_of(project, "data.split.dev=0.5")
    save(project.folder / "splits.csv", rows.splits)
    again = rows_of(project, "data.split.dev=0.8")
    [note] = again.notes
    assert note == (
        "note: splits.csv remembers 50 dev and 50 test rows; `data.split` asks for other shares. "
        "Rows do not move: delete splits.csv to split anew"
    )
    for shares in ((), ("data.split.dev=0.5",), ("data.split.dev=0.55",)):
        assert rows_of(project, *shares).notes == ()
