"""experiment.yaml: what is accepted, what it becomes, and the sentence that every mistake gets."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptlab.allocators import DEFAULT
from promptlab.errors import BadInput
from promptlab.experiment import Experiment, canonical, missing_keys
from promptlab.records import Budget, Price
from promptlab.yaml_file import read_yaml

Project = Callable[..., Path]

PARTS = {
    "endpoint": "embedded",
    "data": "{path: rows.csv, inputs: [message], label: intent}",
    "templates": "[templates/*.j2]",
}
FULL = """\
name: support-intent
endpoint: {base_url: "http://127.0.0.1:9/v1", api_key_env: MAIN_KEY, concurrency: 4, rpm: 60, timeout: 9.5}
models:
- {id: tiny, price: {input: 0.1, output: 0.4}}
- {id: org/big-1, name: big, base_url: "https://big.example/v1", api_key_env: BIG_KEY,
   price: {input: 2.0, cached: 0.5, output: 8}, params: {top_p: 0.9, stop: [END]}}
params: {temperature: [0, 0.7], max_tokens: 64, response_format: schema.json}
data:
  path: rows.csv
  inputs: {text: message}
  label: {column: intent, many: any, sep: ";"}
  labels: labels.yaml
  split: {train: 0.3, dev: 0.4, test: 0.3, seed: 11, group: customer}
  id: row
  weight: w
templates: ["templates/*.j2"]
bank: {from: bank.jsonl, k: [0, 4, 8], select: [random, nearest], seeds: [1, 2], order: nearest-last, label: answer}
space: {task: [plain], exclude: [{reasoning: brief, bank.k: 8}]}
answer: label
metrics: {main: exact, f1: macro_f1, short: {metric: own.metrics:short, most: 40}}
baseline: {template: plain, bank.k: 0}
search:
  propose: [grid, {random: {n: 20}}]
  allocate: {halving: {eta: 3}}
  objective: {main: 0.8, short: 0.2}
  budget: {calls: 3e3, usd: 2, minutes: 30}
  finalists: 3
  repeats: 2
