"""Judges of repeats and time: whether answers at temperature 0 agree, how long they take, what four at once gain."""

from __future__ import annotations

from statistics import median

from promptlab.doctor.asks import AT_ONCE
from promptlab.doctor.chart import Chart
from promptlab.doctor.finding import Finding

SAME = ("again", "once more", "max_tokens", "max_completion_tokens", "stop")  # one prompt at temperature 0, some cut
QUICK = 0.01  # seconds; below, opening connections is all that is seen
TOGETHER = tuple(ask.name for ask in AT_ONCE)


def repeats(chart: Chart) -> Finding:
    """Disagreement of the answers to one prompt at temperature 0; of those that are cut short, as far as they go."""
    if any(each.name == "temperature" and each.value == 0 for each in chart.rejections):
        return Finding("repeats at 0", "not tried", "temperature 0 is rejected", "take several repeats")
    texts = [reply.text for name in SAME if (reply := chart.answered(name)) and reply.text]
    if len(texts) < 2:
        return Finding("repeats at 0", "unclear", "too few answers to compare")
    longest = max(texts, key=len)
    apart = sum(not longest.startswith(text) for text in texts)
    facts = {"answers": len(texts), "apart": apart}
    if apart:
        means = "scores move from run to run"
        return Finding("repeats at 0", "measured", f"{apart} of {len(texts)} answers differ", means, facts)
    return Finding("repeats at 0", "measured", f"{len(texts)} answers agree", facts=facts)


def latency(chart: Chart) -> Finding:
    """The median of the calls that were made one after the other."""
    seconds = _one_by_one(chart)
    if not seconds:
        return Finding("latency", "unclear", "no answers")
    middle = median(seconds)
    return Finding("latency", "measured", f"p50 {_span(middle)} ({len(seconds)} calls)", facts={"p50_s": middle})


def parallel(chart: Chart) -> Finding:
    """How much faster four at once are than one after the other."""
    seconds = _one_by_one(chart)
    done = [name for name in TOGETHER if chart.answered(name)]
    if not seconds or len(done) < len(TOGETHER) or not chart.together:
        return Finding("parallel", "not tried", "not all of the four at once were answered")
    if median(seconds) < QUICK:
        return Finding("parallel", "unclear", f"4 at once in {_span(chart.together)}: too quick to tell")
    gain = min(float(len(done)), len(done) * median(seconds) / chart.together)
    means = "more at once will hardly help" if gain < 1.5 else ""
    seen = f"4 at once in {_span(chart.together)}: {gain:.1f} times as fast"
    return Finding("parallel", "measured", seen, means, {"speed_up": round(gain, 2)})


def _one_by_one(chart: Chart) -> list[float]:
    """Seconds of the chat calls made alone; of those as long as the four at once where there are enough."""
    alone = [
        reply
        for name, reply in chart.replies.items()
        if reply.completion and reply.body.get("messages") and name not in (*TOGETHER, "long prompt")
    ]
    whole = [each.seconds for each in alone if each.completion and each.completion.usage.tokens_out >= 4]
    return whole if len(whole) >= 3 else [each.seconds for each in alone]


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
