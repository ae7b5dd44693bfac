"""Documents cut into passages: true offsets, nothing lost, sizes kept."""

from __future__ import annotations

import re
from itertools import chain, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from promptlab.errors import BadInput
from promptlab.retrieve import chunk
from promptlab.retrieve.chunk import Chunking, chunks
from promptlab.retrieve.document import Document
from promptlab.retrieve.markup import page

PIECES = st.sampled_from(
    [
        *(
            "word",
            "a",
            "Mr.",
            "3.5",
            "end.",
            "why?",
            "so!",
            " ",
            "  ",
            "\n",
            "\n\n",
            "\r\n",
            "\r\n\r\n",
            "\t",
            "# Head",
        ),
        *("## Sub", "\n# H\n", "\n## S\n", "===", "\n---\n", "```", "返金。", "です", "ไทย", "é", "💳", "\0", "\u2028"),
        *("\xa0", "    x", "> # q"),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=60))
COUNTED = st.builds(
    lambda unit, size, overlap: Chunking(unit, size, min(overlap, size - 1)),
    st.sampled_from(["words", "sentences", "paragraphs"]), st.integers(1, 6), st.integers(0, 5),
)  # fmt: skip
WAYS = st.one_of(COUNTED, st.integers(1, 6).map(lambda level: Chunking("headings", level)), st.just(Chunking()))


def cut(text: str, *way: Any) -> list[str]:
    return [each.text for each in chunks(Document("d", text), Chunking(*way))]


@settings(max_examples=120, deadline=None)
@given(TEXTS, WAYS)
def test_passages_are_stretches_of_the_text_that_cover_it(text: str, way: Chunking) -> None:
    document = Document("d", text, title="T")
    made = list(chunks(document, way))
    covered = set[int]()
    for each in made:
        assert each.text == text[each.start : each.end]
        assert each.text.strip() == each.text != ""
        assert (each.source, each.title) == ("d", "T")
        assert each.id == ("d" if len(made) == 1 else f"d#{each.start}-{each.end}")
        covered |= set(range(each.start, each.end))
    assert {at for at, letter in enumerate(text) if not letter.isspace()} <= covered
    assert [each.start for each in made] == sorted({each.start for each in made})
    assert [each.end for each in made] == sorted({each.end for each in made})
    assert list(chunks(document, way)) == made


@settings(max_examples=100, deadline=None)
@given(TEXTS, COUNTED)
def test_sizes_and_overlaps_are_kept(text: str, way: Chunking) -> None:
    """Cut into single units and put together, size units a passage, overlap of them shared with the one before."""
    units = list(chunks(Document("d", text), Chunking(way.unit, 1)))
    made = list(chunks(Document("d", text), way))
    starts, ends = [each.start for each in units], [each.end for each in units]
    for place, each in enumerate(made):
        first, last = starts.index(each.start), ends.index(each.end)
        assert last - first + 1 == way.size or each is made[-1]
        assert last - first < way.size
        if place:
            assert ends.index(made[place - 1].end) - first + 1 == way.overlap
    assert not made or made[-1].end == ends[-1]


def test_words() -> None:
    assert cut("one two  three\nfour five", "words", 2) == ["one two", "three\nfour", "five"]
    assert cut("one two three four five", "words", 3, 1) == ["one two three", "three four five"]
    assert cut("返金は五日", "words", 2) == ["返金", "は五", "日"]
    assert cut("one", "words", 120, 20) == ["one"]
    assert cut(" \n ", "words", 5) == []


def test_sentences() -> None:
    text = 'It costs approx. 3.5 euros, e.g. for J. Smith. He said "no." Then he left! Why?! it is. Mr. X, 返金。です'
    text += "\n\nNew one"
    assert cut(text, "sentences", 1) == [
        "It costs approx. 3.5 euros, e.g. for J. Smith.", 'He said "no."', "Then he left!", "Why?! it is.",
        "Mr. X, 返金。", "です", "New one",
    ]  # fmt: skip


def test_paragraphs() -> None:
    assert cut("one\nstill one\n \n\ntwo\r\n\r\nthree", "paragraphs", 1) == ["one\nstill one", "two", "three"]
    assert cut("one\n\ntwo\n\nthree", "paragraphs", 2, 1) == ["one\n\ntwo", "two\n\nthree"]


