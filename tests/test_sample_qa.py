"""The sample set experiments/product_qa keeps its promises: its answers are in its gold passages, and only there.

And its experiment shows what retrieval is worth: answers from the right pages, found ones, none, wrong ones.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from promptlab.cli.compared import show
from promptlab.comparison.compare import compare
from promptlab.experiment import Experiment
from promptlab.finished import Run
from promptlab.prepare import prepare
from promptlab.report import further
from promptlab.run import mine
from promptlab.unit import Unit

FOLDER = Path(__file__).parents[1] / "experiments" / "product_qa"
SHORT = {"yes", "no", "not stated"}  # answers that need not stand in a passage
KINDS = {"lookup", "variant", "bridge", "yesno", "unanswerable"}

Row = dict[str, Any]


def read(name: str) -> list[Row]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def words(text: str) -> list[str]:
    """Numbers with their decimals, words, and the signs that are units; case and other marks dropped."""
    return re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[%°€$/]", text.lower())


def holds(text: str, answer: str) -> bool:
    return f" {' '.join(words(answer))} " in f" {' '.join(words(text))} "


def accepted(row: Row) -> list[str]:
    return [row["answer"]] if isinstance(row["answer"], str) else row["answer"]


def spanned(row: Row) -> bool:
    """Whether the row's answer is a span of a passage."""
    return accepted(row)[0] not in SHORT


CORPUS = {row["id"]: row for row in read("corpus.jsonl")}
QUESTIONS = read("questions.jsonl")
BANK = read("bank.jsonl")
EVERY = QUESTIONS + BANK


def name(row: Row) -> str:
    return str(row["id"])


def test_the_set_is_as_large_as_promised() -> None:
    assert len(CORPUS) >= 60
    assert len(QUESTIONS) >= 150
    assert sum(len(row["gold"]) == 2 for row in QUESTIONS) >= 20
    assert len(BANK) == 12
    assert {row["kind"] for row in QUESTIONS} == KINDS


def test_ids_are_unique() -> None:
    assert len(CORPUS) == len(read("corpus.jsonl"))
    assert len({row["id"] for row in EVERY}) == len(EVERY)


def test_no_question_is_asked_twice_nor_in_the_bank() -> None:
    assert [q for q, n in Counter(" ".join(words(row["question"])) for row in EVERY).items() if n > 1] == []


def test_bank_questions_are_no_rewording_of_scored_ones() -> None:
    def overlap(one: Row, other: Row) -> float:
        left, right = set(words(one["question"])), set(words(other["question"]))
        return len(left & right) / len(left | right)

    assert [(b["id"], q["id"]) for b in BANK for q in QUESTIONS if overlap(b, q) > 0.6] == []


def test_passages_are_short_and_plain() -> None:
    for passage in CORPUS.values():
        assert set(passage) == {"id", "title", "text"}
        assert 40 <= len(passage["text"].split()) <= 110, passage["id"]
        assert "\n" not in passage["text"]


@pytest.mark.parametrize("row", EVERY, ids=name)
def test_given_passages_are_the_gold_ones_among_near_misses(row: Row) -> None:
    given = [passage["id"] for passage in row["passages"]]
    assert len(set(given)) == len(given)
    assert set(row["gold"]) <= set(given)
    assert all(CORPUS[passage["id"]] == passage for passage in row["passages"])
    assert 3 <= len(given) - len(row["gold"]) <= 5
    assert len(row["gold"]) == {"bridge": 2, "unanswerable": 0}.get(row["kind"], 1)


@pytest.mark.parametrize("row", [row for row in EVERY if spanned(row)], ids=name)
def test_the_answer_stands_in_a_gold_passage_and_in_no_given_distractor(row: Row) -> None:
    best = accepted(row)[0]
    others = [passage for passage in row["passages"] if passage["id"] not in row["gold"]]
    assert any(holds(CORPUS[key]["text"], best) for key in row["gold"])
    assert [passage["id"] for passage in others if holds(passage["text"], best)] == []


@pytest.mark.parametrize("row", [row for row in EVERY if row["kind"] == "bridge" and spanned(row)], ids=name)
def test_a_bridge_needs_its_second_passage(row: Row) -> None:
    first, second = (CORPUS[key]["text"] for key in row["gold"])
    assert not holds(first, accepted(row)[0])
    assert holds(second, accepted(row)[0])


