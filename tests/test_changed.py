"""A changed experiment is a new run, the old one is kept, and the user is told what is different."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_server import FaultServer
from hypothesis import given
from hypothesis import strategies as st
from small_project import answer, mine, write

from promptlab.changed import Made, changed, changes
from promptlab.prepare import opened


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as served:
        served.default = answer
        yield served


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def ran(experiment: Path, *args: str) -> str:
    process = mine(experiment, *args)
    assert process.wait() == 0, process.said()
    [run] = {each.name for each in experiment.parent.glob("runs/*")} - set(KNOWN)
    KNOWN.append(run)
    return run


KNOWN: list[str] = []


def test_every_kind_of_change_is_named_and_the_old_runs_are_kept(server: FaultServer, tmp_path: Path) -> None:
    KNOWN.clear()
    experiment = write(tmp_path, server.url, metrics="{main: exact}")
    assert changed(opened(experiment)) == ""  # never run
    first = ran(experiment)
    assert changed(opened(experiment)) == ""  # this very run
    results = (tmp_path / "runs" / first / "results.csv").read_bytes()

    edited(tmp_path / "templates" / "colour.j2", "Be kind", "Be very kind")
    prepared = opened(experiment)
    said = f"run {prepared.identity} is new. Changed since {first}, which is kept: templates/colour.j2"
    assert changed(prepared) == said
    second = ran(experiment)
    assert second == prepared.identity

    edited(tmp_path / "rows.csv", "m7,", "seven,")
    edited(experiment, "finalists: 3", "finalists: 2")
    assert changed(opened(experiment, ["search.budget.calls=340"])).endswith(
        f"Changed since {second}, which is kept: rows.csv, search.budget.calls (330 → 340), search.finalists (3 → 2)"
    )
    third = ran(experiment, "--limit", "8")  # settings, rows and splits.csv, and how it is called
    edited(experiment, "temperature: 0,", "temperature: 0.5,")
    edited(experiment, "price: {input: 1.5", "price: {input: 2.5")
    assert changed(opened(experiment)).endswith(
        f"since {third}, which is kept: models.tiny.price.input (1.5 → 2.5), params.temperature ([0] → [0.5]), "
        "--limit (8 → none)"
    )
    assert (tmp_path / "runs" / first / "results.csv").read_bytes() == results


def test_a_run_that_was_stopped_counts_and_one_that_cannot_be_read_or_is_anothers_does_not(
    server: FaultServer, tmp_path: Path
) -> None:
    KNOWN.clear()
    experiment = write(tmp_path, server.url, metrics="{main: exact}")
    first = ran(experiment)
    (tmp_path / "runs" / first / "manifest.json").unlink()  # as if it never ended
    ran(write(tmp_path, server.url, name="other.yaml", metrics="{main: exact}", budget="{calls: 325}"))
    broken = tmp_path / "runs" / "r0000000000" / "run.sqlite"
    broken.parent.mkdir()
    broken.write_bytes(b"garbage" * 1000)
    before = sorted(tmp_path.glob("runs/*/*"))
    edited(experiment, "seed: 5", "seed: 6")
    assert changed(opened(experiment)).endswith(f"since {first}, which is kept: seed (5 → 6)")
    assert sorted(tmp_path.glob("runs/*/*")) == before  # looked at, not touched


def test_a_run_of_an_earlier_version_is_compared_by_its_manifest_or_else_by_its_files(
    server: FaultServer, tmp_path: Path
) -> None:
    KNOWN.clear()
    experiment = write(tmp_path, server.url, metrics="{main: exact}")
    first = ran(experiment)
    log = tmp_path / "runs" / first / "run.sqlite"
    with sqlite3.connect(log) as db:
        db.execute("delete from facts where name = 'made'")
    db.close()
    edited(experiment, "seed: 5", "seed: 6")
    (tmp_path / "templates" / "colour.j2").rename(tmp_path / "templates" / "color.j2")
    edited(experiment, "template: colour", "template: color")
    names = "templates/color.j2 (new), templates/colour.j2 (gone)"
    settings = 'baseline.template ("colour" → "color"), seed (5 → 6)'
    assert changed(opened(experiment)).endswith(f"{first}, which is kept: {names}, {settings}")
    (log.parent / "manifest.json").unlink()
    assert changed(opened(experiment)).endswith(f"{first}, which is kept: {names}")


SETTINGS = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
FILES = st.dictionaries(st.sampled_from(["a.csv", "b.j2", "splits.csv"]), st.sampled_from(["1", "2"]))


@given(
    st.dictionaries(st.sampled_from(["seed", "search"]), SETTINGS),
    st.dictionaries(st.sampled_from(["seed", "search"]), SETTINGS),
    FILES,
    FILES,
)
def test_something_is_named_exactly_where_something_differs(was: dict, has: dict, old: dict, new: dict) -> None:
    before, now = Made(was, old, {"--limit": 1}), Made(has, new, {"--limit": 1})
    named = changes(before, now)
    assert bool(named) == (before != now)
    assert len(set(named)) == len(named)
    assert changes(before, before) == ()


def test_an_address_is_named_without_what_it_says() -> None:
    """It may hold a secret."""
    one, two = ({"models": [{"name": "m", "endpoint": f"http://u:{each}@h"}]} for each in "ab")
    assert changes(Made(one, {}, {}), Made(two, {}, {})) == ("models.m.endpoint",)


def test_splits_that_follow_the_rows_are_no_change_of_their_own() -> None:
    before = Made({}, {"rows.csv": "1", "splits.csv": "1"}, {})
    assert changes(before, Made({}, {"rows.csv": "2", "splits.csv": "2"}, {})) == ("rows.csv",)
    assert changes(before, Made({}, {"rows.csv": "1", "splits.csv": "2"}, {})) == ("splits.csv",)
