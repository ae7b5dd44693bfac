"""A scriptable server of /v1/files and /v1/fine_tuning/jobs on 127.0.0.1, and a tuning in a process that can be killed.

with TuneServer() as server:
    server.instead["create"].append(error(503))    # the next creation is answered by this
    server.final = "failed"                          # how a job ends after `polls` looks
    server.lost = 1                                  # the next job is made, its creation answered by a broken wire
    assert len(server.jobs) == 1
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from aiohttp import web
from fault_server import FaultServer, Reply, Seen, error, raw

from promptlab.endpoint.retry import Backoff
from promptlab.errors import PromptlabError
from promptlab.prepare import opened
from promptlab.tune.jobs import Jobs
from promptlab.tune.memory import Memory
from promptlab.tune.settings import TuneSettings
from promptlab.tune.tune import tune


class TuneServer(FaultServer):
    """Keeps files and jobs; ``instead`` holds, by step, replies in place of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.polls = 2
        self.final = "succeeded"
        self.error: Any = None
        self.lost = 0
        self.metadata = True
        self.tokens: Any = 1000
        self.listed: list[str] = ["base"]
        self.speaking: list[str] = []
        self.marks: list[dict[str, Any]] | None = None
        self.results: dict[str, bytes] = {}
        self.instead: dict[str, deque[Reply]] = defaultdict(deque)
        self.always: dict[str, Reply] = {}
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []
        self._left: dict[str, int] = {}

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        step = self._step(request)
        content = await request.read()
        self.seen.append(Seen(request.method, request.path_qs, dict(request.headers), content, time.monotonic()))
        if self.instead[step]:
            return await self._answer(request, self.instead[step].popleft())
        if step in self.always:
            return await self._answer(request, self.always[step])
        return await self._answer(request, self._own(step, request, content))

    def _own(self, step: str, request: web.Request, content: bytes) -> Reply:
        name = request.path.rstrip("/").split("/")[4] if request.path.count("/") > 3 else ""
        if step == "upload":
            known = f"file-{len(self.files) + 1}"
            self.files[known] = content
            return raw(json.dumps({"id": known, "object": "file", "purpose": "fine-tune"}))
        if step == "models":
            return raw(json.dumps({"object": "list", "data": [{"id": each} for each in self.listed]}))
        if step == "model":
            known = request.path.split("/")[3]
            return raw(json.dumps({"id": known})) if known in self.listed else error(404, f"no model {known}")
        if step == "create":
            return self._create(json.loads(content))
        if step == "chat":
            asked = json.loads(content)["model"]
            said = {"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}]}
            return raw(json.dumps(said)) if asked in self.speaking else error(404, f"The model {asked} does not exist")
        if step == "content":
            name = request.path.split("/")[3]
            return raw(self.results[name].decode()) if name in self.results else error(404, "no such file")
        if step == "list":
            shown = [self._shown(each) for each in list(self.jobs)[::-1]]
            return raw(json.dumps({"object": "list", "data": shown, "has_more": False}))
        if name not in self.jobs:
            return error(404, f"no job {name}")
        if step == "events":
            event = {"id": "e1", "object": "fine_tuning.job.event", "message": "step 1\x1b[31m", "level": "info"}
            return raw(json.dumps({"object": "list", "data": [event], "has_more": False}))
        if step == "checkpoints":
            return error(404, "no such route") if self.marks is None else raw(json.dumps({"data": self.marks}))
        if step == "cancel":
            self.jobs[name]["status"] = "cancelled"
            return raw(json.dumps(self._shown(name)))
        self._advance(name)
        return raw(json.dumps(self._shown(name)))

    def _create(self, body: dict[str, Any]) -> Reply:
        self.bodies.append(body)
        name = f"ftjob-{len(self.jobs) + 1}"
        self.jobs[name] = {"id": name, "object": "fine_tuning.job", "status": "validating_files", **body}
        self._left[name] = self.polls
        if self.lost:
            self.lost -= 1
            return Reply(how="reset")
        return raw(json.dumps(self._shown(name)))

    def _shown(self, name: str) -> dict[str, Any]:
        return self.jobs[name] | ({} if self.metadata else {"metadata": None})

    def _advance(self, name: str) -> None:
        job = self.jobs[name]
        if job["status"] in ("succeeded", "failed", "cancelled"):
            return
        self._left[name] -= 1
        job["status"] = "running"
        if self._left[name] > 0:
            return
        job["status"] = self.final
        if self.final == "succeeded":
            job |= {
                "fine_tuned_model": f"ft:base:{name}",
                "trained_tokens": self.tokens,
                "created_at": 5,
                "finished_at": 9,
            }
            job["result_files"] = list(self.results)
            self.listed.append(f"ft:base:{name}")
        job["error"] = self.error

    def _step(self, request: web.Request) -> str:
        parts = request.path.strip("/").split("/")[1:]
        if parts[0] == "files":
            return "upload" if request.method == "POST" else "content"
        if parts[0] == "chat":
            return "chat"
        if parts[0] == "models":
            return "models" if len(parts) == 1 else "model"
        if request.method == "POST":
            return "create" if len(parts) == 2 else "cancel"
        return "list" if len(parts) == 2 else parts[-1] if parts[-1] in ("events", "checkpoints") else "poll"


HASTY = (Backoff(base=0.002, cap=0.01), 0.01)
"""Waits in milliseconds, in place of the defaults of Jobs."""
PRELOADED = ["aiohttp", "openai", "pandas", "scipy.stats", "promptlab.tune.tune", "promptlab.tune.jobs"]


@contextmanager
def tuning(experiment: Path, dies: str = "", **settings: Any) -> Iterator[ForkServerProcess]:
    """A tuning in a process of its own, forked from a server that holds the imports; killed at the end.

    ``dies``: it kills itself where it would note this fact ("-FACT": right after).
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_tune, args=(str(experiment), settings, dies))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _tune(experiment: str, settings: dict[str, Any], dies: str) -> None:
    if dies:
        _note = Memory.note

        def note(memory: Memory, name: str, value: Any) -> None:
            if name == dies.removeprefix("-"):
                if dies.startswith("-"):
                    _note(memory, name, value)
                os.kill(os.getpid(), signal.SIGKILL)
            _note(memory, name, value)

        Memory.note = note  # type: ignore[method-assign, assignment]
    Jobs.__init__.__defaults__ = HASTY
    with (Path(experiment).parent / "said.txt").open("w", encoding="utf-8", buffering=1) as said:
        sys.stdout = sys.stderr = said
        try:
            models = tune(opened(experiment), TuneSettings(**settings), yes=True, tell=print)
            print([each.model.id for each in models])
        except PromptlabError as error:
            print(error)
