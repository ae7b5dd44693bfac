"""What is known of a model so far: the answers to what was asked, what was rejected, what the free look-ups said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.endpoint.client import Answer
from promptlab.endpoint.fault import Fault
from promptlab.endpoint.listing import cards
from promptlab.records import Completion

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The last answer to one ask: ``body`` as it was finally sent, and what came back in ``seconds``.

    ``data`` is the answer's JSON object (empty if there is none). One of ``completion`` and ``fault`` may be None.
    """

    body: Body
    data: Mapping[str, Any] = field(default_factory=dict)
    completion: Completion | None = None
    fault: Fault | None = None
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What was answered, without reasoning; empty if nothing was."""
        return self.completion.text.strip() if self.completion else ""

    @property
    def finish(self) -> str:
        """Why the answer ended, in the endpoint's word."""
        return self.completion.finish_reason if self.completion else ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of every choice."""
        messages = [each.get("message") for each in self.choices]
        return tuple(str(each.get("content") or "").strip() for each in messages if isinstance(each, dict))

    @property
    def choices(self) -> tuple[dict[str, Any], ...]:
        """Every choice that is an object."""
        found = self.data.get("choices")
        return tuple(each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()

    @property
    def reported(self) -> Mapping[str, Any]:
        """The usage as the endpoint wrote it."""
        found = self.data.get("usage")
        return found if isinstance(found, dict) else {}

    @property
    def thought_away(self) -> bool:
        """Whether all the tokens went into reasoning, so that there is no answer to judge."""
        if self.completion is None or self.completion.text.strip():
            return False
        details = self.reported.get("completion_tokens_details")
        thinking = details.get("reasoning_tokens") if isinstance(details, dict) else 0
        return bool(self.completion.reasoning or thinking)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A parameter and the value of it that the endpoint answered with an error; ``sure``: it was that one alone."""

    name: str
    value: Any
    said: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Chart:
    """All that is known so far; asks and judges are functions of it.

    ``replies`` by the name of the ask, ``looked`` by route (None = no answer), ``seconds`` of what was sent at once.
    ``calls`` counts every POST, repeated ones too; ``tokens`` is what they cost, estimated where nothing was reported.
    """

    model: str
    url: str = ""  # as it may be shown
    keyed: bool = False  # whether a key is sent
    context: int = 0  # tokens of the long prompt that the user asks for; 0 = what the budget leaves
    params: Mapping[str, Any] = field(default_factory=dict)  # what the experiment sends beside what is tested anyway
    replies: Mapping[str, Reply] = field(default_factory=dict)
    rejections: tuple[Rejection, ...] = ()
    errors: tuple[tuple[int, str], ...] = ()  # status and shape of every error body
    looked: Mapping[str, Answer | None] = field(default_factory=dict)
    together: float = 0.0
    calls: int = 0
    tokens: int = 0

    def reply(self, name: str) -> Reply | None:
        """The answer to an ask; None if it was not asked."""
        return self.replies.get(name)

    def answered(self, name: str) -> Reply | None:
        """The answer to an ask if it is a completion."""
        reply = self.replies.get(name)
        return reply if reply is not None and reply.completion is not None else None

    def rejected(self, name: str) -> Rejection | None:
        """The first rejection of a parameter."""
        return next((each for each in self.rejections if each.name == name), None)

    def json(self, route: str) -> Any:
        """What a free look-up holds; None if it is no JSON or no success."""
        answer = self.looked.get(route)
        if answer is None or answer.status != 200:
            return None
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            return None

    @property
    def card(self) -> Mapping[str, Any]:
        """The model's own entry in /models."""
        answer = self.looked.get("/models")
        return cards(answer.body).get(self.model, {}) if answer is not None and answer.status == 200 else {}