seed: 42
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder of real files; ``project(text)`` or ``project(key="yaml")`` writes its experiment.yaml."""
    (tmp_path / "templates").mkdir()
    for name in ("b.j2", "a.j2", "_shared.j2"):
        (tmp_path / "templates" / name).write_text("{{ message }}")
    (tmp_path / "rows.csv").write_text("message,intent\nhello,greet\n")
    (tmp_path / "bank.jsonl").write_text('{"message": "hi", "intent": "greet"}\n')
    (tmp_path / "labels.yaml").write_text("no: says no\n01:\ncard_lost: 12\n")
    (tmp_path / "schema.json").write_text('{"type": "object", "properties": {"intent": {"type": "string"}}}')

    def write(text: str | None = None, **parts: str) -> Path:
        file = tmp_path / "experiment.yaml"
        lines = {**PARTS, **parts}
        file.write_text(text if text is not None else "".join(f"{k}: {v}\n" for k, v in lines.items() if v))
        return file

    return write


def problems(path: Path, *overrides: str) -> list[str]:
    """Every problem of a file, its folder left out."""
    with pytest.raises(BadInput) as caught:
        Experiment.load(path, overrides)
    return [str(each).replace(f"{path.parent}/", "") for each in caught.value.problems]


# --- what a file becomes ---


def test_a_full_file_becomes_what_it_says(project: Project) -> None:
    """Every key of the format arrives in its place."""
    path = project(FULL)
    e = Experiment.load(path)
    tiny, big = e.models
    assert (e.name, e.seed, e.answer, e.source, e.folder) == ("support-intent", 42, "label", FULL, path.parent)
    assert (tiny.name, tiny.id, tiny.price) == ("tiny", "tiny", Price(0.1, 0.4))
    assert (tiny.endpoint.base_url, tiny.endpoint.api_key_env) == ("http://127.0.0.1:9/v1", "MAIN_KEY")
    assert (tiny.endpoint.concurrency, tiny.endpoint.rpm, tiny.endpoint.timeout) == (4, 60.0, 9.5)
    assert (big.name, big.id, big.price) == ("big", "org/big-1", Price(2.0, 8.0, 0.5))
    assert (big.endpoint.base_url, big.endpoint.api_key_env) == ("https://big.example/v1", "BIG_KEY")
    assert big.params == {"top_p": 0.9, "stop": ["END"]}
    assert e.params["temperature"] == (0, 0.7)
    assert e.params["max_tokens"] == (64,)
    assert e.params["response_format"][0]["json_schema"]["schema"]["type"] == "object"
    assert e.data.paths == {"all": path.parent / "rows.csv"}
    columns = e.data.columns
    assert (columns.inputs, columns.label, columns.many, columns.sep) == ({"text": "message"}, "intent", "any", ";")
    assert (columns.id, columns.group, columns.weight, columns.fold) == ("row", "customer", "w", None)
    assert [(each.name, each.description) for each in e.data.labels or ()] == [
        ("no", "says no"),
        ("01", ""),
        ("card_lost", "12"),
    ]
    split = e.data.split
    assert (split.train, split.dev, split.test, split.seed, e.data.split.all) == (0.3, 0.4, 0.3, 11, False)
    assert e.templates == (path.parent / "templates/a.j2", path.parent / "templates/b.j2")
    assert e.bank
    assert (e.bank.path, e.bank.k, e.bank.select) == (path.parent / "bank.jsonl", (0, 4, 8), ("random", "nearest"))
    assert (e.bank.seeds, e.bank.order) == ((1, 2), ("nearest-last",))
    assert (e.bank.columns.inputs, e.bank.columns.label) == ({"text": "message"}, "answer")
    assert (e.space_pins, e.exclude) == ({"task": ("plain",)}, ({"reasoning": "brief", "bank.k": 8},))
    assert e.metrics["short"].spec == "own.metrics:short"
    assert e.metrics["short"].options == {"most": 40}
    assert e.baseline == {"template": "plain", "bank.k": 0}
    assert e.search.propose == (("grid", {}), ("random", {"n": 20}))
    assert e.search.allocate == ("halving", {"eta": 3})
    assert e.search.objective == {"main": 0.8, "short": 0.2}
    names = ["experiment.yaml", "rows.csv", "labels.yaml", "schema.json", "bank.jsonl"]
    assert sorted(each.name for each in e.files) == sorted(names)
    assert (e.search.budget, e.search.finalists, e.search.repeats) == (Budget(3000, None, 2.0, 30.0), 3, 2)


def test_three_keys_are_enough_for_the_embedded_engine(project: Project) -> None:
    """Data, templates and `endpoint: embedded` run: one model, exact match, the grid, halves for dev and test."""
    path = project()
    e = Experiment.load(path.parent)
    [model] = e.models
    assert (e.name, e.seed, e.path) == (path.parent.name, 7, path)
    assert (model.name, model.id, model.price) == ("small", "small", Price())
    assert model.endpoint.embedded
    assert model.endpoint.concurrency == 16
    assert (e.data.split.train, e.data.split.dev, e.data.split.test, e.data.split.seed) == (0.0, 0.5, 0.5, 7)
    assert e.metrics["main"].spec == "exact"
    assert (e.search.propose, e.search.allocate, e.search.objective) == (
        (("grid", {}),),
        (DEFAULT, {}),
        {"main": 1.0},
    )
    assert (e.search.shares, e.search.costs, e.search.longest, e.meta) == ((1.0,), (), None, model)
    assert (e.bank, e.baseline, e.answer, e.data.labels) == (None, None, None, None)
    assert e.search.budget == Budget()


@pytest.mark.parametrize(
    ("written", "propose", "shares"),
    [
        ("random", (("random", {}),), (1.0,)),
        ("[random, grid]", (("random", {}), ("grid", {})), (1.0, 1.0)),
        ("{random: 2, grid: 0.5}", (("random", {}), ("grid", {})), (2.0, 0.5)),
        ("{random: {share: 3, n: 4}, grid: }", (("random", {"n": 4}), ("grid", {})), (3.0, 1.0)),
        ("[grid, {random: {n: 4}}, {random: 2}]", (("grid", {}), ("random", {"n": 4}), ("random", {})), (1, 1, 2)),
        ("{'a.b:c': {share: 2}}", (("a.b:c", {}),), (2.0,)),
    ],
)
def test_proposers_are_one_a_list_or_shares(
    project: Project, written: str, propose: tuple[Any, ...], shares: tuple[float, ...]
) -> None:
    """One name, several by turns, or name to share; `share` may stand among the options of one."""
    search = Experiment.load(project(search=f"{{propose: {written}}}")).search
    assert (search.propose, search.shares) == (propose, shares)


def test_the_meta_model_is_the_first_a_named_or_another_one(project: Project) -> None:
    """Its endpoint, key, price and parameters are read as those of any model."""
    models = "[{id: a, params: {top_p: 0.5}}, {id: x/b, name: b}]"
    e = Experiment.load(project(models=models))
    assert (e.meta, e.asked) == (e.models[0], e.models)
    e = Experiment.load(project(models=models, search="{meta: b}"))
    assert (e.meta, e.asked) == (e.models[1], e.models)
    own = (
        "{id: w, base_url: 'http://h/v1', api_key_env: W_KEY, price: {input: 1, output: 2}, params: {max_tokens: 900}}"
    )
    path = project(models=models, search=f"{{meta: {own}, budget: {{calls: 9}}}}")
    e = Experiment.load(path)
    assert e.meta is not None
    assert e.asked == (*e.models, e.meta)
    assert (e.meta.id, e.meta.endpoint.base_url, e.meta.endpoint.api_key_env) == ("w", "http://h/v1", "W_KEY")
    assert (e.meta.price, e.meta.params) == (Price(1, 2), {"max_tokens": 900})
    [missing] = missing_keys(e, {})
    assert "the environment variable W_KEY is not set; it should hold the key for w" in str(missing)
    assert canonical(e) != canonical(Experiment.load(path, ["search.meta.params={max_tokens: 800}"]))
    assert canonical(e) == canonical(Experiment.load(path, ["search.meta.api_key_env=OTHER_KEY"]))
    assert Experiment.load(path, ["search.meta=b"]).meta == e.models[1]


def test_goals_behind_the_metric_are_costs(project: Project) -> None:
    e = Experiment.load(project(search="{objective: [main, -usd, -tokens], longest: 700}"))
    assert (e.search.objective, e.search.costs, e.search.longest) == ({"main": 1.0}, ("usd", "tokens"), 700)


def test_the_same_file_is_the_same_experiment(project: Project) -> None:
    """Loading is a function of the files; a comment changes only the source."""
    first = Experiment.load(project(FULL))
    again = Experiment.load(project(FULL + "# a note\n"))
    assert dataclasses.replace(again, source=first.source) == first


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("{train: 0.2}", (0.2, 0.4, 0.4)),
        ("{dev: 0.7}", (0.0, 0.7, 0.3)),
        ("{test: 0.25, train: 0.25}", (0.25, 0.5, 0.25)),
        ("{dev: 1, test: 0}", (0.0, 1.0, 0.0)),
        ("{train: 0.1, dev: 0.2, test: 0.7}", (0.1, 0.2, 0.7)),
    ],
)
def test_a_share_left_out_gets_the_rest(project: Project, split: str, expected: tuple[float, ...]) -> None:
    """Shares always sum to one; without dev and test the rest is halved."""
    plan = Experiment.load(project(data=f"{{path: rows.csv, label: intent, split: {split}}}")).data.split
    assert (plan.train, plan.dev, plan.test) == pytest.approx(expected)


def test_the_other_splits(project: Project) -> None:
    """`all`, a column, a file for each split, and train rows for demos by default."""
    e = Experiment.load(project(data="{path: rows.csv, label: intent, split: all}"))
    assert e.data.split.all
    e = Experiment.load(project(data="{path: rows.csv, label: intent, split: {column: fold}}"))
    assert (e.data.split.column, e.data.columns.fold) == ("fold", "fold")
    e = Experiment.load(project(data="{path: {dev: rows.csv, test: bank.jsonl}, label: intent}"))
    assert set(e.data.paths) == {"dev", "test"}
    e = Experiment.load(project(bank="train"))
    assert e.bank
    assert (e.bank.path, e.data.split.train, e.data.may_train) == ("train", 0.3, True)


def test_label_names_stay_as_written(project: Project) -> None:
    """`no`, 01, 1e3 and true are names, whatever YAML takes them for; in a file as inline."""
    for labels in ("[no, 01, 1e3, true, ~, 'a b']", "{no: , 01: , 1e3: , true: , ~: , 'a b': }"):
        e = Experiment.load(project(data=f"{{path: rows.csv, label: intent, labels: {labels}}}"))
        assert [each.name for each in e.data.labels or ()] == ["no", "01", "1e3", "true", "~", "a b"]


def test_yaml_is_1_2() -> None:
    """`no` and dates are text, 01 and 1e3 are numbers, keys are text, aliases are copies."""
    text = "a: no\nb: 01\nc: 1e3\nd: 2001-01-01\ne: 1_000\nf: !!str 12\nno: 0x1F\n"
    text += "g: &x [1]\nh: *x\ni: True\nj:\nk: 12:30:00"
    assert read_yaml(text, "f").value == {
        "a": "no", "b": 1, "c": 1000.0, "d": "2001-01-01", "e": "1_000", "f": "12", "no": 31,
        "g": [1], "h": [1], "i": True, "j": None, "k": "12:30:00",
    }  # fmt: skip


def test_lines_are_known_for_every_key_and_item() -> None:
    """Lines are 1-based, through a BOM, CRLF and an offset."""
    loaded = read_yaml("\ufeffa:\r\n  b: 1\r\n  c:\r\n  - x\r\n  - y\r\n", "f", first_line=11)
    assert loaded.lines[("a", "b")] == 12
    assert loaded.lines[("a", "c", 1)] == 15


def test_a_parameter_may_be_a_list_of_lists_and_null(project: Project) -> None:
    """A list is a slot; a list in it is a value; null is the value "not sent"."""
    e = Experiment.load(project(params="{stop: [[END, STOP]], seed: [null, 1], response_format: {type: json_object}}"))
    assert e.params == {"stop": (["END", "STOP"],), "seed": (None, 1), "response_format": ({"type": "json_object"},)}


def test_a_key_goes_only_where_it_was_given_for(project: Project) -> None:
    """A model with an address of its own does not get the default endpoint's key."""
    path = project(
        endpoint="{base_url: 'https://a.example/v1', api_key_env: A_KEY}",
        models="[one, {id: two, base_url: 'https://b.example/v1'}]",
        search="{budget: {calls: 5}}",
    )
    one, two = Experiment.load(path).models
    assert (one.endpoint.api_key_env, two.endpoint.api_key_env) == ("A_KEY", "")


