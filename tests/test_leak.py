"""Near-duplicates: what is folded, which rows are one group, which demos say the same as a row."""

from __future__ import annotations

import math
import random
import time
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.dataset.leak import groups, normalise, overlaps, text_of
from promptlab.dataset.near import near_pairs
from promptlab.records import Example

LONG = "how do I cancel the order for two red chairs that I placed with you last night"
CHINESE = "\u6211\u60f3\u53d6\u6d88\u6628\u5929\u5728\u4f60\u4eec\u7f51\u7ad9\u4e0b\u7684\u8ba2\u5355"


def row(text, label="a", group=""):
    return Example(f"id {text}", {"text": text}, label, group)


def together(*texts, labels=None):
    """Whether all rows are one group."""
    labels = labels or ["a"] * len(texts)
    return len(set(groups([row(text, label) for text, label in zip(texts, labels, strict=True)]))) == 1


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Where is\tmy ORDER?!\n", "where is my order"),
        ("order 1,234.50 of 12", "order 0 of 0"),
        ("don't don\u2019t", "dont dont"),
        ("\uff26\uff55\uff4c\uff4c \u2168 stra\u00dfe", "full ix strasse"),
        ("C++ C# C", "c + + c c"),
        ("great \U0001f600", "great \U0001f600"),
        ("\u0915\u094d\u092f\u093e?", "\u0915\u094d\u092f\u093e"),
        ("zero\u200bwidth soft\u00adhyphen", "zerowidth softhyphen"),
        ("???", "???"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_case_punctuation_numbers_and_white_space_are_folded(text, folded):
    assert normalise(text) == folded


@given(st.text())
def test_normalising_twice_is_normalising_once(text):
    assert normalise(normalise(text)) == normalise(text)


def test_the_text_of_a_row_is_its_inputs_by_name_and_json_for_other_types():
    example = Example("1", {"b": "x", "a": [1, {"k": "\u00e9"}], "c": None, "d": True})
    assert text_of(example) == '[1, {"k": "\u00e9"}]\nx\n\ntrue'
    assert text_of(example, ["b", "missing"]) == "x"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Where is my order?", "where is  my ORDER", True),
        ("how do I cancel the order that I placed last night", "How do I cancel the order I placed last night", False),
        (f"{LONG} please", LONG, True),
        ("how do I cancel my order", "how do I change my order", False),
        ("cancel my order", "cancel my orders please", False),
        ("cancel my order", "cancel my order please", False),
        ("yes", "yes!", True),
        ("???", "!!!", False),
        ("???", "???", True),
        ("", "", False),
        (" ", "\n", False),
        (CHINESE, f"{CHINESE}\u4e86", True),
        (CHINESE, "\u4ed6\u4e0d\u77e5\u9053\u5728\u54ea\u91cc\u4ed8\u6b3e\u5462\u5417", False),
    ],
)
def test_what_counts_as_the_same_text(one, other, expected):
    assert together(one, other) is expected


def test_a_long_text_with_one_word_changed_is_near():
    words = [f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(60)]
    changed = [*words[:30], "other", *words[31:]]
    assert together(" ".join(words), " ".join(changed))
    assert not together(" ".join(words), " ".join([*words[:30], *(f"new{w}" for w in words[30:])]))


def test_numbers_are_folded_where_the_wording_always_has_one_label():
    assert together("where is order 1234", "where is order 9999")
    assert together("my order 1234 has not come yet please help", "my order 88 has not come yet, please help me")


def test_numbers_are_kept_where_they_can_change_the_answer():
    assert not together("what is 17*23", "what is 90*12", labels=["391", "1080"])
    primes = [
        row("is 17 prime", "yes"),
        row("is 23 prime", "yes"),
        row("is 18 prime", "no"),
        row("Is 17 prime?", "yes"),
    ]
    assert groups(primes) == [0, 1, 2, 0]
    assert not together("where is order 1234", "where is order 9999", labels=[None, None])
    assert together("where is order 1234?", "where is order 1234", labels=[None, None])


def test_equal_texts_are_together_whatever_their_labels():
    assert together("I want my money back now", "i want my money back now!", labels=["a", "b"])


def test_groups_are_transitive_and_named_groups_count():
    rows = [row("alpha", group="x"), row("beta", group="x"), row("Beta!"), row("gamma"), row("", group="x"), row("")]
    assert groups(rows) == [0, 0, 0, 1, 0, 2]
    assert groups([]) == []


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a b c d", "A b c d!", "7 up", "8 up", "e f g h", "e f g h i j", "", "?"]),
                       st.sampled_from(["x", "y", None]), st.sampled_from(["", "", "g"])), max_size=14),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_which_rows_are_together_does_not_depend_on_their_order(cells, rng):
    rows = [Example(str(place), {"t": text}, label, group) for place, (text, label, group) in enumerate(cells)]
    mixed = rng.sample(rows, len(rows))

    def partition(examples):
        parts: dict[int, set[str]] = {}
        for example, group in zip(examples, groups(examples), strict=True):
            parts.setdefault(group, set()).add(example.id)
        return {frozenset(part) for part in parts.values()}

    assert partition(rows) == partition(mixed)


