"""The tables of promptlab compare. Text from data is shown as text, on one line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from promptlab.chance import FLOOR, p_text
from promptlab.cli.board import missing, printable
from promptlab.comparison.compare import Changes, Comparison
from promptlab.comparison.effects import Effects
from promptlab.comparison.flips import Flip
from promptlab.comparison.retrieval import Retrieval, cells, identity
from promptlab.reads import penalty
from promptlab.results import brief
from promptlab.unit import Unit

DIFFERENCES, EFFECTS, WAYS = 15, 24, 24  # rows on the terminal
INSTEAD = 3  # wrong answers by name, of every label
WIDEST = 160  # characters of a flipped row's text on a pipe
NARROW, GAP = 26, 2  # characters that the words for a retrieval are given at least; between columns
PARTS = ("hit@k", "if hit", "if missed")
LAYOUTS: tuple[tuple[tuple[str, ...], bool], ...] = (  # columns that fall, and whether the parts keep their intervals
    ((), True),
    (("ndcg",), True),
    (("ndcg", "mrr"), True),
    (("ndcg", "mrr"), False),
    (("ndcg", "mrr", "grounded"), False),
    (("ndcg", "mrr", "grounded", "rows"), False),
    (("ndcg", "mrr", "grounded", "rows", "tokens"), False),
)
LEFT = ("run", "variant", "label", "answered instead", "choice", "against", "passages")


def difference_table(found: Comparison, unit: Unit) -> Table:
    """Every paired difference to one variant, named in the title."""
    table = found.differences.head(DIFFERENCES)
    several = found.differences["run"].nunique() > 1 or len(found.runs) > 1
    who = "/".join(found.against or ()) if several else (found.against or ("", ""))[1]
    counts = ["fixed", "broken"] if table["fixed"].notna().any() else []  # of graded scores none is either
    made = _table(
        f"Paired differences to {printable(who)} on the rows that both have, p adjusted",
        [*(["run"] if several else []), "variant", "rows", "delta [95 %]", "p", *counts],
    )
    for row in table.to_dict("records"):
        span = unit.gap(row["delta"]) + unit.span(row["low"], row["high"])
        p = "" if missing(row["p_adjusted"]) else p_text(row["p_adjusted"], FLOOR * _paid(row, found))
        flips = ["" if missing(row[name]) else str(int(row[name])) for name in counts]
        rows = str(row["n"]) if row["split"] == "all" else f"{row['n']} {row['split']}"
        cells = [*([row["run"]] if several else []), row["variant"], rows, span, p, *flips]
        _add(made, cells)
    if len(found.differences) > DIFFERENCES:
        made.caption = f"{len(found.differences) - DIFFERENCES} more with --json"
    return made


def _paid(row: Mapping[Any, Any], found: Comparison) -> float:
    """What the p of a difference was multiplied by, for its test rows were read before."""
    runs = (row["run"], row["against_run"]) if row["split"] == "test" else ()
    return penalty(max((found.reads.get(run, 1) for run in runs), default=1))


def effect_table(own: Effects, unit: Unit) -> Table:
    """What every value of a slot is worth against another; of single variants, which."""
    single = any(each.variants for each in own.effects)
    made = _table("", ["choice", "worth [95 %]", "against", *(["variant"] if single else [])])
    for each in own.effects[:EFFECTS]:
        worth = unit.gap(each.delta) + unit.span(each.low, each.high)
        value, against = apart(each.value, each.against)
        more = f" and {len(each.variants) - 1} more" if each.variants[1:] else ""
        who = [f"{variant}{more}" for variant in each.variants[:1]]
        _add(made, [f"{each.slot} = {value}", worth, against, *who])
    if len(own.effects) > EFFECTS:
        made.caption = f"{len(own.effects) - EFFECTS} more with --json"
    return made


def apart(one: str, other: str) -> tuple[str, str]:
    """Two texts cut to a name's length so that they differ: of long ones that begin alike, from where they do."""
    texts = [" ".join(each.split()) for each in (one, other)]
    if brief(one) != brief(other) or texts[0] == texts[1]:
        return brief(one), brief(other)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
    start = texts[0].rfind(" ", 0, same) + 1  # the word in which they part
    cut = [brief(each[start:]) for each in texts]
    if cut[0] == cut[1]:  # one word without end
        cut = [brief(each[same:]) for each in texts]
    return f"…{cut[0]}", f"…{cut[1]}"