def test_unset_keys_are_told_when_asked(project: Project) -> None:
    """A variable that is not set is no problem of the file; a run asks before it starts."""
    path = project(FULL)
    e = Experiment.load(path)
    assert missing_keys(e, {"MAIN_KEY": "x", "BIG_KEY": "y"}) == []
    [problem] = missing_keys(e, {"MAIN_KEY": "x", "BIG_KEY": " "})
    assert "BIG_KEY is not set; it should hold the key for big" in str(problem)
    assert str(problem).startswith(f"{path}:2: ")


def test_later_checks_can_name_the_line(project: Project) -> None:
    """Slots are known only from templates; whoever finds one unknown can say where it stands."""
    e = Experiment.load(project(FULL), ["space.task=[x]"])
    assert e.problem(("baseline", "bank.k"), "m").line == FULL[: FULL.index("baseline")].count("\n") + 1
    assert e.problem(("space", "task"), "m").path == "--set space.task"


# --- what it tells about mistakes ---

DATA = "{path: rows.csv, inputs: [message], label: intent"
MISTAKES: list[tuple[dict[str, str], str]] = [
    ({"data": ""}, "experiment.yaml: `data` is missing. Name the labelled set"),
    ({"templates": ""}, "experiment.yaml: `templates` is missing. Name template files"),
    ({"endpoint": ""}, "experiment.yaml: `endpoint` is missing. Write `endpoint: embedded`"),
    ({"data": "{inputs: [message]}"}, "experiment.yaml:2: `data.path` is missing"),
    (
        {"data": "{path: row.csv}"},
        "experiment.yaml:2: `data.path`: there is no file 'row.csv'. Did you mean 'rows.csv'?",
    ),
    ({"data": "{path: templates}"}, "experiment.yaml:2: `data.path` must be a file, and 'templates' is a folder"),
    ({"data": "{path: x/y.csv}"}, "`data.path`: there is no file 'x/y.csv'. There is no such folder, either."),
    ({"data": "[rows.csv]"}, "experiment.yaml:2: `data` must be a mapping (`key: value` lines), not a list"),
    ({"data": DATA + ", lable: x}"}, "experiment.yaml:2: unknown key `data.lable`. Did you mean 'label'?"),
    ({"data": DATA + ", test: rows.csv}"}, "unknown key `data.test`. It belongs under `data.path` or `data.split`."),
    ({"data": "{path: rows.csv, inputs: [demos]}"}, "`data.inputs`: the name 'demos' is taken in templates. Give it"),
    ({"data": "{path: rows.csv, inputs: [my text]}"}, "the name 'my text' cannot be a variable of a template. Give it"),
    ({"data": "{path: rows.csv, inputs: [a, 1]}"}, "`data.inputs` must name columns, not 1. Put the column's name"),
    ({"data": "{path: rows.csv, inputs: [a, b, a]}"}, "`data.inputs` names 'a' twice. Remove one."),
    ({"data": "{path: rows.csv, inputs: [a], label: a}"}, "`data.inputs` holds the label column 'a': prompts would"),
    ({"data": "{path: rows.csv, label: 2024}"}, "`data.label` must be text or a mapping, not 2024"),
    ({"data": "{path: rows.csv, id: 2024}"}, "`data.id` must be text, not 2024. Put it into quotes."),
    (
        {"data": "{path: rows.csv, label: {column: a, many: an}}"},
        "`data.label.many` must be any or all, not 'an'. Did you",
    ),
    (
        {"data": "{path: rows.csv, label: {column: a, sep: ;}}"},
        "`data.label.sep` means something only with `many`",
    ),
    ({"data": "{path: {train: rows.csv}}"}, "experiment.yaml:2: `data.path.dev` is missing. Variants are mined on"),
    ({"data": "{path: {dev: rows.csv, test: rows.csv}}"}, "`data.path` names one file for dev and test. No row may be"),
    ({"data": "{path: {dev: rows.csv, tset: rows.csv}}"}, "unknown key `data.path.tset`. Did you mean 'test'?"),
    ({"data": "{path: {dev: rows.csv}, split: all}"}, "`data.split` and a file for each split exclude each other"),
    (
        {"data": DATA + ", split: half}"},
        "`data.split` must be `all`, or a mapping like {dev: 0.5, test: 0.5}, not 'half'",
    ),
    ({"data": DATA + ", split: {dev: 0.9, test: 0.2}}"}, "`data.split` must add up to 1, not 1.1"),
    ({"data": DATA + ", split: {dev: 40, test: 0.2}}"}, "`data.split.dev` must be a number from 0 to 1, not 40"),
    ({"data": DATA + ", split: {dev: 0, test: 1}}"}, "`data.split` leaves no rows for dev"),
    ({"data": DATA + ", split: {column: fold, dev: 1}}"}, "`data.split` has both a column and shares"),
    ({"data": DATA + ", group: a, split: {group: b}}"}, "`data.group` and `data.split.group` name different columns"),
    ({"data": DATA + ", labels: [a, b, a]}"}, "experiment.yaml:2: the label 'a' is given twice"),
    (
        {"data": DATA + ", labels: [a, {b: c}]}"},
        "experiment.yaml:2: a label is text, not a mapping. Write a list of names",
    ),
    ({"data": DATA + ", labels: [a, '']}"}, "experiment.yaml:2: a label must not be empty"),
    (
        {"data": DATA + ", labels: label.yaml}"},
        "`data.labels`: there is no file 'label.yaml'. Did you mean 'labels.yaml'?",
    ),
    (
        {"templates": "[template/*.j2]"},
        "experiment.yaml:3: `templates[0]`: no file matches 'template/*.j2'. Paths are relative",
    ),
    ({"templates": "templates/aa.j2"}, "`templates`: there is no file 'templates/aa.j2'. Did you mean 'a.j2'?"),
    ({"templates": "[]"}, "experiment.yaml:3: `templates` must hold at least one value"),
    ({"templates": "[a.j2, 5]"}, "experiment.yaml:3: `templates[1]` must be text, not 5"),
    (
        {"endpoint": "embeded"},
        "experiment.yaml:1: `endpoint` must be an http(s) address, or `embedded`, not 'embeded'. Did you",
    ),
    ({"endpoint": "5"}, "experiment.yaml:1: `endpoint` must be `embedded`, or a mapping with base_url, not 5"),
    (
        {"endpoint": "{base_url: 'ftp://x'}"},
        "`endpoint.base_url` must be an http(s) address, or `embedded`, not 'ftp://x'",
    ),
    ({"endpoint": "{base_url: 'http://x:port/'}"}, "`endpoint.base_url` must be an http(s) address"),
    (
        {"endpoint": "{base_url: embedded, concurrency: 0}"},
        "`endpoint.concurrency` must be a whole number above 0, not 0",
    ),
    ({"endpoint": "{base_url: embedded, max_errors: 2}"}, "`endpoint.max_errors` must be a number from 0 to 1, not 2"),
    ({"endpoint": "{base_url: embedded, timeout: true}"}, "`endpoint.timeout` must be a number above 0, not true"),
    ({"endpoint": "http://h/v1"}, "experiment.yaml:1: `models` is missing. Name at least one model of this endpoint"),
    ({"endpoint": "http://h/v1", "models": "[m]"}, "`search.budget` is missing: it needs calls, tokens or usd. Like"),
    ({"endpoint": "{rpm: 5}", "models": "[m]"}, "experiment.yaml:4: the model 'm' has no base_url"),
    (
        {"models": "[a, {name: b}]"},
        "experiment.yaml:4: `models[1].id` is missing. Name the model as its endpoint does.",
    ),
    ({"models": "[a, {id: b, name: a}]"}, "experiment.yaml:4: two models are called 'a'"),
    ({"models": "[a, 5]"}, "experiment.yaml:4: `models[1]` must be a model's id, or a mapping with id, not 5"),
    ({"models": "[{id: a, price: {input: 1}}]"}, "`models[0].price` needs input and output. In US dollars per million"),
    ({"models": "[{id: a, price: 5}]"}, "`models[0].price` must be a mapping (`key: value` lines), not 5"),
    (
        {"models": "[{id: a, price: {input: 1, output: -1}}]"},
        "`models[0].price.output` must be a number, 0 or above, not -1",
    ),
    ({"models": "[{id: a, api_key_env: A_KEY}]"}, "the embedded engine takes no key. Leave api_key_env out."),
    (
        {"params": "{temperature: [0, 3]}"},
        "experiment.yaml:4: `params.temperature[1]` must be a number from 0 to 2, not 3",
    ),
    ({"params": "{temperature: []}"}, "`params.temperature` holds no value"),
    ({"params": "{temperature: [0, 0]}"}, "`params.temperature` names 0 twice"),
    ({"params": "{temperature: .inf}"}, "experiment.yaml:4: `params.temperature` must be a finite number, not inf"),
    ({"params": "{max_tokens: 1.5}"}, "`params.max_tokens` must be a whole number above 0, not 1.5"),
    ({"params": "{messages: []}"}, "`params.messages` holds no value"),
    ({"params": "{stream: true}"}, "`params.stream` is set by promptlab itself. Leave it out."),
    (
        {"params": "{response_format: schem.json}"},
        "`params.response_format`: there is no file 'schem.json'. Did you mean",
    ),
    ({"params": "{response_format: rows.csv}"}, "rows.csv:1: this is not JSON"),
    (
        {"params": "{response_format: {type: xml}}"},
        "`params.response_format` needs a `type`: text, json_object, json_schema",
    ),
    ({"params": "5"}, "experiment.yaml:4: `params` must be a mapping (`key: value` lines), not 5"),
    ({"bank": "{k: 4}"}, "experiment.yaml:4: `bank.from` is missing. Name a file of examples, or `train`."),
    ({"bank": "{from: bank.csv}"}, "`bank.from`: there is no file 'bank.csv'. Did you mean 'bank.jsonl'?"),
    ({"bank": "{from: train, label: x}"}, "`bank.label` and `from: train` exclude each other"),
    (
        {"bank": "{from: bank.jsonl, k: [0, -1]}"},
        "experiment.yaml:4: `bank.k[1]` must be a whole number, 0 or above, not -1",
    ),
    ({"bank": "{from: bank.jsonl, k: [4, 4]}"}, "`bank.k` must name each value once; 4 is there twice. Remove one."),
    (
        {"bank": "{from: bank.jsonl, select: closest}"},
        "`bank.select` must be random, balanced, nearest or diverse, not 'closest'",
    ),
    (
        {"bank": "{from: bank.jsonl, order: [given, shufled]}"},
        "or nearest-last, not 'shufled'. Did you mean 'shuffled'?",
    ),
    (
        {"bank": "{from: bank.jsonl, inputs: {other: text}}"},
        "`bank.inputs` lacks message. Demos have the inputs of data.",
    ),
    (
        {"data": DATA + ", split: all}", "bank": "train"},
        "`bank.from` is train, and the split leaves no train rows. Give",
    ),
    ({"data": "{path: rows.csv}", "bank": "bank.jsonl"}, "`bank.label` is missing: demos need answers"),
    ({"space": "{task: {a: b}}"}, "experiment.yaml:4: `space.task` must be a value or a list of values, not a mapping"),
    ({"space": "{task: []}"}, "`space.task` must be a value or a list of values, not an empty one"),
    ({"space": "{exclude: [{a: [1, 2]}]}"}, "`space.exclude[0]` must be slots with one value each, not a mapping"),
    (
        {"baseline": "{bank: {k: 0}}"},
        "`baseline.bank` must be one value, not a mapping. Dots belong to the name: bank.k: 0.",
    ),
    ({"answer": "lable"}, "experiment.yaml:4: answer 'lable': there is no such parser. Did you mean 'label'?"),
    ({"answer": "'regex:('"}, "experiment.yaml:4: answer 'regex:(': the pattern does not compile"),
    ({"metrics": "{main: exakt}"}, "experiment.yaml:4: `metrics.main`: there is no 'exakt'. Did you mean 'exact'?"),
    ({"metrics": "{main: 5}"}, "`metrics.main` must name a metric, not 5"),
    ({"metrics": "judge"}, "experiment.yaml:4: `metrics`: 'judge' needs a rubric. Like {judge: {rubric: …}}."),
    (
        {"metrics": "{a: {judge: {with_label: true}}}"},
        "`metrics.a.judge.rubric` is missing. Say what makes an output good",
    ),
    ({"metrics": "{a: {judge: {rubric: none.md}}}"}, "`metrics.a.judge.rubric`: there is no file 'none.md'."),
    ({"metrics": "{a: {judge: {rubric: x, modle: y}}}"}, "unknown key `metrics.a.judge.modle`. Did you mean 'model'?"),
    (
        {"metrics": "{a: {judge: {rubric: x, model: smal}}}"},
        "experiment.yaml:4: `metrics.a.judge.model`: there is no model 'smal'. Did you mean 'small'? Or describe",
    ),
    ({"metrics": "{a: {judge: {rubric: x, model: {idd: y}}}}"}, "unknown key `metrics.a.judge.model.idd`. Did you"),
    (
        {"metrics": "{a: {judge: {rubric: x, scale: [5, 1]}}}"},
        "`metrics.a.judge.scale` must go up, from the worst score to the best, and 5 is not below 1. Like [1, 5].",
    ),
    ({"metrics": "{a: {judge: {rubric: x, scale: 5}}}"}, "must be the worst and the best score, not 5. Like [1, 5]."),
    ({"metrics": "{a: {judge: {rubric: x, human: score}}}"}, "which text did people score in the column 'score'?"),
    ({"metrics": "{a: {judge: {rubric: x, human: h.csv}}}"}, "`metrics.a.judge.human`: there is no file 'h.csv'."),
    ({"metrics": "{a: {judge: {rubric: x, human: {score: s}}}}"}, "`metrics.a.judge.human` needs score and output."),
    ({"metrics": "{a: {judge: {rubric: x, with_label: 1}}}"}, "`metrics.a.judge.with_label` must be true or false"),
    ({"metrics": "{a: {pairwise: {rubric: x, scale: [1, 2]}}}"}, "unknown key `metrics.a.pairwise.scale`. Known: ag"),
    ({"metrics": "{a: {pairwise: {rubric: x, against: v1}}}"}, "`metrics.a.pairwise.against` must be baseline, not"),
    (
        {"search": "{propose: [gird]}"},
        "experiment.yaml:4: `search.propose[0]`: there is no 'gird'. Did you mean 'grid'? Or",
    ),
    (
        {"search": "{propose: {grid: 1, gird: 2}}"},
        "experiment.yaml:4: `search.propose.gird`: there is no 'gird'. Did you mean 'grid'? Or",
    ),
    (
        {"search": "{propose: [{random: [5]}]}"},
        "`search.propose[0].random` must be a name, or a name with its options, not a mapping",
    ),
    ({"search": "{propose: {grid: 0}}"}, "experiment.yaml:4: `search.propose.grid` must be a number above 0, not 0"),
    (
        {"search": "{propose: {grid: {share: -1}}}"},
        "experiment.yaml:4: `search.propose.grid.share` must be a number above 0, not -1",
    ),
    ({"search": "{propose: {grid: {share: x}}}"}, "`search.propose.grid.share` must be a number above 0, not 'x'"),
    ({"search": "{allocate: racer}"}, "`search.allocate`: there is no 'racer'. Did you mean 'race'? Or"),
    ({"search": "{objective: [mian, -usd]}"}, "`search.objective`: there is no metric 'mian'. Did you mean 'main'?"),
    ({"search": "{objective: [main, usd]}"}, "`search.objective`: 'usd' is no cost to keep low. Behind the metric"),
    (
        {"endpoint": "http://h/v1", "models": "[m]", "search": "{objective: [main, -usd], budget: {calls: 1}}"},
        "experiment.yaml:4: to keep usd low needs a price, and the model 'm' has none. Give it price: {input",
    ),
    ({"search": "{longest: 0}"}, "`search.longest` must be a whole number above 0, not 0"),
    ({"search": "{objective: mian}"}, "`search.objective`: there is no metric 'mian'. Did you mean 'main'?"),
    ({"search": "{objective: {main: -1}}"}, "`search.objective.main` must be a number above 0, not -1"),
    (
        {"search": "{meta: smal}"},
        "experiment.yaml:4: `search.meta`: there is no model 'smal'. Did you mean 'small'? Or describe another",
    ),
    (
        {"search": "{meta: {base_url: http://h/v1}}"},
        "experiment.yaml:4: `search.meta.id` is missing. Name the model as",
    ),
    ({"search": "{meta: {idd: x, id: y}}"}, "experiment.yaml:4: unknown key `search.meta.idd`. Did you mean 'id'?"),
    (
        {"search": "{meta: [small]}"},
        "`search.meta` must be the name of one of `models`, or a mapping with id, not a list",
    ),
    ({"search": "{meta: {id: x, params: {temprature: 1}}}"}, "`search.meta.params.temprature`: there is no parameter"),
    (
        {"search": "{meta: {id: x, api_key: k}}"},
        "`search.meta.api_key` holds an API key. Keys do not belong into files",
    ),
    (
        {
            "search": "{meta: {id: x, base_url: http://h/v1}, budget: {usd: 1}}",
            "params": "{max_tokens: 5}",
        },
        "experiment.yaml:4: a usd budget needs a price, and the model 'x' has none. Give it price: {input",
    ),
    (
        {"search": "{meta: {id: x, base_url: http://h/v1}}"},
        "experiment.yaml:4: `search.budget` is missing: it needs calls, tokens or usd. Like budget: {calls: 3000",
    ),
    ({"search": "{budget: {calls: lots}}"}, "`search.budget.calls` must be a whole number above 0, not 'lots'"),
    ({"search": "{budget: {calls: 2.5}}"}, "`search.budget.calls` must be a whole number above 0, not 2.5"),
    (
        {"search": "{budget: {usd: 1}}"},
        "a budget of usd needs `params.max_tokens`, else the cost of a call to 'small' has no",
    ),
    (
        {"search": "{budget: {tokens: 99}}", "params": "{max_tokens: [5, null]}"},
        "a budget of tokens needs `params.max_tokens`",
    ),
    (
        {"endpoint": "http://h/v1", "models": "[m]", "params": "{max_tokens: 5}", "search": "{budget: {usd: 1}}"},
        "experiment.yaml:4: a usd budget needs a price, and the model 'm' has none. Give it price: {input",
    ),
    ({"budget": "{calls: 5}"}, "experiment.yaml:4: unknown key `budget`. It belongs under `search`."),
    ({"tune": "{method: sft}"}, "experiment.yaml:4: `tune.method` must be supervised or dpo, not 'sft'"),
    ({"retrieval": "{corpus: x}"}, "experiment.yaml:4: `retrieval.corpus`: there is no file or folder 'x'"),
    ({"seed": "-1"}, "experiment.yaml:4: `seed` must be a whole number, 0 or above, not -1"),
    ({"tempaltes": "[]"}, "experiment.yaml:4: unknown key `tempaltes`. Did you mean 'templates'?"),
    ({"seed": "1\nseed: 2"}, "experiment.yaml:5: the key `seed` is given twice, on lines 4 and 5. Keep one of them."),
    ({"seed": "!lucky 7"}, "experiment.yaml:4: the tag '!lucky' is not known here"),
]


