"""How well `promptlab mine` drives an endpoint, as ratios to a bare aiohttp loop on the same job in the same run.

    python tests/benchmarks/throughput.py [--concurrency 256] [--allocate halving] [--slow 2] [--rows 2500]

The job: 40 variants on 250 rows, about 500 tokens a request, answers after 50 ms from a server of our own in a process
of its own (``--slow``: that many per cent of them after ten times as long). The bare loop sends what a full sweep
sends, and renders nothing, keeps nothing and scores nothing; promptlab is the whole command, start to end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

WORDS = tuple(
    "the service was slow but food arrived warm and staff smiled while music played over a crowded room".split()  # noqa: SIM905 - reads as text
)
LABELS = ("positive", "negative", "neutral", "mixed")
ANSWER = json.dumps(
    {
        "id": "x", "object": "chat.completion", "model": "mock",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "neutral"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 2, "total_tokens": 502},
    }
).encode()  # fmt: skip
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)


class Mock(asyncio.Protocol):
    """Answers every request after ``latency`` seconds; counts how many are in flight, weighted by time."""

    latency = 0.05
    slow = 0
    flying = area = calls = 0
    first = last = moment = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.held = transport, b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, _, body = self.held.partition(b"\r\n\r\n")
            size = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            if len(body) < size:
                return
            self.held = body[size:]
            if head.startswith(b"GET /stats"):
                self.tell()
            else:
                self.step(1)
                late = Mock.slow and Mock.calls * 61 % 100 < Mock.slow
                asyncio.get_running_loop().call_later(Mock.latency * (10 if late else 1), self.reply)

    @staticmethod
    def step(change: int) -> None:
        now = time.perf_counter()
        Mock.area += Mock.flying * (now - Mock.moment) if Mock.moment else 0
        Mock.first, Mock.moment, Mock.last = Mock.first or now, now, now
        Mock.flying += change
        Mock.calls += change > 0

    def reply(self) -> None:
        self.step(-1)
        self.transport.write(REPLY)  # type: ignore[attr-defined]

    def tell(self) -> None:
        span = Mock.last - Mock.first
        body = json.dumps({"calls": Mock.calls, "span": span, "in_flight": Mock.area / span if span else 0}).encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))  # type: ignore[attr-defined]
        Mock.flying = Mock.area = Mock.calls = 0
        Mock.first = Mock.last = Mock.moment = 0.0


async def serve(latency: float, slow: int) -> None:
    Mock.latency, Mock.slow = latency, slow
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def text(seed: int, words: int) -> str:
    return " ".join(WORDS[(seed * 7 + k * k + k) % len(WORDS)] for k in range(words))


async def bare(url: str, variants: int, rows: int, width: int) -> None:
    import aiohttp

    jobs = iter([(v, r) for v in range(variants) for r in range(rows)])
    prompts = [f"Variant {v}. {text(v, 380)}" for v in range(variants)]

    async def work(session: aiohttp.ClientSession) -> None:
        for v, r in jobs:
            messages = [{"role": "user", "content": f"{prompts[v]}\nRow {r}: {text(r, 30)}"}]
            async with session.post(f"{url}/chat/completions", json={"model": "mock", "messages": messages}) as answer:
                json.loads(await answer.read())["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(width)))


def project(folder: Path, url: str, variants: int, rows: int, width: int, allocate: str) -> None:
    (folder / "templates").mkdir()
    for v in range(variants):
        source = f"Variant {v}. {text(v, 380)}\nRow {{{{ text }}}}"
        (folder / "templates" / f"t{v:03d}.j2").write_text(source)
    data = [{"text": f"{r}: {text(r, 30)}", "label": LABELS[r % 4]} for r in range(rows)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in data))
    (folder / "experiment.yaml").write_text(f"""
endpoint: {{base_url: "{url}", concurrency: {width}}}
models: [mock]
data: {{path: rows.jsonl, inputs: [text], label: label, split: all}}
templates: [templates/*.j2]
search: {{propose: [grid], allocate: {allocate}, budget: {{calls: 10000000}}}}
""")


def measured(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Wall and CPU seconds of a process, start to end, and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = (("variants", 40), ("rows", 250), ("latency", 50), ("concurrency", 64), ("slow", 0), ("rounds", 2))
    for name, default in numbers:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--allocate", default="full")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bare", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve(asked.latency / 1000, asked.slow))
    elif asked.bare:
        asyncio.run(bare(asked.bare, asked.variants, asked.rows, asked.concurrency))
    else:
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    same = ("variants", "rows", "latency", "concurrency", "slow")
    here = [sys.executable, str(Path(__file__).resolve()), *(f"--{name}={getattr(asked, name)}" for name in same)]
    server = subprocess.Popen([*here, "--serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    mine = [sys.executable, "-m", "promptlab", "mine", ".", "--yes"]
    try:
        for _ in range(asked.rounds):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                project(folder, f"{url}/v1", asked.variants, asked.rows, asked.concurrency, asked.allocate)
                bare_loop = measured([*here, "--bare", f"{url}/v1"], folder)
                base = tell("bare loop", bare_loop, bare_loop, stats(url), asked.concurrency)
                tell("promptlab", measured(mine, folder), bare_loop, stats(url), asked.concurrency, base)
                tell("again, all known", measured(mine, folder), bare_loop, stats(url), asked.concurrency, base)
    finally:
        server.kill()
        server.wait()


def stats(url: str) -> dict[str, float]:
    """What the server saw since this was last asked."""
    with urllib.request.urlopen(f"{url}/stats") as answer:
        found: dict[str, float] = json.loads(answer.read())
    return found


def tell(
    name: str,
    taken: tuple[float, float, float],
    base: tuple[float, float, float],
    seen: dict[str, float],
    width: int,
    calls: float = 0,
) -> float:
    """Print one line; the calls of the bare loop. What asks fewer calls is compared call by call."""
    share = (seen["calls"] or calls) / calls if calls else 1.0
    wall, cpu, memory = taken
    print(
        f"{name:17} wall {wall:6.2f} s = {wall / base[0] / share:.2f} x",
        f"cpu {cpu:6.2f} s = {cpu / base[1] / share:.2f} x",
        f"calls {seen['calls']}",
        f"in flight {seen['in_flight']:.1f} of {width} = {seen['in_flight'] / width:.2f}",
        f"peak {memory:.0f} MB",
        sep="   ",
        flush=True,
    )
    return seen["calls"] or calls


if __name__ == "__main__":
    main()
