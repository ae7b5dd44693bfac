"""Runs that retrieve: prepared, killed, resumed and repeated; what they measure, what they cost, what they refuse."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, Reply, raw
from rag_project import TEMPLATE, answer, write
from retrieval_parts import by_hand, embeddings, vector
from small_project import mine as mined
from small_project import repeated, running, tables, tables_of

from promptlab.changed import changed
from promptlab.cli.render import render
from promptlab.errors import BadInput, EndpointUnusable
from promptlab.export import chosen, export
from promptlab.export.loaded import load
from promptlab.finished import Run
from promptlab.forecast import forecast
from promptlab.meter import worst_case
from promptlab.predict import predict
from promptlab.prepare import Prepared, opened
from promptlab.probe import probe
from promptlab.records import Completion, Example, Request
from promptlab.run import load_run, mine, rebuild
from promptlab.steps import settled
from promptlab.store import Store

RETRIEVERS = ("none", "bm25", "dense", "hybrid", "oracle", "wrong")


@pytest.fixture(scope="module")
def one_server() -> Iterator[FaultServer]:
    """One for all tests: its address is part of what a run is."""
    with FaultServer() as served:
        yield served


@pytest.fixture
def server(one_server: FaultServer) -> FaultServer:
    one_server.default = answer
    one_server.seen.clear()
    return one_server


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def variants(prepared: Prepared) -> list[Any]:
    return [prepared.space.variant(point, "grid") for point in prepared.space.points()]


def pick(prepared: Prepared, **slots: Any) -> Any:
    wanted = {f"retrieval.{name}": value for name, value in slots.items()}
    return next(each for each in variants(prepared) if wanted.items() <= each.slots.items())


# ---- a whole run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every retriever on the embedded engine."""
    path = write(
        tmp_path_factory.mktemp("whole"),
        retriever=f"[{', '.join(RETRIEVERS)}]",
        retrieval="order: [best-first, best-last]",
    )
    return mine(opened(path))


def by_retriever(run: Run, retriever: str, k: int | None = None) -> Mapping[str, Any]:
    rows = [each for each in run.rows if each["slot.retrieval.retriever"] == retriever]
    return next(each for each in rows if k is None or each["slot.retrieval.k"] == k)


def test_passages_are_searched_like_any_choice_and_only_they_make_a_variant_rag(whole: Run) -> None:
    assert len(whole.rows) == 2 * (
        1 + 5 * (1 + 2)
    )  # tones x (no passages, or retrievers x (k = 1, or 3 in two orders))
    assert {each["slot.retrieval.retriever"] for each in whole.rows} == set(RETRIEVERS)
    for row in whole.rows:
        assert row["method"] == ("prompting" if row["slot.retrieval.retriever"] == "none" else "rag")
    assert whole.prepared.baseline.slots["retrieval.retriever"] == "none"
    assert not [row for row in whole.rows if row["slot.retrieval.retriever"] == "none" and "slot.retrieval.k" in row]


def test_right_passages_are_worth_more_than_none_and_wrong_ones(whole: Run) -> None:
    scores = {name: by_retriever(whole, name, None if name == "none" else 3)["dev_score"] for name in RETRIEVERS}
    assert scores["oracle"] >= scores["bm25"] > scores["none"]
    assert scores["bm25"] > scores["wrong"]


def test_who_is_told_the_right_passages_cannot_win(whole: Run, tmp_path: Path) -> None:
    assert whole.winner.variant.slots["retrieval.retriever"] in ("bm25", "dense", "hybrid")
    for row in whole.rows:
        if row["slot.retrieval.retriever"] in ("oracle", "wrong"):
            assert row["status"] == "diagnosis"
            assert row["dev_n"] == 12
            assert row.get("test_score") is None
    prepared = opened(write(tmp_path, retriever="[bm25, oracle]", allocate="halving"))
    assert any("cannot win" in each for each in prepared.rows.notes)
    assert not any("cannot win" in each for each in whole.prepared.rows.notes)


def test_measures_are_columns_where_something_was_looked_for(whole: Run) -> None:
    header = whole.columns
    names = "hit_at_k recall_at_k mrr ndcg gold_rank passage_tokens score_hit score_miss grounded"
    for name in names.split():
        assert f"dev.{name}" in header
        assert f"test.{name}" in header
        assert by_retriever(whole, "none").get(f"dev.{name}") is None
    assert by_retriever(whole, "oracle", 1)["dev.hit_at_k"] == 1
    assert by_retriever(whole, "wrong", 3)["dev.hit_at_k"] == 0
    assert by_retriever(whole, "wrong", 3).get("dev.gold_rank") is None
    assert by_retriever(whole, "bm25", 3)["dev.passage_tokens"] > by_retriever(whole, "bm25", 1)["dev.passage_tokens"]


