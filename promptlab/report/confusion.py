"""Labels against answers of one variant: the confusion matrix, and the figures class by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from promptlab.finished import Run
from promptlab.metrics.accepted import text_of
from promptlab.metrics.classification import confusion as counted
from promptlab.metrics.classification import per_class
from promptlab.records import Prediction
from promptlab.report.marks import joined, table, tag
from promptlab.report.svg import figure, words

MOST = 30  # labels that a drawing can hold
CELL, SIDE = 30, 160  # pixels of a cell, and beside it for the labels
CUT = 22  # characters of a label on the drawing


def confusion(run: Run) -> Markup | None:
    """Of the best-ranked variant, on test where it was read, else dev; None where the answers are no labels."""
    labels = [str(each) for each in run.findings.task.labels]
    rows = _rows(run)
    if not labels or not rows:
        return None
    examples = run.examples
    pairs = [
        (text_of(examples[row.example].answers[0]), row.answer if row.status == "ok" else None)
        for row in rows
        if len(examples[row.example].answers) == 1 and row.status != "error"
    ]
    known = set(map(text_of, labels))
    pairs = [pair for pair in pairs if pair[0] in known]
    if not pairs:
        return None
    expected, answered = [want for want, _ in pairs], [got for _, got in pairs]
    counts = counted(expected, answered, labels)
    best = run.rows[0]["variant"]
    many = len({row.example for row in rows if row.status != "error"})
    again = f" ({len(pairs):,} answers)" if len(pairs) > many else ""
    title = f"{best} on {many:,} {rows[0].split} rows{again}"
    drawn = _matrix(counts, labels, title) if len(labels) <= MOST else Markup("")
    return joined((drawn, _pairs(counts, labels), _classes(expected, answered, labels)))


def _rows(run: Run) -> list[Prediction]:
    best = run.rows[0]["variant"]
    found = run.findings
    return [row for row in found.test if row.variant == best] or [
        row for row in found.search.predictions if row.variant == best
    ]


def _matrix(counts: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> Markup:
    names = [*labels, "no answer"]
    top = 24 + round(4.4 * max(len(_cut(name)) for name in names))
    size = SIDE + CELL * len(names) + 90, top + CELL * len(labels) + 4
    parts: list[Markup] = []
    for column, name in enumerate(names):
        x = SIDE + CELL * column + CELL / 2 + 4
        parts.append(words(x, top - 8, _cut(name), turn=f"rotate(-45 {x:.0f} {top - 8})"))
    for place, row in enumerate(counts):
        y = top + CELL * place
        parts.append(words(SIDE - 8, y + CELL / 2 + 4, _cut(labels[place]), at="end"))
        parts += [
            _cell(n, sum(row), (SIDE + CELL * k, y), f"{labels[place]} answered {names[k]}: {n}", right=k == place)
            for k, n in enumerate(row)
        ]
    parts.append(words(SIDE - 8, top - 6, "label ↓  answer →", at="end", kind="title"))
    right = sum(row[place] for place, row in enumerate(counts))
    said = f"{right} of {sum(map(sum, counts))} answers on the diagonal."
    caption = (
        f"{title}: each row is a label, each column an answer; the stronger, the larger its share of the row. {said}"
    )
    return figure([(parts, size)], "Confusion", said, caption)


def _cell(n: int, total: int, at: tuple[float, float], tip: str, *, right: bool) -> Markup:
    share = math.ceil(5 * n / total) if n and total else 0
    kind = f"cell s{share}{' right' if right else ''}"
    x, y = at
    box = tag("rect", tag("title", tip), x=x + 1, y=y + 1, width=CELL - 2, height=CELL - 2, class_=kind)
    said = words(x + CELL / 2, y + CELL / 2 + 4, n, at="middle", kind="count dark" if share > 3 else "count")
    return joined((box, said if n else Markup("")))


def _pairs(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    names = [*labels, "no answer"]
    wrong = [
        (n, labels[place], names[k]) for place, row in enumerate(counts) for k, n in enumerate(row) if n and k != place
    ]
    wrong.sort(key=lambda each: (-each[0], each[1:]))
    said = "; ".join(f"{label} as {name} ({n})" for n, label, name in wrong[:6])
    return tag("p", f"Most confused: {said}.") if said else Markup("")


def _classes(expected: Sequence[Any], answered: Sequence[Any], labels: Sequence[str]) -> Markup:
    rows = [
        [str(each.label), *("" if math.isnan(x) else f"{x:.2f}" for x in (each.precision, each.recall, each.f1)),
         each.support]
        for each in per_class(expected, answered, labels)
    ]  # fmt: skip
    head = ["label", "precision", "recall", "F1", "rows"]
    return table(head, rows, "Class by class", ["", "num", "num", "num", "num"])


def _cut(name: str) -> str:
    return name if len(name) <= CUT else f"{name[: CUT - 1]}…"
