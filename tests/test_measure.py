"""What is said of passages found: the field's measures, by hand and by scikit-learn, and what they never do."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.records import Passage
from promptlab.retrieve.decomposition import advise, decompose
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
    assert retriever.sentence.startswith("Closed book 0.10, these passages 0.50, oracle 0.90; ")
    assert "+0.40" in retriever.sentence
    assert retriever.sentence.endswith("mend the retriever.")
    assert advise(rate(0.3), rate(0.5), rate(0.1)).mend == "both"
    assert advise(rate(0.5), rate(0.5), rate(0.1)).mend == "prompt"
    assert advise(rate(1), rate(1), rate(0.1)).mend == "nothing"
    useless = advise(rate(0.2), rate(0.3), rate(0.3))
    assert useless.mend == "prompt"
    assert "not shown to help" in useless.sentence


def test_of_scores_off_the_scale_nothing_is_advised() -> None:
    got = advise(10 * rate(0.5), 10 * rate(0.9), rate(0.1))
    assert (got.mend, got.sentence.split(" [")[0]) == ("", "Perfect retrieval could bring +4.00")


def test_it_advises_nothing_without_an_oracle_or_rows() -> None:
    assert "add `oracle`" in advise(rate(0.5), None).sentence
    few = advise(rate(0.5, 8), rate(1, 8))
    assert few.mend == ""
    assert few.sentence.startswith("8 rows")
