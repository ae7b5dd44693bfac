"""The labelled rows of an experiment: loaded, split, and dev in the one order that all variants share."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from promptlab.dataset import Dataset, load
from promptlab.dataset.leak import overlaps
from promptlab.dataset.split import SplitPlan, remember, split
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment
from promptlab.records import Example, Split

MEMORY = "splits.csv"
FEWEST = 2  # rows that a split must have for a mean and its interval


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows by split; dev and test stand in their stratified order.

    ``splits`` is what splits.csv remembers (empty where files or a column say the split); ``notes`` are worth telling
    but stop nothing.
    """

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    splits: Mapping[str, Split]
    notes: tuple[str, ...] = ()

    @property
    def scored(self) -> tuple[Example, ...]:
        """Every row that a variant may be scored on."""
        return (*self.dev, *self.test)

    @property
    def all(self) -> tuple[Example, ...]:
        """Every row."""
        return (*self.train, *self.dev, *self.test)


def read_rows(experiment: Experiment) -> Rows:
    """Load and split. Raises BadInput with the problems of all files at once."""
    rows = _one_file(experiment) if "all" in experiment.data.paths else _given_files(experiment)
    small = [
        Problem(
            f"the {name} split has {len(part)} row{'s' * (len(part) != 1)}", remedy="Add rows, or use `split: all`."
        )
        for name, part in (("dev", rows.dev), ("test", rows.test))
        if len(part) < FEWEST and (name == "dev" or part)
    ]
    if small:
        raise BadInput([Problem(each.message, str(experiment.path), 0, each.remedy) for each in small])
    return rows


def _one_file(experiment: Experiment) -> Rows:
    data = experiment.data
    dataset = load(data.paths["all"], data.columns)
    if data.split.all:
        return _parts(dataset.examples, dict.fromkeys((e.id for e in dataset.examples), "dev"), {}, experiment.seed)
    if data.split.column is not None or data.columns.fold is not None:
        return _parts(dataset.examples, dataset.folds, {}, experiment.seed)
    memory = remember(experiment.folder / MEMORY)
    shares = data.split
    plan = SplitPlan(shares.train, shares.dev, shares.test, shares.seed)
    assigned = split(dataset.examples, plan, memory, needs_train=shares.train > 0)
    return _parts(dataset.examples, assigned, {**memory, **assigned}, experiment.seed)


def _given_files(experiment: Experiment) -> Rows:
    found: dict[Split, Dataset] = {}
    problems: list[Problem] = []
    for name in ("train", "dev", "test"):
        if name in experiment.data.paths:
            try:
                found[name] = load(experiment.data.paths[name], experiment.data.columns)
            except BadInput as error:
                problems += error.problems
    homes: dict[str, Split] = {}
    for name, dataset in found.items():
        twice = [example for example in dataset.examples if homes.setdefault(example.id, name) != name]
        problems += [
            Problem(
                f"row {e.row}: the id {e.id!r} is in {homes[e.id]}, too",
                dataset.path,
                0,
                "No row may be in two splits.",
            )
            for e in twice[:10]
        ]
    if problems:
        raise BadInput(problems)
    examples = [example for dataset in found.values() for example in dataset.examples]
    return _parts(examples, homes, {}, experiment.seed)


def _parts(examples: Sequence[Example], homes: Mapping[str, Split], memory: Mapping[str, Split], seed: int) -> Rows:
    parts: dict[Split, list[Example]] = {"train": [], "dev": [], "test": []}
    for example in examples:
        parts[homes[example.id]].append(example)
    dev, test = stratified(parts["dev"], seed), stratified(parts["test"], seed)
    notes = [] if memory else _crossing(dev, test)
    return Rows(tuple(parts["train"]), dev, test, memory, tuple(notes))


def _crossing(dev: Sequence[Example], test: Sequence[Example]) -> list[str]:
    """What to tell when splits that were given, not made, share wordings: their scores are not independent."""
    pairs = overlaps(dev, test)
    if not pairs:
        return []
    some = ", ".join(f"{dev[d].id} and {test[t].id}" for d, t, _ in pairs[:3])
    return [
        f"{len({t for _, t, _ in pairs})} test rows say the same as dev rows ({some}, …): test is not held out there."
    ]


def stratified(examples: Iterable[Example], seed: int) -> tuple[Example, ...]:
    """A seeded order in which every prefix has about the label shares of the whole; ids decide it, not places."""
    ordered = sorted(examples, key=lambda e: e.id)
    names = {str(example.answers[:1]) for example in ordered}
    free = len(names) > len(ordered) / 2  # free answers: nearly every label is its own
    strata: dict[str, list[Example]] = defaultdict(list)
    for example in ordered:
        strata["" if free else str(example.answers[:1])].append(example)
    placed: list[tuple[float, str, Example]] = []
    for label in sorted(strata):
        part = strata[label]
        rng = random.Random(f"{seed}/{label}")
        rng.shuffle(part)
        shift = rng.random()
        placed += (((i + shift) / len(part), example.id, example) for i, example in enumerate(part))
    return tuple(example for _, _, example in sorted(placed, key=lambda each: each[:2]))
