"""The `retrieval:` key: what it means, and every problem of it at once, each with its place and its remedy."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from promptlab.errors import Problem
from promptlab.experiment.data import read_data
from promptlab.experiment.models import read_models
from promptlab.experiment.retrieval import read_retrieval
from promptlab.experiment.shape import check_shape
from promptlab.experiment.sheet import read_sheet
from promptlab.retrieve.chunk import Chunking
from promptlab.retrieve.settings import Settings

HEAD = """\
endpoint: embedded
models: [small, {id: far, base_url: "https://far.example/v1"}]
data: {path: rows.csv, inputs: [question, product], label: answer}
retrieval:
"""


def read(
    folder: Path, text: str, head: str = HEAD, sets: tuple[str, ...] = ()
) -> tuple[Settings | None, list[Problem]]:
    (folder / "corpus").mkdir(exist_ok=True)
    (folder / "corpus" / "one.md").write_text("One.", encoding="utf-8")
    (folder / "pages.jsonl").write_text('{"body": "x"}\n', encoding="utf-8")
    (folder / "rows.csv").write_text("question,product,answer\na,b,c\n", encoding="utf-8")
    path = folder / "experiment.yaml"
    path.write_text(head + textwrap.indent(textwrap.dedent(text), "  "), encoding="utf-8")
    sheet = read_sheet(path, sets)
    file = check_shape(sheet)
    models = read_models(sheet, file.endpoint, file.models)
    data = read_data(sheet, file.data, trains=False)
    return read_retrieval(sheet, file.retrieval, file.endpoint, models, data), sheet.problems


def good(folder: Path, text: str, **others: Any) -> Settings:
    found, problems = read(folder, text, **others)
    assert problems == []
    assert found is not None
    return found


def test_every_key_and_its_lists(tmp_path: Path) -> None:
    found = good(
        tmp_path,
        """\
        corpus: [corpus/, "corpus/*.md", {path: pages.jsonl, text: body}]
        chunk: [{words: 120, overlap: 20}, {sentences: 5, overlap: 1}, {paragraphs: 1}, {headings: 2}, whole]
        retriever: [none, tfidf, bm25, dense, hybrid, oracle, wrong, own.module:name]
        k: [3, 8]
        order: [best-first, best-last, document]
        query: [input, "{{ question }} ({{ product }})", rewrite, hyde]
        rerank: [none, model, own.module:name]
        max_tokens: 1500
        embedding: {id: text-embed, params: {dimensions: 64}}
        model: far
        """,
    )
    assert found.corpus == ("corpus/", "corpus/*.md", {"path": "pages.jsonl", "text": "body"})
    assert found.folder == tmp_path
    assert found.chunks == {
        "120 words, overlap 20": Chunking("words", 120, 20),
        "5 sentences, overlap 1": Chunking("sentences", 5, 1),
        "1 paragraph": Chunking("paragraphs", 1, 0),
        "headings to level 2": Chunking("headings", 2, 0),
        "whole": Chunking("whole", 1, 0),
    }
    assert found.retriever[-2:] == ("wrong", "own.module:name")
    assert (found.k, found.max_tokens) == ((3, 8), 1500)
    assert found.order == ("best-first", "best-last", "document")
    assert found.query == ("input", "{{ question }} ({{ product }})", "rewrite", "hyde")
    assert found.rerank == ("none", "model", "own.module:name")
    assert found.embedding is not None
    assert found.model is not None
    assert (found.embedding.id, found.embedding.params, found.model.name) == ("text-embed", {"dimensions": 64}, "far")
    assert found.embedding.endpoint.embedded


def test_the_least_that_there_is(tmp_path: Path) -> None:
    found = good(tmp_path, "corpus: corpus/")
    assert (found.retriever, found.k, found.order, found.query, found.rerank) == (
        ("bm25",), (4,), ("best-first",), ("input",), ("none",),
    )  # fmt: skip
    assert list(found.chunks) == ["120 words, overlap 20"]
    assert (found.embedding, found.model, found.max_tokens) == (None, None, None)
    assert good(tmp_path, "retriever: none").retrieving == ()


def test_without_the_key_there_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, "", head=HEAD.replace("retrieval:\n", "")) == (None, [])


def test_the_embedded_engine_embeds_by_itself_and_the_first_model_rewrites(tmp_path: Path) -> None:
    found = good(tmp_path, "{corpus: corpus/, retriever: dense, query: rewrite}")
    assert found.embedding is not None
    assert found.model is not None
    assert (found.embedding.id, found.model.name) == ("embed-small", "small")
    assert found.embedding.price is not None
    named = good(tmp_path, "{corpus: corpus/, retriever: dense, embedding: other-embed}")
    assert named.embedding is not None
    assert named.embedding.id == "other-embed"


def test_all_problems_are_told_at_once_with_line_and_remedy(tmp_path: Path) -> None:
    _, problems = read(
        tmp_path,
        """\
        corpus: [corpsu/, "corpus/*.pdf", {text: body}]
        retriever: [bm52, bm25]
        k: [3, 0]
        chunk:
          - {words: 20, overlap: 20}
          - {sentences: 5, paragraphs: 1}
          - {headings: 7}
          - halves
        query: [rewite, "{{ questoin }}"]
        rerank: modle
        order: best
        max_tokens: many
        embeding: {id: x}
        """,
    )
    told = {problem.line: [] for problem in problems}  # type: dict[int, list[str]]
    for problem in problems:
        told[problem.line].append(str(problem))
        assert problem.path.endswith("experiment.yaml")
    flat = "\n".join(map(str, problems))
    for line, words in [
        (7, "`retrieval.k[1]` must be a whole number above 0, not 0"),
        (12, "`retrieval.chunk[3]` must be `whole`, or a mapping like {words: 120, overlap: 20}, not 'halves'"),
        (15, "`retrieval.order` must be best-first, best-last or document, not 'best'"),
        (16, "`retrieval.max_tokens` must be a whole number above 0"),
        (17, "unknown key `retrieval.embeding`. Did you mean 'embedding'?"),
        (5, "`retrieval.corpus[0]`: there is no file or folder 'corpsu/'. Did you mean 'corpus'?"),
        (5, "`retrieval.corpus[1]`: no file matches 'corpus/*.pdf'"),
        (5, "`retrieval.corpus[2].path` is missing"),
        (6, "`retrieval.retriever[0]`: there is no 'bm52'. Did you mean 'bm25'?"),
        (13, "there is no query 'rewite'. Did you mean 'rewrite'?"),
        (13, "there is no input `questoin`. Did you mean 'question'?"),
        (14, "`retrieval.rerank`: there is no 'modle'. Did you mean 'model'?"),
    ]:
        assert any(words in each for each in told.get(line, [])), f"{line}: {words}\n{flat}"


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        ("{words: 20, overlap: 20}", "`retrieval.chunk.overlap` must be less than the 20 words of a chunk, not 20"),
        ("{headings: 2, overlap: 1}", "headings do not overlap"),
        ("{headings: 7}", "must be a level from 1 to 6, not 7"),
        ("{words: 5, sentences: 5}", "needs one of words, sentences, paragraphs, headings"),
        ("{overlap: 5}", "needs one of words, sentences, paragraphs, headings"),
        ("[{words: 5}, {words: 5, overlap: 0}]", "`5 words` is there twice"),
        ("{word: 5}", "unknown key `retrieval.chunk[0].word`. Did you mean 'words'?"),
        ("{words: 5.5}", "must be a whole number above 0, not 5.5"),
    ],
)
def test_chunks_that_cannot_be_cut(chunk: str, words: str, tmp_path: Path) -> None:
    _, problems = read(tmp_path, f"{{corpus: corpus/, chunk: {chunk}}}")
    assert words in "\n".join(map(str, problems))
    assert len(problems) == 1
    assert problems[0].line == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{retriever: bm25}", "`retrieval.corpus` is missing. Name a folder"),
        ("{corpus: corpus/, model: far}", "`retrieval.model` has nothing to do"),
        ("{corpus: corpus/, embedding: x}", "`retrieval.embedding` has nothing to do"),
        ("{corpus: corpus/, query: hyde, model: fra}", "there is no model 'fra'. Did you mean 'far'?"),
        ("{corpus: corpus/, retriever: [bm25, bm25]}", "name each value once; 'bm25' is there twice"),
        ("{corpus: corpus/, query: '{{ question'}", "unexpected end of template"),
        ("{corpus: corpus/, embedding: {id: x, api_key: sk}}", "holds an API key"),
    ],
)
def test_settings_that_do_not_fit_together(text: str, words: str, tmp_path: Path) -> None:
    _, problems = read(tmp_path, text)
    assert words in "\n".join(map(str, problems))


def test_another_endpoint_needs_an_embedding_model_by_name(tmp_path: Path) -> None:
    head = HEAD.replace("[small, {", "[{").replace("endpoint: embedded", "endpoint: {base_url: 'https://a.example/v1'}")
    _, problems = read(tmp_path, "{corpus: corpus/, retriever: [bm25, hybrid]}", head=head)
    (problem,) = problems
    assert problem.message == "the retriever 'hybrid' needs an embedding model"
    assert problem.remedy == "Name it as its endpoint does: retrieval: {embedding: {id: …}}."
    found = good(tmp_path, "{corpus: corpus/, retriever: hybrid, embedding: {id: e5}}", head=head)
    assert found.embedding is not None
    assert found.embedding.endpoint.base_url == "https://a.example/v1"


def test_a_set_on_the_command_line_is_told_as_such(tmp_path: Path) -> None:
    _, problems = read(tmp_path, "corpus: corpus/", sets=("retrieval.retriever=bm52",))
    assert str(problems[0]).startswith("--set retrieval.retriever: `retrieval.retriever`: there is no 'bm52'")
    assert read(tmp_path, "corpus: corpus/", sets=("retrieval.k=[1,2]",))[0].k == (1, 2)  # type: ignore[union-attr]
