"""Training files: JSON Lines as OpenAI and most others read chats, as TRL does, and pairs for DPO. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promptlab.records import Message
from promptlab.tune.rows import TrainingRow

Line = dict[str, Any]
Pairs = Mapping[str, Sequence[str]]
"""Wrong answers by the example's id."""


def chat(rows: Iterable[TrainingRow]) -> bytes:
    """{"messages": [...]}: the last one is taught. Earlier answers (demos) weigh 0, else they would be taught, too."""
    return _lines({"messages": _weighed(row)} for row in rows)


def prompt_completion(rows: Iterable[TrainingRow]) -> bytes:
    """{"prompt": [messages], "completion": [message]}, as TRL's SFTTrainer trains on the completion alone."""
    return _lines({"prompt": _plain(row.prompt), "completion": _plain(row.messages[-1:])} for row in rows if row.weight)


def dpo(rows: Iterable[TrainingRow], wrong: Pairs) -> bytes:
    """OpenAI's preference pairs: the right answer against each wrong one that was recorded; other rows are left out."""
    return _lines(
        {
            "input": {"messages": _plain(row.prompt), "tools": [], "parallel_tool_calls": True},
            "preferred_output": _plain(row.messages[-1:]),
            "non_preferred_output": [{"role": "assistant", "content": answer}],
        }
        for row, answer in paired(rows, wrong)
    )


def preferences(rows: Iterable[TrainingRow], wrong: Pairs) -> bytes:
    """The same pairs as TRL's DPOTrainer reads them: prompt, chosen, rejected."""
    return _lines(
        {
            "prompt": _plain(row.prompt),
            "chosen": _plain(row.messages[-1:]),
            "rejected": [{"role": "assistant", "content": answer}],
        }
        for row, answer in paired(rows, wrong)
    )


def paired(rows: Iterable[TrainingRow], wrong: Pairs) -> list[tuple[TrainingRow, str]]:
    """Each row with each wrong answer to it, equal ones and the right one left out."""
    return [
        (row, answer)
        for row in rows
        if row.weight
        for answer in dict.fromkeys(wrong.get(row.example_id, ()))
        if answer.strip() and answer.strip() != row.answer.strip()
    ]


def _weighed(row: TrainingRow) -> list[Line]:
    earlier = any(each.role == "assistant" for each in row.prompt)
    lines = _plain(row.messages)
    for line in lines[:-1]:
        if line["role"] == "assistant":
            line["weight"] = 0
    if earlier or row.weight != 1:
        lines[-1]["weight"] = int(row.weight) if row.weight == int(row.weight) else row.weight
    return lines


def _plain(messages: Iterable[Message]) -> list[Line]:
    return [{"role": each.role, "content": each.content} for each in messages]


def _lines(values: Iterable[Line]) -> bytes:
    # ASCII: some readers end a line at U+2028 and its like
    return "".join(json.dumps(value) + "\n" for value in values).encode()
