"""One prediction: what a variant sends for a row, and what becomes of the answer, of no answer, of a failed call."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from project import project

from promptlab.bank import Bank
from promptlab.errors import BadInput, CallFailed
from promptlab.predict import Label, Task, objective, predict
from promptlab.prepare import opened
from promptlab.records import Completion, Endpoint, Example, Model, Passage, Prediction, Request, Score, Variant
from promptlab.template import Source, parse

MODEL = Model("fast", Endpoint("http://127.0.0.1:9/v1"), "model-1", params={"top_p": 0.5, "seed": None, "stop": ["\n"]})
ROW = Example("r1", {"text": "hello"}, "red", passages=(Passage("p1", "first"), Passage("p2", "second")))
ASKED = "{% user %}{{ text }}{% enduser %}"


def exact(example: Example, completion: Completion) -> bool:
    return bool(completion.answer == example.label)


def task(source: str = ASKED, **changes: Any) -> Task:
    template = parse("t.j2", {"t.j2": Source(source, "t.j2")})
    return replace(Task({"t": template}, {"fast": MODEL}, "text", {"main": exact}, {"main": 1.0}), **changes)


def variant(**slots: Any) -> Variant:
    values = {name.replace("__", "."): value for name, value in slots.items()}
    return Variant(f"v{sorted(values.items())}", {"template": "t", "model": "fast", **values})


def answered(asked: Task, *sent: Any, row: Example = ROW, **slots: Any) -> Prediction:
    """The prediction, with what is sent (or thrown) in answer to each of its requests."""
    flow = predict(asked, variant(**slots), row)
    next(flow)
    *between, last = sent
    for each in between:
        flow.throw(each) if isinstance(each, Exception) else flow.send(each)
    with pytest.raises(StopIteration) as done:
        flow.throw(last) if isinstance(last, Exception) else flow.send(last)
    assert isinstance(done.value.value, Prediction)
    return done.value.value


def content(asked: Task, row: Example = ROW, **slots: Any) -> list[str]:
    return [each.content for each in asked.prompt(variant(**slots)).messages(row)]


# ---- what is sent


def test_the_request_is_model_messages_and_parameters_of_experiment_model_and_variant() -> None:
    asked = task(params={"max_tokens": 8, "top_p": 1.0, "temperature": 0})
    prompt = asked.prompt(variant(params__temperature=0.7))
    request = prompt.request(prompt.messages(ROW), 2)
    assert (request.route, request.draw, request.purpose) == ("/chat/completions", "2", "answer")
    assert request.body == {
        "model": "model-1", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, "top_p": 0.5,
        "temperature": 0.7, "stop": ["\n"],
    }  # fmt: skip


def test_a_repeat_is_another_call_of_the_same_bytes() -> None:
    prompt = task().prompt(variant())
    one, two = (prompt.request(prompt.messages(ROW), repeat) for repeat in (0, 1))
    assert one.content == two.content
    assert one.key != two.key


def test_templates_see_labels_with_descriptions_passages_and_demos() -> None:
    source = (
        "{% for label in labels %}{{ label }}={{ label.name }}:{{ label.description }};{% endfor %}"
        "{% for p in passages %}[{{ p.id }} {{ p.text }} {{ p }}]{% endfor %}"
        "{% for d in demos %}<{{ d.text }}|{{ d['items'] }}|{{ d.label }}|{{ d.passages[0] }}>{{ d }}{% endfor %}"
        "{{ text }}"
    )
    demo = Example("d", {"text": 7, "items": ["é"]}, ("blue", "navy"), passages=(Passage("q", "p"),))
    asked = task(source, labels=(Label("red", "like blood"), Label("blue")), bank=Bank((demo,)))
    [found] = content(asked, bank__k=1)
    assert found.startswith('red=red:like blood;blue=blue:;[p1 first first][p2 second second]<7|["é"]|blue|p>{')
    assert found.endswith("}hello")


def test_a_demo_without_a_label_has_an_empty_one() -> None:
    asked = task("{% for d in demos %}<{{ d.label }}>{% endfor %}{{ text }}", bank=Bank((Example("d", {"text": "a"}),)))
    assert content(asked, bank__k=1) == ["<>hello"]


def test_only_the_templates_own_slots_are_in_scope() -> None:
    source = "---\nchoices: {tone: [dry]}\n---\n{{ tone }} {{ text }}{% if other is defined %}!{% endif %}"
    assert content(task(source), tone="dry", other="x") == ["dry hello"]


def test_a_row_that_cannot_be_rendered_is_named_with_its_variant() -> None:
    with pytest.raises(BadInput) as caught:
        content(task("a\n{{ text.foo.bar }}"))
    [problem] = caught.value.problems
    assert (problem.path, problem.line) == ("t.j2", 2)
    assert "(row r1, variant v" in problem.message


def test_rendering_changes_no_row() -> None:
    row = replace(ROW, inputs={"text": {"b": [1], "a": 2}})
    assert content(task("{{ text }}{{ text.b }}"), row) == ['{"b": [1], "a": 2}[1]']
    assert row.inputs == {"text": {"b": [1], "a": 2}}


# ---- what becomes of the answer


def test_a_right_answer_a_wrong_one_and_none() -> None:
    labels = (Label("red"), Label("blue"))
    asked = task(parser="label", labels=labels)
    assert (answered(asked, Completion("red")).score, answered(asked, Completion("blue")).score) == (1.0, 0.0)
    none = answered(asked, Completion("no idea"))
    assert (none.status, none.score, none.answer, none.output) == ("invalid", 0.0, None, "no idea")


def test_a_failed_call_is_an_error_without_a_score() -> None:
    row = answered(task(), CallFailed("gone"))
    assert (row.status, row.error, row.answer, row.scores) == ("error", "gone", None, {})
    assert math.isnan(row.score)


def test_a_template_says_how_its_answers_are_read_by_a_choice() -> None:
    source = "---\nchoices: {form: [short, 2]}\nanswer: {by: form, short: text, 2: last-line}\n---\n{{ text }}"
    asked = task(source)
    assert answered(asked, Completion("so:\nred"), form="short").answer == "so:\nred"
    assert answered(asked, Completion("so:\nred"), form=2).answer == "red"


def test_metrics_may_be_flows_coroutines_or_plain_and_all_see_the_parsed_answer() -> None:
    seen: list[Any] = []

    def plain(example: Example, completion: Completion) -> Score:
        seen.append(completion.answer)
        return Score(0.25, answer="changed")

    def flow(example: Example, completion: Completion) -> Generator[Any, Any, float]:
        seen.append(completion.answer)
        reply = yield Request(MODEL, "/chat/completions", {"judge": completion.answer}, purpose="judge")
        return float(reply.text)

    async def later(example: Example, completion: Completion) -> float:
        seen.append(completion.answer)
        return 0.5

    class Awaited:
        def __call__(self, example: Example, completion: Completion) -> Any:
            return later(example, completion)

    asked = task(metrics={"a": plain, "b": flow, "c": Awaited()}, objective={"a": 1.0, "b": 2.0})
    running = predict(asked, variant(), ROW)
    next(running)
    judged = running.send(Completion("red"))
    assert isinstance(judged, Request)
    awaitable: Any = running.send(Completion("0.75"))
    with pytest.raises(StopIteration) as result:
        awaitable.send(None)
    with pytest.raises(StopIteration) as done:
        running.send(result.value.value)
    row = done.value.value
    assert seen == ["red"] * 3
    assert row.scores == {"a": 0.25, "b": 0.75, "c": 0.5}
    assert (row.score, row.answer) == (1.75, "changed")


def test_a_judge_that_cannot_be_reached_is_missing_data() -> None:
    def judge(example: Example, completion: Completion) -> Generator[Any, Any, float]:
        yield Request(MODEL, "/chat/completions", {}, purpose="judge")
        return 1.0

    row = answered(task(metrics={"main": judge}), Completion("red"), CallFailed("judge gone"))
    assert (row.status, row.error, row.scores) == ("error", "judge gone", {})
    assert math.isnan(row.score)


def test_a_metric_that_breaks_is_named_with_row_and_variant() -> None:
    def broken(example: Example, completion: Completion) -> float:
        raise KeyError("x")

    with pytest.raises(BadInput, match=r"the metric `main` failed on row r1 of variant v.*KeyError: 'x'.*every answer"):
        answered(task(metrics={"main": broken}), Completion("red"))


def test_an_unlabelled_row_has_an_answer_and_no_score() -> None:
    row = answered(task(), Completion("red"), row=replace(ROW, label=None))
    assert (row.status, row.answer, row.scores) == ("ok", "red", {})


def test_the_objective_is_the_weighted_sum_and_missing_where_a_part_is() -> None:
    assert objective({"a": 0.8, "b": 0.2}, {"a": 1.0, "b": 0.5, "c": 9.0}) == pytest.approx(0.9)
    assert math.isnan(objective({"a": 0.8, "b": 0.2}, {"a": 1.0}))


def test_a_prompt_with_eight_demos_is_cheap() -> None:
    """The aim is 120 µs of CPU; the bound leaves room for a slow machine, and would not pass with what it once was."""
    import time

    source = (
        "{% system %}{% for label in labels %}- {{ label }}\n{% endfor %}{% endsystem %}\n{% for d in demos %}\n"
        "{% user %}{{ d.text }}{% enduser %}\n{% assistant %}{{ d.label }}{% endassistant %}\n{% endfor %}\n" + ASKED
    )
    demos = tuple(
        Example(f"d{n}", {"text": f"an example that holds {n} and some more words"}, "red") for n in range(80)
    )
    asked = task(
        source, labels=tuple(Label(f"label-{n}") for n in range(8)), bank=Bank(demos), params={"max_tokens": 8}
    )
    rows = [Example(f"r{n}", {"text": f"the message of customer {n}, who asks for this"}, "red") for n in range(200)]
    prompt = asked.prompt(variant(bank__k=8, bank__select="random", bank__seed=1, bank__order="given"))

    def once() -> float:
        began = time.process_time()
        for row in rows:
            assert len(prompt.request(prompt.messages(row)).key) == 64
        return (time.process_time() - began) / len(rows)

    assert min(once() for _ in range(5)) < 400e-6


def test_temperature_0_is_sent_unless_the_experiment_names_it_and_its_key_says_who_did(tmp_path: Path) -> None:
    """Null leaves it to the server. What nobody wrote may be left out: another question than what was written."""
    found = {}
    for name, params in (("none", {}), ("written", {"temperature": 0}), ("null", {"temperature": None})):
        prepared = opened(project(tmp_path / name, params={**params, "max_tokens": 4}))
        prompt = prepared.task.prompt(prepared.baseline)
        found[name] = prompt.request(prompt.messages(prepared.rows.dev[0]))
    assert [each.body.get("temperature") for each in found.values()] == [0, 0, None]
    assert [each.defaults for each in found.values()] == [("temperature",), (), ()]
    assert len({each.key for each in found.values()}) == 3
    assert found["none"].content == found["written"].content