@dataclass(frozen=True)
class Ways:
    """One prompt with every way to find its passages, as wide as the console; those that the advice cites always."""

    found: Retrieval
    unit: Unit
    where: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table: what its columns cannot show falls from the right; on a pipe nothing does."""
        width = options.max_width if console.is_terminal else WIDEST
        found = self.found.first(WAYS)
        head, body = cells(found, self.unit)
        lines = [[printable(cell) for cell in line] for line in (head, *body)]
        kept, lines = _fitted(lines, width)
        rows = "" if found.split == "all" else f" on {found.split}"
        made = _table(f"What retrieval is worth{self.where}: the prompt of {printable(found.variant)}{rows}", lines[0])
        made.columns[0].no_wrap, made.columns[0].overflow = False, "fold"
        for line in lines[1:]:
            _add(made, line)
        left = [name for name in head if name not in kept]
        few = f"{len(self.found.ways) - len(found.ways)} more ways" if len(found.ways) < len(self.found.ways) else ""
        more = ", ".join(part for part in (few, *left) if part)
        notes = (identity(self.found), f"{more} with --json" if more else "")
        made.caption = Text("\n".join(part for part in notes if part)) if any(notes) else None
        made.padding = (0, GAP, 0, 0)
        yield from console.render(made, options.update(max_width=width))


def _fitted(lines: list[list[str]], width: int) -> tuple[list[str], list[list[str]]]:
    """The columns that there is room for, and their cells; the first of them may be folded down to ``NARROW``."""
    head = lines[0]
    for falls, ends in LAYOUTS:
        kept = [at for at, name in enumerate(head) if name not in falls]
        shown = [[_bare(line[at], head[at], ends=ends) for at in kept] for line in lines]
        sizes = [max(map(len, column)) for column in zip(*shown, strict=True)]
        if min(sizes[0], NARROW) + sum(sizes[1:]) + GAP * (len(sizes) - 1) <= width:
            break
    return [head[at] for at in kept], shown


def _bare(cell: str, name: str, *, ends: bool) -> str:
    """A cell of a part of the score; without the ends of its interval where there is no room for them."""
    return cell if ends or name not in PARTS else cell.partition(" [")[0]


def retrieval_table(found: Retrieval, unit: Unit, where: str = "") -> Ways:
    """One prompt with every way to find its passages, see ``identity`` for what its columns add up to."""
    return Ways(found, unit, where)


def classes(found: Comparison) -> Table:
    """The best variant, label by label."""
    title = f"{printable(found.best[1])}, class by class"
    if found.labels.split:
        title += f" on {found.labels.split}"
    if found.labels.repeats > 1:
        title += f", up to {found.labels.repeats} answers a row"
    if found.majority is not None:
        title += f" (always {printable(found.majority[0])!r}: {100 * found.majority[1]:.1f} % right)"
    made = _table(title, ["label", "precision", "recall", "F1", "rows", "answered instead"])
    made.columns[-1].no_wrap = False
    labels = [str(each.label) for each in found.classes]
    for place, each in enumerate(found.classes):
        row = found.confusion[place]
        wrong = sorted(((n, name) for n, name in zip(row, [*labels, "none"], strict=True) if n), reverse=True)
        others = [f"{name} {n}" for n, name in wrong if name != str(each.label)]
        instead = ", ".join(others[:INSTEAD]) + (" …" if len(others) > INSTEAD else "")
        figures = ("" if missing(x) else f"{x:.2f}" for x in (each.precision, each.recall, each.f1))
        _add(made, [each.label, *figures, each.support, instead])
    return made


@dataclass(frozen=True)
class Flipped:
    """Rows fixed and rows broken: the counts, then ``most`` of the rows, broken and fixed by turns."""

    changes: Changes
    most: int
    unit: Unit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Two or three lines a row, cut to the console's width; on a pipe to ``WIDEST``."""
        width = options.max_width if console.is_terminal else WIDEST
        found = self.changes
        same = found.before[0] == found.after[0]
        before, after = ((key[1] if same else "/".join(key)) for key in (found.before, found.after))
        where = "" if found.split == "all" else f" on {found.split}"
        head = f"Flips{where} from {before} to {after}: {_counted(found, self.unit)}"
        yield Text(printable(head), style="bold")
        shown = _by_turns(found.flips, self.most)
        for flip in shown:
            style = "green" if flip.gain > 0 else "red"
            for place, line in enumerate(_lines(flip)):
                text = textwrap.shorten(printable(line), width - 8, placeholder=" …") if place else _head(line, width)
                yield Text(text if not place else f"        {text}", style="" if place else style, no_wrap=True)
        if len(shown) < len(found.flips):
            yield Text(f"{len(found.flips) - len(shown)} more with --flips N, --flips-csv FILE or --json", style="dim")


def _counted(found: Changes, unit: Unit) -> str:
    """How many rows rose and fell; graded scores by more than a little, a twentieth of their widest step."""
    if not found.graded:
        return f"{found.fixed} fixed, {found.broken} broken"
    gains = [flip.gain for flip in found.flips]
    least = 0.05 * (1.0 if unit.rate else max(map(abs, gains)))
    better, worse = sum(gain > least for gain in gains), sum(gain < -least for gain in gains)
    little = len(gains) - better - worse
    rest = f"; {little} changed by less" if little else ""
    return f"{better} better, {worse} worse (by more than {unit.points(least)[1:]}{rest})"


def _head(line: str, width: int) -> str:
    return textwrap.shorten(printable(line), width, placeholder=" …")


def _lines(flip: Flip) -> Iterator[str]:
    inputs = " · ".join(flip.inputs.values())
    yield f"{flip.kind}  {flip.example}  {inputs}"
    label = f"  (right: {flip.label})" if flip.label else ""
    if flip.before or flip.after:
        yield f"{flip.before or '(nothing)'} → {flip.after or '(nothing)'}{label}"


def _by_turns(found: Sequence[Flip], most: int) -> list[Flip]:
    """As many broken ones as fixed ones, where there are as many of both."""
    broken, fixed = ([flip for flip in found if (flip.gain > 0) is rose] for rose in (False, True))
    few = min(len(broken), max(most - most // 2, most - len(fixed)))
    return [*broken[:few], *fixed[: most - few]]


def _table(title: str, names: Sequence[str]) -> Table:
    bold = "bold"
    made = Table(
        box=None, header_style=bold, title=title or None, title_justify="left", title_style=bold, pad_edge=False
    )
    made.caption_justify = "left"
    for name in names:
        made.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    return made


def _add(made: Table, cells: Sequence[object]) -> None:
    made.add_row(*(Text(printable(str(each))) for each in cells))
