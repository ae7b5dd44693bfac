"""Engines past memory behind the same factory: they find what `dense` finds. Skipped where they are not installed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from retrieval_parts import EMBED, by_hand, passages, vector
from retriever_contract import CONTRACT

from promptlab.errors import BadInput
from promptlab.records import CANONICAL, Completion, Request
from promptlab.retrieve.dense import dense
from promptlab.retrieve.pool import Pool

TEXTS = ("the cat sat on the mat", "zzz zebra", "", "dogs bark", "quick quail quiz", "tab tab", "bat bat", "abt abt")
ENGINES = {"lancedb": "promptlab.retrieve.lancedb:lancedb", "qdrant": "promptlab.retrieve.qdrant:qdrant"}
MODULES = {"lancedb": "lancedb", "qdrant": "qdrant_client"}


def answered(request: Request) -> Completion:
    return Completion(CANONICAL.encode([vector(each) for each in request.body["input"]]))


def factory(name: str) -> Any:
    module, _, attribute = ENGINES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def installed(name: str) -> Any:
    pytest.importorskip(MODULES[name], reason=f"the extra {name} is not installed")
    return factory(name)


def pool(cache: Path | None, texts: tuple[str, ...] = TEXTS) -> Pool:
    return Pool.of(passages(*texts), cache, EMBED)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_is_not_installed_says_how_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, MODULES[name], None)
    with pytest.raises(BadInput, match=rf"needs the package {MODULES[name]}.*pip install"):
        factory(name)(pool(None))


@pytest.mark.parametrize("claim", CONTRACT)
@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_keeps_the_contract_of_all_retrievers(name: str, claim: str, tmp_path: Path) -> None:
    CONTRACT[claim](installed(name), lambda flow: by_hand(flow, answered)[0], embed=EMBED, cache=tmp_path)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("kept", [True, False])
def test_an_engine_finds_what_dense_finds(name: str, kept: bool, tmp_path: Path) -> None:
    made = installed(name)
    corpus = pool(tmp_path if kept else None)
    engine, exact = made(corpus), dense(corpus)
    for query in ("cat", "zebra", "quiz dogs", "bat", "tab"):
        for k in (1, 3, 7, 20):
            found, _ = by_hand(engine(query, k), answered)
            assert found == by_hand(exact(query, k), answered)[0]
    assert by_hand(engine(" ", 3), answered) == ((), [])
    assert by_hand(engine("cat", 0), answered) == ((), [])


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_embeds_nothing_twice_and_starts_again_from_disk(name: str, tmp_path: Path) -> None:
    made = installed(name)
    first = made(pool(tmp_path))
    assert len(first.missing) == 7
    _, asked = by_hand(first.prepare(), answered)
    assert sum(len(each.body["input"]) for each in asked) == 7
    found, _ = by_hand(first("cat", 3), answered)
    del first
    again = made(pool(tmp_path))
    assert by_hand(again.prepare(), answered) == (None, [])
    assert by_hand(again("cat", 3), answered)[0] == found
    grown = made(pool(tmp_path, (*TEXTS, "caat")))
    assert grown.missing == ("caat",)
    assert by_hand(grown("caat", 1), answered)[0][0].id == "p8"


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_over_nothing_finds_nothing(name: str, tmp_path: Path) -> None:
    engine = installed(name)(pool(tmp_path, ("", " ")))
    assert by_hand(engine("cat", 3), answered)[0] == ()


def test_a_large_table_is_indexed_and_still_finds_the_nearest(tmp_path: Path) -> None:
    installed("lancedb")
    from promptlab.retrieve.lancedb import Lance

    texts = tuple(f"{chr(97 + at % 26) * (at % 7 + 1)} {chr(97 + at // 26) * 3}" for at in range(600))
    corpus = pool(tmp_path, texts)
    engine = Lance(corpus, indexed=500)
    found, _ = by_hand(engine("aaaa ddd", 5), answered)
    exact, _ = by_hand(dense(corpus)("aaaa ddd", 5), answered)
    assert engine._table.list_indices()
    assert found[0].score == exact[0].score
    assert len({each.id for each in found} & {each.id for each in exact}) >= 3
