"""`choose` in experiment.yaml and `promptlab choose`: the key is read, wrong values are told, the command chooses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support_project import Project, command, told

from promptlab.experiment import Experiment
from promptlab.experiment.choose import ARMS, Choose

KEY = "seed: 5\n"


def experiment(folder: Path, choose: str, models: str = "[small]") -> Path:
    project = Project(folder)
    project.experiment("models: [small]\n", f"models: {models}\n")
    project.experiment("baseline: {bank.k: 0}\n", f"baseline: {{bank.k: 0}}\nchoose: {choose}\n")
    return project.folder / "experiment.yaml"


def test_every_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "probe.csv").write_text("prompt,answer\na,b\nc,d\n")
    path = experiment(
        tmp_path,
        "{arms: [prompt, rag], target: 0.8, margin: 0.05, p95_ms: 2000, usd_per_1k: 1.5, volume_per_month: 1e5,"
        " months: 6, updates_per_month: 2, label_usd: 0.1, probe: ../probe.csv}",
    )
    found = Experiment.load(path).choose
    assert found == Choose(("prompt", "rag"), 0.8, 0.05, 2000, 1.5, 100_000, 6, 2, 0.1, tmp_path / "probe.csv")
    assert Experiment.load(path, ["choose=null"]).choose == Choose() == Choose(ARMS)


@pytest.mark.parametrize(
    ("choose", "line"),
    [
        ("{arms: [prompt, ragg]}", "`choose.arms[1]`: there is no arm 'ragg'. Did you mean 'rag'?"),
        ("{margn: 0.1}", "Did you mean 'margin'?"),
        ("{margin: -0.1}", "`choose.margin` must be"),
        ("{volume_per_month: many}", "`choose.volume_per_month` must be"),
        ("{probe: none.csv}", "`choose.probe`"),
    ],
)
def test_a_wrong_value_is_told_with_its_line(tmp_path: Path, choose: str, line: str) -> None:
    code, out = command("choose", str(experiment(tmp_path, choose)))
    assert code == 2
    [problem] = told(out)
    assert line in problem
    assert "experiment.yaml:15: " in problem


def test_a_limit_in_dollars_needs_a_price(tmp_path: Path) -> None:
    models = "[{id: m, base_url: 'http://127.0.0.1:1/v1'}]"
    code, out = command("choose", str(experiment(tmp_path, "{usd_per_1k: 1}", models)))
    assert code == 2
    assert any(
        "`choose.usd_per_1k`: a limit in dollars needs a price, and the model 'm' has none" in each
        for each in told(out)
    )


def test_what_is_chosen_does_not_make_another_run(tmp_path: Path) -> None:
    from promptlab.prepare import prepare

    path = experiment(tmp_path, "{margin: 0.1}")
    one, other = (prepare(Experiment.load(path, sets)).identity for sets in ((), ["choose.margin=0.2"]))
    assert one == other


def test_the_command_prints_the_arms_the_choice_and_where_it_lies(tmp_path: Path) -> None:
    path = experiment(tmp_path, "{margin: 0.5}")
    code, out = command("choose", str(path))
    assert code == 0, out
    assert "arm prompt: " in out
    assert "arm rag is left out: no template reads `passages`" in out
    assert "Choice: " in out or "Not decided: " in out
    assert str(path.parent / "choice.csv") in out
    code, out = command("choose", str(path), "--json")
    body = json.loads(out[out.index("{\n") :])
    assert [row["arm"] for row in body["arms"]] == ["prompt", "prompt+demos"]
    assert body["sentences"][0].startswith(("Choice: ", "Not decided: "))
