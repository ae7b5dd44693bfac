"""The trainer `command`: a program of the user's own. It gets the files' paths, and says what the model is called.

The program is started without a shell, in a session of its own, so that it outlives promptlab: a second start finds it
by its process, or finds what it left behind. That it is about to be started is noted before, under a token that the
program's process claims before it becomes the program: whoever is killed in between, it is started once.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptlab.endpoint.complaint import line
from promptlab.endpoint.hidden import Hidden, flaw
from promptlab.endpoint.retry import Backoff
from promptlab.errors import BadInput
from promptlab.tune.memory import Memory
from promptlab.tune.placeholders import words
from promptlab.tune.process import alive, begun, claimed, mark
from promptlab.tune.served import unserved
from promptlab.tune.shown import counted
from promptlab.tune.trainer import Files, Job, Place, Tuned

LOG = "train.log"
RESULT = "result.json"
USUAL = Backoff()
TAIL = 65_536  # bytes of the log in which the last line is looked for
WAYS = 'A command gives back {"model": ..., "base_url": ...} in the file {out}, or as its last line'


class Command:
    """One program at a time."""

    external = True
    limits = True
    width = 1

    def __init__(self, place: Place, look: float = 0.1, backoff: Backoff = USUAL) -> None:
        self._place = place
        self._look = look
        self._backoff = backoff
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._read: dict[str, int] = {}
        self._hidden = Hidden(place.url, place.api_key)

    def argv(self, files: Files, seed: int) -> list[str]:
        """What is started."""
        values = {
            "train": str(files.train.absolute()),
            "valid": str(files.valid.absolute()),
            "seed": str(seed),
            "out": str((files.folder / RESULT).absolute()),
            "base": self._place.base.id,
        }
        return words(self._place.settings.command, values)

    async def start(self, files: Files, seed: int, memory: Memory) -> Job:
        """See Trainer."""
        argv, folder = self.argv(files, seed), files.folder
        if noted := _noted(memory):
            if alive(noted):
                return Job(str(folder), "running", (f"process {noted[0]} goes on",))
            kept = result(folder)
            if isinstance(kept, Tuned):
                return await self._done(str(folder), (), kept)
        for name in (RESULT, LOG):
            (folder / name).unlink(missing_ok=True)
        memory.forget()
        memory.note("at", time.time())
        memory.note("starting", secrets.token_hex(8))
        try:
            process = begun(argv, folder / LOG, self._place.folder, _claim(memory))
        except BadInput:
            _claim(memory).unlink(missing_ok=True)
            memory.forget()
            raise
        self._running[str(folder)] = process
        memory.note("process", mark(process.pid))
        _claim(memory).unlink(missing_ok=True)
        return Job(str(folder), "running", files.said)

    async def poll(self, job: Job, memory: Memory) -> Job:
        """See Trainer."""
        folder, process = Path(job.id), self._running.get(job.id)
        await asyncio.sleep(self._look)
        code = process.poll() if process is not None else (None if alive(memory.fact("process")) else 0)
        said = self._said(folder)
        seconds = time.time() - float(memory.fact("at") or time.time())
        if code is None:
            if seconds <= 60 * self._place.settings.minutes:
                return Job(job.id, "running", said)
            await self.cancel(memory)
            error = f"the command took longer than {self._place.settings.minutes:g} minutes (`tune.minutes`)"
            return _failed(job, said, seconds, error)
        found = result(folder)
        if code != 0 or isinstance(found, str):
            memory.forget()  # the next start begins anew
            told = self._hidden.told(f"{_ended(code, folder) if code else found}")
            return _failed(job, said, seconds, f"{told} (all it said is in {LOG} there)")
        return await self._done(job.id, said, replace(found, seconds=found.seconds or seconds))

    async def _done(self, name: str, said: tuple[str, ...], tuned: Tuned) -> Job:
        """What the command gave back, once it was looked whether it can be asked; its training is done either way."""
        tuned = replace(tuned, base_url=tuned.base_url or self._place.settings.base_url or None)
        why = await unserved(self._place, tuned, self._backoff)
        return Job(name, "succeeded", said, replace(tuned, error=why))

    async def cancel(self, memory: Memory) -> str:
        """See Trainer."""
        noted = _noted(memory)
        if not noted or not alive(noted):
            return "no process is at work"
        for way in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(int(noted[0]), way)
            for _ in range(20):
                await asyncio.sleep(0.05)
                for each in self._running.values():
                    each.poll()
                if not alive(noted):
                    return f"process {noted[0]} was stopped"
        return f"process {noted[0]} does not stop"

    async def close(self) -> None:
        """See Trainer."""

    def _said(self, folder: Path) -> tuple[str, ...]:
        """The whole lines that were written since the last look."""
        try:
            with (folder / LOG).open("rb") as file:
                file.seek(self._read.get(str(folder), 0))
                data = file.read(1_000_000)
        except OSError:
            return ()
        whole = data[: data.rfind(b"\n") + 1]
        self._read[str(folder)] = self._read.get(str(folder), 0) + len(whole)
        lines = [each for each in whole.decode("utf-8", "replace").splitlines() if each.strip()]
        return tuple(self._hidden.told(line(each, 160)) for each in lines)


def _claim(memory: Memory) -> Path:
    """What the program's process takes before it becomes the program."""
    return memory.path.parent / f".start-{memory.fact('starting')}"


