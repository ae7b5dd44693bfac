"""The bank: k demos for every row, drawn so that other demos move none; never the row itself, never its wording."""

from __future__ import annotations

import itertools
import random
import string
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.bank import ORDERS, SELECTIONS, Bank
from promptlab.records import Example, Passage

LABELS = ("red", "green", "blue")


def demo(n: int, text: str = "", label: str = "") -> Example:
    rng = random.Random(n)
    words = " ".join("".join(rng.choices(string.ascii_lowercase, k=5)) for _ in range(6))
    return Example(f"d{n}", {"text": text or words}, label or LABELS[n % 3])


def bank(size: int) -> Bank:
    return Bank(tuple(demo(n) for n in range(size)))


def slots(k: int, select: str = "random", seed: Any = 1, order: str = "given") -> dict[str, Any]:
    return {"bank.k": k, "bank.select": select, "bank.seed": seed, "bank.order": order}


def ids(demos: tuple[Example, ...]) -> list[str]:
    return [each.id for each in demos]


ROW = Example("row", {"text": "a question about nothing that the bank knows"}, "red")


@pytest.mark.parametrize("select", SELECTIONS)
@pytest.mark.parametrize("order", ORDERS)
@given(st.integers(0, 12), st.integers(0, 3), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_k_is_exact_and_the_same_asked_again_of_another_bank_object(
    select: str, order: str, k: int, seed: int, extra: int
) -> None:
    asked = slots(k, select, seed, order)
    found = ids(bank(k + extra).select(asked, ROW))
    assert len(set(found)) == len(found) == k
    assert found == ids(bank(k + extra).select(asked, ROW))


@pytest.mark.parametrize("select", SELECTIONS)
@given(st.integers(1, 6), st.integers(0, 30), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_k_is_exact_however_many_demos_say_what_the_row_says(select: str, k: int, copies: int, spare: int) -> None:
    same = [demo(100 + n, f"A Question,  about nothing{'!' * n} that the bank knows") for n in range(copies)]
    others = [demo(n) for n in range(k + spare)]
    mixed = random.Random(copies).sample([*same, *others], copies + k + spare)
    found = Bank(tuple(mixed)).select(slots(k, select), ROW)
    assert len(found) == k
    assert not {each.id for each in same} & set(ids(found))


def test_fewer_demos_than_k_give_what_there_is() -> None:
    assert len(bank(3).select(slots(5), ROW)) == 3
    assert bank(3).select({}, ROW) == ()


def test_a_row_is_never_its_own_demo_though_it_is_in_the_bank() -> None:
    whole = bank(9)
    for row in whole.demos:
        assert all(row.id not in ids(whole.select(slots(8, select), row)) for select in SELECTIONS)


def test_an_id_alone_makes_no_copy() -> None:
    whole = bank(4)
    assert len(whole.select(slots(4), replace(ROW, id="d2"))) == 4  # ids of two files may meet by chance


def test_other_numbers_are_another_question() -> None:
    sums = Bank(tuple(demo(n, f"what is {n} + {7 * n}?") for n in range(1, 9)))
    found = sums.select(slots(7), Example("r", {"text": "What is 3 + 21"}))
    assert len(found) == 7
    assert "d3" not in ids(found)


def test_columns_that_only_the_bank_has_do_not_count() -> None:
    wide = Bank(tuple(replace(each, inputs={**each.inputs, "note": "n" * n}) for n, each in enumerate(bank(6).demos)))
    row = Example("r", {"text": wide.demos[2].inputs["text"]})
    assert "d2" not in ids(wide.select(slots(5, "nearest"), row))


@given(st.integers(1, 8), st.integers(0, 20), st.sampled_from(["random", "balanced"]), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_a_new_demo_takes_at_most_one_place_and_moves_no_other(k: int, place: int, select: str, seed: int) -> None:
    before = bank(20)
    after = Bank((*before.demos[:place], demo(77), *before.demos[place:]))
    old, new = (set(ids(each.select(slots(k, select, seed), ROW))) for each in (before, after))
    assert new - old <= {"d77"}
    assert len(old - new) == len(new - old)


def test_a_smaller_draw_is_the_beginning_of_a_larger_one() -> None:
    for select in ("random", "balanced"):
        draws = [set(ids(bank(20).select(slots(k, select), ROW))) for k in range(1, 12)]
        assert all(less < more for less, more in itertools.pairwise(draws))


def test_seeds_draw_differently_and_rows_alike() -> None:
    draws = {tuple(ids(bank(20).select(slots(4, seed=seed), ROW))) for seed in range(8)}
    assert len(draws) >= 6
    other = replace(ROW, id="other", inputs={"text": "something else entirely"})
    assert bank(20).select(slots(4), ROW) == bank(20).select(slots(4), other)


def test_every_demo_is_drawn_about_as_often() -> None:
    counts = Counter(name for seed in range(600) for name in ids(bank(10).select(slots(3, seed=seed), ROW)))
    assert all(130 < counts[f"d{n}"] < 230 for n in range(10)), counts  # 180 expected, sd 11


@given(st.integers(1, 15), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_balanced_draws_differ_by_at_most_one_per_label(k: int, seed: int) -> None:
    uneven = Bank((*(demo(n, label="red") for n in range(20)), *(demo(50 + n) for n in range(15))))
    counts = Counter(each.label for each in uneven.select(slots(k, "balanced", seed), ROW))
    assert max(counts.values()) - min(counts[label] for label in LABELS) <= 1


def test_nearest_are_those_that_share_most_with_the_row() -> None:
    known = Bank((
        demo(0, "where is my parcel"), demo(1, "cancel the order please"), demo(2, "my parcel has not arrived yet"),
        demo(3, "password forgotten"),
    ))  # fmt: skip
    row = Example("r", {"text": "the parcel has not arrived"})
    assert ids(known.select(slots(2, "nearest"), row)) == ["d0", "d2"]
    assert ids(known.select(slots(1, "nearest"), row)) == ["d2"]
    assert ids(known.select(slots(2, "nearest", order="nearest-last"), row)) == ["d0", "d2"]
    flipped = Bank(known.demos[::-1])
    assert ids(flipped.select(slots(2, "nearest"), row)) == ["d2", "d0"]
    assert ids(flipped.select(slots(2, "nearest", order="nearest-last"), row)) == ["d0", "d2"]


def test_orders_are_the_files_a_seeded_shuffle_and_the_nearest_last() -> None:
    whole = bank(12)
    given_ids = ids(whole.select(slots(6), ROW))
    assert given_ids == sorted(given_ids, key=lambda name: int(name[1:]))
    shuffled = {seed: ids(whole.select(slots(12, seed=seed, order="shuffled"), ROW)) for seed in range(4)}
    assert all(sorted(each) == sorted(f"d{n}" for n in range(12)) for each in shuffled.values())
    assert len(set(map(tuple, shuffled.values()))) == 4
    near = Example("r", {"text": f"{whole.demos[4].inputs['text']} indeed"})
    assert ids(whole.select(slots(12, order="nearest-last"), near))[-1] == "d4"


@pytest.mark.parametrize(
    "change",
    [{"label": "pink"}, {"inputs": {"text": "t"}}, {"id": "z"}, {"passages": (Passage("p", "text"),)}],
    ids=lambda change: next(iter(change)),
)
def test_the_hash_follows_all_that_demos_show(change: dict[str, Any]) -> None:
    whole = bank(3)
    assert bank(3).hash == whole.hash
    assert Bank((replace(whole.demos[0], **change), *whole.demos[1:])).hash != whole.hash
    assert Bank(whole.demos[::-1]).hash != whole.hash
