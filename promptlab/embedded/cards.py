"""The models that the server has, as ``/v1/models`` shows them."""

from __future__ import annotations

from typing import Any

from promptlab.embedded.checks import no_model
from promptlab.embedded.engine import MODELS
from promptlab.embedded.vectors import EMBEDDERS

_NAMES = (*MODELS, *EMBEDDERS)


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "promptlab"}


def card(name: str) -> dict[str, Any]:
    """One model; ApiError 404 if there is none of that name."""
    if name not in _NAMES:
        raise no_model(name, _NAMES, ())
    return _card(name)


def cards() -> dict[str, Any]:
    """All models: those that chat, then those that embed."""
    return {"object": "list", "data": [_card(name) for name in _NAMES]}
