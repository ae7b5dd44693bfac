"""Ask the few dozen calls of a headroom check: a handful of unlike variants on the first dev rows, paired.

Answers land in the project's cache: the run that follows does not pay for them again. Test is not read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import numpy as np

from promptlab import capabilities
from promptlab.drive import Driver, Halt
from promptlab.errors import BadInput, Interrupted
from promptlab.experiment import missing_keys
from promptlab.folder import LOG, locked, project_of
from promptlab.headroom import Headroom, headroom, unlike
from promptlab.kept import keep, looked_at
from promptlab.meter import Cost, Meter, cap_of
from promptlab.mine import completed, draw, too_many_errors
from promptlab.predict import predict
from promptlab.prepare import Prepared
from promptlab.proposers.random import draw as drawn
from promptlab.records import Budget, Flow, Prediction, Variant
from promptlab.retrieve.pool import quiet
from promptlab.session import Wire
from promptlab.stocked import stocked
from promptlab.store import Store
from promptlab.wire import connect

CALLS = 60  # at most
BESIDE = 4  # variants beside the baseline
DRAWN = 64  # points of the space that these are chosen from
SENTENCE = re.compile(r".+?[.!?:](?=\s)", re.DOTALL)


def probe(prepared: Prepared, calls: int = CALLS) -> Headroom:
    """Score the baseline and a few unlike variants on a prefix of dev, with at most ``calls`` calls.

    Raises BadInput before anything is spent, EndpointUnusable or Interrupted when the same call would go on later.
    """
    experiment = prepared.experiment
    project = project_of(experiment.path)
    problems = [*missing_keys(experiment), *capabilities.problems(experiment, project)]
    if problems:
        raise BadInput(problems)
    folder = project / "headroom" / prepared.identity
    with locked(folder):
        store = Store(folder / LOG, project / "cache.sqlite")
        try:
            found = asyncio.run(_connected(prepared, store, calls))
            store.note("completed", value=True)
        finally:
            store.close()
    return found


async def _connected(prepared: Prepared, store: Store, calls: int) -> Headroom:
    experiment = prepared.experiment
    known = capabilities.read(project_of(experiment.path))
    dialects = {model.endpoint: capabilities.dialects(known, model.endpoint) for model in experiment.asked}
    async with connect(experiment.asked, store, dialects, project_of(experiment.path) / "tuned") as lanes:
        return await measured(prepared, lanes, store, calls)


async def measured(prepared: Prepared, transport: Wire, store: Store, calls: int = CALLS) -> Headroom:
    """The same over a transport that is there already."""
    experiment, task = prepared.experiment, prepared.task
    budget = experiment.search.budget
    most = min(calls, budget.calls) if budget.calls is not None else calls
    variants = [prepared.baseline, *chosen(prepared, min(BESIDE, most // 2 - 1))]
    rows = prepared.rows.dev[: max(1, most // len(variants))]
    halt = Halt()
    halt.told = transport.stop
    finding = len(task.shelf.setup(prepared.rows.dev)) + task.shelf.most(len(variants)) * len(rows) if task.shelf else 0
    cap = cap_of(Budget(most + finding, budget.tokens, budget.usd))
    driver = Driver(transport, store, Meter(cap, store.spent()), halt)
    await stocked(prepared, driver, quiet, Cost())
    cells = [(v, i) for i in range(len(rows)) for v in range(len(variants))]

    def ask(place: int) -> Flow[Prediction]:
        v, i = cells[place]
        return predict(task, variants[v], rows[i])

    limit = max(model.endpoint.max_errors for model in experiment.models)
    first = await driver.run(map(ask, range(len(cells))), keep)
    found = await completed(driver, ask, first, (len(cells), max(limit, 1 / len(cells))))
    kept = [row for row in found if row is not None]
    if not kept:
        raise Interrupted("the budget does not pay for a single call: raise search.budget.")
    too_many_errors(kept, max(limit, 1 / len(cells)))
    scores = np.full((len(variants), len(rows)), np.nan)
    unread = np.zeros(scores.shape, dtype=bool)
    for (v, i), each in zip(cells, found, strict=False):
        if each is not None:
            row = looked_at(each)
            scores[v, i], unread[v, i] = row.score, row.status not in ("ok", "error")
    return headroom(scores, unread, experiment.seed)


def chosen(prepared: Prepared, count: int) -> list[Variant]:
    """At most ``count`` variants beside the baseline that send something else, as unlike one another as can be.

    The shortest and the longest prompt among seeded draws of the space and the baseline's open texts cut to their first
    sentence; then those that differ in most slots.
    """
    view, experiment = prepared.view(), prepared.experiment
    points = list(drawn(DRAWN, view, draw(experiment.seed, "headroom", 0), "headroom"))
    sizes: dict[str, int] = {}
    told = {_sent(prepared, prepared.baseline)[0]}
    new: list[Variant] = []
    for variant in (*_cut(prepared), *points):
        key, size = _sent(prepared, variant)
        if key not in told:
            told.add(key)
            sizes[variant.id] = size
            new.append(variant)
    if count < 1 or not new:
        return []
    ends = sorted(new, key=lambda each: sizes[each.id])
    extremes = list({each.id: each for each in (ends[0], ends[-1])}.values())[:count]
    rest = [each for each in new if each not in extremes]
    return [*extremes, *unlike(prepared.baseline, rest, count - len(extremes))]


def _sent(prepared: Prepared, variant: Variant) -> tuple[str, int]:
    """The key of what a variant sends for the first dev row, and its bytes."""
    prompt = prepared.task.prompt(variant)
    request = prompt.request(prompt.messages(prepared.rows.dev[0]))
    return request.key, len(request.content)


def _cut(prepared: Prepared) -> Iterator[Variant]:
    """The baseline with each open text cut to its first sentence, where that is not all of it."""
    space, base = prepared.space, prepared.baseline
    for slot in space.open_slots(base):
        first = SENTENCE.match(space.text(base, slot.name))
        variant = space.rewritten(base, slot.name, first[0], "headroom", (base.id,)) if first else None
        if variant is not None:
            yield variant
