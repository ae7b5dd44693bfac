"""promptlab render: the exact messages and token count of any variant and row; --json is the body that is sent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer
from small_project import answer, write
from typer.testing import CliRunner

from promptlab.cli import app
from promptlab.experiment import Experiment
from promptlab.prepare import Prepared, prepare
from promptlab.run import mine
from promptlab.tokens import count_messages

SAMPLES = Path(__file__).parents[1]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.default = answer
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, "http://127.0.0.1:9/v1")


def render(*args: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["render", *map(str, args)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def rendered(*args: str | Path) -> Any:
    return json.loads(render(*args, "--json"))


def canonical(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def read(path: Path) -> Prepared:
    return prepare(Experiment.load(path))


def test_the_body_is_byte_for_byte_what_mining_sends(tmp_path: Path, server: FaultServer) -> None:
    path = write(tmp_path, server.url, allocate="full", budget="{calls: 1000}")
    mine(prepare(Experiment.load(path)))
    sent = {post.content for post in server.posts}
    prepared = read(path)
    points = list(prepared.space.points())
    assert len(sent) > len(points)
    for values, row in zip(points, prepared.rows.dev, strict=False):
        chosen = prepared.space.variant(values, "x")
        shown = rendered(path, "--variant", chosen.id, "--row", row.id)
        assert canonical(shown["body"]) in sent
        assert (shown["variant"], shown["slots"], shown["row"]) == (chosen.id, values, row.id)
    assert len(server.posts) == len(sent)  # rendering asked nobody


def test_messages_and_token_count_are_shown_as_they_are(project: Path) -> None:
    prepared = read(project)
    for row in prepared.rows.dev[:3]:
        messages = prepared.task.prompt(prepared.baseline).messages(row)
        shown = render(project, "--row", row.id)
        for message in messages:
            assert f"[{message.role}]\n{message.content}\n" in shown
        tokens, _ = count_messages(messages, "tiny")
        assert f"{tokens} tokens" in shown
        assert rendered(project, "--row", row.id)["tokens"] == tokens


def test_markup_in_data_is_shown_as_text(project: Path) -> None:
    rows = project.parent / "rows.csv"
    first, second, *others = rows.read_text().split("\n")
    name, _, colour = second.split(",")
    rows.write_text(
        "\n".join([first, f'{name},"[bold]not bold[/bold] :smile: [/x] {{{{ env.HOME }}}}",{colour}', *others])
    )
    assert "[bold]not bold[/bold] :smile: [/x] {{ env.HOME }}\n" in render(project, "--row", name)


def test_slots_that_are_not_named_are_the_baselines(project: Path) -> None:
    prepared = read(project)
    assert rendered(project)["slots"] == prepared.baseline.slots
    asked = rendered(project, "--variant", "bank.k=2,task=expert")
    assert asked["slots"] | {"bank.k": 0, "task": "plain"} == asked["slots"] | dict(prepared.baseline.slots)
    assert [each["role"] for each in asked["body"]["messages"]] == ["system", *("user", "assistant") * 2, "user"]


def test_settings_may_be_overridden(project: Path) -> None:
    assert rendered(project, "--set", "params.max_tokens=99")["body"]["max_tokens"] == 99


@pytest.mark.parametrize("args", [("--row", "m999"), ("--variant", "tsk=plain"), ("--variant", "task=plan")])
def test_what_is_not_there_is_told_with_the_nearest_name(args: tuple[str, str], project: Path) -> None:
    said = render(project, *args, code=2)
    assert "Did you mean" in said or "Rows: 1 to 60" in said
    assert "Traceback" not in said


def test_the_passages_of_product_qa_are_shown_with_their_titles(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "templates", tmp_path / "templates")
    shutil.copytree(
        SAMPLES / "experiments" / "product_qa",
        tmp_path / "experiments" / "product_qa",
        ignore=shutil.ignore_patterns("runs"),
    )
    folder = tmp_path / "experiments" / "product_qa"
    question = json.loads((folder / "questions.jsonl").read_text("utf-8").splitlines()[0])
    pages = {each["id"]: each for each in map(json.loads, (folder / "corpus.jsonl").read_text("utf-8").splitlines())}
    wanted = "template=qa/grounded,retrieval.retriever=oracle"
    body = rendered(folder / "experiment.yaml", "--row", question["id"], "--variant", wanted)["body"]
    passages, blank, asked = body["messages"][-1]["content"].rpartition("\n\n")
    assert (blank, asked) == ("\n\n", f"Question: {question['question']}")
    shown = {f"{pages[each]['title']}: {pages[each]['text']}" for each in question["gold"]}
    lines = passages.split("\n")
    assert {line.partition("] ")[2] for line in lines} == shown
    assert [line.partition("] ")[0] for line in lines] == [f"[{n}" for n in range(1, len(shown) + 1)]


def hostile(project: Path) -> Path:
    """The small project with a row whose id and text would steer a terminal, and whose id is broken rich markup."""
    rows = project.parent / "rows.csv"
    first, second, *others = rows.read_text().split("\n")
    _, message, colour = second.split(",")
    steering = f'"[/x]\x1b]0;id\x07","\x1b[31m\x1b[2J\x9b1mé👍\t\u202e {message}",{colour}'
    rows.write_text("\n".join([first, steering, *others]))
    return project


def test_data_cannot_steer_the_terminal(project: Path) -> None:
    """On a terminal control and format characters are shown as escapes; on a pipe the bytes are exact."""
    path = hostile(project)
    main, slave = os.openpty()
    command = [sys.executable, "-c", "from promptlab.cli import main; main()", "render", str(path), "--row", "1"]
    with subprocess.Popen(
        command, stdout=slave, stderr=slave, cwd=SAMPLES, env=os.environ | {"TERM": "dumb", "NO_COLOR": "1"}
    ) as process:
        os.close(slave)
        chunks = []
        while True:
            try:
                chunks.append(os.read(main, 65536))
            except OSError:  # the other side is closed
                break
    os.close(main)
    shown = b"".join(chunks).decode()
    assert process.returncode == 0, shown
    assert "\\x1b[31m\\x1b[2J\\x9b1mé👍" in shown
    assert "\\u202e" in shown
    assert not {each for each in shown if not each.isprintable()} - set("\r\n\t ")
    assert "\x1b[31m\x1b[2J\x9b1mé👍\t\u202e" in render(path, "--row", "1")
