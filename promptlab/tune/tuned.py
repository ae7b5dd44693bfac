"""The models that were tuned, as runs/tune/tuned.json of an experiment's folder keeps them: one for each name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.records import Model, Price

TABLE = "tuned.json"
MOST = 1e18  # dollars, rows or tokens
_TEXTS = ("name", "id", "base_url", "recipe", "base")
_ADDRESSES = ("http://", "https://", "embedded@")


@dataclass(frozen=True, slots=True)
class TunedModel:
    """One tuned model: who answers, what it was made of, what it took. ``usd`` None = no price was given.

    ``arm`` is what it was taught for ("" where nobody knows). ``recipe`` names it in keys of calls: all that it was
    made of, and where that leaves open which model it is, which one (see Memory). ``hosting_per_hour``: US dollars.
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
    hosting_per_hour: float | None = None

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

    @property
    def entry(self) -> dict[str, Any]:
        """Its item of tuned.json: the row, and what its answers cost, for whoever names it where no price is said."""
        price = None if self.model.price in (None, Price()) else asdict(self.model.price)
        return {**self.row, "price": price, "hosting_per_hour": self.hosting_per_hour}


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
    """A recipe as a plan reckons it: whichever model it brought."""
    return str(recipe).partition("-")[0]


def again(recipe: str, which: str) -> str:
    """The recipe of one model among those that a plan's recipe can bring; empty: there is only one."""
    return f"{recipe}-{which}" if which else recipe


def keep(folder: Path, models: Sequence[TunedModel]) -> None:
    """Note these models beside those that are kept; another one of a name is replaced. The last trained stands last."""
    made = {each.model.name: each.entry for each in models}
    old = {str(each["name"]): each for each in _mendable(folder)}
    same = {name for name, each in made.items() if name in old and old[name]["recipe"] == each["recipe"]}
    stay = [made.get(name, each) for name, each in old.items() if name in same or name not in made]
    _write(table(folder), [*stay, *(each for name, each in made.items() if name not in same)])


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
    for name in ("usd", "train_tokens", "rows", "hosting_per_hour"):
        if not (each.get(name) is None or _amount(each[name])):
            return f"has {name!r} that is no number"
    price = each.get("price")
    if price is not None and price_of(each) is None:
        return "has a 'price' that is none"
    return ""


def price_of(about: Mapping[str, Any]) -> Price | None:
    """What the answers of a kept model cost, as was said when it was trained; None where nobody said so."""
    price = about.get("price")
    if not isinstance(price, dict) or not _amount(price.get("input")) or not _amount(price.get("output")):
        return None
    cached = price.get("cached")
    return Price(price["input"], price["output"], cached) if cached is None or _amount(cached) else None


def _amount(value: object) -> bool:
    """A number that a file may say of money, rows or tokens."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < MOST


def _damaged(path: Path, why: str) -> BadInput:
    remedy = "`promptlab tune` writes it anew from what it noted of each job; nothing is trained twice."
    return BadInput(Problem(f"this list of tuned models is damaged: {why}", str(path), remedy=remedy))


def _write(path: Path, models: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(models, indent=1), encoding="utf-8")
    draft.replace(path)