@pytest.mark.parametrize(("parts", "sentence"), MISTAKES, ids=[sentence[:70] for _, sentence in MISTAKES])
def test_every_mistake_has_its_sentence(project: Project, parts: dict[str, str], sentence: str) -> None:
    """One mistake is one problem: where it stands, what is wrong with which value, and the remedy."""
    found = problems(project(**parts))
    assert any(sentence in each for each in found), found
    assert len(found) == 1 or "a.j2, 5" in str(parts), found
    for jargon in ("pydantic", "validation", "NoneType", "dict", "_type", "Traceback", "input_value"):
        assert jargon not in found[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: b: c", "experiment.yaml:1: a ':' stands where no key can be"),
        ("a:\n\t- b", "experiment.yaml:2: a tab cannot indent YAML. Use spaces."),
        ("a: 1\nb: [1,\nc: 2\n", "experiment.yaml:2: a bracket is opened and never closed"),
        ("a: 1\nb: 'x\nc: 2", "experiment.yaml:2: a quote is opened here and never closed"),
        ("- a\nb: c", "experiment.yaml:2: this line does not fit the indent of the lines above"),
        ("a: *.j2", "experiment.yaml:1: '*' refers to an anchor, and there is no anchor of this name. Put the text"),
        ("a: @b", "experiment.yaml:1: text cannot start with this character in YAML"),
        ("a: 1\n---\nb: 2", "experiment.yaml:2: a second document starts here"),
        ("a: 1\nb: \x07", "experiment.yaml:2: a control character, which YAML does not allow"),
        ('a: "\\ud800"', "experiment.yaml:1: an escape like \\ud83d is half a character"),
        ('a: "\\q"', "experiment.yaml:1: no escape of this name"),
        ("a: &x [*x]", "experiment.yaml:1: too deeply nested, too large, or an anchor that holds itself"),
        ("[" * 1000, "experiment.yaml: the brackets are too deeply nested"),
        ("", "experiment.yaml:1: the file is empty"),
        ("- a", "experiment.yaml:1: the file must hold `key: value` lines"),
        ("? [a]\n: b", "experiment.yaml:1: a list or a mapping cannot be a key"),
    ],
)
def test_yaml_that_cannot_be_read_says_where(project: Project, text: str, sentence: str) -> None:
    """Syntax errors name the line and a remedy in plain words."""
    assert any(each.startswith(sentence) for each in problems(project(text)))