def test_the_score_is_that_of_hits_and_that_of_misses_by_their_shares(whole: Run) -> None:
    for row in whole.rows:
        if row["method"] == "rag":
            names = ("hit_at_k", "score_hit", "score_miss")
            hit, on_hit, on_miss = (row.get(f"dev.{name}") or 0.0 for name in names)
            parts = [(hit, on_hit), (1 - hit, on_miss)]
            assert math.isclose(math.fsum(p * s for p, s in parts if p), row["dev_score"], abs_tol=2e-6)


def test_the_order_of_the_prompt_changes_no_measure_of_the_ranking(whole: Run) -> None:
    by_order = {
        each["slot.retrieval.order"]: [each[f"dev.{name}"] for name in ("hit_at_k", "mrr", "ndcg", "gold_rank")]
        for each in whole.rows
        if each["slot.retrieval.retriever"] == "dense" and each["slot.retrieval.k"] == 3
    }
    assert by_order["best-first"] == by_order["best-last"]


def test_predictions_name_the_passages_in_the_order_of_the_prompt(whole: Run) -> None:
    header, rows = whole.predicted()
    found = [dict(zip(header, row, strict=True)) for row in rows]
    slots = {variant.id: variant.slots for variant in whole.findings.search.view.variants}
    lists: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for row in found:
        told, ids = slots[row["variant"]], json.loads(row["passages"])
        assert len(ids) <= told.get("retrieval.k", 0)
        if told.get("retrieval.k") == 3:
            key = row["example"], told["retrieval.retriever"], told["tone"]
            lists.setdefault(key, {})[told["retrieval.order"]] = ids
    assert lists
    for orders in lists.values():
        if len(orders) == 2:
            assert orders["best-first"] == orders["best-last"][::-1]


def test_names_say_of_retrieval_what_differs(whole: Run) -> None:
    names = {each["name"] for each in whole.rows}
    assert any("retriever=bm25 k=1" in each for each in names)
    assert not any("query=" in each or "rerank=" in each for each in names)


def test_a_run_is_computed_again_from_its_log_alone(whole: Run, tmp_path: Path) -> None:
    before = tables_of(whole.folder)
    prompts = sorted(each.read_text() for each in (whole.folder / "prompts").iterdir())
    (whole.prepared.experiment.folder / "corpus" / "alder.md").rename(tmp_path / "gone.md")
    try:
        again = rebuild(whole.folder)
    finally:
        (tmp_path / "gone.md").rename(whole.prepared.experiment.folder / "corpus" / "alder.md")
    assert tables_of(whole.folder) == before
    assert again.rows == whole.rows
    assert not any("longest that the corpus has" in each for each in prompts)


def test_the_manifest_counts_what_retrieval_asked_and_read(whole: Run) -> None:
    found = json.loads((whole.folder / "manifest.json").read_text())
    assert found["corpus"] == {"documents": 12, "duplicates": 0, "passages": {"1 paragraph": 36}}
    assert found["calls_by_purpose"]["embed"] >= 1 + 12  # the corpus once, each query once for all variants
    assert found["calls_by_purpose"]["embed"] <= 1 + 24


def test_an_export_takes_passages_and_says_so(whole: Run) -> None:
    variant = by_retriever(whole, "bm25", 3)["variant"]
    for kind in ("jinja", "python"):
        files = export(whole, kind, variant)
        assert any("hand them in as passages" in text for text in files.values()), kind
    shown = chosen(whole, variant)
    [messages] = [each.messages(shown.rows[0], ()) for each in shown.prompts]
    assert "Passages" not in messages[-1].content


def test_an_export_without_passages_is_of_fixed_messages(whole: Run) -> None:
    files = export(whole, "messages", by_retriever(whole, "none")["variant"])
    assert "Passages" not in files["messages.json"]
    with pytest.raises(BadInput, match="depends on the row"):
        export(whole, "messages", by_retriever(whole, "bm25", 1)["variant"])


