"""Overrides as `--set` takes them, that pin an experiment to a part of its space."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from promptlab.prepare import Prepared


def setting(key: str, value: Any) -> str:
    """An override; JSON is YAML."""
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def space(
    prepared: Prepared,
    pins: Mapping[str, Any],
    drop: str = "",
    hole: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> str:
    """The experiment's own pins and holes with ``pins`` on top; those of slots that are gone (``drop``) with them.

    ``hole`` says which holes stay.
    """
    experiment = prepared.experiment

    def there(name: str) -> bool:
        return not drop or not name.startswith(drop)

    own = {name: list(values) for name, values in experiment.space_pins.items() if there(name)}
    holes = [dict(each) for each in experiment.exclude if all(map(there, each)) and hole(each)]
    return setting("space", {**own, **pins, "exclude": holes})


def values(prepared: Prepared, slot: str) -> list[Any]:
    """Every value that a slot has left, pins applied."""
    return list(dict.fromkeys(value for each in prepared.space.slots if each.name == slot for value in each.values))


def without(prepared: Prepared, *keys: str) -> list[str]:
    """No value for those of these keys that the file has: what has nothing to do is an error there."""
    written = prepared.experiment.places
    return [setting(key, None) for key in keys if tuple(key.split(".")) in written]


def with_no_demos(prepared: Prepared) -> list[str]:
    """The override that makes 0 one of the values of `bank.k`, where it is none yet."""
    bank = prepared.experiment.bank
    ks = list(bank.k) if bank is not None else values(prepared, "bank.k")
    return [] if 0 in ks or not ks else [setting("bank.k", [0, *ks])]
