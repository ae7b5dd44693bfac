"""promptlab score"""

from __future__ import annotations


def score() -> None:
    """TODO"""
