"""Keep secrets out of every text that a person or a file will see."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit, urlunsplit

HIDDEN = "[redacted]"
CUT = "…"
ESCAPE = re.compile(r"%[0-9A-F]{2}")
TOKENS = re.compile(  # a key has a figure, a mask or a long run of letters: `hf-internal-testing` is a name
    r"(?i)(?<=bearer )\s*[\w.~+/*=-]{8,}|\b(?:sk|gsk|xai|pk|hf|rk)[-_](?=[\w.-]*[\d*]|\w{20})[\w*.-]{8,}"
)


def secrets(base_url: str, api_key: str) -> tuple[str, ...]:
    """What must never be shown: the key, and what base_url carries in its credentials and query.

    In each of the forms in which HTTP may carry it: percent-encoded in whichever way, and as user and password sign in.
    """
    parts = urlsplit(base_url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    found = [api_key, parts.password or "", password, "" if password else user]  # a key may stand as the user
    found += [value for _, value in parse_qsl(parts.query) if len(value) >= 12]
    if password:
        found += [f"{user}:{password}", base64.b64encode(f"{user}:{password}".encode()).decode()]
    forms = {form for each in found if each for form in _encoded(each)}
    return tuple(sorted(forms, key=len, reverse=True))


def _encoded(word: str) -> set[str]:
    upper = {quote(word, safe=""), quote(word), quote_plus(word)}
    return {word, *upper, *(ESCAPE.sub(lambda found: found[0].lower(), each) for each in upper)}


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
