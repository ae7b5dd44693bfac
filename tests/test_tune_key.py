"""`tune` in an experiment file, and the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rag_project
from project import TEMPLATE, project
from typer.testing import CliRunner

from promptlab.cli import app
from promptlab.embedded.tuned import SHELF
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.prepare import Prepared, opened, prepare
from promptlab.records import Price
from promptlab.tune.plan import TunePlan, plan
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
        ({"variant": 3}, "`tune.variant` must be slots like those of `baseline`, or a list of two"),
        ({"variant": [{}, {}, {}]}, "`tune.variant` must be slots like those of `baseline`, or a list of two"),
        (
            {"variant": [{"tone": "kind"}, {"tone": ["kind"]}]},
            "`tune.variant[1].tone` must be one value, not a list",
        ),
        ({"variant": {"tone": "kind"}, "template": "t"}, "`tune.template` and `tune.variant` say the same"),
    ):
        with pytest.raises(BadInput, match=re.escape(words)):
            read(tmp_path, tune)


def test_the_command_shows_rows_and_cost_trains_and_tells_the_model(tmp_path: Path) -> None:
    path = project(tmp_path, 80, data=DATA, tune={"trainer": "openai", "sizes": [20], "price": {"train": 2.0}})
    said = CliRunner().invoke(app, ["tune", str(path)])
    assert said.exit_code == 0, said.output
    assert "tuned-small-s1-n20: 20 rows, " in said.output
    assert "tokens to train on" in said.output
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


TRAIN = "data.split={train: 0.4, dev: 0.3, test: 0.3, seed: 3}"


def laid(whole: Prepared, **changes: Any) -> TunePlan:
    return plan(whole, TuneSettings(**changes))


def rag(folder: Path, *sets: str, **changes: Any) -> Prepared:
    return prepare(Experiment.load(rag_project.write(folder, **changes), (TRAIN, *sets)))


def taught(found: TunePlan) -> dict[str, dict[str, Any]]:
    return {job.arm: dict(job.variant.slots) for job in found.jobs}


def test_each_tuned_arm_is_taught_its_own_prompts_and_has_models_of_its_own(tmp_path: Path) -> None:
    whole = rag(tmp_path)
    found = laid(whole, seeds=(1, 2))
    count = len(whole.rows.train)
    names = [f"tuned-small{way}-s{seed}-n{count}" for way in ("", "-rag") for seed in (1, 2)]
    assert [job.name for job in found.jobs] == names
    slots = taught(found)
    assert (slots["fine-tuned"]["retrieval.retriever"], slots["fine-tuned+rag"]["retrieval.retriever"]) == (
        "none", "bm25")  # fmt: skip
    assert "Passages:" not in found.jobs[0].texts["train.jsonl"].decode()
    lines = [json.loads(line) for line in found.jobs[2].texts["train.jsonl"].splitlines()]
    for name, line in zip(json.loads(found.jobs[2].texts["taught.json"])["examples"], lines, strict=True):
        (example,) = [each for each in whole.rows.train if each.id == name]
        prompt = whole.task.prompt(found.jobs[2].variant)
        assert prompt.foreseen(example).exact
        shown = [{"role": each.role, "content": each.content} for each in prompt.messages(example)]
        assert line["messages"] == [*shown, {"role": "assistant", "content": example.label}]
    first, second = found.notes[:2]
    assert first == "fine-tuned is taught the prompts of template ask, tone terse, retrieval.retriever none."
    assert second.startswith("fine-tuned+rag is taught the prompts of template ask, tone terse")
    hits = sum(
        any(example.gold[0] in (passage.source, passage.id) for passage in whole.task.prompt(found.jobs[2].variant)
            .foreseen(example).passages)
        for example in whole.rows.train
    )  # fmt: skip
    assert f"; {hits} of {count} training rows show a passage that is known to be right" in second
    assert found.jobs[2].write().folder.joinpath("taught.json").is_file()


def test_the_baseline_says_how_many_passages_and_which_choices_and_never_its_demos(tmp_path: Path) -> None:
    kept = laid(rag(tmp_path, "baseline={tone: kind, retrieval.retriever: bm25, retrieval.k: 3}"))
    slots = taught(kept)
    assert (slots["fine-tuned+rag"]["tone"], slots["fine-tuned+rag"]["retrieval.k"]) == ("kind", 3)
    assert (slots["fine-tuned"]["tone"], slots["fine-tuned"]["retrieval.retriever"]) == ("kind", "none")


def test_demos_are_not_taught_even_where_every_prompt_has_some(tmp_path: Path) -> None:
    demos = [{"message": f"my kettle number {k} makes a noise like the sea", "topic": "access"} for k in range(9)]
    (tmp_path / "bank.jsonl").write_text("".join(json.dumps(each) + "\n" for each in demos), encoding="utf-8")
    bank = {"from": "bank.jsonl", "k": [2, 4], "select": ["random"]}
    path = project(tmp_path, 80, data=DATA, bank=bank, baseline={"tone": "kind", "bank.k": 4})
    shown = "{% for demo in demos %}{% user %}{{ demo.message }}{% enduser %}{% endfor %}{% user %}"
    (tmp_path / "t.j2").write_text(TEMPLATE.replace("{% user %}", shown, 1), encoding="utf-8")
    found = laid(opened(path))
    slots = taught(found)["fine-tuned"]
    assert {name: value for name, value in slots.items() if name.startswith("bank.")} == {"bank.k": 0}
    assert slots["tone"] == "kind"
    assert b"kettle" not in found.jobs[0].texts["train.jsonl"]
    named = laid(opened(path), variant=({"bank.k": 2},))
    assert b"kettle" in named.jobs[0].texts["train.jsonl"], "but where the file says so"


def test_only_passages_that_are_known_to_be_right_are_counted(tmp_path: Path) -> None:
    whole = rag(tmp_path)
    train = tuple(replace(each, gold=("nowhere",) if k < 4 else each.gold if k < 7 else ())
                  for k, each in enumerate(whole.rows.train))  # fmt: skip
    found = laid(replace(whole, rows=replace(whole.rows, train=train)))
    assert "; 3 of 7 training rows show a passage that is known to be right" in found.notes[1]


def test_an_arm_whose_prompts_are_anothers_or_whose_answers_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    rag_project.write(tmp_path)
    seldom = rag_project.TEMPLATE.replace("{% if passages %}", "{% if tone == 'kind' and passages %}")
    (tmp_path / "templates/seldom.j2").write_text(seldom, encoding="utf-8")
    same = laid(rag(tmp_path, "templates=[templates/seldom.j2]"))
    assert same.left_out == {"fine-tuned+rag": "its prompts show no passage of any row: they are those of fine-tuned"}
    mute = "---\ninputs: [question]\nanswer: 'regex:X=(.+)'\n---\n{{ passages[0].text }} {{ question }}\n"
    for name, text in (("mute", mute), ("plain", "---\ninputs: [question]\n---\n{{ question }}\n")):
        (tmp_path / f"templates/{name}.j2").write_text(text, encoding="utf-8")
    sets = (
        "templates=[templates/mute.j2, templates/plain.j2]",
        "retrieval.retriever=[bm25]",
        "baseline={template: plain}",
    )
    unread = laid(rag(tmp_path, *sets))
    assert set(taught(unread)) == {"fine-tuned"}
    assert "would not be read back by `answer: regex:X=(.+)`" in unread.left_out["fine-tuned+rag"]
    with pytest.raises(BadInput, match="would not be read back"):
        laid(rag(tmp_path, *sets), variant=({"template": "plain"}, {"template": "mute"}))


def test_passages_that_a_model_would_have_to_find_are_not_taught(tmp_path: Path) -> None:
    """A retriever that embeds, a query that is written, a rerank that judges: the next one is taken, or none."""
    dense = laid(rag(tmp_path / "dense", retriever="[none, dense]"))
    assert set(taught(dense)) == {"fine-tuned"}
    assert (
        "dense are known only once a model was asked; `retrieval` needs bm25 or tfidf"
        in dense.left_out["fine-tuned+rag"]
    )
    assert any(note.startswith("fine-tuned+rag is left out: the passages of dense") for note in dense.notes)
    later = laid(rag(tmp_path / "later", retriever="[dense, none, tfidf]", retrieval="query: [rewrite, input]"))
    slots = taught(later)["fine-tuned+rag"]
    assert (slots["retrieval.retriever"], slots["retrieval.query"]) == ("tfidf", "input")
    judged = laid(rag(tmp_path / "judged", retriever="[none, bm25]", retrieval="rerank: [model]"))
    assert "fine-tuned+rag" in judged.left_out


def test_what_the_experiment_excludes_is_taught_only_where_nothing_else_is_left(tmp_path: Path) -> None:
    whole = rag(tmp_path, "space={exclude: [{retrieval.k: 1}]}")
    assert taught(laid(whole))["fine-tuned+rag"]["retrieval.k"] == 3


def test_without_a_prompt_for_it_an_arm_is_left_out_with_the_reason(tmp_path: Path) -> None:
    open_ = laid(rag(tmp_path / "open", retriever="[bm25]"))
    assert set(taught(open_)) == {"fine-tuned+rag"}
    assert open_.left_out == {
        "fine-tuned": "every template reads `passages`, and `retrieval.retriever` names no `none`"
    }
    closed = laid(opened(project(tmp_path / "closed", 80, data=DATA)))
    assert closed.left_out == {"fine-tuned+rag": "no template reads `passages`"}
    known = laid(rag(tmp_path / "known", retriever="[none, oracle]"))
    assert known.left_out == {"fine-tuned+rag": "`retrieval.retriever` names no retriever that looks for passages"}
    both = rag(tmp_path / "both", "choose={arms: [fine-tuned+rag, fine-tuned]}")
    assert list(taught(laid(both))) == ["fine-tuned", "fine-tuned+rag"]
    wanted = rag(tmp_path / "wanted", "choose={arms: [prompt, fine-tuned+rag]}")
    assert (set(taught(laid(wanted))), laid(wanted).left_out) == ({"fine-tuned+rag"}, {})
    with pytest.raises(BadInput, match=r"nothing can be taught.*every template reads"):
        laid(rag(tmp_path / "no", "choose={arms: [prompt, fine-tuned]}", retriever="[bm25]"))


def test_rows_that_bring_their_passages_need_no_retrieval(tmp_path: Path) -> None:
    path = project(tmp_path, 80, data={**DATA, "passages": "about"})
    read = TEMPLATE.replace(
        "{{ message }}{% end", "{% for p in passages %}{{ p.text }} {% endfor %}{{ message }}{% end"
    )
    (tmp_path / "t.j2").write_text(read, encoding="utf-8")
    rows = [json.loads(line) for line in (tmp_path / "data.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({**row, "about": [f"note {row['id']}"]}) + "\n" for row in rows]
    (tmp_path / "data.jsonl").write_text("".join(lines), encoding="utf-8")
    found = laid(opened(path))
    assert [job.arm for job in found.jobs] == ["fine-tuned+rag"]
    assert found.left_out == {"fine-tuned": "every template reads `passages`"}
    assert '"note m' in found.jobs[0].texts["train.jsonl"].decode()
    assert "which passages are right is not known" in found.notes[0]


def test_another_template_of_the_family_is_taken_where_the_baselines_cannot_serve(tmp_path: Path) -> None:
    rag_project.write(tmp_path)
    for folder in ("other", "qa"):
        (tmp_path / "templates" / folder).mkdir()
    bare = "---\ninputs: [question]\nchoices: {tone: [terse, kind]}\n---\n{{ question }} {{ tone }}\n"
    reads = bare.replace("{{ question }}", "{{ passages[0].text if passages else '' }} {{ question }}")
    for name, text in (("other/first", reads), ("qa/closed", bare), ("qa/open", reads)):
        (tmp_path / f"templates/{name}.j2").write_text(text, encoding="utf-8")
    sets = ("templates=[templates/*/*.j2]", "retrieval.retriever=[bm25]", "retrieval.embedding=null",
            "baseline={template: qa/closed, tone: kind}")  # fmt: skip
    slots = taught(laid(rag(tmp_path, *sets)))
    assert [slots[arm]["template"] for arm in ("fine-tuned", "fine-tuned+rag")] == ["qa/closed", "qa/open"]
    assert slots["fine-tuned+rag"]["tone"] == "kind", "the baseline's choices are kept where there are such"
    named = taught(laid(rag(tmp_path, *sets), template="other/first"))
    assert [named[arm]["template"] for arm in ("fine-tuned", "fine-tuned+rag")] == ["qa/closed", "other/first"]


def test_the_file_may_say_what_is_taught(tmp_path: Path) -> None:
    whole = rag(tmp_path)
    both = laid(whole, variant=({"retrieval.retriever": "bm25", "retrieval.k": 3}, {"tone": "kind"}))
    slots = taught(both)
    assert [job.arm for job in both.jobs] == ["fine-tuned", "fine-tuned+rag"]
    assert (slots["fine-tuned"]["tone"], slots["fine-tuned+rag"]["retrieval.k"]) == ("kind", 3)
    one = laid(whole, variant=({"tone": "kind"},))
    assert one.left_out == {"fine-tuned+rag": "`tune.variant` teaches no prompt with passages"}


def test_mistakes_in_what_is_taught_are_told_together_with_the_nearest_name(tmp_path: Path) -> None:
    key = "tune={variant: [{tonne: kind, model: small}, {tone: kin, retrieval.k: 3}]}"
    whole = rag(tmp_path, key)
    assert whole.experiment.tune is not None
    with pytest.raises(BadInput) as caught:
        plan(whole, whole.experiment.tune)
    text = str(caught.value)
    for words in (
        "`tune.variant`: there is no slot `tonne`. Did you mean 'tone'",
        "`tune.variant`: the model learns and is not taught. `tune.base_model` names it",
        "`tune.variant`: the slot `tone` has no value 'kin'. Did you mean 'kind'",
    ):
        assert words in text
    with pytest.raises(BadInput, match=r"`tune.variant`: the slot `retrieval.k` does not exist at these values"):
        laid(whole, variant=({"retrieval.k": 3},))
    with pytest.raises(BadInput, match="both are without passages, and each is for an arm of its own"):
        laid(whole, variant=({"tone": "kind"}, {"tone": "terse"}))
    with pytest.raises(BadInput, match=r"training row .* known only once a model was asked"):
        laid(whole, variant=({"retrieval.retriever": "dense"},))


def test_a_given_model_is_taught_nothing_and_that_is_told(tmp_path: Path) -> None:
    found = laid(rag(tmp_path), trainer="given", given="ft:x")
    assert [(job.arm, job.rows) for job in found.jobs] == [("", ())]
    assert "Nor which prompts it was taught" in found.notes[0]
