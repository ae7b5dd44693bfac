"""Keep secrets out of every text that a person or a file will see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

HIDDEN = "[redacted]"
TOKENS = re.compile(r"(?i)(?<=bearer )\s*[\w.~+/*=-]{8,}|\b(?:sk|gsk|xai|pk|hf|rk)[-_][\w*.-]{8,}")


def secrets(base_url: str, api_key: str) -> tuple[str, ...]:
    """What must never be shown: the key, and what base_url carries in its credentials and query."""
    parts = urlsplit(base_url)
    found = [api_key, parts.password or "", unquote(parts.password or "")]
    found += [value for _, value in parse_qsl(parts.query) if len(value) >= 12]
    return tuple(sorted({each for each in found if each}, key=len, reverse=True))


def redact(text: str, hidden: Iterable[str]) -> str:
    """The text without the secrets and without whatever looks like a key. A short one is hidden as a whole word."""
    for secret in hidden:
        edges = r"(?<!\w)", r"(?!\w)"
        pattern = re.escape(secret) if len(secret) >= 6 else re.escape(secret).join(edges)
        text = re.sub(pattern, HIDDEN, text)
    return TOKENS.sub(HIDDEN, text)


def shown(base_url: str) -> str:
    """The URL as it may be printed: no user, no password, no query."""
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
