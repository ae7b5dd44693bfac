"""The tuned arm with models that the engine really tuned: trained, asked once for each seed, and told with its cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_choice_run import FEW, sample, table

from promptlab.choice.choose import choose, planned
from promptlab.choice.reason import sentences
from promptlab.choice.tuned import TunedModels, as_models, tuned_models
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.experiment.choose import Choose
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
    assert float(row["setup_usd"]) > 0
    assert float(row["update_usd"]) == round(own[0]["usd"], 6)
    assert "2 seeds" in " ".join(sentences(done.choice))


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
