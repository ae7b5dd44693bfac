"""Where an exported prompt comes from, and what was measured of it. No dates: the same run gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from promptlab.artifacts import hashes
from promptlab.endpoint.redact import shown
from promptlab.export.chosen import Chosen
from promptlab.finished import reads_passages, row_chooses
from promptlab.predict import Prompt
from promptlab.results import brief
from promptlab.retrieve.library import Setting
from promptlab.retrieve.query import ORDERS
from promptlab.shelf import JUDGED
from promptlab.version import __version__


def provenance(chosen: Chosen) -> dict[str, Any]:
    """Run, variant, hashes and scores; what was not measured is left out."""
    run, row = chosen.run, chosen.row
    experiment = run.prepared.experiment
    found: dict[str, Any] = {
        "promptlab": __version__,
        "experiment": experiment.name,
        "run": run.id,
        "variant": chosen.variant.id,
        "status": chosen.word,
        "engine": run.findings.engine,
        "slots": {name: _value(value) for name, value in chosen.variant.slots.items()},
        "answer": [each.word for each in chosen.prompts] if chosen.ensemble else chosen.prompts[0].word,
        "hashes": hashes(run),
        "scores": scores(row),
    }
    if looked := [each for each in map(looks_for, chosen.prompts) if each]:
        found["retrieval"] = looked if chosen.ensemble else looked[0]
    if any(prompt.task.bank and "demos" in prompt.template.uses and prompt.variant.slots.get("bank.k") and not
           row_chooses(prompt) for prompt in chosen.prompts):  # fmt: skip
        found["demos"] = (
            "fixed: every row is shown the same, also one that equals a demo (the run would pass that over)"
        )
    if chosen.ensemble:
        weights = zip(chosen.variant.members, chosen.weights, strict=True)
        found["members"] = [
            {"variant": each.id, "weight": weight, "slots": {name: _value(v) for name, v in each.slots.items()}}
            for each, weight in weights
        ]
    return found


def scores(row: Mapping[str, Any]) -> dict[str, Any]:
    """The objective on dev and test with 95 % intervals, and the paired differences to the baseline."""
    fields = {
        "dev": ("dev_n", "dev_score", "dev_low", "dev_high"),
        "dev_against_baseline": ("dev_n", "dev_delta", "dev_delta_low", "dev_delta_high"),
        "test": ("test_n", "test_score", "test_low", "test_high"),
        "test_against_baseline": ("test_n", "delta", "delta_low", "delta_high"),
    }
    found: dict[str, Any] = {}
    for name, columns in fields.items():
        values = [row.get(column) for column in columns]
        if values[1] is not None:
            pairs = zip(("rows", "value", "low", "high"), values, strict=True)
            found[name] = {key: _rounded(value) for key, value in pairs if value is not None}
    if row.get("p_adjusted") is not None:
        found["p_adjusted"] = _rounded(row["p_adjusted"])
    return found


def told(chosen: Chosen) -> list[str]:
    """The same for people: two or three sentences, a line each."""
    run = chosen.run
    lines = [f"{chosen.variant.id}, {chosen.word}, of run {run.id} ({run.prepared.experiment.name})."]
    measured = scores(chosen.row)
    for split in ("dev", "test"):
        if split in measured:
            own, against = measured[split], measured.get(f"{split}_against_baseline")
            line = f"{split}: {_span(own)} on {own['rows']} rows"
            if against and chosen.word != "baseline":
                line += f"; against the baseline {_span(against, sign='+')}"
            lines.append(line + ".")
    if "embedded" in run.findings.engine.split():
        lines.append("The offline engine is no language model: these scores prove the path, never a prompt.")
    lines += [*_asked(chosen), *_takes(chosen)]
    lines += [brief_slots(each.slots) for each in (chosen.variant.members or (chosen.variant,))]
    return lines


def _asked(chosen: Chosen) -> list[str]:
    """Who is asked by which name, where the experiment's name of it is another: a tuned model."""
    models = {prompt.model.name: prompt.model for prompt in chosen.prompts if prompt.model.recipe}
    return [f"{name} is asked as {each.id} at {shown(each.endpoint.identity)}." for name, each in models.items()]


def _takes(chosen: Chosen) -> list[str]:
    """What to tell of passages: an export has no corpus, whoever uses it brings what was found."""
    if not chosen.reads:
        return []
    hand = "hand them in as passages=[{id, text, title}, ...]"
    looked = [each for each in map(looks_for, chosen.prompts) if each]
    if not looked:
        return [f"It shows the passages of a row: {hand}."]
    how = dict.fromkeys(", ".join(f"{name} {_plain(value)}" for name, value in each.items()) for each in looked)
    return [f"It shows retrieved passages ({each}): find them so, and {hand}." for each in how]


def looks_for(prompt: Prompt) -> dict[str, Any]:
    """Where and how the passages of a prompt were found; nothing where it is shown none, or the row's own."""
    shelf = prompt.task.shelf
    if shelf is None or not (prompt.looks and reads_passages(prompt)):
        return {}
    told, setting = shelf.settings, Setting.of(prompt.variant.slots, shelf.settings)
    found: dict[str, Any] = {"corpus": [each if isinstance(each, str) else dict(each) for each in told.corpus]}
    found |= {field.name: getattr(setting, field.name) for field in fields(setting)}
    if setting.retriever in shelf.library.parts.embedding and told.embedding:
        found["embedding"] = told.embedding.id
    if told.model and (setting.rerank == JUDGED or setting.query in ORDERS):
        found["model"] = told.model.id
    return found | ({"max_tokens": told.max_tokens} if told.max_tokens else {})


def _plain(value: Any) -> str:
    """A value in a sentence."""
    if isinstance(value, list):
        return " and ".join(map(_plain, value))
    return str(value["path"]) if isinstance(value, Mapping) else brief(value)


def brief_slots(slots: Mapping[str, Any]) -> str:
    """The slots on one line."""
    return "Slots: " + ", ".join(f"{name}={brief(value)}" for name, value in slots.items())


def _span(found: Mapping[str, Any], sign: str = "") -> str:
    text = f"{found['value']:{sign}.3g}"
    if "low" in found and "high" in found:
        text += f" [{found['low']:{sign}.3g}, {found['high']:{sign}.3g}]"
    return text


def _rounded(value: Any) -> Any:
    """Ten digits: what is the same on every machine."""
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _value(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_value(each) for each in value]
    option = getattr(value, "option", None)
    return value if option is None else {"option": option, "text": str(value)}
