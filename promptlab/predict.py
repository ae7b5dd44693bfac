"""One prediction as a Flow: variant and example to demos, messages, request, answer, score. Pure between the yields.

Mining, render, plan and export all come through here, so that what they show is what is sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, Self

from promptlab.answer import Parse, parse, parser
from promptlab.bank import Bank
from promptlab.errors import BadInput, CallFailed
from promptlab.metrics import Metric, needs_label
from promptlab.metrics.judging import Baseline
from promptlab.records import (
    Completion,
    Example,
    Flow,
    Message,
    Model,
    Passage,
    Phase,
    Prediction,
    Request,
    Split,
    Variant,
)
from promptlab.scoring import given, score_of
from promptlab.shelf import SLOT, Foreseen, Found, Shelf
from promptlab.space import taken
from promptlab.steps import Known, as_judge
from promptlab.template import Template
from promptlab.template.marks import Row
from promptlab.template.rewriting import scope_of
from promptlab.vote import vote

CHAT = "/chat/completions"
DEFAULTS: Mapping[str, Any] = {"temperature": 0}
"""Sent where an experiment does not name it: servers' own defaults differ, and not all of them say so."""

UNBOUNDED = 1000
"""Tokens that an answer is taken to have where nothing bounds it, when what will quote it is foreseen."""

_NO_ANSWER = {
    "invalid": "no answer could be read from this",
    "refused": "the model refused",
    "truncated": "cut off before an answer",
    "overflow": "the prompt was too long for the model",
}


class Label(str):
    """A label as templates see it: prints as its name, carries its description."""

    __slots__ = ("description",)
    description: str

    def __new__(cls, name: str, description: str = "") -> Self:
        """The label ``name``."""
        label = super().__new__(cls, name)
        label.description = description
        return label

    @property
    def name(self) -> str:
        """The label itself."""
        return str(self)


@dataclass(frozen=True)
class Task:
    """What a prediction needs besides variant and example. ``params`` are the fixed parameters of every request.

    ``baseline``: what metrics that compare may ask for; None = nothing to compare with. ``shelf``: where passages are
    found; None = rows bring their own, or there are none.
    """

    templates: Mapping[str, Template]
    models: Mapping[str, Model]
    parser: str
    metrics: Mapping[str, Metric]
    objective: Mapping[str, float]
    labels: tuple[Label, ...] = ()
    bank: Bank | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    baseline: Variant | None = None
    shelf: Shelf | None = None
    _prompts: dict[str, Prompt] = field(default_factory=dict, repr=False, compare=False)
    _shown: dict[int, Row] = field(default_factory=dict, repr=False, compare=False)  # by identity: the bank keeps them

    def prompt(self, variant: Variant) -> Prompt:
        """The variant with its files looked up, once."""
        known = self._prompts.get(variant.id)
        if known is None:
            known = self._prompts[variant.id] = _resolve(self, variant)
        return known

    @property
    def calls(self) -> int:
        """How many requests one prediction takes at most: its own, and those of its metrics.

        Those that find its passages are not in it: variants share them, and ``Shelf.most`` counts them.
        """
        return 1 + sum(getattr(metric, "calls", 0) for metric in self.metrics.values())

    def requests(self, variant: Variant, example: Example) -> tuple[Request, ...]:
        """Every request that one prediction may make, as long as it may be: for what it can cost at most."""
        prompt = self.prompt(variant)
        example = replace(example, passages=prompt.foreseen(example).passages)
        asked = prompt.request(prompt.messages(example, example.passages))
        limit = asked.body.get("max_tokens", asked.body.get("max_completion_tokens"))
        tokens = limit if isinstance(limit, int) else UNBOUNDED
        worst = (metric.worst(example, tokens) for metric in self.metrics.values() if hasattr(metric, "worst"))
        finding = self.shelf.requests(variant.slots, example) if self.shelf and SLOT in variant.slots else ()
        return (asked, *finding, *chain.from_iterable(worst))

    def shown(self, demo: Example) -> Row:
        """A demo of the bank as templates see it."""
        known = self._shown.get(id(demo))
        if known is None:
            label = demo.answers[0] if demo.answers else ""
            known = self._shown[id(demo)] = Row({**demo.inputs, "label": label, "passages": _passages(demo.passages)})
        return known


