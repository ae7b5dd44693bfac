"""Retrieval through the whole tool, on questions with a corpus: python tests/benchmarks/rag.py DIR...

    [--rows 200] [--retrievers none,tfidf,bm25,hybrid,oracle,wrong] [--k 1,5] [--seed 7] [--out F.csv]

Each DIR holds data.jsonl: question, answers (or answer), and gold_passage_id with passages.jsonl beside it (passage_id,
title, text); or passages in every row ({title, text}), whose union is the corpus then. Where no row says what is gold,
it is those of the row's own passages in which its answer stands, and nothing where that is yes or no. The embedded
engine answers; every row is a dev row. Prints for each retriever and k what was found (hit@k, recall@k, MRR, nDCG) and
what was answered: the score (equal to an accepted answer, folded), token F1, the score given a hit and given a miss;
and what `compare` says is to be mended. The answers are those of no language model; what was found is.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import pandas as pd  # noqa: E402 - the path above comes first

from promptlab.comparison.retrieval import retrieval  # noqa: E402
from promptlab.experiment import Experiment  # noqa: E402
from promptlab.finished import Run  # noqa: E402
from promptlab.prepare import prepare  # noqa: E402
from promptlab.run import mine  # noqa: E402

Row = dict[str, Any]
TEMPLATE = """\
---
inputs: [question]
---
{% system %}
Answer the question from the numbered passages only. If the passages do not say, answer: not stated.
Where a yes or a no is enough, that is the whole answer. Answer with the shortest phrase that is enough, nothing else.
{% endsystem %}
{% user %}
{% for passage in passages %}
[{{ loop.index }}] {{ passage.title.split() | join(" ") }}: {{ passage.text.split() | join(" ") }}
{% endfor %}

Question: {{ question }}
{% enduser %}
"""
FOUND = ("hit_at_k", "recall_at_k", "mrr", "ndcg", "gold_rank", "passage_tokens")
ANSWERED = ("score_hit", "score_miss", "f1", "grounded")


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def told(folder: Path) -> tuple[list[Row], list[Row]]:
    """Questions (id, question, answer, gold) and pages (id, title, text)."""
    rows = read(folder / "data.jsonl")
    if (folder / "passages.jsonl").is_file():
        pages = [
            {"id": p["passage_id"], "title": p["title"], "text": p["text"]} for p in read(folder / "passages.jsonl")
        ]
        return [_question(row, [row["gold_passage_id"]]) for row in rows], pages
    names: dict[tuple[str, str], str] = {}
    for row in rows:
        for page in row["passages"]:
            names.setdefault((page["title"], page["text"]), f"p{len(names)}")
    pages = [{"id": name, "title": title, "text": text} for (title, text), name in names.items()]
    return [_question(row, list(_holding(row, names))) for row in rows], pages


def _answers(row: Row) -> list[str]:
    return list(row["answers"]) if "answers" in row else [row["answer"]]


def _question(row: Row, gold: list[str]) -> Row:
    return {"id": row["id"], "question": row["question"], "answer": _answers(row), "gold": gold}


def _holding(row: Row, names: dict[tuple[str, str], str]) -> Iterator[str]:
    """The ids of the row's own passages in which its answer stands."""
    wanted = [each for each in _answers(row) if each.casefold() not in ("yes", "no")]
    for page in row["passages"]:
        said = f"{page['title']} {page['text']}".casefold()
        if any(re.search(rf"(?<!\w){re.escape(each.casefold())}(?!\w)", said) for each in wanted):
            yield names[page["title"], page["text"]]


def laid(folder: Path, source: Path, args: argparse.Namespace) -> Path:
    """The experiment over some of the questions, as evenly as they lie, and the whole corpus."""
    questions, pages = told(source)
    if args.rows:
        step = max(1, len(questions) // args.rows)
        questions = questions[::step][: args.rows]
    for name, rows in (("questions", questions), ("corpus", pages)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "rag.j2").write_text(TEMPLATE, "utf-8")
    settings = {
        "name": source.name.replace("_", "-"),
        "endpoint": "embedded",
        "models": ["small"],
        "params": {"max_tokens": 64},
        "data": {"path": "questions.jsonl", "id": "id", "inputs": ["question"], "gold": "gold", "split": "all",
                 "label": {"column": "answer", "many": "any"}},
        "templates": ["rag.j2"],
        "retrieval": {"corpus": {"path": "corpus.jsonl", "id": "id", "title": "title", "text": "text"},
                      "chunk": "whole", "retriever": args.retrievers, "k": args.k},
        "answer": "text",
        "metrics": {"main": "normalised", "f1": "token_f1"},
        "search": {"propose": ["grid"], "allocate": "full", "objective": "main", "finalists": 1},
        "seed": args.seed,
    }  # fmt: skip
    path = folder / "experiment.yaml"
    path.write_text(json.dumps(settings, indent=1), "utf-8")
    return path


def table(run: Run) -> pd.DataFrame:
    """A row for every retriever and k."""
    board = run.results
    shown = pd.DataFrame({"retriever": board["slot.retrieval.retriever"], "k": board["slot.retrieval.k"]})
    shown["score"] = board["dev_score"]
    for name in (*FOUND, *ANSWERED):
        column = f"dev.{name}"
        if column in board.columns:
            shown[name] = board[column]
    return shown.sort_values(["retriever", "k"]).reset_index(drop=True)


def main(arguments: Sequence[str] | None = None) -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("folders", nargs="+", type=Path)
    reader.add_argument("--rows", type=int, default=200, help="questions; 0 = all")
    reader.add_argument(
        "--retrievers", type=lambda text: text.split(","), default="none,tfidf,bm25,hybrid,oracle,wrong"
    )
    reader.add_argument("--k", type=lambda text: [int(each) for each in text.split(",")], default="1,5")
    reader.add_argument("--seed", type=int, default=7)
    reader.add_argument("--out", type=Path)
    args = reader.parse_args(arguments)
    tables = []
    for source in args.folders:
        with tempfile.TemporaryDirectory() as place:
            begun = time.monotonic()
            prepared = prepare(Experiment.load(laid(Path(place), source, args)))
            run = mine(prepared)
            found = retrieval(run.results, run.predictions)
            pages = len(read(Path(place) / "corpus.jsonl"))
            rows = len(prepared.rows.dev)
            tables.append(table(run).assign(data=source.name))
        print(f"\n{source.name}: {rows} questions, {pages} pages, {time.monotonic() - begun:.0f} s")
        print(tables[-1].drop(columns="data").round(3).to_string(index=False, na_rep=""))
        if found is not None:
            print(found.advice.sentence)
    if args.out:
        pd.concat(tables).to_csv(args.out, index=False)


if __name__ == "__main__":
    main()
