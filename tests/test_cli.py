"""The shape of the command line: help, version, exit codes, the question before spending, serve."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_server import FaultServer, ok
from project import project
from small_project import forked
from support_project import Project, command, told
from typer.testing import CliRunner

from promptlab.cli import app, main

HERE = str(Path(__file__).parents[1])
COMMANDS = (
    "init",
    "plan",
    "render",
    "mine",
    "compare",
    "report",
    "view",
    "score",
    "export",
    "replay",
    "serve",
    "doctor",
)
HEAVY = {"aiohttp", "asyncio", "filelock", "jinja2", "jsonschema", "numpy", "openai", "pandas"}
HEAVY |= {"pydantic", "ruamel", "scipy", "tiktoken"}
PROMPTLAB = [sys.executable, "-c", "from promptlab.cli import main; main()"]


def environ(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": HERE, "COLUMNS": "100", **more}


# --- help ---


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_a_working_example_on_a_line_of_its_own(name: str) -> None:
    """`Example:` stands alone; the line below is the whole command, never folded, and its options exist."""
    code, output = command(name, "--help")
    assert code == 0
    lines = [line.strip() for line in output.splitlines()]
    assert lines.count("Example:") == 1
    example = lines[lines.index("Example:") + 1]
    assert example.startswith(f"promptlab {name} ")
    assert lines[lines.index("Example:") + 2] == ""
    for option in re.findall(r"--[a-z-]+", example):
        assert re.search(rf"^\s+(-\w, )?{option}\b", output, re.MULTILINE), option


def test_the_list_of_commands_says_what_each_does_in_a_whole_sentence() -> None:
    code, output = command("--help")
    assert code == 0
    listed = dict(re.findall(r"^  ([a-z]+) {2,}(\S.*)$", output.partition("Commands:")[2], re.MULTILINE))
    assert set(listed) >= set(COMMANDS)
    assert [name for name, line in listed.items() if not line.endswith(".") or line.endswith("...")] == []


def test_no_arguments_show_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = command()
    assert code == 2
    assert output == command("--help")[1]


def test_version() -> None:
    from promptlab import __version__

    assert command("--version") == (0, f"promptlab {__version__}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mien", "p"], "No such command 'mien'. Did you mean 'mine'?"),
        (["mine", "p", "--lmit", "3"], "No such option: --lmit (Possible options: --limit)"),
        (["mine"], "Missing argument 'EXPERIMENT'."),
        (["mine", "p", "--limit", "1"], "Invalid value for '--limit': "),
        (["mine", "p", "--limit", "few"], "Invalid value for '--limit': "),
        (["serve", "--port", "99999"], "Invalid value for '--port': "),
    ],
)
def test_a_command_line_that_cannot_be_read_is_exit_2(words: list[str], sentence: str) -> None:
    code, output = command(*words)
    assert code == 2
    assert f"Error: {sentence}" in output
    assert f"Try 'promptlab{' ' + words[0] if words[0] != 'mien' else ''} --help' for help." in output


@pytest.mark.parametrize(
    ("words", "but"),
    [
        (["--help"], set()),
        (["--version"], {"pydantic"}),  # newer typers read the options of a command with it
        *((([name, "--help"]), {"pydantic"}) for name in ("mine", "serve", "score")),
    ],
)
def test_help_imports_nothing_heavy(words: list[str], but: set[str]) -> None:
    """In a process of its own: what it took is in sys.modules."""
    program = (
        "import sys\nfrom promptlab.cli import main\ntry:\n    main()\nfinally:\n"
        f"    sys.stderr.write(' '.join(m for m in {HEAVY - but!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], env=environ(), capture_output=True, text=True,
                          timeout=60, check=True)  # fmt: skip
    assert done.stderr == ""
    assert done.stdout


def test_json_is_all_of_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mine --json` and `plan --json`: progress and sentences go elsewhere."""
    monkeypatch.chdir(tmp_path)
    Project(tmp_path)
    for words in (["plan", "p", "--json"], ["mine", "p", "--json", "--no-test"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0
        assert isinstance(json.loads(result.stdout), dict)


# --- the question before spending ---


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.default = lambda _: ok("billing")
        yield running


def seated(terminal: str, folder: str, words: list[str]) -> None:
    """A command whose terminal this is, so that Ctrl-C is a signal."""
    os.setsid()
    for place in range(3):
        os.dup2(os.open(terminal, os.O_RDWR), place)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - the process's own
    os.environ.update(environ(TERM="dumb"))
    os.chdir(folder)
    sys.argv = ["promptlab", *words]
    main()


def at_terminal(folder: Path, *words: str, answer: bytes) -> tuple[int, str]:
    """Exit code of a process and what its terminal shows; ``answer`` is typed when the question comes."""
    master, slave = pty.openpty()
    process = forked(seated, os.ttyname(slave), str(folder), list(words))
    shown = b""
    asked = False
    try:
        while chunk := _read(master):
            if not shown:
                os.close(slave)  # the other side has it open by now
            shown += chunk
            if not asked and b"Go on?" in shown and shown.rstrip().endswith(b":"):
                asked = True
                os.write(master, answer)
            while asked and not select.select([master], [], [], 5)[0]:
                os.write(master, answer)  # a busy machine was not listening yet
        process.join(60)
        assert process.exitcode is not None
        return process.exitcode, shown.decode()
    finally:
        process.kill()
        process.join()
        os.close(master)


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # Linux: the other end is closed
        return b""


def test_no_spends_nothing(tmp_path: Path, server: FaultServer) -> None:
    """The plan is shown, the answer is no: exit 0, nobody asked, no run."""
    project = Project(tmp_path, f"{{base_url: {server.url}}}")
    code, shown = at_terminal(tmp_path, "mine", "p", answer=b"n\n")
    assert code == 0, shown
    assert "at most 24 calls" in shown
    assert "Nothing was spent." in shown
    assert server.seen == []
    assert not (project.folder / "runs").exists()


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_the_question_spends_nothing(key: bytes, tmp_path: Path, server: FaultServer) -> None:
    Project(tmp_path, f"{{base_url: {server.url}}}")
    code, shown = at_terminal(tmp_path, "mine", "p", answer=key)
    assert (code, server.seen) == (130, []), shown
    assert "Traceback" not in shown


@contextmanager
def terminal_here(*, stdin: bool = True) -> Iterator[tuple[int, list[bytes]]]:
    """Put this process at a terminal (standard input only if wanted); yields its other end and what it shows."""
    master, slave = pty.openpty()
    shown: list[bytes] = []
    reader = threading.Thread(target=lambda: shown.extend(iter(lambda: _read(master), b"")), daemon=True)
    reader.start()
    before = sys.stdin, sys.stdout, sys.stderr
    screen = os.fdopen(slave, "w", encoding="utf-8")
    with screen, os.fdopen(os.dup(slave), encoding="utf-8") as keys, Path(os.devnull).open() as nothing:
        sys.stdin, sys.stdout, sys.stderr = keys if stdin else nothing, screen, screen
        try:
            yield master, shown
        finally:
            sys.stdin, sys.stdout, sys.stderr = before
    reader.join(10)
    os.close(master)


def mine_here(*words: str, answer: bytes = b"", stdin: bool = True) -> tuple[int, str]:
    """Exit code of `mine p` in this process at a terminal, and what it showed; ``answer`` is typed ahead."""
    with terminal_here(stdin=stdin) as (master, shown):
        os.write(master, answer)
        with pytest.raises(SystemExit) as done:
            app(["mine", "p", *words], prog_name="promptlab")
    return int(done.value.code or 0), b"".join(shown).decode()


def test_yes_goes_on(tmp_path: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, f"{{base_url: {server.url}}}")
    code, shown = mine_here("--no-test", answer=b"y\n")
    assert code == 0, shown
    assert "Go on? [Y/n]:" in shown
    assert server.posts
    assert [*project.folder.glob("runs/*/results.csv")]
    assert not (project.folder / "results.csv").exists(), "a reduced run leaves the experiment's own table alone"


@pytest.mark.parametrize(
    ("endpoint", "words", "stdin"),
    [("SERVER", ["--yes"], True), ("SERVER", [], False), ("embedded", [], True)],
    ids=["--yes", "no terminal to answer at", "embedded"],
)
def test_nobody_is_asked_without_need(
    endpoint: str, words: list[str], stdin: bool, tmp_path: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, endpoint.replace("SERVER", f"{{base_url: {server.url}}}"))
    code, shown = mine_here("--no-test", "--limit", "2", *words, stdin=stdin)
    assert code == 0, shown
    assert "Go on?" not in shown
    assert [*project.folder.glob("runs/*/results.csv")]
    assert not (project.folder / "results.csv").exists(), "a reduced run leaves the experiment's own table alone"


# --- serve ---


@contextmanager
def serving() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen([*PROMPTLAB, "serve", "--port", "0"], env=environ(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert process.stdout
        yield process.stdout.readline(), process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_its_address_answers_the_sdk_and_stops_cleanly(number: signal.Signals) -> None:
    from openai import OpenAI

    with serving() as (line, process):
        found = re.fullmatch(r"base_url: (http://127\.0\.0\.1:\d+/v1)\n", line)
        assert found, line
        with OpenAI(base_url=found[1], api_key="any", max_retries=0) as client:
            assert client.models.list().data
            reply = client.chat.completions.create(model="small", messages=[{"role": "user", "content": "Say hello."}])
        assert reply.choices[0].message.content
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr
        assert "Traceback" not in process.stderr.read()


def test_a_port_in_use_is_exit_2_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = command("serve", "--port", str(port))
    assert code == 2
    (only,) = told(output)
    assert only.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert "address already in use" in only
    assert only.lower().endswith(". choose another port, or 0 for a free one")


def test_mine_says_what_changed_since_the_last_run(tmp_path: Path) -> None:
    path = project(tmp_path)
    first = CliRunner().invoke(app, ["mine", str(path), "--limit", "6"])
    assert "Changed since" not in first.output
    (path.parent / "t.j2").write_text((path.parent / "t.j2").read_text().replace("Please.", "Kindly."))
    second = CliRunner().invoke(app, ["mine", str(path), "--limit", "6"])
    assert re.search(r"run r\w+ is new\. Changed since r\w+, which is kept: t\.j2", second.output), second.output
