"""A finished run: its tables as DataFrames, and its winner, ready to send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.predict import Prompt
from promptlab.predictions import frame, input_names, prediction_columns, prediction_rows
from promptlab.prepare import Prepared
from promptlab.records import Example, Message, Variant
from promptlab.results import Findings, claimed, columns, fold, further_metrics

if TYPE_CHECKING:
    import pandas as pd


_NAMED = ("model", "template")  # slots with columns of their own


@dataclass(frozen=True, slots=True)
class Winner:
    """Dev's pick, or the baseline if nothing was above it. ``claimed``: test says that it beats the baseline."""

    variant: Variant
    claimed: bool
    prompt: Prompt = field(repr=False)

    def messages(self, **inputs: Any) -> list[dict[str, str]]:
        """The chat messages for one set of inputs, as an OpenAI-compatible endpoint takes them.

        Inputs that only other templates read are allowed. Raises BadInput for those that are missing or unknown.
        """
        template, task = self.prompt.template, self.prompt.task
        known = {name for each in task.templates.values() for name in each.inputs}
        known |= {name for demo in (task.bank.demos if task.bank else ()) for name in demo.inputs}
        reads = f"The template {template.name} reads: {', '.join(template.inputs) or 'no inputs'}."
        problems = [
            Problem(f"the input `{name}` is missing", "", 0, reads) for name in template.inputs if name not in inputs
        ]
        unknown = [name for name in inputs if name not in known]
        problems += [Problem(f"there is no input `{name}`", "", 0, nearest(name, known) or reads) for name in unknown]
        if problems:
            raise BadInput(problems)
        found: tuple[Message, ...] = self.prompt.messages(Example("", inputs))
        return [{"role": each.role, "content": each.content} for each in found]


@dataclass(frozen=True)
class Run:
    """A finished run. Tables are pandas DataFrames, folded from the run's log."""

    folder: Path
    prepared: Prepared = field(repr=False)
    findings: Findings = field(repr=False)
    test_reads: int = 0

    @property
    def id(self) -> str:
        """What the column ``run`` says."""
        return self.findings.run

    @property
    def whole(self) -> bool:
        """Whether it is the experiment as it stands in its file: all rows, test included."""
        return self.prepared.limit is None and self.prepared.test

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """results.csv as rows, best rank first."""
        return fold(self.findings)

    @cached_property
    def columns(self) -> list[str]:
        """The columns of results.csv."""
        made = (name for variant in self.findings.search.view.variants for name in variant.slots)  # by proposers, too
        slots = [name for name in dict.fromkeys((*self.prepared.space.names(), *made)) if name not in _NAMED]
        return columns(slots, further_metrics(self.findings.task))

    @cached_property
    def results(self) -> pd.DataFrame:
        """One row per variant, best rank first: the columns of results.csv."""
        return frame(self.columns, [[row.get(name) for name in self.columns] for row in self.rows])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per variant, example and repeat: the columns of predictions.csv."""
        header, rows = self.predicted()
        return frame(header, rows)

    def predicted(self) -> tuple[list[str], Iterator[list[Any]]]:
        """predictions.csv as columns and rows."""
        found, examples = self.findings, self.examples
        names = input_names(examples)
        unpriced = {name for name, model in found.task.models.items() if model.price is None}
        predictions = chain(found.search.predictions, found.test)
        return prediction_columns(names), prediction_rows(self.id, predictions, examples, names, unpriced)

    @property
    def examples(self) -> Mapping[str, Example]:
        """Every scored row by id."""
        return {example.id: example for example in self.prepared.rows.scored}

    @property
    def winner(self) -> Winner:
        """Dev's pick, or the baseline if nothing is above it."""
        found = self.findings
        variant = found.search.view.variants[found.choice.pick]
        row = next(each for each in self.rows if each["variant"] == variant.id)
        return Winner(variant, row["status"] == "winner" and claimed(row), found.task.prompt(variant))
