"""What endpoints say of their models, asked once and for free: the entries of GET /models."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from promptlab.endpoint.client import Answer
from promptlab.endpoint.hidden import Hidden
from promptlab.endpoint.listing import cards
from promptlab.endpoint.sdk import answered, client
from promptlab.records import Endpoint
from promptlab.waiting import waited

Cards: TypeAlias = Mapping[str, Mapping[str, Any]]
"""What is said of each model, by its id."""

SECONDS = 15.0  # a look-up that nothing depends on waits no longer


def asked(endpoints: Iterable[Endpoint]) -> Cards:
    """Every entry by the model's id; an endpoint that does not answer, or lists nothing, says nothing.

    The offline engine is not asked. Keys come from the environment, and go to their own endpoint alone.
    """
    apart = {each.identity: each for each in endpoints if not each.embedded}
    return waited(lambda: _all(list(apart.values()))) if apart else {}


async def _all(endpoints: list[Endpoint]) -> Cards:
    found: dict[str, Mapping[str, Any]] = {}
    for said in await asyncio.gather(*map(_one, endpoints)):
        found |= said
    return found


async def _one(endpoint: Endpoint) -> Cards:
    key = os.environ.get(endpoint.api_key_env, "") if endpoint.api_key_env else ""
    sdk = client(endpoint.base_url, key)
    try:
        answer = await answered(sdk.models.with_raw_response.list(), SECONDS)
    finally:
        await sdk.close()
    if not isinstance(answer, Answer) or answer.status != 200:
        return {}
    return cards(Hidden(endpoint.base_url, key).cleaned(answer).body)
