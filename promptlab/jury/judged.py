"""What a judge's scores may be called: its agreement with people, verdicts that could not be read, the claim it bears.

Pure folds of predictions. What the judge said of outputs that people scored is in the calls of the baseline's rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from promptlab.findings import Findings
from promptlab.jury.agreement import ENOUGH, Agreement, debiased, kappa
from promptlab.metrics.judge import Judge
from promptlab.metrics.pairwise import Pairwise
from promptlab.predict import Task, objective
from promptlab.records import Completion, Example, Prediction
from promptlab.stats.paired import Paired

MODERATE = 0.6  # kappa below which a judge and people often differ
Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Court:
    """The predictions that judges scored: all of them, the baseline's among them, with the rows by id."""

    task: Task
    baseline: str
    examples: Mapping[str, Example]
    rows: Sequence[Prediction]


def court_of(found: Findings) -> Court:
    """The predictions of a run, dev and test, with their rows; none where there is no judge."""
    view = found.search.view
    examples = {each.id: each for each in (*view.dev, *found.test_rows)}
    rows = (*found.search.predictions, *found.test) if judges(found.task) else ()
    return Court(found.task, view.variants[0].id, examples, rows)


def on_pick(found: Findings) -> Paired | None:
    """``put_right`` for dev's pick, on test where it was read, else on dev; None where no judge decides."""
    if not deciding(found.task):
        return None
    view, rows = found.search.view, found.test or found.search.predictions
    pick = view.variants[found.choice.pick].id
    court = court_of(found)
    one = [row for row in rows if row.variant == pick]
    return put_right(court, one, [row for row in rows if row.variant == court.baseline], found.seed)


def judges(task: Task) -> dict[str, Judge | Pairwise]:
    """The metrics that are judges, by name."""
    return {name: each for name, each in task.metrics.items() if isinstance(each, (Judge, Pairwise))}


def deciding(task: Task) -> dict[str, Judge | Pairwise]:
    """The judges that are part of the objective."""
    return {name: each for name, each in judges(task).items() if name in task.objective}


def agreement(court: Court, name: str, seed: int) -> Agreement:
    """How far the judge ``name`` agrees with people on the outputs that both scored."""
    judge = judges(court.task)[name]
    pairs = _pairs(court, judge, name) if isinstance(judge, Pairwise) else _verdicts(court, judge)
    return kappa([one for one, _ in pairs], [other for _, other in pairs], seed)


def lines(court: Court, seed: int) -> list[str]:
    """What is said of judges before any of their scores."""
    told = []
    for name, judge in judges(court.task).items():
        who = f"Judge {judge.model.name} (`{name}`)"
        told.append(f"{who}: {_agreed(agreement(court, name, seed), bool(judge.human.scores))}")
        asked = [row.scores[name] for row in court.rows if row.status == "ok" and name in row.scores]
        lost = sum(map(math.isnan, asked))
        if lost:
            told.append(f"{who}: {lost} of {len(asked)} verdicts could not be read; those rows have no score.")
    return told


def _agreed(found: Agreement, asked: bool) -> str:
    if not asked:
        return "no human scores to check it against (`human`): what it says is one model's opinion."
    if math.isnan(found.kappa):
        return f"agreement with people cannot be told from {found.n} outputs that both scored."
    many = f"kappa {found.kappa:.2f} [{found.low:.2f}, {found.high:.2f}] with people on {found.n} outputs"
    weak = " They often differ: mind what its scores are worth." if found.kappa < MODERATE else ""
    return f"{many} (1 = as people score, 0 = no better than chance).{weak}"


