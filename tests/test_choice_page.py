"""choice.html, the learning curves on it, and the way to it from a run's own page."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from choice_world import arm
from report_run import browsing
from test_choice_rule import rows as right
from test_choice_words import CURVE, N, choice, chosen

from promptlab.choice.arm import Serving
from promptlab.choice.learning import curves
from promptlab.choice.page import links, page
from promptlab.choice.reason import reason, sentences
from promptlab.choice.rule import rule
from promptlab.choice.table import rows
from promptlab.cli.chosen import tell
from promptlab.records import Variant
from promptlab.report.further import choice as in_report

EVIL = "</style><script>window.owned=1</script><b>\x1b[31m`x`"


# --- curves


def looked(pick: dict[str, Any], *others: tuple[dict[str, Any], float], rows: int = 50) -> Any:
    """A run as far as the curves look at it: its pick with 60 % right, and other variants; below 0 = so many rows."""
    every = [(pick, 0.6), *others]
    scores = np.full((len(every), rows), np.nan)
    for at, (_, share) in enumerate(every):
        scores[at] = right(share, rows) if share >= 0 else scores[at]
        scores[at, : int(-share)] = 1.0 if share < 0 else scores[at, : int(-share)]
    dev = [SimpleNamespace(id=str(n), group=None, weight=1.0) for n in range(rows)]
    variants = [Variant(f"v{at}", slots) for at, (slots, _) in enumerate(every)]
    view = SimpleNamespace(variants=variants, scores=scores, dev=dev)
    return SimpleNamespace(
        findings=SimpleNamespace(search=SimpleNamespace(view=view), choice=SimpleNamespace(pick=0), seed=0)
    )


@pytest.fixture
def _as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptlab.choice.learning.as_measured", lambda findings: findings)


@pytest.mark.usefixtures("_as_they_are")
def test_a_curve_has_the_sizes_that_were_scored_in_full_and_names_the_others() -> None:
    own = {"template": "t", "bank.k": 4, "bank.select": "random"}
    run = looked(
        own, (own | {"bank.k": 8}, -12), (own | {"bank.k": 2}, 0.5), (own | {"bank.k": 16, "template": "u"}, 0.9)
    )
    [found] = curves(run)
    assert [(each.x, round(each.score, 2)) for each in found.points] == [(2, 0.5), (4, 0.6)]
    assert found.left_out == "Not scored in full, so not drawn: 8 (after 12 of 50 dev rows)."
    alone = looked(own, (own | {"bank.k": 8}, -12))
    assert [len(each.points) for each in curves(alone)] == [1]
    assert curves(looked(own)) == ()


@pytest.mark.usefixtures("_as_they_are")
def test_an_arm_with_demos_takes_the_point_without_from_the_arm_without() -> None:
    own = {"template": "t", "bank.k": 4, "bank.select": "random"}
    run, plain = looked(own), looked({"template": "t", "bank.k": 0})
    [found] = curves(run, [run, plain])
    assert [each.x for each in found.points] == [0, 4]
    assert curves(plain, [run, plain]) == ()  # nor does the other arm get a curve of demos by it
    other_rows = looked({"template": "t", "bank.k": 0}, rows=49)
    assert curves(run, [other_rows]) == ()


@pytest.mark.usefixtures("_as_they_are")
def test_a_curve_of_training_rows_follows_one_arm_and_one_seed() -> None:
    own = {"template": "t", "model": "tuned-small-rag-s1-n80"}
    others = ("tuned-small-rag-s1-n20", "tuned-small-rag-s2-n40", "tuned-small-s1-n40", "tuned-big-rag-s1-n40", "small")
    [found] = curves(looked(own, *((own | {"model": name}, 0.3) for name in others)))
    assert [each.x for each in found.points] == [20, 80]
    assert found.name == "training rows (seed 1)"


# --- page


class Tags(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_names_from_anywhere_are_text_on_the_page_and_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    good = arm(EVIL, right(0.8, N), 0.9, model=EVIL, variant=EVIL, shutdown=EVIL, serving=Serving(usd=0.1))
    made = rule([good, arm("rag", right(0.8, N), 0.8)], EVIL)
    drawn = {EVIL: [replace(CURVE, which=EVIL)]}
    html = page(EVIL, made, rows(made, date(2026, 1, 1)), [EVIL], [EVIL], drawn, {EVIL: EVIL}, {EVIL: '"x'})
    tags = Tags(html).seen
    assert not {"script", "b"} & {name for name, attributes in tags if attributes}
    assert [name for name, _ in tags].count("script") == 0
    assert [name for name, _ in tags].count("style") == 1
    assert "\x1b" not in html
    assert html.count("window.owned") > 5
    tell(replace(chosen(made), curves=drawn), Path("here"), as_json=False)
    assert "\x1b" not in capsys.readouterr().out


def test_what_decides_stands_first_and_no_row_of_an_interval_stands_alone() -> None:
    made = choice()
    html = page("x", made, rows(made, date(2026, 1, 1)), sentences(made), [], {}, {})
    table_ = html[html.index('id="figures"') : html.index('class="cards"')]
    names = re.findall(r'<th scope="row">(.*?)</th>', table_)
    assert names[:3] == ["verdict", "test score (%) [95 %]", "difference to rag (points) [bounds]"]
    assert names.index("in all, 12 months ($)") < names.index("p95 (ms)") < names.index("seeds")
    assert not any("low" in name or "_" in name for name in names)
    assert all(reason(made, each).split(";")[0] in html for each in made.judged)


def test_arms_link_to_their_own_pages_where_there_are_any(tmp_path: Path) -> None:
    run, bare = tmp_path / "runs" / "r 1", tmp_path / "runs" / "r2"
    run.mkdir(parents=True)
    bare.mkdir()
    (run / "report.html").write_text("")
    folders = {"rag": run, "prompt": bare}
    assert links(folders, tmp_path) == {"rag": "runs/r%201/report.html"}
    assert links(folders, tmp_path / "runs" / "choice") == {"rag": "../r%201/report.html"}
    made = choice()
    html = page("x", made, rows(made, date(2026, 1, 1)), [], [], {}, {}, links(folders, tmp_path))
    assert [a["href"] for name, a in Tags(html).seen if name == "a" and not str(a["href"]).startswith("#")] == [
        "runs/r%201/report.html"
    ]


@pytest.mark.parametrize(
    ("place", "href"), [(".", "choice.html"), ("../..", "../../choice.html"), ("../choice", "../choice/choice.html")]
)
def test_a_runs_page_links_to_the_choice_beside_it(tmp_path: Path, place: str, href: str) -> None:
    folder = tmp_path / "experiment" / "runs" / "r1"
    home = (folder / place).resolve()
    for each in (folder, home):
        each.mkdir(parents=True, exist_ok=True)
    (home / "choice.csv").write_text("arm,variant,test_score,reason\nrag,v1,0.512345,because\n")
    assert "href" not in str(in_report(folder))
    (home / "choice.html").write_text("")
    said = str(in_report(folder))
    assert f'href="{href}"' in said
    assert "<td>0.512</td>" in said
    assert "because" in said
    assert "v1" not in said
    assert "href" not in str(in_report(folder, linked=False))


def test_the_page_fits_a_small_screen_and_a_large_one(tmp_path: Path) -> None:
    short = choice()
    arms = [replace(each.arm, name=each.arm.name.replace("rag", "fine-tuned+rag")) for each in short.judged]
    made = rule(arms, "fine-tuned+rag", short.limits)  # the longest name there is
    path = tmp_path / "choice.html"
    path.write_text(
        page("x", made, rows(made, date(2026, 1, 1)), sentences(made), [], {"fine-tuned": [CURVE]}, {"rag": "none"}),
        encoding="utf-8",
    )
    with browsing() as context:
        view = context.new_page()
        problems: list[str] = []
        view.on("console", lambda message: problems.append(message.text))
        for width in (400, 1200):
            view.set_viewport_size({"width": width, "height": 800})
            view.goto(path.as_uri())
            assert view.evaluate("document.documentElement.scrollWidth") == width
            cut = "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
            assert view.evaluate(cut) == 0
            assert view.locator(".cards").is_visible() == (width == 400)
            assert view.locator("#figures table").is_visible() == (width == 1200)
        assert problems == []  # nor does the policy forbid what the page has
