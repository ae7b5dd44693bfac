"""Labelled sets: every kind of file, what survives, what is refused and how it is told."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.dataset import Columns, Dataset, load, read_rows
from promptlab.errors import BadInput
from promptlab.records import Passage

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(folder: Path, *rows: object) -> Path:
    return write(folder, "d.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def told(path: Path, columns: Columns | None = None) -> list[str]:
    """The problems as they are printed, without the folder."""
    with pytest.raises(BadInput) as caught:
        load(path, columns or Columns(label="label"))
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


# what survives


@pytest.mark.parametrize(("name", "sep"), [("d.csv", ","), ("d.tsv", "\t")])
def test_csv_and_tsv_cells_stay_the_text_they_are(tmp_path, name, sep):
    cells = ["no", "01", "true", "1e3", "", " x ", "NA", "null", "=1+1", "'a", "{{ x }}", "---", "\u202ertl"]
    path = write(tmp_path, name, f"text{sep}label\n" + "".join(f"{cell}{sep}{cell or 'e'}\n" for cell in cells))
    examples = load(path, Columns(label="label")).examples
    assert [example.inputs["text"] for example in examples] == cells
    assert [example.label for example in examples] == [cell or "e" for cell in cells]


def test_quotes_line_ends_nul_and_a_long_cell_survive_in_csv(tmp_path):
    cells = ['say "hi"', "one\ntwo", "one\r\ntwo", "one\rtwo", "a\x00b", "a,b", "\ufeffx", "x" * 1_000_000, "\u2028"]
    body = "".join('"{}",l\r\n'.format(cell.replace('"', '""')) for cell in cells)
    path = write(tmp_path, "d.csv", f"\ufefftext,label\r\n{body}")
    assert [row["text"] for row in read_rows(path)] == cells
    assert csv.field_size_limit() == 131072


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=5))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    path = write(tmp_path_factory.mktemp("c"), "d.csv", buffer.getvalue())
    assert read_rows(path) == [{"a": a, "b": b} for a, b in rows]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(ANY_TEXT, JSON_VALUES, max_size=3), min_size=1, max_size=4))
def test_json_and_jsonl_keep_their_types(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("j")
    assert repr(read_rows(jsonl(folder, *rows))) == repr(rows)
    assert repr(read_rows(write(folder, "d.json", "\ufeff" + json.dumps(rows)))) == repr(rows)


def test_blank_lines_and_other_line_separators_in_jsonl(tmp_path):
    path = write(tmp_path, "d.jsonl", '{"a": "x\u2028y\u0085"}\r\n\r\n   \n{"a": "\\u0000"}')
    assert read_rows(path) == [{"a": "x\u2028y\u0085"}, {"a": "\0"}]


def test_a_pair_of_surrogate_escapes_is_a_character(tmp_path):
    path = write(tmp_path, "d.jsonl", '{"text": "\\ud83d\\ude00", "label": "x"}')
    assert load(path, Columns(label="label")).examples[0].inputs == {"text": "\U0001f600"}


# columns


def test_inputs_are_every_column_that_is_nothing_else(tmp_path):
    head = ",text,lang,label,id,who,w,part"
    path = write(tmp_path, "d.csv", f"{head}\n0,hello,en,greet,7,ann,2.5,Validation\n1,bye,en,part,8,,1e1,train\n")
    data = load(path, Columns(label="label", group="who", weight="w", fold="part"))
    assert isinstance(data, Dataset)
    first, second = data.examples
    assert (first.id, first.inputs, first.label) == ("7", {"text": "hello", "lang": "en"}, "greet")
    assert (first.group, first.weight, first.row) == ("ann", 2.5, 1)
    assert (second.group, second.weight, second.row) == ("", 10.0, 2)
    assert data.folds == {"7": "dev", "8": "train"}
    assert data.path == str(path)


def test_inputs_can_be_renamed_and_one_column_used_twice(tmp_path):
    path = write(tmp_path, "d.csv", "body,label\nhello,x\n")
    example = load(path, Columns({"message": "body", "copy": "body"}, label="label")).examples[0]
    assert example.inputs == {"message": "hello", "copy": "hello"}


def test_a_set_without_labels(tmp_path):
    example = load(jsonl(tmp_path, {"q": [1, {"a": None}]}), Columns()).examples[0]
    assert (example.label, example.answers, example.inputs) == (None, (), {"q": [1, {"a": None}]})


@pytest.mark.parametrize(
    ("cell", "sep", "answers"),
    [
        ("a|b", "|", ("a", "b")),
        (" a | b |", "|", ("a", "b")),
        ("a;b|c", ";", ("a", "b|c")),
        ('["a|b", "c"]', "|", ("a|b", "c")),
        ("[sic] a", "|", ("[sic] a",)),
        (["a", " b ", 3], "|", ("a", " b ", 3)),
        (7, "|", (7,)),
        (False, "|", (False,)),
    ],
)
def test_several_accepted_answers(tmp_path, cell, sep, answers):
    path = jsonl(tmp_path, {"q": "x", "label": cell})
    example = load(path, Columns(label="label", many="any", sep=sep)).examples[0]
    assert example.label == example.answers == answers


def test_one_accepted_answer_stays_what_it_is(tmp_path):
    path = jsonl(tmp_path, {"q": 1, "label": " a|b "}, {"q": 2, "label": False}, {"q": 3, "label": ["n"]})
    assert [each.label for each in load(path, Columns(label="label")).examples] == [" a|b ", False, ["n"]]


def test_passages_of_rows(tmp_path):
    passages = ["plain", {"id": 7, "text": "by id", "title": "t"}, {"title": "Title", "text": "by title"}]
    expected = (Passage("p1", "plain"), Passage("7", "t: by id"), Passage("Title", "Title: by title"))
    rows = [{"q": "x", "label": "y", "ps": passages}, {"q": "z", "label": "y", "ps": []}]
    columns = Columns(label="label", passages="ps")
    first, second = load(jsonl(tmp_path, *rows), columns).examples
    assert (first.passages, second.passages, first.inputs) == (expected, (), {"q": "x"})
    cell = json.dumps(passages).replace('"', '""')
    path = write(tmp_path, "d.csv", f'q,label,ps\nx,y,"{cell}"\nz,y,\n')
    assert [each.passages for each in load(path, columns).examples] == [expected, ()]


# ids


def test_given_ids_become_text(tmp_path):
    path = jsonl(tmp_path, {"id": 1, "q": "a", "label": "x"}, {"id": "01", "q": "a", "label": "x"})
    assert [each.id for each in load(path, Columns(label="label")).examples] == ["1", "01"]
    path = write(tmp_path, "k.csv", "key,id,label\na,x,l\nb,y,l\n")
    first = load(path, Columns(label="label", id="key")).examples[0]
    assert (first.id, first.inputs) == ("a", {"id": "x"})


def test_made_ids_are_pinned(tmp_path):
    """An id that changed between versions would reshuffle everybody's remembered splits."""
    path = write(tmp_path, "d.csv", "text,label\nwhere is my order,status\n")
    assert [each.id for each in load(path, Columns(label="label")).examples] == ["r03cd3e6232"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ANY_TEXT, st.sampled_from("xy")), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_made_ids_depend_on_content_alone(tmp_path_factory, cells, rng):
    folder = tmp_path_factory.mktemp("i")

    def ids(rows, name="t"):
        path = jsonl(folder, *({"t": text, "label": label} for text, label in rows))
        examples = load(path, Columns({name: "t"}, label="label")).examples
        return sorted((each.id, each.label, *each.inputs.values()) for each in examples)

    known = ids(cells)
    assert len({key for key, *_ in known}) == len(cells)
    assert ids(rng.sample(cells, len(cells))) == known
    assert set(ids([("other" * 5, "x"), *cells])) > set(known)
    assert ids(cells, "renamed") == known


