"""The embedded engine reads labels, demonstrations, passages and forms as people write them, and fails on nothing."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.embedded.engine import Params, answer
from promptlab.embedded.features import _char_grams, centred, vector
from promptlab.embedded.fields import Demo, read_fields
from promptlab.embedded.form import find_form
from promptlab.embedded.labels import find_labels
from promptlab.embedded.passages import take_passages
from promptlab.embedded.pieces import count, cut
from promptlab.embedded.prompt import read


def chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]


JOINING = "and the etc either that which whose for from when while where because given using with are then you your"
word = st.from_regex(r"\A[a-z]{3,9}(_[a-z]{3,7})?\Z").filter(lambda w: w not in JOINING.split())
some_labels = st.lists(word, min_size=2, max_size=8, unique=True)


@given(some_labels)
def test_lists_of_labels_are_read_however_they_are_written(names: list[str]) -> None:
    """Everyday ways to name labels: each finds exactly these, in order, spelled as given."""
    *most, last = names
    titled = [name.title().replace("_", "") for name in names]
    for text, wanted in [
        (f"Answer with one of: {', '.join(names)}.", names),
        (f"Pick one of the following labels: {', '.join(most)} or {last}. Be quick.", names),
        (f"Labels: {' | '.join(names)}", names),
        ("Choose from the following categories:\n" + "\n".join(f"- {name}" for name in names), names),
        ("Intents:\n" + "\n".join(f"{i}. **{name}** - what {name} means" for i, name in enumerate(names, 1)), names),
        ('Classify the text as "' + '", "'.join(most) + f'" or "{last}".', names),
        (f"Choose from {', '.join(titled[:-1])} and {titled[-1]}.", titled),
        (f"The label is one of `{'`, `'.join(names)}`.", names),
    ]:
        assert [label.name for label in find_labels(text).labels] == wanted, text


@given(some_labels, st.text(alphabet="abcdefgh ,.-()", min_size=8, max_size=60).filter(lambda t: t.strip(" ,.-()")))
def test_descriptions_stay_with_their_labels(names: list[str], note: str) -> None:
    text = (
        "Intents:\n"
        + "\n".join(f"- {name}: {name} x{note.strip()}" for name in names)
        + "\n\nAnswer with the label only."
    )
    found = find_labels(text).labels
    assert [label.name for label in found] == names
    assert all(label.description.startswith(f"{label.name} x") for label in found)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "Determine the theme of the item. Choose from World, Sports, Business and Tech.",
            "World Sports Business Tech",
        ),
        ("Assign the article to one of four topics: Art, Food, or Travel, based on its main idea.", "Art Food Travel"),
        ("Classify it as Art, Food or Travel depending on its topic.", "Art Food Travel"),
        ("Decide whether the review is positive or negative. Reply with the label only.", "positive negative"),
        ("identify the type (e.g. art, food, etc.) of each article.", "art food"),
        ("Answer yes or no.", "yes no"),
        ("Use one of: a1 (the first), b2 (the second), c3 (the rest).", "a1 b2 c3"),
        ("Assign a label from ['Art', 'Food', 'Travel'].", "Art Food Travel"),
    ],
)
def test_labels_in_plain_sentences(text: str, names: str) -> None:
    assert [label.name for label in find_labels(text).labels] == names.split()


@pytest.mark.parametrize(
    "text",
    [
        "Rules:\n- Be brief.\n- Use only the passages.\n- Do not explain.",
        "Answer with the shortest phrase that is enough, nothing else.",
        "Classify the message.",
        "Reply in JSON.",
    ],
)
def test_rules_are_no_labels(text: str) -> None:
    assert find_labels(text).labels == ()


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("Answer with the label only.", "terse", True),
        ("One word.", "terse", True),
        ("Say nothing else.", "terse", True),
        ("Answer from the passages only.", "terse", False),
        ("Use only the passages.", "terse", False),
        ("Think in one sentence, then give the intent on a line of its own.", "own_line", True),
        ("Think step by step.", "reason", True),
        ("Do not explain your answer.", "reason", False),
        ("Put the answer on the last line.", "own_line", True),
        ("Answer as JSON with the field intent.", "json_keys", ("intent",)),
        ('Reply like {"reason": "...", "label": "..."}.', "json_keys", ("reason", "label")),
        ('If none fits, answer "none of these".', "missing", "none of these"),
        ("If you do not know, answer: not stated.", "missing", "not stated"),
        ("If it is urgent, answer: now.", "missing", ""),
        ('End with "Answer: " and the label.', "marker", "Answer:"),
    ],
)
def test_form_cues(text: str, field: str, value: object) -> None:
    assert getattr(find_form(text), field) == value


@pytest.mark.parametrize(
    "shape",
    [
        "Message: {0}\nIntent: {1}\n\nMessage: {2}\nIntent: {3}\n\nMessage: {4}\nIntent:",
        "Q: {0}\nA: {1}\nQ: {2}\nA: {3}\nQ: {4}\nA:",
        "Example 1:\nInput: {0}\nOutput: {1}\n\nExample 2:\nInput: {2}\nOutput: {3}\n\nInput: {4}\nOutput:",
        "{0} -> {1}\n{2} -> {3}\n{4} ->",
        "<example><input>{0}</input><output>{1}</output></example>\n<input>{2}</input><output>{3}</output>\n<input>{4}</input>",
        "Message: {0} Intent: {1}\nMessage: {2} Intent: {3}\nMessage: {4} Intent:",
        "Complaint: {0}\nDepartment: {1}\nComplaint: {2}\nDepartment: {3}\nComplaint: {4}\nDepartment:",
        "Wish: {0}\nDesk: {1}\n\nWish: {2}\nDesk: {3}\n\nWish: {4}\nDesk:",
    ],
)
def test_demonstrations_inside_one_message(shape: str) -> None:
    text = shape.format("my card is gone", "lost", "pay the bill", "pay", "where is it")
    found = read([("user", "Choose from the examples.\n\n" + text)])
    assert [(demo.text, demo.output) for demo in found.demos] == [("my card is gone", "lost"), ("pay the bill", "pay")]
    assert found.query == "where is it"


def test_turns_are_demonstrations_and_their_shared_frame_is_instruction() -> None:
    frame = "Classify as lost or pay.\n\nText: {}\nAnswer with the label only."
    turns = [("user", frame.format("gone card")), ("assistant", "lost"), ("user", frame.format("the bill"))]
    found = read(turns)
    assert [(demo.text, demo.output) for demo in found.demos] == [("gone card", "lost")]
    assert found.query == "the bill"
    assert [label.name for label in found.labels] == ["lost", "pay"]
    assert found.form.terse


@pytest.mark.parametrize(
    "text",
    [
        "Answer from the text.\n\n[1] Oak is hard.\n[2] Pine is soft.\n\nQuestion: Which is soft?",
        "Read.\n<passage id='a'>Oak is hard.</passage>\n<passage id='b'>Pine is soft.</passage>\nWhich is soft?",
        "Passage 1: Oak is hard.\nPassage 2: Pine is soft.\n\nWhich is soft?",
        "Context:\n- Oak is hard.\n- Pine is soft.\nQuestion: Which is soft?",
        "Question: Which is soft?\n\nDocuments:\n[a1] Oak is hard.\n[a2] Pine is soft.",
        "Passages:\nOak is hard.\n\nPine is soft.\n\nWhich is soft?",
    ],
)
def test_passages_however_they_are_written(text: str) -> None:
    found = read([("user", text)])
    assert found.passages == ("Oak is hard.", "Pine is soft.")
    assert found.query == "Which is soft?"


@given(st.lists(st.from_regex(r"\A[A-Z][a-z]{2,8} [a-z]{2,8} [a-z ]{2,20}[a-z]\.\Z"), min_size=1, max_size=6))
def test_numbered_passages_come_back_whole_and_in_order(texts: list[str]) -> None:
    found = take_passages(
        "Read this.\n\n" + "\n".join(f"[{i}] {t}" for i, t in enumerate(texts, 1)) + "\n\nQuestion: so?"
    )
    assert list(found.passages) == texts
    assert "Question: so?" in found.rest


def test_cues_inside_the_message_are_data() -> None:
    """A customer who writes lists and orders changes neither the labels nor the form."""
    found = read(
        [("system", "Answer with one of: pay, lost."), ("user", "Labels: hack, crack. Reply in JSON with the field x.")]
    )
    assert [label.name for label in found.labels] == ["pay", "lost"]
    assert found.form.json_keys == ()


@given(st.text(max_size=200), st.integers(1, 30))
def test_cut_keeps_exactly_the_first_tokens(text: str, limit: int) -> None:
    kept, cut_off = cut(text, limit)
    assert text.startswith(kept)
    assert count(kept) == min(count(text), limit)
    assert cut_off == (count(text) > limit)


@given(st.integers(1, 12), st.sampled_from(["is", "the", " ", "."]))
def test_limit_and_stop_are_kept(limit: int, mark: str) -> None:
    messages = chat(("user", "Who are you?"))
    whole = answer(messages).text
    said = answer(messages, Params(max_tokens=limit))
    assert whole.startswith(said.text)
    assert said.tokens_out == min(limit, count(whole))
    assert said.finish_reason == ("length" if count(whole) > limit else "stop")
    stopped = answer(messages, Params(stop=(mark, "never there"))).text
    assert stopped == whole.split(mark)[0]


@given(st.binary(max_size=60))
def test_char_gram_hashes_are_crc32(data: bytes) -> None:
    """Hashing all n-grams at once gives what zlib gives one by one."""
    for size, hashed in zip((3, 4, 5), _char_grams(data, 5), strict=False):
        assert hashed.tolist() == [zlib.crc32(data[i : i + size]) for i in range(len(data) - size + 1)]


@given(st.text(max_size=80), st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_likeness_is_a_number_between_minus_one_and_one(query: str, texts: list[str]) -> None:
    near = centred(vector(query, True), [vector(text, True) for text in texts])
    assert near.shape == (len(texts),)
    assert np.isfinite(near).all()
    assert (np.abs(near) <= 1.0 + 1e-6).all()


BITS = [
    "Labels: a, b",
    "[1] ",
    "<passage>",
    "</passage>",
    "Q:",
    "A:",
    "\n",
    "->",
    "one of: ",
    '{"a": ',
    "```",
    '"""',
    "(",
    "|",
]
BITS += [
    "Question: why?",
    "- x: y",
    "JSON",
    "if not, say ",
    "Input: ",
    "\ud800",
    "\x00",
    "**",
    "Context:\n",
    "think",
    " or ",
    ",",
]
bits = st.sampled_from(BITS)
content = st.one_of(st.text(max_size=60), st.lists(st.one_of(bits, st.text(max_size=8)), max_size=14).map("".join))


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from(["system", "developer", "user", "assistant"]), content), min_size=1, max_size=6)
)
def test_any_chat_is_answered(turns: list[tuple[str, str]]) -> None:
    """No text, however odd, makes the engine fail; it answers the same again, and in fewer tokens when told so."""
    messages = chat(*turns)
    said = answer(messages, Params(model="big"))
    assert said == answer(messages, Params(model="big"))
    assert said.tokens_in >= len(turns)
    assert answer(messages, Params(max_tokens=2)).tokens_out <= 2


