"""Proposers that ask no meta model: lists of demos, formats, TPE, ensembles; and the adapter of the package gepa.

Every one is pure in view and generator, keeps to the space, and does what its docstring names.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.bank import Bank
from promptlab.errors import BadInput, CallFailed
from promptlab.importing import implementation
from promptlab.metrics import load as load_metric
from promptlab.predict import Label, Task, predict
from promptlab.proposers import demos as demos_of
from promptlab.proposers import ensemble as ensembles
from promptlab.proposers import format as formats
from promptlab.proposers.demos import demos
from promptlab.proposers.ensemble import Ensemble, _pool, fitted, together, worth
from promptlab.proposers.format import FORMATS, SPELLINGS, dressed
from promptlab.proposers.random import draw
from promptlab.records import Completion, Endpoint, Example, Flow, Model, Request, Slot, Variant
from promptlab.rewritten import Rewritten
from promptlab.space import TOKEN, Space
from promptlab.template import Source, parse
from promptlab.view import Failure, View
from promptlab.vote import coded, spoken, vote

MODEL = Model("m", Endpoint("http://nowhere.invalid/v1"), "m")
TEXT = "Sort the message. Answer with one of ⟦1⟧. Nothing else."
SHOWN = (("template", ("shown",)),)
SOME = (*SHOWN, ("bank.k", (2, 4)))
SLOTS = (
    Slot("model", "choice", ("m",)),
    Slot("template", "choice", ("bare", "shown")),
    Slot("task", "text", ("plain", "short"), SHOWN, open=True, texts=(TEXT, "Sort it: ⟦1⟧")),
    Slot("bank.k", "demos", (0, 2, 4), SHOWN),
    Slot("bank.select", "choice", ("random", "nearest"), SOME),
    Slot("bank.seed", "number", (1, 2), (*SOME, ("bank.select", ("random",)))),
)
WORDS = [
    "apple",
    "river",
    "stone",
    "cloud",
    "table",
    "green",
    "music",
    "paper",
    "light",
    "horse",
    "glass",
    "metal",
    "north",
    "ocean",
    "tower",
]
BANK = Bank(
    tuple(
        Example(
            f"d{n}", {"message": " ".join(WORDS[(n * 7 + k) % 15] + str(n) for k in range(5))}, f"kind_{'ab'[n % 2]}"
        )
        for n in range(12)
    )
)
needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna (extra tpe) is not there")
needs_gepa = pytest.mark.skipif(importlib.util.find_spec("gepa") is None, reason="gepa (extra gepa) is not there")


def view(points: Sequence[dict[str, Any]] = ({},), rows: int = 24, **fields: Any) -> View:
    """Variants at these points (the rest of the slots at their first values), scored nowhere unless said."""
    space = fields.pop("space", Space(SLOTS))
    variants = tuple(
        space.variant(full(space, given), "baseline" if not k else "grid") for k, given in enumerate(points)
    )
    shape = (len(variants), rows)
    scores = np.asarray(fields.pop("scores", np.full(shape, np.nan)), float)
    fields = {"train": (), "live": np.ones(len(variants), bool), "bank": BANK, **fields}
    dev = tuple(Example(f"r{n}", {"message": f"row {n}"}, "kind_a", row=n + 1) for n in range(rows))
    return View(space, dev=dev, variants=variants, scores=scores, asked=~np.isnan(scores), **fields)


def full(space: Space, given: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for slot in sorted(space.slots, key=lambda each: len(each.when)):
        if slot in space.active(values):
            values[slot.name] = given.get(slot.name, slot.values[0])
    return {**values, **given}


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def said(flow: Flow[Any], answers: Callable[[Request], Any] | None = None) -> tuple[Any, list[Request]]:
    """What a flow returns, and what it asked; ``answers`` gives texts, or the error to throw in."""
    asked: list[Request] = []
    try:
        step: Any = next(flow)
        while True:
            assert answers is not None, "asks a model"
            several = step if isinstance(step, tuple) else (step,)
            asked += several
            given = [answers(each) for each in several]
            told = tuple(each if isinstance(each, Exception) else Completion(each) for each in given)
            if isinstance(step, tuple):
                step = flow.send(told)
            else:
                step = flow.throw(told[0]) if isinstance(told[0], Exception) else flow.send(told[0])
    except StopIteration as stop:
        return stop.value, asked


def ids(listed: Any) -> list[str]:
    return [each if isinstance(each, str) else each[0] for each in listed]


# The bank: diverse, and lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_diverse_shows_one_of_each_kind_before_a_second_of_any(seed: int) -> None:
    kinds = ["the parcel came late again", "my card was charged twice today", "how do I reset a password here"]
    bank = Bank(tuple(Example(f"{k}{n}", {"m": f"{text} {n}"}, "x") for n in range(4) for k, text in enumerate(kinds)))
    slots = {"bank.k": 3, "bank.select": "diverse", "bank.seed": seed}
    found = bank.select(slots, Example("row", {"m": "something else"}))
    assert sorted(demo.id[0] for demo in found) == ["0", "1", "2"]
    starts = {bank.select({**slots, "bank.k": 1, "bank.seed": s}, Example("r", {"m": "z"}))[0].id for s in range(20)}
    assert len(starts) > 3, "the seed draws the first one"


def test_diverse_is_the_farthest_first_order_by_cosine() -> None:
    """Against the definition, written out with sets of words: equal lengths and single words make cosines counts."""
    rand = np.random.default_rng(3)
    texts = [" ".join(sorted(rand.choice(WORDS, 5, replace=False))) for _ in range(15)]
    texts = list(dict.fromkeys(texts))
    bank = Bank(tuple(Example(f"d{n}", {"m": text}, "x") for n, text in enumerate(texts)))
    index = bank._texts(("m",))
    cosine = np.array(
        [[index.likeness(a)[d] / index.likeness(a)[n] for d in range(len(texts))] for n, a in enumerate(texts)]
    )
    assert np.allclose(cosine, cosine.T)
    assert np.allclose(np.diag(cosine), 1)
    order = list(index.spread([4], 6))
    for step in range(1, 6):
        closest = cosine[order[:step]].max(axis=0)
        left = [d for d in range(len(texts)) if d not in order[:step]]
        assert closest[order[step]] == pytest.approx(min(closest[left]))
    assert order[0] == 4
    assert len(set(index.spread([4], 99))) == len(texts)


def test_listed_demos_are_shown_as_listed_and_a_row_never_meets_itself() -> None:
    slots = {"bank.k": 3, "bank.demos": ("d5", ("d2", "Because of it.\nkind_a"), "d9")}
    found = BANK.select(slots, Example("row", {"message": "something"}))
    assert [(demo.id, demo.label) for demo in found] == [
        ("d5", "kind_b"),
        ("d2", "Because of it.\nkind_a"),
        ("d9", "kind_b"),
    ]
    again = BANK.select(slots, Example("other", {"message": "else"}))
    assert again[1] is found[1], "templates are shown one object, however often it is asked for"
    assert [demo.id for demo in BANK.select(slots, BANK.demos[2])] == ["d5", "d9"]


def test_a_list_that_names_no_demo_of_the_bank_is_told_with_the_nearest_one() -> None:
    with pytest.raises(BadInput, match=r"no demo 'd99'.*'d9'"):
        BANK.select({"bank.demos": ("d99",)}, Example("row", {"message": "x"}))


@pytest.mark.parametrize("select", ["random", "balanced", "diverse"])
@pytest.mark.parametrize("order", ["given", "shuffled"])
def test_what_slots_list_is_what_they_show(select: str, order: str) -> None:
    slots = {"bank.k": 4, "bank.select": select, "bank.seed": 3, "bank.order": order}
    shown = BANK.select(slots, Example("row", {"message": "nothing of the kind"}))
    assert BANK.listed(slots) == tuple(demo.id for demo in shown)
    listed = {"bank.demos": BANK.listed(slots)}
    assert BANK.select(listed, Example("row", {"message": "nothing of the kind"})) == shown
    assert (
        BANK.listed({**slots, "bank.select": "nearest"}) == BANK.listed({"bank.k": 0}) == Bank(()).listed(slots) == ()
    )


# demos --------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.lists(st.sampled_from([d.id for d in BANK.demos]), unique=True, max_size=6))
@settings(max_examples=200, deadline=None)
def test_a_move_swaps_drops_adds_or_permutes(seed: int, start: list[str]) -> None:
    listed = tuple(start)
    moved = demos_of._moved(BANK, listed, 6, rng(seed))
    assert len(set(moved)) == len(moved) <= 6
    assert set(moved) <= {demo.id for demo in BANK.demos}
    gone, new = [d for d in listed if d not in moved], [d for d in moved if d not in listed]
    if len(moved) == len(listed) and gone:
        assert [each for each in listed if each in moved] == [each for each in moved if each in listed], "in its place"
        assert len(gone) == len(new) == 1
    elif len(moved) != len(listed):
        assert abs(len(moved) - len(listed)) == len(gone) + len(new) == 1
        assert [each for each in listed if each in moved] == [each for each in moved if each in listed]
    assert moved or len(listed) < 2


def test_every_move_is_made() -> None:
    listed = ("d1", "d2", "d3")
    kinds = Counter()
    for seed in range(200):
        moved = demos_of._moved(BANK, listed, 6, rng(seed))
        kinds[len(moved) - 3, len(set(moved) - set(listed)), moved == listed] += 1
    assert {(1, 1, False), (-1, 0, False), (0, 1, False), (0, 0, False)} <= set(kinds)


def test_demos_changes_lists_of_the_best_and_names_its_parents() -> None:
    start = view([{"template": "shown"}, {"template": "shown", "bank.k": 2}, {"template": "shown", "bank.k": 4}])
    scores = np.array([[0.2], [0.9], [0.1]]) * np.ones((3, 24))
    known = replace(start, scores=scores, asked=scores > 0)
    found = [variant for seed in range(20) for variant in said(demos(6, known, rng(seed)))[0]]
    assert len(found) == 120
    parents = Counter(variant.parents[0] for variant in found)
    assert parents[start.variants[1].id] > parents[start.variants[0].id] > parents[start.variants[2].id] > 0
    for variant in found:
        listed = variant.slots["bank.demos"]
        assert variant.slots["bank.k"] == len(listed) > 0
        assert len(set(listed)) == len(listed)
        assert not {"bank.select", "bank.seed", "bank.order"} & set(variant.slots), "they decide nothing any more"
        assert variant.origin == "demos"
        assert len(BANK.select(variant.slots, Example("row", {"message": "x"}))) == len(listed)
    of_best = [variant for variant in found if variant.parents[0] == start.variants[1].id]
    shown = set(BANK.listed(start.variants[1].slots))
    assert all(len(shown ^ set(variant.slots["bank.demos"])) <= 2 for variant in of_best), "one move away"


def test_order_count_and_wording_of_demos_make_other_variants() -> None:
    space = Space(SLOTS)
    lists: list[Any] = [("d1", "d2"), ("d2", "d1"), ("d1",), (("d1", "so\nkind_b"), "d2")]
    made = {space.variant({"template": "shown", "bank.k": len(each), "bank.demos": each}, "x").id for each in lists}
    assert len(made) == len(lists)


def test_demos_keeps_out_of_holes_and_finds_a_template_that_shows_them() -> None:
    space = Space(SLOTS, exclude=({"bank.k": 3}, {"bank.k": 5}))
    found, _ = said(demos(30, view(space=space), rng()))  # the baseline's template shows none
    assert len(found) > 5
    assert not {3, 5} & {variant.slots["bank.k"] for variant in found}
    assert {variant.slots["template"] for variant in found} == {"shown"}


def test_without_a_bank_or_a_template_that_shows_demos_there_is_nothing_to_propose() -> None:
    assert said(demos(5, view(bank=None), rng()))[0] == ()
    assert said(demos(5, view(space=Space((*SLOTS[:1], Slot("template", "choice", ("bare",))))), rng()))[0] == ()


TEMPLATE = """\
{% system %}Sort it. One of: {{ labels | join(", ") }}.{% endsystem %}
{% for demo in demos %}{% user %}{{ demo.message }}{% enduser %}{% assistant %}{{ demo.label }}{% endassistant %}
{% endfor %}
{% user %}{{ message }}{% enduser %}
"""


def task() -> Task:
    template = parse("shown", {"shown": Source(TEMPLATE, "shown.j2")})
    labels = (Label("kind_a"), Label("kind_b"))
    metrics = {"main": load_metric("exact", {}, Path())}
    return Task({"shown": template}, {"m": MODEL}, "last-line", metrics, {"main": 1.0}, labels, BANK)


def asking(start: View) -> View:
    made = task()
    return replace(start, predict=lambda variant, row: predict(made, variant, row, split="train"))


def right_for(request: Request) -> str:
    """The label of the demo that is asked."""
    last = request.body["messages"][-1]["content"]
    return str(next(demo.label for demo in BANK.demos if demo.inputs["message"] == last))


REASONING = view([{"template": "shown", "bank.k": 4}])


def test_a_demo_shows_its_reasoning_only_where_the_right_answer_came_out() -> None:
    def answers(request: Request) -> str:
        label = right_for(request)
        number = int(re.findall(r"\d+", request.body["messages"][-1]["content"])[0])
        return f"It says {number}.\n{label if number % 3 else 'kind_c'}"

    [variant], asked = said(demos(1, asking(REASONING), rng(), reasoned=1), answers)
    listed = variant.slots["bank.demos"]
    assert [request.body["messages"][-1]["content"] for request in asked] == [
        next(demo.inputs["message"] for demo in BANK.demos if demo.id == each) for each in ids(listed)
    ]
    for each in listed:
        number = int((each if isinstance(each, str) else each[0])[1:])
        if number % 3:
            assert each == (f"d{number}", f"It says {number}.\n{'kind_' + 'ab'[number % 2]}")
        else:
            assert each == f"d{number}"
    assert any(isinstance(each, tuple) for each in listed)
    assert variant.parents == (REASONING.variants[0].id,)
    messages = task().prompt(variant).messages(Example("row", {"message": "new"}))
    spoken_by_model = [each.content for each in messages if each.role == "assistant"]
    assert spoken_by_model == [BANK._shown(BANK._places(each), each).label for each in listed]


def test_a_demo_is_asked_without_being_shown_its_own_answer() -> None:
    _, asked = said(demos(1, asking(REASONING), rng()), lambda request: f"Hm.\n{right_for(request)}")
    for request in asked:
        *before, last = [each["content"] for each in request.body["messages"]]
        assert last["content"] if isinstance(last, dict) else last not in before


def test_bare_answers_are_no_reasoning_and_end_the_asking_after_one_call() -> None:
    [variant], asked = said(demos(1, asking(REASONING), rng()), right_for)
    assert len(asked) == 1
    assert all(isinstance(each, str) for each in variant.slots["bank.demos"])


def test_a_call_that_fails_is_asked_once_more_and_a_second_failure_is_no_answer() -> None:
    failing = iter([CallFailed("down"), *[None] * 99])
    found, asked = said(
        demos(1, asking(REASONING), rng()), lambda request: next(failing) or f"Hm.\n{right_for(request)}"
    )
    whole, _ = said(demos(1, asking(REASONING), rng()), lambda request: f"Hm.\n{right_for(request)}")
    assert found == whole
    assert len({request.key for request in asked}) == len(asked) - 1
    with pytest.raises(CallFailed, match="down"):
        said(demos(1, asking(REASONING), rng()), lambda request: CallFailed("down"))


# format -------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from(["Sort it.", "⟦1⟧", "Is it so?", "one of ⟦2⟧.", "Wow!\n", "\n- point"]), min_size=1).map(
        " ".join
    ),
    st.sampled_from(FORMATS),
)
@settings(max_examples=300, deadline=None)
def test_a_format_keeps_every_token_and_every_word(text: str, style: tuple[int, ...]) -> None:
    made = dressed(text, style)
    assert TOKEN.findall(made) == TOKEN.findall(text)
    words = re.findall(r"\w+", made.casefold())
    plain = re.findall(r"\w+", text.casefold())
    assert words[len(words) - len(plain) :] == plain
    assert words[: len(words) - len(plain)] in ([], ["task"], ["instruction"])


def test_the_first_format_is_the_text_itself_and_all_others_of_several_sentences_differ() -> None:
    assert dressed(TEXT, FORMATS[0]) == TEXT
    looks = {dressed(TEXT, style) for style in FORMATS}
    assert len(looks) > 0.9 * len(FORMATS)


def test_format_lays_out_the_source_anew_and_never_piles_up() -> None:
    start = view([{"template": "shown"}])
    known = start
    for number in range(4):
        found, _ = said(formats.format(12, known, rng(number)))
        assert found
        variants = (*known.variants, *found)
        shape = (len(variants), 24)
        known = replace(
            known, variants=variants, scores=np.random.default_rng(number).random(shape), asked=np.ones(shape, bool),
            live=np.ones(len(variants), bool), round=number + 1,
        )  # fmt: skip
    looks = {dressed(TEXT, style) for style in FORMATS}
    texts = [known.space.text(variant, "task") for variant in known.variants]
    assert set(texts) <= looks, "every text is one format of the option's own text, however long the line of parents"
    assert len(set(texts)) > 15
    for variant in known.variants[1:]:
        assert variant.origin == "format"
        assert variant.slots["task"].option == "plain" if isinstance(variant.slots["task"], Rewritten) else True


def test_half_of_the_formats_change_one_choice_of_the_parents() -> None:
    start = view([{"template": "shown"}])
    worn = FORMATS[50]
    child = start.space.rewritten(start.variants[0], "task", dressed(TEXT, worn), "format", (start.variants[0].id,))
    assert child is not None
    scores = np.array([[0.0], [1.0]]) * np.ones((2, 24))
    known = replace(start, variants=(*start.variants, child), scores=scores, asked=scores >= 0, live=np.ones(2, bool))
    found, _ = said(formats.format(60, known, rng()))
    texts = [known.space.text(variant, "task") for variant in found if variant.parents == (child.id,)]
    looks: dict[str, set[int]] = {}
    for style in FORMATS:
        looks.setdefault(dressed(TEXT, style), set()).add(sum(a != b for a, b in zip(style, worn, strict=True)))
    near = sum(min(looks[text]) <= 1 for text in texts if text != dressed(TEXT, worn))
    assert near > len(texts) / 4
    assert near < len(texts)


def test_format_spells_the_answers_of_demos_otherwise() -> None:
    found, _ = said(formats.format(80, view([{"template": "shown", "bank.k": 4, "task": "short"}]), rng()))
    spelt = [variant for variant in found if "bank.demos" in variant.slots]
    assert {each[1] for variant in spelt for each in variant.slots["bank.demos"]} > {
        "KIND_A",
        "kind a",
        "Kind_b",
        "kind_a.",
    }
    for variant in spelt:
        labels = {demo.id: demo.label for demo in BANK.demos}
        [spelling] = [
            s for s in SPELLINGS if all(each[1] == s(labels[each[0]]) for each in variant.slots["bank.demos"])
        ][:1]
        assert spelling
        assert ids(variant.slots["bank.demos"]) == list(
            BANK.listed(view([{"template": "shown", "bank.k": 4}]).variants[0].slots)
        )


def test_where_nothing_is_open_and_no_demo_is_shown_format_has_nothing_to_propose() -> None:
    assert said(formats.format(9, view(), rng()))[0] == ()


# tpe ----------------------------------------------------------------------------------------------------------------


def many(count: int, truth: Callable[[Variant], float], slots: Sequence[Slot] = SLOTS, rows: int = 40) -> View:
    space = Space(tuple(slots))
    empty = view([{}], rows=rows, space=space)
    variants = (*empty.variants, *draw(count, empty, rng(5), "random"))
    scores = np.array([[truth(variant)] * rows for variant in variants])
    return replace(
        empty, variants=variants, scores=scores, asked=np.ones(scores.shape, bool), live=np.ones(len(variants), bool)
    )


WIDE = [Slot("model", "choice", ("m",)), *(Slot(f"s{k}", "choice", tuple("abcdefgh")) for k in range(6))]


def height(variant: Variant) -> float:
    return float(np.mean([variant.slots[f"s{k}"] in "ab" for k in range(6)]))


@needs_optuna
def test_tpe_asks_for_better_points_than_were_told() -> None:
    from promptlab.proposers.tpe import Tpe

    known = many(60, height, WIDE)
    found, _ = said(Tpe()(40, known, rng()))
    told, asked = [np.mean([height(v) for v in variants]) for variants in (known.variants, found)]
    assert len(found) == 40 == len({variant.id for variant in found} - {variant.id for variant in known.variants})
    assert asked > told + 0.15
    worse = replace(known, scores=1 - known.scores)
    assert np.mean([height(v) for v in said(Tpe()(40, worse, rng()))[0]]) < told, "it learns from the scores"


@needs_optuna
def test_tpe_keeps_to_slots_that_exist_and_out_of_holes() -> None:
    from promptlab.proposers.tpe import Tpe

    known = many(8, lambda variant: float(variant.slots.get("bank.k", 0)))
    space = replace(known.space, exclude=({"bank.k": 4},))  # where the scores are best
    found, _ = said(Tpe(startup=3)(9, replace(known, space=space), rng()))
    assert found
    points = [space.point(number) for number in range(space.size)]
    for variant in found:
        assert dict(variant.slots) in points
        assert not space.excluded(variant.slots)
        assert variant.id == space.variant(variant.slots, "x").id


@needs_optuna
def test_tpe_draws_uniformly_until_enough_was_scored_and_shrinks_what_few_rows_say() -> None:
    from promptlab.proposers import tpe

    known = many(30, height, WIDE)
    asked = np.zeros(known.asked.shape, bool)
    asked[:, :7] = True
    early = replace(known, asked=asked, scores=np.where(asked, known.scores, np.nan))
    assert said(tpe.Tpe()(5, early, rng(3)))[0] == _drawn_by_tpe(5, early)
    told = {variant.id: value for variant, value in tpe._told(known, 8)}
    for v, variant in enumerate(known.variants):
        assert told[variant.id] == pytest.approx(known.deltas()[v] * 40 / 50)


def _drawn_by_tpe(n: int, known: View) -> tuple[Variant, ...]:
    generator = rng(3)
    generator.integers(2**31)
    return draw(n, known, generator, "tpe")


@needs_optuna
def test_tpe_tells_nothing_of_texts_that_proposers_wrote_or_of_missing_rows() -> None:
    from promptlab.proposers import tpe

    start = view([{"template": "shown"}, {"template": "shown", "bank.k": 2}])
    written = start.space.rewritten(start.variants[0], "task", "Sort ⟦1⟧ now", "x")
    listed = demos_of.showing(start, start.variants[0], ("d1",), "demos")
    assert written is not None
    assert listed is not None
    variants = (*start.variants, written, listed)
    scores = np.ones((4, 24))
    scores[1, 3:] = np.nan
    made = replace(start, variants=variants, scores=scores, asked=np.ones((4, 24), bool), live=np.ones(4, bool))
    assert [variant.id for variant, _ in tpe._told(made, 8)] == [start.variants[0].id]
    for scores in (np.ones((4, 24)), np.full((4, 24), np.nan)):
        assert len(said(tpe.Tpe(startup=1)(4, replace(made, scores=scores), rng()))[0]) == 4


@needs_optuna
def test_a_round_of_tpe_takes_no_longer_than_its_calls_and_materialises_no_space() -> None:
    import time

    from promptlab.proposers.tpe import Tpe

    slots = [Slot("model", "choice", ("m",)), *(Slot(f"s{k}", "choice", tuple(range(10))) for k in range(9))]
    known = many(200, lambda variant: variant.slots["s0"] / 10, slots)
    assert known.space.size == 10**9
    before = time.process_time()
    found, _ = said(Tpe()(20, known, rng()))
    assert len(found) == 20
    assert time.process_time() - before < 20 * 0.2, "20 variants of 200 rows at 1 ms, and a slow machine"


def test_without_optuna_or_gepa_the_extra_to_install_is_named_before_anything_runs(
    monkeypatch: Any, tmp_path: Path
) -> None:
    from promptlab.proposers import gepa, tpe

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    for name, module, attribute in (("tpe", tpe, "Tpe"), ("gepa", gepa, "Gepa")):
        monkeypatch.setattr(module, "version", absent)
        known = {name: f"promptlab.proposers.{name}:{attribute}"}
        with pytest.raises(BadInput, match=rf"proposer '{name}'.*pip install 'promptlab-workbench\[{name}\]'"):
            implementation("proposer", name, known, tmp_path, {})


# gepa ---------------------------------------------------------------------------------------------------------------


def failing(count: int = 3) -> View:
    """Three variants, each best on rows of its own; the last one nowhere. All have failures."""
    start = view([{"template": "shown"}, {"template": "shown", "task": "short"}, {"template": "shown", "bank.k": 2}])
    scores = np.zeros((3, 24))
    scores[0, :8] = 1
    scores[1, 8:] = 1
    wrong = {
        (v, i): Failure(start.dev[i], f"out {v} {i}", "kind_a", "off by a mile")
        for v in range(3) for i in range(24) if not scores[v, i]
    }  # fmt: skip
    return replace(start, scores=scores, asked=np.ones((3, 24), bool), wrong=wrong, meta=MODEL)


@needs_gepa
def test_gepa_asks_with_its_own_prompt_and_rewrites_what_is_on_the_pareto_front() -> None:
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    from promptlab.proposers.gepa import Gepa

    known = failing()

    def answers(request: Request) -> str:
        return f"I see.\n```\nSort better, take {request.draw.split('/')[2]}: ⟦1⟧\n```"

    found, asked = said(Gepa()(12, known, rng()), answers)
    assert len(found) == len(asked) == 12
    parents = Counter(variant.parents[0] for variant in found)
    assert set(parents) == {known.variants[0].id, known.variants[1].id}, "nobody who is best nowhere"
    assert parents[known.variants[1].id] > parents[known.variants[0].id], "16 rows against 8"
    opening = InstructionProposalSignature.default_prompt_template.split("<curr_param>")[0]
    for request, variant in zip(asked, found, strict=True):
        parent = next(each for each in known.variants if each.id == variant.parents[0])
        prompt = request.body["messages"][-1]["content"]
        assert prompt.startswith(opening + known.space.text(parent, "task"))
        v = known.variants.index(parent)
        assert len(re.findall(rf"out {v} \d+", prompt)) == 3
        assert prompt.count("The right answer is: kind_a off by a mile") == 3
        assert request.purpose == "meta"
        assert known.space.text(variant, "task").endswith(": ⟦1⟧")
        assert variant.origin == "gepa"
    assert len({request.key for request in asked}) == 12


@needs_gepa
def test_gepa_reads_our_tags_first_and_gives_up_texts_that_lost_a_token() -> None:
    from promptlab.proposers.gepa import Gepa

    known = failing()
    found, _ = said(Gepa()(1, known, rng()), lambda request: "```\nno\n```\n<prompt>Sort ⟦1⟧ by kind</prompt>")
    assert [known.space.text(variant, "task") for variant in found] == ["Sort ⟦1⟧ by kind"]
    for lost in ("Sort by kind", "⟦1⟧ ⟦1⟧", "⟦2⟧"):
        given = said(Gepa()(2, known, rng()), lambda request, text=lost: f"```\n{text}\n```")[0]
        assert given == (None, None), "the door counts what lost something"
    with pytest.raises(CallFailed, match="brought a text"):
        said(Gepa()(2, known, rng()), lambda request: "```\n\n```")


@needs_gepa
def test_gepa_asks_nobody_where_nothing_failed_or_nothing_is_open() -> None:
    from promptlab.proposers.gepa import Gepa

    assert said(Gepa()(4, replace(failing(), wrong={}), rng()))[0] == ()
    unscored = replace(view([{"template": "shown"}]), meta=MODEL)
    found, [asked] = said(Gepa()(1, unscored, rng()), lambda request: "<prompt>Sort ⟦1⟧</prompt>")
    assert asked.body["messages"][-1]["content"].count("The right answer is: kind_") == 3, "rows of the bank stand in"
    assert len(found) == 1
    assert said(Gepa()(4, replace(view(), meta=MODEL), rng()))[0] == ()


@needs_gepa
def test_gepa_asks_a_failed_call_once_more() -> None:
    from promptlab.proposers.gepa import Gepa

    down = CallFailed("down")
    failures = iter([down, down, "<prompt>Sort ⟦1⟧ well</prompt>", down])
    found, asked = said(Gepa()(2, failing(), rng()), lambda request: next(failures))
    assert len(found) == 1, "a second failure costs this text alone"
    assert [request.key for request in asked] == 2 * [asked[0].key, asked[1].key]
    with pytest.raises(CallFailed):
        said(Gepa()(2, failing(), rng()), lambda request: down)


# ensemble -----------------------------------------------------------------------------------------------------------

ANSWER = st.sampled_from([None, "a", "B", "b ", "c", 1, 2.5, ["x"], {"k": [1]}])


@given(st.lists(st.tuples(ANSWER, st.integers(1, 3)), min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_the_vote_goes_to_the_answer_of_most_weight_and_its_first_member_speaks(votes: list[tuple[Any, int]]) -> None:
    key = lambda answer: answer.casefold().strip() if isinstance(answer, str) else repr(answer)  # noqa: E731
    totals: dict[Any, int] = {}
    for answer, weight in votes:
        if answer is not None:
            totals[key(answer)] = totals.get(key(answer), 0) + weight
    expected = 0
    if totals:
        winner = next(each for each, weight in totals.items() if weight == max(totals.values()))
        expected = next(
            place for place, (answer, _) in enumerate(votes) if answer is not None and key(answer) == winner
        )
    assert vote([answer for answer, _ in votes], [weight for _, weight in votes]) == expected


def test_votes_of_many_rows_are_the_votes_of_each() -> None:
    rand = rng(2)
    answers = np.array([[[None, "a", "b", "c"][rand.integers(4)] for _ in range(50)] for _ in range(5)], dtype=object)
    weights = np.array([1.0, 2.0, 1.0, 3.0, 1.0])
    many_rows = spoken(coded(answers), weights)
    assert many_rows.tolist() == [vote(list(answers[:, i]), list(weights)) for i in range(50)]


def noisy(accuracy: Sequence[float], rows: int = 200, seed: int = 0) -> View:
    """Variants that are right now and then, independently; wrong answers scatter."""
    rand = rng(seed)
    right = rand.random((len(accuracy), rows)) < np.array(accuracy)[:, None]
    wrong = rand.integers(5, size=right.shape)
    points = [{"template": "shown", "bank.k": k, "task": t} for t in ("plain", "short") for k in (0, 2, 4)]
    start = view(points[: len(accuracy)], rows=rows, scores=right.astype(float))
    answers = np.where(right, "right", np.char.add("w", wrong.astype(str))).astype(object)
    return replace(start, answers=answers)


def test_an_ensemble_of_independent_variants_beats_the_best_of_them_on_fresh_rows() -> None:
    known = noisy([0.55, 0.6, 0.6, 0.6, 0.55])
    [variant], asked = said(Ensemble()(5, known, rng()))
    assert asked == []
    assert 3 <= len(variant.members) <= 5
    assert variant.parents == tuple(member.id for member in variant.members)
    assert [name for name, _ in variant.slots["ensemble"]] == list(variant.parents)
    assert variant.origin == "ensemble"
    fresh = noisy([0.55, 0.6, 0.6, 0.6, 0.55], rows=4000, seed=9)
    places = [next(v for v, each in enumerate(known.variants) if each.id == name) for name in variant.parents]
    taken = [place for place, (_, weight) in zip(places, variant.slots["ensemble"], strict=True) for _ in range(weight)]
    assert worth(fresh.scores, coded(fresh.answers), taken) > fresh.scores.mean(axis=1).max() + 0.05


def test_no_ensemble_of_variants_that_answer_alike_or_where_one_is_far_above_the_rest() -> None:
    alike = noisy([0.6])
    points = [{"template": "shown", "bank.k": k} for k in (0, 2, 4)]
    same = replace(
        view(points, rows=200), scores=np.repeat(alike.scores, 3, axis=0), answers=np.repeat(alike.answers, 3, axis=0)
    )
    assert said(Ensemble()(1, replace(same, asked=np.ones((3, 200), bool)), rng()))[0] == ()
    kept = [said(Ensemble()(1, noisy([0.95, 0.2, 0.2, 0.2], seed=seed), rng()))[0] for seed in range(10)]
    assert sum(map(len, kept)) <= 2


def test_what_gains_on_its_own_rows_alone_is_not_proposed(monkeypatch: Any) -> None:
    known = noisy([0.55, 0.6, 0.6, 0.6, 0.55])
    for gain, proposed in ((-0.01, 0), (0.0, 0), (0.01, 1)):  # five of them gain, where any do
        held = {2: -1.0, 3: -1.0, 4: -1.0, 5: gain}
        monkeypatch.setattr(ensembles, "_held_out", lambda scores, codes, halves, size, weighted, held=held: held[size])
        assert len(said(Ensemble()(1, known, rng()))[0]) == proposed


def test_fitted_never_ends_below_the_best_alone_and_takes_no_more_than_it_may() -> None:
    for seed in range(10):
        known = noisy([0.5, 0.55, 0.6, 0.5, 0.45, 0.6], rows=60, seed=seed)
        codes = coded(known.answers)
        for size, weighted in itertools.product((2, 3, 5), (True, False)):
            chosen = fitted(known.scores, codes, size, weighted=weighted)
            assert len(chosen) <= size
            assert weighted or set(chosen.values()) == {1}
            taken = [m for m, weight in chosen.items() for _ in range(weight)]
            assert worth(known.scores, codes, taken) >= known.scores.mean(axis=1).max()
        grown = [list(fitted(known.scores, codes, size, weighted=False)) for size in range(1, 7)]
        values = [worth(known.scores, codes, members) for members in grown]
        assert values == sorted(values), "a longer search never ends below a shorter one"


def test_members_are_scored_on_nearly_as_many_rows_as_any_and_votes_are_compared_where_all_are() -> None:
    known = noisy([0.5, 0.6, 0.6, 0.6, 0.6])
    scores = known.scores.copy()
    scores[2, 5:] = np.nan
    [variant] = said(Ensemble()(1, replace(known, scores=scores, asked=~np.isnan(scores)), rng()))[0]
    assert known.variants[2].id not in variant.parents, "a lucky mean of five rows"
    best = noisy([0.5, 0.6, 0.6, 0.8, 0.6])
    lost = best.scores.copy()
    lost[3, ::40] = np.nan
    pool, columns = _pool(replace(best, scores=lost))
    assert 3 in pool, "a few failed calls shut nobody out"
    assert columns.tolist() == [i for i in range(200) if i % 40]
    for few in (replace(known, answers=None), replace(known, answers=known.answers[:1]), noisy([0.5, 0.6], rows=19)):
        assert said(Ensemble()(1, few, rng()))[0] == ()


def test_a_row_of_an_ensemble_is_the_row_that_wins_the_vote_and_asks_what_its_members_ask() -> None:
    made = task()
    points = [{"template": "shown", "bank.k": 2, "bank.seed": 1}, {"template": "shown", "bank.k": 2, "bank.seed": 2}]
    start = view([*points, {"template": "shown", "bank.k": 4}])
    joint = together(start, list(zip(start.variants, (1, 1, 3), strict=True)))
    row = Example("r", {"message": "new"}, "kind_a")
    keys = {}
    for k, member in enumerate(start.variants):
        _, [request] = said(predict(made, member, row), lambda request: "x")
        keys[request.key] = k
    says = ["kind_b", "kind_b", "kind_a"]
    found, asked = said(predict(made, joint, row), lambda request: says[keys[request.key]])
    assert [keys[request.key] for request in asked] == [0, 1, 2], "the members' own keys: known answers cost nothing"
    assert (found.variant, found.answer, found.score, found.status) == (joint.id, "kind_a", 1.0, "ok")
    light = together(start, list(zip(start.variants, (1, 1, 1), strict=True)))
    assert said(predict(made, light, row), lambda request: says[keys[request.key]])[0].answer == "kind_b"
    lost = said(predict(made, joint, row), lambda request: CallFailed("down") if keys[request.key] == 1 else "kind_a")[
        0
    ]
    assert (lost.status, lost.error) == ("error", "down"), "a missing member is a missing row"
    silent = said(predict(made, joint, row), lambda request: "" if keys[request.key] == 2 else "kind_b")[0]
    assert silent.answer == "kind_b", "no answer has no vote"


# All of them --------------------------------------------------------------------------------------------------------


def _all() -> list[Any]:
    found: list[Any] = [
        pytest.param(demos, id="demos"),
        pytest.param(formats.format, id="format"),
        pytest.param(Ensemble(), id="ensemble"),
    ]
    for name, mark in (("tpe", needs_optuna), ("gepa", needs_gepa)):
        found.append(pytest.param(name, id=name, marks=mark))
    return found


@pytest.mark.parametrize("proposer", _all())
@pytest.mark.parametrize("world", ["noisy", "many", "failing", "unscored", "one row", "all equal", "nothing known"])
def test_it_is_pure_gives_at_most_n_new_variants_and_leaves_the_view_as_it_was(proposer: Any, world: str) -> None:
    if isinstance(proposer, str):
        known = {"tpe": "promptlab.proposers.tpe:Tpe", "gepa": "promptlab.proposers.gepa:Gepa"}
        proposer = implementation("proposer", proposer, known, Path(), {})
    shown = [{"template": "shown"}, {"template": "shown", "bank.k": 2}]
    start = {
        "noisy": noisy([0.5, 0.6, 0.6, 0.6]),
        "failing": failing(),
        "unscored": view(shown),
        "many": many(30, height, WIDE),
        "one row": replace(view(shown, rows=1, scores=[[1], [0]]), answers=np.array([["a"], ["b"]], dtype=object)),
        "all equal": replace(view(shown, scores=np.ones((2, 24))), answers=np.full((2, 24), "a", dtype=object)),
        "nothing known": view(shown, scores=np.full((2, 24), np.nan)),
    }[world]
    known = replace(start, meta=MODEL)
    held = [known.scores.tobytes(), known.asked.tobytes(), known.live.tobytes()]
    for n in (0, 1, 7):
        runs = [
            said(proposer(n, known, rng(4)), lambda request: f"<prompt>Do ⟦1⟧ {request.draw}</prompt>")
            for _ in range(2)
        ]
        assert runs[0][0] == runs[1][0], "proposes the same again"
        assert [request.key for request in runs[0][1]] == [request.key for request in runs[1][1]]
        found = runs[0][0]
        assert isinstance(found, tuple)
        assert len(found) <= n
        assert not {variant.id for variant in found} & {variant.id for variant in known.variants}
        assert len({variant.id for variant in found}) == len(found)
    assert held == [known.scores.tobytes(), known.asked.tobytes(), known.live.tobytes()]
