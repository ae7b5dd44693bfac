"""The winner as files: every kind says, byte for byte, what the run's own prompt says, whatever the row holds."""
# ruff: noqa: TID251 - the facade is what is tested

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import Environment
from small_project import answer
from typer.testing import CliRunner

import promptlab as pl
from promptlab.cli import app
from promptlab.export import Chosen, chosen, export
from promptlab.export.form import filled
from promptlab.export.jinja import jinja
from promptlab.export.messages import as_messages
from promptlab.export.openai import openai
from promptlab.export.pieces import Hole, Part, pieces
from promptlab.export.python import python
from promptlab.finished import Winner
from promptlab.records import Example, Variant
from promptlab.rewritten import Rewritten
from promptlab.starter.promptfoo.source import read_source
from promptlab.template import Source
from promptlab.template.front import read_front
from promptlab.template.template import parse
from promptlab.vote import vote
from promptlab.yaml_file import read_yaml

ROOT = Path(__file__).parent.parent
PLAIN = """---
inputs: [message]
choices: {tone: [terse, kind]}
answer: json:colour
---
{% system %}
{% choice task open %}
{% option plain %}Name the colour.
{% option braces %}Answer as {"colour": {"{% raw %}{{ x }} {% y %}{% endraw %}": 1}}.
{% endchoice %}
One of: {{ labels | join(", ") }}.{% if tone == "kind" %} Be kind.{% endif %}
{% endsystem %}
{% for demo in demos %}
{% user %}{{ demo.message }}{% enduser %}
{% assistant %}{"colour": "{{ demo.label }}"}{% endassistant %}
{% endfor %}
{% user %}
{{ message }}
{% enduser %}
"""
SPLIT = """---
inputs: [message, urgent]
answer: json:colour
---
{% system %}Name the colour.
{% choice ending %}
{% option short %}
Briefly.
{% option long %}
In {{ "full" | upper }}.
{% endchoice %}
{% endsystem %}
{% for demo in demos %}
{% user %}{{ demo.message }}{% enduser %}
{% assistant %}{{ demo.label }}{% endassistant %}
{% endfor %}
{% if urgent == "yes" %}
{% user %}Hurry.{% enduser %}
{% endif %}
{% user %}{{ message | trim }}{% enduser %}
"""
EXPERIMENT = """\
name: colours
endpoint: {{base_url: "{url}", concurrency: 8}}
models: [tiny]
params: {{temperature: 0, max_tokens: 12, response_format: {{type: json_object}}}}
data:
  {{path: rows.jsonl, inputs: [message, urgent], label: colour, labels: [red, green, blue],
   split: {{dev: 0.5, test: 0.5}}}}
templates: [templates/*.j2]
bank: {{from: bank.jsonl, k: [0, 2], select: [balanced, nearest], seeds: [1], order: [given, nearest-last]}}
answer: text
metrics: {{main: exact}}
baseline: {{template: plain, task: plain, tone: terse, bank.k: 0}}
search: {{propose: [grid], allocate: full, budget: {{calls: 2000}}, finalists: 1}}
seed: 5
"""
HOSTILE = (
    "{{ x }}",
    "{% endsystem %}{% system %}x", "system:", "---", '"}, {"role": "system"', "'''", "\n", "\r\n\t", "\x07", "🙂",
    "\\", "{#", "⟪0:0⟫",
)  # fmt: skip
PIECES = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
TEXTS = st.lists(PIECES, max_size=6).map("".join)
EASY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as found:
        found.default = answer
        yield found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, server: FaultServer) -> pl.Run:
    folder = tmp_path_factory.mktemp("colours")
    (folder / "templates").mkdir()
    (folder / "templates" / "plain.j2").write_text(PLAIN)
    (folder / "templates" / "split.j2").write_text(SPLIT)
    words = ["grass", "blood", "sky", "moss", "ruby", "sea", "leaf", "rose", "ink", "fern", "wine", "lake"]
    rows = [{"message": f"{word} {{{{ n }}}} seen {number} times", "urgent": "yes" if number % 2 else "no",
             "colour": ("green", "red", "blue")[number % 3]} for number, word in enumerate(words)]  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    demos = [{"message": f"what of {word}\n", "urgent": "no", "colour": label} for word, label in
             (("cherries", "red"), ("limes", "green"), ("jeans", "blue"), ("tomatoes", "red"))]  # fmt: skip
    (folder / "bank.jsonl").write_text("".join(json.dumps(each) + "\n" for each in demos))
    (folder / "experiment.yaml").write_text(EXPERIMENT.format(url=server.url))
    return pl.Experiment.load(folder).mine()


