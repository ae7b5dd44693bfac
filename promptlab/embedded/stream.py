"""A chat completion as a stream of server-sent events, token by token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from promptlab.embedded.completion import Said, head, shown_logprobs, usage
from promptlab.embedded.pieces import tokens
from promptlab.embedded.protocol import ChatRequest


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _choice(index: int, delta: dict[str, Any], entries: Any = None, finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": shown_logprobs(entries), "finish_reason": finish}


def _told(index: int, said: Said) -> Iterator[dict[str, Any]]:
    """The deltas of one choice: its role, its tokens, its end. A text of white space alone comes as one delta."""
    yield _choice(index, {"role": "assistant", "content": "", "refusal": None})
    text = said.answer.text
    parts = tokens(text) or ([text] if text else [])
    for place, part in enumerate(parts):
        yield _choice(index, {"content": part}, said.logprobs[place : place + 1] if said.logprobs is not None else None)
    yield _choice(index, {}, finish=said.answer.finish_reason)


def events(asked: ChatRequest, said: list[Said], identity: str, created: int) -> Iterator[bytes]:
    """The stream's events. Several choices take turns, as OpenAI's do; with usage asked for, every chunk has the key.

    The chunk that holds the usage comes last and has no choices.
    """
    shared = head("chat.completion.chunk", asked.params.model, identity, created)
    if asked.stream_usage:
        shared["usage"] = None
    for turn in zip_longest(*(_told(place, one) for place, one in enumerate(said))):
        for choice in turn:
            if choice is not None:
                yield _event({**shared, "choices": [choice]})
    if asked.stream_usage:
        yield _event({**shared, "choices": [], "usage": usage(said)})
    yield b"data: [DONE]\n\n"
