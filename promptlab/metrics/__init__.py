"""Scoring: a metric says how good one completion is on one example. Higher is better, NaN is "not scored".

A metric is anything that can be called with (example, completion), as :class:`Metric` says; a plain function will
do. It may have more:

    aggregate(pairs, labels) -> float   what is reported instead of the mean (macro-F1)
    check(example) -> str               why a row cannot be scored, asked before anything is spent; "" if it can be
    beside(example, completion, baseline) -> Outcome
                                        instead of the call: it is told how the baseline answers the row (None: the
                                        completion is the baseline's own); an LLM judge that compares
    needs_label = False                 rows without a label can be scored
    calls, worst(example, tokens)       how many requests one score takes, and those requests for an output of so many
                                        tokens; for metrics that are flows

In an experiment a metric is named: a built-in (``exact``), a built-in with its argument (``numeric:0.01``,
``regex:PATTERN``, ``json_fields:a,b``, ``json_valid:schema.json``) or one's own (``package.module:name``), which is
imported with the experiment's folder and the current directory in front. It may be a function, sync or async, or a
generator of requests; a class is called with the options first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, SupportsFloat, TypeAlias

from promptlab.errors import BadInput, Problem, nearest
from promptlab.importing import imported
from promptlab.options import with_options
from promptlab.records import Completion, Example, Flow, Score

Outcome: TypeAlias = Score | float | bool | tuple[float, str] | Flow[Any] | Awaitable[Any]

METRICS: dict[str, str] = {
    "accuracy": "promptlab.metrics.exact:exact",
    "chrf": "promptlab.metrics.chrf:Chrf",
    "contains": "promptlab.metrics.contains:contains",
    "exact": "promptlab.metrics.exact:exact",
    "exact_set": "promptlab.metrics.label_sets:exact_set",
    "json_fields": "promptlab.metrics.json_fields:JsonFields",
    "json_valid": "promptlab.metrics.json_valid:JsonValid",
    "judge": "promptlab.metrics.judge:Judge",
    "macro_f1": "promptlab.metrics.macro_f1:MacroF1",
    "micro_f1": "promptlab.metrics.label_sets:MicroF1",
    "normalised": "promptlab.metrics.normalised:normalised",
    "numeric": "promptlab.metrics.numeric:Numeric",
    "pairwise": "promptlab.metrics.pairwise:Pairwise",
    "regex": "promptlab.metrics.regex:Regex",
    "rouge_l": "promptlab.metrics.rouge_l:RougeL",
    "set_f1": "promptlab.metrics.label_sets:set_f1",
    "token_f1": "promptlab.metrics.token_f1:token_f1",
}
JUDGES = ("judge", "pairwise")
"""Those that ask a model."""

INFINITY = float("inf")


class Metric(Protocol):
    """What scores; see the package for what else a metric may have."""

    def __call__(self, example: Example, completion: Completion, /) -> Outcome:
        """Score one completion on one example; ``scored`` reads the outcome, once a flow or awaitable gave it."""
        ...


def load(name: str, options: Mapping[str, Any] | None = None, base: Path = Path()) -> Metric:
    """The metric that an experiment names; ``base`` is the experiment's folder, paths in options are relative to it.

    Options go to a class as its arguments, to a function as keyword arguments of every call. BadInput: no such
    metric, an import that fails, or options that do not fit.
    """
    given = dict(options or {})
    head, colon, argument = name.partition(":")
    if head in JUDGES and "model" not in given:
        remedy = f"Name it in an experiment, like metrics: {{good: {{{head}: {{rubric: …}}}}}}."
        raise BadInput(Problem(f"metric {name!r} needs a rubric, and a model to ask", remedy=remedy))
    if head in METRICS:
        target = imported(f"metric {name!r}", METRICS[head], base, ())
        if colon:
            given = {_first_field(name, target): argument} | given
        if head == "json_valid" and isinstance(given.get("schema"), str):
            given["schema"] = base / given["schema"]
    elif colon:
        target = imported(f"metric {name!r}", name, base, METRICS)
    else:
        remedy = f"{nearest(name, METRICS)} Your own is package.module:function."
        raise BadInput(Problem(f"metric {name!r}: there is no such metric", remedy=remedy))
    metric: Metric = with_options(f"metric {name!r}", target, given, ("example", "completion"))
    return metric


def needs_label(metric: Any) -> bool:
    """Whether a row without a label has no score by this metric: so unless the metric says otherwise."""
    inner = getattr(metric, "func", metric)  # of a function with options
    return bool(getattr(inner, "needs_label", True))


def scored(value: Any) -> Score:
    """A metric's outcome as a Score: a Score, a number, a bool, or (number, explanation). TypeError: anything else."""
    if type(value) is float and -INFINITY < value < INFINITY:  # nearly always
        return Score(value)
    if isinstance(value, Score):
        return Score(_finite(value.value), value.answer, value.explanation)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):
        return Score(_finite(value[0]), explanation=value[1])
    return Score(_finite(value))


def unscorable(metric: Metric, examples: Iterable[Example], path: str = "") -> list[Problem]:
    """The rows that a metric says it cannot score, each with its reason; empty if it has no ``check``."""
    check = getattr(metric, "check", None)
    if not callable(check):
        return []
    reasons = ((example, check(example)) for example in examples)
    return [Problem(f"row {each.row or each.id}: {reason}", path=path) for each, reason in reasons if reason]


def _first_field(name: str, target: Any) -> str:
    """What the text after the colon of a built-in sets: the first field of its class."""
    fields = [each.name for each in dataclasses.fields(target) if each.init] if isinstance(target, type) else []
    if not fields:
        head = name.partition(":")[0]
        raise BadInput(Problem(f"metric {name!r}: {head} takes nothing after a colon", remedy=f"Write {head}."))
    return fields[0]


def _finite(value: Any) -> float:
    if isinstance(value, SupportsFloat):
        number = float(value)
        if abs(number) != float("inf"):
            return number
    raise TypeError(
        f"a metric returned {value!r:.80} ({type(value).__name__}): "
        "it must return a finite number, a bool, (number, explanation) or a Score"
    )
