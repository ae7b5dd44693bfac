"""A name that a template reads and that is not there: the message names the nearest one, and no class of ours."""

from __future__ import annotations

from jinja2 import StrictUndefined
from jinja2.utils import missing, object_type_repr

from promptlab.errors import nearest
from promptlab.template.marks import Row

_LABEL = ("name", "description")


class Unknown(StrictUndefined):
    """Jinja's strict undefined value. Its message may have a second line: the remedy."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        found, name = self._undefined_obj, self._undefined_name
        if self._undefined_hint or found is missing:
            return super()._undefined_message
        if isinstance(found, dict):
            what = (
                "a mapping" if not isinstance(found, Row) else "a passage" if set(found) == {"id", "text"} else "a demo"
            )
            return f"{what} has no `{name}`\n{nearest(str(name), map(str, found))}"
        if isinstance(found, str) and hasattr(found, "description"):
            return f"a label has no `{name}`\n{nearest(str(name), _LABEL)}"
        if isinstance(found, str):
            return f"a text has no `{name}`"
        kind = object_type_repr(found).rpartition(".")[2]
        return f"{kind!r} has no {'attribute' if isinstance(name, str) else 'element'} {name!r}"
