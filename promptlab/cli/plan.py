"""promptlab plan: what a run would try, take and be able to tell, before anything is spent."""

from __future__ import annotations

from dataclasses import asdict

from promptlab.cli.arguments import AsJson, ExperimentPath, Limit, Overrides


def plan(experiment: ExperimentPath, overrides: Overrides = None, limit: Limit = None, as_json: AsJson = False) -> None:
    """Show the space, the calls, tokens and dollars it would take, and the smallest difference these rows can resolve.

    Example: promptlab plan experiments/support_intent/experiment.yaml
    """
    from promptlab.capabilities import notes
    from promptlab.cli.show import console, plan_lines, print_json, space_table
    from promptlab.errors import BadInput
    from promptlab.folder import project_of
    from promptlab.forecast import forecast
    from promptlab.prepare import opened
    from promptlab.progressed import progressed

    prepared = opened(experiment, overrides or (), limit)
    if prepared.skewed:
        raise BadInput(prepared.skewed)
    expected = forecast(prepared)
    if as_json:
        print_json(asdict(expected))
        return
    out = console()
    out.print(space_table(prepared))
    told = notes(prepared.experiment, project_of(prepared.experiment.path))
    for line in (*prepared.rows.notes, *told, *plan_lines(prepared, expected)):
        out.print(line, highlight=False, markup=False)
    if before := progressed(prepared):
        out.print(before, highlight=False, markup=False)
