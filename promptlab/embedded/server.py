"""The embedded engine as an OpenAI-compatible HTTP server. Any key is accepted; nothing leaves the machine."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from promptlab.embedded.app import app
from promptlab.embedded.files import Files
from promptlab.errors import BadInput, Problem

if TYPE_CHECKING:
    from aiohttp import web


async def _run(
    made: web.Application, address: tuple[str, int], ready: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Serves until ``stop`` is set; ``ready`` is told the port once requests are accepted."""
    from aiohttp import web

    runner = web.AppRunner(made, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, *address, backlog=1024)
        await site.start()
        ready(int(runner.addresses[0][1]))
        await stop.wait()
    finally:
        await runner.cleanup()


class Server:
    """The server on a free loopback port, in a thread of its own, for as long as the ``with`` block lasts.

    ``files``: where uploads are kept, if not in an empty store of 512 MB.
    """

    def __init__(self, files: Files | None = None) -> None:
        self._files = files
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
            await _run(app(self._files), ("127.0.0.1", 0), ready, self._stop)

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
        await _run(app(), (host, port), ready, stop)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        return
    except OSError as error:
        remedy = "choose another port, or 0 for a free one"
        raise BadInput(
            [Problem(f"cannot listen on {host}:{port}: {error.strerror or error}", remedy=remedy)]
        ) from error
