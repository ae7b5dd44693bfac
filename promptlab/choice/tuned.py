"""The tuned models that an experiment has by now: as more of its models, and what training them took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.choice.arm import Tuning
from promptlab.choice.collect import Paid
from promptlab.experiment import Experiment
from promptlab.prepare import Prepared
from promptlab.records import Model, Price
from promptlab.tune.plan import Planned, plan
from promptlab.tune.settings import TuneSettings
from promptlab.tune.skew import shown
from promptlab.tune.tuned import kept, plain


@dataclass(frozen=True, slots=True)
class TunedModels:
    """``found`` as tuned.json has them, of the present recipes only; ``why`` there is none; ``jobs`` as planned now."""

    settings: TuneSettings
    found: tuple[Mapping[str, Any], ...] = ()
    why: str = ""
    jobs: tuple[Planned, ...] = ()

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
        """What the arm of this model takes beside calls; of several seeds one is served, and its training counted."""
        own = next((each for each in self.found if each["name"] == name), None)
        if own is None:
            return Paid(label_usd)
        hosting = self.settings.price.hosting_per_hour or 0.0
        return Paid(label_usd, self._usd(own), Tuning(own.get("rows"), own.get("train_tokens")), True, hosting)

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
    if settings is None:
        return TunedModels(TuneSettings(), (), "there is no tuned model: the experiment has no `tune`")
    if settings.trainer == "none":
        return TunedModels(settings, (), "there is no tuned model: `tune.trainer` is none")
    jobs = plan(prepared, settings).jobs
    known = {(each["name"], plain(each["recipe"])): each for each in kept(prepared.experiment.folder)}
    found = tuple(known[job.name, job.recipe] for job in jobs if (job.name, job.recipe) in known)
    again = f"promptlab tune {prepared.experiment.path}"
    return TunedModels(settings, found, "" if found else f"its model is not trained yet: {again}", jobs)


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
