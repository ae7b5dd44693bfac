"""The trainers `openai`, `given` and `none` end to end: real servers, real kills, and what people are told."""

from __future__ import annotations

import base64
import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pandas as pd
import pytest
from fault_server import Reply, error, raw
from hypothesis import given
from hypothesis import strategies as st
from project import project
from tune_server import HASTY, TuneServer, tuning

from promptlab.embedded.server import Server
from promptlab.embedded.tuned import SHELF
from promptlab.errors import BadInput, EndpointUnusable, Interrupted
from promptlab.prepare import Prepared, opened
from promptlab.tokens import count_messages
from promptlab.tune.cost import TuneCost, estimate
from promptlab.tune.course import figures, losses
from promptlab.tune.jobs import Jobs
from promptlab.tune.memory import Memory
from promptlab.tune.plan import plan
from promptlab.tune.settings import TunePrice, TuneSettings
from promptlab.tune.tune import cancel, tune
from promptlab.tune.tuned import kept

SPLIT = {"train": 0.5, "dev": 0.25, "test": 0.25}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Waits in milliseconds; tuned models of the engine last as long as a test."""
    monkeypatch.setattr(Jobs.__init__, "__defaults__", HASTY)
    yield
    SHELF.clear()


@pytest.fixture
def server() -> Iterator[TuneServer]:
    with TuneServer() as made:
        yield made


def where(folder: Path, url: str | None = None, **changes: Any) -> Path:
    data = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id", "split": SPLIT}
    if url is not None:
        price = {"input": 1.0, "output": 2.0}
        settings = {"base_url": url, "max_retries": 3, "timeout": 5}
        changes |= {"endpoint": settings, "models": [{"id": "base", "price": price}]}
    return project(folder, 80, data=data, **changes)


def ready(folder: Path, url: str | None = None, **changes: Any) -> Prepared:
    return opened(where(folder, url, **changes))


def _tables(folder: Path) -> list[Path]:
    return list(folder.glob("runs/*/predictions.csv"))


OPENAI = TuneSettings("openai", sizes=(12,))


def test_on_the_embedded_engine_every_seed_and_size_becomes_a_model_and_is_not_trained_twice(tmp_path: Path) -> None:
    told: list[str] = []
    asked = ready(tmp_path)
    settings = TuneSettings("openai", seeds=(1, 2), sizes=(12, None))
    models = tune(asked, settings, tell=lambda name, line: told.append(line))
    whole = len(asked.rows.train)
    assert [each.model.name for each in models] == [f"tuned-small-s{s}-n{n}" for s in (1, 2) for n in (12, whole)]
    assert len({each.model.id for each in models}) == len({each.recipe for each in models}) == 4
    assert all(each.model.endpoint.embedded and each.train_tokens for each in models)
    assert any("training loss" in line for line in told)
    told.clear()
    SHELF.clear()  # as in a process of its own
    again = tune(asked, settings, tell=lambda name, line: told.append(line))
    assert [each.model for each in again] == [each.model for each in models]
    assert not any("training loss" in line for line in told), "what is there is taken up"
    assert [each["id"] for each in kept(tmp_path)] == [each.model.id for each in models]


def test_where_the_engine_has_lost_a_model_it_is_made_again(tmp_path: Path) -> None:
    asked = ready(tmp_path)
    (first,) = tune(asked, OPENAI)
    for each in (tmp_path / ".promptlab" / "tuned").glob("*"):
        each.unlink()
    SHELF.clear()
    (again,) = tune(asked, OPENAI)
    assert again.model.id == first.model.id
    assert SHELF.get(again.model.id) is not None


def test_a_file_that_went_with_the_engine_is_uploaded_again(tmp_path: Path) -> None:
    """Killed between upload and job: what was noted died with the process that served it."""
    asked = ready(tmp_path)
    Memory(plan(asked, OPENAI).jobs[0].folder / "job.json").note("file", "file-of-another-process")
    (made,) = tune(asked, OPENAI)
    assert made.model.id.startswith("ft:small:")


def test_a_tuned_model_is_one_more_model_of_the_experiment(tmp_path: Path) -> None:
    """The tuned id answers in a run, beside its base."""
    from promptlab.run import mine

    (made,) = tune(ready(tmp_path), TuneSettings("openai"))
    models = ["small", {"id": made.model.id, "name": "tuned"}]
    run = mine(opened(where(tmp_path, models=models)))
    best = run.results.groupby("model")["dev_score"].max()
    assert best["tuned"] >= best["small"]
    assert (run.results["error"] == 0).all()


def test_pairs_of_a_run_s_wrong_answers_are_trained_on_and_hold_no_row_but_training_rows(tmp_path: Path) -> None:
    from promptlab.run import mine

    asked = ready(tmp_path)
    mine(asked)
    (made,) = tune(asked, TuneSettings("openai", method="dpo"))
    lines = [json.loads(line) for line in (made.folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = {each.inputs["message"]: each.label for each in asked.rows.train}
    assert len(lines) >= 10
    for each in lines:
        right = texts[each["input"]["messages"][-1]["content"]]
        assert each["preferred_output"][0]["content"] == right != each["non_preferred_output"][0]["content"]
    (arm,) = (shutil.copytree(table.parent, table.parent.with_name("rarm")) for table in _tables(tmp_path))
    (arm / "arm.json").write_text("{}")
    (arm / "predictions.csv").write_text("a,b\n1,2\n", encoding="utf-8")  # newer, and an arm of a choice
    (again,) = tune(asked, TuneSettings("openai", method="dpo"))
    assert again.recipe == made.recipe, "a choice does not change what it is trained on"
    shutil.rmtree(arm)
    (table,) = _tables(tmp_path)
    cells = pd.read_csv(table)
    cells[(cells["label"] == "billing") & (cells["score"] == 0)].head(2).to_csv(table, index=False)
    with pytest.raises(BadInput, match=r"pairs of a right and a wrong answer; it takes 10"):
        tune(asked, TuneSettings("openai", method="dpo", sizes=(10,)))
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"predictions.csv: this is no table of predictions"):
        tune(asked, TuneSettings("openai", method="dpo"))


def test_an_external_job_needs_a_yes_and_nothing_is_sent_without(tmp_path: Path, server: TuneServer) -> None:
    with pytest.raises(BadInput, match=r"starts 1 job outside of promptlab. Say --yes"):
        tune(ready(tmp_path, server.url), OPENAI)
    assert server.seen == []


def test_too_few_rows_and_leaked_ones_stop_all_before_anything_is_sent(tmp_path: Path, server: TuneServer) -> None:
    """Every leaked row is named; a test row in other letters is the same row."""
    with pytest.raises(BadInput, match=r"asks for 9 rows, and the trainer takes 10 at least"):
        tune(ready(tmp_path, server.url), TuneSettings("openai", sizes=(9,)), yes=True)
    lines = (tmp_path / "data.jsonl").read_text(encoding="utf-8").splitlines()
    leaked = json.loads(lines[3]) | {"id": "again", "message": json.loads(lines[3])["message"].upper() + "!"}
    for name, part in (("train", lines[:20]), ("dev", lines[20:50]), ("test", [*lines[50:], json.dumps(leaked)])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(part) + "\n", encoding="utf-8")
    files = {name: f"{name}.jsonl" for name in ("train", "dev", "test")}
    data = {"path": files, "inputs": ["message"], "label": "topic", "id": "id"}
    with pytest.raises(BadInput) as caught:
        tune(
            opened(project(tmp_path, 80, data=data, endpoint={"base_url": server.url}, models=["base"])),
            OPENAI,
            yes=True,
        )
    assert "row 4 differs only in case, punctuation or numbers from the test row 31" in str(caught.value)
    assert (server.seen, caught.value.exit_code) == ([], 2)


def test_a_job_is_made_followed_and_priced(tmp_path: Path, server: TuneServer) -> None:
    told: list[str] = []
    settings = TuneSettings("openai", sizes=(12,), seeds=(5,), epochs=2, suffix="mine", price=TunePrice(train=3.0))
    (made,) = tune(ready(tmp_path, server.url), settings, yes=True, tell=lambda name, line: told.append(line))
    (body,) = server.bodies
    assert (body["model"], body["seed"], body["suffix"]) == ("base", 5, "mine")
    assert body["method"] == {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    assert set(body) >= {"training_file", "validation_file", "metadata"}
    assert len(server.files) == 2
    assert (made.model.id, made.train_tokens, made.seconds) == ("ft:base:ftjob-1", 1000, 4.0)
    assert made.usd == pytest.approx(3.0 * 1000 / 1e6)
    assert made.model.price is None, "the base's price is not the tuned model's"
    assert "step 1 [31m" in told, "an event is a printable line"


@pytest.mark.parametrize("tokens", [1, 11, 0, -5, True, "1000", None])
def test_a_count_of_tokens_that_cannot_be_is_not_believed(tmp_path: Path, server: TuneServer, tokens: Any) -> None:
    """Twelve rows have twelve tokens at least; without a count the cost is the one that was reckoned before."""
    server.tokens = tokens
    asked, settings = ready(tmp_path, server.url), TuneSettings("openai", sizes=(12,), price=TunePrice(train=3.0))
    (made,) = tune(asked, settings, yes=True)
    assert made.train_tokens is None
    assert made.usd == plan(asked, settings).jobs[0].cost.usd


def test_no_price_means_no_dollars(tmp_path: Path, server: TuneServer) -> None:
    (made,) = tune(ready(tmp_path, server.url), OPENAI, yes=True)
    assert made.usd is None


MARKS = [
    {"id": "c2", "step_number": 24, "fine_tuned_model_checkpoint": "ft:base:end", "metrics": {"train_loss": 0.5}},
    {"id": "c1", "step_number": 12, "fine_tuned_model_checkpoint": "ft:base:half",
     "metrics": {"train_loss": 0.9, "valid_loss": 1.5, "step": 12, "odd": "=1+1"}},
    {"id": "c0", "step_number": "x", "fine_tuned_model_checkpoint": 3},
    "nonsense",
]  # fmt: skip
RESULTS = b"step,train_loss,=cmd,valid_loss,train_accuracy\n12,0.9,=1+1,1.5,\n24,0.25,,,0.75\n"


@pytest.mark.parametrize("form", ["plain", "base64"])
def test_checkpoints_and_the_result_file_are_kept_beside_the_job(tmp_path: Path, server: TuneServer, form: str) -> None:
    """Steps, metrics and models; figures only, and the last losses in words. OpenAI's own file comes as base64."""
    told: list[str] = []
    server.marks = MARKS
    server.results["file-r"] = RESULTS if form == "plain" else base64.b64encode(RESULTS)
    asked = ready(tmp_path, server.url)
    (made,) = tune(asked, OPENAI, yes=True, tell=lambda name, line: told.append(line))
    assert json.loads((made.folder / "checkpoints.json").read_text(encoding="utf-8")) == [
        {"step": 12, "model": "ft:base:half", "metrics": {"train_loss": 0.9, "valid_loss": 1.5, "step": 12}},
        {"step": 24, "model": "ft:base:end", "metrics": {"train_loss": 0.5}},
    ]
    table = (made.folder / "results.csv").read_text(encoding="utf-8")
    assert table == "step,train_loss,valid_loss,train_accuracy\n12,0.9,1.5,\n24,0.25,,0.75\n"
    assert "in the end training loss 0.25, validation loss 1.5" in told
    assert (losses(made.folder), losses(tmp_path)) == ("training loss 0.25, validation loss 1.5", "")
    before = len(server.seen)
    tune(asked, OPENAI, yes=True)
    assert not any("/content" in each.path or "/checkpoints" in each.path for each in server.seen[before:])


