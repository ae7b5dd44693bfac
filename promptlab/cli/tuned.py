"""What `promptlab tune` says of its plan, of the models that came of it, and of how to use them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.experiment.sheet import read_sheet
from promptlab.tune.course import losses

if TYPE_CHECKING:
    from promptlab.tune.cost import TuneCost
    from promptlab.tune.plan import TunePlan
    from promptlab.tune.tuned import TunedModel

_PLAIN = re.compile(r"[A-Za-z0-9][\w./-]*")  # what needs no quotes in a list of YAML, numbers aside


def lines(laid: TunePlan) -> list[str]:
    """The plan in words."""
    found = [*laid.notes]
    if laid.settings.trainer == "given":
        return found
    for job in laid.jobs:
        epochs = laid.settings.epochs
        over = "" if epochs is None else f" in {epochs} epoch{'s' * (epochs != 1)}"
        tokens = f"{'' if job.cost.exact else 'about '}{job.cost.train_tokens:,} tokens to train on{over}"
        found.append(f"{job.name}: {_rows(len(job.rows))}, {tokens}{_usd(job.cost.usd)}")
    total: TuneCost = laid.cost
    if total.usd is None:
        found.append("no price is given (`tune.price.train`), so no cost is reckoned.")
    elif len(laid.jobs) > 1:
        found.append(f"{len(laid.jobs)} jobs{_usd(total.usd)} together.")
    if laid.settings.price.hosting_per_hour:
        found.append(f"the tuned model is served at ${laid.settings.price.hosting_per_hour:g} an hour.")
    return found


def about(laid: TunePlan) -> dict[str, str]:
    """How much each job is, by the name of its model."""
    some = (job for job in laid.jobs if job.rows)
    return {job.name: f"{_rows(len(job.rows))}{_usd(job.cost.usd)}" for job in some}


def told(each: TunedModel, *, known: bool = False) -> str:
    """A tuned model in words; ``known``: it was there before."""
    tokens = "" if each.train_tokens is None else f", {each.train_tokens:,} tokens"
    taken = f"{_rows(each.rows)}{tokens}{_usd(each.usd)}{', trained before' * known}"
    lost = losses(each.folder)
    return f"{each.model.name}: {each.model.id}{f' ({taken})' if each.rows else ''}{f'; {lost}' if lost else ''}"


def use(experiment: Path, overrides: Sequence[str], models: Sequence[TunedModel]) -> Iterator[str]:
    """The commands that use the models, as they can be pasted: of each arm that of the first seed and most rows."""
    if not models:
        return
    ordered = sorted(models, key=lambda each: (each.seed, -each.rows))
    best = [next(each for each in ordered if each.arm == arm) for arm in dict.fromkeys(each.arm for each in models)]
    written = read_sheet(_file(experiment), overrides).value.get("models")
    listed = [best[0].base] if written is None else written if isinstance(written, list) else [written]
    names = [each.model.name for each in best]
    more = ", ".join(map(_item, [*(each for each in listed if each not in names), *names]))
    kept = [each for each in overrides if each.partition("=")[0].partition(".")[0] != "models"]
    yield "Use it:"
    yield _command("mine", experiment, [*kept, f"models=[{more}]"])
    yield _command("choose", experiment, overrides)


def _command(name: str, experiment: Path, overrides: Sequence[str]) -> str:
    sets = "".join(f" --set {shlex.quote(each)}" for each in overrides)
    return f"  promptlab {name} {shlex.quote(str(experiment))}{sets}"


def _item(value: object) -> str:
    """An item of `models` in a list of YAML; JSON is YAML."""
    plain = isinstance(value, str) and _PLAIN.fullmatch(value) and not re.fullmatch(r"[\d.eE_x-]*|\W*", value)
    words = ("true", "false", "null", "yes", "no", "on", "off")
    return str(value) if plain and str(value).lower() not in words else json.dumps(value, ensure_ascii=False)


def _file(experiment: Path) -> Path:
    return experiment / "experiment.yaml" if experiment.is_dir() else experiment


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"


def _usd(usd: float | None) -> str:
    return "" if usd is None else f", ${usd:.4g}"
