"""How one model of one endpoint wants to be asked, where that is not how promptlab writes requests.

Found by doctor, kept in the project's capabilities. Keys and logs keep the canonical request: a dialect changes the
words, never the question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from promptlab.records import Request

Rung = Literal["json_schema", "json_object with schema", "json_object", "prompt"]
"""How JSON is asked for: the endpoint's own modes from the strictest down; `prompt` is words alone."""
SystemRole = Literal["system", "developer", "user"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is sent in place of what. The default changes nothing.

    ``names`` maps parameters, ``system`` and ``developer`` are the roles that such messages get (`user` = in front of
    the user's next message), ``one_system`` joins the system messages, ``schema`` and ``object`` are the rungs by which
    a response_format of json_schema and of json_object is asked for.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    system: SystemRole = "system"
    developer: SystemRole = "developer"
    one_system: bool = False
    schema: Rung = "json_schema"
    object: Rung = "json_object"

    def content(self, request: Request) -> bytes:
        """The bytes to send: the request's own where nothing differs."""
        body = self.body(request.body)
        return request.content if body is request.body else replace(request, body=body).content

    def body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body in this dialect; the same object where nothing differs."""
        if any(name in body for name in self.names):
            body = {self._name(name, body): value for name, value in body.items()}
        messages = body.get("messages")
        if isinstance(messages, list | tuple) and (turned := self._turned(messages)) is not messages:
            body = {**body, "messages": turned}
        if isinstance(body.get("response_format"), Mapping):
            body = self._formatted(body, body["response_format"])
        return body

    def _name(self, name: str, body: Mapping[str, Any]) -> str:
        other = self.names.get(name, name)
        return name if other in body else other

    def _turned(self, messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        roles: dict[str, str] = {"system": self.system, "developer": self.developer}
        if any(roles.get(each["role"], each["role"]) != each["role"] for each in messages):
            messages = _with_roles(messages, roles)
        if self.one_system and sum(each["role"] == "system" for each in messages) > 1:
            messages = _joined(messages)
        return messages

    def _formatted(self, body: Mapping[str, Any], wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        kind = wanted.get("type")
        if kind == "json_schema" and self.schema != "json_schema":
            outer = wanted.get("json_schema")
            return _by_rung(body, self.schema, outer.get("schema", {}) if isinstance(outer, Mapping) else {})
        if kind == "json_object" and self.object != "json_object":
            return _by_rung(body, self.object, {"type": "object"})
        return body


PLAIN = Dialect()


def _with_roles(messages: Sequence[Mapping[str, Any]], roles: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """The messages with other roles; what becomes the user's is put in front of the user's next words."""
    out: list[Mapping[str, Any]] = []
    waiting: list[str] = []
    for each in messages:
        role = roles.get(each["role"], each["role"])
        if role == "user" and each["role"] != "user":
            waiting.append(str(each["content"]))
        elif role == "user" and waiting:
            out.append({**each, "content": "\n\n".join([*waiting, str(each["content"])])})
            waiting = []
        else:
            out += [{"role": "user", "content": "\n\n".join(waiting)}] if waiting else []
            out.append({**each, "role": role})
            waiting = []
    return [*out, {"role": "user", "content": "\n\n".join(waiting)}] if waiting else out


def _joined(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The messages with all system texts in the first system message."""
    texts = [str(each["content"]) for each in messages if each["role"] == "system"]
    first = next(place for place, each in enumerate(messages) if each["role"] == "system")
    whole = {**messages[first], "content": "\n\n".join(texts)}
    return [
        whole if place == first else each
        for place, each in enumerate(messages)
        if place == first or each["role"] != "system"
    ]


def _by_rung(body: Mapping[str, Any], rung: Rung, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body that asks for JSON of a schema by a rung; below the enforced ones, the prompt says the schema."""
    if rung == "json_schema":
        envelope = {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}
        return {**body, "response_format": envelope}
    if rung == "json_object with schema":
        return {**body, "response_format": {"type": "json_object", "schema": dict(schema)}}
    if rung == "json_object":
        return _told({**body, "response_format": {"type": "json_object"}}, schema)
    return _told({name: value for name, value in body.items() if name != "response_format"}, schema)


def _told(body: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The body whose last user message ends with the form of the answer."""
    words = "Answer with a JSON object and nothing else."
    if set(schema) - {"type"}:
        words = f"Answer with a JSON object of this JSON Schema and nothing else:\n{json.dumps(schema, sort_keys=True)}"
    messages = [dict(each) for each in body["messages"]]
    place = next((k for k in reversed(range(len(messages))) if messages[k]["role"] == "user"), len(messages) - 1)
    messages[place]["content"] = f"{messages[place]['content']}\n\n{words}"
    return {**body, "messages": messages}
