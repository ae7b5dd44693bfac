"""Servers that nobody here wrote, each started where the environment says that it is installed, else skipped.

PROMPTLAB_LLAMA_PYTHON   a Python that has llama-cpp-python[server] and gguf (0.3.36 was seen)
PROMPTLAB_AIMOCK         a folder where `npx llmock` starts @copilotkit/aimock (1.43.0 was seen)
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A server's base_url, its root, and what it counts: requests by method and path."""

    url: str
    root: str
    counted: Callable[[], Counter[str]]


def where(name: str) -> str:
    found = os.environ.get(name, "")
    if not found:
        pytest.skip(f"{name} does not say where it is installed")
    return found


def read(url: str, method: str = "GET", body: Any = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    asking = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(asking, timeout=10) as answer:
        return str(answer.read().decode())


def fetched(url: str) -> Any:
    return json.loads(read(url))


@contextmanager
def started(command: Sequence[str], folder: Path, log: Path, root: str) -> Iterator[None]:
    """A server that runs as long as the block, from when it answers; its children end with it."""
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file, start_new_session=True)
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                read(f"{root}/v1/models")
                break
            except (OSError, urllib.error.URLError):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, f"it does not answer: {log.read_text()}"
                time.sleep(0.1)
        yield
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_root() -> tuple[str, str]:
    """A port that is free now, and the address of a server there."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    return port, f"http://127.0.0.1:{port}"


@contextmanager
def llama_cpp(folder: Path, model: str) -> Iterator[Server]:
    """llama-cpp-python's server, on a model made on the spot; its log tells what it was asked."""
    python = where("PROMPTLAB_LLAMA_PYTHON")
    subprocess.run([python, str(Path(__file__).with_name("tiny_gguf.py")), str(folder / "tiny.gguf")], check=True)
    port, root = free_root()
    command = [python, "-m", "llama_cpp.server", "--model", "tiny.gguf", "--model_alias", model, "--n_ctx", "2048",
               "--logits_all", "True", "--embedding", "True", "--host", "127.0.0.1", "--port", port]  # fmt: skip

    def counted() -> Counter[str]:
        return Counter(re.findall(r'"((?:GET|POST) \S+) HTTP/1.1" \d+', (folder / "log").read_text()))

    with started(command, folder, folder / "log", root):
        yield Server(f"{root}/v1", root, counted)


@contextmanager
def aimock(folder: Path, fixtures: list[dict[str, Any]]) -> Iterator[Server]:
    """The package's server with these answers; its journal tells what it was asked."""
    home = where("PROMPTLAB_AIMOCK")
    (folder / "answers.json").write_text(json.dumps({"fixtures": fixtures}))
    port, root = free_root()
    command = ["npx", "--no-install", "llmock", "-p", port, "-f", str(folder / "answers.json"), "--journal-max", "0"]

    def counted() -> Counter[str]:
        return Counter(f"{each['method']} {each['path']}" for each in fetched(f"{root}/__aimock/journal"))

    with started(command, Path(home), folder / "log", root):
        yield Server(f"{root}/v1", root, counted)