CELLS = st.sampled_from(["1", "-0.5", "1e999", "nan", "=1+1", "", "\0", '"', "x", "step", "train_loss"])


@given(st.binary(max_size=60) | st.lists(st.lists(CELLS, max_size=4), max_size=5).map(
    lambda rows: "\n".join(["step,train_loss", *map(",".join, rows)]).encode()))  # fmt: skip
def test_whatever_a_result_file_holds_only_figures_are_taken(content: bytes) -> None:
    for form in (content, base64.b64encode(content)):
        rows = figures(form)
        assert all(math.isfinite(value) for row in rows for value in row.values())
        assert all(name.isidentifier() for row in rows for name in row)


@pytest.mark.parametrize("answer", [error(404), error(500), raw("<html>"), raw("[]"), raw('{"data": 3}')])
def test_an_endpoint_that_has_neither_says_nothing_and_nothing_fails(
    tmp_path: Path, server: TuneServer, answer: Reply
) -> None:
    told: list[str] = []
    server.always["checkpoints"] = server.always["content"] = answer
    server.results["file-r"] = RESULTS
    (made,) = tune(ready(tmp_path, server.url), OPENAI, yes=True, tell=lambda name, line: told.append(line))
    assert not [each for each in ("checkpoints.json", "results.csv") if (made.folder / each).exists()]
    assert not any("in the end" in line for line in told)
    assert sum("/checkpoints" in each.path for each in server.seen) == 1, "asked for once, not again and again"


