"""The template of a new project around somebody's own data: one prompt with two choices in it."""

from __future__ import annotations

from collections.abc import Mapping

from promptlab.starter.columns import Answers, Kind
from promptlab.starter.spelling import heading
from promptlab.yaml_text import scalar

NAMES: Mapping[Kind, str] = {"classes": "classify.j2", "flag": "decide.j2", "number": "number.j2", "text": "answer.j2"}
_TASKS: Mapping[Kind, tuple[str, str]] = {
    "classes": (
        "Choose the one label{what} that fits best.",
        "Read everything, think of what each label means, and choose the one{what} that fits best.",
    ),
    "flag": ("Decide whether this is so{what}.", "Read everything, then decide whether this is so{what}."),
    "number": (
        "Work out the number that is asked for{what}.",
        "Work out the number that is asked for{what}. Mind the units, and check the last step before you answer.",
    ),
    "text": (
        "Give the answer that is asked for{what}.",
        "Read everything first. Give the answer that is asked for{what}, and nothing that the input does not bear out.",
    ),
}
_REASONED: Mapping[Kind, tuple[str, str]] = {
    "classes": ("Give a reason in one sentence, then the label alone on the last line.", "Answer with the label only."),
    "flag": (
        "Give a reason in one sentence, then true or false alone on the last line.",
        "Answer with true or false only.",
    ),
    "number": (
        "Show the steps in a sentence or two, then the number alone on the last line.",
        "Answer with the number only.",
    ),
}
_LABELS = """Labels:
{% for label in labels %}
- {{ label }}{% if label.description %}: {{ label.description }}{% endif %}
{% endfor %}
"""
_FORMS = """{% choice form %}
{% option short %}Answer with the shortest phrase that is enough, nothing else.
{% option sentence %}Answer in one sentence.
{% endchoice %}
"""


def prompt_text(inputs: Mapping[str, str], label: str, answers: Answers) -> str:
    """The template for these inputs (variable → column). Nothing of the data can become a tag: names are checked."""
    plain, careful = (text.format(what=_what(label)) for text in _TASKS[answers.kind])
    return "".join(
        (
            _front(inputs, answers.kind),
            "{% system %}\n{# Every option is tried; `open` says that a proposer may rewrite them, too. #}\n",
            f"{{% choice task open %}}\n{{% option plain %}}{plain}\n{{% option careful %}}{careful}\n",
            "{% endchoice %}\n",
            _LABELS if answers.kind == "classes" else "",
            _ending(answers.kind),
            "{% endsystem %}\n{% for demo in demos %}\n",
            f"{{% user %}}\n{_row(inputs, 'demo.')}{{% enduser %}}\n",
            "{% assistant %}{{ demo.label }}{% endassistant %}\n{% endfor %}\n",
            f"{{% user %}}\n{_row(inputs, '')}{{% enduser %}}\n",
        )
    )  # fmt: skip


def _what(label: str) -> str:
    name = heading(label, "")
    return f" ({name})" if name else ""


def _front(inputs: Mapping[str, str], kind: Kind) -> str:
    names = ", ".join(scalar(name) for name in inputs)
    choices = (
        ""
        if kind == "text"
        else ("choices:\n  reasoning: [none, brief]    # a choice of short values, used below: every value is tried\n")
    )
    return f"---\ndescription: The prompt to start from.\ninputs: [{names}]\n{choices}---\n"


def _ending(kind: Kind) -> str:
    if kind == "text":
        return _FORMS
    brief, none = _REASONED[kind]
    return f'{{% if reasoning == "brief" %}}\n{brief}\n{{% else %}}\n{none}\n{{% endif %}}\n'


def _row(inputs: Mapping[str, str], owner: str) -> str:
    """One input plainly, several as `column: value` lines."""
    if len(inputs) == 1:
        return f"{{{{ {owner}{next(iter(inputs))} }}}}\n"
    return "".join(f"{heading(column, name)}: {{{{ {owner}{name} }}}}\n" for name, column in inputs.items())
