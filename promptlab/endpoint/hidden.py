"""What of an endpoint's address and key must never be told or kept, whatever a server echoes, and wherever."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from promptlab.endpoint.client import Answer
from promptlab.endpoint.redact import HIDDEN, redact, secrets

LEAST = 8
"""Letters of a secret: words as short as `none` are none, and names of models and states hold them."""


class Hidden:
    """The secrets of one address."""

    def __init__(self, url: str, api_key: str) -> None:
        self._words = secrets(url, api_key)
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
