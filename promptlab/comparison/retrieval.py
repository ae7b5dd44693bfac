"""What retrieval is worth to one prompt: every way to find its passages side by side, and what is to be mended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.comparison.differences import Grid, grids
from promptlab.comparison.worded import SLOT, WORDS, words
from promptlab.retrieve.decomposition import Advice, Decomposition, Part, advise, blind, decompose
from promptlab.retrieve.settings import KNOWN, NONE
from promptlab.stats.paired import Array, mean, rate_interval
from promptlab.unit import Unit

if TYPE_CHECKING:
    import pandas as pd

ORACLE = KNOWN[1]
HIT = "hit_at_k"
MEASURES = ("mrr", "ndcg", "grounded", "passage_tokens")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to find the passages of a prompt. ``parts`` is None where nothing was looked for, or nothing is gold.

    ``measures``: those of MEASURES that the run has.
    """

    variant: str
    what: str
    score: Part
    parts: Decomposition | None
    measures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """``variant``: the best one that looks for passages; ``ways``: its prompt with every retrieval that was tried.

    ``cited``: the variants that the advice is about: the best one, its closed book, its oracle and its wrong passages.
    """

    variant: str
    split: str
    ways: tuple[Way, ...]
    advice: Advice
    cited: tuple[str, ...] = ()

    def first(self, most: int) -> Retrieval:
        """At most so many ways, but all that are cited; of the others those with the highest scores."""
        free = [way for way in self.ways if way.variant not in self.cited]
        free = sorted(free, key=lambda way: -way.score.value)[: max(0, most - len(self.ways) + len(free))]
        kept = {*self.cited, *(way.variant for way in free)}
        return replace(self, ways=tuple(way for way in self.ways if way.variant in kept))


def retrieval(board: pd.DataFrame, predictions: pd.DataFrame, seed: int = 0) -> Retrieval | None:
    """Of one run's tables; None where nothing was looked for.

    Dev, where every way was scored; each on the rows that it has. ``hit_at_k`` of predictions says which rows found a
    gold passage.
    """
    if f"{SLOT}retriever" not in board.columns:
        return None
    if "row" not in predictions.columns:
        predictions = predictions.assign(row=predictions["example"])
    grid = next((found for split, found in grids(predictions).items() if split in ("dev", "all")), None)
    rows = [{str(name): _plain(str(name), value) for name, value in row.items()} for row in board.to_dict("records")]
    scored = {} if grid is None else {variant: at for at, (_, variant) in enumerate(grid.keys)}
    rows = [row for row in rows if row["variant"] in scored]
    best = _best(rows, scored, grid)
    if grid is None or best is None:
        return None
    own = [row for row in rows if _prompt(row) == _prompt(best)]
    known = _hits(predictions, grid)
    closed = _nearest(own, best, NONE) or _closed(rows, scored, grid)
    shown = own if closed is None or closed in own else [closed, *own]
    told = {row["variant"]: what for row, what in zip(shown, words(shown), strict=True)}
    ways = [_way(row, told[row["variant"]], (grid, known), seed) for row in shown]
    places = {row["variant"]: _place(row) for row in shown}
    ways.sort(key=lambda way: (places[way.variant], -_number(way.score.value), way.what, way.variant))
    oracle, wrong = _nearest(own, best, ORACLE), _nearest(own, best, KNOWN[2])
    found = _advice(best, oracle, closed, (grid, known), seed)
    cited = tuple(row["variant"] for row in (closed, best, oracle, wrong) if row is not None)
    return Retrieval(best["variant"], grid.split, tuple(ways), found, cited)


def _advice(best: Row, oracle: Row | None, closed: Row | None, known: tuple[Grid, Array | None], seed: int) -> Advice:
    """What to mend; with how many rows the oracle had nothing right for."""
    grid, hits = known
    own, right, none = (
        None if row is None else grid.row((row["run"], row["variant"])) for row in (best, oracle, closed)
    )
    assert own is not None  # the best one has scores
    if oracle is None:
        return advise(own, None)
    seen = np.empty(0) if hits is None else hits[grid.keys.index((oracle["run"], oracle["variant"]))]
    unseen = blind(dict(_measured(oracle)).get("passage_tokens", math.nan), seen)
    if unseen is not None:
        return unseen
    found = advise(own, right, none, grid.weights, grid.groups, seed)
    lost, rows = int((seen == 0).sum()), int((~np.isnan(seen)).sum())
    if lost:
        more = f"{found.sentence} The oracle had no gold for {lost} of {rows} rows: look at their `gold`."
        return replace(found, sentence=more)
    return found


def cells(found: Retrieval, unit: Unit) -> tuple[list[str], list[list[str]]]:
    """The table's head and rows. hit@k, if hit and if missed are of the rows whose gold is known, see ``identity``."""
    named = [name for name in MEASURES if any(name in way.measures for way in found.ways)]
    head = ["passages", "variant", "rows", "score [95 %]", "hit@k", "if hit", "if missed", *named]
    rows = []
    for way in found.ways:
        figures = (f"{way.measures[name]:.3g}" if name in way.measures else "" for name in named)
        rows.append([way.what, way.variant, str(way.score.n), _cell(way.score, unit), *_cells(way, unit), *figures])
    return [name.replace("passage_tokens", "tokens") for name in head], rows