def test_a_file_that_is_not_utf8_names_the_line(project: Project) -> None:
    """An editor's Latin-1 is told, not decoded wrongly."""
    path = project()
    path.write_bytes(b"name: a\nendpoint: \xe9mbedded\n")
    assert problems(path) == ["experiment.yaml:2: this is not UTF-8 text. Save the file as UTF-8."]


def test_a_path_to_nothing_names_the_nearest(project: Project, tmp_path: Path) -> None:
    """A misspelt file and an empty folder are told."""
    project()
    assert problems(tmp_path / "experimnt.yaml") == [
        "experimnt.yaml: there is no such file. Did you mean 'experiment.yaml'?"
    ]
    assert "there is no such file" in problems(tmp_path / "templates")[0]


def test_label_files_tell_their_own_lines(project: Project, tmp_path: Path) -> None:
    """A problem in labels.yaml names labels.yaml."""
    (tmp_path / "labels.yaml").write_text("a: x\nb: y\na: z\nc: [1]\n")
    found = problems(project(data=DATA + ", labels: labels.yaml}"))
    assert "labels.yaml:3: the key `a` is given twice, on lines 1 and 3. Keep one of them." in found
    assert any(each.startswith("labels.yaml:4: a label description is text, not a list.") for each in found)


def test_all_problems_come_at_once_in_the_order_of_the_file(project: Project) -> None:
    """Shape, files, names, budget, duplicates: nothing hides behind anything."""
    text = """\
endpoint: {base_url: "https://me:hunter2@h.example/v1", rpm: fast}
models: [m]
seed: one
seed: two
data: {path: row.csv, inputs: [message, message], label: intent, split: {dev: 2}}
templates: [nothing/*.j2]
answer: lable
metrics: exakt
retrieval: {}
serach: {}
search: {propose: gird, budget: {usd: 1}}
"""
    found = problems(project(text))
    lines = [int(each.split(":")[1]) for each in found]
    assert lines == sorted(lines)
    assert set(lines) == {1, 3, 4, 5, 6, 7, 8, 9, 10, 11}
    assert len(found) == 13