def test_a_winner_asks_with_the_passages_that_it_is_given(whole: Run) -> None:
    said = whole.winner.messages(question="How heavy?", passages=[{"id": "x", "text": "It weighs 5 grams."}])
    assert "[1] It weighs 5 grams." in said[-1]["content"]
    assert "Passages" not in whole.winner.messages(question="How heavy?", passages=[])[-1]["content"]
    with pytest.raises(BadInput, match=r"this prompt reads passages: give passages=\[…\]"):
        whole.winner.messages(question="How heavy?")


def test_an_export_that_retrieves_is_not_asked_without_passages(whole: Run, tmp_path: Path) -> None:
    """Closed-book by mistake would be another prompt than the one that was measured."""
    for kind, retriever in (("jinja", "dense"), ("openai", "dense"), ("jinja", "none")):
        variant = by_retriever(whole, retriever, 3 if retriever == "dense" else None)["variant"]
        for name, text in export(whole, kind, variant).items():
            (tmp_path / kind / retriever / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / kind / retriever / name).write_text(text)
    loaded = load(tmp_path / "jinja" / "dense")
    with pytest.raises(BadInput, match="this prompt reads passages"):
        loaded.messages(question="How heavy?")
    assert "Passages" not in loaded.messages(question="How heavy?", passages=[])[-1]["content"]
    assert "[1] 5 g" in loaded.messages(question="How heavy?", passages=["5 g"])[-1]["content"]
    assert load(tmp_path / "jinja" / "none").messages(question="How heavy?")  # the closed book is what was measured
    how = "corpus corpus/, retriever dense, k 3, chunk 1 paragraph, order best-"
    for path in (tmp_path / "jinja" / "dense" / "prompt.j2", tmp_path / "openai" / "dense" / "prompt.py"):
        assert how in path.read_text()
        assert "embedding embed-small" in path.read_text() or "embedding e)" in path.read_text()
    assert loaded.provenance["retrieval"]["k"] == 3
    assert "passages=[{'id': ..., 'text': ...}, ...]" in (tmp_path / "openai" / "dense" / "prompt.py").read_text()


ONE_BY_ONE = """
import contextlib, io, json, runpy, sys
sys.path.insert(0, ".")

def ran(words):
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = words
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(words[0], run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
    return (1, out.getvalue(), code) if isinstance(code, str) else (code, out.getvalue(), err.getvalue())

print(json.dumps([ran(each) for each in json.load(sys.stdin)]))
"""  # scripts as programs, in one process: the library that they share takes half a second to import


def test_the_scripts_of_an_export_take_passages_from_a_file(whole: Run, server: FaultServer, tmp_path: Path) -> None:
    for name, text in export(whole, "openai", by_retriever(whole, "bm25", 3)["variant"]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "lines.txt").write_text("It weighs 5 grams.\n\nIt is red.\n")
    (tmp_path / "found.json").write_text('[{"text": "It weighs 5 grams."}, "It is red."]')
    (tmp_path / "none.txt").write_text("")
    (tmp_path / "wrong.json").write_text("[5]")
    question = "How many grams does the Elm lamp weigh?"
    shown, none, answered, refused = (
        [["prompt.py", question, "--passages", file] for file in ("lines.txt", "found.json")],
        [["prompt.py", question, "--passages", "none.txt"]],
        [["ask.py", question, "--passages", "lines.txt"]],
        [["ask.py", question, *words] for words in ((), ("--passages", "gone"), ("--passages", "wrong.json"))],
    )
    environment = {**os.environ, "PROMPT_BASE_URL": server.url}
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE], input=json.dumps([*shown, *none, *answered, *refused]), cwd=tmp_path,
        env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    *texts, asked, alone, gone, wrong = json.loads(done.stdout)
    for code, out, err in texts[:2]:
        assert code == 0, err
        assert "[1] It weighs 5 grams.\n[2] It is red." in json.loads(out)[-1]["content"]
    assert "Passages" not in texts[2][1]
    assert asked[0] == 0, asked
    assert "[2] It is red." in server.posts[-1].body["messages"][-1]["content"]
    assert alone[0] == gone[0] == wrong[0] == 1
    assert "this prompt reads passages: add --passages FILE" in alone[2]
    assert "gone: " in gone[2]
    assert "wrong.json: a list of texts" in wrong[2]
    assert len(server.posts) == 1


# ---- killed, repeated, in parallel


