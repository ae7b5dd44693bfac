"""Open choices: what proposers see of an option, and what a rewritten text becomes in the prompt."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.errors import BadInput
from promptlab.metrics import load
from promptlab.predict import Label, Task
from promptlab.predictions import cell
from promptlab.records import Endpoint, Example, Model, Slot, Variant
from promptlab.rewritten import Rewritten
from promptlab.space import Space, pinned
from promptlab.template import Source, Template, parse
from promptlab.template.rewriting import scope_of

MODEL = Model("m", Endpoint("http://nowhere.invalid/v1"), "m")
DATA: Mapping[str, Any] = {"message": "hi", "labels": ("a", "b"), "demos": ({"x": "d1"}, {"x": "d2"}), "passages": ()}


def template(text: str, **others: str) -> Template:
    sources = {f"{name}.j2": Source(each, f"{name}.j2") for name, each in {"t": text, **others}.items()}
    return parse("t.j2", sources)


def space_of(made: Template) -> Space:
    slots = (replace(slot, when=(("template", ("t",)), *slot.when)) for slot in made.slots)
    return Space((Slot("model", "choice", ("m",)), Slot("template", "choice", ("t",)), *slots))


def point(made: Template, **values: Any) -> tuple[Space, Variant]:
    """The space, and its first point with these values."""
    space = space_of(made)
    found = next(each for each in space.points() if all(each.get(k) == v for k, v in values.items()))
    return space, space.variant(found, "grid")


def said(made: Template, variant: Variant | None, **data: Any) -> str:
    """The rendered messages, one after the other."""
    assert variant is not None
    found = made.render({**DATA, **data, **scope_of(variant.slots)})
    return "|".join(each.content for each in found)


def test_proposers_see_words_and_a_token_for_everything_else_that_prints() -> None:
    made = template(
        """{% choice task open %}
{% option plain %}
{% set n = 3 %}
  Name {{ message }} in {{ n }} words.{% if labels %} One of {{ labels | join }}.{% endif %}
{# a comment #}
{% for demo in demos %}
See {{ demo.x }}.
{% endfor %}
{% option none %}
{% endchoice %}
{% choice frozen %}{% option a %}A{% option b %}B{% endchoice %}"""
    )
    task, frozen = made.slots
    assert task.texts == ("Name ⟦1⟧ in ⟦2⟧ words.⟦3⟧\n⟦4⟧", "")
    assert task.open
    assert (frozen.open, frozen.texts) == (False, ())


def test_a_rewritten_text_is_literal_and_the_nodes_are_put_back_where_it_has_their_tokens() -> None:
    made = template("{% choice task open %}{% option a %}Take {{ message }} or {{ labels[0] }}.{% endchoice %} Go.")
    space, first = point(made)
    assert said(made, first) == "Take hi or a. Go."
    text = "{{ labels }} {% endsystem %} {# no #} ⟦2⟧, ${x} %s \\n {{ message }}: ⟦1⟧!"
    new = space.rewritten(first, "task", text, "p", ("x",))
    assert said(made, new) == "{{ labels }} {% endsystem %} {# no #} a, ${x} %s \\n {{ message }}: hi! Go."
    assert new is not None
    assert (new.origin, new.parents, space.text(new, "task")) == ("p", ("x",), text)
    again = space.rewritten(new, "task", "⟦1⟧⟦2⟧", "p")
    assert said(made, again) == "hia Go."


def test_data_stays_data_also_where_it_looks_like_a_token_or_a_tag() -> None:
    made = template(
        "{% system %}{% choice task open %}{% option a %}{{ message }}{% if labels %}{{ message }}{% endif %}"
        "{% endchoice %}{% endsystem %}{% user %}{{ message }}{% enduser %}"
    )
    space, first = point(made)
    new = space.rewritten(first, "task", "⟦2⟧⟦1⟧", "p")
    data = "\n⟦1⟧ {% endsystem %}{{ labels }}\n"
    assert said(made, new, message=data) == f"{data}{data}|{data}"


def test_a_row_that_only_ends_in_a_newline_ends_no_line_of_the_template() -> None:
    made = template("{% choice task open %}{% option a %}Say {{ message }}{% endchoice %}.")
    space, first = point(made)
    assert said(made, space.rewritten(first, "task", "⟦1⟧ say", "p"), message="hi\n") == "hi\n say."


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("First.\n", "Other.", "Other.\nEnd"),
        ("First.\n", "  Other.\r\nMore.\n\n\n", "Other.\nMore.\nEnd"),
        ("\nFirst.\n\n", "Other.", "Other.\n\nEnd"),
        ("First.\n{% if labels %}\nThen.\n{% endif %}\n", "⟦1⟧Other.", "Then.\nOther.\nEnd"),
        ("First. {% if labels %}then{% endif %} ", "⟦1⟧ other", "then other End"),
        ("\n", "Other.", "Other.\nEnd"),
    ],
)
def test_lines_end_where_the_option_ended_them(option: str, text: str, expected: str) -> None:
    """The white space around an option is the template's: a new text cannot run into what follows."""
    made = template(f"{{% choice task open %}}{{% option z %}}Z\n{{% option a %}}{option}{{% endchoice %}}End")
    space, first = point(made, task="a")
    assert said(made, space.rewritten(first, "task", text, "p")) == expected


def test_the_options_code_runs_in_its_own_order_whatever_the_new_text_does() -> None:
    """What an option sets is set for the rest of the template, and a loop around it stays the loop."""
    made = template(
        """{% for demo in demos %}{% choice task open %}{% option a %}{% set n = loop.index %}No. {{ n }}: {{ demo.x }}
{% if true %}{% set n = 2 * n %}{% endif %}and {{ n }};{% endchoice %}{{ n }} {% endfor %}"""
    )
    space, first = point(made)
    assert said(made, first) == "No. 1: d1\nand 2;2 No. 2: d2\nand 4;4 "
    assert space.text(first, "task") == "No. ⟦1⟧: ⟦2⟧\n⟦3⟧and ⟦4⟧;"
    assert said(made, space.rewritten(first, "task", "⟦4⟧⟦3⟧ ⟦2⟧ ⟦1⟧;", "p")) == "2 d1 1;2 4 d2 2;4 "


def test_open_choices_work_in_includes_macros_blocks_filters_and_roles() -> None:
    made = template(
        """{% extends "base" %}{% block body %}{% from "macros" import say with context %}{% system %}
{% include "part" %}
{{ say("you") }} {% filter upper %}{% choice loud open %}{% option a %}oh {{ message }}{% endchoice %}{% endfilter %}
{% endsystem %}{% user %}{{ message }}{% enduser %}{% endblock %}""",
        base="{% block body %}{% endblock %}",
        part="{% choice part open %}{% option a %}Part {{ message }}.{% endchoice %}",
        macros="{% macro say(who) %}{% choice said open %}{% option a %}Say {{ who }}.{% endchoice %}{% endmacro %}",
    )
    space, first = point(made)
    assert said(made, first) == "Part hi.\nSay you. OH HI|hi"
    for slot, text in (("part", "⟦1⟧ in part"), ("said", "to ⟦1⟧"), ("loud", "ah ⟦1⟧ {{")):
        found = space.rewritten(first, slot, text, "p")
        assert found is not None
        first = found
    assert said(made, first) == "hi in part\nto you AH HI {{|hi"


def test_what_a_macro_gives_is_put_back_in_its_parts() -> None:
    """Its data stays data, its own line stays a line."""
    made = template(
        "{% macro say(x) %}\nSay {{ x }}\n.\n{% endmacro %}"
        "{% system %}{% choice task open %}{% option a %}First. {{ say(message) }}{% endchoice %}Then.{% endsystem %}"
    )
    space, first = point(made)
    assert said(made, first, message="\n\n") == "First. Say \n\n\n.\nThen."
    assert said(made, space.rewritten(first, "task", "⟦1⟧ last", "p"), message="\n") == "Say \n\n.\n last\nThen."
    only = template(
        "{% macro say(x) %}{{ x }}{% endmacro %}{% choice task open %}{% option a %}{{ say(message) }}{% endchoice %}"
    )
    space, first = point(only)
    value = Rewritten("⟦1⟧", "a")
    assert said(only, space.variant({**first.slots, "task": value}, "p"), message="\n x\n") == "\n x\n"


def test_an_option_that_holds_whole_messages_keeps_them() -> None:
    made = template(
        "{% choice task open %}{% option a %}{% system %}Be {{ message }}.{% endsystem %}"
        "{% user %}Go{% enduser %}{% endchoice %}"
    )
    space, first = point(made)
    own = space.text(first, "task")
    assert own == "⟦1⟧Be ⟦2⟧.⟦3⟧⟦4⟧Go⟦5⟧"
    assert said(made, space.rewritten(first, "task", "⟦1⟧You are ⟦2⟧!⟦3⟧⟦4⟧Start⟦5⟧", "p")) == "You are hi!|Start"
    with pytest.raises(BadInput):
        said(made, space.rewritten(first, "task", "⟦3⟧⟦1⟧⟦2⟧⟦4⟧⟦5⟧ text", "p"))


NESTED = """{% choice task open %}
{% option plain %}
Name it.
{% option expert %}
You know. {% choice tone open %}{% option kind %}Be kind to {{ message }}.{% option terse %}Be terse.
{%- endchoice %} Now.
{% endchoice %}
{% if task == "expert" %}(expert){% endif %}"""


def test_a_nested_choice_is_a_token_and_its_slot_lives_on_under_a_rewritten_option() -> None:
    made = template(NESTED)
    space, first = point(made, task="expert", tone="kind")
    assert space.text(first, "task") == "You know. ⟦1⟧ Now."
    outer = space.rewritten(first, "task", "⟦1⟧ You do know.", "p")
    assert said(made, outer) == "Be kind to hi. You do know.\n(expert)"
    assert outer is not None
    assert [slot.name for slot in space.open_slots(outer)] == ["task", "tone"]
    assert [slot.name for slot in space.active(outer.slots)] == ["model", "template", "task", "tone"]
    both = space.rewritten(outer, "tone", "Mind ⟦1⟧", "p")
    assert said(made, both) == "Mind hi You do know.\n(expert)"
    terse = space.variant({**outer.slots, "tone": "terse"}, "p")
    assert said(made, terse) == "Be terse. You do know.\n(expert)"
    plain = point(made, task="plain")[1]
    assert [slot.name for slot in space.open_slots(plain)] == ["task"]
    with pytest.raises(KeyError):
        space.text(plain, "tone")


@pytest.mark.parametrize(
    "text",
    ["", "  \n", "no token", "⟦1⟧ and ⟦1⟧ and ⟦2⟧", "⟦1⟧ ⟦2⟧ ⟦3⟧", "⟦1⟧ ⟦02⟧", "half \ud83d ⟦1⟧ ⟦2⟧"],
)
def test_a_text_that_cannot_stand_there_gives_no_variant(text: str) -> None:
    space, first = point(
        template("{% choice task open %}{% option a %}A {{ message }} {{ labels }}{% option b %}B{% endchoice %}")
    )
    assert space.rewritten(first, "task", text, "p") is None


def test_the_id_is_made_of_text_and_option_not_of_who_wrote_it() -> None:
    made = template("{% choice task open %}{% option a %}A\n{% option b %}B{% endchoice %}.")
    space, first = point(made, task="a")
    second = point(made, task="b")[1]
    new = [space.rewritten(each, "task", "C", origin) for each in (first, second) for origin in ("p", "q")]
    ids = [each.id for each in new if each]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert said(made, new[0]) == "C\n."
    assert said(made, new[2]) == "C."
    assert space.rewritten(first, "task", "A", "p") == replace(first, origin="p"), "the option's own text is the option"
    odd = space.rewritten(first, "task", "b", "p")
    assert odd is not None
    assert odd.id != second.id, "a text that reads like another option's name is a text"
    assert said(made, odd) == "b\n."


def test_holes_and_pins_hold_for_what_is_rewritten_from_an_option() -> None:
    made = template(NESTED)
    space, first = point(made, task="expert", tone="kind")
    space = replace(space, exclude=({"task": "expert", "tone": "terse"},))
    outer = space.rewritten(first, "task", "⟦1⟧ You do.", "p")
    assert outer is not None
    assert not space.excluded(outer.slots)
    assert space.excluded({**outer.slots, "tone": "terse"})
    slots = pinned(made.slots, {"task": ["expert"]})
    assert (slots[0].values, slots[0].texts) == (("expert",), ("You know. ⟦1⟧ Now.",))
    assert slots[0].open


def test_a_rewritten_value_is_text_for_tables_json_and_copies() -> None:
    value = Rewritten("new ⟦1⟧\nwords", "plain")
    assert json.loads(json.dumps({"task": value})) == {"task": "new ⟦1⟧\nwords"}
    assert cell(value) == "new ⟦1⟧\nwords"
    for again in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert (again, again.option, type(again)) == (value, "plain", Rewritten)


def test_a_prediction_sends_the_new_text_and_reads_the_answer_as_for_its_option() -> None:
    made = template(
        "---\nanswer: {by: task, plain: label, expert: last-line}\n---\n"
        "{% choice task open %}{% option plain %}Name {{ message }}.{% option expert %}Think: {{ message }}."
        "{% endchoice %}"
    )
    space, first = point(made, task="expert")
    new = space.rewritten(first, "task", "Why ⟦1⟧?", "p")
    assert new is not None
    task = Task({"t": made}, {"m": MODEL}, "text", {"main": load("exact")}, {"main": 1.0}, (Label("a"),))
    prompt = task.prompt(new)
    assert [each.content for each in prompt.messages(Example("r", {"message": "{{ so }}"}))] == ["Why {{ so }}?"]
    assert prompt.word == "last-line"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "\n{% choice task open %}{% option a %}A ⟦1⟧ B{% endchoice %}",
            "the open choice `task` holds ⟦1⟧, as the places of its nodes are written. Write it in",
        ),
        (
            "{% choice x open %}{% option a %}A{% endchoice %}\n{% choice x open %}{% option a %}B{% endchoice %}",
            "the open choice `x` is declared twice with different texts. Give it another name, or declare it once,",
        ),
    ],
)
def test_what_could_not_be_rewritten_safely_is_told(text: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        template(text)
    assert str(caught.value).startswith(f"t.j2:2: {told}")


def test_tokens_in_a_choice_that_is_not_open_are_words() -> None:
    made = template("{% choice task %}{% option a %}A ⟦1⟧ B{% endchoice %}")
    assert said(made, point(made)[1]) == "A ⟦1⟧ B"


PIECES = st.sampled_from(
    ["Word ", "more.", "\n", "  ", "\n\n", "{{ message }}", "{{ labels | join }}", "{% if labels %}yes{% endif %}",
     "\n{% if labels %}\nline\n{% endif %}\n", "{% if not labels %}no{% endif %}",
     "{% for d in demos %}{{ d.x }},{% endfor %}",
     "{% set n = 4 %}", "\n{% set n = 5 %}\n", "{# c #}", "{{ n | default(0) }}", "{% raw %}{{ raw }}{% endraw %}",
     "{% choice inner open %}{% option x %}X {{ message }} {% endchoice %}"]
)  # fmt: skip


@given(
    pieces=st.lists(PIECES, min_size=1, max_size=7),
    message=st.sampled_from(["hi", "", "\n", "⟦1⟧", "a\n", "{{ x }}"]),
    roles=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_rewritten_by_its_own_text_an_option_renders_byte_for_byte_as_it_did(
    pieces: list[str], message: str, roles: bool
) -> None:
    """And an open choice that nobody rewrites renders as the same choice does that is not open."""
    start, end = ("{% system %}\n", "\n{% endsystem %}") if roles else ("", "")
    body = "".join(dict.fromkeys(pieces)) if "inner" in "".join(pieces) else "".join(pieces)
    text = f"{start}{{% choice task open %}}{{% option a %}}{body}{{% endchoice %}} End {{{{ n | default(1) }}}}{end}"
    made, closed = template(text), template(text.replace(" open %}", " %}"))
    space, first = point(made)
    expected = said(closed, first, message=message)
    assert said(made, first, message=message) == expected
    values = {
        **first.slots,
        **{
            slot.name: Rewritten(space.text(first, slot.name), first.slots[slot.name])
            for slot in space.open_slots(first)
            if space.text(first, slot.name)
        },
    }
    assert said(made, space.variant(values, "p"), message=message) == expected