def test_the_engine_tells_losses_of_both_files_and_its_checkpoints_answer(tmp_path: Path) -> None:
    told: list[str] = []
    (made,) = tune(ready(tmp_path), OPENAI, tell=lambda name, line: told.append(line))
    table = pd.read_csv(made.folder / "results.csv")
    assert list(table.columns) == ["step", "train_loss", "valid_loss"]
    assert list(table["step"]) == [12, 24, 36]
    assert table["train_loss"].is_monotonic_decreasing
    marks = json.loads((made.folder / "checkpoints.json").read_text(encoding="utf-8"))
    assert [each["step"] for each in marks] == [12, 24, 36]
    assert marks[-1]["model"] == made.model.id
    assert marks[-1]["metrics"]["valid_loss"] == pytest.approx(table["valid_loss"].iloc[-1], abs=1e-5)
    assert told[-2].startswith("in the end training loss 0.")
    assert all(SHELF.get(each["model"]) is not None for each in marks)


@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("step", ["upload", "create"])
def test_a_storm_ends_in_one_sentence_and_the_next_start_makes_one_job(
    tmp_path: Path, server: TuneServer, step: str, status: int
) -> None:
    server.always[step] = error(status, "too much of everything")
    asked = ready(tmp_path, server.url)
    with pytest.raises(EndpointUnusable, match=rf"brought nothing \(HTTP {status}: too much of everything\)") as caught:
        tune(asked, OPENAI, yes=True)
    assert str(caught.value).endswith("The same command goes on from here.")
    tried = sum(each.method == "POST" and "/jobs" in each.path for each in server.seen)
    assert (len(server.jobs), tried) == (0, 4 if step == "create" else 0), "three more tries, and an end"
    server.always.clear()
    tune(asked, OPENAI, yes=True)
    assert (len(server.jobs), len(server.files)) == (1, 2), "what was uploaded is not uploaded again"


