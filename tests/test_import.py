"""A promptfoo configuration taken over: a project that plans, and a word for everything that has no counterpart."""
# ruff: noqa: TID251 - the facade is what is tested

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import promptlab as pl
from promptlab.cli import app
from promptlab.starter.promptfoo import imported
from promptlab.starter.promptfoo.asserted import from_cell
from promptlab.starter.promptfoo.source import Source

SIMPLE = """\
description: Colours
prompts: ["Name the colour of {{ thing }}.", file://chat.json, file://two.txt, {id: file://nice.njk, label: Nice one}]
providers:
  - openai:gpt-a
  - id: openai:chat:gpt-b
    config: {apiHost: "127.0.0.1:9", apiKey: sk-SECRET, temperature: 0.5, max_tokens: 20, tools: []}
  - anthropic:messages:claude
defaultTest:
  vars: {language: English}
  assert: [{type: latency, threshold: 2000}]
  options: {transform: "output.slice(1)"}
tests:
  - vars: {thing: "grass {{ env.HOME }} {% endsystem %}"}
    assert: [{type: equals, value: green}, {type: llm-rubric, value: kind}]
  - vars: {thing: [blood, ruby]}
    assert: [{type: equals, value: red}]
  - vars: {thing: sky, hue: blue}
    assert: [{type: equals, value: "{{ hue }}", weight: 2}]
  - file://more.csv
evaluateOptions: {maxConcurrency: 2}
"""
CHAT = '[{"role": "system", "content": "Say a colour in {{language}}."}, {"role": "user", "content": "{{ thing }}"}]'
TWO = 'One {{thing}}\n---\nTwo {{thing}}{% if language === "French" %}F{% elseif language == "English" %}E{% endif %}\n'
MORE = """\
thing,__expected,__expected2,__prefix
snow,white,contains: wh,x
"a ""b"", {{ x }}",equals: none,,
coal,javascript: output,,
"""


