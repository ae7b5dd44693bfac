"""A search without a wire: a space, rows, what every variant answers on every row, and a meta model by rule.

The rounds, the driver and the budget are the real ones.

made = World(slots=(3, 4), rows=20, calls=133)
search = made.run(proposer, allocator)         # made.views, made.plans: each round's; made.log: every call
again = World(calls=133, log=some_of(made.log)).run(proposer, allocator)      # resumes
"""

from __future__ import annotations

import asyncio
import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from promptlab.bank import Bank
from promptlab.drive import Driver, Halt
from promptlab.errors import CallFailed
from promptlab.meter import Cost, Meter
from promptlab.mine import Rules, Search, mine
from promptlab.records import Call, Completion, Endpoint, Example, Flow, Model, Prediction, Request, Slot, Variant
from promptlab.space import TOKEN, Space
from promptlab.view import Plan, View

MODEL = Model("m", Endpoint("http://nowhere.invalid/v1"), "m")
TEXTS = ("Name ⟦1⟧ now.", "You have named things for years. Name ⟦1⟧, and mind ⟦2⟧.")
WORDS = [
    "please", "carefully", "first", "then", "only", "exactly", "one", "answer", "of",
    "those", "that", "fit", "the", "message", "best", "and", "nothing", "else",
]  # fmt: skip


@dataclass
class World:
    """A space with an open text and demos, rows, what every variant answers on every row, and a meta model.

    The meta model's answers are a function of the request: mostly a text, sometimes one that lost its places, sometimes
    none at all; some of its calls fail, always the same ones.
    """

    slots: tuple[int, ...] = (3, 4)
    rows: int = 20
    calls: float = math.inf
    finalists: int = 3
    truth: Callable[[Variant, Example], float] = lambda v, e: float(zlib.crc32(f"{v.id}{e.id}".encode()) % 3 == 0)
    log: dict[str, Call] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def view(self) -> View:
        shown = (("bank.k", (2,)),)
        slots = (
            Slot("model", "choice", ("m",)),
            Slot("template", "choice", ("t",)),
            *(Slot(f"s{k}", "choice", tuple(range(n))) for k, n in enumerate(self.slots)),
            Slot("task", "choice", ("plain", "expert"), open=True, texts=TEXTS),
            Slot("bank.k", "demos", (0, 2)),
            Slot("bank.seed", "number", (1,), shown),
        )
        space = Space(slots if len(self.slots) > 1 else slots[:-3])
        baseline = space.variant(space.point(0), "baseline")
        labels = ("yes", "no")
        words = ("refund", "parcel", "account", "card")

        def examples(name: str, count: int) -> tuple[Example, ...]:
            return tuple(
                Example(f"{name}{i}", {"x": f"{words[i % 4]} {i} {labels[i % 2]} so"}, labels[i % 2], row=i + 1)
                for i in range(count)
            )

        dev, shape = examples("r", self.rows), (1, self.rows)
        return View(
            space, examples("t", 24), dev, (baseline,), np.full(shape, np.nan), np.zeros(shape, bool), np.ones(1, bool),
            finalists=self.finalists, answers=np.full(shape, None, object), meta=MODEL, bank=Bank(examples("d", 9)),
            predict=lambda variant, example: self.predict(variant, example, 0),
        )  # fmt: skip

    def predict(self, variant: Variant, example: Example, repeat: int) -> Flow[Prediction]:
        try:
            yield Request(MODEL, "/chat/completions", {"v": variant.id, "x": example.id}, draw=str(repeat))
        except CallFailed as failure:
            return Prediction(variant.id, example.id, repeat, "dev", "search", "error", error=str(failure))
        score = self.truth(variant, example)
        answer = example.label if score > 0.5 else f"no. {zlib.crc32(variant.id.encode()) % 3}"
        output = f"because, {answer}"
        return Prediction(variant.id, example.id, repeat, "dev", "search", "ok", answer, score, output=output)

    def answer(self, request: Request) -> Call:
        if request.purpose != "meta":
            return Call(request.key, request.purpose, Completion("yes"))
        drawn = random.Random(request.key)
        asked = str(request.body["messages"][-1]["content"])
        kind = drawn.random()
        if kind < 0.1:
            return Call(request.key, "meta", None, error="HTTP 500")
        tokens = sorted(set(TOKEN.findall(asked)))[: 2 if "⟦2⟧" in asked else 1]
        tokens = tokens[1:] if kind < 0.2 else tokens
        text = " ".join([*drawn.sample(WORDS, 6), *tokens])
        return Call(request.key, "meta", Completion("I do not know." if kind > 0.9 else f"So: <prompt>{text}</prompt>"))

    # the wire and the log
    width = 4

    async def call(self, request: Request) -> Call:
        self.sent.append(request.key)
        await asyncio.sleep(0)
        return self.answer(request)

    def known(self, key: str) -> Call | None:
        call = self.log.get(key)
        return call if call is not None and call.completion is not None else None

    found = known

    def record(self, *calls: Call) -> None:
        self.log |= {call.key: call for call in calls}

    def answered(self, purpose: str) -> int:
        return sum(call.purpose == purpose and call.completion is not None for call in self.log.values())

    def run(self, proposer: Any, allocator: Any, **rules: Any) -> Search:
        def opened(view: View, plan: Plan) -> None:
            self.views.append(replace(view, scores=view.scores.copy(), asked=view.asked.copy(), live=view.live.copy()))
            self.plans.append(plan)
            self.rounds.append(len(self.log))

        async def whole() -> None:
            driver = Driver(self, self, Meter(Cost(self.calls, math.inf, math.inf)), Halt())
            proposers = proposer if isinstance(proposer, tuple) else (proposer,)
            mined = mine(self.view(), Rules(proposers, allocator, opened=opened, **rules), self.predict, driver)
            found.append(await asyncio.wait_for(mined, 60))

        found: list[Search] = []
        asyncio.run(whole())  # what a task returns, asyncio prints in full and throws the text away
        return found[0]


def outcome(search: Search) -> Any:
    return (
        [(v.id, v.origin, v.parents) for v in search.view.variants],
        search.view.scores.tobytes(),
        search.view.live.tolist(),
        sorted(search.fell.items()),
        search.refused,
        sorted(search.view.wrong),
        [(row.variant, row.example, row.score) for row in search.predictions],
    )


def value_of(flow: Flow[Any], world: World | None = None) -> Any:
    """What a flow gives where the world answers; without one it may not ask."""
    step: Any = None
    try:
        request = next(flow)
        while True:
            assert world is not None, "asks a model"
            several = request if isinstance(request, tuple) else (request,)
            calls = [world.answer(each) for each in several if isinstance(each, Request)]
            step = tuple(call.completion or CallFailed(call.error) for call in calls)
            if isinstance(request, tuple):
                request = flow.send(step)
            else:
                request = flow.throw(step[0]) if isinstance(step[0], CallFailed) else flow.send(step[0])
    except StopIteration as stop:
        return stop.value
    except CallFailed:
        return ()
