"""The models that the server has, as ``/v1/models`` shows them."""

from __future__ import annotations

from typing import Any

from promptlab.embedded.checks import no_model
from promptlab.embedded.engine import MODELS
from promptlab.embedded.tuned import SHELF
from promptlab.embedded.vectors import EMBEDDERS

_NAMES = (*MODELS, *EMBEDDERS)


def _card(name: str) -> dict[str, Any]:
    tuned = SHELF.get(name)
    return {"id": name, "object": "model", "created": tuned.created if tuned else 0, "owned_by": "promptlab"}


def card(name: str) -> dict[str, Any]:
    """One model; ApiError 404 if there is none of that name."""
    if name not in _NAMES and SHELF.get(name) is None:
        raise no_model(name, (*_NAMES, *SHELF.names()), ())
    return _card(name)


def drop(name: str) -> dict[str, Any]:
    """Forgets a tuned model; ApiError 404 if there is none of that name."""
    if SHELF.get(name) is None:
        raise no_model(name, SHELF.names() or ("no tuned models",), _NAMES)
    SHELF.drop(name)
    return {"id": name, "object": "model", "deleted": True}


def cards() -> dict[str, Any]:
    """All models: those that chat, then those that embed, then those that were tuned."""
    return {"object": "list", "data": [_card(name) for name in (*_NAMES, *SHELF.names())]}
