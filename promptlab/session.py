"""One execution of a run: rounds, then test, over a transport; stops for signals and minutes, decides nothing."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from promptlab.allocators import ALLOCATORS
from promptlab.drive import Driver, Halt, Log, Transport
from promptlab.errors import BadInput, Interrupted
from promptlab.final import Choice, choose, reserve, score_test
from promptlab.importing import implementation
from promptlab.meter import Cost, Meter, cap_of, worst_case
from promptlab.mine import Rules, mine
from promptlab.predict import predict
from promptlab.prepare import Prepared
from promptlab.proposers import PROPOSERS
from promptlab.records import Call, Example, Flow, Phase, Prediction, Split, Variant
from promptlab.results import Findings
from promptlab.view import Plan, View


class Watch(Protocol):
    """Who looks on: progress shows, and changes nothing."""

    def opened(self, view: View, plan: Plan, meter: Meter) -> None:
        """A round begins."""

    def landed(self, call: Call) -> None:
        """A call is answered."""

    def closed(self, view: View, plan: Plan, rows: Sequence[Prediction]) -> None:
        """A round is closed."""

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

    def testing(self, choice: Choice, view: View, calls: int) -> None:
        """Shows nothing."""


async def execute(
    prepared: Prepared, run: str, transport: Transport, log: Log, watch: Watch, test_opened: Callable[[], None]
) -> Findings:
    """Search, choose, test. Raises Interrupted, EndpointUnusable or BadInput; every answer is in the log by then."""
    experiment, task, rows = prepared.experiment, prepared.task, prepared.rows
    search = experiment.search
    meter = Meter(cap_of(search.budget))
    halt = Halt()
    driver = Driver(transport, log, meter, halt)
    driver.landed = watch.landed
    held = reserve(task, rows.test, search.repeats, meter.cap)
    _check_reserve(prepared, held(prepared.view()), meter.cap)
    limit = max(model.endpoint.max_errors for model in experiment.models)
    rules = Rules(
        proposers=tuple(
            implementation("proposer", name, PROPOSERS, experiment.folder, options) for name, options in search.propose
        ),
        allocator=implementation("allocator", search.allocate[0], ALLOCATORS, experiment.folder, search.allocate[1]),
        seed=experiment.seed,
        repeats=search.repeats,
        max_errors=limit,
        unit=_unit(prepared),
        reserve=held,
        opened=lambda view, plan: watch.opened(view, plan, meter),
        closed=watch.closed,
    )

    def asking(split: Split, phase: Phase) -> Callable[[Variant, Example, int], Flow[Prediction]]:
        return lambda variant, example, repeat: predict(task, variant, example, repeat, split, phase)

    with _stops(halt, search.budget.minutes):
        found = await mine(prepared.view(), rules, asking("dev", "search"), driver)
        choice = choose(found.view, experiment.seed)
        tested: tuple[Prediction, ...] = ()
        if rows.test:
            test_opened()
            watch.testing(choice, found.view, (1 + len(choice.finalists)) * len(rows.test) * search.repeats)
            tested = await score_test(
                found.view, choice, rows.test, asking("test", "final"), driver, search.repeats, limit
            )
    return Findings(run, engine_of(prepared), task, found, choice, rows.test, tested, experiment.seed)


def engine_of(prepared: Prepared) -> str:
    """What the engine column says: ``embedded`` for the offline engine, else the hosts that answer."""
    names = {"embedded" if m.endpoint.embedded else m.endpoint.host for m in prepared.experiment.models}
    return " ".join(sorted(names))


def _unit(prepared: Prepared) -> Cost:
    """What a call may cost at most before any was made: the baseline on the first dev row."""
    prompt = prepared.task.prompt(prepared.baseline)
    return worst_case(prompt.request(prompt.messages(prepared.rows.dev[0])))


def _check_reserve(prepared: Prepared, held: Cost, cap: Cost) -> None:
    if (held + Cost(1)).within(cap):
        return
    experiment = prepared.experiment
    what = (
        f"the budget cannot pay for the test: {experiment.search.finalists} finalists and the baseline on "
        f"{len(prepared.rows.test)} test rows may take {held.calls:,.0f} calls, {held.tokens:,.0f} tokens, "
        f"${held.usd:,.2f}"
    )
    remedy = "Raise search.budget, lower search.finalists, or use --no-test."
    raise BadInput(experiment.problem(("search", "budget"), what, remedy))


@contextmanager
def _stops(halt: Halt, minutes: float | None) -> Iterator[None]:
    """Minutes and signals stop the run in good order; a second signal ends it at once (the log holds every answer)."""
    loop = asyncio.get_running_loop()
    timer = None
    if minutes is not None:
        text = f"budget.minutes ({minutes:g}) is over. Every answer is kept: run the same command to go on."
        timer = loop.call_later(60 * minutes, halt, Interrupted(text, 4))
    caught: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        text = f"stopped by {number.name}. Every answer is kept: run the same command to go on."
        halt(Interrupted(text, 128 + number))

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
            caught.append(number)
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        for number in caught:
            loop.remove_signal_handler(number)
