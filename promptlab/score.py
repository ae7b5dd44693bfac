"""One template on one file: an experiment of one point, written into the project's folder and mined like any other.

So cache, resume, log and tables are those of every run; what is scored is the run's baseline.
"""

from __future__ import annotations

import glob
import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.answer import parser
from promptlab.dataset.file import read_table
from promptlab.errors import BadInput, Problem, nearest
from promptlab.folder import project_of
from promptlab.metrics import load as load_metric
from promptlab.metrics.classification import majority
from promptlab.records import Prediction
from promptlab.stats.paired import mean, rate_interval
from promptlab.template import Template
from promptlab.template import load as load_templates
from promptlab.template.files import SUFFIXES
from promptlab.tune.elsewhere import Elsewhere, elsewhere
from promptlab.view import Plan, View, block
from promptlab.write import write_text
from promptlab.yaml_file import read_yaml
from promptlab.yaml_text import flow

if TYPE_CHECKING:
    from promptlab.finished import Run


@dataclass(frozen=True, slots=True)
class Ask:
    """What to score. ``inputs`` maps variables to columns (empty: every column); ``sets`` are `choice=value` texts.

    ``endpoint`` and ``model`` are as an experiment holds them; "" for answer and metric: as fits.
    """

    template: Path
    data: Path
    label: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    passages: str | None = None
    answer: str = ""
    metric: str = ""
    sets: tuple[str, ...] = ()
    endpoint: Mapping[str, Any] | str = "embedded"
    model: Mapping[str, Any] | str = "small"


@dataclass(frozen=True, slots=True)
class Scored:
    """What came out. ``value`` is the metric over the ``n`` rows with a score, ``low`` and ``high`` its 95 % interval.

    ``majority`` is the commonest label and its share, where there are labels; ``wrong`` are the rows below a full
    score, worst first.
    """

    value: float
    low: float
    high: float
    n: int
    statuses: Mapping[str, int]
    majority: tuple[Any, float] | None
    wrong: tuple[Prediction, ...]


def baseline_only(view: View, rng: np.random.Generator) -> Plan:  # noqa: ARG001 - an allocator that draws nothing
    """Every row, by the one variant there is."""
    return Plan(block({0: range(len(view.dev))}, view.asked))


def write_experiment(ask: Ask) -> Path:
    """The experiment as a file under the project's .promptlab/score/; the same question is the same file.

    Raises BadInput with what is wrong with template, data and options, as the user typed them.
    """
    rows = len(read_table(ask.data).rows)
    template = _template(ask.template)
    pins, params = _settings(template, ask.sets)
    _check(ask, template)
    base = project_of(ask.template) / "score"
    ask, tuned = _known(ask, base.parent.parent)
    text = _text(ask, base / "x", pins, params, rows)
    name = f"{ask.template.stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    folder = base / name
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())  # so that problems name files as people typed them
    try:
        ignored = folder.parents[1] / ".gitignore"
        if not ignored.exists():
            write_text(ignored, "*\n")
        if tuned is not None:
            tuned.lay(folder)
        write_text(folder / "experiment.yaml", text)
    except OSError as error:
        raise BadInput(Problem(f"cannot write here: {error.strerror}", str(folder))) from None
    return folder / "experiment.yaml"


def _known(ask: Ask, project: Path) -> tuple[Ask, Elsewhere | None]:
    """With a model that an experiment of the project tuned: as that experiment calls it, so that skew is looked at."""
    given = dict(ask.model) if isinstance(ask.model, Mapping) else {"id": ask.model}
    tuned = elsewhere(project, str(given["id"]), "" if isinstance(ask.endpoint, str) else str(ask.endpoint["base_url"]))
    if tuned is None:
        return ask, None
    return replace(ask, model=given | {"id": tuned.name, "recipe": tuned.recipe}), tuned


def _template(path: Path) -> Template:
    if not path.is_file():
        names = [each.name for each in path.parent.iterdir() if each.is_file()] if path.parent.is_dir() else []
        near = nearest(path.name, names)
        raise BadInput(Problem("there is no such template", str(path), remedy=near if near.startswith("Did") else ""))
    if path.suffix not in SUFFIXES:
        raise BadInput(Problem("this is no template", str(path), remedy=f"Its name ends in {' or '.join(SUFFIXES)}."))
    return next(iter(load_templates([path])[0].values()))


