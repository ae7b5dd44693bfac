"""The sample content of experiments/support_intent keeps its promises."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "experiments" / "support_intent"
INTENTS = {
    "billing_error",
    "refund_status",
    "delivery_delay",
    "cancel_order",
    "account_access",
    "change_details",
    "product_question",
    "complaint",
}


@cache
def labelled() -> tuple[dict[str, str], ...]:
    with (FOLDER / "labelled.csv").open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file, strict=True))


@cache
def bank() -> tuple[dict[str, str], ...]:
    return tuple(json.loads(line) for line in (FOLDER / "bank.jsonl").read_text(encoding="utf-8").splitlines())


def words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))


def grams(text: str) -> frozenset[tuple[str, ...]]:
    """Runs of five words; a shorter text is one run."""
    each = words(text)
    return frozenset(each[i : i + 5] for i in range(max(1, len(each) - 4)))


def alike(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)


def test_the_labelled_set_has_at_least_400_complete_rows() -> None:
    rows = labelled()
    assert len(rows) >= 400
    assert all(list(row) == ["id", "message", "intent", "customer"] for row in rows)
    assert [row for row in rows if not all(value.strip() for value in row.values())] == []


def test_every_intent_occurs_and_the_classes_are_unequal() -> None:
    counts = Counter(row["intent"] for row in labelled())
    assert set(counts) == INTENTS
    assert min(counts.values()) >= 35
    assert max(counts.values()) >= 1.5 * min(counts.values())


def test_ids_are_unique_in_the_set_and_in_the_bank() -> None:
    ids = [row["id"] for row in (*labelled(), *bank())]
    assert len(set(ids)) == len(ids)


def test_some_customers_write_more_than_once() -> None:
    counts = Counter(row["customer"] for row in labelled())
    assert 250 <= len(counts) < len(labelled())
    assert max(counts.values()) <= 3


def test_messages_vary_from_a_word_to_a_letter_and_hold_commas_quotes_and_newlines() -> None:
    messages = [row["message"] for row in labelled()]
    assert min(len(words(m)) for m in messages) == 1
    assert max(len(words(m)) for m in messages) >= 80
    assert all(any(sign in m for m in messages) for sign in (",", '"', "\n"))


def test_the_bank_has_ten_rows_of_every_intent() -> None:
    assert Counter(row["intent"] for row in bank()) == dict.fromkeys(INTENTS, 10)
    assert all(list(row) == ["id", "message", "intent"] for row in bank())


def test_no_two_messages_are_nearly_the_same_and_no_wording_of_the_bank_is_in_the_set() -> None:
    messages = [row["message"] for row in (*labelled(), *bank())]
    assert len({words(m) for m in messages}) == len(messages)
    runs = [grams(m) for m in messages]
    near = [(messages[i], messages[j]) for i in range(len(runs)) for j in range(i) if alike(runs[i], runs[j]) >= 0.8]
    assert near == []


def test_every_intent_is_described_in_the_labels_file() -> None:
    text = (FOLDER / "labels.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+):", text, re.MULTILINE)) == INTENTS