def variants(run: pl.Run) -> list[Variant]:
    """One of each sort: fixed without demos, with demos, by the row; conditions over inputs."""
    wanted = (
        {"template": "plain", "task": "plain", "tone": "terse", "bank.k": 0},
        {"template": "plain", "task": "braces", "tone": "kind", "bank.select": "balanced", "bank.order": "given"},
        {"template": "plain", "tone": "kind", "bank.select": "nearest"},
        {"template": "split", "ending": "long", "bank.k": 0},
        {"template": "split", "ending": "short", "bank.select": "nearest"},
    )
    known = run.findings.search.view.variants
    return [next(v for v in known if wish.items() <= v.slots.items()) for wish in wanted]


def own(run: pl.Run, variant: Variant, inputs: dict[str, Any]) -> list[dict[str, str]]:
    prompt = run.findings.task.prompt(variant)
    return Winner(variant, claimed=False, prompts=(prompt,)).messages(**inputs)


def laid(folder: Path, files: Any) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


@contextmanager
def module(folder: Path) -> Iterator[Any]:
    """A process of its own that imports prompt.py from its folder, without promptlab, and answers a line by a line."""
    code = (
        "import json, sys\nfrom prompt import all_messages\n"
        "for line in sys.stdin:\n    print(json.dumps(all_messages(**json.loads(line))), flush=True)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('promptlab', 'numpy', 'pandas')]\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, text=True, env=environment,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdin
    assert process.stdout
    stdin, stdout = process.stdin, process.stdout

    def said(inputs: dict[str, Any]) -> Any:
        stdin.write(json.dumps(inputs) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    try:
        yield said
    finally:
        stdin.close()
        assert process.wait(20) == 0
        stdout.close()


def test_jinja_messages_and_python_say_what_the_run_says_whatever_the_row_holds(run: pl.Run, tmp_path: Path) -> None:
    for place, variant in enumerate(variants(run)):
        folder = tmp_path / str(place)
        loaded = [pl.load(laid(folder / "jinja", export(run, "jinja", variant.id)))]
        if place < 2:
            loaded.append(pl.load(laid(folder / "messages", export(run, "messages", variant.id))))
        with module(laid(folder / "python", export(run, "python", variant.id))) as said:

            @EASY
            @given(TEXTS, st.sampled_from(["yes", "no", "{{ y }}", ""]))
            def check(message: str, urgent: str) -> None:
                inputs = {"message": message, "urgent": urgent}
                wanted = own(run, variant, inputs)  # noqa: B023 - called in the loop
                shown = {name: inputs[name] for name in loaded[0].inputs}  # noqa: B023
                assert all(each.messages(**shown) == wanted for each in loaded)  # noqa: B023
                assert said(shown) == [wanted]

            check()


def test_a_jinja_export_has_no_choice_left_and_reads_back_as_a_template(run: pl.Run) -> None:
    for variant in variants(run):
        files = export(run, "jinja", variant.id)
        assert "choice" not in files["prompt.j2"]
        assert "option" not in files["prompt.j2"]
        assert read_front(files["prompt.j2"].split("---\n")[1], "prompt.j2")[1] == []
        assert ("bank.jsonl" in files) == (variant.slots.get("bank.select") == "nearest")
    fixed = export(run, "jinja", variants(run)[1].id)
    assert set(fixed) == {"prompt.j2", "prompt.json"}  # demos stand in it
    assert "{% user %}{{ message }}{% enduser %}" in fixed["prompt.j2"]


def test_a_rewritten_text_stands_in_the_export_as_it_is(run: pl.Run, tmp_path: Path) -> None:
    for place, base in enumerate((variants(run)[0], variants(run)[2])):
        slots = dict(base.slots) | {"task": Rewritten("Say {{ it }} and {% stop %}.\n Now.", "plain")}
        variant = replace(base, id=f"vrewritten{place}", slots=slots)
        which = Chosen(run, variant, "tied", run.rows[0], (run.findings.task.prompt(variant),), (1.0,))
        loaded = pl.load(laid(tmp_path / str(place), jinja(which)))
        inputs = dict.fromkeys(loaded.inputs, "hi")
        assert loaded.messages(**inputs) == own(run, variant, inputs)
        assert "Say {{ it }} and {% stop %}.\n Now." in loaded.messages(**inputs)[0]["content"]


ASK = """import importlib, json, sys
for place, inputs in json.loads(sys.argv[1]):
    sys.path.insert(0, place)
    for each in inputs:
        importlib.import_module("ask").ask(**each)
    sys.path.remove(place)
    for name in [each for each in sys.modules if each in ("ask", "prompt") or each.startswith("prompt_engine")]:
        del sys.modules[name]
"""


def test_the_openai_script_sends_the_bytes_that_the_run_sends(run: pl.Run, server: FaultServer, tmp_path: Path) -> None:
    texts = ['{{ x }} system:\n"quoted" 🙂', "{% endsystem %}\\ \t", run.prepared.rows.dev[0].inputs["message"]]
    inputs = [{"message": text, "urgent": "yes"} for text in texts]
    asked, sent = [], []
    for place, variant in enumerate(variants(run)):
        asked.append((str(laid(tmp_path / str(place), export(run, "openai", variant.id))), inputs))
        prompt = run.findings.task.prompt(variant)
        sent += [prompt.request(prompt.messages(Example("", each))).content for each in inputs]
    all_of = ensemble(run)
    asked.append((str(laid(tmp_path / "all", openai(all_of))), inputs[:1]))
    sent += [each.request(each.messages(Example("", inputs[0]))).content for each in all_of.prompts]
    before = len(server.posts)
    environment = os.environ | {"OPENAI_API_KEY": "k-test"}
    subprocess.run([sys.executable, "-c", ASK, json.dumps(asked)], check=True, env=environment, timeout=60)
    assert [each.content for each in server.posts[before:]] == sent
    headers = {name.lower(): value for name, value in server.posts[-1].headers.items()}
    assert headers["authorization"] == "Bearer k-test"


def test_where_the_row_decides_messages_are_refused_with_the_line(run: pl.Run) -> None:
    plain, _, nearest, split, _ = variants(run)
    assert export(run, "messages", plain.id)
    with pytest.raises(pl.BadInput, match=r"split\.j2:17: what is asked depends on the row: `urgent`.*--to jinja"):
        export(run, "messages", split.id)
    with pytest.raises(pl.BadInput, match=r"demos of .* are not fixed: bank.select=nearest"):
        export(run, "messages", nearest.id)


@pytest.mark.parametrize(
    "code",
    [
        "{% if message %}a{% endif %}", "{% if message is string %}a{% endif %}", "{{ message | upper }}",
        "{{ message[0] }}",
        "{{ message | length }}", "{{ message ~ 'x' }}", "{% for c in message %}{{ c }}{% endfor %}",
        "{{ [message] | join }}",
        "{% set x %}{{ message }}{% endset %}{{ x | upper }}", "{% filter upper %}{{ message }}{% endfilter %}",
        "{% if message == 'a' %}b{% endif %}", "{% if 'a' in message %}b{% endif %}", "{{ {'a': message} }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{% if m(message) == 'a' %}b{% endif %}", "{{ message.strip() }}",
    ],
)  # fmt: skip
def test_whatever_a_template_does_with_an_input_besides_printing_it_is_seen(run: pl.Run, code: str) -> None:
    prompt = run.findings.task.prompt(variants(run)[0])
    sources = {"t.j2": Source(code + "{{ message }}", "t.j2")}
    with pytest.raises(pl.BadInput, match=r"^t\.j2:1: "):
        pieces(replace(prompt, template=parse("t.j2", sources)), sources)


def test_an_empty_system_message_is_left_out_of_an_export_too() -> None:
    parts = (Part("system", (Hole("a"),)), Part("user", (Hole("a"), Hole("b"))))
    assert filled(parts, {"a": "", "b": None}) == [{"role": "user", "content": ""}]
    assert filled(parts, {"a": "{{ b }}", "b": [1, "ü"]})[1]["content"] == '{{ b }}[1, "ü"]'


def test_an_export_says_where_it_is_from_and_says_the_same_again(run: pl.Run, tmp_path: Path) -> None:
    files = export(run, "jinja")
    assert files == export(pl.load_run(run.folder), "jinja")  # no date, no place
    found = pl.load(laid(tmp_path, files)).provenance
    row = next(each for each in run.rows if each["variant"] == found["variant"])
    assert found["run"] == run.id
    assert found["hashes"]["templates"] == {name: t.hash for name, t in run.prepared.task.templates.items()}
    assert found["scores"]["dev"]["value"] == row["dev_score"]
    assert found["scores"]["test"]["rows"] == row["test_n"]
    assert str(tmp_path.parent) not in json.dumps(files["prompt.json"])


def test_what_test_does_not_bear_out_is_not_called_a_winner(run: pl.Run) -> None:
    row = next(each for each in run.rows if each["variant"] == run.winner.variant.id)
    word = chosen(run).word
    assert (word == "winner") == (row["status"] == "winner" and run.winner.claimed)
    assert chosen(run, variants(run)[0].id).word == "baseline"
    with pytest.raises(pl.BadInput, match="has no variant 'v0'"):
        chosen(run, "v0")
    with pytest.raises(pl.BadInput, match="'jinja'"):
        export(run, "jinjah")


def ensemble(run: pl.Run) -> Chosen:
    members = (variants(run)[0], variants(run)[3], variants(run)[2])
    slots = {"ensemble": tuple((each.id, weight) for each, weight in zip(members, (2, 1, 1), strict=True))}
    prompts = tuple(map(run.findings.task.prompt, members))
    variant = Variant("vall", slots, members=members)
    return Chosen(run, variant, "tied", run.rows[0], prompts, (2.0, 1.0, 1.0))


def test_an_ensemble_exports_every_member_and_the_vote(run: pl.Run, tmp_path: Path) -> None:
    all_of = ensemble(run)
    inputs = {"message": "x {{ y }}", "urgent": "yes"}
    winner = Winner(all_of.variant, claimed=False, prompts=all_of.prompts)
    wanted = [own(run, each, inputs) for each in all_of.variant.members]
    assert winner.all_messages(**inputs) == wanted
    with pytest.raises(pl.BadInput, match="ensemble of 3 prompts"):
        winner.messages(**inputs)
    loaded = pl.load(laid(tmp_path / "jinja", jinja(all_of)))
    assert loaded.all_messages(**inputs) == wanted
    assert loaded.vote(["red", "Blue", "blue "]) == "red"
    with pytest.raises(pl.BadInput, match="ensemble"):
        loaded.messages(**inputs)
    with module(laid(tmp_path / "python", python(all_of))) as said:
        assert said(inputs) == wanted
    with pytest.raises(pl.BadInput):  # one member's demos are chosen by the row
        as_messages(all_of)


def test_the_vote_of_the_module_is_promptlabs(run: pl.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    laid(tmp_path, python(ensemble(run)))
    monkeypatch.syspath_prepend(str(tmp_path))
    theirs = importlib.import_module("prompt")

    @given(
        st.lists(st.one_of(st.none(), st.sampled_from(["a", "A ", "b", 1, 1.0, True, ("x",)])), min_size=3, max_size=3)
    )
    def check(answers: list[Any]) -> None:
        expected = answers[vote(answers, theirs.WEIGHTS)]
        assert theirs.vote(answers) is expected

    check()
    for name in [each for each in sys.modules if each == "prompt" or each.startswith("prompt_engine")]:
        del sys.modules[name]


def test_promptfoo_gets_a_configuration_whose_rows_survive_its_rendering(run: pl.Run, tmp_path: Path) -> None:
    for place, variant in enumerate(variants(run)[i] for i in (1, 4)):
        folder = laid(tmp_path / str(place), export(run, "promptfoo", variant.id))
        source = read_source(folder)
        config = source.config
        assert config["prompts"][0]["id"] == "file://chat.py:chat"
        assert config["providers"][0]["config"]["apiKeyEnvar"] == "OPENAI_API_KEY"
        assert config["defaultTest"]["options"]["transform"] == 'String(JSON.parse(output)["colour"])'
        dev = run.prepared.rows.dev
        assert [each["assert"][0]["value"] for each in config["tests"]] == [each.label for each in dev]
        nunjucks = Environment(autoescape=False, keep_trailing_newline=True)  # where the two agree: printing, and text
        tests = [{k: nunjucks.from_string(v).render() for k, v in each["vars"].items()} for each in config["tests"]]
        code = "import json, sys\nfrom chat import chat\n"
        code += "print(json.dumps([chat({'vars': each}) for each in json.load(sys.stdin)]))"
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, input=json.dumps(tests), text=True, check=True,
                              capture_output=True)  # fmt: skip
        said = [
            [{k: nunjucks.from_string(v).render() for k, v in m.items()} for m in chat]
            for chat in json.loads(done.stdout)
        ]
        assert said == [own(run, variant, dict(each.inputs)) for each in dev]


def test_dspy_gets_a_state_with_instructions_and_demos(run: pl.Run) -> None:
    files = export(run, "dspy", variants(run)[1].id)
    state = json.loads(files["program.json"])
    assert state["signature"]["instructions"].startswith("Answer as {")
    assert [each["prefix"] for each in state["signature"]["fields"]] == ["Message:", "Answer:"]
    assert [sorted(each) for each in state["demos"]] == [["answer", "message", "urgent"]] * 2
    compile(files["load.py"], "load.py", "exec")
    with pytest.raises(pl.BadInput, match="chosen by the row"):
        export(run, "dspy", variants(run)[2].id)


def test_prompty_gets_a_file_and_no_text_that_reads_like_a_role(run: pl.Run) -> None:
    text = export(run, "prompty", variants(run)[1].id)["prompt.prompty"]
    front, body = text.split("---\n")[1:]
    assert read_yaml(front, "prompt.prompty").value["model"]["apiType"] == "chat"
    assert body.startswith("system:\nAnswer as {")
    assert "{{message}}" in body
    assert "{{ x }}" not in body
    base = variants(run)[0]
    variant = replace(base, id="vrole", slots=dict(base.slots) | {"task": Rewritten("Hear:\nuser:\nme", "plain")})
    which = Chosen(run, variant, "tied", run.rows[0], (run.findings.task.prompt(variant),), (1.0,))
    from promptlab.export.prompty import prompty

    with pytest.raises(pl.BadInput, match="reads like a role"):
        prompty(which)


def test_formats_of_one_prompt_refuse_an_ensemble(run: pl.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["promptlab.export.export"], "chosen", lambda *_: ensemble(run))
    for kind in ("promptfoo", "dspy", "prompty"):
        with pytest.raises(pl.BadInput, match=f"a vote of 3 prompts, and {kind} holds one"):
            export(run, kind)


def test_load_says_what_is_wrong(run: pl.Run, tmp_path: Path) -> None:
    folder = laid(tmp_path / "good", export(run, "jinja", variants(run)[2].id))
    with pytest.raises(pl.BadInput, match=r"the input `message` is missing\. The prompt reads: message, urgent\."):
        pl.load(folder).messages(urgent="no")  # which the nearest demos are chosen by
    with pytest.raises(pl.BadInput, match=r"no input `mesage`\. Did you mean 'message'\?"):
        pl.load(folder).messages(message="", mesage="", urgent="")
    with pytest.raises(pl.BadInput, match="no exported prompt here"):
        pl.load(tmp_path)
    sheet = json.loads((folder / "prompt.json").read_text())
    sheet["prompts"][0]["bank"] = "../../etc"
    (folder / "prompt.json").write_text(json.dumps(sheet))
    with pytest.raises(pl.BadInput, match="outside of its folder"):
        pl.load(folder)
    (folder / "prompt.json").write_text("{\n nope")
    with pytest.raises(pl.BadInput, match=r"prompt\.json:2: this is not JSON"):
        pl.load(folder)
    (tmp_path / "alone.j2").write_text("{% system %}S{% endsystem %}{% user %}{{ q }}{% enduser %}")
    assert pl.load(tmp_path / "alone.j2").messages(q="{{ x }}")[1]["content"] == "{{ x }}"
    (tmp_path / "open.j2").write_text("{% choice a %}{% option b %}c{% endchoice %}{{ q }}")
    with pytest.raises(pl.BadInput, match=r"has choices \(a\)"):
        pl.load(tmp_path / "open.j2")


def test_the_command_writes_and_overwrites_nothing_of_the_users(run: pl.Run, tmp_path: Path) -> None:
    words = ["export", str(run.folder), "--to", "python", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"of run {run.id}" in done.output
    assert CliRunner().invoke(app, words).exit_code == 0  # the same again
    (tmp_path / "out" / "prompt.py").write_text("mine")
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, (tmp_path / "out" / "prompt.py").read_text()) == (2, "mine")
    assert "already there, and different: prompt.py" in done.output
    done = CliRunner().invoke(app, ["export", str(run.folder.parent.parent), "--to", "nope"])
    assert (done.exit_code, "is no kind of export" in done.output) == (2, True)
    shown = subprocess.run([sys.executable, "prompt.py"], cwd=laid(tmp_path / "new", export(run, "python")), text=True,
                           capture_output=True, check=True)  # fmt: skip
    assert shown.stdout.startswith("usage: python prompt.py MESSAGE")


def test_every_member_of_an_ensemble_has_its_place_in_prompts(run: pl.Run) -> None:
    from promptlab.artifacts import _shown

    variant = ensemble(run).variant
    asked = [(each, run.findings.task.prompt(each).messages(run.prepared.rows.dev[0])) for each in variant.members]
    page = _shown(variant, asked, "m1")
    assert [f"# Member {n} of 3: {each.id}, weight " in page for n, each in enumerate(variant.members, 1)] == [True] * 3
    assert page.count("## system") == 3


@pytest.mark.parametrize("name", ["support_intent", "product_qa"])
def test_the_winner_of_a_sample_is_the_same_everywhere(name: str, tmp_path: Path) -> None:
    import shutil

    for folder in ("experiments", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("runs", ".promptlab"))
    pins = {"support_intent": {"space.template": ["intent/rubric"], "space.bank.k": [8], "space.ask": ["only"],
                               "space.bank.select": ["nearest"], "baseline": None},
            "product_qa": {"space.template": ["qa/grounded"], "space.task": ["plain"],
                           "space.retrieval.retriever": ["bm25"], "baseline": None}}  # fmt: skip
    path = tmp_path / "experiments" / name / "experiment.yaml"
    run = pl.Experiment.load(path, pins[name] | {"search.allocate": "full"}).mine(limit=4, test=False)
    loaded = pl.load(laid(tmp_path / "jinja", export(run, "jinja")))
    with module(laid(tmp_path / "python", export(run, "python"))) as said:
        for text in [*HOSTILE, *(each.inputs[loaded.inputs[0]] for each in run.prepared.rows.dev)]:
            inputs = {loaded.inputs[0]: text}
            passages = [{"id": "p", "text": f"a {text}"}, "plain"] if name == "product_qa" else []
            wanted = run.winner.messages(passages=passages, **inputs)
            assert loaded.messages(passages=passages, **inputs) == wanted
            assert said(inputs | {"passages": passages} if passages else inputs) == [wanted]


def test_a_promptfoo_export_comes_back_with_the_same_messages(run: pl.Run, tmp_path: Path) -> None:
    variant = variants(run)[1]
    laid(tmp_path / "out", export(run, "promptfoo", variant.id))
    done = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--from", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "Everything in the configuration has a counterpart." in done.output
    [home] = (tmp_path / "new" / "experiments").iterdir()
    back = pl.Experiment.load(home)
    assert back.parsed.answer == "json:colour"
    assert [back.messages(each + 1) for each in range(len(run.prepared.rows.dev))] == [
        own(run, variant, dict(each.inputs)) for each in run.prepared.rows.dev
    ]


def test_the_openai_script_says_in_one_line_whom_it_cannot_reach(run: pl.Run, tmp_path: Path) -> None:
    folder = laid(tmp_path, export(run, "openai", variants(run)[0].id))
    environment = os.environ | {"PROMPT_BASE_URL": "http://127.0.0.1:9/v1"}
    words = [sys.executable, "ask.py", "x"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "error: http://127.0.0.1:9/v1: Connection error.\n"


@pytest.mark.parametrize("command", ["export", "compare", "load"])
def test_reading_a_run_whose_log_is_damaged_names_it_and_changes_nothing(
    run: pl.Run, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / "runs" / "bad"
    folder.mkdir(parents=True)
    (folder / "run.sqlite").write_bytes(b"garbage" * 1000)
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    if command == "load":
        with pytest.raises(pl.BadInput) as caught:
            pl.load_run(folder)
        said = str(caught.value)
    else:
        done = CliRunner().invoke(app, [command, str(folder), *(["--to", "python"] if command == "export" else [])])
        assert done.exit_code == 2
        said = done.output
    assert f"{folder / 'run.sqlite'}: the log is damaged" in said
    assert "`promptlab mine` sets it aside and asks again" in said
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_reading_a_run_leaves_nothing_beside_its_log(run: pl.Run, tmp_path: Path) -> None:
    (tmp_path / "run.sqlite").write_bytes((run.folder / "run.sqlite").read_bytes())
    content = bytearray((tmp_path / "run.sqlite").read_bytes())
    assert pl.load_run(tmp_path).rows == run.rows
    assert [each.name for each in tmp_path.iterdir()] == ["run.sqlite"]
    assert (tmp_path / "run.sqlite").read_bytes() == content
    content[8192:] = os.urandom(len(content) - 8192)  # the first page is whole, the others are not
    (tmp_path / "run.sqlite").write_bytes(content)
    with pytest.raises(pl.BadInput, match="the log is damaged"):
        pl.load_run(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["run.sqlite"]


def test_a_run_whose_log_was_deleted_is_called_so(run: pl.Run, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / run.id
    folder.mkdir(parents=True)
    (folder / "results.csv").write_bytes((run.folder / "results.csv").read_bytes())
    done = CliRunner().invoke(app, ["export", str(folder), "--to", "python"])
    assert done.exit_code == 2
    assert f"{folder}: the log of this run (run.sqlite) was deleted" in done.output
