"""The door: who comes in, who is turned away for which reason, and the example that is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.admit import Door, admit
from promptlab.grams import Grams, grams, repeated
from promptlab.metrics import load
from promptlab.predict import Task
from promptlab.records import Endpoint, Example, Model, Slot, Variant
from promptlab.refusals import refusals
from promptlab.rewritten import Rewritten
from promptlab.space import Space
from promptlab.template import Source, parse
from promptlab.turns import turns
from promptlab.view import View

MODEL = Model("m", Endpoint("http://nowhere.invalid/v1"), "m")
TEXT = """{% choice task open %}
{% option plain %}
Name the topic of {{ message }}, please.
{% option same %}
Name the topic of {{ message }}, please.
{% option bare %}
Topic:
{% endchoice %}
{% choice tail %}{% option a %}Go.{% option b %}Go!{% endchoice %}
{% if message == "the odd one" and tail == "b" %}Odd.{% endif %}"""
ROWS = tuple(
    Example(f"r{k}", {"message": text}, "yes")
    for k, text in enumerate(
        [
            "my parcel has not come and nobody answers the telephone at your shop",
            "where is it",
            "the odd one",
            "I was charged two times for one and the same lamp in the spring sale",
            "how do I pay",
        ]
    )
)


def world(longest: int | None = None, rows: Sequence[Example] = ROWS, known: Sequence[str] = ()) -> tuple[View, Door]:
    made = parse("t.j2", {"t.j2": Source(TEXT, "t.j2")})
    slots = (replace(slot, when=(("template", ("t",)), *slot.when)) for slot in made.slots)
    fixed = (Slot("model", "choice", ("m",)), Slot("template", "choice", ("t",)))
    space = Space((*fixed, *slots), exclude=({"task": "bare", "tail": "b"},))
    baseline = space.variant(space.point(0), "baseline")
    shape = (1, len(rows))
    view = View(space, (), tuple(rows), (baseline,), np.full(shape, np.nan), np.zeros(shape, bool), np.ones(1, bool))
    task = Task({"t": made}, {"m": MODEL}, "text", {"main": load("exact")}, {"main": 1.0})
    return view, Door(task, rows, lambda: grams(rows, known), longest)


def new(view: View, text: str, **values: Any) -> Variant:
    slots = {**view.variants[0].slots, **values}
    return view.space.variant({**slots, "task": Rewritten(text, slots["task"])}, "p")


def reasons(view: View, door: Door | None, *proposed: Variant | None) -> list[str]:
    """Why each is turned away, alone; empty for who comes in."""
    return ["".join(admit(view, [each], door).refused) for each in proposed]


def test_what_is_new_and_fit_comes_in_in_order() -> None:
    view, door = world()
    proposed = [new(view, f"{word} ⟦1⟧") for word in ("Sort", "File", "Mark")]
    found = admit(view, proposed, door)
    assert found.admitted == tuple(proposed)
    assert found.refused == {}


def test_each_reason_is_counted_with_its_first_example() -> None:
    view, door = world()
    twice = new(view, "Sort ⟦1⟧")
    lost = new(view, "Sort it")
    found = admit(view, [twice, twice, view.variants[0], lost, None, new(view, "Sort them")], door)
    assert found.admitted == (twice,)
    assert found.refused == {
        "duplicate": {"count": 2, "example": f"{twice.id} (p): it is there already"},
        "placeholder": {"count": 3, "example": f"{lost.id} (p): the text of `task` has not each of ⟦1⟧ once"},
    }


def test_holes_frozen_choices_and_options_that_do_not_exist_are_refused() -> None:
    view, door = world()
    base = dict(view.variants[0].slots)
    hole = view.space.variant({**base, "task": Rewritten("Say:", "bare"), "tail": "b"}, "p")
    frozen = view.space.variant({**base, "tail": Rewritten("Go now.", "a")}, "p")
    unknown = view.space.variant({**base, "task": Rewritten("Say:", "nothing")}, "p")
    for each in (door, None):
        assert reasons(view, each, hole, frozen, unknown) == ["excluded", "frozen", "frozen"]


def test_what_is_no_point_of_the_space_is_refused_and_named() -> None:
    """A proposer of the user's own may give anything: ids of its own, slots that do not exist, half a point."""
    view, door = world()
    base = dict(view.variants[0].slots)
    number = Slot("params.temperature", "number", (0, 1))
    space = replace(view.space, slots=(*view.space.slots, number))
    base["params.temperature"] = 0
    view = replace(view, space=space, variants=(space.variant(base, "baseline"),))
    given = {
        "`params.temperature` is 1.5, none of 0, 1": {**base, "params.temperature": 1.5},
        "`params.temperature` is 'hot', none of 0, 1": {**base, "params.temperature": "hot"},
        "`template` is 'gone', none of t": {**base, "template": "gone"},
        "`nonsense` is 3, and not open here": {**base, "nonsense": 3},
        "it has no value for `tail`": {name: value for name, value in base.items() if name != "tail"},
    }
    for why, values in given.items():
        variant = space.variant(values, "own")
        found = admit(view, [variant], door)
        assert found.admitted == ()
        assert found.refused == {"outside": {"count": 1, "example": f"{variant.id} (own): {why}"}}
    made_up: Any = Variant({"task": "plain"}, "own")  # type: ignore[arg-type] - what a user may do
    unlike = Variant("v2", {**base, "tail": ["a"]}, "own")
    assert reasons(view, door, made_up, Variant("v1", base, "own"), unlike) == ["outside"] * 3
    bank = (Slot("bank.k", "demos", (0, 4)), Slot("bank.select", "choice", ("random",), (("bank.k", (4,)),)))
    space = replace(space, slots=(*space.slots, *bank))
    base["bank.k"] = 0
    view = replace(view, space=space, variants=(space.variant(base, "baseline"),))
    between = space.variant({**base, "params.temperature": 0.5}, "own")
    lists = [space.variant({**base, "bank.k": n, "bank.demos": tuple("abcd"[:n])}, "own") for n in (1, 4)]
    assert admit(view, [between, *lists]).admitted == (between, *lists), "numbers between, and lists of demos, may be"
    half = space.variant({**base, "bank.k": 4}, "own")
    assert admit(view, [half]).refused["outside"]["example"].endswith("it has no value for `bank.select`")


