"""Train what a plan lays out, one job per seed and size, and give back models. The same call goes on after a kill."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from promptlab.dataset.split import save
from promptlab.errors import BadInput, EndpointUnusable, Interrupted, Problem
from promptlab.folder import locked, project_of
from promptlab.prepare import Prepared
from promptlab.records import Model, Price
from promptlab.tune.memory import Memory
from promptlab.tune.plan import Planned, TunePlan, plan
from promptlab.tune.settings import TuneSettings
from promptlab.tune.trainer import ENDED, Files, Job, Place, Trainer, Tuned, trainer
from promptlab.tune.tuned import TunedModel, again, forget, keep
from promptlab.waiting import waited

NEEDS_MODEL = ("none",)
"""Trainers whose jobs bring no model."""

Tell = Callable[[str, str], None]
"""Hears of progress: (the tuned model's name, a line)."""


def quiet(name: str, line: str) -> None:
    """Nobody listens."""
    del name, line


def tune(
    prepared: Prepared,
    settings: TuneSettings,
    *,
    yes: bool = False,
    fresh: bool = False,
    tell: Tell = quiet,
    planned: TunePlan | None = None,
) -> tuple[TunedModel, ...]:
    """The tuned models of an experiment. Raises BadInput for all that is wrong before anything is spent.

    An external job is only made with ``yes``. Where one of several jobs fails, the others go on, and then
    EndpointUnusable tells of all that failed; the same call takes up those that are done.
    """
    laid = planned or plan(prepared, settings)
    with ExitStack() as stack:
        place = placed(prepared, laid, stack)
        at_work = trainer(settings.trainer, place)
        if at_work.external and not yes:
            what = f"`tune.trainer: {settings.trainer}` starts {_jobs(len(laid.jobs))} outside of promptlab"
            raise BadInput(Problem(what, remedy="Say --yes once you have seen the rows and the cost."))
        stack.enter_context(locked(laid.folder))
        if prepared.rows.splits and prepared.rows.train:  # rows that come later must not make it dev or test
            save(prepared.experiment.folder / "splits.csv", prepared.rows.splits)
        if fresh:  # what fails now must leave no model of an earlier training standing
            forget(prepared.experiment.folder, [job.recipe for job in laid.jobs])
        try:
            done = waited(lambda: _all(at_work, laid, tell, fresh=fresh))
        except KeyboardInterrupt:
            going = "stopped; what was started goes on. The same command takes it up, --cancel stops it."
            raise Interrupted(going, 130) from None
        if settings.trainer in NEEDS_MODEL:
            return ()
        models = tuple(_model(laid, job, tuned) for job, tuned in zip(laid.jobs, done, strict=True) if not tuned.error)
        keep(prepared.experiment.folder, models)  # while nobody else may: else one of two lists would be lost
    failed = [f"{job.name}: {tuned.error}" for job, tuned in zip(laid.jobs, done, strict=True) if tuned.error]
    if failed:
        more = f" {_jobs(len(models))} succeeded and will not be done again." if models else ""
        raise EndpointUnusable(f"{'; '.join(failed)}.{more}")
    return models


def cancel(prepared: Prepared, settings: TuneSettings) -> tuple[str, ...]:
    """Cancel every job of the plan that was started; a line on each."""
    laid = plan(prepared, settings)

    async def all_of_them(at_work: Trainer) -> tuple[str, ...]:
        try:
            return tuple([f"{job.name}: {await at_work.cancel(_memory(job))}" for job in laid.jobs])
        finally:
            await at_work.close()

    with ExitStack() as stack:
        at_work = trainer(settings.trainer, placed(prepared, laid, stack))
        return waited(lambda: all_of_them(at_work))


def placed(prepared: Prepared, laid: TunePlan, stack: ExitStack) -> Place:
    """Where the trainer works; the embedded engine is served for as long as the stack lasts."""
    endpoint = laid.base.endpoint
    url, key = endpoint.base_url, os.environ.get(endpoint.api_key_env, "") if endpoint.api_key_env else ""
    if endpoint.embedded:
        from promptlab.embedded.server import Server
        from promptlab.embedded.tuned import SHELF

        SHELF.keep_in(project_of(prepared.experiment.path) / "tuned")
        url = stack.enter_context(Server()).base_url
    return Place(laid.base, laid.settings, prepared.experiment.folder, url, key)


async def _all(at_work: Trainer, laid: TunePlan, tell: Tell, *, fresh: bool) -> list[Tuned]:
    """Every job seen through, so many at once as the trainer takes; the first error that ends all ends all."""
    seats = asyncio.Semaphore(max(1, at_work.width))

    async def one(job: Planned) -> Tuned:
        async with seats:
            if fresh:
                await _forgotten(at_work, job, laid.settings, tell)
            return await _through(at_work, job, laid, tell)

    tasks = [asyncio.ensure_future(one(job)) for job in laid.jobs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await at_work.close()


async def _forgotten(at_work: Trainer, job: Planned, settings: TuneSettings, tell: Tell) -> None:
    """What was started and has not ended is stopped, and all that was noted is forgotten."""
    memory = _memory(job)
    begun = any(map(memory.fact, ("job", "making", "process")))
    if not memory.fact("tuned"):
        said = await at_work.cancel(memory)
        if begun:
            tell(job.name, said)
    memory.forget()
    if settings.trainer == "given":  # whoever gave it says that it is another one by now
        memory.begun("")


def _one_of_many(laid: TunePlan) -> bool:
    """Whether a recipe can bring several models. The engine learns the same from the same; a given id is a model."""
    trainer = laid.settings.trainer
    return not (trainer == "given" or (trainer == "openai" and laid.base.endpoint.embedded))


async def _through(at_work: Trainer, planned: Planned, laid: TunePlan, tell: Tell) -> Tuned:
    files: Files = planned.write()
    memory, settings = _memory(planned), laid.settings
    job: Job = await at_work.start(files, planned.seed, memory)
    if _one_of_many(laid):
        memory.begun(job.id.replace(str(files.folder), ""))  # a folder may move, and has its models still
    told, begun = "", time.monotonic()
    most = math.inf if getattr(at_work, "limits", False) else 60 * settings.minutes
    while True:
        for line in (*job.said, *([job.status] if job.status != told else [])):
            tell(planned.name, line)
        told = job.status
        if job.status in ENDED:
            break
        if time.monotonic() - begun > most:
            raise Interrupted(
                f"{planned.name}: the job {job.id} is {job.status} after {settings.minutes:g} minutes "
                "(`tune.minutes`). The same command goes on waiting; --cancel stops it."
            )
        job = await at_work.poll(job, memory)
    ended = job.tuned or Tuned("", status=job.status)
    if job.status == "cancelled":
        return replace(ended, error=f"the job {job.id} was cancelled")
    if job.status == "failed":
        return replace(ended, error=f"the job {job.id} failed: {ended.error or 'nobody says why'}")
    if ended.model_id:
        memory.trained(ended.model_id)
    return ended


def _model(laid: TunePlan, job: Planned, tuned: Tuned) -> TunedModel:
    """The tuned model as one more of the experiment's; its price is what the experiment says, never the base's."""
    base, price = laid.base, laid.settings.price
    endpoint = base.endpoint
    if tuned.base_url and tuned.base_url.rstrip("/") != endpoint.identity:
        endpoint = replace(endpoint, base_url=tuned.base_url, api_key_env="")
    free = Price() if endpoint.embedded else None
    tokens = tuned.train_tokens
    usd = job.cost.usd if tokens is None or price.train is None else price.train * tokens / 1e6
    recipe = again(job.recipe, _memory(job).which)
    model = Model(job.name, endpoint, tuned.model_id, price.serve or free, base.params, recipe)
    about = (base.name, job.arm, job.seed, len(job.rows), tokens, usd, tuned.seconds, job.folder)
    return TunedModel(model, recipe, *about, price.hosting_per_hour)


def _memory(job: Planned) -> Memory:
    return Memory(job.folder / "job.json")


def _jobs(count: int) -> str:
    return f"{count} job{'s' * (count != 1)}"
