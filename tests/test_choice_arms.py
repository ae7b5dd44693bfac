"""Which overrides make each arm of the sample experiments, what is left out and why, and how one budget is shared."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.choice.arms import Plan, alone, is_tuned, oracled, plans, siblings, with_oracle
from promptlab.choice.budget import overrides, shares
from promptlab.choice.tuned import TunedModels, tuned_models
from promptlab.embedded.tuned import SHELF
from promptlab.experiment import Experiment
from promptlab.experiment.choose import ARMS
from promptlab.prepare import Prepared, prepare
from promptlab.records import Budget
from promptlab.tune.settings import TuneSettings
from promptlab.tune.tune import tune

ROOT = Path(__file__).parents[1]
TUNED = "tune={trainer: openai, epochs: 1, seeds: [1, 2], price: {train: 3}}"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for name in ("experiments", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("runs", ".promptlab"))
    return folder / "experiments"


def prepared(path: Path, *sets: str) -> Prepared:
    return prepare(Experiment.load(path, sets))


def made(whole: Prepared, plan: Plan) -> Prepared:
    experiment = whole.experiment
    return prepare(Experiment.load(experiment.path, (*experiment.overrides, *plan.overrides)))


def points(arm: Prepared) -> list[dict[str, object]]:
    return [dict(point) for point in arm.space.points()]


def test_every_point_of_an_arm_is_one_of_it_and_so_is_its_baseline(samples: Path) -> None:
    whole = prepared(samples / "product_qa")
    found = {plan.arm: plan for plan in plans(whole, ARMS)}
    assert [name for name, plan in found.items() if not plan.left_out] == ["prompt", "prompt+demos", "rag", "rag+demos"]
    for name in ("prompt", "prompt+demos", "rag", "rag+demos"):
        arm = made(whole, found[name])
        every = [*points(arm), dict(arm.baseline.slots)]
        assert len(every) > 1
        for point in every:
            assert (point.get("bank.k", 0) != 0) == ("demos" in name), point
            retrievers = {point.get("retrieval.retriever", "none")}
            assert retrievers <= ({"bm25", "hybrid"} if "rag" in name else {"none"}), point
            assert arm.space.variant(point, "x").method == ("rag" if "rag" in name else "prompting")


def test_oracle_and_wrong_are_for_diagnosis_and_never_an_arm(samples: Path) -> None:
    whole = prepared(samples / "product_qa", "retrieval.retriever=[none, oracle, wrong]")
    left = {plan.arm: plan.left_out for plan in plans(whole, ARMS)}
    assert "names no retriever but none, oracle, wrong" in left["rag"]


def test_the_oracle_run_is_one_variant_with_the_right_passages(samples: Path) -> None:
    whole = prepared(samples / "product_qa")
    assert oracled(whole.experiment)
    [rag] = plans(whole, ("rag",))
    arm = made(whole, rag)
    slots = next(iter(arm.space.points()))
    oracle = prepare(Experiment.load(whole.experiment.path, (*rag.overrides, *with_oracle(arm, slots))))
    assert oracle.space.size == 1
    assert oracle.baseline.slots["retrieval.retriever"] == "oracle"
    assert {name: oracle.baseline.slots[name] for name in ("template", "task")} == {
        name: slots[name] for name in ("template", "task")
    }


def test_arms_that_an_experiment_cannot_have_are_left_out_with_the_reason(samples: Path) -> None:
    left = {plan.arm: plan.left_out for plan in plans(prepared(samples / "support_intent"), ARMS)}
    assert left["prompt"] == left["prompt+demos"] == ""
    assert left["rag"] == left["rag+demos"] == "no template reads `passages`"
    assert "there is no tuned model" in left["fine-tuned"]
    bare = prepared(samples / "support_intent", "bank=null", "space=null", "baseline=null")
    assert {plan.arm: plan.left_out for plan in plans(bare, ("prompt+demos",))} == {
        "prompt+demos": "there is no `bank` with a k above 0"
    }


def test_no_demos_are_an_arm_where_the_bank_names_no_zero(samples: Path) -> None:
    whole = prepared(samples / "support_intent", "bank.k=[4, 8]", "baseline=null")
    [plan] = plans(whole, ("prompt",))
    assert {point["bank.k"] for point in points(made(whole, plan))} == {0}


@pytest.fixture(scope="module")
def trained(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The retrieving sample with its models tuned, both arms, two seeds."""
    folder = shutil.copytree(samples.parent, tmp_path_factory.mktemp("trained") / "own") / "experiments"
    whole = prepared(folder / "product_qa", TUNED)
    assert whole.experiment.tune is not None
    tune(whole, whole.experiment.tune, yes=True)
    yield folder / "product_qa"
    SHELF.clear()


