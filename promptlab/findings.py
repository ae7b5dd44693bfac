"""What a finished search and its test left: all that the tables and sentences of a run are folded from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from promptlab.final import Choice
from promptlab.mine import Search
from promptlab.predict import Task
from promptlab.records import Example, Prediction


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the tables of a run are folded from. ``test`` predictions are empty where test was not read.

    ``answered_as``: by model, the names that the endpoint's answers bear. ``reads``: how many runs have read these test
    rows by now, this one included. ``alone``: there is no test split (`split: all`), so that dev is all there is.
    ``calls``: requests that the run asked for, each once, whatever they were for.
    """

    run: str
    engine: str
    task: Task = field(repr=False)  # asyncio formats what its main task gives, needed or not
    search: Search = field(repr=False)
    choice: Choice
    test_rows: tuple[Example, ...] = field(repr=False)
    test: Sequence[Prediction] = field(repr=False)
    seed: int
    answered_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reads: int = 1
    alone: bool = False
    calls: int = 0
