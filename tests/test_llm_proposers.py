"""Proposers that write texts: what they ask the meta model, what they make of its answers, and what they never show."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_server import FaultServer, Reply, error, ok
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.bank import Bank
from promptlab.drive import Driver, Halt
from promptlab.embedded.server import Server
from promptlab.endpoint.pool import Pool
from promptlab.errors import BadInput, CallFailed
from promptlab.importing import implementation
from promptlab.meter import Cost, Meter
from promptlab.proposers import PROPOSERS
from promptlab.proposers.corpus import LEADS, before_answers, heard_in, phrases_of, told_often
from promptlab.proposers.evolve import Evolve, crossed
from promptlab.proposers.history import History
from promptlab.proposers.induce import Induce
from promptlab.proposers.meta import LONGEST_ANSWER, LONGEST_TEXT, examples, read
from promptlab.proposers.mistakes import together
from promptlab.proposers.paraphrase import Paraphrase
from promptlab.proposers.reflect import Reflect, winners
from promptlab.proposers.rewrite import MOST, pool, some, spot
from promptlab.proposers.rewrite import scores as fair_scores
from promptlab.records import (
    Call,
    Completion,
    Endpoint,
    Example,
    Flow,
    Model,
    Passage,
    Prediction,
    Request,
    Slot,
    Variant,
)
from promptlab.rewritten import Rewritten
from promptlab.space import Space
from promptlab.view import Failure, View

META = Model("writer", Endpoint("http://nowhere.invalid/v1"), "writer-1")
ASKING = ("paraphrase", "induce", "history", "evolve", "reflect")
WRITING = (*ASKING, "corpus")
needs_gepa = pytest.mark.skipif(importlib.util.find_spec("gepa") is None, reason="gepa (extra gepa) is not there")
TEXTS = ("Name the colour.", "You know colours. Name that of ⟦1⟧ well.", "Read twice, then name the colour.")
TRAIN = tuple(
    Example(f"t{n}", {"message": f"{word} train{n}", "shop": "s"}, label)
    for n, (word, label) in enumerate(
        [("blood and roses", "red"), ("grass and leaves", "green"), ("the sky", "blue")] * 5
    )
)


def space(**changes: Any) -> Space:
    slots = (
        Slot("model", "choice", ("m",)),
        Slot("template", "choice", ("t", "closed")),
        Slot("task", "choice", ("plain", "expert", "careful"), (("template", ("t",)),), open=True, texts=TEXTS),
        Slot("tone", "choice", ("kind", "dry"), (("template", ("t",)),)),
        Slot("bank.k", "demos", (0, 2, 4), (("template", ("t", "closed")),)),
        Slot("bank.select", "choice", ("random", "nearest"), (("template", ("t", "closed")), ("bank.k", (2, 4)))),
    )
    return Space(slots, **changes)


def view_of(scored: Sequence[float] = (), *, rows: int = 12, train: Sequence[Example] = TRAIN, **changes: Any) -> View:
    """The baseline, and for each score a variant with a text of its own that has it on the first rows."""
    made = space()
    base = made.variant({"model": "m", "template": "t", "task": "plain", "tone": "dry", "bank.k": 0}, "baseline")
    others = [made.rewritten(base, "task", f"Text {n}. Do it.", "x", (base.id,)) for n in range(len(scored))]
    variants = (base, *(each for each in others if each))
    dev = tuple(Example(f"d{i}", {"message": f"secret{i} dev"}, "red") for i in range(rows))
    scores = np.full((len(variants), rows), np.nan)
    for v, score in enumerate((0.5, *scored) if scored else ()):
        scores[v] = [float(i < score * rows) for i in range(rows)]
    parts = {
        "space": made, "train": tuple(train), "dev": dev, "variants": variants, "scores": scores,
        "asked": ~np.isnan(scores), "live": np.ones(len(variants), bool), "meta": META, "round": 3,
    }  # fmt: skip
    return View(**{**parts, **changes})


def proposer(name: str, **options: Any) -> Any:
    return implementation("proposer", name, PROPOSERS, Path(), options)


def chance(number: int = 0) -> np.random.Generator:
    return np.random.default_rng([number, 5])


def answering(flow: Flow[Any], reply: Callable[[Request], Any]) -> tuple[Any, list[Request]]:
    """What a flow gives when each request gets ``reply``: a text, a completion, or an exception that is thrown in."""
    asked: list[Request] = []
    try:
        step: Any = next(flow)
        while True:
            several = step if isinstance(step, tuple) else (step,)
            asked += several
            given = [reply(each) for each in several]
            told = tuple(each if isinstance(each, (Completion, Exception)) else Completion(each) for each in given)
            if isinstance(step, tuple):
                step = flow.send(told)
            else:
                step = flow.throw(told[0]) if isinstance(told[0], Exception) else flow.send(told[0])
    except StopIteration as stop:
        return stop.value, asked


def shown(request: Request) -> str:
    return "\n".join(each["content"] for each in request.body["messages"])


def written(request: Request) -> str:
    """A good answer: new words around the marks that the first instruction shows."""
    marks = sorted(set(re.findall("⟦[0-9]+⟧", request.body["messages"][1]["content"])))
    return f"Sure.\n<prompt>\nSay it {zlib.crc32(request.key.encode())}. {' '.join(marks)}\n</prompt>\nDone."


# What every one of them keeps to -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("scored", [(), (0.2, 0.8, 0.6)], ids=["nothing scored", "scored"])
def test_only_the_open_text_of_a_known_variant_changes(name: str, scored: Sequence[float]) -> None:
    view = view_of(scored)
    found, asked = answering(proposer(name)(6, view, chance()), written)
    assert found
    assert len(found) <= 6
    known = {variant.id: variant for variant in view.variants}
    for child in found:
        assert child.origin == name
        assert child.id not in known
        parent = known[child.parents[0]]
        assert isinstance(child.slots["task"], Rewritten)
        assert {**child.slots, "task": 0} == {**parent.slots, "task": 0}
        assert all(each in known for each in child.parents)
    assert len({child.id for child in found}) == len(found)
    assert bool(asked) == (name in ASKING)


@pytest.mark.parametrize("name", WRITING)
def test_they_are_pure_in_view_and_generator(name: str) -> None:
    """The same requests byte for byte, the same variants, and the view is left as it was."""
    view = view_of((0.2, 0.8))
    held = [view.scores.tobytes(), view.asked.tobytes(), view.live.tobytes()]
    made = proposer(name)
    one, two = (answering(made(5, view, chance(3)), written) for _ in range(2))
    assert one[0] == two[0]
    assert [each.key for each in one[1]] == [each.key for each in two[1]]
    assert held == [view.scores.tobytes(), view.asked.tobytes(), view.live.tobytes()]
    other = answering(made(5, view, chance(4)), written)
    assert one[0] != other[0], "another draw is another proposal"


@pytest.mark.parametrize("name", ASKING)
def test_no_call_is_asked_twice_in_a_round_nor_in_the_next(name: str) -> None:
    view = view_of()
    asked = [
        request
        for number in (0, 1)
        for request in answering(proposer(name)(9, replace(view, round=number), chance()), written)[1]
    ]
    keys = Counter(each.key for each in asked)
    assert len(asked) == 18
    assert max(keys.values()) == 1
    assert len({each.body["seed"] for each in asked}) == 18
    assert {each.purpose for each in asked} == {"meta"}


@pytest.mark.parametrize("name", WRITING)
def test_no_round_asks_for_more_than_it_may(name: str) -> None:
    view = view_of((0.4,))
    for n, most in ((0, 5), (3, 5), (1000, 5), (1000, MOST)):
        found, asked = answering(proposer(name, most=most)(n, view, chance()), written)
        assert len(asked) <= min(n, most)
        assert len(found) <= min(n, most)
        assert n == 0 or len(found) >= min(n, most, 3)


@pytest.mark.parametrize("name", WRITING)
def test_without_an_open_choice_nothing_is_asked(name: str) -> None:
    view = view_of()
    slots = tuple(replace(slot, open=False, texts=()) for slot in view.space.slots)
    found, asked = answering(
        proposer(name)(4, replace(view, space=replace(view.space, slots=slots)), chance()), written
    )
    assert (found, asked) == ((), [])
    assert proposer(name).needs_open, "so that it is told before anything is spent"


@pytest.mark.parametrize("name", WRITING)
def test_a_baseline_without_an_open_choice_does_not_end_it(name: str) -> None:
    """Another template has one: points of the space are rewritten."""
    view = view_of()
    base = view.space.variant({"model": "m", "template": "closed", "bank.k": 0}, "baseline")
    found, _ = answering(proposer(name)(4, replace(view, variants=(base,)), chance()), written)
    assert found
    assert {child.slots["template"] for child in found} == {"t"}
    assert all(base.id not in child.parents for child in found)


@pytest.mark.parametrize("name", WRITING)
def test_dropped_variants_are_not_gone_on_with(name: str) -> None:
    view = view_of((0.9, 0.1))
    live = np.array([True, False, True])
    found, _ = answering(proposer(name)(8, replace(view, live=live), chance()), written)
    assert all(child.parents[0] != view.variants[1].id for child in found)


# What the meta model is shown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKING)
def test_rows_that_are_shown_are_of_train_and_never_of_dev(name: str) -> None:
    view = view_of((0.2, 0.8))
    texts = [shown(each) for each in answering(proposer(name)(12, view, chance()), written)[1]]
    assert not any("secret" in text for text in texts)
    if name in ("induce", "history"):
        assert any("train1" in text for text in texts)


def test_mistakes_are_shown_with_the_metrics_words_and_only_those() -> None:
    view = view_of((0.2, 0.8))
    failure = Failure(view.dev[4], "I guess it is\nred </mistakes>", "blue", "said red, wanted blue")
    view = replace(view, wrong={(v, 4): failure for v in range(3)})
    asked = answering(proposer("reflect", by="best")(3, view, chance()), written)[1]
    for request in asked:
        text = shown(request)
        section = text.partition("<mistakes>\n")[2].partition("\n</mistakes>")[0]
        told = json.loads(section)
        assert told == {
            "message": "secret4 dev", "answer given": "I guess it is\nred </mistakes>", "right answer": "blue",
            "remark": "said red, wanted blue",
        }  # fmt: skip
        assert len(set(re.findall(r"secret\d+", text))) == 1


def answer_wrong(variant: Variant, row: Example) -> Flow[Prediction]:
    """Right on every third row of train; two requests, the second one of a metric that asks."""
    try:
        yield Request(META, "/chat/completions", {"row": row.id, "of": variant.id})
        told = yield Request(META, "/chat/completions", {"judge": row.id, "of": variant.id}, purpose="judge")
    except CallFailed as failed:
        return Prediction(variant.id, row.id, 0, "train", "design", "error", error=str(failed))
    score = float(int(row.id[1:]) % 3 == 0)
    return Prediction(
        variant.id, row.id, 0, "train", "design", "ok", told.text, score, output=told.text, explanation=f"why {row.id}"
    )


def is_answer(request: Request) -> bool:
    return request.purpose != "meta"


@pytest.mark.parametrize("name", ["reflect", pytest.param("gepa", marks=needs_gepa)])
def test_mistakes_are_made_on_train_where_there_is_one(name: str) -> None:
    view = view_of((0.2, 0.8), predict=answer_wrong)
    failure = Failure(view.dev[4], "said", "blue", "remark")
    view = replace(view, wrong={(v, 4): failure for v in range(3)})

    def reply(request: Request) -> str:
        return "wrong <<" if is_answer(request) else f"<prompt>Say it {zlib.crc32(request.key.encode())}.</prompt>"

    found, asked = answering(proposer(name, looked=9)(5, view, chance()), reply)
    assert found
    parents = {each.parents[0] for each in found}
    first = [each for each in asked if "row" in each.body]
    assert {each.body["of"] for each in first} == parents
    assert all(sum(each.body["of"] == parent for each in first) == 9 for parent in parents), "each row once"
    assert len({each.body["row"] for each in first}) == 9, "the same rows for all of them"
    looked = {each.body["row"] for each in first}
    for request in asked:
        if not is_answer(request):
            text = shown(request)
            assert "secret4" not in text, "no row of dev"
            rows = {f"t{n}" for n in re.findall(r"train(\d+)", text)}
            assert rows
            assert rows <= {each for each in looked if int(each[1:]) % 3}, "wrong ones alone"
            assert "why t" in text
    again = answering(proposer(name, looked=9)(5, view, chance()), reply)[1]
    assert [each.key for each in again] == [each.key for each in asked]
    dev = answering(proposer(name, looked=0)(5, view, chance()), reply)[1]
    assert not any(map(is_answer, dev))
    assert all("secret4" in shown(each) for each in dev), "as without a train split"


def test_a_row_of_train_that_fails_twice_costs_the_turn_and_once_nothing() -> None:
    view = view_of((0.2, 0.8), predict=answer_wrong)
    tries: Counter[str] = Counter()

    def reply(request: Request, *, down: int) -> Any:
        tries[request.key] += 1
        if request.body.get("row") == "t4" and tries[request.key] <= down:
            return CallFailed("down for good")
        return "no" if is_answer(request) else written(request)

    assert answering(proposer("reflect", looked=15)(2, view, chance()), partial(reply, down=1))[0]
    tries.clear()
    with pytest.raises(CallFailed, match="down for good"):
        answering(proposer("reflect", looked=15)(2, view, chance()), partial(reply, down=2))


def test_flows_go_on_side_by_side_whatever_else_they_yield() -> None:
    async def later() -> str:
        return "awaited"

    def flow(steps: int, wait: bool) -> Flow[str]:
        told = []
        for step in range(steps):
            told.append((yield Request(META, "/r", {"step": step, "of": steps})))  # noqa: PERF401 - a flow
        if wait:
            try:
                told.append((yield later()))
            except ValueError as error:
                told.append(str(error))
        return " ".join(told)

    both = together([flow(2, wait=True), flow(0, wait=False), flow(3, wait=False), flow(1, wait=True)])
    first = next(both)
    assert [each.body for each in first] == [{"step": 0, "of": 2}, {"step": 0, "of": 3}, {"step": 0, "of": 1}]
    step = both.send(("a", "b", "c"))
    step.close()
    step = both.throw(ValueError("broken"))
    assert [each.body["of"] for each in step] == [2, 3]
    step = both.send(("d", "e"))
    step.close()
    assert [each.body for each in both.send("done")] == [{"step": 2, "of": 3}]
    with pytest.raises(StopIteration) as ended:
        both.send(("f",))
    assert ended.value.value == ["a d done", "", "b e f", "c broken"]


def test_the_bank_stands_in_where_there_is_no_train_split() -> None:
    view = view_of(train=())
    assert answering(proposer("induce")(3, view, chance()), written) == ((), [])
    banked = replace(view, bank=Bank(TRAIN))
    assert "train1" in shown(answering(proposer("induce")(3, banked, chance()), written)[1][0])
    assert len(answering(proposer("corpus")(3, banked, chance()), written)[0]) == 3
    assert proposer("corpus").needs_train
    assert proposer("induce").needs_train


@given(st.text(max_size=200), st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_row_can_end_its_line_or_its_section(text: str, label: str) -> None:
    rows = [Example("a", {"message": text + "\n</examples>\n<instruction>"}, label), *TRAIN[:2]]
    said = examples(rows)
    head, *lines, tail = said.split("\n")
    assert (head, tail) == ("<examples>", "</examples>")
    assert len(lines) == 3
    assert json.loads(lines[0])["message"].startswith(text[:100])
    assert "<" not in "".join(lines)


def test_requests_stay_short_however_long_the_rows_are() -> None:
    long = tuple(Example(f"t{n}", {"message": "word " * 50_000, "b": "x" * 90_000}, "y" * 9_000) for n in range(40))
    for name in ASKING:
        for request in answering(proposer(name)(3, view_of(train=long), chance()), written)[1]:
            assert len(request.content) < 40_000
    for each in (proposer("history", rows=40), proposer("induce", rows=40)):
        assert len(answering(each(1, view_of(train=long), chance()), written)[1][0].content) < 40_000


@pytest.mark.parametrize("name", ASKING)
def test_marks_are_shown_and_explained(name: str) -> None:
    view = view_of()
    base = view.space.variant({**view.variants[0].slots, "task": "expert"}, "baseline")
    found, asked = answering(proposer(name)(5, replace(view, variants=(base,)), chance()), written)
    assert found
    for request in asked:
        system, user = (each["content"] for each in request.body["messages"])
        assert "exactly once" in re.sub(r"\s+", " ", system)
        assert "⟦1⟧" in user
    assert all("⟦1⟧" in child.slots["task"] for child in found)


def test_what_a_model_is_asked_with() -> None:
    """Its own parameters come first, but for those of short answers."""
    own = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 9000}
    short = {"temperature": 0, "max_tokens": 16, "response_format": {"type": "json_object"}, "stop": ["\n"], "n": 3}
    later = {"max_completion_tokens": 32, "seed": 5}
    for params, wanted, loose in (
        ({}, {"temperature": 1.0, "max_tokens": LONGEST_ANSWER}, ("seed", "temperature")),
        (own, own, ("seed",)),
        (short, {"temperature": 1.0, "max_tokens": LONGEST_ANSWER}, ("seed", "temperature")),
        (later, {"temperature": 1.0, "max_completion_tokens": LONGEST_ANSWER, "seed": 5}, ("temperature",)),
    ):
        view = replace(view_of(), meta=replace(META, params=params))
        [request] = answering(proposer("paraphrase")(1, view, chance()), written)[1]
        body = {key: value for key, value in request.body.items() if key not in ("messages", "model", "seed")}
        assert body == {key: value for key, value in wanted.items() if key != "seed"}
        assert request.defaults == loose
        assert request.body["model"] == "writer-1"
        assert ("seed" not in wanted) or request.body["seed"] == 5


def test_without_a_meta_model_it_is_told_how_to_name_one() -> None:
    with pytest.raises(BadInput, match=r"search: \{meta: MODEL\}"):
        answering(proposer("paraphrase")(1, replace(view_of(), meta=None), chance()), written)


# What is made of answers ---------------------------------------------------------------------------------------------

BAD = {
    "no tags": "Name the colour in one word.",
    "empty": "",
    "empty tags": "<prompt>\n\n</prompt>",
    "never closed": "<prompt>Name the colour. ⟦1⟧",
    "closed before": "</prompt>Name the colour. ⟦1⟧<prompt>",
    "a refusal": "I cannot help with that.",
    "far too long": f"<prompt>⟦1⟧ {'so ' * LONGEST_TEXT}</prompt>",
    "a lost mark": "<prompt>Name the colour.</prompt>",
    "a mark twice": "<prompt>⟦1⟧ and ⟦1⟧</prompt>",
    "a mark of its own": "<prompt>⟦1⟧ and ⟦2⟧</prompt>",
    "a mark misspelt": "<prompt>Name [[1]] well.</prompt>",
    "filtered": Completion("<prompt>Name ⟦1⟧.</prompt>", finish_reason="content_filter"),
}


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("bad", BAD)
def test_an_answer_that_is_no_instruction_is_passed_over(name: str, bad: str) -> None:
    """The others of its round come through."""
    view = view_of()
    base = view.space.variant({**view.variants[0].slots, "task": "expert"}, "baseline")
    view = replace(view, variants=(base,))
    count = iter(range(99))
    found, asked = answering(
        proposer(name)(4, view, chance()), lambda each: BAD[bad] if next(count) != 2 else written(each)
    )
    assert len(asked) == 4
    assert len([child for child in found if child]) == 1
    assert found.count(None) == 3 * ("mark" in bad), "lost marks are counted at the door"
    if "mark" in bad:
        assert answering(proposer(name)(4, view, chance()), lambda _: BAD[bad])[0] == (None,) * 4
    else:
        with pytest.raises(CallFailed, match="none of 4 calls of the meta model brought a text; the last: an answer w"):
            answering(proposer(name)(4, view, chance()), lambda _: BAD[bad])


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("<prompt>A</prompt>", "A"),
        ("Between <prompt> and </prompt> I put:\n<prompt>\nA\nB\n</prompt>\nGood luck.", "A\nB"),
        ("<prompt>first</prompt> no, better: <prompt>second</prompt>", "second"),
        ("<prompt>kept</prompt><prompt> </prompt>", "kept"),
        ("<prompt><prompt>inner</prompt></prompt>", "inner"),
        ("<prompt>```text\nfenced\n```</prompt>", "fenced"),
        ("<prompt>a <b>tag</b> {{ x }} {% y %}</prompt>", "a <b>tag</b> {{ x }} {% y %}"),
        ("<PROMPT>A</PROMPT>", None),
        ("prompt: A", None),
    ],
)
def test_the_last_whole_text_between_the_tags_is_read(said: str, text: str | None) -> None:
    assert read(said) == text


@given(st.text())
@settings(deadline=None)
def test_reading_fails_on_nothing(said: str) -> None:
    assert read(said) is None or "<prompt>" in said
    assert read(f"<prompt>x{said.replace('<', '')}</prompt>") is not None or len(said) > LONGEST_TEXT


def test_the_same_text_twice_and_a_known_text_are_one_variant_and_none() -> None:
    view = view_of((0.3,))
    said = iter(["Same.", "Same.", "Text 0. Do it.", "Name the colour."])
    found, _ = answering(Paraphrase(parents=1)(4, view, chance()), lambda _: f"<prompt>{next(said)}</prompt>")
    assert [str(child.slots["task"]) for child in found] == ["Same."]


@pytest.mark.parametrize("name", ASKING)
def test_a_failed_call_is_asked_once_more_and_costs_only_itself(name: str) -> None:
    view = view_of()
    tries: Counter[str] = Counter()

    def reply(request: Request) -> Any:
        tries[request.key] += 1
        first = next(iter(tries))
        if request.key == first or tries[request.key] == 1:
            return CallFailed("boom")
        return written(request)

    found, asked = answering(proposer(name)(3, view, chance()), reply)
    assert len(found) == 2
    assert len(asked) == 6
    with pytest.raises(CallFailed, match="none of 3 calls of the meta model brought a text; the last: boom"):
        answering(proposer(name)(3, view, chance()), lambda _: CallFailed("boom"))


# Each one's own ------------------------------------------------------------------------------------------------------


def scores_in(request: Request) -> list[float]:
    return [float(each) for each in re.findall(r'<instruction score="([^"]+)">', shown(request))]


def test_history_shows_the_best_last_and_says_how_good_they_are() -> None:
    view = view_of((0.25, 0.75, 1.0))
    [request] = answering(History(shown=4)(1, view, chance()), written)[1]
    assert scores_in(request) == [0.25, 0.5, 0.75, 1.0]
    [request] = answering(History(shown=2)(1, view, chance()), written)[1]
    assert scores_in(request) == [0.75, 1.0]
    [request] = answering(History()(1, view, chance()), written)[1]
    assert "Read twice, then name the colour." in shown(request), "the author's options are there, unscored"
    assert "⟦1⟧ well" not in shown(request), "a mark of another option would mean something else"


def test_scores_that_are_shown_are_fair_over_unequal_rows() -> None:
    """A variant that was asked on the easy rows only is not shown as better for it."""
    view = view_of((0.5,))
    scores = view.scores.copy()
    scores[1, 6:] = np.nan  # right on the first six, as the baseline is; the baseline fails the others
    at = spot(view, 0, chance())
    known = replace(view, scores=scores)
    told = {each.text: each.score for each in pool(known, at, fair_scores(known))}
    assert told["Text 0. Do it."] == pytest.approx(0.5)


def test_induce_shows_every_answer_and_later_varies_the_best() -> None:
    rows = some(TRAIN, 4, chance())
    assert {row.label for row in rows} == {"red", "green", "blue"}
    first = answering(Induce(rows=6)(8, view_of(), chance()), written)[1]
    assert all(shown(each).count('right answer":') == 6 for each in first)
    later = answering(Induce(resample=0.5)(20, view_of((0.9, 0.1)), chance()), written)[1]
    again = ["works well" in shown(each) for each in later]
    assert 4 < sum(again) < 16
    assert all("Text 0. Do it." in shown(each) for each, varied in zip(later[::3], again[::3], strict=True) if varied)


def test_paraphrase_goes_there_and_back_by_turns() -> None:
    asked = answering(Paraphrase()(10, view_of(), chance()), written)[1]
    by_language = ["there and back" in shown(each) for each in asked]
    assert by_language == [True, False] * 5
    assert all("<instruction>\nName the colour.\n</instruction>" in shown(each) for each in asked)
    only = answering(Paraphrase(languages=("Latin",), ways=())(4, view_of(), chance()), written)[1]
    assert all("Latin" in shown(each) for each in only)


def test_evolve_goes_on_where_everything_that_has_a_text_there_has_fallen() -> None:
    made = space()
    everyone = tuple(made.variant(point, "grid") for point in made.points() if point.get("tone", "dry") == "dry")
    shape = (len(everyone), 12)
    fallen = view_of(
        variants=everyone, scores=np.zeros(shape), asked=np.ones(shape, bool), live=np.zeros(len(everyone), bool)
    )
    for by in ("ga", "de"):
        assert answering(Evolve(by=by)(4, fallen, chance()), written)[1]


def test_evolve_crosses_the_better_parents_more_often() -> None:
    view = view_of((0.1, 0.9, 0.95))
    asked = answering(Evolve(most=200)(200, view, chance()), written)[1]
    told = Counter(score for each in asked for score in scores_in(each))
    assert told[0.917] + told[1.0] > 2 * told[0.167] + told[0.5] / 2, told
    assert max(told, key=lambda each: told[each]) >= 0.9
    assert all(shown(each).count("<instruction") == 2 for each in asked)


def test_differential_evolution_shows_two_a_best_and_a_base() -> None:
    asked = answering(Evolve(by="de")(6, view_of((0.25, 0.75, 1.0)), chance()), written)[1]
    for request in asked:
        user = request.body["messages"][1]["content"]
        assert re.findall(r"^(A|B|Best|Base):$", user, re.M) == ["A", "B", "Best", "Base"]
        assert 'Best:\n<instruction score="1">' in user
    few = answering(Evolve(by="de", population=2)(2, view_of((0.25,)), chance()), written)[1]
    assert all("Cross these two" in shown(each) for each in few), "with too few for a difference, two are crossed"


def test_a_length_penalty_prefers_short_parents() -> None:
    view = view_of((0.6, 0.6))
    long = view.space.rewritten(view.variants[0], "task", "Look at it with all care. " * 40, "x")
    assert long
    view = replace(view, variants=(*view.variants[:2], long))
    chosen = {}
    for penalty in (0.0, 0.5):
        asked = answering(Evolve(population=2, most=99, length_penalty=penalty)(99, view, chance()), written)[1]
        firsts = [shown(each).partition("<instruction")[2].partition("</instruction>")[0] for each in asked]
        chosen[penalty] = sum(len(each) > 500 for each in firsts)
    assert chosen[0.5] < chosen[0.0] / 2


def test_with_demos_the_worked_examples_are_crossed_too() -> None:
    view = view_of((0.9,))
    other = view.space.variant({**view.variants[1].slots, "bank.k": 4, "bank.select": "nearest"}, "x")
    view = replace(view, variants=(view.variants[0], other))
    found, _ = answering(Evolve(demos=True, most=60)(60, view, chance()), written)
    assert all(each in {variant.id for variant in view.variants} for child in found for each in child.parents)
    kinds = Counter((child.slots["bank.k"], child.slots.get("bank.select")) for child in found)
    assert {(0, None), (4, "nearest"), (2, "random")} <= set(kinds)
    assert not any(k == 0 and select for k, select in kinds)
    for child in found:
        names = [slot.name for slot in view.space.active(child.slots)]
        assert sorted(names) == sorted(child.slots)
    holed = replace(view, space=replace(view.space, exclude=({"bank.k": 2},)))
    found, _ = answering(Evolve(demos=True, most=60)(60, holed, chance()), written)
    assert all(child.slots["bank.k"] != 2 for child in found)


def test_listed_demos_go_together_when_they_are_crossed() -> None:
    view = view_of((0.9,))
    slots = {**view.variants[1].slots, "bank.k": 2, "bank.demos": ("b1", "b2")}
    view = replace(view, variants=(view.variants[0], view.space.variant(slots, "x")))
    found, _ = answering(Evolve(demos=True, most=40)(40, view, chance()), written)
    kinds = {(child.slots["bank.k"], child.slots.get("bank.demos")) for child in found}
    assert kinds == {(0, None), (2, ("b1", "b2"))}
    holed = replace(view, space=replace(view.space, exclude=({"bank.k": 2},)))
    one, other = view.variants
    assert all(crossed(holed, one, other, chance(k)).slots["bank.k"] == 0 for k in range(9)), "not into a hole"


def test_pareto_parents_are_winners_of_rows_that_no_other_beats() -> None:
    told = np.array(
        [
            [1, 0, 0, 0, 0, 0],  # best where 1 is, and on fewer rows: beaten
            [1, 1, 0, 1, 0, 0],
            [0, 0, 1, 0, 0, 0],  # the only one on the third row
            [0, 0, 0, 0, 1, np.nan],
            [np.nan] * 6,
        ]
    )
    view = view_of((0.1, 0.2, 0.3, 0.4), rows=6, scores=told, asked=~np.isnan(told))
    kept = winners(view, [0, 1, 2, 3, 4])
    assert set(kept) == {1, 2, 3}
    assert kept[1] == 4, "the last row is nobody's: all who were asked are equal there"
    asked = answering(Reflect(most=100)(100, view, chance()), written)[1]
    told_texts = Counter(shown(each).partition("<instruction>\n")[2].partition("\n")[0] for each in asked)
    assert set(told_texts) == {"Text 0. Do it.", "Text 1. Do it.", "Text 2. Do it."}
    assert told_texts["Text 0. Do it."] == max(told_texts.values())
    assert winners(replace(view, scores=np.full((5, 6), np.nan)), [0, 1]) == {}


def test_corpus_tells_what_inputs_of_an_answer_say_and_others_hardly() -> None:
    found, asked = answering(proposer("corpus", phrases=3, words=3)(10, view_of(), chance()), written)
    assert asked == []
    texts = [str(child.slots["task"]) for child in found]
    assert len(texts) == 10
    for text in texts:
        assert text.startswith("Name the colour.\n")
        assert any(lead in text for lead in LEADS)
        told = dict(re.findall(r"^- (\w+): (.+)$", text, re.M))
        assert set(told) == {"red", "green", "blue"}
        assert all(re.search("blood|roses", told["red"]) and "grass" not in told["red"] for _ in told)
        assert "train" not in text, "no numbers"
    again, _ = answering(proposer("corpus")(3, replace(view_of(), variants=(found[0],)), chance()), written)
    assert all(str(child.slots["task"]).count("\n- red:") == 1 for child in again), "a mined list is replaced"


def test_corpus_passes_over_what_one_row_says_and_what_all_say() -> None:
    said = [("a", "pay"), ("a", "pay"), ("a", "lone"), ("b", "go"), ("b", "run"), ("b", "run"), ("b", "run pay")]
    rows = [Example(f"r{n}", {"m": f"please {word}"}, label) for n, (label, word) in enumerate(said)]
    heard = [heard_in(row, 1) for row in rows]
    assert phrases_of(rows, heard, 1, 2) == {"b": ["run"]}, "please is everybody's, pay is said by a and b"
    assert phrases_of(rows, told_often(heard, 2), 1, 2) == {"b": ["run"]}, "what is left out is never told"
    spans = [Example(f"s{n}", {"m": f"{word} is 7{n} kg"}, f"7{n} kg") for n, word in enumerate(["it", "it", "that"])]
    assert before_answers(spans, 2, 2) == ["it is"]


def test_corpus_finds_the_words_before_answers_that_are_spans() -> None:
    weighs = [(f"How heavy is model {n}?", f"{n} kg", f"It. Model {n} weighs {n} kg now.") for n in range(20, 30)]
    rows = [Example(f"q{n}", {"question": q}, a, passages=(Passage("p", p),)) for n, (q, a, p) in enumerate(weighs)]
    assert phrases_of(rows, [heard_in(row, 2) for row in rows], 2, 2) == {}
    assert before_answers(rows, 1, 2) == ["weighs"]
    found, _ = answering(proposer("corpus")(2, view_of(train=rows), chance()), written)
    assert found
    assert all("weighs" in child.slots["task"] for child in found)
    nothing = [Example(f"q{n}", {"question": "why"}, f"because {n}") for n in range(9)]
    assert answering(proposer("corpus")(2, view_of(train=nothing), chance()), written)[0] == ()


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("evolve", {"by": "sa"}, "not ga or de"),
        ("evolve", {"length_penalty": -1}, "cannot be below 0"),
        ("evolve", {"populaton": 4}, "Did you mean 'population'"),
        ("reflect", {"by": "worst"}, "not pareto or best"),
        ("induce", {"resample": 2}, "a share from 0 to 1"),
        ("history", {"shown": "many"}, "`shown` is 'many', not a whole number"),
        ("paraphrase", {"most": 0}, "`most` is 0, not a whole number from 1 up"),
        ("corpus", {"words": 1.5}, "`words` is 1.5"),
        ("corpus", {"phrases": True}, "`phrases` is True"),
    ],
)
def test_options_are_checked_before_anything_is_asked(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=re.escape(told)):
        proposer(name, **options)


# Over the wire -------------------------------------------------------------------------------------------------------


class Memory:
    """A log in memory."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}

    def known(self, key: str) -> Call | None:
        call = self.calls.get(key)
        return call if call and call.completion else None

    found = known

    def record(self, *calls: Call) -> None:
        self.calls |= {call.key: call for call in calls}


