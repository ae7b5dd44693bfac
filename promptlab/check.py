"""What only shows when files meet: templates against columns, labels against rows, demos against what is scored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from promptlab.answer import parse, parser
from promptlab.bank import Bank
from promptlab.dataset.leak import overlaps
from promptlab.errors import BadInput, Problem, nearest, ordered
from promptlab.experiment import Experiment
from promptlab.metrics import METRICS, Metric, needs_label, unscorable
from promptlab.metrics.accepted import equal, singly, text_of
from promptlab.proposers import Proposer
from promptlab.records import Completion, Example
from promptlab.rows import Rows
from promptlab.space import Space
from promptlab.template import Source, Template

TOLD = 10  # rows that a message names
EQUALITY = ("accuracy", "exact", "macro_f1")  # metrics that ask for an equal answer, and nothing less
READS_ALL = ("text", "label", "last-line", "number")  # parsers that an output of nothing but the answer suits

Places = Mapping[str, tuple[str, int]]


def check_rows(experiment: Experiment, rows: Rows, labels: Sequence[str]) -> list[Problem]:
    """Rows without a label, one class only, labels that the list of labels does not have."""
    path = str(next(iter(experiment.data.paths.values())))
    if experiment.data.columns.label is None:
        return []  # whether the metrics can do without is theirs to say: check_metrics
    answers = {repr(answer) for example in rows.scored for answer in example.answers}
    if len(answers) == 1:
        column = experiment.data.columns.label
        what = f"column {column!r} says {next(iter(answers))} in every row: there is nothing to tell variants apart by"
        return [Problem(what, path, remedy="Add rows of other classes, or name another label column.")]
    if experiment.data.labels is None:
        return []
    return _unlisted(rows.all, labels, rows.places)


def _unlisted(examples: Sequence[Example], labels: Sequence[str], places: Places) -> list[Problem]:
    """Each answer that is no label, with the rows that have it, where the first of them stands."""
    known = set(labels)
    having: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        path = places.get(example.id, ("", 0))[0]
        for answer in {text_of(each) for each in singly(example.answers)} - known:
            having.setdefault((path, answer), []).append(example)
    problems = []
    for (path, answer), found in having.items():
        first = min(found, key=lambda each: each.row)
        rows = ", ".join(map(str, sorted(each.row for each in found)[:TOLD])) + ", …" * (len(found) > TOLD)
        what = f"the label {answer!r} of row{'s' * (len(found) > 1)} {rows} is not in `data.labels`"
        problems.append(Problem(what, path, places.get(first.id, ("", 0))[1], nearest(answer, labels)))
    return told(sorted(problems, key=lambda each: (each.path, each.line, each.message)))


def check_metrics(experiment: Experiment, rows: Rows, metrics: Mapping[str, Metric]) -> list[Problem]:
    """Scored rows whose label a metric cannot use, and metrics that need labels where there are none."""
    if experiment.data.columns.label is None:
        return _lacking(experiment, metrics)
    problems: list[Problem] = []
    for name, metric in metrics.items():
        try:
            found = [(each, problem.message) for each in rows.scored for problem in unscorable(metric, [each])]
        except Exception as error:  # noqa: BLE001 - a user's check may raise anything
            what = f"the metric `{name}` failed to check a label: {type(error).__name__}: {error}"
            problems.append(experiment.problem(("metrics", name), what, "Mend its `check`."))
            continue
        if len(found) == len(rows.scored) > 1:
            reason = found[0][1].partition(": ")[2]
            what = f"the metric `{name}` ({experiment.metrics[name].spec}) can score no row; the first: {reason}"
            problems.append(experiment.problem(("metrics", name), what, "Take another metric, or label column."))
            continue
        remedy = f"Mend the label, or take another metric than `{name}`."
        wrong = [Problem(what, *rows.places.get(each.id, ("", 0)), remedy) for each, what in found]
        problems += told(ordered(wrong))
    return problems


def _lacking(experiment: Experiment, metrics: Mapping[str, Metric]) -> list[Problem]:
    """The metrics that need labels, in one sentence; none where only those ask that can do without."""
    needing = [name for name, metric in metrics.items() if needs_label(metric)]
    if not needing:
        return []
    if len(needing) == len(metrics):
        what = "no labels: these metrics compare answers with labels"
    else:
        what = f"no labels, and the metric{'s' * (len(needing) > 1)} {', '.join(needing)} compare answers with labels"
    own = any(experiment.metrics[name].spec.partition(":")[0] not in METRICS for name in needing)
    remedy = "Name the column of the right answers: data.label."
    remedy += " A metric of your own that needs none says so: NAME.needs_label = False." if own else ""
    return [experiment.problem(("data",), what, remedy)]


def check_templates(
    experiment: Experiment,
    templates: Mapping[str, Template],
    sources: Mapping[str, Source],
    rows: Rows,
    bank: Bank | None,
) -> list[Problem]:
    """Columns that a template reads and rows lack, names that mean two things, parsers that do not exist."""
    problems: list[Problem] = []
    columns = list(dict.fromkeys(name for example in rows.all for name in example.inputs))
    for template in templates.values():
        problems += _columns(template, sources, rows, columns)
        problems += [
            Problem(
                f"the slot `{slot.name}` has the name of an input column",
                *_place(template, sources, slot.name),
                "Rename one of them.",
            )
            for slot in template.slots
            if slot.name in columns
        ]
        problems += _parsers(template, sources)
        lacks = experiment.retrieval is None and not any(example.passages for example in rows.scored)
        if "passages" in template.uses and lacks:
            remedy = "Name the column that holds them (data.passages), or a corpus: retrieval: {corpus: …}."
            at = _place(template, sources, "passages")
            problems.append(Problem("the template reads `passages`, and no row has any", *at, remedy))
    if bank is not None and experiment.bank is not None and not any("demos" in t.uses for t in templates.values()):
        problems.append(experiment.problem(("bank",), "there is a bank, and no template shows `demos`", "Remove one."))
    return problems


def _columns(template: Template, sources: Mapping[str, Source], rows: Rows, columns: Sequence[str]) -> list[Problem]:
    """The names that a template reads and that no row, or not every row, has as an input."""
    problems = []
    for name in template.inputs:
        lacking = [example for example in rows.scored if name not in example.inputs]
        at = _place(template, sources, name)
        if lacking and len(lacking) == len(rows.scored):
            known = [*columns, *(slot.name for slot in template.slots), "demos", "passages", "labels"]
            remedy = "Add it to data.inputs." if name in rows.columns else nearest(name, known)
            problems.append(Problem(f"`{name}` is no input column, slot or scope name", *at, remedy))
        elif lacking:
            some = ", ".join(str(example.row or example.id) for example in lacking[:TOLD])
            problems.append(Problem(f"the column `{name}` is missing in {len(lacking)} rows: {some}", *at))
    return problems


def _place(template: Template, sources: Mapping[str, Source], name: str) -> tuple[str, int]:
    """The file and line that first name something: the template's own, else one that it includes."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    own = [sources[each] for each in template.files if each in sources]
    for source in sorted(own, key=lambda each: each.path != template.path):
        found = word.search(source.text)
        if found:
            return source.path, source.text.count("\n", 0, found.start()) + 1
    return template.path, 0


