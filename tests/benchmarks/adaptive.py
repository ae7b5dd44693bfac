"""How a pool does at a server that says 429: the rate reached, answers in vain, rows lost.

    python tests/benchmarks/adaptive.py [--seconds 15] [--only TEXT]

The server is our own, in a process of its own, with answers after 50 ms. ``allowed`` is a token bucket of 200 calls a
second that holds one second's worth, so the first 200 calls are free; ``spare`` is one that holds a tenth of that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

ANSWER = json.dumps(
    {
        "id": "x", "object": "chat.completion", "model": "mock",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "neutral"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 2, "total_tokens": 52},
    }
).encode()  # fmt: skip


@dataclass(frozen=True)
class Manner:
    """How the server behaves: calls a second and how many it lets through at once, shares of random faults."""

    rate: float = 0.0
    holds: float = 200.0
    retry_after: int = 0
    limited: float = 0.0
    broken: float = 0.0
    slow: float = 0.0


MANNERS = {
    "allowed 200/s": Manner(200.0),
    "allowed 200/s, Retry-After: 1": Manner(200.0, retry_after=1),
    "allowed 200/s, spare": Manner(200.0, 20.0),
    "allowed 200/s, spare, Retry-After: 1": Manner(200.0, 20.0, retry_after=1),
    "5 % 429, 2 % 500 at random": Manner(limited=0.05, broken=0.02),
    "no fault": Manner(),
    "2 % ten times slower": Manner(slow=0.02),
}


class Server(asyncio.Protocol):
    """Behaves as it is told to by PUT /manner; counts what it did, and how many were in flight, weighted by time."""

    manner = Manner()
    free = at = 0.0
    flying = area = first = last = 0.0
    told: dict[int, int] = {}  # noqa: RUF012 - one server, one count

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.held = transport, b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, _, body = self.held.partition(b"\r\n\r\n")
            sizes = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if len(body) < (size := sum(sizes)):
                return
            self.held = body[size:]
            if head.startswith(b"PUT"):
                self.reset(Manner(**json.loads(body[:size])))
            elif head.startswith(b"GET"):
                self.tell()
            else:
                self.answer()

    def reset(self, manner: Manner) -> None:
        Server.manner, Server.free, Server.told = manner, manner.holds, {}
        Server.at = Server.flying = Server.area = Server.first = Server.last = 0.0
        self.write(200, b"{}")

    def tell(self) -> None:
        span = Server.last - Server.first
        in_flight = Server.area / span if span else 0.0
        told = {str(status): count for status, count in Server.told.items()}
        self.write(200, json.dumps({"span": span, "in_flight": in_flight, "told": told}).encode())

    def answer(self) -> None:
        self.step(1)
        manner, status, seconds = Server.manner, 200, 0.05
        dice = random.random()
        if manner.rate:
            now = time.perf_counter()
            Server.free = (
                min(manner.holds, Server.free + (now - Server.at) * manner.rate) if Server.at else manner.holds
            )
            Server.at = now
            status = 200 if Server.free >= 1 else 429
            Server.free -= status == 200
        elif dice < manner.limited + manner.broken:
            status = 429 if dice < manner.limited else 500
        elif dice < manner.slow:
            seconds *= 10
        asyncio.get_running_loop().call_later(seconds if status == 200 else 0.0, self.reply, status)

    def reply(self, status: int) -> None:
        self.step(-1)
        Server.told[status] = Server.told.get(status, 0) + 1
        self.write(status, ANSWER if status == 200 else b'{"error": {"message": "no", "code": "no"}}')

    def write(self, status: int, body: bytes) -> None:
        wait = (
            b"Retry-After: %d\r\n" % Server.manner.retry_after if status == 429 and Server.manner.retry_after else b""
        )
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
        self.transport.write(head % (status, wait, len(body)) + body)  # type: ignore[attr-defined]

    @staticmethod
    def step(change: int) -> None:
        now = time.perf_counter()
        Server.area += Server.flying * (now - Server.last) if Server.last else 0.0
        Server.first, Server.last = Server.first or now, now
        Server.flying += change


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def sweep(url: str, width: int, calls: int) -> tuple[float, int, float]:
    """(wall seconds, rows lost, CPU seconds) of a pool that asks ``calls`` rows, ``width`` at once."""
    from promptlab.endpoint.pool import Pool
    from promptlab.records import Endpoint, Model, Request

    endpoint = Endpoint(f"{url}/v1", concurrency=width)
    model, rows, lost = Model("mock", endpoint, "mock"), iter(range(calls)), 0

    async def work(pool: Pool) -> None:
        nonlocal lost
        for number in rows:
            body = {"model": "mock", "messages": [{"role": "user", "content": f"row {number}"}], "temperature": 0}
            call = await pool.call(Request(model, "/chat/completions", body))
            lost += call.completion is None

    async with Pool(endpoint, f"{url}/v1", "none") as pool:
        await pool.listed()  # what is imported at the first call is not measured
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(pool) for _ in range(width)))
        return time.perf_counter() - wall, lost, time.process_time() - cpu


def ask(url: str, method: str, body: bytes | None = None) -> dict[str, float]:
    with urllib.request.urlopen(urllib.request.Request(f"{url}/manner", body, method=method)) as answer:
        found: dict[str, float] = json.loads(answer.read())
        return found


def measure(url: str, name: str, manner: Manner, width: int, seconds: float) -> None:
    calls = int(seconds * (manner.rate or (200 if manner.limited else 12 * width)))
    ask(url, "PUT", json.dumps(asdict(manner)).encode())
    wall, lost, cpu = asyncio.run(sweep(url, width, calls))
    stats: dict[str, float] = ask(url, "GET")
    told: dict[str, int] = stats["told"]  # type: ignore[assignment]
    reached = (calls - lost) / wall
    print(
        f"{name:37} width {width:3}",
        f"{reached:6.0f}/s" + (f" = {reached / manner.rate:.2f} of what is allowed" if manner.rate else ""),
        f"429: {told.get('429', 0)}   500: {told.get('500', 0)}   of {sum(told.values())}",
        f"rows lost {lost} of {calls}",
        f"in flight {stats['in_flight']:.1f}",
        f"cpu {1000 * cpu / calls:.2f} s/1k",
        sep="   ",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long a case lasts at the allowed rate")
    parser.add_argument("--only", default="", help="only the cases whose name holds this text")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve())
        return
    here = [sys.executable, str(Path(__file__).resolve()), "--serve"]
    server = subprocess.Popen(here, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    try:
        for name, manner in MANNERS.items():
            for width in (64, 256):
                if asked.only in name:
                    measure(url, name, manner, width, asked.seconds)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
