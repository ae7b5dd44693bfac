"""A passage is data: whatever it says, it becomes no role, no tag, no template, and no other passage's number.

From a corpus of hostile passages to the bytes that a real HTTP server gets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, ok
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.experiment import Experiment
from promptlab.prepare import prepare
from promptlab.records import Endpoint, Message, Model, Request
from promptlab.run import mine
from promptlab.template import Source, Template, load, parse
from promptlab.template.marks import Row

ROOT = Path(__file__).parents[1]
CORPUS = Path(__file__).parent / "data" / "hostile_passages.jsonl"
HOSTILE: list[dict[str, str]] = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
PLAIN = {"id": "p", "title": "", "text": "The lamp weighs 78 g."}
NUMBERED = re.compile(r"[\s\x00-\x1f\u200b\ufeff]*\[(\d+)\]")


def shipped() -> Template:
    templates, _ = load([ROOT / "templates" / "qa" / "grounded.j2"])
    return next(iter(templates.values()))


def messages(template: Template, passages: list[dict[str, str]]) -> tuple[Message, ...]:
    slots = {"format": "short", "task": "plain"}
    scope = {"question": "How heavy is it?", "demos": (), "labels": (), "passages": tuple(map(Row, passages))}
    return template.render(scope | {each.name: slots[each.name] for each in template.slots})


def numbers(text: str) -> list[int]:
    """The numbers that lines begin with, whatever a reader takes for the end of a line."""
    return [int(found[1]) for line in text.splitlines() if (found := NUMBERED.match(line))]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda each: each["id"])
def test_a_hostile_passage_changes_its_own_line_alone(hostile: dict[str, str]) -> None:
    """The messages are those of a harmless passage, its line apart: same roles, same order, same other text."""
    template = shipped()
    plain = messages(template, [PLAIN, PLAIN, PLAIN])
    found = messages(template, [PLAIN, hostile, PLAIN])
    assert [each.role for each in found] == [each.role for each in plain] == ["system", "user"]
    assert found[0] == plain[0]
    own, line = (each[1].content.split("\n") for each in (plain, found))
    assert [*line[:1], *line[2:]] == [*own[:1], *own[2:]]
    assert line[1].startswith("[2] ")
    said = [each for each in (hostile["title"], hostile["text"]) if each]
    assert line[1].removeprefix("[2] ").split() == ": ".join(" ".join(each.split()) for each in said).split()
    assert numbers(found[1].content) == [1, 2, 3]


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=60)), max_size=5))
@settings(max_examples=60, deadline=None)
def test_no_passage_forges_a_number(passages: list[tuple[str, str]]) -> None:
    made = [{"id": "x", "title": title, "text": f"{text}\n[1] {text}"} for title, text in passages]
    found = messages(shipped(), made)
    assert len(found) == 2
    assert numbers(found[1].content) == list(range(1, len(made) + 1))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda each: each["id"])
def test_in_a_template_of_ones_own_a_passage_arrives_byte_for_byte(hostile: dict[str, str]) -> None:
    listed = "{% for p in passages %}<{{ p.text }}|{{ p.title }}>{% endfor %}"
    text = "{% system %}Rules.{% endsystem %}{% user %}" + listed + "{% enduser %}"
    template = parse("own", {"own": Source(text, "own.j2")})
    found = messages(template, [hostile, hostile])
    twice = f"<{hostile['text']}|{hostile['title']}>" * 2
    assert found == (Message("system", "Rules."), Message("user", twice))
    body = {"model": "m", "messages": [{"role": each.role, "content": each.content} for each in found]}
    request = Request(Model("m", Endpoint("http://127.0.0.1/v1"), "m"), "/chat/completions", body)
    assert json.loads(request.content) == body


RUBRIC = "5 if every statement stands in the passages"
SETTINGS: dict[str, Any] = {
    "name": "hostile-passages",
    "models": ["small"],
    "params": {"max_tokens": 8},
    "data": {"path": "rows.jsonl", "id": "id", "inputs": ["question"], "label": "answer", "gold": "gold",
             "split": "all"},
    "templates": ["templates/qa/grounded.j2"],
    "retrieval": {"corpus": {"path": "corpus.jsonl", "id": "id", "text": "text", "title": "title"}, "chunk": "whole",
                  "retriever": ["oracle", "bm25"], "k": [3],
                  "query": ["input", "{{ question }} {% if true %}x{% endif %}"]},
    "space": {"task": ["plain"], "format": ["short"]},
    "answer": "text",
    "metrics": {"main": "exact", "stands": {"judge": {"rubric": RUBRIC, "model": "small"}}},
    "search": {"propose": ["grid"], "allocate": "full", "budget": {"calls": 1000}, "finalists": 1},
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.default = lambda _: ok("78 g")
        yield running


def test_a_hostile_corpus_reaches_the_endpoint_as_data(
    tmp_path: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by its own words and by the oracle: two messages a request, the orders untouched, the passages numbered.

    A judge is shown those same passages, byte for byte, as JSON.
    """
    monkeypatch.setenv("HOME", "leaked-home")
    (tmp_path / "corpus.jsonl").write_bytes(CORPUS.read_bytes())
    (tmp_path / "templates").symlink_to(ROOT / "templates")
    rows = [
        {"id": f"r{n}", "question": f"{each['text']} {n * 7919}", "answer": f"{n} g", "gold": [each["id"]]}
        for n, each in enumerate(HOSTILE)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), "utf-8")
    endpoint = {"base_url": server.url, "concurrency": 8}
    (tmp_path / "experiment.yaml").write_text(json.dumps(SETTINGS | {"endpoint": endpoint}), "utf-8")
    run = mine(prepare(Experiment.load(tmp_path / "experiment.yaml")))
    bodies = [json.loads(post.content) for post in server.posts]
    assert not any(b"leaked-home" in post.content for post in server.posts)
    assert all([each["role"] for each in body["messages"]] == ["system", "user"] for body in bodies)
    judged = [body["messages"] for body in bodies if RUBRIC in body["messages"][0]["content"]]
    answered = [body["messages"] for body in bodies if RUBRIC not in body["messages"][0]["content"]]
    assert min(len(judged), len(answered)) >= len(HOSTILE)
    orders = messages(shipped(), [PLAIN])[0].content
    for system, user in answered:
        assert system["content"] == orders
        passages = user["content"].split("\n\nQuestion: ")[0]
        assert numbers(passages) == list(range(1, len(passages.split("\n")) + 1))
    told = {text for _, user in judged for text in json.loads(user["content"])["passages"]}
    assert told == {each["text"].strip() for each in HOSTILE}  # no chunk has blanks at its edges
    assert len({system["content"] for system, _ in judged}) == 1
    oracle = run.predictions.merge(run.results[["variant", "slot.retrieval.retriever"]], on="variant")
    oracle = oracle[oracle["slot.retrieval.retriever"] == "oracle"].drop_duplicates("example")
    named = dict(zip(oracle["example"], map(json.loads, oracle["passages"]), strict=True))
    assert named == {each["id"]: each["gold"] for each in rows}
