"""Judges of the server: model, usage, finish_reason, errors, limits, embeddings, what else it serves."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

from promptlab.doctor.asks import ROOM, UNKNOWN
from promptlab.doctor.chart import Chart, Reply
from promptlab.doctor.finding import Finding, Verdict
from promptlab.doctor.sampling import unanswered
from promptlab.endpoint.listing import models
from promptlab.endpoint.usage import count
from promptlab.tokens import estimate

OVERHEAD = 300  # tokens that a server's own template and default system message may add


def address(chart: Chart) -> Finding:
    """Where it answers; an address where nobody does, or no OpenAI endpoint, never comes as far as a table."""
    return Finding("address", "honoured", f"{chart.url} answers as an OpenAI endpoint")


def key(chart: Chart) -> Finding:
    """Whether the key was taken; a wrong one never comes as far as a table."""
    if not chart.keyed:
        return Finding("key", "measured", "none is needed")
    return Finding("key", "honoured", "taken; some servers take any")


def model(chart: Chart) -> Finding:
    """Whether /models lists the model, and until when it is served."""
    looked, plain = chart.looked.get("/models"), chart.answered("plain")
    served = plain.completion.model if plain and plain.completion else ""
    alias = f", answers as {served!r}" if served and served != chart.model else ""
    facts: dict[str, Any] = {"served": served}
    ends = chart.card.get("shutdown_date")
    if ends:
        facts["shutdown_date"] = str(ends)
    if looked is None or looked.status != 200:
        state = f"HTTP {looked.status}" if looked else "nothing"
        return Finding("model", "not tried", f"/models answers {state}{alias}", facts=facts)
    listed = models(looked.body)
    if chart.model in listed:
        means = _until(str(ends)) if ends else ""
        return Finding("model", "honoured", f"listed by /models{alias}", means, {**facts, "listed": len(listed)})
    seen = f"not among the {len(listed)} of /models, but it answers{alias}"
    return Finding("model", "unclear", seen, "any name may be answered here", {**facts, "listed": len(listed)})


def _until(day: str) -> str:
    try:
        left = (date.fromisoformat(day[:10]) - date.today()).days  # noqa: DTZ011 - a day, as people count them
    except ValueError:
        return f"is shut down: {day}"
    return f"is shut down on {day[:10]}, in {left} days" if left >= 0 else f"was to be shut down on {day[:10]}"


def usage(chart: Chart) -> Finding:
    """Whether tokens are reported, and could be true."""
    replies = [(name, each) for name, each in chart.replies.items() if each.completion and each.body.get("messages")]
    known = [(name, each) for name, each in replies if count(each.reported.get("prompt_tokens")) is not None]
    if not known:
        return Finding("usage", "ignored", "no token counts in the answers", "tokens are estimated")
    wrong = [told for name, each in known if (told := _implausible(name, each))]
    if wrong:
        means = "costs and budgets count what is reported: do not trust them"
        return Finding("usage", "ignored", f"{len(wrong)} of {len(known)} are not plausible: {wrong[0]}", means)
    partly = f" in {len(known)} of {len(replies)} answers" if len(known) < len(replies) else ""
    return Finding("usage", "honoured", f"reported and plausible{partly}")


def _implausible(name: str, reply: Reply) -> str:
    sent = prompt_tokens(reply)
    asked, said = (count(reply.reported.get(key)) or 0 for key in ("prompt_tokens", "completion_tokens"))
    if name != "long prompt" and not 0.4 * sent <= asked <= 2.5 * sent + OVERHEAD:
        return f"{asked} for a prompt of about {sent}"
    if not said and reply.text:
        return f"{said} for the answer {reply.text[:20]!r}"
    longest = max(ROOM, estimate("".join(reply.texts)))
    if said > 4 * longest + OVERHEAD or said + 5 < 0.3 * estimate(reply.text):
        return f"{said} for an answer of about {estimate(reply.text)}"
    return ""


def prompt_tokens(reply: Reply) -> int:
    """About how many tokens were sent, without the chat format's own."""
    return sum(estimate(str(each.get("content") or "")) for each in reply.body.get("messages", ()))