def test_killed_while_it_embeds_or_answers_a_run_ends_with_the_tables_of_an_undisturbed_one(
    server: FaultServer, tmp_path: Path
) -> None:
    calm = write(tmp_path / "calm", server.url)
    mine(opened(calm))
    posts, asked = len(server.posts), {each.content for each in server.posts}
    server.seen.clear()
    experiment = write(tmp_path / "killed", server.url)
    for moment in (1, 40):  # while it embeds, while it answers
        with running("mine", experiment, "--yes") as process:
            while len(server.posts) < moment and process.process.is_alive():
                time.sleep(0.001)
            process.send(signal.SIGKILL)
            process.wait()
    process = mined(experiment)
    assert process.wait() == 0, process.said()
    assert "embedding passages" not in process.said()  # all of them are kept by then
    assert tables(experiment) == tables(calm)
    assert {each.content for each in server.posts} == asked
    assert repeated(server) <= 2 * 7  # of each kill, at most what was in flight
    assert len(server.posts) <= posts + 2 * 7


@pytest.mark.parametrize("allocate", ["full", "halving"])
def test_concurrency_changes_nothing_also_where_the_budget_ends_in_the_middle(
    server: FaultServer, tmp_path: Path, allocate: str
) -> None:
    found = []
    for width in (1, 16):
        endpoint = f"{{base_url: '{server.url}', concurrency: {width}, max_retries: 1}}"
        path = write(
            tmp_path / f"{width}", server.url, endpoint=endpoint, retriever="[none, dense]", budget="{calls: 105}",
            allocate=allocate,
        )  # fmt: skip
        found.append(tables_of(mine(opened(path)).folder))
    assert found[0] == found[1]


def test_a_second_run_pays_for_no_passage_again(server: FaultServer, tmp_path: Path) -> None:
    mine(opened(write(tmp_path, server.url)))
    server.seen.clear()
    mine(opened(write(tmp_path, server.url, k="[2]")))
    assert not [each for each in server.posts if "input" in each.body]


def test_a_corpus_that_grew_is_embedded_for_what_is_new(server: FaultServer, tmp_path: Path) -> None:
    mine(opened(write(tmp_path, server.url, retriever="[dense]")))
    (tmp_path / "corpus" / "aaa.md").write_text("The Aspen lamp weighs 5 grams.")  # every batch is another one
    server.seen.clear()
    grown = mine(opened(tmp_path / "experiment.yaml"))
    sent = [each.body["input"] for each in server.posts if "input" in each.body]
    assert sent == [["The Aspen lamp weighs 5 grams."]]
    fresh = tmp_path / "fresh"
    write(fresh, server.url, retriever="[dense]")
    (fresh / "corpus" / "aaa.md").write_text("The Aspen lamp weighs 5 grams.")
    (fresh / "pyproject.toml").write_text("")  # a project of its own
    server.seen.clear()
    anew = mine(opened(fresh / "experiment.yaml"))
    assert len([each for each in server.posts if "input" in each.body]) > 1
    assert tables_of(anew.folder)["predictions.csv"] == tables_of(grown.folder)["predictions.csv"]  # to the last bit
    totals = []
    for run in (anew, grown):
        manifest = json.loads((run.folder / "manifest.json").read_text())
        totals.append((manifest["calls"], manifest["calls_by_purpose"]))
    assert totals[0] == totals[1]
    assert load_run(grown.folder).rows == grown.rows
    server.seen.clear()
    mine(opened(fresh / "experiment.yaml"), fresh=True)
    assert max(len(each.body["input"]) for each in server.posts if "input" in each.body) == 37


# ---- what is asked, and what it costs


def test_calls_that_find_passages_are_those_of_the_prediction_and_of_serving(
    server: FaultServer, tmp_path: Path
) -> None:
    path = write(
        tmp_path, server.url, retriever="[none, dense]", k="[3]",
        retrieval="embedding: {id: e, price: {input: 500, output: 0}}\n  query: [rewrite]\n  rerank: [model]",
    )  # fmt: skip
    run = mine(opened(path))
    purposes: dict[str, Counter[tuple[str, ...]]] = {}
    for row in run.findings.search.predictions:
        slots = next(v.slots for v in run.findings.search.view.variants if v.id == row.variant)
        purposes.setdefault(slots["retrieval.retriever"], Counter())[tuple(call.purpose for call in row.calls)] += 1
    assert set(purposes["none"]) == {("answer",)}
    assert set(purposes["dense"]) == {("rewrite", "embed", "rerank", "answer")}
    closed, dense = (by_retriever(run, name) for name in ("none", "dense"))
    answers = [c.usd for row in run.findings.search.predictions for c in row.calls if c.purpose == "answer"]
    assert dense["usd_per_1k"] > closed["usd_per_1k"] + 500 * 1000 / 1e6  # a query of at least one token, each time
    assert answers


