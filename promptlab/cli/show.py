"""What commands print: tables and sentences. Text from data is shown as text, never as markup."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from promptlab.claims import claims
from promptlab.cli.board import Board
from promptlab.folder import project_of
from promptlab.outlook import outlook
from promptlab.reads import ahead, counts
from promptlab.verdict import verdict

if TYPE_CHECKING:
    from promptlab.finished import Run
    from promptlab.forecast import Forecast
    from promptlab.prepare import Prepared

SHOWN = 15  # rows of a leaderboard on the terminal
WORTH_MOVING = 100  # tokens of fixed text behind a row from which a note says so


def console(*, error: bool = False) -> Console:
    """The terminal, where sentences wrap between words; on a pipe, lines are as wide as they need to be."""
    piped = not (sys.stderr if error else sys.stdout).isatty()
    return Console(stderr=error, soft_wrap=piped, width=140 if piped else None)


def print_json(value: Any) -> None:
    """JSON on standard output; what was not measured is null."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, indent=2, default=str) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def leaderboard(rows: Sequence[Mapping[str, Any]], most: int = SHOWN, rest: str = "in results.csv") -> Board:
    """The best rows, and the baseline wherever it stands, for ``console().print``; ``rest``: where the others are."""
    return Board(rows, most, rest)


def verdict_lines(run: Run) -> list[str]:
    """What a run says, and where its files are."""
    experiment = run.prepared.experiment
    told = claims(run.prepared, run.findings)
    lines = ["", *verdict(run.findings, run.rows, claims=told, costs=experiment.search.costs)]
    usd = sum(row.get("usd") or 0.0 for row in run.rows)
    spent = f", {dollars(usd)} spent" if usd else ""
    took = f"The run took {run.findings.calls:,} calls in all{spent}"
    lines.append(f"{took}; what is known already is never asked again.")
    own = f"{experiment.folder / 'results.csv'} and " if run.whole else ""
    pick = run.winner.variant.id
    sets = "".join(f" --set {shlex.quote(each)}" for each in experiment.overrides)
    lines.append(f"Tables: {own}{run.folder}")
    lines.append(f"Page: {run.folder / 'report.html'}")
    return [
        *lines,
        f"Look: promptlab render {experiment.path}{sets} --variant {pick} · promptlab compare {run.folder}",
        f"Take: promptlab export {run.folder} --to python",
    ]


def plan_lines(prepared: Prepared, expected: Forecast, *, fresh: bool = False) -> list[str]:
    """What a run would take and can tell, in sentences; ``fresh``: it will be a run of its own."""
    experiment = prepared.experiment
    total = expected.search_calls + expected.test_calls
    money = f", at most about {dollars(expected.usd)}" if expected.usd else ""
    budget = experiment.search.budget
    caps = [f"{budget.calls:,} calls" if budget.calls else "", f"{budget.tokens:,} tokens" if budget.tokens else "",
            dollars(budget.usd) if budget.usd else ""]  # fmt: skip
    cap = ", ".join(each for each in caps if each) or "none"
    holes = f" ({expected.holes:,} excluded)" if expected.holes else ""
    out = expected.points - expected.holes - expected.variants
    skew = ", or they ask a tuned model otherwise than it was taught" if prepared.skews.taught else ""
    left = f" ({out:,} left out: the budget or the allocator has no room{skew})" if out > 1 else ""
    space = (
        f"{experiment.name}: {expected.points:,} variants in the space{holes}, {expected.variants - 1:,} tried beside "
        f"the baseline{left} on {expected.dev_rows} dev rows; {expected.test_rows} test rows are held out"
    )
    calls = (
        f"at most {total:,} calls ({expected.search_calls:,} search + {expected.test_calls:,} test) of about "
        f"{expected.tokens_in:,.0f} tokens each, the first {expected.tokens_shared:,.0f} of them the same from row to "
        f"row{money}; budget: {cap}"
    )
    read = _read_again(prepared, fresh=fresh)
    return [space, calls, *_behind(expected), _resolution(expected), *outlook(expected), *read]


def _read_again(prepared: Prepared, *, fresh: bool) -> list[str]:
    """That the run will read test rows that others have read, before it does."""
    experiment, test = prepared.experiment, prepared.rows.test
    if not (prepared.test and test and counts(experiment.models)):
        return []
    return [f"note: {each}" for each in ahead(project_of(experiment.path), test, "" if fresh else prepared.identity)]


def dollars(value: float) -> str:
    """An amount in US dollars: cents, or two digits of less than that."""
    return f"${value:,.2f}" if value >= 0.01 else f"${value:.2g}"


def _behind(expected: Forecast) -> list[str]:
    """What to tell of fixed text that stands where no provider's prompt cache can hold it."""
    if expected.tokens_behind < WORTH_MOVING or expected.tokens_behind < expected.tokens_shared / 4:
        return []
    where = "in front of it, a provider's prompt cache could hold them"
    return [f"note: {expected.tokens_behind:,.0f} tokens of fixed text stand behind the row's own; {where}"]


def _resolution(expected: Forecast) -> str:
    known = {share: gap for share, gap in expected.resolves.items() if gap is not None}
    rows = expected.test_rows or expected.dev_rows
    if not known:
        return f"{rows} rows cannot resolve any difference: add rows"
    gaps = ", ".join(f"{100 * gap:.1f} points if {share:.0%} of answers differ" for share, gap in known.items())
    return f"smallest difference that {rows} rows can show (80 % power): {gaps}"


def space_table(prepared: Prepared) -> Table:
    """The slots, their values, and when they exist."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("slot", "values", "when"):
        table.add_column(name)
    for slot in prepared.space.slots:
        when = " and ".join(f"{name} in {', '.join(map(str, values))}" for name, values in slot.when)
        values = ", ".join(map(str, slot.values))
        table.add_row(Text(slot.name + (" (open)" if slot.open else "")), Text(values), Text(when, style="dim"))
    return table
