"""promptlab: prompts as programs with choices; mining searches the choices; every answer is one row.

    import promptlab as pl
    run = pl.Experiment.load("experiments/support_intent/experiment.yaml").mine()
    run.results, run.predictions            # pandas.DataFrame
    run.winner.messages(message="...")      # ready to send

The names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptlab.version import __version__

if TYPE_CHECKING:
    from promptlab.api import Experiment, compare
    from promptlab.errors import BadInput, EndpointUnusable, Interrupted, PromptlabError
    from promptlab.export.loaded import load
    from promptlab.finished import Run
    from promptlab.records import Completion, Example, Score
    from promptlab.run import load_run

_HOMES = {
    "BadInput": "promptlab.errors",
    "Completion": "promptlab.records",
    "EndpointUnusable": "promptlab.errors",
    "Example": "promptlab.records",
    "Experiment": "promptlab.api",
    "Interrupted": "promptlab.errors",
    "PromptlabError": "promptlab.errors",
    "Run": "promptlab.finished",
    "Score": "promptlab.records",
    "compare": "promptlab.api",
    "load": "promptlab.export.loaded",
    "load_run": "promptlab.run",
}

__all__ = [
    "BadInput",
    "Completion",
    "EndpointUnusable",
    "Example",
    "Experiment",
    "Interrupted",
    "PromptlabError",
    "Run",
    "Score",
    "__version__",
    "compare",
    "load",
    "load_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'promptlab' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
