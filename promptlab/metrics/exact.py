"""Exact match: the answer is an accepted answer. For labels its mean is the accuracy."""

from __future__ import annotations

from promptlab.metrics.accepted import best, equal
from promptlab.records import Completion, Example


def exact(example: Example, completion: Completion) -> float:
    """1 if the answer equals an accepted answer (case counts; numbers by value), else 0."""
    return best(example, completion, equal)
