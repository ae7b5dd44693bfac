"""Which model a recipe names: what was trained anew is another one, and moves with its folder; kept with its prices."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_tuned_models import OPENAI, models_of, own_shelf, written
from tune_server import HASTY, TuneServer

from promptlab.errors import BadInput, EndpointUnusable
from promptlab.folder import locked
from promptlab.prepare import Prepared, opened
from promptlab.records import Price
from promptlab.tune.jobs import Jobs
from promptlab.tune.memory import Memory
from promptlab.tune.plan import plan
from promptlab.tune.settings import TunePrice, TuneSettings
from promptlab.tune.tune import tune
from promptlab.tune.tuned import keep, kept, plain, table

__all__ = ["own_shelf"]


def test_a_mark_tells_trainings_apart_and_goes_with_the_notes(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    memory = Memory(path)
    memory.begun("ftjob-1")
    memory.trained("ft:1")
    first = Memory(path).which
    assert len(first) == 12
    memory.begun("ftjob-1")  # the same one, taken up again
    memory.trained("ft:1")
    moved = tmp_path / "moved" / "job.json"
    moved.parent.mkdir()
    moved.write_bytes(path.read_bytes())
    assert Memory(path).which == Memory(moved).which == first
    memory.begun("ftjob-2")  # a trainer that trains each time it is asked
    memory.trained("ft:1")
    second = Memory(path).which
    memory.trained("ft:2")
    third = Memory(path).which
    memory.trained("ft:1")
    fourth = Memory(path).which
    memory.begun("ftjob-2")
    assert Memory(path).which == fourth, "a mark stays"
    memory.forget()
    assert (Memory(path).which, Memory(path).fact("trained")) == ("", None)
    memory.begun("ftjob-1")
    memory.trained("ft:1")
    assert len({first, second, third, fourth, Memory(path).which}) == 5
    path.write_text("{torn", encoding="utf-8")
    assert Memory(path).which not in ("", first), "nobody knows what was trained: another mark"


def test_notes_of_earlier_versions_are_read_as_they_are(tmp_path: Path) -> None:
    """They counted how often a model was forgotten."""
    path = tmp_path / "job.json"
    for facts, which in (({"trained": "ft:1"}, ""), ({"trained": "ft:1", "times": 2}, "2")):
        path.write_text(json.dumps(facts), encoding="utf-8")
        memory = Memory(path)
        memory.begun("ftjob-1")
        memory.trained("ft:1")
        assert Memory(path).which == which
    memory.trained("ft:2")
    assert len(Memory(path).which) == 12


class OneName(TuneServer):
    """A server that calls every model by one name."""

    def __init__(self) -> None:
        super().__init__()
        self.listed.append("ft:one")

    def _advance(self, name: str) -> None:
        super()._advance(name)
        self.jobs[name] |= {"fine_tuned_model": "ft:one"} if "fine_tuned_model" in self.jobs[name] else {}


@pytest.fixture
def one_name(monkeypatch: pytest.MonkeyPatch) -> Iterator[OneName]:
    monkeypatch.setattr(Jobs.__init__, "__defaults__", HASTY)
    with OneName() as server:
        yield server


THERE = replace(OPENAI, base="base", price=TunePrice(train=2.0, serve=Price(3, 4), hosting_per_hour=1.5))


def at(server: TuneServer, folder: Path) -> Prepared:
    folder.mkdir(exist_ok=True)
    return opened(written(folder, endpoint={"base_url": server.url}, models=["base"]))


def test_training_again_under_one_id_makes_another_recipe(tmp_path: Path, one_name: OneName) -> None:
    ready = at(one_name, tmp_path)
    models = [tune(ready, THERE, yes=True, fresh=fresh)[0] for fresh in (False, False, True, True)]
    assert {each.model.id for each in models} == {"ft:one"}
    first, same, *later = (each.recipe for each in models)
    assert first == same
    assert len({first, *later}) == 3
    assert {plain(each) for each in (first, *later)} == {job.recipe for job in plan(ready, THERE).jobs}
    assert [each.model.recipe for each in models] == [each.recipe for each in models]
    (only,) = kept(tmp_path)
    assert (only["recipe"], only["arm"], only["usd"]) == (later[-1], "fine-tuned", 0.002)
    one_name.final = "failed"
    with pytest.raises(EndpointUnusable):
        tune(ready, THERE, yes=True, fresh=True)
    assert kept(tmp_path) == ()


def test_a_copied_folder_has_the_same_models_and_one_without_its_runs_or_another_one_never(
    tmp_path: Path, one_name: OneName
) -> None:
    """The cache answers by the recipe: what was trained anew, elsewhere or after runs/ was deleted, is asked anew."""
    ready = at(one_name, tmp_path / "a")
    (first,) = tune(ready, THERE, yes=True)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    (copied,) = tune(at(one_name, tmp_path / "copy"), THERE, yes=True)
    table(tmp_path / "copy").unlink()
    (lost,) = tune(at(one_name, tmp_path / "copy"), THERE, yes=True)
    assert (copied.recipe, lost.recipe, len(one_name.jobs)) == (first.recipe, first.recipe, 1)
    (other,) = tune(at(one_name, tmp_path / "b"), THERE, yes=True)
    shutil.rmtree(tmp_path / "a" / "runs")
    (anew,) = tune(ready, THERE, yes=True)
    assert len(one_name.jobs) == 3
    assert len({first.recipe, other.recipe, anew.recipe}) == 3
    assert len({plain(each.recipe) for each in (first, other, anew)}) == 1


def test_a_command_of_the_users_own_trains_another_model_each_time_and_moves_with_its_folder(
    tmp_path: Path, one_name: OneName
) -> None:
    script = tmp_path / "train.sh"
    script.write_text("""echo '{"model": "ft:one"}'\n""")
    settings = replace(THERE, trainer="command", command=f"sh {script} {{train}} {{valid}} {{seed}} {{out}}")
    one_name.speaking.append("ft:one")
    (first,) = tune(at(one_name, tmp_path / "a"), settings, yes=True)
    (tmp_path / "a").rename(tmp_path / "b")
    ready = at(one_name, tmp_path / "b")
    (moved,) = tune(ready, settings, yes=True)
    (anew,) = tune(ready, settings, yes=True, fresh=True)
    (other,) = tune(at(one_name, tmp_path / "a"), settings, yes=True)
    assert moved.recipe == first.recipe
    assert len({first.recipe, anew.recipe, other.recipe}) == 3


def test_what_the_engine_learns_again_from_the_same_is_the_same_and_a_given_id_is_a_model(
    tmp_path: Path, one_name: OneName
) -> None:
    ready = opened(written(tmp_path))
    models = [tune(ready, OPENAI, fresh=fresh)[0] for fresh in (False, True)]
    assert models[0].model == models[1].model
    assert models[0].recipe == plain(models[0].recipe)
    given = TuneSettings("given", base="base", given="ft:one")
    here, there = at(one_name, tmp_path / "a"), at(one_name, tmp_path / "b")
    recipes = [tune(each, given)[0].recipe for each in (here, there)]
    assert recipes[0] == recipes[1] == plain(recipes[0])
    (again,) = tune(here, given, fresh=True)  # whoever gave it says that it is another one by now
    assert again.recipe != recipes[0] == tune(there, given)[0].recipe
    assert tune(here, given)[0].recipe == again.recipe


def test_a_model_is_kept_with_its_prices_while_nobody_else_may_write(
    tmp_path: Path, one_name: OneName, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptlab.tune import tune as at_work

    def keeping(folder: Path, models: Any) -> None:
        with pytest.raises(BadInput, match="going on already"), locked(folder / "runs" / "tune"):
            pass
        keep(folder, models)

    monkeypatch.setattr(at_work, "keep", keeping)
    tune(at(one_name, tmp_path), THERE, yes=True)
    (only,) = kept(tmp_path)
    assert (only["price"], only["hosting_per_hour"]) == ({"input": 3, "output": 4, "cached": None}, 1.5)
    there = {"endpoint": {"base_url": one_name.url}, "models": ["base", only["name"]]}
    assert models_of(tmp_path, **there)[only["name"]].price == Price(3, 4), "whoever names it has no `tune`"
    now = {"trainer": "openai", "price": {"input": 5, "output": 6}}
    assert models_of(tmp_path, **there, tune=now)[only["name"]].price == Price(5, 6)
    there["models"] = ["base", {"id": only["name"], "base_url": "http://127.0.0.1:9/v1"}]
    assert models_of(tmp_path, **there)[only["name"]].price is None, "at another address nobody knows"
