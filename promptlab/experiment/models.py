"""`endpoint` and `models` of an experiment: who answers, where, at what price, with which parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.embedded import VERSION
from promptlab.errors import nearest
from promptlab.experiment.file import EndpointFile, ModelFile, PriceFile, TunePriceFile
from promptlab.experiment.params import own_params
from promptlab.experiment.sheet import Sheet, spelt
from promptlab.experiment.tuned import model as tuned_model
from promptlab.experiment.tuned import ours, recognised, served, tuned
from promptlab.records import Endpoint, Model, Price
from promptlab.yaml_file import Key


def read_models(
    sheet: Sheet, endpoint: EndpointFile | None, models: list[ModelFile] | None, price: TunePriceFile | None = None
) -> tuple[Model, ...]:
    """Every model with its endpoint. The embedded engine has one model, `small`, if nothing else is said.

    ``price`` is what tuned models cost that do not say it themselves.
    """
    if endpoint is None:
        if not sheet.given("endpoint"):
            remedy = "Write `endpoint: embedded`, or {base_url: https://…/v1, api_key_env: …}."
            sheet.add((), "`endpoint` is missing", remedy)
        endpoint = EndpointFile()
    if models is None and not sheet.given("models"):
        if endpoint.base_url == "embedded":
            models = [ModelFile(id="small")]
        elif sheet.given("endpoint") and not _misread(sheet, endpoint):
            sheet.add(("endpoint",), "`models` is missing", "Name at least one model of this endpoint: models: [ID].")
    files = list(models or ())
    names = {each.name or each.id or "" for each in files}
    kept = {place: about for place, each in enumerate(files) if (about := tuned(sheet, ("models", place), each, names))}
    own = {
        place: made
        for place, each in enumerate(files)
        if place not in kept
        and not (sheet.training and ours(each, names))
        and (made := _model(sheet, ("models", place), each, endpoint))
    }
    bases = {each.name: each for each in reversed(own.values())}
    for place, about in kept.items():
        ground = (bases.get(str(about["base"])), endpoint, price)
        own[place] = _tuned(sheet, ("models", place), files[place], about, ground)
    found: dict[str, Model] = {}
    for place, model in sorted(own.items()):
        if model.name in found:
            message = f"two models are called {model.name!r}"
            sheet.add(("models", place), message, "Give one of them another `name`.")
        else:
            found[model.name] = model
    return recognised(sheet, tuple(found.values()))


def _tuned(
    sheet: Sheet,
    key: Key,
    file: ModelFile,
    about: Mapping[str, Any],
    ground: tuple[Model | None, EndpointFile, TunePriceFile | None],
) -> Model:
    """A model that `promptlab tune` has left, at its base's endpoint, with its parameters."""
    base, default, price = ground
    home = base.endpoint if base else _endpoint(ModelFile(), default, default.base_url or "")
    params = {**(base.params if base else {}), **own_params(sheet, key, file.params)}
    own = _price(sheet, (*key, "price"), file.price) if file.price else None
    made = tuned_model(file, about, home, params, own or served(price))
    if made.endpoint.embedded and file.api_key_env:
        sheet.add((*key, "api_key_env"), "the embedded engine takes no key", "Leave api_key_env out.")
    return made


def _misread(sheet: Sheet, endpoint: EndpointFile) -> bool:
    """Whether the address is there and wrong: then nobody knows whether models are needed."""
    written = sheet.value.get("endpoint")
    return endpoint.base_url is None and (not isinstance(written, dict) or sheet.given("endpoint", "base_url"))


def read_meta(
    sheet: Sheet,
    endpoint: EndpointFile | None,
    file: ModelFile | None,
    models: Sequence[Model],
    key: Key = ("search", "meta"),
) -> Model | None:
    """The model that proposers (or a judge) ask: one of ``models`` by name, or one of its own; else the first one."""
    if file is None:
        return models[0] if models else None
    if file.id is not None:
        default = endpoint or EndpointFile()
        about = tuned(sheet, key, file)
        base = next((each for each in models if about and each.name == about["base"]), None)
        if about:
            return _tuned(sheet, key, file, about, (base, default, None))
        own = _model(sheet, key, file, default)
        return recognised(sheet, (own,), models)[0] if own else None
    known = {model.name: model for model in models}
    if file.name in known:
        return known[file.name]
    if file.name is None:
        sheet.add(key, f"{spelt((*key, 'id'))} is missing", "Name the model as its endpoint does.")
    elif models:
        remedy = f"{nearest(file.name, known)} Or describe another one: {{id: …, base_url: …}}."
        sheet.add(key, f"{spelt(key)}: there is no model {file.name!r}", remedy)
    return None


def _model(sheet: Sheet, key: Key, file: ModelFile, default: EndpointFile) -> Model | None:
    if file.id is None:
        written = sheet.value["models"]
        item = written[int(key[1])] if isinstance(written, list) else written
        if isinstance(item, dict) and item.get("id") is None:
            sheet.add(key, f"{spelt((*key, 'id'))} is missing", "Name the model as its endpoint does.")
        return None
    base_url = file.base_url or default.base_url
    if base_url is None:
        if not sheet.given(*key, "base_url") and not _misread(sheet, default):
            sheet.add(key, f"the model {file.id!r} has no base_url", "Give it one, or give the endpoint one.")
        return None
    if base_url == "embedded" and file.api_key_env:
        sheet.add((*key, "api_key_env"), "the embedded engine takes no key", "Leave api_key_env out.")
    price = _price(sheet, (*key, "price"), file.price) if file.price else None
    params = own_params(sheet, key, file.params)
    free = Price() if base_url == "embedded" else None
    return Model(
        file.name or file.id, _endpoint(file, default, base_url), file.id, price or free, params, file.recipe or ""
    )


def _endpoint(file: ModelFile, default: EndpointFile, base_url: str) -> Endpoint:
    """The default endpoint, or the model's own; a key goes only to the address that it was given for."""
    own = file.base_url is not None and file.base_url != default.base_url
    settings = default.model_dump(exclude_none=True, exclude={"base_url", "api_key_env"})
    address = f"embedded@{VERSION}" if base_url == "embedded" else base_url
    variable = file.api_key_env or ("" if own else default.api_key_env) or ""
    return Endpoint(address, variable, **settings)


def _price(sheet: Sheet, key: Key, file: PriceFile) -> Price | None:
    if file.input is None or file.output is None:
        if not all(sheet.given(*key, name) for name in ("input", "output")):
            sheet.add(key, f"{spelt(key)} needs input and output", "In US dollars per million tokens.")
        return None
    return Price(file.input, file.output, file.cached)
