"""Tuned models among `models`: looked up by name in what `promptlab tune` has left beside the experiment."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptlab.embedded import VERSION
from promptlab.errors import BadInput, nearest
from promptlab.experiment.file import ModelFile, TunePriceFile
from promptlab.experiment.sheet import Sheet, spelt
from promptlab.records import Endpoint, Model, Price
from promptlab.tune.tuned import kept, price_of, table
from promptlab.yaml_file import Key

PREFIX = "tuned-"
_SHAPE = re.compile(r"tuned-.+-s\d+-n\d+")


def tuned(sheet: Sheet, key: Key, file: ModelFile, others: Collection[str] = ()) -> Mapping[str, Any] | None:
    """What is kept of the tuned model that an item of `models` names; None if it names another model.

    A name that `promptlab tune` might have given, and has not, is a problem; so is a damaged list. An address of its
    own says that the endpoint itself has a model of such a name. ``others`` are the models named beside it.
    """
    name = file.id or ""
    if not name.startswith(PREFIX):
        return None
    try:
        known = {str(each["name"]): each for each in kept(sheet.folder)}
    except BadInput as error:
        sheet.problems += error.problems
        sheet.wrong.add(str(key[0]))
        return None
    if name in known:
        sheet.files.append(table(sheet.folder))
        for word, own in (("name", name), ("recipe", known[name]["recipe"])):
            if getattr(file, word) not in (None, own):
                what = f"{spelt((*key, word))}: the tuned model {name!r} has a {word} of its own"
                sheet.add((*key, word), what, f"Leave `{word}` out.")
        return known[name]
    if ours(file, others) and not sheet.training:
        near = nearest(name, known)
        remedy = f"{near} `promptlab tune {sheet.path}` trains what its `tune` asks for.".strip()
        sheet.add(key, f"{sheet.name(key)}: there is no tuned model {name!r}", remedy)
    return None


def ours(file: ModelFile, others: Collection[str]) -> bool:
    """Whether `promptlab tune` may give such a name: to a model that it trains, or to one that was given."""
    name = file.id or ""
    return file.base_url is None and bool(_SHAPE.fullmatch(name) or name.removeprefix(PREFIX) in {*others} - {name})


def model(
    file: ModelFile, about: Mapping[str, Any], home: Endpoint, params: Mapping[str, Any], price: Price | None
) -> Model:
    """The tuned model; ``home`` is the endpoint of its base, whose key goes to no other address."""
    address = str(file.base_url or about["base_url"])
    address = f"embedded@{VERSION}" if address.startswith("embedded") else address
    here = address.rstrip("/") == home.identity
    variable = file.api_key_env or (home.api_key_env if here else "")
    endpoint = replace(home, base_url=home.base_url if here else address, api_key_env=variable)
    free = Price() if endpoint.embedded else None
    known = price_of(about) if endpoint.identity == str(about["base_url"]).rstrip("/") else None
    return Model(str(about["name"]), endpoint, str(about["id"]), price or known or free, params, str(about["recipe"]))


def recognised(sheet: Sheet, models: Sequence[Model], bases: Sequence[Model] = ()) -> tuple[Model, ...]:
    """The models, with the recipe of what `promptlab tune` has left under their id at their address, by whatever name.

    Such an id may name another model tomorrow. Where several were left under one id, the last one is what is served;
    a base is never its own tuned model. A list that is damaged is a matter of who names its models by name.
    """
    try:
        left = kept(sheet.folder) if any(not each.recipe for each in models) else ()
    except BadInput:
        return tuple(models)
    known = {(str(each["id"]), str(each["base_url"]).rstrip("/")): each for each in left}
    learning = {each.name: each.id for each in (*bases, *models)}
    made = []
    for each in models:
        about = known.get((each.id, each.endpoint.identity))
        own = about is not None and each.id not in (about["base"], learning.get(str(about["base"])))
        made.append(replace(each, recipe=str(about["recipe"])) if about and own and not each.recipe else each)
        if made[-1] is not each and table(sheet.folder) not in sheet.files:
            sheet.files.append(table(sheet.folder))
    return tuple(made)


def served(price: TunePriceFile | None) -> Price | None:
    """What `tune.price` says of answers."""
    if price is None or price.input is None or price.output is None:
        return None
    return Price(price.input, price.output, price.cached)
