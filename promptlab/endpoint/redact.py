"""Keep secrets out of every text that a person or a file will see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

HIDDEN = "[redacted]"
CUT = "…"
TOKENS = re.compile(r"(?i)(?<=bearer )\s*[\w.~+/*=-]{8,}|\b(?:sk|gsk|xai|pk|hf|rk)[-_][\w*.-]{8,}")


def secrets(base_url: str, api_key: str) -> tuple[str, ...]:
    """What must never be shown: the key, and what base_url carries in its credentials and query."""
    parts = urlsplit(base_url)
    found = [api_key, parts.password or "", unquote(parts.password or "")]
    found += [value for _, value in parse_qsl(parts.query) if len(value) >= 12]
    found += [quote(each, safe="") for each in found]
    return tuple(sorted({each for each in found if each}, key=len, reverse=True))


def redact(text: str, hidden: Iterable[str]) -> str:
    """The text without the secrets and without whatever looks like a key. A short one is hidden as a whole word.

    A text that was cut off in the middle of a secret, and so ends in an ellipsis there, does not show the rest either.
    """
    for secret in hidden:
        if len(secret) < 6:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
            continue
        text = text.replace(secret, HIDDEN)
        if CUT in text:
            for length in range(len(secret) - 1, 3, -1):
                text = text.replace(secret[:length] + CUT, HIDDEN + CUT)
    return TOKENS.sub(HIDDEN, text)


def shown(url: str) -> str:
    """The URL as it may be printed: no user, no password, no query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