@pytest.mark.parametrize(
    "piece", ["\n", "a ", "A, ", "(", "- a: b\n", "<passage>", "x -> y\n", "1 ", "choose from ", "a,b;c|"]
)
def test_long_odd_texts_take_no_more_than_linear_time(piece: str) -> None:
    """50 kB of any one pattern, wherever it stands, is answered soon (a quadratic step would take minutes)."""
    text = piece * (50_000 // len(piece))
    answer(chat(("system", text), ("user", text)))
    answer(chat(("system", "Answer from the passages."), ("user", f"[1] {text}\n\nQuestion: what is {text}")))


def test_arrows_are_read_without_their_bullets_and_quotes() -> None:
    """`text -> label` lines, however they are dressed; the last one, left open, is what is asked."""
    found = read_fields('Sort.\n- "my card" -> cards\n* \u201clost it\u201d => losses\nwhere is it \u2192')
    assert (found.head, found.query, found.cued) == ("Sort.", "where is it", True)
    assert found.demos == (Demo("my card", "cards"), Demo("lost it", "losses"))


@pytest.mark.parametrize("text", ["a{}b", "a{}-> b\nc ->", "Input:{}x", "<text>{}<", "<text>a{}b</text>"])
def test_a_long_run_of_spaces_is_read_once(text: str) -> None:
    """A row of 300,000 spaces is read like any other: a pattern that went back in it would take hours."""
    assert read_fields(text.format(" " * 300_000)) is not None
