"""What went wrong with an attempt, and therefore who suffers: the attempt, the row, or the whole run."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from promptlab.endpoint.client import Answer, TooLarge
from promptlab.endpoint.complaint import Complaint, line, read
from promptlab.endpoint.redact import shown
from promptlab.endpoint.retry import asked_wait
from promptlab.endpoint.wording import (
    FLAGGED,
    KEY,
    NO_MODEL,
    OVERFLOW,
    QUOTA_CODES,
    QUOTA_TEXT,
    RATE,
    REFUSED,
    THE_DATA,
    TOO_LARGE,
    UNSUPPORTED,
    UNSUPPORTED_CODES,
    mention,
)

Kind = Literal[
    "transient", "limited", "connect", "invalid", "alien",  # tried again
    "failed", "overflow", "refused",  # the row's own
    "key", "model", "path", "quota", "parameter", "redirect", "patience", "foreign", "unreachable",  # the run's
]  # fmt: skip
"""transient: server or network hiccup · limited: 429 · connect: nobody listens · invalid: an OpenAI answer without a
message · alien: no OpenAI answer at all · failed: for good · overflow: context length · refused: content filter ·
patience: asked to wait longer than we do · foreign: nothing but aliens · unreachable: never connected."""

AGAIN: frozenset[Kind] = frozenset({"transient", "limited", "connect", "invalid", "alien"})
FATAL: frozenset[Kind] = frozenset(
    {"key", "model", "path", "quota", "parameter", "redirect", "patience", "foreign", "unreachable"}
)
PATIENCE = 120.0
"""Seconds; a server that asks for more ends the run, resumable, with the time to come back."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed attempt. ``text`` holds status and the server's words, not yet redacted; ``wait`` is in seconds."""

    kind: Kind
    text: str
    wait: float = 0.0
    param: str = ""


def of_answer(answer: Answer, sent: Collection[str]) -> Fault:
    """The fault of an answer whose status is not 2xx; ``sent`` are the keys of the request's body."""
    complaint = read(answer.body)
    wait = asked_wait(answer.headers, answer.body[:20_000].decode("utf-8", "replace"))
    if 300 <= answer.status < 400:
        return Fault("redirect", f"HTTP {answer.status} to {line(shown(answer.headers.get('location', 'nowhere')))}")
    fault = of_status(answer.status, complaint, wait, sent)
    told = answer.headers.get("x-should-retry", "").lower()
    if told == "false" and fault.kind in AGAIN:
        return replace(fault, kind="failed")
    return replace(fault, kind="transient") if told == "true" and fault.kind == "failed" else fault


def of_status(status: int, said: Complaint, wait: float, sent: Collection[str]) -> Fault:
    """The fault of a status (0 = none was given) and the server's complaint."""
    kind, param = _kind(status, said, wait, sent), ""
    if kind == "parameter":
        param = _setting(said, sent) or said.param
    if kind in AGAIN and wait > PATIENCE:
        kind = "patience"
    head = f"HTTP {status}" if status else "an error in the answer"
    return Fault(kind, f"{head}: {said.text}" if said.text else head, wait, param)


def of_exception(error: BaseException, timeout: float) -> Fault:
    """The fault of an attempt that brought no answer; ``timeout`` in seconds is what it had."""
    import aiohttp

    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, aiohttp.ClientConnectorError):
            return Fault("connect", line(f"no connection: {each.os_error}"))
        if isinstance(each, aiohttp.ConnectionTimeoutError):
            return Fault("connect", line(f"no connection: {each}"))
        if isinstance(each, aiohttp.InvalidURL):
            return Fault("unreachable", "the address cannot be asked")
        if isinstance(each, TooLarge):
            return Fault("invalid", str(each))
    if isinstance(error, TimeoutError):
        return Fault("transient", f"no complete answer within {timeout:g} s")
    cause = chain[-1]
    return Fault("transient", line(f"the connection broke: {type(cause).__name__}: {cause}".rstrip(": ")))


def _kind(status: int, said: Complaint, wait: float, sent: Collection[str]) -> Kind:
    words = f"{said.code} {said.text}"
    if _quota(status, said, wait):
        return "quota"
    if status in (401, 403):
        return _kind_of_key(status, words)
    if status in (0, 400) and (KEY.search(said.code) or KEY.search(said.text)):
        return "key"
    if status in (402, 429) or (not status and RATE.search(words)):
        return "failed" if TOO_LARGE.search(said.text) else "limited"
    return _kind_of_prompt(status, words) or _kind_of_request(status, said, sent)


def _kind_of_key(status: int, words: str) -> Kind:
    """Turned away: most often for the key, but a 403 may be about the prompt, or about one model."""
    if status == 403 and FLAGGED.search(words):
        return "refused"
    return "model" if status == 403 and NO_MODEL.search(words) else "key"


def _kind_of_prompt(status: int, words: str) -> Kind | None:
    """Overflow may come as a 500 from small servers; a content filter never does."""
    if OVERFLOW.search(words):
        return "overflow"
    if status in (408, 409) or status >= 500:
        return "transient"
    return "refused" if REFUSED.search(words) else None


def _kind_of_request(status: int, said: Complaint, sent: Collection[str]) -> Kind:
    """The request itself is what the server objects to."""
    if said.param == "model":
        return "model"
    if status in (400, 422) and (_setting(said, sent) or any(code in said.code for code in UNSUPPORTED_CODES)):
        return "parameter"
    if NO_MODEL.search(f"{said.code} {said.text}"):
        return "model"
    if status in (404, 405):
        return "model" if re.search(r"(?i)\bmodel\b", said.text) else "path"
    return "failed" if status else "invalid"


def _quota(status: int, said: Complaint, wait: float) -> bool:
    if any(code in said.code for code in QUOTA_CODES):
        return True
    if status == 402:
        return not wait
    # Some servers word their rate limit per minute like an exhausted quota, but say when to come back.
    return not wait and status in (0, 403, 429) and bool(QUOTA_TEXT.search(said.text))


def _setting(said: Complaint, sent: Collection[str]) -> str:
    """The key of the body, other than the data itself, that the server objects to first; empty if it is none."""
    named = re.split(r"[.\[]", said.param)[0]
    settings = [key for key in sent if key not in THE_DATA]
    if named in settings:
        return named
    if named or not UNSUPPORTED.search(f"{said.code} {said.text}"):
        return ""
    found = {key: at.start() for key in settings if (at := mention(key).search(said.text))}
    return min(found, key=lambda key: found[key], default="")


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
