"""What is said of passages found: the field's measures, by hand and by scikit-learn, and what they never do."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.records import Example, Passage
from promptlab.retrieve.decomposition import advise, blind, decompose
from promptlab.retrieve.gold import Answers
from promptlab.retrieve.limit import limited
from promptlab.retrieve.measure import NAMES, matches, measures


def found(*ids: str) -> list[Passage]:
    return [Passage(each, f"text of {each}", source=each.partition("#")[0]) for each in ids]


IDS = st.lists(st.integers(0, 11), unique=True, min_size=1, max_size=12).map(lambda ids: [f"p{i}" for i in ids])


def test_by_hand() -> None:
    got = measures(found("a", "b", "c", "d"), ["b", "d", "z"])
    assert got["hit_at_k"] == 1
    assert got["recall_at_k"] == pytest.approx(2 / 3)
    assert got["mrr"] == 1 / 2
    assert got["gold_rank"] == 2
    gained = 1 / math.log2(3) + 1 / math.log2(5)
    assert got["ndcg"] == pytest.approx(gained / (1 + 1 / math.log2(3) + 1 / 2))


@settings(max_examples=60, deadline=None)
@given(IDS, IDS, st.integers(1, 12))
def test_ndcg_is_that_of_scikit_learn(ids: list[str], gold: list[str], k: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    every = [f"p{i}" for i in range(12)]
    order = [*ids, *(each for each in every if each not in ids)]
    relevant = np.array([[float(each in gold) for each in every]])
    ranked = np.array([[float(-order.index(each)) for each in every]])
    assert measures(found(*order[:k]), gold)["ndcg"] == pytest.approx(metrics.ndcg_score(relevant, ranked, k=k))


@given(IDS, IDS)
def test_measures_stay_between_0_and_1_and_only_grow_with_k(ids: list[str], gold: list[str]) -> None:
    rows = [measures(found(*ids[:k]), gold, k) for k in range(len(ids) + 1)]
    for name in NAMES[:4]:
        assert all(0 <= row[name] <= 1 for row in rows)
    for name in ("hit_at_k", "recall_at_k", "mrr"):
        assert all(less[name] <= more[name] for less, more in itertools.pairwise(rows))


@given(IDS, st.integers(0, 5))
def test_all_gold_first_is_perfect(gold: list[str], more: int) -> None:
    got = measures(found(*gold, *(f"q{i}" for i in range(more))), gold)
    assert {got[name] for name in NAMES[:4]} == {1.0}
    assert got["gold_rank"] == 1


def test_several_pieces_of_one_document_count_once() -> None:
    got = measures(found("a#0-9", "a#9-20", "b#0-9"), ["a", "b"])
    assert got["recall_at_k"] == 1
    assert got["ndcg"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3)))
    assert measures(found("a#0-9", "a#9-20"), ["a", "b"])["recall_at_k"] == 1 / 2


def test_fewer_passages_than_asked_for_cannot_be_ideal() -> None:
    assert measures(found("a"), ["a", "b"])["ndcg"] == 1
    assert measures(found("a"), ["a", "b"], k=8)["ndcg"] == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_without_gold_nothing_is_known_but_the_tokens() -> None:
    got = measures(found("a"), [" "])
    assert all(math.isnan(got[name]) for name in NAMES[:5])
    assert got["passage_tokens"] > 0
    assert math.isnan(measures(found("a"), ["z"])["gold_rank"])
    assert measures([], ["z"]) | {"gold_rank": 0.0} == dict.fromkeys(NAMES, 0.0)


def test_gold_is_an_id_a_document_or_a_text() -> None:
    one = Passage("d.md#0-40", "The lamp  weighs\n78 g and a set of 4 pegs.", source="d.md")
    assert all(matches(one, gold) for gold in ("d.md#0-40", "d.md", "the lamp weighs 78 g"))
    assert not any(matches(one, gold) for gold in ("4", "d.md#40-80", "the lamp weighs 79 g", "", " "))
    assert matches(one, "4", ids={"d.md"})  # no id of the corpus: a text
    assert not matches(one, "4", ids={"4"})
    assert not matches(one, "", ids={"4"})
    assert not matches(Passage("x", "y"), "")


def test_a_passage_that_was_cut_counts_where_the_answer_or_the_gold_text_still_stands_in_it() -> None:
    whole = Passage("d.md#0-60", "The lamp weighs 78 grams. It comes in a box with a set of pegs.", source="d.md")
    answers = {word: Answers(Example("r", {}, word)) for word in ("78", "pegs")}
    held = {word: measures(limited((whole,), 99), ["d.md"], answers=each) for word, each in answers.items()}
    assert {row["hit_at_k"] for row in held.values()} == {1.0}  # whole: what it says does not matter
    cut = limited((whole,), 7)
    assert 0 < len(cut[0].text) < len(whole.text)
    got = {word: measures(cut, ["d.md#0-60", "d.md"], answers=each) for word, each in answers.items()}
    assert (got["78"]["hit_at_k"], got["78"]["mrr"], got["pegs"]["hit_at_k"], got["pegs"]["ndcg"]) == (1, 1, 0, 0)
    assert measures(cut, ["d.md"])["hit_at_k"] == 0  # the answer is not known
    assert measures(cut, ["the lamp weighs"])["hit_at_k"] == 1
    assert measures(cut, ["a set of pegs"])["hit_at_k"] == 0


# --- the parts of a score, and what to mend -------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, math.nan]), st.sampled_from([0.0, 0.5, 1.0, math.nan]), st.floats(0.25, 4)
        ),
        min_size=2,
        max_size=40,
    )
)
@settings(max_examples=50, deadline=None)
def test_the_parts_add_up_to_the_score(rows: list[tuple[float, float, float]]) -> None:
    hits, scores, weights = (np.array(each) for each in zip(*rows, strict=True))
    got = decompose(hits, scores, weights)
    assert got.score.n == got.hit.n == got.score_hit.n + got.score_miss.n
    if got.score.n:
        right = got.hit.value * np.nan_to_num(got.score_hit.value)
        wrong = (1 - got.hit.value) * np.nan_to_num(got.score_miss.value)
        assert right + wrong == pytest.approx(got.score.value)


def test_the_intervals_hold_their_means() -> None:
    hits, scores = [1.0] * 30 + [0.0] * 10, [1.0] * 24 + [0.0] * 6 + [1.0] * 2 + [0.0] * 8
    got = decompose(hits, scores)
    assert (got.hit.value, got.score_hit.value, got.score_miss.value) == (0.75, 0.8, 0.2)
    for part in (got.score, got.hit, got.score_hit, got.score_miss):
        assert part.interval.low < part.value < part.interval.high


def rate(share: float, n: int = 100) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Scores of so many rows, the first ones right."""
    return (np.arange(n) < share * n).astype(float)


