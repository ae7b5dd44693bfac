"""tokens.py: a good estimate, an exact count where that costs no network, and never a wait."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import tiktoken.load
import tiktoken.registry
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab import tokens
from promptlab.records import Message
from promptlab.tokens import Vocabulary, count, count_messages, encoding_of, estimate

FIXTURE = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "token_counts.jsonl").read_text("utf-8").splitlines()
]
TINY = b"\n".join(base64.b64encode(bytes([byte])) + b" %d" % byte for byte in range(256))
TINY += b"\n" + base64.b64encode(b"ab") + b" 256\n"
ADDRESS = "https://vocabulary.invalid/tiny.tiktoken"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Any socket fails the test, and no vocabulary is on this machine unless a test puts it there."""

    def refuse(*_: Any) -> NoReturn:
        pytest.fail("a socket was opened to count tokens")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    tokens._encoding.cache_clear()
    encoding_of.cache_clear()
    yield
    tokens._encoding.cache_clear()
    encoding_of.cache_clear()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """A vocabulary of 257 tokens that tiktoken itself fetches and checks like its own, for the model ``tiny``."""
    sha256 = hashlib.sha256(TINY).hexdigest()

    def constructor() -> dict[str, Any]:
        ranks = tiktoken.load.load_tiktoken_bpe(ADDRESS, expected_hash=sha256)
        return {"name": "tiny", "pat_str": r"\S+|\s+", "mergeable_ranks": ranks, "special_tokens": {"<|end|>": 257}}

    tiktoken.registry.list_encoding_names()
    monkeypatch.setitem(tiktoken.registry.ENCODING_CONSTRUCTORS, "tiny", constructor)
    file = hashlib.sha1(ADDRESS.encode()).hexdigest()
    monkeypatch.setitem(tokens.VOCABULARIES, "tiny", Vocabulary(file, len(TINY), sha256))
    monkeypatch.setitem(tiktoken.model.MODEL_TO_ENCODING, "tiny", "tiny")
    return file


def relative_errors(encoded: list[dict[str, Any]]) -> list[float]:
    return [estimate(row["text"]) / row["tokens"] - 1 for row in encoded]


def test_the_estimate_is_within_ten_percent_of_cl100k_on_mixed_text() -> None:
    """60 texts written for this test, none of them used in the fit; counts by tiktoken's cl100k_base."""
    errors = relative_errors(FIXTURE)
    assert len(errors) >= 60
    assert sum(map(abs, errors)) / len(errors) <= 0.10
    assert abs(sum(errors) / len(errors)) <= 0.05


def test_no_kind_of_text_is_far_off() -> None:
    for kind in {row["kind"] for row in FIXTURE}:
        errors = relative_errors([row for row in FIXTURE if row["kind"] == kind])
        assert abs(sum(errors) / len(errors)) <= 0.20, kind


def test_the_fixture_holds_cl100ks_own_counts() -> None:
    folder = os.environ.get("PROMPTLAB_VOCABULARIES")
    if not folder:
        pytest.skip("PROMPTLAB_VOCABULARIES names no folder with tiktoken's vocabularies")
    os.environ["TIKTOKEN_CACHE_DIR"] = folder
    assert [count(row["text"]) for row in FIXTURE] == [(row["tokens"], True) for row in FIXTURE]


@settings(deadline=None, max_examples=50)
@given(st.text(), st.text(), st.sampled_from(["cl100k_base", "o200k_base", "unheard-of"]))
def test_an_estimate_is_a_count_for_any_text(left: str, right: str, encoding: str) -> None:
    assert estimate("", encoding) == 0
    assert isinstance(estimate(left, encoding), int)
    assert estimate(left, encoding) >= bool(left)
    assert abs(estimate(f"{left}\n{right}", encoding) - estimate(left, encoding) - estimate(right, encoding)) <= (
        3 + 0.6 * len(left + right)
    )


def test_a_lone_surrogate_and_endless_runs_are_counted_too() -> None:
    assert estimate("\ud800") >= 1
    for character in "a1 !é日😀\n":
        start = time.process_time()
        assert estimate(character * 300_000) > 0
        assert time.process_time() - start < 0.5


def test_an_estimate_costs_microseconds() -> None:
    text = (FIXTURE[4]["text"] + FIXTURE[5]["text"])[:800].ljust(800, "x")
    start = time.process_time()
    for _ in range(1000):
        estimate(text)
    assert (time.process_time() - start) / 1000 < 200e-6  # 20 µs on a quiet machine


def test_without_a_vocabulary_the_count_is_the_estimate_and_says_so() -> None:
    start = time.perf_counter()
    for model in ("", "gpt-4o-mini", "gpt-4", "o3-mini", "gpt2", "some-llama", "ft:gpt-4o-mini:me::1"):
        tokens_, exact = count("Where is my parcel?", model)
        assert (tokens_, exact) == (estimate("Where is my parcel?", encoding_of(model) or "cl100k_base"), False)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("content", [b"", b"x" * len(TINY), TINY[:-1], TINY + b"\n"])
def test_a_damaged_vocabulary_is_left_alone_and_never_fetched_again(tmp_path: Path, tiny: str, content: bytes) -> None:
    (tmp_path / tiny).write_bytes(content)
    assert count("ab ab", "tiny") == (estimate("ab ab"), False)
    assert (tmp_path / tiny).read_bytes() == content


def test_a_whole_vocabulary_in_the_cache_counts_exactly(tmp_path: Path, tiny: str) -> None:
    (tmp_path / tiny).write_bytes(TINY)
    assert count("ab abc <|end|>", "tiny") == (12, True)
    assert count("x" * 50, "unknown-model") == (estimate("x" * 50), False)
    assert os.environ["TIKTOKEN_CACHE_DIR"] == str(tmp_path)


def test_a_vocabulary_is_read_once(tmp_path: Path, tiny: str) -> None:
    (tmp_path / tiny).write_bytes(TINY)
    assert count("ab", "tiny") == (1, True)
    (tmp_path / tiny).unlink()
    assert count("ab", "tiny") == (1, True)


def test_a_litellm_on_the_machine_lends_its_vocabulary_without_being_imported(
    tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "litellm" / "litellm_core_utils" / "tokenizers"
    folder.mkdir(parents=True)
    (folder / tiny).write_bytes(TINY)
    (tmp_path / "litellm" / "__init__.py").write_text("raise SystemExit('litellm was imported')")
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    folders = list(tokens._folders())
    assert folders[-1] == folder
    assert tokens._holds(folder, Vocabulary(tiny, len(TINY), hashlib.sha256(TINY).hexdigest()))


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("openai/gpt-4.1", "o200k_base"),
        ("ft:gpt-4o-mini:me::1", "o200k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("small", ""),
    ],
)
def test_models_map_to_encodings_as_tiktoken_says(model: str, encoding: str) -> None:
    assert encoding_of(model) == encoding


def test_a_chat_prompt_counts_its_contents_its_roles_and_the_format(tmp_path: Path, tiny: str) -> None:
    (tmp_path / tiny).write_bytes(TINY)
    messages = [Message("system", "ab"), Message("user", "abc")]
    assert count_messages(messages, "tiny") == (1 + 2 + len("system") + len("user") + 3 * 2 + 3, True)
    assert count_messages([], "tiny") == (3, True)
    total, exact = count_messages(messages, "small")
    assert (total > 9, exact) == (True, False)
