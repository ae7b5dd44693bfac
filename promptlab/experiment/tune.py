"""`tune` of an experiment: who trains which model, on how many rows, at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.endpoint.hidden import flaw
from promptlab.errors import BadInput, nearest
from promptlab.experiment.file import TuneFile
from promptlab.experiment.sheet import Sheet, shown, spelt
from promptlab.records import Model, Price
from promptlab.tune import TRAINERS
from promptlab.tune.placeholders import PLACES, words
from promptlab.tune.settings import TunePrice, TuneSettings
from promptlab.yaml_file import Key

NAME = "tune"
ALL = "all"


def read_tune(sheet: Sheet, file: TuneFile | None, models: Sequence[Model]) -> TuneSettings | None:
    """The settings; None without the key. What needs rows or templates is checked when they are read."""
    if file is None:
        return None
    trainer = file.trainer or "none"
    if trainer not in TRAINERS and ":" not in trainer:
        what = f"`tune.trainer`: there is no trainer {trainer!r}"
        sheet.add((NAME, "trainer"), what, f"{nearest(trainer, TRAINERS)} Or package.module:name.")
    for name in ("command", "given"):
        _belongs(sheet, trainer, name)
    if file.command is not None:
        _command(sheet, file.command)
    return TuneSettings(
        trainer=trainer,
        base=_base(sheet, file, models),
        seeds=tuple(file.seeds or (1,)),
        sizes=_sizes(sheet, file),
        epochs=3 if file.epochs is None else file.epochs,
        template=file.template,
        variant=_variant(sheet, file),
        method="dpo" if file.method == "dpo" else "supervised",
        command=file.command or "",
        given=file.given or "",
        suffix=_suffix(sheet, file.suffix),
        base_url=_address(sheet, file.base_url),
        minutes=24 * 60.0 if file.minutes is None else file.minutes,
        price=_price(sheet, file),
    )


def _belongs(sheet: Sheet, trainer: str, key: str) -> None:
    """A trainer and the key of its name, which says what it needs, go together."""
    given = sheet.given(NAME, key)
    if trainer == key and not given:
        example = '"python train.py {train} {valid} {seed} {out}"' if key == "command" else "ft:…"
        sheet.add((NAME, "trainer"), f"`tune.trainer: {key}` needs `tune.{key}`", f"Like {key}: {example}.")
    elif given and trainer != key and trainer in TRAINERS:
        sheet.add((NAME, key), f"`tune.{key}` belongs to `tune.trainer: {key}`", "Name that trainer, or leave it out.")


def _command(sheet: Sheet, command: str) -> None:
    try:
        words(command, dict.fromkeys(PLACES, ""))
    except BadInput as error:
        for each in error.problems:
            sheet.add((NAME, "command"), each.message, each.remedy)


def _base(sheet: Sheet, file: TuneFile, models: Sequence[Model]) -> str:
    names = [model.name for model in models]
    if file.base_model is not None and names and file.base_model not in names:
        key: Key = (NAME, "base_model")
        sheet.add(key, f"{spelt(key)}: there is no model {file.base_model!r}", nearest(file.base_model, names))
    return file.base_model or next((model.name for model in models if not model.recipe), names[0] if names else "")


def _sizes(sheet: Sheet, file: TuneFile) -> tuple[int | None, ...]:
    found: list[int | None] = []
    for place, each in enumerate(file.sizes or (ALL,)):
        whole = isinstance(each, (int, float)) and not isinstance(each, bool) and each == int(each) and each > 0
        if each != ALL and not whole:
            key: Key = (NAME, "sizes", place)
            what = f"{sheet.name(key)} must be a whole number above 0, or `all`, not {each!r}"
            sheet.add(key, what)
            continue
        found.append(None if each == ALL else int(each))
    return tuple(found) or (None,)


def _variant(sheet: Sheet, file: TuneFile) -> tuple[Mapping[str, Any], ...]:
    """What is taught: slots like the baseline's; of a list, one with passages and one without. Templates tell more."""
    if file.variant is None:
        return ()
    key: Key = (NAME, "variant")
    given = file.variant if isinstance(file.variant, list) else [file.variant]
    if not 1 <= len(given) <= 2 or not all(isinstance(each, dict) for each in given):
        what = f"{spelt(key)} must be slots like those of `baseline`, or a list of two such mappings"
        sheet.add(key, what, "Like variant: {template: NAME, bank.k: 0}.")
        return ()
    if file.template is not None:
        sheet.add((NAME, "template"), "`tune.template` and `tune.variant` say the same", "Leave one of the two out.")
    for place, each in enumerate(given):
        for name, value in each.items():
            where: Key = (*key, *([place] if isinstance(file.variant, list) else []), name)
            if isinstance(value, (dict, list)):
                remedy = "Dots belong to the name: bank.k: 0."
                sheet.add(where, f"{spelt(where)} must be one value, not {shown(value)}", remedy)
    return tuple(given)


def _suffix(sheet: Sheet, suffix: str | None) -> str:
    if suffix is not None and len(suffix) > 64:
        sheet.add((NAME, "suffix"), f"`tune.suffix` must have 64 characters at most, not {len(suffix)}")
    return suffix or ""


def _address(sheet: Sheet, url: str | None) -> str:
    if url is not None and (why := flaw(url)):
        sheet.add((NAME, "base_url"), f"`tune.base_url` is an address {why}", "Like http://127.0.0.1:8000/v1.")
    return url or ""


def _price(sheet: Sheet, file: TuneFile) -> TunePrice:
    price = file.price
    if price is None:
        return TunePrice()
    if (price.input is None) != (price.output is None):
        sheet.add((NAME, "price"), "`tune.price` needs input and output, or neither", "US dollars per million tokens.")
    serve = None
    if price.input is not None and price.output is not None:
        serve = Price(price.input, price.output, price.cached)
    return TunePrice(price.train, serve, price.hosting_per_hour)