def test_it_says_what_to_mend() -> None:
    retriever = advise(rate(0.5), rate(0.9), rate(0.1))
    assert retriever.mend == "retriever"
    assert retriever.sentence.startswith("Closed book 10.0, these passages 50.0, oracle 90.0; ")
    assert "+40.0 points [" in retriever.sentence
    assert retriever.sentence.endswith("mend the retriever.")
    assert advise(rate(0.3), rate(0.5), rate(0.1)).mend == "both"
    assert advise(rate(0.5), rate(0.5), rate(0.1)).mend == "prompt"
    assert advise(rate(1), rate(1), rate(0.1)).mend == "nothing"
    useless = advise(rate(0.2), rate(0.3), rate(0.3))
    assert useless.mend == "prompt"
    assert "not shown to help" in useless.sentence


def test_an_oracle_below_what_was_found_is_no_oracle() -> None:
    for closed in (None, rate(0), rate(0.3)):
        got = advise(rate(0.65), rate(0), closed)
        assert got.mend == "gold"
        assert "oracle below what was found (-65.0 points [" in got.sentence
        assert got.sentence.endswith("distrust `gold`, or the oracle's rows.")
    little = advise(rate(0.5), rate(0.49), rate(0.1))  # by chance
    assert little.mend == "prompt"
    assert "the oracle is not above what was found (-1.0 points" in little.sentence


def test_the_right_passages_are_not_said_useless_where_what_was_found_helps() -> None:
    closed, found = rate(0.3), rate(0.36)  # six rows more, and none lost
    for shift, mend in ((45, "gold"), (5, "prompt")):  # an oracle that is right on other rows; on hardly more
        right = np.roll(rate(0.35 if shift == 45 else 0.36), shift)
        assert "not shown to help" in advise(right, right, closed).sentence
        got = advise(found, right, closed)
        assert (got.mend, "not shown to help" in got.sentence) == (mend, False)


def test_an_oracle_that_knew_nothing_tells_nothing() -> None:
    unknown = blind(0.0, [0.0] * 20)
    assert unknown is not None
    assert unknown.mend == "gold"
    assert unknown.sentence.startswith("The oracle knew no passage: ")
    cut = blind(3.0, [0.0, 0.0, math.nan])
    assert cut is not None
    assert "`retrieval.max_tokens`" in cut.sentence
    assert blind(math.nan, None) is blind(9.0, [math.nan]) is blind(9.0, [0.0, 1.0]) is None


def test_of_scores_off_the_scale_nothing_is_advised() -> None:
    got = advise(10 * rate(0.5), 10 * rate(0.9), rate(0.1))
    assert (got.mend, got.sentence.split(" [")[0]) == ("", "Perfect retrieval could bring +4")


def test_it_advises_nothing_without_an_oracle_or_rows() -> None:
    assert "add `oracle`" in advise(rate(0.5), None).sentence
    few = advise(rate(0.5, 8), rate(1, 8))
    assert few.mend == ""
    assert few.sentence.startswith("8 rows")
