"""Which of a request's parameters an error is about, and what its body looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from promptlab.endpoint.fault import Fault
from promptlab.endpoint.wording import mention

ROLE = re.compile(r"(?i)\brole\b|system (message|prompt|instruction)")


def negotiable(fault: Fault) -> bool:
    """Whether the request itself may be what the server cannot take: small servers say so with a 500."""
    if fault.kind == "transient":
        return fault.text.startswith(("HTTP 500", "HTTP 501"))
    return fault.kind in ("parameter", "failed", "invalid")


def blamed(fault: Fault, suspects: Sequence[str]) -> str:
    """The parameter that the error names; empty if it names none of them."""
    root = re.split(r"[.\[]", fault.param)[0]
    if root in suspects:
        return root
    for name in suspects:
        if name in ("system", "developer"):
            if root == "messages" or ROLE.search(fault.text):
                return name
        elif mention(name).search(fault.text) or (name == "logprobs" and "logprobs" in fault.param):
            return name
    return ""


def shape(body: bytes) -> str:
    """An error body's shape, in a word or two."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        start = body.lstrip()[:1]
        return "empty" if not start else "HTML" if start == b"<" else "text"
    if isinstance(value, list):
        return "a JSON list"
    if not isinstance(value, dict):
        return "bare JSON"
    if isinstance(value.get("error"), dict):
        return "OpenAI's shape"
    if isinstance(value.get("error"), str):
        return "`error` is a string"
    return "`detail`" if "detail" in value else "a flat object"
