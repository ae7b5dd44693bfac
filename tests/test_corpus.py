"""A corpus out of files: what is read, what is passed over, what is refused and how that is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.errors import BadInput
from promptlab.retrieve.corpus import Corpus, gather, read
from promptlab.retrieve.markup import page


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def ids(specs: Any, folder: Path) -> list[str]:
    return [each.id for each in read(specs, folder)]


def refused(specs: Any, folder: Path) -> list[str]:
    with pytest.raises(BadInput) as bad:
        read(specs, folder)
    return [str(each).replace(str(folder), "X") for each in bad.value.problems]


FILES: dict[str, str | bytes] = {
    "corpus/b.md": "# Fees\n\nTwo euros.\n",
    "corpus/a.txt": "Opening hours\r\nnine to five\n",
    "corpus/sub/c.html": "<title>Cards &amp; pins</title><h1>Cards</h1><p>A lost card is blocked.",
    "corpus/sub/d.rst": "Plain text of another ending.",
    "other.txt": "elsewhere",
}


def test_a_folder_is_read_by_name_with_paths_as_ids(tmp_path: Path) -> None:
    documents = read("corpus", write(tmp_path, FILES))
    assert [(each.id, each.path, each.title) for each in documents] == [
        ("corpus/a.txt", "corpus/a.txt", ""),
        ("corpus/b.md", "corpus/b.md", "Fees"),
        ("corpus/sub/c.html", "corpus/sub/c.html", "Cards & pins"),
        ("corpus/sub/d.rst", "corpus/sub/d.rst", ""),
    ]
    assert documents[0].text == "Opening hours\r\nnine to five\n"  # as it stands, so that offsets are those of the file
    assert documents[2].text == "# Cards\n\nA lost card is blocked."


def test_files_globs_lists_and_what_lies_outside(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", FILES)
    write(tmp_path, {"up.txt": "above", "x/we[ird].txt": "a name with brackets"})
    assert ids("other.txt", folder) == ["other.txt"]
    assert ids("corpus/*.md", folder) == ["corpus/b.md"]
    assert ids("corpus/**/*.html", folder) == ["corpus/sub/c.html"]
    assert ids("corpus/s*", folder) == ["corpus/sub/c.html", "corpus/sub/d.rst"]
    assert ids(["other.txt", "corpus/a.*", "corpus/../other.txt"], folder) == ["other.txt", "corpus/a.txt"]
    assert ids("../up.txt", folder) == ["../up.txt"]
    assert ids(str(folder / "other.txt"), folder) == ["other.txt"]
    assert ids("we[ird].txt", folder) == ["we[ird].txt"]


def test_a_file_of_two_spellings_is_read_once(tmp_path: Path) -> None:
    """By whatever way it is named; a table's rows are no duplicates of themselves."""
    folder = write(tmp_path / "x", {"t.jsonl": '{"text": "one"}\n{"text": "two"}\n', "sub/a.txt": "three"})
    ways = [
        "t.jsonl",
        "./t.jsonl",
        "sub/../t.jsonl",
        "../x/t.jsonl",
        str(folder / "t.jsonl"),
        "*.jsonl",
        "sub//a.txt",
        ".",
    ]
    corpus = gather(ways, folder)
    assert [each.id for each in corpus.documents] == ["t.jsonl:1", "t.jsonl:2", "sub/a.txt"]
    assert (corpus.dropped, corpus.duplicates) == (0, {})


ROWS = [{"id": "p0", "text": "one", "title": "A  b"}, {"id": 7, "text": "two", "title": None}]
TABLES: dict[str, str] = {
    "t.csv": "id,text,title\np0,one,A  b\n7,two,\n",
    "t.tsv": "id\ttext\ttitle\np0\tone\tA  b\n7\ttwo\t\n",
    "t.jsonl": "\n".join(map(json.dumps, ROWS)),
    "t.json": json.dumps(ROWS),
}


@pytest.mark.parametrize("name", TABLES)
def test_each_row_of_a_table_is_a_document(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: TABLES[name]})
    found = [(each.id, each.text, each.title, each.path, each.line) for each in read(name, tmp_path)]
    lines = {"t.csv": (2, 3), "t.tsv": (2, 3), "t.jsonl": (1, 2), "t.json": (0, 0)}[name]
    assert found == [("p0", "one", "A b", name, lines[0]), ("7", "two", "", name, lines[1])]


def test_a_row_of_parquet_is_a_document(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"id": [1, 2], "text": ["one", "two"]}), tmp_path / "t.parquet")
    assert ids("t.parquet", tmp_path) == ["1", "2"]