def test_rows_of_equal_content_are_numbered_in_file_order(tmp_path):
    path = write(tmp_path, "d.csv", "text,label\na,x\nb,x\na,x\na,x\na,y\n")
    ids = [each.id for each in load(path, Columns(label="label")).examples]
    assert ids[2:4] == [f"{ids[0]}-2", f"{ids[0]}-3"]
    assert len(set(ids)) == 5
    assert all(len(each.split("-")[0]) == 11 for each in ids)


# what is refused


def test_a_missing_file_names_the_nearest(tmp_path):
    write(tmp_path, "labelled.csv", "a\n1\n")
    assert told(tmp_path / "labeled.csv") == ["labeled.csv: no such file. Did you mean 'labelled.csv'?"]
    assert "There is no folder" in told(tmp_path / "nowhere" / "d.csv")[0]
    assert "cannot be read" in told(tmp_path)[0]


def test_an_unknown_kind_of_file_names_the_known(tmp_path):
    path = write(tmp_path, "d.xlsx", "x")
    known = "Known: csv, tsv, jsonl, ndjson, json, parquet."
    assert told(path) == [f"d.xlsx: unknown kind of file '.xlsx'. {known}"]


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json"])
def test_a_wrong_encoding_names_line_and_byte(tmp_path, name):
    path = write(tmp_path, name, "label,text\na,b\nc,caf\u00e9\n".encode("latin-1"))
    assert told(path) == [f"{name}:3: byte 0xE9 (byte 6 of line 3) is not UTF-8. Save it as UTF-8."]
    assert "UTF-16" in told(write(tmp_path, name, "label\nx".encode("utf-16")))[0]


