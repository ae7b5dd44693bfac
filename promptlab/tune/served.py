"""Whether a model that was trained here can be asked: a program gives back a name, and somebody has to serve it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from promptlab.endpoint.hidden import flaw
from promptlab.endpoint.redact import shown
from promptlab.endpoint.retry import Backoff
from promptlab.tune.trainer import Place, Tuned
from promptlab.tune.wire import Wire

SERVE = "Serve it there, or say where with `tune.base_url`; then the same command goes on (--fresh trains anew)"
FOLDER = (
    "`transformers serve` answers for any folder by its path, `vllm serve FOLDER` for that one: start one, say where "
    "with `tune.base_url`, and the same command goes on"
)

GONE = "There is no such folder here: if it is gone, --fresh trains anew; else serve it, and the same command goes on"


async def unserved(place: Place, tuned: Tuned, backoff: Backoff) -> str:
    """Why the model cannot be asked, and what to do; empty if it can.

    A server that does not list it is asked for one token: some serve what they do not list.
    """
    url = tuned.base_url or place.url
    if tuned.base_url and (why := flaw(url)):
        return f"it is trained ({tuned.model_id}), but served at an address {why}. {SERVE}"
    if tuned.model_id == place.base.id and url.rstrip("/") == place.url.rstrip("/"):
        return f"what was given back is the base model itself ({tuned.model_id}); name the model that was trained"
    key = place.api_key if url.rstrip("/") == place.url.rstrip("/") else ""
    wire = Wire(replace(place, url=url, api_key=key), backoff)
    try:
        why = await _why(wire, tuned.model_id, shown(url), offline=place.base.endpoint.embedded and url == place.url)
    finally:
        await wire.close()
    if not why:
        return ""
    return wire.hidden.told(f"it is trained ({tuned.model_id}), but {why}. {_remedy(Path(tuned.model_id))}")


def _remedy(model: Path) -> str:
    if model.is_dir():
        return FOLDER
    return GONE if model.is_absolute() else SERVE


async def _why(wire: Wire, model: str, where: str, *, offline: bool) -> str:
    silent = await wire.silent()
    if silent:
        return f"nobody answers at {where} ({silent})"
    _, listed = await wire.knows("")
    said = "" if model in listed else await wire.speaks(model)
    if not said:
        return ""
    if offline:
        return "the offline engine does not have it"
    return f"{where} does not serve it ({said.replace(model, 'it')})"
