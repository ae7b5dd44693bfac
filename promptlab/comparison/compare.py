"""Runs side by side: one leaderboard, every difference paired, what choices are worth, what flips, what is stable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.comparison.differences import (
    MOST_TIED,
    Grid,
    Key,
    Resolution,
    TieSet,
    as_the_runs_say,
    differences,
    grids,
    resolution,
    ties,
)
from promptlab.comparison.effects import Effects, effects
from promptlab.comparison.flips import Flip, flips
from promptlab.comparison.labelled import Labels, by_label
from promptlab.comparison.manifests import opinions
from promptlab.comparison.retrieval import Retrieval, retrieval
from promptlab.comparison.stability import Repeats, Spread, repeats, spreads
from promptlab.comparison.standing import leaderboard
from promptlab.comparison.tables import read_tables
from promptlab.comparison.transfer import Transfer, transfers
from promptlab.errors import BadInput, Problem, nearest
from promptlab.metrics.classification import PerClass

if TYPE_CHECKING:
    import pandas as pd

SEED = 0
HEAD = 60  # variants among which a single run's baseline is looked for in the tie set


@dataclass(frozen=True)
class Changes:
    """Rows fixed and broken from ``before`` to ``after``, both (run, variant), on one split."""

    before: Key
    after: Key
    split: str
    flips: tuple[Flip, ...]

    @property
    def fixed(self) -> int:
        """Rows whose score rose."""
        return sum(flip.gain > 0 for flip in self.flips)

    @property
    def broken(self) -> int:
        """Rows whose score fell."""
        return len(self.flips) - self.fixed

    @property
    def graded(self) -> bool:
        """Whether scores lie between right and wrong: rows are then better or worse, not fixed or broken."""
        return any(flip.kind in ("better", "worse") for flip in self.flips)


@dataclass(frozen=True)
class OfRun:
    """What a run's own tables say: slot effects, how far equal variants spread, whether a winner carries over.

    ``retrieval``: what retrieval is worth; None where nothing was looked for.
    """

    effects: Effects
    spreads: tuple[Spread, ...]
    transfers: tuple[Transfer, ...]
    retrieval: Retrieval | None = None


@dataclass(frozen=True)
class Comparison:
    """What a comparison shows.

    ``leaderboard``: the rows of all results; over several runs ranked by the paired difference on dev, with a column
    ``against`` that names the baseline of each row's own difference. ``differences`` (columns: those
    of ``differences.COLUMNS``): all to ``against``, on the rows that both have; interval and p only where the variant
    was scored on every row that the other one was; the largest over the most rows come first. ``best``: run and variant
    that ``labels`` and ``changes`` are about. ``seed``: of every resampling. ``reads``: by run, how many runs had read
    its test rows, which p on test pays for. ``judges``: what must be said of judges before any of their scores.
    """

    leaderboard: pd.DataFrame
    differences: pd.DataFrame
    best: Key
    against: Key | None
    ties: TieSet | None
    resolution: Resolution | None
    labels: Labels
    changes: Changes | None
    repeats: Repeats | None
    results: pd.DataFrame = field(repr=False)
    runs: Mapping[str, OfRun]
    notes: tuple[str, ...]
    seed: int = SEED
    grids: Mapping[str, Grid] = field(default_factory=dict, repr=False)
    reads: Mapping[str, int] = field(default_factory=dict)
    judges: tuple[str, ...] = ()

    def __repr__(self) -> str:
        runs = len(self.runs) or len({run for grid in self.grids.values() for run, _ in grid.keys})
        to = "" if self.against is None else f", against {'/'.join(self.against)}"
        return f"<Comparison of {len(self.leaderboard)} variants in {runs} run{'s' * (runs != 1)}{to}>"

    @property
    def classes(self) -> tuple[PerClass, ...]:
        """The best variant's figures per class; empty where answers are no labels."""
        return self.labels.classes

    @property
    def confusion(self) -> tuple[tuple[int, ...], ...]:
        """A row per class as expected, a column per class as answered and one for everything else."""
        return self.labels.confusion

    @property
    def majority(self) -> tuple[str, float] | None:
        """The commonest label and its share: what answering blindly would score."""
        return self.labels.majority


