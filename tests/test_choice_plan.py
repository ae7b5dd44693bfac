"""What `choose` tells and refuses before anything is spent: training, shares of the budget, probe, margin, target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_project import write
from test_choice_kill import TUNE
from test_choice_run import FEW, sample

from promptlab.choice.choose import choose, trained, untrained
from promptlab.choice.needs import PROBE, SEEDS
from promptlab.choice.outline import outline
from promptlab.choice.planned import Planned, planned
from promptlab.choice.scale import rates
from promptlab.errors import BadInput, EndpointUnusable
from promptlab.experiment import Experiment
from promptlab.experiment.choose import Choose
from promptlab.prepare import Prepared, prepare

NOWHERE = "http://127.0.0.1:9/v1"
ALL = Choose(arms=("prompt", "prompt+demos", "fine-tuned"))


def small(folder: Path, *sets: str, **changes: object) -> Prepared:
    path = write(folder, NOWHERE, **{"allocate": "full", "budget": "{calls: 1000}", **changes})
    path.write_text(path.read_text() + TUNE)
    return prepare(Experiment.load(path, sets))


def told(plan: Planned) -> str:
    return "\n".join(outline(plan))


def spent(prepared: Prepared) -> list[Path]:
    return sorted((prepared.experiment.folder / "runs").rglob("*")) if prepared.experiment.folder else []


def test_the_plan_says_what_is_trained_what_each_arm_gets_and_why(tmp_path: Path) -> None:
    prepared = small(tmp_path)
    plan = planned(prepared, prepared.experiment.choose)
    lines = told(plan)
    assert "to train first, for fine-tuned: 2 jobs (openai on tiny; seeds 1, 2; 12 rows), about " in lines
    assert "tokens, $0.0" in lines
    assert "arm prompt: 2 variants, at most 333 calls; it can use 120" in lines
    assert "arm fine-tuned: 1 size of training, at most 273 calls; it can use 60" in lines
    assert f"shared alike; what one arm does not need goes to the others; 60 for {SEEDS} are set aside first" in lines
    assert "24 test rows tell the arms apart" in lines
    assert sum(int(share or 0) for share in plan.shares.given.values()) + 60 <= 1000
    assert not spent(prepared)
    short = told(planned(small(tmp_path, "search.budget.calls=310"), prepared.experiment.choose))
    assert "note: prompt and prompt+demos could use more than that; `search.budget.calls: 360` would be enough" in short


def test_an_arm_whose_training_nobody_allows_is_left_out_and_the_others_keep_their_shares(tmp_path: Path) -> None:
    prepared = small(tmp_path, "tune.suffix=my own")
    plan = planned(prepared, prepared.experiment.choose)
    assert plan.training.external
    without = untrained(plan)
    [left] = without.left_out
    command = f"promptlab tune {prepared.experiment.path} --set 'tune.suffix=my own' --yes"
    assert (left.arm, left.left_out.endswith(command)) == ("fine-tuned", True)
    assert f"{command} (its 273 calls are kept for it)" in told(without)
    assert not without.training.jobs
    assert {name: arm.identity for name, arm in without.arms.items()} == {
        name: arm.identity for name, arm in plan.arms.items()
    }


def test_shares_are_the_same_before_and_after_training_and_every_size_meets_every_dev_row(tmp_path: Path) -> None:
    sets = ("tune={trainer: openai, seeds: [1, 2], sizes: [20, 40]}", *FEW, "search.budget.calls=700")
    prepared = sample(tmp_path, "support_intent", *sets, limit=20)
    before = planned(prepared, ALL)
    assert [len(before.training.of(arm)) for arm in before.training.arms] == [4]
    assert not before.training.external
    assert before.shares.needs["fine-tuned"] == 2 * 20 + 2 * 20
    assert list(before.arms) == ["prompt", "prompt+demos"]
    heard: list[str] = []
    done = choose(trained(before, lambda name, line: heard.append(f"{name}: {line}")))
    assert "tuned-small-s2-n40: succeeded" in heard
    after = planned(prepared, ALL)
    assert after.shares == before.shares
    assert not after.training.jobs
    assert {name: arm.identity for name, arm in before.arms.items()} == {
        name: after.arms[name].identity for name in before.arms
    }
    assert len(done.runs["fine-tuned"]) == 2
    view = done.runs["fine-tuned"][0].findings.search.view
    assert {each.slots["model"] for each in view.variants} == {"tuned-small-s1-n20", "tuned-small-s1-n40"}
    assert view.asked.all(), "a point of the learning curve is no point on some of the rows"
    assert len(done.curves["fine-tuned"][0].points) == 2


def test_a_budget_too_small_for_all_arms_is_refused_with_the_arm_and_what_would_do(tmp_path: Path) -> None:
    prepared = small(tmp_path, "search.budget.calls=150")
    with pytest.raises(BadInput, match=r"3 arms share the budget, and the part of prompt is too small.*360 calls are"):
        planned(prepared, prepared.experiment.choose)
    assert not spent(prepared)


def test_capped_dollars_need_a_price_of_the_tuned_models_before_they_are_trained(tmp_path: Path) -> None:
    prepared = small(tmp_path, "search.budget={calls: 1000, usd: 3}", "tune.price={train: 3.0}")
    with pytest.raises(BadInput, match=r"tune\.price.*needs a price for every model, and the tuned ones have none"):
        planned(prepared, prepared.experiment.choose)
    priced = small(tmp_path, "search.budget={calls: 1000, usd: 3}")
    plan = planned(priced, priced.experiment.choose)
    assert plan.arms["prompt"].experiment.search.budget.usd == pytest.approx(
        3 / 4
    )  # two models of one arm are two runs


def test_probe_calls_are_set_aside_and_few_rows_are_told(tmp_path: Path) -> None:
    prepared = small(tmp_path)
    probe = tmp_path / "probe.csv"
    probe.write_text("prompt,answer\n" + "".join(f"Is {n} even?,{'no' if n % 2 else 'yes'}\n" for n in range(40)))
    plan = planned(prepared, replace(prepared.experiment.choose, probe=probe))
    assert plan.shares.aside == {SEEDS: 60, PROBE: 80}
    assert plan.probing.calls == 80
    assert "probe: 40 rows of another task, asked before and after tuning; it takes 100 or more to show" in told(plan)
    untuned = Choose(arms=("prompt", "prompt+demos"), probe=probe)
    assert PROBE not in planned(prepared, untuned).shares.aside


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("question,answer\na,b\n", "no column 'prompt'"),
        ("prompt,label\na,b\n", "no column 'answer'"),
        ("prompt,answer\n", "holds no rows"),
        ("prompt,answer\nsay yes,yes\nsay no,\n", "probe.csv:3: row 2: the label in column 'answer' is empty"),
        ("prompt,answer\nsay yes,yes\n ,no\n", "probe.csv:3: row 2: the prompt is empty"),
        ("prompt,answer\nsay yes,yes\n", "probe.csv:2: a probe of 1 row tells nothing of what was lost"),
        (
            "prompt,answer\nsay yes,yes\nsay it,yes\n",
            "probe.csv: as an off-task probe (`choose.probe`): column 'answer' says",
        ),
    ],
)
def test_a_probe_that_cannot_be_asked_is_refused_before_anything_is_spent(tmp_path: Path, text: str, line: str) -> None:
    prepared = small(tmp_path)
    probe = tmp_path / "probe.csv"
    probe.write_text(text)
    with pytest.raises(BadInput) as error:
        planned(prepared, replace(prepared.experiment.choose, probe=probe))
    assert line in str(error.value)
    assert "probe.csv" in str(error.value)
    assert "the columns prompt (sent as it stands) and answer" in str(error.value)
    assert "runs/probe" not in str(error.value)
    assert not spent(prepared)


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        ("choose.margin=5", "`choose.margin` is 5, and scores go from 0 to 1: every arm would be as good as the best"),
        ("choose.margin=5", "Did you mean 0.05?"),
        ("choose.margin=1", "Did you mean 0.01?"),
        ("choose.target=80", "`choose.target` is 80, and scores go from 0 to 1: no arm could reach it"),
        ("choose.target=80", "Did you mean 0.8?"),
    ],
)
def test_points_and_per_cent_are_no_scores(tmp_path: Path, sets: str, line: str) -> None:
    prepared = small(tmp_path, sets)
    with pytest.raises(BadInput) as error:
        planned(prepared, prepared.experiment.choose)
    assert line in str(error.value)
    assert not spent(prepared)


def test_other_measures_have_their_own_unit_and_a_target_of_1_is_one(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def seconds(example, completion):\n    return 7.0\n")
    own = small(tmp_path, "metrics={main: 'mine:seconds'}", "choose.margin=5", "choose.target=80")
    assert not rates(own.experiment)
    planned(own, own.experiment.choose)
    hundred = small(tmp_path, "search.objective={main: 100}", "choose.margin=5", "choose.target=80")
    planned(hundred, hundred.experiment.choose)
    whole = small(tmp_path, "choose.target=1")
    planned(whole, whole.experiment.choose)


def test_a_margin_of_0_is_told_what_it_means(tmp_path: Path) -> None:
    prepared = small(tmp_path, "choose.margin=0")
    assert "no arm can be shown as good as the best on dev, only better" in told(
        planned(prepared, prepared.experiment.choose)
    )


def test_a_model_that_was_given_is_looked_up_and_makes_no_arm_that_its_base_does_not(tmp_path: Path) -> None:
    prepared = small(tmp_path, "tune={trainer: given, given: 'ft:elsewhere'}", "choose.arms=null")
    plan = planned(prepared, prepared.experiment.choose)
    lines = told(plan)
    assert "to look up first: ft:elsewhere, which was tuned elsewhere" in lines
    assert "arm fine-tuned: its model, at most" in lines
    assert "arm fine-tuned+rag is left out: no template reads `passages`" in lines
    assert plan.shares.needs["fine-tuned"] == plan.shares.needs["prompt"]
    assert not plan.training.external


def test_a_training_that_fails_and_leaves_one_arm_is_no_bad_input_for_something_was_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise EndpointUnusable("tuned-tiny-s1-n12: the job ftjob-1 failed: nobody says why.")

    monkeypatch.setattr("promptlab.choice.training.tune", failing)
    prepared = small(tmp_path, "choose.arms=[prompt, fine-tuned]")
    plan = planned(prepared, prepared.experiment.choose)
    with pytest.raises(EndpointUnusable, match=r"needs two arms at least.*fine-tuned: its training failed: tuned-tiny"):
        trained(plan)
    with pytest.raises(BadInput, match=r"needs two arms at least.*not trained yet, and nobody said that it may be"):
        untrained(plan)
