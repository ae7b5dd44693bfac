"""Several answers to one question, and which of them speaks for all. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Answers = npt.NDArray[np.object_]
Codes = npt.NDArray[np.intp]


def vote(answers: Sequence[Any], weights: Sequence[float]) -> int:
    """The place of the member that speaks for all: the first to give the answer of the greatest weight.

    None is no answer, and has no vote; ties go to the answer that stands first. 0 where nobody answered.
    """
    column = np.empty((len(answers), 1), dtype=object)
    column[:, 0] = [*answers]
    codes = coded(column)
    return int(spoken(codes, np.asarray(weights, float))[0])


def coded(answers: Answers) -> Codes:
    """Answers [members, rows] as numbers, equal ones alike; -1 is no answer."""
    known: dict[Hashable, int] = {}
    flat = [-1 if each is None else known.setdefault(_key(each), len(known)) for each in answers.ravel()]
    return np.array(flat, dtype=np.intp).reshape(answers.shape)


def spoken(codes: Codes, weights: npt.NDArray[np.float64]) -> Codes:
    """Who speaks for all on each row, as ``vote`` says, of ``codes`` [members, rows]."""
    support = np.einsum("j,jmr->mr", weights, codes[:, None, :] == codes[None, :, :])
    return np.asarray(np.where(codes < 0, -1.0, support).argmax(axis=0))


def _key(answer: Any) -> Hashable:
    """Equal answers have equal keys: text whatever its case and spaces, lists and objects by content."""
    if isinstance(answer, str):
        return " ".join(answer.casefold().split())
    return answer if isinstance(answer, (int, float)) else repr(answer)
