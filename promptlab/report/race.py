"""The race: who was alive after how many calls, and where the calls went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from promptlab.report.log import Log, Round
from promptlab.report.marks import joined, table, tag
from promptlab.report.svg import Scale, figure, line, point, words

BROAD, NARROW = 1140, 360  # pixels of the drawing, as there is room
MOST = {BROAD: 24, NARROW: 10}  # variants that get a line of their own
HIGH, TOP, LEFT = 16, 110, 88
Row = Mapping[str, Any]


def race(rows: Sequence[Row], log: Log, base: str) -> Markup | None:
    """The drawing and the rounds as a table; None before any call of the search."""
    rounds = [each for each in log.rounds if each.asked]
    if not rounds:
        return None
    total = sum(each.asked for each in rounds)
    most = max(rounds, key=lambda each: each.asked)
    last = "in the test" if _final(rounds[-1]) else "in the last round"
    said = (
        f"{rounds[0].summary.get('live', len(rounds[0].calls))} variants alive at the start, "
        f"{len(rounds[-1].calls)} asked {last}; {total:,} calls in {len(rounds)} rounds."
    )
    asked = sum(bool(row.get("calls")) for row in rows)
    left = f" Of {asked:,} variants those with the best ranks have a line." if asked > MOST[BROAD] else ""
    caption = (
        "Above: variants asked in each round. Below: a bar wherever a variant was asked, the stronger, the larger its "
        f"share of the round; a cross where it fell. Most calls went to {_name(most)}.{left}"
    )
    drawn = figure([_drawn(rows, rounds, base, width) for width in (BROAD, NARROW)], "The race", said, caption)
    return joined((drawn, _rounds(rounds), _purposes(log)))


def _drawn(rows: Sequence[Row], rounds: Sequence[Round], base: str, width: int) -> tuple[list[Markup], tuple[int, int]]:
    across = Scale(0, sum(each.asked for each in rounds), LEFT, width - 24)
    shown = [row for row in rows if row.get("calls")][: MOST[width]]
    shown += [row for row in rows if row["variant"] == base and row not in shown]
    height = TOP + HIGH * len(shown) + 36
    parts = [*_alive(rounds, across), *_bounds(rounds, across, height), *_lives(shown, rounds, across)]
    ticks = across.ticks(6 if width == BROAD else 3)
    parts += [words(across(t), height - 20, f"{t:,.0f}", at="middle") for t in ticks]
    parts.append(words((LEFT + width) / 2, height - 4, "calls", at="middle", kind="title"))
    return parts, (width, height)


def _name(each: Round) -> str:
    return "the test" if _final(each) else f"round {each.number}"


def _final(each: Round) -> bool:
    return each.summary.get("phase") == "final"


def _starts(rounds: Sequence[Round]) -> list[tuple[Round, int, int]]:
    found, start = [], 0
    for each in rounds:
        found.append((each, start, start + each.asked))
        start += each.asked
    return found


def _alive(rounds: Sequence[Round], across: Scale) -> list[Markup]:
    most = max(len(each.calls) for each in rounds)
    up = Scale(0, most, TOP - 20, 14)
    path, parts = "", []
    for each, start, end in _starts(rounds):
        y = up(len(each.calls))
        path += f"{'M' if not path else 'L'}{across(start):.1f} {y:.1f}H{across(end):.1f}"
        if across(end) - across(start) > 22:
            said = f"test: {len(each.calls)}" if _final(each) else str(len(each.calls))
            parts.append(words((across(start) + across(end)) / 2, y - 4, said, at="middle", kind="label"))
    base = line(across.start, up(0), across.end, up(0), "axis")
    return [
        tag("path", d=path, class_="alive"),
        base,
        words(LEFT - 8, TOP - 22, "alive", at="end", kind="title"),
        *parts,
    ]


def _bounds(rounds: Sequence[Round], across: Scale, height: int) -> list[Markup]:
    return [line(across(end), 8, across(end), height - 34, "grid") for _, _, end in _starts(rounds)]


def _lives(shown: Sequence[Row], rounds: Sequence[Round], across: Scale) -> list[Markup]:
    parts = []
    last = max((each.number for each in rounds if not _final(each)), default=0)
    for place, row in enumerate(shown):
        y = TOP + HIGH * place + HIGH / 2
        parts.append(words(LEFT - 8, y + 4, row["variant"], at="end", kind=f"tick {row['status']}"))
        end = 0
        for each, start, stop in _starts(rounds):
            n = each.calls.get(row["variant"], 0)
            if n:
                end = stop if each.number <= last else end
                parts.append(_bar(row, each, n, (across(start), across(stop), y)))
        if row["status"] == "dropped" and end:
            parts.append(point(min(across(end) + 6, across.end), y, "dropped", f"{row['variant']} fell here", size=4))
    return parts


def _bar(row: Row, each: Round, n: int, place: tuple[float, float, float]) -> Markup:
    """Opacity says the share of the round: five steps, so that they can be told apart."""
    x, end, y = place
    fair = n / max(each.calls.values())
    tip = f"{row['variant']}: {n} calls in {_name(each)}"
    kind = f"life s{max(1, min(5, round(5 * fair)))}{' final' if _final(each) else ''}"
    return tag("rect", tag("title", tip), x=x + 0.5, y=y - 5, width=max(1.0, end - x - 1), height=10, class_=kind)


def _rounds(rounds: Sequence[Round]) -> Markup:
    head = ["round", "phase", "variants asked", "fell before it", "calls", "best so far"]
    body = [
        [each.number, "test" if _final(each) else "dev", len(each.calls),
         each.summary.get("dropped", ""), f"{each.asked:,}", each.summary.get("best") or ""]
        for each in rounds
    ]  # fmt: skip
    return table(head, body, "Round by round", ["num", "", "num", "num", "num", "id"])


def _purposes(log: Log) -> Markup:
    words_of = {"answer": "answers", "judge": "a judge", "meta": "proposals", "rewrite": "query rewrites",
                "rerank": "reranking", "embed": "embeddings"}  # fmt: skip
    said = ", ".join(f"{n:,} for {words_of.get(name, name)}" for name, n in log.calls.items())
    return tag("p", f"Distinct calls in the log: {said}.") if said else Markup("")
