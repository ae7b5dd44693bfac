"""What to try: a proposer is ``proposer(n, view, rng) -> Flow[tuple[Variant, ...]]``, pure in view and generator.

It returns at most ``n`` variants that the view does not hold yet. A user's own is ``package.module:name``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from promptlab.records import Flow, Variant
from promptlab.view import View


class Proposer(Protocol):
    """Any function of this shape proposes."""

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
        """At most ``n`` new variants."""


PROPOSERS = {
    "grid": "promptlab.proposers.grid:grid",
    "random": "promptlab.proposers.random:random",
    "tpe": "promptlab.proposers.tpe:Tpe",
    "demos": "promptlab.proposers.demos:demos",
    "format": "promptlab.proposers.format:format",
    "ensemble": "promptlab.proposers.ensemble:Ensemble",
    "gepa": "promptlab.proposers.gepa:Gepa",
    "corpus": "promptlab.proposers.corpus:Corpus",
    "paraphrase": "promptlab.proposers.paraphrase:Paraphrase",
    "induce": "promptlab.proposers.induce:Induce",
    "history": "promptlab.proposers.history:History",
    "evolve": "promptlab.proposers.evolve:Evolve",
    "reflect": "promptlab.proposers.reflect:Reflect",
}
