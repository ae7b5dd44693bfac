"""HTML cut into tags and text: as browsers do it, whatever the page is, each character looked at once."""

from __future__ import annotations

import time
from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.retrieve.markup import page
from promptlab.retrieve.tags import Piece, pieces


def read(source: str) -> list[Piece]:
    """The pieces, texts that follow each other as one."""
    found: list[Piece] = []
    for kind, said in pieces(source):
        if kind == "text" and found and found[-1][0] == "text":
            found[-1] = ("text", found[-1][1] + said)
        else:
            found.append((kind, said))
    return found


def text(source: str) -> str:
    return "".join(said if kind == "text" else "|" for kind, said in pieces(source))


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a < b <3 c<", "a < b <3 c<"),
        ("a<b>c</b >d<BR/>e", "a|c|d|e"),
        ("<p title='>' class=x data-y>z", "|z"),
        ('<p title=">a</p>z', "|a|z"),
        ("a<!-- <p> -- > -->b<!-->c<!--->d<!--e--!>f", "abcdf"),
        ("a<!doctype html>b<?php > ?>c<![CDATA[d]]>e</>f</ g>h<![<!i>j", "ab ?>cefhj"),
        ("a<!-- never closed <p>b", "a"),
        ("a<p title", "a"),
        ("a<!never", "a"),
        ("<script>if (a</b>c) '</scripts>' &amp; </SCRIPT >x", "|if (a</b>c) '</scripts>' &amp; |x"),
        ("<script/>x<style>p</style>y", "|x|p|y"),
        ("<title>a <b>&amp;</b></title>c<textarea></p></textarea>", "|a <b>&</b>|c|</p>|"),
        ("<script>never closed</p>", "|never closed</p>"),
        ("&lt;p&gt; &euro; &#8364; &#x20AC; &nosuch; &", "<p> € € € &nosuch; &"),
        ("&#0000000000065;&#x0000000000041;&#00000000000;", "AA\ufffd"),
        (f"&#{'9' * 5000};&#x{'f' * 5000};&#999999999999", "\ufffd" * 3),
    ],
)
def test_what_is_text_and_what_is_a_tag(source: str, wanted: str) -> None:
    assert text(source) == wanted


def test_tags_are_told_by_lower_case_names() -> None:
    assert read("<H1 id=a>x</H1><br /><p/>") == [
        ("open", "h1"), ("text", "x"), ("close", "h1"), ("empty", "br"), ("empty", "p"),
    ]  # fmt: skip


class Oracle(HTMLParser):
    """The standard library's parser, which reads sound pages well."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Piece] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(("open", tag))

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.found.append(("empty", tag))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("close", tag))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "text":
            data = self.found.pop()[1] + data
        self.found.append(("text", data))


WORDS = st.text("ab <>&\"'\n=/-!é", min_size=1, max_size=8)
QUOTED = st.builds(lambda said: '"' + escape(said) + '"', WORDS) | st.just("'a>b'") | st.just("plain")
ATTRIBUTES = st.lists(st.builds("{}{}{}".format, st.sampled_from([" a=", "\nb-c = "]), QUOTED, st.just("")), max_size=3)
LEAVES = st.builds(escape, WORDS) | st.sampled_from(
    ["<br>", "<br/>", "<!-- c > d -->", "<!doctype html>", "<script>a < b && '<p>'</script>", "<style>p > a {}</style>"]
)
PAGES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda tag, given, held: f"<{tag}{''.join(given)}>{''.join(held)}</{tag}>",
        st.sampled_from(["p", "div", "H2", "x-y"]), ATTRIBUTES, st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(PAGES, max_size=4).map("".join))
def test_sound_pages_are_read_as_the_standard_library_reads_them(source: str) -> None:
    oracle = Oracle()
    oracle.feed(source)
    oracle.close()
    assert read(source) == oracle.found


@given(st.lists(st.sampled_from([*"<>!-/='\" ax&#", "<!--", "-->", "<a ", "<![", "<script>", "</"]), max_size=25))
def test_text_without_a_less_than_sign_or_reference_is_kept_as_it_is(parts: list[str]) -> None:
    source = "".join(parts)
    assert len(text(source).replace("|", "")) <= len(source)
    plain = source.replace("<", "").replace("&", "")
    assert text(plain) == plain


HOSTILE = (
    "<!--", "<a ", "<a b=", '<a b="', "<a b='\"", "</a ", "<!", "<?", "<![CDATA[", "<![", "<", "</", "<script>",
    "<script></script", "<title>", "&#99999", "<pre>\n", "<svg>", "<a/ =/", "&", "<p><b>",
)  # fmt: skip


@pytest.mark.parametrize("ending", ["", ">"])
def test_no_page_takes_long(ending: str) -> None:
    """50,000 times what is never closed: a parser that looks for each end anew takes minutes."""
    for start in HOSTILE:
        began = time.process_time()
        page(start * 50_000 + ending)
        assert time.process_time() - began < 3, start
