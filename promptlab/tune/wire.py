"""Steps at an endpoint that fine-tunes: one SDK, patience with hiccups, plain words about the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from promptlab.endpoint import redact
from promptlab.endpoint.batch.job import named, parsed
from promptlab.endpoint.client import Answer
from promptlab.endpoint.fault import AGAIN, Fault
from promptlab.endpoint.hidden import Hidden
from promptlab.endpoint.listing import models
from promptlab.endpoint.patience import Patience
from promptlab.endpoint.remedy import Place as Where
from promptlab.endpoint.remedy import remedy
from promptlab.endpoint.retry import Backoff
from promptlab.endpoint.sdk import answered, client, downloaded
from promptlab.errors import EndpointUnusable
from promptlab.tune.trainer import Place

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

FILES, JOBS, MODELS = "/files", "/fine_tuning/jobs", "/models"
PER_SECOND = 100_000  # bytes; an upload slower than this counts as broken
GONE = (404, 410)
UNHEARD = ("connect", "unreachable", "transient")
MUTE = (*UNHEARD, "model", "path", "key", "alien", "invalid")
"""Faults of a question that tell that a model cannot be asked; others are about the question."""
INSTEAD = (
    "Many providers serve no fine-tuning jobs, and OpenAI's own take no new ones after 2027-01-06. "
    "Write the files (`tune.trainer: none`) and upload them there by hand, train with `tune.trainer: command`, "
    "or name a tuned model that exists with `tune.trainer: given`."
)


class Refused(Exception):  # noqa: N818 - reads as what it is
    """A step that cannot be done, and why."""

    def __init__(self, fault: Fault, route: str) -> None:
        super().__init__(fault.text)
        self.fault, self.route = fault, route


class Wire:
    """The SDK at one address. Each step is tried again as long as that may help; else Refused."""

    def __init__(self, place: Place, backoff: Backoff) -> None:
        self._place = place
        self._endpoint = place.base.endpoint
        self._patience = Patience(self._endpoint, backoff)
        self._opened: openai.AsyncOpenAI | None = None
        self.hidden = Hidden(place.url, place.api_key)
        """What never gets into a text or a file."""

    @property
    def sdk(self) -> openai.AsyncOpenAI:
        """Made at the first request."""
        if self._opened is None:
            self._opened = client(self._place.url, self._place.api_key)
        return self._opened

    @property
    def jobs(self) -> Any:
        """The SDK's jobs, answering with bytes."""
        return self.sdk.fine_tuning.jobs.with_raw_response

    async def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def answer(self, asking: Awaitable[Any], size: int = 0) -> Answer | Fault:
        """What the server answers, whatever its status; without the secrets that it repeats."""
        value = await answered(asking, self._endpoint.timeout + size / PER_SECOND)
        return self.hidden.cleaned(value) if isinstance(value, Answer) else value

    async def upload(self, name: str, content: bytes) -> str:
        """The id of the file."""

        async def attempt() -> dict[str, Any] | Fault:
            asking = self.sdk.files.with_raw_response.create(
                file=(name, content, "application/jsonl"), purpose="fine-tune"
            )
            return named(await self.answer(asking, len(content)))

        return str((await self.patiently(FILES, attempt))["id"])

    async def get(self, asking: Callable[[], Awaitable[Any]], route: str) -> dict[str, Any] | None:
        """An object; None if the endpoint does not know it."""

        async def attempt() -> dict[str, Any] | Fault:
            answer = await self.answer(asking())
            if isinstance(answer, Answer) and answer.status in GONE:
                return {}
            return parsed(answer)

        return await self.patiently(route, attempt) or None

    async def once(self, asking: Awaitable[Any]) -> dict[str, Any] | None:
        """An object that nothing depends on; None if it does not come at once."""
        value = parsed(await self.answer(asking))
        return value if isinstance(value, dict) else None

    async def content(self, name: str, most: int) -> bytes:
        """What is in a file, up to ``most`` bytes; nothing if it does not come at once."""
        streaming = self.sdk.files.with_streaming_response.content(name)
        answer = await downloaded(streaming, self._endpoint.timeout + most / PER_SECOND, most)
        return answer.body if isinstance(answer, Answer) and 200 <= answer.status < 300 else b""

    async def silent(self) -> str:
        """Why nobody answers at the address; empty if somebody does, whatever is said."""

        async def attempt() -> Answer | Fault:
            return await self.answer(self.sdk.models.with_raw_response.list())

        outcome, _ = await self._patience.through(attempt)
        return self.hidden.told(outcome.text) if isinstance(outcome, Fault) and outcome.kind in UNHEARD else ""

    async def speaks(self, model: str) -> str:
        """Why a model does not answer, asked for one token; empty if it does."""
        chat: Any = self.sdk.chat.completions.with_raw_response

        async def attempt() -> dict[str, Any] | Fault:
            asked = [{"role": "user", "content": "?"}]
            return parsed(await self.answer(chat.create(model=model, messages=asked, max_tokens=1)))

        outcome, _ = await self._patience.through(attempt)
        return self.hidden.told(outcome.text) if isinstance(outcome, Fault) and outcome.kind in MUTE else ""

    async def knows(self, model: str) -> tuple[bool, tuple[str, ...]]:
        """Whether the endpoint has a model, and all that it lists; one that lists nothing is taken to have it."""
        answer = await self.answer(self.sdk.models.with_raw_response.list())
        listed = models(answer.body) if isinstance(answer, Answer) and answer.status == 200 else ()
        if model in listed or not listed:
            return True, listed
        one = await self.answer(self.sdk.models.with_raw_response.retrieve(model))
        return isinstance(one, Answer) and 200 <= one.status < 300, listed

    async def patiently(self, route: str, attempt: Callable[[], Awaitable[T | Fault]]) -> T:
        """What ``attempt`` gives in the end. Raises Refused."""
        outcome, _ = await self._patience.through(attempt)
        if isinstance(outcome, Fault):
            raise Refused(replace(outcome, text=self.hidden.told(outcome.text)), route)
        return outcome

    async def said(self, refused: Refused) -> EndpointUnusable:
        """The error that people read."""
        fault, place = refused.fault, self._place
        url = redact.shown(place.url)
        known = (await self.knows(""))[1] if fault.kind == "model" else ()
        where = Where(url, refused.route, place.base.id, self._endpoint.api_key_env, known)
        unserved = fault.kind in ("path", "alien", "invalid", "failed", "parameter") or (
            fault.text.startswith(("HTTP 403", "HTTP 404", "HTTP 400")) and fault.kind in ("model", "key", "refused")
        )
        if unserved:
            text = f"{url}: the endpoint does not take the job, at {refused.route} ({fault.text}). {INSTEAD}"
        elif fault.kind in AGAIN:
            text = f"{url}: {refused.route} brought nothing ({fault.text}). The same command goes on from here."
        else:
            text = remedy(fault, where)
        return EndpointUnusable(self.hidden.told(text))
