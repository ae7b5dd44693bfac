"""Log probabilities of an answer's tokens, from the odds of all that the engine might have said.

The engine chooses whole answers. The probability of a token, given the tokens before it, is the share of the possible
answers that go on with it among those that begin alike: where all go on alike it is 1 (log probability 0), and there
are no alternatives to show, however many were asked for. So they are the frequencies of what other seeds would say at
this temperature; at temperature 0 the engine's small mistakes still depend on the seed, and so do they.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.embedded.pieces import tokens

_UNSEEN = 1e-6  # the odds of an answer that the outlook missed


def _entry(token: str, odds: float) -> dict[str, Any]:
    try:
        data = list(token.encode())
    except UnicodeEncodeError:  # a lone surrogate has no bytes
        data = None
    return {"token": token, "logprob": min(0.0, math.log(odds)), "bytes": data}


def _shares(alive: Sequence[tuple[float, list[str]]], place: int) -> dict[str, float]:
    """The probability of each next token; an answer that ends here counts, and continues with nothing."""
    total = sum(odds for odds, _ in alive)
    shares: dict[str, float] = {}
    for odds, path in alive:
        if len(path) > place:
            shares[path[place]] = shares.get(path[place], 0.0) + odds / total
    return shares


def _best(shares: Mapping[str, float], said: str, top: int) -> list[dict[str, Any]]:
    """The likeliest tokens first; of equals, the one that was said."""
    names = sorted(shares, key=lambda name: (-shares[name], name != said, name))
    return [_entry(name, shares[name]) for name in names[:top]]


def logprobs(text: str, outlook: Mapping[str, float], top: int) -> list[dict[str, Any]]:
    """One entry per token of ``text``, in OpenAI's shape, with at most ``top`` alternatives.

    ``outlook``: the possible answers and their odds; ``text`` is one of them or, cut off, the beginning of one.
    """
    path = tokens(text)
    alive = [(odds, tokens(other)) for other, odds in outlook.items()]
    if not any(other[: len(path)] == path for _, other in alive):
        alive.append((max(_UNSEEN, 1.0 - sum(odds for odds, _ in alive)), path))
    out = []
    for place, token in enumerate(path):
        shares = _shares(alive, place)
        out.append({**_entry(token, shares[token]), "top_logprobs": _best(shares, token, top)})
        alive = [(odds, other) for odds, other in alive if len(other) > place and other[place] == token]
    return out
