"""What doctor sends: small chat requests, each a function of what is known so far. Several things ride on each.

A parameter under test that is rejected is noted, taken out (or put in other words) and the rest is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.doctor.chart import Body, Chart
from promptlab.endpoint.listing import models
from promptlab.tokens import estimate

BUDGET = 2000
"""Tokens that all calls together may cost, but for a long prompt that the user asks for."""
RESERVE = 160  # of them for what comes after the long prompt, and for estimates that are too low
SOME = 600  # tokens of the long prompt where there is room
ROOM = 16  # tokens that an answer may have
JSON_ROOM = 40  # the same of an answer in JSON: small models spread it out
CUT = 3  # tokens at which an answer must end with `length`
UNKNOWN = "promptlab_probe"
CODE = "KESTREL-4821"

SORTING = "Classify the message. Answer with exactly one of: kiwi, plum."
FRUIT = "I ate a kiwi."
FOUND = "kiwi"
TALK = "Describe the sea in one sentence."
STONES = "amber, beryl, coral, ebony, flint, garnet, ivory, jade, onyx, opal, pearl, ruby"
DRAW = f"Pick at random. Answer with one of: {STONES}."
NUMBER = "Pick one at random, then a random number of six digits."
NO_JSON = f"{TALK} Do not use JSON."
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["teal", "puce"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: its name, its body (None = nothing to ask), the parameters whose rejection says something."""

    name: str
    body: Callable[[Chart], Body | None]
    tests: tuple[str, ...] = ()
    route: str = "/chat/completions"


def chat(chart: Chart, *turns: tuple[str, str], most: int = ROOM, **settings: Any) -> dict[str, Any]:
    """A chat request at temperature 0 with at most ``most`` tokens, in the words that the model has taken so far."""
    system = "user" if chart.rejected("system") else "system"
    body = {
        "model": chart.model,
        "messages": [{"role": system if role == "system" else role, "content": text} for role, text in turns],
        "temperature": 0,
        limit(chart): most,
        **settings,
    }
    known = {each.name for each in chart.rejections if each.value == body.get(each.name)}
    return {name: value for name, value in body.items() if name not in known}


def limit(chart: Chart) -> str:
    """The name of the limit that holds: max_tokens, unless that is rejected or was seen to have no effect."""
    first, second = chart.answered("max_tokens"), chart.answered("max_completion_tokens")
    idle = first is not None and first.finish != "length" and second is not None and second.finish == "length"
    return "max_completion_tokens" if idle or chart.rejected("max_tokens") else "max_tokens"


def without(body: Body, name: str) -> Body:
    """The body without a rejected parameter, or with what stands in for it."""
    rest = {key: value for key, value in body.items() if key != name}
    if name == "max_tokens" and "max_completion_tokens" not in rest:
        rest["max_completion_tokens"] = body[name]
    if name == "max_completion_tokens" and "max_tokens" not in rest:
        rest["max_tokens"] = body[name]
    if name == "system":
        rest["messages"] = [{**each, "role": "user"} for each in body["messages"]]
    if name == "logprobs":
        rest.pop("top_logprobs", None)
    return rest


def holds(body: Body, name: str) -> bool:
    """Whether a body has the parameter; `system` and `developer` are roles of its messages."""
    if name in ("system", "developer"):
        return any(each["role"] == name for each in body.get("messages", ()))
    return name in body


def _plain(chart: Chart) -> Body:
    return chat(chart, ("system", SORTING), ("user", FRUIT))


def _old_limit(chart: Chart) -> Body | None:
    if chart.rejected("max_tokens"):
        return None
    return chat(chart, ("user", TALK), max_tokens=CUT)


def _new_limit(chart: Chart) -> Body:
    body = chat(chart, ("user", TALK), logprobs=True, top_logprobs=2)
    body.pop("max_tokens", None)
    return {**body, "max_completion_tokens": CUT}


def _talk(chart: Chart) -> Body:
    return chat(chart, ("user", TALK))


def _draw(seed: int, temperature: float = 1.0, **more: Any) -> Callable[[Chart], Body | None]:
    def body(chart: Chart) -> Body | None:
        made = chat(chart, ("system", DRAW), ("user", NUMBER), temperature=temperature, seed=seed, **more)
        return made if "seed" in made or more else None

    return body


def _stop(chart: Chart) -> Body | None:
    mark = stop_mark(chart)
    settings: dict[str, Any] = {"stop": [mark], UNKNOWN: 1} if mark else {UNKNOWN: 1}
    return chat(chart, ("user", TALK), **settings)


