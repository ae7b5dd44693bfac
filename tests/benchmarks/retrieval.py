"""Retrievers measured: python tests/benchmarks/retrieval.py [--speed] [--found FOLDER...] [--passages N] [--queries N].

--speed: bm25 against tantivy and bm25s, side by side in one run, on one thread each, over passages made of the
docstrings of the installed packages (and of their words at random, where there are too few). Queries: seven words of a
passage, each replaced by a word of a neighbour with a chance of 35 %. The aims: to index in at most 1.5 times, and to
answer single queries at least as fast as either. tantivy and bm25s have to be installed.
--found: FOLDER holds data.jsonl (question, gold_passage_id, and answers; or question, answer and passages of each row)
and perhaps passages.jsonl (passage_id, title, text). Prints recall at 1 and 5, hits at 3 and MRR of each retriever.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from promptlab.records import Passage
from promptlab.retrieve.bm25 import bm25
from promptlab.retrieve.hybrid import Hybrid
from promptlab.retrieve.pool import Factory, Pool
from promptlab.retrieve.tfidf import tfidf

WORDS = 40
DOCSTRING = re.compile(r'"""(.+?)"""', re.DOTALL)
Answer = Callable[[str, int], Sequence[int]]


def docstrings(count: int) -> tuple[list[str], int]:
    """Passages of about 40 words of the installed packages' docstrings, and how many had to be invented."""
    found: dict[str, None] = {}
    for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py")):
        for held in DOCSTRING.findall(path.read_text(encoding="utf-8", errors="ignore")):
            words = held.split()
            for start in range(0, len(words) - 9, WORDS):
                found[" ".join(words[start : start + WORDS])] = None
        if len(found) >= count:
            break
    texts = list(islice(found, count))
    draw, real = random.Random(0), len(texts)
    pool = " ".join(texts).split()
    texts += [" ".join(draw.choices(pool, k=WORDS)) for _ in range(count - real)]
    return texts, count - real


def queries(texts: Sequence[str], count: int) -> list[tuple[str, int]]:
    """Queries, each with the place of its passage."""
    draw, made = random.Random(1), []
    while len(made) < count:
        place = draw.randrange(1, len(texts) - 1)
        own, near = (re.findall(r"[a-z0-9]{2,}", texts[each].lower()) for each in (place, place + 1))
        if len(set(own)) >= 10 and near:
            asked = [word if draw.random() > 0.35 else draw.choice(near) for word in draw.sample(own, 7)]
            made.append((" ".join(asked), place))
    return made


def ours(texts: Sequence[str], passages: tuple[Passage, ...]) -> Answer:
    """Our bm25, the hash of the passages included."""
    retriever = bm25(Pool.of(passages))
    run(retriever.prepare())

    def answer(query: str, k: int) -> Sequence[int]:
        return [int(each.id) for each in run(retriever(query, k))]

    return answer


def tantivy(texts: Sequence[str], passages: tuple[Passage, ...]) -> Answer:
    """tantivy, one thread, in memory."""
    import tantivy as library

    builder = library.SchemaBuilder()
    builder.add_text_field("text", stored=False)
    builder.add_unsigned_field("place", stored=True, indexed=False)
    index = library.Index(builder.build())
    writer = index.writer(128_000_000, 1)
    for place, text in enumerate(texts):
        writer.add_document(library.Document(text=text, place=place))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def answer(query: str, k: int) -> Sequence[int]:
        hits = searcher.search(index.parse_query(query, ["text"]), k).hits
        return [searcher.doc(address)["place"][0] for _, address in hits]

    return answer


def bm25s(texts: Sequence[str], passages: tuple[Passage, ...]) -> Answer:
    """bm25s, asked one query at a time."""
    import bm25s as library

    def tokens(given: list[str]) -> object:
        return library.tokenize(given, stopwords=None, token_pattern=r"[a-z0-9]+", show_progress=False)

    retriever = library.BM25(method="lucene", k1=1.2, b=0.75)
    retriever.index(tokens(list(texts)), show_progress=False)

    def answer(query: str, k: int) -> Sequence[int]:
        return [int(each) for each in retriever.retrieve(tokens([query]), k=k, show_progress=False).documents[0]]

    return answer


def run(flow: object) -> Sequence[Passage]:
    """What a retriever that asks no model gives."""
    try:
        next(flow)  # type: ignore[call-overload]
    except StopIteration as stop:
        found: Sequence[Passage] = stop.value
        return found
    raise AssertionError("it asks a model")


