"""A choice that was made, and what it leaves: choice.csv and choice.html."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.choice.arms import Plan
from promptlab.choice.curve import Curve
from promptlab.choice.page import links, page
from promptlab.choice.reason import sentences
from promptlab.choice.rule import Choice
from promptlab.choice.table import columns, rows
from promptlab.finished import Run
from promptlab.prepare import Prepared
from promptlab.verdict import EMBEDDED
from promptlab.write import write_csv, write_text

if TYPE_CHECKING:
    import pandas as pd

TABLE, PAGE = "choice.csv", "choice.html"


@dataclass(frozen=True)
class Chosen:
    """A choice with the runs behind it (one for each tuning seed) and what the figures advise."""

    choice: Choice
    runs: Mapping[str, tuple[Run, ...]]
    left_out: tuple[Plan, ...]
    advice: tuple[str, ...]
    curves: Mapping[str, tuple[Curve, ...]] = field(default_factory=dict)
    engines: frozenset[str] = frozenset()  # who answered: hosts, and `embedded` for the offline engine

    @property
    def name(self) -> str | None:
        """The arm to take, or to take until more rows decide (``decided``); None where there is none."""
        return self.choice.name

    @property
    def decided(self) -> bool:
        """Whether the rows bear the choice out."""
        return self.choice.decided

    @property
    def sentences(self) -> list[str]:
        """The choice and its reason, what qualifies it, and what the figures advise."""
        return [*self.said, *self.advice]

    @property
    def said(self) -> list[str]:
        """The choice and its reason, what qualifies it, and that the offline engine's scores prove no prompt."""
        return [*sentences(self.choice), *([EMBEDDED] if "embedded" in self.engines else [])]

    def __str__(self) -> str:
        """The choice in words, a sentence a line."""
        return "\n".join(self.sentences)

    @property
    def table(self) -> pd.DataFrame:
        """choice.csv: one row per arm."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=columns())

    def rows(self, today: date | None = None) -> list[dict[str, object]]:
        """choice.csv as rows."""
        return rows(self.choice, today or datetime.now(UTC).date())


def home(prepared: Prepared) -> Path:
    """Where a choice is left: beside experiment.yaml; one on some of the rows among the runs: it replaces none."""
    folder = prepared.experiment.folder
    return folder if prepared.limit is None else folder / "runs" / "choice"


def write(chosen: Chosen, folder: Path, name: str) -> None:
    """choice.csv and choice.html in a folder; ``name`` is the experiment's."""
    names, made = columns(), chosen.rows()
    write_csv(folder / TABLE, names, ([row.get(each) for each in names] for row in made))
    left = {plan.arm: plan.left_out for plan in chosen.left_out}
    pages = links({name: done[0].folder for name, done in chosen.runs.items()}, folder)
    write_text(folder / PAGE, page(name, chosen.choice, made, chosen.said, chosen.advice, chosen.curves, left, pages))
