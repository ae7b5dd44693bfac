"""The tuned models that an experiment has by now: as more of its models, and what training them took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.choice.arm import Tuning
from promptlab.choice.collect import Paid
from promptlab.experiment import Experiment
from promptlab.folder import project_of
from promptlab.prepare import Prepared
from promptlab.records import Model, Price
from promptlab.tune.plan import plan
from promptlab.tune.settings import TuneSettings
from promptlab.tune.tune import kept


@dataclass(frozen=True, slots=True)
class TunedModels:
    """``found`` as tuned.json has them, of the present recipe only; ``why`` there is none."""

    settings: TuneSettings
    found: tuple[Mapping[str, Any], ...] = ()
    why: str = ""

    @property
    def names(self) -> list[str]:
        """What the models are called."""
        return [str(each["name"]) for each in self.found]

    def paid(self, name: str, label_usd: float | None) -> Paid:
        """What the arm of this model takes beside calls; of several seeds one is served, and its training counted."""
        own = next((each for each in self.found if each["name"] == name), None)
        if own is None:
            return Paid(label_usd)
        usd = own.get("usd")
        return Paid(
            label_usd,
            None if usd is None else float(usd),
            Tuning(own.get("rows"), own.get("train_tokens")),
            True,
            self.settings.price.hosting_per_hour or 0.0,
        )


def tuned_models(prepared: Prepared) -> TunedModels:
    """Those that are trained. Raises BadInput where the training rows are wrong."""
    settings: TuneSettings | None = getattr(prepared.experiment, "tune", None)
    if settings is None:
        return TunedModels(TuneSettings(), (), "there is no tuned model: the experiment has no `tune`")
    if settings.trainer == "none":
        return TunedModels(settings, (), "there is no tuned model: `tune.trainer` is none")
    recipes = {job.recipe for job in plan(prepared, settings).jobs}
    found = tuple(each for each in kept(prepared.experiment.folder) if each.get("recipe") in recipes)
    if found and any(model.endpoint.embedded for model in prepared.experiment.models):
        from promptlab.embedded.tuned import SHELF

        SHELF.keep_in(project_of(prepared.experiment.path) / "tuned")  # where `tune` has left what the engine learned
    again = f"promptlab tune {prepared.experiment.path}"
    return TunedModels(settings, found, "" if found else f"its model is not trained yet: {again}")


def as_models(experiment: Experiment, tuned: TunedModels) -> list[dict[str, Any]]:
    """`models` of the file with the tuned ones among them."""
    models = {model.name: model for model in experiment.models}
    return [*map(said, models.values()), *(_tuned(models, each, tuned.settings.price.serve) for each in tuned.found)]


def _tuned(models: Mapping[str, Model], found: Mapping[str, Any], price: Price | None) -> dict[str, Any]:
    """A tuned model under its base's endpoint, or at an address of its own, which gets no key."""
    base = models[str(found["base"])]
    made = said(base) | {"id": found["id"], "name": found["name"]}
    if str(found["base_url"]).rstrip("/") != base.endpoint.identity:
        made["base_url"] = found["base_url"]
        made.pop("api_key_env", None)
    made.pop("price", None)
    return made | ({} if price is None else {"price": _price(price)})


def said(model: Model) -> dict[str, Any]:
    """A model as the file would have it."""
    endpoint = model.endpoint
    return {
        "id": model.id,
        "name": model.name,
        "base_url": "embedded" if endpoint.embedded else endpoint.base_url,
        **({"api_key_env": endpoint.api_key_env} if endpoint.api_key_env else {}),
        **({"price": _price(model.price)} if model.price is not None else {}),
        **({"params": dict(model.params)} if model.params else {}),
    }


def _price(price: Price) -> Mapping[str, float]:
    cached = {} if price.cached is None else {"cached": price.cached}
    return {"input": price.input, "output": price.output, **cached}
