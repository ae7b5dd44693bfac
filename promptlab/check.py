"""What only shows when files meet: templates against columns, labels against rows, demos against what is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptlab.answer import parser
from promptlab.bank import Bank
from promptlab.dataset.leak import overlaps
from promptlab.errors import BadInput, Problem, nearest
from promptlab.experiment import Experiment
from promptlab.records import Example
from promptlab.rows import Rows
from promptlab.template import Template

TOLD = 10  # rows that a message names


def check_rows(experiment: Experiment, rows: Rows, labels: Sequence[str]) -> list[Problem]:
    """Rows without a label, one class only, labels that the list of labels does not have."""
    path = str(next(iter(experiment.data.paths.values())))
    if experiment.data.columns.label is None:
        remedy = "Name the column of the right answers: data.label."
        return [experiment.problem(("data",), "no labels: these metrics compare answers with labels", remedy)]
    answers = {repr(answer) for example in rows.scored for answer in example.answers}
    if len(answers) == 1:
        what = f"every row has the same label, {next(iter(answers))}: there is nothing to tell variants apart by"
        return [Problem(what, path, remedy="Add rows of other classes, or name another label column.")]
    if experiment.data.labels is None:
        return []
    wrong = [e for e in rows.all if any(str(answer) not in set(labels) for answer in e.answers)]
    problems = [
        Problem(
            f"row {e.row}: the label {e.answers[0]!r} is not in `data.labels`",
            path,
            0,
            nearest(str(e.answers[0]), labels),
        )
        for e in wrong[:TOLD]
    ]
    return problems + _and_more(len(wrong), path)


def check_templates(
    experiment: Experiment, templates: Mapping[str, Template], rows: Rows, bank: Bank | None
) -> list[Problem]:
    """Columns that a template reads and rows lack, names that mean two things, parsers that do not exist."""
    problems: list[Problem] = []
    columns = list(dict.fromkeys(name for example in rows.all for name in example.inputs))
    for template in templates.values():
        for name in template.inputs:
            lacking = [example for example in rows.scored if name not in example.inputs]
            if lacking and len(lacking) == len(rows.scored):
                known = [*columns, *(slot.name for slot in template.slots), "demos", "passages", "labels"]
                problems.append(
                    Problem(f"`{name}` is no input column, slot or scope name", template.path, 0, nearest(name, known))
                )
            elif lacking:
                some = ", ".join(str(example.row or example.id) for example in lacking[:TOLD])
                problems.append(
                    Problem(f"the column `{name}` is missing in {len(lacking)} rows: {some}", template.path)
                )
        problems += [
            Problem(f"the slot `{slot.name}` has the name of an input column", template.path, 0, "Rename one of them.")
            for slot in template.slots
            if slot.name in columns
        ]
        problems += _parsers(template)
        if "passages" in template.uses and not any(example.passages for example in rows.scored):
            remedy = "Name the column that holds them: data.passages."
            problems.append(Problem("the template reads `passages`, and no row has any", template.path, 0, remedy))
    if bank is not None and experiment.bank is not None and not any("demos" in t.uses for t in templates.values()):
        problems.append(experiment.problem(("bank",), "there is a bank, and no template shows `demos`", "Remove one."))
    return problems


def _parsers(template: Template) -> list[Problem]:
    word = template.parser
    if word is None:
        return []
    if isinstance(word, str):
        names: list[str] = [word]
    else:
        by = word["by"]
        slot = next((each for each in template.slots if each.name == by), None)
        if slot is None:
            remedy = nearest(by, [each.name for each in template.slots])
            return [Problem(f"`answer.by` names no choice of this template: `{by}`", template.path, 0, remedy)]
        left = [str(value) for value in slot.values if str(value) not in word]
        if left:
            return [Problem(f"`answer` has no parser for {by} = {', '.join(left)}", template.path)]
        names = [value for key, value in word.items() if key != "by"]
    problems = []
    for name in names:
        try:
            parser(name)
        except BadInput as error:
            problems += [Problem(each.message, template.path, 0, each.remedy) for each in error.problems]
    return problems


def check_bank(experiment: Experiment, bank: Bank | None, rows: Rows) -> list[Problem]:
    """Demos that say what a scored row says (a score on it would be a copy), and too few demos for ``bank.k``."""
    if bank is None or experiment.bank is None:
        return []
    problems = []
    most = max(experiment.bank.k, default=0)
    if most > len(bank.demos):
        what = f"`bank.k` asks for {most} demos, and there are {len(bank.demos)}"
        problems.append(experiment.problem(("bank", "k"), what, "Lower k, or add demos."))
    path = str(experiment.bank.path)
    pairs = overlaps(bank.demos, rows.scored)
    problems += [_copied(bank.demos[d], rows.scored[r], likeness, path) for d, r, likeness in pairs[:TOLD]]
    return problems + _and_more(len(pairs), path)


def _copied(demo: Example, row: Example, likeness: float, path: str) -> Problem:
    how = "is" if likeness >= 1 else "is nearly"
    remedy = "Remove one of them: a row may not be shown its own answer."
    return Problem(f"demo {demo.id} (row {demo.row}) {how} the scored row {row.id}", path, 0, remedy)


def _and_more(count: int, path: str) -> list[Problem]:
    return [Problem(f"and {count - TOLD} more like these", path)] if count > TOLD else []