def finish_reason(chart: Chart) -> Finding:
    """Whether answers say why they ended."""
    seen = sorted({each.finish for each in chart.replies.values() if each.completion and each.body.get("messages")})
    told = ", ".join(each or "none" for each in seen)
    facts = {"seen": seen}
    if not any(seen):
        return Finding("finish_reason", "ignored", "none is given", "answers cut short are not seen to be", facts)
    if "length" in seen:
        return Finding("finish_reason", "honoured", told, facts=facts)
    return Finding("finish_reason", "unclear", f"{told}; never `length`", facts=facts)


def unknown_parameters(chart: Chart) -> Finding:
    """What happens to a key that no server knows."""
    if rejection := chart.rejected(UNKNOWN):
        return Finding("unknown keys", "rejected", rejection.said, "a misspelt parameter is an error, as it should be")
    reply = chart.reply("stop")
    if reply is None or reply.completion is None:
        return unanswered("unknown keys", reply)
    return Finding("unknown keys", "ignored", "taken without a word", "a misspelt parameter goes unnoticed there")


def errors(chart: Chart) -> Finding:
    """The shape of error bodies."""
    if not chart.errors:
        return Finding("errors", "measured", "none came")
    shapes = list(dict.fromkeys(f"HTTP {status}, {shape}" for status, shape in chart.errors))
    return Finding("errors", "measured", "; ".join(shapes[:3]), facts={"shapes": shapes})


def rate_limits(chart: Chart) -> Finding:
    """The limits that headers tell."""
    found = {
        name.lower(): value
        for reply in chart.replies.values()
        for name, value in reply.headers.items()
        if "ratelimit" in name.lower() and "limit" in name.lower().rpartition("ratelimit")[2]
    }
    if not found:
        return Finding("rate limits", "measured", "no headers", "429s alone slow a run down")
    told = ", ".join(f"{name.partition('ratelimit-')[2]} {value}" for name, value in sorted(found.items()))
    return Finding("rate limits", "measured", told, "endpoint.rpm and tpm may be set to that", found)


def embeddings(chart: Chart) -> Finding:
    """Three texts, the first and the last alike: three flat vectors of one dimension, in their order."""
    reply = chart.reply("embeddings")
    rows = reply.data.get("data") if reply else None
    if reply is None or reply.fault is not None or not isinstance(rows, list):
        return unanswered("embeddings", reply, "no dense retrieval with this model")
    vectors: list[Any] = [each.get("embedding") for each in rows if isinstance(each, dict)]
    asked = len(reply.body["input"])
    if len(vectors) != asked:
        return Finding("embeddings", "ignored", f"{asked} texts, {len(vectors)} vectors", "unusable for retrieval")
    if not all(_flat(each) for each in vectors) or len({len(each) for each in vectors}) != 1:
        return Finding("embeddings", "ignored", "no flat vectors of one dimension", "unusable for retrieval")
    size, name = len(vectors[0]), str(reply.body["model"])
    facts = {"dimension": size, "model": name}
    if not (math.dist(vectors[0], vectors[2]) < 1e-3 < math.dist(vectors[0], vectors[1])):
        return Finding("embeddings", "unclear", f"{size} dimensions; equal texts differ, or all are alike", facts=facts)
    return Finding("embeddings", "honoured", f"{size} dimensions, in order, of {name!r}", facts=facts)


def _flat(vector: Any) -> bool:
    return isinstance(vector, list) and bool(vector) and all(isinstance(x, int | float) for x in vector)


def files(chart: Chart) -> Finding:
    """GET /files."""
    return _served("files", "/files", chart)


def fine_tuning(chart: Chart) -> Finding:
    """GET /fine_tuning/jobs."""
    return _served("fine-tuning", "/fine_tuning/jobs", chart)


def batches(chart: Chart) -> Finding:
    """GET /batches."""
    return _served("batches", "/batches", chart)


def _served(name: str, route: str, chart: Chart) -> Finding:
    answer = chart.looked.get(route)
    if answer is None:
        return Finding(name, "not tried", f"GET {route}: no answer")
    listed = isinstance(chart.json(route), dict)
    verdict: Verdict = "honoured" if listed else "rejected" if answer.status >= 400 else "unclear"
    return Finding(name, verdict, f"GET {route}: HTTP {answer.status}", facts={"status": answer.status})