@dataclass(frozen=True, slots=True)
class Prompt:
    """A variant, resolved: what stays the same from row to row. ``word`` is the parser's name."""

    task: Task
    variant: Variant
    template: Template
    model: Model
    parse: Parse
    scope: Mapping[str, Any]
    params: Mapping[str, Any]
    defaults: tuple[str, ...] = ()
    word: str = ""

    def messages(self, example: Example, passages: Sequence[Passage] | None = None) -> tuple[Message, ...]:
        """The messages for one row and the ``passages`` given to it; without any, for those that are ``foreseen``.

        Raises BadInput naming template, line, row and variant.
        """
        shown = self.foreseen(example).passages if passages is None else passages
        scope = {**example.inputs, **self.scope, "demos": self._demos(example), "passages": _passages(shown)}
        try:
            return self.template.render(scope)
        except BadInput as error:
            where = f"row {example.id}, " * bool(example.id) + f"variant {self.variant.id}"
            raise BadInput([replace(p, message=f"{p.message} ({where})") for p in error.problems]) from error

    def request(self, messages: Sequence[Message], repeat: int = 0) -> Request:
        """The request that these messages make."""
        body = {
            "model": self.model.id,
            "messages": [{"role": each.role, "content": each.content} for each in messages],
            **self.params,
        }
        return Request(self.model, CHAT, body, draw=str(repeat), defaults=self.defaults)

    @property
    def looks(self) -> bool:
        """Whether its passages are looked for; else they are the row's own."""
        return self.task.shelf is not None and SLOT in self.variant.slots

    def foreseen(self, example: Example, known: Known | None = None) -> Foreseen:
        """The passages of a row, as far as they can be told without asking: computed, ``known``, or as long as any."""
        if self.task.shelf is None or SLOT not in self.variant.slots:
            return Foreseen(example.passages)
        return self.task.shelf.foreseen(self.variant.slots, example, known)

    def shown(self, example: Example, known: Known | None = None) -> Foreseen:
        """As ``foreseen``, or what was found earlier: to be looked at."""
        shelf = self.task.shelf if self.looks else None
        return (shelf and shelf.remembered(self.variant.slots, example)) or self.foreseen(example, known)

    def found(self, example: Example) -> Flow[Found]:
        """The passages of a row. Raises CallFailed where they could not be looked for."""
        if self.task.shelf is None or SLOT not in self.variant.slots:
            return Found(shown=example.passages)
        return (yield from self.task.shelf.found(self.variant.slots, example))

    def _demos(self, example: Example) -> tuple[Row, ...]:
        bank = self.task.bank
        if bank is None or "demos" not in self.template.uses:
            return ()
        return tuple(map(self.task.shown, bank.select(self.variant.slots, example)))


def _passages(passages: Sequence[Passage]) -> tuple[Row, ...]:
    return tuple(Row({"id": each.id, "text": each.text, "title": each.title}) for each in passages)


def _resolve(task: Task, variant: Variant) -> Prompt:
    slots = variant.slots
    template = task.templates[slots["template"]]
    model = task.models[slots["model"]]
    drawn = {name.removeprefix("params."): value for name, value in slots.items() if name.startswith("params.")}
    written = {**task.params, **model.params, **drawn}
    params = {key: value for key, value in {**DEFAULTS, **written}.items() if value is not None}
    defaults = tuple(key for key in DEFAULTS if key not in written)
    choices = {slot.name for slot in template.slots}
    scope = scope_of({name: value for name, value in slots.items() if name in choices}) | {"labels": task.labels}
    word = template.parser or task.parser
    if isinstance(word, Mapping):  # every value has its parser: checked when the files were read
        word = word[str(taken(slots[word["by"]]))]
    return Prompt(task, variant, template, model, parser(word), scope, params, defaults, word)


