"""For every test: property tests draw the same examples each time, so that a red run means a change, not luck.

PROMPTLAB_EXPLORE=1 draws new ones, to look for what nobody thought of.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads cost more than they bring

from hypothesis import settings

settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("explore" if os.environ.get("PROMPTLAB_EXPLORE") else "steady")
