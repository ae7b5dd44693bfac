"""The page over HTTP on this machine alone, built anew whenever the run has closed a round."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from promptlab.errors import PromptlabError
from promptlab.report.log import pulse
from promptlab.report.page import drawn, waiting
from promptlab.report.source import read_source

HOST = "127.0.0.1"
SECONDS = 1.0  # between looks at the log
LAST = 2.0  # seconds that a page half read may take when all ends
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


@dataclass(slots=True)
class Shown:
    """The page as it stands. ``rounds``: how many closed rounds it holds; ``whole``: it will not change any more."""

    html: str
    rounds: int = 0
    whole: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def renew(self, folder: Path) -> None:
        """Read the run again. One that has closed no round yet, or cannot be read, leaves its reason on the page."""
        try:
            source = read_source(folder)
            html, rounds, whole = drawn(source, served=True), len(source.log.rounds), source.whole
        except PromptlabError as error:
            html, rounds, whole = waiting(str(error)), 0, False
        with self.lock:
            if html and (rounds or not self.rounds):
                self.html, self.rounds, self.whole = html, rounds, whole


def serve(folder: Path, port: int = 0, announce: Callable[[str], None] = lambda _: None) -> None:
    """Serve the page of a run until interrupted; ``announce`` is told where. Raises BadInput where there is no run.

    Raises OSError where the port is taken.
    """
    pulse(folder)  # is there a run at all
    shown = Shown(waiting("Reading the run …"))  # a large one takes seconds
    stopped = threading.Event()
    watching = threading.Thread(target=_watch, args=(folder, shown, stopped), daemon=True)
    with ThreadingHTTPServer((HOST, port), _handler(folder, shown)) as server:
        server.daemon_threads = True
        watching.start()
        announce(f"http://{HOST}:{server.server_port}/")
        try:
            server.serve_forever(poll_interval=0.1)
        finally:
            stopped.set()
            watching.join(LAST)


def _watch(folder: Path, shown: Shown, stopped: threading.Event) -> None:
    """Build the page again when a round was closed, until the run is complete."""
    shown.renew(folder)
    while not shown.whole and not stopped.wait(SECONDS):
        try:
            now = pulse(folder)
        except PromptlabError:
            continue
        if now["rounds"] != shown.rounds or now["completed"]:
            shown.renew(folder)


def answer(folder: Path, shown: Shown, path: str) -> tuple[int, str, bytes]:
    """(status, type, body) for a path: the page, and how far the run is."""
    if path == "/":
        with shown.lock:
            return 200, "text/html; charset=utf-8", shown.html.encode()
    if path == "/pulse":
        try:
            now: Mapping[str, Any] = pulse(folder)
        except PromptlabError as error:
            return 503, "application/json", json.dumps({"error": str(error)}).encode()
        with shown.lock:
            return 200, "application/json", json.dumps({**now, "shown": shown.rounds, "whole": shown.whole}).encode()
    return 404, "text/plain; charset=utf-8", b"There is one page here: /\n"


def allowed(host: str | None, port: int) -> bool:
    """Whether a request was meant for this server: a foreign name that resolves to this machine is not (rebinding)."""
    return host in {f"{name}:{port}" for name in (HOST, "localhost")}


def _handler(folder: Path, shown: Shown) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            if not allowed(self.headers.get("Host"), self.server.server_address[1]):  # type: ignore[index, arg-type]
                self._send(421, "text/plain; charset=utf-8", b"This page is for this machine alone.\n")
                return
            self._send(*answer(folder, shown, urlsplit(self.path).path))

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "promptlab"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing: the terminal is for people."""

    return Handler
