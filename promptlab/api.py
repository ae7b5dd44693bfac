"""The same as the commands, from Python: sync, and at home in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from promptlab.choice.choose import choose
from promptlab.choice.chosen import Chosen
from promptlab.choice.planned import planned
from promptlab.comparison.compare import Comparison
from promptlab.comparison.compare import compare as side_by_side
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment as Parsed
from promptlab.finished import Run
from promptlab.forecast import Forecast, forecast
from promptlab.pick import find_row, find_variant
from promptlab.prepare import prepare
from promptlab.progressed import known_of
from promptlab.run import mine
from promptlab.tune.settings import TuneSettings
from promptlab.tune.tune import tune

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment file, parsed and checked. ``parsed`` holds what it says."""

    parsed: Parsed = field(repr=False)
    overrides: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, Any] | None = None) -> Self:
        """Read experiment.yaml (or its folder); ``overrides`` maps dotted keys to other values, as ``--set`` does.

        Raises BadInput with every problem of the file.
        """
        words = tuple(f"{key}={_yaml(value)}" for key, value in (overrides or {}).items())
        return cls(Parsed.load(path, words), words)

    @property
    def name(self) -> str:
        """Its name."""
        return self.parsed.name

    def plan(self, limit: int | None = None) -> Forecast:
        """What a run would take and could tell. Nothing is spent."""
        return forecast(prepare(self.parsed, limit))

    def messages(self, row: str | int = 1, variant: str = "") -> list[dict[str, str]]:
        """The exact messages of a variant (an id, or ``slot=value,…``; the baseline if empty) on a row."""
        prepared = prepare(self.parsed)
        prompt = prepared.task.prompt(find_variant(prepared, variant))
        example = find_row(prepared, str(row))
        found = prompt.messages(example, prompt.shown(example, known_of(prepared)).passages)
        return [{"role": each.role, "content": each.content} for each in found]

    def mine(self, limit: int | None = None, *, test: bool = True, fresh: bool = False) -> Run:
        """Run or resume it, and write its tables. The tables are ``run.results`` and ``run.predictions``.

        Raises BadInput before anything is spent, EndpointUnusable or Interrupted where the same call goes on later.
        """
        return mine(prepare(self.parsed, limit, test=test), fresh=fresh)

    def tune(self, *, yes: bool = False, fresh: bool = False) -> pd.DataFrame:
        """Write and check the training files, train what `tune` asks for or take it up; one row per tuned model.

        A training outside of promptlab needs ``yes``. Raises BadInput before anything is spent, EndpointUnusable where
        a job failed, Interrupted where the same call goes on later.
        """
        import pandas as pd

        settings = self.parsed.tune or TuneSettings()
        return pd.DataFrame([each.row for each in tune(prepare(self.parsed), settings, yes=yes, fresh=fresh)])

    def choose(self, limit: int | None = None, *, yes: bool = False, fresh: bool = False) -> Chosen:
        """Prompting, retrieval or fine-tuning: mine every arm within one budget, and choose. Leaves choice.csv.

        What `tune` asks for and is not trained yet is trained first; outside of promptlab only with ``yes``, else its
        arms are left out. Raises as ``mine`` does.
        """
        prepared = prepare(self.parsed, limit)
        return choose(planned(prepared, prepared.experiment.choose), fresh=fresh, yes=yes)


def compare(
    *runs: Run | str | Path | Iterable[Run | str | Path], baseline: str | None = None, variant: str | None = None
) -> Comparison:
    """Runs, folders of runs or experiments, and CSV files side by side: leaderboard, differences, effects, flips.

    ``runs`` may also come in a list. ``baseline`` names the variant that all are compared with, by default the first
    run's own; ``variant`` the one that is looked at closely, by default the best. Raises BadInput where there are no
    results.
    """
    return side_by_side([_place(run) for run in _each(runs)], baseline, variant)


def _each(runs: Iterable[Any]) -> Iterator[Any]:
    """The runs, those in lists one by one."""
    for run in runs:
        if isinstance(run, (list, tuple)):
            yield from run
        else:
            yield run


def _place(run: Any) -> str | Path:
    """Where a run's tables are."""
    if isinstance(run, Run):
        return run.folder
    if isinstance(run, (str, Path)):
        return run
    kind = type(run).__name__
    remedy = "Give what mine() or load_run() gave, the path of a run, an experiment or a CSV, or a list of those."
    if kind == "DataFrame":
        remedy = "Write it with .to_csv(path, index=False), columns variant, example and score, and give that path."
    raise BadInput(Problem(f"a run is asked for, not {kind}", remedy=remedy))


def _yaml(value: Any) -> str:
    """A value as ``--set`` reads it: JSON is YAML 1.2."""
    import json

    return json.dumps(value, ensure_ascii=False)
