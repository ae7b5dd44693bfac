"""What a fault in a batch means for its row: one more batch, the end of the row, or the end of the run. Pure."""

from __future__ import annotations

from promptlab.endpoint.batch.job import Job
from promptlab.endpoint.batch.notes import Chunk, Row
from promptlab.endpoint.fault import AGAIN, FATAL, Fault, of_status

GARBAGE_TRIES = 3
"""Batches that a row may be in while what comes back is no completion."""
CROWDED = ("token_limit_exceeded", "too_large", "request_limit_exceeded")
"""Codes of an endpoint that takes no more at once."""


def judged(row: Row, fault: Fault, retries: int, *, foreign: bool) -> Fault:
    """The fault as it counts now: of a kind in AGAIN, in FATAL, or else the row's own end.

    ``foreign``: so far, nothing that this endpoint answered was a completion.
    """
    row.tries += 1
    row.garbage += fault.kind in ("alien", "invalid")
    if fault.kind == "alien" and foreign:
        return Fault("foreign", fault.text)
    if fault.kind == "patience":  # the next batch is later anyhow
        fault = Fault("limited", fault.text)
    if fault.kind in AGAIN and (row.tries > retries or row.garbage >= GARBAGE_TRIES):
        return Fault("failed", fault.text)
    return fault


def crowded(job: Job) -> bool:
    """Whether the batch failed because it was too much at once."""
    return any(code in said.code for _, said in job.errors for code in CROWDED)


def rejected(chunk: Chunk, job: Job) -> dict[str, Fault] | Fault:
    """The rows whose lines of the input file are wrong; or the fault of the whole file.

    The order of a resumed chunk's lines is not known any more: it is sent once more, to see which they are.
    """
    if chunk.resumed and any(number for number, _ in job.errors):
        return {}
    rows = {name: row for name in chunk.order if (row := chunk.rows.get(name))}
    sent = next(iter(chunk.rows.values())).request.body if chunk.rows else ()
    wrong: dict[str, Fault] = {}
    for number, said in job.errors:
        fault = of_status(400, said, 0.0, sent)
        if fault.kind in FATAL:
            return fault
        if 1 <= number <= len(chunk.order):
            wrong[chunk.order[number - 1]] = fault
        else:
            break
    else:
        if wrong and any(name not in wrong for name in rows):
            return wrong
    return Fault("failed", "; ".join(dict.fromkeys(said.text for _, said in job.errors)) or "it does not say why")