def test_what_was_turned_away_is_told_in_sentences() -> None:
    told = refusals(
        {
            "leak": {"count": 1, "example": "v1 (own): it repeats words of a row: 'my parcel'"},
            "duplicate": {"count": 1200, "example": "v2 (own): it sends the same as v3"},
        }
    )
    assert told == [
        "1,200 proposals turned away (it is there already): v2 (own): it sends the same as v3",
        "1 proposal turned away (it repeats a row that scores it): v1 (own): it repeats words of a row: 'my parcel'",
    ]
    assert refusals({}) == []


def test_who_sends_the_same_is_a_duplicate_and_who_differs_on_some_row_is_none() -> None:
    """Two options of one text, a text that says what an option says; but not what differs on a later row alone."""
    view, door = world(rows=(*ROWS[3:], ROWS[0], ROWS[1], ROWS[2]))
    base = dict(view.variants[0].slots)
    same = view.space.variant({**base, "task": "same"}, "grid")
    assert admit(view, [same], door).refused["duplicate"]["example"] == (
        f"{same.id} (grid): it sends the same as {view.variants[0].id}"
    )
    told = [new(view, "Name the topic of ⟦1⟧, please.", task="same"), new(view, "Name  the topic of ⟦1⟧, please.")]
    assert reasons(view, door, *told) == ["duplicate", ""]
    one, other = new(view, "Sort ⟦1⟧"), new(view, "Sort ⟦1⟧", tail="b")
    assert len(admit(view, [one, other], door).admitted) == 2
    frozen = Space(view.space.slots, (), view.space.contents)
    late = replace(view, space=frozen)
    pair = [frozen.variant({**base, "task": "bare", "tail": tail}, "grid") for tail in ("a", "b")]
    assert len(admit(late, pair, door).admitted) == 2


