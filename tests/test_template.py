"""Templates: roles, turns, white space, includes and macros, slots, the sandbox, and errors that name file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.errors import BadInput, Problem
from promptlab.predict import Label
from promptlab.template import Source, Template, load, parse
from promptlab.template.files import _read
from promptlab.template.lines import front_matter, whole_lines
from promptlab.template.marks import Row

SCOPE = {"demos": (), "passages": (), "labels": ()}


def made(text: str, **others: str) -> Template:
    """The template main.j2 with this text; others by name, ``__`` for a slash."""
    texts = {"main": text, **{name.replace("__", "/"): each for name, each in others.items()}}
    return parse("main.j2", {f"{name}.j2": Source(each, f"t/{name}.j2") for name, each in texts.items()})


def chat(template: Template, **scope: Any) -> list[tuple[str, str]]:
    return [(each.role, each.content) for each in template.render({**SCOPE, **scope})]


def text(source: str, /, *, partials: dict[str, str] | None = None, **scope: Any) -> str:
    """What a template without role tags prints between two marks, so that its edge newlines can be seen."""
    [(role, content)] = chat(made(f"<{source}>", **(partials or {})), **scope)
    assert role == "user"
    return content.removeprefix("<").removesuffix(">")


def problems(source: str, /, **others: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        made(source, **others)
    return [str(each) for each in caught.value.problems]


def refused(source: str, /, *, partials: dict[str, str] | None = None, **scope: Any) -> str:
    """The one problem of rendering a template that parses."""
    template = made(source, **(partials or {}))
    with pytest.raises(BadInput) as caught:
        template.render({**SCOPE, **scope})
    [problem] = caught.value.problems
    return str(problem)


# ---- roles and turns


def test_role_tags_make_messages_in_order() -> None:
    source = (
        "{% system %}S{% endsystem %}\n{% developer %}D{% enddeveloper %}\n"
        "{% user %}U{% enduser %}\n{% assistant %}A{% endassistant %}\n"
    )
    assert chat(made(source)) == [("system", "S"), ("developer", "D"), ("user", "U"), ("assistant", "A")]


def test_without_role_tags_all_is_one_user_message() -> None:
    assert chat(made("\nAsk: {{ q }}\n\n"), q="why?") == [("user", "Ask: why?")]


def test_messages_lose_the_templates_edge_newlines_and_never_the_datas() -> None:
    source = "{% user %}\n\n{{ q }}\n\n{% enduser %}"
    assert chat(made(source), q="\n\n why \n\r\n") == [("user", "\n\n why \n\r\n")]
    assert chat(made("\n\n{{ q }}\n\n"), q="\nwhy\n") == [("user", "\nwhy\n")]
    through = "{% macro m(x) %}\n{{ x }}\n{% endmacro %}{% user %}\n{{ m(q) }}\n{% enduser %}"
    assert chat(made(through), q="\nwhy\n") == [("user", "\nwhy\n")]


def test_only_an_empty_system_or_developer_message_is_left_out() -> None:
    source = "{% system %}\n{{ q }}\n{% endsystem %}{% developer %}{% enddeveloper %}{% user %}{{ q }}{% enduser %}"
    assert chat(made(source), q=None) == [("user", "")]
    assert chat(made(source), q=" ") == [("system", " "), ("user", " ")]


def test_text_beside_the_role_tags_is_an_error_with_file_and_line() -> None:
    source = "---\ninputs: [q]\n---\n{% user %}{{ q }}{% enduser %}\n\n\nfoo {{ q }}\n"
    assert refused(source, q="x").startswith("t/main.j2:7: text outside the role tags: 'foo'")
    before = "Hello.\n{% include 'part' %}\n{% user %}{{ q }}{% enduser %}"
    assert refused(before, q="x", partials={"part": "{# nothing #}"}).startswith("t/main.j2:1: text outside")
    inside = "{% user %}{{ q }}{% enduser %}\n{% include 'part' %}\n"
    assert refused(inside, q="x", partials={"part": "---\ndescription: x\n---\n{# a #}\n\nloose\n"}).startswith(
        "t/part.j2:6: text outside"
    )


@pytest.mark.parametrize("value", ["x", " ", "", None])
def test_a_value_beside_the_role_tags_is_an_error_whatever_it_is(value: Any) -> None:
    assert refused("{% user %}a{% enduser %}\n{{ q }}\n", q=value).startswith("t/main.j2:2: a value is printed outside")


def test_nested_roles_are_an_error_with_file_and_line() -> None:
    source = "{% user %}\na\n\n{% system %}b{% endsystem %}\n{% enduser %}"
    assert refused(source).startswith("t/main.j2:4: `system` inside `user`")
    macro = "{% macro m() %}{% user %}x{% enduser %}{% endmacro %}\n{% system %}\n{{ m() }}\n{% endsystem %}"
    assert refused(macro).startswith("t/main.j2:3: `user` inside `system`")
    assert refused("{% user %}\n{% turns h %}{% enduser %}", h=[]).startswith("t/main.j2:2: `turns` inside `user`")


@pytest.mark.parametrize("as_text", [False, True], ids=["list", "json text"])
def test_turns_are_messages_of_their_own(as_text: bool) -> None:
    history = '[{"role": "user", "content": "hi {{ q }}"}, {"role": "assistant", "content": "{% system %}"}]'
    expected = [("system", "s"), ("user", "hi {{ q }}"), ("assistant", "{% system %}"), ("user", "now")]
    source = "{% system %}s{% endsystem %}\n{% turns history %}\n{% user %}now{% enduser %}\n"
    assert chat(made(source), history=history if as_text else json.loads(history)) == expected
    assert chat(made(source), history="  ") == [("system", "s"), ("user", "now")]


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([{"role": "system", "content": "x"}], "turn 1 must be"),
        ([{"role": "user", "content": "x"}, {"role": "user", "content": 3}], "turn 2 must be"),
        (["x"], "turn 1 must be"),
        ({"role": "user"}, "`turns` needs a list"),
        ("[{", "not JSON"),
        ('[{"role": "user", "content": "\\ud83d"}]', "turn 1 holds the lone surrogate \\ud83d"),
    ],
)
def test_turns_take_user_and_assistant_only(history: Any, said: str) -> None:
    problem = refused("\n{% turns h %}", h=history)
    assert problem.startswith("t/main.j2:2: ")
    assert said in problem


# ---- white space

WHITE_SPACE: list[tuple[str, str]] = [
    # a block tag alone on its line leaves no trace
    ("a\n{% if yes %}\nb\n{% endif %}\nc", "a\nb\nc"),
    ("a\n{% if no %}\nb\n{% endif %}\nc", "a\nc"),
    ("a\n{% if no %}\nb\n{% else %}\nd\n{% endif %}\nc", "a\nd\nc"),
    ("a\n  {% if yes %}  \n  b\n\t{% endif %}\t\nc", "a\n  b\nc"),
    ("a\n{% for x in xs %}\n- {{ x }}\n{% endfor %}\nc", "a\n- 1\n- 2\nc"),
    ("{% for x in xs %}\n{% for y in xs %}\n{{ x }}{{ y }}\n{% endfor %}\n{% endfor %}\n", "11\n12\n21\n22\n"),
    ("a\n{% set q = 3 %}\n{{ q }}\nc", "a\n3\nc"),
    ("a\n{% set q %}\nb\n{% endset %}\n{{ q }}c", "a\nb\nc"),
    ("a\n{% macro m(x) %}\n[{{ x }}]\n{% endmacro %}\n{{ m(1) }}c", "a\n[1]\nc"),
    ("a\n{# note #}\nc", "a\nc"),
    ("a\n{# note\n\n on lines #}\nc", "a\nc"),
    ("a\n{# it's a {% tag %} #}\nit's {% if yes %}b{% endif %}\nc", "a\nit's b\nc"),
    ("a\n{% raw %}\n{{ x }} {% if %}\n{% endraw %}\nc", "a\n{{ x }} {% if %}\nc"),
    ("a\n  {% raw %}  \n  {{ x }}\n  {% endraw %}  \nc", "a\n  {{ x }}\nc"),
    ("a\n{% if yes %}{% if yes %}\nb\n{% endif %} {% endif %}\nc", "a\nb\nc"),
    ("a\n{% if yes %} {# why #} {% if yes %}\nb\n{% endif %}{% endif %}\nc", "a\nb\nc"),
    ("a\n{% if '%}' == '%}' %}\nb\n{% endif %}\nc", "a\nb\nc"),
    ('a\n{% set q = "%} \'" %}\n{{ q }}\nc', "a\n%} '\nc"),
    ("a\n{% if yes\n   and yes %}\nb\n{% endif %}\nc", "a\nb\nc"),
    ("a\r\n{% if yes %}\r\nb\r\n{% endif %}\r\nc", "a\nb\nc"),
    ("a\n{% if yes %}\n\n\n{% endif %}\nc", "a\n\n\nc"),
    # a line with other text keeps its newline and its indentation
    ("a\n{% if yes %}b{% endif %}\nc", "a\nb\nc"),
    ("a\n{% if no %}b{% endif %}\nc", "a\n\nc"),
    ("a\n  {% if yes %}b{% endif %}\n  c", "a\n  b\n  c"),
    ("a\n\t{% if yes %}b{% endif %} {% if yes %}d{% endif %}\nc", "a\n\tb d\nc"),
    ("a {% for x in xs %}{{ x }},{% endfor %}\nc", "a 1,2,\nc"),
    ("a{% set q = '%}' %}\n{{ q }}\nc", "a\n%}\nc"),
    ("a {# note #}\nc", "a \nc"),
    ("a {% raw %}{{ x }}{% endraw %}\nc", "a {{ x }}\nc"),
    ("{{ '}}' }}\n{{ '{% if %}' }} {% if yes %}b{% endif %}\nc", "}}\n{% if %} b\nc"),
    ("{% if yes %}\n{{ xs[0] }}\n{% endif %}\nc", "1\nc"),
    # Jinja's own signs win
    ("a\n{%- if yes -%}\nb\n{%- endif -%}\nc", "abc"),
    ("a\n{% if yes -%}\n  b\n{% endif %}\nc", "a\nb\nc"),
    ("a\n{% if yes +%}\nb\n{% endif +%}\nc", "a\n\nb\n\nc"),
    ("a\n  {%+ if yes %}\nb\n{% endif %}\nc", "a\n  b\nc"),
]


@pytest.mark.parametrize(("source", "expected"), WHITE_SPACE)
def test_white_space_is_what_the_file_shows(source: str, expected: str) -> None:
    assert text("\n" + source + "\n", yes=True, no=False, xs=[1, 2]) == "\n" + expected + "\n"


CHOICE = "a\n{% choice c %}\n{% option x %}\nX\n{% option y %}Y\n{% endchoice %}\nz\n"


def test_options_follow_the_same_rule() -> None:
    assert text(CHOICE, c="x") == "a\nX\nz\n"
    assert text(CHOICE, c="y") == "a\nY\nz\n"
    assert text("a {% choice c %}{% option x %}X{% option y %}Y{% endchoice %}\nz", c="y") == "a Y\nz"


@pytest.mark.parametrize("ending", ["", "\n"], ids=["no final newline", "final newline"])
def test_an_include_alone_on_its_line_puts_whole_lines_there(ending: str) -> None:
    parts = {"part": f"p\nq{ending}"}
    assert text("a\n{% include 'part.j2' %}\nb", partials=parts) == "a\np\nq\nb"
    assert text("a\n  {% if yes %}{% include 'part.j2' %}{% endif %}\nb", partials=parts, yes=1) == "a\np\nq\nb"
    assert text("a [{% include 'part.j2' %}]\nb", partials=parts) == "a [p\nq]\nb"
    looped = {"part": "{% for x in xs %}\n- {{ x }}\n{% endfor %}" + ending}
    assert text("a\n{% include 'part.j2' %}\nb", partials=looped, xs=[1, 2]) == "a\n- 1\n- 2\nb"
    assert text("a\n{% include 'part.j2' %}\nb", partials={"part": "{# only a note #}" + ending}) == "a\nb"
    assert text("a\n{% include 'part.j2' %}\nb", partials={"part": ""}) == "a\nb"


LINE = st.text(st.sampled_from("ab \t{}%#'\"\\"), min_size=1, max_size=6).filter(
    lambda line: line.strip() and not any(mark in line for mark in ("{{", "{%", "{#")) and line[-1] != "{"
)
INDENT = st.sampled_from(["", " ", "\t", "    "])


@st.composite
def blocks(draw: st.DrawFn, depth: int = 2) -> tuple[str, str]:
    """Lines of a template, and what they print by the rule: tags alone on a line vanish, other lines stay."""
    source, printed = "", ""
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["line", "blank", "inline", "alone", "note", "block", "loop", "set"]))
        before, after, line = draw(INDENT), draw(INDENT), draw(LINE)
        if kind == "line":
            source, printed = source + f"{line}\n", printed + f"{line}\n"
        elif kind == "blank":
            source, printed = source + "\n", printed + "\n"
        elif kind == "inline":
            source += f"{before}{{% if yes %}}{line}{{% endif %}}{after}\n"
            printed += f"{before}{line}{after}\n"
        elif kind == "alone":
            source += f"{before}{{% if yes %}}{after}{{% endif %}}{after}\n"
        elif kind == "note":
            source += f"{before}{{# it's {draw(INDENT)}\n #}}{after}\n"
        elif kind == "set":
            source += f"{before}{{% set q = '%}}' %}}{after}\n"
        elif depth:
            inner, shown = draw(blocks(depth - 1))
            tag, times = ("for x in xs", 2) if kind == "loop" else ("if yes", 1)
            source += f"{before}{{% {tag} %}}{after}\n{inner}{after}{{% end{tag.split()[0]} %}}{before}\n"
            printed += shown * times
    return source, printed


@given(blocks(), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=200, deadline=None)
def test_nested_blocks_print_their_lines_and_nothing_of_the_tags(case: tuple[str, str], newline: str) -> None:
    source, printed = case
    template = f"<\n{source}>".replace("\n", newline)
    assert chat(made(template), yes=True, xs=[1, 2]) == [("user", f"<\n{printed}>")]


@given(st.text(st.sampled_from("{}%#'\"\n ab-+"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_settling_white_space_never_moves_a_line(source: str) -> None:
    parts = front_matter(source)
    assert whole_lines(parts.body).count("\n") == parts.body.count("\n")
    assert parts.numbered.count("\n") == source.count("\n")


def test_an_unclosed_tag_with_many_quotes_is_read_at_once() -> None:
    assert "t/main.j2:1" in problems("{{ " + "'\"" * 200)[0]


# ---- front matter


def test_front_matter_with_byte_order_mark_and_carriage_returns() -> None:
    template = made("\ufeff---\r\ndescription: x\r\ninputs: [q]\r\nanswer: label\r\n---\r\n{{ q }}\r\nend\r\n")
    assert (template.description, template.inputs, template.parser) == ("x", ("q",), "label")
    assert chat(template, q="a\r\nb") == [("user", "a\r\nb\nend")]


@pytest.mark.parametrize("body", ["x\n---\ny\n---\nz", "---\nnever closed", "\n---\nx\n---\nz"])
def test_dashes_that_are_no_front_matter_are_text(body: str) -> None:
    assert chat(made(body)) == [("user", body.strip("\n"))]
    assert chat(made(f"---\ndescription: x\n---\n{body}")) == [("user", body.strip("\n"))]


@pytest.mark.parametrize(
    ("front", "line", "said"),
    [
        ("inputs: [q]\nanswr: label", 3, "unknown key `answr` in the front matter. Did you mean 'answer'?"),
        ("inputs: [q]\ndescription: x\ninputs: [r]", 4, "`inputs` is given twice"),
        ("inputs: [q", 2, "bracket"),
        ("inputs: q", 2, "`inputs` must be a list"),
        ("inputs: [q]\nchoices: [a]", 3, "`choices` must map"),
        ("inputs: [q]\nchoices:\n  c: a", 4, "the choice `c` needs a list"),
        ("inputs: [q]\nchoices:\n  c: []", 4, "the choice `c` needs a list"),
        ("inputs: [q]\nchoices:\n  c: [a, a]", 4, "names a value twice"),
        ("inputs: [q]\nchoices:\n  c: [1, '1']", 4, "names a value twice"),
        ("inputs: [q]\nchoices:\n  a.b: [1]", 4, "`a.b` cannot be the name"),
        ("inputs: [q]\nanswer: {by: c}", 3, "`answer` is a parser's name"),
        ("just text", 2, "To start the prompt itself with ---, put an empty line before it."),
    ],
)
def test_front_matter_problems_name_their_line(front: str, line: int, said: str) -> None:
    found = problems(f"---\n{front}\n---\n{{{{ q }}}}\n")
    assert any(each.startswith(f"t/main.j2:{line}: ") and said in each for each in found), found


@given(st.text(st.sampled_from("abc:[]{}-,'\"\n #&*!|>%@`\\\t0"), max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_front_matter_is_read_or_refused_by_line(front: str) -> None:
    found: list[Problem] = []
    try:
        made(f"---\n{front}\n---\nx")
    except BadInput as error:
        found += error.problems
    assert {each.path for each in found} <= {"t/main.j2"}


# ---- slots


def whens(template: Template) -> list[tuple[str, tuple[Any, ...], Any]]:
    return [(slot.name, slot.values, slot.when) for slot in template.slots]


def test_choices_are_slots_and_open_ones_say_so() -> None:
    template = made(
        "---\nchoices: {n: [1, 2], tone: [dry, warm]}\n---\n{{ n }}{% if tone == 'dry' %}.{% endif %}"
        "{% choice c open %}{% option 1 %}a{% option 'b c' %}b{% endchoice %}"
    )
    assert [(s.name, s.kind, s.values, s.open) for s in template.slots] == [
        ("n", "number", (1, 2), False), ("tone", "choice", ("dry", "warm"), False), ("c", "choice", ("1", "b c"), True),
    ]  # fmt: skip
    assert chat(template, n=2, tone="dry", c="b c") == [("user", "2.b")]


def test_a_nested_choice_exists_only_under_its_option_also_through_includes() -> None:
    template = made(
        "{% choice a %}{% option x %}{% choice b %}{% option 1 %}one{% option 2 %}two{% endchoice %}"
        "{% option y %}{% include 'part' %}{% endchoice %}",
        part="{% choice c %}{% option k %}{% include 'deep' %}{% endchoice %}",
        deep="{% choice d %}{% option l %}L{% endchoice %}",
    )
    assert whens(template) == [
        ("a", ("x", "y"), ()),
        ("b", ("1", "2"), (("a", ("x",)),)),
        ("c", ("k",), (("a", ("y",)),)),
        ("d", ("l",), (("a", ("y",)), ("c", ("k",)))),
    ]
    assert chat(template, a="y", c="k", d="l") == [("user", "L")]


PART = {"part": "{% choice c %}{% option k %}K{% option l %}L{% endchoice %}"}


def test_a_choice_met_twice_counts_once() -> None:
    assert whens(made("{% include 'part' %}{% include 'part.j2' %}", **PART)) == [("c", ("k", "l"), ())]
    both = "{% choice a %}{% option x %}{% include 'part' %}{% option y %}{% include 'part' %}{% endchoice %}"
    assert [slot[2] for slot in whens(made(both, **PART))] == [(), (("a", ("x",)),), (("a", ("y",)),)]


@pytest.mark.parametrize("first", [True, False])
def test_a_choice_that_also_stands_outside_is_unconditional(first: bool) -> None:
    under = "{% choice a %}{% option x %}{% include 'part' %}{% option y %}.{% endchoice %}"
    source = "{% include 'part' %}" + under if first else under + "{% include 'part' %}"
    assert ("c", ("k", "l"), ()) in whens(made(source, **PART))
    assert len(whens(made(source, **PART))) == 2


def test_one_name_under_conditions_that_may_meet_is_refused() -> None:
    one = "{% choice a %}{% option x %}{% include 'part' %}{% option y %}.{% endchoice %}\n"
    source = one + one.replace("choice a", "choice b")
    assert "two conditions that can hold at once" in problems(source, **PART)[0]
    twice = "{% choice c %}{% option k %}{% endchoice %}\n{% include 'part' %}"
    assert problems(twice, **PART)[0].startswith("t/part.j2:1: the choice `c` is declared twice with different")


@pytest.mark.parametrize("name", ["labels", "demos", "passages", "q", "template", "model", "bank", "loop"])
@pytest.mark.parametrize("tag", [True, False], ids=["tag", "front matter"])
def test_a_choice_has_a_name_of_its_own(name: str, tag: bool) -> None:
    head = "---\ninputs: [q]\n" + ("" if tag else f"choices:\n  {name}: [1]\n") + "---\n{{ q }}\n"
    found = problems(
        head + (f"{{% choice {name} %}}{{% option x %}}X{{% endchoice %}}" if tag else f"{{{{ {name} }}}}")
    )
    assert found[0].startswith(f"t/main.j2:{5 if tag else 4}: a choice cannot be called `{name}`")


def test_a_choice_declared_in_both_ways_is_refused() -> None:
    source = "---\nchoices:\n  c: [k]\n---\n{% choice c %}{% option k %}K{% endchoice %}"
    assert problems(source)[0].startswith("t/main.j2:3: the choice `c` is declared in the front matter and by a tag")


def test_unused_choices_and_inputs_are_told_together() -> None:
    found = problems("---\ninputs: [q, r]\nchoices:\n  c: [1]\n  d: [2]\n---\n{{ q }}{{ d }}")
    assert [each.split(". ")[0] for each in found] == [
        "t/main.j2:4: the choice `c` is never used",
        "t/main.j2:2: the input `r` is never used",
    ]


def test_a_choice_that_only_steers_the_parser_is_used() -> None:
    template = made("---\nchoices: {c: [k, l]}\nanswer: {by: c, k: label, l: last-line}\n---\nx")
    assert template.parser == {"by": "c", "k": "label", "l": "last-line"}


def test_a_parser_cannot_hang_on_a_choice_that_may_not_exist() -> None:
    source = (
        "---\nanswer: {by: d, l: label}\n---\n{% choice c %}{% option k %}"
        "{% choice d %}{% option l %}L{% endchoice %}{% option m %}M{% endchoice %}"
    )
    assert problems(source)[0].startswith("t/main.j2:2: `answer.by` needs a choice that is always made")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a\n{% choice c %}text{% option k %}K{% endchoice %}", "t/main.j2:2: text between `choice c`"),
        ("a\n{% choice c %}{% endchoice %}", "t/main.j2:2: `choice c` has no option"),
        ("a\n{% choice c %}\n{% option k %}1{% option k %}2{% endchoice %}", "t/main.j2:3: `choice c` has the option"),
        ("a\n{% choice c %}\n{% option %}1{% endchoice %}", "t/main.j2:3: an option of `choice c` needs a name"),
        ("a\n{% choice c %}\n{% option k %}1", "t/main.j2:"),
        ("a\n{% if %}\n", "t/main.j2:2: expected an expression"),
        ("a\n{% user %}\nx {% endsystem %}", "t/main.j2:3: encountered unknown tag 'endsystem'"),
        ("a\n\n{{ a|uper }}", "t/main.j2:3: no filter named 'uper'. Did you mean 'upper'?"),
        ("a\n{{ '\\ud83d' }}", "t/main.j2:2: an escape like \\ud83d is half a character"),
    ],
)  # fmt: skip
def test_syntax_problems_name_file_and_line(source: str, said: str) -> None:
    assert problems(source)[0].startswith(said), problems(source)


# ---- names, includes, macros


def test_an_unknown_name_is_told_before_anything_with_file_line_and_nearest_name() -> None:
    head = "---\ninputs: [message]\n---\n"
    assert problems(head + "{{ message }}\n\n{{ mesage }}")[0] == (
        "t/main.j2:6: `mesage` is not known here. Did you mean 'message'?"
    )
    found = problems(head + "{{ message }}{% include 'a/part' %}", a__part="---\nx: 1\n---\n\n{{ demoes }}")
    assert found == ["t/a/part.j2:5: `demoes` is not known here. Did you mean 'demos'?"]


def test_a_name_set_elsewhere_does_not_hide_one_that_is_read() -> None:
    source = "---\ninputs: [q]\n---\n{% from 'part' import ask %}{{ q }}{{ ask(q) }}{{ message }}"
    assert "`message` is not known" in problems(source, part="{% macro ask(message) %}{{ message }}{% endmacro %}")[0]
    loop = "---\ninputs: [q]\n---\n{% for each in q %}{{ each }}{% endfor %}\n{{ each }}"
    assert problems(loop) == ["t/main.j2:5: `each` is not known here. Known: demos, labels, passages, q."]


def test_an_included_file_sees_what_its_includer_sets() -> None:
    source = "---\ninputs: [xs]\n---\n{% set y = 1 %}{% for x in xs %}{% include 'part' %}{% endfor %}"
    assert chat(made(source, part="{{ x }}{{ y }} "), xs=[1, 2]) == [("user", "11 21 ")]


def test_inputs_that_are_not_declared_are_the_names_that_are_read() -> None:
    template = made("{{ a }}{% include 'part' %}", part="{{ b }}{% for d in demos %}{{ d.c }}{% endfor %}")
    assert template.inputs == ("a", "b")
    assert template.uses == {"demos"}


def test_runtime_problems_name_file_and_line_behind_front_matter_and_includes() -> None:
    assert refused("---\ninputs: [d]\n---\n\n{% if d %}\n{{ d.foo }}\n{% endif %}", d={"a": 1}).startswith(
        "t/main.j2:6: "
    )
    part = {"part": "---\ndescription: x\n---\n{# note\n#}\n{{ d.foo }}\n"}
    assert refused("a\n{% include 'part' %}", d={"a": 1}, partials=part).startswith("t/part.j2:6: ")
    assert refused("a\n\n{{ 1 // zero }}", zero=0).startswith("t/main.j2:3: ZeroDivisionError")


def test_a_computed_or_missing_include_is_an_error() -> None:
    assert problems("a\n{% include q %}")[0].startswith("t/main.j2:2: the name of an included template must be written")
    assert problems("a\n{% extends 'x' ~ q %}")[0].startswith("t/main.j2:2: the name of an included template")
    assert problems("a\n\n{% include 'prt.j2' %}", part="x") == [
        "t/main.j2:3: there is no template 'prt.j2'. Did you mean 'part.j2'?"
    ]


def test_extends_and_blocks_with_roles() -> None:
    base = "{% block rules %}{% system %}s{% endsystem %}{% endblock %}\n{% block ask %}{% endblock %}\n"
    child = "{% extends 'base' %}\n{% block ask %}{{ super() }}{% user %}{{ q }}{% enduser %}{% endblock %}"
    assert chat(made(child, base=base), q="why") == [("system", "s"), ("user", "why")]
    inside = "{% user %}\n{% block ask %}{% endblock %}\n{% enduser %}"
    assert chat(made("{% extends 'base' %}{% block ask %}\n{{ q }}{% endblock %}", base=inside), q="\n") == [
        ("user", "\n")
    ]


@pytest.mark.parametrize("way", ["{% from 'part' import m %}{{ m(q) }}", "{% import 'part' as p %}{{ p.m(q) }}"])
def test_imported_macros_may_hold_roles(way: str) -> None:
    part = "{% macro m(x) %}{% user %}\n{{ x }}\n{% enduser %}{% assistant %}ok{% endassistant %}{% endmacro %}"
    assert chat(made(way, part=part), q="\n{% user %}") == [("user", "\n{% user %}"), ("assistant", "ok")]


def test_a_role_inside_a_filter_is_an_error() -> None:
    source = "\n{% filter upper %}{% user %}x{% enduser %}{% endfilter %}"
    assert refused(source).startswith("t/main.j2:2: a role tag cannot go through a filter")


def test_an_import_without_context_cannot_read_the_scope_and_says_so() -> None:
    part = "{% macro m() %}\n{{ labels|join }}{% endmacro %}"
    source = "{% from 'part' import m %}{{ m() }}"
    assert problems(source, part=part)[0].startswith("t/part.j2:2: `labels` is not known in an imported file")
    assert chat(made(source.replace(" %}", " with context %}", 1), part=part), labels=["a"]) == [("user", "a")]


def test_a_template_that_includes_itself_for_ever_is_an_error_not_a_crash() -> None:
    assert "RecursionError" in refused("{% include 'main' %}")


# ---- values


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (None, ""), (True, "true"), (False, "false"), (1, "1"), (1.5, "1.5"), ("é\u2028", "é\u2028"),
        ([1, None, "é"], '[1, null, "é"]'), ({"a": {"b": [True]}}, '{"a": {"b": [true]}}'), ((1,), "[1]"), ([], "[]"),
        ("<b>'&", "<b>'&"),
    ],
)  # fmt: skip
def test_values_print_as_json_text_as_it_is_null_as_nothing(value: Any, printed: str) -> None:
    assert text("{{ v }}", v=value) == printed


@pytest.mark.parametrize("name", ["items", "keys", "values", "get", "pop", "update", "copy"])
def test_a_column_named_like_a_method_is_the_column(name: str) -> None:
    assert (
        text(f"{{{{ d.{name} }}}} {{{{ d['{name}'] }}}} {{{{ {name} }}}}", d={name: "c"}, **{name: "top"}) == "c c top"
    )
    assert text("{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}", d={"a": 1}) == "a=1"
    assert text("{{ d.keys() }} {{ xs|map('upper') }}", d={"a": 1}, xs=["b"]) == '["a"] ["B"]'


def test_tojson_keeps_characters_and_order() -> None:
    assert text("{{ d|tojson }}", d={"b": "<é'>", "a": 1}) == '{"b": "<é\'>", "a": 1}'


@pytest.mark.parametrize("source", ["{{ q.title }}", "{{ d.copy }}", "{{ joiner() }}", "{{ self }}", "{{ range }}"])
def test_what_is_no_value_is_not_printed(source: str) -> None:
    assert "this is no text but a" in refused(source, q="x", d={})


# ---- the sandbox


@pytest.mark.parametrize(
    "source",
    [
        "{{ q.__class__ }}", "{{ q|attr('__class__') }}", "{{ q['__class__'] }}", "{{ ''.__class__.__mro__ }}",
        "{{ '{0.__class__}'.format(q) }}",
        "{{ self._TemplateReference__context }}", "{{ cycler.__init__.__globals__ }}",
        "{{ xs.append(4) }}", "{{ d.update(a=1) }}", "{{ d.pop('a') }}", "{{ xs.sort() }}", "{{ xs.clear() }}",
        "{% set x = range(10000000) %}", "{% for i in range(10 ** 9) %}{% endfor %}",
        "{{ 'a' * 10000000000 }}", "{{ 10000000000 * xs }}", "{{ 10 ** 10000000 }}",
    ],
)  # fmt: skip
def test_the_sandbox_refuses_in_the_language_of_templates(source: str) -> None:
    xs, d = [3, 1], {"a": 0}
    assert refused(f"a\n{source}", q="x", xs=xs, d=d).startswith("t/main.j2:2: ")
    assert (xs, d) == ([3, 1], {"a": 0})


@pytest.mark.parametrize(
    "name", ["env", "environ", "os", "lipsum", "open", "request", "config", "get_flashed_messages", "__builtins__"]
)
def test_nothing_else_is_in_scope(name: str) -> None:
    assert problems(f"---\ninputs: []\n---\n{{{{ {name} }}}}")[0].startswith(f"t/main.j2:4: `{name}` is not known here")
    assert "is undefined" in refused(f"{{{{ {name} }}}}")


def test_no_filter_is_random() -> None:
    assert "no filter named 'random'" in problems("{{ [1, 2]|random }}")[0]


# ---- files


def write(folder: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.j2"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_names_and_includes_are_relative_to_the_templates_folder(tmp_path: Path) -> None:
    root = tmp_path / "templates"
    write(root, intent__a="{% include 'shared/p.j2' %}", shared__p="P", intent__b="{{ q }}", broken=b"\xff")
    templates, sources = load([root / "intent" / "a.j2", root / "intent" / "b.j2", root / "intent" / "a.j2"])
    assert list(templates) == ["intent/a", "intent/b"]
    assert set(sources) == {"intent/a.j2", "shared/p.j2", "intent/b.j2"}
    assert chat(templates["intent/a"]) == [("user", "P")]


def test_each_folder_has_its_own_partials_and_equal_names_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "templates", **{name: "{% include 'p.j2' %}", "p": name})
    with pytest.raises(BadInput, match=r"two templates are called 'p\.j2'"):
        load([tmp_path / "one" / "templates" / "one.j2", tmp_path / "two" / "templates" / "two.j2"])


def test_a_file_that_is_not_utf8_is_told_by_line_if_it_is_used(tmp_path: Path) -> None:
    write(tmp_path / "templates", a="{% include 'p.j2' %}", p=b"x\n\xff", b="\n{{ q", c=b"\xe9")
    with pytest.raises(BadInput) as caught:
        load([tmp_path / "templates" / f"{name}.j2" for name in "abc"])
    places = [(Path(each.path).name, each.line) for each in caught.value.problems]
    assert places == [("a.j2", 1), ("p.j2", 2), ("b.j2", 2), ("c.j2", 1)]


def test_content_decides_the_hash() -> None:
    def named(name: str, text: str, part: str = "p") -> str:
        sources = {f"{name}.j2": Source(text, "x"), "part.j2": Source(part, "y"), "other.j2": Source("o", "z")}
        return parse(f"{name}.j2", sources).hash

    source = "{% include 'part' %}"
    assert named("a", source) == named("b", source)
    assert len({named("a", source), named("a", source + "!"), named("a", source, "q")}) == 3


# ---- names that values do not have


def test_a_column_that_a_demo_lacks_is_told_with_the_nearest() -> None:
    """And without the name of any class: who writes a template does not know them."""
    demo = {"demos": (Row({"body": "b", "label": "l", "passages": ()}),), "passages": (Row({"id": "1", "text": "t"}),)}
    assert refused("{{ demos[0].bdy }}", **demo) == "t/main.j2:1: a demo has no `bdy`. Did you mean 'body'?"
    assert refused("{{ passages[0].txt }}", **demo) == "t/main.j2:1: a passage has no `txt`. Did you mean 'text'?"
    labels = (Label("red", "warm"),)
    assert refused("{{ labels[0].descripton }}", labels=labels).endswith(
        "a label has no `descripton`. Did you mean 'description'?"
    )
    assert refused("{{ labels[0].desc }}", labels=labels).startswith("t/main.j2:1: a label has no `desc`.")
    assert refused("{{ order.nubmer }}", order={"number": 3}).endswith(
        "a mapping has no `nubmer`. Did you mean 'number'?"
    )
    for value in ("a", 3, [1], None, 1.5):
        said = refused("{% macro m() %}x{% endmacro %}{{ m().foo if column == 'a' else column.foo }}", column=value)
        assert "promptlab" not in said, said
        assert "foo" in said


# ---- which files are read


def test_beside_a_template_without_a_folder_templates_only_what_it_includes_is_read(tmp_path: Path) -> None:
    """Such a folder may be a home: nothing below it is anybody's business."""
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    (tmp_path / "main.j2").write_text("{% include 'parts/one' %}{{ message }}")
    (tmp_path / "parts" / "one.j2").write_text('{%- include "parts/deep/two.j2" -%}')
    (tmp_path / "parts" / "deep" / "two.j2").write_text("two ")
    (tmp_path / "parts" / "other.j2").write_text("other")
    template = load([tmp_path / "main.j2"])[0]["main"]
    assert chat(template, message="m") == [("user", "two m")]
    assert set(_read(tmp_path).sources) == {"main.j2", "parts/one.j2", "parts/deep/two.j2"}


def test_a_template_by_another_suffix_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("{{ message }}")
    with pytest.raises(BadInput, match=r"t.txt: a template ends in .j2, .jinja, .jinja2. Rename it: t.j2"):
        load([tmp_path / "t.txt"])
