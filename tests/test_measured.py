"""Measures that are no means of rows: pseudo-values, and what dev and test say of a run by them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from findings import NAN, findings, task_of

from promptlab.final import choose
from promptlab.findings import Findings
from promptlab.measured import measured, metric_of, objective_of, whole
from promptlab.metrics.classification import macro_f1
from promptlab.metrics.exact import exact
from promptlab.metrics.macro_f1 import MacroF1
from promptlab.predict import Task
from promptlab.records import Example, Prediction
from promptlab.results import fold
from promptlab.verdict import verdict

LABELS = ("no", "yes")


class Plain:
    """Macro-F1 without a quick way to leave rows out."""

    def __call__(self, example: Example, completion: Any) -> float:
        return exact(example, completion)

    def aggregate(self, pairs: Any, labels: Any = ()) -> float:
        return MacroF1().aggregate(pairs, labels)


def rows_of(answers: list[str | None], repeat: int = 0) -> list[Prediction]:
    return [
        Prediction("v", f"d{i}", repeat, "dev", "search", "ok" if each else "invalid", each, 0.0, {"f1": 0.0})
        for i, each in enumerate(answers)
    ]


def examples_of(labels: list[str]) -> list[Example]:
    return [Example(f"d{i}", {}, label) for i, label in enumerate(labels)]


def task(metric: Any = None, **weights: float) -> Task:
    return dataclasses.replace(task_of(metrics={"f1": metric or MacroF1()}), objective=weights or {"f1": 1.0})


WANT = ["yes", "no", "yes", "yes", "no", "no", "yes", "no"]
GOT: list[str | None] = ["yes", "no", "no", "yes", None, "yes", "yes", "no"]


@pytest.mark.parametrize("metric", [MacroF1(), Plain()])
def test_pseudo_values_are_those_of_the_jackknife_and_their_mean_is_the_measure(metric: Any) -> None:
    found = objective_of(task(metric), rows_of(GOT), examples_of(WANT))
    whole_f1 = macro_f1(WANT, GOT, LABELS)
    without = [macro_f1(WANT[:i] + WANT[i + 1 :], GOT[:i] + GOT[i + 1 :], LABELS) for i in range(8)]
    assert found.mean() == pytest.approx(whole_f1)
    assert found - found.mean() == pytest.approx(7 * (np.mean(without) - np.array(without)))


def test_rows_that_failed_are_missing_and_repeats_are_averaged_row_by_row() -> None:
    rows = rows_of(GOT)
    rows[2] = dataclasses.replace(rows[2], status="error", scores={})
    found = objective_of(task(), rows, examples_of(WANT))
    assert np.isnan(found).tolist() == [i == 2 for i in range(8)]
    assert np.nanmean(found) == pytest.approx(macro_f1(WANT[:2] + WANT[3:], GOT[:2] + GOT[3:], LABELS))
    both = objective_of(task(), [*rows_of(GOT), *rows_of(WANT, 1)], examples_of(WANT))
    assert both == pytest.approx((objective_of(task(), rows_of(GOT), examples_of(WANT)) + 1) / 2)


def test_an_objective_of_several_parts_weighs_their_rows() -> None:
    parts = dataclasses.replace(task_of(metrics={"f1": MacroF1(), "short": exact}), objective={"f1": 0.8, "short": 0.2})
    rows = [dataclasses.replace(row, scores={"f1": 0.0, "short": i / 8}) for i, row in enumerate(rows_of(GOT))]
    found = objective_of(parts, rows, examples_of(WANT))
    f1 = metric_of(parts, "f1", rows, examples_of(WANT))
    assert found == pytest.approx(0.8 * f1 + 0.2 * np.arange(8) / 8)
    assert whole(parts)
    assert not whole(task_of())


# A run whose objective is macro-F1 -----------------------------------------------------------------------------------


def by_class(rng: np.random.Generator, n: int, right: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """1 = the answer is right; every tenth row is of the rare class."""
    rare = np.arange(n) % 10 == 0
    return (rng.random(n) < np.where(rare, *right)).astype(float), rare


def run_of(rights: list[tuple[float, float]], n: int = 200, test: bool = True) -> Findings:
    """Variants by their chances on (the rare class, the common one); the objective is macro-F1."""
    rng = np.random.default_rng(1)
    dev, there = ([by_class(rng, n, right)[0] for right in rights] for _ in range(2))
    made = findings(dev, there if test else None, metrics={"f1": MacroF1()})
    rare = {f"{split}{i}" for split in "dt" for i in range(0, n, 10)}

    def labelled(examples: tuple[Example, ...]) -> tuple[Example, ...]:
        return tuple(dataclasses.replace(each, label="no" if each.id in rare else "yes") for each in examples)

    def said(rows: Any) -> tuple[Prediction, ...]:
        return tuple(
            dataclasses.replace(row, answer="yes" if (row.example in rare) != (row.score > 0.5) else "no")
            for row in rows
        )

    view = dataclasses.replace(made.search.view, dev=labelled(made.search.view.dev))
    search = dataclasses.replace(made.search, view=view, predictions=said(made.search.predictions))
    choice = choose(measured(view, made.task, search.predictions), made.seed)
    return dataclasses.replace(
        made, search=search, choice=choice, test_rows=labelled(made.test_rows), test=said(made.test)
    )


def f1_of(found: Findings, v: int, split: str) -> float:
    examples = found.test_rows if split == "test" else found.search.view.dev
    rows = found.test if split == "test" else found.search.predictions
    own = {row.example: row.answer for row in rows if row.variant == found.search.view.variants[v].id}
    return macro_f1([each.label for each in examples], [own[each.id] for each in examples], LABELS)


def test_the_pick_is_best_in_macro_f1_not_in_accuracy_and_the_table_says_so() -> None:
    """1 answers the rare class never and the common one always; 2 is less often right, and right on both."""
    found = run_of([(0.3, 0.9), (0.0, 1.0), (0.8, 0.9)])
    view = found.search.view
    assert view.scores[1].mean() > view.scores[2].mean() - 0.02
    assert found.choice.pick == 2
    rows = {row["variant"]: row for row in fold(found)}
    picked, base = (rows[view.variants[v].id] for v in (2, 0))
    for split, score, delta in (("dev", "dev_score", "dev_delta"), ("test", "test_score", "delta")):
        assert picked[score] == pytest.approx(f1_of(found, 2, split), abs=1e-5)
        assert picked[delta] == pytest.approx(f1_of(found, 2, split) - f1_of(found, 0, split), abs=1e-5)
        assert picked[f"{delta}_low"] < picked[delta] < picked[f"{delta}_high"]
        assert base[score] == pytest.approx(f1_of(found, 0, split), abs=1e-5)
    assert rows[view.variants[1].id]["dev_delta"] < 0, "in accuracy it is above the baseline"
    assert picked["status"] == "winner"
    told = verdict(found, fold(found))[0]
    assert told.startswith("Winner: ")
    assert " points [" in told, "pseudo-values lie beyond 0 and 1, the measure does not"


def test_errors_cannot_hide_behind_pseudo_values() -> None:
    found = run_of([(0.3, 0.9), (0.8, 0.9)])
    gone = tuple(
        dataclasses.replace(row, status="error", scores={}, score=NAN, answer=None)
        if row.variant == found.search.view.variants[1].id and int(row.example[1:]) < 100
        else row
        for row in found.test
    )
    lost = dataclasses.replace(found, test=gone)
    assert "undecided" in " ".join(verdict(lost, fold(lost)))
    assert "winner" not in {row["status"] for row in fold(lost)}
