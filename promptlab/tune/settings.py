"""`tune` of an experiment, checked: who trains what, how often, on how many rows, at what price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from promptlab.records import Price

Kind = Literal["supervised", "dpo"]


@dataclass(frozen=True, slots=True)
class TunePrice:
    """US dollars: ``train`` and ``serve`` per million tokens, ``hosting_per_hour`` for what is served by the hour."""

    train: float | None = None
    serve: Price | None = None
    hosting_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How to tune. ``base`` is the name of one of the experiment's models; sizes are rows, None = all of them.

    ``template`` None: the baseline's; ``variant``: slots of what is taught instead, like those of a baseline.
    ``epochs`` None: the trainer's own. ``minutes``: how long one job is waited for. ``command`` and ``given`` belong to
    the trainers of that name; ``base_url`` is where what `command` or `lora` trained is served: empty = at the base's.
    """

    trainer: str = "none"
    base: str = ""
    seeds: tuple[int, ...] = (1,)
    sizes: tuple[int | None, ...] = (None,)
    epochs: int | None = 3
    template: str | None = None
    method: Kind = "supervised"
    command: str = ""
    given: str = ""
    suffix: str = ""
    minutes: float = 24 * 60.0
    price: TunePrice = TunePrice()
    base_url: str = ""
    variant: tuple[Mapping[str, Any], ...] = ()
