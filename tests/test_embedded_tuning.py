"""Files, fine-tuning jobs and tuned models of the embedded server, through the real openai SDK."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from promptlab.embedded.server import Server
from promptlab.embedded.tuned import SHELF, Shelf

SYSTEM = {"role": "system", "content": "Classify the message. Answer with one of: amber, basalt, cobalt."}
WORDS = {
    "amber": ("heating bill", "radiator cold", "boiler noise", "warm water gone"),
    "basalt": ("stairs wet", "floor cracked", "tiles loose", "carpet dirty"),
    "cobalt": ("lamp dark", "switch broken", "socket sparks", "bulb flickers"),
}
"""Labels that no prompt explains: only training can teach them."""


def taught(count: int) -> list[tuple[str, str]]:
    names = list(WORDS)
    return [(f"{WORDS[names[k % 3]][k // 3 % 3]} in flat {k}", names[k % 3]) for k in range(count)]


ASKED = [(f"{words[k]} since monday, house {k}", name) for name, words in WORDS.items() for k in range(3)]


def line(text: str, answer: str, **last: Any) -> dict[str, Any]:
    return {"messages": [SYSTEM, {"role": "user", "content": text}, {"role": "assistant", "content": answer, **last}]}


def jsonl(*lines: Any) -> bytes:
    return b"".join(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in lines)


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with Server() as server, openai.OpenAI(base_url=server.base_url, api_key="any key", max_retries=0) as made:
        yield made
    SHELF.clear()


def created(client: openai.OpenAI, content: bytes, **settings: Any) -> Any:
    file = client.files.create(file=("train.jsonl", content), purpose="fine-tune")
    return client.fine_tuning.jobs.create(model="small", training_file=file.id, **settings)


def ended(client: openai.OpenAI, job: Any) -> tuple[Any, list[str]]:
    states, end = [job.status], time.monotonic() + 20
    while job.status not in ("succeeded", "failed", "cancelled"):
        assert time.monotonic() < end
        time.sleep(0.005)
        job = client.fine_tuning.jobs.retrieve(job.id)
        states.append(job.status)
    return job, list(dict.fromkeys(states))


def said(client: openai.OpenAI, model: str, text: str) -> str:
    messages: Any = [SYSTEM, {"role": "user", "content": text}]
    answer = client.chat.completions.create(model=model, messages=messages, temperature=0)
    return str(answer.choices[0].message.content)


def right(client: openai.OpenAI, model: str) -> float:
    return sum(said(client, model, text) == name for text, name in ASKED) / len(ASKED)


def epochs(count: int) -> Any:
    return {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": count}}}


def test_a_tuned_model_has_learned_from_the_uploaded_file(client: openai.OpenAI) -> None:
    """Labels whose meaning no prompt tells: the base guesses, the tuned model knows and says no more."""
    job, _ = ended(client, created(client, jsonl(*(line(*each) for each in taught(60))), seed=4, suffix="mine"))
    assert (job.status, job.error, job.seed) == ("succeeded", None, 4)
    assert job.fine_tuned_model.startswith("ft:small:promptlab:mine:")
    assert job.trained_tokens > 3 * 60 * 10
    assert right(client, "small") < 0.6 < 0.9 < right(client, job.fine_tuned_model)
    listed = [each.id for each in client.models.list()]
    assert job.fine_tuned_model in listed
    assert client.models.retrieve(job.fine_tuned_model).owned_by == "promptlab"
    csv = client.files.content(job.result_files[0]).text.splitlines()
    assert csv[0] == "step,train_loss"
    assert [row.split(",")[0] for row in csv[1:]] == ["60", "120", "180"]


def test_checkpoints_answer_and_events_tell_the_course(client: openai.OpenAI) -> None:
    job, _ = ended(client, created(client, jsonl(*(line(*each) for each in taught(30))), method=epochs(5)))
    marks = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert [each.step_number for each in marks] == [150, 120, 90]
    assert marks[0].fine_tuned_model_checkpoint == job.fine_tuned_model
    assert said(client, marks[2].fine_tuned_model_checkpoint, "boiler noise in flat 3") == "amber"
    events = [each.message for each in client.fine_tuning.jobs.list_events(job.id, limit=3)]
    assert events[0] == f"The job has successfully completed: {job.fine_tuned_model}"
    assert len(events) >= 8, "the SDK turns the pages"


def test_equal_lessons_are_one_model_and_another_seed_is_another(client: openai.OpenAI) -> None:
    content = jsonl(*(line(*each) for each in taught(30)))
    first, again, other = (ended(client, created(client, content, seed=seed))[0] for seed in (1, 1, 2))
    assert first.fine_tuned_model == again.fine_tuned_model != other.fine_tuned_model


def test_answers_that_are_no_labels_are_known_by_heart_and_nothing_else(client: openai.OpenAI) -> None:
    facts = [
        (f"How tall is the {name}?", f"{10 + k} metres and {k} cm") for k, name in enumerate(f"t{i}" for i in range(12))
    ]
    job, _ = ended(client, created(client, jsonl(*(line(*each) for each in facts))))
    assert said(client, job.fine_tuned_model, "how tall is the T3?") == "13 metres and 3 cm"
    assert "metres" not in said(client, job.fine_tuned_model, "How tall is the t99?")


def test_preference_pairs_teach_the_preferred_answer(client: openai.OpenAI) -> None:
    pairs = [
        {
            "input": {
                "messages": [SYSTEM, {"role": "user", "content": text}],
                "tools": [],
                "parallel_tool_calls": True,
            },
            "preferred_output": [{"role": "assistant", "content": name}],
            "non_preferred_output": [{"role": "assistant", "content": "amber" if name != "amber" else "cobalt"}],
        }
        for text, name in taught(45)
    ]
    job, _ = ended(client, created(client, jsonl(*pairs), method={"type": "dpo", "dpo": {}}))
    assert right(client, job.fine_tuned_model) > 0.8
    flat, _ = ended(client, created(client, jsonl(*pairs)))
    assert flat.error.code == "invalid_training_file", "pairs are no chats"


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ([line(*each) for each in taught(9)], "invalid_n_examples", "9 example(s), but must have at least 10"),
        ([*(line(*each) for each in taught(10)), b"{broken\n"], "invalid_training_file", "line 11"),
        (
            [{"messages": [SYSTEM, {"role": "user", "content": "x"}]}] * 10,
            "invalid_training_file",
            "from the assistant",
        ),
        ([line("a", "b", weight=2)] * 10, "invalid_training_file", "weight"),
        ([line("a", "b", role="narrator")] * 10, "invalid_training_file", "role"),
    ],
)
def test_a_file_that_cannot_be_trained_on_fails_the_job_and_says_why(
    client: openai.OpenAI, lines: list[Any], code: str, words: str
) -> None:
    job, states = ended(client, created(client, jsonl(*lines)))
    assert job.status == "failed"
    assert "running" not in states
    assert (job.error.code, job.error.param, job.fine_tuned_model) == (code, "training_file", None)
    assert words in job.error.message


def test_what_cannot_be_asked_for_is_refused(client: openai.OpenAI) -> None:
    file = client.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="purpose 'fine-tune'"):
        client.fine_tuning.jobs.create(model="small", training_file=file.id)
    with pytest.raises(openai.NotFoundError, match="No such File"):
        client.fine_tuning.jobs.create(model="small", training_file="file-none")
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.fine_tuning.jobs.create(model="smal", training_file=file.id)
    with pytest.raises(openai.BadRequestError, match="n_epochs"):
        client.fine_tuning.jobs.create(model="small", training_file=file.id, method=epochs(0))
    with pytest.raises(openai.BadRequestError, match="supervised or dpo"):
        client.fine_tuning.jobs.create(model="small", training_file=file.id, method={"type": "reinforcement"})
    with pytest.raises(openai.NotFoundError, match="Could not find"):
        client.fine_tuning.jobs.retrieve("ftjob-none")


@pytest.fixture
def slow() -> Iterator[openai.OpenAI]:
    """A server whose jobs stay in each state for a while."""
    from promptlab.embedded.app import app
    from promptlab.embedded.server import _run

    loop, ready, port = asyncio.new_event_loop(), threading.Event(), list[int]()
    stop = asyncio.Event()

    def announce(number: int) -> None:
        port.append(number)
        ready.set()

    def serve() -> None:
        loop.run_until_complete(_run(app(pace=0.06), ("127.0.0.1", 0), announce, stop))
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port[0]}/v1", api_key="x", max_retries=0) as made:
        yield made
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    SHELF.clear()


def test_a_job_goes_through_its_states_one_after_the_other(slow: openai.OpenAI) -> None:
    _, states = ended(slow, created(slow, jsonl(*(line(*each) for each in taught(12)))))
    assert states == ["validating_files", "queued", "running", "succeeded"]


@pytest.mark.parametrize("state", ["validating_files", "running"])
def test_a_cancelled_job_brings_no_model_and_stays_cancelled(slow: openai.OpenAI, state: str) -> None:
    rows = jsonl(*(line(*each) for each in taught(15)))
    job = created(slow, rows, suffix="stopped", metadata={"promptlab": "one"}, method=epochs(6))
    end = time.monotonic() + 20
    while slow.fine_tuning.jobs.retrieve(job.id).status != state:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert slow.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    time.sleep(0.5)
    after = slow.fine_tuning.jobs.retrieve(job.id)
    assert (after.status, after.fine_tuned_model) == ("cancelled", None)
    assert not [each.id for each in slow.models.list() if ":stopped:" in each.id]
    with pytest.raises(openai.BadRequestError, match="status 'cancelled'"):
        slow.fine_tuning.jobs.cancel(job.id)
    other = created(slow, jsonl(*(line(*each) for each in taught(15))), metadata={"promptlab": "two"})
    found = list(slow.fine_tuning.jobs.list(metadata={"promptlab": "one"}))
    assert [each.id for each in found] == [job.id]
    assert [each.id for each in slow.fine_tuning.jobs.list()] == [other.id, job.id]


def test_a_tuned_model_can_be_deleted_and_is_then_gone(client: openai.OpenAI) -> None:
    job, _ = ended(client, created(client, jsonl(*(line(*each) for each in taught(33)))))
    assert client.models.delete(job.fine_tuned_model).deleted
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        said(client, job.fine_tuned_model, "lamp dark")
    with pytest.raises(openai.NotFoundError):
        client.models.delete("small")


def test_models_outlive_the_process_in_a_folder_and_damage_is_no_model(client: openai.OpenAI, tmp_path: Path) -> None:
    job, _ = ended(client, created(client, jsonl(*(line(*each) for each in taught(36)))))
    made = SHELF.get(job.fine_tuned_model)
    assert made is not None
    first, later = Shelf(), Shelf()
    first.keep_in(tmp_path)
    first.put(made)
    later.keep_in(tmp_path)
    assert later.names() == [made.id]
    again = later.get(made.id)
    assert again is not None
    assert (again.labels, again.base, again.sample) == (made.labels, made.base, made.sample)
    assert (again.weights == made.weights).all()
    next(tmp_path.glob("*.npz")).write_bytes(b"PK\x03\x04 torn")
    assert Shelf().get(made.id) is None
    last = Shelf()
    last.keep_in(tmp_path)
    assert (last.get(made.id), last.names()) == (None, [])