def test_equal_on_three_rows_is_not_yet_a_duplicate() -> None:
    text = '{% if message == "last" and tail == "b" %}Odd{% endif %}{{ message }}'
    made = parse("t.j2", {"t.j2": Source("---\nchoices: {tail: [a, b]}\n---\n" + text, "t.j2")})
    rows = tuple(Example(str(k), {"message": "last" if k == 20 else f"row {k}"}) for k in range(30))
    space = Space((Slot("model", "choice", ("m",)), Slot("template", "choice", ("t",)), *made.slots))
    a, b = (space.variant(each, "grid") for each in space.points())
    shape = (1, 30)
    view = View(space, (), rows, (a,), np.full(shape, np.nan), np.zeros(shape, bool), np.ones(1, bool))
    task = Task({"t": made}, {"m": MODEL}, "text", {"main": load("exact")}, {"main": 1.0})
    assert reasons(view, Door(task, rows, lambda: grams(rows)), b) == [""]
    assert reasons(view, Door(task, rows[:20], lambda: grams(rows)), b) == ["duplicate"]


def test_the_same_prompt_with_other_parameters_or_another_parser_is_no_duplicate() -> None:
    view, door = world()
    base = dict(view.variants[0].slots)
    space = replace(view.space, slots=(*view.space.slots, Slot("params.temperature", "number", (0, 1))))
    warm = [space.variant({**base, "params.temperature": t}, "grid") for t in (0.5, 1.0)]
    assert len(admit(replace(view, space=space), warm, door).admitted) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Say ⟦1⟧, like: MY PARCEL has not come -- and nobody answers the phone", "leak"),
        ("Say ⟦1⟧. my parcel has not come and nobody calls", ""),
        ('Say ⟦1⟧, for example "How do I pay?"', "leak"),
        ("Say ⟦1⟧, and how people pay", ""),
        ("Say where is it: ⟦1⟧", ""),
        ("Say ⟦1⟧, as in: where is it -> yes", "leak"),
        ("Say yes or no to ⟦1⟧", ""),
        ("I was charged two times for one and the ⟦1⟧", "leak"),
        ("I was charged two times for ⟦1⟧ one and the same", ""),
    ],
)
def test_texts_that_repeat_rows_are_refused_and_labels_are_free(text: str, reason: str) -> None:
    """Eight words in a row of a row; a whole short one; one of under four words only with its answer."""
    view, door = world()
    assert reasons(view, door, new(view, text)) == [reason]


def test_what_train_or_the_template_says_as_well_is_no_leak_and_neither_is_a_manner_of_speaking() -> None:
    leaky = "Say ⟦1⟧, like: my parcel has not come and nobody answers the telephone"
    view, door = world(known=["My parcel has not come, and nobody answers the telephone at home"])
    assert reasons(view, door, new(view, leaky)) == [""]
    start = "please tell me in a few words what the meaning of this is:"
    rows = [Example(str(k), {"message": f"{start} number {k}"}) for k in range(300)]
    assert repeated(f"They say: {start}", grams(rows)) == ""
    assert repeated(f"They say: {start}", grams(rows[:2])) != ""


def test_the_refusal_names_the_words_and_the_door_holds_no_row() -> None:
    view, door = world()
    found = admit(view, [new(view, "⟦1⟧ how do i pay")], door)
    assert found.refused["leak"]["example"].endswith("it repeats words of a dev or test row: 'how do i pay'")
    assert all(codes.dtype == np.uint64 for codes in door.secret.runs.values())