@pytest.mark.parametrize("method", ["supervised", "dpo"])
def test_what_the_engine_answers_has_the_shapes_of_the_sdk(method: str) -> None:
    """Suffix, epochs left to the engine, a validation file, pairs; every field is read strictly."""
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
    from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint

    def lines(start: int, stop: int) -> bytes:
        return b"".join(json.dumps(taught(method, k)).encode() + b"\n" for k in range(start, stop))

    with Server() as server, openai.OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client:
        files = [
            client.files.create(file=("t.jsonl", lines(*span)), purpose="fine-tune").id for span in ((0, 30), (30, 34))
        ]
        job: Any = client.fine_tuning.jobs.create(
            model="small", training_file=files[0], validation_file=files[1], suffix="mine", seed=3,
            method={"type": method, method: {"hyperparameters": {"n_epochs": "auto"}}},  # type: ignore[arg-type,misc]
        )  # fmt: skip
        until(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "succeeded")
        raw_jobs = client.fine_tuning.jobs.with_raw_response
        shown = raw_jobs.retrieve(job.id).http_response.json()
        FineTuningJob.model_validate(shown, strict=True)
        assert (shown["validation_file"], shown["user_provided_suffix"]) == (files[1], "mine")
        assert shown["fine_tuned_model"].startswith("ft:small:promptlab:mine:")
        assert shown["method"][method]["hyperparameters"]["n_epochs"] == 3
        events = raw_jobs.list_events(job.id).http_response.json()["data"]
        for each in events:
            FineTuningJobEvent.model_validate(each, strict=True)
        marks = client.fine_tuning.jobs.checkpoints.with_raw_response.list(job.id).http_response.json()["data"]
        for each in marks:
            FineTuningJobCheckpoint.model_validate(each, strict=True)
        assert 0 < marks[0]["metrics"]["train_loss"] < marks[-1]["metrics"]["train_loss"]
        assert 0 < marks[0]["metrics"]["valid_loss"] < math.log(3)
        table = client.files.content(shown["result_files"][0]).text.splitlines()
        assert table[0] == "step,train_loss,valid_loss"
        assert len(table) == 4


