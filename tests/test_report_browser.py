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
        'svg:not([aria-hidden], [aria-hidden] *), button, select, input, table, [role=region], [role=grid]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
        .map((e) => e.outerHTML)""")
    assert nameless == []
    assert read.evaluate("[...document.querySelectorAll('main table')].every((t) => t.caption)")


MADE = """(scores) => {
  const n = scores.length / 2; // the baseline's, then those of another variant, an ensemble
  const columns = { variant: [], example: [], repeat: [], split: [], status: [], answer: [], output: [], error: [] };
  scores.forEach((_, at) => {
    const row = { variant: at < n ? 0 : 1, example: at % n, repeat: 0, split: "dev", status: "ok" };
    for (const name in columns) columns[name].push(row[name] ?? -1);
  });
  const members = [["m1", "plain"], ["m2", ""]];
  const variants = [{ id: "v0", name: "", members: [] }, { id: "v1", name: "", members }];
  const examples = scores.slice(n).map((_, at) => [String(at), -1, []]);
  return prepareRows({ baseline: 0, texts: [], variants, examples, columns: { ...columns, score: scores } });
}"""


def test_graded_scores_are_numbers_on_a_scale_and_no_crosses(read: Any) -> None:
    found = read.evaluate(f"""() => {{
      const shown = (scores) => {{
        const data = ({MADE})(scores);
        offer(data);
        const offered = [...byId("f-outcome").options].filter((each) => !each.disabled).map((each) => each.value);
        const rows = [...scores.keys()].map((row) => [...drawRow({{ data, rows: [...scores.keys()] }}, row).children]);
        const told = rows.map((cells) => [cells[6].textContent, cells[6].className, cells[7].textContent]);
        const own = besideRow({{ data }}, 0, false).children[3];
        return [told.slice(scores.length / 2), offered, [own.textContent, own.className]];
      }};
      return [shown([0.5, 0.5, 0.5, 1, 0.75, 0.25, 0.5, 1]), shown([0, 1, 1, 0])];
    }}""")
    graded, plain = found
    assert graded[0] == [
        ["0.75", "grade g4", "▲ above +0.25"], ["0.25", "grade g1", "▼ below -0.25"],
        ["0.5", "grade g3", "="], ["1", "grade g5", "="],
    ]  # fmt: skip
    assert graded[1:] == [["", "fixed", "broken"], ["0.5", "num grade g3"]]
    assert plain[0] == [["✓ 1", "good", "▲ fixed"], ["✗ 0", "bad", "▼ broken"]]
    assert plain[1:] == [["", "right", "wrong", "fixed", "broken"], ["✗ 0", "num bad"]]


def test_every_member_of_an_ensemble_has_its_messages_under_its_name(read: Any) -> None:
    found = read.evaluate(f"""() => {{
      const data = ({MADE})([0, 1]);
      const messages = {{ texts: ["user", "one", "two"], prompts: [[0, 1], [0, 2]], asked: [[0], [0, 1]] }};
      const heads = (row) => prompts({{ data }}, messages, row).filter((each) => each.matches(".member, .message"))
        .map((each) => each.textContent);
      return [heads(0), heads(1), asText(messages, 1, data.variants[1].members)];
    }}""")
    assert [each.replace("Copy", "") for each in found[0]] == ["userone"]
    said = ["Member 1 of 2: m1 · plain", "userone", "Member 2 of 2: m2", "usertwo"]
    assert [each.replace("Copy", "") for each in found[1]] == said
    assert found[2] == f"{said[0]}\n\n[user]\none\n\n{said[2]}\n\n[user]\ntwo"


@pytest.mark.parametrize("width", [1280, 400])
def test_a_section_that_is_jumped_to_shows_its_heading(read: Any, width: int) -> None:
    read.set_viewport_size({"width": width, "height": 500})
    for link in read.locator("nav a").all():
        link.click()
        told = read.evaluate(
            """(id) => [document.querySelector(`${id} h2`).getBoundingClientRect().top,
            document.querySelector("nav").getBoundingClientRect().bottom]""",
            link.get_attribute("href"),
        )
        assert told[0] >= told[1] + 12, link.inner_text()  # a bar that scrolls sideways takes as much


def test_drawings_take_the_width_that_there_is(read: Any) -> None:
    widths = "(name) => [...document.querySelectorAll(name)].map((e) => e.getBoundingClientRect().width)"
    assert min(read.evaluate(widths, "#board td .strip:not(.strip .strip)")) > 180
    assert min(read.evaluate(widths, "#race svg.broad")) > 1000
    assert not read.locator("#race svg.narrow").is_visible()
    assert "the baseline: its score on dev" in read.locator("#board .legend").inner_text()


def test_a_narrow_window_shows_every_section_whole_or_says_that_it_scrolls(read: Any) -> None:
    read.set_viewport_size({"width": 400, "height": 800})
    cut = "[...document.querySelectorAll('main .wide')].filter((e) => e.scrollWidth > e.clientWidth + 1)"
    assert read.locator("#metrics .swipe").is_visible()
    assert read.evaluate(f"{cut}.every((e) => e.previousElementSibling.checkVisibility())")
    assert read.evaluate(f"{cut}.every((e) => !e.closest('#board, #race figure, #effects'))")
    assert read.locator("#race svg.narrow").is_visible()
    assert min(cell.bounding_box()["width"] for cell in read.locator("#metrics td.name").all()) > 200
    named = """[...document.querySelector("#board tbody tr").cells].filter(
        (e) => getComputedStyle(e, "::before").content !== "none").map((e) => e.dataset.said)"""
    assert read.evaluate(named) == ["dev", "test", "Δ test", "p", "rows"]
    assert not read.locator("#board thead").is_visible()


def test_long_tables_show_their_first_rows_and_the_baseline(read: Any) -> None:
    found = read.evaluate("""() => {
      const row = (at) => make("tr", { class: at === 30 ? "baseline" : null }, make("td", {}, String(at)));
      const table = make("table", {}, make("tbody", {}, ...[...Array(40).keys()].map(row)));
      byId("main").append(make("div", { class: "wide" }, table));
      foldTable(table);
      const seen = () => [...table.rows].filter((each) => each.checkVisibility()).map((each) => each.textContent);
      const first = seen();
      table.parentElement.nextElementSibling.firstChild.click();
      return [first, seen().length];
    }""")
    assert found == [[*map(str, range(12)), "30"], 40]


def test_a_printed_head_is_text_and_no_button(read: Any) -> None:
    """Chromium leaves buttons out of the heads that it repeats on later pages."""
    head = read.locator("#board th").nth(1)
    assert head.inner_text().strip() == "variant"
    read.emulate_media(media="print")
    assert head.inner_text().strip() == "variant"
    assert not head.locator("button").is_visible()
    assert read.locator("#board th button:visible").count() == 0


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
            expect(page.locator("#verdict")).to_contain_text("The search goes on: round ", timeout=30_000)
            page.select_option("#f-status", "ok")
            server.default = small_project.answer
            threading.Thread(target=mine, args=(opened(path),)).start()
            expect(page.locator("#live")).to_have_text("✓ complete", timeout=30_000)
            assert "goes on" not in page.locator("#verdict").inner_text()
            assert page.locator("#f-split option").all_inner_texts() == ["all", "test", "dev"]
            assert page.locator("#f-status").input_value() == "ok"  # the filters stay
            assert all(url.startswith(f"http://127.0.0.1:{port}/") for url in asked)
            page.close()
