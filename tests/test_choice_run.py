"""`choose` on the sample experiments, whole: arms are mined, the rule is applied, table and page are left."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from promptlab.choice.choose import choose
from promptlab.choice.chosen import Chosen, home
from promptlab.choice.limits import limits_of
from promptlab.choice.page import page
from promptlab.choice.planned import planned
from promptlab.choice.reads import readings
from promptlab.choice.reason import sentences
from promptlab.choice.table import columns
from promptlab.errors import BadInput
from promptlab.experiment import Experiment
from promptlab.experiment.choose import ARMS, Choose
from promptlab.prepare import Prepared, prepare
from promptlab.run import mine

ROOT = Path(__file__).parents[1]
PRICED = "models=[{id: small, price: {input: 0.4, output: 1.6}}]"
FEW = ("bank.k=[0, 4]", "bank.select=[balanced]", "space={task: plain, reasoning: none}",
       "templates=[../../templates/intent/plain.j2]")  # fmt: skip
WISH = Choose(margin=0.1, volume_per_month=100_000, label_usd=0.1)


@pytest.fixture(scope="module", autouse=True)
def _readings_count() -> Iterator[None]:
    """As of a real model: those of the offline engine do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("promptlab.run.counts", lambda models: True)
        yield


def sample(folder: Path, name: str, *sets: str, limit: int | None = 30) -> Prepared:
    """A sample of its own in a folder; nothing is tuned, unless ``sets`` say so."""
    sets = sets if any(each.startswith("tune") for each in sets) else ("tune=null", *sets)
    for part in (f"experiments/{name}", "templates"):
        if not (folder / part).exists():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("runs", "*.html", "results.csv"))
    (folder / ".promptlab").mkdir(exist_ok=True)
    return prepare(Experiment.load(folder / "experiments" / name, sets), limit)


