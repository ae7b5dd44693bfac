"""Retrievers: the contract that all keep, what each finds, and what is kept on disk."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retriever_contract import CONTRACT, TEXTS, pool, sound, unasked

from promptlab.errors import BadInput
from promptlab.importing import imported
from promptlab.records import Completion, Endpoint, Example, Flow, Model, Passage, Request
from promptlab.retrieve import RETRIEVERS, Retriever, counts, index
from promptlab.retrieve.bm25 import Bm25, bm25
from promptlab.retrieve.gold import Answers
from promptlab.retrieve.hybrid import Hybrid
from promptlab.retrieve.known import Known, none, oracle, wrong
from promptlab.retrieve.parts import loaded
from promptlab.retrieve.pool import Factory, Pool, content_key
from promptlab.retrieve.settings import Settings
from promptlab.retrieve.terms import OTHER, forms, stem, weighed, words
from promptlab.retrieve.tfidf import tfidf
from promptlab.retrieve.top import top

OWN = '''
from promptlab.records import Passage

def newest(pool):
    """The last passages of the corpus, whatever is asked."""
    def find(query, k):
        yield from ()
        last = [each.id for each in pool.passages][::-1]
        size = len(last)
        return tuple(pool.found([size - 1 - at for at in range(max(min(k, size), 0))],
                                [float(size - at) for at in range(max(min(k, size), 0))]))
    return find
'''


def fused(pool: Pool) -> Hybrid:
    return Hybrid(pool, (bm25(pool), tfidf(pool)))


def told(name: str) -> Factory:
    """What oracle and wrong are once they know a row."""
    example = Example("e", {"q": "card fee"}, label="two euros", gold=("d4",))
    return lambda pool: {"oracle": oracle, "wrong": wrong}[name](pool).for_example(example)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "shop" / "search.py").write_text(OWN, encoding="utf-8")
    for name in ("shop", "shop.search"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return loaded(Settings((), tmp_path, ("bm25", "shop.search:newest"))).retrievers["shop.search:newest"]


FACTORIES: dict[str, Factory] = {
    "none": none, "bm25": bm25, "tfidf": tfidf, "fused": fused, "oracle": told("oracle"), "wrong": told("wrong"),
    "oracle without a row": oracle,
}  # fmt: skip


@pytest.mark.parametrize("claim", CONTRACT)
@pytest.mark.parametrize("name", FACTORIES)
def test_every_retriever_keeps_the_contract(name: str, claim: str) -> None:
    CONTRACT[claim](FACTORIES[name], unasked)


@pytest.mark.parametrize("claim", CONTRACT)
def test_a_users_own_retriever_can_keep_the_contract(own: Factory, claim: str) -> None:
    CONTRACT[claim](own, unasked)


def test_the_contract_finds_out_who_does_not_keep_it() -> None:
    def twice(pool: Pool) -> Retriever:
        def find(query: str, k: int) -> Flow[tuple[Passage, ...]]:
            yield from ()
            return pool.found([0] * min(max(k, 0), 2), [1.0] * min(max(k, 0), 2))

        return find

    with pytest.raises(AssertionError):
        CONTRACT["gives_at_most_k_best_first"](twice, unasked)


def test_every_name_is_a_factory() -> None:
    """What the dict names can be imported, but for what needs an extra."""
    for name, address in RETRIEVERS.items():
        assert callable(imported(f"the retriever {name!r}", address, Path(), RETRIEVERS))


def found(factory: Factory, query: str, k: int = 3, *texts: str) -> list[str]:
    return [each.text for each in unasked(factory(pool(*texts))(query, k))]


@pytest.mark.parametrize("factory", [bm25, tfidf, fused])
def test_what_shares_rare_words_with_the_query_comes_first(factory: Factory) -> None:
    assert found(factory, "How long does a transfer abroad take?")[0] == TEXTS[2]
    assert found(factory, "cards: which fees?")[0] == TEXTS[4]  # plural endings do not matter
    assert found(factory, "五日")[0] == TEXTS[6]  # nor does a script without spaces
    assert found(factory, "GRÖSSE der STRASSE")[0] == TEXTS[5]  # nor case: ß folds to ss


def test_a_title_is_searched_too() -> None:
    given = Pool.of([Passage("a", "It takes three days."), Passage("b", "It takes five days.", title="Refunds")])
    assert [each.id for each in unasked(bm25(given)("refund days", 1))] == ["b"]


@pytest.mark.parametrize("factory", [bm25, tfidf])
def test_a_k_past_the_corpus_gives_all_of_it(factory: Factory) -> None:
    """Those that share nothing with the query stand last, in corpus order, with a score of 0."""
    given = pool()
    ranked = sound(unasked(factory(given)("Oslo", 99)), 99, given)
    assert [each.id for each in ranked] == ["p3", "p0", "p1", "p2", "p4", "p5", "p6", "p7"]
    assert [each.score > 0 for each in ranked] == [True] + [False] * 7


TERMS = st.sampled_from(["a", "b", "c", "d", "fee", "fees", "policy", "policies", "as"])
CORPORA = st.lists(st.lists(TERMS, max_size=12).map(" ".join), min_size=1, max_size=40)


def plain_bm25(texts: list[str], query: str) -> list[float]:
    """BM25 as its formula reads."""
    docs = [words(text) for text in texts]
    mean = max(sum(map(len, docs)) / len(docs), 1.0)
    scores = []
    for doc in docs:
        total = 0.0
        for term, factor in weighed(query).items():
            held = sum(term in each for each in docs)
            idf = np.log(1 + (len(docs) - held + 0.5) / (held + 0.5))
            tf = doc.count(term)
            total += factor * idf * tf / (tf + 1.2 * (0.25 + 0.75 * len(doc) / mean)) if held else 0.0
        scores.append(total)
    return scores


@settings(max_examples=80, deadline=None)
@given(CORPORA, st.lists(TERMS, max_size=6).map(" ".join), st.integers(1, 12))
def test_bm25_is_its_formula(texts: list[str], query: str, k: int) -> None:
    """Whichever way terms are added: here all as rare ones, then by how frequent they are."""
    given_ = pool(*texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("promptlab.retrieve.impacts._FREQUENT", 0)
        rare = unasked(bm25(given_)(query, k))
    ranked = sound(unasked(bm25(given_)(query, k)), k, given_)
    assert rare == ranked
    wanted = plain_bm25(texts, query)
    assert [each.score for each in ranked] == pytest.approx(sorted(wanted, reverse=True)[:k], rel=1e-4, abs=1e-6)
    for each in ranked:
        assert each.score == pytest.approx(wanted[int(each.id[1:])], rel=1e-4, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(CORPORA, st.lists(TERMS, max_size=6).map(" ".join), st.sampled_from([0, 2, 5, 16]))
def test_the_best_are_those_of_all_passages(texts: list[str], query: str, frequent: int) -> None:
    """For every k, ties and all, to the bit: whichever terms are rare, and so whatever bound is taken for them."""
    retriever = Bm25(pool(*texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("promptlab.retrieve.impacts._FREQUENT", frequent)
        every = retriever.scores(query).tolist()
        wanted = sorted(range(len(texts)), key=lambda at: (-every[at], at))
        for k in range(1, len(texts) + 2):
            best = [(int(each.id[1:]), each.score) for each in unasked(retriever(query, k))]
            assert best == [(at, every[at]) for at in wanted[:k]]


def test_a_search_gives_what_sorting_all_scores_gives() -> None:
    """5,000 passages of words as unequal as in a language: the same passages in the same order, to the bit."""
    rng = np.random.default_rng(3)
    texts = [" ".join(f"w{n}" for n in rng.zipf(1.4, 12).clip(max=3000)) for _ in range(5_000)]
    retriever = Bm25(pool(*texts))
    for _ in range(60):
        query = " ".join(f"w{n}" for n in rng.zipf(1.4, 8).clip(max=3000))
        for k in (1, 8, 300):
            every = retriever.scores(query)
            best = top(every, k)
            assert [(int(each.id[1:]), each.score) for each in unasked(retriever(query, k))] == [
                (int(at), float(every[at])) for at in best
            ]


def test_tfidf_gives_the_numbers_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.feature_extraction.text")
    texts = [*TEXTS, "card card card fee", "fee", "nothing here"]
    vectors = sklearn.TfidfVectorizer(analyzer=words, sublinear_tf=True)
    matrix = vectors.fit_transform(texts)
    given_ = pool(*texts)
    for query in ("card fee", "card card abroad", "two euros a month in Oslo", "fees", "zzz"):
        asked = np.zeros(len(vectors.idf_))
        for word in {*words(query)} & {*vectors.vocabulary_}:
            asked[vectors.vocabulary_[word]] = 1 + np.log(words(query).count(word))
        for form in {form for word in words(query) for form in forms(word)} & {*vectors.vocabulary_}:
            asked[vectors.vocabulary_[form]] = asked[vectors.vocabulary_[form]] or OTHER
        asked *= vectors.idf_
        wanted = matrix @ (asked / (np.linalg.norm(asked) or 1))
        ranked = unasked(tfidf(given_)(query, 99))
        assert [each.score for each in ranked] == pytest.approx([wanted[int(each.id[1:])] for each in ranked], abs=1e-6)
        assert [each.score for each in ranked] == pytest.approx(sorted(wanted, reverse=True), abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, -1.0]), max_size=30), st.integers(-1, 40))
def test_top_is_a_stable_sort(scores: list[float], k: int) -> None:
    wanted = sorted(range(len(scores)), key=lambda at: (-scores[at], at))[: max(k, 0)]
    assert top(np.array(scores), k).tolist() == wanted


@given(st.text())
def test_words_are_words_of_the_folded_text(text: str) -> None:
    """No space, no case, no line end in them: indexes put them on lines."""
    assert all(word and not word.isspace() and "\n" not in word and word == word.casefold() for word in words(text))
    assert words(text.upper()) == words(text.upper().lower()) or not text.isascii()


def test_a_query_counts_its_words_once_and_their_other_forms_a_little() -> None:
    assert weighed("card fees card") == {"card": 1, "fees": 1, "cards": OTHER, "fee": OTHER}
    assert weighed("fee fees") == {"fee": 1, "fees": 1}
    assert weighed("card card fee", float) == {"card": 2, "fee": 1, "cards": 2 * OTHER, "fees": OTHER}
    assert weighed("policy policy policys", float)["policies"] == 2 * OTHER  # the form of two words: the higher
    assert forms("policy") == {"policies", "policys"}
    assert forms("policies") == {"policy", "policys"}
    assert forms("glass") == forms("bus") == set()
    assert forms("") == set()


def test_a_word_itself_counts_more_than_its_plural() -> None:
    for factory in (bm25, tfidf):
        assert found(factory, "card", 3, "other", "cards", "card") == ["card", "cards", "other"]
        assert found(factory, "cards", 3, "other", "card", "cards") == ["cards", "card", "other"]


@given(st.text("asiey", max_size=6))
def test_forms_are_of_one_stem_and_go_both_ways(word: str) -> None:
    for form in forms(word):
        assert stem(form) == stem(word)
        assert word in forms(form)


def test_words_and_stems() -> None:
    assert words("Don't re-use v2.0_final, \uff21\uff22\uff23 \uff11\uff12!") == [
        "don",
        "t",
        "re",
        "use",
        "v2",
        "0",
        "final",
        "abc",
        "12",
    ]
    assert words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]
    assert words("5日で返") == ["5", "日", "で", "返", "日で", "で返"]
    pairs = {
        "fees": "fee",
        "policies": "policy",
        "glass": "glass",
        "bus": "bus",
        "s": "s",
        "ties": "tie",
        "skies": "sky",
        "charges": "charge",
    }
    assert {word: stem(word) for word in pairs} == pairs


# hybrid


def test_hybrid_adds_reciprocal_ranks() -> None:
    given_ = pool("x", "y", "z", "w")

    def fixed(*places: int) -> Retriever:
        def find(query: str, k: int) -> Flow[tuple[Passage, ...]]:
            yield from ()
            return given_.found(places[:k], [1 - at / 10 for at in range(len(places[:k]))])

        return find

    ranked = unasked(Hybrid(given_, (fixed(2, 1), fixed(2, 0)))("q", 4))
    assert [(each.id, each.score) for each in ranked] == [
        ("p2", 1 / 61 + 1 / 61), ("p0", 1 / 62), ("p1", 1 / 62), ("p3", 0.0),
    ]  # fmt: skip


def test_what_a_member_did_not_find_has_no_rank_with_it() -> None:
    """bm25 fills up with passages of score 0: they must not count as found."""
    given_ = pool("card", "other", "more")
    ranked = unasked(Hybrid(given_, (bm25(given_),))("card", 3))
    assert [each.score > 0 for each in ranked] == [True, False, False]


def test_a_member_of_a_hybrid_may_ask_a_model() -> None:
    given_ = pool("x", "y")
    request = Request(Model("e", Endpoint("http://h/v1"), "e"), "/embeddings", {"input": ["q"]}, purpose="embed")

    def asking(query: str, k: int) -> Flow[tuple[Passage, ...]]:
        said = yield request
        return given_.found([int(said.text)], [0.9])

    flow = Hybrid(given_, (bm25(given_), asking))("x y y", 2)
    assert next(flow) is request
    with pytest.raises(StopIteration) as stop:
        flow.send(Completion("0"))
    assert [each.id for each in stop.value.value] == ["p0", "p1"]


# oracle and wrong


def shown(factory: Factory, example: Example, query: str, k: int = 3, given_: Pool | None = None) -> list[str]:
    known: Any = factory(given_ or pool())
    return [each.id for each in unasked(known.for_example(example)(query, k))]


def test_oracle_shows_gold_alone_by_id_by_document_or_by_text() -> None:
    for gold in ("p4", "d4", "card FEE is two  euros"):
        assert shown(oracle, Example("e", {}, label="two euros", gold=(gold,)), "cost") == ["p4"]
    assert shown(oracle, Example("e", {}, gold=("p1", "p4")), "fee", 3) == ["p4", "p1"]
    assert shown(oracle, Example("e", {}, gold=("p1", "p4")), "fee", 1) == ["p4"]
    assert shown(oracle, Example("e", {}, gold=("nowhere",)), "fee") == []


def test_of_a_gold_documents_passages_oracle_shows_those_first_that_say_the_answer() -> None:
    given_ = Pool.of(
        [Passage("a", "fee fee fee", source="d"), Passage("b", "two euros", source="d"), Passage("c", "fee")]
    )
    assert shown(oracle, Example("e", {}, label="two euros", gold=("d",)), "fee", 3, given_) == ["b", "a"]


def test_without_gold_oracle_shows_what_says_an_answer() -> None:
    assert shown(oracle, Example("e", {}, label=("TWO euros", "nine")), "abroad", 9) == ["p2", "p3", "p4"]
    assert shown(oracle, Example("e", {}), "abroad") == []


def test_wrong_shows_like_passages_without_gold_or_answer() -> None:
    """p4 is gold, p2 says the answer too: neither is shown; those next like the query are."""
    example = Example("e", {}, label="two euros", gold=("p4",))
    assert shown(wrong, example, "What does the card cost? Zwei Euro?", 2) == ["p5", "p0"]
    assert shown(wrong, Example("e", {}, gold=("d4",)), "What does the card cost in euros?", 1) != ["p4"]
    everything = shown(wrong, example, "What does the card cost in euros?", 99)
    assert sorted(everything) == ["p0", "p1", "p3", "p5", "p6", "p7"]


@pytest.mark.parametrize(
    ("answer", "stands"),
    [
        ("Two  EUROS", True), ("two\neuros", True), ("uros", False), ("two", True), ("euro", False), ("STRASSE", True),
        ({"fee": ["x", "Two euros"]}, True), ({"fee": {"of": "x"}}, False), ((), False), ("", False), (" ", False),
        (True, False), (None, False), (2, True), (3, False), ("a.c", False), (("", "zzz"), False),
        ("(a+c)", True), (("x", "straße"), True),
    ],
)  # fmt: skip
def test_answers_are_looked_for_as_words_whatever_their_case_and_spaces(answer: Any, stands: bool) -> None:
    example = Example("e", {}, label=answer if isinstance(answer, tuple) else (answer,))
    answers = Answers(example)
    assert answers.stand_in(Passage("p", "It is two\n euros, (a+c) 2 true none", title="Die Straße")) is stands
    assert Answers(Example("e", {}, label="Fee")).stand_in(Passage("p", "none", title="The FEE"))


def test_an_answer_is_a_whole_word() -> None:
    given_ = pool("nineteen", "nine lives")
    assert shown(wrong, Example("e", {}, label="nine"), "lives", 9, given_) == ["p0"]


def test_what_is_like_nothing_comes_by_lot_and_by_seed() -> None:
    example, given_ = Example("e", {}, label="zzz"), pool(*(f"word{n}" for n in range(30)))
    known = [Known(given_, right=False, seed=seed).for_example(example) for seed in (0, 0, 1)]
    one, again, other = ([each.id for each in unasked(find("nothing", 30))] for find in known)
    assert one == again != other
    assert one != sorted(one, key=lambda name: int(name[1:]))
    assert len(set(one)) == 30


# kept on disk


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    built: list[int] = []
    real = counts._counted
    monkeypatch.setattr(counts, "_counted", lambda *given: (built.append(1), real(*given))[1])
    return built


def ask(given_: Pool, factory: Factory = bm25) -> Any:
    return unasked(factory(given_)("card fee", 3))


def test_an_index_is_built_once_and_again_only_when_the_corpus_changes(tmp_path: Path, builds: list[int]) -> None:
    first = ask(pool(cache=tmp_path))
    assert ask(pool(cache=tmp_path)) == first
    ask(pool(cache=tmp_path), tfidf)  # shares it
    assert len(builds) == 1
    changed = pool(*TEXTS, "one more", cache=tmp_path)
    ask(changed)
    ask(pool(cache=tmp_path))
    assert len(builds) == 2
    assert (tmp_path / changed.key).is_dir()


def test_an_index_is_built_again_when_what_a_word_is_changes(
    tmp_path: Path, builds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(pool(cache=tmp_path))
    monkeypatch.setattr(counts, "VERSION", 99)
    ask(pool(cache=tmp_path))
    monkeypatch.setattr(index, "FORMAT", 99)
    ask(pool(cache=tmp_path))
    assert len(builds) == 3


def test_without_a_cache_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builds: list[int]) -> None:
    monkeypatch.chdir(tmp_path)
    assert ask(pool()) == ask(pool())
    assert len(builds) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "flipped"])
def test_a_damaged_index_is_built_again(tmp_path: Path, builds: list[int], damage: str) -> None:
    first = ask(pool(cache=tmp_path))
    [path] = tmp_path.rglob("*.npz")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    at = whole.index(b"\0card") if b"\0card" in whole else whole.index(b"card")  # a byte that no header holds
    flipped[at + 1] ^= 0xFF
    path.write_bytes({"empty": b"", "cut": whole[:-200], "other": b"no zip", "flipped": bytes(flipped)}[damage])
    assert ask(pool(cache=tmp_path)) == first
    assert ask(pool(cache=tmp_path)) == first
    assert len(builds) == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    assert ask(pool(cache=blocked)) == ask(pool())


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert ask(pool(cache=tmp_path)) == ask(pool())
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_an_index_that_is_being_written_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads meanwhile finds the file before, or none: never a piece of one."""
    given_, real, seen = pool(cache=tmp_path), np.savez, list[list[str]]()
    path = index.place(given_, "terms", {"terms": counts.VERSION})
    assert path is not None

    def watched(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        file.flush()
        seen.append([each.suffix for each in path.parent.iterdir()])
        file.seek(0)
        real(file, **arrays)

    monkeypatch.setattr(np, "savez", watched)
    ask(given_)
    assert (seen, [each.name for each in path.parent.iterdir()]) == ([[".part"]], [path.name])


def killed_while_writing(folder: Path) -> None:
    np.savez = lambda file, **arrays: (file.write(b"half"), file.flush(), os._exit(9))  # type: ignore[assignment]
    ask(pool(cache=folder))


def test_a_builder_that_is_killed_spoils_nothing(tmp_path: Path, builds: list[int]) -> None:
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    process = context.Process(target=killed_while_writing, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    assert [each.suffix for each in tmp_path.rglob("*") if each.is_file()] == [".part"]
    assert ask(pool(cache=tmp_path)) == ask(pool(cache=tmp_path)) == ask(pool())
    assert len(builds) == 2  # once kept, once without a cache


def test_settings_have_files_of_their_own(tmp_path: Path) -> None:
    """Whatever differs: the pool, the name, any setting; their order is none."""
    given_ = pool(cache=tmp_path)
    places = {
        index.place(*each)
        for each in (
            (given_, "a", {"x": 1}), (given_, "b", {"x": 1}), (given_, "a", {"x": 2}), (given_, "a", {"y": 1}),
            (given_, "a", {"x": 1, "y": 1}), (given_, "a", {}), (pool("other", cache=tmp_path), "a", {"x": 1}),
        )
    }  # fmt: skip
    assert len(places) == 7
    assert index.place(given_, "a", {"x": 1, "y": 2}) == index.place(given_, "a", {"y": 2, "x": 1})
    index.save(given_, "a", {"x": 1}, {"one": np.arange(3)})
    assert index.load(given_, "a", {"x": 2}) is None
    assert (index.load(given_, "a", {"x": 1}) or {})["one"].tolist() == [0, 1, 2]


def test_what_killed_builders_left_is_swept(tmp_path: Path) -> None:
    """Parts that are older than an hour; younger ones may be another builder's."""
    given_ = pool(cache=tmp_path)
    (tmp_path / given_.key).mkdir()
    old, young = (tmp_path / given_.key / name for name in ("terms.1.part", "terms.2.part"))
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (0, 0))
    ask(given_)
    assert (old.exists(), young.exists()) == (False, True)


def build_and_ask(folder: Path, times: int) -> None:
    for _ in range(times):
        for path in folder.rglob("*.npz"):
            path.unlink(missing_ok=True)
        assert [each.id for each in ask(pool(cache=folder))] == ["p4", "p0", "p1"]


def test_builders_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Three processes build, read and delete one index over and over: every answer is right, no part stays behind."""
    assert [each.id for each in ask(pool())] == ["p4", "p0", "p1"]
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    workers = [context.Process(target=build_and_ask, args=(tmp_path, 60)) for _ in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(60)
    assert [each.exitcode for each in workers] == [0, 0, 0]
    assert list(tmp_path.rglob("*.part")) == []


def test_progress_is_told_while_an_index_is_built(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    texts = [f"passage {n}" for n in range(450)]
    passages = tuple(Passage(str(n), text) for n, text in enumerate(texts))
    given_ = Pool(passages, content_key(passages), tmp_path, progress=lambda *said: heard.append(said))
    unasked(bm25(given_).prepare())
    assert [done for _, done, _ in heard] == [0, 200, 400, 450]
    assert {of for _, _, of in heard} == {450}
    heard.clear()
    unasked(tfidf(given_).prepare())
    assert heard == []  # it is read


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=4))
def test_the_key_tells_pools_apart(pairs: list[tuple[str, str]]) -> None:
    """Also where ids and texts run into each other, or hold what UTF-8 cannot."""
    keys = {content_key([Passage(*each) for each in pairs]), content_key([Passage(a + b, "") for a, b in pairs])}
    assert len(keys) == (1 if all(not b for _, b in pairs) else 2)
    assert json.dumps(sorted(keys))
    assert content_key([Passage("a", "\ud800")]) != content_key([Passage("a", "?")])


def test_a_name_that_is_none_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="bm25"):
        imported("the retriever 'bm52'", "bm52", tmp_path, RETRIEVERS)
