"""The log and the cache on real SQLite files: kept, shared, damaged, unwritable."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from promptlab.errors import BadInput, Interrupted
from promptlab.folder import project_of
from promptlab.reads import ahead, counts, note_choice, note_read, reread
from promptlab.records import Call, Completion, Endpoint, Example, Model, Usage
from promptlab.store import Store

TEXT = 'naïve 🙂 \u202e "quoted"\r\n\x00'


def call(key: str, text: str = "yes", **changes: object) -> Call:
    done = Completion(text, "stop", Usage(7, 3, 2, "estimated"), "tiny-2024", "because")
    return Call(key, "answer", done, **{"usd": 0.1 + 0.2, "latency": 1 / 3, "attempts": 2, **changes})  # type: ignore[arg-type]


def opened(folder: Path, name: str = "run") -> Store:
    return Store(folder / name / "run.sqlite", folder / "cache.sqlite")


def test_a_call_comes_back_exactly_as_it_was_recorded_also_in_a_new_session(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.record(call("k", TEXT))
    assert store.known("k") == call("k", TEXT)
    store.close()
    store = opened(tmp_path)
    assert store.known("k") == call("k", TEXT)
    assert store.known("other") is None
    store.close()


def test_every_call_is_on_disk_before_record_returns(tmp_path: Path) -> None:
    """A process that dies without closing anything loses nothing."""
    code = """
import os, sys
from pathlib import Path
from promptlab.records import Call, Completion
from promptlab.store import Store
store = Store(Path(sys.argv[1]) / "run" / "run.sqlite", Path(sys.argv[1]) / "cache.sqlite")
for n in range(50):
    store.record(Call(str(n), "answer", Completion("yes")))
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env={**os.environ, "PYTHONPATH": "."})
    store = opened(tmp_path)
    assert all(store.known(str(n)) for n in range(50))
    store.close()
    store = opened(tmp_path, "another experiment")
    assert all(store.known(str(n)) for n in range(50))
    store.close()


def test_the_cache_answers_other_runs_for_free_and_the_log_keeps_what_it_said(tmp_path: Path) -> None:
    first = opened(tmp_path, "one")
    first.record(call("k"))
    first.close()
    second = opened(tmp_path, "two")
    found = second.known("k")
    assert found is not None
    assert found.cached
    assert found.spent == 0
    assert found.usd == call("k").usd  # list price still counts towards the budget
    assert second.spent() == 0
    second.close()
    (tmp_path / "cache.sqlite").unlink()
    second = opened(tmp_path, "two")
    assert second.known("k") == found
    second.close()


def test_errors_and_filtered_answers_are_logged_and_never_cached(tmp_path: Path) -> None:
    store = opened(tmp_path, "one")
    store.record(Call("failed", "answer", None, attempts=7, error="HTTP 500"))
    store.record(Call("filtered", "answer", Completion("", "content_filter")))
    store.record(Call("too long", "answer", Completion("", "context_overflow")))
    assert store.known("failed") is None
    assert store.logged("failed") == Call("failed", "answer", None, attempts=7, error="HTTP 500")
    assert store.known("filtered") is not None
    store.close()
    other = opened(tmp_path, "two")
    assert [other.known(key) is not None for key in ("failed", "filtered", "too long")] == [False, False, True]
    other.close()