def table(prepared: Prepared) -> list[dict[str, str]]:
    with (home(prepared) / "choice.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def asked(prepared: Prepared) -> int:
    """Calls that any run had to ask for."""
    logs = (prepared.experiment.folder / "runs").glob("*/run.sqlite")
    count = "select count(*) from calls where cached = 0"
    total = 0
    for log in logs:
        with closing(sqlite3.connect(log)) as db:
            total += int(db.execute(count).fetchone()[0])
    return total


@pytest.fixture(scope="module")
def support(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Chosen]:
    prepared = sample(tmp_path_factory.mktemp("support"), "support_intent", PRICED, *FEW)
    return prepared, choose(planned(prepared, WISH))


def test_every_arm_that_can_be_is_mined_once_and_tested_once(support: tuple[Prepared, Chosen]) -> None:
    prepared, done = support
    assert list(done.runs) == ["prompt", "prompt+demos"]
    assert [plan.arm for plan in done.left_out] == ["rag", "rag+demos", "fine-tuned", "fine-tuned+rag"]
    for name, (run,) in done.runs.items():
        pick = run.findings.search.view.variants[run.findings.choice.pick]
        assert bool(pick.slots.get("bank.k")) == (name == "prompt+demos")
        assert len(run.findings.choice.finalists) <= 1
        assert json.loads((run.folder / "arm.json").read_text())["arm"] == name
    [read] = json.loads((prepared.experiment.path.parents[2] / ".promptlab/test_reads.json").read_text()).values()
    tested = [run.id for (run,) in done.runs.values() if run.findings.choice.finalists]
    assert read == tested, "a baseline alone is compared with nothing"


def test_choice_csv_has_every_column_in_order_and_a_reason_that_follows_from_it(
    support: tuple[Prepared, Chosen],
) -> None:
    prepared, done = support
    rows = table(prepared)
    assert list(rows[0]) == columns()
    assert [row["arm"] for row in rows] == ["prompt", "prompt+demos"]
    assert all(row["test_n"] == "30" and row["reason"] and row["verdict"] for row in rows)
    assert sum(row["verdict"] in ("chosen", "until then") for row in rows) == 1
    for row in rows:
        demos = 80 if row["arm"] == "prompt+demos" else 0
        assert float(row["setup_usd"]) == pytest.approx(0.1 * (60 + demos), abs=0.1)
        assert float(row["usd_per_1k"]) == pytest.approx(
            (float(row["tokens_in"]) * 0.4 + float(row["tokens_out"]) * 1.6) / 1000, rel=0.1
        )
        assert row["train_rows"] == row["seeds"] == row["off_task_delta"] == row["hit_at_k"] == ""
    reference = done.choice.reference
    [base] = [row for row in rows if row["arm"] == reference]
    assert base["delta"] == base["break_even_calls"] == ""


def test_choosing_again_asks_nothing_and_says_the_same(support: tuple[Prepared, Chosen]) -> None:
    prepared, done = support
    before = asked(prepared)
    again = choose(planned(prepared, WISH))
    assert asked(prepared) == before
    assert again.rows() == done.rows()
    assert again.choice.reads == done.choice.reads == 1


def test_a_page_shows_the_choice_and_runs_nothing(support: tuple[Prepared, Chosen]) -> None:
    prepared, done = support
    made = (home(prepared) / "choice.html").read_text(encoding="utf-8")
    assert sentences(done.choice)[0].split(":")[0] in made
    assert "<script" not in made
    assert "no template reads" in made
    evil = page("<script>x</script>", done.choice, done.rows(), ["<big>"], ["<i>"], done.curves, {"<u>": "<s>"})
    assert not any(f"<{tag}>" in evil for tag in ("script", "big", "i", "u", "s"))


def test_runs_that_read_the_test_rows_before_count_and_an_earlier_choice_counts_once(tmp_path: Path) -> None:
    prepared = sample(tmp_path, "support_intent", *FEW, limit=16)
    mine(prepared)
    first = choose(planned(prepared, WISH))
    assert first.choice.reads == 2
    other = sample(tmp_path, "support_intent", *FEW, "params.max_tokens=32", limit=16)
    later = choose(planned(other, WISH))
    assert later.choice.reads == 3  # the first run, the first choice, this one
    ours = [run.id for runs in first.runs.values() for run in runs]
    project, runs = tmp_path / ".promptlab", prepared.experiment.folder / "runs"
    assert readings(project, prepared.rows.test, ours, runs) == 2
    assert "have been read 3 times" in " ".join(sentences(later.choice))


def test_retrieval_is_an_arm_and_the_oracle_says_why_it_wins(tmp_path: Path) -> None:
    few = ("retrieval.retriever=[none, bm25, oracle]", "retrieval.k=[3]", "retrieval.order=[best-first]",
           "bank.k=[0]", "space={task: plain}", "baseline=null")  # fmt: skip
    prepared = sample(tmp_path, "product_qa", *few, limit=None)
    done = choose(planned(prepared, Choose(margin=0.15)))
    assert list(done.runs) == ["prompt", "rag"]
    assert not (prepared.experiment.folder / "results.csv").exists()  # that is the experiment's own run's to leave
    rows = {row["arm"]: row for row in table(prepared)}
    assert rows["prompt"]["hit_at_k"] == ""
    assert 0 < float(rows["rag"]["hit_at_k"]) <= 1
    assert done.choice.reference == "rag"
    assert any(line.startswith("Retrieval: closed book") for line in done.advice)
    spent = sum(json.loads((run.folder / "manifest.json").read_text())["calls"] for (run,) in done.runs.values())
    assert spent <= 9000


def test_one_arm_is_no_choice_and_no_test_rows_allow_none(tmp_path: Path) -> None:
    prepared = sample(tmp_path, "support_intent", *FEW)
    with pytest.raises(BadInput, match=r"needs two arms.*has 1 of those asked for"):
        planned(prepared, Choose(arms=("prompt", "rag")))
    everything = sample(tmp_path, "support_intent", *FEW, "data.split=all")
    with pytest.raises(BadInput, match="a choice needs test rows"):
        planned(everything, Choose())


def test_a_choice_on_some_rows_replaces_none_that_was_made_on_all(support: tuple[Prepared, Chosen]) -> None:
    prepared, _ = support
    folder = prepared.experiment.folder
    assert (folder / "runs/choice/choice.csv").exists()
    assert not list(folder.glob("choice.*"))
    assert home(prepare(prepared.experiment)) == folder


def test_the_limits_are_those_of_the_file() -> None:
    wish = Choose(target=0.8, margin=0.05, p95_ms=100, usd_per_1k=2, volume_per_month=5, months=3, updates_per_month=1)
    limits = limits_of(wish)
    assert (limits.target, limits.margin, limits.p95_ms, limits.usd_per_1k, limits.probe) == (0.8, 0.05, 100, 2, False)
    assert (limits.use.per_month, limits.use.months, limits.use.updates_per_month) == (5, 3, 1)


def test_a_tuned_arm_is_asked_once_for_each_seed_and_probed_before_and_after(tmp_path: Path) -> None:
    """Two models that were tuned with different seeds (here two that the engine has) stand for one arm."""
    models = "models=[small, {id: big, name: tuned-small-s1-n100}, {id: small, name: tuned-small-s2-n100}]"
    prepared = sample(tmp_path, "support_intent", models, *FEW, "bank=null", "space=null", "baseline=null", limit=20)
    probe = tmp_path / "probe.csv"
    lines = [f'"Answer with one of: yes, no. Is {k} even?",{"no" if k % 2 else "yes"}' for k in range(30)]
    probe.write_text("prompt,answer\n" + "\n".join(lines) + "\n", encoding="utf-8")
    done = choose(planned(prepared, Choose(arms=("prompt", "fine-tuned"), probe=probe)))
    first, second = done.runs["fine-tuned"]
    assert first.winner.variant.slots["model"] == "tuned-small-s1-n100"
    assert {**first.winner.variant.slots, "model": 0} == {**second.winner.variant.slots, "model": 0}
    assert second.winner.variant.slots["model"] == "tuned-small-s2-n100"
    tuned = done.choice.of("fine-tuned").arm
    assert len(tuned.seeds) == 2
    assert 0 <= tuned.dev <= 1  # every seed was asked on dev, too, though there is nothing to search
    assert tuned.off_task is not None
    assert tuned.off_task.n == 30
    row = table(prepared)[1]
    assert row["seeds"] == "2"
    assert float(row["seed_sd"]) >= 0
    assert row["off_task_delta"] != ""
    assert "off task it may have lost" in row["reason"]  # 30 rows bound nothing by two points


@pytest.mark.parametrize(
    ("name", "arms"),
    [
        ("support_intent", ["prompt", "prompt+demos", "fine-tuned"]),
        ("product_qa", ["prompt", "prompt+demos", "rag", "rag+demos", "fine-tuned", "fine-tuned+rag"]),
    ],
)
def test_a_sample_as_it_stands_has_all_arms_that_it_can_have_and_its_own_run_stays_what_it_was(
    tmp_path: Path, name: str, arms: list[str]
) -> None:
    prepared = sample(tmp_path, name, "tune.minutes=60", limit=None)
    plan = planned(prepared, prepared.experiment.choose)
    assert [each for each in ARMS if each in {*plan.arms, *plan.training.arms}] == arms
    assert not plan.training.external
    assert {job.seed for job in plan.training.jobs} == {1, 2, 3}
    assert not plan.shares.short
    bare = sample(tmp_path, name, "tune=null", "choose=null", limit=None)
    assert bare.identity == prepared.identity
