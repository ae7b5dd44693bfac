"""`tune` in an experiment file, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from project import project
from typer.testing import CliRunner

from promptlab.cli import app
from promptlab.embedded.tuned import SHELF
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.records import Price
from promptlab.tune.settings import TunePrice, TuneSettings

SPLIT = {"train": 0.5, "dev": 0.25, "test": 0.25}
DATA = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id", "split": SPLIT}


def read(folder: Path, tune: Any) -> TuneSettings | None:
    return Experiment.load(project(folder, 80, data=DATA, tune=tune)).tune


def test_the_key_says_who_trains_what(tmp_path: Path) -> None:
    assert read(tmp_path, None) is None
    assert read(tmp_path, "openai") == TuneSettings("openai", base="small")
    whole = {
        "trainer": "command", "base_model": "small", "seeds": [1, 2], "sizes": [50, "all"], "epochs": 5,
        "template": "t", "method": "dpo", "command": "train {train}", "suffix": "s", "minutes": 5,
        "price": {"train": 3, "input": 1, "cached": 0.5, "output": 2, "hosting_per_hour": 4},
    }  # fmt: skip
    price = TunePrice(3, Price(1, 2, 0.5), 4)
    assert read(tmp_path, whole) == TuneSettings(
        "command", "small", (1, 2), (50, None), 5, "t", "dpo", "train {train}", "", "s", 5, price
    )


def test_every_mistake_in_the_key_is_told_at_once(tmp_path: Path) -> None:
    wrong = {"trainer": "comand", "base_model": "smal", "sizes": [0, "some"], "price": {"input": 1}, "epoch": 3,
             "suffix": "x" * 65}  # fmt: skip
    with pytest.raises(BadInput) as caught:
        read(tmp_path, wrong)
    text = str(caught.value)
    for words in (
        "there is no trainer 'comand'. Did you mean 'command'",
        "there is no model 'smal'. Did you mean 'small'",
        "whole number above 0, or `all`, not 0",
        "whole number above 0, or `all`, not 'some'",
        "needs input and output, or neither",
        "unknown key `tune.epoch`. Did you mean 'epochs'",
        "64 characters at most, not 65",
    ):
        assert words in text
    for tune, words in (
        ({"trainer": "command"}, "`tune.trainer: command` needs `tune.command`"),
        ({"trainer": "given"}, "`tune.trainer: given` needs `tune.given`"),
        ({"trainer": "openai", "given": "x"}, "`tune.given` belongs to `tune.trainer: given`"),
        ({"trainer": "command", "command": "train {x}"}, "no placeholder {x}"),
    ):
        with pytest.raises(BadInput, match=words.replace("{", r"\{")):
            read(tmp_path, tune)


def test_the_command_shows_rows_and_cost_trains_and_tells_the_model(tmp_path: Path) -> None:
    path = project(tmp_path, 80, data=DATA, tune={"trainer": "openai", "sizes": [20], "price": {"train": 2.0}})
    said = CliRunner().invoke(app, ["tune", str(path)])
    assert said.exit_code == 0, said.output
    assert "tuned-small-s1-n20: 20 rows, about" in said.output
    assert "tokens to train on, $" in said.output
    assert "tuned-small-s1-n20: ft:small:promptlab::" in said.output
    (told,) = json.loads(CliRunner().invoke(app, ["tune", str(path), "--json"]).stdout)
    assert told["id"].startswith("ft:small:promptlab::")
    SHELF.clear()


def test_the_command_starts_nothing_external_without_a_yes(tmp_path: Path) -> None:
    path = project(tmp_path, 80, data=DATA, tune={"trainer": "command", "command": "touch {train}.ran"})
    said = CliRunner().invoke(app, ["tune", str(path)])
    assert said.exit_code == 2
    assert "--yes" in said.output
    assert len(list(tmp_path.glob("runs/tune/*/train.jsonl"))) == 1, "the files are there to be looked at"
    assert not list(tmp_path.glob("runs/tune/*/*.ran"))
    assert "no price is given" in said.output


def test_a_leaked_row_stops_everything_with_both_rows_named(tmp_path: Path) -> None:
    path = project(tmp_path, 80, data={**DATA, "path": {"train": "train.jsonl", "dev": "data.jsonl"}, "split": None})
    lines = (tmp_path / "data.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [f"words number {k} of their own kind {k * 7}" for k in range(9)]
    others = [{"id": f"t{k}", "message": text, "topic": "access"} for k, text in enumerate(texts)]
    leaked = {**json.loads(lines[4]), "id": "copy"}
    rows = [*map(json.dumps, others), json.dumps(leaked)]
    (tmp_path / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    said = CliRunner().invoke(app, ["tune", str(path)])
    assert said.exit_code == 2
    assert "training row 10 has the text of the dev row 5" in said.output
    assert "train.jsonl:10" in said.output
    assert not (tmp_path / "runs").exists()
