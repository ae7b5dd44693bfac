"""promptlab init: a working project of one's own."""

from __future__ import annotations


def init() -> None:
    """TODO"""