def speed(count: int, asked: int, rounds: int) -> None:
    """Index time, CPU seconds, queries per second and what was found, the engines in turn; the best of the rounds."""
    texts, invented = docstrings(count)
    made = queries(texts, asked)
    passages = tuple(Passage(str(place), text) for place, text in enumerate(texts))  # what reading a corpus gives
    print(
        f"{len(texts):,} passages of {np.mean([len(each.split()) for each in texts]):.0f} words, {invented:,} invented"
    )
    best: dict[str, list[float]] = {}
    for _ in range(rounds):
        for engine in (ours, tantivy, bm25s):
            began, cpu = time.perf_counter(), time.process_time()
            answer = engine(texts, passages)
            index = time.perf_counter() - began, time.process_time() - cpu
            began, cpu = time.perf_counter(), time.process_time()
            found = [list(answer(query, 10)) for query, _ in made]
            took = time.perf_counter() - began, time.process_time() - cpu
            ranks = [row.index(gold) + 1 if gold in row else 0 for row, (_, gold) in zip(found, made, strict=True)]
            row = [*index, asked / took[0], asked / took[1], np.mean(np.array(ranks) > 0)]
            row.append(np.mean([1 / rank if rank else 0 for rank in ranks]))
            old = best.get(engine.__name__, row)
            best[engine.__name__] = [*map(min, old[:2], row[:2]), *map(max, old[2:], row[2:])]
            del answer
    print(f"{'':10}{'index s':>10}{'CPU s':>8}{'queries/s':>11}{'/CPU-s':>9}{'hit@10':>8}{'MRR@10':>8}")
    for name, (wall, used, rate, pace, hit, mrr) in best.items():
        print(f"{name:10}{wall:10.2f}{used:8.2f}{rate:11.0f}{pace:9.0f}{hit:8.3f}{mrr:8.3f}")
    for other in ("tantivy", "bm25s"):
        mine, its = best["ours"], best[other]
        wall, cpu, rate, pace = (m / i for m, i in zip(mine[:4], its[:4], strict=True))
        print(f"against {other}: index {wall:.2f}x ({cpu:.2f}x of CPU), queries {rate:.2f}x ({pace:.2f}x by CPU)")
    print(f"most memory of the whole run: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def rows(folder: Path) -> tuple[list[Passage], list[tuple[str, set[str]]]]:
    """Passages, and each question with the passages that hold its answer.

    Where rows bring their own passages, all of them together are the corpus, and those of a row that hold its answer
    are gold; rows without one (yes or no) are left out.
    """
    data = [json.loads(line) for line in (folder / "data.jsonl").read_text(encoding="utf-8").splitlines()]
    corpus = folder / "passages.jsonl"
    if corpus.exists():
        held = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
        passages = [Passage(each["passage_id"], each["text"], title=each["title"]) for each in held]
        return passages, [(row["question"], {row["gold_passage_id"]}) for row in data]
    by_text: dict[str, Passage] = {}
    asked = []
    for row in data:
        own = [
            by_text.setdefault(each["text"], Passage(f"p{len(by_text)}", each["text"], title=each["title"]))
            for each in row["passages"]
        ]
        gold = {each.id for each in own if row["answer"].casefold() in each.text.casefold()}
        if gold and row["answer"].casefold() not in {"yes", "no"}:
            asked.append((row["question"], gold))
    return list(by_text.values()), asked


def found(folder: Path) -> None:
    """How much of the gold each retriever finds."""
    passages, asked = rows(folder)
    print(f"\n{folder.name}: {len(passages):,} passages, {len(asked):,} questions")
    print(f"{'':14}{'recall@1':>9}{'recall@5':>9}{'hit@1':>8}{'hit@3':>8}{'hit@5':>8}{'MRR':>8}")
    for name, factory in retrievers():
        retriever = factory(Pool.of(passages))
        ranks = [
            [place for place, each in enumerate(run(retriever(query, len(passages))), 1) if each.id in gold]
            for query, gold in asked
        ]
        cells = [np.mean([sum(r <= k for r in row) / len(gold) for row, (_, gold) in zip(ranks, asked, strict=True)])
                 for k in (1, 5)]  # fmt: skip
        cells += [np.mean([bool(row) and row[0] <= k for row in ranks]) for k in (1, 3, 5)]
        cells.append(np.mean([1 / row[0] if row else 0 for row in ranks]))
        print(f"{name:14}{cells[0]:9.4f}{cells[1]:9.4f}{''.join(f'{each:8.4f}' for each in cells[2:])}")


def retrievers() -> Iterator[tuple[str, Factory]]:
    """The retrievers that ask no model."""
    yield "bm25", bm25
    yield "tfidf", tfidf
    yield "hybrid of both", lambda pool: Hybrid(pool, (bm25(pool), tfidf(pool)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--found", nargs="+", type=Path, default=[])
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.speed:
        speed(given.passages, given.queries, given.rounds)
    for each in given.found:
        found(each)
