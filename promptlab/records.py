"""The nouns: small frozen records that everything else passes around. Imports nothing of ours."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias, TypeVar

T = TypeVar("T")

CANONICAL = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)

Status = Literal["ok", "invalid", "refused", "truncated", "overflow", "error"]
Split = Literal["train", "dev", "test"]
Phase = Literal["design", "search", "final"]
Purpose = Literal["answer", "judge", "rewrite", "rerank", "embed", "meta"]
Role = Literal["system", "developer", "user", "assistant"]
Method = Literal["prompting", "rag", "fine-tuning", "rag+fine-tuning"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that a retriever found, or that a row brought along.

    ``source`` is the document that it is from, ``start`` and ``end`` the characters that it has of it.
    """

    id: str
    text: str
    score: float = 0.0
    title: str = ""
    source: str = ""
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled row. ``label`` is the accepted answer, or a tuple of accepted answers; None = unlabelled.

    ``inputs`` are the columns a template may read; ``weight`` multiplies the row's score in means; ``group`` names
    rows that belong together (one customer, one document); ``row`` is the 1-based data row in its file, for messages.
    ``gold`` names the passages or documents that hold the answer, as far as that is known.
    """

    id: str
    inputs: Mapping[str, Any]
    label: Any = None
    group: str = ""
    weight: float = 1.0
    passages: tuple[Passage, ...] = ()
    row: int = 0
    gold: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[Any, ...]:
        """Every accepted answer; empty if the row has no label."""
        if self.label is None:
            return ()
        return self.label if isinstance(self.label, tuple) else (self.label,)


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Slot:
    """One open choice. Active only where every (slot, values) pair of ``when`` holds; inactive slots do not exist.

    ``open``: proposers may rewrite it. ``texts`` are then its options as text, in the order of ``values``: without the
    white space around them, and with a token ``⟦k⟧`` for each top-level node that is no text.
    """

    name: str
    kind: Literal["choice", "number", "text", "demos"]
    values: tuple[Any, ...]
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    open: bool = False
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """A point of the space. ``id`` hashes what is asked: files by content; not origin, not parents.

    ``members``: the variants that answer together, where this one is a vote.
    """

    id: str
    slots: Mapping[str, Any]
    origin: str = "grid"
    parents: tuple[str, ...] = ()
    method: Method = "prompting"
    members: tuple[Variant, ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None

    def of(self, usage: Usage) -> float:
        """The list price of one call in US dollars; cached input tokens at their own price where there is one."""
        fresh = usage.tokens_in - usage.tokens_cached
        cached = self.input if self.cached is None else self.cached
        return (fresh * self.input + usage.tokens_cached * cached + usage.tokens_out * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. ``identity`` enters the keys of calls: the base_url, or ``embedded@VERSION``; never a port."""

    base_url: str
    api_key_env: str = ""
    concurrency: int = 16
    rpm: float | None = None
    tpm: float | None = None
    timeout: float = 120.0
    max_retries: int = 6
    max_errors: float = 0.02
    mode: Literal["pool", "batch"] = "pool"

    @property
    def embedded(self) -> bool:
        """Whether this is the offline engine that comes with promptlab."""
        return self.base_url.startswith("embedded@")

    @property
    def host(self) -> str:
        """The host and port that answer."""
        return self.base_url.split("//")[-1].split("/")[0].split("@")[-1]

    @property
    def identity(self) -> str:
        """What tells two endpoints apart in the cache."""
        return self.base_url.rstrip("/")


@dataclass(frozen=True, slots=True)
class Model:
    """Who answers. ``name`` is the experiment's word for it, ``id`` the endpoint's; ``params`` go into the body.

    ``recipe``: what a model that was tuned here is made of. It is hashed for the id, which may outlive what it names.
    """

    name: str
    endpoint: Endpoint
    id: str
    price: Price | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""

    @property
    def identity(self) -> str:
        """What tells it from other models of its endpoint, in hashes."""
        return self.recipe or self.id


@dataclass(frozen=True)
class Request:
    """One canonical request. The same ``key`` is never paid for twice.

    ``draw`` tells repeats of one body apart: the repeat index, or what places a meta call. ``defaults`` are the keys of
    the body that nobody wrote but promptlab: an endpoint that rejects one is asked without it.
    """

    model: Model
    route: str
    body: Mapping[str, Any]
    draw: str = "0"
    purpose: Purpose = "answer"
    defaults: tuple[str, ...] = ()

    @cached_property
    def content(self) -> bytes:
        """The bytes that are sent and hashed: compact UTF-8 JSON with sorted keys."""
        return CANONICAL.encode(self.body).encode()

    @cached_property
    def key(self) -> str:
        """sha256 in hex: endpoint identity, route, draw, what may be left out, body (a tuned model by its recipe)."""
        loose = f"{','.join(self.defaults)}\n" if self.defaults else ""
        head = f"{self.model.endpoint.identity}\n{self.route}\n{self.draw}\n{loose}".encode()
        recipe = self.model.recipe
        content = CANONICAL.encode({**self.body, "model": recipe}).encode() if recipe else self.content
        return hashlib.sha256(head + content).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; ``source`` says whether the endpoint reported them or we estimated."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    source: Literal["reported", "estimated"] = "reported"


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back, already validated. ``answer`` is what the parser read out of ``text`` (None = nothing).

    ``fingerprint`` is what the server says of itself (system_fingerprint). ``finish_reason`` is the endpoint's word, or
    ``content_filter`` and ``context_overflow`` for requests that it turned away for what the prompt holds.
    """

    text: str
    finish_reason: str = "stop"
    usage: Usage = Usage()
    model: str = ""
    reasoning: str = ""
    fingerprint: str = ""
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Call:
    """One row of the log. ``usd`` is the list price; ``cached`` = known before it was asked, so nothing was spent."""

    key: str
    purpose: Purpose
    completion: Completion | None
    usd: float = 0.0
    latency: float = 0.0
    attempts: int = 1
    error: str = ""
    cached: bool = False

    @property
    def spent(self) -> float:
        """US dollars really spent on it."""
        return 0.0 if self.cached else self.usd


@dataclass(frozen=True, slots=True)
class Score:
    """How good an answer is: higher is better, NaN = not scored."""

    value: float
    answer: Any = None
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of predictions.csv: what one variant answered on one example, and how good that was.

    ``scores`` holds every metric by name; ``score`` is the objective. ``calls`` are all calls it took. ``explanation``
    is what the metrics of the objective say of the answer; it is not kept for every row. ``passages`` are the ids of
    those that the prompt showed, in its order; ``measures`` how well they were found, where they were looked for.
    """

    variant: str
    example: str
    repeat: int
    split: Split
    phase: Phase
    status: Status
    answer: Any = None
    score: float = math.nan
    scores: Mapping[str, float] = field(default_factory=dict)
    output: str = ""
    model: str = ""
    error: str = ""
    prompt_tokens: int = 0
    calls: tuple[Call, ...] = ()
    explanation: str = ""
    passages: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Budget:
    """A hard cap; None = no cap on that. Minutes only interrupt, they never decide."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    minutes: float | None = None


Flow: TypeAlias = Generator["Request | tuple[Request, ...] | Awaitable[Any]", Any, T]
"""Whatever needs a model: yields Requests, is sent Completions (CallFailed is thrown in), returns its value.

A tuple of them goes out side by side and is sent a tuple, CallFailed in it; an awaitable is sent what it gives.
"""
