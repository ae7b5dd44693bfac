"""choice.html: the choice and its reason, the arms side by side, their bounds and learning curves drawn; no script."""

from __future__ import annotations

import base64
import hashlib
import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from promptlab.choice.curve import Curve
from promptlab.choice.drawing import drawings
from promptlab.choice.figures import Row, figures
from promptlab.choice.forest import forest
from promptlab.choice.lineup import SHAPES, lineup
from promptlab.choice.prices import whole
from promptlab.choice.rule import Choice
from promptlab.choice.style import STYLE
from promptlab.report.marks import joined, tag, text
from promptlab.report.page import REPORT, asset

Section = tuple[str, str, Markup]


def page(
    name: str,
    choice: Choice,
    rows: Sequence[Row],
    said: Sequence[str],
    advice: Sequence[str],
    curves: Mapping[str, Sequence[Curve]],
    left_out: Mapping[str, str],
    links: Mapping[str, str] | None = None,
) -> str:
    """The page as HTML. ``said``: the choice in sentences; ``left_out``: arms and why; ``links``: arms' own pages."""
    style = asset("page.css") + STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = (
        Markup('<meta charset="utf-8">'),
        Markup('<meta http-equiv="Content-Security-Policy" content="{}">').format(policy),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="referrer" content="no-referrer">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        tag("title", f"{name} · choice"),
        tag("style", Markup(style)),  # noqa: S704 - our own text, and its digest stands in the policy
    )
    made = [
        ("verdict", "Choice", joined((_pick(choice), _paragraphs(said)))),
        ("arms", "The arms", lineup(choice, rows, links or {})),
        ("against", f"Against {choice.reference}, {choice.best}", forest(choice)),
        ("curves", "How much data", drawings(curves, choice.unit)),
        ("advice", "What to mend", _paragraphs(advice)),
        ("figures", "Every figure", figures(choice, rows)),
        ("left-out", "Left out", _list(left_out)),
    ]
    sections = [each for each in made if each[2]]
    count = max((int(row["test_n"] or 0) for row in rows), default=0)
    sub = f"prompting, retrieval or fine-tuning · {len(rows)} arms on {count:,} test rows"
    top = tag("header", tag("div", tag("h1", name), tag("p", sub, class_="sub")))
    links_to = joined(tag("a", title, href=f"#{key}") for key, title, _ in sections)
    main = tag("main", joined(_section(*each) for each in sections), id="main")
    foot = tag("footer", tag("p", "The same figures as a table: choice.csv, beside this page."))
    body = tag("body", top, tag("nav", links_to, aria_label="Sections"), main, foot)
    return f"<!DOCTYPE html>\n{tag('html', tag('head', joined(head)), body, lang='en')}\n"


def links(folders: Mapping[str, Path], home: Path) -> dict[str, str]:
    """Where an arm's own page lies, as seen from the page in ``home``; ``folders``: of its run. Those there are."""
    return {
        arm: quote(Path(os.path.relpath(folder / REPORT, home)).as_posix())
        for arm, folder in folders.items()
        if (folder / REPORT).is_file()
    }


def _section(key: str, title: str, inner: Markup) -> Markup:
    return tag("section", tag("h2", title, id=f"{key}-title"), inner, id=key, aria_labelledby=f"{key}-title")


def _pick(choice: Choice) -> Markup:
    """The arm to take, large, with what decides it."""
    if choice.name is None:
        return Markup("")
    each = choice.of(choice.name)
    kind = each.verdict.split(maxsplit=1)[0]
    seeds = f", mean of {len(each.arm.seeds)} seeds" if len(each.arm.seeds) > 1 else ""
    facts = [
        "chosen" if choice.decided else "until more rows decide",
        f"{choice.unit.score(each.score)} on test{seeds}",
        *([whole(choice, each)] if each.total is not None else []),
    ]
    shape = tag("span", SHAPES[each.verdict], class_=f"shape {kind}", aria_hidden="true")
    return tag("p", shape, tag("b", each.arm.name), tag("span", " · ".join(facts)), class_="pick")


def _paragraphs(said: Sequence[str]) -> Markup:
    return joined(tag("p", _coded(each), class_=None if at else "first") for at, each in enumerate(said))


def _coded(said: str) -> Markup:
    """A sentence with the keys and names that stand between its backticks set as code."""
    parts = said.split("`")
    if len(parts) % 2 == 0:  # one of them belongs to a name
        return text(said)
    return joined(tag("code", part) if at % 2 else part for at, part in enumerate(parts))


def _list(left_out: Mapping[str, str]) -> Markup:
    items = joined(tag("li", tag("b", arm), ": ", _coded(why), ".") for arm, why in left_out.items())
    return tag("ul", items) if left_out else Markup("")
