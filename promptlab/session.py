"""One execution of a run: rounds, then test, over a transport; stops for signals and minutes, decides nothing."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol

from promptlab.answered import Answered, answered
from promptlab.drive import Driver, Halt, Log, Transport
from promptlab.errors import Interrupted
from promptlab.final import Choice, choose, score_test
from promptlab.findings import Findings
from promptlab.measured import measured
from promptlab.meter import Cost, Meter, cap_of, worst_case
from promptlab.mine import Rules, mine
from promptlab.pareto import served
from promptlab.predict import predict
from promptlab.prepare import Prepared
from promptlab.records import Call, Example, Flow, Phase, Prediction, Variant
from promptlab.reserve import check_reserve, reserve
from promptlab.shelf import diagnoses
from promptlab.stocked import stocked
from promptlab.view import Plan, View


class Ledger(Log, Protocol):
    """The log, as a whole run needs it."""

    def spent(self) -> float:
        """US dollars that were really spent by earlier sessions of the run."""

    def totals(self) -> Mapping[str, tuple[int, float]]:
        """By purpose, how many requests the run asked for, and what they cost at list price in US dollars."""

    def trace(self, number: int, summary: Mapping[str, Any], asks: Iterable[tuple[Any, ...]]) -> None:
        """Note a closed round."""


class Wire(Transport, Protocol):
    """The transport, as a whole run needs it."""

    def stop(self) -> None:
        """Nothing more is to be sent; what is on the wire may land."""


class Watch(Protocol):
    """Who looks on: progress shows, and changes nothing."""

    def opened(self, view: View, plan: Plan, meter: Meter) -> None:
        """A round begins."""

    def landed(self, call: Call) -> None:
        """A call is answered."""

    def closed(self, view: View, plan: Plan, rows: Sequence[Prediction]) -> None:
        """A round is closed."""

    def preparing(self, what: str, done: int, of: int) -> None:
        """Something is made before the first round: ``done`` of so many."""

    def testing(self, choice: Choice, view: View, calls: int) -> None:
        """Test is opened."""


class Unwatched:
    """Nobody looks on."""

    def opened(self, view: View, plan: Plan, meter: Meter) -> None:
        """Shows nothing."""

    def landed(self, call: Call) -> None:
        """Shows nothing."""

    def closed(self, view: View, plan: Plan, rows: Sequence[Prediction]) -> None:
        """Shows nothing."""

    def preparing(self, what: str, done: int, of: int) -> None:
        """Shows nothing."""

    def testing(self, choice: Choice, view: View, calls: int) -> None:
        """Shows nothing."""


async def execute(
    prepared: Prepared, run: str, transport: Wire, log: Ledger, watch: Watch, test_opened: Callable[[], int]
) -> Findings:
    """Search, choose, test. ``test_opened`` is told when test is read, and says how many runs have read it.

    Raises Interrupted, EndpointUnusable or BadInput; every answer is in the log by then.
    """
    experiment, task, rows = prepared.experiment, prepared.task, prepared.rows
    search = experiment.search
    meter = Meter(cap_of(search.budget), log.spent())
    halt = Halt()
    halt.told = transport.stop
    driver = Driver(transport, log, meter, halt)
    driver.landed = watch.landed
    limit = _limit(prepared)
    rules = _rules(prepared, meter, log, watch)

    def mining(variant: Variant, example: Example, repeat: int) -> Flow[Prediction]:
        phase: Phase = prepared.design.phase(variant, example) if prepared.design else "search"
        return predict(task, variant, example, repeat, "dev", phase)

    def testing(variant: Variant, example: Example, repeat: int) -> Flow[Prediction]:
        return predict(task, variant, example, repeat, "test", "final")

    with _stops(halt, search.budget.minutes):
        await stocked(prepared, driver, watch.preparing, rules.reserve(prepared.start()))
        found = await mine(prepared.start(), rules, mining, driver)
        costs = served(found.view.variants, found.predictions, task.models, search.costs) if search.costs else None
        told = [v for v, each in enumerate(found.view.variants) if diagnoses(each)]
        choice = choose(measured(found.view, task, found.predictions), experiment.seed, costs, told)
        tested: Sequence[Prediction] = ()
        reads = 1
        await asyncio.sleep(0.001)  # minutes and signals that came meanwhile are heard before test is opened
        if rows.test and halt.reason is None:
            reads = test_opened() if choice.finalists else 1  # the baseline alone is compared with nothing
            watch.testing(choice, found.view, (1 + len(choice.finalists)) * len(rows.test) * search.repeats)
            tested = await score_test(found.view, choice, rows.test, testing, driver, search.repeats, limit)
            log.trace(found.view.round, {"phase": "final", "cells": len(tested)}, _asks(tested))
        if halt.reason is not None:
            raise halt.reason
    who = answered(chain(found.predictions, tested))
    engine = engine_of(prepared, who)
    return Findings(
        run, engine, task, found, choice, rows.test, tested, experiment.seed, who.models,
        reads=reads, alone=prepared.test and not rows.test, calls=sum(count for count, _ in log.totals().values()),
    )  # fmt: skip


def _rules(prepared: Prepared, meter: Meter, log: Ledger, watch: Watch) -> Rules:
    """What the experiment says about searching, and who hears of rounds."""
    experiment, task = prepared.experiment, prepared.task
    search = experiment.search
    held = reserve(task, prepared.rows.test, search.repeats, meter.cap)

    def kept(view: View) -> Cost:
        cost = held(view)
        if not meter.done.calls:  # the first variants are known by now, and nothing is spent
            check_reserve(prepared, cost)
        return cost

    def closed(view: View, plan: Plan, scored: Sequence[Prediction]) -> None:
        phase: Phase = "design" if prepared.design and view.round == 1 else "search"
        log.trace(view.round - 1, _summary(phase, view, plan, scored), _asks(scored))
        watch.closed(view, plan, scored)

    return Rules(
        proposers=prepared.proposers,
        allocator=prepared.allocator,
        shares=search.shares,
        design=prepared.design,
        door=prepared.door,
        seed=experiment.seed,
        repeats=search.repeats,
        calls=task.calls,
        max_errors=_limit(prepared),
        unit=_unit(prepared),
        reserve=kept,
        opened=lambda view, plan: watch.opened(view, plan, meter),
        closed=closed,
    )


def _limit(prepared: Prepared) -> float:
    """The share of errors that a round may have."""
    return max(model.endpoint.max_errors for model in prepared.experiment.models)


def _summary(phase: Phase, view: View, plan: Plan, scored: Sequence[Prediction]) -> dict[str, Any]:
    """A closed round in a few figures."""
    ranked = [v for v in view.ranking() if v != 0 and view.asked[v].any()]
    return {
        "phase": phase,
        "variants": len(view.variants),
        "live": int(view.live.sum()),
        "dropped": len(plan.dropped),
        "cells": len(plan.cells),
        "scored": len(scored),
        "errors": sum(row.status == "error" for row in scored),
        "best": view.variants[ranked[0]].id if ranked else None,
    }


def _asks(scored: Sequence[Prediction]) -> Iterator[tuple[Any, ...]]:
    """Which (phase, variant, example, repeat, step) asked for which key."""
    for row in scored:
        for step, call in enumerate(row.calls):
            yield row.phase, row.variant, row.example, row.repeat, step, call.key


def engine_of(prepared: Prepared, who: Answered) -> str:
    """What the engine column says: the hosts that answer, and ``embedded`` for the offline engine, also when served."""
    names = {"embedded" if m.endpoint.embedded else m.endpoint.host for m in prepared.experiment.models}
    return " ".join(sorted(names | {"embedded" for each in who.fingerprints if each.startswith("embedded@")}))


def _unit(prepared: Prepared) -> Cost:
    """What a call may cost at most before any was made: the baseline on the first dev row."""
    prompt = prepared.task.prompt(prepared.baseline)
    return worst_case(prompt.request(prompt.messages(prepared.rows.dev[0])))


@contextmanager
def _stops(halt: Halt, minutes: float | None) -> Iterator[None]:
    """Minutes and signals stop the run in good order; a second signal ends it at once (the log holds every answer)."""
    loop = asyncio.get_running_loop()
    timer = None
    if minutes is not None:
        text = f"budget.minutes ({minutes:g}) is over. Every answer is kept: run the same command to go on."
        timer = loop.call_later(60 * minutes, halt, Interrupted(text, 4))
    before: dict[signal.Signals, Any] = {}

    def stop(number: signal.Signals) -> None:
        for each in before:  # a second signal, whichever, ends it now
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        text = f"stopped by {number.name}. Every answer is kept: run the same command to go on."
        halt(Interrupted(text, 128 + number))

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
