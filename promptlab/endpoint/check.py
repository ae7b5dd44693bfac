"""A preflight that costs nothing: does anybody listen? What /models answers is not asked: many servers fail there."""

from __future__ import annotations

from dataclasses import replace

from promptlab.endpoint.pool import CONNECT_TRIES, Pool
from promptlab.records import Model


async def check(pool: Pool, model: Model) -> None:
    """Raise EndpointUnusable if no connection can be made; return for anything else."""
    for _ in range(CONNECT_TRIES):
        fault = await pool.knock()
        if fault is None or fault.kind != "connect":
            return
    assert fault is not None
    await pool.give_up(replace(fault, kind="unreachable"), model, "/models")