def compare(
    paths: Iterable[str | Path], baseline: str | None = None, variant: str | None = None, seed: int = SEED
) -> Comparison:
    """Compare runs, experiments or CSV files.

    ``baseline`` names the variant that all are compared with, by default the first run's own; ``variant`` the one whose
    labels and flips are shown, by default the best. Raises BadInput where a path holds no results.
    """
    found = read_tables([Path(path) for path in paths])
    results, predictions = found.results, found.predictions
    against = _baseline(results, predictions, baseline)
    scored = grids(predictions)
    reads = {run: each.reads for run, each in found.noted.items()}
    gaps = as_the_runs_say(differences(scored, against, seed, reads), results)
    dev = next((scored[split] for split in ("dev", "all", "test") if split in scored), None)
    tied = _ties(results, dev, against, seed)
    board = leaderboard(results, scored, gaps, tied, against)
    best = _best(board, variant)
    changes = _changes(predictions, scored, against, _other(board, best, against))
    return Comparison(
        leaderboard=board,
        differences=gaps,
        best=best,
        against=against,
        ties=tied,
        resolution=resolution(scored, _other(board, best, against), against),
        labels=by_label(predictions, best),
        changes=changes,
        repeats=repeats(predictions),
        runs=_of_runs(results, predictions, seed),
        notes=(*_engine(results), *found.notes, *_apart(predictions, gaps, against)),
        seed=seed,
        grids=scored,
        results=results,
        reads=reads,
        judges=opinions(found.noted),
    )


def _baseline(results: pd.DataFrame, predictions: pd.DataFrame, wanted: str | None) -> Key | None:
    """(run, variant) that everything is compared with."""
    known = predictions[["run", "variant"]].drop_duplicates() if len(predictions) else results[["run", "variant"]]
    if wanted is not None:
        found = known[known["variant"] == wanted]
        if found.empty:
            raise BadInput(Problem(f"there is no variant {wanted!r}", remedy=nearest(wanted, known["variant"])))
        return str(found.iloc[0]["run"]), wanted
    own = results[results["status"] == "baseline"] if "status" in results.columns else results.iloc[:0]
    first = own.iloc[0] if len(own) else known.iloc[0] if len(known) else None
    return None if first is None else (str(first["run"]), str(first["variant"]))


def _ties(results: pd.DataFrame, grid: Grid | None, against: Key | None, seed: int) -> TieSet | None:
    """The tie set over all runs; of a single run what it found itself, which does not say it of the baseline."""
    single = "status" in results.columns and results["run"].nunique() == 1
    if grid is None or against is None:
        return None
    found = ties(grid, against, seed, HEAD if single else MOST_TIED)
    if found is None or not single:
        return found
    own = results[results["status"].isin(("winner", "tied"))]
    members = [(str(run), str(variant)) for run, variant in zip(own["run"], own["variant"], strict=True)]
    members += [key for key in found.members if key == against and key not in members]
    return TieSet(tuple(members), found.among, found.rows, found.split) if members else found


def _best(board: pd.DataFrame, wanted: str | None) -> Key:
    if wanted is not None and len(board):
        own = board[board["variant"] == wanted]
        if not len(own):
            raise BadInput(Problem(f"there is no variant {wanted!r}", remedy=nearest(wanted, board["variant"])))
        return str(own.iloc[0]["run"]), wanted
    return (str(board.iloc[0]["run"]), str(board.iloc[0]["variant"])) if len(board) else ("", "")


def _other(board: pd.DataFrame, best: Key, against: Key | None) -> Key:
    """The best, or where that is the baseline itself the best of the others."""
    if best != against:
        return best
    keys = [(str(run), str(variant)) for run, variant in zip(board["run"], board["variant"], strict=True)]
    return next((key for key in keys if key != against), best)


def _changes(predictions: pd.DataFrame, scored: Mapping[str, Grid], against: Key | None, best: Key) -> Changes | None:
    """The flips on test where both were scored on it, else on dev."""
    for split, grid in scored.items():
        if against is not None and best != against and against in grid.keys and best in grid.keys:
            return Changes(against, best, split, flips(predictions, against, best, split))
    return None


def _of_runs(results: pd.DataFrame, predictions: pd.DataFrame, seed: int) -> dict[str, OfRun]:
    found = {}
    for run, board in results.groupby("run", sort=False):
        rows = predictions[predictions["run"] == run]
        if len(rows):
            parts = effects(board, rows, seed), spreads(board, rows, seed), transfers(board, rows, seed)
            found[str(run)] = OfRun(*parts, retrieval(board, rows, seed))
    return found


def _apart(predictions: pd.DataFrame, gaps: pd.DataFrame, against: Key | None) -> list[str]:
    """What to say of runs that share no row with the baseline's."""
    met = {*gaps["run"], *(against or ())[:1]}
    apart = [run for run in dict.fromkeys(predictions["run"]) if run not in met]
    return [
        f"{run} shares no scored row with {(against or ('',))[0]}: there is no difference to show." for run in apart
    ]


def _engine(results: pd.DataFrame) -> list[str]:
    from promptlab.verdict import EMBEDDED

    engines = {engine for each in results.get("engine", []) for engine in str(each).split()}
    return [EMBEDDED] if "embedded" in engines else []