def put_right(court: Court, one: Sequence[Prediction], base: Sequence[Prediction], seed: int) -> Paired | None:
    """The difference of two variants' objective with the judge's part put right by people's scores of both outputs.

    ``n`` = pairs of outputs that people scored; None where no judge decides. With fewer than ENOUGH no winner is named.
    """
    if not deciding(court.task):
        return None
    shown = {(row.example, row.repeat): row for row in base}
    by_judge = _gaps(_means((row.example, row.score) for row in one), _means((row.example, row.score) for row in base))
    people = [(row.example, _by_people(court.task, row, shown.get((row.example, row.repeat)))) for row in one]
    theirs = [(row.example, _by_people(court.task, row, row)) for row in base]
    by_people = _gaps(_means(people), _means(theirs))
    names = sorted(by_judge)
    return debiased([by_judge[name] for name in names], [by_people.get(name, math.nan) for name in names], seed)


def names_winner(found: Paired | None) -> bool:
    """Whether people's scores bear a winner: no judge decides, or enough pairs say so with p below .05."""
    return found is None or (found.n >= ENOUGH and found.delta > 0 and found.p < 0.05)


def word(task: Task, found: Paired | None) -> str:
    """What stands before dev's pick where it is above the baseline: "Winner", or who prefers it."""
    if names_winner(found):
        return "Winner"
    return "Preferred by " + " and ".join(dict.fromkeys(each.model.name for each in deciding(task).values()))


def why(found: Paired | None) -> str:
    """Why a judge's pick is no winner; empty where none decides, or people bear it out."""
    if found is None or names_winner(found):
        return ""
    if found.n < ENOUGH:
        return (
            f"A judge alone names no winner: people scored both outputs of {found.n} rows, and {ENOUGH} are needed. "
            "Score some of predictions.csv in a column `human`, and name that file as the judge's `human`."
        )
    gap = f"{100 * found.delta:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return f"People do not bear the judge out: {gap} once {found.n} rows that they scored are taken into account."


def _verdicts(court: Court, judge: Judge) -> list[tuple[float, float]]:
    """(judge, people) of every output that people scored and the judge was asked about."""
    said: dict[str, Completion] = {
        call.key: call.completion
        for row in court.rows
        if row.variant == court.baseline
        for call in row.calls
        if call.completion is not None
    }
    pairs = []
    for example in court.examples.values():
        for output, score in judge.human.scores.get(example.id, ()):
            verdict = said.get(judge.request(example, output).key)
            if verdict is not None:
                pairs.append((judge.read(verdict).value, score))
    return pairs


def _pairs(court: Court, judge: Pairwise, name: str) -> list[tuple[float, float]]:
    """(judge, people) of every pair of outputs, the baseline's and another's, that people scored both of."""
    base = {(row.example, row.repeat): row for row in court.rows if row.variant == court.baseline}
    found: dict[tuple[str, str, str], tuple[float, float]] = {}
    for row in court.rows:
        other = base.get((row.example, row.repeat))
        if other is not None and row.variant != court.baseline and name in row.scores:
            value = _preference(judge, row, other)
            if not math.isnan(value):
                found[row.example, row.output, other.output] = (row.scores[name], value)
    return list(found.values())


def _by_people(task: Task, row: Prediction, base: Prediction | None) -> float:
    """The objective with people's scores in place of the judges'; NaN where they did not score the output."""
    if row.status != "ok" or base is None:
        return math.nan
    theirs = {
        name: _preference(judge, row, base) if isinstance(judge, Pairwise) else judge.human.of(row.example, row.output)
        for name, judge in deciding(task).items()
    }
    return objective(task.objective, {**row.scores, **theirs})


def _preference(judge: Pairwise, row: Prediction, base: Prediction) -> float:
    """Which output people score higher: 1 the row's, 0 the baseline's, .5 neither; NaN where they did not say."""
    gap = judge.human.of(row.example, row.output) - judge.human.of(row.example, base.output)
    return math.nan if math.isnan(gap) else 0.5 + 0.5 * float(np.sign(gap))


def _means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The mean of the values that there are, example by example."""
    found: dict[str, list[float]] = {}
    for example, value in values:
        if not math.isnan(value):
            found.setdefault(example, []).append(value)
    return {example: math.fsum(known) / len(known) for example, known in found.items()}


def _gaps(one: Scores, other: Scores) -> dict[str, float]:
    return {example: one[example] - other[example] for example in one if example in other}
