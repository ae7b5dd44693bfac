"""The page in headless Chromium: hostile texts stay texts, the reading room works by keyboard, a live page renews."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import report_run
import small_project
from fault_server import FaultServer, error
from test_report import served

from promptlab.errors import EndpointUnusable
from promptlab.prepare import opened
from promptlab.report import write
from promptlab.report.find import find_run
from promptlab.run import load_run, mine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = report_run.finished(tmp_path_factory.mktemp("evil") / "p")
    write(found)
    return found


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    with report_run.browsing(viewport={"width": 1280, "height": 900}) as found:
        yield found


@pytest.fixture
def read(context: Any, folder: Path) -> Iterator[Any]:
    """The page, opened as a file; whatever it asks for or complains of fails the test."""
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda failure: wrong.append(str(failure)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
    page.goto((folder / "report.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    assert page.evaluate("window.owned") is None
    assert not wrong
    page.close()


def test_hostile_texts_are_shown_and_never_run(read: Any, folder: Path) -> None:
    """Every prediction with a hostile text is read; the output stands in the page as the model gave it."""
    for name, text in report_run.EVIL.items():
        read.fill("#query", name)
        read.locator("#grid .row", has_text=re.compile(f"^{name}[0-9]")).first.click()
        read.wait_for_selector("#detail .message")
        shown = read.evaluate("[...document.querySelectorAll('#detail dd, #detail pre')].map((e) => e.textContent)")
        assert sum(text in each for each in shown) >= 3, name  # input, output, the message that was sent
    assert read.locator("img, iframe, b").count() == 0
    assert read.locator("h1").inner_text() == "<script>window.owned=6</script>"


def test_the_keyboard_is_enough(read: Any) -> None:
    read.keyboard.press("/")
    assert read.evaluate("document.activeElement.id") == "query"
    read.keyboard.type("javascript")
    found = read.locator("#count").inner_text()
    assert not found.startswith("0 of")
    read.keyboard.press("Escape")
    assert read.locator("#count").inner_text() != found
    assert read.evaluate("document.activeElement.id") == "grid"
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "End", "Home", "Enter"):
        read.keyboard.press(key)
    read.wait_for_selector("#detail .message")
    assert read.evaluate("document.activeElement.id") == "detail"
    assert read.get_attribute("#grid", "aria-activedescendant") == "row-0"
    read.keyboard.press("Escape")
    assert read.evaluate("document.activeElement.id") == "grid"
    read.keyboard.press("Escape")
    assert not read.locator("#detail").is_visible()


def test_filters_count_what_the_tables_hold(read: Any, folder: Path) -> None:
    run = load_run(folder)
    table = run.predictions
    read.select_option("#f-split", "test")
    count = f"{(table['split'] == 'test').sum()} of {len(table)} predictions"
    assert read.locator("#count").inner_text().startswith(count)
    read.select_option("#f-outcome", "wrong")
    wrong = ((table["split"] == "test") & (table["score"] < 1)).sum()
    assert read.locator("#count").inner_text().startswith(f"{wrong} of")
    read.click("#filters button[type=reset]")
    expect(read.locator("#count")).to_contain_text(f"{len(table)} of {len(table)}")
    read.click("#board .pick >> nth=0")
    own = (table["variant"] == run.rows[0]["variant"]).sum()
    assert read.locator("#count").inner_text().startswith(f"{own} of")


def test_outcomes_are_told_against_the_baseline_on_the_same_row(read: Any) -> None:
    found = read.evaluate("""() => {
      const none = [-1, -1, -1, -1];
      const columns = { variant: [0, 0, 1, 1], example: [0, 1, 0, 1], repeat: [0, 0, 0, 0], score: [0, 1, 1, 0],
        split: Array(4).fill("dev"), status: Array(4).fill("ok"), answer: none, output: none, error: none };
      const data = prepareRows({ baseline: 0, texts: [], examples: [["a", -1, []], ["b", -1, []]], columns });
      const wanted = { variant: "", split: "", status: "", label: "", query: "" };
      return ["right", "wrong", "fixed", "broken"].map((outcome) => filtered(data, { ...wanted, outcome }));
    }""")
    assert found == [[1, 2], [0, 3], [2], [3]]


def test_columns_sort_and_say_so(read: Any) -> None:
    head = read.locator("#grid .head [data-key=example]")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    first = read.locator("#grid .row").first.inner_text()
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert read.locator("#grid .row").first.inner_text() != first
    rank = read.locator("#board th").first
    rank.locator("button").click()
    rank.locator("button").click()
    assert rank.get_attribute("aria-sort") == "descending"


def test_a_diff_holds_both_texts_whole(read: Any) -> None:
    """Random texts: what is kept and taken away is the one, what is kept and added the other; common words stay."""
    rng = random.Random(3)
    for _ in range(40):
        pool = ["red", "green ", "\n", "blue,", " ", "ä", "\U0001f600", "x_1"]
        before, after = ("".join(rng.choices(pool, k=rng.randint(0, 30))) for _ in "12")
        parts = read.evaluate("([a, b]) => wordDiff(a, b)", [before, after])
        assert "".join(text for kind, text in parts if kind in "=-") == before
        assert "".join(text for kind, text in parts if kind in "=+") == after
    assert read.evaluate("wordDiff('one two three', 'one 2 three')") == [
        ["=", "one "], ["-", "two"], ["+", "2"], ["=", " three"],
    ]  # fmt: skip
    assert read.evaluate("wordDiff('a b c d', 'a x c d e')[0][1]") == "a "
    far = [" ".join(rng.choices("abcdefgh", k=6000)) for _ in "12"]
    assert "".join(t for k, t in read.evaluate("([a, b]) => wordDiff(a, b)", far) if k in "=-") == far[0]


def test_two_prompts_side_by_side(read: Any) -> None:
    read.fill("#query", "link")
    read.locator("#grid .row").first.click()
    read.wait_for_selector("#detail .message")
    own = read.locator("#detail h3").first.inner_text().split(" · ")[1]
    options = read.locator("#detail select option").all_inner_texts()
    other = next(at for at, said in enumerate(options) if at and not said.startswith(own))
    read.locator("#detail select").select_option(index=other)
    changed = "".join(read.locator("#detail .diff ins, #detail .diff del").all_inner_texts())
    assert changed.split() == ["Be", "plain."]


def test_everything_drawn_has_a_name(read: Any) -> None:
    nameless = read.evaluate("""[...document.querySelectorAll(
        'svg:not([aria-hidden]), button, select, input, table, [role=region], [role=grid]')].filter((e) =>
        !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)""")
    assert nameless == []
    assert read.evaluate("[...document.querySelectorAll('main table')].every((t) => t.caption)")


@pytest.mark.parametrize(("scheme", "width"), [("light", 400), ("dark", 1280)])
def test_nothing_is_wider_than_the_page_and_text_is_legible(
    context: Any, folder: Path, scheme: str, width: int
) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto((folder / "report.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("ink", "soft", "accent", "good", "bad"):
        assert page.evaluate(CONTRAST, name) >= 4.5, (scheme, name)
    page.emulate_media(media="print")
    assert not page.locator("#grid").is_visible()
    assert page.locator("#board table").is_visible()
    page.close()


CONTRAST = """(name) => {
  const light = (hex) => {
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
    const [r, g, b] = parts.map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(document.documentElement);
  const [one, other] = [name, "ground"].map((each) => light(style.getPropertyValue(`--${each}`).trim()));
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect as expected

    return expected(locator)


def test_a_served_page_renews_itself_until_the_run_is_complete(context: Any, tmp_path: Path) -> None:
    """The endpoint fails after the first rounds; the page shows them; the run goes on; the page ends up whole."""
    with FaultServer() as server:
        server.default = lambda body: small_project.answer(body) if len(server.seen) < 200 else error(401)
        path = small_project.write(tmp_path / "p", server.url)
        with pytest.raises(EndpointUnusable):
            mine(opened(path))
        with served(find_run(path)) as port:
            page, asked = context.new_page(), list[str]()
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector("html[data-ready]")
            expect(page.locator("#verdict")).to_contain_text("The run goes on", timeout=30_000)
            page.select_option("#f-status", "ok")
            server.default = small_project.answer
            threading.Thread(target=mine, args=(opened(path),)).start()
            expect(page.locator("#live")).to_have_text("✓ complete", timeout=30_000)
            assert "The run goes on" not in page.locator("#verdict").inner_text()
            assert page.locator("#f-split option").all_inner_texts() == ["all", "test", "dev"]
            assert page.locator("#f-status").input_value() == "ok"  # the filters stay
            assert all(url.startswith(f"http://127.0.0.1:{port}/") for url in asked)
            page.close()
