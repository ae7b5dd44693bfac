"""What each tuned arm is taught: one variant, and why an experiment cannot have an arm. Pure.

"fine-tuned" is taught the baseline's prompt without demos and passages; "fine-tuned+rag" the same family of templates
with passages. Those are what the retriever finds, as many as inference shows: the right one among others that are
nearly right, or the others alone. RAFT (Zhang et al. 2024, arXiv 2403.10131) trains on such mixtures, drawn with the
right one left out of a share of the rows; here the retriever leaves it out as often as it will when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import PurePosixPath
from typing import Any

from promptlab.errors import BadInput, nearest
from promptlab.experiment.choose import ARMS
from promptlab.prepare import Prepared
from promptlab.records import Example, Model, Variant
from promptlab.retrieve.settings import KNOWN, NONE
from promptlab.space import Space
from promptlab.tune.named import named, unpinned
from promptlab.tune.settings import TuneSettings

CLOSED, OPEN = "fine-tuned", "fine-tuned+rag"
READS, RETRIEVER = "passages", "retrieval.retriever"
_ASKING = (RETRIEVER, "retrieval.query", "retrieval.rerank")  # which of them a model may have to be asked for
_SHOWING = ("retrieval.chunk", "retrieval.k", "retrieval.order")


@dataclass(frozen=True, slots=True)
class Lesson:
    """The variant that an arm's models are taught."""

    arm: str
    variant: Variant


class _Lack(Exception):  # noqa: N818 - reads as what it is
    """The experiment has no such arm."""


def lessons(
    prepared: Prepared, settings: TuneSettings, pool: Sequence[Example]
) -> tuple[tuple[Lesson, ...], dict[str, str]]:
    """What is taught for the arms that `choose` asks for, and why the others of them cannot be had.

    ``pool``: the training rows. Raises BadInput for a template or slots that are not there.
    """
    base = base_of(prepared, settings)
    if settings.variant:
        return _named(prepared, settings, base.name)
    maker = _Maker(prepared, pool, base.name, unpinned(prepared), *_start(prepared, settings))
    found: list[Lesson] = []
    left_out: dict[str, str] = {}
    for arm in [each for each in prepared.experiment.choose.arms if "tuned" in each] or [CLOSED, OPEN]:
        try:
            found.append(Lesson(arm, maker.open() if arm == OPEN else maker.closed()))
        except _Lack as lack:
            left_out[arm] = str(lack)
    return tuple(sorted(found, key=lambda each: ARMS.index(each.arm))), left_out


def _named(prepared: Prepared, settings: TuneSettings, base: str) -> tuple[tuple[Lesson, ...], dict[str, str]]:
    """As `tune.variant` says, the one without passages first."""
    made = {OPEN if "rag" in each.method else CLOSED: each for each in named(prepared, settings.variant, base)}
    missing = {CLOSED: "`tune.variant` teaches no prompt without passages",
               OPEN: "`tune.variant` teaches no prompt with passages"}  # fmt: skip
    taught = tuple(Lesson(arm, made[arm]) for arm in missing if arm in made)
    return taught, {arm: why for arm, why in missing.items() if arm not in made}


def base_of(prepared: Prepared, settings: TuneSettings) -> Model:
    """The model that is tuned. Raises BadInput where the experiment has none of that name."""
    models = prepared.task.models
    name = settings.base or next((name for name, each in models.items() if not each.recipe), next(iter(models)))
    if name not in models:
        what = f"`tune.base_model`: there is no model {name!r}"
        raise BadInput(prepared.experiment.problem(("tune", "base_model"), what, nearest(name, models)))
    return models[name]


def _start(prepared: Prepared, settings: TuneSettings) -> tuple[str, Mapping[str, Any]]:
    """The template to begin with, and the choices to keep: the baseline's, or the first ones of a named template."""
    own, name = prepared.baseline.slots, settings.template
    if name is None or name == own["template"]:
        return str(own["template"]), own
    if name not in prepared.task.templates:
        remedy = nearest(name, prepared.task.templates)
        raise BadInput(prepared.experiment.problem(("tune", "template"), f"there is no template {name!r}", remedy))
    return name, {}