def test_tuned_arms_are_pinned_to_what_was_taught_and_to_their_own_models(trained: Path) -> None:
    """So nothing is asked otherwise than it was trained, and what is left is scored in full: sizes times parameters."""
    whole = prepared(trained, TUNED, "params.temperature=[0, 0.7]")
    found = {plan.arm: plan for plan in plans(whole, ARMS, tuned_models(whole))}
    assert not any(plan.left_out for plan in found.values())
    for name, own in (("fine-tuned", "tuned-small-s1-n12"), ("fine-tuned+rag", "tuned-small-rag-s1-n12")):
        arm = made(whole, found[name])
        assert {point["model"] for point in points(arm)} == {own}
        assert [point["params.temperature"] for point in points(arm)] == [0, 0.7]
        assert arm.baseline.slots["model"] == own
        assert arm.space.holds(arm.baseline)
        assert arm.space.variant(points(arm)[0], "x").method == ("rag+fine-tuning" if "rag" in name else "fine-tuning")
        assert arm.experiment.search.allocate[0] == "full"
        assert arm.experiment.search.finalists == 1
        assert [arm.skews.of(arm.space.variant(point, "x")) for point in points(arm)] == ["", ""]
        assert arm.skewed == []
        assert {model.name for model in arm.experiment.models} >= {own, own.replace("-s1-", "-s2-"), "small"}
        other = alone(arm, {**arm.baseline.slots, "model": own.replace("-s1-", "-s2-")})
        seed = prepare(Experiment.load(trained, (*whole.experiment.overrides, *found[name].overrides, *other)))
        assert seed.space.size == 1
        assert seed.baseline.slots == {**arm.baseline.slots, "model": own.replace("-s1-", "-s2-")}
        assert seed.skewed == []
    assert made(whole, found["fine-tuned+rag"]).experiment.retrieval.looking == ("bm25",), "nothing is embedded"
    assert {point["model"] for point in points(made(whole, found["rag"]))} == {"small"}


def test_tuned_models_that_the_file_names_serve_the_arm_that_they_were_taught_for(trained: Path) -> None:
    models = "models=[small, tuned-small-s1-n12, tuned-small-rag-s1-n12]"
    for known in (True, False):  # as `choose` has them, and in a file without `tune`
        whole = prepared(trained, models, *([TUNED] if known else ["tune=null"]))
        tuned = tuned_models(whole) if known else None
        found = {plan.arm: plan for plan in plans(whole, ("prompt", "fine-tuned", "fine-tuned+rag"), tuned)}
        assert {point["model"] for point in points(made(whole, found["prompt"]))} == {"small"}
        for name, own in (("fine-tuned", "tuned-small-s1-n12"), ("fine-tuned+rag", "tuned-small-rag-s1-n12")):
            assert "models=" not in "".join(found[name].overrides)
            assert {point["model"] for point in points(made(whole, found[name]))} == {own}


def test_where_proposers_write_texts_the_pick_of_a_tuned_arm_can_still_be_asked_of_other_seeds(trained: Path) -> None:
    """Untuned arms may be won by a text that no file can name; a tuned one never leaves what it was taught."""
    whole = prepared(trained, TUNED, 'search.propose=["grid", "corpus"]', "search.design={variants: 5, rows: 10}",
                     "search.allocate=halving")  # fmt: skip
    [plan] = plans(whole, ("fine-tuned",), tuned_models(whole))
    arm = made(whole, plan)
    assert [name for name, _ in arm.experiment.search.propose] == ["grid"]
    assert arm.experiment.search.allocate[0] == "full"
    assert arm.space.size == 1
    assert alone(arm, arm.baseline.slots)


