"""Splits: partition, whole groups, memory, fractions, order-independence, files."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.dataset.leak import groups
from promptlab.dataset.split import Shares, remember, save, split
from promptlab.errors import BadInput
from promptlab.records import Example

WORDS = ["red", "green", "blue", "cat", "dog", "fish", "sun", "moon", "star", "tree", "river", "stone"]


def row(key, label="a", text=None, group=""):
    return Example(f"id{key}", {"text": f"unlike{key}" if text is None else text}, label, group)


def rows(count, labels=("a", "b", "c")):
    return [row(key, labels[key % len(labels)], "unlike" + "x" * key) for key in range(count)]


@st.composite
def sets(draw, least=12, most=60):
    """Sets with groups, equal texts, repeated wordings and skewed labels."""
    count = draw(st.integers(least, most))
    rng = random.Random(draw(st.integers(0, 10**6)))
    kinds = draw(st.integers(1, 6))
    grouped = draw(st.sampled_from([0.0, 0.3]))
    found = []
    for key in range(count):
        text = " ".join(rng.choices(WORDS, k=rng.randint(0, 8))) if rng.random() < 0.5 else "alone" + "x" * key
        group = f"g{rng.randint(0, count // 2)}" if rng.random() < grouped else ""
        found.append(row(key, f"label{min(rng.randint(0, kinds), rng.randint(0, kinds))}", text, group))
    return found


@st.composite
def singles(draw, least=12, most=60):
    """Sets in which no two rows are alike."""
    labels = draw(st.lists(st.sampled_from("abcde"), min_size=least, max_size=most))
    return [row(key, label, "alone" + "x" * key) for key, label in enumerate(labels)]


plans = st.builds(
    Shares,
    st.none(),
    st.sampled_from([None, 0.3, 0.4]),
    st.sampled_from([None, 0.3]),
    st.integers(0, 9),
)


def attempt(*arguments):
    """The split, or None where the rows do not suffice: that is a claim of its own."""
    try:
        return split(*arguments)
    except BadInput as error:
        if "too few rows" not in str(error):
            raise
        return None


@settings(max_examples=60, deadline=None)
@given(sets(), plans, st.booleans())
def test_every_row_is_in_one_split_and_no_group_crosses(examples, plan, needs_train):
    done = attempt(examples, plan, {}, needs_train)
    if done is None:
        return
    assert list(done) == [example.id for example in examples]
    assert set(done.values()) <= ({"train", "dev", "test"} if needs_train else {"dev", "test"})
    sides: dict[int, set[str]] = {}
    for example, group in zip(examples, groups(examples), strict=True):
        sides.setdefault(group, set()).add(done[example.id])
    assert all(len(side) == 1 for side in sides.values())


@settings(max_examples=60, deadline=None)
@given(sets(), plans, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_and_the_same_seed_gives_the_same(examples, plan, needs_train, rng):
    mixed = rng.sample(examples, len(examples))
    assert attempt(examples, plan, {}, needs_train) == attempt(mixed, plan, {}, needs_train)


@settings(max_examples=60, deadline=None)
@given(sets(least=24), plans, st.booleans(), st.randoms(use_true_random=False))
def test_adding_rows_moves_none_and_joins_groups_where_they_are(examples, plan, needs_train, rng):
    some = rng.sample(examples, rng.randint(12, len(examples)))
    before = attempt(some, plan, {}, needs_train)
    if before is None:
        return
    after = split(rng.sample(examples, len(examples)), plan, before, needs_train)
    assert {key: after[key] for key in before} == before
    sides: dict[int, set[str]] = {}
    number = dict(zip((each.id for each in examples), groups(examples), strict=True))
    for key, place in before.items():
        sides.setdefault(number[key], set()).add(place)
    for key, place in after.items():
        known = sides.get(number[key], {place})
        assert place in known
        if key not in before and "test" in known:
            assert place == "test"


@settings(max_examples=60, deadline=None)
@given(singles(), plans, st.booleans(), st.randoms(use_true_random=False))
def test_each_split_is_within_one_row_of_its_share_of_each_label_also_after_growth(examples, plan, needs_train, rng):
    everything = Shares(0.3, 0.4, 0.3, plan.seed)
    share = {"train": 0.3, "dev": 0.4, "test": 0.3} if needs_train else {"dev": 4 / 7, "test": 3 / 7}
    known = {}
    for count in (len(examples) // 2, len(examples)):
        present = examples[:count]
        done = attempt(present, everything, known, needs_train)
        if done is None:
            return
        counts = Counter((example.label, done[example.id]) for example in present)
        for label, total in Counter(example.label for example in present).items():
            for place, part in share.items():
                assert abs(counts[label, place] - part * total) < 1 + 1e-9
        known = done


def test_another_seed_gives_another_split():
    assert split(rows(60), Shares(seed=1), {}, False) != split(rows(60), Shares(seed=2), {}, False)


@pytest.mark.parametrize(
    ("plan", "needs_train", "expected"),
    [
        (Shares(), False, {"dev": 100, "test": 100}),
        (Shares(), True, {"train": 60, "dev": 70, "test": 70}),
        (Shares(0.3, 0.4, 0.3), True, {"train": 60, "dev": 80, "test": 60}),
        (Shares(0.2, 0.4, 0.4), False, {"dev": 100, "test": 100}),
        (Shares(train=0.5), True, {"train": 100, "dev": 50, "test": 50}),
        (Shares(dev=0.4, test=0.5), True, {"train": 20, "dev": 80, "test": 100}),
        (Shares(dev=0.8), False, {"dev": 160, "test": 40}),
    ],
)
def test_default_and_given_fractions(plan, needs_train, expected):
    """Train takes rows only if needed, by default .3; dev and test halve the rest; what is given is kept."""
    counts = Counter(split(rows(200), plan, {}, needs_train).values())
    assert all(abs(counts[place] - count) <= 1 for place, count in expected.items())
    assert set(counts) == set(expected)


def test_many_labels_of_one_row_each_still_halve_the_set():
    """Free text answers: rounding in each stratum must not add up."""
    done = split([row(key, f"answer {key} x") for key in range(101)], Shares(), {}, True)
    counts = Counter(done.values())
    assert abs(counts["train"] - 30.3) <= 1
    assert abs(counts["dev"] - 35.35) <= 1


def test_numbers_with_many_values_are_no_strata_but_few_are():
    amounts = [row(key, str(key % 30), "x" * (key + 1)) for key in range(60)]
    classes = [row(key, str(key % 3), "x" * (key + 1)) for key in range(60)]
    done = split(classes, Shares(), {}, False)
    assert Counter((each.label, done[each.id]) for each in classes) == {
        (label, place): 10 for label in "012" for place in ("dev", "test")
    }
    done = split(amounts, Shares(), {}, False)
    assert Counter(done.values()) == {"dev": 30, "test": 30}
    assert Counter((each.label, done[each.id]) for each in amounts).most_common(1)[0][1] == 2


def test_the_first_accepted_answer_is_the_stratum():
    examples = [row(key, ("yes" if key % 2 else "no", f"also {key}"), "x" * (key + 1)) for key in range(40)]
    done = split(examples, Shares(), {}, False)
    assert Counter(done[each.id] for each in examples if each.label[0] == "yes") == {"dev": 10, "test": 10}


def test_train_grows_only_out_of_dev():
    """First nothing needs train; later it is drawn from dev, in every label, and then nothing moves again."""
    first = split(rows(90), Shares(), {}, False)
    later = split(rows(90), Shares(), first, True)
    assert {key for key, place in later.items() if place == "test"} == {k for k, p in first.items() if p == "test"}
    assert Counter(later.values())["train"] == pytest.approx(45 * 0.3 / 0.65, abs=1.5)
    assert {rows(90)[int(key[2:])].label for key, place in later.items() if place == "train"} == {"a", "b", "c"}
    assert split(rows(90), Shares(), later, True) == later
    grown = split(rows(200), Shares(), later, True)
    assert {key: grown[key] for key in later} == later


def test_rows_in_train_stay_there_when_nothing_needs_train_any_more():
    first = split(rows(60), Shares(), {}, True)
    later = split(rows(120), Shares(), first, False)
    assert {key: later[key] for key in first} == first
    assert Counter(later.values())["train"] == Counter(first.values())["train"]
    assert abs(Counter(later.values())["dev"] - Counter(later.values())["test"]) <= 2


def test_a_dev_row_in_one_group_with_a_test_row_does_not_become_train():
    text = "please tell me where the parcel is that I ordered"
    first = split(rows(40), Shares(), {}, False)
    known = {**first, "idd": "dev", "idt": "test"}
    examples = [*rows(40), row("d", "a", text), row("t", "a", text)]
    later = split(examples, Shares(), known, True)
    assert (later["idd"], later["idt"]) == ("dev", "test")


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (("train", "dev"), "dev"),
        (("train", "test"), "test"),
        (("dev", "test"), "test"),
        (("train", "train"), "train"),
    ],
)
def test_a_new_row_that_joins_split_rows_goes_to_the_held_out_side(places, expected):
    """Nothing that is learnt from gains a copy of a held-out row."""
    base = split(rows(40), Shares(), {}, True)
    one, two = row("p", "a", "apple banana cherry", "g1"), row("q", "a", "lemon mango nutmeg", "g2")
    known = {**base, "idp": places[0], "idq": places[1]}
    bridges = [row("b", "a", "apple banana cherry", "g2")]
    done = split([*rows(40), one, two, *bridges], Shares(), known, True)
    assert (done["idp"], done["idq"], done["idb"]) == (*places, expected)


def test_near_duplicates_land_together():
    text = "I would like to know when my parcel is going to arrive at home{}"
    pairs = [row(f"n{key}", "a", text.format(mark)) for key, mark in enumerate(["", "!", " please", " please?"])]
    done = split([*rows(40), *pairs], Shares(), {}, True)
    assert len({done[each.id] for each in pairs}) == 1


@pytest.mark.parametrize("needs_train", [False, True])
def test_too_few_rows_are_refused_with_counts_and_remedy(needs_train):
    with pytest.raises(BadInput, match=r"too few rows for .*3 rows in 3 groups.*`split: all`"):
        split(rows(3), Shares(), {}, needs_train)
    with pytest.raises(BadInput, match=r"30 rows in 1 groups give"):
        split([row(key, group="one") for key in range(30)], Shares(), {}, False)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Shares(0.5, 0.4, 0.3), "add up to 1.2"),
        (Shares(0.1, 0.1, 0.1), "add up to 0.3"),
        (Shares(dev=-0.1), "split.dev is -0.1"),
        (Shares(dev=1.0), "no rows for test"),
        (Shares(test=0.0), "no rows for test"),
        (Shares(train=0.0), "no rows for train"),
    ],
)
def test_fractions_that_cannot_be_are_refused(plan, message):
    with pytest.raises(BadInput, match=message):
        split(rows(60), plan, {}, True)


def test_five_thousand_rows_are_split_in_under_five_seconds():
    rng = random.Random(3)
    examples = [row(key, rng.choice("abcd"), " ".join(rng.choices(WORDS, k=12)) + "x" * key) for key in range(500)]
    examples += [row(f"m{key}", rng.choice("abcd"), " ".join(rng.choices(BOOK, k=12))) for key in range(4500)]
    start = time.process_time()
    done = split(examples, Shares(), {}, True)
    assert time.process_time() - start < 5
    assert len(done) == 5000


BOOK = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in ("ra", "lo", "ment", "st", "ing", "er", "ous", "y")]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(["train", "dev", "test"])
    )
)
def test_what_is_saved_is_remembered(tmp_path_factory, splits):
    """Any id that UTF-8 can carry: quotes, line ends, NUL, a byte order mark."""
    path = tmp_path_factory.mktemp("s") / "splits.csv"
    save(path, splits)
    assert remember(path) == splits
    assert list(path.parent.iterdir()) == [path]


def test_saving_is_sorted_and_keeps_rows_that_are_gone(tmp_path: Path):
    path = tmp_path / "splits.csv"
    save(path, {"b": "dev", "a": "test", "gone": "train"})
    assert path.read_bytes() == b"id,split\na,test\nb,dev\ngone,train\n"
    assert remember(tmp_path / "none.csv") == {}


def test_an_edited_file_survives_and_a_damaged_one_is_told(tmp_path: Path):
    path = tmp_path / "splits.csv"
    path.write_bytes(b"\xef\xbb\xbfid,split\r\na,test\r\nb,dev\r\n")
    assert remember(path) == {"a": "test", "b": "dev"}
    path.write_text("id,split\na,tset\nb,dev\nb,test\nc\n")
    with pytest.raises(BadInput) as caught:
        remember(path)
    text = str(caught.value)
    assert "splits.csv:2: 'tset' is no split. Did you mean 'test'?" in text
    assert "splits.csv:4: the id 'b' is in two splits" in text
    assert "splits.csv:5: row 4 has 1 cells, the header has 2" in text
    path.write_text("key,split\na,test\n")
    with pytest.raises(BadInput, match="has the columns key, split"):
        remember(path)
