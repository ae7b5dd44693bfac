"""The tuned models that an experiment has by now: as more of its models, and what training them took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.choice.arm import Tuning
from promptlab.choice.collect import NO_PRICE, UNKNOWN, Paid
from promptlab.experiment import Experiment
from promptlab.prepare import Prepared
from promptlab.records import Model, Price
from promptlab.tune.plan import Planned, plan
from promptlab.tune.settings import TuneSettings
from promptlab.tune.skew import shown
from promptlab.tune.tuned import kept, plain


@dataclass(frozen=True, slots=True)
class TunedModels:
    """``found`` as tuned.json has them, of the present recipes only; ``why`` there is none; ``jobs`` as planned now.

    ``named``: by its name in the experiment, what tuned.json has of any other model that is there as a tuned one.
    """

    settings: TuneSettings
    found: tuple[Mapping[str, Any], ...] = ()
    why: str = ""
    jobs: tuple[Planned, ...] = ()
    named: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What the models are called."""
        return [str(each["name"]) for each in self.found]

    @property
    def missing(self) -> tuple[Planned, ...]:
        """The jobs that have brought no model yet."""
        known = {plain(each.get("recipe")) for each in self.found}
        return tuple(job for job in self.jobs if job.recipe not in known)

    def of(self, arm: str) -> list[str]:
        """The models of an arm. One that was given may serve in any: nobody knows what it was taught."""
        return [str(each["name"]) for each in self.found if each.get("arm", arm) in (arm, "")]

    def taught(self, arm: str) -> Mapping[str, Any] | None:
        """The slots that the models of an arm were taught: all but the model and its parameters. None: nobody knows."""
        job = next((each for each in self.jobs if each.arm == arm), None)
        return None if job is None else shown(job.variant.slots)

    def paid(self, name: str, label_usd: float | None) -> Paid:
        """What the arm of this model takes beside calls; of several seeds one is served, and its training counted.

        Prices are those of the experiment's `tune` now, else those of when it was trained.
        """
        own = next((each for each in self.found if each["name"] == name), None) or self.named.get(name)
        if own is None:
            return Paid(label_usd)
        hosting = self.settings.price.hosting_per_hour
        hosting = own.get("hosting_per_hour") if hosting is None else hosting
        tuning = Tuning(own.get("rows"), own.get("train_tokens"))
        return Paid(label_usd, self._usd(own), tuning, True, hosting or 0.0, self._unknown(own))

    def _unknown(self, own: Mapping[str, Any]) -> str:
        """Why nobody knows what its training cost, where nobody does."""
        priced = self.settings.price.train is not None
        # of a model that was given nobody knows what it was trained on, and no price would tell
        return UNKNOWN.format(own["name"]) if priced or own.get("rows") is None else NO_PRICE

    def _usd(self, own: Mapping[str, Any]) -> float | None:
        """What its training cost, at the price that the experiment has now where it has one."""
        price, tokens = self.settings.price.train, own.get("train_tokens")
        if price is not None and tokens is not None:
            return price * float(tokens) / 1e6
        job = next((each for each in self.jobs if each.recipe == plain(own.get("recipe"))), None)
        if price is not None and job is not None:
            return job.cost.usd
        usd = own.get("usd")
        return None if usd is None else float(usd)


def tuned_models(prepared: Prepared) -> TunedModels:
    """Those that are trained. Raises BadInput where the training rows are wrong, or the list of models is damaged."""
    settings: TuneSettings | None = getattr(prepared.experiment, "tune", None)
    named = _named(prepared.experiment)
    if settings is None:
        return TunedModels(TuneSettings(), (), "there is no tuned model: the experiment has no `tune`", named=named)
    if settings.trainer == "none":
        return TunedModels(settings, (), "there is no tuned model: `tune.trainer` is none", named=named)
    jobs = plan(prepared, settings).jobs
    known = {(each["name"], plain(each["recipe"])): each for each in kept(prepared.experiment.folder)}
    found = tuple(known[job.name, job.recipe] for job in jobs if (job.name, job.recipe) in known)
    again = f"promptlab tune {prepared.experiment.path}"
    return TunedModels(settings, found, "" if found else f"its model is not trained yet: {again}", jobs, named)


def _named(experiment: Experiment) -> dict[str, Mapping[str, Any]]:
    """What is kept of the experiment's tuned models, by the names that they have there."""
    tuned = [model for model in experiment.models if model.recipe]
    known = {str(each["recipe"]): each for each in kept(experiment.folder)} if tuned else {}
    return {model.name: known[model.recipe] for model in tuned if model.recipe in known}


def as_models(experiment: Experiment, tuned: TunedModels) -> list[Any]:
    """`models` of the file: those that were not tuned as they are, and the tuned ones by name."""
    return [*(said(model) for model in experiment.models if not model.recipe), *tuned.names]


def said(model: Model) -> dict[str, Any]:
    """A model as the file would have it."""
    endpoint = model.endpoint
    return {
        "id": model.id,
        "name": model.name,
        **({"recipe": model.recipe} if model.recipe else {}),
        "base_url": "embedded" if endpoint.embedded else endpoint.base_url,
        **({"api_key_env": endpoint.api_key_env} if endpoint.api_key_env else {}),
        **({"price": _price(model.price)} if model.price is not None else {}),
        **({"params": dict(model.params)} if model.params else {}),
    }


def _price(price: Price) -> Mapping[str, float]:
    cached = {} if price.cached is None else {"cached": price.cached}
    return {"input": price.input, "output": price.output, **cached}
