"""Where in the template files an error stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import GeneratorType
from typing import Any

from jinja2 import Template as Compiled

from promptlab.template.marks import StreamError, messages

Place = tuple[str, int]


def raised_at(compiled: Compiled, error: Exception) -> Place | None:
    """The innermost template file and line in an error's traceback, Jinja's line numbers restored."""
    trace, found = error.__traceback__, None
    try:
        compiled.environment.handle_exception()
    except Exception as rewritten:  # noqa: BLE001 - the same error, with template lines in its traceback
        trace = rewritten.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.endswith((".j2", ".jinja", ".jinja2")):
            found = (name, trace.tb_lineno)
        trace = trace.tb_next
    return found


def misplaced_at(compiled: Compiled, scope: Mapping[str, Any]) -> Place | None:
    """Where the stream holds what makes no messages: rendered once more, looking at each chunk's place."""
    stream = compiled.root_render_func(compiled.new_context(dict(scope)))
    at: Place | None = None

    def watched() -> Iterator[Any]:
        nonlocal at
        for chunk in stream:
            at = _suspended_at(stream)
            if at is not None and type(chunk) is str:  # the text's first line that is not blank
                at = at[0], at[1] + chunk[: len(chunk) - len(chunk.lstrip())].count("\n")
            yield chunk

    try:
        messages(watched(), roles=True)
    except StreamError:
        return at
    return None


def _suspended_at(stream: Any) -> Place | None:
    """The innermost template file and line at which a render waits: an include is a stream of its own."""
    frame = stream.gi_frame
    inner = stream.gi_yieldfrom or frame.f_locals.get("gen")
    if isinstance(inner, GeneratorType) and inner.gi_frame is not None:
        return _suspended_at(inner)
    compiled = frame.f_globals.get("__jinja_template__")
    return compiled and (str(compiled.filename), compiled.get_corresponding_lineno(frame.f_lineno))
