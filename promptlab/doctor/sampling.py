"""Judges of what shapes an answer: both limits, temperature, stop, n, seed, logprobs."""

from __future__ import annotations

import math
from dataclasses import replace

from promptlab.doctor.asks import CUT, stop_mark
from promptlab.doctor.blame import negotiable
from promptlab.doctor.chart import Chart, Rejection, Reply
from promptlab.doctor.finding import Finding
from promptlab.endpoint.usage import count
from promptlab.tokens import estimate

SLACK = 3  # tokens by which a count may be off


def limit(name: str, other: str, chart: Chart) -> Finding:
    """Whether an answer ends at max_tokens, or at max_completion_tokens, saying `length`."""
    found = _limited(name, chart)
    if found.verdict not in ("rejected", "ignored"):
        return found
    helps = _limited(other, chart).verdict == "honoured"
    return replace(found, means=f"{other} is sent in its place" if helps else "answers cannot be kept short")


def _limited(name: str, chart: Chart) -> Finding:
    if rejection := chart.rejected(name):
        return rejected(name, rejection)
    reply = chart.reply(name)
    if reply is None or reply.completion is None:
        return unanswered(name, reply)
    out = _tokens_out(reply)
    facts = {"finish_reason": reply.finish, "tokens": out}
    if reply.finish == "length" and out <= CUT + SLACK:
        return Finding(name, "honoured", f"{CUT} tokens asked for, {out} came, ended by `length`", facts=facts)
    if out > CUT + SLACK:
        return Finding(name, "ignored", f"{CUT} tokens asked for, {out} came", facts=facts)
    whole = chart.answered("again")
    if reply.text and whole and whole.text != reply.text and whole.text.startswith(reply.text):
        seen = f"cut after {out} tokens, but finish_reason is {reply.finish!r}"
        return Finding(name, "honoured", seen, "answers cut short are not seen to be", facts)
    return Finding(name, "unclear", f"the answer was short by itself: {_shown(reply.text)}", facts=facts)


def old_limit(chart: Chart) -> Finding:
    """max_tokens."""
    return limit("max_tokens", "max_completion_tokens", chart)


def new_limit(chart: Chart) -> Finding:
    """max_completion_tokens."""
    return limit("max_completion_tokens", "max_tokens", chart)


def temperature(chart: Chart) -> Finding:
    """Which of 0, 0.7 and 1 are taken, and whether answers vary above 0 alone."""
    bad = [each for each in chart.rejections if each.name == "temperature"]
    refused = [each.value for each in bad]
    facts = {"accepted": [v for v in (0, 0.7, 1.0) if v not in refused], "rejected": refused}
    if bad:
        means = "a run that asks for another value stops; promptlab's own 0 is left out"
        return Finding("temperature", "rejected", f"{', '.join(map(str, refused))}: {bad[0].said}", means, facts)
    warm = [text for name in ("seed", "other seed") if (reply := chart.answered(name)) for text in reply.texts if text]
    cold = [reply.text for name in ("again", "once more") if (reply := chart.answered(name))]
    if len(warm) < 2 or not all(cold):
        return Finding("temperature", "unclear", "0, 0.7 and 1 are taken; too few answers to compare", facts=facts)
    if len(set(warm)) > 1:
        if len(set(cold)) == 1:
            return Finding("temperature", "honoured", "answers vary at 1, and not at 0", facts=facts)
        return Finding("temperature", "unclear", "taken; answers vary at 0, too", "repeats differ", facts)
    seen = f"taken; {len(warm)} answers to 'pick at random' are alike: {_shown(warm[0])}"
    telling = any(char.isdigit() for char in warm[0]) or estimate(warm[0]) >= 6
    means = "a sweep over it would compare one prompt with itself" if telling else "values may make no difference"
    return Finding("temperature", "ignored" if telling else "unclear", seen, means, facts)


