"""The sample set experiments/product_qa keeps its promises: its answers are in its gold passages, and only there."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "experiments" / "product_qa"
SHORT = {"yes", "no", "not stated"}  # answers that need not stand in a passage
KINDS = {"lookup", "variant", "bridge", "yesno", "unanswerable"}

Row = dict[str, Any]


def read(name: str) -> list[Row]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def words(text: str) -> list[str]:
    """Numbers with their decimals, words, and the signs that are units; case and other marks dropped."""
    return re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[%°€$/]", text.lower())


def holds(text: str, answer: str) -> bool:
    return f" {' '.join(words(answer))} " in f" {' '.join(words(text))} "


def accepted(row: Row) -> list[str]:
    return [row["answer"]] if isinstance(row["answer"], str) else row["answer"]


def spanned(row: Row) -> bool:
    """Whether the row's answer is a span of a passage."""
    return accepted(row)[0] not in SHORT


CORPUS = {row["id"]: row for row in read("corpus.jsonl")}
QUESTIONS = read("questions.jsonl")
BANK = read("bank.jsonl")
EVERY = QUESTIONS + BANK


def name(row: Row) -> str:
    return str(row["id"])


def test_the_set_is_as_large_as_promised() -> None:
    assert len(CORPUS) >= 60
    assert len(QUESTIONS) >= 150
    assert sum(len(row["gold"]) == 2 for row in QUESTIONS) >= 20
    assert len(BANK) == 12
    assert {row["kind"] for row in QUESTIONS} == KINDS


def test_ids_are_unique() -> None:
    assert len(CORPUS) == len(read("corpus.jsonl"))
    assert len({row["id"] for row in EVERY}) == len(EVERY)


def test_no_question_is_asked_twice_nor_in_the_bank() -> None:
    assert [q for q, n in Counter(" ".join(words(row["question"])) for row in EVERY).items() if n > 1] == []


def test_bank_questions_are_no_rewording_of_scored_ones() -> None:
    def overlap(one: Row, other: Row) -> float:
        left, right = set(words(one["question"])), set(words(other["question"]))
        return len(left & right) / len(left | right)

    assert [(b["id"], q["id"]) for b in BANK for q in QUESTIONS if overlap(b, q) > 0.6] == []


def test_passages_are_short_and_plain() -> None:
    for passage in CORPUS.values():
        assert set(passage) == {"id", "title", "text"}
        assert 40 <= len(passage["text"].split()) <= 110, passage["id"]
        assert "\n" not in passage["text"]


@pytest.mark.parametrize("row", EVERY, ids=name)
def test_given_passages_are_the_gold_ones_among_near_misses(row: Row) -> None:
    given = [passage["id"] for passage in row["passages"]]
    assert len(set(given)) == len(given)
    assert set(row["gold"]) <= set(given)
    assert all(CORPUS[passage["id"]] == passage for passage in row["passages"])
    assert 3 <= len(given) - len(row["gold"]) <= 5
    assert len(row["gold"]) == {"bridge": 2, "unanswerable": 0}.get(row["kind"], 1)


@pytest.mark.parametrize("row", [row for row in EVERY if spanned(row)], ids=name)
def test_the_answer_stands_in_a_gold_passage_and_in_no_given_distractor(row: Row) -> None:
    best = accepted(row)[0]
    others = [passage for passage in row["passages"] if passage["id"] not in row["gold"]]
    assert any(holds(CORPUS[key]["text"], best) for key in row["gold"])
    assert [passage["id"] for passage in others if holds(passage["text"], best)] == []


@pytest.mark.parametrize("row", [row for row in EVERY if row["kind"] == "bridge" and spanned(row)], ids=name)
def test_a_bridge_needs_its_second_passage(row: Row) -> None:
    first, second = (CORPUS[key]["text"] for key in row["gold"])
    assert not holds(first, accepted(row)[0])
    assert holds(second, accepted(row)[0])


def test_not_stated_is_the_answer_exactly_where_nothing_is_gold() -> None:
    assert {row["id"] for row in EVERY if "not stated" in accepted(row)} == {
        row["id"] for row in EVERY if not row["gold"]
    }


def test_yes_and_no_are_both_common() -> None:
    count = Counter(accepted(row)[0] for row in QUESTIONS)
    assert min(count["yes"], count["no"]) >= 8
