"""Tuned models by name: found beside the experiment, asked under their recipe, never answered for by another model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from project import project

from promptlab.choice.tuned import said
from promptlab.embedded import VERSION
from promptlab.embedded.tuned import SHELF
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.metrics.judging import identity
from promptlab.prepare import Prepared, opened
from promptlab.records import Endpoint, Model, Price, Request
from promptlab.retrieve.contents import contents
from promptlab.tune.settings import TuneSettings
from promptlab.tune.tune import tune
from promptlab.tune.tuned import kept, table

SPLIT = {"train": 0.5, "dev": 0.25, "test": 0.25}
NAME = "tuned-small-s1-n12"
OPENAI = TuneSettings("openai", base="small", sizes=(12,))


@pytest.fixture(autouse=True)
def own_shelf() -> Any:
    """Every test is a process of its own, as far as the engine's memory goes."""
    SHELF.clear()
    yield
    SHELF.clear()


def written(folder: Path, **changes: Any) -> Path:
    """An experiment with train rows; its folder is a project of its own."""
    data = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id", "split": SPLIT}
    path = project(folder, 80, **{"data": data, **changes})
    (folder / ".promptlab").mkdir(exist_ok=True)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    made = {"name": NAME, "id": "ft:small:x", "base_url": f"embedded@{VERSION}", "recipe": "a" * 64, "base": "small"}
    return made | {"arm": "fine-tuned", "seed": 1, "rows": 12, "train_tokens": 9, "usd": None} | changes


def listed(folder: Path, *entries: Any) -> None:
    table(folder).parent.mkdir(parents=True, exist_ok=True)
    table(folder).write_text(json.dumps(entries), encoding="utf-8")


def models_of(folder: Path, *sets: str, **changes: Any) -> Mapping[str, Model]:
    return {each.name: each for each in Experiment.load(written(folder, **changes), sets).models}


BARE = Model("small", Endpoint("https://h.test/v1"), "gpt", None, {"top_p": 0.5})


def test_untuned_models_keep_their_keys_and_a_recipe_takes_the_place_of_the_id() -> None:
    body = {"model": "gpt", "messages": [{"role": "user", "content": "é ⟦"}], "temperature": 0}
    plain = Request(BARE, "/chat/completions", body, "1")
    assert plain.key == "33077b501cb51a008025e9632758fbce7724d037136be02b77002b38bca11304"
    loose = Request(BARE, "/chat/completions", {**body, "messages": []}, "1", defaults=("temperature",))
    assert loose.key == "2ead69055fd9d1dcb252973f295f2b050bbf9e0b0052bca435aad64c16170ea1"
    first, second = (Request(replace(BARE, recipe=each), "/chat/completions", body, "1") for each in ("r1", "r2"))
    assert len({plain.key, first.key, second.key}) == 3
    assert plain.content == first.content == second.content, "what is sent stays as it is"
    moved = replace(BARE, recipe="r1", id="gpt-2")
    assert Request(moved, "/chat/completions", {**body, "model": "gpt-2"}, "1").key == first.key


def test_untuned_variants_and_runs_keep_their_ids(tmp_path: Path) -> None:
    """As the version before recipes made them."""
    ready = opened(project(tmp_path, 60))
    assert [ready.space.variant(ready.space.point(number), "x").id for number in (0, 5)] == UNTUNED
    assert ready.identity == "r65860811f6"


UNTUNED = ["vadcfbca5", "vafb70390"]


def made_of(folder: Path, recipe: str) -> Prepared:
    listed(folder, entry(recipe=recipe))
    return opened(written(folder, models=["small", NAME]))


def rewriting(model: Model) -> Any:
    """What stands for a model that writes queries, in the ids of variants."""
    settings: Any = SimpleNamespace(retrieving=(), query=("rewrite",), rerank=(), model=model)
    parts: Any = SimpleNamespace(embedding=(), sources={}, rerankers=())
    return contents(settings, parts, "")["retrieval.query", "rewrite"]


def test_what_is_trained_again_under_one_id_is_another_variant_run_and_judge(tmp_path: Path) -> None:
    first, again = made_of(tmp_path, "a" * 64), made_of(tmp_path, "a" * 64 + "-1")
    assert [each.id for each in first.task.models.values()] == [each.id for each in again.task.models.values()]
    ids = [[made.space.variant(each, "x").id for each in made.space.points()] for made in (first, again)]
    small = [each["model"] == "small" for each in first.space.points()]
    same = [one == other for one, other in zip(*ids, strict=True)]
    assert same == small
    assert first.identity != again.identity
    assert identity(first.task.models[NAME]) != identity(again.task.models[NAME])
    assert rewriting(first.task.models[NAME]) != rewriting(again.task.models[NAME])
    rows, variant = first.rows.dev, next(each for each in first.space.points() if each["model"] == NAME)
    asked = [made.task.prompt(made.space.variant(variant, "x")) for made in (first, again)]
    keys = {each.request(each.messages(rows[0])).key for each in asked}
    assert len(keys) == 2


