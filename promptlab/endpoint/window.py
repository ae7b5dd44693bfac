"""How many attempts may be in flight: TCP's congestion control, where the loss of a packet is an answer of 429.

Slow start, then an additive increase and a multiplicative decrease (Jacobson 1988; Chiu & Jain 1989), with three
refinements. The cut follows the share of answers that were 429 (Alizadeh et al., DCTCP, 2010): a few stray ones, which
some servers give at any width, do not strangle the pool. No cut goes much below what the server took of late (Cardwell
et al., BBR, 2016). And the way back is CUBIC's (Ha, Rhee & Xu 2008): quick at first, flat near the limit that was too
much, so that a server which asks for pauses is rarely provoked.
"""

from __future__ import annotations

import math

START = 16
"""In flight at first; every answer then lets in one more, so that the limit doubles each round trip."""
STRAY = 0.1
"""Up to this share of answers, 429s that ask for no pause are no sign of too many in flight."""
MEMORY = 100.0
"""Answers over which that share is averaged."""
DEEPEST, SLIGHTEST = 0.5, 0.9
"""What a cut leaves of the limit: the share of answers that was no 429, within these bounds."""
ASKED = 0.8
"""The most that a cut leaves where the server asks for a pause: one cut too few costs a pause of everyone."""
FEW = 4.0
"""Stray 429s that ask for a pause cut no further than this: fewer in flight would not make them rarer."""
LATELY = 2.0
"""Seconds over which is counted what the server took."""
LEVEL = 0.92
"""Where the way back levels off, as a share of the limit that was cut."""
WAY_BACK = 2.0
"""Seconds of full use until there, at least."""
PATIENT = 15.0
"""And at least so many times the pause that the server asked for."""
COOL_DOWN = 0.25
"""Seconds between two cuts, at least, also where answers are quick: a server may count by the second."""
UNKNOWN = 1.0
"""Seconds that an answer is taken to need while none has come."""
LONGEST_GAP = 5.0
"""Seconds between two attempts, to which cuts may lead at most."""


class Window:
    """The limit of attempts in flight: from one to ``ceiling``. Told the time in seconds, of any clock.

    After the first cut attempts are also spread evenly, ``gap`` seconds apart: so many as the limit lets through.
    ``limit`` may then fall below one: there ``seats`` stays at one, and the gap keeps the rate down.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = float(min(ceiling, START))
        self.seats = int(self.limit)
        self.gap = 0.0
        self.cuts = 0
        self._seconds = 0.0  # that an answer needs, on average
        self._rejected = 0.0  # the share of 429 among recent answers
        self._taken = 0.0  # how many answers came lately, ...
        self._counted = 0.0  # ... as of then
        self._cool_at = -math.inf
        self._level = self._depth = self._way = self._gone = 0.0  # the way back: to, from how far below, how long, when

    def answered(self, now: float, seconds: float, used: bool) -> None:
        """An answer came after ``seconds``. ``used``: the limit kept someone waiting; one that is not used stays."""
        self._seconds += (seconds - self._seconds) * (0.1 if self._seconds else 1.0)
        self._rejected -= self._rejected / MEMORY
        self._taken = self._lately(now) + 1
        self._counted = now
        if not used or self.limit >= self.ceiling:
            return
        if not self.cuts:
            self._set(self.limit + 1)
            return
        self._gone += seconds / max(1.0, self.limit)
        self._set(max(self.limit, self._level * (1 + self._depth * (self._gone / self._way - 1) ** 3)))

    def turned_away(self, now: float, cuts: int, wait: float) -> None:
        """A 429 came that asks to ``wait`` seconds (0: it does not), to an attempt sent when there were ``cuts``.

        What was sent before the last cut says nothing about the limit after it. After a cut the limit is left alone for
        the time of an answer.
        """
        self._rejected += (1 - self._rejected) / MEMORY
        stray = self._rejected < STRAY
        if cuts != self.cuts or now < self._cool_at or (stray and not wait):
            return
        seconds, limit = self._seconds or UNKNOWN, self.limit
        taken = self._lately(now) / LATELY * seconds  # in flight, on average, and answered
        self.cuts += 1
        self._cool_at = now + wait + max(COOL_DOWN, seconds)
        self._gone, self._way = 0.0, max(WAY_BACK, 4 * seconds, PATIENT * wait)
        if wait:
            left = limit * min(ASKED, max(DEEPEST, taken / limit))
            least = FEW if self._rejected < 2 * STRAY else 0.0
            self._level = LEVEL * limit
        else:
            left = limit * min(SLIGHTEST, max(DEEPEST, 1 - self._rejected))
            least = min(SLIGHTEST * taken, 0.95 * limit)
            self._level = max(LEVEL * limit, min(taken, limit))
        self._set(min(limit, max(left, least, min(1.0, seconds / LONGEST_GAP))))
        self._level = max(self._level, self.limit)
        self._depth = max(0.02, 1 - self.limit / self._level)

    def _lately(self, now: float) -> float:
        return self._taken * math.exp((self._counted - now) / LATELY)

    def _set(self, limit: float) -> None:
        self.limit = min(limit, float(self.ceiling))
        self.seats = max(1, math.ceil(self.limit))
        self.gap = (self._seconds or UNKNOWN) / self.limit if self.cuts and self.limit < self.ceiling else 0.0