def test_columns_are_named_and_rows_without_an_id_are_numbered(tmp_path: Path) -> None:
    write(tmp_path, {"w.jsonl": '{"pid": "x", "body": "one", "h": "T"}\n', "n.csv": "text\none more\nand more\n"})
    [one] = read({"path": "w.jsonl", "id": "pid", "text": "body", "title": "h"}, tmp_path)
    assert (one.id, one.text, one.title) == ("x", "one", "T")
    assert ids("n.csv", tmp_path) == ["n.csv:1", "n.csv:2"]


def test_equal_texts_are_one_document_and_counted(tmp_path: Path) -> None:
    """White space aside; gold ids of what was dropped can be led to what stayed."""
    rows = [{"id": "a", "text": "same  text\n"}, {"id": "b", "text": " same text"}, {"id": "a", "text": "same text"}]
    write(tmp_path, {"t.jsonl": "\n".join(map(json.dumps, [*rows, {"id": "c", "text": "other"}])), "z.txt": "other"})
    corpus = gather(["t.jsonl", "z.txt"], tmp_path)
    assert [each.id for each in corpus.documents] == ["a", "c"]
    assert corpus.documents[0].text == "same  text\n"
    assert (corpus.duplicates, corpus.dropped) == ({"b": "a", "z.txt": "c"}, 3)


def test_hidden_binary_and_blank_files_are_passed_over_and_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "c/.git/x.txt": "hidden", "c/.secret": "hidden", "c/image.png": b"\x89PNG\0\0", "c/blank.txt": " \n",
            "c/ok.txt": "text", "c/rows.jsonl": '{"text": "row"}\n{"text": " "}\n{"text": null}\n', "c/empty.csv": "",
        },
    )  # fmt: skip
    corpus = gather("c", tmp_path)
    assert [each.id for each in corpus.documents] == ["c/ok.txt", "c/rows.jsonl:1"]
    assert sorted(corpus.skipped) == [
        "c/.git: hidden", "c/.secret: hidden", "c/blank.txt: no text", "c/empty.csv: no rows", "c/image.png: binary",
        "c/rows.jsonl: 2 rows without text",
    ]  # fmt: skip


def test_all_that_is_wrong_is_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "c/latin.txt": b"fine\nna\xefve",
            "c/utf16.txt": "text".encode("utf-16"),
            "c/t.csv": "id,txt\n1,one\n",
            "c/d.jsonl": '{"id": "x", "text": "one"}\n{"id": "x", "text": "two"}\n',
            "c/bad.jsonl": '{"id": "y", "text": "one"}\nno json\n',
            "c/types.jsonl": '{"id": null, "text": "a"}\n{"id": "u", "text": 5}\n{"id": "v", "text": "\\ud800"}\n',
            "corpora/x.txt": "x",
        },
    )
    example = "Write a folder, a file, a glob, or {path: pages.jsonl, id: id, text: text, title: title}."
    told = refused(["c", "corpus", "*.docx", {"path": "c", "txt": "x"}, {"text": "x"}, 5], tmp_path)
    assert told == [
        "X/corpus: `retrieval.corpus`: no such file or folder. Did you mean 'corpora'?",
        "`retrieval.corpus`: no file matches '*.docx'. Looked in X.",
        "`retrieval.corpus`: unknown key 'txt'. Did you mean 'text'?",
        f"`retrieval.corpus`: {{'text': 'x'}} names no files. {example}",
        f"`retrieval.corpus`: 5 names no files. {example}",
        "X/c/bad.jsonl:2: row 2: not JSON: Expecting value (column 1)",
        "X/c/latin.txt:2: byte 0xEF (byte 3 of line 2) is not UTF-8. Save it as UTF-8.",
        "X/c/t.csv:1: there is no column 'text'. Did you mean 'txt'? Say which: {path: …, text: COLUMN}.",
        "X/c/types.jsonl:1: row 1: column 'id' holds no id: None. Give each row an id of its own.",
        "X/c/types.jsonl:2: row 2: column 'text' holds int, not text",
        "X/c/types.jsonl:3: row 3: column 'text' holds half of a surrogate pair, which UTF-8 cannot carry",
        "X/c/utf16.txt:1: is UTF-16, not UTF-8. Save it as UTF-8.",
        "X/c/d.jsonl:2: the id 'x' is also that of another text (c/d.jsonl:1). Give each document an id of its own.",
    ]


def test_a_row_without_its_text_is_told_and_one_that_says_none_is_counted(tmp_path: Path) -> None:
    write(tmp_path, {"c/t.jsonl": '{"text": "one"}\n{"txt": "two"}\n{"text": null}\n'})
    assert refused("c", tmp_path) == [
        "X/c/t.jsonl:2: row 2: column 'text' is not there. Its keys: txt. A row without text says null or \"\"."
    ]


