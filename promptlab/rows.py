"""The labelled rows of an experiment: loaded, split, and dev in the one order that all variants share."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from promptlab.dataset import Dataset, load
from promptlab.dataset.across import noted
from promptlab.dataset.file import capped
from promptlab.dataset.leak import overlaps
from promptlab.dataset.split import Shares, remember, split
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment
from promptlab.records import Example, Split

MEMORY = "splits.csv"
PARTS: tuple[Split, ...] = ("train", "dev", "test")
FEWEST = 2  # rows that a split must have for a mean and its interval
MANY = 300  # rows from which a fixed space has a test set, too, unless the experiment says otherwise
FAR = 0.1  # how far a remembered share may be from the one asked for before that is told


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows by split; dev and test stand in their stratified order.

    ``splits`` is what splits.csv remembers (empty where files or a column say the split); ``notes`` are worth telling
    but stop nothing. ``places`` maps ids to (file, line) and ``columns`` are all that the files have: for messages.
    """

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    splits: Mapping[str, Split]
    notes: tuple[str, ...] = ()
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    @property
    def parts(self) -> Mapping[Split, Sequence[Example]]:
        """The rows by split."""
        return {"train": self.train, "dev": self.dev, "test": self.test}

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
    if not rows.splits:
        rows = replace(rows, notes=(*rows.notes, *noted(rows.parts, experiment.data.columns.group or "group")))
    remedy = "Add rows, or use `split: all`."
    small = [
        experiment.problem(("data", "split"), f"the {name} split has {_counted(len(part))}", remedy)
        for name, part in (("dev", rows.dev), ("test", rows.test))
        if len(part) < FEWEST and (name == "dev" or part)
    ]
    if small:
        raise BadInput(small)
    return rows


def _counted(count: int) -> str:
    return "no rows" if not count else f"{count} row{'s' * (count != 1)}"


def _one_file(experiment: Experiment) -> Rows:
    data = experiment.data
    dataset = load(data.paths["all"], data.columns)
    if data.split.all:
        return _parts([dataset], dict.fromkeys((e.id for e in dataset.examples), "dev"), {}, experiment.seed)
    if data.split.column is not None or data.columns.fold is not None:
        return _parts([dataset], dataset.folds, {}, experiment.seed)
    memory = remember(experiment.folder / MEMORY)
    if _needs_no_test(experiment, dataset, memory):
        return _all_dev(dataset, memory, experiment.seed)
    shares = data.split
    plan = Shares(shares.train, shares.dev, shares.test, shares.seed)
    try:
        assigned = split(dataset.examples, plan, memory, needs_train=shares.train > 0)
    except BadInput as error:
        at = ("data", "split")
        raise BadInput(experiment.problem(at, each.message, each.remedy) for each in error.problems) from None
    rows = _parts([dataset], assigned, {**memory, **assigned}, experiment.seed)
    old = {key: place for key, place in assigned.items() if key in memory}
    written = any(key[:2] == ("data", "split") for key in experiment.places)
    if not written or not _far(old, {"train": shares.train, "dev": shares.dev, "test": shares.test}):
        return rows
    fresh = split(dataset.examples, plan, {}, needs_train=shares.train > 0)
    if not _far(old, {name: part / len(fresh) for name, part in Counter(fresh.values()).items()}):
        return rows  # large groups, few rows: these shares are the nearest there are
    return replace(rows, notes=(*rows.notes, _kept(old)))


def _needs_no_test(experiment: Experiment, dataset: Dataset, memory: Mapping[str, Split]) -> bool:
    """Few rows, a fixed space, all of it scored on every row, and no row of them set aside before (EVIDENCE 2)."""
    places = {memory.get(each.id, "dev") for each in dataset.examples}
    return experiment.fixed and len(dataset.examples) < MANY and places <= {"dev"}


def _all_dev(dataset: Dataset, memory: Mapping[str, Split], seed: int) -> Rows:
    """Every row decides; remembered, so that none of them is ever held out."""
    homes: dict[str, Split] = dict.fromkeys((each.id for each in dataset.examples), "dev")
    note = (
        f"note: {len(homes)} rows are fewer than {MANY}, and every variant meets them all: all are dev, none is held "
        "out (`split: all`). Write data.split to set a test aside"
    )
    return replace(_parts([dataset], homes, {**memory, **homes}, seed), notes=(note,))


def _far(places: Mapping[str, Split], shares: Mapping[Split, float]) -> bool:
    counts = Counter(places.values())
    return any(abs(counts[name] / len(places) - shares.get(name, 0.0)) > FAR for name in PARTS if places)


def _kept(places: Mapping[str, Split]) -> str:
    counts = Counter(places.values())
    *some, last = (f"{counts[name]} {name}" for name in PARTS if counts[name])
    what = f"{', '.join(some)} and {last}" if some else last
    return (
        f"note: {MEMORY} remembers {what} rows; `data.split` asks for other shares. "
        f"Rows do not move: delete {MEMORY} to split anew"
    )


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
    first: dict[str, tuple[Example, str]] = {}
    for name, dataset in found.items():
        twice = []
        for example in dataset.examples:
            if homes.setdefault(example.id, name) != name:
                twice.append(_again(example, dataset, *first[example.id]))
            first.setdefault(example.id, (example, dataset.path))
        problems += capped(twice)
    if problems:
        raise BadInput(problems)
    return _parts(list(found.values()), homes, {}, experiment.seed)


def _again(example: Example, dataset: Dataset, other: Example, path: str) -> Problem:
    """One id in two files: the same row twice, or two rows that share an id."""
    place = dataset.path, dataset.lines[example.id]
    if (example.inputs, example.label) == (other.inputs, other.label):
        what = f"row {example.row} is row {other.row} of {path} again"
        return Problem(what, *place, "No row may be in two splits: take it out of one of the files.")
    what = f"row {example.row} has the id {example.id!r} of another row, row {other.row} of {path}"
    return Problem(what, *place, "Ids are unique over all files: rename one of them.")


def _parts(datasets: Sequence[Dataset], homes: Mapping[str, Split], memory: Mapping[str, Split], seed: int) -> Rows:
    parts: dict[Split, list[Example]] = {"train": [], "dev": [], "test": []}
    for dataset in datasets:
        for example in dataset.examples:
            parts[homes[example.id]].append(example)
    dev, test = stratified(parts["dev"], seed), stratified(parts["test"], seed)
    return Rows(
        train=tuple(parts["train"]),
        dev=dev,
        test=test,
        splits=memory,
        notes=() if memory else tuple(_crossing(dev, test)),
        places={key: (dataset.path, line) for dataset in datasets for key, line in dataset.lines.items()},
        columns=tuple(dict.fromkeys(name for dataset in datasets for name in dataset.columns)),
    )


def _crossing(dev: Sequence[Example], test: Sequence[Example]) -> list[str]:
    """What to tell when splits that were given, not made, share wordings: their scores are not independent."""
    pairs = overlaps(dev, test) if dev and test else ()
    if not pairs:
        return []
    some = ", ".join(f"{dev[d].id} and {test[t].id}" for d, t, _ in pairs[:3]) + ", …" * (len(pairs) > 3)
    count = len({t for _, t, _ in pairs})
    what = "1 test row says" if count == 1 else f"{count} test rows say"
    return [f"note: {what} the same as a dev row ({some}): test is not held out there."]


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
