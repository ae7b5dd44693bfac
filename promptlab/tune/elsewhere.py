"""A tuned model of one of a project's experiments, asked from elsewhere in it: what it was taught comes along."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.tune import skew
from promptlab.tune.tuned import kept, table
from promptlab.write import write_text

WHERE = (".", "*", "*/*")  # folders of experiments, below the project's


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What tuned.json in an experiment's ``folder`` says of a model."""

    folder: Path
    row: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What experiments call it."""
        return str(self.row["name"])

    @property
    def recipe(self) -> str:
        """What it is made of."""
        return str(self.row["recipe"])

    @property
    def taught(self) -> Path:
        """Where it stands what it was taught, if that is known."""
        return table(self.folder).parent / Path(str(self.row.get("folder", ""))).name / skew.FILE

    def lay(self, folder: Path) -> None:
        """Let an experiment in another folder have the model as well."""
        own = Elsewhere(folder, self.row)
        write_text(table(folder), json.dumps([dict(self.row)], indent=1))
        if self.taught.is_file():
            write_text(own.taught, self.taught.read_text(encoding="utf-8"))


def elsewhere(project: Path, model: str, address: str) -> Elsewhere | None:
    """The tuned model of this name or id; None where no experiment of the project has it.

    ``address`` is that of the endpoint; "" for the offline engine. Raises BadInput where several have the name, its
    address is not given, or none has a name that only tuned models have.
    """
    every = list(_all(project))
    found = [each for each in every if model in (each.name, each.row["id"])]
    here = [each for each in found if _at(str(each.row["base_url"]), address)]
    if not found and not address and model.startswith("tuned-"):
        remedy = nearest(model, [each.name for each in every])
        raise BadInput(Problem(f"there is no tuned model {model!r}", "--model", remedy=remedy))
    if found and not here and not address:
        what = f"the tuned model {model} is served at {found[0].row['base_url']}"
        raise BadInput(Problem(what, "--model", remedy=f"Add --base-url {found[0].row['base_url']}"))
    if len({(each.row["id"], each.recipe) for each in here if each.name == model}) > 1:
        listed = ", ".join(f"{each.row['id']} ({each.folder.name})" for each in here)
        raise BadInput(Problem(f"{model} is the name of several tuned models", "--model", remedy=f"Ids: {listed}."))
    return max(here, key=lambda each: each.taught.is_file(), default=None)


def _all(project: Path) -> Iterator[Elsewhere]:
    """Those of all experiments; a damaged list is for whoever uses that experiment."""
    for pattern in WHERE:
        for path in sorted(project.glob(f"{pattern}/runs/tune/tuned.json")):
            folder = path.parents[2]
            try:
                yield from (Elsewhere(folder, row) for row in kept(folder))
            except BadInput:
                continue


def _at(own: str, address: str) -> bool:
    return own.rstrip("/") == address.rstrip("/") if address else own.startswith("embedded")
