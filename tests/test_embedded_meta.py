"""The embedded engine writes instructions when it is asked for one, by simple rules, and only then."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.embedded.engine import Params, answer, answers, outlook
from promptlab.embedded.server import Server
from promptlab.proposers.meta import LONGEST_TEXT, examples, instruction, mistakes, read, system
from promptlab.records import Example
from promptlab.view import Failure

ROOT = Path(__file__).parent.parent
TEXTS = {
    "billing": "my invoice shows the fee charged twice",
    "delivery": "the courier lost the parcel on its way",
    "access": "the password link does not open my login",
}
ROWS = [
    Example(f"r{n}", {"message": f"{text} case {n}"}, label) for n, (label, text) in enumerate([*TEXTS.items()] * 4)
]
PLAIN = "Classify the customer's message."
TALK = Failure(ROWS[0], "This looks like billing to me.", "billing", "")


def chat(text: str, user: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": system(text).content}, {"role": "user", "content": user}]


def drawn(user: str, text: str = PLAIN, count: int = 60) -> list[str]:
    """What different seeds write."""
    return [str(read(each.text)) for each in answers(chat(text, user), Params(), range(count))]


def accuracy(text: str) -> float:
    """How often the engine gives the bare right label under an instruction, over the sample experiment's messages."""
    with (ROOT / "experiments/support_intent/labelled.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:150]
    labels = sorted({row["intent"] for row in rows})
    prompt = f"{text}\nAnswer with one of: {', '.join(labels)}."
    said = [answer([{"role": "system", "content": prompt}, {"role": "user", "content": row["message"]}],
                   Params(temperature=0, max_tokens=64)).text for row in rows]  # fmt: skip
    return sum(one.splitlines()[-1].strip() == row["intent"] for one, row in zip(said, rows, strict=True)) / len(rows)


def test_every_answer_holds_one_instruction_and_seeds_differ() -> None:
    found = drawn(f"{instruction(PLAIN)}\n\nSay this instruction in other words.")
    assert "None" not in found
    assert all("<" not in each and each.strip() == each for each in found)
    assert len(set(found)) > 10
    assert found == drawn(f"{instruction(PLAIN)}\n\nSay this instruction in other words."), (
        "a function of chat and seed"
    )


def test_some_instructions_are_truly_better_and_some_are_worse() -> None:
    base = accuracy(PLAIN)
    found = list(dict.fromkeys(drawn(f"{instruction(PLAIN)}\n\nSay this instruction in other words.", count=24)))[:12]
    told = [accuracy(each) for each in found]
    assert max(told) > base + 0.05, "the label names alone tell little: it is the form that is won"
    assert min(told) < base - 0.05


def test_marks_are_kept_each_once_whatever_is_recombined() -> None:
    one, other = "Sort ⟦1⟧. Mind the list. Use ⟦2⟧ well.", "Use ⟦2⟧ and ⟦1⟧. Be exact."
    for user in (
        instruction(one),
        instruction(one, 0.4) + "\n" + instruction(other, 0.7),
        instruction(one) + mistakes([TALK]),
    ):
        for text in drawn(user, one):
            assert sorted(re.findall("⟦[0-9]+⟧", text)) == ["⟦1⟧", "⟦2⟧"], text


def test_examples_become_words_per_answer_that_the_engine_itself_reads() -> None:
    """Learned from the rows that are shown, and worth something on messages that are not."""
    found = drawn(examples(ROWS), "", 20)
    listed = [each for each in found if "\n- " in each]
    assert len(listed) > 15
    assert all(set(re.findall(r"^- (\w+):", each, re.M)) == set(TEXTS) for each in listed)
    assert any("invoice" in each for each in listed)
    assert not any("case" in each for each in listed), "what all say tells nothing"
    for text, label in (("an invoice, and a fee", "billing"), ("where is the courier", "delivery")):
        said = answer([{"role": "system", "content": f"{listed[0]}\nLabel only."}, {"role": "user", "content": text}])
        assert said.text == label


def test_right_answers_among_other_words_bring_a_word_on_form() -> None:
    bare = re.compile(r"\b(?:only|just|alone|nothing else|no other words)\b", re.I)
    asked = f"{instruction(PLAIN)}\n\n{{}}\n\nMend it."
    with_talk = sum(map(bool, map(bare.search, drawn(asked.format(mistakes([TALK])), count=200))))
    wrong = Failure(ROWS[0], "delivery", "billing", "")
    without = sum(map(bool, map(bare.search, drawn(asked.format(mistakes([wrong])), count=200))))
    assert with_talk > without + 40


def test_nothing_of_the_mistakes_rows_is_learned() -> None:
    """They are dev rows: their words and right answers teach the engine nothing but a word on form."""
    strange = Failure(Example("d1", {"message": "zebra quagga"}, "billing"), "delivery", "billing", "okapi")
    other = Failure(Example("d1", {"message": "gnu"}, "delivery"), "billing", "delivery", "yak")
    for text in drawn(f"{instruction(PLAIN)}\n\n{mistakes([strange, other] * 3)}", count=100):
        assert not re.search("zebra|quagga|okapi|gnu|yak|billing|delivery", text)


def test_better_scored_instructions_are_gone_on_with_more_often() -> None:
    shown = "\n".join([instruction("Sort the mail.", 0.2), instruction("Name the desk for it.", 0.9)])
    found = drawn(shown, count=200)
    better, worse = (sum(word in each for each in found) for word in ("desk", "mail"))
    assert better > 1.5 * worse
    assert worse > 10


def test_instructions_keep_to_the_words_they_are_given() -> None:
    order = system("x", least=12).content
    for seed in range(100):
        user = f"{instruction(PLAIN)}\n{examples(ROWS)}"
        messages = [{"role": "system", "content": order}, {"role": "user", "content": user}]
        text = read(answer(messages, Params(seed=seed)).text)
        assert text is not None
        assert len(text.split()) <= 12 + 6, "reworded first sentences may have a few words more"


@given(st.text(max_size=400), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_whatever_is_shown_an_instruction_comes(text: str, seed: int) -> None:
    user = f"{instruction(text)}\n<examples>\n{text}\n</examples>\n<mistakes>\n{text}\n</mistakes>"
    found = read(answer(chat(text, user), Params(seed=seed)).text)
    assert found is None or len(found) <= LONGEST_TEXT


def test_a_chat_that_does_not_ask_for_an_instruction_is_answered_as_ever() -> None:
    """The order counts where orders stand: not in what a user sends below them."""
    order = {"role": "system", "content": "Classify the message. Answer with one of: billing, delivery. Label only."}
    for text in ("put it between <prompt> and </prompt>", f"{instruction('x')}\nthe courier <prompt>"):
        assert answer([order, {"role": "user", "content": text}]).text in ("billing", "delivery")
    alone = f"Somebody said:\n```\n{PLAIN}\n```\nWrite a better one. Put it between <prompt> and </prompt>."
    assert "customer" in str(read(answer([{"role": "user", "content": alone}]).text)), (
        "what stands in the fence is meant"
    )
    asks = [
        {"role": "user", "content": "Put it between <prompt> and </prompt>.\n\nLabels: red, blue. Label only.\n\nsky"}
    ]
    assert answer(asks).text in ("<prompt>red</prompt>", "<prompt>blue</prompt>"), "a tag around a label, as ever"


def test_limits_stops_and_choices_hold_for_instructions_too() -> None:
    messages = chat(PLAIN, instruction(PLAIN))
    cut = answer(messages, Params(max_tokens=4))
    assert (cut.finish_reason, cut.tokens_out) == ("length", 4)
    assert read(cut.text) is None
    assert "</prompt>" not in answer(messages, Params(stop=("</prompt>",))).text
    assert outlook(messages) == {}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server() as server:
        yield server.base_url


def test_the_server_gives_several_instructions_and_their_log_probabilities(url: str) -> None:
    import openai

    messages: Any = chat(PLAIN, instruction(PLAIN))
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        made = client.chat.completions.create(
            model="small", messages=messages, n=5, seed=1, logprobs=True, top_logprobs=2
        )
    assert len({choice.message.content for choice in made.choices}) > 1
    for choice in made.choices:
        assert choice.logprobs is not None
        assert "".join(each.token for each in choice.logprobs.content or ()) == choice.message.content
    assert json.loads(made.model_dump_json())["system_fingerprint"] == "embedded@1"
