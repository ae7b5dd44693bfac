"""One HTTP exchange with an OpenAI-compatible server; the openai SDK supplies URL, authentication and headers.

No retries, no judgement, no parsing: bytes go out, an Answer comes back, whatever its status.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit, urlunsplit

if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS = 10.0
MAX_BYTES = 10_000_000
MAX_HOPS = 3
LARGE = 1_000_000  # bytes of a request past which aiohttp wants a file
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
    """The wire of one endpoint. Opens at most ``width`` connections; `close` ends them.

    The SDK's own request path costs four times the CPU of the session underneath it, so requests go through a session
    that is given the SDK's URL and headers.
    """

    def __init__(self, base_url: str, api_key: str, width: int) -> None:
        parts = urlsplit(base_url)
        self._loopback = parts.hostname in LOOPBACK
        host = parts.netloc.rpartition("@")[2] if api_key else parts.netloc  # one way to sign in is enough
        self._base_url = urlunsplit(parts._replace(netloc=host, query="", fragment=""))
        self._query = parts.query
        self._api_key = api_key
        self._width = width
        self._opened: tuple[aiohttp.ClientSession, str] | None = None

    async def post(self, route: str, content: bytes) -> Answer:
        """Send exactly these bytes as JSON; a redirect within the same host is followed with them."""
        session, base = self.open()
        url = self._url(base, route)
        for _ in range(MAX_HOPS):
            answer = await self._exchange(session, "POST", url, content)
            onward = _onward(url, answer)
            if not onward:
                break
            url = onward
        return answer

    async def get(self, route: str) -> Answer:
        """Ask for something that costs nothing, such as /models."""
        session, base = self.open()
        return await self._exchange(session, "GET", self._url(base, route), None)

    async def close(self) -> None:
        """Close every connection."""
        if self._opened is not None:
            await self._opened[0].close()
            self._opened = None

    def open(self) -> tuple[aiohttp.ClientSession, str]:
        """The session and the SDK's base URL, made at the first request: a run that is all known opens nothing."""
        if self._opened is None:
            import aiohttp

            url, headers = _of_sdk(self._base_url, self._api_key)
            self._opened = (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=self._width),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
                    trust_env=not self._loopback,  # a proxy of the environment cannot reach our own engine
                ),
                url,
            )
        return self._opened

    def _url(self, base: str, route: str) -> str:
        url = base.rstrip("/") + route
        return f"{url}?{self._query}" if self._query else url

    async def _exchange(self, session: aiohttp.ClientSession, method: str, url: str, content: bytes | None) -> Answer:
        """The answer of one URL. Lost if none came."""
        import aiohttp

        # aiohttp warns of large bytes; as a file they are sent piece by piece
        data: Any = BytesIO(content) if content is not None and len(content) > LARGE else content
        try:
            async with session.request(method, url, data=data, allow_redirects=False) as response:
                body = await _bounded(response)
                return Answer(response.status, response.headers, body)
        except (aiohttp.ClientError, OSError, EOFError, ValueError) as error:
            raise Lost from error


def _of_sdk(base_url: str, api_key: str) -> tuple[str, dict[str, str]]:
    """The URL and the headers with which the openai SDK would ask: authentication, agent, what it says of itself."""
    import httpx2
    import openai

    sdk = openai.AsyncOpenAI(
        base_url=base_url,
        api_key=api_key,
        admin_api_key="",  # else the SDK would send OPENAI_ADMIN_KEY where no key is set
        # never used to ask; a context without certificates trusts nobody, and takes no time to make
        http_client=httpx2.AsyncClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False),
    )
    asked = {**sdk.default_headers, **sdk.auth_headers}
    headers = {name: value for name, value in asked.items() if isinstance(value, str)}
    if not api_key:
        headers.pop("Authorization", None)
    headers["Accept-Encoding"] = "identity"  # so that MAX_BYTES bounds memory, too
    return str(sdk.base_url), headers


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The whole body; TooLarge as soon as it is too long, also without a Content-Length."""
    length = response.content_length
    if length is not None and length <= MAX_BYTES and "Content-Encoding" not in response.headers:
        return await response.read()
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > MAX_BYTES:
            raise TooLarge(f"the answer is larger than {MAX_BYTES // 1_000_000} MB")
    return bytes(read)


def _onward(at: str, answer: Answer) -> str:
    """Where a redirect leads that keeps method, body and host; empty for all else (the key must not travel)."""
    if answer.status not in (307, 308) or not answer.headers.get("location"):
        return ""
    try:
        here, there = urlsplit(at), urlsplit(urljoin(at, answer.headers["location"]))
    except ValueError:  # no address at all
        return ""
    same = here.hostname == there.hostname and (here[:2] == there[:2] or there.scheme == "https")
    return there.geturl() if same else ""
