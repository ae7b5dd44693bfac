"""answer.py: what counts as an answer, and what a completion without one is called."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.answer import LONGEST, parse, parser, read_label, read_number
from promptlab.errors import BadInput
from promptlab.json_answer import read_json
from promptlab.records import Completion

LABELS = ("billing", "card lost", "C++", "a", "A", "Other")
QUICK = settings(deadline=None, max_examples=50)
SPECS = ("text", "label", "last-line", "number", r"regex:(\d+)", "json", "json:a.b")


def answer(spec: str, text: str, labels: tuple[str, ...] = (), reason: str = "stop") -> object:
    found, status = parse(Completion(text, finish_reason=reason), parser(spec), labels)
    assert (found is None) == (status != "ok")
    return found if status == "ok" else status


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("reason", "status"),
    [("content_filter", "refused"), ("refusal", "refused"), ("context_overflow", "overflow")],
)
def test_what_the_endpoint_turned_away_is_never_an_answer(spec: str, reason: str, status: str) -> None:
    assert answer(spec, '{"a": {"b": 5}}', reason=reason) == status


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("text", ["", " \n\t "])
def test_an_empty_output_is_invalid_or_truncated(spec: str, text: str) -> None:
    assert answer(spec, text) == "invalid"
    assert answer(spec, text, reason="length") == "truncated"


@pytest.mark.parametrize(
    ("spec", "text", "whole", "cut"),
    [
        ("text", "Paris. It is", "Paris. It is", "Paris. It is"),
        ("label", "billing", "billing", "billing"),
        ("label", "I think that", "invalid", "truncated"),
        ("last-line", "First I", "First I", "truncated"),
        ("number", "4 apples, and 3", 3, "truncated"),
        ("regex:=(.)", "x=1 and", "1", "1"),
        ("json:a", '{"a": 1}', 1, 1),
        ("json:a", '{"a": 1', "invalid", "truncated"),
    ],
)
def test_a_cut_off_output_counts_only_where_the_answer_shows_that_it_is_whole(
    spec: str, text: str, whole: object, cut: object
) -> None:
    assert answer(spec, text, LABELS) == whole
    assert answer(spec, text, LABELS, reason="length") == cut


@pytest.mark.parametrize(
    "text",
    [
        "billing",
        "Billing",
        " BILLING.\n",
        '"billing"',
        "**billing**",
        "`billing`.",
        "Answer: billing",
        "Intent: Billing",
        "**Final answer:** billing",
        "Because they paid twice.\n\nbilling",
        "```\nbilling\n```",
        "“Billing”!",
    ],
)
def test_a_label_is_found_in_everyday_dress_and_spelled_as_the_set_spells_it(text: str) -> None:
    assert answer("label", text, LABELS) == "billing"
    assert answer("last-line", text, LABELS) == "billing"


@pytest.mark.parametrize(
    "text",
    [
        "I think it is billing",
        "billing or card lost",
        "not billing",
        "billing\nThat is my answer",
        "bill",
        "- x: billing?",
        '{"label": "billing"}',
        "answer: intent: billing",
        "The customer says: card lost, so billing",
    ],
)
def test_a_label_is_never_searched_for_inside_the_text(text: str) -> None:
    assert answer("label", text, LABELS) == "invalid"


def test_labels_that_differ_in_case_alone_are_told_apart_and_never_guessed() -> None:
    assert read_label("a", LABELS) == "a"
    assert read_label("**A**", LABELS) == "A"
    assert read_label("x", ("X", "x")) == "x"
    assert read_label("é", ("É", "É ")) is None


def test_a_label_may_hold_what_is_otherwise_stripped() -> None:
    assert read_label("c++.", LABELS) == "C++"
    assert read_label("_x_", ("_x_", "x")) == "_x_"
    assert read_label("re: x", ("re: x", "x")) == "re: x"


def test_without_known_labels_the_trimmed_text_is_the_label() -> None:
    assert answer("label", " some thing. ") == "some thing."


def test_labels_that_are_no_texts_come_back_as_they_are() -> None:
    assert parse(Completion("3"), parser("label"), (1, 3)) == (3, "ok")


@QUICK
@given(st.lists(st.text(min_size=1).filter(lambda text: text.strip() == text), min_size=1, unique=True), st.data())
def test_every_label_is_read_from_itself(labels: list[str], data: st.DataObject) -> None:
    label = data.draw(st.sampled_from(labels))
    assert read_label(label, labels) == label


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 1,234.50", 1234.5),
        ("$5", 5),
        ("50%", 50),
        ("-3", -3),
        ("1e3", 1000.0),
        ("\u22127.", -7),
        ("-$5", -5),
        ("$-5", -5),
        ("12kg", 12),
        ("**12**", 12),
        ("#### 72", 72),
        (r"\boxed{42}", 42),
        (".5", 0.5),
        ("3 + 4 = 7", 7),
        ("[3, 5]", 5),
        ("so 4.\nThat is all", 4),
        ("1\u202f234\u202f567", 1234567),
        ("7\n```", 7),
        ("first 3, then\nit is 4 of them", 4),
        ("12345678901234567890", 12345678901234567890),
    ],
)
def test_numbers_as_people_write_them(text: str, number: float) -> None:
    found = answer("number", text)
    assert found == number
    assert type(found) is type(number)


NO_NUMBERS = """3/4; 3 / 4; 1.234,50; 3,5; 2024-05-01; 10-12; 10\u201312; 10:30; 1.2.3; 1,234,5; GPT-4; v2; B2B; 0x1F;
none; 1e999"""


@pytest.mark.parametrize("text", [each.strip() for each in NO_NUMBERS.split(";")])
def test_what_is_only_part_of_a_number_is_no_number(text: str) -> None:
    assert answer("number", text) == "invalid"


@QUICK
@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["{}", "The total is {}.", "so\n\n= {} euros", "{:,}", "**{:,}**"])
)
def test_every_integer_is_read_back(number: int, shape: str) -> None:
    assert read_number(shape.format(number)) == number


@QUICK
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_back(number: float) -> None:
    assert read_number(f"It is {number!r}.") == number


def test_regex_takes_the_first_group_of_the_last_match() -> None:
    assert answer(r"regex:answer: (\w+)", "answer: x\nanswer: y") == "y"
    assert answer(r"regex:\d+", "1 then 22") == "22"
    assert answer(r"regex:A=(\w+)|B=(\w+)", "A=1 B=2") == "2"
    assert answer(r"regex:is (.+)$", "it is Card Lost", LABELS) == "card lost"
    assert answer(r"regex:x(\s*)", "x ") == "invalid"


def test_a_pattern_sees_the_end_of_an_endless_text() -> None:
    assert answer(r"regex:a|b", "a" + "." * LONGEST) == "invalid"
    assert answer(r"regex:a|b", "." * LONGEST + "b") == "b"


@pytest.mark.parametrize(
    ("spec", "text", "expected"),
    [
        ("json", ' {"a": [1, null]} ', {"a": [1, None]}),
        ("json", 'Here:\n```json\n{"a": 1}\n```\nand\n```\n{"a": "``` 2"}\n```\nDone.', {"a": "``` 2"}),
        ("json", '```json\n{"a": 1}', {"a": 1}),
        ("json", "{}", {}),
        ("json:a", '{"a": 1, "a": 2}', 2),
        ("json:a", '{"a": false}', False),
        ("json:a", '{"a": " Card Lost "}', "card lost"),
        ("json:a.b.1", '{"a": {"b": [1, 2]}}', 2),
    ],
)
def test_json_is_the_text_or_its_last_fence(spec: str, text: str, expected: object) -> None:
    assert answer(spec, text, LABELS) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"b": 1}',
        '{"a": null}',
        '{"a": ""}',
        '{"a": NaN}',
        'It is {"a": 1}',
        "[1]",
        "7",
        "[" * 100_000,
        "1" * 5000,
        "{'a': 1}",
    ],
)
def test_json_without_the_field_is_invalid(text: str) -> None:
    assert answer("json:a", text) == "invalid"


def test_a_lone_surrogate_escaped_in_json_becomes_what_a_file_can_hold() -> None:
    assert read_json(r'["\ud83d", "\ud83d\ude00"]') == ["?", "😀"]


@QUICK
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda kids: st.lists(kids) | st.dictionaries(st.text(), kids),
    )
)
def test_json_reads_back_whatever_json_writes(value: object) -> None:
    text = json.dumps(value)
    assert read_json(text) == value
    assert read_json(f"Sure!\n```json\n{text}\n```") == value


@QUICK
@given(st.text(), st.sampled_from(SPECS), st.sampled_from(["stop", "length", "", "tool_calls"]))
def test_no_text_makes_a_parser_fail(text: str, spec: str, reason: str) -> None:
    _, status = parse(Completion(text, finish_reason=reason), parser(spec), LABELS)
    assert status in {"ok", "truncated" if reason == "length" else "invalid"}


@pytest.mark.parametrize(
    ("spec", "message", "remedy"),
    [
        ("lable", "no such parser", "Did you mean 'label'?"),
        ("last_line", "no such parser", "Did you mean 'last-line'?"),
        ("", "no such parser", "Known:"),
        ("json:", "no field", "json:field"),
        ("label:x", "nothing after a colon", "Write label."),
        ("regex:", "empty", "regex:PATTERN"),
        ("regex:(", "does not compile", "single quotes"),
    ],
)
def test_a_wrong_parser_is_refused_by_name_with_its_remedy(spec: str, message: str, remedy: str) -> None:
    with pytest.raises(BadInput) as caught:
        parser(spec)
    assert repr(spec) in str(caught.value)
    assert message in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    "text", ["1," * 60_000, "1 " * 60_000, "9" * 120_000, "```json\n" * 20_000, "x" + "\n*" * 60_000]
)
@pytest.mark.parametrize("spec", ["label", "number", "json", "last-line"])
def test_hostile_outputs_cost_little(text: str, spec: str) -> None:
    start = time.process_time()
    answer(spec, text, LABELS)
    assert time.process_time() - start < 1


def test_reading_a_label_takes_microseconds() -> None:
    compiled, completion = parser("label"), Completion('Because of the fee.\n\nFinal answer: "Card lost".')
    start = time.process_time()
    for _ in range(5000):
        parse(completion, compiled, LABELS)
    assert (time.process_time() - start) / 5000 < 50e-6  # 4 µs on a quiet machine
