"""Seeded chance: equal on every machine, in every process and with every version of Python."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from zlib import crc32


def generator(chat: Sequence[tuple[str, str]], seed: int) -> random.Random:
    """The chance of one request: it depends on the messages and the request's seed alone."""
    return random.Random(crc32(json.dumps(list(chat), separators=(",", ":")).encode()) + (seed << 32))


def gumbel(chance: random.Random) -> float:
    """A standard Gumbel number: adding it to scores and taking the best draws from their softmax."""
    return -math.log(-math.log(min(max(chance.random(), 1e-12), 1 - 1e-12)))
