"""Which rows train, which decide (dev), which are read once at the end (test): EVIDENCE 2.

Seeded, stratified by label, whole groups (leak.py) on one side, and remembered: rows that have a place keep it,
whatever is added later. Train takes rows only if something learns from them. Two cases where test stays clean:

* Train is first asked for when every remembered row is dev or test: it is then drawn from dev, never from test.
* A new row joins remembered rows of different splits into one group: it goes to test if one of them is there, else to
  dev. Nothing that is learnt from ever gains a copy of a held-out row.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlab.dataset.file import capped, read_table
from promptlab.dataset.leak import groups
from promptlab.errors import BadInput, Problem, nearest
from promptlab.records import Example, Split

_SPLITS: tuple[Split, ...] = ("train", "dev", "test")
_HELD_OUT: tuple[Split, ...] = ("test", "dev", "train")  # where a new row of a mixed group goes, first come
_FEWEST = 2  # rows in dev and in test: one row has no spread
_MANY_NUMBERS = 20  # distinct numeric labels beyond which they are amounts, not classes
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Shares:
    """Fractions of the rows; None = by the default rule. Without train, dev and test keep their proportion."""

    train: float | None = None
    dev: float | None = None
    test: float | None = None
    seed: int = 7


def split(
    examples: Sequence[Example], plan: Shares, remembered: Mapping[str, Split], needs_train: bool
) -> dict[str, Split]:
    """The split of each example by id. Depends on ids, content, memory and seed, never on the order of rows.

    ``remembered`` is what an earlier call gave (and may hold ids of rows that are gone): add the answer to it and
    save that. Raises BadInput if the fractions cannot be, or if dev, test or a needed train gets too few rows.
    """
    share = _shares(plan, needs_train)
    stratum = _strata(examples)
    units = _units(examples)
    done = {example.id: remembered[example.id] for example in examples if example.id in remembered}
    if needs_train and done and "train" not in done.values():
        done = _cut_train(units, done, share, stratum, plan.seed)
    fresh = []
    for unit in units:
        places = {done[key] for key in unit if key in done}
        if places:
            place = next(each for each in _HELD_OUT if each in places)
            done |= {key: place for key in unit if key not in done}
        else:
            fresh.append(unit)
    done |= _drawn(fresh, done, share, stratum, plan.seed)
    _check(done, needs_train, len(units))
    return {example.id: done[example.id] for example in examples}


def _shares(plan: Shares, needs_train: bool) -> dict[Split, float]:
    """The fraction of each split that takes rows. What is not given shares the rest, train : dev : test as 30:35:35."""
    given = {name: value for name in _SPLITS if (value := getattr(plan, name)) is not None}
    total = sum(given.values())
    usual = {"train": 0.3 if needs_train else 0.0, "dev": 0.35, "test": 0.35}
    weight = sum(usual[name] for name in _SPLITS if name not in given)
    share: dict[Split, float] = {
        name: given[name] if name in given else max(0.0, 1 - total) * usual[name] / (weight or 1) for name in _SPLITS
    }
    if not needs_train:
        share["train"] = 0.0
    problems = [
        Problem(f"split.{name} is {value}", remedy="It is a fraction from 0 to 1.")
        for name, value in given.items()
        if not 0 <= value <= 1
    ]
    if total > 1 + 1e-6 or (len(given) == len(_SPLITS) and total < 1 - 1e-6):
        problems.append(Problem(f"the fractions of split add up to {total:g}", remedy="They add up to 1."))
    needed = [name for name in _SPLITS if name != "train" or needs_train]
    remedy = "Give it a fraction, or use `split: all`."
    problems = problems or [Problem(f"split leaves no rows for {n}", remedy=remedy) for n in needed if share[n] <= 0]
    if problems:
        raise BadInput(problems)
    return {name: share[name] / sum(share.values()) for name in needed}


def _strata(examples: Sequence[Example]) -> dict[str, str]:
    """The stratum of each id: its first accepted answer; one for all where the labels are amounts."""
    labels = {example.id: next(iter(example.answers), None) for example in examples}
    strata = {key: json.dumps(label, ensure_ascii=False, sort_keys=True, default=str) for key, label in labels.items()}
    if len(set(strata.values())) > _MANY_NUMBERS and all(map(_is_number, labels.values())):
        return dict.fromkeys(strata, "")
    return strata


def _is_number(label: Any) -> bool:
    try:
        return math.isfinite(float(str(label).replace(",", "")))
    except ValueError:
        return False


def _units(examples: Sequence[Example]) -> list[list[str]]:
    """The ids of each group, sorted."""
    units: dict[int, list[str]] = {}
    for example, group in zip(examples, groups(examples), strict=True):
        units.setdefault(group, []).append(example.id)
    return sorted(sorted(unit) for unit in units.values())


def _cut_train(
    units: Iterable[list[str]],
    done: Mapping[str, Split],
    share: Mapping[Split, float],
    stratum: Mapping[str, str],
    seed: int,
) -> dict[str, Split]:
    """Dev drawn anew as train and dev, in their proportion. A dev row in one group with a test row stays."""
    known = [[key for key in unit if key in done] for unit in units]
    movable = [unit for unit in known if unit and all(done[key] == "dev" for key in unit)]
    moving = {key for unit in movable for key in unit}
    held = {key: place for key, place in done.items() if key not in moving}
    both = share["train"] + share["dev"]
    drawn = _drawn(movable, held, {"train": share["train"] / both, "dev": share["dev"] / both}, stratum, seed)
    return {**done, **drawn}


def _drawn(
    units: Iterable[list[str]],
    done: Mapping[str, Split],
    share: Mapping[Split, float],
    stratum: Mapping[str, str],
    seed: int,
) -> dict[str, Split]:
    """A split for each unit: largest first, then by seeded hash, into what lacks most rows of its stratum.

    First the whole rows that each stratum owes to each split, then what rounding leaves, where the set as a whole
    lacks most. With units of one row every split is within one row of its share of each stratum.
    """
    queue = sorted(units, key=lambda unit: (-len(unit), _hash(seed, unit[0])))
    placed = {key: place for key, place in done.items() if place in share}
    rows = Counter(stratum[key] for key in (*placed, *(key for unit in queue for key in unit)))
    lack = {(name, place): share[place] * count for name, count in rows.items() for place in share}
    overall = {place: share[place] * rows.total() for place in share}
    for key, place in placed.items():
        lack[stratum[key], place] -= 1
        overall[place] -= 1
    drawn: dict[str, Split] = {}

    def put(unit: list[str], place: Split) -> None:
        for key in unit:
            drawn[key] = place
            lack[stratum[key], place] -= 1
            overall[place] -= 1

    left = []
    for unit in queue:
        name = _main(unit, stratum)
        place = max(share, key=lambda each: lack[name, each])
        if lack[name, place] >= len(unit) - _ROUNDING:
            put(unit, place)
        else:
            left.append(unit)
    for unit in left:
        name = _main(unit, stratum)
        open_to = [each for each in share if lack[name, each] > _ROUNDING] or list(share)
        put(unit, max(open_to, key=lambda each: (round(overall[each], 6), lack[name, each])))
    return drawn


def _main(unit: Iterable[str], stratum: Mapping[str, str]) -> str:
    """The stratum that most rows of a unit are in."""
    counts = Counter(stratum[key] for key in unit)
    return min(counts, key=lambda name: (-counts[name], name))


def _hash(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode(errors="surrogatepass")).digest()


def _check(done: Mapping[str, Split], needs_train: bool, units: int) -> None:
    counts = Counter(done.values())
    least: dict[Split, int] = {"train": 1 if needs_train else 0, "dev": _FEWEST, "test": _FEWEST}
    short = [name for name, fewest in least.items() if counts[name] < fewest]
    if short:
        have = ", ".join(f"{name} {counts[name]}" for name in _SPLITS)
        message = f"too few rows for {' and '.join(short)}: {len(done)} rows in {units} groups give {have}"
        raise BadInput(Problem(message, remedy="Add rows or use `split: all`."))


def remember(path: Path) -> dict[str, Split]:
    """The splits that were saved, by example id; none if there is no such file. Raises BadInput if it was damaged."""
    if not path.exists():
        return {}
    table = read_table(path)
    remedy = "Its columns are id,split; a split is train, dev or test."
    if table.columns and not {"id", "split"} <= set(table.columns):
        raise BadInput(Problem(f"has the columns {', '.join(table.columns)}", str(path), 1, remedy))
    splits: dict[str, Split] = {}
    problems: list[Problem] = []
    for row in table.rows:
        key, value = row.cells["id"], row.cells["split"]
        place = next((each for each in _SPLITS if each == value), None)
        if place is None:
            problems.append(Problem(f"{value!r} is no split", str(path), row.line, nearest(value, _SPLITS)))
        elif splits.setdefault(key, place) != place:
            problems.append(Problem(f"the id {key!r} is in two splits", str(path), row.line, "Keep the older line."))
    if problems or table.problems:
        raise BadInput([*table.problems, *capped(problems)])
    return splits


def save(path: Path, splits: Mapping[str, Split]) -> None:
    """Write splits by example id, sorted by id so that differences are small. The file changes at once or not at all.

    Every id given is kept: rows that are gone from the data may come back.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="") as file:
            file.write("id,split\n")
            file.writelines(f"{_quoted(key)},{place}\n" for key, place in sorted(splits.items()))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _quoted(text: str) -> str:
    # csv.writer of Python 3.11 leaves a lone carriage return unquoted, and no reader gets it back
    return '"{}"'.format(text.replace('"', '""')) if set(text) & set('",\r\n') else text
