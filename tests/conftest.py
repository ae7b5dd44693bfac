"""For every test: property tests draw the same examples each time, so that a red run means a change, not luck.

PROMPTLAB_EXPLORE=1 draws new ones, to look for what nobody thought of.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from functools import cache
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads cost more than they bring

import pytest
from hypothesis import settings
from typer import testing

settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("explore" if os.environ.get("PROMPTLAB_EXPLORE") else "steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Three workers for two cores: a third of the time tests wait, for a process, a server or a signal."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else cores * 3 // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """No garbage is looked for while all is imported, and none in it later: a tenth of what the tests took."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _commands_made_once() -> Iterator[None]:
    """CliRunner makes all commands anew for each line: a sixtieth of a second, hundreds of times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testing, "_get_command", cache(testing._get_command))
        yield


@pytest.fixture(autouse=True, scope="module")
def _engine_as_it_comes() -> Iterator[None]:
    """The embedded engine keeps its tuned models for the whole process: none outlives the tests of a file."""
    yield
    if tuned := sys.modules.get("promptlab.embedded.tuned"):
        tuned.SHELF.clear()