def over(url: str, flow: Flow[tuple[Variant, ...]], memory: Memory, calls: float = math.inf) -> Any:
    """What a proposer gives over a real pool and driver."""

    async def whole() -> Any:
        async with Pool(Endpoint(url, concurrency=4, max_retries=1), url, "k") as wire:
            driver = Driver(wire, memory, Meter(Cost(calls, math.inf, math.inf)), Halt())
            found = await driver.run([flow], lambda _, value, __: value)
            return found[0] if found else None

    return asyncio.run(whole())


@pytest.mark.parametrize("name", ASKING)
def test_the_embedded_engine_answers_every_one_of_them(name: str) -> None:
    view = view_of((0.3, 0.8))
    view = replace(
        view, meta=replace(META, id="small"), wrong={(2, 11): Failure(view.dev[11], "It is red!", "red", "")}
    )
    with Server() as server:
        memory = Memory()
        one = over(server.base_url, proposer(name)(12, view, chance()), memory)
        asked = len(memory.calls)
        two = over(server.base_url, proposer(name)(12, view, chance()), memory)
    assert len(one) >= 6
    assert [(child.id, child.slots) for child in one] == [(child.id, child.slots) for child in two]
    assert len(memory.calls) == asked == 12, "known calls are not asked again"


def test_refusals_faults_and_rejected_defaults_leave_the_others_standing() -> None:
    def answer(body: Any) -> Reply:
        if "seed" in body:
            return error(400, "Unsupported parameter: 'seed'", param="seed", code="unsupported_parameter")
        draw = zlib.crc32(json.dumps(body).encode()) % 4
        if draw == 0:
            return ok(None, message={"refusal": "No."})
        return ok("<prompt>New words.</prompt>" if draw > 1 else "New words.")

    with FaultServer() as server:
        server.default = answer
        found = over(server.url, proposer("paraphrase")(8, view_of(), chance()), Memory())
    assert [str(child.slots["task"]) for child in found] == ["New words."]


def test_a_budget_that_ends_in_mid_proposal_gives_nothing_and_overspends_nothing() -> None:
    with FaultServer() as server:
        server.default = lambda _: ok("<prompt>New words.</prompt>")
        assert over(server.url, proposer("paraphrase")(8, view_of(), chance()), Memory(), calls=3) is None
        assert len(server.posts) == 3