def laid(folder: Path, config: str, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    (folder / "promptfooconfig.yaml").write_text(config, encoding="utf-8")
    return folder / "promptfooconfig.yaml"


def taken(path: Path) -> tuple[dict[str, str], list[dict[str, Any]], str]:
    """The files of the project, its rows, and what IMPORTED.md says."""
    files = {name: text.decode() for name, text in imported(path)[0].files.items()}
    rows = next(text for name, text in files.items() if name.endswith("tests.jsonl"))
    report = next(text for name, text in files.items() if name.endswith("IMPORTED.md"))
    return files, [json.loads(line) for line in rows.splitlines()], report


def test_a_configuration_becomes_a_project_that_plans(tmp_path: Path) -> None:
    path = laid(
        tmp_path / "conf", SIMPLE, chat__json=CHAT, two__txt=TWO, nice__njk="Nice: {{ thing | dump }}", more__csv=MORE
    )
    done = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--from", str(path), "--name", "colours"])
    assert done.exit_code == 0, done.output
    home = tmp_path / "new" / "experiments" / "colours"
    planned = CliRunner().invoke(app, ["plan", str(home / "experiment.yaml")])
    assert planned.exit_code == 0, planned.output
    experiment = pl.Experiment.load(home)
    assert {model.id: model.endpoint.base_url for model in experiment.parsed.models} == {
        "gpt-a": "https://api.openai.com/v1",
        "gpt-b": "https://127.0.0.1:9/v1",
    }
    assert {model.id: model.endpoint.api_key_env for model in experiment.parsed.models} == {
        "gpt-a": "OPENAI_API_KEY",
        "gpt-b": "",  # a key goes to no other address than its own
    }
    rows = [json.loads(line) for line in (home / "tests.jsonl").read_text().splitlines()]
    assert [(each["thing"], each["expected"]) for each in rows] == [
        ("grass {{ env.HOME }} {% endsystem %}", "green"), ("blood", "red"), ("ruby", "red"), ("sky", "blue"),
        ("snow", "white"), ('a "b", {{ x }}', "none"),
    ]  # fmt: skip
    assert experiment.messages(1, "template=colours/chat,model=gpt-b") == [
        {"role": "system", "content": "Say a colour in English."},
        {"role": "user", "content": "grass {{ env.HOME }} {% endsystem %}"},
    ]
    assert experiment.messages(2, "template=colours/two-2")[0]["content"] == "Two bloodE"
    assert experiment.messages(2, "template=colours/nice-one")[0]["content"] == 'Nice: "blood"'
    everything = "".join(each.read_text() for each in (tmp_path / "new").rglob("*") if each.is_file())
    assert "SECRET" not in everything + done.output


def test_what_has_no_counterpart_is_listed_on_the_terminal_and_in_a_file(tmp_path: Path) -> None:
    path = laid(tmp_path, SIMPLE, chat__json=CHAT, two__txt=TWO, nice__njk="{{ thing }}", more__csv=MORE)
    project = imported(path)[0]
    report = taken(path)[2].replace("\\", "")
    for what in (
        "`evaluateOptions`", "`defaultTest.options`", "assertions `latency`", "assertions `llm-rubric`",
        "`weight` of assertions `equals`", "the column `__prefix`", "assertions `contains` beside `exact`",
        "cells that are code (javascript)", "1 of 7 tests", "variable 'hue'", "its `apiKey` was not copied",
        "provider openai:chat:gpt-b: its `tools`", "provider anthropic:messages:claude",
    ):  # fmt: skip
        assert what in report, what
        assert any(what in each for each in project.notes), what


def test_nothing_outside_of_the_folder_is_read_and_nothing_is_run(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET {{ q }}")
    (tmp_path / "secret.csv").write_text("q,__expected\nSECRET,x\n")
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').write('x')"
    config = f"""\
prompts: ["Q: {{{{ q }}}}", file://../secret.txt, "file://{tmp_path}/secret.txt", file://link.txt, file://p.py:f,
  "{{{{ env.HOME }}}}"]
providers: [openai:gpt-a, "exec:touch {ran}", file://p.py, "openai:chat:{{{{ env.X }}}}"]
tests:
  - {{vars: {{q: 1 + 1}}, assert: [{{type: equals, value: 2}}, {{type: python, value: "{code}"}}]}}
  - {{vars: {{q: 1 + 2}}, assert: [{{type: equals, value: 3}}]}}
  - {{vars: {{q: file://../secret.txt}}, assert: [{{type: equals, value: 2}}]}}
  - file://../secret.csv
  - file://p.py
  - https://example.invalid/tests.csv
"""
    path = laid(tmp_path / "conf", config, p__py=code)
    (tmp_path / "conf" / "link.txt").symlink_to(tmp_path / "secret.txt")
    files, rows, report = taken(path)
    assert rows == [{"q": "1 + 1", "expected": 2}, {"q": "1 + 2", "expected": 3}]
    assert "SECRET" not in "".join(files.values())
    assert not ran.exists()
    assert report.count("outside of the configuration's folder") == 4  # one of them twice
    assert "prompts in code" in report
    assert "it reads env" in report


@pytest.mark.parametrize(
    ("asserts", "metric", "label"),
    [
        ("[{type: contains, value: Paris}]", "contains", "Paris"),
        ("[{type: icontains-any, value: [a, b]}]", "contains", ["a", "b"]),
        ('[{type: regex, value: "^\\\\d+$"}]', "regex", "^\\d+$"),
        ("[{type: equals, value: Yes}, {type: is-json}]", "exact", "Yes"),
        ('[{$ref: "#/assertionTemplates/pirate"}]', "contains", "arrr"),
    ],
)
def test_assertions_become_a_metric_and_labels(tmp_path: Path, asserts: str, metric: str, label: Any) -> None:
    kind = {"exact": "equals"}.get(metric, metric)
    config = f"""\
prompts: ["Q: {{{{ q }}}}"]
providers: [openai:gpt-a]
assertionTemplates: {{pirate: {{type: icontains, value: arrr}}}}
tests:
  - {{vars: {{q: one}}, assert: {asserts}}}
  - {{vars: {{q: two}}, assert: [{{type: {kind}, value: other}}, {{type: is-json}}]}}
"""
    path = laid(tmp_path / "conf", config)
    files, rows, _ = taken(path)
    experiment = next(text for name, text in files.items() if name.endswith("experiment.yaml"))
    assert f"main: {metric}" in experiment
    assert ("json_valid: json_valid" in experiment) == ("is-json" in asserts)
    assert [each["expected"] for each in rows] == [label, "other"]
    assert CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--from", str(path)]).exit_code == 0


CELLS = [
    ("yes", "exact", "yes"), ("equals: yes", "exact", "yes"), ("contains:a", "contains", "a"),
    ("note: this", "exact", "note: this"),
    ("contains-any: a, b", "contains", ["a", "b"]), ("regex: ^a:b$", "regex", "^a:b$"), ("is-json", "json_valid", None),
    ("{{ q }} literally", "exact", "{{ q }} literally"), ("{{ q }}", "exact", "one"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "metric", "label"), CELLS)
def test_cells_of_expected_columns_are_read_as_promptfoo_reads_them(cell: str, metric: str, label: Any) -> None:
    found = from_cell(Source(Path("p.yaml"), {}), cell, {"q": "one"})
    assert found
    assert (found.metric, found.label) == (metric, label)


@pytest.mark.parametrize(
    "cell", ["llm-rubric: kind", "grade: kind", "not-contains: x", "similar(0.8): x", "fn: 1", "file://a.py"]
)
def test_cells_without_a_counterpart_are_said(cell: str) -> None:
    source = Source(Path("p.yaml"), {})
    assert from_cell(source, cell, {}) is None
    assert len(source.left) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
def test_whatever_a_row_holds_survives(tmp_path: Path, texts: list[str]) -> None:
    texts = [f"{{{{ {text} }}}}{{% x %}}" for text in texts]
    tests = [{"vars": {"the text": each}, "assert": [{"type": "equals", "value": "a"}]} for each in texts]
    config = {"prompts": ["Say {{ the_text }}", "[[{{ the text }}]]"], "providers": ["openai:gpt-a"], "tests": tests}
    path = laid(tmp_path / "conf", json.dumps(config, ensure_ascii=False))
    files, rows, _ = taken(path)
    assert [each["the text"] for each in rows] == texts
    assert sum(name.endswith(".j2") for name in files) == 2


def test_an_id_of_a_provider_says_where_it_is(tmp_path: Path) -> None:
    config = """\
prompts: ["Q: {{ q }}"]
providers:
  - openrouter:meta/llama
  - openai:chat:gpt-a: {config: {apiBaseUrl: "http://localhost:1/v1", apiKeyEnvar: MY_KEY, passthrough: {top_k: 5}}}
  - ollama:chat:llama3
  - openai:embedding:e
tests: [{vars: {q: [a, b]}, assert: [{type: equals, value: b}]}]
"""
    experiment = next(t for n, t in taken(laid(tmp_path, config))[0].items() if n.endswith("experiment.yaml"))
    assert 'endpoint: {base_url: "https://openrouter.ai/api/v1", api_key_env: OPENROUTER_API_KEY}' in experiment
    assert '{id: gpt-a, base_url: "http://localhost:1/v1", api_key_env: MY_KEY, params: {top_k: 5}}' in experiment
    assert '{id: llama3, base_url: "http://localhost:11434/v1"}' in experiment


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("a: 1", "this is no promptfoo configuration"),
        ("prompts: [x]\ntests: []", "no test has variables"),
        (
            "prompts: ['{{ q }}']\ntests: [{vars: {q: a}, assert: [{type: llm-rubric, value: b}]}]",
            "in a way that can be checked",
        ),
        (
            "prompts: [file://p.js]\ntests: [{vars: {q: a}, assert: [{type: equals, value: b}]}]",
            "no prompt can be taken over",
        ),
        ("prompts: [x]\nprompts: [y]", "given twice"),
    ],
)
def test_a_configuration_that_holds_too_little_is_refused(tmp_path: Path, config: str, said: str) -> None:
    path = laid(tmp_path / "conf", config)
    done = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--from", str(path)])
    assert (done.exit_code, said in done.output) == (2, True), done.output
    assert not (tmp_path / "new").exists()


