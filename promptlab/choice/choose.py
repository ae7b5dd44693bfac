"""The arms of an experiment mined one after the other, each best once on test, then the rule; and what it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np

from promptlab import capabilities
from promptlab.choice import budget
from promptlab.choice.arm import Arm, best_on_dev
from promptlab.choice.arms import Plan, alone, is_tuned, oracled, plans, siblings, with_oracle
from promptlab.choice.collect import collect, curves, on_dev, picked, unread
from promptlab.choice.curve import Curve
from promptlab.choice.diagnosis import Seen, diagnose
from promptlab.choice.limits import limits_of
from promptlab.choice.page import page
from promptlab.choice.probing import lost, probing
from promptlab.choice.reads import mark, readings
from promptlab.choice.reason import sentences
from promptlab.choice.rule import Choice, reference_of, rule
from promptlab.choice.shutdown import shutdown
from promptlab.choice.table import columns, rows
from promptlab.choice.tuned import TunedModels, tuned_models
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.experiment.choose import Choose
from promptlab.experiment.experiment import INDIFFERENT
from promptlab.finished import Run
from promptlab.folder import project_of
from promptlab.forecast import forecast
from promptlab.prepare import Prepared, prepare
from promptlab.records import Budget
from promptlab.run import mine, runs_of
from promptlab.session import Watch
from promptlab.stats.paired import mean
from promptlab.stats.sample import codes_of
from promptlab.tune.settings import TuneSettings
from promptlab.write import write_csv, write_text

TABLE, PAGE = "choice.csv", "choice.html"

Watched: TypeAlias = Callable[[str, Prepared], AbstractContextManager[Watch | None]]
"""Looks on while an arm is mined."""


@dataclass(frozen=True)
class Planned:
    """The arms, ready to be mined within their shares, and those that are left out."""

    prepared: Prepared
    wish: Choose
    arms: Mapping[str, Prepared]
    left_out: tuple[Plan, ...]
    tuned: TunedModels


@dataclass(frozen=True)
class Chosen:
    """A choice with the runs behind it (one for each tuning seed) and what the figures advise."""

    choice: Choice
    runs: Mapping[str, tuple[Run, ...]]
    left_out: tuple[Plan, ...]
    advice: tuple[str, ...]
    curves: Mapping[str, tuple[Curve, ...]] = field(default_factory=dict)

    def rows(self, today: date | None = None) -> list[dict[str, object]]:
        """choice.csv as rows."""
        return rows(self.choice, today or datetime.now(UTC).date())


def planned(prepared: Prepared, wish: Choose) -> Planned:
    """The arms of a prepared experiment. Raises BadInput where there are fewer than two, or no test rows."""
    experiment = prepared.experiment
    _check_test(prepared)
    wants = any("tuned" in name for name in wish.arms)
    tuned = tuned_models(prepared) if wants else TunedModels(TuneSettings())
    every = plans(prepared, wish.arms, tuned)
    possible = [plan for plan in every if not plan.left_out]
    left_out = tuple(plan for plan in every if plan.left_out)
    if len(possible) < 2:
        told = "; ".join(f"{plan.arm}: {plan.left_out}" for plan in left_out)
        what = f"a choice needs two arms at least, and the experiment has {len(possible)} of those asked for"
        raise BadInput(experiment.problem(("choose",), what, f"Left out: {told}." if told else "Ask for more arms."))
    made = {plan.arm: _prepared(prepared, plan.overrides) for plan in possible}
    cap = experiment.search.budget.calls
    given: Mapping[str, float | None] = dict.fromkeys(made)
    if cap is not None:
        needs = {name: _needed(each) for name, each in made.items()}
        given = budget.shares(needs, max(0, cap - _aside(prepared, made)))
    whole = experiment.search.budget
    shared = {name: budget.overrides(whole, given[name], len(made) + oracled(experiment)) for name in made}
    return Planned(
        prepared,
        wish,
        {name: _prepared(each, shared[name]) if shared[name] else each for name, each in made.items()},
        left_out,
        tuned,
    )


def _needed(arm: Prepared) -> int:
    """The most calls that an arm can make use of; its baseline on dev at least."""
    found = forecast(arm)
    alone = len(arm.rows.dev) * arm.experiment.search.repeats * arm.task.calls
    return max(found.search_calls, alone) + found.test_calls


def _aside(prepared: Prepared, made: Mapping[str, Prepared]) -> int:
    """The calls that no arm gets: the oracle on dev, and the pick of tuned arms with the models of other seeds."""
    search, rows = prepared.experiment.search, prepared.rows
    names = [model.name for model in prepared.experiment.models]
    seeds = max((len(siblings(name, names)) - 1 for name in names if is_tuned(name)), default=0)
    tuned = sum("tuned" in name for name in made)
    oracle = len(rows.dev) if oracled(prepared.experiment) and any("rag" in name for name in made) else 0
    return search.repeats * prepared.task.calls * (oracle + seeds * tuned * len(rows.scored))


def choose(plan: Planned, watched: Watched | None = None, *, fresh: bool = False) -> Chosen:
    """Mine every arm or go on with it, choose, and write choice.csv and choice.html (``home`` says where).

    What is known already is never asked again. Raises as ``run.mine`` does.
    """
    look: Watched = watched or (lambda *_: nullcontext(None))
    runs: dict[str, tuple[Run, ...]] = {}
    for name, prepared in plan.arms.items():
        first = _mined(name, prepared, look, fresh=fresh)
        runs[name] = (first, *(_mined(name, each, look, fresh=fresh) for each in _other_seeds(first)))
    found = {name: _arm(name, done, plan, look) for name, done in runs.items()}
    choice = _ruled(plan, found, runs)
    oracle = _oracle(runs, look)
    _mark(runs, oracle)
    drawn = {name: curves(done[0]) for name, done in runs.items()}
    best = best_on_dev(list(found.values())).name
    advice = diagnose(_seen(runs, best, oracle, drawn[best]), plan.prepared.experiment.seed)
    chosen = Chosen(choice, runs, plan.left_out, tuple(advice), drawn)
    write(chosen, home(plan.prepared), plan.prepared.experiment.name)
    return chosen


def home(prepared: Prepared) -> Path:
    """Where a choice is left: beside experiment.yaml; one on some of the rows among the runs: it replaces none."""
    folder = prepared.experiment.folder
    return folder if prepared.limit is None else folder / "runs" / "choice"


def write(chosen: Chosen, folder: Path, name: str) -> None:
    """choice.csv and choice.html in a folder; ``name`` is the experiment's."""
    names, made = columns(), chosen.rows()
    write_csv(folder / TABLE, names, ([row.get(each) for each in names] for row in made))
    left = {plan.arm: plan.left_out for plan in chosen.left_out}
    said = sentences(chosen.choice)
    write_text(folder / PAGE, page(name, chosen.choice, made, said, chosen.advice, chosen.curves, left))


