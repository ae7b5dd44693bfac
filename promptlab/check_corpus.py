"""What only shows when a corpus meets rows and templates: who reads passages, and who knows what is right."""

from __future__ import annotations

from collections.abc import Mapping

from promptlab.errors import Problem
from promptlab.experiment import Experiment
from promptlab.retrieve.library import Library
from promptlab.retrieve.opening import check
from promptlab.rows import Rows
from promptlab.template import Template


def check_retrieval(experiment: Experiment, library: Library | None, rows: Rows) -> list[Problem]:
    """Retrievers that need to know what is right, and rows that do not say it. A k past the corpus is only told."""
    problems: list[Problem] = []

    def complain(key: tuple[str | int, ...], message: str, remedy: str) -> None:
        if key[-1] != "k":
            problems.append(experiment.problem(key, message, remedy))

    if library is not None:
        check(library, rows.scored, complain)
    return problems


def check_reading(experiment: Experiment, templates: Mapping[str, Template]) -> list[Problem]:
    """Passages that no template shows, and passages that come from two places."""
    problems: list[Problem] = []
    if experiment.retrieval is None:
        return problems
    if not any("passages" in each.uses for each in templates.values()):
        remedy = "Like {% for p in passages %}{{ p.text }}{% endfor %} in one of them; or remove `retrieval`."
        problems.append(
            experiment.problem(("retrieval",), "passages are retrieved, and no template shows `passages`", remedy)
        )
    if experiment.data.columns.passages is not None:
        what = "both `data.passages` and `retrieval` say which passages a prompt shows"
        problems.append(experiment.problem(("data", "passages"), what, "Keep one of them."))
    return problems
