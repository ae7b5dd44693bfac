"""What is asked of the meta model, and how its answers are read: shared by all proposers that write texts.

A request holds sections: ``<instruction>`` (with a score where there is one), ``<examples>`` and ``<mistakes>``, one
row of JSON a line. The answer stands between <prompt> and </prompt>. Rows come from train alone; mistakes are what the
view tells of closed rounds.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from promptlab.errors import BadInput, CallFailed, Problem
from promptlab.records import Completion, Example, Flow, Message, Purpose, Request
from promptlab.view import Failure, View

CHAT = "/chat/completions"
LONGEST_ANSWER = 4000  # tokens that a meta model may answer with at least: some think before they write
LONGEST_TEXT = 8000  # characters of a text that is read from an answer
LONGEST_VALUE = 600  # characters of a column's value that are shown
LONGEST_ROWS = 12_000  # characters of all rows of a section
REFUSED = ("content_filter", "context_overflow")  # how answers end that hold no text
SHOWN = 80  # characters of an answer that could not be read, in messages
_SHAPES = ("response_format", "stop", "n", "logprobs", "top_logprobs", "tools", "tool_choice")  # of answers, not ours
_TEXT = re.compile(r"<prompt>((?:(?!</?prompt>).)*)</prompt>", re.S)
_FENCE = re.compile(r"```\w*\n(.*?)\n?```", re.S)

SYSTEM = """\
You improve an instruction that another language model is given. It is one part of a longer prompt: the text to work \
on, worked examples and the possible answers may be added by the rest, which stays as it is.
Keep what the instruction is for. Mark nothing up, and copy no whole row of the examples into it.
A mark like ⟦1⟧ stands for something that is filled in later: every mark of the instruction must be in yours exactly \
once, unchanged, and no others.
Use at most {words} words. Put the new instruction between <prompt> and </prompt>; what stands outside is not used."""


def ask(view: View, messages: Sequence[Message], place: str, purpose: Purpose = "meta", **params: Any) -> Request:
    """The request to the meta model. ``place`` tells the calls of one round apart: proposer/drawn number/position.

    The draw is sent as ``seed``, too, for servers that answer equal requests alike. The model's own parameters come
    first, but for what serves short answers: their shape, a temperature of 0 (every draw would be the same), and a
    length that no instruction fits into. BadInput: the view has no meta model.
    """
    if view.meta is None:
        raise BadInput(Problem("there is no meta model", remedy="Name one: search: {meta: MODEL}."))
    draw = f"{place}/round {view.round}"
    seed = zlib.crc32(draw.encode()) >> 1  # some servers take 31 bits
    own = {key: value for key, value in view.meta.params.items() if value is not None and key not in _SHAPES}
    limit = "max_completion_tokens" if "max_completion_tokens" in own else "max_tokens"
    own[limit] = max(own.get(limit, 0), LONGEST_ANSWER)
    if own.get("temperature") == 0:
        del own["temperature"]
    loose = {"seed": seed, "temperature": 1.0}
    body = {
        **loose,
        **own,
        **params,
        "model": view.meta.id,
        "messages": [{"role": each.role, "content": each.content} for each in messages],
    }
    defaults = tuple(key for key in loose if key not in own and key not in params)
    return Request(view.meta, CHAT, body, draw=draw, purpose=purpose, defaults=defaults)


def read(text: str) -> str | None:
    """The last text between <prompt> and </prompt>; None where there is none, or one that is empty or far too long."""
    found = [each.strip() for each in _TEXT.findall(text)]
    last = next((each for each in reversed(found) if each), "")
    fenced = _FENCE.fullmatch(last)
    last = fenced.group(1).strip() if fenced else last
    return last if last and len(last) <= LONGEST_TEXT else None


def answered(requests: Sequence[Request], read: Callable[[str], str | None] = read) -> Flow[list[str | None]]:
    """The text that each request brought, None where it brought none. They go out side by side; who failed, once more.

    ``read`` finds the text in an answer; a refusal holds none, whatever it says. Raises CallFailed where none brought
    any, saying what came instead.
    """
    if not requests:
        return []
    found: list[Completion | CallFailed] = list((yield tuple(requests)))
    failed = [place for place, each in enumerate(found) if isinstance(each, CallFailed)]
    if failed:
        again = yield tuple(requests[place] for place in failed)
        for place, each in zip(failed, again, strict=True):
            found[place] = each
    texts = [
        None if isinstance(each, CallFailed) or each.finish_reason in REFUSED else read(each.text) for each in found
    ]
    if not any(texts):
        raise CallFailed(
            f"none of {len(texts)} calls of the meta model brought a text; the last: {_instead(found[-1])}"
        )
    return texts


def _instead(last: Completion | CallFailed) -> str:
    if isinstance(last, CallFailed):
        return str(last)
    return f"an answer without a text between <prompt> and </prompt>: {last.text[:SHOWN]!r}"


def system(text: str, least: int = 120) -> Message:
    """The system message; a rewritten text may have half as many words again as ``text``, and ``least`` at any rate."""
    return Message("system", SYSTEM.format(words=max(least, 3 * len(text.split()) // 2)))


def instruction(text: str, score: float = math.nan) -> str:
    """An instruction as the meta model is shown it."""
    known = "" if math.isnan(score) else f' score="{score:.3g}"'
    return f"<instruction{known}>\n{text}\n</instruction>"


def examples(rows: Iterable[Example]) -> str:
    """Rows of train with their right answers, one of JSON a line: no data can end a line or the section."""
    return _section("examples", ({**_shown(row), "right answer": _right(row)} for row in rows))


def mistakes(failures: Iterable[Failure]) -> str:
    """Wrong answers, each with what the metric says of it; empty where none is known."""
    found = [
        {
            **_shown(each.example),
            "answer given": each.output[:LONGEST_VALUE],
            "right answer": each.expected[:LONGEST_VALUE],
            **({"remark": each.explanation[:LONGEST_VALUE]} if each.explanation else {}),
        }
        for each in failures
    ]
    return _section("mistakes", found) if found else ""


def _section(name: str, rows: Iterable[Mapping[str, Any]]) -> str:
    lines: list[str] = []
    room = LONGEST_ROWS
    for row in rows:
        line = json.dumps(row, ensure_ascii=False, default=str).replace("<", "\\u003c")
        room -= len(line)
        if lines and room < 0:
            break
        lines.append(line)
    return "\n".join([f"<{name}>", *lines, f"</{name}>"])


def _shown(row: Example) -> dict[str, Any]:
    return {key: str(value)[:LONGEST_VALUE] for key, value in row.inputs.items()}


def _right(row: Example) -> str:
    return str(row.answers[0])[:LONGEST_VALUE] if row.answers else ""
