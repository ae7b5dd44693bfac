"""The trainer `command`: a program of the user's own, as a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_tune_jobs import ready, until, where
from tune_server import HASTY, TuneServer, tuning

from promptlab.errors import BadInput, EndpointUnusable
from promptlab.prepare import opened
from promptlab.tune.command import Command
from promptlab.tune.placeholders import words
from promptlab.tune.process import alive, begun, claimed, mark
from promptlab.tune.settings import TunePrice, TuneSettings
from promptlab.tune.tune import cancel, tune
from promptlab.tune.tuned import table

SCRIPT = """
import json, os, pathlib, sys, time
train, valid, seed, out, base = sys.argv[1:6]
rows = pathlib.Path(train).read_text().splitlines()
print("rows", len(rows), "seed", seed, "base", base, "cwd", os.path.basename(os.getcwd()), flush=True)
pathlib.Path("starts").open("a").write("x")
end = time.time() + 60
while not os.path.exists("go") and time.time() < end:
    time.sleep(0.02)
"""
BY_FILE = "json.dump({'model': f'mine-{seed}', 'base_url': 'URL', 'train_tokens': 7}, open(out, 'w'))\n"
BY_LINE = "print(json.dumps({'model': 'big'}))\n"  # the engine has it
SERVER = TuneServer()


@pytest.fixture(scope="module", autouse=True)
def _serving() -> Iterator[None]:
    """Somebody serves what the command has trained."""
    with SERVER:
        SERVER.listed = ["mine-3"]
        yield


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Command.__init__, "__defaults__", (0.02, HASTY[0]))


def settings(folder: Path, end: str, go: bool = True, **changes: Any) -> TuneSettings:
    folder.mkdir(exist_ok=True)
    (folder / "my train.py").write_text(SCRIPT + end.replace("URL", SERVER.url), encoding="utf-8")
    if go:
        (folder / "go").touch()
    command = f'"{sys.executable}" "my train.py" {{train}} {{valid}} {{seed}} {{out}} {{base}}'
    return TuneSettings("command", **{"sizes": (12,), "seeds": (3,), "command": command, **changes})


def starts(folder: Path) -> int:
    path = folder / "starts"
    return len(path.read_text(encoding="utf-8")) if path.exists() else 0


def test_the_command_gets_its_files_and_gives_back_a_model_and_an_address(tmp_path: Path) -> None:
    """In a folder with a space in its name: every placeholder is one argument."""
    folder, told = tmp_path / "a b", list[str]()
    asked = ready(folder)
    (made,) = tune(asked, settings(folder, BY_FILE), yes=True, tell=lambda name, line: told.append(line))
    assert (made.model.id, made.model.endpoint.base_url) == ("mine-3", SERVER.url)
    assert (made.train_tokens, made.model.price) == (7, None)
    assert "rows 12 seed 3 base small cwd a b" in told
    tune(asked, settings(folder, BY_FILE), yes=True)
    assert starts(folder) == 1, "what is done is not done again"


def test_the_last_line_may_say_it_too(tmp_path: Path) -> None:
    asked = ready(tmp_path)
    (made,) = tune(asked, settings(tmp_path, BY_LINE), yes=True)
    assert (made.model.id, made.model.endpoint.embedded) == ("big", True)


def test_it_is_never_started_without_a_yes(tmp_path: Path) -> None:
    asked = ready(tmp_path)
    with pytest.raises(BadInput, match="--yes"):
        tune(asked, settings(tmp_path, BY_LINE))
    assert starts(tmp_path) == 0


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("print('out of memory', file=sys.stderr); sys.exit(7)", r"exit code 7; its last words: out of memory"),
        ("print('done')", r"the last line is no JSON: 'done'.*\{out\}, or as its last line"),
        ("print(json.dumps({'id': 'x'}))", r"names no model"),
        ("print(json.dumps([1]))", r"names no model"),
        ("print(json.dumps({'model': 'x', 'base_url': 'here'}))", r"base_url that is no address: 'here'"),
        ("print(json.dumps({'model': 'x', 'base_url': 'http://[bad'}))", r"base_url that is no address"),
        ("print(json.dumps({'model': 'x\\n\\ud800'}))", r"names no model"),
        ("open(out, 'w').write('{torn')", r"the file result.json is no JSON"),
        (BY_FILE + "sys.exit(3)", r"exit code 3"),
        ("os.kill(os.getpid(), 9)", r"was killed by signal 9 \(Killed\)"),
    ],
)
def test_a_command_that_fails_says_how_and_the_next_start_is_a_new_one(tmp_path: Path, end: str, words: str) -> None:
    asked = ready(tmp_path)
    with pytest.raises(EndpointUnusable, match=words) as caught:
        tune(asked, settings(tmp_path, end + "\n"), yes=True)
    said = str(caught.value)
    assert said.count("done") + said.count("out of memory") <= 1, "nothing is said twice"
    assert ".." not in said.replace("{...}", "").replace("...", "")
    (made,) = tune(asked, settings(tmp_path, BY_FILE), yes=True)
    assert made.model.id == "mine-3"
    assert starts(tmp_path) == 2


NOWHERE = "json.dump({'model': 'mine-3', 'base_url': 'http://127.0.0.1:9/v1'}, open(out, 'w'))\n"


def test_a_model_that_nobody_serves_is_trained_once_and_taken_when_it_is_served(tmp_path: Path) -> None:
    """At an address that does not answer, and at one that has no such model; then it is there, though not listed."""
    asked = ready(tmp_path)
    with pytest.raises(
        EndpointUnusable,
        match=r"it is trained \(mine-3\), but nobody answers at http://127.0.0.1:9/v1 .*`tune.base_url`; then the same",
    ) as caught:
        tune(asked, settings(tmp_path, NOWHERE), yes=True)
    assert "failed" not in str(caught.value).replace("connection attempts failed", "")
    (result,) = tmp_path.glob("runs/tune/*/result.json")
    result.write_text(json.dumps({"model": "other", "base_url": SERVER.url}), encoding="utf-8")
    with pytest.raises(
        EndpointUnusable, match=r"it is trained \(other\), but http://\S+/v1 does not serve it \(HTTP 404"
    ):
        tune(asked, settings(tmp_path, NOWHERE), yes=True)
    SERVER.speaking = ["other"]
    (made,) = tune(asked, settings(tmp_path, NOWHERE), yes=True)
    assert (made.model.id, starts(tmp_path)) == ("other", 1)


def test_a_model_whose_folder_is_gone_is_told(tmp_path: Path) -> None:
    folder, asked = tmp_path / "weights", ready(tmp_path)
    end = f"print(json.dumps({{'model': {str(folder)!r}, 'base_url': 'URL'}}))\n"
    folder.mkdir()
    with pytest.raises(EndpointUnusable, match=r"does not serve it .*`vllm serve FOLDER`"):
        tune(asked, settings(tmp_path, end), yes=True)
    folder.rmdir()
    with pytest.raises(EndpointUnusable, match=r"There is no such folder here: if it is gone, --fresh trains anew"):
        tune(asked, settings(tmp_path, end), yes=True)
    assert starts(tmp_path) == 1


def test_the_base_given_back_is_no_tuned_model(tmp_path: Path) -> None:
    with pytest.raises(
        EndpointUnusable, match=r"what was given back is the base model itself \(small\); name the model"
    ):
        tune(ready(tmp_path), settings(tmp_path, "print(json.dumps({'model': base}))\n"), yes=True)


def test_tune_base_url_says_where_the_trained_model_is_served(tmp_path: Path) -> None:
    """What the command itself says goes first; without both, the offline engine says that it has no such model."""
    asked, end = ready(tmp_path), "print(json.dumps({'model': 'mine-3'}))\n"
    with pytest.raises(
        EndpointUnusable, match=r"it is trained \(mine-3\), but the offline engine does not have it\. Serve it there"
    ):
        tune(asked, settings(tmp_path, end), yes=True)
    (made,) = tune(asked, settings(tmp_path, end, base_url=SERVER.url), yes=True)
    assert (made.model.endpoint.base_url, starts(tmp_path)) == (SERVER.url, 1)
    (own,) = tune(asked, settings(tmp_path, BY_FILE, base_url="http://127.0.0.1:9/v1"), yes=True, fresh=True)
    assert own.model.endpoint.base_url == SERVER.url


def test_a_command_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(EndpointUnusable, match=r"longer than 0.01 minutes"):
        tune(ready(tmp_path), settings(tmp_path, "", go=False, minutes=0.01), yes=True)


def test_a_command_that_cannot_be_started_or_read_is_bad_input(tmp_path: Path) -> None:
    asked = ready(tmp_path)
    with pytest.raises(BadInput, match="cannot start 'no-such-program'"):
        tune(asked, TuneSettings("command", command="no-such-program {train}"), yes=True)
    for command, said in (
        ("train {trian}", r"no placeholder \{trian\}. Did you mean 'train'"),
        ("train 'x {train}", "No closing quotation"),
        ("train {out}", r"does not use \{train\}"),
        ("train {train", "cannot be read"),
    ):
        with pytest.raises(BadInput, match=said):
            tune(asked, TuneSettings("command", command=command), yes=True)


def test_no_shell_ever_sees_the_command() -> None:
    got = words("t {train}; rm -rf $HOME `x` {{y}}", {"train": "/a b/$(z)", **dict.fromkeys(("out", "valid"), "")})
    assert got == ["t", "/a b/$(z);", "rm", "-rf", "$HOME", "`x`", "{y}"]


@pytest.mark.parametrize("late", [False, True])
def test_after_sigkill_of_promptlab_the_program_goes_on_and_its_result_is_taken(tmp_path: Path, late: bool) -> None:
    """Taken up while it is still at work, or once it has ended: started once either way."""
    asked = settings(tmp_path, BY_FILE, go=False)
    experiment = where(tmp_path)
    with tuning(experiment, trainer="command", sizes=(12,), seeds=(3,), command=asked.command):
        until(lambda: starts(tmp_path) == 1 and list(tmp_path.glob("runs/tune/*/job.json")))
        until(lambda: "process" in json.loads(next(tmp_path.glob("runs/tune/*/job.json")).read_text()))
    child = json.loads(next(tmp_path.glob("runs/tune/*/job.json")).read_text())["process"][0]
    os.kill(child, 0)  # it lives
    told: list[str] = []
    if late:
        (tmp_path / "go").touch()
        until(lambda: list(tmp_path.glob("runs/tune/*/result.json")))
        time.sleep(0.2)

    def tell(name: str, line: str) -> None:
        told.append(line)
        (tmp_path / "go").touch()

    (made,) = tune(opened(experiment), asked, yes=True, tell=tell)
    assert (made.model.id, starts(tmp_path)) == ("mine-3", 1)
    assert (f"process {child} goes on" in told) != late


@pytest.mark.parametrize(("dies", "ends"), [("process", "first"), ("process", "later"), ("-starting", "first")])
def test_killed_around_the_start_of_the_program_it_is_started_once(tmp_path: Path, dies: str, ends: str) -> None:
    """After it was started and before that was noted; and before it was started at all."""
    asked, experiment = settings(tmp_path, BY_FILE, go=False), where(tmp_path)
    with tuning(experiment, dies, trainer="command", sizes=(12,), seeds=(3,), command=asked.command) as running:
        running.join(20)
        assert running.exitcode == -signal.SIGKILL
    if dies == "process":
        until(lambda: starts(tmp_path) == 1)
    assert "process" not in json.loads(next(tmp_path.glob("runs/tune/*/job.json")).read_text())
    told: list[str] = []
    if ends == "first":
        (tmp_path / "go").touch()
        until(lambda: dies != "process" or list(tmp_path.glob("runs/tune/*/result.json")))

    def tell(name: str, line: str) -> None:
        told.append(line)
        (tmp_path / "go").touch()

    (made,) = tune(opened(experiment), asked, yes=True, tell=tell)
    assert (made.model.id, starts(tmp_path)) == ("mine-3", 1)
    assert any("goes on" in line for line in told) == (ends == "later")
    assert not list(tmp_path.glob("runs/tune/*/.start-*")) or dies == "-starting"


def test_a_program_that_was_started_and_not_noted_can_be_cancelled(tmp_path: Path) -> None:
    asked, experiment = settings(tmp_path, "", go=False), where(tmp_path)
    with tuning(experiment, "process", trainer="command", sizes=(12,), seeds=(3,), command=asked.command) as running:
        running.join(20)
    until(lambda: starts(tmp_path) == 1)
    assert "was stopped" in cancel(opened(experiment), asked)[0]


def test_what_comes_too_late_to_claim_its_start_becomes_no_program(tmp_path: Path) -> None:
    """A second start has decided that nothing was started: then nothing is, however late the first one comes."""
    claim = tmp_path / ".start-x"
    assert claimed(claim) is None
    late = begun(["touch", "started"], tmp_path / "log", tmp_path, claim)
    assert late.wait(20) == 0
    assert not (tmp_path / "started").exists()
    first = begun(["sleep", "30"], tmp_path / "log", tmp_path, tmp_path / ".start-y")
    noted = claimed(tmp_path / ".start-y")
    assert noted == mark(first.pid)
    assert alive(noted)
    first.kill()
    first.wait(20)
    assert not alive(noted)


def test_the_program_is_started_as_it_stands(tmp_path: Path) -> None:
    """Its arguments, its folder, no open files but the usual, and the signals that any program of ours ignores."""
    code = (
        "import json, os, sys; files = os.listdir('/proc/self/fd'); "
        "print(json.dumps([sys.argv[1:], os.getcwd(), len(files), os.getpgid(0) == os.getpid()]))"
    )
    log, claim = tmp_path / "log", tmp_path / ".start-x"
    begun([sys.executable, "-S", "-c", code, "a b", "$x", ""], log, tmp_path, claim).wait(20)
    assert json.loads(log.read_text(encoding="utf-8")) == [["a b", "$x", ""], str(tmp_path), 4, True]
    asked = ["grep", "SigIgn", "/proc/self/status"]
    begun(asked, log, tmp_path, tmp_path / ".start-y").wait(20)
    assert log.read_text(encoding="utf-8") == subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def test_a_key_that_the_program_says_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_KEY", "sk3cret/with+odd")
    told: list[str] = []
    asked = ready(tmp_path, SERVER.url)
    path = tmp_path / "experiment.yaml"
    path.write_text(path.read_text().replace('"max_retries"', '"api_key_env": "TUNE_KEY", "max_retries"'))
    asked = opened(path)
    end = "print('key', os.environ['TUNE_KEY']); print('last', os.environ['TUNE_KEY']); sys.exit(3)\n"
    with pytest.raises(EndpointUnusable, match=r"its last words: last \[redacted\]") as caught:
        tune(asked, settings(tmp_path, end), yes=True, tell=lambda name, line: told.append(line))
    assert "key [redacted]" in told
    assert "sk3cret" not in f"{told} {caught.value}"


@pytest.mark.parametrize("url", ["http://bob:pw4567890@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?sig=pw4567890abcdef"])
def test_an_address_with_a_password_is_neither_told_nor_kept(tmp_path: Path, url: str) -> None:
    asked = ready(tmp_path)
    with pytest.raises(EndpointUnusable, match="with a user, a password or a key in it") as given_back:
        tune(asked, settings(tmp_path, BY_FILE.replace("URL", url)), yes=True)
    with pytest.raises(EndpointUnusable, match="with a user, a password or a key in it") as set_so:
        tune(asked, settings(tmp_path, "print(json.dumps({'model': 'mine-3'}))\n", base_url=url), yes=True)
    assert "pw4567890" not in f"{given_back.value} {set_so.value}"
    assert "pw4567890" not in table(tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize("tokens", ["10**310", "-5", "True"])
def test_a_count_of_tokens_that_cannot_be_is_not_taken(tmp_path: Path, tokens: str) -> None:
    end = BY_FILE.replace("7}", f"{tokens}}}")
    (made,) = tune(ready(tmp_path), settings(tmp_path, end, price=TunePrice(train=3.0)), yes=True)
    assert made.train_tokens is None


def test_ctrl_c_leaves_the_program_at_work_and_says_so(tmp_path: Path) -> None:
    asked = settings(tmp_path, BY_FILE, go=False)
    experiment = where(tmp_path)
    with tuning(experiment, trainer="command", sizes=(12,), seeds=(3,), command=asked.command) as running:
        said = tmp_path / "said.txt"
        until(lambda: said.exists() and "rows 12" in said.read_text(encoding="utf-8"))
        os.kill(running.pid or 0, signal.SIGINT)
        running.join(20)
    words = "stopped; what was started goes on. The same command takes it up, --cancel stops it."
    assert words in said.read_text(encoding="utf-8")
    (tmp_path / "go").touch()
    (made,) = tune(opened(experiment), asked, yes=True)
    assert (made.model.id, starts(tmp_path)) == ("mine-3", 1)


def test_fresh_stops_what_is_at_work_and_starts_anew(tmp_path: Path) -> None:
    asked = settings(tmp_path, BY_FILE, go=False)
    experiment = where(tmp_path)
    with tuning(experiment, trainer="command", sizes=(12,), seeds=(3,), command=asked.command):
        until(lambda: starts(tmp_path) == 1 and list(tmp_path.glob("runs/tune/*/job.json")))
        until(lambda: "process" in json.loads(next(tmp_path.glob("runs/tune/*/job.json")).read_text()))
    noted = json.loads(next(tmp_path.glob("runs/tune/*/job.json")).read_text())["process"]
    tune(opened(experiment), asked, yes=True, fresh=True, tell=lambda name, line: (tmp_path / "go").touch())
    assert starts(tmp_path) == 2
    assert not alive(noted)


def test_cancel_stops_the_program(tmp_path: Path) -> None:
    asked = settings(tmp_path, "", go=False)
    experiment = where(tmp_path)
    with tuning(experiment, trainer="command", sizes=(12,), seeds=(3,), command=asked.command):
        until(lambda: starts(tmp_path) == 1 and list(tmp_path.glob("runs/tune/*/job.json")))
        until(lambda: "process" in json.loads(next(tmp_path.glob("runs/tune/*/job.json")).read_text()))
    assert "was stopped" in cancel(opened(experiment), asked)[0]
