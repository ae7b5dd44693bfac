"""Whether prompts can be rendered at all: a spread of them is, so that errors cost nothing."""

from __future__ import annotations

from itertools import islice

from promptlab.errors import BadInput, Problem, ordered
from promptlab.predict import Task
from promptlab.records import Variant
from promptlab.rows import Rows
from promptlab.space import Space

TRIED = 200  # variants rendered on one row before anything is spent
TRIED_ROWS = 500  # rows on which a template is rendered; many templates share TRIED_CELLS of them
TRIED_CELLS = 2000


def check_render(task: Task, space: Space, rows: Rows, baseline: Variant) -> None:
    """Render a spread of variants on the first row, each template on many rows. Raises BadInput with what fails."""
    step = max(1, space.size // TRIED)
    numbers = islice(range(0, space.size, step), TRIED)
    variants = [baseline, *(space.variant(space.point(number), "try") for number in numbers)]
    first = {str(variant.slots["template"]): variant for variant in reversed(variants)}
    cells = [(variant, rows.dev[0]) for variant in variants]
    some = rows.scored[: min(TRIED_ROWS, max(20, TRIED_CELLS // len(first)))]
    cells += [(variant, example) for variant in first.values() for example in some]
    found: dict[tuple[str, int], Problem] = {}
    for variant, example in cells:
        try:
            task.prompt(variant).messages(example)
        except BadInput as error:
            for problem in error.problems:
                found.setdefault((problem.path, problem.line), problem)
    if found:
        raise BadInput(ordered(found.values()))
