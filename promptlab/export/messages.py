"""--to messages: the chat messages as JSON, with named places for the inputs that are filled, never rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.export.chosen import Chosen
from promptlab.export.form import parts_of
from promptlab.export.pieces import Hole, Part
from promptlab.export.sheet import sheet


def as_messages(chosen: Chosen) -> Mapping[str, str]:
    """messages.json. BadInput, naming the line, where a row decides more than what stands in the places."""
    found = [{"inputs": list(prompt.template.inputs), "messages": listed(parts)}
             for prompt, parts in zip(chosen.prompts, parts_of(chosen), strict=True)]  # fmt: skip
    return {"messages.json": sheet(chosen, found)}


def listed(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Messages whose content is a list of texts and of {input: name}."""
    return [{"role": part.role, "content": [_piece(each) for each in part.pieces]} for part in parts]


def _piece(piece: str | Hole) -> Any:
    return {"input": piece.name} if isinstance(piece, Hole) else piece
