"""How long to wait before the next attempt: what the server asks for, or full-jitter exponential backoff.

Full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

IN_TEXT = re.compile(r"(?i)(?:try again|retry) in ([\d.]{1,12}) ?(ms|s)|\"retryDelay\": ?\"([\d.]{1,12})s\"")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds: the n-th wait is drawn evenly from 0 to base * 2^(n-1), at most ``cap``."""

    base: float = 1.0
    cap: float = 60.0

    def delay(self, attempt: int) -> float:
        """The wait after the ``attempt``-th attempt (1-based) failed."""
        return random.uniform(0.0, min(self.cap, self.base * 2.0 ** min(attempt - 1, 30)))


def asked_wait(headers: Mapping[str, str], body: str = "") -> float:
    """Seconds that the server asks to wait; 0.0 if it asks for nothing that makes sense.

    Read from retry-after-ms, from Retry-After (seconds or a date, taken against the server's own Date), or from
    an error text such as "Please try again in 1.2s". Zero, negative and garbled values are ignored.
    """
    found = _seconds(headers.get("retry-after-ms", "")) / 1000 or _seconds(headers.get("retry-after", ""))
    if found:
        return found
    if headers.get("retry-after"):
        return _until(headers["retry-after"], headers.get("date", ""))
    if hint := IN_TEXT.search(body):
        return _seconds(hint[1] or hint[3]) / (1000 if hint[2] == "ms" else 1)
    return 0.0


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0


def _until(date: str, now: str) -> float:
    try:
        then = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    try:
        here = parsedate_to_datetime(now).timestamp()
    except (ValueError, OverflowError):
        here = time.time()
    return max(0.0, then - here)
