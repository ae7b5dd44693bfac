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
from datetime import UTC
from email.utils import parsedate_to_datetime

DURATION = r"(?:[\d.]{1,12} ?(?:ms|milli|h|m(?!o)|s)[a-z]* ?){1,4}"
IN_TEXT = re.compile(rf"(?i)(?:try again|retry) (?:in|after) ({DURATION})|\"retryDelay\": ?\"({DURATION})\"")
PIECE = re.compile(r"(?i)([\d.]{1,12}) ?(ms|milli|h|m|s)")
SECONDS = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


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
    an error text such as "Please try again in 1m2.5s". Zero, negative and garbled values are ignored.
    """
    after = headers.get("retry-after", "")
    found = _seconds(headers.get("retry-after-ms", "")) / 1000 or _seconds(after)
    if not found and after:
        found = _until(after, headers.get("date", ""))
    if not found and (hint := IN_TEXT.search(body)):
        found = sum(_seconds(number) * SECONDS[unit.lower()] for number, unit in PIECE.findall(hint[1] or hint[2]))
    return found


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0


def _until(date: str, now: str) -> float:
    then, here = _instant(date), _instant(now)
    return max(0.0, then - (here or time.time())) if then else 0.0


def _instant(date: str) -> float:
    """Seconds since 1970 of an HTTP date, which is UTC also where it does not say so; 0.0 if it is none."""
    try:
        value = parsedate_to_datetime(date)
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
