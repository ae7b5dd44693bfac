"""The limits and the pace of batches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """Limits of one batch are OpenAI's; times are in seconds.

    ``most``: requests of a batch · ``size``: bytes of its file · ``width``: flows that wait at once · ``quiet``: how
    long no request must come before what was collected is sent, ``longest``: how long the first of them waits at
    most · ``poll``: the first wait between two looks, which grows to ``slowest`` · ``output``: bytes that are read of
    an output file.
    """

    most: int = 50_000
    size: int = 200_000_000
    width: int = 10_000
    quiet: float = 1.0
    longest: float = 60.0
    poll: float = 5.0
    slowest: float = 60.0
    output: int = 1_000_000_000


USUAL = BatchSettings()
ENGINE = BatchSettings(quiet=0.05, poll=0.02, slowest=0.5)
"""For the engine that comes with promptlab, which sits in our own process."""
