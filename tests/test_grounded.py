"""Whether an answer stands on its passages: quotes word for word, numbers cited, words covered; no model asked."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.records import Passage
from promptlab.retrieve.grounded import NAMES, citations, grounded, quotes, stands

LAMP = Passage("p1", "The TrailLamp 2 weighs 78 g.\nIt is rated IPX5: heavy rain does no harm.", title="TrailLamp 2")
STOVE = Passage("p2", "The Ember Solo weighs 98 g, and there is “no igniter” on it.")
BOTH = (LAMP, STOVE)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ('It says "weighs 78 g exactly" there.', ["weighs 78 g exactly"]),
        ("It says \u201cheavy rain does no harm\u201d.", ["heavy rain does no harm"]),
        ("\u201eheavy rain does\u201c and \u00abno harm to it\u00bb", ["heavy rain does", "no harm to it"]),
        ("\u2018it doesn\u2019t matter at all\u2019", ["it doesn\u2019t matter at all"]),
        ("> heavy rain does no harm\nso yes", ["heavy rain does no harm"]),
        ('a 5" and a 7" screen are not "quotes"', []),
        ('The "TrailLamp 2" is lighter', []),
    ],
)
def test_quotes_are_spans_in_quotation_marks(text: str, spans: list[str]) -> None:
    assert quotes(text) == spans


@pytest.mark.parametrize(
    "span",
    [
        "the traillamp 2   WEIGHS 78 g",
        "It is rated IPX5: heavy rain does no harm.",
        'there is "no igniter" on it',
        "The TrailLamp 2 … heavy rain",
        "The TrailLamp 2 [...] does no harm",
    ],
)
def test_a_quote_stands_word_for_word(span: str) -> None:
    assert stands(span, BOTH)


@pytest.mark.parametrize(
    "span", ["weighs 79 g", "weighs 8 g", "he TrailLamp 2", "heavy rain … TrailLamp", "TrailLamp 2 … Ember Solo", "…"]
)
def test_what_does_not_stand_there_is_no_quote(span: str) -> None:
    assert not stands(span, BOTH)


def test_citations_are_numbers_in_square_brackets() -> None:
    assert citations("so [1], [2, 3] and [5-7]; [1] again \u301012\u3011, not [x1], (4) or [a]") == [
        1,
        2,
        3,
        5,
        6,
        7,
        12,
    ]
    assert len(citations("[1-9999]")) == 52  # nobody cites thousands


def test_citations_are_right_where_they_are_gold() -> None:
    got = grounded("78 g", "78 g [1][2]", BOTH, ["p1"])
    assert (got["cite_precision"], got["cite_recall"]) == (0.5, 1)
    got = grounded("78 g", "78 g [2] [9] [0]", BOTH, ["p1", "p7"])
    assert (got["cite_precision"], got["cite_recall"]) == (0, 0)
    assert grounded("78 g", "78 g [0]", (STOVE, LAMP), ["p1"])["cite_precision"] == 0
    got = grounded("78 g", "78 g", BOTH, ["p1"])
    assert math.isnan(got["cite_precision"])
    assert got["cite_recall"] == 0
    assert math.isnan(grounded("78 g", "78 g [1]", BOTH)["cite_precision"])  # what is right is not known
    assert math.isnan(grounded("78 g", "78 g [1]", BOTH, ["p7"])["cite_recall"])  # what is right was not shown


def test_a_number_inside_a_quote_is_the_passages_own() -> None:
    wiki = Passage("w", "The tower is 330 m high.[4]")
    got = grounded("330 m", 'See [1]: "The tower is 330 m high.[4]"', (wiki,), ["w"])
    assert got["cite_precision"] == 1
    assert got["quoted"] == 1


def test_words_that_no_passage_has_are_not_covered() -> None:
    assert grounded("78 g", "78 g", BOTH)["covered"] == 1
    assert grounded("It weighs 78 g.", "", BOTH)["covered"] == 1
    some = grounded("78 g without batteries", "", BOTH)["covered"]
    assert 0 < some < 1
    assert grounded("Paris", "", BOTH)["covered"] == 0
    assert grounded({"weight": "78 g"}, "", BOTH)["covered"] == 1
    assert grounded("TrailLamp", "", BOTH)["covered"] == 1  # titles count
    assert grounded(None, "in Paris", BOTH)["covered"] == 0  # nothing was parsed: all it said


def test_rarer_words_count_more() -> None:
    common, rare = grounded("weighs Paris", "", BOTH)["covered"], grounded("igniter Paris", "", BOTH)["covered"]
    assert 0 < common < rare < 1


@pytest.mark.parametrize("answer", ["yes", "No.", "not stated", "Not mentioned in the passages.", "I don't know.", ""])
def test_what_claims_nothing_is_not_measured(answer: str) -> None:
    assert math.isnan(grounded(answer, answer, BOTH)["grounded"])


def test_grounded_is_covered_times_quoted() -> None:
    true = grounded("78 g", '"The TrailLamp 2 weighs 78 g."\n78 g', BOTH)
    assert (true["grounded"], true["quoted"]) == (1, 1)
    false = grounded("78 g", '"The lamp only weighs 78 g."\n78 g', BOTH)
    assert (false["grounded"], false["covered"]) == (0, 1)
    assert grounded("78 g", "78 g", BOTH)["grounded"] == 1


def test_without_passages_there_is_nothing_to_stand_on() -> None:
    assert all(math.isnan(value) for value in grounded("78 g", "78 g [1]", (), ["p1"]).values())


@given(st.text(max_size=200), st.lists(st.text(max_size=80), max_size=3), st.lists(st.text(max_size=5), max_size=2))
@settings(max_examples=100, deadline=None)
def test_every_measure_is_a_share_whatever_the_text(output: str, texts: list[str], gold: list[str]) -> None:
    got = grounded(output, output, [Passage(f"p{i}", text) for i, text in enumerate(texts)], gold)
    assert tuple(got) == NAMES
    assert all(math.isnan(value) or 0 <= value <= 1 for value in got.values())


def test_what_is_quoted_whole_is_grounded() -> None:
    for each in BOTH:
        line = each.text.replace("\n", " ")
        assert grounded(line, f"> {line}", BOTH)["grounded"] == 1


@pytest.mark.parametrize("mark", ['"', "\u2018", "\u201c", "[1", "> ", "[1,", '" ', "\u2018a b c", "[1 "])
def test_hostile_output_takes_no_time(mark: str) -> None:
    before = time.process_time()
    grounded(mark * 20_000, mark * 20_000, BOTH, ["p1"])
    assert time.process_time() - before < 1
