"""The page: whole, small, closed to the outside; it believes no text; it follows a run that goes on."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
import re
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import report_run
import small_project
from fault_server import FaultServer, error
from hypothesis import given
from hypothesis import strategies as st
from support_project import command

from promptlab.comparison.effects import Effect, Effects
from promptlab.errors import EndpointUnusable
from promptlab.experiment import Experiment
from promptlab.finished import Run
from promptlab.prepare import opened
from promptlab.report import further, page, write
from promptlab.report.cost import cost
from promptlab.report.effects import _drawn as drawn_effects
from promptlab.report.find import find_run
from promptlab.report.judges import judges
from promptlab.report.log import pulse
from promptlab.report.page import _provenance as provenance
from promptlab.report.page import drawn, embedded
from promptlab.report.room import chosen, packed, room
from promptlab.report.running import sentence
from promptlab.report.server import Shown, allowed, answer, serve
from promptlab.report.source import read_source
from promptlab.report.svg import Labels
from promptlab.run import load_run, mine
from promptlab.unit import Unit
from promptlab.version import __version__


class Read(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str | None, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None:  # inside a script or a style
            self.raw.append((self.cdata_elem, self.elements[-1][1].get("id"), data))

    def data(self, key: str) -> Any:
        """A block of data, unpacked."""
        said = json.loads(next(text for _, name, text in self.raw if name == f"data-{key}"))
        return json.loads(zlib.decompress(base64.b64decode(said))) if isinstance(said, str) else said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_run.finished(tmp_path_factory.mktemp("evil") / "p")


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return load_run(folder)


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return page(folder)


def test_no_text_of_data_or_model_becomes_markup(html: str) -> None:
    found = Read(html)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("script") == 4
    assert not {"img", "iframe", "object", "b", "link", "base", "embed"} & set(tags)
    for tag, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style", "srcdoc")], tag
        assert (attributes.get("href") or "#").startswith("#")
    assert "\0" not in html
    assert "&lt;script&gt;window.owned=6" in html  # the experiment's name, as text


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_data_blocks_hold_no_markup_and_every_value(value: Any) -> None:
    said = embedded({"value": value, "end": "</script><!--"})
    assert not set("<>&") & set(said)
    assert json.loads(said)["value"] == value


def test_the_page_asks_nobody_for_anything(html: str) -> None:
    found = Read(html)
    policy = next(a["content"] for tag, a in found.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, name, text in found.raw:
        if name is None:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?://|@import|url\(", html)


def test_messages_and_outputs_are_exact(run: Run, html: str) -> None:
    """What was sent, rendered anew; what came back, from the log: not a byte differs, NUL and a megabyte included."""
    shown, messages = Read(html).data("room"), Read(html).data("messages")
    rows = chosen(run)
    by = {each.id: each for each in run.findings.search.view.variants}
    assert len(rows) == len(shown["columns"]["variant"]) == len(messages["asked"])
    for place, row in enumerate(rows):
        assert shown["texts"][shown["columns"]["output"][place]] == row.output
        sent = run.findings.task.prompt(by[row.variant]).messages(run.examples[row.example])
        flat = messages["prompts"][messages["asked"][place][0]]
        texts = [messages["texts"][at] for at in flat]
        assert list(zip(texts[::2], texts[1::2], strict=True)) == [(m.role, m.content) for m in sent]
    assert any("\0" in row.output for row in rows)
    assert max(len(row.output) for row in rows) > 1_000_000


def test_every_section_with_numbers_is_there_and_no_other(folder: Path, html: str) -> None:
    sections = re.findall(r'<section id="(\w+)"', html)
    assert sections[:2] == ["verdict", "board"]
    assert {"race", "metrics", "provenance", "room"} <= set(sections)
    assert not {"cost", "retrieval", "choice"} & set(sections)  # the fake model says one count of tokens for all
    assert all(f'href="#{name}"' in html for name in sections)
    assert f'promptlab</td><td class="long">{__version__}' in html


def test_provenance_names_the_judges_and_how_their_rubrics_begin(run: Run, tmp_path: Path) -> None:
    path = report_run.write(tmp_path / "p", "http://127.0.0.1:9")
    rubric = " ".join(f"<b>word{n}</b>" for n in range(40))
    judge = f'length: exact, tone: {{judge: {{rubric: "{rubric}", model: {{id: big/judge}}}}}}'
    path.write_text(path.read_text(encoding="utf-8").replace("length: exact", judge), encoding="utf-8")
    assert judges(run.prepared.experiment) is None
    asked = replace(run, prepared=replace(run.prepared, experiment=Experiment.load(path)))
    said = str(provenance(asked))
    assert said.index("<caption>Provenance</caption>") < said.index("<caption>Judges</caption>")
    assert '<td>tone</td><td>judge</td><td class="id">big/judge</td>' in said
    assert "&lt;b&gt;word0&lt;/b&gt; &lt;b&gt;word1&lt;/b&gt;" in said
    assert "word11&lt;/b&gt; …" in said  # cut between two words


def test_an_ensemble_s_members_stand_beside_what_they_were_asked(run: Run) -> None:
    found = run.findings
    base, other = found.search.view.variants
    view = replace(found.search.view, variants=(base, replace(other, members=(other, base))))
    joint = replace(run, findings=replace(found, search=replace(found.search, view=view)))
    shown, messages = room(joint, chosen(joint))
    names = {each["id"]: each["name"] for each in shown["variants"]}
    members = {each["id"]: each["members"] for each in shown["variants"]}
    assert members == {base.id: [], other.id: [[other.id, names[other.id]], [base.id, names[base.id]]]}
    for variant, asked in zip(shown["columns"]["variant"], messages["asked"], strict=True):
        assert len(asked) == max(1, len(shown["variants"][variant]["members"]))


def test_an_effect_s_number_stands_beside_its_drawing(run: Run) -> None:
    one = Effect("tone", "kind", "plain", 0.125, 0.05, 0.2, 80, "design")
    said = str(drawn_effects(Effects((one,), source="design", variants=8, rows=80), Unit()))
    assert '<td class="num">+12.5 <span class="span">[+5.0, +20.0]</span></td><td class="drawn">' in said


def test_the_tables_of_later_columns_and_files_appear_with_them(tmp_path: Path) -> None:
    rows = [{"variant": "v1", "name": "one", "slot.retriever": "bm25", "dev.hit_at_3": 0.875, "dev.f1": None}]
    names = ["slot.retriever", "dev.hit_at_3", "dev.f1"]
    assert '<td class="num">0.875</td>' in str(further.retrieval(rows, names))
    assert further.metrics(rows, names) is None
    assert further.choice(tmp_path) is None
    (tmp_path / "choice.csv").write_text("arm,score\n'=rag,0.5,more\nshort\n", encoding="utf-8")
    assert "<td>=rag</td>" in str(further.choice(tmp_path))


def test_five_thousand_predictions_stay_under_three_megabytes(run: Run, html: str) -> None:
    """Outputs of 40 words, no two alike; messages as an experiment makes them: one system text, a row's own text."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnoprstuvw", k=6)) for _ in range(4000)]
    some = [row for row in chosen(run) if len(row.output) < 1000]
    rows = [replace(some[n % len(some)], output=" ".join(rng.choices(words, k=40))) for n in range(5000)]
    shown, messages = room(run, rows)
    assert len(packed(shown)) + len(packed(messages)) + len(html) < 3_000_000


