"""The trainers `openai`, `given` and `none` end to end: real servers, real kills, and what people are told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fault_server import Reply, error, raw
from project import project
from tune_server import HASTY, TuneServer, tuning

from promptlab.embedded.server import Server
from promptlab.embedded.tuned import SHELF
from promptlab.errors import BadInput, EndpointUnusable, Interrupted
from promptlab.prepare import Prepared, opened
from promptlab.tune.jobs import Jobs
from promptlab.tune.settings import TunePrice, TuneSettings
from promptlab.tune.tune import cancel, kept, tune

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
    (table,) = tmp_path.glob("runs/*/predictions.csv")
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


def test_no_price_means_no_dollars(tmp_path: Path, server: TuneServer) -> None:
    (made,) = tune(ready(tmp_path, server.url), OPENAI, yes=True)
    assert made.usd is None


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
    with pytest.raises(BadInput, match=r"no model 'ft:base:mime'. Did you mean 'ft:base:mine'"):
        tune(asked, TuneSettings("given", given="ft:base:mime"))
    server.always["models"] = error(404, "no list here")
    assert tune(asked, TuneSettings("given", given="unlisted"))[0].model.id == "unlisted"


def test_none_writes_the_files_and_asks_nobody(tmp_path: Path, server: TuneServer) -> None:
    assert tune(ready(tmp_path, server.url), TuneSettings("none", sizes=(12, None))) == ()
    assert len(list(tmp_path.glob("runs/tune/*/train.jsonl"))) == 2
    assert server.seen == []


def test_ones_own_trainer_is_named_by_module(tmp_path: Path) -> None:
    (tmp_path / "mine_trainer.py").write_text(
        "from promptlab.tune.given import Given\nclass Mine(Given):\n    pass\nclass Poor:\n"
        "    def __init__(self, place): pass\n",
        encoding="utf-8",
    )
    asked = ready(tmp_path)
    assert tune(asked, TuneSettings("mine_trainer:Mine", given="small"))[0].model.id == "small"
    with pytest.raises(BadInput, match=r"'mine_trainer:Poor' has no start, poll, cancel"):
        tune(asked, TuneSettings("mine_trainer:Poor"))
    with pytest.raises(BadInput, match=r"no such trainer. Did you mean 'openai'"):
        tune(asked, TuneSettings("openia"))


def test_the_server_of_a_run_and_of_a_tuning_share_their_models(tmp_path: Path) -> None:
    import openai

    (made,) = tune(ready(tmp_path), OPENAI)
    with Server() as server, openai.OpenAI(base_url=server.base_url, api_key="x") as client:
        assert client.models.retrieve(made.model.id).id == made.model.id
