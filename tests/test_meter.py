"""The budget: the same calls at any concurrency and with any cache, and never a step past a cap."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.drive import Driver, Halt
from promptlab.errors import CallFailed, Interrupted
from promptlab.kept import keep
from promptlab.meter import Cost, Meter, actual, cap_of, worst_case
from promptlab.mine import completed
from promptlab.records import Budget, Call, Completion, Endpoint, Flow, Model, Prediction, Price, Request, Usage

PRICE = Price(input=0.15, cached=0.075, output=0.6)
MODEL = Model("m", Endpoint("http://somewhere/v1"), "m", PRICE)
WIDTHS = (1, 7, 64)
INFINITE = Cost(math.inf, math.inf, math.inf)


@dataclass(frozen=True)
class Cell:
    """A call of a plan: its text (the same text is the same key), its bound and what it really takes."""

    text: str
    limit: int
    used: int
    fails: int = 0

    @property
    def request(self) -> Request:
        return Request(MODEL, "/chat/completions", {"messages": self.text, "max_tokens": self.limit})

    @property
    def usage(self) -> Usage:
        size = len(self.request.content)
        return Usage(tokens_in=size * self.used // 100, tokens_out=self.limit * self.used // 100)


@st.composite
def plans(draw: st.DrawFn) -> list[Cell]:
    texts = draw(st.lists(st.text("ab", max_size=3), min_size=1, max_size=60))
    return [Cell(text, limit=1 + 40 * len(text), used=(31 * len(text) + 17 * text.count("a")) % 101) for text in texts]


@st.composite
def caps(draw: st.DrawFn) -> Cost:
    budget = Budget(
        calls=draw(st.none() | st.integers(1, 30)),
        tokens=draw(st.none() | st.integers(1, 3000)),
        usd=draw(st.none() | st.integers(1, 1500).map(lambda n: n / 1e6)),
    )
    return cap_of(budget)


class Wire:
    """Answers each cell with its usage after a few turns of the loop; fails as often as the cell says."""

    def __init__(self, width: int, cells: Sequence[Cell], seed: int, meter: Meter) -> None:
        self.width, self.meter = width, meter
        self.rng = random.Random(seed)
        self.cells = {cell.request.key: cell for cell in cells}
        self.failed: dict[str, int] = {}
        self.sent: list[str] = []
        self.flying = 0

    async def call(self, request: Request) -> Call:
        cell = self.cells[request.key]
        self.sent.append(cell.text)
        self.flying += 1
        for _ in range(self.rng.randrange(6)):
            await asyncio.sleep(0)
        self.flying -= 1
        if self.failed.setdefault(request.key, 0) < cell.fails:
            self.failed[request.key] += 1
            return Call(request.key, "answer", None, error="HTTP 500")
        done = Completion(cell.text, usage=cell.usage)
        return Call(request.key, "answer", done, usd=PRICE.of(cell.usage))


class Memory(dict[str, Call]):
    def known(self, key: str) -> Call | None:
        return self.get(key)

    found = known

    def record(self, *calls: Call) -> None:
        self.update({call.key: call for call in calls if call.completion})


def asked(cell: Cell) -> Flow[Prediction]:
    row = Prediction("v", cell.text, 0, "dev", "search", "error")
    try:
        yield cell.request
    except CallFailed:
        return row
    return replace(row, status="ok")


def admitted(cells: Sequence[Cell], cap: Cost, width: int, seed: int = 0, log: Memory | None = None) -> list[bool]:
    """Which cells of the plan were answered, as a round asks them; checks that no cap was passed on the way."""

    async def go() -> list[bool]:
        meter = Meter(cap)
        wire = Wire(width, cells, seed, meter)
        driver = Driver(wire, Memory() if log is None else log, meter, Halt())
        driver.landed = lambda _: check(meter.done.within(cap))
        first = await asyncio.wait_for(driver.run(map(asked, cells), keep), 20)
        rows = await completed(driver, lambda place: asked(cells[place]), first, (len(cells), 1.0))
        assert meter.done.within(cap)
        answered = {cell.text: cell for cell, row in zip(cells, rows, strict=True) if row and row.status == "ok"}
        total = sum(
            (actual(Call("", "answer", Completion("", usage=c.usage), PRICE.of(c.usage))) for c in answered.values()),
            Cost(),
        )
        assert meter.done == total
        return [row is not None and row.status == "ok" for row in rows]

    return asyncio.run(go())


def check(holds: bool) -> None:
    assert holds


def sequential(cells: Sequence[Cell], cap: Cost) -> list[bool]:
    """What the design says, with nothing in flight: a cell starts if what precedes it plus its worst case fits."""
    done, known, shut = Cost(), set[str](), False
    found = []
    for cell in cells:
        shut = shut or (cell.text not in known and not (done + worst_case(cell.request)).within(cap))
        if not shut and cell.text not in known:
            known.add(cell.text)
            done += actual(Call("", "answer", Completion("", usage=cell.usage), PRICE.of(cell.usage)))
        found.append(not shut)
    return found


@settings(max_examples=60, deadline=None)
@given(plans(), caps(), st.integers(0, 9))
def test_the_same_calls_are_admitted_at_any_width_and_no_cap_is_ever_passed(
    cells: list[Cell], cap: Cost, seed: int
) -> None:
    for width in WIDTHS:
        assert admitted(cells, cap, width, seed) == sequential(cells, cap)


@settings(max_examples=40, deadline=None)
@given(plans(), caps(), st.sets(st.integers(0, 59)))
def test_a_cache_changes_nothing_about_what_is_admitted(cells: list[Cell], cap: Cost, held: set[int]) -> None:
    log = Memory()
    for cell in (cell for place, cell in enumerate(cells) if place in held):
        usage = cell.usage
        log[cell.request.key] = Call(
            cell.request.key, "answer", Completion("", usage=usage), PRICE.of(usage), cached=True
        )
    assert admitted(cells, cap, 7, 1, log) == sequential(cells, cap)


@settings(max_examples=60, deadline=None)
@given(plans(), caps(), st.sets(st.integers(0, 59)), st.sampled_from(WIDTHS))
def test_a_failed_call_counts_nothing_and_keeps_its_place_for_the_second_try(
    cells: list[Cell], cap: Cost, failing: set[int], width: int
) -> None:
    texts = {cell.text for place, cell in enumerate(cells) if place in failing}
    shaky = [replace(cell, fails=1) if cell.text in texts else cell for cell in cells]
    assert admitted(shaky, cap, width, 2) == sequential(cells, cap)


def test_what_could_not_start_before_a_failed_call_was_asked_again_gets_two_tries_too() -> None:
    cells = [Cell("", 1, 0, fails=1), Cell("aaa", 121, 43, fails=1), Cell("a", 41, 48, fails=1)]
    cap = Cost(math.inf, 156, math.inf)
    assert admitted(cells, cap, 1) == sequential(cells, cap)


def test_a_call_that_fails_for_good_leaves_its_budget_to_the_next_round() -> None:
    cells = [Cell("bad", 10, 50, fails=9), Cell("good", 10, 50)]

    async def go() -> tuple[Cost, Cost]:
        meter = Meter(Cost(2, math.inf, math.inf))
        driver = Driver(Wire(2, cells, 0, meter), Memory(), meter, Halt())
        first = await driver.run(map(asked, cells), keep)
        await completed(driver, lambda place: asked(cells[place]), first, (2, 1.0))
        held = meter.done
        more = [Cell("third", 10, 50), Cell("fourth", 10, 50)]
        driver.transport = Wire(2, more, 0, meter)
        await driver.run(map(asked, more), keep)
        return held, meter.done

    assert asyncio.run(go()) == (actual_of(cells[1]), actual_of(cells[1]) + actual_of(Cell("third", 10, 50)))


def actual_of(cell: Cell) -> Cost:
    return actual(Call("", "answer", Completion("", usage=cell.usage), PRICE.of(cell.usage)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**4)), max_size=30), st.randoms())
def test_dollars_add_up_to_the_same_sum_in_any_order(usages: list[tuple[int, int]], rng: random.Random) -> None:
    costs = [Cost(1, i + o, PRICE.of(Usage(i, o))) for i, o in usages]
    shuffled = rng.sample(costs, len(costs))
    assert sum(costs, Cost()) == sum(shuffled, Cost())
    there_and_back = sum(costs, Cost())
    for cost in shuffled:
        there_and_back -= cost
    assert there_and_back == Cost()


def test_a_budget_of_exactly_so_many_calls_buys_exactly_so_many() -> None:
    cell = Cell("x", 10, 100)
    price = PRICE.of(cell.usage)
    cells = [replace(cell, text=chr(97 + n)) for n in range(20)]
    for width in WIDTHS:
        assert sum(admitted(cells, Cost(math.inf, math.inf, 12 * price), width)) == 12


@pytest.mark.parametrize("budget", [Budget(calls=200), Budget(calls=200, tokens=10**9), Budget(usd=9)])
def test_a_budget_of_calls_keeps_every_seat_filled_also_without_max_tokens(budget: Budget) -> None:
    """The worst case of what is not capped has no bound; it must not make calls wait for each other."""
    limit = {} if budget.tokens is None else {"max_tokens": 9}
    free = replace(MODEL, price=Price(input=0.15))  # its answers cost nothing, however long

    async def go() -> float:
        meter = Meter(cap_of(budget))
        loop = asyncio.get_running_loop()
        area = begun = last = 0.0
        means: list[float] = []

        class Plain:
            width = 8
            flying = 0
            asked = 0

            def step(self, change: int) -> None:
                nonlocal area, begun, last
                now = loop.time()
                begun, last = begun or now, last or now
                area, last = area + self.flying * (now - last), now
                self.flying += change

            async def call(self, request: Request) -> Call:
                self.step(1)
                self.asked += 1
                await asyncio.sleep(0.001 * (1 + int(request.body["messages"]) % 7))
                self.step(-1)
                if self.asked == 150:
                    means.append(area / (last - begun))
                return Call(request.key, "answer", Completion("x"))

        def ask(n: int) -> Flow[None]:
            yield Request(free, "/chat/completions", {"messages": str(n), **limit})

        await Driver(Plain(), Memory(), meter, Halt()).run(map(ask, range(150)), lambda *_: None)
        return means[0]

    assert asyncio.run(go()) > 7


@settings(max_examples=40, deadline=None)
@given(plans(), caps(), st.sampled_from(WIDTHS), st.integers(1, 4))
def test_flows_of_several_calls_never_pass_a_cap_and_never_wait_for_each_other_for_ever(
    cells: list[Cell], cap: Cost, width: int, steps: int
) -> None:
    chains = [[replace(cell, text=f"{cell.text}{step}") for step in range(steps)] for cell in cells]

    def chain(parts: list[Cell]) -> Flow[None]:
        for part in parts:
            yield part.request
            yield asyncio.sleep(0)

    async def go() -> None:
        meter = Meter(cap)
        driver = Driver(Wire(width, [*itertools.chain(*chains)], 3, meter), Memory(), meter, Halt())
        driver.landed = lambda _: check(meter.done.within(cap))
        await asyncio.wait_for(driver.run(map(chain, chains), lambda *_: None), 20)

    asyncio.run(go())


def test_a_spent_budget_is_a_normal_end_and_the_next_plan_is_looked_at_anew() -> None:
    async def go(run: Callable[[Any], Any]) -> None:
        meter = Meter(Cost(math.inf, 200, math.inf))
        large, small = Cell("a", 150, 50), Cell("b", 20, 100)
        driver = Driver(Wire(4, [large, small, replace(large, text="c")], 0, meter), Memory(), meter, Halt())
        first = await driver.run(map(asked, [large, replace(large, text="c"), small]), keep)
        assert [each is not None for each in first] == [True]  # what comes after a refusal does not start either
        second = await driver.run(map(asked, [small]), keep)
        assert [each is not None for each in second] == [True]

    asyncio.run(go(asyncio.run))


def test_real_spending_has_a_stop_of_its_own() -> None:
    """Earlier sessions of the run spent nearly all on calls that this one does not ask again."""
    cell = Cell("x", 10, 100)
    price = worst_case(cell.request).usd

    def go(spent: float) -> None:
        async def run() -> None:
            meter = Meter(Cost(math.inf, math.inf, 10 * price), spent)
            await Driver(Wire(1, [cell], 0, meter), Memory(), meter, Halt()).run([asked(cell)], keep)

        asyncio.run(run())

    go(9 * price)
    with pytest.raises(Interrupted, match="really spent") as caught:
        go(9.5 * price)
    assert caught.value.exit_code == 4


def test_what_is_not_capped_is_unlimited() -> None:
    assert cap_of(Budget()) == INFINITE
    assert cap_of(Budget(calls=3, usd=0.5)) == Cost(3, math.inf, 0.5)