def taught(method: str, k: int) -> dict[str, Any]:
    name = ("amber", "basalt", "cobalt")[k % 3]
    asked = [{"role": "user", "content": f"one of: amber, basalt, cobalt. {'abc'[k % 3]}{name[::-1]} number {k}"}]
    good = [{"role": "assistant", "content": name}]
    if method == "supervised":
        return {"messages": asked + good}
    other = [{"role": "assistant", "content": "amber" if name != "amber" else "cobalt"}]
    return {"input": {"messages": asked}, "preferred_output": good, "non_preferred_output": other}


def test_a_flawed_validation_file_fails_the_job_of_the_engine_and_is_named() -> None:
    with Server() as server, openai.OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client:
        good = b"".join(json.dumps(taught("supervised", k)).encode() + b"\n" for k in range(12))
        files = [client.files.create(file=("t.jsonl", each), purpose="fine-tune").id for each in (good, b"{torn")]
        job = client.fine_tuning.jobs.create(model="small", training_file=files[0], validation_file=files[1])
        until(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "failed")
        flaw = client.fine_tuning.jobs.retrieve(job.id).error
        assert flaw is not None
        assert flaw.param == "validation_file"


def test_the_cost_is_what_the_engine_counts_and_one_of_its_models_needs_no_about(tmp_path: Path) -> None:
    (made,) = tune(ready(tmp_path), OPENAI)
    rows = plan(ready(tmp_path), OPENAI).jobs[0].rows
    assert estimate(rows, 3, TunePrice(), "small", embedded=True) == TuneCost(made.train_tokens or 0, None, exact=True)
    unknown = estimate(rows, 3, TunePrice(), "some-model")
    assert not unknown.exact
    opened_reply = 3 * 3 * len(rows)
    assert unknown.train_tokens == 3 * sum(count_messages(row.messages)[0] for row in rows) - opened_reply


def test_hiccups_and_a_creation_of_unknown_end_make_one_job(tmp_path: Path, server: TuneServer) -> None:
    """503, then a connection that breaks once the job is made: it is found in the list, by its own name."""
    server.instead["upload"].append(error(503))
    server.instead["create"].append(error(500))
    server.instead["poll"].extend([error(502), Reply(how="reset")])
    server.lost = 1
    (made,) = tune(ready(tmp_path, server.url), OPENAI, yes=True)
    assert (made.model.id, len(server.jobs)) == ("ft:base:ftjob-1", 1)


def test_an_endpoint_that_keeps_no_metadata_has_its_job_found_by_its_file(tmp_path: Path, server: TuneServer) -> None:
    server.metadata, server.lost = False, 1
    tune(ready(tmp_path, server.url), OPENAI, yes=True)
    assert len(server.jobs) == 1