def _settings(template: Template, sets: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one value of every choice (the first where nothing is set), and the parameters of requests."""
    slots: dict[str, list[Any]] = {}
    for slot in template.slots:
        slots.setdefault(slot.name, []).extend(slot.values)
    pins = {name: values[0] for name, values in slots.items()}
    params: dict[str, Any] = {"temperature": 0}
    problems = []
    for each in sets:
        name, equals, value = each.partition("=")
        values = {str(one): one for one in slots.get(name, ())}
        if name.startswith("params.") and equals:
            params[name.removeprefix("params.")] = read_yaml(value, f"--set {name}").value
        elif not equals or name not in slots:
            what = "is not choice=value" if not equals else f"the template has no choice {name!r}"
            problems.append(Problem(what, f"--set {each}", remedy=nearest(name, slots) or "It has no choices."))
        elif value not in values:
            problems.append(Problem(f"{name!r} has no option {value!r}", f"--set {each}", 0, nearest(value, values)))
        else:
            pins[name] = values[value]
    if problems:
        raise BadInput(problems)
    return pins, params


def _check(ask: Ask, template: Template) -> None:
    """Answer and metric, told here so that messages name the option and not a file nobody wrote."""
    if ask.answer:
        parser(ask.answer)
        if template.parser is not None and template.parser != ask.answer:
            remedy = "Leave --answer out, or edit the template."
            raise BadInput(
                Problem(f"the template says itself how answers are read: {template.parser}", template.path, 0, remedy)
            )
    if ask.metric:
        load_metric(ask.metric, None, Path.cwd())


def _text(ask: Ask, folder: Path, pins: Mapping[str, Any], params: Mapping[str, Any], rows: int) -> str:
    """The experiment, one key a line; paths relative to its folder, so that the run's log can stand alone."""
    head, _, argument = ask.metric.partition(":")
    metric = f"{head}:{_relative(Path(argument), folder)}" if head == "json_valid" and argument else ask.metric
    data: dict[str, Any] = {"path": _relative(ask.data, folder), "label": ask.label, "split": "all"}
    if ask.inputs:
        data["inputs"] = dict(ask.inputs)
    if ask.passages:
        data["passages"] = ask.passages
    whole: dict[str, Any] = {
        "endpoint": ask.endpoint,
        "models": [ask.model],
        "params": dict(params),
        "data": data,
        "templates": [_literal(_relative(ask.template, folder))],
        "metrics": metric or ("numeric" if ask.answer == "number" else "exact"),
        "search": {"allocate": "promptlab.score:baseline_only", "budget": {"calls": rows}},
    }
    whole |= {"space": dict(pins)} if pins else {}
    whole |= {"answer": ask.answer} if ask.answer else {}
    return "# Written by promptlab score.\n" + "".join(f"{key}: {flow(value)}\n" for key, value in whole.items())


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _literal(path: str) -> str:
    """A path in which no character is a pattern."""
    return glob.escape(path) if glob.has_magic(path) else path


def scored(run: Run) -> Scored:
    """What a run of ``write_experiment`` found."""
    rows = run.findings.search.predictions
    examples = run.examples
    values = [row.score for row in rows]
    weights = [examples[row.example].weight for row in rows]
    value, interval = mean(values, weights), rate_interval(values, weights, run.findings.seed)
    low, high = interval.low, interval.high
    aggregated = _aggregated(run, rows)
    if aggregated is not None:
        value, low, high = aggregated
    labels = [example.answers[0] for example in examples.values() if example.answers]
    wrong = sorted((row for row in rows if row.score < 1), key=lambda row: (row.score, examples[row.example].row))
    return Scored(
        value=value,
        low=low,
        high=high,
        n=sum(not math.isnan(each) for each in values),
        statuses=Counter(row.status for row in rows),
        majority=majority(labels) if run.findings.task.labels else None,
        wrong=tuple(wrong),
    )


def _aggregated(run: Run, rows: Sequence[Prediction]) -> tuple[float, float, float] | None:
    """Value and interval of a metric that is no mean over rows (macro-F1): by jackknife pseudo-values (Miller 1974)."""
    metric: Any = run.findings.task.metrics["main"]
    if not hasattr(metric, "aggregate"):
        return None
    done = [row for row in rows if row.status != "error"]
    pairs = [(run.examples[row.example].label, row.answer if row.status == "ok" else None) for row in done]
    labels = tuple(map(str, run.findings.task.labels))
    value, n = float(metric.aggregate(pairs, labels)), len(pairs)
    if not hasattr(metric, "leave_one_out") or n < 2:
        return value, math.nan, math.nan
    pseudo = [n * value - (n - 1) * each for each in metric.leave_one_out(pairs, labels)]
    interval = rate_interval(pseudo, seed=run.findings.seed)
    return value, max(0.0, interval.low), min(1.0, interval.high)