def test_a_budget_is_never_overshot_whatever_is_retrieved(server: FaultServer, tmp_path: Path) -> None:
    path = write(tmp_path, server.url, budget="{usd: 0.2, tokens: 90000}", allocate="halving")
    run = mine(opened(path))
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["list_usd"] <= 0.2
    with pytest.raises(BadInput, match="the budget cannot pay for the corpus"):
        mine(opened(write(tmp_path / "poor", server.url, budget="{calls: 49}")))


def test_what_a_prediction_may_cost_bounds_what_it_sends(server: FaultServer, tmp_path: Path) -> None:
    path = write(tmp_path, server.url, retriever="[bm25, dense, oracle, wrong]", k="[1, 3, 7]")
    prepared = opened(path)
    bounds = {
        (variant.id, example.id): worst_case(prepared.task.requests(variant, example)[0]).tokens
        for variant in variants(prepared)
        for example in prepared.rows.scored
    }
    run = mine(prepared)
    sent = {(row.variant, row.example): row.calls[-1].key for row in run.findings.search.predictions}
    for row in run.findings.search.predictions:
        retriever = next(v for v in variants(prepared) if v.id == row.variant).slots["retrieval.retriever"]
        assert [call.purpose for call in row.calls] == [*(["embed"] if retriever == "dense" else []), "answer"]
    exact = 0
    for variant in run.findings.search.view.variants:
        for example in prepared.rows.dev:
            prompt = prepared.task.prompt(variant)
            request = prompt.request(prompt.messages(example, prompt.shown(example).passages))
            assert request.key == sent[variant.id, example.id]
            assert worst_case(request).tokens <= bounds[variant.id, example.id]
            exact += worst_case(request).tokens == bounds[variant.id, example.id]
    assert exact >= len(prepared.rows.dev) * 3


def test_a_judge_that_compares_is_shown_what_the_baseline_says_of_its_own_passages(
    server: FaultServer, tmp_path: Path
) -> None:
    more = "embedding: {id: e, price: {input: 0.5, output: 0}}\n  query: [rewrite]"
    prepared = opened(write(tmp_path, server.url, retriever="[bm25, dense]", k="[1]", retrieval=more))
    base, other = pick(prepared, retriever="dense"), pick(prepared, retriever="bm25")

    class Compares:
        def __call__(self, example: Example, completion: Any) -> float:
            raise AssertionError("asked without the baseline")

        def beside(self, example: Example, completion: Any, baseline: Any) -> Any:
            said = yield baseline.request
            assert [each.id for each in example.passages]
            return 1.0 if said.text == "base" else 0.0

    task = replace(prepared.task, metrics={"main": Compares()}, baseline=base)

    def reply(request: Request) -> Completion:
        if request.route == "/embeddings":
            return Completion(json.dumps([vector(each) for each in request.body["input"]]))
        return Completion("base" if request.purpose == "judge" else "7")

    row, asked = by_hand(predict(task, other, prepared.rows.dev[0]), reply)
    assert row.score == 1
    assert [each.purpose for each in asked[:2]] == ["rewrite", "answer"]
    assert {each.purpose for each in asked[2:]} == {"judge"}
    assert [each.route for each in asked].count("/embeddings") == 2  # the corpus, and the question