def _check_test(prepared: Prepared) -> None:
    """Without test rows nothing can be chosen; where the experiment leaves the split open, arms get one."""
    experiment = prepared.experiment
    if not prepared.rows.test and not (experiment.fixed and prepared.test):
        remedy = "Give `data.split` a share for test."
        raise BadInput(experiment.problem(("data", "split"), "a choice needs test rows, and there are none", remedy))


def _prepared(prepared: Prepared, overrides: Sequence[str]) -> Prepared:
    """The experiment with more overrides. Only its own run may leave results.csv beside it: an arm counts its rows."""
    made = _loaded(prepared.experiment, overrides)
    limit = prepared.limit or len(prepared.rows.all)
    done = prepare(made, limit)
    inside = all(name in INDIFFERENT for name, _ in made.search.propose)
    if done.space.size > 1 or not inside or made.search.allocate[0] == "full":
        return done
    return prepare(_loaded(made, ('search.allocate="full"',)), limit)  # else nobody would ask one variant alone on dev


def _loaded(experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """The experiment with more overrides, and with a test split where it leaves that open."""
    every = (*experiment.overrides, *overrides)
    made = Experiment.load(experiment.path, every)
    return Experiment.load(experiment.path, (*every, "data.split={dev: 0.5, test: 0.5}")) if made.fixed else made


def _mined(arm: str, prepared: Prepared, watched: Watched, *, fresh: bool = False) -> Run:
    with watched(arm, prepared) as watch:
        return mine(prepared, watch, fresh=fresh)


def _other_seeds(first: Run) -> list[Prepared]:
    """The pick of a tuned arm with the models of the other tuning seeds."""
    variant, names = picked(first), [model.name for model in first.prepared.experiment.models]
    model = str(variant.slots["model"])
    others = [name for name in siblings(model, names) if name != model] if is_tuned(model) else []
    made = [alone(first.prepared, {**variant.slots, "model": name}) for name in others]
    return [_prepared(first.prepared, overrides) for overrides in made if overrides]


def _arm(name: str, runs: Sequence[Run], plan: Planned, watched: Watched) -> Arm:
    """The arm; a tuned one with what tuning took, and what it lost on the probe."""
    experiment = runs[0].prepared.experiment
    examined = capabilities.of(experiment, project_of(experiment.path))
    model = runs[0].findings.task.models[picked(runs[0]).slots["model"]]
    arm = collect(name, runs, plan.tuned.paid(model.name, plan.wish.label_usd), shutdown(model.id, examined))
    if plan.wish.probe is None or not arm.tuned:
        return arm
    probe = prepare(probing(plan.prepared, model, plan.wish.probe))
    return replace(arm, off_task=lost(_mined("probe", probe, watched)))


def _ruled(plan: Planned, found: Mapping[str, Arm], runs: Mapping[str, Sequence[Run]]) -> Choice:
    """The rule over the arms."""
    experiment, limits = plan.prepared.experiment, limits_of(plan.wish)
    ours = sorted(run.id for done in runs.values() for run in done)
    test = next(iter(runs.values()))[0].findings.test_rows
    return rule(
        list(found.values()),
        reference_of(list(found.values()), limits),
        limits,
        weights=np.array([example.weight for example in test]),
        groups=codes_of([example.group for example in test]),
        seed=experiment.seed,
        reads=readings(project_of(experiment.path), test, ours, runs_of(experiment)),
    )


def _mark(runs: Mapping[str, Sequence[Run]], oracle: Run | None) -> None:
    """Say in the runs' folders that they are the choice's, not runs of the experiment as it stands."""
    every = [(name, run) for name, done in runs.items() for run in done]
    ours = hashlib.sha256(" ".join(sorted(run.id for _, run in every)).encode()).hexdigest()[:10]
    for name, run in (*every, *([("oracle", oracle)] if oracle else [])):
        mark(run.folder, ours, name)


def _oracle(runs: Mapping[str, Sequence[Run]], watched: Watched) -> Run | None:
    """The best variant with retrieval, on dev, with the right passages: for the diagnosis alone."""
    found = [done[0] for name, done in runs.items() if "rag" in name and "tuned" not in name]
    if not found:
        return None
    best = max(found, key=lambda run: mean(on_dev(run)))
    overrides = with_oracle(best.prepared, picked(best).slots)
    if not overrides:
        return None
    before = best.prepared.experiment
    calls = len(best.prepared.rows.dev) * before.search.repeats * best.prepared.task.calls
    cap = budget.overrides(Budget(), None if before.search.budget.calls is None else calls, 1)
    experiment = _loaded(before, (*overrides, *cap))
    return _mined("oracle", prepare(experiment, best.prepared.limit, test=False), watched)


def _seen(runs: Mapping[str, Sequence[Run]], best: str, oracle: Run | None, drawn: Sequence[Curve]) -> Seen:
    """Dev's scores, as the diagnosis looks at them."""
    closed = [done[0] for name, done in runs.items() if name in ("prompt", "prompt+demos")]
    rag = [done[0] for name, done in runs.items() if name in ("rag", "rag+demos")]

    def top(among: Sequence[Run]) -> Run:
        return max(among, key=lambda run: mean(on_dev(run)))

    return Seen(
        best=on_dev(runs[best][0]),
        unread=unread(runs[best][0]),
        closed=on_dev(top(closed)) if closed else None,
        oracle=on_dev(oracle) if oracle else None,
        rag=on_dev(top(rag)) if rag else None,
        curves=drawn,
    )
