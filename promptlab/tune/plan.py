"""What a tuning would do, before anything is spent: rows, checks, files' contents, cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from promptlab import slots
from promptlab.errors import BadInput, Problem, nearest, ordered
from promptlab.folder import LOG
from promptlab.prepare import Prepared
from promptlab.records import Example, Model, Variant
from promptlab.tune import formats, validate
from promptlab.tune.cost import TuneCost, estimate
from promptlab.tune.rows import TrainingRow, training
from promptlab.tune.settings import TuneSettings
from promptlab.tune.sizes import cut
from promptlab.tune.sizes import ordered as in_order
from promptlab.tune.trainer import Files
from promptlab.tune.wrong import recorded

FOLDER = "tune"


@dataclass(frozen=True, slots=True)
class Planned:
    """One job: so many rows, drawn by this seed. ``texts`` are its files by name; ``name`` is the tuned model's."""

    name: str
    seed: int
    rows: tuple[TrainingRow, ...]
    checked: int
    texts: Mapping[str, bytes]
    recipe: str
    cost: TuneCost
    folder: Path

    def write(self) -> Files:
        """Lay the files down; what is there already stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.texts.items():
            path = self.folder / name
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        train, valid = self.folder / "train.jsonl", self.folder / "valid.jsonl"
        return Files(self.folder, train, valid, len(self.rows), self.checked, self.recipe)


@dataclass(frozen=True, slots=True)
class TunePlan:
    """All jobs of an experiment; ``variant`` is the one whose prompts are taught, ``notes`` are worth telling."""

    settings: TuneSettings
    base: Model
    variant: Variant
    jobs: tuple[Planned, ...]
    notes: tuple[str, ...]
    folder: Path

    @property
    def cost(self) -> TuneCost:
        """Of all jobs together."""
        total = self.jobs[0].cost
        for job in self.jobs[1:]:
            total = total + job.cost
        return total


def plan(prepared: Prepared, settings: TuneSettings) -> TunePlan:
    """Rows rendered and checked, jobs laid out. Raises BadInput with every problem at once."""
    experiment = prepared.experiment
    base = _base(prepared, settings)
    variant = taught(prepared, settings)
    if settings.trainer == "given":
        return _as_it_is(prepared, settings, base, variant)
    pool, source = examples(prepared)
    rows, twice = validate.distinct(training(prepared.task, variant, pool))
    held: dict[str, Sequence[Example]] = {"dev": prepared.rows.dev, "test": prepared.rows.test}
    bank = prepared.task.bank
    if bank is not None and source == "train" and not _same(bank.demos, pool):
        held["bank"] = bank.demos
    limits = validate.LIMITS.get(settings.trainer, validate.Limits())
    problems = validate.problems(rows, limits, held, prepared.rows.places, base.id)
    problems += _sizes(prepared, settings, len(rows), limits)
    if problems:
        raise BadInput(ordered(problems))
    notes = [*validate.notes(rows), *([f"{twice} training rows are there twice; each counts once."] if twice else [])]
    if source == "bank":
        notes.append(
            "there is no train split: the bank's rows are the training rows. Asked with demos of the bank, "
            "the tuned model sees what it was trained on."
        )
    wrong, told = _wrong(prepared, settings, variant, rows)
    jobs = tuple(_job(prepared, settings, (base, variant), rows, (seed, size), wrong)
                 for seed in settings.seeds for size in dict.fromkeys(settings.sizes))  # fmt: skip
    _enough(prepared, settings, jobs, limits)
    return TunePlan(settings, base, variant, jobs, (*notes, *told), experiment.folder / "runs" / FOLDER)


def _as_it_is(prepared: Prepared, settings: TuneSettings, base: Model, variant: Variant) -> TunePlan:
    """A model that somebody tuned: no rows, no files, one job that looks whether it is there."""
    folder = prepared.experiment.folder / "runs" / FOLDER
    recipe = _recipe(base, settings, 0, b"")
    name = f"tuned-{base.name}"
    job = Planned(name, 0, (), 0, {}, recipe, TuneCost(0, None), folder / f"{name}-{recipe[:10]}")
    note = f"nobody can see here what {settings.given!r} was trained on: make sure that it was no dev or test row."
    return TunePlan(settings, base, variant, (job,), (note,), folder)


def _enough(prepared: Prepared, settings: TuneSettings, jobs: Sequence[Planned], limits: validate.Limits) -> None:
    """BadInput where DPO has too few pairs for the trainer."""
    for job in jobs if settings.method == "dpo" else ():
        pairs = job.texts["train.jsonl"].count(b"\n")
        if pairs < limits.fewest:
            what = f"{job.name} has {pairs} pairs of a right and a wrong answer; it takes {limits.fewest} at least"
            remedy = "Tune on more rows, or with `method: supervised`."
            raise BadInput(prepared.experiment.problem(("tune", "method"), what, remedy))


def examples(prepared: Prepared) -> tuple[tuple[Example, ...], str]:
    """Who is learned from: the train split, or the bank where there is none; and which of the two."""
    if prepared.rows.train:
        return prepared.rows.train, "train"
    if prepared.task.bank is not None and prepared.task.bank.demos:
        return tuple(prepared.task.bank.demos), "bank"
    remedy = "Give the split a share: data: {split: {train: 0.3, ...}}; or name a bank."
    raise BadInput(prepared.experiment.problem(("data", "split"), "there are no training rows", remedy))


def taught(prepared: Prepared, settings: TuneSettings) -> Variant:
    """The variant whose prompts are taught: the baseline, or the named template with its first choices."""
    experiment, name = prepared.experiment, settings.template
    base = _base(prepared, settings)
    given = dict(experiment.baseline or {})
    if name is not None and name != prepared.baseline.slots["template"]:
        if name not in prepared.task.templates:
            remedy = nearest(name, prepared.task.templates)
            raise BadInput(experiment.problem(("tune", "template"), f"there is no template {name!r}", remedy))
        given = {"template": name}
    named = replace(experiment, baseline={**given, "model": base.name})
    return slots.baseline(named, prepared.space, prepared.task.templates)


def _base(prepared: Prepared, settings: TuneSettings) -> Model:
    models = prepared.task.models
    name = settings.base or next(iter(models))
    if name not in models:
        what = f"`tune.base_model`: there is no model {name!r}"
        raise BadInput(prepared.experiment.problem(("tune", "base_model"), what, nearest(name, models)))
    return models[name]


def _same(demos: Sequence[Example], pool: Sequence[Example]) -> bool:
    return {each.id for each in demos} == {each.id for each in pool}


def _sizes(prepared: Prepared, settings: TuneSettings, count: int, limits: validate.Limits) -> list[Problem]:
    found = []
    for place, size in enumerate(settings.sizes):
        key = ("tune", "sizes", place)
        if size is not None and size > count:
            what = f"`tune.sizes` asks for {size} rows, and there are {count}"
            found.append(prepared.experiment.problem(key, what, "Lower it, or write `all`."))
        elif size is not None and size < limits.fewest:
            what = f"`tune.sizes` asks for {size} rows, and the trainer takes {limits.fewest} at least"
            found.append(prepared.experiment.problem(key, what))
    return found


def _wrong(
    prepared: Prepared, settings: TuneSettings, variant: Variant, rows: Sequence[TrainingRow]
) -> tuple[formats.Pairs, tuple[str, ...]]:
    """Recorded wrong answers of the newest run; where DPO needs them and there are none, BadInput."""
    runs = prepared.experiment.folder / "runs"
    found = [each for each in runs.glob("*/predictions.csv") if (each.parent / LOG).exists()]
    newest = max(found, key=lambda each: each.stat().st_mtime, default=None)
    pairs: formats.Pairs = {}
    if newest is not None:
        import pandas as pd

        names = ["example", "split", "label", "answer", "score", "status"]
        try:
            table = pd.read_csv(newest, usecols=names, dtype={"example": str, "label": str, "answer": str})
        except (OSError, ValueError) as error:
            raise BadInput(Problem(f"this is no table of predictions: {error}", str(newest))) from None
        pairs = recorded(rows, table, prepared.task.prompt(variant).word)
    if settings.method != "dpo":
        return pairs, ()
    if not pairs:
        what = "`tune.method: dpo` needs wrong answers, and no run has recorded any to rows like these"
        remedy = "Run `promptlab mine` first, or tune with `method: supervised`."
        raise BadInput(prepared.experiment.problem(("tune", "method"), what, remedy))
    return pairs, (f"{len(pairs)} of {len(rows)} training rows have a recorded wrong answer, of {newest}.",)


def _job(
    prepared: Prepared,
    settings: TuneSettings,
    who: tuple[Model, Variant],
    rows: Sequence[TrainingRow],
    draw: tuple[int, int | None],
    wrong: formats.Pairs,
) -> Planned:
    (base, _), (seed, size) = who, draw
    some, others = cut(in_order(rows, seed), size)
    dpo = settings.method == "dpo"
    texts = {
        "train.jsonl": formats.dpo(some, wrong) if dpo else formats.chat(some),
        "valid.jsonl": formats.dpo(others, wrong) if dpo else formats.chat(others),
        "trl.jsonl": formats.preferences(some, wrong) if dpo else formats.prompt_completion(some),
    }
    if not dpo and wrong:
        texts["dpo.jsonl"] = formats.dpo(some, wrong)
    recipe = _recipe(base, settings, seed, texts["train.jsonl"])
    taken = [row for row, _ in formats.paired(some, wrong)] if dpo else list(some)
    return Planned(
        name=f"tuned-{base.name}-s{seed}-n{len(some)}",
        seed=seed,
        rows=some,
        checked=texts["valid.jsonl"].count(b"\n"),
        texts=texts,
        recipe=recipe,
        cost=estimate(taken, settings.epochs, settings.price, base.id),
        folder=prepared.experiment.folder / "runs" / FOLDER / f"{base.name}-s{seed}-n{len(some)}-{recipe[:10]}",
    )


def _recipe(base: Model, settings: TuneSettings, seed: int, train: bytes) -> str:
    """The hash of all that the tuned model is made of; the endpoint's name for it is not in it."""
    about = [
        base.endpoint.identity,
        base.id,
        settings.trainer,
        settings.command if settings.trainer == "command" else "",
        settings.given if settings.trainer == "given" else "",
        settings.method,
        settings.epochs,
        settings.suffix,
        seed,
        hashlib.sha256(train).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