SECRET = "sk-hunter2hunter2"


@pytest.mark.parametrize(
    "parts",
    [
        {"endpoint": f"{{base_url: embedded, api_key: {SECRET}}}"},
        {"endpoint": f"{{base_url: 'https://me:{SECRET}@h.example/v1'}}"},
        {"endpoint": f"{{base_url: 'ftp://me:{SECRET}@h.example/v1'}}"},
        {"endpoint": f"https://{SECRET}@h.example/v1"},
        {"endpoint": f"{{base_url: 'https://h.example/v1?api-key={SECRET}'}}"},
        {"endpoint": f"{{base_url: embedded, api_key_env: {SECRET}}}"},
        {"params": f"{{extra_headers: {{Authorization: Bearer {SECRET}}}}}"},
        {"models": f"[{{id: a, apiKey: {SECRET}}}]"},
        {"openai_api_key": SECRET},
    ],
)
def test_secrets_are_refused_and_not_repeated(project: Project, parts: dict[str, str]) -> None:
    """Keys and passwords do not belong into files, and no message shows them again."""
    found = "\n".join(problems(project(**parts)))
    assert "hunter2" not in found
    if "ftp" not in str(parts):
        assert "api_key_env" in found or "environment variable" in found


# --- --set ---


def test_set_overrides_the_file(project: Project) -> None:
    """Values are YAML; short forms are spelt out; slots keep their dots; missing mappings are made."""
    sets = [
        "search.budget.calls=12",
        "params.temperature=[0.1, 0.2]",
        "endpoint.concurrency=64",
        "data.label.many=any",
        "baseline.bank.k=4",
        "space.task=plain",
        "models=[small, {id: other}]",
        "models.1.name=second",
        "data.labels=[no, 01]",
        "name=a=b",
    ]
    path = project()
    e = Experiment.load(path, sets)
    assert e.search.budget.calls == 12
    assert e.params["temperature"] == (0.1, 0.2)
    assert e.models[0].endpoint.embedded
    assert e.models[0].endpoint.concurrency == 64
    assert e.data.columns.many == "any"
    assert e.baseline == {"bank.k": 4}
    assert e.space_pins == {"task": ("plain",)}
    assert [model.name for model in e.models] == ["small", "second"]
    assert [label.name for label in e.data.labels or ()] == ["no", "01"]
    assert e.name == "a=b"
    assert e.source == path.read_text()