def identity(found: Retrieval) -> str:
    """What the columns of hits are about, in words; nothing where no row knows its gold."""
    parts = [(way.parts.hit.n, way.score.n) for way in found.ways if way.parts is not None]
    if not parts:
        return ""
    holds = "score = hit@k x if hit + (1 - hit@k) x if missed"
    if all(own == every for own, every in parts):
        return holds
    few, most = min(parts)[0], max(parts)[0]
    some = f"{few}" if few == most else f"{few} to {most}"
    return f"{holds} on the {some} rows whose gold is known; score is of all rows"


def _cells(way: Way, unit: Unit) -> list[str]:
    if way.parts is None:
        return ["", "", ""]
    return [_cell(way.parts.hit, Unit()), _cell(way.parts.score_hit, unit), _cell(way.parts.score_miss, unit)]


def _cell(part: Part, unit: Unit) -> str:
    low, high = part.interval.low, part.interval.high
    ends = "" if math.isnan(low) else f" [{unit.bound(low)}, {unit.bound(high)}]"
    return unit.score(part.value) + ends if part.n else ""


def _plain(name: str, value: Any) -> Any:
    """A slot's value as tables say it: nothing where the slot is not there, 3 for 3.0."""
    if not name.startswith("slot."):
        return value
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:g}"
    return "" if value is None else str(value)


def _best(rows: Sequence[Row], scored: dict[str, int], grid: Grid | None) -> Row | None:
    """The best that looks for its passages, of those scored on the most rows."""
    looking = [row for row in rows if row[f"{SLOT}retriever"] not in ("", *KNOWN)]
    if grid is None or not looking:
        return None
    return max(looking, key=lambda row: _reached(grid.scores[scored[row["variant"]]]))


def _closed(rows: Sequence[Row], scored: dict[str, int], grid: Grid) -> Row | None:
    """The best prompt that shows no passages at all."""
    without = [row for row in rows if row[f"{SLOT}retriever"] in ("", NONE)]
    return max(without, key=lambda row: _reached(grid.scores[scored[row["variant"]]]), default=None)


def _reached(scores: Array) -> tuple[int, float]:
    known = scores[~np.isnan(scores)]
    return len(known), float(known.mean()) if len(known) else -math.inf


def _prompt(row: Row) -> tuple[Any, ...]:
    """Everything of a variant but its retrieval."""
    kept = (name for name in row if name.startswith("slot.") and not name.startswith(SLOT))
    return row.get("model"), row.get("template"), *((name, row[name]) for name in kept)


def _nearest(rows: Sequence[Row], best: Row, retriever: str) -> Row | None:
    """The variant with this retriever whose other settings are most like the best one's."""
    own = [row for row in rows if row[f"{SLOT}retriever"] == retriever]
    return max(own, key=lambda row: sum(row.get(SLOT + name) == best.get(SLOT + name) for name in WORDS), default=None)


def _place(row: Row) -> int:
    """The closed book first, then what looks, then the oracle and the wrong ones."""
    places = {"": 0, NONE: 0, **{name: 2 + at for at, name in enumerate(KNOWN[1:])}}
    return places.get(str(row[f"{SLOT}retriever"]), 1)


def _number(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _way(row: Row, what: str, known: tuple[Grid, Array | None], seed: int) -> Way:
    grid, hits = known
    at = grid.keys.index((row["run"], row["variant"]))
    scores = grid.scores[at]
    score = Part(
        int((~np.isnan(scores)).sum()),
        mean(scores, grid.weights),
        rate_interval(scores, grid.weights, seed, groups=grid.groups),
    )
    looked = row[f"{SLOT}retriever"] not in ("", NONE)
    parts = None
    if hits is not None and looked and not np.isnan(hits[at]).all():
        parts = decompose(hits[at], scores, grid.weights, grid.groups, seed)
    return Way(row["variant"], what, score, parts, dict(_measured(row)))


def _measured(row: Row) -> Iterator[tuple[str, float]]:
    """The means of a run's own tables."""
    for name in MEASURES:
        value = row.get(f"dev.{name}")
        if value is not None and not math.isnan(float(value)):
            yield name, float(value)


def _hits(predictions: pd.DataFrame, grid: Grid) -> Array | None:
    """Whether a row's gold was found, as the grid has its cells; None where no table says it."""
    if HIT not in predictions.columns:
        return None
    part = predictions[predictions["split"] == grid.split]
    wide = part.groupby(["run", "variant", "row"], sort=False)[HIT].mean().unstack("row")
    keys = [(str(run), str(variant)) for run, variant in wide.index]
    order = part.groupby(["run", "variant", "row"], sort=False)["score"].mean().unstack("row").columns
    found: Array = wide.set_axis(keys).reindex(index=list(grid.keys), columns=order).to_numpy(float)
    return found