def test_a_json_file_that_holds_no_rows_says_how_to_go_on_without_it(tmp_path: Path) -> None:
    write(tmp_path, {"c/a.md": "text", "c/data.json": '{"a": 1}'})
    [told] = refused("c", tmp_path)
    assert told.startswith("X/c/data.json:1: holds an object. A list of objects is needed")
    assert told.endswith("Or leave it out: name the other files, like `corpus: c/*.md`.")
    assert ids("c/*.md", tmp_path) == ["c/a.md"]


def test_problems_of_one_kind_are_counted_past_ten(tmp_path: Path) -> None:
    write(tmp_path, {"t.jsonl": "\n".join(json.dumps({"id": "x", "text": str(n)}) for n in range(40))})
    told = refused("t.jsonl", tmp_path)
    assert len(told) == 11
    assert "and 29 more" in told[-1]


def test_an_empty_corpus_is_refused_with_what_was_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"c/.x": "hidden", "b.bin": b"\0\0"})
    (tmp_path / "empty").mkdir()
    assert refused("empty", tmp_path) == [
        "X: `retrieval.corpus`: no text was found. Known are txt, md, html, pdf, csv, tsv, jsonl, json and parquet."
    ]
    assert refused("c", tmp_path) == ["X: `retrieval.corpus`: no text was found. Passed over: c/.x: hidden."]
    assert refused([], tmp_path)[0].startswith("X: `retrieval.corpus`: no text was found.")
    [told] = refused("b.bin", tmp_path)  # named: not passed over
    assert "is a binary file" in told
    assert "no such file" in refused("nul\0name", tmp_path)[0]


def test_the_title_of_markdown_is_its_first_heading_or_that_of_its_front_matter(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.md": "---\ntitle: 'From front'\n---\n# Head\n",
            "b.md": "---\nx: 1\n---\n\n# Head #\ntext",
            "c.md": "text\n# Late",
        },
    )
    assert [each.title for each in read(["a.md", "b.md", "c.md"], tmp_path)] == ["From front", "Head", ""]


def test_bytes_are_text_without_their_mark(tmp_path: Path) -> None:
    """A mark of UTF-8 goes before what a page declares; a NUL far down makes no text binary."""
    mark = b"\xef\xbb\xbf"
    late = b"x" * 8_192 + b"\0end"
    page_ = mark + "<meta charset=iso-8859-1><p>naïve".encode()
    write(tmp_path, {"a.txt": mark + "é".encode(), "b.html": page_, "c.txt": late, "d/e.txt": late[1:]})
    assert [each.text for each in read(["a.txt", "b.html", "c.txt"], tmp_path)] == ["é", "naïve", late.decode()]
    assert gather(["a.txt", "d"], tmp_path).skipped == ("d/e.txt: binary",)


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b"\xff", 1, "byte 0xFF (byte 1 of line 1) is not UTF-8"),
        (b"ab\xff", 1, "byte 0xFF (byte 3 of line 1) is not UTF-8"),
        (b"\n\n\xe9\n", 3, "byte 0xE9 (byte 1 of line 3) is not UTF-8"),
        ("é\r\nab".encode() + b"\xc3", 2, "byte 0xC3 (byte 3 of line 2) is not UTF-8"),
        ("text".encode("utf-16-be"), 0, ""),
        (b"\xfe\xff\0t", 1, "is UTF-16, not UTF-8"),
        (b"\xff\xfet\0", 1, "is UTF-16, not UTF-8"),
        (b"<meta charset=ascii>\n\xe9", 2, "byte 0xE9 (byte 1 of line 2) is not ASCII"),
    ],
)
def test_bytes_that_are_no_text_are_told_with_their_place(tmp_path: Path, data: bytes, line: int, said: str) -> None:
    write(tmp_path, {"a.html": data})
    told = f"X/a.html:{line}: {said}. Save it as UTF-8."
    assert refused("a.html", tmp_path) == [told] if said else "is a binary file" in refused("a.html", tmp_path)[0]


def test_html_is_read_as_text() -> None:
    source = """<!doctype html><head><title> A
      title </title><style>p { color: red }</style><script>if (a < b) document.write("<p>no</p>")</script></head>
      <body><nav>Home</nav><h2>Fees <em>and</em> terms</h2><p>Two&nbsp;euros &lt;per month&gt;<br>and more
      <ul><li>one<li>two</ul><pre>  keep
    this</pre><table><tr><td>a<td>b</table><svg><title>no</title><path/></svg>
      <noscript>no</noscript>end<!-- no --></body>"""
    title, text = page(source)
    assert title == "A title"
    assert text == (
        "Home\n\n## Fees and terms\n\nTwo euros <per month>\nand more\n\n- one\n- two\n\n  keep\n    this\n\na b\n\nend"
    )


