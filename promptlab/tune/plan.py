"""What a tuning would do, before anything is spent: rows, checks, files' contents, cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from promptlab.errors import BadInput
from promptlab.prepare import Prepared
from promptlab.records import Model, Variant
from promptlab.tune import formats, skew, validate
from promptlab.tune.checked import check, rendered
from promptlab.tune.cost import TuneCost, estimate
from promptlab.tune.lessons import OPEN, Lesson, base_of, lessons
from promptlab.tune.pairs import check_pairs, wrong_answers
from promptlab.tune.pool import examples
from promptlab.tune.rows import TrainingRow
from promptlab.tune.settings import TuneSettings
from promptlab.tune.sizes import cut
from promptlab.tune.sizes import ordered as in_order
from promptlab.tune.told import left, saying
from promptlab.tune.trainer import Files

FOLDER = "tune"


@dataclass(frozen=True, slots=True)
class Planned:
    """One job: so many rows, drawn by this seed. ``texts`` are its files by name; ``name`` is the tuned model's.

    ``arm`` is the one that it is for ("" where nothing is taught), ``variant`` the one whose prompts are taught.
    """

    name: str
    seed: int
    rows: tuple[TrainingRow, ...]
    checked: int
    texts: Mapping[str, bytes]
    recipe: str
    cost: TuneCost
    folder: Path
    arm: str
    variant: Variant

    def write(self) -> Files:
        """Lay the files down; what is there already stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.texts.items():
            path = self.folder / name
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        train, valid = self.folder / skew.TRAIN, self.folder / "valid.jsonl"
        return Files(self.folder, train, valid, len(self.rows), self.checked, self.recipe)


@dataclass(frozen=True, slots=True)
class TunePlan:
    """All jobs of an experiment; ``variant`` is what the first is taught, ``notes`` are worth telling.

    ``left_out``: the tuned arms that the experiment cannot have, with the reason.
    """

    settings: TuneSettings
    base: Model
    variant: Variant
    jobs: tuple[Planned, ...]
    notes: tuple[str, ...]
    folder: Path
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def cost(self) -> TuneCost:
        """Of all jobs together."""
        total = self.jobs[0].cost
        for job in self.jobs[1:]:
            total = total + job.cost
        return total


@dataclass(frozen=True, slots=True)
class _Class:
    """What one arm learns: the variant, its rows, and recorded wrong answers to them."""

    lesson: Lesson
    rows: tuple[TrainingRow, ...]
    wrong: formats.Pairs


def plan(prepared: Prepared, settings: TuneSettings) -> TunePlan:
    """Rows rendered and checked, jobs laid out. Raises BadInput with every problem at once."""
    base = base_of(prepared, settings)
    if settings.trainer == "given":
        return _as_it_is(prepared, settings, base)
    pool, source = examples(prepared)
    found, why = lessons(prepared, settings, pool)
    taught, unread = rendered(prepared, settings, found, pool)
    left_out = {**why, **unread}
    if not taught:
        told = "; ".join(f"{arm}: {reason}" for arm, reason in left_out.items())
        raise BadInput(prepared.experiment.problem(("tune",), "nothing can be taught", f"Left out: {told}."))
    given_away = check(prepared, settings, taught)
    classes: list[_Class] = []
    told_of: list[str] = []
    for lesson, rows, _ in taught:
        wrong, said = wrong_answers(prepared, settings, lesson.variant, rows)
        classes.append(_Class(lesson, rows, wrong))
        told_of += said
    jobs = tuple(_job(prepared, settings, each, (base, seed, size))
                 for each in classes for seed in settings.seeds for size in dict.fromkeys(settings.sizes))  # fmt: skip
    for job in jobs if settings.method == "dpo" else ():
        check_pairs(prepared, job.name, job.texts, validate.LIMITS.get(settings.trainer, validate.Limits()))
    rows, twice = taught[0][1:]
    notes = [
        *(saying(lesson, made) for lesson, made, _ in taught),
        *left(left_out),
        *given_away,
        *validate.notes(rows),
        *([f"{twice} training rows are there twice; each counts once."] if twice else []),
        *([BANK] if source == "bank" else []),
        *dict.fromkeys(told_of),
    ]
    folder = prepared.experiment.folder / "runs" / FOLDER
    return TunePlan(settings, base, taught[0][0].variant, jobs, tuple(notes), folder, left_out)


BANK = (
    "there is no train split: the bank's rows are the training rows. Asked with demos of the bank, "
    "the tuned model sees what it was trained on."
)


def taught(prepared: Prepared, settings: TuneSettings) -> Variant:
    """The variant whose prompts are taught: of several arms, that of the first."""
    found, why = lessons(prepared, settings, examples(prepared)[0])
    if not found:
        raise BadInput(prepared.experiment.problem(("tune",), "nothing can be taught", "; ".join(why.values())))
    return found[0].variant


def _as_it_is(prepared: Prepared, settings: TuneSettings, base: Model) -> TunePlan:
    """A model that somebody tuned: no rows, no files, one job that looks whether it is there."""
    folder = prepared.experiment.folder / "runs" / FOLDER
    recipe, variant = _recipe(base, settings, 0, b""), prepared.baseline
    name = f"tuned-{base.name}"
    job = Planned(name, 0, (), 0, {}, recipe, TuneCost(0, None), folder / f"{name}-{recipe[:10]}", "", variant)
    note = (
        f"nobody can see here what {settings.given!r} was trained on: make sure that it was no dev or test row. "
        "Nor which prompts it was taught: every prompt is tried with it."
    )
    return TunePlan(settings, base, variant, (job,), (note,), folder)


def _job(prepared: Prepared, settings: TuneSettings, learned: _Class, draw: tuple[Model, int, int | None]) -> Planned:
    (base, seed, size), wrong, lesson = draw, learned.wrong, learned.lesson
    some, others = cut(in_order(learned.rows, seed), size)
    dpo = settings.method == "dpo"
    texts = {
        skew.TRAIN: formats.dpo(some, wrong) if dpo else formats.chat(some),
        "valid.jsonl": formats.dpo(others, wrong) if dpo else formats.chat(others),
        "trl.jsonl": formats.preferences(some, wrong) if dpo else formats.prompt_completion(some),
    }
    if not dpo and wrong:
        texts["dpo.jsonl"] = formats.dpo(some, wrong)
    recipe = _recipe(base, settings, seed, texts[skew.TRAIN])
    taken = [row for row, _ in formats.paired(some, wrong)] if dpo else list(some)
    texts[skew.FILE] = skew.content(lesson.variant, taken)
    about = f"{base.name}{'-rag' * (lesson.arm == OPEN)}-s{seed}-n{len(some)}"
    return Planned(
        name=f"tuned-{about}",
        seed=seed,
        rows=some,
        checked=texts["valid.jsonl"].count(b"\n"),
        texts=texts,
        recipe=recipe,
        cost=estimate(taken, settings.epochs, settings.price, base.id, embedded=base.endpoint.embedded),
        folder=prepared.experiment.folder / "runs" / FOLDER / f"{about}-{recipe[:10]}",
        arm=lesson.arm,
        variant=lesson.variant,
    )


def _recipe(base: Model, settings: TuneSettings, seed: int, train: bytes) -> str:
    """The hash of all that the tuned model is made of; the endpoint's name for it is not in it."""
    about = [
        base.endpoint.identity,
        base.identity,
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