@pytest.mark.parametrize("word", ["metadata", "method"])
def test_what_an_endpoint_does_not_know_and_can_be_spared_is_left_out(
    tmp_path: Path, server: TuneServer, word: str
) -> None:
    server.instead["create"].append(error(400, f"Unknown parameter: '{word}'", param=word))
    tune(ready(tmp_path, server.url), OPENAI, yes=True)
    (body,) = server.bodies
    assert word not in body
    assert ("hyperparameters" in body) == (word == "method")


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("create", error(404, "Not Found")),
        ("upload", error(404, "Not Found")),
        ("create", error(403, "Fine-tuning is not available for your organization")),
        ("create", error(400, "model base is not available for fine-tuning")),
        ("create", raw("<html>hello</html>")),
        ("create", error(405, "Method Not Allowed")),
    ],
)
def test_an_endpoint_that_serves_no_jobs_says_so_and_what_to_do_instead(
    tmp_path: Path, server: TuneServer, step: str, reply: Reply
) -> None:
    server.always[step] = reply
    with pytest.raises(EndpointUnusable) as caught:
        tune(ready(tmp_path, server.url), OPENAI, yes=True)
    text = str(caught.value)
    for words in (server.url, "2027-01-06", "`tune.trainer: none`", "`tune.trainer: command`", "`tune.trainer: given`"):
        assert words in text
    assert caught.value.exit_code == 3


