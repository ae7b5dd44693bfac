"""What to tell the user when batches cannot go on: what happened, what is safe, and what to do."""

from __future__ import annotations

from dataclasses import replace

from promptlab.endpoint.batch.job import Job
from promptlab.endpoint.batch.jobs import BATCHES, FILES, Trouble
from promptlab.endpoint.fault import AGAIN, FATAL
from promptlab.endpoint.remedy import RESUME, Place, remedy

POOL = "Where an endpoint has no batches, use `endpoint.mode: pool`."


def refused(trouble: Trouble, place: Place) -> str:
    """The message of a step that cannot be done."""
    fault = trouble.fault
    if trouble.route in (FILES, BATCHES) and fault.kind in ("path", "model", "alien", "invalid"):
        return f"{remedy(replace(fault, kind='path'), place)} {POOL}"
    if fault.kind in FATAL:
        return remedy(fault, place)
    if fault.kind in AGAIN:
        tries = f"{trouble.tries} tries" if trouble.tries > 1 else "one try"
        return (
            f"{place.url}: {trouble.route} brought nothing in {tries} ({fault.text}). What was sent goes on. {RESUME}"
        )
    what = POOL if trouble.route in (FILES, BATCHES) else f"Nothing of it was answered. {RESUME}"
    return f"{place.url}: the endpoint refuses the batch, at {trouble.route} ({fault.text}). {what}"


def unmatched(url: str, job: Job) -> str:
    """The message of a batch that is complete and answers nothing."""
    return (
        f"{url}: the batch {job.id} is complete, but its output names none of its requests by their custom_id. "
        "They are not sent again, for that would be paid again. Use `endpoint.mode: pool`."
    )


def stopped(url: str, batches: int, requests: int) -> str:
    """The message of a run that ends before its batches do."""
    some = "1 batch goes" if batches == 1 else f"{batches} batches go"
    return f"{url}: {some} on there, with {requests} requests. The same command takes the answers; none is sent again."