def slow_pairs(texts):
    """The definition, pair by pair."""
    kept = [place for place, words in enumerate(texts) if len(words) >= 4]
    features = {p: Counter([*texts[p], *zip(texts[p], texts[p][1:], strict=False)]) for p in kept}
    having = Counter(feature for p in kept for feature in features[p])
    vectors = {}
    for p in kept:
        vector = {
            f: (1 + math.log(n)) * (math.log((1 + len(kept)) / (1 + having[f])) + 1) for f, n in features[p].items()
        }
        length = math.sqrt(sum(value**2 for value in vector.values()))
        vectors[p] = {f: value / length for f, value in vector.items()}
    grams = {p: set(zip(*(texts[p][k:] for k in range(5)), strict=False)) for p in kept}
    often = Counter(gram for p in kept for gram in grams[p])
    grams = {p: {gram for gram in grams[p] if often[gram] <= max(20, len(kept) / 2)} for p in kept}
    found = {}
    for i in kept:
        for j in kept:
            cosine = sum(value * vectors[j].get(f, 0) for f, value in vectors[i].items())
            union = len(grams[i] | grams[j])
            jaccard = len(grams[i] & grams[j]) / union if union else 0
            near = [value for value, least in ((cosine, 0.9), (jaccard, 0.8)) if value >= least - 1e-9]
            if i < j and near:
                found[i, j] = max(near)
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.sampled_from([3, 8, 40]))
def test_the_fast_search_finds_exactly_the_pairs_of_the_definition(seed, count, vocabulary):
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        if texts and rng.random() < 0.5:
            words = list(rng.choice(texts))
            for _ in range(rng.randint(0, 2)):
                words.insert(rng.randint(0, len(words)), f"w{rng.randint(0, vocabulary)}")
        else:
            words = [f"w{rng.randint(0, vocabulary)}" for _ in range(rng.randint(0, 30))]
        texts.append(words)
    found: dict[tuple[int, int], float] = {}
    for i, j, similarity in near_pairs(texts, len(texts)):
        found[i, j] = max(similarity, found.get((i, j), 0))
    assert found == pytest.approx(slow_pairs(texts))
    first = rng.randint(0, count)
    assert {(i, j) for i, j, _ in near_pairs(texts, first)} == {(i, j) for i, j in found if i < first}


def test_boilerplate_that_most_rows_carry_makes_no_duplicates():
    """Only the last word tells the rows apart: they are rows of their own."""
    head = " ".join(f"instruction{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(40))
    rows = [row(f"{head} {chr(97 + i // 26)}{chr(97 + i % 26)}{'x' * i}") for i in range(100)]
    assert len(set(groups(rows))) == 100


def test_demos_that_equal_or_nearly_equal_a_row_are_found_with_their_similarity():
    demos = [row("Where is my order?"), row(f"{LONG}, please"), row("open an account"), row("")]
    rows = [row("what do you sell"), row("where is my order", "b"), row(LONG), row(""),
            row("WHERE IS MY ORDER")]  # fmt: skip
    found = overlaps(demos, rows)
    assert [(demo, place) for demo, place, _ in found] == [(0, 1), (0, 4), (1, 2)]
    assert found[0][2] == 1.0
    assert 0.9 <= found[2][2] < 1
    assert overlaps([], rows) == overlaps(demos, []) == overlaps([], []) == []


def test_demos_are_compared_on_the_inputs_that_both_have():
    demo = Example("d", {"message": "my card was charged twice"}, "billing")
    example = Example("r", {"message": "My card was charged twice!", "customer": "a long name"}, "billing")
    assert overlaps([demo], [example]) == [(0, 0, 1.0)]


def test_a_demo_that_differs_in_numbers_is_refused_only_if_the_label_is_the_same():
    assert overlaps([row("where is order 12")], [row("where is order 99")]) == [(0, 0, 1.0)]
    assert overlaps([row("what is 17*23", "391")], [row("what is 90*12", "1080")]) == []
    assert overlaps([row("where is order 12", "x")], [row("where is order 99", ("x", "y"))]) == [(0, 0, 1.0)]


def test_ten_thousand_rows_with_a_common_head_take_under_ten_seconds():
    rng = random.Random(1)
    vocabulary = ["".join(rng.choices("abcdefghij", k=7)) for _ in range(5000)]
    weights = [1 / (rank + 1) for rank in range(5000)]
    head = " ".join(vocabulary[:20])
    rows = [row(f"{head} {' '.join(rng.choices(vocabulary, weights, k=rng.randint(5, 25)))}") for _ in range(10_000)]
    start = time.process_time()
    found = groups(rows)
    assert time.process_time() - start < 10
    assert len(found) == 10_000


def test_memory_stays_bounded():
    rng = random.Random(2)
    vocabulary = ["".join(rng.choices("abcdefghij", k=7)) for _ in range(300)]
    rows = [row(" ".join(rng.choices(vocabulary, k=12))) for _ in range(3000)]
    tracemalloc.start()
    groups(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6
