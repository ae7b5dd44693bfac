"""The experiment.yaml of a new project: every line says what it is for, and what else could stand there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from promptlab.starter.columns import Kind
from promptlab.yaml_text import flow, scalar

WIDE = 42

_METRICS: Mapping[Kind, tuple[str, str]] = {
    "classes": ("{main: exact, macro_f1: macro_f1}", "share of right answers; F1 averaged over labels, rare ones too"),
    "flag": ("{main: normalised}", "share of right answers, case aside"),
    "number": ("{main: numeric}", "share of right numbers; numeric:0.01 or numeric:1% allow for rounding"),
    "text": ("{main: normalised, token_f1: token_f1}", "equal but for case, articles, punctuation; shared words"),
}
_ANSWERS: Mapping[Kind, tuple[str, str]] = {
    "classes": ("label", "the whole answer, or its last line, must be a label; a template may say otherwise"),
    "flag": ("last-line", "the last line of the answer; a template may say otherwise"),
    "number": ("number", "the last number of the answer; a template may say otherwise"),
    "text": ("text", "the whole answer; a template may say otherwise"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs from one new experiment to the next.

    ``inputs`` maps variables to columns; ``bank`` is a file, "train", or "" for none; ``left_out`` maps columns that
    are no inputs to the reason; ``calls`` is the budget; ``hold_out``: whether there are rows enough for a test.
    ``label`` is "" where a judge scores by the ``rubric``.
    """

    name: str
    question: str
    data: str
    inputs: Mapping[str, str]
    label: str
    kind: Kind
    calls: int
    many: bool = False
    bank: str = ""
    hold_out: bool = True
    left_out: Mapping[str, str] = field(default_factory=dict)
    rubric: str = ""


def experiment_text(settings: Settings) -> str:
    """The file. It loads as it is; the commented lines are the next steps."""
    parts = (_head(settings), _data(settings), _search(settings))
    return "\n".join(line for part in parts for line in part) + "\n"


def _line(text: str, comment: str) -> str:
    """The text with its comment: behind it, or above a long one."""
    if len(text) <= WIDE:
        return f"{text:<{WIDE}} # {comment}"
    indent = " " * (len(text) - len(text.lstrip()))
    return f"{indent}# {comment}\n{text}"


def _head(settings: Settings) -> list[str]:
    name = settings.name
    tokens = 300 if settings.kind in ("text", "number") else 128
    return [
        f"# {settings.question}",
        f"# Run it:  promptlab mine experiments/{name}/experiment.yaml",
        "# Paths are relative to this file. A list is a choice that mining makes; `promptlab plan` counts the points.",
        f"name: {scalar(name)}",
        "",
        _line("endpoint: embedded", "works offline and proves the path; it is no language model. For real answers:"),
        "# endpoint: {base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY}   # a variable, not the key",
        _line("models: [small]", "several are compared, too. With a real endpoint, its own ids:"),
        "# models: [{id: MODEL-ID, price: {input: 0.15, output: 0.60}}]   # price: US dollars per million tokens",
        _line(f"params: {{temperature: 0, max_tokens: {tokens}}}", "sent with each request; a list tries each value"),
        "",
    ]  # fmt: skip


def _data(settings: Settings) -> list[str]:
    plain = all(name == column for name, column in settings.inputs.items())
    inputs = flow(list(settings.inputs) if plain else dict(settings.inputs))
    label = flow({"column": settings.label, "many": "any"} if settings.many else settings.label)
    lines = [
        "data:",
        _line(f"  path: {scalar(settings.data)}", "one row per example; csv, tsv, jsonl, json or parquet"),
        _line(f"  inputs: {inputs}", f"what a template may read{'' if plain else ': its name there, and the column'}"),
    ]  # fmt: skip
    lines += [f"  # not in inputs: {scalar(column)} ({reason})" for column, reason in settings.left_out.items()]
    if settings.label:
        lines.append(_line(f"  label: {label}", "the right answer" + (", or several" if settings.many else "")))
    if settings.kind == "classes":
        lines.append(_line("  labels: labels.yaml", "the labels in order, with what they mean"))
    return [*lines, _split(settings), ""]


def _split(settings: Settings) -> str:
    if not settings.hold_out:
        return _line("  split: all", "too few rows to hold a test out: no winner is named before there are more")
    shares = (
        "{train: 0.2, dev: 0.4, test: 0.4, seed: 7}" if settings.bank == "train" else "{dev: 0.5, test: 0.5, seed: 7}"
    )
    train = "train gives demos, " if settings.bank == "train" else ""
    comment = f"{train}dev decides, test is read once; `group: COLUMN` keeps a customer's rows together"
    return _line(f"  split: {shares}", comment)


def _search(settings: Settings) -> list[str]:
    metrics, answer = _METRICS[settings.kind], _ANSWERS[settings.kind]
    if settings.rubric:
        judge = flow({"main": {"judge": {"rubric": settings.rubric}}})
        metrics = (judge, "the first model scores 1 to 5 by this; `model: NAME` beside rubric asks another one")
    first = "task: plain, bank.k: 0" if settings.bank else "task: plain"
    return [
        _line(f"templates: [../../templates/{settings.name}/*.j2]", "their choices are slots of the search"),
        "",
        *_bank(settings),
        _line(f"answer: {answer[0]}", answer[1]),
        _line(f"metrics: {metrics[0]}", metrics[1]),
        _line(f"baseline: {{{first}}}", "what every difference is measured against"),
        "",
        "search:",
        _line("  propose: [grid]", "try every point"),
        _line("  allocate: halving", "all on a few rows, the better half on twice as many, and so on"),
        _line(f"  budget: {{calls: {settings.calls}}}", "a hard cap. With a priced model also, say, usd: 1.00"),
        _line("  finalists: 3", "how many go on to the test rows, beside the baseline"),
        _line("seed: 7", "the same seed gives the same run"),
    ]  # fmt: skip


def _bank(settings: Settings) -> list[str]:
    if not settings.bank:
        return []
    how = "balanced" if settings.kind == "classes" else "random"
    what = "evenly over the labels" if settings.kind == "classes" else "any"
    source = "the train rows" if settings.bank == "train" else "12 rows of its own, none of them in data"
    return [
        _line("bank:", "worked examples (demos), shown before the question"),
        _line(f"  from: {scalar(settings.bank)}", source),
        _line("  k: [0, 4]", "how many"),
        _line(f"  select: [{how}, nearest]", f"{what}, or those most like the row"),
        "",
    ]
