"""Endpoints that keep no list, echo the key, or answer nonsense: never a second paid job, a secret or a traceback."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from fault_server import Reply, error, raw
from project import project
from test_tune_jobs import OPENAI, SPLIT, ready
from tune_server import HASTY, TuneServer

from promptlab.endpoint import cards
from promptlab.endpoint.client import Answer
from promptlab.endpoint.hidden import Hidden, flaw
from promptlab.errors import EndpointUnusable, PromptlabError
from promptlab.prepare import Prepared, opened
from promptlab.records import Endpoint
from promptlab.tune.course import figures
from promptlab.tune.jobs import Jobs
from promptlab.tune.memory import Memory
from promptlab.tune.plan import plan
from promptlab.tune.settings import TunePrice, TuneSettings
from promptlab.tune.tune import cancel, tune
from promptlab.tune.tuned import kept

KEY = "k3y/with+odd=chars&99"
PRICED = TuneSettings("openai", sizes=(12,), price=TunePrice(train=3.0))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jobs.__init__, "__defaults__", HASTY)
    monkeypatch.setenv("TUNE_KEY", KEY)


@pytest.fixture
def server() -> Iterator[TuneServer]:
    with TuneServer() as made:
        yield made


def listing(*jobs: Any, **more: Any) -> Reply:
    return raw(json.dumps({"object": "list", "data": list(jobs), "has_more": False, **more}))


LOST = "nobody can tell whether it was made. None is made again, for both would be paid"
NO_LIST = [
    error(404, "no such route"),
    error(405, "Method Not Allowed"),
    error(403, "not for you"),
    error(410, "gone"),
    raw("<html>hello</html>"),
    raw("[]"),
    raw('{"data": 3}'),
    listing({"id": "x", "status": "running"}),
    listing({"id": "x", "status": "running", "metadata": "a string"}),
    listing({"id": "x", "training_file": "file-0"}, has_more=True),
]


@pytest.mark.parametrize("reply", NO_LIST, ids=range(len(NO_LIST)))
def test_where_no_list_says_whether_a_lost_creation_made_a_job_none_is_made_again(
    tmp_path: Path, server: TuneServer, reply: Reply
) -> None:
    server.lost, server.always["list"] = 1, reply
    asked = ready(tmp_path, server.url)
    for _ in range(2):
        with pytest.raises(EndpointUnusable, match=LOST) as caught:
            tune(asked, OPENAI, yes=True)
        assert caught.value.exit_code == 3
    assert (len(server.jobs), "`tune.trainer: given`" in str(caught.value)) == (1, True)
    (said,) = cancel(asked, OPENAI)
    assert LOST in said
    notes = plan(asked, OPENAI).jobs[0].folder / "job.json"
    assert f"remove {notes}: then the same command makes it" in str(caught.value)
    notes.unlink()  # which makes this job alone anew: --fresh would train the others again
    (made,) = tune(asked, OPENAI, yes=True)
    assert (made.model.id, len(server.jobs)) == ("ft:base:ftjob-2", 2)


@pytest.mark.parametrize("reply", [error(504, "late"), error(408, "late"), raw("<html>"), raw('{"status": "queued"}')])
def test_an_answer_that_may_stand_for_a_job_is_no_leave_to_make_another(
    tmp_path: Path, server: TuneServer, reply: Reply
) -> None:
    server.always["list"] = error(404, "no such route")
    server.instead["create"].append(reply)
    with pytest.raises(EndpointUnusable, match=LOST):
        tune(ready(tmp_path, server.url), OPENAI, yes=True)
    assert sum(each.method == "POST" and each.path.endswith("/jobs") for each in server.seen) == 1


def test_killed_before_the_answer_came_and_no_list_is_kept(tmp_path: Path, server: TuneServer) -> None:
    server.always["list"] = error(404, "no such route")
    asked = ready(tmp_path, server.url)
    notes = Memory(plan(asked, OPENAI).jobs[0].folder / "job.json")
    notes.note("making", "as it was called")
    with pytest.raises(EndpointUnusable, match=LOST):
        tune(asked, OPENAI, yes=True)
    assert server.jobs == {}


@pytest.mark.parametrize("first", [[], [error(429, "slowly")], [error(400, "Unknown parameter: 'metadata'")]])
def test_an_endpoint_without_a_list_that_answers_clearly_works(
    tmp_path: Path, server: TuneServer, first: list[Reply]
) -> None:
    """Also once it has turned a creation away: the next start need not ask whether that made a job."""
    server.always["list"] = error(404, "no such route")
    server.always["create"] = error(400, "the model base is not for training")
    asked = ready(tmp_path, server.url)
    with pytest.raises(EndpointUnusable, match="does not take the job"):
        tune(asked, OPENAI, yes=True)
    server.always.pop("create")
    server.instead["create"].extend(first)
    (made,) = tune(asked, OPENAI, yes=True)
    assert (made.model.id, len(server.jobs)) == ("ft:base:ftjob-1", 1)
    assert tune(asked, OPENAI, yes=True)[0].model.id == made.model.id


def test_a_list_that_lags_behind_is_looked_at_twice(tmp_path: Path, server: TuneServer) -> None:
    server.lost = 1
    server.instead["list"].append(listing())
    tune(ready(tmp_path, server.url), OPENAI, yes=True)
    assert len(server.jobs) == 1


def test_jobs_of_one_file_are_told_apart_by_their_seed(tmp_path: Path, server: TuneServer) -> None:
    """Some endpoints give the same content the same file, and keep no metadata."""
    server.metadata = False
    server.always["upload"] = raw(json.dumps({"id": "file-same"}))
    asked = ready(tmp_path, server.url)
    tune(asked, TuneSettings("openai", sizes=(12,), seeds=(1,)), yes=True)
    server.instead["create"].append(error(500))
    (made,) = tune(asked, TuneSettings("openai", sizes=(12,), seeds=(2,)), yes=True)
    assert (made.model.id, len(server.jobs)) == ("ft:base:ftjob-2", 2)


FORMS = {
    "plain": KEY,
    "percent": quote(KEY, safe=""),
    "small percent": quote(KEY, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
    "path": quote(KEY),
    "plus": quote_plus(KEY),
}


def keyed(folder: Path, url: str) -> Prepared:
    data = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id", "split": SPLIT}
    settings = {"base_url": url, "api_key_env": "TUNE_KEY", "max_retries": 1, "timeout": 5}
    return opened(project(folder, 80, data=data, endpoint=settings, models=["base"]))


def heard(asked: Prepared, settings: TuneSettings = OPENAI) -> str:
    """All that is told of a tuning and of its cancelling, and all that is in the project's folder afterwards."""
    told: list[str] = []

    def hear(name: str, line: str) -> None:
        told.append(f"{name}: {line}")

    try:
        told += [each.model.id for each in tune(asked, settings, yes=True, tell=hear)]
    except PromptlabError as failed:
        told.append(str(failed))
    told += cancel(asked, settings)
    files = [path.read_text(encoding="utf-8", errors="replace") for path in asked.experiment.folder.rglob("*.*")
             if path.is_file()]  # fmt: skip
    return "\n".join([*told, *files])


