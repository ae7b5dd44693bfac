"""A coroutine seen to its end from code that is none, in a notebook too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def waited(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also where an event loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _alone(work())
    with ThreadPoolExecutor(1) as elsewhere:
        loop = asyncio.new_event_loop()
        task = loop.create_task(work())
        done = elsewhere.submit(_finished, loop, task)
        try:
            return done.result()
        except KeyboardInterrupt:  # the notebook's stop button reaches this thread, not that one
            loop.call_soon_threadsafe(task.cancel)
            raise


def _alone(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives. It is no task's result: asyncio.run writes that out in words on its way out."""
    given: list[T] = []

    async def through() -> None:
        given.append(await work)

    asyncio.run(through())
    return given[0]


def _finished(loop: asyncio.AbstractEventLoop, task: asyncio.Task[T]) -> T:
    try:
        return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
