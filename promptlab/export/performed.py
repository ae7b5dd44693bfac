"""A resolved prompt, performed: a template without choices, and the bank where the row decides which demos are shown.

`pl.load` reads it back through here; `export --to python` takes along just this, so that both do the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from promptlab.bank import Bank
from promptlab.predict import Label
from promptlab.records import Example, Passage
from promptlab.rewritten import Rewritten
from promptlab.template.lines import FrontMatter, front_matter
from promptlab.template.marks import Row, messages
from promptlab.template.rewriting import scope_of
from promptlab.template.tags import Environment


@dataclass(frozen=True)
class Performed:
    """One prompt. ``sources``: template files by name, ``main`` the one that is rendered.

    ``demos`` are rows (id, inputs, label, passages); ``choose`` the ``bank.*`` slots that choose among them for each
    row, or {fixed: True} where all are shown to every row.
    """

    sources: Mapping[str, str]
    main: str
    labels: Sequence[Sequence[str]] = ()
    slots: Mapping[str, Any] = field(default_factory=dict)
    demos: Sequence[Mapping[str, Any]] = ()
    choose: Mapping[str, Any] = field(default_factory=dict)

    def messages(self, inputs: Mapping[str, Any], passages: Iterable[Any] = ()) -> list[dict[str, str]]:
        """The chat messages for one set of inputs; they are data, whatever they hold."""
        template, scope = self._template, self._scope
        shown = [
            each if isinstance(each, Mapping) else {"id": str(n), "text": each} for n, each in enumerate(passages, 1)
        ]
        rows = tuple(
            Row({"id": str(each["id"]), "text": str(each["text"]), "title": str(each.get("title", ""))})
            for each in shown
        )
        names = {**template.globals, **inputs, **scope, "demos": self._demos(inputs), "passages": rows}
        found = messages(template.root_render_func(template.new_context(names, shared=True)))
        return [{"role": each.role, "content": each.content} for each in found]

    def _demos(self, inputs: Mapping[str, Any]) -> tuple[Row, ...]:
        if self.choose.get("fixed") or not self.demos:
            return self._fixed
        return tuple(_shown(each) for each in self._bank.select(self.choose, Example("", inputs)))

    @cached_property
    def _fixed(self) -> tuple[Row, ...]:
        return tuple(_shown(_example(each)) for each in self.demos)

    @cached_property
    def _bank(self) -> Bank:
        return Bank(tuple(map(_example, self.demos)))

    @cached_property
    def _scope(self) -> dict[str, Any]:
        slots = {name: _slot(value) for name, value in self.slots.items()}
        return scope_of(slots) | {"labels": tuple(Label(name, description) for name, description in self.labels)}

    @cached_property
    def _template(self) -> Any:
        parts = {name: front_matter(text) for name, text in self.sources.items()}

        def lookup(wanted: str) -> tuple[FrontMatter, str] | None:
            found = wanted if wanted in parts else f"{wanted}.j2"
            return (parts[found], found) if found in parts else None

        return Environment(lookup).get_template(self.main)


def _slot(value: Any) -> Any:
    return Rewritten(value["text"], value["option"]) if isinstance(value, Mapping) else value


def _example(row: Mapping[str, Any]) -> Example:
    passages = tuple(Passage(e["id"], e["text"], title=e.get("title", "")) for e in row.get("passages", ()))
    return Example(row["id"], row["inputs"], row.get("label"), passages=passages)


def _shown(demo: Example) -> Row:
    passages = tuple(Row({"id": each.id, "text": each.text, "title": each.title}) for each in demo.passages)
    return Row({**demo.inputs, "label": demo.answers[0] if demo.answers else "", "passages": passages})
