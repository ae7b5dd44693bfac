"""What a server's error body says, in whichever of its many shapes: OpenAI, a flat one, a list, a string, HTML."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any

LONGEST = 300


@dataclass(frozen=True, slots=True)
class Complaint:
    """``text`` is one printable line; ``code`` holds code and type in lower case; ``param`` names a key of the body."""

    text: str = ""
    code: str = ""
    param: str = ""


def read(body: bytes) -> Complaint:
    """The complaint of an error body."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Complaint(line(_page(text)))
    return of(value)


def of(value: Any) -> Complaint:
    """The complaint of a parsed error body, or of the value of its "error"."""
    try:
        return _of(value)
    except RecursionError:
        return Complaint("an error nested too deeply to be read")


def line(text: str, longest: int = LONGEST) -> str:
    """One printable line of at most ``longest`` characters; what is cut off leaves an ellipsis."""
    joined = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * longest]).split())
    return joined if len(joined) <= longest and len(text) <= 10 * longest else joined[: longest - 1] + "…"


def _of(value: Any) -> Complaint:
    if isinstance(value, list):
        if value and isinstance(value[0], dict) and "loc" in value[0]:
            return _validation(value)
        return _of(value[0]) if value else Complaint()
    if not isinstance(value, dict):
        return Complaint(line("" if value is None else str(value)))
    inner = _inner(value)
    return _flat(value) if inner is None else _of(inner)


def _inner(value: dict[str, Any]) -> Any:
    """What the error wraps: another error, also one that is JSON within a string; None if it says it all itself."""
    if value.get("error") and isinstance(value["error"], dict | list):
        return value["error"]
    message = value.get("message")
    if isinstance(message, str) and message.lstrip()[:1] in ("{", "["):
        try:
            message = json.loads(message)
        except ValueError:
            return None
    if message:
        return message if isinstance(message, dict | list) else None
    found = (value.get(key) for key in ("error", "errors", "detail"))
    return next((each for each in found if each and not isinstance(each, int | float)), None)


def _flat(error: dict[str, Any]) -> Complaint:
    inner, meta = (each if isinstance(each, dict) else {} for each in map(error.get, ("innererror", "metadata")))
    message = next((error[key] for key in ("message", "msg", "error_description") if error.get(key)), "")
    said = " ".join(each if isinstance(each, str) else json.dumps(each) for each in (message, meta.get("raw")) if each)
    details = error["details"] if isinstance(error.get("details"), list) else []
    reasons = (each.get("reason") for each in details if isinstance(each, dict))  # Google's
    codes = (*map(error.get, ("code", "type", "status", "error")), inner.get("code"), *reasons)
    return Complaint(
        text=line(said or json.dumps(error)),
        code=" ".join(str(each)[:80].lower() for each in codes if isinstance(each, str | int)),
        param=line(str(error.get("param") or ""), 80),
    )


def _validation(detail: list[Any]) -> Complaint:
    """FastAPI's 422: a list of {type, loc: [body, key, ...], msg}."""
    found = [each for each in detail if isinstance(each, dict)]
    lists = (each["loc"] if isinstance(each.get("loc"), list) else [] for each in found)
    places = [".".join(str(part) for part in each if part != "body") for each in lists]
    said = (f"{place}: {each.get('msg', '')}" for each, place in zip(found, places, strict=True))
    return Complaint(
        text=line("; ".join(said)),
        code=str(found[0].get("type", ""))[:80].lower(),
        param=line(places[0], 80),
    )


def _page(text: str) -> str:
    """The title of an HTML page, or its text; any other text as it is."""
    if not text.lstrip().startswith("<"):
        return text
    title = re.search(r"(?is)<title[^>]*>(.*?)</title>", text[:5_000])
    return html.unescape(title[1] if title else re.sub(r"(?s)<[^>]*>", " ", text[:5_000]))