def test_not_stated_is_the_answer_exactly_where_nothing_is_gold() -> None:
    assert {row["id"] for row in EVERY if "not stated" in accepted(row)} == {
        row["id"] for row in EVERY if not row["gold"]
    }


def test_yes_and_no_are_both_common() -> None:
    count = Counter(accepted(row)[0] for row in QUESTIONS)
    assert min(count["yes"], count["no"]) >= 8


# --- the experiment: what finds the pages, and what that is worth to the answers --------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The sample with one prompt, every retriever, and dev alone."""
    folder = tmp_path_factory.mktemp("sample")
    for name in ("experiments/product_qa", "templates"):
        shutil.copytree(FOLDER.parents[1] / name, folder / name, ignore=shutil.ignore_patterns("runs", "results.csv"))
    pins = [
        "task=[plain]",
        "format=[short]",
        "bank.k=[0]",
        "retrieval.k=[3]",
        "retrieval.order=[best-first]",
        "exclude=[]",
    ]
    path = folder / "experiments" / "product_qa" / "experiment.yaml"
    return mine(prepare(Experiment.load(path, [f"space.{each}" for each in pins]), test=False))


def scores_of(run: Run, column: str = "dev_score") -> dict[str, float]:
    board = run.results
    named = board["slot.retrieval.retriever"].fillna("closed book")
    return dict(zip(named, board[column], strict=True))


def test_right_pages_beat_found_ones_and_those_beat_none_and_wrong_ones(run: Run) -> None:
    scores = scores_of(run)
    assert set(scores) == {"closed book", "none", "bm25", "hybrid", "oracle", "wrong"}
    assert scores["oracle"] > scores["bm25"] + 0.05
    assert scores["bm25"] > scores["none"] + 0.15
    assert scores["none"] > scores["wrong"]
    assert scores["closed book"] > scores["wrong"]


def test_hits_are_those_of_the_gold_pages(run: Run) -> None:
    hits = scores_of(run, "dev.hit_at_k")
    assert (hits["oracle"], hits["wrong"]) == (1, 0)
    assert 0.8 < hits["bm25"] < 1
    rows = run.predictions.merge(run.results[["variant", "slot.retrieval.retriever"]], on="variant")
    gold = {row["id"]: set(row["gold"]) for row in QUESTIONS}
    for example, shown, hit in rows[rows["slot.retrieval.retriever"] == "bm25"][
        ["example", "passages", "hit_at_k"]
    ].itertuples(index=False):
        named = json.loads(shown)
        assert len(named) == 3
        assert hit != hit if not gold[example] else hit == bool(gold[example] & set(named))


def test_comparing_says_what_to_mend(run: Run) -> None:
    found = compare([run.folder]).runs[run.id].retrieval
    assert found is not None
    told = {way.what.split()[0]: way for way in found.ways}
    assert list(told) == ["closed", "bm25", "hybrid", "oracle", "wrong"]
    bm25 = told["bm25"]
    assert found.variant == bm25.variant
    assert bm25.parts is not None
    right = bm25.parts.hit.value * bm25.parts.score_hit.value
    assert right + (1 - bm25.parts.hit.value) * bm25.parts.score_miss.value == pytest.approx(bm25.parts.score.value)
    assert bm25.parts.hit.value == pytest.approx(scores_of(run, "dev.hit_at_k")["bm25"], abs=1e-5)
    assert bm25.parts.hit.interval.low < bm25.parts.hit.value < bm25.parts.hit.interval.high
    assert found.advice.mend in ("prompt", "both")  # the engine misses half of the answers that it is shown
    assert "oracle" in found.advice.sentence
    shown = io.StringIO()
    show(Console(file=shown, width=200), compare([run.folder]), 3, None)
    assert found.advice.sentence in shown.getvalue()
    assert re.search(r"bm25\s.*\[\d+, \d+\]", shown.getvalue())
    page = str(further.retrieved(run, Unit()))
    assert found.advice.sentence in page
    assert page.count("<table") == 2
    assert "dev.hit_at_k" in page