def test_report_writes_the_page_and_leaves_the_log_alone(folder: Path, run: Run, html: str) -> None:
    before = (folder / "run.sqlite").read_bytes()
    code, said = command("report", str(folder.parent.parent))
    assert (code, said.strip()) == (0, str(folder / "report.html"))
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (folder / "run.sqlite").read_bytes() == before
    assert write(folder, run).read_text(encoding="utf-8") == html


def test_what_is_no_run_is_said_and_exits_with_2(tmp_path: Path) -> None:
    assert command("report", str(tmp_path))[0] == 2
    code, said = command("view", str(tmp_path / "nowhere"))
    assert code == 2
    assert "no such file or folder" in said


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A race whose endpoint fails after the first rounds: it goes on later."""
    folder = tmp_path_factory.mktemp("live")
    with FaultServer() as server:
        server.default = lambda body: small_project.answer(body) if len(server.seen) < 200 else error(401)
        path = small_project.write(folder, server.url)
        with pytest.raises(EndpointUnusable):
            mine(opened(path))
    return find_run(path)


def test_a_run_that_goes_on_is_shown_as_far_as_its_rounds_are_closed(broken_off: Path) -> None:
    source = read_source(broken_off)
    closed = sum(each.asked for each in source.log.rounds)
    assert not source.whole
    assert 0 < closed == len(source.run.findings.search.predictions)
    assert not source.run.findings.test
    html = page(broken_off)
    assert f"The search goes on: round {len(source.log.rounds)}, " in html
    assert "Winner" not in html
    assert "No variant beats" not in html
    view = source.run.findings.search.view
    alive = {each.id for each, on in zip(view.variants[1:], view.live[1:], strict=True) if on}
    assert {row["variant"] for row in source.run.rows if row["status"] == "alive"} == alive
    assert {row["status"] for row in source.run.rows} <= {"alive", "baseline", "dropped"}
    best = next(row for row in source.run.rows if row["status"] == "alive")
    leads = re.escape(f"{int(view.live.sum())} of {len(view.variants)} alive, best so far {best['variant']} (")
    assert re.search(leads + r"[+-][\d.]+ points on \d+ rows\). Nothing is decided", sentence(source.run))
    one = replace(source, log=replace(source.log, rounds=source.log.rounds[:1]))
    assert "<p>1 round is closed" in drawn(one)


def test_the_server_answers_this_machine_alone(broken_off: Path) -> None:
    with served(broken_off) as port:
        assert fetch(port, "/", f"127.0.0.1:{port}")[0] == 200
        assert fetch(port, "/", f"localhost:{port}")[0] == 200
        for host in (f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil.example", ""):
            status, body = fetch(port, "/", host)
            assert (status, b"<html" in body) == (421, False), host
        assert json.loads(fetch(port, "/pulse", f"localhost:{port}")[1])["rounds"] == pulse(broken_off)["rounds"]
        assert fetch(port, "/../run.sqlite", f"localhost:{port}")[0] == 404
    assert not allowed(None, 80)


def test_a_run_that_has_not_closed_a_round_gets_a_page_that_waits(tmp_path: Path) -> None:
    with FaultServer() as server:
        server.default = lambda body: error(401)
        path = small_project.write(tmp_path / "p", server.url)
        with pytest.raises(EndpointUnusable):
            mine(opened(path))
    shown = Shown("")
    shown.renew(find_run(path))
    status, kind, body = answer(find_run(path), shown, "/")
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert b"connect-src &#39;self&#39;" in body
    assert '"live":true' in body.decode()


def test_ctrl_c_ends_view_cleanly(folder: Path) -> None:
    words = [sys.executable, "-m", "promptlab", "view", str(folder), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\n", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in said


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """The server in a thread; its port. It ends with the tests."""
    ready = threading.Event()
    at: list[int] = []

    def announce(url: str) -> None:
        at.append(int(url.rstrip("/").rsplit(":", 1)[1]))
        ready.set()

    threading.Thread(target=serve, args=(folder, 0, announce), daemon=True).start()
    assert ready.wait(30)
    yield at[0]


def fetch(port: int, path: str, host: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    found = connection.getresponse()
    try:
        return found.status, found.read()
    finally:
        connection.close()


def test_the_front_is_drawn_and_only_of_what_was_scored_in_full() -> None:
    rows = [
        {"variant": "vbase", "name": "base", "status": "baseline", "prompt_tokens": 50.0},
        {"variant": "vcheap", "name": "cheap", "status": "tied", "prompt_tokens": 80.0, "dev_delta": 0.2,
         "dev_delta_low": 0.1},
        {"variant": "vdear", "name": "dear", "status": "beaten", "prompt_tokens": 90.0, "dev_delta": 0.1,
         "dev_delta_low": 0.0},
        {"variant": "vgone", "name": "gone", "status": "dropped", "prompt_tokens": 60.0, "dev_delta": 0.9},
    ]  # fmt: skip
    drawn = str(cost(rows, Unit()))
    assert "cheapest first: vbase (+0.0, 50 tokens), vcheap (+20.0, 80 tokens)." in drawn
    assert "vdear" in drawn
    assert "vgone" not in drawn
    assert cost(rows[:1], Unit()) is None


def test_labels_never_cover_each_other() -> None:
    labels = Labels(400)
    drawn = [str(labels.put(50 + 3 * n, 100 + n, f"v{n:08}")) for n in range(12)]
    assert 4 <= sum(map(bool, drawn)) < 12  # the others found no room
    boxes = labels.taken
    for at, (left, top, right, bottom) in enumerate(boxes):
        assert not [b for b in boxes[at + 1 :] if left < b[2] and b[0] < right and top < b[3] and b[1] < bottom]
