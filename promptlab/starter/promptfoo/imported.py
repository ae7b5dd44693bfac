"""A project out of a promptfoo configuration: prompts, models, rows, metric; and IMPORTED.md, which lists the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.starter.project import Project, project
from promptlab.starter.promptfoo.ours import parser_of
from promptlab.starter.promptfoo.prompts import read_prompts
from promptlab.starter.promptfoo.providers import Asked, read_providers
from promptlab.starter.promptfoo.rows import Rows, read_rows
from promptlab.starter.promptfoo.source import Source, read_source
from promptlab.starter.spelling import slug, variables
from promptlab.yaml_text import flow, scalar

FEWEST = 2  # rows of an experiment
FEWEST_TESTED = 20
_TAKEN = ("prompts", "providers", "targets", "tests", "defaultTest", "description", "assertionTemplates", "$schema")


def imported(path: Path, name: str = "") -> tuple[Project, ...]:
    """Projects for the configuration, the one to take first. Raises BadInput where it holds too little."""
    source = read_source(path)
    for key in source.config:
        if key not in _TAKEN:
            source.leave(f"`{key}`")
    rows = read_rows(source)
    columns = list(dict.fromkeys(str(name) for test in rows.tests for name in test.vars))
    whole = [each for each in columns if all(each in test.vars for test in rows.tests)]
    for each in columns:
        if each not in whole:
            source.leave(f"the variable {each!r}: not every test has it")
    names = variables(whole)
    prompts = read_prompts(source, {column: ours for ours, column in names.items()})
    problems = []
    if not rows.tests:
        problems.append(Problem("no test has variables and something to expect that can be checked", str(source.path)))
    elif not rows.metric:
        remedy = "; ".join(source.left[:6])
        problems.append(
            Problem(
                "no test says what to expect in a way that can be checked", str(source.path), 0, f"Left out: {remedy}."
            )
        )
    elif len(rows.tests) < FEWEST:
        problems.append(_too_few(source, rows))
    if not prompts:
        remedy = f"Left out: {'; '.join(source.left[:6])}." if source.left else ""
        problems.append(Problem("no prompt can be taken over", str(source.path), 0, remedy))
    if problems:
        raise BadInput(problems)
    models = read_providers(source)
    if not models:
        source.leave("every provider: `endpoint: embedded` stands there instead, which is no language model")
    name = name or slug(source.path.parent.resolve().name)
    texts = list(prompts.values())
    used = {ours: column for ours, column in names.items() if any(_reads(text, ours) for text in texts)}
    whole_project = _project(source, name, prompts, rows, used, models, split=False)
    if len(rows.tests) < FEWEST_TESTED:
        return (whole_project,)
    return _project(source, name, prompts, rows, used, models, split=True), whole_project


def _too_few(source: Source, rows: Rows) -> Problem:
    what = f"only {len(rows.tests)} test can be taken over, checked by `{rows.metric}`; an experiment needs {FEWEST}"
    left = f" Not taken: {'; '.join(source.left[:6])}." if source.left else ""
    remedy = f"Add tests with an assertion like `equals`, `contains`, `regex` or `is-json`.{left}"
    return Problem(what, str(source.path), 0, remedy)


def _reads(text: str, name: str) -> bool:
    front = text.split("---\n")[1]
    inputs = next(line for line in front.splitlines() if line.startswith("inputs: "))
    return name in [each.strip(' "') for each in inputs.removeprefix("inputs: ").strip("[]").split(",")]


def _project(
    source: Source, name: str, prompts: Mapping[str, str], rows: Rows, inputs: Mapping[str, str],
    models: Sequence[Asked], *, split: bool,
) -> Project:  # fmt: skip
    label = "expected"
    while label in inputs.values():
        label += "_"
    lines = []
    for place, test in enumerate(rows.tests):
        row: dict[str, Any] = {column: test.vars[column] for column in inputs.values()}
        lines.append(json.dumps(row | ({label: rows.labels[place]} if rows.labels else {}), ensure_ascii=False))
    many = any(isinstance(each, list) for each in rows.labels)
    experiment = _experiment(source, name, rows, inputs, models, label if rows.labels else "", (many, split))
    first, *others = prompts.items()
    beside = {"experiment.yaml": experiment.encode(), "tests.jsonl": ("\n".join(lines) + "\n").encode(),
              "IMPORTED.md": _report(source, prompts, rows, models).encode()}  # fmt: skip
    made = project(name, first[0], first[1], beside, _notes(source, prompts, rows, models, name))
    more = {f"templates/{name}/{file}": text.encode() for file, text in others}
    return replace(made, files={**made.files, **more})


def _experiment(
    source: Source, name: str, rows: Rows, inputs: Mapping[str, str], models: Sequence[Asked], label: str,
    shape: tuple[bool, bool],
) -> str:  # fmt: skip
    many, split = shape
    plain = all(ours == column for ours, column in inputs.items())
    shown = flow(list(inputs) if plain else dict(inputs))
    labelled = [f"  label: {flow({'column': label, 'many': 'any'} if many else label)}"] if label else []
    metrics = {"main": rows.metric} | {each: each for each in rows.also}
    told = source.config.get("description")
    question = [f"# {' '.join(told.split())}"] if isinstance(told, str) else []
    return "\n".join([
        *question, f"# Out of {source.path.name}; IMPORTED.md says what was left out.",
        f"name: {scalar(name)}", "", *_models(models), "",
        "data:", "  path: tests.jsonl", f"  inputs: {shown}", *labelled,
        f"  split: {'{dev: 0.5, test: 0.5, seed: 7}' if split else 'all'}", "",
        f"templates: [../../templates/{name}/*.j2]", f"answer: {_parser(source)}", f"metrics: {flow(metrics)}", "",
        "search:", "  propose: [grid]", "  allocate: full",
        f"  budget: {{calls: {_calls(rows, models)}}}", "  finalists: 3",
        "seed: 7", "",
    ])  # fmt: skip


def _parser(source: Source) -> str:
    default = source.config.get("defaultTest")
    return parser_of(default.get("options") if isinstance(default, dict) else None) or "text"


def _calls(rows: Rows, models: Sequence[Asked]) -> int:
    return max(500, 20 * len(rows.tests) * max(1, len(models)))


def _models(models: Sequence[Asked]) -> list[str]:
    """`endpoint` is the first model's; another one's address stands beside it."""
    if not models:
        return ["endpoint: embedded    # no provider could be taken over; this is no language model", "models: [small]"]
    first = models[0]
    endpoint = {"base_url": first.base_url} | ({"api_key_env": first.api_key_env} if first.api_key_env else {})
    lines = [f"endpoint: {flow(endpoint)}", "models:"]
    seen: dict[str, int] = {}
    for each in models:
        item: dict[str, Any] = {"id": each.id}
        seen[each.id] = seen.get(each.id, 0) + 1
        item |= {"name": f"{each.id}-{seen[each.id]}"} if seen[each.id] > 1 else {}
        if each.base_url != first.base_url:
            item |= {"base_url": each.base_url} | ({"api_key_env": each.api_key_env} if each.api_key_env else {})
        item |= {"params": each.params} if each.params else {}
        lines.append(f"  - {flow(item)}")
    return lines


def _notes(
    source: Source, prompts: Mapping[str, str], rows: Rows, models: Sequence[Asked], name: str
) -> tuple[str, ...]:
    counts = {"prompt": len(prompts), "model": len(models), "test": len(rows.tests)}
    taken = f"Taken: {', '.join(_counted(n, what) for what, n in counts.items())}, checked by {rows.metric}."
    if not source.left:
        return (taken, "Everything in the configuration has a counterpart.")
    left = [f"  - {each}" for each in source.left]
    return (taken, f"Not taken ({len(left)}; also in experiments/{name}/IMPORTED.md):", *left)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _report(source: Source, prompts: Mapping[str, str], rows: Rows, models: Sequence[Asked]) -> str:
    """IMPORTED.md: what was taken, and what was not."""
    taken = [f"- prompt `{each}`" for each in prompts]
    taken += [f"- model `{each.id}` at {each.base_url}" for each in models]
    taken.append(f"- {len(rows.tests)} tests in `tests.jsonl`, checked by the metric `{rows.metric}`")
    left = [f"- {_plain(each)}" for each in source.left] or ["- nothing"]
    return "\n".join(["# Out of " + source.path.name, "", "## Taken", "", *taken, "", "## Not taken", "", *left, ""])


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{each}" if each in "<>[]*_" else each for each in text)
