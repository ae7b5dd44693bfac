"""`score --model` with a tuned model of the project, by its name or its id: asked as it was taught, on rows unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import project
from test_skew import DATA, NAME, TUNE, asked
from typer.testing import CliRunner

from promptlab.cli import app
from promptlab.embedded.tuned import SHELF
from promptlab.errors import BadInput
from promptlab.prepare import opened
from promptlab.tune.elsewhere import elsewhere
from promptlab.tune.tune import tune
from promptlab.tune.tuned import table


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A project with a tuned model, files of rows that were taught and of others, and the model's id."""
    root = tmp_path_factory.mktemp("root")
    (root / ".promptlab").mkdir()
    path = project(root / "experiments/one", 80, data=DATA, tune=TUNE)
    labels = ["billing", "delivery", "access"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seed": 7}), encoding="utf-8")
    ready = opened(path)
    assert ready.experiment.tune is not None
    (model,) = tune(ready, ready.experiment.tune, yes=True)
    for name, rows in (("taught", ready.rows.train[:12]), ("unseen", ready.rows.test)):
        assert {each.label for each in rows} == set(labels)
        lines = [json.dumps({"message": each.inputs["message"], "topic": each.label}) for each in rows]
        (root / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    yield root, model.model.id
    SHELF.clear()


def score(root: Path, data: str, model: str, *more: str) -> tuple[int, str]:
    named = [str(root / "experiments/one/t.j2"), str(root / f"{data}.jsonl"), "--label", "topic", "--model", model]
    done = CliRunner().invoke(app, ["score", *named, "--json", *more])
    return done.exit_code, done.output


def calls(root: Path) -> int:
    """Calls of all scores."""
    return sum(asked(each) for each in root.glob(".promptlab/score/*/experiment.yaml"))


@pytest.mark.parametrize("by", ["name", "id"])
def test_the_taught_prompt_is_scored_on_unseen_rows_and_all_else_is_refused(ids: tuple[Path, str], by: str) -> None:
    root, own = ids
    model = NAME if by == "name" else own
    code, said = score(root, "unseen", model, "--fresh")
    assert code == 0, said
    before = calls(root)
    assert before > 0
    code, said = score(root, "unseen", model, "--set", "tone=long")
    assert code == 2
    assert f"{NAME} is asked otherwise than it was taught: message 1 (system) differs" in said
    assert "It was taught {template: t, tone: short, place: first}" in said
    code, said = score(root, "taught", model)
    assert code == 2
    assert f"taught.jsonl: {NAME} was taught 12 of 12 rows (rows 1, 2, 3, " in said
    assert calls(root) == before


def test_a_name_that_no_experiment_has_names_the_nearest_and_other_models_are_free(ids: tuple[Path, str]) -> None:
    root, own = ids
    code, said = score(root, "unseen", "tuned-small-s1-n41")
    assert code == 2
    assert "there is no tuned model 'tuned-small-s1-n41'" in said
    assert NAME in said
    assert elsewhere(root, "small", "") is None
    assert elsewhere(root, own, "http://localhost:1/v1") is None, "another server's"


def test_one_name_of_two_models_and_an_address_that_is_not_given_are_told(tmp_path: Path) -> None:
    row = {"name": "tuned-a-s1-n4", "id": "ft:1", "base_url": "http://localhost:1/v1", "recipe": "r1", "base": "a"}
    for place, each in enumerate((row, row | {"id": "ft:2", "recipe": "r2"})):
        path = table(tmp_path / f"experiments/e{place}")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps([each]), encoding="utf-8")
    with pytest.raises(BadInput, match=r"is served at http://localhost:1/v1. Add --base-url"):
        elsewhere(tmp_path, "ft:2", "")
    with pytest.raises(BadInput, match=r"name of several tuned models. Ids: ft:1 \(e0\), ft:2 \(e1\)"):
        elsewhere(tmp_path, "tuned-a-s1-n4", "http://localhost:1/v1/")
    found = elsewhere(tmp_path, "ft:2", "http://localhost:1/v1")
    assert found is not None
    assert (found.name, found.recipe) == ("tuned-a-s1-n4", "r2")
    table(tmp_path / "experiments/e0").write_text("{", encoding="utf-8")
    assert elsewhere(tmp_path, "ft:1", "http://localhost:1/v1") is None
