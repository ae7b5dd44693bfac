"""Elements of HTML and SVG. What is not marked up already is escaped, and its control characters are made visible."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {127: 0x2421}


def text(value: Any) -> Markup:
    """Text from anywhere as HTML: markup stays, everything else is escaped."""
    if isinstance(value, Markup):
        return value
    said = str(value).translate(_PICTURES)
    return escape(said.encode("utf-8", "replace").decode())  # a lone surrogate would make no file


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """An element. ``class_`` is class, ``_`` is a hyphen; None leaves an attribute out; numbers lose their tails."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(text(child) for child in children)
    return Markup(f"<{name}{pairs}>{inner}</{name}>")  # noqa: S704 - every part of it is escaped


def joined(parts: Any) -> Markup:
    """Pieces of markup as one."""
    return Markup("").join(text(part) for part in parts)


def _short(value: Any) -> Any:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def cells(kind: str, values: Any, classes: Any = ()) -> Markup:
    """The cells of a table row, each with its class where one is given."""
    names = [*classes, *[None] * len(values)][: len(values)]
    return joined(tag(kind, value, class_=name or None) for value, name in zip(values, names, strict=True))


def table(head: Any, rows: Any, caption: str, classes: Any = ()) -> Markup:
    """A table that scrolls sideways where there is little room. Its columns sort where the script runs."""
    names = [*classes, *[""] * len(head)]
    titles = (tag("th", each, scope="col", class_=name or None) for each, name in zip(head, names, strict=False))
    top = tag("thead", tag("tr", joined(titles)))
    body = tag("tbody", joined(tag("tr", cells("td", row, classes)) for row in rows))
    return wide(tag("table", tag("caption", caption), top, body, class_="sortable"), caption)


def wide(inner: Markup, name: str) -> Markup:
    """Something that may be wider than the page: it scrolls by itself, by keyboard too."""
    return tag("div", inner, class_="wide", role="region", aria_label=name, tabindex="0")
