"""What of a run is exported: the winner, dev's pick or the baseline in plain words, or a variant asked for by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.finished import Run, reads_passages, row_chooses
from promptlab.predict import Prompt
from promptlab.records import Example, Variant


@dataclass(frozen=True, slots=True)
class Chosen:
    """One variant of a run. ``prompts`` are what it asks: one, or one for each member of an ensemble, with weights.

    ``word`` is what may be said of it, in a word or two; ``row`` its row of results.csv.
    """

    run: Run
    variant: Variant
    word: str
    row: Mapping[str, Any]
    prompts: tuple[Prompt, ...]
    weights: tuple[float, ...]

    @property
    def ensemble(self) -> bool:
        """Whether several prompts answer together."""
        return bool(self.variant.members)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that its prompts read, and all of a row's where they choose the demos."""
        names = [name for each in self.prompts for name in each.template.inputs]
        if any(map(row_chooses, self.prompts)):
            names += self.rows[0].inputs
        return tuple(dict.fromkeys(names))

    @property
    def reads(self) -> bool:
        """Whether it has to be given passages."""
        return any(map(reads_passages, self.prompts))

    @property
    def rows(self) -> tuple[Example, ...]:
        """The dev rows, with the passages that were found for them: samples come from them, never from test."""
        rows, prompt = self.run.prepared.rows.dev, self.prompts[0]
        return tuple(replace(each, passages=prompt.shown(each).passages) for each in rows) if prompt.looks else rows


def chosen(run: Run, variant: str = "") -> Chosen:
    """What to export of a run: ``variant`` by id or name, else dev's pick. Raises BadInput for unknown ones."""
    found = run.findings
    winner = run.winner
    if variant:
        row = _named(run, variant)
        picked = next(each for each in found.search.view.variants if each.id == row["variant"])
    else:
        picked = winner.variant
        row = next(each for each in run.rows if each["variant"] == picked.id)
    word = _word(run, picked, str(row["status"]), claimed=winner.claimed)
    members = picked.members or (picked,)
    weights = tuple(float(weight) for _, weight in picked.slots["ensemble"]) if picked.members else (1.0,)
    return Chosen(run, picked, word, row, tuple(map(found.task.prompt, members)), weights)


def _named(run: Run, variant: str) -> Mapping[str, Any]:
    row = next((each for each in run.rows if variant in (each["variant"], each["name"])), None)
    if row is None:
        ids = [str(each["variant"]) for each in run.rows]
        remedy = nearest(variant, ids) or "Ids are in results.csv."
        raise BadInput(Problem(f"the run {run.id} has no variant {variant!r}", remedy=remedy))
    return row


def _word(run: Run, variant: Variant, status: str, *, claimed: bool) -> str:
    """What the run bears out, and no more."""
    view = run.findings.search.view
    if variant.id == view.variants[0].id:
        return "baseline"
    if variant.id == view.variants[run.findings.choice.pick].id:
        if claimed and status == "winner":
            return "winner"
        read = "test does not show that it beats the baseline" if run.findings.test else "test was not read"
        return f"dev's pick: {read}"
    return status
