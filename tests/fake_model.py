"""A model on a FaultServer that honours, ignores or rejects each parameter as told: what doctor has to find out."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from fault_server import FaultServer, Reply, error, raw

SEA = "The sea is a vast restless body of salt water that shines and roars under the open sky all day"
STONES = ("amber", "beryl", "coral", "ebony", "flint", "garnet")


class FakeModel(FaultServer):
    """``ways`` maps what is asked to `ignored`, `rejected`, `unnamed` (rejected by a bare 400) or a way of its own.

    Everything else is honoured. ``looks`` are the answers to GET by path; what it lacks is 404.
    """

    def __init__(self, **ways: Any) -> None:
        super().__init__()
        self.ways = ways
        self.window = 10**9  # words of a prompt; what comes before is cut off
        self.looks: dict[str, Any] = {"/v1/models": {"data": [{"id": "m"}, {"id": "other"}]}}
        self.count = 0
        self.default = self.answer

    @property
    def models(self) -> Reply:
        found = self.looks.get(self.seen[-1].path)
        return error(404, "no such route") if found is None else raw(json.dumps(found))

    @models.setter
    def models(self, reply: Reply) -> None:
        """The answers of this server are its ``looks``."""

    def is_(self, way: str, name: str) -> bool:
        return self.ways.get(name) == way

    def honours(self, name: str, body: dict[str, Any]) -> bool:
        return name in body and name not in self.ways

    def answer(self, body: dict[str, Any]) -> Reply:
        self.count += 1
        turned_away = self.turned_away(body)
        if turned_away is not None:
            return turned_away
        if "input" in body:
            return raw(json.dumps(self.vectors(body)))
        draws = body["n"] if self.honours("n", body) else 1
        choices = [self.choice(body, place) for place in range(draws)]
        words = sum(len(each["content"].split()) for each in body["messages"])
        out = sum(len((each["message"]["content"] or "").split()) for each in choices)
        usage = {"prompt_tokens": min(words, self.window) + 9, "completion_tokens": out}
        usage = self.ways.get("usage", usage)
        whole = {"id": "1", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage}
        return raw(json.dumps(whole), **self.ways.get("headers", {}))

    def turned_away(self, body: dict[str, Any]) -> Reply | None:
        roles = [each["role"] for each in body.get("messages", ())]
        for name, value in body.items():
            if self.is_("rejected", name) or (name == "temperature" and value in self.ways.get("temperatures", ())):
                said = f"Unsupported parameter: '{name}' is not supported with this model."
                return error(400, said, param=name, code="unsupported_parameter", type="invalid_request_error")
            if self.is_("unnamed", name):
                return error(400, "Bad request")
            if self.is_("broken", name):
                return error(500, "internal error")
        kind = (body.get("response_format") or {}).get("type", "")
        if self.is_("rejected", kind) or (kind == "json_object" and self.is_("rejected", kind + " with schema")):
            return error(400, "'response_format.type' must be text", param="response_format", code="invalid_value")
        for role in ("system", "developer"):
            if role in roles and self.is_("rejected", role):
                return error(400, f"The role {role} is not supported here.")
        if roles.count("system") > 1 and self.is_("rejected", "two systems"):
            return error(422, "one system message at most")
        if self.is_("rejected", "long") and sum(len(str(each["content"])) for each in body.get("messages", ())) > 900:
            return error(400, "This model's maximum context length is 200 tokens.", code="context_length_exceeded")
        return error(404, "no embeddings") if "input" in body and self.is_("rejected", "input") else None

    def choice(self, body: dict[str, Any], place: int) -> dict[str, Any]:
        text = self.text(body, place)
        stops = body.get("stop", ()) if self.honours("stop", body) else ()
        for mark in stops:
            text = text.partition(mark)[0].rstrip()
        limits = [body[name] for name in ("max_tokens", "max_completion_tokens") if self.honours(name, body)]
        words = text.split()
        cut = bool(limits) and len(words) > min(limits)
        if cut:
            words = words[: min(limits)]
        finish = self.ways.get("finish_reason", "length" if cut else "stop")
        message = {"role": "assistant", "content": " ".join(words), **self.ways.get("message", {})}
        made = {"index": place, "message": message, "finish_reason": finish}
        if body.get("logprobs") and self.honours("logprobs", body):
            tops = [{"token": each, "logprob": -0.5} for each in ("a", "b")]
            made["logprobs"] = {"content": [{"token": w, "logprob": -0.5, "top_logprobs": tops} for w in words]}
        return made

    def text(self, body: dict[str, Any], place: int) -> str:
        if "text" in self.ways:
            return str(self.ways["text"])
        last = body["messages"][-1]["content"]
        heard = [each["content"] for each in body["messages"] if each["role"] not in self.ways]
        kind = (body.get("response_format") or {}).get("type", "")
        if kind == "json_schema" and kind not in self.ways:
            return json.dumps({"colour": "teal"})
        if kind == "json_object" and kind not in self.ways:
            schema = body["response_format"].get("schema")
            return json.dumps({"colour": "teal"} if schema and "schema" not in self.ways else {"about": "sea"})
        prompt = " ".join(" ".join(heard).split()[-self.window :])
        if code := re.search(r"[A-Z]+-\d+", prompt):
            return code[0]
        if "kiwi, plum" in prompt:
            return "kiwi" if prompt.count("kiwi") > 1 else "plum"
        return self.drawn(body, place) if "six digits" in last else self.described(body)

    def drawn(self, body: dict[str, Any], place: int) -> str:
        warm = body.get("temperature", 1) > 0 and not self.is_("ignored", "temperature")
        luck = f"{body['seed']}, {place}" if self.honours("seed", body) else f"call {self.count}, {place}"
        chance = random.Random(luck if warm else "cold")
        return f"{chance.choice(STONES)} {chance.randrange(10**5, 10**6)}"

    def described(self, body: dict[str, Any]) -> str:
        return f"{self.count} {SEA}" if "repeats" in self.ways else SEA

    def vectors(self, body: dict[str, Any]) -> dict[str, Any]:
        way, texts = self.ways.get("input"), body["input"]
        made: list[Any] = [[float(len(text)), 1.0, 0.5] for text in texts]
        if way == "one":
            made = made[:1]
        if way == "nested":
            made = [[each, each] for each in made]
        return {"data": [{"index": k, "embedding": each} for k, each in enumerate(made)], "model": body["model"]}
