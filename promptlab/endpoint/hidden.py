"""What of an endpoint's address and key must never be told or kept, whatever a server echoes, and wherever."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from promptlab.endpoint.client import Answer
from promptlab.endpoint.redact import HIDDEN, redact, secrets

LEAST = 8
"""Letters of a secret: words as short as `none` are none, and names of models and states hold them."""


class Hidden:
    """The secrets of one address, in each of the forms in which HTTP may carry them."""

    def __init__(self, url: str, api_key: str) -> None:
        self._words = tuple(sorted({*secrets(url, api_key), *_forms(url, api_key)}, key=len, reverse=True))
        self._long = tuple(each for each in self._words if len(each) >= LEAST)

    def told(self, text: str) -> str:
        """A text that people read."""
        return redact(text, self._words)

    def without(self, text: str) -> str:
        """A text that is used: only what can be nothing but a secret is taken out of it."""
        for each in self._long:
            text = text.replace(each, HIDDEN)
        return text

    def cleaned(self, answer: Answer) -> Answer:
        """An answer without secrets: in headers, in a text, and in the names and values of JSON, however written."""
        if not self._long:
            return answer
        text = answer.body.decode("utf-8-sig", "replace")
        try:
            value = json.loads(text)
            left = self._removed(value)
            body = answer.body if left == value else json.dumps(left).encode()
        except (ValueError, RecursionError):
            body = self.without(text).encode()
        return Answer(answer.status, {name: self.without(each) for name, each in answer.headers.items()}, body)

    def _removed(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.without(value)
        if isinstance(value, dict):
            return {self.without(key): self._removed(each) for key, each in value.items()}
        return [self._removed(each) for each in value] if isinstance(value, list) else value


def flaw(url: str) -> str:
    """Why an address cannot be kept; empty if it can."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known or not url.isprintable():
        return "that is no address"
    return "with a user, a password or a key in it" if "@" in parts.netloc or secrets(url, "") else ""


def _forms(url: str, api_key: str) -> set[str]:
    """As ``secrets`` has them, percent-encoded in other ways, and as what signs in with user and password."""
    parts = urlsplit(url)
    found = {form for each in (*secrets(url, api_key), api_key) if each for form in _encoded(each)}
    if parts.username and not parts.password:  # a key as the user
        found |= _encoded(unquote(parts.username))
    if parts.password:
        user = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
        found |= _encoded(user) | _encoded(base64.b64encode(user.encode()).decode())
    return found


def _encoded(word: str) -> set[str]:
    upper = {quote(word, safe=""), quote(word), quote_plus(word)}
    return {word, *upper, *(_lower(each) for each in upper)}


def _lower(word: str) -> str:
    """With its escapes in small letters."""
    first, *rest = word.split("%")
    return "%".join([first, *(each[:2].lower() + each[2:] for each in rest)])
