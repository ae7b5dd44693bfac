"""What to tell the user when an endpoint cannot go on: what happened, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from promptlab.endpoint.fault import Fault
from promptlab.errors import nearest

RESUME = "The same command goes on from here."
OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
LONGEST = 60
"""Characters of a rejected value that are shown."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where it happened; ``models`` are the ids that the endpoint lists (empty = none); ``sent`` is the body."""

    url: str
    route: str
    model: str
    api_key_env: str
    models: Collection[str] = ()
    sent: Mapping[str, Any] = field(default_factory=dict)


def remedy(fault: Fault, place: Place) -> str:
    """The message of a fault that ends the run."""
    say = REMEDIES[fault.kind]
    return f"{place.url}: {say(fault, place)}"


def _key(fault: Fault, place: Place) -> str:
    if place.api_key_env:
        todo = f"Check the key in the environment variable {place.api_key_env}."
    else:
        todo = "Name the environment variable that holds the key in endpoint.api_key_env."
    return f"the endpoint turns the key away ({fault.text}). {todo}"


def _model(fault: Fault, place: Place) -> str:
    if place.model in place.models:
        known = "It is listed by /models: may this key use it?"
    else:
        known = nearest(place.model, place.models) or "The endpoint lists no models; check the name."
    return f"no such model: {place.model!r} ({fault.text}). {known}"


def _path(fault: Fault, place: Place) -> str:
    versioned = any(part[:1] == "v" and part[1:2].isdigit() for part in place.url.split("/"))
    todo = "Check base_url." if versioned else f"Is /v1 missing in base_url? Try {place.url}/v1."
    return f"there is no {place.route} here ({fault.text}). {todo}"


def _quota(fault: Fault, _place: Place) -> str:
    return f"the quota is used up ({fault.text}). Top up the account or raise its limit. {RESUME}"


def _parameter(fault: Fault, place: Place) -> str:
    said = f"the endpoint rejects {_named(fault.param, place.sent)} for {place.model!r} ({fault.text})"
    return f"{said}. {_instead(fault)} It is not dropped silently: that would change the experiment."


def _named(param: str, sent: Mapping[str, Any]) -> str:
    """A parameter with the value that was sent: where it is a slot, only one of its values may be wrong."""
    if not param:
        return "a parameter"
    if param not in sent:
        return f"`{param}`"
    value = json.dumps(sent[param], ensure_ascii=False)
    return f"`{param}`: {value}" if len(value) <= LONGEST else f"`{param}`: {value[:LONGEST]}..."


def _instead(fault: Fault) -> str:
    other = OTHER_NAME.get(fault.param, "")
    if other and other in fault.text.replace(fault.param, ""):
        return f"Write `{other}` in params, or run `promptlab doctor` once: it finds out, and the right one is sent."
    if fault.param == "temperature":
        return "Take another value, or write `temperature: null` in params: then none is sent."
    return "Change it or take it out of params."


def of_left_out(url: str, left_out: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """A sentence for each of promptlab's own defaults that an endpoint rejects, by model id."""
    return tuple(
        f"{url}: `{name}` is not sent to {model!r}, which rejects promptlab's default; its own holds."
        for model, names in left_out.items()
        for name in names
    )


def _redirect(fault: Fault, _place: Place) -> str:
    return f"the endpoint sends requests elsewhere ({fault.text}). Write the address it names into base_url."


def _patience(fault: Fault, _place: Place) -> str:
    back = datetime.now().astimezone() + timedelta(seconds=min(fault.wait, 3e7))
    return (
        f"the endpoint asks to wait {fault.wait:.0f} s ({fault.text}). Come back after {back:%Y-%m-%d %H:%M}. {RESUME}"
    )


def _foreign(fault: Fault, _place: Place) -> str:
    seen = f"the first answers were no completions ({fault.text})"
    return f"this is no OpenAI endpoint: {seen}. Check base_url; is /v1 missing?"


def _unreachable(fault: Fault, _place: Place) -> str:
    return f"nobody answers there ({fault.text}). Is the server running, and is base_url right?"


REMEDIES = {
    "key": _key,
    "model": _model,
    "path": _path,
    "quota": _quota,
    "parameter": _parameter,
    "redirect": _redirect,
    "patience": _patience,
    "foreign": _foreign,
    "unreachable": _unreachable,
}
