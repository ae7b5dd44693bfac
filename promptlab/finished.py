"""A finished run: its tables as DataFrames, and its winner, ready to send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.findings import Findings
from promptlab.predict import Prompt
from promptlab.predictions import beside, frame, input_names, prediction_columns, prediction_rows
from promptlab.prepare import Prepared
from promptlab.records import Example, Passage, Variant
from promptlab.results import claimed, columns, fold, further
from promptlab.retrieve.settings import NONE
from promptlab.shelf import SLOT

if TYPE_CHECKING:
    import pandas as pd


_NAMED = ("model", "template")  # slots with columns of their own


@dataclass(frozen=True, slots=True)
class Winner:
    """Dev's pick, or the baseline if nothing was above it. ``claimed``: test says that it beats the baseline.

    ``prompts``: what it asks. That is one prompt, or one for each member of an ensemble.
    """

    variant: Variant
    claimed: bool
    prompts: tuple[Prompt, ...] = field(repr=False)

    def messages(self, *, passages: Sequence[Any] | None = None, **inputs: Any) -> list[dict[str, str]]:
        """The chat messages for one set of inputs, as an OpenAI-compatible endpoint takes them.

        ``passages``: the texts given to the row, each text, or a mapping with id and text; whoever reads some has to
        be given them, [] for none. Inputs that only other templates read are allowed. Raises BadInput for passages or
        inputs that are missing, for unknown ones, and for an ensemble, where no one prompt speaks for all.
        """
        if len(self.prompts) > 1:
            count = len(self.prompts)
            what = f"{self.variant.id} is an ensemble of {count} prompts: the messages of one are not its answer"
            remedy = "Take all_messages(...), ask each, and vote: promptlab export --to python writes that."
            raise BadInput(Problem(what, remedy=remedy))
        return self.all_messages(passages=passages, **inputs)[0]

    def all_messages(self, *, passages: Sequence[Any] | None = None, **inputs: Any) -> list[list[dict[str, str]]]:
        """The chat messages of every prompt that it asks: one list for each member of an ensemble, in order."""
        problems = [problem for prompt in self.prompts for problem in _wrong(prompt, inputs)]
        problems += without_passages(any(map(reads_passages, self.prompts)), passages)
        if problems:
            raise BadInput(problems)
        shown = tuple(_passage(place, each) for place, each in enumerate(passages or (), 1))
        example = Example("", inputs, passages=shown)
        found = [prompt.messages(example, example.passages) for prompt in self.prompts]
        return [[{"role": each.role, "content": each.content} for each in messages] for messages in found]


def _wrong(prompt: Prompt, inputs: Mapping[str, Any]) -> list[Problem]:
    """The inputs that a prompt lacks, and those that nothing knows."""
    template, task = prompt.template, prompt.task
    known = {name for each in task.templates.values() for name in each.inputs}
    known |= {name for demo in (task.bank.demos if task.bank else ()) for name in demo.inputs}
    reads = f"The template {template.name} reads: {', '.join(template.inputs) or 'no inputs'}."
    problems = [
        Problem(f"the input `{name}` is missing", "", 0, reads) for name in template.inputs if name not in inputs
    ]
    if row_chooses(prompt) and task.bank:
        looks = "The demos are chosen by it: without it they would not be those that were measured."
        chosen_by = [name for name in task.bank.demos[0].inputs if name not in (*inputs, *template.inputs)]
        problems += [Problem(f"the input `{name}` is missing", "", 0, looks) for name in chosen_by]
    unknown = [name for name in inputs if name not in known]
    return problems + [Problem(f"there is no input `{name}`", "", 0, nearest(name, known) or reads) for name in unknown]


def row_chooses(prompt: Prompt) -> bool:
    """Whether the demos, or their order, depend on the row: on all of its inputs, whatever the template reads."""
    slots, bank = prompt.variant.slots, prompt.task.bank
    if bank is None or not bank.demos or "demos" not in prompt.template.uses or "bank.demos" in slots:
        return False
    looks = slots.get("bank.select") == "nearest" or slots.get("bank.order") == "nearest-last"
    return int(slots.get("bank.k", 0)) > 0 and looks


def reads_passages(prompt: Prompt) -> bool:
    """Whether what it says depends on the passages that it is given; the closed book is shown none."""
    closed = prompt.looks and prompt.variant.slots[SLOT] == NONE
    return "passages" in prompt.template.uses and not closed


def without_passages(reads: bool, passages: Any, path: str = "") -> list[Problem]:
    """What is wrong where a prompt that reads passages is given none, not even an empty list."""
    if not reads or passages is not None:
        return []
    remedy = "passages=[] asks without any: that is another prompt than the one that was measured."
    return [Problem("this prompt reads passages: give passages=[…], the texts that were found", path, 0, remedy)]


def _passage(place: int, given: Any) -> Passage:
    if isinstance(given, Mapping):
        return Passage(str(given.get("id", place)), str(given.get("text", "")), title=str(given.get("title", "")))
    return given if isinstance(given, Passage) else Passage(str(place), str(given))


@dataclass(frozen=True)
class Run:
    """A finished run. Tables are pandas DataFrames, folded from the run's log."""

    folder: Path
    prepared: Prepared = field(repr=False)
    findings: Findings = field(repr=False)

    @property
    def id(self) -> str:
        """What the column ``run`` says."""
        return self.findings.run

    @property
    def test_reads(self) -> int:
        """How many runs have read these test rows, this one the last of them; 0 where it did not."""
        return self.findings.reads if self.findings.test else 0

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
        return columns(slots, further(self.findings))

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
        reads = any("passages" in each.uses for each in found.task.templates.values())
        more = beside(examples, chain(found.search.predictions, found.test) if reads else ())
        rows = prediction_rows(self.id, chain(found.search.predictions, found.test), examples, names, unpriced, more)
        return prediction_columns(names, more), rows

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
        prompts = tuple(map(found.task.prompt, variant.members or (variant,)))
        return Winner(variant, row["status"] == "winner" and claimed(row), prompts)
