"""For every test: property tests draw the same examples each time, so that a red run means a change, not luck.

PROMPTLAB_EXPLORE=1 draws new ones, to look for what nobody thought of.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads cost more than they bring

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("explore" if os.environ.get("PROMPTLAB_EXPLORE") else "steady")


@pytest.fixture(autouse=True, scope="module")
def _engine_as_it_comes() -> Iterator[None]:
    """The embedded engine keeps its tuned models for the whole process: none outlives the tests of a file."""
    yield
    if tuned := sys.modules.get("promptlab.embedded.tuned"):
        tuned.SHELF.clear()
