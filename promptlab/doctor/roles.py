"""Judges of messages: roles, several system messages, reasoning, long prompts."""

from __future__ import annotations

import re

from promptlab.doctor.asks import CODE, FOUND
from promptlab.doctor.chart import Chart, Reply
from promptlab.doctor.finding import Finding
from promptlab.doctor.sampling import rejected, unanswered
from promptlab.endpoint.usage import count
from promptlab.tokens import estimate

OLLAMA = 4096  # tokens; what Ollama cuts prompts to where nobody set num_ctx


def system(chart: Chart) -> Finding:
    """Whether the system message says how to answer."""
    if rejection := chart.rejected("system"):
        return rejected("system", rejection, "it is put in front of the user message")
    return _obeyed("system", chart.reply("plain"))


def developer(chart: Chart) -> Finding:
    """Whether a developer message does."""
    return _obeyed("developer", chart.reply("developer"))


def two_systems(chart: Chart) -> Finding:
    """Whether the second of two system messages is read, too."""
    found = _obeyed("two system messages", chart.reply("two systems"))
    if found.verdict == "rejected":
        return Finding(found.name, "rejected", found.seen, "they are joined into one")
    return found


def _obeyed(name: str, reply: Reply | None) -> Finding:
    if reply is None or reply.completion is None:
        return unanswered(name, reply)
    if not reply.text:
        seen = "all tokens went into reasoning" if reply.thought_away else "an empty answer"
        return Finding(name, "unclear", f"taken; {seen}")
    if re.fullmatch(rf"\W*{FOUND}\W*", reply.text, re.IGNORECASE):
        return Finding(name, "honoured", f"obeyed: {reply.text!r}")
    if re.search(rf"\b{FOUND}\b", reply.text, re.IGNORECASE):
        return Finding(name, "honoured", f"taken; obeyed loosely: {_shown(reply.text)}")
    return Finding(name, "ignored", f"taken, not obeyed: {_shown(reply.text)}", "or the model is too weak to obey")


def reasoning(chart: Chart) -> Finding:
    """Where the model's thinking comes, if any does."""
    means = "it is cut off before an answer is read"
    for reply in chart.replies.values():
        message = reply.choices[0].get("message") if reply.choices else None
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        for field in ("reasoning_details", "reasoning_content", "reasoning"):
            if message.get(field):
                return Finding("reasoning", "measured", f"in the field {field}", means, {"where": field})
        if isinstance(content, str) and "<think" in content:
            return Finding("reasoning", "measured", "in <think> tags", means, {"where": "think"})
        if reply.thought_away:
            facts = {"where": "hidden"}
            return Finding("reasoning", "measured", "hidden, and counted", "give it room: max_tokens", facts)
    return Finding("reasoning", "measured", "none seen", facts={"where": ""})


def long_prompt(chart: Chart) -> Finding:
    """Whether the start of a long prompt arrives; some servers cut it off without a word."""
    window, told = context(chart)
    reply, name = chart.reply("long prompt"), "long prompts"
    means = f"{told}; longer prompts may be cut silently" if told else ""
    facts = {"context": window} if window else {}
    if reply is None:
        return Finding(name, "not tried", "no tokens were left for one; --context N tries", means, facts)
    sent = sum(estimate(str(each["content"])) for each in reply.body["messages"])
    facts["tokens"] = sent
    if reply.completion is None:
        if reply.fault is not None and reply.fault.kind == "overflow":
            return Finding(name, "rejected", reply.fault.text, "too long is an error, as it should be", facts)
        return unanswered(name, reply, means)
    counted = count(reply.reported.get("prompt_tokens"))
    if CODE in reply.text:
        return Finding(name, "honoured", f"the start of {sent:,} tokens was read", means, facts)
    if counted is not None and counted < 0.6 * sent:
        seen = f"{sent:,} tokens sent, {counted:,} counted, the start not read"
        return Finding(name, "ignored", seen, "cut silently: raise the server's context", {**facts, "counted": counted})
    return Finding(name, "unclear", f"what stands at the start of {sent:,} tokens was not found", means, facts)


def context(chart: Chart) -> tuple[int, str]:
    """The context that the server tells of, in tokens, and who says so; (0, "") if nobody does."""
    for key in ("max_model_len", "context_length", "context_window", "max_context_length"):
        if found := count(chart.card.get(key)):
            return found, f"/models: context of {found:,}"
    props = chart.json("/props")
    if isinstance(props, dict):
        settings = props.get("default_generation_settings")
        inner = settings.get("n_ctx") if isinstance(settings, dict) else None
        if found := count(inner) or count(props.get("n_ctx")):
            return found, f"llama.cpp: context of {found:,}"
    version = chart.json("/api/version")
    if isinstance(version, dict) and "version" in version:
        return OLLAMA, f"Ollama: context of {OLLAMA:,} unless num_ctx is set on the server"
    return 0, ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:29] + "…")
