"""The tuned arm with models that the engine really tuned: trained, asked once for each seed, and told with its cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_choice_run import FEW, sample, table

from promptlab.choice.arm import Tuning
from promptlab.choice.choose import choose, planned
from promptlab.choice.collect import Paid, _known, collect
from promptlab.choice.reason import sentences
from promptlab.choice.tuned import TunedModels, as_models, tuned_models
from promptlab.embedded import VERSION
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.experiment.choose import Choose
from promptlab.prepare import opened
from promptlab.records import Endpoint, Model
from promptlab.tune.settings import TunePrice, TuneSettings
from promptlab.tune.tune import tune
from promptlab.tune.tuned import kept
from promptlab.tune.tuned import table as list_of

TUNE = "tune={trainer: openai, base_model: small, seeds: [1, 2], sizes: [all], price: {train: 3.0}}"


def test_a_tuned_arm_is_trained_first_and_then_one_of_the_arms(tmp_path: Path) -> None:
    prepared = sample(tmp_path, "support_intent", TUNE, *FEW, limit=40)
    wish = Choose(arms=("prompt", "prompt+demos", "fine-tuned"), margin=0.1)
    assert [job.name for job in tuned_models(prepared).missing] == ["tuned-small-s1-n80", "tuned-small-s2-n80"]
    done = choose(planned(prepared, wish))
    own = kept(prepared.experiment.folder)
    assert tuned_models(prepared).missing == ()
    assert list(done.runs) == ["prompt", "prompt+demos", "fine-tuned"]
    assert len(done.runs["fine-tuned"]) == 2
    row = table(prepared)[2]
    assert row["arm"] == "fine-tuned"
    assert (row["train_rows"], row["seeds"]) == (str(own[0]["rows"]), "2")
    first, second = (json.loads((run.folder / "manifest.json").read_text()) for run in done.runs["fine-tuned"])
    assert (second["list_usd"], float(row["setup_usd"])) == (0, round(first["list_usd"] + own[0]["usd"], 6))
    assert float(row["update_usd"]) == round(own[0]["usd"], 6)
    assert "2 seeds" in " ".join(sentences(done.choice))
    unknown = collect("fine-tuned", done.runs["fine-tuned"], Paid(0.1))
    assert (unknown.setup.usd, unknown.update_usd) == (None, None), "who tuned it elsewhere is not said to be free"


def test_what_is_trained_missing_and_taught_is_told_arm_by_arm(tmp_path: Path) -> None:
    prepared = sample(tmp_path, "support_intent", TUNE, *FEW)
    bare = tuned_models(prepared)
    assert (bare.names, bare.of("fine-tuned"), len(bare.missing)) == ([], [], 2)
    assert "not trained yet: promptlab tune" in bare.why
    settings = prepared.experiment.tune
    first, _ = tune(prepared, settings, planned=None)
    one = list(kept(prepared.experiment.folder))[:1]
    list_of(prepared.experiment.folder).write_text(json.dumps(one), encoding="utf-8")
    found = tuned_models(prepared)
    assert (found.of("fine-tuned"), found.of("fine-tuned+rag"), found.why) == ([first.model.name], [], "")
    assert [job.name for job in found.missing] == ["tuned-small-s2-n80"]
    taught = found.taught("fine-tuned")
    assert taught == {name: value for name, value in prepared.baseline.slots.items() if name != "model"}
    assert found.taught("fine-tuned+rag") is None
    given = TunedModels(TuneSettings("given"), ({"name": "tuned-small", "arm": ""},))
    assert given.of("fine-tuned") == given.of("fine-tuned+rag") == ["tuned-small"]
    again = Experiment.load(prepared.experiment.path, ["models=" + json.dumps(as_models(prepared.experiment, found))])
    assert [(each.name, each.recipe) for each in again.models] == [("small", ""), (first.model.name, first.recipe)]
    twice = tuned_models(replace(prepared, experiment=replace(prepared.experiment, models=again.models)))
    assert as_models(again, twice) == as_models(prepared.experiment, found), "what is named already is there once"
    list_of(prepared.experiment.folder).write_text("{torn", encoding="utf-8")
    with pytest.raises(BadInput, match="damaged"):
        tuned_models(prepared)


def test_a_price_that_was_added_after_tuning_is_used() -> None:
    own = {"name": "t", "recipe": "r-1", "rows": 5, "train_tokens": 2_000_000, "usd": None}
    bare = TunedModels(TuneSettings("openai"), (own, {**own, "name": "old", "usd": 7.0}))
    assert [bare.paid(name, None).training_usd for name in ("t", "old")] == [None, 7.0]
    priced = replace(bare, settings=TuneSettings("openai", price=TunePrice(train=3.0)))
    assert [priced.paid(name, 0.1).training_usd for name in ("t", "old")] == [6.0, 6.0]
    assert priced.paid("other", 0.1).tuned is False


ENTRY = {"name": "tuned-small-s1-n12", "id": "ft:small:x", "base_url": f"embedded@{VERSION}", "recipe": "a" * 64,
         "base": "small", "arm": "fine-tuned", "seed": 1, "rows": 12, "train_tokens": 2_000_000, "usd": 6.0,
         "price": {"input": 1.0, "output": 2.0, "cached": None}, "hosting_per_hour": 2.0}  # fmt: skip


@pytest.mark.parametrize("tune", ["tune={trainer: none}", "tune={trainer: openai, sizes: [12], epochs: 7}"])
def test_what_a_named_model_took_is_known_whatever_tune_says_by_now(tmp_path: Path, tune: str) -> None:
    """Also where there is no `tune`, and under another name."""
    sample(tmp_path, "support_intent")
    home = tmp_path / "experiments" / "support_intent"
    list_of(home).parent.mkdir(parents=True)
    list_of(home).write_text(json.dumps([ENTRY]), encoding="utf-8")
    raw = {"id": ENTRY["id"], "name": "mine"}
    for named, name in ((ENTRY["name"], ENTRY["name"]), (raw, "mine")):
        prepared = opened(home / "experiment.yaml", [tune, f"models={json.dumps(['small', named])}"])
        paid = tuned_models(prepared).paid(name, 0.1)
        assert (paid.tuned, paid.training_usd, paid.hosting_per_hour) == (True, 6.0, 2.0)
        assert paid.tuning == Tuning(12, 2_000_000)
        assert tuned_models(prepared).paid("small", 0.1) == Paid(0.1)
        bare = replace(prepared, experiment=replace(prepared.experiment, tune=None))
        assert tuned_models(bare).paid(name, 0.1) == paid
    dearer = replace(tuned_models(prepared), settings=TuneSettings(price=TunePrice(train=5.0, hosting_per_hour=0.0)))
    assert (dearer.paid("mine", 0.1).training_usd, dearer.paid("mine", 0.1).hosting_per_hour) == (10.0, 0.0)


def test_what_no_price_would_tell_is_said_to_be_unknown() -> None:
    """Of a model that was given nobody knows what it was trained on."""
    given = {"name": "tuned-small", "recipe": "r", "rows": None, "train_tokens": None, "usd": None}
    job = {**given, "name": "t", "rows": 9, "train_tokens": 100}
    for price in (TunePrice(), TunePrice(train=3.0)):
        known = TunedModels(TuneSettings("given", price=price), (given, job))
        assert known.paid("tuned-small", None).unknown == "what the training of tuned-small cost is not known"
    assert TunedModels(TuneSettings("openai"), (job,)).paid("t", None).unknown == "`tune.price.train` is not given"
    uncounted = TunedModels(TuneSettings("openai", price=TunePrice(train=3.0)), ({**job, "train_tokens": None},))
    assert uncounted.paid("t", None).unknown == "what the training of t cost is not known"


def test_a_tuned_arm_is_never_free_whoever_tuned_its_model() -> None:
    """One that was tuned elsewhere, and is named with a recipe of its own, or like one of ours."""
    bare = Model("tuned-small-s1-n9", Endpoint("https://h.test/v1"), "ft")
    told = "what the training of tuned-small-s1-n9 cost is not known"
    assert _known("fine-tuned", bare, Paid(0.1)) == Paid(0.1, tuned=True, unknown=told)
    assert _known("prompt", replace(bare, recipe="v2"), Paid()).tuned
    assert _known("prompt", bare, Paid(0.1)) == Paid(0.1)
    paid = Paid(0.1, 3.0, tuned=True)
    assert _known("fine-tuned", bare, paid) == paid