def _noted(memory: Memory) -> list[Any] | None:
    """The process that was started, also where nobody lived to note it; None: there is none, and none will come."""
    noted: list[Any] | None = memory.fact("process")
    if not noted and memory.fact("starting"):
        noted = claimed(_claim(memory))
        if noted:
            memory.note("process", noted)
            _claim(memory).unlink(missing_ok=True)
    return noted


def _ended(code: int, folder: Path) -> str:
    """How a command ended that did not end well."""
    how = f"ended with exit code {code}"
    if code < 0:
        how = f"was killed by signal {-code} ({signal.strsignal(-code)})"
    words = _last(folder).rstrip(".")
    return f"the command {how}; its last words: {words}" if words else f"the command {how}, and said nothing"


def _failed(job: Job, said: tuple[str, ...], seconds: float, error: str) -> Job:
    return Job(job.id, "failed", said, Tuned("", status="failed", seconds=seconds, error=error))


def result(folder: Path) -> Tuned | str:
    """What the command gave back, or what is wrong with that."""
    try:
        text = (folder / RESULT).read_text(encoding="utf-8", errors="replace")
        where = f"the file {RESULT}"
    except OSError:
        text, where = _last(folder, whole=True), "the last line"
    if not text.strip():
        return f"the command gave back nothing. {WAYS}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return f"{where} is no JSON: {line(text, 80)!r}. {WAYS}"
    model = value.get("model") if isinstance(value, dict) else None
    url = value.get("base_url") if isinstance(value, dict) else None
    if not isinstance(model, str) or not model.strip() or not model.isprintable():
        return f"{where} names no model: {line(text, 80)!r}. {WAYS}"
    if url is not None and (why := flaw(url) if isinstance(url, str) else "that is no address"):
        plain = "" if "@" in str(url) or "?" in str(url) else f": {line(str(url), 80)!r}"
        return f"{where} has a base_url {why}{plain}"
    tokens = value.get("train_tokens")
    return Tuned(model, url, tokens if counted(tokens) else None)


def _last(folder: Path, *, whole: bool = False) -> str:
    """The last line of the log that is not empty."""
    try:
        with (folder / LOG).open("rb") as file:
            file.seek(max(0, (folder / LOG).stat().st_size - TAIL))
            lines = [each for each in file.read().decode("utf-8", "replace").splitlines() if each.strip()]
    except OSError:
        return ""
    return (lines[-1] if whole else line(lines[-1], 500)) if lines else ""