def test_html_in_its_declared_encoding(tmp_path: Path) -> None:
    body = '<html><head><meta charset="iso-8859-1"></head><p>na\xefve'
    write(tmp_path, {"a.html": body.encode("latin-1"), "b.html": "<meta charset=klingon><p>naïve too"})
    assert [each.text for each in read(["a.html", "b.html"], tmp_path)] == ["naïve", "naïve too"]


TAGS = (
    *(
        "<p>",
        "</p>",
        "<script>",
        "</script>",
        "<h1>",
        "<pre>",
        "</pre>",
        "<svg/>",
        "<!--",
        "<title>",
        "x",
        "&amp;",
        "<",
    ),
    *("</", "<![CDATA[", "]]>", "<a", " ", "\n", "\0", "<a b='"),
)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(TAGS), max_size=20).map("".join))
def test_no_html_breaks_it(source: str) -> None:
    title, text = page(source)
    assert title == " ".join(title.split())
    assert text == text.strip("\n")
    assert "\n\n\n" not in text


def pdf(*pages: str, title: str = "", password: str = "", unicode: bytes = b"") -> bytes:
    """A PDF with one line a page."""
    import io

    pypdf = pytest.importorskip("pypdf")
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = pypdf.PdfWriter()
    font = DictionaryObject({NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1"),
                             NameObject("/BaseFont"): NameObject("/Helvetica")})  # fmt: skip
    if unicode:
        mapped = DecodedStreamObject()
        mapped.set_data(unicode)
        font[NameObject("/ToUnicode")] = writer._add_object(mapped)
    for text in pages:
        made = writer.add_blank_page(300, 300)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        made[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        made[NameObject("/Contents")] = writer._add_object(stream)
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    write(tmp_path, {"a.pdf": pdf("Fees are two euros", "Second page", title=" A  title ")})
    [one] = read("a.pdf", tmp_path)
    assert (one.title, one.text) == ("A title", "Fees are two euros\n\nSecond page")
    write(tmp_path, {"b.pdf": pdf("One ", "", " Three")})  # a page without text leaves no gap at the ends
    write(tmp_path, {"c.pdf": pdf("", " Two ", "")})
    assert [(each.title, each.text) for each in read(["b.pdf", "c.pdf"], tmp_path)] == [
        ("", "One\n\n\n\nThree"),
        ("", "Two"),
    ]


def test_glyphs_that_map_to_half_a_character_can_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pypdf = pytest.importorskip("pypdf")
    mapped = b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfchar <41> <D800> endbfchar endcmap"
    write(tmp_path, {"a.pdf": pdf("fAee", title="T", unicode=mapped)})
    monkeypatch.setattr(pypdf.DocumentInformation, "title", property(lambda _: "\udc00 T"))
    [one] = read("a.pdf", tmp_path)
    assert (one.title, one.text) == ("? T", "f?ee")


def test_pdf_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"c/a.pdf": b"no pdf", "c/b.pdf": pdf("text", password="secret"), "c/e.pdf": b"", "d/scan.pdf": pdf("")},
    )
    told = refused("c", tmp_path)
    assert len(told) == 3
    assert "X/c/a.pdf: not a PDF that can be read" in told[0]
    assert told[1] == "X/c/b.pdf: is encrypted. Save it without a password."
    assert refused("d", tmp_path) == ["X: `retrieval.corpus`: no text was found. Passed over: d/scan.pdf: no text."]


def test_without_pypdf_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.pdf": b"%PDF-1.4"})
    monkeypatch.setitem(sys.modules, "pypdf", None)
    assert refused("a.pdf", tmp_path) == ['X/a.pdf: PDF files need pypdf. Run: pip install "promptlab-workbench[pdf]"']


def test_links_that_go_round_do_not_trap(tmp_path: Path) -> None:
    write(tmp_path, {"c/a.txt": "a"})
    (tmp_path / "c" / "round").symlink_to(tmp_path / "c")
    (tmp_path / "c" / "dead.txt").symlink_to(tmp_path / "nowhere")
    [told] = refused("c", tmp_path)
    assert told.startswith("X/c/dead.txt: cannot be read")


def test_nothing_read_is_nothing() -> None:
    assert Corpus(()).documents == ()