@dataclass(frozen=True)
class _Maker:
    """Makes the variants of one experiment. ``kept``: slot values that are taken where a template has them.

    ``whole``: the space without its pins, as what is kept may lie outside of them.
    """

    prepared: Prepared
    pool: Sequence[Example]
    base: str
    whole: Space
    first: str
    kept: Mapping[str, Any]

    def closed(self) -> Variant:
        """Without passages: a template that reads none, or one for which the experiment names the retriever `none`."""
        names = [name for name in self._templates() if not self._reads(name) or NONE in self._values(name, RETRIEVER)]
        if not names:
            listed = self.prepared.experiment.retrieval is not None
            raise _Lack("every template reads `passages`" + ", and `retrieval.retriever` names no `none`" * listed)
        return self._variant(names[0], {RETRIEVER: NONE})

    def open(self) -> Variant:
        """With passages that are known without asking anybody."""
        names = [name for name in self._templates() if self._reads(name)]
        if not names:
            raise _Lack("no template reads `passages`")
        if self.prepared.experiment.retrieval is None:
            if not any(each.passages for each in self.pool):
                raise _Lack("there is no `retrieval`, and no training row brings passages")
            return self._variant(names[0], {})
        for name in names:
            made = next(self._found(name), None)
            if made is not None:
                return made
        real = list(dict.fromkeys(str(each) for name in names for each in self._real(name)))
        if not real:
            raise _Lack("`retrieval.retriever` names no retriever that looks for passages")
        what = f"the passages of {', '.join(real)} are known only once a model was asked"
        raise _Lack(f"{what}; `retrieval` needs bm25 or tfidf, with a query and a rerank that ask none")

    def _found(self, template: str) -> Iterator[Variant]:
        """The variants of a template whose passages ask nobody, what the experiment excludes last."""
        excluded: list[Variant] = []
        for asking in product(self._real(template), *(self._liked(template, name) for name in _ASKING[1:])):
            forced = {name: value for name, value in zip(_ASKING, asking, strict=True) if value is not None}
            one = self._variant(template, forced)
            if not self.prepared.task.prompt(one).foreseen(self.pool[0]).exact:
                continue
            for showing in product(*(self._liked(template, name) for name in _SHOWING)):
                more = {name: value for name, value in zip(_SHOWING, showing, strict=True) if value is not None}
                each = self._variant(template, forced | more)
                if self.prepared.space.excluded(each.slots):
                    excluded.append(each)
                else:
                    yield each
        yield from excluded

    def _variant(self, template: str, forced: Mapping[str, Any]) -> Variant:
        """Forced values, else kept ones, else the first ones of the slots that are active; never with demos."""
        wanted = {**forced, "template": template, "model": self.base, "bank.k": 0}
        space = self.prepared.space
        values: dict[str, Any] = {}
        pairs = zip(space.slots, self.whole.slots, strict=True)
        for left, every in sorted(pairs, key=lambda pair: len(pair[0].when)):
            if all(values.get(name) in ok for name, ok in left.when):
                keep = left.name in self.kept and self.kept[left.name] in every.values
                values[left.name] = wanted.get(left.name, self.kept[left.name] if keep else left.values[0])
        return space.variant({name: values[name] for name in space.names() if name in values}, "taught")

    def _templates(self) -> list[str]:
        """The first template, then those in its folder, then the others."""
        pinned = [str(each) for slot in self.prepared.space.slots if slot.name == "template" for each in slot.values]
        folder = PurePosixPath(self.first).parent
        others = [name for name in pinned if name != self.first]
        return [self.first, *sorted(others, key=lambda name: PurePosixPath(name).parent != folder)]

    def _reads(self, template: str) -> bool:
        return READS in self.prepared.task.templates[template].uses

    def _values(self, template: str, name: str) -> list[Any]:
        """The values that a slot has at a template."""
        return [
            value
            for slot in self.prepared.space.slots
            if slot.name == name and template in dict(slot.when).get("template", (template,))
            for value in slot.values
        ]

    def _real(self, template: str) -> list[Any]:
        """The retrievers that look for passages, the kept one first."""
        return [each for each in self._liked(template, RETRIEVER) if each is not None and each not in KNOWN]

    def _liked(self, template: str, name: str) -> list[Any]:
        """The values of a slot, the kept one first; [None] where there is no such slot."""
        found: Iterable[Any] = dict.fromkeys(self._values(template, name))
        return sorted(found, key=lambda each: each != self.kept.get(name)) or [None]
