"""The space: counted and read by number against brute force; pins, holes, sizes without cost; ids by content."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_project import write

from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.pick import find_row, find_variant
from promptlab.prepare import Prepared, prepare
from promptlab.records import Slot
from promptlab.space import Space, pinned

When = tuple[tuple[str, tuple[Any, ...]], ...]


@st.composite
def trees(draw: st.DrawFn) -> tuple[Slot, ...]:
    """A few slots, some under values of others, some names again under values that exclude each other."""
    slots: list[Slot] = []

    def grow(when: When, depth: int, most: int) -> None:
        for _ in range(draw(st.integers(0 if depth else 1, most))):
            name = f"s{len(slots)}"
            values = tuple(range(draw(st.integers(1, 3))))
            slots.append(Slot(name, "choice", values, when))
            if depth == 2 or len(slots) > 5:
                continue
            cut = draw(st.integers(0, len(values)))
            sides = [side for side in (values[:cut], values[cut:]) if side]
            if draw(st.booleans()) and len(sides) == 2:  # one name, other values under each side
                again = f"s{len(slots)}"
                slots.extend(
                    Slot(again, "choice", (n, 7)[: n + 1], (*when, (name, side))) for n, side in enumerate(sides)
                )
            else:
                grow((*when, (name, sides[0])), depth + 1, 2)

    grow((), 0, 3)
    return tuple(slots)


def brute(slots: tuple[Slot, ...]) -> set[frozenset[tuple[str, Any]]]:
    """Every assignment (absent allowed) in which exactly the slots whose conditions hold have one of their values."""
    names = list(dict.fromkeys(slot.name for slot in slots))
    domains = [[None, *{v for s in slots if s.name == name for v in s.values}] for name in names]
    found = set()
    for values in itertools.product(*domains):
        point = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        allowed: dict[str, set[Any]] = {}
        for slot in slots:
            if all(point.get(name) in ok for name, ok in slot.when):
                allowed.setdefault(slot.name, set()).update(slot.values)
        if point.keys() == allowed.keys() and all(point[name] in allowed[name] for name in point):
            found.add(frozenset(point.items()))
    return found


@given(trees())
@settings(max_examples=150, deadline=None)
def test_numbers_are_the_points_that_brute_force_finds_each_once(slots: tuple[Slot, ...]) -> None:
    space = Space(slots)
    points = [space.point(number) for number in range(space.size)]
    frozen = [frozenset(point.items()) for point in points]
    assert len(set(frozen)) == len(frozen)
    assert set(frozen) == brute(slots)
    order = {name: place for place, name in enumerate(space.names())}
    assert all(sorted(point, key=order.__getitem__) == list(point) for point in points)
    assert all({slot.name for slot in space.active(point)} == set(point) for point in points)


@given(trees(), st.data())
@settings(max_examples=80, deadline=None)
def test_pins_and_holes_leave_what_brute_force_leaves(slots: tuple[Slot, ...], data: st.DataObject) -> None:
    slot = data.draw(st.sampled_from(slots))
    pins = {slot.name: (data.draw(st.sampled_from(slot.values)),)}
    other = data.draw(st.sampled_from(slots))
    hole = {other.name: data.draw(st.sampled_from(other.values))}
    [value] = pins[slot.name]
    left = tuple(replace(s, values=(value,)) if s.name == slot.name and value in s.values else s for s in slots)
    assert pinned(slots, pins) == left
    expected = {point for point in brute(left) if not hole.items() <= dict(point).items()}
    assert {frozenset(point.items()) for point in Space(left, (hole,)).points()} == expected


def test_numbers_outside_the_space_are_refused() -> None:
    space = Space((Slot("a", "choice", (1, 2)),))
    for number in (-1, 2):
        with pytest.raises(IndexError):
            space.point(number)


def test_a_space_of_a_million_million_points_costs_nothing() -> None:
    wide = tuple(Slot(f"s{n}", "choice", tuple(range(10))) for n in range(12))
    deep = tuple(
        Slot(f"t{n}", "choice", ("x", "y"), tuple((f"t{above}", ("x",)) for above in range(n))) for n in range(40)
    )
    began = time.process_time()
    space = Space((*wide, *deep))
    assert space.size == 10**12 * 41
    assert [space.point(10**12 * 40)[f"s{n}"] for n in range(12)][:2] == [9, 7]
    assert len(list(itertools.islice(space.points(), 100))) == 100
    assert len({space.variant(space.point(n), "x").id for n in range(0, space.size, space.size // 50)}) == 50
    assert time.process_time() - began < 1


# ---- what decides an id


def ids(folder: Path, **changes: Any) -> dict[str, Mapping[str, Any]]:
    """The variants of the small project, by id."""
    space = prepared(folder, **changes).space
    return {space.variant(values, "x").id: values for values in space.points()}


def prepared(folder: Path, **changes: Any) -> Prepared:
    return prepare(Experiment.load(write(folder, "http://127.0.0.1:9/v1", **changes)))


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "http://127.0.0.1:9/v1")
    return tmp_path


def now(folder: Path) -> set[str]:
    prepared = prepare(Experiment.load(folder / "experiment.yaml"))
    return {prepared.space.variant(values, "x").id for values in prepared.space.points()}


def rename_template(folder: Path) -> None:
    shutil.move(folder / "templates" / "colour.j2", folder / "templates" / "other.j2")
    edited(folder / "experiment.yaml", "template: colour", "template: other")


def reorder(folder: Path) -> None:
    edited(folder / "experiment.yaml", "k: [0, 2], select: [random]", "select: [random], k: [2, 0]")


def same_file_elsewhere(folder: Path) -> None:
    shutil.move(folder / "bank.jsonl", folder / "demos.jsonl")
    edited(folder / "experiment.yaml", "from: bank.jsonl", "from: demos.jsonl")


def other_search(folder: Path) -> None:
    edited(folder / "experiment.yaml", "seed: 5", "seed: 6")
    edited(folder / "experiment.yaml", "name: small", "name: large")
    edited(folder / "experiment.yaml", "id: tiny", "name: word, id: tiny")


@pytest.mark.parametrize("change", [rename_template, reorder, same_file_elsewhere, other_search])
def test_ids_do_not_follow_names_order_or_search(change: Callable[[Path], None], folder: Path) -> None:
    before = now(folder)
    assert len(before) == 12
    change(folder)
    assert now(folder) == before


def text(folder: Path) -> None:
    edited(folder / "templates" / "colour.j2", "One of:", "One of these:")


def params(folder: Path) -> None:
    edited(folder / "experiment.yaml", "max_tokens: 12", "max_tokens: 13")


def model(folder: Path) -> None:
    edited(folder / "experiment.yaml", "id: tiny", "id: tiny-2")


def model_params(folder: Path) -> None:
    edited(folder / "experiment.yaml", "id: tiny", "id: tiny, params: {top_p: 0.5}")


def descriptions(folder: Path) -> None:
    (folder / "labels.yaml").write_text("red: like blood\ngreen:\nblue:\n")
    edited(folder / "experiment.yaml", "label: colour", "label: colour\n  labels: labels.yaml")


@pytest.mark.parametrize("change", [text, params, model, model_params, descriptions])
def test_ids_follow_all_that_is_asked(change: Callable[[Path], None], folder: Path) -> None:
    before = now(folder)
    change(folder)
    assert not before & now(folder)


def test_the_bank_is_part_of_the_id_only_where_demos_are_shown(folder: Path) -> None:
    before = {key: values["bank.k"] for key, values in ids(folder).items()}
    edited(folder / "bank.jsonl", '"red"', '"blue"')
    after = now(folder)
    assert {before[key] for key in before.keys() & after} == {0}
    assert {before[key] for key in before.keys() - after} == {2}


def test_a_choice_cannot_stand_in_for_the_bank() -> None:
    space = Space((Slot("bank.k", "demos", (2,)),), bank="h")
    plain = Space((Slot("bank.k", "demos", (2,)),))
    assert space.variant({"bank.k": 2}, "x").id != plain.variant({"bank.k": 2, "bank": "h"}, "x").id


def test_origin_and_parents_do_not_change_the_id_and_inactive_slots_are_not_there() -> None:
    slots = (Slot("k", "demos", (0, 2)), Slot("order", "choice", ("a", "b"), (("k", (2,)),)))
    space = Space(slots)
    points = [space.point(number) for number in range(space.size)]
    assert points == [{"k": 0}, {"k": 2, "order": "a"}, {"k": 2, "order": "b"}]
    one = space.variant(points[0], "grid")
    assert space.variant(points[0], "evolve", ("v1",)).id == one.id
    more = Space((*slots[:1], replace(slots[1], values=("a", "b", "c"))))
    assert more.variant(points[1], "x").id == space.variant(points[1], "x").id


# ---- naming a variant and a row


def test_a_variant_is_named_by_id_or_by_slots(folder: Path) -> None:
    ready = prepare(Experiment.load(folder / "experiment.yaml"))
    assert find_variant(ready, " ") == ready.baseline
    asked = find_variant(ready, "tone=kind, bank.k=2")
    assert asked.slots == {**ready.baseline.slots, "tone": "kind", "bank.k": 2} | {
        name: asked.slots[name] for name in ("bank.select", "bank.seed", "bank.order")
    }
    assert find_variant(ready, asked.id).slots == asked.slots


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tne=kind", "there is no slot `tne`. Did you mean 'tone'?"),
        ("tone=kin", "the slot `tone` has no value 'kin'. Did you mean 'kind'?"),
        ("bank.order=given", "the slot `bank.order` does not exist at these values"),
        ("v00000000", "there is no variant 'v00000000'"),
    ],
)
def test_what_names_no_variant_is_told(words: str, said: str, folder: Path) -> None:
    ready = prepare(Experiment.load(folder / "experiment.yaml"))
    with pytest.raises(BadInput) as caught:
        find_variant(ready, words)
    assert said in str(caught.value)


def test_a_value_may_hold_commas(folder: Path) -> None:
    edited(folder / "templates" / "colour.j2", "[terse, kind]", "['terse', 'kind, warm']")
    ready = prepare(Experiment.load(folder / "experiment.yaml"))
    assert find_variant(ready, "tone=kind, warm,bank.k=2").slots["tone"] == "kind, warm"


def test_a_row_is_named_by_id_or_by_number(folder: Path) -> None:
    ready = prepare(Experiment.load(folder / "experiment.yaml"))
    assert find_row(ready, "m3").id == "m3"
    assert find_row(ready, "4").id == "m3"
    with pytest.raises(BadInput, match="there is no row 'm333'"):
        find_row(ready, "m333")