def test_a_wrong_key_is_told_as_a_wrong_key_and_never_shown(
    tmp_path: Path, server: TuneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_KEY", "sk-secret-and-long-123456")
    server.always["upload"] = error(401, "Incorrect API key provided: sk-secret-and-long-123456")
    settings = {"base_url": server.url, "api_key_env": "TUNE_KEY"}
    with pytest.raises(EndpointUnusable) as caught:
        tune(opened(project(tmp_path, 80, endpoint=settings, models=["base"],
             data={"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id", "split": SPLIT})),
             OPENAI, yes=True)  # fmt: skip
    assert "TUNE_KEY" in str(caught.value)
    assert "sk-secret" not in str(caught.value)
    assert server.seen[0].headers["Authorization"] == "Bearer sk-secret-and-long-123456"


def test_a_failed_job_says_why_and_the_next_start_makes_another(tmp_path: Path, server: TuneServer) -> None:
    server.final, server.error = "failed", {"code": "invalid", "message": "the file is odd", "param": "training_file"}
    asked = ready(tmp_path, server.url)
    with pytest.raises(EndpointUnusable, match=r"tuned-base-s1-n12: the job ftjob-1 failed: the file is odd"):
        tune(asked, OPENAI, yes=True)
    server.final = "succeeded"
    (made,) = tune(asked, OPENAI, yes=True)
    assert made.model.id == "ft:base:ftjob-2"


def test_of_several_jobs_those_that_succeed_are_kept(tmp_path: Path, server: TuneServer) -> None:
    asked, two = ready(tmp_path, server.url), TuneSettings("openai", sizes=(12,), seeds=(1, 2))
    tune(asked, OPENAI, yes=True)
    server.final = "failed"
    with pytest.raises(EndpointUnusable, match=r"nobody says why|does not say why.*1 job succeeded"):
        tune(asked, two, yes=True)
    assert len(server.jobs) == 2
    assert [each["seed"] for each in kept(tmp_path)] == [1]


def test_a_cancelled_job_is_told_and_cancel_cancels(tmp_path: Path, server: TuneServer) -> None:
    server.final = "cancelled"
    asked = ready(tmp_path, server.url)
    with pytest.raises(EndpointUnusable, match="the job ftjob-1 was cancelled"):
        tune(asked, OPENAI, yes=True)
    server.final, server.polls = "succeeded", 10_000
    settings = TuneSettings("openai", sizes=(12,), minutes=0.002)
    with pytest.raises(Interrupted):
        tune(asked, settings, yes=True)
    assert cancel(asked, OPENAI) == ("tuned-base-s1-n12: ftjob-2: cancelled",)
    assert server.jobs["ftjob-2"]["status"] == "cancelled"


def test_a_job_that_never_ends_is_left_alone_and_taken_up_again(tmp_path: Path, server: TuneServer) -> None:
    server.polls = 10_000
    asked = ready(tmp_path, server.url)
    with pytest.raises(Interrupted, match=r"is running after 0.002 minutes.*goes on waiting; --cancel") as caught:
        tune(asked, TuneSettings("openai", sizes=(12,), minutes=0.002), yes=True)
    assert caught.value.exit_code == 4
    server._left["ftjob-1"] = 1
    (made,) = tune(asked, OPENAI, yes=True)
    assert (made.model.id, len(server.jobs), len(server.files)) == ("ft:base:ftjob-1", 1, 2)


def test_a_model_that_vanished_is_told_with_the_nearest_and_not_trained_again_unasked(
    tmp_path: Path, server: TuneServer
) -> None:
    asked = ready(tmp_path, server.url)
    tune(asked, OPENAI, yes=True)
    server.listed = ["base", "ft:base:ftjob-7"]
    with pytest.raises(
        EndpointUnusable, match=r"'ft:base:ftjob-1' is not there any more. Did you mean 'ft:base:ftjob-7'"
    ):
        tune(asked, OPENAI, yes=True)
    assert len(server.jobs) == 1
    (made,) = tune(asked, OPENAI, yes=True, fresh=True)
    assert made.model.id == "ft:base:ftjob-2"


def test_a_job_that_the_endpoint_forgot_after_success_is_still_known_by_its_model(
    tmp_path: Path, server: TuneServer
) -> None:
    asked = ready(tmp_path, server.url)
    tune(asked, OPENAI, yes=True)
    server.jobs.clear()
    (made,) = tune(asked, OPENAI, yes=True)
    assert (made.model.id, made.train_tokens) == ("ft:base:ftjob-1", 1000)
    assert server.jobs == {}


def test_success_without_a_model_is_a_failure(tmp_path: Path, server: TuneServer) -> None:
    server.instead["poll"].append(raw(json.dumps({"id": "ftjob-1", "status": "succeeded", "fine_tuned_model": None})))
    with pytest.raises(EndpointUnusable, match="it has succeeded, and names no model"):
        tune(ready(tmp_path, server.url), OPENAI, yes=True)


def until(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("moment", ["made", "followed"])
def test_after_sigkill_the_same_job_is_taken_up(tmp_path: Path, server: TuneServer, moment: str) -> None:
    """Killed while it waits for the answer to the creation, or while the job goes on: never a second job."""
    server.polls = 10_000
    if moment == "made":
        server.always["list"] = raw("{}", 503)  # nothing can be looked up before the kill
        server.lost = 1
    experiment = where(tmp_path, server.url)
    with tuning(experiment, trainer="openai", sizes=(12,)):
        until(lambda: server.jobs and (moment == "made" or any("/events" in each.path for each in server.seen)))
    server.always.clear()
    server.polls, server._left["ftjob-1"] = 1, 1
    (made,) = tune(opened(experiment), OPENAI, yes=True)
    assert (made.model.id, len(server.jobs)) == ("ft:base:ftjob-1", 1)


def test_a_job_that_was_being_made_when_all_stopped_is_cancelled_too(tmp_path: Path, server: TuneServer) -> None:
    """Nobody heard its id: it is looked up, and --fresh makes no second one beside it."""
    server.polls, server.lost = 10_000, 1
    server.always["list"] = raw("{}", 503)
    experiment = where(tmp_path, server.url)
    with tuning(experiment, trainer="openai", sizes=(12,)):
        until(lambda: server.jobs)
    server.always.clear()
    assert cancel(opened(experiment), OPENAI) == ("tuned-base-s1-n12: ftjob-1: cancelled",)
    assert server.jobs["ftjob-1"]["status"] == "cancelled"


def test_a_training_that_fails_leaves_no_model_of_an_earlier_one(tmp_path: Path, server: TuneServer) -> None:
    asked = ready(tmp_path, server.url)
    tune(asked, OPENAI, yes=True)
    server.final = "failed"
    with pytest.raises(EndpointUnusable):
        tune(asked, OPENAI, yes=True, fresh=True)
    assert kept(tmp_path) == ()


def test_notes_that_are_damaged_are_moved_aside_and_the_job_is_made(tmp_path: Path, server: TuneServer) -> None:
    asked = ready(tmp_path, server.url)
    tune(asked, OPENAI, yes=True)
    (notes,) = tmp_path.glob("runs/tune/*/job.json")
    notes.write_text("{torn", encoding="utf-8")
    tune(asked, OPENAI, yes=True)
    assert notes.with_name("job.json.damaged").exists()
    assert len(server.jobs) == 2


def test_a_given_model_is_checked_and_taken(tmp_path: Path, server: TuneServer) -> None:
    asked = ready(tmp_path, server.url)
    server.listed = ["base", "ft:base:mine"]
    (made,) = tune(asked, TuneSettings("given", given="ft:base:mine"))
    assert (made.model.name, made.model.id, made.train_tokens) == ("tuned-base", "ft:base:mine", None)
    assert (server.jobs, made.rows, list(tmp_path.glob("runs/tune/*/*.jsonl"))) == ({}, 0, [])
    assert [(each["id"], each["rows"], each["usd"]) for each in kept(tmp_path)] == [("ft:base:mine", None, None)]
    with pytest.raises(BadInput, match=r"http\S+ has no model 'ft:base:mime'. Did you mean 'ft:base:mine'"):
        tune(asked, TuneSettings("given", given="ft:base:mime"))
    server.always["models"] = error(404, "no list here")
    assert tune(asked, TuneSettings("given", given="unlisted"))[0].model.id == "unlisted"


@pytest.mark.parametrize("kind", ["given", "offline"])
def test_the_base_itself_is_no_tuned_model(tmp_path: Path, server: TuneServer, kind: str) -> None:
    asked = ready(tmp_path, server.url if kind == "given" else None)
    base = "base" if kind == "given" else "small"
    with pytest.raises(BadInput, match=rf"`tune.given`: '{base}' is the base model itself"):
        tune(asked, TuneSettings("given", given=base))
    assert kept(tmp_path) == ()


def test_a_given_model_at_an_address_that_does_not_answer_is_not_taken(tmp_path: Path, server: TuneServer) -> None:
    asked = ready(tmp_path, "http://127.0.0.1:9/v1")
    with pytest.raises(EndpointUnusable, match=r"127.0.0.1:9/v1: nobody says whether 'ft:x' is there .*no connection"):
        tune(asked, TuneSettings("given", given="ft:x"))
    assert kept(tmp_path) == ()


def test_none_writes_the_files_asks_nobody_and_claims_no_success(tmp_path: Path, server: TuneServer) -> None:
    """Where every row is trained on, none is left for the validation file: it is there, empty, and that is told."""
    told: list[tuple[str, str]] = []
    asked = ready(tmp_path, server.url)
    assert tune(asked, TuneSettings("none", sizes=(12, None)), tell=lambda *said: told.append(said)) == ()
    assert len(list(tmp_path.glob("runs/tune/*/train.jsonl"))) == 2
    assert server.seen == []
    names = [name for name, _ in told]
    some, every = names[0], names[-1]
    assert [line for name, line in told if name == some] == ["written"]
    assert [line for name, line in told if name == every] == [
        "valid.jsonl is empty: no training row is left to look at while training",
        "written",
    ]
    sizes = {
        each.parent.name.rsplit("-", 1)[0]: each.stat().st_size for each in tmp_path.glob("runs/tune/*/valid.jsonl")
    }
    assert [bool(size) for _, size in sorted(sizes.items())] == [True, False]


def test_ones_own_trainer_is_named_by_module(tmp_path: Path) -> None:
    (tmp_path / "mine_trainer.py").write_text(
        "from promptlab.tune.given import Given\nclass Mine(Given):\n    pass\nclass Poor:\n"
        "    def __init__(self, place): pass\n",
        encoding="utf-8",
    )
    asked = ready(tmp_path)
    assert tune(asked, TuneSettings("mine_trainer:Mine", given="big"))[0].model.id == "big"
    with pytest.raises(BadInput, match=r"'mine_trainer:Poor' has no start, poll, cancel"):
        tune(asked, TuneSettings("mine_trainer:Poor"))
    with pytest.raises(BadInput, match=r"no such trainer. Did you mean 'openai'"):
        tune(asked, TuneSettings("openia"))


def test_the_server_of_a_run_and_of_a_tuning_share_their_models(tmp_path: Path) -> None:
    (made,) = tune(ready(tmp_path), OPENAI)
    with Server() as server, openai.OpenAI(base_url=server.base_url, api_key="x") as client:
        assert client.models.retrieve(made.model.id).id == made.model.id