def stop(chart: Chart) -> Finding:
    """Whether an answer ends before a word that it is known to hold."""
    if rejection := chart.rejected("stop"):
        return rejected("stop", rejection)
    reply, whole, mark = chart.reply("stop"), chart.answered("again"), stop_mark(chart)
    if whole is None or not mark:
        return Finding("stop", "unclear", "the model said nothing that could be stopped")
    if reply is None or reply.completion is None:
        return unanswered("stop", reply)
    if mark in reply.text:
        return Finding("stop", "ignored", f"{mark!r} is in the answer", "answers run on to their end")
    if whole.text.startswith(reply.text) or (reply.finish == "stop" and whole.finish == "length"):
        return Finding("stop", "honoured", f"ended before {mark!r}")
    return Finding("stop", "unclear", f"another answer, without {mark!r}: {_shown(reply.text)}")


def n(chart: Chart) -> Finding:
    """Whether n = 2 gives two choices."""
    means = "no matter: repeats are asked one by one"
    if rejection := chart.rejected("n"):
        return rejected("n", rejection, means)
    reply = chart.reply("other seed")
    if reply is None or reply.completion is None:
        return unanswered("n", reply, means)
    found = len(reply.choices)
    return Finding("n", "honoured" if found == 2 else "ignored", f"n = 2 gave {found}", means, {"choices": found})


def seed(chart: Chart) -> Finding:
    """Whether one seed gives one answer, and another seed another."""
    if rejection := chart.rejected("seed"):
        return rejected("seed", rejection, "answers cannot be repeated")
    replies = [chart.reply(name) for name in ("seed", "same seed", "other seed")]
    texts = [reply.text if reply else "" for reply in replies]
    if not all(texts):
        lost = next((each for each in replies if each and each.fault), None)
        return unanswered("seed", lost) if lost else Finding("seed", "unclear", "too few answers to compare")
    if texts[0] != texts[1]:
        seen = f"one seed, two answers: {_shown(texts[0])}, {_shown(texts[1])}"
        return Finding("seed", "ignored", seen, "answers cannot be repeated")
    if texts[2] != texts[0]:
        return Finding("seed", "honoured", "the same seed repeats an answer, another changes it")
    return Finding("seed", "unclear", f"every answer is alike: {_shown(texts[0])}", "nothing varies, so nothing tells")


def logprobs(chart: Chart) -> Finding:
    """Whether log-probabilities come, and are such."""
    if rejection := chart.rejected("logprobs"):
        return rejected("logprobs", rejection)
    reply = chart.reply("max_completion_tokens")
    if reply is None or reply.completion is None or not reply.choices:
        return unanswered("logprobs", reply)
    given = reply.choices[0].get("logprobs")
    content = given.get("content") if isinstance(given, dict) else None
    rows = [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    values = [each.get("logprob") for each in rows]
    if not values:
        return Finding("logprobs", "ignored", "none in the answer", "no scores from probabilities")
    if not all(isinstance(value, int | float) and not math.isnan(value) and value <= 0 for value in values):
        return Finding("logprobs", "ignored", f"no log-probabilities: {_shown(str(values[:3]))}")
    tops = [len(each.get("top_logprobs") or ()) for each in rows]
    return Finding("logprobs", "honoured", f"{len(values)} tokens, {max(tops)} alternatives", facts={"top": max(tops)})


def rejected(name: str, rejection: Rejection, means: str = "") -> Finding:
    """The finding of a parameter that the endpoint answered with an error."""
    if rejection.sure:
        return Finding(name, "rejected", rejection.said, means)
    return Finding(name, "unclear", f"rejected together with others, none named: {rejection.said}", means)


def unanswered(name: str, reply: Reply | None, means: str = "") -> Finding:
    """The finding where no answer came: the endpoint's error, or why it was not tried."""
    if reply is None or reply.fault is None:
        return Finding(name, "not tried", "what it builds on was not there")
    fault = reply.fault
    if fault.kind in ("limited", "connect") or (fault.kind == "transient" and not negotiable(fault)):
        return Finding(name, "not tried", fault.text)
    return Finding(name, "rejected", fault.text, means)


def _tokens_out(reply: Reply) -> int:
    """Tokens of an answer: what is seen of it, and no more than reported where that is more than nothing."""
    reported = count(reply.reported.get("completion_tokens"))
    seen = estimate(reply.text)
    if reply.finish == "length" and reported:
        return reported if seen <= reported + SLACK else seen
    return seen if not reported else min(seen, reported) if seen > CUT + SLACK else max(seen, reported)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:29] + "…")
