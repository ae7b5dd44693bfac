"""What comparing says of retrieval, from tables alone: which variants stand side by side, and their parts."""

from __future__ import annotations

import io
import math
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from promptlab.cli.compared_tables import retrieval_table
from promptlab.comparison.retrieval import MEASURES, Retrieval, cells, identity, retrieval
from promptlab.report import further
from promptlab.unit import Unit

RETRIEVER, K, ORDER = "slot.retrieval.retriever", "slot.retrieval.k", "slot.retrieval.order"
ROWS = 40


def variant(name: str, retriever: Any, share: float, hits: float | None = None, **slots: Any) -> dict[str, Any]:
    """A variant of a run: right on the first share of its rows, gold found on the first ``hits`` of them."""
    base = {"run": "r1", "variant": name, "model": "small", "template": "qa", "slot.task": "plain"}
    where = {RETRIEVER: retriever, K: math.nan if retriever in (None, "none") else 3.0, ORDER: None}
    return base | where | slots | {"share": share, "hits": hits}


def tables(*variants: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [
        {
            "run": "r1",
            "variant": each["variant"],
            "example": f"e{n}",
            "split": "dev",
            "score": float(n < each["share"] * ROWS),
            "hit_at_k": math.nan if each["hits"] is None else float(n < each["hits"] * ROWS),
        }
        for each in variants
        for n in range(ROWS)
    ]
    return pd.DataFrame(variants).drop(columns=["share", "hits"]), pd.DataFrame(rows)


FULL = (
    variant("v0", None, 0.1, template="closed"),
    variant("v1", "none", 0.2),
    variant("v2", "bm25", 0.6, 0.75, **{ORDER: "best-last"}),
    variant("v3", "bm25", 0.5, 0.75),
    variant("v4", "oracle", 0.9, 1.0),
    variant("v5", "wrong", 0.05, 0.0),
    variant("v6", "oracle", 1.0, 1.0, **{"slot.task": "expert"}),
)


def test_one_prompt_stands_with_every_retrieval_of_its_own() -> None:
    found = retrieval(*tables(*FULL))
    assert found is not None
    assert found.variant == "v2"
    assert [(way.variant, way.what) for way in found.ways] == [
        ("v1", "closed book"),
        ("v2", "bm25 k=3 best-last"),
        ("v3", "bm25 k=3"),
        ("v4", "oracle k=3"),
        ("v5", "wrong k=3"),
    ]
    assert found.advice.mend == "retriever"
    assert found.advice.sentence.startswith("Closed book 20.0, these passages 60.0, oracle 90.0; ")
    own = found.ways[1].parts
    assert own is not None
    assert (own.hit.value, own.score_hit.value, own.score_miss.value) == pytest.approx((0.75, 0.8, 0))


def test_another_template_is_the_closed_book_where_the_prompt_has_none() -> None:
    found = retrieval(*tables(FULL[0], *FULL[2:]))
    assert found is not None
    assert (found.ways[0].variant, found.ways[0].what) == ("v0", "closed book (closed)")
    assert found.advice.sentence.startswith("Closed book 10.0, ")


def test_without_an_oracle_it_asks_for_one() -> None:
    found = retrieval(*tables(*FULL[:4]))
    assert found is not None
    assert "add `oracle`" in found.advice.sentence


def test_rows_without_gold_leave_the_parts_out() -> None:
    board, predictions = tables(*FULL)
    for rows in (predictions.drop(columns="hit_at_k"), predictions.assign(hit_at_k=math.nan)):
        found = retrieval(board, rows)
        assert found is not None
        assert all(way.parts is None for way in found.ways)
        assert cells(found, Unit())[1][1][4:] == ["", "", ""]


def test_nothing_is_said_where_nothing_was_looked_for() -> None:
    board, predictions = tables(*FULL)
    assert retrieval(board.drop(columns=RETRIEVER), predictions) is None
    assert retrieval(*tables(FULL[0], FULL[1], FULL[4])) is None
    assert retrieval(board, predictions.assign(split="test")) is None


def test_the_table_has_the_measures_of_the_run() -> None:
    board, predictions = tables(*FULL)
    board["dev.mrr"] = [math.nan, math.nan, 0.654321, 0.7, 1, 0, 1]
    board["dev.passage_tokens"] = [math.nan, math.nan, 277.2, 277, 99, 277, 99]
    found = retrieval(board, predictions)
    assert found is not None
    head, rows = cells(found, Unit())
    assert head == ["passages", "variant", "rows", "score [95 %]", "hit@k", "if hit", "if missed", "mrr", "tokens"]
    assert rows[0][3:] == [rows[0][3], "", "", "", "", ""]
    assert rows[1][:3] == ["bm25 k=3 best-last", "v2", "40"]
    assert rows[1][3].startswith("60.0 [")
    assert rows[1][-2:] == ["0.654", "277"]


def test_gold_that_the_corpus_lacks_is_what_is_to_be_mended() -> None:
    lost = [variant("v4", "oracle", 0.0, 0.0) if each["variant"] == "v4" else each for each in FULL]
    board, predictions = tables(*lost)
    board["dev.passage_tokens"] = [math.nan, math.nan, 277.2, 277, 0, 277, 0]
    found = retrieval(board, predictions)
    assert found is not None
    assert found.advice.mend == "gold"
    assert found.advice.sentence.startswith("The oracle knew no passage: ")


def test_rows_for_which_the_oracle_has_no_gold_are_counted() -> None:
    some = [variant("v4", "oracle", 0.9, 0.75) if each["variant"] == "v4" else each for each in FULL]
    found = retrieval(*tables(*some))
    assert found is not None
    assert found.advice.mend == "retriever"
    assert found.advice.sentence.endswith("The oracle had no gold for 10 of 40 rows: look at their `gold`.")


def test_what_the_columns_add_up_to_is_said_of_the_rows_that_it_holds_for() -> None:
    board, predictions = tables(*FULL)
    found = retrieval(board, predictions)
    assert found is not None
    assert identity(found) == "score = hit@k x if hit + (1 - hit@k) x if missed"
    predictions.loc[predictions["example"].isin(["e0", "e9", "e39"]), "hit_at_k"] = math.nan
    found = retrieval(board, predictions)
    assert found is not None
    assert identity(found).endswith(" on the 37 rows whose gold is known; score is of all rows")


QUERY = "slot.retrieval.query"


def crowd() -> Retrieval:
    """A space of 138 ways to find passages, most of them better than those that the advice cites."""
    long = "A long template that goes on and on: {{ question }} in the words of "
    many = [
        variant(f"m{n:08}", "bm25", 0.5 + 0.002 * n, 0.75, **{K: float(1 + n), QUERY: f"{long}{n % 3}"})
        for n in range(134)
    ]
    ends = [
        variant("closed00", "none", 0.1),
        variant("best0000", "hybrid", 0.95, 0.9, **{QUERY: "input"}),
        variant("oracle00", "oracle", 0.2, 1.0),
        variant("wrong000", "wrong", 0.05, 0.0),
    ]
    board, predictions = tables(*many, *ends)
    for name in MEASURES:
        board[f"dev.{name}"] = 0.123456
    found = retrieval(board, predictions)
    assert found is not None
    return found


def test_of_many_ways_those_that_are_cited_are_shown_and_then_the_best() -> None:
    found = crowd()
    assert len(found.ways) == 138
    assert found.cited == ("closed00", "best0000", "oracle00", "wrong000")
    kept = [way.variant for way in found.first(24).ways]
    assert len(kept) == 24
    assert kept[0] == "closed00"
    assert kept[-2:] == ["oracle00", "wrong000"]
    assert "best0000" in kept
    others = [way for way in found.ways if way.variant not in found.cited]
    assert set(kept) - {*found.cited} == {way.variant for way in others[:20]}
    assert [way.variant for way in found.first(0).ways] == ["closed00", "best0000", "oracle00", "wrong000"]


def test_long_queries_are_shortened_and_told_apart() -> None:
    said = {way.what.partition("query ")[2] for way in crowd().ways}
    assert said == {"", "A long template tha…", "A long template tha… #2", "A long template tha… #3"}


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_is_readable_at_the_width_of_the_terminal(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(retrieval_table(crowd(), Unit()))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    head = next(line for line in lines if line.startswith("passages"))
    assert all(name in head for name in ("variant", "score [95 %]", "hit@k", "if hit", "if missed"))
    assert ("ndcg" in head) is (width == 200)
    told = out.getvalue().replace("tha…", "")
    assert "…" not in told  # nothing is cut but the queries
    assert all(any(name in line for line in lines) for name in ("closed00", "best0000", "oracle00", "wrong000"))
    assert "114 more ways" in told
    assert "95.0 [" in next(line for line in lines if line.startswith("hybrid k=3"))


def test_the_page_takes_measures_of_retrieval_out_of_the_further_metrics() -> None:
    names = [
        f"dev.{name}"
        for name in ("hit_at_k", "mrr", "ndcg", "gold_rank", "score_hit", "score_miss", "passage_tokens", "grounded")
    ]
    row = {"variant": "v1", "name": "one", RETRIEVER: "bm25", **dict.fromkeys(names, 0.5), "dev.f1": 0.5}
    columns = [RETRIEVER, *names, "dev.f1"]
    shown = str(further.retrieval([row], columns))
    assert all(name in shown for name in names)
    assert "dev.f1" not in shown
    metrics = str(further.metrics([row], columns))
    assert "dev.f1" in metrics
    assert not any(name in metrics for name in names)