def test_columns_that_are_missing_are_told_all_at_once_with_the_problems_of_rows(tmp_path):
    path = write(tmp_path, "d.csv", "text,intent,w\na,x,1\nb\nc,,-2\n")
    problems = told(path, Columns({"m": "txt"}, label="intnt", group="customer", weight="w"))
    assert problems == [
        "d.csv:3: row 2 has 1 cells, the header has 3. Quote cells that hold the separator.",
        "d.csv: no column 'txt'. Did you mean 'text'? Columns: text, intent, w.",
        "d.csv: no column 'intnt'. Did you mean 'intent'? Columns: text, intent, w.",
        "d.csv: no column 'customer'. Known: intent, text, w.",
        "d.csv:4: row 3: the weight in column 'w' is '-2'. A weight is a number above 0.",
    ]


def test_ragged_rows_name_the_line_where_they_start(tmp_path):
    path = write(tmp_path, "d.csv", 'text,label\n"two\nlines",x\na,b,c\n\n"d\n"\n')
    problems = told(path)
    assert [problem.split(". ")[0] for problem in problems] == [
        "d.csv:4: row 2 has 3 cells, the header has 2",
        "d.csv:6: row 3 has 1 cells, the header has 2",
    ]


@pytest.mark.parametrize("row", ['"never closed,x', '"a"b,x'])
def test_a_broken_quote_names_its_line(tmp_path, row):
    problems = told(write(tmp_path, "d.csv", f"text,label\nok,x\n{row}\nmore,x\n"))
    assert len(problems) == 1
    assert problems[0].startswith("d.csv:3: the row that starts here cannot be read")


def test_columns_of_one_name_are_refused(tmp_path):
    path = write(tmp_path, "d.csv", "text,label,text\na,b,c\n")
    assert told(path) == ["d.csv:1: 2 columns are called 'text'. Give each column its own name."]


def test_broken_lines_of_jsonl_are_all_named(tmp_path):
    lines = ['{"t": "a", "label": "x"}', "{oops}", "", '{"t": 1, "t": 2}', "[1]", '{"t": NaN}', '{"t": 1e999}',
             '{"t": {"k": 1, "k": 1}}', "[" * 100_000, '{"t": ' + "1" * 5000 + "}"]  # fmt: skip
    problems = told(write(tmp_path, "d.jsonl", "\n".join(lines)))
    starts = [problem.split(": ", 3)[:3] for problem in problems]
    assert [start[0] for start in starts] == [f"d.jsonl:{line}" for line in (2, 4, 5, 6, 7, 8, 9, 10)]
    assert problems[0] == ("d.jsonl:2: row 2: not JSON: Expecting property name enclosed in double quotes (column 2)")
    assert problems[1] == "d.jsonl:4: row 3: the key 't' comes more than once in one object"
    assert problems[2] == 'd.jsonl:5: row 4: a row is an object like {"text": "\u2026"}, not a list'


