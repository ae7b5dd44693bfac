"""The tuned arm with models that the engine really tuned: trained, asked once for each seed, and told with its cost."""

from __future__ import annotations

from pathlib import Path

from test_choice_run import FEW, sample, table

from promptlab.choice.choose import choose, planned
from promptlab.choice.reason import sentences
from promptlab.experiment.choose import Choose
from promptlab.tune.tune import tune

TUNE = "tune={trainer: openai, base_model: small, seeds: [1, 2], sizes: [all], price: {train: 3.0}}"


def test_a_tuned_arm_is_trained_first_and_then_one_of_the_arms(tmp_path: Path) -> None:
    prepared = sample(tmp_path, "support_intent", TUNE, *FEW, limit=40)
    wish = Choose(arms=("prompt", "prompt+demos", "fine-tuned"), margin=0.1)
    assert [each.left_out[:30] for each in planned(prepared, wish).left_out] == ["its model is not trained yet: "]
    models = tune(prepared, prepared.experiment.tune, yes=True)
    done = choose(planned(prepared, wish))
    assert list(done.runs) == ["prompt", "prompt+demos", "fine-tuned"]
    assert len(done.runs["fine-tuned"]) == 2
    row = table(prepared)[2]
    assert row["arm"] == "fine-tuned"
    assert (row["train_rows"], row["seeds"]) == (str(models[0].rows), "2")
    assert float(row["setup_usd"]) > 0
    assert float(row["update_usd"]) == round(models[0].usd, 6)
    assert "2 seeds" in " ".join(sentences(done.choice))
