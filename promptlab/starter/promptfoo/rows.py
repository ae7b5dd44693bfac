"""promptfoo's tests as labelled rows: variables as columns, what is expected as labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

from promptlab.dataset.file import read_table
from promptlab.errors import BadInput
from promptlab.starter.promptfoo.asserted import Expected, expected, from_cell
from promptlab.starter.promptfoo.ours import parser_of, unhidden
from promptlab.starter.promptfoo.source import Source, listed
from promptlab.yaml_file import read_text, read_yaml

MOST = 10_000  # rows that lists of values may multiply to
_TABLES = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Test:
    """One row: its variables, and what it expects."""

    vars: Mapping[str, Any]
    expects: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that one metric can check, and the further metrics that hold for all of them."""

    tests: tuple[Test, ...]
    metric: str
    labels: tuple[Any, ...]
    also: tuple[str, ...] = ()


def read_rows(source: Source) -> Rows:
    """The tests of the configuration, as far as one metric can check them: that of most of them."""
    tests = list(islice(_tests(source), MOST + 1))
    if len(tests) > MOST:
        source.leave(f"tests past {MOST:,}")
    tests = tests[:MOST]
    counts = Counter(each.metric for test in tests for each in test.expects if each.label is not None)
    metric = counts.most_common(1)[0][0] if counts else ""
    if not counts and any(test.expects for test in tests):
        metric = "json_valid"  # the one that needs no label
    if not metric:
        return Rows(tuple(tests), "", ())
    checked: list[Test] = []
    labels: list[Any] = []
    for test in tests:
        found = [each for each in test.expects if each.metric == metric]
        if found:
            checked.append(test)
            labels += [found[0].label] if counts else []
            _say(source, found[0])
        if len(found) > 1 and counts:
            source.leave(f"second and further assertions of a test that `{metric}` checks: a row has one label")
        for each in test.expects:
            if each.metric not in (metric, "json_valid"):
                source.leave(f"assertions `{each.kind}` beside `{metric}`: one metric checks the label column")
    if len(checked) < len(tests):
        source.leave(f"{len(tests) - len(checked)} of {len(tests)} tests: they expect nothing that `{metric}` checks")
    also = ("json_valid",) if counts and _all_json(source, checked) else ()
    return Rows(tuple(checked), metric, tuple(labels), also)


def _all_json(source: Source, tests: Sequence[Test]) -> bool:
    """Whether every test wants JSON: a metric is for all rows. Where only some do, that is said."""
    wants = [each for test in tests for each in test.expects if each.kind == "is-json"]
    having = sum(any(each.kind == "is-json" for each in test.expects) for test in tests)
    if 0 < having < len(tests):
        source.leave(f"assertions `is-json` of {having} of {len(tests)} tests: a metric is for all rows")
    if having < len(tests):
        return False
    for each in wants:
        _say(source, each)
    return True


def _say(source: Source, taken: Expected) -> None:
    for each in taken.changed:
        source.leave(each)


def _tests(source: Source) -> Iterator[Test]:
    default = source.config.get("defaultTest")
    default = default if isinstance(default, dict) else {}
    for key in sorted(default.keys() - {"vars", "assert", "description"}):
        if key != "options" or parser_of(default[key]) is None:
            source.leave(f"`defaultTest.{key}`")
    for item in listed(source.config.get("tests")):
        for test in _loaded(source, item):
            yield from _test(source, test, default)


def _loaded(source: Source, item: Any) -> Iterator[dict[str, Any]]:
    """Tests of the list itself, or of a file that it names."""
    if isinstance(item, dict) and isinstance(item.get("path"), str):
        item = item["path"]
    if isinstance(item, dict):
        yield item
        return
    if not isinstance(item, str):
        source.leave("a test that is neither a mapping nor a file")
        return
    suffix = Path(item).suffix
    if "://" in item.removeprefix("file://") or suffix not in (*_TABLES, ".yaml", ".yml", ".json"):
        source.leave(
            f"tests from {item!r}: only csv, tsv, jsonl, yaml and json files beside the configuration are read"
        )
        return
    path = source.file(item)
    if path is None:
        return
    try:
        if suffix in _TABLES and suffix != ".jsonl":
            yield from (dict(row.cells) | {"__row": True} for row in read_table(path).rows)
        elif suffix == ".jsonl":
            yield from (json.loads(line) for line in read_text(path).split("\n") if line.strip())
        else:
            yield from (each for each in listed(read_yaml(read_text(path), str(path)).value) if isinstance(each, dict))
    except (ValueError, BadInput) as error:
        source.leave(f"tests from {item!r}: {str(error).splitlines()[0]}")


def _test(source: Source, test: dict[str, Any], default: Mapping[str, Any]) -> Iterator[Test]:
    base = default.get("vars")
    base = base if isinstance(base, dict) else {}
    asserts: list[Any] = listed(default.get("assert"))
    cells: list[str] = []
    if test.pop("__row", False) or ("vars" not in test and any(str(key).startswith("__expected") for key in test)):
        given = {key: value for key, value in test.items() if not str(key).startswith("__")}
        cells = [str(test[key]) for key in test if str(key).startswith("__expected") and str(test[key] or "").strip()]
        for key in test:
            if str(key).startswith("__") and not str(key).startswith("__expected"):
                source.leave(f"the column `{key}`")
    else:
        raw = test.get("vars")
        given = raw if isinstance(raw, dict) else {}
        if raw is not None and not isinstance(raw, dict):
            source.leave("`vars` of a test that is no mapping")
        asserts = [*asserts, *listed(test.get("assert"))]
        for key in sorted(test.keys() - {"vars", "assert", "description"}):
            source.leave(f"`{key}` of tests")
    for row in map(unhidden, _expanded(source, {**base, **given})):
        found = [expected(source, each, row) for each in asserts] + [from_cell(source, each, row) for each in cells]
        yield Test(row, tuple(each for each in found if each is not None))


def _expanded(source: Source, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Lists multiply, as they do in promptfoo; files are read; everything else is data as it stands."""
    values: list[list[Any]] = []
    for name, value in row.items():
        if isinstance(value, str) and value.startswith("file://"):
            path = source.file(value) if Path(value).suffix in (".txt", ".md", ".json", ".html", "") else None
            if path is None:
                source.leave(f"the variable {name!r} from {value!r}: only text files beside the configuration are read")
                return
            values.append([read_text(path)])
        else:
            several = isinstance(value, list) and value and isinstance(value[0], str)  # lists of other things are data
            values.append(value if several else [value])
    for each in islice(product(*values), MOST + 1):
        yield dict(zip(row, each, strict=True))
