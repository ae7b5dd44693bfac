"""A chat request answered, and written as OpenAI writes a chat completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promptlab.embedded import VERSION
from promptlab.embedded.engine import Answer, answers, outlook
from promptlab.embedded.logprobs import logprobs
from promptlab.embedded.protocol import ChatRequest

_OWN_DRAW = 2**64  # past every seed that a request may name


@dataclass(frozen=True, slots=True)
class Said:
    """One choice: the answer, and the log probabilities of its tokens (None unless asked for), in OpenAI's shape."""

    answer: Answer
    logprobs: list[dict[str, Any]] | None


def choices(asked: ChatRequest) -> list[Said]:
    """``n`` answers. The first is what the request gets with n = 1; each further one is a draw of its own.

    At temperature 0 all are equal, as there is nothing to draw.
    """
    seen = outlook(asked.messages, asked.params) if asked.logprobs is not None else {}
    draws = asked.n if asked.params.temperature > 0 else 1
    seeds = [asked.params.seed + place * _OWN_DRAW for place in range(draws)]
    said = [
        Said(one, None if asked.logprobs is None else logprobs(one.text, seen, asked.logprobs))
        for one in answers(asked.messages, asked.params, seeds)
    ]
    return said if draws == asked.n else said * asked.n


def head(kind: str, model: str, identity: str, created: int) -> dict[str, Any]:
    """The fields that a completion and each chunk of a stream share."""
    return {
        "id": f"chatcmpl-{identity}",
        "object": kind,
        "created": created,
        "model": model,
        "system_fingerprint": f"embedded@{VERSION}",
    }


def usage(said: list[Said]) -> dict[str, int]:
    """The prompt counts once, every choice counts."""
    prompt, made = said[0].answer.tokens_in, sum(one.answer.tokens_out for one in said)
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


def shown_logprobs(entries: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Log probabilities as a choice holds them."""
    return None if entries is None else {"content": entries, "refusal": None}


def completion(asked: ChatRequest, said: list[Said], identity: str, created: int) -> dict[str, Any]:
    """A chat completion. ``identity`` is made of the request's bytes; ``created`` is in seconds since 1970."""
    return {
        **head("chat.completion", asked.params.model, identity, created),
        "choices": [
            {
                "index": place,
                "message": {"role": "assistant", "content": one.answer.text, "refusal": None},
                "logprobs": shown_logprobs(one.logprobs),
                "finish_reason": one.answer.finish_reason,
            }
            for place, one in enumerate(said)
        ],
        "usage": usage(said),
    }