def test_a_json_file_is_a_list_of_objects(tmp_path):
    assert "holds an object" in told(write(tmp_path, "d.json", '{"a": 1}'))[0]
    assert "row 2: a row is an object" in told(write(tmp_path, "d.json", '[{"label": 1, "t": 1}, 3]'))[0]
    problem = told(write(tmp_path, "d.json", '{"a": 1}\n{"a": 2}\n'))[0]
    assert problem.startswith("d.json:2: not JSON: Extra data")
    assert problem.endswith("one object per line is called .jsonl.")


@pytest.mark.parametrize(("name", "text"), [("d.csv", ""), ("d.csv", "text,label\n"), ("d.jsonl", "\n"),
                                            ("d.json", "[]"), ("d.json", ""), ("d.tsv", "\ufeff")])  # fmt: skip
def test_a_set_without_rows_is_refused(tmp_path, name, text):
    assert told(write(tmp_path, name, text)) == [f"{name}: holds no rows. Add labelled rows."]


@pytest.mark.parametrize("label", ["", "  ", None])
def test_rows_without_a_label_are_named_ten_and_the_others_counted(tmp_path, label):
    rows = [{"t": str(place), "label": label} for place in range(13)]
    problems = told(jsonl(tmp_path, *rows, {"t": "x", "label": "yes"}))
    assert len(problems) == 11
    assert problems[0] == "d.jsonl:1: row 1: the label in column 'label' is empty. Label the row or take it out."
    assert problems[-1] == "d.jsonl:11: and 3 more rows like these"


def test_no_accepted_answer_is_no_label(tmp_path):
    path = jsonl(tmp_path, {"t": 1, "label": []}, {"t": 2, "label": " | "}, {"t": 3, "label": [""]}, {"t": 4})
    assert len([each for each in told(path, Columns(label="label", many="any")) if "is empty" in each]) == 4


def test_ids_that_are_twice_or_empty_are_named(tmp_path):
    rows = [{"id": 1, "t": "a"}, {"id": "1", "t": "b"}, {"id": "", "t": "c"}, {"t": "d"}, {"id": [1], "t": "e"}]
    assert told(jsonl(tmp_path, *rows), Columns()) == [
        "d.jsonl:3: row 3: the id in column 'id' is empty. Fill it in.",
        "d.jsonl:4: row 4: the id in column 'id' is empty. Fill it in.",
        "d.jsonl:5: row 5: the id in column 'id' is [1]. An id is a text or a number.",
        "d.jsonl:2: row 2: the id '1' is also that of row 1. Give every row its own id.",
    ]


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "many", "", None, True, [1], 10**400])
def test_a_weight_is_a_number_above_zero(tmp_path, weight):
    path = jsonl(tmp_path, {"t": "a", "label": "x", "w": weight})
    assert "row 1: the weight in column 'w' is" in told(path, Columns(label="label", weight="w"))[0]


def test_a_fold_is_train_dev_or_test(tmp_path):
    path = write(tmp_path, "d.csv", "t,label,fold\na,x,tran\nb,x,\n")
    problems = told(path, Columns(label="label", fold="fold"))
    assert problems[0] == (
        "d.csv:2: row 1: column 'fold' holds 'tran'. It says train, dev or test. Did you mean 'train'?"
    )
    assert len(problems) == 2