def words(template: Template, otherwise: str) -> list[str]:
    """The parsers that a template may ask for."""
    if isinstance(template.parser, Mapping):
        return [str(value) for key, value in template.parser.items() if key != "by"]
    return [template.parser or otherwise]


def _parsers(template: Template, sources: Mapping[str, Source]) -> list[Problem]:
    word = template.parser
    at = _place(template, sources, "answer")
    if word is None:
        return []
    if isinstance(word, Mapping):
        by = word["by"]
        slot = next((each for each in template.slots if each.name == by), None)
        if slot is None:
            remedy = nearest(by, [each.name for each in template.slots]) or "This template has no choices."
            return [Problem(f"`answer.by` names no choice of this template: `{by}`", *at, remedy)]
        left = [str(value) for value in slot.values if str(value) not in word]
        if left:
            return [Problem(f"`answer` has no parser for {by} = {', '.join(left)}", *at, "Add it.")]
    problems = []
    for name in words(template, ""):
        try:
            parser(name)
        except BadInput as error:
            problems += [Problem(each.message, *at, each.remedy) for each in error.problems]
    return problems


def check_answers(
    experiment: Experiment, templates: Mapping[str, Template], rows: Rows, labels: Sequence[str], otherwise: str
) -> list[Problem]:
    """A template none of whose parsers can read any row's own label back: nothing could ever be right."""
    specs = {name: spec.spec for name, spec in experiment.metrics.items() if name in experiment.search.objective}
    if not specs or not all(spec in EQUALITY and spec in METRICS for spec in specs.values()):
        return []
    problems = []
    for template in templates.values():
        asked = words(template, otherwise)
        if all(word in READS_ALL and not _read_back(word, rows.scored, labels) for word in asked):
            shown = text_of(rows.scored[0].answers[0]) if rows.scored and rows.scored[0].answers else ""
            what = (
                f"with `answer: {' | '.join(asked)}` no answer of {template.name} can ever equal a label like {shown!r}"
            )
            at = experiment.problem(("answer",), what, "Use another parser (answer), or another metric.")
            problems.append(at if template.parser is None else Problem(what, template.path, 0, at.remedy))
    return list({each.message: each for each in problems}.values())


