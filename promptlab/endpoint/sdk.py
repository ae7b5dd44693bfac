"""The openai SDK as the client of what is rare: files, batches, fine-tuning. One attempt a time, nothing believed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from promptlab.endpoint.client import CONNECT_SECONDS, LOOPBACK, Answer
from promptlab.endpoint.complaint import line
from promptlab.endpoint.fault import Fault, of_exception

if TYPE_CHECKING:
    import httpx2
    import openai

NO_KEY = "there-is-no-key"


def client(base_url: str, api_key: str) -> openai.AsyncOpenAI:
    """The SDK for an endpoint: its retries are off, and redirects are not followed. Without a key none is sent.

    The caller closes it.
    """
    import httpx2
    import openai

    parts = urlsplit(base_url)
    host = parts.netloc.rpartition("@")[2] if api_key else parts.netloc  # one way to sign in is enough
    ours = parts.hostname in LOOPBACK
    secure = parts.scheme == "https"
    return openai.AsyncOpenAI(
        base_url=urlunsplit(parts._replace(netloc=host, query="", fragment="")),
        api_key=api_key or NO_KEY,
        admin_api_key="",  # else the SDK would send OPENAI_ADMIN_KEY where no key is set
        max_retries=0,
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),  # each attempt has a total of its own
        default_headers={"Accept-Encoding": "identity"},  # so that what is read bounds memory, too
        default_query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        http_client=httpx2.AsyncClient(
            # a proxy of the environment cannot reach our own engine; certificates take long to load
            trust_env=not ours,
            verify=True if secure or not ours else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            event_hooks={"request": [_without_key]},
        ),
    )


async def _without_key(request: httpx2.Request) -> None:
    """The SDK cannot be told once for all to send no key."""
    if request.headers.get("Authorization") == f"Bearer {NO_KEY}":
        del request.headers["Authorization"]


async def answered(asking: Awaitable[Any], seconds: float) -> Answer | Fault:
    """What the server answers to a call of ``sdk.….with_raw_response``, whatever its status; a Fault if nothing."""

    async def work() -> Answer:
        response = (await asking).http_response
        return Answer(response.status_code, response.headers, response.content)

    return await _caught(work(), seconds)


async def downloaded(streaming: Any, seconds: float, most: int) -> Answer | Fault:
    """The body that a call of ``sdk.….with_streaming_response`` brings, cut off after ``most`` bytes."""

    async def work() -> Answer:
        read = bytearray()
        async with streaming as response:
            async for piece in response.iter_bytes():
                read += piece
                if len(read) >= most:
                    break
            return Answer(response.http_response.status_code, response.headers, bytes(read[:most]))

    return await _caught(work(), seconds)


async def _caught(work: Awaitable[Answer], seconds: float) -> Answer | Fault:
    """The answer, or what the SDK raises as one or as a fault."""
    import httpx2
    import openai

    try:
        async with asyncio.timeout(seconds):
            return await work
    except openai.APIStatusError as error:
        return Answer(error.status_code, error.response.headers, error.response.content)
    except (openai.APIConnectionError, httpx2.HTTPError, OSError) as error:
        return _lost(error, seconds)
    except (openai.OpenAIError, ValueError) as error:  # the SDK lets broken JSON escape as it is
        return Fault("alien", line(f"an answer that nobody can read: {error}"))


def _lost(error: Exception, seconds: float) -> Fault:
    """The fault of an attempt that brought no answer."""
    import httpx2
    import openai

    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
    if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return Fault("connect", line(f"no connection: {cause}".rstrip(": ")))
    if isinstance(cause, httpx2.UnsupportedProtocol):
        return Fault("unreachable", "the address cannot be asked")
    if isinstance(cause, (httpx2.TimeoutException, TimeoutError)):
        return of_exception(TimeoutError(), seconds)
    return of_exception(error, seconds)
