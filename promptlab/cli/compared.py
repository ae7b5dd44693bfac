"""What promptlab compare prints: its sections in order, each only where the data has it; and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console

from promptlab.caveats import reread
from promptlab.cli.board import printable
from promptlab.cli.compared_tables import Flipped, classes, difference_table, effect_table, retrieval_table
from promptlab.cli.show import leaderboard
from promptlab.comparison.compare import Comparison, OfRun
from promptlab.comparison.effects import Effects
from promptlab.comparison.gating import Gated
from promptlab.comparison.stability import Repeats, Spread
from promptlab.comparison.transfer import Transfer
from promptlab.results import brief, short
from promptlab.unit import Unit, unit_of

if TYPE_CHECKING:
    from pandas import DataFrame

NAMED = 8  # members of a tie set by name


def show(out: Console, found: Comparison, flips: int, judged: Gated | None) -> None:
    """Print everything; the gate's reason is the last line."""
    unit = unit_of([grid.scores for grid in found.grids.values()])

    def say(*lines: str) -> None:
        for line in lines:
            out.print(printable(line), markup=False, highlight=False)

    say(*found.judges)
    if len(found.leaderboard):
        out.print(leaderboard(records(found.leaderboard), rest="with --json"))
        say(*_standing(found, unit))
    if len(found.differences):
        say("")
        out.print(difference_table(found, unit))
        say(*_read_again(found))
    for run, own in found.runs.items():
        where = f" of {run}" if len(found.runs) > 1 else ""
        if own.effects.source is not None:
            say("", _source(own.effects, where))
            out.print(effect_table(own.effects, unit))
            say(*_together(own.effects, unit))
        if own.retrieval is not None:
            say("")
            out.print(retrieval_table(own.retrieval, unit, where))
            say(own.retrieval.advice.sentence)
        steady = [*(_carried(each, unit) for each in own.transfers), *(_spread(each, unit) for each in own.spreads)]
        say(*(["", *steady] if steady else []))
    say(*([] if found.repeats is None else ["", _noise(found.repeats, unit)]))
    if found.changes is not None:
        say("")
        out.print(Flipped(found.changes, flips, unit))
    if found.classes:
        say("")
        out.print(classes(found))
        say(*_confused(found))
    if found.notes or not len(found.leaderboard):
        say("", *(found.notes or ["There is nothing to show: no rows."]))
    if judged is not None:
        say("", verdict(judged))


def verdict(judged: Gated) -> str:
    """The gate's judgement in words."""
    if judged.new == judged.old:
        return f"Gate {judged.gate.verdict} ({'/'.join(judged.new)}): {judged.gate.reason}"
    who = f"{'/'.join(judged.new)} against {'/'.join(judged.old)}"
    rows = "all rows" if judged.split == "all" else f"on {judged.split}"
    flattered = ", where it was picked: these rows flatter it" if judged.picked else ""
    return f"Gate {judged.gate.verdict} ({who}, {rows}{flattered}): {judged.gate.reason}"


def records(table: DataFrame) -> list[dict[str, Any]]:
    """The rows of a table."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _standing(found: Comparison, unit: Unit) -> Iterator[str]:
    """Which difference is which, the tie set, and what these rows can show."""
    if "against" in found.leaderboard.columns and found.leaderboard["run"].nunique() > 1 and found.against:
        yield (
            "Ranks are over all runs, by the paired difference on dev to "
            f"{'/'.join(found.against)}; status, Δ and p are each run's own, against the baseline named beside them."
        )
    if len(found.leaderboard) == 1:
        yield "There is one variant: nothing to compare it with."
    tied = found.ties
    if tied is not None and len(tied.members) > 1:
        several = len({run for run, _ in tied.members}) > 1
        names = ["/".join(key) if several else key[1] for key in tied.members]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        shown = ", ".join(names[:NAMED]) + more
        rows = "rows" if tied.split == "all" else f"{tied.split} rows"
        if len(names) == tied.among:
            yield f"95 %: {tied.rows} {rows} cannot tell the {tied.among} variants apart that were scored on all."
        else:
            among = f"the {tied.among} variants scored on all {tied.rows} {rows}"
            yield f"95 %: the best of {among} is among these {len(names)}: {shown}."
    yield from _errors(found, unit)
    seen = found.resolution
    if seen is not None:
        rows = "rows" if seen.split == "all" else f"{seen.split} rows"
        why = (
            f": {seen.variant} and the baseline disagreed on {seen.disagreement:.0%} of them"
            if seen.disagreement
            else ""
        )
        if seen.smallest is not None:
            size = unit.points(seen.smallest)[1:]
            yield f"The smallest difference that {seen.n} {rows} can show (80 % power) is about {size}{why}."
        elif seen.disagreement == 0:
            yield f"{seen.variant} and the baseline score the same on every one of the {seen.n} {rows}."
        else:
            yield f"{seen.n} {rows} cannot show any difference between {seen.variant} and the baseline{why}."


def _read_again(found: Comparison) -> Iterator[str]:
    """Which test rows were read before, and what it costs; each run's p on test pays for it."""
    test = found.differences[(found.differences["split"] == "test") & found.differences["p_adjusted"].notna()]
    for run in dict.fromkeys([*test["against_run"], *test["run"]]):
        yield from reread(found.reads.get(run, 1), run if len(found.runs) > 1 else "")


