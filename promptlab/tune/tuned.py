"""The models that were tuned, as runs/tune/tuned.json of an experiment's folder keeps them: one for each name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.records import Model

TABLE = "tuned.json"
_TEXTS = ("name", "id", "base_url", "recipe", "base")
_ADDRESSES = ("http://", "https://", "embedded@")


@dataclass(frozen=True, slots=True)
class TunedModel:
    """One tuned model: who answers, what it was made of, what it took. ``usd`` None = no price was given.

    ``arm`` is what it was taught for ("" where nobody knows); ``recipe`` names it in keys of calls.
    """

    model: Model
    recipe: str
    base: str
    arm: str
    seed: int
    rows: int
    train_tokens: int | None
    usd: float | None
    seconds: float | None
    folder: Path

    @property
    def row(self) -> dict[str, Any]:
        """What is kept of it."""
        return {
            "name": self.model.name,
            "id": self.model.id,
            "base_url": self.model.endpoint.base_url,
            "recipe": self.recipe,
            "base": self.base,
            "arm": self.arm,
            "seed": self.seed,
            "rows": self.rows or None,  # of a given model nobody knows
            "train_tokens": self.train_tokens,
            "usd": self.usd,
            "seconds": self.seconds,
            "folder": self.folder.name,
        }


def table(folder: Path) -> Path:
    """Where the tuned models of the experiment in ``folder`` are kept."""
    return folder / "runs" / "tune" / TABLE


def kept(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """What tuned.json in an experiment's folder says: one mapping per tuned model; empty if nothing was tuned.

    Raises BadInput where it is damaged.
    """
    path = table(folder)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, f"it cannot be read: {error}") from None
    if not isinstance(value, list):
        raise _damaged(path, "it holds no list")
    for place, each in enumerate(value):
        if flaw := _flaw(each):
            raise _damaged(path, f"item {place + 1} {flaw}")
    return tuple(value)


def plain(recipe: object) -> str:
    """A recipe as a plan reckons it: without how often it was trained again."""
    return str(recipe).partition("-")[0]


def again(recipe: str, times: int) -> str:
    """The recipe of what was trained ``times`` times more after the first."""
    return f"{recipe}-{times}" if times else recipe


def keep(folder: Path, models: Sequence[TunedModel]) -> None:
    """Note these models beside those that are kept; another one of a name is replaced."""
    names = {each.model.name for each in models}
    others = [each for each in _mendable(folder) if each["name"] not in names]
    _write(table(folder), [*others, *(each.row for each in models)])


def forget(folder: Path, recipes: Iterable[str]) -> None:
    """No model of these plain recipes is kept any more."""
    gone = set(recipes)
    _write(table(folder), [each for each in _mendable(folder) if plain(each["recipe"]) not in gone])


def _mendable(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """As ``kept``; a damaged file is moved aside: what it knew is trained already, and noted in each job's folder."""
    try:
        return kept(folder)
    except BadInput:
        path = table(folder)
        path.replace(path.with_name(f"{path.name}.damaged"))
        return ()


def _flaw(each: object) -> str:
    if not isinstance(each, dict):
        return "is no mapping"
    for name in _TEXTS:
        if not isinstance(each.get(name), str) or not each[name].strip():
            return f"has no {name!r}"
    if not each["base_url"].startswith(_ADDRESSES):
        return f"has a base_url that is no address: {each['base_url'][:40]!r}"
    for name in ("usd", "train_tokens", "rows"):
        if not isinstance(each.get(name), (int, float, type(None))) or isinstance(each.get(name), bool):
            return f"has {name!r} that is no number"
    return ""


def _damaged(path: Path, why: str) -> BadInput:
    remedy = "`promptlab tune` writes it anew from what it noted of each job; nothing is trained twice."
    return BadInput(Problem(f"this list of tuned models is damaged: {why}", str(path), remedy=remedy))


def _write(path: Path, models: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(models, indent=1), encoding="utf-8")
    draft.replace(path)