def test_from_and_data_do_not_go_together(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", str(tmp_path), "--from", "x.yaml", "--data", "y.csv", "--label", "z"])
    assert (done.exit_code, "do not go together" in done.output) == (2, True)
    done = CliRunner().invoke(app, ["init", str(tmp_path), "--from", str(tmp_path / "x.js")])
    assert (done.exit_code, "only YAML and JSON" in done.output) == (2, True)


def listed(folder: Path, tests: str, prompts: str = '["Q: {{ q }}"]') -> tuple[str, list[str]]:
    """The experiment, and what is listed as not taken."""
    path = laid(folder, f"prompts: {prompts}\nproviders: [openai:gpt-a]\ntests:\n{tests}")
    files, _, report = taken(path)
    left = report.replace("\\", "").partition("## Not taken\n\n")[2].splitlines()
    return next(text for name, text in files.items() if name.endswith("experiment.yaml")), left


def test_every_assertion_is_taken_or_listed_once_and_what_is_dropped_is_not_called_changed(tmp_path: Path) -> None:
    experiment, left = listed(tmp_path, """\
  - {vars: {q: one}, assert: [{type: equals, value: a}, {type: is-json, value: {type: object}}]}
  - {vars: {q: two}, assert: [{type: equals, value: b}, {type: icontains, value: x, weight: 2}]}
""")  # fmt: skip
    assert "json_valid" not in experiment
    assert left == [
        "- assertions `icontains` beside `exact`: one metric checks the label column",
        "- assertions `is-json` of 1 of 2 tests: a metric is for all rows",
    ]


def test_what_is_taken_in_another_sense_is_listed(tmp_path: Path) -> None:
    experiment, left = listed(tmp_path, """\
  - {vars: {q: one}, assert: [{type: icontains-any, value: [a, b], weight: 2}]}
  - {vars: {q: two}, assert: [{type: contains, value: b}]}
""")  # fmt: skip
    assert "main: contains" in experiment
    assert left == [
        "- `weight` of assertions `icontains-any`",
        "- `icontains-any` became `contains`, which looks for whole words, whatever their case",
        "- `contains` looks for whole words here, whatever their case",
    ]


def test_tests_that_want_nothing_are_listed_where_the_others_want_json(tmp_path: Path) -> None:
    experiment, left = listed(tmp_path, """\
  - {vars: {q: one}, assert: [{type: is-json}]}
  - {vars: {q: two}, assert: [{type: is-json}]}
  - {vars: {q: three}}
""")  # fmt: skip
    assert "metrics: {main: json_valid}" in experiment
    assert left == ["- 1 of 3 tests: they expect nothing that `json_valid` checks"]


def test_too_few_tests_are_told_in_words_of_the_configuration(tmp_path: Path) -> None:
    config = """\
prompts: ["Q: {{ q }}"]
providers: [openai:gpt-a]
tests:
  - {vars: {q: one}, assert: [{type: equals, value: a}]}
  - {vars: {q: two}, assert: [{type: llm-rubric, value: kind}]}
"""
    path = laid(tmp_path / "conf", config)
    done = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--from", str(path)])
    assert done.exit_code == 2
    assert f"{path}: only 1 test can be taken over" in done.output
    assert "1 of 2 tests: they expect nothing that `exact` checks" in done.output
    assert "experiment.yaml" not in done.output


TEXT = "\n Say {{ x }}\r\nand {% endsystem %}.\n\n"
CHATS = [{"role": "system", "content": [TEXT]}, {"role": "user", "content": [{"input": "q"}]}]
SHEET = {"format": "promptlab-prompt-1", "prompts": [{"messages": CHATS}]}


def test_our_own_export_is_read_back_as_data_and_its_code_is_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    config = """\
prompts: [{id: "file://chat.py:chat", label: best}]
providers: [{id: openai:chat:gpt-a, config: {response_format: {type: json_object}}}]
defaultTest: {options: {transform: 'String(JSON.parse(output)["a"]["b"])'}}
tests:
  - vars: {promptlab_json: '{"q": "\\u007b{ y }}"}'}
    assert: [{type: javascript, value: '["\\u007b%", "b"].includes(output)'}]
  - {vars: {q: two}, assert: [{type: equals, value: c}, {type: javascript, value: "output.length"}]}
"""
    path = laid(tmp_path / "conf", config, chat__py=f"open({str(ran)!r}, 'w')", prompt__json=json.dumps(SHEET))
    _, rows, report = taken(path)
    assert rows == [{"q": "{{ y }}", "expected": ["{%", "b"]}, {"q": "two", "expected": "c"}]
    assert "defaultTest" not in report
    assert report.count("javascript") == 1
    done = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--from", str(path)])
    assert done.exit_code == 0, done.output
    [home] = (tmp_path / "new" / "experiments").iterdir()
    experiment = pl.Experiment.load(home)
    assert experiment.messages(1) == [{"role": "system", "content": TEXT}, {"role": "user", "content": "{{ y }}"}]
    assert experiment.parsed.answer == "json:a.b"
    assert not ran.exists()


@pytest.mark.parametrize("sheet", ['{"format": "other"}', "[1", '{"format": "promptlab-prompt-1", "prompts": [{}]}'])
def test_a_prompt_that_stands_in_code_alone_is_listed(tmp_path: Path, sheet: str) -> None:
    tests = "".join(f"  - {{vars: {{q: {each}}}, assert: [{{type: equals, value: a}}]}}\n" for each in "xy")
    prompts = '["Q: {{ q }}", file://chat.py:chat]'
    (tmp_path / "prompt.json").write_text(sheet)
    left = listed(tmp_path, tests, prompts)[1]
    assert "prompts in code" in left[-1]
    assert any("export RUN --to jinja" in each for each in left) == ("prompt-1" in sheet)


def test_what_is_wrong_with_the_project_is_told_of_the_configuration_not_of_files_that_were_never_kept(
    tmp_path: Path,
) -> None:
    config = "prompts: ['{{ q }}']\ntests: [{vars: {q: [x, y]}, assert: [{type: equals, value: a}]}]"
    path = laid(tmp_path / "conf", config)
    done = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--from", str(path), "--name", "n"])
    assert done.exit_code == 2
    assert f"{path}: column 'expected' says 'a' in every row" in done.output
    assert "(in the experiments/n/tests.jsonl that would be made)" in done.output
