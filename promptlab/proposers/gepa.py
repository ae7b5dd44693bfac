"""GEPA's own reflection (Agrawal et al. 2025) on our open texts, by the package gepa.

Of the package are used, unchanged and pure: the choice of a parent from the Pareto front of the rows
(``select_program_candidate_from_pareto_front``), its reflection prompt and the reading of its answer
(``InstructionProposalSignature``). Evaluation, acceptance and state are ours: the log, the allocator, the view.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np

from promptlab.errors import CallFailed
from promptlab.proposers import meta
from promptlab.proposers.rewrite import MOST, material, new
from promptlab.records import Completion, Example, Flow, Message, Request, Variant
from promptlab.view import Failure, View

Record = dict[str, Any]
KEEP = """

Marks like ⟦1⟧ in the instructions stand for something that is filled in later: each must be in the new ones exactly \
once, unchanged. Put the new instructions between <prompt> and </prompt>."""


@dataclass(frozen=True)
class Gepa:
    """Rewrites one open text after another, from ``minibatch`` failures of a parent on the Pareto front.

    ``gepa`` is the version that is installed: another one may ask in other words. ValueError where none is.
    """

    minibatch: int = 3
    most: int = MOST
    gepa: str = field(init=False, default="")
    needs_open: ClassVar[bool] = True
    needs_meta: ClassVar[bool] = True

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "gepa", version("gepa"))
        except PackageNotFoundError:
            message = "it needs the package gepa: pip install 'promptlab-workbench[gepa]'"
            raise ValueError(message) from None

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant | None, ...]]:
        """At most ``n`` rewritten variants, fewer where a parent has no failures; None for a text that lost a token.

        Raises CallFailed where every call failed.
        """
        mark = int(rng.integers(2**31))
        drawn = random.Random(mark)
        jobs = [job for place in range(min(n, self.most)) if (job := self._job(view, view.round + place, drawn))]
        children: list[Variant | None] = []
        failed: list[CallFailed] = []
        for place, (parent, slot, prompt) in enumerate(jobs):
            try:
                text = yield from _text(meta.ask(view, [Message("user", prompt)], f"gepa/{mark}/{place}"))
            except CallFailed as error:
                failed.append(error)
                continue
            if text:
                children.append(view.space.rewritten(parent, slot, text, "gepa", (parent.id,)))
        if failed and len(failed) == len(jobs):
            raise failed[0]
        return new(view, children)

    def _job(self, view: View, turn: int, drawn: random.Random) -> tuple[Variant, str, str] | None:
        """Whom to rewrite where, and what to ask: open slots take turns. None: all open texts are perfect so far.

        Before anything was scored, rows with their right answers stand in for failures.
        """
        v = _parent(view, drawn)
        slots = view.space.open_slots(view.variants[v])
        records = [_failure(each) for each in view.failures(v, 8 * self.minibatch)]
        if np.isnan(view.scores[v]).all():
            records = [_right(each) for each in material(view) if each.answers]
        if not slots or not (records or np.isnan(view.scores[v]).all()):
            return None
        slot = slots[turn % len(slots)].name
        shown = drawn.sample(records, min(self.minibatch, len(records)))
        return view.variants[v], slot, _prompt(view.space.text(view.variants[v], slot), shown)


def _parent(view: View, drawn: random.Random) -> int:
    """A variant that is best on some row, the likelier the more rows it is best on."""
    from gepa.gepa_utils import select_program_candidate_from_pareto_front

    means = [float(np.nanmean(row)) if (~np.isnan(row)).any() else -np.inf for row in view.scores]
    fronts: dict[int, set[int]] = {}
    for i in range(len(view.dev)):
        column = np.where(view.live, view.scores[:, i], np.nan)
        if (~np.isnan(column)).any():
            fronts[i] = {int(v) for v in np.flatnonzero(column == np.nanmax(column))}
    return int(select_program_candidate_from_pareto_front(fronts, means, drawn)) if fronts else 0


def _failure(each: Failure) -> Record:
    feedback = " ".join(part for part in (f"The right answer is: {each.expected}", each.explanation) if part)
    return {"Inputs": _inputs(each.example), "Generated Outputs": each.output, "Feedback": feedback}


def _right(row: Example) -> Record:
    return {"Inputs": _inputs(row), "Feedback": f"The right answer is: {row.answers[0]}"}


def _inputs(row: Example) -> dict[str, str]:
    return {name: str(value) for name, value in row.inputs.items()}


def _prompt(text: str, records: Sequence[Record]) -> str:
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    given = {"current_instruction_doc": text, "dataset_with_feedback": records, "prompt_template": None}
    return str(InstructionProposalSignature.prompt_renderer(given)) + KEEP


def _text(request: Request) -> Flow[str]:
    """The new text of an answer, asked for twice where the call fails: between our tags, or as gepa reads it."""
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    try:
        completion: Completion = yield request
    except CallFailed:
        completion = yield request
    own = meta.read(completion.text)
    return own or str(InstructionProposalSignature.output_extractor(completion.text)["new_instruction"])
