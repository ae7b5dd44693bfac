"""The look before mining: whether there is room at all, from a few dozen paired calls that are never paid twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_server import FaultServer, Reply, ok
from project import project

from promptlab.errors import EndpointUnusable
from promptlab.experiment import Experiment
from promptlab.headroom import Headroom, headroom, unlike, verdict, words
from promptlab.prepare import Prepared, prepare
from promptlab.probe import CALLS, chosen, probe
from promptlab.records import Variant
from promptlab.run import mine

TEMPLATE = """\
---
inputs: [message]
choices:
  tone: [short, brief, long]
---
{% system %}
{% choice task open %}
{% option plain %}Name the topic. Read the message twice, and do not guess.
{% option expert %}You know all topics.
{% endchoice %}
{% if tone == "long" %}Take your time, and answer with one of the topics that there are.{% endif %}
{% endsystem %}
{% user %}{{ message }}{% enduser %}
"""


def figures(scores: Any, unread: Any = None, seed: int = 1) -> Headroom:
    table = np.asarray(scores, float)
    none = np.zeros(table.shape, bool) if unread is None else np.asarray(unread, bool)
    return headroom(table, none, seed)


def drawn(rates: list[float], rows: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((len(rates), rows)) < np.array(rates)[:, None]).astype(float)


def test_the_figures_are_paired_and_what_they_say() -> None:
    found = figures([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]])
    assert (found.variants, found.rows) == (3, 4)
    assert found.baseline == 0.25
    assert (found.best, found.oracle) == (0.5, 0.75)
    assert found.spread == 0.0, "the median is as good as the best"
    assert found.disagree == pytest.approx((1 / 4 + 3 / 4 + 2 / 4) / 3)


def test_rows_that_a_failed_call_leaves_open_do_not_count() -> None:
    found = figures([[1, 0, np.nan, 0], [0, 0, 1, 1]], [[0, 0, 0, 0], [0, 0, 1, 1]])
    assert (found.rows, found.errors) == (3, 1)
    assert found.unread == pytest.approx(1 / 6)
    assert "1 rows are left out" in " ".join(words(found))
    nothing = figures([[np.nan], [1.0]])
    assert words(nothing) == ["no row has an answer of every variant: nothing can be told"]


def test_equal_variants_are_found_to_differ_by_more_than_luck_as_seldom_as_said() -> None:
    found = [figures(drawn([0.5] * 5, 12, seed), seed=seed).p < 0.05 for seed in range(200)]
    assert np.mean(found) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    better = [figures(drawn([0.1, 0.1, 0.1, 0.1, 0.9], 12, seed), seed=seed).p < 0.05 for seed in range(50)]
    assert np.mean(better) > 0.9


@pytest.mark.parametrize(
    ("scores", "unread", "said"),
    [
        (drawn([0.5, 0.2, 0.5, 0.3], 15, 1), None, "room: up to +"),
        (np.ones((4, 15)), None, "near the ceiling"),
        (np.tile(np.arange(15) % 2, (4, 1)), None, "all answer alike: mining these choices will hardly pay"),
        (np.zeros((4, 15)), np.arange(60).reshape(4, 15) % 5 < 2, "format is the problem: 40 % of the answers"),
        (np.arange(15)[None] % 2, None, "there is only the baseline"),
    ],
    ids=["room", "ceiling", "alike", "format", "alone"],
)
def test_the_verdict_is_in_words(scores: Any, unread: Any, said: str) -> None:
    found = figures(scores, unread)
    assert verdict(found).startswith(said)
    assert words(found)[-1] == verdict(found)


def test_a_measure_that_is_no_rate_has_no_ceiling() -> None:
    found = figures([[5.0, 6.0, 7.0], [9.0, 1.0, 2.0]])
    assert verdict(found).startswith("room")
    assert "points" not in " ".join(words(found))


def test_the_unlike_ones_differ_in_most_slots() -> None:
    base = Variant("b", {"x": 0, "y": 0, "z": 0})
    near, far, other = (
        Variant("n", {"x": 1, "y": 0, "z": 0}),
        Variant("f", {"x": 1, "y": 1, "z": 1}),
        Variant("o", {"x": 2, "y": 0, "z": 1}),
    )
    assert unlike(base, [near, far, other], 2) == [far, other]
    assert unlike(base, [base], 3) == []
    twin = Variant("t", {"x": 1, "y": 1, "z": 2})
    assert unlike(base, [far, twin, other], 2) == [far, other], "far from the start is not enough: unlike one another"


# The calls -----------------------------------------------------------------------------------------------------------


def prepared(folder: Path, **changes: Any) -> Prepared:
    return prepare(Experiment.load(project(folder, **changes)))


def test_a_few_dozen_calls_on_dev_alone_and_the_run_does_not_pay_for_them_again(tmp_path: Path) -> None:
    with FaultServer() as server:
        server.default = lambda body: ok("billing" if "care" in json.dumps(body) else "access")
        project(tmp_path, endpoint={"base_url": server.url})
        ready = prepare(Experiment.load(tmp_path / "experiment.yaml"))
        found = probe(ready)
        asked = [each.body for each in server.posts]
        assert len(asked) == found.variants * found.rows <= CALLS
        assert found.variants == 5
        dev = {str(row.inputs["message"]) for row in ready.rows.dev}
        assert {body["messages"][-1]["content"] for body in asked} <= dev
        assert not (tmp_path / ".promptlab" / "test_reads.json").exists()
        assert probe(ready) == found, "and the second look is free"
        assert len(server.posts) == len(asked)
        mine(ready)
        sent = [each.content for each in server.posts]
    assert len(sent) == len(set(sent))


def test_the_probe_keeps_to_a_smaller_budget(tmp_path: Path) -> None:
    search = {"propose": ["grid"], "allocate": "full", "budget": {"calls": 100}, "finalists": 1}
    ready = prepared(tmp_path, search=search)
    assert probe(ready, 7).variants * probe(ready, 7).rows <= 7
    assert probe(ready, 2).variants == 1


def test_variants_that_send_the_same_are_asked_once_and_open_texts_are_cut_short(tmp_path: Path) -> None:
    path = project(tmp_path)
    (tmp_path / "t.j2").write_text(TEMPLATE, encoding="utf-8")
    ready = prepare(Experiment.load(path))
    found = chosen(ready, 4)
    prompts = [ready.task.prompt(each).messages(ready.rows.dev[0])[0].content for each in (ready.baseline, *found)]
    assert len(set(prompts)) == len(prompts)
    assert "Name the topic." in prompts, "the shortest: the first sentence alone"
    assert max(map(len, prompts)) == max(
        len(ready.task.prompt(ready.space.variant(point, "x")).messages(ready.rows.dev[0])[0].content)
        for point in ready.space.points()
    )
    assert [each.id for each in chosen(ready, 4)] == [each.id for each in found]
    assert chosen(ready, 0) == []
    ends = [ready.task.prompt(each).messages(ready.rows.dev[0])[0].content for each in chosen(ready, 2)]
    assert (len(ends[0]), len(ends[1])) == (min(map(len, prompts)), max(map(len, prompts)))
    sent = [ready.task.prompt(each).messages(ready.rows.dev[0]) for each in (ready.baseline, *chosen(ready, 40))]
    assert len(set(sent)) == len(sent) == 5, "of six points, two send what others do; and the cut one"


def test_answers_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    with FaultServer() as server:
        replies = iter(range(10**6))

        def answer(_: Any) -> Reply:
            return ok("no idea at all" if next(replies) % 5 < 2 else "billing")

        server.default = answer
        found = probe(prepared(tmp_path, endpoint={"base_url": server.url}))
    assert found.unread == pytest.approx(0.4)
    assert verdict(found).startswith("format is the problem: 40 %")


def test_an_endpoint_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "max_retries": 0}
    with pytest.raises(EndpointUnusable):
        probe(prepared(tmp_path, endpoint=endpoint))