def test_a_name_brings_id_address_recipe_and_its_bases_parameters(tmp_path: Path) -> None:
    listed(tmp_path, entry())
    base = {"id": "small", "params": {"top_p": 0.5}}
    found = models_of(tmp_path, models=[NAME, base])
    assert list(found) == [NAME, "small"], "in the order of the file"
    made = found[NAME]
    assert (made.id, made.recipe, made.params, made.price) == ("ft:small:x", "a" * 64, {"top_p": 0.5}, Price())
    assert made.endpoint == found["small"].endpoint
    own = {"id": NAME, "price": {"input": 1, "output": 2}, "params": {"temperature": 0.3}}
    made = models_of(tmp_path, models=[base, own])[NAME]
    assert (made.price, made.params) == (Price(1, 2), {"top_p": 0.5, "temperature": 0.3})
    assert models_of(tmp_path, f"models=[small, {NAME}]")[NAME].recipe == "a" * 64
    alone = models_of(tmp_path, models=[NAME])[NAME]
    assert (alone.endpoint.embedded, alone.params) == (True, {})


def test_its_price_is_its_own_else_that_of_tune_and_nobody_guesses_one(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    listed(tmp_path, entry(base_url=url))
    there: dict[str, Any] = {
        "endpoint": {"base_url": url},
        "models": [{"id": "small", "price": {"input": 9, "output": 9}}, NAME],
    }
    assert models_of(tmp_path, **there)[NAME].price is None
    tuned = {"trainer": "openai", "price": {"input": 3, "output": 4, "cached": 1}}
    assert models_of(tmp_path, **there, tune=tuned)[NAME].price == Price(3, 4, 1)
    own = [there["models"][0], {"id": NAME, "price": {"input": 1, "output": 2}}]
    assert models_of(tmp_path, **{**there, "models": own}, tune=tuned)[NAME].price == Price(1, 2)


def test_a_key_goes_to_the_bases_address_alone(tmp_path: Path) -> None:
    here, there = "http://127.0.0.1:9/v1", "http://127.0.0.1:8/v1"
    base = {"id": "m", "name": "small", "base_url": here, "api_key_env": "BASE_KEY"}
    listed(tmp_path, entry(base_url=f"{here}/"))
    assert models_of(tmp_path, models=[base, NAME])[NAME].endpoint.api_key_env == "BASE_KEY"
    listed(tmp_path, entry(base_url=there))
    made = models_of(tmp_path, models=[base, NAME])[NAME].endpoint
    assert (made.base_url, made.api_key_env) == (there, "")
    own = {"id": NAME, "api_key_env": "OWN_KEY"}
    assert models_of(tmp_path, models=[base, own])[NAME].endpoint.api_key_env == "OWN_KEY"
    listed(tmp_path, entry(base_url=here))
    moved = models_of(tmp_path, models=[base, {"id": NAME, "base_url": there}])[NAME].endpoint
    assert (moved.base_url, moved.api_key_env) == (there, "")


def test_whoever_tunes_elsewhere_names_the_recipe(tmp_path: Path) -> None:
    """So a probe, or another experiment, knows the model for the one that it is."""
    model = Model("tuned-m-s1-n9", Endpoint("http://127.0.0.1:9/v1"), "ft:m", Price(1, 2), {"top_p": 0.5}, "r-1")
    assert models_of(tmp_path, models=[said(model)])[model.name] == model
    assert "recipe" not in said(replace(model, recipe=""))


def test_a_name_that_is_not_there_is_a_problem_with_the_nearest_and_the_command(tmp_path: Path) -> None:
    path = written(tmp_path, models=["small", "tuned-small-s1-n21"])
    with pytest.raises(BadInput, match=r"there is no tuned model 'tuned-small-s1-n21'.*`promptlab tune .*yaml` trains"):
        Experiment.load(path)
    listed(tmp_path, entry())
    with pytest.raises(BadInput, match=rf"Did you mean '{NAME}'\?"):
        Experiment.load(path)
    with pytest.raises(BadInput, match="has a name of its own"):
        models_of(tmp_path, models=[{"id": NAME, "name": "mine"}])
    with pytest.raises(BadInput, match="has a recipe of its own"):
        models_of(tmp_path, models=[{"id": NAME, "recipe": "mine"}])
    with pytest.raises(BadInput, match="the embedded engine takes no key"):
        models_of(tmp_path, models=[{"id": NAME, "api_key_env": "K"}])
    with pytest.raises(BadInput, match="there is no tuned model 'tuned-small'"):
        models_of(tmp_path, models=["small", "tuned-small"])
    assert models_of(tmp_path, models=["tuned-llama"])["tuned-llama"].recipe == "", "an endpoint's own"
    served = {"id": "tuned-x-s1-n9", "base_url": "http://127.0.0.1:9/v1"}
    assert models_of(tmp_path, models=[served])["tuned-x-s1-n9"].recipe == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{torn", "it cannot be read"),
        ("\x00\xff", "it cannot be read"),
        ('{"a": 1}', "it holds no list"),
        ("[3]", "item 1 is no mapping"),
        (json.dumps([entry(), entry(name="")]), "item 2 has no 'name'"),
        (json.dumps([entry(recipe=None)]), "item 1 has no 'recipe'"),
        (json.dumps([entry(base_url="file:///etc")]), "base_url that is no address"),
        (json.dumps([entry(usd="much")]), "'usd' that is no number"),
        (json.dumps([entry(hosting_per_hour=-1)]), "'hosting_per_hour' that is no number"),
        (json.dumps([entry(price={"input": 1})]), "'price' that is none"),
        ("[" * 100_000, "it cannot be read"),
    ],
)
def test_a_damaged_list_is_a_plain_error_where_it_is_needed(tmp_path: Path, text: str, why: str) -> None:
    listed(tmp_path)
    table(tmp_path).write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=why) as caught:
        models_of(tmp_path, models=["small", NAME])
    assert caught.value.problems[0].path.endswith("tuned.json")
    assert "promptlab tune" in caught.value.problems[0].remedy
    assert list(models_of(tmp_path)) == ["small"], "who names none does not read it"