@pytest.mark.parametrize("cell", ["just text", {"text": "x"}, ["ok", {"id": "no text"}], ["ok", 3], 5])
def test_passages_that_are_none_are_refused(tmp_path, cell):
    path = jsonl(tmp_path, {"t": "a", "label": "x", "ps": cell})
    problems = told(path, Columns(label="label", passages="ps"))
    assert len(problems) == 1
    assert "row 1: " in problems[0]
    assert "column 'ps'" in problems[0]


BAD = "\\ud83d"  # as JSON escapes it
HALF = json.loads(f'"{BAD}"')


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("t", f"a{HALF}b"),
        ("t", {"k": [HALF]}),
        ("t", {HALF: 1}),
        ("label", HALF),
        ("label", ["ok", HALF]),
        ("ps", [HALF]),
        ("ps", [{"title": HALF, "text": "x"}]),
        ("id", HALF),
        ("g", HALF),
    ],
)
def test_half_a_surrogate_pair_is_refused_by_row_and_column(tmp_path, column, value):
    row = {"id": "k1", "t": "a", "label": "x", "ps": [], "g": "h"}
    path = jsonl(tmp_path, row, {**row, "id": "k2", column: value})
    what = f"d.jsonl:2: row 2: column '{column}' holds the lone surrogate {BAD}, which UTF-8 cannot carry"
    assert told(path, Columns(label="label", passages="ps", group="g")) == [f"{what}. Write the whole character."]


def test_half_a_surrogate_pair_in_a_json_cell_of_a_csv_is_refused(tmp_path):
    path = write(tmp_path, "d.csv", f't,label\na,"[""x"", ""{BAD}""]"\n')
    assert "row 1: column 'label' holds the lone surrogate" in told(path, Columns(label="label", many="any"))[0]


def test_half_a_surrogate_pair_in_a_column_name_is_refused_and_can_be_printed(tmp_path):
    path = write(tmp_path, "d.jsonl", f'{{"{BAD}": 1, "label": "x"}}')
    assert "lone surrogate" in told(path)[0]
    assert all(problem.encode() for problem in told(path, Columns({"a": "zzz"}, label="label")))


def test_an_input_that_some_objects_lack_is_refused_by_row(tmp_path):
    path = jsonl(tmp_path, {"t": "a", "u": 1, "label": "x"}, {"t": "b", "label": "x"})
    assert told(path)[0].startswith("d.jsonl:2: row 2: no value for column 'u'.")
    assert len(load(path, Columns({"t": "t"}, label="label")).examples) == 2


def test_a_set_of_labels_alone_has_no_input(tmp_path):
    assert told(write(tmp_path, "d.csv", "label\nx\n"))[0].startswith("d.csv: no column is left as an input.")


# parquet


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    problems = told(write(tmp_path, "d.parquet", b"PAR1"))
    assert problems == ['d.parquet: parquet files need pyarrow. Run: pip install "promptlab-workbench[parquet]"']


def test_parquet_keeps_types(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
    import datetime as dt

    rows = [
        {"t": "01", "n": 1, "f": float("nan"), "b": True, "l": ["x"], "s": {"k": 2.5}, "d": dt.date(2024, 1, 2)},
        {"t": None, "n": None, "f": 0.5, "b": False, "l": [], "s": {"k": None}, "d": None},
    ]
    path = tmp_path / "d.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert read_rows(path) == [{**rows[0], "f": None, "d": "2024-01-02"}, rows[1]]
    assert "not a parquet file" in told(write(tmp_path, "e.parquet", b"oops"))[0]
    parquet.write_table(pyarrow.table({"t": [b"bytes"], "label": ["x"]}), path)
    assert "bytes" in told(path)[0]


def test_a_csv_with_semicolons_is_told_as_such(tmp_path):
    """As spreadsheets of many countries save them; a column may still be called ``a;b`` beside others."""
    path = write(tmp_path, "d.csv", "text;label\nfine, thanks;good\nno;bad\n")
    assert told(path) == ["d.csv:1: the cells are separated by ;. Save it with commas, or as .tsv with tabs."]
    assert [row["a;b"] for row in read_rows(write(tmp_path, "e.csv", "a;b,label\n1,2\n"))] == ["1"]