def test_set_can_mend_or_remove_what_the_file_says(project: Project) -> None:
    """An override replaces a wrong value with all its problems; nothing after the '=' means not given."""
    path = project(seed="one", bank="{from: nowhere.csv}")
    e = Experiment.load(path, ["seed=1", "bank="])
    assert (e.seed, e.bank) == (1, None)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("search.budgt.calls=5", "--set search.budgt.calls: unknown key `search.budgt`. Did you mean 'budget'?"),
        (
            "search.budget.calls=lots",
            "--set search.budget.calls: `search.budget.calls` must be a whole number above 0, not 'lots'",
        ),
        ("sede=5", "--set sede: unknown key `sede`. Did you mean 'seed'?"),
        ("seed", "--set seed: needs a key, '=' and a value. Write it like --set search.budget.calls=500."),
        ("=5", "--set : needs a key, '=' and a value."),
        ("a..b=5", "--set a..b: needs a key"),
        ("seed=[1", "--set seed: a bracket is opened and never closed"),
        ("data.path.x.y=5", "--set data.path.x.y: `data.path` is 'rows.csv' and has no keys below it"),
        ("templates.7=x", "--set templates.7: `templates` is a list of 1 and has no item '7'"),
        ("endpoint.api_key=sk-hunter2", "--set endpoint.api_key: `endpoint.api_key` holds an API key"),
    ],
)
def test_a_wrong_set_names_itself(project: Project, override: str, sentence: str) -> None:
    """Problems that came from the command line say --set and the key, never a line of the file."""
    [found] = problems(project(), override)
    assert found.startswith(sentence)
    assert "hunter2" not in found


# --- what makes a run a different run ---