def test_a_damaged_list_is_moved_aside_by_the_next_tuning_which_trains_nothing_twice(tmp_path: Path) -> None:
    ready = opened(written(tmp_path))
    (first,) = tune(ready, OPENAI)
    table(tmp_path).write_text("{torn", encoding="utf-8")
    with pytest.raises(BadInput, match="damaged"):
        kept(tmp_path)
    told: list[str] = []
    (again,) = tune(ready, OPENAI, tell=lambda name, line: told.append(line))
    assert (again.model, "queued" in told) == (first.model, False)
    assert [each["name"] for each in kept(tmp_path)] == [NAME]
    assert table(tmp_path).with_name("tuned.json.damaged").exists()


def test_one_model_is_kept_under_a_name_the_last_one(tmp_path: Path) -> None:
    ready = opened(written(tmp_path))
    (first,) = tune(ready, OPENAI)
    (other,) = tune(ready, replace(OPENAI, epochs=4))
    assert (first.model.name, first.recipe != other.recipe) == (other.model.name, True)
    assert [each["recipe"] for each in kept(tmp_path)] == [other.recipe]
    tune(ready, OPENAI)
    assert [each["recipe"] for each in kept(tmp_path)] == [first.recipe]
    (longer,) = tune(ready, replace(OPENAI, sizes=(20,)))
    tune(ready, OPENAI)
    both = [each["recipe"] for each in kept(tmp_path)]
    assert both == [first.recipe, longer.recipe], "the last that was trained is the last"


def test_a_tuned_model_is_known_by_its_id_at_its_address_under_whatever_name(tmp_path: Path) -> None:
    """So it is asked anew once it was trained again under its id, and asked as it was taught."""
    url = "http://127.0.0.1:9/v1"
    listed(tmp_path, entry(id="m", base_url=f"{url}/", recipe="old"), entry(id="m", base_url=url, name="t", recipe="r"))
    own = {"id": "m", "name": "mine", "base_url": url}
    found = models_of(tmp_path, models=["small", own, {**own, "name": "v2", "recipe": "mine"}])
    assert {name: each.recipe for name, each in found.items()} == {"small": "", "mine": "r", "v2": "mine"}
    path = written(tmp_path, models=["small", own])
    loaded = Experiment.load(path, [f"search.meta={json.dumps(own)}"])
    assert (loaded.meta and loaded.meta.recipe, table(tmp_path) in loaded.files) == ("r", True)
    elsewhere = {**own, "base_url": "http://127.0.0.1:8/v1"}
    assert models_of(tmp_path, models=["small", elsewhere])["mine"].recipe == ""
    table(tmp_path).unlink()
    assert models_of(tmp_path, models=["small", own])["mine"].recipe == ""


def test_a_base_is_never_its_own_tuned_model(tmp_path: Path) -> None:
    """Where a trainer gives the base's own name back, the base keeps its keys."""
    listed(tmp_path, entry(id="small"))
    assert models_of(tmp_path, models=["small"])["small"].recipe == ""
    listed(tmp_path, entry(id="small", base="mine"))
    twice = [{"id": "small", "name": "mine"}, {"id": "small", "name": "other"}]
    assert {each.recipe for each in models_of(tmp_path, models=twice).values()} == {""}