def test_a_line_end_of_two_characters_is_one() -> None:
    """Files of Windows: a line is no paragraph, and a sentence goes on in the next line."""
    text = "one\r\nstill one\r\n \r\ntwo\r\rthree\rstill three"
    assert cut(text, "paragraphs", 1) == ["one\r\nstill one", "two", "three\rstill three"]
    assert cut("One goes\r\non. Two\r\n\r\nThree", "sentences", 1) == ["One goes\r\non.", "Two", "Three"]


MARKDOWN = """---
title: x
---
Before

# One
text
```
# no heading
```
### Deep
- list
  - in a list
    - in a list
      > quoted
more

Two
---
    # code
> # quoted
"""


def test_headings_of_markdown_down_to_a_level() -> None:
    """Not those in code, quotes or front matter; underlined ones are headings too."""
    front, one, two = cut(MARKDOWN, "headings", 2)
    assert front.startswith("---\ntitle")
    assert front.endswith("Before")
    assert one.startswith("# One")
    assert one.endswith("more")
    assert two.startswith("Two\n---")
    assert two.endswith("quoted")
    assert [each.splitlines()[0] for each in cut(MARKDOWN, "headings", 1)][-1] == "# One"
    assert "### Deep" in [each.splitlines()[0] for each in cut(MARKDOWN, "headings", 3)]


LINES = (
    "",
    "a",
    "#",
    " # a",
    "\t#",
    "   ## a #",
    "#a",
    "=",
    " ==",
    "-",
    "--- ",
    "- a",
    "> # a",
    "- # a",
    "```",
    "\x0b",
    "\0",
)


def test_what_is_read_as_having_no_heading_has_none() -> None:
    """Of all texts of up to five of these characters and of three of these lines: Markdown sees none in them, either.

    The others are read by Markdown's own parser.
    """
    short = chain.from_iterable(product("#=- a\n\r", repeat=size) for size in range(6))
    long = product(LINES, ("\n", "\r", "\r\n"), LINES, ("\n",), LINES)
    passed = [text for parts in chain(short, long) if not chunk._HEADING.search(text := "".join(parts))]
    assert len(passed) > 1_000
    reader = MarkdownIt("commonmark").disable("inline")
    marked = [text for text in passed if any(c in text for c in "#=-")]
    assert [
        text for text in marked if any(each.tag in ("h1", "h2") and not each.level for each in reader.parse(text))
    ] == []


def test_headings_of_html() -> None:
    _, text = page("<h1>One</h1><p>a<h2>Two</h2><p>b<h3>Three</h3>c")
    assert cut(text, "headings", 2) == ["# One\n\na", "## Two\n\nb\n\n### Three\n\nc"]


def test_a_whole_document_keeps_its_id() -> None:
    [one] = chunks(Document("d", "\n all of it \n"), Chunking())
    assert (one.id, one.text, one.start, one.end) == ("d", "all of it", 2, 11)


@pytest.mark.parametrize(
    ("way", "told"),
    [
        (("word", 5), "unknown chunking 'word'. Did you mean 'words'?"),
        (("words", 0), "chunks of 0 words. Write a whole number from 1."),
        (("words", True), "chunks of True words"),
        (("words", 5, -1), "an overlap of -1 words"),
        (("words", 5, 5), "an overlap of 5 with chunks of 5 words. Write an overlap below 5"),
        (("headings", 7), "headings of level 7. Levels go from 1 to 6."),
        (("headings", 2, 1), "an overlap of 1 with headings"),
    ],
)
def test_chunkings_that_cannot_be_are_refused(way: Any, told: str) -> None:
    with pytest.raises(BadInput, match=re.escape(told)):
        Chunking(*way)


def test_a_long_document_is_cut_fast() -> None:
    """2 MB of words: all ways together in seconds, none by the square."""
    text = "A sentence of some seven words here. " * 50_000 + "x" * 200_000
    for way in (("words", 120, 20), ("sentences", 5, 1), ("paragraphs", 1), ("headings", 2), ("whole",)):
        assert cut(text, *way)
