"""The lines of the table, in their order: each a function of all that was answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from promptlab.doctor import formats, roles, sampling, server, timing
from promptlab.doctor.chart import Chart
from promptlab.doctor.finding import Finding

JUDGES: Sequence[Callable[[Chart], Finding | None]] = (
    server.address,
    server.key,
    server.model,
    server.usage,
    server.finish_reason,
    sampling.old_limit,
    sampling.new_limit,
    sampling.temperature,
    sampling.stop,
    sampling.seed,
    sampling.n,
    sampling.logprobs,
    formats.json_object,
    formats.json_schema,
    formats.object_with_schema,
    roles.system,
    roles.developer,
    roles.two_systems,
    roles.reasoning,
    roles.long_prompt,
    server.unknown_parameters,
    server.errors,
    timing.repeats,
    timing.latency,
    timing.parallel,
    server.rate_limits,
    server.embeddings,
    server.files,
    server.fine_tuning,
    server.batches,
)


def judged(chart: Chart) -> tuple[Finding, ...]:
    """Every line of the table, those of the experiment's own parameters last."""
    found = [judge(chart) for judge in JUDGES]
    return (*(each for each in found if each is not None), *_own(chart))


def _own(chart: Chart) -> list[Finding]:
    """Parameters that only the experiment sends: rejected or not is all that can be told."""
    reply, found = chart.reply("own params"), []
    for name in chart.params:
        if rejection := chart.rejected(name):
            found.append(sampling.rejected(name, rejection))
        elif reply is None or reply.completion is None:
            found.append(sampling.unanswered(name, reply))
        else:
            seen = "taken; whether it has an effect cannot be told"
            found.append(Finding(name, "unclear", seen))
    return found