def echoing(server: TuneServer, word: str, spot: str) -> None:
    """Let the server echo a word somewhere."""
    if spot == "error":
        server.final, server.error = "failed", {"message": f"bad header Authorization: {word} {'x' * 240} {word}"}
    elif spot == "result file":
        server.results["r"] = base64.b64encode(f'step,"{word}",train_loss\n1,"{word}",0.5\n'.encode())
    elif spot == "checkpoint":
        server.marks = [{"step_number": 1, "fine_tuned_model_checkpoint": word, "metrics": {word: 1.0}}]
    elif spot == "events":
        server.always[spot] = listing({"id": "e", "message": f"got {word}"})
    elif spot == "status":
        server.always["cancel"] = raw(json.dumps({"id": "ftjob-1", "status": word}))
    elif spot == "model":
        server.always["poll"] = raw(json.dumps({"status": "succeeded", "fine_tuned_model": f"ft:{word}"}))
    elif spot == "id":
        server.always["create"] = raw(json.dumps({"id": word, "status": "queued"}))
    elif spot == "page":
        server.always["create"] = raw(f"<p>{'-' * 80} {word}")
    elif spot == "object":
        server.always["create"] = raw(json.dumps({"status": "-" * 70, "by": word}))
    elif spot == "header":
        server.always["poll"] = Reply(302, b"", {"Location": f"https://else.where/{quote(word, safe='%')}/x"})
    elif spot == "models":
        server.always["models"] = raw(json.dumps({"data": [{"id": f"ft:base:ftjob-{word}"}]}))
    else:
        server.always[spot] = error(400, f"bad Authorization {word}")


SPOTS = ["error", "result file", "checkpoint", "events", "status", "model", "id", "header", "models",
         "page", "object", "upload", "create", "poll", "cancel", "list"]  # fmt: skip


@pytest.mark.parametrize("spot", SPOTS)
def test_a_key_that_a_server_echoes_is_neither_told_nor_kept(tmp_path: Path, server: TuneServer, spot: str) -> None:
    """In messages, events, ids, headers and result files; as it is, and percent-encoded in whichever way."""
    server.lost = spot == "list"
    server.marks, server.results = [], {"r": b""}
    echoing(server, " ".join(FORMS.values()), spot)
    found = heard(keyed(tmp_path, server.url))
    assert [name for name, word in FORMS.items() if word[:9] in found] == []