def test_too_long_a_prompt_is_refused_by_its_original_or_by_the_experiments_word() -> None:
    view, door = world()
    long, longer = new(view, "Say ⟦1⟧ " + "well " * 400), new(view, "Say ⟦1⟧ " + "well " * 700)
    assert reasons(view, door, long, longer) == ["", "long"]
    view, door = world(longest=100)
    assert reasons(view, door, long, new(view, "Say ⟦1⟧")) == ["long", ""]
    assert ": 4" in admit(view, [long], door).refused["long"]["example"]
    view, door = world(longest=5)
    point = view.space.variant({**view.variants[0].slots, "task": "bare"}, "grid")
    assert reasons(view, door, point) == ["long"], "the experiment's word holds for all"


def test_a_text_that_cannot_be_rendered_is_refused_not_run() -> None:
    text = (
        "{% choice task open %}{% option a %}{% system %}A{% endsystem %}{% endchoice %}{% user %}{{ x }}{% enduser %}"
    )
    made = parse("t.j2", {"t.j2": Source(text, "t.j2")})
    space = Space((Slot("model", "choice", ("m",)), Slot("template", "choice", ("t",)), *made.slots))
    base = space.variant(space.point(0), "baseline")
    rows = (Example("r", {"x": "x"}),)
    view = View(space, (), rows, (base,), np.full((1, 1), np.nan), np.zeros((1, 1), bool), np.ones(1, bool))
    task = Task({"t": made}, {"m": MODEL}, "text", {"main": load("exact")}, {"main": 1.0})
    door = Door(task, rows, lambda: Grams({}))
    fine, bad = space.rewritten(base, "task", "⟦1⟧B⟦2⟧", "p"), space.rewritten(base, "task", "⟦2⟧B⟦1⟧", "p")
    assert reasons(view, door, fine, bad) == ["", "broken"]


def test_the_door_opens_for_a_thousand_points_in_a_second() -> None:
    view, door = world()
    space = replace(view.space, slots=(*view.space.slots, Slot("params.seed", "number", tuple(range(1000)))))
    base = dict(view.variants[0].slots)
    points = [space.variant({**base, "params.seed": k}, "grid") for k in range(1000)]
    with pytest.MonkeyPatch.context() as patch:
        counts: dict[str, int] = {}
        real = Task.prompt
        patch.setattr(Task, "prompt", lambda self, v: counts.update({v.id: counts.get(v.id, 0) + 1}) or real(self, v))
        found = admit(replace(view, space=space), points, door)
        assert len(found.admitted) == 1000
        admit(replace(view, space=space, variants=(*view.variants, *found.admitted)), [], door)
    assert max(counts.values()) == 1, "each is rendered once, however many rounds there are"


@given(
    shares=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=1, max_size=4),
    wants=st.lists(st.integers(0, 7), max_size=30),
)
def test_turns_keep_to_the_shares_over_all_rounds(shares: list[float], wants: list[int]) -> None:
    given = [0] * len(shares)
    for want in wants:
        more = turns(want, shares, given)
        assert sum(more) == want
        assert min(more) >= 0
        given = [had + got for had, got in zip(given, more, strict=True)]
        for share, had in zip(shares, given, strict=True):
            assert abs(had - sum(given) * share / sum(shares)) < 1.5


def test_equal_shares_go_by_turns() -> None:
    given = [0, 0, 0]
    order = []
    for _ in range(6):
        more = turns(1, [1.0, 1.0, 1.0], given)
        order.append(more.index(1))
        given = [had + got for had, got in zip(given, more, strict=True)]
    assert order == [0, 1, 2, 0, 1, 2]


VALUES: Mapping[str, str] = {
    "日本語": "荷物がまだ届いていませんどうすればいいですか",
    "ar": "لم يصل الطرد الخاص بي بعد وأنا أنتظر منذ أسبوع كامل",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_rows_in_any_script_are_recognised(value: str) -> None:
    secret = grams([Example("r", {"x": value, "n": 17, "list": ["a", "b"]}, "yes")])
    assert repeated(f"Say so. {value}!", secret)
    assert not repeated("Say so.", secret)
    assert not repeated("", secret)
