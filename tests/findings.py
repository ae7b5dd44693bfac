"""Findings of a search that never was: from arrays of scores, for tests of what is folded from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlab.final import choose
from promptlab.findings import Findings
from promptlab.metrics.exact import exact
from promptlab.metrics.macro_f1 import MacroF1
from promptlab.mine import Search
from promptlab.predict import Label, Task
from promptlab.records import (
    Call,
    Completion,
    Endpoint,
    Example,
    Model,
    Phase,
    Prediction,
    Price,
    Slot,
    Split,
    Usage,
    Variant,
)
from promptlab.space import Space
from promptlab.view import View

NAN = math.nan
LABELS = ("no", "yes")
Scores = npt.ArrayLike


def task_of(price: Price | None = None, metrics: Mapping[str, Any] | None = None) -> Task:
    model = Model("m", Endpoint("https://api.example.com/v1"), "m-1", price)
    metrics = metrics or {"main": exact, "f1": MacroF1()}
    first = next(iter(metrics))
    return Task({}, {"m": model}, "label", metrics, {first: 1.0}, tuple(Label(name) for name in LABELS))


def examples_of(prefix: str, n: int, weights: Sequence[float] | None = None) -> tuple[Example, ...]:
    return tuple(
        Example(f"{prefix}{i}", {"text": f"{prefix} {i}"}, "yes", weight=weights[i] if weights else 1.0, row=i + 1)
        for i in range(n)
    )


def variants_of(n: int) -> tuple[Space, tuple[Variant, ...]]:
    slots = (
        Slot("model", "choice", ("m",)),
        Slot("template", "choice", ("t",)),
        Slot("tone", "choice", tuple(f"tone{k}" for k in range(max(1, n)))),
    )
    space = Space(slots)
    return space, tuple(space.variant(space.point(k), "grid" if k else "baseline") for k in range(n))


def prediction(variant: Variant, example: Example, score: float, split: Split, repeat: int = 0) -> Prediction:
    phase: Phase = "final" if split == "test" else "search"
    key = f"{variant.id}{example.id}{repeat}"
    if math.isnan(score):
        call = Call(key, "answer", None, attempts=3, error="500 from the server")
        return Prediction(
            variant.id, example.id, repeat, split, phase, "error", model="m", error=call.error, calls=(call,)
        )
    usage = Usage(100, 2, 10)
    call = Call(key, "answer", Completion("yes", usage=usage), usd=0.001, latency=0.25)
    answer = "yes" if score > 0.5 else "no"
    scores = {"main": score, "f1": score, "length": -score}
    return Prediction(
        variant.id, example.id, repeat, split, phase, "ok", answer, score, scores, answer, "m",
        prompt_tokens=100, calls=(call,),
    )  # fmt: skip


def findings(
    dev: Scores,
    test: Scores | None = None,
    *,
    asked: npt.ArrayLike | None = None,
    fell: Mapping[int, int] | None = None,
    weights: Sequence[float] | None = None,
    test_weights: Sequence[float] | None = None,
    finalists: int = 5,
    price: Price | None = None,
    metrics: Mapping[str, Any] | None = None,
    seed: int = 7,
) -> Findings:
    """``dev`` [variants, rows]; NaN = the call failed, or was not made where ``asked`` says so.

    ``test`` [variants, rows] holds what each variant would score there: only the baseline and the finalists are asked.
    """
    scores = np.asarray(dev, float)
    count, rows = scores.shape
    space, variants = variants_of(count)
    was_asked = np.ones(scores.shape, bool) if asked is None else np.asarray(asked, bool)
    live = np.array([v not in (fell or {}) for v in range(count)])
    view = View(
        space, (), examples_of("d", rows, weights), variants, np.where(was_asked, scores, NAN), was_asked, live,
        round=9, finalists=finalists,
    )  # fmt: skip
    choice = choose(view, seed)
    on_dev = tuple(
        prediction(variants[v], view.dev[i], scores[v, i], "dev") for v, i in zip(*np.nonzero(was_asked), strict=True)
    )
    test_rows: tuple[Example, ...] = ()
    on_test: tuple[Prediction, ...] = ()
    if test is not None:
        there = np.asarray(test, float)
        test_rows = examples_of("t", there.shape[1], test_weights)
        on_test = tuple(
            prediction(variants[v], example, there[v, i], "test")
            for v in (0, *choice.finalists)
            for i, example in enumerate(test_rows)
        )
    search = Search(view, on_dev, dict(fell or {}), {})
    return Findings("r1", "api.example.com", task_of(price, metrics), search, choice, test_rows, on_test, seed)