def _read_back(word: str, examples: Sequence[Example], labels: Sequence[str]) -> bool:
    """Whether an output that is just the label is read as that label, for any row."""
    read = parser(word)
    answers = {text_of(answer): answer for example in examples for answer in example.answers}
    return not answers or any(
        equal(answer, parse(Completion(text), read, labels)[0]) for text, answer in answers.items()
    )


def check_bank(
    experiment: Experiment, bank: Bank | None, rows: Rows, places: Places, labels: Sequence[str]
) -> list[Problem]:
    """Demos that say what a scored row says (a score on it would be a copy), wrong labels, and too few for ``bank.k``.

    ``places`` maps the demos' ids to file and line.
    """
    if bank is None or experiment.bank is None:
        return []
    problems = []
    most = max(experiment.bank.k, default=0)
    if most > len(bank.demos):
        what = f"`bank.k` asks for {most} demos, and there are {len(bank.demos)}"
        problems.append(experiment.problem(("bank", "k"), what, "Lower k, or add demos."))
    if experiment.data.labels is not None and experiment.bank.path != "train":
        problems += _unlisted(bank.demos, labels, places)
    pairs = overlaps(bank.demos, rows.scored)
    return problems + told([_copied(bank.demos[d], rows.scored[r], likeness, rows, places) for d, r, likeness in pairs])


def _copied(demo: Example, row: Example, likeness: float, rows: Rows, places: Places) -> Problem:
    how = "says" if likeness >= 1 else "nearly says"
    path, line = rows.places.get(row.id, ("", 0))
    where = f"{path}:{line}" if line else f"{path}, row {row.row}"
    what = f"demo {demo.id} (row {demo.row}) {how} what the scored row {row.id} says ({where})"
    remedy = "Remove one of them: a row may not be shown its own answer."
    return Problem(what, *places.get(demo.id, ("", 0)), remedy)


def check_proposers(
    experiment: Experiment, proposers: Sequence[Proposer], space: Space, rows: Rows, bank: Bank | None
) -> list[Problem]:
    """Proposers that cannot propose anything here: no open choice to rewrite, no rows to learn from."""
    problems = []
    for (name, _), proposer in zip(experiment.search.propose, proposers, strict=True):
        if getattr(proposer, "needs_open", False) and not any(slot.open and slot.texts for slot in space.slots):
            what = f"`{name}` rewrites open choices, and no template has one"
            remedy = "Mark a choice of a template as open: {% choice NAME open %}."
            problems.append(experiment.problem(("search", "propose"), what, remedy))
        if getattr(proposer, "needs_train", False) and not rows.train and not (bank and bank.demos):
            what = f"`{name}` learns from rows that are not scored, and there is neither a train split nor a bank"
            remedy = "Like data: {split: {train: 0.3, dev: 0.35, test: 0.35}}."
            problems.append(experiment.problem(("search", "propose"), what, remedy))
    return problems


def told(problems: Sequence[Problem]) -> list[Problem]:
    """The first ones, and how many more there are."""
    shown = list(problems[:TOLD])
    if len(problems) > TOLD:
        rest = problems[TOLD]
        shown.append(Problem(f"and {len(problems) - TOLD} more like these", rest.path, rest.line))
    return shown
