"""Which overrides make each arm of the sample experiments, what is left out and why, and how one budget is shared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.choice.arms import Plan, is_tuned, oracled, plans, siblings, with_oracle
from promptlab.choice.budget import overrides, shares
from promptlab.choice.tuned import TunedModels
from promptlab.experiment import Experiment
from promptlab.experiment.choose import ARMS
from promptlab.prepare import Prepared, prepare
from promptlab.records import Budget
from promptlab.tune.settings import TuneSettings

ROOT = Path(__file__).parents[1]


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


def test_tuned_models_make_the_tuned_arms_and_leave_the_others(samples: Path) -> None:
    models = "models=[small, tuned-small-s1-n100, tuned-small-s2-n100]"
    whole = prepared(samples / "support_intent", models)
    found = {plan.arm: plan for plan in plans(whole, ("prompt", "fine-tuned"))}
    assert {point["model"] for point in points(made(whole, found["prompt"]))} == {"small"}
    tuned = {str(point["model"]) for point in points(made(whole, found["fine-tuned"]))}
    assert tuned == {"tuned-small-s1-n100"}  # the other seed is the same recipe: it is asked what the first one picks


def test_models_that_were_tuned_become_models_of_the_tuned_arms_alone(samples: Path) -> None:
    """They answer at their base's endpoint, or at an address of their own, which gets neither its key nor its price."""
    base = "{id: m, price: {input: 1, output: 2}, params: {top_p: 0.5}, api_key_env: KEY, base_url: 'http://h/v1'}"
    whole = prepared(samples / "support_intent", f"models=[{base}]")
    own = {"id": "ft:m:1", "base_url": "http://h/v1", "base": "m", "rows": 50, "train_tokens": 9, "usd": 0.5}
    found = (
        {**own, "name": "tuned-m-s1-n50"},
        {**own, "name": "tuned-m-s2-n50", "id": "ft:m:2"},
        {**own, "name": "tuned-m-s1-n100", "id": "x", "base_url": "http://other/v1"},
    )
    tuned = TunedModels(TuneSettings(), found)
    plan = {each.arm: each for each in plans(whole, ("prompt", "fine-tuned"), tuned)}
    assert "models=" not in "".join(plan["prompt"].overrides)
    arm = made(whole, plan["fine-tuned"])
    assert {point["model"] for point in points(arm)} == {"tuned-m-s1-n50", "tuned-m-s1-n100"}
    assert arm.baseline.slots["model"] == "tuned-m-s1-n50"
    models = {model.name: model for model in arm.experiment.models}
    assert list(models) == ["m", "tuned-m-s1-n50", "tuned-m-s2-n50", "tuned-m-s1-n100"]
    here, there = models["tuned-m-s1-n50"], models["tuned-m-s1-n100"]
    assert (here.id, here.price, here.params, here.endpoint.api_key_env) == ("ft:m:1", None, {"top_p": 0.5}, "KEY")
    assert (there.endpoint.base_url, there.endpoint.api_key_env) == ("http://other/v1", "")
    paid = tuned.paid("tuned-m-s1-n50", 0.1)
    assert (paid.training_usd, paid.tuning.rows, paid.tuning.tokens, paid.tuned) == (0.5, 50, 9, True)


def test_a_choice_without_trained_models_says_how_to_train_them(samples: Path) -> None:
    whole = prepared(samples / "support_intent")
    [plan] = plans(whole, ("fine-tuned",), TunedModels(TuneSettings(), (), "its model is not trained yet: tune"))
    assert plan.left_out == "its model is not trained yet: tune"


def test_siblings_differ_in_their_seed_alone() -> None:
    names = ["small", "tuned-small-s1-n50", "tuned-small-s2-n50", "tuned-small-s1-n100"]
    assert siblings("tuned-small-s1-n50", names) == ["tuned-small-s1-n50", "tuned-small-s2-n50"]
    assert [is_tuned(name) for name in names] == [False, True, True, True]


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