def test_a_column_that_is_called_like_the_key_is_left_out(
    tmp_path: Path, server: TuneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_KEY", "sk3y_of_ours")
    table = b"step,sk3y_of_ours,train_loss\n1,0.5,12345678\n"
    server.results["r"] = table
    found = heard(keyed(tmp_path, server.url))
    assert "step,train_loss\n1,12345678" in found
    assert "sk3y_of_ours" not in found
    assert figures(base64.b64encode(table), Hidden("http://x", "12345678").without) == [
        {"step": 1, "sk3y_of_ours": 0.5}
    ]


def test_a_given_model_s_nearest_names_hold_no_key(tmp_path: Path, server: TuneServer) -> None:
    server.always["models"] = raw(json.dumps({"data": [{"id": f"ft:x:{KEY}"}]}))
    assert KEY not in heard(keyed(tmp_path, server.url), TuneSettings("given", given="ft:x:k3y"))


def test_what_is_said_of_models_in_a_choice_holds_no_key(server: TuneServer) -> None:
    server.always["models"] = raw(json.dumps({"data": [{"id": "base", "shutdown_date": KEY, "by": {KEY: [KEY]}}]}))
    said = cards.asked([Endpoint(server.url, api_key_env="TUNE_KEY")])
    assert list(said) == ["base"]
    assert KEY[:10] not in json.dumps(said)


def test_user_and_password_of_an_address_are_hidden_in_every_form_and_short_words_are_not_cut_out_of_ids() -> None:
    hidden = Hidden("https://bob:pw%2F4567890@host/v1?token=abcdefghijkl", "none")
    basic = base64.b64encode(b"bob:pw/4567890").decode()
    for form in ("pw%2F4567890", "pw/4567890", "pw%2f4567890", basic, quote(basic), "abcdefghijkl"):
        assert form not in hidden.told(f"got {form}, so")
        body = json.dumps({"a": [{form: form}]}).replace("/", "\\/")
        for text in (body, form, f"<p>{form}"):
            left = hidden.cleaned(Answer(200, {"location": form}, text.encode()))
            assert form not in f"{dict(left.headers)} {left.body.decode()}".replace("\\/", "/")
    answer = Answer(200, {}, b'{"id": "none-such", "model": "hf-internal-testing", "n": 1e400}')
    assert hidden.cleaned(answer) == answer
    assert flaw("https://host/v1?api-version=1") == ""
    assert flaw("https://bob:pw@host/v1") == flaw("https://host/v1?sig=abcdefghijkl")
    assert {flaw("http://[bad"), flaw("ftp://host")} == {"that is no address"}


def shown(**changes: Any) -> Reply:
    job = {"id": "ftjob-1", "status": "succeeded", "fine_tuned_model": "ft:x", "created_at": 1, "finished_at": 2}
    return raw(json.dumps(job | changes))


@pytest.mark.parametrize(
    ("step", "reply", "words"),
    [
        ("poll", shown(trained_tokens=10**310), ""),
        ("poll", shown(finished_at=10**400), ""),
        ("poll", shown(created_at=-1.7e308, finished_at=1.7e308), ""),
        ("checkpoints", raw('{"data": [{"fine_tuned_model_checkpoint": "x", "step_number": 1, "metrics": {"a": 1' +
                            "0" * 400 + "}}]}"), ""),
        ("checkpoints", raw('{"data": [{"fine_tuned_model_checkpoint": "x", "step_number": 1' + "0" * 400 + "}]}"), ""),
        ("poll", shown(fine_tuned_model="base"), r"it has succeeded, and names the base model itself \(base\)"),
        ("poll", shown(fine_tuned_model="ft:\n\x1b[31mx"), r"names a model that cannot be asked for: 'ft: \[31mx'"),
        ("poll", shown(fine_tuned_model="ft:\ud800"), "names a model that cannot be asked for"),
        ("poll", shown(fine_tuned_model="m" * 501), "names a model that cannot be asked for"),
        ("poll", shown(id="ftjob-999"), "asked for the job ftjob-1, the endpoint tells of ftjob-999. Nothing of that"),
        ("poll", shown(id=["x"]), r"asked for the job ftjob-1, the endpoint tells of \['x'\]"),
        ("poll", shown(id=None), ""),
        ("poll", raw("[" * 300 + "]" * 300), "does not take the job"),
    ],
)  # fmt: skip
def test_whatever_an_endpoint_tells_of_a_job_is_a_sentence_at_most(
    tmp_path: Path, server: TuneServer, step: str, reply: Reply, words: str
) -> None:
    server.always[step] = reply
    asked = ready(tmp_path, server.url)
    if words:
        with pytest.raises(EndpointUnusable, match=words):
            tune(asked, PRICED, yes=True)
        assert kept(tmp_path) == ()
    else:
        (made,) = tune(asked, PRICED, yes=True)
        assert (made.train_tokens, made.usd) in [
            (None, plan(asked, PRICED).jobs[0].cost.usd),
            (1000, pytest.approx(0.003)),
        ]
        json.loads(json.dumps(kept(tmp_path), allow_nan=False))
    assert len(server.jobs) == 1


def test_another_job_s_answer_is_not_taken_and_the_own_one_later_is(tmp_path: Path, server: TuneServer) -> None:
    asked = ready(tmp_path, server.url)
    server.instead["poll"].append(shown(id="ftjob-999"))
    with pytest.raises(EndpointUnusable, match="the same command asks again"):
        tune(asked, OPENAI, yes=True)
    (made,) = tune(asked, OPENAI, yes=True)
    assert (made.model.id, len(server.jobs)) == ("ft:base:ftjob-1", 1)