def test_a_failed_call_gives_way_to_its_answer(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.record(Call("k", "answer", None, error="HTTP 500"))
    store.record(call("k"))
    assert store.known("k") == call("k")
    store.close()


def test_fresh_neither_reads_nor_writes_the_cache(tmp_path: Path) -> None:
    usual = opened(tmp_path, "one")
    usual.record(call("old"))
    usual.close()
    fresh = Store(tmp_path / "fresh" / "run.sqlite", None)
    assert fresh.known("old") is None
    fresh.record(call("new"))
    fresh.close()
    later = opened(tmp_path, "two")
    assert later.known("new") is None
    later.close()


def test_money_spent_is_what_was_not_known_before(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for n in range(10):
        store.record(call(str(n), usd=0.25, cached=n % 2 == 1))
    assert store.spent() == pytest.approx(1.25)
    store.close()


def test_rounds_and_inputs_are_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.keep_inputs({"a.csv": b"x" * 1000, "t/b.j2": TEXT.encode()})
    store.trace(1, {"cells": 2}, [("search", "v", "e", 0, 0, "k")])
    store.trace(0, {"cells": 1}, [])
    store.trace(1, {"cells": 2}, [("search", "v", "e", 0, 0, "k")])  # a resumed run notes the same again
    with pytest.raises(Interrupted):
        store.trace(2, {"cells": 3}, [("search", "v", "e", 0, 0, "k"), ("too", "short")])
    store.close()
    store = opened(tmp_path)
    assert store.inputs() == {"a.csv": b"x" * 1000, "t/b.j2": TEXT.encode()}
    assert store.rounds() == [{"cells": 1}, {"cells": 2}]
    store.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 500)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribbled(path: Path) -> None:
    """The first page is whole; the pages of the table are not."""
    content = bytearray(path.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [garbage, truncated, scribbled])
@pytest.mark.parametrize("name", ["run/run.sqlite", "cache.sqlite"])
def test_a_damaged_database_is_moved_aside_and_named_and_the_run_goes_on(tmp_path: Path, harm, name: str) -> None:
    store = opened(tmp_path)
    for n in range(300):
        store.record(call(str(n), "long answer " * 20))
    store.close()
    path = tmp_path / name
    harm(path)
    store = opened(tmp_path)
    [note] = store.notes()
    assert str(path) in note
    assert f"{path}.damaged-1" in note
    assert Path(f"{path}.damaged-1").exists()
    assert store.notes() == []
    assert store.known("7") == call("7", "long answer " * 20, cached=name.startswith("run"))  # the other one has it
    store.record(call("new"))
    assert store.known("new") == call("new")
    store.close()
    garbage(path)
    store = opened(tmp_path)
    assert f"{path}.damaged-2" in store.notes()[0]
    store.close()


def test_damage_that_shows_in_use_stops_the_log_and_only_renews_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files too large to be read through at the start."""
    store = opened(tmp_path)
    for n in range(2000):
        store.record(call(str(n), "long answer " * 20))
    store.close()
    monkeypatch.setattr("promptlab.database.CHECKED", 1000)
    scribbled(tmp_path / "cache.sqlite")
    store = Store(tmp_path / "other" / "run.sqlite", tmp_path / "cache.sqlite")
    for n in range(2000):
        assert store.known(str(n)) in (None, call(str(n), "long answer " * 20, cached=True))
    assert "cache.sqlite is damaged" in store.notes()[0]
    store.record(call("new"))
    store.close()
    scribbled(tmp_path / "run" / "run.sqlite")
    with pytest.raises(Interrupted, match=r"run\.sqlite is damaged .* moved to .* same command") as caught:
        list(map(Store(tmp_path / "run" / "run.sqlite", None).known, map(str, range(2000))))
    assert caught.value.exit_code == 4
    store = Store(tmp_path / "run" / "run.sqlite", tmp_path / "cache.sqlite")
    assert store.known("new") is not None
    store.close()


def test_a_disk_that_is_full_stops_the_run_with_a_sentence_and_keeps_what_is_there(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.record(call("before"))
    size = store._run.rows("pragma page_count")[0][0]
    store._run.rows(f"pragma max_page_count = {size}")
    with pytest.raises(Interrupted, match="full") as caught:
        list(map(store.record, (call(str(n), "long answer " * 50) for n in range(500))))
    assert caught.value.exit_code == 4
    store.close()
    store = opened(tmp_path)
    assert store.notes() == []
    assert store.known("before") is not None
    store.close()


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(BadInput, match="cannot write here"):
        Store(tmp_path / "runs" / "one" / "run.sqlite", None)
    (tmp_path / "cache.sqlite").mkdir()
    with pytest.raises(BadInput, match=r"cannot open the database.*"):
        Store(tmp_path / "run.sqlite", tmp_path / "cache.sqlite")


def test_two_processes_share_one_cache_from_its_first_moment_on(tmp_path: Path) -> None:
    code = """
import sys
import tempfile
from pathlib import Path
from promptlab.records import Call, Completion
from promptlab.store import Store
folder, name = Path(sys.argv[1]), sys.argv[2]
for again in range(5):
    store = Store(folder / name / "run.sqlite", folder / "cache.sqlite")
    for n in range(100):
        store.record(Call(f"{name} {again} {n}", "answer", Completion("yes")))
        store.known(f"other {n}")
    assert not store.notes()
    store.close()
"""
    start = [sys.executable, "-c", code, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": "."}
    processes = [subprocess.Popen([*start, name], env=env, stderr=subprocess.PIPE) for name in "abc"]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [(b"", 0)] * 3
    db = sqlite3.connect(tmp_path / "cache.sqlite")
    assert db.execute("select count(*) from calls").fetchone() == (1500,)
    db.close()


def test_reads_of_a_test_set_are_counted_by_run_and_a_damaged_count_is_kept_aside(tmp_path: Path) -> None:
    rows, others = [Example("a", {}, "x"), Example("b", {}, "y")], [Example("a", {}, "x")]
    assert [note_read(tmp_path, rows, run) for run in ("r1", "r1", "r2", "r1")] == [1, 1, 2, 1]
    assert note_read(tmp_path, rows[::-1], "r3") == 3
    assert note_read(tmp_path, others, "r1") == 1
    (tmp_path / "test_reads.json").write_text("[1]")
    assert note_read(tmp_path, rows, "r4") == 1
    assert (tmp_path / "test_reads.damaged.json").read_text() == "[1]"


def test_the_arms_of_one_choice_are_one_reading(tmp_path: Path) -> None:
    rows = [Example("a", {}, "x")]
    for run in ("r1", "a1", "a2", "a3"):
        note_read(tmp_path, rows, run)
    note_choice(tmp_path, ("a1", "a2", "a3"), "c1")
    assert "read by 2 runs and choices; p will be multiplied by 14.8" in ahead(tmp_path, rows, "r2")[0]
    assert note_read(tmp_path, rows, "r2") == 3
    assert [note_read(tmp_path, rows, run) for run in ("r1", "a3")] == [1, 2], "they stay what they were"


def test_before_test_is_read_again_it_is_told_what_that_costs(tmp_path: Path) -> None:
    rows = [Example("a", {}, "x"), Example("b", {}, "y")]
    assert ahead(tmp_path, rows, "r1") == []
    for run in ("r1", "r2"):
        note_read(tmp_path, rows, run)
    assert ahead(tmp_path, rows, "r2") == [], "it has read them"
    said = "these test rows were read by 2 runs; p will be multiplied by 14.8: --no-test leaves them unread"
    assert ahead(tmp_path, rows, "r3") == [said]
    assert ahead(tmp_path, rows[:1], "r3") == [], "other rows"
    assert [reread(0.01, 3), reread(0.01, 1), reread(0.5, 3)] == pytest.approx([0.148, 0.01, 1.0], abs=1e-3)


def test_answers_of_the_offline_engine_alone_are_no_reading_of_test_rows() -> None:
    offline, served = (Model("m", Endpoint(url), "m") for url in ("embedded@1", "http://127.0.0.1:1/v1"))
    assert not counts([offline, offline])
    assert counts([offline, served])


def test_a_project_is_found_by_its_marks_or_in_a_plain_folder_by_where_experiments_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tmp_path / "work" / "experiments" / "deep" / "one" / "experiment.yaml"
    two = tmp_path / "work" / "two" / "experiment.yaml"
    for path in (one, two):
        path.parent.mkdir(parents=True)
    assert project_of(one) == tmp_path / "work" / ".promptlab", "beside the folder `experiments`"
    assert project_of(two) == two.parent / ".promptlab", "started elsewhere: in its own folder"
    monkeypatch.chdir(tmp_path / "work")
    assert project_of(two) == tmp_path / "work" / ".promptlab", "where the command was started"
    for name in ("TMPDIR", "HOME"):  # what is kept there would be everybody's
        with monkeypatch.context() as wide:
            wide.setenv(name, str(tmp_path / "work"))
            wide.setattr(tempfile, "tempdir", None)
            assert project_of(two) == two.parent / ".promptlab"
    (one.parent / ".promptlab").mkdir()
    assert project_of(one) == one.parent / ".promptlab", "what is there stays where it is"
    (tmp_path / "work" / "pyproject.toml").touch()
    monkeypatch.chdir(two.parent)
    assert project_of(two) == tmp_path / "work" / ".promptlab"


def test_answers_outlive_an_upgrade(tmp_path: Path) -> None:
    """A cache of a version that knew one column less is read and written on."""
    store = opened(tmp_path, "before")
    store.record(call("k"))
    store.close()
    old = sqlite3.connect(tmp_path / "cache.sqlite")
    old.execute("alter table calls drop column fingerprint")
    old.close()
    store = opened(tmp_path, "after")
    found = store.known("k")
    assert found is not None
    assert found.completion == call("k").completion
    store.record(call("new"))
    assert store.known("new") == call("new")
    store.close()