@pytest.mark.parametrize(
    "same",
    ["endpoint.concurrency=99", "endpoint.timeout=3", "endpoint.rpm=7", "endpoint.tpm=7", "endpoint.max_retries=0",
     "search.budget.minutes=1", "name=other", "endpoint.api_key_env=OTHER"],
)  # fmt: skip
def test_what_decides_nothing_is_not_canonical(project: Project, same: str) -> None:
    """Speed, minutes, names of files and keys do not make another run."""
    path = project(FULL)
    assert canonical(Experiment.load(path, [same])) == canonical(Experiment.load(path))


@pytest.mark.parametrize(
    "other",
    ["seed=8", "search.budget.calls=5", "params.temperature=0.5", "params.temperature=[0.7, 0]", "bank.k=[0, 4]",
     "data.split.seed=3", "data.labels=[no, 01]", "models.0.price.input=9", "models.0.id=x", "baseline.bank.k=4",
     "metrics.main=normalised", "search.allocate=full", "space.exclude=[]", "answer=text", "search.finalists=2",
     "endpoint.base_url=http://127.0.0.1:10/v1", "bank.from=train", "data.inputs={text: body}",
     "bank.inputs={text: body}", "search.repeats=1"],
)  # fmt: skip
def test_what_may_decide_is_canonical(project: Project, other: str) -> None:
    """Whatever can change which call is made or who wins makes another run."""
    path = project(FULL)
    overrides = [other, "bank.label="] if other == "bank.from=train" else [other]
    assert canonical(Experiment.load(path, overrides)) != canonical(Experiment.load(path))


def test_canonical_is_json_without_paths(project: Project, tmp_path: Path) -> None:
    """The same project in another folder is the same run."""
    assert str(tmp_path) not in json.dumps(canonical(Experiment.load(project(FULL))), allow_nan=False)


# --- whatever is thrown at it ---

WORDS = """
name endpoint models params data templates bank space answer metrics baseline search seed path inputs label labels split
column many sep train dev test group id weight passages from k select seeds order exclude propose allocate objective
budget calls tokens usd minutes finalists repeats base_url api_key_env concurrency rpm tpm timeout max_retries
max_errors mode price input cached output temperature max_tokens response_format main grid metric retrieval meta
api_key x 1 no ~
"""
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 99),
    st.sampled_from([10**400, 1e300, -0.0, 0.5, float("inf"), float("nan")]),
    st.sampled_from(["", " ", "embedded", "all", "any", "rows.csv", "labels.yaml", "templates/*.j2", "train", "exact",
                     "schema.json", "http://h/v1", "http://[", "a:b", "grid", "..", "x" * 300, "[", "{{x}}", "é"]),
    st.text(max_size=6),
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def loads_or_tells(path: Path, overrides: list[str]) -> None:
    try:
        experiment = Experiment.load(path, overrides)
    except BadInput as bad:
        told = bad.problems
    else:
        json.dumps(canonical(experiment), allow_nan=False)
        assert experiment.models
        assert experiment.templates
        assert experiment.data.paths
        return
    assert told
    assert all(each.message and "\n" not in str(each) for each in told)
    "".join(map(str, told)).encode()


@FUZZ
@given(parts=st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_mapping_is_an_experiment_or_bad_input(project: Project, parts: dict[str, Any]) -> None:
    """Right keys with arbitrary values never end in anything but an Experiment or its problems."""
    whole = {
        "endpoint": "embedded",
        "data": {"path": "rows.csv", "label": "intent"},
        "templates": "templates/*.j2",
        **parts,
    }
    loads_or_tells(project(json.dumps(whole).replace("NaN", ".nan").replace("Infinity", ".inf")), [])


@FUZZ
@given(
    text=st.text(max_size=60)
    | st.lists(st.sampled_from(["&a", "*a", "- ", "\\U", "!!", *"a1:[]{}'\"!%,>#| \n"])).map("".join)
)
def test_any_text_is_an_experiment_or_bad_input(project: Project, text: str) -> None:
    """Arbitrary text is told as what it is: no YAML, or not an experiment."""
    path = project("")
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    loads_or_tells(path, [])


@FUZZ
@given(
    overrides=st.lists(
        st.builds(
            "{}={}".format, st.lists(KEYS | st.text(max_size=3), max_size=4).map(".".join), VALUES.map(json.dumps)
        )
        | st.text(max_size=12),
        max_size=3,
    )
)
def test_any_set_is_an_experiment_or_bad_input(project: Project, overrides: list[str]) -> None:
    """Whatever follows --set."""
    loads_or_tells(project(FULL), overrides)


# --- near misses ---


@pytest.mark.parametrize(
    ("name", "meant"),
    [("temprature", "temperature"), ("Temperature", "temperature"), ("max_token", "max_tokens"), ("stops", "stop")],
)
def test_a_parameter_that_is_nearly_a_known_one_is_a_problem(project: Project, name: str, meant: str) -> None:
    """An endpoint would ignore it, and the run would be another than was asked for."""
    said = f"there is no parameter '{name}'. Did you mean '{meant}'?"
    assert problems(project(params=f"{{{name}: [0, 1]}}")) == [f"experiment.yaml:4: `params.{name}`: {said}"]
    assert problems(project(), f"params.{name}=0") == [f"--set params.{name}: `params.{name}`: {said}"]
    [one] = problems(project(models=f"[{{id: small, params: {{{name}: 1}}}}]"))
    assert one.endswith(said)


def test_other_parameters_belong_to_the_endpoint(project: Project) -> None:
    names = (
        "max_new_tokens",
        "repetition_penalty_range",
        "min_tokens",
        "top_n_sigma",
        "guided_json",
        "enable_thinking",
    )
    written = ", ".join(f"{name}: 1" for name in names)
    assert tuple(Experiment.load(project(params=f"{{{written}}}")).params) == names


@pytest.mark.parametrize(("name", "what"), [("templates/a.j2", "a template"), ("rows.csv", "a table of rows")])
def test_a_file_that_is_something_else_is_called_what_it_is(project: Project, name: str, what: str) -> None:
    path = project().parent / name
    with pytest.raises(BadInput) as caught:
        Experiment.load(path)
    remedy = "Name an experiment.yaml, or the folder that holds one."
    assert str(caught.value) == f"{path}: this is {what}, not an experiment. {remedy}"
    with pytest.raises(BadInput, match="there is no such file"):
        Experiment.load(path.with_name(f"no-{path.name}"))
