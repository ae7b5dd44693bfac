"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ExperimentPath = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT", help="An experiment.yaml, or the folder that holds one.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Another value for a key of the file, like search.budget.calls=500."
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=2, metavar="N", help="Only the first N rows of dev and of test.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
