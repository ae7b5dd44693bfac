"""One HTTP exchange with an OpenAI-compatible server; the openai SDK supplies URL, authentication and headers.

No retries, no judgement, no parsing: bytes go out, an Answer comes back, whatever its status.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urljoin, urlsplit, urlunsplit

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

CONNECT_SECONDS = 10.0
MAX_BYTES = 10_000_000
MAX_HOPS = 3
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sent: status, headers (any case), the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(Exception):  # noqa: N818 - reads as what it is
    """No answer came; the cause says why."""


class TooLarge(Lost):
    """The answer is larger than MAX_BYTES: no completion is, so the rest is not read."""


class Client:
    """The wire of one endpoint. Opens at most ``width`` connections; `close` ends them."""

    def __init__(self, base_url: str, api_key: str, width: int) -> None:
        parts = urlsplit(base_url)
        self._loopback = parts.hostname in LOOPBACK
        self._plain = self._loopback and parts.scheme == "http"
        host = parts.netloc.rpartition("@")[2] if api_key else parts.netloc  # one way to sign in is enough
        self._base_url = urlunsplit(parts._replace(netloc=host, query="", fragment=""))
        self._query = dict(parse_qsl(parts.query))
        self._api_key = api_key
        self._width = width
        self._opened: AsyncOpenAI | None = None

    async def post(self, route: str, content: bytes) -> Answer:
        """Send exactly these bytes as JSON; a redirect within the same host is followed with them."""
        url = route
        for _ in range(MAX_HOPS):
            answer, at = await self._exchange("post", url, content)
            onward = _onward(at, answer)
            if not onward:
                break
            url = onward
        return answer

    async def get(self, route: str) -> Answer:
        """Ask for something that costs nothing, such as /models."""
        answer, _ = await self._exchange("get", route, None)
        return answer

    async def close(self) -> None:
        """Close every connection."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _exchange(self, method: str, url: str, content: bytes | None) -> tuple[Answer, str]:
        """The answer, and the URL that gave it. Lost if none came: SDK, httpx and aiohttp leak each other's errors."""
        import aiohttp
        import httpx2
        import openai

        sdk = self.open()
        # Without a key the SDK wants to be told, per request, that none is meant to be sent.
        options: Any = {} if self._api_key else {"headers": {"Authorization": openai.Omit()}}
        try:
            if method == "post":
                response = await sdk.post(url, cast_to=httpx2.Response, content=content, options=options)
            else:
                response = await sdk.get(url, cast_to=httpx2.Response, options=options)
        except openai.APIStatusError as error:
            response = error.response
        except (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError, OSError, EOFError, RecursionError) as error:
            raise Lost from error
        return Answer(response.status_code, response.headers, response.content), str(response.request.url)

    def open(self) -> AsyncOpenAI:
        """The SDK's client, made at the first request: a run that is all in the cache never imports openai."""
        if self._opened is not None:
            return self._opened
        import httpx2
        import openai

        self._opened = openai.AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._api_key,
            admin_api_key="",  # else the SDK would send OPENAI_ADMIN_KEY where no key is set
            max_retries=0,
            timeout=openai.Timeout(None, connect=CONNECT_SECONDS),
            default_headers={"Accept-Encoding": "identity"},  # so that MAX_BYTES bounds memory too
            default_query=self._query or None,
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=self._width, max_keepalive_connections=self._width),
                follow_redirects=False,
                # Loading the world's certificates takes 30 ms; a context without any trusts nobody.
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self._plain else True,
                trust_env=not self._loopback,  # a proxy of the environment cannot reach our own engine
                event_hooks={"response": [_cap]},
            ),
        )
        return self._opened


def _onward(at: str, answer: Answer) -> str:
    """Where a redirect leads that keeps method, body and host; empty for all else (the key must not travel)."""
    if answer.status not in (307, 308) or not answer.headers.get("location"):
        return ""
    here, there = urlsplit(at), urlsplit(urljoin(at, answer.headers["location"]))
    same = here.hostname == there.hostname and (here[:2] == there[:2] or there.scheme == "https")
    return there.geturl() if same else ""


async def _cap(response: httpx2.Response) -> None:
    """A response hook: bound what is read of any body, also of one without a Content-Length."""
    length = response.headers.get("content-length", "")
    if not (length.isdecimal() and int(length) <= MAX_BYTES):
        response.stream = _bounded()(response.stream)


@cache
def _bounded() -> Any:
    """The class of a bounded stream: made late, because httpx2 is imported late."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            read = 0
            async for chunk in self._stream:
                read += len(chunk)
                if read > MAX_BYTES:
                    raise TooLarge(f"the answer is larger than {MAX_BYTES // 1_000_000} MB")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Bounded
