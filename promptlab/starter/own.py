"""A project around a labelled file of one's own: its columns looked at, settings and prompt written for them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from promptlab.dataset import Columns, load
from promptlab.dataset.file import read_table
from promptlab.errors import BadInput, Problem
from promptlab.starter.columns import Answers, answers_of, input_columns, shown
from promptlab.starter.project import Project, project
from promptlab.starter.prompts import NAMES, prompt_text
from promptlab.starter.settings import Settings, experiment_text
from promptlab.starter.spelling import slug, variables
from promptlab.yaml_text import flow, scalar

SEPARATOR = "|"  # between several labels of a cell
FEWEST = 2  # rows of an experiment
FEWEST_TESTED = 20  # rows from which a test can be held out
FEWEST_TRAINED = 60  # rows from which some can be demos, too
POINTS = 4  # of the prompt's own two choices of two; demos triple them


def own(path: Path, label: str, name: str = "", rubric: str = "") -> tuple[Project, ...]:
    """Projects for the file, the one to take first; the next is for rows that cannot be split (all say the same).

    ``label`` "": the rows have no right answers, and a judge scores by the ``rubric``.

    Raises BadInput with every problem of the file, its label column or its rows.
    """
    table = read_table(path)
    if not table.rows:
        raise BadInput(table.problems or Problem("holds no rows", str(path), remedy="Add labelled rows."))
    columns, left_out = input_columns(table, label)
    inputs = variables(columns)
    given = [row.cells.get(label) for row in table.rows]
    answers = answers_of(given)
    many: Literal["any"] | None = "any" if answers.many else None
    load(path, Columns(inputs=inputs, label=label or None, many=many))  # told with the path as typed
    rows = len(table.rows)
    if rows < FEWEST:
        what = f"holds {rows}{' labelled' * bool(label)} row; an experiment needs {FEWEST} at least"
        raise BadInput(Problem(what, str(path), remedy="Add rows: from about 50 on, prompts can be told apart."))
    name = name or slug(path.stem)
    settings = Settings(
        name=name,
        question=f"Which prompt gives {_wanted(label)} to a row of {path.name!r}?",
        data=f"labelled{path.suffix.lower()}",
        inputs=inputs,
        label=label,
        kind=answers.kind,
        calls=_calls(rows) * (1 if label else 2),  # a judge asks as often
        many=answers.many,
        bank="train" if rows >= FEWEST_TRAINED and label else "",
        hold_out=rows >= FEWEST_TESTED,
        left_out=left_out,
        rubric=rubric,
    )
    content = path.read_bytes()
    whole = replace(settings, bank="", hold_out=False)
    found = [_project(each, answers, content, given) for each in ([settings, whole] if settings.hold_out else [whole])]
    return tuple(found)


def _wanted(label: str) -> str:
    return f"the right answer ({label!r})" if label else "the answer that a judge likes best"


def _calls(rows: int) -> int:
    """Enough for every point on dev, and for baseline and finalists on test, in round hundreds."""
    if rows < FEWEST_TESTED:
        need: float = POINTS * rows
    elif rows < FEWEST_TRAINED:
        need = POINTS * rows / 2 + 4 * rows / 2
    else:
        need = 3 * POINTS * 0.4 * rows + 4 * 0.4 * rows
    return max(500, 100 * math.ceil(need / 100 + 1))


def _project(settings: Settings, answers: Answers, content: bytes, labels: Sequence[Any]) -> Project:
    beside = {"experiment.yaml": experiment_text(settings).encode(), settings.data: content}
    if answers.kind == "classes":
        beside["labels.yaml"] = _labels(answers).encode()
    prompt = prompt_text(settings.inputs, settings.label, answers)
    return project(settings.name, NAMES[answers.kind], prompt, beside, _notes(settings, answers, labels))


def _labels(answers: Answers) -> str:
    head = (
        "# The labels, in the order in which a prompt lists them. Say after the colon what each one means, where that\n"
        '# is not plain: the template shows it. Like  billing: "the amount charged looks wrong"\n'
    )
    return head + "".join(f"{scalar(name)}:\n" for name in answers.classes)


def _notes(settings: Settings, answers: Answers, labels: Sequence[Any]) -> tuple[str, ...]:
    what = {
        "classes": f"one of {len(answers.classes)} labels",
        "flag": "true or false",
        "number": "a number",
        "text": "free text",
    }[answers.kind]
    answer = f"{settings.label!r}, {what}" if settings.label else "free text, scored by a judge"
    notes = [f"Inputs: {shown(settings.inputs)}. Answer: {answer}."]
    if settings.left_out:
        out = ", ".join(f"{column!r} ({reason})" for column, reason in settings.left_out.items())
        notes.append(f"Left out: {out}. Add one under data.inputs if prompts should show it.")
    return (*notes, *_several(settings, labels))


def _several(settings: Settings, labels: Sequence[Any]) -> tuple[str, ...]:
    """A hint where cells look like several labels: their parts come back in other cells."""
    cells = dict.fromkeys(each for each in labels if isinstance(each, str))
    parts = Counter(part for each in cells for part in dict.fromkeys(p.strip() for p in each.split(SEPARATOR)) if part)
    joined = [each for each in cells if SEPARATOR in each]
    again = [each for each in joined if any(parts[part.strip()] > 1 for part in each.split(SEPARATOR))]
    if settings.many or not joined or 2 * len(again) < len(joined):
        return ()
    label = flow({"column": settings.label, "many": "all"})
    hint = (
        f"{again[0]!r} in {settings.label!r} looks like several labels: it was taken as one text. If all of them are "
        f"wanted, write `label: {label}`, `answer: labels`, `metrics: {{main: set_f1, exact: exact_set}}` in "
        "experiment.yaml, each label once in labels.yaml (if there is one), and ask for all of them in the template."
    )
    return (hint,)
