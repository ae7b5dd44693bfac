"""Counting and cutting tokens. A token of this engine is a word of up to eight letters, the next eight, or one sign."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

_PIECE = re.compile(r"\w{1,8}|[^\w\s]")


def count(text: str) -> int:
    """The number of tokens in ``text``."""
    return len(_PIECE.findall(text)) if len(text) < 100_000 else sum(1 for _ in _PIECE.finditer(text))


def count_chat(texts: Iterable[str]) -> int:
    """The number of tokens in a chat: each message costs one token for its role besides its text."""
    return sum(1 + count(text) for text in texts)


def cut(text: str, limit: int) -> tuple[str, bool]:
    """``text`` up to its first ``limit`` tokens, and whether anything was cut off."""
    ends = [piece.end() for piece in islice(_PIECE.finditer(text), limit + 1)]
    if len(ends) <= limit:
        return text, False
    return text[: ends[limit - 1]], True


def tokens(text: str) -> list[str]:
    """The tokens of ``text``, each with the white space before it, so that they join to the text again.

    The last has the white space after it too; white space alone is no token.
    """
    ends = [piece.end() for piece in _PIECE.finditer(text)]
    if not ends:
        return []
    ends[-1] = len(text)
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
