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
    if isinstance(value, list):
        return of(value[0]) if value else Complaint()
    if not isinstance(value, dict):
        return Complaint(line("" if value is None else str(value)))
    if isinstance(value.get("detail"), list):
        return _validation(value["detail"])
    for key in ("error", "errors", "detail"):
        if value.get(key) and not isinstance(value[key], (int, bool)):
            return of(value[key])
    return _flat(value)


def line(text: str) -> str:
    """One printable line of at most 300 characters."""
    joined = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * LONGEST]).split())
    return joined if len(joined) <= LONGEST else joined[: LONGEST - 1] + "…"


def _flat(error: dict[str, Any]) -> Complaint:
    inner, meta = (each if isinstance(each, dict) else {} for each in map(error.get, ("innererror", "metadata")))
    words = [error.get("message") or error.get("error_description") or "", meta.get("raw") or ""]
    said = " ".join(each if isinstance(each, str) else json.dumps(each) for each in words if each)
    codes = (error.get("code"), error.get("type"), error.get("status"), inner.get("code"))
    return Complaint(
        text=line(said or json.dumps(error)),
        code=" ".join(str(each).lower() for each in codes if each is not None),
        param=str(error.get("param") or ""),
    )


def _validation(detail: list[Any]) -> Complaint:
    """FastAPI's 422: a list of {type, loc: [body, key, ...], msg}."""
    found = [each for each in detail if isinstance(each, dict)]
    places = [[str(part) for part in each.get("loc") or () if part != "body"] for each in found]
    said = (f"{'.'.join(place)}: {each.get('msg', '')}" for each, place in zip(found, places, strict=True))
    return Complaint(
        text=line("; ".join(said) or str(detail)),
        code=" ".join(str(each.get("type", "")) for each in found[:1]),
        param=".".join(places[0]) if places else "",
    )


def _page(text: str) -> str:
    """The title of an HTML page, or its text; any other text as it is."""
    if not text.lstrip().startswith("<"):
        return text
    title = re.search(r"(?is)<title[^>]*>(.*?)</title>", text[:20_000])
    return html.unescape(title[1] if title else re.sub(r"(?s)<[^>]*>", " ", text[:5_000]))
