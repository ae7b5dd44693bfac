"""GEPA's own reflection (Agrawal et al. 2025) on our open texts, by the package gepa.

Of the package are used, unchanged and pure: the choice of a parent from the Pareto front of the rows
(``select_program_candidate_from_pareto_front``), its reflection prompt and the reading of its answer
(``InstructionProposalSignature``). Evaluation, acceptance and state are ours: the log, the allocator, the view.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np

from promptlab.proposers import meta
from promptlab.proposers.mistakes import LOOKED, minibatch, mistakes_of
from promptlab.proposers.rewrite import MOST, material, new
from promptlab.records import Example, Flow, Message, Variant
from promptlab.view import Failure, View

Record = dict[str, Any]
Asked = tuple[Variant, str, str]
"""Parent, slot, prompt."""
KEEP = """

Marks like ⟦1⟧ in the instructions stand for something that is filled in later: each must be in the new ones exactly \
once, unchanged. Put the new instructions between <prompt> and </prompt>."""


@dataclass(frozen=True)
class Gepa:
    """Rewrites one open text after another, from ``minibatch`` failures of a parent on the Pareto front.

    They are drawn from those on ``looked`` rows of train that each parent is asked in a round, as gepa's are; at 0, or
    without a train split, from its mistakes on dev.
    ``gepa`` is the version that is installed: another one may ask in other words. ValueError where none is.
    """

    minibatch: int = 3
    looked: int = LOOKED
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

        Raises CallFailed where none of the answers holds a text.
        """
        mark = int(rng.integers(2**31))
        drawn = random.Random(mark)
        jobs = yield from self._jobs(min(n, self.most), view, rng, drawn)
        asked = [
            meta.ask(view, [Message("user", prompt)], f"gepa/{mark}/{place}")
            for place, (_, _, prompt) in enumerate(jobs)
        ]
        texts = yield from meta.answered(asked, _read)
        return new(
            view,
            (
                view.space.rewritten(parent, slot, text, "gepa", (parent.id,))
                for (parent, slot, _), text in zip(jobs, texts, strict=True)
                if text
            ),
        )

    def _jobs(self, n: int, view: View, rng: np.random.Generator, drawn: random.Random) -> Flow[list[Asked]]:
        """Whom to rewrite where, and what to ask: open slots take turns. None of a parent whose answers are all right.

        Where nothing can be asked and nothing was scored yet, rows with their right answers stand in for failures.
        """
        rows = minibatch(view, self.looked, rng)
        fronts, means = _front(view) if n else ({}, [])
        known: dict[int, list[Record]] = {}
        jobs = []
        for place in range(n):
            v = _parent(fronts, means, drawn)
            parent = view.variants[v]
            slots = view.space.open_slots(parent)
            if slots and v not in known:
                known[v] = [_failure(each) for each in (yield from mistakes_of(view, parent, v, rows))]
                if not rows and np.isnan(view.scores[v]).all():
                    known[v] = [_right(each) for each in material(view) if each.answers]
            if slots and (known[v] or np.isnan(view.scores[v]).all()):
                slot = slots[(view.round + place) % len(slots)].name
                shown = drawn.sample(known[v], min(self.minibatch, len(known[v])))
                jobs.append((parent, slot, _prompt(view.space.text(parent, slot), shown)))
        return jobs


def _front(view: View) -> tuple[dict[int, set[int]], list[float]]:
    """Who is best on each row, without those that others stand in for (gepa's pruning); and everybody's mean."""
    from gepa.gepa_utils import remove_dominated_programs

    told = np.where(np.isnan(view.scores) | ~view.live[:, None], -np.inf, view.scores)
    known = ~np.isnan(view.scores)
    means = np.where(known, view.scores, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    means = np.where(known.any(axis=1), means, -np.inf)
    best = (told == told.max(axis=0)) & (told > -np.inf)
    fronts = {i: set(np.flatnonzero(best[:, i]).tolist()) for i in np.flatnonzero(best.any(axis=0)).tolist()}
    prune: Callable[..., dict[int, set[int]]] = remove_dominated_programs
    return prune(fronts, means.tolist()), means.tolist()


def _parent(fronts: dict[int, set[int]], means: list[float], drawn: random.Random) -> int:
    """A variant that is best on some row, the likelier the more rows it is best on."""
    from gepa.gepa_utils import select_program_candidate_from_pareto_front

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


def _read(answer: str) -> str | None:
    """The new text of an answer: between our tags, or as gepa reads it."""
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    return meta.read(answer) or str(InstructionProposalSignature.output_extractor(answer)["new_instruction"])