def _errors(found: Comparison, unit: Unit) -> Iterator[str]:
    """Where calls failed: the shown variant's difference with every missing row counted as 0, and as 1."""
    if found.changes is None:
        return
    own = found.differences[found.differences["errors"] > 0]
    run, variant = found.changes.after
    for row in records(own[(own["run"] == run) & (own["variant"] == variant)]):
        low, high = sorted((row["delta_errors_0"], row["delta_errors_1"]))
        word = "undecided, for its sign depends on them" if low <= 0 <= high else "its sign does not depend on them"
        rows = f"{row['errors']} {row['split']} row{'s are' if row['errors'] > 1 else ' is'} missing (errors)"
        yield f"{rows}: the difference of {variant} is {unit.gap(low)} to {unit.gap(high)} with them; {word}."


def _source(own: Effects, where: str) -> str:
    block = f"{own.variants} variants x {own.rows} dev rows"
    if own.source == "design":
        kind = "a sample of the space" if own.sampled else "the whole space"
        return f"What each choice is worth{where} (design: {block}, {kind})"
    return f"Near the winner{where}: variants that differ in one choice alone (among {block}; it holds only there)"


def _together(own: Effects, unit: Unit) -> Iterator[str]:
    for each in own.interactions:
        pair = " with ".join(f"{s} = {brief(v)}" for s, v in zip(each.slots, each.values, strict=True))
        span = unit.span(each.low, each.high)
        yield f"Together: {pair}: {unit.gap(each.delta)}{span} beyond what each brings alone"
    if own.looked and not own.interactions:
        looked = f"{own.looked} looked at"
        yield f"No two choices bring more or less together than alone, as far as these rows show ({looked})."
    if own.unclear:
        names = ", ".join(f"{slot} = {brief(value)}" for slot, value in own.unclear[:NAMED])
        more = f" and {len(own.unclear) - NAMED} more" if len(own.unclear) > NAMED else ""
        yield f"These variants cannot tell: {names}{more}."


def _carried(each: Transfer, unit: Unit) -> str:
    ranks = "" if each.correlation != each.correlation else f"; ranks agree at {each.correlation:.2f} (Spearman)"
    word = "is within the tie" if each.tied else "does not carry over: it is out of the tie"
    if each.delta == 0:
        gap = "it is level with the best there"
    else:
        gap = f"{unit.points(each.delta)}{unit.span(each.low, each.high)} to the best there"
    over = f"{each.variants} variants x {each.rows} dev rows on both"
    return f"{each.best}, the best for {each.model}, {word} on {each.other}: {gap}{ranks}, {over}."


def _spread(each: Spread, unit: Unit) -> str:
    what = f"{short(each.slot)} alone" if each.kind == "demos" else f"the wording of {each.slot}"
    mean, most, luck = (unit.points(value)[1:] for value in (each.mean, each.most, each.luck))
    groups = f"{each.groups} group{'s' * (each.groups > 1)} of otherwise equal variants"
    return (
        f"Stability: {what} moves the score by {mean} on average, {most} at most, over {groups} on about {each.rows} "
        f"rows (luck alone would move it by {luck})."
    )


def _noise(each: Repeats, unit: Unit) -> str:
    again = f"{each.variants} variants, {each.rows} rows, up to {each.repeats} times"
    floor = unit.points(each.floor)[1:]
    told = f"{each.changed:.1%} of answers change; the same prompt differs by ±{floor} from one time to the next"
    return f"Asked again ({again}): {told}."


def _confused(found: Comparison) -> Iterator[str]:
    worst = [f"{want} as {got or 'none of them'} ({n})" for want, got, n in found.labels.confused[:5]]
    if worst:
        yield f"Confused most: {', '.join(worst)}."


def json_of(found: Comparison, judged: Gated | None) -> dict[str, Any]:
    """Everything, for programs."""
    changes = found.changes
    return {
        "leaderboard": records(found.leaderboard),
        "differences": records(found.differences),
        "best": _key(found.best),
        "against": _key(found.against),
        "ties": None if found.ties is None else asdict(found.ties),
        "resolution": None if found.resolution is None else asdict(found.resolution),
        "runs": {run: _of_run(own) for run, own in found.runs.items()},
        "repeats": None if found.repeats is None else asdict(found.repeats),
        "changes": None if changes is None else asdict(changes) | {"fixed": changes.fixed, "broken": changes.broken},
        "classes": [asdict(each) for each in found.classes],
        "confusion": found.confusion,
        "confused": found.labels.confused,
        "majority": found.majority,
        "notes": found.notes,
        "judges": found.judges,
        "test_reads": dict(found.reads),
        "seeds": {"resampling": found.seed},
        "gate": None if judged is None else asdict(judged),
    }


def _key(key: tuple[str, str] | None) -> dict[str, str] | None:
    return None if key is None else {"run": key[0], "variant": key[1]}


def _of_run(own: OfRun) -> dict[str, Any]:
    return {
        "effects": asdict(own.effects),
        "spreads": [asdict(each) for each in own.spreads],
        "transfers": [asdict(each) for each in own.transfers],
        "retrieval": None if own.retrieval is None else asdict(own.retrieval),
    }