def stop_mark(chart: Chart) -> str:
    """A piece from the middle of what the model says at temperature 0 when nothing stops it; empty if it says nothing.

    So the test holds for any model, also for one that cannot count.
    """
    reply = chart.answered("again")
    words = reply.text.split() if reply else []
    inner = [word for word in words[1:-1] if word not in words[0]]
    if inner:
        return max(inner[: (len(inner) + 1) // 2], key=len)
    return reply.text[len(reply.text) // 2 :] if reply and len(reply.text) > 1 else ""


def _json_object(chart: Chart) -> Body:
    return chat(chart, ("user", NO_JSON), most=JSON_ROOM, response_format={"type": "json_object"})


def schema_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema in the envelope in which experiments send it."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _json_schema(chart: Chart) -> Body:
    return chat(chart, ("user", NO_JSON), most=JSON_ROOM, response_format=schema_format(SCHEMA))


def _object_with_schema(chart: Chart) -> Body | None:
    """The rung between the two, which some small servers have; asked only where json_schema is rejected."""
    said = chart.reply("json_schema")
    if said is None or said.fault is None:
        return None
    return chat(chart, ("user", NO_JSON), most=JSON_ROOM, response_format={"type": "json_object", "schema": SCHEMA})


def _developer(chart: Chart) -> Body:
    return chat(chart, ("developer", SORTING), ("user", FRUIT))


def _two_systems(chart: Chart) -> Body | None:
    if chart.rejected("system"):
        return None
    return chat(chart, ("system", "Answer in capital letters."), ("system", SORTING), ("user", FRUIT))


def _own_params(chart: Chart) -> Body | None:
    """What the experiment sends beside all this, to see whether it can be sent at all."""
    return chat(chart, ("user", FRUIT), most=CUT, **chart.params) if chart.params else None


def _long(chart: Chart) -> Body | None:
    size = chart.context or min(SOME, BUDGET - RESERVE - chart.tokens)
    return chat(chart, ("user", long_prompt(size))) if size >= 100 else None


def long_prompt(tokens: int) -> str:
    """A prompt of about so many tokens whose very beginning holds what its end asks for."""
    line = "Room {} holds maps of the coast and letters from sailors.\n"
    head, tail = f"Context:\nThe code of the archive is {CODE}.\n", "\nQuestion: What is the code of the archive?"
    each = estimate("".join(line.format(n) for n in range(100, 200))) / 100
    count = max(1, int((tokens - estimate(head + tail)) / each))
    return head + "".join(line.format(100 + n % 900) for n in range(count)) + tail


def _embeddings(chart: Chart) -> Body:
    texts = ["red", "the sea at night", "red"]
    return {"model": embedding_model(chart), "input": texts, "encoding_format": "float"}


def embedding_model(chart: Chart) -> str:
    """A listed model that is named after embeddings, else the model itself."""
    answer = chart.looked.get("/models")
    names = models(answer.body) if answer is not None and answer.status == 200 else ()
    return next((each for each in names if "embed" in each.lower()), chart.model)


FIRST = Ask("plain", _plain, ("temperature", "max_tokens", "system"))
LIMITS = (
    Ask("max_tokens", _old_limit, ("max_tokens",)),
    Ask("max_completion_tokens", _new_limit, ("max_completion_tokens", "logprobs")),
)
AT_ONCE = (
    Ask("again", _talk),
    Ask("once more", _talk),
    Ask("seed", _draw(1), ("seed", "temperature")),
    Ask("same seed", _draw(1), ("seed", "temperature")),
)
LATER = (
    Ask("other seed", _draw(2, 0.7, n=2), ("n", "temperature", "seed")),
    Ask("stop", _stop, ("stop", UNKNOWN)),
    Ask("json_object", _json_object),
    Ask("json_schema", _json_schema),
    Ask("json_object with schema", _object_with_schema),
    Ask("developer", _developer),
    Ask("two systems", _two_systems),
    Ask("long prompt", _long),
    Ask("embeddings", _embeddings, route="/embeddings"),
)


def own(chart: Chart) -> Ask:
    """The experiment's own parameters, each on trial."""
    return Ask("own params", _own_params, tuple(chart.params))


LOOKS = ("/models", "/files", "/fine_tuning/jobs", "/batches")
"""Free look-ups below base_url."""
ROOT_LOOKS = ("/props", "/api/version")
"""Free look-ups at the server's root: llama.cpp tells its context there, Ollama its name."""
