"""promptfoo's assertions as labels and metrics: what a test expects, as far as promptlab can check it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.starter.promptfoo.ours import included
from promptlab.starter.promptfoo.source import Source

METRICS: Mapping[str, str] = {
    "equals": "exact", "contains": "contains", "icontains": "contains", "contains-any": "contains",
    "icontains-any": "contains", "regex": "regex", "is-json": "json_valid",
}  # fmt: skip
_ALONE = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
_TYPED = re.compile(r"(not-)?([a-z][a-z-]*)(?:\((\d+(?:\.\d+)?)\))?(?::([\s\S]*))?")
_CODE = ("javascript:", "fn:", "eval:", "python:", "file://")
_KNOWN = frozenset((
    *METRICS, "contains-all", "icontains-all", "contains-json", "contains-sql", "contains-xml",
    "is-sql", "is-xml", "is-html",
    "starts-with", "similar", "levenshtein", "rouge-n", "bleu", "gleu", "meteor", "cost", "latency", "perplexity",
    "perplexity-score", "llm-rubric", "model-graded-closedqa", "model-graded-factuality", "factuality", "g-eval",
    "answer-relevance", "context-recall", "context-relevance", "context-faithfulness", "classifier", "moderation",
    "webhook", "javascript", "python", "ruby", "is-refusal", "guardrails", "finish-reason", "word-count", "select-best",
    "max-score", "pi", "is-valid-openai-function-call", "is-valid-openai-tools-call", "is-valid-function-call",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """What one assertion wants: the metric that checks it, and the label (None: it needs none).

    ``changed``: what to say of it where it is taken.
    """

    kind: str
    metric: str
    label: Any = None
    changed: tuple[str, ...] = ()


def expected(source: Source, assertion: Any, row: Mapping[str, Any]) -> Expected | None:
    """An assertion of a configuration; None, and said, where promptlab has no counterpart."""
    assertion = _named(source, assertion)
    if not isinstance(assertion, dict) or not isinstance(assertion.get("type"), str):
        source.leave("an assertion without a type")
        return None
    kind = assertion["type"]
    answers = included(assertion.get("value")) if kind == "javascript" else None
    if answers:
        return Expected("equals", METRICS["equals"], answers if len(answers) > 1 else answers[0])
    if kind not in METRICS:
        source.leave(f"assertions `{kind}`{_why(kind)}")
        return None
    changed = [f"`{key}` of assertions `{kind}`" for key in sorted(assertion.keys() - {"type", "value"})]
    value = _value(assertion.get("value"), row)
    if kind == "is-json":
        if value is not None:
            changed.append("the schema of assertions `is-json`: write it to a file and name it in json_valid")
        return Expected(kind, METRICS[kind], changed=tuple(changed))
    if METRICS[kind] == "contains":
        became = "" if kind == "contains" else "became `contains`, which "
        changed.append(f"`{kind}` {became}looks for whole words{'' if became else ' here'}, whatever their case")
    if value is None or value == "" or (isinstance(value, str) and value.startswith("file://")):
        source.leave(f"assertions `{kind}` whose value is empty or a file")
        return None
    several = kind.endswith("-any") and isinstance(value, list)
    return Expected(kind, METRICS[kind], [str(each) for each in value] if several else value, tuple(changed))


def from_cell(source: Source, text: str, row: Mapping[str, Any]) -> Expected | None:
    """An assertion as a cell of an `__expected` column says it; text that is none is the answer itself."""
    if text.startswith(_CODE):
        source.leave(f"`__expected` cells that are code ({text.partition(':')[0]}): nothing is run here")
        return None
    if text.startswith("grade:"):
        text = "llm-rubric:" + text.removeprefix("grade:")
    found = _TYPED.fullmatch(text)
    if not found or found[2] not in _KNOWN:
        return expected(source, {"type": "equals", "value": text}, row)
    kind = (found[1] or "") + found[2]
    value: Any = found[4] if found[4] is None else found[4].strip()
    if found[2].endswith(("-any", "-all")) and value:
        value = [each.strip() for each in value.split(",")]
    return expected(source, {"type": kind, "value": value}, row)


def _named(source: Source, assertion: Any) -> Any:
    """The assertion that `$ref: "#/assertionTemplates/NAME"` stands for."""
    reference = assertion.get("$ref") if isinstance(assertion, dict) else None
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return assertion
    found: Any = source.config
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _value(value: Any, row: Mapping[str, Any]) -> Any:
    """The value; where it is just `{{ a_variable }}` of the test, that variable's."""
    found = _ALONE.fullmatch(value.strip()) if isinstance(value, str) else None
    return row[found[1]] if found and found[1] in row else value


def _why(kind: str) -> str:
    if kind in ("javascript", "python", "ruby", "webhook"):
        return ": nothing is run here; write a metric of your own as module:function"
    if kind in ("llm-rubric", "g-eval", "factuality") or kind.startswith("model-graded"):
        return ": a judge is a metric of its own here"
    return ": there is no such metric here" if kind.startswith("not-") else ""