def predict(
    task: Task, variant: Variant, example: Example, repeat: int = 0, split: Split = "dev", phase: Phase = "search"
) -> Flow[Prediction]:
    """What the variant answers on the example, and its score. A failed call is an error, never a wrong answer."""
    if variant.members:
        return (yield from _voted(task, variant, example, repeat, (split, phase)))
    prompt = task.prompt(variant)
    row = partial(Prediction, variant.id, example.id, repeat, split, phase, model=prompt.model.name)
    try:
        found = yield from prompt.found(bare := example)
        example = replace(example, passages=found.shown)
        said: Completion = yield prompt.request(prompt.messages(example, found.shown), repeat)
    except CallFailed as failure:
        return row("error", error=str(failure))
    answer, status = parse(said, prompt.parse, task.labels)
    names = tuple(each.id for each in found.shown) if "passages" in prompt.template.uses else ()
    row = partial(row, output=said.text, prompt_tokens=said.usage.tokens_in, passages=names, calls=found.calls)
    if prompt.looks and task.shelf is not None:
        row = partial(row, measures=task.shelf.measured(found, example, answer, said.text, variant.slots))
    asked = task.metrics
    if not example.answers and status == "ok":
        asked = {name: metric for name, metric in asked.items() if not needs_label(metric)}
    if not asked:
        return row(status, answer)
    # every metric sees what was parsed, not what another made of it
    read = Completion(said.text, said.finish_reason, said.usage, said.model, said.reasoning, said.fingerprint, answer)
    scores: dict[str, float] = {}
    told = [_NO_ANSWER[status]] if status in _NO_ANSWER else []
    for name, metric in asked.items():
        scores[name] = 0.0
        if status == "ok" or getattr(metric, "scores_non_answers", False):
            try:
                placed = _placed(metric, task, variant, repeat, bare)
                score = yield from score_of(name, placed, example, read, variant)
            except CallFailed as failure:
                return row("error", error=str(failure))
            scores[name], answer = score.value, answer if score.answer is None else score.answer
            told += [score.explanation] if score.explanation and name in task.objective else []
    return row(status, answer, objective(task.objective, scores), scores, explanation="; ".join(told))


def _placed(metric: Metric, task: Task, variant: Variant, repeat: int, row: Example) -> Metric:
    """A metric as it scores this variant: one that compares is told how the baseline answers the ``row``."""
    beside = getattr(metric, "beside", None)
    if beside is None or task.baseline is None:
        return metric
    if variant.id == task.baseline.id:
        return lambda example, completion: beside(example, completion, None)
    prompt = task.prompt(task.baseline)

    def compared(example: Example, completion: Completion) -> Flow[Any]:
        # the very requests of the baseline's own prediction: one key, paid once; here they serve the judge
        found = yield from as_judge(prompt.found(row))
        request = replace(prompt.request(prompt.messages(row, found.shown), repeat), purpose="judge")
        base = Baseline(request, lambda c: parse(c, prompt.parse, task.labels)[1] == "ok")
        return (yield from given(beside(example, completion, base)))

    return compared


def _voted(task: Task, variant: Variant, example: Example, repeat: int, place: tuple[Split, Phase]) -> Flow[Prediction]:
    """An ensemble's row: that of the member that speaks for all, with every member's calls. Any error is one."""
    rows: list[Prediction] = []
    for member in variant.members:
        rows.append((yield from predict(task, member, example, repeat, *place)))  # noqa: PERF401 - a flow
    failed = [row for row in rows if row.status == "error"]
    answers = [row.answer if row.status == "ok" else None for row in rows]
    weights = [float(weight) for _, weight in variant.slots["ensemble"]]
    row = failed[0] if failed else rows[vote(answers, weights)]
    return replace(row, variant=variant.id, prompt_tokens=sum(each.prompt_tokens for each in rows))


def objective(weights: Mapping[str, float], scores: Mapping[str, float]) -> float:
    """The weighted sum of metrics that the search maximises."""
    return math.fsum(weight * scores.get(name, math.nan) for name, weight in weights.items())
