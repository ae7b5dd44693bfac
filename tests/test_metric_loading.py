"""metrics/: how a metric is named and loaded, and what its source is."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promptlab.errors import BadInput
from promptlab.importing import source_of
from promptlab.metrics import load
from promptlab.records import Completion, Example


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Write modules of a user's own into a new folder; nothing of them stays imported."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(folder: str = "", **modules: str) -> Path:
        base = tmp_path / folder
        base.mkdir(exist_ok=True)
        for name, source in modules.items():
            (base / f"{name}.py").write_text(source)
        return base

    yield write
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in {"mine_", "other_", "json"}:
            del sys.modules[name]


def test_a_metric_of_ones_own_is_found_beside_the_experiment(own: Callable[..., Path]) -> None:
    base = own(mine_="import other_\ndef short(example, completion):\n    return other_.LIMIT - len(completion.text)\n")
    own(other_="LIMIT = 10\n")
    path = sys.path[:]
    metric = load("mine_:short", base=base)
    assert metric(Example("e", {}), Completion("abc")) == 7
    assert sys.path == path
    assert "def short" in source_of(metric)


def test_a_metric_may_be_async_a_class_or_take_options(own: Callable[..., Path]) -> None:
    base = own(
        mine_="import dataclasses\n"
        "async def later(example, completion):\n    return 1\n"
        "@dataclasses.dataclass\nclass Longest:\n    limit: int = 5\n"
        "    def __call__(self, example, completion):\n        return len(completion.text) <= self.limit\n"
        "def at_most(example, completion, *, limit=5):\n    return len(completion.text) <= limit\n"
    )
    example, completion = Example("e", {}), Completion("1234567")
    assert asyncio.run(load("mine_:later", base=base)(example, completion)) == 1
    for name in ("mine_:Longest", "mine_:at_most"):
        assert not load(name, base=base)(example, completion)
        assert load(name, {"limit": 7}, base)(example, completion)
        assert source_of(load(name, {"limit": 7}, base)) != source_of(load(name, {"limit": 8}, base))


def test_two_experiments_may_each_bring_a_module_of_the_same_name(own: Callable[..., Path]) -> None:
    one = own("one", mine_="def m(example, completion):\n    return 1\n")
    two = own("two", mine_="def m(example, completion):\n    return 2\n")
    example, completion = Example("e", {}), Completion("")
    first, second = load("mine_:m", base=one), load("mine_:m", base=two)
    assert (first(example, completion), second(example, completion)) == (1, 2)
    assert "return 1" in source_of(first)
    assert "return 2" in source_of(second)


def test_a_file_named_like_a_module_of_python_replaces_nothing(own: Callable[..., Path]) -> None:
    base = own(
        json="def m(example, completion):\n    return 1\n", mine_="import json\nm = lambda e, c: json.loads('1')\n"
    )
    assert load("mine_:m", base=base)(Example("e", {}), Completion("")) == 1
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        ("exakt", {}, ["no such metric", "Did you mean 'exact'?"]),
        ("quite-unlike", {}, ["no such metric", "Known:", "package.module:function"]),
        ("exact:1", {}, ["takes nothing after a colon", "Write exact."]),
        ("macro_f1:x", {}, ["takes nothing after a colon"]),
        ("exact", {"limit": 1}, ["unknown option 'limit'", "takes no options"]),
        ("numeric", {"tolerence": 1}, ["unknown option 'tolerence'", "Did you mean 'tolerance'?"]),
        ("regex:(", {}, ["does not compile"]),
        ("nowhere_:m", {}, ["no module 'nowhere_'", "looked for in"]),
        ("numerik:0.1", {}, ["package.module:name", "Did you mean 'numeric'?"]),
        ("mine_.sub:m", {}, ["no module 'mine_.sub'"]),
        ("mine_:metrik", {}, ["has no 'metrik'", "Did you mean 'metric'?", "mine_.py"]),
        ("mine_:LIMIT", {}, ["is a int, not a function"]),
        ("mine_:one", {}, ["cannot be called with (example, completion)"]),
        ("mine_:Dull", {}, ["cannot be called"]),
        ("mine_:Touchy", {}, ["KeyError: 'key'"]),
        ("mine_:metric", {"limit": 1, "x": 2}, ["unknown option 'limit'", "unknown option 'x'"]),
        ("broken_:m", {}, ["broken_.py:2", "ZeroDivisionError"]),
        ("wrong_:m", {}, ["wrong_.py:2", "SyntaxError"]),
        ("leaves_:m", {}, ["leaves_.py:1", "SystemExit"]),
        ("needs_:m", {}, ["needs_.py:1", "ModuleNotFoundError: No module named 'absent_'"]),
    ],
)
def test_what_cannot_be_loaded_is_told_with_its_place_and_remedy(
    own: Callable[..., Path], name: str, options: dict[str, Any], parts: list[str]
) -> None:
    base = own(
        mine_="LIMIT = 1\ndef metric(example, completion):\n    return 1\ndef one(example):\n    return 1\n"
        "class Dull:\n    pass\nclass Touchy:\n    def __init__(self):\n        {}['key']\n",
        broken_="x = 1\n1 / 0\n",
        wrong_="x = 1\ndef m(:\n",
        leaves_="raise SystemExit(1)\n",
        needs_="import absent_\n",
    )
    with pytest.raises(BadInput) as caught:
        load(name, options, base)
    for part in parts:
        assert part in str(caught.value)


def test_the_source_of_a_built_in_is_its_name_its_version_and_its_options(tmp_path: Path) -> None:
    assert source_of(load("exact")) == source_of(load("accuracy"))
    assert source_of(load("exact")).startswith("promptlab.metrics.exact:exact@")
    assert source_of(load("numeric:1%")) != source_of(load("numeric:2%"))
    for content in ({"type": "object"}, {"type": "array"}):
        (tmp_path / "s.json").write_text(json.dumps(content))
        assert repr(content["type"]) in source_of(load("json_valid:s.json", base=tmp_path))
        assert str(tmp_path) not in source_of(load("json_valid:s.json", base=tmp_path))