def test_a_tuned_arm_has_no_demos_where_the_bank_names_no_zero(trained: Path) -> None:
    whole = prepared(trained, TUNED, "bank.k=[2]", "space=null", "baseline={template: qa/closed_book}")
    [plan] = plans(whole, ("fine-tuned",), tuned_models(whole))
    assert {point["bank.k"] for point in points(made(whole, plan))} == {0}


def test_holes_that_cover_what_was_taught_leave_the_tuned_arm_as_it_is(trained: Path) -> None:
    hole = "space={exclude: [{template: qa/closed_book, bank.k: 0}, {params.temperature: 0.7}]}"
    whole = prepared(trained, TUNED, "params.temperature=[0, 0.7]", hole, "baseline=null")
    [plan] = plans(whole, ("fine-tuned",), tuned_models(whole))
    assert [point["params.temperature"] for point in points(made(whole, plan))] == [0]


def test_an_arm_that_cannot_be_taught_says_why_and_one_that_is_not_trained_how(trained: Path, samples: Path) -> None:
    whole = prepared(samples / "support_intent", TUNED)
    left = {plan.arm: plan.left_out for plan in plans(whole, ARMS, tuned_models(whole))}
    assert left["fine-tuned"].startswith("its model is not trained yet: promptlab tune ")
    assert left["fine-tuned+rag"] == "no template reads `passages`"
    known = tuned_models(prepared(trained, TUNED))
    part = replace(known, found=tuple(each for each in known.found if each["arm"] == "fine-tuned"), why="")
    [rag] = plans(prepared(trained, TUNED), ("fine-tuned+rag",), part)
    assert rag.left_out.startswith("its model is not trained yet: promptlab tune ")


def test_models_of_which_nobody_knows_what_they_were_taught_leave_their_arms_open(samples: Path) -> None:
    """Models of one's own that are named like tuned ones: every prompt is tried with them."""
    models = "models=[small, {id: big, name: tuned-small-s1-n100}, {id: big, name: tuned-small-s2-n100}]"
    whole = prepared(samples / "support_intent", models)
    found = {plan.arm: plan for plan in plans(whole, ("prompt", "fine-tuned"))}
    assert {point["model"] for point in points(made(whole, found["prompt"]))} == {"small"}
    arm = points(made(whole, found["fine-tuned"]))
    assert {str(point["model"]) for point in arm} == {"tuned-small-s1-n100"}  # the other seed is asked what it picks
    assert {point["template"] for point in arm} == {"intent/plain", "intent/rubric"}


def test_a_choice_without_trained_models_says_how_to_train_them(samples: Path) -> None:
    whole = prepared(samples / "support_intent")
    [plan] = plans(whole, ("fine-tuned",), TunedModels(TuneSettings(), (), "its model is not trained yet: tune"))
    assert plan.left_out == "its model is not trained yet: tune"


def test_siblings_differ_in_their_seed_alone() -> None:
    names = ["small", "tuned-small-s1-n50", "tuned-small-s2-n50", "tuned-small-s1-n100", "tuned-small-rag-s1-n50"]
    assert siblings("tuned-small-s1-n50", names) == ["tuned-small-s1-n50", "tuned-small-s2-n50"]
    assert siblings("tuned-small-rag-s1-n50", names) == ["tuned-small-rag-s1-n50"]
    assert [is_tuned(name) for name in names] == [False, True, True, True, True]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 5000), min_size=1), st.integers(0, 9000))
def test_shares_spend_the_whole_and_what_is_short_is_short_for_all_alike(needs: dict[str, int], whole: int) -> None:
    found = shares(needs, whole)
    assert sum(found.values()) == pytest.approx(whole)
    if sum(needs.values()) <= whole:
        assert all(found[name] >= need - 1e-6 for name, need in needs.items())
    else:
        assert all(found[name] <= need + 1e-6 for name, need in needs.items())
        hungry = [found[name] for name, need in needs.items() if found[name] < need - 1e-6]
        assert max(hungry) - min(hungry) < 1e-6
        assert max(found.values()) <= hungry[0] + 1e-6


def test_a_share_caps_calls_and_an_equal_part_of_the_rest() -> None:
    assert overrides(Budget(calls=900, tokens=1000, usd=2.0, minutes=5), 300.9, 4) == (
        "search.budget.calls=300",
        "search.budget.tokens=250",
        "search.budget.usd=0.5",
    )
    assert overrides(Budget(), None, 4) == ()