def test_no_prompt_is_longer_than_its_bound_whichever_passage_is_long_in_which_part(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[dense]", k="[1]", chunk="whole")
    corpus = tmp_path / "corpus"
    (corpus / "a.md").write_text("# " + "title " * 90 + "\n\nshort")
    (corpus / "b.md").write_text('"quoted"\n' * 60)
    prepared = opened(path)
    [variant, _] = variants(prepared)
    prompt, row = prepared.task.prompt(variant), prepared.rows.dev[0]
    [longest] = prompt.foreseen(row).passages
    assert prepared.task.shelf is not None
    for each in prepared.task.shelf.library.pool("whole").passages:
        for part in ("id", "text", "title"):
            assert len(json.dumps(getattr(each, part))) <= len(json.dumps(getattr(longest, part)))
        assert len(prompt.request(prompt.messages(row, [each])).content) <= len(
            prompt.request(prompt.messages(row)).content
        )


def test_a_look_at_the_headroom_embeds_the_corpus_beside_its_calls(server: FaultServer, tmp_path: Path) -> None:
    found = probe(opened(write(tmp_path, server.url, retriever="[none, dense]")), calls=20)
    assert found.rows >= 4
    assert len([each for each in server.posts if "messages" in each.body]) <= 20


# ---- without asking anybody


def test_whatever_is_looked_at_beforehand_asks_nobody(server: FaultServer, tmp_path: Path) -> None:
    prepared = opened(write(tmp_path, server.url))
    expected = forecast(prepared)
    assert expected.finding_calls == 1 + 12  # the corpus in one batch, and each dev question
    lexical, dense = (pick(prepared, retriever=name, k=1) for name in ("bm25", "dense"))
    row = prepared.rows.dev[0]
    asked = {name: prepared.task.prompt(each) for name, each in {"bm25": lexical, "dense": dense}.items()}
    assert asked["bm25"].foreseen(row).exact
    assert (
        row.inputs["question"].split(" the ")[1].split()[0]
        in asked["bm25"].messages(row)[-1].content.split("Question")[0]
    )
    assert not asked["dense"].foreseen(row).exact
    assert prepared.door.sent(dense, 3) != prepared.door.sent(pick(prepared, retriever="dense", k=3), 3)
    assert not server.posts


def test_render_shows_what_was_sent_as_soon_as_that_is_known(
    server: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, server.url)
    row = opened(path).rows.dev[0].id
    render(path, row, "retrieval.retriever=dense,retrieval.k=1")
    assert "not known without asking" in capsys.readouterr().out
    assert not server.posts
    run = mine(opened(path))
    render(path, row, "retrieval.retriever=dense,retrieval.k=1")
    said = capsys.readouterr().out
    assert "not known without asking" not in said
    sent = next(each for each in run.findings.search.predictions if each.example == row and each.measures and
                len(each.passages) == 1 and any(call.purpose == "embed" for call in each.calls))  # fmt: skip
    pool = run.prepared.task.shelf.library.pool("1 paragraph") if run.prepared.task.shelf else None
    assert pool is not None
    assert next(each.text for each in pool.passages if each.id == sent.passages[0]) in said


# ---- what cannot work


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"retriever": "[bm26]"}, "bm25"),
        ({"retriever": "[oracle]", "drop": "label: answer, gold: gold, "}, "neither gold nor label"),
        ({"retriever": "[no_such.module:thing]"}, "no_such"),
        ({"empty": True}, "no text was found"),
        ({"template": TEMPLATE.replace("passages", "demos")}, "no template shows `passages`"),
        ({"cut": "retrieval:"}, "or a corpus: retrieval"),
        ({"retrieval": "chunks: whole"}, "chunk"),
        ({"chunk": "{words: 3, overlap: 3}"}, "overlap"),
        ({"retrieval": "order: [worst-first]"}, "best-first"),
        ({"k": "[0]"}, "above 0"),
        ({"drop": "inputs: [question], ", "add": "inputs: [question], passages: texts, "}, "Keep one of them"),
        ({"drop": "gold: gold", "add": "gold: golden"}, "golden"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_spent(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    own = {name: changes.pop(name) for name in ("drop", "add", "empty", "template", "cut") if name in changes}
    path = write(tmp_path, **changes)
    text = path.read_text()
    if "drop" in own:
        text = text.replace(own["drop"], own.get("add", ""))
    if "cut" in own:
        text = text[: text.index(own["cut"])] + text[text.index("answer: number") :]
    path.write_text(text)
    if "template" in own:
        (tmp_path / "templates" / "ask.j2").write_text(own["template"])
    if "passages: texts" in text:
        rows = tmp_path / "rows.jsonl"
        rows.write_text(rows.read_text().replace('"answer"', '"texts": ["a"], "answer"'))
    if "empty" in own:
        for each in (tmp_path / "corpus").iterdir():
            each.write_text(" \n")
    with pytest.raises(BadInput, match=says):
        opened(path)


def test_a_k_past_the_corpus_is_told_and_works(tmp_path: Path) -> None:
    prepared = opened(write(tmp_path, retriever="[bm25]", k="[50]"))
    assert any("`retrieval.k` 50 is more than the 36 passages" in each for each in prepared.rows.notes)
    [variant, _] = variants(prepared)
    assert len(prepared.task.prompt(variant).foreseen(prepared.rows.dev[0]).passages) == 36


@pytest.mark.parametrize(
    ("most", "k", "says"),
    [
        (3, "[3]", "`retrieval.max_tokens: 3` cuts most passages: 36 of 36 "),
        (20, "[1, 8]", "`retrieval.max_tokens: 20` leaves about 1 of `retrieval.k` 8 passages "),
        (400, "[3]", ""),
    ],
)
def test_a_limit_that_leaves_little_is_told(tmp_path: Path, most: int, k: str, says: str) -> None:
    rows = opened(write(tmp_path, retriever="[bm25]", k=k, retrieval=f"max_tokens: {most}")).rows
    told = [each for each in rows.notes if "max_tokens" in each]
    assert len(told) == bool(says)
    assert all(says in each for each in told)


@pytest.mark.parametrize(("most", "hit"), [(3, 0.0), (9, 1.0), (400, 1.0)])
def test_a_passage_cut_before_the_answer_is_no_hit(tmp_path: Path, most: int, hit: float) -> None:
    prepared = opened(write(tmp_path, retriever="[bm25]", k="[1]", retrieval=f"max_tokens: {most}"))
    [variant, _] = variants(prepared)
    row = next(each for each in prepared.rows.dev if each.id == "Larch-weigh")
    shelf = prepared.task.shelf
    assert shelf is not None
    found = settled(shelf.found(variant.slots, row), lambda _: None)
    assert found is not None
    assert shelf.measured(found, row, "507", "507", variant.slots)["hit_at_k"] == hit


def test_gold_that_the_corpus_lacks_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[bm25]")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text().replace("corpus/elm.md", "corpus/oak.md"))
    notes = [each for each in opened(path).rows.notes if "gold" in each]
    assert len(notes) == 1
    assert "2 of 24 rows" in notes[0]


def test_gold_that_is_lost_altogether_stops_who_shows_gold(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[bm25, oracle]")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"corpus/', '"corpsu/'))
    with pytest.raises(
        BadInput, match=r"gold of all 24 rows .* is nothing .* \(.*…\)\. Did you mean 'corpus/\w+\.md'\?"
    ):
        opened(path)
    path.write_text(path.read_text().replace("oracle", "dense"))
    assert opened(path).rows.notes  # told, and no reason to stop


def test_a_file_name_is_gold_enough_where_it_is_unique(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[oracle]", k="[1]")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"corpus/', '"'))
    prepared = opened(path)
    assert not any("gold" in each for each in prepared.rows.notes)
    row = next(each for each in prepared.rows.all if each.id == "Elm-cost")
    assert row.gold == ("corpus/elm.md",)
    rows.write_text(rows.read_text().replace('"elm.md"', '"emm.md"'))
    [note] = [each for each in opened(path).rows.notes if "gold" in each]
    assert "2 of 24 rows" in note
    assert note.endswith("Did you mean 'corpus/elm.md'?")


def test_files_that_were_passed_over_are_told_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[bm25]", k="[1]")
    for name in ("a.docx", "b.docx", "c.png", "d.bin"):
        (tmp_path / "corpus" / name).write_bytes(b"PK\0\0")
    (tmp_path / "corpus" / ".DS_Store").write_bytes(b"\0")
    prepared = opened(path)
    told = "corpus/a.docx: binary; corpus/b.docx: binary; corpus/c.png: binary and 1 more"
    assert f"note: of the corpus, 4 were passed over ({told})" in prepared.rows.notes
    assert (
        "corpus/d.bin: binary" in json.loads((mine(prepared).folder / "manifest.json").read_text())["corpus"]["skipped"]
    )


def test_of_a_corpus_only_the_file_that_differs_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[bm25]", k="[1]")
    run = mine(opened(path))
    (tmp_path / "corpus" / "elm.md").write_text("The Elm lamp is sold out.")
    assert changed(opened(path)).endswith(f"Changed since {run.folder.name}, which is kept: corpus/elm.md")


def test_what_is_the_same_of_stand_ins_is_not_shared(server: FaultServer, tmp_path: Path) -> None:
    """Passages that are not known before anything is asked stand before the question: only the orders are shared."""
    bm25 = write(tmp_path / "bm25", server.url, retriever="[bm25]", k="[3]", retrieval="")
    dense = write(tmp_path / "dense", server.url, retriever="[dense]", k="[3]")
    plans = [forecast(opened(bm25)), forecast(opened(dense))]
    assert plans[1].tokens_shared == pytest.approx(plans[0].tokens_shared, abs=6)
    assert plans[1].tokens_shared < 0.4 * plans[1].tokens_in


def test_a_function_that_is_no_retriever_is_told_at_the_plan(tmp_path: Path) -> None:
    (tmp_path / "mine_odd.py").write_text("def odd(pool):\n    return pool.no_such\n")
    with pytest.raises(BadInput) as raised:
        opened(write(tmp_path, retriever='["mine_odd:odd"]'))
    [problem] = raised.value.problems
    assert "its factory failed: AttributeError" in problem.message


def short(body: Any) -> Reply:
    return embeddings(body["input"], [[1.0, 2.0]] * (len(body["input"]) - 1)) if "input" in body else answer(body)


def uneven(body: Any) -> Reply:
    if "input" not in body or len(body["input"]) > 1:
        return answer(body)
    return embeddings(body["input"], [[1.0, 2.0, 3.0]])


def nested(body: Any) -> Reply:
    return embeddings(body["input"], [[[1.0, 2.0]]] * len(body["input"])) if "input" in body else answer(body)


def absent(body: Any) -> Reply:
    return raw('{"error": {"message": "no such route"}}', status=404) if "input" in body else answer(body)


def zero(body: Any) -> Reply:
    return embeddings(body["input"], [[0.0, 0.0]] * len(body["input"])) if "input" in body else answer(body)


@pytest.mark.parametrize("wrong", [short, uneven, nested, absent, zero])
def test_a_server_that_cannot_embed_ends_the_run_and_nothing_is_scored_with_it(
    server: FaultServer, tmp_path: Path, wrong: Any
) -> None:
    server.default = wrong
    path = write(tmp_path, server.url, retriever="[dense]")
    with pytest.raises(EndpointUnusable):
        mine(opened(path))
    assert not [each for each in server.posts if "messages" in each.body]
    assert not (tmp_path / "results.csv").exists()
    server.default = answer
    assert mine(opened(path), fresh=wrong is uneven).rows  # an answer that is well formed is kept


def test_the_id_of_a_variant_is_that_of_the_corpus_it_reads(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[none, bm25]", k="[1]")
    before = {each.slots["retrieval.retriever"]: each.id for each in variants(opened(path))}
    run = opened(path).identity
    (tmp_path / "corpus" / "alder.md").write_text("The Alder lamp is sold out.")
    after = {each.slots["retrieval.retriever"]: each.id for each in variants(opened(path))}
    assert before["none"] == after["none"]
    assert before["bm25"] != after["bm25"]
    assert opened(path).identity != run


def test_equal_documents_are_one_and_gold_follows(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[oracle]", k="[1]")
    corpus = tmp_path / "corpus"
    (corpus / "aaa.md").write_text((corpus / "larch.md").read_text())  # the first by name stays
    prepared = opened(path)
    assert any("12 documents" in each and "1 that say the same" in each for each in prepared.rows.notes)
    row = next(each for each in prepared.rows.all if each.id == "Larch-cost")
    assert row.gold == ("corpus/aaa.md",)
    assert "Larch lamp costs" in prepared.task.prompt(prepared.baseline).foreseen(row).passages[0].text


def test_a_users_own_retriever_is_kept_with_the_run(tmp_path: Path) -> None:
    own = {
        "mine_own": "def backwards(pool):\n    return lambda query, k: pool.passages[::-1][:k]\n",
        "mine_rank": "def flipped(query, passages):\n    return passages[::-1]\n",
    }
    for name, text in own.items():
        (tmp_path / f"{name}.py").write_text(text)
    path = write(tmp_path, retriever='["mine_own:backwards"]', k="[2]", retrieval='rerank: ["mine_rank:flipped"]')
    run = mine(opened(path))
    for name in own:
        (tmp_path / f"{name}.py").unlink()
    assert load_run(run.folder).rows == run.rows
    store = Store(run.folder / "run.sqlite", None)
    assert {name.rpartition("/")[2] for name in store.inputs()} >= {"mine_own.py", "mine_rank.py", "larch.md"}
    store.close()


def test_a_row_is_measured_by_what_was_ranked_and_shown(tmp_path: Path) -> None:
    prepared = opened(write(tmp_path, retriever="[bm25]", k="[3]", retrieval="max_tokens: 12"))
    [variant, _] = variants(prepared)
    seen = prepared.task.prompt(variant).foreseen(prepared.rows.dev[0]).passages
    assert len(seen) == 1  # the least important fall
    assert isinstance(prepared.rows.dev[0], Example)
    assert isinstance(seen, Sequence)
