"""The embedded engine as an OpenAI-compatible HTTP server. Any key is accepted; nothing leaves the machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from promptlab.embedded import VERSION
from promptlab.embedded.engine import MODELS, answer
from promptlab.embedded.protocol import ApiError, check_model, completion, model_card, model_list, read_request
from promptlab.errors import BadInput, Problem

if TYPE_CHECKING:
    from aiohttp import web

_LARGEST_BODY = 32 * 2**20
_ROUTES = "GET /v1/models, GET /v1/models/{id}, POST /v1/chat/completions, GET /health"


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    from aiohttp import web

    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json")


async def _chat(request: web.Request) -> web.Response:
    raw = await request.read()
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"The body is not valid JSON: {str(error)[:200]}", None, "invalid_json") from error
    asked = read_request(body)
    said = answer(asked.messages, asked.params)
    identity = hashlib.sha256(raw).hexdigest()[:24]
    return _json(completion(said, asked.params.model, identity, int(time.time())))


async def _models(_: web.Request) -> web.Response:
    return _json(model_list(list(MODELS)))


async def _model(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    check_model(name)
    return _json(model_card(name))


async def _health(_: web.Request) -> web.Response:
    return _json({"status": "ok", "engine": f"embedded@{VERSION}"})


def _refused(error: web.HTTPException, request: web.Request) -> ApiError:
    """The web framework's own refusals (no such route, wrong method, body too large) in OpenAI's shape."""
    place = f"{request.method} {request.path[:200]}"
    if error.status == 413:
        return ApiError(f"The body is larger than {_LARGEST_BODY // 2**20} MB.", None, "request_too_large", 413)
    if error.status == 405:
        return ApiError(
            f"{place}: this method is not allowed here; routes: {_ROUTES}.", None, "method_not_allowed", 405
        )
    if error.status == 404:
        return ApiError(f"{place}: no such route; there are {_ROUTES}.", None, "unknown_url", 404)
    return ApiError(f"{place}: {error.reason}", None, None, error.status)


def app() -> web.Application:
    """The server's application: models, chat completions and health."""
    from aiohttp import web

    @web.middleware
    async def in_openai_shape(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return _json(error.body(), error.status)
        except web.HTTPException as error:
            return _json(_refused(error, request).body(), error.status)

    made = web.Application(client_max_size=_LARGEST_BODY, middlewares=[in_openai_shape])
    made.router.add_get("/v1/models", _models)
    made.router.add_get("/v1/models/{name}", _model)
    made.router.add_post("/v1/chat/completions", _chat)
    made.router.add_get("/health", _health)
    return made


async def _run(host: str, port: int, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set; ``ready`` is told the port once requests are accepted."""
    from aiohttp import web

    runner = web.AppRunner(app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        await site.start()
        ready(int(runner.addresses[0][1]))
        await stop.wait()
    finally:
        await runner.cleanup()


class Server:
    """The server on a free loopback port, in a thread of its own, for as long as the ``with`` block lasts."""

    def __init__(self) -> None:
        self._port = 0
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base_url."""
        return f"http://127.0.0.1:{self._port}/v1"

    def _serve(self) -> None:
        def ready(port: int) -> None:
            self._port = port
            self._ready.set()

        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await _run("127.0.0.1", 0, ready, self._stop)

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits in __enter__
            self._failure = error
        finally:
            self._ready.set()

    def __enter__(self) -> Self:
        """Starts the server and waits until it accepts requests."""
        self._thread = threading.Thread(target=self._serve, name="promptlab-embedded", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise RuntimeError("the embedded server did not start") from self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the server; open connections get a second to finish."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()


def serve(host: str = "127.0.0.1", port: int = 8765, announce: Callable[[str], None] = print) -> None:
    """Serves until Ctrl-C or SIGTERM, then stops cleanly; ``announce`` is told the base_url. Port 0 = a free one.

    Raises BadInput if the address cannot be listened on.
    """

    def ready(actual: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{actual}/v1")

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(name, stop.set)
            except (NotImplementedError, RuntimeError):  # Windows, or not the main thread: Ctrl-C raises instead
                break
        await _run(host, port, ready, stop)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        return
    except OSError as error:
        remedy = "choose another port, or 0 for a free one"
        raise BadInput(
            [Problem(f"cannot listen on {host}:{port}: {error.strerror or error}", remedy=remedy)]
        ) from error
